package heal_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/verdict"
)

func TestEveryTamperIsHealedInTheEmbeddedTarget(t *testing.T) { testTampers(t, openEmbedded(t)) }

// testTampers does all to all: the objects are what they were after each.
func testTampers(t *testing.T, w world) {
	g := newGuard(t, w, func(c *heal.Config) { c.FightHeals = 1 << 20 }) // fights have tests of their own
	g.run(t)
	victims := map[string]*gitops.Object{}
	for _, c := range tampers {
		if victims[c.victim] == nil {
			o := object(t, w, c.victim)
			victims[c.victim] = o
			g.put(t, o)
		}
	}
	g.rest(t, 0)
	if n := len(g.reports); n != 0 {
		t.Fatalf("%d reports about what nobody touched: %v", n, summary(g.reports))
	}
	healed, tried := 0, 0
	for _, c := range tampers {
		for _, by := range writers {
			if by.operation == "Wipe" && !w.real() {
				continue // the embedded target keeps its record of owners to itself
			}
			tried++
			t.Run(fmt.Sprintf("%s, by %s of %s", c.name, by.operation, by.manager), func(t *testing.T) {
				o := victims[c.victim]
				before, err := w.Get(t.Context(), o.ID, o.Version)
				if err != nil {
					t.Fatal(err)
				}
				was := len(g.of(verdict.DriftHealed, o.ID))
				tampered := w.write(t, o.ID, o.Version, by, c.change)
				if tampered.ResourceVersion == before.ResourceVersion {
					if by.operation != "Apply" {
						t.Fatal("the tampering changed nothing")
					}
					return // an apply takes away only what nobody else owns
				}
				var diff string
				g.until(t, "healing", func([]heal.Report) bool {
					if len(g.of(verdict.DriftHealed, o.ID)) == was {
						return false
					}
					after, err := w.Get(t.Context(), o.ID, o.Version)
					if err != nil {
						return false
					}
					diff = diffOf(essence(before.Body), essence(after.Body))
					return diff == "" || g.Idle()
				})
				if diff != "" {
					t.Fatalf("healed to something else (-before +after):\n%s", diff)
				}
				healed++
			})
		}
	}
	if !t.Failed() {
		t.Logf("%d of %d healed (%d ways, up to %d writers); the others were refused by the server, or took nothing away", healed, tried, len(tampers), len(writers))
	}
}

// diffOf returns the lines of JSON that only one of the two has.
func diffOf(before, after map[string]any) string {
	lines := func(v map[string]any) []string {
		data, _ := json.MarshalIndent(v, "", " ")
		return strings.Split(string(data), "\n")
	}
	a, b := lines(before), lines(after)
	if slices.Equal(a, b) {
		return ""
	}
	out := ""
	for _, l := range a {
		if !slices.Contains(b, l) {
			out += "-" + l + "\n"
		}
	}
	for _, l := range b {
		if !slices.Contains(a, l) {
			out += "+" + l + "\n"
		}
	}
	return out + "(or the order)"
}
