package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

func TestManifestIsRefusedWhenClientsCouldReadItInTwoWays(t *testing.T) {
	f := serve(t, Options{})
	whole := f.image(repo, "x")
	child := digestOf(whole)
	f.want(f.put(repo, string(child), whole, typeOCIManifest), 201, "")
	edit := func(change func(m map[string]any)) []byte {
		var m map[string]any
		if err := json.Unmarshal(whole, &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		return marshal(t, m)
	}
	index := func(extra map[string]any) []byte {
		m := map[string]any{"schemaVersion": 2, "mediaType": typeOCIIndex, "manifests": []any{desc(typeOCIManifest, whole)}}
		maps.Copy(m, extra)
		return marshal(t, m)
	}
	for _, c := range []struct {
		name        string
		body        []byte
		contentType string
		status      int
		code        string
	}{
		{"a whole image manifest", whole, typeOCIManifest, 201, ""},
		{"with parameters on its type", whole, typeOCIManifest + "; charset=utf-8", 201, ""},
		{"without a Content-Type", whole, "", 201, ""},
		{"an index", index(nil), typeOCIIndex, 201, ""},
		{"an index of nothing", index(map[string]any{"manifests": []any{}}), typeOCIIndex, 201, ""},
		{"an image without layers", edit(func(m map[string]any) { m["layers"] = []any{} }), typeOCIManifest, 201, ""},
		{"an OCI manifest that leaves out its type", edit(func(m map[string]any) { delete(m, "mediaType") }), typeOCIManifest, 201, ""},
		{"a Docker schema 2 manifest", edit(func(m map[string]any) { m["mediaType"] = typeDockerManifest }), typeDockerManifest, 201, ""},
		{"with fields that nobody knows", edit(func(m map[string]any) { m["x-note"] = "hello" }), typeOCIManifest, 201, ""},

		{"another type than the header's", edit(func(m map[string]any) { m["x-note"] = "other type" }), typeOCIIndex, 400, codeManifestInvalid},
		{"a Docker type in the header only", edit(func(m map[string]any) { delete(m, "mediaType"); m["x-note"] = "untyped" }), typeDockerManifest, 400, codeManifestInvalid},
		{"an index's type on an image", edit(func(m map[string]any) { m["mediaType"] = typeOCIIndex }), typeOCIIndex, 400, codeManifestInvalid},
		{"layers and manifests", index(map[string]any{"layers": []any{}}), typeOCIIndex, 400, codeManifestInvalid},
		{"neither of them", []byte(`{"schemaVersion":2,"mediaType":"` + typeOCIIndex + `"}`), typeOCIIndex, 400, codeManifestInvalid},
		{"Layers for layers", bytes.Replace(whole, []byte(`"layers"`), []byte(`"Layers"`), 1), typeOCIManifest, 400, codeManifestInvalid},
		{"Digest for digest in a layer", bytes.Replace(whole, []byte(`"digest"`), []byte(`"Digest"`), 2), typeOCIManifest, 400, codeManifestInvalid},
		{"a key twice", append([]byte(`{"layers":[],`), whole[1:]...), typeOCIManifest, 400, codeManifestInvalid},
		{"two documents", append(slices.Clone(whole), whole...), typeOCIManifest, 400, codeManifestInvalid},
		{"deep nesting", edit(func(m map[string]any) { m["x"] = nested(40) }), typeOCIManifest, 400, codeManifestInvalid},
		{"annotations that are not text", edit(func(m map[string]any) { m["annotations"] = map[string]any{"a": 1} }), typeOCIManifest, 400, codeManifestInvalid},
		{"schema version 1", []byte(`{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[],"signatures":[]}`), "application/vnd.docker.distribution.manifest.v1+prettyjws", 400, codeManifestInvalid},
		{"a type that is no manifest", edit(func(m map[string]any) { m["mediaType"] = "application/json" }), "application/json", 400, codeManifestInvalid},
		{"a layer without a size", edit(func(m map[string]any) {
			delete(m["layers"].([]any)[0].(map[string]any), "size")
		}), typeOCIManifest, 400, codeManifestInvalid},
		{"a layer with another size", edit(func(m map[string]any) {
			m["layers"].([]any)[0].(map[string]any)["size"] = 1
		}), typeOCIManifest, 400, codeManifestInvalid},
		{"a layer that was not pushed", edit(func(m map[string]any) {
			m["layers"] = append(m["layers"].([]any), desc(typeLayer, []byte("absent")))
		}), typeOCIManifest, 400, codeManifestBlobUnknown},
		{"a layer that is somewhere else on the web", edit(func(m map[string]any) {
			d := desc("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", []byte("absent"))
			d["urls"] = []string{"https://example.com/layer"}
			m["layers"] = []any{d}
		}), typeOCIManifest, 400, codeManifestBlobUnknown},
		{"an index of an image that was not pushed", index(map[string]any{"manifests": []any{desc(typeOCIManifest, []byte("absent"))}}), typeOCIIndex, 400, codeManifestBlobUnknown},
		{"an image whose config is absent", edit(func(m map[string]any) { delete(m, "config") }), typeOCIManifest, 400, codeManifestInvalid},
		{"not JSON", []byte("<html>"), typeOCIManifest, 400, codeManifestInvalid},
		{"a list", []byte("[]"), typeOCIManifest, 400, codeManifestInvalid},
		{"null", []byte("null"), typeOCIManifest, 400, codeManifestInvalid},
		{"nothing", nil, typeOCIManifest, 400, codeManifestInvalid},
		{"more than 4 MiB", bytes.Repeat([]byte(" "), maxManifest+1), typeOCIManifest, 413, codeSizeInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := *f
			g.t = t
			r := g.put(repo, string(digestOf(c.body)), c.body, c.contentType)
			g.want(r, c.status, c.code)
			get := g.do("GET", "/v2/"+repo+"/manifests/"+string(digestOf(c.body)), nil)
			if c.status != 201 {
				g.want(get, 404, codeManifestUnknown)
				return
			}
			want, _, _ := strings.Cut(c.contentType, ";")
			if want == "" {
				want = typeOCIManifest
			}
			if !bytes.Equal(get.body, c.body) || get.header.Get("Content-Type") != want {
				t.Errorf("pulled %s %v", get.header.Get("Content-Type"), get)
			}
		})
	}
	t.Run("exactly 4 MiB", func(t *testing.T) {
		g := *f
		g.t = t
		body := append(slices.Clone(whole), bytes.Repeat([]byte(" "), maxManifest-len(whole))...)
		g.want(g.put(repo, string(digestOf(body)), body, typeOCIManifest), 201, "")
	})
	t.Run("under another digest", func(t *testing.T) {
		g := *f
		g.t = t
		g.want(g.put(repo, string(digestOf([]byte("other"))), whole, typeOCIManifest), 400, codeDigestInvalid)
	})
}

