package egress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway/fetch/address"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

// town is a proxy, the hosts that it can reach, and the records that it kept.
type town struct {
	proxy   *Proxy
	at      string // the proxy's address
	secure  *httptest.Server
	plain   *httptest.Server
	echo    net.Listener // sends back what it gets, without TLS
	clock   *clock.Fixed
	records chan Record

	mu        sync.Mutex
	connected []string
	broken    error // what the recorder answers
}

func (w *town) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	switch host {
	case "example.com.", "www.example.com.", "plain.test.":
		return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
	case "inside.test.":
		return []netip.Addr{netip.MustParseAddr("10.0.0.5")}, nil
	case "down.test.":
		return []netip.Addr{netip.MustParseAddr("93.184.216.99")}, nil
	}
	return nil, &net.DNSError{Name: host, IsNotFound: true}
}

func (w *town) connect(ctx context.Context, network, to string) (net.Conn, error) {
	w.mu.Lock()
	w.connected = append(w.connected, to)
	w.mu.Unlock()
	switch {
	case strings.HasPrefix(to, "93.184.216.99:"):
		return nil, errors.New("refused")
	case strings.HasSuffix(to, ":80"):
		to = w.plain.Listener.Addr().String()
	case strings.HasSuffix(to, ":7443"):
		to = w.echo.Addr().String()
	default:
		to = w.secure.Listener.Addr().String()
	}
	return (&net.Dialer{}).DialContext(ctx, network, to)
}

func (w *town) Record(_ context.Context, r *Record, _ bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return w.broken
	}
	w.records <- *r
	return nil
}

func (w *town) connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.connected)
}

// known are the tokens, and who shows them.
type known map[string]*identity.Principal

func (k known) Authenticate(_ context.Context, c *identity.Credentials) (*identity.Principal, error) {
	if c.Bearer == "" && len(c.Peer) > 0 {
		return &identity.Principal{ID: c.Peer[0].Subject.CommonName, Method: identity.X509SVID}, nil
	}
	switch p := k[c.Bearer]; {
	case c.Bearer == "other":
		return nil, identity.ErrOther
	case c.Bearer == "panic":
		panic("secret")
	case p != nil:
		return p, nil
	}
	return nil, identity.Refuse(verdict.IdentitySignature, "the signature is wrong")
}

var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const intake = "spiffe://claims.example/intake"

