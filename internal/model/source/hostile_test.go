package source_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/model/source"
)

// refuses opens the file at the URL, reads it, and returns the first error.
func refuses(t *testing.T, uri string, o source.Options) error {
	t.Helper()
	src, err := source.Open(t.Context(), uri, o)
	if err != nil {
		return err
	}
	files, err := src.Files(t.Context())
	if err != nil {
		return err
	}
	for i := range files {
		r := src.Open(t.Context(), &files[i])
		for off := int64(0); off < files[i].Size; off += 1 << 20 {
			if _, err := r.ReadAt(make([]byte, 1), off); err != nil {
				return err
			}
		}
		if err := r.Confirm(); err != nil {
			return err
		}
	}
	return nil
}

// big is longer than what is fetched at once.
var big = bytes.Repeat([]byte("0123456789abcdef"), 1<<17)

func TestAServerThatDoesNotKeepToRangesIsRefused(t *testing.T) {
	part := func(w http.ResponseWriter, r *http.Request) (off, n int64) {
		span := strings.TrimPrefix(r.Header.Get("Range"), "bytes=")
		from, to, _ := strings.Cut(span, "-")
		off, _ = strconv.ParseInt(from, 10, 64)
		end, _ := strconv.ParseInt(to, 10, 64)
		return off, end - off + 1
	}
	answer := func(w http.ResponseWriter, off, n, total int64, body []byte) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, total))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(body)
	}
	size := int64(len(big))
	calls := 0
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		want  string // "" where the file is read
	}{
		"honest":             {content(big), ""},
		"ignores ranges":     {func(w http.ResponseWriter, _ *http.Request) { w.Write(big) }, "ignores ranges"},
		"empty, and says so": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") }, ""},
		"another part": {func(w http.ResponseWriter, r *http.Request) {
			off, n := part(w, r)
			answer(w, off+1, n, size, big[:n])
		}, "another part"},
		"no Content-Range": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
			w.Write(big)
		}, "does not say how long"},
		"a length of *": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-0/*")
			w.WriteHeader(http.StatusPartialContent)
		}, "does not say how long"},
		"a negative length": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-0/-5")
			w.WriteHeader(http.StatusPartialContent)
		}, "does not say how long"},
		"another length later": {func(w http.ResponseWriter, r *http.Request) {
			off, n := part(w, r)
			answer(w, off, n, size+n, big[:n])
		}, "says that the file has"},
		"a body that is short": {func(w http.ResponseWriter, r *http.Request) {
			off, n := part(w, r)
			answer(w, off, n, size, big[:n/2])
		}, "ends early"},
		"a body that is long": {func(w http.ResponseWriter, r *http.Request) {
			off, n := part(w, r)
			answer(w, off, n, size, big[:min(n+1, size)])
		}, "more bytes than were asked for"},
		"packed answers": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			off, n := part(w, r)
			answer(w, off, n, size, big[:n])
		}, "packs its answers"},
		"another entity tag each time": {func(w http.ResponseWriter, r *http.Request) {
			calls++
			w.Header().Set("ETag", fmt.Sprintf(`"%d"`, calls))
			off, n := part(w, r)
			answer(w, off, n, size, big[:n])
		}, "changed while it was read"},
		"another entity tag, and If-Match obeyed": {func(w http.ResponseWriter, r *http.Request) {
			calls++
			w.Header().Set("ETag", fmt.Sprintf(`"%d"`, calls))
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(big))
		}, "changed while it was read"},
		"weak entity tags bind nothing": {func(w http.ResponseWriter, r *http.Request) {
			calls++
			if r.Header.Get("If-Match") != "" {
				t.Error("a weak tag was compared")
			}
			w.Header().Set("ETag", fmt.Sprintf(`W/"%d"`, calls))
			off, n := part(w, r)
			answer(w, off, n, size, big[:n])
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, c.serve)
			err := refuses(t, server.URL+"/model.bin?X-Signature=secret", source.Options{})
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			case err != nil && strings.Contains(err.Error(), "secret"):
				t.Errorf("the error holds the signature: %v", err)
			}
		})
	}
}

func TestARefusalSaysWhatToDo(t *testing.T) {
	for code, want := range map[int]string{
		401: "set HF_TOKEN", 403: "set HF_TOKEN", 404: "look at the name and the revision", 429: "try again in 7 s", 503: "try again in 7 s", 500: "answers 500",
	} {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(code)
			w.Write([]byte("hf_secret"))
		})
		_, err := source.Open(t.Context(), "hf://vision/captioner", source.Options{Getenv: env("HF_ENDPOINT", server.URL, "HF_TOKEN", "hf_secret")})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hf_secret") {
			t.Errorf("%d: got %v, want %q", code, err, want)
		}
	}
}

func TestASlowServerIsNotWaitedFor(t *testing.T) {
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-0/%d", len(big)))
		if r.Header.Get("Range") == "bytes=0-0" {
			w.WriteHeader(http.StatusPartialContent)
			w.Write([]byte("x"))
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-131071/%d", len(big)))
		w.WriteHeader(http.StatusPartialContent)
		w.(http.Flusher).Flush()
		select { // not a byte of the body
		case <-done:
		case <-r.Context().Done():
		}
	})
	err := refuses(t, server.URL+"/model.bin", source.Options{}.With(nil, 200*time.Millisecond))
	if err == nil || !strings.Contains(err.Error(), "ends early") {
		t.Errorf("got %v", err)
	}
}

func TestAnEndedContextEndsTheReading(t *testing.T) {
	server := serve(t, content(big))
	ctx, cancel := context.WithCancel(t.Context())
	src, err := source.Open(ctx, server.URL+"/model.bin", source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files, _ := src.Files(ctx)
	cancel()
	if _, err := src.Open(ctx, &files[0]).ReadAt(make([]byte, 1), 0); err == nil {
		t.Error("it went on")
	}
}

func tlsServer(t *testing.T, h http.HandlerFunc) (*httptest.Server, *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s, &tls.Config{RootCAs: roots}
}

func TestRedirects(t *testing.T) {
	plain := serve(t, content(big))
	t.Run("a loop ends", func(t *testing.T) {
		asked := 0
		loop := serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			http.Redirect(w, r, fmt.Sprintf("/%d", asked), http.StatusFound)
		})
		err := refuses(t, loop.URL+"/", source.Options{})
		if err == nil || !strings.Contains(err.Error(), "more than 5 redirects") || asked > 6 {
			t.Errorf("got %v after %d requests", err, asked)
		}
	})
	t.Run("to what is no URL", func(t *testing.T) {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://x/%zz?sig=secret")
			w.WriteHeader(http.StatusFound)
		})
		if err := refuses(t, server.URL+"/", source.Options{}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("from HTTPS to HTTP", func(t *testing.T) {
		secure, conf := tlsServer(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, plain.URL+"/x", http.StatusFound) })
		err := refuses(t, secure.URL+"/", source.Options{}.With(conf, time.Minute))
		if err == nil || !strings.Contains(err.Error(), "not protected") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("from HTTPS to HTTPS is followed", func(t *testing.T) {
		var secure *httptest.Server
		var conf *tls.Config
		secure, conf = tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				http.Redirect(w, r, secure.URL+"/there", http.StatusFound)
				return
			}
			content(big)(w, r)
		})
		if err := refuses(t, secure.URL+"/", source.Options{}.With(conf, time.Minute)); err != nil {
			t.Error(err)
		}
	})
	t.Run("a place that was led to is asked directly, and anew when it has run out", func(t *testing.T) {
		var first, ran int
		origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/model.bin":
				first++
				http.Redirect(w, r, fmt.Sprintf("/signed/%d", first), http.StatusFound)
			case r.URL.Path == "/signed/2" && ran == 1:
				w.WriteHeader(http.StatusForbidden)
			default:
				if r.URL.Path == "/signed/2" {
					ran++
				}
				content(big)(w, r)
			}
		})
		if err := refuses(t, origin.URL+"/model.bin", source.Options{}); err != nil {
			t.Fatal(err)
		}
		if first != 3 { // for the size, for the first part, and when that ran out
			t.Errorf("the first place was asked %d times", first)
		}
	})
}

func TestATokenStaysWithItsServer(t *testing.T) {
	var leaked []string
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" {
			leaked = append(leaked, r.Header.Get("Authorization")+r.Header.Get("Referer"))
		}
		content([]byte(harmless))(w, r)
	})
	hub := newHub(t)
	hub.cdn = other.URL
	hub.files = []hubFile{{path: "model.pkl", content: []byte(harmless), lfs: true}}
	if _, err := scanned(t, "hf://vision/captioner", source.Options{Getenv: env("HF_ENDPOINT", hub.server.URL, "HF_TOKEN", "hf_secret")}); err != nil {
		t.Fatal(err)
	}
	if hub.withToken == 0 || hub.withToken != hub.asked {
		t.Errorf("%d of %d requests to the hub had the token", hub.withToken, hub.asked)
	}
	if len(leaked) > 0 { // the other server differs by its port only
		t.Errorf("the other server got %q", leaked)
	}
}

func TestOnlyPublicAddressesAreLedTo(t *testing.T) {
	for a, want := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1::1": true, "1.1.1.1": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false, "168.63.129.16": false, "198.18.0.1": false,
		"::1": false, "::": false, "fe80::1": false, "fc00::1": false, "ff02::1": false, "fec0::1": false, "fd00:ec2::254": false,
		"::ffff:127.0.0.1": false, "::ffff:8.8.8.8": true, "::7f00:1": false,
		"64:ff9b::7f00:1": false, "64:ff9b::808:808": true, "2002:7f00:1::": false, "2002:808:808::1": true, "fe80::1%eth0": false,
	} {
		if got := source.Public(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
}

func TestWhoIsLedIntoAPrivateNetworkIsStopped(t *testing.T) {
	inside := serve(t, content(big))
	t.Run("a private server may lead there", func(t *testing.T) {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inside.URL, http.StatusFound) })
		if err := refuses(t, server.URL+"/model.bin", source.Options{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("a public one may not", func(t *testing.T) {
		err := source.LeadFrom(t.Context(), "https://public.example/model.bin", inside.URL)
		if err == nil || !strings.Contains(err.Error(), "a server leads to") || !strings.Contains(err.Error(), "private address") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nor by the name of this machine", func(t *testing.T) {
		err := source.LeadFrom(t.Context(), "https://public.example/model.bin", strings.Replace(inside.URL, "127.0.0.1", "localhost", 1))
		if err == nil || !strings.Contains(err.Error(), "private address") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("who is named may be anywhere", func(t *testing.T) {
		if err := source.LeadFrom(t.Context(), inside.URL, inside.URL); err != nil {
			t.Error(err)
		}
	})
}
