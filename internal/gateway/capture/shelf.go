package capture

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/seal"
)

// suffix of an envelope's file; temporary ones have another.
const (
	suffix    = ".sealed"
	temporary = ".writing"
)

// shelf is what is kept of one route, the oldest first: ids are in the order of
// time.
type shelf struct {
	kept  []keptFile
	bytes int64
}

type keptFile struct {
	name    string
	size    int64
	expires time.Time
}

// aad is what an envelope belongs to, so that a renamed one is found out.
func aad(route, id string) []byte { return []byte(route + "/" + id) }

// write writes a capture's file, whole or not at all, and makes room for it among
// those of its route. The file is not forced to the disk: one that the death of
// the machine damages is deleted by the next sweep.
func (s *Store) write(j job, r *Record) (err error) {
	rule := j.rule
	dir := filepath.Join(s.o.Dir, rule.Route)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	name := j.id + suffix
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path+temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		os.Remove(path + temporary) // which is gone when it was renamed
	}()
	expires := s.o.Clock.Now().Add(rule.Expire).UTC().Truncate(time.Second)
	counted := &counter{to: f, hash: sha256.New()}
	w, err := seal.To(counted, rule.Recipients, seal.Options{Context: Schema, AAD: aad(rule.Route, j.id), Expires: expires})
	if err != nil {
		return err
	}
	if err := j.capture.write(w); err != nil {
		return err
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		return err
	}
	if counted.n > rule.Keep {
		r.Dropped = TooLong
		return nil
	}
	s.room(rule, counted.n)
	if err := os.Rename(path+temporary, path); err != nil {
		return err
	}
	on := s.shelf(rule.Route)
	on.kept = append(on.kept, keptFile{name, counted.n, expires})
	on.bytes += counted.n
	r.Digest, r.Bytes, r.Expires = "sha256:"+hex.EncodeToString(counted.hash.Sum(nil)), counted.n, &expires
	for _, to := range rule.Recipients {
		r.Keys = append(r.Keys, to.ID())
	}
	return nil
}

func (s *Store) shelf(route string) *shelf {
	if s.shelves[route] == nil {
		s.shelves[route] = &shelf{}
	}
	return s.shelves[route]
}

// room deletes the oldest until there is room for one more of so many bytes.
func (s *Store) room(rule *Rule, n int64) {
	on := s.shelf(rule.Route)
	out := 0
	for ; out < len(on.kept) && (len(on.kept)-out >= Most || on.bytes+n > rule.Keep); out++ {
		s.remove(filepath.Join(s.o.Dir, rule.Route, on.kept[out].name))
		on.bytes -= on.kept[out].size
	}
	on.kept = slices.Delete(on.kept, 0, out)
}

// remove deletes a file, which others may have deleted before.
func (s *Store) remove(path string) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.o.Log.Error("a capture could not be deleted", "file", path, "error", err)
	}
}

// sweep looks at what is there, of routes that there are no more, too, and deletes
// what has expired or cannot be read.
func (s *Store) sweep() {
	found := map[string]*shelf{}
	now := s.o.Clock.Now()
	err := walk(s.o.Dir, func(route, name string) {
		path := filepath.Join(s.o.Dir, route, name)
		if strings.HasSuffix(name, temporary) { // of a process that was killed: this one writes none now
			s.remove(path)
			return
		}
		f, err := s.look(route, name, path)
		if err != nil || !f.expires.IsZero() && !now.Before(f.expires) {
			if !errors.Is(err, fs.ErrNotExist) {
				s.remove(path)
			}
			return
		}
		if found[route] == nil {
			found[route] = &shelf{}
		}
		found[route].kept = append(found[route].kept, f)
		found[route].bytes += f.size
	})
	if err != nil {
		s.o.Log.Error("captures could not be looked through, so expired ones may be left", "error", err)
		return
	}
	s.shelves = found
}

// look returns what is known of a file, by its header when it was not seen before.
func (s *Store) look(route, name, path string) (keptFile, error) {
	if on := s.shelves[route]; on != nil {
		if i, known := slices.BinarySearchFunc(on.kept, name, func(f keptFile, name string) int { return strings.Compare(f.name, name) }); known {
			_, err := os.Lstat(path)
			return on.kept[i], err
		}
	}
	h, size, err := header(path)
	return keptFile{name, size, h.Expires}, err
}

// header reads the header of an envelope, and how long it is.
func header(path string) (seal.Header, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return seal.Header{}, 0, err
	}
	defer f.Close()
	about, err := f.Stat()
	if err != nil {
		return seal.Header{}, 0, err
	}
	h, err := seal.ReadHeader(f)
	return h, about.Size(), err
}

// walk calls each with every file of ours, in the order of routes and of time. A
// folder that is not there has none.
func walk(dir string, each func(route, name string)) error {
	routes, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, route := range routes {
		if !route.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, route.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, f := range files {
			name := strings.TrimSuffix(f.Name(), temporary)
			if f.Type().IsRegular() && strings.HasSuffix(name, suffix) {
				each(route.Name(), f.Name())
			}
		}
	}
	return nil
}

// counter counts and hashes what is written.
type counter struct {
	to   io.Writer
	hash hash.Hash
	n    int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.hash.Write(p[:n])
	c.n += int64(n)
	return n, err
}
