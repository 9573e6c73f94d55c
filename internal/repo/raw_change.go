package repo

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxCachedEntries bounds the directories that a Graph keeps: 100 bytes each.
const maxCachedEntries = 200_000

// treeCache keeps directories that were read, sorted by plain name: a commit's
// directories are mostly those of its parent.
type treeCache struct {
	graph   *Graph
	trees   map[plumbing.Hash][]entry
	entries int
}

func (c *treeCache) tree(h plumbing.Hash) ([]entry, error) {
	if h.IsZero() {
		return nil, nil
	}
	if list, ok := c.trees[h]; ok {
		return list, nil
	}
	data, err := c.graph.repo.unforged(plumbing.TreeObject, h, maxTree, &c.graph.chains)
	if err != nil {
		return nil, err
	}
	list, err := parseTree(data)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", h, err)
	}
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	if c.entries += len(list) + 1; c.trees == nil || c.entries > maxCachedEntries {
		c.trees, c.entries = map[plumbing.Hash][]entry{}, len(list)+1
	}
	c.trees[h] = list
	return list, nil
}

// Changes lists the paths that a commit itself changes, sorted: content, kind,
// executable bit, added or removed.
//
// A merge changes what is not the plain outcome of its parents. The outcome of
// a path is plain when the parents agree on it, or when only one of them
// changed it since they parted, in every one of the places where they parted.
// So a merge that drops one parent's change, which shows in no comparison with
// the parents, is a change by the merge.
func (g *Graph) Changes(ctx context.Context, c Commit) ([]string, error) {
	n, err := g.named(c)
	if err != nil {
		return nil, err
	}
	d := outcome{ctx: ctx, g: g}
	sides := side{result: entry{mode: modeDir, hash: n.tree}}
	for i, h := range n.parents {
		parent, err := g.node(h)
		if err != nil {
			return nil, err
		}
		sides.parents = append(sides.parents, entry{mode: modeDir, hash: parent.tree})
		if i == 0 {
			continue
		}
		bases, err := g.bases(ctx, n.parents[:i], h)
		if err != nil {
			return nil, err
		}
		step := []entry{}
		for _, b := range bases {
			step = append(step, entry{mode: modeDir, hash: b.tree})
		}
		if len(step) == 0 { // histories that have nothing in common parted from nothing
			step = append(step, entry{})
		}
		sides.bases = append(sides.bases, step)
	}
	if err := d.compare(".", sides, 0); err != nil {
		return nil, fmt.Errorf("changes of commit %s: %w", c, err)
	}
	slices.Sort(d.paths)
	return d.paths, nil
}

// side is one path in a commit, in its parents, and where those parted:
// bases[i] are the places where parent i+1 parted from those before it.
type side struct {
	result  entry
	parents []entry
	bases   [][]entry
}

// outcome finds what is not the plain outcome of the parents.
type outcome struct {
	ctx   context.Context
	g     *Graph
	seen  int
	paths []string
}

// alike compares what a path holds; names are the same or that of the root.
func alike(a, b entry) bool { return a.mode == b.mode && a.hash == b.hash }

// plain says whether the result is what the parents make of it by themselves.
func (s *side) plain() bool {
	var now entry // of a first commit, nothing
	for i, p := range s.parents {
		if i == 0 {
			now = p
			continue
		}
		theirs, ours := true, true // nothing but this side was changed
		for _, b := range s.bases[i-1] {
			theirs = theirs && alike(b, now)
			ours = ours && alike(b, p)
		}
		switch {
		case alike(now, p), ours:
		case theirs:
			now = p
		default:
			return false
		}
	}
	return alike(s.result, now)
}

// each calls f for all entries of all sides.
func (s *side) each(f func(*entry)) {
	f(&s.result)
	for i := range s.parents {
		f(&s.parents[i])
	}
	for i := range s.bases {
		for j := range s.bases[i] {
			f(&s.bases[i][j])
		}
	}
}

func (s *side) clone() side {
	out := side{result: s.result, parents: slices.Clone(s.parents), bases: slices.Clone(s.bases)}
	for i := range out.bases {
		out.bases[i] = slices.Clone(out.bases[i])
	}
	return out
}

// compare looks at one path, which is a directory on some side. What holds for
// the hash of a directory holds for all that is in it.
func (d *outcome) compare(dir string, s side, depth int) error {
	if s.plain() {
		return nil
	}
	if err := d.ctx.Err(); err != nil {
		return err
	}
	if depth > MaxDepth {
		return &PathError{clip(dir), fmt.Errorf("%w: it is more than %d directories deep", ErrTooLarge, MaxDepth)}
	}
	var lists [][]entry
	var err error
	s.each(func(e *entry) {
		var list []entry
		if e.mode == modeDir && err == nil {
			if list, err = d.g.trees.tree(e.hash); err != nil {
				err = below(dir, err)
			}
		}
		d.seen += len(list)
		lists = append(lists, list)
	})
	if err != nil {
		return err
	}
	if d.seen > (len(lists)+1)*MaxFiles {
		return fmt.Errorf("%w: more than %d files and directories", ErrTooLarge, MaxFiles)
	}
	for child := s.clone(); ; {
		name, ok := firstName(lists)
		if !ok {
			return nil
		}
		i := 0
		child.each(func(e *entry) {
			*e = entry{}
			if len(lists[i]) > 0 && lists[i][0].name == name {
				*e, lists[i] = lists[i][0], lists[i][1:]
			}
			i++
		})
		if err := d.path(path.Join(dir, name), child, depth); err != nil {
			return err
		}
	}
}

// path judges what is at a path as a file, and goes on with it as a directory.
// It changes s.
func (d *outcome) path(p string, s side, depth int) error {
	if s.plain() {
		return nil
	}
	file, isDir := s.clone(), false
	file.each(func(e *entry) {
		if e.mode == modeDir {
			*e, isDir = entry{}, true
		}
	})
	if !file.plain() {
		if len(d.paths) == MaxFiles {
			return fmt.Errorf("%w: more than %d paths are changed", ErrTooLarge, MaxFiles)
		}
		d.paths = append(d.paths, p)
	}
	if !isDir {
		return nil
	}
	s.each(func(e *entry) {
		if e.mode != modeDir {
			*e = entry{}
		}
	})
	return d.compare(p, s, depth+1)
}

// firstName is the first of the names that the lists go on with.
func firstName(lists [][]entry) (name string, ok bool) {
	for _, list := range lists {
		if len(list) > 0 && (!ok || list[0].name < name) {
			name, ok = list[0].name, true
		}
	}
	return name, ok
}
