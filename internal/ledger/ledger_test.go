package ledger

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/apexlogic/apex/internal/clock"
)

const testOrigin = "ledger.test/log"

func TestMain(m *testing.M) {
	klog.LogToStderr(false) // Tessera's
	klog.SetOutput(io.Discard)
	if dir := os.Getenv("APEX_LEDGER_CHILD"); dir != "" {
		os.Exit(killedChild(dir))
	}
	flag.Parse()
	os.Exit(m.Run())
}

func open(t testing.TB, dir string, o Options) *Ledger {
	t.Helper()
	if o.Origin == "" {
		o.Origin = testOrigin
	}
	l, err := Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

func closeLedger(t testing.TB, l *Ledger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustAppend(t testing.TB, l *Ledger, d Durability, payloads ...string) []Receipt {
	t.Helper()
	records := make([]Record, len(payloads))
	for i, p := range payloads {
		records[i] = Record{Type: TypeVerdict, Data: []byte(p)}
	}
	receipts, err := l.AppendBatch(t.Context(), records, d)
	if err != nil {
		t.Fatal(err)
	}
	return receipts
}

func mustSeal(t testing.TB, l *Ledger) {
	t.Helper()
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func payloads(t testing.TB, l *Ledger) []string {
	t.Helper()
	var out []string
	for e, err := range l.Records(t.Context(), Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(e.Data))
	}
	return out
}

func TestWhatWasAppendedIsReadInOrderAfterReopening(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{SegmentBytes: minSegmentBytes})
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprintf("payload %d %s", i, strings.Repeat("x", i)))
		mustAppend(t, l, Durability(i%2), want[i])
	}
	if got := payloads(t, l); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("before closing: got %d records %q", len(got), got)
	}
	closeLedger(t, l)
	l = open(t, dir, Options{})
	mustAppend(t, l, Durable, "one more")
	if got := payloads(t, l); fmt.Sprint(got) != fmt.Sprint(append(want, "one more")) {
		t.Fatalf("after opening: got %d records %q", len(got), got)
	}
}

func TestEveryRecordIsProvedAndFound(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{SegmentBytes: minSegmentBytes, Clock: clock.At(time.Unix(1_800_000_000, 123_456_789))})
	var receipts []Receipt
	for i := range 40 {
		receipts = append(receipts, mustAppend(t, l, Durable, fmt.Sprintf("payload %d", i))...)
	}
	for i, r := range receipts {
		p, err := l.Prove(t.Context(), r.ID, Disclosure(i%2))
		if err != nil {
			t.Fatal(err)
		}
		data, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := VerifyProof(data, l.VerifierKey())
		if err != nil {
			t.Fatalf("record %d: %v\n%s", i, err, data)
		}
		if got.ID != r.ID || got.Segment != r.Segment || got.Index != r.Index || !got.Time.Equal(r.Time) || got.Withheld != (i%2 == 0) {
			t.Fatalf("record %d: receipt %+v, proven %+v", i, r, got)
		}
		if i%2 == 1 && string(got.Data) != fmt.Sprintf("payload %d", i) {
			t.Fatalf("record %d: data %q", i, got.Data)
		}
		e, err := l.Get(t.Context(), r.ID)
		if err != nil || string(e.Data) != fmt.Sprintf("payload %d", i) {
			t.Fatalf("record %d: got %q, %v", i, e.Data, err)
		}
	}
}

func TestReadingMayBeginAtATime(t *testing.T) {
	begin := time.Unix(1_800_000_000, 0)
	now := clock.At(begin)
	dir := t.TempDir()
	l := open(t, dir, Options{SegmentBytes: minSegmentBytes, Clock: now})
	for i := range 60 {
		mustAppend(t, l, Durable, fmt.Sprintf("payload %d", i))
		now.Advance(time.Minute)
	}
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, minute := range []int{0, 1, 17, 30, 59, 75} {
		since := begin.Add(time.Duration(minute) * time.Minute)
		from, err := l.Since(since)
		if err != nil {
			t.Fatal(err)
		}
		if minute >= 30 && from.Segment == 0 {
			t.Errorf("minute %d is looked for from the beginning", minute)
		}
		later := 0
		for e, err := range l.Records(t.Context(), from) {
			if err != nil {
				t.Fatal(err)
			}
			if !e.Time.Before(since) {
				later++
			}
		}
		if want := max(60-minute, 0); later != want {
			t.Errorf("from minute %d on there are %d records, want %d", minute, later, want)
		}
	}
	if from, err := open(t, t.TempDir(), Options{}).Since(begin); err != nil || from != (Cursor{}) {
		t.Errorf("an empty ledger: %v, %v", from, err)
	}
}

func TestTheLogIsNotStartedByOneWhoOnlyAppends(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		l := open(t, dir, Options{})
		mustAppend(t, l, Durable, "one")
		closeLedger(t, l)
	}
	if _, err := os.Stat(filepath.Join(dir, logName)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the log's directory exists: %v", err)
	}
	l := open(t, dir, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if c, err := readCheckpoint(dir, l.VerifierKey()); err != nil || c.size != 1 {
		t.Fatalf("after Run: checkpoint %+v, %v", c, err)
	}
}
