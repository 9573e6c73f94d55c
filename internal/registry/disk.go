package registry

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
)

const (
	privateDir  = 0o700
	privateFile = 0o600

	// tmpDir holds files until they are renamed or linked to their place.
	tmpDir = "tmp"
	// tmpAge is when a file in tmpDir must be the remnant of a process that
	// died: small files live there for the time of one fsync.
	tmpAge = time.Hour

	// maxKnownDirs bounds the memory of directories whose entry is durable.
	maxKnownDirs = 8192
	// maxDirEntries bounds a listing: more names than this in one directory
	// would make one request cost hundreds of megabytes.
	maxDirEntries = 1 << 20
)

// disk is the registry's directory. Paths are relative to it and use slashes;
// os.Root keeps even a planted symbolic link from leading out of it.
//
// Every method that changes something returns only when the change would
// survive the death of the machine.
type disk struct {
	root *os.Root

	// fsync synchronises a file or an open directory. Tests put a failing or
	// a recording one in its place.
	fsync func(*os.File) error

	mu    sync.Mutex
	known map[string]struct{} // directories whose entry this process has seen durable
}

func openDisk(dir string, fsync func(*os.File) error) (*disk, error) {
	if err := os.MkdirAll(dir, privateDir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if fsync == nil {
		fsync = (*os.File).Sync
	}
	d := &disk{root: root, fsync: fsync, known: map[string]struct{}{}}
	if err := d.ensureDir(tmpDir); err != nil {
		root.Close()
		return nil, err
	}
	return d, nil
}

func (d *disk) close() error { return d.root.Close() }

// syncDir makes the entries of a directory durable.
func (d *disk) syncDir(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.fsync(f)
}

// ensureDir makes dir and its parents. A directory that exists may have been
// made by a process that died before it synchronised the entry, so the first
// use in this process synchronises it again.
func (d *disk) ensureDir(dir string) error {
	for i := 0; i <= len(dir); i++ {
		if i < len(dir) && dir[i] != '/' {
			continue
		}
		p := dir[:i]
		err := d.root.Mkdir(p, privateDir)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err != nil && d.isKnown(p) {
			continue
		}
		if err := d.syncDir(path.Dir(p)); err != nil {
			return err
		}
		d.setKnown(p)
	}
	return nil
}

func (d *disk) isKnown(dir string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.known[dir]
	return ok
}

func (d *disk) setKnown(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= maxKnownDirs {
		clear(d.known)
	}
	d.known[dir] = struct{}{}
}

// temp writes data to a synchronised file in tmpDir and returns its path.
func (d *disk) temp(data []byte) (name string, err error) {
	var id [16]byte
	rand.Read(id[:])
	name = path.Join(tmpDir, hex.EncodeToString(id[:]))
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, privateFile)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = d.fsync(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		d.discard(name)
		return "", err
	}
	return name, nil
}

// discard removes a file that nobody was told about. What stays behind after
// a failure is removed by the sweep.
func (d *disk) discard(name string) { _ = d.root.Remove(name) }

// create puts data at name. If name exists the error wraps fs.ErrExist, the
// old content is untouched, and its entry is durable.
func (d *disk) create(name string, data []byte) error {
	if err := d.ensureDir(path.Dir(name)); err != nil {
		return err
	}
	tmp, err := d.temp(data)
	if err != nil {
		return err
	}
	linkErr := d.root.Link(tmp, name)
	d.discard(tmp)
	if linkErr != nil && !errors.Is(linkErr, fs.ErrExist) {
		return linkErr
	}
	// On ErrExist too: whoever made the entry may not have synchronised it yet.
	// When this fails a whole, unacknowledged entry stays. Taking it back could
	// take it from another request that has acknowledged the same content.
	if err := d.syncDir(path.Dir(name)); err != nil {
		return err
	}
	return linkErr
}

// replace puts data at name, whatever was there before.
func (d *disk) replace(name string, data []byte) error {
	if err := d.ensureDir(path.Dir(name)); err != nil {
		return err
	}
	tmp, err := d.temp(data)
	if err != nil {
		return err
	}
	if err := d.root.Rename(tmp, name); err != nil {
		d.discard(tmp)
		return err
	}
	return d.syncDir(path.Dir(name))
}

// scribble is replace without the synchronising, for what may be forgotten.
func (d *disk) scribble(name string, data []byte) error {
	var id [16]byte
	rand.Read(id[:])
	tmp := path.Join(tmpDir, hex.EncodeToString(id[:]))
	if err := d.root.WriteFile(tmp, data, privateFile); err != nil {
		d.discard(tmp)
		return err
	}
	if err := d.root.Rename(tmp, name); err != nil {
		d.discard(tmp)
		return err
	}
	return nil
}

// touch makes an empty file whose name is its whole meaning.
func (d *disk) touch(name string) error {
	if err := d.ensureDir(path.Dir(name)); err != nil {
		return err
	}
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE, privateFile)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return d.syncDir(path.Dir(name))
}

// remove removes a file; that it is not there is no error.
func (d *disk) remove(name string) error {
	if err := d.root.Remove(name); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return d.syncDir(path.Dir(name))
}

// read returns a small file's content.
func (d *disk) read(name string, limit int64) ([]byte, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := bounded.ReadAll(f, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

// exists reports whether name is a regular file.
func (d *disk) exists(name string) (bool, error) {
	info, err := d.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return info.Mode().IsRegular(), nil
}

// names lists a directory, sorted by bytes. A directory that is not there is empty.
func (d *disk) names(dir string) ([]string, error) {
	f, err := d.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(maxDirEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(names) == maxDirEntries {
		return nil, fmt.Errorf("list %s: %w of %d entries", dir, bounded.ErrTooLarge, maxDirEntries)
	}
	slices.Sort(names)
	return names, nil
}

// lock opens and locks a lock file; the returned function unlocks it.
func (d *disk) lock(name string, how int) (unlock func(), err error) {
	if err := d.ensureDir(path.Dir(name)); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE, privateFile)
	if err != nil {
		return nil, err
	}
	if err := flock(f, how); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// secret returns the content of a file that only its owner may read, and makes
// it from random bytes the first time. Processes that start together agree.
func (d *disk) secret(name string) (string, error) {
	info, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		var raw [32]byte
		rand.Read(raw[:])
		err = d.create(name, []byte(hex.EncodeToString(raw[:])+"\n"))
		if err == nil || errors.Is(err, fs.ErrExist) {
			info, err = d.root.Lstat(name)
		}
	}
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s may be read by others (mode %v): make a new one by removing it, and keep it at 0600", name, info.Mode().Perm())
	}
	data, err := d.read(name, 4096)
	if err != nil {
		return "", err
	}
	text := string(bytes.TrimSpace(data))
	if len(text) < 64 || strings.ContainsAny(text, " \t\r\n") {
		return "", fmt.Errorf("%s does not hold a secret of at least 64 characters: remove it, and a new one is made", name)
	}
	return text, nil
}
