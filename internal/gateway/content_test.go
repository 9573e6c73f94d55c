package gateway

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	stdjpeg "image/jpeg"
	stdpng "image/png"
	"io"
	"log"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway/fetch"
	"github.com/apexlogic/apex/internal/gateway/fetch/address"
	"github.com/apexlogic/apex/internal/gateway/waf"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/inspect"
	"github.com/apexlogic/apex/internal/meter"
	"github.com/apexlogic/apex/verdict"
)

// outside is the world of the addresses of content: every public address is one
// server of this machine, whose certificate is for example.com and below.
type outside struct {
	server *httptest.Server
	meter  *meter.Meter

	mu        sync.Mutex
	names     map[string][]string // the answers in order; the last one stays
	connected []string
	requests  int
}

func (o *outside) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.names[host]
	if len(all) == 0 {
		return nil, &net.DNSError{Name: host, IsNotFound: true}
	}
	if len(all) > 1 {
		o.names[host] = all[1:]
	}
	return []netip.Addr{netip.MustParseAddr(all[0])}, nil
}

func (o *outside) connect(ctx context.Context, network, to string) (net.Conn, error) {
	o.mu.Lock()
	o.connected = append(o.connected, to)
	o.mu.Unlock()
	return (&net.Dialer{}).DialContext(ctx, network, o.server.Listener.Addr().String())
}

func (o *outside) reached() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.connected)
}

// picture is a PNG image of n × n pixels.
func picture(t testing.TB, n int) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, n, n))
	for i := range m.Pix {
		m.Pix[i] = byte(i * i >> 3) // what does not pack well
	}
	var b bytes.Buffer
	if err := stdpng.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func send(of string, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", of)
		w.Write(content)
	}
}

