package policy

import (
	"fmt"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// referencesRule is RequireImmutableReferences: what runs in the function is
// named by what cannot change.
type referencesRule struct{ functionRule }

func compileReferences(*v1alpha1.FunctionRuleParameters, *environment) (Rule, string, []string) {
	return &referencesRule{}, "needs references that cannot change", nil
}

func (r *referencesRule) Check(_ *verdict.Question, facts *fact.Set, _ time.Time) verdict.Check {
	f, problem := r.declared(facts)
	if problem != nil {
		return *problem
	}
	c := r.begin(facts, "digests, revisions and versions instead of tags, branches and names")
	var mutable, unclear []string
	for i := range f.References {
		ref := &f.References[i]
		switch {
		case !ref.Known:
			unclear = append(unclear, clean(ref.Text))
		case !ref.Immutable:
			mutable = append(mutable, fmt.Sprintf("%s %s", ref.Kind, clean(ref.Text)))
		}
	}
	switch {
	case len(mutable) > 0:
		c.Outcome, c.Code = verdict.Fail, verdict.FunctionMutable
		c.Found, c.Detail = some(mutable, maxListed), mutable[0]+" may be something else tomorrow"
		return c
	case len(unclear) > 0:
		c.Outcome, c.Code = verdict.Unknown, verdict.FunctionUnresolved
		c.Found, c.Detail = some(unclear, maxListed), "what runs depends on something outside of the files: "+unclear[0]
		return c
	}
	if unread := r.whole(facts, c); unread != nil {
		return *unread
	}
	c.Outcome, c.Code, c.Detail = verdict.Pass, verdict.OK, "every reference names one content"
	return c
}

var _ Rule = (*referencesRule)(nil)
