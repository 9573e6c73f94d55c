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
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

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

// Annotations by which other tools may name the file that a layer becomes: where
// one of them says another name, what is judged is not what they lay down.
const (
	annotationMetadata = "org.cncf.model.file.metadata+json"
	annotationOldPath  = "org.cnai.model.filepath"        // before the project was renamed
	annotationTitle    = "org.opencontainers.image.title" // ORAS
)

const (
	// maxConfig is the size of a model's configuration; those of images, which
	// may hold models too, come near it with long histories.
	maxConfig = 4 << 20
	// maxPath and maxName are what Linux takes for a path and for one of its
	// names; maxFolders is far deeper than any model and bounds the work.
	maxPath, maxName, maxFolders = 4096, 255, 64
	// maxLicenses and maxText bound what is kept of a configuration.
	maxLicenses, maxText = 64, 1024
)

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

// Read says what the manifest and its configuration say of the model. The
// document comes from [oci.Manifest.Document], so its descriptors are sound.
func Read(doc *oci.Document, raw []byte) (fact.Model, error) {
	m := fact.Model{ArtifactType: doc.ArtifactType}
	if doc.ArtifactType == TypeModel || doc.Config.MediaType == TypeConfig {
		if err := readConfig(raw, &m); err != nil {
			return fact.Model{}, fmt.Errorf("the configuration cannot be read: %w", err)
		}
	} else if !json.Valid(raw) {
		return fact.Model{}, errors.New("the configuration is no JSON")
	}
	if len(doc.Layers) == 0 {
		return fact.Model{}, errors.New("the artifact has no layers")
	}
	packed := false
	for i := range doc.Layers {
		l := &doc.Layers[i]
		f := fact.ModelFile{Digest: l.Digest, Size: l.Size, MediaType: l.MediaType}
		if isRaw(l.MediaType) {
			var err error
			if f.Path, err = pathOf(l); err != nil {
				return fact.Model{}, fmt.Errorf("layer %d: %w", i, err)
			}
		} else {
			f.Packed, packed = true, true
		}
		m.Files = append(m.Files, f)
	}
	if err := checkTogether(m.Files); err != nil {
		return fact.Model{}, err
	}
	if !packed {
		m.Root = Root(m.Files)
	}
	return m, nil
}

func readConfig(raw []byte, m *fact.Model) error {
	var c config
	if err := bounded.JSON(raw, 32, &c); err != nil {
		return err
	}
	d := &c.Descriptor
	if len(d.Licenses) > maxLicenses {
		return fmt.Errorf("it states %d licences; at most %d are read", len(d.Licenses), maxLicenses)
	}
	for _, text := range append([]string{d.Name, d.Family, c.Config.Architecture, c.Config.Format}, d.Licenses...) {
		if len(text) > maxText {
			return fmt.Errorf("a text in it has %d bytes; at most %d are read", len(text), maxText)
		}
	}
	m.Name, m.Family, m.Licenses, m.Created = d.Name, d.Family, d.Licenses, d.CreatedAt
	m.Architecture, m.Format = c.Config.Architecture, c.Config.Format
	return nil
}

// isRaw tells layers that are a file as it is from those that are packed.
func isRaw(mediaType string) bool {
	return strings.HasPrefix(mediaType, typePrefix) && strings.HasSuffix(mediaType, typeRaw)
}

// pathOf returns the path of the file that the layer is, which all of its
// annotations have to agree on.
func pathOf(l *oci.Descriptor) (string, error) {
	p := l.Annotations[AnnotationPath]
	if err := CheckPath(p); err != nil {
		return "", err
	}
	for _, key := range []string{annotationTitle, annotationOldPath} {
		if other, ok := l.Annotations[key]; ok && other != p && other != path.Base(p) {
			return "", fmt.Errorf("the path is %q, and the annotation %s says %q", p, key, clip(other))
		}
	}
	text, ok := l.Annotations[annotationMetadata]
	if !ok {
		return p, nil
	}
	var about struct {
		Name string `json:"name"`
		Type int    `json:"typeflag"` // as in a tar archive
		Size *int64 `json:"size"`
	}
	if err := bounded.JSON([]byte(text), 4, &about); err != nil {
		return "", fmt.Errorf("the metadata of %q cannot be read: %w", p, err)
	}
	switch {
	case about.Name != "" && about.Name != p && about.Name != path.Base(p):
		return "", fmt.Errorf("the path is %q, and its metadata says %q", p, clip(about.Name))
	case about.Type != 0 && about.Type != '0':
		return "", fmt.Errorf("the metadata of %q says that it is no regular file (type %d)", p, about.Type)
	case about.Size != nil && *about.Size != l.Size:
		return "", fmt.Errorf("%q has %d bytes, and its metadata says %d", p, l.Size, *about.Size)
	}
	return p, nil
}

func clip(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
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
// folder, different systems would read it differently, or people would.
func CheckPath(p string) error {
	switch {
	case p == "":
		return fmt.Errorf("it names no path (annotation %s)", AnnotationPath)
	case len(p) > maxPath || !utf8.ValidString(p):
		return errors.New("the path is too long or no UTF-8")
	case strings.ContainsFunc(p, func(r rune) bool {
		return r == '\\' || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
	}):
		return fmt.Errorf("the path %q holds a backslash, a control character or one that nobody sees", clip(p))
	case path.IsAbs(p) || path.Clean(p) != p || p == "." || p == ".." || strings.HasPrefix(p, "../"):
		return fmt.Errorf("the path %q is not a plain path below the model's folder", clip(p))
	case len(p) > 1 && p[1] == ':':
		return fmt.Errorf("the path %q begins with a drive letter", clip(p))
	case strings.Count(p, "/") > maxFolders:
		return fmt.Errorf("the path %q is more than %d folders deep", clip(p), maxFolders)
	}
	for name := range strings.SplitSeq(p, "/") {
		if len(name) > maxName {
			return fmt.Errorf("the path %q has a name of more than %d bytes", clip(p), maxName)
		}
	}
	return nil
}

// checkTogether refuses paths that no folder could hold beside each other, on
// any system.
func checkTogether(files []fact.ModelFile) error {
	names := make(map[string]string, len(files))
	for i := range files {
		if files[i].Packed {
			continue
		}
		key := folded(files[i].Path)
		if other, twice := names[key]; twice {
			return fmt.Errorf("%q and %q are one file where case or composition of characters does not count", clip(other), clip(files[i].Path))
		}
		names[key] = files[i].Path
	}
	for i := range files {
		for dir := path.Dir(folded(files[i].Path)); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if name, isFile := names[dir]; isFile {
				return fmt.Errorf("the path %q is a file and a folder", clip(name))
			}
		}
	}
	return nil
}

// folded is equal for names that a file system may take for one: they differ in
// case or in how their characters are composed (Unicode TR15, TR36 §2.10.2).
func folded(name string) string {
	return norm.NFKC.String(strings.ToLower(strings.ToUpper(norm.NFKC.String(name))))
}
