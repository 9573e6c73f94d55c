package image

import (
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

// tiffSlack is how many bytes may follow the last one that something refers to.
const tiffSlack = 3

// walkTIFF holds the whole file, since its directories may stand at its end.
func walkTIFF(r *format.Reader, p *media.Part) error {
	data, err := r.All()
	if err != nil {
		return err
	}
	t, at, ok := openTIFF(data)
	if !ok {
		return r.Malformed("the header of the image is not one")
	}
	w := &tiffWalk{Reader: r, part: p, tiff: t}
	for at != 0 {
		if at, err = w.page(at, 0); err != nil {
			return err
		}
	}
	switch {
	case t.bad:
		return r.Malformed("a directory or a value does not lie in the file, or stands in a ring")
	case w.frames == 0:
		return r.Malformed("there are no pixels")
	case int64(len(data)) > t.reach+tiffSlack:
		return r.Polyglot("the content goes on after its end at byte %d", t.reach)
	}
	return nil
}

type tiffWalk struct {
	*format.Reader
	*tiff
	part          *media.Part
	width, height int64 // the largest
	frames        int64
}

// page reads one directory: an image, or one that belongs to it.
func (w *tiffWalk) page(at uint32, depth int) (next uint32, err error) {
	const deepest = 4
	if depth > deepest {
		return 0, w.Malformed("directories stand in each other more than %d deep", deepest)
	}
	var width, height uint32
	var offsets, lengths, below entry
	next = w.directory(at, func(e entry) {
		switch e.tag {
		case tagWidth:
			width, _ = w.number(e, 0)
		case tagHeight:
			height, _ = w.number(e, 0)
		case tagStrips, tagTiles:
			offsets = e
		case tagStripBytes, tagTileBytes:
			lengths = e
		case tagSubIFDs:
			below = e
		default:
			w.note(w.part, e)
		}
	})
	if w.bad {
		return 0, w.Malformed("a directory or a value does not lie in the file, or stands in a ring")
	}
	w.frames++
	if err := w.Picture(w.part, int64(width), int64(height), w.frames); err != nil {
		return 0, err
	}
	if w.width*w.height > int64(width)*int64(height) {
		if err := w.Picture(w.part, w.width, w.height, w.frames); err != nil {
			return 0, err
		}
	}
	w.width, w.height = int64(w.part.Width), int64(w.part.Height)
	if offsets.count == 0 || offsets.count != lengths.count {
		return 0, w.Malformed("the pixels have %d places and %d lengths", offsets.count, lengths.count)
	}
	for i := range int(offsets.count) {
		from, ok1 := w.number(offsets, i)
		n, ok2 := w.number(lengths, i)
		if !ok1 || !ok2 || int64(from)+int64(n) > int64(len(w.data)) {
			return 0, w.Malformed("pixels do not lie in the file")
		}
		w.reach = max(w.reach, int64(from)+int64(n))
	}
	for i := range int(below.count) {
		at, ok := w.number(below, i)
		if !ok {
			return 0, w.Malformed("a directory does not lie in the file")
		}
		for at != 0 {
			if at, err = w.page(at, depth+1); err != nil {
				return 0, err
			}
		}
	}
	return next, nil
}
