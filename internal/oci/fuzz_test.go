package oci

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzChallenge(f *testing.F) {
	for _, s := range []string{
		`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull"`,
		`Basic realm="Registry Realm"`, `Basic`, `Negotiate, Basic realm=x`, `Bearer realm=https://ghcr.io/token,service=ghcr.io`,
		`bearer REALM="a\"b" , service = "s"`, `Bearer realm="x",realm="y"`, `Bearer realm="unterminated`, `Bearer error="insufficient_scope"`,
		`,,Basic realm="r", Bearer realm="https://h/t"`, `=`, `Bearer =x`,
		"Basic service=\x00",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseChallenges(text)
		if err != nil {
			return
		}
		for _, ch := range all {
			if ch.scheme == "" || ch.scheme != strings.ToLower(ch.scheme) {
				t.Fatalf("scheme %q", ch.scheme)
			}
			if strings.ContainsAny(ch.realm+ch.service, "\r\n\x00") {
				t.Fatalf("control characters in %+v", ch)
			}
		}
		ch, err := pickChallenge([]string{text})
		if err == nil && ch.scheme != "bearer" && ch.scheme != "basic" {
			t.Fatalf("picked %+v", ch)
		}
	})
}

func FuzzLink(f *testing.F) {
	for _, s := range []string{
		`</v2/app/referrers/sha256:x?n=5&last=a>; rel="next"`, `<a>; rel=next, <b>; rel="prev"`, `<a>;rel="prev next"`,
		`<a>`, `<a>; title="x, y; z"; rel=next`, `<a;b,c>; rel=next`, `<a>; rel=next, <b>; rel=next`, `<`, `<>; rel=next`, `<a>;;rel=next`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		next, err := nextLink([]string{text})
		if err != nil && next != "" {
			t.Fatal("both a link and an error")
		}
		if next != "" && !strings.Contains(text, "<"+next+">") {
			t.Fatalf("%q is not in the header", next)
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add(MediaTypeManifest, []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}`))
	f.Add(MediaTypeDockerManifest, []byte(`{"schemaVersion":2,"config":{},"layers":[{"size":-1}]}`))
	f.Add(MediaTypeIndex, []byte(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":5,"platform":{"os":"linux","architecture":"amd64"}}]}`))
	f.Add("text/html; charset=utf-8", []byte(`<html>`))
	f.Fuzz(func(t *testing.T, header string, raw []byte) {
		kind, err := mediaType(header)
		if err != nil {
			return
		}
		m := Manifest{Descriptor: Descriptor{MediaType: kind, Digest: digestOf(raw), Size: int64(len(raw))}, Raw: raw}
		if m.judge() != nil {
			return
		}
		if m.IsIndex() {
			var l listing
			if unmarshal("", "listing", raw, &l) == nil {
				_, _ = l.entries(10)
			}
			return
		}
		doc, err := imageManifest(&m)
		if err != nil {
			return
		}
		for _, l := range doc.Layers {
			if l.Size < 0 || l.check() != nil || len(l.URLs) > 0 {
				t.Fatalf("accepted the layer %+v", l)
			}
		}
	})
}

// FuzzShape holds shapeOf to what encoding/json puts into fields.
func FuzzShape(f *testing.F) {
	for _, seed := range []string{
		`{"config":null,"layers":[],"manifests":{"config":1}}`, `{"Config":1,"LAYERS":2,"FSlayers":null}`, `{"con\u0066ig":1}`, `{"x":"config","layer\u017f":0}`,
		`{"a":[{"config":1},"layers"],"b":{"manifests":[]}}`, `{"a":"\\","config":"\\\""}`, `{"config\"":1}`, `{"":1}`, `[{"config":1}]`, `"config"`, `null`, ` { "manifests" : 1 , "y":[1,2,"config"] } `, `{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if checkJSON(raw) != nil {
			return
		}
		var fields struct {
			Config    json.RawMessage `json:"config"`
			Layers    json.RawMessage `json:"layers"`
			FSLayers  json.RawMessage `json:"fsLayers"`
			Manifests json.RawMessage `json:"manifests"`
		}
		_ = json.Unmarshal(raw, &fields) // what is no object has no fields
		want := shape{fields.Config != nil, fields.Layers != nil, fields.FSLayers != nil, fields.Manifests != nil}
		if got := shapeOf(raw); got != want {
			t.Fatalf("%q: %+v, want %+v", raw, got, want)
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":5,"platform":{"os":"linux","architecture":"arm64","variant":"v8"}}]}`))
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":5,"platform":{"os":"unknown","architecture":"unknown"},"annotations":{"vnd.docker.reference.type":"attestation-manifest"}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := ParseIndex(raw)
		if err != nil {
			if CodeOf(err) == "" || list != nil {
				t.Fatalf("an error without a code, or with entries: %v", err)
			}
			return
		}
		images, seen := 0, map[string]bool{}
		for _, p := range list {
			if p.Attestation {
				continue
			}
			images++
			if p.Platform != "" && strings.Count(p.Platform, "/") > 2 || !utf8.ValidString(p.Platform) {
				t.Fatalf("platform %q", p.Platform)
			}
			if p.OSVersion == "" && !strings.Contains(string(raw), "os.features") {
				if seen[p.Platform] {
					t.Fatalf("the platform %q twice", p.Platform)
				}
				seen[p.Platform] = true
			}
		}
		if images == 0 {
			t.Fatal("an index without images is accepted")
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"os":"linux","architecture":"amd64","created":"2026-11-23T00:00:00Z","config":{"User":"0","Env":["A=b"],"Labels":{"k":"v"}},"rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}`))
	f.Add([]byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := &manifestJSON{Layers: []Descriptor{{Digest: digestOf(nil)}}}
		img, err := imageFact(MediaTypeManifest, m, raw)
		if err == nil && (len(img.DiffIDs) != 1 || img.Platform == "") {
			t.Fatalf("accepted %+v", img)
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add([]byte(`{"token":"abc","expires_in":300}`))
	f.Add([]byte(`{"access_token":"abc","expires_in":-1e308}`))
	f.Add([]byte(`{"token":"a b"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var zero token
		got, err := parseToken(raw, zero.until)
		if err != nil {
			return
		}
		if life := got.until.Sub(zero.until); life <= 0 || life > tokenMaxLife {
			t.Fatalf("the token lives %s", life)
		}
		if strings.ContainsAny(got.header[len("Bearer "):], " \r\n") {
			t.Fatalf("header %q", got.header)
		}
	})
}
