package oci_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/verdict"
)

var wantBundles = oci.Wanted{Types: []string{oci.ArtifactBundle}}

// texts returns what the artifacts' first layers hold, sorted.
func texts(found []oci.Artifact) string {
	var out []string
	for _, a := range found {
		for _, l := range a.Layers {
			out = append(out, string(l.Data))
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestReferrersAreFoundWhereverTheyAreListed(t *testing.T) {
	subject := ocitest.Digest([]byte("subject"))
	b := ocitest.Referrer(t, oci.ArtifactBundleV03, subject, []byte("bundle"))
	b2 := ocitest.Referrer(t, oci.ArtifactBundleV03, subject, []byte("later"))
	stranger := ocitest.Referrer(t, oci.ArtifactBundleV03, ocitest.Digest([]byte("other")), []byte("strange"))
	sbom := ocitest.Referrer(t, oci.ArtifactSPDX, subject, []byte("sbom"))
	routes := ocitest.Routes{}
	for _, raw := range [][]byte{b, b2, stranger, sbom} {
		routes[getManifests+ocitest.Digest(raw)] = ocitest.Answer(oci.MediaTypeManifest, raw)
	}
	for _, text := range []string{"bundle", "later", "strange", "sbom"} {
		routes[getBlobs+ocitest.Digest([]byte(text))] = ocitest.Answer("application/octet-stream", []byte(text))
	}
	listing := func(entries ...ocitest.Entry) http.HandlerFunc {
		return ocitest.Answer(oci.MediaTypeIndex, ocitest.Listing(t, entries...))
	}
	paged := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("page") == "2" {
			listing(ocitest.Entry{Manifest: b2, Type: oci.ArtifactBundleV03})(w, r)
			return
		}
		w.Header().Set("Link", `</other>; rel="prev", <?page=2>; rel="next"`)
		listing(ocitest.Entry{Manifest: b, Type: oci.ArtifactBundleV03})(w, r)
	}
	for _, tc := range []struct {
		name      string
		api       http.HandlerFunc
		tag       http.HandlerFunc
		want      string
		manifests int // how many referrers' manifests are read
	}{
		{"by the API", listing(ocitest.Entry{Manifest: b, Type: oci.ArtifactBundleV03}), ocitest.Status(500), "bundle", 1},
		{"on two pages", paged, ocitest.Status(500), "bundle later", 2},
		{"listed twice, read once", listing(ocitest.Entry{Manifest: b, Type: oci.ArtifactBundleV03}, ocitest.Entry{Manifest: b, Type: ""}), ocitest.Status(500), "bundle", 1},
		{"listed under no type", listing(ocitest.Entry{Manifest: b}), ocitest.Status(500), "bundle", 1},
		{"listed under its configuration's type", listing(ocitest.Entry{Manifest: b, Type: oci.MediaTypeEmpty}), ocitest.Status(500), "bundle", 1},
		{"listed under a type that nobody knows", listing(ocitest.Entry{Manifest: b, Type: "application/x-new"}), ocitest.Status(500), "bundle", 1},
		{"an SBOM is left unread", listing(ocitest.Entry{Manifest: b, Type: oci.ArtifactBundleV03}, ocitest.Entry{Manifest: sbom, Type: oci.ArtifactSPDX}), ocitest.Status(500), "bundle", 1},
		{"an SBOM that is listed as a bundle does not count", listing(ocitest.Entry{Manifest: sbom, Type: oci.ArtifactBundleV03}), ocitest.Status(404), "", 1},
		{"a bundle about something else does not count", listing(ocitest.Entry{Manifest: stranger, Type: oci.ArtifactBundleV03}), ocitest.Status(404), "", 1},
		{"under the tag when there is no API (404)", ocitest.Status(404), listing(ocitest.Entry{Manifest: b, Type: oci.ArtifactBundleV03}), "bundle", 1},
		{"under the tag when there is no API (405)", ocitest.Status(405), listing(ocitest.Entry{Manifest: b, Type: oci.ArtifactBundleV03}), "bundle", 1},
		{"under the tag when there is no API (501)", ocitest.Status(501), listing(ocitest.Entry{Manifest: b, Type: oci.ArtifactBundleV03}), "bundle", 1},
		{"under the tag when the API's list is empty", listing(), listing(ocitest.Entry{Manifest: b, Type: oci.ArtifactBundleV03}), "bundle", 1},
		{"under the tag when the API lists nothing wanted", listing(ocitest.Entry{Manifest: sbom, Type: oci.ArtifactSPDX}), listing(ocitest.Entry{Manifest: b, Type: oci.ArtifactBundleV03}, ocitest.Entry{Manifest: sbom, Type: oci.ArtifactSPDX}), "bundle", 1},
		{"a tag listing of other subjects does not count", ocitest.Status(404), listing(ocitest.Entry{Manifest: stranger, Type: oci.ArtifactBundleV03}), "", 1},
		{"nowhere", listing(), ocitest.Status(404), "", 0},
		{"nowhere, without an API", ocitest.Status(404), ocitest.Status(404), "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all := ocitest.Routes{getReferrers + subject: tc.api, getManifests + tagOf(subject): tc.tag}
			for k, v := range routes {
				all[k] = v
			}
			srv := ocitest.Hostile(t, all)
			found, err := newClient(t, srv).Attached(t.Context(), srv.Repo("app"), verdict.Digest(subject), wantBundles)
			if err != nil {
				t.Fatal(err)
			}
			if got := texts(found); got != tc.want {
				t.Errorf("found %q, want %q", got, tc.want)
			}
			if n := srv.Count("GET", "/manifests/sha256:"); n != tc.manifests {
				t.Errorf("read %d manifests, want %d: %v", n, tc.manifests, srv.Requests())
			}
		})
	}
	t.Run("but a failing tag is no absence", func(t *testing.T) {
		srv := ocitest.Hostile(t, ocitest.Routes{getReferrers + subject: listing(), getManifests + tagOf(subject): ocitest.Status(503)})
		_, err := newClient(t, srv).Attached(t.Context(), srv.Repo("app"), verdict.Digest(subject), wantBundles)
		wantCode(t, err, verdict.RegistryUnreachable)
	})
	t.Run("but a tag that holds an image is no absence", func(t *testing.T) {
		srv := ocitest.Hostile(t, ocitest.Routes{getReferrers + subject: listing(), getManifests + tagOf(subject): ocitest.Answer(oci.MediaTypeManifest, b)})
		_, err := newClient(t, srv).Attached(t.Context(), srv.Repo("app"), verdict.Digest(subject), wantBundles)
		wantCode(t, err, verdict.RegistryAnswer)
	})
}

func TestAPartOfWhatIsAttachedComesWithAnError(t *testing.T) {
	subject := ocitest.Digest([]byte("subject"))
	good := ocitest.Referrer(t, oci.ArtifactBundleV03, subject, []byte("bundle"))
	gone := ocitest.Referrer(t, oci.ArtifactBundleV03, subject, []byte("gone"))
	routes := ocitest.Routes{
		getReferrers + subject: ocitest.Answer(oci.MediaTypeIndex, ocitest.Listing(t,
			ocitest.Entry{Manifest: gone, Type: oci.ArtifactBundleV03}, ocitest.Entry{Manifest: good, Type: oci.ArtifactBundleV03})),
		getManifests + ocitest.Digest(good):         ocitest.Answer(oci.MediaTypeManifest, good),
		getBlobs + ocitest.Digest([]byte("bundle")): ocitest.Answer("", []byte("bundle")),
	}
	srv := ocitest.Hostile(t, routes)
	found, err := newClient(t, srv).Attached(t.Context(), srv.Repo("app"), verdict.Digest(subject), wantBundles)
	wantCode(t, err, verdict.RegistryNotFound)
	if texts(found) != "bundle" {
		t.Errorf("found %q", texts(found))
	}
}

func TestWantedReferrersAreReadBeforeUnsureOnesWhenThereAreTooMany(t *testing.T) {
	subject := ocitest.Digest([]byte("subject"))
	routes := ocitest.Routes{getBlobs + ocitest.Digest([]byte("bundle")): ocitest.Answer("", []byte("bundle"))}
	var entries []ocitest.Entry
	for i := range 20 {
		raw := ocitest.Referrer(t, "application/x-noise", subject, fmt.Append(nil, i))
		routes[getManifests+ocitest.Digest(raw)] = ocitest.Answer(oci.MediaTypeManifest, raw)
		entries = append(entries, ocitest.Entry{Manifest: raw, Type: "application/x-noise"})
	}
	b := ocitest.Referrer(t, oci.ArtifactBundleV03, subject, []byte("bundle"))
	routes[getManifests+ocitest.Digest(b)] = ocitest.Answer(oci.MediaTypeManifest, b)
	entries = append(entries, ocitest.Entry{Manifest: b, Type: oci.ArtifactBundleV03})
	routes[getReferrers+subject] = ocitest.Answer(oci.MediaTypeIndex, ocitest.Listing(t, entries...))
	srv := ocitest.Hostile(t, routes)

	c := newClientWith(t, oci.Options{Limits: oci.Limits{Artifacts: 5}}, srv)
	found, err := c.Attached(t.Context(), srv.Repo("app"), verdict.Digest(subject), wantBundles)
	wantCode(t, err, verdict.RegistryTooMany)
	if texts(found) != "bundle" {
		t.Errorf("found %q", texts(found))
	}
	if n := srv.Count("GET", "/manifests/sha256:"); n != 5 {
		t.Errorf("read %d manifests", n)
	}
	found, err = newClient(t, srv).Attached(t.Context(), srv.Repo("app"), verdict.Digest(subject), wantBundles)
	if err != nil || texts(found) != "bundle" {
		t.Errorf("with room for all: %q, %v", texts(found), err)
	}
}

// TestLegacySignaturesBeyondTheLimit reads the newest and says that there are more.
func TestLegacySignaturesBeyondTheLimit(t *testing.T) {
	srv := ocitest.Registry(t)
	c := newClient(t, srv)
	subject := verdict.Digest(ocitest.Digest([]byte("subject")))
	for i := range 3 {
		if err := c.AttachLegacy(t.Context(), srv.Repo("app"), subject, oci.LegacyAttestation, fmt.Append(nil, "att", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	want := oci.Wanted{Legacy: []string{oci.LegacySignature, oci.LegacyAttestation}}
	tight := newClientWith(t, oci.Options{Limits: oci.Limits{Artifacts: 2}}, srv)
	found, err := tight.Attached(t.Context(), srv.Repo("app"), subject, want)
	wantCode(t, err, verdict.RegistryTooMany)
	if texts(found) != "att1 att2" {
		t.Errorf("found %q", texts(found))
	}
	found, err = c.Attached(t.Context(), srv.Repo("app"), subject, want)
	if err != nil || texts(found) != "att0 att1 att2" || found[0].Tag != tagOf(string(subject))+".att" {
		t.Errorf("found %q, %v", texts(found), err)
	}
}

func TestWhatIsAttachedIsFoundAgain(t *testing.T) {
	for name, opts := range map[string][]ocitest.Option{
		"with the Referrers API":    nil,
		"without the Referrers API": {ocitest.WithoutReferrers()},
	} {
		t.Run(name, func(t *testing.T) {
			srv := ocitest.Registry(t, opts...)
			c := newClient(t, srv)
			image, err := c.PushImage(t.Context(), parse(t, srv.Repo("app:1")), ocitest.Image(t, "linux/amd64", "app"))
			if err != nil {
				t.Fatal(err)
			}
			// Concurrent writers of one listing do not lose each other's entries.
			var wg sync.WaitGroup
			for i := range 12 {
				wg.Go(func() {
					for range 2 { // the second time changes nothing
						if _, err := c.Attach(t.Context(), srv.Repo("app"), image, oci.ArtifactBundleV03, nil,
							oci.Blob{MediaType: oci.ArtifactBundleV03, Data: fmt.Appendf(nil, "b%02d", i)}); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			found, err := newClient(t, srv).Attached(t.Context(), srv.Repo("app"), image.Digest, wantBundles)
			if err != nil || len(found) != 12 || !strings.HasPrefix(texts(found), "b00 b01 b02") || !strings.HasSuffix(texts(found), "b10 b11") {
				t.Errorf("found %q, %v", texts(found), err)
			}
			if tagged := srv.Count("PUT", "/manifests/sha256-"); (tagged > 0) != (opts != nil) {
				t.Errorf("the fallback tag was written %d times", tagged)
			}
		})
	}
}

func TestARegistryThatListsReferrersIsNotAskedWhetherItDoes(t *testing.T) {
	srv := ocitest.Registry(t, ocitest.Behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/sha256:") {
				w.Header().Set("OCI-Subject", "sha256:whatever")
			}
			next.ServeHTTP(w, r)
		})
	}))
	signed(t, srv)
	if n := srv.Count("GET", "/referrers/"); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

func TestAttachKeepsAListingThatItCannotRead(t *testing.T) {
	srv := ocitest.Registry(t, ocitest.WithoutReferrers())
	c := newClient(t, srv)
	image, err := c.PushImage(t.Context(), parse(t, srv.Repo("app:1")), ocitest.Image(t, "linux/amd64", "app"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PushImage(t.Context(), parse(t, srv.Repo("app:"+tagOf(string(image.Digest)))), ocitest.Image(t, "linux/amd64", "squatter")); err != nil {
		t.Fatal(err)
	}
	_, err = c.Attach(t.Context(), srv.Repo("app"), image, oci.ArtifactBundleV03, nil, oci.Blob{MediaType: "x/y", Data: []byte("b")})
	wantCode(t, err, verdict.RegistryAnswer)
	if !strings.Contains(err.Error(), "stored but not listed") {
		t.Errorf("the error does not say what happened: %v", err)
	}
}

func TestPushesThatAreRefused(t *testing.T) {
	srv := ocitest.Registry(t)
	c := newClient(t, srv)
	good := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: verdict.Digest(ocitest.Digest(nil))}
	repo := srv.Repo("app")
	for name, f := range map[string]func() error{
		"an artifact without blobs": func() error {
			_, err := c.Attach(t.Context(), repo, good, "a/b", nil)
			return err
		},
		"a subject without a digest": func() error {
			_, err := c.Attach(t.Context(), repo, oci.Descriptor{}, "a/b", nil, oci.Blob{Data: []byte("x")})
			return err
		},
		"a legacy suffix that nobody reads": func() error {
			return c.AttachLegacy(t.Context(), repo, good.Digest, ".txt", []byte("x"), nil)
		},
		"a tag with a slash": func() error {
			_, err := c.PushManifest(t.Context(), repo, "../../x", oci.MediaTypeManifest, []byte("{}"))
			return err
		},
		"another digest than the manifest's": func() error {
			_, err := c.PushManifest(t.Context(), repo, string(good.Digest), oci.MediaTypeManifest, []byte("{}"))
			return err
		},
		"a repository that is not canonical": func() error {
			_, err := c.PushBlob(t.Context(), "App", "a/b", nil)
			return err
		},
	} {
		if err := f(); err == nil {
			t.Errorf("%s: accepted", name)
		} else if _, ok := errors.AsType[*oci.Error](err); !ok {
			t.Errorf("%s: %T", name, err)
		}
	}
	if n := len(srv.Requests()); n != 0 {
		t.Errorf("the registry was asked: %v", srv.Requests())
	}
	if _, err := c.PushManifest(t.Context(), repo, "v1", oci.MediaTypeManifest, []byte(`{"schemaVersion":2,"config":{}}`)); err != nil {
		t.Error(err)
	}
	if d, err := c.PushBlob(t.Context(), repo, "a/b", []byte("x")); err != nil || d.Size != 1 || d.MediaType != "a/b" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestAnUploadElsewhereGetsNoCredentials(t *testing.T) {
	for _, tc := range []struct {
		name     string
		location func(store *ocitest.Server) string
		code     verdict.Code
	}{
		{"to a store that is allowed", func(s *ocitest.Server) string { return "http://" + s.Host + "/up?session=1" }, verdict.OK},
		{"to an address that is not", func(*ocitest.Server) string { return "https://127.0.0.1:1/up" }, verdict.RegistryAddress},
		{"to nowhere", func(*ocitest.Server) string { return "" }, verdict.RegistryAnswer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := ocitest.Hostile(t, ocitest.Routes{"PUT /up": ocitest.Status(201)})
			srv := ocitest.Hostile(t, ocitest.Routes{
				"HEAD /v2/app/blobs/*":        protect(basicHeader("me", password), "Basic", http.NotFoundHandler()),
				"POST /v2/app/blobs/uploads/": protect(basicHeader("me", password), "Basic", ocitest.Status(202, "Location", tc.location(store))),
			})
			c := newClientWith(t, oci.Options{Keychain: keychain{srv.Host: {Username: "me", Password: password}}}, srv, store)
			_, err := c.PushBlob(t.Context(), srv.Repo("app"), "a/b", []byte("x"))
			wantCode(t, err, tc.code)
			for _, r := range store.Requests() {
				if r.Authorization != "" || !strings.Contains(r.URI, "session=1") || !strings.Contains(r.URI, "digest=sha256") {
					t.Errorf("the store got %+v", r)
				}
			}
		})
	}
}
