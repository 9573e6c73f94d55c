package screen

import "math"

// The forest: extremely randomised trees (Geurts, Ernst, Wehenkel, Machine
// Learning 2006), each grown on a sample; a row is judged by the trees that did
// not see it.
const (
	trees       = 60
	treeSample  = 8192 // rows of one tree, at most
	treeDepth   = 18
	leafMinimum = 3
)

type treeNode struct {
	column      int32 // -1: a leaf
	left, right int32 // of a leaf: left is where its shares begin
	cut         float32
}

type grower struct {
	m       *dense
	label   []int32
	classes int
	rand    random
	nodes   []treeNode
	shares  []float32
	prior   []float32
}

// forest votes by trees that did not see the row.
func forest(m *dense, label []int32, classes int, w *watch) (*votes, error) {
	v := newVotes(m.n, classes)
	seen := make([]int, m.n) // trees that voted
	prior := priors(label, classes)
	grow := min(treeSample, m.n*2/3)
	for t := range trees {
		if err := w.step("forest", t, trees); err != nil {
			return nil, err
		}
		order := shuffled(m.n, uint64(t)*7919+1)
		g := &grower{m: m, label: label, classes: classes, rand: random(t + 1), prior: prior}
		g.grow(order[:grow], 0)
		for _, i := range order[grow:] {
			seen[i]++
			out := v.row(int(i))
			for c, p := range g.at(m.row(int(i))) {
				out[c] += p
			}
		}
	}
	for i := range m.n {
		out := v.row(i)
		for c := range out {
			out[c] = (out[c] + prior[c]) / float32(seen[i]+1)
		}
	}
	return v, nil
}

func (g *grower) grow(rows []int32, depth int) int32 {
	at := int32(len(g.nodes))
	g.nodes = append(g.nodes, treeNode{column: -1})
	column, cut, ok := g.split(rows, depth)
	if !ok {
		g.leaf(at, rows)
		return at
	}
	mid := 0
	for i, r := range rows {
		if g.m.row(int(r))[column] < cut {
			rows[i], rows[mid] = rows[mid], rows[i]
			mid++
		}
	}
	if mid == 0 || mid == len(rows) {
		g.leaf(at, rows)
		return at
	}
	left := g.grow(rows[:mid], depth+1)
	right := g.grow(rows[mid:], depth+1)
	g.nodes[at] = treeNode{column: int32(column), left: left, right: right, cut: cut}
	return at
}

func (g *grower) leaf(at int32, rows []int32) {
	g.nodes[at].left = int32(len(g.shares))
	base := len(g.shares)
	g.shares = append(g.shares, g.prior...)
	out := g.shares[base:]
	for _, r := range rows {
		out[g.label[r]]++
	}
	for c := range out {
		out[c] /= float32(len(rows) + 1)
	}
}

// split takes the best of √d random columns, each cut between two random rows.
func (g *grower) split(rows []int32, depth int) (column int, cut float32, ok bool) {
	if len(rows) < 2*leafMinimum || depth >= treeDepth {
		return 0, 0, false
	}
	pure := true
	for _, r := range rows[1:] {
		if g.label[r] != g.label[rows[0]] {
			pure = false
			break
		}
	}
	if pure {
		return 0, 0, false
	}
	tries := int(math.Sqrt(float64(g.m.d))) + 1
	left, right := make([]float32, g.classes), make([]float32, g.classes)
	best := float32(-1)
	for range tries {
		c := g.rand.intn(g.m.d)
		a := g.m.row(int(rows[g.rand.intn(len(rows))]))[c]
		b := g.m.row(int(rows[g.rand.intn(len(rows))]))[c]
		if a == b {
			continue
		}
		at := a + (b-a)*(0.05+0.9*g.rand.float32())
		clear(left)
		clear(right)
		var nl, nr float32
		for _, r := range rows {
			if g.m.row(int(r))[c] < at {
				left[g.label[r]]++
				nl++
			} else {
				right[g.label[r]]++
				nr++
			}
		}
		if nl == 0 || nr == 0 {
			continue
		}
		var sl, sr float32
		for k := range left {
			sl += left[k] * left[k]
			sr += right[k] * right[k]
		}
		if gain := sl/nl + sr/nr; gain > best { // the purity of Gini
			best, column, cut, ok = gain, c, at, true
		}
	}
	return column, cut, ok
}

// at returns the shares of the leaf that the row falls into.
func (g *grower) at(row []float32) []float32 {
	n := g.nodes[0]
	for n.column >= 0 {
		if row[n.column] < n.cut {
			n = g.nodes[n.left]
		} else {
			n = g.nodes[n.right]
		}
	}
	return g.shares[n.left : int(n.left)+g.classes]
}
