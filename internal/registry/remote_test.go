package registry

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (f *fixture) ref(text string) name.Reference {
	f.t.Helper()
	return must[name.Reference](f.t)(name.ParseReference(strings.TrimPrefix(f.url, "http://")+"/"+text, name.Insecure))
}

func (f *fixture) options() []remote.Option {
	return []remote.Option{
		remote.WithAuth(&authn.Basic{Username: f.user, Password: f.pass}),
		remote.WithContext(f.t.Context()),
		remote.WithTransport(http.DefaultTransport.(*http.Transport).Clone()),
	}
}

// The client speaks the whole protocol as docker and cosign do: it is
// challenged, gets a token, uploads, and comes back for wider scopes.
func TestClientPushesAndPullsAnImage(t *testing.T) {
	f := serve(t, Options{})
	img := must[v1.Image](t)(random.Image(64<<10, 3))
	if err := remote.Write(f.ref("vision/captioner:v1"), img, f.options()...); err != nil {
		t.Fatal(err)
	}
	got := must[v1.Image](t)(remote.Image(f.ref("vision/captioner:v1"), f.options()...))
	if a, b := must[v1.Hash](t)(got.Digest()), must[v1.Hash](t)(img.Digest()); a != b {
		t.Fatalf("pulled %s, pushed %s", a, b)
	}
	for i, l := range must[[]v1.Layer](t)(got.Layers()) {
		rc, err := l.Compressed() // verifies the digest while it reads
		if err != nil {
			t.Fatal(err)
		}
		if n, err := copyDiscard(rc); err != nil || n == 0 {
			t.Fatalf("layer %d: %d bytes, %v", i, n, err)
		}
	}
	f.finish()
	if s := f.reg.Stats(); s.Requests[201] == 0 || s.Requests[401] == 0 || s.BytesIn < 3*64<<10 || s.BytesOut < 3*64<<10 {
		t.Errorf("stats do not show the push and the pull: %+v", s)
	}
}

func TestClientPushesAnIndexWithAllItsPlatforms(t *testing.T) {
	f := serve(t, Options{})
	idx := must[v1.ImageIndex](t)(random.Index(1024, 2, 3))
	if err := remote.WriteIndex(f.ref("vision/captioner:multi"), idx, f.options()...); err != nil {
		t.Fatal(err)
	}
	got := must[v1.ImageIndex](t)(remote.Index(f.ref("vision/captioner:multi"), f.options()...))
	m := must[*v1.IndexManifest](t)(got.IndexManifest())
	if len(m.Manifests) != 3 {
		t.Fatalf("index lists %d images", len(m.Manifests))
	}
	for _, child := range m.Manifests {
		if _, err := remote.Image(f.ref("vision/captioner@"+child.Digest.String()), f.options()...); err != nil {
			t.Error(err)
		}
	}
}

func TestClientMountsABlobFromAnotherRepository(t *testing.T) {
	f := serve(t, Options{})
	img := must[v1.Image](t)(random.Image(1024, 1))
	if err := remote.Write(f.ref("vision/base:v1"), img, f.options()...); err != nil {
		t.Fatal(err)
	}
	pulled := must[v1.Image](t)(remote.Image(f.ref("vision/base:v1"), f.options()...))
	before := f.reg.Stats().BytesIn
	if err := remote.Write(f.ref("vision/app:v1"), pulled, f.options()...); err != nil {
		t.Fatal(err)
	}
	layer := must[[]v1.Layer](t)(pulled.Layers())[0]
	if size := must[int64](t)(layer.Size()); f.reg.Stats().BytesIn-before >= size {
		t.Error("the layer was uploaded again instead of mounted")
	}
	if _, err := remote.Image(f.ref("vision/app:v1"), f.options()...); err != nil {
		t.Error(err)
	}
}

