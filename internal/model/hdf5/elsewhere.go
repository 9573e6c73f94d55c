package hdf5

import (
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// outside says whether a name leads out of the folder that the file is in: it
// is absolute on some system, or goes up.
func outside(name string) bool {
	slashed := strings.ReplaceAll(name, `\`, "/")
	if strings.HasPrefix(slashed, "/") || strings.HasPrefix(slashed, "~") || len(name) >= 2 && name[1] == ':' || strings.Contains(slashed, "://") {
		return true
	}
	for part := range strings.SplitSeq(slashed, "/") {
		if part == ".." || strings.TrimRight(part, " .") == "" && strings.HasPrefix(part, "..") {
			return true
		}
	}
	return false
}

// externalFiles reports the files of an external file list (section
// IV.A.2.h). What cannot be read of it names a file all the same.
func (w *walker) externalFiles(node int32, m message) error {
	where := w.where(m.at, w.path(node))
	names, err := w.externalNames(m)
	if err != nil {
		w.report(ruleDataExternal, where, "the names of the files cannot be read")
		return err
	}
	for _, name := range names {
		rule := ruleDataExternal
		if outside(name) {
			rule = ruleDataOutside
		}
		w.report(rule, where, fmt.Sprintf("the file %q", clip(name)))
	}
	return nil
}

func (w *walker) externalNames(m message) ([]string, error) {
	c := w.file.over(m.data)
	if version := c.u8(); version != 1 {
		return nil, broken("version %d of an external file list is unknown", version)
	}
	c.skip(3 + 2)
	used, heap := c.u16(), c.address()
	if err := c.done("an external file list"); err != nil {
		return nil, err
	}
	h, err := w.file.at(heap, uint64(8+2*w.file.length+w.file.offset))
	if err != nil {
		return nil, err
	}
	if string(h.bytes(4)) != "HEAP" {
		return nil, broken("no local heap at %d", heap)
	}
	h.skip(4)
	size := h.size()
	h.size()
	at := h.address()
	if end := uint64(w.file.file.Size()); at > end || size > end-at {
		return nil, broken("the local heap at %d lies outside of the file", heap)
	}
	var names []string
	for range used {
		offset := c.size()
		c.size()
		c.size()
		if err := c.done("an external file list"); err != nil {
			return names, err
		}
		name, err := w.file.text(at+min(offset, size), at+size)
		if err != nil {
			return names, err
		}
		names = append(names, name)
	}
	return names, nil
}

// virtual reports the files that a virtual dataset is put together from
// (section VIII.B, "Virtual Dataset Global Heap Block").
func (w *walker) virtual(node int32, l layout) error {
	where := scan.Path(w.path(node))
	if l.at == undefined || l.at == 0 {
		return nil // no part of it is mapped
	}
	block, err := w.globalObject(l.at, l.index)
	if err != nil {
		w.report(ruleVirtualExternal, where, "the names of the files cannot be read")
		return err
	}
	c := w.file.over(block)
	version, count := c.u8(), c.size()
	if version != 0 { // later ones may say that a name is an earlier one
		w.report(ruleVirtualExternal, where, "the names of the files cannot be read")
		return broken("version %d of a list of sources is unknown", version)
	}
	seen := map[string]bool{}
	for range min(count, uint64(len(block))) {
		file := c.text()
		c.text() // the dataset in it
		if !seen[file] && file != "." && file != "" && !c.short {
			seen[file] = true
			rule := ruleVirtualExternal
			if outside(file) {
				rule = ruleVirtualOutside
			}
			w.report(rule, where, fmt.Sprintf("the file %q", clip(file)))
		}
		for range 2 {
			if err := skipSelection(c); err != nil {
				w.report(ruleVirtualExternal, where, "the names of the files cannot be read")
				return err
			}
		}
		if err := w.place.Spend(costPiece); err != nil {
			return err
		}
	}
	return nil
}

// skipSelection steps over a serialised selection (section VIII.B.1).
func skipSelection(c *cursor) error {
	kind, version := c.u32(), c.u32()
	switch {
	case kind == 0 || kind == 3: // nothing, or everything
		c.skip(8)
	case kind == 1 && version == 1, kind == 2 && version == 1:
		c.skip(4)
		c.skip(int(c.u32()))
	case kind == 1 && version == 2:
		width, rank := c.u8(), c.u32()
		skipMany(c, c.uint(min(width, 8)), uint64(rank)*uint64(width))
	case kind == 2 && version == 2:
		c.skip(1)
		c.skip(int(c.u32()))
	case kind == 2 && version == 3:
		flags, width, rank := c.u8(), c.u8(), c.u32()
		if flags&1 != 0 {
			skipMany(c, 4, uint64(rank)*uint64(width))
			break
		}
		skipMany(c, c.uint(min(width, 8)), 2*uint64(rank)*uint64(width))
	default:
		return broken("selection %d of version %d is unknown", kind, version)
	}
	return c.done("a selection")
}

func skipMany(c *cursor, count, size uint64) {
	if left := uint64(c.left()); size > left || count > left || count*size > left {
		c.short = true
		return
	}
	c.skip(int(count * size))
}
