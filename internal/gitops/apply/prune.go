package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// fate is what becomes of an object that left Git.
type fate uint8

const (
	stays   fate = iota // and the inventory keeps it, with the reason
	goes                // it is deleted
	dropped             // it is not there, or is another object: the inventory forgets it
)

// judge decides about an object that is in the inventory and not in the set. live
// is what the target holds under its name, nil for nothing. It is deleted only
// when the inventory, the UID and the label all say that it is the source's.
func judge(item *Item, live *gitops.Live, source string) (fate, string) {
	if live == nil {
		return dropped, "it is not there any more"
	}
	label := gitops.SourceOf(live.Body)
	switch {
	case item.UID != "" && live.UID != item.UID:
		return dropped, "somebody made it anew"
	case label == "":
		return stays, "its label is gone: it is not clear whose it is"
	case label != source:
		return stays, "its label names another source"
	case item.Found:
		return stays, "it was there before, and no revision that holds it was applied whole"
	case item.Prune == "never":
		return stays, "its annotation " + AnnotationPrune + " said never"
	case guarded(item.ID) && item.Prune != "allow":
		return stays, fmt.Sprintf("a %s is deleted only when its annotation %s said allow", item.Kind, AnnotationPrune)
	}
	return goes, ""
}

// planDeletions judges what is left of the inventory and refuses too much.
func (a *Applier) planDeletions(ctx context.Context, p *Plan, source *Source, left map[gitops.ID]*Item, allowed bool) error {
	var candidates []Step
	for id, item := range left {
		candidates = append(candidates, Step{ID: id, item: *item})
	}
	slices.SortFunc(candidates, func(a, b Step) int { return compareIDs(a.ID, b.ID) })
	fates := make([]fate, len(candidates))
	err := a.each(ctx, len(candidates), func(ctx context.Context, i int) error {
		s := &candidates[i]
		live, err := a.get(ctx, s.ID, s.item.Version)
		if err != nil {
			return err
		}
		if fates[i], s.Why = judge(&s.item, live, p.Source); live != nil {
			s.item.UID, s.item.ResourceVersion = live.UID, live.ResourceVersion
		}
		return nil
	})
	if err != nil {
		return err
	}
	byStage := map[int][]Step{}
	for i, s := range candidates {
		switch fates[i] {
		case dropped:
			s.Action = Forget
			p.Forgotten = append(p.Forgotten, s)
		case stays:
			s.Action, s.item.Kept = Keep, s.Why
			p.Kept = append(p.Kept, s)
		case goes:
			s.Action = Delete
			byStage[stageOf(s.ID)] = append(byStage[stageOf(s.ID)], s)
			p.Deleted++
		}
	}
	for _, n := range slices.SortedFunc(maps.Keys(byStage), func(a, b int) int { return cmp.Compare(b, a) }) {
		p.Deletions = append(p.Deletions, Stage{stageNames[n], byStage[n], n})
	}
	if allowed {
		return nil
	}
	owned := 0
	for i := range p.state.items {
		if p.state.items[i].Kept == "" {
			owned++
		}
	}
	if r := tooMany(p.Deleted, owned, source); r != nil {
		for _, stage := range p.Deletions {
			for _, s := range stage.Steps {
				r.name(s.ID)
			}
		}
		return r
	}
	return nil
}

// tooMany refuses more deletions than a mistake may make.
func tooMany(deletions, owned int, source *Source) *Refusal {
	most, percent := source.deletions()
	switch {
	case deletions > most:
		return refuse(verdict.ApplyPruneLimit, "it deletes %d objects, at most %d may be", deletions, most)
	case deletions*100 > owned*percent:
		return refuse(verdict.ApplyPruneLimit, "it deletes %d of %d objects, at most %d %% may be", deletions, owned, percent)
	}
	return nil
}

// get returns nil for what is not there.
func (a *Applier) get(ctx context.Context, id gitops.ID, version string) (*gitops.Live, error) {
	live, err := a.target.Get(ctx, id, version)
	if errors.Is(err, gitops.ErrNotFound) || errors.Is(err, gitops.ErrUnknownKind) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", id, err)
	}
	return live, nil
}

// prune deletes one stage's objects, after looking at each once more.
func (w *work) prune(ctx context.Context, stage Stage, later []Stage) error {
	if err := w.enter(ctx, "prune-"+stage.Name); err != nil {
		return err
	}
	err := w.all(ctx, len(stage.Steps), func(ctx context.Context, i int) error {
		return w.delete(ctx, &stage.Steps[i], len(later) > 0)
	})
	if err != nil {
		return fmt.Errorf("prune %s: %w", stage.Name, err)
	}
	w.a.at("pruned-" + stage.Name)
	return nil
}

func (w *work) delete(ctx context.Context, s *Step, wait bool) error {
	w.a.keeper.Forget(s.ID)
	item, kept := s.item, ""
	for attempt := 1; ; attempt++ {
		err := w.a.target.Delete(ctx, s.ID, item.Version, gitops.Precondition{UID: item.UID, ResourceVersion: item.ResourceVersion})
		if err == nil {
			break
		}
		if !errors.Is(err, gitops.ErrConflict) || attempt == maxConflicts {
			return fmt.Errorf("%s: %w", s.ID, err)
		}
		// It is another one than was looked at.
		live, err := w.a.get(ctx, s.ID, item.Version)
		if err != nil {
			return err
		}
		f, why := judge(&item, live, w.p.Source)
		if f == dropped {
			break
		}
		if f == stays {
			kept = why
			break
		}
		item.ResourceVersion = live.ResourceVersion
	}
	if wait && kept == "" {
		// What comes after takes the kind or the namespace away, which must not
		// happen while finalizers still need it.
		err := retry(ctx, goneWithin, func() (bool, error) {
			live, err := w.a.get(ctx, s.ID, item.Version)
			if err != nil || live == nil || live.UID != item.UID {
				return false, err
			}
			return true, errors.New("its finalizers have not ended")
		})
		if err != nil {
			return fmt.Errorf("wait until %s is gone: %w", s.ID, err)
		}
	}
	w.mu.Lock()
	if kept != "" {
		item.Kept = kept
		w.items[s.ID] = item
		w.result.Kept++
	} else {
		delete(w.items, s.ID)
		w.result.Deleted++
	}
	w.mu.Unlock()
	w.a.at("object")
	return nil
}
