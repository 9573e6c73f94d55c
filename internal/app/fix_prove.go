package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/bump"
)

// prove lists and matches the files as they would be, in a folder of their own.
// packages are those of the inventory before.
func (p *mender) prove(ctx context.Context, f *Fix, packages []fact.Package) (err error) {
	dir, err := os.MkdirTemp("", "apex-fix-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	changed := map[string][]byte{}
	for i := range f.files {
		changed[f.files[i].path] = f.files[i].after
	}
	for at, file := range p.pins.files {
		data := file.Data()
		if c, ok := changed[at]; ok {
			data = c
		}
		if err := root.MkdirAll(path.Dir(at), 0o700); err != nil {
			return err
		}
		if err := root.WriteFile(at, data, 0o600); err != nil {
			return err
		}
	}
	after, err := TakeInventory(ctx, dir, InventoryOptions{})
	if err != nil {
		return err
	}
	pins, err := readPins(ctx, dir)
	if err != nil {
		return err
	}
	if err := p.samePackages(f, packages, after.Packages); err != nil {
		return err
	}
	// Where lock files settled pins before, there are none here.
	for lock, names := range p.pins.settled {
		pins.settled[lock] = names
	}
	type place struct{ path, ecosystem, name string }
	had := map[place]map[string]bool{} // names of vulnerabilities
	for _, a := range p.affected(p.pins.join(packages)) {
		k := place{a.pkg.Path, a.target.Ecosystem, a.target.Name}
		if had[k] == nil {
			had[k] = map[string]bool{}
		}
		for i := range a.findings {
			note(had[k], &a.findings[i])
		}
		maps.Copy(had[k], a.ignored) // a statement may be about the version alone
	}
	for _, a := range p.affected(pins.join(after.Packages)) {
		for i := range a.findings {
			f := &a.findings[i]
			if p.promised[promise{a.pkg.Path, a.target.Ecosystem, a.target.Name, f.Group}] {
				return fmt.Errorf("%w: %s: %s %s would still have %s", errUnproved, a.pkg.Path, a.pkg.Name, a.pkg.Version, f.Group)
			}
			if !noted(had[place{a.pkg.Path, a.target.Ecosystem, a.target.Name}], f) {
				return fmt.Errorf("%w: %s: %s %s would have %s, which it has not now", errUnproved, a.pkg.Path, a.pkg.Name, a.pkg.Version, f.Group)
			}
		}
	}
	return nil
}

// listedAs is what an inventory says of a package, without what comes from files
// beside it.
type listedAs struct {
	path, ecosystem, name, version string
	state                          fact.PackageState
}

// samePackages makes sure that the inventory after is the one before with the
// new versions, in all files that were looked at.
func (p *mender) samePackages(f *Fix, before, after []fact.Package) error {
	type edit struct{ family, ecosystem, name, from string }
	to := map[edit]string{}
	for i := range f.Edits {
		e := &f.Edits[i]
		version := e.To
		if e.Ecosystem == "Go" && e.Name == "stdlib" {
			version = bump.FullGo(version)
		}
		to[edit{p.pins.familyOf(e.File), e.Ecosystem, normalName(e.Ecosystem, e.Name), e.From}] = version
	}
	want, got := map[listedAs]bool{}, map[listedAs]bool{}
	for i := range before {
		k := &before[i]
		if p.pins.files[k.Path] == nil || p.pins.links[k.Path] {
			continue
		}
		e := listedAs{k.Path, k.Ecosystem, k.Name, k.Version, k.State}
		if v, ok := to[edit{p.pins.familyOf(k.Path), k.Ecosystem, normalName(k.Ecosystem, k.Name), k.Version}]; ok {
			e.version = v
		}
		want[e] = true
	}
	for i := range after {
		k := &after[i]
		if !p.pins.links[filepath.ToSlash(k.Path)] {
			got[listedAs{k.Path, k.Ecosystem, k.Name, k.Version, k.State}] = true
		}
	}
	for e := range want {
		if !got[e] {
			return fmt.Errorf("%w: %s: %s %s would be missing", errUnproved, e.path, e.name, e.version)
		}
	}
	for e := range got {
		if !want[e] {
			return fmt.Errorf("%w: %s: %s %s would be new", errUnproved, e.path, e.name, e.version)
		}
	}
	return nil
}
