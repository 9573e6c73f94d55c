package clock_test

import (
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func TestTheSystemClockTellsTheTimeInUTC(t *testing.T) {
	before := time.Now()
	now := clock.System{}.Now()
	if now.Before(before) || now.After(time.Now()) {
		t.Errorf("%s is not between two looks at the machine's clock", now)
	}
	if now.Location() != time.UTC {
		t.Errorf("the zone is %s", now.Location())
	}
}

func TestAFixedClockStandsStillUntilItIsMoved(t *testing.T) {
	c := clock.At(noon)
	if a, b := c.Now(), c.Now(); !a.Equal(noon) || !b.Equal(noon) {
		t.Errorf("got %s, %s", a, b)
	}
	later := noon.Add(time.Hour)
	if got := c.Advance(time.Hour); !got.Equal(later) || !c.Now().Equal(later) {
		t.Errorf("an hour on: %s, %s", got, c.Now())
	}
	if got := c.Advance(-2 * time.Hour); !got.Equal(noon.Add(-time.Hour)) || !c.Now().Equal(got) {
		t.Errorf("two hours back: %s, %s", got, c.Now())
	}
}

func TestAFixedClockMayBeMovedByMany(t *testing.T) {
	c := clock.At(noon)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				c.Advance(time.Second)
				c.Now()
			}
		})
	}
	wg.Wait()
	if want := noon.Add(800 * time.Second); !c.Now().Equal(want) {
		t.Errorf("got %s, want %s", c.Now(), want)
	}
}
