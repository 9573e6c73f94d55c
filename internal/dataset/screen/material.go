package screen

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// material is what the methods share: the set, its features and the models.
type material struct {
	set       *Set
	x         *dense // of tables and images
	words     *bags  // of texts
	naive     *naive // of texts, to judge patterns by
	voters    []*votes
	flips     *flips
	count     []int     // rows of each label
	doubt     []bool    // rows that look like another label
	doubtRate []float64 // share of those, per label
	scratch   []placed
	buckets   []int32
	grey      []float32
}

func newMaterial(ctx context.Context, s *Set) (*material, error) {
	m := &material{set: s}
	k := len(s.Labels)
	add := func(name string, v *votes) error {
		v.name = name
		m.voters = append(m.voters, v)
		return ctx.Err()
	}
	defer m.doubts()
	if s.Kind == Text {
		m.words = newBags(s)
		if err := add("bayes", m.words.bayes()); err != nil {
			return nil, err
		}
		return m, add("linear", m.words.linear())
	}
	if s.Kind == Image {
		m.x = describe(s)
	} else {
		m.x = scaled(s)
	}
	if err := add("neighbours", neighbours(m.x, s.Label, k)); err != nil {
		return nil, err
	}
	if err := add("forest", forest(m.x, s.Label, k)); err != nil {
		return nil, err
	}
	return m, add("linear", linear(m.x, s.Label, k))
}

func (m *material) methods() []string {
	flip := "label disagreement (confident learning): "
	switch m.set.Kind {
	case Text:
		return []string{flip + "naive Bayes and logistic regression on words and pairs, out of sample",
			"rare n-grams of words and characters under one label, on texts that read like another label"}
	case Image:
		return []string{flip + "neighbours, forest and logistic regression on gradients and colours, out of sample",
			"pixel blocks that repeat under one label, in one place or anywhere, on pictures that look like another label",
			"spectral signatures of the residuals of each label (they move rows up, and raise no alert)"}
	}
	return []string{flip + "neighbours, forest and logistic regression, out of sample",
		"values that repeat exactly under one label, alone or together, on rows that look like another label"}
}

