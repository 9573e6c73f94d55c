package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/advisory/fleet"
	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
	"github.com/apexlogic/apex/internal/fact"
)

// shared returns the folder of shared advisories: under $APEX_SHARED, else in a
// folder "shared" beside one of the folders above.
func shared(tb testing.TB) string {
	tb.Helper()
	if root := os.Getenv("APEX_SHARED"); root != "" {
		return filepath.Join(root, "advisories")
	}
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		path := filepath.Join(dir, "shared", "advisories")
		if _, err := os.Stat(path); err == nil {
			return path
		}
		up := filepath.Dir(dir)
		if up == dir {
			tb.Skip("the shared advisories are not here; name their folder with APEX_SHARED")
		}
		dir = up
	}
}

func readFeed(tb testing.TB, path string) []*osv.Record {
	tb.Helper()
	var out []*osv.Record
	for r, err := range osv.RecordsFile(context.Background(), path) {
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// days returns the real deltas, in order, and their dates.
func days(tb testing.TB) (dates []time.Time, records [][]*osv.Record) {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(shared(tb), "deltas", "*.jsonl.gz"))
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no deltas: %v", err)
	}
	slices.Sort(paths)
	for _, p := range paths {
		date, err := time.Parse(time.DateOnly, strings.TrimSuffix(filepath.Base(p), ".jsonl.gz"))
		if err != nil {
			tb.Fatal(err)
		}
		dates, records = append(dates, date), append(records, readFeed(tb, p))
	}
	return dates, records
}

