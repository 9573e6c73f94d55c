package iam

import "strings"

// Policies are all that bear on one request.
type Policies struct {
	// Identity are those of whoever makes the request: inline, managed, and of
	// their groups.
	Identity []*Policy
	// Resource are those of what the request is about: a bucket's, a key's, the
	// trust policy of a role.
	Resource []*Policy
	// Boundary is the permissions boundary. nil: there is none; an empty list
	// allows nothing.
	Boundary []*Policy
	// Session are the policies given when the session was made. nil: none.
	Session []*Policy
	// Control are the organisation's policies by level, each of which must allow.
	Control [][]*Policy
}

// Caller is who makes a request.
type Caller struct {
	// ARN is that of the user, the role, or the session of a role.
	ARN string
	// Role is the ARN of the role whose session it is, "" for everybody else.
	Role    string
	Account string // 12 digits
	Service string // "lambda.amazonaws.com", when it is a service that asks
}

// Request is one call.
type Request struct {
	Action   string // "s3:GetObject", in any case
	Resource string // ARN, or "*" where the action takes no resource
	Caller   Caller
	Context  Context
	// Owner is the account of the resource; "": that of the caller.
	Owner string
}

// Decision is the answer, and why.
type Decision struct {
	Allowed Truth
	// Denied is Yes when a statement denies the request, and Maybe when one may.
	Denied Truth
	// By are the statements that the answer rests on: those that deny or may
	// deny, else those that allow.
	By []Source
	// Missing names what would have had to allow it: "identity", "resource",
	// "boundary", "session" or "control"; "" when it is allowed or denied.
	Missing string
}

// Source is one statement.
type Source struct {
	Policy    *Policy
	Statement *Statement
}

// Evaluate decides a request as AWS does: what denies wins; then every policy
// that limits must allow; then, within an account, one of identity and resource
// suffices, and across accounts both are needed. Keys and the trust of roles
// need the resource's own policy.
func (p *Policies) Evaluate(r Request) Decision {
	var d Decision
	denied := func(list []*Policy, who bool) {
		t, by := gather(list, Deny, &r, who)
		if t > No {
			d.By = append(d.By, by...)
		}
		d.Denied = max(d.Denied, t)
	}
	denied(p.Identity, false)
	denied(p.Boundary, false)
	denied(p.Session, false)
	for _, level := range p.Control {
		denied(level, false)
	}
	denied(p.Resource, true)
	if d.Denied == Yes {
		return d
	}

	answer := not(d.Denied)
	need := func(t Truth, name string) {
		if t == No && d.Missing == "" {
			d.Missing = name
		}
		answer = min(answer, t)
	}
	for _, level := range p.Control {
		t, _ := gather(level, Allow, &r, false)
		need(t, "control")
	}
	identity, by := gather(p.Identity, Allow, &r, false)
	sources := by
	boundary, session := Yes, Yes
	if p.Boundary != nil {
		boundary, _ = gather(p.Boundary, Allow, &r, false)
	}
	if p.Session != nil {
		session, _ = gather(p.Session, Allow, &r, false)
	}
	direct, delegated, itself, by := granted(p.Resource, &r)
	sources = append(sources, by...)

	home := r.Owner == "" || r.Owner == r.Caller.Account
	limited := min(identity, boundary, session)
	switch {
	case r.Caller.Service != "":
		need(direct, "resource")
	case !home || ownWord(r.Action):
		given := max(direct, delegated)
		need(given, "resource")
		if home {
			// A role or key that names the caller itself needs no word of theirs.
			limited = max(limited, min(direct, boundary, session))
		}
		need(limited, weakest(identity, boundary, session))
	default:
		// A policy that names a role is bounded by the role's boundary and
		// session; one that names the session or the user itself is not.
		given := max(limited, min(direct, boundary, session), itself)
		need(given, weakest(identity, boundary, session))
	}
	d.Allowed = answer
	if answer > No {
		d.Missing = ""
		if d.Denied == No {
			d.By = sources
		}
	}
	return d
}

// ownWord says whether the action needs the policy of what it is about.
func ownWord(action string) bool {
	a := strings.ToLower(action)
	return strings.HasPrefix(a, "sts:assumerole") || strings.HasPrefix(a, "kms:") && !kmsWithoutKey(a)
}

func kmsWithoutKey(a string) bool {
	switch a {
	case "kms:createkey", "kms:listkeys", "kms:listaliases", "kms:generaterandom", "kms:createcustomkeystore", "kms:describecustomkeystores":
		return true
	}
	return false
}

func weakest(identity, boundary, session Truth) string {
	switch {
	case boundary == No:
		return "boundary"
	case session == No:
		return "session"
	}
	return "identity"
}

