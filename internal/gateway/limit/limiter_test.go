package limit

import (
	"errors"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

// counted is a store that answers as it is told.
type counted struct {
	err      error
	refused  int
	wait     time.Duration
	left     int
	gateways int
	asked    int
}

func (c *counted) Take(bounds []Bound) (int, time.Duration, func(), error) {
	c.asked++
	if c.err != nil || c.refused > 0 {
		return c.refused, c.wait, nil, c.err
	}
	for i := range bounds {
		if bounds[i].place() {
			return 0, 0, func() { c.left++ }, nil
		}
	}
	return 0, 0, nil, nil
}

func (c *counted) Gateways() int { return c.gateways }

func requests(most int64) Bound {
	return Bound{Route: "r", Who: "a", Unit: Requests, N: 1, Most: most, Per: time.Minute}
}

func places(who string, most int64) Bound {
	return Bound{Route: "r", Who: who, Unit: Concurrent, N: 1, Most: most}
}

func TestOfSeveralBoundsAllAreTakenOrNone(t *testing.T) {
	l := NewLimiter(clock.At(time.Unix(1000, 0)), 100, nil)
	full, _ := l.Take([]Bound{places("", 1)})
	if full == nil {
		t.Fatal("the only place")
	}
	for range 5 {
		if _, refused := l.Take([]Bound{requests(2), places("a", 1), places("", 1)}); refused == nil || refused.Bound.Who != "" {
			t.Fatalf("%+v: there is no place for everybody together", refused)
		}
	}
	if _, refused := l.Take([]Bound{requests(2), {Route: "r", Who: "a", Unit: Bytes, N: 11, Most: 10, Per: time.Minute}}); refused == nil || refused.Bound.Unit != Bytes {
		t.Fatalf("%+v: eleven of ten bytes", refused)
	}
	full()
	for i := range 2 { // nothing was taken by what was refused
		leave, refused := l.Take([]Bound{requests(2), places("a", 1), places("", 1)})
		if refused != nil {
			t.Fatalf("request %d: %+v", i, refused)
		}
		leave()
	}
	if _, refused := l.Take([]Bound{requests(2)}); refused == nil || refused.Wait != 30*time.Second {
		t.Errorf("%+v: the third of two", refused)
	}
}

func TestWithoutItsStoreAGatewayGivesOutItsShareOnly(t *testing.T) {
	s := &counted{err: errors.New("gone"), gateways: 4}
	l := NewLimiter(clock.At(time.Unix(1000, 0)), 100, s)
	allowed := 0
	for range 40 {
		if _, refused := l.Take([]Bound{requests(40)}); refused == nil {
			allowed++
		}
	}
	if allowed != 10 {
		t.Errorf("%d of 40 were allowed by one of four gateways", allowed)
	}
	var leaves []func()
	for range 8 {
		if leave, refused := l.Take([]Bound{places("a", 8)}); refused == nil {
			leaves = append(leaves, leave)
		}
	}
	if len(leaves) != 2 {
		t.Errorf("%d of 8 places for one of four gateways", len(leaves))
	}
	if _, refused := l.Take([]Bound{places("b", 1)}); refused != nil {
		t.Error("a share is one at least")
	}
	s.err = nil // it is back
	if _, refused := l.Take([]Bound{requests(40)}); refused != nil {
		t.Errorf("%+v: the store decides again", refused)
	}
}

func TestWhatRunsIsCountedHereWhileItIsShared(t *testing.T) {
	s := &counted{gateways: 2}
	l := NewLimiter(clock.At(time.Unix(1000, 0)), 100, s)
	leave, refused := l.Take([]Bound{places("a", 2)})
	if refused != nil {
		t.Fatal(refused)
	}
	s.err = errors.New("gone")
	if _, refused := l.Take([]Bound{places("a", 2)}); refused == nil {
		t.Error("the share of one is taken by what runs since before")
	}
	leave()
	if s.left != 1 {
		t.Error("the place was not given back to the store")
	}
	if _, refused := l.Take([]Bound{places("a", 2)}); refused != nil {
		t.Errorf("%+v: it ended", refused)
	}
}

func TestWhatTheStoreRefusesIsRefused(t *testing.T) {
	s := &counted{refused: 2, wait: 3 * time.Second, gateways: 1}
	l := NewLimiter(clock.At(time.Unix(1000, 0)), 100, s)
	_, refused := l.Take([]Bound{requests(10), {Route: "r", Who: "a", Unit: Tokens, N: 1, Most: 10, Per: time.Minute}})
	if refused == nil || refused.Bound.Unit != Tokens || refused.Wait != 3*time.Second {
		t.Errorf("%+v", refused)
	}
	s.refused = 0
	if _, refused := l.Take([]Bound{requests(10)}); refused != nil {
		t.Errorf("%+v", refused)
	}
	if l.Take(nil); s.asked != 2 {
		t.Error("nobody is asked about nothing")
	}
}
