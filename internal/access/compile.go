package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// What a set may hold: ten times what was measured.
const (
	maxRules    = 100_000
	maxProblems = 64 // that are reported; the rest follows from them, or repeats
)

// Options say how a set decides.
type Options struct {
	// MaxAge is how old what is known of who asks and of what is asked for may
	// be ([Request.Age]); 0: any age.
	MaxAge time.Duration
}

// Set is all policies and grants in force. It is immutable, and safe for
// concurrent use. The nil set denies everything.
type Set struct {
	rules    []*rule
	enforced *index
	observed *index
	who      []attribute // of principals: what all have, and all claims
	what     []attribute // of resources
	// mentions are the entities that conditions name, each as a set of itself.
	mentions map[types.EntityUID]types.EntityUIDSet
	maxAge   time.Duration
	pool     sync.Pool // of *asking
}

// Len returns the number of policies, those of grants included.
func (s *Set) Len() int { return len(s.rules) }

// Compile makes a set of policies and grants. Its error is [Problems], with all
// that is wrong in any of them, by line and column: a name that the schema does
// not hold, a type that does not fit, an attribute that is used without asking
// whether it is there, a policy that could never apply.
func Compile(policies []Policy, grants []Grant, o Options) (*Set, error) {
	s := &Set{
		enforced: newIndex(), observed: newIndex(), maxAge: o.MaxAge,
		mentions: map[types.EntityUID]types.EntityUIDSet{},
		what:     slices.Clone(ofEntity[Model]),
		who:      slices.Concat(ofEntity[Workload], ofEntity[Person][1:]),
	}
	s.pool.New = func() any { return newAsking(s) }
	var problems Problems
	schemas := map[string]*schema{}
	for i := range policies {
		p := &policies[i]
		if err := s.claim(p.Claims); err != nil {
			problems = append(problems, &Problem{Policy: p.Name, Detail: err.Error()})
			continue
		}
		vocabulary, err := schemaOf(schemas, p.Claims)
		if err != nil {
			problems = append(problems, &Problem{Policy: p.Name, Detail: err.Error()})
			continue
		}
		rules, wrong := p.read(vocabulary)
		problems = append(problems, wrong...)
		s.rules = append(s.rules, rules...)
		if len(problems) > maxProblems || len(s.rules) > maxRules {
			break
		}
	}
	granted := make(map[string]bool, len(grants))
	for i := range grants {
		if name := grants[i].Name; name == "" || granted[name] {
			problems = append(problems, &Problem{Policy: name, Detail: "a grant needs a name of its own"})
		}
		granted[grants[i].Name] = true
		rules, wrong := grants[i].rules()
		problems = append(problems, wrong...)
		s.rules = append(s.rules, rules...)
		if len(problems) > maxProblems || len(s.rules) > maxRules {
			break
		}
	}
	if len(s.rules) > maxRules {
		return nil, fmt.Errorf("there are more than %d policies: have one speak of a group instead of its members", maxRules)
	}
	problems = append(problems, twice(s.rules)...)
	if len(problems) > 0 {
		return nil, problems[:min(len(problems), maxProblems)]
	}
	for _, r := range s.rules {
		s.take(r)
	}
	return s, nil
}

func schemaOf(known map[string]*schema, claims []Claim) (*schema, error) {
	var k strings.Builder
	for _, c := range claims {
		fmt.Fprintf(&k, "%q %q,", c.Name, c.Type)
	}
	if s, ok := known[k.String()]; ok {
		return s, nil
	}
	s, err := newSchema(claims)
	if err == nil {
		known[k.String()] = s
	}
	return s, err
}

// claim adds the claims of a document to those of the set.
func (s *Set) claim(claims []Claim) error {
	for _, c := range claims {
		i := slices.IndexFunc(s.who, func(a attribute) bool { return a.name == types.String(c.Name) })
		switch {
		case i < 0:
			s.who = append(s.who, attribute{types.String(c.Name), c.Type, optional})
		case s.who[i].typ != c.Type:
			return fmt.Errorf("claim %s is a %s here and a %s in another document: agree on one", c.Name, c.Type, s.who[i].typ)
		}
	}
	return nil
}

// twice finds names that two policies have: nobody could tell who decided.
func twice(rules []*rule) Problems {
	var problems Problems
	seen := make(map[string]*rule, len(rules))
	for _, r := range rules {
		other, ok := seen[r.name]
		if ok && !(r.grant && other.grant && r.document == other.document) {
			problems = append(problems, &Problem{
				Policy: r.document, Line: r.policy.Position.Line, Column: r.policy.Position.Column,
				Detail: fmt.Sprintf("another policy is called %s as well: give each its own name, with @id(\"…\")", r.name),
			})
		}
		seen[r.name] = r
	}
	return problems
}

// take indexes a rule and compiles what is left to evaluate.
func (s *Set) take(r *rule) {
	x := s.enforced
	if r.observe {
		x = s.observed
	}
	rest := x.add(r)
	r.proved = len(rest.Conditions) == 0 && isAll(rest.Principal) && isAll(rest.Resource)
	if !r.proved {
		r.quick = s.quickOf(rest)
	}
	r.whole, r.sliced, r.needs = compile(r.policy), compile(rest), s.needsOf(rest)
	for _, c := range rest.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
			v, ok := n.(ast.NodeValue)
			if !ok {
				return true
			}
			switch v := v.Value.(type) {
			case types.EntityUID:
				s.mention(v)
			case types.Set:
				for e := range v.All() {
					if uid, ok := e.(types.EntityUID); ok {
						s.mention(uid)
					}
				}
			}
			return true
		})
	}
}

func (s *Set) mention(e types.EntityUID) {
	if _, ok := s.mentions[e]; !ok {
		s.mentions[e] = types.NewEntityUIDSet(e)
	}
}

// AsProblems returns the problems in an error of [Compile].
func AsProblems(err error) Problems {
	p, _ := errors.AsType[Problems](err)
	return p
}
