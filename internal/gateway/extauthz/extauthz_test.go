package extauthz

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

const (
	intake = "spiffe://claims.example/intake"
	envoy  = "spiffe://mesh.example/envoy"
)

// authority issues certificates, and is the authenticator that believes them.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) issue(t *testing.T, id string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), URIs: []*url.URL{u}, DNSNames: []string{"apex.test"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// pem is a certificate as Envoy hands it on.
func (a *authority) pem(t *testing.T, id string) string {
	return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.issue(t, id).Certificate[0]})))
}

func (a *authority) Authenticate(_ context.Context, c *identity.Credentials) (*identity.Principal, error) {
	switch {
	case len(c.Peer) > 0 && c.Bearer != "":
		return nil, identity.Refuse(verdict.IdentityAmbiguous, "two credentials")
	case len(c.Peer) > 0:
		if _, err := c.Peer[0].Verify(x509.VerifyOptions{Roots: a.pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			return nil, identity.Refuse(verdict.IdentityUntrusted, "an unknown authority")
		}
		return &identity.Principal{ID: c.Peer[0].URIs[0].String(), Method: identity.X509SVID}, nil
	}
	return nil, identity.Refuse(verdict.IdentitySignature, "the signature is wrong")
}

// allow lets everything pass that it is asked about, and keeps the question.
func allow(into *Request) func(context.Context, *Request) Decision {
	return func(_ context.Context, r *Request) Decision {
		*into = *r
		d := Decision{Allow: true, Set: http.Header{"X-Apex-Principal": {"nobody"}}, Remove: []string{"Cookie"}}
		if r.Source != "" {
			d.Set.Set("X-Apex-Principal", r.Source)
		}
		return d
	}
}

// dial starts a gRPC server on a unix socket, and returns a client of it.
func dial(t *testing.T, o Options) authv3.AuthorizationClient {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.MaxRecvMsgSize(MaxMessage))
	s.Register(g)
	go g.Serve(l)
	t.Cleanup(g.Stop)
	return client(t, "unix:"+path, insecure.NewCredentials())
}

func client(t *testing.T, to string, c credentials.TransportCredentials) authv3.AuthorizationClient {
	t.Helper()
	conn, err := grpc.NewClient(to, grpc.WithTransportCredentials(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return authv3.NewAuthorizationClient(conn)
}

// ask returns what Envoy would ask about a request; change makes it another.
func ask(change func(*authv3.AttributeContext, *authv3.AttributeContext_HttpRequest)) *authv3.CheckRequest {
	r := &authv3.AttributeContext_HttpRequest{
		Id: "7", Method: "POST", Scheme: "https", Host: "models.example", Path: "/v1/chat/completions?a=b", Protocol: "HTTP/2", RawBody: []byte(`{"a":1}`), Size: 7,
		Headers: map[string]string{":authority": "models.example", ":method": "POST", ":path": "/v1/chat/completions?a=b", "content-type": "application/json", "content-length": "7", partial: "false"},
	}
	a := &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: r}}
	if change != nil {
		change(a, r)
	}
	return &authv3.CheckRequest{Attributes: a}
}

type (
	attributes  = authv3.AttributeContext
	httpRequest = authv3.AttributeContext_HttpRequest
)

// codeIn returns the code of a refusal; "" when the request may pass.
func codeIn(t *testing.T, r *authv3.CheckResponse) verdict.Code {
	t.Helper()
	if r.GetOkResponse() != nil {
		if r.Status.Code != int32(codes.OK) {
			t.Error("an answer that lets pass and refuses")
		}
		return ""
	}
	var content struct{ Error struct{ Code verdict.Code } }
	if err := json.Unmarshal([]byte(r.GetDeniedResponse().GetBody()), &content); err != nil || r.Status.Code == int32(codes.OK) {
		t.Error("a refusal that cannot be read", r, err)
	}
	if content.Error.Code == "" {
		t.Error("a refusal without a code", r)
	}
	return content.Error.Code
}

