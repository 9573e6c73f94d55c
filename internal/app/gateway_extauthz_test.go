package app

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/verdict"
)

// doorsOf returns where the doors of a gateway are, once it serves.
func doorsOf(o *GatewayOptions) func(name string) string {
	var mu sync.Mutex
	all := map[string]string{}
	o.Door = func(name string, at net.Addr) {
		mu.Lock()
		defer mu.Unlock()
		all[name] = at.String()
	}
	return func(name string) string {
		mu.Lock()
		defer mu.Unlock()
		return all[name]
	}
}

// workload is one of any trust domain, whose bundle is in the folder bundles.
func workload(t testing.TB, bundles, domain, path string) *own.Identity {
	t.Helper()
	id, err := own.Open(filepath.Join(t.TempDir(), "ca"), domain, path, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { id.Close() })
	data, err := id.CA.Bundle().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	put(t, bundles, domain+".json", string(data))
	return id
}

// zipped is a text as gzip has it.
func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// shows is what a client with an identity, or none, connects with.
func shows(id *own.Identity) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if id == nil {
			return &tls.Certificate{}, nil
		}
		return id.Certificate()
	}}
}

// handedOn is the certificate of an identity as a proxy hands it on.
func handedOn(t *testing.T, id *own.Identity) string {
	t.Helper()
	c, err := id.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
}

