package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Tree is what one commit holds, as an fs.FS that only reads. It is safe for
// concurrent use.
//
// All of its names were checked when it was made. Symbolic links and submodules
// show in listings with their type (fs.ModeSymlink, fs.ModeIrregular) and
// cannot be opened: the error wraps a [PathError] with ErrSymlink or
// ErrSubmodule. Names that differ only in case, or in how their accents are
// written, show too and cannot be opened, with what is below them: ErrClash.
// [Tree.Refused] lists all of these for callers that want none at all.
type Tree struct {
	repo    *Repo
	commit  Commit
	when    time.Time
	entries map[string]entry    // by path; "." is the root
	dirs    map[string][]string // names in a directory, sorted
	refused []string
	clashes map[string]string // a path, and the name in its directory that it is taken for
}

var (
	_ fs.ReadDirFS  = (*Tree)(nil)
	_ fs.ReadFileFS = (*Tree)(nil)
	_ fs.StatFS     = (*Tree)(nil)
)

// At returns the files of a commit. It reads all directories and no file, and
// fails when any name in them is unsafe, or there are more than MaxFiles
// entries or MaxDepth levels.
func (r *Repo) At(ctx context.Context, c Commit) (*Tree, error) {
	commit, err := r.commit(c)
	if err != nil {
		return nil, fmt.Errorf("read repository %s: %w", r.dir, err)
	}
	t := &Tree{repo: r, commit: c, when: commit.Committer.When.UTC(),
		entries: map[string]entry{".": {name: ".", mode: modeDir, hash: commit.TreeHash}},
		dirs:    map[string][]string{}, clashes: map[string]string{}}
	w := walker{tree: t, known: map[plumbing.Hash][]entry{}}
	if err := w.walk(ctx, ".", commit.TreeHash, 0); err != nil {
		return nil, fmt.Errorf("read repository %s at %s: %w", r.dir, c, err)
	}
	return t, nil
}

// walker fills a Tree. It reads a directory that is in several places once.
type walker struct {
	tree  *Tree
	known map[plumbing.Hash][]entry
}

func (w *walker) walk(ctx context.Context, dir string, h plumbing.Hash, depth int) error {
	t := w.tree
	if err := ctx.Err(); err != nil {
		return err
	}
	if depth > MaxDepth {
		return &PathError{clip(dir), fmt.Errorf("%w: it is more than %d directories deep", ErrTooLarge, MaxDepth)}
	}
	entries, ok := w.known[h]
	if !ok {
		var err error
		if entries, err = t.repo.tree(h); err != nil {
			return below(dir, err)
		}
		w.known[h] = entries
	}
	// Counted along paths, so that a directory that holds another one many
	// times over, and that one another, is stopped too.
	if len(t.entries)+len(entries) > MaxFiles+1 {
		return fmt.Errorf("%w: more than %d files and directories", ErrTooLarge, MaxFiles)
	}
	names := make([]string, len(entries))
	folded := make(map[string]string, len(entries))
	for i, e := range entries {
		p := path.Join(dir, e.name)
		names[i], t.entries[p] = e.name, e
		key := foldName(e.name)
		if other, twice := folded[key]; twice {
			t.clashes[p], t.clashes[path.Join(dir, other)] = other, e.name
		}
		folded[key] = e.name
		switch {
		case e.mode == modeDir:
			if err := w.walk(ctx, p, e.hash, depth+1); err != nil {
				return err
			}
		case !e.mode.file():
			t.refused = append(t.refused, p)
		}
	}
	slices.Sort(names)
	t.dirs[dir] = names
	return nil
}

// below adds the directory to an error about one of its names.
func below(dir string, err error) error {
	var bad *PathError
	if errors.As(err, &bad) {
		return &PathError{clip(path.Join(dir, bad.Path)), bad.Err}
	}
	return fmt.Errorf("directory %q: %w", clip(dir), err)
}

// Commit is the commit that the tree belongs to.
func (t *Tree) Commit() Commit { return t.commit }

// Refused lists the symbolic links, submodules and clashing names, sorted.
func (t *Tree) Refused() []string {
	out := slices.AppendSeq(slices.Clone(t.refused), maps.Keys(t.clashes))
	slices.Sort(out)
	return slices.Compact(out)
}

