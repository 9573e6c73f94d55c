package audio

import (
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

var aacRates = [...]int64{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// adtsHeader is the header of a frame (ISO/IEC 14496-3, 1.A.2.2).
type adtsHeader struct {
	same     [3]byte
	rate     int64
	channels int64
	samples  int64
	size     int64
}

func readADTS(h []byte) (a adtsHeader, ok bool) {
	if len(h) < 7 || h[0] != 0xff || h[1]&0xf6 != 0xf0 {
		return a, false
	}
	at := int(h[2] >> 2 & 15)
	if at >= len(aacRates) {
		return a, false
	}
	a.rate = aacRates[at]
	configuration := h[2]&1<<2 | h[3]>>6
	a.channels = [8]int64{2, 1, 2, 3, 4, 5, 6, 8}[configuration] // 0: told in the stream
	a.size = int64(h[3]&3)<<11 | int64(h[4])<<3 | int64(h[5]>>5)
	a.samples = 1024 * int64(h[6]&3+1)
	a.same = [3]byte{h[1], h[2] &^ 2, h[3] & 0xc0}
	header := int64(7)
	if h[1]&1 == 0 {
		header = 9
	}
	return a, a.size > header
}

func isADTS(head []byte) bool {
	a, ok := readADTS(head)
	if !ok || int64(len(head)) < a.size+7 { // a frame may be longer than the head
		return ok && (len(head) == format.Head || int64(len(head)) == a.size)
	}
	b, ok := readADTS(head[a.size:])
	return ok && b.same == a.same
}

func walkADTS(r *format.Reader, p *media.Part) error {
	var first adtsHeader
	var samples int64
	for {
		h, err := r.Peek(7)
		if err != nil {
			return err
		}
		a, ok := readADTS(h)
		if !ok {
			break
		}
		if samples == 0 {
			first = a
		} else if a.same != first.same {
			return r.Malformed("the frame at byte %d is of another kind than the first", r.Offset())
		}
		if err := r.Skip(a.size); err != nil {
			return err
		}
		samples += a.samples
	}
	if samples == 0 {
		return r.Malformed("at byte %d stands no frame of audio", r.Offset())
	}
	if err := r.Sound(p, first.rate, first.channels, samples); err != nil {
		return err
	}
	return trailer(r, p)
}