func TestAMeshAsksTheGatewayAndPassesOnItself(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	envoy, intake := workload(t, bundles, "mesh.example", "/envoy"), caller(t, bundles, "/intake")
	put(t, dir, "route.yaml", fmt.Sprintf(routeOf, "http://nobody.example"))
	o := GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles,
		ExtAuthz: ExtAuthz{Address: "127.0.0.1:0", Proxies: []string{"spiffe://mesh.example/envoy"}, Prefix: "/ask/", ClientCertificates: true}}
	at := doorsOf(&o)
	s := serveGateway(t, o)
	token, err := intake.Token("captioner")
	if err != nil {
		t.Fatal(err)
	}
	picture := imageChat(t)
	type asked struct {
		as           *own.Identity
		client       *own.Identity // whose certificate the proxy hands on
		token        string
		host, path   string
		body         string
		cut, encoded bool
		code         verdict.Code
		status       int
	}
	const chat, host = "/v1/chat/completions", "captioner.example"
	cases := map[string]asked{
		"a picture by a certificate":                    {envoy, intake, "", host, chat, picture, false, false, "", 200},
		"a picture by a token":                          {envoy, nil, token, host, chat, picture, false, false, "", 200},
		"a picture by a token through a certificate":    {envoy, envoy, token, host, chat, picture, false, false, "", 200},
		"no identity":                                   {envoy, nil, "", host, chat, picture, false, false, verdict.RequestIdentity, 401},
		"an identity of another trust domain":           {envoy, envoy, "", host, chat, picture, false, false, verdict.IdentityUntrusted, 401},
		"a part of the body":                            {envoy, intake, "", host, chat, picture, true, false, verdict.BodyIncomplete, 413},
		"a body that would pass on in another form":     {envoy, intake, "", host, chat, picture, false, true, verdict.BodyEncoding, 415},
		"another host":                                  {envoy, intake, "", "other.example", chat, picture, false, false, verdict.RequestRoute, 404},
		"an attack in the query":                        {envoy, intake, "", host, chat + "?id=1%27%20UNION%20SELECT%20password%20FROM%20users--", picture, false, false, verdict.WAFBlocked, 403},
		"a picture that is none":                        {envoy, intake, "", host, chat, strings.Replace(picture, drawing(t), "PHN2Zz48L3N2Zz4=", 1), false, false, verdict.MediaActive, 403},
		"a proxy that is not listed, with all it needs": {intake, intake, "", host, chat, picture, false, false, verdict.AskedBy, 403},
		"nobody in place of a proxy":                    {nil, intake, "", host, chat, picture, false, false, verdict.AskedBy, 403},
	}
	for name, tc := range cases {
		sent, header := []byte(tc.body), map[string]string{"content-type": "application/json", "accept": "application/json", "user-agent": "claims/1.0", "x-apex-principal": "admin", "x-user": "admin"}
		if tc.encoded {
			sent, header["content-encoding"] = zipped(t, tc.body), "gzip"
		}
		header["x-envoy-auth-partial-body"] = fmt.Sprint(tc.cut)
		if tc.token != "" {
			header["authorization"] = "Bearer " + tc.token
		}
		t.Run("gRPC: "+name, func(t *testing.T) {
			conn, err := grpc.NewClient(at(doorExtAuthz), grpc.WithTransportCredentials(credentials.NewTLS(shows(tc.as))))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			source := &authv3.AttributeContext_Peer{}
			if tc.client != nil {
				source.Principal, source.Certificate = tc.client.ID, handedOn(t, tc.client)
			}
			answer, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
				Source: source,
				Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
					Id: "1", Method: "POST", Scheme: "https", Host: tc.host, Path: tc.path, Protocol: "HTTP/1.1", RawBody: sent, Size: int64(len(sent)), Headers: header,
				}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			ok := answer.GetOkResponse()
			if (ok != nil) != (tc.status == 200) || ok == nil && int(answer.GetDeniedResponse().GetStatus().GetCode()) != tc.status || codeOfAnswer(answer.GetDeniedResponse().GetBody()) != tc.code {
				t.Fatalf("%v, want %d %s", answer, tc.status, tc.code)
			}
			if ok == nil {
				return
			}
			for _, h := range ok.Headers {
				if h.Header.Key == "x-apex-principal" && h.Header.Value != "spiffe://claims.example/intake" {
					t.Errorf("the server is told %s", h.Header.Value)
				}
			}
			for _, name := range []string{"authorization", "x-user"} {
				if !slices.Contains(ok.HeadersToRemove, name) {
					t.Errorf("%s goes on: %v", name, ok.HeadersToRemove)
				}
			}
		})
		t.Run("HTTP: "+name, func(t *testing.T) {
			transport := &http.Transport{TLSClientConfig: shows(tc.as)}
			defer transport.CloseIdleConnections()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+at(doorExtAuthz)+"/ask"+tc.path, strings.NewReader(string(sent)))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = tc.host
			for k, v := range header {
				r.Header.Set(k, v)
			}
			if tc.client != nil {
				r.Header.Set("X-Forwarded-Client-Cert", "URI="+tc.client.ID+`;Cert="`+handedOn(t, tc.client)+`"`)
			}
			answer, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != tc.status || codeOfAnswer(string(text)) != tc.code {
				t.Fatalf("%d %s, want %d %s", answer.StatusCode, text, tc.status, tc.code)
			}
			if tc.status == 200 && (answer.Header.Get("X-Apex-Principal") != "spiffe://claims.example/intake" || !strings.Contains(answer.Header.Get("X-Envoy-Auth-Headers-To-Remove"), "authorization")) {
				t.Errorf("%v", answer.Header)
			}
		})
	}
	decisions, outcomes := s.records(t)
	allowed := 0
	for _, d := range decisions {
		if d.Door != doorExtAuthz || d.Generation == "" {
			t.Errorf("%+v", d)
		}
		if d.Allowed {
			allowed++
			if d.Principal != "spiffe://claims.example/intake" || d.WAF == nil || len(d.Parts) != 1 {
				t.Errorf("%+v", d)
			}
		}
	}
	// Who may not ask, and what the proxy says of a body, is answered before there is a question.
	if allowed != 6 || len(outcomes) != 0 {
		t.Errorf("%d decisions, %d allowed, %d outcomes", len(decisions), allowed, len(outcomes))
	}
}

func codeOfAnswer(text string) verdict.Code {
	var denied struct{ Error struct{ Code verdict.Code } }
	json.Unmarshal([]byte(text), &denied) // an answer that lets pass has none
	return denied.Error.Code
}

func TestAProxyBesideTheGatewayAsksOverASocket(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake := caller(t, bundles, "/intake")
	put(t, dir, "route.yaml", fmt.Sprintf(routeOf, "http://nobody.example"))
	path := filepath.Join(t.TempDir(), "ask.sock")
	serveGateway(t, GatewayOptions{Config: dir, Bundles: bundles, ExtAuthz: ExtAuthz{Address: "unix:" + path}})
	token, err := intake.Token("captioner")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	for bearer, status := range map[string]int{token: 200, "": 401} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://captioner.example/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		if bearer != "" {
			r.Header.Set("Authorization", "Bearer "+bearer)
		}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != status {
			t.Errorf("%d, want %d", answer.StatusCode, status)
		}
	}
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for bearer, status := range map[string]int{token: 200, "": 401} {
		header := map[string]string{"x-envoy-auth-partial-body": "false"}
		if bearer != "" {
			header["authorization"] = "Bearer " + bearer
		}
		answer, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
				Id: "1", Method: "GET", Scheme: "https", Host: "captioner.example", Path: "/v1/models", Protocol: "HTTP/1.1", Headers: header,
			}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if (answer.GetOkResponse() != nil) != (status == 200) || status == 401 && answer.GetDeniedResponse().GetStatus().GetCode() != 401 {
			t.Errorf("by gRPC: %v, want %d", answer, status)
		}
	}
	if _, err := listenSocket(path); err == nil || !strings.Contains(err.Error(), "another process listens") {
		t.Errorf("a socket that is in use was taken over: %v", err)
	}
}

