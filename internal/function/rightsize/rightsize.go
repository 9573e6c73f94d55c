// Package rightsize makes policies as small as what was observed.
//
// Start at [Read] to read what was observed ([CloudTrail], [Gateway] or [Audit]
// where the format is known), and [Shrink] for the plan of one principal,
// [ShrinkRBAC] for a role of Kubernetes.
// Every statement that allows is narrowed to the calls that it allowed; what
// denies and what conditions ask stay as they are. A plan carries its proof:
// every observed call is decided again with the new policies, and [Prove] holds
// each new statement to an old one, so that nothing is ever widened.
//
// What a log cannot show is not taken for unused: actions on data, which
// CloudTrail records only where it has been told to, and calls that cannot be
// mapped to an action keep the rights that their service had.
//
// Sources: AWS CloudTrail User Guide, "CloudTrail record contents" and "Logging
// data events"; Kubernetes audit.k8s.io/v1.
package rightsize

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/function/iam"
)

// Event is one observed call that was allowed.
type Event struct {
	Time      time.Time
	Principal string // ARN of the role or user, not of the session
	Action    string // "s3:GetObject"; "s3:" with the name as logged where it is no known action
	Resource  string // ARN; "" when the log does not say
	Data      bool   // a data event: the log then shows the service's actions on data
	// Times is how often it was observed, the first time at Time; 0 means once.
	Times int
}

func (e *Event) times() int { return max(e.Times, 1) }

// Role is a principal whose rights are judged by what it did.
type Role struct {
	Principal string
	Policies  []*iam.Policy // Origin names each
	// Fixed are further policies that it has and that are not its own to change:
	// those that are shared, and those that AWS manages. They explain calls.
	Fixed      []*iam.Policy
	BreakGlass bool // kept for emergencies: not being used is what it is for
}

// Options say what the log covers.
type Options struct {
	// From and To are the window that was observed. Events outside of it count
	// as observed too: they only keep rights.
	From, To time.Time
	// DataServices are the services of which the log holds every action on data,
	// "s3". That [Services] finds some does not say that it is all of them: a
	// trail may record those of one bucket only.
	DataServices map[string]bool
}

// Services are those of which the events hold data events.
func Services(events []Event) map[string]bool {
	seen := map[string]bool{}
	for _, e := range events {
		if e.Data {
			service, _, _ := strings.Cut(e.Action, ":")
			seen[service] = true
		}
	}
	return seen
}

// Plan is what to do for one principal.
type Plan struct {
	Schema    string     `json:"schema"` // "apex.rightsize/v1"
	Principal string     `json:"principal"`
	Untouched string     `json:"untouched,omitempty"` // why nothing is proposed
	Documents []Document `json:"documents,omitempty"`

	From, To   time.Time `json:"-"`
	Days       int       `json:"days"`
	Calls      int       `json:"calls"`
	Confidence string    `json:"confidence"` // "low", "medium" or "high"
	Because    string    `json:"because"`

	// NeverObserved are actions that were allowed and were not seen; Kept says
	// which of them stay, and why.
	NeverObserved []string          `json:"neverObserved,omitempty"`
	Removed       []string          `json:"removed,omitempty"` // of those, what no new policy allows
	Kept          map[string]string `json:"kept,omitempty"`    // by service
	Before        int               `json:"before"`            // actions that were allowed
	After         int               `json:"after"`
	Replayed      int               `json:"replayed"` // observed calls that the new policies decide as the old ones did
}

// Document is one policy of the plan.
type Document struct {
	Origin  string          `json:"origin"`
	Policy  json.RawMessage `json:"policy"` // no statements: detach it
	Changed bool            `json:"changed"`
	// New is the policy, and From the statement of the old one that each of its
	// statements was made from, by index.
	New  *iam.Policy `json:"-"`
	From []int       `json:"-"`
}

// day is what confidence is counted in.
const day = 24 * time.Hour

// The windows that confidence asks for: a month shows what runs monthly once,
// a quarter shows it repeatedly.
const (
	someDays = 30
	manyDays = 90
	fewCalls = 100
)

