package model

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// DiffSchema names the shape of a [Diff].
const DiffSchema = "apex.model-diff/v1"

// Diff says how a model differs from the base that it declares. It is the only
// place where a back door inside of weights can show: as a difference that
// nobody can explain.
type Diff struct {
	Schema string `json:"schema"`
	Same   int    `json:"same"` // tensors that are equal, byte by byte
	// Changed are tensors of the same type and shape with other numbers.
	Changed  []TensorChange `json:"changed,omitempty"`
	Added    []string       `json:"added,omitempty"` // tensors, by name
	Removed  []string       `json:"removed,omitempty"`
	Reshaped []string       `json:"reshaped,omitempty"` // of another type or shape
	// Files are all other files that differ, those with code first.
	Files []FileChange `json:"files,omitempty"`
	// New are findings of the model that the base does not have.
	New []scan.Finding `json:"new,omitempty"`
	// Unread are files of formats whose tensors are not compared.
	Unread []string `json:"unread,omitempty"`
}

// FileChange is a file that is not weights and differs.
type FileChange struct {
	Path   string `json:"path"`
	What   string `json:"what"` // "added", "removed" or "changed"
	Format string `json:"format,omitempty"`
	// Code says that a loader runs or interprets the file: pickles, graphs of
	// operators, templates, configurations.
	Code bool `json:"code"`
}

// TensorChange is how one tensor differs.
type TensorChange struct {
	Name  string  `json:"name"`
	DType string  `json:"dtype"`
	Shape []int64 `json:"shape"`
	Delta
}

// side is one of the two models.
type side struct {
	root    string
	files   map[string]*File
	tensors map[string]place
}

// place is where a tensor's bytes are.
type place struct {
	file   string
	tensor scan.Tensor
}

// Compare compares the model at path with its base, each a folder or a file.
func (s *Scanner) Compare(ctx context.Context, base, path string, o Options) (*Diff, error) {
	o.Scan.Tensors = true
	left, err := s.side(ctx, base, o)
	if err != nil {
		return nil, fmt.Errorf("the base: %w", err)
	}
	right, err := s.side(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("the model: %w", err)
	}
	d := &Diff{Schema: DiffSchema}
	if err := d.compareTensors(ctx, left, right); err != nil {
		return nil, err
	}
	if err := d.compareFiles(ctx, left, right); err != nil {
		return nil, err
	}
	d.newFindings(left, right)
	return d, nil
}

func (s *Scanner) side(ctx context.Context, path string, o Options) (*side, error) {
	out := &side{root: path, files: map[string]*File{}, tensors: map[string]place{}}
	err := s.Tree(ctx, path, o, func(f *File) error {
		name, err := filepath.Rel(path, f.Path)
		if err != nil {
			return err
		}
		if name == "." {
			name = filepath.Base(path)
		}
		name = filepath.ToSlash(name)
		out.files[name] = f
		for _, t := range f.Tensors {
			key := t.Name
			if t.Member != "" && t.Name == "" {
				key = t.Member
			}
			if other, twice := out.tensors[key]; twice {
				key = name + ":" + key
				if _, again := out.tensors[key]; again {
					return fmt.Errorf("%s and %s both hold a tensor %q", other.file, name, t.Name)
				}
			}
			out.tensors[key] = place{name, t}
		}
		return nil
	})
	return out, err
}

// open opens one of the side's files.
func (s *side) open(name string) (*os.File, error) {
	if info, err := os.Stat(s.root); err == nil && !info.IsDir() {
		return os.Open(s.root)
	}
	return os.Open(filepath.Join(s.root, filepath.FromSlash(name)))
}

