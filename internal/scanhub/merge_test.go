package scanhub

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
	"github.com/apexlogic/apex/verdict"
)

const program = `package a

func f(x string) {
	query("SELECT " + x)
}

func g(x string) {
	query("SELECT " + x)
}

func h(y string) {
	if y != "" {
		query("SELECT " + y)
	}
}
`

// tree is a folder with a.go, which holds text.
func tree(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func at(line int, change ...func(*sarif.Result)) sarif.Result {
	r := sarif.Result{Rule: "R1", Title: "t", Message: "m", Level: "error", Severity: fact.SeverityHigh,
		Class: sarif.SQLInjection, Place: sarif.Place{File: "a.go", Line: line, End: line}}
	for _, c := range change {
		c(&r)
	}
	return r
}

func rule(name string) func(*sarif.Result)    { return func(r *sarif.Result) { r.Rule = name } }
func class(c sarif.Class) func(*sarif.Result) { return func(r *sarif.Result) { r.Class = c } }
func until(end int) func(*sarif.Result)       { return func(r *sarif.Result) { r.Place.End = end } }
func rated(s fact.Severity) func(*sarif.Result) {
	return func(r *sarif.Result) { r.Severity = s }
}

func vulnerability(pkg string, ids ...string) sarif.Result {
	return sarif.Result{Rule: ids[0], Severity: fact.SeverityHigh, Class: sarif.Vulnerability, Package: pkg, IDs: ids,
		Place: sarif.Place{File: "go.mod", Line: 1}}
}

func scan(tool string, results ...sarif.Result) Scan {
	return Scan{Tool: tool, Status: Scanned, Results: results}
}

func merged(t *testing.T, dir string, scans ...Scan) *Merged {
	t.Helper()
	m, err := Merge(scans, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWhatIsOneFinding(t *testing.T) {
	dir := tree(t, program)
	for _, c := range []struct {
		name  string
		scans []Scan
		want  int
	}{
		{"two tools at one line in one class are one", []Scan{scan("gosec", at(4)), scan("semgrep", at(4, rule("sql")))}, 1},
		{"two tools at one line in two classes are two", []Scan{scan("gosec", at(4)), scan("semgrep", at(4, class(sarif.Secret)))}, 2},
		{"two tools at two lines are two", []Scan{scan("gosec", at(4)), scan("semgrep", at(8))}, 2},
		{"the same words twice in a file are two", []Scan{scan("gosec", at(4), at(8))}, 2},
		{"one tool's region around another's line is one", []Scan{scan("gosec", at(12, until(14))), scan("semgrep", at(13))}, 1},
		{"one tool's region around its own line are two", []Scan{scan("gosec", at(12, until(14)), at(13))}, 2},
		{"a region that is a whole file takes nothing in", []Scan{scan("gosec", at(1, until(16))), scan("semgrep", at(13))}, 2},
		{"two rules of one tool in one class at one line are one", []Scan{scan("gosec", at(4), at(4, rule("R2")))}, 1},
		{"rules without a class stay apart", []Scan{scan("gosec", at(4, class(""))), scan("semgrep", at(4, class("")))}, 2},
		{"a rule without a class that says it twice is one", []Scan{scan("gosec", at(4, class("")), at(4, class("")))}, 1},
		{"one vulnerability under two aliases is one", []Scan{scan("trivy", vulnerability("p", "CVE-1")), scan("osv", vulnerability("p", "GHSA-1", "CVE-1"))}, 1},
		{"aliases that meet through a third are one", []Scan{scan("a", vulnerability("p", "GO-1", "GHSA-1")), scan("b", vulnerability("p", "GHSA-1", "CVE-1")), scan("c", vulnerability("p", "CVE-1"))}, 1},
		{"two vulnerabilities are two", []Scan{scan("trivy", vulnerability("p", "CVE-1")), scan("osv", vulnerability("p", "CVE-2"))}, 2},
		{"one vulnerability in two packages is two", []Scan{scan("trivy", vulnerability("tensorflow", "CVE-1"), vulnerability("tensorflow-gpu", "CVE-1"))}, 2},
		{"a package is spelled in two ways", []Scan{scan("trivy", vulnerability("My_Pkg", "CVE-1")), scan("osv", vulnerability("my-pkg", "CVE-1"))}, 1},
		{"a tool that names no package means the only one", []Scan{scan("trivy", vulnerability("p", "CVE-1")), scan("govulncheck", vulnerability("", "GO-1", "CVE-1"))}, 1},
		{"a tool that names no package means neither of two", []Scan{scan("trivy", vulnerability("p", "CVE-1"), vulnerability("q", "CVE-1")), scan("govulncheck", vulnerability("", "CVE-1"))}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := merged(t, dir, c.scans...)
			if len(m.Findings) != c.want {
				t.Errorf("%d findings, want %d: %+v", len(m.Findings), c.want, m.Findings)
			}
		})
	}
}

func TestOneFindingKeepsWhatAllToolsSay(t *testing.T) {
	m := merged(t, tree(t, program),
		scan("gosec", at(4, rated(fact.SeverityUnknown), func(r *sarif.Result) { r.Muted = "suppressed"; r.CWE = []int{89} })),
		scan("semgrep", at(4, rule("sql"), rated(fact.SeverityMedium), func(r *sarif.Result) { r.Partial = []sarif.Fingerprint{{Key: "k", Value: "v"}} })),
	)
	f := m.Findings[0]
	if f.Severity != fact.SeverityMedium || f.Muted != "" || len(f.By) != 2 || f.By[1].Tool != "semgrep" || f.By[1].Rule != "sql" ||
		f.By[1].Partial[0].Value != "v" || len(f.CWE) != 1 {
		t.Errorf("%+v", f)
	}
}

func TestTheAdvisoriesNameGroups(t *testing.T) {
	for _, c := range []struct {
		name       string
		advisories map[string][][]string // by package
		scans      []Scan
		want       int
		rule       string
	}{
		{"without advisories nobody knows that two ids are one", nil,
			[]Scan{scan("a", vulnerability("p", "GHSA-1")), scan("b", vulnerability("p", "CVE-1"))}, 2, "CVE-1"},
		{"ids of one record are one finding, called by its CVE", map[string][][]string{"P": {{"PYSEC-1", "CVE-1", "GHSA-1"}}},
			[]Scan{scan("a", vulnerability("p", "GHSA-1")), scan("b", vulnerability("p", "CVE-1")), scan("c", vulnerability("p", "PYSEC-1"))}, 1, "CVE-1"},
		{"a CVE that no tool names is the group's name all the same", map[string][][]string{"p": {{"PYSEC-1", "GHSA-1", "CVE-1"}}},
			[]Scan{scan("a", vulnerability("p", "GHSA-1")), scan("b", vulnerability("p", "PYSEC-1"))}, 1, "CVE-1"},
		{"records that share a name are one group", map[string][][]string{"p": {{"PYSEC-1", "CVE-1"}, {"GHSA-1", "CVE-1"}}},
			[]Scan{scan("a", vulnerability("p", "GHSA-1")), scan("b", vulnerability("p", "PYSEC-1"))}, 1, "CVE-1"},
		{"records of one package that share no name are two", map[string][][]string{"p": {{"PYSEC-1", "CVE-1"}, {"GHSA-1", "CVE-2"}}},
			[]Scan{scan("a", vulnerability("p", "GHSA-1")), scan("b", vulnerability("p", "PYSEC-1"))}, 2, "CVE-1"},
		{"a CVE of two packages joins nothing across them", map[string][][]string{"p": {{"PYSEC-1", "CVE-1", "CVE-2"}}, "q": {{"PYSEC-2", "CVE-1"}}},
			[]Scan{scan("a", vulnerability("q", "CVE-1")), scan("b", vulnerability("q", "CVE-2"))}, 2, "CVE-1"},
		{"within the package it joins", map[string][][]string{"p": {{"PYSEC-1", "CVE-1", "CVE-2"}}, "q": {{"PYSEC-2", "CVE-1"}}},
			[]Scan{scan("a", vulnerability("p", "CVE-1")), scan("b", vulnerability("p", "CVE-2"))}, 1, "CVE-1"},
		{"a tool that names no package is joined by the ids", map[string][][]string{"p": {{"GO-1", "CVE-1"}}},
			[]Scan{scan("govulncheck", vulnerability("", "GO-1")), scan("trivy", vulnerability("p", "CVE-1"))}, 1, "CVE-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			groups := GroupsOf(c.scans, func(yield func(string, []string) bool) {
				for pkg, records := range c.advisories {
					for _, ids := range records {
						if !yield(pkg, ids) {
							return
						}
					}
				}
			})
			m, err := Merge(c.scans, "", groups)
			if err != nil || len(m.Findings) != c.want || !slices.ContainsFunc(m.Findings, func(f Finding) bool { return f.Rule() == c.rule }) {
				t.Errorf("%d findings, want %d: %+v %v", len(m.Findings), c.want, m.Findings, err)
			}
		})
	}
}

