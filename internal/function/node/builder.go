package node

import (
	"strings"

	"github.com/apexlogic/apex/internal/function/stack"
)

// MaxGaps bounds what a stack says about what could not be read.
const MaxGaps = 200

// maxParts bounds the principals, policies and links of one stack.
const maxParts = 20_000

// Builder fills a stack while a unit is read: it keeps the names by which its
// parts refer to each other. Principals and functions are added before what
// refers to them is linked.
type Builder struct {
	Stack *stack.Stack

	principals map[string]int // by ID
	named      map[string]int // by kind and name
	functions  map[string]int
	called     map[string]int // functions by name
	policies   map[string]int
	titled     map[string]string // policies' IDs by name
	parts      int
}

// NewBuilder starts a stack.
func NewBuilder(unit stack.Unit, root string) *Builder {
	return &Builder{Stack: &stack.Stack{Unit: unit, Root: root},
		principals: map[string]int{}, named: map[string]int{}, functions: map[string]int{}, called: map[string]int{},
		policies: map[string]int{}, titled: map[string]string{}}
}

// Gap notes what could not be read, once.
func (b *Builder) Gap(at stack.Where, why string) {
	g := stack.Gap{Where: at, Why: why}
	for _, have := range b.Stack.Gaps {
		if have == g {
			return
		}
	}
	if len(b.Stack.Gaps) < MaxGaps {
		b.Stack.Gaps = append(b.Stack.Gaps, g)
	}
}

// full says that the stack has all the parts that it may have.
func (b *Builder) full(at stack.Where) bool {
	if b.parts++; b.parts > maxParts {
		b.Gap(stack.Where{File: at.File}, "more roles, policies and links than any real stack: the rest was not read")
		return true
	}
	return false
}

// Principal adds a role, user or group.
func (b *Builder) Principal(p stack.Principal) {
	if _, ok := b.principals[p.ID]; ok || b.full(p.Where) {
		return
	}
	i := len(b.Stack.Principals)
	b.Stack.Principals = append(b.Stack.Principals, p)
	b.principals[p.ID] = i
	if p.Name != "" {
		if _, ok := b.named[p.Kind+" "+p.Name]; !ok {
			b.named[p.Kind+" "+p.Name] = i
		}
	}
}

// Find returns the ID of the principal that a value names: by reference, by
// name or by ARN; "" when the stack does not declare it.
func (b *Builder) Find(kind string, n *Node) string {
	if n.IsNull() {
		return ""
	}
	if _, ok := b.principals[n.Ref]; ok && n.Ref != "" {
		return n.Ref
	}
	if i, ok := b.named[kind+" "+nameOf(n)]; ok {
		return b.Stack.Principals[i].ID
	}
	return ""
}

// nameOf is the name in an ARN, or the text itself. Of a reference to something
// that the stack lacks, whichever attribute it names is that of one thing.
func nameOf(n *Node) string {
	text := n.Value().Value
	if strings.HasPrefix(text, "${") && strings.IndexByte(text, '}') == len(text)-1 {
		for _, attribute := range []string{".id}", ".name}", ".arn}", ".Arn}"} {
			if thing, ok := strings.CutSuffix(text, attribute); ok && strings.Contains(thing, ".") {
				return thing + "}"
			}
		}
	}
	if i := strings.LastIndexByte(text, '/'); i >= 0 && strings.HasPrefix(text, "arn:") && !strings.Contains(text[i:], "}") {
		return text[i+1:]
	}
	return text
}

// FindOrAdd is Find, and adds a principal that is declared elsewhere: several
// policies that are attached to it here are judged together.
func (b *Builder) FindOrAdd(kind string, n *Node, at stack.Where) string {
	if n.IsNull() {
		return ""
	}
	if id := b.Find(kind, n); id != "" {
		return id
	}
	name := nameOf(n)
	id := kind + " " + name
	b.Principal(stack.Principal{Where: at, ID: id, Name: name, Kind: kind})
	return id
}

// Update changes a principal that was added.
func (b *Builder) Update(id string, change func(*stack.Principal)) {
	if i, ok := b.principals[id]; ok {
		change(&b.Stack.Principals[i])
	}
}

// Policy adds an identity policy and returns its ID.
func (b *Builder) Policy(doc *Node, id, name string, at stack.Where) string {
	for base, i := id, 2; ; i++ {
		if _, ok := b.policies[id]; !ok {
			break
		}
		id = base + "#" + itoa(i)
	}
	if b.full(at) {
		return ""
	}
	p, err := Policy(doc, id, name, at)
	if err != nil {
		b.Gap(at, err.Error())
	}
	b.policies[id] = len(b.Stack.Policies)
	if name != "" && b.titled[name] == "" {
		b.titled[name] = id
	}
	b.Stack.Policies = append(b.Stack.Policies, p)
	return id
}

// IsPolicy says whether the value refers to a policy of the stack.
func (b *Builder) IsPolicy(n *Node) bool {
	_, ok := b.policies[n.Ref]
	return ok && n.Ref != ""
}

