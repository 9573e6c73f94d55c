package screen

import (
	"fmt"
	"math"
	"slices"
)

// Spectral signatures (Tran, Li, Madry, NeurIPS 2018): pictures that share a
// pattern, however faint, lie far out along the first singular vector of their
// label's pictures. It is taken of residuals, so that what pictures show counts
// less than what was laid over them.
const (
	spectralRows   = 4096 // of a label, for the vector
	spectralRounds = 8    // of the power iteration
)

// The shares of a label that are tried as the part that carries a pattern.
var spectralShares = [...]float64{0.01, 0.02, 0.05, 0.1, 0.2}

// spectralValues is how many projections are held at a time: 32 MiB.
const spectralValues = 8 << 20

// spectral returns, for each label, the part that lies furthest out, if that is
// nearly only of this label.
func (m *material) spectral() ([]*pattern, error) {
	s := m.set
	n := s.Len()
	rows := make([][]int32, len(s.Labels))
	for i, l := range s.Label {
		rows[l] = append(rows[l], int32(i))
	}
	var labels []int
	for label := range s.Labels {
		if m.count[label] >= 4*patternMinimum {
			labels = append(labels, label)
		}
	}
	var out []*pattern
	residual := make([]float32, s.Width*s.Height)
	// Each picture is looked at once for as many labels as fit.
	for group := range slices.Chunk(labels, max(spectralValues/n, 1)) {
		var towards [][]float32
		for at, label := range group {
			if err := m.watch.step("spectral signatures", at, len(group)); err != nil {
				return nil, err
			}
			towards = append(towards, m.direction(sampled(rows[label], spectralRows)))
		}
		along := make([]float32, len(group)*n)
		for i := range n {
			if err := m.watch.often("spectral signatures", i, n); err != nil {
				return nil, err
			}
			m.residual(i, residual)
			for at, v := range towards {
				along[at*n+i] = dot(residual, v)
			}
		}
		for at, label := range group {
			for _, sign := range []float32{1, -1} {
				out = append(out, m.furthest(int32(label), rows[label], along[at*n:][:n], sign)...)
			}
		}
	}
	return out, nil
}

func (m *material) furthest(label int32, rows []int32, along []float32, sign float32) []*pattern {
	s := m.set
	value := make([]float32, len(rows))
	for j, i := range rows {
		value[j] = sign * along[i]
	}
	slices.Sort(value)
	var best *pattern
	for _, share := range spectralShares {
		size := int(share * float64(len(rows)))
		if size < patternMinimum {
			continue
		}
		limit := value[len(value)-size]
		p := &pattern{method: "spectral signature", label: label, spread: true, pattern: fmt.Sprintf("a faint pattern over the picture (%.0f %% of the label)", 100*share)}
		for i := range along {
			if sign*along[i] >= limit {
				p.all = append(p.all, int32(i))
				if s.Label[i] == label {
					p.rows = append(p.rows, int32(i))
				}
			}
		}
		if m.weigh(p) && (best == nil || p.evidence < best.evidence) {
			best = p
		}
	}
	if best == nil {
		return nil
	}
	return []*pattern{best}
}

// direction is the first singular vector of the rows' centred residuals, by
// power iteration from their mean.
func (m *material) direction(rows []int32) []float32 {
	d := m.set.Width * m.set.Height
	x := &dense{n: len(rows), d: d, x: make([]float32, len(rows)*d)}
	mean := make([]float32, d)
	for j, i := range rows {
		m.residual(int(i), x.row(j))
		for k, v := range x.row(j) {
			mean[k] += v / float32(len(rows))
		}
	}
	v := make([]float32, d)
	r := random(d)
	for k := range v {
		v[k] = mean[k] + 1e-3*(r.float32()-0.5)
	}
	next := make([]float32, d)
	for range spectralRounds {
		unit(v)
		base := dot(mean, v)
		clear(next)
		for j := range x.n {
			row := x.row(j)
			a := dot(row, v) - base
			for k := range next {
				next[k] += a * (row[k] - mean[k])
			}
		}
		v, next = next, v
	}
	unit(v)
	return v
}

func unit(v []float32) {
	n := float32(math.Sqrt(float64(dot(v, v)) + 1e-20))
	for k := range v {
		v[k] /= n
	}
}

// residual is the picture's grey less the mean of each pixel's neighbourhood,
// relative to the strength of the whole.
func (m *material) residual(i int, out []float32) {
	s := m.set
	w, h, c := s.Width, s.Height, s.Channels
	pixels := s.Pixels[i*w*h*c : (i+1)*w*h*c]
	if len(m.grey) < w*h+w {
		m.grey = make([]float32, w*h+w)
	}
	grey := m.grey[:w*h]
	for p := range grey {
		sum := 0
		for k := range c {
			sum += int(pixels[p*c+k])
		}
		grey[p] = float32(sum) / float32(c)
	}
	// Sums of three in a column, and then of three of those.
	column := m.grey[w*h : w*h+w]
	var total float32
	for y := range h {
		top, bottom := max(y-1, 0), min(y+1, h-1)
		for x := range w {
			sum := float32(0)
			for at := top*w + x; at <= bottom*w+x; at += w {
				sum += grey[at]
			}
			column[x] = sum
		}
		high := float32(bottom - top + 1)
		for x := range w {
			left, right := max(x-1, 0), min(x+1, w-1)
			sum := float32(0)
			for _, c := range column[left : right+1] {
				sum += c
			}
			v := grey[y*w+x] - sum/(high*float32(right-left+1))
			v = max(-24, min(24, v)) // edges of what is shown must not drown the rest
			out[y*w+x] = v
			total += v * v
		}
	}
	if total > 0 {
		f := 1 / float32(math.Sqrt(float64(total)))
		for k := range out {
			out[k] *= f
		}
	}
}
