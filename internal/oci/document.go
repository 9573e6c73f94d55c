package oci

import (
	"errors"
	"fmt"

	"github.com/apexlogic/apex/verdict"
)

// MaxLayers is how many layers a manifest may have that [Manifest.Document] reads.
const MaxLayers = maxLayers

// Document is what an image manifest says, read for its layers: those of an
// artifact are files.
type Document struct {
	ArtifactType string // or, as artifacts before OCI 1.1 say it, the configuration's media type
	Config       Descriptor
	Layers       []Descriptor
	Annotations  map[string]string
}

// Document reads the manifest. An index is an error with the code
// model.media-type.refused; so are layers that are fetched from elsewhere.
func (m *Manifest) Document() (Document, error) {
	if m.IsIndex() {
		return Document{}, &Error{Code: verdict.ModelMediaType, Op: "read", Ref: string(m.Digest), Err: fmt.Errorf("it is an index; name the digest of one of its manifests")}
	}
	doc, err := decodeManifest(m.Raw)
	if err != nil {
		code := verdict.ModelManifest
		if f, ok := errors.AsType[*fault](err); ok {
			code = f.code
		}
		return Document{}, &Error{Code: code, Op: "read", Ref: string(m.Digest), Err: err}
	}
	for i := range doc.Layers {
		if len(doc.Layers[i].URLs) > 0 {
			return Document{}, &Error{Code: verdict.ModelMediaType, Op: "read", Ref: string(m.Digest), Err: fmt.Errorf("layer %d is fetched from a URL instead of the registry", i)}
		}
	}
	return Document{ArtifactType: doc.kind(), Config: doc.Config, Layers: doc.Layers, Annotations: doc.Annotations}, nil
}
