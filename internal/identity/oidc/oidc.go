// Package oidc verifies tokens of OpenID Connect issuers: people who signed in,
// and workloads of clouds and clusters that are such issuers.
//
// Start with [New], which makes a [Provider] for one pinned issuer; it is an
// authenticator. The issuer's keys are found by discovery, fetched when first
// needed, renewed in time, and believed for a while when the issuer cannot be
// reached; after that every token of it is refused.
//
// Which issuer is asked is configuration. Nothing of a token, not its iss, jku
// or x5u, ever chooses an address.
//
// Sources: OpenID Connect Core 1.0 and Discovery 1.0, RFC 9068 (access tokens),
// RFC 8725.
package oidc

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/jwt"
	"github.com/apexlogic/apex/verdict"
)

const (
	// maxGroups and maxClaim bound what goes from a token into policies. Issuers
	// that have more groups than 200 leave them out of the token.
	maxGroups = 256
	maxClaim  = 1024
	maxClaims = 64
)

// Options are all that a provider is to know of its issuer.
type Options struct {
	// Issuer is its https URL, equal to the letter to the claim iss.
	Issuer string
	// Audiences are names of this gateway; a token is made for one of them.
	Audiences []string
	// Algorithms that the issuer signs with; empty: all of jwt.Algorithms.
	Algorithms []string
	// Types are what the header typ may be, without regard to case; empty: no
	// typ, JWT (an ID token) and at+jwt (an access token).
	Types []string
	// Groups is the claim with the groups, a list of strings or a string; ""
	// for none.
	Groups string
	// Claims are the names of those that the principal keeps.
	Claims []string
	// Private allows the issuer to have an address that is not public: one in
	// the cluster, or on this machine.
	Private bool
	// Authorities that sign the issuer's TLS certificate; nil for the system's.
	Authorities *x509.CertPool
	Clock       clock.Clock
}

// Provider authenticates who bears a token of one issuer. It is safe for
// concurrent use.
type Provider struct {
	options Options
	source  *source
}

// New returns the provider of an issuer. It does not ask the issuer yet.
func New(o Options) (*Provider, error) {
	issuer, err := url.Parse(o.Issuer)
	switch {
	case err != nil || issuer.Scheme != "https" || issuer.Host == "" || issuer.User != nil || strings.ContainsAny(o.Issuer, "?#"):
		return nil, errors.New("the issuer is not an https URL without user, query and fragment")
	case len(o.Audiences) == 0 || slices.Contains(o.Audiences, ""):
		return nil, fmt.Errorf("issuer %s: name at least one audience, the name of this gateway at the issuer", o.Issuer)
	case o.Clock == nil:
		return nil, errors.New("the provider needs a clock")
	case len(o.Claims) > maxClaims:
		return nil, fmt.Errorf("issuer %s: at most %d claims can be let through", o.Issuer, maxClaims)
	}
	all := jwt.Algorithms()
	for _, name := range o.Algorithms {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("issuer %s: %q is not one of the algorithms %s", o.Issuer, name, strings.Join(all, ", "))
		}
	}
	if len(o.Algorithms) == 0 {
		o.Algorithms = all
	}
	if len(o.Types) == 0 {
		o.Types = []string{"", "JWT", "at+jwt"}
	}
	return &Provider{options: o, source: newSource(o)}, nil
}

// Generation changes with the issuer's keys, and when they become too old.
func (p *Provider) Generation() uint64 { return p.source.generation() }

// Recognises reports whether the principal's token is of this issuer, for one of
// the audiences, and was not signed with a key that the issuer has taken back.
// What the issuer's keys are is not asked for here: where none were fetched yet,
// or lately, the key counts as it did.
func (p *Provider) Recognises(who *identity.Principal) bool {
	if who.Method != identity.OIDC || who.Issuer != p.options.Issuer ||
		!slices.ContainsFunc(who.Audiences, func(a string) bool { return slices.Contains(p.options.Audiences, a) }) {
		return false
	}
	h := p.source.now.Load()
	return !p.source.believes(h) || slices.ContainsFunc(who.Keys, h.keys.Holds)
}

