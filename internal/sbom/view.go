package sbom

import (
	"archive/tar"
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/distro"
	"github.com/apexlogic/apex/internal/sbom/extract"
	"github.com/apexlogic/apex/internal/sbom/integrity"
)

// Read returns the content of a file of the tree as it is now ([extract.Tree]).
func (c *collector) Read(name string, limit int64) ([]byte, error) {
	r, size, err := c.open(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer r.Close()
	if size > limit {
		return nil, fmt.Errorf("read %s: %w of %d bytes", name, bounded.ErrTooLarge, limit)
	}
	data, err := bounded.ReadAll(io.NewSectionReader(r, 0, limit+1), limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

// List returns the names in a folder ([extract.Tree]).
func (c *collector) List(name string) ([]string, error) { return c.tree.list(name) }

// OpenAt opens a file of the tree to be read in parts.
func (c *collector) OpenAt(name string) (extract.ReaderAtCloser, int64, error) { return c.open(name) }

func (c *collector) open(name string) (extract.ReaderAtCloser, int64, error) {
	canon, n, err := c.tree.lookup(name, true)
	if err != nil {
		return nil, 0, err
	}
	if n.kind != isFile {
		return nil, 0, fmt.Errorf("not a regular file: %w", fs.ErrNotExist)
	}
	return c.openData(canon, n.data)
}

func (c *collector) openData(canon string, d *data) (extract.ReaderAtCloser, int64, error) {
	if c.dir != nil {
		return c.dir.open(canon)
	}
	s, err := c.spool.open(d)
	if err != nil {
		// Noted, so that it is fetched and the extractor asked once more.
		c.missed[d] = true
		return nil, 0, err
	}
	return s, d.size, nil
}

// Distribution is what os-release says ([extract.Tree]), or said in a layer
// below: deleting it does not make the packages those of nobody.
func (c *collector) Distribution() fact.Distribution {
	if c.distribution == nil {
		if d := distro.Of(c); d.ID != "" {
			c.lastDistribution = d
		}
		c.distribution = &c.lastDistribution
	}
	return *c.distribution
}

// Stat finds a file that can be seen at the end ([integrity.Files]).
func (c *collector) Stat(name string) (integrity.Stat, bool) {
	canon, n, err := c.tree.lookup(name, false)
	link := err == nil && n.kind == isLink
	if link {
		canon, n, err = c.tree.lookup(name, true)
	}
	if err != nil {
		return integrity.Stat{}, false
	}
	return integrity.Stat{Canon: canon, Layer: int(n.layer), Regular: n.kind == isFile, Link: link}, true
}

// Find returns the paths of files whose last part matches, sorted, at most that
// many ([attestation.Files]). It follows no links: a file is found where it lies.
func (c *collector) Find(match func(name string) bool, most int) (paths []string, whole bool) {
	var walk func(dir string, n *node)
	walk = func(dir string, n *node) {
		for name, kid := range n.kids {
			switch {
			case kid.kind == isFolder:
				walk(path.Join(dir, name), kid)
			case kid.kind == isFile && match(name):
				paths = append(paths, path.Join(dir, name))
			}
		}
	}
	walk("", c.tree.root)
	slices.Sort(paths)
	return paths[:min(len(paths), most)], len(paths) <= most
}

// Visit reads the files of the paths, which are canonical, in no order; do gets
// all the names of one content ([integrity.Files]).
func (c *collector) Visit(ctx context.Context, paths []string, do func(paths []string, r io.Reader) error) error {
	if c.dir != nil {
		for _, p := range paths {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := c.dir.visit(p, do); err != nil {
				return err
			}
		}
		return nil
	}
	type place struct {
		layer, entry int32
		path         int
	}
	places := make([]place, 0, len(paths))
	for i, p := range paths {
		_, n, err := c.tree.lookup(p, false)
		if err != nil || n.kind != isFile {
			return fmt.Errorf("read %s: %w", p, fs.ErrNotExist)
		}
		places = append(places, place{n.data.layer, n.data.entry, i})
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.layer, b.layer), cmp.Compare(a.entry, b.entry), cmp.Compare(a.path, b.path))
	})
	for len(places) > 0 {
		layer := places[0].layer
		err := c.entries(ctx, int(layer), func(n int, _ *tar.Header, r io.Reader) error {
			var names []string
			for len(places) > 0 && places[0].layer == layer && places[0].entry == int32(n) {
				names = append(names, paths[places[0].path])
				places = places[1:]
			}
			if names == nil {
				return nil
			}
			return do(names, r)
		})
		if err != nil {
			return err
		}
		if len(places) > 0 && places[0].layer == layer {
			return fmt.Errorf("layer %d is not the one that was read before", layer)
		}
	}
	return nil
}
