package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// FS is the file layer under the segments. [OSFiles] is the real one; tests
// hand in one that fails, or forgets what was not synced. The log's tiles are
// Tessera's and do not pass through here.
//
// Implementations are safe for concurrent use.
type FS interface {
	// OpenFile opens or creates a regular file, with the flags of package os.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Stat does not follow a symbolic link.
	Stat(name string) (fs.FileInfo, error)
	ReadDir(name string) ([]fs.DirEntry, error)
	MkdirAll(name string, perm fs.FileMode) error
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
}

// File is one open file of an [FS].
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
}

// OSFiles is the operating system's files.
type OSFiles struct{}

// OpenFile opens name, but neither a symbolic link nor, without blocking on it,
// a pipe.
func (OSFiles) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, perm)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("open %s: not a regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Stat returns what the name itself is.
func (OSFiles) Stat(name string) (fs.FileInfo, error) { return os.Lstat(name) }

// ReadDir lists a directory in the order of names.
func (OSFiles) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }

// MkdirAll makes a directory and its parents.
func (OSFiles) MkdirAll(name string, perm fs.FileMode) error { return os.MkdirAll(name, perm) }

// Rename moves a file over another.
func (OSFiles) Rename(from, to string) error { return os.Rename(from, to) }

// Remove deletes a file.
func (OSFiles) Remove(name string) error { return os.Remove(name) }

// SyncDir calls fsync on the directory.
func (OSFiles) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

var _ FS = OSFiles{}

// writeFile replaces the file at rel below dir so that after a crash it holds
// either what it held or all of data, and, once the call has returned, data.
func writeFile(files FS, dir, rel string, data []byte, perm fs.FileMode) error {
	tmp := filepath.Join(dir, tmpDir, filepath.Base(rel))
	if err := files.Remove(tmp); err != nil && !isNotExist(err) {
		return err
	}
	f, err := files.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	name := filepath.Join(dir, rel)
	if err := files.Rename(tmp, name); err != nil {
		return err
	}
	return files.SyncDir(filepath.Dir(name))
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// readFile reads a regular file of at most limit bytes.
func readFile(files FS, name string, limit int64) ([]byte, error) {
	f, err := files.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("read %s: %d bytes, at most %d were expected", name, info.Size(), limit)
	}
	data := make([]byte, info.Size())
	if _, err := f.ReadAt(data, 0); err != nil && !(errors.Is(err, io.EOF) && len(data) == 0) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}
