package document

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/purl"
	"github.com/apexlogic/apex/verdict"
)

// Builder makes an inventory of what a document says, in whichever order it says
// it. It is for one document and one goroutine.
type Builder struct {
	inventory fact.Inventory
	layers    []string // diffIDs per package, "" where none is named
	subjects  []verdict.Digest
}

// NewBuilder returns a builder of an inventory that the named tool made.
func NewBuilder(source string) *Builder {
	return &Builder{inventory: fact.Inventory{Source: source, Packages: []fact.Package{}}}
}

// Inventory is what was built so far, to fill in what stands once in a document.
func (b *Builder) Inventory() *fact.Inventory { return &b.inventory }

// Layer adds the digest of the next layer's uncompressed archive; text that is
// no digest is passed over.
func (b *Builder) Layer(diffID string) error {
	d, err := verdict.ParseDigest(diffID)
	if err != nil {
		return nil
	}
	if len(b.inventory.Layers) == MaxInner {
		return fmt.Errorf("%w (%d layers)", ErrTooMany, MaxInner)
	}
	b.inventory.Layers = append(b.inventory.Layers, d)
	return nil
}

// Subject notes the digest of the image that the document is about; text that is
// none, "name@sha256:…" included, is cut down to it or passed over.
func (b *Builder) Subject(text string) {
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		text = text[i+1:]
	}
	if d, err := verdict.ParseDigest(text); err == nil && !slices.Contains(b.subjects, d) && len(b.subjects) < MaxInner {
		b.subjects = append(b.subjects, d)
	}
}

// Gap notes that something could not be read. More than are kept are counted by
// nobody: one gap says as much as all of them.
func (b *Builder) Gap(path, why string) {
	if len(b.inventory.Gaps) < maxGaps {
		b.inventory.Gaps = append(b.inventory.Gaps, fact.Gap{Path: Clip(Clean(path), MaxText), Layer: -1, Why: Clip(Clean(why), 500)})
	}
}

// Identify says which package a URL, a name and a version mean. The URL is what
// counts; the name and version beside it count where they say the same in the
// package's own spelling, and where the URL says nothing. Without a URL it is a
// package of the ecosystem "generic". A URL that cannot be read is a gap: nobody
// can say what is known about that package.
func (b *Builder) Identify(url, name, version string) fact.Package {
	if url == "" {
		return fact.Package{Ecosystem: "generic", Name: name, Version: version, Layer: -1}
	}
	p, err := purl.From(url)
	if err != nil {
		b.Gap(name, "its package URL cannot be read, so nothing can be known about it: "+err.Error())
		return fact.Package{Ecosystem: "generic", Name: name, Version: version, Layer: -1}
	}
	p.Layer = -1
	if purl.Same(p.Name, name) {
		p.Name = name
	}
	if p.Version == "" {
		p.Version = version
	}
	return p
}

// Add keeps a package; diffID names the layer that brought it, "" for none. A
// package without a name is passed over. Its Layer is set by [Builder.Finish],
// unless it is set already by a document that counts layers: -1 is not set.
func (b *Builder) Add(p fact.Package, diffID string) error {
	if p.Name == "" {
		return nil
	}
	if len(b.inventory.Packages) == MaxPackages {
		return fmt.Errorf("%w (%d packages)", ErrTooMany, MaxPackages)
	}
	for _, field := range [...]*string{&p.Ecosystem, &p.Name, &p.Version, &p.SourceName, &p.SourceVersion, &p.Arch, &p.Path, &p.Owner, &p.By} {
		if len(*field) > MaxText {
			return fmt.Errorf("package %.100q: %q: %w", p.Name, Clip(*field, 100), ErrTooLong)
		}
		*field = Clean(*field)
	}
	p.Path = Path(p.Path)
	b.inventory.Packages = append(b.inventory.Packages, p)
	b.layers = append(b.layers, diffID)
	return nil
}

// Finish returns the inventory.
func (b *Builder) Finish() fact.Inventory {
	inv := &b.inventory
	index := make(map[string]int, len(inv.Layers))
	for i, d := range slices.Backward(inv.Layers) {
		index[string(d)] = i // of equal ones the lowest
	}
	for i := range inv.Packages {
		p := &inv.Packages[i]
		if p.Layer < -1 || p.Layer >= len(inv.Layers) {
			p.Layer = -1
		}
		if at, ok := index[b.layers[i]]; ok && (p.Layer < 0 || string(inv.Layers[p.Layer]) != b.layers[i]) {
			p.Layer = at
		}
	}
	// A document about several images is about none that one could name.
	if inv.Subject.Digest == "" && len(b.subjects) == 1 {
		inv.Subject = verdict.Ref{Kind: verdict.KindImage, Repo: inv.Subject.Repo, Digest: b.subjects[0]}
	}
	inv.Source, inv.Version = Clip(Clean(inv.Source), 256), Clip(Clean(inv.Version), 256)
	return *inv
}

// Path is a path as inventories write it: cleaned, without a leading slash.
func Path(p string) string {
	if p == "" {
		return ""
	}
	return strings.TrimPrefix(path.Clean("/"+p), "/")
}

// StateOf says how a package is present that a file of this path names. Tools do
// not say it; a lock file is known by its name.
func StateOf(file string) fact.PackageState {
	switch name := path.Base(file); name {
	case "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "poetry.lock", "uv.lock", "pdm.lock",
		"Pipfile.lock", "pylock.toml", "Cargo.lock", "Gemfile.lock", "composer.lock", "go.mod", "go.sum", "mix.lock", "pubspec.lock",
		"packages.lock.json", "conan.lock", "Package.resolved", "Podfile.lock", "gradle.lockfile":
		return fact.Locked
	default:
		if strings.HasPrefix(name, "requirements") && strings.HasSuffix(name, ".txt") {
			return fact.Locked
		}
	}
	return fact.Installed
}

// FullVersion puts together the parts in which tools state versions of
// distributions' packages; an epoch of 0 compares as none.
func FullVersion(epoch, version, release string) string {
	if release != "" {
		version += "-" + release
	}
	if strings.Trim(epoch, "0") == "" || version == "" {
		return version
	}
	return epoch + ":" + version
}
