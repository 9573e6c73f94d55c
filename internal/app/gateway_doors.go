package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// door is a way into the gateway. A new one is a file gateway_NAME.go, and a
// line in doors.
type door struct {
	name string
	// open listens; nil and no error: nobody asked for this door.
	open func(*runningGateway) (*openDoor, error)
}

// The doors. The first two are always there.
const (
	doorFront  = "gateway"
	doorProbes = "probes"
)

var doors = [...]door{
	{doorFront, openFront},
	{doorProbes, openProbes},
	{doorExtAuthz, openExtAuthz},
	{doorAuthZEN, openAuthZEN},
	{doorEgress, openEgress},
	{doorWorkload, openWorkload},
	{doorExchange, openExchange},
}

// task works in the background, from before the first request until after the
// last one. One that returns is begun again.
type task struct {
	name string
	// asked says whether there is anything to do; nil: always.
	asked func(*runningGateway) bool
	run   func(context.Context, *runningGateway) error
}

var tasks = [...]task{
	{"sealing the ledger", alone, func(ctx context.Context, g *runningGateway) error { return g.ledger.Run(ctx) }},
	{"recording usage", alone, func(ctx context.Context, g *runningGateway) error {
		return g.meter.Run(ctx, usageSink{g.ledger}, usageInterval, g.o.Logger)
	}},
	{"following routes and policies", alone, func(ctx context.Context, g *runningGateway) error { return g.source.Run(ctx) }},
	{"writing conditions", func(g *runningGateway) bool { return g.cluster != nil }, func(ctx context.Context, g *runningGateway) error { return g.cluster.tell(ctx) }},
	{"renewing the identity", func(g *runningGateway) bool { return g.identity != nil && g.identity.CA == nil }, func(ctx context.Context, g *runningGateway) error { g.renewIdentity(ctx); return nil }},
	{"renewing the authority", func(g *runningGateway) bool { return g.identity != nil && g.identity.CA != nil }, func(ctx context.Context, g *runningGateway) error {
		g.identity.CA.Run(ctx, func(err error) { g.o.Logger.Error("the authority could not be renewed", "err", err) })
		return nil
	}},
	{"sharing limits", func(g *runningGateway) bool { return g.shared != nil }, runShared},
	{"keeping captures", nil, func(ctx context.Context, g *runningGateway) error { return g.captures.Run(ctx) }},
	{"sending traces", func(g *runningGateway) bool { return g.traces != nil }, sendTraces},
	{"asking about models", nil, func(ctx context.Context, g *runningGateway) error { return g.verdicts.run(ctx) }},
	{"taking events", nil, func(ctx context.Context, g *runningGateway) error { return g.takeEvents(ctx) }},
	{"following trust domains", nil, func(ctx context.Context, g *runningGateway) error { g.compiler.follow(ctx); return nil }},
}

// openDoor is a door that listens.
type openDoor struct {
	name string
	at   net.Addr
	// serve lets callers in until the door is closed, which is no error.
	serve func() error
	// close lets nobody in any more, waits for who is inside until the context
	// ends, and then cuts them.
	close func(context.Context)
	// last is closed behind all others.
	last bool
}

// openDoors opens all that were asked for, or none.
func (g *runningGateway) openDoors() (open []*openDoor, err error) {
	defer func() {
		if err != nil {
			over, cancel := context.WithCancel(context.Background())
			cancel()
			g.closeDoors(over, open)
		}
	}()
	for i := range doors {
		d, err := doors[i].open(g)
		if err != nil {
			return open, err
		}
		if d != nil {
			d.name = doors[i].name
			open = append(open, d)
		}
	}
	return open, nil
}

// announce tells where the doors are.
func (g *runningGateway) announce(open []*openDoor) {
	at := map[string]net.Addr{}
	for _, d := range open {
		at[d.name] = d.at
		if g.o.Door != nil {
			g.o.Door(d.name, d.at)
		}
	}
	if g.o.Ready != nil {
		g.o.Ready(at[doorFront], at[doorProbes])
	}
}

// closeDoors closes all at once, and then those that say until the end that the
// gateway ends.
func (g *runningGateway) closeDoors(ctx context.Context, open []*openDoor) {
	for _, last := range []bool{false, true} {
		var closing sync.WaitGroup
		for _, d := range open {
			if d.last == last {
				closing.Go(func() { d.close(ctx) })
			}
		}
		closing.Wait()
	}
}

// server is an HTTP server with the bounds of all doors.
func (g *runningGateway) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headersWithin, IdleTimeout: gatewayIdle, MaxHeaderBytes: gatewayHeaders,
		HTTP2:    &http.HTTP2Config{WriteByteTimeout: frameTakenWithin},
		ErrorLog: slog.NewLogLogger(g.o.Logger.Handler(), slog.LevelDebug),
	}
}

// serve is a door with an HTTP server behind it.
func (g *runningGateway) serve(s *http.Server, l net.Listener) *openDoor {
	return &openDoor{
		at: l.Addr(),
		serve: func() error {
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
		close: func(ctx context.Context) {
			if err := s.Shutdown(ctx); err != nil {
				g.o.Logger.Warn("some requests did not end in time and are cut", "err", err)
				s.Close()
			}
			l.Close() // where it was never served
		},
	}
}
