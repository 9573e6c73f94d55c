package screen

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// scaled prepares a table for distances, in the way that predicts its labels
// best: as it is (columns of one unit), standardised, or by ranks.
func scaled(s *Set) *dense {
	n, d := s.Len(), len(s.Columns)
	plain := &dense{n, d, make([]float32, n*d)}
	standard := &dense{n, d, make([]float32, n*d)}
	column := make([]float32, n)
	var spread float64
	for c := range d {
		for i := range n {
			column[i] = s.Values[i*d+c]
		}
		mean, sd := moments(column)
		spread += sd * sd
		for i, v := range column {
			if v != v {
				v = float32(mean) // a missing value is an ordinary one
			}
			plain.x[i*d+c] = v - float32(mean)
			if sd > 0 {
				standard.x[i*d+c] = float32(math.Max(-4, math.Min(4, (float64(v)-mean)/sd)))
			}
		}
	}
	if spread = math.Sqrt(spread / float64(max(d, 1))); spread > 0 {
		for i := range plain.x {
			plain.x[i] = float32(math.Max(-6, math.Min(6, float64(plain.x[i])/spread)))
		}
	}
	best, out := -1.0, standard
	for _, m := range []*dense{standard, plain} {
		if r := leaveOneOut(m, s.Label, len(s.Labels)); r > best+0.005 {
			best, out = r, m
		}
	}
	return out
}

// moments are mean and standard deviation of the values that are there.
func moments(v []float32) (mean, sd float64) {
	n := 0.0
	for _, x := range v {
		if x == x {
			mean += float64(x)
			n++
		}
	}
	if n == 0 {
		return 0, 0
	}
	mean /= n
	for _, x := range v {
		if x == x {
			sd += (float64(x) - mean) * (float64(x) - mean)
		}
	}
	return mean, math.Sqrt(sd / n)
}

// leaveOneOut is the share of a sample whose label five neighbours expect.
func leaveOneOut(m *dense, label []int32, classes int) float64 {
	sample := shuffled(m.n, 5)[:min(m.n, 3000)]
	ix := newIndex(m, sample)
	right, asked := 0, min(len(sample), 800)
	p := make([]float32, classes)
	var found []near
	for _, i := range sample[:asked] {
		found = ix.find(int(i), 5, nil, found)
		clear(p)
		for _, f := range found {
			p[label[f.row]]++
		}
		if int32(argmax(p)) == label[i] {
			right++
		}
	}
	return float64(right) / float64(max(asked, 1))
}

// atoms finds values of columns that repeat exactly under one label, joins those
// that are on the same rows, and returns the most improbable ones.
func (m *material) atoms(ctx context.Context) ([]*pattern, error) {
	s, d := m.set, len(m.set.Columns)
	n := s.Len()
	column := make([]float32, n)
	var out []*pattern
	for c := range d {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for i := range n {
			column[i] = s.Values[i*d+c]
		}
		order := byValue(column)
		for from := 0; from < n; {
			to := from + 1
			for to < n && column[order[to]] == column[order[from]] {
				to++
			}
			if size := to - from; size >= patternMinimum && float64(size) <= patternMaximum*float64(n) {
				all := slices.Clone(order[from:to])
				slices.Sort(all)
				byLabel := make([][]int32, len(s.Labels))
				for _, i := range all {
					byLabel[s.Label[i]] = append(byLabel[s.Label[i]], i)
				}
				for label, rows := range byLabel {
					if len(rows) < patternMinimum {
						continue
					}
					p := &pattern{method: "repeated values", label: int32(label), rows: rows, all: all, columns: []int{c},
						pattern: fmt.Sprintf("%.40s = %v", s.Columns[c], column[order[from]])}
					if m.weigh(p); p.evidence < -7 {
						out = append(out, p)
					}
				}
			}
			from = to
		}
		if len(out) > 4096 {
			out = foremost(out, 2048)
		}
	}
	return m.conjunctions(foremost(out, 512)), nil
}

// conjunctionGain is by how much, as ln, a further column has to make a pattern
// less probable.
const conjunctionGain = 5

// conjunctionSeeds is how many values are tried as the first part of a pattern.
const conjunctionSeeds = 128

// conjunctions adds to each atom the others that make it purer or that are on
// the same rows: a trigger of several columns is one pattern.
func (m *material) conjunctions(atoms []*pattern) []*pattern {
	s := m.set
	var out []*pattern
	for _, a := range foremost(slices.Clone(atoms), conjunctionSeeds) {
		p := &pattern{method: a.method, pattern: a.pattern, label: a.label, rows: a.rows, all: a.all, columns: slices.Clone(a.columns), chance: a.chance, evidence: a.evidence}
		for _, b := range atoms {
			if len(p.columns) == 12 {
				break
			}
			if b.label != p.label || slices.Contains(p.columns, b.columns[0]) {
				continue
			}
			all := intersect(p.all, b.all)
			if len(all) < patternMinimum {
				continue
			}
			q := &pattern{label: p.label, all: all}
			for _, i := range all {
				if s.Label[i] == p.label {
					q.rows = append(q.rows, i)
				}
			}
			if len(q.rows) < patternMinimum {
				continue
			}
			m.weigh(q)
			// On the same rows, but no more than chance would put it there: not a part.
			same := float64(len(all)) >= 0.9*float64(len(p.all)) && float64(len(b.all)) <= 3*float64(len(p.all))
			if !same && q.evidence > p.evidence-conjunctionGain {
				continue
			}
			p.all, p.rows, p.evidence = q.all, q.rows, q.evidence
			p.columns = append(p.columns, b.columns[0])
			p.pattern += ", " + b.pattern
		}
		if m.weigh(p) {
			out = append(out, p)
		}
	}
	return distinct(out, judged)
}

func intersect(a, b []int32) []int32 {
	var out []int32
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] < b[j]:
			i++
		case a[i] > b[j]:
			j++
		default:
			out = append(out, a[i])
			i++
			j++
		}
	}
	return out
}

func counts(s *Set) []int {
	out := make([]int, len(s.Labels))
	for _, l := range s.Label {
		out[l]++
	}
	return out
}
