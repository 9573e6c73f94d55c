package app

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/message"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

const (
	doorMessage = "message"
	// rememberedEvents are those of one route whose repetition is known.
	rememberedEvents = 100_000
)

// events judges the events of a route. It is the route's: what it judges by is of
// the same generation. What it remembers is the route's name's.
type events struct {
	gate *message.Gate
	spec v1alpha1.RouteEvents
	// consumer names what is subscribed to; "" when nothing is.
	consumer       string
	from, to, dead *message.Broker
	sender         *sender
	sealing        *message.Sealing // nil: nothing has to be sealed
}

// sender sends to one topic, which outlives generations with its consumer.
type sender struct {
	mu     sync.Mutex
	broker *message.Broker
	topic  *message.Topic
}

// ServeHTTP takes an event that was posted to the route.
func (e *events) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.gate.ServeHTTP(w, r) }

// events makes what judges the events of a route.
func (c *gatewayCompiler) events(r *gateway.Route, spec *v1alpha1.RouteEvents) (*events, error) {
	e := &events{}
	if spec != nil {
		e.spec = *spec
	}
	for _, b := range []struct {
		field     string
		spec      *v1alpha1.EventBroker
		broker    **message.Broker
		subscribe bool
	}{{"from", e.spec.From, &e.from, true}, {"to", e.spec.To, &e.to, false}, {"deadLetters", e.spec.DeadLetters, &e.dead, false}} {
		if b.spec == nil {
			continue
		}
		secure, err := c.brokerTLS(b.spec)
		if err == nil {
			*b.broker = &message.Broker{URL: b.spec.URL, TLS: secure}
			err = (*b.broker).Check(b.subscribe)
		}
		if err != nil {
			return nil, &fieldError{"spec.events." + b.field, err}
		}
	}
	if s := e.spec.Sealed; s != nil {
		sealing, err := message.NewSealing(s.Places, s.Recipients)
		if err != nil {
			return nil, &fieldError{"spec.events.sealed.places", err}
		}
		e.sealing = sealing
	}
	seen, err := c.seenBy(r.Name)
	if err != nil {
		return nil, err
	}
	if e.from != nil {
		e.consumer = r.Name + " " + nameOf(e.spec)
	}
	if e.to != nil {
		e.sender = c.senderTo(e.to, nameOf(e.spec.To))
	}
	e.gate, err = message.NewGate(message.Options{
		Identity: r.Identity, Seen: seen, Recorder: messageRecorder{c.ledger}, Clock: c.o.Clock, Log: c.o.Logger,
		Window: durationOr(e.spec.Window, message.DefaultWindow), Data: r.Media.Bytes,
		// What it holds is found out in the stages, where the route's bounds are.
		Inspect: func(context.Context, string, []byte) ([]media.Part, error) { return nil, nil },
		Decide:  func(ctx context.Context, m *message.Message) error { return c.judgeEvent(ctx, r, e, m) },
		Pass:    func(ctx context.Context, m *message.Message) error { return c.passEvent(ctx, r, e, m) },
		Latest:  func() *message.Gate { return c.latestOf(r.Name, e) },
	})
	return e, err
}

// brokerTLS is how a broker is met, as servers behind routes are.
func (c *gatewayCompiler) brokerTLS(b *v1alpha1.EventBroker) (*tls.Config, error) {
	return c.upstreamTLS(&v1alpha1.Upstream{TLS: cmp.Or(b.TLS, "Server"), SPIFFEIDs: b.SPIFFEIDs})
}

// seenBy is what was processed on a route; it survives generations and processes.
func (c *gatewayCompiler) seenBy(route string) (*message.Journal, error) {
	if j, ok := c.seen[route]; ok {
		return j, nil
	}
	dir := filepath.Join(c.o.State, "messages")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	j, err := message.OpenJournal(filepath.Join(dir, url.PathEscape(route)+".seen"), c.o.Clock, rememberedEvents)
	if err != nil {
		return nil, err
	}
	if c.seen == nil {
		c.seen = map[string]*message.Journal{}
	}
	c.seen[route] = j
	return j, nil
}

// latestOf is the gate of the route in force; before, where the route is gone.
func (c *gatewayCompiler) latestOf(route string, before *events) *message.Gate {
	if s := c.current(); s != nil {
		for _, r := range s.Routes() {
			if e, ok := r.Events.(*events); ok && r.Name == route {
				return e.gate
			}
		}
	}
	return before.gate
}

