package lock

import (
	"cmp"
	"io/fs"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
	"github.com/apexlogic/apex/internal/sbom/python"
)

// pylock reads pylock.toml and pylock.<name>.toml (PEP 751).
func pylock() extract.Extractor {
	return extract.Extractor{
		Name: "pylock",
		Wants: func(p string, _ fs.FileMode, _ int64) bool {
			name := base(p)
			return strings.HasPrefix(name, "pylock.") && strings.HasSuffix(name, ".toml") && !foreign(p)
		},
		Extract: parser(parsePylock).reading("pylock", extract.MaxText),
	}
}

func parsePylock(l *list, data []byte) error {
	var doc struct {
		Packages []struct {
			Name    string `toml:"name"`
			Version string `toml:"version"`
			Marker  string `toml:"marker"`
			VCS     *struct {
				Type   string `toml:"type"`
				URL    string `toml:"url"`
				Path   string `toml:"path"`
				Commit string `toml:"commit-id"`
			} `toml:"vcs"`
			Directory *struct {
				Editable bool `toml:"editable"`
			} `toml:"directory"`
			Archive *struct {
				pyFile
				URL string `toml:"url"`
			} `toml:"archive"`
			Sdist  pyFile   `toml:"sdist"`
			Wheels []pyFile `toml:"wheels"`
		} `toml:"packages"`
	}
	if err := readTOML(data, &doc); err != nil {
		return err
	}
	for _, e := range doc.Packages {
		files := append([]pyFile{e.Sdist}, e.Wheels...)
		var p fact.Package
		switch {
		case e.VCS != nil:
			p = pyFromVCS(e.Name, e.Version, cmp.Or(e.VCS.Type, "git"), e.VCS.URL, e.VCS.Commit)
		case e.Archive != nil:
			p = pypi.at(e.Name, e.Version, "download_url", python.CleanURL(e.Archive.URL))
			files = append(files, e.Archive.pyFile)
		default:
			p = pypi.at(e.Name, e.Version)
		}
		p.Hashes = allSums(files...)
		p.Attributes = append(attributes(
			attribute{"editable", e.Directory != nil && e.Directory.Editable},
			attribute{"local", e.Directory != nil}), marker(e.Marker)...)
		if err := l.put(p); err != nil {
			return err
		}
	}
	return nil
}
