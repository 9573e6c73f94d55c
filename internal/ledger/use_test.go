package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/apexlogic/apex/internal/clock"
)

func TestOneLedgerHoldsADirectory(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, Options{})
	_, err := Open(t.Context(), dir, Options{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d on ", os.Getpid())) {
		t.Fatalf("second opener: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, dir, Options{LockWait: time.Hour}); !errors.Is(err, ErrLocked) {
		t.Fatalf("second opener who gave up: %v", err)
	}
	closed := make(chan error)
	go func() { closed <- first.Close() }()
	open(t, dir, Options{LockWait: time.Minute})
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
}

func TestTheKeyIsMadeOnceAndForItsOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	vkey := l.VerifierKey()
	closeLedger(t, l)
	info, err := os.Stat(filepath.Join(dir, keyName))
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("key: %v, %v", info.Mode(), err)
	}
	must(t, os.Remove(filepath.Join(dir, verifierName))) // a crash between the two
	l = open(t, dir, Options{})
	if l.VerifierKey() != vkey {
		t.Fatal("the key has changed")
	}
	closeLedger(t, l)
	if _, err := Open(t.Context(), dir, Options{Origin: "other/log"}); err == nil {
		t.Fatal("another origin was accepted")
	}
	for _, origin := range []string{"", "a b", "a+b", "a\nb", strings.Repeat("a", 256), "\xff"} {
		if _, err := Open(t.Context(), t.TempDir(), Options{Origin: origin}); err == nil {
			t.Errorf("origin %q was accepted", origin)
		}
	}
}

func TestASignerFromOutsideSigns(t *testing.T) {
	secret, vkey, err := note.GenerateKey(nil, testOrigin)
	must(t, err)
	signer, err := note.NewSigner(secret)
	must(t, err)
	dir := t.TempDir()
	l := open(t, dir, Options{Signer: signer, VerifierKey: vkey})
	r := mustAppend(t, l, Durable, "x")[0]
	if _, err := VerifyProof(encoded(t, l, r.ID, Disclose), vkey); err != nil {
		t.Fatal(err)
	}
	closeLedger(t, l)
	wantClean(t, dir, vkey)
	if _, err := os.Stat(filepath.Join(dir, keyName)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a key was made: %v", err)
	}
	other, otherKey, err := note.GenerateKey(nil, testOrigin)
	must(t, err)
	wrong, err := note.NewSigner(other)
	must(t, err)
	if _, err := Open(t.Context(), dir, Options{Signer: wrong, VerifierKey: otherKey}); err == nil {
		t.Fatal("another signer was accepted")
	}
	if _, err := Open(t.Context(), dir, Options{Signer: signer}); err == nil {
		t.Fatal("a signer without its verifier key was accepted")
	}
}

func TestRecordsThatDoNotFitAreRefused(t *testing.T) {
	l := open(t, t.TempDir(), Options{})
	for name, tc := range map[string]struct {
		record Record
		ok     bool
	}{
		"no type":           {Record{}, false},
		"a type in spaces":  {Record{Type: "a b"}, false},
		"a long type":       {Record{Type: strings.Repeat("t", MaxType+1)}, false},
		"the longest type":  {Record{Type: strings.Repeat("t", MaxType)}, true},
		"too much data":     {Record{Type: "t", Data: make([]byte, MaxData+1)}, false},
		"the most data":     {Record{Type: strings.Repeat("t", MaxType), Data: make([]byte, MaxData)}, true},
		"no data":           {Record{Type: "t"}, true},
		"a type of our own": {Record{Type: TypeErasure, Data: []byte("x")}, true},
	} {
		r, err := l.Append(t.Context(), tc.record, Durable)
		if tc.ok != (err == nil) || (err != nil && !errors.Is(err, ErrRecord)) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		e, err := l.Get(t.Context(), r.ID)
		if err != nil || e.Type != tc.record.Type || !bytes.Equal(e.Data, tc.record.Data) {
			t.Errorf("%s: read %s with %d bytes, %v", name, e.Type, len(e.Data), err)
		}
	}
	batch := make([]Record, 17)
	for i := range batch {
		batch[i] = Record{Type: "t", Data: make([]byte, MaxData)}
	}
	if _, err := l.AppendBatch(t.Context(), batch, Written); !errors.Is(err, ErrRecord) {
		t.Errorf("17 MiB: %v", err)
	}
	if got, err := l.AppendBatch(t.Context(), batch[:15], Written); err != nil || got[14].Index != got[0].Index+14 {
		t.Errorf("15 MiB: %v", err)
	}
	l2 := open(t, t.TempDir(), Options{Clock: clock.At(time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC))})
	if _, err := l2.Append(t.Context(), Record{Type: "t"}, Durable); !errors.Is(err, ErrRecord) {
		t.Errorf("before 1970: %v", err)
	}
}

