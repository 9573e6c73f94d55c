package dataset

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds on a folder.
const (
	maxFiles = 1 << 20
	maxDepth = 64
	maxPath  = 4096
)

// ignored at the top of a folder is what git keeps there, as OpenSSF Model
// Signing §6.2 ignores it.
func ignored(name string) bool {
	return name == ".git" || name == ".gitattributes" || name == ".github" || name == ".gitignore"
}

// CheckPath refuses paths that two systems could read differently.
func CheckPath(p string) error {
	switch {
	case p == "":
		return errors.New("an empty path")
	case len(p) > maxPath || !utf8.ValidString(p):
		return fmt.Errorf("the path %.100q is too long or no UTF-8; rename the file", p)
	case strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return fmt.Errorf("the path %.100q holds a control character or a backslash; rename the file", p)
	case path.IsAbs(p) || path.Clean(p) != p || p == "." || p == ".." || strings.HasPrefix(p, "../"):
		return fmt.Errorf("the path %.100q is not a plain path below the data set's folder", p)
	case len(p) > 1 && p[1] == ':':
		return fmt.Errorf("the path %.100q begins with a drive letter; rename the file", p)
	}
	return nil
}

// folder is an opened data set: a folder, or one file in its folder.
type folder struct {
	root   *os.Root
	name   string
	single string
}

// entry is one file of it.
type entry struct {
	path string
	info fs.FileInfo
}

func openFolder(at string) (*folder, error) {
	abs, err := filepath.Abs(at)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(abs) // a link here is followed: the caller named it
	if err != nil {
		return nil, err
	}
	f := &folder{name: filepath.Base(abs)}
	dir := abs
	switch {
	case info.Mode().IsRegular():
		dir, f.single = filepath.Dir(abs), filepath.Base(abs)
	case !info.IsDir():
		return nil, fmt.Errorf("%s is neither a file nor a folder", at)
	}
	if f.root, err = os.OpenRoot(dir); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *folder) close() { f.root.Close() }

// list returns the files sorted by path. Links and devices are refused: what
// they lead to is not part of what is signed.
func (f *folder) list() ([]entry, error) {
	if f.single != "" {
		info, err := f.root.Stat(f.single)
		if err != nil {
			return nil, err
		}
		return []entry{{f.single, info}}, CheckPath(f.single)
	}
	var out []entry
	err := fs.WalkDir(f.root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == "." {
			return err
		}
		if ignored(p) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if err := CheckPath(p); err != nil {
			return err
		}
		if len(out) == maxFiles {
			return fmt.Errorf("it has more than %d files", maxFiles)
		}
		if d.IsDir() {
			if strings.Count(p, "/") >= maxDepth {
				return fmt.Errorf("%q is nested deeper than %d folders", p, maxDepth)
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch mode := info.Mode(); {
		case mode&fs.ModeSymlink != 0:
			return fmt.Errorf("%q is a symbolic link; replace it by the file that it leads to", p)
		case !mode.IsRegular():
			return fmt.Errorf("%q is a device, pipe or socket; remove it", p)
		}
		out = append(out, entry{p, info})
		return nil
	})
	slices.SortFunc(out, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	return out, err
}

// open opens a file that was listed, if it still is that file.
func (f *folder) open(e *entry) (*os.File, error) {
	file, err := f.root.OpenFile(e.path, os.O_RDONLY|openWithoutWaiting, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !os.SameFile(info, e.info) {
		err = fmt.Errorf("%q was replaced while it was read", e.path)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, e.same(info)
}

// same reports an error when the file was written to since it was listed.
func (e *entry) same(info fs.FileInfo) error {
	if info.Size() != e.info.Size() || !info.ModTime().Equal(e.info.ModTime()) || !info.Mode().IsRegular() {
		return fmt.Errorf("%q changed while it was read; try again when nobody writes to it", e.path)
	}
	return nil
}

// exactly is r that must hold size bytes.
type exactly struct {
	r    io.Reader
	left int64
	path string
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if errors.Is(err, io.EOF) && e.left > 0 {
		return n, fmt.Errorf("%q became shorter while it was read", e.path)
	}
	return n, err
}
