package access

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/verdict"
)

const (
	intake  = "spiffe://claims.example/ns/claims/intake"
	archive = "spiffe://claims.example/ns/archive/keeper"
	alice   = "https://id.example#alice"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// ask is a request of intake's to infer with captioner, changed.
func ask(change ...func(*Request)) *Request {
	q := &Request{
		Principal: Entity{Workload, intake}, Action: "infer", Resource: Entity{Model, "captioner"}, Route: "vision",
		Context: map[string]any{"time": noon, "address": netip.MustParseAddr("10.1.2.3"), "bytes": int64(1000), "modalities": []string{"text", "image"}},
	}
	for _, c := range change {
		c(q)
	}
	return q
}

func who(kind, id string, groups ...string) func(*Request) {
	return func(q *Request) { q.Principal, q.Groups = Entity{kind, id}, groups }
}

func does(action string) func(*Request) {
	return func(q *Request) { q.Action, q.Resource.Type = action, ResourceOf(action) }
}

func to(model string) func(*Request)  { return func(q *Request) { q.Resource.ID = model } }
func via(route string) func(*Request) { return func(q *Request) { q.Route = route } }

func with(name string, v any) func(*Request) {
	return func(q *Request) { q.Context[name] = v }
}

func claim(name string, v any) func(*Request) {
	return func(q *Request) {
		if q.Attributes == nil {
			q.Attributes = map[string]any{}
		}
		q.Attributes[name] = v
	}
}

func property(name string, v any) func(*Request) {
	return func(q *Request) {
		if q.Properties == nil {
			q.Properties = map[string]any{}
		}
		q.Properties[name] = v
	}
}

func compiled(t testing.TB, policies []Policy, grants ...Grant) *Set {
	t.Helper()
	s, err := Compile(policies, grants, Options{MaxAge: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func cedarOf(text string) []Policy {
	return []Policy{{Name: "p", Cedar: text, Claims: []Claim{{"team", String}, {"level", Long}, {"staff", Bool}, {"roles", Strings}}}}
}

// permitAll is the permit beside which forbids are tried.
const permitAll = `@id("all") permit(principal, action, resource); `

// twins are a request that is allowed, and one that is denied, by the same
// policies.
var twins = []struct {
	name, cedar string
	allowed     *Request
	denied      *Request
	code        verdict.Code
}{
	{"a policy for one workload is for no other", `permit(principal == Workload::"` + intake + `", action, resource);`,
		ask(), ask(who(Workload, archive)), verdict.AccessDenied},
	{"a workload's name makes no person", `permit(principal == Workload::"` + intake + `", action, resource);`,
		ask(), ask(who(Person, intake)), verdict.AccessDenied},
	{"a policy for a group is for its members", `permit(principal in Group::"adjusters", action, resource);`,
		ask(who(Person, alice, "staff", "adjusters")), ask(who(Person, alice, "staff")), verdict.AccessDenied},
	{"a group given twice counts once", `permit(principal in Group::"adjusters", action, resource);`,
		ask(who(Person, alice, "adjusters", "adjusters")), ask(who(Nobody, "anonymous", "adjusters")), verdict.AccessDenied},
	{"a policy for a path is for what is below it", `permit(principal in Path::"spiffe://claims.example/ns/claims", action, resource);`,
		ask(), ask(who(Workload, archive)), verdict.AccessDenied},
	{"a path ends at a segment", `permit(principal in Path::"spiffe://claims.example/ns/claims", action, resource);`,
		ask(), ask(who(Workload, "spiffe://claims.example/ns/claimsother/x")), verdict.AccessDenied},
	{"a trust domain is a path", `permit(principal in Path::"spiffe://claims.example", action, resource);`,
		ask(), ask(who(Workload, "spiffe://claims.example.evil/ns/claims/intake")), verdict.AccessDenied},
	{"a type with a group needs both", `permit(principal is Person in Group::"adjusters", action, resource);`,
		ask(who(Person, alice, "adjusters")), ask(who(Workload, intake, "adjusters")), verdict.AccessDenied},
	{"a policy for persons is for no workload", `permit(principal is Person, action, resource);`,
		ask(who(Person, alice)), ask(), verdict.AccessDenied},
	{"who shows nothing is Nobody", `permit(principal is Nobody, action, resource);`,
		ask(who(Nobody, "anonymous")), ask(), verdict.AccessDenied},
	{"a policy for an action is for no other", `permit(principal, action == Action::"infer", resource);`,
		ask(), ask(does("embed")), verdict.AccessDenied},
	{"a list of actions is those", `permit(principal, action in [Action::"infer", Action::"embed"], resource);`,
		ask(does("embed")), ask(does("speak")), verdict.AccessDenied},
	{"a policy for a model is for no other", `permit(principal, action, resource == Model::"captioner");`,
		ask(), ask(to("translator")), verdict.AccessDenied},
	{"a policy for a route is for no other", `permit(principal, action, resource in Route::"vision");`,
		ask(), ask(via("speech")), verdict.AccessDenied},
	{"a route's name makes no model", `permit(principal, action, resource in Route::"vision");`,
		ask(), ask(to("vision"), via("")), verdict.AccessDenied},
	{"a forbid wins", permitAll + `forbid(principal in Group::"suspended", action, resource);`,
		ask(), ask(who(Workload, intake, "suspended")), verdict.AccessForbidden},
	{"size is asked for", permitAll + `forbid(principal, action, resource) when { context.bytes > 1000 };`,
		ask(), ask(with("bytes", int64(1001))), verdict.AccessForbidden},
	{"what is in a message is asked for", permitAll + `forbid(principal, action, resource) when { context.modalities.contains("audio") };`,
		ask(), ask(with("modalities", []string{"text", "audio"})), verdict.AccessForbidden},
	{"an address is asked for", `permit(principal, action, resource) when { context has address && context.address.isInRange(ip("10.0.0.0/8")) };`,
		ask(), ask(with("address", netip.MustParseAddr("192.0.2.1"))), verdict.AccessDenied},
	{"an IPv4 address in IPv6 is the IPv4 address", `permit(principal, action, resource) when { context has address && context.address.isInRange(ip("10.0.0.0/8")) };`,
		ask(with("address", netip.MustParseAddr("::ffff:10.0.0.1"))), ask(with("address", netip.MustParseAddr("::ffff:192.0.2.1"))), verdict.AccessDenied},
	{"the time is asked for", `permit(principal, action, resource) when { context.time < datetime("2026-11-24") };`,
		ask(), ask(with("time", noon.AddDate(0, 0, 1))), verdict.AccessDenied},
	{"a claim is asked for", `permit(principal, action, resource) when { principal has team && principal.team == "vision" };`,
		ask(claim("team", "vision")), ask(claim("team", "other")), verdict.AccessDenied},
	{"a claim of another type is none", `permit(principal, action, resource) when { principal has team && principal.team == "vision" };`,
		ask(claim("team", "vision")), ask(claim("team", []string{"vision"})), verdict.AccessDenied},
	{"a claim cannot stand in for the id", `permit(principal, action, resource) when { principal is Workload && principal.trustDomain == "claims.example" };`,
		ask(), ask(who(Workload, "spiffe://other.example/x"), claim("trustDomain", "claims.example")), verdict.AccessDenied},
	{"a label is asked for", `permit(principal, action, resource is Model) when { resource.hasTag("tier") && resource.getTag("tier") == "low" };`,
		ask(property("labels", map[string]string{"tier": "low"})), ask(property("labels", map[string]any{"tier": "high"})), verdict.AccessDenied},
	{"a model's verdict is asked for", `permit(principal, action, resource is Model) when { resource has verdict && resource.verdict == "allow" };`,
		ask(property("verdict", "allow")), ask(), verdict.AccessDenied},
	{"the host that is sent to is asked for", `permit(principal, action == Action::"egress", resource) when { resource.id like "*.example.com" };`,
		ask(does("egress"), to("api.example.com")), ask(does("egress"), to("example.org")), verdict.AccessDenied},
	// Cedar by itself would skip the forbid and allow.
	{"a forbid that cannot be evaluated denies", permitAll + `forbid(principal, action, resource) when { context.bytes * 9223372036854775807 < 0 };`,
		ask(with("bytes", int64(1))), ask(with("bytes", int64(2))), verdict.AccessFailed},
	{"a permit that cannot be evaluated denies beside one that holds", permitAll + `permit(principal, action, resource) when { context.bytes * 9223372036854775807 < 0 };`,
		ask(with("bytes", int64(1))), ask(with("bytes", int64(2))), verdict.AccessFailed},
	{"an error of a policy that is about something else does not matter", permitAll + `forbid(principal, action, resource == Model::"captioner") when { context.bytes * 9223372036854775807 < 0 };`,
		ask(to("translator")), ask(), verdict.AccessFailed},
	{"a context of another type denies", permitAll + `forbid(principal, action, resource) when { context.bytes > 5000 };`,
		ask(), ask(with("bytes", "1000")), verdict.AccessInvalid},
	{"a time that is not known denies who asks for it", permitAll + `forbid(principal, action, resource) when { context.time > datetime("2030-01-01") };`,
		ask(), ask(with("time", time.Time{})), verdict.AccessInvalid},
	{"an unknown action is denied", permitAll, ask(), ask(func(q *Request) { q.Action = "infre" }), verdict.AccessInvalid},
	{"an unknown type is denied", permitAll, ask(), ask(who("User", alice)), verdict.AccessInvalid},
	{"an action is done to its own type", permitAll, ask(does("egress")), ask(func(q *Request) { q.Action = "egress" }), verdict.AccessInvalid},
	{"what is known too long ago is denied", permitAll,
		ask(func(q *Request) { q.Age = time.Minute }), ask(func(q *Request) { q.Age = time.Minute + 1 }), verdict.AccessStale},
}

func TestDenialsHaveTheirAllowingTwins(t *testing.T) {
	for _, test := range twins {
		t.Run(test.name, func(t *testing.T) {
			s := compiled(t, cedarOf(test.cedar))
			if d := s.Decide(test.allowed); !d.Allow || d.Code != verdict.OK || len(d.Policies) == 0 {
				t.Errorf("not allowed: %+v", d)
			}
			d := s.Decide(test.denied)
			if d.Allow || d.Code != test.code || d.Detail == "" {
				t.Errorf("%+v, and not %s", d, test.code)
			}
			for _, q := range []*Request{test.allowed, test.denied} {
				if got, want := s.Decide(q), s.decide(q, (*asking).all); !same(got, want) {
					t.Errorf("sliced %+v, unsliced %+v", got, want)
				}
			}
		})
	}
}

func same(a, b Decision) bool {
	return a.Allow == b.Allow && a.Code == b.Code && slices.Equal(a.Policies, b.Policies) && slices.Equal(a.Observed, b.Observed)
}

func TestNoSetDenies(t *testing.T) {
	var none *Set
	if d := none.Decide(ask()); d.Allow || d.Code != verdict.PolicyNotReady {
		t.Errorf("%+v", d)
	}
	if d := compiled(t, nil).Decide(ask()); d.Allow || d.Code != verdict.AccessDenied {
		t.Errorf("the empty set: %+v", d)
	}
}

func TestWhatIsObservedDoesNotDecide(t *testing.T) {
	policies := []Policy{
		{Name: "all", Cedar: permitAll},
		{Name: "trial", Cedar: `@id("no-images") forbid(principal, action, resource) when { context.modalities.contains("image") };
			@id("more") permit(principal, action, resource);`, Observe: true},
	}
	s := compiled(t, policies)
	if d := s.Decide(ask()); !d.Allow || !slices.Equal(d.Observed, []string{"trial/no-images"}) || !slices.Equal(d.Policies, []string{"all/all"}) {
		t.Errorf("%+v", d)
	}
	if d := s.Decide(ask(with("modalities", []string{"text"}))); !d.Allow || d.Observed != nil {
		t.Errorf("%+v", d)
	}
	if d := compiled(t, policies[1:]).Decide(ask()); d.Allow {
		t.Errorf("an observed permit allowed: %+v", d)
	}
	policies[1].Observe = false
	if d := compiled(t, policies).Decide(ask()); d.Allow {
		t.Errorf("enforced: %+v", d)
	}
}

func TestADocumentIsAboutItsRoutes(t *testing.T) {
	for _, routes := range [][]string{{"vision"}, {"other", "vision"}} {
		for _, scope := range []string{`resource`, `resource is Model`, `resource == Model::"captioner"`, `resource in Route::"vision"`, `resource in Model::"captioner"`} {
			s := compiled(t, []Policy{{Name: "p", Routes: routes, Cedar: "permit(principal, action, " + scope + ");"}})
			if d := s.Decide(ask()); !d.Allow {
				t.Errorf("%s of %s: %+v", scope, routes, d)
			}
			if d := s.Decide(ask(via("speech"))); d.Allow {
				t.Errorf("%s of %s allowed elsewhere", scope, routes)
			}
		}
	}
}

func TestADecisionSaysHowLongItHolds(t *testing.T) {
	tests := []struct {
		name, cedar string
		until       time.Time
	}{
		{"without the time until the next generation", permitAll, time.Time{}},
		{"to the moment that a policy names", `permit(principal, action, resource) when { context.time < datetime("2026-11-23T13:00:00Z") };`, noon.Add(time.Hour)},
		{"to just after the moment that is still in", `permit(principal, action, resource) when { datetime("2026-11-23T12:00:00Z") >= context.time };`, noon.Add(time.Millisecond)},
		{"to the nearest of two", permitAll + `forbid(principal, action, resource) when { context.time > datetime("2026-12-01") && context.time < datetime("2027-01-01") };`, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)},
		{"5 s when the time is calculated with", `permit(principal, action, resource) when { context.time.toTime() > duration("8h") };`, noon.Add(recheck)},
		{"not by moments that have passed", `permit(principal, action, resource) when { context.time > datetime("2026-01-01") };`, time.Time{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := compiled(t, cedarOf(test.cedar)).Decide(ask())
			if !d.Allow || !d.Until.Equal(test.until) {
				t.Errorf("%t until %s, and not %s", d.Allow, d.Until, test.until)
			}
		})
	}
}

func TestGrantsLetIn(t *testing.T) {
	grant := func(change func(*Grant)) Grant {
		g := Grant{Name: "vision/allow/1", Route: "vision", Identities: []string{intake}, Actions: []string{"infer", "list"}}
		change(&g)
		return g
	}
	tests := []struct {
		name            string
		grant           Grant
		allowed, denied []*Request
	}{
		{"one identity", grant(func(*Grant) {}), []*Request{ask(), ask(to("any"))}, []*Request{ask(who(Workload, archive)), ask(does("embed")), ask(via("speech"))}},
		{"one model", grant(func(g *Grant) { g.Models = []string{"captioner"} }), []*Request{ask()}, []*Request{ask(to("any")), ask(via("speech"))}},
		{"some models", grant(func(g *Grant) { g.Models = []string{"captioner", "other"} }), []*Request{ask(), ask(to("other"))}, []*Request{ask(to("any")), ask(via("speech"))}},
		{"everything below", grant(func(g *Grant) { g.Identities = []string{"spiffe://claims.example/ns/claims/*"} }), []*Request{ask()}, []*Request{ask(who(Workload, archive)), ask(who(Workload, "spiffe://claims.example/ns/claims"))}},
		{"a trust domain", grant(func(g *Grant) { g.Identities = []string{"spiffe://claims.example/*"} }), []*Request{ask(), ask(who(Workload, archive))}, []*Request{ask(who(Workload, "spiffe://other.example/x"))}},
		{"a person", grant(func(g *Grant) { g.Identities = []string{alice} }), []*Request{ask(who(Person, alice))}, []*Request{ask(who(Person, alice+"2")), ask(who(Workload, alice))}},
		{"a group", grant(func(g *Grant) { g.Identities = []string{"group:adjusters"} }), []*Request{ask(who(Person, alice, "adjusters"))}, []*Request{ask(who(Person, alice))}},
		{"whoever is recognised", grant(func(g *Grant) { g.Identities = []string{"*"} }), []*Request{ask(), ask(who(Person, alice))}, []*Request{ask(who(Nobody, "anonymous"))}},
		{"whoever is let in", grant(func(g *Grant) { g.Identities, g.Anonymous = []string{"*"}, true }), []*Request{ask(), ask(who(Nobody, "anonymous"))}, []*Request{ask(who(Nobody, "anonymous"), does("speak"))}},
		{"who shows nothing", grant(func(g *Grant) { g.Identities = []string{"anonymous"} }), []*Request{ask(who(Nobody, "anonymous"))}, []*Request{ask()}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := compiled(t, nil, test.grant)
			for _, q := range test.allowed {
				if d := s.Decide(q); !d.Allow || !slices.Equal(d.Policies, []string{"vision/allow/1"}) {
					t.Errorf("%+v: %+v", q, d)
				}
			}
			for _, q := range test.denied {
				if d := s.Decide(q); d.Allow || d.Code != verdict.AccessDenied {
					t.Errorf("%+v: %+v", q, d)
				}
			}
		})
	}
}

func TestGrantsThatMeanNothingAreRefused(t *testing.T) {
	good := Grant{Name: "g", Route: "vision", Identities: []string{intake}, Actions: []string{"infer"}}
	compiled(t, nil, good)
	tests := []struct {
		name, want string
		change     func(*Grant)
	}{
		{"an unknown action", "did you mean infer?", func(g *Grant) { g.Actions = []string{"infre"} }},
		{"nobody", "names nobody", func(g *Grant) { g.Identities = nil }},
		{"nothing to do", "names nobody", func(g *Grant) { g.Actions = nil }},
		{"no route", "no route", func(g *Grant) { g.Route = "" }},
		{"no name", "needs a name", func(g *Grant) { g.Name = "" }},
		{"a word", "is nobody", func(g *Grant) { g.Identities = []string{"alice"} }},
		{"an empty group", "is nobody", func(g *Grant) { g.Identities = []string{"group:"} }},
		{"every trust domain", "no SPIFFE ID", func(g *Grant) { g.Identities = []string{"spiffe:///*"} }},
		{"a star for a trust domain", "after a trust domain", func(g *Grant) { g.Identities = []string{"spiffe://*"} }},
		{"a star in the middle", "whole segments", func(g *Grant) { g.Identities = []string{"spiffe://a/*/b"} }},
		{"half a segment", "whole segments", func(g *Grant) { g.Identities = []string{"spiffe://a/b*"} }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := good
			test.change(&g)
			if _, err := Compile(nil, []Grant{g}, Options{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := Compile(nil, []Grant{good, good}, Options{}); err == nil {
		t.Error("two grants of one name")
	}
}

func TestASetIsAskedByManyAtOnce(t *testing.T) {
	var wait sync.WaitGroup
	sets := make([]*Set, len(twins))
	for i := range twins {
		sets[i] = compiled(t, cedarOf(twins[i].cedar))
	}
	for range 8 {
		wait.Go(func() {
			for range 50 {
				for i, test := range twins {
					if d := sets[i].Decide(test.allowed); !d.Allow {
						t.Errorf("%s: %+v", test.name, d)
					}
					if d := sets[i].Decide(test.denied); d.Code != test.code {
						t.Errorf("%s: %+v", test.name, d)
					}
				}
			}
		})
	}
	wait.Wait()
}
