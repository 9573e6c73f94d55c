package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// sink keeps what was written, and how much of it at each flush.
type sink struct {
	bytes.Buffer
	flushed []int
	fails   bool
}

func (s *sink) Flush() { s.flushed = append(s.flushed, s.Len()) }

func (s *sink) Write(p []byte) (int, error) {
	if s.fails {
		return 0, io.ErrClosedPipe
	}
	return s.Buffer.Write(p)
}

const secretFound verdict.Code = "test.secret"

// noSecret refuses a word.
type noSecret string

func (n noSecret) Judge(text []byte, _ int) verdict.Code {
	if bytes.Contains(text, []byte(n)) {
		return secretFound
	}
	return ""
}

func pass(t *testing.T, from io.Reader, o Options) (string, Summary, error) {
	t.Helper()
	to := &sink{}
	sum, err := passEvents(t.Context(), to, io.NopCloser(from), o, func(c *Cut) []byte { return []byte("CUT " + string(c.Code)) })
	return to.String(), sum, err
}

func chunk(content string) string {
	return fmt.Sprintf("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", content)
}

func TestBytesPassAsTheyCame(t *testing.T) {
	for name, text := range map[string]string{
		"LF": "data: a\n\ndata: b\n\n", "CRLF": "data: a\r\n\r\ndata: b\r\n\r\n", "CR": "data: a\r\rdata: b\r\r", "mixed": "data: a\r\n\ndata: b\n\r\n",
		"several lines": "data: a\ndata: b\nid: 1\nevent: x\nretry: 10\n\n", "comments": ": hello\n\n: ping\n\ndata: a\n\n", "no last line": "data: a\n\ndata: b",
		"no last empty line": "data: a\n\ndata: b\n", "empty": "", "a field without a colon": "data\n\n", "a CR at the end": "data: a\r",
	} {
		for way, wrap := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "by halves": iotest.HalfReader, "with the end": iotest.DataErrReader,
		} {
			got, sum, err := pass(t, wrap(strings.NewReader(text)), Options{Guards: []Guard{noSecret("nothing of this")}})
			if err != nil || got != text || sum.Bytes != int64(len(text)) {
				t.Errorf("%s %s: %q, %+v, %v", name, way, got, sum, err)
			}
		}
	}
}

func TestEventsAreNeitherMergedNorLostHoweverTheyAreCut(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var all strings.Builder
	n := 20_000
	for i := range n {
		all.WriteString(chunk(fmt.Sprintf("word %d", i)))
	}
	text := all.String()
	var to sink
	from := &random0{rest: []byte(text), next: func() int { return 1 + random.IntN(400) }}
	sum, err := passEvents(t.Context(), &to, from, Options{Messages: body.OpenAIEvents(), Guards: []Guard{noSecret("secret")}}, nil)
	if err != nil || to.String() != text || sum.Events != int64(n) {
		t.Fatalf("%+v %v", sum, err)
	}
	for _, at := range to.flushed {
		if !strings.HasSuffix(text[:at], "\n\n") {
			t.Fatalf("a part of an event was flushed at byte %d", at)
		}
	}
}

// random0 is a source that gives chunks of random lengths.
type random0 struct {
	rest []byte
	next func() int
}

func (r *random0) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest[:min(r.next(), len(r.rest))])
	r.rest = r.rest[n:]
	return n, nil
}

func (r *random0) Close() error { return nil }

