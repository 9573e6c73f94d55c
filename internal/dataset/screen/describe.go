package screen

import "math"

// What a picture is described by: colours on a coarse grid, and histograms of
// gradients on a finer one (Dalal, Triggs, CVPR 2005).
const (
	colourGrid   = 4
	gradientGrid = 5
	orientations = 9
)

// describe turns pictures into features of one scale.
func describe(s *Set, w *watch) (*dense, error) {
	c := s.Channels
	d := colourGrid*colourGrid*c + gradientGrid*gradientGrid*orientations
	m := &dense{n: s.Len(), d: d, x: make([]float32, s.Len()*d)}
	size := s.Width * s.Height * c
	grey := make([]float32, s.Width*s.Height)
	for i := range m.n {
		if err := w.often("gradients and colours", i, m.n); err != nil {
			return nil, err
		}
		describeOne(s, s.Pixels[i*size:(i+1)*size], grey, m.row(i))
	}
	column := make([]float32, m.n)
	for j := range d { // centred, so that distances compare shapes
		for i := range m.n {
			column[i] = m.x[i*d+j]
		}
		mean, _ := moments(column)
		for i := range m.n {
			m.x[i*d+j] -= float32(mean)
		}
	}
	return m, nil
}

func describeOne(s *Set, pixels []byte, grey, out []float32) {
	w, h, c := s.Width, s.Height, s.Channels
	colours := out[:colourGrid*colourGrid*c]
	var cells [colourGrid * colourGrid]float32
	for y := range h {
		for x := range w {
			at := (y*w + x) * c
			cell := y*colourGrid/h*colourGrid + x*colourGrid/w
			cells[cell]++
			var sum float32
			for k := range c {
				v := float32(pixels[at+k]) / 255
				colours[cell*c+k] += v
				sum += v
			}
			grey[y*w+x] = sum / float32(c)
		}
	}
	for cell, n := range cells {
		if n > 0 {
			for k := range c {
				colours[cell*c+k] *= 0.6 / n
			}
		}
	}
	hist := out[len(colours):]
	for y := 1; y < h-1; y++ {
		for x := 1; x < w-1; x++ {
			gx := grey[y*w+x+1] - grey[y*w+x-1]
			gy := grey[(y+1)*w+x] - grey[(y-1)*w+x]
			size := float32(math.Sqrt(float64(gx*gx + gy*gy)))
			if size < 0.02 {
				continue
			}
			angle := math.Atan2(float64(gy), float64(gx))
			if angle < 0 {
				angle += math.Pi // without sign: dark on light is light on dark
			}
			o := min(int(angle/math.Pi*orientations), orientations-1)
			cell := y*gradientGrid/h*gradientGrid + x*gradientGrid/w
			hist[cell*orientations+o] += size
		}
	}
	// Each cell relative to the whole picture's strength and to its own.
	var all float32
	for _, v := range hist {
		all += v
	}
	floor := all/float32(gradientGrid*gradientGrid)*0.5 + 0.05
	for cell := range gradientGrid * gradientGrid {
		own := hist[cell*orientations : (cell+1)*orientations]
		var sum float32
		for _, v := range own {
			sum += v
		}
		for o := range own {
			own[o] = float32(math.Sqrt(float64(own[o]/(sum+floor)))) * 0.5
		}
	}
}

// touched are the features that pixels at a place have a part in.
func touched(s *Set, at place) []int {
	const margin = 3 // a found block may be a corner of the patch; gradients reach one further
	grids := func(grid, columns, from int) (out []int) {
		seen := map[int]bool{}
		for y := max(at.y-margin, 0); y < min(at.y+at.side+margin, s.Height); y++ {
			for x := max(at.x-margin, 0); x < min(at.x+at.side+margin, s.Width); x++ {
				cell := y*grid/s.Height*grid + x*grid/s.Width
				for k := range columns {
					if c := from + cell*columns + k; !seen[c] {
						seen[c] = true
						out = append(out, c)
					}
				}
			}
		}
		return out
	}
	colours := grids(colourGrid, s.Channels, 0)
	return append(colours, grids(gradientGrid, orientations, colourGrid*colourGrid*s.Channels)...)
}
