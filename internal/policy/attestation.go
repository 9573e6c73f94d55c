package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// attestationRule is RequireAttestation: for each wanted predicate type a
// trusted statement is there whose predicate satisfies the condition.
type attestationRule struct {
	wanted []wantedAttestation
}

type wantedAttestation struct {
	predicateType string
	from          []string
	condition     *expression // nil: any predicate
}

func compileAttestation(p *v1alpha1.ImageRuleParameters, env *environment) (Rule, string, []string) {
	r := &attestationRule{}
	var missing, types []string
	for _, a := range p.Attestations {
		w := wantedAttestation{predicateType: a.PredicateType, from: a.From}
		missing = append(missing, env.missing("attestations: from", a.From, v1alpha1.UseImages)...)
		if a.Condition != "" {
			w.condition = &expression{text: a.Condition, variables: predicateOnly}
			if err := w.condition.compile(); err != nil {
				missing = append(missing, fmt.Sprintf("attestations: condition: %v", err))
			}
		}
		r.wanted = append(r.wanted, w)
		types = append(types, a.PredicateType)
	}
	return r, "needs attestations " + some(types, 3), missing
}

func (r *attestationRule) Needs() fact.Need { return fact.NeedAttestations }

func (r *attestationRule) Check(q *verdict.Question, facts *fact.Set, _ time.Time) verdict.Check {
	statements, _, ok := facts.Attestations.Some()
	if !ok {
		return unknown(fact.NeedAttestations, &facts.Attestations, "which attestations the image has")
	}
	c := verdict.Check{Evidence: []verdict.Evidence{facts.Attestations.Evidence(fact.NeedAttestations)}}
	var found []string
	for i := range r.wanted {
		w := &r.wanted[i]
		a, refusals := w.find(q, statements)
		if a != nil {
			found = append(found, fmt.Sprintf("%s by %s", w.predicateType, list(a.TrustedBy)))
			c.Until = verdict.Earliest(c.Until, a.Until)
			continue
		}
		c.Expected = fmt.Sprintf("an attestation %s by %s", w.predicateType, list(w.from))
		if w.condition != nil {
			c.Expected += " with " + w.condition.text
		}
		if _, code, ok := facts.Attestations.All(); !ok {
			c.Outcome, c.Code = verdict.Unknown, code
			c.Detail = "not all attestations could be looked at: " + facts.Attestations.Why()
			return c
		}
		c.Outcome, c.Code = verdict.Fail, verdict.AttestationMissing
		c.Found, c.Detail = "none", fmt.Sprintf("the image has no attestation %s", w.predicateType)
		if len(refusals) > 0 {
			best := slices.MaxFunc(refusals, func(a, b refusal) int { return a.rank - b.rank })
			c.Code, c.Found, c.Detail = best.code, best.detail, best.detail
		}
		return c
	}
	c.Outcome, c.Code = verdict.Pass, verdict.OK
	c.Found = list(found)
	c.Detail = c.Found
	return c
}

// find returns the first statement that satisfies the wish, or why each of the
// wanted type does not.
func (w *wantedAttestation) find(q *verdict.Question, statements []fact.Attestation) (*fact.Attestation, []refusal) {
	var refusals []refusal
	for i := range statements {
		a := &statements[i]
		if a.PredicateType != w.predicateType {
			continue
		}
		switch {
		case a.Code != verdict.OK && a.Code != verdict.SignatureUntrusted:
			code := because(a.Code, verdict.AttestationInvalid)
			refusals = append(refusals, refusal{1, code, orElse(a.Detail, code.Info().Meaning)})
		case len(signedBy(&a.Signing, w.from)) == 0:
			refusals = append(refusals, refusal{2, verdict.AttestationUntrusted, fmt.Sprintf("the attestation %s is not signed by %s", w.predicateType, list(w.from))})
		case !names(a.Subjects, q):
			refusals = append(refusals, refusal{3, verdict.SignatureSubject, "the attestation is about another digest"})
		default:
			if why := w.judge(a); why != nil {
				refusals = append(refusals, *why)
				continue
			}
			return a, nil
		}
	}
	return nil, refusals
}

func (w *wantedAttestation) judge(a *fact.Attestation) *refusal {
	var predicate any
	if err := json.Unmarshal(a.Predicate, &predicate); err != nil || predicate == nil {
		return &refusal{4, verdict.AttestationInvalid, fmt.Sprintf("the predicate of %s cannot be read", w.predicateType)}
	}
	if w.condition == nil {
		return nil
	}
	ok, err := w.condition.eval(map[string]any{"predicate": predicate})
	if err != nil {
		return &refusal{5, verdict.ExpressionFailed, fmt.Sprintf("the condition on %s could not be evaluated: %v", w.predicateType, err)}
	}
	if !ok {
		return &refusal{6, verdict.AttestationPredicate, fmt.Sprintf("the predicate of %s does not satisfy the condition", w.predicateType)}
	}
	return nil
}

var _ Rule = (*attestationRule)(nil)
