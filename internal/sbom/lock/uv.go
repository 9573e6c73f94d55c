package lock

import (
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/python"
)

// pyFile is one archive of a Python package.
type pyFile struct {
	Hash   string            `toml:"hash"`   // uv, Poetry, PDM: "sha256:…"
	Hashes map[string]string `toml:"hashes"` // PEP 751
}

func (f pyFile) sums() []string {
	out := checksum(f.Hash)
	for _, algorithm := range []string{"sha256", "sha384", "sha512"} {
		if sum := f.Hashes[algorithm]; sum != "" {
			out = append(out, checksum(algorithm+":"+sum)...)
		}
	}
	return out
}

func allSums(files ...pyFile) []string {
	var out []string
	for _, f := range files {
		if len(out) >= maxHashes {
			break
		}
		out = append(out, f.sums()...)
	}
	return out
}

// pyFromVCS makes a Python package that comes from a repository.
func pyFromVCS(name, version, vcs, url, commit string) fact.Package {
	address, at := python.CleanURL(url), ""
	if commit != "" {
		at = "@" + commit
	}
	if address == "" {
		return pypi.at(name, version)
	}
	return pypi.at(name, version, "vcs_url", vcs+"+"+strings.TrimPrefix(address, vcs+"+")+at)
}

// uvPackage is one entry of uv.lock.
type uvPackage struct {
	Name    string `toml:"name"`
	Version string `toml:"version"`
	Source  struct {
		Registry  string `toml:"registry"`
		Git       string `toml:"git"`
		URL       string `toml:"url"`
		Path      string `toml:"path"`
		Directory string `toml:"directory"`
		Editable  string `toml:"editable"`
		Virtual   string `toml:"virtual"`
	} `toml:"source"`
	Dependencies []uvNeed            `toml:"dependencies"`
	Optional     map[string][]uvNeed `toml:"optional-dependencies"`
	Dev          map[string][]uvNeed `toml:"dev-dependencies"`
	Sdist        pyFile              `toml:"sdist"`
	Wheels       []pyFile            `toml:"wheels"`
}

// uvNeed names another entry; the version only where there are several.
type uvNeed struct {
	Name    string `toml:"name"`
	Version string `toml:"version"`
}

// isRoot says whether the entry is what the lock file was made for.
func (p *uvPackage) isRoot() bool {
	return p.Source.Editable != "" || p.Source.Virtual != "" || p.Source.Directory != ""
}

func parseUV(l *list, data []byte) error {
	var doc struct {
		Packages []uvPackage `toml:"package"`
	}
	if err := readTOML(data, &doc); err != nil {
		return err
	}
	direct, runtime := uvReach(doc.Packages)
	for i := range doc.Packages {
		e := &doc.Packages[i]
		s := e.Source
		if s.Virtual != "" { // a project that is no package
			continue
		}
		var p fact.Package
		switch {
		case s.Git != "":
			url, commit, _ := strings.Cut(s.Git, "#")
			p = pyFromVCS(e.Name, e.Version, "git", url, commit)
		case s.URL != "":
			p = pypi.at(e.Name, e.Version, "download_url", python.CleanURL(s.URL))
		default:
			p = pypi.at(e.Name, e.Version)
		}
		p.Hashes = allSums(append([]pyFile{e.Sdist}, e.Wheels...)...)
		p.Attributes = attributes(
			attribute{"direct", direct[uvNeed{e.Name, ""}] || direct[uvNeed{e.Name, e.Version}]},
			attribute{"dev", !runtime[i]},
			attribute{"editable", s.Editable != ""},
			attribute{"local", s.Editable != "" || s.Directory != "" || s.Path != ""})
		if err := l.put(p); err != nil {
			return err
		}
	}
	return nil
}

// uvReach says what the roots ask for themselves, and which entries they need
// when they are not developed: everything else is for development. Without any
// root all entries are needed.
func uvReach(all []uvPackage) (direct map[uvNeed]bool, runtime map[int]bool) {
	// What a need means: all entries of the name, or those of that version too.
	meaning := map[uvNeed][]int{}
	seen := map[uvNeed]bool{}
	direct, runtime = map[uvNeed]bool{}, map[int]bool{}
	var todo []int
	for i := range all {
		either, exact := uvNeed{Name: all[i].Name}, uvNeed{all[i].Name, all[i].Version}
		meaning[either] = append(meaning[either], i)
		if exact != either {
			meaning[exact] = append(meaning[exact], i)
		}
		if !all[i].isRoot() {
			continue
		}
		runtime[i] = true
		todo = append(todo, i)
		for _, group := range all[i].Dev {
			for _, n := range group {
				direct[n] = true
			}
		}
	}
	if len(todo) == 0 {
		for i := range all {
			runtime[i] = true
		}
		return direct, runtime
	}
	for len(todo) > 0 {
		p := &all[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		needs := p.Dependencies
		for _, group := range p.Optional {
			needs = append(needs[:len(needs):len(needs)], group...)
		}
		for _, n := range needs {
			if p.isRoot() {
				direct[n] = true
			}
			if seen[n] {
				continue
			}
			seen[n] = true
			for _, i := range meaning[n] {
				if !runtime[i] {
					runtime[i] = true
					todo = append(todo, i)
				}
			}
		}
	}
	return direct, runtime
}
