package oci_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/verdict"
)

// maxGrowth is what one hostile answer may cost in memory.
const maxGrowth = 64 << 20

// hostileLimits end slow answers soon; everything else is as in production. Only what
// never comes is asked for with them: on a busy machine an honest answer is slow too.
var hostileLimits = oci.Limits{Header: 2 * time.Second, Grace: 300 * time.Millisecond}

// slow are the cases below whose answers do not come, or not to their end.
var slow = map[string]bool{
	"a manifest that announces less than the limit and drips": true,
	"a body that drips":         true,
	"a header that never comes": true,
}

// ask is one call of the client.
type ask func(ctx context.Context, c *oci.Client, s *ocitest.Server) error

func resolveTag(ctx context.Context, c *oci.Client, s *ocitest.Server) error {
	_, err := c.Resolve(ctx, mustParse(s.Repo("app:1")))
	return err
}

func attached(subject string) ask {
	return func(ctx context.Context, c *oci.Client, s *ocitest.Server) error {
		_, err := c.Attached(ctx, s.Repo("app"), verdict.Digest(subject), oci.Wanted{Types: []string{oci.ArtifactBundle}})
		return err
	}
}

func legacy(subject string) ask {
	return func(ctx context.Context, c *oci.Client, s *ocitest.Server) error {
		_, err := c.Attached(ctx, s.Repo("app"), verdict.Digest(subject), oci.Wanted{Legacy: []string{oci.LegacySignature}})
		return err
	}
}

func image(digest string) ask {
	return func(ctx context.Context, c *oci.Client, s *ocitest.Server) error {
		_, err := c.Image(ctx, s.Repo("app"), verdict.Digest(digest))
		return err
	}
}

const (
	getTag       = "GET /v2/app/manifests/1"
	getManifests = "GET /v2/app/manifests/"
	getBlobs     = "GET /v2/app/blobs/"
	getReferrers = "GET /v2/app/referrers/"
)

