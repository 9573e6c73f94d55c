package app

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/sbom/imported"
	"github.com/apexlogic/apex/internal/sbom/python"
	"github.com/apexlogic/apex/internal/verify"
)

// VulnOptions say what is looked for and where.
type VulnOptions struct {
	Registry   *oci.Client
	Clock      clock.Clock
	Advisories string // see [LoadAdvisories]
	Platform   string
	Version    string
	// Exposed says whether what runs there can be reached from outside.
	Exposed advisory.Tri
	// VEX are documents with statements; Trust says whose count, nil: nobody's.
	VEX   []string
	Trust *verify.Generation
	// ObservedImports are files that say what was loaded when it ran.
	ObservedImports []string
	// IgnoreUnfixed leaves out what no version mends.
	IgnoreUnfixed bool
}

// Vulns is what is known about one source.
type Vulns struct {
	Source     string    `json:"source"`
	Digest     string    `json:"digest,omitempty"`
	Packages   int       `json:"packages"`
	Advisories time.Time `json:"advisories"` // when they were fetched
	Findings   []Vuln    `json:"findings"`
	// Names are packages whose names look like those of others.
	Names []fact.InventoryFinding `json:"names,omitempty"`
	// Gaps are what could not be looked at: nothing is known about it.
	Gaps []string `json:"gaps,omitempty"`
}

// Vuln is one vulnerability of one package in one place.
type Vuln struct {
	advisory.Match
	Ecosystem string            `json:"ecosystem"`
	Name      string            `json:"name"`
	Version   string            `json:"version"`
	PURL      string            `json:"purl,omitempty"`
	Path      string            `json:"path"`
	Layer     int               `json:"layer"`
	Priority  advisory.Priority `json:"priority"`
}

// Undecided counts the findings of which it could not be told.
func (v *Vulns) Undecided() int {
	n := 0
	for i := range v.Findings {
		if v.Findings[i].Status == advisory.Undecided {
			n++
		}
	}
	return n
}

// AtOrAbove reports whether something that can be seen at run time is affected,
// or may be, and is at least that severe; an unknown severity is.
func (v *Vulns) AtOrAbove(least fact.Severity) bool {
	return slices.ContainsFunc(v.Findings, func(f Vuln) bool {
		return !f.Removed && !f.Suppressed() && (f.Severity.Level >= least || !f.Severity.Known() || f.Exploited != nil || f.Malicious)
	})
}

// FindVulns looks inside of each source and matches what is there.
func FindVulns(ctx context.Context, sources []string, o VulnOptions) ([]Vulns, error) {
	index, err := o.load(ctx)
	if err != nil {
		return nil, err
	}
	documents, err := ReadStatements(o.VEX)
	if err != nil {
		return nil, err
	}
	statements, err := Statements(o.Trust, documents, o.Clock.Now())
	if err != nil {
		return nil, err
	}
	var out []Vulns
	observed, err := readObserved(o.ObservedImports)
	if err != nil {
		return nil, err
	}
	for _, text := range sources {
		inventory, more, err := ReadInventory(ctx, text, InventoryOptions{Registry: o.Registry, Platform: o.Platform, Clock: o.Clock, Version: o.Version})
		if err != nil {
			return nil, err
		}
		imported.Mark(inventory.Packages, observed...)
		v := matched(index, &inventory, append(slices.Clone(statements), more...), &o, importsBelow(ctx, text))
		v.Source = text
		out = append(out, v)
	}
	return out, nil
}

// FleetVulns matches everything that was admitted, from what was kept then.
func FleetVulns(ctx context.Context, state string, o VulnOptions) ([]Vulns, error) {
	index, err := o.load(ctx)
	if err != nil {
		return nil, err
	}
	kept, err := OpenInventories(filepath.Join(state, "inventories"))
	if err != nil {
		return nil, err
	}
	digests, err := kept.Digests()
	if err != nil {
		return nil, err
	}
	var out []Vulns
	for _, d := range digests {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		k, err := kept.Get(d)
		if err != nil {
			return nil, err
		}
		if k.Admitted.IsZero() {
			continue
		}
		v := matched(index, &k.Inventory, nil, &o, nil)
		v.Source, v.Digest = k.Inventory.Subject.String(), string(d)
		out = append(out, v)
	}
	return out, nil
}

