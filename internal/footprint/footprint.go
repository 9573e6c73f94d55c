// Package footprint keeps the memory of a process that rests as small as what it
// needs at rest. Start with [Keep].
//
// A start, or a pass over everything, leaves two things behind: a heap that was
// larger than what lives, which the collector gives back over minutes, and pages of
// the program that nothing asks for again, which count as resident until the machine
// runs short. See runtime/debug.FreeOSMemory and madvise(2).
package footprint

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// first is when a process has started, every how often it is looked at then.
	first, every = 3 * time.Second, 10 * time.Second
	// spare is how much of the heap may lie idle: a collection that gives back
	// less costs more than it brings.
	spare = 8 << 20
	// A process that used less than busy of a core during the last second rests.
	// What is taken from another, it would fetch again at once.
	second = time.Second
	busy   = 0.05
)

// Keep gives back what the process does not need, whenever it rests, until the
// context ends. One a process is enough.
func Keep(ctx context.Context) {
	for next := first; wait(ctx, next-second); next = every {
		before := used()
		if !wait(ctx, second) {
			return
		}
		if (used() - before).Seconds() < busy*second.Seconds() {
			release()
		}
	}
}

// wait reports whether the time has passed before the context ended.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// release gives back what is not needed.
func release() {
	if idle() > spare {
		debug.FreeOSMemory()
	}
	if resident() > program {
		drop()
	}
}

// idle is how much of the heap is not in use, in bytes.
func idle() uint64 {
	s := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(s)
	if held, live := s[0].Value.Uint64()+s[1].Value.Uint64()+s[2].Value.Uint64(), s[3].Value.Uint64(); held > live {
		return held - live
	}
	return 0
}
