package gateway

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/apexlogic/apex/verdict"
)

// flood is a connection of HTTP/2 that is written frame by frame.
type flood struct {
	*http2.Framer
	conn  *tls.Conn
	block bytes.Buffer
	pack  *hpack.Encoder
}

// flood opens a connection with the caller's identity, whose buffer for what comes
// back is small.
func (h *house) flood(t *testing.T) *flood {
	t.Helper()
	raw, err := net.Dial("tcp", h.address)
	if err != nil {
		t.Fatal(err)
	}
	raw.(*net.TCPConn).SetReadBuffer(4 << 10)
	config := h.secure(h.intake)
	config.NextProtos = []string{"h2"}
	f := &flood{conn: tls.Client(raw, config)}
	t.Cleanup(func() { f.conn.Close() })
	f.conn.SetDeadline(time.Now().Add(2 * time.Minute)) // only a test that fails comes to it
	if _, err := io.WriteString(f.conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f.Framer = http2.NewFramer(f.conn, f.conn)
	f.pack = hpack.NewEncoder(&f.block)
	f.WriteSettings()
	return f
}

// begin sends the headers of a chat; end says that no more of them follow.
func (f *flood) begin(id uint32, end bool) error {
	block := f.fields(":method", "POST", ":path", chat, ":scheme", "https", ":authority", host, "content-type", "application/json")
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: end})
}

// fields packs names and values.
func (f *flood) fields(pairs ...string) []byte {
	f.block.Reset()
	for i := 0; i+1 < len(pairs); i += 2 {
		f.pack.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1], Sensitive: true})
	}
	return f.block.Bytes()
}

// listen reads what comes, and tells of each stream that is refused.
func (f *flood) listen() (refused <-chan http2.ErrCode) {
	refusals := make(chan http2.ErrCode, 1<<10)
	go func() {
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if reset, is := frame.(*http2.RSTStreamFrame); is && reset.ErrCode != http2.ErrCodeNo {
				select {
				case refusals <- reset.ErrCode:
				default:
				}
			}
		}
	}()
	return refusals
}

// until writes frames until the gateway ends the connection, which it has to do
// before so many are written.
func (f *flood) until(t *testing.T, most int, write func() error) {
	t.Helper()
	for range most {
		if err := write(); err != nil {
			if late, is := errors.AsType[net.Error](err); is && late.Timeout() {
				t.Error("the gateway neither reads on nor ends the connection")
			}
			return
		}
	}
	t.Errorf("after %d frames the connection is still there", most)
}

// atOnce is more than what net/http runs for one connection of HTTP/2: 250
// streams, each with its goroutine and what that waits for.
const atOnce = 250 * 4

func TestAFloodOfHTTP2IsBoundedAndHoldsNobodyUp(t *testing.T) {
	h := open(t)
	s := &soak{house: h}
	quiet := func(files, goroutines int) (int, int) {
		h.as.CloseIdleConnections()
		s.settle(files, goroutines)
		return counted()
	}
	for _, tc := range []struct {
		name string
		send func(*testing.T, *flood)
	}{
		{"streams that are reset at once", func(t *testing.T, f *flood) {
			f.listen()
			for id := uint32(1); id < 2*10_000; id += 2 {
				if f.begin(id, true) != nil || f.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
					return // the gateway had enough
				}
			}
		}},
		{"a header block without an end", func(t *testing.T, f *flood) {
			f.listen()
			f.begin(1, false)
			field := f.fields("x-long", strings.Repeat("a", 15<<10))
			f.until(t, 64<<20/len(field), func() error { return f.WriteContinuation(1, false, field) })
		}},
		{"more streams than one connection may have", func(t *testing.T, f *flood) {
			refused := f.listen()
			for id := uint32(1); id < 2*600; id += 2 {
				f.begin(id, true)
			}
			take(t, "a refusal", refused)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			must(t, "before", h.say("hello"), 200, "")
			files, goroutines := counted() // with the connection of the request before
			heap := heapNow(0)
			f := h.flood(t)
			tc.send(t, f)
			if _, now := counted(); now > goroutines+atOnce {
				t.Errorf("%d goroutines run, before the flood it was %d", now, goroutines)
			}
			must(t, "another caller meanwhile", h.say("hello"), 200, "")
			if now := heapNow(0); now > heap+32<<20 {
				t.Errorf("the heap has %d MB, before the flood it was %d", now>>20, heap>>20)
			}
			f.conn.NetConn().Close()
			if left, running := quiet(files, goroutines+5); left > files+3 || running > goroutines+5 {
				t.Errorf("%d files and %d goroutines are left, before the flood it was %d and %d", left, running, files, goroutines)
			}
		})
	}
	h.records().holds(t, h.server.seen())
}

func TestHeadersAreCountedByTheirLines(t *testing.T) {
	h := open(t)
	lines := func(n int, value string) answer {
		return h.ask(h.as, http.MethodPost, chat, saying("hello"), func(r *http.Request) { r.Header["X-A"] = slices.Repeat([]string{value}, n) })
	}
	must(t, "many lines of one name", lines(90, "b"), 200, "")
	must(t, "too many lines of one name", lines(101, "b"), 400, verdict.RequestHeader)
	must(t, "long headers", lines(1, strings.Repeat("b", 8<<10)), 200, "")
	if a := lines(90, strings.Repeat("b", 1<<10)); a.err == nil && a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("headers of 90 KB: %s", a)
	}
	h.records().holds(t, h.server.seen())
}

// TestStrangersWhoFloodGrowTheLedgerSlowly sends what nobody is known for, faster than
// it is recorded one by one: each is in a record when it is answered.
func TestStrangersWhoFloodGrowTheLedgerSlowly(t *testing.T) {
	const workers, each = 32, 40
	h := open(t)
	must(t, "before", h.say("hello"), 200, "")
	var mu sync.Mutex
	var ids []string
	var flood sync.WaitGroup
	for range workers {
		flood.Go(func() {
			for range each {
				a := h.ask(h.nobody, http.MethodPost, chat, saying("hello"), nil)
				if a.status != 401 || a.code != verdict.RequestIdentity {
					t.Errorf("a stranger got %s", a)
					return
				}
				mu.Lock()
				ids = append(ids, a.id)
				mu.Unlock()
			}
		})
	}
	must(t, "meanwhile", h.say("hello"), 200, "")
	flood.Wait()
	must(t, "after", h.say("hello"), 200, "")
	k := h.records()
	k.holds(t, h.server.seen())
	for _, id := range ids {
		if d, there := k.decisions[id]; !there || d.Allowed || d.Code != string(verdict.RequestIdentity) {
			t.Fatalf("%s is recorded as %+v", id, d)
		}
	}
	if len(ids) != workers*each || k.together < len(ids)/2 {
		t.Errorf("%d were answered, and %d of them recorded together", len(ids), k.together)
	}
}
