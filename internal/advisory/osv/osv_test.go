package osv_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/internal/fact"
)

const whole = `{"id":"PYSEC-1","modified":"2026-01-02T03:04:05.678Z","published":"2025-01-01T00:00:00Z","aliases":["GHSA-b","CVE-2025-1000","GHSA-b","PYSEC-1"],
"summary":"","details":"# Long\nstory  of a flaw\n\nmore","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
"affected":[{"package":{"ecosystem":"PyPI","name":"Big_Lib"},"ranges":[{"type":"GIT","repo":"https://example.com","events":[{"introduced":"0"}]},{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.2"}]}],
"versions":["1.0","1.1"],"ecosystem_specific":{"imports":[{"path":"big.lib","symbols":["b","a"]}]},"database_specific":{"URL":1,"url":2}}],"database_specific":{"severity":"LOW"}}`

func TestARecordIsReadWithWhatMatchingNeeds(t *testing.T) {
	r, err := osv.Decode([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if r.ID != "PYSEC-1" || r.Modified.Format("2006-01-02T15:04:05") != "2026-01-02T03:04:05" || !r.Withdrawn.IsZero() {
		t.Errorf("%+v", r)
	}
	if !slices.Equal(r.Aliases, []string{"CVE-2025-1000", "GHSA-b"}) {
		t.Errorf("aliases %q", r.Aliases)
	}
	if r.Summary != "Long story of a flaw" {
		t.Errorf("summary %q", r.Summary)
	}
	if r.Severity.Basis != osv.BasisCVSSv3 || r.Severity.Score != 9.8 || r.Severity.Level != fact.SeverityCritical {
		t.Errorf("severity %+v", r.Severity)
	}
	a := r.Affected[0]
	if a.Name != "big-lib" || len(a.Ranges) != 2 || a.Ranges[0].Type != osv.RangeGit || len(a.Ranges[0].Events) != 0 || len(a.Ranges[1].Events) != 2 || len(a.Versions) != 2 {
		t.Errorf("%+v", a)
	}
	if len(a.Imports) != 1 || !slices.Equal(a.Imports[0].Symbols, []string{"a", "b"}) {
		t.Errorf("imports %+v", a.Imports)
	}
}

func TestABrokenRecordIsAnErrorAndItsMendedTwinIsNot(t *testing.T) {
	for _, tc := range []struct{ name, from, to string }{
		{"no id", `"PYSEC-1"`, `""`},
		{"an id with a space", `"PYSEC-1"`, `"PYSEC 1"`},
		{"a long id", `"PYSEC-1"`, `"` + strings.Repeat("x", osv.MaxID+1) + `"`},
		{"a withdrawal that is no time", `"published":`, `"withdrawn":"soon","published":`},
		{"an alias that is empty", `"GHSA-b",`, `"",`},
		{"a name with a line break", `"Big_Lib"`, `"Big\nLib"`},
		{"no name", `"Big_Lib"`, `""`},
		{"an empty version", `"1.1"`, `""`},
		{"a version that is a number", `"1.1"`, `1.1`},
		{"an event of no kind", `{"fixed":"1.2"}`, `{"mended":"1.2"}`},
		{"an empty bound", `{"fixed":"1.2"}`, `{"fixed":""}`},
		{"a field twice", `"id":`, `"ID":"X","id":`},
		{"too deep", `"URL":1`, `"URL":` + strings.Repeat("[", 40) + strings.Repeat("]", 40)},
		{"cut short", `"database_specific":{"severity":"LOW"}}`, ``},
	} {
		broken := strings.Replace(whole, tc.from, tc.to, 1)
		if broken == whole {
			t.Fatalf("%s: nothing was broken", tc.name)
		}
		if _, err := osv.Decode([]byte(broken)); err == nil {
			t.Errorf("%s: accepted", tc.name)
		}
	}
}

func TestTheSeverityIsThatOfTheNewestScoringSystemElseTheLabel(t *testing.T) {
	const (
		v4 = `{"type":"CVSS_V4","score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}`
		v3 = `{"type":"CVSS_V3","score":"CVSS:3.0/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"}`
		v2 = `{"type":"CVSS_V2","score":"AV:N/AC:L/Au:N/C:C/I:C/A:C"}`
	)
	for _, tc := range []struct {
		name, scores, label string
		basis               osv.Basis
		level               fact.Severity
	}{
		{"4 before 3 and 2", v2 + "," + v3 + "," + v4, "", osv.BasisCVSSv4, fact.SeverityCritical},
		{"3 before 2", v2 + "," + v3, "", osv.BasisCVSSv3, fact.SeverityLow},
		{"2 knows nothing above high", v2, "CRITICAL", osv.BasisCVSSv2, fact.SeverityHigh},
		{"a vector that does not parse says nothing", `{"type":"CVSS_V3","score":"CVSS:3.1/AV:X"}`, "moderate", osv.BasisLabel, fact.SeverityMedium},
		{"a label alone", "", "CRITICAL", osv.BasisLabel, fact.SeverityCritical},
		{"a distribution's word as a score", `{"type":"Ubuntu","score":"medium"}`, "", osv.BasisLabel, fact.SeverityMedium},
		{"an unknown word is unknown, not low", "", "spicy", osv.BasisNone, fact.SeverityUnknown},
		{"nothing is unknown, not low", "", "", osv.BasisNone, fact.SeverityUnknown},
	} {
		r, err := osv.Decode(fmt.Appendf(nil, `{"id":"X","severity":[%s],"database_specific":{"severity":%q}}`, tc.scores, tc.label))
		if err != nil {
			t.Fatal(err)
		}
		if s := r.Severity; s.Basis != tc.basis || s.Level != tc.level {
			t.Errorf("%s: %+v", tc.name, s)
		}
	}
}

func gzipped(tb testing.TB, data []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func zipped(tb testing.TB, files map[string]string) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		w, err := z.Create(name)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func collect(data []byte) (ids []string, problems []error) {
	for r, err := range osv.Records(context.Background(), bytes.NewReader(data), int64(len(data))) {
		if err != nil {
			problems = append(problems, err)
			continue
		}
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	return ids, problems
}

func TestAFeedIsReadInEveryForm(t *testing.T) {
	line := `{"id":"A"}` + "\n\n" + `{"id":"B"}`
	for name, data := range map[string][]byte{
		"lines":                            []byte(line),
		"lines with a mark and a last end": []byte("\xef\xbb\xbf" + line + "\r\n"),
		"gzipped lines":                    gzipped(t, []byte(line)),
		"an archive":                       zipped(t, map[string]string{"A.json": `{"id":"A"}`, "x/B.json": `{"id":"B"}`, "README": "no"}),
	} {
		if ids, problems := collect(data); !slices.Equal(ids, []string{"A", "B"}) || len(problems) > 0 {
			t.Errorf("%s: %q %v", name, ids, problems)
		}
	}
	for name, data := range map[string][]byte{"one record over several lines": []byte("{\n\"id\":\n\"A\"}\n"), "one gzipped": gzipped(t, []byte("{\n\"id\":\"A\"}"))} {
		if ids, problems := collect(data); !slices.Equal(ids, []string{"A"}) || len(problems) > 0 {
			t.Errorf("%s: %q %v", name, ids, problems)
		}
	}
}

func TestABrokenRecordIsNamedAndTheFeedGoesOn(t *testing.T) {
	for name, data := range map[string][]byte{
		"lines":      []byte(`{"id":"A"}` + "\n" + `{"id":""}` + "\n" + `{"id":"B"}`),
		"an archive": zipped(t, map[string]string{"A.json": `{"id":"A"}`, "C.json": `nonsense`, "B.json": `{"id":"B"}`}),
	} {
		ids, problems := collect(data)
		if !slices.Equal(ids, []string{"A", "B"}) || len(problems) != 1 {
			t.Fatalf("%s: %q %v", name, ids, problems)
		}
		var at *osv.RecordError
		if !errors.As(problems[0], &at) || at.Where != "line 2" && at.Where != "C.json" {
			t.Errorf("%s: %v", name, problems[0])
		}
	}
}

func TestAFeedThatEndsTooEarlyIsAnErrorOfTheFeed(t *testing.T) {
	line := []byte(strings.Repeat(`{"id":"A"}`+"\n", 100))
	archive := zipped(t, map[string]string{"A.json": `{"id":"A"}`})
	for name, data := range map[string][]byte{
		"nothing": nil, "blank lines": []byte("\n\n"), "half a gzip stream": gzipped(t, line)[:30], "half an archive": archive[:len(archive)-8],
		"an archive without records": zipped(t, map[string]string{"README": "x"}),
	} {
		_, problems := collect(data)
		var record *osv.RecordError
		if len(problems) == 0 || errors.As(problems[len(problems)-1], &record) {
			t.Errorf("%s: %v", name, problems)
		}
	}
	for _, err := range osv.RecordsFile(t.Context(), t.TempDir()) {
		if err == nil {
			t.Error("a folder was read as a feed")
		}
	}
}

func TestReadingStopsWhenTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	data := []byte(strings.Repeat(`{"id":"A"}`+"\n", 100))
	read := 0
	for _, err := range osv.Records(ctx, bytes.NewReader(data), int64(len(data))) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			break
		}
		read++
		cancel()
	}
	if read != 1 {
		t.Errorf("%d records were read", read)
	}
}

func TestTheCatalogueOfExploitedVulnerabilities(t *testing.T) {
	const doc = `{"catalogVersion":"2026.01.01","count":1,"vulnerabilities":[{"cveID":"CVE-2025-62593","dateAdded":"2026-01-01","dueDate":"2026-01-22","knownRansomwareCampaignUse":"Known","vulnerabilityName":"Ray"}]}`
	for name, data := range map[string][]byte{"JSON": []byte(doc), "gzipped": gzipped(t, []byte(doc)), "CSV": []byte("cveID,dateAdded,dueDate,knownRansomwareCampaignUse,vulnerabilityName\nCVE-2025-62593,2026-01-01,2026-01-22,Known,Ray\n")} {
		c, err := osv.ReadKEV(bytes.NewReader(data))
		if err != nil {
			t.Fatal(name, err)
		}
		if len(c.Entries) != 1 || c.Entries[0].CVE != "CVE-2025-62593" || !c.Entries[0].Ransomware || c.Entries[0].Added.Year() != 2026 || c.Entries[0].Name != "Ray" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	for name, text := range map[string]string{
		"fewer than it says": strings.Replace(doc, `"count":1`, `"count":2`, 1), "no entries": `{"count":0,"vulnerabilities":[]}`, "a wrong id": strings.Replace(doc, "CVE-2025-62593", "62593", 1),
		"a wrong date": strings.Replace(doc, "2026-01-01", "yesterday", 1), "nothing": "", "no column": "id\nCVE-2025-62593\n", "no rows": "cve\n",
	} {
		if name == "a wrong date" {
			text = strings.Replace(doc, `"dateAdded":"2026-01-01"`, `"dateAdded":"yesterday"`, 1)
		}
		if _, err := osv.ReadKEV(strings.NewReader(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPredictionsOfExploitation(t *testing.T) {
	const doc = "#model_version:v2026.01.01,score_date:2026-08-22T00:00:00Z\ncve,epss,percentile\nCVE-1999-0001,0.01015,0.60644\nCVE-2025-1234567,1,1\n"
	all, err := osv.ReadEPSS(bytes.NewReader(gzipped(t, []byte(doc))))
	if err != nil || len(all) != 2 || all[0].Probability != 0.01015 || all[0].Percentile != 0.60644 || all[1].CVE != "CVE-2025-1234567" {
		t.Fatalf("%+v %v", all, err)
	}
	if all, err = osv.ReadEPSS(strings.NewReader("cve,cvss3,epss,epss_percentile\nCVE-2025-1000,8.8,0.5,0.9\nCVE-2025-1001,9,,\n")); err != nil || len(all) != 1 || all[0].CVSS3 != 8.8 || all[0].Percentile != 0.9 {
		t.Errorf("%+v %v", all, err)
	}
	for _, bad := range []string{"", "cve,epss\n", "cve,score\nCVE-2025-1000,0.5\n", "cve,epss\nCVE-2025-1000,1.5\n", "cve,epss\nCVE-2025-1000,NaN\n", "cve,epss\nCVE-2025-1000,-0.1\n", "cve,epss\n2025-1000,0.1\n", "cve,epss\nCVE-2025-1000\n"} {
		if all, err := osv.ReadEPSS(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: %+v", bad, all)
		}
	}
	if s := osv.FromScore(math.NaN()); s.Known() {
		t.Error("not a number is a severity")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`{"id":"X","affected":[{"package":{"ecosystem":"Go","name":"a"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"limit":"*"}]}]}],"severity":[{"type":"CVSS_V4","score":"CVSS:4.0/AV:N"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := osv.Decode(data)
		if err != nil {
			return
		}
		if r.ID == "" || len(r.Summary) > osv.MaxSummary || !slices.IsSorted(r.Aliases) {
			t.Fatalf("%+v", r)
		}
		if s := r.Severity; s.Score < 0 || s.Score > 10 || !s.Known() && s.Level != fact.SeverityUnknown {
			t.Fatalf("%+v", s)
		}
	})
}

func FuzzLists(f *testing.F) {
	f.Add([]byte("cve,epss,percentile\nCVE-1999-0001,0.01015,0.60644\n"))
	f.Add([]byte(`{"count":1,"vulnerabilities":[{"cveID":"CVE-2025-62593"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := osv.ReadKEV(bytes.NewReader(data)); err == nil && len(c.Entries) == 0 {
			t.Fatal("an empty catalogue was accepted")
		}
		all, err := osv.ReadEPSS(bytes.NewReader(data))
		for _, p := range all {
			if err == nil && !(p.Probability >= 0 && p.Probability <= 1) {
				t.Fatalf("%+v", p)
			}
		}
	})
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"id":"A"}` + "\n" + `{"id":"B"}`))
	f.Add(gzipped(f, []byte(`{"id":"A"}`)))
	f.Add(zipped(f, map[string]string{"A.json": `{"id":"A"}`}))
	f.Fuzz(func(t *testing.T, data []byte) {
		ids, problems := collect(data)
		if len(ids) == 0 && len(problems) == 0 {
			t.Fatal("nothing was read, and nothing was wrong")
		}
	})
}

func TestFilesAreReadAsTheirContentSays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "feed.txt")
	if err := os.WriteFile(path, gzipped(t, []byte(whole)), 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	for r, err := range osv.RecordsFile(t.Context(), path) {
		if err != nil || r.ID != "PYSEC-1" {
			t.Fatal(r, err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d records", n)
	}
}