// Attach gives a principal a policy of the stack.
func (b *Builder) Attach(principal, policy string) {
	if principal == "" || policy == "" || b.full(stack.Where{}) {
		return
	}
	b.Update(principal, func(p *stack.Principal) {
		for _, have := range p.Policies {
			if have == policy {
				return
			}
		}
		p.Policies = append(p.Policies, policy)
	})
}

// AttachARN gives a principal the policy that a value names: one of the stack,
// or a managed one outside of it. at is the place that attaches it.
func (b *Builder) AttachARN(principal string, n *Node, at stack.Where) {
	if n.IsNull() || principal == "" {
		return
	}
	if b.IsPolicy(n) {
		b.Attach(principal, n.Ref)
		return
	}
	if name := nameOf(n); strings.Contains(n.Str, ":policy/") && !strings.Contains(n.Str, "::aws:policy/") {
		if id := b.titled[name]; id != "" {
			b.Attach(principal, id)
			return
		}
	}
	if b.full(at) {
		return
	}
	b.Update(principal, func(p *stack.Principal) {
		p.Managed = append(p.Managed, n.Value())
		p.ManagedAt = append(p.ManagedAt, at)
	})
}

// Bound sets a principal's permissions boundary.
func (b *Builder) Bound(principal string, n *Node) {
	if n.IsNull() {
		return
	}
	b.Update(principal, func(p *stack.Principal) {
		if b.IsPolicy(n) {
			p.Boundary = n.Ref
			return
		}
		p.Outside = n.Value()
	})
}

// Trust sets who may assume a role.
func (b *Builder) Trust(principal string, doc *Node, at stack.Where) {
	if doc.IsNull() {
		return
	}
	p, err := Policy(doc, principal+" trust", "", at)
	if err != nil {
		b.Gap(at, err.Error())
	}
	b.Update(principal, func(have *stack.Principal) { have.Trust = &p })
}

// Function adds a function and returns it; it may be changed until the next
// one is added.
func (b *Builder) Function(f stack.Function) {
	if _, ok := b.functions[f.ID]; ok || b.full(f.Where) {
		return
	}
	b.functions[f.ID] = len(b.Stack.Functions)
	if _, ok := b.called[f.Name]; !ok && f.Name != "" {
		b.called[f.Name] = len(b.Stack.Functions)
	}
	b.Stack.Functions = append(b.Stack.Functions, f)
}

// FunctionOf returns the function that a value names, nil when the stack does
// not declare it.
func (b *Builder) FunctionOf(n *Node) *stack.Function {
	if n.IsNull() {
		return nil
	}
	if i, ok := b.functions[n.Ref]; ok && n.Ref != "" {
		return &b.Stack.Functions[i]
	}
	name := n.Value().Value
	if _, rest, ok := strings.Cut(name, ":function:"); ok {
		name = rest
		// A version or the path of an invocation may follow; an unknown part
		// holds what it likes.
		if !strings.HasPrefix(name, "${") {
			if i := strings.IndexAny(name, ":/"); i >= 0 {
				name = name[:i]
			}
		} else if i := strings.Index(name, "}"); i >= 0 {
			name = name[:i+1]
		}
	}
	if i, ok := b.called[name]; ok {
		return &b.Stack.Functions[i]
	}
	return nil
}

// Expose notes a way into a function that asks nobody who they are. A function
// that is declared elsewhere is added: this is all that is known of it.
func (b *Builder) Expose(n *Node, id, kind string, at stack.Where, how string) {
	f := b.FunctionOf(n)
	if f == nil {
		b.Function(stack.Function{Where: at, ID: id, Name: n.Value().Value, Kind: kind})
		if f = b.FunctionOf(String(at, "").Referring(id)); f == nil {
			return
		}
	}
	e := stack.Exposure{Where: at, How: how}
	for _, have := range f.Public {
		if have == e {
			return
		}
	}
	if !b.full(at) {
		f.Public = append(f.Public, e)
	}
}

// Resource adds a thing with data or a policy of its own.
func (b *Builder) Resource(r stack.Resource, doc *Node, policyAt stack.Where) {
	if b.full(r.Where) {
		return
	}
	if !doc.IsNull() {
		p, err := Policy(doc, r.ID, r.Name, policyAt)
		if err != nil {
			b.Gap(policyAt, err.Error())
		}
		r.Policy = &p
	}
	b.Stack.Resources = append(b.Stack.Resources, r)
}

// Variables are the environment variables of a map.
func Variables(n *Node) []stack.Variable {
	if !n.IsMap() {
		return nil
	}
	var out []stack.Variable
	for _, f := range n.Fields {
		v := stack.Variable{Where: stack.Where{File: n.File, Line: f.Line}, Name: Show(f.Key), Value: f.Value.Value()}
		if i := strings.Index(v.Value.Value, "{{resolve:"); i >= 0 {
			v.From, _, _ = strings.Cut(v.Value.Value[i+len("{{resolve:"):], ":")
		}
		out = append(out, v)
	}
	return out
}
