package screen

import "math"

// folds is how many parts cross-validation has: a row is judged by a model of
// the other parts.
const folds = 3

func foldOf(i int) int { return int(mix(uint64(i)+1) % folds) }

// passes is how often linear models see each row: small sets need more.
func passes(n, classes int) int {
	if classes > 32 {
		return 3
	}
	return min(max(200_000/n, 4), 30)
}

// linear votes by multinomial logistic regression, trained by AdaGrad (Duchi,
// Hazan, Singer, JMLR 2011) on the other folds.
func linear(m *dense, label []int32, classes int, w *watch) (*votes, error) {
	v := newVotes(m.n, classes)
	order := shuffled(m.n, 42)
	d := m.d + 1
	p := make([]float32, classes)
	for f := range folds {
		weights, g := make([]float32, classes*d), make([]float32, classes*d)
		for pass, all := 0, passes(m.n, classes); pass < all; pass++ {
			if err := w.step("logistic regression", f*all+pass, folds*all); err != nil {
				return nil, err
			}
			for _, at := range order {
				i := int(at)
				if foldOf(i) == f {
					continue
				}
				x := m.row(i)
				linearShares(weights, d, x, p)
				for c := range p {
					diff := p[c]
					if int32(c) == label[i] {
						diff--
					}
					if diff > 1e-3 || diff < -1e-3 {
						adagrad(weights[c*d:(c+1)*d], g[c*d:(c+1)*d], x, diff)
					}
				}
			}
		}
		for i := range m.n {
			if foldOf(i) == f {
				linearShares(weights, d, m.row(i), v.row(i))
			}
		}
	}
	return v, nil
}

// linearShares is the softmax of the classes' linear scores; the last weight of
// each class is its bias.
func linearShares(w []float32, d int, x, out []float32) {
	for c := range out {
		own := w[c*d : (c+1)*d]
		out[c] = dot(x, own) + own[d-1]
	}
	softmax(out)
}

func softmax(v []float32) {
	top := v[0]
	for _, s := range v {
		top = max(top, s)
	}
	var sum float32
	for c := range v {
		v[c] = float32(math.Exp(float64(v[c] - top)))
		sum += v[c]
	}
	for c := range v {
		v[c] /= sum
	}
}

const (
	learning = 0.1
	decay    = 1e-4
)

func adagrad(w, g, x []float32, diff float32) {
	last := len(w) - 1
	for j, v := range x {
		if v == 0 {
			continue
		}
		s := diff*v + decay*w[j]
		g[j] += s * s
		w[j] -= learning * s / float32(math.Sqrt(float64(g[j]+1e-8)))
	}
	g[last] += diff * diff
	w[last] -= learning * diff / float32(math.Sqrt(float64(g[last]+1e-8)))
}
