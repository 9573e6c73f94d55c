package svid

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/jwt"
	"github.com/apexlogic/apex/verdict"
)

// JWT authenticates who bears a JWT-SVID. It is safe for concurrent use.
type JWT struct {
	bundles   *Bundles
	audiences []string
	clock     clock.Clock
}

// NewJWT returns the authenticator for tokens made for one of these audiences.
func NewJWT(b *Bundles, audiences []string, c clock.Clock) (*JWT, error) {
	if len(audiences) == 0 || slices.Contains(audiences, "") {
		return nil, errors.New("JWT-SVIDs need at least one audience: the name of this gateway")
	}
	return &JWT{b, slices.Clone(audiences), c}, nil
}

// Generation is that of the bundles.
func (j *JWT) Generation() uint64 { return j.bundles.Generation() }

// Authenticate verifies c.Bearer when its subject is a SPIFFE ID.
func (j *JWT) Authenticate(ctx context.Context, c *identity.Credentials) (*identity.Principal, error) {
	if c.Bearer == "" || !jwt.LooksLike(c.Bearer) {
		return nil, identity.ErrOther
	}
	t, err := jwt.Parse(c.Bearer)
	if err != nil {
		return nil, err
	}
	return j.AuthenticateToken(ctx, t)
}

// Recognises reports whether the principal's token was made for one of the
// audiences, with a key of its trust domain.
func (j *JWT) Recognises(p *identity.Principal) bool {
	if p.Method != identity.JWTSVID || !slices.ContainsFunc(p.Audiences, func(a string) bool { return slices.Contains(j.audiences, a) }) {
		return false
	}
	d := j.bundles.named(p.Issuer)
	return d.keys != nil && slices.ContainsFunc(p.Keys, d.keys.Holds)
}

// AuthenticateToken verifies a token that has been parsed already.
func (j *JWT) AuthenticateToken(_ context.Context, t *jwt.Token) (*identity.Principal, error) {
	if !strings.HasPrefix(t.Claims.Subject, "spiffe:") {
		return nil, identity.ErrOther
	}
	id, err := spiffeid.FromString(t.Claims.Subject)
	if err != nil || id.Path() == "" {
		return nil, identity.Refuse(verdict.IdentityMalformed, "the token's subject is not the SPIFFE ID of a workload")
	}
	// JWT-SVID section 3.3; and section 3.1 knows no EdDSA.
	if t.Type != "" && t.Type != "JWT" && t.Type != "JOSE" || t.Algorithm == "EdDSA" {
		return nil, identity.Refuse(verdict.IdentityMalformed, "the token is of another type or algorithm than a JWT-SVID")
	}
	domain, ok := j.bundles.domainOf(id)
	if !ok {
		return nil, identity.Refuse(verdict.IdentityUntrusted, "the token's trust domain is not trusted here")
	}
	if err := t.Claims.CheckTime(j.clock.Now()); err != nil {
		return nil, err
	}
	if err := t.Claims.CheckAudience(j.audiences); err != nil {
		return nil, err
	}
	if err := domain.keys.Verify(t); err != nil {
		return nil, err
	}
	return &identity.Principal{
		ID: id.String(), Method: identity.JWTSVID,
		Issuer: id.TrustDomain().Name(), Subject: id.Path(),
		Audiences: t.Claims.Audience, NotAfter: t.Claims.Expiry, Keys: [][32]byte{t.SignedBy}, Credential: t.Digest,
	}, nil
}

var (
	_ identity.Generational = (*JWT)(nil)
	_ jwt.Authenticator     = (*JWT)(nil)
)
