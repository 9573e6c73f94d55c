package image

import (
	"encoding/binary"
	"slices"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

// heifBrands are the brands of image files and the type that each stands for.
// mif1 and msf1 say that it is one, another brand says with which codec.
var heifBrands = map[string]string{
	"avif": "image/avif", "avis": "image/avif", "heic": "image/heic", "heix": "image/heic", "heim": "image/heic", "heis": "image/heic",
	"hevc": "image/heic", "hevx": "image/heic", "mif1": "", "msf1": "",
}

func isHEIF(head []byte) bool {
	if len(head) < 16 || string(head[4:8]) != "ftyp" {
		return false
	}
	_, known := heifBrands[string(head[8:12])]
	return known
}

// heif is the walk of one file.
type heif struct {
	format.Boxes
	part  *media.Part
	metas int
	data  bool
	names map[uint32]string // of the items that carry something
	spans []span            // of those items, as far as they lie ahead in the file
	items int
}

type span struct {
	at, n int64
	name  string
}

func walkHEIF(r *format.Reader, p *media.Part) error {
	w := &heif{Boxes: format.Boxes{Reader: r}, part: p, names: map[uint32]string{}}
	first := true
	err := w.Walk(-1, func(b format.Box) error {
		if first != (b.Type == "ftyp") {
			return w.Malformed("the file does not begin with its type, or has two")
		}
		first = false
		if b.ToEnd && b.Type != "mdat" {
			return w.Malformed("a box without a size is not the one of the data")
		}
		switch b.Type {
		case "ftyp":
			return w.brands(b.Size)
		case "meta":
			if w.metas++; w.metas > 1 {
				return w.Malformed("there are two boxes meta")
			}
			return w.meta(b.Size)
		case "moov":
			m, err := w.Movie(b.Size, p)
			if err == nil && m.Frames > 0 {
				err = w.Picture(p, max(m.Width, int64(p.Width)), max(m.Height, int64(p.Height)), m.Frames)
			}
			return err
		case "mdat":
			w.data = true
			return w.mdat(b)
		case "free", "skip":
			return nil
		case "uuid":
			format.Unread(p)
			return nil
		}
		return w.Polyglot("behind the image, at byte %d, stands a box that is none of it%s", w.Offset()-8, map[bool]string{true: ": a motion photo's video"}[b.Type == "mpvd"])
	})
	switch {
	case err != nil:
		return err
	case p.Width == 0 || !w.data && w.items > 0:
		return w.Malformed("there are no pixels")
	case len(w.names) > 0: // not all were found where they could be read
		format.Unread(p)
	}
	return nil
}

func (w *heif) brands(size int64) error {
	if size < 8 || size > 1024 || size%4 != 0 {
		return w.Malformed("the box of the file's type is not one")
	}
	b, err := w.Next(int(size))
	if err != nil {
		return err
	}
	kind := heifBrands[string(b[:4])]
	for i := 8; i < len(b) && kind == ""; i += 4 {
		kind = heifBrands[string(b[i:i+4])]
	}
	if kind == "" {
		return w.Malformed("the file does not say by what its pixels are coded")
	}
	w.part.Type = kind
	return nil
}

func (w *heif) meta(size int64) error {
	if size < 4 {
		return w.Malformed("the box meta is empty")
	}
	if err := w.Skip(4); err != nil {
		return err
	}
	return w.Walk(size-4, func(b format.Box) error {
		switch b.Type {
		case "hdlr":
			d, _, err := w.Keep(b.Size)
			if err == nil && (len(d) < 12 || string(d[8:12]) != "pict") {
				err = w.Malformed("the box meta is not that of an image")
			}
			return err
		case "iprp":
			return w.Walk(b.Size, func(b format.Box) error {
				if b.Type != "ipco" {
					return nil
				}
				return w.Walk(b.Size, w.property)
			})
		case "iinf":
			return w.infos(b.Size)
		case "iloc":
			d, whole, err := w.Keep(b.Size)
			if err == nil && whole {
				w.places(d)
			}
			return err
		case "idat":
			w.data = true
		}
		return nil
	})
}

// property reads the size of an item; the largest one is the image's.
func (w *heif) property(b format.Box) error {
	if b.Type != "ispe" {
		return nil
	}
	if b.Size != 12 {
		return w.Malformed("an item's size is not one")
	}
	d, err := w.Next(12)
	if err != nil {
		return err
	}
	width, height := int64(binary.BigEndian.Uint32(d[4:])), int64(binary.BigEndian.Uint32(d[8:]))
	before := *w.part
	if err := w.Picture(w.part, width, height, 1); err != nil {
		return err
	}
	if before.Pixels() > w.part.Pixels() {
		w.part.Width, w.part.Height = before.Width, before.Height
	}
	return nil
}

// infos reads what the items are.
func (w *heif) infos(size int64) error {
	h, err := w.Next(6)
	if err != nil {
		return err
	}
	head := int64(6)
	if h[0] != 0 { // the count has four bytes then
		if _, err := w.Next(2); err != nil {
			return err
		}
		head = 8
	}
	if size < head {
		return w.Malformed("the list of items is not one")
	}
	return w.Walk(size-head, func(b format.Box) error {
		if b.Type != "infe" || b.Size < 12 {
			return w.Malformed("an item is not described")
		}
		if w.items++; w.items > w.Limits.Entries {
			return w.Over("there are more than %d items", w.Limits.Entries)
		}
		d, err := w.Next(12)
		if err != nil {
			return err
		}
		id, kind := uint32(binary.BigEndian.Uint16(d[4:])), string(d[8:12])
		if d[0] == 3 {
			if b.Size < 14 {
				return w.Malformed("an item is not described")
			}
			id = binary.BigEndian.Uint32(d[4:])
			more, err := w.Peek(2)
			if err != nil || len(more) < 2 {
				return w.Truncated()
			}
			kind = string(d[10:12]) + string(more)
		}
		if kind == "Exif" || kind == "mime" || kind == "uri " {
			w.names[id] = kind
		}
		return nil
	})
}

// places reads where the items lie (ISO/IEC 14496-12 section 8.11.3), for those
// that carry something and lie in one piece of the file.
func (w *heif) places(d []byte) {
	if len(d) < 8 || d[0] > 2 {
		return
	}
	version := d[0]
	offsets, lengths, bases, indices := int(d[4]>>4), int(d[4]&15), int(d[5]>>4), int(d[5]&15)
	d = d[6:]
	number := func(n int) (v uint64) {
		if n > len(d) || n > 8 {
			d = nil
			return 0
		}
		for _, c := range d[:n] {
			v = v<<8 | uint64(c)
		}
		d = d[n:]
		return v
	}
	wide := 2
	if version == 2 {
		wide = 4
	}
	if version == 0 {
		indices = 0
	}
	for count := number(wide); count > 0 && len(d) > 0; count-- {
		id, method := uint32(number(wide)), uint64(0)
		if version > 0 {
			method = number(2) & 15
		}
		number(2)
		base := number(bases)
		extents := number(2)
		for i := uint64(0); i < extents && len(d) > 0; i++ {
			number(indices)
			s := span{at: int64(base + number(offsets)), n: int64(number(lengths)), name: w.names[id]}
			if s.name != "" && method == 0 && extents == 1 && s.n > 0 && s.n <= format.Kept && s.at > w.Offset() {
				w.spans = append(w.spans, s)
				delete(w.names, id) // each once
			}
		}
	}
}

// mdat passes over the data, and reads the items that carry something.
func (w *heif) mdat(b format.Box) error {
	slices.SortFunc(w.spans, func(x, y span) int { return int(min(max(x.at-y.at, -1), 1)) })
	end := w.Offset() + b.Size
	for _, s := range w.spans {
		if s.at < w.Offset() || s.at > end-s.n {
			format.Unread(w.part)
			continue
		}
		if err := w.Skip(s.at - w.Offset()); err != nil {
			return err
		}
		d, _, err := w.Keep(s.n)
		if err != nil {
			return err
		}
		if s.name != "Exif" {
			format.XMP(w.part, d)
			continue
		}
		// Four bytes say where behind them the header is.
		if from := int64(4); len(d) > 4 {
			from += int64(binary.BigEndian.Uint32(d))
			exif(w.part, d[min(from, int64(len(d))):])
		}
	}
	w.spans = nil
	return nil
}
