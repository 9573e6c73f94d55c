package bump

import "strings"

// findPipfile finds name = "==1.2.3" in the tables of packages, by itself or as
// the version of an inline table. Every table that is none of Pipenv's own is a
// category of packages.
func findPipfile(f *File) error {
	return tomlTexts(f.data, func(t tomlText) error {
		if len(t.path) < 2 || len(t.path) > 3 || t.listed || len(t.path) == 3 && t.path[2] != "version" {
			return nil
		}
		switch t.path[0] {
		case "source", "requires", "pipenv", "scripts":
			return nil
		}
		text := string(f.data[t.start:t.end])
		if !strings.HasPrefix(text, "==") {
			return nil
		}
		at := 2
		if strings.HasPrefix(text, "===") {
			at = 3
		}
		p := Pin{Ecosystem: pypi, Name: t.path[1]}
		return f.add(p.version(t, text, at))
	})
}
