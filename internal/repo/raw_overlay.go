package repo

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// maxOverlays is how many are named; one is enough to refuse.
const maxOverlays = 8

// Overlays names what makes the git command show another history than the one
// that is stored: a shallow clone, grafts, replace references. Nothing in this
// package follows them; but a person who looks with git sees what was not
// verified, and a shallow clone lacks what has to be.
func (r *Repo) Overlays() ([]string, error) {
	var found []string
	for _, file := range []string{"shallow", "info/grafts"} {
		info, err := r.dot.Stat(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("read repository %s: %w", r.dir, err)
		case info.Size() > 0:
			found = append(found, file)
		}
	}
	const replace = "refs/replace"
	err := fs.WalkDir(r.dot.FS(), replace, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if found = append(found, name); len(found) >= maxOverlays {
			return fs.SkipAll
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read repository %s: %w", r.dir, err)
	}
	packed, err := r.dot.Open("packed-refs")
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read repository %s: %w", r.dir, err)
	}
	defer packed.Close()
	lines := bufio.NewScanner(packed) // lines of up to 64 KiB: a longer one is an error
	for lines.Scan() && len(found) < maxOverlays {
		if _, name, _ := strings.Cut(lines.Text(), " "); strings.HasPrefix(name, replace+"/") {
			found = append(found, clip(name))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read repository %s: packed-refs: %w", r.dir, err)
	}
	return found, nil
}
