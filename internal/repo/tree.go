package repo

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// mode is an entry's mode as Git writes it: the kind in the upper bits.
type mode uint32

const (
	modeFile       mode = 0o100644
	modeShared     mode = 0o100664 // written by early versions of Git
	modeExecutable mode = 0o100755
	modeSymlink    mode = 0o120000
	modeDir        mode = 0o040000
	modeSubmodule  mode = 0o160000
)

func (m mode) file() bool { return m == modeFile || m == modeShared || m == modeExecutable }

// entry is one line of a directory.
type entry struct {
	name string
	mode mode
	hash plumbing.Hash
}

// sortName is what Git orders by: directories as if they ended in a slash.
func (e entry) sortName() string {
	if e.mode == modeDir {
		return e.name + "/"
	}
	return e.name
}

// parseTree reads a directory: "<octal mode> <name>\x00<20 bytes of hash>", again
// and again. It is as strict as git fsck --strict: what Git itself would not
// write was written to confuse.
func parseTree(data []byte) ([]entry, error) {
	var entries []entry
	seen := map[string]bool{}
	for len(data) > 0 {
		head, rest, found := bytes.Cut(data, []byte{0})
		octal, name, spaced := strings.Cut(string(head), " ")
		if !found || !spaced || len(rest) < len(plumbing.ZeroHash) {
			return nil, fmt.Errorf("%w: directory ends in the middle of an entry", ErrCorrupt)
		}
		m, err := parseMode(octal)
		if err != nil {
			return nil, &PathError{clip(name), err}
		}
		if err := checkName(name); err != nil {
			return nil, &PathError{clip(name), err}
		}
		e := entry{name: name, mode: m}
		data = rest[copy(e.hash[:], rest):]
		if e.hash.IsZero() {
			return nil, &PathError{clip(name), fmt.Errorf("%w: its hash is zero", ErrCorrupt)}
		}
		if seen[name] {
			return nil, &PathError{clip(name), fmt.Errorf("%w: its directory lists it twice", ErrCorrupt)}
		}
		seen[name] = true
		if n := len(entries); n > 0 && entries[n-1].sortName() >= e.sortName() {
			return nil, &PathError{clip(name), fmt.Errorf("%w: its directory is not in order", ErrCorrupt)}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func parseMode(octal string) (mode, error) {
	n, err := strconv.ParseUint(octal, 8, 32)
	switch m := mode(n); {
	case err != nil || strings.HasPrefix(octal, "0"):
	case m.file(), m == modeSymlink, m == modeDir, m == modeSubmodule:
		return m, nil
	}
	return 0, fmt.Errorf("%w: %.10q is not a mode of Git", ErrCorrupt, octal)
}

func encodeTree(entries []entry) []byte {
	sort.Slice(entries, func(i, j int) bool { return entries[i].sortName() < entries[j].sortName() })
	var out bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&out, "%o %s\x00", uint32(e.mode), e.name)
		out.Write(e.hash[:])
	}
	return out.Bytes()
}

// tree reads a directory; the zero hash is the empty one.
func (r *Repo) tree(h plumbing.Hash) ([]entry, error) {
	if h.IsZero() {
		return nil, nil
	}
	data, err := r.object(plumbing.TreeObject, h, maxTree)
	if err != nil {
		return nil, err
	}
	entries, err := parseTree(data)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", h, err)
	}
	return entries, nil
}

// change is a new content of one file; parts is what is left of its path.
type change struct {
	parts  []string
	hash   plumbing.Hash
	delete bool
}

// rewrite returns the directory h with the changes made, or the zero hash when
// nothing is left in it. Directories that no change touches are not read.
func (r *Repo) rewrite(h plumbing.Hash, at string, changes []change) (plumbing.Hash, error) {
	entries, err := r.tree(h)
	if err != nil {
		return h, err
	}
	groups := map[string][]change{}
	for _, c := range changes {
		name := c.parts[0]
		c.parts = c.parts[1:]
		groups[name] = append(groups[name], c)
	}
	for name, group := range groups {
		path := at + name
		i := slices.IndexFunc(entries, func(e entry) bool { return e.name == name })
		old := entry{name: name}
		if i >= 0 {
			old = entries[i]
			entries = slices.Delete(entries, i, i+1)
		}
		next, err := r.replace(old, path, group)
		if err != nil {
			return h, err
		}
		if !next.hash.IsZero() {
			entries = append(entries, next)
		}
	}
	if len(entries) == 0 {
		return plumbing.ZeroHash, nil
	}
	return r.put(plumbing.TreeObject, encodeTree(entries))
}

// replace makes the changes at and below one entry; a zero hash removes it.
func (r *Repo) replace(old entry, path string, group []change) (entry, error) {
	leaf := slices.IndexFunc(group, func(c change) bool { return len(c.parts) == 0 })
	if leaf >= 0 {
		if len(group) > 1 {
			return old, fmt.Errorf("%q would be a file and a directory", path)
		}
		if old.mode != 0 && !old.mode.file() {
			return old, &PathError{path, refusal(old.mode)}
		}
		if group[leaf].delete {
			return entry{}, nil
		}
		m := old.mode
		if m == 0 {
			m = modeFile
		}
		return entry{old.name, m, group[leaf].hash}, nil
	}
	if old.mode != 0 && old.mode != modeDir {
		return old, fmt.Errorf("%q is a file; nothing can be put below it", path)
	}
	h, err := r.rewrite(old.hash, path+"/", group)
	return entry{old.name, modeDir, h}, err
}

// refusal says why an entry of this mode is not read or written as a file.
func refusal(m mode) error {
	switch m {
	case modeSymlink:
		return fmt.Errorf("%w: its target is not followed; commit the file itself", ErrSymlink)
	case modeSubmodule:
		return fmt.Errorf("%w: its content is in another repository; commit the files themselves", ErrSubmodule)
	}
	return fmt.Errorf("it is a directory")
}
