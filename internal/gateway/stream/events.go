package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/verdict"
)

// events is a stream of events that is read: what comes out was looked at.
type events struct {
	source
	judge judge
	last  func(*Cut) []byte
	lines bool // each line is an event, and data

	held    []byte // what came and was not handed out
	sent    int    // of it, what was handed out
	line    int    // where in it the line at hand begins
	scanned int    // up to where it holds no further end of a line
	data    []byte // the data of the event at hand
	count   int    // of lines in data
	first   bool   // nothing came yet
	err     error

	out []byte // for Read: what was looked at and not yet asked for
}

func newEvents(ctx context.Context, from io.ReadCloser, o Options, last func(*Cut) []byte) *events {
	o.defaults()
	e := &events{last: last, first: true}
	e.judge.begin(&o)
	e.source.begin(ctx, from, o.Idle)
	return e
}

// Read hands out what was looked at. It returns as soon as there is an event.
func (e *events) Read(p []byte) (int, error) {
	if len(e.out) == 0 {
		some, err := e.next()
		if len(some) == 0 {
			return 0, err
		}
		e.out = some
	}
	n := copy(p, e.out)
	e.out = e.out[n:]
	return n, nil
}

// next returns the events that are complete, at least one of them or an error;
// after an error it is the same error without events. What it returns holds until
// the next call.
func (e *events) next() ([]byte, error) {
	if e.err != nil {
		return nil, e.err
	}
	e.compact()
	for {
		e.grow()
		n, err := e.source.Read(e.held[len(e.held):cap(e.held)])
		e.held = e.held[:len(e.held)+n]
		if n > 0 {
			if e.first && e.held[0] == 0xef {
				err = cut(verdict.StreamInvalid, "the stream begins with a byte order mark")
			} else if failed := e.advance(false); failed != nil {
				err = failed
			}
			e.first = false
		}
		if err == io.EOF {
			if failed := e.advance(true); failed != nil {
				err = failed
			}
		}
		if err != nil {
			return e.end(e.broke(err))
		}
		if e.sent > 0 {
			return e.held[:e.sent], nil
		}
		if int64(len(e.held)) > e.judge.o.EventBytes {
			return e.end(cut(verdict.StreamLimit, "an event has more than %d bytes", e.judge.o.EventBytes))
		}
	}
}

// broke makes a cut of a source that breaks off, so that what came is not taken for
// the whole. Whose context is over is gone, or was told why.
func (e *events) broke(err error) error {
	if err == io.EOF || isCut(err) || e.source.ctx.Err() != nil {
		return err
	}
	return cut(verdict.UpstreamDown, "the server behind the route broke its answer off")
}

// end ends the stream: with what was looked at before, and with the event that
// says why.
func (e *events) end(err error) ([]byte, error) {
	e.err = err
	some := e.held[:e.sent:e.sent]
	if c, is := errors.AsType[*Cut](err); is {
		e.judge.sum.Cut = c.Code
		if e.last != nil {
			some = append(some, e.last(c)...)
		}
	}
	return some, err
}

// compact forgets what was handed out.
func (e *events) compact() {
	n := copy(e.held, e.held[e.sent:])
	e.held, e.line, e.scanned, e.sent = e.held[:n], e.line-e.sent, e.scanned-e.sent, 0
	if cap(e.held) > keptBytes && n <= keptBytes/2 {
		e.held = append(make([]byte, 0, keptBytes/4), e.held...)
	}
	if cap(e.data) > keptBytes && len(e.data) == 0 {
		e.data = nil
	}
}

func (e *events) grow() {
	if cap(e.held)-len(e.held) < 512 {
		e.held = append(make([]byte, 0, max(keptBytes/4, 2*cap(e.held))), e.held...)
	}
}

// advance looks at every event that is complete. At the end what is left is an
// event as well: some servers leave out its last empty line.
func (e *events) advance(end bool) error {
	for {
		i := endOfLine(e.held[e.scanned:])
		if i < 0 {
			e.scanned = len(e.held)
			break
		}
		i += e.scanned
		next := i + 1
		if e.held[i] == '\r' {
			if next == len(e.held) && !end {
				e.scanned = i // the LF of a CRLF may still come
				break
			}
			if next < len(e.held) && e.held[next] == '\n' {
				next++
			}
		}
		line := e.held[e.line:i]
		e.line, e.scanned = next, next
		if len(line) > 0 {
			if err := e.field(line); err != nil {
				return err
			}
			if !e.lines {
				continue
			}
		}
		if err := e.send(next); err != nil {
			return err
		}
	}
	if end && len(e.held) > e.sent {
		if line := e.held[e.line:]; len(line) > 0 {
			if err := e.field(line); err != nil {
				return err
			}
		}
		e.line, e.scanned = len(e.held), len(e.held)
		return e.send(len(e.held))
	}
	return nil
}

