package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/media/encoding"
	"github.com/apexlogic/apex/verdict"
)

// Call passes one call of gRPC on, and looks at every message in both directions
// before it passes. A message that is compressed is passed on as what it unfolds
// into.
type Call struct {
	// Transport speaks HTTP/2 with the server behind the route.
	Transport http.RoundTripper
	// URL of that server; the call's path is added. Header is what passes of the
	// call's own; what the protocol itself puts into it is added.
	URL    *url.URL
	Host   string
	Header http.Header
	// Methods that may be called, by path; start with [Inference].
	Methods map[string]*Method
	// Opaque lets every method pass. Of messages that no table describes the bytes
	// are looked at as they are.
	Opaque bool
	// Up is for what the client sends, Down for what comes back. EventBytes bounds a
	// message; zero is [DefaultCallBytes].
	Up, Down Options

	opened
}

// opened is a call of which the first message was read.
type opened struct {
	method *Method
	up     *messages
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// Open reads the first message, looks at it, and returns it without its head; it
// holds until Serve, which passes it on first. It is for who decides by that
// message. A call without one is refused. Close has to be called.
func (c *Call) Open(r *http.Request) ([]byte, error) {
	method, err := c.admit(r)
	if err != nil {
		return nil, err
	}
	c.begin(r, method, func() {})
	first, err := c.up.next()
	if err == io.EOF {
		return nil, cut(verdict.StreamInvalid, "the call has no message")
	}
	if err != nil {
		return nil, err
	}
	c.up.out = first
	return first[messageHead:], nil
}

// Close ends the call; nothing is looked at any more once it returns.
func (c *Call) Close() {
	if c.up != nil {
		c.up.Close()
		c.cancel(context.Canceled)
	}
}

// begin makes ready to read what the caller sends.
func (c *Call) begin(r *http.Request, method *Method, heard func()) {
	for _, o := range [...]*Options{&c.Up, &c.Down} {
		if o.EventBytes == 0 {
			o.EventBytes = DefaultCallBytes
		}
		o.defaults()
	}
	c.method = method
	c.ctx, c.cancel = context.WithCancelCause(r.Context())
	c.up = newMessages(c.ctx, r.Body, &c.Up, method.in, r.Header, heard)
}

// DefaultCallBytes is what gRPC's own libraries take of one message.
const DefaultCallBytes = 4 << 20

// The statuses of gRPC that are answered here.
const (
	statusDenied          = 7
	statusExhausted       = 8
	statusUnimplemented   = 12
	statusUnavailable     = 14
	statusUnauthenticated = 16
)

// Serve passes the call on until it ends. How it ended stands in the summaries;
// a cut is answered as PERMISSION_DENIED with its code, or UNAVAILABLE when the
// server behind does not answer. The cause of the request's context, when it is
// a *Cut, ends the call.
func (c *Call) Serve(w http.ResponseWriter, r *http.Request) (up, down Summary) {
	begun, err := c.serve(w, r, &up, &down)
	if err == nil {
		return up, down
	}
	refused, is := errors.AsType[*Cut](err)
	if !is { // the caller is gone, or will be told that the connection broke
		refused = &Cut{Code: verdict.UpstreamDown, Detail: "the call broke off"}
	}
	if up.Cut == "" && down.Cut == "" {
		down.Cut = refused.Code
	}
	deny(w, refused, begun)
	return up, down
}

// serve returns whether an answer was begun, and what ended it when that was not
// the call itself.
func (c *Call) serve(w http.ResponseWriter, r *http.Request, sumUp, sumDown *Summary) (begun bool, err error) {
	if c.up == nil {
		method, err := c.admit(r)
		if err != nil {
			return false, err
		}
		c.begin(r, method, nil)
	}
	ctx, cancel, up := c.ctx, c.cancel, c.up
	defer cancel(context.Canceled)
	defer context.AfterFunc(r.Context(), func() { cancel(Why(r.Context())) })()
	idle := min(c.Up.Idle, c.Down.Idle)
	silent := time.AfterFunc(idle, func() {
		cancel(&Cut{Code: verdict.StreamIdle, Detail: "both sides of the call were silent for too long"})
	})
	defer silent.Stop()
	heard := func() { silent.Reset(idle) }

	up.source.touch = heard
	defer func() {
		up.Close() // nobody looks at anything any more
		*sumUp = up.judge.sum
	}()
	res, err := c.Transport.RoundTrip(c.request(ctx, r, up))
	if err != nil {
		return false, whyOf(ctx, up, err)
	}
	down := newMessages(ctx, res.Body, &c.Down, c.method.out, res.Header, heard)
	defer func() {
		down.Close()
		*sumDown = down.judge.sum
	}()
	if res.StatusCode != http.StatusOK || !isGRPC(res.Header) {
		return false, cut(verdict.UpstreamDown, "the server behind the route does not answer in gRPC")
	}
	if err := down.judge.trailers(res.Header); err != nil {
		return false, err
	}
	copyHeader(w.Header(), res.Header, "")
	begun, err = down.passTo(w)
	if err != nil {
		return begun, whyOf(ctx, up, err)
	}
	// The trailers are there once the body has ended.
	if err := down.judge.trailers(res.Trailer); err != nil {
		return begun, err
	}
	if res.Header.Get("Grpc-Status") == "" && res.Trailer.Get("Grpc-Status") == "" {
		return begun, cut(verdict.UpstreamDown, "the answer has no status")
	}
	copyHeader(w.Header(), res.Trailer, http.TrailerPrefix)
	return begun, nil
}

// admit holds the call to the protocol and to the route's methods.
func (c *Call) admit(r *http.Request) (*Method, error) {
	if r.Method != http.MethodPost || r.ProtoMajor != 2 || !isGRPC(r.Header) {
		return nil, cut(verdict.RequestProtocol, "this is no call of gRPC")
	}
	method, known := c.Methods[r.URL.Path]
	if known {
		return method, nil
	}
	if !c.Opaque {
		return nil, cut(verdict.RequestRoute, "the route has no such method")
	}
	return &Method{}, nil
}

func isGRPC(h http.Header) bool {
	all := h["Content-Type"]
	return len(all) == 1 && (all[0] == "application/grpc" || all[0] == "application/grpc+proto")
}

// request is the call as the server behind sees it.
func (c *Call) request(ctx context.Context, r *http.Request, up *messages) *http.Request {
	to := *c.URL
	to.Path, to.RawPath, to.RawQuery = strings.TrimSuffix(to.Path, "/")+r.URL.Path, "", ""
	out := &http.Request{Method: http.MethodPost, URL: &to, Host: c.Host, Header: http.Header{}, Body: up, ContentLength: -1, Proto: "HTTP/2.0", ProtoMajor: 2}
	copyHeader(out.Header, c.Header, "")
	out.Header.Set("Content-Type", r.Header.Get("Content-Type"))
	out.Header.Set("Te", "trailers")
	out.Header.Set("Grpc-Accept-Encoding", "identity")
	if t := r.Header.Get("Grpc-Timeout"); t != "" {
		out.Header.Set("Grpc-Timeout", t)
	}
	return out.WithContext(ctx)
}

// unwanted are headers that are a connection's own, or speak of an encoding that
// was taken off.
var unwanted = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Content-Length": true, "Grpc-Encoding": true, "Grpc-Accept-Encoding": true, "Accept-Encoding": true,
}

