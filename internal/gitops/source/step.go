package source

import (
	"context"
	"path"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/follow"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/verdict"
)

// The steps that the follower takes with a commit: see [follow.Steps].

func (s *Source) render(ctx context.Context, commit string) (*gitops.Set, error) {
	scopes := scopes{ask: s.place.scope, known: map[string][2]bool{}}
	o := render.Options{
		Namespace: s.spec.Namespace, Namespaced: scopes.namespaced(ctx), MaxObjects: int(s.spec.Quota.Objects), Resolve: s.o.Resolve,
		Namespaces: []string{"*"}, Cache: s.rendered,
	}
	var warnings []render.Warning
	o.Warn = func(w render.Warning) { warnings = append(warnings, w) }
	if c := s.spec.Target.Cluster; c != nil {
		o.Namespaces = c.Namespaces
	}
	if l := s.spec.Target.Lambda; l != nil {
		o.Account, o.Region = l.Account, l.Region
	}
	set, err := s.origin.set(ctx, commit, o)
	s.mu.Lock()
	s.warnings = warnings
	s.mu.Unlock()
	if scopes.err != nil {
		return nil, scopes.err // what was rendered, or refused, may be wrong
	}
	if err != nil {
		return nil, refusal(err)
	}
	if err := s.admitKinds(set); err != nil {
		return nil, err
	}
	if err := readModes(set); err != nil {
		return nil, err
	}
	return s.segmented(set)
}

// readModes refuses an object whose own mode of healing cannot be read: it would
// count as the source's.
func readModes(set *gitops.Set) error {
	objects := set.Objects()
	for i := range objects {
		if _, err := heal.ModeOf(&objects[i]); err != nil {
			return &follow.Refused{Step: "render", Code: verdict.ObjectInvalid, Where: objects[i].Where, Why: err.Error()}
		}
	}
	return nil
}

// dir is the path within the repository, as fs.FS names it; "" is all of it.
func (s *Source) dir() string {
	if p := path.Clean(s.spec.Path); p != "." {
		return p
	}
	return ""
}

func (s *Source) gate(ctx context.Context, commit string, set *gitops.Set) (verdict.Report, error) {
	files, err := s.origin.files(ctx, commit, set)
	if err != nil {
		return verdict.Report{}, err
	}
	return s.o.Gate(ctx, Revision{Source: s.name, Commit: commit, Tree: files, Set: set})
}

// judged is the gate, and after it the people who have to agree on changes of
// policies: what may not be deployed at all is told first.
func (s *Source) judged(ctx context.Context, commit string, set *gitops.Set) (verdict.Report, error) {
	report, err := s.gate(ctx, commit, set)
	if err != nil || follow.Judge(&report) != nil {
		return report, err
	}
	return report, s.agreed(ctx, commit, set)
}

func (s *Source) plan(ctx context.Context, commit string, set *gitops.Set, look apply.Look) (*apply.Plan, error) {
	s.mu.Lock()
	p := s.proofs[commit]
	s.mu.Unlock()
	return s.applier.Plan(ctx, apply.Request{
		Source: s.limits(), Set: set, Commit: commit, After: p.after, Memory: p.memory, AllowPrune: p.allowPrune, Look: look,
	})
}

func (s *Source) apply(ctx context.Context, commit string, set *gitops.Set) (follow.Applied, error) {
	if err := s.origin.accept(commit); err != nil {
		return follow.Applied{}, err
	}
	if err := s.enter(ctx, commit, set); err != nil {
		return follow.Applied{}, err
	}
	plan, err := s.plan(ctx, commit, set, apply.LookChanged)
	if err != nil {
		return follow.Applied{}, refusal(err)
	}
	if err := s.shift(ctx, commit, set, false); err != nil {
		return follow.Applied{}, err
	}
	done, err := s.applier.Apply(ctx, plan)
	if err != nil {
		return follow.Applied{}, refusal(err)
	}
	s.counter.Store(done.Counter)
	s.publisher.wake()
	s.mu.Lock()
	clear(s.proofs)
	s.mu.Unlock()
	return s.held(ctx)
}

func (s *Source) held(ctx context.Context) (follow.Applied, error) {
	state, err := s.applier.Load(ctx, s.name)
	if err != nil {
		return follow.Applied{}, err
	}
	a := follow.Applied{Commit: state.Applied.Commit, Set: state.Applied.Set, Counter: state.Counter, Objects: state.Objects}
	if state.Unfinished() {
		a.Commit = "" // it is not what the target holds until it is whole
	}
	if state.Pin != nil {
		a.Held = state.Pin.Left.Commit
	}
	return a, nil
}

func (s *Source) record(ctx context.Context, e follow.Event) error {
	if e.Refused != nil {
		// The journal beside the target says it too, for whoever only has that.
		r := apply.Revision{Commit: e.Commit, Set: e.Set}
		if err := s.applier.Refuse(ctx, s.name, r, e.Refused.Code, e.Refused.Why); err != nil {
			return err
		}
	}
	return s.o.Record(ctx, RecordRevision, e)
}

// limits are what the source may do.
func (s *Source) limits() apply.Source {
	l := apply.Source{Name: s.name, Tenant: s.place.tenant, MaxObjects: int(s.spec.Quota.Objects)}
	if n := s.spec.Prune.MaxObjects; n != nil {
		l.MaxDeletions = new(int(*n))
	}
	if n := s.spec.Prune.MaxPercent; n != nil {
		l.MaxPercent = new(int(*n))
	}
	return l
}