// Authenticate verifies c.Bearer when its issuer is this one.
func (p *Provider) Authenticate(ctx context.Context, c *identity.Credentials) (*identity.Principal, error) {
	if c.Bearer == "" || !jwt.LooksLike(c.Bearer) {
		return nil, identity.ErrOther
	}
	t, err := jwt.Parse(c.Bearer)
	if err != nil {
		return nil, err
	}
	return p.AuthenticateToken(ctx, t)
}

// AuthenticateToken verifies a token that has been parsed already.
func (p *Provider) AuthenticateToken(ctx context.Context, t *jwt.Token) (*identity.Principal, error) {
	if t.Claims.Issuer != p.options.Issuer {
		return nil, identity.ErrOther
	}
	if err := p.check(ctx, t); err != nil {
		return nil, err
	}
	return p.principal(t)
}

// check makes the cheap checks before the signature's. Only what is refused
// earlier is told: none of it is believed before the signature holds.
func (p *Provider) check(ctx context.Context, t *jwt.Token) error {
	if t.Claims.Subject == "" {
		return identity.Refuse(verdict.IdentityMalformed, "the token names nobody (sub)")
	}
	if !slices.ContainsFunc(p.options.Types, func(typ string) bool { return strings.EqualFold(typ, t.Type) }) {
		return identity.Refuse(verdict.IdentityMalformed, "the token is of a type that is not accepted (typ)")
	}
	if !slices.Contains(p.options.Algorithms, t.Algorithm) {
		return identity.Refuse(verdict.IdentityMalformed, "the token's algorithm is not one that this issuer uses (alg)")
	}
	if err := t.Claims.CheckTime(p.options.Clock.Now()); err != nil {
		return err
	}
	if err := t.Claims.CheckAudience(p.options.Audiences); err != nil {
		return err
	}
	keys, err := p.source.keys(ctx, t.KeyID)
	if err != nil {
		return err
	}
	return keys.Verify(t)
}

func (p *Provider) principal(t *jwt.Token) (*identity.Principal, error) {
	who := &identity.Principal{
		// The issuer has no "#", so that two pairs never make one name.
		ID: t.Claims.Issuer + "#" + t.Claims.Subject, Method: identity.OIDC,
		Issuer: t.Claims.Issuer, Subject: t.Claims.Subject,
		Audiences: t.Claims.Audience, NotAfter: t.Claims.Expiry, Keys: [][32]byte{t.SignedBy}, Credential: t.Digest,
	}
	if raw, ok := t.Claims.All[p.options.Groups]; ok && p.options.Groups != "" {
		if who.Groups, ok = list(raw); !ok {
			return nil, identity.Refuse(verdict.IdentityMalformed, "the token's groups are not up to %d strings", maxGroups)
		}
	}
	for _, name := range p.options.Claims {
		raw, ok := t.Claims.All[name]
		if !ok {
			continue
		}
		value, ok := scalar(raw)
		if !ok {
			// A policy that asks for it must not find it missing: that could allow.
			return nil, identity.Refuse(verdict.IdentityMalformed, "a claim that the configuration lets through is not a string, a whole number, a boolean or a list of strings")
		}
		if who.Claims == nil {
			who.Claims = make(map[string]any, len(p.options.Claims))
		}
		who.Claims[name] = value
	}
	return who, nil
}

func list(raw json.RawMessage) ([]string, bool) {
	if one, ok := jwt.Text(raw, maxClaim); ok {
		return []string{one}, true
	}
	return jwt.Texts(raw, maxGroups, maxClaim)
}

// scalar reads a claim into one of the types that a principal holds.
func scalar(raw json.RawMessage) (any, bool) {
	switch text := string(raw); {
	case text == "true":
		return true, true
	case text == "false":
		return false, true
	case text == `""`:
		return "", true
	case text[0] == '"':
		return jwt.Text(raw, maxClaim)
	case text[0] == '[':
		return jwt.Texts(raw, maxGroups, maxClaim)
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err == nil && n > math.MinInt64
	}
}

var (
	_ identity.Generational = (*Provider)(nil)
	_ jwt.Authenticator     = (*Provider)(nil)
)
