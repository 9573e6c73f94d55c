package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

type connectionKey struct{}

// newPlain returns what passes plain HTTP on, to the addresses that were judged.
func (p *Proxy) newPlain() http.Handler {
	return &httputil.ReverseProxy{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				c, ok := ctx.Value(connectionKey{}).(*connection)
				if !ok {
					return nil, errors.New("the address was not judged")
				}
				conn, err := p.options.Dialer.Pinned(ctx, c.addresses, c.port)
				if err == nil {
					to := conn.RemoteAddr().String()
					c.connected.Store(&to)
				}
				return conn, err
			},
			DisableKeepAlives:  true, // a connection belongs to one judged address
			DisableCompression: true, MaxResponseHeaderBytes: maxHeader, ResponseHeaderTimeout: p.options.Idle,
		},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL = &url.URL{Scheme: "http", Host: r.In.URL.Host, Path: r.In.URL.Path, RawPath: r.In.URL.RawPath, RawQuery: r.In.URL.RawQuery}
			r.Out.Host = r.In.URL.Host
		},
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			c, ok := r.Context().Value(connectionKey{}).(*connection)
			if !ok {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			refusal := media.Refuse(verdict.UpstreamDown, "", "the host does not answer")
			if cause := context.Cause(r.Context()); cause != nil {
				if code, detail := ended(cause); code != "" {
					refusal = media.Refuse(code, "", "%s", detail)
				}
			}
			c.end(refusal)
			p.answer(w, c, refusal)
		},
	}
}

// pass serves a request for a whole URL that is allowed.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, c *connection) {
	began := time.Now()
	ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), connectionKey{}, c))
	c.end = cancel
	defer p.track(c)()
	var sent, received atomic.Int64
	defer func() { // also when the answer broke off, which ReverseProxy says by a panic
		cause := context.Cause(ctx)
		cancel(nil)
		p.over(c, cause, sent.Load(), received.Load(), began)
	}()
	most := p.options.Bytes
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &counted{r.Body, &sent, &received, most, cancel}
	}
	w = &countedWriter{w, &received, &sent, most, cancel}
	p.plain.ServeHTTP(w, r)
}

// counted counts what is read, and ends when both directions had most bytes.
type counted struct {
	io.ReadCloser
	own, other *atomic.Int64
	most       int64
	cut        func(error)
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	if c.own.Add(int64(n))+c.other.Load() > c.most {
		c.cut(errBytes)
		return 0, errBytes
	}
	return n, err
}

// countedWriter is the same for what is written.
type countedWriter struct {
	http.ResponseWriter
	own, other *atomic.Int64
	most       int64
	cut        func(error)
}

func (c *countedWriter) Write(b []byte) (int, error) {
	if c.own.Add(int64(len(b)))+c.other.Load() > c.most {
		c.cut(errBytes)
		return 0, errBytes
	}
	return c.ResponseWriter.Write(b)
}

// Unwrap lets the answer be flushed.
func (c *countedWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }
