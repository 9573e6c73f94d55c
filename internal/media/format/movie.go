package format

import (
	"encoding/binary"

	"github.com/apexlogic/apex/internal/media"
)

// Movie is what the boxes moov and moof say.
type Movie struct {
	// Width and Height are those of the largest picture track, Frames the
	// samples of the track that has most of them.
	Width, Height, Frames int64
	Pictures              bool   // there is a track of pictures
	Sounds                bool   // there is a track of audio
	Codec                 string // of the audio
	Fragmented            bool   // samples stand in boxes moof
	Samples               bool   // there is a sample at all
	// Reach is the end of the last chunk of samples that a table names.
	Reach int64
	// tracks by their id, for the fragments that refer to them.
	tracks map[uint32]*track
}

const (
	maxTracks = 64
	maxStts   = 1 << 20 // entries of a table of sample times
)

// track is one track while it is read.
type track struct {
	id            uint32
	kind          string // of its handler
	usual         int64  // ticks of a sample of a fragment that does not say
	scale, length int64
	width, height int64
	rate          int64
	channels      int64
	codec         string
	samples       int64
	ticks         int64
}

// containers are boxes that hold boxes and nothing else.
var containers = map[string]bool{"mdia": true, "minf": true, "stbl": true, "edts": true, "mvex": true, "dinf": true, "gmhd": true}

// Movie walks a box moov (section 8.2), and notes in the part how long it is
// and what it carries beside pictures and sound.
func (b *Boxes) Movie(size int64, p *media.Part) (*Movie, error) {
	m := &Movie{tracks: map[uint32]*track{}}
	usual := map[uint32]int64{}
	tracks := 0
	err := b.Walk(size, func(box Box) error {
		switch box.Type {
		case "mvhd":
			length, scale, err := b.times(box)
			if err != nil {
				return err
			}
			return b.Lasts(p, length, scale)
		case "trak":
			if tracks++; tracks > maxTracks {
				return b.Over("there are more than %d tracks", maxTracks)
			}
			return b.track(box, p, m)
		case "mvex":
			m.Fragmented = true
			return b.Walk(box.Size, func(box Box) error {
				if box.Type != "trex" {
					return nil
				}
				d, err := b.Next(int(min(box.Size, 24)))
				if err == nil && len(d) < 24 {
					err = b.Malformed("a track's defaults are not all there")
				}
				if err == nil && len(usual) < maxTracks {
					usual[binary.BigEndian.Uint32(d[4:])] = int64(binary.BigEndian.Uint32(d[12:]))
				}
				return err
			})
		case "udta", "meta":
			return b.user(box, p, 0)
		case "uuid":
			Unread(p)
		}
		return nil
	})
	for id, t := range m.tracks {
		t.usual = usual[id]
	}
	return m, err
}

// times reads the scale and the length of mvhd and mdhd, which share them.
func (b *Boxes) times(box Box) (length, scale int64, err error) {
	d, err := b.Next(int(min(box.Size, 32)))
	if err != nil {
		return 0, 0, err
	}
	switch {
	case len(d) >= 32 && d[0] == 1:
		scale, length = int64(binary.BigEndian.Uint32(d[20:])), int64(binary.BigEndian.Uint64(d[24:]))
		if length == -1 {
			length = 0 // not known
		}
	case len(d) >= 20 && d[0] == 0:
		scale, length = int64(binary.BigEndian.Uint32(d[12:])), int64(binary.BigEndian.Uint32(d[16:]))
		if length == 1<<32-1 {
			length = 0
		}
	default:
		return 0, 0, b.Malformed("a box %s is not one", box.Type)
	}
	if scale == 0 || length < 0 {
		return 0, 0, b.Malformed("a duration has no scale")
	}
	return length, scale, nil
}

