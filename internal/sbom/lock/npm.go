package lock

import (
	"cmp"
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
	"github.com/apexlogic/apex/internal/sbom/python"
)

// npmRules: names of packages are free keys, and npm's registry holds some that
// differ in case only. Version 1 nests dependencies as node_modules nests, two
// levels of JSON each.
func npmRules() bounded.Rules {
	return bounded.Rules{Depth: 128, Keys: 1 << 19, FreeMaps: []string{"packages", "dependencies", "devDependencies",
		"optionalDependencies", "peerDependencies", "peerDependenciesMeta", "requires", "engines", "bin", "overrides"}}
}

// npmLock reads package-lock.json, npm-shrinkwrap.json, and the copy that npm
// leaves in node_modules.
func npmLock() extract.Extractor {
	return extract.Extractor{
		Name: "npm-lock",
		Wants: func(p string, _ fs.FileMode, _ int64) bool {
			switch base(p) {
			case "package-lock.json", "npm-shrinkwrap.json":
				return !foreign(p)
			case ".package-lock.json":
				return strings.HasSuffix(p, "node_modules/.package-lock.json")
			}
			return false
		},
		Extract: parser(parseNPM).reading("npm-lock", extract.MaxText),
	}
}

// npmCommon is what entries say in all versions.
type npmCommon struct {
	Version     string `json:"version"`
	Resolved    string `json:"resolved"`
	Integrity   string `json:"integrity"`
	Dev         bool   `json:"dev"`
	Optional    bool   `json:"optional"`
	DevOptional bool   `json:"devOptional"`
}

// npmNested is an entry of "dependencies" in version 1.
type npmNested struct {
	npmCommon
	Dependencies map[string]npmNested `json:"dependencies"`
}

// npmFlat is an entry of "packages" in versions 2 and 3.
type npmFlat struct {
	npmCommon
	Name     string          `json:"name"`
	Link     bool            `json:"link"`
	License  json.RawMessage `json:"license"`
	Normal   json.RawMessage `json:"dependencies"`
	ForDev   json.RawMessage `json:"devDependencies"`
	Possible json.RawMessage `json:"optionalDependencies"`
}

func parseNPM(l *list, data []byte) error {
	if err := npmRules().Check(data); err != nil {
		return err
	}
	var flat struct {
		Packages map[string]npmFlat `json:"packages"`
	}
	if err := json.Unmarshal(data, &flat); err != nil {
		return err
	}
	if flat.Packages != nil {
		return l.npmFlat(flat.Packages)
	}
	var nested npmNested
	if err := json.Unmarshal(data, &nested); err != nil {
		return err
	}
	return l.npmNested(nested.Dependencies, l.npmAsked())
}

// npmFlat adds the entries of "packages": keys are paths, "" the project.
func (l *list) npmFlat(packages map[string]npmFlat) error {
	const modules = "node_modules/"
	direct := map[string]bool{} // paths of what the project and its workspaces ask for
	for at, p := range packages {
		if strings.Contains(at, modules) {
			continue
		}
		for _, group := range []json.RawMessage{p.Normal, p.ForDev, p.Possible} {
			var names map[string]json.RawMessage
			if len(group) > 0 && json.Unmarshal(group, &names) != nil {
				continue // npm warns and goes on as well
			}
			for name := range names {
				direct[modules+name] = true
				if at != "" {
					direct[at+"/"+modules+name] = true
				}
			}
		}
	}
	for _, at := range slices.Sorted(maps.Keys(packages)) {
		e := packages[at]
		i := strings.LastIndex(at, modules)
		if e.Link || at == "" { // a link's target has an entry of its own
			continue
		}
		name := e.Name // set where it is not the folder's: aliases and workspaces
		if i >= 0 {
			name = cmp.Or(name, at[i+len(modules):])
		}
		p := npmAt(name, e.npmCommon)
		p.Licenses = npmLicenses(e.License)
		p.Attributes = append(p.Attributes, attributes(attribute{"direct", direct[at]}, attribute{"local", i < 0})...)
		if err := l.put(p); err != nil {
			return err
		}
	}
	return nil
}

// npmNested adds the entries of version 1; asked is what the project asks for.
func (l *list) npmNested(all map[string]npmNested, asked map[string]bool) error {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		e := all[name]
		p := npmAt(name, e.npmCommon)
		if asked[name] {
			p.Attributes = append(p.Attributes, "direct")
		}
		if err := l.put(p); err != nil {
			return err
		}
		if err := l.npmNested(e.Dependencies, nil); err != nil {
			return err
		}
	}
	return nil
}

// npmAt makes a package of what an entry says in all versions.
func npmAt(name string, e npmCommon) fact.Package {
	version, from := e.Version, e.Resolved
	if alias, ok := strings.CutPrefix(version, "npm:"); ok { // "npm:name@version"
		if i := strings.LastIndexByte(alias, '@'); i > 0 {
			name, version = alias[:i], alias[i+1:]
		}
	}
	if strings.Contains(version, ":") { // version 1 has the address in place of a version
		version, from = "", cmp.Or(from, version)
	}
	p := npmFrom(name, version, from)
	p.Hashes = sri(e.Integrity)
	p.Attributes = append(p.Attributes, attributes(attribute{"dev", e.Dev || e.DevOptional}, attribute{"optional", e.Optional || e.DevOptional})...)
	return p
}

// npmFrom makes a package that comes from that address, "" or one in a registry
// being the usual case.
func npmFrom(name, version, from string) fact.Package {
	switch {
	case strings.HasPrefix(from, "file:"), strings.HasPrefix(from, "link:"), strings.HasPrefix(from, "workspace:"), strings.HasPrefix(from, "portal:"):
		p := npm.at(name, version)
		p.Attributes = []string{"local"}
		return p
	case strings.HasPrefix(from, "git+"), strings.HasPrefix(from, "git:"), strings.HasPrefix(from, "github:"):
		url, commit, _ := strings.Cut(from, "#")
		if at := python.CleanURL(url); at != "" && commit != "" {
			return npm.at(name, version, "vcs_url", at+"@"+commit)
		}
		return npm.at(name, version)
	case version == "" && strings.HasPrefix(from, "http"):
		return npm.at(name, version, "download_url", python.CleanURL(from))
	}
	return npm.at(name, version)
}

// npmLicenses reads "MIT", {"type": "MIT"} and lists of either.
func npmLicenses(raw json.RawMessage) []string {
	const most = 200 // longer ones are texts
	var text string
	var object struct {
		Type string `json:"type"`
	}
	var several []json.RawMessage
	switch {
	case len(raw) == 0:
	case json.Unmarshal(raw, &text) == nil && text != "" && len(text) <= most:
		return []string{text}
	case json.Unmarshal(raw, &object) == nil && object.Type != "" && len(object.Type) <= most:
		return []string{object.Type}
	case json.Unmarshal(raw, &several) == nil && len(several) <= 16:
		var out []string
		for _, one := range several {
			if len(one) > 0 && one[0] != '[' {
				out = append(out, npmLicenses(one)...)
			}
		}
		return out
	}
	return nil
}
