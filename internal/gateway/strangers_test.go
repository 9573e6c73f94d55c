package gateway

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// gatheredRecords are what strangers were recorded as.
type gatheredRecords struct {
	mu    sync.Mutex
	all   []Strangers
	fails bool
}

func (r *gatheredRecords) keep(_ context.Context, s *Strangers) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fails {
		return errors.New("full")
	}
	r.all = append(r.all, *s)
	return nil
}

func (r *gatheredRecords) fail(yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails = yes
}

func (r *gatheredRecords) kept() []Strangers {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}

func counting(r *gatheredRecords) *strangers {
	return &strangers{keep: r.keep, seed: maphash.MakeSeed()}
}

func TestOneAddressIsRecordedOneByOneUpToARate(t *testing.T) {
	s := counting(nil)
	alone := 0
	for range 10 * addressBurst {
		if s.alone("192.0.2.1:99", start) {
			alone++
		}
	}
	if alone != addressBurst {
		t.Errorf("%d of one address were recorded one by one", alone)
	}
	later := start.Add(addressEvery)
	if !s.alone("192.0.2.1:7", later) || s.alone("192.0.2.1:8", later) {
		t.Error("one more is, after a second")
	}
	if !s.alone("192.0.2.2:8", later) {
		t.Error("another address came once")
	}
	if past := start.Add(-time.Hour); !s.alone("192.0.2.1:8", past) {
		t.Error("a clock that is set back owes nothing")
	}
}

func TestManyAddressesAreRecordedOneByOneUpToARate(t *testing.T) {
	s := counting(nil)
	alone := 0
	for i := range 4 * allBurst {
		if s.alone(fmt.Sprintf("[2001:db8:%x:%x::1]:1", i/256, i%256), start) {
			alone++
		}
	}
	if alone != allBurst {
		t.Errorf("%d were recorded one by one", alone)
	}
}

func TestWhatIsRecordedTogetherWaitsForItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &gatheredRecords{}
		s := counting(r)
		errs := make(chan error, mostTogether)
		deny := func(id, code, generation string) {
			go func() {
				errs <- s.record(t.Context(), &Decision{ID: id, Code: code, Generation: generation, At: start})
			}()
			synctest.Wait()
		}
		deny("1", "a", "g1")
		deny("2", "b", "g1")
		deny("3", "a", "g1")
		deny("4", "a", "g2") // by other rules: in a record of its own
		if len(errs) != 0 || len(r.kept()) != 0 {
			t.Fatal("somebody was answered before there is a record")
		}
		time.Sleep(together) // by the clock of the test
		synctest.Wait()
		if len(errs) != 4 || len(r.kept()) != 2 {
			t.Fatalf("%d were answered, %d records are there", len(errs), len(r.kept()))
		}
		for range 4 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		for _, g := range r.kept() {
			switch got := fmt.Sprint(g.Denied); {
			case g.Schema != StrangersSchema || g.ID == "" || !g.First.Equal(start) || !g.Last.Equal(start):
				t.Errorf("%+v", g)
			case g.Generation == "g1" && got != "map[a:[1 3] b:[2]]", g.Generation == "g2" && got != "map[a:[4]]":
				t.Errorf("%s: %s", g.Generation, got)
			}
		}

		r.fail(true)
		deny("5", "a", "g2")
		time.Sleep(together)
		if err := <-errs; err == nil {
			t.Error("what was not recorded was answered")
		}
		r.fail(false)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.record(ctx, &Decision{ID: "6"}); !errors.Is(err, context.Canceled) {
			t.Errorf("who waits no more got %v", err)
		}
		for i := range mostTogether + 1 {
			s.gather(&Decision{ID: fmt.Sprint(i)})
		}
		time.Sleep(together)
		synctest.Wait()
		sizes := map[int]bool{}
		for _, g := range r.kept()[2:] {
			sizes[len(g.Denied[""])] = true
		}
		if !sizes[mostTogether] || !sizes[2] || len(sizes) != 2 { // that of before is the first
			t.Errorf("records of %v", sizes)
		}
	})
}

func TestOneNetworkIsOneStranger(t *testing.T) {
	for _, same := range [][2]string{{"192.0.2.1:1", "192.0.2.1:2"}, {"192.0.2.1:1", "[::ffff:192.0.2.1]:2"}, {"[2001:db8::1]:1", "[2001:db8::ffff:2]:1"}, {"", "@"}} {
		if networkOf(same[0]) != networkOf(same[1]) {
			t.Errorf("%q", same)
		}
	}
	for _, other := range [][2]string{{"192.0.2.1:1", "192.0.2.2:1"}, {"[2001:db8::1]:1", "[2001:db8:0:1::1]:1"}} {
		if networkOf(other[0]) == networkOf(other[1]) {
			t.Errorf("%q", other)
		}
	}
}

func TestEveryDenialOfAStrangerIsInARecord(t *testing.T) {
	w := newWorld(t, nil)
	r := &gatheredRecords{}
	w.gateway.strangers = counting(r)
	const all = addressBurst + 7
	for range all {
		if status, code, _ := w.ask(t, "POST", "/v1/chat/completions", hello, func(r *http.Request) { r.Header.Del("Authorization") }); status != 401 || code != string(verdict.RequestIdentity) {
			t.Fatalf("%d %s", status, code)
		}
	}
	for range 3 { // who is known is always recorded alone
		w.ask(t, "POST", "/v1/chat/completions", hello, func(r *http.Request) { r.Header.Set("Authorization", "Bearer bob") })
		w.ask(t, "POST", "/v1/chat/completions", hello, nil)
	}
	strangers, known := 0, 0
	for _, d := range w.records.all {
		if d.Principal == "" {
			strangers++
		} else {
			known++
		}
	}
	together := 0
	for _, g := range r.kept() {
		together += len(g.Denied[verdict.RequestIdentity])
		for _, id := range g.Denied[verdict.RequestIdentity] {
			if strings.Count(id, "-") != 4 {
				t.Errorf("the id %q", id)
			}
		}
	}
	if strangers != addressBurst || known != 6 || together != 7 {
		t.Errorf("%d strangers, %d known, %d together", strangers, known, together)
	}

	r.fail(true)
	if status, code, _ := w.ask(t, "POST", "/v1/chat/completions", hello, func(r *http.Request) { r.Header.Del("Authorization") }); status != 503 || code != string(verdict.GatewayRecord) {
		t.Errorf("what cannot be recorded is answered with %d %s", status, code)
	}
}
