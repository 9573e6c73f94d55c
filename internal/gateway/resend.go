package gateway

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/gateway/stream"
)

// Bounds of sending again. A server that is in trouble must not get more work
// because of that: of ten requests one may be sent again, and ten at first.
const (
	maxAttempts  = 3
	resendPrice  = 10 // requests
	resendCredit = 10 * resendPrice
	// resendPause before the first repetition, and four times that before the
	// second: a server whose listener is only just coming up is there by then.
	resendPause = 50 * time.Millisecond
)

// budget is what may be sent again. Its zero value is full; it is safe for
// concurrent use.
type budget struct{ owed atomic.Int64 }

// earn counts a request.
func (b *budget) earn() {
	for owed := b.owed.Load(); owed > 0 && !b.owed.CompareAndSwap(owed, owed-1); owed = b.owed.Load() {
	}
}

// spend asks for one repetition.
func (b *budget) spend() bool {
	for {
		owed := b.owed.Load()
		if owed+resendPrice > resendCredit {
			return false
		}
		if b.owed.CompareAndSwap(owed, owed+resendPrice) {
			return true
		}
	}
}

// resender is a server as the proxy sends to it.
type resender struct{ *server }

// RoundTrip sends the request; see server.send.
func (r resender) RoundTrip(req *http.Request) (*http.Response, error) {
	return r.send(exchangeOf(req.Context()), r.transport, req)
}

// caller is a server as one call of gRPC is sent to it.
type caller struct {
	*server
	x *Exchange
}

// RoundTrip sends the call; see server.send.
func (c caller) RoundTrip(req *http.Request) (*http.Response, error) {
	return c.send(c.x, c.calls, req)
}

// send sends a request, and once more one of which the server got nothing; what
// the server may have read only where a second one does not count: GET and HEAD,
// and what has an Idempotency-Key on a route with resend: Idempotent. Nothing of
// an answer has passed then. What is sent again has the same id.
//
// net/http itself sends again what it could not write to a connection that was
// idle, through the request's GetBody, and GET and HEAD, which are not counted.
func (s *server) send(x *Exchange, by http.RoundTripper, req *http.Request) (*http.Response, error) {
	s.budget.earn()
	keyed := s.upstream.Idempotent && hasKey(req.Header)
	for {
		x.sends++
		res, got, err := sendOnce(x, by, req, keyed)
		if x.sends > 1 {
			x.Outcome.Attempts = x.sends
		}
		if err == nil || x.sends >= maxAttempts || !s.again(req.Context(), err, got) || !s.budget.spend() {
			return res, err
		}
		if err := pause(req.Context(), x.sends); err != nil {
			return nil, err
		}
		x.Route.Units.Resent.Add(1)
		if x.call == nil && x.Raw != nil {
			next := *req
			next.Body, _ = x.body()
			req = &next
		}
	}
}

// taken is what is known of a sending that failed.
type taken struct {
	repeatable bool // that the server may have read it is no harm
	answered   bool // a byte came back
	at         netip.AddrPort
}

// sendOnce sends the request. Who repeats it needs to know how far it came; nobody
// else pays for that.
func sendOnce(x *Exchange, by http.RoundTripper, req *http.Request, keyed bool) (*http.Response, taken, error) {
	if body := req.Body; body != nil && x.call != nil {
		kept := &keptBody{ReadCloser: body}
		next := *req
		next.Body = kept
		res, err := by.RoundTrip(&next)
		if _, is := errors.AsType[*unsent](err); !is {
			kept.release()
		}
		return res, taken{}, err
	}
	if !keyed {
		res, err := by.RoundTrip(req)
		return res, taken{}, err
	}
	var answered atomic.Bool
	var at atomic.Pointer[netip.AddrPort]
	trace := &httptrace.ClientTrace{
		GotFirstResponseByte: func() { answered.Store(true) },
		GotConn: func(i httptrace.GotConnInfo) {
			if tcp, is := i.Conn.RemoteAddr().(*net.TCPAddr); is {
				a := tcp.AddrPort()
				at.Store(&a)
			}
		},
	}
	res, err := by.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	got := taken{repeatable: true, answered: answered.Load()}
	if a := at.Load(); a != nil {
		got.at = *a
	}
	return res, got, err
}

// again reports whether a request that failed may be sent once more.
func (s *server) again(ctx context.Context, err error, got taken) bool {
	if ctx.Err() != nil {
		return false
	}
	if _, named := errors.AsType[*stream.Cut](err); named {
		return false
	}
	if timeout, is := errors.AsType[net.Error](err); is && timeout.Timeout() {
		return false // it has waited enough, and so has the server
	}
	if _, is := errors.AsType[*unsent](err); is {
		return true
	}
	if !got.repeatable || got.answered {
		return false
	}
	if got.at.IsValid() {
		s.addresses.avoid(got.at.Addr().Unmap()) // where there is another one, it is asked
	}
	return true
}

// pause waits before the next attempt, not for all requests as long.
func pause(ctx context.Context, attempts int) error {
	d := resendPause << (2 * (attempts - 1))
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

//lint:ignore SA1008 that net/http does not find them by these names is what the names are for
func hasKey(h http.Header) bool { return h[keyName] != nil || h[xKeyName] != nil }

// Names under which net/http does not find the keys of a request, for which it
// would send again what the server may have read, on its own. Names of headers are
// the same in either case (RFC 9110, section 5.1).
const (
	keyName  = "idempotency-key"
	xKeyName = "x-idempotency-key"
)

// hideKeys renames them.
func hideKeys(h http.Header) {
	for _, to := range [...]struct{ from, to string }{{"Idempotency-Key", keyName}, {"X-Idempotency-Key", xKeyName}} {
		if v, there := h[to.from]; there {
			delete(h, to.from)
			h[to.to] = v
		}
	}
}

// keptBody is the body of a call, which a sending that came to nothing does not
// close.
type keptBody struct {
	io.ReadCloser
	state atomic.Int32 // 1: closed by who sends; 2: that counts
}

// Close closes the body once it is known that it was sent.
func (k *keptBody) Close() error {
	if k.state.CompareAndSwap(0, 1) {
		return nil
	}
	if k.state.Load() == 2 {
		return k.ReadCloser.Close()
	}
	return nil
}

// release has closing count.
func (k *keptBody) release() {
	if k.state.Swap(2) == 1 {
		k.ReadCloser.Close()
	}
}

// bodyAgain is the body for net/http, which sends again what it could not write.
func (x *Exchange) bodyAgain() (io.ReadCloser, error) {
	x.sends++
	return x.body()
}