// fetching is a gateway whose route takes the addresses of hosts outside. The
// content is inspected by the real inspectors.
func fetchingWorld(t *testing.T, serve http.HandlerFunc, change func(*Route, *fetch.Options)) (*world, *outside) {
	t.Helper()
	o := &outside{meter: meter.New(clock.At(start)), names: map[string][]string{
		"example.com.": {"93.184.216.34"}, "cdn.example.com.": {"93.184.216.35"}, "inside.example.com.": {"10.0.0.5"}, "mapped.example.com.": {"::ffff:127.0.0.1"},
		"cloud.example.com.": {"169.254.169.254"}, "rebinds.example.com.": {"93.184.216.34", "127.0.0.1"}, "other.test.": {"93.184.216.36"},
	}}
	o.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.requests++
		o.mu.Unlock()
		serve(w, r)
	}))
	o.server.Config.ErrorLog = log.New(io.Discard, "", 0) // connections that are cut on purpose
	o.server.StartTLS()
	t.Cleanup(o.server.Close)
	hosts, err := address.ParseHosts([]string{"example.com", "*.example.com", "example.com:8443", "169.254.169.254", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(o.server.Certificate())
	options := fetch.Options{
		Hosts: hosts, Dialer: &address.Dialer{Resolver: o, Connect: o.connect}, Inspect: inspect.Inspect, Redirects: 2,
		TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	w := newWorld(t, func(r *Route) {
		if change != nil {
			change(r, &options)
		}
		f, err := fetch.New(options)
		if err != nil {
			t.Fatal(err)
		}
		if r.Addresses == nil {
			r.Addresses = &Addresses{}
		}
		r.Addresses.Fetcher = f
		r.Units.Fetched = o.meter.Handle(meter.Key{Control: "gateway", Unit: "fetched-bytes"})
	})
	w.gateway.options.Inspect = inspect.Inspect
	return w, o
}

func chatOf(urls ...string) string {
	var parts []any
	for _, u := range urls {
		parts = append(parts, map[string]any{"type": "image_url", "image_url": map[string]any{"url": u}})
	}
	b, err := json.Marshal(map[string]any{"model": "captioner", "messages": []any{map[string]any{"role": "user", "content": parts}}})
	if err != nil {
		panic(err)
	}
	return string(b)
}

const completions = "/v1/chat/completions"

func dataURL(of string, content []byte) string {
	return "data:" + of + ";base64," + base64.StdEncoding.EncodeToString(content)
}

func hexOf(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }

func TestContentIsFetchedInspectedAndInlined(t *testing.T) {
	png := picture(t, 8)
	w, o := fetchingWorld(t, send("image/png", png), nil)
	sent := chatOf("https://example.com/a.png?signature=secret", "https://cdn.example.com/b.png", "https://example.com/a.png?signature=secret")
	// An escaped address is one too, and what stands around it stays.
	sent = strings.Replace(sent, "https://cdn", `https:\/\/cdn`, 1)
	status, code, _ := w.ask(t, "POST", completions, sent, nil)
	if status != 200 || o.requests != 2 {
		t.Fatalf("%d %s, %d fetched", status, code, o.requests)
	}
	if got, want := w.behind.bodies[0], chatOf(dataURL("image/png", png), dataURL("image/png", png), dataURL("image/png", png)); got != want {
		t.Errorf("the server gets\n%s\nwant\n%s", got, want)
	}
	d, _ := w.records.last(t)
	if len(d.Parts) != 3 || d.Forwarded == "" || d.Forwarded == d.Body || d.Bytes != int64(len(sent)) {
		t.Fatalf("%+v", d)
	}
	for i, host := range []string{"example.com", "cdn.example.com", "example.com"} {
		if p := d.Parts[i]; p.From != host || p.Digest != hexOf(png) || p.Bytes != int64(len(png)) || p.Type != "image/png" || p.Forwarded != "" {
			t.Errorf("%+v", p)
		}
	}
	if record, err := json.Marshal(d); err != nil || bytes.Contains(record, []byte("secret")) {
		t.Errorf("the record quotes the address: %s", record)
	}
	if n := o.meter.Totals()[0].Total; n != uint64(2*len(png)) {
		t.Errorf("%d bytes are metered", n)
	}
}

func TestAddressesThatLeadElsewhereAreRefusedThroughTheGateway(t *testing.T) {
	png := picture(t, 8)
	w, o := fetchingWorld(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/to":
			w.Header().Set("Location", r.URL.Query().Get("at"))
			w.WriteHeader(http.StatusFound)
		default:
			send("image/png", png)(w, r)
		}
	}, nil)
	for _, tc := range []struct {
		name, url string
		code      verdict.Code // "": passes
	}{
		{"a listed host", "https://example.com/a.png", ""},
		{"a listed port", "https://example.com:8443/a.png", ""},
		{"another port", "https://example.com:22/a.png", verdict.MediaAddress},
		{"a host that is not listed", "https://other.test/a.png", verdict.MediaAddress},
		{"a redirect to a listed host", "https://example.com/to?at=https://cdn.example.com/a.png", ""},
		{"a redirect to another host", "https://example.com/to?at=https://other.test/a.png", verdict.MediaAddress},
		{"a redirect inside", "https://example.com/to?at=https://inside.example.com/a.png", verdict.AddressSpecial},
		{"a redirect to plain text", "https://example.com/to?at=http://example.com/a.png", verdict.MediaAddress},
		{"a redirect to a file", "https://example.com/to?at=file:///etc/passwd", verdict.MediaAddress},
		{"a redirect to data", "https://example.com/to?at=data:image/png%3Bbase64,AAAA", verdict.MediaAddress},
		{"a name with a private address", "https://inside.example.com/a.png", verdict.AddressSpecial},
		{"a name with a mapped address", "https://mapped.example.com/a.png", verdict.AddressSpecial},
		{"a name with the metadata's address", "https://cloud.example.com/latest", verdict.AddressSpecial},
		{"the metadata's address, listed", "https://169.254.169.254/latest", verdict.AddressSpecial},
		{"loopback, listed", "https://127.0.0.1/a.png", verdict.AddressSpecial},
		{"a mapped IPv6 address", "https://[::ffff:127.0.0.1]/a.png", verdict.MediaAddress},
		{"a decimal address", "https://2130706433/a.png", verdict.MediaAddress},
		{"an octal address", "https://0177.0.0.1/a.png", verdict.MediaAddress},
		{"a hexadecimal address", "https://0x7f000001/a.png", verdict.MediaAddress},
		{"a short address", "https://127.1/a.png", verdict.MediaAddress},
		{"a user", "https://example.com@inside.example.com/a.png", verdict.MediaAddress},
		{"a backslash", `https://example.com\@inside.example.com/`, verdict.MediaAddress},
		{"a file", "file:///etc/passwd", verdict.MediaAddress},
		{"a gopher", "gopher://example.com/1", verdict.MediaAddress},
		{"plain text", "http://example.com/a.png", verdict.MediaAddress},
		{"data within data", "data:text/plain,https://example.com/a.png", verdict.MediaEncoding},
		{"data in base64 that is an address", dataURL("image/png", []byte("https://example.com/a.png")), verdict.MediaMismatch},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := w.behind.count()
			status, code, text := w.ask(t, "POST", completions, chatOf(tc.url), nil)
			if passed := status == 200; passed != (tc.code == "") || code != string(tc.code) {
				t.Errorf("%d %s: %s", status, code, text)
			}
			if passed := w.behind.count() > before; passed != (tc.code == "") {
				t.Error("the server was asked, or was not")
			}
		})
	}
	for _, to := range o.connected {
		if a := netip.MustParseAddrPort(to).Addr(); !address.Public(a) {
			t.Errorf("%s was connected to", a)
		}
	}
}

