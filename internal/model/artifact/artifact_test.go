package artifact_test

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/verdict"
)

const rawWeight = "application/vnd.cncf.model.weight.v1.raw"

// layer is a raw layer that holds the text, under the path.
func layer(name, text string) oci.Descriptor {
	return oci.Descriptor{MediaType: rawWeight, Digest: verdict.Digest(ocitest.Digest([]byte(text))), Size: int64(len(text)),
		Annotations: map[string]string{artifact.AnnotationPath: name}}
}

func document(layers ...oci.Descriptor) *oci.Document {
	return &oci.Document{ArtifactType: artifact.TypeModel, Config: oci.Descriptor{MediaType: artifact.TypeConfig}, Layers: layers}
}

func noted(l oci.Descriptor, key, value string) oci.Descriptor {
	l.Annotations = map[string]string{artifact.AnnotationPath: l.Annotations[artifact.AnnotationPath], key: value}
	return l
}

const goodConfig = `{"descriptor":{"name":"captioner","family":"tiny","licenses":["Apache-2.0"],"createdAt":"2026-11-20T10:00:00Z"},"config":{"architecture":"cnn","format":"safetensors"},"modelfs":{"type":"layers","diffIds":[]}}`

func TestAManifestSaysWhichFilesTheModelHas(t *testing.T) {
	m, err := artifact.Read(document(layer("b", "2"), layer("a/x", "1")), []byte(goodConfig))
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "captioner" || m.Family != "tiny" || m.Architecture != "cnn" || m.Format != "safetensors" || !slices.Equal(m.Licenses, []string{"Apache-2.0"}) || m.Created.IsZero() {
		t.Errorf("%+v", m)
	}
	if len(m.Files) != 2 || m.Files[1].Path != "a/x" || m.Root == "" {
		t.Errorf("%+v", m)
	}
	again, err := artifact.Read(document(layer("a/x", "1"), layer("b", "2")), []byte(goodConfig))
	if err != nil || again.Root != m.Root {
		t.Errorf("the order of layers changes the root: %s and %s, %v", m.Root, again.Root, err)
	}
	// A layer that is packed leaves open which files there are.
	tar := layer("a.tar", "3")
	tar.MediaType = "application/vnd.cncf.model.weight.v1.tar"
	m, err = artifact.Read(document(layer("b", "2"), tar), []byte(goodConfig))
	if err != nil || m.Root != "" || !m.Files[1].Packed || m.Files[1].Path != "" || artifact.Roots(&m) != nil {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestRootsAreThoseOfTheSpecification holds the roots to figures that were
// computed apart: sha256 over the raw digests, in the order of the names as text
// and of their components.
func TestRootsAreThoseOfTheSpecification(t *testing.T) {
	m, err := artifact.Read(document(layer("a/x", "1"), layer("a-b/x", "2")), []byte(goodConfig))
	if err != nil {
		t.Fatal(err)
	}
	got := artifact.Roots(&m)
	if len(got) != 2 || got[0] != m.Root || got[0] == got[1] {
		t.Fatalf("roots %s", got)
	}
	one := []fact.ModelFile{{Path: "1", Digest: layer("", "2").Digest}, {Path: "2", Digest: layer("", "1").Digest}}
	other := []fact.ModelFile{one[1], one[0]}
	other[0].Path, other[1].Path = "1", "2"
	if got[0] != artifact.Root(one) || got[1] != artifact.Root(other) {
		t.Errorf("roots %s, want as text %s and by components %s", got, artifact.Root(one), artifact.Root(other))
	}
	empty := artifact.Root([]fact.ModelFile{{Path: "a", Digest: layer("", "").Digest}})
	if empty != "sha256:5df6e0e2761359d30a8275058e299fcc0381534545f55cf43e41983f5d4c9456" {
		t.Errorf("the root of one empty file is %s", empty)
	}
	m, err = artifact.Read(document(layer("a", "1"), layer("b", "2")), []byte(goodConfig))
	if err != nil || len(artifact.Roots(&m)) != 1 {
		t.Errorf("two orders that agree make %d roots, %v", len(artifact.Roots(&m)), err)
	}
}

// TestHostileManifestsAreRefused reads manifests with one thing wrong each; its
// twin is the manifest of two plain files.
func TestHostileManifestsAreRefused(t *testing.T) {
	if _, err := artifact.Read(document(layer("config.json", "{}"), layer("café/model 1.safetensors", "w")), []byte(goodConfig)); err != nil {
		t.Fatalf("the good twin: %v", err)
	}
	with := func(names ...string) *oci.Document {
		d := document(layer("config.json", "{}"))
		for i, n := range names {
			d.Layers = append(d.Layers, layer(n, fmt.Sprint(i)))
		}
		return d
	}
	metadata := func(text string) *oci.Document {
		return document(noted(layer("a/model.bin", "four"), "org.cncf.model.file.metadata+json", text))
	}
	unnamed := layer("x", "x")
	unnamed.Annotations = nil
	for _, tc := range []struct {
		name   string
		doc    *oci.Document
		config string
		says   string
	}{
		{"no layers", document(), goodConfig, "no layers"},
		{"a raw layer without a path", document(unnamed), goodConfig, "names no path"},
		{"an empty path", with(""), goodConfig, "names no path"},
		{"a way out", with("../x"), goodConfig, "not a plain path"},
		{"a way out by a detour", with("a/../../x"), goodConfig, "not a plain path"},
		{"the folder above", with(".."), goodConfig, "not a plain path"},
		{"the folder itself", with("."), goodConfig, "not a plain path"},
		{"an absolute path", with("/etc/passwd"), goodConfig, "not a plain path"},
		{"a trailing slash", with("a/"), goodConfig, "not a plain path"},
		{"two slashes", with("a//b"), goodConfig, "not a plain path"},
		{"a dot between", with("a/./b"), goodConfig, "not a plain path"},
		{"a backslash", with(`a\b`), goodConfig, "backslash"},
		{"a drive", with("C:x"), goodConfig, "drive"},
		{"a NUL", with("a\x00b"), goodConfig, "control"},
		{"a line break", with("a\nb"), goodConfig, "control"},
		{"a control character beyond ASCII", with("a\u0085b"), goodConfig, "control"},
		{"a character that turns the text around", with("a\u202egnp.lkp"), goodConfig, "nobody sees"},
		{"a character without width", with("con\u200bfig.json"), goodConfig, "nobody sees"},
		{"no UTF-8", with("a\xff"), goodConfig, "UTF-8"},
		{"a path that is too long", with(strings.Repeat("a/", 2100) + "b"), goodConfig, "too long"},
		{"a name that is too long", with(strings.Repeat("a", 256)), goodConfig, "255"},
		{"too many folders", with(strings.Repeat("a/", 65) + "b"), goodConfig, "deep"},
		{"the same path twice", with("config.json"), goodConfig, "one file"},
		{"a path in another case", with("Config.JSON"), goodConfig, "one file"},
		{"a path with the Kelvin sign", with("k", "\u212a"), goodConfig, "one file"},
		{"a path in another normal form", with("caf\u00e9", "cafe\u0301"), goodConfig, "one file"},
		{"a path in full width", with("\uff43onfig.json"), goodConfig, "one file"},
		{"a file that is a folder", with("a", "a/b"), goodConfig, "a file and a folder"},
		{"a file that is a folder, the folder first", with("a/b/c", "a"), goodConfig, "a file and a folder"},
		{"a file that is a folder in another case", with("A", "a/b"), goodConfig, "a file and a folder"},
		{"a title that is another name", document(noted(layer("model.bin", "x"), "org.opencontainers.image.title", "model.pkl")), goodConfig, "model.pkl"},
		{"a title that leads out", document(noted(layer("model.bin", "x"), "org.opencontainers.image.title", "../model.bin")), goodConfig, "../model.bin"},
		{"an older annotation with another path", document(noted(layer("model.bin", "x"), "org.cnai.model.filepath", "other.bin")), goodConfig, "other.bin"},
		{"metadata that names another file", metadata(`{"name":"other.bin","typeflag":48,"size":4}`), goodConfig, "other.bin"},
		{"metadata of a symbolic link", metadata(`{"name":"model.bin","typeflag":50,"size":4}`), goodConfig, "no regular file"},
		{"metadata with another size", metadata(`{"name":"model.bin","typeflag":48,"size":5}`), goodConfig, "says 5"},
		{"metadata that says two things", metadata(`{"name":"model.bin","Name":"x"}`), goodConfig, "metadata"},
		{"metadata that cannot be read", metadata(`{`), goodConfig, "metadata"},
		{"a configuration that is none", with(), `[]`, "configuration"},
		{"a configuration that says two things", with(), `{"descriptor":{"licenses":["MIT"],"Licenses":["GPL-3.0-only"]}}`, "configuration"},
		{"a configuration with something behind it", with(), `{}{}`, "configuration"},
		{"a configuration nested too deep", with(), strings.Repeat("[", 50) + strings.Repeat("]", 50), "configuration"},
		{"more licences than anybody has", with(), `{"descriptor":{"licenses":["MIT"` + strings.Repeat(`,"MIT"`, 64) + `]}}`, "licences"},
		{"a licence without end", with(), `{"descriptor":{"licenses":["` + strings.Repeat("x", 2000) + `"]}}`, "bytes"},
		{"a foreign configuration that is no JSON", &oci.Document{ArtifactType: "application/x", Layers: []oci.Descriptor{layer("a", "1")}}, `{`, "no JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := artifact.Read(tc.doc, []byte(tc.config))
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("%+v, %v, want …%s…", m, err, tc.says)
			}
			if m.Root != "" || m.Files != nil || len(err.Error()) > 500 {
				t.Errorf("beside the error: %+v; %d bytes of error", m, len(err.Error()))
			}
		})
	}
	// Their neighbours that are fine.
	for _, doc := range []*oci.Document{
		metadata(`{"name":"model.bin","mode":420,"typeflag":48,"size":4,"mtime":"2026-01-01T00:00:00Z"}`),
		metadata(`{"name":"a/model.bin"}`),
		document(noted(layer("a/model.bin", "x"), "org.opencontainers.image.title", "model.bin")),
		with("a/b", "a/c", "A/d", "a-b", "…", "模型.bin", "ab:c", ".gitattributes", "..x"),
		with(strings.Repeat("a/", 64) + "b"),
	} {
		if _, err := artifact.Read(doc, []byte(goodConfig)); err != nil {
			t.Error(err)
		}
	}
}

