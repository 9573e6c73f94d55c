package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/verdict"
)

// Media types of manifests (OCI image-spec v1.1, Docker image manifest v2 schema 2).
const (
	MediaTypeManifest       = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeIndex          = "application/vnd.oci.image.index.v1+json"
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"

	// MediaTypeEmpty is the configuration of an artifact that has none.
	MediaTypeEmpty        = "application/vnd.oci.empty.v1+json"
	MediaTypeConfig       = "application/vnd.oci.image.config.v1+json"
	MediaTypeDockerConfig = "application/vnd.docker.container.image.v1+json"

	// The layers of cosign's legacy tags.
	MediaTypeSimpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	MediaTypeDSSE          = "application/vnd.dsse.envelope.v1+json"
)

// Artifact types by which evidence is attached to an image. One that ends in
// "*" stands for all types that begin so.
const (
	ArtifactBundleV03 = "application/vnd.dev.sigstore.bundle.v0.3+json"
	ArtifactBundle    = "application/vnd.dev.sigstore.bundle*"
	ArtifactNotation  = "application/vnd.cncf.notary.signature"
	ArtifactSARIF     = "application/sarif+json"
	ArtifactSPDX      = "application/spdx+json"
	ArtifactCycloneDX = "application/vnd.cyclonedx+json"
)

// Descriptor names content (OCI image-spec, descriptor).
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       verdict.Digest    `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *platformJSON     `json:"platform,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

type platformJSON struct {
	OS           string   `json:"os"`
	Architecture string   `json:"architecture"`
	Variant      string   `json:"variant,omitempty"`
	OSVersion    string   `json:"os.version,omitempty"`
	OSFeatures   []string `json:"os.features,omitempty"`
}

// check refuses descriptors that cannot name content.
func (d *Descriptor) check() error {
	if _, err := verdict.ParseDigest(string(d.Digest)); err != nil {
		return err
	}
	if d.Size < 0 {
		return fmt.Errorf("%s has the size %d", d.Digest, d.Size)
	}
	return nil
}

// manifestJSON is an image manifest, or an artifact packed as one.
type manifestJSON struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType,omitempty"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        Descriptor        `json:"config"`
	Layers        []Descriptor      `json:"layers"`
	Subject       *Descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// kind returns what the artifact says it is: its artifactType or else, as
// artifacts before OCI 1.1 did it, its configuration's media type.
func (m *manifestJSON) kind() string {
	if m.ArtifactType != "" {
		return m.ArtifactType
	}
	return m.Config.MediaType
}

type indexJSON struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType,omitempty"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Manifests     []Descriptor      `json:"manifests"`
	Subject       *Descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

func isManifestType(t string) bool { return t == MediaTypeManifest || t == MediaTypeDockerManifest }
func isIndexType(t string) bool    { return t == MediaTypeIndex || t == MediaTypeDockerList }

// mediaType judges a manifest's Content-Type header.
func mediaType(header string) (string, error) {
	t, _, err := mime.ParseMediaType(header)
	switch {
	case err == nil && (isManifestType(t) || isIndexType(t)):
		return t, nil
	case strings.HasPrefix(t, "application/vnd.docker.distribution.manifest.v1"):
		return "", faultf(verdict.ImageMediaType, "it is a Docker schema 1 manifest, which cannot be verified; push it again with a current tool")
	case strings.HasPrefix(t, "application/vnd."):
		return "", faultf(verdict.ImageMediaType, "the media type %.100q is none of an image manifest or index", t)
	case header == "":
		return "", faultf(verdict.RegistryAnswer, "the answer has no Content-Type, so it is not a registry's manifest")
	}
	return "", faultf(verdict.RegistryAnswer, "the answer is %.60q and not a manifest; is a proxy or a login page in the way?", t)
}

// checkJSON refuses JSON that two readers could read differently or that would
// take too much memory. Labels and annotations are maps to every reader, and
// images with two labels that differ in case only exist.
func checkJSON(data []byte) error {
	return bounded.Rules{Depth: maxDepth, Values: maxValues, FreeMaps: []string{"Labels", "annotations"}}.Check(data)
}

// decode checks foreign JSON and unmarshals it. what names the document.
func decode(code verdict.Code, what string, raw []byte, v any) error {
	if err := check(code, what, raw); err != nil {
		return err
	}
	return unmarshal(code, what, raw, v)
}

// check is [checkJSON] with an error that names the document.
func check(code verdict.Code, what string, raw []byte) error {
	err := checkJSON(raw)
	if errors.Is(err, bounded.ErrTooMany) {
		return faultf(verdict.RegistryTooMany, "the %s: %w", what, err)
	}
	return notJSON(code, what, err)
}

// unmarshal is decode for what has been checked.
func unmarshal(code verdict.Code, what string, raw []byte, v any) error {
	return notJSON(code, what, json.Unmarshal(raw, v))
}

func notJSON(code verdict.Code, what string, err error) error {
	if err == nil {
		return nil
	}
	return faultf(code, "the %s is not JSON that can be trusted: %w", what, short(err))
}

// short keeps the decoder's words and drops long quotations of the document.
func short(err error) error {
	const most = 200
	if len(err.Error()) <= most {
		return err
	}
	for _, known := range []error{bounded.ErrTooDeep, bounded.ErrDuplicateKey} {
		if errors.Is(err, known) {
			return known
		}
	}
	return errors.New(err.Error()[:most] + "…")
}

// decodeManifest decodes an image manifest and checks its descriptors. raw has
// been through [Manifest.judge], so its keys, depth and number of values are
// judged already.
func decodeManifest(raw []byte) (*manifestJSON, error) {
	var m manifestJSON
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, faultf(verdict.RegistryAnswer, "the manifest cannot be read: %w", short(err))
	}
	if len(m.Layers) > maxLayers {
		return nil, faultf(verdict.RegistryTooMany, "the manifest has %d layers; the limit is %d", len(m.Layers), maxLayers)
	}
	if err := m.Config.check(); err != nil {
		return nil, faultf(verdict.RegistryAnswer, "the manifest's config: %w", err)
	}
	for i := range m.Layers {
		if err := m.Layers[i].check(); err != nil {
			return nil, faultf(verdict.RegistryAnswer, "the manifest's layer %d: %w", i, err)
		}
	}
	if m.Subject != nil {
		if err := m.Subject.check(); err != nil {
			return nil, faultf(verdict.RegistryAnswer, "the manifest's subject: %w", err)
		}
	}
	return &m, nil
}
