package rightsize

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/apexlogic/apex/internal/function/iam"
)

// ErrWidens is wrapped by the error about a new policy that allows something
// which the old ones do not.
var ErrWidens = errors.New("the new policy would allow more than the old ones")

// ErrLoses is wrapped by the error about an observed call that the new policies
// do not allow.
var ErrLoses = errors.New("an observed call would no longer be allowed")

// Prove shows that new policies allow nothing that the old ones do not: every
// statement that allows lies within an old one with the same conditions, and
// every statement that denies is still there.
func Prove(old, new []*iam.Policy) error {
	for _, p := range new {
		for i := range p.Statements {
			s := &p.Statements[i]
			if s.Effect == iam.Deny {
				continue
			}
			for _, a := range actionsOf(s) {
				for _, r := range resourcesOf(s) {
					if !within(old, s, a, r) {
						return fmt.Errorf("%w: %s on %s", ErrWidens, a, r)
					}
				}
			}
		}
	}
	have := map[string]bool{}
	for _, p := range new {
		for i := range p.Statements {
			if s := &p.Statements[i]; s.Effect == iam.Deny {
				have[text(s)] = true
			}
		}
	}
	for _, p := range old {
		for i := range p.Statements {
			if s := &p.Statements[i]; s.Effect == iam.Deny && !have[text(s)] {
				return fmt.Errorf("%w: statement %d of %s denies, and is gone", ErrWidens, i+1, p.Origin)
			}
		}
	}
	return nil
}

func actionsOf(s *iam.Statement) []*iam.Pattern {
	if len(s.NotActions) > 0 {
		return []*iam.Pattern{iam.ActionPattern("*")}
	}
	return s.Actions
}

func resourcesOf(s *iam.Statement) []*iam.Pattern {
	if len(s.NotResources) > 0 || len(s.Resources) == 0 {
		return []*iam.Pattern{iam.ResourcePattern("*")}
	}
	return s.Resources
}

// within says whether one action on one resource lies within an old statement
// that asks for no more than s does.
func within(old []*iam.Policy, s *iam.Statement, action, resource *iam.Pattern) bool {
	for _, p := range old {
		for i := range p.Statements {
			o := &p.Statements[i]
			if o.Effect != s.Effect || conditions(o) != conditions(s) {
				continue
			}
			if text(o) == text(s) || about(o, action) && (covered(o, resource) || sameExcept(o, s)) {
				return true
			}
		}
	}
	return false
}

// sameExcept says whether both statements leave out the same resources.
func sameExcept(o, s *iam.Statement) bool {
	if len(s.NotResources) == 0 || len(o.NotResources) != len(s.NotResources) {
		return false
	}
	for i := range s.NotResources {
		if s.NotResources[i].String() != o.NotResources[i].String() {
			return false
		}
	}
	return true
}

func about(o *iam.Statement, action *iam.Pattern) bool {
	if len(o.NotActions) > 0 {
		for _, p := range o.NotActions {
			if p.Overlaps(action) {
				return false
			}
		}
		return true
	}
	for _, p := range o.Actions {
		if p.Covers(action) {
			return true
		}
	}
	return false
}

func conditions(s *iam.Statement) string {
	return text(&iam.Statement{Effect: iam.Allow, Conditions: s.Conditions})
}

// text is a statement without its name, to be compared.
func text(s *iam.Statement) string {
	one := *s
	one.Sid = ""
	b, err := json.Marshal(one)
	if err != nil {
		return "" // it has no form that is not text
	}
	return string(b)
}

// replay decides every observed call by the new policies: what the old ones
// allowed, for certain or under their conditions, must be allowed the same.
func replay(old, new []*iam.Policy, calls []call) error {
	for _, c := range calls {
		if c.resource == "" {
			if was, is := somewhere(old, c.action), somewhere(new, c.action); is < was {
				return fmt.Errorf("%w: %s", ErrLoses, c.action)
			}
			continue
		}
		if decide(new, c) < decide(old, c) {
			return fmt.Errorf("%w: %s on %s", ErrLoses, c.action, c.resource)
		}
	}
	return nil
}

// decide evaluates one call by a principal's own policies. What the resource
// says is taken to leave it to them, as a key does that trusts its account.
func decide(policies []*iam.Policy, c call) iam.Truth {
	const account = "000000000000"
	everyone := iam.Principal{Type: "AWS", Name: iam.ResourcePattern(account)}
	delegates := &iam.Policy{Statements: []iam.Statement{{Effect: iam.Allow, Actions: []*iam.Pattern{iam.ActionPattern("*")}, Principals: []iam.Principal{everyone}}}}
	p := iam.Policies{Identity: policies, Resource: []*iam.Policy{delegates}}
	return p.Evaluate(iam.Request{Action: c.action, Resource: c.resource, Caller: iam.Caller{Account: account}, Context: anything}).Allowed
}

// somewhere says whether the action is allowed on any resource at all.
func somewhere(policies []*iam.Policy, action string) iam.Truth {
	t := iam.No
	for _, p := range policies {
		for i := range p.Statements {
			if s := &p.Statements[i]; s.Effect == iam.Allow {
				t = max(t, s.MatchesAction(action))
			}
		}
	}
	return t
}
