// Package escalate finds the ways in which a principal of AWS can gain rights
// that it was not given.
//
// Start at [New] and [Graph.From]. Principals are the nodes of a graph; an edge
// is a [Method]: rewriting a policy, minting a credential, passing a role to
// something that runs code, changing code that runs already, assuming a role.
// Two further nodes stand for what the templates do not show: a principal
// that rewrites its own policies can do anything, and a method that reaches
// every role of the account reaches one that is stronger.
//
// A method that reaches a role which has nothing that the principal lacks is no
// escalation, so passing a role is none by itself.
//
// Sources: AWS IAM User Guide and Service Authorization Reference for what each
// action does; S. Gietzen, "AWS IAM Privilege Escalation: Methods and
// Mitigation" (2018), for the first list of them.
package escalate

import (
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/function/iam"
)

// Node is a principal.
type Node struct {
	ID, Name string
	Kind     string // "role", "user", "group", or "" when a policy stands for whoever will have it
	ARN      string // may have holes; "" when nothing is known of it
	Rights   *iam.Rights
	Bounded  bool // it has a permissions boundary
	Policies []*iam.Policy
	Groups   []*Node     // that a user is in
	Trust    *iam.Policy // of a role
	Machine  bool        // an instance profile carries the role
	Code     []Code      // what runs as it

	seen int // the last search that came by
}

// Code is a function that runs as a principal.
type Code struct{ ID, Name string }

// Path is one way to more rights.
type Path struct {
	// Steps lead from the principal to the last one reached.
	Steps []Step
	// To is the stronger principal, nil for one that the templates do not show.
	To *Node
}

// Step is one use of a method.
type Step struct {
	Method *Method
	From   *Node
	// Grants are the statements that allow it, one for each action it needs.
	Grants []iam.Grant
	// To is whom it leads to, nil for somebody who is not in the templates.
	To *Node
}

// Graph holds the principals. It is not safe for concurrent use.
type Graph struct {
	nodes    []*Node
	methods  []Method
	strength map[*Node]map[string]bool
	grants   map[asked][]iam.Grant
	edges    map[*Node][]Step
	steps    int
	round    int // of searching
}

type asked struct {
	node    *Node
	action  string
	service string // passed to
}

// maxEdges bounds the graph: templates of thousands of roles that may all pass
// each other have more, and no person reads further.
const maxEdges = 200_000

// New makes a graph of principals.
func New(nodes []*Node) *Graph {
	return &Graph{nodes: nodes, methods: methods(), strength: map[*Node]map[string]bool{}, grants: map[asked][]iam.Grant{}, edges: map[*Node][]Step{}}
}

// From lists the ways from n to more rights, each method once, those that need
// fewest steps first. The error is that of policies too complex to compare, or
// of a graph too large; what was found until then is returned with it.
func (g *Graph) From(n *Node) ([]Path, error) {
	have, err := g.strong(n)
	if err != nil {
		return nil, err
	}
	if have["*"] {
		return nil, nil // it can do everything already: there is nothing to gain
	}
	var found []Path
	// A place is a node that was reached, and how: from which place, by which step.
	type place struct {
		node *Node
		from int
		step *Step
	}
	told := map[string]bool{}
	places := []place{{node: n, from: -1}}
	g.round++
	n.seen = g.round
	tell := func(at int, s *Step) {
		steps := []Step{*s}
		for i := at; i > 0; i = places[i].from {
			steps = append(steps, *places[i].step)
		}
		slices.Reverse(steps)
		if id := steps[0].Method.ID; !told[id] {
			told[id] = true
			found = append(found, Path{Steps: steps, To: s.To})
		}
	}
	for at := 0; at < len(places); at++ {
		steps, err := g.out(places[at].node)
		if err != nil {
			return found, err
		}
		for i := range steps {
			s := &steps[i]
			switch {
			case s.To == nil:
				tell(at, s)
				continue
			case s.To == n, at > 0 && s.To.seen == g.round:
				continue // known already; the first steps are all looked at, to name every method
			}
			more, err := g.strong(s.To)
			if err != nil {
				return found, err
			}
			if beyond(more, have) {
				tell(at, s)
			}
			if s.To.seen != g.round {
				s.To.seen = g.round
				places = append(places, place{s.To, at, s})
			}
		}
	}
	return found, nil
}

