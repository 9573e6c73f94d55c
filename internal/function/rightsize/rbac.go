package rightsize

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/function/stack"
)

// Access is one allowed request to a Kubernetes API server.
type Access struct {
	Time      time.Time
	User      string // "system:serviceaccount:vision:captioner"
	Groups    []string
	Verb      string
	Group     string // "" for the core group
	Resource  string // "pods", "pods/log"; "" for a path
	Namespace string
	Name      string // "" for lists
	URL       string // of a request that is not for a resource
	// Times is how often it was observed, the first time at Time; 0 means once.
	Times int
}

func (a *Access) times() int { return max(a.Times, 1) }

type account struct {
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
}

// Audit reads events of audit.k8s.io/v1, one a line. Only those of the last
// stage count, and only those that the authorizer allowed.
func Audit(r io.Reader, each func(Access)) error {
	err := lines(r, func(line []byte) error {
		var e struct {
			Stage      string    `json:"stage"`
			Verb       string    `json:"verb"`
			RequestURI string    `json:"requestURI"`
			Time       time.Time `json:"requestReceivedTimestamp"`
			User       account   `json:"user"`
			// Who was acted as: the rights are theirs.
			Impersonated *account `json:"impersonatedUser"`
			ObjectRef    *struct {
				Resource    string `json:"resource"`
				Subresource string `json:"subresource"`
				APIGroup    string `json:"apiGroup"`
				Namespace   string `json:"namespace"`
				Name        string `json:"name"`
			} `json:"objectRef"`
			ResponseStatus struct {
				Code int `json:"code"`
			} `json:"responseStatus"`
			Annotations map[string]string `json:"annotations"`
		}
		if err := audit.Unmarshal(line, &e); err != nil {
			return err
		}
		if e.Verb == "" || e.User.Username == "" {
			return errors.New("no verb or user: it is no audit event")
		}
		if e.Stage != "ResponseComplete" || e.ResponseStatus.Code == 403 || e.ResponseStatus.Code == 401 || e.Annotations["authorization.k8s.io/decision"] == "forbid" {
			return nil
		}
		who := e.User
		if e.Impersonated != nil && e.Impersonated.Username != "" {
			who = *e.Impersonated
		}
		a := Access{Time: e.Time, User: who.Username, Groups: who.Groups, Verb: e.Verb}
		if o := e.ObjectRef; o != nil {
			a.Group, a.Resource, a.Namespace, a.Name = o.APIGroup, o.Resource, o.Namespace, o.Name
			if o.Subresource != "" {
				a.Resource += "/" + o.Subresource
			}
		} else {
			a.URL, _, _ = strings.Cut(e.RequestURI, "?")
		}
		each(a)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read audit log: %w", err)
	}
	return nil
}

// audit lets the objects of requests have any keys.
var audit = bounded.Rules{Depth: maxDepth, FreeMaps: []string{"annotations", "labels", "requestObject", "responseObject", "data"}}

// RBACPlan is what to do with the rules of one role.
type RBACPlan struct {
	// Rules are the new ones, by the rule that they come from.
	Rules   [][]stack.RBACRule
	Changed bool

	Calls      int // of those who are bound to it
	Replayed   int // of them, those that the old rules allowed and the new ones do
	Confidence string
	Because    string
	// Before and After count the pairs of verb and resource that the rules name.
	Before, After int
	// NeverObserved are those that were not seen, "delete pods"; Kept says why
	// some of them stay.
	NeverObserved []string
	Kept          []string
}

// unlogged are verbs that are asked for while another request is decided: an
// audit log does not show them.
func unlogged() []string {
	return []string{"approve", "attest", "bind", "escalate", "impersonate", "sign", "use"}
}

// ShrinkRBAC narrows the rules of a role to what was observed of those who are
// bound to it. Verbs are kept by resource; the names and URLs of rules stay, and
// so do verbs that a log cannot show. It never widens: every new rule lies
// within one of the old. An error says that the proof failed: nothing must then
// be changed.
func ShrinkRBAC(rules []stack.RBACRule, observed []Access, o Options) (RBACPlan, error) {
	plan := RBACPlan{Rules: make([][]stack.RBACRule, 0, len(rules))}
	moments := make([]moment, 0, len(observed))
	for i := range observed {
		a := &observed[i]
		plan.Calls += a.times()
		moments = append(moments, moment{a.Verb + " " + a.Group + "/" + a.Resource + a.URL, a.Time})
	}
	plan.Confidence, plan.Because = confidence(moments, plan.Calls, o)
	var all []stack.RBACRule
	for i := range rules {
		made := shrinkRule(&rules[i], observed)
		plan.Before += pairs(rules[i : i+1])
		plan.unseen(&rules[i], made)
		if alike(&rules[i], made) {
			made = rules[i : i+1]
		} else {
			plan.Changed = true
		}
		plan.Rules = append(plan.Rules, made)
		all = append(all, made...)
	}
	plan.After = pairs(all)
	slices.Sort(plan.NeverObserved)
	plan.NeverObserved = slices.Compact(plan.NeverObserved)
	for i := range observed {
		a := &observed[i]
		if !slices.ContainsFunc(rules, func(r stack.RBACRule) bool { return permits(&r, a) }) {
			continue // something else allows it
		}
		if !slices.ContainsFunc(all, func(r stack.RBACRule) bool { return permits(&r, a) }) {
			return plan, fmt.Errorf("%w: %s %s", ErrLoses, a.Verb, a.Resource)
		}
		plan.Replayed += a.times()
	}
	for i := range all {
		if !slices.ContainsFunc(rules, func(o stack.RBACRule) bool { return holds(&o, &all[i]) }) {
			return plan, fmt.Errorf("%w: %v", ErrWidens, all[i].Resources)
		}
	}
	return plan, nil
}

// maxNamed bounds what is named as never observed: a rule may hold thousands of
// verbs and of resources, and a person reads some hundred.
const maxNamed = 10_000

// unseen notes what of a rule is in none of those made from it, and which verbs
// stay although they were not seen.
func (p *RBACPlan) unseen(r *stack.RBACRule, made []stack.RBACRule) {
	for _, v := range r.Verbs {
		if slices.Contains(unlogged(), v) {
			p.Kept = append(p.Kept, v+" is asked for within other requests, which a log does not show: it stays")
		}
		for _, what := range slices.Concat(r.Resources, r.URLs) {
			if len(p.NeverObserved) >= maxNamed {
				return
			}
			if !slices.ContainsFunc(made, func(m stack.RBACRule) bool {
				return slices.Contains(m.Verbs, v) && (slices.Contains(m.Resources, what) || slices.Contains(m.URLs, what))
			}) {
				p.NeverObserved = append(p.NeverObserved, v+" "+what)
			}
		}
	}
}

func pairs(rules []stack.RBACRule) (n int) {
	for i := range rules {
		r := &rules[i]
		n += len(r.Verbs) * (max(len(r.Groups), 1)*len(r.Resources) + len(r.URLs))
	}
	return n
}

// alike says whether a rule is all that was made from one, in whatever order.
func alike(r *stack.RBACRule, made []stack.RBACRule) bool {
	if len(made) != 1 {
		return false
	}
	m := &made[0]
	same := func(a, b []string) bool { return slices.Equal(unique(a), unique(b)) }
	return same(r.Verbs, m.Verbs) && same(r.Groups, m.Groups) && same(r.Resources, m.Resources) && same(r.Names, m.Names) && same(r.URLs, m.URLs)
}

func shrinkRule(r *stack.RBACRule, observed []Access) []stack.RBACRule {
	type thing struct{ group, resource string }
	verbs := map[thing][]string{}
	var paths []string
	for i := range observed {
		a := &observed[i]
		switch {
		case !permits(r, a):
		case a.Resource == "":
			paths = append(paths, a.Verb)
		default:
			t := thing{a.Group, a.Resource}
			verbs[t] = append(verbs[t], a.Verb)
		}
	}
	// Resources of a group that were used in the same way share a rule.
	type use struct{ group, verbs string }
	resources := map[use][]string{}
	for t, v := range verbs {
		u := use{t.group, strings.Join(unique(v), ",")}
		resources[u] = append(resources[u], t.resource)
	}
	var out []stack.RBACRule
	for u, list := range resources {
		out = append(out, stack.RBACRule{Where: r.Where, Groups: []string{u.group}, Resources: unique(list), Verbs: strings.Split(u.verbs, ","), Names: r.Names})
	}
	if len(paths) > 0 {
		out = append(out, stack.RBACRule{Where: r.Where, URLs: r.URLs, Verbs: unique(paths)})
	}
	slices.SortFunc(out, func(a, b stack.RBACRule) int {
		return cmp.Or(strings.Compare(strings.Join(append(a.Groups, a.Resources...), ","), strings.Join(append(b.Groups, b.Resources...), ",")),
			strings.Compare(strings.Join(a.Verbs, ","), strings.Join(b.Verbs, ",")))
	})
	var silent []string
	for _, v := range r.Verbs {
		if slices.Contains(unlogged(), v) {
			silent = append(silent, v)
		}
	}
	switch {
	case len(silent) == 0:
	case len(out) == 1 && slices.Equal(unique(r.Groups), out[0].Groups) && slices.Equal(unique(r.Resources), out[0].Resources):
		out[0].Verbs = append(out[0].Verbs, silent...)
	default:
		out = append(out, stack.RBACRule{Where: r.Where, Groups: r.Groups, Resources: r.Resources, Verbs: silent, Names: r.Names})
	}
	return out
}

func unique(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// permits says whether a rule allows a request, as Kubernetes' RBAC decides.
func permits(r *stack.RBACRule, a *Access) bool {
	if !listed(r.Verbs, a.Verb) {
		return false
	}
	if a.Resource == "" {
		return slices.ContainsFunc(r.URLs, func(u string) bool {
			return u == "*" || u == a.URL || strings.HasSuffix(u, "*") && strings.HasPrefix(a.URL, strings.TrimSuffix(u, "*"))
		})
	}
	return listed(r.Groups, a.Group) && onResource(r.Resources, a.Resource) && (len(r.Names) == 0 || slices.Contains(r.Names, a.Name))
}

func listed(list []string, s string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, s)
}

// onResource knows "*/scale", which is that subresource of everything.
func onResource(list []string, s string) bool {
	if listed(list, s) {
		return true
	}
	_, sub, ok := strings.Cut(s, "/")
	return ok && slices.Contains(list, "*/"+sub)
}

// holds says whether the rule n lies within o.
func holds(o, n *stack.RBACRule) bool {
	for _, v := range n.Verbs {
		if !listed(o.Verbs, v) {
			return false
		}
	}
	for _, g := range n.Groups {
		if !listed(o.Groups, g) {
			return false
		}
	}
	for _, r := range n.Resources {
		if !onResource(o.Resources, r) {
			return false
		}
	}
	for _, u := range n.URLs {
		if !slices.Contains(o.URLs, u) {
			return false
		}
	}
	return slices.Equal(o.Names, n.Names) || len(o.Names) == 0
}
