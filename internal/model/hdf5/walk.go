package hdf5

import (
	"errors"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// mostObjects is how many links a file may have. Large models have some ten
// thousand arrays, in as many groups.
const mostObjects = 1 << 17

// clipName is how much is kept of one name in a path.
const clipName = 100

// walker walks over the objects of a file, each once: by its address.
type walker struct {
	place       *scan.Place
	file        *reader
	base        int64 // of the superblock in the file
	nodes       []node
	aside       []aside
	seen        map[uint64]bool
	shared      []sharedHeap
	heaps       map[uint64]*heap
	collections map[uint64]map[uint32]globalSpan
	plain       plainBlock
	array       []byte       // of the dataset that is read, taken for the next one again
	noted       map[int]bool // filters
	handed      int
	handedBytes int
}

// node is an object by the first link that led to it.
type node struct {
	parent int32
	name   string
	at     uint64
	weak   bool // only a reference led to it, which may be stale
}

// aside is the content of a group as its parent remembers it. The library
// takes it where the group's own header does not say, so it is read as well.
type aside struct {
	node int32
	table
}

// queue adds an object that a link names.
func (w *walker) queue(parent int32, name string, at uint64) error {
	return w.add(node{parent: parent, name: clip(name), at: at})
}

// refer adds an object that a reference names.
func (w *walker) refer(at uint64) error {
	return w.add(node{parent: 0, name: "#refs#", at: at, weak: true})
}

func (w *walker) add(n node) error {
	if err := w.place.Spend(200); err != nil {
		return err
	}
	if w.seen[n.at] {
		return nil
	}
	if len(w.nodes) >= mostObjects {
		return fmt.Errorf("%w: %d objects", errMost, mostObjects)
	}
	if len(w.nodes)%4096 == 0 {
		if _, err := w.place.Hold(4096 * 256); err != nil {
			return err
		}
	}
	w.seen[n.at] = true
	w.nodes = append(w.nodes, n)
	return nil
}

// walk looks at all objects, breadth first: what a loader reads first, the
// attributes of the root, comes first when the rest is too much.
func (w *walker) walk() error {
	tables := map[table]bool{}
	for i, j := 0, 0; i < len(w.nodes) || j < len(w.aside); {
		if i < len(w.nodes) {
			if err := w.fault(int32(i), w.object(int32(i), tables)); err != nil {
				return err
			}
			i++
			continue
		}
		a := w.aside[j]
		j++
		if tables[a.table] {
			continue
		}
		tables[a.table] = true
		if err := w.symbols(a.node, a.table); err != nil && !errors.Is(err, errBroken) {
			return err // a stale one is no fault: the group's own header counts
		}
	}
	return nil
}

// object looks at one object.
func (w *walker) object(i int32, tables map[table]bool) error {
	messages, err := w.header(w.nodes[i].at)
	if err != nil {
		if w.nodes[i].weak && errors.Is(err, errBroken) {
			return nil
		}
		return err
	}
	isDataset := false
	for _, m := range messages {
		var err error
		switch m.kind {
		case kindGroup:
			c := w.file.over(m.data)
			t := table{tree: c.address(), heap: c.address()}
			if err = c.done("a symbol table message"); err == nil {
				tables[t] = true
				err = w.symbols(i, t)
			}
		case kindLinkInfo:
			err = w.linkInfo(i, m.data)
		case kindLink:
			err = w.link(i, m.data, m.at)
		case kindAttribute:
			var data []byte
			if data, err = w.content(kindAttribute, m.flags&flagShared != 0, m.data); err == nil {
				err = w.attribute(i, data)
			}
		case kindAttributes:
			err = w.attributeInfo(i, m.data)
		case kindLayout, kindExternal, kindFilters:
			isDataset = true
		}
		if err = w.fault(i, err); err != nil {
			return err
		}
	}
	if isDataset {
		return w.dataset(i, messages)
	}
	return nil
}

// fault reports what is wrong with an object, so that the others are looked at
// all the same. Errors that end the scan are returned.
func (w *walker) fault(i int32, err error) error {
	switch {
	case errors.Is(err, errBroken):
		w.report(ruleBroken, scan.Path(w.path(i)), err.Error())
	case errors.Is(err, errMost):
		w.report(ruleLimit, scan.Path(w.path(i)), err.Error())
	default:
		return err
	}
	return w.place.Spend(2_000)
}

// costReport is a finding with its place and its words, and its comparison with
// those that are kept.
const costReport scan.Cost = 4_000

// report keeps a finding. When the budget is spent, whatever is spent next says so.
func (w *walker) report(rule *scan.Rule, where scan.Where, detail string) {
	w.place.Report(rule, where, detail)
	_ = w.place.Spend(costReport)
}

// where is a place in the file as reports name it.
func (w *walker) where(at int64, op string) scan.Where {
	if at < 0 {
		return scan.Path(op)
	}
	return scan.Op(w.base+at, op)
}

// path is an object's path; of a long one only the end.
func (w *walker) path(i int32) string {
	var names []string
	for length := 0; i >= 0 && w.nodes[i].parent >= 0; i = w.nodes[i].parent {
		if length += len(w.nodes[i].name) + 1; length > 256 {
			names = append(names, "…")
			break
		}
		names = append(names, w.nodes[i].name)
	}
	if len(names) == 0 {
		return ""
	}
	var b strings.Builder
	for j := len(names) - 1; j >= 0; j-- {
		b.WriteByte('/')
		b.WriteString(names[j])
	}
	return b.String()
}

// clip shortens a name from the file.
func clip(name string) string {
	if len(name) > clipName {
		return strings.ToValidUTF8(name[:clipName], "") + "…"
	}
	return strings.Clone(name)
}