func TestATypeOfOursIsCheckedAsErasureOnlyWhenItIsOne(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	if _, err := l.Append(t.Context(), Record{Type: TypeErasure, Data: []byte("x")}, Durable); err != nil {
		t.Fatal(err)
	}
	closeLedger(t, l)
	if r, err := Fsck(t.Context(), dir, l.VerifierKey(), inTime); err != nil || len(r.Problems) != 1 {
		t.Fatalf("%v, %v", err, r.Problems)
	}
}

func TestWrittenRecordsAreSyncedWithinTheLag(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	mustAppend(t, l, Durable, "so that the segment exists")
	closeLedger(t, l)
	disk := newCrashFS(t, dir, -1)
	synced := make(chan string, 100)
	disk.fail = func(op, name string) error {
		if op == "sync" {
			synced <- filepath.Base(name)
		}
		return nil
	}
	l = open(t, dir, Options{Files: disk, FsyncLag: time.Millisecond})
	for len(synced) > 0 {
		<-synced
	}
	mustAppend(t, l, Written, "nobody asks again")
	if name := <-synced; name != filepath.Base(segmentPath("", 0)) {
		t.Fatalf("synced %s", name)
	}
}

func TestADoorLearnsThatTheDiskLags(t *testing.T) {
	now := clock.At(time.Unix(1_800_000_000, 0))
	l := open(t, t.TempDir(), Options{Clock: now, FsyncLag: time.Hour})
	mustAppend(t, l, Written, "a")
	now.Advance(time.Hour)
	mustAppend(t, l, Written, "b")
	if err := l.Healthy(); err != nil {
		t.Fatalf("at the limit: %v", err)
	}
	now.Advance(time.Second)
	if err := l.Healthy(); !errors.Is(err, ErrLagging) {
		t.Fatalf("beyond it: %v", err)
	}
	if _, err := l.Append(t.Context(), Record{Type: "t"}, Written); !errors.Is(err, ErrLagging) {
		t.Fatalf("append: %v", err)
	}
	mustAppend(t, l, Durable, "c") // waits for its own fsync, and ends the lag
	if err := l.Healthy(); err != nil {
		t.Fatalf("after an fsync: %v", err)
	}
	mustAppend(t, l, Written, "d")
}

func TestAFollowerSeesEveryRecordAcrossSegments(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{SegmentBytes: minSegmentBytes})
	for _, o := range []Options{{}, {ReadOnly: true}} {
		t.Run(fmt.Sprintf("read-only %v", o.ReadOnly), func(t *testing.T) {
			reader := l
			if o.ReadOnly {
				reader = open(t, dir, o)
			}
			var from Cursor
			for e, err := range l.Records(t.Context(), from) {
				must(t, err)
				from = e.Next()
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			seen := make(chan string, 100)
			ended := make(chan error, 1)
			go func() {
				for e, err := range reader.Follow(ctx, from) {
					if err != nil {
						ended <- err
						return
					}
					seen <- string(e.Data)
				}
			}()
			for i := range 40 {
				want := fmt.Sprintf("payload %d of a follower", i)
				mustAppend(t, l, Written, want)
				if i == 20 {
					mustSeal(t, l)
				}
			}
			for i := range 40 {
				if got, want := <-seen, fmt.Sprintf("payload %d of a follower", i); got != want {
					t.Fatalf("got %q, want %q", got, want)
				}
			}
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		})
	}
	t.Run("until the ledger is closed", func(t *testing.T) {
		ended := make(chan error, 1)
		started := make(chan struct{})
		go func() {
			once := sync.OnceFunc(func() { close(started) })
			for _, err := range l.Follow(t.Context(), Cursor{}) {
				once()
				if err != nil {
					ended <- err
				}
			}
		}()
		<-started
		closeLedger(t, l)
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
	})
}

