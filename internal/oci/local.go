package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/verdict"
)

// blobStore is where a local image lies: a folder or an archive. Names are
// slash-separated and cleaned.
type blobStore interface {
	// open returns a file's bytes and their number. It wraps fs.ErrNotExist
	// when there is none.
	open(name string) (io.ReadCloser, int64, error)
	Close() error
}

// OpenLocal opens an image of this machine: a folder in the OCI image layout, a
// tar archive of one, or an archive of "docker save". platform ("os/arch") is
// needed only where there are several images; an error lists those that there are.
//
// The documents are read by the same bounded readers as a registry's, and
// nothing is believed that does not hash to its name. go-containerregistry's
// packages for the same are not used: they read documents of any length and do
// not compare layers with what names them.
func OpenLocal(ctx context.Context, name, platform string) (*Layers, error) {
	c := &call{op: "open image", ref: name}
	l, err := openLocal(ctx, name, platform)
	if errors.Is(err, fs.ErrNotExist) {
		err = &Error{Code: verdict.RegistryNotFound, Op: c.op, Ref: c.ref, Err: err}
	}
	return l, c.wrap(err)
}

func openLocal(ctx context.Context, name, platform string) (*Layers, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	var store blobStore
	switch {
	case info.IsDir():
		root, err := os.OpenRoot(name)
		if err != nil {
			return nil, err
		}
		store = folder{root}
	case info.Mode().IsRegular():
		if store, err = openArchive(ctx, name); err != nil {
			return nil, err
		}
	default:
		return nil, faultf(verdict.ImageMediaType, "it is neither a folder nor a regular file")
	}
	l, err := readLocal(store, platform)
	if err != nil {
		store.Close()
		return nil, err
	}
	l.close = store.Close
	return l, nil
}

// IsLayout reports whether the folder is in the OCI image layout.
func IsLayout(dir string) bool {
	info, err := os.Stat(path.Join(dir, "oci-layout"))
	return err == nil && info.Mode().IsRegular()
}

// folder is a blob store in the file system; links that lead out of it are refused.
type folder struct{ *os.Root }

func (f folder) open(name string) (io.ReadCloser, int64, error) {
	info, err := f.Stat(name) // first: opening a pipe would wait for who writes to it
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a regular file", name)
	}
	file, err := f.Open(name)
	return file, info.Size(), err
}

