package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/verdict"
)

// LedgerDir is one ledger below a state directory, or one that a person named.
type LedgerDir struct {
	// Role is the process that writes to it: the directory's last component.
	Role string `json:"ledger"`
	Dir  string `json:"dir"`
}

// SelectLedgers returns the ledgers of a state directory, ordered by role.
// choice narrows them to one: a role, or any directory that holds a ledger
// (which then need not be below state).
func SelectLedgers(state, choice string) ([]LedgerDir, error) {
	if choice == "." || strings.ContainsRune(choice, filepath.Separator) {
		dir, err := filepath.Abs(choice)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(filepath.Join(dir, "segments")); err != nil {
			return nil, fmt.Errorf("%s is no ledger: %w", choice, err)
		}
		return []LedgerDir{{filepath.Base(dir), dir}}, nil
	}
	dirs, err := Ledgers(state)
	if err != nil {
		return nil, err
	}
	var all []LedgerDir
	var roles []string
	for _, dir := range dirs {
		role := filepath.Base(dir)
		roles = append(roles, role)
		if choice == "" || choice == role {
			all = append(all, LedgerDir{role, dir})
		}
	}
	if len(all) == 0 && choice != "" {
		return nil, fmt.Errorf("there is no ledger %q in %s; there are: %s", choice, state, strings.Join(roles, ", "))
	}
	return all, nil
}

// maxVerifierFile bounds the file with a ledger's verifier key: one line.
const maxVerifierFile = 1 << 10

// VerifierKey returns the note verifier key that the ledger's directory names.
// It proves nothing to somebody who does not trust the directory.
func (l LedgerDir) VerifierKey() (string, error) {
	data, err := bounded.ReadFile(filepath.Join(l.Dir, "verifier"), maxVerifierFile)
	if err != nil {
		return "", fmt.Errorf("the verifier key of ledger %s: %w", l.Role, err)
	}
	return strings.TrimSpace(string(data)), nil
}

// FindRecord looks for a record in the ledgers. The error wraps
// [ledger.ErrNotFound] when none has it.
func FindRecord(ctx context.Context, in []LedgerDir, id ledger.ID) (LedgerDir, Record, error) {
	var roles []string
	for _, l := range in {
		roles = append(roles, l.Role)
		e, err := l.get(ctx, id)
		if errors.Is(err, ledger.ErrNotFound) {
			continue
		}
		if err != nil {
			return l, Record{}, fmt.Errorf("ledger %s: %w", l.Role, err)
		}
		return l, NewRecord(l.Role, &e), nil
	}
	return LedgerDir{}, Record{}, fmt.Errorf("%w: %s is in none of these ledgers: %s", ledger.ErrNotFound, id, strings.Join(roles, ", "))
}

func (l LedgerDir) get(ctx context.Context, id ledger.ID) (ledger.Entry, error) {
	open, err := ledger.Open(ctx, l.Dir, ledger.Options{ReadOnly: true})
	if err != nil {
		return ledger.Entry{}, err
	}
	defer open.Close()
	return open.Get(ctx, id)
}

// ProveRecord returns the proof of a record as a file to hand out. Where the
// record's segment is sealed already it only reads. Otherwise it has to write:
// it opens the ledger, and while a running apex up holds it, asks that one.
// waiting is told when another process holds the ledger and is waited for.
func ProveRecord(ctx context.Context, state string, l LedgerDir, id ledger.ID, d ledger.Disclosure, waiting func(holder error)) ([]byte, error) {
	proof, err := l.prove(ctx, id, d, ledger.Options{ReadOnly: true})
	if !errors.Is(err, ledger.ErrUnsealed) {
		return proof, err
	}
	// From here on a log is written; what it tells of its work goes nowhere.
	routeKlog(slog.New(slog.DiscardHandler))
	proof, err = l.prove(ctx, id, d, ledger.Options{})
	if !errors.Is(err, ledger.ErrLocked) {
		return proof, err
	}
	if l.Role == roleUp && l.Dir == filepath.Join(state, "ledger", roleUp) {
		client, failed := NewClient(state)
		if failed == nil {
			defer client.Close()
			if proof, failed = client.Prove(ctx, id, d); failed == nil {
				return proof, nil
			}
		}
		return nil, fmt.Errorf("%w; and the apex up that holds it could not be asked: %w", err, failed)
	}
	waiting(err)
	return l.prove(ctx, id, d, ledger.Options{LockWait: lockWait})
}

