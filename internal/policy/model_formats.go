package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// formatsRule is AllowOnlyFormats: what a trusted scan read the files as, by
// their content and inside of archives too, is on the policy's list.
type formatsRule struct {
	scanned
	allowed []string
}

func compileModelFormats(p *v1alpha1.ModelRuleParameters, env *environment) (Rule, string, []string) {
	shared, missing := compileScanned(p, env)
	r := &formatsRule{scanned: shared, allowed: p.AllowedFormats}
	if len(r.allowed) == 0 {
		missing = append(missing, "allowedFormats: at least one format is needed")
	}
	return r, "allows only " + some(r.allowed, 5), missing
}

func (r *formatsRule) Check(q *verdict.Question, facts *fact.Set, now time.Time) verdict.Check {
	scan, c, ok := r.newest(q, facts, now)
	if !ok {
		return c
	}
	c.Expected = "only " + list(r.allowed)
	var denied []string
	for _, format := range scan.Formats {
		if !slices.ContainsFunc(r.allowed, func(a string) bool { return strings.EqualFold(a, format) }) {
			denied = append(denied, clean(format))
		}
	}
	switch {
	case len(denied) > 0:
		return fail(c, verdict.ModelFormatDenied, "the model holds "+some(denied, 5))
	case len(scan.Unknown) > 0 || scan.Verdict == "unknown":
		return fail(c, verdict.ModelFormatDenied, "of no known format: "+clean(some(scan.Unknown, 3)))
	}
	return pass(c, "only "+clean(some(scan.Formats, 8)))
}

// remoteCodeRule is DenyRemoteCode: a trusted scan found nothing that asks a
// loader to run code of the model's own.
type remoteCodeRule struct{ scanned }

func compileRemoteCode(p *v1alpha1.ModelRuleParameters, env *environment) (Rule, string, []string) {
	shared, missing := compileScanned(p, env)
	return &remoteCodeRule{shared}, "denies models that bring code", missing
}

func (r *remoteCodeRule) Check(q *verdict.Question, facts *fact.Set, now time.Time) verdict.Check {
	scan, c, ok := r.newest(q, facts, now)
	if !ok {
		return c
	}
	c.Expected = "no file that asks for remote code"
	if len(scan.RemoteCode) > 0 {
		return fail(c, verdict.ModelRemoteCode, fmt.Sprintf("remote code is asked for by %s", clean(some(scan.RemoteCode, 3))))
	}
	return pass(c, "no file asks for remote code")
}

var (
	_ Rule = (*formatsRule)(nil)
	_ Rule = (*remoteCodeRule)(nil)
)
