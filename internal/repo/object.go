package repo

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/apexlogic/apex/internal/bounded"
)

// A loose object begins with "commit <size>\x00"; 32 bytes hold any of those.
const maxHeader = 32

// object returns the content of an object of at most limit bytes. Its bytes are
// hashed: neither the place where they were found nor an index is believed.
func (r *Repo) object(want plumbing.ObjectType, h plumbing.Hash, limit int64) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	data, err := r.loose(want, h, limit)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = r.packed(want, h, limit)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			// git may have packed the objects since the indexes were read.
			r.store.Reindex()
			data, err = r.packed(want, h, limit)
		}
	}
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound):
		return nil, fmt.Errorf("%s %s: %w", want, h, ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", want, h, err)
	}
	if got := plumbing.ComputeHash(want, data); got != h {
		return nil, fmt.Errorf("%s %s: %w: its content has the hash %s", want, h, ErrCorrupt, got)
	}
	return data, nil
}

// loose reads an object file. go-git would inflate as much as the file holds,
// whatever size it states.
func (r *Repo) loose(want plumbing.ObjectType, h plumbing.Hash, limit int64) ([]byte, error) {
	name := h.String()
	f, err := r.dot.Open("objects/" + name[:2] + "/" + name[2:])
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := zlib.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	defer z.Close()
	return parseLoose(z, want, limit)
}

// parseLoose takes an inflated object apart: "<type> <size>\x00<content>".
func parseLoose(z io.Reader, want plumbing.ObjectType, limit int64) ([]byte, error) {
	all, err := bounded.ReadAll(z, limit+maxHeader)
	if errors.Is(err, bounded.ErrTooLarge) {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	header, data, found := bytes.Cut(all, []byte{0})
	kind, size, ok := strings.Cut(string(header), " ")
	if n, err := strconv.ParseInt(size, 10, 64); !found || !ok || err != nil || n != int64(len(data)) {
		return nil, fmt.Errorf("%w: its header does not describe its %d bytes", ErrCorrupt, len(data))
	}
	if kind != want.String() {
		return nil, fmt.Errorf("%w: it is a %.10q", ErrCorrupt, kind)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrTooLarge, len(data), limit)
	}
	return data, nil
}

func (r *Repo) packed(want plumbing.ObjectType, h plumbing.Hash, limit int64) ([]byte, error) {
	size, err := r.store.EncodedObjectSize(h)
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrTooLarge, size, limit)
	}
	obj, err := r.store.EncodedObject(plumbing.AnyObject, h)
	if err != nil {
		return nil, err
	}
	if obj.Type() != want {
		return nil, fmt.Errorf("%w: it is a %s", ErrCorrupt, obj.Type())
	}
	reader, err := obj.Reader()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	return bounded.ReadAll(reader, limit)
}

// kind says what type of object h is.
func (r *Repo) kind(h plumbing.Hash) (plumbing.ObjectType, error) {
	for _, t := range []plumbing.ObjectType{plumbing.CommitObject, plumbing.TagObject} {
		if _, err := r.object(t, h, maxCommit); err == nil {
			return t, nil
		} else if !errors.Is(err, ErrCorrupt) {
			return plumbing.InvalidObject, err
		}
	}
	return plumbing.InvalidObject, fmt.Errorf("%s is neither a commit nor a tag", h)
}

func (r *Repo) commit(c Commit) (*object.Commit, error) {
	h, err := c.hash()
	if err != nil {
		return nil, err
	}
	data, err := r.object(plumbing.CommitObject, h, maxCommit)
	if err != nil {
		return nil, err
	}
	commit := new(object.Commit)
	if err := commit.Decode(memory(plumbing.CommitObject, data)); err != nil {
		return nil, fmt.Errorf("commit %s: %w: %w", c, ErrCorrupt, err)
	}
	return commit, nil
}

// put stores an object unless it is there.
func (r *Repo) put(t plumbing.ObjectType, data []byte) (plumbing.Hash, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := plumbing.ComputeHash(t, data)
	if r.store.HasEncodedObject(h) == nil {
		return h, nil
	}
	if _, err := r.store.SetEncodedObject(memory(t, data)); err != nil {
		return h, err
	}
	return h, r.flush(h)
}

// flush puts a new object on the disk before anything names it.
func (r *Repo) flush(h plumbing.Hash) error {
	name := h.String()
	f, err := r.dot.Open("objects/" + name[:2] + "/" + name[2:])
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func memory(t plumbing.ObjectType, data []byte) *plumbing.MemoryObject {
	obj := new(plumbing.MemoryObject)
	obj.SetType(t)
	_, _ = obj.Write(data) // appends to a slice
	return obj
}
