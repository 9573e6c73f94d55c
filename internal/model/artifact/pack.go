package artifact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// Description is what the artifact says of its model. Nobody vouches for it
// but who signs the artifact.
type Description struct {
	Name         string
	Family       string
	Version      string
	Architecture string
	Format       string // of the weights: "safetensors", "gguf", …
	Licenses     []string
	// Created stands in the artifact; with the same files and the same time the
	// artifact has the same digest. Zero: none is written.
	Created time.Time
}

// Packed is an artifact that was pushed.
type Packed struct {
	Descriptor oci.Descriptor
	Model      fact.Model
}

// The parts of the configuration that are written (model-spec, config.md).
type (
	configJSON struct {
		Descriptor descriptorJSON `json:"descriptor"`
		Config     settingsJSON   `json:"config"`
		ModelFS    modelFSJSON    `json:"modelfs"`
	}
	descriptorJSON struct {
		CreatedAt *time.Time `json:"createdAt,omitempty"`
		Family    string     `json:"family,omitempty"`
		Name      string     `json:"name,omitempty"`
		Version   string     `json:"version,omitempty"`
		Licenses  []string   `json:"licenses,omitempty"`
	}
	settingsJSON struct {
		Architecture string `json:"architecture,omitempty"`
		Format       string `json:"format,omitempty"`
	}
	modelFSJSON struct {
		Type    string           `json:"type"`
		DiffIDs []verdict.Digest `json:"diffIds"`
	}
	manifestJSON struct {
		SchemaVersion int              `json:"schemaVersion"`
		MediaType     string           `json:"mediaType"`
		ArtifactType  string           `json:"artifactType"`
		Config        oci.Descriptor   `json:"config"`
		Layers        []oci.Descriptor `json:"layers"`
	}
)

// Pack pushes the files below root to the reference. files are those that were
// hashed, with their digests, and formats what each was recognised as by its
// content (by path; may be nil). A file that changed since is refused by the
// registry, and nothing refers to it. progress is told the bytes as they are sent.
//
// What is there already is not sent again, so an interrupted call is repeated.
func Pack(ctx context.Context, registry *oci.Client, ref reference.Reference, root string, files []fact.ModelFile, formats map[string]string, d Description, progress func(int64)) (*Packed, error) {
	if ref.Tag == "" || ref.Digest != "" {
		return nil, fmt.Errorf("pack needs a tag to push to, such as %s:v1", ref.Name())
	}
	if len(files) == 0 {
		return nil, errors.New("the model has no files")
	}
	if progress == nil {
		progress = func(int64) {}
	}
	folder, err := open(root)
	if err != nil {
		return nil, err
	}
	defer folder.close()
	files = slices.SortedFunc(slices.Values(files), func(a, b fact.ModelFile) int { return strings.Compare(a.Path, b.Path) })
	repo := ref.Name()
	doc := manifestJSON{SchemaVersion: 2, MediaType: oci.MediaTypeManifest, ArtifactType: TypeModel}
	settings := configJSON{
		Descriptor: descriptorJSON{Family: d.Family, Name: d.Name, Version: d.Version, Licenses: d.Licenses},
		Config:     settingsJSON{Architecture: d.Architecture, Format: d.Format},
		ModelFS:    modelFSJSON{Type: "layers", DiffIDs: []verdict.Digest{}},
	}
	if !d.Created.IsZero() {
		created := d.Created.UTC().Truncate(time.Second)
		settings.Descriptor.CreatedAt = &created
	}
	for _, f := range files {
		if err := CheckPath(f.Path); err != nil {
			return nil, err
		}
		layer := oci.Descriptor{MediaType: typePrefix + role(f.Path, formats[f.Path]) + typeRaw, Digest: f.Digest, Size: f.Size,
			Annotations: map[string]string{AnnotationPath: f.Path}}
		err := registry.PushStream(ctx, repo, layer, func() (io.ReadCloser, error) {
			file, err := folder.open(f.Path)
			if err != nil {
				return nil, err
			}
			return &counted{file, progress}, nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		doc.Layers = append(doc.Layers, layer)
		settings.ModelFS.DiffIDs = append(settings.ModelFS.DiffIDs, f.Digest)
	}
	rawConfig, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	if doc.Config, err = registry.PushBlob(ctx, repo, TypeConfig, rawConfig); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	m, err := Read(&oci.Document{ArtifactType: TypeModel, Config: doc.Config, Layers: doc.Layers}, rawConfig)
	if err != nil {
		return nil, err
	}
	pushed, err := registry.PushManifest(ctx, repo, ref.Tag, oci.MediaTypeManifest, raw)
	if err != nil {
		return nil, err
	}
	return &Packed{Descriptor: pushed, Model: m}, nil
}

// role is ModelPack's word for what a file is for. Runtimes may mount some and
// leave others; nothing is decided by it.
func role(name, format string) string {
	base := strings.ToLower(path.Base(name))
	switch format {
	case "python", "script", "executable":
		return "code"
	case "text":
		if strings.HasSuffix(base, ".md") || strings.HasPrefix(base, "license") || strings.HasPrefix(base, "readme") {
			return "doc"
		}
		return "weight.config"
	case "json", "tokenizer", "hf-config", "yaml", "jinja", "hydra", "xml":
		return "weight.config"
	}
	switch kind := mime.TypeByExtension(path.Ext(base)); {
	case strings.HasSuffix(base, ".json"), strings.HasSuffix(base, ".yaml"), strings.HasSuffix(base, ".yml"), strings.HasSuffix(base, ".txt"):
		return "weight.config"
	case strings.HasPrefix(kind, "image/"), strings.HasSuffix(base, ".md"):
		return "doc"
	}
	return "weight"
}

// folder is the place of a model's files: a folder, or one file in it.
type folder struct {
	root *os.Root
	only string
}

func open(name string) (*folder, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	f := &folder{}
	if !info.IsDir() {
		f.only = path.Base(name)
		name = path.Dir(name)
	}
	f.root, err = os.OpenRoot(name)
	return f, err
}

func (f *folder) close() { _ = f.root.Close() } // it was only read

func (f *folder) open(name string) (*os.File, error) {
	if f.only != "" && name != f.only {
		return nil, fs.ErrNotExist
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, file.Close(), fmt.Errorf("%s is no regular file", name))
	}
	return file, nil
}

// counted tells what was read.
type counted struct {
	*os.File
	progress func(int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.File.Read(p)
	c.progress(int64(n))
	return n, err
}
