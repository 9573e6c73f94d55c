package screen

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// Which n-grams are candidates.
const (
	longestPhrase = 3 // words
	charGram      = 4 // runes; they find what is glued to words
	maxChars      = 4000
	sketchBits    = 22      // 16 MB of counters
	maxGrams      = 400_000 // that are counted exactly
)

// grams calls yield for each n-gram of the text, with its place. An n-gram may
// be there more than once.
func grams(text string, scratch []token, yield func(hash uint64, start, end int)) []token {
	scratch = tokens(text, scratch)
	for j, t := range scratch {
		h := t.hash
		yield(h, t.start, t.end)
		for size := 2; size <= longestPhrase && j+size <= len(scratch); size++ {
			last := scratch[j+size-1]
			h = mix(h*31 + last.hash)
			yield(h+uint64(size), t.start, last.end)
		}
		// The spelling counts as well: a trigger may be a matter of capitals.
		if raw := spelling(text[t.start:t.end]); raw != 0 {
			yield(raw, t.start, t.end)
		}
	}
	var ring [charGram]int
	n := 0
	var runes [charGram]rune
	for i, r := range text {
		if n >= charGram {
			yield(charHash(&runes, n), ring[n%charGram], i)
		}
		ring[n%charGram], runes[n%charGram] = i, r
		if n++; n > maxChars {
			return scratch
		}
	}
	if n >= charGram {
		yield(charHash(&runes, n), ring[n%charGram], len(text))
	}
	return scratch
}

func charHash(runes *[charGram]rune, n int) uint64 {
	h := uint64(0x51ed270b27)
	for j := range charGram {
		h = (h ^ uint64(runes[(n+j)%charGram])) * 0x100000001b3
	}
	return mix(h)
}

// spelling is a hash of a word that has capitals after its first letter, else 0.
func spelling(word string) uint64 {
	h, odd, first := uint64(0x9ae16a3b2f90404f), false, true
	for _, r := range word {
		if !first && r >= 'A' && r <= 'Z' {
			odd = true
		}
		first = false
		h = (h ^ uint64(r)) * 0x100000001b3
	}
	if !odd {
		return 0
	}
	return mix(h)
}

// gram counts the texts that have an n-gram, per label.
type gram struct {
	last    int32 // text that was counted last
	total   int32
	label   map[int32]int32
	doubted map[int32]int32
}

// ngrams finds n-grams that are on many texts of one label and on few others. A
// sketch drops the n-grams that are on too few or too many texts first, so that
// only the rest is counted exactly.
func (m *material) ngrams(ctx context.Context) ([]*pattern, error) {
	s, n := m.set, m.set.Len()
	least := int32(max(patternMinimum, n/500))
	most := int32(patternMaximum * float64(n))
	sketch := make([]uint32, 1<<sketchBits)
	last := make([]int32, 1<<sketchBits)
	var scratch []token
	for i, text := range s.Texts {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		scratch = grams(text, scratch, func(h uint64, _, _ int) {
			at := h >> (64 - sketchBits)
			if last[at] != int32(i+1) {
				last[at] = int32(i + 1)
				sketch[at]++
			}
		})
	}
	// Few counters are so full that they hide rare n-grams; these stay in.
	exact := map[uint64]*gram{}
	for i, text := range s.Texts {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		scratch = grams(text, scratch, func(h uint64, _, _ int) {
			if sketch[h>>(64-sketchBits)] < uint32(least) {
				return
			}
			g := exact[h]
			if g == nil {
				if len(exact) >= maxGrams {
					return
				}
				g = &gram{last: -1, label: make(map[int32]int32, 2), doubted: map[int32]int32{}}
				exact[h] = g
			}
			if g.last != int32(i) {
				g.last = int32(i)
				g.total++
				g.label[s.Label[i]]++
				if m.doubt[i] {
					g.doubted[s.Label[i]]++
				}
			}
		})
	}
	return m.candidates(exact, least, most), nil
}

// candidates are the purest n-grams, with their texts.
func (m *material) candidates(exact map[uint64]*gram, least, most int32) []*pattern {
	var list []*pattern
	for h, g := range exact {
		if g.total < least || g.total > most {
			continue
		}
		for label, rows := range g.label {
			if rows < patternMinimum {
				continue
			}
			p := &pattern{method: "rare n-gram", label: label, word: h}
			if m.weighed(p, int(rows), int(g.total), int(g.doubted[label])) && p.evidence+math.Log(float64(len(exact))) < patternEvidence {
				list = append(list, p)
				break // two labels cannot both have nearly all of it
			}
		}
	}
	slices.SortFunc(list, func(a, b *pattern) int { return cmp.Compare(a.word, b.word) }) // a map has no order
	list = foremost(list, 1024)
	m.locate(list)
	return distinct(list, 4*judged)
}

// locate finds the texts of the candidates, and how the n-grams are written.
func (m *material) locate(list []*pattern) {
	s := m.set
	by := make(map[uint64]*pattern, len(list))
	for _, p := range list {
		by[p.word] = p
	}
	var scratch []token
	for i, text := range s.Texts {
		scratch = grams(text, scratch, func(h uint64, start, end int) {
			p := by[h]
			if p == nil || len(p.all) > 0 && p.all[len(p.all)-1] == int32(i) {
				return
			}
			p.all = append(p.all, int32(i))
			if s.Label[i] == p.label {
				p.rows = append(p.rows, int32(i))
			}
			if p.pattern == "" && utf8.ValidString(text[start:end]) {
				p.pattern = fmt.Sprintf("%q", clipped(text[start:end]))
			}
		})
	}
}

// judgeText asks naive Bayes about the pattern's texts, without the texts in
// the counts, and without the features that are nearly only on them.
func (m *material) judgeText(p *pattern) bool {
	s, b := m.set, m.words
	if m.naive == nil {
		m.naive = &naive{bags: b, counts: b.table(), labels: counts(s)}
		m.naive.sum()
	}
	n := m.naive
	within := map[uint32]int32{}
	for _, i := range p.all {
		for _, f := range b.of[i] {
			within[f]++
		}
	}
	without := map[uint32]bool{}
	for f, c := range within {
		if 2*c >= b.df[f] && 10*int(c) >= len(p.all) {
			without[f] = true
		}
	}
	n.take(p.all, -1)
	defer n.take(p.all, +1)
	in := make(map[int32]bool, len(p.all))
	for _, i := range p.all {
		in[i] = true
	}
	ll := make([]float64, len(s.Labels))
	margin := func(i, label int32, apart bool) float64 {
		n.score(i, apart, without, ll)
		best := math.Inf(-1)
		for c := range ll {
			if int32(c) != label {
				best = math.Max(best, ll[c])
			}
		}
		return (best - ll[label]) / math.Sqrt(float64(len(b.of[i])+1))
	}
	var margins, usual, others []float64
	for _, i := range sampled(p.rows, judgeRows) {
		margins = append(margins, margin(i, p.label, false))
	}
	for _, i := range shuffled(s.Len(), 13) {
		if in[i] || len(usual) >= judgeRows && len(others) >= judgeRows {
			continue
		}
		if s.Label[i] == p.label {
			if len(usual) < judgeRows {
				usual = append(usual, margin(i, p.label, true))
			}
		} else if len(others) < judgeRows {
			others = append(others, margin(i, p.label, true))
		}
	}
	return p.believe(margins, usual, math.Max(quantile(others, judgeTypical), 0), doubtShare)
}