func beyond(more, have map[string]bool) bool {
	for f := range more {
		service, _, _ := strings.Cut(f, ":")
		if !have[f] && !have[service+":*"] {
			return true
		}
	}
	return false
}

// strong lists what makes a principal worth becoming: the dangerous actions that
// it has on everything, and "*" when it has all there are.
func (g *Graph) strong(n *Node) (map[string]bool, error) {
	if s, ok := g.strength[n]; ok {
		return s, nil
	}
	s := map[string]bool{}
	g.strength[n] = s
	all := true
	for _, action := range probes() {
		grants, err := g.allowed(n, action, "")
		if err != nil {
			return nil, err
		}
		a, known := iam.AWS().Lookup(action)
		has := false
		for i := range grants {
			has = has || grants[i].Truth == iam.Yes && (grants[i].Star() || known && grants[i].Wide(&a))
		}
		if has {
			s[action] = true
		}
		all = all && has
	}
	if all {
		s["*"] = true
	}
	return s, nil
}

// allowed asks for the grants of one action, when the attack passes a role to a
// service.
func (g *Graph) allowed(n *Node, action, service string) ([]iam.Grant, error) {
	key := asked{n, action, service}
	if got, ok := g.grants[key]; ok {
		return got, nil
	}
	arn := n.ARN
	if strings.Contains(arn, "${") {
		arn = ""
	}
	a := iam.Attacker{Action: action, ARN: arn, Values: map[string][]string{"iam:policyarn": {"arn:aws:iam::aws:policy/AdministratorAccess"}}}
	if service != "" {
		a.Values["iam:passedtoservice"] = []string{service}
	}
	if !tagging(action) && n.Rights != nil {
		// Who may set tags may meet a condition on them.
		for _, t := range []string{"iam:TagUser", "iam:TagRole"} {
			can, err := g.free(n, t)
			if err != nil {
				return nil, err
			}
			a.TagsSelf = a.TagsSelf || can
		}
		prefix, _, _ := strings.Cut(action, ":")
		for _, t := range taggers(prefix) {
			can, err := g.free(n, t)
			if err != nil {
				return nil, err
			}
			a.TagsResources = a.TagsResources || can
		}
	}
	got, err := n.Rights.Grants(action, a.Context())
	if err != nil {
		return nil, err
	}
	g.grants[key] = got
	return got, nil
}

// free says whether the principal has the action on everything, without a bound.
func (g *Graph) free(n *Node, action string) (bool, error) {
	grants, err := g.allowed(n, action, "")
	if err != nil {
		return false, err
	}
	a, _ := iam.AWS().Lookup(action)
	return slices.ContainsFunc(grants, func(x iam.Grant) bool { return x.Truth == iam.Yes && (x.Star() || x.Wide(&a)) }), nil
}

func tagging(action string) bool {
	_, name, _ := strings.Cut(action, ":")
	return strings.HasPrefix(name, "Tag") || name == "CreateTags"
}

// taggers are the actions that put tags on the resources of a service.
func taggers(service string) []string {
	switch service {
	case "iam":
		return []string{"iam:TagUser", "iam:TagRole", "iam:TagPolicy"}
	case "ec2", "ssm", "ec2-instance-connect":
		return []string{"ec2:CreateTags"}
	case "lambda":
		return []string{"lambda:TagResource"}
	}
	return nil
}

// Grants lists the ways in which the principal has the action when it passes
// nothing, as an attacker who holds its credentials.
func (g *Graph) Grants(n *Node, action string) ([]iam.Grant, error) { return g.allowed(n, action, "") }
