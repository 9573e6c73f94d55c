package verify

import (
	"context"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// Matcher says which advisories are about the packages inside an image. It is
// safe for concurrent use.
type Matcher interface {
	// Match returns what the advisories of now say of the image's packages. With
	// kept it looks only at the inventory that was kept when the image was
	// admitted, and fetches nothing.
	Match(ctx context.Context, ref verdict.Ref, kept bool) fact.Fact[fact.Report]
	// Admitted notes that the image was admitted, so that its inventory is kept
	// and matched again. It does not wait.
	Admitted(ref verdict.Ref)
	// Revision names the advisories that Match looks at: another name, perhaps
	// another answer.
	Revision() string
}

// matched returns what the matcher says, where a rule needs it.
func (v *Verifier) matched(ctx context.Context, q *verdict.Question, needs fact.Need) fact.Fact[fact.Report] {
	switch {
	case needs&(fact.NeedMatched|fact.NeedRematched) == 0:
		return fact.Fact[fact.Report]{}
	case v.o.Matcher == nil:
		return fact.Problem[fact.Report](verdict.AdvisoriesMissing, "there are no advisories here", q.Ref.String(), v.o.Clock.Now())
	}
	return v.o.Matcher.Match(ctx, q.Ref, !needs.Has(fact.NeedMatched))
}

// revision is part of what a verdict depends on.
func (v *Verifier) revision() string {
	if v.o.Matcher == nil {
		return ""
	}
	return v.o.Matcher.Revision()
}

// admitted tells the matcher about the images that the verdict lets run.
func (v *Verifier) admitted(d *verdict.Verdict, subjects []verdict.Subject) {
	if v.o.Matcher == nil || d.Decision == verdict.Deny {
		return
	}
	for _, s := range subjects {
		v.o.Matcher.Admitted(s.Ref)
	}
}
