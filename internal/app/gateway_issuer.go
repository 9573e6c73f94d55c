package app

import (
	"context"
	"crypto/tls"
	"net"
)

// The doors at which callers get identities.
const (
	doorWorkload = "workload-api"
	doorExchange = "exchange"
)

// openIssuer makes the issuer where one is asked for.
func (g *runningGateway) openIssuer() error {
	if !g.o.Issuer.asked() {
		return nil
	}
	if g.identity == nil || g.identity.CA == nil {
		return errNoAuthority
	}
	r := &registrar{ca: g.identity.CA, clock: g.o.Clock, private: g.o.PrivateIssuers, authorities: g.compiler.issuers}
	g.issuer = newIssuer(&g.o.Issuer, r, g.ledger, g.meter, g.publisher, g.o.Logger)
	return g.issuer.open(g.o.State)
}

func openWorkload(g *runningGateway) (*openDoor, error) {
	if g.o.Issuer.Socket == "" {
		return nil, nil
	}
	return g.issuer.workloadDoor()
}

func (i *issuer) workloadDoor() (*openDoor, error) {
	l, serve, err := i.listenSocket()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	return &openDoor{
		at:    l.Addr(),
		serve: func() error { return serve(ctx) },
		// Streams of the Workload API have no end of their own: clients ask again.
		close: func(context.Context) { stop(); l.Close() },
	}, nil
}

func openExchange(g *runningGateway) (*openDoor, error) {
	if g.o.Issuer.Exchange == "" {
		return nil, nil
	}
	secure, err := serverTLS(&g.o, g.identity)
	if err != nil {
		return nil, err
	}
	h, err := g.issuer.handler()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", g.o.Issuer.Exchange)
	if err != nil {
		return nil, taken("the exchange", g.o.Issuer.Exchange, err, "--exchange-address names another port")
	}
	s := g.server(h)
	s.ReadTimeout, s.WriteTimeout = askedWithin, askedWithin
	return g.serve(s, tls.NewListener(l, secure)), nil
}
