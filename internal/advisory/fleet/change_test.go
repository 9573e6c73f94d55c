package fleet_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
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

// advisoryOf is a record about a package up to a fix, as a line.
func advisoryOf(id, ecosystem, name, fixed, more string) string {
	return fmt.Sprintf(`{"id":%q,"modified":"2026-01-01T00:00:00Z"%s,"affected":[{"package":{"ecosystem":%q,"name":%q},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":%q}]}]}]}`+"\n", id, more, ecosystem, name, fixed)
}

func indexOf(t *testing.T, kev string, lines ...string) *advisory.Index {
	t.Helper()
	text := []byte(strings.Join(lines, ""))
	var records []*osv.Record
	if len(text) > 0 {
		for r, err := range osv.Records(t.Context(), bytes.NewReader(text), int64(len(text))) {
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, r)
		}
	}
	in := snapshot.Input{Taken: time.Date(2026, 8, 22, 0, 0, 0, 0, time.UTC), Feeds: []snapshot.Feed{{Name: "test", Records: records}}}
	if kev != "" {
		in.KEV = &osv.Catalogue{Entries: []osv.Exploited{{CVE: kev}}}
	}
	return advisory.New(build(t, in))
}

func lib(version string) fact.Package {
	return fact.Package{Ecosystem: "PyPI", Name: "lib", Version: version}
}

