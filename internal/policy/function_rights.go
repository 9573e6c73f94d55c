package policy

import (
	"fmt"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// rightsClasses are what LeastPrivilege denies when the policy names no classes.
var rightsClasses = []string{
	"privilege_escalation", "data_exfiltration", "credentials_exposure", "admin_or_service_star", "star_resource",
	"unconstrained_permissions_mgmt", "unconstrained_write", "public_or_cross_account_trust", "public_resource_policy",
	"k8s_rbac_wildcard", "k8s_rbac_dangerous", "k8s_default_sa_binding",
}

// rightsRule is LeastPrivilege: the function's role, and the policies of what
// it uses, give no more than it may have.
type rightsRule struct {
	functionRule
	classes         []string
	allowUnresolved bool
}

func compileRights(p *v1alpha1.FunctionRuleParameters, _ *environment) (Rule, string, []string) {
	r := &rightsRule{classes: rightsClasses, allowUnresolved: p.Unresolved == "Allow"}
	if len(p.ForbiddenClasses) > 0 {
		r.classes = nil
		for _, c := range p.ForbiddenClasses {
			r.classes = append(r.classes, string(c))
		}
	}
	return r, fmt.Sprintf("denies rights of %s", plural(len(r.classes), "class")), nil
}

func (r *rightsRule) Check(_ *verdict.Question, facts *fact.Set, _ time.Time) verdict.Check {
	f, problem := r.declared(facts)
	if problem != nil {
		return *problem
	}
	c := r.begin(facts, "none of "+some(r.classes, 4))
	if bad := ofClasses(f, r.classes); len(bad) > 0 {
		return overstepped(c, verdict.FunctionRights, bad)
	}
	if unread := r.whole(facts, c); unread != nil {
		return *unread
	}
	if len(f.Unresolved) > 0 && !r.allowUnresolved {
		c.Outcome, c.Code = verdict.Unknown, verdict.FunctionUnresolved
		c.Found = clean(some(f.Unresolved, maxListed))
		c.Detail = "rights that cannot be told from the files: " + clean(f.Unresolved[0])
		return c
	}
	c.Outcome, c.Code, c.Detail = verdict.Pass, verdict.OK, "the rights are narrow"
	return c
}

var _ Rule = (*rightsRule)(nil)