func TestARequestIsDescribedToWhoDecidesAndTheirHeadersGoOn(t *testing.T) {
	var got Request
	authority := newAuthority(t)
	c := dial(t, Options{Decide: allow(&got), Socket: true, Bodies: true, Identity: authority})
	r, err := c.Check(t.Context(), ask(func(a *attributes, r *httpRequest) {
		a.ContextExtensions = map[string]string{"route": "models"}
		a.Source = &authv3.AttributeContext_Peer{Principal: intake, Certificate: authority.pem(t, intake), Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: "192.0.2.7", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 4711}}}}}
	}))
	if err != nil || codeIn(t, r) != "" {
		t.Fatal(r, err)
	}
	if got.ID != "7" || got.Method != "POST" || got.Scheme != "https" || got.Host != "models.example" || got.Path != "/v1/chat/completions" || got.Query != "a=b" ||
		string(got.Body) != `{"a":1}` || !got.Complete || got.Header.Get("Content-Type") != "application/json" || got.Extensions["route"] != "models" || got.Source != intake || len(got.Peer) != 1 || got.Address != "192.0.2.7:4711" || got.Protocol != "HTTP/2" {
		t.Errorf("%+v", got)
	}
	ok := r.GetOkResponse()
	if len(ok.Headers) != 1 || ok.Headers[0].Header.Key != "x-apex-principal" || ok.Headers[0].Header.Value != intake || ok.Headers[0].AppendAction != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
		t.Errorf("%v", ok.Headers)
	}
	if !slices.Contains(ok.HeadersToRemove, "cookie") {
		t.Errorf("%v", ok.HeadersToRemove)
	}
}

func TestHeadersThatAreNotTheClientsAreNeitherBelievedNorPassedOn(t *testing.T) {
	var got Request
	c := dial(t, Options{Decide: allow(&got), Socket: true, Bodies: true})
	forged := []string{"x-envoy-original-path", "x-envoy-decorator-operation", "x-forwarded-client-cert", "x-spiffe-id", "x-user", "x_forwarded_client_cert", "x.spiffe.id", "x-apex-role", "remote_user"}
	r, err := c.Check(t.Context(), ask(func(_ *attributes, r *httpRequest) {
		for _, name := range append([]string{"x-apex-principal", "x-forwarded-for", "accept"}, forged...) {
			r.Headers[name] = "spiffe://claims.example/admin"
		}
	}))
	if err != nil || codeIn(t, r) != "" {
		t.Fatal(r, err)
	}
	remove := r.GetOkResponse().HeadersToRemove
	for _, name := range forged {
		if !slices.Contains(remove, name) {
			t.Errorf("%s goes on", name)
		}
		if len(got.Header[http.CanonicalHeaderKey(name)]) > 0 {
			t.Errorf("%s is shown to who decides", name)
		}
	}
	if slices.Contains(remove, "x-apex-principal") || slices.Contains(remove, "x-forwarded-for") || slices.Contains(remove, "accept") || got.Header.Get("Accept") == "" || got.Header.Get("X-Forwarded-For") != "" {
		t.Errorf("taken out: %v, shown: %v", remove, got.Header)
	}
	if got.Source != "" || got.Path != "/v1/chat/completions" {
		t.Errorf("%+v", got)
	}
}

