package apply

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// Action is what happens to an object.
type Action string

// The actions.
const (
	Create    Action = "create"
	Change    Action = "change"
	Unchanged Action = "unchanged"
	Delete    Action = "delete"
	Keep      Action = "keep"   // it left Git and stays; Step.Why says why
	Forget    Action = "forget" // it left Git and is gone, or is another object now
)

// Step is one object of a plan.
type Step struct {
	Action Action
	gitops.ID
	// Fields that change; empty for the other actions, and where the target was
	// not asked.
	Fields []Field
	Why    string // of Keep and Forget

	object *gitops.Object // as the set has it; nil for what left Git
	hash   string
	item   Item // what the inventory says, or would
	tried  bool // the target was asked, and would take it
	later  bool // it cannot be tried before what it needs is there
	// redefined: the set makes or changes the definition of its kind.
	redefined bool
}

// labelled returns the object as it is applied. It is made when it is needed, and
// not kept: a plan of thousands would hold all of them twice.
func (s *Step) labelled(source string) (*gitops.Object, error) {
	o, err := gitops.Labelled(*s.object, source)
	return &o, err
}

// Stage are objects that are written at the same time.
type Stage struct {
	Name  string
	Steps []Step

	number int
}

// Look says how much of a target a plan looks at.
type Look uint8

// The looks.
const (
	// LookAll compares every object with what the target holds and asks it for
	// the fields that would change.
	LookAll Look = iota
	// LookChanged takes an object as unchanged when the same was applied before:
	// the healer holds it. A commit that changes one of thousands of objects then
	// costs a few requests.
	LookChanged
)

// Request is what a plan is made for.
type Request struct {
	Source Source
	Set    *gitops.Set
	// Commit that the set was rendered from.
	Commit string
	// After is the commit that Commit was proved to descend from: that of
	// State.Accepted, "" for the first. It binds the proof to the state that it
	// was made for. A Commit that is accepted already needs none.
	After string
	// Memory is kept as [State.Memory] once the commit is accepted; nil keeps
	// what is there.
	Memory json.RawMessage
	// AllowPrune says that the commit carries the signed trailer for deletions
	// beyond the bounds.
	AllowPrune bool
	Look       Look
}

// Plan is what an apply would do. Its stages are in order, deletions as well.
type Plan struct {
	Source   string
	Revision Revision
	Stages   []Stage
	// Deletions run after the stages. Kept left Git and stay, Forgotten left Git
	// and are not ours, or not there, any more.
	Deletions       []Stage
	Kept, Forgotten []Step
	// How many of each there are.
	Created, Changed, Unchanged, Deleted int

	state  *State
	set    *gitops.Set
	mode   mode
	pin    *Pin     // of a rollback
	cause  *Refusal // of a return
	memory json.RawMessage
	// kinds are those that the set itself defines.
	kinds   map[groupKind]definition
	settled atomic.Bool // changed definitions are served by now
}

// mode says what a plan decides.
type mode uint8

const (
	newRevision   mode = iota
	sameRevision       // what the target is to hold already is put right
	resumed            // what was decided before is finished
	rolledBack         // a person goes back
	returning          // the target refused: the revision before holds again
	resumedReturn      // a return that is finished
)

// decided says that the revision was decided on before.
func (m mode) decided() bool { return m == sameRevision || m == resumed || m == resumedReturn }

// Empty says that the target holds the revision already and remembers it.
func (p *Plan) Empty() bool {
	return p.Created+p.Changed+p.Deleted == 0 && len(p.Forgotten) == 0 && p.state.Phase == PhaseApplied &&
		p.state.Current == p.Revision && p.state.Applied == p.Revision
}

// Plan says what applying the set would do, and writes nothing. The error is a
// [*Refusal] when it must not be applied: by our own bounds, or since the target,
// which is asked about every object that would be made or changed, would not take
// one of them.
func (a *Applier) Plan(ctx context.Context, r Request) (*Plan, error) {
	if err := gitops.CheckSource(r.Source.Name); err != nil {
		return nil, err
	}
	if r.Set == nil || r.Commit == "" || len(r.Commit) > maxCommit {
		return nil, errors.New("plan: a set and the name of its commit are needed")
	}
	state, err := a.Load(ctx, r.Source.Name)
	if err != nil {
		return nil, err
	}
	p := &Plan{Source: r.Source.Name, Revision: Revision{r.Commit, r.Set.Digest()}, state: state, set: r.Set, memory: r.Memory}
	if p.Revision == state.Current && !state.Unfinished() {
		p.mode = sameRevision
	} else if err := follows(state, r.Commit, r.After); err != nil {
		return nil, err
	}
	if len(r.Set.Objects()) == 0 {
		return nil, refuse(verdict.ApplyEmpty, "commit %.12s renders to nothing", r.Commit)
	}
	if refused := r.Source.admit(r.Set.Objects()); refused != nil {
		return nil, refused
	}
	if err := a.fill(ctx, p, &r.Source, r.Look, r.AllowPrune); err != nil {
		return nil, err
	}
	return p, a.tryAll(ctx, p)
}

