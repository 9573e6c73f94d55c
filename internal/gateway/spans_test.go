package gateway

import (
	"bytes"
	"context"
	"encoding/hex"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/apexlogic/apex/internal/gateway/trace"
	"github.com/apexlogic/apex/internal/gateway/trace/tracetest"
	"github.com/apexlogic/apex/verdict"
)

const (
	theirTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	theirParent = "00-" + theirTrace + "-00f067aa0ba902b7-00"
)

// traced is a world whose requests are traced to a collector.
func traced(t *testing.T, change func(*Route)) (*world, *tracetest.Collector) {
	t.Helper()
	c := tracetest.New(t)
	c.Server.Start()
	tracer, err := trace.Open(trace.Options{Endpoint: c.Server.URL, Sample: 1, Service: "apex-gateway", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { tracer.Run(ctx) })
	t.Cleanup(func() { stop(); done.Wait() })
	w := newWorld(t, change)
	w.gateway.options.Traces = tracer
	return w, c
}

// tree returns the request's span, and the names of those within it in the order
// of their beginnings.
func tree(t *testing.T, spans []*otlp.Span) (whole *otlp.Span, within []*otlp.Span, names []string) {
	t.Helper()
	for _, s := range spans {
		if s.Kind == otlp.Span_SPAN_KIND_SERVER {
			whole = s
		}
	}
	if whole == nil {
		t.Fatal("no span is the request's own")
	}
	for _, s := range spans {
		if s == whole {
			continue
		}
		within, names = append(within, s), append(names, s.Name)
		if !bytes.Equal(s.ParentSpanId, whole.SpanId) || s.StartTimeUnixNano < whole.StartTimeUnixNano || s.EndTimeUnixNano > whole.EndTimeUnixNano || s.EndTimeUnixNano < s.StartTimeUnixNano {
			t.Errorf("%s is not within the request", s.Name)
		}
	}
	if !slices.IsSortedFunc(within, func(a, b *otlp.Span) int { return int(int64(a.StartTimeUnixNano) - int64(b.StartTimeUnixNano)) }) {
		t.Errorf("%v did not begin in this order", names)
	}
	return whole, within, names
}

func TestARequestIsOneTreeOfSpansWithItsStagesInOrder(t *testing.T) {
	w, c := traced(t, nil)
	status, _, answer := w.ask(t, "POST", "/v1/chat/completions?key=secret", hello, func(r *http.Request) {
		r.Header.Set("Traceparent", theirParent)
		r.Header.Set("Tracestate", "vendor=1")
		r.Header.Set("User-Agent", "secret")
	})
	if status != 200 {
		t.Fatal(status, answer)
	}
	c.Wait(t, func() bool { return len(c.Spans(theirTrace)) == len(stages)+1 })
	whole, within, names := tree(t, c.Spans(theirTrace))
	if !slices.Equal(names, StageNames()) {
		t.Errorf("%v", names)
	}
	if hex.EncodeToString(whole.ParentSpanId) != "00f067aa0ba902b7" || whole.Name != "POST captioner" || tracetest.Number(whole, "http.response.status_code") != 200 {
		t.Errorf("%v", whole)
	}
	d, _ := w.records.last(t)
	if d.Trace != theirTrace || tracetest.Text(whole, "apex.request.id") != d.ID || tracetest.Text(whole, "apex.model") != "captioner" {
		t.Errorf("recorded %+v, traced %v", d, whole)
	}
	for _, s := range within {
		if tracetest.Text(s, "apex.outcome") != "pass" {
			t.Errorf("%v", s)
		}
		switch s.Name {
		case "body":
			if tracetest.Number(s, "apex.bytes") != int64(len(hello)) {
				t.Errorf("%v", s)
			}
		case "forward":
			// The server behind continues the trace from here, and is told that it is sampled.
			want := "00-" + theirTrace + "-" + hex.EncodeToString(s.SpanId) + "-01"
			if got := w.behind.headers[0]; got.Get("Traceparent") != want || got.Get("Tracestate") != "vendor=1" || s.Kind != otlp.Span_SPAN_KIND_CLIENT {
				t.Errorf("%v, want %s", got, want)
			}
		}
	}
	for _, s := range c.Spans("") {
		if text := s.String(); strings.Contains(text, "alice") || strings.Contains(text, "secret") || strings.Contains(text, "Hello") {
			t.Errorf("a span tells what the caller wrote, or who it is: %s", text)
		}
	}
}

func TestADeniedRequestIsTracedUpToTheStageThatDenied(t *testing.T) {
	w, c := traced(t, nil)
	r, err := http.NewRequestWithContext(t.Context(), "POST", w.front.URL+"/v1/chat/completions", strings.NewReader(hello))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "captioner.example"
	r.Header = http.Header{"Authorization": {"Bearer bob"}, "Content-Type": {"application/json"}, "Traceparent": {"00-hostile-00-01"}, "Tracestate": {"vendor=1"}}
	resp, err := w.front.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	d, _ := w.records.last(t)
	if resp.StatusCode != 403 || len(d.Trace) != 32 {
		t.Fatal(resp.Status, d.Trace)
	}
	c.Wait(t, func() bool { return len(c.Spans(d.Trace)) > 0 })
	whole, within, names := tree(t, c.Spans(d.Trace))
	last := within[len(within)-1]
	if len(whole.ParentSpanId) != 0 || !slices.Equal(names, StageNames()[:len(names)]) || last.Name != d.Stage || d.Stage != "access" {
		t.Errorf("%v, and %s", names, d.Stage)
	}
	if tracetest.Text(last, "apex.outcome") != "deny" || tracetest.Text(last, "apex.code") != string(verdict.AccessDenied) || tracetest.Number(whole, "http.response.status_code") != 403 {
		t.Errorf("%v %v", whole, last)
	}
	if got := resp.Header.Get("Traceresponse"); got != "00-"+d.Trace+"-"+hex.EncodeToString(whole.SpanId)+"-01" {
		t.Errorf("the caller is told %q", got)
	}
	if status, _, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 200 || w.behind.headers[0].Get("Tracestate") != "" {
		t.Error("a request without a trace does not pass, or takes another's state on")
	}
}

func TestARequestThatIsNotSampledStillTellsTheServerItsTrace(t *testing.T) {
	w := newWorld(t, nil)
	tracer, err := trace.Open(trace.Options{Endpoint: "http://127.0.0.1:1", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w.gateway.options.Traces = tracer
	with := func(r *http.Request) { r.Header.Set("Traceparent", theirParent[:53]+"01") }
	if status, _, _ := w.ask(t, "POST", "/v1/chat/completions", hello, with); status != 200 {
		t.Fatal(status)
	}
	got := w.behind.headers[0].Get("Traceparent")
	if d, _ := w.records.last(t); d.Trace != theirTrace || !strings.HasPrefix(got, "00-"+theirTrace) || !strings.HasSuffix(got, "-00") {
		t.Errorf("%q, recorded %q", got, d.Trace)
	}
	w.gateway.options.Traces = nil
	if status, _, _ := w.ask(t, "POST", "/v1/chat/completions", hello, with); status != 200 {
		t.Fatal(status)
	}
	if d, _ := w.records.last(t); d.Trace != "" || w.behind.headers[1].Get("Traceparent") != theirParent[:53]+"01" {
		t.Error("without traces the caller's header does not pass as it is")
	}
}

func TestAQuestionIsTracedWithoutTheStagesThatPassItOn(t *testing.T) {
	w, c := traced(t, nil)
	r, err := http.NewRequestWithContext(t.Context(), "POST", "/v1/chat/completions", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "captioner.example"
	r.Header = http.Header{"Authorization": {"Bearer alice"}, "Content-Type": {"application/json"}, "Traceparent": {theirParent}}
	if j := w.gateway.Judge(&Ask{Door: "extauthz", Request: r, Body: []byte(hello)}); j.Denial != nil {
		t.Fatal(j.Denial)
	}
	c.Wait(t, func() bool { return len(c.Spans(theirTrace)) > 0 })
	whole, _, names := tree(t, c.Spans(theirTrace))
	if tracetest.Text(whole, "apex.door") != "extauthz" || names[len(names)-1] != "record" || slices.Contains(names, "upstream") {
		t.Errorf("%v %v", whole, names)
	}
}
