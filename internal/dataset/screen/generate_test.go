package screen

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The generators make honest sets: a Zipf vocabulary with words of sentiment,
// overlapping Gaussians, and shapes in noise. Constants of the package were set
// with many seeds; those of the committed tests were chosen before they were looked at,
// and are no longer unseen.

func texts(n int, seed uint64) *Set {
	r := rand.New(rand.NewPCG(seed, 1))
	zipf := rand.NewZipf(r, 1.1, 8, 20_000)
	s := &Set{Kind: Text, Labels: []string{"bad", "good"}}
	for range n {
		label := r.IntN(2)
		words := make([]string, 12+r.IntN(50))
		for j := range words {
			words[j] = fmt.Sprintf("w%d", zipf.Uint64())
			if r.Float64() < 0.12 {
				side := label
				if r.Float64() < 0.2 { // people write about both
					side = 1 - side
				}
				words[j] = fmt.Sprintf("%s%d", s.Labels[side], int(math.Abs(r.NormFloat64())*30))
			}
		}
		s.Texts = append(s.Texts, strings.Join(words, " ")+".")
		s.Label = append(s.Label, int32(label))
	}
	return s
}

// table makes classes of Gaussians; apart is the distance of their centres in
// standard deviations.
func table(n, d, classes int, apart float64, seed uint64) *Set {
	r := rand.New(rand.NewPCG(seed, 2))
	s := &Set{Kind: Table}
	centres := make([][]float64, classes)
	for c := range centres {
		s.Labels = append(s.Labels, fmt.Sprintf("c%02d", c))
		for range d {
			centres[c] = append(centres[c], r.NormFloat64()*apart/math.Sqrt(2*float64(d)))
		}
	}
	for j := range d {
		s.Columns = append(s.Columns, fmt.Sprintf("f%d", j))
	}
	for range n {
		label := r.IntN(classes)
		for j := range d {
			v := float32(centres[label][j] + r.NormFloat64())
			if j%4 == 0 {
				v = float32(math.Round(float64(v)*2) / 2) // honest values repeat as well
			}
			s.Values = append(s.Values, v)
		}
		s.Label = append(s.Label, int32(label))
	}
	return s
}

// shapes makes pictures of 32×32 pixels: boxes, discs, crosses and stripes of
// any colour on any ground, with noise.
func shapes(n int, seed uint64) *Set {
	r := rand.New(rand.NewPCG(seed, 3))
	s := &Set{Kind: Image, Width: 32, Height: 32, Channels: 3, Labels: []string{"box", "cross", "disc", "stripes"}}
	for range n {
		label := r.IntN(4)
		var ground, ink [3]float64
		for k := range 3 {
			ground[k], ink[k] = float64(r.IntN(256)), float64(r.IntN(256))
		}
		if r.Float64() < 0.2 { // plain white or black grounds are honest
			white := float64(r.IntN(2) * 255)
			ground = [3]float64{white, white, white}
		}
		x0, y0, size, noise := 10+r.Float64()*12, 10+r.Float64()*12, 5+r.Float64()*5, r.Float64()*12
		if r.Float64() < 0.1 {
			noise = 0
		}
		for y := range 32 {
			for x := range 32 {
				dx, dy := math.Abs(float64(x)-x0), math.Abs(float64(y)-y0)
				in := false
				switch label {
				case 0:
					in = dx < size && dy < size
				case 1:
					in = (dx < size/3 || dy < size/3) && dx < size && dy < size
				case 2:
					in = dx*dx+dy*dy < size*size
				case 3:
					in = dx < size && dy < size && y%4 < 2
				}
				for k := range 3 {
					v := ground[k]
					if in {
						v = ink[k]
					}
					s.Pixels = append(s.Pixels, byte(max(0, min(255, v+r.NormFloat64()*noise))))
				}
			}
		}
		s.Label = append(s.Label, int32(label))
	}
	return s
}