func nested(depth int) any {
	if depth == 0 {
		return 1
	}
	return []any{nested(depth - 1)}
}

func TestManifestIsReadByHeadAndCondition(t *testing.T) {
	f := serve(t, Options{})
	d := f.putImage(repo, "v1", "x")
	byTag := f.want(f.do("HEAD", "/v2/"+repo+"/manifests/v1", nil), 200, "")
	byDigest := f.want(f.do("GET", "/v2/"+repo+"/manifests/"+string(d), nil, "Range", "bytes=0-1"), 200, "")
	if byTag.header.Get("Docker-Content-Digest") != string(d) || byTag.header.Get("Content-Length") != fmt.Sprint(len(byDigest.body)) {
		t.Errorf("HEAD %v", byTag.header)
	}
	f.want(f.do("GET", "/v2/"+repo+"/manifests/v1", nil, "If-None-Match", `"`+string(d)+`"`), 304, "")
	f.want(f.do("GET", "/v2/"+repo+"/blobs/"+string(d), nil), 404, codeBlobUnknown)
}

func TestADamagedManifestIsNeverServed(t *testing.T) {
	f := serve(t, Options{})
	d := f.putImage(repo, "v1", "x")
	damage(t, f, blobPath(d), []byte(`{"schemaVersion":2}`))
	f.want(f.do("GET", "/v2/"+repo+"/manifests/v1", nil), 500, codeUnknown)
	f.putImage(repo, "v1", "x") // pushing it again mends it
	f.want(f.do("GET", "/v2/"+repo+"/manifests/v1", nil), 200, "")
}

