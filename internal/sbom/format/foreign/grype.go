package foreign

import (
	"fmt"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/document"
)

// Grype reads the packages of Grype's JSON document that it has findings about,
// those that it was told to ignore included. Each package is there once.
func Grype(data []byte) (fact.Inventory, error) {
	b := document.NewBuilder("Grype")
	b.Gap("", partial)
	w := document.NewWalker(data)
	seen := map[string]bool{}
	match := func() error {
		var m struct {
			Artifact artifact `json:"artifact"`
		}
		if err := w.Decode(&m); err != nil {
			return err
		}
		a := &m.Artifact
		p, diffID := a.pkg(b)
		key := a.ID
		if key == "" {
			key = p.PURL + "\x00" + p.Name + "\x00" + p.Version + "\x00" + p.Path
		}
		if seen[key] {
			return nil
		}
		seen[key] = true
		return b.Add(p, diffID)
	}
	err := w.Object(func(key string) (err error) {
		switch key {
		case "matches", "ignoredMatches":
			_, err = w.Array(match)
			return err
		case "source":
			var s source
			if err := w.Decode(&s); err != nil {
				return err
			}
			return s.read(b)
		case "distro":
			var d distribution
			err := w.Decode(&d)
			d.set(b)
			return err
		case "descriptor":
			var d descriptor
			err := w.Decode(&d)
			d.set(b)
			return err
		}
		return w.Skip()
	})
	if err != nil {
		return fact.Inventory{}, fmt.Errorf("read Grype JSON: %w", err)
	}
	return b.Finish(), nil
}
