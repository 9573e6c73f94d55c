package oci

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// wire carries HTTP/1.1 to the addresses that its dialler allows. A question
// without a body is written, and its answer read, on the goroutine that asks:
// [http.Transport] hands each over to two others and back, which was half of
// what a request cost. Whatever has a body goes through the transport, which
// reads an early answer while it is still sending. Both parse with net/http.
type wire struct {
	*http.Transport

	mu        sync.Mutex
	endpoints map[string]*endpoint // by scheme and address
	idle      int                  // connections kept, of all endpoints
	sweeper   *time.Timer          // runs while connections are kept
}

const (
	// maxIdle bounds the connections that are kept, as perRegistry does for one endpoint.
	maxIdle = 64
	// idleWait is how long they are kept; registries close them after a minute or more.
	idleWait = 30 * time.Second
	// handshakeWait bounds a TLS handshake.
	handshakeWait = 10 * time.Second
	// maxInterim is how many 1xx answers may precede the one that counts.
	maxInterim = 5
)

// endpoint is one address that is spoken to in one way.
type endpoint struct {
	key   string
	slots chan struct{} // one token per running exchange
	users int           // that hold a slot or wait for one
	idle  []*wireConn   // the most recently used last
}

// wireConn is one connection. Only one exchange uses it at a time.
type wireConn struct {
	net.Conn          // TLS, or the same as raw
	raw      net.Conn // what was dialled
	home     *endpoint
	in       *bufio.Reader
	out      *bufio.Writer
	kept     time.Time // since when it is idle

	// Of the running exchange.
	ctx    context.Context
	stop   func() bool // detaches the connection from ctx
	heard  bool        // a byte of the answer came
	header int64       // how much the header may still have; negative in the body
	// pace says until when a read of the body may wait; nil before the body.
	pace func() (until time.Time, err error)
}

// errHeader is an answer whose header has more than maxHeaderBytes.
var errHeader = fmt.Errorf("the response header has more than %d bytes", maxHeaderBytes)

// longAgo ends what a connection waits for.
var longAgo = time.Unix(1, 0)

// carries reports whether the wire itself can make the request.
func (w *wire) carries(req *http.Request) bool {
	if req.Body != nil || req.Method != http.MethodGet && req.Method != http.MethodHead {
		return false
	}
	for i := range len(req.URL.Host) {
		if req.URL.Host[i] >= 0x80 {
			return false // the transport knows international names
		}
	}
	return true
}

// do sends the request and reads the header of its answer, all of it by the
// deadline. The caller reads the body and calls release.
//
// A connection that was kept may have been closed at the other end meanwhile:
// if it fails before anything is heard, the question goes over a new one.
func (w *wire) do(ctx context.Context, req *http.Request, deadline time.Time) (*wireConn, *http.Response, error) {
	e, err := w.enter(ctx, req.URL)
	if err != nil {
		return nil, nil, err
	}
	if c := w.take(e); c != nil {
		res, err := c.ask(ctx, req, deadline)
		if err == nil {
			return c, res, nil
		}
		if c.close(); c.heard || ctx.Err() != nil || !time.Now().Before(deadline) {
			w.leave(e)
			return nil, nil, err
		}
	}
	c, err := w.connect(ctx, req.URL, deadline)
	if err != nil {
		w.leave(e)
		return nil, nil, err
	}
	c.home = e
	res, err := c.ask(ctx, req, deadline)
	if err != nil {
		c.close()
		w.leave(e)
		return nil, nil, err
	}
	return c, res, nil
}

// enter waits for a slot at the endpoint of u.
func (w *wire) enter(ctx context.Context, u *url.URL) (*endpoint, error) {
	key := u.Scheme + "://" + u.Host
	w.mu.Lock()
	e := w.endpoints[key]
	if e == nil {
		if w.endpoints == nil {
			w.endpoints = map[string]*endpoint{}
		}
		e = &endpoint{key: key, slots: make(chan struct{}, 4*perRegistry)}
		w.endpoints[key] = e
	}
	e.users++
	w.mu.Unlock()
	select {
	case e.slots <- struct{}{}:
		return e, nil
	case <-ctx.Done():
		w.mu.Lock()
		w.gone(e)
		w.mu.Unlock()
		return nil, ctx.Err()
	}
}

func (w *wire) leave(e *endpoint) {
	<-e.slots
	w.mu.Lock()
	w.gone(e)
	w.mu.Unlock()
}

// gone forgets an endpoint that nobody uses. The caller holds the lock.
func (w *wire) gone(e *endpoint) {
	if e.users--; e.users == 0 && len(e.idle) == 0 {
		delete(w.endpoints, e.key)
	}
}

// take returns a connection that was kept and still stands, or nil.
func (w *wire) take(e *endpoint) *wireConn {
	for {
		w.mu.Lock()
		n := len(e.idle) - 1
		if n < 0 {
			w.mu.Unlock()
			return nil
		}
		c := e.idle[n]
		e.idle[n] = nil
		e.idle = e.idle[:n]
		w.idle--
		w.mu.Unlock()
		if quiet(c.raw) {
			return c
		}
		c.close()
	}
}

