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
		var p *pack
		var offset int64
		if p, offset, err = r.findPacked(h); err == nil {
			data, err = readPacked(p, offset, want, limit)
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
	z, err := r.openLoose(h)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return parseLoose(z, want, limit)
}

// looseFile is an object file that is inflated while it is read.
type looseFile struct {
	io.ReadCloser
	file io.Closer
}

func (l looseFile) Close() error { return errors.Join(l.ReadCloser.Close(), l.file.Close()) }

func loosePath(h plumbing.Hash) string {
	name := h.String()
	return "objects/" + name[:2] + "/" + name[2:]
}

func (r *Repo) openLoose(h plumbing.Hash) (io.ReadCloser, error) {
	f, err := r.dot.Open(loosePath(h))
	if err != nil {
		return nil, err
	}
	z, err := zlib.NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrCorrupt, err), f.Close())
	}
	return looseFile{z, f}, nil
}

// cutHeader takes "<type> <size>\x00" off the beginning of an object.
func cutHeader(all []byte) (kind string, size int64, data []byte, err error) {
	header, data, found := bytes.Cut(all, []byte{0})
	kind, digits, spaced := strings.Cut(string(header), " ")
	size, err = strconv.ParseInt(digits, 10, 64)
	if !found || !spaced || err != nil || size < 0 {
		return "", 0, nil, fmt.Errorf("%w: it has no header", ErrCorrupt)
	}
	return kind, size, data, nil
}

// parseLoose takes an inflated object apart.
func parseLoose(z io.Reader, want plumbing.ObjectType, limit int64) ([]byte, error) {
	all, err := bounded.ReadAll(z, limit+maxHeader)
	if errors.Is(err, bounded.ErrTooLarge) {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	kind, size, data, err := cutHeader(all)
	switch {
	case err != nil:
		return nil, err
	case size != int64(len(data)):
		return nil, fmt.Errorf("%w: it states %d bytes and has %d", ErrCorrupt, size, len(data))
	case kind != want.String():
		return nil, fmt.Errorf("%w: it is a %.10q", ErrCorrupt, kind)
	case size > limit:
		return nil, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrTooLarge, size, limit)
	}
	return data, nil
}

func readPacked(p *pack, offset int64, want plumbing.ObjectType, limit int64) ([]byte, error) {
	kind, data, err := p.read(offset, limit)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", p.name, err)
	}
	if kind != want {
		return nil, fmt.Errorf("%w: it is a %s", ErrCorrupt, kind)
	}
	return data, nil
}

// findPacked finds the pack that holds an object. git may have packed the
// objects since the packs were opened, so it looks for new ones once.
func (r *Repo) findPacked(h plumbing.Hash) (*pack, int64, error) {
	p, offset, err := r.inPacks(h)
	if !errors.Is(err, plumbing.ErrObjectNotFound) {
		return p, offset, err
	}
	if err := r.reopenPacks(); err != nil {
		return nil, 0, err
	}
	return r.inPacks(h)
}

func (r *Repo) inPacks(h plumbing.Hash) (*pack, int64, error) {
	for _, p := range r.packs {
		offset, ok, err := p.offset(h)
		if err != nil {
			return nil, 0, fmt.Errorf("pack %s: %w", p.name, err)
		}
		if ok {
			return p, offset, nil
		}
	}
	return nil, 0, plumbing.ErrObjectNotFound
}

func (r *Repo) reopenPacks() error {
	fresh, err := openPacks(r.dot)
	if err != nil {
		return err
	}
	err = r.closePacks()
	r.packs = fresh
	return err
}

func (r *Repo) closePacks() error {
	var errs []error
	for _, p := range r.packs {
		errs = append(errs, p.close())
	}
	r.packs = nil
	return errors.Join(errs...)
}

// size is how many bytes an object states to have; its content is not read.
func (r *Repo) size(h plumbing.Hash) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	z, err := r.openLoose(h)
	if err == nil {
		defer z.Close()
		head := make([]byte, maxHeader)
		n, err := io.ReadFull(z, head)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		_, size, _, err := cutHeader(head[:n])
		return size, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	p, offset, err := r.findPacked(h)
	if err != nil {
		return 0, err
	}
	e, err := p.entry(offset)
	if err != nil {
		return 0, err
	}
	return p.resultSize(e)
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
	return plumbing.InvalidObject, fmt.Errorf("%w: %s is neither a commit nor a tag", ErrCorrupt, h)
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
	if _, err := r.dot.Stat(loosePath(h)); err == nil {
		return h, nil
	}
	if _, _, err := r.inPacks(h); err == nil { // of the packs that are open: twice does no harm
		return h, nil
	}
	if _, err := r.store.SetEncodedObject(memory(t, data)); err != nil {
		return h, err
	}
	return h, r.flush(h)
}

// flush puts a new object on the disk before anything names it.
func (r *Repo) flush(h plumbing.Hash) error {
	f, err := r.dot.Open(loosePath(h))
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
