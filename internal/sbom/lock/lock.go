// Package lock reads what programs ask for and what their package managers
// settled on: lock files, requirements, and the packages that Node.js finds in
// node_modules.
//
// Start at [Extractors], which the inventory runs over every file; each kind of
// file has one source file here. A lock file names exact versions, so its
// packages are [fact.Locked]; a requirement that leaves the version open is
// [fact.Declared], without a version.
//
// Attributes that these extractors set beyond those of [fact.Package]: "optional"
// (installed where it can be), "local" (a folder beside the lock file rather than
// a published package: advisories about a published one of that name do not
// apply), "marker:…" (only where the environment marker holds), "replaced" (a
// Go module whose code comes from a local folder).
//
// Lock files inside of installed packages (site-packages, node_modules, Go's
// module cache) say what their authors used, not what is here: they are not read.
//
// Sources: docs.npmjs.com (package-lock.json 1 to 3), the formats that Yarn,
// pnpm, uv, Poetry, PDM, Pipenv, Cargo, Bundler and Composer write, pip's
// requirements file format, PEP 508, PEP 751, go.dev/ref/mod, and the W3C's
// Subresource Integrity.
package lock

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
	"github.com/apexlogic/apex/internal/sbom/python"
)

const (
	// maxPackages is how many packages one lock file may name; the largest
	// repositories have 20,000.
	maxPackages = 500_000
	// maxName bounds names and versions: npm allows 214 bytes, Go's module
	// paths are the longest that are seen.
	maxName = 1024
	// maxHashes bounds the hashes of one package: one for each wheel of it.
	maxHashes = 1024
)

// Extractors lists the extractors of this package.
func Extractors() []extract.Extractor {
	return []extract.Extractor{
		npmLock(),
		nodeModule(),
		named("yarn-lock", parseYarn, "yarn.lock"),
		named("pnpm-lock", parsePNPM, "pnpm-lock.yaml"),
		named("uv-lock", parseUV, "uv.lock"),
		named("poetry-lock", parsePoetry, "poetry.lock"),
		named("pdm-lock", parsePDM, "pdm.lock"),
		pylock(),
		requirements(),
		named("pipfile-lock", parsePipfile, "Pipfile.lock"),
		named("go-mod", parseGoMod, "go.mod"),
		named("cargo-lock", parseCargo, "Cargo.lock"),
		named("gemfile-lock", parseGemfile, "Gemfile.lock", "gems.locked"),
		named("composer-lock", parseComposer, "composer.lock"),
	}
}

// parser reads the bytes of one kind of file.
type parser func(l *list, data []byte) error

// named makes an extractor of text files that are called so.
func named(name string, parse parser, bases ...string) extract.Extractor {
	return extract.Extractor{
		Name: name,
		Wants: func(p string, _ fs.FileMode, _ int64) bool {
			return slices.Contains(bases, base(p)) && !foreign(p)
		},
		Extract: parse.reading(name, extract.MaxText),
	}
}