// TestHostileRegistries gives one answer of an honest registry a hostile form.
// Each case is asked twice: as it is, which has to end with the code, and with
// the honest answer in its place, which has to succeed.
func TestHostileRegistries(t *testing.T) {
	img := ocitest.RawImage(t, "linux/amd64", "app")
	blob := []byte("bundle")
	ref := ocitest.Referrer(t, oci.ArtifactBundleV03, img.Digest, blob)
	list := ocitest.Listing(t, ocitest.Entry{Manifest: ref, Type: oci.ArtifactBundleV03})
	honest := ocitest.Routes{
		getTag:                                    ocitest.Answer(oci.MediaTypeManifest, img.Manifest),
		getManifests + img.Digest:                 ocitest.Answer(oci.MediaTypeManifest, img.Manifest),
		getManifests + ocitest.Digest(ref):        ocitest.Answer(oci.MediaTypeManifest, ref),
		getBlobs + img.ConfigDigest:               ocitest.Answer("application/octet-stream", img.Config),
		getBlobs + ocitest.Digest(blob):           ocitest.Answer("application/octet-stream", blob),
		getReferrers + img.Digest:                 ocitest.Answer(oci.MediaTypeIndex, list),
		getManifests + tagOf(img.Digest) + ".sig": ocitest.Answer(oci.MediaTypeManifest, ocitest.Referrer(t, oci.MediaTypeSimpleSigning, img.Digest, blob)),
	}
	oneBlob := getBlobs + ocitest.Digest(blob)
	listing := getReferrers + img.Digest
	other := ocitest.RawImage(t, "linux/amd64", "other")

	for _, tc := range []struct {
		name  string
		route string
		bad   http.HandlerFunc
		ask   ask
		code  verdict.Code
	}{
		{"a manifest that never ends", getTag, ocitest.Endless(oci.MediaTypeManifest), resolveTag, verdict.RegistryTooLarge},
		{"a manifest that announces 10 GB", getTag, ocitest.Announces(oci.MediaTypeManifest, 10<<30), resolveTag, verdict.RegistryTooLarge},
		{"a manifest that announces less than the limit and drips", getTag, dripOf(1 << 20), resolveTag, verdict.RegistryUnreachable},
		{"a listing that never ends", listing, ocitest.Endless(oci.MediaTypeIndex), attached(img.Digest), verdict.RegistryTooLarge},
		{"a blob that never ends", oneBlob, ocitest.Endless("application/octet-stream"), attached(img.Digest), verdict.RegistryTooLarge},
		{"a configuration that never ends", getBlobs + img.ConfigDigest, ocitest.Endless("application/json"), image(img.Digest), verdict.RegistryTooLarge},
		{"a body that drips", getTag, ocitest.Drip(oci.MediaTypeManifest, 10*time.Millisecond), resolveTag, verdict.RegistryUnreachable},
		{"a header that never comes", getTag, ocitest.SilentHeader(), resolveTag, verdict.RegistryUnreachable},
		{"a header without end", getTag, hugeHeader, resolveTag, verdict.RegistryUnreachable},
		{"an error whose body never ends", getTag, endlessError, resolveTag, verdict.RegistryNotFound},

		{"other bytes than the digest asked for", getManifests + img.Digest, ocitest.Answer(oci.MediaTypeManifest, other.Manifest), image(img.Digest), verdict.RegistryDigest},
		{"an announced digest that is not that of the bytes", getTag, lyingDigest(img.Manifest, other.Digest), resolveTag, verdict.RegistryDigest},
		{"a configuration of another image", getBlobs + img.ConfigDigest, ocitest.Answer("application/json", other.Config), image(img.Digest), verdict.RegistryDigest},
		{"a blob cut short", oneBlob, ocitest.Answer("application/octet-stream", blob[:3]), attached(img.Digest), verdict.RegistryDigest},
		{"a blob of the right size and other bytes", oneBlob, ocitest.Answer("application/octet-stream", []byte("bundlE")), attached(img.Digest), verdict.RegistryDigest},

		{"a login page for a manifest", getTag, ocitest.LoginPage(), resolveTag, verdict.RegistryAnswer},
		{"a login page for the referrers", listing, ocitest.LoginPage(), attached(img.Digest), verdict.RegistryAnswer},
		{"plain JSON for the referrers", listing, ocitest.Answer("application/json", list), attached(img.Digest), verdict.RegistryAnswer},
		{"no list in the referrers", listing, ocitest.Answer(oci.MediaTypeIndex, []byte(`{"schemaVersion":2}`)), attached(img.Digest), verdict.RegistryAnswer},
		{"an empty body for the referrers", listing, ocitest.Answer(oci.MediaTypeIndex, nil), attached(img.Digest), verdict.RegistryAnswer},
		{"a referrer that is not there", getManifests + ocitest.Digest(ref), ocitest.Status(404), attached(img.Digest), verdict.RegistryNotFound},
		{"a legacy tag that leads to an index", getManifests + tagOf(img.Digest) + ".sig", ocitest.Answer(oci.MediaTypeIndex, list), legacy(img.Digest), verdict.RegistryAnswer},

		{"10,000 referrers in one page", listing, ocitest.Answer(oci.MediaTypeIndex, manyEntries(t, 10000)), attached(img.Digest), verdict.RegistryTooMany},
		{"1,001 referrers in one page", listing, ocitest.Answer(oci.MediaTypeIndex, manyEntries(t, 1001)), attached(img.Digest), verdict.RegistryTooMany},
		{"referrers on pages without end", listing, endlessPages(list), attached(img.Digest), verdict.RegistryTooMany},
		{"a page that is followed by itself", listing, linked(list, "/v2/app/referrers/"+img.Digest), attached(img.Digest), verdict.RegistryAnswer},
		{"a page that goes on at another host", listing, linked(list, "https://registry.example/v2/app/referrers/"+img.Digest), attached(img.Digest), verdict.RegistryAnswer},
		{"a page that goes on outside of the API", listing, linked(list, "/admin"), attached(img.Digest), verdict.RegistryAnswer},
		{"a page whose link cannot be read", listing, withHeader("Link", "next please", ocitest.Answer(oci.MediaTypeIndex, list)), attached(img.Digest), verdict.RegistryAnswer},

		{"a redirect to cloud metadata", getTag, ocitest.Redirect("http://169.254.169.254/latest/meta-data"), resolveTag, verdict.RegistryAddress},
		{"a redirect to cloud metadata over HTTPS", getTag, ocitest.Redirect("https://169.254.169.254/latest"), resolveTag, verdict.RegistryAddress},
		{"a redirect to loopback at another port", oneBlob, ocitest.Redirect("https://127.0.0.1:1/x"), attached(img.Digest), verdict.RegistryAddress},
		{"a redirect to a mapped loopback address", oneBlob, ocitest.Redirect("https://[::ffff:127.0.0.1]:1/x"), attached(img.Digest), verdict.RegistryAddress},
		{"a redirect to a file", getTag, ocitest.Redirect("file:///etc/passwd"), resolveTag, verdict.RegistryAddress},
		{"a redirect with a user in it", getTag, ocitest.Redirect("https://me@registry.example/"), resolveTag, verdict.RegistryAnswer},
		{"a redirect to nowhere", getTag, ocitest.Status(307), resolveTag, verdict.RegistryAnswer},
		{"a redirect in circles", getTag, ocitest.Redirect("/v2/app/manifests/1"), resolveTag, verdict.RegistryAnswer},
		{"a redirect of the referrers to a private address", listing, ocitest.Redirect("https://10.0.0.1/"), attached(img.Digest), verdict.RegistryAddress},

		{"a gzip bomb", getTag, ocitest.GzipBomb(oci.MediaTypeManifest, 100<<20), resolveTag, verdict.RegistryAnswer},
		{"an honest body that is called compressed", getTag, withHeader("Content-Encoding", "gzip", ocitest.Answer(oci.MediaTypeManifest, img.Manifest)), resolveTag, verdict.RegistryAnswer},
		{"JSON nested 100,000 deep", getTag, ocitest.Answer(oci.MediaTypeManifest, deep(100_000)), resolveTag, verdict.RegistryAnswer},
		{"a manifest of 4 MiB of layers", getTag, ocitest.Answer(oci.MediaTypeManifest, manyLayers(4<<20/3-100)), resolveTag, verdict.RegistryTooMany},
		{"a listing of 4 MiB of entries", listing, ocitest.Answer(oci.MediaTypeIndex, manyEmptyEntries(4<<20/3-100)), attached(img.Digest), verdict.RegistryTooMany},
		{"a key twice", getTag, ocitest.Answer(oci.MediaTypeManifest, bytes.Replace(img.Manifest, []byte(`{`), []byte(`{"config":{},`), 1)), resolveTag, verdict.RegistryAnswer},
		{"JSON cut short", getTag, ocitest.Answer(oci.MediaTypeManifest, img.Manifest[:len(img.Manifest)-2]), resolveTag, verdict.RegistryAnswer},
		{"JSON and something behind it", getTag, ocitest.Answer(oci.MediaTypeManifest, append(bytes.Clone(img.Manifest), "{}"...)), resolveTag, verdict.RegistryAnswer},

		{"a schema 1 manifest by its header", getTag, ocitest.Answer("application/vnd.docker.distribution.manifest.v1+prettyjws", img.Manifest), resolveTag, verdict.ImageMediaType},
		{"a schema 1 manifest by its body", getTag, ocitest.Answer(oci.MediaTypeManifest, []byte(`{"schemaVersion":1,"fsLayers":[]}`)), resolveTag, verdict.ImageMediaType},
		{"a media type that is unknown", getTag, ocitest.Answer("application/vnd.example.manifest+json", img.Manifest), resolveTag, verdict.ImageMediaType},
		{"a header and a body that disagree", getTag, ocitest.Answer(oci.MediaTypeDockerManifest, img.Manifest), resolveTag, verdict.ImageMediaType},
		{"an image that is called an index", getTag, ocitest.Answer(oci.MediaTypeIndex, bytes.Replace(img.Manifest, []byte(oci.MediaTypeManifest), []byte(oci.MediaTypeIndex), 1)), resolveTag, verdict.ImageMediaType},
		{"a manifest that is an index too", getTag, ocitest.Answer(oci.MediaTypeManifest, bytes.Replace(img.Manifest, []byte(`{`), []byte(`{"manifests":[],`), 1)), resolveTag, verdict.ImageMediaType},

		{"a rate limit", getTag, ocitest.Status(429, "Retry-After", "17"), resolveTag, verdict.RegistryLimited},
		{"a rate limit on the referrers", listing, ocitest.Status(429), attached(img.Digest), verdict.RegistryLimited},
		{"a failing registry", getTag, ocitest.Status(503), resolveTag, verdict.RegistryUnreachable},
		{"failing referrers", listing, ocitest.Status(500), attached(img.Digest), verdict.RegistryUnreachable},
		{"forbidden referrers", listing, ocitest.Status(403), attached(img.Digest), verdict.RegistryUnauthorized},
		{"a 401 without a challenge", getTag, ocitest.Status(401), resolveTag, verdict.RegistryUnauthorized},
		{"a token service at a link-local address", getTag, ocitest.Status(401, "WWW-Authenticate", `Bearer realm="https://169.254.169.254/token"`), resolveTag, verdict.RegistryAddress},
		{"a token service over plain HTTP", getTag, ocitest.Status(401, "WWW-Authenticate", `Bearer realm="http://registry.example/token"`), resolveTag, verdict.RegistryAddress},
		{"a token service in a file", getTag, ocitest.Status(401, "WWW-Authenticate", `Bearer realm="file:///etc/passwd"`), resolveTag, verdict.RegistryAddress},
		{"a token service without a host", getTag, ocitest.Status(401, "WWW-Authenticate", `Bearer realm="https:///token"`), resolveTag, verdict.RegistryAnswer},
		{"a token service that is no URL", getTag, ocitest.Status(401, "WWW-Authenticate", `Bearer realm="token"`), resolveTag, verdict.RegistryUnauthorized},
		{"an answer of no known status", getTag, ocitest.Status(418), resolveTag, verdict.RegistryAnswer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ocitest.NoLeak(t)
			bad := maps.Clone(honest)
			bad[tc.route] = tc.bad
			srv := ocitest.Hostile(t, bad)
			var limits oci.Limits
			if slow[tc.name] {
				limits = hostileLimits
			}
			c := newClientWith(t, oci.Options{Limits: limits}, srv)
			// Longer than any limit of the client: what ends the call is the client.
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			var err error
			grown := ocitest.HeapGrowth(func() { err = tc.ask(ctx, c, srv) })
			wantCode(t, err, tc.code)
			if grown > maxGrowth {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
			if len(err.Error()) > 600 {
				t.Errorf("the error repeats what the registry sent: %s", err)
			}

			twin := ocitest.Hostile(t, honest)
			if err := tc.ask(ctx, newClient(t, twin), twin); err != nil {
				t.Errorf("the honest twin fails: %v", err)
			}
		})
	}
}

