package foreign

import (
	"fmt"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/document"
)

// Syft reads Syft's JSON. What Syft says one package owns of another, because
// the database of the distribution lists its files, is kept as the owner.
func Syft(data []byte) (fact.Inventory, error) {
	b := document.NewBuilder("Syft")
	w := document.NewWalker(data)
	urls := map[string]string{}   // by identifier
	owners := map[string]string{} // identifiers, by those that they own
	var ids []string              // of the packages, in their order
	err := w.Object(func(key string) (err error) {
		switch key {
		case "artifacts":
			_, err = w.Array(func() error {
				var a artifact
				if err := w.Decode(&a); err != nil {
					return err
				}
				p, diffID := a.pkg(b)
				before := len(b.Inventory().Packages)
				if err := b.Add(p, diffID); err != nil {
					return err
				}
				if len(b.Inventory().Packages) > before {
					ids = append(ids, a.ID)
					urls[a.ID] = p.PURL
				}
				return nil
			})
			return err
		case "artifactRelationships":
			_, err = w.Array(func() error {
				var r struct {
					Parent string `json:"parent"`
					Child  string `json:"child"`
					Type   string `json:"type"`
				}
				if err := w.Decode(&r); err != nil || r.Type != "ownership-by-file-overlap" {
					return err
				}
				if len(owners) == document.MaxPackages {
					return fmt.Errorf("%w (%d owners)", document.ErrTooMany, document.MaxPackages)
				}
				owners[r.Child] = r.Parent
				return nil
			})
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
		return fact.Inventory{}, fmt.Errorf("read Syft JSON: %w", err)
	}
	packages := b.Inventory().Packages
	for i, id := range ids {
		if url := urls[owners[id]]; url != "" && url != packages[i].PURL {
			packages[i].Owner = url
		}
	}
	return b.Finish(), nil
}
