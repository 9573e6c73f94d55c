// Package lookalike tells names of packages that look like those of others:
// what a slip of the finger, a guess or a machine that makes names up would ask
// an index for, and what whoever waits for that would register.
//
// Start with [Find], which judges the packages of an inventory, or with [Of] for
// one name. The names that are looked like are those of two tables, pypi.txt and
// npm.txt, of what many projects depend on. A name of the table is never judged,
// nor is one that an index takes for the same.
//
// A finding says that a person should look, not that the package is malicious:
// only the name was looked at. Silence says nothing about names that look like
// what is not in the tables.
//
// Sources: the classes of Vu et al., "Typosquatting and Combosquatting Attacks on
// the Python Ecosystem" (EuroS&PW 2020), and of Taylor et al., "Defending Against
// Package Typosquatting" (NSS 2020); Unicode TS #39 for letters that look alike;
// PEP 503 for names that are the same.
package lookalike

import (
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/python"
	"github.com/apexlogic/apex/verdict"
)

const (
	// maxName is the longest name that npm takes; PyPI's are shorter.
	maxName = 214
	// maxFindings of one inventory. An image has none, as a rule; more than this
	// is an inventory that was made to fill a disk.
	maxFindings = 1_000
)

// Kind is how a name differs from the one that it looks like.
type Kind string

// The kinds, in the order in which they are looked for.
const (
	Separator  Kind = "separators"       // hugging-face-hub, huggingface-hub
	Homoglyph  Kind = "similar letters"  // jeIlyfish, with a capital I; nurnpy
	WordOrder  Kind = "word order"       // nmap-python, python-nmap
	Affix      Kind = "added word"       // python-requests, torch-cuda121
	Transposed Kind = "swapped letters"  // reqeusts
	Doubled    Kind = "doubled letter"   // requestss, or one that should be doubled and is not: urlib3
	Neighbour  Kind = "neighbouring key" // mumpy
	Missing    Kind = "missing letter"   // djago
	Extra      Kind = "extra letter"     // colourama
	Replaced   Kind = "other letter"     // cryptograqhy
	Scope      Kind = "scope"            // @anguler/core
)

// Like is what a name looks like.
type Like struct {
	Name string // as its index spells it
	Kind Kind
}

// Of tells which name of the ecosystem ("PyPI" or "npm") the name looks like. ok
// is false when it looks like none, or is itself one that many depend on. It is
// safe for concurrent use.
func Of(ecosystem, name string) (like Like, ok bool) {
	if len(name) > maxName {
		return Like{}, false
	}
	switch ecosystem {
	case python.Ecosystem:
		return pypi().of(python.Normalize(name))
	case "npm":
		return npm().of(strings.ToLower(name))
	}
	return Like{}, false
}

// Find judges the packages of an inventory, in their order: what is installed,
// locked or asked for. Packages of a distribution are not judged, because it is
// the distribution that named them, nor what is the project's own.
func Find(packages []fact.Package) []fact.InventoryFinding {
	type key struct{ ecosystem, name string }
	type answer struct {
		like Like
		ok   bool
	}
	known := map[key]answer{}
	var out []fact.InventoryFinding
	for i := range packages {
		p := &packages[i]
		if !judged(p) {
			continue
		}
		k := key{p.Ecosystem, p.Name}
		a, ok := known[k]
		if !ok {
			a.like, a.ok = Of(p.Ecosystem, p.Name)
			known[k] = a
		}
		if !a.ok {
			continue
		}
		if len(out) == maxFindings {
			break
		}
		out = append(out, fact.InventoryFinding{
			Code: verdict.InventoryLookalike, Package: p.PURL, Name: p.Name, Version: p.Version, Path: p.Path, Layer: p.Layer, Removed: p.Removed,
			Like: a.like.Name, Detail: fmt.Sprintf("%s looks like %s (%s), which many projects depend on", p.Name, a.like.Name, a.like.Kind),
		})
	}
	return out
}

func judged(p *fact.Package) bool {
	switch {
	case p.Ecosystem != python.Ecosystem && p.Ecosystem != "npm":
		return false
	case p.State == fact.Vendored || p.State == fact.Linked:
		return false // carried by a package that is judged
	case p.Has("editable") || p.Has("local"):
		return false
	}
	for _, kind := range []string{"pkg:deb/", "pkg:apk/", "pkg:rpm/"} {
		if strings.HasPrefix(p.Owner, kind) {
			return false
		}
	}
	return true
}