func TestACallEndsWithItsDeadline(t *testing.T) {
	ocitest.NoLeak(t)
	for name, h := range map[string]http.HandlerFunc{
		"while the header is awaited": ocitest.SilentHeader(),
		"while the body drips":        ocitest.Drip(oci.MediaTypeManifest, 10*time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			srv := ocitest.Hostile(t, ocitest.Routes{getTag: h})
			c := newClient(t, srv) // default limits: far longer than the deadline
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			err := resolveTag(ctx, c, srv)
			wantCode(t, err, verdict.DeadlineExceeded)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v does not wrap context.DeadlineExceeded", err)
			}
		})
	}
}

func TestARateLimitSaysHowLongToWait(t *testing.T) {
	for text, want := range map[string]time.Duration{"17": 17 * time.Second, "": 0, "soon": 0, "-5": 0, "999999999": time.Hour} {
		srv := ocitest.Hostile(t, ocitest.Routes{getTag: ocitest.Status(429, "Retry-After", text)})
		err := resolveTag(t.Context(), newClient(t, srv), srv)
		e, ok := errors.AsType[*oci.Error](err)
		if !ok || e.RetryAfter != want || e.Status != 429 {
			t.Errorf("Retry-After %q: %+v", text, e)
		}
	}
}

func TestATagThatChangesIsUsedOnce(t *testing.T) {
	one, two := ocitest.RawImage(t, "linux/amd64", "one"), ocitest.RawImage(t, "linux/amd64", "two")
	srv := ocitest.Hostile(t, ocitest.Routes{
		getTag:                      ocitest.Alternate(ocitest.Answer(oci.MediaTypeManifest, one.Manifest), ocitest.Answer(oci.MediaTypeManifest, two.Manifest)),
		getBlobs + one.ConfigDigest: ocitest.Answer("application/json", one.Config),
	})
	c := newClient(t, srv)
	m, err := c.Resolve(t.Context(), parse(t, srv.Repo("app:1")))
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Image(t.Context(), srv.Repo("app"), m.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Digest) != one.Digest || string(f.Config) != one.ConfigDigest {
		t.Errorf("resolved %s and read %s", m.Digest, f.Config)
	}
	if n := srv.Count("GET", "/manifests/1"); n != 1 {
		t.Errorf("the tag was asked for %d times", n)
	}
}

