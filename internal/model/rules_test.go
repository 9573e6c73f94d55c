package model_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/corpus"
	"github.com/apexlogic/apex/internal/model/scan"
)

func TestFormatsAndRulesHaveNamesOfTheirOwn(t *testing.T) {
	formats := map[string]bool{}
	for _, f := range model.Formats(scan.Limits{}).All() {
		if formats[f.Name] {
			t.Errorf("two formats are called %s", f.Name)
		}
		formats[f.Name] = true
		if f.Claim == nil || f.Scan == nil || f.Name == "" {
			t.Errorf("%s is not whole", f.Name)
		}
	}
	id := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)+$`)
	rules := map[string]*scan.Rule{}
	for _, r := range model.Rules() {
		if rules[r.ID] != nil {
			t.Errorf("two rules are called %s", r.ID)
		}
		rules[r.ID] = r.Rule
		if !id.MatchString(r.ID) || r.Why == "" || r.Mend == "" && r.Severity > scan.Note {
			t.Errorf("%q: why %q, mend %q", r.ID, r.Why, r.Mend)
		}
	}
	if len(formats) < 30 || len(rules) < 100 {
		t.Errorf("only %d formats with %d rules", len(formats), len(rules))
	}
}

// Every rule that a scan reports by is in the table from which its page is written.
func TestFindingsAreByRulesThatAreListed(t *testing.T) {
	listed := map[string]scan.Severity{}
	for _, r := range model.Rules() {
		listed[r.ID] = r.Severity
	}
	s := model.New(scan.Limits{})
	var missing []string
	n := 0
	for _, cases := range [](func(func(corpus.Case) bool)){corpus.Malicious(), corpus.Benign()} {
		for c := range cases {
			for _, content := range c.Files {
				res := s.File(t.Context(), scan.Bytes(content), scan.Options{Tensors: true})
				for _, f := range res.Findings {
					n++
					if severity, ok := listed[f.Rule]; (!ok || severity != f.Severity) && !slices.Contains(missing, f.Rule) {
						missing = append(missing, f.Rule)
						t.Errorf("%s is reported as %s by %s for %s, and not listed so", f.Rule, f.Severity, f.Format, c.Name)
					}
				}
			}
		}
	}
	if n < 300 {
		t.Errorf("only %d findings were looked at", n)
	}
}
