package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/verdict"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

func digest(c string) verdict.Digest { return verdict.Digest("sha256:" + strings.Repeat(c, 64)) }

// sample is a report with one verdict of every sort.
func sample() *verdict.Report {
	question := func(name, platform string, d verdict.Digest, where verdict.Origin) verdict.Question {
		repo, _, _ := strings.Cut(name, ":")
		return verdict.Question{
			Subject: verdict.Subject{Ref: verdict.Ref{Kind: verdict.KindImage, Repo: repo, Digest: d}, Platform: platform},
			Asked:   name, Namespace: "vision", Where: where,
		}
	}
	const policy = "multimodal-ai-model-image-policy"
	deployment := verdict.Origin{File: "deploy/captioner.yaml", Line: 17, Column: 16, Object: "apps/v1/Deployment vision/captioner", Pointer: "/spec/template/spec/containers/0/image"}
	signed := verdict.Check{
		Policy: policy, Rule: "RequireImageSignature", Outcome: verdict.Pass, Code: verdict.OK,
		Detail: "signed by apexlogic-model-signing-key-v1", Found: "signed by apexlogic-model-signing-key-v1",
		Evidence: []verdict.Evidence{{Fact: "signatures", Source: "registry.example/vision/captioner", At: now.Add(-2 * time.Minute), Until: now.Add(58 * time.Minute)}},
	}
	vulnerable := verdict.Check{
		Policy: policy, Rule: "VulnerabilityScanThreshold", Outcome: verdict.Fail, Code: verdict.VulnerabilityOver,
		Detail: "2 vulnerabilities at or above High, the worst is Critical", Expected: "a Trivy report about this digest, at most 24h old, with nothing at or above High",
		Found: "CVE-2026-0001 (Critical) in libssl3 3.5.0-1, fixed in 3.5.1-1", Evidence: []verdict.Evidence{{Fact: "report", Source: "Trivy", At: now.Add(-26 * time.Hour), Until: now.Add(-2 * time.Hour)}},
	}
	unknown := verdict.Check{
		Policy: policy, Rule: "RequireProvenance", Outcome: verdict.Unknown, Code: verdict.RegistryUnreachable,
		Detail: "whether the image is attested could not be established: registry.example did not answer in 8 s", Mend: "apex verify --timeout 30s registry.example/vision/captioner:1.2",
	}
	excepted := vulnerable
	excepted.Exception = "captioner-openssl-until-friday"
	observed := vulnerable
	observed.Observed = true
	warned := vulnerable
	warned.Action = verdict.ActionWarn
	return &verdict.Report{
		Schema: verdict.ReportSchema, Generation: "g-7", At: now,
		Verdicts: []verdict.Verdict{
			{ID: "0193-allow", Question: question("registry.example/vision/captioner:1.3", "linux/amd64", digest("a"), deployment), Decision: verdict.Allow, Code: verdict.OK, Checks: []verdict.Check{signed}, Policies: []string{policy}, At: now.Add(-time.Minute), Cached: true},
			{ID: "0193-deny", Question: question("registry.example/vision/captioner:1.2", "linux/amd64", digest("b"), deployment), Decision: verdict.Deny, Code: verdict.VulnerabilityOver, Reason: vulnerable.Detail, Checks: []verdict.Check{signed, vulnerable, unknown}, Policies: []string{policy}, At: now},
			{Question: question("registry.example/vision/captioner:1.1", "linux/arm64", digest("c"), verdict.Origin{}), Decision: verdict.Allow, Code: verdict.OK, Checks: []verdict.Check{excepted, observed}, Policies: []string{policy}, At: now},
			{Question: question("registry.example/vision/worker:4", "linux/amd64", digest("d"), verdict.Origin{File: "deploy/worker one.yaml"}), Decision: verdict.Warn, Code: verdict.VulnerabilityOver, Reason: warned.Detail, Checks: []verdict.Check{warned}, Policies: []string{policy}, At: now},
			{Question: question("registry.example/vision/multi:2", "", digest("f"), verdict.Origin{}), Decision: verdict.Deny, Code: verdict.VulnerabilityOver, Reason: vulnerable.Detail, Checks: []verdict.Check{onPlatform(vulnerable, "linux/amd64"), onPlatform(vulnerable, "linux/arm64"), onPlatform(signed, "linux/amd64")}, Policies: []string{policy}, At: now},
			{Question: question("docker.io/library/nginx:1.29", "linux/amd64", digest("e"), verdict.Origin{File: "deploy/web.yaml", Line: 9}), Decision: verdict.Deny, Code: verdict.Unselected, Policies: nil, At: now},
		},
		NotJudged:  []verdict.Unresolved{{Text: "hf://org/model", Where: verdict.Origin{File: "deploy/captioner.yaml", Line: 30}, Code: verdict.ReferenceUnknown}},
		Unresolved: []verdict.Unresolved{{Text: "{{ .Values.image }}", Where: verdict.Origin{File: "chart/web.yaml", Line: 12, Column: 9, Object: "apps/v1/Deployment web"}, Code: verdict.ReferenceUnresolved, Why: "the template was not rendered"}},
	}
}

