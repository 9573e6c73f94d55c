package model_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/corpus"
	"github.com/apexlogic/apex/internal/model/scan"
)

// tally counts what was said of cases.
type tally struct{ all, detected, blocked int }

func (t tally) share(n int) float64 { return 100 * float64(n) / float64(max(t.all, 1)) }

func (t tally) String() string {
	return fmt.Sprintf("%d cases, %.2f %% detected, %.2f %% blocked", t.all, t.share(t.detected), t.share(t.blocked))
}

// judge scans all files of a case as somebody who loads it would have them.
func judge(t *testing.T, s *model.Scanner, c *corpus.Case) (scan.Verdict, string) {
	t.Helper()
	worst, why := scan.Unknown, ""
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		res := s.File(t.Context(), scan.Bytes(c.Files[name]), scan.Options{})
		for i := range res.Findings {
			f := &res.Findings[i]
			if f.Rule == "scan.internal" {
				t.Errorf("%s: %s: %s", c.Name, name, f.Detail)
			}
			if f.Severity > scan.Note && len(why) < 400 {
				why += fmt.Sprintf("\n      %s %s at %s: %s", f.Severity, f.Rule, f.Where, f.Detail)
			}
		}
		worst = max(worst, res.Verdict)
	}
	return worst, why
}

// TestTheCorpusIsJudgedRightly holds the scanner to its figures on the corpus
// that was written without sight of it: all malicious cases blocked, at least
// 98 % of them detected, of the benign ones at most 1 % detected and 2 % blocked.
func TestTheCorpusIsJudgedRightly(t *testing.T) {
	s := model.New(scan.Limits{})
	var malicious, benign tally
	techniques := map[string]*tally{}
	for c := range corpus.Malicious() {
		v, why := judge(t, s, &c)
		of := techniques[c.Technique]
		if of == nil {
			of = &tally{}
			techniques[c.Technique] = of
		}
		for _, n := range []*tally{of, &malicious} {
			n.all++
			if v >= scan.Suspicious {
				n.detected++
			}
			if v.Blocked() {
				n.blocked++
			}
		}
		if v < scan.Suspicious {
			t.Logf("not detected: %s is %s (%s)%s", c.Name, v, c.Truth, why)
		}
	}
	for c := range corpus.Benign() {
		v, why := judge(t, s, &c)
		benign.all++
		if v >= scan.Suspicious {
			benign.detected++
		}
		if v.Blocked() {
			benign.blocked++
			t.Logf("blocked: %s is %s (%s)%s", c.Name, v, c.Truth, why)
		}
	}
	t.Logf("malicious: %s", malicious)
	t.Logf("benign: %s", benign)
	var partly []string
	for name, of := range techniques {
		if of.detected < of.all {
			partly = append(partly, fmt.Sprintf("%s %d/%d", name, of.detected, of.all))
		}
	}
	slices.Sort(partly)
	t.Logf("%d techniques, not wholly detected: %s", len(techniques), strings.Join(partly, ", "))
	switch {
	case malicious.all < 300 || benign.all < 250:
		t.Errorf("the corpus has %d and %d cases", malicious.all, benign.all)
	case malicious.blocked < malicious.all, malicious.share(malicious.detected) < 98:
		t.Error("too little of what is malicious was found")
	case benign.share(benign.detected) > 1, benign.share(benign.blocked) > 2:
		t.Error("too much of what is benign was blocked")
	}
}
