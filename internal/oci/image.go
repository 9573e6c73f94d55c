package oci

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// Platform is one entry of an image index.
type Platform struct {
	// Platform is "os/arch[/variant]" in containerd's normal form; "" when the
	// index does not say, in which case the image's configuration does.
	Platform string
	// OSVersion tells Windows builds of one platform apart; "" elsewhere.
	OSVersion string
	MediaType string
	Digest    verdict.Digest
	Size      int64
	// Attestation marks a BuildKit attestation manifest: nothing that runs.
	// About is then the digest of the image that it is about.
	Attestation bool
	About       verdict.Digest
}

// BuildKit's way to put attestations into an index
// (moby/buildkit docs/attestations/attestation-storage.md).
const (
	annotationReferenceType   = "vnd.docker.reference.type"
	annotationReferenceDigest = "vnd.docker.reference.digest"
	attestationManifest       = "attestation-manifest"
)

// ParseIndex reads an image index. Entries keep their order. Refused are: an
// index within the index, entries that are no image manifests, two entries for
// one platform (which one runs would be the runtime's choice), an index
// without any image, and more than 512 entries.
func ParseIndex(raw []byte) ([]Platform, error) {
	platforms, err := parseIndex(raw)
	if err != nil {
		c := &call{op: "read index", ref: string(digestOf(raw))}
		return nil, c.wrap(err)
	}
	return platforms, nil
}

func parseIndex(raw []byte) ([]Platform, error) {
	var idx indexJSON
	if err := decode(verdict.RegistryAnswer, "index", raw, &idx); err != nil {
		return nil, err
	}
	header := idx.MediaType
	if header == "" {
		header = MediaTypeIndex
	}
	if !isIndexType(header) {
		return nil, faultf(verdict.ImageMediaType, "the media type %.100q is none of an image index", header)
	}
	if err := agree(header, head{idx.SchemaVersion, idx.MediaType}, shapeOf(raw)); err != nil {
		return nil, err
	}
	if len(idx.Manifests) > maxIndexEntries {
		return nil, faultf(verdict.RegistryTooMany, "the index has %d entries; the limit is %d", len(idx.Manifests), maxIndexEntries)
	}
	var out []Platform
	seen := map[string]verdict.Digest{}
	images := map[verdict.Digest]bool{}
	for i := range idx.Manifests {
		d := &idx.Manifests[i]
		p, key, err := parseEntry(d)
		if err != nil {
			return nil, withIndex(err, i)
		}
		if !p.Attestation {
			if other, dup := seen[key]; dup {
				return nil, faultf(verdict.ImageMediaType, "entry %d: the platform %q has two images, %s and %s; push an index with one", i, p.Platform, other, d.Digest)
			}
			seen[key] = d.Digest
			images[d.Digest] = true
		}
		out = append(out, p)
	}
	if len(images) == 0 {
		return nil, faultf(verdict.ImageIndexEmpty, "the index lists no image")
	}
	for i := range out {
		// An image that calls itself an attestation would go unverified.
		if out[i].Attestation && images[out[i].Digest] {
			return nil, faultf(verdict.ImageMediaType, "entry %d: %s is listed both as an image and as an attestation", i, out[i].Digest)
		}
	}
	return out, nil
}

func withIndex(err error, i int) error {
	if f, ok := err.(*fault); ok {
		return &fault{code: f.code, err: fmt.Errorf("entry %d: %w", i, f.err)}
	}
	return err
}