func copyHeader(to, from http.Header, prefix string) {
	for name, values := range from {
		if !unwanted[name] {
			to[prefix+name] = append([]string(nil), values...)
		}
	}
}

// whyOf finds what ended a call: a message of the client that was refused, who
// ended the context, or the server.
func whyOf(ctx context.Context, up *messages, err error) error {
	if refused := up.refusal(); refused != nil {
		return refused
	}
	if ctx.Err() != nil {
		return Why(ctx)
	}
	if isCut(err) {
		return err
	}
	return cut(verdict.UpstreamDown, "the server behind the route does not answer")
}

// deny answers a cut: as the whole answer, or as the end of one.
func deny(w http.ResponseWriter, c *Cut, begun bool) {
	status := statusDenied
	switch c.Code {
	case verdict.UpstreamDown, verdict.UpstreamIdentity, verdict.StreamDrained, verdict.BodyMemory:
		status = statusUnavailable
	case verdict.RequestRoute:
		status = statusUnimplemented
	case verdict.StreamExpired, verdict.IdentityRevoked:
		status = statusUnauthenticated
	case verdict.StreamLimit, verdict.LimitTokens:
		status = statusExhausted
	}
	message := string(c.Code) + ": " + c.Code.Info().Meaning
	if !begun {
		clear(w.Header())
		DenyCall(w, status, message)
		return
	}
	setStatus(w.Header(), http.TrailerPrefix, status, message)
}

// DenyCall answers a call of gRPC of which nothing was answered yet.
func DenyCall(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/grpc")
	setStatus(w.Header(), "", status, message)
	w.WriteHeader(http.StatusOK)
}

