package screen

// Blocks of these sides are looked at. Values are compared after dropping the
// lowest bits, at two phases, so that compression does not hide a patch.
var blockSides = [...]int{2, 3}

const (
	largestBlock = 3
	phases       = 2
	droppedBits  = 4
	standsOut    = 24 // mean difference from the pixels above and below
	contrast     = 64 // of a block that counts anywhere: plain ones are in every picture
)

// pixel is one pixel in the forms in which it is compared.
type pixel struct {
	code [phases]uint32 // its channels without their lowest bits, in codeBits bits
	raw  uint32         // all of it; the first channel is its lowest byte
	sum  int32
}

const codeBits = 21 // so that a column of the largest block fits 64

// column3 is the part of a block that lies in one column.
type column3 struct {
	code      [phases]uint64
	low, high uint8 // of the first channel
	flat      bool  // of one colour
}

// blocks hashes blocks of pixels, a line of them at a time: each pixel is looked
// at once for all blocks that hold it, and pictures are read as they lie in memory.
type blocks struct {
	set  *Set
	side int

	lines        [largestBlock][]pixel
	above, below []pixel // empty at the edges of the picture
	columns      []column3
	inside       []int // sum of the lines to the left of a pixel
	around       []int // the same of above and below
}

func newBlocks(s *Set, side int) *blocks {
	b := &blocks{set: s, side: side, columns: make([]column3, s.Width), inside: make([]int, s.Width+1), around: make([]int, s.Width+1),
		above: make([]pixel, s.Width), below: make([]pixel, s.Width)}
	for j := range side {
		b.lines[j] = make([]pixel, s.Width)
	}
	return b
}

// read reads a line of picture i.
func (b *blocks) read(i, y int, line []pixel) {
	s := b.set
	width := s.Width * s.Channels
	pixels := s.Pixels[(i*s.Height+y)*width:][:width]
	const half = 1 << (droppedBits - 1)
	switch s.Channels {
	case 1:
		for x, v := range pixels {
			v := uint32(v)
			line[x] = pixel{[phases]uint32{v >> droppedBits, (v + half) >> droppedBits}, v, int32(v)}
		}
	case 3:
		for x := range line {
			p := pixels[3*x : 3*x+3 : 3*x+3]
			// The channels stand side by side, with room for what the half carries.
			all := uint32(p[0]) | uint32(p[1])<<10 | uint32(p[2])<<20
			const mask, halves = 0x1f | 0x1f<<10 | 0x1f<<20, half | half<<10 | half<<20
			line[x] = pixel{[phases]uint32{squeezed(all >> droppedBits & mask), squeezed((all + halves) >> droppedBits & mask)},
				uint32(p[0]) | uint32(p[1])<<8 | uint32(p[2])<<16, int32(p[0]) + int32(p[1]) + int32(p[2])}
		}
	default:
		for x := range line {
			p := pixel{raw: uint32(pixels[x*s.Channels])}
			for k, v := range pixels[x*s.Channels : (x+1)*s.Channels] {
				for phase := range p.code {
					p.code[phase] = (p.code[phase]*37 + (uint32(v)+half*uint32(phase))>>droppedBits) % (1 << codeBits)
				}
				p.raw ^= uint32(v) * 0x9e3779b1 << (8 * min(k, 1))
				p.sum += int32(v)
			}
			line[x] = p
		}
	}
}

// squeezed moves three values of 5 bits, 10 bits apart, to 15 bits.
func squeezed(v uint32) uint32 { return v&0x1f | v>>5&0x3e0 | v>>10&0x7c00 }