func TestIdentitiesAreVerifiedNotBelieved(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	for what, test := range map[string]struct {
		source, certificate, bearer string
		want                        verdict.Code
		who                         string
	}{
		"a certificate of ours":                   {intake, a.pem(t, intake), "", "", intake},
		"the proxy's word alone":                  {intake, "", "", verdict.IdentityUntrusted, ""},
		"a stranger's certificate":                {intake, stranger.pem(t, intake), "", verdict.IdentityUntrusted, ""},
		"a certificate for somebody else":         {intake, a.pem(t, "spiffe://claims.example/other"), "", verdict.IdentityMalformed, ""},
		"a certificate without a name beside it":  {"", a.pem(t, intake), "", verdict.IdentityMalformed, ""},
		"a certificate that is none":              {intake, "abc", "", verdict.IdentityMalformed, ""},
		"an identity that is no SPIFFE ID":        {"CN=admin", "", "", verdict.IdentityMalformed, ""},
		"an identity with a dot segment":          {"spiffe://mesh.example/../a", "", "", verdict.IdentityMalformed, ""},
		"an identity in capitals":                 {"spiffe://MESH.example/a", "", "", verdict.IdentityMalformed, ""},
		"two identities":                          {"spiffe://mesh.example/a,spiffe://mesh.example/b", "", "", verdict.IdentityMalformed, ""},
		"a token, which who decides verifies":     {"", "", "Bearer any", "", "-"},
		"a token through a certificate's":         {intake, a.pem(t, intake), "Bearer any", "", intake},
		"a token through a stranger's connection": {intake, stranger.pem(t, intake), "Bearer any", verdict.IdentityUntrusted, ""},
		"two tokens":                              {"", "", "Bearer any,Bearer other", verdict.RequestHeader, ""},
		"nothing, which is for who decides":       {"", "", "", "", "-"},
	} {
		var got Request
		c := dial(t, Options{Decide: allow(&got), Socket: true, Bodies: true, Identity: a})
		r, err := c.Check(t.Context(), ask(func(a *attributes, r *httpRequest) {
			a.Source = &authv3.AttributeContext_Peer{Principal: test.source, Certificate: test.certificate}
			if test.bearer != "" {
				r.Headers["authorization"] = test.bearer
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		if code := codeIn(t, r); code != test.want {
			t.Errorf("%s: %q, want %q", what, code, test.want)
		}
		who := got.Source
		if who == "" && got.Host != "" {
			who = "-"
		}
		if who != test.who || got.Header.Get("Authorization") != test.bearer && test.want == "" || (len(got.Peer) == 1) != (test.who == intake) {
			t.Errorf("%s: decided about %q, want %q", what, who, test.who)
		}
		if strings.HasPrefix(string(test.want), "request.identity") && r.GetDeniedResponse().GetStatus().GetCode() != 401 {
			t.Errorf("%s: status %v", what, r.GetDeniedResponse().GetStatus())
		}
	}
	c := dial(t, Options{Decide: allow(new(Request)), Socket: true, Bodies: true})
	r, err := c.Check(t.Context(), ask(func(at *attributes, _ *httpRequest) {
		at.Source = &authv3.AttributeContext_Peer{Principal: intake, Certificate: a.pem(t, intake)}
	}))
	if err != nil || codeIn(t, r) != verdict.RequestIdentity {
		t.Errorf("where no certificate counts, one did: %v %v", r, err)
	}
}

func TestItIsSaidWhetherTheBodyIsWhole(t *testing.T) {
	set := func(size int64, body, method string, headers ...string) func(*attributes, *httpRequest) {
		return func(_ *attributes, r *httpRequest) {
			delete(r.Headers, "content-length")
			delete(r.Headers, partial)
			r.Size, r.RawBody, r.Method, r.Headers[":method"] = size, []byte(body), method, method
			for _, h := range headers {
				name, value, _ := strings.Cut(h, ": ")
				r.Headers[name] = value
			}
		}
	}
	for what, test := range map[string]struct {
		change  func(*attributes, *httpRequest)
		with    verdict.Code // where the proxy hands bodies on
		without verdict.Code // where it keeps them
	}{
		"the whole body":                             {set(3, "abc", "POST", "content-length: 3", partial+": false"), "", verdict.BodyIncomplete},
		"the whole body, of unknown length":          {set(-1, "abc", "POST", partial+": false"), "", verdict.BodyIncomplete},
		"a part of it":                               {set(9, "abc", "POST", "content-length: 9", partial+": true"), verdict.BodyIncomplete, verdict.BodyIncomplete},
		"a part of it, of unknown length":            {set(-1, "abc", "POST", partial+": true"), verdict.BodyIncomplete, verdict.BodyIncomplete},
		"a part that is said to be whole":            {set(9, "abc", "POST", partial+": false"), verdict.BodyIncomplete, verdict.BodyIncomplete},
		"a part of what was announced":               {set(-1, "abc", "POST", "content-length: 9", partial+": false"), verdict.BodyIncomplete, verdict.BodyIncomplete},
		"a body that is not said to be whole":        {set(3, "abc", "POST", "content-length: 3"), verdict.BodyIncomplete, verdict.BodyIncomplete},
		"something else than true and false":         {set(3, "abc", "POST", partial+": false,true"), verdict.BodyIncomplete, verdict.BodyIncomplete},
		"a length that is none":                      {set(3, "abc", "POST", "content-length: +3", partial+": false"), verdict.BodyIncomplete, verdict.BodyIncomplete},
		"none that was handed on, of unknown length": {set(-1, "", "POST", "transfer-encoding: chunked"), verdict.BodyIncomplete, verdict.BodyIncomplete},
		"none, announced as none":                    {set(0, "", "POST", "content-length: 0"), "", ""},
		"none, and nothing announced":                {set(0, "", "GET"), "", verdict.BodyIncomplete},
		"none, said to be whole by the client":       {set(0, "", "POST", "content-length: 0", partial+": false"), "", verdict.BodyIncomplete},
		"none that was handed on, but announced":     {set(0, "", "POST", "content-length: 9"), verdict.BodyIncomplete, verdict.BodyIncomplete},
		"a change of protocol":                       {set(0, "", "GET", "content-length: 0", "upgrade: websocket"), verdict.BodyIncomplete, verdict.BodyIncomplete},
		"a change of protocol, in HTTP/2":            {set(0, "", "CONNECT", ":protocol: websocket"), verdict.BodyIncomplete, verdict.BodyIncomplete},
	} {
		for bodies, want := range map[bool]verdict.Code{true: test.with, false: test.without} {
			var got Request
			c := dial(t, Options{Decide: allow(&got), Socket: true, Bodies: bodies})
			r, err := c.Check(t.Context(), ask(test.change))
			if err != nil {
				t.Fatal(err)
			}
			if code := codeIn(t, r); code != "" || (want == "") != got.Complete {
				t.Errorf("%s, bodies %v: complete %v, %s", what, bodies, got.Complete, code)
			}
		}
	}
}

func TestRequestsThatServersReadDifferentlyAreRefused(t *testing.T) {
	path := func(p string) func(*attributes, *httpRequest) {
		return func(_ *attributes, r *httpRequest) { r.Path, r.Headers[":path"] = p, p }
	}
	head := func(name, value string) func(*attributes, *httpRequest) {
		return func(_ *attributes, r *httpRequest) { r.Headers[name] = value }
	}
	var got Request
	c := dial(t, Options{Decide: allow(&got), Socket: true, Bodies: true})
	for what, test := range map[string]struct {
		change func(*attributes, *httpRequest)
		want   verdict.Code
	}{
		"an ordinary path":     {path("/v1/models"), ""},
		"a query with escapes": {path("/v1/models?a=%2e%2e&b=//"), ""},
		"raw headers": {func(_ *attributes, r *httpRequest) {
			r.HeaderMap = &corev3.HeaderMap{}
			for k, v := range r.Headers {
				r.HeaderMap.Headers = append(r.HeaderMap.Headers, &corev3.HeaderValue{Key: k, RawValue: []byte(v)})
			}
			r.Headers = nil
		}, ""},
		"a dot segment":                {path("/v1/../admin"), verdict.RequestPath},
		"an encoded slash":             {path("/v1%2fadmin"), verdict.RequestPath},
		"an encoded dot":               {path("/v1/%2e%2e/admin"), verdict.RequestPath},
		"an empty segment":             {path("//admin"), verdict.RequestPath},
		"a backslash":                  {path("/v1\\admin"), verdict.RequestPath},
		"a path parameter":             {path("/v1;x=/admin"), verdict.RequestPath},
		"a fragment":                   {path("/v1#/admin"), verdict.RequestPath},
		"a whole URL":                  {path("http://evil.example/"), verdict.RequestPath},
		"a star":                       {path("*"), verdict.RequestPath},
		"a path that is too long":      {path("/" + strings.Repeat("a", maxPath)), verdict.RequestPath},
		"another authority":            {head(":authority", "evil.example"), verdict.RequestHeader},
		"another path":                 {head(":path", "/admin"), verdict.RequestHeader},
		"another method":               {head(":method", "GET"), verdict.RequestHeader},
		"another host":                 {head("host", "evil.example"), verdict.RequestHeader},
		"two content types":            {head("content-type", "application/json,text/plain"), verdict.RequestHeader},
		"a header's name with a space": {head("content-type ", "text/plain"), verdict.RequestHeader},
		"too many headers": {func(_ *attributes, r *httpRequest) {
			for i := range maxHeaders {
				r.Headers["a"+strings.Repeat("a", i)] = ""
			}
		}, verdict.RequestHeader},
		"headers that are too long": {head("a", strings.Repeat("a", maxHeaderSize)), verdict.RequestHeader},
		"a host with a user":        {func(_ *attributes, r *httpRequest) { r.Host, r.Headers[":authority"] = "a@b", "a@b" }, verdict.RequestHeader},
		"no method":                 {func(_ *attributes, r *httpRequest) { r.Method = "" }, verdict.RequestProtocol},
		"nothing at all":            {func(a *attributes, _ *httpRequest) { a.Request = nil }, verdict.RequestProtocol},
	} {
		got = Request{}
		r, err := c.Check(t.Context(), ask(test.change))
		if err != nil {
			t.Fatal(err)
		}
		if code := codeIn(t, r); code != test.want || (test.want == "") != (got.Host != "") {
			t.Errorf("%s: %q, want %q", what, code, test.want)
		}
		if test.want != "" && r.GetDeniedResponse().GetStatus().GetCode() != 400 {
			t.Errorf("%s: %v", what, r.GetDeniedResponse().GetStatus())
		}
	}
}

func TestAFailureIsARefusalAndNeverAnError(t *testing.T) {
	for what, test := range map[string]struct {
		decide func(context.Context, *Request) Decision
		status int32
		code   verdict.Code
	}{
		"a refusal": {func(context.Context, *Request) Decision {
			return Decision{Code: verdict.AccessDenied, Detail: "no policy"}
		}, 403, verdict.AccessDenied},
		"a refusal with a status":        {func(context.Context, *Request) Decision { return Decision{Code: verdict.LimitRate, Status: 429} }, 429, verdict.LimitRate},
		"a part of a body":               {func(context.Context, *Request) Decision { return Decision{Code: verdict.BodyIncomplete} }, 413, verdict.BodyIncomplete},
		"a refusal that says it is fine": {func(context.Context, *Request) Decision { return Decision{Code: verdict.AccessDenied, Status: 200} }, 403, verdict.AccessDenied},
		"a panic":                        {func(context.Context, *Request) Decision { panic("secret") }, 503, verdict.GatewayFailed},
		"a header that splits the answer": {func(context.Context, *Request) Decision {
			return Decision{Allow: true, Set: http.Header{"X-A": {"b\r\nX-C: d"}}}
		}, 503, verdict.GatewayFailed},
		"a header that changes the host": {func(context.Context, *Request) Decision {
			return Decision{Allow: true, Set: http.Header{"Host": {"evil.example"}}}
		}, 503, verdict.GatewayFailed},
	} {
		c := dial(t, Options{Decide: test.decide, Socket: true, Bodies: true})
		r, err := c.Check(t.Context(), ask(nil))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if code := codeIn(t, r); code != test.code || int32(r.GetDeniedResponse().GetStatus().GetCode()) != test.status || strings.Contains(r.String(), "secret") {
			t.Errorf("%s: %v", what, r)
		}
	}
}

func TestADecisionThatComesTooLateIsARefusal(t *testing.T) {
	s, err := New(Options{Decide: func(ctx context.Context, _ *Request) Decision { return Decision{Allow: true} }, Socket: true, Bodies: true})
	if err != nil {
		t.Fatal(err)
	}
	q := read(ask(nil))
	ctx, cancel := context.WithCancel(t.Context())
	if d, _ := s.decide(ctx, q); !d.Allow {
		t.Fatalf("in time: %+v", d)
	}
	cancel()
	if d, _ := s.decide(ctx, read(ask(nil))); d.Allow {
		t.Error("too late, and it passes")
	}
}
