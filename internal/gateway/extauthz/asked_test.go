package extauthz

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/apexlogic/apex/verdict"
)

func TestOnlyAListedProxyMayAsk(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	s, err := New(Options{Decide: allow(new(Request)), Proxies: []string{envoy}, Bodies: true, Identity: a})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{a.issue(t, "spiffe://mesh.example/apex")}, ClientAuth: tls.RequestClientCert})))
	s.Register(g)
	go g.Serve(l)
	t.Cleanup(g.Stop)
	web := httptest.NewUnstartedServer(s)
	web.TLS = &tls.Config{Certificates: []tls.Certificate{a.issue(t, "spiffe://mesh.example/apex")}, ClientAuth: tls.RequestClientCert}
	web.StartTLS()
	t.Cleanup(web.Close)
	for what, test := range map[string]struct {
		certificate *tls.Certificate
		want        verdict.Code
	}{
		"the listed proxy":        {new(a.issue(t, envoy)), ""},
		"a workload of the mesh":  {new(a.issue(t, "spiffe://mesh.example/workload")), verdict.AskedBy},
		"somebody without a name": {nil, verdict.AskedBy},
	} {
		config := &tls.Config{RootCAs: a.pool(), ServerName: "apex.test"}
		if test.certificate != nil {
			config.Certificates = []tls.Certificate{*test.certificate}
		}
		r, err := client(t, l.Addr().String(), credentials.NewTLS(config)).Check(t.Context(), ask(nil))
		if err != nil {
			t.Fatal(err)
		}
		if code := codeIn(t, r); code != test.want {
			t.Errorf("%s: %q", what, code)
		}
		tr := &http.Transport{TLSClientConfig: config.Clone()}
		q, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, web.URL+"/v1/models", strings.NewReader("abc"))
		q.Header.Set(partial, "false")
		answer, err := tr.RoundTrip(q)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		tr.CloseIdleConnections()
		if (answer.StatusCode == http.StatusOK) != (test.want == "") {
			t.Errorf("%s, HTTP: %d", what, answer.StatusCode)
		}
	}
	config := &tls.Config{RootCAs: a.pool(), ServerName: "apex.test", Certificates: []tls.Certificate{stranger.issue(t, envoy)}}
	if r, err := client(t, l.Addr().String(), credentials.NewTLS(config)).Check(t.Context(), ask(nil)); err == nil && codeIn(t, r) == "" {
		t.Error("a stranger's certificate for the proxy's name")
	}
	for what, o := range map[string]Options{
		"nobody may ask": {Decide: allow(new(Request))}, "nobody verifies proxies": {Decide: allow(new(Request)), Proxies: []string{envoy}}, "nobody decides": {Socket: true}, "a proxy without an identity": {Decide: allow(new(Request)), Proxies: []string{"envoy"}, Identity: a},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s, and a server is made", what)
		}
	}
}

func TestTheHTTPFlavourAnswersWithStatusAndHeaders(t *testing.T) {
	a := newAuthority(t)
	var got Request
	serve := func(o Options) *http.Client {
		o.Decide, o.Socket, o.Identity, o.Prefix = allow(&got), true, a, "/ask"
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		web := &httptest.Server{Listener: l, Config: &http.Server{Handler: s}}
		web.Start()
		t.Cleanup(web.Close)
		tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr}
	}
	with, without := serve(Options{Bodies: true}), serve(Options{})
	for what, test := range map[string]struct {
		client             *http.Client
		path, bearer, part string
		body               string
		status             int
	}{
		"a whole body and a token":            {with, "/ask/v1/chat?a=b", "good", "false", "abc", 200},
		"a part of the body":                  {with, "/ask/v1/chat?a=b", "good", "true", "abc", 0},
		"a body that is not said to be whole": {with, "/ask/v1/chat?a=b", "good", "", "abc", 0},
		"no body":                             {with, "/ask/v1/chat?a=b", "good", "", "", 200},
		"no body, where bodies are kept":      {without, "/ask/v1/chat?a=b", "good", "", "", 0},
		"the same, said to be whole":          {without, "/ask/v1/chat?a=b", "good", "false", "", 0},
		"another path":                        {with, "/v1/chat", "good", "false", "abc", 400},
		"a path with a dot segment":           {with, "/ask/v1/%2e%2e/chat", "good", "false", "abc", 400},
	} {
		got = Request{}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://models.example"+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+test.bearer)
		r.Header.Set("X-Forwarded-Client-Cert", "URI="+intake)
		if test.part != "" {
			r.Header.Set(partial, test.part)
		}
		answer, err := test.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		whole := test.status != 0
		test.status = cmp.Or(test.status, 200)
		if answer.StatusCode != test.status {
			t.Errorf("%s: status %d, want %d", what, answer.StatusCode, test.status)
		}
		if test.status != 200 {
			if got.Host != "" {
				t.Errorf("%s was decided about", what)
			}
			continue
		}
		remove := strings.Split(answer.Header.Get("X-Envoy-Auth-Headers-To-Remove"), ",")
		if got.Path != "/v1/chat" || got.Query != "a=b" || got.Host != "models.example" || got.Source != "" || got.Complete != whole || string(got.Body) != test.body ||
			got.Header.Get("Authorization") != "Bearer "+test.bearer || answer.Header.Get("X-Apex-Principal") != "nobody" || !slices.Contains(remove, "x-forwarded-client-cert") || !slices.Contains(remove, "cookie") {
			t.Errorf("%s: %+v %v", what, got, answer.Header)
		}
	}
}

