package oci_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// newClient returns a client that may talk to the servers, with limits that end tests soon.
func newClient(t testing.TB, servers ...*ocitest.Server) *oci.Client {
	t.Helper()
	return newClientWith(t, oci.Options{}, servers...)
}

func newClientWith(t testing.TB, o oci.Options, servers ...*ocitest.Server) *oci.Client {
	t.Helper()
	for _, s := range servers {
		o.AllowPrivate = append(o.AllowPrivate, s.Host)
		o.PlainHTTP = append(o.PlainHTTP, s.Host)
	}
	c, err := oci.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func mustParse(text string) reference.Reference {
	ref, err := reference.Parse(text)
	if err != nil {
		panic(err)
	}
	return ref
}

func parse(t testing.TB, text string) reference.Reference {
	t.Helper()
	ref, err := reference.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func wantCode(t testing.TB, err error, code verdict.Code) {
	t.Helper()
	if got := oci.CodeOf(err); got != code {
		t.Fatalf("got code %s (%v), want %s", got, err, code)
	}
}

func TestAnImageThatIsPushedIsReadBack(t *testing.T) {
	ocitest.NoLeak(t)
	srv := ocitest.Registry(t)
	c := newClient(t, srv)
	img := ocitest.Image(t, "linux/arm64/v8", "base", "app")
	d, err := c.PushImage(t.Context(), parse(t, srv.Repo("vision/app:1")), img)
	if err != nil {
		t.Fatal(err)
	}
	srv.Forget()

	m, err := c.Resolve(t.Context(), parse(t, srv.Repo("vision/app:1")))
	if err != nil {
		t.Fatal(err)
	}
	if m.Digest != d.Digest || m.Size != d.Size || m.MediaType != oci.MediaTypeManifest {
		t.Fatalf("resolved %+v, pushed %+v", m.Descriptor, d)
	}
	if got := srv.Requests(); len(got) != 1 || got[0].String() != "GET /v2/vision/app/manifests/1" {
		t.Fatalf("Resolve made the requests %v", got)
	}
	f, err := c.Image(t.Context(), srv.Repo("vision/app"), m.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(srv.Requests()); n != 2 {
		t.Errorf("Image asked for more than the configuration: %v", srv.Requests())
	}
	if f.Platform != "linux/arm64" || len(f.DiffIDs) != 2 || len(f.Layers) != 2 || f.Size != int64(len("base")+len("app")) ||
		f.User != "65532" || f.Labels["team"] != "vision" || f.MediaType != oci.MediaTypeManifest || f.Config == "" {
		t.Errorf("image: %+v", f)
	}
}

func TestAnIndexThatIsPushedIsReadBack(t *testing.T) {
	srv := ocitest.Registry(t)
	c := newClient(t, srv)
	if _, err := c.PushIndex(t.Context(), parse(t, srv.Repo("app:1")), ocitest.Index(t, "linux/amd64", "linux/arm64")); err != nil {
		t.Fatal(err)
	}
	m, err := c.Resolve(t.Context(), parse(t, srv.Repo("app:1")))
	if err != nil {
		t.Fatal(err)
	}
	if !m.IsIndex() {
		t.Fatalf("media type %s", m.MediaType)
	}
	list, err := oci.ParseIndex(m.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Platform != "linux/amd64" || list[1].Platform != "linux/arm64" {
		t.Fatalf("platforms: %+v", list)
	}
	for _, p := range list {
		f, err := c.Image(t.Context(), srv.Repo("app"), p.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if f.Platform != p.Platform {
			t.Errorf("the index says %s and the configuration %s", p.Platform, f.Platform)
		}
	}
	_, err = c.Image(t.Context(), srv.Repo("app"), m.Digest)
	wantCode(t, err, verdict.ImageMediaType)
}

func TestABundleSignedImageCostsFourRequests(t *testing.T) {
	srv := ocitest.Registry(t)
	m, _ := signed(t, srv)
	c := newClient(t, srv)
	srv.Forget()
	got, err := c.Resolve(t.Context(), parse(t, srv.Repo("app:1")))
	if err != nil {
		t.Fatal(err)
	}
	found, err := c.Attached(t.Context(), srv.Repo("app"), got.Digest, oci.Wanted{Types: []string{oci.ArtifactBundle}})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || string(found[0].Layers[0].Data) != "bundle" || found[0].Type != oci.ArtifactBundleV03 || m.Digest != got.Digest {
		t.Fatalf("found %+v", found)
	}
	if n := len(srv.Requests()); n != 4 {
		t.Errorf("%d requests: %v", n, srv.Requests())
	}
}

func TestALegacySignedImageCostsThreeRequests(t *testing.T) {
	srv := ocitest.Registry(t)
	signed(t, srv)
	c := newClient(t, srv)
	srv.Forget()
	m, err := c.Resolve(t.Context(), parse(t, srv.Repo("app:1")))
	if err != nil {
		t.Fatal(err)
	}
	found, err := c.Attached(t.Context(), srv.Repo("app"), m.Digest, oci.Wanted{Legacy: []string{oci.LegacySignature}})
	if err != nil {
		t.Fatal(err)
	}
	// Two signatures over one payload: the payload is fetched once.
	if len(found) != 1 || len(found[0].Layers) != 2 || string(found[0].Layers[1].Data) != "payload" ||
		found[0].Layers[0].Annotations["dev.cosignproject.cosign/signature"] != "one" ||
		found[0].Layers[1].Annotations["dev.cosignproject.cosign/signature"] != "two" {
		t.Fatalf("found %+v", found)
	}
	if n := len(srv.Requests()); n != 3 {
		t.Errorf("%d requests: %v", n, srv.Requests())
	}
}

// signed pushes an image as app:1 with a bundle and two legacy signatures.
func signed(t testing.TB, srv *ocitest.Server) (image, bundle oci.Descriptor) {
	t.Helper()
	c := newClient(t, srv)
	image, err := c.PushImage(t.Context(), parse(t, srv.Repo("app:1")), ocitest.Image(t, "linux/amd64", "app"))
	if err != nil {
		t.Fatal(err)
	}
	bundle, err = c.Attach(t.Context(), srv.Repo("app"), image, oci.ArtifactBundleV03,
		map[string]string{"dev.sigstore.bundle.content": "dsse-envelope"}, oci.Blob{MediaType: oci.ArtifactBundleV03, Data: []byte("bundle")})
	if err != nil {
		t.Fatal(err)
	}
	for _, sig := range []string{"one", "two", "two"} {
		err := c.AttachLegacy(t.Context(), srv.Repo("app"), image.Digest, oci.LegacySignature, []byte("payload"),
			map[string]string{"dev.cosignproject.cosign/signature": sig})
		if err != nil {
			t.Fatal(err)
		}
	}
	return image, bundle
}

func TestManyConcurrentCallsAreOneFetch(t *testing.T) {
	ocitest.NoLeak(t)
	gate := make(chan struct{})
	var open atomic.Bool
	srv := ocitest.Registry(t, ocitest.Behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if open.Load() {
				<-gate
			}
			next.ServeHTTP(w, r)
		})
	}))
	image, _ := signed(t, srv)
	// Without a cache, so that only the flight can save requests.
	c := newClientWith(t, oci.Options{Limits: oci.Limits{CacheBytes: 1}}, srv)
	srv.Forget()
	open.Store(true)

	const callers = 500
	var started, done sync.WaitGroup
	errs := make(chan error, callers)
	started.Add(callers)
	for range callers {
		done.Go(func() {
			started.Done()
			_, err := c.Resolve(t.Context(), parse(t, srv.Repo("app@"+string(image.Digest))))
			errs <- err
		})
	}
	started.Wait()
	waitFor(t, func() bool { return oci.Waiting(c) == callers })
	close(gate)
	done.Wait()
	for range callers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if n := len(srv.Requests()); n != 1 {
		t.Errorf("%d requests: %v", n, srv.Requests())
	}
}

// waitFor polls until f holds.
func waitFor(t testing.TB, f func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(2 * time.Minute)
	for !f() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it did not happen within two minutes")
		}
	}
}

