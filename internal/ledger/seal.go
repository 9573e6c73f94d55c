package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// seal is what the log holds about a segment: its leaf. Segment n is leaf n,
// which is what makes sealing idempotent: after a crash the log's size says
// which seals it has, and a seal added twice would be refused by its number.
//
//	8   "APEXSEAL"
//	u8  version, 1
//	u64 number of the segment, which is the leaf's index in the log
//	u64 records in it, at least 1
//	i64 time of the earliest record, microseconds since 1970
//	i64 time of the latest record
//	32  RFC 6962 root over the records' commitments
//	32  SHA-256 of the previous segment's seal; zeros for segment 0
type seal struct {
	segment  uint64
	count    uint64
	earliest int64
	latest   int64
	root     tlog.Hash
	previous [hashSize]byte
}

const (
	sealMagic   = "APEXSEAL"
	sealVersion = 1
	sealSize    = 8 + 1 + 8 + 8 + 8 + 8 + 32 + 32
)

func (s *seal) encode() []byte {
	b := append(make([]byte, 0, sealSize), sealMagic...)
	b = append(b, sealVersion)
	b = binary.BigEndian.AppendUint64(b, s.segment)
	b = binary.BigEndian.AppendUint64(b, s.count)
	b = binary.BigEndian.AppendUint64(b, uint64(s.earliest))
	b = binary.BigEndian.AppendUint64(b, uint64(s.latest))
	b = append(b, s.root[:]...)
	return append(b, s.previous[:]...)
}

func decodeSeal(b []byte) (seal, error) {
	switch {
	case len(b) != sealSize:
		return seal{}, fmt.Errorf("a seal has %d bytes, not %d", sealSize, len(b))
	case string(b[:8]) != sealMagic || b[8] != sealVersion:
		return seal{}, fmt.Errorf("it does not begin with %q and version %d", sealMagic, sealVersion)
	}
	s := seal{
		segment:  binary.BigEndian.Uint64(b[9:]),
		count:    binary.BigEndian.Uint64(b[17:]),
		earliest: int64(binary.BigEndian.Uint64(b[25:])),
		latest:   int64(binary.BigEndian.Uint64(b[33:])),
		root:     tlog.Hash(b[41:73]),
		previous: [hashSize]byte(b[73:105]),
	}
	if s.count == 0 || s.earliest > s.latest {
		return seal{}, errors.New("its count or its times make no sense")
	}
	return s, nil
}

// ranges remembers seals, which never change.
type ranges struct {
	mu    sync.Mutex
	seals map[uint64]seal
}

// readSeal returns segment n's seal; the error is fs.ErrNotExist where it has
// none.
func (l *Ledger) readSeal(n uint64) (seal, error) {
	l.ranges.mu.Lock()
	s, ok := l.ranges.seals[n]
	l.ranges.mu.Unlock()
	if ok {
		return s, nil
	}
	name := sealPath(l.dir, n)
	data, err := readFile(l.files, name, 1<<10)
	if err != nil {
		return seal{}, err
	}
	s, err = decodeSeal(data)
	if err == nil && s.segment != n {
		err = fmt.Errorf("it seals segment %d", s.segment)
	}
	if err != nil {
		return seal{}, &DamageError{File: name, Err: err}
	}
	l.ranges.mu.Lock()
	defer l.ranges.mu.Unlock()
	if l.ranges.seals == nil {
		l.ranges.seals = map[uint64]seal{}
	}
	l.ranges.seals[n] = s
	return s, nil
}

// sealedCount returns how many of the first closed segments have a seal. They
// are sealed in order, so that a binary search finds out.
func (l *Ledger) sealedCount(closed uint64) (uint64, error) {
	var failed error
	n := sort.Search(int(closed), func(i int) bool {
		ok, err := exists(l.files, sealPath(l.dir, uint64(i)))
		failed = errors.Join(failed, err)
		return !ok
	})
	return uint64(n), failed
}

// segmentTree is the content of one closed segment.
type segmentTree struct {
	leaves           []tlog.Hash
	earliest, latest int64
}

// readTree reads a closed segment from end to end and hands every frame, with
// its digest, to each.
func (l *Ledger) readTree(ctx context.Context, n uint64, each func(index int, f *frame)) (segmentTree, error) {
	f, size, _, err := openSegment(l.files, l.dir, n, l.origin)
	if err != nil {
		return segmentTree{}, err
	}
	defer f.Close()
	s := newScanner(f, segmentPath(l.dir, n), segmentHead, size)
	var t segmentTree
	for {
		fr, err := s.next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return segmentTree{}, err
		}
		fr.digest()
		if each != nil {
			each(len(t.leaves), &fr)
		}
		t.add(&fr)
		if len(t.leaves)%4096 == 0 && ctx.Err() != nil {
			return segmentTree{}, ctx.Err()
		}
	}
}

func (t *segmentTree) add(f *frame) {
	at := f.time().UnixMicro()
	if len(t.leaves) == 0 {
		t.earliest, t.latest = at, at
	}
	t.earliest, t.latest = min(t.earliest, at), max(t.latest, at)
	t.leaves = append(t.leaves, leafHash(f.commitment()))
}

func (t *segmentTree) seal(n uint64, previous []byte) seal {
	s := seal{segment: n, count: uint64(len(t.leaves)), earliest: t.earliest, latest: t.latest, root: treeRoot(t.leaves)}
	if previous != nil {
		s.previous = sha256.Sum256(previous)
	}
	return s
}

