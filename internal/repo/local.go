package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/go-git/go-git/v5/plumbing"
)

// A repository in a directory is read as it is, without running git: no upload
// hook, no configuration, no grafts and no replaced objects of it take part.

// openLocal opens a directory that is fetched from.
func openLocal(dir string) (*Repo, error) {
	r, err := open(dir)
	if err != nil {
		return nil, err
	}
	if _, err := r.dot.Lstat("shallow"); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("%w; fetch from a whole one, or run git fetch --unshallow there", ErrShallow), r.Close())
	}
	return r, nil
}

// localTip looks up a reference of a repository in a directory.
func localTip(dir, name string) (Tip, error) {
	r, err := openLocal(dir)
	if err != nil {
		return Tip{}, err
	}
	tip, err := r.tipOf(name)
	return tip, errors.Join(err, r.Close())
}

func (r *Repo) tipOf(name string) (Tip, error) {
	h, err := r.reference(name)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return Tip{}, notThere(name)
	}
	if err != nil {
		return Tip{}, err
	}
	c, err := r.peel(h)
	if err != nil {
		return Tip{}, missing(err)
	}
	return Tip{Object: h.String(), Commit: c}, nil
}

// missing names an object that is not there for what it means: the repository
// is not whole.
func missing(err error) error {
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	return err
}

// walk visits the object that from names and all that it needs, each once.
// Those for which skip is true are not read, nor followed.
type walk struct {
	repo   *Repo
	limits Limits
	skip   func(linked) (bool, error)
	visit  func(plumbing.ObjectType, plumbing.Hash, []byte) error
}

func (w walk) from(ctx context.Context, starts ...plumbing.Hash) error {
	var todo []linked
	for _, h := range starts {
		todo = append(todo, linked{plumbing.AnyObject, h})
	}
	seen := map[plumbing.Hash]struct{}{}
	visited, unpacked := 0, int64(0)
	for len(todo) > 0 {
		l := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if _, twice := seen[l.hash]; twice {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		seen[l.hash] = struct{}{}
		if skip, err := w.skip(l); err != nil || skip {
			if err != nil {
				return err
			}
			continue
		}
		if visited++; visited > w.limits.Objects {
			return fmt.Errorf("%w: more than %d objects", ErrTooLarge, w.limits.Objects)
		}
		if l.kind == plumbing.AnyObject {
			var err error
			if l.kind, err = w.repo.kind(l.hash); err != nil {
				return missing(err)
			}
		}
		data, err := w.repo.object(l.kind, l.hash, objectLimit(l.kind, w.limits.Object))
		if err != nil {
			return missing(err)
		}
		if unpacked += int64(len(data)); unpacked > w.limits.Unpacked {
			return fmt.Errorf("%w: the objects have more than %d bytes", ErrTooLarge, w.limits.Unpacked)
		}
		if err := w.visit(l.kind, l.hash, data); err != nil {
			return err
		}
		if err := eachLink(l.kind, data, func(l linked) {
			if _, twice := seen[l.hash]; !twice {
				todo = append(todo, l)
			}
		}); err != nil {
			return fmt.Errorf("%s %s: %w", l.kind, l.hash, err)
		}
		if len(todo)+len(seen) > 2*w.limits.Objects+MaxFiles {
			return fmt.Errorf("%w: more than %d objects", ErrTooLarge, w.limits.Objects)
		}
	}
	return nil
}
