package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gateway/fetch/address"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// world is a network in which every public address is one server of this
// machine; what was connected to is written down.
type world struct {
	server *httptest.Server

	mu        sync.Mutex
	names     map[string][]string // by name, the answers in order; the last one stays
	connected []string
	asked     []string
}

func (w *world) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, host)
	all := w.names[host]
	if len(all) == 0 {
		return nil, &net.DNSError{Name: host, IsNotFound: true}
	}
	if len(all) > 1 {
		w.names[host] = all[1:]
	}
	return []netip.Addr{netip.MustParseAddr(all[0])}, nil
}

func (w *world) connect(ctx context.Context, network, to string) (net.Conn, error) {
	w.mu.Lock()
	w.connected = append(w.connected, to)
	w.mu.Unlock()
	return (&net.Dialer{}).DialContext(ctx, network, w.server.Listener.Addr().String())
}

var png = []byte("\x89PNG\r\n\x1a\nand so on")

// newWorld starts the server. Its certificate is for example.com and names below
// it, as httptest makes it.
func newWorld(t *testing.T, secure bool, handler http.HandlerFunc) *world {
	t.Helper()
	w := &world{names: map[string][]string{"example.com.": {"93.184.216.34"}, "cdn.example.com.": {"93.184.216.35"}, "inside.example.com.": {"10.0.0.5"}, "other.test.": {"93.184.216.36"}}}
	w.server = httptest.NewUnstartedServer(handler)
	w.server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that are refused on purpose
	if secure {
		w.server.StartTLS()
	} else {
		w.server.Start()
	}
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) fetcher(t *testing.T, change func(*Options)) *Fetcher {
	t.Helper()
	hosts, err := address.ParseHosts([]string{"example.com", "*.example.com", "other.test", "example.com:80", "example.com:8443", "93.184.216.34", "169.254.169.254"})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Hosts: hosts, Dialer: &address.Dialer{Resolver: w, Connect: w.connect}, Inspect: inspect, Redirects: 2, Time: 30 * time.Second}
	if c := w.server.Certificate(); c != nil {
		roots := x509.NewCertPool()
		roots.AddCert(c)
		o.TLS = &tls.Config{RootCAs: roots}
	}
	if change != nil {
		change(&o)
	}
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// inspect knows PNG by its magic, and refuses a wrong declaration.
func inspect(r io.Reader, where, declared string, _ *media.Limits) (media.Part, error) {
	all, err := io.ReadAll(r)
	if err != nil {
		return media.Part{}, err
	}
	if !bytes.HasPrefix(all, png[:8]) {
		return media.Part{}, media.Refuse(verdict.MediaKind, where, "not an image")
	}
	if declared != "" && declared != "image/png" {
		return media.Part{}, media.Refuse(verdict.MediaMismatch, where, "not what is declared")
	}
	return media.Part{Kind: media.Image, Type: "image/png", Bytes: int64(len(all))}, nil
}

func sendPNG(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "image/png")
	w.Write(png)
}

var limits = media.Defaults()

const where = "/messages/0/content/1/image_url/url"