func onPlatform(c verdict.Check, platform string) verdict.Check {
	c.Platform = platform
	return c
}

func golden(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s differs; look at the difference and run the test with -update\n%s", path, b.Bytes())
	}
}

func TestEveryFormatIsWrittenAsItWasReviewed(t *testing.T) {
	r := sample()
	writers := map[string]func(io.Writer) error{
		"table.txt":         func(w io.Writer) error { return Table(w, r, Options{}) },
		"table-verbose.txt": func(w io.Writer) error { return Table(w, r, Options{Verbose: true, Width: 80}) },
		"table-color.txt":   func(w io.Writer) error { return Table(w, r, Options{Color: true}) },
		"report.json":       func(w io.Writer) error { return JSON(w, r) },
		"report.yaml":       func(w io.Writer) error { return YAML(w, r) },
		"report.sarif":      func(w io.Writer) error { return SARIF(w, r) },
		"report.md":         func(w io.Writer) error { return Markdown(w, r) },
		"report.xml":        func(w io.Writer) error { return JUnit(w, r) },
		"openreports.yaml":  func(w io.Writer) error { return OpenReports(w, r, "apex-images") },
		"policyreport.yaml": func(w io.Writer) error { return PolicyReport(w, r, "apex-images") },
		"why-deny.txt": func(w io.Writer) error {
			return Why(w, &r.Verdicts[1], now, []string{"security-lead", "ciso"}, Options{Width: 80})
		},
		"why-allow.txt":      func(w io.Writer) error { return Why(w, &r.Verdicts[0], now, []string{"ciso"}, Options{}) },
		"why-excepted.txt":   func(w io.Writer) error { return Why(w, &r.Verdicts[2], now, []string{"ciso"}, Options{Verbose: true}) },
		"why-unselected.txt": func(w io.Writer) error { return Why(w, &r.Verdicts[5], now, nil, Options{}) },
	}
	for name, write := range writers {
		t.Run(name, func(t *testing.T) { golden(t, name, write) })
	}
}

func TestExitCodeIsOneForADenyAlone(t *testing.T) {
	all := sample()
	one := func(d verdict.Decision) *verdict.Report {
		return &verdict.Report{Verdicts: []verdict.Verdict{{Decision: d}}}
	}
	tests := []struct {
		name string
		r    *verdict.Report
		want int
	}{
		{"allow", one(verdict.Allow), 0},
		{"warn", one(verdict.Warn), 0},
		{"deny", one(verdict.Deny), 1},
		{"one deny among others", all, 1},
		{"nothing", &verdict.Report{}, 1},
		{"an allow beside something unresolved", &verdict.Report{Verdicts: one(verdict.Allow).Verdicts, Unresolved: all.Unresolved}, 1},
	}
	for _, test := range tests {
		if got := ExitCode(test.r); got != test.want {
			t.Errorf("%s: exit code %d, want %d", test.name, got, test.want)
		}
	}
}