// gather asks a list of policies for the strongest statement with the effect.
// who: the statements name principals.
func gather(list []*Policy, effect Effect, r *Request, who bool) (Truth, []Source) {
	all := No
	var by []Source
	for _, p := range list {
		for i := range p.Statements {
			s := &p.Statements[i]
			t := s.applies(effect, r)
			if t > No && who {
				t = min(t, s.names(&r.Caller).any())
			}
			if t > No {
				all = max(all, t)
				by = append(by, Source{p, s})
			}
		}
	}
	return all, by
}

// granted asks the policies of a resource. direct: the caller is named or is
// everybody; delegated: the caller's account is, which then decides itself;
// itself: the user or the session is named, not the role behind it.
func granted(list []*Policy, r *Request) (direct, delegated, itself Truth, by []Source) {
	for _, p := range list {
		for i := range p.Statements {
			s := &p.Statements[i]
			t := s.applies(Allow, r)
			if t == No {
				continue
			}
			n := s.names(&r.Caller)
			if n.any() == No {
				continue
			}
			by = append(by, Source{p, s})
			direct = max(direct, min(t, max(n.itself, n.role, n.everyone, n.service)))
			delegated = max(delegated, min(t, n.account))
			itself = max(itself, min(t, n.itself))
		}
	}
	return direct, delegated, itself, by
}

// applies says whether the statement, if it has the effect, is about the
// request; principals are not looked at.
func (s *Statement) applies(effect Effect, r *Request) Truth {
	t := Yes
	switch s.Effect {
	case effect:
	case EffectUnknown:
		t = Maybe
	default:
		return No
	}
	if t = min(t, s.MatchesAction(r.Action)); t == No {
		return No
	}
	if t = min(t, s.matchesResource(r.Resource, r.Context)); t == No {
		return No
	}
	return min(t, s.Holds(r.Context, Yes))
}

// MatchesAction says whether the statement is about the action.
func (s *Statement) MatchesAction(action string) Truth {
	return listed(s.Actions, s.NotActions, action, nil)
}

func (s *Statement) matchesResource(resource string, ctx Context) Truth {
	if len(s.Resources)+len(s.NotResources) == 0 {
		return Yes // trust policies, and policies of a resource, which are about it
	}
	return listed(s.Resources, s.NotResources, resource, ctx)
}

func listed(in, out []*Pattern, s string, ctx Context) Truth {
	if len(out) > 0 {
		return not(strongest(out, s, ctx))
	}
	return strongest(in, s, ctx)
}

func strongest(list []*Pattern, s string, ctx Context) Truth {
	t := No
	for _, p := range list {
		if t = max(t, p.Match(s, ctx)); t == Yes {
			break
		}
	}
	return t
}

// Holds says whether all of the statement's conditions are met in a context;
// wish is what whoever chooses keys of the request wants the answer to be.
func (s *Statement) Holds(ctx Context, wish Truth) Truth {
	t := Yes
	for i := range s.Conditions {
		if t = min(t, s.Conditions[i].holds(ctx, wish)); t == No {
			return No
		}
	}
	return t
}

// naming says how a statement names a caller.
type naming struct{ itself, role, account, everyone, service Truth }

func (n naming) any() Truth { return max(n.itself, n.role, n.account, n.everyone, n.service) }

func (s *Statement) names(c *Caller) naming {
	if len(s.NotPrincipals) > 0 {
		n := named(s.NotPrincipals, c)
		// Whoever is not listed is meant, as if by "*".
		return naming{everyone: not(n.any())}
	}
	return named(s.Principals, c)
}

func named(list []Principal, c *Caller) naming {
	var n naming
	for _, p := range list {
		switch {
		case p.Everyone():
			n.everyone = Yes
		case p.Type == "Service":
			if c.Service != "" {
				n.service = max(n.service, p.Name.Match(c.Service, nil))
			}
		case p.Type == "AWS":
			if c.ARN != "" {
				n.itself = max(n.itself, p.Name.Match(c.ARN, nil))
			}
			if c.Role != "" {
				n.role = max(n.role, p.Name.Match(c.Role, nil))
			}
			if c.Account != "" {
				n.account = max(n.account, p.Name.Match(c.Account, nil), isRoot(p.Name.text, c.Account))
			}
		case p.Type == "Federated":
			n.itself = max(n.itself, p.Name.Match(c.ARN, nil))
		}
	}
	if n.itself == Maybe || n.role == Maybe {
		// A hole may be the account as well.
		n.account = max(n.account, Maybe)
	}
	return n
}

// isRoot says whether text is the ARN of the account as a whole, in any partition.
func isRoot(text, account string) Truth {
	return truth(strings.HasPrefix(text, "arn:") && strings.HasSuffix(text, ":iam::"+account+":root"))
}