func TestANameThatChangesItsAddressIsConnectedToWhereItWasJudged(t *testing.T) {
	w, o := fetchingWorld(t, send("image/png", picture(t, 8)), nil)
	if status, code, _ := w.ask(t, "POST", completions, chatOf("https://rebinds.example.com/a.png"), nil); status != 200 {
		t.Fatal(status, code)
	}
	if len(o.connected) != 1 || o.connected[0] != "93.184.216.34:443" {
		t.Error(o.connected)
	}
	if _, code, _ := w.ask(t, "POST", completions, chatOf("https://rebinds.example.com/a.png"), nil); code != string(verdict.AddressSpecial) || o.reached() != 1 {
		t.Error(code, o.connected)
	}
}

func TestWhatStandsAtAnAddressIsHeldToTheSameBounds(t *testing.T) {
	png := picture(t, 8)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(png)
	z.Close()
	bomb := picture(t, 8)
	copy(bomb[16:], []byte{0, 1, 0, 0, 0, 1, 0, 0}) // 65,536 × 65,536 pixels, with a wrong checksum besides
	big := picture(t, 64)
	for _, tc := range []struct {
		name   string
		serve  http.HandlerFunc
		change func(*Route, *fetch.Options)
		code   verdict.Code
	}{
		{"an image", send("image/png", png), nil, ""},
		{"an image without a type", send("application/octet-stream", png), nil, ""},
		{"another type than declared", send("image/jpeg", png), nil, verdict.MediaMismatch},
		{"a page", send("text/html", []byte("<html><script>")), nil, verdict.MediaActive},
		{"markup as an image", send("image/png", []byte("<svg onload=1>")), nil, verdict.MediaActive},
		{"a type that the route does not take", send("image/png", png), func(r *Route, _ *fetch.Options) { r.Types = []string{"image/jpeg"} }, verdict.MediaKind},
		{"a type that the route takes", send("image/png", png), func(r *Route, _ *fetch.Options) { r.Types = []string{"image/png"} }, ""},
		{"a kind that the route does not take", send("text/plain", []byte("words")), nil, verdict.MediaKind},
		{"compressed content that was not asked for", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			send("image/png", packed.Bytes())(w, r)
		}, nil, verdict.FetchFailed},
		{"a pixel bomb", send("image/png", bomb), nil, verdict.MediaLimit},
		{"an archive behind the image", send("image/png", append(bytes.Clone(png), "PK\x05\x06"+strings.Repeat("\x00", 18)...)), nil, verdict.MediaPolyglot},
		{"a part that is too large", send("image/png", big), func(r *Route, _ *fetch.Options) { r.Media.PartBytes = int64(len(big)) - 1 }, verdict.FetchLimit},
		{"a part that is just small enough", send("image/png", big), func(r *Route, _ *fetch.Options) { r.Media.PartBytes = int64(len(big)) }, ""},
		{"a body without an end", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}, func(r *Route, _ *fetch.Options) { r.Media.PartBytes = 1 << 20 }, verdict.FetchLimit},
		{"a body that never comes", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			func(_ *Route, o *fetch.Options) { o.Time = 300 * time.Millisecond }, verdict.FetchLimit},
		{"an error of the server", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, nil, verdict.FetchFailed},
		{"no server", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, verdict.FetchFailed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, _ := fetchingWorld(t, tc.serve, tc.change)
			status, code, text := w.ask(t, "POST", completions, chatOf("https://example.com/a"), nil)
			if (status == 200) != (tc.code == "") || code != string(tc.code) || (w.behind.count() == 1) != (tc.code == "") {
				t.Errorf("%d %s: %s", status, code, text)
			}
			if d, _ := w.records.last(t); d.Stage != "content" && tc.code != "" {
				t.Errorf("refused by %s", d.Stage)
			}
		})
	}
}

