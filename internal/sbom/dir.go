package sbom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"github.com/apexlogic/apex/internal/sbom/extract"
)

// folder is an unpacked file system. [os.Root] keeps all access within it.
type folder struct{ root *os.Root }

// readFolder puts the folder's names into the tree. Nothing is copied: files
// are read where they lie.
func (c *collector) readFolder(ctx context.Context, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	c.dir = &folder{root}
	whole, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	n := 0
	return fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if n++; n%256 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch {
		case err != nil && name == ".":
			return fmt.Errorf("read folder %s: %w", dir, err)
		case err != nil:
			c.gap(name, c.layer, "it cannot be read: "+reason(err))
			if e != nil && e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case name == ".":
			return nil
		}
		// Of the machine itself, what its kernel shows is no file.
		if whole == "/" && (name == "proc" || name == "sys" || name == "dev") {
			return fs.SkipDir
		}
		err = c.found(name, e)
		if errors.Is(err, errNodes) || errors.Is(err, errText) {
			return err
		}
		if err != nil {
			c.gap(name, c.layer, "it cannot be read: "+reason(err))
		}
		return nil
	})
}

func (c *collector) found(name string, e fs.DirEntry) error {
	_, folder, base, err := c.tree.parent(name, int32(c.layer))
	if err != nil {
		return err
	}
	n := &node{layer: int32(c.layer), kind: isOther}
	switch e.Type() {
	case fs.ModeDir:
		n.kind = isFolder
	case fs.ModeSymlink:
		n.kind = isLink
		if n.target, err = c.dir.root.Readlink(name); err != nil {
			return err
		}
		c.links = append(c.links, name)
	case 0:
		info, err := e.Info()
		if err != nil {
			return err
		}
		n.kind = isFile
		n.data = &data{size: info.Size(), at: notKept, layer: int32(c.layer), mode: info.Mode()}
		if err := c.want(name, n.data, nil); err != nil {
			return err
		}
	}
	_, err = c.tree.put(folder, base, n)
	return err
}

// reason leaves the path out of an error: it is said beside it.
func reason(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

// open opens a file by its canonical path.
func (f *folder) open(canon string) (extract.ReaderAtCloser, int64, error) {
	// A pipe may have taken the file's place: opening one would wait.
	file, err := f.root.OpenFile(path.Clean(canon), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, errors.New(reason(err))
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

func (f *folder) visit(canon string, do func(paths []string, r io.Reader) error) error {
	r, size, err := f.open(canon)
	if err != nil {
		return do([]string{canon}, unreadable{err})
	}
	defer r.Close()
	return do([]string{canon}, io.NewSectionReader(r, 0, size))
}

// unreadable is a file that could not be opened.
type unreadable struct{ err error }

func (u unreadable) Read([]byte) (int, error) { return 0, u.err }
