package oci_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/build"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/verdict"
)

func built(t *testing.T, platform string, layers ...build.Layer) v1.Image {
	t.Helper()
	img, err := build.Image{Platform: platform, Layers: layers}.Build()
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// twoLayers is an image of which the second layer is larger than what is asked
// of a registry at once, and does not compress.
func twoLayers(t *testing.T) v1.Image {
	noise := make([]byte, 9<<20)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	return built(t, "linux/amd64", build.Layer{"etc/os-release": "ID=debian\n"}, build.Layer{"data": string(noise)})
}

// names reads all layers and returns the names in them.
func names(t *testing.T, l *oci.Layers) string {
	t.Helper()
	var out []string
	for i := range l.Len() {
		r, err := l.Open(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		in := tar.NewReader(r)
		for {
			h, err := in.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%d:%s:%d", i, h.Name, h.Size))
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(out, " ")
}

func writeLayout(t *testing.T, images ...v1.Image) string {
	t.Helper()
	dir := t.TempDir()
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for _, img := range images {
		if err := p.AppendImage(img); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// packed makes a tar archive of a folder.
func packed(t *testing.T, dir string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return written(t, "image.tar", b.Bytes())
}

func written(t *testing.T, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func saved(t *testing.T, images ...v1.Image) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "saved.tar")
	tags := map[name.Tag]v1.Image{}
	for i, img := range images {
		tag, err := name.NewTag(fmt.Sprintf("example.com/app:v%d", i))
		if err != nil {
			t.Fatal(err)
		}
		tags[tag] = img
	}
	if err := tarball.MultiWriteToFile(file, tags); err != nil {
		t.Fatal(err)
	}
	return file
}

func openLocal(t *testing.T, path string) *oci.Layers {
	t.Helper()
	l, err := oci.OpenLocal(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestLayersAreTheSameWhereverTheImageLies(t *testing.T) {
	img := twoLayers(t)
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	srv := ocitest.Registry(t)
	repo, err := name.NewRepository(srv.Repo("app"), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repo.Digest(digest.String()), img); err != nil {
		t.Fatal(err)
	}
	dir := writeLayout(t, img)
	fromRegistry, err := newClient(t, srv).Layers(t.Context(), srv.Repo("app"), verdict.Digest(digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	const want = "0:etc/os-release:10 1:data:9437184"
	for place, l := range map[string]*oci.Layers{
		"registry": fromRegistry, "layout": openLocal(t, dir), "archive of a layout": openLocal(t, packed(t, dir)), "docker save": openLocal(t, saved(t, img)),
	} {
		if got := names(t, l); got != want {
			t.Errorf("%s: %s", place, got)
		}
		if got := l.Image(); got.Platform != "linux/amd64" || len(got.DiffIDs) != 2 {
			t.Errorf("%s: %+v", place, got)
		}
		wantDigest := verdict.Digest(digest.String())
		if place == "docker save" {
			wantDigest = ""
		}
		if got := l.Ref(); got.Digest != wantDigest || got.Kind != verdict.KindImage {
			t.Errorf("%s: %+v", place, got)
		}
	}
	if n := srv.Count("GET", "/blobs/"); n != 4 {
		t.Errorf("%d requests for a configuration, a small layer and one of two chunks", n)
	}
}

func TestLayersAreUnpackedByTheirFirstBytes(t *testing.T) {
	text := archived(t, "a", strings.Repeat("content ", 1000))
	var gz bytes.Buffer
	zw := gzip.NewWriter(&gz)
	zw.Write(text)
	zw.Close()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	zst := enc.EncodeAll(text, nil)
	skipped := append([]byte{0x5e, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 'n', 'o', 't', 'e'}, zst...)
	for kind, stored := range map[string][]byte{"as it is": text, "gzip": gz.Bytes(), "zstd": zst, "zstd behind a frame that is skipped": skipped, "gzip in two members": append(gzipped(t, text[:512]), gzipped(t, text[512:])...)} {
		// The media type says gzip of all of them.
		if got := names(t, openLocal(t, handmade(t, stored, text))); got != "0:a:8000" {
			t.Errorf("%s: %s", kind, got)
		}
	}
}

func TestALayerThatIsNotWhatWasPromisedEndsInAnError(t *testing.T) {
	text := archived(t, "a", "content")
	other := archived(t, "a", "CONTENT")
	good := gzipped(t, text)
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	for _, tc := range []struct {
		name string
		dir  func() string
		code verdict.Code
	}{
		{"a layer as promised is read", func() string { return handmade(t, good, text) }, verdict.OK},
		{"bytes behind the end of the stream that are part of the blob are hashed", func() string {
			return handmade(t, append(bytes.Clone(text), make([]byte, 512)...), append(bytes.Clone(text), make([]byte, 512)...))
		}, verdict.OK},
		{"another content than the diffID names", func() string { return handmade(t, gzipped(t, other), text) }, verdict.RegistryDigest},
		{"other stored bytes than the digest names", func() string {
			dir := handmade(t, good, text)
			replaceBlob(t, dir, good, gzipped(t, other))
			return dir
		}, verdict.RegistryDigest},
		{"stored bytes that differ in compression only", func() string {
			dir := handmade(t, good, text)
			replaceBlob(t, dir, good, text)
			return dir
		}, verdict.RegistryDigest},
		{"more bytes than the descriptor names", func() string {
			dir := handmade(t, good, text)
			replaceBlob(t, dir, good, append(bytes.Clone(good), 'x'))
			return dir
		}, verdict.RegistryDigest},
		{"a stream that ends early", func() string { return handmade(t, good[:len(good)/2], text) }, verdict.RegistryAnswer},
		{"a damaged stream", func() string { return handmade(t, flipped, text) }, verdict.RegistryAnswer},
		{"a stream that is no gzip after its first bytes", func() string { return handmade(t, []byte{0x1f, 0x8b, 9, 9, 9}, text) }, verdict.RegistryAnswer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := openLocal(t, tc.dir())
			r, err := l.Open(t.Context(), 0)
			if err == nil {
				defer r.Close()
				_, err = io.Copy(io.Discard, r)
			}
			if got := oci.CodeOf(err); got != tc.code {
				t.Errorf("code %s, error %v; want %s", got, err, tc.code)
			}
			if r == nil || err == nil {
				return
			}
			if n, again := r.Read(make([]byte, 1)); n != 0 || again == nil || again == io.EOF {
				t.Errorf("reading on gives %d, %v", n, again)
			}
		})
	}
}

func TestALayerThatGrowsBeyondAnyFileSystemIsRefused(t *testing.T) {
	var stored bytes.Buffer
	w := gzip.NewWriter(&stored)
	sum := sha256.New()
	zeros := make([]byte, 1<<20)
	for range 320 {
		if _, err := io.MultiWriter(w, sum).Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	dir := handmadeOf(t, stored.Bytes(), "sha256:"+hex.EncodeToString(sum.Sum(nil)))
	r, err := openLocal(t, dir).Open(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	if oci.CodeOf(err) != verdict.RegistryTooLarge || n > 257<<20 {
		t.Errorf("after %d bytes: %v", n, err)
	}
}

func TestALocalImageThatSaysTwoThingsIsRefused(t *testing.T) {
	amd, arm := built(t, "linux/amd64", build.Layer{"a": "1"}), built(t, "linux/arm64", build.Layer{"a": "2"})
	both := writeLayout(t, amd, arm)
	for _, tc := range []struct {
		name, path, platform string
		code                 verdict.Code
	}{
		{"one image needs no platform", writeLayout(t, amd), "", verdict.OK},
		{"the platform of the only image may be named", writeLayout(t, amd), "linux/amd64", verdict.OK},
		{"another platform than the only image has", writeLayout(t, amd), "linux/arm64", verdict.ImagePlatformMissing},
		{"two images without a choice", both, "", verdict.ImageMediaType},
		{"two images in an archive without a choice", saved(t, amd, arm), "", verdict.ImageMediaType},
		{"a choice of two images in an archive", saved(t, amd, arm), "linux/arm64", verdict.OK},
		{"an archive without one of the platform", saved(t, amd, arm), "linux/s390x", verdict.ImagePlatformMissing},
		{"a folder without an image", t.TempDir(), "", verdict.ImageMediaType},
		{"a layout without an image", writeLayout(t), "", verdict.ImageIndexEmpty},
		{"a path that is not there", filepath.Join(t.TempDir(), "none"), "", verdict.RegistryNotFound},
		{"a file that is no archive", written(t, "x", bytes.Repeat([]byte("text "), 300)), "", verdict.ImageMediaType},
		{"an archive that is compressed as a whole", written(t, "x.gz", gzipped(t, archived(t, "a", "b"))), "", verdict.ImageMediaType},
		{"an archive of something else", written(t, "x.tar", archived(t, "a", "b")), "", verdict.ImageMediaType},
		{"an archive with one name twice", written(t, "x.tar", archived(t, "index.json", "{}", "./index.json", "{}")), "", verdict.ImageMediaType},
		{"a layout that says of itself something else as docker save", func() string {
			dir := writeLayout(t, amd)
			put(t, dir, "manifest.json", `[{"Config":"blobs/sha256/`+strings.Repeat("0", 64)+`","Layers":[]}]`)
			return dir
		}(), "", verdict.ImageConfigInvalid},
		{"a layout that says of itself the same as docker save", func() string {
			dir := writeLayout(t, amd)
			config, _ := amd.ConfigName()
			put(t, dir, "manifest.json", `[{"Config":"blobs/sha256/`+config.Hex+`","Layers":[]}]`)
			return dir
		}(), "", verdict.OK},
		{"a configuration that is not named after its digest", func() string {
			dir := t.TempDir()
			put(t, dir, "manifest.json", `[{"Config":"`+strings.Repeat("0", 64)+`.json","Layers":[]}]`)
			put(t, dir, strings.Repeat("0", 64)+".json", `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}`)
			return dir
		}(), "", verdict.RegistryDigest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := oci.OpenLocal(t.Context(), tc.path, tc.platform)
			if err == nil {
				defer l.Close()
			}
			if got := oci.CodeOf(err); got != tc.code {
				t.Errorf("code %s, error %v; want %s", got, err, tc.code)
			}
		})
	}
}

func TestALayoutsLinkThatLeadsOutIsNotFollowed(t *testing.T) {
	text := archived(t, "a", "b")
	dir := handmade(t, text, text)
	blob := blobPath(dir, text)
	outside := written(t, "layer", text)
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, blob); err != nil {
		t.Fatal(err)
	}
	if r, err := openLocal(t, dir).Open(t.Context(), 0); err == nil {
		r.Close()
		t.Error("a file outside of the layout was opened")
	}
}

func TestDockerSaveSharesLayersByLinks(t *testing.T) {
	text := archived(t, "a", "b")
	id := sha256.Sum256(text)
	config := fmt.Sprintf(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:%x","sha256:%x"]}}`, id, id)
	sum := sha256.Sum256([]byte(config))
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h *tar.Header, text string) {
		h.Size, h.Mode = int64(len(text)), 0o644
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, text)
	}
	add(&tar.Header{Name: hex.EncodeToString(sum[:]) + ".json", Typeflag: tar.TypeReg}, config)
	add(&tar.Header{Name: "one/layer.tar", Typeflag: tar.TypeReg}, string(text))
	add(&tar.Header{Name: "two/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../one/layer.tar"}, "")
	add(&tar.Header{Name: "manifest.json", Typeflag: tar.TypeReg}, fmt.Sprintf(`[{"Config":"%x.json","RepoTags":null,"Layers":["one/layer.tar","two/layer.tar"]}]`, sum))
	w.Close()
	if got := names(t, openLocal(t, written(t, "saved.tar", b.Bytes()))); got != "0:a:1 1:a:1" {
		t.Error(got)
	}
}

// archived makes a tar archive of names and texts.
func archived(t testing.TB, pairs ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: pairs[i], Mode: 0o644, Size: int64(len(pairs[i+1])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, pairs[i+1])
	}
	w.Close()
	return b.Bytes()
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// handmade writes a layout of one layer with the stored bytes, which should
// unpack to text.
func handmade(t testing.TB, stored, text []byte) string {
	t.Helper()
	sum := sha256.Sum256(text)
	return handmadeOf(t, stored, "sha256:"+hex.EncodeToString(sum[:]))
}

func handmadeOf(t testing.TB, stored []byte, diffID string) string {
	t.Helper()
	layer := static.NewLayer(stored, types.OCILayer)
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(img, layer)
	if err != nil {
		t.Fatal(err)
	}
	id, err := v1.NewHash(diffID)
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{id}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	manifest, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range [][]byte{stored, manifest, config} {
		put(t, dir, strings.TrimPrefix(blobPath("", blob), "/"), string(blob))
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{map[string]any{
		"mediaType": types.OCIManifestSchema1, "size": len(manifest), "digest": ocitest.Digest(manifest)}}})
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "index.json", string(index))
	put(t, dir, "oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	return dir
}

func blobPath(dir string, blob []byte) string {
	return filepath.Join(dir, "blobs/sha256", strings.TrimPrefix(ocitest.Digest(blob), "sha256:"))
}

func replaceBlob(t testing.TB, dir string, old, with []byte) {
	t.Helper()
	if err := os.WriteFile(blobPath(dir, old), with, 0o644); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, root, name, text string) {
	t.Helper()
	full := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(full), fs.ModePerm); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// FuzzOpenLocal opens any bytes as an archive of an image and reads its layers.
func FuzzOpenLocal(f *testing.F) {
	text := archived(f, "a", "b")
	f.Add(archived(f, "manifest.json", `[{"Config":"0.json","Layers":["a/layer.tar"]}]`, "0.json", "{}", "a/layer.tar", string(text)))
	f.Add(archived(f, "index.json", `{"schemaVersion":2,"manifests":[]}`))
	dir := handmade(f, gzipped(f, text), text)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		f.Fatal(err)
	}
	w.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := oci.OpenLocal(t.Context(), written(t, "x.tar", data), "")
		if err != nil {
			return
		}
		defer l.Close()
		for i := range l.Len() {
			r, err := l.Open(t.Context(), i)
			if err != nil {
				continue
			}
			_, err = io.Copy(io.Discard, r)
			r.Close()
			if err == nil && l.Image().DiffIDs[i] == "" {
				t.Error("a layer without a diffID was proved")
			}
		}
	})
}