func TestClientFindsReferrersAndNeedsNoFallbackTag(t *testing.T) {
	f := serve(t, Options{})
	img := must[v1.Image](t)(random.Image(1024, 1))
	subject := f.ref("vision/captioner:v1")
	if err := remote.Write(subject, img, f.options()...); err != nil {
		t.Fatal(err)
	}
	target := must[*v1.Descriptor](t)(remote.Head(subject, f.options()...))
	sig := mutate.MediaType(must[v1.Image](t)(random.Image(10, 1)), types.OCIManifestSchema1)
	sig = mutate.ConfigMediaType(sig, "application/vnd.example.signature.v1")
	sig = mutate.Annotations(sig, map[string]string{"signer": "ana"}).(v1.Image)
	sig = mutate.Subject(sig, *target).(v1.Image)
	d := must[v1.Hash](t)(sig.Digest())
	if err := remote.Write(f.ref("vision/captioner@"+d.String()), sig, f.options()...); err != nil {
		t.Fatal(err)
	}
	found := must[v1.ImageIndex](t)(remote.Referrers(f.ref("vision/captioner@"+target.Digest.String()).(name.Digest), f.options()...))
	m := must[*v1.IndexManifest](t)(found.IndexManifest())
	if len(m.Manifests) != 1 || m.Manifests[0].Digest != d ||
		m.Manifests[0].ArtifactType != "application/vnd.example.signature.v1" || m.Manifests[0].Annotations["signer"] != "ana" {
		t.Errorf("referrers: %+v", m.Manifests)
	}
	tags := must[[]string](t)(remote.List(subject.Context(), f.options()...))
	if !slices.Equal(tags, []string{"v1"}) {
		t.Errorf("tags %v: the client made a fallback tag", tags)
	}
}

func TestClientListsTagsAndRepositoriesOverSeveralPages(t *testing.T) {
	f := serve(t, Options{})
	img := must[v1.Image](t)(random.Image(10, 1))
	want := []string{"a", "b", "c", "d", "e"}
	for _, tag := range want {
		if err := remote.Write(f.ref("team/"+tag+":"+tag), img, f.options()...); err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(f.ref("team/a:"+tag), img, f.options()...); err != nil {
			t.Fatal(err)
		}
	}
	paged := append(f.options(), remote.WithPageSize(2))
	if tags := must[[]string](t)(remote.List(f.ref("team/a:a").Context(), paged...)); !slices.Equal(tags, want) {
		t.Errorf("tags %v", tags)
	}
	repos := must[[]string](t)(remote.Catalog(t.Context(), f.ref("team/a:a").Context().Registry, paged...))
	if len(repos) != 5 || repos[0] != "team/a" || repos[4] != "team/e" {
		t.Errorf("repositories %v", repos)
	}
}

func TestClientDeletesWhatIsMutableOnly(t *testing.T) {
	f := serve(t, Options{Mutable: func(_, tag string) bool { return tag == "nightly" }})
	img := must[v1.Image](t)(random.Image(10, 1))
	other := must[v1.Image](t)(random.Image(10, 1))
	for tag, img := range map[string]v1.Image{"nightly": img, "v1": other} {
		if err := remote.Write(f.ref("team/app:"+tag), img, f.options()...); err != nil {
			t.Fatal(err)
		}
	}
	if err := remote.Delete(f.ref("team/app:v1"), f.options()...); err == nil {
		t.Error("an immutable tag was deleted")
	}
	if err := remote.Delete(f.ref("team/app@"+must[v1.Hash](t)(other.Digest()).String()), f.options()...); err == nil {
		t.Error("the manifest of an immutable tag was deleted")
	}
	if err := remote.Delete(f.ref("team/app@"+must[v1.Hash](t)(img.Digest()).String()), f.options()...); err != nil {
		t.Errorf("the manifest of a mutable tag: %v", err)
	}
	tags := must[[]string](t)(remote.List(f.ref("team/app:v1").Context(), f.options()...))
	if !slices.Equal(tags, []string{"v1"}) {
		t.Errorf("tags %v", tags)
	}
}
