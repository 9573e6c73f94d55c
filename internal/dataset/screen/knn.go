package screen

import (
	"cmp"
	"math"
	"slices"
)

// dense is a matrix of features, row by row.
type dense struct {
	n, d int
	x    []float32
}

func (m *dense) row(i int) []float32 { return m.x[i*m.d : (i+1)*m.d] }

// near is one neighbour of a row.
type near struct {
	row  int32
	dist float32 // squared
}

// exhaustive is up to how many rows every pair is compared: beyond it, rows are
// kept in cells of about √n and only the probes nearest cells are looked at.
const (
	exhaustive = 8192
	probes     = 6
	// crowded is how many times √n rows a cell may have. Features of pictures
	// gather around few centres, and cells of many rows would be in every search.
	crowded = 2
)

// index finds near rows among references.
type index struct {
	m     *dense
	norm  []float32 // of every row of m
	cells [][]int32 // references
	mid   *dense    // of the cells; nil: one cell
	midN  []float32
}

func newIndex(m *dense, refs []int32) *index {
	ix := &index{m: m, norm: norms(m)}
	if len(refs) <= exhaustive {
		ix.cells = [][]int32{refs}
		return ix
	}
	k := int(math.Sqrt(float64(len(refs))))
	mid, cells := split(m, refs, k)
	ix.mid = &dense{d: m.d}
	for c, cell := range cells {
		parts := bisect(m, cell, crowded*k)
		for _, part := range parts {
			if len(parts) == 1 {
				ix.mid.x = append(ix.mid.x, mid.row(c)...)
			} else {
				ix.mid.x = append(ix.mid.x, meanOf(m, part)...)
			}
		}
		ix.cells = append(ix.cells, parts...)
	}
	ix.mid.n = len(ix.cells)
	ix.midN = norms(ix.mid)
	return ix
}

// split puts the rows into k cells around centres.
func split(m *dense, rows []int32, k int) (mid *dense, cells [][]int32) {
	mid = centroids(m, rows, k)
	norm := norms(mid)
	cells = make([][]int32, k)
	for _, r := range rows {
		c := nearest(m.row(int(r)), mid, norm)
		cells[c] = append(cells[c], r)
	}
	return mid, cells
}

// find writes the k references nearest to row i, itself and those that skip
// names left out, into out, the nearest first.
func (ix *index) find(i, k int, skip []bool, out []near) []near {
	out = out[:0]
	q, qn := ix.m.row(i), ix.norm[i]
	look := func(cell []int32) {
		for _, r := range cell {
			if int(r) == i || skip != nil && skip[r] {
				continue
			}
			d := qn + ix.norm[r] - 2*dot(q, ix.m.row(int(r)))
			if len(out) == k && d >= out[k-1].dist {
				continue
			}
			if len(out) < k {
				out = append(out, near{})
			}
			j := len(out) - 1
			for ; j > 0 && out[j-1].dist > d; j-- {
				out[j] = out[j-1]
			}
			out[j] = near{r, max(d, 0)}
		}
	}
	if ix.mid == nil {
		look(ix.cells[0])
		return out
	}
	var best [probes]near
	found := best[:0]
	for c := range ix.cells {
		d := ix.midN[c] - 2*dot(q, ix.mid.row(c))
		if len(found) == probes && d >= found[probes-1].dist {
			continue
		}
		if len(found) < probes {
			found = append(found, near{})
		}
		j := len(found) - 1
		for ; j > 0 && found[j-1].dist > d; j-- {
			found[j] = found[j-1]
		}
		found[j] = near{int32(c), d}
	}
	for _, c := range found {
		look(ix.cells[c.row])
	}
	return out
}

// bisect halves the rows, along the line on which they differ most, until no
// part has more than most of them.
func bisect(m *dense, rows []int32, most int) [][]int32 {
	if len(rows) <= most {
		return [][]int32{rows}
	}
	const sample, rounds = 256, 4
	some := sampled(rows, sample)
	mean := meanOf(m, some)
	v, next := make([]float32, m.d), make([]float32, m.d)
	copy(v, m.row(int(some[0])))
	for j := range v {
		v[j] -= mean[j]
	}
	for range rounds {
		unit(v)
		base := dot(mean, v)
		clear(next)
		for _, i := range some {
			row := m.row(int(i))
			along := dot(row, v) - base
			for j := range next {
				next[j] += along * (row[j] - mean[j])
			}
		}
		v, next = next, v
	}
	along := make([]float32, len(rows))
	for j, i := range rows {
		along[j] = dot(m.row(int(i)), v)
	}
	low, high := make([]int32, 0, len(rows)/2), make([]int32, 0, len(rows)/2+1)
	for at, j := range byValue(along) {
		if at < len(rows)/2 {
			low = append(low, rows[j])
		} else {
			high = append(high, rows[j])
		}
	}
	return append(bisect(m, low, most), bisect(m, high, most)...)
}

