package release

import (
	"context"
	"fmt"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/verdict"
)

// Candidate is a revision that would enter the stage: a commit of the stage
// before, and what it renders to for this one.
type Candidate struct {
	Commit string
	Set    *gitops.Set
	// Authors are the owners who signed the commits since the last revision that
	// entered. A gate with notAuthor stays closed without them.
	Authors []string
}

func (c *Candidate) revision() apply.Revision {
	return apply.Revision{Commit: c.Commit, Set: c.Set.Digest()}
}

// Standing is how a stage stands: what the next one's gates ask for.
type Standing struct {
	// Revision that the stage holds whole; zero when it does not.
	Revision apply.Revision
	// Sick are objects that do not do what they are there for.
	Sick []apply.Unhealthy
	// Since when it was found healthy each time that it was looked at; zero: it
	// is not healthy.
	Since time.Time
}

// soakGap is the longest time between two looks at a stage that counts as having
// looked all the while. Nobody knows what was in a longer one.
const soakGap = 5 * time.Minute

// soakSave is how often an unchanged look is made durable.
const soakSave = time.Minute

// Look asks how the stage stands, and remembers since when it is healthy. It is
// called every some seconds, so that the time it soaks is seen.
func (r *Release) Look(ctx context.Context) (Standing, error) {
	if r.c.Health == nil {
		return Standing{}, fmt.Errorf("release: nothing says whether %s is healthy", r.name)
	}
	revision, whole, err := r.c.Applied(ctx)
	if err != nil {
		return Standing{}, err
	}
	var out Standing
	r.mu.Lock()
	known, err := r.load(ctx)
	r.mu.Unlock()
	if err != nil {
		return Standing{}, err
	}
	if whole && revision.Set != "" {
		out.Revision = revision
		if known.Canary != nil {
			out.Sick = known.Canary.sick()
		}
	}
	// The applier remembers what it finds healthy as a revision to go back to: it
	// is not asked about one whose traffic is on the way, or went back.
	if out.Revision.Set != "" && len(out.Sick) == 0 {
		if out.Sick, err = r.c.Health(ctx); err != nil {
			return Standing{}, err
		}
	}
	now := r.now()
	err = r.change(ctx, func(s *record) (bool, error) {
		if s.Canary != nil && len(out.Sick) == 0 {
			out.Sick = s.Canary.sick()
		}
		was := s.Soak
		switch {
		case out.Revision.Set == "" || len(out.Sick) > 0:
			s.Soak = soak{}
		case was.Set != out.Revision.Set || now.Sub(was.Seen) > soakGap || now.Before(was.Seen):
			s.Soak = soak{Set: out.Revision.Set, Since: now, Seen: now}
		default:
			s.Soak.Seen = now
		}
		out.Since = s.Soak.Since
		return was.Set != s.Soak.Set || !was.Since.Equal(s.Soak.Since) || s.Soak.Seen.Sub(was.Seen) >= soakSave, nil
	})
	return out, err
}

// Propose returns the promotion of the candidate that a person may sign now.
func (r *Release) Propose(ctx context.Context, c *Candidate, approver, reason string, life time.Duration) (*Promotion, error) {
	if !r.gated() {
		return nil, fmt.Errorf("nothing is promoted into %s: it takes every commit that is trusted", r.name)
	}
	r.mu.Lock()
	s, err := r.load(ctx)
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	now := r.now().Truncate(time.Second)
	p := &Promotion{
		Source: r.c.Source, Stage: r.c.Stage.Name, From: r.c.Stage.After, Set: c.Set.Digest(), Commit: c.Commit,
		Counter: s.Counter, Reason: reason, Approver: approver, At: now, Expires: now.Add(life),
	}
	return p, p.check()
}

