package screen

import "testing"

func TestPixelsAreComparedWithoutTheirLowestBits(t *testing.T) {
	b := newBlocks(&Set{Width: 1, Height: 1, Channels: 3, Pixels: make([]byte, 3)}, 2)
	code := func(r, g, bl byte) [phases]uint32 {
		copy(b.set.Pixels, []byte{r, g, bl})
		line := make([]pixel, 1)
		b.read(0, 0, line)
		return line[0].code
	}
	seen := map[uint32][3]int{}
	for r := 0; r < 256; r += 16 {
		for g := 0; g < 256; g += 16 {
			for bl := 0; bl < 256; bl += 16 {
				c := code(byte(r), byte(g), byte(bl))
				if other, twice := seen[c[0]]; twice {
					t.Fatalf("%v and %v are one", other, [3]int{r, g, bl})
				}
				seen[c[0]] = [3]int{r, g, bl}
				if near := code(byte(r+7), byte(g+15), byte(bl)); near[0] != c[0] {
					t.Fatalf("%v: its lowest bits count", [3]int{r, g, bl})
				}
			}
		}
	}
	// What compression moves over the border of one phase stays within the other.
	if a, b := code(15, 255, 31), code(16, 255, 32); a[0] == b[0] || a[1] != b[1] {
		t.Errorf("%v %v", a, b)
	}
}

func TestAFlatBlockStandsOutInGrain(t *testing.T) {
	hashOf := func(change func(pixels []byte)) uint64 {
		s := &Set{Width: 5, Height: 5, Channels: 1, Pixels: make([]byte, 25), Label: []int32{0}}
		for i := range s.Pixels {
			s.Pixels[i] = 255
		}
		change(s.Pixels)
		var out [phases][]uint64
		for phase := range out {
			out[phase] = make([]uint64, 3)
		}
		newBlocks(s, 3).placed(0, 1, &out)
		return out[0][1]
	}
	plain := hashOf(func([]byte) {})
	grain := hashOf(func(p []byte) {
		for i := range 5 {
			p[i], p[20+i] = byte(250+i), byte(254-i)
		}
	})
	square := hashOf(func(p []byte) {
		for i := range 5 {
			p[i], p[20+i] = 9, 9
		}
	})
	speck := hashOf(func(p []byte) { p[2] = 250 })
	if plain == grain || plain == square || plain != speck {
		t.Errorf("plain %x, in grain %x, in black %x, beside a speck %x", plain, grain, square, speck)
	}
}
