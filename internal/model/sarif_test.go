package model_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/scan"
)

// The parts of SARIF 2.1.0 that the schema requires of what is written.
type sarif struct {
	Schema  string `json:"$schema"`
	Version string `json:"version"`
	Runs    []struct {
		Tool struct {
			Driver struct {
				Name  string `json:"name"`
				Rules []struct {
					ID     string                 `json:"id"`
					Short  struct{ Text string }  `json:"shortDescription"`
					Help   struct{ Text string }  `json:"help"`
					Config struct{ Level string } `json:"defaultConfiguration"`
				} `json:"rules"`
			} `json:"driver"`
		} `json:"tool"`
		Results []struct {
			RuleID    string                `json:"ruleId"`
			RuleIndex int                   `json:"ruleIndex"`
			Level     string                `json:"level"`
			Kind      string                `json:"kind"`
			Message   struct{ Text string } `json:"message"`
			Locations []struct {
				Physical struct {
					Artifact struct{ URI string } `json:"artifactLocation"`
					Region   *struct {
						Offset *int64 `json:"byteOffset"`
					} `json:"region"`
				} `json:"physicalLocation"`
				Logical []struct {
					Name string `json:"fullyQualifiedName"`
				} `json:"logicalLocations"`
			} `json:"locations"`
			Fingerprints map[string]string `json:"partialFingerprints"`
			Properties   map[string]string `json:"properties"`
		} `json:"results"`
	} `json:"runs"`
}

func finding(rule string, severity scan.Severity, where scan.Where, detail string) scan.Finding {
	return scan.Finding{Rule: rule, Severity: severity, Format: "pickle", Where: where, Detail: detail, Why: "It runs.", Mend: "Do not load it."}
}

func writeSARIF(t *testing.T, files ...model.File) sarif {
	t.Helper()
	r := model.Summarize(files)
	var a, b bytes.Buffer
	if err := r.SARIF(&a); err != nil {
		t.Fatal(err)
	}
	if err := r.SARIF(&b); err != nil || a.String() != b.String() {
		t.Errorf("twice is not the same: %v", err)
	}
	var doc sarif
	d := json.NewDecoder(&a)
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestSARIFHasWhatItsReadersNeed(t *testing.T) {
	doc := writeSARIF(t,
		model.File{Path: "./m/a [1].pkl", Result: scan.Result{Verdict: scan.Malicious, Findings: []scan.Finding{
			finding("pickle.call", scan.Harmful, scan.Op(12, "REDUCE"), "it calls [os].system"),
			finding("pickle.odd", scan.Doubtful, scan.At(0), "odd"),
			finding("pickle.call", scan.Harmful, scan.Where{Member: "archive/data.pkl", Offset: 7}, "it calls os.system"),
			finding("pickle.pad", scan.Note, scan.Nowhere, ""),
		}}},
		model.File{Path: "m/unknown.xyz"},
		model.File{Path: "hf://a/b@c/x", Result: scan.Result{Verdict: scan.Unscannable, Findings: []scan.Finding{finding("scan.read", scan.Unreadable, scan.Nowhere, "404")}}},
	)
	if doc.Version != "2.1.0" || !strings.Contains(doc.Schema, "sarif-schema-2.1.0") || len(doc.Runs) != 1 || doc.Runs[0].Tool.Driver.Name != "Apex" {
		t.Fatalf("%+v", doc)
	}
	rules, results := doc.Runs[0].Tool.Driver.Rules, doc.Runs[0].Results
	ids := map[string]bool{}
	for _, r := range rules {
		if ids[r.ID] || r.Short.Text == "" || r.Help.Text == "" || r.Config.Level == "" {
			t.Errorf("rule %+v", r)
		}
		ids[r.ID] = true
	}
	prints := map[string]bool{}
	for _, r := range results {
		f := r.Fingerprints["apexModelFinding/v1"]
		if rules[r.RuleIndex].ID != r.RuleID || r.Kind != "fail" || r.Message.Text == "" || len(r.Locations) != 1 || prints[f] || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(f) {
			t.Errorf("result %+v", r)
		}
		prints[f] = true
		if _, err := url.Parse(r.Locations[0].Physical.Artifact.URI); err != nil {
			t.Error(err)
		}
	}
	var levels []string
	for _, r := range results {
		levels = append(levels, r.Level)
	}
	if got := strings.Join(levels, " "); got != "error warning error note note warning" {
		t.Errorf("levels %s", got)
	}
	first, member := results[0], results[2]
	if first.Locations[0].Physical.Artifact.URI != "m/a%20%5B1%5D.pkl" || *first.Locations[0].Physical.Region.Offset != 12 || !strings.Contains(first.Message.Text, `\[os\].system`) {
		t.Errorf("%+v", first)
	}
	if *results[1].Locations[0].Physical.Region.Offset != 0 {
		t.Error("byte 0 is a place too")
	}
	if member.Locations[0].Physical.Region != nil || member.Properties["memberOffset"] != "7" || !strings.HasSuffix(member.Locations[0].Logical[0].Name, "!archive/data.pkl") {
		t.Errorf("%+v", member)
	}
	if results[5].Locations[0].Physical.Artifact.URI != "hf://a/b@c/x" || results[4].RuleID != "scan.unknown" {
		t.Errorf("%+v", results[5])
	}
}

func TestAFingerprintSurvivesWhatMoves(t *testing.T) {
	of := func(path string, f scan.Finding) string {
		return writeSARIF(t, model.File{Path: path, Result: scan.Result{Verdict: scan.Malicious, Findings: []scan.Finding{f}}}).Runs[0].Results[0].Fingerprints["apexModelFinding/v1"]
	}
	a := of("a", finding("r", scan.Harmful, scan.At(1), "d"))
	if a != of("a", finding("r", scan.Harmful, scan.Op(99, "REDUCE"), "d")) {
		t.Error("it depends on the offset")
	}
	for _, other := range []string{of("b", finding("r", scan.Harmful, scan.At(1), "d")), of("a", finding("s", scan.Harmful, scan.At(1), "d")),
		of("a", finding("r", scan.Harmful, scan.At(1), "e")), of("a", finding("r", scan.Harmful, scan.Where{Member: "m"}, "d"))} {
		if a == other {
			t.Error("two things have one fingerprint")
		}
	}
	if doc := writeSARIF(t, model.File{Path: "a", Result: scan.Result{Verdict: scan.Clean}}); doc.Runs[0].Results == nil || len(doc.Runs[0].Results) != 0 {
		t.Errorf("%+v", doc)
	}
}
