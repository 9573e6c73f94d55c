package scanhub

import (
	"bytes"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

func TestTheMergedReportReadsAsWhatItIs(t *testing.T) {
	dir := tree(t, program)
	known, _ := NewBaseline(merged(t, dir, scan("gosec", at(4))), "old", day("2030-01-01"))
	partial := func(r *sarif.Result) {
		r.Partial = []sarif.Fingerprint{{Key: "primaryLocationLineHash", Value: "abc"}}
		r.Place.Snippet = "query(the source)"
		r.Message = "see [this](http://example.com)\x1b[0m"
	}
	m := merged(t, dir, scan("gosec", at(4, partial), at(8, partial)))
	v := Decide(m, known, Threshold{}, day("2029-01-01"))
	var b bytes.Buffer
	if err := WriteSARIF(&b, m, &v); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "the source") {
		t.Error("the source went into the report")
	}
	runs, err := sarif.Read(b.Bytes(), dir)
	if err != nil || len(runs) != 1 || runs[0].Problem != "" || len(runs[0].Results) != 2 {
		t.Fatal(runs, err)
	}
	one, two := runs[0].Results[0], runs[0].Results[1]
	if one.Muted == "" || two.Muted != "" {
		t.Error("the accepted one is suppressed and the new one is not: ", one, two)
	}
	if one.Place.File != "a.go" || one.Place.Line != 4 || one.Rule != "sql_injection" || one.Severity != at(4).Severity {
		t.Errorf("%+v", one)
	}
	if strings.Contains(one.Message, "\x1b") || !strings.Contains(one.Message, `\[this\]`) {
		t.Errorf("%q", one.Message)
	}
	keys := map[string]string{}
	for _, p := range one.Partial {
		keys[p.Key] = p.Value
	}
	if keys["apexScan/v1"] != m.Findings[0].Fingerprint || keys["gosec/primaryLocationLineHash"] != "abc" {
		t.Error(keys)
	}
}

func TestTheMergedReportSaysWhoHasNotScanned(t *testing.T) {
	for _, c := range []struct {
		name string
		scan Scan
		want string
	}{
		{"one that failed makes the run a failed one", Scan{Tool: "gosec", Status: NotScanned, Reason: "it failed"}, "did not succeed"},
		{"one that is not installed does not", Scan{Tool: "gosec", Status: NotInstalled}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := merged(t, "", c.scan)
			v := Decide(m, nil, Threshold{}, day("2029-01-01"))
			var b bytes.Buffer
			if err := WriteSARIF(&b, m, &v); err != nil {
				t.Fatal(err)
			}
			runs, err := sarif.Read(b.Bytes(), "")
			if err != nil || !strings.Contains(runs[0].Problem, c.want) || (c.want == "") != (runs[0].Problem == "") {
				t.Error(runs, err)
			}
		})
	}
}
