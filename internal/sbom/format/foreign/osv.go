package foreign

import (
	"fmt"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/document"
	"github.com/apexlogic/apex/internal/sbom/purl"
)

// OSVScanner reads OSV-Scanner's JSON. It names ecosystems as OSV does, and
// neither the image nor the time nor its own version. Without --all-packages it
// lists packages with findings, and nothing in the document says which it was,
// so the inventory has a gap either way.
func OSVScanner(data []byte) (fact.Inventory, error) {
	b := document.NewBuilder("OSV-Scanner")
	b.Gap("", partial+", unless OSV-Scanner was run with --all-packages")
	w := document.NewWalker(data)
	var layers []string
	type place struct{ index, layer int }
	var places []place
	err := w.Object(func(key string) (err error) {
		switch key {
		case "results":
			_, err = w.Array(func() error {
				return osvResult(w, b, func(layer int) {
					places = append(places, place{len(b.Inventory().Packages) - 1, layer})
				})
			})
			return err
		case "image_metadata":
			var image struct {
				OS     string `json:"os"`
				Layers document.List[struct {
					DiffID string `json:"diff_id"`
				}] `json:"layer_metadata"`
			}
			if err := w.Decode(&image); err != nil {
				return err
			}
			for _, l := range image.Layers {
				layers = append(layers, l.DiffID)
				if err := b.Layer(l.DiffID); err != nil {
					return err
				}
			}
			return nil
		}
		return w.Skip()
	})
	if err != nil {
		return fact.Inventory{}, fmt.Errorf("read OSV-Scanner JSON: %w", err)
	}
	// Packages count all entries of the history, empty ones included; the
	// inventory counts layers that have a digest.
	at, n := make([]int, len(layers)), 0
	for i, d := range layers {
		at[i] = -1
		if n < len(b.Inventory().Layers) && string(b.Inventory().Layers[n]) == d {
			at[i] = n
			n++
		}
	}
	for _, p := range places {
		if p.layer >= 0 && p.layer < len(at) {
			b.Inventory().Packages[p.index].Layer = at[p.layer]
		}
	}
	return b.Finish(), nil
}

// osvResult reads the packages of one file. in is told the layer of each.
func osvResult(w *document.Walker, b *document.Builder, in func(layer int)) error {
	var from struct {
		Path string `json:"path"`
		Type string `json:"type"`
	}
	first := len(b.Inventory().Packages)
	err := w.Object(func(key string) error {
		switch key {
		case "source":
			return w.Decode(&from)
		case "packages":
			_, err := w.Array(func() error {
				var e struct {
					Package struct {
						Name      string `json:"name"`
						OSName    string `json:"os_package_name"`
						Version   string `json:"version"`
						Ecosystem string `json:"ecosystem"`
						Commit    string `json:"commit"`
						Image     struct {
							Index *int `json:"index"`
						} `json:"image_origin_details"`
					} `json:"package"`
					Licenses document.List[string] `json:"licenses"`
				}
				if err := w.Decode(&e); err != nil {
					return err
				}
				q := &e.Package
				p := fact.Package{Ecosystem: q.Ecosystem, Name: q.Name, Version: q.Version, Layer: -1, Licenses: document.Licenses(e.Licenses)}
				if p.Version == "" {
					p.Version = q.Commit
				}
				if p.Ecosystem == "" {
					p.Ecosystem = "generic"
				}
				// Distributions' advisories are about sources, which the name is then.
				if q.OSName != "" && q.OSName != q.Name {
					p.Name, p.SourceName, p.SourceVersion = q.OSName, q.Name, q.Version
				}
				p.PURL = purl.To(p)
				before := len(b.Inventory().Packages)
				if err := b.Add(p, ""); err != nil {
					return err
				}
				if q.Image.Index != nil && len(b.Inventory().Packages) > before {
					in(*q.Image.Index)
				}
				return nil
			})
			return err
		}
		return w.Skip()
	})
	packages := b.Inventory().Packages
	for i := first; i < len(packages); i++ {
		packages[i].Path = document.Path(document.Clip(document.Clean(from.Path), document.MaxText))
		packages[i].State = document.StateOf(packages[i].Path)
	}
	return err
}
