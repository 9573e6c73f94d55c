package screen

import (
	"math"
	"slices"
)

// How many rows are looked at to judge a candidate.
const (
	judgeReferences = 3000
	judgeRows       = 250
	judgeNear       = 15
	judgeTypical    = 0.3 // quantile of the margins of rows of other labels
	judgeDoubt      = 0.1 // no margin below it is a doubt
)

// surroundings are the rows that a candidate is judged by, without the columns
// that the candidate itself has a part in.
type surroundings struct {
	x     *dense
	label []int32
	votes []float64
	near  []near
}

// margin is how much likelier than label the likeliest other one is, by the
// labels of the references near to a row.
func (a *surroundings) margin(ix *index, row, label int32) float64 {
	a.near = ix.find(int(row), judgeNear, nil, a.near)
	clear(a.votes)
	for _, f := range a.near {
		a.votes[a.label[f.row]]++
	}
	best := 0.0
	for c := range a.votes {
		if int32(c) != label {
			best = math.Max(best, a.votes[c])
		}
	}
	return math.Log((best + 0.5) / (a.votes[label] + 0.5))
}

func (a *surroundings) margins(ix *index, rows []int32, label int32) []float64 {
	out := make([]float64, 0, len(rows))
	for _, i := range rows {
		out = append(out, a.margin(ix, i, label))
	}
	return out
}

func atLeast(margins []float64, limit float64) (n int) {
	for _, m := range margins {
		if m >= limit {
			n++
		}
	}
	return n
}

// judgeDense asks the neighbours of the pattern's rows, without the pattern's
// columns, and without its rows among the neighbours.
func (m *material) judgeDense(p *pattern) bool {
	s := m.set
	without := m.associated(p)
	if p.at.side > 0 && !p.at.anywhere {
		without = touched(s, p.at)
	}
	in := make([]bool, s.Len())
	for _, i := range p.all {
		in[i] = true
	}
	if m.order == nil {
		m.order = shuffled(s.Len(), 11)
	}
	var refs []int32
	for _, i := range m.order {
		if !in[i] && len(refs) < judgeReferences {
			refs = append(refs, i)
		}
	}
	if len(refs) < judgeNear {
		return false
	}
	asked, others := sampled(p.rows, judgeRows), sampled(p.all, judgeReferences)
	a, at := m.surround(without, refs, asked, others)
	refs, asked, others = at[0], at[1], at[2]
	ix := newIndex(a.x, refs)
	least := doubtShare
	alone := p.spread || p.at.anywhere
	if alone {
		least = doubtSpread
	}
	margins := a.margins(ix, asked, p.label)
	if float64(atLeast(margins, judgeDoubt)) < least*float64(len(margins)) {
		return false // whatever is usual: it would only raise the bar
	}
	var usual, typicals []float64
	for _, i := range refs {
		if a.label[i] == p.label {
			if len(usual) < judgeRows {
				usual = append(usual, a.margin(ix, i, p.label))
			}
		} else if len(typicals) < judgeRows {
			typicals = append(typicals, a.margin(ix, i, p.label))
		}
	}
	typical := math.Max(quantile(typicals, judgeTypical), judgeDoubt)
	if !p.believe(margins, usual, typical, least) {
		return false
	}
	if alone {
		// The pattern changes any features: its rows cannot be asked about each other.
		return true
	}
	// An honest group within a label (white grounds, one writer) also looks like
	// another label once it is taken away; but its rows are each other's
	// neighbours, while those of a trigger are from everywhere.
	margins = a.margins(newIndex(a.x, append(refs, others...)), asked, p.label)
	together := atLeast(margins, typical)
	share := float64(together) / float64(len(margins))
	return share >= doubtTogether && logTail(together, len(margins), math.Max(p.usual, 0.02)) < doubtChance/2
}

// surround copies the rows of the groups without the columns. It returns where
// the rows of each group are; a row of two groups is there once.
func (m *material) surround(without []int, groups ...[]int32) (*surroundings, [][]int32) {
	x := m.x
	kept := make([]int, 0, x.d)
	for c := range x.d {
		if !slices.Contains(without, c) {
			kept = append(kept, c)
		}
	}
	most := 0
	for _, g := range groups {
		most += len(g)
	}
	if need := most * len(kept); cap(m.around) < need {
		m.around = make([]float32, need)
	}
	a := &surroundings{x: &dense{d: len(kept), x: m.around[:0]}, votes: make([]float64, len(m.set.Labels))}
	place := make(map[int32]int32, most)
	at := make([][]int32, len(groups))
	for g, rows := range groups {
		at[g] = make([]int32, len(rows), len(rows)+most)
		for j, i := range rows {
			to, ok := place[i]
			if !ok {
				to = int32(a.x.n)
				place[i] = to
				row := x.row(int(i))
				for _, c := range kept {
					a.x.x = append(a.x.x, row[c])
				}
				a.x.n++
				a.label = append(a.label, m.set.Label[i])
			}
			at[g][j] = to
		}
	}
	return a, at
}
