package gateway

import (
	"cmp"
	"maps"
	"net/netip"
	"time"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
)

// decide asks the route's policies.
func decide(x *Exchange) error {
	x.question = x.inWords()
	d := x.Route.Access.Decide(x.question)
	x.Decision.Policies, x.Decision.Observed = d.Policies, d.Observed
	if !d.Allow {
		return &Denial{Code: d.Code, Detail: d.Detail}
	}
	return nil
}

// inWords puts what is known about the exchange into the words of policies.
func (x *Exchange) inWords() *access.Request {
	p := x.Principal
	q := &access.Request{
		Principal: access.Entity{Type: typeOf(p.Method), ID: p.ID}, Groups: p.Groups, Attributes: Attributes(p, x.Snapshot.Labels),
		Action:   x.Operation.Action,
		Resource: access.Entity{Type: access.ResourceOf(x.Operation.Action), ID: x.Decision.Model},
		Route:    x.Route.Name,
	}
	q.Properties, q.Age = x.properties()
	about := map[string]any{"time": x.Began.UTC().Truncate(time.Millisecond)}
	if c := x.class(); c != Unclassified {
		about["classification"] = c.String()
		x.Decision.Class = c.String()
	}
	if a, err := netip.ParseAddrPort(x.Request.RemoteAddr); err == nil { // the connection's; headers say what they like
		about["address"] = a.Addr().Unmap()
	}
	if x.Body != nil {
		about["bytes"] = x.Body.Length // with what was fetched, once it was
		about["parts"] = int64(len(x.Body.Parts))
		about["stream"] = x.Body.Stream
		about["maxTokens"] = x.Body.MaxTokens
		about["tokens"] = min(plus(x.Decision.Tokens.Input, x.Decision.Tokens.Output), mostTokens)
		about["modalities"] = modalities(x)
		about["digests"] = digests(x)
	}
	q.Context = about
	return q
}

// decideMore asks the policies about a further message of a stream, by what they
// were told of the first one: who asks and for which model has not changed.
func (x *Exchange) decideMore(b *body.Body) error {
	if x.question == nil {
		return nil
	}
	q := *x.question
	q.Context = maps.Clone(q.Context)
	q.Context["bytes"], q.Context["parts"] = b.Length, int64(len(b.Parts))
	q.Context["modalities"] = modalities(x)
	most, t := b.MaxTokens, x.predict()
	if x.turns != nil {
		most, t.Output = x.turns.most(b, 0), x.turns.asked(b, x.Route.Limits.Answer)
	}
	if b.Unbounded { // it was said, so it is not as if nothing was
		most = cmp.Or(x.Route.Limits.Answer, mostTokens)
	}
	q.Context["maxTokens"] = most
	q.Context["tokens"] = min(plus(t.Input, t.Output), mostTokens)
	named := make([]string, 0, len(b.Parts))
	for i := range b.Parts {
		if d := digestOf(&b.Parts[i]); d != "" {
			named = append(named, "sha256:"+d)
		}
	}
	q.Context["digests"] = named
	if d := x.Route.Access.Decide(&q); !d.Allow {
		return &Denial{Code: d.Code, Detail: d.Detail}
	}
	if x.permit != nil {
		x.permit.question.Store(&q)
	}
	return nil
}

// Attributes are what policies may ask of somebody: the claims, and the labels of
// a workload. Labels that a token claims to have are none.
func Attributes(p *identity.Principal, labels map[string]map[string]string) map[string]any {
	own, labelled := labels[p.ID]
	_, claimed := p.Claims["labels"]
	if !labelled && !claimed {
		return p.Claims
	}
	all := make(map[string]any, len(p.Claims)+1)
	maps.Copy(all, p.Claims)
	delete(all, "labels")
	if labelled && typeOf(p.Method) == access.Workload {
		all["labels"] = own
	}
	return all
}

// mostTokens is more than any model takes: what is predicted to cost more is
// not told apart.
const mostTokens = 1 << 40

// Verdicts knows what was decided about the models behind routes. It is asked
// on the way of each request, so it answers from memory.
type Verdicts interface {
	// Verdict returns allow, warn or deny for the artifact of a route's model,
	// and when that was last found to be so; "" when nothing is known of it.
	Verdict(route, repository, digest string) (decision string, at time.Time)
}

// unknown is the verdict of a model about which nothing was decided. Policies
// that ask for another one deny it.
const unknown = "unknown"

// properties are what is known of the model, and how long ago it was so.
func (x *Exchange) properties() (properties map[string]any, age time.Duration) {
	m := x.Route.Models[x.Decision.Model]
	verdict, age := x.gateway.verdict(x.Route.Name, m, x.Began)
	properties = map[string]any{"verdict": verdict}
	if m.Digest != "" {
		properties["digest"] = m.Digest
	}
	if len(x.Route.Labels) > 0 {
		properties["labels"] = x.Route.Labels
	}
	return properties, age
}

// verdict is what was decided about a route's model, and how long ago.
func (g *Gateway) verdict(route string, m Model, now time.Time) (string, time.Duration) {
	if v := g.options.Verdicts; v != nil && m.Repository != "" {
		if said, at := v.Verdict(route, m.Repository, m.Digest); said != "" {
			return said, max(0, now.Sub(at))
		}
	}
	return unknown, 0
}

// digests are those of the pieces of content that are no text.
func digests(x *Exchange) []string {
	all := make([]string, 0, len(x.Decision.Parts))
	for i := range x.Decision.Parts {
		if d := x.Decision.Parts[i].Digest; d != "" {
			all = append(all, "sha256:"+d)
		}
	}
	return all
}

// modalities are the kinds of content in the message, each once.
func modalities(x *Exchange) []string {
	var seen [8]bool
	seen[media.Words] = len(x.Body.Texts) > 0
	for i := range x.Body.Parts {
		seen[x.Body.Parts[i].Kind] = true
	}
	var names []string
	for k, there := range seen {
		if there {
			names = append(names, media.Kind(k).String())
		}
	}
	return names
}

func typeOf(m identity.Method) string {
	switch m {
	case identity.X509SVID, identity.JWTSVID:
		return access.Workload
	case identity.OIDC:
		return access.Person
	}
	return access.Nobody
}
