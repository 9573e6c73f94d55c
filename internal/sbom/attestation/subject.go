package attestation

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/python"
)

// subject is what a statement is about.
type subject struct {
	ecosystem     string // "PyPI" or "npm"
	name, version string // in normal form; of npm with its scope
	file          string // of PyPI: the name of the archive
	algorithm     string // "sha256" or "sha512"
	sum           string // hex
}

func (s *subject) digest() string { return s.algorithm + ":" + s.sum }

func (s *subject) pin() pin { return pin{s.ecosystem, s.name, s.version} }

func (s *subject) purl() string {
	if s.ecosystem == python.Ecosystem {
		return python.PURL(s.name, s.version)
	}
	name := s.name
	if rest, scoped := strings.CutPrefix(name, "@"); scoped {
		name = "%40" + rest
	}
	return "pkg:npm/" + name + "@" + s.version
}

// errPredicate is for statements of a type that is not read.
var errPredicate = errors.New("its statement is of a type that is not read")

// subjectOf checks the form of a statement and returns its subject.
func subjectOf(st *statement) (subject, error) {
	if st.Type != "https://in-toto.io/Statement/v1" && st.Type != "https://in-toto.io/Statement/v0.1" {
		return subject{}, fmt.Errorf("its statement is of type %q", clip(st.Type))
	}
	switch st.Predicate {
	case pypiPublish, npmPublish, slsaV1, slsaV02:
	default:
		return subject{}, fmt.Errorf("%w: %q", errPredicate, clip(st.Predicate))
	}
	if len(st.Subjects) != 1 {
		return subject{}, fmt.Errorf("its statement is about %d files, and one is expected", len(st.Subjects))
	}
	from := st.Subjects[0]
	var s subject
	var ok bool
	if strings.HasPrefix(from.Name, "pkg:npm/") {
		s.ecosystem, s.algorithm = "npm", "sha512"
		s.name, s.version, ok = npmName(from.Name)
		ok = ok && st.Predicate != pypiPublish
	} else {
		s.ecosystem, s.algorithm, s.file = python.Ecosystem, "sha256", from.Name
		s.name, s.version, ok = archiveName(from.Name)
		ok = ok && st.Predicate != npmPublish
	}
	if !ok {
		return subject{}, fmt.Errorf("its statement is about %q, which names no package and version of the index", clip(from.Name))
	}
	s.sum = strings.ToLower(from.Digest[s.algorithm])
	if sum, err := hex.DecodeString(s.sum); err != nil || len(sum) != map[string]int{"sha256": 32, "sha512": 64}[s.algorithm] {
		return subject{}, fmt.Errorf("its statement names no %s digest", s.algorithm)
	}
	return s, nil
}

// archiveName reads the file name of a wheel or source distribution
// (packaging.python.org, "Binary distribution format", "Source distribution
// file name").
func archiveName(file string) (name, version string, ok bool) {
	if strings.ContainsAny(file, "/\\") {
		return "", "", false
	}
	if stem, isWheel := strings.CutSuffix(file, ".whl"); isWheel {
		parts := strings.Split(stem, "-")
		if len(parts) != 5 && len(parts) != 6 {
			return "", "", false
		}
		return python.Normalize(parts[0]), parts[1], parts[0] != "" && parts[1] != ""
	}
	for _, ext := range []string{".tar.gz", ".zip"} {
		stem, isSource := strings.CutSuffix(file, ext)
		i := strings.LastIndexByte(stem, '-')
		if isSource && i > 0 && i < len(stem)-1 {
			return python.Normalize(stem[:i]), stem[i+1:], true
		}
	}
	return "", "", false
}

// npmName reads "pkg:npm/%40scope/name@1.0.0".
func npmName(purl string) (name, version string, ok bool) {
	rest := strings.TrimPrefix(purl, "pkg:npm/")
	i := strings.LastIndexByte(rest, '@')
	if i <= 0 {
		return "", "", false
	}
	name, err := url.PathUnescape(rest[:i])
	if err != nil {
		return "", "", false
	}
	version, err = url.PathUnescape(rest[i+1:])
	return name, version, err == nil && version != "" && name != "" && !strings.ContainsAny(name+version, "?# ")
}

// pin is a package by name and version, in normal form.
type pin struct{ ecosystem, name, version string }

// pins are the digests of the archives that lock files and direct_url.json name
// for each package that is there. One without a digest has an empty set.
type pins map[pin]map[string]bool

func pinned(packages []fact.Package) pins {
	out := pins{}
	for i := range packages {
		p := &packages[i]
		if p.Removed || p.Ecosystem != python.Ecosystem && p.Ecosystem != "npm" {
			continue
		}
		k := pinOf(p)
		if out[k] == nil {
			out[k] = map[string]bool{}
		}
		for _, h := range p.Hashes {
			out[k][strings.ToLower(h)] = true
		}
	}
	return out
}

func pinOf(p *fact.Package) pin {
	name := p.Name
	if p.Ecosystem == python.Ecosystem {
		name = python.Normalize(name)
	}
	return pin{p.Ecosystem, name, p.Version}
}

// knows says whether the digests hold one of the algorithm, to compare with.
func knows(digests map[string]bool, algorithm string) bool {
	for d := range digests {
		if strings.HasPrefix(d, algorithm+":") {
			return true
		}
	}
	return false
}