func (b *Boxes) track(box Box, p *media.Part, m *Movie) error {
	t := &track{}
	if err := b.Walk(box.Size, func(box Box) error { return b.trackBox(box, p, m, t) }); err != nil {
		return err
	}
	if t.scale == 0 || t.kind == "" {
		return b.Malformed("a track has no kind or no duration")
	}
	if err := b.Lasts(p, max(t.ticks, t.length), t.scale); err != nil {
		return err
	}
	m.Samples = m.Samples || t.samples > 0
	m.tracks[t.id] = t
	switch t.kind {
	case "vide", "pict":
		m.Pictures = true
		m.Frames = max(m.Frames, t.samples)
		if t.width*t.height > m.Width*m.Height {
			m.Width, m.Height = t.width, t.height
		}
		return b.Picture(p, m.Width, m.Height, m.Frames)
	case "soun":
		m.Sounds, m.Codec = true, t.codec
		if t.rate == 0 { // more than 65,535 a second do not fit in its field
			t.rate = t.scale
		}
		// The duration bounds the samples: a table's entry may stand for many.
		length := max(t.ticks, t.length)
		if t.rate > 0 && length/t.scale > b.Limits.Samples/t.rate {
			return b.Over("the audio lasts %d s at %d samples a second", length/t.scale, t.rate)
		}
		return b.Sound(p, t.rate, t.channels, int64(float64(length)/float64(t.scale)*float64(t.rate)))
	case "meta", "camm", "gpmd":
		p.Carries |= media.Location | media.Personal // what a camera measured, time by time
	}
	return nil
}

func (b *Boxes) trackBox(box Box, p *media.Part, m *Movie, t *track) error {
	if containers[box.Type] {
		return b.Walk(box.Size, func(box Box) error { return b.trackBox(box, p, m, t) })
	}
	switch box.Type {
	case "tkhd":
		d, err := b.Next(int(min(box.Size, 24)))
		if err != nil {
			return err
		}
		if len(d) < 24 {
			return b.Malformed("a track has no header")
		}
		if t.id = binary.BigEndian.Uint32(d[12:]); d[0] == 1 {
			t.id = binary.BigEndian.Uint32(d[20:])
		}
		if m.tracks[t.id] != nil {
			return b.Malformed("two tracks have the same number")
		}
	case "mdhd":
		var err error
		t.length, t.scale, err = b.times(box)
		return err
	case "hdlr":
		d, err := b.Next(int(min(box.Size, 12)))
		if err != nil {
			return err
		}
		if len(d) < 12 {
			return b.Malformed("a track's kind is not said")
		}
		if t.kind == "" { // QuickTime has a second one, of the data
			t.kind = string(d[8:12])
		}
	case "stsd":
		return b.descriptions(box, t)
	case "stts":
		return b.table(box, 8, func(d []byte) error {
			n, delta := int64(binary.BigEndian.Uint32(d)), int64(binary.BigEndian.Uint32(d[4:]))
			return b.add(t, n, delta)
		})
	case "stsz":
		return b.sizes(box)
	case "stco":
		return b.table(box, 4, func(d []byte) error {
			m.Reach = max(m.Reach, int64(binary.BigEndian.Uint32(d)))
			return nil
		})
	case "co64":
		return b.table(box, 8, func(d []byte) error {
			if binary.BigEndian.Uint64(d) > 1<<62 {
				return b.Malformed("a sample does not lie in the file")
			}
			m.Reach = max(m.Reach, int64(binary.BigEndian.Uint64(d)))
			return nil
		})
	case "udta", "meta":
		return b.user(box, p, 0)
	case "uuid":
		Unread(p)
	}
	return nil
}

// add adds samples to a track, as long as they can be counted.
func (b *Boxes) add(t *track, n, delta int64) error {
	const most = 1 << 40
	if delta > 0 && n > most/delta || t.samples+n > most || t.ticks+n*delta > most {
		return b.Over("a track has more samples than there can be")
	}
	t.samples += n
	t.ticks += n * delta
	return nil
}