func TestEachChangeOfAdvisoriesIsTheEventThatItMeans(t *testing.T) {
	const cve = `,"aliases":["CVE-2025-1000"]`
	low := cve + `,"database_specific":{"severity":"LOW"}`
	high := cve + `,"database_specific":{"severity":"HIGH"}`
	record := func(id, fixed, more string) string { return advisoryOf(id, "PyPI", "lib", fixed, more) }
	for _, tc := range []struct {
		name     string
		from, to *advisory.Index
		want     string // kind, alert, group, a word of the reasons
	}{
		{"a new vulnerability", indexOf(t, ""), indexOf(t, "", record("A", "2", cve)), "appeared alert CVE-2025-1000: A is new"},
		{"a new vulnerability of other versions", indexOf(t, ""), indexOf(t, "", record("A", "1", cve)), ""},
		{"another id for a known one", indexOf(t, "", record("A", "2", cve)), indexOf(t, "", record("A", "2", cve), record("B", "2", cve)), "changed CVE-2025-1000: B is a new id of a known vulnerability"},
		{"another id in place of the known one", indexOf(t, "", record("A", "2", cve)), indexOf(t, "", record("A", "2", cve+`,"withdrawn":"2026-01-01T00:00:00Z"`), record("B", "2", cve)), "changed CVE-2025-1000: A was withdrawn; B is a new id of a known vulnerability"},
		{"a withdrawal", indexOf(t, "", record("A", "2", cve)), indexOf(t, "", record("A", "2", cve+`,"withdrawn":"2026-01-01T00:00:00Z"`)), "cleared CVE-2025-1000: A was withdrawn"},
		{"a record that is gone", indexOf(t, "", record("A", "2", cve)), indexOf(t, ""), "cleared CVE-2025-1000: A vanished from its feed"},
		{"a narrower range", indexOf(t, "", record("A", "2", cve)), indexOf(t, "", record("A", "1", cve)), "cleared CVE-2025-1000: A was changed"},
		{"another fix", indexOf(t, "", record("A", "2", cve)), indexOf(t, "", record("A", "3", cve)), "changed CVE-2025-1000: its fixed versions are others; A was changed"},
		{"a worse severity", indexOf(t, "", record("A", "2", low)), indexOf(t, "", record("A", "2", high)), "changed alert CVE-2025-1000: its severity is High, it was Low; A was changed"},
		{"a milder one", indexOf(t, "", record("A", "2", high)), indexOf(t, "", record("A", "2", low)), "changed CVE-2025-1000: its severity is Low, it was High; A was changed"},
		{"an exploit", indexOf(t, "CVE-2020-1000", record("A", "2", cve)), indexOf(t, "CVE-2025-1000", record("A", "2", cve)), "changed alert CVE-2025-1000: it is known to be exploited"},
		{"a CVE for what had none", indexOf(t, "", record("A", "2", "")), indexOf(t, "", record("A", "2", cve)), "changed CVE-2025-1000: A has other aliases"},
		{"only the time of modification", indexOf(t, "", record("A", "2", cve)), indexOf(t, "", strings.Replace(record("A", "2", cve), "2026-01-01", "2026-02-01", 1)), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := fleet.New(tc.from)
			if err := f.Add("ns/w", "sha256:1", []fact.Package{lib("1.5")}); err != nil {
				t.Fatal(err)
			}
			_, events := f.Apply(tc.to)
			var got []string
			for _, e := range events {
				text := e.Kind.String()
				if e.Alert {
					text += " alert"
				}
				v := e.Verdict
				if v == nil {
					v = e.Was
				}
				got = append(got, text+" "+v.Group+": "+strings.Join(e.Reasons, "; "))
				if !slices.Equal(e.Workloads, []string{"ns/w"}) {
					t.Errorf("workloads %q", e.Workloads)
				}
			}
			if strings.Join(got, ", ") != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

func TestAVulnerabilityOfTwoVersionsIsOneVerdict(t *testing.T) {
	f := fleet.New(indexOf(t, "", advisoryOf("A", "PyPI", "lib", "2", "")))
	for id, v := range map[string]string{"sha256:1": "1.0", "sha256:2": "1.5"} {
		if err := f.Add("ns/w", id, []fact.Package{lib(v)}); err != nil {
			t.Fatal(err)
		}
	}
	if vs := f.Verdicts("ns/w"); len(vs) != 1 || !slices.Equal(vs[0].Versions, []string{"1.0", "1.5"}) || !slices.Equal(vs[0].Fixed, []string{"2"}) {
		t.Fatalf("%+v", vs)
	}
	// One of the two is still affected: that is a change, and no clearance.
	_, events := f.Apply(indexOf(t, "", advisoryOf("A", "PyPI", "lib", "1.2", "")))
	if len(events) != 1 || events[0].Kind != fleet.Changed || events[0].Alert || !slices.Equal(events[0].Verdict.Versions, []string{"1.0"}) {
		t.Errorf("%+v", events)
	}
}

func TestAFeedThatArrivesAnswersForWhatItsDistributionOwns(t *testing.T) {
	pypi := advisoryOf("P", "PyPI", "lib", "2", "")
	module := lib("1.0")
	module.Owner = "pkg:deb/debian/python3-lib@1.0-1?distro=debian-12"
	f := fleet.New(indexOf(t, "", pypi))
	if err := f.Add("ns/w", "sha256:1", []fact.Package{module}); err != nil {
		t.Fatal(err)
	}
	if vs := f.Verdicts("ns/w"); len(vs) != 1 || vs[0].Status != advisory.Undecided {
		t.Fatalf("%+v", vs)
	}
	_, events := f.Apply(indexOf(t, "", pypi, advisoryOf("D", "Debian:12", "unrelated", "2", "")))
	if len(events) != 1 || events[0].Kind != fleet.Cleared || len(f.Verdicts("ns/w")) != 0 {
		t.Errorf("%+v", events)
	}
}

func TestWhatIsRemovedIsForgottenAndItsPlaceIsUsedAgain(t *testing.T) {
	x := indexOf(t, "", advisoryOf("A", "PyPI", "lib", "2", ""))
	f := fleet.New(x)
	rng := rand.New(rand.NewPCG(1, 1))
	packages := func() (out []fact.Package) {
		for range 50 {
			out = append(out, fact.Package{Ecosystem: "PyPI", Name: fmt.Sprintf("lib-%d", rng.IntN(100)), Version: fmt.Sprint(rng.IntN(1000))})
		}
		return append(out, lib(fmt.Sprintf("1.%d", rng.IntN(5))))
	}
	// held is what must be in the fleet: by workload, the inventories.
	held := map[string]map[string][]fact.Package{}
	known := map[string][]fact.Package{}
	for range 2000 {
		w, id := fmt.Sprintf("w%d", rng.IntN(20)), fmt.Sprintf("sha256:%d", rng.IntN(30))
		if rng.IntN(2) == 0 {
			in := false
			for _, ids := range held {
				_, has := ids[id]
				in = in || has
			}
			if !in {
				known[id] = packages()
			}
			if err := f.Add(w, id, known[id]); err != nil {
				t.Fatal(err)
			}
			if held[w] == nil {
				held[w] = map[string][]fact.Package{}
			}
			held[w][id] = known[id]
			continue
		}
		f.Remove(w, id)
		if delete(held[w], id); len(held[w]) == 0 {
			delete(held, w)
		}
	}
	fresh := fleet.New(x)
	for w, ids := range held {
		for id, p := range ids {
			if err := fresh.Add(w, id, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	a, b := f.Stats(), fresh.Stats()
	if a.Workloads != b.Workloads || a.Inventories != b.Inventories || a.Versions != b.Versions || a.Packages != b.Packages {
		t.Errorf("%+v, a fleet that never had more has %+v", a, b)
	}
	same(t, rescan(f).lines(t), rescan(fresh).lines(t))
	if len(rescan(f)) == 0 {
		t.Error("nothing was compared")
	}
	for w, ids := range held {
		for id := range ids {
			f.Remove(w, id)
			f.Remove(w, id)
		}
	}
	if s := f.Stats(); s.Workloads+s.Inventories+s.Versions+s.Packages != 0 {
		t.Errorf("an empty fleet holds %+v", s)
	}
}
