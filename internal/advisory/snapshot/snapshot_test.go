package snapshot_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
	"github.com/apexlogic/apex/internal/clock"
)

var day = time.Date(2026, 8, 22, 12, 0, 0, 0, time.UTC)

// record is an advisory about a package of PyPI, with changes to it.
func record(tb testing.TB, id string, more ...string) *osv.Record {
	tb.Helper()
	fields := map[string]any{
		"id": id, "modified": "2026-01-01T00:00:00Z", "summary": "about " + id,
		"affected": json.RawMessage(`[{"package":{"ecosystem":"PyPI","name":"lib"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2"}]}],"versions":["1.0","1.10","1.9","junk"]}]`),
	}
	for i := 0; i < len(more); i += 2 {
		fields[more[i]] = json.RawMessage(more[i+1])
	}
	data, err := json.Marshal(fields)
	if err != nil {
		tb.Fatal(err)
	}
	r, err := osv.Decode(data)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func build(tb testing.TB, in snapshot.Input) *snapshot.Snapshot {
	tb.Helper()
	if in.Taken.IsZero() {
		in.Taken = day
	}
	s, err := snapshot.Build(in)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func of(tb testing.TB, records ...*osv.Record) *snapshot.Snapshot {
	return build(tb, snapshot.Input{Feeds: []snapshot.Feed{{Name: "PyPI", Records: records}}})
}

func rich(tb testing.TB) snapshot.Input {
	return snapshot.Input{
		Taken: day,
		Feeds: []snapshot.Feed{
			{Name: "PyPI", Digest: "sha256:ab", Records: []*osv.Record{
				record(tb, "B", "aliases", `["CVE-2025-1000"]`), record(tb, "A", "severity", `[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]`, "aliases", `["CVE-2025-1000"]`),
				record(tb, "C", "withdrawn", `"2026-02-01T00:00:00Z"`), record(tb, "D", "aliases", `["CVE-2025-2000"]`, "upstream", `["CVE-2025-3000","CVE-2025-3001"]`),
				record(tb, "E", "affected", `[{"package":{"ecosystem":"Go","name":"x"},"ecosystem_specific":{"imports":[{"path":"x/y","symbols":["F"]}]}},{"package":{"ecosystem":"Debian:12","name":"x"},"versions":["1-1"]}]`),
			}},
			{Name: "Other", Records: []*osv.Record{record(tb, "F"), record(tb, "A", "summary", `"an older one"`, "modified", `"2025-01-01T00:00:00Z"`)}},
		},
		KEV:  &osv.Catalogue{Entries: []osv.Exploited{{CVE: "CVE-2025-2000", Added: day.Truncate(24 * time.Hour), Ransomware: true, Name: "x"}, {CVE: "CVE-2024-1000"}}},
		EPSS: []osv.Prediction{{CVE: "CVE-2025-2000", Probability: 0.01015, Percentile: 0.60644, CVSS3: 8.8}, {CVE: "CVE-1999-0001", Probability: 1, Percentile: 1}, {CVE: "CVE-2025-1234567", Probability: 0.00001}},
	}
}

func TestASnapshotHoldsWhatItWasMadeOf(t *testing.T) {
	s := build(t, rich(t))
	again, err := snapshot.Load(s.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if again.Digest() != s.Digest() || again.Len() != 6 || again.Packages() != 3 || !again.Taken().Equal(day) {
		t.Fatalf("%d records, %d packages, %v", again.Len(), again.Packages(), again.Taken())
	}
	i, ok := again.FindRecord("A")
	if !ok || again.Record(i).Summary != "about A" {
		t.Error("of two records with one id the newer did not win")
	}
	if _, ok := again.FindRecord("AA"); ok {
		t.Error("a record was found that is not there")
	}
	if i, ok = again.FindRecord("B"); !ok || again.Record(i).Severity.Score != 9.8 || again.Record(i).Severity.From != "A" {
		t.Errorf("the alias's severity was not taken: %+v", again.Record(i).Severity)
	}
	if i, ok = again.FindRecord("D"); !ok || again.Record(i).Severity.Basis != osv.BasisNVD || len(again.Record(i).Upstream) != 2 {
		t.Errorf("the severity that came with EPSS was not taken: %+v", again.Record(i).Severity)
	}
	i, ok = again.Find(snapshot.Name{Ecosystem: "PyPI", Name: "lib"})
	if !ok {
		t.Fatal("the package is not there")
	}
	if p := again.Package(i); !slices.Equal(p.Versions, []string{"1.0", "1.9", "1.10", "junk"}) || len(p.Entries) != 5 || p.Entries[0].Listed[0] != (snapshot.Run{From: 0, To: 4}) {
		t.Errorf("%+v", p)
	}
	if e, ok := again.Exploited("CVE-2025-2000"); !ok || !e.Ransomware || e.Added.Day() != 22 {
		t.Errorf("%+v", e)
	}
	for _, want := range rich(t).EPSS {
		if got, ok := again.Prediction(want.CVE); !ok || got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if _, ok := again.Prediction("CVE-2025-2001"); ok {
		t.Error("a prediction was found that is not there")
	}
	if src := again.Sources(); len(src) != 2 || src[0].Name != "Other" || src[0].Records != 1 || src[1].Records != 5 || src[1].Digest != "sha256:ab" {
		t.Errorf("%+v", src)
	}
}

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	want := build(t, rich(t))
	rng := rand.New(rand.NewPCG(1, 1))
	for range 10 {
		in := rich(t)
		for _, f := range in.Feeds {
			rng.Shuffle(len(f.Records), func(i, j int) { f.Records[i], f.Records[j] = f.Records[j], f.Records[i] })
		}
		rng.Shuffle(len(in.EPSS), func(i, j int) { in.EPSS[i], in.EPSS[j] = in.EPSS[j], in.EPSS[i] })
		slices.Reverse(in.KEV.Entries)
		if got := build(t, in); !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Fatal("another order of the same input gives other bytes")
		}
	}
	// What was kept comes out as it went in.
	if got := build(t, snapshot.Input{Taken: day, Base: want}); !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Error("a snapshot of a snapshot is another one")
	}
	in := rich(t)
	in.Feeds[0].Records[0].Summary = "another"
	if got := build(t, in); got.Digest() == want.Digest() {
		t.Error("another input has the same digest")
	}
}

func TestAPartialFeedAddsAndAWholeOneReplaces(t *testing.T) {
	base := of(t, record(t, "A"), record(t, "B"))
	older := record(t, "B", "summary", `"what is said now"`, "modified", `"2025-01-01T00:00:00Z"`)
	for _, tc := range []struct {
		name    string
		partial bool
		ids     []string
	}{{"partial", true, []string{"A", "B", "C"}}, {"whole", false, []string{"B", "C"}}} {
		s := build(t, snapshot.Input{Base: base, Feeds: []snapshot.Feed{{Name: "PyPI", Partial: tc.partial, Records: []*osv.Record{older, record(t, "C")}}}})
		var ids []string
		for source, r := range s.All() {
			if source != "PyPI" {
				t.Errorf("%s is from %q", r.ID, source)
			}
			ids = append(ids, r.ID)
			if r.ID == "B" && r.Summary != "what is said now" {
				t.Errorf("%s: what the feed said before won", tc.name)
			}
		}
		if !slices.Equal(ids, tc.ids) {
			t.Errorf("%s: %q", tc.name, ids)
		}
	}
}

func TestWhatCannotBeBuiltIsRefused(t *testing.T) {
	for name, in := range map[string]snapshot.Input{
		"no time":            {Feeds: []snapshot.Feed{{Name: "a"}}},
		"a feed of no name":  {Taken: day, Feeds: []snapshot.Feed{{}}},
		"two of one name":    {Taken: day, Feeds: []snapshot.Feed{{Name: "a"}, {Name: "a"}}},
		"EPSS of no CVE":     {Taken: day, EPSS: []osv.Prediction{{CVE: "x"}}},
		"a time before 1970": {Taken: time.Unix(-5, 0)},
	} {
		if _, err := snapshot.Build(in); err == nil {
			t.Errorf("%s: built", name)
		}
	}
}

func TestEveryDamagedSnapshotIsRefusedOrAnotherOne(t *testing.T) {
	good := build(t, rich(t))
	data := good.Bytes()
	for n := range len(data) {
		if _, err := snapshot.Load(data[:n]); !errors.Is(err, snapshot.ErrInvalid) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
	if _, err := snapshot.Load(append(slices.Clone(data), 0)); !errors.Is(err, snapshot.ErrInvalid) {
		t.Error("a byte behind the end was accepted")
	}
	for i := range data {
		bad := slices.Clone(data)
		bad[i] ^= 0x41
		if s, err := snapshot.Load(bad); err == nil && s.Digest() == good.Digest() {
			t.Fatalf("a change of byte %d was not seen", i)
		}
	}
	other := slices.Clone(data)
	other[7]++
	if _, err := snapshot.Load(other); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("another version of the format: %v", err)
	}
}

func TestADiffSaysWhatHappenedToEachRecord(t *testing.T) {
	from := build(t, snapshot.Input{Feeds: []snapshot.Feed{{Name: "PyPI", Records: []*osv.Record{
		record(t, "changed"), record(t, "gone"), record(t, "realiased", "aliases", `["CVE-2025-1000"]`), record(t, "restored", "withdrawn", `"2026-01-01T00:00:00Z"`),
		record(t, "same"), record(t, "touched"), record(t, "withdrawn"),
		record(t, "far", "affected", `[{"package":{"ecosystem":"PyPI","name":"far"}}]`, "aliases", `["CVE-2025-7777"]`),
	}}}, KEV: &osv.Catalogue{Entries: []osv.Exploited{{CVE: "CVE-2020-1000"}}}})
	to := build(t, snapshot.Input{Feeds: []snapshot.Feed{{Name: "PyPI", Records: []*osv.Record{
		record(t, "changed", "affected", `[{"package":{"ecosystem":"PyPI","name":"lib2"},"versions":["1"]}]`), record(t, "new"), record(t, "reissued", "aliases", `["CVE-2025-1000"]`),
		record(t, "realiased", "aliases", `["CVE-2025-1001"]`), record(t, "restored"), record(t, "same"), record(t, "touched", "modified", `"2026-05-05T00:00:00Z"`),
		record(t, "withdrawn", "withdrawn", `"2026-02-01T00:00:00Z"`),
		record(t, "far", "affected", `[{"package":{"ecosystem":"PyPI","name":"far"}}]`, "aliases", `["CVE-2025-7777"]`),
	}}}, KEV: &osv.Catalogue{Entries: []osv.Exploited{{CVE: "CVE-2025-7777"}}}})
	d := snapshot.Diff(from, to)
	got, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	want := `"added":["new"],"reissued":["reissued"],"withdrawn":["withdrawn"],"restored":["restored"],"realiased":["realiased"],"changed":["changed"],"vanished":["gone"],` +
		`"exploited":["CVE-2025-7777"],"unexploited":["CVE-2020-1000"],"packages":[{"ecosystem":"PyPI","name":"far","ids":["far"]},` +
		`{"ecosystem":"PyPI","name":"lib","ids":["changed","gone","new","realiased","reissued","restored","withdrawn"]},{"ecosystem":"PyPI","name":"lib2","ids":["changed"]}]}`
	if !strings.HasSuffix(string(got), want) {
		t.Errorf("got  %s\nwant …%s", got, want)
	}
	if same := snapshot.Diff(to, to); !same.Empty() || same.Changed != nil {
		t.Errorf("a snapshot differs from itself: %+v", same)
	}
}

func TestASeverityThatAnAliasLendsIsAChangeOfTheBorrower(t *testing.T) {
	borrower := record(t, "B", "aliases", `["CVE-2025-1000"]`)
	lender := func(score string) *osv.Record {
		return record(t, "L", "aliases", `["CVE-2025-1000"]`, "affected", `[{"package":{"ecosystem":"PyPI","name":"other"}}]`, "database_specific", `{"severity":"`+score+`"}`)
	}
	d := snapshot.Diff(of(t, borrower, lender("LOW")), of(t, borrower, lender("HIGH")))
	if !slices.Equal(d.Changed, []string{"B", "L"}) || len(d.Packages) != 2 {
		t.Errorf("%+v", d)
	}
}

func TestTheDirectoryKeepsTheCurrentSnapshotAndDoesNotGoBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "advisories")
	d, err := snapshot.OpenDir(path, clock.At(day))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Current(); !errors.Is(err, snapshot.ErrNone) {
		t.Fatalf("an empty directory: %v", err)
	}
	var many []*osv.Record
	for i := range 100 {
		many = append(many, record(t, fmt.Sprintf("R-%03d", i)))
	}
	kev := &osv.Catalogue{Entries: []osv.Exploited{{CVE: "CVE-2020-1000"}}}
	at := func(hours int, feed string, records []*osv.Record, kev *osv.Catalogue) *snapshot.Snapshot {
		return build(t, snapshot.Input{Taken: day.Add(time.Duration(hours) * time.Hour), Feeds: []snapshot.Feed{{Name: feed, Records: records}}, KEV: kev})
	}
	newest := append(slices.Clone(many), record(t, "N", "modified", `"2026-07-01T00:00:00Z"`))
	first := at(0, "PyPI", newest, kev)
	if err := d.Put(first, false); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		next *snapshot.Snapshot
		says string
	}{
		{"taken earlier", at(-1, "PyPI", newest, kev), "taken"},
		{"without the feed", at(1, "npm", newest, kev), "no feed"},
		{"a feed that ends earlier", at(1, "PyPI", many, kev), "ends on"},
		{"much has vanished", at(1, "PyPI", newest[50:], kev), "vanished"},
		{"without KEV", at(1, "PyPI", newest, nil), "KEV"},
	} {
		if err := d.Put(tc.next, false); !errors.Is(err, snapshot.ErrOlder) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if digest, err := d.CurrentDigest(); err != nil || digest != first.Digest() {
			t.Errorf("%s: the current one is %s, %v", tc.name, digest, err)
		}
	}
	// A few that vanish are what feeds do.
	second := at(1, "PyPI", newest[2:], kev)
	if err := d.Put(second, false); err != nil {
		t.Fatal(err)
	}
	if err := d.Put(second, false); err != nil {
		t.Fatal("the same again:", err)
	}
	if err := d.Put(first, true); err != nil {
		t.Fatal("going back on request:", err)
	}
	current, err := d.Current()
	if err != nil || current.Digest() != first.Digest() {
		t.Fatalf("%v", err)
	}
	history, err := d.History()
	if err != nil || len(history) != 3 || history[0].Back || history[1].Back || !history[2].Back || history[2].Why == "" || history[1].Digest != second.Digest() {
		t.Errorf("%+v %v", history, err)
	}
	if err := d.Prune(1); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Load(second.Digest()); err == nil {
		t.Error("what was pruned is still there")
	}
	if _, err := d.Load(first.Digest()); err != nil {
		t.Error("the current one was pruned:", err)
	}
}