// follows refuses a revision that is not the accepted one or a descendant of it.
func follows(s *State, commit, after string) error {
	switch {
	case s.Pin != nil && commit == s.Pin.Left.Commit:
		return refuse(verdict.ApplyPinned, "commit %.12s was rolled back from", commit)
	case commit == s.Accepted.Commit && s.Pin == nil:
		return nil
	case after != s.Accepted.Commit:
		return refuse(verdict.ApplyStale, "commit %.12s was proved to follow %q, accepted is %q", commit, after, s.Accepted.Commit)
	}
	return nil
}

// fill looks at the target and works the steps out.
func (a *Applier) fill(ctx context.Context, p *Plan, source *Source, look Look, allowPrune bool) error {
	objects := p.set.Objects()
	items := make(map[gitops.ID]*Item, len(p.state.items))
	for i := range p.state.items {
		items[p.state.items[i].ID] = &p.state.items[i]
	}
	p.kinds = definedKinds(objects)
	if r := p.unserved(objects); r != nil {
		return r
	}
	steps, err := a.prepare(p.Source, objects, items, look)
	if err != nil {
		return err
	}
	if err := a.look(ctx, p, steps, items, look); err != nil {
		return err
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Compare(stageOf(a.ID), stageOf(b.ID)) })
	from := 0
	for i := range steps {
		s := &steps[i]
		switch s.Action {
		case Create:
			p.Created++
		case Change:
			p.Changed++
		case Unchanged:
			p.Unchanged++
		}
		delete(items, s.ID)
		if n := stageOf(s.ID); i == len(steps)-1 || stageOf(steps[i+1].ID) != n {
			p.Stages = append(p.Stages, Stage{stageNames[n], steps[from : i+1], n})
			from = i + 1
		}
	}
	p.markRedefined()
	return a.planDeletions(ctx, p, source, items, allowPrune)
}

// prepare makes the steps as far as the inventory says: what was applied as it is
// desired is Unchanged, everything else has to be looked at and has no action yet.
func (a *Applier) prepare(source string, objects []gitops.Object, items map[gitops.ID]*Item, look Look) ([]Step, error) {
	steps := make([]Step, len(objects))
	foreign := refuse(verdict.ApplyOwned, "the label %s names another source", gitops.LabelSource)
	for i := range objects {
		labelled, err := gitops.Labelled(objects[i], source)
		if errors.Is(err, gitops.ErrForbidden) {
			foreign.about(&objects[i])
			continue
		}
		if err != nil {
			return nil, err
		}
		hash, err := hashOf(labelled.Body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", labelled.ID, err)
		}
		s := Step{ID: labelled.ID, object: &objects[i], hash: hash}
		s.item = Item{Owned: gitops.Owned{ID: labelled.ID, Version: labelled.Version}, Prune: pruneOf(labelled.Body)}
		if was := items[s.ID]; was != nil {
			s.item.UID, s.item.ResourceVersion, s.item.Desired, s.item.Found = was.UID, was.ResourceVersion, was.Desired, was.Found
			if look == LookChanged && was.UID != "" && was.Kept == "" && was.Desired == hash && was.Version == labelled.Version {
				s.Action = Unchanged
			}
		}
		steps[i] = s
	}
	if len(foreign.Objects) > 0 {
		return nil, foreign
	}
	return steps, nil
}

// manyOfAKind is from how many objects of a kind on one listing is cheaper than
// a request for each.
const manyOfAKind = 10

