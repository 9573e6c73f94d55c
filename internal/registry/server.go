package registry

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// headerTime is what a client has for its request line and headers.
	headerTime = 10 * time.Second
	// requestTime is what any request has, and what a blob's request has
	// besides the time that its bytes are granted by minRate. It is longer
	// than gateTime, which is spent inside of a request.
	requestTime = 90 * time.Second
	// idleTime is how long a connection is kept for its next request.
	idleTime = 2 * time.Minute
	// maxHeader holds the largest token.
	maxHeader = 64 << 10
	// minRate is the slowest client that is served, in bytes per second: an
	// old mobile connection. A body that comes slower is an attack or dead.
	minRate = 16 << 10
	// deadlineStep is how many bytes pass between two settings of a deadline.
	deadlineStep = 1 << 20
)

// Server returns a server for h with time limits that slow or idle clients run
// into and large blobs do not: [Registry] extends them as bytes arrive. The
// caller sets the address and TLS, serves, and shuts it down.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		WriteTimeout:      requestTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
	}
}

// allowance is the longest that n bytes may take. Deadlines of connections are
// the machine's time, not the registry's clock: they decide nothing.
func allowance(n int64) time.Duration {
	return requestTime + time.Duration(n/minRate)*time.Second
}

// timed reports whether the server that serves req sets deadlines anew for
// every request. Only then may a handler move them: otherwise they would still
// be there when the connection's next request comes.
func timed(req *http.Request) bool {
	srv, ok := req.Context().Value(http.ServerContextKey).(*http.Server)
	return ok && srv.ReadTimeout > 0 && srv.WriteTimeout > 0
}

// extendWrite gives the answer as long as n bytes may take.
func extendWrite(x *exchange, n int64) error {
	if !timed(x.req) {
		return nil
	}
	return http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(allowance(n)))
}

// pacedBody is a request's body whose deadline moves on as long as bytes come
// at minRate on average. Errors are *bodyError. It counts what it read.
type pacedBody struct {
	body  io.Reader
	rc    *http.ResponseController // nil when the server is not timed
	start time.Time
	n     int64
	next  int64 // the deadline is set again when n reaches it
	in    *counters
}

func (r *Registry) paced(x *exchange) *pacedBody {
	p := &pacedBody{body: x.req.Body, start: time.Now(), in: &r.stats}
	if timed(x.req) {
		p.rc = http.NewResponseController(x.w)
	}
	return p
}

func (p *pacedBody) Read(buf []byte) (int, error) {
	if p.rc != nil && p.n >= p.next {
		p.next = p.n + deadlineStep
		deadline := p.start.Add(allowance(p.next))
		// The answer comes after the body, so its deadline moves too.
		for _, err := range []error{p.rc.SetReadDeadline(deadline), p.rc.SetWriteDeadline(deadline.Add(requestTime))} {
			if err != nil {
				return 0, &bodyError{err}
			}
		}
	}
	n, err := p.body.Read(buf)
	p.n += int64(n)
	p.in.in.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		err = &bodyError{err}
	}
	return n, err
}
