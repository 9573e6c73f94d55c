package oci_test

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
)

// serveVariable makes the test binary a registry, so that benchmarks measure
// the CPU time of the client alone.
const serveVariable = "APEX_OCI_BENCH_REGISTRY"

func TestMain(m *testing.M) {
	if os.Getenv(serveVariable) == "" {
		os.Exit(m.Run())
	}
	h := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true))
	srv := httptest.NewServer(h)
	fmt.Println(strings.TrimPrefix(srv.URL, "http://"))
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
}

func startRegistry(b *testing.B) *ocitest.Server {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveVariable+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return &ocitest.Server{Host: strings.TrimSpace(line)}
}

// cpu returns the process's CPU time: on a shared machine wall time says little.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func report(b *testing.B, started time.Duration, requests *atomic.Int64) {
	b.ReportMetric(float64(cpu()-started)/float64(b.N)/1e3, "cpu-µs/op")
	b.ReportMetric(float64(requests.Load())/float64(b.N), "requests/op")
}

// BenchmarkBundle fetches everything that a bundle signature's verification
// needs, with an open connection and nothing cached.
func BenchmarkBundle(b *testing.B) {
	srv := startRegistry(b)
	signed(b, srv)

	b.Run("apex", func(b *testing.B) {
		var requests atomic.Int64
		c := newClientWith(b, oci.Options{Limits: oci.Limits{CacheBytes: 1}, Meter: func(r, _ int64) { requests.Add(r) }}, srv)
		started := cpu()
		for b.Loop() {
			m, err := c.Resolve(b.Context(), parse(b, srv.Repo("app:1")))
			if err != nil {
				b.Fatal(err)
			}
			found, err := c.Attached(b.Context(), srv.Repo("app"), m.Digest, wantBundles)
			if err != nil || len(found) != 1 {
				b.Fatal(err, len(found))
			}
		}
		report(b, started, &requests)
	})
	b.Run("ggcr", func(b *testing.B) {
		var requests atomic.Int64
		ref, err := name.NewTag(srv.Repo("app:1"))
		if err != nil {
			b.Fatal(err)
		}
		t := counting{remote.DefaultTransport.(*http.Transport).Clone(), &requests}
		defer t.Transport.CloseIdleConnections()
		opts := []remote.Option{remote.WithTransport(t), remote.WithContext(b.Context())}
		started := cpu()
		for b.Loop() {
			if err := fetchWithRemote(ref, opts); err != nil {
				b.Fatal(err)
			}
		}
		report(b, started, &requests)
	})
}

// BenchmarkLegacy is the same for a signature under a legacy tag.
func BenchmarkLegacy(b *testing.B) {
	srv := startRegistry(b)
	signed(b, srv)
	var requests atomic.Int64
	c := newClientWith(b, oci.Options{Limits: oci.Limits{CacheBytes: 1}, Meter: func(r, _ int64) { requests.Add(r) }}, srv)
	started := cpu()
	for b.Loop() {
		m, err := c.Resolve(b.Context(), parse(b, srv.Repo("app:1")))
		if err != nil {
			b.Fatal(err)
		}
		found, err := c.Attached(b.Context(), srv.Repo("app"), m.Digest, oci.Wanted{Legacy: []string{oci.LegacySignature}})
		if err != nil || len(found) != 1 {
			b.Fatal(err, len(found))
		}
	}
	report(b, started, &requests)
}

type counting struct {
	*http.Transport
	n *atomic.Int64
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.Transport.RoundTrip(r)
}

// fetchWithRemote does what cosign's look-up of bundles does.
func fetchWithRemote(ref name.Reference, opts []remote.Option) error {
	desc, err := remote.Get(ref, opts...)
	if err != nil {
		return err
	}
	digest := ref.Context().Digest(desc.Digest.String())
	idx, err := remote.Referrers(digest, opts...)
	if err != nil {
		return err
	}
	list, err := idx.IndexManifest()
	if err != nil {
		return err
	}
	for _, d := range list.Manifests {
		img, err := remote.Image(ref.Context().Digest(d.Digest.String()), opts...)
		if err != nil {
			return err
		}
		layers, err := img.Layers()
		if err != nil {
			return err
		}
		body, err := layers[0].Compressed()
		if err != nil {
			return err
		}
		if _, err := io.ReadAll(body); err != nil {
			return err
		}
		body.Close()
	}
	return nil
}
