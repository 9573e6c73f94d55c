package admission

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apexlogic/apex/verdict"
)

// Why there is no report in time. All three are answered with a status on which
// clients of Kubernetes ask again.
var (
	errLate     = errors.New("the verification is not done yet and goes on")
	errBusy     = errors.New("too many verifications wait already")
	errDraining = errors.New("this replica is shutting down")
	errPanicked = errors.New("the verification panicked")
)

// ask returns the report about the questions, or why there is none before ctx
// ends. The verification goes on then, until [Options.Background] has passed, so
// that the answer is there when the same is asked again. Meanwhile it is asked
// for only once: whoever asks again waits for that one.
func (h *Handler) ask(ctx context.Context, dryRun bool, questions []verdict.Question) (verdict.Report, error) {
	if wait := h.pending.find(questions); wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return verdict.Report{}, errLate
		}
	}
	if !h.state.begin() {
		return verdict.Report{}, errDraining
	}
	result := make(chan outcome, 1)
	waiting := make(chan struct{})
	// Not the request's own context: the API server may give up before.
	free, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.o.Background)
	if dryRun {
		free = context.WithValue(free, dryRunKey{}, true)
	}
	go func() {
		defer h.state.end()
		defer cancel()
		defer close(waiting)
		result <- h.verify(free, questions)
	}()
	select {
	case o := <-result:
		return o.report, o.err
	case <-ctx.Done():
		h.pending.add(questions, waiting)
		return verdict.Report{}, errLate
	}
}

// outcome is how a verification ended.
type outcome struct {
	report verdict.Report
	err    error
}

// verify asks until the answer is one of the generation in force: what was
// reached under the one before is not given after it has been replaced.
func (h *Handler) verify(ctx context.Context, questions []verdict.Question) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			h.o.Logger.Error("a verification panicked", "panic", p, "stack", string(debug.Stack()))
			o = outcome{err: errPanicked}
		}
	}()
	if err := h.work.enter(ctx, 1); err != nil {
		return outcome{err: errBusy}
	}
	defer h.work.leave(1)
	const most = 5 // policies that change faster than that answer nothing
	for range most {
		o.report = h.o.Verifier.Verify(ctx, questions)
		if len(o.report.Verdicts) != len(questions) {
			return outcome{err: fmt.Errorf("%d verdicts about %d questions", len(o.report.Verdicts), len(questions))}
		}
		if o.report.Generation == h.o.Generation() {
			return o
		}
	}
	return outcome{err: errLate}
}

// pending remembers the verifications that go on after their answer was due, by
// what they are about.
type pending struct {
	count atomic.Int32 // of byKey, so that asking costs nothing when there are none
	mu    sync.Mutex
	byKey map[[sha256.Size]byte]<-chan struct{}
}

// find returns what is closed when the verification of the questions is done,
// or nil.
func (p *pending) find(questions []verdict.Question) <-chan struct{} {
	if p.count.Load() == 0 {
		return nil
	}
	key := keyOf(questions)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byKey[key]
}

func (p *pending) add(questions []verdict.Question, done <-chan struct{}) {
	key := keyOf(questions)
	p.mu.Lock()
	if p.byKey == nil {
		p.byKey = map[[sha256.Size]byte]<-chan struct{}{}
	}
	p.byKey[key] = done
	p.count.Store(int32(len(p.byKey)))
	p.mu.Unlock()
	go func() { // it ends with the verification, which has a limit
		<-done
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.byKey[key] == done {
			delete(p.byKey, key)
			p.count.Store(int32(len(p.byKey)))
		}
	}()
}

// keyOf names questions by all that their verdicts depend on.
func keyOf(questions []verdict.Question) (key [sha256.Size]byte) {
	h := sha256.New()
	for i := range questions {
		q := &questions[i]
		write(h, q.Kind.String(), q.Repo, string(q.Digest), q.Asked, q.Namespace)
		for _, label := range slices.Sorted(maps.Keys(q.Labels)) {
			write(h, label, q.Labels[label])
		}
		write(h, "") // where its labels end
	}
	h.Sum(key[:0])
	return key
}

func write(h hash.Hash, parts ...string) {
	var n [8]byte
	for _, part := range parts {
		binary.LittleEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
}

// lifecycle counts what runs, and ends.
type lifecycle struct {
	draining atomic.Bool
	mu       sync.Mutex
	running  int
	idle     chan struct{} // closed when nothing runs any more; set once it drains
}

// begin says whether something may still start.
func (l *lifecycle) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle != nil {
		return false
	}
	l.running++
	return true
}

func (l *lifecycle) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running--; l.running == 0 && l.idle != nil {
		close(l.idle)
	}
}

// stop lets nothing start any more and returns what is closed when all is done.
func (l *lifecycle) stop() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle == nil {
		l.idle = make(chan struct{})
		if l.running == 0 {
			close(l.idle)
		}
	}
	return l.idle
}