func TestJSONAndYAMLReadBackAsTheSameReport(t *testing.T) {
	r := sample()
	var j, y bytes.Buffer
	if err := errors.Join(JSON(&j, r), YAML(&y, r)); err != nil {
		t.Fatal(err)
	}
	fromYAML, err := yaml.YAMLToJSON(y.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"JSON": j.Bytes(), "YAML": fromYAML} {
		var back verdict.Report
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := json.MarshalIndent(back, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if string(again)+"\n" != j.String() {
			t.Errorf("%s reads back as another report", name)
		}
	}
}

// hostile is a reference or reason as an attacker would write it.
const hostile = "evil\x1b[2J\x1b]0;title\x07 \u202egnp.exe\u200b\r\n✓ all allowed | [click](https://evil.example) <img src=x> @security `code` \xff"

func hostileReport() *verdict.Report {
	c := verdict.Check{Policy: hostile, Rule: hostile, Outcome: verdict.Fail, Code: verdict.SignatureMissing, Detail: hostile, Expected: hostile, Found: hostile, Mend: hostile, Exception: hostile,
		Evidence: []verdict.Evidence{{Fact: hostile, Source: hostile, At: now}}}
	q := verdict.Question{Subject: verdict.Subject{Ref: verdict.Ref{Repo: hostile, Digest: digest("a")}, Platform: hostile}, Asked: hostile, Where: verdict.Origin{File: hostile, Line: 1, Object: hostile, Pointer: hostile}}
	plainCheck := c
	plainCheck.Exception = ""
	return &verdict.Report{
		Verdicts:   []verdict.Verdict{{ID: hostile, Question: q, Decision: verdict.Deny, Code: verdict.SignatureMissing, Reason: hostile, Checks: []verdict.Check{c, plainCheck}, Policies: []string{hostile}}},
		Unresolved: []verdict.Unresolved{{Text: hostile, Why: hostile, Where: q.Where, Code: verdict.ReferenceInvalid}},
	}
}

func TestForeignTextCannotReachTheTerminal(t *testing.T) {
	r := hostileReport()
	var b bytes.Buffer
	if err := errors.Join(Table(&b, r, Options{Verbose: true}), Why(&b, &r.Verdicts[0], now, []string{hostile}, Options{Width: 60})); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `\x1b[2J`) || !strings.Contains(b.String(), `\u202e`) {
		t.Errorf("the escapes are not written out:\n%s", b.String())
	}
	for _, bad := range []string{"\x1b", "\x07", "\r", "\u202e", "\u200b", "\xff"} {
		if strings.Contains(b.String(), bad) {
			t.Errorf("%q reaches the terminal", bad)
		}
	}
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "✓ all") {
			t.Errorf("foreign text begins a line: %q", line)
		}
	}
}

func TestForeignTextCannotFormMarkdown(t *testing.T) {
	var b bytes.Buffer
	if err := Markdown(&b, hostileReport()); err != nil {
		t.Fatal(err)
	}
	// What is inside of a code span means nothing, so it is taken out first.
	var outside strings.Builder
	for i, part := range strings.Split(strings.ReplaceAll(b.String(), "\\`", ""), "`") {
		if i%2 == 0 {
			outside.WriteString(part)
		}
	}
	text := strings.ReplaceAll(outside.String(), `\]`, "")
	for _, bad := range []string{"](", "<img", "@security", "https://", "\x1b", "\u202e"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q is outside of code:\n%s", bad, text)
		}
	}
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "|") {
			cells := strings.Count(line, "|") - strings.Count(line, `\|`)
			if cells != 6 {
				t.Errorf("a row has %d bars: %s", cells, line)
			}
		}
	}
}

func TestForeignTextCannotFormLinksInSARIF(t *testing.T) {
	var b bytes.Buffer
	if err := SARIF(&b, hostileReport()); err != nil {
		t.Fatal(err)
	}
	var log sarifLog
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	for _, r := range log.Runs[0].Results {
		if strings.Contains(strings.ReplaceAll(r.Message.Text, `\]`, ""), "](") {
			t.Errorf("a link: %s", r.Message.Text)
		}
	}
}

func TestForeignTextKeepsXMLAndYAMLWellFormed(t *testing.T) {
	r := hostileReport()
	var x, o bytes.Buffer
	if err := errors.Join(JUnit(&x, r), OpenReports(&o, r, "apex")); err != nil {
		t.Fatal(err)
	}
	var suites junitSuites
	if err := xml.Unmarshal(x.Bytes(), &suites); err != nil || suites.Tests != 3 || suites.Failures != 1 || suites.Errors != 1 {
		t.Errorf("%v: %+v", err, suites)
	}
	var list clusterList
	if err := yaml.Unmarshal(o.Bytes(), &list); err != nil || len(list.Items) != 1 {
		t.Errorf("%v: %d items", err, len(list.Items))
	}
}

