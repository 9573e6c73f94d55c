package screen

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// place is where a block of pixels repeats.
type place struct {
	x, y, side int
	anywhere   bool
}

// Blocks of these sides are looked at. Values are compared after dropping the
// lowest bits, at two phases, so that compression does not hide a patch.
var blockSides = [...]int{2, 3}

const (
	droppedBits = 4
	standsOut   = 24 // mean difference from the pixels above and below
	contrast    = 64 // of a block that counts anywhere: plain ones are in every picture
)

// patches finds blocks of pixels that repeat on many pictures of one label: in
// one place, or anywhere.
func (m *material) patches(ctx context.Context) ([]*pattern, error) {
	s := m.set
	var out []*pattern
	for _, side := range blockSides {
		for y := 0; y+side <= s.Height; y++ {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			for x := 0; x+side <= s.Width; x++ {
				for phase := range 2 {
					out = append(out, m.blocksAt(place{x: x, y: y, side: side}, phase)...)
				}
			}
			if len(out) > 4096 {
				out = foremost(out, 2048)
			}
		}
	}
	out = append(distinct(out, 2*judged), m.blocksAnywhere()...)
	return append(distinct(out, 2*judged), m.spectral(ctx)...), nil
}

type placed struct {
	hash uint64
	row  int32
}

// blocksAt groups the pictures by the block at a place.
func (m *material) blocksAt(at place, phase int) []*pattern {
	s := m.set
	n := s.Len()
	list := m.scratch[:0]
	for i := range n {
		list = append(list, placed{m.block(i, at, phase), int32(i)})
	}
	m.scratch = list
	least := max(patternMinimum, n/500)
	var out []*pattern
	for h, all := range m.tally(list, least) {
		if len(all) < least || float64(len(all)) > patternMaximum*float64(n) {
			continue
		}
		label, rows := gather(s, all)
		p := &pattern{method: "repeated pixel block", label: label, rows: rows, all: all, at: at, word: h,
			pattern: fmt.Sprintf("a block of %d×%d pixels at %d,%d", at.side, at.side, at.x, at.y)}
		if m.weigh(p) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *pattern) int { return int(a.rows[0]) - int(b.rows[0]) }) // a map has no order
	return out
}

// tally returns the rows of each hash that is there often enough. Buckets are
// counted first: nearly all hashes are rare, and never reach the map.
func (m *material) tally(list []placed, least int) map[uint64][]int32 {
	const bits = 16
	if m.buckets == nil {
		m.buckets = make([]int32, 1<<bits)
	}
	clear(m.buckets)
	for _, p := range list {
		m.buckets[p.hash>>(64-bits)]++
	}
	out := map[uint64][]int32{}
	for _, p := range list {
		if int(m.buckets[p.hash>>(64-bits)]) >= least {
			out[p.hash] = append(out[p.hash], p.row)
		}
	}
	return out
}

// block is the hash of a block of pixels of picture i. A block that stands out
// from the pixels around it is told apart from the same block in a ground of its
// colour: white corners are honest, white squares in them are not.
func (m *material) block(i int, at place, phase int) uint64 {
	s := m.set
	h := uint64(at.side)
	base := i * s.Width * s.Height * s.Channels
	inside := 0
	for y := at.y; y < at.y+at.side; y++ {
		from := base + (y*s.Width+at.x)*s.Channels
		for _, v := range s.Pixels[from : from+at.side*s.Channels] {
			h = (h ^ (uint64(v)+uint64(phase)<<(droppedBits-1))>>droppedBits) * 0x100000001b3
			inside += int(v)
		}
	}
	if at.anywhere { // parts of a patch stand out in some pictures and not in others
		return mix(h)
	}
	around, n := 0, 0
	row := func(y, from, to int) {
		if y < 0 || y >= s.Height {
			return
		}
		from, to = max(from, 0), min(to, s.Width)
		at := base + (y*s.Width+from)*s.Channels
		for _, v := range s.Pixels[at : at+(to-from)*s.Channels] {
			around += int(v)
		}
		n += (to - from) * s.Channels
	}
	row(at.y-1, at.x-1, at.x+at.side+1)
	row(at.y+at.side, at.x-1, at.x+at.side+1)
	if n > 0 {
		differs := inside/(at.side*at.side*s.Channels) - around/n
		if differs > standsOut || differs < -standsOut {
			h ^= 0x5bd1e995
		}
	}
	return mix(h)
}

// blocksAnywhere finds blocks that repeat wherever they are: patches at random
// places. A sketch drops the rare ones first.
func (m *material) blocksAnywhere() []*pattern {
	s := m.set
	n, least := s.Len(), max(patternMinimum, s.Len()/500)
	const side = 3
	sketch, last := make([]uint32, 1<<sketchBits), make([]int32, 1<<sketchBits)
	each := func(i int, yield func(h uint64)) {
		for y := 0; y+side <= s.Height; y++ {
			for x := 0; x+side <= s.Width; x++ {
				if at := (place{x: x, y: y, side: side, anywhere: true}); m.textured(i, at) {
					yield(m.block(i, at, 0))
				}
			}
		}
	}
	for i := range n {
		each(i, func(h uint64) {
			if at := h >> (64 - sketchBits); last[at] != int32(i+1) {
				last[at] = int32(i + 1)
				sketch[at]++
			}
		})
	}
	rows := map[uint64][]int32{}
	for i := range n {
		each(i, func(h uint64) {
			if c := sketch[h>>(64-sketchBits)]; int(c) < least || float64(c) > patternMaximum*float64(n) {
				return
			}
			own, ok := rows[h]
			if !ok && len(rows) >= maxGrams || len(own) > 0 && own[len(own)-1] == int32(i) {
				return
			}
			rows[h] = append(own, int32(i))
		})
	}
	var out []*pattern
	for h, all := range rows {
		if len(all) < least {
			continue
		}
		label, own := gather(s, all)
		p := &pattern{method: "repeated pixel block", label: label, rows: own, all: all, word: h,
			at: place{side: side, anywhere: true}, pattern: fmt.Sprintf("a block of %d×%d pixels at any place", side, side)}
		if m.weigh(p) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *pattern) int { return cmp.Compare(a.word, b.word) })
	return distinct(out, judged)
}

// textured says that the block is not of one colour.
func (m *material) textured(i int, at place) bool {
	s := m.set
	base := i * s.Width * s.Height * s.Channels
	low, high := byte(255), byte(0)
	for y := at.y; y < at.y+at.side; y++ {
		for x := at.x; x < at.x+at.side; x++ {
			v := s.Pixels[base+(y*s.Width+x)*s.Channels]
			low, high = min(low, v), max(high, v)
		}
	}
	return high-low >= contrast
}
