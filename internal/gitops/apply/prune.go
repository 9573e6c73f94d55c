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
		p.Deletions = append(p.Deletions, Stage{stageNames[n], byStage[n]})
	}
	if allowed || p.resume {
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
