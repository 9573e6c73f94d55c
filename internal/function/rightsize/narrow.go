package rightsize

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/function/iam"
)

// narrowing takes the calls to the statements that allowed them.
type narrowing struct {
	old     []*iam.Policy
	all     []*iam.Policy // with those that are fixed
	calls   []call
	whole   map[string]bool // services that keep what they had
	options Options
	changed []bool
	from    [][]int
}

// anything is the context of a call whose conditions the log does not show.
func anything(string) iam.Value { return iam.Value{State: iam.Foreign} }

func newNarrowing(role *Role, calls []call, o Options, kept map[string]string) *narrowing {
	n := &narrowing{old: role.Policies, all: slices.Concat(role.Policies, role.Fixed), calls: calls, whole: map[string]bool{}, options: o}
	for _, c := range calls {
		service, _, _ := strings.Cut(c.action, ":")
		if _, known := iam.AWS().Lookup(c.action); !known {
			n.whole[service] = true
			kept[service] = c.action + " is no action that is known"
			continue
		}
		if c.resource == "" || c.action == passRole { // which is gathered from what calls name
			continue
		}
		if decide(n.all, c) == iam.No {
			// Something else allows it, or the log names another resource than
			// the one that was asked about. Which it is cannot be told.
			n.whole[service] = true
			kept[service] = c.action + " was observed, and these policies do not explain it"
		}
	}
	for _, s := range dataServices() {
		if !o.DataServices[s] && n.allowsData(s) {
			kept[s] = "the log is not said to hold every call on data of " + s + ": its actions on data stay"
		}
	}
	return n
}

func (n *narrowing) allowsData(service string) bool {
	for _, p := range n.old {
		for i := range p.Statements {
			s := &p.Statements[i]
			for _, a := range dataActions(service) {
				if s.Effect == iam.Allow && s.MatchesAction(a) != iam.No {
					return true
				}
			}
		}
	}
	return false
}

// documents are the new policies, in the order of the old ones.
func (n *narrowing) documents() []*iam.Policy {
	var out []*iam.Policy
	for _, p := range n.old {
		q := &iam.Policy{Origin: p.Origin, Name: p.Name, Version: p.Version, ID: p.ID}
		var from []int
		for i := range p.Statements {
			s := &p.Statements[i]
			made := []iam.Statement{*s}
			if s.Effect == iam.Allow && !unknownActions(s) {
				made = n.statement(s)
			}
			for range made {
				from = append(from, i)
			}
			q.Statements = append(q.Statements, made...)
		}
		name(q.Statements)
		for i := range q.Statements {
			q.Statements[i].Index = i
		}
		a, _ := json.Marshal(p)
		b, _ := json.Marshal(q)
		n.changed = append(n.changed, string(a) != string(b))
		n.from = append(n.from, from)
		out = append(out, q)
	}
	return out
}

// statement narrows one statement that allows: one new one for each set of
// resources, with the actions that were observed on it.
func (n *narrowing) statement(s *iam.Statement) []iam.Statement {
	seen := map[string][]string{}  // resources by action
	maybe := map[string][]string{} // patterns that may have allowed it, by action
	blind := map[string]bool{}     // actions whose resource the log does not show
	for _, c := range n.calls {
		service, _, _ := strings.Cut(c.action, ":")
		if n.whole[service] || s.MatchesAction(c.action) != iam.Yes {
			continue
		}
		if c.resource == "" || !takesResource(c.action) && !covered(s, iam.ResourcePattern("*")) {
			blind[c.action] = true
			continue
		}
		if covered(s, iam.ResourcePattern(escape(c.resource))) {
			seen[c.action] = append(seen[c.action], c.resource)
			continue
		}
		// Whether the statement allowed it depends on what a template does not say.
		if len(s.NotResources) > 0 && possible(s.NotResources, c.resource) != nil {
			blind[c.action] = true
		}
		for _, p := range possible(s.Resources, c.resource) {
			maybe[c.action] = append(maybe[c.action], p.String())
		}
	}
	for _, service := range dataServices() {
		if n.options.DataServices[service] || n.whole[service] {
			continue
		}
		for _, a := range dataActions(service) {
			if s.MatchesAction(a) == iam.Yes {
				blind[a] = true
			}
		}
	}
	groups := map[string][]string{} // actions by their resources
	for action := range maybe {
		if seen[action] == nil {
			seen[action] = []string{}
		}
	}
	for action, resources := range seen {
		if blind[action] {
			continue
		}
		list := append(n.resources(s, action, resources), maybe[action]...)
		slices.Sort(list)
		k := strings.Join(slices.Compact(list), "\n")
		groups[k] = append(groups[k], action)
	}
	var out []iam.Statement
	keys := make([]string, 0, len(groups))
	for k := range groups {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		one := *s
		one.Actions, one.NotActions = patterns(groups[k], iam.ActionPattern), nil
		one.Resources, one.NotResources = patterns(strings.Split(k, "\n"), iam.ResourcePattern), nil
		out = append(out, one)
	}
	// What keeps its resources: blind actions, and services kept whole.
	keep := make([]string, 0, len(blind))
	for a := range blind {
		keep = append(keep, a)
	}
	for service := range n.whole {
		keep = append(keep, n.wholeOf(s, service)...)
	}
	if len(keep) > 0 {
		one := *s
		one.Actions, one.NotActions = patterns(keep, iam.ActionPattern), nil
		out = append(out, one)
	}
	return out
}

func takesResource(action string) bool {
	a, _ := iam.AWS().Lookup(action)
	return len(a.Resources) > 0
}

