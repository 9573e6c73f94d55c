//go:build unix

package model_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/corpus"
	"github.com/apexlogic/apex/internal/model/scan"
)

// spentTime is the CPU time of the process, the kernel's part too.
func spentTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A mutation changes a file as damage, or somebody with a purpose, does.
type mutation struct {
	name string
	// keeps says that a reader who seeks what it wants finds it all the same.
	keeps bool
	apply func(r *rand.Rand, b, other []byte) []byte
}

func mutations() []mutation {
	noise := func(r *rand.Rand, n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	return []mutation{
		{"cut", false, func(r *rand.Rand, b, _ []byte) []byte { return b[:r.IntN(len(b))] }},
		{"cut near the end", false, func(r *rand.Rand, b, _ []byte) []byte { return b[:len(b)-1-r.IntN(min(len(b), 64))] }},
		{"one byte changed", false, func(r *rand.Rand, b, _ []byte) []byte {
			b = bytes.Clone(b)
			b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
			return b
		}},
		{"bytes changed in the head", false, func(r *rand.Rand, b, _ []byte) []byte {
			b = bytes.Clone(b)
			for range 8 {
				b[r.IntN(min(len(b), 512))] = byte(r.Uint32())
			}
			return b
		}},
		{"a number made large", false, func(r *rand.Rand, b, _ []byte) []byte {
			b = bytes.Clone(b)
			at := r.IntN(len(b))
			for i := at; i < min(at+1+r.IntN(8), len(b)); i++ {
				b[i] = [3]byte{0xff, 0x7f, 0x80}[r.IntN(3)]
			}
			return b
		}},
		{"halves swapped", false, func(_ *rand.Rand, b, _ []byte) []byte { return slices.Concat(b[len(b)/2:], b[:len(b)/2]) }},
		{"followed by another", true, func(_ *rand.Rand, b, other []byte) []byte { return slices.Concat(b, other) }},
		{"followed by noise", true, func(r *rand.Rand, b, _ []byte) []byte { return slices.Concat(b, noise(r, 1+r.IntN(64))) }},
		{"followed by zeros", true, func(r *rand.Rand, b, _ []byte) []byte { return slices.Concat(b, make([]byte, 1+r.IntN(64))) }},
		{"behind noise", true, func(r *rand.Rand, b, _ []byte) []byte { return slices.Concat(noise(r, 1+r.IntN(64)), b) }},
	}
}

// TestNoDamageBreaksTheScanner scans the corpus with faults in it: nothing
// panics, and all is the same twice. APEX_ROBUST is how often each fault is
// made in each file, 1 by default; where it is set, the machine is taken for a
// quiet one and the CPU time that a file may cost is held too.
func TestNoDamageBreaksTheScanner(t *testing.T) {
	const longest, largest = 5 * time.Second, 256 << 10
	rounds, timed := 1, false
	if n, err := strconv.Atoi(os.Getenv("APEX_ROBUST")); err == nil {
		rounds, timed = n, true
	}
	s := model.New(scan.Limits{})
	var (
		all, kept int
		slowest   time.Duration
		slow      string
		other     = []byte("other")
		free      = map[string]int{} // what was blocked and is not, by mutation
		by        = map[string][]string{}
	)
	examine := func(name string, b []byte) scan.Result {
		before := spentTime(t)
		res := s.File(t.Context(), scan.Bytes(b), scan.Options{})
		if took := spentTime(t) - before; took > slowest {
			slowest, slow = took, name
		}
		for i := range res.Findings {
			if f := &res.Findings[i]; f.Rule == "scan.internal" {
				t.Errorf("%s: %s", name, f.Detail)
			}
		}
		all++
		return res
	}
	for _, cases := range []func(func(corpus.Case) bool){corpus.Malicious(), corpus.Benign()} {
		for c := range cases {
			for _, name := range slices.Sorted(maps.Keys(c.Files)) {
				b := c.Files[name]
				if len(b) == 0 || len(b) > largest && all%16 != 0 {
					continue
				}
				r := rand.New(rand.NewPCG(uint64(len(b)), uint64(all)))
				bad := c.Malicious && name == c.Main && s.File(t.Context(), scan.Bytes(b), scan.Options{}).Verdict >= scan.Suspicious
				for i, m := range mutations() {
					for range rounds {
						full := c.Name + "/" + name + ", " + m.name
						changed := m.apply(r, b, other)
						res := examine(full, changed)
						if (all+i)%16 == 0 && !reflect.DeepEqual(res, examine(full, changed)) {
							t.Errorf("%s: two results", full)
						}
						if bad && m.keeps {
							kept++
							if !res.Verdict.Blocked() {
								free[m.name]++
								if key := m.name + ": " + c.Technique; !slices.Contains(by[key], c.Name) {
									by[key] = append(by[key], c.Name)
								}
							}
						}
					}
				}
				if len(b) < largest {
					other = b
				}
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(by)) {
		t.Logf("let through: %s (%d): %s", key, len(by[key]), strings.Join(by[key][:min(len(by[key]), 4)], " "))
	}
	t.Logf("%d scans, the slowest took %v (%s)", all, slowest, slow)
	t.Logf("of %d malicious files with something before or behind them, not blocked: %v", kept, free)
	if timed && slowest > longest {
		t.Errorf("%s took %v of CPU time", slow, slowest)
	}
}
