package audio

import (
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

// mpegRates are the rates in bits a second, in thousands, by what version and
// layer make of them (ISO/IEC 11172-3 2.4.2.3, 13818-3 2.4.2.3).
var mpegRates = [5][16]int16{
	{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448, -1}, // 1, layer I
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, -1},    // 1, layer II
	{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, -1},     // 1, layer III
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256, -1},    // 2, layer I
	{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, -1},         // 2, layers II and III
}

// mpegHeader is the header of a frame.
type mpegHeader struct {
	same    [2]byte // what is the same in all frames of a file: version, layer, rate
	rate    int64
	samples int64
	size    int64 // of the whole frame
}

// readMPEG reads a frame's header. Free format, without a rate of bits, is not
// taken: its frames have no length.
func readMPEG(h []byte) (m mpegHeader, ok bool) {
	if len(h) < 4 || h[0] != 0xff || h[1]&0xe0 != 0xe0 {
		return m, false
	}
	version, layer := h[1]>>3&3, 4-h[1]>>1&3 // 0: 2.5, 2: 2, 3: 1
	if layer == 4 || version == 1 || h[2]&0x0c == 0x0c || h[3]&3 == 2 {
		return m, false
	}
	row := int(layer) - 1
	if version != 3 {
		row = 3 + min(row, 1)
	}
	bits := int64(mpegRates[row][h[2]>>4]) * 1000
	if bits <= 0 {
		return m, false
	}
	m.rate = [3]int64{44100, 48000, 32000}[h[2]>>2&3]
	switch version {
	case 2:
		m.rate /= 2
	case 0:
		m.rate /= 4
	}
	padding := int64(h[2] >> 1 & 1)
	switch {
	case layer == 1:
		m.samples = 384
		m.size = (12*bits/m.rate + padding) * 4
	case layer == 3 && version != 3:
		m.samples = 576
		m.size = 72*bits/m.rate + padding
	default:
		m.samples = 1152
		m.size = 144*bits/m.rate + padding
	}
	m.same = [2]byte{h[1] &^ 1, h[2] & 0x0c}
	return m, m.size > 4
}

// isMP3 recognises two frames that follow each other, or one that is all.
func isMP3(head []byte) bool {
	m, ok := readMPEG(head)
	if !ok {
		return false
	}
	if int64(len(head)) < m.size+4 { // a frame is never as long as the head
		return int64(len(head)) == m.size
	}
	n, ok := readMPEG(head[m.size:])
	return ok && n.same == m.same || string(head[m.size:m.size+3]) == "TAG"
}

func isTagged(head []byte) bool {
	return len(head) >= id3Header && string(head[:3]) == "ID3" && head[3] >= 2 && head[3] <= 4
}

// walkTagged reads the tag, and then what it stands before.
func walkTagged(r *format.Reader, p *media.Part) error {
	if err := readID3(r, p); err != nil {
		return err
	}
	h, err := r.Peek(format.Head)
	if err != nil {
		return err
	}
	switch {
	case isADTS(h):
		p.Type = "audio/aac"
		return walkADTS(r, p)
	case isFLAC(h):
		return r.Polyglot("before the FLAC stream stands a tag, which it has no place for")
	}
	return walkMP3(r, p)
}

func walkMP3(r *format.Reader, p *media.Part) error {
	var first mpegHeader
	var samples, channels int64
	var seen [256]mpegHeader // by the byte that differs: rate of bits and padding
	for {
		h, err := r.Peek(4)
		if err != nil {
			return err
		}
		if len(h) < 4 {
			break
		}
		m := &seen[h[2]]
		if m.size == 0 || m.same[0] != h[1]&^1 || h[0] != 0xff || h[3]&3 == 2 {
			read, ok := readMPEG(h)
			if !ok {
				break
			}
			*m = read
		}
		if samples == 0 {
			first = *m
		} else if m.same != first.same {
			return r.Malformed("the frame at byte %d is of another kind than the first", r.Offset())
		}
		if channels < 2 {
			channels = 2
			if h[3]>>6 == 3 {
				channels = 1
			}
		}
		if err := r.Skip(m.size); err != nil {
			return err
		}
		samples += m.samples
	}
	if samples == 0 {
		return r.Malformed("at byte %d stands no frame of audio", r.Offset())
	}
	if err := r.Sound(p, first.rate, channels, samples); err != nil {
		return err
	}
	return trailer(r, p)
}