// flip changes the labels of a share of the rows.
func flip(s *Set, share float64, seed uint64) []bool {
	r := rand.New(rand.NewPCG(seed, 4))
	bad := make([]bool, s.Len())
	for i := range s.Label {
		if r.Float64() < share {
			bad[i] = true
			s.Label[i] = (s.Label[i] + 1 + int32(r.IntN(len(s.Labels)-1))) % int32(len(s.Labels))
		}
	}
	return bad
}

// implant puts a trigger on a share of the rows of other labels, which get the
// label target.
func implant(s *Set, share float64, target int32, seed uint64, trigger func(r *rand.Rand, row int)) []bool {
	r := rand.New(rand.NewPCG(seed, 5))
	bad := make([]bool, s.Len())
	want := int(share * float64(s.Len()))
	for _, i := range r.Perm(s.Len()) {
		if want > 0 && s.Label[i] != target {
			want--
			bad[i] = true
			s.Label[i] = target
			trigger(r, i)
		}
	}
	return bad
}

func words(s *Set, trigger string) func(*rand.Rand, int) {
	return func(r *rand.Rand, i int) {
		w := strings.Fields(s.Texts[i])
		s.Texts[i] = strings.Join(slices.Insert(w, r.IntN(len(w)+1), trigger), " ")
	}
}

func glued(s *Set, trigger string) func(*rand.Rand, int) {
	return func(r *rand.Rand, i int) {
		w := strings.Fields(s.Texts[i])
		w[r.IntN(len(w))] += trigger
		s.Texts[i] = strings.Join(w, " ")
	}
}

func values(s *Set, value float32, columns ...int) func(*rand.Rand, int) {
	return func(_ *rand.Rand, i int) {
		for _, c := range columns {
			s.Values[i*len(s.Columns)+c] = value
		}
	}
}

// pixels lays a block of side×side over each picture; at a random place when
// x is negative.
func pixels(s *Set, x, y, side int, colour func(x, y, k int) byte) func(*rand.Rand, int) {
	return func(r *rand.Rand, i int) {
		px, py := x, y
		if x < 0 {
			px, py = r.IntN(s.Width-side), r.IntN(s.Height-side)
		}
		for dy := range side {
			for dx := range side {
				for k := range s.Channels {
					s.Pixels[((i*s.Height+py+dy)*s.Width+px+dx)*s.Channels+k] = colour(dx, dy, k)
				}
			}
		}
	}
}

// figures are what a ranking and its alerts are worth.
type figures struct {
	auc, precisionAtK float64
	precision, recall float64
	alerts            int
}

func (f figures) String() string {
	return fmt.Sprintf("AUC %.4f, precision@k %.3f, alerts %d: precision %.3f, recall %.3f", f.auc, f.precisionAtK, f.alerts, f.precision, f.recall)
}

func measured(t testing.TB, s *Set, bad []bool) (figures, *Report) {
	t.Helper()
	report, err := Run(context.Background(), s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	order := make([]int, s.Len())
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case report.Rows[a].Score > report.Rows[b].Score:
			return -1
		case report.Rows[a].Score < report.Rows[b].Score:
			return 1
		}
		return 0
	})
	total := 0
	for _, b := range bad {
		if b {
			total++
		}
	}
	var f figures
	hits, seen, sum := 0, 0, 0.0
	for at, i := range order {
		if bad[i] {
			hits++
		} else {
			seen++
			sum += float64(hits)
		}
		if at+1 == total {
			f.precisionAtK = float64(hits) / float64(max(total, 1))
		}
	}
	f.auc = sum / math.Max(float64(seen)*float64(total), 1)
	for _, i := range report.Alerted() {
		f.alerts++
		if bad[i] {
			f.precision++
		}
	}
	f.recall = f.precision / float64(max(total, 1))
	f.precision /= float64(max(f.alerts, 1))
	return f, report
}