func TestACertificateInAHeaderCountsWhereTheProxySetsIt(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	cert := `URI=` + intake + `;Cert="` + a.pem(t, intake) + `"`
	for what, test := range map[string]struct {
		header    []string
		forwarded bool
		status    int
		who       string
	}{
		"the client's, as the proxy sets it":        {[]string{`By=spiffe://mesh.example/envoy;Hash=00;Subject="CN=a,O=\b";` + cert}, true, 401, ""},
		"the same without an escape":                {[]string{`By=spiffe://mesh.example/envoy;Hash=00;Subject="CN=a,O=b";` + cert}, true, 200, intake},
		"the same, where the proxy passes it on":    {[]string{cert}, false, 200, ""},
		"none":                                      {nil, true, 200, ""},
		"a stranger's":                              {[]string{`URI=` + intake + `;Cert="` + stranger.pem(t, intake) + `"`}, true, 401, ""},
		"a name without a certificate":              {[]string{`URI=` + intake}, true, 401, ""},
		"a certificate without a name":              {[]string{`Cert="` + a.pem(t, intake) + `"`}, true, 401, ""},
		"one behind another":                        {[]string{`URI=spiffe://claims.example/other,` + cert}, true, 401, ""},
		"two headers":                               {[]string{cert, cert}, true, 401, ""},
		"two names":                                 {[]string{`URI=spiffe://claims.example/other;` + cert}, true, 401, ""},
		"a quote that does not end":                 {[]string{`URI=` + intake + `;Cert="abc`}, true, 401, ""},
		"a part that Envoy does not have":           {[]string{`Role=admin;` + cert}, true, 401, ""},
		"something that is no list of names at all": {[]string{`;`}, true, 401, ""},
	} {
		var got Request
		s, err := New(Options{Decide: allow(&got), Socket: true, Bodies: true, Identity: a, Forwarded: test.forwarded})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Net: "unix"})), http.MethodGet, "/v1/models", nil)
		r.RequestURI, r.Host = "/v1/models", "models.example"
		r.Header["X-Forwarded-Client-Cert"] = test.header
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != test.status || got.Source != test.who {
			t.Errorf("%s: %d %q %s", what, w.Code, got.Source, w.Body)
		}
	}
}

func FuzzForwarded(f *testing.F) {
	f.Add(`By=a;Hash=b;URI=spiffe://a/b;Cert="c"`)
	f.Add(`URI="a";Cert=b;`)
	f.Fuzz(func(t *testing.T, value string) {
		source, certificate, ok := forwarded([]string{value})
		if ok && (source == "" || certificate == "" || strings.Count(strings.ToLower(value), "uri=") < 1) {
			t.Fatalf("%q was read as %q and %q", value, source, certificate)
		}
	})
}

func FuzzCheck(f *testing.F) {
	f.Add("POST", "models.example", "/v1/chat?a=b", "x-a", "b", intake, "abc", "")
	f.Add("GET", "a", "/", ":path", "/x", "", "%2D----", partial)
	f.Add("GET", "a@b", "//", "authorization", "Bearer x", "spiffe://a/b", "", "content-length")
	s, err := New(Options{Decide: func(_ context.Context, r *Request) Decision {
		if strings.Contains(r.Path, "..") && slices.Contains(strings.Split(r.Path, "/"), "..") || r.Source != "" || r.Peer != nil {
			panic("decided about what should have been refused")
		}
		return Decision{Allow: true}
	}, Socket: true, Bodies: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, host, path, name, value, source, certificate, second string) {
		q := &question{Request: Request{Method: method, Host: host, Path: path, Source: source}, certificate: certificate, headers: []header{{strings.ToLower(name), value}, {strings.ToLower(second), value}}}
		d, remove := s.decide(t.Context(), q)
		if d.Code == verdict.GatewayFailed {
			t.Fatal(d)
		}
		if d.Allow && (source != "" || certificate != "") {
			t.Fatal("an identity that nobody verified")
		}
		for _, name := range remove {
			if strings.ContainsAny(name, ", \r\n") {
				t.Fatalf("%q is no name", name)
			}
		}
	})
}