// triggers returns the patterns that raise an alert, and those that only move
// their rows up: patterns over all of a picture, for the furthest part of an
// honest label is at times as far out, and as odd, as a poisoned one.
func (m *material) triggers(ctx context.Context) (found, weak []*pattern, err error) {
	if len(m.set.Labels) < 2 {
		return nil, nil, nil
	}
	var candidates []*pattern
	judge := m.judgeDense
	switch m.set.Kind {
	case Text:
		candidates, err = m.ngrams(ctx)
		judge = m.judgeText
	case Image:
		candidates, err = m.patches(ctx)
	default:
		candidates, err = m.atoms(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, p := range candidates {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(found, func(f *pattern) bool { return overlap(f.rows, p.rows) > 0.5 }) {
			continue
		}
		switch {
		case !judge(p):
		case p.spread:
			weak = append(weak, p)
		default:
			m.refine(p)
			found = append(found, p)
		}
	}
	// Of patterns that are parts of one another the larger one says it all.
	whole := slices.DeleteFunc(slices.Clone(found), func(p *pattern) bool {
		return slices.ContainsFunc(found, func(o *pattern) bool {
			return o.label == p.label && len(o.rows) > len(p.rows) && 10*len(intersect(o.rows, p.rows)) >= 8*len(p.rows)
		})
	})
	return whole, weak, nil
}

// refine keeps of a table's pattern the rows that have all of its values, if
// these are most of them: the others have part of it by chance.
func (m *material) refine(p *pattern) {
	s, d := m.set, len(m.set.Columns)
	columns := m.associated(p)
	if len(columns) == len(p.columns) {
		return
	}
	has := p.rows
	for _, c := range columns {
		best, _ := m.mode(p.rows, c)
		var next []int32
		for _, i := range has {
			if s.Values[int(i)*d+c] == best {
				next = append(next, i)
			}
		}
		has = next
	}
	if 10*len(has) >= 7*len(p.rows) {
		p.rows = has
		for _, c := range columns[len(p.columns):] {
			best, _ := m.mode(has, c)
			p.pattern += fmt.Sprintf(", %.40s = %v", s.Columns[c], best)
		}
		p.columns = columns
	}
}

// mode is the most frequent value of a column on the rows.
func (m *material) mode(rows []int32, c int) (best float32, most int) {
	d := len(m.set.Columns)
	count := map[float32]int{}
	for _, i := range rows {
		v := m.set.Values[int(i)*d+c]
		if count[v]++; count[v] > most || count[v] == most && v < best {
			best, most = v, count[v]
		}
	}
	return best, most
}

// doubts combines what the models say.
func (m *material) doubts() {
	n := m.set.Len()
	m.flips = combine(m.set, m.voters)
	m.count = counts(m.set)
	m.doubt = make([]bool, n)
	m.doubtRate = make([]float64, len(m.count))
	for i, l := range m.set.Label {
		if m.doubt[i] = m.flips.margin[i] > 0; m.doubt[i] {
			m.doubtRate[l]++
		}
	}
	for l, c := range m.count {
		m.doubtRate[l] = (m.doubtRate[l] + 1) / float64(c+2)
	}
}

// How many rows are looked at to judge a candidate.
const (
	judgeReferences = 3000
	judgeRows       = 250
	judgeNear       = 15
	judgeTypical    = 0.3 // quantile of the margins of rows of other labels
)

// judgeDense asks the neighbours of the pattern's rows, without the pattern's
// columns, and without its rows among the neighbours.
func (m *material) judgeDense(p *pattern) bool {
	s := m.set
	x := m.x
	columns := m.associated(p)
	if p.at.side > 0 && !p.at.anywhere {
		columns = touched(s, p.at)
	}
	if len(columns) > 0 {
		x = &dense{x.n, x.d, slices.Clone(x.x)}
		for i := range x.n {
			for _, c := range columns {
				x.x[i*x.d+c] = 0
			}
		}
	}
	in := make([]bool, s.Len())
	for _, i := range p.all {
		in[i] = true
	}
	var refs []int32
	for _, i := range shuffled(s.Len(), 11) {
		if !in[i] && len(refs) < judgeReferences {
			refs = append(refs, i)
		}
	}
	if len(refs) < judgeNear {
		return false
	}
	count := make([]float64, len(s.Labels))
	for _, i := range refs {
		count[s.Label[i]]++
	}
	ix := newIndex(x, refs)
	var near []near
	votes := make([]float64, len(s.Labels))
	// margin is how much likelier than label the likeliest other one is.
	margin := func(i, label int32) float64 {
		near = ix.find(int(i), judgeNear, nil, near)
		clear(votes)
		for _, f := range near {
			votes[s.Label[f.row]]++
		}
		best := 0.0
		for c := range votes {
			if int32(c) != label {
				best = math.Max(best, votes[c])
			}
		}
		return math.Log((best + 0.5) / (votes[label] + 0.5))
	}
	var margins, usual, others []float64
	for _, i := range sampled(p.rows, judgeRows) {
		margins = append(margins, margin(i, p.label))
	}
	for _, i := range refs {
		if s.Label[i] == p.label {
			if len(usual) < judgeRows {
				usual = append(usual, margin(i, p.label))
			}
		} else if len(others) < judgeRows {
			others = append(others, margin(i, p.label))
		}
	}
	typical := math.Max(quantile(others, judgeTypical), 0.1)
	if p.spread || p.at.anywhere {
		// The pattern changes any features: its rows cannot be asked about each other.
		return p.believe(margins, usual, typical, doubtSpread)
	}
	if !p.believe(margins, usual, typical, doubtShare) {
		return false
	}
	// An honest group within a label (white grounds, one writer) also looks like
	// another label once it is taken away; but its rows are each other's
	// neighbours, while those of a trigger are from everywhere.
	ix = newIndex(x, append(refs, p.all...))
	margins = margins[:0]
	for _, i := range sampled(p.rows, judgeRows) {
		margins = append(margins, margin(i, p.label))
	}
	together := 0
	for _, m := range margins {
		if m >= typical {
			together++
		}
	}
	share := float64(together) / float64(len(margins))
	return share >= doubtTogether && logTail(together, len(margins), math.Max(p.usual, 0.02)) < doubtChance/2
}

// associated are the columns of a pattern, and those in which nearly all of its
// rows have one value that is rare elsewhere: they are likely parts of it.
func (m *material) associated(p *pattern) []int {
	s := m.set
	if len(p.columns) == 0 {
		return nil
	}
	out := slices.Clone(p.columns)
	d := len(s.Columns)
	for c := range d {
		if slices.Contains(out, c) {
			continue
		}
		best, most := m.mode(p.rows, c)
		if float64(most) < 0.7*float64(len(p.rows)) {
			continue
		}
		everywhere := 0
		for i := range s.Len() {
			if s.Values[i*d+c] == best {
				everywhere++
			}
		}
		if float64(everywhere-most) <= 0.3*float64(s.Len()-len(p.rows)) {
			out = append(out, c)
		}
	}
	return out
}

// sampled is at most limit of the rows, evenly taken.
func sampled(rows []int32, limit int) []int32 {
	if len(rows) <= limit {
		return rows
	}
	out := make([]int32, limit)
	for i := range out {
		out[i] = rows[i*len(rows)/limit]
	}
	return out
}
