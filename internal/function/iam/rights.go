package iam

import (
	"errors"
	"slices"
	"strings"
)

// Rights are what the policies of one principal add up to. Make one with
// [NewRights]. It is not safe for concurrent use.
type Rights struct {
	identity []*Policy
	boundary []*Policy // nil: none
	spent    int
}

// NewRights joins the policies of a principal. A nil boundary is none; one that
// is empty allows nothing.
func NewRights(identity, boundary []*Policy) *Rights {
	return &Rights{identity: identity, boundary: boundary}
}

// Grant is one way in which an action is allowed: one statement, one of its
// resources.
type Grant struct {
	Source
	Action string
	// Resource is what it is allowed on, narrowed to the boundary where the
	// boundary is narrower.
	Resource *Pattern
	// Except are what the statement leaves out, by NotResource.
	Except []*Pattern
	// Truth is Maybe when it depends on something that is not known, or on a
	// condition that the holder cannot meet at will.
	Truth Truth
}

// ErrTooComplex is the answer to policies that are made to be dear to compare.
var ErrTooComplex = errors.New("the policies are too complex to be compared: fewer and shorter patterns are needed")

// maxSpent bounds the comparing of patterns, in steps of some nanoseconds. Real
// principals need some thousand for an action.
const maxSpent = 100_000_000

var everything = ResourcePattern("*")

// Grants lists the ways in which the action, written out ("iam:PassRole"), is
// allowed. What a Deny takes away for certain is left out, and so is what the
// boundary does not allow. ctx is what is known of the requests that the
// holder can make.
func (r *Rights) Grants(action string, ctx Context) ([]Grant, error) {
	var out []Grant
	a, known := AWS().Lookup(action)
	for _, p := range r.identity {
		for i := range p.Statements {
			s := &p.Statements[i]
			t := Yes
			switch s.Effect {
			case Allow:
			case EffectUnknown:
				t = Maybe
			default:
				continue
			}
			if t = min(t, s.MatchesAction(action)); t == No {
				continue
			}
			if t = min(t, s.Holds(ctx, Yes)); t == No {
				continue
			}
			g := Grant{Source: Source{p, s}, Action: action, Truth: t}
			resources := s.Resources
			if len(resources) == 0 {
				resources, g.Except = []*Pattern{everything}, s.NotResources
			}
			for _, res := range resources {
				one := g
				one.Resource = res
				if known && !one.fits(&a) {
					continue
				}
				left, err := r.left(one, ctx)
				if err != nil {
					return nil, err
				}
				out = append(out, left...)
			}
		}
	}
	return out, nil
}

// left is what denies and the boundary leave of a grant.
func (r *Rights) left(g Grant, ctx Context) ([]Grant, error) {
	for _, list := range [][]*Policy{r.identity, r.boundary} {
		for _, p := range list {
			for i := range p.Statements {
				s := &p.Statements[i]
				if s.Effect != Deny || s.MatchesAction(g.Action) != Yes || s.Holds(ctx, No) != Yes {
					continue
				}
				gone, err := r.takes(s, &g)
				if err != nil {
					return nil, err
				}
				if gone {
					return nil, nil
				}
			}
		}
	}
	if r.boundary == nil {
		return []Grant{g}, nil
	}
	var out []Grant
	for _, p := range r.boundary {
		for i := range p.Statements {
			s := &p.Statements[i]
			if s.Effect == Deny {
				continue
			}
			t := min(g.Truth, s.MatchesAction(g.Action), s.Holds(ctx, Yes))
			if s.Effect == EffectUnknown {
				t = min(t, Maybe)
			}
			if t == No {
				continue
			}
			resources := s.Resources
			if len(resources) == 0 {
				resources = []*Pattern{everything}
			}
			for _, b := range resources {
				one := g
				one.Truth = t
				one.Except = append(slices.Clone(g.Except), s.NotResources...)
				if b.apart(g.Resource) {
					continue
				}
				if err := r.spend(b, g.Resource); err != nil {
					return nil, err
				}
				switch {
				case b.Covers(g.Resource):
				case g.Resource.Covers(b):
					one.Resource = b
				case g.Resource.Overlaps(b):
					// What both allow has no pattern of its own; the longer one
					// says more about it.
					if len(b.tokens) > len(g.Resource.tokens) {
						one.Resource = b
					}
				default:
					continue
				}
				out = append(out, one)
			}
		}
	}
	return out, nil
}

// takes says whether a Deny takes away the whole of a grant.
func (r *Rights) takes(s *Statement, g *Grant) (bool, error) {
	for _, p := range s.Resources {
		if p.apart(g.Resource) {
			continue
		}
		if err := r.spend(p, g.Resource); err != nil {
			return false, err
		}
		if p.Covers(g.Resource) {
			return true, nil
		}
	}
	if a, ok := AWS().Lookup(g.Action); ok && len(s.Resources) > 0 && g.takesAll(&a, s.Resources) {
		return true, nil
	}
	if len(s.NotResources) == 0 {
		return len(s.Resources) == 0, nil
	}
	for _, p := range s.NotResources {
		if p.apart(g.Resource) {
			continue
		}
		if err := r.spend(p, g.Resource); err != nil {
			return false, err
		}
		if p.Overlaps(g.Resource) && !slices.ContainsFunc(g.Except, func(e *Pattern) bool { return e.Covers(p) }) {
			return false, nil
		}
	}
	return true, nil
}

