package dataset

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/apexlogic/apex/verdict"
)

// Difference is what two manifests differ in.
type Difference struct {
	Schema string         `json:"schema"`
	Old    verdict.Digest `json:"old"` // roots
	New    verdict.Digest `json:"new"`
	Files  []FileChange   `json:"files"`
	// Labels are the labels whose number of records changed.
	Labels []LabelChange `json:"labels"`
	// Statistics says that the statistics differ although the files do not: one
	// of the manifests does not tell the truth about them.
	Statistics bool `json:"statistics,omitempty"`
}

// DifferenceSchema is the schema of [Difference].
const DifferenceSchema = "apex.dataset-diff/v1"

// Same says that nothing differs.
func (d *Difference) Same() bool { return len(d.Files) == 0 && len(d.Labels) == 0 && !d.Statistics }

// FileChange is one file that differs.
type FileChange struct {
	Path   string `json:"path"`
	Change string `json:"change"`         // added, removed, changed, moved
	From   string `json:"from,omitempty"` // of what was moved
	// Header says that what all records share changed: columns or schema.
	Header bool `json:"header,omitempty"`
	// Reordered says that the same records are in another order.
	Reordered bool `json:"reordered,omitempty"`
	// Framing says that only bytes between records differ: line breaks, padding.
	Framing bool           `json:"framing,omitempty"`
	Records []RecordChange `json:"records,omitempty"`
	// Detail says why no records are named.
	Detail string `json:"detail,omitempty"`
}

// RecordChange is one record that differs. Old or New is absent when the record
// was added or removed.
type RecordChange struct {
	Change string  `json:"change"` // added, removed, changed
	ID     string  `json:"id,omitempty"`
	Old    *Record `json:"old,omitempty"`
	New    *Record `json:"new,omitempty"`
}

// Record is where a record is in its file.
type Record struct {
	Index  int64 `json:"index"`  // from 0
	Offset int64 `json:"offset"` // of its first byte
	Length int64 `json:"length"` // in bytes
}

// LabelChange is a label whose number of records changed.
type LabelChange struct {
	Label string `json:"label"`
	Old   int64  `json:"old"`
	New   int64  `json:"new"`
}

// maxChanges bounds the records that are compared one by one: where more
// differ, the file was rewritten, and a list helps nobody.
const maxChanges = 500_000

var errRewritten = fmt.Errorf("more than %d records differ: the file was rewritten", maxChanges)

// Diff compares two manifests. With the records files of both, it names the
// records that differ, and reads only the chunks that lead to them: for k
// changes among n records O(k·log n) chunks of 64 entries, wherever records were
// inserted. Without them (nil) it names files.
func Diff(old, new *Manifest, oldIndex, newIndex *Index) (*Difference, error) {
	d := &Difference{Schema: DifferenceSchema, Old: old.Root, New: new.Root, Files: []FileChange{}, Labels: labelChanges(old, new)}
	before, after := map[string]*File{}, map[string]*File{}
	for i := range old.Files {
		before[old.Files[i].Path] = &old.Files[i]
	}
	for i := range new.Files {
		after[new.Files[i].Path] = &new.Files[i]
	}
	gone := map[verdict.Digest][]string{} // by content, to tell what was moved
	for i := range old.Files {
		if f := &old.Files[i]; after[f.Path] == nil {
			gone[f.Digest] = append(gone[f.Digest], f.Path)
		}
	}
	moved := map[string]bool{}
	for i := range new.Files {
		f := &new.Files[i]
		was := before[f.Path]
		switch {
		case was == nil && len(gone[f.Digest]) > 0:
			from := gone[f.Digest][0]
			gone[f.Digest] = gone[f.Digest][1:]
			moved[from] = true
			d.Files = append(d.Files, FileChange{Path: f.Path, Change: "moved", From: from})
		case was == nil:
			d.Files = append(d.Files, FileChange{Path: f.Path, Change: "added"})
		case *was != *f:
			c, err := diffFile(was, f, oldIndex, newIndex)
			if err != nil {
				return nil, err
			}
			d.Files = append(d.Files, *c)
		}
	}
	for i := range old.Files {
		if f := &old.Files[i]; after[f.Path] == nil && !moved[f.Path] {
			d.Files = append(d.Files, FileChange{Path: f.Path, Change: "removed"})
		}
	}
	slices.SortStableFunc(d.Files, func(a, b FileChange) int { return cmp.Compare(a.Path, b.Path) })
	if old.Root == new.Root {
		a, errA := json.Marshal(old.Statistics)
		b, errB := json.Marshal(new.Statistics)
		d.Statistics = errA != nil || errB != nil || !bytes.Equal(a, b)
	}
	return d, nil
}

func diffFile(old, new *File, oldIndex, newIndex *Index) (*FileChange, error) {
	c := &FileChange{Path: new.Path, Change: "changed", Header: old.Header != new.Header}
	switch {
	case old.Kind != new.Kind:
		c.Detail = fmt.Sprintf("it was read as %s and is read as %s", old.Kind, new.Kind)
		return c, nil
	case old.RecordRoot == new.RecordRoot:
		c.Framing = true
		return c, nil
	case old.Kind == Whole:
		return c, nil
	case oldIndex == nil || newIndex == nil:
		c.Detail = "no records file tells which records"
		return c, nil
	}
	w := walk{old: oldIndex, new: newIndex}
	if err := w.files(old, new); err != nil {
		if errors.Is(err, errRewritten) {
			c.Detail = err.Error()
			return c, nil
		}
		return nil, fmt.Errorf("%q: %w", new.Path, err)
	}
	c.Records = pair(w.removed, w.added)
	c.Reordered = len(c.Records) == 0 && !c.Header
	return c, nil
}

