package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/verdict"
)

// openFront is the door for requests that are passed on.
func openFront(g *runningGateway) (*openDoor, error) {
	if !alone(g) {
		return g.serve(g.server(g.gateway), g.o.within.front), nil
	}
	l, err := g.listen("the gateway", g.o.Address, "--address")
	if err != nil {
		return nil, err
	}
	s := g.server(g.gateway)
	s.Protocols = new(http.Protocols) // with TLS the two agree on one
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true) // gRPC without TLS, which listen keeps to loopback
	d := g.serve(s, l)
	shut := d.close
	d.close = func(ctx context.Context) {
		// The server knows nothing of WebSockets any more: what runs is waited for here.
		defer g.lastWords(ctx)()
		shut(ctx)
		if err := g.gateway.Live().Wait(ctx); err != nil {
			g.o.Logger.Warn("some streams did not end in time", "streams", g.gateway.Live().Count())
		}
	}
	return d, nil
}

// lastWordsWithin is how long before the end of a drain the streams that still
// run are told of it.
const lastWordsWithin = 3 * time.Second

// lastWords has streams that do not end by themselves end shortly before the
// context does, so that each one is told why.
func (g *runningGateway) lastWords(ctx context.Context) (stop func()) {
	end, bounded := ctx.Deadline()
	if !bounded {
		return func() {}
	}
	left := time.Until(end)
	timer := time.AfterFunc(left-min(lastWordsWithin, left/2), func() {
		g.gateway.Live().End(&live.Ended{Code: verdict.StreamDrained, Detail: "the gateway ends"})
	})
	return func() { timer.Stop() }
}

// listen opens an address for callers that have to be known: by TLS where the
// gateway has a certificate to show, and on loopback only where it has none.
func (g *runningGateway) listen(what, address, flag string) (net.Listener, error) {
	l, secure, err := g.listenPlain(what, address, flag)
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	return l, err
}

// listenPlain is listen, with the TLS for who speaks it in another way.
func (g *runningGateway) listenPlain(what, address, flag string) (l net.Listener, secure *tls.Config, err error) {
	if secure, err = serverTLS(&g.o, g.identity); err != nil {
		return nil, nil, err
	}
	if secure == nil {
		if err := loopback(address); err != nil {
			return nil, nil, fmt.Errorf("%s has no certificate to show: %w; name --trust-domain or --tls-cert, or listen on loopback", what, err)
		}
	}
	if l, err = net.Listen("tcp", address); err != nil {
		return nil, nil, taken(what, address, err, flag+" names another port")
	}
	return l, secure, nil
}

// loopback refuses addresses that others can reach.
func loopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%s is not a loopback address such as 127.0.0.1:8080", address)
	}
	return nil
}
