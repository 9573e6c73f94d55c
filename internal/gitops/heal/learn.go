package heal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/gitops"
)

// explain takes out what the server adds to any object of this body, where that
// is not known yet: an object of the same body and another name is applied
// without making it, and what the answer holds is the server's. Admission
// plugins that act on creations only are found in no other way.
//
// Where that cannot be asked for, additions that are to be healed are removed, to
// see whether they come back. Those that are only to be reported count as the
// server's when nobody owns them; that record can be forged, and costs a report.
func (l *look) explain(ctx context.Context, live *gitops.Live, healing, leaving []finding) ([]finding, []finding, error) {
	isAdded := func(f finding) bool { return f.what == Added }
	if l.knows || !slices.ContainsFunc(healing, isAdded) && !slices.ContainsFunc(leaving, isAdded) {
		return healing, leaving, nil
	}
	l.knows = true
	usual, err := l.twin(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, nil, err
	}
	known := func(f finding) bool {
		if _, ok := usual[f.id]; !ok || !isAdded(f) {
			return false
		}
		l.accept(f)
		return true
	}
	healing = slices.DeleteFunc(healing, known)
	leaving = slices.DeleteFunc(leaving, func(f finding) bool {
		if known(f) {
			return true
		}
		if err == nil || !isAdded(f) || len(owners(live.Body, &f)) > 0 {
			return false
		}
		l.verified[f.id] = struct{}{}
		return true
	})
	return healing, leaving, nil
}

// accept notes that the difference is the server's.
func (l *look) accept(f finding) {
	l.verified[f.id] = struct{}{}
	if f.general != 0 {
		l.generals[f.general] = struct{}{}
	}
}

// remove takes away what Git does not set. What is there again in the answer is
// the server's: nobody else had a say in it.
func (l *look) remove(ctx context.Context, live *gitops.Live, added []finding) (*gitops.Live, error) {
	patch, err := removal(live.ResourceVersion, added)
	if err != nil {
		return nil, err
	}
	after, err := l.target.Patch(ctx, l.e.id, l.o.Version, patch)
	if errors.Is(err, gitops.ErrInvalid) {
		return l.removeEach(ctx, live, added, err)
	}
	if err != nil {
		return nil, err
	}
	return after, l.learned(after, live)
}

// learned notes what the answer to a removal still has.
func (l *look) learned(after, before *gitops.Live) error {
	if after.ResourceVersion != before.ResourceVersion {
		l.wrote = true
	}
	healing, _ := l.judge(after)
	for _, f := range healing {
		if f.what != Added {
			return fmt.Errorf("%w: %s", gitops.ErrConflict, f.path())
		}
		l.accept(f)
	}
	return nil
}

// maxSingles bounds the requests for an object of which parts cannot be removed.
const maxSingles = 64

// removeEach removes what can be removed. For the rest, another object of the
// same body is asked for, without making it: what the server adds to that one
// too belongs there. What is left then was made by somebody, and stands where
// nothing can be changed: the object is replaced.
func (l *look) removeEach(ctx context.Context, live *gitops.Live, added []finding, why error) (*gitops.Live, error) {
	var refused []finding
	for i, f := range added { // in the order of removal: positions hold
		if i == maxSingles || len(added) == 1 {
			refused = append(refused, added[i:]...)
			break
		}
		patch, err := removal(live.ResourceVersion, []finding{f})
		if err != nil {
			return nil, err
		}
		after, err := l.target.Patch(ctx, l.e.id, l.o.Version, patch)
		if errors.Is(err, gitops.ErrInvalid) {
			refused, why = append(refused, f), err
			continue
		}
		if err != nil {
			return nil, err
		}
		if after.ResourceVersion != live.ResourceVersion {
			l.wrote = true
		} else {
			l.verified[f.id] = struct{}{}
		}
		live = after
	}
	usual, err := l.twin(ctx)
	if err != nil && !errors.Is(err, gitops.ErrInvalid) && !errors.Is(err, gitops.ErrForbidden) {
		return nil, err
	}
	foreign := slices.DeleteFunc(refused, func(f finding) bool {
		_, ok := usual[f.id]
		if ok {
			l.accept(f)
		}
		return ok
	})
	if len(foreign) == 0 {
		return live, nil
	}
	after, err := l.replace(ctx, live, why)
	if err != nil {
		return nil, err
	}
	if !after.Made {
		return nil, fmt.Errorf("%w: somebody made it first", gitops.ErrConflict)
	}
	// What is in the answer to our own creation is the server's.
	return after, l.learned(after, &gitops.Live{})
}

// errNoTwin is why nothing is learned from another object: it is there, and somebody
// may have made it for us to learn from.
var errNoTwin = fmt.Errorf("%w: there is an object of the name that is asked about", gitops.ErrInvalid)

// twin returns what the server makes of another object with the same body.
func (l *look) twin(ctx context.Context) (map[sum]struct{}, error) {
	body, err := copied(l.o.Body)
	if err != nil {
		return nil, err
	}
	meta := body["metadata"].(map[string]any)
	suffix := "-apex-" + strings.ToLower(rand.Text()[:12]) // nobody can have made one of that name
	meta["name"] = l.o.Name[:min(len(l.o.Name), 63-len(suffix))] + suffix
	o, err := gitops.NewObject(body, l.o.Where)
	if err != nil {
		return nil, err
	}
	live, err := l.target.Apply(ctx, &o, gitops.ApplyOptions{DryRun: true})
	if err != nil {
		return nil, err
	}
	if !live.Made {
		return nil, errNoTwin
	}
	usual := map[sum]struct{}{}
	for _, f := range compare(l.hash, &o, live.Body) {
		usual[f.id] = struct{}{}
	}
	return usual, nil
}
