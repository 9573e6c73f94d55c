package scan

import (
	"fmt"
	"slices"
	"testing"

	"github.com/apexlogic/apex/internal/fact"
)

func TestSeverityWordsOfScannersAndVendors(t *testing.T) {
	words := map[string]fact.Severity{
		"CRITICAL": fact.SeverityCritical, "critical": fact.SeverityCritical,
		"HIGH": fact.SeverityHigh, "High": fact.SeverityHigh, "Important": fact.SeverityHigh, " high ": fact.SeverityHigh,
		"MEDIUM": fact.SeverityMedium, "moderate": fact.SeverityMedium, "MODERATE": fact.SeverityMedium,
		"low": fact.SeverityLow, "Negligible": fact.SeverityNegligible, "unimportant": fact.SeverityNegligible, "info": fact.SeverityNegligible,
		"": fact.SeverityUnknown, "UNKNOWN": fact.SeverityUnknown, "none": fact.SeverityUnknown,
		"not yet assigned": fact.SeverityUnknown, "criticalish": fact.SeverityUnknown, "9.8": fact.SeverityUnknown,
	}
	for word, want := range words {
		if got := ParseSeverity(word); got != want {
			t.Errorf("%q is %s, want %s", word, got, want)
		}
	}
}

func TestScoresFallIntoTheBandsOfCVSS3(t *testing.T) {
	bands := map[float64]fact.Severity{
		0: fact.SeverityUnknown, -1: fact.SeverityUnknown, 10.1: fact.SeverityUnknown,
		0.1: fact.SeverityLow, 3.9: fact.SeverityLow, 4: fact.SeverityMedium, 6.9: fact.SeverityMedium,
		7: fact.SeverityHigh, 8.9: fact.SeverityHigh, 9: fact.SeverityCritical, 10: fact.SeverityCritical,
	}
	for score, want := range bands {
		if got := byScore(score); got != want {
			t.Errorf("%v is %s, want %s", score, got, want)
		}
	}
}

// The scores are those that the National Vulnerability Database publishes for
// the vectors of the named CVEs.
func TestVectorsScoreAsPublished(t *testing.T) {
	vectors := map[string]float64{
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H": 10,  // CVE-2021-44228
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H": 9.8, // CVE-2021-45046 family
		"CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N": 7.5, // CVE-2014-0160
		"CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H": 7.8, // CVE-2021-4034
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N": 6.1,
		"CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N": 1.6,
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N": 0,
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H":     0, // A is missing
		"CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H": 0,
		"CVSS:3.1/AV:N/AV:N/AC:L/PR:N/UI:N/S:U/C:H":    0,
		"CVSS:3.1": 0,
	}
	for vector, want := range vectors {
		if got := parseScore(vector); got != want {
			t.Errorf("%s scores %v, want %v", vector, got, want)
		}
	}
	for text, want := range map[string]float64{"9.8": 9.8, "0": 0, "11": 0, "-1": 0, "NaN": 0, "Inf": 0, "": 0, "high": 0, "CVSS:4.0/AV:N": 0} {
		if got := parseScore(text); got != want {
			t.Errorf("%q scores %v, want %v", text, got, want)
		}
	}
}

func TestAMissingSeverityIsTakenFromTheNextBestSource(t *testing.T) {
	f := func(id string, sev, db fact.Severity, score float64, aliases ...string) finding {
		return finding{Vulnerability: fact.Vulnerability{ID: id, Severity: sev, Score: score, Aliases: aliases}, database: db}
	}
	tests := []struct {
		name     string
		findings []finding
		want     fact.Severity // of the first one
	}{
		{"its own stands, whatever others say", []finding{f("A", fact.SeverityLow, fact.SeverityCritical, 9.8, "B"), f("B", fact.SeverityCritical, 0, 0)}, fact.SeverityLow},
		{"an alias named by it", []finding{f("A", 0, fact.SeverityLow, 3, "B"), f("B", fact.SeverityHigh, 0, 0)}, fact.SeverityHigh},
		{"an alias that names it", []finding{f("A", 0, fact.SeverityLow, 3), f("B", fact.SeverityHigh, 0, 0, "A")}, fact.SeverityHigh},
		{"two records of the same third", []finding{f("A", 0, 0, 0, "C"), f("B", fact.SeverityMedium, 0, 0, "C")}, fact.SeverityMedium},
		{"the worst of several aliases", []finding{f("A", 0, 0, 0, "B", "C"), f("B", fact.SeverityLow, 0, 0), f("C", fact.SeverityCritical, 0, 0)}, fact.SeverityCritical},
		{"the database before the score", []finding{f("A", 0, fact.SeverityMedium, 9.8)}, fact.SeverityMedium},
		{"the score", []finding{f("A", 0, 0, 9.8)}, fact.SeverityCritical},
		{"nothing", []finding{f("A", 0, 0, 0, "B"), f("B", 0, 0, 0)}, fact.SeverityUnknown},
		{"a stranger does not help", []finding{f("A", 0, 0, 0), f("B", fact.SeverityHigh, 0, 0)}, fact.SeverityUnknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := resolve(test.findings)[0].Severity; got != test.want {
				t.Errorf("severity %s, want %s", got, test.want)
			}
		})
	}
}

func TestRepeatedFindingsAreFoldedToTheWorse(t *testing.T) {
	got := resolve([]finding{
		{Vulnerability: fact.Vulnerability{ID: "A", Package: "p", Version: "1", Severity: fact.SeverityLow, Unfixed: true}},
		{Vulnerability: fact.Vulnerability{ID: "A", Package: "p", Version: "1", Severity: fact.SeverityHigh, Fixed: "2", Score: 8, Aliases: []string{"B"}}},
		{Vulnerability: fact.Vulnerability{ID: "A", Package: "q", Version: "1", Severity: fact.SeverityLow}},
	})
	var lines []string
	for _, v := range got {
		lines = append(lines, line(v))
	}
	want := []string{"A High p@1 fixed 2 8.0 = B", "A Low q@1"}
	if !slices.Equal(lines, want) {
		t.Errorf("%q, want %q", lines, want)
	}
}

func TestTrivysNumbersAreSeverities(t *testing.T) {
	for text, want := range map[string]fact.Severity{
		`0`: fact.SeverityUnknown, `1`: fact.SeverityLow, `2`: fact.SeverityMedium, `3`: fact.SeverityHigh, `4`: fact.SeverityCritical,
		`5`: fact.SeverityUnknown, `-1`: fact.SeverityUnknown, `"HIGH"`: fact.SeverityHigh, `null`: fact.SeverityUnknown, `{}`: fact.SeverityUnknown,
	} {
		doc := fmt.Sprintf(`{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Vulnerabilities":[{"VulnerabilityID":"A","VendorSeverity":{"nvd":%s}}]}]}`, text)
		if got := mustParse(t, doc).Findings[0].Severity; got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}