// possible are the patterns that match a resource depending on a part that is
// not known.
func possible(list []*iam.Pattern, resource string) []*iam.Pattern {
	var out []*iam.Pattern
	for _, p := range list {
		if p.Match(resource, anything) == iam.Maybe {
			out = append(out, p)
		}
	}
	return out
}

// unknownActions says whether a statement does not say what it is about: it
// stays as it is.
func unknownActions(s *iam.Statement) bool {
	unknown := func(p *iam.Pattern) bool { return p.Unknown() }
	return slices.ContainsFunc(s.Actions, unknown) || slices.ContainsFunc(s.NotActions, unknown)
}

// name gives the statements that were made from one a Sid each: it is unique
// within a document, of letters and digits.
func name(statements []iam.Statement) {
	taken := map[string]bool{}
	for i := range statements {
		taken[statements[i].Sid] = true
	}
	had := map[string]bool{"": true}
	for i := range statements {
		s := &statements[i]
		if s.Sid == "" || !had[s.Sid] {
			had[s.Sid] = true
			continue
		}
		sid := s.Sid
		for n := 2; taken[sid]; n++ {
			sid = s.Sid + strconv.Itoa(n)
		}
		s.Sid, taken[sid], had[sid] = sid, true, true
	}
}

// wholeOf is what a statement allows of a service, in its own words where it
// has any.
func (n *narrowing) wholeOf(s *iam.Statement, service string) []string {
	var list []string
	for _, p := range s.Actions {
		prefix, _, ok := strings.Cut(p.String(), ":")
		switch {
		case p.String() == "*" || ok && strings.Trim(prefix, "*") == "" && strings.HasSuffix(p.String(), ":*"):
			list = append(list, service+":*")
		case strings.EqualFold(prefix, service):
			list = append(list, p.String())
		case strings.ContainsAny(prefix, "*?"):
			for _, a := range iam.AWS().Actions(service) {
				if p.Match(a.String(), nil) == iam.Yes {
					list = append(list, a.String())
				}
			}
		}
	}
	if len(s.NotActions) > 0 {
		for _, a := range iam.AWS().Actions(service) {
			if s.MatchesAction(a.String()) == iam.Yes {
				list = append(list, a.String())
			}
		}
	}
	return list
}

func patterns(texts []string, as func(string) *iam.Pattern) []*iam.Pattern {
	slices.Sort(texts)
	texts = slices.Compact(texts)
	out := make([]*iam.Pattern, len(texts))
	for i, t := range texts {
		out[i] = as(t)
	}
	return out
}

// manyResources is how many names of one kind are listed before they are
// written as one pattern.
const manyResources = 5

// resources writes the resources of an action: as they are, or as patterns that
// the statement covers.
func (n *narrowing) resources(s *iam.Statement, action string, observed []string) []string {
	if !takesResource(action) && len(observed) > 0 {
		return []string{"*"}
	}
	families := map[string][]string{}
	for _, r := range observed {
		families[family(r)] = append(families[family(r)], r)
	}
	var out []string
	for head, list := range families {
		slices.Sort(list)
		list = slices.Compact(list)
		if pattern, ok := general(head, list); ok && covered(s, iam.ResourcePattern(pattern)) {
			out = append(out, pattern)
			continue
		}
		for _, r := range list {
			out = append(out, escape(r))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// family is what resources share that may become one pattern: all of an ARN but
// the name, for objects their bucket, for streams of logs their group.
func family(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return arn
	}
	head, rest := strings.Join(parts[:5], ":")+":", parts[5]
	if parts[2] == "logs" {
		if group, _, ok := strings.Cut(rest, ":log-stream:"); ok {
			return head + group + ":log-stream:"
		}
	}
	if i := strings.IndexAny(rest, "/:"); i >= 0 {
		return head + rest[:i+1]
	}
	return head
}

// general writes resources of one family as a pattern: the objects of a bucket
// below the folder that they share, streams of a group, and of other things,
// when they are many, those with what their names begin with.
func general(head string, list []string) (string, bool) {
	escaped := func(s string) string { return escape(s) }
	switch {
	case strings.HasPrefix(head, "arn:aws:s3:::") && strings.HasSuffix(head, "/"):
		shared := common(list)
		return escaped(shared[:max(strings.LastIndexByte(shared, '/')+1, len(head))]) + "*", true
	case strings.HasSuffix(head, ":log-stream:"):
		return escaped(head) + "*", true
	case len(list) <= manyResources:
		return "", false
	}
	shared := common(list)
	if i := strings.LastIndexAny(shared, "/:-_."); i+1 > len(head) {
		return escaped(shared[:i+1]) + "*", true
	}
	return escaped(head) + "*", true
}

func common(list []string) string {
	shared := list[0]
	for _, s := range list[1:] {
		i := 0
		for i < len(shared) && i < len(s) && shared[i] == s[i] {
			i++
		}
		shared = shared[:i]
	}
	return shared
}

// escape writes a text as a pattern that matches it and nothing else. Names of
// objects may hold stars.
func escape(s string) string {
	if s == "*" || !strings.ContainsAny(s, "*?$") {
		return s
	}
	return strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}").Replace(s)
}

// covered says whether a statement is about all that a pattern matches.
func covered(s *iam.Statement, p *iam.Pattern) bool {
	if len(s.NotResources) > 0 {
		return !slices.ContainsFunc(s.NotResources, func(out *iam.Pattern) bool { return out.Overlaps(p) })
	}
	return slices.ContainsFunc(s.Resources, func(in *iam.Pattern) bool { return in.Covers(p) })
}
