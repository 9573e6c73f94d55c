package meter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

type recorder struct {
	mu   sync.Mutex
	got  []Usage
	fail error
}

func (r *recorder) Use(_ context.Context, u Usage) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	r.got = append(r.got, u)
	return nil
}

func (r *recorder) sum() map[Key]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Sum(r.got)
}

func testClock() clock.Clock { return clock.At(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)) }

var vision = Key{Control: "verify.image", Unit: "bytes", Team: "vision"}

func TestTheSameKeyHasTheSameHandle(t *testing.T) {
	m := New(testClock())
	first, second := m.Handle(vision), m.Handle(vision)
	if first != second {
		t.Fatal("two handles for one key")
	}
	other := vision
	other.Team = "claims"
	if m.Handle(vision) == m.Handle(other) {
		t.Fatal("two keys share a handle")
	}
}

func TestConcurrentUnitsAreConserved(t *testing.T) {
	sink := &recorder{}
	m, err := Open(t.Context(), t.TempDir(), testClock(), sink)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			h := m.Handle(vision)
			for range 10_000 {
				h.Add(3)
			}
		})
	}
	wg.Go(func() {
		for range 50 {
			if err := m.Flush(t.Context(), sink); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	if err := m.Close(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	if got := sink.sum()[vision]; got != 240_000 {
		t.Fatalf("recorded %d units, counted 240000", got)
	}
}

func TestARefusedFlushLosesNothingAndARepeatedOneAddsNothing(t *testing.T) {
	sink := &recorder{fail: errors.New("disk full")}
	m := New(testClock())
	m.Handle(vision).Add(7)
	if err := m.Flush(t.Context(), sink); err == nil {
		t.Fatal("the sink's failure was swallowed")
	}
	sink.fail = nil
	for range 3 {
		if err := m.Flush(t.Context(), sink); err != nil {
			t.Fatal(err)
		}
	}
	sink.got = append(sink.got, sink.got...) // the same records once more
	if got := sink.sum()[vision]; got != 7 {
		t.Fatalf("recorded %d units, counted 7", got)
	}
}

func TestUnitsBeyondTheLimitOfKeysAreCountedWithoutAnOwner(t *testing.T) {
	sink := &recorder{}
	m, err := Open(t.Context(), t.TempDir(), testClock(), sink)
	if err != nil {
		t.Fatal(err)
	}
	const keys = maxKeys + 500
	for i := range keys {
		key := vision
		key.Workload = strconv.Itoa(i)
		m.Handle(key).Add(1)
	}
	if err := m.Close(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	sum, total := sink.sum(), uint64(0)
	for _, n := range sum {
		total += n
	}
	if total != keys {
		t.Fatalf("recorded %d units, counted %d", total, keys)
	}
	if got := sum[vision.unattributed()]; got != 500 {
		t.Fatalf("%d units without an owner, want 500", got)
	}
}

// TestMain lets the test binary stand in for a process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("METER_CHILD_DIR"); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

// child counts for ever and says after each unit how many it has counted.
func child(dir string) {
	// Its sink refuses, so that the units of the children before it stay for the parent.
	m, err := Open(context.Background(), dir, clock.System{}, &recorder{fail: errors.New("not here")})
	if m == nil {
		slog.Error("open", "err", err)
		os.Exit(1)
	}
	h := m.Handle(vision)
	for n := 1; ; n++ {
		h.Add(1)
		fmt.Println(n)
	}
}

func TestUnitsSurviveKill9(t *testing.T) {
	dir := t.TempDir()
	sink := &recorder{}
	var said uint64
	const kills = 10
	for i := range kills {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "METER_CHILD_DIR="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, last := bufio.NewScanner(out), ""
		for n := 0; n < 100+37*i && lines.Scan(); n++ {
			last = lines.Text()
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			if strings.TrimSpace(lines.Text()) != "" {
				last = lines.Text()
			}
		}
		cmd.Wait() //nolint:errcheck // it was killed
		n, err := strconv.ParseUint(last, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		said += n
	}
	m, err := Open(t.Context(), dir, testClock(), sink)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	// Each child may have counted one unit that it did not get to say.
	if got := sink.sum()[vision]; got < said || got > said+kills {
		t.Fatalf("recovered %d units, the children said %d", got, said)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Fatalf("left behind: %v %v", left, err)
	}
}

func TestADeadEpochThatTheSinkRefusesIsKept(t *testing.T) {
	dir, ok := t.TempDir(), &recorder{}
	first, err := Open(t.Context(), dir, testClock(), ok)
	if err != nil {
		t.Fatal(err)
	}
	first.Handle(vision).Add(5)
	first.cells.(*mapped).keys.Close() // the lock goes, as when the process dies

	refusing := &recorder{fail: errors.New("disk full")}
	if _, err := Open(t.Context(), dir, testClock(), refusing); err == nil {
		t.Fatal("the refusal was swallowed")
	}
	if _, err := Open(t.Context(), dir, testClock(), ok); err != nil {
		t.Fatal(err)
	}
	if got := ok.sum()[vision]; got != 5 {
		t.Fatalf("recovered %d units, want 5", got)
	}
}

func TestALivingEpochIsLeftAlone(t *testing.T) {
	dir, sink := t.TempDir(), &recorder{}
	living, err := Open(t.Context(), dir, testClock(), sink)
	if err != nil {
		t.Fatal(err)
	}
	living.Handle(vision).Add(5)
	if _, err := Open(t.Context(), dir, testClock(), sink); err != nil {
		t.Fatal(err)
	}
	if len(sink.got) != 0 {
		t.Fatal("took the units of a living meter")
	}
	living.Handle(vision).Add(1)
	if err := living.Close(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	if got := sink.sum()[vision]; got != 6 {
		t.Fatalf("recorded %d units, want 6", got)
	}
}

func BenchmarkSixControls(b *testing.B) {
	sink := &recorder{}
	m, err := Open(b.Context(), b.TempDir(), testClock(), sink)
	if err != nil {
		b.Fatal(err)
	}
	var handles [6]*Handle
	for i := range handles {
		handles[i] = m.Handle(Key{Control: "control" + strconv.Itoa(i), Unit: "requests", Team: "vision"})
	}
	b.ReportAllocs()
	b.Run("one core", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, h := range handles {
				h.Add(1)
			}
		}
	})
	b.Run("all cores", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				for _, h := range handles {
					h.Add(1)
				}
			}
		})
	})
}
