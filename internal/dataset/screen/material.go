package screen

import (
	"fmt"
	"slices"
)

// material is what the methods share: the set, its features and the models.
type material struct {
	set       *Set
	watch     *watch
	x         *dense // of tables and images
	words     *bags  // of texts
	naive     *naive // of texts, to judge patterns by
	voters    []*votes
	flips     *flips
	count     []int     // rows of each label
	doubt     []bool    // rows that look like another label
	doubtRate []float64 // share of those, per label
	hashes    []uint64
	buckets   []int32
	grey      []float32
	order     []int32   // of all rows, shuffled
	around    []float32 // of the candidate that is judged
}

func newMaterial(s *Set, w *watch) (*material, error) {
	m := &material{set: s, watch: w}
	k := len(s.Labels)
	add := func(name string, v *votes, err error) error {
		if err == nil {
			v.name = name
			m.voters = append(m.voters, v)
			err = w.ctx.Err()
		}
		return err
	}
	var err error
	switch s.Kind {
	case Text:
		if err := w.step("words and pairs", 0, 0); err != nil {
			return nil, err
		}
		m.words = newBags(s)
		err = add("bayes", m.words.bayes(), nil)
		if err == nil {
			err = add("linear", m.words.linear(), nil)
		}
	case Image:
		m.x, err = describe(s, w)
	default:
		m.x = scaled(s)
	}
	if s.Kind != Text {
		for _, model := range []struct {
			name string
			ask  func(*dense, []int32, int, *watch) (*votes, error)
		}{{"neighbours", neighbours}, {"forest", forest}, {"linear", linear}} {
			if err != nil {
				return nil, err
			}
			v, failed := model.ask(m.x, s.Label, k, w)
			err = add(model.name, v, failed)
		}
	}
	if err != nil {
		return nil, err
	}
	m.doubts()
	return m, nil
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
func (m *material) triggers() (found, weak []*pattern, err error) {
	if len(m.set.Labels) < 2 {
		return nil, nil, nil
	}
	var candidates []*pattern
	judge := m.judgeDense
	switch m.set.Kind {
	case Text:
		candidates, err = m.ngrams(m.watch.ctx)
		judge = m.judgeText
	case Image:
		candidates, err = m.patches()
	default:
		candidates, err = m.atoms(m.watch.ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	for at, p := range candidates {
		if err := m.watch.step("judging what repeats", at, len(candidates)); err != nil {
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
			if m.set.Kind == Image && !p.at.anywhere {
				m.widen(p)
			} else {
				m.refine(p)
			}
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
