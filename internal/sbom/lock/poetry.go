package lock

import (
	"slices"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/python"
)

// parsePoetry reads poetry.lock of Poetry 1 and 2.
func parsePoetry(l *list, data []byte) error {
	var doc struct {
		Packages []struct {
			Name     string   `toml:"name"`
			Version  string   `toml:"version"`
			Optional bool     `toml:"optional"`
			Category string   `toml:"category"` // until 1.4
			Groups   []string `toml:"groups"`   // since 2.0
			Develop  bool     `toml:"develop"`
			Files    []pyFile `toml:"files"`
			Source   struct {
				Type      string `toml:"type"`
				URL       string `toml:"url"`
				Reference string `toml:"resolved_reference"`
			} `toml:"source"`
		} `toml:"package"`
		Metadata struct {
			Files map[string][]pyFile `toml:"files"` // until 1.4
		} `toml:"metadata"`
	}
	if err := readTOML(data, &doc); err != nil {
		return err
	}
	asked := l.pyAsked()
	for _, e := range doc.Packages {
		var p fact.Package
		switch e.Source.Type {
		case "git", "hg", "svn":
			p = pyFromVCS(e.Name, e.Version, e.Source.Type, e.Source.URL, e.Source.Reference)
		case "url":
			p = pypi.at(e.Name, e.Version, "download_url", python.CleanURL(e.Source.URL))
		default:
			p = pypi.at(e.Name, e.Version)
		}
		p.Hashes = allSums(append(e.Files, doc.Metadata.Files[e.Name]...)...)
		p.Attributes = attributes(
			attribute{"direct", asked[python.Normalize(e.Name)]},
			attribute{"dev", e.Category == "dev" || len(e.Groups) > 0 && !slices.Contains(e.Groups, "main")},
			attribute{"optional", e.Optional},
			attribute{"editable", e.Develop},
			attribute{"local", e.Source.Type == "directory" || e.Source.Type == "file"})
		if err := l.put(p); err != nil {
			return err
		}
	}
	return nil
}
