package stream

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/media/body"
)

// BenchmarkEvents is what an event of an answer costs with one guard.
func BenchmarkEvents(b *testing.B) {
	text := strings.Repeat(chunk("a word or two"), 1000)
	o := Options{Messages: body.OpenAIEvents(), Guards: []Guard{noSecret("hunter2")}}
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	before := cpu()
	for b.Loop() {
		if _, err := passEvents(b.Context(), discard{}, io.NopCloser(strings.NewReader(text)), o, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N)/1000, "cpu-ns/event")
}

// BenchmarkGuard is what looking for credentials adds to an event of an answer
// and to a KB of its text: with and without, by turns in one run.
func BenchmarkGuard(b *testing.B) {
	for _, bc := range []struct{ name, content string }{{"a token", " dented"}, {"a KB", strings.Repeat("the paint is scratched, ", 43)}} {
		b.Run(bc.name, func(b *testing.B) {
			const events = 500
			text := strings.Repeat(chunk(bc.content), events)
			var spent [2]time.Duration
			for b.Loop() {
				for i, guards := range [][]Guard{nil, {Credentials{}}} {
					before := cpu()
					o := Options{Messages: body.OpenAIEvents(), Guards: guards}
					if _, err := passEvents(b.Context(), discard{}, io.NopCloser(strings.NewReader(text)), o, nil); err != nil {
						b.Fatal(err)
					}
					spent[i] += cpu() - before
				}
			}
			each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(b.N) / events }
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(each(spent[0]), "without-cpu-ns/event")
			b.ReportMetric(each(spent[1]-spent[0]), "guard-cpu-ns/event")
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Flush()                      {}

// BenchmarkFirstToken asks through a proxy for a stream, and measures until its
// first event is there: without us, and with us. The server behind sends that
// event at once. The CPU is that of client, proxy and server together.
func BenchmarkFirstToken(b *testing.B) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, chunk("a"))
		w.(http.Flusher).Flush()
		io.WriteString(w, chunk("b")+"data: [DONE]\n\n")
	}))
	defer behind.Close()
	to, err := url.Parse(behind.URL)
	if err != nil {
		b.Fatal(err)
	}
	rewrite := func(p *httputil.ProxyRequest) { p.SetURL(to) }
	a := &Answers{Options: Options{Messages: body.OpenAIEvents(), Guards: []Guard{noSecret("hunter2")}}, Error: OpenAIError("1")}
	for name, proxy := range map[string]*httputil.ReverseProxy{"bare": {Rewrite: rewrite}, "looked at": {Rewrite: rewrite, ModifyResponse: a.Modify}} {
		b.Run(name, func(b *testing.B) {
			front := httptest.NewServer(proxy)
			defer front.Close()
			var all []time.Duration
			before := cpu()
			for b.Loop() {
				began := time.Now()
				res, err := front.Client().Get(front.URL)
				if err != nil {
					b.Fatal(err)
				}
				from := bufio.NewReader(res.Body)
				if _, err := from.ReadString('\n'); err != nil {
					b.Fatal(err)
				}
				all = append(all, time.Since(began))
				io.Copy(io.Discard, from)
				res.Body.Close()
			}
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-us/op")
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-us")
		})
	}
}

// inUse is the memory of the heap and of all stacks.
func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// waiting gives one text, and then nothing until it is closed.
type waiting struct {
	text string
	end  chan struct{}
}

func (w *waiting) Read(p []byte) (int, error) {
	if n := copy(p, w.text); n > 0 {
		w.text = w.text[n:]
		return n, nil
	}
	<-w.end
	return 0, io.EOF
}

func (w *waiting) Close() error { return nil }

// BenchmarkMemoryOfIdleStreams holds 1,000 streams of events after their first
// event, each with a goroutine that waits for the next.
func BenchmarkMemoryOfIdleStreams(b *testing.B) {
	const n = 1000
	o := Options{Messages: body.OpenAIEvents(), Guards: []Guard{noSecret("hunter2")}}
	var per float64
	for b.Loop() {
		before := inUse()
		end, ready := make(chan struct{}), make(chan struct{}, n)
		for range n {
			go func() {
				e := newEvents(b.Context(), &waiting{chunk("a word"), end}, o, nil)
				defer e.Close()
				e.next()
				ready <- struct{}{}
				e.next()
				ready <- struct{}{}
			}()
		}
		for range n {
			<-ready
		}
		per = float64(inUse()-before) / n
		close(end)
		for range n {
			<-ready
		}
	}
	b.ReportMetric(per, "B/stream")
}

