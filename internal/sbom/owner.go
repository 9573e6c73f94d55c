package sbom

import (
	"context"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/distro"
	"github.com/apexlogic/apex/internal/sbom/integrity"
)

// own says of the packages which package brought the files that they were found
// in: a distribution's, or else the wheel that lists them.
func (c *collector) own(ctx context.Context, added []fact.Package) error {
	paths := map[string]string{} // the path where it lies to its owner
	where := map[string]string{} // the path as found to where it lies
	for i := range added {
		p := &added[i]
		if p.Owner != "" || distro.IsDatabase(p.Path) {
			continue
		}
		canon, _, err := c.tree.lookup(p.Path, true)
		if err != nil {
			canon = p.Path // it lies within another file
		}
		paths[canon], where[p.Path] = "", canon
	}
	if len(paths) == 0 {
		return nil
	}
	for round := 0; ; round++ {
		clear(c.missed)
		err := distro.Owners(ctx, c, paths)
		if err == nil {
			err = c.wheels(paths)
		}
		if len(c.missed) > 0 && c.dir == nil && round < maxRounds {
			missing := map[*data]bool{}
			for d := range c.missed {
				missing[d] = true
			}
			if err := c.fetch(ctx, missing); err != nil {
				return err
			}
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			c.gap("", c.layer, "who owns files could not be established wholly: "+err.Error())
		}
		break
	}
	for i := range added {
		if p := &added[i]; p.Owner == "" {
			p.Owner = paths[where[p.Path]]
			if p.Owner == p.PURL {
				p.Owner = ""
			}
		}
	}
	return nil
}

// wheels finds the owners of files that wheels list in their RECORD.
func (c *collector) wheels(paths map[string]string) error {
	around := map[string]bool{} // folders that hold a file without an owner
	for path, owner := range paths {
		if owner != "" {
			continue
		}
		if dist, ok := strings.CutSuffix(path, ".dist-info/METADATA"); ok {
			path = parent(dist) // what a wheel says of itself is no question
		}
		for dir := path; dir != ""; {
			dir = parent(dir)
			if around[dir] {
				break
			}
			around[dir] = true
		}
	}
	for at := range c.packages {
		p := &c.packages[at]
		dist, ok := strings.CutSuffix(p.Path, ".dist-info/METADATA")
		if !ok || p.Removed || p.State != fact.Installed {
			continue
		}
		site := parent(dist)
		if !around[site] {
			continue
		}
		data, err := c.Read(dist+".dist-info/RECORD", integrity.MaxRecord)
		if err != nil {
			continue // such a wheel owns nothing; integrity says so
		}
		for path := range integrity.Record(data) {
			if path = inTree(site + "/" + path); paths[path] == "" {
				if _, asked := paths[path]; asked {
					paths[path] = p.PURL
				}
			}
		}
	}
	return nil
}

// parent returns the folder of a path, "" at the top.
func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}