// judgeEvent takes an event through the stages. A failure, and a limit that is
// used up, is no refusal: the event comes again.
func (c *gatewayCompiler) judgeEvent(ctx context.Context, r *gateway.Route, e *events, m *message.Message) error {
	if e.sealing != nil {
		if err := e.sealing.Check(m.Event, c.o.Clock.Now()); err != nil {
			return err
		}
	}
	a := m.Event.Attributes
	q := (&http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: r.Path}, RequestURI: r.Path, Host: strings.TrimPrefix(r.Hosts[0], "*."),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
	}).WithContext(ctx)
	ask := &gateway.Ask{
		Door: doorMessage, Request: q, Body: m.Event.Data, Principal: m.Principal, Route: r, Rewrites: true,
		Operation: &gateway.Operation{Action: gateway.Produce, Model: a["type"], Messages: r.Messages},
	}
	if t := a["datacontenttype"]; t != "" {
		q.Header.Set("Content-Type", t)
	} else if len(m.Event.Data) > 0 {
		q.Header.Set("Content-Type", "application/json") // what CloudEvents has by default
	}
	if c := a["dataclassification"]; c != "" { // the extension of CloudEvents of that name
		q.Header.Set(gateway.ClassHeader, c)
	}
	if m.Sealed { // nobody here can look into it
		if !r.Kinds[media.Unknown] && e.sealing == nil {
			return media.Refuse(verdict.MediaKind, "", "the data is sealed, and the route takes no content of the kind %s", media.Unknown)
		}
		ask.Body, ask.Operation.Messages = nil, nil
		q.Header.Del("Content-Type")
	}
	j := c.judge.Judge(ask)
	m.Request = j.ID
	if d := j.Denial; d != nil {
		switch d.Code {
		case verdict.GatewayNotReady, verdict.GatewayRecord, verdict.GatewayFailed, verdict.GatewayOverdue, verdict.BodyMemory, verdict.LimitRate, verdict.LimitBytes, verdict.LimitTokens, verdict.LimitCost, verdict.LimitConcurrency:
			return errors.New(d.Detail)
		}
		return media.Refuse(d.Code, "", "%s", d.Detail)
	}
	if !m.Sealed {
		m.Event.Data = bytes.Clone(j.Body)
	}
	return nil
}

// passEvent hands an event on: to another topic, or to the server behind the
// route, in binary mode.
func (c *gatewayCompiler) passEvent(ctx context.Context, r *gateway.Route, e *events, m *message.Message) error {
	if e.sender != nil {
		return e.sender.send(ctx, m.Event)
	}
	header := http.Header{"X-Request-Id": {m.Request}, "X-Apex-Principal": {m.Principal.ID}}
	for name, value := range m.Event.Metadata("ce-") {
		if name == "content-type" {
			header.Set(name, value)
		} else {
			header.Set(name, percent(value))
		}
	}
	return c.judge.Deliver(ctx, r, header, m.Event.Data)
}

// percent writes an attribute as the HTTP binding of CloudEvents has it.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// senderTo returns the sender of a broker, by what is said of it.
func (c *gatewayCompiler) senderTo(b *message.Broker, name string) *sender {
	if s, ok := c.senders[name]; ok {
		return s
	}
	if c.senders == nil {
		c.senders = map[string]*sender{}
	}
	s := &sender{broker: b}
	c.senders[name] = s
	return s
}

// send connects, once, and sends.
func (s *sender) send(ctx context.Context, e *message.Event) (err error) {
	s.mu.Lock()
	if s.topic == nil {
		s.topic, err = s.broker.Topic(ctx)
	}
	topic := s.topic
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return topic.Send(ctx, e)
}

// closeEvents closes what events were sent to and remembered by.
func (c *gatewayCompiler) closeEvents(ctx context.Context) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.senders {
		s.mu.Lock()
		if s.topic != nil {
			err = errors.Join(err, s.topic.Close(ctx))
		}
		s.mu.Unlock()
	}
	for _, j := range c.seen {
		err = errors.Join(err, j.Close())
	}
	return err
}

// takingEvents says how often is looked which subscriptions the rules in force
// have.
const takingEvents = time.Second

// takeEvents subscribes to what the routes in force take events from, until the
// context ends.
func (g *runningGateway) takeEvents(ctx context.Context) error {
	running := map[string]context.CancelFunc{}
	var all sync.WaitGroup
	defer all.Wait()
	ticker := time.NewTicker(takingEvents)
	defer ticker.Stop()
	for {
		asked := map[string]bool{}
		if s := g.gateway.Current(); s != nil {
			for _, r := range s.Routes() {
				e, ok := r.Events.(*events)
				if !ok || e.consumer == "" {
					continue
				}
				asked[e.consumer] = true
				if running[e.consumer] == nil {
					taking, stop := context.WithCancel(ctx)
					running[e.consumer] = stop
					all.Go(func() {
						g.keep(taking, "taking events of the route "+r.Name, func(ctx context.Context) error { return g.consume(ctx, e) })
					})
				}
			}
		}
		for name, stop := range running {
			if !asked[name] {
				stop()
				delete(running, name)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// consume takes events from one subscription.
func (g *runningGateway) consume(ctx context.Context, e *events) (err error) {
	closing := context.WithoutCancel(ctx)
	s, end, err := e.from.Subscribe(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end(closing)) }()
	dead := message.Dead{Kept: e.from.Keeps()}
	if e.dead != nil {
		if dead.Topic, err = e.dead.Topic(ctx); err != nil {
			return err
		}
		defer dead.Topic.Close(closing)
	}
	return e.gate.Consume(ctx, s, dead)
}

// messageRecorder writes what becomes of events to the ledger.
type messageRecorder struct{ ledger *ledger.Ledger }

// Record keeps a decision.
func (r messageRecorder) Record(ctx context.Context, m *message.Record, durable bool) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	how := ledger.Written
	if durable {
		how = ledger.Durable
	}
	_, err = r.ledger.Append(ctx, ledger.Record{Type: message.RecordSchema, Data: data}, how)
	return err
}
