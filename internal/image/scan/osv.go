package scan

import (
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
)

type osvSeverity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type osvRecord struct {
	ID        string            `json:"id"`
	Aliases   list[string]      `json:"aliases"`
	Withdrawn string            `json:"withdrawn"`
	Severity  list[osvSeverity] `json:"severity"`
	Database  struct {
		Severity any `json:"severity"`
	} `json:"database_specific"`
	Affected list[struct {
		Package struct {
			Name string `json:"name"`
		} `json:"package"`
		Severity list[osvSeverity] `json:"severity"`
		Ranges   list[struct {
			Events list[struct {
				Fixed        string `json:"fixed"`
				LastAffected string `json:"last_affected"`
			}] `json:"events"`
		}] `json:"ranges"`
	}] `json:"affected"`
}

// osvPackage is one package with its records. Groups come after them.
type osvPackage struct {
	Package struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Commit  string `json:"commit"`
	} `json:"package"`
	Vulnerabilities list[osvRecord] `json:"vulnerabilities"`
	Groups          list[struct {
		IDs list[string] `json:"ids"`
		Max score        `json:"max_severity"`
	}] `json:"groups"`
}

// readOSV reads OSV-Scanner's JSON, whose records follow the OSV schema. It
// names neither the image nor the time nor its own version. A scan that broke
// off writes the same empty list as one that found nothing.
func readOSV(p *parsed, w *walker) error {
	p.report.Scanner = "OSV-Scanner"
	looked := false
	err := w.object(func(key string) error {
		switch key {
		case "results":
			_, err := w.array(func() error {
				return w.object(func(key string) error {
					if key != "packages" {
						return w.skip()
					}
					_, err := w.array(func() error {
						looked = true
						return readOSVPackage(p, w)
					})
					return err
				})
			})
			return err
		case "image_metadata":
			var image struct {
				Layers list[struct {
					DiffID string `json:"diff_id"`
					Empty  bool   `json:"is_empty"`
				}] `json:"layer_metadata"`
			}
			if err := w.decode(&image); err != nil {
				return err
			}
			for _, l := range image.Layers {
				if !l.Empty {
					p.addDiffID(l.DiffID)
				}
			}
			return nil
		}
		return w.skip()
	})
	if err != nil {
		return err
	}
	if !looked {
		p.fail("OSV-Scanner's report lists no package, which is also what a scan that broke off writes: run it with --all-packages")
	}
	return nil
}

func readOSVPackage(p *parsed, w *walker) error {
	var pkg osvPackage
	if err := w.decode(&pkg); err != nil {
		return err
	}
	for i := range pkg.Vulnerabilities {
		r := &pkg.Vulnerabilities[i]
		if r.Withdrawn != "" {
			p.report.Suppressed++
			continue
		}
		f := r.finding(pkg.Package.Name)
		f.Package = pkg.Package.Name
		f.Version = pkg.Package.Version
		if f.Version == "" {
			f.Version = pkg.Package.Commit
		}
		for _, g := range pkg.Groups {
			if slices.Contains(g.IDs, r.ID) {
				f.Score = max(f.Score, float64(g.Max))
			}
		}
		if err := p.add(f); err != nil {
			return err
		}
	}
	return nil
}

func (r *osvRecord) finding(name string) finding {
	f := finding{Vulnerability: fact.Vulnerability{ID: r.ID}}
	for _, a := range r.Aliases {
		f.Aliases = addAlias(f.Aliases, f.ID, a)
	}
	if word, ok := r.Database.Severity.(string); ok {
		f.Severity = ParseSeverity(word)
	}
	f.rate(r.Severity)
	ranges, fixed, last := 0, []string(nil), false
	for _, a := range r.Affected {
		if a.Package.Name != name {
			continue
		}
		f.rate(a.Severity)
		for _, rng := range a.Ranges {
			ranges++
			for _, e := range rng.Events {
				last = last || e.LastAffected != ""
				if e.Fixed != "" && !slices.Contains(fixed, e.Fixed) {
					fixed = append(fixed, e.Fixed)
				}
			}
		}
	}
	f.Fixed = strings.Join(fixed, ", ")
	f.Unfixed = ranges > 0 && len(fixed) == 0 && !last
	return f
}

// rate takes scores and words: some databases write a word in place of a vector.
func (f *finding) rate(all []osvSeverity) {
	for _, s := range all {
		f.Score = max(f.Score, parseScore(s.Score))
		f.database = max(f.database, ParseSeverity(s.Score))
	}
}
