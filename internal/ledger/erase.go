package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
)

const (
	// maxErase bounds the records of one call; their ids fit one record.
	maxErase = 10_000
	// maxReason bounds the reason that is kept for good.
	maxReason = 1 << 10
)

// Erasure is the data of a TypeErasure record: what was erased, and why. The
// reason stays; it must not name the person whose data goes.
type Erasure struct {
	IDs    []ID   `json:"ids"`
	Reason string `json:"reason"`
}

// Erase takes data and salt of records out of the ledger. What stays is type,
// id, time and the salted digest, so all proofs, those without data included,
// stay valid. Erase first records, Durable, that it does so; a check reports
// records that were erased without that, and an erasure that a crash cut short.
// Erasing again finishes it.
//
// The segments are rewritten. What the file system, snapshots and copies keep of
// the old ones is not in the ledger's reach.
func (l *Ledger) Erase(ctx context.Context, reason string, ids ...ID) error {
	if l.w == nil {
		return ErrReadOnly
	}
	if len(ids) == 0 || len(ids) > maxErase || reason == "" || len(reason) > maxReason {
		return fmt.Errorf("erase: want 1 to %d records and a reason of 1 to %d bytes", maxErase, maxReason)
	}
	bySegment := map[uint64]map[ID]bool{}
	for _, id := range ids {
		var refused error
		err := l.find(ctx, id, func(n, _ uint64, f *frame) {
			if f.typ == TypeErasure {
				refused = fmt.Errorf("%s records an erasure: it stays", id)
			}
			if bySegment[n] == nil {
				bySegment[n] = map[ID]bool{}
			}
			bySegment[n][id] = true
		})
		if err = errors.Join(err, refused); err != nil {
			return fmt.Errorf("erase: %w", err)
		}
	}
	data, err := json.Marshal(Erasure{IDs: ids, Reason: reason})
	if err != nil {
		return err
	}
	if _, err := l.Append(ctx, Record{Type: TypeErasure, Data: data}, Durable); err != nil {
		return fmt.Errorf("erase: %w", err)
	}
	// Only a sealed segment is rewritten: nothing is appended to it any more,
	// and its root is in the log.
	if err := l.Seal(ctx); err != nil {
		return fmt.Errorf("erase: %w", err)
	}
	l.sealing.Lock()
	defer l.sealing.Unlock()
	for n, which := range bySegment {
		if err := l.rewrite(ctx, n, which); err != nil {
			return fmt.Errorf("erase in segment %d: %w", n, err)
		}
	}
	return nil
}

// rewrite replaces a segment by one in which some records are erased.
func (l *Ledger) rewrite(ctx context.Context, n uint64, which map[ID]bool) error {
	s, err := l.readSeal(n)
	if err != nil {
		return err
	}
	f, _, begun, err := openSegment(l.files, l.dir, n, l.origin)
	if err != nil {
		return err
	}
	defer f.Close()
	out := encodeHeader(n, begun, l.origin)
	t, err := l.readTree(ctx, n, func(_ int, f *frame) {
		if f.erased || which[f.id] {
			out = appendErased(out, &f.meta)
			return
		}
		out = appendRecord(out, &f.meta, f.salt, f.data)
	})
	if err != nil {
		return err
	}
	if treeRoot(t.leaves) != s.root {
		return &DamageError{File: segmentPath(l.dir, n), Offset: segmentHead, Err: errors.New("its records do not give the root it was sealed with")}
	}
	return writeFile(l.files, l.dir, segmentPath("", n), out, 0o600)
}

// note keeps, of a record that a check has read, what is about erasing.
func (c *checker) note(n uint64, f *frame) {
	if f.erased {
		c.update(func(r *Report) { r.Erased++ })
		if len(c.erased) < maxFiles {
			c.erased[f.id] = c.segmentFile(n)
		}
		return
	}
	if f.typ != TypeErasure {
		return
	}
	var e Erasure
	if err := bounded.JSON(f.data, 3, &e); err != nil || len(e.IDs) > maxErase {
		c.problem(c.segmentFile(n), 0, "record %s does not say what it erases", f.id)
		return
	}
	for _, id := range e.IDs {
		if len(c.erasures) < maxFiles {
			c.erasures[id] = true
		}
	}
}

// checkErasures compares what is erased with what was recorded to be.
func (c *checker) checkErasures() {
	var wrong []Problem
	for id, rel := range c.erased {
		if !c.erasures[id] {
			wrong = append(wrong, Problem{rel, 0, fmt.Sprintf("record %s was erased, and no record says so", id)})
		}
	}
	for id := range c.erasures {
		if _, ok := c.erased[id]; !ok {
			wrong = append(wrong, Problem{segmentsName, 0, fmt.Sprintf("record %s was to be erased and is not: erase it again", id)})
		}
	}
	slices.SortFunc(wrong, func(a, b Problem) int { return strings.Compare(a.String(), b.String()) })
	for _, p := range wrong {
		c.problem(p.File, p.Offset, "%s", p.Text)
	}
}