// readLocal finds the image in the store. An archive may be both a layout and
// one of "docker save"; then both must mean the same image.
func readLocal(store blobStore, platform string) (*Layers, error) {
	index, err := document(store, "index.json", ManifestBytes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	saved, err := document(store, "manifest.json", ManifestBytes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	switch {
	case index != nil:
		l, err := readLayout(store, index, platform)
		if err == nil && saved != nil {
			err = agreeSaved(saved, l)
		}
		return l, err
	case saved != nil:
		return readSaved(store, saved, platform)
	}
	return nil, faultf(verdict.ImageMediaType, "it holds neither index.json nor manifest.json, so it is no image; name an OCI image layout or an archive of \"docker save\"")
}

func document(store blobStore, name string, limit int64) ([]byte, error) {
	r, _, err := store.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := bounded.ReadAll(r, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

// blobDocument reads a document by its digest and compares the two.
func blobDocument(store blobStore, d Descriptor, limit int64) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, faultf(verdict.RegistryAnswer, "%w", err)
	}
	data, err := document(store, blobName(d.Digest), limit)
	if err != nil {
		return nil, err
	}
	if got := digestOf(data); got != d.Digest || int64(len(data)) != d.Size {
		return nil, faultf(verdict.RegistryDigest, "%s has %d bytes and the digest %s; its descriptor says %d", blobName(d.Digest), len(data), got, d.Size)
	}
	return data, nil
}

func blobName(d verdict.Digest) string { return "blobs/sha256/" + d.Hex() }

// maxIndexDepth is how deep indexes lie in each other: that of the layout, and
// that of an image with several platforms.
const maxIndexDepth = 2

// readLayout reads an image layout (OCI image-spec, image-layout).
func readLayout(store blobStore, index []byte, platform string) (*Layers, error) {
	found, err := listLayout(store, index, 1)
	if err != nil {
		return nil, err
	}
	var fits []layoutImage
	for _, f := range found {
		if platform == "" || f.platform == "" || f.platform == platform {
			fits = append(fits, f)
		}
	}
	if len(fits) != 1 {
		return nil, choose(len(fits), platform, func(yield func(string)) {
			for _, f := range found {
				yield(f.platform + " (" + f.Digest.Short() + ")")
			}
		})
	}
	raw, err := blobDocument(store, fits[0].Descriptor, ManifestBytes)
	if err != nil {
		return nil, err
	}
	m := Manifest{Descriptor: Descriptor{MediaType: fits[0].MediaType, Digest: fits[0].Digest, Size: int64(len(raw))}, Raw: raw}
	if err := m.judge(); err != nil {
		return nil, err
	}
	doc, err := imageManifest(&m)
	if err != nil {
		return nil, err
	}
	config, err := blobDocument(store, doc.Config, ConfigBytes)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	img, err := imageFact(m.MediaType, doc, config)
	if err != nil {
		return nil, err
	}
	if platform != "" && img.Platform != platform {
		return nil, faultf(verdict.ImagePlatformMissing, "it holds no image for %q, but for %q", platform, img.Platform)
	}
	return &Layers{
		ref:   verdict.Ref{Kind: verdict.KindImage, Digest: m.Digest},
		image: img,
		blobs: doc.Layers,
		raw: func(_ context.Context, i int) (io.ReadCloser, error) {
			r, _, err := store.open(blobName(doc.Layers[i].Digest))
			return r, missing(err)
		},
	}, nil
}

type layoutImage struct {
	Descriptor
	platform string
}

// listLayout lists the images of an index and of the indexes in it.
func listLayout(store blobStore, raw []byte, depth int) ([]layoutImage, error) {
	var idx indexJSON
	if err := decode(verdict.RegistryAnswer, "index", raw, &idx); err != nil {
		return nil, err
	}
	if len(idx.Manifests) > maxIndexEntries {
		return nil, faultf(verdict.RegistryTooMany, "the index has %d entries; the limit is %d", len(idx.Manifests), maxIndexEntries)
	}
	var out []layoutImage
	for i := range idx.Manifests {
		d := idx.Manifests[i]
		switch {
		case isIndexType(d.MediaType):
			if depth == maxIndexDepth {
				return nil, faultf(verdict.ImageIndexNested, "%s is an index within an index of the layout's", d.Digest)
			}
			nested, err := blobDocument(store, d, ManifestBytes)
			if err != nil {
				return nil, err
			}
			more, err := listLayout(store, nested, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		case isManifestType(d.MediaType):
			p, _, err := parseEntry(&d)
			if err != nil {
				return nil, err
			}
			if !p.Attestation && !slices.ContainsFunc(out, func(o layoutImage) bool { return o.Digest == d.Digest }) {
				out = append(out, layoutImage{d, p.Platform})
			}
		}
		if len(out) > maxIndexEntries {
			return nil, faultf(verdict.RegistryTooMany, "the layout has more than %d images", maxIndexEntries)
		}
	}
	return out, nil
}

// choose explains why not exactly one image fits.
func choose(fits int, platform string, each func(yield func(string))) error {
	var names []string
	each(func(s string) { names = append(names, s) })
	const most = 12
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("and %d more", len(names)-most))
	}
	list := strings.Join(names, ", ")
	switch {
	case len(names) == 0:
		return faultf(verdict.ImageIndexEmpty, "it holds no image")
	case fits == 0:
		return faultf(verdict.ImagePlatformMissing, "it holds no image for %q, but %s", platform, list)
	case platform == "":
		return faultf(verdict.ImageMediaType, "it holds several images: %s; name a platform", list)
	}
	return faultf(verdict.ImageMediaType, "it holds %d images for %q (%s); keep one", fits, platform, list)
}

// missing is an error about a file that a document names and that is not there.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return faultf(verdict.RegistryNotFound, "the image is not whole: %w", err)
	}
	return err
}