func build(tb testing.TB, in snapshot.Input) *snapshot.Snapshot {
	tb.Helper()
	s, err := snapshot.Build(in)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// firstDay is the base of the real deltas.
func firstDay(tb testing.TB) *snapshot.Snapshot {
	return build(tb, snapshot.Input{
		Taken: time.Date(2026, 6, 23, 0, 0, 0, 0, time.UTC),
		Feeds: []snapshot.Feed{{Name: "PyPI", Records: readFeed(tb, filepath.Join(shared(tb), "pypi-2026-06-23.jsonl.gz"))}},
	})
}

func packagesOf(s *snapshot.Snapshot) (out []*snapshot.Package) {
	for i := range s.Packages() {
		out = append(out, s.Package(i))
	}
	return out
}

// generate returns n inventories of size packages. share percent are of the
// known ones, in versions that advisories list and in others; the rest has no
// advisories.
func generate(rng *rand.Rand, known []*snapshot.Package, n, size, share int) [][]fact.Package {
	out := make([][]fact.Package, n)
	for i := range out {
		out[i] = make([]fact.Package, 0, size)
		for range size {
			p := fact.Package{Ecosystem: "PyPI", Layer: -1}
			if rng.IntN(100) < share {
				of := known[rng.IntN(len(known))]
				p.Name = of.Name.Name
				switch k := rng.IntN(8); {
				case k < 5 && len(of.Versions) > 0:
					p.Version = of.Versions[rng.IntN(len(of.Versions))]
				case k == 5 && len(of.Versions) > 0:
					p.Version = of.Versions[rng.IntN(len(of.Versions))] + "+cu121"
				case k == 6:
					p.Version = fmt.Sprintf("%d.%d.%drc%d", rng.IntN(6), rng.IntN(20), rng.IntN(10), rng.IntN(3))
				default:
					p.Version = fmt.Sprintf("%d.%d.%d", rng.IntN(6), rng.IntN(20), rng.IntN(10))
				}
			} else {
				p.Name = fmt.Sprintf("lib-%d", rng.IntN(20000))
				p.Version = fmt.Sprintf("%d.%d.%d", rng.IntN(3), rng.IntN(5), rng.IntN(4))
			}
			out[i] = append(out[i], p)
		}
	}
	return out
}

// table is what somebody has who follows the events.
type table map[string]fleet.Verdict

func packageKey(workload string, v *fleet.Verdict) string {
	return workload + "\x00" + v.Ecosystem + "\x00" + v.Name
}

func key(workload string, v *fleet.Verdict) string { return packageKey(workload, v) + "\x00" + v.Group }

func (t table) follow(events []fleet.Event) {
	for _, e := range events {
		for _, w := range e.Workloads {
			if e.Was != nil {
				delete(t, key(w, e.Was))
			}
		}
	}
	for _, e := range events {
		for _, w := range e.Workloads {
			if e.Verdict != nil {
				t[key(w, e.Verdict)] = *e.Verdict
			}
		}
	}
}

// lines writes a table in order, one verdict a line.
func (t table) lines(tb testing.TB) string {
	tb.Helper()
	keys := make([]string, 0, len(t))
	for k := range t {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var b strings.Builder
	for _, k := range keys {
		v := t[k]
		line, err := json.Marshal(v)
		if err != nil {
			tb.Fatal(err)
		}
		b.WriteString(k)
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// rescan evaluates everything.
func rescan(f *fleet.Fleet) table {
	t := table{}
	for w, vs := range f.All() {
		for i := range vs {
			t[key(w, &vs[i])] = vs[i]
		}
	}
	return t
}

// same fails the test with the first line that differs.
func same(tb testing.TB, got, want string) {
	tb.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			tb.Fatalf("line %d of %d and %d:\n got %s\nwant %s", i, len(g), len(w), g[i], w[i])
		}
	}
	tb.Fatalf("%d lines, want %d", len(g), len(w))
}

func TestFollowingTheEventsOfAllRealDeltasGivesWhatAFullRescanGives(t *testing.T) {
	dates, records := days(t)
	snap := firstDay(t)
	last := build(t, snapshot.Input{Taken: dates[len(dates)-1], Feeds: []snapshot.Feed{{Name: "PyPI", Records: readFeed(t, filepath.Join(shared(t), "pypi-2026-07-23.jsonl.gz"))}}})

	f := fleet.New(advisory.New(snap))
	rng := rand.New(rand.NewPCG(1, 2))
	for i, packages := range generate(rng, packagesOf(last), 150, 60, 50) {
		w := fmt.Sprintf("ns/w%03d", i)
		if err := f.Add(w, fmt.Sprintf("sha256:%064d", i), packages); err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 { // some run two inventories, some share one
			if err := f.Add(w, fmt.Sprintf("sha256:%064d", i-1), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	followed := rescan(f)
	if len(followed) < 1000 {
		t.Fatalf("only %d verdicts to begin with", len(followed))
	}
	total, alerts := 0, 0
	for i := range dates {
		before := map[string][]fleet.Verdict{}
		for w, vs := range f.All() {
			for i := range vs {
				before[packageKey(w, &vs[i])] = append(before[packageKey(w, &vs[i])], vs[i])
			}
		}
		snap = build(t, snapshot.Input{Taken: dates[i], Base: snap, Feeds: []snapshot.Feed{{Name: "PyPI", Records: records[i], Partial: true}}})
		delta, events := f.Apply(advisory.New(snap))
		followed.follow(events)
		after := rescan(f)
		same(t, followed.lines(t), after.lines(t))
		total += len(events)
		for _, e := range events {
			if e.Alert {
				alerts++
				honest(t, e, before)
			}
			if e.Verdict != nil && e.Was != nil && e.Kind != fleet.Changed || len(e.Workloads) == 0 || len(e.Reasons) == 0 {
				t.Fatalf("a malformed event: %+v", e)
			}
		}
		t.Logf("%s: %d records: %d new, %d reissued, %d changed, %d withdrawn, %d events", dates[i].Format(time.DateOnly),
			len(records[i]), len(delta.Added), len(delta.Reissued), len(delta.Changed), len(delta.Withdrawn), len(events))
	}
	if total == 0 || alerts == 0 || alerts == total {
		t.Fatalf("%d events, %d alerts: nothing was tested", total, alerts)
	}
	if snap.Digest() != last.Digest() {
		t.Errorf("the deltas lead to %d records and %s, the last day has %d and %s", snap.Len(), snap.Digest(), last.Len(), last.Digest())
	}
}

// honest fails when an alert is about a vulnerability that the workload was
// known to have, in a package of that name, and that did not get worse. before
// is by workload, ecosystem and name.
func honest(t *testing.T, e fleet.Event, before map[string][]fleet.Verdict) {
	t.Helper()
	names := map[string]bool{}
	for _, n := range append(slices.Clone(e.Verdict.IDs), e.Verdict.Aliases...) {
		names[n] = true
	}
	for _, w := range e.Workloads {
		for _, v := range before[packageKey(w, e.Verdict)] {
			known := slices.ContainsFunc(append(slices.Clone(v.IDs), v.Aliases...), func(n string) bool { return names[n] })
			if known && v.Status >= e.Verdict.Status && v.Severity >= e.Verdict.Severity {
				t.Fatalf("%s: an alert about %s %v, which was known as %s %v", w, e.Verdict.Group, e.Verdict.IDs, v.Group, v.IDs)
			}
		}
	}
}
