package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/verdict"
)

const (
	typeOCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	typeOCIIndex       = "application/vnd.oci.image.index.v1+json"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"

	// maxManifest is what the specification asks clients and registries to support.
	maxManifest = 4 << 20
	// maxManifestDepth: manifests nest five levels deep, custom fields a few more.
	maxManifestDepth = 32
	// maxDescriptors bounds the look-ups that one push causes. Images have at
	// most 127 layers; indexes that clients keep for signatures have hundreds.
	maxDescriptors = 4096
)

// descriptor is a reference to content (image-spec, descriptor.md).
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Size         int64             `json:"size"`
	Digest       verdict.Digest    `json:"digest"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`

	platform bool   // it names a platform, so a runtime may choose it
	whole    string // its JSON with sorted keys, for comparing
}

// manifest is what this registry understands of an image manifest or an index.
type manifest struct {
	mediaType    string
	artifactType string
	annotations  map[string]string
	config       *descriptor  // of image manifests
	layers       []descriptor // of image manifests
	manifests    []descriptor // of indexes
	subject      *descriptor
}

func (m *manifest) index() bool { return m.config == nil }

// references returns what must be in the repository before the manifest is.
func (m *manifest) references() []descriptor {
	if m.index() {
		return m.manifests
	}
	return append(slices.Clone(m.layers), *m.config)
}

// members returns the descriptors that clients append to.
func (m *manifest) members() []descriptor {
	if m.index() {
		return m.manifests
	}
	return m.layers
}

// describe returns how a list of referrers speaks of the manifest.
func (m *manifest) describe(d verdict.Digest, size int64) descriptor {
	out := descriptor{MediaType: m.mediaType, Size: size, Digest: d, ArtifactType: m.artifactType, Annotations: m.annotations}
	if out.ArtifactType == "" && !m.index() {
		out.ArtifactType = m.config.MediaType
	}
	return out
}

func isManifestType(mediaType string) bool {
	switch mediaType {
	case typeOCIManifest, typeOCIIndex, typeDockerManifest, typeDockerList:
		return true
	}
	return false
}

func invalid(format string, args ...any) *problem {
	return refuse(http.StatusBadRequest, codeManifestInvalid, format, args...)
}

// parseManifest reads a manifest whose type is a function of its bytes alone:
// clients that disagree about a document's type, or about which of two equal
// keys counts, would pull different images under one digest (CVE-2021-41190).
// contentType is what the client says; empty when it says nothing.
func parseManifest(body []byte, contentType string) (*manifest, error) {
	if err := bounded.CheckJSON(body, maxManifestDepth); err != nil {
		return nil, invalid("the manifest is not acceptable JSON: %v", err)
	}
	top, err := object(body, "manifest", "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations")
	if err != nil {
		return nil, err
	}
	if top["fsLayers"] != nil {
		return nil, invalid("Docker schema 1 is not accepted: push an OCI image manifest")
	}
	m := &manifest{}
	var version int
	for _, f := range []struct {
		name string
		to   any
	}{
		{"schemaVersion", &version},
		{"mediaType", &m.mediaType},
		{"artifactType", &m.artifactType},
		{"annotations", &m.annotations},
	} {
		if raw := top[f.name]; raw != nil && json.Unmarshal(raw, f.to) != nil {
			return nil, invalid("the manifest's %s has the wrong type", f.name)
		}
	}
	if version != 2 {
		return nil, invalid("schemaVersion must be 2")
	}
	if err := m.readContent(top); err != nil {
		return nil, err
	}
	return m, m.checkType(contentType)
}

func (m *manifest) readContent(top map[string]json.RawMessage) (err error) {
	image := top["config"] != nil || top["layers"] != nil
	if image == (top["manifests"] != nil) {
		return invalid("the manifest must have either config and layers, or manifests")
	}
	if m.subject, err = readDescriptor(top["subject"], "subject"); err != nil {
		return err
	}
	if !image {
		m.manifests, err = readDescriptors(top["manifests"], "manifests")
		return err
	}
	if m.layers, err = readDescriptors(top["layers"], "layers"); err != nil {
		return err
	}
	if m.config, err = readDescriptor(top["config"], "config"); err == nil && m.config == nil {
		err = invalid("the manifest has no config")
	}
	return err
}

