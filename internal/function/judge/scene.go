package judge

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/function/iam"
	"github.com/apexlogic/apex/internal/function/iam/escalate"
	"github.com/apexlogic/apex/internal/function/stack"
)

// scene is a stack made ready to be judged.
type scene struct {
	stack   *stack.Stack
	options Options
	nodes   []*escalate.Node
	graph   *escalate.Graph
	origins map[*iam.Policy]origin
	unknown []unknown // what could not be read

	class Class
	found []stack.Finding
	told  map[key]bool
}

// origin is where a document stands in the stack.
type origin struct {
	stack.Where
	resource string
	lines    []int
	managed  bool
}

// unknown is a part of somebody's rights that is not known.
type unknown struct {
	where    stack.Where
	resource string
	why      string
	broken   bool // not for want of a value: the document is wrong
}

func newScene(s *stack.Stack, o Options) *scene {
	sc := &scene{stack: s, options: o, origins: map[*iam.Policy]origin{}, told: map[key]bool{}}
	policies := map[string]*iam.Policy{}
	used := map[string]bool{}
	for i := range s.Policies {
		p := &s.Policies[i]
		if doc, ok := sc.read(p, p.ID, p.ID); ok {
			policies[p.ID] = doc
		}
	}
	nodes := map[string]*escalate.Node{}
	for i := range s.Principals {
		p := &s.Principals[i]
		n := &escalate.Node{ID: p.ID, Name: p.Name, Kind: p.Kind, Machine: p.Profile, ARN: arnOf(p)}
		for _, id := range p.Policies {
			used[id] = true
			if doc := policies[id]; doc != nil {
				n.Policies = append(n.Policies, doc)
			}
		}
		for j, m := range p.Managed {
			where := p.Where
			if j < len(p.ManagedAt) {
				where = p.ManagedAt[j]
			}
			doc, ok := iam.Managed(m.Value)
			if !ok {
				sc.unknown = append(sc.unknown, unknown{where, p.ID, fmt.Sprintf("what the policy %s allows is not known here", m.Value), false})
				continue
			}
			sc.origins[doc] = origin{Where: where, resource: p.ID, managed: true}
			n.Policies = append(n.Policies, doc)
		}
		if p.Trust != nil {
			if doc, ok := sc.read(p.Trust, p.ID, p.ID); ok {
				n.Trust = doc
			}
		}
		nodes[p.ID] = n
		sc.nodes = append(sc.nodes, n)
	}
	for i := range s.Principals {
		p := &s.Principals[i]
		n := nodes[p.ID]
		all := slices.Clone(n.Policies)
		for _, id := range p.Groups {
			if group := nodes[id]; group != nil && group != n {
				n.Groups = append(n.Groups, group)
				all = append(all, group.Policies...)
			}
		}
		var boundary []*iam.Policy
		switch {
		case p.Boundary != "":
			used[p.Boundary] = true
			boundary, n.Bounded = []*iam.Policy{}, true
			if doc := policies[p.Boundary]; doc != nil {
				boundary = append(boundary, doc)
			} else {
				// One that cannot be read limits nothing here: what it lets
				// through is not known, and is judged as if all of it were.
				boundary = nil
			}
		case p.Outside.Value != "":
			n.Bounded = true
			if doc, ok := iam.Managed(p.Outside.Value); ok {
				boundary = []*iam.Policy{doc}
			}
		}
		n.Policies = all
		n.Rights = iam.NewRights(all, boundary)
	}
	for i := range s.Functions {
		f := &s.Functions[i]
		if n := nodes[f.Role]; n != nil {
			n.Code = append(n.Code, escalate.Code{ID: f.ID, Name: f.Name})
		}
	}
	for i := range s.Policies {
		p := &s.Policies[i]
		doc := policies[p.ID]
		if doc == nil || used[p.ID] {
			continue
		}
		docs := []*iam.Policy{doc}
		sc.nodes = append(sc.nodes, &escalate.Node{ID: p.ID, Name: p.Name, Policies: docs, Rights: iam.NewRights(docs, nil)})
	}
	sc.graph = escalate.New(sc.nodes)
	return sc
}

// arnOf is what is known of a principal's ARN.
func arnOf(p *stack.Principal) string {
	if p.Name == "" || p.Kind == "" {
		return ""
	}
	return "arn:${partition}:iam::${account}:" + p.Kind + "/" + p.Name
}

// read parses a document, and notes it where it cannot be.
func (sc *scene) read(p *stack.Policy, resource, id string) (*iam.Policy, bool) {
	if p.Unknown || len(p.Document) == 0 {
		sc.unknown = append(sc.unknown, unknown{p.Where, resource, "the policy is not known before it is deployed", false})
		return nil, false
	}
	doc, err := iam.Parse(p.Document)
	if err != nil {
		sc.unknown = append(sc.unknown, unknown{p.Where, resource, err.Error(), !strings.Contains(string(p.Document), "${")})
		return nil, false
	}
	doc.Origin, doc.Name = id, p.Name
	sc.origins[doc] = origin{Where: p.Where, resource: resource, lines: p.Lines}
	return doc, true
}

// at is where a statement stands.
func (sc *scene) at(s iam.Source) stack.Where {
	o := sc.origins[s.Policy]
	if s.Statement != nil && s.Statement.Index < len(o.lines) && o.lines[s.Statement.Index] > 0 {
		return stack.Where{File: o.File, Line: o.lines[s.Statement.Index]}
	}
	return o.Where
}

// hopeless notes that somebody's rights could not be compared.
func (sc *scene) hopeless(n *escalate.Node, err error) {
	why := err.Error()
	if !errors.Is(err, iam.ErrTooComplex) && !errors.Is(err, escalate.ErrTooLarge) {
		why = "judge rights: " + why
	}
	u := unknown{resource: n.ID, why: why, broken: true}
	for _, p := range n.Policies {
		u.where = sc.origins[p].Where
		break
	}
	if !slices.ContainsFunc(sc.unknown, func(x unknown) bool { return x.resource == u.resource && x.why == u.why }) {
		sc.unknown = append(sc.unknown, u)
	}
}

// tally gathers the actions that a class finds, by the document they stand in.
type tally struct {
	order []string
	by    map[string]*sum
}

type sum struct {
	source  iam.Source
	where   stack.Where
	actions []string
}

// add counts an action of a statement. The statement that stands first is kept.
func (sc *scene) add(t *tally, s iam.Source, action string) {
	if t.by == nil {
		t.by = map[string]*sum{}
	}
	resource, where := sc.origins[s.Policy].resource, sc.at(s)
	x := t.by[resource]
	if x == nil {
		x = &sum{source: s, where: where}
		t.by[resource] = x
		t.order = append(t.order, resource)
	}
	if where.File == x.where.File && where.Line < x.where.Line {
		x.where, x.source = where, s
	}
	if !slices.Contains(x.actions, action) {
		x.actions = append(x.actions, action)
	}
}

// tell reports what was gathered; format takes the list of actions.
func (sc *scene) tell(t *tally, format string) {
	for _, resource := range t.order {
		x := t.by[resource]
		sc.report(x.where, resource, fmt.Sprintf(format, few(x.actions)))
	}
}

// few writes a list out, up to a length that a person reads.
func few(list []string) string {
	const most = 4
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}
