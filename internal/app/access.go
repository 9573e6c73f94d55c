package app

import (
	"context"
	"time"

	rights "github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/access/kinds"
	"github.com/apexlogic/apex/internal/config"
)

// AccessQuestion is what apex access check and explain ask.
type AccessQuestion struct {
	Principal       string // a SPIFFE ID, ISSUER#SUBJECT, or anonymous
	Groups          []string
	Claims          string // JSON
	Action          string
	Route, Resource string
	Properties      string // JSON
	Context         string // JSON
}

// AccessRules are the access policies and grants of documents, compiled.
type AccessRules struct {
	set     *rights.Set
	targets []rights.Target
	// Tests are the answers to the tests that stand in the policies, and Failed
	// the problems that those make which are not as expected.
	Tests  []rights.Result
	Failed []config.Problem
}

// LoadAccess compiles the access policies and routes of files and folders, and
// asks the policies' tests. Documents that are wrong are a *config.Invalid.
func LoadAccess(ctx context.Context, paths []string) (*AccessRules, error) {
	var sources []config.Source
	for _, p := range paths {
		sources = append(sources, config.Path(p))
	}
	s, err := config.Load(ctx, sources...)
	if err == nil {
		err = s.Err()
	}
	if err != nil {
		return nil, err
	}
	r := &AccessRules{}
	var wrong []config.Problem
	if r.set, wrong = kinds.Compile(s, rights.Options{}); len(wrong) > 0 {
		return nil, &config.Invalid{Problems: wrong}
	}
	r.Tests, r.Failed = kinds.Test(s, r.set)
	r.targets = kinds.Targets(s)
	return r, nil
}

// Unreached are the policies that no test is decided by.
func (r *AccessRules) Unreached() []string { return r.set.Unreached(r.Tests) }

// Explain answers a question, and says how the answer comes about. A question
// that does not say when it is asked is asked at now.
func (r *AccessRules) Explain(q *AccessQuestion, now time.Time) (rights.Explanation, error) {
	t := rights.Test{
		Principal: q.Principal, Groups: q.Groups, Claims: q.Claims, Action: q.Action, Route: q.Route, Model: q.Resource,
		Properties: q.Properties, Context: q.Context,
	}
	asked, err := t.Request()
	if err != nil {
		return rights.Explanation{}, err
	}
	if _, said := asked.Context["time"]; !said {
		asked.Context["time"] = now.UTC().Truncate(time.Millisecond)
	}
	return r.set.Explain(asked), nil
}

// Graph says who can reach what is behind the routes.
func (r *AccessRules) Graph() (*rights.Graph, error) { return r.set.Graph(nil, r.targets) }
