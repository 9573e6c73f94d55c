package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/ledger"
)

// record appends records to the ledger of a role and returns their ids.
func record(t *testing.T, state, role, typ string, data ...string) []ledger.ID {
	t.Helper()
	l, err := ledger.Open(t.Context(), filepath.Join(state, "ledger", role), ledger.Options{Origin: "apex/" + role})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var ids []ledger.ID
	for _, d := range data {
		r, err := l.Append(t.Context(), ledger.Record{Type: typ, Data: []byte(d)}, ledger.Durable)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.ID)
	}
	return ids
}

func TestTailMergesTheNewestRecordsOfAllLedgers(t *testing.T) {
	state := t.TempDir()
	record(t, state, "up", "t/one", `1`, `2`)
	record(t, state, "cli", "t/two", `3`, `4`)
	record(t, state, "up", "t/one", `5`)
	for _, c := range []struct {
		name, choice string
		o            TailOptions
		want         string
	}{
		{"all of both", "", TailOptions{Last: 9}, "1 2 3 4 5"},
		{"the newest three", "", TailOptions{Last: 3}, "3 4 5"},
		{"one more than a ring holds", "up", TailOptions{Last: 2}, "2 5"},
		{"of one type", "", TailOptions{Last: 9, Type: "t/two"}, "3 4"},
		{"of a type that nothing has", "", TailOptions{Last: 9, Type: "t/three"}, ""},
		{"of one role", "cli", TailOptions{Last: 9}, "3 4"},
		{"of a directory", filepath.Join(state, "ledger", "up"), TailOptions{Last: 1}, "5"},
		{"none", "", TailOptions{Last: 0}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, err := SelectLedgers(state, c.choice)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if err := TailRecords(t.Context(), in, c.o, func(r Record) error { got = append(got, string(r.Data)); return nil }); err != nil {
				t.Fatal(err)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	if _, err := SelectLedgers(state, "nobody"); err == nil || !strings.Contains(err.Error(), "cli, up") {
		t.Errorf("a role that there is not: %v, want one that names those that there are", err)
	}
}

func TestTailFollowsWhatIsWrittenLater(t *testing.T) {
	state := t.TempDir()
	record(t, state, "up", "t/one", `"before"`, `"last"`)
	record(t, state, "cli", "t/one", `"other"`)
	in, err := SelectLedgers(state, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan string)
	done := make(chan error, 1)
	go func() {
		done <- TailRecords(ctx, in, TailOptions{Last: 2, Follow: true, Type: "t/one"}, func(r Record) error { seen <- string(r.Data); return nil })
	}()
	expect := func(want ...string) {
		t.Helper()
		var got []string
		for range want {
			got = append(got, <-seen)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	expect(`"last"`, `"other"`)
	record(t, state, "cli", "t/two", `"of another type"`)
	record(t, state, "cli", "t/one", `"a"`)
	record(t, state, "up", "t/one", `"b"`)
	expect(`"a"`, `"b"`)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("after it was stopped: %v", err)
	}
}

func TestTailEndsWithWhoeverReads(t *testing.T) {
	state := t.TempDir()
	record(t, state, "up", "t/one", `1`, `2`)
	in, err := SelectLedgers(state, "")
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("the pipe is closed")
	for _, follow := range []bool{false, true} {
		n := 0
		err := TailRecords(t.Context(), in, TailOptions{Last: 9, Follow: follow}, func(Record) error { n++; return gone })
		if !errors.Is(err, gone) || n != 1 {
			t.Errorf("follow %v: %v after %d records", follow, err, n)
		}
	}
}

func TestProvingWaitsForALedgerThatAnotherProcessHolds(t *testing.T) {
	state := t.TempDir()
	id := record(t, state, "cli", "t/one", `1`)[0]
	in, err := SelectLedgers(state, "cli")
	if err != nil {
		t.Fatal(err)
	}
	held, err := ledger.Open(t.Context(), in[0].Dir, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	told := false
	proof, err := ProveRecord(t.Context(), state, in[0], id, ledger.Withhold, func(holder error) {
		told = errors.Is(holder, ledger.ErrLocked)
		held.Close()
	})
	if err != nil || !told {
		t.Fatalf("told %v, %v", told, err)
	}
	key, err := in[0].VerifierKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.VerifyProof(proof, key); err != nil {
		t.Error(err)
	}
	// The up's ledger is not waited for: whoever holds it can be asked, or not.
	upID := record(t, state, "up", "t/one", `1`)[0]
	up, err := SelectLedgers(state, "up")
	if err != nil {
		t.Fatal(err)
	}
	if held, err = ledger.Open(t.Context(), up[0].Dir, ledger.Options{}); err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	_, err = ProveRecord(t.Context(), state, up[0], upID, ledger.Withhold, func(error) { t.Error("it waits") })
	if !errors.Is(err, ledger.ErrLocked) || !strings.Contains(err.Error(), "no apex up has served") {
		t.Errorf("without an API to ask: %v", err)
	}
}

func TestRecordsAreShownSafely(t *testing.T) {
	for _, c := range []struct{ name, typ, data, summary string }{
		{"a verdict", ledger.TypeVerdict, `{"asked":"a/b:1","decision":"deny","code":"image.signature.missing"}`, "deny image.signature.missing a/b:1"},
		{"a verdict that drives a terminal", ledger.TypeVerdict, `{"asked":"a\u001b[2J\u202eb","decision":"allow","code":"ok"}`, `allow ok a\u001b[2J\u202eb`},
		{"a verdict that is none", ledger.TypeVerdict, `{"decision":"perhaps"}`, "(22 bytes)"},
		{"an erasure", ledger.TypeErasure, `{"ids":["01890000-0000-7000-8000-000000000000"],"reason":"asked\nto"}`, `1 records: asked\u000ato`},
		{"something else", "t/one", `{}`, "(2 bytes)"},
		{"what is not JSON", "t/one", "\x00\x01", "(4 bytes of base64)"},
		{"JSON with a key twice", "t/one", `{"a":1,"a":2}`, "(20 bytes of base64)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewRecord("up", &ledger.Entry{Type: c.typ, Data: []byte(c.data)})
			if got := r.Summary(); got != c.summary {
				t.Errorf("%q, want %q", got, c.summary)
			}
			var b strings.Builder
			if err := r.Print(&b); err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(b.String(), "\x1b\u202e\x00") {
				t.Errorf("%q", b.String())
			}
		})
	}
	erased := NewRecord("up", &ledger.Entry{Type: "t/one", Erased: true})
	if erased.Summary() != "(erased)" || erased.Data != nil || erased.Base64 != "" {
		t.Errorf("%+v", erased)
	}
}

func FuzzRecordIsShownSafely(f *testing.F) {
	for _, seed := range []string{`{"asked":"a","decision":"deny"}`, `{"lines":[]}`, `{"ids":[],"reason":"x"}`, "\x1b[2J", `"\u202e"`, `[[[]]]`} {
		f.Add(ledger.TypeVerdict, []byte(seed))
		f.Add(ledger.TypeErasure, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, typ string, data []byte) {
		r := NewRecord("up", &ledger.Entry{Type: typ, Data: data})
		var b strings.Builder
		fmt.Fprintln(&b, r.Summary())
		if err := r.Print(&b); err != nil {
			t.Fatal(err)
		}
		for _, c := range b.String() {
			if c != '\n' && (c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 || c == 0x202e) {
				t.Fatalf("%q holds %q", b.String(), c)
			}
		}
	})
}