func TestContentIsFetchedFromTheAddressThatWasJudgedAndInlined(t *testing.T) {
	var seen http.Header
	w := newWorld(t, true, func(w http.ResponseWriter, r *http.Request) { seen = r.Header.Clone(); sendPNG(w, r) })
	c, err := w.fetcher(t, nil).Inline(t.Context(), where, "https://example.com/a.png?x=1", &limits, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Part.Type != "image/png" || c.Part.Where != where || c.Part.Declared != "image/png" || c.Part.URL != "" || !bytes.Equal(c.Data, png) {
		t.Errorf("%+v", c.Part)
	}
	if !slices.Equal(w.connected, []string{"93.184.216.34:443"}) || !slices.Equal(w.asked, []string{"example.com."}) {
		t.Errorf("connected to %v, asked for %v", w.connected, w.asked)
	}
	for name := range seen {
		if !slices.Contains([]string{"Accept", "Accept-Encoding", "User-Agent", "Connection"}, name) {
			t.Errorf("the header %s was sent", name)
		}
	}
}

func TestAddressesThatAreReadInTwoWaysOrNotListedAreRefused(t *testing.T) {
	w := newWorld(t, true, sendPNG)
	f := w.fetcher(t, nil)
	for what, test := range map[string]struct {
		url  string
		want verdict.Code
	}{
		"a listed host":                   {"https://example.com/a.png", ""},
		"a host below a listed suffix":    {"https://cdn.example.com/a.png", ""},
		"upper case":                      {"HTTPS://Example.COM/a.png", ""},
		"the listed port":                 {"https://example.com:8443/a.png", ""},
		"a host that is not listed":       {"https://evil.test/a.png", verdict.MediaAddress},
		"a port that is not listed":       {"https://example.com:22/a.png", verdict.MediaAddress},
		"plain HTTP":                      {"http://example.com/a.png", verdict.MediaAddress},
		"a file":                          {"file:///etc/passwd", verdict.MediaAddress},
		"FTP":                             {"ftp://example.com/a.png", verdict.MediaAddress},
		"gopher":                          {"gopher://example.com/a.png", verdict.MediaAddress},
		"a data URL":                      {"data:image/png;base64,iVBORw0KGgo=", verdict.MediaAddress},
		"no host":                         {"https:///a.png", verdict.MediaAddress},
		"a user":                          {"https://user:secret@example.com/a.png", verdict.MediaAddress},
		"a listed host as user":           {"https://example.com@evil.test/a.png", verdict.MediaAddress},
		"a listed host behind a fragment": {"https://evil.test#@example.com/a.png", verdict.MediaAddress},
		"a backslash":                     {"https://evil.test\\@example.com/a.png", verdict.MediaAddress},
		"a backslash for a slash":         {"https:\\\\example.com/a.png", verdict.MediaAddress},
		"a line break":                    {"https://example.com/a.png\r\nX: y", verdict.MediaAddress},
		"a tab in the host":               {"https://exam\tple.com/a.png", verdict.MediaAddress},
		"an escape in the host":           {"https://example%2ecom/a.png", verdict.MediaAddress},
		"a decimal address":               {"https://2130706433/a.png", verdict.MediaAddress},
		"a hexadecimal address":           {"https://0x7f000001/a.png", verdict.MediaAddress},
		"an octal address":                {"https://0177.0.0.1/a.png", verdict.MediaAddress},
		"an IPv6-mapped address":          {"https://[::ffff:169.254.169.254]/a.png", verdict.MediaAddress},
		"metadata, although it is listed": {"https://169.254.169.254/latest", verdict.AddressSpecial},
		"a name of a private address":     {"https://inside.example.com/a.png", verdict.AddressSpecial},
		"a name that is none":             {"https://missing.example.com/a.png", verdict.AddressUnresolved},
		"more than two kilobytes":         {"https://example.com/" + strings.Repeat("a", maxURL), verdict.MediaAddress},
		"a bad escape in the path":        {"https://example.com/%zz", verdict.MediaAddress},
		"a fragment":                      {"https://example.com/a.png#x", verdict.MediaAddress},
		"a backslash in the path":         {"https://example.com/a\\b.png", verdict.MediaAddress},
		"a space in the path":             {"https://example.com/a b.png", verdict.MediaAddress},
		"letters beyond ASCII":            {"https://example.com/ä.png", verdict.MediaAddress},
		"the same in escapes":             {"https://example.com/%C3%A4%5C%20%23.png", ""},
	} {
		before := len(w.connected)
		_, err := f.Inline(t.Context(), where, test.url, &limits, nil)
		hold(t, what, err, test.want)
		if test.want != "" && len(w.connected) != before {
			t.Errorf("%s: connected to %v", what, w.connected[before:])
		}
		hold(t, what+", only checked", f.Check(t.Context(), where, test.url), test.want)
	}
}

// hold says whether an error is the refusal that was expected, at its place.
func hold(t *testing.T, what string, err error, want verdict.Code) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	r, ok := errors.AsType[*media.Refusal](err)
	if !ok || r.Code != want || r.Where != where {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

func TestPlainHTTPIsTakenOnlyWhereItIsSaid(t *testing.T) {
	w := newWorld(t, false, sendPNG)
	_, err := w.fetcher(t, func(o *Options) { o.PlainHTTP = true }).Inline(t.Context(), where, "http://example.com/a.png", &limits, nil)
	hold(t, "said", err, "")
	_, err = w.fetcher(t, nil).Inline(t.Context(), where, "http://example.com/a.png", &limits, nil)
	hold(t, "not said", err, verdict.MediaAddress)
}

func TestANameThatIsAnsweredDifferentlyASecondTimeIsNotAskedASecondTime(t *testing.T) {
	w := newWorld(t, true, sendPNG)
	w.names["example.com."] = []string{"93.184.216.34", "127.0.0.1"} // DNS rebinding
	_, err := w.fetcher(t, nil).Inline(t.Context(), where, "https://example.com/a.png", &limits, nil)
	hold(t, "the first answer is public", err, "")
	if !slices.Equal(w.connected, []string{"93.184.216.34:443"}) {
		t.Errorf("connected to %v", w.connected)
	}
	_, err = w.fetcher(t, nil).Inline(t.Context(), where, "https://example.com/a.png", &limits, nil)
	hold(t, "the next fetch gets the private answer", err, verdict.AddressSpecial)
	if len(w.connected) != 1 {
		t.Errorf("connected to %v", w.connected)
	}
}

func TestEveryRedirectIsJudgedFromTheStart(t *testing.T) {
	w := newWorld(t, true, func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
			return
		}
		sendPNG(w, r)
	})
	f := w.fetcher(t, func(o *Options) { o.PlainHTTP = true })
	to := func(all ...string) string {
		s := ""
		for i := len(all) - 1; i >= 0; i-- {
			if s != "" {
				s = all[i] + "?to=" + url.QueryEscape(s)
			} else {
				s = all[i]
			}
		}
		return s
	}
	for what, test := range map[string]struct {
		url  string
		want verdict.Code
	}{
		"to a listed host":          {to("https://example.com/", "https://cdn.example.com/a.png"), ""},
		"to a path":                 {to("https://example.com/", "/a.png"), ""},
		"to a host without scheme":  {to("https://example.com/", "//cdn.example.com/a.png"), ""},
		"twice":                     {to("https://example.com/", "https://cdn.example.com/", "https://example.com/a.png"), ""},
		"three times":               {to("https://example.com/", "/", "/", "/a.png"), verdict.FetchLimit},
		"to a host not listed":      {to("https://example.com/", "https://evil.test/a.png"), verdict.MediaAddress},
		"to a private address":      {to("https://example.com/", "https://inside.example.com/a.png"), verdict.AddressSpecial},
		"to the metadata":           {to("https://example.com/", "https://169.254.169.254/latest/meta-data"), verdict.AddressSpecial},
		"to a number":               {to("https://example.com/", "https://2130706433/"), verdict.MediaAddress},
		"to a file":                 {to("https://example.com/", "file:///etc/passwd"), verdict.MediaAddress},
		"to a user":                 {to("https://example.com/", "https://example.com@cdn.example.com/"), verdict.MediaAddress},
		"to plain HTTP":             {to("https://example.com/", "http://example.com/a.png"), verdict.MediaAddress},
		"to a backslash":            {to("https://example.com/", "/\\evil.test/a.png"), verdict.MediaAddress},
		"to a host with backslash":  {to("https://example.com/", "//evil.test\\@cdn.example.com/a.png"), verdict.MediaAddress},
		"to something unreadable":   {to("https://example.com/", "https://[/a.png"), verdict.MediaAddress},
		"to a private one, at last": {to("https://example.com/", "https://cdn.example.com/", "https://inside.example.com/a.png"), verdict.AddressSpecial},
	} {
		w.connected = nil
		_, err := f.Inline(t.Context(), where, test.url, &limits, nil)
		hold(t, what, err, test.want)
		for _, c := range w.connected {
			if !strings.HasPrefix(c, "93.184.216.") {
				t.Errorf("%s: connected to %s", what, c)
			}
		}
	}
	none := w.fetcher(t, func(o *Options) { o.Redirects = 0 })
	_, err := none.Inline(t.Context(), where, to("https://example.com/", "/a.png"), &limits, nil)
	hold(t, "redirects that are not followed", err, verdict.FetchLimit)
}