// TestOneCallReadsNoMoreThanItsBudget lists more bytes of blobs than one call may read.
func TestOneCallReadsNoMoreThanItsBudget(t *testing.T) {
	subject := ocitest.Digest([]byte("subject"))
	routes := ocitest.Routes{}
	var entries []ocitest.Entry
	for i := range 4 {
		blob := bytes.Repeat([]byte{byte('a' + i)}, 1<<20)
		ref := ocitest.Referrer(t, oci.ArtifactBundleV03, subject, blob)
		routes[getManifests+ocitest.Digest(ref)] = ocitest.Answer(oci.MediaTypeManifest, ref)
		routes[getBlobs+ocitest.Digest(blob)] = ocitest.Answer("application/octet-stream", blob)
		entries = append(entries, ocitest.Entry{Manifest: ref, Type: oci.ArtifactBundleV03})
	}
	routes[getReferrers+subject] = ocitest.Answer(oci.MediaTypeIndex, ocitest.Listing(t, entries...))
	srv := ocitest.Hostile(t, routes)

	tight := newClientWith(t, oci.Options{Limits: oci.Limits{CallBytes: 2 << 20}}, srv)
	err := attached(subject)(t.Context(), tight, srv)
	wantCode(t, err, verdict.RegistryTooLarge)
	wide := newClientWith(t, oci.Options{Limits: oci.Limits{CallBytes: 5 << 20}}, srv)
	if err := attached(subject)(t.Context(), wide, srv); err != nil {
		t.Error(err)
	}
}