// load reads the lines of the blocks at y of picture i, and makes their columns.
func (b *blocks) load(i, y int) {
	for j := range b.side {
		b.read(i, y+j, b.lines[j])
	}
	top := b.lines[0]
	for x := range top {
		p := &top[x]
		v := uint8(p.raw)
		b.columns[x] = column3{[phases]uint64{uint64(p.code[0]), uint64(p.code[1])}, v, v, true}
	}
	for j := 1; j < b.side; j++ {
		line := b.lines[j]
		for x := range line {
			p, c := &line[x], &b.columns[x]
			v := uint8(p.raw)
			c.code[0] |= uint64(p.code[0]) << (j * codeBits)
			c.code[1] |= uint64(p.code[1]) << (j * codeBits)
			c.low, c.high, c.flat = min(c.low, v), max(c.high, v), c.flat && p.raw == top[x].raw
		}
	}
}

// hash is that of the block whose left column is x.
func (b *blocks) hash(x, phase int) uint64 {
	h := uint64(b.side)
	for i := range b.columns[x : x+b.side] {
		h = (h ^ b.columns[x+i].code[phase]) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return h
}

// placed hashes the blocks at y of picture i, at each phase. A block that stands out from the
// pixels around it is told apart from the same block in a ground of its colour:
// white corners are honest, white squares in them are not.
func (b *blocks) placed(i, y int, out *[phases][]uint64) {
	b.load(i, y)
	s := b.set
	above, below := b.above[:0], b.below[:0]
	if y > 0 {
		above = b.above[:s.Width]
		b.read(i, y-1, above)
	}
	if y+b.side < s.Height {
		below = b.below[:s.Width]
		b.read(i, y+b.side, below)
	}
	for x := range s.Width {
		in, out := int32(0), int32(0)
		for j := range b.side {
			in += b.lines[j][x].sum
		}
		if len(above) > 0 {
			out += above[x].sum
		}
		if len(below) > 0 {
			out += below[x].sum
		}
		b.inside[x+1], b.around[x+1] = b.inside[x]+int(in), b.around[x]+int(out)
	}
	lines := (len(above) + len(below)) / s.Width
	for x := range out[0] {
		var stands uint64
		from, to := max(x-1, 0), min(x+b.side+1, s.Width)
		if n := lines * (to - from) * s.Channels; n > 0 {
			differs := (b.inside[x+b.side]-b.inside[x])/(b.side*b.side*s.Channels) - (b.around[to]-b.around[from])/n
			if differs > standsOut || differs < -standsOut || b.flatInGrain(x, above, below) {
				stands = 0x5bd1e995
			}
		}
		for phase := range out {
			out[phase][x] = mix(b.hash(x, phase) ^ stands)
		}
	}
}

// flatInGrain says whether a block is of exactly one colour while most of what is
// above and below is not: what was laid over a picture has none of its grain,
// even where it has its colour (local noise: Mahdian, Saic, Image and Vision
// Computing 2009).
func (b *blocks) flatInGrain(x int, above, below []pixel) bool {
	colour := b.lines[0][x].raw
	for i := range b.side {
		if !b.columns[x+i].flat || b.lines[0][x+i].raw != colour {
			return false
		}
	}
	from, to := max(x-1, 0), min(x+b.side+1, b.set.Width)
	differ, n := 0, 0
	for _, line := range [...][]pixel{above, below} {
		if len(line) == 0 {
			continue
		}
		for i := range line[from:to] {
			if line[from+i].raw != colour {
				differ++
			}
		}
		n += to - from
	}
	return 2*differ > n
}

// textured calls yield with the hash of each block of picture i that is not
// plain. Parts of a patch stand out in some pictures and not in others, so here
// they are not told apart.
func (b *blocks) textured(i int, yield func(h uint64)) {
	for y := range b.set.Height - b.side + 1 {
		b.load(i, y)
		for x := range b.set.Width - b.side + 1 {
			low, high := uint8(255), uint8(0)
			for _, c := range b.columns[x : x+b.side] {
				low, high = min(low, c.low), max(high, c.high)
			}
			if high-low >= contrast {
				yield(mix(b.hash(x, 0)))
			}
		}
	}
}
