package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// crashSeeds is how many power cuts are tried: APEX_CRASHES, or 40.
func crashSeeds(t *testing.T) int {
	if text := os.Getenv("APEX_CRASHES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if testing.Short() {
		return 10
	}
	return 40
}

func TestNoDurableRecordIsLostWhenThePowerGoes(t *testing.T) {
	for seed := range crashSeeds(t) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			powerCuts(t, rand.New(rand.NewPCG(uint64(seed), 7)))
		})
	}
}

// powerCuts lets one ledger live through three power cuts. Before each one a
// process may have been killed, and another have gone on with what it left.
func powerCuts(t *testing.T, r *rand.Rand) {
	dir := t.TempDir()
	durable := map[ID]bool{}
	for round := range 3 {
		disk := newCrashFS(t, dir, r.IntN(120))
		for lives := 1 + r.IntN(2); lives > 0; lives-- {
			for id := range appendUntilCrash(t, dir, disk, r.IntN(5) == 0) {
				durable[id] = true
			}
			if lives > 1 {
				disk.restart(r.IntN(40))
			}
		}
		disk.crash(t, dir, r)
		l, err := Open(t.Context(), dir, Options{Origin: testOrigin, SegmentBytes: minSegmentBytes})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		seen := map[ID]int{}
		for e, err := range l.Records(t.Context(), Cursor{}) {
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			seen[e.ID]++
		}
		for id := range durable {
			if seen[id] != 1 {
				t.Fatalf("round %d: durable record %s is there %d times", round, id, seen[id])
			}
		}
		vkey := l.VerifierKey()
		if round == 2 && len(seen) > 0 && r.IntN(3) == 0 {
			mustSeal(t, l)
		}
		closeLedger(t, l)
		wantClean(t, dir, vkey)
	}
}

// appendUntilCrash appends from some goroutines until nothing works any more,
// and returns what was acknowledged as Durable.
func appendUntilCrash(t *testing.T, dir string, disk *crashFS, seal bool) map[ID]bool {
	durable := map[ID]bool{}
	l, err := Open(t.Context(), dir, Options{Origin: testOrigin, Files: disk, SegmentBytes: minSegmentBytes})
	if err != nil {
		if !errors.Is(err, errPower) {
			t.Fatal(err)
		}
		return nil
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				if seal && w == 0 && i%8 == 7 && l.Seal(t.Context()) != nil {
					return
				}
				d := Durability((w + i) % 2)
				got, err := l.Append(t.Context(), Record{Type: TypeVerdict, Data: make([]byte, i%60)}, d)
				if err != nil {
					return
				}
				if d == Durable {
					mu.Lock()
					durable[got.ID] = true
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if err := l.Healthy(); err == nil {
		t.Error("healthy without power")
	}
	if err := l.Close(); err == nil {
		t.Error("closed without power")
	}
	return durable
}

func TestAFailedWriteOrSyncEndsTheLedger(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"write", "sync", "create", "syncdir"} {
		t.Run("a failed "+op, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir, Options{})
			kept := mustAppend(t, l, Durable, "kept")[0]
			mustSeal(t, l) // so that the next append begins a segment
			closeLedger(t, l)

			disk := newCrashFS(t, dir, -1)
			l, err := Open(t.Context(), dir, Options{Files: disk})
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Healthy(); err != nil {
				t.Fatalf("before the fault: %v", err)
			}
			disk.mu.Lock()
			broken := true
			disk.fail = func(got, name string) error {
				if broken && got == op && filepath.Base(name) != tailName {
					broken = false // once only: what comes after would succeed
					return syscall.EIO
				}
				return nil
			}
			disk.mu.Unlock()
			_, err = l.Append(t.Context(), Record{Type: "t", Data: []byte("lost")}, Durable)
			if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
				t.Fatalf("append: %v", err)
			}
			if _, err := l.Append(t.Context(), Record{Type: "t"}, Written); !errors.Is(err, ErrFailed) {
				t.Fatalf("next append: %v", err)
			}
			if err := l.Healthy(); !errors.Is(err, ErrFailed) {
				t.Fatalf("healthy: %v", err)
			}
			if err := l.Close(); !errors.Is(err, ErrFailed) {
				t.Fatalf("close: %v", err)
			}
			disk.crash(t, dir, rand.New(rand.NewPCG(1, 1)))
			l = open(t, dir, Options{})
			mustAppend(t, l, Durable, "again")
			if _, err := l.Get(t.Context(), kept.ID); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestWhatIsThereAfterAFailedSyncIsMadeDurableByOpening(t *testing.T) {
	dir := t.TempDir()
	disk := newCrashFS(t, dir, -1)
	l := open(t, dir, Options{Files: disk})
	mustAppend(t, l, Durable, "synced")
	disk.mu.Lock()
	disk.fail = func(op, name string) error {
		if op == "sync" {
			disk.fail = nil // the next fsync succeeds, without having written
			return syscall.EIO
		}
		return nil
	}
	disk.mu.Unlock()
	if _, err := l.Append(t.Context(), Record{Type: "t", Data: []byte("not synced")}, Durable); !errors.Is(err, ErrFailed) {
		t.Fatalf("append: %v", err)
	}
	if err := l.Close(); !errors.Is(err, ErrFailed) {
		t.Fatalf("close: %v", err)
	}
	l = open(t, dir, Options{Files: disk})
	seen := payloads(t, l)
	closeLedger(t, l)
	disk.crash(t, dir, rand.New(rand.NewPCG(1, 1)))
	l = open(t, dir, Options{})
	if got := payloads(t, l); fmt.Sprint(got) != fmt.Sprint(seen) || len(got) != 2 {
		t.Fatalf("%q were there, after the power cut %q", seen, got)
	}
}