// TestHonestLookingGiantsStayWithinMemory sends what is just within each
// limit, in the shapes that cost most when they are decoded.
func TestHonestLookingGiantsStayWithinMemory(t *testing.T) {
	subject := ocitest.Digest([]byte("subject"))
	long := strings.Repeat("x", 3900<<10)
	blob := []byte("bundle")

	artifacts := ocitest.Routes{getBlobs + ocitest.Digest(blob): ocitest.Answer("", blob)}
	var entries []ocitest.Entry
	for i := range 12 {
		raw := edited(t, ocitest.Referrer(t, oci.ArtifactBundleV03, subject, blob), func(o object) {
			o["annotations"] = object{"n": fmt.Sprint(i), "x": long}
		})
		artifacts[getManifests+ocitest.Digest(raw)] = ocitest.Answer(oci.MediaTypeManifest, raw)
		entries = append(entries, ocitest.Entry{Manifest: raw, Type: oci.ArtifactBundleV03})
	}
	artifacts[getReferrers+subject] = ocitest.Answer(oci.MediaTypeIndex, ocitest.Listing(t, entries...))

	page := edited(t, ocitest.Listing(t, entries[0]), func(o object) {
		o["manifests"].([]any)[0].(object)["annotations"] = object{"x": long}
	})
	pages := ocitest.Routes{getReferrers + subject: endlessPages(page)}

	img := ocitest.RawImage(t, "linux/amd64", "app")
	labels := object{}
	for i := range 65_000 {
		labels[fmt.Sprintf("%0120d", i)] = ""
	}
	config := edited(t, img.Config, func(o object) { o["config"] = object{"Labels": labels} })
	manifest := edited(t, img.Manifest, func(o object) {
		o["config"].(object)["digest"], o["config"].(object)["size"] = ocitest.Digest(config), len(config)
	})

	for _, tc := range []struct {
		name   string
		routes ocitest.Routes
		ask    ask
		code   verdict.Code
	}{
		{"artifacts of 4 MiB each", artifacts, attached(subject), verdict.RegistryTooLarge},
		{"pages of 4 MiB each", pages, attached(subject), verdict.RegistryTooLarge},
		{"65,000 labels", ocitest.Routes{
			getManifests + ocitest.Digest(manifest): ocitest.Answer(oci.MediaTypeManifest, manifest),
			getBlobs + ocitest.Digest(config):       ocitest.Answer("", config),
		}, image(ocitest.Digest(manifest)), verdict.OK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := ocitest.Hostile(t, tc.routes)
			c := newClient(t, srv)
			var err error
			grown := ocitest.HeapGrowth(func() { err = tc.ask(t.Context(), c, srv) })
			wantCode(t, err, tc.code)
			if grown > maxGrowth {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
		})
	}
}