// parseEntry reads one descriptor of an index. key is equal for entries that a
// runtime could take for each other.
func parseEntry(d *Descriptor) (p Platform, key string, err error) {
	if err := d.check(); err != nil {
		return p, "", faultf(verdict.RegistryAnswer, "%w", err)
	}
	switch {
	case isIndexType(d.MediaType):
		return p, "", faultf(verdict.ImageIndexNested, "%s is an index itself", d.Digest)
	case !isManifestType(d.MediaType):
		return p, "", faultf(verdict.ImageMediaType, "the media type %.100q is none of an image manifest", d.MediaType)
	case len(d.URLs) > 0:
		return p, "", faultf(verdict.ImageForeignLayer, "%s is to be fetched from a URL", d.Digest)
	}
	p = Platform{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
	if d.Platform == nil {
		return p, "", nil
	}
	if p.Platform, err = normalPlatform(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant); err != nil {
		return p, "", faultf(verdict.RegistryAnswer, "%s: %w", d.Digest, err)
	}
	p.OSVersion = d.Platform.OSVersion
	if p.Platform == "unknown/unknown" && d.Annotations[annotationReferenceType] == attestationManifest {
		about, err := verdict.ParseDigest(d.Annotations[annotationReferenceDigest])
		if err != nil {
			return p, "", faultf(verdict.RegistryAnswer, "%s is an attestation about no digest: %w", d.Digest, err)
		}
		p.Attestation, p.About = true, about
		return p, "", nil
	}
	features := slices.Sorted(slices.Values(d.Platform.OSFeatures))
	return p, strings.Join(append(features, p.Platform, p.OSVersion), "|"), nil
}

// normalPlatform returns "os/arch[/variant]" as containerd normalises it
// (containerd/platforms, database.go), so that a policy's "linux/arm64" and an
// index's "linux/arm64/v8" meet.
func normalPlatform(os, arch, variant string) (string, error) {
	for _, part := range []string{os, arch, variant} {
		if len(part) > 32 || strings.Trim(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
			return "", fmt.Errorf("the platform %.40q/%.40q/%.40q is not one", os, arch, variant)
		}
	}
	if os == "" || arch == "" {
		return "", fmt.Errorf("the platform %q/%q lacks a part", os, arch)
	}
	os, arch, variant = strings.ToLower(os), strings.ToLower(arch), strings.ToLower(variant)
	switch arch {
	case "x86_64", "x86-64":
		arch = "amd64"
	case "i386":
		arch, variant = "386", ""
	case "aarch64":
		arch = "arm64"
	case "armhf":
		arch, variant = "arm", "v7"
	case "armel":
		arch, variant = "arm", "v6"
	}
	switch {
	case arch == "amd64" && variant == "v1", arch == "arm64" && (variant == "8" || variant == "v8"):
		variant = ""
	case arch == "arm" && (variant == "" || variant == "7"):
		variant = "v7"
	case arch == "arm" && (variant == "5" || variant == "6" || variant == "8"):
		variant = "v" + variant
	}
	if variant == "" {
		return os + "/" + arch, nil
	}
	return os + "/" + arch + "/" + variant, nil
}

// configJSON is what is read of an image configuration (OCI image-spec, config).
type configJSON struct {
	OS           string    `json:"os"`
	Architecture string    `json:"architecture"`
	Variant      string    `json:"variant"`
	Created      time.Time `json:"created"`
	Config       struct {
		User   string            `json:"User"`
		Env    []string          `json:"Env"`
		Labels map[string]string `json:"Labels"`
	} `json:"config"`
	RootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// Image fetches one platform's manifest (unless [Client.Resolve] has just done
// so) and its configuration, both by digest, and checks that they fit
// together: as many diffIDs as layers, every layer in the registry and of a
// sane size, a platform. Asking for an index is an error.
//
// The fact may be shared with other callers: as all facts it is immutable.
func (c *Client) Image(ctx context.Context, repo string, d verdict.Digest) (fact.Image, error) {
	r, err := parseRepository(repo)
	if err != nil {
		return fact.Image{}, err
	}
	cl := c.newCall("read image", repo+"@"+string(d), r)
	img, err := c.images.Do(ctx, cl.ref, func(ctx context.Context) (fact.Image, error) {
		ctx, cancel := c.within(ctx)
		defer cancel()
		return cl.image(ctx, d)
	})
	return img, cl.wrap(err)
}

func (c *call) image(ctx context.Context, d verdict.Digest) (fact.Image, error) {
	m, err := c.manifest(ctx, d)
	if err != nil {
		return fact.Image{}, err
	}
	doc, err := imageManifest(&m)
	if err != nil {
		return fact.Image{}, err
	}
	raw, err := c.blob(ctx, doc.Config, c.limits.Config)
	if err != nil {
		return fact.Image{}, fmt.Errorf("config: %w", err)
	}
	return imageFact(m.MediaType, doc, raw)
}

// CheckImage checks by its manifest alone that m is an image which can run and
// is wholly in its registry: a configuration that is one, no layer that is
// fetched from elsewhere, sizes that can be. It fetches nothing; [Client.Image]
// checks the same and the configuration. A runtime pulls foreign layers from
// wherever their URL leads, so they are outside of all that a digest proves.
func CheckImage(m *Manifest) error {
	_, err := imageManifest(m)
	c := &call{op: "check image", ref: string(m.Digest)}
	return c.wrap(err)
}

// imageManifest reads m as the manifest of something that can run.
func imageManifest(m *Manifest) (*manifestJSON, error) {
	if m.IsIndex() {
		return nil, faultf(verdict.ImageMediaType, "it is an index of several platforms; ask for one of them")
	}
	doc, err := m.document()
	if err != nil {
		return nil, err
	}
	if t := doc.Config.MediaType; t != MediaTypeConfig && t != MediaTypeDockerConfig {
		return nil, faultf(verdict.ImageConfigInvalid, "the configuration has the media type %.100q, so this is an artifact and no image", t)
	}
	var size int64
	for i := range doc.Layers {
		l := &doc.Layers[i]
		if len(l.URLs) > 0 || strings.Contains(l.MediaType, ".foreign.") || strings.Contains(l.MediaType, ".nondistributable.") {
			return nil, faultf(verdict.ImageForeignLayer, "layer %d (%s, %.100q) is to be fetched from elsewhere; push the image with all of its layers", i, l.Digest, l.MediaType)
		}
		if size += l.Size; size < 0 {
			return nil, faultf(verdict.RegistryAnswer, "the layers' sizes add up to more than can be counted")
		}
	}
	return doc, nil
}

// imageFact joins a manifest and its configuration.
func imageFact(mediaType string, m *manifestJSON, config []byte) (fact.Image, error) {
	var conf configJSON
	if err := decode(verdict.ImageConfigInvalid, "configuration", config, &conf); err != nil {
		return fact.Image{}, err
	}
	platform, err := normalPlatform(conf.OS, conf.Architecture, conf.Variant)
	if err != nil {
		return fact.Image{}, faultf(verdict.ImageConfigInvalid, "%w", err)
	}
	if conf.RootFS.Type != "layers" {
		return fact.Image{}, faultf(verdict.ImageConfigInvalid, "the rootfs has the type %.40q and not layers", conf.RootFS.Type)
	}
	if len(conf.RootFS.DiffIDs) != len(m.Layers) {
		return fact.Image{}, faultf(verdict.ImageConfigInvalid, "the configuration has %d diffIDs and the manifest %d layers", len(conf.RootFS.DiffIDs), len(m.Layers))
	}
	img := fact.Image{
		MediaType:   mediaType,
		Config:      m.Config.Digest,
		Platform:    platform,
		Created:     conf.Created.UTC(),
		Labels:      conf.Config.Labels,
		Annotations: m.Annotations,
		User:        conf.Config.User,
		Env:         conf.Config.Env,
	}
	for i, id := range conf.RootFS.DiffIDs {
		d, err := verdict.ParseDigest(id)
		if err != nil {
			return fact.Image{}, faultf(verdict.ImageConfigInvalid, "diffID %d: %w", i, err)
		}
		img.DiffIDs = append(img.DiffIDs, d)
		img.Layers = append(img.Layers, m.Layers[i].Digest)
		img.Size += m.Layers[i].Size
	}
	return img, nil
}
