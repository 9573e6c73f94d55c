package ocitest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image makes a small OCI image for "os/arch[/variant]" whose layers hold the
// given texts. Equal arguments make equal digests.
func Image(t testing.TB, platform string, layers ...string) v1.Image {
	t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, text := range layers {
		var err error
		if img, err = mutate.AppendLayers(img, static.NewLayer([]byte(text), types.OCIUncompressedLayer)); err != nil {
			t.Fatal(err)
		}
	}
	conf, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	conf = conf.DeepCopy()
	parts := append(strings.Split(platform, "/"), "", "")
	conf.OS, conf.Architecture, conf.Variant = parts[0], parts[1], parts[2]
	conf.Config.User = "65532"
	conf.Config.Env = []string{"PATH=/bin"}
	conf.Config.Labels = map[string]string{"team": "vision"}
	if img, err = mutate.ConfigFile(img, conf); err != nil {
		t.Fatal(err)
	}
	return img
}

// Index makes an OCI index with one [Image] for each platform.
func Index(t testing.TB, platforms ...string) v1.ImageIndex {
	t.Helper()
	idx := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		parts := append(strings.Split(p, "/"), "", "")
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{
			Add: Image(t, p, "layer for "+p),
			Descriptor: v1.Descriptor{
				MediaType: types.OCIManifestSchema1,
				Platform:  &v1.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]},
			},
		})
	}
	return idx
}

// Raw is an image as bytes, for hand-written registries.
type Raw struct {
	Manifest, Config []byte
	Digest           string // of Manifest
	ConfigDigest     string
}

// RawImage returns [Image] as bytes.
func RawImage(t testing.TB, platform string, layers ...string) Raw {
	t.Helper()
	img := Image(t, platform, layers...)
	manifest, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return Raw{manifest, config, Digest(manifest), Digest(config)}
}

// Referrer returns an artifact manifest about subject with one blob.
func Referrer(t testing.TB, artifactType, subject string, blob []byte) []byte {
	t.Helper()
	type m = map[string]any
	raw, err := json.Marshal(m{
		"schemaVersion": 2,
		"mediaType":     "application/vnd.oci.image.manifest.v1+json",
		"artifactType":  artifactType,
		"config":        m{"mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest([]byte("{}")), "size": 2},
		"layers":        []m{{"mediaType": artifactType, "digest": Digest(blob), "size": len(blob)}},
		"subject":       m{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": subject, "size": 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Entry is one line of a listing of referrers.
type Entry struct {
	Manifest []byte // what the entry points to
	Type     string // the artifactType that the listing claims
}

// Listing returns an index of referrers.
func Listing(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var list []string
	for _, e := range entries {
		list = append(list, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":%d,"artifactType":%q}`,
			Digest(e.Manifest), len(e.Manifest), e.Type))
	}
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}`, strings.Join(list, ","))
}
