package hdf5

import "fmt"

// The kinds of messages that are looked at (section IV.A.2).
const (
	kindDataspace    = 0x00_01
	kindLinkInfo     = 0x00_02
	kindDatatype     = 0x00_03
	kindLink         = 0x00_06
	kindExternal     = 0x00_07
	kindLayout       = 0x00_08
	kindFilters      = 0x00_0b
	kindAttribute    = 0x00_0c
	kindSharedTable  = 0x00_0f
	kindContinuation = 0x00_10
	kindGroup        = 0x00_11
	kindDriver       = 0x00_14
	kindAttributes   = 0x00_15
	kindCacheImage   = 0x00_18
)

// What an object header may have. The library writes chunks as messages are
// added; a header of a real model has a handful.
const (
	mostChunks   = 1024
	mostMessages = 1 << 16
)

const flagShared = 1 << 1

// message is one message of an object header.
type message struct {
	kind  int
	flags int
	data  []byte
	at    int64 // of its data in the file, from the superblock
}

// header reads the object header at an address (section IV.A.1) with all
// of its continuations.
func (w *walker) header(at uint64) ([]message, error) {
	c, err := w.file.at(at, 4)
	if err != nil {
		return nil, err
	}
	h := &headerReader{w: w, seen: map[uint64]bool{}}
	if string(c.b) == "OHDR" {
		err = h.second(at)
	} else {
		err = h.first(at)
	}
	if err != nil {
		return nil, fmt.Errorf("object header at %d: %w", at, err)
	}
	return h.messages, nil
}

type headerReader struct {
	w        *walker
	version  int
	ordered  bool // version 2: messages have a creation order
	seen     map[uint64]bool
	messages []message
}

// first reads a header of version 1.
func (h *headerReader) first(at uint64) error {
	c, err := h.w.file.at(at, 16)
	if err != nil {
		return err
	}
	if h.version = c.u8(); h.version != 1 {
		return broken("version %d is unknown", h.version)
	}
	c.skip(1 + 2 + 4)
	return h.chunk(at+16, uint64(c.u32()))
}

// second reads a header of version 2.
func (h *headerReader) second(at uint64) error {
	c, err := h.w.file.at(at, 6)
	if err != nil {
		return err
	}
	c.skip(4)
	if h.version = c.u8(); h.version != 2 {
		return broken("version %d is unknown", h.version)
	}
	flags := c.u8()
	h.ordered = flags&(1<<2) != 0
	at += 6
	if flags&(1<<5) != 0 {
		at += 16 // times
	}
	if flags&(1<<4) != 0 {
		at += 4 // when attributes change how they are stored
	}
	width := uint64(1) << (flags & 3)
	if c, err = h.w.file.at(at, width); err != nil {
		return err
	}
	return h.chunk(at+width, c.uint(int(width)))
}

// chunk reads the messages of one chunk and goes on to those it names.
func (h *headerReader) chunk(at, size uint64) error {
	type span struct{ at, size uint64 }
	for todo := []span{{at, size}}; len(todo) > 0; todo = todo[1:] {
		at, size := todo[0].at, todo[0].size
		if h.seen[at] {
			return broken("the chunk at %d continues itself", at)
		}
		h.seen[at] = true
		c, err := h.w.file.at(at, size)
		if err != nil {
			return err
		}
		if h.version == 2 && len(h.seen) > 1 { // a continuation has a frame
			if size < 8 || string(c.bytes(4)) != "OCHK" {
				return broken("no continuation at %d", at)
			}
			c.b = c.b[:len(c.b)-4]
		}
		for {
			m, ok := h.take(c, at)
			if !ok {
				break
			}
			if err := h.w.place.Spend(costMessage); err != nil {
				return err
			}
			if len(h.messages) >= mostMessages {
				return fmt.Errorf("%w: %d messages in one header", errMost, mostMessages)
			}
			if c.short {
				return broken("a message at %d is longer than its chunk", m.at)
			}
			if m.kind != kindContinuation {
				if m.kind != 0 {
					h.messages = append(h.messages, m)
				}
				continue
			}
			next := h.w.file.over(m.data)
			todo = append(todo, span{next.address(), next.size()})
			if err := next.done("a continuation"); err != nil {
				return err
			}
			if len(todo)+len(h.seen) > mostChunks {
				return fmt.Errorf("%w: %d chunks in one header", errMost, mostChunks)
			}
		}
	}
	return nil
}

// take takes the next message. What is shorter than the head of a message at
// the end of a chunk is a gap.
func (h *headerReader) take(c *cursor, at uint64) (m message, ok bool) {
	var size int
	if h.version == 1 {
		if c.left() < 8 {
			return m, false
		}
		m.kind, size, m.flags = c.u16(), c.u16(), c.u8()
		c.skip(3)
	} else {
		need := 4
		if h.ordered {
			need = 6
		}
		if c.left() < need {
			return m, false
		}
		m.kind, size, m.flags = c.u8(), c.u16(), c.u8()
		if h.ordered {
			c.skip(2)
		}
	}
	m.at = int64(at) + int64(c.i)
	m.data = c.bytes(size)
	return m, true
}

// content returns what a message says, which may stand in another header (a
// committed datatype) or in the heap of shared messages (section IV.A.2,
// "Shared Message").
func (w *walker) content(kind int, shared bool, data []byte) ([]byte, error) {
	if !shared {
		return data, nil
	}
	c := w.file.over(data)
	version, where := c.u8(), c.u8()
	switch {
	case version == 1:
		c.skip(6 + w.file.length) // it is a symbol table entry
	case version == 2:
	case version == 3 && where == 1: // in the heap
		id := c.bytes(8)
		if err := c.done("a shared message"); err != nil {
			return nil, err
		}
		return w.sharedContent(kind, id)
	case version == 3:
	default:
		return nil, broken("version %d of a shared message is unknown", version)
	}
	at := c.address()
	if err := c.done("a shared message"); err != nil {
		return nil, err
	}
	messages, err := w.header(at)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if m.kind == kind && m.flags&flagShared == 0 {
			return m.data, nil
		}
	}
	return nil, broken("a shared message is not at %d", at)
}

// sharedContent returns a message that is in the heap for its kind.
func (w *walker) sharedContent(kind int, id []byte) ([]byte, error) {
	for _, s := range w.shared {
		if s.kinds&(1<<kind) == 0 || s.heap == undefined {
			continue
		}
		h, err := w.fractal(s.heap)
		if err != nil {
			return nil, err
		}
		return h.object(id)
	}
	return nil, broken("a message is shared through a heap that the file does not have")
}
