package foreign

import (
	"encoding/json"
	"fmt"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/document"
	"github.com/apexlogic/apex/internal/sbom/purl"
)

// trivySchema is the one version of the report that is read (Trivy 0.20 and later).
const trivySchema = 2

type trivyPackage struct {
	Name       string
	Identifier struct{ PURL string }
	Version    string
	Release    string
	Epoch      json.Number
	Arch       string
	SrcName    string
	SrcVersion string
	SrcRelease string
	SrcEpoch   json.Number
	Licenses   document.List[string]
	Layer      struct{ DiffID string }
	FilePath   string
	Dev        bool
	// Relationship is "root", "workspace", "direct" or "indirect".
	Relationship string
}

// trivyFinding is what a finding says of its package.
type trivyFinding struct {
	PkgName          string
	PkgIdentifier    struct{ PURL string }
	PkgPath          string
	InstalledVersion string
	Layer            struct{ DiffID string }
}

// trivyResult is where packages were found.
type trivyResult struct{ Target, Class, Type string }

// Trivy reads Trivy's JSON report. Results without the list of their packages
// are read from their findings, which is a gap.
func Trivy(data []byte) (fact.Inventory, error) {
	b := document.NewBuilder("Trivy")
	w := document.NewWalker(data)
	schema := 0
	err := w.Object(func(key string) (err error) {
		switch key {
		case "SchemaVersion":
			return w.Decode(&schema)
		case "CreatedAt":
			var at string
			err := w.Text(&at)
			b.Inventory().Made = document.Time(at)
			return err
		case "Trivy":
			return w.Object(func(key string) error {
				if key == "Version" {
					return w.Text(&b.Inventory().Version)
				}
				return w.Skip()
			})
		case "Metadata":
			return trivyMetadata(w, b)
		case "Results":
			_, err = w.Array(func() error { return trivyPackages(w, b) })
			return err
		}
		return w.Skip()
	})
	if err == nil && schema != trivySchema {
		err = fmt.Errorf("%w: schema version %d, expected %d", ErrSchema, schema, trivySchema)
	}
	if err != nil {
		return fact.Inventory{}, fmt.Errorf("read Trivy JSON: %w", err)
	}
	return b.Finish(), nil
}

func trivyMetadata(w *document.Walker, b *document.Builder) error {
	var m struct {
		OS                   struct{ Family, Name string }
		DiffIDs, RepoDigests document.List[string]
	}
	if err := w.Decode(&m); err != nil {
		return err
	}
	b.Inventory().Distribution = fact.Distribution{ID: purl.OSRelease(clip(m.OS.Family)), Version: clip(m.OS.Name)}
	for _, d := range m.RepoDigests {
		b.Subject(d)
	}
	for _, d := range m.DiffIDs {
		if err := b.Layer(d); err != nil {
			return err
		}
	}
	return nil
}

// trivyPackages reads one result. Target, class and type may stand after the
// packages, so these are put right at the end.
func trivyPackages(w *document.Walker, b *document.Builder) error {
	var r trivyResult
	first := len(b.Inventory().Packages)
	listed, found := false, false
	var findings []trivyFinding
	seen := map[trivyFinding]bool{}
	err := w.Object(func(key string) (err error) {
		switch key {
		case "Target":
			return w.Text(&r.Target)
		case "Class":
			return w.Text(&r.Class)
		case "Type":
			return w.Text(&r.Type)
		case "Packages":
			_, err = w.Array(func() error {
				listed = true
				var p trivyPackage
				if err := w.Decode(&p); err != nil {
					return err
				}
				return p.add(b)
			})
			return err
		case "Vulnerabilities":
			_, err = w.Array(func() error {
				found = true
				var f trivyFinding
				if err := w.Decode(&f); err != nil {
					return err
				}
				if !seen[f] {
					seen[f] = true
					findings = append(findings, f)
				}
				return nil
			})
			return err
		}
		return w.Skip()
	})
	if err != nil {
		return err
	}
	if !listed {
		for i := range findings {
			if err := findings[i].add(b); err != nil {
				return err
			}
		}
		if found || r.Class == "os-pkgs" || r.Class == "lang-pkgs" {
			b.Gap(r.Target, partial+"; run Trivy with --list-all-pkgs")
		}
	}
	packages := b.Inventory().Packages
	for i := first; i < len(packages); i++ {
		p := &packages[i]
		p.By = r.Type
		kind := r.Type
		if r.Class == "os-pkgs" {
			kind = r.Class
		}
		named(b, p, kind)
		// Lock files and programs are results of their own, named by their path.
		if p.Path == "" && r.Class == "lang-pkgs" {
			p.Path = document.Path(r.Target)
		}
		p.State = document.StateOf(p.Path)
		switch r.Type {
		case "gobinary", "rustbinary":
			p.State = fact.Linked
		}
	}
	return nil
}

func (t *trivyPackage) add(b *document.Builder) error {
	version := document.FullVersion(t.Epoch.String(), t.Version, t.Release)
	p := b.Identify(t.Identifier.PURL, t.Name, version)
	if t.SrcName != "" && p.SourceName == "" {
		if built := document.FullVersion(t.SrcEpoch.String(), t.SrcVersion, t.SrcRelease); t.SrcName != p.Name || built != p.Version && built != "" {
			p.SourceName, p.SourceVersion = t.SrcName, built
		}
	}
	if p.Arch == "" {
		p.Arch = t.Arch
	}
	p.Licenses = document.Licenses(t.Licenses)
	p.Path = t.FilePath
	if t.Relationship == "direct" {
		p.Attributes = append(p.Attributes, "direct")
	}
	if t.Dev {
		p.Attributes = append(p.Attributes, "dev")
	}
	return b.Add(p, t.Layer.DiffID)
}

func (f *trivyFinding) add(b *document.Builder) error {
	p := b.Identify(f.PkgIdentifier.PURL, f.PkgName, f.InstalledVersion)
	p.Path = f.PkgPath
	return b.Add(p, f.Layer.DiffID)
}
