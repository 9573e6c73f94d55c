// Package egress is the way out for functions and workloads: a forward proxy
// that knows who connects, lets everyone reach what they are listed for, and
// keeps a record of each connection.
//
// Start with [New] and [Proxy.Server]. Clients speak HTTP/1.1 to it: CONNECT for
// TLS, and requests with a whole URL for plain HTTP where the list has the port.
// They show who they are by a client certificate, or by a bearer token in
// Proxy-Authorization.
//
// TLS is not opened: what goes through a tunnel is not seen. The proxy holds to
// account where it goes: the name is resolved once, connected to at public
// addresses only, and the client's TLS greeting has to be for the same name. A
// server that also serves other names can still be asked for them within TLS
// (domain fronting); list only hosts whose owner is trusted with what is sent.
//
// Sources: RFC 9110, section 9.3.6 (CONNECT), RFC 8446 (TLS 1.3), RFC 6066
// (server names), RFC 9849 (encrypted client hello).
package egress

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway/fetch/address"
	"github.com/apexlogic/apex/internal/gateway/limit"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// Options are what a proxy needs. Identity, Reach, Recorder and Clock have to be
// there.
type Options struct {
	Identity identity.Authenticator
	// Reach says whether an identity may connect to a host, by the rules in force.
	Reach    func(*identity.Principal, Target) Answer
	Recorder Recorder
	Clock    clock.Clock
	// Watch has cut called when the identity is revoked, or when the permit, which
	// is asked whenever rules or trust change, holds no more; until stop is called.
	// live.Live.Watch is one. Nil: an open connection ends with its identity's
	// validity only.
	Watch  func(p *identity.Principal, permit live.Permit, cut func(*live.Ended)) (stop func())
	Dialer *address.Dialer // nil: public addresses, by the system's resolver
	Log    *slog.Logger    // nil: nothing is logged
	// Bounds. Zero is the default.
	Concurrent int64         // connections of one identity at once
	Bytes      int64         // of one connection, both ways together
	Idle       time.Duration // without a byte in either direction
	Lifetime   time.Duration // of one connection
	Greeting   time.Duration // until the TLS greeting is there
}

// Target is where somebody wants to connect to.
type Target struct {
	Host address.Host
	Port uint16
	From string // address and port of who connects
}

// Answer says whether a target may be connected to, by which policies of which
// generation.
type Answer struct {
	Allow      bool
	Code       verdict.Code // of a refusal
	Detail     string
	Policies   []string
	Generation string
}

// refusal is why it is not allowed.
func (a *Answer) refusal() (verdict.Code, string) {
	if a.Code == "" {
		return verdict.EgressDestination, "the identity may not connect to this host and port"
	}
	return a.Code, a.Detail
}

// The defaults, and the bounds of what has none.
const (
	DefaultConcurrent = 256
	DefaultBytes      = 1 << 30
	DefaultIdle       = 2 * time.Minute
	DefaultLifetime   = time.Hour
	DefaultGreeting   = 10 * time.Second

	maxHeader = 64 << 10
	maxToken  = 16 << 10
)

// Proxy is the way out. It is safe for concurrent use.
type Proxy struct {
	options Options
	places  limit.Places
	plain   http.Handler

	mu     sync.Mutex
	open   map[*connection]struct{}
	closed bool
}

// New returns a proxy.
func New(o Options) (*Proxy, error) {
	if o.Identity == nil || o.Reach == nil || o.Recorder == nil || o.Clock == nil {
		return nil, errors.New("egress: identity, reach, recorder and clock have to be given")
	}
	if o.Dialer == nil {
		o.Dialer = &address.Dialer{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Concurrent <= 0 {
		o.Concurrent = DefaultConcurrent
	}
	if o.Bytes <= 0 {
		o.Bytes = DefaultBytes
	}
	for _, d := range []struct {
		at       *time.Duration
		standard time.Duration
	}{{&o.Idle, DefaultIdle}, {&o.Lifetime, DefaultLifetime}, {&o.Greeting, DefaultGreeting}} {
		if *d.at <= 0 {
			*d.at = d.standard
		}
	}
	p := &Proxy{options: o, open: map[*connection]struct{}{}}
	p.plain = p.newPlain()
	return p, nil
}

// Server returns an HTTP server that takes connections. It has to be shut down,
// and the proxy then drained: what goes through tunnels is not the server's.
func (p *Proxy) Server() *http.Server {
	server := &http.Server{
		Handler: p, ReadHeaderTimeout: p.options.Greeting, IdleTimeout: p.options.Idle, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(io.Discard, "", 0), // lines about foreign bytes
	}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	return server
}

// TLS is what a listener needs for clients that connect to the proxy by TLS: the
// proxy speaks HTTP/1.1 only.
func TLS(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.NextProtos = []string{"http/1.1"}
	return c
}

// Drain waits until every connection is over, or the context is; then it cuts
// what is left, and lets no new one begin.
func (p *Proxy) Drain(ctx context.Context) {
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for p.running() > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	p.Close()
}

// lookAgain is how often is looked whether all connections are over.
const lookAgain = 100 * time.Millisecond

func (p *Proxy) running() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// Close cuts every connection, and lets no new one begin.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	all := slices.Collect(maps.Keys(p.open))
	p.mu.Unlock()
	for _, c := range all {
		c.end(errStopped)
	}
}

// connection is one client's way to one host.
type connection struct {
	record    Record
	principal *identity.Principal
	host      address.Host
	port      uint16
	from      string // address and port of the client
	addresses []netip.Addr
	connected atomic.Pointer[string] // the address of them that answered
	// end cuts it, with a reason; it may be called often, and by anybody.
	end func(error)
}

// ServeHTTP judges one request, and serves it when it may.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &connection{record: Record{Schema: RecordSchema, Event: Opened, ID: newID(), At: p.options.Clock.Now()}}
	leave, err := p.judge(c, r)
	if err != nil {
		p.deny(w, r, c, err)
		return
	}
	defer leave()
	c.record.Allowed = true
	if err := p.options.Recorder.Record(r.Context(), &c.record, false); err != nil {
		p.options.Log.Error("a way out was not recorded", "id", c.record.ID, "error", err)
		p.answer(w, c, media.Refuse(verdict.GatewayRecord, "", "the decision could not be recorded"))
		return
	}
	if r.Method == http.MethodConnect {
		p.tunnel(w, r, c)
		return
	}
	p.pass(w, r, c)
}

