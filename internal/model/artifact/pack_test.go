//go:build unix

package artifact_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// model is what the folder of most tests holds: an empty file, names with spaces
// and beyond ASCII, the same bytes twice, and two orders of sorting.
var model = map[string]string{
	"config.json": "{}", "a-b/x": "one", "a/x": "two", "empty": "", "words and more.txt": "words",
	"模型/café.bin": strings.Repeat("weights ", 5000), "copy/config.json": "{}",
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	for name, text := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func hashed(files map[string]string) []fact.ModelFile {
	var out []fact.ModelFile
	for name, text := range files {
		out = append(out, fact.ModelFile{Path: name, Digest: verdict.Digest(ocitest.Digest([]byte(text))), Size: int64(len(text))})
	}
	return out
}

func client(t *testing.T, s *ocitest.Server) *oci.Client {
	t.Helper()
	c, err := oci.New(oci.Options{AllowPrivate: []string{s.Host}, PlainHTTP: []string{s.Host}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func at(t *testing.T, s *ocitest.Server, name string) reference.Reference {
	t.Helper()
	ref, err := reference.Parse(s.Host + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func pack(t *testing.T, c *oci.Client, ref reference.Reference, files map[string]string) *artifact.Packed {
	t.Helper()
	p, err := artifact.Pack(t.Context(), c, ref, folder(t, files), hashed(files), nil, artifact.Description{Name: "captioner"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// read returns the files below dir, and fails the test for anything else there.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			t.Errorf("%s is no file", name)
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		out[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhatIsPackedIsWhatIsPulled(t *testing.T) {
	s := ocitest.Registry(t)
	c := client(t, s)
	ref := at(t, s, "vision/model:1.0")
	p := pack(t, c, ref, model)
	if err := p.Tag(t.Context()); err != nil {
		t.Fatal(err)
	}
	i := artifact.New(c, clock.System{})
	resolved, err := i.Resolve(t.Context(), ref)
	if err != nil || resolved.Digest != p.Descriptor.Digest || resolved.Kind != verdict.KindModel {
		t.Fatalf("%s, %v", resolved, err)
	}
	f := i.Model(t.Context(), resolved)
	m, _, ok := f.All()
	if !ok || m.Root != p.Model.Root || m.Name != "captioner" || len(m.Files) != len(model) {
		t.Fatalf("%+v, %s", m, f.Why())
	}
	if !i.IsModel(t.Context(), ref) {
		t.Error("it is no model")
	}
	dir := filepath.Join(t.TempDir(), "new", "model")
	var came int64
	if err := artifact.Pull(t.Context(), c, resolved, &m, dir, func(n int64) { came += n }); err != nil {
		t.Fatal(err)
	}
	if got := read(t, dir); !maps.Equal(got, model) {
		t.Errorf("pulled %d files: %q", len(got), slices.Sorted(maps.Keys(got)))
	}
	var size int64
	for name, text := range model {
		size += int64(len(text))
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil || info.Mode().Perm() != 0o444 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if came != size {
		t.Errorf("progress told of %d of %d bytes", came, size)
	}
	if rest, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), "*")); len(rest) != 1 {
		t.Errorf("left behind: %q", rest)
	}
}

func TestTheSameModelHasTheSameDigest(t *testing.T) {
	s := ocitest.Registry(t)
	c := client(t, s)
	created := artifact.Description{Created: time.Date(2026, 11, 20, 12, 0, 0, 5, time.FixedZone("", 3600)), Licenses: []string{"MIT"}}
	push := func(name string, files map[string]string, d artifact.Description) verdict.Digest {
		listed := hashed(files) // in the order of the map: another one each time
		p, err := artifact.Pack(t.Context(), c, at(t, s, name), folder(t, files), listed, map[string]string{"a/x": "python"}, d, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p.Descriptor.Digest
	}
	first := push("one:1", model, created)
	if again := push("two:2", model, created); again != first {
		t.Errorf("%s and %s", first, again)
	}
	later := created
	later.Created = created.Created.Add(time.Second)
	changed := maps.Clone(model)
	changed["config.json"] = "[]"
	for what, other := range map[string]verdict.Digest{"another time": push("one:1", model, later), "another file": push("one:1", changed, created)} {
		if other == first {
			t.Errorf("%s gives the same digest", what)
		}
	}
}

func TestNoTagNamesAModelBeforeItIsTagged(t *testing.T) {
	s := ocitest.Registry(t)
	c := client(t, s)
	ref := at(t, s, "vision/model:1.0")
	p := pack(t, c, ref, model)
	if _, err := c.Resolve(t.Context(), ref); !oci.IsNotFound(err) {
		t.Fatalf("the tag is there: %v", err)
	}
	pinned := at(t, s, "vision/model@"+string(p.Descriptor.Digest))
	if _, err := c.Resolve(t.Context(), pinned); err != nil {
		t.Fatalf("the digest is not: %v", err)
	}
	if err := p.Tag(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Resolve(t.Context(), ref); err != nil || m.Digest != p.Descriptor.Digest {
		t.Fatalf("the tag names %s, %v", m.Digest, err)
	}
}

func TestATagThatIsRefusedSaysWhyAndWhatIsKept(t *testing.T) {
	for status, says := range map[int]string{409: "give it another tag", 403: "apex verify oci://", 500: "without the tag"} {
		s := ocitest.Registry(t, ocitest.Behind(func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/1.0") {
					w.WriteHeader(status)
					_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"a text that the registry chose"}]}`)
					return
				}
				h.ServeHTTP(w, r)
			})
		}))
		p := pack(t, client(t, s), at(t, s, "vision/model:1.0"), model)
		err := p.Tag(t.Context())
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), string(p.Descriptor.Digest)) || strings.Contains(err.Error(), "chose") {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestNothingIsPushedThatNobodyCouldRead(t *testing.T) {
	s := ocitest.Registry(t)
	c := client(t, s)
	many := map[string]string{}
	for i := range oci.MaxLayers + 1 {
		many[strings.Repeat("x", i%200)+string(rune('a'+i/200))+"/"+strings.Repeat("y", i/200)] = ""
	}
	for name, tc := range map[string]struct {
		ref   string
		files map[string]string
		says  string
	}{
		"no tag":                   {"m@" + ocitest.Digest(nil), model, "needs a tag"},
		"no files":                 {"m:1", nil, "no files"},
		"a way out":                {"m:1", map[string]string{"../x": ""}, "plain path"},
		"two names that are alike": {"m:1", map[string]string{"caf\u00e9": "1", "cafe\u0301": "2"}, "one file"},
		"too many files":           {"m:1", many, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "too many files" && len(many) <= oci.MaxLayers {
				t.Fatalf("only %d files", len(many))
			}
			_, err := artifact.Pack(t.Context(), c, at(t, s, tc.ref), t.TempDir(), hashed(tc.files), nil, artifact.Description{}, nil)
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v", err)
			}
		})
	}
	if asked := s.Requests(); len(asked) != 0 {
		t.Errorf("it was asked %v", asked)
	}
}

// TestAFileThatChangesIsNotPacked changes a file between the time when it was
// hashed and the time when it is sent, to registries that notice and to one that
// takes what comes.
func TestAFileThatChangesIsNotPacked(t *testing.T) {
	careless := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/uploads/") {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusCreated)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	for name, change := range map[string]func(file string) error{
		"other bytes":     func(f string) error { return os.WriteFile(f, []byte("[]"), 0o644) },
		"more bytes":      func(f string) error { return os.WriteFile(f, []byte("{} "), 0o644) },
		"fewer bytes":     func(f string) error { return os.WriteFile(f, []byte("{"), 0o644) },
		"nothing":         os.Remove,
		"a folder":        func(f string) error { return errors.Join(os.Remove(f), os.Mkdir(f, 0o755)) },
		"a symbolic link": func(f string) error { return errors.Join(os.Remove(f), os.Symlink("copy/config.json", f)) },
		"a pipe":          func(f string) error { return errors.Join(os.Remove(f), pipe(f)) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range []*ocitest.Server{ocitest.Registry(t), ocitest.Registry(t, ocitest.Behind(careless))} {
				dir := folder(t, model)
				if err := change(filepath.Join(dir, "config.json")); err != nil {
					t.Fatal(err)
				}
				ref := at(t, s, "m:1")
				_, err := artifact.Pack(t.Context(), client(t, s), ref, dir, hashed(model), nil, artifact.Description{}, nil)
				if err == nil || !strings.Contains(err.Error(), "config.json") || !strings.Contains(err.Error(), "changed while it was packed") {
					t.Errorf("%v", err)
				}
				if s.Count(http.MethodPut, "/manifests/") != 0 {
					t.Error("a manifest refers to it")
				}
			}
		})
	}
}

func TestAnInterruptedPackIsRepeatedAndSendsNothingTwice(t *testing.T) {
	s := ocitest.Registry(t)
	c := client(t, s)
	ref := at(t, s, "m:1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sent := int64(0)
	_, err := artifact.Pack(ctx, c, ref, folder(t, model), hashed(model), nil, artifact.Description{}, func(n int64) {
		if sent += n; sent >= 5 {
			cancel()
		}
	})
	if err == nil {
		t.Fatal("it was not interrupted")
	}
	first := sent
	p, err := artifact.Pack(t.Context(), c, ref, folder(t, model), hashed(model), nil, artifact.Description{}, func(n int64) { sent += n })
	if err != nil || p.Tag(t.Context()) != nil {
		t.Fatal(err)
	}
	s.Forget()
	_, err = artifact.Pack(t.Context(), c, ref, folder(t, model), hashed(model), nil, artifact.Description{}, func(n int64) { t.Errorf("%d bytes are sent again", n) })
	if err != nil || s.Count(http.MethodPost, "") != 0 {
		t.Errorf("%v, %v", err, s.Requests())
	}
	if first == 0 || sent == 0 {
		t.Errorf("%d bytes at first, %d in all", first, sent)
	}
}

func TestOneFileIsAModelToo(t *testing.T) {
	s := ocitest.Registry(t)
	c := client(t, s)
	dir := folder(t, model)
	one := map[string]string{"config.json": "{}"}
	p, err := artifact.Pack(t.Context(), c, at(t, s, "m:1"), filepath.Join(dir, "config.json"), hashed(one), nil, artifact.Description{}, nil)
	if err != nil || len(p.Model.Files) != 1 || p.Model.Files[0].Path != "config.json" {
		t.Fatalf("%+v, %v", p, err)
	}
	// Nothing beside the file is reached.
	if _, err := artifact.Pack(t.Context(), c, at(t, s, "m:1"), filepath.Join(dir, "config.json"), hashed(map[string]string{"empty2": "x"}), nil, artifact.Description{}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestOnlyWhatNoRuntimeStartsIsAModel: an artifact that says model and that a
// runtime could start as a container is not judged as a model.
func TestOnlyWhatNoRuntimeStartsIsAModel(t *testing.T) {
	digest := ocitest.Digest([]byte("{}"))
	manifest := func(artifactType, config, layer string) []byte {
		return []byte(`{"schemaVersion":2,"mediaType":"` + oci.MediaTypeManifest + `","artifactType":"` + artifactType + `","config":{"mediaType":"` + config + `","digest":"` + digest + `","size":2},"layers":[{"mediaType":"` + layer + `","digest":"` + digest + `","size":2}]}`)
	}
	raw := rawWeight
	for _, tc := range []struct {
		name  string
		data  []byte
		model bool
	}{
		{"a model", manifest(artifact.TypeModel, artifact.TypeConfig, raw), true},
		{"a model in an archive", manifest(artifact.TypeModel, artifact.TypeConfig, "application/vnd.cncf.model.weight.v1.tar"), true},
		{"an image's configuration", manifest(artifact.TypeModel, oci.MediaTypeConfig, raw), false},
		{"an image's layer", manifest(artifact.TypeModel, artifact.TypeConfig, "application/vnd.oci.image.layer.v1.tar+gzip"), false},
		{"another artifact", manifest("application/vnd.example", artifact.TypeConfig, raw), false},
		{"what cannot be read", []byte(`{`), false},
	} {
		s := ocitest.Hostile(t, ocitest.Routes{"GET /v2/m/manifests/1": ocitest.Answer(oci.MediaTypeManifest, tc.data)})
		if got := artifact.New(client(t, s), clock.System{}).IsModel(t.Context(), at(t, s, "m:1")); got != tc.model {
			t.Errorf("%s: %t", tc.name, got)
		}
	}
}
