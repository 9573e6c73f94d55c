package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/apexlogic/apex/verdict"
)

// Blob is one blob to attach.
type Blob struct {
	MediaType   string
	Data        []byte
	Annotations map[string]string
}

// emptyConfig is the configuration of artifacts (OCI image-spec, "Guidance for
// an empty descriptor").
const emptyConfig = "{}"

// tagAttempts is how often a tag is written again when somebody else wrote it
// at the same moment. Registries have no compare-and-swap for tags.
const tagAttempts = 4

// Attach publishes blobs as a referrer of subject (OCI image-spec v1.1) and
// returns the descriptor of its manifest. subject is a descriptor as
// [Client.Resolve] returns it.
//
// Registries without the Referrers API keep the listing as an index under the
// tag "sha256-<hex>"; it is read, extended and written, then read again to see
// that nobody overwrote it. Attaching the same thing twice changes nothing.
func (c *Client) Attach(ctx context.Context, repo string, subject Descriptor, artifactType string, annotations map[string]string, blobs ...Blob) (Descriptor, error) {
	r, err := parseRepository(repo)
	if err != nil {
		return Descriptor{}, err
	}
	cl := c.newCall("attach to", repo+"@"+string(subject.Digest), r)
	d, err := cl.attach(ctx, subject, artifactType, annotations, blobs)
	return d, cl.wrap(err)
}

func (c *call) attach(ctx context.Context, subject Descriptor, artifactType string, annotations map[string]string, blobs []Blob) (Descriptor, error) {
	if err := subject.check(); err != nil {
		return Descriptor{}, &fault{code: verdict.ReferenceInvalid, err: err}
	}
	if artifactType == "" || len(blobs) == 0 || len(blobs) > maxArtifactLayers {
		return Descriptor{}, faultf(verdict.Internal, "an artifact needs a type and 1 to %d blobs", maxArtifactLayers)
	}
	m := manifestJSON{
		SchemaVersion: 2,
		MediaType:     MediaTypeManifest,
		ArtifactType:  artifactType,
		Config:        Descriptor{MediaType: MediaTypeEmpty, Digest: digestOf([]byte(emptyConfig)), Size: int64(len(emptyConfig))},
		Subject:       &Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations:   annotations,
	}
	if err := c.pushBlob(ctx, m.Config, opener([]byte(emptyConfig))); err != nil {
		return Descriptor{}, fmt.Errorf("empty config: %w", err)
	}
	for i, b := range blobs {
		d := Descriptor{MediaType: b.MediaType, Digest: digestOf(b.Data), Size: int64(len(b.Data)), Annotations: b.Annotations}
		if err := c.pushBlob(ctx, d, opener(b.Data)); err != nil {
			return Descriptor{}, fmt.Errorf("blob %d: %w", i, err)
		}
		m.Layers = append(m.Layers, d)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return Descriptor{}, local("artifact", err)
	}
	d, listed, err := c.pushManifest(ctx, string(digestOf(raw)), MediaTypeManifest, raw)
	if err != nil || listed {
		return d, err
	}
	// Some registries list referrers and do not say so.
	entries, _, err := c.listReferrers(ctx, subject.Digest)
	if err == nil && slices.ContainsFunc(entries, func(e Descriptor) bool { return e.Digest == d.Digest }) {
		return d, nil
	}
	entry := d
	entry.ArtifactType, entry.Annotations = artifactType, annotations
	if err := c.listUnderTag(ctx, subject.Digest, entry); err != nil {
		return d, fmt.Errorf("the artifact %s is stored but not listed: %w", d.Digest, err)
	}
	return d, nil
}

// listUnderTag adds entry to the index under the subject's fallback tag.
func (c *call) listUnderTag(ctx context.Context, subject verdict.Digest, entry Descriptor) error {
	tag := fallbackTag(subject)
	return c.editTag(ctx, tag, MediaTypeIndex, func(old *Manifest) ([]byte, error) {
		idx := indexJSON{SchemaVersion: 2, MediaType: MediaTypeIndex, Manifests: []Descriptor{}}
		if old != nil {
			if old.MediaType != MediaTypeIndex {
				return nil, faultf(verdict.RegistryAnswer, "tag %s holds no index of referrers but %s", tag, old.MediaType)
			}
			if err := json.Unmarshal(old.Raw, &idx); err != nil {
				return nil, faultf(verdict.RegistryAnswer, "tag %s: %w", tag, short(err))
			}
			if slices.ContainsFunc(idx.Manifests, func(e Descriptor) bool { return e.Digest == entry.Digest }) {
				return nil, nil
			}
		}
		idx.Manifests = append(idx.Manifests, entry)
		return json.Marshal(idx)
	})
}

