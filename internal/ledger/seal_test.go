package ledger

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// unreadable is the operating system's files, of which one cannot be opened to
// read while it is broken.
type unreadable struct {
	OSFiles
	name   string
	broken atomic.Bool
}

func (u *unreadable) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	if u.broken.Load() && name == u.name && flag == os.O_RDONLY {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EIO}
	}
	return u.OSFiles.OpenFile(name, flag, perm)
}

// watched is the operating system's files; read is called before one of them is
// opened to read for the first time.
type watched struct {
	OSFiles
	name string
	read func()
}

func (w *watched) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	if w.read != nil && name == w.name && flag == os.O_RDONLY {
		w.read()
		w.read = nil
	}
	return w.OSFiles.OpenFile(name, flag, perm)
}

// closeSegment ends the open segment without sealing it.
func closeSegment(t testing.TB, l *Ledger) {
	t.Helper()
	r := &request{roll: true, done: make(chan error, 1)}
	must(t, l.w.submit(r))
	must(t, <-r.done)
}

// The log must have taken in all that it was given, or know nothing of it, when
// a sealing returns: what is still under way then becomes a second leaf of the
// same segment beside the sealing that tries again.
func TestASealingThatFailsHalfwayLeavesNothingUnderWay(t *testing.T) {
	t.Parallel()
	for _, again := range []string{"the same ledger", "the next one"} {
		t.Run("and "+again+" finishes it", func(t *testing.T) {
			dir := t.TempDir()
			disk := &unreadable{name: sealPath(dir, 3)}
			disk.broken.Store(true)
			l := open(t, dir, Options{Files: disk})
			for i := range 4 {
				mustAppend(t, l, Durable, fmt.Sprint(i))
				closeSegment(t, l)
			}
			if err := l.Seal(t.Context()); !errors.Is(err, syscall.EIO) {
				t.Fatalf("seal: %v", err)
			}
			// Three of four were added, and not one more comes later.
			if size, err := l.tlog.reader.IntegratedSize(t.Context()); size != 3 || err != nil {
				t.Fatalf("the log has %d leaves, %v", size, err)
			}
			disk.broken.Store(false)
			if again == "the next one" {
				closeLedger(t, l)
				if c, err := readCheckpoint(dir, l.VerifierKey()); c.size != 3 || err != nil {
					t.Fatalf("closed with a checkpoint over %d leaves, %v", c.size, err)
				}
				l = open(t, dir, Options{})
			}
			mustSeal(t, l)
			closeLedger(t, l)
			if r := wantClean(t, dir, l.VerifierKey()); r.LogSize != 4 || r.Sealed != 4 {
				t.Fatalf("%+v", r)
			}
		})
	}
}