// What the official schema requires of every SARIF document (OASIS, SARIF
// 2.1.0, sarif-schema-2.1.0.json: "required" and "enum").
func TestSARIFHasWhatTheSchemaRequires(t *testing.T) {
	for name, r := range map[string]*verdict.Report{"sample": sample(), "hostile": hostileReport(), "empty": {}} {
		var b bytes.Buffer
		if err := SARIF(&b, r); err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Version string
			Runs    []struct {
				Tool struct {
					Driver struct {
						Name  string
						Rules []struct{ ID string }
					}
				}
				Invocations []struct{ ExecutionSuccessful *bool }
				Results     *[]struct {
					RuleID    string
					RuleIndex int
					Level     string
					Kind      string
					Message   struct{ Text string }
					Locations []struct {
						PhysicalLocation *struct {
							ArtifactLocation struct{ URI string }
							Region           *struct{ StartLine, StartColumn *int }
						}
						LogicalLocations []struct{ FullyQualifiedName string }
					}
					PartialFingerprints map[string]string
					Suppressions        []struct{ Kind, Status string }
				}
			}
		}
		if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Version != "2.1.0" || len(doc.Runs) != 1 || doc.Runs[0].Tool.Driver.Name == "" || doc.Runs[0].Results == nil {
			t.Fatalf("%s: %+v", name, doc)
		}
		run := doc.Runs[0]
		if len(run.Invocations) != 1 || run.Invocations[0].ExecutionSuccessful == nil {
			t.Errorf("%s: invocation without executionSuccessful", name)
		}
		ids := map[string]bool{}
		for _, rule := range run.Tool.Driver.Rules {
			if rule.ID == "" || ids[rule.ID] {
				t.Errorf("%s: rule id %q is empty or there twice", name, rule.ID)
			}
			ids[rule.ID] = true
		}
		for i, res := range *run.Results {
			if res.RuleIndex >= len(run.Tool.Driver.Rules) || run.Tool.Driver.Rules[res.RuleIndex].ID != res.RuleID {
				t.Errorf("%s: result %d: rule %q is not rule %d", name, i, res.RuleID, res.RuleIndex)
			}
			if !slices.Contains([]string{"error", "warning", "note"}, res.Level) || res.Kind != "fail" || res.Message.Text == "" {
				t.Errorf("%s: result %d: level %q kind %q message %q", name, i, res.Level, res.Kind, res.Message.Text)
			}
			if len(res.Locations) != 1 || len(res.Locations[0].LogicalLocations) != 1 || res.Locations[0].LogicalLocations[0].FullyQualifiedName == "" {
				t.Errorf("%s: result %d has no place", name, i)
			}
			if p := res.Locations[0].PhysicalLocation; p != nil {
				if p.ArtifactLocation.URI == "" || strings.ContainsAny(p.ArtifactLocation.URI, " \x1b") {
					t.Errorf("%s: result %d: uri %q", name, i, p.ArtifactLocation.URI)
				}
				if g := p.Region; g != nil && (g.StartLine == nil || *g.StartLine < 1 || (g.StartColumn != nil && *g.StartColumn < 1)) {
					t.Errorf("%s: result %d: region", name, i)
				}
			}
			if len(res.PartialFingerprints[fingerprintKey]) != 64 {
				t.Errorf("%s: result %d: fingerprint", name, i)
			}
			for _, s := range res.Suppressions {
				if s.Kind != "external" || s.Status != "accepted" {
					t.Errorf("%s: result %d: suppression %+v", name, i, s)
				}
			}
		}
	}
}

func TestFingerprintsDependOnDigestRuleAndPolicyAlone(t *testing.T) {
	prints := func(change func(*verdict.Verdict)) string {
		r := sample()
		r.Verdicts, r.Unresolved = r.Verdicts[1:2], nil
		change(&r.Verdicts[0])
		var b bytes.Buffer
		if err := SARIF(&b, r); err != nil {
			t.Fatal(err)
		}
		var log sarifLog
		if err := json.Unmarshal(b.Bytes(), &log); err != nil {
			t.Fatal(err)
		}
		return log.Runs[0].Results[0].Fingerprints[fingerprintKey]
	}
	base := prints(func(*verdict.Verdict) {})
	same := map[string]func(*verdict.Verdict){
		"another line":   func(v *verdict.Verdict) { v.Where.Line += 10 },
		"another file":   func(v *verdict.Verdict) { v.Where.File = "x.yaml" },
		"another tag":    func(v *verdict.Verdict) { v.Asked = "registry.example/vision/captioner:latest" },
		"another detail": func(v *verdict.Verdict) { v.Checks[1].Detail = "3 vulnerabilities" },
	}
	for name, change := range same {
		if prints(change) != base {
			t.Errorf("%s changes the fingerprint", name)
		}
	}
	other := map[string]func(*verdict.Verdict){
		"another digest": func(v *verdict.Verdict) { v.Digest = digest("f") },
		"another rule":   func(v *verdict.Verdict) { v.Checks[1].Rule = "RequireSBOM" },
		"another policy": func(v *verdict.Verdict) { v.Checks[1].Policy = "other" },
	}
	for name, change := range other {
		if prints(change) == base {
			t.Errorf("%s keeps the fingerprint", name)
		}
	}
	perPlatform := func(platform string) string {
		return prints(func(v *verdict.Verdict) { v.Checks[1].Platform = platform })
	}
	if perPlatform("linux/amd64") == perPlatform("linux/arm64") {
		t.Error("two platforms of one index share a fingerprint")
	}
	if fingerprint("ab", "c") == fingerprint("a", "bc") {
		t.Error("two lists of parts read the same")
	}
}

