package main

import (
	"os"
	"strings"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

func TestThePageOfCodesIsCurrent(t *testing.T) {
	got, err := os.ReadFile("../../docs/codes.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != page() {
		t.Error("docs/codes.md is not what the table says: run go generate ./verdict and commit")
	}
}

func TestEveryCodeIsOnThePageOnceWithItsMend(t *testing.T) {
	p := page()
	for _, info := range verdict.Codes() {
		if n := strings.Count(p, "| `"+string(info.Code)+"` |"); n != 1 {
			t.Errorf("%s is there %d times", info.Code, n)
		}
		if info.Meaning == "" || info.Mend == "" && info.Code != verdict.OK {
			t.Errorf("%s has no meaning or no mend", info.Code)
		}
	}
	headings := map[string]bool{}
	for line := range strings.Lines(p) {
		if strings.HasPrefix(line, "## ") && headings[line] {
			t.Errorf("two tables of %q: the areas are not in one piece", line)
		} else if strings.HasPrefix(line, "## ") {
			headings[line] = true
		}
	}
}
