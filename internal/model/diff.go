package model

import (
	"cmp"
	"context"
	"fmt"
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
	// Unread are tensors that are on both sides and were not compared: they are
	// packed, lie outside of their file, or overlap many times.
	Unread []string `json:"unread,omitempty"`
}

// FileChange is a file that is not weights and differs.
type FileChange struct {
	Path   string `json:"path"` // with the member of a torch zip behind "!"
	What   string `json:"what"` // "added", "removed", "changed" or "header changed"
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
	single  bool
	files   map[string]*File
	tensors map[string]place
	spans   map[string]span // of the tensors of each file that has some
}

// place is where a tensor's bytes are.
type place struct {
	file   string
	tensor scan.Tensor
}

// Compare compares the model at path with its base, each a folder or a file.
func (s *Scanner) Compare(ctx context.Context, base, path string, o Options) (*Diff, error) {
	o.Scan.Tensors = true
	left, err := s.side(ctx, base, filepath.Base(path), o)
	if err != nil {
		return nil, fmt.Errorf("the base: %w", err)
	}
	right, err := s.side(ctx, path, filepath.Base(path), o)
	if err != nil {
		return nil, fmt.Errorf("the model: %w", err)
	}
	opened := &handles{open: map[string]*handle{}}
	defer opened.close()
	d := &Diff{Schema: DiffSchema}
	if err := d.compareTensors(ctx, opened, left, right); err != nil {
		return nil, err
	}
	if err := d.compareFiles(ctx, opened, left, right); err != nil {
		return nil, err
	}
	d.newFindings(left, right)
	return d, nil
}

// side scans one of the models. A model that is one file is called single, so
// that two files are compared whatever they are called.
func (s *Scanner) side(ctx context.Context, path, single string, o Options) (*side, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	out := &side{root: path, single: !info.IsDir(), files: map[string]*File{}, tensors: map[string]place{}, spans: map[string]span{}}
	twins := map[string]int{}
	err = s.Tree(ctx, path, o, func(f *File) error {
		name := single
		if !out.single {
			below, err := filepath.Rel(path, f.Path)
			if err != nil {
				return err
			}
			name = filepath.ToSlash(below)
		}
		out.files[name] = f
		for _, t := range f.Tensors {
			t = inStorage(t)
			key := cmp.Or(t.Name, t.Member, name)
			if _, twice := out.tensors[key]; twice {
				key = name + ":" + key
			}
			if _, twice := out.tensors[key]; twice {
				twins[key]++
				key = fmt.Sprintf("%s#%d", key, twins[key]+1)
			}
			out.tensors[key] = place{name, t}
			if at, seen := out.spans[name]; t.Offset >= 0 && t.Size >= 0 {
				if !seen {
					at.begin = t.Offset
				}
				out.spans[name] = span{min(at.begin, t.Offset), max(at.end, t.Offset+t.Size)}
			}
		}
		f.Tensors = nil
		return nil
	})
	return out, err
}

// overlap bounds what is compared: tensors may share their bytes, and a file
// could name the same gigabytes a million times.
const overlap = 4

func (d *Diff) compareTensors(ctx context.Context, opened *handles, left, right *side) error {
	for _, name := range sortedKeys(left.tensors) {
		if _, ok := right.tensors[name]; !ok {
			d.Removed = append(d.Removed, name)
		}
	}
	allowed := int64(1 << 20)
	for _, f := range right.files {
		allowed += overlap * f.Size
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
		x, err := opened.tensor(left, a)
		if err != nil {
			return err
		}
		y, err := opened.tensor(right, b)
		if err != nil {
			return err
		}
		if allowed -= max(b.tensor.Size, 0); x == nil || y == nil || allowed < 0 {
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

// weights are formats whose difference is told by their tensors, and by what
// stands before and behind them.
var weights = []string{"safetensors", "gguf", "numpy"}

// obeyed are those of them whose header holds what a loader runs: templates.
var obeyed = []string{"gguf"}

// inert are formats that no loader runs or obeys.
var inert = []string{"text", "empty"}

func (d *Diff) compareFiles(ctx context.Context, opened *handles, left, right *side) error {
	change := func(name, what string, f *File) {
		code := len(f.Formats) > 0 && !slices.ContainsFunc(f.Formats, func(format string) bool {
			return slices.Contains(inert, format) || slices.Contains(weights, format)
		})
		d.Files = append(d.Files, FileChange{name, what, f.Format(), code})
	}
	for _, name := range sortedKeys(right.files) {
		f := right.files[name]
		base, ok := left.files[name]
		if !ok {
			change(name, "added", f)
			continue
		}
		x, err := opened.file(left, name)
		if err != nil {
			return err
		}
		y, err := opened.file(right, name)
		if err != nil {
			return err
		}
		switch format := f.Format(); {
		case slices.Contains(weights, format) && format == base.Format():
			same, err := sameAround(ctx, x, y, left.spans[name], right.spans[name])
			if err != nil {
				return err
			}
			if !same {
				d.Files = append(d.Files, FileChange{name, "header changed", format, slices.Contains(obeyed, format)})
			}
		case len(y.storages) > 0 && format == base.Format():
			members, err := differingMembers(ctx, x, y)
			if err != nil {
				return err
			}
			for _, m := range members {
				d.Files = append(d.Files, FileChange{name + "!" + m, "changed", format, true})
			}
		default:
			same, err := sameBytes(ctx, x, y, 0, x.size, 0, y.size)
			if err != nil {
				return err
			}
			if !same {
				change(name, "changed", f)
			}
		}
		opened.done(left, name)
		opened.done(right, name)
	}
	for _, name := range sortedKeys(left.files) {
		if _, ok := right.files[name]; !ok {
			change(name, "removed", left.files[name])
		}
	}
	slices.SortStableFunc(d.Files, func(a, b FileChange) int {
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
