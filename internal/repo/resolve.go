package repo

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

const (
	maxTags = 8 // tags of tags
	maxBack = 10_000
)

// Head is the commit that is checked out. Before the first commit the error
// wraps ErrNoCommit.
func (r *Repo) Head() (Commit, error) {
	h, err := r.reference("HEAD")
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return "", fmt.Errorf("repository %s: %w", r.dir, ErrNoCommit)
	}
	if err != nil {
		return "", fmt.Errorf("repository %s: read HEAD: %w", r.dir, err)
	}
	return Commit(h.String()), nil
}

// Resolve turns a name into the commit that it means now: HEAD, a branch, a
// tag, a whole reference (refs/heads/main, origin/main), or 40 hex digits, each
// with ~N or ^ for an earlier commit along first parents.
//
// A short name that is both a tag and a branch, of different commits, is
// ErrAmbiguous: git would take the tag, which whoever may push tags could use
// to replace a branch. Shortened hashes are not accepted for the same reason.
func (r *Repo) Resolve(rev string) (Commit, error) {
	c, err := r.resolve(rev)
	if err != nil {
		return "", fmt.Errorf("resolve %.100q in repository %s: %w", rev, r.dir, err)
	}
	return c, nil
}

func (r *Repo) resolve(rev string) (Commit, error) {
	name, back, err := cutBack(rev)
	if err != nil {
		return "", err
	}
	h, err := r.lookUp(name)
	if err != nil {
		return "", err
	}
	c, err := r.peel(h)
	if err != nil {
		return "", err
	}
	for range back {
		commit, err := r.commit(c)
		if err != nil {
			return "", err
		}
		if len(commit.ParentHashes) == 0 {
			return "", fmt.Errorf("%w: %s is the first commit", ErrNotFound, c)
		}
		c = Commit(commit.ParentHashes[0].String())
	}
	_, err = r.commit(c)
	return c, err
}

// cutBack takes the ~N and ^ off the end of rev and adds them up.
func cutBack(rev string) (name string, back int, err error) {
	name, suffix := rev, ""
	if i := strings.IndexAny(rev, "~^"); i >= 0 {
		name, suffix = rev[:i], rev[i:]
	}
	for suffix != "" && back <= maxBack {
		op := suffix[0]
		digits := suffix[1:]
		if i := strings.IndexAny(digits, "~^"); i >= 0 {
			digits = digits[:i]
		}
		suffix = suffix[1+len(digits):]
		n := 1
		if digits != "" {
			if n, err = strconv.Atoi(digits); err != nil || n < 0 || n > maxBack || op == '^' && n > 1 {
				return "", 0, fmt.Errorf("%c%.20s is not understood: write ~N with N up to %d, or ^", op, digits, maxBack)
			}
		}
		back += n
	}
	if back > maxBack {
		return "", 0, fmt.Errorf("more than %d commits back", maxBack)
	}
	return name, back, nil
}

// lookUp finds what a name stands for, in the places of gitrevisions(7).
func (r *Repo) lookUp(name string) (plumbing.Hash, error) {
	if plumbing.IsHash(name) && len(name) == 40 {
		return plumbing.NewHash(strings.ToLower(name)), nil
	}
	if name == "HEAD" || name == "@" {
		head, err := r.Head()
		return plumbing.NewHash(string(head)), err
	}
	candidates := []string{"refs/tags/" + name, "refs/heads/" + name, "refs/remotes/" + name}
	if strings.HasPrefix(name, "refs/") {
		candidates = []string{name}
	}
	var found []plumbing.Hash
	for _, c := range candidates {
		ref := plumbing.ReferenceName(c)
		if err := ref.Validate(); err != nil {
			return plumbing.ZeroHash, fmt.Errorf("it is not a name that a reference can have: %w", err)
		}
		h, err := r.reference(c)
		switch {
		case errors.Is(err, plumbing.ErrReferenceNotFound):
		case err != nil:
			return plumbing.ZeroHash, err
		default:
			found = append(found, h)
		}
	}
	if len(found) == 0 {
		return plumbing.ZeroHash, fmt.Errorf("%w: name a branch, a tag or a whole commit hash", ErrNotFound)
	}
	first, err := r.peel(found[0])
	if err != nil {
		return plumbing.ZeroHash, err
	}
	for _, h := range found[1:] {
		if other, err := r.peel(h); err != nil || other != first {
			return plumbing.ZeroHash, fmt.Errorf("%w: write refs/tags/%s or refs/heads/%s", ErrAmbiguous, name, name)
		}
	}
	return found[0], nil
}

// peel follows annotated tags to the commit that they name.
func (r *Repo) peel(h plumbing.Hash) (Commit, error) {
	for range maxTags {
		kind, err := r.kind(h)
		if err != nil {
			return "", err
		}
		if kind == plumbing.CommitObject {
			return Commit(h.String()), nil
		}
		data, err := r.object(plumbing.TagObject, h, maxCommit)
		if err != nil {
			return "", err
		}
		tag := new(object.Tag)
		if err := tag.Decode(memory(plumbing.TagObject, data)); err != nil {
			return "", fmt.Errorf("tag %s: %w: %w", h, ErrCorrupt, err)
		}
		h = tag.Target
	}
	return "", fmt.Errorf("more than %d tags of tags", maxTags)
}
