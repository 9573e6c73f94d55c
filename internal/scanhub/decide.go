package scanhub

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// State is what a finding counts for.
type State string

// The states of findings. Blocking ones deny.
const (
	Blocking   State = "blocking"
	Below      State = "below the threshold"
	Known      State = "accepted in the baseline"
	Suppressed State = "suppressed by the tool"
)

// Verdict is the one answer about a target.
type Verdict struct {
	Decision verdict.Decision
	// Reasons say in sentences what denies, or that nothing does; never empty.
	Reasons []string
	// States are those of the findings, index by index; Notes say why where
	// the state alone does not ("accepted until 2027-01-31: …").
	States []State
	Notes  []string
	// Count is the number of findings in each state.
	Count map[State]int
	// Stale are entries of the baseline that no finding needs any more. They
	// can be removed; tools that did not scan may still find them.
	Stale []Accepted
}

// Decide holds what was found against policy. It denies when a finding blocks,
// when a tool that should have scanned has not, and when no tool has scanned at
// all. b is nil where nothing is accepted. now decides what has expired.
func Decide(m *Merged, b *Baseline, t Threshold, now time.Time) Verdict {
	v := Verdict{
		Decision: verdict.Allow, Count: map[State]int{},
		States: make([]State, len(m.Findings)), Notes: make([]string, len(m.Findings)),
	}
	used := map[string]bool{}
	for i := range m.Findings {
		f := &m.Findings[i]
		v.States[i], v.Notes[i] = state(f, b, &t, now)
		v.Count[v.States[i]]++
		if a := b.find(f); a != nil {
			used[a.Fingerprint] = true
		}
	}
	if b != nil {
		for _, a := range b.Findings {
			if !used[a.Fingerprint] {
				v.Stale = append(v.Stale, a)
			}
		}
	}
	if n := v.Count[Blocking]; n > 0 {
		v.deny("%d findings block", n)
	}
	v.scans(m, &t)
	if len(v.Reasons) == 0 {
		v.Reasons = []string{"no finding blocks"}
	}
	return v
}

func (v *Verdict) deny(format string, args ...any) {
	v.Decision = verdict.Deny
	v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
}

func state(f *Finding, b *Baseline, t *Threshold, now time.Time) (State, string) {
	if !t.blocks(f) {
		return Below, ""
	}
	if f.Muted != "" && t.TrustSuppressions {
		return Suppressed, f.Muted
	}
	a := b.find(f)
	if a == nil {
		return Blocking, ""
	}
	until, err := a.until()
	switch {
	case err != nil || !now.Before(until):
		return Blocking, "was accepted until " + a.Expires + ", which is over: " + a.Reason
	case weight(f.Severity) > weight(a.Severity):
		return Blocking, fmt.Sprintf("was accepted as %s and is %s now", a.Severity, f.Severity)
	}
	return Known, "accepted until " + a.Expires + ": " + a.Reason
}

// scans judges what the tools could say at all.
func (v *Verdict) scans(m *Merged, t *Threshold) {
	scanned := 0
	required := slices.Clone(t.Required)
	for i := range m.Scans {
		s := &m.Scans[i]
		needed := slices.Contains(t.Required, s.Tool)
		required = slices.DeleteFunc(required, func(name string) bool { return name == s.Tool })
		switch s.Status {
		case Scanned:
			scanned++
		case NotApplicable:
		case NotInstalled:
			if needed {
				v.deny("%s is required and not installed: %s", s.Tool, s.Reason)
			}
		default: // a state that nobody knows has not scanned either
			v.deny("%s has not scanned: %s", s.Tool, s.Reason)
		}
	}
	if len(required) > 0 {
		v.deny("required and not among the tools: %s", strings.Join(required, ", "))
	}
	if scanned == 0 {
		v.deny("no tool has scanned")
	}
}
