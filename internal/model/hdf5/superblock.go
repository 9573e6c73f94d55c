package hdf5

import (
	"fmt"

	"github.com/apexlogic/apex/internal/model/scan"
)

// superblock reads the superblock (section II.A), queues the root group and
// looks at the superblock's extension.
func (w *walker) superblock() error {
	r := w.file
	c, err := r.at(0, min(uint64(r.file.Size()), 256))
	if err != nil {
		return err
	}
	c.skip(len(signature))
	version := c.u8()
	var end, driver, extension, root uint64
	var cached *table
	extension, driver = undefined, undefined
	switch version {
	case 0, 1:
		c.skip(4)
		if err := w.sizes(c); err != nil {
			return err
		}
		c.skip(1 + 2 + 2 + 4)
		if version == 1 {
			c.skip(4)
		}
		c.address() // the base: the library goes by where the superblock is
		c.address()
		end, driver = c.address(), c.address()
		entry := takeEntry(c)
		root, cached = entry.header, entry.table
	case 2, 3:
		if err := w.sizes(c); err != nil {
			return err
		}
		c.skip(1)
		c.address()
		extension, end, root = c.address(), c.address(), c.address()
		c.skip(4)
	default:
		return broken("version %d of the superblock is unknown", version)
	}
	if err := c.done("the superblock"); err != nil {
		return err
	}
	// The end is counted from the beginning of the file or, where bytes were
	// put before the superblock later, from there.
	size := uint64(r.file.Size())
	if end > size && end > size+uint64(w.base) {
		return broken("the file ends at byte %d of the %d that its superblock says", size+uint64(w.base), end)
	}
	if end < size {
		w.report(ruleTrailing, scan.At(w.base+int64(end)), fmt.Sprintf("the superblock says that the file ends at byte %d of %d", end, size))
	}
	if driver != undefined {
		if err := w.driver(driver); err != nil {
			return err
		}
	}
	if extension != undefined {
		if err := w.extension(extension); err != nil {
			return err
		}
	}
	if err := w.queue(-1, "", root); err != nil {
		return err
	}
	if cached != nil {
		w.aside = append(w.aside, aside{node: 0, table: *cached})
	}
	return nil
}

func (w *walker) sizes(c *cursor) error {
	w.file.offset, w.file.length = c.u8(), c.u8()
	for _, n := range []int{w.file.offset, w.file.length} {
		if n != 2 && n != 4 && n != 8 {
			return broken("addresses of %d and lengths of %d bytes", w.file.offset, w.file.length)
		}
	}
	c.offset, c.length = w.file.offset, w.file.length
	return nil
}

// driver refuses files that are one of several (section II.B): what the
// others hold is unknown.
func (w *walker) driver(at uint64) error {
	c, err := w.file.at(at, 16)
	if err != nil {
		return err
	}
	c.skip(8)
	return broken("it is one of the files of a set (driver %q)", c.bytes(8))
}

// extension looks at the messages of the superblock's extension.
func (w *walker) extension(at uint64) error {
	messages, err := w.header(at)
	if err != nil {
		return err
	}
	for _, m := range messages {
		c := w.file.over(m.data)
		switch m.kind {
		case kindDriver:
			c.skip(1)
			return broken("it is one of the files of a set (driver %q)", c.bytes(8))
		case kindCacheImage:
			c.skip(1)
			if image := c.address(); image != undefined {
				w.report(ruleCacheImage, scan.At(w.base+m.at), fmt.Sprintf("%d bytes at %d", c.size(), image))
			}
		case kindSharedTable:
			c.skip(1)
			table, indexes := c.address(), c.u8()
			if err := c.done("the message of shared messages"); err != nil {
				return err
			}
			if err := w.sharedTable(table, indexes); err != nil {
				return err
			}
		}
	}
	return nil
}

// sharedHeap is the heap that holds messages of some kinds for all objects.
type sharedHeap struct {
	kinds int // a bit per kind
	heap  uint64
}

// sharedTable reads the table of shared object header messages (section
// IV.A.2, "Shared Object Header Message Table").
func (w *walker) sharedTable(at uint64, indexes int) error {
	const index = 1 + 1 + 2 + 4 + 3*2
	c, err := w.file.at(at, uint64(4+indexes*(index+2*w.file.offset)))
	if err != nil {
		return err
	}
	if string(c.bytes(4)) != "SMTB" {
		return broken("no table of shared messages at %d", at)
	}
	for range indexes {
		c.skip(2)
		kinds := c.u16()
		c.skip(4 + 3*2)
		c.address()
		w.shared = append(w.shared, sharedHeap{kinds: kinds, heap: c.address()})
	}
	return c.done("the table of shared messages")
}
