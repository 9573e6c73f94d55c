package repo

import (
	"context"
	"fmt"
	"path"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// Changed lists the paths whose content, kind or executable bit differs between
// two commits, sorted. Files that are only in one of them are listed too. An
// empty from stands for the empty tree: everything in to is new.
func (r *Repo) Changed(ctx context.Context, from, to Commit) ([]string, error) {
	var roots [2]plumbing.Hash
	for i, c := range []Commit{from, to} {
		if c == "" && i == 0 {
			continue
		}
		commit, err := r.commit(c)
		if err != nil {
			return nil, fmt.Errorf("compare in repository %s: %w", r.dir, err)
		}
		roots[i] = commit.TreeHash
	}
	d := differ{repo: r, known: map[plumbing.Hash][]entry{}}
	if err := d.compare(ctx, ".", roots[0], roots[1], 0); err != nil {
		return nil, fmt.Errorf("compare %s with %s in repository %s: %w", from, to, r.dir, err)
	}
	slices.Sort(d.paths)
	return d.paths, nil
}

type differ struct {
	repo  *Repo
	known map[plumbing.Hash][]entry
	seen  int
	paths []string
}

func (d *differ) compare(ctx context.Context, dir string, a, b plumbing.Hash, depth int) error {
	if a == b {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if depth > MaxDepth {
		return &PathError{clip(dir), fmt.Errorf("%w: it is more than %d directories deep", ErrTooLarge, MaxDepth)}
	}
	pairs := map[string]*[2]entry{}
	for side, h := range []plumbing.Hash{a, b} {
		entries, ok := d.known[h]
		if !ok {
			var err error
			if entries, err = d.repo.tree(h); err != nil {
				return below(dir, err)
			}
			d.known[h] = entries
		}
		if d.seen += len(entries); d.seen > 2*MaxFiles {
			return fmt.Errorf("%w: more than %d files and directories", ErrTooLarge, MaxFiles)
		}
		for _, e := range entries {
			if pairs[e.name] == nil {
				pairs[e.name] = new([2]entry)
			}
			pairs[e.name][side] = e
		}
	}
	for name, pair := range pairs {
		p := path.Join(dir, name)
		var sub [2]plumbing.Hash
		changed := pair[0] != pair[1]
		leaf := false
		for side, e := range pair {
			if e.mode == modeDir {
				sub[side] = e.hash
			} else if e.mode != 0 {
				leaf = true
			}
		}
		if changed && leaf {
			d.paths = append(d.paths, p)
		}
		if err := d.compare(ctx, p, sub[0], sub[1], depth+1); err != nil {
			return err
		}
	}
	return nil
}