// A process may end between a file's getting its name and the name's being on
// the disk. The next one finds the file and goes by it, and then the power goes.
func TestANameThatAKilledProcessDidNotSyncIsNotBuiltOn(t *testing.T) {
	t.Parallel()
	appendOne := func(t *testing.T, l *Ledger) (ID, error) {
		r, err := l.Append(t.Context(), Record{Type: "t", Data: []byte("x")}, Durable)
		return r.ID, err
	}
	sealAll := func(t *testing.T, l *Ledger) (ID, error) { return ID{}, l.Seal(t.Context()) }
	// live returns what was acknowledged by the time that it ended.
	live := func(t *testing.T, dir string, disk *crashFS, do ...func(*testing.T, *Ledger) (ID, error)) (acked []ID, vkey string, err error) {
		l, err := Open(t.Context(), dir, Options{Origin: testOrigin, Files: disk})
		if err != nil {
			return nil, "", err
		}
		for _, step := range do {
			id, stepErr := step(t, l)
			if err = stepErr; err != nil {
				break
			}
			if id != (ID{}) {
				acked = append(acked, id)
			}
		}
		return acked, l.VerifierKey(), errors.Join(err, l.Close())
	}
	var operations []string
	dir := t.TempDir()
	whole := newCrashFS(t, dir, -1)
	whole.fail = func(op, name string) error {
		rel, err := filepath.Rel(dir, name)
		operations = append(operations, op+" "+rel)
		return err
	}
	if _, _, err := live(t, dir, whole, appendOne, sealAll, appendOne); err != nil {
		t.Fatal(err)
	}
	cuts := 0
	for end, op := range operations {
		if !strings.HasPrefix(op, "syncdir ") {
			continue
		}
		cuts++
		for then, do := range map[string]func(*testing.T, *Ledger) (ID, error){"appends": appendOne, "seals": sealAll} {
			t.Run(fmt.Sprintf("killed before %d, %s, the next one %s", end, op, then), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				disk := newCrashFS(t, dir, end)
				first, _, err := live(t, dir, disk, appendOne, sealAll, appendOne)
				if !errors.Is(err, errPower) {
					t.Fatalf("the first process: %v", err)
				}
				disk.restart(0)
				if _, err := Open(t.Context(), dir, Options{Origin: testOrigin, Files: disk}); !errors.Is(err, errPower) {
					t.Fatalf("a process that is killed as it opens: %v", err)
				}
				disk.restart(-1)
				second, vkey, err := live(t, dir, disk, do)
				if err != nil {
					t.Fatalf("the second process: %v", err)
				}
				disk.crash(t, dir, nil)
				wantClean(t, dir, vkey)
				l := open(t, dir, Options{})
				if l.VerifierKey() != vkey {
					t.Error("the key is another one")
				}
				for _, id := range append(first, second...) {
					if _, err := l.Get(t.Context(), id); err != nil {
						t.Error(err)
					}
				}
				closeLedger(t, l)
				wantClean(t, dir, vkey)
			})
		}
	}
	if cuts < 7 { // key, verifier, parent, mark, segment, seal, segment
		t.Errorf("names are synced %d times: %v", cuts, operations)
	}
}

func TestTheLogHasACheckpointBeforeItHasALeaf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	disk := &watched{name: sealPath(dir, 0)}
	l := open(t, dir, Options{Files: disk})
	mustAppend(t, l, Durable, "0")
	// What a process leaves that is killed while it makes the log.
	must(t, os.MkdirAll(filepath.Join(dir, logName, ".state"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, stateVersionFile), []byte(stateVersion), 0o600))
	state := fmt.Sprintf(`{"size":0,"root":%q}`, base64.StdEncoding.EncodeToString(emptyRoot[:]))
	must(t, os.WriteFile(filepath.Join(dir, treeStateFile), []byte(state), 0o600))
	wantClean(t, dir, l.VerifierKey())
	disk.read = func() { // to add it
		if _, err := readCheckpoint(dir, l.VerifierKey()); err != nil {
			t.Error(err)
		}
	}
	mustSeal(t, l)
	if disk.read != nil {
		t.Error("the seal was not read")
	}
	closeLedger(t, l)
	wantClean(t, dir, l.VerifierKey())
}

func TestASealWhoseNameWasNotSyncedIsSyncedBeforeTheLogHasIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	disk := newCrashFS(t, dir, -1)
	l := open(t, dir, Options{Files: disk})
	mustAppend(t, l, Durable, "0")
	closeSegment(t, l)
	disk.mu.Lock()
	disk.fail = func(op, name string) error {
		if op == "syncdir" && filepath.Base(name) == segmentsName {
			disk.fail = nil
			return syscall.EIO
		}
		return nil
	}
	disk.mu.Unlock()
	if err := l.Seal(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Fatalf("seal: %v", err)
	}
	mustSeal(t, l)
	closeLedger(t, l)
	disk.crash(t, dir, nil)
	if r := wantClean(t, dir, l.VerifierKey()); r.LogSize != 1 {
		t.Fatalf("%+v", r)
	}
}