func (o *VulnOptions) load(ctx context.Context) (*advisory.Index, error) {
	s, err := LoadAdvisories(ctx, o.Advisories, o.Clock)
	if err != nil {
		return nil, err
	}
	return advisory.New(s), nil
}

func matched(index *advisory.Index, inventory *fact.Inventory, statements []fact.VEX, o *VulnOptions, static map[string]bool) Vulns {
	matches := index.Match(inventory.Packages)
	now := o.Clock.Now()
	product := advisory.Product{}
	if d := inventory.Subject.Digest; d != "" {
		product.Names = append(product.Names, string(d))
	}
	advisory.ApplyVEX(matches, inventory.Packages, statements, product, now)
	v := Vulns{Digest: string(inventory.Subject.Digest), Packages: len(inventory.Packages), Advisories: index.Snapshot().Taken(), Findings: []Vuln{}}
	for i := range matches {
		m := matches[i]
		if o.IgnoreUnfixed && m.Fixed == "" {
			continue
		}
		p := &inventory.Packages[m.Package]
		where := advisory.Circumstances{Exposed: o.Exposed, Imported: isImported(p, static)}
		v.Findings = append(v.Findings, Vuln{
			Match: m, Ecosystem: p.Ecosystem, Name: m.Target.Name, Version: p.Version, PURL: p.PURL, Path: p.Path, Layer: p.Layer, Priority: advisory.Rank(&m, where),
		})
	}
	slices.SortStableFunc(v.Findings, func(a, b Vuln) int { return a.Priority.Compare(b.Priority) })
	v.Names = inventory.Findings
	for _, g := range gapsOf(index, inventory) {
		v.Gaps = append(v.Gaps, g.why)
	}
	return v
}

// readObserved reads what was loaded when something ran.
func readObserved(files []string) ([]imported.Evidence, error) {
	var out []imported.Evidence
	for _, f := range files {
		data, err := bounded.ReadFile(f, imported.MaxRecord)
		if err != nil {
			return nil, err
		}
		e, err := imported.Observed(f, data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		out = append(out, e)
	}
	return out, nil
}

// isImported says whether the package is imported: it was seen to be loaded, or
// the sources that were looked at import it. That it was not seen proves nothing.
func isImported(p *fact.Package, static map[string]bool) advisory.Tri {
	if len(p.Imported) > 0 {
		return advisory.Yes
	}
	if static == nil || p.Ecosystem != python.Ecosystem {
		return advisory.Untold
	}
	names := p.Modules
	if len(names) == 0 {
		names, _ = python.ImportNames(p.Name)
	}
	if len(names) == 0 {
		return advisory.Untold
	}
	for _, n := range names {
		if top, _, _ := strings.Cut(n, "."); static[top] {
			return advisory.Yes
		}
	}
	return advisory.No
}

// Limits on the sources whose imports are read.
const (
	maxSources = 20_000
	maxSource  = 4 << 20
)

// importsBelow returns the top-level names that the Python sources of a folder
// import, those that are installed below it left out; nil when that cannot be
// told: there are none, or one decides only when it runs.
func importsBelow(ctx context.Context, dir string) map[string]bool {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil
	}
	imported := map[string]bool{}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case d.IsDir() && (d.Name() == "site-packages" || d.Name() == "dist-packages" || d.Name() == "node_modules" || d.Name() == ".git"):
			return fs.SkipDir
		case !d.Type().IsRegular() || filepath.Ext(path) != ".py":
			return nil
		}
		if files++; files > maxSources {
			return errUntold
		}
		src, err := bounded.ReadFile(path, maxSource)
		if err != nil {
			return err
		}
		for _, i := range python.Imports(src) {
			if i.Unknown() {
				return errUntold
			}
			top, _, _ := strings.Cut(i.Module, ".")
			if i.Level == 0 && top != "" {
				imported[top] = true
			}
		}
		return nil
	})
	if err != nil || files == 0 {
		return nil
	}
	return imported
}

var errUntold = fmt.Errorf("what is imported cannot be told")
