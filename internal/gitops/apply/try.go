package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// decisions are the errors by which a target says no, and the codes of what it
// says no to. Any other error may be gone the next time.
var decisions = [...]struct {
	err  error
	code verdict.Code
}{
	{gitops.ErrInvalid, verdict.ApplyInvalid},
	{gitops.ErrForbidden, verdict.ApplyForbidden},
	{gitops.ErrUnknownKind, verdict.ApplyUnserved},
	{gitops.ErrNotFound, verdict.ApplyMissing},
}

// decision returns the code of an error by which the target says no.
func decision(err error) (verdict.Code, bool) {
	for _, d := range decisions {
		if errors.Is(err, d.err) {
			return d.code, true
		}
	}
	return "", false
}

// maxSaid is how many of the target's answers one refusal repeats; the other
// objects are named.
const maxSaid = 5

// refusals gathers what a target says no to. It is safe for concurrent use.
type refusals struct {
	mu  sync.Mutex
	all []refused
}

type refused struct {
	object *gitops.Object
	code   verdict.Code
	why    string
}

// add takes an error that is a decision of the target about the step's object,
// and returns any other.
func (r *refusals) add(s *Step, err error) error {
	code, is := decision(err)
	if !is {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, refused{s.object, code, err.Error()})
	return nil
}

// refusal returns all of them as one, in the order of the objects, with the code
// of the first; nil when there are none.
func (r *refusals) refusal() error {
	if len(r.all) == 0 {
		return nil
	}
	slices.SortFunc(r.all, func(a, b refused) int { return compareIDs(a.object.ID, b.object.ID) })
	out := refuse(r.all[0].code, "")
	var said []string
	for i, one := range r.all {
		out.about(one.object)
		if i < maxSaid {
			said = append(said, one.why)
		}
	}
	if more := len(r.all) - maxSaid; more > 0 {
		said = append(said, fmt.Sprintf("and %d more", more))
	}
	out.Why = strings.Join(said, "; ")
	return out
}

// try asks the target whether it would take the object, without effect.
func (a *Applier) try(ctx context.Context, o *gitops.Object) (live *gitops.Live, err error) {
	for range maxConflicts {
		live, err = a.target.Apply(ctx, o, gitops.ApplyOptions{DryRun: true})
		if !errors.Is(err, gitops.ErrConflict) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", o.Where, o.ID, err)
	}
	return live, nil
}

// tryAll asks about every object that would be made or changed, before anything
// is decided. What needs something that the set itself makes is asked about once
// that is there; see [work.tryLater].
func (a *Applier) tryAll(ctx context.Context, p *Plan) error {
	var steps []*Step
	spaces := p.newNamespaces()
	for _, stage := range p.Stages {
		for i := range stage.Steps {
			s := &stage.Steps[i]
			switch {
			case s.Action == Unchanged || s.tried:
			case s.redefined || spaces[s.Namespace]:
				s.later = true
			default:
				steps = append(steps, s)
			}
		}
	}
	return a.tries(ctx, p, steps, 0)
}

// tries asks about the steps and refuses together what the target refuses. A
// kind that the set defines is waited for, no longer than within.
func (a *Applier) tries(ctx context.Context, p *Plan, steps []*Step, within time.Duration) error {
	all := &refusals{}
	err := a.each(ctx, len(steps), func(ctx context.Context, i int) error {
		s := steps[i]
		o, err := s.labelled(p.Source)
		if err != nil {
			return err
		}
		if within == 0 {
			_, err = a.try(ctx, o)
		} else {
			err = retry(ctx, within, p.comes(s, func() error {
				_, err := a.try(ctx, o)
				return err
			}))
		}
		switch {
		case err == nil:
			s.tried = true
			return nil
		case p.waits(s, err):
			s.later = true
			return nil
		}
		return all.add(s, err)
	})
	if err != nil {
		return err
	}
	return all.refusal()
}

// settles is how often an object is tried whose definition was just changed: in
// pauses that double from 20 ms, that is 3 s. A server goes on with the old schema
// for some 100 ms, and says that the object breaks it.
const settles = 9

// comes makes a try into one that is repeated while the kind, or its new schema,
// is not served yet.
func (p *Plan) comes(s *Step, try func() error) func() (again bool, err error) {
	refused := 0
	return func() (bool, error) {
		err := try()
		if s.redefined && errors.Is(err, gitops.ErrInvalid) {
			if refused++; refused == settles {
				p.settled.Store(true) // for all: they are not waited for one by one
			}
			return !p.settled.Load(), err
		}
		return p.soon(s.Group, s.Kind, err), err
	}
}

// newNamespaces are those that the set makes.
func (p *Plan) newNamespaces() map[string]bool {
	names := map[string]bool{}
	for _, stage := range p.Stages {
		if stage.number != namespaces {
			break
		}
		for i := range stage.Steps {
			if s := &stage.Steps[i]; s.Action == Create {
				names[s.Name] = true
			}
		}
	}
	return names
}

// waits says whether the target says no only because something is missing that
// the set makes: a ServiceAccount of a Pod, the Role of a binding. The answer has
// to name it, and the object has to refer to it.
func (p *Plan) waits(s *Step, err error) bool {
	if !errors.Is(err, gitops.ErrNotFound) && !errors.Is(err, gitops.ErrForbidden) {
		return false
	}
	said := err.Error()
	for _, stage := range p.Stages {
		for i := range stage.Steps {
			made := &stage.Steps[i]
			if made.Action == Create && made.ID != s.ID && says(said, made.Name) && refersTo(s.object.Body, made.Name) {
				return true
			}
		}
	}
	return false
}

// says whether a text has the name as a word of its own: "reader" is none of
// "a-reader".
func says(text, name string) bool {
	part := func(at int) bool { // of a longer name
		return at >= 0 && at < len(text) && (text[at] == '-' || text[at] == '.' || text[at] >= '0' && text[at] <= '9' || text[at] >= 'a' && text[at] <= 'z')
	}
	for from := 0; ; {
		at := strings.Index(text[from:], name)
		if at < 0 {
			return false
		}
		if at += from; !part(at-1) && !part(at+len(name)) {
			return true
		}
		from = at + 1
	}
}

// refersTo says whether a value, or one within it, is the name.
func refersTo(v any, name string) bool {
	switch v := v.(type) {
	case string:
		return v == name
	case map[string]any:
		for _, inner := range v {
			if refersTo(inner, name) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(inner any) bool { return refersTo(inner, name) })
	}
	return false
}
