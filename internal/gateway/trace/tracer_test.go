package trace_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gateway/trace"
	"github.com/apexlogic/apex/internal/gateway/trace/tracetest"
)

// log is what was written to it, and says when something was.
type log struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{}
}

func newLog() *log { return &log{wrote: make(chan struct{}, 100)} }

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	l.wrote <- struct{}{}
	return len(p), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// running runs a tracer until end is called, which waits for it.
func running(t *testing.T, o trace.Options) (tracer *trace.Tracer, end func()) {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Sample = 1
	tracer, err := trace.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { tracer.Run(ctx) })
	end = sync.OnceFunc(func() { stop(); done.Wait() })
	t.Cleanup(end)
	return tracer, end
}

// one is a request with a stage.
func one(tracer *trace.Tracer) *trace.Request {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	return &trace.Request{Context: tracer.Begin(http.Header{}), Spans: []trace.Span{
		{Name: "POST captioner", Began: at, Ended: at.Add(time.Second)},
		{Number: 4, Name: "identity", Began: at, Ended: at.Add(time.Millisecond), Attributes: []trace.Attribute{{Key: "apex.outcome", Text: "pass"}, {Key: "apex.bytes", Number: 7}}},
	}}
}

func TestSpansArriveByTLSWithTheirHeadersAlsoWhenTheProcessEnds(t *testing.T) {
	c := tracetest.New(t)
	c.Server.StartTLS()
	roots := x509.NewCertPool()
	roots.AddCert(c.Server.Certificate())
	tracer, end := running(t, trace.Options{Endpoint: c.Server.URL, TLS: &tls.Config{RootCAs: roots}, Headers: map[string]string{"Authorization": "Bearer collector"}})
	r := one(tracer)
	tracer.End(r)
	c.Wait(t, func() bool { return len(c.Spans("")) == 2 })
	spans := c.Spans(r.ID())
	if spans[0].Name != "POST captioner" || len(spans[0].ParentSpanId) != 0 || spans[1].Name != "identity" || !bytes.Equal(spans[1].ParentSpanId, spans[0].SpanId) {
		t.Errorf("%v", spans)
	}
	if took := spans[0].EndTimeUnixNano - spans[0].StartTimeUnixNano; took != uint64(time.Second) || tracetest.Text(spans[1], "apex.outcome") != "pass" || tracetest.Number(spans[1], "apex.bytes") != 7 {
		t.Errorf("%d %v", took, spans[1])
	}
	if got := c.Headers()[0].Get("Authorization"); got != "Bearer collector" {
		t.Errorf("%q", got)
	}
	for range 200 { // more than one message
		tracer.End(one(tracer))
	}
	end()
	if n := len(c.Spans("")); n != 2*201 || tracer.Dropped() != 0 {
		t.Errorf("%d spans, %d requests dropped", n, tracer.Dropped())
	}
}

func TestACollectorThatIsNotTrustedGetsNothing(t *testing.T) {
	c := tracetest.New(t)
	c.Server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	c.Server.StartTLS()
	l := newLog()
	tracer, end := running(t, trace.Options{Endpoint: c.Server.URL, Log: slog.New(slog.NewTextHandler(l, nil))})
	tracer.End(one(tracer))
	<-l.wrote
	end()
	if len(c.Headers()) != 0 || tracer.Dropped() != 1 || !strings.Contains(l.String(), "does not take traces") {
		t.Errorf("%d: %s", tracer.Dropped(), l.String())
	}
}

func TestACollectorThatRefusesIsToldOfOnceWithoutWhatItAnswers(t *testing.T) {
	c := tracetest.New(t)
	c.Status = http.StatusUnauthorized
	c.Server.Start()
	l := newLog()
	tracer, end := running(t, trace.Options{Endpoint: c.Server.URL, Headers: map[string]string{"Authorization": "Bearer hidden"}, Log: slog.New(slog.NewTextHandler(l, nil))})
	for sent := 1; sent <= 2; sent++ {
		tracer.End(one(tracer))
		c.Wait(t, func() bool { return len(c.Headers()) == sent })
	}
	end()
	if text := l.String(); strings.Count(text, "does not take traces") != 1 || !strings.Contains(text, "401") || strings.Contains(text, "hidden") {
		t.Error(text)
	}
	if tracer.Dropped() != 2 {
		t.Errorf("%d dropped", tracer.Dropped())
	}
}

// TestNobodyWaitsForACollector would never end if a request waited.
func TestNobodyWaitsForACollector(t *testing.T) {
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer hanging.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for name, url := range map[string]string{"that hangs": hanging.URL, "that is not there": "http://" + closed.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			tracer, err := trace.Open(trace.Options{Endpoint: url, Sample: 1, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ended := make(chan error, 1)
			go func() { ended <- tracer.Run(ctx) }()
			const all = 20_000 // far more than may wait
			for range all {
				tracer.End(one(tracer))
			}
			if name == "that hangs" {
				<-arrived
				for range all {
					tracer.End(one(tracer))
				}
				if d := tracer.Dropped(); d < all/2 {
					t.Errorf("%d of %d were dropped while nothing is taken", d, 2*all)
				}
				close(release)
			}
			stop()
			<-ended
		})
	}
}

func TestWhereTracesAreSentIsChecked(t *testing.T) {
	for _, tc := range []struct {
		url   string
		plain bool
		fine  bool
	}{
		{"https://collector.example:4318", false, true},
		{"https://collector.example/other/path", false, true},
		{"http://127.0.0.1:4318", false, true},
		{"http://[::1]:4318", false, true},
		{"http://localhost:4318", false, true},
		{"http://collector.example:4318", true, true},
		{"http://collector.example:4318", false, false},
		{"http://127.0.0.1.example:4318", false, false},
		{"collector.example:4318", false, false},
		{"https://", false, false},
		{"https://user:password@collector.example", false, false},
		{"https://collector.example/?token=secret", false, false},
		{"grpc://collector.example:4317", true, false},
	} {
		_, err := trace.Open(trace.Options{Endpoint: tc.url, Plaintext: tc.plain})
		if (err == nil) != tc.fine {
			t.Errorf("%s: %v", tc.url, err)
		}
		if err != nil && (strings.Contains(err.Error(), "password") || strings.Contains(err.Error(), "secret")) {
			t.Errorf("it tells a credential: %v", err)
		}
	}
	for _, share := range []float64{-0.1, 1.1} {
		if _, err := trace.Open(trace.Options{Endpoint: "https://collector.example", Sample: share}); err == nil {
			t.Errorf("%v is a share", share)
		}
	}
}