// takesAll says whether the patterns of a Deny cover whatever the action can be
// about: "arn:aws:s3:::*" is all of s3:PutObject although it is not "*". An
// access point is a second name of a bucket, and is not asked for.
func (g *Grant) takesAll(a *Action, denied []*Pattern) bool {
	some := false
	for _, r := range a.Resources {
		if strings.HasPrefix(r.Type, "accesspoint") || !g.Resource.Overlaps(r.whole) {
			continue
		}
		if !slices.ContainsFunc(denied, func(p *Pattern) bool { return covers(p.tokens, r.whole.tokens) }) {
			return false
		}
		some = true
	}
	return some
}

func (r *Rights) spend(p, q *Pattern) error {
	if r.spent += len(p.tokens) * len(q.tokens); r.spent > maxSpent {
		return ErrTooComplex
	}
	return nil
}

// Reaches says whether the grant may be about a thing with the ARN, which may
// have holes ("arn:aws:iam::${account}:role/strong").
func (g *Grant) Reaches(arn *Pattern) bool {
	return g.Resource.Overlaps(arn) && !slices.ContainsFunc(g.Except, func(p *Pattern) bool { return p.Covers(arn) })
}

// Wide says whether the grant is about every resource of a type that the action
// takes, whatever account and region it names. False for an action that takes
// none: "*" is then all that can be written.
func (g *Grant) Wide(a *Action) bool {
	part, ok := g.part()
	if !ok || !a.TakesResource() {
		return false
	}
	required := false
	for _, r := range a.Resources {
		required = required || r.Required
	}
	some := false
	for _, r := range a.Resources {
		if required && !r.Required {
			continue
		}
		switch {
		case !covers(part, r.Resource.tokens):
			if required {
				return false
			}
		case !g.kindOf(r.ARN):
			if required {
				return false
			}
		default:
			some = true
		}
	}
	return some
}

// fits says whether the action can be about the resource at all: statements
// that mix services name buckets for actions of IAM.
func (g *Grant) fits(a *Action) bool {
	text := g.Resource.text
	if !strings.HasPrefix(text, "arn:") {
		return true // "*", or something whose ARN is not known
	}
	part, ok := g.part()
	for _, r := range a.Resources {
		if g.kindOf(r.ARN) && (!ok || overlaps(part, r.Resource.tokens)) {
			return true
		}
	}
	// An action that takes no resource is allowed by "*" alone, however written.
	return len(a.Resources) == 0 && g.Resource.Everything()
}

// Star says whether the statement names no resource at all, but "*".
func (g *Grant) Star() bool { return g.Resource.Everything() }

// part is what the resource says after the fifth colon. False: it has no such
// part, or none that is known.
func (g *Grant) part() ([]token, bool) {
	p := g.Resource
	if p.Everything() {
		return p.tokens, true
	}
	segments := p.segments()
	if segments == nil {
		return nil, false
	}
	last := segments[len(segments)-1]
	switch {
	case len(last) == 1 && last[0].kind == hole:
		return nil, false // one thing, by its name
	case len(segments) > arnSegments:
		return last, true
	case len(last) > 0 && last[len(last)-1].kind == star:
		return last[len(last)-1:], true // it reaches over all that is left
	}
	return nil, false
}

// segments takes an ARN apart at its first five colons; nil for what is none.
// Colons within an expression of a template do not count.
func (p *Pattern) segments() [][]token {
	if !strings.HasPrefix(p.text, "arn:") {
		return nil
	}
	var out [][]token
	from := 0
	for i, t := range p.tokens {
		if t.kind == char && t.r == ':' && len(out) < arnSegments {
			out = append(out, p.tokens[from:i])
			from = i + 1
		}
	}
	return append(out, p.tokens[from:])
}

// kindOf says whether the resource is of the service of an ARN of the catalogue.
func (g *Grant) kindOf(arn string) bool {
	want := strings.SplitN(arn, ":", 4)
	return len(want) < 4 || g.service(want[2])
}

func (g *Grant) service(name string) bool {
	segments := g.Resource.segments()
	return len(segments) < 3 || overlaps(segments[2], compile(name, asLike).tokens)
}

// Names returns a test of whether the grant is for certain about the resource
// of a service that has a text after the fifth colon of its ARN, "role/strong".
func (g *Grant) Names(service string) func(resource string) bool {
	part, ok := g.part()
	if !ok || !g.service(service) {
		return func(string) bool { return false }
	}
	return func(resource string) bool {
		// What is not known is none of the characters that quick looks for.
		return quick(part, resource) && !slices.ContainsFunc(g.Except, func(p *Pattern) bool {
			except := Grant{Resource: p}
			part, ok := except.part()
			return !ok || overlaps(part, compile(resource, asLiteral).tokens)
		})
	}
}

// Own says whether the grant is about whoever makes the request and nobody
// else: its resource is named by a variable such as "${aws:username}".
func (g *Grant) Own() bool {
	for _, t := range g.Resource.tokens {
		if t.kind == variable && (t.ref.name == "aws:username" || t.ref.name == "aws:userid") {
			return true
		}
	}
	return false
}

// Open says whether the name of the resource holds a star,
// without which it cannot be wide.
func (g *Grant) Open() bool {
	part, ok := g.part()
	if !ok {
		return false
	}
	for _, t := range part {
		if t.kind == star {
			return true
		}
	}
	return false
}

// Whole says whether the resource is everything that a service has, or all of
// one of its types: an ARN that ends in ":*", or "table/*".
func (g *Grant) Whole(service string) bool {
	part, ok := g.part()
	if !ok || !g.service(service) {
		return false
	}
	if len(part) == 1 && part[0].kind == star {
		return true
	}
	actions := AWS().Actions(service)
	for i := range actions {
		for _, r := range actions[i].Resources {
			if covers(part, r.Resource.tokens) && g.kindOf(r.ARN) {
				return true
			}
		}
	}
	return false
}