func newTown(t *testing.T, change func(*Options)) *town {
	t.Helper()
	w := &town{clock: clock.At(epoch), records: make(chan Record, 64)}
	hello := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for _, name := range []string{"Proxy-Authorization", "X-Forwarded-For", "Via"} {
			if r.Header.Get(name) != "" {
				t.Errorf("the host got the header %s", name)
			}
		}
		fmt.Fprintf(rw, "%s %s%s %d", r.Method, r.Host, r.URL.RequestURI(), len(body))
	})
	w.secure = httptest.NewTLSServer(hello)
	t.Cleanup(w.secure.Close)
	w.plain = httptest.NewServer(hello)
	t.Cleanup(w.plain.Close)
	var err error
	if w.echo, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.echo.Close() })
	go func() {
		for {
			c, err := w.echo.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	lists := map[string][]string{
		intake:                        {"example.com", "*.example.com", "plain.test:80", "inside.test", "down.test", "missing.test", "example.com:7443", "93.184.216.34:7443"},
		"spiffe://claims.example/old": {"example.com"},
	}
	hosts := map[string]*address.Hosts{}
	for who, list := range lists {
		if hosts[who], err = address.ParseHosts(list); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{
		Identity: known{
			"intake":  {ID: intake, Method: identity.JWTSVID, NotAfter: epoch.Add(time.Hour)},
			"old":     {ID: "spiffe://claims.example/old", Method: identity.JWTSVID, NotAfter: epoch},
			"nowhere": {ID: "spiffe://claims.example/nowhere", Method: identity.JWTSVID},
			"nobody":  {ID: "anonymous", Method: identity.Anonymous},
		},
		Reach: func(p *identity.Principal, t Target) Answer {
			return Answer{Allow: hosts[p.ID].Allow(t.Host, t.Port), Policies: []string{"p"}, Generation: "g"}
		},
		Recorder: w, Clock: w.clock, Dialer: &address.Dialer{Resolver: w, Connect: w.connect},
	}
	if change != nil {
		change(&o)
	}
	if w.proxy, err = New(o); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.at = l.Addr().String()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- serve(ctx, w.proxy, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

// serve serves until the context ends, and then cuts.
func serve(ctx context.Context, p *Proxy, l net.Listener) error {
	s := p.Server()
	stop := context.AfterFunc(ctx, func() {
		s.Close()
		p.Close()
	})
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// client is an ordinary HTTP client with the proxy set.
func (w *town) client(t *testing.T, token string) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(w.secure.Certificate())
	tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: w.at}), TLSClientConfig: &tls.Config{RootCAs: roots}}
	if token != "" {
		tr.ProxyConnectHeader = http.Header{"Proxy-Authorization": {"Bearer " + token}}
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// raw opens a connection to the proxy, sends, and returns it with its reader.
func (w *town) raw(t *testing.T, send string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", w.at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(5 * time.Minute))
	if _, err := io.WriteString(c, send); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func connect(host, token string) string {
	return "CONNECT " + host + " HTTP/1.1\r\nHost: " + host + "\r\nProxy-Authorization: Bearer " + token + "\r\n\r\n"
}

func TestAListedHostIsReachedThroughATunnelAndBothEndsAreRecorded(t *testing.T) {
	w := newTown(t, nil)
	c := w.client(t, "intake")
	answer, err := c.Post("https://example.com/a?b=c", "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if string(got) != "POST example.com/a?b=c 5" {
		t.Errorf("%s", got)
	}
	c.CloseIdleConnections()
	opened, closed := <-w.records, <-w.records
	if opened.Event != Opened || !opened.Allowed || opened.Principal != intake || opened.Host != "example.com" || opened.Port != 443 || opened.Kind != "connect" || opened.Schema != RecordSchema {
		t.Errorf("%+v", opened)
	}
	if closed.Event != Closed || closed.ID != opened.ID || closed.Sent < 300 || closed.Received < 300 || closed.Code != "" || closed.Address == "" {
		t.Errorf("%+v", closed)
	}
	if w.connections() != 1 || w.connected[0] != "93.184.216.34:443" {
		t.Error(w.connected)
	}
}

func TestWhoMayNotConnectIsRefusedAndRecorded(t *testing.T) {
	w := newTown(t, nil)
	for what, test := range map[string]struct {
		send   string
		status int
		code   verdict.Code
	}{
		"nobody":                       {"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 407, verdict.RequestIdentity},
		"a wrong token":                {connect("example.com:443", "wrong"), 407, verdict.IdentitySignature},
		"another kind of token":        {connect("example.com:443", "other"), 407, verdict.RequestIdentity},
		"an identity that has expired": {connect("example.com:443", "old"), 407, verdict.IdentityExpired},
		"an anonymous identity":        {connect("example.com:443", "nobody"), 407, verdict.RequestIdentity},
		"two tokens":                   {"CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Bearer intake\r\nProxy-Authorization: Bearer nowhere\r\n\r\n", 407, verdict.RequestIdentity},
		"another scheme":               {"CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic aW50YWtl\r\n\r\n", 407, verdict.RequestIdentity},
		"the token of the host behind": {"CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer intake\r\n\r\n", 407, verdict.RequestIdentity},
		"a check that panics":          {connect("example.com:443", "panic"), 503, verdict.GatewayFailed},
		"an identity without a list":   {connect("example.com:443", "nowhere"), 403, verdict.EgressDestination},
		"a host that is not listed":    {connect("evil.test:443", "intake"), 403, verdict.EgressDestination},
		"a port that is not listed":    {connect("example.com:22", "intake"), 403, verdict.EgressDestination},
		"a private address":            {connect("inside.test:443", "intake"), 403, verdict.AddressSpecial},
		"a name without an address":    {connect("missing.test:443", "intake"), 502, verdict.AddressUnresolved},
		"an address by number":         {connect("2130706433:443", "intake"), 400, verdict.MediaAddress},
		"no port":                      {connect("example.com", "intake"), 400, verdict.MediaAddress},
		"a body":                       {"CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nProxy-Authorization: Bearer intake\r\n\r\nabc", 400, verdict.RequestHeader},
		"an older protocol":            {"CONNECT example.com:443 HTTP/1.0\r\nHost: a\r\nProxy-Authorization: Bearer intake\r\n\r\n", 400, verdict.RequestProtocol},
		"a request for the proxy":      {"GET / HTTP/1.1\r\nHost: example.com\r\nProxy-Authorization: Bearer intake\r\n\r\n", 400, verdict.RequestProtocol},
		"https without a tunnel":       {"GET https://example.com/ HTTP/1.1\r\nHost: example.com\r\nProxy-Authorization: Bearer intake\r\n\r\n", 400, verdict.RequestProtocol},
		"plain HTTP to another port":   {"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nProxy-Authorization: Bearer intake\r\n\r\n", 403, verdict.EgressDestination},
		"a URL with a user":            {"GET http://plain.test@evil.test/ HTTP/1.1\r\nHost: plain.test\r\nProxy-Authorization: Bearer intake\r\n\r\n", 400, verdict.RequestPath},
		"a change of protocol":         {"GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nProxy-Authorization: Bearer intake\r\n\r\n", 400, verdict.RequestProtocol},
	} {
		// What follows a refused request is never served as one of its own.
		_, r := w.raw(t, test.send+"GET http://plain.test/smuggled HTTP/1.1\r\nHost: plain.test\r\nProxy-Authorization: Bearer intake\r\n\r\n")
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		var content struct {
			Code verdict.Code
			ID   string
		}
		json.NewDecoder(answer.Body).Decode(&content)
		if _, err := io.Copy(io.Discard, r); answer.StatusCode != test.status || content.Code != test.code || err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: status %d, code %s, want %d %s (%v)", what, answer.StatusCode, content.Code, test.status, test.code, err)
		}
		if record := <-w.records; record.Allowed || record.Code != string(test.code) || record.ID != content.ID || strings.Contains(fmt.Sprint(record), "secret") {
			t.Errorf("%s: %+v", what, record)
		}
	}
	if len(w.records) > 0 || w.connections() > 0 {
		t.Errorf("%d more records, connected to %v", len(w.records), w.connected)
	}
}

// greet writes the beginning of a TLS connection for a name.
func greet(t testing.TB, name string, change func(*tls.Config)) []byte {
	t.Helper()
	var b bytes.Buffer
	c := &tls.Config{ServerName: name, InsecureSkipVerify: name == ""}
	if change != nil {
		change(c)
	}
	tls.Client(recording{&b}, c).Handshake()
	return b.Bytes()
}

// recording is a connection to nowhere, that keeps what is written.
type recording struct{ to *bytes.Buffer }

func (r recording) Write(b []byte) (int, error)      { return r.to.Write(b) }
func (recording) Read([]byte) (int, error)           { return 0, io.EOF }
func (recording) Close() error                       { return nil }
func (recording) LocalAddr() net.Addr                { return nil }
func (recording) RemoteAddr() net.Addr               { return nil }
func (recording) SetDeadline(time.Time) error        { return nil }
func (recording) SetReadDeadline(t time.Time) error  { return nil }
func (recording) SetWriteDeadline(t time.Time) error { return nil }

func TestATunnelIsForTLSToTheHostThatItNames(t *testing.T) {
	w := newTown(t, nil)
	for what, test := range map[string]struct {
		host string
		send []byte
		want verdict.Code
	}{
		"for the same name":         {"example.com:7443", greet(t, "example.com", nil), ""},
		"in other letters":          {"EXAMPLE.com:7443", greet(t, "Example.COM", nil), ""},
		"without a name, by number": {"93.184.216.34:7443", greet(t, "", nil), ""},
		"in many records":           {"example.com:7443", split(greet(t, "example.com", nil), 200), ""},
		"for another name":          {"example.com:7443", greet(t, "evil.test", nil), verdict.EgressHello},
		"for a name below it":       {"example.com:7443", greet(t, "www.example.com", nil), verdict.EgressHello},
		"without a name":            {"example.com:7443", greet(t, "", nil), verdict.EgressHello},
		"with a name, by number":    {"93.184.216.34:7443", greet(t, "example.com", nil), verdict.EgressHello},
		"hidden":                    {"example.com:7443", withExtension(greet(t, "example.com", nil), extensionECH), verdict.EgressHello},
		"in very many records":      {"example.com:7443", split(greet(t, "example.com", nil), 5), verdict.EgressHello},
		"with something behind it":  {"example.com:7443", joined(greet(t, "example.com", nil), []byte("more")), verdict.EgressHello},
		"not TLS":                   {"example.com:7443", []byte("GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n"), verdict.EgressHello},
		"SSH":                       {"example.com:7443", []byte("SSH-2.0-OpenSSH_9.2\r\n"), verdict.EgressHello},
	} {
		t.Run(what, func(t *testing.T) {
			c, r := w.raw(t, connect(test.host, "intake"))
			answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Fatal(answer, err)
			}
			c.Write(test.send)
			if half, ok := c.(*net.TCPConn); ok {
				half.CloseWrite()
			}
			back, _ := io.ReadAll(r)
			<-w.records
			closed := <-w.records
			if test.want == "" {
				if !bytes.Equal(back, test.send) || closed.Code != "" || closed.Sent != int64(len(test.send)) || closed.Received != closed.Sent {
					t.Errorf("%d of %d bytes came back: %+v", len(back), len(test.send), closed)
				}
				return
			}
			if len(back) > 0 || closed.Sent != 0 || closed.Allowed || closed.Code != string(test.want) {
				t.Errorf("%d bytes came back: %+v", len(back), closed)
			}
		})
	}
}

func TestWhatIsSentBeforeTheTunnelIsOpenIsJudgedToo(t *testing.T) {
	w := newTown(t, nil)
	for name, want := range map[string]verdict.Code{"example.com": "", "evil.test": verdict.EgressHello} {
		early := greet(t, name, nil)
		c, r := w.raw(t, connect("example.com:7443", "intake")+string(early))
		if answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect}); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatal(answer, err)
		}
		c.(*net.TCPConn).CloseWrite()
		back, _ := io.ReadAll(r)
		<-w.records
		if closed := <-w.records; closed.Code != string(want) || (want == "") != bytes.Equal(back, early) {
			t.Errorf("%s: %d bytes came back: %+v", name, len(back), closed)
		}
	}
}

