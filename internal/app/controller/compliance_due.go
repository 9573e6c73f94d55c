package controller

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// violation is a policy that something which runs violates, and how.
type violation struct {
	kind, policy string // "ImageSecurityPolicy", its name
	code         verdict.Code
}

func compareViolations(a, b violation) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.policy, b.policy), cmp.Compare(a.code, b.code))
}

// violated returns the policies that a denial which weighs says are violated.
// What no rule found, a revocation for one, every policy is about that selects the
// subject and bites.
func violated(g *verify.Generation, v *verdict.Verdict) []violation {
	kind, all := "ImageSecurityPolicy", g.Policies()
	if v.Kind == verdict.KindModel {
		kind, all = "ModelSecurityPolicy", g.Models()
	}
	selecting := func(code verdict.Code) (out []violation) {
		for i := range all {
			if p := &all[i]; p.Enforcement == v1alpha1.Enforce && p.Selects(v.Labels) {
				out = append(out, violation{kind, p.Name, code})
			}
		}
		return out
	}
	var out []violation
	for i := range v.Checks {
		switch c := &v.Checks[i]; {
		case c.Outcome == verdict.Pass || c.Exception != "" || c.Observed || c.Action != verdict.ActionDeny || unanswered(c.Code):
		case c.Policy == "":
			out = append(out, selecting(c.Code)...)
		default:
			out = append(out, violation{kind, c.Policy, c.Code})
		}
	}
	if len(out) == 0 && !unanswered(v.Code) {
		out = selecting(v.Code)
	}
	return out
}

// add adds what is not there yet.
func add(all, more []violation) []violation {
	for _, v := range more {
		if !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, compareViolations)
	return all
}

// demands are the entries of onViolation, by the policy that they are in.
type demands map[violation][]v1alpha1.OnViolation // without a code

func demandsOf(set *config.Set) demands {
	d := demands{}
	for _, p := range set.ImageSecurityPolicies {
		d[violation{kind: "ImageSecurityPolicy", policy: p.Value.Name}] = p.Value.Spec.OnViolation
	}
	for _, p := range set.ModelSecurityPolicies {
		d[violation{kind: "ModelSecurityPolicy", policy: p.Value.Name}] = p.Value.Spec.OnViolation
	}
	return d
}

// covers says whether the entry is about violations with the code.
func covers(e *v1alpha1.OnViolation, code verdict.Code) bool {
	return len(e.Codes) == 0 || slices.ContainsFunc(e.Codes, func(pattern string) bool {
		prefix, all := strings.CutSuffix(pattern, "*")
		return pattern == string(code) || all && strings.HasPrefix(string(code), prefix)
	})
}

// due is what is to be done about an object now.
type due struct {
	isolate, stop, rollBack bool
	waits                   map[v1alpha1.ViolationAction]bool // for a person's approval
	next                    time.Time                         // when more is due; zero: nothing
}

func (d *due) nothing() bool { return !d.isolate && !d.stop && !d.rollBack }

func (d *due) set(a v1alpha1.ViolationAction) {
	switch a {
	case v1alpha1.ActionIsolate:
		d.isolate = true
	case v1alpha1.ActionScaleToZero:
		d.stop = true
	case v1alpha1.ActionRollBack:
		d.rollBack = true
	}
}

// due says what the policies want to be done about violations that began at a
// time. An action that has begun needs no approval any more: what was cut off must
// not be connected because a policy was edited.
func (d demands) due(all []violation, since, now time.Time, begun, approved func(v1alpha1.ViolationAction) bool) due {
	var out due
	if since.IsZero() {
		since = now // it is not on record yet
	}
	for _, v := range all {
		entries := d[violation{kind: v.kind, policy: v.policy}]
		for i := range entries {
			e := &entries[i]
			if e.Action == v1alpha1.ActionReport || !covers(e, v.code) {
				continue
			}
			if e.After != nil && now.Before(since.Add(e.After.Duration)) {
				out.next = verdict.Earliest(out.next, since.Add(e.After.Duration))
				continue
			}
			if e.Approval == v1alpha1.ApprovalRequired && !begun(e.Action) && !approved(e.Action) {
				if out.waits == nil {
					out.waits = map[v1alpha1.ViolationAction]bool{}
				}
				out.waits[e.Action] = true
				continue
			}
			out.set(e.Action)
		}
	}
	for a := range out.waits {
		if a == v1alpha1.ActionIsolate && out.isolate || a == v1alpha1.ActionScaleToZero && out.stop || a == v1alpha1.ActionRollBack && out.rollBack {
			delete(out.waits, a) // another policy asks nobody
		}
	}
	return out
}

// violationID names what a person approves actions about: this object, what is
// wrong with it, and since when. It is another one when the object comes to comply
// and violates again.
func violationID(s *subject, code verdict.Code, since time.Time) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{s.id.String(), s.uid, string(code), strconv.FormatInt(since.Unix(), 10)}, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// approvalText tells a person how to approve what waits.
func approvalText(s *subject, id string, waits map[v1alpha1.ViolationAction]bool) string {
	var actions []string
	for a := range waits {
		actions = append(actions, string(a))
	}
	slices.Sort(actions)
	return fmt.Sprintf("it waits for a person's approval of %s: apex approve --namespace %s --violation %s --action %s",
		strings.Join(actions, " and of "), s.id.Namespace, id, actions[0])
}
