package image

import (
	"cmp"
	"slices"

	"github.com/apexlogic/apex/internal/media"
)

// Phones append more pictures to a JPEG: a gain map (Ultra HDR, ISO 21496-1), a
// preview, a depth map. A directory in the first one names them (CIPA DC-007,
// Multi-Picture Format). Each is an image of its own, and held to the same.

// Tags of the directory.
const (
	tagPictures = 0xb001 // how many there are
	tagEntries  = 0xb002
	entryBytes  = 16
)

// picture is an entry of the directory: where in the file a picture stands.
type picture struct{ from, size int64 }

// directory reads the directory of pictures. From is where in the file its bytes
// begin, which is what its offsets count from.
func (w *jpeg) directory(from int64, data []byte) error {
	t, first, ok := openTIFF(data)
	if !ok {
		return w.Malformed("the directory of pictures (MPF) cannot be read")
	}
	var count uint32
	var entries []byte
	t.directory(first, func(e entry) {
		switch e.tag {
		case tagPictures:
			count, _ = t.number(e, 0)
		case tagEntries:
			entries = e.values
		}
	})
	switch {
	case t.bad:
		return w.Malformed("the directory of pictures (MPF) names bytes outside of itself")
	case entries == nil && count == 0:
		return nil // says something about this picture alone
	case w.inner || w.pictures != nil:
		return w.Malformed("a picture that a directory names (MPF) has another directory")
	case len(entries) == 0 || len(entries)%entryBytes != 0 || int64(count) != int64(len(entries)/entryBytes):
		return w.Malformed("the directory of pictures (MPF) declares %d, and has %d bytes about them", count, len(entries))
	case int64(count) > int64(w.Limits.Frames):
		return w.Over("there are %d pictures in one file, allowed are %d", count, w.Limits.Frames)
	}
	for ; len(entries) > 0; entries = entries[entryBytes:] {
		p := picture{from: int64(t.order.Uint32(entries[8:])), size: int64(t.order.Uint32(entries[4:]))}
		if w.pictures != nil || p.from != 0 { // the first one is the file's beginning
			p.from += from
		}
		w.pictures = append(w.pictures, p)
	}
	if len(w.pictures) > 1 {
		w.part.Carries |= media.Thumbnail
	}
	return nil
}

// others reads the pictures that follow the first one. The directory has to name
// all that follows, one after the other without anything in between, so that no
// reader finds another picture than those that were looked at.
func (w *jpeg) others() error {
	if w.pictures == nil {
		return nil
	}
	if p := w.pictures[0]; p.from != 0 || p.size != w.Offset() {
		return w.Malformed("the directory of pictures (MPF) says that the first one ends at byte %d, and it ends at %d", p.from+p.size, w.Offset())
	}
	slices.SortFunc(w.pictures[1:], func(a, b picture) int { return cmp.Compare(a.from, b.from) })
	pixels := w.part.Pixels()
	for _, p := range w.pictures[1:] {
		if p.from != w.Offset() {
			return w.Polyglot("the directory of pictures (MPF) names one at byte %d, and the one before it ends at %d", p.from, w.Offset())
		}
		if b, err := w.Peek(3); err != nil {
			return err
		} else if len(b) < 3 || b[0] != 0xff || b[1] != mSOI || b[2] != 0xff {
			return w.Malformed("at byte %d stands no picture, which a directory (MPF) names", p.from)
		}
		inner := media.Part{Kind: w.part.Kind}
		next := &jpeg{Reader: w.Reader, part: &inner, inner: true}
		if err := next.image(); err != nil {
			return err
		}
		if end := w.Offset(); end != p.from+p.size {
			return w.Malformed("the directory of pictures (MPF) says that one ends at byte %d, and it ends at %d", p.from+p.size, end)
		}
		w.part.Carries |= inner.Carries
		if pixels += inner.Pixels(); pixels > w.Limits.AllPixels {
			return w.Over("all pictures together have more than %d pixels", w.Limits.AllPixels)
		}
	}
	return nil
}
