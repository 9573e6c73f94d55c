package gateway

import (
	"testing"
	"time"
)

func TestOneRequestFindsOutWhetherAServerIsBack(t *testing.T) {
	now := start
	var b breaker
	enter := func(who string) bool { _, ok := b.enter(who, now); return ok }
	settle := func(who string, found health) { b.settle(who, now, found) }
	for range breakAfter {
		if !enter("old") {
			t.Fatal("it is left alone too early")
		}
	}
	enter("slow") // under way since before
	for range breakAfter {
		settle("old", fails)
	}
	if enter("next") {
		t.Fatal("after five failures it is asked")
	}
	now = now.Add(breakFor)
	if !enter("probe") || enter("another") {
		t.Fatal("when the time is over, one is let through, and one only")
	}
	settle("slow", fails) // what was sent long ago says nothing of now
	settle("slower", nothing)
	if enter("another") {
		t.Fatal("somebody else's end lets a second one through while the first is under way")
	}
	settle("probe", nothing) // its caller left
	if !enter("second probe") {
		t.Fatal("after a probe that found out nothing, another one is sent")
	}
	settle("second probe", fails)
	if wait, ok := b.enter("next", now.Add(breakFor-time.Second)); ok || wait != time.Second {
		t.Fatalf("a probe that fails leaves it alone for as long again: %v, %s", ok, wait)
	}
	now = now.Add(breakFor)
	enter("third probe")
	settle("third probe", answers)
	for range breakAfter - 1 {
		if !enter("all") {
			t.Fatal("it is back")
		}
		settle("all", fails)
	}
	if !enter("all") {
		t.Fatal("four failures are not five")
	}
	settle("all", answers)
	if !enter("all") {
		t.Fatal("an answer begins the count anew")
	}
}