func TestALostSealIsRestoredWhenTheRecordsGiveTheLeaf(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		change func(t *testing.T, dir string)
		open   string // of the error of opening
		seal   string // of the error of sealing
	}{
		{"the newest seal is lost", func(t *testing.T, dir string) {
			must(t, os.Remove(sealPath(dir, 2)))
		}, "", ""},
		{"the two newest are lost", func(t *testing.T, dir string) {
			must(t, os.Remove(sealPath(dir, 2)))
			must(t, os.Remove(sealPath(dir, 1)))
		}, "", ""},
		{"all are lost, and the tail", func(t *testing.T, dir string) {
			for n := range uint64(3) {
				must(t, os.Remove(sealPath(dir, n)))
			}
			must(t, os.Remove(filepath.Join(dir, tailName)))
		}, "", ""},
		{"its segment holds another record", func(t *testing.T, dir string) {
			must(t, os.Remove(sealPath(dir, 2)))
			must(t, forge(segmentPath(dir, 2)))
		}, "", "is not the seal"},
		{"its segment holds a record more", func(t *testing.T, dir string) {
			must(t, os.Remove(sealPath(dir, 2)))
			m, salt, err := newMeta("t", []byte("more"), time.Unix(1_800_000_000, 0))
			must(t, err)
			must(t, appendFile(segmentPath(dir, 2), appendRecord(nil, &m, salt, []byte("more"))))
		}, "", "is not the seal"},
		{"its segment holds a record less", func(t *testing.T, dir string) {
			must(t, os.Remove(sealPath(dir, 2)))
			must(t, os.Remove(filepath.Join(dir, tailName)))
			must(t, os.Truncate(segmentPath(dir, 2), segmentHead))
		}, "it holds no record, but the log has its seal", ""},
		{"its segment is torn", func(t *testing.T, dir string) {
			must(t, os.Remove(sealPath(dir, 2)))
			must(t, os.Remove(filepath.Join(dir, tailName)))
			info, err := os.Stat(segmentPath(dir, 2))
			must(t, err)
			must(t, os.Truncate(segmentPath(dir, 2), info.Size()-1))
		}, "is damaged at byte 64", ""},
		{"its segment has no header", func(t *testing.T, dir string) {
			must(t, os.Remove(sealPath(dir, 2)))
			must(t, os.Remove(filepath.Join(dir, tailName)))
			must(t, os.Truncate(segmentPath(dir, 2), 0))
		}, "is damaged at byte 0", ""},
		{"the state of the log is damaged", func(t *testing.T, dir string) {
			must(t, os.Remove(sealPath(dir, 2)))
			flip(t, filepath.Join(dir, treeStateFile), 20)
		}, "treeState is damaged", ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l := open(t, dir, Options{})
			for i := range 3 {
				mustAppend(t, l, Durable, fmt.Sprintf("%03d", i))
				mustSeal(t, l)
			}
			closeLedger(t, l)
			vkey, want := l.VerifierKey(), readAll(t, dir, ".seal")
			tc.change(t, dir)
			before := readAll(t, dir, "")
			l, err := Open(t.Context(), dir, Options{})
			if tc.open != "" {
				if err == nil || !strings.Contains(err.Error(), tc.open) {
					t.Fatalf("open: %v", err)
				}
				if after := readAll(t, dir, ""); after != before {
					t.Fatal("opening has changed a damaged ledger")
				}
				return
			}
			must(t, err)
			defer l.Close()
			if r := mustAppend(t, l, Durable, "and on")[0]; r.Segment != 3 {
				t.Fatalf("written to segment %d, which the log has", r.Segment)
			}
			err = l.Seal(t.Context())
			if tc.seal != "" {
				var d *DamageError
				if !errors.As(err, &d) || d.File != segmentPath(dir, 2) || !strings.Contains(err.Error(), tc.seal) {
					t.Fatalf("seal: %v", err)
				}
				if _, err := os.Stat(sealPath(dir, 2)); !errors.Is(err, fs.ErrNotExist) {
					t.Fatalf("a seal that the log contradicts was written: %v", err)
				}
				return
			}
			must(t, err)
			if got := readAll(t, dir, ".seal"); !strings.HasPrefix(got, want) {
				t.Fatal("the restored seals differ")
			}
			closeLedger(t, l)
			if r := wantClean(t, dir, vkey); r.LogSize != 4 || r.Records != 4 {
				t.Fatalf("%+v", r)
			}
		})
	}
}

