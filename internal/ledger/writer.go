package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

// Group commit. Callers queue requests. One goroutine takes all that is queued,
// writes it with one write and acknowledges what asked to be Written; another
// one calls fsync once for all that is written by then, and acknowledges what
// asked to be Durable. While one fsync runs, the next batch is written.

const (
	// maxWrite bounds one write, so that the first of a long queue is not
	// acknowledged only with the last.
	maxWrite = 4 << 20
	// maxQueued bounds what waits to be written. A disk that is this far behind
	// does not catch up by being given more.
	maxQueued = 64 << 20
)

// request is what a caller waits for.
type request struct {
	frames  []byte
	count   int // of frames
	durable bool
	roll    bool // instead of writing, close the segment that is written on

	segment uint64 // set before done: where the frames went
	index   uint64 // of the first frame in the segment
	done    chan error
}

type writer struct {
	files        FS
	dir          string
	origin       string
	clock        clock.Clock
	segmentBytes int64
	lag          time.Duration

	// syncing is held while the file is synced, replaced or closed.
	syncing sync.Mutex
	tail    File

	mu       sync.Mutex
	started  bool
	closing  bool
	err      error // once set, nothing is written or acknowledged any more
	pending  []*request
	spare    []*request
	queued   int        // bytes in pending
	waiting  []*request // written, and acknowledged by the next fsync
	pos      position
	synced   int64         // bytes of pos.file
	dirty    time.Time     // since when the oldest unsynced byte waits; zero: none does
	inSync   time.Time     // the same, for what the running fsync covers
	syncAt   time.Time     // when the lag's fsync is due, by the machine's clock
	changed  chan struct{} // closed and replaced when there is more to read
	rolled   chan struct{} // holds a token when a segment was closed
	wake     chan struct{}
	wakeSync chan struct{}
	stopSync chan struct{}
	wrote    chan struct{} // closed when writeLoop has ended
	syncs    chan struct{} // closed when syncLoop has ended

	buf   []byte     // writeLoop's
	batch []*request // writeLoop's: what buf holds
}

// submit queues r; r.done tells how it ended.
func (w *writer) submit(r *request) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return w.err
	case w.closing:
		return ErrClosed
	case w.queued+len(r.frames) > maxQueued:
		return fmt.Errorf("%w: %d bytes wait to be written; slow down or use a faster disk", ErrLagging, w.queued)
	}
	w.pending = append(w.pending, r)
	w.queued += len(r.frames)
	if !w.started {
		w.started = true
		go w.writeLoop()
		go w.syncLoop()
	}
	signal(w.wake)
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (w *writer) writeLoop() {
	defer close(w.wrote)
	for {
		w.mu.Lock()
		batch := w.pending
		w.pending, w.spare = w.spare[:0], batch
		w.queued = 0
		closing := w.closing
		w.mu.Unlock()
		if len(batch) == 0 {
			if closing {
				return
			}
			<-w.wake
			continue
		}
		for _, r := range batch {
			w.take(r)
		}
		w.flush()
		clear(batch)
	}
}

// take adds one request to the write that is being gathered.
func (w *writer) take(r *request) {
	if r.roll {
		w.flush()
		r.done <- w.roll()
		return
	}
	if len(w.buf) > 0 && len(w.buf)+len(r.frames) > maxWrite {
		w.flush()
	}
	if w.pos.file != nil && w.pos.size+int64(len(w.buf)) >= w.segmentBytes {
		w.flush()
		// An error has failed the writer; flush then answers r with it.
		_ = w.roll()
	}
	w.buf = append(w.buf, r.frames...)
	w.batch = append(w.batch, r)
}

// flush writes what was gathered and acknowledges what asked for no more.
func (w *writer) flush() {
	if len(w.batch) == 0 {
		return
	}
	if err := w.write(); err != nil {
		err = w.fail(err)
		for _, r := range w.batch {
			r.done <- err
		}
	}
	clear(w.batch)
	w.batch, w.buf = w.batch[:0], w.buf[:0]
	if cap(w.buf) > 2*maxWrite {
		w.buf = nil
	}
}

func (w *writer) write() error {
	w.mu.Lock()
	err := w.err
	w.mu.Unlock()
	if err != nil {
		return err
	}
	if w.pos.file == nil {
		if err := w.begin(); err != nil {
			return fmt.Errorf("begin a segment: %w", err)
		}
	}
	if n, err := w.pos.file.WriteAt(w.buf, w.pos.size); err != nil {
		return fmt.Errorf("write %s, %d of %d bytes: %w", segmentPath(w.dir, w.pos.next-1), n, len(w.buf), err)
	}
	now := w.clock.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil { // an fsync failed meanwhile: nothing more is acknowledged
		return w.err
	}
	w.pos.size += int64(len(w.buf))
	wakeSync := w.dirty.IsZero()
	if wakeSync {
		w.dirty = now
		w.syncAt = time.Now().Add(w.lag / 2)
	}
	for _, r := range w.batch {
		r.segment, r.index = w.pos.next-1, w.pos.count
		w.pos.count += uint64(r.count)
		if r.durable {
			w.waiting = append(w.waiting, r)
			wakeSync = true
		} else {
			r.done <- nil
		}
	}
	close(w.changed)
	w.changed = make(chan struct{})
	if wakeSync {
		signal(w.wakeSync)
	}
	return nil
}

