package video

import (
	"encoding/binary"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

func isAVI(head []byte) bool {
	return len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "AVI "
}

// avi is the walk of one file.
type avi struct {
	*format.Reader
	part          *media.Part
	depth         int
	width, height int64
	frames        int64
	movie         bool
	kind          string // of the stream whose header was read
	pictures      bool
}

// aviDepth bounds lists in lists: RIFF, hdrl, strl, and one for makers.
const aviDepth = 4

func walkAVI(r *format.Reader, p *media.Part) error {
	w := &avi{Reader: r, part: p}
	n, err := r.Riff("AVI ")
	if err != nil {
		return err
	}
	if err := r.RIFF(n, w.chunk); err != nil {
		return err
	}
	for { // OpenDML goes on in more RIFF files
		h, err := r.Peek(12)
		if err != nil {
			return err
		}
		if len(h) < 12 || string(h[:4]) != "RIFF" || string(h[8:]) != "AVIX" {
			break
		}
		if n, err = r.Riff("AVIX"); err != nil {
			return err
		}
		if err := r.RIFF(n, w.chunk); err != nil {
			return err
		}
	}
	if !w.movie || !w.pictures || w.frames == 0 {
		return r.Malformed("there are no pictures")
	}
	return r.End()
}

func (w *avi) chunk(id string, size int64) error {
	switch {
	case id == "LIST":
		return w.list(size)
	case id == "avih" || id == "strh":
		return w.header(id, size)
	case id == "strf" && w.kind == "vids":
		return w.picture(size)
	case len(id) == 4 && (id[2:] == "db" || id[2:] == "dc"):
		w.frames++
		return w.Picture(w.part, w.width, w.height, w.frames)
	case id == "strd" || id == "strn" || id == "IDIT" || id == "ISMP":
		text, whole, err := w.Keep(size)
		if !whole {
			format.Unread(w.part)
		}
		format.Comment(w.part, text)
		return err
	}
	return nil
}

func (w *avi) list(size int64) error {
	if size < 4 {
		return w.Malformed("a list has no kind")
	}
	kind, err := w.Next(4)
	if err != nil {
		return err
	}
	switch string(kind) {
	case "movi":
		w.movie = true
		if w.width == 0 {
			return w.Malformed("pictures come before their size")
		}
	case "INFO":
		text, whole, err := w.Keep(size - 4)
		if !whole {
			format.Unread(w.part)
		}
		format.Comment(w.part, text)
		return err
	}
	if w.depth++; w.depth > aviDepth {
		return w.Malformed("lists stand in each other more than %d deep", aviDepth)
	}
	defer func() { w.depth-- }()
	return w.RIFF(size-4, w.chunk)
}

func (w *avi) header(id string, size int64) error {
	if size < 48 || size > format.Reach {
		return w.Malformed("a header %s is not one", id)
	}
	d, err := w.Next(48)
	if err != nil {
		return err
	}
	field := func(at int) int64 { return int64(binary.LittleEndian.Uint32(d[at:])) }
	if id == "avih" {
		const second = 1_000_000 // in the header's unit
		w.width, w.height = field(32), field(36)
		if err := w.Picture(w.part, w.width, w.height, field(16)); err != nil {
			return err
		}
		return w.Lasts(w.part, field(0)*field(16), second)
	}
	w.kind = string(d[:4])
	scale, rate, length := field(20), field(24), field(32)
	if scale == 0 || rate == 0 {
		return w.Malformed("a stream does not say how long it is")
	}
	return w.Lasts(w.part, length*scale, rate)
}

// picture reads a stream's own size, which is the one that its codec takes.
func (w *avi) picture(size int64) error {
	if size < 40 {
		return w.Malformed("a stream of pictures has no size")
	}
	d, err := w.Next(12)
	if err != nil {
		return err
	}
	width, height := int64(int32(binary.LittleEndian.Uint32(d[4:]))), int64(int32(binary.LittleEndian.Uint32(d[8:])))
	w.pictures = true
	if height = max(height, -height); width*height > w.width*w.height {
		w.width, w.height = width, height
	}
	if width <= 0 || height <= 0 {
		return w.Malformed("a stream of pictures has no size")
	}
	return w.Picture(w.part, w.width, w.height, int64(w.part.Frames))
}
