package lock

import (
	"encoding/json"
	"path"

	"github.com/apexlogic/apex/internal/sbom/python"
)

// Lock files of some tools do not repeat what was asked for: that stands in the
// project's own file beside them. Where there is none, or it cannot be read,
// nothing is marked as direct; the packages are the same.

// beside returns a file in the same folder, nil when it cannot be read.
func (l *list) beside(name string, limit int64) []byte {
	if l.file.Tree == nil {
		return nil
	}
	data, err := l.file.Tree.Read(path.Join(path.Dir(l.file.Path), name), limit)
	if err != nil {
		return nil
	}
	return data
}

// npmAsked returns the names that package.json asks for.
func (l *list) npmAsked() map[string]bool {
	out := map[string]bool{}
	var doc object
	if json.Unmarshal(l.beside("package.json", maxManifest), &doc) != nil {
		return out
	}
	for _, group := range []string{"dependencies", "devDependencies", "optionalDependencies"} {
		for name := range doc.object(group) {
			out[name] = true
		}
	}
	return out
}

// pyAsked returns the normal names that pyproject.toml asks for, in the standard
// tables and in those of Poetry and PDM.
func (l *list) pyAsked() map[string]bool {
	out := map[string]bool{}
	var doc struct {
		Project struct {
			Dependencies []string            `toml:"dependencies"`
			Optional     map[string][]string `toml:"optional-dependencies"`
		} `toml:"project"`
		Groups map[string][]any `toml:"dependency-groups"`
		Tool   struct {
			Poetry struct {
				Dependencies map[string]any `toml:"dependencies"`
				Dev          map[string]any `toml:"dev-dependencies"`
				Group        map[string]struct {
					Dependencies map[string]any `toml:"dependencies"`
				} `toml:"group"`
			} `toml:"poetry"`
			PDM struct {
				Dev map[string][]string `toml:"dev-dependencies"`
			} `toml:"pdm"`
		} `toml:"tool"`
	}
	if readTOML(l.beside("pyproject.toml", maxManifest), &doc) != nil {
		return out
	}
	requirements := func(lines []string) {
		for _, line := range lines {
			if q, ok := parseRequirement(line); ok {
				out[python.Normalize(q.name)] = true
			}
		}
	}
	names := func(table map[string]any) {
		for name := range table {
			out[python.Normalize(name)] = true
		}
	}
	requirements(doc.Project.Dependencies)
	for _, lines := range doc.Project.Optional {
		requirements(lines)
	}
	for _, lines := range doc.Groups {
		for _, line := range lines {
			if text, ok := line.(string); ok { // else it includes another group
				requirements([]string{text})
			}
		}
	}
	for _, lines := range doc.Tool.PDM.Dev {
		requirements(lines)
	}
	names(doc.Tool.Poetry.Dependencies)
	names(doc.Tool.Poetry.Dev)
	for _, group := range doc.Tool.Poetry.Group {
		names(group.Dependencies)
	}
	return out
}