func tagOf(digest string) string { return strings.Replace(digest, ":", "-", 1) }

func withHeader(key, value string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(key, value)
		h(w, r)
	}
}

func linked(list []byte, to string) http.HandlerFunc {
	return withHeader("Link", "<"+to+`>; rel="next"`, ocitest.Answer(oci.MediaTypeIndex, list))
}

// endlessPages links each page to one that has never been seen.
func endlessPages(list []byte) http.HandlerFunc {
	n := make(chan int, 1)
	n <- 0
	return func(w http.ResponseWriter, r *http.Request) {
		i := <-n
		n <- i + 1
		linked(list, fmt.Sprintf("%s?last=%d", r.URL.Path, i))(w, r)
	}
}

func lyingDigest(body []byte, digest string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", oci.MediaTypeManifest)
		w.Header().Set("Docker-Content-Digest", digest)
		_, _ = w.Write(body)
	}
}

func hugeHeader(w http.ResponseWriter, _ *http.Request) {
	for i := range 100 {
		w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 10<<10))
	}
}

func endlessError(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusNotFound)
	ocitest.Endless("text/plain")(w, r)
}

func dripOf(length int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(length))
		ocitest.Drip(oci.MediaTypeManifest, 10*time.Millisecond)(w, r)
	}
}

func deep(n int) []byte {
	return []byte(`{"schemaVersion":2,"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
}

func manyLayers(n int) []byte {
	return []byte(`{"schemaVersion":2,"config":{},"layers":[` + strings.Repeat("{},", n) + `{}]}`)
}

func manyEmptyEntries(n int) []byte {
	return []byte(`{"schemaVersion":2,"manifests":[` + strings.Repeat("{},", n) + `{}]}`)
}

func manyEntries(t *testing.T, n int) []byte {
	t.Helper()
	entries := make([]ocitest.Entry, n)
	for i := range entries {
		entries[i] = ocitest.Entry{Manifest: fmt.Append(nil, i), Type: oci.ArtifactCycloneDX}
	}
	return ocitest.Listing(t, entries...)
}
