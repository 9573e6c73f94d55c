package verify

import (
	"context"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

func TestAPanicIsAnErrorOfThoseWhoWaitAndOfNobodyElse(t *testing.T) {
	c := newCache[int](clock.System{}, 1)
	if _, err := c.once(t.Context(), "k", time.Minute, func(context.Context) int { panic("hostile bytes") }); err == nil {
		t.Fatal("a panic gave a value")
	}
	if v, err := c.once(t.Context(), "k", time.Minute, func(context.Context) int { return 7 }); err != nil || v != 7 {
		t.Fatalf("the next one got %d, %v", v, err)
	}
}