func TestAThousandLayersCostLittle(t *testing.T) {
	doc := document()
	deep := strings.Repeat("a/", 60)
	for i := range oci.MaxLayers {
		doc.Layers = append(doc.Layers, layer(fmt.Sprintf("%s%d", deep, i), fmt.Sprint(i)))
	}
	m, err := artifact.Read(doc, []byte(goodConfig))
	if err != nil || len(m.Files) != oci.MaxLayers {
		t.Fatalf("%d files, %v", len(m.Files), err)
	}
	if n := testing.AllocsPerRun(1, func() { _, _ = artifact.Read(doc, []byte(goodConfig)) }); n > 100_000 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzRead(f *testing.F) {
	good, err := json.Marshal(document(layer("config.json", "{}"), layer("a/model.bin", "w")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, []byte(goodConfig))
	f.Add([]byte(`{"ArtifactType":"application/vnd.cncf.model.manifest.v1+json","Layers":[{"mediaType":"application/vnd.cncf.model.weight.v1.raw","digest":"sha256:`+strings.Repeat("0", 64)+`","annotations":{"org.cncf.model.filepath":"../x"}}]}`), []byte(`{}`))
	f.Add([]byte(`{"Layers":[{"mediaType":"application/vnd.cncf.model.doc.v1.raw","annotations":{"org.cncf.model.filepath":"a","org.cncf.model.file.metadata+json":"{\"typeflag\":50}"}},{}]}`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, manifest, config []byte) {
		var doc oci.Document
		if json.Unmarshal(manifest, &doc) != nil {
			return
		}
		m, err := artifact.Read(&doc, config)
		if err != nil {
			if m.Files != nil || m.Root != "" {
				t.Fatalf("%+v beside %v", m, err)
			}
			return
		}
		if len(m.Files) != len(doc.Layers) || len(m.Files) == 0 {
			t.Fatalf("%d files of %d layers", len(m.Files), len(doc.Layers))
		}
		seen, packed := map[string]bool{}, false
		for i := range m.Files {
			file := &m.Files[i]
			if file.Packed {
				packed = true
				continue
			}
			if err := artifact.CheckPath(file.Path); err != nil || seen[strings.ToLower(file.Path)] {
				t.Fatalf("the path %q: %v", file.Path, err)
			}
			seen[strings.ToLower(file.Path)] = true
		}
		if packed && m.Root != "" {
			t.Fatal("packed layers have a root")
		}
	})
}

func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"a/b", "..", "../a", "/a", `a\b`, "C:a", "a\x00", "a//b", "caf\u00e9", "\u202e", "", ".", "a/..", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if artifact.CheckPath(p) != nil {
			return
		}
		joined := path.Join("/model", p)
		if joined != "/model/"+p || !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl) || strings.Contains(p, `\`) || slices.Contains(strings.Split(p, "/"), "..") {
			t.Fatalf("%q is taken for a plain path", p)
		}
	})
}
