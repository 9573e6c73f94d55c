package oci

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/verdict"
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// newWire returns a wire that speaks HTTP/1.1 without proxies and
// without decompression: what was hashed is what was sent, and no answer grows
// on the way in. HTTP/2 would save nothing for four requests in a row.
func newWire(dial dialFunc, conf *tls.Config) *wire {
	if conf == nil {
		conf = &tls.Config{}
	}
	conf = conf.Clone()
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	conf.NextProtos = []string{"http/1.1"}
	if conf.ClientSessionCache == nil {
		conf.ClientSessionCache = tls.NewLRUClientSessionCache(64)
	}
	return &wire{Transport: &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        conf,
		TLSHandshakeTimeout:    handshakeWait,
		DisableCompression:     true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    perRegistry,
		MaxConnsPerHost:        4 * perRegistry,
		IdleConnTimeout:        idleWait,
		MaxResponseHeaderBytes: maxHeaderBytes,
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
	}}
}

// host is what the client remembers about one registry.
type host struct {
	name  string        // as in the reference: "ghcr.io", "127.0.0.1:5000"
	slots chan struct{} // one token per running request

	mu        sync.Mutex
	scheme    string // "" until known
	challenge challenge
	tokens    map[string]token
}

type hostTable struct {
	mu    sync.Mutex
	hosts map[string]*host
}

func (t *hostTable) get(name string) *host {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.hosts[name]; h != nil {
		return h
	}
	if t.hosts == nil {
		t.hosts = map[string]*host{}
	}
	if len(t.hosts) >= maxHosts {
		for other := range t.hosts {
			delete(t.hosts, other) // whoever uses it keeps it; it is learnt anew
			break
		}
	}
	h := &host{name: name, slots: make(chan struct{}, perRegistry), tokens: map[string]token{}}
	t.hosts[name] = h
	return h
}

// schemes returns the schemes to try for a registry, in order.
func (c *Client) schemes(h *host) []string {
	h.mu.Lock()
	known := h.scheme
	h.mu.Unlock()
	if known != "" {
		return []string{known}
	}
	if c.plainAllowed(h.name) {
		return []string{"http"}
	}
	if name, port := splitHost(h.name, "443"); isLoopback(name) && c.guard.allows(name, port) {
		return []string{"https", "http"}
	}
	return []string{"https"}
}

// plainAllowed reports whether hostport was listed for HTTP.
func (c *Client) plainAllowed(hostport string) bool {
	name, _ := splitHost(hostport, "")
	return c.plain[strings.ToLower(hostport)] || c.plain[strings.ToLower(name)]
}

func (h *host) learnScheme(scheme string) {
	h.mu.Lock()
	h.scheme = scheme
	h.mu.Unlock()
}

// splitHost takes "host[:port]" apart; brackets of IPv6 are taken off.
func splitHost(hostport, defaultPort string) (name, port string) {
	if n, p, err := net.SplitHostPort(hostport); err == nil {
		return n, p
	}
	return strings.Trim(hostport, "[]"), defaultPort
}

