package sbom

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/apexlogic/apex/internal/sbom/distro"
)

const (
	// maxEntries is how many entries the archives of all layers have at most.
	maxEntries = 4_000_000
	// maxEntryGaps is how many entries that cannot be unpacked are reported of
	// one layer.
	maxEntryGaps = 20
)

// The names of whiteouts (OCI image-spec, layer).
const (
	whiteout = ".wh."
	aufs     = ".wh..wh."
	opaque   = ".wh..wh..opq"
)

// job is a file that an extractor wants.
type job struct {
	path  string // as the extractor is told
	canon string // where it lies
	data  *data
	wants []int // indexes of extractors
}

// readLayer adds layer i to the tree and spools what extractors want.
func (c *collector) readLayer(ctx context.Context, i int) error {
	c.links, c.jobs, c.large = c.links[:0], c.jobs[:0], c.large[:0]
	rejected := 0
	return c.entries(ctx, i, func(n int, h *tar.Header, r io.Reader) error {
		if c.count++; c.count > maxEntries {
			return fmt.Errorf("the layers have more than %d entries", maxEntries)
		}
		err := c.entry(h, int32(i), int32(n), r)
		switch {
		case errors.Is(err, errNodes), errors.Is(err, errText), errors.Is(err, errSpool):
			return err
		case err != nil && isRead(err):
			return err
		case err != nil:
			// No runtime could unpack it either, or each does it in another way.
			if rejected++; rejected <= maxEntryGaps {
				c.gap(inTree(h.Name), i, "the entry cannot be unpacked: "+err.Error())
			}
		}
		return nil
	})
}

// readError marks errors of reading the archive, which end everything.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

func isRead(err error) bool {
	_, ok := errors.AsType[readError](err)
	return ok
}

// entries calls do for each entry of layer i, and reads to the layer's end so
// that its digests are proved.
func (c *collector) entries(ctx context.Context, i int, do func(n int, h *tar.Header, r io.Reader) error) error {
	layer, err := c.src.layers.Open(ctx, i)
	if err != nil {
		return fmt.Errorf("layer %d: %w", i, err)
	}
	defer layer.Close()
	r := tar.NewReader(layer)
	for n := 0; ; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("layer %d is no tar archive that can be read: %w", i, err)
		}
		if err := do(n, h, r); err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
	}
	if _, err := io.Copy(io.Discard, layer); err != nil {
		return fmt.Errorf("layer %d: %w", i, err)
	}
	return nil
}

// entry applies one entry of a layer's archive.
func (c *collector) entry(h *tar.Header, layer, n int32, r io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name := inTree(h.Name)
	if name == "" {
		return nil // the root itself
	}
	if len(name) > maxPath {
		return errName
	}
	dir, folder, base, err := c.tree.parent(name, layer)
	if err != nil {
		return err
	}
	canon := base
	if dir != "" {
		canon = dir + "/" + base
	}
	if strings.HasPrefix(base, whiteout) {
		switch victim := base[len(whiteout):]; {
		case base == opaque:
			c.tree.empty(folder, layer)
		case strings.HasPrefix(base, aufs), victim == "", victim == ".", victim == "..":
			// What AUFS keeps for itself, and names that name nothing.
		default:
			c.tree.remove(folder, victim, layer)
		}
		return nil
	}
	fresh := &node{layer: layer, kind: isOther}
	switch h.Typeflag {
	case tar.TypeDir:
		if old := folder.kids[base]; old != nil && old.kind == isFolder {
			old.layer = layer
			return nil
		}
		fresh.kind = isFolder
	case tar.TypeReg, tar.TypeGNUSparse:
		fresh.kind = isFile
		fresh.data = &data{size: h.Size, at: notKept, layer: layer, entry: n, mode: h.FileInfo().Mode()}
		if err := c.want(canon, fresh.data, r); err != nil {
			return err
		}
	case tar.TypeLink:
		_, to, err := c.tree.lookup(inTree(h.Linkname), false)
		if err != nil || to.kind == isFolder {
			return fmt.Errorf("it is a hard link to %.200q, which is not there", h.Linkname)
		}
		fresh.kind, fresh.data, fresh.target = to.kind, to.data, to.target
		if to.kind == isFile {
			if err := c.want(canon, to.data, nil); err != nil {
				return err
			}
		}
	case tar.TypeSymlink:
		fresh.kind, fresh.target = isLink, h.Linkname
		c.links = append(c.links, canon)
	}
	_, err = c.tree.put(folder, base, fresh)
	return err
}

// want asks the extractors whether they want the file, and spools it if so. r
// yields its content; nil when it lies elsewhere.
func (c *collector) want(canon string, d *data, r io.Reader) error {
	var wants []int
	for x := range c.extractors {
		if c.extractors[x].Wants(canon, d.mode, d.size) {
			wants = append(wants, x)
		}
	}
	if wants != nil {
		c.jobs = append(c.jobs, job{path: canon, canon: canon, data: d, wants: wants})
	}
	if r == nil || wants == nil && !beside(canon, d.size) {
		return nil
	}
	// Layers above ask the databases who owns their files.
	return c.keep(d, r, distro.IsDatabase(canon))
}

// keep spools a content, unless it is too large: then who asks for it is told.
func (c *collector) keep(d *data, r io.Reader, lasting bool) error {
	if d.size > maxFile {
		return nil
	}
	if err := c.spool.add(d, r, lasting); err != nil {
		if errors.Is(err, errSpool) {
			return err
		}
		return readError{err}
	}
	if d.at >= passing {
		c.large = append(c.large, d)
	}
	return nil
}

// beside reports whether extractors are likely to ask for the file when they
// read another one. It saves reading a layer twice, see [collector.fetch].
func beside(canon string, size int64) bool {
	if size > smallFile {
		return false
	}
	dir, base := "", canon
	if i := strings.LastIndexByte(canon, '/'); i >= 0 {
		dir, base = canon[:i], canon[i+1:]
	}
	return strings.HasSuffix(dir, ".dist-info") || strings.HasSuffix(dir, ".egg-info") || strings.HasSuffix(dir, "conda-meta") ||
		base == "package.json" && size < 64<<10 || distro.Beside(canon)
}

// fetch spools contents that were not kept, each from the layer that holds it.
func (c *collector) fetch(ctx context.Context, missing map[*data]bool) error {
	byLayer := map[int32]map[int32]*data{}
	for d := range missing {
		if byLayer[d.layer] == nil {
			byLayer[d.layer] = map[int32]*data{}
		}
		byLayer[d.layer][d.entry] = d
	}
	for layer := range int32(c.layer + 1) {
		wanted := byLayer[layer]
		if wanted == nil {
			continue
		}
		err := c.entries(ctx, int(layer), func(n int, _ *tar.Header, r io.Reader) error {
			d := wanted[int32(n)]
			if d == nil {
				return nil
			}
			return c.keep(d, r, false)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