// readAll returns names and contents of the segment files with a suffix.
func readAll(t testing.TB, dir, suffix string) string {
	t.Helper()
	var all bytes.Buffer
	entries, err := os.ReadDir(filepath.Join(dir, segmentsName))
	must(t, err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			data, err := os.ReadFile(filepath.Join(dir, segmentsName, e.Name()))
			must(t, err)
			fmt.Fprintf(&all, "%s %x\n", e.Name(), data)
		}
	}
	return all.String()
}

func TestClosingWaitsUntilTheLogIsPublished(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, Options{})
	mustAppend(t, l, Durable, "0")
	mustSeal(t, l)
	older, err := os.ReadFile(filepath.Join(dir, checkpointFile))
	must(t, err)
	mustAppend(t, l, Durable, "1")
	mustSeal(t, l)
	closeLedger(t, l)
	// A process that is killed before it publishes what it has added.
	must(t, os.WriteFile(filepath.Join(dir, checkpointFile), older, 0o600))
	l = open(t, dir, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Seal(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("seal: %v", err)
	}
	closeLedger(t, l)
	if c, err := readCheckpoint(dir, l.VerifierKey()); c.size != 2 || err != nil {
		t.Fatalf("closed with a checkpoint over %d leaves, %v", c.size, err)
	}
}

// The log may have taken in a leaf and failed right after.
func TestALeafThatTheLogHasAfterAllIsNotAddedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, Options{})
	for i := range 2 {
		mustAppend(t, l, Durable, fmt.Sprint(i))
		mustSeal(t, l)
	}
	l.tlog.size-- // as it is when the second Add has returned an error
	mustAppend(t, l, Durable, "2")
	mustSeal(t, l)
	closeLedger(t, l)
	if r := wantClean(t, dir, l.VerifierKey()); r.LogSize != 3 {
		t.Fatalf("%+v", r)
	}
}

func TestALedgerThatIsClosedDoesNotSealAnyMore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, Options{})
	mustAppend(t, l, Durable, "stays open")
	closeLedger(t, l)
	if _, err := l.sealDue(t.Context()); !errors.Is(err, ErrClosed) { // what Run calls
		t.Fatalf("sealing: %v", err)
	}
	if _, err := os.Stat(sealPath(dir, 0)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the segment was sealed: %v", err)
	}
	l = open(t, dir, Options{})
	mustAppend(t, l, Durable, "and is written on")
	mustSeal(t, l)
	closeLedger(t, l)
	if r := wantClean(t, dir, l.VerifierKey()); r.Segments != 1 || r.Records != 2 {
		t.Fatalf("%+v", r)
	}
}

// The mark says that the ledger exists: its directory's own name is synced by
// then, since nobody who finds the mark syncs it again.
func TestTheDirectoryIsOnTheDiskBeforeItsMark(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ledger")
	disk := newCrashFS(t, filepath.Dir(dir), -1)
	var order []string
	disk.fail = func(op, name string) error {
		if op == "syncdir" && name == filepath.Dir(dir) || op == "rename" && filepath.Base(name) == tailName {
			order = append(order, op)
		}
		return nil
	}
	open(t, dir, Options{Files: disk})
	if got := fmt.Sprint(order); got != "[syncdir rename]" {
		t.Fatal(got)
	}
}
