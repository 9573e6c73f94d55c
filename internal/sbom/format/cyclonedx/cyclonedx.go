// Package cyclonedx writes inventories as CycloneDX and reads them, together
// with what suppliers state about vulnerabilities in them (VEX).
//
// Start with [Write] and [Read]. What CycloneDX has a place for stands there,
// where every tool finds it; the rest is in properties whose names begin with
// "apexlogic:", so that Read returns what Write was given:
//
//   - apexlogic:package:* of a component: ecosystem, name and version of the
//     source, architecture, state, path, digest and index of the layer, whether
//     a later layer removed it, owner, extractor, modules, further hashes and
//     attributes;
//   - apexlogic:subject:* and apexlogic:layer of metadata.component;
//   - apexlogic:inventory:* of metadata: the date of the database, and the gaps,
//     for which there is a composition with the aggregate "incomplete" as well.
//
// Components are in the inventory's order. The document's dependencies say who
// brought what: the subject its packages, and an owner those that it owns.
//
// Sources: ECMA-424 (CycloneDX 1.6) and its JSON schemas 1.2 to 1.7; the
// properties that Trivy and Syft document for layers and paths.
package cyclonedx

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/sbom/format/document"
)

// Name is how the format is called in statements that are read from it.
const Name = "CycloneDX"

// ErrVersion is wrapped by errors about a version that is not read.
var ErrVersion = errors.New("the version of CycloneDX is not read: write 1.2 to 1.7 as JSON")

// The names of properties.
const (
	prefix = "apexlogic:"

	propEcosystem     = prefix + "package:ecosystem"
	propSource        = prefix + "package:source"
	propSourceVersion = prefix + "package:sourceVersion"
	propArch          = prefix + "package:arch"
	propState         = prefix + "package:state"
	propPath          = prefix + "package:path"
	propLayer         = prefix + "package:layer"
	propLayerIndex    = prefix + "package:layerIndex"
	propRemoved       = prefix + "package:removed"
	propOwner         = prefix + "package:owner"
	propBy            = prefix + "package:by"
	propModule        = prefix + "package:module"
	propHash          = prefix + "package:hash"
	propAttribute     = prefix + "package:attribute"

	propKind = prefix + "subject:kind"
	propRepo = prefix + "subject:repository"
	propRoot = prefix + "layer"

	propDatabase = prefix + "inventory:database"
	propGap      = prefix + "inventory:gap"

	propExpires = prefix + "vex:expires"
)

// gap is the value of the property of a gap, as JSON.
type gap struct {
	Path  string `json:"path"`
	Layer int    `json:"layer"`
	Why   string `json:"why"`
}

// property is a name with a value; names repeat.
type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// tools reads both forms: a list (until 1.4) and an object with components.
type tools []tool

type tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func (t *tools) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return (*document.List[tool])(t).UnmarshalJSON(data)
	}
	w := document.NewWalker(data)
	return w.Object(func(key string) error {
		if key == "components" {
			return w.Decode((*document.List[tool])(t))
		}
		return w.Skip()
	})
}

// licenses reads the licences of a component as texts.
type licenses []string

func (l *licenses) UnmarshalJSON(data []byte) error {
	var choices document.List[struct {
		License struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"license"`
		Expression string `json:"expression"`
	}]
	if err := json.Unmarshal(data, &choices); err != nil {
		return err
	}
	*l = nil
	for _, c := range choices {
		for _, text := range []string{c.License.ID, c.License.Name, c.Expression} {
			if text != "" {
				*l = append(*l, text)
				break
			}
		}
	}
	return nil
}

// algorithm returns CycloneDX's name of a hash algorithm, "" for one that it
// does not know or that makes sums of another length.
func algorithm(name, sum string) string {
	for _, a := range algorithms {
		if a.ours == name && len(sum) == a.digits && strings.Trim(sum, "0123456789abcdef") == "" {
			return a.theirs
		}
	}
	return ""
}

// algorithms are those of lock files and package databases.
var algorithms = [...]struct {
	ours, theirs string
	digits       int
}{
	{"md5", "MD5", 32},
	{"sha1", "SHA-1", 40},
	{"sha256", "SHA-256", 64},
	{"sha384", "SHA-384", 96},
	{"sha512", "SHA-512", 128},
}

// checkVersion refuses versions whose meaning is not known.
func checkVersion(version string) error {
	switch version {
	case "1.2", "1.3", "1.4", "1.5", "1.6", "1.7":
		return nil
	}
	return fmt.Errorf("%w, not %q", ErrVersion, document.Clip(version, 20))
}