func TestOneWaiterLeavingDoesNotEndTheOthers(t *testing.T) {
	ocitest.NoLeak(t)
	gate, arrived := make(chan struct{}), make(chan struct{}, 2)
	img := ocitest.RawImage(t, "linux/amd64", "app")
	srv := ocitest.Hostile(t, ocitest.Routes{"GET /v2/app/manifests/1": func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-gate:
			ocitest.Answer(oci.MediaTypeManifest, img.Manifest)(w, r)
		case <-r.Context().Done():
		}
	}})
	c := newClient(t, srv)
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := c.Resolve(ctx, parse(t, srv.Repo("app:1"))); first <- err }()
	waitFor(t, func() bool { return oci.Waiting(c) == 1 })
	<-arrived
	go func() { _, err := c.Resolve(t.Context(), parse(t, srv.Repo("app:1"))); second <- err }()
	waitFor(t, func() bool { return oci.Waiting(c) == 2 })
	cancel()
	err := <-first
	wantCode(t, err, verdict.DeadlineExceeded)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error does not wrap context.Canceled: %v", err)
	}
	close(gate)
	if err := <-second; err != nil {
		t.Errorf("the other waiter got %v", err)
	}
	// The first one's request ended with it.
	if n := len(srv.Requests()); n != 2 {
		t.Errorf("%d requests", n)
	}
}

