package screen

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func randomRows(n, d int) *dense {
	r := rand.New(rand.NewPCG(1, 7))
	m := &dense{n: n, d: d, x: make([]float32, n*d)}
	for i := range n {
		crowd := r.IntN(4) > 0 // most rows are near one place
		for j := range d {
			m.x[i*d+j] = float32(r.NormFloat64())
			if crowd {
				m.x[i*d+j] /= 20
			}
		}
	}
	return m
}

func TestCellsAreEvenAndHoldEveryRowOnce(t *testing.T) {
	m := randomRows(exhaustive+1000, 6)
	refs := shuffled(m.n, 3)
	ix := newIndex(m, refs)
	var all []int32
	for _, cell := range ix.cells {
		if len(cell) > crowded*96 { // 95² < rows < 97²
			t.Errorf("a cell has %d rows", len(cell))
		}
		all = append(all, cell...)
	}
	slices.Sort(all)
	if len(all) != m.n || len(slices.Compact(all)) != m.n || ix.mid.n != len(ix.cells) {
		t.Errorf("%d rows are in %d cells", len(all), len(ix.cells))
	}
	// Rows that are all the same are halved as well.
	same := &dense{n: 100, d: 3, x: make([]float32, 300)}
	if parts := bisect(same, shuffled(100, 1), 10); len(parts) != 16 {
		t.Errorf("%d parts", len(parts))
	}
}

// The neighbours that are found are those that there are, or nearly so.
func TestNeighboursAreFoundThroughCells(t *testing.T) {
	m := randomRows(exhaustive+1000, 6)
	refs := shuffled(m.n, 3)
	ix, every := newIndex(m, refs), &index{m: m, norm: norms(m), cells: [][]int32{refs}}
	found, there := 0, 0
	for i := 0; i < m.n; i += 50 {
		through := ix.find(i, 10, nil, nil)
		for _, n := range every.find(i, 10, nil, nil) {
			there++
			if slices.ContainsFunc(through, func(o near) bool { return o.row == n.row }) {
				found++
			}
		}
	}
	if found*10 < there*9 {
		t.Errorf("%d of %d neighbours are found", found, there)
	}
}