// judge finds out who asks and whether they may. leave gives back the place that
// the connection takes.
func (p *Proxy) judge(c *connection, r *http.Request) (leave func(), err error) {
	defer func() {
		if recover() != nil { // not the value: it could hold a credential
			p.options.Log.Error("judging a way out panicked", "id", c.record.ID, "stack", string(debug.Stack()))
			if leave != nil {
				leave()
			}
			leave, err = nil, media.Refuse(verdict.GatewayFailed, "", "a check failed")
		}
	}()
	if c.principal, err = p.authenticate(r); err != nil {
		return nil, err
	}
	c.record.Principal, c.record.Method, c.record.Credential = c.principal.ID, string(c.principal.Method), hex.EncodeToString(c.principal.Credential[:])
	if err := c.target(r); err != nil {
		return nil, err
	}
	c.record.Host, c.record.Port = c.host.String(), c.port
	c.from = r.RemoteAddr
	answer := p.options.Reach(c.principal, Target{c.host, c.port, c.from})
	c.record.Policies, c.record.Generation = answer.Policies, answer.Generation
	if !answer.Allow {
		code, detail := answer.refusal()
		return nil, media.Refuse(code, "", "%s", detail)
	}
	leave, ok := p.places.Enter("egress", c.principal.ID, p.options.Concurrent)
	if !ok {
		return nil, media.Refuse(verdict.EgressLimit, "", "the identity has %d connections, which is all that it may have", p.options.Concurrent)
	}
	if c.addresses, err = p.options.Dialer.Resolve(r.Context(), c.host); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// authenticate verifies the certificate or the token that a client shows to the
// proxy. Authorization is for the server behind, and is not looked at.
func (p *Proxy) authenticate(r *http.Request) (*identity.Principal, error) {
	refuse := func(what string) (*identity.Principal, error) {
		return nil, media.Refuse(verdict.RequestIdentity, "", "%s", what)
	}
	var shown identity.Credentials
	if r.TLS != nil {
		shown.Peer = r.TLS.PeerCertificates
	}
	switch all := r.Header.Values("Proxy-Authorization"); len(all) {
	case 0:
	case 1:
		scheme, token, _ := strings.Cut(all[0], " ")
		if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken || strings.ContainsAny(token, " \t,") {
			return refuse("Proxy-Authorization is not Bearer and one token")
		}
		shown.Bearer = token
	default:
		return refuse("Proxy-Authorization is there twice")
	}
	r.Header.Del("Proxy-Authorization")
	if shown.Bearer == "" && len(shown.Peer) == 0 {
		return refuse("the client shows no identity")
	}
	who, err := p.options.Identity.Authenticate(r.Context(), &shown)
	if errors.Is(err, identity.ErrOther) {
		return refuse("the proxy does not recognise identities of this kind")
	}
	if err != nil {
		return nil, err
	}
	if who == nil || who.Method == identity.Anonymous {
		return refuse("the client shows no identity")
	}
	if !who.NotAfter.IsZero() && !who.NotAfter.After(p.options.Clock.Now()) {
		return nil, media.Refuse(verdict.IdentityExpired, "", "the identity has expired")
	}
	return who, nil
}

// target reads where a request wants to go.
func (c *connection) target(r *http.Request) (err error) {
	if r.ProtoMajor != 1 || r.ProtoMinor != 1 {
		return media.Refuse(verdict.RequestProtocol, "", "the proxy speaks HTTP/1.1")
	}
	if r.Method == http.MethodConnect {
		c.record.Kind = "connect"
		if r.ContentLength != 0 || len(r.TransferEncoding) > 0 || r.URL.Path != "" || r.URL.RawQuery != "" {
			return media.Refuse(verdict.RequestHeader, "", "a CONNECT request has a host and a port, and no body")
		}
		c.host, c.port, err = address.ParseHostPort(r.RequestURI, 0)
		return err
	}
	c.record.Kind = "http"
	switch {
	case !r.URL.IsAbs() || r.URL.Scheme != "http":
		return media.Refuse(verdict.RequestProtocol, "", "the proxy takes CONNECT, and requests for a whole http URL")
	case r.URL.User != nil || r.URL.Opaque != "" || r.URL.Fragment != "":
		return media.Refuse(verdict.RequestPath, "", "the URL holds a user or a fragment")
	case r.Header.Get("Upgrade") != "":
		return media.Refuse(verdict.RequestProtocol, "", "plain HTTP does not change its protocol here: use CONNECT")
	}
	c.host, c.port, err = address.ParseHostPort(r.URL.Host, 80)
	return err
}

// track has the connection cut when its identity is revoked, when the time that
// it may have is over, and when the proxy stops; until drop is called.
func (p *Proxy) track(c *connection) (drop func()) {
	p.mu.Lock()
	stopped := p.closed
	p.open[c] = struct{}{}
	p.mu.Unlock()
	if stopped {
		c.end(errStopped)
	}
	stop := func() {}
	if p.options.Watch != nil {
		stop = p.options.Watch(c.principal, permit{p, c}, func(why *live.Ended) { c.end(media.Refuse(why.Code, "", "%s", why.Detail)) })
	}
	d, cause := p.left(c)
	timer := time.AfterFunc(d, func() { c.end(cause) })
	return func() {
		timer.Stop()
		stop()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, c)
	}
}