func setStatus(h http.Header, prefix string, status int, message string) {
	var b strings.Builder
	for _, c := range []byte(message) { // as the protocol encodes what is not plain ASCII
		if c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	h[prefix+"Grpc-Status"] = []string{strconv.Itoa(status)}
	h[prefix+"Grpc-Message"] = []string{b.String()}
}

// messages reads the messages of one direction of a call; what comes out of Read
// was looked at. Close waits until nothing is looked at any more.
type messages struct {
	source
	judge    judge
	fields   fields
	table    message // nil: opaque
	encoding string

	mu     sync.Mutex // while a message is looked at, and memory taken for one
	closed bool
	err    error
	room   room

	held []byte // the message at hand, with its head
	out  []byte // of it, what was not yet asked for
}

const messageHead = 5

func newMessages(ctx context.Context, from io.ReadCloser, o *Options, table message, h http.Header, heard func()) *messages {
	m := &messages{table: table, encoding: strings.Join(h["Grpc-Encoding"], ",")}
	m.judge.begin(o)
	m.fields.judge = &m.judge
	m.room = room{ctx: ctx, memory: o.Memory}
	m.source.begin(ctx, from, 0)
	m.source.touch = heard
	return m
}

// Read hands out messages that were looked at.
func (m *messages) Read(p []byte) (int, error) {
	if len(m.out) == 0 {
		message, err := m.next()
		if err != nil {
			return 0, err
		}
		m.out = message
	}
	n := copy(p, m.out)
	m.out = m.out[n:]
	return n, nil
}

// Close ends the reading.
func (m *messages) Close() error {
	err := m.source.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return err
}

// refusal is the cut that ended the reading; nil when that was none.
func (m *messages) refusal() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.judge.sum.Cut == "" {
		return nil
	}
	return m.err
}

// passTo hands the messages to a client, each as soon as it was looked at, and
// returns whether there was one.
func (m *messages) passTo(w http.ResponseWriter) (begun bool, err error) {
	flush := http.NewResponseController(w)
	for {
		message, err := m.next()
		if err == io.EOF {
			return begun, nil
		}
		if err != nil {
			return begun, err
		}
		begun = true
		if _, err := w.Write(message); err != nil {
			return begun, err
		}
		if err := flush.Flush(); err != nil {
			return begun, err
		}
	}
}

// next returns the next message, with its head. It holds until the next call.
func (m *messages) next() ([]byte, error) {
	data, err := m.receive()
	if err == io.EOF {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, http.ErrBodyReadAfterClose
	}
	if err == nil {
		data, err = m.look(data)
	}
	if err != nil {
		m.err = err
		if c, is := errors.AsType[*Cut](err); is {
			m.judge.sum.Cut = c.Code
		}
		return nil, err
	}
	return data, nil
}

// receive reads one message, in steps that grow with what came.
func (m *messages) receive() ([]byte, error) {
	if err := m.letGo(); err != nil {
		return nil, err
	}
	m.held = append(m.held[:0], make([]byte, messageHead)...)
	if n, err := io.ReadFull(&m.source, m.held); err != nil {
		if n > 0 {
			err = brokenOff(err)
		}
		return nil, err
	}
	length := int64(binary.BigEndian.Uint32(m.held[1:]))
	if length > m.judge.o.EventBytes {
		return nil, cut(verdict.StreamLimit, "a message has more than %d bytes", m.judge.o.EventBytes)
	}
	for done := int64(0); done < length; {
		at := len(m.held)
		step := min(length-done, max(firstPiece, int64(at)))
		if int64(cap(m.held)-at) < step {
			if err := m.grow(at + int(step)); err != nil {
				return nil, err
			}
			m.held = append(make([]byte, 0, at+int(step)), m.held...)
		}
		m.held = m.held[:at+int(step)]
		if _, err := io.ReadFull(&m.source, m.held[at:]); err != nil {
			return nil, brokenOff(err)
		}
		done += step
	}
	return m.held, nil
}

// grow takes memory for a message of so many bytes.
func (m *messages) grow(size int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return http.ErrBodyReadAfterClose
	}
	return m.room.hold(&m.judge, size)
}

// letGo gives back the memory of the last message, unless it was a small one.
func (m *messages) letGo() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return http.ErrBodyReadAfterClose
	}
	if cap(m.held) > keptBytes {
		m.held = nil
	}
	m.room.empty()
	return nil
}

// look looks at a message, and returns it as it is passed on.
func (m *messages) look(framed []byte) (out []byte, err error) {
	defer failed(&err)
	j := &m.judge
	data := framed[messageHead:]
	switch framed[0] {
	case 0:
	case 1:
		if m.encoding == "" || m.encoding == "identity" {
			return nil, cut(verdict.StreamInvalid, "a message is compressed, and nobody says how")
		}
		l := j.limits
		most := unfolds(data, &l)
		if err := m.room.more(j, most); err != nil {
			return nil, err
		}
		if data, err = encoding.Decode([]string{m.encoding}, data, &l); err != nil {
			return nil, j.refused(err)
		}
		m.room.less(most - min(most, int64(len(data))))
		framed = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(data))), data...)
		data = framed[messageHead:]
	default:
		return nil, cut(verdict.StreamInvalid, "the head of a message is none of gRPC's")
	}
	if m.table != nil {
		err = m.fields.read(m.table, data)
	} else {
		err = j.plain(data)
	}
	if err != nil {
		return nil, err
	}
	if j.sum.Bytes += int64(len(data)); j.sum.Bytes > j.o.Bytes {
		return nil, cut(verdict.StreamLimit, "the messages have more than %d bytes", j.o.Bytes)
	}
	j.sum.Events++
	return framed, nil
}
