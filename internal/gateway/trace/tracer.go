package trace

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
)

// Bounds of what waits for the collector, and of how long it is waited for. A
// request has some 15 spans of 200 bytes.
const (
	waiting   = 1024 // requests
	atOnce    = 64   // requests in one message
	every     = time.Second
	sentIn    = 10 * time.Second // one message, sent again while the collector is busy
	lastIn    = 5 * time.Second  // all that is left at the end
	answerMax = 64 << 10         // bytes of what a collector answers
)

// Options say where spans are sent, and of which requests.
type Options struct {
	// Endpoint of the collector: https://HOST:PORT, with /v1/traces for a path
	// unless it has another. http is taken on loopback, or with Plaintext.
	Endpoint  string
	Plaintext bool
	// TLS of the connection; nil: the system's authorities.
	TLS *tls.Config
	// Headers are sent along: a collector's credentials.
	Headers map[string]string
	// Sample is the share of requests that are traced, from 0 to 1.
	Sample float64
	// Follow has requests with a valid traceparent traced when it says so, and not
	// otherwise.
	Follow bool
	// Service, Instance and Version name the process.
	Service, Instance, Version string
	Log                        *slog.Logger
}

// Tracer hands the spans of requests to a collector. It is safe for concurrent
// use.
type Tracer struct {
	options  Options
	client   otlptrace.Client
	host     string
	status   *lastStatus
	resource *resource.Resource
	queue    chan *Request
	dropped  atomic.Uint64
	failing  bool // Run's
}

// Open checks the options and makes a Tracer, which sends while it runs.
func Open(o Options) (*Tracer, error) {
	to, err := url.Parse(o.Endpoint)
	if err != nil || to.Host == "" || to.User != nil || to.RawQuery != "" || to.Fragment != "" || to.Scheme != "https" && to.Scheme != "http" {
		return nil, errors.New("the collector of traces is not https://HOST:PORT; credentials belong into a file of headers")
	}
	if to.Scheme == "http" && !o.Plaintext && !loopback(to.Hostname()) {
		return nil, fmt.Errorf("the collector of traces %s is not on this machine: use https, or say that plain text is meant", to.Host)
	}
	if !(o.Sample >= 0 && o.Sample <= 1) {
		return nil, fmt.Errorf("the share of requests that are traced is %v: it is from 0 to 1", o.Sample)
	}
	if strings.Trim(to.Path, "/") == "" {
		to.Path = "/v1/traces"
	}
	t := &Tracer{options: o, host: to.Host, queue: make(chan *Request, waiting), resource: resourceOf(&o)}
	t.status = &lastStatus{to: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: o.TLS, ForceAttemptHTTP2: true, TLSHandshakeTimeout: sentIn,
		MaxIdleConns: 2, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: answerMax,
	}}
	headers := o.Headers
	if headers == nil {
		headers = map[string]string{} // none, whatever the environment says
	}
	t.client = otlptracehttp.NewClient(
		otlptracehttp.WithEndpointURL(to.String()), otlptracehttp.WithHeaders(headers), otlptracehttp.WithEncoding(otlptracehttp.EncodingProtobuf),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression), otlptracehttp.WithMaxResponseSize(answerMax),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 4 * time.Second, MaxElapsedTime: sentIn}),
		otlptracehttp.WithHTTPClient(&http.Client{
			Transport: t.status, Timeout: sentIn, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
	)
	return t, nil
}

// loopback reports whether a host is this machine by its name alone.
func loopback(host string) bool {
	at, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && at.IsLoopback()
}

// End takes the spans of a request that is over. It never waits: when too many
// are waiting already, the request is dropped, and counted.
func (t *Tracer) End(r *Request) {
	select {
	case t.queue <- r:
	default:
		t.dropped.Add(1)
	}
}

// Dropped is of how many requests the spans were lost.
func (t *Tracer) Dropped() uint64 { return t.dropped.Load() }

// Run sends what is taken until the context ends, and then what is left, for
// five seconds.
func (t *Tracer) Run(ctx context.Context) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(lastIn):
			cancel()
		case <-sending.Done():
		}
	})()
	tick := time.NewTicker(every)
	defer tick.Stop()
	batch := make([]*Request, 0, atOnce)
	for {
		full := false
		select {
		case r := <-t.queue:
			batch = append(batch, r)
			full = len(batch) == atOnce
		case <-tick.C:
			full = len(batch) > 0
		case <-ctx.Done():
			t.rest(sending, batch)
			t.status.to.CloseIdleConnections()
			return t.client.Stop(sending)
		}
		if full {
			t.send(sending, batch)
			batch = batch[:0]
		}
	}
}

// rest sends all that is left.
func (t *Tracer) rest(ctx context.Context, batch []*Request) {
	for {
		select {
		case r := <-t.queue:
			if batch = append(batch, r); len(batch) < atOnce {
				continue
			}
		default:
			if len(batch) > 0 {
				t.send(ctx, batch)
			}
			return
		}
		t.send(ctx, batch)
		batch = batch[:0]
	}
}

// send sends a batch. The log says when the collector stops taking spans, and
// when it takes them again; what it answers is not repeated there, since it could
// hold what was sent to it.
func (t *Tracer) send(ctx context.Context, batch []*Request) {
	ctx, cancel := context.WithTimeout(ctx, sentIn)
	defer cancel()
	t.status.last.Store(0)
	err := t.client.UploadTraces(ctx, t.encode(batch))
	if err != nil {
		t.dropped.Add(uint64(len(batch)))
	}
	switch {
	case err != nil && !t.failing:
		t.options.Log.Warn("the collector does not take traces, they are dropped", "collector", t.host, "why", t.why(ctx, err))
	case err == nil && t.failing:
		t.options.Log.Warn("the collector takes traces again", "collector", t.host, "dropped", t.Dropped())
	}
	t.failing = err != nil
}

// why says in our words why spans were not taken.
func (t *Tracer) why(ctx context.Context, err error) string {
	status := t.status.last.Load()
	var network *net.OpError
	switch {
	case status >= 200 && status < 300:
		return "it took a part of them only"
	case status != 0:
		return fmt.Sprintf("it answered %d", status)
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		return "it did not answer in time"
	case errors.As(err, &network):
		return network.Error()
	}
	return "no connection that can be trusted"
}

// lastStatus remembers what was answered last.
type lastStatus struct {
	to   *http.Transport
	last atomic.Int64
}

// RoundTrip passes a request on.
func (l *lastStatus) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.to.RoundTrip(r)
	if err == nil {
		l.last.Store(int64(answer.StatusCode))
	}
	return answer, err
}