// begin creates the next segment and makes its name durable before any record
// is written to it.
func (w *writer) begin() error {
	w.syncing.Lock()
	defer w.syncing.Unlock()
	name := segmentPath(w.dir, w.pos.next)
	f, err := w.files.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	now := w.clock.Now()
	_, err = f.WriteAt(encodeHeader(w.pos.next, now, w.origin), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = w.files.SyncDir(filepath.Dir(name))
	}
	if err == nil {
		err = w.mark(tail{w.pos.next, segmentHead})
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pos = position{next: w.pos.next + 1, file: f, size: segmentHead, begun: now}
	w.synced = segmentHead
	return nil
}

// roll closes the segment that is written on, all of it on the disk. The next
// record begins a new one.
func (w *writer) roll() error {
	if w.pos.file == nil || w.pos.count == 0 { // an empty segment is never closed
		return nil
	}
	w.sync()
	w.syncing.Lock()
	defer w.syncing.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	err := w.pos.file.Close()
	w.pos = position{next: w.pos.next}
	if err != nil {
		w.err = fmt.Errorf("%w: close %s: %w", ErrFailed, segmentPath(w.dir, w.pos.next-1), err)
		return w.err
	}
	signal(w.rolled)
	return nil
}

func (w *writer) syncLoop() {
	defer close(w.syncs)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w.mu.Lock()
		due, wait := len(w.waiting) > 0, time.Hour
		if !w.dirty.IsZero() {
			wait = time.Until(w.syncAt)
			due = due || wait <= 0
		}
		failed := w.err != nil
		w.mu.Unlock()
		if due && !failed {
			w.sync()
			continue
		}
		timer.Reset(wait)
		select {
		case <-w.wakeSync:
		case <-timer.C:
		case <-w.stopSync:
			return
		}
		if failed {
			<-w.stopSync
			return
		}
	}
}

// sync makes all that is written durable, and acknowledges who waits for it.
func (w *writer) sync() {
	w.syncing.Lock()
	defer w.syncing.Unlock()
	w.mu.Lock()
	if w.err != nil || w.pos.file == nil || (w.synced == w.pos.size && len(w.waiting) == 0) {
		w.mu.Unlock()
		return
	}
	file, mark, waiting := w.pos.file, tail{w.pos.next - 1, w.pos.size}, w.waiting
	w.waiting = nil
	w.inSync, w.dirty = w.dirty, time.Time{}
	w.mu.Unlock()

	err := file.Sync()
	if err == nil {
		err = w.mark(mark)
	}
	if err != nil {
		_ = w.fail(fmt.Errorf("sync %s: %w", segmentPath(w.dir, mark.segment), err))
	}
	w.mu.Lock()
	if err == nil && w.err == nil {
		w.synced, w.inSync = mark.synced, time.Time{}
	}
	err = w.err
	w.mu.Unlock()
	for _, r := range waiting {
		r.done <- err
	}
}

// mark writes the tail file. The caller holds syncing.
func (w *writer) mark(t tail) error {
	_, err := w.tail.WriteAt(t.encode(), 0)
	return err
}

// fail ends the writer: a failed fsync may have dropped what it was to write,
// and the next one would not say so. What is on the disk is found out by
// opening the ledger again.
func (w *writer) fail(cause error) error {
	w.mu.Lock()
	if w.err == nil {
		w.err = fmt.Errorf("%w: %w", ErrFailed, cause)
	}
	err := w.err
	lost := append(w.waiting, w.pending...)
	w.waiting, w.pending, w.queued = nil, nil, 0
	w.mu.Unlock()
	for _, r := range lost {
		r.done <- err
	}
	return err
}

// health returns the error that stopped the writer, or one that wraps
// ErrLagging when what is written waits for its fsync longer than promised.
func (w *writer) health() error {
	now := w.clock.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if w.closing {
		return ErrClosed
	}
	oldest := w.inSync
	if oldest.IsZero() {
		oldest = w.dirty
	}
	if !oldest.IsZero() && now.Sub(oldest) > w.lag {
		return fmt.Errorf("%w: records wait %s to reach the disk, %s is allowed", ErrLagging, now.Sub(oldest), w.lag)
	}
	return nil
}

// readable returns how far the segment that is written on may be read. Without
// one, next is the number of segments.
func (w *writer) readable() (next uint64, open bool, size int64, changed <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pos.next, w.pos.file != nil, w.pos.size, w.changed
}

// close writes and syncs what is queued, and ends the goroutines.
func (w *writer) close() error {
	w.mu.Lock()
	if w.closing {
		w.mu.Unlock()
		return ErrClosed
	}
	w.closing = true
	started := w.started
	w.mu.Unlock()
	if started {
		signal(w.wake)
		<-w.wrote
		close(w.stopSync)
		<-w.syncs
	}
	w.sync()
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.err
	if w.pos.file != nil {
		err = errors.Join(err, w.pos.file.Close())
		w.pos.file = nil
	}
	close(w.changed)
	w.changed = make(chan struct{})
	return errors.Join(err, w.tail.Close())
}
