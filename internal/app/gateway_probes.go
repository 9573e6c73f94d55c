package app

import (
	"fmt"
	"net"
	"net/http"
)

// openProbes is the door for who wants to know whether the gateway works.
func openProbes(g *runningGateway) (*openDoor, error) {
	if !alone(g) {
		return nil, nil // the process has probes
	}
	l, err := net.Listen("tcp", g.o.HealthAddress)
	if err != nil {
		return nil, taken("the gateway's health", g.o.HealthAddress, err, "--health-address names another port")
	}
	s := &http.Server{Handler: g.probes(), ReadHeaderTimeout: headersWithin, ReadTimeout: headersWithin, WriteTimeout: headersWithin}
	d := g.serve(s, l)
	d.last = true
	return d, nil
}

// probes answers whether the process lives, and whether it should be asked.
func (g *runningGateway) probes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := g.unready(); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// unready says why no request should come; "" when they may.
func (g *runningGateway) unready() string {
	switch h := g.source.Health(); {
	case g.draining.Load():
		return "the gateway is ending"
	case g.ledger.Healthy() != nil:
		return "the ledger takes no records"
	case !g.hasIdentity():
		return "the gateway has no identity to show: its authority has not issued one yet"
	case g.gateway.Current() == nil:
		return "no routes are in force"
	case !h.OK() && g.cluster == nil: // in a cluster the route itself says so, and its author must not stop all others
		return fmt.Sprintf("%d problems keep the directory's content from being in force, but for its revocations; %.19s is", len(h.Problems), h.Generation)
	}
	return ""
}
