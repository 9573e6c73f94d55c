package fact

import (
	"time"

	"github.com/apexlogic/apex/verdict"
)

// Image is what one platform's manifest and configuration say. Both were
// fetched by digest and their bytes were hashed.
type Image struct {
	MediaType string         `json:"mediaType"`
	Config    verdict.Digest `json:"config"`
	Platform  string         `json:"platform"` // "os/arch[/variant]" as the configuration says
	// Created is the configuration's own claim; nobody vouches for it.
	Created time.Time `json:"created,omitzero"`
	// DiffIDs are the digests of the uncompressed layers, lowest first.
	DiffIDs []verdict.Digest `json:"diffIDs"`
	// Layers are the digests of the layers as they are stored, lowest first.
	Layers []verdict.Digest  `json:"layers"`
	Size   int64             `json:"size"` // bytes of all layers as they are stored
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations of the manifest. They are claims: they prove nothing.
	Annotations map[string]string `json:"annotations,omitempty"`
	User        string            `json:"user,omitempty"`
	Env         []string          `json:"env,omitempty"`
}

// The annotations by which an image names its base (OCI image-spec, annotations).
const (
	AnnotationBaseName   = "org.opencontainers.image.base.name"
	AnnotationBaseDigest = "org.opencontainers.image.base.digest"
)
