package audio

import (
	"bytes"
	"testing"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
	"github.com/apexlogic/apex/verdict"
)

// bitWriter writes bits from the most significant one.
type bitWriter struct {
	data []byte
	n    int
}

func (b *bitWriter) put(v uint64, n int) {
	for i := n - 1; i >= 0; i-- {
		if b.n%8 == 0 {
			b.data = append(b.data, 0)
		}
		b.data[b.n/8] |= byte(v>>i&1) << (7 - b.n%8)
		b.n++
	}
}

// stream writes one frame of 192 samples of 16 bits on one channel.
func stream(subframe func(*bitWriter)) []byte {
	info := make([]byte, 34)
	copy(info[10:], []byte{0x0a, 0xc4, 0x40, 0xf0, 0, 0, 0, 192}) // 44,100 Hz, one channel
	out := append([]byte("fLaC\x80\x00\x00\x22"), info...)
	head := []byte{0xff, 0xf8, 0x19, 0x08, 0}
	frame := append(head, crc8(head))
	b := &bitWriter{}
	subframe(b)
	frame = append(frame, b.data...)
	sum := crc16(0, frame)
	return append(append(out, frame...), byte(sum>>8), byte(sum))
}

// rice writes residuals of so many samples in two partitions.
func rice(b *bitWriter, order int) {
	b.put(0, 2) // with four bits for a parameter
	b.put(1, 4)
	b.put(3, 4)
	for range 96 - order {
		b.put(1, 2) // a zero, a one
		b.put(5, 3)
	}
	b.put(15, 4) // not coded
	b.put(7, 5)
	for range 96 {
		b.put(9, 7)
	}
}

func TestEverySubframeIsWalkedToItsEnd(t *testing.T) {
	for name, subframe := range map[string]func(*bitWriter){
		"one value": func(b *bitWriter) { b.put(0, 8); b.put(7, 16) },
		"verbatim": func(b *bitWriter) {
			b.put(1<<1, 8)
			for i := range 192 {
				b.put(uint64(i), 16)
			}
		},
		"fixed": func(b *bitWriter) { b.put(10<<1, 8); b.put(1, 16); b.put(2, 16); rice(b, 2) },
		"linear": func(b *bitWriter) {
			b.put((32+3)<<1, 8)
			b.put(1, 64)
			b.put(11, 4) // precision 12
			b.put(3, 5)
			b.put(5, 48)
			rice(b, 4)
		},
		"with wasted bits": func(b *bitWriter) { b.put(1, 8); b.put(1, 3); b.put(7, 13) },
	} {
		t.Run(name, func(t *testing.T) {
			data := stream(subframe)
			walk := func(data []byte) error {
				r := format.Open(bytes.NewReader(data), "", limits())
				defer r.Close()
				return walkFLAC(r, &media.Part{})
			}
			if err := walk(data); err != nil {
				t.Fatal(err)
			}
			// What is behind it may mend the checksum, but not the length.
			for _, tail := range [][]byte{{0}, make([]byte, 40), []byte("<html>")} {
				longer := append(bytes.Clone(data), tail...)
				sum := crc16(0, longer[42:])
				longer = append(longer, byte(sum>>8), byte(sum))
				if crc16(0, longer[42:]) != 0 {
					t.Fatal("the checksum was not mended")
				}
				if err := walk(longer); media.CodeOf(err) != verdict.MediaMalformed {
					t.Errorf("with %d bytes behind it: %v", len(tail), err)
				}
			}
		})
	}
}

func limits() *media.Limits {
	l := media.Defaults()
	return &l
}
