package app

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/net/http/httpguts"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/gateway/trace"
)

// Traces say where the spans of requests are sent.
type Traces struct {
	// URL of a collector that speaks OTLP over HTTP; "": there are no traces.
	URL string
	// Sample is the share of requests that are traced. Follow has those traced
	// whose caller says so, and of those with a traceparent no others.
	Sample float64
	Follow bool
	// HeadersFile holds what is sent along, NAME: VALUE in each line.
	HeadersFile string
	// Authorities is a PEM file with who signs the collector's certificate, beside
	// the system's authorities.
	Authorities string
	// Plaintext takes an http URL of another machine.
	Plaintext bool
	// Version of the process, for the spans.
	Version string
}

// DefaultTraceSample is the share of requests that are traced where nobody says.
const DefaultTraceSample = 0.01

// Bounds of the file with headers.
const (
	maxTraceHeaders = 32
	traceHeaders    = 16 << 10
)

// openTraces makes what takes spans; nil when there are no traces.
func (g *runningGateway) openTraces() (*trace.Tracer, error) {
	o := &g.o.Traces
	if o.URL == "" {
		if o.Follow || o.HeadersFile != "" || o.Authorities != "" || o.Plaintext {
			return nil, errors.New("it is said how traces are sent, and not where: name a collector with --traces")
		}
		return nil, nil
	}
	headers, err := readTraceHeaders(o.HeadersFile)
	if err != nil {
		return nil, fmt.Errorf("headers for the collector of traces: %w", err)
	}
	pool, err := authorities(o.Authorities)
	if err != nil {
		return nil, fmt.Errorf("authorities of the collector of traces: %w", err)
	}
	g.traces, err = trace.Open(trace.Options{
		Endpoint: o.URL, Plaintext: o.Plaintext, TLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, Headers: headers,
		Sample: o.Sample, Follow: o.Follow, Service: "apex-gateway", Instance: uuid.NewString(), Version: o.Version, Log: g.o.Logger,
	})
	return g.traces, err
}

// readTraceHeaders reads lines NAME: VALUE; empty ones, and those that begin with
// #, say nothing. What a line holds is in no error: it may be a credential.
func readTraceHeaders(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	data, err := bounded.ReadFile(path, traceHeaders)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = http.CanonicalHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
		if _, twice := all[name]; !ok || twice || value == "" || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("%s:%d: not NAME: VALUE, or a second one of the name", path, n)
		}
		if all[name] = value; len(all) > maxTraceHeaders {
			return nil, fmt.Errorf("%s: more than %d headers", path, maxTraceHeaders)
		}
	}
	return all, lines.Err()
}

// sendTraces hands spans to the collector.
func sendTraces(ctx context.Context, g *runningGateway) error { return g.traces.Run(ctx) }
