package scanhub

import (
	"testing"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

func TestReportsThatAreHandedIn(t *testing.T) {
	found := func(rule string) []sarif.Result { return []sarif.Result{{Rule: rule, Level: "error", CWE: []int{89}}} }
	for _, c := range []struct {
		name   string
		run    sarif.Run
		tool   string
		status Status
		class  sarif.Class
	}{
		{"one of a tool of the table has its classes", sarif.Run{Tool: "Gitleaks", Results: found("x")}, "gitleaks", Scanned, sarif.Secret},
		{"one by its longer name too", sarif.Run{Tool: "Semgrep OSS", Results: found("generic.secrets.x")}, "semgrep", Scanned, sarif.Secret},
		{"one of a tool that nobody knows has those of its tags", sarif.Run{Tool: "mine", Results: found("x")}, "mine", Scanned, sarif.SQLInjection},
		{"one with a problem has not scanned", sarif.Run{Tool: "mine", Problem: "half", Results: found("x")}, "mine", NotScanned, sarif.SQLInjection},
		{"one without a name has not scanned", sarif.Run{Results: found("x")}, "unnamed", NotScanned, sarif.SQLInjection},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Report(c.run)
			if s.Tool != c.tool || s.Status != c.status || (s.Status == Scanned) != (s.Reason == "") {
				t.Errorf("%+v", s)
			}
			if len(s.Results) != 1 || s.Results[0].Class != c.class || s.Results[0].Severity != fact.SeverityHigh {
				t.Errorf("%+v", s.Results)
			}
		})
	}
}
