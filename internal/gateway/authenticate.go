package gateway

import (
	"encoding/hex"
	"errors"
	"strings"

	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

// maxToken is the longest bearer token that is looked at.
const maxToken = 16 << 10

// authenticate finds out who asks. The credential is taken out of the request:
// the server behind gets the gateway's own.
func authenticate(x *Exchange) error {
	if x.ask != nil && x.ask.Principal != nil {
		return x.is(x.ask.Principal)
	}
	c := identity.Credentials{}
	if x.Request.TLS != nil {
		c.Peer = x.Request.TLS.PeerCertificates
	}
	if header := x.Request.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken || strings.ContainsAny(token, " \t,") {
			return Refuse(verdict.RequestIdentity, "the header Authorization is not Bearer and one token")
		}
		c.Bearer = token
	}
	x.Request.Header.Del("Authorization")
	if c.Bearer == "" && len(c.Peer) == 0 {
		if !x.Route.Anonymous {
			return Refuse(verdict.RequestIdentity, "the request shows no identity")
		}
		return x.is(anonymous)
	}
	if x.Route.Identity == nil {
		return Refuse(verdict.RequestIdentity, "the route recognises no identities")
	}
	ctx, stop := x.within()
	defer stop()
	p, err := x.Route.Identity.Authenticate(ctx, &c)
	if errors.Is(err, identity.ErrOther) {
		return Refuse(verdict.RequestIdentity, "the route does not recognise identities of this kind")
	}
	if err != nil {
		return err
	}
	return x.is(p)
}

// is says who asks.
func (x *Exchange) is(p *identity.Principal) error {
	if !p.NotAfter.IsZero() && !p.NotAfter.After(x.Began) {
		return Refuse(verdict.RequestIdentity, "the identity has expired")
	}
	x.Principal = p
	x.memory.Begin(x.gateway.options.Bodies, p.ID)
	if p.Method != identity.Anonymous {
		x.Decision.Credential = hex.EncodeToString(p.Credential[:])
	}
	x.Decision.Principal, x.Decision.Method = p.ID, string(p.Method)
	if code := x.Snapshot.Revoked.Why(p, ""); code != "" {
		return Refuse(code, "the identity was revoked")
	}
	return nil
}

var anonymous = &identity.Principal{ID: "anonymous", Method: identity.Anonymous}