func (l LedgerDir) prove(ctx context.Context, id ledger.ID, d ledger.Disclosure, o ledger.Options) (_ []byte, err error) {
	open, err := ledger.Open(ctx, l.Dir, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, open.Close()) }()
	p, err := open.Prove(ctx, id, d)
	if err != nil {
		return nil, err
	}
	return p.Encode()
}

// TailOptions choose what [TailRecords] yields.
type TailOptions struct {
	// Last is how many records are wanted, from the newest; at most [MaxTail].
	Last int
	// Type is the type wanted; empty: all.
	Type string
	// Follow goes on with the records that are written later, until the
	// context ends.
	Follow bool
}

// MaxTail bounds the records that one call keeps in memory.
const MaxTail = 10_000

// TailRecords yields the newest records of the ledgers, merged by time. An
// error of yield ends it.
func TailRecords(ctx context.Context, in []LedgerDir, o TailOptions, yield func(Record) error) error {
	var last []Record
	var tails []*tail
	defer func() {
		for _, t := range tails {
			t.open.Close()
		}
	}()
	for _, l := range in {
		open, err := ledger.Open(ctx, l.Dir, ledger.Options{ReadOnly: true})
		if err != nil {
			return fmt.Errorf("ledger %s: %w", l.Role, err)
		}
		t := &tail{role: l.Role, open: open, want: o.Type}
		tails = append(tails, t)
		records, err := t.last(ctx, min(o.Last, MaxTail))
		if err != nil {
			return fmt.Errorf("ledger %s: %w", l.Role, err)
		}
		last = append(last, records...)
	}
	slices.SortStableFunc(last, func(a, b Record) int { return a.Time.Compare(b.Time) })
	for _, r := range last[max(0, len(last)-o.Last):] {
		if err := yield(r); err != nil {
			return err
		}
	}
	if !o.Follow {
		return nil
	}
	return follow(ctx, tails, yield)
}

type tail struct {
	role, want string
	open       *ledger.Ledger
	next       ledger.Cursor
}

// last reads to the end and keeps the newest n in a ring.
func (t *tail) last(ctx context.Context, n int) ([]Record, error) {
	ring := make([]ledger.Entry, 0, min(n, 64))
	seen := 0
	for e, err := range t.open.Records(ctx, t.next) {
		if err != nil {
			return nil, err
		}
		t.next = e.Next()
		if n == 0 || (t.want != "" && e.Type != t.want) {
			continue
		}
		if len(ring) < n {
			ring = append(ring, e)
		} else {
			ring[seen%n] = e
		}
		seen++
	}
	out := make([]Record, len(ring))
	for i := range ring {
		at := i
		if seen > len(ring) {
			at = (seen + i) % len(ring)
		}
		out[i] = NewRecord(t.role, &ring[at])
	}
	return out, nil
}

// follow yields what is written from now on; it returns nil when the context ends.
func follow(ctx context.Context, tails []*tail, yield func(Record) error) error {
	var readers sync.WaitGroup
	defer readers.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	type item struct {
		record Record
		err    error
	}
	items := make(chan item)
	for _, t := range tails {
		readers.Go(func() {
			for e, err := range t.open.Follow(ctx, t.next) {
				it := item{err: err}
				if err == nil {
					if t.want != "" && e.Type != t.want {
						continue
					}
					it.record = NewRecord(t.role, &e)
				}
				select {
				case items <- it:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case it := <-items:
			if it.err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return it.err
			}
			if err := yield(it.record); err != nil {
				return err
			}
		}
	}
}

// RecentRecords returns the newest records of all ledgers, newest first, of one
// type or of all. It is for completion: what cannot be read is left out.
func RecentRecords(ctx context.Context, state, typ string, n int) []Record {
	in, err := SelectLedgers(state, "")
	if err != nil {
		return nil
	}
	var out []Record
	_ = TailRecords(ctx, in, TailOptions{Last: n, Type: typ}, func(r Record) error { // as far as it gets
		out = append(out, r)
		return nil
	})
	slices.Reverse(out)
	return out
}

// RecentSubjects returns what the newest verdicts are about, newest first, each
// once, with the decision behind a tab.
func RecentSubjects(ctx context.Context, state string, n int) []string {
	var out []string
	seen := map[string]bool{}
	for _, r := range RecentRecords(ctx, state, ledger.TypeVerdict, n) {
		var v verdict.Verdict
		if json.Unmarshal(r.Data, &v) != nil {
			continue
		}
		subject := Printable(cmp.Or(v.Asked, v.Ref.String()))
		if subject == "" || seen[subject] {
			continue
		}
		seen[subject] = true
		out = append(out, subject+"\t"+v.Decision.String()+" "+Printable(string(v.Code)))
	}
	return out
}
