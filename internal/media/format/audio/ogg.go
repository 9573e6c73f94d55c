package audio

import (
	"bytes"
	"encoding/binary"
	"sync"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

func isOgg(head []byte) bool { return bytes.HasPrefix(head, []byte("OggS")) }

const (
	oggFirst, oggLast = 2, 4
	// oggChecked is how many pages have their checksum made: those with headers.
	// The others' are of data, which only a decoder reads.
	oggChecked = 4
	// opusRate is that of all positions in Opus (RFC 7845 section 4).
	opusRate = 48000
)

// ogg is the walk of one file with one logical stream.
type ogg struct {
	*format.Reader
	part *media.Part

	serial         uint32
	pages          uint32
	position       int64
	rate, channels int64
	skip           int64
	opus           bool
	packets        int64
	samples        int64 // of Opus, by the packets themselves
	open           bool  // a packet goes on in the next page
}

func walkOgg(r *format.Reader, p *media.Part) error {
	w := &ogg{Reader: r, part: p, position: -1}
	for {
		last, err := w.page()
		if err != nil {
			return err
		}
		if last {
			break
		}
	}
	if w.position < 0 {
		return r.Malformed("the stream does not say how long it is")
	}
	if err := r.Sound(p, w.rate, w.channels, max(w.position-w.skip, 0)); err != nil {
		return err
	}
	// Opus packets say themselves how long they last: the stream cannot claim less.
	if w.opus {
		if err := r.Lasts(p, max(w.samples-w.skip, 0), opusRate); err != nil {
			return err
		}
	}
	return r.End()
}

// page reads one page (RFC 3533 section 6).
func (w *ogg) page() (last bool, err error) {
	at := w.Offset()
	h, err := w.Next(27)
	if err != nil {
		return false, err
	}
	flags, segments := h[5], int(h[26])
	serial, sequence, sum := binary.LittleEndian.Uint32(h[14:]), binary.LittleEndian.Uint32(h[18:]), binary.LittleEndian.Uint32(h[22:])
	position := int64(binary.LittleEndian.Uint64(h[6:]))
	switch {
	case string(h[:4]) != "OggS" || h[4] != 0 || flags > 7:
		return false, w.Malformed("at byte %d stands no page", at)
	case (w.pages == 0) != (flags&oggFirst != 0) || w.pages > 0 && serial != w.serial:
		return false, w.Malformed("there are two streams in the file")
	case w.pages > 0 && sequence != w.pages || (flags&1 != 0) != w.open:
		return false, w.Malformed("the page at byte %d is not the next one", at)
	}
	w.serial = serial
	if w.pages == 0 && sequence != 0 {
		return false, w.Malformed("the first page is missing")
	}
	check := w.pages < oggChecked
	var crc uint32
	if check {
		var zeroed [27]byte
		copy(zeroed[:22], h)
		zeroed[26] = h[26]
		crc = oggCRC(0, zeroed[:])
	}
	table, err := w.Next(segments)
	if err != nil {
		return false, err
	}
	var lengths [255]byte
	copy(lengths[:], table)
	if check {
		crc = oggCRC(crc, table)
	}
	begins := !w.open // a packet begins with the segment
	var size int64
	for i := range segments {
		n := lengths[i]
		size += int64(n)
		if begins && w.opus && w.packets >= 2 {
			if size > int64(n) { // everything up to this packet
				if err := w.pass(size-int64(n), check, &crc); err != nil {
					return false, err
				}
				size = int64(n)
			}
			if err := w.duration(int(n)); err != nil {
				return false, err
			}
		}
		begins = n < 255
		if begins {
			w.packets++
		}
	}
	w.open = !begins && segments > 0
	if w.pages < 2 { // the identification, and most of the comments
		err = w.headers(size, &crc)
	} else {
		err = w.pass(size, check, &crc)
	}
	if err != nil {
		return false, err
	}
	if check && crc != sum {
		return false, w.Malformed("the checksum of the page at byte %d is wrong", at)
	}
	w.pages++
	if position >= 0 {
		w.position = max(w.position, position)
	}
	return flags&oggLast != 0, nil
}

// pass goes over data.
func (w *ogg) pass(n int64, check bool, crc *uint32) error {
	if !check {
		return w.Skip(n)
	}
	return w.Each(n, func(b []byte) { *crc = oggCRC(*crc, b) })
}

// headers reads the first pages.
func (w *ogg) headers(n int64, crc *uint32) error {
	d, _, err := w.Keep(n) // a page has less than 64 KB
	if err != nil {
		return err
	}
	*crc = oggCRC(*crc, d)
	if w.pages > 0 {
		vorbisComment(w.part, d)
		return nil
	}
	switch {
	case len(d) >= 19 && string(d[:8]) == "OpusHead" && d[8]&0xf0 == 0:
		w.opus, w.rate, w.channels, w.skip = true, opusRate, int64(d[9]), int64(binary.LittleEndian.Uint16(d[10:]))
	case len(d) >= 30 && string(d[:7]) == "\x01vorbis" && binary.LittleEndian.Uint32(d[7:]) == 0:
		w.channels, w.rate = int64(d[11]), int64(binary.LittleEndian.Uint32(d[12:]))
	default:
		return w.Malformed("the stream is neither Opus nor Vorbis")
	}
	return w.Sound(w.part, w.rate, w.channels, 0)
}

// opusFrames are the samples of a frame by the configuration of a packet (RFC
// 6716 section 3.1), for 48,000 a second.
func opusFrames(config byte) int64 {
	switch {
	case config < 12:
		return [4]int64{480, 960, 1920, 2880}[config&3]
	case config < 16:
		return [2]int64{480, 960}[config&1]
	}
	return 120 << (config & 3)
}

// duration counts the samples of the packet at the reader's place.
func (w *ogg) duration(n int) error {
	if n == 0 {
		return nil
	}
	b, err := w.Peek(2)
	if err != nil || len(b) == 0 {
		return err
	}
	frames := int64(1)
	switch b[0] & 3 {
	case 1, 2:
		frames = 2
	case 3:
		if n < 2 || len(b) < 2 {
			return w.Malformed("a packet of Opus is cut off")
		}
		frames = int64(b[1] & 0x3f)
	}
	const longest = opusRate * 120 / 1000
	samples := frames * opusFrames(b[0]>>3)
	if samples > longest {
		return w.Malformed("a packet of Opus lasts longer than one can")
	}
	w.samples += samples
	return nil
}

var oggTable = sync.OnceValue(func() *[256]uint32 {
	var t [256]uint32
	for i := range t {
		c := uint32(i) << 24
		for range 8 {
			if c&0x80000000 != 0 {
				c = c<<1 ^ 0x04c11db7
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return &t
})

func oggCRC(sum uint32, b []byte) uint32 {
	t := oggTable()
	for _, c := range b {
		sum = sum<<8 ^ t[byte(sum>>24)^c]
	}
	return sum
}
