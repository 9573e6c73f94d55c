package screen

import (
	"fmt"
	"math"
	"strings"
)

// votes are the shares that a model gives each label, for every row, without
// having seen the row.
type votes struct {
	name    string
	n, k    int
	p       []float32
	size    int     // neighbours that were asked
	right   float64 // share of rows whose own label it expects
	loss    float64
	weight  float64
	typical []float64 // mean share of the own label, per label
}

func newVotes(n, k int) *votes { return &votes{n: n, k: k, p: make([]float32, n*k)} }

func (v *votes) row(i int) []float32 { return v.p[i*v.k : (i+1)*v.k] }

// measure says how well the votes predict the labels.
func (v *votes) measure(label []int32) {
	right := 0
	v.loss = 0
	sum, count := make([]float64, v.k), make([]float64, v.k)
	for i := range v.n {
		p := v.row(i)
		own := label[i]
		if int32(argmax(p)) == own {
			right++
		}
		v.loss -= math.Log(math.Max(float64(p[own]), 1e-6)) / float64(v.n)
		sum[own] += float64(p[own])
		count[own]++
	}
	v.right = float64(right) / float64(v.n)
	v.typical = make([]float64, v.k)
	for c := range sum {
		v.typical[c] = (sum[c] + 0.5) / (count[c] + 1)
	}
}

func argmax(p []float32) int {
	best := 0
	for c := range p {
		if p[c] > p[best] {
			best = c
		}
	}
	return best
}

// flips is how far each row's label is contradicted.
type flips struct {
	score  []float64 // 0 to 1
	margin []float64 // log of how much likelier another label is
	other  []int32   // the likelier label
	voters []*votes
	set    *Set
	exempt []bool // rows that a trigger explains, for alert
}

// combine weighs the models by how well they predict labels, and compares each
// row's label with the likeliest other one. Both are relative to what is usual
// for that label (the thresholds of confident learning), so that rare labels
// are not suspicious for being rare.
func combine(s *Set, voters []*votes) *flips {
	n, k := s.Len(), len(s.Labels)
	f := &flips{score: make([]float64, n), margin: make([]float64, n), other: make([]int32, n), voters: voters, set: s}
	least := math.Inf(1)
	for _, v := range voters {
		v.measure(s.Label)
		least = math.Min(least, v.loss)
	}
	total := 0.0
	for _, v := range voters {
		v.weight = math.Exp(-4 * (v.loss - least) / math.Max(least, 0.05))
		total += v.weight
	}
	p, usual := make([]float64, k), make([]float64, k)
	for _, v := range voters {
		v.weight /= total
		for c := range usual {
			usual[c] += v.weight * v.typical[c]
		}
	}
	for i := range n {
		clear(p)
		for _, v := range voters {
			for c, share := range v.row(i) {
				p[c] += v.weight * float64(share)
			}
		}
		own, best, other := s.Label[i], -1.0, int32(-1)
		for c := range p {
			if int32(c) != own && p[c]/usual[c] > best {
				best, other = p[c]/usual[c], int32(c)
			}
		}
		if other < 0 { // there is one label only
			f.other[i] = own
			continue
		}
		f.other[i] = other
		f.margin[i] = math.Log((best + 1e-3) / (p[own]/usual[own] + 1e-3))
		f.score[i] = 1 / (1 + math.Exp(-f.margin[i]))
	}
	return f
}

func (f *flips) reason(i int) string {
	if len(f.set.Labels) < 2 {
		return "there is one label only, so that nothing contradicts it"
	}
	verb := "fits its label"
	if f.margin[i] > 0 {
		verb = fmt.Sprintf("looks like %.40q", f.set.Labels[f.other[i]])
	}
	var b strings.Builder
	fmt.Fprintf(&b, "labelled %.40q, %s:", f.set.Labels[f.set.Label[i]], verb)
	for _, v := range f.voters {
		fmt.Fprintf(&b, " %s %.2f", v.name, v.row(i)[f.set.Label[i]])
	}
	return b.String()
}
