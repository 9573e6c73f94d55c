package stream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// Socket passes one WebSocket on, and looks at every message in both directions,
// whole, before it passes. Extensions are never agreed on, so nothing is
// compressed; pings are answered here, so that nothing passes in them.
type Socket struct {
	// Dial connects to the server behind the route, TLS included.
	Dial func(context.Context) (net.Conn, error)
	// URL, Host and Header of the handshake with it; what the protocol itself puts
	// into the header is added.
	URL    *url.URL
	Host   string
	Header http.Header
	// Origins of other sites whose pages may open a socket.
	Origins []string
	// Up is for what the client sends, Down for what comes back.
	Up, Down Options
	// Error writes a cut as the last text message; nil: the close frame says it alone.
	Error func(*Cut) []byte
}

// Times of a socket.
const (
	writeTime = 10 * time.Second // for one frame to somebody who does not read
	closeTime = 2 * time.Second  // for the other side to close, too
	sayTime   = time.Second      // for the last frames, so that an end takes less than five seconds
	pingEvery = 30 * time.Second // or a quarter of the time that a side may be silent
)

// Serve passes the socket on until it ends. An error is a *Cut, and then nothing
// was answered; how a socket ended that began stands in the summaries. The
// cause of the request's context, when it is a *Cut, ends the socket.
func (s *Socket) Serve(w http.ResponseWriter, r *http.Request) (up, down Summary, err error) {
	a, err := readHandshake(r, s.Origins)
	if err != nil {
		return up, down, err
	}
	server, fromServer, protocol, err := s.connect(r.Context(), a)
	if err != nil {
		return up, down, err
	}
	defer server.Close()
	client, fromClient, err := welcome(w, a, protocol)
	if err != nil {
		return up, down, err
	}
	defer client.Close()

	s.Up.defaults()
	s.Down.defaults()
	t := &tunnel{idle: min(s.Up.Idle, s.Down.Idle)}
	began := time.Now()
	t.client = side{conn: client, began: began, frames: frames{from: fromClient, masked: true, most: s.Up.EventBytes}}
	t.server = side{conn: server, began: began, frames: frames{from: fromServer, most: s.Down.EventBytes}, isServer: true}
	t.up.begin(&s.Up)
	t.down.begin(&s.Down)
	t.client.frames.room, t.client.frames.judge = room{ctx: r.Context(), memory: s.Up.Memory}, &t.up
	t.server.frames.room, t.server.frames.judge = room{ctx: r.Context(), memory: s.Down.Memory}, &t.down
	if s.Down.Messages != nil && s.Down.Messages == body.Realtime().Server {
		t.down.audio = body.Realtime().Audio
	}
	t.run(r.Context(), s.Error)
	return t.up.sum, t.down.sum, nil
}

// tunnel is a socket that runs.
type tunnel struct {
	client, server side
	up, down       judge
	idle           time.Duration

	once  sync.Once
	ended atomic.Bool
	why   error // set once, before ended
	timer *time.Timer
}

// errClosed ends a tunnel that one side has closed in order.
var errClosed = errors.New("closed")

func (t *tunnel) run(ctx context.Context, last func(*Cut) []byte) {
	stop := context.AfterFunc(ctx, func() { t.end(Why(ctx)) })
	defer stop()
	t.client.hear()
	t.server.hear()
	t.arm(min(pingEvery, t.idle/4))
	defer t.timer.Stop()
	var other sync.WaitGroup
	other.Go(func() { t.end(t.pump(&t.server, &t.client, &t.down)) })
	t.end(t.pump(&t.client, &t.server, &t.up))
	other.Wait()
	t.farewell(last)
}

// arm has both sides looked after, again and again until the tunnel ends.
func (t *tunnel) arm(every time.Duration) {
	armed := make(chan struct{})
	t.timer = time.AfterFunc(every, func() {
		<-armed
		if t.watch(); !t.ended.Load() {
			t.timer.Reset(every)
		}
	})
	close(armed)
}

// pump passes the messages of one side on to the other.
func (t *tunnel) pump(from, to *side, j *judge) (err error) {
	defer func() {
		if c, is := errors.AsType[*Cut](err); is {
			j.sum.Cut = c.Code
		}
	}()
	from.frames.control = func(kind byte, payload []byte) error { return t.control(from, to, j, kind, payload) }
	for {
		kind, message, err := from.frames.next()
		if err != nil {
			return err
		}
		from.hear()
		if kind == frameText {
			err = j.message(message)
		} else {
			err = j.binary(message)
		}
		if err != nil {
			return err
		}
		n := int64(len(message))
		if j.sum.Bytes += n; j.sum.Bytes > j.o.Bytes {
			return cut(verdict.StreamLimit, "the messages have more than %d bytes", j.o.Bytes)
		}
		switch err := to.write(frame(kind, from.frames.message, to.isServer)); {
		case err == io.ErrClosedPipe:
			continue // until this side closes, too
		case err != nil:
			return err
		}
		j.sum.Events++
	}
}

