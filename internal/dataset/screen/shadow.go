package screen

import "math"

// Most rows that a search looks at are too far away, which a few coordinates
// show: the projection on the first principal components is never longer than
// what it is of. What lies outside of them counts by its length at least.
const (
	shadowWidth  = 48   // components
	shadowSample = 4096 // rows, for the covariance
	shadowRounds = 4    // of orthogonal iteration; any orthonormal vectors would do, these are short
	shadowSlack  = 1e-3 // of a distance, for the rounding of sums
)

// shadow is the projection of every row of a matrix.
type shadow struct {
	x    *dense
	norm []float32
	rest []float32 // length of what lies outside
}

// newShadow projects the rows; nil where that would save nothing.
func newShadow(m *dense) *shadow {
	if m.d < 2*shadowWidth {
		return nil
	}
	axes := principal(m)
	s := &shadow{x: &dense{n: m.n, d: shadowWidth, x: make([]float32, m.n*shadowWidth)}, rest: make([]float32, m.n)}
	for i := range m.n {
		row, out := m.row(i), s.x.row(i)
		for k := range out {
			out[k] = dot(row, axes[k])
		}
		s.rest[i] = float32(math.Sqrt(max(0, float64(dot(row, row)-dot(out, out)))))
	}
	s.norm = norms(s.x)
	return s
}

// least is a distance, squared, that rows i and j are not nearer than.
func (s *shadow) least(i, j int) float32 {
	rest := s.rest[i] - s.rest[j]
	return s.norm[i] + s.norm[j] - 2*dot(s.x.row(i), s.x.row(j)) + rest*rest
}

// principal are orthonormal vectors close to the first principal components.
func principal(m *dense) [][]float32 {
	d := m.d
	rows := shuffled(m.n, uint64(d))[:min(m.n, shadowSample)]
	covariance := make([]float32, d*d)
	for _, i := range rows {
		row := m.row(int(i))
		for a, v := range row {
			if v == 0 {
				continue
			}
			out := covariance[a*d : a*d+a+1]
			for b, w := range row[:a+1] {
				out[b] += v * w
			}
		}
	}
	for a := range d {
		for b := range a {
			covariance[b*d+a] = covariance[a*d+b]
		}
	}
	r := random(d)
	axes, next := make([][]float32, shadowWidth), make([][]float32, shadowWidth)
	for k := range axes {
		axes[k], next[k] = make([]float32, d), make([]float32, d)
		for j := range axes[k] {
			axes[k][j] = r.float32() - 0.5
		}
	}
	orthonormal(axes)
	for range shadowRounds {
		for k, v := range axes {
			for j := range d {
				next[k][j] = dot(covariance[j*d:(j+1)*d], v)
			}
		}
		axes, next = next, axes
		orthonormal(axes)
	}
	return axes
}

// orthonormal makes the vectors so (Gram and Schmidt, modified, twice). What
// depends on those before it becomes zero, which a projection may be on, too.
func orthonormal(axes [][]float32) {
	for k, v := range axes {
		before := length(v)
		for range 2 {
			for _, u := range axes[:k] {
				along := dot(u, v)
				for j := range v {
					v[j] -= along * u[j]
				}
			}
		}
		own := length(v)
		if own <= 1e-4*before || own == 0 {
			clear(v)
			continue
		}
		for j := range v {
			v[j] = float32(float64(v[j]) / own)
		}
	}
}

func length(v []float32) float64 { return math.Sqrt(float64(dot(v, v))) }
