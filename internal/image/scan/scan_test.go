package scan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// The image that the reports in testdata are about.
var (
	manifest = verdict.Digest("sha256:" + strings.Repeat("a", 64))
	layer    = verdict.Digest("sha256:" + strings.Repeat("b", 64))
	config   = verdict.Digest("sha256:" + strings.Repeat("c", 64))
)

func read(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func mustParse(t *testing.T, doc string) fact.Report {
	t.Helper()
	r, err := ParseReport([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// line writes a finding so that a test can say what it expects in one line.
func line(v fact.Vulnerability) string {
	s := fmt.Sprintf("%s %s %s@%s", v.ID, v.Severity, v.Package, v.Version)
	if v.Fixed != "" {
		s += " fixed " + v.Fixed
	}
	if v.Unfixed {
		s += " unfixed"
	}
	if v.Score > 0 {
		s += fmt.Sprintf(" %.1f", v.Score)
	}
	if len(v.Aliases) > 0 {
		s += " = " + strings.Join(v.Aliases, " = ")
	}
	return s
}

func TestEachFormatIsToldByItsContent(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	tests := map[string]struct {
		want     fact.Report
		findings []string
	}{
		"trivy.json": {
			want: fact.Report{Scanner: "Trivy", Version: "0.72.0", Finished: at("2026-11-20T09:00:00.5Z"), Subject: manifest, Config: config, DiffIDs: []verdict.Digest{layer}, Suppressed: 1},
			findings: []string{
				"CVE-2026-0001 High libssl3@3.5.0-1 fixed 3.5.1-1 9.8",
				"CVE-2026-0002 Low libc6@2.41-12 unfixed",
				"CVE-2026-0003 High zlib1g@1.3 unfixed",
				"CVE-2026-0004 Critical torch@2.6.0 unfixed 9.3",
			},
		},
		"grype.json": {
			want: fact.Report{Scanner: "Grype", Version: "0.121.2", Finished: at("2026-11-20T09:00:00.25Z"), DBUpdated: at("2026-11-20T06:00:00Z"), Subject: manifest, Config: config, Suppressed: 1},
			findings: []string{
				"GHSA-aaaa-bbbb-cccc Critical torch@2.6.0 fixed 2.7.0 9.8 = CVE-2026-0004",
				"CVE-2026-0002 Negligible libc6@2.41-12 unfixed",
			},
		},
		"cyclonedx.json": {
			want: fact.Report{Scanner: "Trivy", Version: "0.72.0", Finished: at("2026-11-20T09:00:00Z"), Subject: manifest, Config: config, DiffIDs: []verdict.Digest{layer}, Suppressed: 1},
			findings: []string{
				"CVE-2026-0001 Critical libssl3@3.5.0-1 9.8",
				"CVE-2026-0001 Critical openssl@3.5.0 9.8",
				"PYSEC-2026-1 Critical openssl@3.5.0 = CVE-2026-0001",
				"CVE-2026-0010 Medium @",
			},
		},
		"trivy.sarif": {
			want: fact.Report{Scanner: "Trivy", Version: "0.72.0", Finished: at("2026-11-20T09:00:00Z"), Subject: manifest, Config: config, Suppressed: 1},
			findings: []string{
				"CVE-2026-0001 High libssl3@3.5.0-1 fixed 3.5.1-1 9.8",
				"CVE-2026-0002 Medium @ 5.5",
				"CVE-2026-0003 Critical @",
			},
		},
		"osv.json": {
			want: fact.Report{Scanner: "OSV-Scanner", DiffIDs: []verdict.Digest{layer}, Suppressed: 1},
			findings: []string{
				"GHSA-aaaa-bbbb-cccc Medium torch@2.6.0 fixed 2.7.0 9.8 = CVE-2026-0004",
				"PYSEC-2026-7 Medium torch@2.6.0 9.8 = CVE-2026-0004",
				"PYSEC-2026-8 High torch@2.6.0 8.7",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := mustParse(t, read(t, name))
			if got.Code != verdict.OK {
				t.Fatalf("code %s: %s", got.Code, got.Detail)
			}
			if got.Scanner != test.want.Scanner || got.Version != test.want.Version {
				t.Errorf("scanner %q %q, want %q %q", got.Scanner, got.Version, test.want.Scanner, test.want.Version)
			}
			if !got.Finished.Equal(test.want.Finished) || !got.DBUpdated.Equal(test.want.DBUpdated) {
				t.Errorf("finished %v, database %v; want %v, %v", got.Finished, got.DBUpdated, test.want.Finished, test.want.DBUpdated)
			}
			if got.Subject != test.want.Subject || got.Config != test.want.Config || !slices.Equal(got.DiffIDs, test.want.DiffIDs) {
				t.Errorf("subject %q config %q layers %v", got.Subject, got.Config, got.DiffIDs)
			}
			if got.Suppressed != test.want.Suppressed {
				t.Errorf("suppressed %d, want %d", got.Suppressed, test.want.Suppressed)
			}
			var lines []string
			for _, v := range got.Findings {
				lines = append(lines, line(v))
			}
			if !slices.Equal(lines, test.findings) {
				t.Errorf("findings\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(test.findings, "\n"))
			}
		})
	}
}

// Every document here would read as "no vulnerabilities" to a careless parser.
// Its twin differs in the one thing that makes the scan count.
func TestNothingFoundIsOnlyBelievedOfAScanThatLooked(t *testing.T) {
	tests := []struct {
		name      string
		bad, good string
		goodScans bool // the good twin has findings
	}{
		{
			name: "Trivy without any result",
			bad:  `{"SchemaVersion":2,"ArtifactName":"a","Results":[]}`,
			good: `{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Target":"a (debian 13)","Class":"os-pkgs","Type":"debian"}]}`,
		},
		{
			name: "Trivy that looked for secrets only",
			bad:  `{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Target":"/key","Class":"secret"}]}`,
			good: `{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Target":"/key","Class":"secret"},{"Target":"Python","Class":"lang-pkgs"}]}`,
		},
		{
			name: "Trivy whose results are null",
			bad:  `{"SchemaVersion":2,"ArtifactName":"a","Results":null}`,
			good: `{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Target":"an old version names no class"}]}`,
		},
		{
			name: "Grype whose matches are null",
			bad:  `{"matches":null,"descriptor":{"name":"grype"}}`,
			good: `{"matches":[],"descriptor":{"name":"grype"}}`,
		},
		{
			name: "Grype with a database that is not valid",
			bad:  `{"matches":[],"descriptor":{"name":"grype","db":{"status":{"valid":false}}}}`,
			good: `{"matches":[],"descriptor":{"name":"grype","db":{"status":{"valid":true}}}}`,
		},
		{
			name: "Grype with an error of an older database",
			bad:  `{"matches":[],"descriptor":{"name":"grype","db":{"built":"2024-01-01T00:00:00Z","error":"checksum"}}}`,
			good: `{"matches":[],"descriptor":{"name":"grype","db":{"built":"2024-01-01T00:00:00Z","error":null}}}`,
		},
		{
			name:      "CycloneDX with an empty list, as an SBOM has it",
			bad:       `{"bomFormat":"CycloneDX","vulnerabilities":[]}`,
			good:      `{"bomFormat":"CycloneDX","vulnerabilities":[{"id":"CVE-1","ratings":[{"severity":"low"}]}]}`,
			goodScans: true,
		},
		{
			name: "CycloneDX without a list",
			bad:  `{"bomFormat":"CycloneDX","components":[]}`,
			good: `{"bomFormat":"CycloneDX","vulnerabilities":[{"id":"CVE-1","analysis":{"state":"not_affected"}}]}`,
		},
		{
			name: "SARIF without a run",
			bad:  `{"version":"2.1.0","runs":[]}`,
			good: `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Trivy"}},"results":[]}]}`,
		},
		{
			name: "SARIF without results",
			bad:  `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Trivy"}}}]}`,
			good: `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Trivy"}},"results":[]}]}`,
		},
		{
			name: "SARIF whose results are null",
			bad:  `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Trivy"}},"results":null}]}`,
			good: `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Trivy"}},"results":[]}]}`,
		},
		{
			name: "SARIF of a run that failed",
			bad:  `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Trivy"}},"invocations":[{"executionSuccessful":false}],"results":[]}]}`,
			good: `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Trivy"}},"invocations":[{"executionSuccessful":true}],"results":[]}]}`,
		},
		{
			name: "SARIF of a run with an error on the way",
			bad:  `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Trivy"}},"invocations":[{"executionSuccessful":true,"toolExecutionNotifications":[{"level":"error"}]}],"results":[]}]}`,
			good: `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Trivy"}},"invocations":[{"executionSuccessful":true,"toolExecutionNotifications":[{"level":"warning"}]}],"results":[]}]}`,
		},
		{
			name: "SARIF of two runs, one of which failed",
			bad:  `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"T"}},"results":[]},{"tool":{"driver":{"name":"T"}},"invocations":[{"executionSuccessful":false}],"results":[]}]}`,
			good: `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"T"}},"results":[]},{"tool":{"driver":{"name":"T"}},"results":[]}]}`,
		},
		{
			name: "OSV-Scanner that broke off",
			bad:  `{"results":[]}`,
			good: `{"results":[{"packages":[{"package":{"name":"torch","version":"2.7.0"}}]}]}`,
		},
		{
			name: "OSV-Scanner whose results are null",
			bad:  `{"results":null}`,
			good: `{"results":[{"packages":[{"package":{"name":"torch"},"vulnerabilities":[]}]}]}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bad := mustParse(t, test.bad)
			if bad.Code != verdict.ReportFailed || bad.Detail == "" {
				t.Errorf("code %s (%q), want %s with a reason", bad.Code, bad.Detail, verdict.ReportFailed)
			}
			good := mustParse(t, test.good)
			if good.Code != verdict.OK {
				t.Errorf("the twin: code %s (%s)", good.Code, good.Detail)
			}
			if (len(good.Findings) > 0) != test.goodScans {
				t.Errorf("the twin has findings %v", good.Findings)
			}
		})
	}
}

func TestDocumentsThatAreNoReportAreRefused(t *testing.T) {
	clean := `{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Target":"t","Class":"os-pkgs","Vulnerabilities":[]}]}`
	if r := mustParse(t, clean); r.Code != verdict.OK {
		t.Fatalf("the twin: %s", r.Detail)
	}
	deep := strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)
	many := `[` + strings.TrimSuffix(strings.Repeat(`{},`, maxInner+1), ",") + `]`
	tests := []struct {
		name, doc string
		is        error
		says      string
	}{
		{"nothing", "", nil, "ends too early"},
		{"not JSON", "<html>login</html>", nil, "expected a value"},
		{"two documents", clean + clean, nil, "more than one"},
		{"a list", "[]", ErrFormat, "expected an object"},
		{"null", "null", ErrFormat, "supported format"},
		{"an empty object", "{}", ErrFormat, "Trivy JSON, Grype JSON"},
		{"an SPDX document", `{"spdxVersion":"SPDX-2.3"}`, ErrFormat, "supported format"},
		{"another schema version of Trivy", strings.Replace(clean, `"SchemaVersion":2`, `"SchemaVersion":3`, 1), ErrFormat, "schema version 3, expected 2"},
		{"another version of SARIF", `{"version":"2.2.0","runs":[]}`, ErrFormat, "expected 2.1.0"},
		{"Trivy and OSV-Scanner at once", strings.Replace(clean, `{`, `{"matches":[],"descriptor":{},`, 1), ErrFormat, "Grype JSON and Trivy JSON at once"},
		{"a key twice", strings.Replace(clean, `"Vulnerabilities":[]`, `"Vulnerabilities":[],"Vulnerabilities":[]`, 1), bounded.ErrDuplicateKey, "duplicate key"},
		{"a key twice in another case", strings.Replace(clean, `"Vulnerabilities":[]`, `"Vulnerabilities":[],"vulnerabilities":[]`, 1), bounded.ErrDuplicateKey, "duplicate key"},
		{"nested too deeply", strings.Replace(clean, `"a"`, deep, 1), bounded.ErrTooDeep, "nested deeper"},
		{"findings in place of a list", strings.Replace(clean, `"Vulnerabilities":[]`, `"Vulnerabilities":{}`, 1), nil, "Results: [0]: Vulnerabilities: expected a list"},
		{"a finding that is a number", strings.Replace(clean, `"Vulnerabilities":[]`, `"Vulnerabilities":[1]`, 1), nil, "cannot unmarshal"},
		{"a finding without an id", strings.Replace(clean, `"Vulnerabilities":[]`, `"Vulnerabilities":[{"Severity":"LOW"}]`, 1), nil, "a finding without an id"},
		{"a finding with a flood of ratings", `{"bomFormat":"CycloneDX","vulnerabilities":[{"id":"CVE-1","ratings":` + many + `}]}`, ErrTooMany, "more items"},
		{"runs of two tools", `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"A"}},"results":[]},{"tool":{"driver":{"name":"B"}},"results":[]}]}`, ErrFormat, "two tools"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := ParseReport([]byte(test.doc))
			if err == nil {
				t.Fatalf("no error, code %s", r.Code)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v is not %v", err, test.is)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not say %q", err, test.says)
			}
			if r.Code != verdict.ReportInvalid || len(r.Findings) > 0 {
				t.Errorf("code %s with %d findings", r.Code, len(r.Findings))
			}
		})
	}
}

func TestReportsBeyondTheLimitsAreRefused(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		_, err := ParseReport(make([]byte, MaxReport+1))
		if !errors.Is(err, bounded.ErrTooLarge) {
			t.Errorf("error %v", err)
		}
	})
	report := func(n int) []byte {
		var b strings.Builder
		b.WriteString(`{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Class":"os-pkgs","Vulnerabilities":[`)
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"VulnerabilityID":"CVE-%d"}`, i)
		}
		b.WriteString(`]}]}`)
		return []byte(b.String())
	}
	t.Run("findings", func(t *testing.T) {
		if _, err := ParseReport(report(maxFindings + 1)); !errors.Is(err, ErrTooMany) {
			t.Errorf("error %v", err)
		}
		r, err := ParseReport(report(maxFindings))
		if err != nil || len(r.Findings) != maxFindings {
			t.Errorf("the twin: %d findings, %v", len(r.Findings), err)
		}
	})
	t.Run("elements", func(t *testing.T) {
		doc := `{"matches":[],"descriptor":{},"ignoredMatches":[` + strings.TrimSuffix(strings.Repeat(`0,`, maxElements+1), ",") + `]}`
		if _, err := ParseReport([]byte(doc)); !errors.Is(err, ErrTooMany) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("texts", func(t *testing.T) {
		long := strings.Repeat("ä", maxText)
		r := mustParse(t, `{"matches":[{"vulnerability":{"id":"`+long+`"},"artifact":{"name":"`+long+`","version":"`+long+`"}}],"descriptor":{}}`)
		v := r.Findings[0]
		if len(v.ID) > maxID || len(v.Package) > maxText || len(v.Version) > maxID || !strings.HasSuffix(v.ID, "ä") {
			t.Errorf("lengths %d %d %d", len(v.ID), len(v.Package), len(v.Version))
		}
	})
}

func TestASubjectIsOnlyOneDigest(t *testing.T) {
	doc := func(digests ...string) string {
		return `{"SchemaVersion":2,"ArtifactName":"a","Metadata":{"RepoDigests":["` + strings.Join(digests, `","`) + `"]},"Results":[{"Class":"os-pkgs"}]}`
	}
	tests := []struct {
		name    string
		digests []string
		want    verdict.Digest
	}{
		{"one", []string{"r/a@" + string(manifest)}, manifest},
		{"the same in two repositories", []string{"r/a@" + string(manifest), "s/b@" + string(manifest)}, manifest},
		{"two different ones", []string{"r/a@" + string(manifest), "s/b@" + string(layer)}, ""},
		{"another algorithm", []string{"r/a@sha512:" + strings.Repeat("a", 128)}, ""},
		{"upper case", []string{"r/a@sha256:" + strings.Repeat("A", 64)}, ""},
		{"a tag", []string{"r/a:1.2"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := mustParse(t, doc(test.digests...)).Subject; got != test.want {
				t.Errorf("subject %q, want %q", got, test.want)
			}
		})
	}
}

func TestASARIFReportEndsWhenItsFirstRunEnds(t *testing.T) {
	doc := func(a, b string) string {
		run := `{"tool":{"driver":{"name":"T"}},"invocations":[{"executionSuccessful":true,"endTimeUtc":"%s"}],"results":[]}`
		return `{"version":"2.1.0","runs":[` + fmt.Sprintf(run, a) + `,` + fmt.Sprintf(run, b) + `]}`
	}
	early, late := "2026-11-20T08:00:00Z", "2026-11-20T09:00:00Z"
	for _, order := range []string{doc(early, late), doc(late, early)} {
		if got := mustParse(t, order).Finished.Format(time.RFC3339); got != early {
			t.Errorf("finished %s, want %s", got, early)
		}
	}
	if got := mustParse(t, doc(late, "")).Finished; !got.IsZero() {
		t.Errorf("one run has no time, but the report has %s", got)
	}
}

func TestSARIFSuppressionsCountWhenTheyAreAccepted(t *testing.T) {
	tests := []struct {
		suppressions string
		suppressed   int
	}{
		{`[{"kind":"external"}]`, 1},
		{`[{"kind":"external","status":"accepted"}]`, 1},
		{`[{"kind":"external","status":"accepted"},{"status":"underReview"}]`, 0},
		{`[{"kind":"external","status":"rejected"}]`, 0},
		{`[]`, 0},
	}
	for _, test := range tests {
		r := mustParse(t, `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"T"}},"results":[{"ruleId":"CVE-1","suppressions":`+test.suppressions+`}]}]}`)
		if r.Suppressed != test.suppressed || len(r.Findings) != 1-test.suppressed {
			t.Errorf("%s: %d suppressed, %d findings", test.suppressions, r.Suppressed, len(r.Findings))
		}
	}
}

func TestGrypeNamesOnlyImages(t *testing.T) {
	r := mustParse(t, `{"matches":[],"source":{"type":"directory","target":"/src"},"descriptor":{"name":"grype"}}`)
	if r.Subject != "" || r.Code != verdict.OK {
		t.Errorf("subject %q, code %s", r.Subject, r.Code)
	}
}

func TestCycloneDXReadsToolsInBothForms(t *testing.T) {
	for _, tools := range []string{
		`[{"vendor":"aquasecurity","name":"trivy","version":"0.72.0"}]`,
		`{"components":[{"name":"trivy","version":"0.72.0"}],"services":[]}`,
		`[{"name":"syft","version":"1"},{"name":"Trivy","version":"0.72.0"}]`,
	} {
		r := mustParse(t, `{"bomFormat":"CycloneDX","metadata":{"tools":`+tools+`},"vulnerabilities":[{"id":"CVE-1"}]}`)
		if r.Scanner != "Trivy" || r.Version != "0.72.0" {
			t.Errorf("%s: scanner %q %q", tools, r.Scanner, r.Version)
		}
	}
}
