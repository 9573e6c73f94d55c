package controller

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/source"
	"github.com/apexlogic/apex/verdict"
)

// followedSource is a source that runs here, and who may take it back.
type followedSource struct {
	*source.Source
	operator *source.Operator // nil: nobody
}

// followedSources are those of the leader, by name. It is safe for concurrent use.
type followedSources struct {
	mu  sync.Mutex
	all map[string]followedSource
}

func (f *followedSources) get(name string) (followedSource, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.all[name]
	return s, ok
}

func (f *followedSources) put(s followedSource) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[string]followedSource{}
	}
	f.all[s.Name()] = s
}

func (f *followedSources) remove(s *source.Source) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all[s.Name()].Source == s {
		delete(f.all, s.Name())
	}
}

// operatorKey is the key by which Apex itself rolls sources back. All replicas
// share it, since each may lead.
func (c *controller) operatorKey(ctx context.Context) (crypto.Signer, error) {
	text, err := c.sharedKey(ctx, "apex-operator")
	if err != nil {
		return nil, err
	}
	seed, err := hex.DecodeString(text)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed[:ed25519.SeedSize]), nil
}

// rollBack takes the source that the object belongs to back to its last healthy
// revision whose images and models still comply. Left says that it has; else, and
// without an error, what is applied complies, and the object is healed to it. A
// refusal says why it is not possible.
func (b *background) rollBack(ctx context.Context, s *subject, f finding) (left bool, err error) {
	if s.source == "" {
		return false, refusal("it is not rolled back: it belongs to no GitSource")
	}
	if b.rolled[s.source] == b.turns {
		return true, nil // with another object, in this pass
	}
	from, running := b.c.sources.get(s.source)
	switch {
	case !running && b.beginsSoon(s.source):
		return false, errors.New("its GitSource " + s.source + " is not followed yet")
	case !running:
		return false, refusal("it is not rolled back: its GitSource " + s.source + " is not followed here")
	case from.operator == nil:
		return false, refusal("it is not rolled back: its GitSource " + s.source + " does not let Apex do that (spec.trust.operator)")
	}
	var to *apply.Result
	err = b.doing(ctx, ActionRecord{Object: s.id.String(), UID: s.uid, Action: "RollBack", Code: f.code}, func() (string, error) {
		var err error
		to, err = from.operator.Leave(ctx, clip("onViolation of "+s.id.String()+": "+f.reason), violatesPolicies)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("source %s to commit %s", s.source, to.Revision.Commit), nil
	})
	switch {
	case errors.Is(err, source.ErrBusy):
		return false, err
	case errors.Is(err, source.ErrComplies):
		// What differs from Git is healed; what still differs later is not.
		since, waited := b.complied[s.id]
		now := b.c.o.Clock.Now()
		if !waited {
			b.complied[s.id] = now
			return false, nil
		}
		if now.Sub(since) < healWithin {
			return false, nil
		}
		return false, refusal("it is not rolled back: what its GitSource " + s.source + " has applied complies, and it was not healed to that")
	case errors.Is(err, source.ErrNoneComplies):
		return false, refusal("it is not rolled back: " + clip(err.Error()))
	case err != nil:
		return false, err
	}
	b.rolled[s.source] = b.turns
	from.Notify()
	b.say(ctx, s.id, s.uid, "RolledBack", fmt.Sprintf("its GitSource %s was rolled back to commit %.12s, which complies; a commit on top of what was left goes on: %s", s.source, to.Revision.Commit, f.reason))
	return true, nil
}

// followWithin is how long a source may take until it is followed. All of them are
// begun anew when a Revocation comes, which is what there may be to roll back for.
const followWithin = 20 * time.Second

// beginsSoon says whether a source that is not followed is one of the cluster's, or
// a stage of one, and has not been away for long.
func (b *background) beginsSoon(name string) bool {
	there := false
	if set := b.c.set.Load(); set != nil {
		for _, g := range set.GitSources {
			there = there || slices.ContainsFunc(destinationsOf(g.Value), func(d destination) bool { return d.name == name })
		}
	}
	if !there {
		return false
	}
	now := b.c.o.Clock.Now()
	since, known := b.away[name]
	if !known {
		b.away[name] = now
		return true
	}
	return now.Sub(since) < followWithin
}

// forgetAway forgets since when sources were away that are followed again.
func (b *background) forgetAway() {
	for name := range b.away {
		if _, running := b.c.sources.get(name); running {
			delete(b.away, name)
		}
	}
}

// healWithin is how long what differs from Git may take to be healed.
const healWithin = 20 * time.Second

// violatesPolicies says whether something that runs may do so no longer. What
// could not be judged is no violation, and neither is what no policy is about.
func violatesPolicies(r *verdict.Report) bool {
	for i := range r.Verdicts {
		if v := &r.Verdicts[i]; v.Code != verdict.Unselected && weigh(v, false).level == denied {
			return true
		}
	}
	return len(r.Unresolved) > 0
}
