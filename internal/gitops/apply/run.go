package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// How long is waited, and how often is tried.
const (
	// A definition is established in milliseconds; a minute is an API server in
	// trouble, and the next pass tries again.
	establishWithin = time.Minute
	// After its definition is established, a kind may take a moment until every
	// API server serves it.
	servedWithin = 30 * time.Second
	// Objects whose finalizers take longer are left to the next pass.
	goneWithin = 30 * time.Second
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
	// Somebody who writes the same object each time we do is the healer's to report.
	maxConflicts = 5
)

// Result is what an apply did.
type Result struct {
	Revision Revision
	Counter  uint64
	Created, Changed, Unchanged,
	Deleted, Kept int
}

// Apply does what the plan says. When the target refuses a part of it, the
// revision before is brought back and the error is a [*Refusal] with the code
// [verdict.ApplyReturned]. On any other error the state says how far it came;
// applying again, or [Applier.Resume], goes on from there. When the state has
// changed since the plan was made, nothing is written and the error is
// [gitops.ErrConflict].
func (a *Applier) Apply(ctx context.Context, p *Plan) (*Result, error) {
	r := &Result{Revision: p.Revision, Counter: p.state.Counter, Unchanged: p.Unchanged, Kept: len(p.Kept)}
	if p.Empty() {
		if err := a.keepAll(p); err != nil {
			return r, err
		}
		return r, a.sweep(ctx, p.state.copy())
	}
	w := &work{a: a, p: p, s: p.state.copy(), result: r}
	err := w.run(ctx)
	if cause := w.refused(ctx, err); cause != nil {
		if _, err := w.inventory(); err != nil { // what is there now, as far as it is known
			return r, err
		}
		return r, a.goBack(ctx, p.Revision, w.s, cause)
	}
	return r, err
}