func TestOnlyTheServerOfThatNameIsBelieved(t *testing.T) {
	w := newWorld(t, true, sendPNG)
	f := w.fetcher(t, nil)
	_, err := f.Inline(t.Context(), where, "https://example.com/a.png", &limits, nil)
	hold(t, "a certificate for the name", err, "")
	_, err = f.Inline(t.Context(), where, "https://other.test/a.png", &limits, nil)
	hold(t, "a certificate for another name", err, verdict.FetchFailed)
	_, err = w.fetcher(t, func(o *Options) { o.TLS = nil }).Inline(t.Context(), where, "https://example.com/a.png", &limits, nil)
	hold(t, "a certificate of an unknown authority", err, verdict.FetchFailed)
}

func TestContentIsBoundedAndTakenAsItIs(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	z.Write(append(slices.Clone(png), make([]byte, 1<<20)...))
	z.Close()
	body := func(headers string, content []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for line := range strings.SplitSeq(headers, "\n") {
				if name, value, ok := strings.Cut(line, ": "); ok {
					w.Header().Add(name, value)
				}
			}
			w.Write(content)
		}
	}
	large := append(slices.Clone(png), make([]byte, 100_000)...)
	for what, test := range map[string]struct {
		handler http.HandlerFunc
		want    verdict.Code
	}{
		"as declared":                   {body("Content-Type: image/png; x=1", png), ""},
		"declared as bytes":             {body("Content-Type: application/octet-stream", png), ""},
		"declared as nothing":           {body("Content-Type: ", png), ""},
		"the identity encoding":         {body("Content-Type: image/png\nContent-Encoding: identity", png), ""},
		"declared as something else":    {body("Content-Type: image/jpeg", png), verdict.MediaMismatch},
		"declared twice":                {body("Content-Type: image/png\nContent-Type: text/html", png), verdict.FetchFailed},
		"declared as nonsense":          {body("Content-Type: image/png/;;", png), verdict.FetchFailed},
		"something else":                {body("Content-Type: image/png", []byte("<html>")), verdict.MediaKind},
		"a gzip bomb":                   {body("Content-Type: image/png\nContent-Encoding: gzip", bomb.Bytes()), verdict.FetchFailed},
		"a gzip bomb without a mention": {body("Content-Type: image/png", bomb.Bytes()), verdict.MediaKind},
		"more than is allowed":          {body("Content-Type: image/png", large), verdict.FetchLimit},
		"more than is allowed, in pieces": {func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(large); i += 10_000 {
				w.Write(large[i:min(i+10_000, len(large))])
				w.(http.Flusher).Flush()
			}
		}, verdict.FetchLimit},
		"less than was announced": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.Write(png)
		}, verdict.FetchFailed},
		"a part of it": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
			w.Write(png)
		}, verdict.FetchFailed},
		"an error":               {func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusNotFound) }, verdict.FetchFailed},
		"a redirect nowhere":     {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusFound) }, verdict.FetchFailed},
		"headers without an end": {body("X-Long: "+strings.Repeat("a", 2*maxHeaders), png), verdict.FetchFailed},
	} {
		w := newWorld(t, true, test.handler)
		f := w.fetcher(t, func(o *Options) { o.Bytes = 50_000 })
		_, err := f.Inline(t.Context(), where, "https://example.com/a.png", &limits, nil)
		hold(t, what, err, test.want)
	}
	w := newWorld(t, true, body("Content-Type: image/png", large))
	_, err := w.fetcher(t, nil).Inline(t.Context(), where, "https://example.com/a.png", &limits, nil)
	hold(t, "as much, where it is allowed", err, "")
	narrow := limits
	narrow.PartBytes = 50_000
	_, err = w.fetcher(t, nil).Inline(t.Context(), where, "https://example.com/a.png", &narrow, nil)
	hold(t, "more than a part of the message may have", err, verdict.FetchLimit)
}

