// Package extauthz answers Envoy's questions whether a request may pass, so that
// an existing mesh enforces what is decided here.
//
// Start with [New]. The [Server] speaks both flavours of the protocol:
// [Server.Both] serves them on one address, [Server.Register] adds the gRPC
// service to a server that there is, and the server itself is the handler of the
// HTTP flavour. What is decided about is a [Request]; who decides is
// injected.
//
// Every question that arrives is answered with a decision: a failure is a
// refusal, never a gRPC error, since Envoy may be told to let requests pass when
// it gets one (failure_mode_allow; leave it false, because a question that does
// not arrive has no answer). And only a proxy that is listed may ask: who may
// ask may say who a request comes from.
//
// Configure Envoy with include_peer_certificate for identities from
// certificates, and for routes whose bodies are inspected with
// with_request_body, pack_as_bytes, and max_request_bytes of at most [MaxBody].
// Whether a body that did not come whole matters is for who decides.
//
// Sources: envoy.service.auth.v3 and the ext_authz filter's documentation
// (Envoy 1.39), the GRPC Health Checking Protocol, SPIFFE ID.
package extauthz

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// Request is what is asked about. Its headers are those that a client may send:
// everything that only a proxy may say was taken out.
type Request struct {
	ID string
	// Source is the SPIFFE ID that the proxy verified for the connection, and Peer
	// the certificate that it handed on for it, which holds: "" and nil when the
	// client showed none.
	Source string
	Peer   []*x509.Certificate
	// Address of the client, with its port; "" when the proxy says none.
	Address string
	// Protocol that the client spoke, for example HTTP/1.1.
	Protocol string
	Method   string
	Scheme   string
	Host     string
	Path     string // without the query
	Query    string
	// Header may have Authorization: whether a token holds is for who decides.
	Header http.Header
	Body   []byte
	// Complete says that Body is the whole body; also when there is none.
	Complete bool
	// Extensions are the context_extensions of the proxy's route.
	Extensions map[string]string
}

// Decision answers a Request.
type Decision struct {
	Allow bool
	// Code and Detail of a refusal. Detail never quotes content.
	Code   verdict.Code
	Detail string
	// Status of the answer to a refused request; 0: the one of the code.
	Status int
	// Known says that the client was identified. Who is not is told the code's
	// general meaning only.
	Known bool
	// RetryAfter says when to ask again, in whole seconds; 0: not at all.
	RetryAfter int
	// Set are headers that go on to the server behind, instead of whatever the
	// request has under these names; Remove are taken out.
	Set    http.Header
	Remove []string
}

// Options are what a server needs. Decide has to be there.
type Options struct {
	Decide func(context.Context, *Request) Decision
	// Ready says whether questions should come, to who checks the server's health;
	// nil: they should.
	Ready func() bool
	// Bodies says that the proxy hands bodies on (with_request_body). Without it
	// every request may have a body that is not seen here.
	Bodies bool
	// Identity verifies the certificates of proxies, and those that they hand on.
	// Nil: none counts.
	Identity identity.Authenticator
	// Forwarded says that in the HTTP flavour the proxy hands certificates on in
	// X-Forwarded-Client-Cert, which it sets anew for each request (Envoy's
	// SANITIZE_SET with cert: true). Without it the header is not looked at.
	Forwarded bool
	// Proxies are the SPIFFE IDs of who may ask, by the certificate of their
	// connection. A unix socket needs none when Socket is set: its
	// permissions say who may ask.
	Proxies []string
	Socket  bool
	// Prefix that the HTTP flavour's path begins with (Envoy's path_prefix).
	Prefix string
	Log    *slog.Logger // nil: nothing is logged
}

// Bounds of a question.
const (
	maxHeaders    = 200
	maxHeaderSize = 64 << 10 // of all together
	maxPath       = 8 << 10
	maxExtensions = 64
	// MaxBody is the largest body that is taken; Envoy's own max_request_bytes
	// is to be at most that.
	MaxBody = 32 << 20
	// MaxMessage is what the gRPC server has to be able to receive:
	// grpc.MaxRecvMsgSize(extauthz.MaxMessage).
	MaxMessage = MaxBody + 1<<20
)

// Server answers. It is safe for concurrent use.
type Server struct {
	authv3.UnimplementedAuthorizationServer
	options Options
}

// New returns a server. One that nobody may ask is an error.
func New(o Options) (*Server, error) {
	if o.Decide == nil {
		return nil, errors.New("extauthz: nobody decides")
	}
	if (len(o.Proxies) == 0 || o.Identity == nil) && !o.Socket {
		return nil, errors.New("extauthz: nobody may ask: list the proxies' SPIFFE IDs and say who verifies them, or serve on a unix socket")
	}
	for _, id := range o.Proxies {
		if !identity.IsSPIFFE(id) {
			return nil, errors.New("extauthz: a proxy's identity is not a SPIFFE ID")
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{options: o}, nil
}

// Register adds the gRPC service, and the one that says whether it is healthy
// (grpc.health.v1), to a server, which should be made with
// grpc.MaxRecvMsgSize([MaxMessage]).
func (s *Server) Register(r grpc.ServiceRegistrar) {
	authv3.RegisterAuthorizationServer(r, s)
	healthv1.RegisterHealthServer(r, health{s: s})
}

// Both returns a handler for both flavours on one address, which has to speak
// HTTP/2 for the one by gRPC.
func (s *Server) Both() http.Handler {
	calls := grpc.NewServer(grpc.MaxRecvMsgSize(MaxMessage))
	s.Register(calls)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			calls.ServeHTTP(w, r)
			return
		}
		s.ServeHTTP(w, r)
	})
}