// Shrink makes the plan for a principal from the events that are its own;
// others are passed over. An error says that the proof failed: nothing must
// then be changed.
func Shrink(role Role, events []Event, o Options) (Plan, error) {
	plan := Plan{Schema: "apex.rightsize/v1", Principal: role.Principal, From: o.From, To: o.To, Days: int(o.To.Sub(o.From) / day), Kept: map[string]string{}}
	own := make([]Event, 0, len(events))
	for _, e := range events {
		if e.Principal == role.Principal {
			own = append(own, e)
		}
	}
	moments := make([]moment, 0, len(own))
	for i := range own {
		plan.Calls += own[i].times()
		moments = append(moments, moment{own[i].Action, own[i].Time})
	}
	plan.Confidence, plan.Because = confidence(moments, plan.Calls, o)
	switch {
	case role.BreakGlass:
		plan.Untouched = "it is kept for emergencies"
	case len(own) == 0:
		plan.Untouched = "it was not observed at all: ask whether it is needed, rather than what it needs"
	}
	before := granted(role.Policies)
	plan.Before, plan.After = len(before), len(before)
	if plan.Untouched != "" {
		return plan, nil
	}
	calls := distinct(own)
	narrow := newNarrowing(&role, calls, o, plan.Kept)
	documents := narrow.documents()
	if err := Prove(role.Policies, documents); err != nil {
		return plan, fmt.Errorf("right-size %s: %w", role.Principal, err)
	}
	if err := replay(narrow.all, slices.Concat(documents, role.Fixed), calls); err != nil {
		return plan, fmt.Errorf("right-size %s: %w", role.Principal, err)
	}
	plan.Replayed = plan.Calls
	for i, p := range documents {
		raw, err := json.Marshal(p)
		if err != nil {
			return plan, fmt.Errorf("right-size %s: write policy: %w", role.Principal, err)
		}
		plan.Documents = append(plan.Documents, Document{Origin: p.Origin, Policy: raw, Changed: narrow.changed[i], New: p, From: narrow.from[i]})
	}
	after := granted(documents)
	plan.After = len(after)
	used := map[string]bool{}
	for _, c := range calls {
		used[strings.ToLower(c.action)] = true
	}
	for _, a := range before {
		if used[strings.ToLower(a)] {
			continue
		}
		plan.NeverObserved = append(plan.NeverObserved, a)
		if _, stays := slices.BinarySearch(after, a); !stays {
			plan.Removed = append(plan.Removed, a)
		}
	}
	if len(plan.Kept) == 0 {
		plan.Kept = nil
	}
	return plan, nil
}

// moment is when something was first observed.
type moment struct {
	what string
	time time.Time
}

// confidence says how far the log can be trusted to show all there is.
func confidence(own []moment, calls int, o Options) (level, because string) {
	days := int(o.To.Sub(o.From) / day)
	var late int
	first := map[string]time.Time{}
	for _, e := range own {
		if t, ok := first[e.what]; !ok || e.time.Before(t) {
			first[e.what] = e.time
		}
	}
	lastThird := o.From.Add(o.To.Sub(o.From) * 2 / 3)
	for _, t := range first {
		if t.After(lastThird) {
			late++
		}
	}
	switch {
	case days < someDays:
		return "low", fmt.Sprintf("%d days do not show what runs once a month", days)
	case calls < fewCalls:
		return "low", fmt.Sprintf("only %d calls were observed", calls)
	case late > 0:
		return "medium", fmt.Sprintf("%d actions were seen for the first time in the last third of the window", late)
	case days < manyDays:
		return "medium", fmt.Sprintf("%d days show what runs once a quarter at most once", days)
	}
	return "high", fmt.Sprintf("%d calls in %d days, and nothing new in the last third of them", calls, days)
}

// call is an event without its time.
type call struct {
	action, resource string
}

func distinct(events []Event) []call {
	list := make([]call, 0, len(events))
	for _, e := range events {
		list = append(list, call{e.Action, e.Resource})
	}
	slices.SortFunc(list, func(a, b call) int {
		if c := strings.Compare(a.action, b.action); c != 0 {
			return c
		}
		return strings.Compare(a.resource, b.resource)
	})
	return slices.Compact(list)
}

// granted lists the actions that some statement allows, by the catalogue.
func granted(policies []*iam.Policy) []string {
	var list []string
	all := iam.ActionPattern("*")
	for _, p := range policies {
		for i := range p.Statements {
			s := &p.Statements[i]
			if s.Effect != iam.Allow {
				continue
			}
			patterns := s.Actions
			if len(s.NotActions) > 0 {
				patterns = []*iam.Pattern{all}
			}
			for _, pattern := range patterns {
				iam.AWS().Each(pattern, func(a *iam.Action) bool {
					if len(s.NotActions) == 0 || s.MatchesAction(a.String()) == iam.Yes {
						list = append(list, a.String())
					}
					return true
				})
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
