package app

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/access/authzen"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/cache"
	"github.com/apexlogic/apex/internal/identity/chain"
	"github.com/apexlogic/apex/internal/identity/svid"
)

// AuthZEN is the door for enforcement points that ask the access policies by
// OpenID AuthZEN.
type AuthZEN struct {
	// Address to listen on; empty: there is no such door.
	Address string
	// URL that callers know it by, https; "" is the address. A JWT-SVID that a
	// caller shows has it as audience.
	URL string
	// Callers are the SPIFFE IDs of who may ask.
	Callers []string
	// Rate is how many decisions each of them may ask for in a minute; 0 is
	// [DefaultQuestionRate].
	Rate int
}

const (
	doorAuthZEN = "authzen"
	// pointCallers bounds the credentials that are remembered as accepted.
	pointCallers = 1024
)

func openAuthZEN(g *runningGateway) (*openDoor, error) {
	o := &g.o.AuthZEN
	if o.Address == "" {
		return nil, nil
	}
	if len(o.Callers) == 0 {
		return nil, errors.New("nobody may ask for decisions: name the SPIFFE IDs of enforcement points with --authzen-caller")
	}
	for _, id := range o.Callers {
		if !identity.IsSPIFFE(id) {
			return nil, fmt.Errorf("--authzen-caller %s is not a SPIFFE ID", id)
		}
	}
	l, err := g.listen("the decision point", o.Address, "--authzen-address")
	if err != nil {
		return nil, err
	}
	url := pointURL(o.URL, g.identity != nil || g.o.CertificateFile != "", l.Addr())
	who, err := g.compiler.workloadsFor(url, pointCallers)
	if err == nil {
		var point http.Handler
		if point, err = decisionPoint(pointOptions{
			rules: g.rulesInForce, url: url, authenticate: callersOf(who, o.Callers), callers: len(o.Callers), rate: o.Rate,
			ledger: g.ledger, clock: g.o.Clock, log: g.o.Logger,
		}); err == nil {
			return g.serve(apiServer(point), l), nil
		}
	}
	l.Close()
	return nil, err
}

// rulesInForce are those that enforcement points ask; empty before the first.
func (g *runningGateway) rulesInForce() authzen.Rules {
	now := g.publisher.Current()
	r, _ := g.access.Of(now)
	return r.asked(now)
}

// workloadsFor recognises all workloads that are believed, by certificates, and
// by tokens that were made for an audience.
func (c *gatewayCompiler) workloadsFor(audience string, remembered int) (identity.Authenticator, error) {
	tokens, err := svid.NewJWT(c.believed, []string{audience}, c.o.Clock)
	if err != nil {
		return nil, err
	}
	ask, err := chain.New(c.workloads, tokens)
	if err != nil {
		return nil, err
	}
	return cache.New(ask, c.o.Clock, remembered), nil
}

// callersOf lets those of a list ask.
func callersOf(who identity.Authenticator, callers []string) func(*http.Request) (string, error) {
	return func(r *http.Request) (string, error) {
		shown := identity.Credentials{}
		if r.TLS != nil {
			shown.Peer = r.TLS.PeerCertificates
		}
		if values := r.Header.Values("Authorization"); len(values) == 1 {
			scheme, token, _ := strings.Cut(values[0], " ")
			if !strings.EqualFold(scheme, "Bearer") {
				return "", errors.New("the token is no bearer token")
			}
			shown.Bearer = token
		} else if len(values) > 1 {
			return "", errors.New("there are two tokens")
		}
		p, err := who.Authenticate(r.Context(), &shown)
		switch {
		case err != nil:
			return "", err
		case !slices.Contains(callers, p.ID):
			return "", authzen.ErrForbidden
		}
		return p.ID, nil
	}
}
