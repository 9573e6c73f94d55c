// Package artifact reads and writes models as OCI artifacts in the CNCF
// ModelPack format: one manifest whose layers are the files of the model.
//
// Start with [Inspector.Resolve] and [Inspector.Model] for what a reference
// names and what it consists of; nothing of the files themselves is fetched for
// that. [Pack] writes an artifact, [Pull] brings its files into a folder after
// they were verified.
//
// Files are packed one to a layer and as they are, so that a layer's digest is
// the file's: then an OpenSSF Model Signing bundle can be compared with the
// manifest alone, and what was signed is what a runtime mounts.
//
// Source: the CNCF Model Spec (modelpack/model-spec), v0.0.7.
package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/verdict"
)

// The media types of ModelPack.
const (
	TypeModel  = "application/vnd.cncf.model.manifest.v1+json" // artifactType
	TypeConfig = "application/vnd.cncf.model.config.v1+json"

	typePrefix = "application/vnd.cncf.model."
	typeRaw    = ".v1.raw"
)

// AnnotationPath is the layer annotation with the file's path.
const AnnotationPath = "org.cncf.model.filepath"

// maxConfig is the size of a model's configuration; those of images, which may
// hold models too, come near it with long histories.
const maxConfig = 4 << 20

// config is ModelPack's configuration, as far as it is read.
type config struct {
	Descriptor struct {
		CreatedAt time.Time `json:"createdAt"`
		Family    string    `json:"family"`
		Name      string    `json:"name"`
		Licenses  []string  `json:"licenses"`
	} `json:"descriptor"`
	Config struct {
		Architecture string `json:"architecture"`
		Format       string `json:"format"`
	} `json:"config"`
}

// Read says what the manifest and its configuration say of the model.
func Read(doc *oci.Document, raw []byte) (fact.Model, error) {
	m := fact.Model{ArtifactType: doc.ArtifactType}
	if doc.ArtifactType == TypeModel || doc.Config.MediaType == TypeConfig {
		var c config
		if err := bounded.JSON(raw, 32, &c); err != nil {
			return fact.Model{}, fmt.Errorf("the configuration cannot be read: %w", err)
		}
		m.Name, m.Family, m.Licenses, m.Created = c.Descriptor.Name, c.Descriptor.Family, c.Descriptor.Licenses, c.Descriptor.CreatedAt
		m.Architecture, m.Format = c.Config.Architecture, c.Config.Format
	} else if !json.Valid(raw) {
		return fact.Model{}, fmt.Errorf("the configuration is no JSON")
	}
	packed := false
	seen := map[string]bool{}
	for i := range doc.Layers {
		l := &doc.Layers[i]
		f := fact.ModelFile{Digest: l.Digest, Size: l.Size, MediaType: l.MediaType}
		if strings.HasPrefix(l.MediaType, typePrefix) && strings.HasSuffix(l.MediaType, typeRaw) {
			f.Path = l.Annotations[AnnotationPath]
			if err := CheckPath(f.Path); err != nil {
				return fact.Model{}, fmt.Errorf("layer %d: %w", i, err)
			}
			if folded := strings.ToLower(f.Path); seen[folded] {
				return fact.Model{}, fmt.Errorf("layer %d: the path %q is there twice, or twice but for its case", i, f.Path)
			} else {
				seen[folded] = true
			}
		} else {
			f.Packed, packed = true, true
		}
		m.Files = append(m.Files, f)
	}
	if err := noFileIsAFolder(m.Files); err != nil {
		return fact.Model{}, err
	}
	if len(m.Files) == 0 {
		return fact.Model{}, fmt.Errorf("the artifact has no layers")
	}
	if !packed {
		m.Root = Root(m.Files)
	}
	return m, nil
}

// Root is the OpenSSF Model Signing root of files: the hash over the hashes of
// their contents, in the order of their paths.
func Root(files []fact.ModelFile) verdict.Digest {
	return hashInOrder(slices.SortedFunc(slices.Values(files), func(a, b fact.ModelFile) int { return strings.Compare(a.Path, b.Path) }))
}

func hashInOrder(files []fact.ModelFile) verdict.Digest {
	sum := sha256.New()
	for i := range files {
		raw, err := hex.DecodeString(files[i].Digest.Hex())
		if err != nil {
			return ""
		}
		sum.Write(raw)
	}
	return verdict.Digest("sha256:" + hex.EncodeToString(sum.Sum(nil)))
}

// Roots are the digests by which signers may name the files of the model. Text
// and path components sort differently where a name holds a character below
// "/", and both orders are in use.
func Roots(m *fact.Model) []verdict.Digest {
	if m.Root == "" {
		return nil
	}
	roots := []verdict.Digest{m.Root}
	byParts := slices.SortedFunc(slices.Values(m.Files), func(a, b fact.ModelFile) int {
		return slices.Compare(strings.Split(a.Path, "/"), strings.Split(b.Path, "/"))
	})
	if other := hashInOrder(byParts); other != m.Root {
		roots = append(roots, other)
	}
	return roots
}

// CheckPath says why a file of a model cannot have the path: it leaves the
// folder, or different systems would read it differently.
func CheckPath(p string) error {
	switch {
	case p == "":
		return fmt.Errorf("it names no path (annotation %s)", AnnotationPath)
	case len(p) > 4096 || !utf8.ValidString(p):
		return fmt.Errorf("the path is too long or no UTF-8")
	case strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return fmt.Errorf("the path %q holds a control character or a backslash", p)
	case path.IsAbs(p) || path.Clean(p) != p || p == "." || p == ".." || strings.HasPrefix(p, "../"):
		return fmt.Errorf("the path %q is not a plain path below the model's folder", p)
	case len(p) > 1 && p[1] == ':':
		return fmt.Errorf("the path %q begins with a drive letter", p)
	}
	return nil
}

func noFileIsAFolder(files []fact.ModelFile) error {
	names := map[string]bool{}
	for i := range files {
		names[files[i].Path] = true
	}
	for i := range files {
		for dir := path.Dir(files[i].Path); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if names[dir] {
				return fmt.Errorf("the path %q is a file and a folder", dir)
			}
		}
	}
	return nil
}
