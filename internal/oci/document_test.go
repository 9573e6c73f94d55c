package oci_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/verdict"
)

// TestADocumentIsOneManifestWhoseLayersAreInTheRegistry reads hostile manifests
// as they come from a registry, and the honest one that each was made from.
func TestADocumentIsOneManifestWhoseLayersAreInTheRegistry(t *testing.T) {
	digest := ocitest.Digest([]byte("{}"))
	layer := `{"mediaType":"application/vnd.cncf.model.weight.v1.raw","digest":"` + digest + `","size":2,"annotations":{"org.cncf.model.filepath":"a"}}`
	manifest := func(artifactType, layers, more string) string {
		return `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeManifest + `",` + artifactType + `"config":{"mediaType":"application/vnd.cncf.model.config.v1+json","digest":"` + digest + `","size":2},"layers":[` + layers + `]` + more + `}`
	}
	good := manifest(`"artifactType":"application/vnd.cncf.model.manifest.v1+json",`, layer, "")
	read := func(t *testing.T, mediaType, raw string) (oci.Document, error) {
		t.Helper()
		srv := ocitest.Hostile(t, ocitest.Routes{getTag: ocitest.Answer(mediaType, []byte(raw))})
		m, err := newClient(t, srv).Resolve(t.Context(), parse(t, srv.Repo("app:1")))
		if err != nil {
			return oci.Document{}, err
		}
		return m.Document()
	}
	doc, err := read(t, oci.MediaTypeManifest, good)
	if err != nil || doc.ArtifactType != "application/vnd.cncf.model.manifest.v1+json" || len(doc.Layers) != 1 || doc.Layers[0].Annotations["org.cncf.model.filepath"] != "a" {
		t.Fatalf("%+v, %v", doc, err)
	}
	if doc, err := read(t, oci.MediaTypeManifest, manifest("", layer, "")); err != nil || doc.ArtifactType != "application/vnd.cncf.model.config.v1+json" {
		t.Errorf("an artifact from before OCI 1.1: %q, %v", doc.ArtifactType, err)
	}
	if _, err := read(t, oci.MediaTypeManifest, manifest("", strings.Repeat(layer+",", oci.MaxLayers-1)+layer, "")); err != nil {
		t.Errorf("%d layers: %v", oci.MaxLayers, err)
	}
	for _, tc := range []struct {
		name, mediaType, raw string
		code                 verdict.Code
	}{
		{"an index", oci.MediaTypeIndex, `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeIndex + `","manifests":[]}`, verdict.ModelMediaType},
		{"a layer that is fetched from elsewhere", oci.MediaTypeManifest, strings.Replace(good, `"size":2,"annotations"`, `"size":2,"urls":["https://evil.example/x"],"annotations"`, 1), verdict.ModelMediaType},
		{"more layers than are read", oci.MediaTypeManifest, manifest("", strings.Repeat(layer+",", oci.MaxLayers)+layer, ""), verdict.RegistryTooMany},
		{"a layer of a negative size", oci.MediaTypeManifest, strings.Replace(good, `"size":2,"annotations"`, `"size":-2,"annotations"`, 1), verdict.RegistryAnswer},
		{"a layer without a digest", oci.MediaTypeManifest, manifest("", `{"mediaType":"x","size":1}`, ""), verdict.RegistryAnswer},
		{"a layer by a digest that is not read", oci.MediaTypeManifest, manifest("", fmt.Sprintf(`{"digest":"sha512:%s","size":1}`, strings.Repeat("0", 128)), ""), verdict.RegistryAnswer},
		{"layers twice", oci.MediaTypeManifest, manifest("", layer, `,"layers":[]`), verdict.RegistryAnswer},
		{"layers twice but for their case", oci.MediaTypeManifest, manifest("", layer, `,"Layers":[]`), verdict.RegistryAnswer},
		{"a path twice", oci.MediaTypeManifest, strings.Replace(good, `"org.cncf.model.filepath":"a"`, `"org.cncf.model.filepath":"a","org.cncf.model.filepath":"b"`, 1), verdict.RegistryAnswer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := read(t, tc.mediaType, tc.raw)
			wantCode(t, err, tc.code)
		})
	}
}
