package report_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/report"
)

func TestFindingsAsSARIF(t *testing.T) {
	found := []report.Finding{
		{Rule: "star_resource", Title: "writes on everything", Message: "s3:PutObject on \x1b[31m[*](http://evil)", Severity: fact.SeverityHigh, File: "./infra/main.tf", Line: 12, Name: "role", Identity: []string{"role"}, Mend: "name the bucket"},
		{Rule: "star_resource", Message: "again", Severity: fact.SeverityMedium, Identity: []string{"other"}, Muted: "known"},
		{Rule: "CVE-2026-0001", Message: "who knows", Severity: fact.SeverityUnknown, Score: 9.81},
		{Rule: "CVE-2026-0002", Message: "little", Severity: fact.SeverityLow},
	}
	var b bytes.Buffer
	if err := report.FindingsSARIF(&b, found); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct{ Rules []struct{ ID string } }
			}
			Results []struct {
				RuleID              string
				RuleIndex           int
				Level               string
				Message             struct{ Text string }
				PartialFingerprints map[string]string
				Suppressions        []any
				Properties          map[string]string
				Locations           []struct {
					PhysicalLocation *struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	if len(run.Tool.Driver.Rules) != 3 || len(run.Results) != 4 {
		t.Fatalf("%d rules, %d results", len(run.Tool.Driver.Rules), len(run.Results))
	}
	first := run.Results[0]
	if at := first.Locations[0].PhysicalLocation; at.ArtifactLocation.URI != "infra/main.tf" || at.Region.StartLine != 12 {
		t.Errorf("it points to %+v", at)
	}
	if strings.Contains(first.Message.Text, "\x1b") || strings.Contains(first.Message.Text, "[*](") {
		t.Errorf("foreign text forms markup: %q", first.Message.Text)
	}
	levels := []string{"error", "warning", "error", "note"}
	prints := map[string]bool{}
	for i, r := range run.Results {
		if r.Level != levels[i] {
			t.Errorf("result %d is a %s", i, r.Level)
		}
		for _, p := range r.PartialFingerprints {
			prints[p] = true
		}
	}
	if len(prints) != 4 {
		t.Errorf("%d fingerprints of 4 findings", len(prints))
	}
	if len(run.Results[1].Suppressions) != 1 || len(first.Suppressions) != 0 {
		t.Error("what is muted is not marked, or something else is")
	}
	if run.Results[2].Properties["security-severity"] != "9.8" {
		t.Errorf("score %q", run.Results[2].Properties["security-severity"])
	}
	// The line is not part of what a finding is.
	found[0].Line = 99
	var moved bytes.Buffer
	if err := report.FindingsSARIF(&moved, found); err != nil {
		t.Fatal(err)
	}
	for p := range prints {
		if !strings.Contains(moved.String(), p) {
			t.Error("a fingerprint changed with the line")
		}
	}
}
