package screen

import "math"

// logTail is the natural logarithm of the probability that at least k of n
// independent trials succeed, each with probability p (the exact binomial test).
func logTail(k, n int, p float64) float64 {
	switch {
	case k <= 0 || p >= 1:
		return 0
	case k > n || p <= 0:
		return math.Inf(-1)
	}
	lp, lq := math.Log(p), math.Log1p(-p)
	lgN, _ := math.Lgamma(float64(n + 1))
	term := func(i int) float64 {
		a, _ := math.Lgamma(float64(i + 1))
		b, _ := math.Lgamma(float64(n - i + 1))
		return lgN - a - b + float64(i)*lp + float64(n-i)*lq
	}
	// Terms fall from the mode on, so that the sum may stop when they no longer count.
	sum, mode := math.Inf(-1), int(float64(n)*p)
	for i := k; i <= n; i++ {
		t := term(i)
		sum = logAdd(sum, t)
		if i > mode && t < sum-40 {
			break
		}
	}
	return math.Min(sum, 0)
}

func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// random is a small deterministic generator (SplitMix64, Steele et al. 2014).
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	return mix(uint64(*r))
}

func (r *random) intn(n int) int   { return int(r.next() % uint64(n)) }
func (r *random) float32() float32 { return float32(r.next()>>40) / (1 << 24) }

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// shuffled returns 0 to n-1 in an order that depends on n and the seed only.
func shuffled(n int, seed uint64) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(i)
	}
	r := random(seed)
	for i := n - 1; i > 0; i-- {
		j := r.intn(i + 1)
		out[i], out[j] = out[j], out[i]
	}
	return out
}
