package sarif

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/fact"
)

// log is a log of one run with these results and rules.
func log(results string, more ...string) string {
	rules := `[]`
	rest := ""
	for _, m := range more {
		if strings.HasPrefix(m, "[") {
			rules = m
		} else {
			rest += "," + m
		}
	}
	return `{"version":"2.1.0","runs":[{"results":[` + results + `],"tool":{"driver":{"name":"t","semanticVersion":"1","rules":` + rules + `}}` + rest + `}]}`
}

func read(t *testing.T, doc, root string) Run {
	t.Helper()
	runs, err := Read([]byte(doc), root)
	if err != nil {
		t.Fatal(err)
	}
	return runs[0]
}

func TestResultsTakeOverWhatTheirRuleSays(t *testing.T) {
	rules := `[{"id":"A","shortDescription":{"text":"about A"},"defaultConfiguration":{"level":"error"},"properties":{"security-severity":"9.1","tags":["external/cwe/cwe-089"]}},
	 {"id":"B","deprecatedIds":["GHSA-1"],"properties":{"tags":["CVE-1","HIGH"]},"relationships":[{"target":{"id":"327","toolComponent":{"name":"CWE"}}}]}]`
	for _, c := range []struct {
		name, result string
		want         func(r Result) bool
	}{
		{"by id", `{"ruleId":"A"}`, func(r Result) bool {
			return r.Title == "about A" && r.Level == "error" && r.Score == 9.1 && r.Severity == fact.SeverityCritical && r.CWE[0] == 89
		}},
		{"by index", `{"ruleIndex":0}`, func(r Result) bool { return r.Rule == "A" && r.Score == 9.1 }},
		{"by reference", `{"rule":{"index":0}}`, func(r Result) bool { return r.Rule == "A" }},
		{"by id where the index points elsewhere", `{"ruleId":"A","ruleIndex":1}`, func(r Result) bool { return r.Title == "about A" && len(r.IDs) == 0 }},
		{"not by an index that contradicts an unknown id", `{"ruleId":"C","ruleIndex":0}`, func(r Result) bool { return r.Title == "" && r.Score == 0 }},
		{"not by an index into an extension", `{"ruleId":"C","rule":{"index":0,"toolComponent":{"index":0}}}`, func(r Result) bool { return r.Score == 0 }},
		{"by an index into the rule of which it is a part", `{"ruleId":"A/x","ruleIndex":0}`, func(r Result) bool { return r.Rule == "A/x" && r.Score == 9.1 }},
		{"with aliases, words and taxa", `{"ruleId":"B"}`, func(r Result) bool {
			return fmt.Sprint(r.IDs) == "[CVE-1 GHSA-1]" || fmt.Sprint(r.IDs) == "[GHSA-1 CVE-1]" && r.Severity == fact.SeverityHigh && r.CWE[0] == 327
		}},
		{"its own level first", `{"ruleId":"A","level":"note"}`, func(r Result) bool { return r.Level == "note" }},
		{"a warning where nobody says", `{"ruleId":"C"}`, func(r Result) bool { return r.Level == "warning" }},
		{"a score that is none is none", `{"ruleId":"C","properties":{"security-severity":"11"}}`, func(r Result) bool { return r.Score == 0 && r.Severity == fact.SeverityUnknown }},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := read(t, log(c.result, rules), "")
			if len(run.Results) != 1 || !c.want(run.Results[0]) {
				t.Errorf("%+v", run.Results)
			}
		})
	}
}

