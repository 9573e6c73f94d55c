package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

// Packed is a model that was pushed by its digest. No tag names it before
// [Packed.Tag], so that what is signed about it can be attached first.
type Packed struct {
	Descriptor oci.Descriptor
	Model      fact.Model

	registry *oci.Client
	ref      reference.Reference
	raw      []byte
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

// Pack pushes the files below root to the repository of the reference, by the
// artifact's digest: the reference's tag is made by [Packed.Tag]. files are those
// that were hashed, with their digests, and formats what each was recognised as by
// its content (by path; may be nil). A file that changed since is an error, and
// nothing refers to it. progress is told the bytes as they are sent.
//
// What is there already is not sent again, so an interrupted call is repeated.
func Pack(ctx context.Context, registry *oci.Client, ref reference.Reference, root string, files []fact.ModelFile, formats map[string]string, d Description, progress func(int64)) (*Packed, error) {
	if ref.Tag == "" || ref.Digest != "" {
		return nil, fmt.Errorf("pack needs a tag to push to, such as %s:v1", ref.Name())
	}
	if progress == nil {
		progress = func(int64) {}
	}
	repo := ref.Name()
	doc, rawConfig, err := describe(files, formats, &d)
	if err != nil {
		return nil, err
	}
	// Whoever pulls the model reads it so; what they would refuse is not pushed.
	m, err := Read(&oci.Document{ArtifactType: TypeModel, Config: doc.Config, Layers: doc.Layers}, rawConfig)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	if len(raw) > oci.ManifestBytes {
		return nil, fmt.Errorf("the paths are too long: the manifest would have %d bytes, and registries take %d", len(raw), oci.ManifestBytes)
	}
	folder, err := open(root)
	if err != nil {
		return nil, err
	}
	defer folder.close()
	for i := range doc.Layers {
		if err := folder.push(ctx, registry, repo, &doc.Layers[i], m.Files[i].Path, progress); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Files[i].Path, err)
		}
	}
	if _, err := registry.PushBlob(ctx, repo, TypeConfig, rawConfig); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	pushed, err := registry.PushManifest(ctx, repo, "sha256:"+hex.EncodeToString(sum[:]), oci.MediaTypeManifest, raw)
	if err != nil {
		return nil, err
	}
	return &Packed{Descriptor: pushed, Model: m, registry: registry, ref: ref, raw: raw}, nil
}

// describe makes the manifest and the configuration, both of which depend on
// nothing but what is given.
func describe(files []fact.ModelFile, formats map[string]string, d *Description) (*manifestJSON, []byte, error) {
	switch {
	case len(files) == 0:
		return nil, nil, errors.New("the model has no files")
	case len(files) > oci.MaxLayers:
		return nil, nil, fmt.Errorf("the model has %d files; an artifact holds at most %d, one to a layer", len(files), oci.MaxLayers)
	}
	doc := &manifestJSON{SchemaVersion: 2, MediaType: oci.MediaTypeManifest, ArtifactType: TypeModel}
	settings := configJSON{
		Descriptor: descriptorJSON{Family: d.Family, Name: d.Name, Version: d.Version, Licenses: d.Licenses},
		Config:     settingsJSON{Architecture: d.Architecture, Format: d.Format},
		ModelFS:    modelFSJSON{Type: "layers"},
	}
	if !d.Created.IsZero() {
		created := d.Created.UTC().Truncate(time.Second)
		settings.Descriptor.CreatedAt = &created
	}
	for _, f := range slices.SortedFunc(slices.Values(files), func(a, b fact.ModelFile) int { return strings.Compare(a.Path, b.Path) }) {
		doc.Layers = append(doc.Layers, oci.Descriptor{MediaType: typePrefix + role(f.Path, formats[f.Path]) + typeRaw, Digest: f.Digest, Size: f.Size,
			Annotations: map[string]string{AnnotationPath: f.Path}})
		settings.ModelFS.DiffIDs = append(settings.ModelFS.DiffIDs, f.Digest)
	}
	rawConfig, err := json.Marshal(settings)
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(rawConfig)
	doc.Config = oci.Descriptor{MediaType: TypeConfig, Digest: verdict.Digest("sha256:" + hex.EncodeToString(sum[:])), Size: int64(len(rawConfig))}
	return doc, rawConfig, nil
}

