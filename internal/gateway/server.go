package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"time"

	"github.com/apexlogic/apex/internal/gateway/stream"
	"github.com/apexlogic/apex/verdict"
)

// server is what routes pass requests on to. It keeps its connections and what
// is known of its health over generations, for as long as a route names it.
type server struct {
	upstream  Upstream
	transport *http.Transport
	proxy     *httputil.ReverseProxy
	calls     *http.Transport // of gRPC, in HTTP/2
	breaker   breaker
	budget    budget
	addresses addresses
	links     links
}

// is reports whether the server is the one that an upstream describes.
func (s *server) is(u *Upstream) bool {
	return *s.upstream.URL == *u.URL && s.upstream.TLS == u.TLS && s.upstream.Timeout == u.Timeout && s.upstream.Stream == u.Stream && s.upstream.Idempotent == u.Idempotent
}

// idleFor is how long a connection that nobody uses is kept.
const idleFor = 90 * time.Second

// maxAnswerHeader bounds what comes before an answer.
const maxAnswerHeader = 64 << 10

// unencrypted2 is HTTP/2 where the route says that there is no TLS.
func unencrypted2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

func newServer(u *Upstream) *server {
	s := &server{upstream: *u, addresses: addresses{lookup: lookupAddresses}}
	s.links.stream = u.Stream
	s.links.idle = s.closeIdle
	dial := func(protocols ...string) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, _, _ string) (net.Conn, error) { return s.connect(ctx, protocols...) }
	}
	s.transport = &http.Transport{
		DialContext: dial(), DialTLSContext: dial("h2", "http/1.1"), ForceAttemptHTTP2: u.TLS != nil, DisableCompression: true,
		MaxIdleConns: 256, MaxIdleConnsPerHost: 256, IdleConnTimeout: idleFor,
		ResponseHeaderTimeout: u.Timeout, MaxResponseHeaderBytes: maxAnswerHeader,
	}
	s.calls = s.transport
	if u.TLS == nil {
		s.calls = &http.Transport{DialContext: dial(), Protocols: unencrypted2(), IdleConnTimeout: idleFor, MaxResponseHeaderBytes: maxAnswerHeader}
	}
	// Streams are flushed at once without being asked to.
	s.proxy = &httputil.ReverseProxy{
		Transport: resender{s}, BufferPool: buffers, Rewrite: s.rewrite, ModifyResponse: s.look, ErrorHandler: s.failed,
		ErrorLog: quiet(),
	}
	return s
}

// closeIdle closes the connections that nothing runs on.
func (s *server) closeIdle() {
	s.transport.CloseIdleConnections()
	s.calls.CloseIdleConnections()
}

// rewrite makes the request that the server gets.
func (s *server) rewrite(p *httputil.ProxyRequest) {
	p.SetURL(s.upstream.URL)
	p.Out.Host = s.upstream.URL.Host
	stream.Ask(p.Out.Header)
	x := exchangeOf(p.In.Context())
	p.Out.Header.Set("X-Request-Id", x.ID)
	p.Out.Header.Set("X-Apex-Principal", x.Principal.ID)
	hideKeys(p.Out.Header)
	if x.Raw != nil { // what was not sent at all can be sent again
		p.Out.GetBody = x.bodyAgain
	}
}

// look has the answer looked at while it is passed on.
func (s *server) look(res *http.Response) error {
	x := exchangeOf(res.Request.Context())
	x.settle(answers)
	x.OnEnd(x.bound())
	res.Header.Del("X-Apex-Principal")
	res.Header.Set("X-Request-Id", x.ID)
	if err := s.stay(res, x.Request.Host); err != nil {
		return err
	}
	return x.answers.Modify(res)
}

// failed answers for a server that did not, or whose answer is refused.
func (s *server) failed(_ http.ResponseWriter, r *http.Request, err error) {
	s.broke(exchangeOf(r.Context()), r.Context(), err)
}

// broke answers for a server that did not.
func (s *server) broke(x *Exchange, ctx context.Context, err error) {
	d := &Denial{Code: verdict.UpstreamDown, Detail: "the server behind the route does not answer", Status: http.StatusBadGateway}
	cut, isCut := errors.AsType[*stream.Cut](err)
	if !isCut { // who ended it says why
		cut, isCut = errors.AsType[*stream.Cut](stream.Why(ctx))
	}
	switch timeout, is := errors.AsType[interface {
		error
		Timeout() bool
	}](err); {
	case isCut:
		if cut.Code == verdict.UpstreamDown || cut.Code == verdict.UpstreamIdentity {
			x.settle(fails)
		}
		d.Code, d.Detail = cut.Code, cut.Detail
		if status, known := statuses[cut.Code]; known {
			d.Status = status
		}
	case ctx.Err() != nil: // the caller is gone: nothing is known of the server
	case is && timeout.Timeout():
		d.Code, d.Detail, d.Status = verdict.UpstreamTimeout, "the server behind the route did not answer in time", http.StatusGatewayTimeout
		x.settle(fails)
	default:
		x.settle(fails)
	}
	x.settle(nothing)
	x.gateway.options.Log.Warn("a request was passed on and not answered", "request", x.ID, "route", x.Route.Name, "code", d.Code, "error", err)
	x.Outcome.Code = string(d.Code)
	x.answer(d)
}

// reach holds a place at the server behind, before the record says that the
// request is passed on.
func reach(x *Exchange) error {
	s := x.Route.server
	wait, ok := s.breaker.enter(x, x.Began)
	if !ok {
		return &Denial{Code: verdict.UpstreamOpen, Detail: "the server behind the route is left alone for a moment", RetryAfter: wait}
	}
	x.asked = s
	return nil
}

// settle tells the breaker once what became of the request.
func (x *Exchange) settle(found health) {
	if x.asked != nil {
		x.asked.breaker.settle(x, x.gateway.options.Clock.Now(), found)
		x.asked = nil
	}
}
