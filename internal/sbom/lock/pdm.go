package lock

import (
	"slices"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/python"
)

// parsePDM reads pdm.lock. A package with extras has an entry of its own beside
// that without.
func parsePDM(l *list, data []byte) error {
	var doc struct {
		Packages []struct {
			Name     string   `toml:"name"`
			Version  string   `toml:"version"`
			Groups   []string `toml:"groups"`
			Editable bool     `toml:"editable"`
			Path     string   `toml:"path"`
			URL      string   `toml:"url"`
			Git      string   `toml:"git"`
			Revision string   `toml:"revision"`
			Marker   string   `toml:"marker"`
			Files    []pyFile `toml:"files"`
		} `toml:"package"`
		Metadata struct {
			Files map[string][]pyFile `toml:"files"` // before 4.3 of the format
		} `toml:"metadata"`
	}
	if err := readTOML(data, &doc); err != nil {
		return err
	}
	asked := l.pyAsked()
	for _, e := range doc.Packages {
		var p fact.Package
		switch {
		case e.Git != "":
			p = pyFromVCS(e.Name, e.Version, "git", e.Git, e.Revision)
		case e.URL != "":
			p = pypi.at(e.Name, e.Version, "download_url", python.CleanURL(e.URL))
		default:
			p = pypi.at(e.Name, e.Version)
		}
		p.Hashes = allSums(append(e.Files, doc.Metadata.Files[e.Name+" "+e.Version]...)...)
		p.Attributes = append(attributes(
			attribute{"direct", asked[python.Normalize(e.Name)]},
			attribute{"dev", len(e.Groups) > 0 && !slices.Contains(e.Groups, "default")},
			attribute{"editable", e.Editable},
			attribute{"local", e.Path != ""}), marker(e.Marker)...)
		if err := l.put(p); err != nil {
			return err
		}
	}
	return nil
}

// marker returns the attribute of an environment marker.
func marker(text string) []string {
	const most = 512
	if text == "" || len(text) > most {
		return nil
	}
	return []string{"marker:" + text}
}