func TestADirectoryThatWasTamperedWithIsNotBelieved(t *testing.T) {
	path := t.TempDir()
	d, err := snapshot.OpenDir(path, clock.At(day))
	if err != nil {
		t.Fatal(err)
	}
	a, b := of(t, record(t, "A")), of(t, record(t, "A"), record(t, "B"))
	if err := d.Put(a, false); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(path, a.Digest().Hex()+".advisories")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Current(); !errors.Is(err, snapshot.ErrInvalid) {
		t.Errorf("another snapshot under its name: %v", err)
	}
	if err := d.Put(b, false); err == nil {
		t.Error("the current one cannot be compared with, and was replaced")
	}
	if err := d.Put(b, true); err != nil {
		t.Error("it cannot be replaced on request either:", err)
	}
	if _, err := d.Current(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"../../etc/passwd", "sha256:" + strings.Repeat("g", 64), ""} {
		if err := os.WriteFile(filepath.Join(path, "current"), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Current(); err == nil {
			t.Errorf("%q was believed to name a snapshot", name)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(build(f, rich(f)).Bytes())
	f.Add(build(f, snapshot.Input{Taken: day}).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := snapshot.Load(data)
		if err != nil {
			return
		}
		for i := range s.Packages() {
			p := s.Package(i)
			if at, ok := s.Find(p.Name); !ok || at != i {
				t.Fatalf("package %d is not found by its name", i)
			}
		}
		for range s.All() {
		}
		_ = snapshot.Diff(s, s)
	})
}
