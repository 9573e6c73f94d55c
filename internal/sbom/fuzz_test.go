package sbom

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/sbom/extract"
)

// FuzzLayers applies two archives of any bytes, one over the other.
func FuzzLayers(f *testing.F) {
	f.Add(archive(f, file("a/NOTE", "x"), symlink("b", "a"), hardlink("c/NOTE", "a/NOTE")), archive(f, file("a/.wh.NOTE", ""), file("b/.wh..wh..opq", ""), dir("c")))
	f.Add(archive(f, symlink("a", "b"), symlink("b", "../../a"), file("a/../../NOTE", "x")), archive(f, file(".wh..", "")))
	f.Fuzz(func(t *testing.T, lower, upper []byte) {
		s, err := newSpool(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		c := &collector{extractors: []extract.Extractor{notes()}, tree: newTree(), spool: s, missed: map[*data]bool{}, evidence: map[string]*evidence{}}
		defer c.Close()
		for i, layer := range [][]byte{lower, upper} {
			c.layer = i
			c.links, c.jobs, c.large = nil, nil, nil
			r := tar.NewReader(bytes.NewReader(layer))
			for n := 0; ; n++ {
				h, err := r.Next()
				if err != nil {
					break
				}
				if err := c.entry(h, int32(i), int32(n), r); err != nil && !isRead(err) && h.Size < 0 {
					t.Errorf("an entry of %d bytes: %v", h.Size, err)
				}
			}
			for _, j := range c.pending() {
				if strings.HasPrefix(j.path, "/") || strings.HasPrefix(j.path, "../") || j.path == ".." {
					t.Errorf("a path outside of the tree: %q", j.path)
				}
				found, problem := c.run(t.Context(), &j)
				clear(c.missed)
				if err := c.settle(&j, found, problem); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
			c.vanish(nil)
		}
		if n := count(c.tree.root) - 1; n != c.tree.nodes {
			t.Errorf("%d nodes are counted as %d", n, c.tree.nodes)
		}
	})
}

// count counts a node and what is in it.
func count(n *node) int {
	sum := 1
	for _, kid := range n.kids {
		sum += count(kid)
	}
	return sum
}
