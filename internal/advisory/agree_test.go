package advisory_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
	"github.com/apexlogic/apex/internal/fact"
)

// indexOf makes an index of JSON lines.
func indexOf(tb testing.TB, lines []byte) *advisory.Index {
	tb.Helper()
	var records []*osv.Record
	for r, err := range osv.Records(tb.Context(), bytes.NewReader(lines), int64(len(lines))) {
		if err != nil {
			tb.Fatal(err)
		}
		records = append(records, r)
	}
	s, err := snapshot.Build(snapshot.Input{Taken: time.Date(2026, 8, 22, 0, 0, 0, 0, time.UTC), Feeds: []snapshot.Feed{{Name: "test", Records: records}}})
	if err != nil {
		tb.Fatal(err)
	}
	return advisory.New(s)
}

// agree holds the index to the reference for every package: the affected ids
// must be the same, and what is unclear must not be silent.
func agree(t *testing.T, lines []byte, packages []fact.Package) (affected int) {
	t.Helper()
	x := indexOf(t, lines)
	byName, byID := map[string][]*reference{}, map[string]*reference{}
	all := references(t, lines)
	for i := range all {
		byID[all[i].ID] = &all[i]
		for _, a := range all[i].Affected {
			k := a.Package.Ecosystem + "\x00" + strings.ToLower(punctuation.ReplaceAllString(a.Package.Name, "-"))
			if !slices.Contains(byName[k], &all[i]) {
				byName[k] = append(byName[k], &all[i])
			}
		}
	}
	got := map[int]map[string]judgement{}
	for _, m := range x.Match(packages) {
		if got[m.Package] == nil {
			got[m.Package] = map[string]judgement{}
		}
		for _, id := range m.IDs {
			if _, twice := got[m.Package][id]; twice {
				t.Errorf("%s is in two findings about %+v", id, m.Target)
			}
			got[m.Package][id] = unclear
			if m.Status == advisory.Affected {
				got[m.Package][id] = vulnerable
			}
		}
	}
	missed, extra := 0, 0
	for i := range packages {
		p := &packages[i]
		for _, r := range byName[p.Ecosystem+"\x00"+strings.ToLower(punctuation.ReplaceAllString(p.Name, "-"))] {
			want, have := r.affects(p.Ecosystem, p.Name, p.Version), got[i][r.ID]
			switch {
			case want == vulnerable && have != vulnerable:
				missed++
				t.Errorf("%s %s %q is affected by %s, and that was not found (%d)", p.Ecosystem, p.Name, p.Version, r.ID, have)
			case want != vulnerable && have == vulnerable:
				extra++
				t.Errorf("%s %s %q is not affected by %s (%d), and that was found", p.Ecosystem, p.Name, p.Version, r.ID, want)
			case want == unclear && have == safe && !explained(got[i], r, byID):
				t.Errorf("%s %s %q: whether %s affects it cannot be told, and nothing was said", p.Ecosystem, p.Name, p.Version, r.ID)
			case want == vulnerable:
				affected++
			}
			if t.Failed() && missed+extra > 10 {
				t.FailNow()
			}
		}
	}
	return affected
}

// explained reports whether a sure finding about the same vulnerability stands
// in for an unclear record.
func explained(got map[string]judgement, r *reference, byID map[string]*reference) bool {
	for id, j := range got {
		if j == vulnerable && slices.ContainsFunc(byID[id].Aliases, func(a string) bool { return slices.Contains(r.Aliases, a) }) {
			return true
		}
	}
	return false
}

