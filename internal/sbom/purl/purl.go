// Package purl turns package URLs into packages as the inventory names them, and
// packages into package URLs.
//
// Start with [From] and [To]. Between them they know what the types of URLs say
// in their own words: a Maven group is part of the name, an RPM's epoch is a
// qualifier, and a distribution's release stands in the qualifier distro, from
// which the ecosystem follows that OSV has advisories for.
//
// Both are pure functions and safe for concurrent use.
//
// Sources: ECMA-427 (package URLs) with its type definitions, and the list of
// ecosystems of the OSV schema.
package purl

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/apexlogic/apex/internal/fact"
)

// MaxLength is how many bytes a package URL may have: file systems allow paths
// of 4,096, and nothing that a URL names is called longer than that.
const MaxLength = 4096

// ErrInvalid is wrapped by every error about text that is no package URL.
var ErrInvalid = errors.New("not a package URL")

// ecosystemOf returns the ecosystem of a type that has one for all its packages.
func ecosystemOf(kind string) string {
	switch kind {
	case "pypi":
		return "PyPI"
	case "golang":
		return "Go"
	case "cargo":
		return "crates.io"
	case "gem":
		return "RubyGems"
	case "composer":
		return "Packagist"
	case "maven":
		return "Maven"
	case "nuget":
		return "NuGet"
	case "hex":
		return "Hex"
	case "pub":
		return "Pub"
	case "swift":
		return "SwiftURL"
	case "hackage":
		return "Hackage"
	case "cran":
		return "CRAN"
	case "conan":
		return "ConanCenter"
	case "bitnami":
		return "Bitnami"
	case "github":
		return "GitHub Actions"
	}
	return kind // npm, conda, generic, oci and what has no advisories
}

// typeOf is the inverse of ecosystemOf; "" for what is no type of URL.
func typeOf(ecosystem string) string {
	switch ecosystem {
	case "PyPI":
		return "pypi"
	case "Go":
		return "golang"
	case "crates.io":
		return "cargo"
	case "RubyGems":
		return "gem"
	case "Packagist":
		return "composer"
	case "Maven":
		return "maven"
	case "NuGet":
		return "nuget"
	case "Hex":
		return "hex"
	case "Pub":
		return "pub"
	case "SwiftURL":
		return "swift"
	case "Hackage":
		return "hackage"
	case "CRAN":
		return "cran"
	case "ConanCenter":
		return "conan"
	case "Bitnami":
		return "bitnami"
	case "GitHub Actions":
		return "github"
	}
	if ecosystem == "" || strings.Trim(ecosystem, "abcdefghijklmnopqrstuvwxyz0123456789+-.") != "" || ecosystem[0] >= '0' && ecosystem[0] <= '9' {
		return ""
	}
	switch ecosystem {
	case "deb", "apk", "rpm":
		return "" // their ecosystems are those of distributions
	}
	return ecosystem
}

// From reads a package URL: its ecosystem, name, version, architecture and what
// it was built from. PURL is the text as it was given; all else is zero.
//
// The name is as the URL spells it, which for Python is not how the project
// does, and for Go only if the writer kept capital letters against the
// specification. Version is "" where the URL has none. A release of a
// distribution that the URL does not name leaves the ecosystem without one.
// Errors wrap [ErrInvalid].
func From(text string) (fact.Package, error) {
	if len(text) > MaxLength {
		return fact.Package{}, fmt.Errorf("%w: it has %d bytes, more than %d", ErrInvalid, len(text), MaxLength)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd }) {
		return fact.Package{}, fmt.Errorf("%w: %q holds a space or a control character", ErrInvalid, clip(text))
	}
	u, err := packageurl.FromString(text)
	if err != nil {
		return fact.Package{}, fmt.Errorf("%w: %q: %w", ErrInvalid, clip(text), err)
	}
	p := fact.Package{Ecosystem: ecosystemOf(u.Type), Name: u.Name, Version: u.Version, PURL: text}
	switch u.Type {
	case "deb", "apk", "rpm":
		fromDistribution(&p, &u)
	case "golang":
		p.Name = goName(text, joined(u.Namespace, "/", u.Name))
	case "maven":
		p.Name = joined(u.Namespace, ":", u.Name)
	case "oci":
		if repository := qualifier(&u, "repository_url"); repository != "" {
			p.Name = repository
		}
		p.Arch = qualifier(&u, "arch")
	default:
		p.Name = joined(u.Namespace, "/", u.Name)
	}
	for _, field := range []string{p.Name, p.Version, p.SourceName, p.SourceVersion, p.Arch} {
		if strings.ContainsFunc(field, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
			return fact.Package{}, fmt.Errorf("%w: %q encodes a control character", ErrInvalid, clip(text))
		}
	}
	return p, nil
}

// To returns the package's URL: the one that it has or, where it has none, the
// one that its ecosystem, name, version, source and architecture make; "" when
// they make none, because the name is empty or nobody knows the ecosystem.
func To(p fact.Package) string {
	if p.PURL != "" {
		return p.PURL
	}
	if p.Name == "" {
		return ""
	}
	if u, ok := toDistribution(&p); ok {
		return written(u)
	}
	u := packageurl.PackageURL{Type: typeOf(p.Ecosystem), Name: p.Name, Version: p.Version}
	switch u.Type {
	case "":
		return ""
	case "pypi", "cargo", "gem", "nuget", "conda", "hackage", "cran", "conan", "pub":
	case "maven":
		if group, artifact, ok := strings.Cut(p.Name, ":"); ok {
			u.Namespace, u.Name = group, artifact
		}
	case "oci":
		// The specification's name is the last part, in lower case.
		u.Name = strings.ToLower(p.Name[strings.LastIndexByte(p.Name, '/')+1:])
		add(&u, "arch", p.Arch)
		if strings.Contains(p.Name, "/") {
			add(&u, "repository_url", p.Name)
		}
	default:
		if i := strings.LastIndexByte(p.Name, '/'); i >= 0 {
			u.Namespace, u.Name = p.Name[:i], p.Name[i+1:]
		}
	}
	return written(&u)
}

// Same reports whether two spellings name the same package of a kind that is not
// strict about them: without regard to case and to which of "-", "_" and "."
// separates words.
func Same(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if fold(a[i]) != fold(b[i]) {
			return false
		}
	}
	return true
}

func fold(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c | 0x20
	case c == '_' || c == '.':
		return '-'
	}
	return c
}

func written(u *packageurl.PackageURL) string {
	if u.Normalize() != nil {
		return ""
	}
	text := u.ToString()
	if len(text) > MaxLength {
		return ""
	}
	return text
}

func add(u *packageurl.PackageURL, key, value string) {
	if value != "" {
		u.Qualifiers = append(u.Qualifiers, packageurl.Qualifier{Key: key, Value: value})
	}
}

func qualifier(u *packageurl.PackageURL, key string) string {
	for _, q := range u.Qualifiers {
		if q.Key == key {
			return q.Value
		}
	}
	return ""
}

func joined(namespace, by, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + by + name
}

// goName returns the module's path as the text spells it. The specification
// wants lower case, where Go's module paths are in mixed case; most writers
// keep them.
func goName(text, lower string) string {
	_, path, _ := strings.Cut(text, "/")
	path = strings.TrimLeft(path, "/")
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	if i := strings.LastIndexByte(path, '@'); i > 0 {
		path = path[:i]
	}
	if path, err := url.PathUnescape(path); err == nil && strings.EqualFold(path, lower) {
		return path
	}
	return lower
}

// clip keeps what an error quotes short.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
