package oci_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/verdict"
)

type object = map[string]any

// edited returns the JSON document with a change applied.
func edited(t *testing.T, raw []byte, change func(object)) []byte {
	t.Helper()
	var doc object
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	change(doc)
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestImagesThatDoNotFitTogetherAreRefused(t *testing.T) {
	img := ocitest.RawImage(t, "linux/amd64", "base", "app")
	nothing := func(object) {}
	layer := func(m object, i int) object { return m["layers"].([]any)[i].(object) }
	for _, tc := range []struct {
		name     string
		manifest func(object)
		config   func(object)
		code     verdict.Code
	}{
		{"the image as it was built", nothing, nothing, verdict.OK},
		{"a layer fewer than diffIDs", func(m object) { m["layers"] = m["layers"].([]any)[:1] }, nothing, verdict.ImageConfigInvalid},
		{"a diffID fewer than layers", nothing, func(c object) { c["rootfs"].(object)["diff_ids"] = []any{} }, verdict.ImageConfigInvalid},
		{"a diffID that is no digest", nothing, func(c object) { c["rootfs"].(object)["diff_ids"].([]any)[0] = "sha256:x" }, verdict.ImageConfigInvalid},
		{"a rootfs of another type", nothing, func(c object) { c["rootfs"].(object)["type"] = "squashfs" }, verdict.ImageConfigInvalid},
		{"no operating system", nothing, func(c object) { delete(c, "os") }, verdict.ImageConfigInvalid},
		{"no architecture", nothing, func(c object) { c["architecture"] = "" }, verdict.ImageConfigInvalid},
		{"an architecture with a newline", nothing, func(c object) { c["architecture"] = "amd64\nx" }, verdict.ImageConfigInvalid},
		{"environment that is no list", nothing, func(c object) { c["config"].(object)["Env"] = "PATH=/" }, verdict.ImageConfigInvalid},
		{"a layer with a URL", func(m object) { layer(m, 0)["urls"] = []string{"https://example.com/layer"} }, nothing, verdict.ImageForeignLayer},
		{"a Docker foreign layer", func(m object) { layer(m, 1)["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" }, nothing, verdict.ImageForeignLayer},
		{"an OCI non-distributable layer", func(m object) { layer(m, 1)["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar" }, nothing, verdict.ImageForeignLayer},
		{"a layer of negative size", func(m object) { layer(m, 0)["size"] = -1 }, nothing, verdict.RegistryAnswer},
		{"layers that overflow when they are added", func(m object) {
			layer(m, 0)["size"] = int64(math.MaxInt64)
			layer(m, 1)["size"] = int64(math.MaxInt64)
		}, nothing, verdict.RegistryAnswer},
		{"a layer without a digest", func(m object) { delete(layer(m, 0), "digest") }, nothing, verdict.RegistryAnswer},
		{"a layer with a weak digest", func(m object) { layer(m, 0)["digest"] = "md5:d41d8cd98f00b204e9800998ecf8427e" }, nothing, verdict.RegistryAnswer},
		{"a configuration that is none of an image", func(m object) { m["config"].(object)["mediaType"] = "application/vnd.cncf.helm.config.v1+json" }, nothing, verdict.ImageConfigInvalid},
		{"a configuration larger than allowed", func(m object) { m["config"].(object)["size"] = 9 << 20 }, nothing, verdict.RegistryTooLarge},
		{"1,001 layers", func(m object) {
			l := layer(m, 0)
			many := make([]any, 1001)
			for i := range many {
				many[i] = l
			}
			m["layers"] = many
		}, nothing, verdict.RegistryTooMany},
	} {
		t.Run(tc.name, func(t *testing.T) {
			config := edited(t, img.Config, tc.config)
			manifest := edited(t, img.Manifest, func(m object) {
				m["config"].(object)["digest"] = ocitest.Digest(config)
				m["config"].(object)["size"] = len(config)
				tc.manifest(m)
			})
			srv := ocitest.Hostile(t, ocitest.Routes{
				getManifests + ocitest.Digest(manifest): ocitest.Answer(oci.MediaTypeManifest, manifest),
				getBlobs + ocitest.Digest(config):       ocitest.Answer("application/json", config),
			})
			wantCode(t, image(ocitest.Digest(manifest))(t.Context(), newClient(t, srv), srv), tc.code)
		})
	}
}

func TestAManifestAloneSaysWhetherItIsASoundImage(t *testing.T) {
	img := ocitest.RawImage(t, "linux/amd64", "base", "app")
	layer := func(m object) object { return m["layers"].([]any)[1].(object) }
	index := fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":1}]}`, oci.MediaTypeManifest, img.Digest)
	for _, tc := range []struct {
		name string
		m    oci.Manifest
		code verdict.Code
	}{
		{"an image", oci.Manifest{Raw: img.Manifest}, verdict.OK},
		{"a Docker image", oci.Manifest{Raw: edited(t, img.Manifest, func(m object) { m["config"].(object)["mediaType"] = oci.MediaTypeDockerConfig })}, verdict.OK},
		{"an image without layers", oci.Manifest{Raw: edited(t, img.Manifest, func(m object) { m["layers"] = []any{} })}, verdict.OK},
		{"a layer with a URL", oci.Manifest{Raw: edited(t, img.Manifest, func(m object) { layer(m)["urls"] = []string{"https://example.com/l"} })}, verdict.ImageForeignLayer},
		{"a foreign layer", oci.Manifest{Raw: edited(t, img.Manifest, func(m object) { layer(m)["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" })}, verdict.ImageForeignLayer},
		{"an artifact", oci.Manifest{Raw: edited(t, img.Manifest, func(m object) { m["config"].(object)["mediaType"] = oci.MediaTypeEmpty })}, verdict.ImageConfigInvalid},
		{"a layer of negative size", oci.Manifest{Raw: edited(t, img.Manifest, func(m object) { layer(m)["size"] = -1 })}, verdict.RegistryAnswer},
		{"an index", oci.Manifest{Descriptor: oci.Descriptor{MediaType: oci.MediaTypeIndex}, Raw: index}, verdict.ImageMediaType},
		{"nothing", oci.Manifest{}, verdict.RegistryAnswer},
	} {
		t.Run(tc.name, func(t *testing.T) { wantCode(t, oci.CheckImage(&tc.m), tc.code) })
	}
}

func entry(os, arch, variant string, change ...func(object)) object {
	e := object{
		"mediaType": oci.MediaTypeManifest, "size": 7,
		"digest":   ocitest.Digest(fmt.Append(nil, os, arch, variant)),
		"platform": object{"os": os, "architecture": arch, "variant": variant},
	}
	for _, c := range change {
		c(e)
	}
	return e
}

func set(key string, value any) func(object) { return func(o object) { o[key] = value } }

func TestIndexesThatCouldMeanTwoThingsAreRefused(t *testing.T) {
	attestation := func(o object) {
		o["annotations"] = object{
			"vnd.docker.reference.type":   "attestation-manifest",
			"vnd.docker.reference.digest": ocitest.Digest([]byte("linuxamd64")),
		}
	}
	osVersion := func(v string) func(object) {
		return func(o object) {
			o["platform"].(object)["os.version"] = v
			o["digest"] = ocitest.Digest([]byte(v))
		}
	}
	many := func(n int) (list []any) {
		for i := range n {
			list = append(list, entry("linux", fmt.Sprint("a", i), ""))
		}
		return list
	}
	for _, tc := range []struct {
		name    string
		entries []any
		code    verdict.Code
		want    string
	}{
		{"two platforms", []any{entry("linux", "amd64", ""), entry("linux", "arm64", "")}, verdict.OK, "linux/amd64 linux/arm64"},
		{"spellings are folded", []any{entry("Linux", "x86_64", ""), entry("linux", "aarch64", "v8"), entry("linux", "arm", "")}, verdict.OK, "linux/amd64 linux/arm64 linux/arm/v7"},
		{"one platform twice", []any{entry("linux", "amd64", ""), entry("linux", "amd64", "", set("digest", ocitest.Digest([]byte("x"))))}, verdict.ImageMediaType, ""},
		{"one platform in two spellings", []any{entry("linux", "arm64", ""), entry("linux", "arm64", "v8")}, verdict.ImageMediaType, ""},
		{"variants are platforms of their own", []any{entry("linux", "arm", "v6"), entry("linux", "arm", "v7")}, verdict.OK, "linux/arm/v6 linux/arm/v7"},
		{"Windows builds differ by version", []any{entry("windows", "amd64", "", osVersion("10.0.1")), entry("windows", "amd64", "", osVersion("10.0.2"))}, verdict.OK, "windows/amd64 windows/amd64"},
		{"one Windows build twice", []any{entry("windows", "amd64", "", osVersion("10.0.1")), entry("windows", "amd64", "", osVersion("10.0.1"))}, verdict.ImageMediaType, ""},
		{"an attestation beside its image", []any{entry("linux", "amd64", ""), entry("unknown", "unknown", "", attestation)}, verdict.OK, "linux/amd64 (unknown/unknown)"},
		{"several attestations", []any{entry("linux", "amd64", ""), entry("unknown", "unknown", "", attestation), entry("unknown", "unknown", "", attestation, set("digest", ocitest.Digest(nil)))}, verdict.OK, "linux/amd64 (unknown/unknown) (unknown/unknown)"},
		{"an image that calls itself an attestation is an image", []any{entry("linux", "amd64", "", attestation)}, verdict.OK, "linux/amd64"},
		{"an attestation about nothing", []any{entry("linux", "amd64", ""), entry("unknown", "unknown", "", set("annotations", object{"vnd.docker.reference.type": "attestation-manifest"}))}, verdict.RegistryAnswer, ""},
		{"one manifest as image and as attestation", []any{entry("linux", "amd64", ""), entry("unknown", "unknown", "", attestation, set("digest", ocitest.Digest([]byte("linuxamd64"))))}, verdict.ImageMediaType, ""},
		{"only attestations", []any{entry("unknown", "unknown", "", attestation)}, verdict.ImageIndexEmpty, ""},
		{"nothing", []any{}, verdict.ImageIndexEmpty, ""},
		{"an index within", []any{entry("linux", "amd64", ""), entry("linux", "arm64", "", set("mediaType", oci.MediaTypeIndex))}, verdict.ImageIndexNested, ""},
		{"a Docker list within", []any{entry("linux", "amd64", "", set("mediaType", oci.MediaTypeDockerList))}, verdict.ImageIndexNested, ""},
		{"a chart within", []any{entry("linux", "amd64", "", set("mediaType", "application/vnd.cncf.helm.chart"))}, verdict.ImageMediaType, ""},
		{"an entry without a media type", []any{entry("linux", "amd64", "", set("mediaType", ""))}, verdict.ImageMediaType, ""},
		{"an entry from elsewhere", []any{entry("linux", "amd64", "", set("urls", []string{"https://example.com"}))}, verdict.ImageForeignLayer, ""},
		{"an entry without a digest", []any{entry("linux", "amd64", "", set("digest", ""))}, verdict.RegistryAnswer, ""},
		{"an entry of negative size", []any{entry("linux", "amd64", "", set("size", -1))}, verdict.RegistryAnswer, ""},
		{"one entry that does not say its platform", []any{entry("linux", "amd64", "", set("platform", nil))}, verdict.OK, ""},
		{"two entries that do not say their platform", []any{entry("linux", "amd64", "", set("platform", nil)), entry("linux", "arm64", "", set("platform", nil))}, verdict.ImageMediaType, ""},
		{"half a platform", []any{entry("linux", "", "")}, verdict.RegistryAnswer, ""},
		{"512 entries", many(512), verdict.OK, strings.TrimSpace(platformsOf(512))},
		{"513 entries", many(513), verdict.RegistryTooMany, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			raw, err := json.Marshal(object{"schemaVersion": 2, "mediaType": oci.MediaTypeIndex, "manifests": tc.entries})
			if err != nil {
				t.Fatal(err)
			}
			list, err := oci.ParseIndex(raw)
			wantCode(t, err, tc.code)
			var got []string
			for _, p := range list {
				if p.Attestation {
					got = append(got, "("+p.Platform+")")
					if p.About != verdict.Digest(ocitest.Digest([]byte("linuxamd64"))) {
						t.Errorf("the attestation is about %s", p.About)
					}
					continue
				}
				got = append(got, p.Platform)
			}
			if text := strings.Join(got, " "); text != tc.want {
				t.Errorf("got %q, want %q", text, tc.want)
			}
		})
	}
}

func platformsOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "linux/a%d ", i)
	}
	return b.String()
}

