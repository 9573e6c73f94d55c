package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/verdict"
)

// Exception covers one failed rule of one policy for one digest until it
// expires. Only exceptions whose signature holds are compiled into a [Set].
type Exception struct {
	Name       string
	Digest     verdict.Digest
	Repository string // "": any
	Policy     string
	Rule       string
	Reason     string
	Expires    time.Time
	Approver   string // owner of the approving entry
	BreakGlass bool
}

func compileExceptions(docs Documents, env *environment, verify DocumentVerifier) ([]Exception, []Problem) {
	var out []Exception
	var problems []Problem
	for i := range docs.Exceptions {
		doc := &docs.Exceptions[i]
		e, code, err := compileException(doc, env, verify)
		if err != nil {
			problems = append(problems, Problem{"PolicyException", doc.Name, code, err.Error()})
			continue
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Exception) int { return strings.Compare(a.Name, b.Name) })
	return out, problems
}

func compileException(doc *v1alpha1.PolicyException, env *environment, verify DocumentVerifier) (Exception, verdict.Code, error) {
	spec := doc.Spec
	digest, err := verdict.ParseDigest(spec.Digest)
	if err != nil {
		return Exception{}, verdict.ExceptionSubject, err
	}
	if spec.ExpiresAt.IsZero() {
		return Exception{}, verdict.ExceptionNoExpiry, fmt.Errorf("it has no expiry")
	}
	signature := spec.Signature
	spec.Signature = nil
	signers, err := verifySpec(verify, v1alpha1.UseExceptions, DocumentException, signature, spec)
	if err != nil {
		return Exception{}, verdict.ExceptionUnsigned, err
	}
	approver, err := approver(signers, spec.Author, env)
	if err != nil {
		return Exception{}, verdict.ExceptionSelfApproved, err
	}
	return Exception{
		Name: doc.Name, Digest: digest, Repository: spec.Repository, Policy: spec.Policy, Rule: spec.Rule,
		Reason: spec.Reason, Expires: spec.ExpiresAt.Time, Approver: approver, BreakGlass: spec.BreakGlass,
	}, verdict.OK, nil
}

// approver returns an owner of a signing entry who is not the author.
func approver(signers []string, author string, env *environment) (string, error) {
	for _, name := range signers {
		e, ok := env.signers[name]
		if ok && hasUse(e, v1alpha1.UseExceptions) && e.Owner != "" && !strings.EqualFold(strings.TrimSpace(e.Owner), strings.TrimSpace(author)) {
			return e.Owner, nil
		}
	}
	return "", fmt.Errorf("it is approved by its author %s only", clean(author))
}

// covers reports whether the exception is about this failed check. Only rules
// can be excepted: what the engine itself finds, such as a policy that is not
// ready, has no person who could answer for it.
func (e *Exception) covers(q *verdict.Question, c *verdict.Check) bool {
	return e.Policy == c.Policy && e.Rule == c.Rule && isRule(c.Rule) &&
		(e.Repository == "" || e.Repository == q.Repo) &&
		e.Digest != "" && (e.Digest == q.Digest || e.Digest == q.Index)
}

// Apply marks the failed checks that an exception covers and shortens their
// Until to its expiry. Two live exceptions for one check leave open which
// person answers for it, so neither has an effect. It returns the exceptions
// that were used, and checks that say which ones were not and why.
func Apply(exceptions []Exception, q *verdict.Question, checks []verdict.Check, now time.Time) (used []Exception, notes []verdict.Check) {
	for i := range checks {
		c := &checks[i]
		if c.Outcome == verdict.Pass {
			continue
		}
		var live []Exception
		for j := range exceptions {
			e := &exceptions[j]
			switch {
			case !e.covers(q, c):
			case now.Before(e.Expires):
				live = append(live, *e)
			default:
				notes = append(notes, note(c, verdict.ExceptionExpired, fmt.Sprintf("exception %s expired at %s", e.Name, e.Expires.UTC().Format(time.RFC3339))))
			}
		}
		switch len(live) {
		case 0:
		case 1:
			c.Exception = live[0].Name
			c.Until = verdict.Earliest(c.Until, live[0].Expires)
			used = append(used, live[0])
		default:
			notes = append(notes, note(c, verdict.ExceptionConflict, fmt.Sprintf("exceptions %s and %s cover the same check, so neither has an effect", live[0].Name, live[1].Name)))
		}
	}
	return used, notes
}

// note is a check for the reader; it does not bite.
func note(about *verdict.Check, code verdict.Code, detail string) verdict.Check {
	return verdict.Check{Policy: about.Policy, Rule: about.Rule, Outcome: verdict.Fail, Action: verdict.ActionAudit, Code: code, Detail: detail}
}