func meanOf(m *dense, rows []int32) []float32 {
	out := make([]float32, m.d)
	for _, i := range rows {
		for j, v := range m.row(int(i)) {
			out[j] += v
		}
	}
	for j := range out {
		out[j] /= float32(max(len(rows), 1))
	}
	return out
}

func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		x, y := a[i:i+4:i+4], b[i:i+4:i+4]
		s0 += x[0] * y[0]
		s1 += x[1] * y[1]
		s2 += x[2] * y[2]
		s3 += x[3] * y[3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}

func norms(m *dense) []float32 {
	out := make([]float32, m.n)
	for i := range out {
		out[i] = dot(m.row(i), m.row(i))
	}
	return out
}

func nearest(q []float32, mid *dense, midN []float32) int {
	best, at := float32(math.Inf(1)), 0
	for c := range mid.n {
		if d := midN[c] - 2*dot(q, mid.row(c)); d < best {
			best, at = d, c
		}
	}
	return at
}

// centroids are k means of a sample (Lloyd 1982), a few rounds: cells need to be
// roughly even, not optimal.
func centroids(m *dense, refs []int32, k int) *dense {
	order := shuffled(len(refs), uint64(k))
	sample := order[:min(len(order), 16*k)]
	mid := &dense{n: k, d: m.d, x: make([]float32, k*m.d)}
	for c := range k {
		copy(mid.row(c), m.row(int(refs[sample[c]])))
	}
	for range 4 {
		norm, count := norms(mid), make([]int, k)
		sum := make([]float32, k*m.d)
		for _, at := range sample {
			q := m.row(int(refs[at]))
			c := nearest(q, mid, norm)
			count[c]++
			for j, v := range q {
				sum[c*m.d+j] += v
			}
		}
		for c := range k {
			if count[c] > 0 {
				for j := range m.d {
					mid.x[c*m.d+j] = sum[c*m.d+j] / float32(count[c])
				}
			}
		}
	}
	return mid
}

// The numbers of neighbours that are tried; which one fits depends on how far
// the labels overlap.
var neighbourhoods = [...]int{5, 10, 20, 40}

const maxNeighbours = 40

// neighbours votes by the labels of near rows. The number of neighbours is the
// one that predicts the labels best.
func neighbours(m *dense, label []int32, classes int, w *watch) (*votes, error) {
	refs := make([]int32, m.n)
	for i := range refs {
		refs[i] = int32(i)
	}
	if err := w.step("neighbours", 0, m.n); err != nil {
		return nil, err
	}
	ix := newIndex(m, refs)
	prior := priors(label, classes)
	v := newVotes(m.n, classes)
	all, count := make([]int32, m.n*maxNeighbours), make([]int, m.n)
	of := func(i int) []int32 { return all[i*maxNeighbours:][:count[i]] }
	var found []near
	done := 0
	// Rows of one cell look at much the same cells, which are then in the
	// processor's cache.
	for _, cell := range ix.cells {
		for _, i := range cell {
			if err := w.often("neighbours", done, m.n); err != nil {
				return nil, err
			}
			done++
			found = ix.find(int(i), maxNeighbours, nil, found)
			count[i] = len(found)
			for j, f := range found {
				all[int(i)*maxNeighbours+j] = label[f.row]
			}
		}
	}
	best, size := math.Inf(1), neighbourhoods[0]
	p := make([]float32, classes)
	for _, k := range neighbourhoods {
		loss := 0.0
		for i := range m.n {
			share(of(i), k, prior, p)
			loss -= math.Log(float64(p[label[i]]))
		}
		if loss < best {
			best, size = loss, k
		}
	}
	for i := range m.n {
		share(of(i), size, prior, v.row(i))
	}
	v.size = size
	return v, nil
}

// share is the smoothed share of each label among the first k.
func share(labels []int32, k int, prior, out []float32) {
	labels = labels[:min(k, len(labels))]
	copy(out, prior) // counts as one neighbour
	for _, l := range labels {
		out[l]++
	}
	for c := range out {
		out[c] /= float32(len(labels) + 1)
	}
}

func priors(label []int32, classes int) []float32 {
	out := make([]float32, classes)
	for _, l := range label {
		out[l]++
	}
	for c := range out {
		out[c] = (out[c] + 1) / float32(len(label)+classes)
	}
	return out
}

// byValue returns the rows in ascending order of the value.
func byValue(value []float32) []int32 {
	out := make([]int32, len(value))
	for i := range out {
		out[i] = int32(i)
	}
	slices.SortStableFunc(out, func(a, b int32) int { return cmp.Compare(value[a], value[b]) })
	return out
}
