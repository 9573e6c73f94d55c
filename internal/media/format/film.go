package format

import (
	"encoding/binary"

	"github.com/apexlogic/apex/internal/media"
)

// Film walks a whole file of the ISO base media format: MP4, QuickTime, M4A.
// All boxes at the top are known ones, and what is fragmented is counted.
func (r *Reader) Film(p *media.Part) (*Movie, error) {
	b := &Boxes{Reader: r}
	m := &Movie{}
	var movie, data, fragments int64
	var dataEnd int64
	err := b.Walk(-1, func(box Box) error {
		at := b.Offset() - 8
		if box.ToEnd && box.Type != "mdat" {
			return b.Malformed("a box without a size is not the one of the data")
		}
		switch box.Type {
		case "ftyp":
			if at != 0 {
				return b.Polyglot("at byte %d another file begins", at)
			}
			if box.Size < 8 || box.Size > 1024 || box.Size%4 != 0 {
				return b.Malformed("the box of the file's type is not one")
			}
		case "moov":
			if movie++; movie > 1 {
				return b.Malformed("there are two boxes moov")
			}
			var err error
			m, err = b.Movie(box.Size, p)
			return err
		case "moof":
			fragments++
			return b.fragment(box, m)
		case "mdat":
			data++
			if dataEnd = b.Offset() + box.Size; box.ToEnd {
				dataEnd = 1 << 62
			}
		case "free", "skip", "wide", "styp", "sidx", "ssix", "mfra", "prft", "pdin", "emsg", "pnot":
		case "meta", "udta":
			return b.user(box, p, 0)
		case "uuid":
			Unread(p)
		default:
			return b.Polyglot("at byte %d stands a box that is none of a movie", at)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case movie == 0:
		return nil, r.Malformed("the file does not say what its data are")
	case data == 0 || !m.Samples && fragments == 0:
		return nil, r.Malformed("there are no samples")
	case !m.Pictures && !m.Sounds:
		return nil, r.Malformed("there is neither a track of pictures nor one of audio")
	case m.Reach >= min(r.total, dataEnd):
		return nil, r.Malformed("a sample at byte %d does not lie in the data", m.Reach)
	}
	for _, t := range m.tracks {
		if t.kind == "vide" {
			m.Frames = max(m.Frames, t.samples)
		}
		if err := r.Lasts(p, t.ticks, t.scale); err != nil {
			return nil, err
		}
	}
	if m.Pictures {
		return m, r.Picture(p, m.Width, m.Height, m.Frames)
	}
	return m, nil
}

// fragment counts what a box moof holds (section 8.8): the samples of all runs
// and how long they last, for the tracks that they are of.
func (b *Boxes) fragment(box Box, m *Movie) error {
	return b.Walk(box.Size, func(box Box) error {
		if box.Type != "traf" {
			return nil
		}
		var t *track
		usual := int64(0)
		return b.Walk(box.Size, func(box Box) error {
			switch box.Type {
			case "tfhd":
				d, err := b.Next(int(min(box.Size, 40)))
				if err != nil {
					return err
				}
				if len(d) < 8 || m.tracks[binary.BigEndian.Uint32(d[4:])] == nil {
					return b.Malformed("a fragment is of a track that was not described")
				}
				t = m.tracks[binary.BigEndian.Uint32(d[4:])]
				usual = t.usual
				flags, at := binary.BigEndian.Uint32(d), 8
				if flags&1 != 0 {
					at += 8
				}
				if flags&2 != 0 {
					at += 4
				}
				if flags&8 != 0 && len(d) >= at+4 {
					usual = int64(binary.BigEndian.Uint32(d[at:]))
				}
			case "trun":
				if t == nil {
					return b.Malformed("a fragment is of a track that was not described")
				}
				return b.run(box, usual, t)
			}
			return nil
		})
	})
}

// run reads one run of samples.
func (b *Boxes) run(box Box, usual int64, t *track) error {
	if box.Size < 8 {
		return b.Malformed("a run of samples is empty")
	}
	d, err := b.Next(8)
	if err != nil {
		return err
	}
	flags, count := binary.BigEndian.Uint32(d), int64(binary.BigEndian.Uint32(d[4:]))
	head, entry := int64(0), int64(0)
	for _, f := range []uint32{1, 4} {
		if flags&f != 0 {
			head += 4
		}
	}
	for _, f := range []uint32{0x100, 0x200, 0x400, 0x800} {
		if flags&f != 0 {
			entry += 4
		}
	}
	if count > maxStts || box.Size < 8+head+count*entry {
		return b.Malformed("a run declares %d samples, which do not fit", count)
	}
	if flags&0x100 == 0 {
		return b.add(t, count, usual)
	}
	if err := b.Skip(head); err != nil {
		return err
	}
	for range count {
		d, err := b.Next(int(entry))
		if err != nil {
			return err
		}
		if err := b.add(t, 1, int64(binary.BigEndian.Uint32(d))); err != nil {
			return err
		}
	}
	return nil
}
