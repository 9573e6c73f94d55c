// Package build makes small OCI images in process: for the example workspace,
// and for tests. The same [Image] always has the same digest, so that pushing
// it again changes nothing.
package build

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Layer is the files of one layer: path in the image to content.
type Layer map[string]string

// Image says what an image consists of.
type Image struct {
	Platform    string // "os/arch[/variant]"
	Created     time.Time
	Layers      []Layer // lowest first
	Annotations map[string]string
	Labels      map[string]string
	Entrypoint  []string
}

// Build makes the image.
func (i Image) Build() (v1.Image, error) {
	platform, err := v1.ParsePlatform(i.Platform)
	if err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant,
		Created: v1.Time{Time: i.Created.UTC()},
		Config:  v1.Config{Labels: i.Labels, Entrypoint: i.Entrypoint},
		RootFS:  v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	for n, files := range i.Layers {
		layer, err := layer(files)
		if err != nil {
			return nil, fmt.Errorf("build image: layer %d: %w", n, err)
		}
		img, err = mutate.Append(img, mutate.Addendum{Layer: layer, MediaType: types.OCILayer, History: v1.History{Created: v1.Time{Time: i.Created.UTC()}, CreatedBy: "apex"}})
		if err != nil {
			return nil, fmt.Errorf("build image: layer %d: %w", n, err)
		}
	}
	if len(i.Annotations) > 0 {
		img = mutate.Annotations(img, i.Annotations).(v1.Image)
	}
	return img, nil
}

// Index makes a multi-platform image of images.
func Index(images ...Image) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, i := range images {
		img, err := i.Build()
		if err != nil {
			return nil, err
		}
		platform, err := v1.ParsePlatform(i.Platform)
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: platform}})
	}
	return index, nil
}

// layer packs files in the order of their names, without times or owners.
func layer(files Layer) (v1.Layer, error) {
	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: strings.TrimPrefix(name, "/"), Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(raw.Bytes())), nil
	}, tarball.WithCompressionLevel(gzip.BestSpeed))
}