func TestPlainHTTPGoesToTheHostOfTheURLWhereThePortIsListed(t *testing.T) {
	w := newTown(t, nil)
	_, r := w.raw(t, "POST http://plain.test/a?b=c HTTP/1.1\r\nHost: evil.test\r\nProxy-Authorization: Bearer intake\r\nProxy-Connection: keep-alive\r\nX-Forwarded-For: 1.2.3.4\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(answer.Body); string(got) != "POST plain.test/a?b=c 5" {
		t.Errorf("%s", got)
	}
	opened, closed := <-w.records, <-w.records
	if opened.Kind != "http" || opened.Host != "plain.test" || opened.Port != 80 || closed.Sent != 5 || closed.Received != 23 || closed.Code != "" || closed.Address == "" {
		t.Errorf("%+v %+v", opened, closed)
	}
}

func TestAHostThatDoesNotAnswerIsSaidSo(t *testing.T) {
	w := newTown(t, nil)
	_, r := w.raw(t, connect("down.test:443", "intake"))
	answer, err := http.ReadResponse(r, nil)
	if err != nil || answer.StatusCode != http.StatusBadGateway {
		t.Fatal(answer, err)
	}
	<-w.records
	if closed := <-w.records; closed.Code != string(verdict.UpstreamDown) {
		t.Errorf("%+v", closed)
	}
}

func TestWhatIsNotRecordedDoesNotHappen(t *testing.T) {
	w := newTown(t, nil)
	w.broken = errors.New("the disk is full")
	for _, send := range []string{connect("example.com:443", "intake"), connect("evil.test:443", "intake"), "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nProxy-Authorization: Bearer intake\r\n\r\n"} {
		_, r := w.raw(t, send)
		if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != http.StatusServiceUnavailable {
			t.Error(answer, err)
		}
	}
	if w.connections() > 0 {
		t.Error(w.connected)
	}
}