func damage(t *testing.T, f *fixture, name string, data []byte) {
	t.Helper()
	if err := f.reg.disk.root.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// artifact is a manifest that refers to subject.
func (f *fixture) artifact(repo string, subject verdict.Digest, artifactType, configType, note string) []byte {
	f.t.Helper()
	f.pushBlob(repo, []byte("{}"))
	m := map[string]any{
		"schemaVersion": 2, "mediaType": typeOCIManifest, "config": desc(configType, []byte("{}")), "layers": []any{},
		"subject":     map[string]any{"mediaType": typeOCIManifest, "digest": subject, "size": 1},
		"annotations": map[string]any{"note": note},
	}
	if artifactType != "" {
		m["artifactType"] = artifactType
	}
	return marshal(f.t, m)
}

type listed struct {
	MediaType string
	Manifests []descriptor
}

func (f *fixture) referrers(path string) (listed, reply) {
	f.t.Helper()
	r := f.want(f.do("GET", path, nil), 200, "")
	var l listed
	if err := json.Unmarshal(r.body, &l); err != nil {
		f.t.Fatal(err)
	}
	if l.MediaType != typeOCIIndex || r.header.Get("Content-Type") != typeOCIIndex {
		f.t.Errorf("type %q, header %q", l.MediaType, r.header.Get("Content-Type"))
	}
	return l, r
}

func TestReferrersAreListedWithTheirTypeAndAnnotations(t *testing.T) {
	f := serve(t, Options{})
	subject := digestOf([]byte("a subject that was never pushed"))
	path := "/v2/" + repo + "/referrers/" + string(subject)
	if l, _ := f.referrers(path); len(l.Manifests) != 0 {
		t.Fatalf("an unknown subject has referrers: %v", l)
	}
	typed := f.artifact(repo, subject, "application/vnd.example.sbom", "application/vnd.oci.empty.v1+json", "typed")
	old := f.artifact(repo, subject, "", "application/vnd.example.signature", "old")
	index := marshal(t, map[string]any{
		"schemaVersion": 2, "mediaType": typeOCIIndex, "manifests": []any{},
		"subject": map[string]any{"mediaType": typeOCIManifest, "digest": subject, "size": 1},
	})
	for _, m := range []struct {
		body      []byte
		mediaType string
	}{{typed, typeOCIManifest}, {old, typeOCIManifest}, {index, typeOCIIndex}, {typed, typeOCIManifest}} {
		r := f.want(f.put(repo, string(digestOf(m.body)), m.body, m.mediaType), 201, "")
		if r.header.Get("OCI-Subject") != string(subject) {
			t.Errorf("OCI-Subject %q", r.header.Get("OCI-Subject"))
		}
	}
	l, _ := f.referrers(path)
	types := map[verdict.Digest]string{}
	for _, d := range l.Manifests {
		types[d.Digest] = d.ArtifactType + " " + d.Annotations["note"]
	}
	want := map[verdict.Digest]string{
		digestOf(typed): "application/vnd.example.sbom typed",
		digestOf(old):   "application/vnd.example.signature old",
		digestOf(index): " ",
	}
	if !maps.Equal(types, want) {
		t.Errorf("got %v\nwant %v", types, want)
	}
	l, r := f.referrers(path + "?artifactType=application/vnd.example.signature")
	if len(l.Manifests) != 1 || l.Manifests[0].Digest != digestOf(old) || r.header.Get("OCI-Filters-Applied") != "artifactType" {
		t.Errorf("filtered: %v %v", l, r.header)
	}
	if l, _ := f.referrers("/v2/other/repo/referrers/" + string(subject)); len(l.Manifests) != 0 {
		t.Error("another repository's referrers were listed")
	}
	f.want(f.do("DELETE", "/v2/"+repo+"/manifests/"+string(digestOf(old)), nil), 202, "")
	if l, _ := f.referrers(path); len(l.Manifests) != 2 {
		t.Errorf("%d referrers after one was deleted", len(l.Manifests))
	}
	f.want(f.do("GET", "/v2/"+repo+"/referrers/sha256:short", nil), 400, codeDigestInvalid)
}

func TestManyReferrersComeInPages(t *testing.T) {
	f := serve(t, Options{Limits: Limits{Referrers: 5}})
	subject := digestOf([]byte("subject"))
	want := map[verdict.Digest]bool{}
	big := strings.Repeat("n", 900<<10) // five of them are more than one answer holds
	for i := range 5 {
		m := f.artifact(repo, subject, "application/vnd.example", "application/vnd.oci.empty.v1+json", fmt.Sprint(i, big))
		f.want(f.put(repo, string(digestOf(m)), m, typeOCIManifest), 201, "")
		want[digestOf(m)] = true
	}
	next, pages := "/v2/"+repo+"/referrers/"+string(subject)+"?artifactType=application/vnd.example", 0
	for next != "" {
		l, r := f.referrers(next)
		if len(r.body) > 4<<20 {
			t.Errorf("a page of %d bytes", len(r.body))
		}
		for _, d := range l.Manifests {
			if !want[d.Digest] {
				t.Errorf("%s came twice or was not pushed", d.Digest)
			}
			delete(want, d.Digest)
		}
		next, _, _ = strings.Cut(strings.TrimPrefix(r.header.Get("Link"), "<"), ">")
		if pages++; pages > 5 {
			t.Fatal("the links go round in a circle")
		}
	}
	if len(want) != 0 || pages < 2 {
		t.Errorf("%d missing after %d pages", len(want), pages)
	}
	one := f.artifact(repo, subject, "application/vnd.example", "application/vnd.oci.empty.v1+json", "one too many")
	f.want(f.put(repo, string(digestOf(one)), one, typeOCIManifest), 403, codeDenied)
	other := f.artifact(repo, digestOf([]byte("other")), "application/vnd.example", "application/vnd.oci.empty.v1+json", "fits")
	f.want(f.put(repo, string(digestOf(other)), other, typeOCIManifest), 201, "")
}

func FuzzParseManifest(f *testing.F) {
	d := string(digestOf([]byte("x")))
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"`+typeOCIManifest+`","config":{"mediaType":"a","size":1,"digest":"`+d+`"},"layers":[{"mediaType":"b","size":1,"digest":"`+d+`","annotations":{"k":"v"}}],"subject":{"mediaType":"c","size":0,"digest":"`+d+`"}}`), typeOCIManifest)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"a","size":1,"digest":"`+d+`","platform":{"os":"linux"}}]}`), "")
	f.Add([]byte(`{"schemaVersion":1,"fsLayers":[]}`), "application/json")
	f.Add([]byte(`{"schemaVersion":2,"layers":[],"manifests":[]}`), typeOCIIndex)
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		m, err := parseManifest(body, contentType)
		if err != nil {
			return
		}
		if !isManifestType(m.mediaType) || m.index() == (m.mediaType == typeOCIManifest || m.mediaType == typeDockerManifest) {
			t.Errorf("accepted as %q", m.mediaType)
		}
		if !m.keeps(m) {
			t.Error("a manifest does not keep its own members")
		}
		for _, ref := range m.references() {
			if _, err := verdict.ParseDigest(string(ref.Digest)); err != nil || ref.Size < 0 {
				t.Errorf("accepted reference %+v", ref)
			}
		}
	})
}