// keepAll tells the healer of objects that were applied before.
func (a *Applier) keepAll(p *Plan) error {
	for _, stage := range p.Stages {
		for i := range stage.Steps {
			if err := a.tell(p.Source, &stage.Steps[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell tells the healer of an object: that it is about to be written, or that it
// was before.
func (a *Applier) tell(source string, s *Step) error {
	o, err := s.labelled(source)
	if err != nil {
		return err
	}
	if s.Action == Unchanged {
		return a.keeper.Resume(o)
	}
	return a.keeper.Desire(o)
}

// keepApplied tells the healer of everything that was applied before this process
// began.
func (a *Applier) keepApplied(ctx context.Context, s *State) error {
	set, err := a.set(ctx, s.Current.Set)
	if err != nil {
		return err
	}
	objects := set.Objects()
	for i := range objects {
		o, err := gitops.Labelled(objects[i], s.Source)
		if err != nil {
			return err
		}
		if err := a.keeper.Resume(&o); err != nil {
			return err
		}
	}
	return nil
}

// work is an apply under way.
type work struct {
	a      *Applier
	p      *Plan
	s      *State
	result *Result

	no refusals // what the target said no to

	mu    sync.Mutex
	items map[gitops.ID]Item
}

func (w *work) run(ctx context.Context) error {
	w.prepareItems()
	if err := w.intend(ctx); err != nil {
		return err
	}
	for _, s := range slices.Concat(w.p.Kept, w.p.Forgotten) {
		w.a.keeper.Forget(s.ID)
	}
	var left []error
	for _, stage := range w.p.Stages {
		if stage.number > definitions {
			if err := w.tryLater(ctx); err != nil {
				return err
			}
		}
		if err := w.goesOn(w.stage(ctx, stage), &left); err != nil {
			return err
		}
	}
	for i, stage := range w.p.Deletions {
		if err := w.goesOn(w.prune(ctx, stage, w.p.Deletions[i+1:]), &left); err != nil {
			return err
		}
	}
	if len(left) > 0 {
		return errors.Join(left...)
	}
	return w.finish(ctx)
}

// prepareItems makes the inventory of the intent: what is there, and everything
// that is about to be, so that nothing that is made can be forgotten.
func (w *work) prepareItems() {
	w.items = make(map[gitops.ID]Item, len(w.s.items))
	for _, item := range w.s.items {
		w.items[item.ID] = item
	}
	for _, s := range w.p.Forgotten {
		delete(w.items, s.ID)
	}
	for _, s := range w.p.Kept {
		w.items[s.ID] = s.item
	}
	for _, stage := range w.p.Stages {
		for i := range stage.Steps {
			s := &stage.Steps[i]
			item := s.item
			if s.Action != Unchanged {
				item.Desired = "" // until it is applied
			}
			w.items[s.ID] = item
		}
	}
	for _, stage := range w.p.Deletions {
		for i := range stage.Steps {
			item := stage.Steps[i].item
			item.Desired = "" // it may be gone: whoever wants it again has to look
			w.items[item.ID] = item
		}
	}
}

func (w *work) inventory() ([]byte, error) {
	all := make([]Item, 0, len(w.items))
	for _, item := range w.items {
		all = append(all, item)
	}
	data, err := encodeInventory(all)
	w.s.items = all
	return data, err
}

// put registers blobs in the state, saves it, and stores them: in this order, so
// that a blob that nobody needs any more is found and dropped, whenever the
// process ended.
func (w *work) put(ctx context.Context, name string, blobs ...[]byte) error {
	for _, data := range blobs {
		if digest := digestOf(data); !slices.Contains(w.s.Blobs, digest) {
			w.s.Blobs = append(w.s.Blobs, digest)
		}
	}
	if err := w.a.save(ctx, w.s); err != nil {
		return err
	}
	w.a.at(name + "-registered")
	for _, data := range blobs {
		if err := w.a.store.PutSet(ctx, digestOf(data), data); err != nil {
			return err
		}
	}
	w.a.at(name + "-stored")
	return nil
}

// intend makes the decision durable, with all that is needed to carry it out.
func (w *work) intend(ctx context.Context) error {
	inventory, err := w.inventory()
	if err != nil {
		return err
	}
	if err := w.put(ctx, "intent", w.p.set.Bytes(), inventory); err != nil {
		return err
	}
	s, now := w.s, w.a.clock.Now()
	s.Inventory, s.Phase, s.Stage = digestOf(inventory), PhaseIntent, ""
	if !w.p.mode.decided() {
		s.Counter++
	}
	switch w.p.mode {
	case newRevision:
		s.Pin, s.Undo, s.Accepted = nil, nil, w.p.Revision
		s.write(now, Accepted, w.p.Revision, "", "")
	case rolledBack:
		s.Pin, s.Undo = w.p.pin, &Undo{s.Pin, s.Memory}
		s.write(now, RolledBack, w.p.Revision, "", fmt.Sprintf("from %.12s", s.Pin.Left.Commit))
	case returning:
		if s.Undo != nil {
			s.Pin, s.Memory, s.Undo = s.Undo.Pin, s.Undo.Memory, nil
		}
		s.write(now, Returned, w.p.Revision, w.p.cause.Code, fmt.Sprintf("from %.12s: %s", s.Current.Commit, w.p.cause.Why))
	}
	s.Current = w.p.Revision
	if w.p.memory != nil && !w.p.mode.decided() {
		s.Memory = w.p.memory
	}
	w.result.Counter = s.Counter
	if err := w.a.save(ctx, s); err != nil {
		return err
	}
	w.a.at("intent")
	return nil
}

// enter records the stage.
func (w *work) enter(ctx context.Context, name string) error {
	w.s.Phase, w.s.Stage = PhaseApplying, name
	if err := w.a.save(ctx, w.s); err != nil {
		return err
	}
	w.a.at(name)
	return nil
}

// stage applies one stage's objects.
func (w *work) stage(ctx context.Context, stage Stage) error {
	var write, established []*Step
	for i := range stage.Steps {
		s := &stage.Steps[i]
		if err := w.a.tell(w.p.Source, s); err != nil {
			return err
		}
		if s.Action != Unchanged {
			write = append(write, s)
			if isDefinition(s.ID) {
				established = append(established, s)
			}
		}
	}
	if len(write) == 0 {
		return nil
	}
	if err := w.enter(ctx, "apply-"+stage.Name); err != nil {
		return err
	}
	err := w.writeAll(ctx, write)
	if err != nil {
		return fmt.Errorf("apply %s: %w", stage.Name, err)
	}
	if err := w.established(ctx, established); err != nil {
		return err
	}
	w.a.at("applied-" + stage.Name)
	return nil
}

// writeAll applies objects. What was refused since something was not there is
// applied once more when the others of its stage are: a binding and its role.
func (w *work) writeAll(ctx context.Context, steps []*Step) error {
	var mu sync.Mutex
	var again []*Step
	write := func(steps []*Step, later func(*Step, error) bool) error {
		return w.all(ctx, len(steps), func(ctx context.Context, i int) error {
			err := w.apply(ctx, steps[i])
			if err == nil || later(steps[i], err) {
				return nil
			}
			_ = w.no.add(steps[i], err) // it stays an error of the stage
			return err
		})
	}
	err := write(steps, func(s *Step, err error) bool {
		if !w.p.waits(s, err) {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		again = append(again, s)
		return true
	})
	if err != nil {
		return err
	}
	return write(again, func(*Step, error) bool { return false })
}

// maxErrors is how many objects' errors one error holds.
const maxErrors = 20

// all runs fn for every object, whatever becomes of the others: they are written
// at the same time and one that fails says nothing about its neighbours.
func (w *work) all(ctx context.Context, n int, fn func(ctx context.Context, i int) error) error {
	var mu sync.Mutex
	var errs []error
	failed := 0
	err := w.a.each(ctx, n, func(ctx context.Context, i int) error {
		err := fn(ctx, i)
		if err == nil || ctx.Err() != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if failed++; failed <= maxErrors {
			errs = append(errs, err)
		}
		return nil
	})
	if failed > maxErrors {
		errs = append(errs, fmt.Errorf("and %d more", failed-maxErrors))
	}
	return errors.Join(append(errs, err)...)
}

// apply applies one object, and again while its kind is not served yet.
func (w *work) apply(ctx context.Context, s *Step) error {
	o, err := s.labelled(w.p.Source)
	if err != nil {
		return err
	}
	var live *gitops.Live
	err = retry(ctx, servedWithin, w.p.comes(s, func() (err error) {
		for range maxConflicts {
			live, err = w.a.target.Apply(ctx, o, gitops.ApplyOptions{})
			if !errors.Is(err, gitops.ErrConflict) {
				break
			}
		}
		return err
	}))
	if err != nil {
		return fmt.Errorf("%s: %s: %w", s.object.Where, s.ID, err)
	}
	w.a.keeper.Applied(o, live)
	item := s.item
	item.UID, item.ResourceVersion, item.Desired = live.UID, live.ResourceVersion, s.hash
	w.mu.Lock()
	w.items[s.ID] = item
	if s.Action == Create {
		w.result.Created++
	} else {
		w.result.Changed++
	}
	w.mu.Unlock()
	w.a.at("object")
	return nil
}

var errNotEstablished = errors.New("it is not established")

// established waits until the definitions are served.
func (w *work) established(ctx context.Context, steps []*Step) error {
	for _, s := range steps {
		why := ""
		err := retry(ctx, establishWithin, func() (bool, error) {
			ok, reason, err := w.a.target.Healthy(ctx, s.object)
			if why = reason; err != nil || ok {
				return false, err
			}
			return true, errNotEstablished
		})
		if errors.Is(err, errNotEstablished) {
			err = fmt.Errorf("%w (%w)", err, gitops.ErrInvalid) // the server answers, and does not take it
		}
		if err != nil {
			return fmt.Errorf("%s: wait for %s: %w: %s", s.object.Where, s.ID, err, why)
		}
	}
	return nil
}

// finish records what is there now, and forgets what nobody needs any more.
func (w *work) finish(ctx context.Context) error {
	for _, stage := range w.p.Stages {
		for i := range stage.Steps {
			if item := w.items[stage.Steps[i].ID]; item.Found {
				item.Found = false
				w.items[item.ID] = item
			}
		}
	}
	inventory, err := w.inventory()
	if err != nil {
		return err
	}
	if err := w.put(ctx, "record", inventory); err != nil {
		return err
	}
	s := w.s
	s.Inventory, s.Phase, s.Stage = digestOf(inventory), PhaseApplied, ""
	s.Applied, s.Objects, s.Undo = w.p.Revision, len(w.p.set.Objects()), nil
	if w.p.mode != sameRevision && s.Applied.Set != "" {
		s.write(w.a.clock.Now(), Applied, w.p.Revision, "", "")
	}
	if err := w.a.save(ctx, s); err != nil {
		return err
	}
	w.a.at("applied")
	return w.a.sweep(ctx, s)
}

// sweep drops the blobs that the state does not name.
func (a *Applier) sweep(ctx context.Context, s *State) error {
	named := func(d verdict.Digest) bool {
		return d == s.Inventory || d == s.Current.Set || d == s.Applied.Set ||
			slices.ContainsFunc(s.Good, func(r Revision) bool { return r.Set == d })
	}
	kept := s.Blobs[:0:0]
	for _, digest := range s.Blobs {
		if named(digest) {
			kept = append(kept, digest)
			continue
		}
		if err := a.store.DropSet(ctx, digest); err != nil {
			return err
		}
	}
	if len(kept) == len(s.Blobs) {
		return nil
	}
	a.at("dropped")
	s.Blobs = kept
	if err := a.save(ctx, s); err != nil {
		return err
	}
	a.at("swept")
	return nil
}

// retry calls try until it says that there is nothing to wait for, and returns
// its last error. It waits longer each time, and no longer than within.
func retry(ctx context.Context, within time.Duration, try func() (again bool, err error)) error {
	end := time.NewTimer(within)
	defer end.Stop()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		again, err := try()
		if !again {
			return err
		}
		next := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			next.Stop()
			return errors.Join(context.Cause(ctx), err)
		case <-end.C:
			next.Stop()
			return fmt.Errorf("after %s: %w", within, err)
		case <-next.C:
		}
	}
}