// writeSeal computes segment n's seal from what is on the disk and stores it
// beside the segment. From then on the segment does not grow. A seal that was
// lost, but is in the log, is stored again only if it is that leaf.
func (l *Ledger) writeSeal(ctx context.Context, n uint64) error {
	t, err := l.readTree(ctx, n, nil)
	if err != nil {
		return err
	}
	if len(t.leaves) == 0 {
		return &DamageError{File: segmentPath(l.dir, n), Offset: segmentHead, Err: errors.New("a closed segment without a record")}
	}
	var previous []byte
	if n > 0 {
		p, err := l.readSeal(n - 1)
		if err != nil {
			return err
		}
		previous = p.encode()
	}
	s := t.seal(n, previous)
	if l.tlog != nil && n < l.tlog.size {
		leaf, _, err := l.tlog.leaf(l.dir, n)
		if err != nil {
			return err
		}
		if !bytes.Equal(leaf, s.encode()) {
			return &DamageError{File: segmentPath(l.dir, n), Offset: segmentHead, Err: fmt.Errorf("its seal is lost, and leaf %d of the log is not the seal of the records that are here", n)}
		}
	}
	return writeFile(l.files, l.dir, sealPath("", n), s.encode(), 0o600)
}

// Seal closes the segment that is written on, if it holds a record, and returns
// when a signed checkpoint covers all segments. Calling it again does nothing.
func (l *Ledger) Seal(ctx context.Context) error {
	if l.w == nil {
		return ErrReadOnly
	}
	l.sealing.Lock()
	defer l.sealing.Unlock()
	r := &request{roll: true, done: make(chan error, 1)}
	if err := l.w.submit(r); err != nil {
		return err
	}
	if err := <-r.done; err != nil {
		return err
	}
	return l.sealClosed(ctx)
}

// sealClosed seals the segments that are closed. It looks at what is there and
// does what is missing, so that it finishes what a crash interrupted. The caller
// holds sealing.
func (l *Ledger) sealClosed(ctx context.Context) (err error) {
	l.stateMu.Lock()
	ended := l.closed
	l.stateMu.Unlock()
	if ended { // the segment that is open looks closed now, and the lock is gone
		return ErrClosed
	}
	defer func() {
		l.stateMu.Lock()
		defer l.stateMu.Unlock()
		l.sealErr = err
	}()
	closed, open, _, _ := l.w.readable()
	if open {
		closed--
	}
	if closed == 0 {
		return nil
	}
	sealed, err := l.sealedCount(closed)
	if err != nil {
		return err
	}
	// The log is opened only when it lacks something.
	if sealed == closed {
		if c, err := readCheckpoint(l.dir, l.vkey); err == nil && c.size >= closed {
			return nil
		}
	}
	if l.tlog == nil {
		if l.tlog, err = l.openLog(ctx); err != nil {
			return fmt.Errorf("open the log of segments: %w", err)
		}
	}
	if err := l.tlog.look(ctx, closed); err != nil {
		return err
	}
	// Seals that the log lacks are those of a sealing that did not end: their
	// names may not be on the disk. They must be before the log has them, and
	// before the next seal is, since seals are taken to be there in order.
	if sealed > l.tlog.size {
		if err := l.files.SyncDir(filepath.Join(l.dir, segmentsName)); err != nil {
			return err
		}
	}
	for n := sealed; n < closed; n++ {
		if err := l.writeSeal(ctx, n); err != nil {
			return fmt.Errorf("seal segment %d: %w", n, err)
		}
	}
	if err := l.tlog.compare(l); err != nil {
		return err
	}
	return l.tlog.integrate(ctx, l, closed)
}

// drainTime is how long Run takes at its end to seal what is open.
const drainTime = 10 * time.Second

// Run seals segments when they are full or as old as SegmentAge, until the
// context ends; then it seals what is left and returns. An error means that
// sealing failed; records are still taken, and Run may be called again.
func (l *Ledger) Run(ctx context.Context) error {
	if l.w == nil {
		return ErrReadOnly
	}
	for {
		// Taken first: a record that comes while sealDue looks is not missed.
		_, _, _, changed := l.w.readable()
		wait, err := l.sealDue(ctx)
		if ctx.Err() != nil {
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
			defer cancel()
			return l.Seal(end)
		}
		if err != nil {
			return err
		}
		if wait > 0 {
			changed = nil // more records do not make the segment older
		}
		timer := time.NewTimer(max(wait, time.Millisecond))
		if wait == 0 {
			timer.Stop()
		}
		select {
		case <-timer.C:
		case <-l.w.rolled:
		case <-changed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// sealDue seals what is due and returns how long the open segment may still
// grow; 0: there is none.
func (l *Ledger) sealDue(ctx context.Context) (time.Duration, error) {
	age := func() time.Duration {
		l.w.mu.Lock()
		defer l.w.mu.Unlock()
		if l.w.pos.file == nil || l.w.pos.count == 0 {
			return 0
		}
		return max(l.age-l.clock.Now().Sub(l.w.pos.begun), time.Nanosecond)
	}
	if age() == time.Nanosecond {
		return 0, l.Seal(ctx)
	}
	l.sealing.Lock()
	defer l.sealing.Unlock()
	err := l.sealClosed(ctx)
	return age(), err
}