func TestRealAdvisoriesMatchAsTheReferenceSays(t *testing.T) {
	lines := unzipped(t, shared(t, "pypi-2026-07-23.jsonl.gz"))
	rng := rand.New(rand.NewPCG(7, 7))
	var packages []fact.Package
	seen := map[string]bool{}
	add := func(name, version string) {
		if k := name + "\x00" + version; !seen[k] {
			seen[k] = true
			packages = append(packages, fact.Package{Ecosystem: "PyPI", Name: name, Version: version})
		}
	}
	counts := map[string]int{} // of the records about each name: the work grows with its square
	for _, r := range references(t, lines) {
		for _, a := range r.Affected {
			counts[a.Package.Name]++
		}
	}
	// From the bounds and the lists of each record: the version itself, the
	// neighbours of it, and the ways to write it.
	for _, r := range references(t, lines) {
		for _, a := range r.Affected {
			name := a.Package.Name
			var versions []string
			for _, g := range a.Ranges {
				if g.Type == "GIT" {
					continue
				}
				for _, e := range g.Events {
					for _, v := range e {
						versions = append(versions, v)
						if m := releaseOf.FindString(v); m != "" && m != v {
							versions = append(versions, m)
						}
					}
				}
			}
			if len(a.Versions) > 0 {
				versions = append(versions, a.Versions[rng.IntN(len(a.Versions))])
			}
			if most := max(1, 30/counts[name]); len(versions) > most {
				rng.Shuffle(len(versions), func(i, j int) { versions[i], versions[j] = versions[j], versions[i] })
				versions = versions[:most]
			}
			for _, v := range versions {
				if v == "0" {
					continue // as a bound it is no version
				}
				forms := []string{v, v + "+cu121", v + ".0", v + "rc1", v + ".post1", v + ".dev3", "v" + v, v + ".1", "1!" + v}
				add(name, forms[0])
				add(name, forms[rng.IntN(len(forms))])
				add(strings.ToUpper(strings.ReplaceAll(name, "-", "_.")), forms[rng.IntN(len(forms))])
			}
		}
	}
	affected := agree(t, lines, packages)
	t.Logf("%d packages, %d times affected", len(packages), affected)
	if affected < 100_000 {
		t.Errorf("only %d were affected", affected)
	}
}

func TestRealGoAdvisoriesMatchAsTheReferenceSays(t *testing.T) {
	lines := unzipped(t, shared(t, "go-2026-08-21.jsonl.gz"))
	var packages []fact.Package
	for i, r := range references(t, lines) {
		for _, a := range r.Affected {
			if a.Package.Name == "stdlib" && i%8 != 0 {
				continue // it has a hundred records, and each version asks all of them
			}
			for _, g := range a.Ranges {
				for _, e := range g.Events {
					for _, v := range e {
						if v == "0" {
							v = "0.0.0-20200101000000-abcdefabcdef"
						}
						forms := []string{"v" + v, "v" + v + "+incompatible", "v" + v + "-0.20300101000000-abcdefabcdef"}
						packages = append(packages, fact.Package{Ecosystem: "Go", Name: a.Package.Name, Version: forms[i%len(forms)]})
					}
				}
			}
		}
	}
	if affected := agree(t, lines, packages); affected < 3000 {
		t.Errorf("only %d were affected", affected)
	}
}