func TestAServerThatTakesItsTimeIsGivenUp(t *testing.T) {
	for what, slow := range map[string]http.HandlerFunc{
		"before the answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"within the content": func(w http.ResponseWriter, r *http.Request) {
			w.Write(png)
			for r.Context().Err() == nil { // a byte now and then, for ever
				if _, err := w.Write([]byte{0}); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(time.Millisecond):
				}
			}
		},
	} {
		w := newWorld(t, true, slow)
		f := w.fetcher(t, func(o *Options) { o.Time = 300 * time.Millisecond })
		_, err := f.Inline(t.Context(), where, "https://example.com/a.png", &limits, nil)
		hold(t, what, err, verdict.FetchLimit)
	}
}

func TestOptionsThatVerifyNothingAreErrors(t *testing.T) {
	good := Options{Inspect: inspect, Redirects: MaxRedirects}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Options){
		"no inspection":      func(o *Options) { o.Inspect = nil },
		"no verification":    func(o *Options) { o.TLS = &tls.Config{InsecureSkipVerify: true} },
		"too many redirects": func(o *Options) { o.Redirects++ },
		"fewer than none":    func(o *Options) { o.Redirects = -1 },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	f, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, true, sendPNG)
	hold(t, "a listed public address", w.fetcher(t, nil).Check(t.Context(), where, "https://93.184.216.34/a.png"), "")
	hold(t, "without a list", f.Check(t.Context(), where, "https://example.com/"), verdict.MediaAddress)
}