func TestWhatIsNoIndexIsRefused(t *testing.T) {
	img := ocitest.RawImage(t, "linux/amd64", "app")
	one := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1,"platform":{"os":"linux","architecture":"amd64"}}`, oci.MediaTypeManifest, img.Digest)
	for _, tc := range []struct {
		name, raw string
		code      verdict.Code
	}{
		{"an index", `{"schemaVersion":2,"manifests":[` + one + `]}`, verdict.OK},
		{"a Docker list", `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeDockerList + `","manifests":[` + one + `]}`, verdict.OK},
		{"an image", string(img.Manifest), verdict.ImageMediaType},
		{"both at once", `{"schemaVersion":2,"manifests":[` + one + `],"config":{}}`, verdict.ImageMediaType},
		{"schema 1", `{"schemaVersion":1,"manifests":[` + one + `]}`, verdict.ImageMediaType},
		{"no JSON", `manifests`, verdict.RegistryAnswer},
		{"nothing", ``, verdict.RegistryAnswer},
		{"a list", `[]`, verdict.RegistryAnswer},
		{"the entries twice", `{"schemaVersion":2,"manifests":[` + one + `],"Manifests":[]}`, verdict.RegistryAnswer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := oci.ParseIndex([]byte(tc.raw))
			wantCode(t, err, tc.code)
		})
	}
}
