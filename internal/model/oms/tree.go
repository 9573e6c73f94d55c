package oms

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// defaultIgnore are the paths that are never part of a model (OMS §6.2), at the
// top of its folder only.
var defaultIgnore = [...]string{".git", ".gitattributes", ".github", ".gitignore"}

// stamp is what tells one state of a file from another without reading it.
// Times are in nanoseconds since 1970.
type stamp struct {
	Size   int64  `json:"size"`
	Mtime  int64  `json:"mtime"`
	Ctime  int64  `json:"ctime"`
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{Size: info.Size(), Mtime: info.ModTime().UnixNano()}
	s.system(info)
	return s
}

// file is one file of a model.
type file struct {
	name  string // in the manifest
	at    string // below the opened folder
	stamp stamp
}

// tree is a model on disk: a folder, or one file in its folder. What is opened
// through it never leaves the folder.
type tree struct {
	root   *os.Root
	name   string // the model's own
	single string // the file's name in the folder; "" for a folder
	rules  rules
}

// rules say what of a folder counts.
type rules struct {
	links  bool     // symbolic links to files are followed, inside of the folder
	ignore []string // checked paths
	// listed are files that count although they are below an ignored path: a
	// signed list may name them.
	listed map[string]bool
	// folders of those
	folders map[string]bool
}

// openTree opens the model at path: a regular file or a folder. A symbolic link
// there is followed, because the caller named it.
func openTree(path string, r rules) (*tree, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	info, err := os.Lstat(real)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	t := &tree{name: filepath.Base(abs), rules: r}
	folder := real
	switch {
	case info.Mode().IsRegular():
		folder, t.single = filepath.Dir(real), filepath.Base(real)
		if err := checkName(t.name); err != nil {
			return nil, fmt.Errorf("open model: %w", err)
		}
	case !info.IsDir():
		return nil, fmt.Errorf("open model: %s is neither a file nor a folder", path)
	}
	if t.root, err = os.OpenRoot(folder); err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	return t, nil
}

func (t *tree) close() { t.root.Close() }

// list returns the files, sorted by name, and the ignored paths that are there.
func (t *tree) list() (files []file, ignored []string, err error) {
	if t.single != "" {
		info, err := t.root.Lstat(t.single)
		if err != nil {
			return nil, nil, fmt.Errorf("list model: %w", err)
		}
		if !info.Mode().IsRegular() {
			return nil, nil, &ChangedError{Path: t.name, Detail: "it is not a regular file any more"}
		}
		return []file{{name: t.name, at: t.single, stamp: stampOf(info)}}, nil, nil
	}
	w := walker{tree: t}
	if err := w.folder(t.root, "", 0); err != nil {
		return nil, nil, err
	}
	slices.SortFunc(w.files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	slices.Sort(w.ignored)
	return w.files, w.ignored, nil
}

type walker struct {
	tree    *tree
	files   []file
	ignored []string
	seen    int
}

// folder lists one folder, which is open: nobody can put another in its place.
func (w *walker) folder(dir *os.Root, prefix string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("list model: %q is nested deeper than %d folders", clip(prefix), maxDepth)
	}
	f, err := dir.Open(".")
	if err != nil {
		return fmt.Errorf("list model: %w", err)
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(1024)
		for _, e := range entries {
			if w.seen++; w.seen > maxFiles {
				return fmt.Errorf("list model: it has more than %d files and folders", maxFiles)
			}
			if err := w.entry(dir, prefix+e.Name(), e.Name(), depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list model: %w", err)
		}
	}
}

func (w *walker) entry(dir *os.Root, name, base string, depth int) error {
	r := &w.tree.rules
	skipped := under(name, r.ignore)
	if skipped && !r.listed[name] && !r.folders[name] {
		w.ignored = append(w.ignored, name)
		return nil
	}
	if err := checkName(name); err != nil {
		return fmt.Errorf("list model: %w", err)
	}
	info, err := dir.Lstat(base)
	if err != nil {
		return fmt.Errorf("list model: %w", err)
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return w.below(dir, info, name, base, depth)
	case mode&fs.ModeSymlink != 0:
		if !r.links {
			return fmt.Errorf("list model: %q is a symbolic link; replace it by the file that it leads to, or allow links", clip(name))
		}
		// Through the opened root, which refuses to be led out.
		if info, err = w.tree.root.Stat(name); err != nil {
			return fmt.Errorf("list model: follow the symbolic link %q inside of the model: %w", clip(name), err)
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("list model: the symbolic link %q leads to no regular file; only links to files are followed", clip(name))
		}
	case !mode.IsRegular():
		return fmt.Errorf("list model: %q is a device, pipe or socket; remove it", clip(name))
	}
	w.files = append(w.files, file{name: name, at: name, stamp: stampOf(info)})
	return nil
}

func (w *walker) below(dir *os.Root, info fs.FileInfo, name, base string, depth int) error {
	child, err := dir.OpenRoot(base)
	if err != nil {
		return fmt.Errorf("list model: %w", err)
	}
	defer child.Close()
	opened, err := child.Stat(".")
	if err != nil {
		return fmt.Errorf("list model: %w", err)
	}
	if !os.SameFile(info, opened) {
		return &ChangedError{Path: name, Detail: "another folder took its place"}
	}
	return w.folder(child, name+"/", depth+1)
}

// open opens a file that was listed and makes sure that it still is that file.
func (t *tree) open(f *file) (*os.File, error) {
	// Without waiting: a pipe may have taken the file's place.
	opened, err := t.root.OpenFile(f.at, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", f.name, err)
	}
	if err := f.same(opened); err != nil {
		opened.Close()
		return nil, err
	}
	return opened, nil
}

// same compares an open file with what was listed.
func (f *file) same(opened *os.File) error {
	info, err := opened.Stat()
	if err != nil {
		return fmt.Errorf("stat %q: %w", f.name, err)
	}
	if now := stampOf(info); !info.Mode().IsRegular() || now != f.stamp {
		what := "another file took its place, or somebody wrote to it"
		if now.Size != f.stamp.Size {
			what = fmt.Sprintf("it had %d bytes and has %d", f.stamp.Size, now.Size)
		}
		return &ChangedError{Path: f.name, Detail: what}
	}
	return nil
}

// relative returns where path lies below the tree's folder, or "".
func (t *tree) relative(path string) (string, error) {
	if path == "" || t.single != "" {
		return "", nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	// The file itself may not exist yet; its folder does.
	folder, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(t.root.Name(), filepath.Join(folder, filepath.Base(abs)))
	if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", nil
	}
	return filepath.ToSlash(rel), nil
}