func TestAllThatAMessageNamesIsBoundedTogether(t *testing.T) {
	png := picture(t, 64)
	w, _ := fetchingWorld(t, send("image/png", png), func(r *Route, _ *fetch.Options) {
		r.Media.Bytes = int64(base64.StdEncoding.EncodedLen(len(png))*3 + 600)
	})
	urls := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("https://example.com/%d.png", i))
		}
		return all
	}
	if status, code, text := w.ask(t, "POST", completions, chatOf(urls(3)...), nil); status != 200 {
		t.Errorf("%d %s: %s", status, code, text)
	}
	status, code, _ := w.ask(t, "POST", completions, chatOf(urls(4)...), nil)
	if status != 413 || code != string(verdict.FetchLimit) && code != string(verdict.BodyLimit) {
		t.Errorf("%d %s", status, code)
	}
	w, o := fetchingWorld(t, send("image/png", picture(t, 1)), nil)
	if status, code, _ := w.ask(t, "POST", completions, chatOf(urls(maxAddresses)...), nil); status != 200 {
		t.Error(status, code)
	}
	fetched := o.requests
	if _, code, _ := w.ask(t, "POST", completions, chatOf(urls(maxAddresses+1)...), nil); code != string(verdict.FetchLimit) || o.requests != fetched {
		t.Errorf("%s, and %d more were fetched", code, o.requests-fetched)
	}
}

func TestNothingIsFetchedForWhoMayNotAsk(t *testing.T) {
	w, o := fetchingWorld(t, send("image/png", picture(t, 8)), nil)
	as := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	if status, _, _ := w.ask(t, "POST", completions, chatOf("https://example.com/a.png"), as("bob")); status != 403 || o.reached() != 0 {
		t.Errorf("%d, connected to %v", status, o.connected)
	}
	if status, _, _ := w.ask(t, "POST", completions, chatOf("https://example.com/a.png"), as("alice")); status != 200 || o.reached() != 1 {
		t.Errorf("%d, connected to %v", status, o.connected)
	}
}

// upTo allows messages up to a length, and remembers how long they were.
type upTo struct {
	most int64
	seen *[]int64
}

func (u upTo) Decide(q *access.Request) access.Decision {
	n := q.Context["bytes"].(int64)
	*u.seen = append(*u.seen, n)
	return access.Decision{Allow: n <= u.most, Code: verdict.AccessDenied, Detail: "too long"}
}

func TestThePoliciesAreAskedAgainAboutWhatWasFetched(t *testing.T) {
	png := picture(t, 64)
	for most, status := range map[int64]int{200: 403, 10_000: 200} {
		var seen []int64
		w, _ := fetchingWorld(t, send("image/png", png), func(r *Route, _ *fetch.Options) { r.Access = upTo{most, &seen} })
		if got, code, _ := w.ask(t, "POST", completions, chatOf("https://example.com/a.png"), nil); got != status || len(seen) != 2 || seen[1] <= seen[0] {
			t.Errorf("%d %s, asked about %d", got, code, seen)
		}
	}
}

