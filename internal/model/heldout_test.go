package model_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/corpus"
	"github.com/apexlogic/apex/internal/model/scan"
)

// TestTheHeldOutCorpus measures what the scanner says of a corpus that nobody
// tunes it on: its figures are written down (docs/performance.md), and only a
// clear loss against them fails. APEX_HELDOUT=1 lists what was missed, which
// spends the corpus: whoever looks writes another one.
func TestTheHeldOutCorpus(t *testing.T) {
	s := model.New(scan.Limits{})
	list := os.Getenv("APEX_HELDOUT") != ""
	var malicious, benign tally
	missed := map[string]int{}
	for c := range corpus.HeldOut() {
		v, why := judge(t, s, &c)
		n := &benign
		if c.Malicious {
			n = &malicious
		}
		n.all++
		if v >= scan.Suspicious {
			n.detected++
		}
		if v.Blocked() {
			n.blocked++
		}
		if c.Malicious != (v >= scan.Suspicious) {
			missed[c.Technique]++
			if list {
				t.Logf("%s is %s (%s)%s", c.Name, v, c.Truth, why)
			}
		}
	}
	t.Logf("malicious: %s", malicious)
	t.Logf("benign: %s", benign)
	var families []string
	for name, n := range missed {
		families = append(families, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(families)
	t.Logf("judged otherwise: %s", strings.Join(families, ", "))
	if malicious.share(malicious.blocked) < 97 || benign.share(benign.blocked) > 12 {
		t.Error("the scanner does worse than its figures say")
	}
}
