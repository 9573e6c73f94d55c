package lock

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
)

// parsePipfile reads Pipfile.lock: an object of packages for each category, of
// which "default" is the one that is installed where the program runs.
func parsePipfile(l *list, data []byte) error {
	var doc object
	if err := json.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("invalid JSON: %w", err)
	}
	delete(doc, "_meta")
	for _, category := range slices.Sorted(maps.Keys(doc)) {
		var all map[string]object
		if err := json.Unmarshal(doc[category], &all); err != nil {
			return fmt.Errorf("invalid JSON: %q: %w", category, err)
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			e := all[name]
			version := strings.TrimLeft(e.text("version"), "= ")
			var p fact.Package
			if git := e.text("git"); git != "" {
				p = pyFromVCS(name, version, "git", git, e.text("ref"))
			} else {
				p = pypi.at(name, version)
			}
			for _, h := range e.texts("hashes") {
				p.Hashes = append(p.Hashes, checksum(h)...)
			}
			local := e.text("path") != "" || e.text("file") != ""
			p.Attributes = append(attributes(
				attribute{"direct", e.text("index") != ""}, // Pipenv notes it for what the Pipfile names
				attribute{"dev", category != "default"},
				attribute{"editable", e.is("editable")},
				attribute{"local", local}), marker(e.text("markers"))...)
			if err := l.put(p); err != nil {
				return err
			}
		}
	}
	return nil
}