// permit is what a connection was allowed by.
type permit struct {
	proxy *Proxy
	of    *connection
}

// Still asks the rules and the trust in force.
func (m permit) Still() *live.Ended {
	o, who := &m.proxy.options, m.of.principal
	if g, is := o.Identity.(identity.Generational); is && !g.Recognises(who) {
		return &live.Ended{Code: verdict.IdentityUntrusted, Detail: "the identity is not trusted any more"}
	}
	a := o.Reach(who, Target{m.of.host, m.of.port, m.of.from})
	if a.Allow {
		return nil
	}
	code, detail := a.refusal()
	return &live.Ended{Code: code, Detail: "it is not allowed any more: " + detail}
}

// left is how long a connection may last by its identity and by the options, and
// what it is cut for then.
func (p *Proxy) left(c *connection) (time.Duration, error) {
	if end := c.principal.NotAfter; !end.IsZero() {
		if rest := end.Sub(p.options.Clock.Now()); rest < p.options.Lifetime {
			return max(rest, 0), errExpired
		}
	}
	return p.options.Lifetime, errLifetime
}

// codeOf returns the code of a refusal of any room, and its sentence.
func codeOf(err error) (verdict.Code, string) {
	if r, ok := errors.AsType[*media.Refusal](err); ok {
		return r.Code, r.Detail
	}
	if r, ok := errors.AsType[*identity.Refusal](err); ok {
		return r.Code, r.Detail
	}
	return verdict.GatewayFailed, "a check could not be made"
}

// deny records a refusal and answers it.
func (p *Proxy) deny(w http.ResponseWriter, r *http.Request, c *connection, refusal error) {
	code, detail := codeOf(refusal)
	c.record.Code, c.record.Detail = string(code), detail
	if err := p.options.Recorder.Record(context.WithoutCancel(r.Context()), &c.record, true); err != nil {
		p.options.Log.Error("a refusal was not recorded", "id", c.record.ID, "error", err)
		refusal = media.Refuse(verdict.GatewayRecord, "", "the decision could not be recorded")
	}
	p.answer(w, c, refusal)
}

// answer writes a refusal. The connection ends with it: what a client sent
// behind a refused CONNECT was meant for somebody else, and is never read as a
// request.
func (p *Proxy) answer(w http.ResponseWriter, c *connection, refusal error) {
	code, message := codeOf(refusal)
	if c.principal == nil {
		message = code.Info().Meaning
	}
	h := w.Header()
	h.Set("Connection", "close")
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	status := http.StatusForbidden
	switch code {
	case verdict.GatewayRecord, verdict.GatewayFailed:
		status = http.StatusServiceUnavailable
	case verdict.RequestProtocol, verdict.RequestHeader, verdict.RequestPath, verdict.MediaAddress:
		status = http.StatusBadRequest
	case verdict.UpstreamDown, verdict.AddressUnresolved:
		status = http.StatusBadGateway
	case verdict.EgressLimit:
		status = http.StatusTooManyRequests
	default:
		if c.principal == nil {
			status = http.StatusProxyAuthRequired
			h.Set("Proxy-Authenticate", "Bearer")
		}
	}
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"code": code, "message": message, "id": c.record.ID})
}

func newID() string {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.NewString()
	}
	return id.String()
}

var _ http.Handler = (*Proxy)(nil)
