package dir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/apexlogic/apex/internal/gitops"
)

// enter opens a directory within r, which is no link. With make, whatever else
// stands in its place is removed.
func enter(r *os.Root, name string, makeIt bool, mode fs.FileMode) (*os.Root, error) {
	for range 3 { // somebody may put things there meanwhile
		info, err := r.Lstat(name)
		switch {
		case err == nil && info.IsDir():
			sub, err := r.OpenRoot(name)
			if err != nil {
				return nil, err
			}
			opened, err := sub.Stat(".")
			if err == nil && os.SameFile(info, opened) {
				return sub, nil
			}
			sub.Close()
		case err == nil && !makeIt:
			return nil, fs.ErrNotExist
		case err == nil:
			if err := r.Remove(name); err != nil {
				return nil, err
			}
		case errors.Is(err, fs.ErrNotExist) && makeIt:
			if err := r.Mkdir(name, mode); err != nil && !errors.Is(err, fs.ErrExist) {
				return nil, err
			}
			if err := syncRoot(r); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s is changed by somebody all the time", name)
}

// parent opens the directory of the place.
func (d *Dir) parent(p place, makeIt bool) (*os.Root, error) {
	ns, err := enter(d.root, p.namespace, makeIt, 0o755)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	return enter(ns, p.kind, makeIt, 0o755)
}

// read returns a file's bytes: fs.ErrNotExist when there is no regular file.
func (d *Dir) read(p place) ([]byte, stamp, error) {
	dir, err := d.parent(p, false)
	if err != nil {
		return nil, stamp{}, err
	}
	defer dir.Close()
	return readIn(dir, p.file)
}

func readIn(dir *os.Root, name string) ([]byte, stamp, error) {
	info, err := dir.Lstat(name)
	if err != nil {
		return nil, stamp{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, stamp{}, fs.ErrNotExist
	}
	return readRegular(dir, name)
}

// readRegular reads what was a regular file a moment ago: opening a device does
// things.
func readRegular(dir *os.Root, name string) ([]byte, stamp, error) {
	f, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, syscall.ELOOP) {
			err = fs.ErrNotExist
		}
		return nil, stamp{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, stamp{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, stamp{}, fs.ErrNotExist
	}
	// Of a file that is larger than ours can be, the beginning tells it apart.
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	return data, stampOf(info), err
}

// write puts the bytes in the file's place. The caller holds it, and may have its
// directory open; else dir is nil.
func (d *Dir) write(dir *os.Root, p place, id gitops.ID, data []byte) error {
	mode := fs.FileMode(0o644)
	if id.Group == "" && id.Kind == "Secret" {
		mode = 0o600
	}
	name := rand.Text()
	f, err := d.temp.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, mode)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.move(dir, own+"/"+temp+"/"+name, p)
	}
	if err != nil {
		_ = d.temp.Remove(name)
	}
	return err
}

// move renames a finished file to its place.
func (d *Dir) move(dir *os.Root, name string, p place) error {
	if dir == nil {
		var err error
		if dir, err = d.parent(p, true); err != nil {
			return err
		}
		defer dir.Close()
	}
	// Between the look at the directories above and this, somebody may put a link
	// in their place: the rename then ends within the tree, and the check after it
	// fails.
	err := d.root.Rename(name, p.String())
	if err != nil {
		if info, there := dir.Lstat(p.file); there == nil && info.IsDir() { // nothing is renamed over a directory
			if err = dir.RemoveAll(p.file); err == nil {
				err = d.root.Rename(name, p.String())
			}
		}
	}
	if err != nil {
		return err
	}
	if _, err := dir.Lstat(p.file); err != nil {
		return fmt.Errorf("its directory was replaced meanwhile: %w", err)
	}
	return d.sync(dir, p)
}

// sync makes the names in the place's directory durable: those of everybody who
// asked before it began.
func (d *Dir) sync(dir *os.Root, p place) error {
	p.file = ""
	d.mu.Lock()
	s := d.syncs[p]
	if s == nil {
		s = &syncing{}
		d.syncs[p] = s
	}
	d.mu.Unlock()
	mine := s.asked.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done >= mine {
		return nil
	}
	upTo := s.asked.Load()
	if err := syncRoot(dir); err != nil {
		return err // the next one syncs for itself
	}
	s.done = upTo
	return nil
}

func syncRoot(r *os.Root) error {
	f, err := r.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
