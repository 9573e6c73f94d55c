package document

import (
	"bytes"
	"testing"
)

func TestControlsAreFoundWhereverTheyStand(t *testing.T) {
	for c := range 256 {
		want := c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' || c == 0x7f
		for at := range 19 {
			for _, around := range []byte("a \n\x80\xff") {
				b := bytes.Repeat([]byte{around}, 19)
				b[at] = byte(c)
				if controls(b) != want {
					t.Fatalf("%#x at %d among %#x: %v", c, at, around, !want)
				}
			}
		}
	}
}