// walk compares two trees from the top, level by level: chunks that both have
// fall out, the rest is opened.
type walk struct {
	old, new       *Index
	removed, added []leaf
}

func (w *walk) files(old, new *File) error {
	var a, b []node
	for _, side := range []struct {
		x  *Index
		f  *File
		to *[]node
	}{{w.old, old, &a}, {w.new, new, &b}} {
		if side.f.Records == 0 {
			continue
		}
		n, err := side.x.top(side.f)
		if err != nil {
			return err
		}
		*side.to = []node{n}
	}
	var err error
	for {
		level := max(levelOf(a), levelOf(b))
		if levelOf(a) == levelOf(b) {
			a, b = unmatched(a, b, func(n *node) hash { return n.hash })
		}
		if level <= 0 {
			break
		}
		if levelOf(a) == level {
			if a, err = open(w.old, a); err != nil {
				return err
			}
		}
		if levelOf(b) == level {
			if b, err = open(w.new, b); err != nil {
				return err
			}
		}
	}
	la, err := openLeaves(w.old, a)
	if err != nil {
		return err
	}
	lb, err := openLeaves(w.new, b)
	if err != nil {
		return err
	}
	w.removed, w.added = unmatched(la, lb, func(l *leaf) hash { return l.hash })
	return nil
}

func levelOf(n []node) int {
	if len(n) == 0 {
		return -1
	}
	return n[0].level
}

func open(x *Index, nodes []node) ([]node, error) {
	var out []node
	for i := range nodes {
		c, err := x.children(&nodes[i])
		if err != nil {
			return nil, err
		}
		if out = append(out, c...); len(out) > maxChanges {
			return nil, errRewritten
		}
	}
	return out, nil
}

func openLeaves(x *Index, nodes []node) ([]leaf, error) {
	var out []leaf
	for i := range nodes {
		l, err := x.leaves(&nodes[i])
		if err != nil {
			return nil, err
		}
		if out = append(out, l...); len(out) > maxChanges {
			return nil, errRewritten
		}
	}
	return out, nil
}

// unmatched drops what both lists hold, each as often as both hold it.
func unmatched[T any](a, b []T, key func(*T) hash) (onlyA, onlyB []T) {
	count := make(map[hash]int, len(a))
	for i := range a {
		count[key(&a[i])]++
	}
	both := map[hash]int{}
	for i := range b {
		if k := key(&b[i]); count[k] > 0 {
			count[k]--
			both[k]++
		} else {
			onlyB = append(onlyB, b[i])
		}
	}
	for i := range a {
		if k := key(&a[i]); both[k] > 0 {
			both[k]--
		} else {
			onlyA = append(onlyA, a[i])
		}
	}
	return onlyA, onlyB
}

// pair says which removed and added record are one that changed: those with the
// same id, else those between the same unchanged records.
func pair(removed, added []leaf) []RecordChange {
	var out []RecordChange
	done := make([]bool, len(added))
	of := map[string]int{}
	for i := range added {
		if id := added[i].id; id != "" {
			if _, twice := of[id]; twice {
				of[id] = -1
			} else {
				of[id] = i
			}
		}
	}
	var rest []int
	for i := range removed {
		if at, ok := of[removed[i].id]; ok && at >= 0 && !done[at] {
			done[at] = true
			out = append(out, change(&removed[i], &added[at]))
			continue
		}
		rest = append(rest, i)
	}
	// The number of unchanged records before it tells the gap that a record is in.
	gap := map[int64][]int{}
	for j := range added {
		if !done[j] {
			before := added[j].index - int64(j)
			gap[before] = append(gap[before], j)
		}
	}
	for _, i := range rest {
		before := removed[i].index - int64(i)
		if free := gap[before]; len(free) > 0 && (removed[i].id == "" || added[free[0]].id == "") {
			gap[before] = free[1:]
			done[free[0]] = true
			out = append(out, change(&removed[i], &added[free[0]]))
			continue
		}
		out = append(out, change(&removed[i], nil))
	}
	for j := range added {
		if !done[j] {
			out = append(out, change(nil, &added[j]))
		}
	}
	slices.SortStableFunc(out, func(a, b RecordChange) int { return cmp.Compare(a.at(), b.at()) })
	return out
}

func (c *RecordChange) at() int64 {
	if c.New != nil {
		return c.New.Index
	}
	return c.Old.Index
}

func change(old, new *leaf) RecordChange {
	c := RecordChange{Change: "changed"}
	if old != nil {
		c.Old, c.ID = &Record{old.index, old.offset, old.length}, old.id
	} else {
		c.Change = "added"
	}
	if new != nil {
		c.New, c.ID = &Record{new.index, new.offset, new.length}, new.id
	} else {
		c.Change = "removed"
	}
	return c
}

func labelChanges(old, new *Manifest) []LabelChange {
	by := map[string]*LabelChange{}
	get := func(v string) *LabelChange {
		if by[v] == nil {
			by[v] = &LabelChange{Label: v}
		}
		return by[v]
	}
	for _, c := range old.Statistics.Labels {
		get(c.Value).Old = c.Records
	}
	for _, c := range new.Statistics.Labels {
		get(c.Value).New = c.Records
	}
	out := []LabelChange{}
	for _, c := range by {
		if c.Old != c.New {
			out = append(out, *c)
		}
	}
	slices.SortFunc(out, func(a, b LabelChange) int { return cmp.Compare(a.Label, b.Label) })
	return out
}