func TestAnEventIsSentAsSoonAsItIsWhole(t *testing.T) {
	read, write := io.Pipe()
	to := &signalled{flushed: make(chan string, 8)}
	done := make(chan error, 1)
	go func() {
		_, err := passEvents(t.Context(), to, read, Options{Messages: body.OpenAIEvents()}, nil)
		done <- err
	}()
	for _, event := range []string{chunk("a"), chunk("b")} {
		if _, err := io.WriteString(write, event); err != nil {
			t.Fatal(err)
		}
		if got := <-to.flushed; got != event {
			t.Fatalf("%q was flushed for %q", got, event)
		}
	}
	write.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// signalled tells what each flush sent.
type signalled struct {
	bytes.Buffer
	flushed chan string
}

func (s *signalled) Flush() {
	s.flushed <- s.String()
	s.Reset()
}

func TestASecretIsCutHoweverItIsSplit(t *testing.T) {
	openAI := Options{Messages: body.OpenAIEvents(), Guards: []Guard{noSecret("hunter2")}}
	for _, tc := range []struct {
		name, text string
		options    Options
		cut        bool
		before     int // events that passed
	}{
		{"in one event", chunk("hi ") + chunk("it is hunter2"), openAI, true, 1},
		{"over two events", chunk("hun") + chunk("ter2"), openAI, true, 1},
		{"letter by letter", chunk("h") + chunk("u") + chunk("n") + chunk("t") + chunk("e") + chunk("r") + chunk("2"), openAI, true, 6},
		{"with escapes", "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\\u0075nter\"}}]}\n\n" + chunk("2"), openAI, true, 1},
		{"among other answers", chunk("hun") + strings.Replace(chunk("x"), `"index":0`, `"index":1`, 1) + chunk("ter2"), openAI, true, 2},
		{"in a tool's arguments", `data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"hunt"}}]}}]}` + "\n\n" +
			`data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"er2"}}]}}]}` + "\n\n", openAI, true, 1},
		{"in a place that nobody knows", "data: {\"elsewhere\":{\"x\":[\"a hunter2 b\"]}}\n\n", openAI, true, 0},
		{"as a plain name in a place that nobody knows", "data: {\"elsewhere\":\"hunter2\"}\n\n", openAI, true, 0},
		{"as the name of a tool", "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"hunter2\"}}]}}]}\n\n", openAI, true, 0},
		{"in data that is no JSON", "data: hunter2\n\n", openAI, true, 0},
		{"over two lines of data", "data: {\"x\":\ndata: \"a hunter2\"}\n\n", openAI, true, 0},
		{"in a comment", ": hunter2\n\n", openAI, true, 0},
		{"in the name of an event", "event: hunter2\ndata: {}\n\n", openAI, true, 0},
		{"in the last event, which does not end", "data: hunter2", openAI, true, 0},
		{"in two answers, half each", chunk("hun") + strings.Replace(chunk("ter2"), `"index":0`, `"index":1`, 1), openAI, false, 2},
		{"another word", chunk("hunt") + chunk("ress"), openAI, false, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, sum, err := pass(t, strings.NewReader(tc.text), tc.options)
			if tc.cut {
				c, is := errors.AsType[*Cut](err)
				if !is || c.Code != secretFound || sum.Cut != secretFound || !strings.HasSuffix(got, "CUT test.secret") || strings.Contains(got, "er2") {
					t.Fatalf("%q %+v %v", got, sum, err)
				}
			} else if err != nil || got != tc.text {
				t.Fatalf("%q %v", got, err)
			}
			if sum.Events != int64(tc.before) {
				t.Errorf("%d events passed, want %d", sum.Events, tc.before)
			}
		})
	}
}

func TestACharacterThatIsSplitBetweenReadsIsOneCharacter(t *testing.T) {
	text := chunk("grün")
	got, _, err := pass(t, iotest.OneByteReader(strings.NewReader(text)), Options{Messages: body.OpenAIEvents(), Guards: []Guard{noSecret("rün")}})
	if _, is := errors.AsType[*Cut](err); !is || strings.Contains(got, "gr") {
		t.Errorf("%q %v", got, err)
	}
}

func TestAStreamIsBounded(t *testing.T) {
	lanes := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "data: {\"choices\":[{\"index\":%d,\"delta\":{\"content\":\"a\"}}]}\n\n", i)
		}
		return b.String()
	}
	guard := []Guard{noSecret("x")}
	for _, tc := range []struct {
		name, text string
		options    Options
		code       verdict.Code
	}{
		{"an event that is long", "data: " + strings.Repeat("a", 94) + "\n\n", Options{EventBytes: 102}, ""},
		{"an event without an end", "data: " + strings.Repeat("a", 200), Options{EventBytes: 100}, verdict.StreamLimit},
		{"a stream that is long", "data: a\n\ndata: b\n\n", Options{Bytes: 18}, ""},
		{"a stream that is longer", "data: a\n\ndata: b\n\ndata: c\n\n", Options{Bytes: 18}, verdict.StreamLimit},
		{"many texts", lanes(maxLanes), Options{Messages: body.OpenAIEvents(), Guards: guard}, ""},
		{"too many texts", lanes(maxLanes + 1), Options{Messages: body.OpenAIEvents(), Guards: guard}, verdict.StreamLimit},
		{"JSON that readers read in two ways", "data: {\"a\":1,\"a\":\"h\\u0075nter2\"}\n\n", Options{Messages: body.OpenAIEvents()}, verdict.StreamInvalid},
		{"JSON that is none", "data: {\"a\":\"h\\u0075nter2\"}}\n\n", Options{Messages: body.OpenAIEvents()}, verdict.StreamInvalid},
		{"text where JSON is expected", "data: a {\"b\"}\n\n", Options{Messages: body.OpenAIEvents()}, ""},
		{"a byte order mark", "\xef\xbb\xbfdata: a\n\n", Options{}, verdict.StreamInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, sum, err := pass(t, strings.NewReader(tc.text), tc.options)
			if sum.Cut != tc.code || (err != nil) != (tc.code != "") {
				t.Errorf("%+v %v, want %q", sum, err, tc.code)
			}
		})
	}
}

func TestASilentServerIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read, write := io.Pipe()
		go func() {
			io.WriteString(write, "data: a\n\n")
			time.Sleep(time.Minute)
			io.WriteString(write, "data: b\n\n")
		}()
		var to sink
		sum, _ := passEvents(t.Context(), &to, read, Options{Idle: time.Hour / 2}, nil)
		if sum.Cut != verdict.StreamIdle || to.String() != "data: a\n\ndata: b\n\n" {
			t.Errorf("%+v %q", sum, to.String())
		}
	})
}

func TestWhoEndsTheStreamSaysWhy(t *testing.T) {
	for _, tc := range []struct {
		name  string
		cause error
		code  verdict.Code
	}{
		{"a revocation", &Cut{Code: verdict.StreamExpired, Detail: "revoked"}, verdict.StreamExpired},
		{"a deadline", context.DeadlineExceeded, verdict.StreamLimit},
		{"the client", context.Canceled, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			read, write := io.Pipe()
			to := &signalled{flushed: make(chan string, 8)}
			type result struct {
				sum Summary
				err error
			}
			done := make(chan result, 1)
			go func() {
				sum, err := passEvents(ctx, to, read, Options{}, func(*Cut) []byte { return []byte("CUT") })
				done <- result{sum, err}
			}()
			io.WriteString(write, "data: a\n\n")
			<-to.flushed
			cancel(tc.cause)
			if r := <-done; r.err == nil || r.sum.Cut != tc.code {
				t.Errorf("%+v", r)
			}
			if _, err := io.WriteString(write, "x"); err == nil {
				t.Error("the server behind is still read")
			}
		})
	}
}

func TestAClientThatIsGoneIsNoCut(t *testing.T) {
	to := &sink{fails: true}
	sum, err := passEvents(t.Context(), to, io.NopCloser(strings.NewReader("data: a\n\n")), Options{}, OpenAIError("1"))
	if !errors.Is(err, io.ErrClosedPipe) || sum.Cut != "" {
		t.Errorf("%+v %v", sum, err)
	}
}

func TestTheLastEventIsOneThatClientsRead(t *testing.T) {
	got := string(OpenAIError("7")(&Cut{Code: verdict.StreamLimit, Detail: "inner"}))
	if !strings.HasPrefix(got, `data: {"error":{"code":"request.stream.limit"`) || !strings.HasSuffix(got, "\n\ndata: [DONE]\n\n") || strings.Contains(got, "inner") {
		t.Error(got)
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte("data: a\r\n\r\ndata: {\"choices\":[]}\n\n: x\r\r"), byte(3))
	f.Add([]byte(chunk("a")+chunk("b")), byte(7))
	f.Fuzz(func(t *testing.T, data []byte, step byte) {
		var to sink
		from := &random0{rest: bytes.Clone(data), next: func() int { return 1 + int(step) }}
		sum, err := passEvents(t.Context(), &to, from, Options{Messages: body.OpenAIEvents(), Guards: []Guard{noSecret("\x00\x01never")}}, nil)
		if err == nil && !bytes.Equal(to.Bytes(), data) {
			t.Fatalf("%q became %q", data, to.Bytes())
		}
		if err != nil && sum.Cut == "" {
			t.Fatalf("an error without a cut: %v", err)
		}
	})
}
