package screen

import (
	"cmp"
	"fmt"
	"slices"
)

// place is where a block of pixels repeats.
type place struct {
	x, y, side int
	anywhere   bool
}

// hashedBlocks is how many hashes of blocks are held at a time: 32 MiB.
const hashedBlocks = 4 << 20

// patches finds blocks of pixels that repeat on many pictures of one label: in
// one place, or anywhere.
func (m *material) patches() ([]*pattern, error) {
	s := m.set
	var out []*pattern
	done, lines := 0, 0
	for _, side := range blockSides {
		lines += max(s.Height-side+1, 0)
	}
	for _, side := range blockSides {
		for y := 0; y+side <= s.Height; y++ {
			if out = append(out, m.blocksAlong(side, y)...); len(out) > 4096 {
				out = foremost(out, 2048)
			}
			done++
			if err := m.watch.step("blocks in one place", done, lines); err != nil {
				return nil, err
			}
		}
	}
	anywhere, err := m.blocksAnywhere()
	if err != nil {
		return nil, err
	}
	out = append(distinct(out, 2*judged), anywhere...)
	faint, err := m.spectral()
	return append(distinct(out, 2*judged), faint...), err
}

// blocksAlong groups the pictures by the blocks at each place of a line.
func (m *material) blocksAlong(side, y int) []*pattern {
	s := m.set
	n, across := s.Len(), s.Width-side+1
	if across <= 0 {
		return nil
	}
	b := newBlocks(s, side)
	var line [phases][]uint64
	for phase := range line {
		line[phase] = make([]uint64, across)
	}
	each := max(min(hashedBlocks/(phases*n), across), 1)
	if need := phases * each * n; cap(m.hashes) < need {
		m.hashes = make([]uint64, need)
	}
	of := func(x, phase int) []uint64 { return m.hashes[(x*phases+phase)*n:][:n] }
	var out []*pattern
	for from := 0; from < across; from += each { // all of the line, unless there are very many pictures
		to := min(from+each, across)
		for i := range n {
			b.placed(i, y, &line)
			for x := from; x < to; x++ {
				for phase := range line {
					of(x-from, phase)[i] = line[phase][x]
				}
			}
		}
		for x := from; x < to; x++ {
			for phase := range line {
				out = append(out, m.blocksAt(place{x: x, y: y, side: side}, of(x-from, phase))...)
			}
		}
	}
	return out
}

// blocksAt groups the pictures by the hash of the block at a place.
func (m *material) blocksAt(at place, hashes []uint64) []*pattern {
	s := m.set
	n := s.Len()
	least := max(patternMinimum, n/500)
	var out []*pattern
	for h, all := range m.tally(hashes, least) {
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
func (m *material) tally(hashes []uint64, least int) map[uint64][]int32 {
	const bits = 16
	if m.buckets == nil {
		m.buckets = make([]int32, 1<<bits)
	}
	clear(m.buckets)
	for _, h := range hashes {
		m.buckets[h>>(64-bits)]++
	}
	out := map[uint64][]int32{}
	for i, h := range hashes {
		if int(m.buckets[h>>(64-bits)]) >= least {
			out[h] = append(out[h], int32(i))
		}
	}
	return out
}

// blocksAnywhere finds blocks that repeat wherever they are: patches at random
// places. A sketch drops the rare ones first.
func (m *material) blocksAnywhere() ([]*pattern, error) {
	s := m.set
	n, least := s.Len(), max(patternMinimum, s.Len()/500)
	const side = 3
	sketch, last := make([]uint32, 1<<sketchBits), make([]int32, 1<<sketchBits)
	b := newBlocks(s, side)
	for i := range n {
		b.textured(i, func(h uint64) {
			if at := h >> (64 - sketchBits); last[at] != int32(i+1) {
				last[at] = int32(i + 1)
				sketch[at]++
			}
		})
		if err := m.watch.often("blocks anywhere", i, 2*n); err != nil {
			return nil, err
		}
	}
	rows := map[uint64][]int32{}
	for i := range n {
		b.textured(i, func(h uint64) {
			if c := sketch[h>>(64-sketchBits)]; int(c) < least || float64(c) > patternMaximum*float64(n) {
				return
			}
			own, ok := rows[h]
			if !ok && len(rows) >= maxGrams || len(own) > 0 && own[len(own)-1] == int32(i) {
				return
			}
			rows[h] = append(own, int32(i))
		})
		if err := m.watch.often("blocks anywhere", n+i, 2*n); err != nil {
			return nil, err
		}
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
	return distinct(out, judged), nil
}