func TestAReaderBesideTheWriterReadsAndProves(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	sealed := mustAppend(t, l, Durable, "sealed")[0]
	mustSeal(t, l)
	fresh := mustAppend(t, l, Durable, "fresh")[0]
	r := open(t, dir, Options{ReadOnly: true})
	if got := payloads(t, r); fmt.Sprint(got) != "[sealed fresh]" {
		t.Fatalf("read %q", got)
	}
	if _, err := VerifyProof(encoded(t, r, sealed.ID, Disclose), l.VerifierKey()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Prove(t.Context(), fresh.ID, Disclose); !errors.Is(err, ErrUnsealed) {
		t.Fatal(err)
	}
	if _, err := r.Append(t.Context(), Record{Type: "t"}, Durable); !errors.Is(err, ErrReadOnly) {
		t.Fatal(err)
	}
	if err := r.Seal(t.Context()); !errors.Is(err, ErrReadOnly) {
		t.Fatal(err)
	}
	wantClean(t, dir, l.VerifierKey()) // beside a writer
	if _, err := r.Get(t.Context(), ID{6: 0x70, 8: 0x80}); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), t.TempDir(), Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("nothing to read: %v", err)
	}
}

func TestRunSealsByAgeAndBySize(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    Options
		n    int
	}{
		{"age", Options{SegmentAge: time.Millisecond}, 1},
		{"size", Options{SegmentAge: time.Hour, SegmentBytes: minSegmentBytes}, 40},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir, tc.o)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- l.Run(ctx) }()
			first := mustAppend(t, l, Durable, "first")[0]
			for range tc.n - 1 {
				mustAppend(t, l, Durable, "more")
			}
			reader := open(t, dir, Options{ReadOnly: true}) // which cannot seal
			for {
				_, err := reader.Prove(t.Context(), first.ID, Disclose)
				if err == nil {
					break
				}
				if !errors.Is(err, ErrUnsealed) {
					t.Fatal(err)
				}
			}
			mustAppend(t, l, Durable, "the last")
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			closeLedger(t, l)
			if r := wantClean(t, dir, l.VerifierKey()); r.Segments != r.Sealed {
				t.Fatalf("%+v", r)
			}
		})
	}
}

func TestAfterClosingNothingWorks(t *testing.T) {
	l := open(t, t.TempDir(), Options{})
	r := mustAppend(t, l, Durable, "x")[0]
	closeLedger(t, l)
	_, appendErr := l.Append(t.Context(), Record{Type: "t"}, Durable)
	_, writtenErr := l.Append(t.Context(), Record{Type: "t"}, Written)
	_, proveErr := l.Prove(t.Context(), r.ID, Withhold)
	for name, err := range map[string]error{
		"append": appendErr, "append written": writtenErr, "seal": l.Seal(t.Context()),
		"prove": proveErr, "close": l.Close(), "healthy": l.Healthy(),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIDsAreReadAsTheyAreWritten(t *testing.T) {
	m, _, err := newMeta("t", nil, time.UnixMicro(1_800_000_000_123_456))
	must(t, err)
	text := m.id.String()
	if got, err := ParseID(text); err != nil || got != m.id || m.time().UnixMicro() != 1_800_000_000_123_456 {
		t.Fatalf("%s: %v, %v, %s", text, got, err, m.time())
	}
	for _, bad := range []string{"", strings.ToUpper(text), text + " ", strings.Replace(text, "-", "", 1) + "0", text[:14] + "4" + text[15:], "{" + text[1:]} {
		if _, err := ParseID(bad); err == nil && bad != text {
			t.Errorf("%q was accepted", bad)
		}
	}
}
