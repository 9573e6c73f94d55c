package gateway

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/meter"
)

func TestEachStageIsMeteredForTheRoute(t *testing.T) {
	if len(stages) > maxStages {
		t.Fatalf("%d stages, there is room for %d", len(stages), maxStages)
	}
	m := meter.New(clock.At(start))
	w := newWorld(t, func(r *Route) {
		for _, name := range StageNames() {
			r.Units.Stages = append(r.Units.Stages, m.Handle(meter.Key{Control: "gateway", Unit: "nanoseconds." + name, Team: "vision"}))
		}
	})
	spent := func(stage string) uint64 {
		for _, l := range m.Totals() {
			if strings.HasSuffix(l.Unit, "."+stage) && l.Team == "vision" {
				return l.Total
			}
		}
		t.Fatal("nothing counts " + stage)
		return 0
	}
	if status, code, _ := w.ask(t, "POST", chat, `{"messages":`, nil); status != 400 {
		t.Fatal(status, code)
	}
	if spent("body") == 0 || spent("forward") != 0 {
		t.Errorf("a body that is refused: %d ns were spent on it, %d on passing it on", spent("body"), spent("forward"))
	}
	if status, code, _ := w.ask(t, "POST", chat, hello, nil); status != 200 {
		t.Fatal(status, code)
	}
	w.front.Close() // the exchange has ended
	if spent("forward") == 0 || spent("identity") == 0 {
		t.Error("what was passed on cost nothing")
	}
}
