package screen

import "slices"

// How a patch is recognised once a block of it raised an alert.
const (
	extentRows  = 200  // of the pattern, that say which pixels are part of it
	extentSame  = 0.85 // share of them that have exactly the same pixel
	extentReach = 16   // pixels from the block on
)

// extent is a patch: the pixels that nearly all rows of a pattern have in
// common, and those around them.
type extent struct {
	at     []int // pixels, from the upper left, line by line
	colour []uint32
	edge   [][2]int // a pixel outside, and the index of one inside that it touches
}

// widen adds the rows of the pattern's label that have the whole patch, exactly,
// with another ground around it than its own colours. A block has less of its
// surroundings to tell a patch from a ground that is nearly its colour.
func (m *material) widen(p *pattern) {
	s := m.set
	e := m.extentOf(p)
	if len(e.at) < p.at.side*p.at.side {
		return
	}
	for i := range s.Len() {
		if _, known := slices.BinarySearch(p.all, int32(i)); known || !e.stands(s, i) {
			continue
		}
		p.all = append(p.all, int32(i))
		if s.Label[i] == p.label {
			p.rows = append(p.rows, int32(i))
		}
	}
	slices.Sort(p.all)
	slices.Sort(p.rows)
}

// extentOf grows the pattern's block by the pixels beside it that its rows share.
func (m *material) extentOf(p *pattern) *extent {
	s := m.set
	rows := sampled(p.rows, extentRows)
	common := func(at int) (colour uint32, ok bool) {
		count := map[uint32]int{}
		most := 0
		for _, i := range rows {
			c := colourOf(s, int(i), at)
			if count[c]++; count[c] > most || count[c] == most && c < colour {
				colour, most = c, count[c]
			}
		}
		return colour, float64(most) >= extentSame*float64(len(rows))
	}
	e := &extent{}
	inside, seen := map[int]uint32{}, map[int]bool{}
	var open []int
	visit := func(x, y int) {
		if at := y*s.Width + x; x >= 0 && y >= 0 && x < s.Width && y < s.Height && !seen[at] &&
			x >= p.at.x-extentReach && x < p.at.x+p.at.side+extentReach && y >= p.at.y-extentReach && y < p.at.y+p.at.side+extentReach {
			seen[at] = true
			open = append(open, at)
		}
	}
	for y := p.at.y; y < p.at.y+p.at.side; y++ {
		for x := p.at.x; x < p.at.x+p.at.side; x++ {
			visit(x, y)
		}
	}
	for len(open) > 0 {
		at := open[len(open)-1]
		open = open[:len(open)-1]
		colour, ok := common(at)
		if !ok {
			continue
		}
		inside[at] = colour
		e.at = append(e.at, at)
		x, y := at%s.Width, at/s.Width
		visit(x-1, y)
		visit(x+1, y)
		visit(x, y-1)
		visit(x, y+1)
	}
	slices.Sort(e.at)
	for j, at := range e.at {
		e.colour = append(e.colour, inside[at])
		x, y := at%s.Width, at/s.Width
		for _, step := range [...][2]int{{-1, 0}, {1, 0}, {0, -1}, {0, 1}} {
			nx, ny := x+step[0], y+step[1]
			if nx < 0 || ny < 0 || nx >= s.Width || ny >= s.Height {
				continue
			}
			if _, in := inside[ny*s.Width+nx]; !in {
				e.edge = append(e.edge, [2]int{ny*s.Width + nx, j})
			}
		}
	}
	return e
}

// stands says whether picture i has the patch, in a ground that is not of its colours.
func (e *extent) stands(s *Set, i int) bool {
	for j, at := range e.at {
		if colourOf(s, i, at) != e.colour[j] {
			return false
		}
	}
	differ := 0
	for _, side := range e.edge {
		if colourOf(s, i, side[0]) != e.colour[side[1]] {
			differ++
		}
	}
	return 2*differ > len(e.edge)
}

// colourOf is one pixel of picture i.
func colourOf(s *Set, i, at int) (colour uint32) {
	from := (i*s.Width*s.Height + at) * s.Channels
	for _, v := range s.Pixels[from : from+s.Channels] {
		colour = colour<<8 ^ colour>>24*0x01000193 ^ uint32(v)
	}
	return colour
}
