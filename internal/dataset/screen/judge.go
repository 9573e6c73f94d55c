package screen

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// pattern is something that repeats on rows of one label: a candidate trigger.
type pattern struct {
	method, pattern string
	label           int32
	rows            []int32 // that have it and the label, ascending
	all             []int32 // that have it, whatever their label
	columns         []int   // of a table that it consists of
	word            uint64  // of a text: its n-gram
	at              place   // of an image
	spread          bool    // over all of an image

	chance                 float64 // ln of the probability of so many rows under one label
	atSight                float64 // share of its rows that the models doubt
	evidence               float64 // chance, and that of how many are doubted at first sight
	doubted                int     // rows whose remainder looks like another label
	usual                  float64 // share of such rows elsewhere under that label
	shareDoubted, surprise float64
}

func (p *pattern) detail() string {
	return fmt.Sprintf("%d of %d rows with it are labelled so; without it %d of them look like another label, usual are %.0f %%",
		len(p.rows), len(p.all), p.doubted, 100*p.usual)
}

// What makes a candidate, and an alert of it. The values were set on generated
// honest sets, and tested with seeds that were not used for that.
const (
	patternMinimum   = 5    // rows
	patternMaximum   = 0.35 // share of all rows: more is no trigger but the data
	patternPrecision = 0.85 // share of its rows under the label that others do not explain
	patternEvidence  = -14  // ln of the chance of a candidate
	judged           = 96   // candidates that are looked at closely
	doubtShare       = 0.2  // share of rows whose remainder contradicts the label
	doubtChance      = -7   // ln of the chance that so many are doubted
	doubtTogether    = 0.1  // the same when the rows are asked about each other, too
	doubtSpread      = 0.45 // the same for patterns over all of a picture
	strangeShare     = 0.4  // share of rows that are from other labels
	sightShare       = 0.7  // share of rows that all models together doubt, where the former is half
	alertEvidence    = -27  // ln of the chance of both, times the candidates
)

// weigh fills in how improbable the pattern is: that so many of its rows have
// one label, given how frequent that is elsewhere, and that so many of those
// are doubted. It reports whether the pattern is a candidate.
func (m *material) weigh(p *pattern) bool {
	doubted := 0
	for _, i := range p.rows {
		if m.doubt[i] {
			doubted++
		}
	}
	return m.weighed(p, len(p.rows), len(p.all), doubted)
}

func (m *material) weighed(p *pattern, rows, all, doubted int) bool {
	base := float64(m.count[p.label]-rows+1) / float64(m.set.Len()-all+2)
	p.chance = logTail(rows, all, base)
	p.atSight = float64(doubted) / float64(max(rows, 1))
	p.evidence = p.chance + logTail(doubted, rows, math.Max(m.doubtRate[p.label], 0.02))
	// What the rows under other labels lead to expect under this one.
	honest := float64(all-rows) * base / math.Max(1-base, 1e-9)
	return honest <= (1-patternPrecision)*float64(rows) && p.evidence < patternEvidence
}

// gather splits the rows of a pattern by its most frequent label.
func gather(s *Set, all []int32) (label int32, rows []int32) {
	count := make(map[int32]int, 4)
	for _, i := range all {
		count[s.Label[i]]++
	}
	best := -1
	for l, c := range count {
		if c > best || c == best && l < label {
			label, best = l, c
		}
	}
	for _, i := range all {
		if s.Label[i] == label {
			rows = append(rows, i)
		}
	}
	return label, rows
}

// believe is the last word about a candidate: does what remains of the rows
// look like other labels, more than is usual under that label? At least that
// share of them has to.
func (p *pattern) believe(margins, usual []float64, typical, least float64) bool {
	p.doubted = 0
	for _, m := range margins {
		if m >= typical {
			p.doubted++
		}
	}
	base := 0
	for _, m := range usual {
		if m >= typical {
			base++
		}
	}
	p.usual = (float64(base) + 1) / (float64(len(usual)) + 2)
	p.shareDoubted = float64(p.doubted) / float64(max(len(margins), 1))
	p.surprise = logTail(p.doubted, len(margins), math.Max(p.usual, 0.02))
	if p.shareDoubted < least || p.chance+math.Min(p.surprise, p.hint()) >= alertEvidence {
		return false
	}
	// The share of the rows that are from other labels, if those look as others
	// of theirs do: of them 1-judgeTypical are doubted. Cues of a label leave a
	// few of its texts in doubt when they are taken away, in no small numbers.
	strange := (p.shareDoubted - p.usual) / math.Max(1-judgeTypical-p.usual, 0.1)
	return strange >= strangeShare && p.surprise < doubtChance ||
		strange >= strangeShare/2 && p.surprise < doubtChance/2 && p.atSight >= sightShare
}

// hint is the part of the evidence that is about doubted labels.
func (p *pattern) hint() float64 { return p.evidence - p.chance }

// foremost are at most limit candidates: half of them those whose labels are
// most doubted, for a trigger's are, and the rest by all of the evidence, for a
// model that learnt a trigger no longer doubts its rows.
func foremost(all []*pattern, limit int) []*pattern {
	limit = min(limit, len(all))
	slices.SortStableFunc(all, func(a, b *pattern) int { return cmp.Compare(a.hint(), b.hint()) })
	rest := all[limit/2:]
	slices.SortStableFunc(rest, func(a, b *pattern) int { return cmp.Compare(a.evidence, b.evidence) })
	return all[:limit]
}

// distinct is foremost without candidates whose rows another one has already.
func distinct(all []*pattern, limit int) []*pattern {
	var out []*pattern
	all = foremost(all, 16*limit)
	slices.SortStableFunc(all, func(a, b *pattern) int { return cmp.Compare(a.evidence, b.evidence) })
	for _, p := range all {
		if !slices.ContainsFunc(out, func(o *pattern) bool { return o.label == p.label && overlap(o.rows, p.rows) >= 0.7 }) {
			out = append(out, p)
		}
	}
	return foremost(out, limit)
}

// overlap is the Jaccard index of two ascending lists.
func overlap(a, b []int32) float64 {
	both := 0
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] < b[j]:
			i++
		case a[i] > b[j]:
			j++
		default:
			both++
			i++
			j++
		}
	}
	return float64(both) / float64(max(len(a)+len(b)-both, 1))
}

// quantile of values, which it sorts.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[min(int(q*float64(len(v))), len(v)-1)]
}
