package heal_test

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/verdict"
)

// What a healing may take while somebody tampers with the same object each second.
const retamperLimit = time.Second

// TestWhoTampersEachSecondIsHealedEachTime runs as long as APEX_RETAMPER says
// ("5m"): on an API server where KUBEBUILDER_ASSETS is set, else in the embedded
// target.
func TestWhoTampersEachSecondIsHealedEachTime(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("APEX_RETAMPER"))
	if err != nil {
		t.Skip("set APEX_RETAMPER to how long, 5m for the figure of docs/performance.md")
	}
	var w world
	if os.Getenv("KUBEBUILDER_ASSETS") != "" {
		w = openCluster(t)
	} else {
		w = openEmbedded(t)
	}
	healed := make(chan heal.Report, 16)
	var fights []heal.Report
	g := newGuard(t, w, func(c *heal.Config) {
		c.Report = func(r heal.Report) {
			switch r.Code {
			case verdict.DriftHealed:
				healed <- r
			case verdict.DriftFight:
				fights = append(fights, r) // after its healing, by the same goroutine
			default:
				t.Errorf("an unexpected report: %+v", r)
			}
		}
	})
	g.run(t)
	o := object(t, w, configMap)
	g.put(t, o)
	g.rest(t, 0)

	var m runtime.MemStats
	heap := func() uint64 {
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var took []time.Duration
	var early uint64
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	spent, began := cpu(), time.Now()
	for i := 0; time.Since(began) < length; i++ {
		at := time.Now()
		value := "lax" + strconv.Itoa(i)
		if c, ok := w.(*cluster); ok {
			c.tamper(t, o, writers[0].manager, `[{"op":"replace","path":"/data/mode","value":"`+value+`"}]`)
		} else {
			w.write(t, o.ID, o.Version, writers[0], set(value, "data", "mode"))
		}
		select {
		case <-healed:
			took = append(took, time.Since(at))
		case <-time.After(2 * time.Minute):
			t.Fatalf("tampering %d was not healed", i)
		}
		if i == 30 {
			early = heap()
		}
		<-ticker.C
	}
	grown := int64(heap()) - int64(early)
	g.rest(t, 0)
	each := (cpu() - spent) / time.Duration(len(took))
	first, last := slices.Max(took[:len(took)/4]), slices.Max(took[len(took)-len(took)/4:])
	slices.Sort(took)
	t.Logf("%d tamperings in %s: p50 %s, p99 %s, max %s; the slowest of the first quarter %s, of the last %s; %d alerts; CPU %s each; heap %+d bytes",
		len(took), length, took[len(took)/2], took[len(took)*99/100], took[len(took)-1], first, last, len(fights), each, grown)
	if took[len(took)-1] >= retamperLimit {
		t.Errorf("a healing took %s: the limit is %s", took[len(took)-1], retamperLimit)
	}
	if len(fights) != 1 {
		t.Errorf("%d alerts about one fight", len(fights))
	}
	const most = 512 << 10
	if len(took) > 60 && grown > most {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if live, err := w.Get(t.Context(), o.ID, o.Version); err != nil || at(live.Body, "data", "mode") != "strict" {
		t.Errorf("it is not as Git says: %v", err)
	}
}