func TestWhichResultsCount(t *testing.T) {
	for _, c := range []struct {
		name, result string
		count        int
		muted        bool
	}{
		{"a plain one", `{}`, 1, false},
		{"one that passed", `{"kind":"pass"}`, 0, false},
		{"one that is open", `{"kind":"open"}`, 1, false},
		{"one that is gone", `{"baselineState":"absent"}`, 0, false},
		{"one that is old", `{"baselineState":"unchanged"}`, 1, false},
		{"a suppressed one", `{"suppressions":[{"kind":"inSource"}]}`, 1, true},
		{"one whose suppression was rejected", `{"suppressions":[{"kind":"inSource"},{"kind":"external","status":"rejected"}]}`, 1, false},
		{"one with no suppression in its list", `{"suppressions":[]}`, 1, false},
		{"one whose key is spelled with escapes", `{"k\u0069nd":"pass"}`, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := read(t, log(c.result), "")
			if len(run.Results) != c.count || c.count == 1 && (run.Results[0].Muted != "") != c.muted {
				t.Errorf("%+v", run.Results)
			}
		})
	}
}

func TestPlacesAreRelativeToTheRoot(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct{ name, uri, base, file, other string }{
		{"a relative one", "a/b.go", "", "a/b.go", ""},
		{"one with dots", "./a/../b.go", "", "b.go", ""},
		{"an absolute one below", dir + "/b.go", "", "b.go", ""},
		{"an absolute one below by another name", link + "/b.go", "", "b.go", ""},
		{"a file URI", "file://" + dir + "/a%20b.go", "", "a b.go", ""},
		{"one of another system", `a\b.go`, "", "a/b.go", ""},
		{"one by its base", "b.go", "file://" + dir + "/a/", "a/b.go", ""},
		{"one by a relative base", "b.go", "a", "a/b.go", ""},
		{"one that leaves the root", "../b.go", "", "", "../b.go"},
		{"one that leaves it in disguise", "a/%2e%2e/../%2e%2e/etc/passwd", "", "", "a/%2e%2e/../%2e%2e/etc/passwd"},
		{"an absolute one elsewhere", "/etc/passwd", "", "", "/etc/passwd"},
		{"one beside the root", dir + "x/b.go", "", "", dir + "x/b.go"},
		{"a URL", "https://example.com/a", "", "", "https://example.com/a"},
		{"the root itself", ".", "", "", "."},
		{"one with a zero byte", "a%00b", "", "", "a%00b"},
		{"none", "", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := newRoot(link)
			if p := root.place(c.uri, c.base); p.File != c.file || p.Name != c.other {
				t.Errorf("%+v", p)
			}
		})
	}
	run := read(t, log(`{"locations":[{"physicalLocation":{"artifactLocation":{"uri":"b.go","uriBaseId":"X"},"region":{"startLine":4,"endLine":2,"startColumn":3,"snippet":{"text":"x"}}}},{"physicalLocation":{"artifactLocation":{"uri":"second"}}}]}`,
		`"originalUriBaseIds":{"X":{"uri":"file://`+dir+`/a/"}}`), dir)
	if p := run.Results[0].Place; p.File != "a/b.go" || p.Line != 4 || p.End != 4 || p.Column != 3 || p.Snippet != "x" {
		t.Errorf("%+v", p)
	}
}

func TestWhatIsNoReadableReport(t *testing.T) {
	for _, c := range []struct{ name, doc, why string }{
		{"nothing", ``, "too early"},
		{"a scalar", `5`, "not an object"},
		{"another version", `{"version":"1.0.0","runs":[{}]}`, "2.1.0 is read"},
		{"no version", `{"runs":[{}]}`, "2.1.0 is read"},
		{"no runs", `{"version":"2.1.0"}`, "no run"},
		{"runs that are null", `{"version":"2.1.0","runs":null}`, "no run"},
		{"results of the wrong shape", log(`5`), "not an object"},
		{"a rule id that is a number", log(`{"ruleId":5}`), "not a string"},
		{"a key twice", log(`{"ruleId":"a","ruleId":"b"}`), "duplicate"},
		{"two documents", log(``) + log(``), "more than one"},
		{"one that is cut off", log(``)[:60], "too early"},
		{"one nested too deeply", log(strings.Repeat("[", 60) + strings.Repeat("]", 60)), "deeper"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read([]byte(c.doc), "")
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.why) {
				t.Error(err)
			}
		})
	}
	if run := read(t, log(``), ""); run.Problem != "" || run.Tool != "t" || run.Version != "1" {
		t.Error(run)
	}
}