// question is a request with what the proxy says about it, before any of it is
// believed.
type question struct {
	Request
	headers     []header // as they came, names in lower case
	certificate string   // PEM in URL encoding; "" when it was not handed on
	size        int64    // of the body; -1: not known
	switches    bool     // the request changes its protocol
	counted     bool     // Content-Length is the proxy's, not the client's
}

type header struct{ name, value string }

// decide judges a question. It always returns a decision.
func (s *Server) decide(ctx context.Context, q *question) (d Decision, remove []string) {
	defer func() {
		if recover() != nil { // not the value: it could hold content
			s.options.Log.Error("a decision panicked", "request", q.ID, "stack", string(debug.Stack()))
			d = Decision{Code: verdict.GatewayFailed, Detail: "a check failed"}
		}
	}()
	remove, err := s.prepare(ctx, q)
	if err != nil {
		code, detail := codeOf(err)
		return Decision{Code: code, Detail: detail}, nil
	}
	d = s.options.Decide(ctx, &q.Request)
	switch {
	case ctx.Err() != nil:
		return Decision{Code: verdict.GatewayFailed, Detail: "the decision took too long"}, nil
	case !d.sendable():
		return Decision{Code: verdict.GatewayFailed, Detail: "the decision has a header that cannot be sent"}, nil
	}
	return d, remove
}

// prepare turns a question into a request that can be decided about.
func (s *Server) prepare(ctx context.Context, q *question) (remove []string, err error) {
	if err := q.target(); err != nil {
		return nil, err
	}
	if remove, err = q.clean(s.options.Bodies); err != nil {
		return nil, err
	}
	return remove, s.identify(ctx, q)
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

// refuse returns a refusal.
func refuse(code verdict.Code, format string, args ...any) error {
	return media.Refuse(code, "", format, args...)
}

// status of the answer to a refused request.
func (d *Decision) status() int {
	switch {
	case d.Status >= 400 && d.Status <= 599:
		return d.Status
	case d.Code == verdict.GatewayFailed || d.Code == verdict.GatewayRecord || d.Code == verdict.GatewayNotReady || d.Code == verdict.IdentityUnavailable:
		return http.StatusServiceUnavailable
	case d.Code == verdict.RequestPath || d.Code == verdict.RequestHeader || d.Code == verdict.RequestProtocol:
		return http.StatusBadRequest
	case d.Code == verdict.BodyIncomplete, d.Code == verdict.BodyLimit:
		return http.StatusRequestEntityTooLarge
	case strings.HasPrefix(string(d.Code), string(verdict.RequestIdentity)):
		return http.StatusUnauthorized
	}
	return http.StatusForbidden
}

// message is what the client is told; who is not known gets the general meaning.
func (d *Decision) message() string {
	if !d.Known || d.Detail == "" {
		return d.Code.Info().Meaning
	}
	return d.Detail
}

// sendable reports whether the headers of a decision are headers, and make no
// other request of the one that was judged.
func (d *Decision) sendable() bool {
	for name, values := range d.Set {
		switch name = strings.ToLower(name); {
		case len(values) == 0, !isToken(name), name == "host", name == "content-length", name == "transfer-encoding":
			return false
		}
		for _, value := range values {
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return false
			}
		}
	}
	return true
}

// answered are the headers of the answer to a refused request.
func (d *Decision) answered() []header {
	all := []header{{"content-type", "application/json"}, {"cache-control", "no-store"}}
	if d.status() == http.StatusUnauthorized {
		all = append(all, header{"www-authenticate", "Bearer"})
	}
	if d.RetryAfter > 0 {
		all = append(all, header{"retry-after", strconv.Itoa(d.RetryAfter)})
	}
	return all
}

// goesOn are the headers that a decision sets for the server behind, in order.
func (d *Decision) goesOn() []header {
	var all []header
	for name, values := range d.Set {
		all = append(all, header{strings.ToLower(name), strings.Join(values, ",")})
	}
	slices.SortFunc(all, func(a, b header) int { return strings.Compare(a.name, b.name) })
	return all
}

// takenOut are the headers that do not go on: those of the request that are not
// the client's to send, and those of the decision, without what is set anew.
func (d *Decision) takenOut(remove []string) []string {
	for _, name := range d.Remove {
		remove = append(remove, strings.ToLower(name))
	}
	for name := range d.Set {
		name = strings.ToLower(name)
		remove = slices.DeleteFunc(remove, func(s string) bool { return s == name })
	}
	slices.Sort(remove)
	return slices.Compact(remove)
}

var _ authv3.AuthorizationServer = (*Server)(nil)