// endOfLine finds the first LF or CR.
func endOfLine(b []byte) int {
	i := bytes.IndexByte(b, '\n')
	if i >= 0 {
		b = b[:i]
	}
	if j := bytes.IndexByte(b, '\r'); j >= 0 {
		return j
	}
	return i
}

// field reads a line of an event. What is not data is looked at too: it reaches
// the client all the same.
func (e *events) field(line []byte) error {
	value := line
	if !e.lines {
		name, after, _ := bytes.Cut(line, []byte(":"))
		if string(name) != "data" {
			return e.judge.windows.line(name, line)
		}
		value = bytes.TrimPrefix(after, []byte(" "))
	}
	if e.count++; e.count > 1 {
		e.data = append(e.data, '\n')
	}
	e.data = append(e.data, value...)
	return nil
}

// send looks at the event that ends at end, and lets it be handed out.
func (e *events) send(end int) error {
	sum := &e.judge.sum
	if e.count > 0 && string(e.data) != "[DONE]" {
		if err := e.judge.message(e.data); err != nil {
			return err
		}
	}
	if sum.Bytes += int64(end - e.sent); sum.Bytes > e.judge.o.Bytes {
		return cut(verdict.StreamLimit, "the answer has more than %d bytes", e.judge.o.Bytes)
	}
	if e.count > 0 {
		sum.Events++
	}
	e.data, e.count = e.data[:0], 0
	e.sent = end
	return nil
}

// OpenAIError writes a cut as the event that clients of the OpenAI API expect.
func OpenAIError(id string) func(*Cut) []byte {
	return func(c *Cut) []byte {
		return append(append([]byte("data: "), errorJSON(id, c)...), "\n\ndata: [DONE]\n\n"...)
	}
}

// errorJSON is a cut in the form of the OpenAI API: its meaning, never its detail.
func errorJSON(id string, c *Cut) []byte {
	text, err := json.Marshal(map[string]any{"error": map[string]any{
		"message": c.Code.Info().Meaning, "type": "apex_denied", "code": c.Code, "param": nil, "request_id": id,
	}})
	if err != nil {
		return []byte("{}")
	}
	return text
}

// source is where a stream comes from. It ends with its context, and when it is
// silent for too long; then it says why.
type source struct {
	ctx    context.Context
	from   io.ReadCloser
	idle   time.Duration
	heard  time.Time
	silent *time.Timer // nil: somebody else looks after that
	stop   func() bool
	touch  func() // is told when something came; may be nil
}

func (s *source) begin(ctx context.Context, from io.ReadCloser, idle time.Duration) {
	s.ctx, s.from, s.idle, s.heard = ctx, from, idle, time.Now()
	// What ends the context, or is silent for too long, ends the reading.
	s.stop = context.AfterFunc(ctx, func() { from.Close() })
	if idle > 0 {
		s.silent = time.AfterFunc(idle, func() { from.Close() })
	}
}

// Read reads; its error is a *Cut when somebody ended the stream with one.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if s.ctx.Err() != nil {
		return 0, Why(s.ctx)
	}
	if n > 0 {
		if s.touch != nil {
			s.touch()
		}
		if s.silent != nil {
			s.heard = time.Now()
			s.silent.Reset(s.idle)
		}
	} else if err != nil && err != io.EOF && s.silent != nil && time.Since(s.heard) >= s.idle {
		return 0, cut(verdict.StreamIdle, "the server behind the route was silent for too long")
	}
	return n, err
}

// Close ends the stream. It may be called more than once.
func (s *source) Close() error {
	s.stop()
	if s.silent != nil {
		s.silent.Stop()
	}
	return s.from.Close()
}

func (o *Options) defaults() {
	if o.Overlap == 0 {
		o.Overlap = DefaultOverlap
	}
	if o.EventBytes == 0 {
		o.EventBytes = DefaultEventBytes
	}
	if o.Bytes == 0 {
		o.Bytes = DefaultBytes
	}
	if o.Idle == 0 {
		o.Idle = DefaultIdle
	}
}

func isCut(err error) bool {
	_, is := errors.AsType[*Cut](err)
	return is
}

// Why is why a context ended: a cut when somebody ended it with one, or the
// registry of what runs did.
func Why(ctx context.Context) error {
	cause := context.Cause(ctx)
	if c, is := errors.AsType[*Cut](cause); is {
		return c
	}
	if e, is := errors.AsType[*live.Ended](cause); is {
		return &Cut{Code: e.Code, Detail: e.Detail}
	}
	if errors.Is(cause, context.DeadlineExceeded) {
		return cut(verdict.StreamLimit, "the answer took longer than the route allows")
	}
	return cause
}
