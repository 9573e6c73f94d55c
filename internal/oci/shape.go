package oci

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// head is what every manifest and index says of itself.
type head struct {
	SchemaVersion int    `json:"schemaVersion"`
	MediaType     string `json:"mediaType"`
}

// shape is what tells a manifest from an index: which of these keys are there,
// be it with null. A document that is both would be read as one by us and as
// the other by somebody else (CVE-2021-41190).
type shape struct {
	config, layers, fsLayers, manifests bool
}

// shapeOf reads the keys of a document that [checkJSON] has accepted. Keys are
// compared as encoding/json compares them with the names of fields.
func shapeOf(raw []byte) (s shape) {
	eachKey(raw, func(key string) {
		switch {
		case strings.EqualFold(key, "config"):
			s.config = true
		case strings.EqualFold(key, "layers"):
			s.layers = true
		case strings.EqualFold(key, "fsLayers"):
			s.fsLayers = true
		case strings.EqualFold(key, "manifests"):
			s.manifests = true
		}
	})
	return s
}

// eachKey calls f with each key of the outermost object. raw is valid JSON.
func eachKey(raw []byte, f func(key string)) {
	depth, isKey := 0, false
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{', '[':
			depth++
			isKey = depth == 1 && raw[i] == '{'
		case '}', ']':
			depth--
		case ':':
			if depth == 1 {
				isKey = false
			}
		case ',':
			isKey = depth == 1
		case '"':
			n := stringEnd(raw[i:])
			if isKey {
				f(keyText(raw[i : i+n]))
			}
			i += n - 1
		}
	}
}

// stringEnd is how long the JSON string at the beginning of data is, with both quotes.
func stringEnd(data []byte) int {
	for i := 1; i < len(data); {
		n := bytes.IndexByte(data[i:], '"')
		if n < 0 {
			break
		}
		i += n
		slashes := 0
		for data[i-1-slashes] == '\\' {
			slashes++
		}
		i++
		if slashes%2 == 0 {
			return i
		}
	}
	return len(data)
}

// keyText is the key in quotes as a reader sees it.
func keyText(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var key string
	if json.Unmarshal(quoted, &key) != nil {
		return "" // it is valid: this cannot be
	}
	return key
}

// agree checks that the header's media type, the body's own and the body's
// shape say the same.
func agree(header string, body head, s shape) error {
	if body.SchemaVersion == 1 || s.fsLayers {
		return faultf(verdict.ImageMediaType, "it is a Docker schema 1 manifest, which cannot be verified; push it again with a current tool")
	}
	if body.SchemaVersion != 2 {
		return faultf(verdict.ImageMediaType, "the schemaVersion is %d and not 2", body.SchemaVersion)
	}
	if body.MediaType != header && (body.MediaType != "" || header == MediaTypeDockerManifest || header == MediaTypeDockerList) {
		return faultf(verdict.ImageMediaType, "the header says %s and the body says %.100q", header, body.MediaType)
	}
	if isIndexType(header) {
		if !s.manifests || s.config || s.layers {
			return faultf(verdict.ImageMediaType, "it is called an index and is not (only) one")
		}
		return nil
	}
	if s.manifests || !s.config {
		return faultf(verdict.ImageMediaType, "it is called an image manifest and is not (only) one")
	}
	return nil
}

// listing is an index of referrers. Annotations are not read: nothing in a
// listing is believed, and they are the part that can be large.
type listing struct {
	head
	Manifests []struct {
		MediaType    string         `json:"mediaType"`
		Digest       verdict.Digest `json:"digest"`
		Size         int64          `json:"size"`
		ArtifactType string         `json:"artifactType"`
	} `json:"manifests"`
}

// entries returns the first limit entries, and an error when there are more.
func (l *listing) entries(limit int) ([]Descriptor, error) {
	var tooMany error
	if len(l.Manifests) > limit {
		l.Manifests, tooMany = l.Manifests[:limit], tooManyReferrers(limit)
	}
	entries := make([]Descriptor, len(l.Manifests))
	for i, e := range l.Manifests {
		entries[i] = Descriptor{MediaType: e.MediaType, Digest: e.Digest, Size: e.Size, ArtifactType: e.ArtifactType}
		if err := entries[i].check(); err != nil {
			return nil, faultf(verdict.RegistryAnswer, "the listing's entry %d: %w", i, err)
		}
	}
	return entries, tooMany
}

func tooManyReferrers(limit int) error {
	return faultf(verdict.RegistryTooMany, "more than %d things are attached; remove old ones", limit)
}
