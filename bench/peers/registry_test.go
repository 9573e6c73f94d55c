package peers

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// asRegistry makes the test binary serve a registry instead of running tests:
// in a process of its own its CPU time is nobody's who is measured.
const asRegistry = "PEERS_REGISTRY"

// counted is where the registry's process tells how many requests it has had.
const counted = "/peers/requests"

func TestMain(m *testing.M) {
	if os.Getenv(asRegistry) != "" {
		if err := serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve serves go-containerregistry's in-memory registry, which is neither
// contender's own, on two free ports until in ends: over HTTP, and over HTTPS
// with the certificate that httptest keeps for 127.0.0.1.
func serve(in io.Reader, out io.Writer) error {
	images := registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0)))
	var requests atomic.Int64
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == counted {
			fmt.Fprint(w, requests.Load())
			return
		}
		requests.Add(1)
		images.ServeHTTP(w, r)
	})
	plain, secure := httptest.NewUnstartedServer(handler), httptest.NewUnstartedServer(handler)
	// A client that tries HTTPS on the plain port is no news.
	plain.Config.ErrorLog = log.New(io.Discard, "", 0)
	plain.Start()
	defer plain.Close()
	secure.EnableHTTP2 = true // as public registries do
	secure.StartTLS()
	defer secure.Close()
	if err := json.NewEncoder(out).Encode(served{
		Plain: plain.Listener.Addr().String(), Secure: secure.Listener.Addr().String(), Certificate: secure.Certificate().Raw,
	}); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, in) // ends with the parent
	return err
}

// served is what the registry's process says about itself.
type served struct {
	Plain, Secure string // host:port
	Certificate   []byte // DER
}

// house is a running registry.
type house struct {
	b *testing.B
	served
	authorities *x509.CertPool
}

// open starts a registry in a child process, which ends with the benchmark.
func open(b *testing.B) *house {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asRegistry+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(b, err)
	out, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	b.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			b.Errorf("registry: %v", err)
		}
	})
	h := &house{b: b, authorities: x509.NewCertPool()}
	must(b, json.NewDecoder(out).Decode(&h.served))
	cert, err := x509.ParseCertificate(h.Certificate)
	must(b, err)
	h.authorities.AddCert(cert)
	return h
}

// tls trusts the registry and nobody else.
func (h *house) tls() *tls.Config { return &tls.Config{RootCAs: h.authorities} }

// requests is how many the registry has had so far.
func (h *house) requests() int64 {
	h.b.Helper()
	resp, err := http.Get("http://" + h.Plain + counted)
	must(h.b, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(h.b, err)
	n, err := strconv.ParseInt(string(data), 10, 64)
	must(h.b, err)
	return n
}

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
