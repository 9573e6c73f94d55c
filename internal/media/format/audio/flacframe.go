package audio

import "math/bits"

// bitReader reads bits from the most significant one. Past the end it is bad,
// and everything is zero.
type bitReader struct {
	data []byte
	at   int // in bits
	bad  bool
}

func (b *bitReader) take(n int) (v uint32) {
	if b.at+n > 8*len(b.data) {
		b.bad = true
		return 0
	}
	for range n {
		v = v<<1 | uint32(b.data[b.at>>3]>>(7-b.at&7)&1)
		b.at++
	}
	return v
}

func (b *bitReader) skip(n int) {
	if n < 0 || b.at+n > 8*len(b.data) {
		b.bad = true
		return
	}
	b.at += n
}

// unary counts zeros up to the next one, and passes that.
func (b *bitReader) unary() (n int) {
	for b.at < 8*len(b.data) {
		left := 8 - b.at&7
		rest := b.data[b.at>>3] << (b.at & 7)
		if zeros := bits.LeadingZeros8(rest); zeros < left {
			b.at += zeros + 1
			return n + zeros
		}
		n += left
		b.at += left
	}
	b.bad = true
	return 0
}

// frameLength walks the subframes of a frame (RFC 9639 section 9.2) without
// making samples of them, and returns the length of the frame.
func (w *flac) frameLength(frame []byte) (int, bool) {
	size := w.bits
	if code := frame[3] >> 1 & 7; code != 0 {
		if size = [8]int{0, 8, 12, 0, 16, 20, 24, 32}[code]; size == 0 {
			return 0, false
		}
	}
	assignment := int(frame[3] >> 4)
	channels, side := assignment+1, -1
	if assignment >= 8 {
		channels = 2
		side = [3]int{1, 0, 1}[assignment-8] // which channel is the difference, with a bit more
	}
	b := &bitReader{data: frame, at: 8 * w.header}
	for c := range channels {
		n := size
		if c == side {
			n++
		}
		if !subframe(b, n, w.block) {
			return 0, false
		}
	}
	return (b.at+7)/8 + 2, !b.bad
}

// subframe passes one channel of so many samples of n bits.
func subframe(b *bitReader, n, block int) bool {
	kind := b.take(8)
	if kind&0x80 != 0 || b.bad {
		return false
	}
	if kind&1 != 0 { // bits that are wasted
		if n -= b.unary() + 1; n < 1 {
			return false
		}
	}
	switch kind = kind >> 1; {
	case kind == 0:
		b.skip(n)
	case kind == 1:
		b.skip(n * block)
	case 8 <= kind && kind <= 12:
		order := int(kind - 8)
		b.skip(n * order)
		return residual(b, order, block)
	case kind >= 32:
		order := int(kind-32) + 1
		b.skip(n * order)
		precision := int(b.take(4)) + 1
		b.skip(5 + precision*order)
		return precision != 16 && residual(b, order, block)
	default:
		return false
	}
	return !b.bad
}

// residual passes the coded residual (section 9.2.7).
func residual(b *bitReader, order, block int) bool {
	method := b.take(2)
	if method > 1 {
		return false
	}
	wide := 4 + int(method)
	partitions := int(b.take(4))
	if block>>partitions<<partitions != block || block>>partitions < order {
		return false
	}
	for i := range 1 << partitions {
		samples := block >> partitions
		if i == 0 {
			samples -= order
		}
		parameter := int(b.take(wide))
		if parameter == 1<<wide-1 {
			b.skip(int(b.take(5)) * samples)
			continue
		}
		for range samples {
			b.unary()
			b.skip(parameter)
			if b.bad {
				return false
			}
		}
	}
	return !b.bad
}