// look decides the steps that have no action yet.
func (a *Applier) look(ctx context.Context, p *Plan, steps []Step, items map[gitops.ID]*Item, look Look) error {
	held, listed, err := a.list(ctx, p, steps)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	foreign := refuse(verdict.ApplyOwned, "the target holds these for other sources")
	unserved := refuse(verdict.ApplyUnserved, "")
	var unseen refusals // what may not even be looked at
	err = a.each(ctx, len(steps), func(ctx context.Context, i int) error {
		s := &steps[i]
		if s.Action != "" {
			return nil
		}
		there, live, err := a.present(ctx, p, s, held, listed[kindOf(s)], look)
		if errors.Is(err, gitops.ErrUnknownKind) {
			mu.Lock()
			unserved.about(s.object)
			mu.Unlock()
			return nil
		}
		if err != nil || there == nil {
			s.Action = Create
			return unseen.add(s, err)
		}
		was := items[s.ID]
		ours := was != nil && was.UID == there.UID
		if there.Source != "" && there.Source != p.Source && !ours {
			mu.Lock()
			foreign.about(s.object)
			mu.Unlock()
			return nil
		}
		same := ours && was.Kept == "" && was.Desired == s.hash
		s.item.UID, s.item.ResourceVersion = there.UID, there.ResourceVersion
		if was == nil {
			s.item.Found = true
		}
		if look == LookChanged {
			s.Action = Change
			return nil
		}
		return a.compare(ctx, p, s, live, same)
	})
	switch {
	case err != nil:
		return err
	case len(unserved.Objects) > 0:
		return a.served(ctx, unserved, steps)
	case len(foreign.Objects) > 0:
		return foreign
	}
	return unseen.refusal()
}

// compare says whether the target has to be written, and what that changes.
func (a *Applier) compare(ctx context.Context, p *Plan, s *Step, live *gitops.Live, same bool) error {
	o, err := s.labelled(p.Source)
	if err != nil {
		return err
	}
	s.Action = Unchanged
	if same && covers(live.Body, o.Body) {
		return nil
	}
	// The target knows its defaults and what it takes for equal.
	dry, err := a.try(ctx, o)
	if _, no := decision(err); no {
		s.Action = Change // tryAll says whether that is all there is to say
		return nil
	}
	if err != nil {
		return err
	}
	s.tried = true
	s.Fields = Diff(s.ID, live.Body, dry.Body)
	if len(s.Fields) > 0 || !same {
		s.Action = Change
	}
	return nil
}

func kindOf(s *Step) gitops.Kind {
	return gitops.Kind{Group: s.Group, Version: s.object.Version, Kind: s.Kind}
}

// list asks a target that can for the kinds of which many have to be looked at.
func (a *Applier) list(ctx context.Context, p *Plan, steps []Step) (held map[gitops.ID]gitops.Held, listed map[gitops.Kind]bool, err error) {
	lister, ok := gitops.As[gitops.Lister](a.target)
	if !ok {
		return nil, nil, nil
	}
	count := map[gitops.Kind]int{}
	wanted := map[gitops.ID]bool{}
	for i := range steps {
		if steps[i].Action == "" {
			count[kindOf(&steps[i])]++
			wanted[steps[i].ID] = true
		}
	}
	held, listed = map[gitops.ID]gitops.Held{}, map[gitops.Kind]bool{}
	for kind, n := range count {
		if n < manyOfAKind {
			continue
		}
		err := lister.List(ctx, kind, func(h gitops.Held) {
			if wanted[h.ID] {
				held[h.ID] = h
			}
		})
		switch {
		case err == nil || p.soon(kind.Group, kind.Kind, err):
			listed[kind] = true
		case !errors.Is(err, gitops.ErrForbidden) && !errors.Is(err, gitops.ErrUnknownKind): // then each is asked for
			return nil, nil, fmt.Errorf("list %s: %w", kind.Kind, err)
		}
	}
	return held, listed, nil
}

// soon says that a kind is not served yet, and will be when the set's own
// definitions are applied. Of such a kind there is nothing. One that neither the
// target nor the set defines stops the plan.
func (p *Plan) soon(group, kind string, err error) bool {
	return errors.Is(err, gitops.ErrUnknownKind) && p.defines(group, kind)
}

// present returns what the target holds of the step's object: nil when nothing.
// The body comes with it when all is looked at.
func (a *Applier) present(ctx context.Context, p *Plan, s *Step, held map[gitops.ID]gitops.Held, listed bool, look Look) (*gitops.Held, *gitops.Live, error) {
	if listed {
		h, ok := held[s.ID]
		if !ok {
			return nil, nil, nil
		}
		if look == LookChanged {
			return &h, nil, nil
		}
	}
	live, err := a.target.Get(ctx, s.ID, s.object.Version)
	switch {
	case errors.Is(err, gitops.ErrNotFound) || p.soon(s.Group, s.Kind, err):
		return nil, nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("%s: look at %s: %w", s.object.Where, s.ID, err)
	}
	return &gitops.Held{ID: s.ID, UID: live.UID, ResourceVersion: live.ResourceVersion, Source: gitops.SourceOf(live.Body)}, live, nil
}

// each runs fn for 0…n-1 with as many workers as there are, and ends with the
// first error or the context.
func (a *Applier) each(ctx context.Context, n int, fn func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(a.workers, n) {
		wg.Go(func() {
			for i := range next {
				if err := fn(ctx, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}
