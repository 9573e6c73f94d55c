package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/function"
	"github.com/apexlogic/apex/internal/function/iam"
	"github.com/apexlogic/apex/internal/function/rightsize"
	"github.com/apexlogic/apex/internal/function/stack"
)

// RightsizeOptions say what was observed and who is left alone.
type RightsizeOptions struct {
	Observed     []string      // files and folders with logs
	Window       time.Duration // at most as much of the logs' time counts
	DataServices []string      // of which the logs hold every action on data
	BreakGlass   []string      // principals that are kept for emergencies, by name, ID or ARN
	// Names are those of principals whose name the code does not say, by ID:
	// the name or the ARN that they were deployed with.
	Names map[string]string
}

// Rightsizing is the plan for all principals of a tree.
type Rightsizing struct {
	Schema string    `json:"schema"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Calls  int       `json:"calls"` // in the logs, of whomever
	Sizes  []Size    `json:"principals"`
	Gaps   []Gap     `json:"gaps,omitempty"`
	Files  []string  `json:"files,omitempty"`  // that were written
	Commit string    `json:"commit,omitempty"` // that holds them
	dir    string
	stacks []*stack.Stack
}

// Gap is a part of the tree that could not be read.
type Gap = stack.Gap

// Size is the plan for one principal, or for one role of Kubernetes.
type Size struct {
	stack.Where
	Principal string   `json:"principal"` // in the stack
	Kind      string   `json:"kind"`
	Functions []string `json:"functions,omitempty"`
	Observed  []string `json:"observedAs,omitempty"` // ARNs, users and groups in the logs

	Untouched string `json:"untouched,omitempty"` // why nothing is proposed
	Failed    string `json:"failed,omitempty"`    // why the proof failed: it is left alone

	Days          int               `json:"days"`
	Calls         int               `json:"calls"`
	Replayed      int               `json:"replayed"`
	Confidence    string            `json:"confidence,omitempty"` // "low", "medium" or "high"
	Because       string            `json:"because,omitempty"`
	Before        int               `json:"before"` // actions that are allowed; pairs of verb and resource
	After         int               `json:"after"`
	Removed       []string          `json:"removed,omitempty"`
	NeverObserved []string          `json:"neverObserved,omitempty"`
	Kept          map[string]string `json:"kept,omitempty"`
	Fixed         []Fixed           `json:"fixed,omitempty"`
	Changes       []Resized         `json:"changes,omitempty"`

	stack *stack.Stack
	path  string // of its file, below the folder
}

// Fixed is a policy that stays as it is.
type Fixed struct {
	stack.Where
	Policy string `json:"policy"`
	Why    string `json:"why"`
}

// Resized is one policy, or the rules of a role, as it shall be.
type Resized struct {
	stack.Where
	Policy string          `json:"policy"` // its ID in the stack
	New    json.RawMessage `json:"new"`
	// Detach: nothing of it was used, and an empty policy is none.
	Detach bool `json:"detach,omitempty"`
	// File is where it was written, Beside why that is not its own file.
	File   string `json:"file,omitempty"`
	Beside string `json:"beside,omitempty"`

	path     string // of its file, below the folder
	old, new *iam.Policy
	from     []int
	lines    []int
	rules    [][]stack.RBACRule
	role     *stack.RBACRole
}

// Rightsize reads the infrastructure code below a folder and logs of what its
// principals did, and plans the smallest policies that allow it. It writes
// nothing; [Rightsizing.Write] does.
func Rightsize(ctx context.Context, dir string, o RightsizeOptions) (*Rightsizing, error) {
	stacks, err := function.ReadDir(ctx, dir, function.Options{})
	if err != nil {
		return nil, err
	}
	seen, err := observe(ctx, o.Observed)
	if err != nil {
		return nil, err
	}
	if seen.calls == 0 {
		return nil, errors.New("the logs hold no call that was allowed: name more of them with --observed")
	}
	out := &Rightsizing{Schema: "apex.function-rightsize/v1", From: seen.from, To: seen.to, Calls: seen.calls, dir: dir, stacks: stacks}
	if o.Window > 0 && seen.to.Sub(seen.from) > o.Window {
		out.From = seen.to.Add(-o.Window)
	}
	options := rightsize.Options{From: out.From, To: out.To, DataServices: map[string]bool{}}
	for _, s := range o.DataServices {
		options.DataServices[s] = true
	}
	named := map[string]bool{}
	for _, s := range stacks {
		out.Gaps = append(out.Gaps, s.Gaps...)
		p := resizer{stack: s, seen: seen, options: options, o: &o, named: named}
		sizes, err := p.plans(ctx)
		if err != nil {
			return nil, err
		}
		out.Sizes = append(out.Sizes, sizes...)
	}
	for _, list := range [][]string{o.BreakGlass, keysOf(o.Names)} {
		for _, name := range list {
			if !named[name] {
				return nil, fmt.Errorf("no principal %q in %s: right-size it without, or mend the name", name, dir)
			}
		}
	}
	out.place()
	slices.SortStableFunc(out.Sizes, func(a, b Size) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Principal, b.Principal))
	})
	return out, nil
}

// place names files from where the program runs.
func (r *Rightsizing) place() {
	at := func(w *stack.Where) (path string) {
		if path = w.File; path != "" {
			w.File = filepath.Join(r.dir, path)
		}
		return path
	}
	for i := range r.Gaps {
		at(&r.Gaps[i].Where)
	}
	for i := range r.Sizes {
		s := &r.Sizes[i]
		s.path = at(&s.Where)
		for j := range s.Fixed {
			at(&s.Fixed[j].Where)
		}
		for j := range s.Changes {
			s.Changes[j].path = at(&s.Changes[j].Where)
		}
	}
}

// Failures counts those whose proof failed.
func (r *Rightsizing) Failures() (n int) {
	for i := range r.Sizes {
		if r.Sizes[i].Failed != "" {
			n++
		}
	}
	return n
}

// KeptInOrder says why rights stay that were not observed.
func (s *Size) KeptInOrder() []string {
	var out []string
	for _, k := range keysOf(s.Kept) {
		out = append(out, s.Kept[k])
	}
	return out
}

func keysOf(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// resizer makes the plans of one stack.
type resizer struct {
	stack   *stack.Stack
	seen    *observed
	options rightsize.Options
	o       *RightsizeOptions
	named   map[string]bool // what options name and was found
}

func (p *resizer) plans(ctx context.Context) ([]Size, error) {
	var out []Size
	holders := map[string][]string{} // of a policy: who has it, and as what
	for i := range p.stack.Principals {
		x := &p.stack.Principals[i]
		for _, id := range x.Policies {
			holders[id] = append(holders[id], x.ID)
		}
		if x.Boundary != "" {
			holders[x.Boundary] = append(holders[x.Boundary], "the boundary of "+x.ID)
		}
	}
	for i := range p.stack.Principals {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out = append(out, p.principal(&p.stack.Principals[i], holders))
	}
	for i := range p.stack.Roles {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out = append(out, p.role(&p.stack.Roles[i]))
	}
	return out, nil
}

// breakGlass says whether one of the names is kept for emergencies.
func (p *resizer) breakGlass(names ...string) bool {
	kept := false
	for _, b := range p.o.BreakGlass {
		if b != "" && slices.Contains(names, b) {
			kept, p.named[b] = true, true
		}
	}
	return kept
}

// principal makes the plan for a role or user of AWS.
func (p *resizer) principal(x *stack.Principal, holders map[string][]string) Size {
	out := Size{Where: x.Where, Principal: x.ID, Kind: x.Kind, stack: p.stack}
	for i := range p.stack.Functions {
		if f := &p.stack.Functions[i]; f.Role == x.ID {
			out.Functions = append(out.Functions, cmp.Or(f.Name, f.ID))
		}
	}
	role := rightsize.Role{Principal: x.ID}
	own := map[string]*stack.Policy{}
	fixed := func(at stack.Where, name, why string, doc *iam.Policy) {
		out.Fixed = append(out.Fixed, Fixed{at, name, why})
		if doc != nil {
			role.Fixed = append(role.Fixed, doc)
		}
	}
	for _, id := range x.Policies {
		policy := p.policy(id)
		doc, why := parsePolicy(policy)
		switch {
		case policy == nil:
			fixed(x.Where, id, "it is declared elsewhere", nil)
		case why != "":
			fixed(policy.Where, id, why, nil)
		case len(holders[id]) > 1:
			fixed(policy.Where, id, "it is shared with "+strings.Join(others(holders[id], x.ID), ", ")+": give each a policy of its own", doc)
		default:
			doc.Origin = id
			role.Policies = append(role.Policies, doc)
			own[id] = policy
		}
	}
	for i, m := range x.Managed {
		at := x.Where
		if i < len(x.ManagedAt) {
			at = x.ManagedAt[i]
		}
		doc, _ := iam.Managed(m.Value)
		fixed(at, m.Value, "it is managed elsewhere", doc)
	}
	for _, g := range x.Groups {
		for i := range p.stack.Principals {
			if group := &p.stack.Principals[i]; group.ID == g {
				for _, id := range group.Policies {
					if doc, why := parsePolicy(p.policy(id)); why == "" {
						fixed(p.policy(id).Where, id, "it is the group's", doc)
					}
				}
			}
		}
	}
	arns, why := p.join(x)
	out.Observed = arns
	names := append([]string{x.ID, x.Name}, arns...)
	for _, arn := range arns {
		_, name := principalName(arn)
		names = append(names, name)
	}
	role.BreakGlass = p.breakGlass(names...)
	switch {
	case x.Kind == "group":
		out.Untouched = "its members act in their own names"
	case role.BreakGlass: // Shrink says so
	case why != "":
		out.Untouched = why
	case len(role.Policies) == 0:
		out.Untouched = "it has no policy of its own here"
	}
	if out.Untouched != "" {
		return out
	}
	plan, err := rightsize.Shrink(role, p.seen.events(arns, x.ID), p.options)
	out.Days, out.Calls, out.Confidence, out.Because, out.Untouched = plan.Days, plan.Calls, plan.Confidence, plan.Because, plan.Untouched
	out.Before, out.After, out.Replayed = plan.Before, plan.After, plan.Replayed
	out.Removed, out.NeverObserved, out.Kept = plan.Removed, plan.NeverObserved, plan.Kept
	if err != nil {
		out.Failed, out.After, out.Removed = err.Error(), plan.Before, nil
		return out
	}
	for i, d := range plan.Documents {
		if policy := own[d.Origin]; d.Changed {
			out.Changes = append(out.Changes, Resized{Where: policy.Where, Policy: d.Origin, New: d.Policy, Detach: len(d.New.Statements) == 0,
				old: role.Policies[i], new: d.New, from: d.From, lines: policy.Lines})
		}
	}
	return out
}

func others(list []string, one string) []string {
	var out []string
	for _, s := range list {
		if s != one && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	if len(out) == 0 { // attached twice
		return []string{one}
	}
	return out
}

func (p *resizer) policy(id string) *stack.Policy {
	for i := range p.stack.Policies {
		if p.stack.Policies[i].ID == id {
			return &p.stack.Policies[i]
		}
	}
	return nil
}

// parsePolicy parses a policy; why says what is wrong with it.
func parsePolicy(p *stack.Policy) (doc *iam.Policy, why string) {
	switch {
	case p == nil:
		return nil, "it is declared elsewhere"
	case p.Unknown || len(p.Document) == 0:
		return nil, "it depends on values outside of the files"
	}
	doc, err := iam.Parse(p.Document)
	if err != nil {
		return nil, err.Error()
	}
	doc.Name = p.Name
	return doc, ""
}

// role makes the plan for a role of Kubernetes.
func (p *resizer) role(x *stack.RBACRole) Size {
	out := Size{Where: x.Where, Kind: "Role", Principal: "Role " + x.Namespace + "/" + x.Name, stack: p.stack}
	if x.Namespace == "" {
		out.Kind, out.Principal = "ClusterRole", "ClusterRole "+x.Name
	}
	var used []rightsize.Access
	for i := range p.stack.Bindings {
		b := &p.stack.Bindings[i]
		if b.Role != x.Name || b.ClusterRole != (x.Namespace == "") || x.Namespace != "" && b.Namespace != x.Namespace {
			continue
		}
		for _, s := range b.Subjects {
			who := s.Name
			if s.Kind == "ServiceAccount" {
				who = "system:serviceaccount:" + cmp.Or(s.Namespace, b.Namespace) + ":" + s.Name
			}
			out.Observed = append(out.Observed, who)
			used = append(used, p.seen.accesses(who, s.Kind == "Group", b.Namespace)...)
			for j := range p.stack.Accounts {
				if a := &p.stack.Accounts[j]; s.Kind == "ServiceAccount" && a.Name == s.Name && a.Namespace == cmp.Or(s.Namespace, b.Namespace) {
					out.Functions = append(out.Functions, a.UsedBy...)
				}
			}
		}
	}
	slices.Sort(out.Observed)
	out.Observed = slices.Compact(out.Observed)
	slices.Sort(out.Functions)
	out.Functions = slices.Compact(out.Functions)
	switch {
	case p.breakGlass(append(out.Observed, x.Name, out.Principal)...):
		out.Untouched = "it is kept for emergencies"
	case x.Aggregates:
		out.Untouched = "its rules come from other roles by their labels"
	case len(out.Observed) == 0:
		out.Untouched = "nothing here binds it: who uses it is not known"
	case len(x.Rules) == 0:
		out.Untouched = "it has no rules"
	case len(used) == 0:
		out.Untouched = "it was not observed at all: ask whether it is needed, rather than what it needs"
	}
	if out.Untouched != "" {
		return out
	}
	plan, err := rightsize.ShrinkRBAC(x.Rules, used, p.options)
	out.Days, out.Calls, out.Confidence, out.Because = int(p.options.To.Sub(p.options.From)/(24*time.Hour)), plan.Calls, plan.Confidence, plan.Because
	out.Before, out.After, out.Replayed, out.NeverObserved, out.Removed = plan.Before, plan.After, plan.Replayed, plan.NeverObserved, plan.NeverObserved
	for _, k := range plan.Kept {
		verb, why, _ := strings.Cut(k, " ")
		if out.Kept == nil {
			out.Kept = map[string]string{}
		}
		out.Kept[verb] = verb + " " + why
	}
	if err != nil {
		out.Failed, out.After, out.Removed = err.Error(), plan.Before, nil
		return out
	}
	if plan.Changed {
		data, err := json.Marshal(kubernetesRules(slices.Concat(plan.Rules...)))
		if err != nil {
			out.Failed = err.Error()
			return out
		}
		out.Changes = []Resized{{Where: x.Where, Policy: out.Principal, New: data, rules: plan.Rules, role: x}}
	}
	return out
}

// kubernetesRules writes rules as a manifest has them.
func kubernetesRules(rules []stack.RBACRule) any {
	type rule struct {
		Groups    []string `json:"apiGroups,omitempty"`
		Resources []string `json:"resources,omitempty"`
		Names     []string `json:"resourceNames,omitempty"`
		URLs      []string `json:"nonResourceURLs,omitempty"`
		Verbs     []string `json:"verbs"`
	}
	out := struct {
		Rules []rule `json:"rules"`
	}{[]rule{}}
	for i := range rules {
		r := &rules[i]
		out.Rules = append(out.Rules, rule{r.Groups, r.Resources, r.Names, r.URLs, r.Verbs})
	}
	return out
}
