package lock

import (
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/python"
)

// parseCargo reads Cargo.lock. Packages without a source are folders of the
// workspace.
func parseCargo(l *list, data []byte) error {
	var doc struct {
		Packages []struct {
			Name         string   `toml:"name"`
			Version      string   `toml:"version"`
			Source       string   `toml:"source"`
			Checksum     string   `toml:"checksum"`
			Dependencies []string `toml:"dependencies"`
		} `toml:"package"`
		Metadata map[string]string `toml:"metadata"` // checksums, before version 2
	}
	if err := readTOML(data, &doc); err != nil {
		return err
	}
	direct := map[string]bool{} // "name" where there is one version, else "name version"
	for _, e := range doc.Packages {
		if e.Source != "" {
			continue
		}
		for _, d := range e.Dependencies {
			name, rest, _ := strings.Cut(d, " ")
			version, _, _ := strings.Cut(rest, " ")
			direct[strings.TrimSpace(name+" "+version)] = true
		}
	}
	for _, e := range doc.Packages {
		var p fact.Package
		switch kind, from, _ := strings.Cut(e.Source, "+"); kind {
		case "git":
			url, commit, _ := strings.Cut(from, "#")
			p = cargo.at(e.Name, e.Version, "vcs_url", "git+"+python.CleanURL(url)+"@"+commit)
		default:
			p = cargo.at(e.Name, e.Version)
		}
		sum := e.Checksum
		if sum == "" {
			sum = doc.Metadata["checksum "+e.Name+" "+e.Version+" ("+e.Source+")"]
		}
		p.Hashes = checksum("sha256:" + sum)
		p.Attributes = attributes(
			attribute{"direct", direct[e.Name] || direct[e.Name+" "+e.Version]},
			attribute{"local", e.Source == ""})
		if err := l.put(p); err != nil {
			return err
		}
	}
	return nil
}