func (d *Diff) compareTensors(ctx context.Context, left, right *side) error {
	opened := &handles{open: map[string]*os.File{}}
	defer opened.close()
	for _, name := range sortedKeys(left.tensors) {
		if _, ok := right.tensors[name]; !ok {
			d.Removed = append(d.Removed, name)
		}
	}
	for _, name := range sortedKeys(right.tensors) {
		b := right.tensors[name]
		a, ok := left.tensors[name]
		switch {
		case !ok:
			d.Added = append(d.Added, name)
			continue
		case a.tensor.DType != b.tensor.DType || !slices.Equal(a.tensor.Shape, b.tensor.Shape) || a.tensor.Size != b.tensor.Size:
			d.Reshaped = append(d.Reshaped, fmt.Sprintf("%s: %s%v became %s%v", name, a.tensor.DType, a.tensor.Shape, b.tensor.DType, b.tensor.Shape))
			continue
		}
		x, err := opened.section(left, a)
		if err != nil {
			return err
		}
		y, err := opened.section(right, b)
		if err != nil {
			return err
		}
		if x == nil || y == nil {
			d.Unread = append(d.Unread, name)
			continue
		}
		delta, err := compareNumbers(ctx, b.tensor.DType, x, y, b.tensor.Size)
		if err != nil {
			return fmt.Errorf("tensor %s: %w", name, err)
		}
		if delta == (Delta{}) {
			d.Same++
			continue
		}
		d.Changed = append(d.Changed, TensorChange{name, b.tensor.DType, b.tensor.Shape, delta})
	}
	return nil
}

// handles keeps files open while their tensors are compared.
type handles struct{ open map[string]*os.File }

// section returns the tensor's bytes, or nil when they are packed or in a member.
func (h *handles) section(s *side, p place) (io.Reader, error) {
	if p.tensor.Offset < 0 || p.tensor.Member != "" {
		return nil, nil
	}
	key := s.root + "\x00" + p.file
	f := h.open[key]
	if f == nil {
		var err error
		if f, err = s.open(p.file); err != nil {
			return nil, err
		}
		h.open[key] = f
	}
	return io.NewSectionReader(f, p.tensor.Offset, p.tensor.Size), nil
}

func (h *handles) close() {
	for _, f := range h.open {
		_ = f.Close() // it was only read
	}
}

// weights are formats whose difference is told by their tensors.
var weights = []string{"safetensors", "gguf", "npy"}

// inert are formats that no loader runs or obeys.
var inert = []string{"text", "empty"}

func (d *Diff) compareFiles(ctx context.Context, left, right *side) error {
	change := func(name, what string, f *File) {
		code := len(f.Formats) > 0 && !slices.ContainsFunc(f.Formats, func(format string) bool {
			return slices.Contains(inert, format) || slices.Contains(weights, format)
		})
		d.Files = append(d.Files, FileChange{name, what, f.Format(), code})
	}
	for name, f := range right.files {
		base, ok := left.files[name]
		switch {
		case !ok:
			change(name, "added", f)
		case slices.Contains(weights, f.Format()) && f.Format() == base.Format():
		default:
			same, err := sameBytes(ctx, left, right, name, base.Size == f.Size)
			if err != nil {
				return err
			}
			if !same {
				change(name, "changed", f)
			}
		}
	}
	for name, f := range left.files {
		if _, ok := right.files[name]; !ok {
			change(name, "removed", f)
		}
	}
	slices.SortFunc(d.Files, func(a, b FileChange) int {
		if a.Code != b.Code {
			if a.Code {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Path, b.Path)
	})
	return nil
}

// Alarming says whether something that a loader runs or obeys differs, or a scan
// finds what it does not find in the base.
func (d *Diff) Alarming() bool {
	return len(d.New) > 0 || slices.ContainsFunc(d.Files, func(f FileChange) bool { return f.Code })
}

func sameBytes(ctx context.Context, left, right *side, name string, sizes bool) (bool, error) {
	if !sizes {
		return false, nil
	}
	x, err := left.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer x.Close()
	y, err := right.open(name)
	if err != nil {
		return false, err
	}
	defer y.Close()
	delta, err := compareNumbers(ctx, "", x, y, right.files[name].Size)
	return delta == (Delta{}), err
}

// newFindings lists what the model has and the base has not, wherever it stands.
func (d *Diff) newFindings(left, right *side) {
	known := map[string]bool{}
	for _, f := range left.files {
		for i := range f.Findings {
			known[f.Findings[i].Rule+"\x00"+f.Findings[i].Detail] = true
		}
	}
	for _, name := range sortedKeys(right.files) {
		for _, found := range right.files[name].Findings {
			if found.Severity > scan.Note && !known[found.Rule+"\x00"+found.Detail] {
				if found.Where.Member == "" {
					found.Where.Member = name
				} else {
					found.Where.Member = name + "!" + found.Where.Member
				}
				d.New = append(d.New, found)
			}
		}
	}
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
