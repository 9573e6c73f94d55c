// Package state is a [gitops.Store] in a directory: one file per source's record
// and one per set, named by its digest.
//
// Start with [Open], or with [In] where the directory is open already. Every
// file is written beside its place, synced, and renamed into it, so a reader sees
// the old one or the new one whole, and what was answered survives the death of
// the machine. Several processes may share a directory. All access goes through
// an [os.Root]: nothing outside of it is read or written, whatever links somebody
// plants.
package state

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// maxRecord bounds a source's record. It names what it keeps by digests, and
// has to fit a ConfigMap where the target is a cluster.
const maxRecord = 1 << 20

// A record's file begins with a line of a fixed length: this, and the version.
const (
	recordHead  = "apex-record-1 "
	versionSize = 32
)

// Store keeps records and sets. It is safe for concurrent use.
type Store struct {
	root *os.Root
	mu   sync.Mutex // flock is per process
}

// Open opens the store in a directory, which is made with mode 0700.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	s, err := In(root)
	if err != nil {
		root.Close()
	}
	return s, err
}

// In opens the store in a directory that is open already and is the store's to
// close from then on.
func In(root *os.Root) (*Store, error) {
	for _, dir := range []string{"records", "sets"} {
		if err := root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		info, err := root.Lstat(dir)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("%s in %s is not a directory: remove it", dir, root.Name())
		}
	}
	return &Store{root: root}, syncDir(root, ".")
}

// Close ends the store.
func (s *Store) Close() error { return s.root.Close() }

// Load implements [gitops.Store].
func (s *Store) Load(ctx context.Context, source string) ([]byte, string, error) {
	if err := gitops.CheckSource(source); err != nil {
		return nil, "", err
	}
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	data, err := s.read("records/"+source, maxRecord+int64(len(recordHead))+versionSize+1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("load the record of %s: %w", source, err)
	}
	rest, ok := bytes.CutPrefix(data, []byte(recordHead))
	if !ok || len(rest) <= versionSize || rest[versionSize] != '\n' {
		return nil, "", fmt.Errorf("the record of %s in %s is damaged: restore it from a backup", source, s.root.Name())
	}
	return rest[versionSize+1:], string(rest[:versionSize]), nil
}

// Save implements [gitops.Store].
func (s *Store) Save(ctx context.Context, source string, record []byte, version string) (string, error) {
	if err := gitops.CheckSource(source); err != nil {
		return "", err
	}
	if len(record) > maxRecord {
		return "", fmt.Errorf("the record of %s has %d bytes, it may have %d", source, len(record), maxRecord)
	}
	unlock, err := s.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	_, present, err := s.Load(ctx, source)
	if err != nil {
		return "", err
	}
	if present != version {
		return "", fmt.Errorf("save the record of %s: %w", source, gitops.ErrConflict)
	}
	var random [versionSize / 2]byte
	_, _ = rand.Read(random[:]) // never fails
	next := hex.EncodeToString(random[:])
	if err := s.write("records", source, []byte(recordHead+next+"\n"), record); err != nil {
		return "", fmt.Errorf("save the record of %s: %w", source, err)
	}
	return next, nil
}

// PutSet implements [gitops.Store]. Bytes that have another digest are an error.
func (s *Store) PutSet(ctx context.Context, digest verdict.Digest, data []byte) error {
	if err := check(digest, data); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if info, err := s.root.Lstat("sets/" + digest.Hex()); err == nil && info.Mode().IsRegular() && info.Size() == int64(len(data)) {
		if there, err := s.GetSet(ctx, digest); err == nil && len(there) == len(data) {
			return nil
		}
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.write("sets", digest.Hex(), data); err != nil {
		return fmt.Errorf("keep the set %s: %w", digest.Short(), err)
	}
	return nil
}

// GetSet implements [gitops.Store]. Bytes that do not have the digest any more
// are an error.
func (s *Store) GetSet(ctx context.Context, digest verdict.Digest) ([]byte, error) {
	if _, err := verdict.ParseDigest(string(digest)); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, err := s.read("sets/"+digest.Hex(), gitops.MaxSetBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("set %s: %w", digest.Short(), gitops.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("set %s: %w", digest.Short(), err)
	}
	return data, check(digest, data)
}

// DropSet implements [gitops.Store].
func (s *Store) DropSet(ctx context.Context, digest verdict.Digest) error {
	if _, err := verdict.ParseDigest(string(digest)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.root.Remove("sets/" + digest.Hex()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop the set %s: %w", digest.Short(), err)
	}
	return nil
}

func check(digest verdict.Digest, data []byte) error {
	if _, err := verdict.ParseDigest(string(digest)); err != nil {
		return err
	}
	if len(data) > gitops.MaxSetBytes {
		return fmt.Errorf("a set may have %d bytes", gitops.MaxSetBytes)
	}
	sum := sha256.Sum256(data)
	if got := hex.EncodeToString(sum[:]); got != digest.Hex() {
		return fmt.Errorf("the bytes of set %s have the digest %s: somebody changed them", digest.Short(), got[:12])
	}
	return nil
}

// read reads a regular file of at most max bytes; a link in its place is refused.
func (s *Store) read(name string, max int64) ([]byte, error) {
	f, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > max {
		return nil, fmt.Errorf("%s is not a file of ours", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(data)) > max {
		err = fmt.Errorf("%s grew while it was read", name)
	}
	return data, err
}

func (s *Store) write(dir, name string, parts ...[]byte) error {
	// The lock is held: what stands there was left by a writer that was killed.
	temp := dir + "/." + name + ".new"
	_ = s.root.Remove(temp)
	f, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err == nil {
			_, err = f.Write(part)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = s.root.Rename(temp, dir+"/"+name)
	}
	if err != nil {
		_ = s.root.Remove(temp)
		return err
	}
	return syncDir(s.root, dir)
}

// lock keeps other writers of records away, those of other processes too.
func (s *Store) lock() (unlock func(), err error) {
	s.mu.Lock()
	f, err := s.root.OpenFile("lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err == nil {
		// A writer holds it for one fsync, and loses it when it dies.
		for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		}
		if err != nil {
			f.Close()
		}
	}
	if err != nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("lock %s: %w", s.root.Name(), err)
	}
	return func() { f.Close(); s.mu.Unlock() }, nil
}

func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

var _ gitops.Store = (*Store)(nil)