// Promote takes a signed promotion of the candidate. It is kept until the gates
// are open, or until another revision enters. One that does not count is a
// [Refusal].
func (r *Release) Promote(ctx context.Context, c *Candidate, bundle []byte) (*Promotion, error) {
	if !r.gated() {
		return nil, fmt.Errorf("nothing is promoted into %s: it takes every commit that is trusted", r.name)
	}
	v := c.revision()
	var p *Promotion
	err := r.change(ctx, func(s *record) (bool, error) {
		var owner string
		var err error
		if p, owner, err = r.verify(bundle, v, s.Counter); err != nil {
			return false, err
		}
		if refused := r.author(c, owner); refused != nil {
			return false, refused
		}
		for i := range s.Promotions {
			held := &s.Promotions[i]
			if held.Revision != v {
				continue
			}
			if _, other, err := r.verify(held.Bundle, v, s.Counter); err == nil && other == owner {
				return false, nil // they said so already
			}
		}
		if len(s.Promotions) == maxPromotions {
			s.Promotions = s.Promotions[1:]
		}
		s.Promotions = append(s.Promotions, promoted{Revision: v, Bundle: bundle})
		s.write(r.now(), Entry{What: Promoted, Revision: v, Note: p.Approver + ": " + p.Reason})
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	r.c.Checkpoint("promoted")
	return p, nil
}

// author refuses a promoter who made the revision, where the stage asks for that.
func (r *Release) author(c *Candidate, owner string) *Refusal {
	gate := r.c.Stage.Gate
	if gate == nil || !gate.NotAuthor {
		return nil
	}
	if len(c.Authors) == 0 {
		return refuse(verdict.GateUnknown, "who signed the commits is not known")
	}
	for _, a := range c.Authors {
		if a == owner {
			return refuse(verdict.PromotionAuthor, "%s signed a commit of the revision", owner)
		}
	}
	return nil
}

// Promotions returns the bundles that let the newest revision in, to be attached
// to its artifact.
func (r *Release) Promotions(ctx context.Context) (v apply.Revision, bundles [][]byte, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.load(ctx)
	if err != nil {
		return v, nil, err
	}
	for _, p := range s.Proof {
		bundles = append(bundles, p.Bundle)
	}
	return s.Entered, bundles, nil
}

// Decision is what the gates say about a candidate.
type Decision struct {
	Open bool
	// Gates that the stage has, in the order of the table.
	Gates []Result
}

// Refusal is the first gate's that is not open; nil when all are.
func (d *Decision) Refusal() *Refusal {
	for i := range d.Gates {
		if g := &d.Gates[i]; g.State != Open {
			return refuse(g.Code, "%s", g.Why)
		}
	}
	return nil
}

// Ask says what the gates say now, and changes nothing.
func (r *Release) Ask(ctx context.Context, c *Candidate) (*Decision, error) {
	r.mu.Lock()
	s, err := r.load(ctx)
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return r.ask(ctx, c, s), nil
}

func (r *Release) ask(ctx context.Context, c *Candidate, s *record) *Decision {
	// What was let in stays in: a killed process goes on where it was.
	if !r.gated() || s.Entered == c.revision() {
		return &Decision{Open: true}
	}
	d := &Decision{Open: true}
	q := &question{r: r, c: c, s: s, now: r.now(), gate: r.c.Stage.Gate}
	for _, g := range gates() {
		if !g.asked(q.gate) {
			continue
		}
		result := g.check(ctx, q)
		result.Gate = g.name
		d.Open = d.Open && result.State == Open
		d.Gates = append(d.Gates, result)
	}
	return d
}

// Enter lets the candidate into the stage when all gates are open, durably: the
// promotions that did so are used up. It is called before a revision is applied;
// the same revision again is let in without asking. The first stage takes every
// candidate.
func (r *Release) Enter(ctx context.Context, c *Candidate) (*Decision, error) {
	if c.Commit == "" || len(c.Commit) > maxCommit {
		return nil, fmt.Errorf("a candidate needs a commit of at most %d bytes", maxCommit)
	}
	var d *Decision
	err := r.change(ctx, func(s *record) (bool, error) {
		d = r.ask(ctx, c, s)
		v := c.revision()
		if !d.Open || s.Entered == v || !r.gated() {
			return false, nil
		}
		s.Proof = nil
		for _, p := range s.Promotions {
			if p.Revision == v {
				s.Proof = append(s.Proof, p)
			}
		}
		s.Counter++
		s.Entered, s.Promotions = v, nil
		s.write(r.now(), Entry{What: Entered, Revision: v})
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	if d.Open {
		r.c.Checkpoint("entered")
	}
	return d, nil
}