// checkType settles the media type. Only OCI documents may leave it out.
func (m *manifest) checkType(contentType string) error {
	if m.mediaType == "" {
		m.mediaType = typeOCIManifest
		if m.index() {
			m.mediaType = typeOCIIndex
		}
	}
	if !isManifestType(m.mediaType) {
		return invalid("media type %.100q is not accepted: push an OCI or Docker schema 2 image manifest or index", m.mediaType)
	}
	if m.index() != (m.mediaType == typeOCIIndex || m.mediaType == typeDockerList) {
		return invalid("the manifest's fields are not those of its media type %s", m.mediaType)
	}
	said, _, _ := strings.Cut(contentType, ";")
	if said = strings.TrimSpace(said); said != "" && said != m.mediaType {
		return invalid("Content-Type is %.100q and the manifest is %s", said, m.mediaType)
	}
	return nil
}

// object reads a JSON object by its exact keys. encoding/json would take
// "Layers" for layers and most other parsers would not, so a key that differs
// from a known one in case only is refused.
func object(raw []byte, what string, known ...string) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || fields == nil {
		return nil, invalid("the %s is not a JSON object", what)
	}
	for key, value := range fields {
		for _, k := range known {
			if key != k && strings.EqualFold(key, k) {
				return nil, invalid("the %s has a key %.40q: write %q", what, key, k)
			}
		}
		if bytes.Equal(value, []byte("null")) {
			delete(fields, key)
		}
	}
	return fields, nil
}

func readDescriptors(raw json.RawMessage, what string) ([]descriptor, error) {
	var items []json.RawMessage
	if raw != nil && json.Unmarshal(raw, &items) != nil {
		return nil, invalid("%s is not a list", what)
	}
	if len(items) > maxDescriptors {
		return nil, invalid("%s has more than %d entries", what, maxDescriptors)
	}
	list := make([]descriptor, 0, len(items))
	for i, item := range items {
		d, err := readDescriptor(item, fmt.Sprintf("%s[%d]", what, i))
		if err != nil {
			return nil, err
		}
		list = append(list, *d)
	}
	return list, nil
}

// readDescriptor returns nil when there is none.
func readDescriptor(raw json.RawMessage, what string) (*descriptor, error) {
	if raw == nil {
		return nil, nil
	}
	fields, err := object(raw, what, "mediaType", "size", "digest", "artifactType", "annotations", "platform", "urls", "data")
	if err != nil {
		return nil, err
	}
	d := &descriptor{Size: -1, platform: fields["platform"] != nil}
	var digest string
	for _, f := range []struct {
		name string
		to   any
	}{
		{"mediaType", &d.MediaType},
		{"size", &d.Size},
		{"digest", &digest},
		{"artifactType", &d.ArtifactType},
		{"annotations", &d.Annotations},
	} {
		if v := fields[f.name]; v != nil && json.Unmarshal(v, f.to) != nil {
			return nil, invalid("%s.%s has the wrong type", what, f.name)
		}
	}
	if d.Digest, err = verdict.ParseDigest(digest); err != nil {
		return nil, invalid("%s.digest: %v", what, verdict.ErrDigest)
	}
	if d.MediaType == "" || d.Size < 0 {
		return nil, invalid("%s needs a mediaType and a size", what)
	}
	var any map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&any); err != nil {
		return nil, invalid("%s is not a JSON object", what)
	}
	whole, err := json.Marshal(any) // sorts the keys
	if err != nil {
		return nil, err
	}
	d.whole = string(whole)
	return d, nil
}

// keeps reports whether m has every member that old has, with the same
// annotations and at least as often. Signatures live in annotations and share
// digests, so equal digests are not enough.
func (m *manifest) keeps(old *manifest) bool {
	if m.mediaType != old.mediaType {
		return false
	}
	have := map[string]int{}
	for _, d := range m.members() {
		have[d.whole]++
	}
	for _, d := range old.members() {
		if have[d.whole]--; have[d.whole] < 0 {
			return false
		}
	}
	return true
}

// documents reports whether an image manifest holds nothing but signatures,
// attestations and SBOMs. It names what they are and not what can be run:
// there will be other things than layers, WebAssembly and models to run.
func (m *manifest) documents() bool {
	return !m.index() && !slices.ContainsFunc(m.layers, func(d descriptor) bool {
		t := d.MediaType
		return !strings.HasSuffix(t, "+json") && !strings.HasSuffix(t, "+xml") &&
			!strings.HasPrefix(t, "text/") && t != "application/json" && t != "application/cose"
	})
}
