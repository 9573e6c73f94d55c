package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway/trace"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/inspect"
	"github.com/apexlogic/apex/internal/meter"
)

// BenchmarkMeterOfStages is all that metering adds to a request: a reading of the
// clock and an addition for each stage.
func BenchmarkMeterOfStages(b *testing.B) {
	m, err := meter.Open(b.Context(), b.TempDir(), clock.System{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	x := &Exchange{Route: &Route{}}
	for _, name := range StageNames() {
		x.Route.Units.Stages = append(x.Route.Units.Stages, m.Handle(meter.Key{Control: "gateway", Unit: "nanoseconds." + name}))
	}
	b.ReportAllocs()
	before := cpuTime(b)
	defer func() { b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/request") }()
	for b.Loop() {
		began := time.Now()
		for i := range stages {
			now := time.Now()
			x.spent[i], began = now.Sub(began), now
		}
		x.chargeStages()
	}
}

// BenchmarkCosts compares what a question costs when its stages are not metered,
// when they are, and when requests are traced: by turns in one run. The collector
// is a part of the process, and its share is in what is measured.
func BenchmarkCosts(b *testing.B) {
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer collector.Close()
	m, err := meter.Open(b.Context(), b.TempDir(), clock.System{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	body := []byte(`{"model":"captioner","messages":[{"role":"user","content":"` + strings.Repeat("The left front door is dented, and the paint is scratched. ", 2) + `"}]}`)
	cases := []struct {
		name    string
		metered bool
		sample  float64 // below 0: no traces
	}{{"unmetered", false, -1}, {"metered", true, -1}, {"traced-0", true, 0}, {"traced-1", true, 0.01}, {"traced-100", true, 1}}
	judges, gateways := make([]func(), len(cases)), make([]*Gateway, len(cases))
	for i, bc := range cases {
		o := Options{Clock: clock.System{}, Recorder: nowhere{}, Inspect: inspect.Inspect, Log: slog.New(slog.DiscardHandler)}
		g := New(o)
		gateways[i] = g
		route := &Route{
			Name: "captioner", Hosts: []string{"captioner.example"}, Path: "/", API: OpenAI, Identity: tokens{}, Access: onlyAlice{},
			Models: map[string]Model{"captioner": {}}, Media: media.Defaults(), Limits: Limits{Requests: 1 << 40, Concurrent: 64, Total: 64},
			Upstream: Upstream{URL: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}},
		}
		if bc.metered {
			for _, name := range StageNames() {
				route.Units.Stages = append(route.Units.Stages, m.Handle(meter.Key{Control: "gateway", Unit: "nanoseconds." + name}))
			}
		}
		s, err := NewSnapshot("g", []*Route{route}, nil)
		if err != nil {
			b.Fatal(err)
		}
		g.Use(s)
		judges[i] = func() {
			r, err := http.NewRequest(http.MethodPost, "/v1/chat/completions", nil)
			if err != nil {
				b.Fatal(err)
			}
			r.Host = "captioner.example"
			r.Header = http.Header{"Authorization": {"Bearer alice"}, "Content-Type": {"application/json"}}
			if j := g.Judge(&Ask{Request: r, Body: body}); j.Denial != nil {
				b.Fatal(j.Denial)
			}
		}
	}
	spent := make([]time.Duration, len(cases))
	const round = 1000 // which may wait to be sent
	ended, stop := context.WithCancel(b.Context())
	stop()
	n := 0
	for b.Loop() {
		for i, judge := range judges {
			var tracer *trace.Tracer
			if cases[i].sample >= 0 {
				if tracer, err = trace.Open(trace.Options{Endpoint: collector.URL, Sample: cases[i].sample, Log: slog.New(slog.DiscardHandler)}); err != nil {
					b.Fatal(err)
				}
				gateways[i].options.Traces = tracer
			}
			before := cpuTime(b)
			for range round {
				judge()
			}
			if tracer != nil { // what was taken is sent before the next turn
				if err := tracer.Run(ended); err != nil && err != context.Canceled || tracer.Dropped() > 0 {
					b.Fatal(err, tracer.Dropped())
				}
			}
			spent[i] += cpuTime(b) - before
		}
		n += round
	}
	b.ReportMetric(0, "ns/op")
	for i, bc := range cases {
		b.ReportMetric(float64(spent[i].Nanoseconds())/float64(n), bc.name+"-cpu-ns")
	}
}