// feeds are the ecosystems of generated feeds, with versions to choose from.
func feeds(rng *rand.Rand) map[string]func() string {
	n := func(most int) int { return rng.IntN(most) }
	pick := func(all ...string) string { return all[rng.IntN(len(all))] }
	return map[string]func() string{
		"Debian:12": func() string {
			return pick("", "", "1:", "2:") + fmt.Sprintf("%d.%d", n(3), n(12)) + pick("", "", "~rc1", "+dfsg", "+git20200101", "a", "b2", ".0") + pick("", "-1", "-0.1", "-1+deb12u1", "-1+deb12u2", "-2~bpo12+1", "-10")
		},
		"Rocky Linux:9": func() string {
			return pick("0:", "", "1:") + fmt.Sprintf("%d.%d", n(3), n(12)) + pick("", "", "~rc1", "^git1", "a", ".0", ".01") + pick("-1.el9", "-2.el9_2", "-10.el9", "-1.el9_2.1", "-1.module+el9.0~1")
		},
		"Alpine:v3.20": func() string {
			return fmt.Sprintf("%d.%d", 1+n(3), 1+n(12)) + pick("", "", ".0", ".01", ".1", ".10") + pick("", "", "a", "b") + pick("", "", "_alpha", "_rc1", "_rc2", "_p1", "_git20200101", "_p") + pick("-r0", "-r1", "-r10")
		},
		"npm": func() string {
			return fmt.Sprintf("%d.%d.%d", n(3), n(4), n(12)) + pick("", "", "", "-alpha", "-alpha.1", "-alpha.beta", "-beta.2", "-beta.11", "-rc.1", "-1", "+build.1")
		},
		"PyPI": func() string {
			return pick("", "", "", "", "1!", "v") + fmt.Sprintf("%d.%d", n(3), n(12)) + pick("", "", ".0", ".0.0", ".1") + pick("", "", "a1", "b2", "rc1", "c2", "-pre", "_alpha.3") + pick("", "", ".post1", "-2", "r3") + pick("", "", "", ".dev1") + pick("", "", "", "+cu121", "+ubuntu.1", "+1.2")
		},
	}
}

func TestGeneratedFeedsMatchAsTheReferenceSays(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 13))
	for ecosystem, version := range feeds(rng) {
		t.Run(ecosystem, func(t *testing.T) {
			var lines bytes.Buffer
			var packages []fact.Package
			for i := range 400 {
				name := fmt.Sprintf("lib%d", i%40)
				kind := "ECOSYSTEM"
				if ecosystem == "npm" {
					kind = "SEMVER"
				}
				var ranges []map[string]any
				var versions []string
				if rng.IntN(4) == 0 {
					ranges = append(ranges, map[string]any{"type": "GIT", "repo": "https://example.com/r", "events": []map[string]string{{"introduced": "0"}, {"fixed": "abc"}}})
				}
				for range rng.IntN(3) {
					var events []map[string]string
					switch rng.IntN(7) {
					case 0:
						events = []map[string]string{{"introduced": "0"}, {"fixed": version()}}
					case 1:
						events = []map[string]string{{"introduced": version()}}
					case 2:
						events = []map[string]string{{"introduced": version()}, {"last_affected": version()}}
					case 3: // several pairs, in any order
						events = []map[string]string{{"fixed": version()}, {"introduced": "0"}, {"introduced": version()}, {"fixed": version()}, {"introduced": version()}}
					case 4:
						events = []map[string]string{{"introduced": "0"}, {"limit": version()}}
					case 5:
						events = []map[string]string{{"introduced": version()}, {"fixed": version()}, {"limit": "*"}}
					case 6:
						events = []map[string]string{{"introduced": "0"}, {"last_affected": version()}}
					}
					ranges = append(ranges, map[string]any{"type": kind, "events": events})
				}
				for range rng.IntN(4) {
					versions = append(versions, version())
				}
				r := map[string]any{
					"id": fmt.Sprintf("T-%03d", i), "modified": "2026-01-01T00:00:00Z",
					"affected": []any{map[string]any{"package": map[string]string{"ecosystem": ecosystem, "name": name}, "ranges": ranges, "versions": versions}},
				}
				if rng.IntN(20) == 0 {
					r["withdrawn"] = "2026-02-01T00:00:00Z"
				}
				line, err := json.Marshal(r)
				if err != nil {
					t.Fatal(err)
				}
				lines.Write(append(line, '\n'))
				for range 10 {
					packages = append(packages, fact.Package{Ecosystem: ecosystem, Name: name, Version: version()})
				}
			}
			affected := agree(t, lines.Bytes(), packages)
			t.Logf("%d packages, %d times affected", len(packages), affected)
			if affected < 1000 {
				t.Errorf("only %d were affected", affected)
			}
		})
	}
}
