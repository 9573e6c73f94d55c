package app

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/trace/tracetest"
)

// collect starts a collector with TLS, and says how it is reached.
func collect(t *testing.T) (*tracetest.Collector, Traces) {
	t.Helper()
	c := tracetest.New(t)
	c.Server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	c.Server.StartTLS()
	dir := t.TempDir()
	put(t, dir, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Server.Certificate().Raw})))
	put(t, dir, "headers", "# of the collector\nAuthorization: Bearer collector\n\nX-Tenant: vision\n")
	return c, Traces{URL: c.Server.URL, Sample: 1, Authorities: filepath.Join(dir, "ca.pem"), HeadersFile: filepath.Join(dir, "headers")}
}

func TestTheGatewaySendsTracesToACollector(t *testing.T) {
	c, traces := collect(t)
	dir, bundles := t.TempDir(), t.TempDir()
	intake := caller(t, bundles, "/intake")
	put(t, dir, "route.yaml", fmt.Sprintf(routeOf, inference(t).URL))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles, Traces: traces})
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	status, code, text := s.ask(t, s.as(t, intake), "captioner.example", "/v1/chat/completions", imageChat(t), func(r *http.Request) {
		r.Header.Set("Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	})
	if status != 200 {
		t.Fatal(status, code, text)
	}
	// What is left is sent while the gateway ends.
	decisions, _ := s.records(t)
	if len(decisions) != 1 || decisions[0].Trace != trace {
		t.Fatalf("%+v", decisions)
	}
	var names []string
	for _, span := range c.Spans(trace) {
		names = append(names, span.Name)
		if strings.Contains(span.String(), "claims.example") {
			t.Errorf("a span says who asked: %v", span)
		}
	}
	if want := 1 + len(gateway.StageNames()); len(names) != want {
		t.Errorf("%v", names)
	}
	for _, h := range c.Headers() {
		if h.Get("Authorization") != "Bearer collector" || h.Get("X-Tenant") != "vision" {
			t.Error("the headers are not sent along")
		}
	}
}

func TestAnEventThatIsPostedIsTracedWithinItsRequest(t *testing.T) {
	c, traces := collect(t)
	dir, bundles := t.TempDir(), t.TempDir()
	intake := caller(t, bundles, "/intake")
	url, _ := receiver(t)
	put(t, dir, "route.yaml", fmt.Sprintf(eventsRoute, url, "{window: 5m}"))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles, Traces: traces})
	e := event(t, intake, "1", nil, nil)
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	status, code, text := s.ask(t, s.as(t, nil), "events.example", "/photos", string(e.Data), func(r *http.Request) {
		r.Header.Del("Content-Type")
		for name, value := range e.Metadata("ce-") {
			r.Header.Set(name, strings.ReplaceAll(value, " ", "%20"))
		}
		r.Header.Set("Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	})
	if status != http.StatusAccepted {
		t.Fatal(status, code, text)
	}
	decisions, _ := s.records(t)
	if len(decisions) != 1 || decisions[0].Trace != trace || decisions[0].Door != doorMessage {
		t.Fatalf("%+v", decisions)
	}
	var handsOn, judged []byte // the stage that hands the event on, and what the request of the event is within
	for _, span := range c.Spans(trace) {
		switch {
		case span.Name == "events" && tracetest.Text(span, "apex.outcome") == "served":
			handsOn = span.SpanId
		case tracetest.Text(span, "apex.door") == doorMessage:
			judged = span.ParentSpanId
		}
	}
	if len(handsOn) == 0 || !bytes.Equal(handsOn, judged) {
		t.Errorf("the event is within %x, handed on by %x", judged, handsOn)
	}
}

func TestTracesAreOpenedOnlyAsTheyAreAskedFor(t *testing.T) {
	_, traces := collect(t)
	for name, change := range map[string]func(*Traces){
		"no collector":           func(o *Traces) { o.URL = "" },
		"no such file":           func(o *Traces) { o.HeadersFile += ".not" },
		"no such authority":      func(o *Traces) { o.Authorities += ".not" },
		"plain text to a host":   func(o *Traces) { o.URL = "http://collector.example:4318" },
		"more than all requests": func(o *Traces) { o.Sample = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			o := traces
			change(&o)
			g := &runningGateway{o: GatewayOptions{Traces: o, Logger: slog.New(slog.DiscardHandler)}}
			if _, err := g.openTraces(); err == nil {
				t.Error("it is opened")
			}
		})
	}
	g := &runningGateway{o: GatewayOptions{Traces: traces, Logger: slog.New(slog.DiscardHandler)}}
	if tracer, err := g.openTraces(); err != nil || tracer == nil {
		t.Error(err)
	}
	g = &runningGateway{}
	if tracer, err := g.openTraces(); err != nil || tracer != nil {
		t.Error("there are traces that nobody asked for", err)
	}
}

func TestHeadersForACollectorAreReadToTheLetterAndNotTold(t *testing.T) {
	for _, tc := range []struct {
		text string
		fine bool
	}{
		{"Authorization: Bearer secret", true},
		{"authorization:secret\r\nX-Other: b: c\r\n", true},
		{"secret", false},
		{"Authorization secret", false},
		{"Authorization:", false},
		{"Author ization: secret", false},
		{"Authorization: se\x00cret", false},
		{"Authorization: secret\nauthorization: secret", false},
		{strings.Repeat("X: secret\n", 3000), false},
	} {
		path := filepath.Join(t.TempDir(), "headers")
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := readTraceHeaders(path)
		if (err == nil) != tc.fine || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%.40q: %v", tc.text, err)
		}
		if tc.fine && !strings.Contains(all["Authorization"], "secret") {
			t.Errorf("%v", all)
		}
	}
}