func isLoopback(name string) bool {
	if strings.EqualFold(name, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.Unmap().IsLoopback()
}

// allows reports whether the options open host:port, which is written as an
// address or listed by name.
func (g *guard) allows(name, port string) bool {
	if g.names(name, port) {
		return true
	}
	a, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	for _, p := range g.prefixes {
		if p.Contains(effective(a)) {
			return true
		}
	}
	return false
}

// request is one thing asked of a registry.
type request struct {
	method  string
	path    string // "/v2/…", or an absolute URL of the same registry; may hold a query
	accept  string
	actions string // "pull" or "pull,push"
	header  http.Header
	// body opens the request's body anew; nil sends none.
	body   func() (io.ReadCloser, error)
	length int64
	limit  int64 // bytes of the answer's body
	wait   time.Duration
	// redirects allows following them; only GET of blobs needs it.
	redirects bool
}

// response is an answer, read to its end.
type response struct {
	status int
	header http.Header
	body   []byte
	url    *url.URL
}

// ask sends the request, with credentials when the registry asks for them, and
// reads the answer. The answer may have any status; errors are about not
// getting a proper one.
func (c *call) ask(ctx context.Context, r request) (*response, error) {
	h := c.hosts.get(c.repo.host)
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if r.wait == 0 {
		r.wait = c.limits.Header
	}
	// At most one new credential per request: a registry that answers 401
	// forever gets two of them.
	auth, err := c.authorize(ctx, h, r.actions, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.follow(ctx, h, r, auth)
	if err != nil || res.status != http.StatusUnauthorized {
		return res, err
	}
	if !strings.EqualFold(res.url.Host, h.name) {
		return res, nil // a blob store's challenge is not the registry's: it gets no credentials
	}
	ch, err := pickChallenge(res.header.Values("WWW-Authenticate"))
	if err != nil {
		return nil, faultf(verdict.RegistryUnauthorized, "%s answered 401 without a usable challenge: %w", h.name, err)
	}
	again, err := c.authorize(ctx, h, r.actions, &ch)
	if err != nil {
		return nil, err
	}
	if again == "" {
		return res, nil // nothing to offer
	}
	return c.follow(ctx, h, r, again)
}

// follow sends the request to the registry and then to where it redirects.
func (c *call) follow(ctx context.Context, h *host, r request, auth string) (*response, error) {
	var res *response
	var err error
	schemes := c.schemes(h)
	for i, scheme := range schemes {
		var u *url.URL
		u, err = c.target(h, scheme, r.path)
		if err != nil {
			return nil, err
		}
		res, err = c.exchange(ctx, c.open, u, r, auth)
		if err == nil {
			h.learnScheme(u.Scheme)
			break
		}
		if _, notTLS := errors.AsType[tls.RecordHeaderError](err); notTLS && i+1 < len(schemes) {
			continue
		}
		return nil, err
	}
	for hop := 0; isRedirect(res.status); hop++ {
		if !r.redirects {
			return nil, faultf(verdict.RegistryAnswer, "%s answered %d: a redirect is not followed here", h.name, res.status)
		}
		if hop == maxRedirects {
			return nil, faultf(verdict.RegistryAnswer, "%s redirects more than %d times", h.name, maxRedirects)
		}
		next, err := res.url.Parse(res.header.Get("Location"))
		if err != nil || res.header.Get("Location") == "" {
			return nil, faultf(verdict.RegistryAnswer, "%s redirects to nowhere that can be read", h.name)
		}
		transport, err := c.hop(h, next)
		if err != nil {
			return nil, err
		}
		hopAuth := ""
		if sameOrigin(next, res.url) && auth != "" && next.Host == h.name {
			hopAuth = auth
		}
		if res, err = c.exchange(ctx, transport, next, r, hopAuth); err != nil {
			return nil, err
		}
	}
	return res, nil
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host)
}

// target builds the URL of path at the registry. An absolute URL is accepted
// only if it is the registry's own.
func (c *call) target(h *host, scheme, path string) (*url.URL, error) {
	base := &url.URL{Scheme: scheme, Host: h.name}
	u, err := base.Parse(path)
	if err != nil {
		return nil, faultf(verdict.RegistryAnswer, "%s names a URL that cannot be read", h.name)
	}
	if !sameOrigin(u, base) || u.User != nil {
		return nil, faultf(verdict.RegistryAnswer, "%s names a URL of another host", h.name)
	}
	return u, nil
}

// hop decides whether a registry may send us to u, and how it is dialled. A
// registry at a public address can only send us to public addresses, even if
// the options open private ones: those were opened for somebody else.
func (c *call) hop(h *host, u *url.URL) (*wire, error) {
	own := strings.EqualFold(u.Host, h.name)
	plainOwn := false
	if own {
		h.mu.Lock()
		plainOwn = h.scheme == "http"
		h.mu.Unlock()
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && (plainOwn || c.plainAllowed(u.Host)):
	case u.Scheme == "http":
		return nil, faultf(verdict.RegistryAddress, "%s sends us to %s over plain HTTP", h.name, u.Host)
	default:
		return nil, faultf(verdict.RegistryAddress, "%s sends us to a %.16q URL", h.name, u.Scheme)
	}
	if u.User != nil || u.Hostname() == "" {
		return nil, faultf(verdict.RegistryAnswer, "%s sends us to a URL without a host, or with a user in it", h.name)
	}
	if own {
		return c.open, nil
	}
	name, port := splitHost(h.name, "443")
	if c.guard.reachedPrivately(name, port) || (port == "443" && c.guard.reachedPrivately(name, "80")) {
		return c.open, nil
	}
	return c.public, nil
}

// exchange is one HTTP request and its whole answer, watched: the header has
// to be there after r.wait, and the body has to keep coming.
func (c *call) exchange(ctx context.Context, over *wire, u *url.URL, r request, auth string) (*response, error) {
	req := &http.Request{Method: r.method, URL: u, Host: u.Host, Header: make(http.Header, len(r.header)+3), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	for k, v := range r.header {
		req.Header[k] = v
	}
	req.Header["User-Agent"] = []string{c.agent}
	if r.accept != "" {
		req.Header["Accept"] = []string{r.accept}
	}
	if auth != "" {
		req.Header["Authorization"] = []string{auth}
	}
	if r.body != nil {
		body, err := r.body()
		if err != nil {
			return nil, err
		}
		req.Body, req.ContentLength = body, r.length
		if r.length == 0 {
			body.Close()
			req.Body = http.NoBody
		}
	}
	var got atomic.Int64
	defer func() { c.charge(ctx, got.Load()) }()
	if over.carries(req) {
		return c.askOver(ctx, over, req, r, &got)
	}
	return c.sendOver(ctx, over.Transport, req, r, &got)
}

// askOver makes a request without a body. The deadlines of its connection are its watch.
func (c *call) askOver(ctx context.Context, over *wire, req *http.Request, r request, got *atomic.Int64) (*response, error) {
	host := req.URL.Host
	deadline := time.Now().Add(r.wait)
	conn, httpRes, err := over.do(ctx, req, deadline)
	if err != nil {
		if ctx.Err() == nil && !time.Now().Before(deadline) {
			return nil, c.noHeader(host, r.wait)
		}
		return nil, transportError(ctx, host, err)
	}
	whole := false
	defer func() { over.release(conn, whole && !httpRes.Close) }()
	res, limit, err := c.header(httpRes, req, r)
	if err != nil || limit < 0 {
		whole = err == nil
		return res, err
	}
	conn.pace = paceOf(c.limits, got)
	res.body, err = readBody(&countedBody{r: httpRes.Body, n: got, left: c.left}, limit, httpRes.ContentLength)
	switch {
	case err == nil:
		whole = true
		return res, nil
	case errors.Is(err, errRate) && ctx.Err() == nil:
		return nil, c.tooSlow(host)
	}
	return c.broken(ctx, host, res, err)
}

// sendOver makes a request with a body, by net/http and with timers.
func (c *call) sendOver(parent context.Context, transport *http.Transport, req *http.Request, r request, got *atomic.Int64) (*response, error) {
	host := req.URL.Host
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	header := time.AfterFunc(r.wait, func() { cancel(c.noHeader(host, r.wait)) })
	defer header.Stop()
	httpRes, err := transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, transportError(ctx, host, err)
	}
	defer httpRes.Body.Close()
	if !header.Stop() {
		// The header came as the timer fired: the cause is set, or will be.
		<-ctx.Done()
		return nil, transportError(ctx, host, ctx.Err())
	}
	res, limit, err := c.header(httpRes, req, r)
	if err != nil || limit < 0 {
		return res, err
	}
	w := watchRate(c.limits, got, func() { cancel(c.tooSlow(host)) })
	defer w.stop()
	if res.body, err = readBody(&countedBody{r: httpRes.Body, n: got, left: c.left}, limit, httpRes.ContentLength); err != nil {
		return c.broken(ctx, host, res, err)
	}
	return res, nil
}

func (c *call) noHeader(host string, wait time.Duration) error {
	return faultf(verdict.RegistryUnreachable, "%s sent no complete response header within %s", host, wait)
}

func (c *call) tooSlow(host string) error {
	return faultf(verdict.RegistryUnreachable, "%s sends less than %d bytes per second: %w", host, c.limits.MinRate, errRate)
}

// header judges an answer's header. limit is how much of its body may be read;
// negative: there is none.
func (c *call) header(httpRes *http.Response, req *http.Request, r request) (res *response, limit int64, err error) {
	host := req.URL.Host
	if enc := httpRes.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, 0, faultf(verdict.RegistryAnswer, "%s sent an encoded body (%.20q) although none was asked for", host, enc)
	}
	res = &response{status: httpRes.StatusCode, header: httpRes.Header, url: req.URL}
	if r.method == http.MethodHead {
		return res, -1, nil
	}
	limit = r.limit
	if res.status >= 300 || limit == 0 {
		limit = maxErrorBytes
	}
	if httpRes.ContentLength > limit && res.status < 300 {
		return nil, 0, faultf(verdict.RegistryTooLarge, "%s announces a body of %d bytes; the limit is %d", host, httpRes.ContentLength, limit)
	}
	return res, limit, nil
}

// broken explains why a body was not read to its end; err is not nil.
func (c *call) broken(ctx context.Context, host string, res *response, err error) (*response, error) {
	if errors.Is(err, bounded.ErrTooLarge) {
		if res.status >= 300 {
			return res, nil // an error's text is not worth an error
		}
		return nil, faultf(verdict.RegistryTooLarge, "%s: body: %w", host, err)
	}
	if _, ours := errors.AsType[*fault](err); ours {
		return nil, err
	}
	return nil, transportError(ctx, host, fmt.Errorf("read body: %w", err))
}
