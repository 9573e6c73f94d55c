package app

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	rights "github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/egress"
	"github.com/apexlogic/apex/internal/gateway/fetch/address"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/verdict"
)

// Egress is the door for what workloads send out: a forward proxy.
type Egress struct {
	// Address to listen on; empty: there is no such door.
	Address string
	// Audience that a JWT-SVID in Proxy-Authorization is made for; "" is the
	// gateway's own SPIFFE ID, or apex-egress where it has none.
	Audience string
	// Private networks that may be connected to, although they are not public.
	Private []string

	dialer *address.Dialer // of tests; nil: the system's
}

const (
	doorEgress     = "egress"
	egressAudience = "apex-egress"
	// egressCallers bounds the credentials that are remembered as accepted.
	egressCallers = 50_000
	// standardPort is not part of a host's name in policies.
	standardPort = 443
)

func openEgress(g *runningGateway) (*openDoor, error) {
	o := &g.o.Egress
	if o.Address == "" {
		return nil, nil
	}
	dialer := o.dialer
	if dialer == nil {
		dialer = &address.Dialer{}
		for _, network := range o.Private {
			prefix, err := netip.ParsePrefix(network)
			if err != nil {
				return nil, fmt.Errorf("--egress-private: %s is no network such as 10.1.0.0/16", network)
			}
			dialer.Private = append(dialer.Private, prefix)
		}
	}
	who, err := g.compiler.workloadsFor(g.egressAudience(), egressCallers)
	if err != nil {
		return nil, err
	}
	p, err := egress.New(egress.Options{
		Identity: who, Reach: g.reach, Recorder: egressRecorder{g.ledger}, Clock: g.o.Clock,
		Watch: g.gateway.Live().Watch, Dialer: dialer, Log: g.o.Logger,
	})
	if err != nil {
		return nil, err
	}
	l, secure, err := g.listenPlain("the way out", o.Address, "--egress-address")
	if err != nil {
		return nil, err
	}
	if secure != nil {
		l = tls.NewListener(l, egress.TLS(secure))
	}
	d := g.serve(p.Server(), l)
	closeServer := d.close
	d.close = func(ctx context.Context) {
		closeServer(ctx)
		p.Drain(ctx)
	}
	return d, nil
}

func (g *runningGateway) egressAudience() string {
	switch {
	case g.o.Egress.Audience != "":
		return g.o.Egress.Audience
	case g.identity != nil:
		return g.identity.ID
	}
	return egressAudience
}

// reach asks the access policies in force whether somebody may do egress to a
// host.
func (g *runningGateway) reach(p *identity.Principal, t egress.Target) egress.Answer {
	current := g.publisher.Current()
	rules, _ := g.access.Of(current)
	if rules == nil {
		return egress.Answer{Code: verdict.GatewayNotReady, Detail: verdict.GatewayNotReady.Info().Meaning}
	}
	a := egress.Answer{Generation: current.Hash}
	if why := g.gateway.Live().Why(p); why != nil {
		a.Code, a.Detail = why.Code, why.Detail
		return a
	}
	about := map[string]any{"time": g.o.Clock.Now().UTC().Truncate(time.Millisecond)}
	if from, err := netip.ParseAddrPort(t.From); err == nil {
		about["address"] = from.Addr().Unmap()
	}
	d := rules.set.Decide(&rights.Request{
		Principal: rights.Entity{Type: rights.Workload, ID: p.ID}, Groups: p.Groups, Attributes: gateway.Attributes(p, rules.labels),
		Action: "egress", Resource: rights.Entity{Type: rights.Host, ID: hostName(t)}, Context: about,
	})
	a.Allow, a.Policies = d.Allow, d.Policies
	if !d.Allow && d.Code != verdict.AccessDenied {
		a.Code, a.Detail = d.Code, d.Detail // a policy forbids it, or failed
	}
	return a
}

// hostName is a host as policies name it: with its port, unless that is 443.
func hostName(t egress.Target) string {
	if t.Port == standardPort {
		return t.Host.String()
	}
	return t.Host.String() + ":" + strconv.Itoa(int(t.Port))
}

// egressRecorder writes what goes out to the ledger.
type egressRecorder struct{ ledger *ledger.Ledger }

// Record keeps the beginning or the end of a connection.
func (r egressRecorder) Record(ctx context.Context, e *egress.Record, durable bool) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	how := ledger.Written
	if durable {
		how = ledger.Durable
	}
	_, err = r.ledger.Append(ctx, ledger.Record{Type: egress.RecordSchema, Data: data}, how)
	return err
}
