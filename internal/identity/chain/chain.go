// Package chain asks several authenticators in order, and lets nobody show two
// credentials: which of them counted would be left to chance, and the other one
// would go unverified.
//
// Start with [New].
package chain

import (
	"context"
	"errors"
	"slices"

	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/jwt"
	"github.com/apexlogic/apex/verdict"
)

// Chain is an authenticator made of others. It is safe for concurrent use.
type Chain struct{ all []identity.Generational }

// New returns a chain of authenticators, asked in that order. The first that
// judges credentials of the kind decides.
func New(all ...identity.Generational) (*Chain, error) {
	if len(all) == 0 {
		return nil, errors.New("a chain without authenticators recognises nobody: configure at least one kind of identity")
	}
	return &Chain{append([]identity.Generational(nil), all...)}, nil
}

// Generation grows when that of any of the authenticators does.
func (c *Chain) Generation() (sum uint64) {
	for _, a := range c.all {
		sum += a.Generation()
	}
	return sum
}

// Recognises reports whether any of the authenticators recognises the principal.
func (c *Chain) Recognises(p *identity.Principal) bool {
	return slices.ContainsFunc(c.all, func(a identity.Generational) bool { return a.Recognises(p) })
}

// Authenticate asks the authenticators. Without credentials it is
// identity.ErrOther; credentials that no authenticator judges are refused.
func (c *Chain) Authenticate(ctx context.Context, shown *identity.Credentials) (*identity.Principal, error) {
	if shown.Bearer != "" && len(shown.Peer) > 0 {
		return nil, identity.Refuse(verdict.IdentityAmbiguous, "the request shows a certificate and a token; one of them is to be shown")
	}
	if shown.Bearer == "" && len(shown.Peer) == 0 {
		return nil, identity.ErrOther
	}
	// A token is parsed once for all who judge tokens.
	var token *jwt.Token
	if jwt.LooksLike(shown.Bearer) {
		var err error
		if token, err = jwt.Parse(shown.Bearer); err != nil {
			return nil, err
		}
	}
	for _, a := range c.all {
		p, err := ask(ctx, a, shown, token)
		switch {
		case errors.Is(err, identity.ErrOther):
			continue
		case err != nil:
			return nil, err
		case p == nil || p.ID == "":
			return nil, identity.Refuse(verdict.Internal, "an authenticator returned nobody")
		}
		return p, nil
	}
	return nil, identity.Refuse(verdict.IdentityUntrusted, "nobody who is trusted here issues credentials of this kind")
}

// ask asks one authenticator, with the parsed token if it takes one.
func ask(ctx context.Context, a identity.Authenticator, shown *identity.Credentials, token *jwt.Token) (*identity.Principal, error) {
	if j, ok := a.(jwt.Authenticator); ok && token != nil {
		return j.AuthenticateToken(ctx, token)
	}
	return a.Authenticate(ctx, shown)
}

var _ identity.Generational = (*Chain)(nil)