// editTag reads what a tag points to (nil: nothing), lets edit make a new
// manifest of it (nil: it is right already) and writes that, until a read
// finds it right.
func (c *call) editTag(ctx context.Context, tag, mediaType string, edit func(old *Manifest) ([]byte, error)) error {
	unlock, err := c.tags.lock(ctx, c.repo.name+":"+tag)
	if err != nil {
		return err
	}
	defer unlock()
	for range tagAttempts {
		var old *Manifest
		m, err := c.fetchManifest(ctx, tag, "")
		switch {
		case err == nil:
			old = &m
		case !isNotFound(err):
			return fmt.Errorf("tag %s: %w", tag, err)
		}
		raw, err := edit(old)
		if err != nil || raw == nil {
			return err
		}
		if _, _, err := c.pushManifest(ctx, tag, mediaType, raw); err != nil {
			return fmt.Errorf("tag %s: %w", tag, err)
		}
	}
	return &fault{code: verdict.RegistryUnreachable, err: fmt.Errorf("tag %s: %w", tag, errLost)}
}

// legacyConfig is the configuration of a legacy signature image: no platform,
// and one diffID per layer, since the layers are not compressed.
type legacyConfig struct {
	Architecture string   `json:"architecture"`
	Created      string   `json:"created"`
	OS           string   `json:"os"`
	Config       struct{} `json:"config"`
	RootFS       struct {
		Type    string           `json:"type"`
		DiffIDs []verdict.Digest `json:"diff_ids"`
	} `json:"rootfs"`
}

// AttachLegacy appends one layer to cosign's legacy image for subject, under
// the tag "sha256-<hex><suffix>", and keeps the layers that are there. data is
// the signed payload; the signature is among the layer's annotations
// ("dev.cosignproject.cosign/signature"). Attaching the same layer with the
// same annotations twice changes nothing.
func (c *Client) AttachLegacy(ctx context.Context, repo string, subject verdict.Digest, suffix string, data []byte, annotations map[string]string) error {
	r, err := parseRepository(repo)
	if err != nil {
		return err
	}
	cl := c.newCall("attach to", repo+"@"+string(subject), r)
	return cl.wrap(cl.attachLegacy(ctx, subject, suffix, data, annotations))
}

func (c *call) attachLegacy(ctx context.Context, subject verdict.Digest, suffix string, data []byte, annotations map[string]string) error {
	if _, err := verdict.ParseDigest(string(subject)); err != nil {
		return &fault{code: verdict.ReferenceInvalid, err: err}
	}
	kind := legacyLayer(suffix)
	if kind == "" {
		return faultf(verdict.ReferenceInvalid, "the suffix %q is neither %s nor %s", suffix, LegacySignature, LegacyAttestation)
	}
	layer := Descriptor{MediaType: kind, Digest: digestOf(data), Size: int64(len(data)), Annotations: annotations}
	if err := c.pushBlob(ctx, layer, opener(data)); err != nil {
		return fmt.Errorf("layer: %w", err)
	}
	return c.editTag(ctx, fallbackTag(subject)+suffix, MediaTypeManifest, func(old *Manifest) ([]byte, error) {
		m := &manifestJSON{SchemaVersion: 2, MediaType: MediaTypeManifest}
		if old != nil {
			if old.MediaType != MediaTypeManifest {
				return nil, faultf(verdict.RegistryAnswer, "tag %s%s holds %s", fallbackTag(subject), suffix, old.MediaType)
			}
			var err error
			if m, err = decodeManifest(old.Raw); err != nil {
				return nil, err
			}
			if slices.ContainsFunc(m.Layers, func(l Descriptor) bool { return sameLayer(l, layer) }) {
				return nil, nil
			}
		}
		m.Layers = append(m.Layers, layer)
		if len(m.Layers) > maxLayers {
			return nil, faultf(verdict.RegistryTooMany, "there are %d signatures already; remove old ones", maxLayers)
		}
		conf := legacyConfig{Created: "0001-01-01T00:00:00Z"}
		conf.RootFS.Type = "layers"
		for _, l := range m.Layers {
			conf.RootFS.DiffIDs = append(conf.RootFS.DiffIDs, l.Digest)
		}
		raw, err := json.Marshal(conf)
		if err != nil {
			return nil, local("config", err)
		}
		m.Config = Descriptor{MediaType: MediaTypeConfig, Digest: digestOf(raw), Size: int64(len(raw))}
		if err := c.pushBlob(ctx, m.Config, opener(raw)); err != nil {
			return nil, fmt.Errorf("config: %w", err)
		}
		return json.Marshal(m)
	})
}

// sameLayer reports whether two layers are one signature: equal bytes and equal annotations.
func sameLayer(a, b Descriptor) bool {
	if a.Digest != b.Digest || len(a.Annotations) != len(b.Annotations) {
		return false
	}
	for k, v := range a.Annotations {
		if b.Annotations[k] != v {
			return false
		}
	}
	return true
}
