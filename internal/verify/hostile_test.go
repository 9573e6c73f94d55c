package verify_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

// TestAHostileRegistryGetsADenialAndNothingElse lets a registry misbehave at
// each place where the engine asks it, and looks at what that costs: the
// verdict is a denial, the heap grows by at most 64 MiB, no goroutine stays.
// How long after the deadline the verdict came is logged (-v), not asserted.
func TestAHostileRegistryGetsADenialAndNothingElse(t *testing.T) {
	const manifest, index = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
	const deadline = time.Second
	listing := func(n int) http.HandlerFunc {
		var b strings.Builder
		b.WriteString(`{"schemaVersion":2,"mediaType":"` + index + `","manifests":[`)
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"mediaType":%q,"size":2,"digest":"sha256:%064x","artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`, manifest, i)
		}
		b.WriteString(`]}`)
		return ocitest.Answer(index, []byte(b.String()))
	}
	behaviours := map[string]http.HandlerFunc{
		"an endless body":              ocitest.Endless(manifest),
		"10 GB announced":              ocitest.Announces(manifest, 10<<30),
		"10,000 referrers":             listing(10_000),
		"a header that never comes":    ocitest.SilentHeader(),
		"a body that drips":            ocitest.Drip(manifest, 100*time.Millisecond),
		"a redirect to link-local":     ocitest.Redirect("http://169.254.169.254/latest"),
		"another document":             ocitest.Answer(manifest, []byte(`{"schemaVersion":2,"mediaType":"`+manifest+`"}`)),
		"a login page":                 ocitest.LoginPage(),
		"a gzip bomb":                  ocitest.GzipBomb(manifest, 1<<30),
		"deep JSON":                    ocitest.Answer(index, []byte(strings.Repeat("[", 1<<20)+strings.Repeat("]", 1<<20))),
		"a page that points at itself": selfPaging(index),
	}
	places := map[string]string{"the manifest": "/manifests/", "the referrers": "/referrers/", "the blobs": "/blobs/"}
	for where, part := range places {
		for what, answer := range behaviours {
			t.Run(what+" for "+where, func(t *testing.T) {
				ocitest.NoLeak(t)
				var mu sync.Mutex
				hostile := false
				k := verifytest.New(t, ocitest.Behind(func(h http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						mu.Lock()
						bad := hostile && strings.Contains(r.URL.Path, part)
						mu.Unlock()
						if bad {
							answer(w, r)
							return
						}
						h.ServeHTTP(w, r)
					})
				}))
				p := k.Good("vision/app")
				k.Allowed(p.Image()) // the twin: the same registry, behaving
				k.Options.Deadline = deadline
				k.Reconnect() // forgets what it has read
				mu.Lock()
				hostile = true
				mu.Unlock()

				var v verdict.Verdict
				started := time.Now()
				grown := ocitest.HeapGrowth(func() { v = k.Ask(p.Image()) })
				late := max(0, time.Since(started)-deadline)
				if v.Decision != verdict.Deny {
					t.Fatalf("allowed: %s", v.Reason)
				}
				if v.Code == verdict.Internal || v.Code == verdict.SignatureMissing || v.Code == verdict.ReportMissing {
					t.Errorf("the reason hides what happened: %s (%s)", v.Code, v.Reason)
				}
				const most = 64 << 20
				if grown > most {
					t.Errorf("the heap grew by %d MiB", grown>>20)
				}
				t.Logf("%s, heap +%d KiB, %s after the deadline", v.Code, grown>>10, late.Round(time.Millisecond))
			})
		}
	}
}

// selfPaging is a listing whose next page is itself.
func selfPaging(contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", fmt.Sprintf("<%s>; rel=\"next\"", r.URL.RequestURI()))
		ocitest.Answer(contentType, []byte(`{"schemaVersion":2,"mediaType":"`+contentType+`","manifests":[]}`))(w, r)
	}
}