func TestAnAddressThatIsPassedOnIsJudgedFirst(t *testing.T) {
	w, o := fetchingWorld(t, send("image/png", picture(t, 8)), func(r *Route, _ *fetch.Options) { r.Addresses = &Addresses{Pass: true} })
	sent := chatOf("https://example.com/a.png")
	if status, code, _ := w.ask(t, "POST", completions, sent, nil); status != 200 || w.behind.bodies[0] != sent || o.reached() != 0 {
		t.Error(status, code, o.connected)
	}
	if d, _ := w.records.last(t); d.Parts[0].From != "example.com" || d.Forwarded != "" || d.Parts[0].Digest != "" {
		t.Errorf("%+v", d.Parts)
	}
	for url, want := range map[string]verdict.Code{"https://other.test/a.png": verdict.MediaAddress, "https://inside.example.com/a.png": verdict.AddressSpecial} {
		if _, code, _ := w.ask(t, "POST", completions, chatOf(url), nil); code != string(want) || w.behind.count() != 1 {
			t.Error(url, code)
		}
	}
}

// located is a JPEG image with a place, an author and an orientation in it.
func located(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := stdjpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 16, 8)), nil); err != nil {
		t.Fatal(err)
	}
	exif := "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x03" +
		"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00" + // turned
		"\x01\x3b\x00\x02\x00\x00\x00\x04Ada\x00" +
		"\x88\x25\x00\x04\x00\x00\x00\x01\x00\x00\x00\x32\x00\x00\x00\x00" +
		"\x00\x01\x00\x01\x00\x02\x00\x00\x00\x02N\x00\x00\x00\x00\x00\x00\x00"
	segment := append([]byte{0xff, 0xe1, byte((len(exif) + 2) >> 8), byte(len(exif) + 2)}, exif...)
	return append(append(bytes.Clone(b.Bytes()[:2]), segment...), b.Bytes()[2:]...)
}