// Nothing that denies may be missing from what a machine reads.
func TestEveryDenyIsAnErrorForMachines(t *testing.T) {
	bare := func(d verdict.Decision) *verdict.Report {
		return &verdict.Report{Verdicts: []verdict.Verdict{{Decision: d, Code: verdict.Revoked, Checks: []verdict.Check{{Rule: "RequireSBOM", Outcome: verdict.Pass, Code: verdict.OK}}}}}
	}
	for d, want := range map[verdict.Decision]int{verdict.Deny: 1, verdict.Allow: 0} {
		var s, x, o, table, m, why bytes.Buffer
		r := bare(d)
		if err := errors.Join(SARIF(&s, r), JUnit(&x, r), OpenReports(&o, r, "a"), Table(&table, r, Options{}), Markdown(&m, r), Why(&why, &r.Verdicts[0], now, nil, Options{})); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(o.String(), "result: fail"); got != want {
			t.Errorf("%s: %d failures in OpenReports, want %d", d, got, want)
		}
		mend := verdict.Revoked.Info().Mend
		for name, text := range map[string]string{"Table": table.String(), "Markdown": m.String(), "Why": why.String()} {
			if strings.Contains(text, mend[:20]) != (want == 1) {
				t.Errorf("%s: %s does not say how to mend it:\n%s", d, name, text)
			}
		}
		if got := strings.Count(s.String(), `"level": "error"`); got != want {
			t.Errorf("%s: %d errors in SARIF, want %d", d, got, want)
		}
		if got := strings.Count(x.String(), "<failure"); got != want {
			t.Errorf("%s: %d failures in JUnit, want %d", d, got, want)
		}
	}
}

func TestLinesAreBrokenAtSpacesAndNeverInsideAWord(t *testing.T) {
	long := strings.Repeat("x", 40)
	got := wrap("one two three "+long+" four", 10)
	if want := []string{"one two", "three", long, "four"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := wrap("one two three", 0); len(got) != 1 {
		t.Errorf("%q is broken without a width", got)
	}
}

func TestAgesReadAsPeopleSayThem(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "less than a second ago", 999 * time.Millisecond: "less than a second ago", time.Second: "1 second ago", 59 * time.Second: "59 seconds ago",
		time.Minute: "1 minute ago", 2*time.Hour + 59*time.Minute: "2 hours ago", 24 * time.Hour: "1 day ago", 26 * time.Hour: "1 day ago", 72 * time.Hour: "3 days ago",
		-5 * time.Minute: "5 minutes in the future",
	} {
		if got := Ago(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestManySubjectsDoNotMakeACommentTooLong(t *testing.T) {
	r := sample()
	denied := r.Verdicts[1]
	r.Verdicts = nil
	for range maxDetails + 5 {
		r.Verdicts = append(r.Verdicts, denied)
	}
	var b bytes.Buffer
	if err := Markdown(&b, r); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 64<<10 || !strings.Contains(b.String(), "… and 5 more") {
		t.Errorf("%d bytes", b.Len())
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAWriterThatFailsIsAnError(t *testing.T) {
	r := sample()
	for name, err := range map[string]error{
		"Table": Table(broken{}, r, Options{}), "Why": Why(broken{}, &r.Verdicts[0], now, nil, Options{}), "JSON": JSON(broken{}, r), "YAML": YAML(broken{}, r),
		"SARIF": SARIF(broken{}, r), "Markdown": Markdown(broken{}, r), "JUnit": JUnit(broken{}, r), "OpenReports": OpenReports(broken{}, r, "a"), "PolicyReport": PolicyReport(broken{}, r, "a"),
	} {
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func FuzzForeignText(f *testing.F) {
	for _, s := range []string{"", "plain", hostile, "\xed\xa0\x80", "\u2028", strings.Repeat("ä", maxShown)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range plain(s) {
			if !shown(r) {
				t.Fatalf("%q shows %q", s, r)
			}
		}
		if c := codeCell(s); c != "" && strings.Count(c, "`") != 2 {
			t.Fatalf("%q ends its code span: %s", s, c)
		}
	})
}
