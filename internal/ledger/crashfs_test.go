package ledger

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var errPower = errors.New("the power is out")

// crashFS is a file layer whose files live in memory, and which knows what of
// them would be on the disk. It stops working at a given operation. What is left
// then is what was synced and, of what was not, whatever a disk may have kept:
// any subset of the writes and of the names, and the beginning of a write. Only
// an overwrite within one sector happens whole or not at all.
type crashFS struct {
	mu      sync.Mutex
	left    int // operations until the power goes; < 0: it stays
	dead    bool
	fail    func(op, name string) error // an error to return instead of doing it
	names   map[string]*node
	durable map[string]*node
}

type node struct {
	content, durable []byte
	unsynced         []change
}

// change is a write, or with nil data a truncation to off.
type change struct {
	off  int64
	data []byte
}

func (c change) apply(b []byte) []byte {
	if c.data == nil {
		return b[:min(int64(len(b)), c.off)]
	}
	if end := c.off + int64(len(c.data)); int64(len(b)) < end {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[c.off:], c.data)
	return b
}

// newCrashFS loads dir as a disk holds it after a boot.
func newCrashFS(t testing.TB, dir string, left int) *crashFS {
	t.Helper()
	c := &crashFS{left: left, names: map[string]*node{}, durable: map[string]*node{}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !c.mine(dir, path) {
			return err
		}
		data, err := os.ReadFile(path)
		n := &node{content: data, durable: slices.Clone(data)}
		c.names[path], c.durable[path] = n, n
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// mine: the lock and the log do not pass through the layer.
func (c *crashFS) mine(dir, path string) bool {
	return path != filepath.Join(dir, lockName) && !strings.HasPrefix(path, filepath.Join(dir, logName)+"/")
}

// restart lets the next process have the files as the kernel holds them: the
// last process has ended, and the power has not gone yet.
func (c *crashFS) restart(left int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead, c.left = false, left
}

// crash writes to dir what a disk would hold; without r nothing that was not
// synced has made it.
func (c *crashFS) crash(t testing.TB, dir string, r *rand.Rand) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	left := map[string]*node{}
	for _, path := range paths(c.names, c.durable) {
		n := c.durable[path]
		if r != nil && r.IntN(2) == 0 {
			n = c.names[path] // an unsynced name may have made it
		}
		if n != nil {
			left[path] = n
		}
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && c.mine(dir, path) {
			err = os.Remove(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths(left, nil) {
		if err := os.WriteFile(path, left[path].afterCrash(r), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// paths returns all keys in one order, so that a seed stands for one run.
func paths(a, b map[string]*node) []string {
	var all []string
	for p := range a {
		all = append(all, p)
	}
	for p := range b {
		all = append(all, p)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (n *node) afterCrash(r *rand.Rand) []byte {
	b := slices.Clone(n.durable)
	if r == nil {
		return b
	}
	keep := r.IntN(4) // 0: none, 1: all, else some
	for _, c := range n.unsynced {
		if keep == 0 || (keep > 1 && r.IntN(2) == 0) {
			continue
		}
		sector := c.off+int64(len(c.data)) <= min(512, int64(len(n.durable)))
		if keep > 1 && c.data != nil && !sector && r.IntN(2) == 0 {
			c.data = c.data[:r.IntN(len(c.data)+1)]
			if len(c.data) == 0 {
				continue
			}
		}
		b = c.apply(b)
	}
	return b
}

// step is called with mu held before everything that changes something.
func (c *crashFS) step(op, name string) error {
	if c.dead {
		return errPower
	}
	if c.left == 0 {
		c.dead = true
		return errPower
	}
	c.left--
	if c.fail != nil {
		return c.fail(op, name)
	}
	return nil
}

func (c *crashFS) OpenFile(name string, flag int, _ fs.FileMode) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return nil, errPower
	}
	n := c.names[name]
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case n != nil && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case n == nil:
		if err := c.step("create", name); err != nil {
			return nil, err
		}
		n = &node{}
		c.names[name] = n
	}
	return &crashFile{c, n, name}, nil
}

func (c *crashFS) Stat(name string) (fs.FileInfo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.names[name]; n != nil {
		return info{name, int64(len(n.content))}, nil
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

func (c *crashFS) ReadDir(name string) ([]fs.DirEntry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []fs.DirEntry
	for _, p := range paths(c.names, nil) {
		if filepath.Dir(p) == name {
			out = append(out, fs.FileInfoToDirEntry(info{p, 0}))
		}
	}
	return out, nil
}

func (c *crashFS) MkdirAll(name string, perm fs.FileMode) error { return os.MkdirAll(name, perm) }

func (c *crashFS) Rename(from, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step("rename", to); err != nil {
		return err
	}
	c.names[to] = c.names[from]
	delete(c.names, from)
	return nil
}

func (c *crashFS) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if err := c.step("remove", name); err != nil {
		return err
	}
	delete(c.names, name)
	return nil
}

func (c *crashFS) SyncDir(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step("syncdir", name); err != nil {
		return err
	}
	for _, p := range paths(c.names, c.durable) {
		if filepath.Dir(p) != name {
			continue
		}
		if n := c.names[p]; n != nil {
			c.durable[p] = n
		} else {
			delete(c.durable, p)
		}
	}
	return nil
}

type crashFile struct {
	c    *crashFS
	n    *node
	name string
}

func (f *crashFile) ReadAt(b []byte, off int64) (int, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if off >= int64(len(f.n.content)) {
		return 0, io.EOF
	}
	n := copy(b, f.n.content[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *crashFile) change(op string, c change) error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	err := f.c.step(op, f.name)
	if err != nil && !errors.Is(err, errPower) {
		return err
	}
	if err == nil || f.c.left == 0 { // what was under way may be on the disk
		f.n.content = c.apply(f.n.content)
		f.n.unsynced = append(f.n.unsynced, c)
	}
	return err
}

func (f *crashFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.change("write", change{off, append([]byte{}, b...)}); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *crashFile) Truncate(size int64) error { return f.change("truncate", change{off: size}) }

func (f *crashFile) Sync() error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	err := f.c.step("sync", f.name)
	if err == nil {
		for _, c := range f.n.unsynced {
			f.n.durable = c.apply(f.n.durable)
		}
	}
	if !errors.Is(err, errPower) {
		// After an error, too, the kernel takes its pages for clean: they are
		// read as they were written, and the next fsync does not write them.
		f.n.unsynced = nil
	}
	return err
}

func (f *crashFile) Close() error { return nil }

func (f *crashFile) Stat() (fs.FileInfo, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	return info{f.name, int64(len(f.n.content))}, nil
}

type info struct {
	name string
	size int64
}

func (i info) Name() string     { return filepath.Base(i.name) }
func (i info) Size() int64      { return i.size }
func (info) Mode() fs.FileMode  { return 0o600 }
func (info) ModTime() time.Time { return time.Time{} }
func (info) IsDir() bool        { return false }
func (info) Sys() any           { return nil }

var _ FS = (*crashFS)(nil)
