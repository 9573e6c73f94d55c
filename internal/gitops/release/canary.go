package release

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/verdict"
)

// Defaults of a canary.
const (
	DefaultInterval    = 5 * time.Minute
	DefaultReadyWithin = 10 * time.Minute
)

// defaultSteps are in percent.
func defaultSteps() []int32 { return []int32{5, 25, 50, 100} }

// maxSteps is what the kind's schema allows.
const maxSteps = 20

// plan is how traffic moves, read once.
type plan struct {
	on          bool
	steps       []int32
	interval    time.Duration
	readyWithin time.Duration
	analysis    []v1alpha1.GitMetric
}

func readPlan(c *v1alpha1.GitCanary) (plan, error) {
	p := plan{steps: []int32{100}, readyWithin: DefaultReadyWithin}
	if c == nil {
		return p, nil
	}
	p = plan{on: true, steps: slices.Clone(c.Steps), interval: DefaultInterval, readyWithin: DefaultReadyWithin, analysis: c.Analysis}
	if len(p.steps) == 0 {
		p.steps = defaultSteps()
	}
	slices.Sort(p.steps)
	if err := checkSteps(p.steps); err != nil {
		return plan{}, err
	}
	for _, d := range []struct {
		name string
		from func() (time.Duration, bool)
		to   *time.Duration
	}{
		{"interval", func() (time.Duration, bool) {
			if c.Interval == nil {
				return 0, false
			}
			return c.Interval.Duration, true
		}, &p.interval},
		{"readyWithin", func() (time.Duration, bool) {
			if c.ReadyWithin == nil {
				return 0, false
			}
			return c.ReadyWithin.Duration, true
		}, &p.readyWithin},
	} {
		if v, given := d.from(); given {
			if v <= 0 {
				return plan{}, fmt.Errorf("%s is %s: it has to be longer than nothing", d.name, v)
			}
			*d.to = v
		}
	}
	for i := range p.analysis {
		if _, err := readBounds(&p.analysis[i]); err != nil {
			return plan{}, fmt.Errorf("analysis[%d]: %w", i, err)
		}
	}
	return p, nil
}

func checkSteps(steps []int32) error {
	if n := len(steps); n == 0 || n > maxSteps || steps[n-1] != 100 {
		return fmt.Errorf("steps are 1 to %d percentages, 100 the last of them", maxSteps)
	}
	for i, s := range steps {
		if s < 1 || i > 0 && s <= steps[i-1] {
			return errors.New("steps rise from 1 to 100, each comes once")
		}
	}
	return nil
}

// Phase says how far a canary is.
type Phase string

// The phases. In those that end in -ing something is decided and is being done.
const (
	Preparing Phase = "preparing" // all traffic stays; the new revisions start
	Shifting  Phase = "shifting"  // a step's part is being given to them
	Settling  Phase = "settling"  // it is given; the controllers have to follow
	Observing Phase = "observing" // they have; the step lasts
	Finishing Phase = "finishing" // all went well; the fields are given back to Git
	Done      Phase = "done"
	Returning Phase = "returning" // traffic is being sent back
	Gone      Phase = "returned"  // it is back, and stays until another revision comes
)

func (p Phase) valid() bool {
	switch p {
	case Preparing, Shifting, Settling, Observing, Finishing, Done, Returning, Gone:
		return true
	}
	return false
}

// failed says whether traffic goes back, or is.
func (p Phase) failed() bool { return p == Returning || p == Gone }

// Canary is traffic on its way to the new revisions of a set.
type Canary struct {
	apply.Revision
	Phase Phase `json:"phase"`
	// Steps in percent, and which of them it is at.
	Steps []int32 `json:"steps"`
	Step  int     `json:"step"`
	// Since is when the phase began; Unknown since when a question has no answer.
	Since   time.Time `json:"since"`
	Unknown time.Time `json:"unknown,omitzero"`
	// Direct: it goes back to an earlier revision, so that nothing is analysed.
	Direct  bool     `json:"direct,omitempty"`
	Objects []Moving `json:"objects"`
	// Code and Why say why traffic went back.
	Code verdict.Code `json:"code,omitempty"`
	Why  string       `json:"why,omitempty"`
}

// Moving is an object whose traffic moves.
type Moving struct {
	gitops.ID
	Version string `json:"version"`
	// Stable is the revision that had the traffic, Candidate the one that gets it.
	Stable    string `json:"stable"`
	Candidate string `json:"candidate,omitempty"`
	// Template names what Git says the candidate is.
	Template string `json:"template"`
	// Old is the newest revision that there was before: never the candidate.
	Old string `json:"old,omitempty"`
	// Held: the same template failed before, so that it gets nothing.
	Held bool `json:"held,omitempty"`
}

// percentOf is the object's part of the traffic that the candidate is to have.
func (c *Canary) percentOf(o *Moving) int32 {
	switch {
	case o.Held || o.Candidate == "" || c.Phase == Preparing || c.Phase.failed():
		return 0
	case c.Phase == Finishing || c.Phase == Done:
		return 100
	}
	return c.Steps[c.Step]
}

func (c *Canary) check() error {
	if !c.Phase.valid() || c.Step < 0 || c.Step >= len(c.Steps) || len(c.Objects) > maxObjects {
		return errors.New("its canary is none that this program wrote")
	}
	return checkSteps(c.Steps)
}

// sick says what of the canary keeps the revision from being one to build on.
func (c *Canary) sick() []apply.Unhealthy {
	var out []apply.Unhealthy
	for i := range c.Objects {
		if c.Phase == Done && !c.Objects[i].Held {
			continue
		}
		why := fmt.Sprintf("its traffic is on the way: %s, %d %%", c.Phase, c.percentOf(&c.Objects[i]))
		switch {
		case c.Phase.failed() && !c.Objects[i].Held:
			why = fmt.Sprintf("its new revision failed, traffic went back: %s: %s", c.Code, c.Why)
		case c.Objects[i].Held:
			why = "its revision failed before and gets no traffic"
		}
		out = append(out, apply.Unhealthy{ID: c.Objects[i].ID, Why: why})
	}
	return out
}

// templateOf names what makes a revision in a desired body.
func templateOf(r *router, body map[string]any) (string, error) {
	data, err := json.Marshal(r.template(body)) // maps are written with sorted keys
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16]), nil
}