func TestAProxyIsToldWhetherTheGatewayIsReady(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	caller(t, bundles, "/intake")
	path := filepath.Join(t.TempDir(), "ask.sock")
	route := fmt.Sprintf(routeOf, "http://nobody.example")
	put(t, dir, "route.yaml", route)
	s := serveGateway(t, GatewayOptions{Config: dir, Bundles: bundles, ExtAuthz: ExtAuthz{Address: "unix:" + path}})
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	is := func(want healthv1.HealthCheckResponse_ServingStatus, when string) {
		t.Helper()
		r, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
		if err != nil || r.Status != want {
			t.Errorf("%s: %v, %v", when, r, err)
		}
	}
	is(healthv1.HealthCheckResponse_SERVING, "while the folder is in force")
	put(t, dir, "route.yaml", strings.Replace(route, "api: OpenAI", "api: SOAP", 1))
	s.wait(t, func(h config.Health) bool { return !h.OK() })
	is(healthv1.HealthCheckResponse_NOT_SERVING, "while the folder holds what cannot be in force")
	put(t, dir, "route.yaml", route)
	s.wait(t, config.Health.OK)
	is(healthv1.HealthCheckResponse_SERVING, "once that is mended")
}

func TestAProxyThatAsksWhileTheGatewayEndsIsToldSo(t *testing.T) {
	for _, ends := range []bool{false, true} {
		dir, bundles := t.TempDir(), t.TempDir()
		caller(t, bundles, "/intake")
		path := filepath.Join(t.TempDir(), "ask.sock")
		put(t, dir, "route.yaml", fmt.Sprintf(routeOf, "http://nobody.example"))
		s := serveGateway(t, GatewayOptions{Config: dir, Bundles: bundles, Drain: 5 * time.Minute, ExtAuthz: ExtAuthz{Address: "unix:" + path}})
		conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// The question has begun, and is not there yet. The next one on the same
		// connection is answered, so the gateway knows of this one.
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		asking, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, healthv1.Health_Check_FullMethodName)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{}); err != nil || r.Status != healthv1.HealthCheckResponse_SERVING {
			t.Fatal(r, err)
		}
		want, ended := healthv1.HealthCheckResponse_SERVING, make(chan error, 1)
		if ends {
			want = healthv1.HealthCheckResponse_NOT_SERVING
			go func() { ended <- s.end() }()
			// It tells connections to go away once it says that it is not ready.
			for conn.GetState() == connectivity.Ready {
				if !conn.WaitForStateChange(ctx, connectivity.Ready) {
					t.Fatal("the connection is not told to go away")
				}
			}
		}
		var r healthv1.HealthCheckResponse
		if err := asking.SendMsg(&healthv1.HealthCheckRequest{}); err != nil {
			t.Fatal(err)
		}
		if err := asking.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if err := asking.RecvMsg(&r); err != nil || r.Status != want {
			t.Errorf("ending %v: %v, %v", ends, r.Status, err)
		}
		if !ends {
			continue
		}
		if err := <-ended; err != nil { // what was asked is answered, and then it ends
			t.Error(err)
		}
	}
}

func TestADoorForProxiesNeedsToKnowThem(t *testing.T) {
	for want, o := range map[string]GatewayOptions{
		"--extauthz-proxy":      {TrustDomain: "vision.example", ExtAuthz: ExtAuthz{Address: "127.0.0.1:0"}},
		"no certificate":        {ExtAuthz: ExtAuthz{Address: "127.0.0.1:0", Proxies: []string{"spiffe://a.example/envoy"}}},
		"is not a SPIFFE ID":    {TrustDomain: "vision.example", ExtAuthz: ExtAuthz{Address: "127.0.0.1:0", Proxies: []string{"envoy"}}},
		"is there, and no sock": {ExtAuthz: ExtAuthz{Address: "unix:" + t.TempDir()}},
	} {
		o.State, o.Config, o.Address, o.HealthAddress, o.Clock = t.TempDir(), t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", clock.System{}
		if err := Gateway(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
