package screen

import (
	"math"
	"slices"
	"unicode"
	"unicode/utf8"
)

// A text is read up to here: a poisoned text is poisoned for a model, which
// reads a few thousand words as well.
const (
	maxTokens = 4000
	maxBag    = 2000 // distinct features of a text
)

// token is a word or a run of other signs: text[start:end].
type token struct {
	start, end int
	hash       uint64
}

// tokens cuts text into words, in lower case, and signs. Runs of white space
// that are not one blank are tokens, too: they can be triggers.
func tokens(text string, out []token) []token {
	out = out[:0]
	const (
		none = iota
		word
		sign
		blank
	)
	kind, start, h := none, 0, uint64(0)
	flush := func(end int) {
		if kind == none || kind == blank && end-start == 1 {
			return
		}
		out = append(out, token{start, end, mix(h)})
	}
	for i, r := range text {
		k := sign
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '\'' || unicode.IsMark(r):
			k = word
			r = unicode.ToLower(r)
		case unicode.IsSpace(r):
			k = blank
		}
		if k != kind {
			flush(i)
			if len(out) >= maxTokens {
				return out
			}
			kind, start, h = k, i, 0xcbf29ce484222325
		}
		h = (h ^ uint64(r)) * 0x100000001b3 // FNV-1a over runes
	}
	flush(len(text))
	return out
}

// bags are texts as hashed words and pairs of words (Weinberger et al. 2009).
type bags struct {
	set  *Set
	bits uint
	of   [][]uint32 // distinct features of each text, ascending
	df   []int32    // texts that have the feature
}

func newBags(s *Set) *bags {
	b := &bags{set: s, bits: 18, of: make([][]uint32, s.Len())}
	if len(s.Labels) > 16 { // tables of feature × label stay below 64 MB
		b.bits = 16
	}
	b.df = make([]int32, 1<<b.bits)
	var list []token
	for i, text := range s.Texts {
		list = tokens(text, list)
		own := make([]uint32, 0, min(2*len(list), maxBag))
		for j, t := range list {
			if len(own)+2 > maxBag {
				break
			}
			own = append(own, b.feature(t.hash))
			if j > 0 {
				own = append(own, b.feature(mix(list[j-1].hash*31+t.hash)))
			}
		}
		slices.Sort(own)
		own = slices.Clip(slices.Compact(own))
		b.of[i] = own
		for _, f := range own {
			b.df[f]++
		}
	}
	return b
}

func (b *bags) feature(h uint64) uint32 { return uint32(h >> (64 - b.bits)) }

// table counts texts per feature and label: table[feature*labels+label].
func (b *bags) table() []int32 {
	k := len(b.set.Labels)
	out := make([]int32, len(b.df)*k)
	for i, own := range b.of {
		l := int(b.set.Label[i])
		for _, f := range own {
			out[int(f)*k+l]++
		}
	}
	return out
}

// bayes votes by multinomial naive Bayes; the text's own words are taken out of
// the counts first, which is leaving it out exactly.
func (b *bags) bayes() *votes {
	s, k := b.set, len(b.set.Labels)
	v := newVotes(s.Len(), k)
	n := &naive{bags: b, counts: b.table(), labels: counts(s)}
	n.sum()
	ll := make([]float64, k)
	for i := range s.Len() {
		n.score(int32(i), true, nil, ll)
		// Words are not independent, so the sum of their evidence is too sure:
		// it counts by the root of their number.
		scale := 1 / math.Sqrt(float64(len(b.of[i])+1))
		p := v.row(i)
		for c := range p {
			p[c] = float32(3 * scale * ll[c])
		}
		softmax(p)
	}
	return v
}

// naive is a naive Bayes model whose counts may be changed.
type naive struct {
	*bags
	counts []int32
	labels []int
	mass   []float64 // of words per label
	vocab  float64
}

func (n *naive) sum() {
	k := len(n.set.Labels)
	n.mass = make([]float64, k)
	n.vocab = 0
	for f := range n.df {
		if n.df[f] > 0 {
			n.vocab++
		}
		for c := range k {
			n.mass[c] += float64(n.counts[f*k+c])
		}
	}
}

// take removes texts from the counts (sign -1) or puts them back (+1).
func (n *naive) take(rows []int32, sign int32) {
	k := len(n.set.Labels)
	for _, i := range rows {
		l := n.set.Label[i]
		for _, f := range n.of[i] {
			n.counts[int(f)*k+int(l)] += sign
		}
		n.mass[l] += float64(sign) * float64(len(n.of[i]))
		n.labels[l] += int(sign)
	}
}

const smoothing = 0.3

// score writes the log-likelihood of the text under each label; apart says that
// the text is in the counts and has to be left out; without are features that
// are not looked at.
func (n *naive) score(i int32, apart bool, without map[uint32]bool, out []float64) {
	k := len(out)
	own := -1
	size := 0.0
	if apart {
		own, size = int(n.set.Label[i]), float64(len(n.of[i]))
	}
	for c := range out {
		out[c] = 0
	}
	total := make([]float64, k)
	for c := range total {
		total[c] = n.mass[c] + smoothing*n.vocab
		if c == own {
			total[c] -= size
		}
		total[c] = math.Log(math.Max(total[c], 1e-9))
	}
	for _, f := range n.of[i] {
		if without[f] {
			continue
		}
		for c := range out {
			x := float64(n.counts[int(f)*k+c])
			if c == own {
				x--
			}
			out[c] += math.Log(x+smoothing) - total[c]
		}
	}
}

// linear votes by logistic regression on tf-idf weights of the other folds.
func (b *bags) linear() *votes {
	s, k := b.set, len(b.set.Labels)
	n := s.Len()
	v := newVotes(n, k)
	idf := make([]float32, len(b.df))
	for f, d := range b.df {
		if d > 0 {
			idf[f] = float32(math.Log(float64(n+1) / float64(d)))
		}
	}
	order, p := shuffled(n, 42), make([]float32, k)
	shares := func(w, bias []float32, i int) (norm float32) {
		copy(p, bias)
		for _, f := range b.of[i] {
			norm += idf[f] * idf[f]
		}
		norm = 1 / float32(math.Sqrt(float64(norm)+1e-9))
		for _, f := range b.of[i] {
			x := idf[f] * norm
			for c, weight := range w[int(f)*k : int(f)*k+k] {
				p[c] += weight * x
			}
		}
		softmax(p)
		return norm
	}
	for f := range folds {
		w, g := make([]float32, len(b.df)*k), make([]float32, len(b.df)*k)
		bias := make([]float32, k)
		for range min(passes(n, k), 8) {
			for _, at := range order {
				i := int(at)
				if foldOf(i) == f {
					continue
				}
				norm := shares(w, bias, i)
				p[s.Label[i]]--
				for _, f := range b.of[i] {
					x := idf[f] * norm
					base := int(f) * k
					for c, diff := range p {
						if d := diff * x; d > 1e-4 || d < -1e-4 {
							g[base+c] += d * d
							w[base+c] -= 0.5 * d / float32(math.Sqrt(float64(g[base+c])+1e-6))
						}
					}
				}
				for c, diff := range p {
					bias[c] -= 0.01 * diff
				}
			}
		}
		for i := range n {
			if foldOf(i) == f {
				shares(w, bias, i)
				copy(v.row(i), p)
			}
		}
	}
	return v
}

// clipped is text without what would break a line, at most 40 runes.
func clipped(text string) string {
	n := 0
	for i := range text {
		if n++; n > 40 {
			return text[:i] + "…"
		}
	}
	if !utf8.ValidString(text) {
		return "(no UTF-8)"
	}
	return text
}