// Open opens a file or directory. Files of more than MaxFile bytes are refused
// with ErrTooLarge.
func (t *Tree) Open(name string) (fs.File, error) {
	e, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	if e.mode == modeDir {
		list, err := t.ReadDir(name)
		if err != nil {
			return nil, err
		}
		return &openDir{info: t.info(e, 0), path: name, entries: list}, nil
	}
	data, err := t.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &openFile{info: t.info(e, int64(len(data))), Reader: bytes.NewReader(data)}, nil
}

// ReadFile returns the content of a file.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	e, err := t.find("read", name)
	if err != nil {
		return nil, err
	}
	if !e.mode.file() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: &PathError{name, refusal(e.mode)}}
	}
	data, err := t.repo.object(plumbing.BlobObject, e.hash, MaxFile)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: &PathError{name, err}}
	}
	return data, nil
}

// ReadDir lists a directory, sorted by name.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := t.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if e.mode != modeDir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("it is not a directory")}
	}
	names := t.dirs[name]
	list := make([]fs.DirEntry, len(names))
	for i, n := range names {
		list[i] = dirEntry{t, path.Join(name, n), t.entries[path.Join(name, n)]}
	}
	return list, nil
}

// Stat describes a file, directory, symbolic link or submodule.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	e, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return dirEntry{t, name, e}.Info()
}

func (t *Tree) find(op, name string) (entry, error) {
	if !fs.ValidPath(name) {
		return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if e, ok := t.entries[name]; ok {
		return e, t.clash(op, name)
	}
	// Something below a link or submodule is refused, not absent.
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if e, ok := t.entries[dir]; ok {
			if e.mode == modeSymlink || e.mode == modeSubmodule {
				return entry{}, &fs.PathError{Op: op, Path: name, Err: &PathError{dir, refusal(e.mode)}}
			}
			break
		}
	}
	return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// clash refuses a path of which a part is taken for another name. Listings and
// what they show are not asked for.
func (t *Tree) clash(op, name string) error {
	if len(t.clashes) == 0 || op == "stat" || op == "readdir" {
		return nil
	}
	for at := name; at != "."; at = path.Dir(at) {
		if other, ok := t.clashes[at]; ok {
			why := fmt.Errorf("%w: this one and %q; rename one of them", ErrClash, clip(other))
			return &fs.PathError{Op: op, Path: name, Err: &PathError{at, why}}
		}
	}
	return nil
}

func (t *Tree) info(e entry, size int64) info { return info{e, size, t.when} }

// dirEntry is an entry in a listing; its size is looked up when it is asked for.
type dirEntry struct {
	tree *Tree
	path string
	entry
}

func (d dirEntry) Name() string      { return d.name }
func (d dirEntry) IsDir() bool       { return d.mode == modeDir }
func (d dirEntry) Type() fs.FileMode { return fileMode(d.mode).Type() }

func (d dirEntry) Info() (fs.FileInfo, error) {
	if !d.mode.file() {
		return d.tree.info(d.entry, 0), nil
	}
	size, err := d.tree.repo.size(d.hash)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: d.path, Err: err}
	}
	return d.tree.info(d.entry, size), nil
}

type info struct {
	entry
	size int64
	when time.Time
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return fileMode(i.mode) }
func (i info) ModTime() time.Time { return i.when }
func (i info) IsDir() bool        { return i.mode == modeDir }
func (i info) Sys() any           { return nil }

func fileMode(m mode) fs.FileMode {
	switch m {
	case modeDir:
		return fs.ModeDir | 0o555
	case modeSymlink:
		return fs.ModeSymlink | 0o444
	case modeSubmodule:
		return fs.ModeIrregular | 0o444
	case modeExecutable:
		return 0o555
	}
	return 0o444
}

type openFile struct {
	info info
	*bytes.Reader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	info    info
	path    string
	entries []fs.DirEntry
}

var _ fs.ReadDirFile = (*openDir)(nil)

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.path, Err: errors.New("it is a directory")}
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(d.entries)
	} else if len(d.entries) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.entries))
	list := d.entries[:n]
	d.entries = d.entries[n:]
	return list, nil
}
