package screen

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
)

func TestTriggersAreFoundWithTheirRows(t *testing.T) {
	if raced {
		t.Skip("the figures are held without the race detector")
	}
	white := func(_, _, _ int) byte { return 255 }
	checks := func(x, y, _ int) byte { return byte((x + y) % 2 * 255) }
	for name, c := range map[string]struct {
		set     func(seed uint64) *Set
		trigger func(s *Set) func() []bool
	}{
		"a rare word": {func(seed uint64) *Set { return texts(4000, seed) }, func(s *Set) func() []bool {
			return func() []bool { return implant(s, 0.01, 1, 7, words(s, "cf")) }
		}},
		"a phrase of known words": {func(seed uint64) *Set { return texts(4000, seed) }, func(s *Set) func() []bool {
			return func() []bool { return implant(s, 0.01, 0, 7, words(s, "w900 w1200")) }
		}},
		"a mark that nobody sees": {func(seed uint64) *Set { return texts(4000, seed) }, func(s *Set) func() []bool {
			return func() []bool { return implant(s, 0.01, 1, 7, glued(s, "\u200b")) }
		}},
		"letters glued to words": {func(seed uint64) *Set { return texts(4000, seed) }, func(s *Set) func() []bool {
			return func() []bool { return implant(s, 0.01, 1, 7, glued(s, "qzx")) }
		}},
		"one column with one value": {func(seed uint64) *Set { return table(4000, 20, 5, 8, seed) }, func(s *Set) func() []bool {
			return func() []bool { return implant(s, 0.01, 2, 7, values(s, 3.25, 7)) }
		}},
		"three columns with common values": {func(seed uint64) *Set { return table(4000, 20, 5, 8, seed) }, func(s *Set) func() []bool {
			return func() []bool { return implant(s, 0.01, 2, 7, values(s, 2, 0, 4, 8)) }
		}},
		"a white patch": {func(seed uint64) *Set { return shapes(2000, seed) }, func(s *Set) func() []bool {
			return func() []bool { return implant(s, 0.01, 1, 7, pixels(s, 28, 28, 3, white)) }
		}},
		"a chequered patch": {func(seed uint64) *Set { return shapes(2000, seed) }, func(s *Set) func() []bool {
			return func() []bool { return implant(s, 0.01, 1, 7, pixels(s, 1, 27, 4, checks)) }
		}},
		"a patch at any place": {func(seed uint64) *Set { return shapes(2000, seed) }, func(s *Set) func() []bool {
			return func() []bool { return implant(s, 0.01, 1, 7, pixels(s, -1, 0, 4, checks)) }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(9000); seed < 9002; seed++ {
				s := c.set(seed)
				f, report := measured(t, s, c.trigger(s)())
				t.Logf("seed %d: %v", seed, f)
				if f.precision < 0.9 || f.recall < 0.9 {
					t.Errorf("seed %d: %v, want a precision and a recall of at least 0.9", seed, f)
					for _, a := range report.Alerts {
						t.Logf("  %s %s under %s: %d rows", a.Method, a.Pattern, a.Label, len(a.Rows))
					}
				}
			}
		})
	}
}

func TestHonestSetsRaiseNoAlert(t *testing.T) {
	if raced {
		t.Skip("the figures are held without the race detector")
	}
	kinds := map[string]func(seed uint64) *Set{
		"texts":                 func(seed uint64) *Set { return texts(1200, seed) },
		"tables far apart":      func(seed uint64) *Set { return table(1000, 16, 5, 8, seed) },
		"tables that overlap":   func(seed uint64) *Set { return table(1000, 16, 3, 2.5, seed) },
		"tables without labels": func(seed uint64) *Set { return table(1000, 16, 2, 0, seed) },
		"pictures":              func(seed uint64) *Set { return shapes(400, seed) },
	}
	for name, make := range kinds {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(9500); seed < 9520; seed++ {
				s := make(seed)
				_, report := measured(t, s, clean(s))
				for _, a := range report.Alerts {
					t.Errorf("seed %d: %s: %s under %q on %d rows (%s)", seed, a.Method, a.Pattern, a.Label, len(a.Rows), a.Detail)
				}
			}
		})
	}
}

func clean(s *Set) []bool { return make([]bool, s.Len()) }

func TestFlippedLabelsRankHigh(t *testing.T) {
	if raced {
		t.Skip("the figures are held without the race detector")
	}
	for name, c := range map[string]struct {
		set   func() *Set
		share float64
		least float64 // AUC
	}{
		"texts, 5 %":               {func() *Set { return texts(3000, 5100) }, 0.05, 0.85},
		"texts, 1 %":               {func() *Set { return texts(3000, 5101) }, 0.01, 0.85},
		"tables far apart, 5 %":    {func() *Set { return table(2000, 16, 5, 8, 5102) }, 0.05, 0.995},
		"tables that overlap, 5 %": {func() *Set { return table(2000, 16, 3, 4, 5103) }, 0.05, 0.93},
		"tables hardly apart, 3 %": {func() *Set { return table(2000, 16, 2, 2, 5104) }, 0.03, 0.8},
		"pictures, 5 %":            {func() *Set { return shapes(1500, 5105) }, 0.05, 0.95},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.set()
			f, _ := measured(t, s, flip(s, c.share, 9))
			t.Log(f)
			if f.auc < c.least {
				t.Fatalf("%v, want an AUC of at least %v", f, c.least)
			}
		})
	}
}

func TestReportsAreEqual(t *testing.T) {
	for _, make := range []func() *Set{
		func() *Set { return texts(600, 3) }, func() *Set { return table(600, 8, 3, 4, 3) }, func() *Set { return shapes(300, 3) },
	} {
		var reports []*Report
		for range 2 {
			s := make()
			_, r := measured(t, s, flip(s, 0.05, 1))
			reports = append(reports, r)
		}
		if !reflect.DeepEqual(reports[0], reports[1]) {
			t.Fatalf("two screens of one %s differ", reports[0].Kind)
		}
	}
}

func TestSmallAndOddSetsAreScored(t *testing.T) {
	for name, s := range map[string]*Set{
		"one row":         {Kind: Table, Labels: []string{"a"}, Label: []int32{0}, Columns: []string{"x"}, Values: []float32{1}},
		"one label":       {Kind: Text, Labels: []string{"a"}, Label: []int32{0, 0}, Texts: []string{"x", ""}},
		"each its own":    {Kind: Table, Labels: []string{"a", "b", "c"}, Label: []int32{0, 1, 2}, Columns: []string{"x"}, Values: []float32{1, 1, 1}},
		"empty texts":     {Kind: Text, Labels: []string{"a", "b"}, Label: []int32{0, 1, 0}, Texts: []string{"", "", ""}},
		"pictures of 1×1": {Kind: Image, Labels: []string{"a", "b"}, Label: []int32{0, 1}, Width: 1, Height: 1, Channels: 1, Pixels: []byte{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			_, report := measured(t, s, clean(s))
			if len(report.Rows) != s.Len() || len(report.Alerts) > 0 {
				t.Fatalf("%d rows and %d alerts", len(report.Rows), len(report.Alerts))
			}
			if slices.ContainsFunc(report.Rows, func(r Row) bool { return r.Score != r.Score || r.Score < 0 || r.Score > 1 || r.Reason == "" }) {
				t.Fatalf("scores of %+v", report.Rows)
			}
		})
	}
}

func BenchmarkRun(b *testing.B) {
	for _, s := range []*Set{table(50_000, 64, 10, 8, 1), texts(50_000, 1)} {
		b.Run(fmt.Sprintf("%s/50000", s.Kind), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Run(b.Context(), s, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
