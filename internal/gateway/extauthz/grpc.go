package extauthz

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

// Check answers the gRPC flavour. Its error is always nil.
func (s *Server) Check(ctx context.Context, in *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	q := read(in)
	if !s.mayAsk(ctx) {
		return denied(q, &Decision{Code: verdict.AskedBy, Detail: verdict.AskedBy.Info().Meaning}), nil
	}
	d, remove := s.decide(ctx, q)
	if !d.Allow {
		return denied(q, &d), nil
	}
	ok := &authv3.OkHttpResponse{}
	for _, h := range d.goesOn() {
		ok.Headers = append(ok.Headers, option(h))
	}
	ok.HeadersToRemove = d.takenOut(remove)
	return &authv3.CheckResponse{
		Status:       &statuspb.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
	}, nil
}

// mayAsk reports whether the one who asks is a proxy that may.
func (s *Server) mayAsk(ctx context.Context) bool {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return false
	}
	// Behind an http.Server gRPC calls every address one of TCP, so its context is asked.
	if s.bySocket(ctx) || s.options.Socket && p.Addr != nil && p.Addr.Network() == "unix" {
		return true
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	return ok && s.isProxy(ctx, info.State.PeerCertificates)
}

// isProxy reports whether a connection's certificate is that of a proxy that may
// ask. That its key is there was shown by the handshake; whether it holds is
// asked each time, since connections of proxies last for days.
func (s *Server) isProxy(ctx context.Context, chain []*x509.Certificate) bool {
	if len(chain) == 0 || s.options.Identity == nil {
		return false
	}
	p, err := s.options.Identity.Authenticate(ctx, &identity.Credentials{Peer: chain})
	return err == nil && p != nil && p.Method == identity.X509SVID && slices.Contains(s.options.Proxies, p.ID)
}

// read takes a question apart.
func read(in *authv3.CheckRequest) *question {
	a := in.GetAttributes()
	r := a.GetRequest().GetHttp()
	q := &question{
		Request: Request{
			ID: r.GetId(), Source: a.GetSource().GetPrincipal(), Method: r.GetMethod(), Scheme: r.GetScheme(), Host: r.GetHost(), Path: r.GetPath(),
			Address: addressOf(a.GetSource().GetAddress().GetSocketAddress()), Protocol: r.GetProtocol(), Body: r.GetRawBody(), Extensions: a.GetContextExtensions(),
		},
		certificate: a.GetSource().GetCertificate(), size: r.GetSize(),
	}
	if len(q.Body) == 0 {
		q.Body = []byte(r.GetBody())
	}
	for name, value := range r.GetHeaders() {
		q.headers = append(q.headers, header{strings.ToLower(name), value})
	}
	for _, h := range r.GetHeaderMap().GetHeaders() {
		value := h.GetValue()
		if raw := h.GetRawValue(); len(raw) > 0 {
			value = string(raw)
		}
		q.headers = append(q.headers, header{strings.ToLower(h.GetKey()), value})
	}
	return q
}

// addressOf is where a client connects from.
func addressOf(a *corev3.SocketAddress) string {
	if a.GetAddress() == "" {
		return ""
	}
	return net.JoinHostPort(a.GetAddress(), strconv.FormatUint(uint64(a.GetPortValue()), 10))
}

// denied writes a refusal, with an answer for the client.
func denied(q *question, d *Decision) *authv3.CheckResponse {
	status := d.status()
	code := codes.PermissionDenied
	if status == http.StatusUnauthorized {
		code = codes.Unauthenticated
	}
	no := &authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: typev3.StatusCode(status)}, Body: string(content(q, d))}
	for _, h := range d.answered() {
		no.Headers = append(no.Headers, option(h))
	}
	return &authv3.CheckResponse{
		Status:       &statuspb.Status{Code: int32(code), Message: string(d.Code)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: no},
	}
}

// content is what the client of a refused request reads.
func content(q *question, d *Decision) []byte {
	b, err := json.Marshal(map[string]any{"error": map[string]any{"message": d.message(), "type": "apex_denied", "code": d.Code, "request_id": q.ID}})
	if err != nil { // of strings alone there is none
		return nil
	}
	return b
}

func option(h header) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: h.name, Value: h.value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}