func TestMetadataAreTakenOutOfWhatIsPassedOn(t *testing.T) {
	photo, plain := located(t), picture(t, 8)
	w, _ := fetchingWorld(t, send("image/jpeg", photo), func(r *Route, _ *fetch.Options) { r.Strip = true })
	check := func(t *testing.T, d Decision, passed []byte) {
		t.Helper()
		p, err := inspect.Inspect(bytes.NewReader(passed), "", "", &w.route.Media)
		if err != nil || p.Carries != 0 || p.Width != 16 || bytes.Contains(passed, []byte("Ada")) {
			t.Errorf("%+v %v", p, err)
		}
		if !bytes.Contains(passed, []byte("\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06")) {
			t.Error("how the camera was held is lost")
		}
		if d.Parts[0].Digest != hexOf(photo) || d.Parts[0].Forwarded != hexOf(passed) || d.Forwarded == "" {
			t.Errorf("%+v", d)
		}
	}
	for name, url := range map[string]string{"sent": dataURL("image/jpeg", photo), "fetched": "https://example.com/a.jpg"} {
		t.Run(name, func(t *testing.T) {
			status, code, text := w.ask(t, "POST", completions, strings.ReplaceAll(chatOf(url, dataURL("image/png", plain)), "/", `\/`), nil)
			if status != 200 {
				t.Fatal(status, code, text)
			}
			var got struct {
				Messages []struct {
					Content []struct{ Image_url struct{ URL string } }
				}
			}
			if err := json.Unmarshal([]byte(w.behind.bodies[w.behind.count()-1]), &got); err != nil {
				t.Fatal(err)
			}
			passed, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(got.Messages[0].Content[0].Image_url.URL, "data:image/jpeg;base64,"))
			if err != nil {
				t.Fatal(err)
			}
			d, _ := w.records.last(t)
			check(t, d, passed)
			if got.Messages[0].Content[1].Image_url.URL != dataURL("image/png", plain) || d.Parts[1].Forwarded != "" {
				t.Error("an image without metadata was changed")
			}
		})
	}
	t.Run("uploaded", func(t *testing.T) {
		var form bytes.Buffer
		m := multipart.NewWriter(&form)
		m.WriteField("prompt", "a car")
		h := textproto.MIMEHeader{"Content-Disposition": {`form-data; name="image"; filename="a.jpg"`}, "Content-Type": {"image/jpeg"}}
		p, _ := m.CreatePart(h)
		p.Write(photo)
		m.WriteField("model", "captioner")
		m.Close()
		status, code, text := w.ask(t, "POST", "/v1/images/edits", form.String(), func(r *http.Request) { r.Header.Set("Content-Type", m.FormDataContentType()) })
		if status != 200 {
			t.Fatal(status, code, text)
		}
		r := multipart.NewReader(strings.NewReader(w.behind.bodies[w.behind.count()-1]), m.Boundary())
		f, err := r.ReadForm(1 << 20)
		if err != nil || f.Value["prompt"][0] != "a car" || f.Value["model"][0] != "captioner" {
			t.Fatal(f, err)
		}
		file, err := f.File["image"][0].Open()
		if err != nil {
			t.Fatal(err)
		}
		passed, err := io.ReadAll(file)
		if err != nil {
			t.Fatal(err)
		}
		d, _ := w.records.last(t)
		check(t, d, passed)
	})
	t.Run("content that cannot be stripped", func(t *testing.T) {
		gif := "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff%s,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00;"
		for text, want := range map[string]verdict.Code{"": "", "!\xfe\x03Ada\x00": verdict.MediaMetadata} {
			if _, code, text := w.ask(t, "POST", completions, chatOf(dataURL("image/gif", fmt.Appendf(nil, gif, text))), nil); code != string(want) {
				t.Error(code, text)
			}
		}
	})
	t.Run("on a route that keeps them", func(t *testing.T) {
		keeps := newWorld(t, nil)
		keeps.gateway.options.Inspect = inspect.Inspect
		sent := chatOf(dataURL("image/jpeg", photo))
		if status, code, _ := keeps.ask(t, "POST", completions, sent, nil); status != 200 || keeps.behind.bodies[0] != sent {
			t.Error(status, code)
		}
	})
}

func TestAFetchThatPanicsRefusesAndTheGatewayLives(t *testing.T) {
	w, _ := fetchingWorld(t, send("image/png", picture(t, 8)), func(_ *Route, o *fetch.Options) {
		o.Inspect = func(r io.Reader, where, declared string, l *media.Limits) (media.Part, error) {
			io.Copy(io.Discard, r)
			panic("broken")
		}
	})
	if _, code, _ := w.ask(t, "POST", completions, chatOf("https://example.com/a.png"), nil); code != string(verdict.GatewayFailed) || w.behind.count() != 0 {
		t.Error(code)
	}
	if status, _, _ := w.ask(t, "POST", completions, chatOf(dataURL("image/png", picture(t, 8))), nil); status != 200 {
		t.Error(status)
	}
}

// seen remembers what a firewall is shown.
type seen struct {
	rules
	fields *[]waf.Field
}

func (s seen) Check(r *waf.Request) waf.Result {
	*s.fields = append(*s.fields, r.Fields...)
	return waf.Result{}
}

func TestTheFirewallLooksAtAddressesThatArePassedOn(t *testing.T) {
	for _, pass := range []bool{true, false} {
		var fields []waf.Field
		w, _ := fetchingWorld(t, send("image/png", picture(t, 8)), func(r *Route, _ *fetch.Options) {
			r.Addresses, r.Firewall = &Addresses{Pass: pass}, seen{fields: &fields}
		})
		if status, code, _ := w.ask(t, "POST", completions, chatOf("https://example.com/a.png"), nil); status != 200 {
			t.Fatal(status, code)
		}
		if got := slices.Contains(fields, waf.Field{Name: "messages.0.content.0.image_url.url", Value: "https://example.com/a.png"}); got != pass {
			t.Errorf("passed on: %v, looked at: %v", pass, got)
		}
	}
}
