// Package imported says which packages of an inventory programs load, from what
// source files import and from what was observed of programs that ran.
//
// Start with [Observed], which reads a record of loads, and [Static], for what
// the sources import; [Mark] then writes the evidence into the packages. A record
// is of one run: it proves that a package is loaded, never that it is not.
//
// Sources: python(1) for -X importtime and -v, proc_pid_maps(5).
package imported

import (
	"path"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/python"
)

// Evidence is what one source says is loaded. It is not changed once it is made,
// and is safe for concurrent use.
type Evidence struct {
	source fact.ImportSource
	from   string
	// modules are dotted names, with all that they are in: "a", "a.b", "a.b.c".
	modules map[string]bool
	files   map[string]bool // without a leading slash
}

func newEvidence(source fact.ImportSource, from string) Evidence {
	return Evidence{source: source, from: from, modules: map[string]bool{}, files: map[string]bool{}}
}

// Static is what sources import: from names them, and modules are dotted names as
// [python.Imports] has them, without relative ones.
func Static(from string, modules []string) Evidence {
	e := newEvidence(fact.ImportStatic, from)
	for _, m := range modules {
		e.module(m)
	}
	return e
}

// Len is how many modules, their parents included, and files there are.
func (e *Evidence) Len() int { return len(e.modules) + len(e.files) }

// module notes a module and those that it is in. What is no name is left out.
func (e *Evidence) module(name string) {
	if !isModule(name) {
		return
	}
	for at := 0; ; {
		dot := strings.IndexByte(name[at:], '.')
		if dot < 0 {
			e.modules[name] = true
			return
		}
		at += dot
		e.modules[strings.Clone(name[:at])] = true
		at++
	}
}

// isModule says whether a name can be that of a module: parts between dots, none
// of them empty, of letters, digits and "_".
func isModule(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || part[0] >= '0' && part[0] <= '9' {
			return false
		}
		for i := range len(part) {
			c := part[i]
			if c != '_' && c < 0x80 && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
				return false
			}
		}
	}
	return true
}

// file notes a file that was mapped or opened, and the module that it belongs to
// when it lies where Python's packages do.
func (e *Evidence) file(name string) {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" || len(name) > maxPath {
		return
	}
	e.files[name] = true
	for _, site := range []string{"site-packages/", "dist-packages/"} {
		i := strings.LastIndex(name, site)
		if i < 0 || i > 0 && name[i-1] != '/' {
			continue
		}
		top, _, isFolder := strings.Cut(name[i+len(site):], "/")
		if isFolder {
			// Libraries that a wheel carries lie in a folder beside its own.
			top = strings.TrimSuffix(top, ".libs")
		} else {
			top, _, _ = strings.Cut(top, ".") // x.cpython-312-x86_64-linux-gnu.so
		}
		e.module(top)
		return
	}
}

// Mark adds to each package the evidence that it is loaded: one entry for each
// that says so. It changes the packages that are handed in.
//
// Python packages are known by the modules that they bring, and where the
// inventory has none by the names that projects are known to be imported by; a
// module that several packages share ("google") is evidence for each. Libraries
// are known by their path.
func Mark(packages []fact.Package, all ...Evidence) {
	for i := range packages {
		p := &packages[i]
		names := importNames(p)
		for k := range all {
			if found, ok := all[k].of(p, names); ok && !slices.Contains(p.Imported, found) {
				p.Imported = append(slices.Clip(p.Imported), found)
			}
		}
	}
}

func importNames(p *fact.Package) []string {
	if p.Ecosystem != python.Ecosystem {
		return nil
	}
	if len(p.Modules) > 0 {
		return p.Modules
	}
	names, _ := python.ImportNames(p.Name)
	return names
}

func (e *Evidence) of(p *fact.Package, names []string) (fact.ImportEvidence, bool) {
	for _, n := range names {
		if e.modules[n] {
			return fact.ImportEvidence{Source: e.source, From: e.from, Module: n}, true
		}
	}
	if e.files[p.Path] {
		return fact.ImportEvidence{Source: e.source, From: e.from, File: p.Path}, true
	}
	return fact.ImportEvidence{}, false
}
