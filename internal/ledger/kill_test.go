package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// killedChild is the process that the test below kills: it appends from many
// goroutines and seals all the while, and reports every acknowledged record on
// standard output in one write. It never ends by itself.
func killedChild(dir string) int {
	ctx := context.Background()
	l, err := Open(ctx, dir, Options{Origin: testOrigin, SegmentBytes: 16 << 10, SegmentAge: 20 * time.Millisecond, LockWait: inTime})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	go func() {
		fmt.Println("error run:", l.Run(ctx))
		os.Exit(1)
	}()
	var out sync.Mutex
	for w := range 16 {
		go func() {
			for i := 0; ; i++ {
				d := Durability(w % 2)
				r, err := l.Append(ctx, Record{Type: TypeUsage, Data: []byte(strings.Repeat(strconv.Itoa(i), 1+i%50))}, d)
				out.Lock()
				if err != nil && !errors.Is(err, ErrLagging) {
					fmt.Println("error", err)
					os.Exit(1)
				}
				if err == nil {
					os.Stdout.WriteString("ack " + r.ID.String() + "\n")
				}
				out.Unlock()
			}
		}()
	}
	select {}
}

// kills is how often a process is killed: APEX_KILLS times, or 10.
func kills(t *testing.T) int {
	n := 10
	if testing.Short() {
		n = 5
	}
	if text := os.Getenv("APEX_KILLS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestNoAcknowledgedRecordIsLostWhenTheProcessIsKilled(t *testing.T) {
	dir := t.TempDir()
	acked := map[string]bool{}
	for range kills(t) {
		for _, id := range killOnce(t, dir, 1+rand.IntN(400)) {
			acked[id] = true
		}
		// Each acknowledged record, of this and of all earlier rounds, is there,
		// and once.
		l := open(t, dir, Options{SegmentBytes: 16 << 10})
		seen := map[string]bool{}
		for e, err := range l.Records(t.Context(), Cursor{}) {
			if err != nil {
				t.Fatal(err)
			}
			id := e.ID.String()
			if seen[id] {
				t.Fatalf("%s is there twice", id)
			}
			seen[id] = true
		}
		for id := range acked {
			if !seen[id] {
				t.Fatalf("acknowledged %s is lost; %d of %d are there", id, len(seen), len(acked))
			}
		}
		vkey := l.VerifierKey()
		closeLedger(t, l)
		wantClean(t, dir, vkey)
	}
	l := open(t, dir, Options{})
	mustSeal(t, l)
	wantClean(t, dir, l.VerifierKey())
	t.Logf("%d acknowledged records survived", len(acked))
}

// killOnce runs the child until it has acknowledged n records, kills it, and
// returns all that it acknowledged.
func killOnce(t *testing.T, dir string, n int) (ids []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "APEX_LEDGER_CHILD="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		id, ok := strings.CutPrefix(lines.Text(), "ack ")
		if !ok {
			t.Errorf("child: %s", lines.Text())
			break
		}
		// The pipe may hold more than n by the time the signal arrives; what it
		// holds was acknowledged too. A last line that was cut off was not said.
		if len(id) == 36 {
			ids = append(ids, id)
		}
		if len(ids) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(ids) < n {
		cmd.Process.Kill()
	}
	cmd.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return ids
}
