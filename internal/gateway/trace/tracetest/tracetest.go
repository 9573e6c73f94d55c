// Package tracetest is a collector of traces for tests: it speaks OTLP over HTTP
// and keeps what it is sent.
package tracetest

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector keeps spans. It is safe for concurrent use.
type Collector struct {
	Server *httptest.Server
	// Status that is answered, when it is not 200; set before anything is sent.
	Status int

	mu      sync.Mutex
	spans   []*otlp.Span
	headers []http.Header
	more    chan struct{} // closed and made anew when something arrives
}

// New starts a collector, which is not served until its Server is started.
func New(t testing.TB) *Collector {
	c := &Collector{more: make(chan struct{})}
	c.Server = httptest.NewUnstartedServer(c)
	t.Cleanup(c.Server.Close)
	return c
}

// ServeHTTP takes one message.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/traces" || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-protobuf" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	unpacked, err := gzip.NewReader(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	data, err := io.ReadAll(unpacked)
	var message collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(data, &message) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = append(c.headers, r.Header.Clone())
	close(c.more)
	c.more = make(chan struct{})
	if c.Status != 0 {
		w.WriteHeader(c.Status)
		io.WriteString(w, "what was sent: "+r.Header.Get("Authorization"))
		return
	}
	for _, resource := range message.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

// Spans are those of a trace, by its id in hex; "": all.
func (c *Collector) Spans(trace string) (of []*otlp.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if trace == "" || hex.EncodeToString(s.TraceId) == trace {
			of = append(of, s)
		}
	}
	return of
}

// Headers are those of each message.
func (c *Collector) Headers() []http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headers
}

// Wait returns once there is what is asked for.
func (c *Collector) Wait(t testing.TB, is func() bool) {
	t.Helper()
	for {
		c.mu.Lock()
		more := c.more
		c.mu.Unlock()
		if is() {
			return
		}
		select {
		case <-more:
		case <-t.Context().Done():
			t.Fatal("the collector does not get what it waits for")
		}
	}
}

// Text returns an attribute of a span; "" without it.
func Text(s *otlp.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// Number returns an attribute of a span; 0 without it.
func Number(s *otlp.Span, key string) int64 {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.GetIntValue()
		}
	}
	return 0
}
