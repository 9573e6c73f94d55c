package lock

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
)

// maxManifest bounds one package.json: those with long lists of exports have
// 200 KB.
const maxManifest = 4 << 20

// nodeModule reads the package.json of packages that Node.js finds.
func nodeModule() extract.Extractor {
	return extract.Extractor{
		Name:    "node-modules",
		Wants:   func(p string, _ fs.FileMode, _ int64) bool { return isNodePackage(p) },
		Extract: parser(parseManifest).reading("node-modules", maxManifest),
	}
}

// isNodePackage says whether the path is node_modules/name/package.json or
// node_modules/@scope/name/package.json. A package.json deeper in a package
// switches the module system and names nothing.
func isNodePackage(p string) bool {
	rest, ok := strings.CutSuffix(p, "/package.json")
	if !ok {
		return false
	}
	i := strings.LastIndex(rest, "node_modules/")
	if i < 0 || i > 0 && rest[i-1] != '/' {
		return false
	}
	name := rest[i+len("node_modules/"):]
	if name == "" || name[0] == '.' {
		return false
	}
	slashes := strings.Count(name, "/")
	return slashes == 0 && name[0] != '@' || slashes == 1 && name[0] == '@'
}

func parseManifest(l *list, data []byte) error {
	// As Node.js reads it: keys are what they are, and the last of two counts.
	var doc object
	if err := json.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("invalid JSON: %w", err)
	}
	name, version := doc.text("name"), doc.text("version")
	if name == "" {
		// Node.js finds it by its folder all the same.
		folder := strings.TrimSuffix(l.file.Path, "/package.json")
		name = folder[strings.LastIndex(folder, "node_modules/")+len("node_modules/"):]
	}
	p := npm.at(name, version)
	p.State = fact.Installed
	p.Modules = []string{name}
	p.Licenses = npmLicenses(doc["license"])
	if p.Licenses == nil {
		p.Licenses = npmLicenses(doc["licenses"])
	}
	return l.put(p)
}
