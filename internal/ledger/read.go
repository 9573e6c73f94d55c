package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// Entry is a record that was read.
type Entry struct {
	ID      ID
	Type    string
	Time    time.Time
	Data    []byte // nil when Erased
	Erased  bool
	Segment uint64
	Index   uint64 // within the segment
}

// Next returns the place behind the entry.
func (e *Entry) Next() Cursor { return Cursor{Segment: e.Segment, Index: e.Index + 1} }

// Cursor is a place between records. The zero value is the beginning. It may be
// stored: it stays right when records are erased.
type Cursor struct {
	Segment uint64 `json:"segment"`
	Index   uint64 `json:"index"`
}

// followPoll is how often a ledger that is open for reading only looks for
// more; another process writes and cannot tell it.
const followPoll = 100 * time.Millisecond

// Records yields the records from a place to the end, in the order in which
// they were written. An error ends the sequence. Records that are Written but
// not yet Durable are among them.
func (l *Ledger) Records(ctx context.Context, from Cursor) iter.Seq2[Entry, error] {
	return l.walk(ctx, from, false)
}

// Follow is Records that waits for more at the end. The sequence ends with the
// context's error, or with ErrClosed.
func (l *Ledger) Follow(ctx context.Context, from Cursor) iter.Seq2[Entry, error] {
	return l.walk(ctx, from, true)
}

func (l *Ledger) walk(ctx context.Context, from Cursor, follow bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for n := from.Segment; ; n++ {
			err := l.walkSegment(ctx, n, follow, func(index uint64, f *frame) bool {
				if n == from.Segment && index < from.Index {
					return true
				}
				return yield(entryOf(f, n, index), nil)
			})
			switch {
			case err == nil:
			case errors.Is(err, errStop):
				return
			default:
				yield(Entry{}, err)
				return
			}
		}
	}
}

func entryOf(f *frame, segment, index uint64) Entry {
	e := Entry{ID: f.id, Type: f.typ, Time: f.time(), Erased: f.erased, Segment: segment, Index: index}
	if !f.erased {
		e.Data = bytes.Clone(f.data)
		if e.Data == nil {
			e.Data = []byte{}
		}
	}
	return e
}

// errStop ends a walk that is not at fault: its consumer has enough, or it has
// reached the end.
var errStop = errors.New("stop")

// extent is how far a segment can be read at a moment.
type extent struct {
	exists bool
	grows  bool  // more may come
	size   int64 // 0: the file's
	wait   <-chan struct{}
}

// extentOf looks at segment n. It must be called before the file's size is
// taken: a segment that is closed by then has its last size.
func (l *Ledger) extentOf(n uint64) (extent, error) {
	if l.w != nil {
		next, open, size, changed := l.w.readable()
		e := extent{exists: n < next, wait: changed}
		if open && n == next-1 {
			e.grows, e.size = true, size
		}
		if !e.exists {
			l.stateMu.Lock()
			defer l.stateMu.Unlock()
			if l.closed {
				return e, ErrClosed
			}
		}
		return e, nil
	}
	last, any, err := lastSegment(l.files, l.dir, n)
	return extent{exists: any && n <= last, grows: any && n == last}, err
}

func (l *Ledger) wait(ctx context.Context, e extent) error {
	var poll <-chan time.Time
	if l.w == nil {
		poll = time.After(followPoll)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-poll:
	case <-e.wait:
	}
	return nil
}

// walkSegment calls visit for every record of segment n. It returns nil when
// the segment is over and the next one follows, and errStop when visit returned
// false or there is no more, and follow is false.
func (l *Ledger) walkSegment(ctx context.Context, n uint64, follow bool, visit func(uint64, *frame) bool) error {
	e, err := l.extentOf(n)
	for err == nil && !e.exists {
		if !follow {
			return errStop
		}
		if err = l.wait(ctx, e); err == nil {
			e, err = l.extentOf(n)
		}
	}
	if err != nil {
		return err
	}
	name := segmentPath(l.dir, n)
	f, size, _, err := openSegment(l.files, l.dir, n, l.origin)
	if err != nil {
		if isNotExist(err) {
			return &DamageError{File: name, Err: errors.New("the segment is missing")}
		}
		return err
	}
	defer f.Close()
	s := newScanner(f, name, segmentHead, size)
	for index := uint64(0); ; {
		if e.size > 0 {
			s.end = e.size
		}
		fr, err := s.next()
		if err == nil {
			if !visit(index, &fr) {
				return errStop
			}
			if index++; index%1024 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		atEnd := errors.Is(err, io.EOF) || (l.w == nil && e.grows && errors.Is(err, errIncomplete))
		switch {
		case !atEnd:
			return err
		case !e.grows:
			return nil
		case !follow:
			return errStop
		}
		if err := l.wait(ctx, e); err != nil {
			return err
		}
		if e, err = l.extentOf(n); err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		s.end = info.Size()
	}
}

// Get returns the record with an id, or an error that wraps ErrNotFound. It
// reads the segments whose time range holds the id's.
func (l *Ledger) Get(ctx context.Context, id ID) (Entry, error) {
	var found Entry
	err := l.find(ctx, id, func(n, index uint64, f *frame) { found = entryOf(f, n, index) })
	return found, err
}

// Since returns a place that no record of t or later is before. It leaves out the
// first segments whose seals say that they hold only earlier ones.
func (l *Ledger) Since(t time.Time) (Cursor, error) {
	last, any, err := l.lastSegment()
	if err != nil || !any {
		return Cursor{}, err
	}
	from := last
	for n := last; ; n-- { // all of them: a clock that was set back writes later times into earlier segments
		s, err := l.readSeal(n)
		if err != nil && !isNotExist(err) {
			return Cursor{}, err
		}
		if err != nil || s.latest >= t.UnixMicro() {
			from = n
		}
		if n == 0 {
			return Cursor{Segment: from}, nil
		}
	}
}

// lastSegment returns the number of the newest segment, if there is any.
func (l *Ledger) lastSegment() (last uint64, any bool, err error) {
	if l.w != nil {
		next, _, _, _ := l.w.readable()
		return next - 1, next > 0, nil
	}
	return lastSegment(l.files, l.dir, 0)
}

// find calls visit with the record's frame.
func (l *Ledger) find(ctx context.Context, id ID, visit func(segment, index uint64, f *frame)) error {
	last, any, err := l.lastSegment()
	if err != nil {
		return err
	}
	if !any || !id.valid() {
		return fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	milli := id.milli()
	found := false
	for i := uint64(0); i <= last && !found; i++ {
		n := last - i // the newest first
		s, err := l.readSeal(n)
		if err != nil && !isNotExist(err) {
			return err
		}
		if err == nil && (milli*1000+999 < s.earliest || milli*1000 > s.latest) {
			continue
		}
		err = l.walkSegment(ctx, n, false, func(index uint64, f *frame) bool {
			if f.id == id {
				visit(n, index, f)
				found = true
			}
			return !found
		})
		if err != nil && !errors.Is(err, errStop) {
			return err
		}
	}
	if !found {
		return fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	return nil
}
