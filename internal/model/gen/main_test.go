package main

import (
	"os"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model"
)

func TestThePageOfFindingsIsCurrent(t *testing.T) {
	got, err := os.ReadFile("../../../docs/model-findings.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != page() {
		t.Error("docs/model-findings.md is not what the rules say: run go generate ./internal/model and commit")
	}
}

func TestEveryRuleIsOnThePageOnce(t *testing.T) {
	p := page()
	for _, r := range model.Rules() {
		if n := strings.Count(p, "| `"+r.ID+"` |"); n != 1 {
			t.Errorf("%s is there %d times", r.ID, n)
		}
	}
	headings := map[string]bool{}
	for line := range strings.Lines(p) {
		if strings.HasPrefix(line, "## ") && headings[line] {
			t.Errorf("two tables of %q", line)
		} else if strings.HasPrefix(line, "## ") {
			headings[line] = true
		}
	}
}
