package repo

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/apexlogic/apex/internal/bounded"
)

// maxSymrefs is how many references may lead to each other, as in git.
const maxSymrefs = 5

// reference looks up what a reference names, through symbolic ones. Files of
// references are foreign too: go-git reads them whole, whatever their size.
func (r *Repo) reference(name string) (plumbing.Hash, error) {
	for range maxSymrefs + 1 {
		text, err := r.looseRef(name)
		if errors.Is(err, fs.ErrNotExist) {
			return r.packedRef(name)
		}
		if err != nil {
			return plumbing.ZeroHash, fmt.Errorf("reference %s: %w", name, err)
		}
		target, symbolic := strings.CutPrefix(text, "ref:")
		if !symbolic {
			h, err := parseHash(strings.TrimSpace(text))
			if err != nil {
				err = fmt.Errorf("reference %s: %w: %w", name, ErrCorrupt, err)
			}
			return h, err
		}
		next := strings.TrimSpace(target)
		if !strings.HasPrefix(next, "refs/") || plumbing.ReferenceName(next).Validate() != nil {
			return plumbing.ZeroHash, fmt.Errorf("reference %s: %w: it leads to %.100q, which is not a reference", name, ErrCorrupt, next)
		}
		name = next
	}
	return plumbing.ZeroHash, fmt.Errorf("reference %s: %w: more than %d references lead to each other", name, ErrCorrupt, maxSymrefs)
}

// looseRef reads the file of a reference; fs.ErrNotExist says that there is none.
func (r *Repo) looseRef(name string) (string, error) {
	info, err := r.dot.Stat(name)
	if err != nil {
		return "", err
	}
	if info.IsDir() { // of longer names
		return "", fs.ErrNotExist
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%w: it is not a regular file", ErrCorrupt)
	}
	f, err := r.dot.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := bounded.ReadAll(f, maxHead)
	if errors.Is(err, bounded.ErrTooLarge) {
		return "", fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, maxHead)
	}
	return string(text), err
}

// packedRef looks a reference up in packed-refs (git-pack-refs(1)): lines of a
// hash and a name, comments that begin with #, and after an annotated tag the
// hash of what it names, behind a ^.
func (r *Repo) packedRef(name string) (found plumbing.Hash, err error) {
	f, err := r.dot.Open("packed-refs")
	if errors.Is(err, fs.ErrNotExist) {
		return found, plumbing.ErrReferenceNotFound
	}
	if err != nil {
		return found, err
	}
	defer f.Close()
	lines := bufio.NewScanner(budget{f, ptr(int64(maxRefs)), maxRefs})
	lines.Buffer(make([]byte, 4<<10), maxHead)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "^") {
			continue
		}
		hex, ref, ok := strings.Cut(line, " ")
		if !ok || path.Clean(ref) != ref {
			return found, fmt.Errorf("%w: packed-refs holds the line %.100q", ErrCorrupt, line)
		}
		if ref != name {
			continue
		}
		if !found.IsZero() {
			return found, fmt.Errorf("%w: packed-refs lists %s twice", ErrCorrupt, name)
		}
		if found, err = parseHash(hex); err != nil || found.IsZero() {
			return found, fmt.Errorf("%w: packed-refs says that %s is %.60q", ErrCorrupt, name, hex)
		}
	}
	if err := lines.Err(); err != nil {
		return found, fmt.Errorf("%w: packed-refs: %w", ErrCorrupt, err)
	}
	if found.IsZero() {
		return found, plumbing.ErrReferenceNotFound
	}
	return found, nil
}

func ptr[T any](v T) *T { return &v }