func TestASecretInAFunctionsEnvironmentIsOneFindingWithThatOfAScannerOfSecrets(t *testing.T) {
	const template = "Resources:\n  F:\n    Properties:\n      Environment:\n        Variables:\n          TOKEN: abc\n"
	dir := tree(t, template)
	report := func(tool, rule string, line int) Scan {
		return Report(sarif.Run{Tool: tool, Results: []sarif.Result{{Rule: rule, Level: "error", Place: sarif.Place{File: "a.go", Line: line, End: line}}}})
	}
	for _, c := range []struct {
		name string
		rule string
		line int
		want int
	}{
		{"the same line", "function_secret_in_env", 6, 1},
		{"another line", "function_secret_in_env", 4, 2},
		{"another class at the same line", "function_public_invoke", 6, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := merged(t, dir, report("gitleaks", "generic-api-key", 6), report("apex-functions", c.rule, c.line))
			if len(m.Findings) != c.want {
				t.Fatalf("%d findings, want %d: %+v", len(m.Findings), c.want, m.Findings)
			}
			if f := m.Findings[0]; c.want == 1 && (f.Rule() != "secret" || len(f.By) != 2 || !slices.Contains(f.CWE, 798)) {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestWhatAFingerprintSurvives(t *testing.T) {
	first := merged(t, tree(t, program), scan("gosec", at(4), at(8), at(13))).Findings
	prints := map[string]bool{}
	for _, f := range first {
		prints[f.Fingerprint] = true
	}
	if len(prints) != 3 {
		t.Fatal("three findings have three names: ", first)
	}
	for _, c := range []struct {
		name  string
		text  string
		lines []int
		known int
	}{
		{"nothing", program, []int{4, 8, 13}, 3},
		{"a shift of ten lines", strings.Repeat("// new\n", 9) + "\n" + program, []int{14, 18, 23}, 3},
		{"other white space", strings.ReplaceAll(program, "\t", "        "), []int{4, 8, 13}, 3},
		{"line ends of another system", strings.ReplaceAll(program, "\n", "\r\n"), []int{4, 8, 13}, 3},
		{"blank lines between", strings.ReplaceAll(program, "\n", "\n\n"), []int{7, 15, 25}, 3},
		{"one mended before it", strings.Replace(program, `	query("SELECT " + x)`, `	query("SELECT ?", x)`, 1), []int{8, 13}, 2},
		{"a change of the line itself", strings.Replace(program, `query("SELECT " + y)`, `query("DELETE " + y)`, 1), []int{4, 8, 13}, 2},
		{"a third of the same words", strings.Replace(program, "func h", "func i(x string) {\n\tquery(\"SELECT \" + x)\n}\n\nfunc h", 1), []int{4, 8, 12, 17}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			var results []sarif.Result
			for _, l := range c.lines {
				results = append(results, at(l))
			}
			known, all := 0, merged(t, tree(t, c.text), scan("gosec", results...)).Findings
			for _, f := range all {
				if prints[f.Fingerprint] {
					known++
				}
			}
			if known != c.known || len(all) != len(c.lines) {
				t.Errorf("%d of %d are known, want %d of %d", known, len(all), c.known, len(c.lines))
			}
		})
	}
}

func TestAFingerprintDoesNotDependOnWhichToolsRan(t *testing.T) {
	dir := tree(t, program)
	both := merged(t, dir, scan("gosec", at(8), at(12, until(14))), scan("semgrep", at(4), at(8), at(13)))
	b, err := NewBaseline(both, "old", day("2030-01-01"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []Scan{scan("gosec", at(8), at(12, until(14))), scan("semgrep", at(4), at(8), at(13))} {
		m := merged(t, dir, s)
		if v := Decide(m, b, Threshold{}, day("2029-01-01")); v.Count[Known] != len(m.Findings) || v.Decision != verdict.Allow {
			t.Errorf("%s alone: %+v", s.Tool, v)
		}
	}
}

func TestWithoutTheSourceTheSnippetStands(t *testing.T) {
	quoted := func(line int, text string) sarif.Result {
		return at(line, func(r *sarif.Result) { r.Place.Snippet = text })
	}
	one := merged(t, "", scan("gosec", quoted(4, "query( x )"), quoted(9, "query(x)"), quoted(12, "other"))).Findings
	two := merged(t, "", scan("gosec", quoted(14, "query(x)"), quoted(19, "query(x)"), quoted(22, "other"))).Findings
	for i := range one {
		if one[i].Fingerprint != two[i].Fingerprint {
			t.Errorf("%d: %+v is not %+v", i, one[i], two[i])
		}
	}
	if one[0].Fingerprint == one[1].Fingerprint || one[0].Fingerprint == one[2].Fingerprint {
		t.Error("three findings have three names")
	}
}

func TestAHostileTreeLeadsNowhere(t *testing.T) {
	outside := tree(t, program)
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(outside, "a.go"), filepath.Join(dir, "a.go")); err != nil {
		t.Skip(err)
	}
	// The link is not followed: the finding has the name that no source gives.
	if a, b := merged(t, dir, scan("x", at(4))), merged(t, "", scan("x", at(4))); a.Findings[0].Fingerprint != b.Findings[0].Fingerprint {
		t.Error("a link out of the tree was read")
	}
	if a, b := merged(t, outside, scan("x", at(4))), merged(t, "", scan("x", at(4))); a.Findings[0].Fingerprint == b.Findings[0].Fingerprint {
		t.Error("a file of the tree was not read")
	}
}

func TestFindingsAreInOneOrder(t *testing.T) {
	dir := tree(t, program)
	a := merged(t, dir, scan("gosec", at(8), at(4)), scan("semgrep", at(13, rated(fact.SeverityCritical))))
	b := merged(t, dir, scan("semgrep", at(13, rated(fact.SeverityCritical))), scan("gosec", at(4), at(8)))
	for i := range a.Findings {
		if a.Findings[i].Fingerprint != b.Findings[i].Fingerprint {
			t.Fatal(a.Findings, b.Findings)
		}
	}
	if a.Findings[0].Severity != fact.SeverityCritical || a.Findings[1].Place.Line != 4 {
		t.Error("worst first, then by line: ", a.Findings)
	}
}

func day(s string) time.Time {
	d, err := time.Parse(dateFormat, s)
	if err != nil {
		panic(err)
	}
	return d
}

func TestVerdicts(t *testing.T) {
	dir := tree(t, program)
	known := merged(t, dir, scan("gosec", at(4)))
	base, err := NewBaseline(known, "old code", day("2027-03-01"))
	if err != nil {
		t.Fatal(err)
	}
	muted := func(r *sarif.Result) { r.Muted = "suppressed: inSource" }
	ok := scan("gitleaks")
	for _, c := range []struct {
		name      string
		scans     []Scan
		baseline  *Baseline
		threshold Threshold
		now       string
		want      verdict.Decision
		reason    string
	}{
		{"nothing found allows", []Scan{ok}, nil, Threshold{}, "", verdict.Allow, "no finding blocks"},
		{"a high one denies", []Scan{scan("gosec", at(4))}, nil, Threshold{}, "", verdict.Deny, "1 findings block"},
		{"a medium one is below High", []Scan{scan("gosec", at(4, rated(fact.SeverityMedium)))}, nil, Threshold{}, "", verdict.Allow, ""},
		{"a medium one denies at Medium", []Scan{scan("gosec", at(4, rated(fact.SeverityMedium)))}, nil, Threshold{Severity: fact.SeverityMedium}, "", verdict.Deny, ""},
		{"one that nobody rated denies", []Scan{scan("gosec", at(4, rated(fact.SeverityUnknown)))}, nil, Threshold{Severity: fact.SeverityCritical}, "", verdict.Deny, ""},
		{"a class has its own threshold", []Scan{scan("gosec", at(4, rated(fact.SeverityLow), class(sarif.Secret)))}, nil, Threshold{Classes: map[sarif.Class]fact.Severity{sarif.Secret: fact.SeverityLow}}, "", verdict.Deny, ""},
		{"another class keeps the common one", []Scan{scan("gosec", at(4, rated(fact.SeverityLow)))}, nil, Threshold{Classes: map[sarif.Class]fact.Severity{sarif.Secret: fact.SeverityLow}}, "", verdict.Allow, ""},
		{"one in the baseline is allowed", []Scan{scan("gosec", at(4))}, base, Threshold{}, "2027-03-01", verdict.Allow, ""},
		{"one in the baseline denies from the day after", []Scan{scan("gosec", at(4))}, base, Threshold{}, "2027-03-02", verdict.Deny, ""},
		{"a new one beside it denies", []Scan{scan("gosec", at(4), at(8))}, base, Threshold{}, "", verdict.Deny, "1 findings block"},
		{"one in the baseline that became worse denies", []Scan{scan("gosec", at(4, rated(fact.SeverityCritical)))}, base, Threshold{}, "", verdict.Deny, ""},
		{"the author's own suppression does not count", []Scan{scan("gosec", at(4, muted))}, nil, Threshold{}, "", verdict.Deny, ""},
		{"a suppression counts where the policy trusts it", []Scan{scan("gosec", at(4, muted))}, nil, Threshold{TrustSuppressions: true}, "", verdict.Allow, ""},
		{"a tool that failed denies", []Scan{ok, {Tool: "gosec", Status: NotScanned, Reason: "it failed"}}, nil, Threshold{}, "", verdict.Deny, "gosec has not scanned: it failed"},
		{"a tool in no known state denies", []Scan{ok, {Tool: "gosec"}}, nil, Threshold{}, "", verdict.Deny, "gosec has not scanned"},
		{"a tool that is not installed is no reason", []Scan{ok, {Tool: "gosec", Status: NotInstalled}}, nil, Threshold{}, "", verdict.Allow, ""},
		{"a required tool that is not installed denies", []Scan{ok, {Tool: "gosec", Status: NotInstalled}}, nil, Threshold{Required: []string{"gosec"}}, "", verdict.Deny, "gosec is required"},
		{"a required tool without anything to look at is no reason", []Scan{ok, {Tool: "gosec", Status: NotApplicable}}, nil, Threshold{Required: []string{"gosec"}}, "", verdict.Allow, ""},
		{"a required tool that nobody knows denies", []Scan{ok}, nil, Threshold{Required: []string{"gosek"}}, "", verdict.Deny, "gosek"},
		{"no tool at all denies", nil, nil, Threshold{}, "", verdict.Deny, "no tool has scanned"},
		{"only tools that are not installed deny", []Scan{{Tool: "gosec", Status: NotInstalled}}, nil, Threshold{}, "", verdict.Deny, "no tool has scanned"},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := day("2027-01-01")
			if c.now != "" {
				now = day(c.now).Add(23 * time.Hour)
			}
			v := Decide(merged(t, dir, c.scans...), c.baseline, c.threshold, now)
			if v.Decision != c.want || !strings.Contains(strings.Join(v.Reasons, "; "), c.reason) || len(v.Reasons) == 0 {
				t.Errorf("%s: %v", v.Decision, v.Reasons)
			}
		})
	}
}

func TestEntriesThatNobodyNeedsAreStale(t *testing.T) {
	dir := tree(t, program)
	base, _ := NewBaseline(merged(t, dir, scan("gosec", at(4), at(8))), "old", day("2027-03-01"))
	v := Decide(merged(t, dir, scan("gosec", at(4))), base, Threshold{}, day("2027-01-01"))
	if len(v.Stale) != 1 || v.Count[Known] != 1 {
		t.Error(v)
	}
}

func TestBaselinesAreReadAsWritten(t *testing.T) {
	base, err := NewBaseline(merged(t, tree(t, program), scan("gosec", at(4), at(12, until(14))), scan("semgrep", at(13))), "old <code>", day("2027-03-01"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := base.Write(&b); err != nil {
		t.Fatal(err)
	}
	again, err := ReadBaseline(b.Bytes())
	if err != nil || len(again.Findings) != 2 || again.Findings[0].Reason != "old <code>" || len(again.index) != 3 {
		t.Fatal(again, err)
	}
	good := b.String()
	for _, c := range []struct{ name, from, to, why string }{
		{"a reason", `"reason": "old <code>"`, `"reason": " "`, "reason is missing"},
		{"an expiry", `"expires": "2027-03-01"`, `"expires": ""`, "not a day"},
		{"a day that exists", `2027-03-01`, `2027-02-30`, "not a day"},
		{"a fingerprint", base.Findings[0].Fingerprint, "abc", "copy it from the report"},
		{"one entry per finding", base.Findings[1].Fingerprint, base.Findings[0].Fingerprint, "listed before"},
		{"our schema", "apex.scan-baseline/v1", "v2", "schema"},
		{"fields that we know", `"reason"`, `"forever": true, "reason"`, "unknown field"},
		{"a severity", `"High"`, `"Terrible"`, "unknown severity"},
		{"nothing after it", "\n", "{}\n", "invalid"},
	} {
		t.Run("it needs "+c.name, func(t *testing.T) {
			bad := strings.Replace(good, c.from, c.to, 1)
			if c.from == "\n" {
				bad = good + "{}"
				c.why = "more than one"
			}
			if _, err := ReadBaseline([]byte(bad)); err == nil || !strings.Contains(err.Error(), c.why) {
				t.Error(err)
			}
		})
	}
	if _, err := NewBaseline(&Merged{}, "", day("2027-03-01")); err == nil {
		t.Error("a baseline without a reason was made")
	}
}