func TestTooManyResultsAreRefused(t *testing.T) {
	if _, err := Read([]byte(log(strings.Repeat("{},", MaxResults)+"{}")), ""); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
	if run := read(t, log(strings.Repeat("{},", MaxResults-1)+"{}"), ""); len(run.Results) != MaxResults {
		t.Error(len(run.Results))
	}
}

func TestARunThatSaysItFailedHasAProblem(t *testing.T) {
	for _, c := range []struct{ name, invocation, problem string }{
		{"it succeeded", `{"executionSuccessful":true,"endTimeUtc":"2026-11-22T10:00:00Z"}`, ""},
		{"it did not", `{"executionSuccessful":false}`, "did not succeed"},
		{"it reports an error", `{"executionSuccessful":true,"toolExecutionNotifications":[{"level":"error","message":{"text":"no rules"}}]}`, "no rules"},
		{"it reports a warning", `{"executionSuccessful":true,"toolExecutionNotifications":[{"level":"warning"}]}`, ""},
		{"it was misconfigured", `{"executionSuccessful":true,"toolConfigurationNotifications":[{"level":"error"}]}`, "error during its run"},
		{"a part did not start", `{"processStartFailureMessage":"x"}`, "could not start"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := read(t, log(``, `"invocations":[`+c.invocation+`]`), "")
			if !strings.Contains(run.Problem, c.problem) || (c.problem == "") != (run.Problem == "") {
				t.Error(run.Problem)
			}
		})
	}
}

func TestClassesOfWeaknesses(t *testing.T) {
	for cwe, want := range map[int]Class{89: SQLInjection, 798: Secret, 22: PathTraversal, 99999: ""} {
		if got := ClassOf([]int{cwe}); got != want {
			t.Errorf("CWE-%d is %q, want %q", cwe, got, want)
		}
	}
}

// FuzzRead: whatever is read is written, and read again as the same.
func FuzzRead(f *testing.F) {
	f.Add([]byte(log(`{"ruleId":"A","message":{"text":"m"},"partialFingerprints":{"k":"v"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{"startLine":3}}}]}`, `[{"id":"A"}]`)))
	f.Add([]byte(log(`{"ruleIndex":0,"suppressions":[{"status":"accepted"}],"properties":{"security-severity":7}}`, `[{"id":"A","properties":{"tags":["cwe-1"]}}]`)))
	f.Add([]byte(log(`{"ruleId":null,"locations":null}`, `"invocations":[{"executionSuccessful":null}]`)))
	f.Add([]byte(`{"version":"2.1.0","runs":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		runs, err := Read(data, "/root")
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		l := &Log{}
		for _, run := range runs {
			for _, r := range run.Results {
				if strings.HasPrefix(r.Place.File, "../") || filepath.IsAbs(r.Place.File) {
					t.Fatalf("%q is not below the root", r.Place.File)
				}
				l.Entries = append(l.Entries, Entry{Rule: r.Rule, Title: r.Title, Message: r.Message, Severity: r.Severity, Place: r.Place, Fingerprints: r.Partial})
			}
		}
		var b bytes.Buffer
		if err := Write(&b, l); err != nil {
			t.Fatal(err)
		}
		again, err := Read(b.Bytes(), "/root")
		if err != nil || len(again) != 1 || len(again[0].Results) != len(l.Entries) {
			t.Fatalf("%v: %s", err, b.Bytes())
		}
		for i, r := range again[0].Results {
			if r.Place.File != l.Entries[i].Place.File {
				t.Fatalf("%q was read again as %q", l.Entries[i].Place.File, r.Place.File)
			}
		}
	})
}