// Tag lets the reference's tag name the model. What it refers to is there
// already, so nobody sees the tag without it.
func (p *Packed) Tag(ctx context.Context) error {
	_, err := p.registry.PushManifest(ctx, p.ref.Name(), p.ref.Tag, oci.MediaTypeManifest, p.raw)
	if err == nil {
		return nil
	}
	kept := fmt.Sprintf("the model is kept as %s@%s", p.ref.Name(), p.Descriptor.Digest)
	status := 0
	if e, ok := errors.AsType[*oci.Error](err); ok {
		status = e.Status
	}
	switch status {
	case http.StatusConflict:
		return fmt.Errorf("the tag %s names another artifact and may not move; %s: give it another tag: %w", p.ref.Tag, kept, err)
	case http.StatusForbidden:
		return fmt.Errorf("the registry does not let the tag %s name the model, by the policies of its gate or for want of permission; %s, and apex verify oci://%s@%s says what is missing: %w",
			p.ref.Tag, kept, p.ref.Name(), p.Descriptor.Digest, err)
	}
	return fmt.Errorf("%s, without the tag %s: %w", kept, p.ref.Tag, err)
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
	// The system's table of media types would make the digest depend on the machine.
	switch path.Ext(base) {
	case ".json", ".yaml", ".yml", ".txt":
		return "weight.config"
	case ".md", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp":
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
		f.only = filepath.Base(name)
		name = filepath.Dir(name)
	}
	f.root, err = os.OpenRoot(name)
	return f, err
}

func (f *folder) close() { _ = f.root.Close() } // it was only read

// errChanged is the refusal of a file that is not the one that was hashed.
var errChanged = errors.New("the file changed while it was packed; pack again")

// push sends one file, and sees to it that what was sent is what was hashed,
// whether the registry does or not.
func (f *folder) push(ctx context.Context, registry *oci.Client, repo string, layer *oci.Descriptor, name string, progress func(int64)) error {
	var last *source
	err := registry.PushStream(ctx, repo, *layer, func() (io.ReadCloser, error) {
		file, err := f.open(name, layer.Size)
		if err != nil {
			return nil, err
		}
		last = &source{file: file, sum: sha256.New(), left: layer.Size, progress: progress}
		return last, nil
	})
	if errors.Is(err, errChanged) || last != nil && last.changed(layer.Digest) {
		return errChanged
	}
	return err
}

func (f *folder) open(name string, size int64) (*os.File, error) {
	if f.only != "" && name != f.only {
		return nil, fs.ErrNotExist
	}
	// What is no file is not opened: a pipe would wait for its writer.
	if info, err := f.root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(errChanged, err)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() != size {
		return nil, errors.Join(errChanged, err, file.Close())
	}
	return file, nil
}

// source gives exactly as many bytes of a file as were hashed, and hashes them
// again. A registry may answer while it is still being read, hence the mutex.
type source struct {
	mu       sync.Mutex
	file     *os.File
	sum      hash.Hash
	left     int64
	short    bool
	progress func(int64)
}

func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.file.Read(p[:min(int64(len(p)), s.left)])
	s.sum.Write(p[:n])
	s.left -= int64(n)
	s.progress(int64(n))
	s.short = err == io.EOF && s.left > 0
	return n, err
}

func (s *source) Close() error { return s.file.Close() }

// changed says whether the file proved to be another than the one with the digest.
func (s *source) changed(want verdict.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.short || s.left == 0 && verdict.Digest("sha256:"+hex.EncodeToString(s.sum.Sum(nil))) != want
}
