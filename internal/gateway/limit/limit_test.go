package limit

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

func TestAMinutesWorthIsAllowedAtOnceAndThenAsItComesBack(t *testing.T) {
	now := clock.At(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	r := NewRates(now, 1000)
	for i := range 60 {
		if _, ok := r.Take(&Bound{Route: "r", Who: "a", Unit: Requests, N: 1, Most: 60, Per: time.Minute}); !ok {
			t.Fatalf("request %d was refused", i)
		}
	}
	wait, ok := r.Take(&Bound{Route: "r", Who: "a", Unit: Requests, N: 1, Most: 60, Per: time.Minute})
	if ok || wait != time.Second {
		t.Fatalf("%v %v: the 61st waits a second", wait, ok)
	}
	for name, ok := range map[string]bool{
		"another caller": take(r, "r", "b", "requests"), "another route": take(r, "s", "a", "requests"), "another unit": take(r, "r", "a", "tokens"),
	} {
		if !ok {
			t.Errorf("%s is counted apart", name)
		}
	}
	now.Advance(wait)
	if !take(r, "r", "a", "requests") {
		t.Error("after the wait there is one more")
	}
	if take(r, "r", "a", "requests") {
		t.Error("but not two")
	}
}

func take(r *Rates, route, who, unit string) bool {
	_, ok := r.Take(&Bound{Route: route, Who: who, Unit: unit, N: 1, Most: 60, Per: time.Minute})
	return ok
}

func TestMoreThanAMinutesWorthIsNeverAllowed(t *testing.T) {
	r := NewRates(clock.At(time.Unix(0, 0)), 10)
	if _, ok := r.Take(&Bound{Route: "r", Who: "a", Unit: Tokens, N: 61, Most: 60, Per: time.Minute}); ok {
		t.Error("61 of 60")
	}
	if _, ok := r.Take(&Bound{Route: "r", Who: "a", Unit: Tokens, N: 60, Most: 60, Per: time.Minute}); !ok {
		t.Error("60 of 60")
	}
}

func TestWhoCannotBeCountedIsRefusedUntilThereIsRoom(t *testing.T) {
	now := clock.At(time.Unix(1000, 0))
	r := NewRates(now, 1)
	refused := 0
	for i := range 2000 {
		if !take(r, "r", fmt.Sprint(i), "requests") {
			refused++
		}
	}
	if refused == 0 {
		t.Fatal("the number of callers is not bounded")
	}
	now.Advance(time.Minute)
	if !take(r, "r", "late", "requests") {
		t.Error("callers without a debt make room")
	}
}

func TestTheCallersOfOneIssuerLeaveRoomForThoseOfOthers(t *testing.T) {
	now := clock.At(time.Unix(1000, 0))
	r := NewRates(now, 1000)
	refused := 0
	for i := range 20_000 {
		if !take(r, "r", fmt.Sprint("spiffe://flood.example/", i), "requests") {
			refused++
		}
	}
	if refused == 0 {
		t.Fatal("the callers of one trust domain are not bounded")
	}
	for _, who := range []string{"spiffe://claims.example/intake", "https://id.example#alice", "https://other.example#bob"} {
		if !take(r, "r", who, "requests") {
			t.Errorf("there is no room for %s", who)
		}
	}
	if !take(r, "s", "spiffe://flood.example/0", "requests") {
		t.Error("there is no room on another route")
	}
	now.Advance(time.Minute)
	for i := range 100 {
		if !take(r, "r", fmt.Sprint("spiffe://flood.example/late/", i), "requests") {
			t.Fatal("callers without a debt make no room")
		}
	}
}

func TestPlacesAreGivenBack(t *testing.T) {
	var p Places
	a, ok := p.Enter("r", "a", 2)
	if !ok {
		t.Fatal("the first")
	}
	if _, ok := p.Enter("r", "a", 2); !ok {
		t.Fatal("the second")
	}
	if _, ok := p.Enter("r", "a", 2); ok {
		t.Fatal("the third")
	}
	if _, ok := p.Enter("r", "b", 2); !ok {
		t.Fatal("another caller")
	}
	a()
	if _, ok := p.Enter("r", "a", 2); !ok {
		t.Fatal("a place that was given back")
	}
}

func TestNobodyGetsMoreUnderConcurrency(t *testing.T) {
	r := NewRates(clock.At(time.Unix(0, 0)), 1000)
	var wg sync.WaitGroup
	var mu sync.Mutex
	allowed := 0
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if take(r, "r", "a", "requests") {
					mu.Lock()
					allowed++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if allowed != 60 {
		t.Errorf("%d of 60", allowed)
	}
}

func BenchmarkTake(b *testing.B) {
	r := NewRates(clock.System{}, 100_000)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Take(&Bound{Route: "captioner", Who: "spiffe://example.org/claims", Unit: Requests, N: 1, Most: 1 << 40, Per: time.Minute})
		}
	})
}

func TestAClockThatIsSetBackRefusesNobody(t *testing.T) {
	now := clock.At(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	r := NewRates(now, 1000)
	if !take(r, "r", "a", "requests") {
		t.Fatal("the first request")
	}
	now.Advance(-time.Hour)
	for i := range 60 {
		if !take(r, "r", "a", "requests") {
			t.Fatalf("request %d after the clock was set back", i)
		}
	}
	if take(r, "r", "a", "requests") {
		t.Error("more than a minute's worth")
	}
}
