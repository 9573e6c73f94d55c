package gateway

import (
	"context"
	"maps"
	"sync/atomic"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/verdict"
)

// permit is what an exchange was allowed by. Whenever rules or trust change, it is
// looked at again: who is not let in any more does not go on with what it was let
// in for. The policies are told of the message what they were told then, of a stream of
// its last one. Limits,
// content and the firewall are not looked at again, since nothing of it is kept.
type permit struct {
	gateway    *Gateway
	principal  *identity.Principal
	host, path string
	question   atomic.Pointer[access.Request] // nil: the policies were not asked
	declared   Class                          // by the caller
}

// Still asks the snapshot in force. It does not change what the exchange goes on
// by, which is its own snapshot to the end.
func (p *permit) Still() *live.Ended {
	s := p.gateway.held()
	if s == nil {
		return nil // the gateway ends, and says so to what runs
	}
	defer s.release()
	r, _ := s.find(p.host, p.path)
	if r == nil {
		return &live.Ended{Code: verdict.RequestRoute, Detail: "the route was taken away"}
	}
	if !r.recognises(p.principal) {
		return &live.Ended{Code: verdict.IdentityUntrusted, Detail: "the identity is not trusted any more, or not by this route"}
	}
	asked := p.question.Load()
	if asked == nil || r.Access == nil {
		return nil
	}
	q := *asked
	m, there := r.Models[q.Resource.ID]
	if q.Resource.Type == access.Model && q.Resource.ID != "" && len(r.Models) > 0 && !there {
		return &live.Ended{Code: verdict.RequestModel, Detail: "the route has the model no more"}
	}
	q.Attributes = Attributes(p.principal, s.Labels)
	if class := max(r.Class, m.Class, p.declared); class != Unclassified {
		q.Context = maps.Clone(q.Context)
		q.Context["classification"] = class.String()
	} else if _, before := q.Context["classification"]; before {
		q.Context = maps.Clone(q.Context)
		delete(q.Context, "classification")
	}
	q.Route, q.Properties = r.Name, maps.Clone(q.Properties)
	q.Properties["labels"] = r.Labels
	if len(r.Labels) == 0 {
		delete(q.Properties, "labels")
	}
	// Of what has just come to be a route's model nothing is known for a moment.
	if said, age := p.gateway.verdict(r.Name, m, p.gateway.options.Clock.Now()); said != unknown {
		q.Properties["verdict"], q.Age = said, age
	}
	if d := r.Access.Decide(&q); !d.Allow {
		return &live.Ended{Code: d.Code, Detail: "it is not allowed any more: " + d.Detail}
	}
	return nil
}

// recognises reports whether the route would let the principal in. An identity
// that cannot be looked at again counts as it did.
func (r *Route) recognises(p *identity.Principal) bool {
	if p.Method == identity.Anonymous {
		return r.Anonymous
	}
	if r.Identity == nil {
		return false
	}
	g, is := r.Identity.(identity.Generational)
	return !is || g.Recognises(p)
}

// begins registers the exchange as one that runs.
func (x *Exchange) begins() {
	p := &permit{gateway: x.gateway, principal: x.Principal, host: x.Request.Host, path: x.Request.URL.Path, declared: declared(x.Request.Header)}
	p.question.Store(x.question)
	x.permit = p
	ctx := context.WithValue(x.Request.Context(), exchangeKey{}, x)
	x.running = x.gateway.live.Begin(ctx, live.About{Principal: x.Principal, Digest: x.Decision.Digest, Permit: p})
	x.OnEnd(x.running.Done)
	if x.gateway.live.Reviews() == x.reviews {
		return
	}
	// Something came into force between the first stage and here.
	if why := p.Still(); why != nil {
		x.running.Cut(why)
	}
}

var _ live.Permit = (*permit)(nil)
