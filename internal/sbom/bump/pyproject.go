package bump

import (
	"slices"
	"strings"
)

// findPyproject finds the requirements of the standard tables (PEP 621, PEP 735,
// PEP 518) that pin a version, and those of Poetry.
func findPyproject(f *File) error {
	return tomlTexts(f.data, func(t tomlText) error {
		text := string(f.data[t.start:t.end])
		switch path := t.path; {
		case len(path) > 2 && path[0] == "tool" && path[1] == "poetry":
			return f.poetry(t, text)
		case !t.listed:
			return nil
		case slices.Equal(path, []string{"project", "dependencies"}),
			len(path) == 3 && path[0] == "project" && path[1] == "optional-dependencies",
			len(path) == 2 && path[0] == "dependency-groups",
			slices.Equal(path, []string{"build-system", "requires"}):
			p, ok := pep508(text)
			if !ok {
				return nil
			}
			return f.add(p.at(t.start))
		}
		return nil
	})
}

// poetry reads an entry of a table of Poetry's: name = "1.2.3", "^1.2.3",
// "~1.2.3" or "==1.2.3", by itself or as the version of an inline table.
func (f *File) poetry(t tomlText, text string) error {
	path := t.path[2:]
	if len(path) > 2 && path[0] == "group" {
		path = path[2:]
	}
	if path[0] != "dependencies" && path[0] != "dev-dependencies" || t.listed {
		return nil
	}
	p := Pin{Ecosystem: pypi}
	switch {
	case len(path) == 2:
	case len(path) == 3 && path[2] == "version":
	default:
		return nil
	}
	if p.Name = path[1]; p.Name == "python" {
		return nil
	}
	at := 0
	switch {
	case strings.HasPrefix(text, "^"):
		p.Range, at = Caret, 1
	case strings.HasPrefix(text, "~") && !strings.HasPrefix(text, "~="):
		p.Range, at = Tilde, 1
	case strings.HasPrefix(text, "=="):
		at = 2
	}
	p = p.version(t, text, at)
	if p.Range != Exact && strings.Count(p.Version, ".") < 2 {
		return nil // "~1" allows what "~1.2.3" does not
	}
	return f.add(p)
}

// version fills in the rest of a pin whose version is the text's end.
func (p Pin) version(t tomlText, text string, at int) Pin {
	at += len(text[at:]) - len(strings.TrimLeft(text[at:], " \t"))
	p.Version = strings.TrimRight(text[at:], " \t")
	p.begin, p.start = t.begin, t.start+at
	p.end = p.start + len(p.Version)
	p.tail = t.end + 1 - p.end
	if strings.ContainsAny(p.Version, ":~") {
		p.Version = ""
	} else if i := strings.IndexByte(p.Version, '+'); i >= 0 {
		p.Held = localLabel(p.Version[i:])
	}
	return p
}

func localLabel(label string) string {
	return "its local label " + label + " names a build from an index of its own; choose the build of the new version there"
}
