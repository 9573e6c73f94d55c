package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// tunnel serves a CONNECT that is allowed.
func (p *Proxy) tunnel(w http.ResponseWriter, r *http.Request, c *connection) {
	began := time.Now()
	server, err := p.options.Dialer.Pinned(r.Context(), c.addresses, c.port)
	if err != nil {
		err = media.Refuse(verdict.UpstreamDown, "", "the host does not answer")
		p.answer(w, c, err)
		p.over(c, err, 0, 0, began)
		return
	}
	defer server.Close()
	to := server.RemoteAddr().String()
	c.connected.Store(&to)
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		err := media.Refuse(verdict.GatewayFailed, "", "the connection cannot be taken over")
		p.answer(w, c, err)
		p.over(c, err, 0, 0, began)
		return
	}
	client, buffered, err := hijacker.Hijack()
	if err != nil {
		p.over(c, err, 0, 0, began)
		return
	}
	defer client.Close()
	// What the client sent early lies in the buffer; it is read before the rest.
	var early io.Reader = client
	if n := buffered.Reader.Buffered(); n > 0 {
		early = io.MultiReader(io.LimitReader(buffered.Reader, int64(n)), client)
	}
	t := &tunnel{proxy: p, client: client, server: server, early: early}
	t.active.Store(began.UnixNano())
	c.end = t.cut
	defer p.track(c)()
	err = t.run(c)
	p.over(c, err, t.sent.Load(), t.received.Load(), began)
}

// tunnel is a CONNECT under way.
type tunnel struct {
	proxy          *Proxy
	client, server net.Conn
	early          io.Reader // the client's bytes, those in the buffer first

	sent, received atomic.Int64
	carried        atomic.Int64 // what both directions were let have, counted before it is written
	active         atomic.Int64 // when a byte last went through, in Unix nanoseconds
	once           sync.Once
	cause          error // why it was cut; read after both directions ended
}

// cut ends both directions.
func (t *tunnel) cut(cause error) {
	t.once.Do(func() {
		t.cause = cause
		t.client.Close()
		t.server.Close()
	})
}

// why returns the reason of a cut, or what a direction ended with.
func (t *tunnel) why(err error) error {
	t.once.Do(func() {}) // from now on nobody sets it
	if t.cause != nil {
		return t.cause
	}
	return err
}

func (t *tunnel) run(c *connection) error {
	t.client.SetDeadline(time.Now().Add(t.proxy.options.Greeting))
	if _, err := io.WriteString(t.client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return t.why(err)
	}
	greeting, name, err := readGreeting(t.early)
	if err != nil {
		if _, ok := errors.AsType[*media.Refusal](err); !ok {
			err = media.Refuse(verdict.EgressHello, "", "the TLS greeting did not arrive")
		}
		return t.why(err)
	}
	if name != c.host.Name { // of an address there is none: names are not numbers
		return t.why(media.Refuse(verdict.EgressHello, "", "the TLS greeting is for another name than the tunnel"))
	}
	t.client.SetDeadline(time.Time{})
	t.carried.Add(int64(len(greeting)))
	if _, err := t.server.Write(greeting); err != nil {
		return t.why(err)
	}
	t.sent.Add(int64(len(greeting)))
	back := make(chan error, 1)
	go func() { back <- t.pump(t.client, t.server, t.server, &t.received) }()
	err = t.pump(t.server, t.client, t.early, &t.sent)
	return t.why(errors.Join(err, <-back))
}

// chunks are what is carried at once.
var chunks = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// pump carries one direction until it ends, and hands the end on. An error ends
// the other direction too.
func (t *tunnel) pump(to, from net.Conn, r io.Reader, count *atomic.Int64) error {
	chunk := chunks.Get().(*[32 << 10]byte)
	defer chunks.Put(chunk)
	idle := t.proxy.options.Idle
	for {
		from.SetReadDeadline(time.Now().Add(idle))
		n, err := r.Read(chunk[:])
		if n > 0 {
			t.active.Store(time.Now().UnixNano())
			if t.carried.Add(int64(n)) > t.proxy.options.Bytes { // the other direction may be in the middle of its writing
				t.cut(errBytes)
				return errBytes
			}
			to.SetWriteDeadline(time.Now().Add(idle))
			if _, err := to.Write(chunk[:n]); err != nil {
				t.cut(err)
				return err
			}
			count.Add(int64(n))
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if time.Since(time.Unix(0, t.active.Load())) >= idle { // the other direction was silent, too
				t.cut(errIdle)
				return errIdle
			}
		case errors.Is(err, io.EOF):
			if half, ok := to.(interface{ CloseWrite() error }); ok {
				half.CloseWrite()
				return nil
			}
			t.cut(nil)
			return nil
		default:
			t.cut(err)
			return err
		}
	}
}

// over records the end of a connection.
func (p *Proxy) over(c *connection, err error, sent, received int64, began time.Time) {
	c.record.Event, c.record.At = Closed, p.options.Clock.Now()
	c.record.Sent, c.record.Received, c.record.Lasted = sent, received, time.Since(began)
	if to := c.connected.Load(); to != nil {
		c.record.Address = *to
	}
	code, detail := ended(err)
	c.record.Code, c.record.Detail = string(code), detail
	c.record.Allowed = code == ""
	if err := p.options.Recorder.Record(context.Background(), &c.record, code != ""); err != nil {
		p.options.Log.Error("the end of a way out was not recorded", "id", c.record.ID, "error", err)
	}
}

// ended says why a connection was over, as far as it was we who ended it.
func ended(err error) (verdict.Code, string) {
	if r, ok := errors.AsType[*media.Refusal](err); ok {
		return r.Code, r.Detail
	}
	for cause, code := range map[error]verdict.Code{
		errExpired: verdict.IdentityExpired, errStopped: verdict.UpstreamDown,
		errLifetime: verdict.EgressLimit, errIdle: verdict.EgressLimit, errBytes: verdict.EgressLimit,
	} {
		if errors.Is(err, cause) {
			return code, cause.Error()
		}
	}
	return "", ""
}