func TestARefusalNeverQuotesTheAddress(t *testing.T) {
	w := newWorld(t, true, sendPNG)
	for _, url := range []string{"https://secret.test/?sig=secret", "https://user:secret@example.com/", "https://secret.example.com/secret", "secret"} {
		if _, err := w.fetcher(t, nil).Inline(t.Context(), where, url, &limits, nil); err == nil || strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
	}
}

// FuzzParse holds the reader of addresses to net/url.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"https://example.com/a?b=c", "http://example.com:80", "https://a.b@c.d/", "https://[2606:2800:220::1]:444/x", "HTTPS://1.2.3.4?x", "https://a.b:443:444/", "https://a.b?@c.d/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parse(s)
		if err != nil {
			return
		}
		u, err := url.Parse(s)
		if err != nil {
			t.Fatalf("%q: net/url: %v", s, err)
		}
		h, err := address.ParseHost(u.Host[:len(u.Host)-len(portOf(u))])
		if err != nil || h != got.host || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
			t.Fatalf("%q: net/url reads %q, we %v (%v)", s, u.Host, got.host, err)
		}
		if p := u.Port(); p != "" && p != fmt.Sprint(got.port) {
			t.Fatalf("%q: port %s or %d", s, p, got.port)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && a != got.host.Addr {
			t.Fatalf("%q: %v is an address", s, a)
		}
		r, err := http.NewRequest(http.MethodGet, got.url.String(), nil)
		if err != nil || r.URL.Host != u.Host {
			t.Fatalf("%q: a request would go to %v (%v)", s, r, err)
		}
	})
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return ":" + p
	}
	return ""
}
