package oci

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/apexlogic/apex/verdict"
)

// PushArtifact stores an artifact that stands by itself: one blob under a
// manifest with a type and annotations (OCI image-spec v1.1, "Guidelines for
// artifact usage"). tag may be "": the artifact is then known by its digest
// alone. Pushing the same thing twice changes nothing.
func (c *Client) PushArtifact(ctx context.Context, repo, tag, artifactType string, annotations map[string]string, blob Blob) (Descriptor, error) {
	r, err := parseRepository(repo)
	if err != nil {
		return Descriptor{}, err
	}
	cl := c.newCall("push artifact", repo, r)
	d, err := cl.pushArtifact(ctx, tag, artifactType, annotations, blob)
	return d, cl.wrap(err)
}

func (c *call) pushArtifact(ctx context.Context, tag, artifactType string, annotations map[string]string, blob Blob) (Descriptor, error) {
	if artifactType == "" || blob.MediaType == "" {
		return Descriptor{}, faultf(verdict.Internal, "an artifact and its blob need a type")
	}
	m := manifestJSON{
		SchemaVersion: 2,
		MediaType:     MediaTypeManifest,
		ArtifactType:  artifactType,
		Config:        Descriptor{MediaType: MediaTypeEmpty, Digest: digestOf([]byte(emptyConfig)), Size: int64(len(emptyConfig))},
		Layers:        []Descriptor{{MediaType: blob.MediaType, Digest: digestOf(blob.Data), Size: int64(len(blob.Data)), Annotations: blob.Annotations}},
		Annotations:   annotations,
	}
	if err := c.pushBlob(ctx, m.Config, opener([]byte(emptyConfig))); err != nil {
		return Descriptor{}, fmt.Errorf("empty config: %w", err)
	}
	if err := c.pushBlob(ctx, m.Layers[0], opener(blob.Data)); err != nil {
		return Descriptor{}, fmt.Errorf("blob: %w", err)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return Descriptor{}, local("artifact", err)
	}
	under := tag
	if under == "" {
		under = string(digestOf(raw))
	}
	d, _, err := c.pushManifest(ctx, under, MediaTypeManifest, raw)
	return d, err
}

// PullArtifact reads what [Client.PushArtifact] stored, by the digest of its
// manifest, with a blob of at most limit bytes. An artifact of another type,
// and one that has not exactly one blob of the media type, are refused with the
// code registry.answer.invalid. Who signed it is for the caller to find out
// before the bytes are used.
func (c *Client) PullArtifact(ctx context.Context, repo string, d verdict.Digest, artifactType, mediaType string, limit int64) (Artifact, error) {
	r, err := parseRepository(repo)
	if err != nil {
		return Artifact{}, err
	}
	cl := c.newCall("pull artifact", repo+"@"+string(d), r)
	a, err := cl.pullArtifact(ctx, d, artifactType, mediaType, limit)
	if err != nil {
		return Artifact{}, cl.wrap(err)
	}
	return a, nil
}

func (c *call) pullArtifact(ctx context.Context, d verdict.Digest, artifactType, mediaType string, limit int64) (Artifact, error) {
	m, err := c.manifest(ctx, d)
	if err != nil {
		return Artifact{}, err
	}
	if m.IsIndex() {
		return Artifact{}, faultf(verdict.RegistryAnswer, "%s is an index and no artifact", d)
	}
	doc, err := m.document()
	if err != nil {
		return Artifact{}, err
	}
	switch {
	case doc.kind() != artifactType:
		return Artifact{}, faultf(verdict.RegistryAnswer, "%s is a %.100q and no %s", d, doc.kind(), artifactType)
	case len(doc.Layers) != 1 || doc.Layers[0].MediaType != mediaType:
		return Artifact{}, faultf(verdict.RegistryAnswer, "%s has not exactly one blob of the type %s", d, mediaType)
	case len(doc.Layers[0].URLs) > 0:
		return Artifact{}, faultf(verdict.ImageForeignLayer, "blob %s is to be fetched from elsewhere", doc.Layers[0].Digest)
	case doc.Layers[0].Size > limit:
		return Artifact{}, faultf(verdict.RegistryTooLarge, "%s has %d bytes; the limit is %d", doc.Layers[0].Digest, doc.Layers[0].Size, limit)
	}
	data, err := c.wholeBlob(ctx, doc.Layers[0])
	if err != nil {
		return Artifact{}, err
	}
	return Artifact{Manifest: m, Type: doc.kind(), Annotations: doc.Annotations, Layers: []Layer{{doc.Layers[0], data}}}, nil
}

// wholeBlob reads a blob that may be larger than what one call reads: in parts,
// each within its own limits.
func (c *call) wholeBlob(ctx context.Context, d Descriptor) ([]byte, error) {
	part := min(c.limits.Blob, MaxRange)
	if d.Size <= part {
		return c.blob(ctx, d, part)
	}
	data := make([]byte, 0, min(d.Size, 4*part)) // the size is the registry's word until the bytes are here
	for off := int64(0); off < d.Size; off += part {
		one := c.newCall(c.op, c.ref, c.repo)
		piece, err := one.blobRange(ctx, d, off, min(part, d.Size-off))
		if err != nil {
			return nil, err
		}
		data = append(data, piece...)
	}
	if got := digestOf(data); got != d.Digest {
		return nil, faultf(verdict.RegistryDigest, "asked for %s, got %s", d.Digest, got)
	}
	return data, nil
}
