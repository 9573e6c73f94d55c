package audio

import (
	"encoding/binary"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

func isWAV(head []byte) bool {
	return len(head) >= 12 && (string(head[:4]) == "RIFF" || string(head[:4]) == "RF64") && string(head[8:12]) == "WAVE"
}

// Codecs of the chunk fmt.
const (
	wavPCM, wavFloat, wavALaw, wavMuLaw, wavExtensible = 1, 3, 6, 7, 0xfffe
)

// wav is the walk of one file.
type wav struct {
	*format.Reader
	part *media.Part

	described      bool
	codec          uint16
	rate, channels int64
	perSecond      int64
	block          int64
	bits           int64
	data           int64 // bytes; -1 before
	long           int64 // of RF64: the length of the data
}

func walkWAV(r *format.Reader, p *media.Part) error {
	w := &wav{Reader: r, part: p, data: -1, long: -1}
	h, err := r.Next(12)
	if err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(h[4:])) - 4
	if string(h[:4]) == "RF64" {
		// The chunk ds64 comes first and holds the sizes that do not fit elsewhere.
		if n != 1<<32-1-4 {
			return r.Malformed("RF64 with a length in the place of RIFF's")
		}
		if h, err = r.Next(8 + 28); err != nil {
			return err
		}
		size := int64(binary.LittleEndian.Uint32(h[4:]))
		all, data := binary.LittleEndian.Uint64(h[8:]), binary.LittleEndian.Uint64(h[16:])
		if string(h[:4]) != "ds64" || size < 28 || size > format.Reach || all > 1<<62 || data > 1<<62 {
			return r.Malformed("RF64 without its sizes")
		}
		if err := r.Skip(size - 28 + size&1); err != nil {
			return err
		}
		n, w.long = int64(all)-4-8-size-size&1, int64(data)
		if w.long >= 1<<32-1 {
			return r.Over("the audio has %d bytes, allowed are %d", w.long, r.Limits.PartBytes)
		}
	}
	if n < 0 {
		return r.Malformed("the file's length is none")
	}
	if w.long >= 0 {
		err = w.rf64(n)
	} else {
		err = r.RIFF(n, w.chunk)
	}
	if err != nil {
		return err
	}
	if w.data < 0 {
		return r.Malformed("there are no samples")
	}
	return r.End()
}

// rf64 walks the chunks, of which that of the data has its size elsewhere.
func (w *wav) rf64(n int64) error {
	end := w.Offset() + n
	for w.Offset() < end {
		h, err := w.Peek(8)
		if err != nil {
			return err
		}
		if len(h) < 8 {
			return w.Truncated()
		}
		if string(h[:4]) != "data" {
			size := int64(binary.LittleEndian.Uint32(h[4:]))
			size = min(8+size+size&1, end-w.Offset())
			if err := w.RIFF(size, w.chunk); err != nil {
				return err
			}
			continue
		}
		w.Advance(8)
		if w.long > end-w.Offset() {
			return w.Truncated()
		}
		if err := w.samples(w.long); err != nil {
			return err
		}
		if err := w.Skip(min(w.long+w.long&1, end-w.Offset())); err != nil {
			return err
		}
	}
	return nil
}

func (w *wav) chunk(id string, size int64) error {
	switch id {
	case "fmt ":
		return w.describe(size)
	case "data":
		return w.samples(size)
	case "LIST":
		if size < 4 {
			return w.Malformed("a list has no kind")
		}
		kind, err := w.Next(4)
		if err != nil {
			return err
		}
		if string(kind) != "INFO" {
			return nil
		}
		text, whole, err := w.Keep(size - 4)
		if err == nil && !whole {
			format.Unread(w.part)
		}
		if len(text) > 0 && !encoderOnly(text) {
			format.Comment(w.part, text)
		}
		return err
	case "fact", "cue ", "plst", "smpl", "inst", "acid", "PEAK", "JUNK", "junk", "PAD ", "FLLR", "chna", "ds64":
		return nil
	case "id3 ", "ID3 ":
		return w.tag(size)
	case "_PMX":
		packet, whole, err := w.Keep(size)
		if err == nil && !whole {
			format.Unread(w.part)
		}
		format.XMP(w.part, packet)
		return err
	}
	format.Comment(w.part, nil) // bext, iXML, a maker's own
	return nil
}

// encoderOnly reports whether a list holds nothing but the encoder's name.
func encoderOnly(text []byte) bool {
	return len(text) >= 8 && string(text[:4]) == "ISFT" && int(binary.LittleEndian.Uint32(text[4:]))+8+1 >= len(text)
}

// tag reads an ID3 tag in a chunk.
func (w *wav) tag(size int64) error {
	d, whole, err := w.Keep(size)
	if err == nil {
		if whole {
			id3(w.part, d)
		} else {
			format.Unread(w.part)
			w.part.Carries |= media.Attachment
		}
	}
	return err
}

// describe reads the chunk fmt.
func (w *wav) describe(size int64) error {
	if w.described || size < 16 || size > format.Reach {
		return w.Malformed("the audio is described twice, or not as WAV does")
	}
	d, err := w.Next(int(size))
	if err != nil {
		return err
	}
	field := func(at int) int64 { return int64(binary.LittleEndian.Uint16(d[at:])) }
	w.described, w.codec = true, uint16(field(0))
	w.channels, w.rate = field(2), int64(binary.LittleEndian.Uint32(d[4:]))
	w.perSecond, w.block, w.bits = int64(binary.LittleEndian.Uint32(d[8:])), field(12), field(14)
	if w.codec == wavExtensible {
		if size < 40 {
			return w.Malformed("the audio's description is cut off")
		}
		w.codec = uint16(field(24))
	}
	switch w.codec {
	case wavPCM, wavFloat, wavALaw, wavMuLaw:
		if w.bits == 0 || w.bits > 64 || w.block != w.channels*((w.bits+7)/8) || w.perSecond != w.rate*w.block {
			return w.Malformed("the audio declares %d bytes a second, its samples make %d", w.perSecond, w.rate*w.block)
		}
	default: // packed by some codec: the bytes a second are what there is to go by
		if w.block == 0 || w.perSecond == 0 {
			return w.Malformed("the audio does not say how long its bytes last")
		}
	}
	return w.Sound(w.part, w.rate, w.channels, 0)
}

// samples holds the data to the description.
func (w *wav) samples(size int64) error {
	if !w.described || w.data >= 0 {
		return w.Malformed("samples come twice, or before they are described")
	}
	w.data = size
	if w.codec == wavPCM || w.codec == wavFloat || w.codec == wavALaw || w.codec == wavMuLaw {
		return w.Sound(w.part, w.rate, w.channels, size/w.block)
	}
	// A codec could pack more than it says; 16 samples a byte are beyond those of WAV.
	const densest = 16
	if size > w.Limits.Samples/densest {
		return w.Over("the audio has %d packed bytes, allowed are %d samples", size, w.Limits.Samples)
	}
	if err := w.Sound(w.part, w.rate, w.channels, int64(float64(size)/float64(w.perSecond)*float64(w.rate))); err != nil {
		return err
	}
	return w.Lasts(w.part, size, w.perSecond)
}