// release gives the connection back after the exchange. whole says that the
// answer was read to its end and that both sides mean to go on.
func (w *wire) release(c *wireConn, whole bool) {
	// Once the context has ended, it may be about to end the connection.
	if !c.stop() || !whole || c.in.Buffered() > 0 {
		c.Close()
		w.leave(c.home)
		return
	}
	c.ctx, c.stop, c.pace = nil, nil, nil
	<-c.home.slots
	c.kept = time.Now()
	w.mu.Lock()
	keep := len(c.home.idle) < perRegistry && w.idle < maxIdle
	if keep {
		c.home.idle = append(c.home.idle, c)
		w.idle++
		if w.sweeper == nil {
			w.sweeper = time.AfterFunc(idleWait, w.sweep)
		}
	}
	w.gone(c.home)
	w.mu.Unlock()
	if !keep {
		c.Close()
	}
}

// sweep closes connections that were idle for too long.
func (w *wire) sweep() {
	w.mu.Lock()
	old := w.drop(time.Now().Add(-idleWait))
	if w.sweeper = nil; w.idle > 0 {
		w.sweeper = time.AfterFunc(idleWait, w.sweep)
	}
	w.mu.Unlock()
	closeAll(old)
}

// CloseIdleConnections closes what is kept for later.
func (w *wire) CloseIdleConnections() {
	w.Transport.CloseIdleConnections()
	w.mu.Lock()
	all := w.drop(time.Now())
	if w.sweeper != nil {
		w.sweeper.Stop()
		w.sweeper = nil
	}
	w.mu.Unlock()
	closeAll(all)
}

// drop takes out the connections that are idle since the time or longer. The
// caller holds the lock, and closes them without it: TLS says goodbye first.
func (w *wire) drop(since time.Time) []*wireConn {
	var out []*wireConn
	for key, e := range w.endpoints {
		e.idle = slices.DeleteFunc(e.idle, func(c *wireConn) bool {
			old := !c.kept.After(since)
			if old {
				out = append(out, c)
			}
			return old
		})
		if e.users == 0 && len(e.idle) == 0 {
			delete(w.endpoints, key)
		}
	}
	w.idle -= len(out)
	return out
}

func closeAll(conns []*wireConn) {
	for _, c := range conns {
		c.Close()
	}
}

// connect dials, and agrees on TLS for https.
func (w *wire) connect(ctx context.Context, u *url.URL, deadline time.Time) (*wireConn, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	raw, err := w.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, err
	}
	c := &wireConn{Conn: raw, raw: raw}
	if u.Scheme == "https" {
		conf := w.TLSClientConfig.Clone()
		if conf.ServerName == "" {
			conf.ServerName = u.Hostname()
		}
		secure := tls.Client(raw, conf)
		ctx, cancel := context.WithTimeout(ctx, handshakeWait)
		defer cancel()
		if err := secure.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, err
		}
		c.Conn = secure
	}
	c.in = bufio.NewReader(reader{c})
	c.out = bufio.NewWriterSize(c.Conn, 1<<10) // a question has 300 bytes
	return c, nil
}

// ask sends the request and reads the header of its answer.
func (c *wireConn) ask(ctx context.Context, req *http.Request, deadline time.Time) (*http.Response, error) {
	c.ctx, c.heard, c.pace, c.header = ctx, false, nil, maxHeaderBytes
	if err := c.raw.SetDeadline(deadline); err != nil {
		c.stop = func() bool { return true }
		return nil, err
	}
	c.stop = context.AfterFunc(ctx, func() { c.raw.SetDeadline(longAgo) })
	if err := req.Write(c.out); err != nil {
		return nil, err
	}
	if err := c.out.Flush(); err != nil {
		return nil, err
	}
	for range maxInterim + 1 {
		res, err := http.ReadResponse(c.in, req)
		if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) && !c.heard {
				err = io.EOF
			}
			return nil, err
		}
		if res.StatusCode == http.StatusSwitchingProtocols {
			return nil, errors.New("the answer switches to another protocol")
		}
		if res.StatusCode >= 200 {
			c.header = -1
			return res, nil
		}
	}
	return nil, fmt.Errorf("more than %d interim answers", maxInterim)
}

// close ends a connection whose exchange failed.
func (c *wireConn) close() {
	if c.stop != nil {
		c.stop()
	}
	c.Close()
}

// reader is what a connection's buffer is filled from. It bounds the header
// and judges the pace of the body.
type reader struct{ c *wireConn }

func (r reader) Read(p []byte) (int, error) {
	c := r.c
	if c.header >= 0 {
		if c.header == 0 {
			return 0, errHeader
		}
		n, err := c.Conn.Read(p[:min(int64(len(p)), c.header)])
		c.header -= int64(n)
		c.heard = c.heard || n > 0
		return n, err
	}
	for c.pace != nil {
		until, err := c.pace()
		if err != nil {
			return 0, err
		}
		if err := c.raw.SetReadDeadline(until); err != nil {
			return 0, err
		}
		if err := c.ctx.Err(); err != nil {
			return 0, err // it ended before the deadline was set, which may have undone its effect
		}
		n, err := c.Conn.Read(p)
		if timeout, ok := errors.AsType[net.Error](err); n == 0 && ok && timeout.Timeout() && c.ctx.Err() == nil {
			continue // the pace says whether that is too slow
		}
		return n, err
	}
	return c.Conn.Read(p)
}
