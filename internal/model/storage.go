package model

import (
	"archive/zip"
	"context"
	"io"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/model/pickle"
	"github.com/apexlogic/apex/internal/model/scan"
)

// inStorage rewrites a tensor whose bytes stand in another member of a torch
// zip than the pickle that names it: it then says where they are.
func inStorage(t scan.Tensor) scan.Tensor {
	name, member, offset, ok := pickle.SplitName(t.Name)
	if !ok {
		return t
	}
	t.Name, t.Member, t.Offset = name, path.Join(path.Dir(t.Member), member), offset
	return t
}

// handle is an open file of a model.
type handle struct {
	file *os.File
	size int64
	// members of the file, where it is a zip, by name; nil for a name that is
	// there twice, because loaders differ in which of them they take.
	members map[string]*zip.File
	// storages are the members that were compared as tensors.
	storages map[string]bool
}

// handles keeps files open while they are compared.
type handles struct{ open map[string]*handle }

func (h *handles) file(s *side, name string) (*handle, error) {
	key := s.root + "\x00" + name
	if one := h.open[key]; one != nil {
		return one, nil
	}
	full := s.root
	if !s.single {
		full = filepath.Join(s.root, filepath.FromSlash(name))
	}
	f, err := os.OpenFile(full, os.O_RDONLY|openWithoutWaiting, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	one := &handle{file: f, size: info.Size(), storages: map[string]bool{}}
	h.open[key] = one
	return one, nil
}

// done closes a file that is compared.
func (h *handles) done(s *side, name string) {
	key := s.root + "\x00" + name
	if one := h.open[key]; one != nil {
		_ = one.file.Close() // it was only read
		delete(h.open, key)
	}
}

func (h *handles) close() {
	for _, one := range h.open {
		_ = one.file.Close() // it was only read
	}
}

// tensor returns the tensor's bytes; nil when they are packed, in a file inside
// of a member, or not all there.
func (h *handles) tensor(s *side, p place) (io.ReaderAt, error) {
	f, err := h.file(s, p.file)
	if err != nil || p.tensor.Offset < 0 || p.tensor.Size < 0 {
		return nil, err
	}
	start, size := int64(0), f.size
	if p.tensor.Member != "" {
		m := f.zip()[p.tensor.Member]
		if m == nil || m.Method != zip.Store || m.UncompressedSize64 != m.CompressedSize64 || m.UncompressedSize64 > math.MaxInt64 {
			return nil, nil
		}
		if start, err = m.DataOffset(); err != nil {
			return nil, nil // the scan reports what is wrong with it
		}
		size = int64(m.UncompressedSize64)
		f.storages[p.tensor.Member] = true
	}
	if p.tensor.Offset > size || p.tensor.Size > size-p.tensor.Offset || start > f.size-size {
		return nil, nil
	}
	return io.NewSectionReader(f.file, start+p.tensor.Offset, p.tensor.Size), nil
}

// zip returns the members of the file; none where it is no zip.
func (f *handle) zip() map[string]*zip.File {
	if f.members != nil {
		return f.members
	}
	f.members = map[string]*zip.File{}
	r, err := zip.NewReader(f.file, f.size)
	if err != nil {
		return f.members
	}
	for _, m := range r.File {
		_, twice := f.members[m.Name]
		f.members[m.Name] = m
		if twice {
			f.members[m.Name] = nil
		}
	}
	return f.members
}

// differingMembers compares the members of two torch zips that were not
// compared as tensors: the pickle, code, versions. The folder in which torch
// puts all members has the name of the file that was written first; it does
// not count.
func differingMembers(ctx context.Context, x, y *handle) ([]string, error) {
	left, right := x.others(), y.others()
	var out []string
	for _, name := range sortedKeys(right) {
		a, b := left[name], right[name]
		same := false
		if a != nil && b != nil && a.Method == b.Method {
			from, err := a.DataOffset()
			if err != nil {
				return nil, err
			}
			to, err := b.DataOffset()
			if err != nil {
				return nil, err
			}
			if same, err = sameBytes(ctx, x, y, from, int64(min(a.CompressedSize64, math.MaxInt64)), to, int64(min(b.CompressedSize64, math.MaxInt64))); err != nil {
				return nil, err
			}
		}
		if !same {
			out = append(out, name)
		}
	}
	for name := range left {
		if _, ok := right[name]; !ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// others are the members that are no storages, without the folder of all.
func (f *handle) others() map[string]*zip.File {
	var folder string
	shared := true
	for _, name := range sortedKeys(f.zip()) {
		first, _, below := strings.Cut(name, "/")
		shared = shared && below && (folder == "" || folder == first)
		folder = first
	}
	out := map[string]*zip.File{}
	for name, m := range f.zip() {
		if f.storages[name] {
			continue
		}
		if shared {
			name = strings.TrimPrefix(name, folder+"/")
		}
		out[name] = m
	}
	return out
}

// span is the part of a file that its tensors take.
type span struct{ begin, end int64 }

// sameAround says whether two files are equal before and behind their tensors.
func sameAround(ctx context.Context, x, y *handle, a, b span) (bool, error) {
	a.begin, b.begin = min(a.begin, x.size), min(b.begin, y.size)
	a.end, b.end = min(max(a.end, a.begin), x.size), min(max(b.end, b.begin), y.size)
	same, err := sameBytes(ctx, x, y, 0, a.begin, 0, b.begin)
	if err != nil || !same {
		return false, err
	}
	return sameBytes(ctx, x, y, a.end, x.size-a.end, b.end, y.size-b.end)
}

// sameBytes compares m bytes of x from off with n bytes of y from to.
func sameBytes(ctx context.Context, x, y *handle, off, m, to, n int64) (bool, error) {
	if m != n {
		return false, nil
	}
	first, err := firstDifference(ctx, io.NewSectionReader(x.file, off, m), io.NewSectionReader(y.file, to, n), n)
	return first == n, err
}
