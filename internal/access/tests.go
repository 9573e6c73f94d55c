package access

import (
	"fmt"
	"slices"
	"strings"
)

// Test is a question and the answer that a set has to give, as the kind
// AccessPolicy holds it.
type Test struct {
	Document   string // that the test stands in
	Name       string
	Principal  string // a SPIFFE ID, ISSUER#SUBJECT, or anonymous
	Groups     []string
	Claims     string // of the principal, a JSON object
	Action     string
	Route      string
	Model      string // or what else the action is done to
	Properties string // of the model, a JSON object
	Context    string // a JSON object
	Expect     string // Allow or Deny
	// Policies that have to be among those that decided, by their whole name or
	// by what follows the document's. Others may decide beside them: a policy
	// that somebody adds elsewhere does not break the test.
	Policies []string
}

// Request returns the question. What the test does not say is not known: a
// policy that needs the time denies a test that names none, so that no test
// passes today and fails tomorrow.
func (t *Test) Request() (*Request, error) {
	q := &Request{Groups: t.Groups, Action: t.Action, Route: t.Route}
	var err error
	if q.Principal, err = ParsePrincipal(t.Principal); err != nil {
		return nil, fmt.Errorf("principal: %w", err)
	}
	kind := ResourceOf(t.Action)
	if kind == "" {
		return nil, fmt.Errorf("action: there is no action %q%s", clip(t.Action), didYouMean(t.Action, Actions()))
	}
	q.Resource = Entity{kind, t.Model}
	if q.Attributes, err = ReadAttributes([]byte(t.Claims)); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if q.Properties, err = readProperties([]byte(t.Properties), kind); err != nil {
		return nil, fmt.Errorf("properties: %w", err)
	}
	if q.Context, err = ReadContext([]byte(t.Context), true); err != nil {
		return nil, fmt.Errorf("context: %w", err)
	}
	return q, nil
}

// readProperties reads what is known of a resource, and refuses what no policy
// can ask for.
func readProperties(data []byte, kind string) (map[string]any, error) {
	given, err := ReadAttributes(data)
	if err != nil {
		return nil, err
	}
	var known []string
	if kind == Model {
		known = []string{"digest", "verdict", "labels"}
	}
	for name, v := range given {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("a %s has no property %s%s", kind, clip(name), didYouMean(name, known))
		}
		if _, text := v.(string); !text && name != "labels" {
			return nil, fmt.Errorf("%s is no String", name)
		}
	}
	return given, nil
}

// Result is what became of a test.
type Result struct {
	Document string   `json:"document"`
	Name     string   `json:"name"`
	Passed   bool     `json:"passed"`
	Detail   string   `json:"detail,omitempty"` // of a test that failed: what was expected, and what came
	Decision Decision `json:"decision"`
}

// Test asks the questions and compares the answers, in their order.
func (s *Set) Test(tests []Test) []Result {
	results := make([]Result, len(tests))
	for i := range tests {
		results[i] = s.test(&tests[i])
	}
	return results
}

func (s *Set) test(t *Test) Result {
	r := Result{Document: t.Document, Name: t.Name}
	q, err := t.Request()
	if err != nil {
		r.Detail = err.Error()
		return r
	}
	r.Decision = s.Decide(q)
	got := "Deny"
	if r.Decision.Allow {
		got = "Allow"
	}
	missing := slices.DeleteFunc(slices.Clone(t.Policies), func(name string) bool {
		return slices.Contains(r.Decision.Policies, name) || slices.Contains(r.Decision.Policies, t.Document+"/"+name)
	})
	switch {
	case t.Expect != "Allow" && t.Expect != "Deny":
		r.Detail = fmt.Sprintf("expect: write Allow or Deny, not %q", clip(t.Expect))
	case got != t.Expect:
		r.Detail = fmt.Sprintf("expected %s, got %s (%s)%s", t.Expect, got, r.Decision.Code, because(&r.Decision))
	case len(missing) > 0:
		r.Detail = fmt.Sprintf("expected that %s decides%s", strings.Join(missing, ", "), because(&r.Decision))
	default:
		r.Passed = true
	}
	return r
}

func because(d *Decision) string {
	switch {
	case len(d.Policies) > 0:
		return "; decided by " + strings.Join(d.Policies, ", ")
	case d.Detail != "":
		return "; " + d.Detail
	}
	return ""
}

// Unreached are the policies that decided none of the answers, and would be in
// none if they were gone. Grants are not among them, and neither are permits
// that are only observed: those decide nothing.
func (s *Set) Unreached(results []Result) []string {
	reached := map[string]bool{}
	for i := range results {
		for _, names := range [][]string{results[i].Decision.Policies, results[i].Decision.Observed} {
			for _, name := range names {
				reached[name] = true
			}
		}
	}
	var names []string
	for _, r := range s.rules {
		if !r.grant && !reached[r.name] && !(r.observe && r.permits()) {
			names = append(names, r.name)
		}
	}
	return names
}