// control answers a control frame. Only a close is passed on, when its reason may.
func (t *tunnel) control(from, to *side, j *judge, kind byte, payload []byte) error {
	from.hear()
	switch kind {
	case framePing:
		return from.write(controlFrame(framePong, payload, from.isServer))
	case framePong:
		return nil
	}
	code, reason, err := closing(payload)
	if err != nil {
		return err
	}
	if err := j.windows.ask(reason, len(reason)); len(reason) > 0 && err != nil {
		return err
	}
	to.close(closeFrame(code, reason, to.isServer))
	from.close(closeFrame(code, nil, from.isServer))
	return errClosed
}

// binary looks at a binary message: it is one piece of content, of the type that
// the route says.
func (j *judge) binary(message []byte) (err error) {
	defer failed(&err)
	if j.o.Binary == "" {
		return cut(verdict.MediaKind, "the route takes no binary messages")
	}
	if len(message) == 0 {
		return nil
	}
	part, err := j.inspect(bytes.NewReader(message), "", j.o.Binary, &j.limits)
	if err != nil {
		return j.refused(err)
	}
	if j.o.Message != nil {
		if err := j.tell(&body.Body{Length: int64(len(message)), Parts: []media.Part{part}}); err != nil {
			return err
		}
	}
	return j.part(part)
}

// end ends both pumps: at once, or when the other side has had the time to close.
func (t *tunnel) end(why error) {
	t.once.Do(func() {
		t.why = why
		t.ended.Store(true)
		at := time.Unix(1, 0)
		if why == errClosed {
			at = time.Now().Add(closeTime)
		}
		t.client.conn.SetReadDeadline(at)
		t.server.conn.SetReadDeadline(at)
		if why != errClosed {
			t.client.hurry()
			t.server.hurry()
		}
	})
}

// watch ends a tunnel of which a side is silent for too long, and asks both for
// a sign of life.
func (t *tunnel) watch() {
	if t.ended.Load() {
		return
	}
	for _, s := range [...]*side{&t.client, &t.server} {
		if s.silent() >= t.idle {
			t.end(cut(verdict.StreamIdle, "a side of the WebSocket was silent for too long"))
			return
		}
	}
	t.client.write(controlFrame(framePing, nil, false))
	t.server.write(controlFrame(framePing, nil, true))
}

// farewell tells both sides why the tunnel ended, as far as they do not know.
func (t *tunnel) farewell(last func(*Cut) []byte) {
	c, is := errors.AsType[*Cut](t.why)
	if !is {
		t.client.say(closeFrame(1001, nil, false))
		t.server.say(closeFrame(1001, nil, true))
		return
	}
	if t.up.sum.Cut == "" && t.down.sum.Cut == "" {
		t.down.sum.Cut = c.Code
	}
	if last != nil {
		if text := last(c); len(text) > 0 {
			t.client.say(frame(frameText, append(make([]byte, maxFrameHeader), text...), false))
		}
	}
	t.client.say(closeFrame(closeCode(c), []byte(c.Code), false))
	t.server.say(closeFrame(1001, nil, true))
}

// closeCode is what RFC 6455, section 7.4.1, has for a cut.
func closeCode(c *Cut) uint16 {
	switch c.Code {
	case verdict.StreamDrained: // this end goes away
		return 1001
	case verdict.StreamInvalid:
		return 1002
	case verdict.StreamLimit:
		return 1009
	case verdict.GatewayFailed:
		return 1011
	case verdict.BodyMemory: // try again later, as IANA has it registered
		return 1013
	}
	return 1008
}

// side is one end of a tunnel.
type side struct {
	conn     net.Conn
	frames   frames
	isServer bool
	began    time.Time    // what heard is measured from, so that setting the clock changes nothing
	heard    atomic.Int64 // the last sign of life, in nanoseconds
	rushed   atomic.Bool  // no writing may take time any more

	mu     sync.Mutex // for writing: messages of the other side, and answers to its own pings
	closed bool       // a close frame was written, or nothing more is to be
}

func (s *side) hear() { s.heard.Store(int64(time.Since(s.began))) }

func (s *side) silent() time.Duration { return time.Since(s.began) - time.Duration(s.heard.Load()) }

// write writes a frame, unless the side was told that nothing comes any more.
func (s *side) write(frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return io.ErrClosedPipe
	}
	s.conn.SetWriteDeadline(time.Now().Add(writeTime))
	if s.rushed.Load() {
		s.conn.SetWriteDeadline(time.Unix(1, 0))
	}
	_, err := s.conn.Write(frame)
	return err
}

// close writes the last frame.
func (s *side) close(frame []byte) {
	s.write(frame)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}

// hurry ends a writing that is under way.
func (s *side) hurry() {
	s.rushed.Store(true)
	s.conn.SetWriteDeadline(time.Unix(1, 0))
}

// say writes a frame to whom may not read any more: shortly, and once the pumps have ended.
func (s *side) say(frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.conn.SetWriteDeadline(time.Now().Add(sayTime))
		s.conn.Write(frame)
	}
}

// RealtimeError writes a cut as the event that clients of OpenAI's Realtime API expect.
func RealtimeError(id string) func(*Cut) []byte {
	return func(c *Cut) []byte {
		return append([]byte(`{"type":"error",`), errorJSON(id, c)[1:]...)
	}
}