// table reads a full box with a count and entries of n bytes, which have to
// fill it.
func (b *Boxes) table(box Box, n int64, each func([]byte) error) error {
	if box.Size < 8 {
		return b.Malformed("a table %s is empty", box.Type)
	}
	h, err := b.Next(8)
	if err != nil {
		return err
	}
	count := int64(binary.BigEndian.Uint32(h[4:]))
	if count > maxStts || count*n > box.Size-8 {
		return b.Malformed("a table %s declares %d entries, which do not fit", box.Type, count)
	}
	for range count {
		d, err := b.Next(int(n))
		if err != nil {
			return err
		}
		if err := each(d); err != nil {
			return err
		}
	}
	return nil
}

// sizes holds the table of sizes to the bytes that there can be.
func (b *Boxes) sizes(box Box) error {
	if box.Size < 12 {
		return b.Malformed("a table stsz is empty")
	}
	h, err := b.Next(12)
	if err != nil {
		return err
	}
	each, count := int64(binary.BigEndian.Uint32(h[4:])), int64(binary.BigEndian.Uint32(h[8:]))
	if each == 0 && count*4 > box.Size-12 {
		return b.Malformed("a table stsz declares %d entries, which do not fit", count)
	}
	if each*count > b.Limits.PartBytes {
		return b.Malformed("a track declares %d samples of %d bytes, which no content of this size holds", count, each)
	}
	all := each * count
	for range min(count, (box.Size-12)/4) {
		if each != 0 {
			break
		}
		d, err := b.Next(4)
		if err != nil {
			return err
		}
		if all += int64(binary.BigEndian.Uint32(d)); all > b.Limits.PartBytes {
			return b.Malformed("a track declares samples of more than %d bytes, which no content here holds", b.Limits.PartBytes)
		}
	}
	return nil
}

// descriptions reads the first codec of a track (sections 12.1.3 and 12.2.3).
func (b *Boxes) descriptions(box Box, t *track) error {
	if box.Size < 16 {
		return b.Malformed("a track says no codec")
	}
	h, err := b.Next(8)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint32(h[4:]) == 0 {
		return b.Malformed("a track says no codec")
	}
	return b.Walk(box.Size-8, func(box Box) error {
		t.codec = box.Type
		switch t.kind {
		case "vide", "pict":
			d, err := b.Next(int(min(box.Size, 28)))
			if err != nil {
				return err
			}
			if len(d) < 28 {
				return b.Malformed("a track of pictures has no size")
			}
			width, height := int64(binary.BigEndian.Uint16(d[24:])), int64(binary.BigEndian.Uint16(d[26:]))
			if width*height > t.width*t.height {
				t.width, t.height = width, height
			}
		case "soun":
			d, err := b.Next(int(min(box.Size, 28)))
			if err != nil {
				return err
			}
			if len(d) < 28 {
				return b.Malformed("a track of audio has no rate")
			}
			t.channels, t.rate = int64(binary.BigEndian.Uint16(d[16:])), int64(binary.BigEndian.Uint16(d[24:]))
			if binary.BigEndian.Uint16(d[8:]) == 2 { // QuickTime's version 2: a float and a count follow
				more, err := b.Peek(20)
				if err != nil || len(more) < 20 || box.Size < 48 {
					return b.Malformed("a track of audio has no rate")
				}
				t.rate, t.channels = float(binary.BigEndian.Uint64(more[4:])), int64(binary.BigEndian.Uint32(more[12:]))
			}
		}
		return nil
	})
}

// user notes what user data and metadata carry: QuickTime's ©xyz, 3GPP's loci,
// the keys and lists of Apple's metadata.
func (b *Boxes) user(box Box, p *media.Part, depth int) error {
	size := box.Size
	if size < 8 {
		return nil // QuickTime ends user data with a zero
	}
	if box.Type == "meta" {
		// ISO has four bytes before the first box, QuickTime has not.
		d, err := b.Peek(8)
		if err != nil {
			return err
		}
		if len(d) == 8 && string(d[4:8]) != "hdlr" {
			if err := b.Skip(4); err != nil {
				return err
			}
			size -= 4
		}
	}
	d, whole, err := b.Keep(size)
	switch {
	case err != nil:
		return err
	case !whole:
		Unread(p)
		return nil
	}
	userData(d, p, depth)
	return nil
}