// BenchmarkMemoryOfIdleSockets holds 1,000 sockets after their first message in
// both directions, each with its two goroutines. The pipes instead of connections
// are in the figure.
func BenchmarkMemoryOfIdleSockets(b *testing.B) {
	const n = 1000
	text := `{"type":"response.text.delta","output_index":0,"delta":"a word or two"}`
	o := Options{Messages: body.Realtime().Server, Guards: []Guard{noSecret("hunter2")}}
	o.defaults()
	var per float64
	for b.Loop() {
		before := inUse()
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan struct{}, n)
		for range n {
			client, ours := net.Pipe()
			theirs, server := net.Pipe()
			t := &tunnel{idle: time.Hour}
			t.client = side{conn: ours, began: time.Now(), frames: frames{from: bufio.NewReader(ours), masked: true, most: 1 << 20}}
			t.server = side{conn: theirs, began: time.Now(), frames: frames{from: bufio.NewReader(theirs), most: 1 << 20}, isServer: true}
			t.up.begin(&o)
			t.down.begin(&o)
			go func() { t.run(ctx, nil); ours.Close(); theirs.Close(); ended <- struct{}{} }()
			for _, way := range [...]struct {
				from, to net.Conn
				toServer bool
			}{{client, server, true}, {server, client, false}} {
				if _, err := way.from.Write(frame(frameText, append(make([]byte, maxFrameHeader, 128), text...), way.toServer)); err != nil {
					b.Fatal(err)
				}
				f := frames{from: bufio.NewReaderSize(way.to, 16), masked: way.toServer, most: 1 << 20, control: ignored}
				if _, _, err := f.next(); err != nil {
					b.Fatal(err)
				}
			}
			b.Cleanup(func() { client.Close(); server.Close() })
			go func() { <-ctx.Done(); client.Close(); server.Close() }()
		}
		per = float64(inUse()-before) / n
		cancel()
		for range n {
			<-ended
		}
	}
	b.ReportMetric(per, "B/socket")
}

// BenchmarkMessagesOfASocket sends messages through a socket to an echo and back:
// two messages looked at for each. The CPU is that of both ends, too.
func BenchmarkMessagesOfASocket(b *testing.B) {
	client, ours := loopback(b)
	theirs, server := loopback(b)
	o := Options{Messages: body.Realtime().Server, Guards: []Guard{noSecret("hunter2")}}
	o.defaults()
	t := &tunnel{idle: time.Hour}
	t.client = side{conn: ours, began: time.Now(), frames: frames{from: bufio.NewReader(ours), masked: true, most: 1 << 20}}
	t.server = side{conn: theirs, began: time.Now(), frames: frames{from: bufio.NewReader(theirs), most: 1 << 20}, isServer: true}
	t.up.begin(&o)
	t.down.begin(&o)
	done := make(chan struct{})
	go func() { t.run(context.Background(), nil); close(done) }()
	text := `{"type":"response.text.delta","output_index":0,"delta":"a word or two"}`
	from := bufio.NewReader(client)
	go func() {
		f := frames{from: bufio.NewReader(server), masked: true, most: 1 << 20, control: ignored}
		for {
			if _, _, err := f.next(); err != nil {
				return
			}
			server.Write(frame(frameText, f.message, false))
		}
	}()
	f := frames{from: from, most: 1 << 20, control: ignored}
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		client.Write(frame(frameText, append(make([]byte, maxFrameHeader, 128), text...), true))
		if _, _, err := f.next(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
	client.Close()
	server.Close()
	<-done
}

func ignored(byte, []byte) error { return nil }

func loopback(b *testing.B) (net.Conn, net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	one, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	two, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return one, two
}

// BenchmarkMessagesOfACall is what a request of the Open Inference Protocol with
// one text costs to look at.
func BenchmarkMessagesOfACall(b *testing.B) {
	o := Options{Guards: []Guard{noSecret("hunter2")}}
	o.defaults()
	var j judge
	j.begin(&o)
	f := fields{judge: &j}
	message := said("what is in this picture?")
	table := Inference()[infer].in
	b.ReportAllocs()
	for b.Loop() {
		if err := f.read(table, message); err != nil {
			b.Fatal(err)
		}
	}
}
