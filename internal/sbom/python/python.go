// Package python finds Python packages: what pip, uv, conda and setuptools
// leave behind where they install, in folders and in zip archives.
//
// Start at [Extractors], which the inventory runs over every file. [Normalize]
// is the form of a name that indexes and advisories are keyed by, [PURL] writes
// package URLs, and [Imports] says what a source file imports, which together
// with [ImportNames] answers "is this package imported at all".
//
// Attributes that these extractors set beyond those of [fact.Package]:
// "installer:pip" names the program that INSTALLER credits, and "mapped" marks
// a PyPI package that only a conda record vouches for.
//
// Sources: the "Recording installed projects", "Core metadata", "Direct URL" and
// "Binary distribution format" specifications of packaging.python.org (PEP 376,
// 503, 508, 566, 610, 627, 639, 794), setuptools' and conda's file formats, and
// purl-spec for the types pypi and conda.
package python

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/sbom/extract"
)

// Ecosystem is how OSV spells the index of Python packages.
const Ecosystem = "PyPI"

// Extractors lists the extractors of this package.
func Extractors() []extract.Extractor {
	return []extract.Extractor{
		{Name: "python-dist-info", Wants: wantsDistInfo, Extract: extractDistInfo},
		{Name: "python-egg-info", Wants: wantsEggInfo, Extract: extractEggInfo},
		{Name: "python-egg-link", Wants: wantsEggLink, Extract: extractEggLink},
		{Name: "python-archive", Wants: wantsArchive, Extract: extractArchive},
		{Name: "conda", Wants: wantsConda, Extract: extractConda},
	}
}

// Normalize returns the form of a project's name that all its spellings share:
// lower case, with each run of "-", "_" and "." as one "-" (PEP 503).
func Normalize(name string) string {
	var b strings.Builder
	b.Grow(len(name))
	dash := false
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '-' || c == '_' || c == '.':
			if !dash {
				b.WriteByte('-')
			}
			dash = true
			continue
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		dash = false
		b.WriteByte(c)
	}
	return b.String()
}

// PURL returns the package URL of a project on PyPI, "" when the name is empty.
// The name is spelled as purl-spec's type pypi has it, in lower case with "-"
// for "_"; "+" and "!" of a version are percent-encoded. Qualifiers come in
// pairs of key and value; those without a value are left out.
func PURL(name, version string, qualifiers ...string) string {
	return purl(packageurl.TypePyPi, name, version, qualifiers...)
}

func purl(kind, name, version string, qualifiers ...string) string {
	u := packageurl.PackageURL{Type: kind, Name: name, Version: version}
	for i := 0; i+1 < len(qualifiers); i += 2 {
		u.Qualifiers = append(u.Qualifiers, packageurl.Qualifier{Key: qualifiers[i], Value: qualifiers[i+1]})
	}
	if err := u.Normalize(); err != nil {
		return ""
	}
	return u.ToString()
}

// CleanURL returns a URL without what may be secret in it: user, password,
// query and fragment. What is no URL is "".
func CleanURL(raw string) string {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Scheme == "" {
		return ""
	}
	if u.Opaque != "" { // git+ssh:git@host:path and the like cannot be told apart from user names
		return ""
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String()
}

// read returns the whole file, which may have at most limit bytes.
func read(f *extract.File, limit int64) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Path, err)
	}
	defer r.Close()
	data, err := bounded.ReadAll(r, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Path, err)
	}
	return data, nil
}

// readHead returns the first limit bytes of the file, or all of it.
func readHead(f *extract.File, limit int64) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Path, err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Path, err)
	}
	return data, nil
}

// optional reads a file that need not be there: then both results are nil.
func optional(t extract.Tree, path string, limit int64) ([]byte, error) {
	if t == nil {
		return nil, nil
	}
	data, err := t.Read(path, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}
