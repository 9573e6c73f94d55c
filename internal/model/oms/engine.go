package oms

import (
	"context"
	"fmt"
	"hash"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// readSize is how much is read at once: it stays in the second-level cache
	// between being read and being hashed, and is a multiple of witnessBlock.
	readSize = 256 << 10
	// reportEvery is how often a worker reports inside of a file.
	reportEvery = 32 << 20
)

// engine hashes files, or segments of span bytes of them, in parallel.
type engine struct {
	tree      *tree
	files     []file
	algorithm Algorithm
	span      int64 // 0: whole files
	work      Work
	state     *state // nil: none

	sums  [][][]byte // by file, by segment
	open  []opened   // by file
	tasks []task
	next  atomic.Int64
	total int64

	mu     sync.Mutex // guards what follows, and calls of Progress
	done   Progress
	failed error
}

// task is one segment of one file.
type task struct{ file, segment int }

// opened is a file while its segments are hashed.
type opened struct {
	once    sync.Once
	f       *os.File
	witness *Witness // nil: nobody inspects
	err     error
	left    atomic.Int64 // segments
}

func (e *engine) segments(i int) int {
	size := e.files[i].stamp.Size
	if e.span <= 0 {
		return 1
	}
	return int((size + e.span - 1) / e.span)
}

func (e *engine) segment(i, k int) (start, end int64) {
	size := e.files[i].stamp.Size
	if e.span <= 0 {
		return 0, size
	}
	start = int64(k) * e.span
	return start, min(start+e.span, size)
}

// run fills sums, or returns the first error.
func (e *engine) run(ctx context.Context) error {
	if err := e.prepare(); err != nil {
		return err
	}
	workers := e.work.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	for range min(workers, len(e.tasks)) {
		running.Go(func() { e.worker(ctx, cancel) })
	}
	running.Wait()
	for i := range e.open { // what an error left open
		if e.open[i].f != nil {
			e.open[i].f.Close()
		}
	}
	if e.state != nil {
		if err := e.state.save(); err != nil && e.failed == nil {
			return err
		}
	}
	return e.failed
}

// prepare makes the list of tasks, the largest files first, so that the last
// ones to end are small.
func (e *engine) prepare() error {
	e.sums, e.open = make([][][]byte, len(e.files)), make([]opened, len(e.files))
	order := make([]int, len(e.files))
	entries := 0
	for i := range e.files {
		f := &e.files[i]
		order[i] = i
		if f.stamp.Size < 0 || e.span > 0 && f.stamp.Size/e.span > maxFiles {
			return fmt.Errorf("hash: %q has more shards than a manifest can hold; choose larger shards", f.name)
		}
		entries += e.segments(i)
		e.total += f.stamp.Size
	}
	if entries > maxFiles {
		return fmt.Errorf("hash: %d entries; a manifest has at most %d: choose larger shards", entries, maxFiles)
	}
	e.done.TotalFiles, e.done.TotalBytes = len(e.files), e.total
	slices.SortStableFunc(order, func(a, b int) int {
		return int(min(max(e.files[b].stamp.Size-e.files[a].stamp.Size, -1), 1))
	})
	for _, i := range order {
		n := e.segments(i)
		e.sums[i] = make([][]byte, n)
		if e.state != nil && e.state.known(&e.files[i], e.sums[i]) {
			e.done.Files, e.done.Bytes = e.done.Files+1, e.done.Bytes+e.files[i].stamp.Size
			continue
		}
		e.open[i].left.Store(int64(n))
		for k := range n {
			e.tasks = append(e.tasks, task{i, k})
		}
	}
	return nil
}

func (e *engine) worker(ctx context.Context, cancel func()) {
	h, err := e.algorithm.new()
	if err != nil {
		e.fail(err, cancel)
		return
	}
	buf := make([]byte, readSize)
	for {
		n := e.next.Add(1) - 1
		if n >= int64(len(e.tasks)) {
			return
		}
		t := e.tasks[n]
		if err := e.do(ctx, t, h, buf); err != nil {
			e.fail(err, cancel)
			return
		}
	}
}

// fail keeps the first error. What other workers say because they were told to
// stop comes later and does not replace it.
func (e *engine) fail(err error, cancel func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed == nil {
		e.failed = err
	}
	cancel()
}

func (e *engine) do(ctx context.Context, t task, h hash.Hash, buf []byte) error {
	f, o := &e.files[t.file], &e.open[t.file]
	o.once.Do(func() { o.err = e.begin(ctx, f, o) })
	if o.err != nil {
		return o.err
	}
	start, end := e.segment(t.file, t.segment)
	h.Reset()
	reported := start
	for off := start; off < end; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		b := buf[:min(int64(len(buf)), end-off)]
		if n, err := o.f.ReadAt(b, off); n < len(b) {
			return readFailed(f, off+int64(n), err)
		}
		if o.witness != nil {
			if err := o.witness.Check(b, off); err != nil {
				return named(err, f)
			}
		}
		h.Write(b)
		off += int64(len(b))
		if off-reported >= reportEvery && off < end {
			e.report(0, off-reported)
			reported = off
		}
	}
	e.sums[t.file][t.segment] = h.Sum(nil)
	files := 0
	if o.left.Add(-1) == 0 {
		if err := e.finish(t.file); err != nil {
			return err
		}
		files = 1
	}
	e.report(files, end-reported)
	return nil
}

// begin opens a file and shows it to the inspector.
func (e *engine) begin(ctx context.Context, f *file, o *opened) error {
	var err error
	if o.f, err = e.tree.open(f); err != nil {
		return err
	}
	if e.work.Inspect == nil {
		return nil
	}
	o.witness = NewWitness(o.f, f.stamp.Size, e.span)
	if err := e.work.Inspect(ctx, f.name, o.witness, f.stamp.Size); err != nil {
		return fmt.Errorf("inspect %q: %w", f.name, err)
	}
	return nil
}

// finish makes sure that a file is what it was, now that all of it was read.
func (e *engine) finish(i int) error {
	f, o := &e.files[i], &e.open[i]
	err := f.same(o.f)
	if closed := o.f.Close(); err == nil {
		err = closed
	}
	o.f = nil
	if err == nil && o.witness != nil {
		err = named(o.witness.Check(nil, 0), f) // an empty file has no other check
	}
	if err == nil && e.state != nil {
		err = e.state.add(f, e.sums[i])
	}
	return err
}

func (e *engine) report(files int, bytes int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done.Files, e.done.Bytes = e.done.Files+files, e.done.Bytes+bytes
	if e.work.Progress != nil {
		e.work.Progress(e.done)
	}
}

func readFailed(f *file, at int64, err error) error {
	if err == nil || at < f.stamp.Size && isEOF(err) {
		return &ChangedError{Path: f.name, Detail: fmt.Sprintf("it ended at byte %d and had %d", at, f.stamp.Size)}
	}
	return fmt.Errorf("read %q at byte %d: %w", f.name, at, err)
}

// named adds the file's name to what a witness says.
func named(err error, f *file) error {
	if c, ok := err.(*ChangedError); ok && c.Path == "" {
		return &ChangedError{Path: f.name, Detail: c.Detail}
	}
	if err != nil {
		return fmt.Errorf("%q: %w", f.name, err)
	}
	return nil
}