// reading wraps the parser with all that parsers share: the file is read whole,
// and errors name it.
func (parse parser) reading(name string, limit int64) func(context.Context, *extract.File, func(fact.Package)) error {
	return func(ctx context.Context, f *extract.File, add func(fact.Package)) error {
		r, err := f.Open()
		if err != nil {
			return fmt.Errorf("open %s: %w", f.Path, err)
		}
		defer r.Close()
		data, err := bounded.ReadAll(r, limit)
		if err != nil {
			return fmt.Errorf("read %s: %w", f.Path, err)
		}
		data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
		l := &list{ctx: ctx, file: f, by: name}
		err = parse(l, data)
		for _, p := range l.packages {
			add(p)
		}
		if err != nil && !errors.Is(err, extract.ErrSkip) {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		return err
	}
}

// base returns the last element of a path.
func base(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }

// foreign says whether the path is inside of an installed package.
func foreign(p string) bool {
	return inFolder(p, "node_modules") || inFolder(p, "site-packages") || inFolder(p, "dist-packages") || strings.Contains(p, "/pkg/mod/")
}

// inFolder says whether a folder of that name is on the path.
func inFolder(p, name string) bool {
	for {
		i := strings.Index(p, name)
		if i < 0 {
			return false
		}
		end := i + len(name)
		if (i == 0 || p[i-1] == '/') && end < len(p) && p[end] == '/' {
			return true
		}
		p = p[end:]
	}
}

// list takes the packages of one file. A package that the file names several
// times, because several others need it, is one.
type list struct {
	ctx      context.Context
	file     *extract.File
	by       string
	packages []fact.Package
	index    map[id]int
	puts     int
}

// id is what makes two entries of a file the same package.
type id struct{ ecosystem, name, version, purl string }

// put fills in where the package was found and keeps it. Packages without a name
// are passed over: they are no packages.
func (l *list) put(p fact.Package) error {
	if p.Name == "" {
		return nil
	}
	if len(p.Name) > maxName || len(p.Version) > maxName {
		return fmt.Errorf("the name or version of package %d is longer than %d bytes", l.puts+1, maxName)
	}
	if l.puts++; l.puts > maxPackages {
		return fmt.Errorf("%w of %d packages", bounded.ErrTooMany, maxPackages)
	}
	if l.puts%1024 == 0 {
		if err := l.ctx.Err(); err != nil {
			return err
		}
	}
	if len(p.Hashes) > maxHashes {
		p.Hashes = p.Hashes[:maxHashes]
	}
	p.Name, p.Version = strings.ToValidUTF8(p.Name, "\uFFFD"), strings.ToValidUTF8(p.Version, "\uFFFD")
	p.Path, p.Layer, p.By = l.file.Path, -1, l.by
	key := id{p.Ecosystem, p.Name, p.Version, p.PURL}
	if i, ok := l.index[key]; ok {
		merge(&l.packages[i], p)
		return nil
	}
	if l.index == nil {
		l.index = map[id]int{}
	}
	l.index[key] = len(l.packages)
	l.packages = append(l.packages, p)
	return nil
}

// merge folds a second entry of a package into the first. What one of them asks
// for is asked for; what one of them needs always is not only for development,
// optional, or for some environments.
func merge(into *fact.Package, p fact.Package) {
	var both []string
	for _, a := range into.Attributes {
		if a == "direct" || slices.Contains(p.Attributes, a) {
			both = append(both, a)
		}
	}
	if p.Has("direct") && !slices.Contains(both, "direct") {
		both = append(both, "direct")
	}
	into.Attributes = both
	for _, h := range p.Hashes {
		if len(into.Hashes) < maxHashes && !slices.Contains(into.Hashes, h) {
			into.Hashes = append(into.Hashes, h)
		}
	}
}

// kind is an ecosystem with its type of package URL.
type kind struct{ ecosystem, purl string }

var (
	npm      = kind{"npm", packageurl.TypeNPM}
	cargo    = kind{"crates.io", packageurl.TypeCargo}
	gem      = kind{"RubyGems", packageurl.TypeGem}
	composer = kind{"Packagist", packageurl.TypeComposer}
	golang   = kind{"Go", packageurl.TypeGolang}
	pypi     = kind{python.Ecosystem, packageurl.TypePyPi}
)

// at makes a package of the kind. Qualifiers of its URL come in pairs of key and
// value; those without a value are left out.
func (k kind) at(name, version string, qualifiers ...string) fact.Package {
	u := packageurl.PackageURL{Type: k.purl, Name: name, Version: version}
	if i := strings.LastIndexByte(name, '/'); i >= 0 && k != pypi {
		u.Namespace, u.Name = name[:i], name[i+1:]
	}
	for i := 0; i+1 < len(qualifiers); i += 2 {
		u.Qualifiers = append(u.Qualifiers, packageurl.Qualifier{Key: qualifiers[i], Value: qualifiers[i+1]})
	}
	p := fact.Package{Ecosystem: k.ecosystem, Name: name, Version: version, State: fact.Locked}
	if u.Normalize() == nil {
		p.PURL = u.ToString()
	}
	return p
}

// sri returns the hashes of an integrity attribute, as "sha512:<hex>".
func sri(integrity string) []string {
	var out []string
	for one := range strings.FieldsSeq(integrity) {
		algorithm, sum, ok := strings.Cut(one, "-")
		sum, _, _ = strings.Cut(sum, "?") // options
		raw, err := base64.StdEncoding.DecodeString(sum)
		if !ok || err != nil || len(out) >= maxHashes {
			continue
		}
		switch algorithm {
		case "sha1", "sha256", "sha384", "sha512":
			out = append(out, algorithm+":"+hex.EncodeToString(raw))
		}
	}
	return out
}

// checksum returns "sha256:<hex>" of that text or of "sha256=<hex>", nil when it
// is neither.
func checksum(text string) []string {
	algorithm, sum, ok := strings.Cut(strings.Replace(text, "=", ":", 1), ":")
	if _, err := hex.DecodeString(sum); !ok || err != nil || sum == "" || len(algorithm) > 16 {
		return nil
	}
	return []string{strings.ToLower(algorithm) + ":" + strings.ToLower(sum)}
}

// attribute is the name of one, and whether the package has it.
type attribute struct {
	name string
	has  bool
}

// attributes returns the names of those that the package has.
func attributes(all ...attribute) []string {
	var out []string
	for _, a := range all {
		if a.has {
			out = append(out, a.name)
		}
	}
	return out
}