func TestTheLastWaiterLeavingEndsTheRequest(t *testing.T) {
	ocitest.NoLeak(t)
	ended := make(chan struct{})
	srv := ocitest.Hostile(t, ocitest.Routes{"GET /v2/app/manifests/1": func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(ended)
	}})
	// Nothing but the cancellation ends the request in time.
	c := newClientWith(t, oci.Options{Limits: oci.Limits{Header: time.Hour, Call: time.Hour}}, srv)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { _, err := c.Resolve(ctx, parse(t, srv.Repo("app:1"))); result <- err }()
	waitFor(t, func() bool { return len(srv.Requests()) == 1 })
	cancel()
	wantCode(t, <-result, verdict.DeadlineExceeded)
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		t.Error("the request goes on although nobody waits for it")
	}
}

func TestTheCacheServesADigestOnlyInItsRepository(t *testing.T) {
	srv := ocitest.Registry(t)
	c := newClient(t, srv)
	d, err := c.PushImage(t.Context(), parse(t, srv.Repo("mine:1")), ocitest.Image(t, "linux/amd64", "app"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Resolve(t.Context(), parse(t, srv.Repo("mine@"+string(d.Digest)))); err != nil {
		t.Fatal(err)
	}
	srv.Forget()
	if _, err := c.Resolve(t.Context(), parse(t, srv.Repo("mine@"+string(d.Digest)))); err != nil || len(srv.Requests()) != 0 {
		t.Errorf("the second time: %v, requests %v", err, srv.Requests())
	}
	_, err = c.Resolve(t.Context(), parse(t, srv.Repo("theirs@"+string(d.Digest))))
	wantCode(t, err, verdict.RegistryNotFound)
	if !oci.IsNotFound(err) {
		t.Error("IsNotFound is false")
	}
}

func TestTheMeterSeesRequestsAndBytes(t *testing.T) {
	srv := ocitest.Registry(t)
	image, _ := signed(t, srv)
	var requests, bytes atomic.Int64
	c := newClientWith(t, oci.Options{Meter: func(r, b int64) { requests.Add(r); bytes.Add(b) }}, srv)
	if _, err := c.Resolve(t.Context(), parse(t, srv.Repo("app:1"))); err != nil {
		t.Fatal(err)
	}
	if requests.Load() != 1 || bytes.Load() != image.Size {
		t.Errorf("metered %d requests and %d bytes, want 1 and %d", requests.Load(), bytes.Load(), image.Size)
	}
}

func TestRepositoryNamesHaveToBeCanonical(t *testing.T) {
	c := newClient(t)
	for _, name := range []string{"", "nginx", "index.docker.io/library/nginx", "127.0.0.1:1/app:tag", "h/../x", "h/app?x=y", "127.0.0.1:1/App"} {
		_, err := c.Image(t.Context(), name, verdict.Digest("sha256:"+strings.Repeat("a", 64)))
		wantCode(t, err, verdict.ReferenceInvalid)
	}
	for _, digest := range []verdict.Digest{"", "sha256:abc", "latest", "../x"} {
		_, err := c.Image(t.Context(), "127.0.0.1:1/app", digest)
		wantCode(t, err, verdict.ReferenceInvalid)
		_, err = c.Attached(t.Context(), "127.0.0.1:1/app", digest, oci.Wanted{Types: []string{"x"}})
		wantCode(t, err, verdict.ReferenceInvalid)
	}
}

func TestWantingNothingIsAnErrorAndNotAbsence(t *testing.T) {
	c := newClient(t)
	digest := verdict.Digest("sha256:" + strings.Repeat("a", 64))
	for _, want := range []oci.Wanted{{}, {Legacy: []string{".txt"}}} {
		_, err := c.Attached(t.Context(), "127.0.0.1:1/app", digest, want)
		wantCode(t, err, verdict.Internal)
	}
}

func TestErrorsNameWhatWasDone(t *testing.T) {
	srv := ocitest.Registry(t)
	c := newClient(t, srv)
	_, err := c.Resolve(t.Context(), parse(t, srv.Repo("app:1")))
	want := fmt.Sprintf("resolve %s: %s answered 404 NAME_UNKNOWN", srv.Repo("app:1"), srv.Host)
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if oci.CodeOf(nil) != verdict.OK || oci.CodeOf(errors.New("x")) != verdict.Internal {
		t.Error("CodeOf of other errors")
	}
}