// savedJSON is one image in the manifest.json of "docker save".
type savedJSON struct {
	Config   string   `json:"Config"`
	RepoTags []string `json:"RepoTags"`
	Layers   []string `json:"Layers"`
}

// config returns the digest that the configuration's file is named after:
// "<hex>.json", "blobs/sha256/<hex>", or "sha256:<hex>" as some tools write it.
func (s *savedJSON) config() string {
	return strings.TrimPrefix(strings.TrimSuffix(path.Base(s.Config), ".json"), "sha256:")
}

func decodeSaved(raw []byte) ([]savedJSON, error) {
	// Docker writes a free map LayerSources; checkJSON counts its keys as others.
	if err := check(verdict.RegistryAnswer, "manifest.json", raw); err != nil {
		return nil, err
	}
	var images []savedJSON
	if err := json.Unmarshal(raw, &images); err != nil {
		return nil, notJSON(verdict.RegistryAnswer, "manifest.json", err)
	}
	if len(images) > maxIndexEntries {
		return nil, faultf(verdict.RegistryTooMany, "manifest.json lists %d images; the limit is %d", len(images), maxIndexEntries)
	}
	return images, nil
}

// readSaved reads an archive of "docker save" from before Docker 25.
func readSaved(store blobStore, raw []byte, platform string) (*Layers, error) {
	images, err := decodeSaved(raw)
	if err != nil {
		return nil, err
	}
	var found []*Layers
	for i := range images {
		l, err := readSavedImage(store, &images[i])
		if err != nil {
			return nil, fmt.Errorf("image %d: %w", i, err)
		}
		if platform == "" || l.image.Platform == platform {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		return nil, choose(len(found), platform, func(yield func(string)) {
			for _, img := range images {
				yield(strings.Join(img.RepoTags, "|"))
			}
		})
	}
	return found[0], nil
}

func readSavedImage(store blobStore, s *savedJSON) (*Layers, error) {
	if len(s.Layers) > maxLayers {
		return nil, faultf(verdict.RegistryTooMany, "it has %d layers; the limit is %d", len(s.Layers), maxLayers)
	}
	config, err := document(store, path.Clean(s.Config), ConfigBytes)
	if err != nil {
		return nil, missing(err)
	}
	d := digestOf(config)
	if s.config() != d.Hex() {
		return nil, faultf(verdict.RegistryDigest, "the configuration %.120q has the digest %s", s.Config, d)
	}
	doc := &manifestJSON{Config: Descriptor{Digest: d, Size: int64(len(config))}}
	for _, name := range s.Layers {
		r, size, err := store.open(path.Clean(name))
		if err != nil {
			return nil, missing(err)
		}
		r.Close()
		doc.Layers = append(doc.Layers, Descriptor{Size: size})
	}
	img, err := imageFact("", doc, config)
	if err != nil {
		return nil, err
	}
	img.Layers = nil // nothing names them
	return &Layers{
		ref:   verdict.Ref{Kind: verdict.KindImage},
		image: img,
		blobs: doc.Layers,
		raw: func(_ context.Context, i int) (io.ReadCloser, error) {
			r, _, err := store.open(path.Clean(s.Layers[i]))
			return r, missing(err)
		},
	}, nil
}

// agreeSaved refuses an archive whose two tables of contents name different
// images: one runtime would load the one and another the other.
func agreeSaved(raw []byte, l *Layers) error {
	images, err := decodeSaved(raw)
	if err != nil {
		return err
	}
	for _, s := range images {
		if s.config() == l.image.Config.Hex() {
			return nil
		}
	}
	return faultf(verdict.ImageConfigInvalid, "index.json names an image with the configuration %s and manifest.json does not; save the image again", l.image.Config.Short())
}
