package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway/capture"
	"github.com/apexlogic/apex/internal/seal"
)

// captured returns a store that runs until the returned function is called, and
// says then what it recorded; sample is what it keeps of a million requests.
func captured(tb testing.TB, route *Route, sample int64) (end func() []capture.Record) {
	tb.Helper()
	key, err := seal.GenerateKey()
	if err != nil {
		tb.Fatal(err)
	}
	var records []capture.Record // Run's alone, until it has ended
	s := capture.NewStore(capture.Options{
		Dir: tb.TempDir(), Clock: clock.System{}, Log: slog.New(slog.DiscardHandler),
		Record: func(_ context.Context, r *capture.Record) error { records = append(records, *r); return nil },
	})
	route.Capture = s.Rule(capture.Rule{
		Route: route.Name, Sample: sample, Recipients: []*seal.PublicKey{key.Public()}, Expire: time.Hour, Bytes: 4 << 20, Keep: 256 << 20, Allowed: true, Denied: true,
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() []capture.Record {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
		return records
	}
}

const smallChat = `{"model":"captioner","messages":[{"role":"user","content":"What is it?"}]}`

func TestARequestThatCannotBeCapturedIsAnsweredAllTheSame(t *testing.T) {
	for name, bytes := range map[string]int64{"captured": 1 << 20, "too long": 1} {
		t.Run(name, func(t *testing.T) {
			var end func() []capture.Record
			w := newWorld(t, func(r *Route) {
				end = captured(t, r, capture.Million)
				r.Capture.Bytes = bytes // nobody has it yet
			})
			if status, _, text := w.ask(t, "POST", chat, smallChat, nil); status != http.StatusOK {
				t.Error(status, text)
			}
			w.front.Close() // the exchange is over
			records := end()
			if len(records) != 1 || (records[0].Dropped != "") != (bytes == 1) {
				t.Errorf("the records are %+v", records)
			}
		})
	}
}

// BenchmarkCapture judges a small request where nothing is captured, one in a
// hundred is, and all are; with the CPU of what is sealed and written beside it.
func BenchmarkCapture(b *testing.B) {
	for _, bc := range []struct {
		name   string
		sample int64
	}{{"off", 0}, {"1 %", 10_000}, {"all", capture.Million}} {
		b.Run(bc.name, func(b *testing.B) {
			end := func() []capture.Record { return nil }
			w := newWorld(b, func(r *Route) {
				r.Limits = Limits{Requests: 1 << 40, Concurrent: 4, Total: 8}
				if bc.sample > 0 {
					end = captured(b, r, bc.sample)
				}
			})
			w.gateway.options.Recorder = nowhere{}
			header := http.Header{"Authorization": {"Bearer alice"}, "Content-Type": {"application/json"}}
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				d := w.gateway.Judge(&Ask{Door: "bench", Rewrites: true, Body: []byte(smallChat), Request: &http.Request{
					Method: "POST", URL: &url.URL{Path: chat}, RequestURI: chat, Host: "captioner.example",
					Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header.Clone(),
				}}).Denial
				if d != nil {
					b.Fatal(d)
				}
			}
			kept := len(end())
			b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(kept)/float64(b.N)*100, "%kept")
		})
	}
}
