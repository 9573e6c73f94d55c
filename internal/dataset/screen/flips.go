package screen

import (
	"fmt"
	"math"
	"slices"
)

// Flips raise an alert only when they cannot be honest overlap. Where classes
// overlap, disagreement is frequent near the border and fades with the distance
// from it: its log-odds fall with the margin (for two Gaussians exactly so).
// Flips stay as frequent far from the border as near to it: they leave a floor.
const (
	flipMinimum = 5
	flipFloor   = 0.004 // share of rows; less is the noise of honest labelling
	flipChance  = -14   // natural logarithm of the probability: 1e-6
	flipSlack   = 1.5   // models are surer than they may be
	flipCeiling = 0.15  // share of disagreement of the surest third: beyond it the models are at fault
	flipSure    = 0.97  // what the models together have to give another label
)

// alert returns the rows whose labels contradict every model where the models
// are sure, or nil when honest overlap explains as many.
func (f *flips) alert() *Group {
	n, k := f.set.Len(), len(f.set.Labels)
	if k < 2 || n < 100 {
		return nil
	}
	// How sure the models are of whatever label they expect.
	sure, wrong := make([]float64, n), make([]bool, n)
	p := make([]float64, k)
	for i := range n {
		clear(p)
		for _, v := range f.voters {
			for c, share := range v.row(i) {
				p[c] += v.weight * float64(share)
			}
		}
		top, second := 0, -1.0
		for c := range p {
			if p[c] > p[top] {
				top = c
			}
		}
		for c := range p {
			if c != top {
				second = math.Max(second, p[c])
			}
		}
		sure[i] = math.Log((p[top] + 1e-3) / (second + 1e-3))
		wrong[i] = int32(top) != f.set.Label[i]
	}
	order := make([]int32, 0, n)
	for i := range n {
		if !f.exempt[i] {
			order = append(order, int32(i))
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		switch {
		case sure[a] < sure[b]:
			return -1
		case sure[a] > sure[b]:
			return 1
		}
		return 0
	})
	rate := func(rows []int32) (bad int, share float64) {
		for _, i := range rows {
			if wrong[i] {
				bad++
			}
		}
		return bad, (float64(bad) + 0.5) / (float64(len(rows)) + 1)
	}
	// The surest third is compared with what the thirds before it lead to expect.
	third := len(order) / 3
	_, low := rate(order[:third])
	_, mid := rate(order[third : 2*third])
	top := order[2*third:]
	bad, high := rate(top)
	logit := func(p float64) float64 { return math.Log(p / (1 - p)) }
	mean := func(rows []int32) (m float64) {
		for _, i := range rows {
			m += sure[i] / float64(len(rows))
		}
		return m
	}
	a, b, c := mean(order[:third]), mean(order[third:2*third]), mean(top)
	expected := mid
	if b > a && c > b {
		slope := math.Min((logit(mid)-logit(low))/(b-a), 0)
		expected = 1 / (1 + math.Exp(-(logit(mid) + slope*(c-b))))
	}
	// A floor that holds in the middle, too, flattens the slope; so compare with
	// what the models themselves claim as well.
	claimed := 0.0
	for _, i := range top {
		claimed += 1 / (1 + math.Exp(sure[i])) / float64(len(top))
	}
	expected = math.Max(flipSlack*math.Max(math.Min(expected, claimed), (expected+claimed)/4), flipFloor)
	chance := logTail(bad, len(top), expected)
	if bad < flipMinimum || chance > flipChance || high > flipCeiling {
		return nil
	}
	g := &Group{Method: "label disagreement", Pattern: "labels that all models contradict", Label: "", Chance: chance / math.Ln10,
		Detail: fmt.Sprintf("%d of the %d rows that the models are surest of carry another label; overlap explains %.1f", bad, len(top), expected*float64(len(top)))}
	limit := math.Inf(1)
	for _, i := range top {
		limit = math.Min(limit, sure[i])
	}
	for i := range n {
		if wrong[i] && !f.exempt[i] && sure[i] >= math.Max(limit, math.Log(flipSure/(1-flipSure))*0.5) {
			g.Rows = append(g.Rows, i)
		}
	}
	return g
}
