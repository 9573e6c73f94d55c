package ledger

import (
	"context"
	"fmt"
	"time"
)

// Durability says what an acknowledged record survives.
type Durability uint8

const (
	// Durable records survive the death of the machine: fsync has returned.
	Durable Durability = iota
	// Written records survive the death of the process: the kernel has them.
	// They are Durable within [Options.FsyncLag], or [Ledger.Healthy] and the
	// next Written append fail.
	Written
)

// maxBatch bounds the bytes of one AppendBatch, frames included.
const maxBatch = 16 << 20

// Receipt says where a record is.
type Receipt struct {
	ID      ID
	Time    time.Time // the ledger's, to the microsecond
	Segment uint64
	Index   uint64 // within the segment
	// Commitment is the salted hash that the record is proved by. Kept by
	// someone else, it holds the ledger to this record before it is sealed.
	Commitment [32]byte
}

// Append writes one record and returns once it is as durable as asked.
//
// An error means that the record is not acknowledged; after an error about
// writing or a context that ended it may be there all the same. Errors wrap
// ErrRecord, ErrLagging, ErrFailed, ErrClosed or ErrReadOnly, or are the
// context's. Append is safe for concurrent use, and concurrent calls share
// their fsync.
func (l *Ledger) Append(ctx context.Context, r Record, d Durability) (Receipt, error) {
	receipts, err := l.AppendBatch(ctx, []Record{r}, d)
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], nil
}

// AppendBatch writes records next to each other, in order, and acknowledges
// them together. It is not a transaction: after a crash in the middle the first
// of them may be there. The batch has at most 16 MiB.
func (l *Ledger) AppendBatch(ctx context.Context, records []Record, d Durability) ([]Receipt, error) {
	if l.w == nil {
		return nil, ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d != Durable {
		if err := l.w.health(); err != nil {
			return nil, err
		}
	}
	if len(records) == 0 {
		return nil, nil
	}
	r := &request{count: len(records), durable: d == Durable, done: make(chan error, 1)}
	size := 0
	for i := range records {
		if err := records[i].check(); err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		size += frameHead + frameMeta + saltSize + len(records[i].Data)
		if typeCode(records[i].Type) == 0 {
			size += 1 + len(records[i].Type)
		}
	}
	if size > maxBatch {
		return nil, fmt.Errorf("%w: a batch of %d bytes, at most %d fit; append it in parts", ErrRecord, size, maxBatch)
	}
	r.frames = make([]byte, 0, size)
	receipts := make([]Receipt, len(records))
	now := l.clock.Now()
	for i := range records {
		m, salt, err := newMeta(records[i].Type, records[i].Data, now)
		if err != nil {
			return nil, err
		}
		r.frames = appendRecord(r.frames, &m, salt, records[i].Data)
		receipts[i] = Receipt{ID: m.id, Time: m.time(), Commitment: m.commitment()}
	}
	if err := l.w.submit(r); err != nil {
		return nil, err
	}
	select {
	case err := <-r.done:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, fmt.Errorf("append: the outcome is not known: %w", ctx.Err())
	}
	for i := range receipts {
		receipts[i].Segment, receipts[i].Index = r.segment, r.index+uint64(i)
	}
	return receipts, nil
}
