package access

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// The words that random policies and requests are made of: few, so that they meet.
var (
	someWho = []string{
		`principal`, `principal is Workload`, `principal is Person`, `principal is Nobody`,
		`principal == Workload::"spiffe://a/x/1"`, `principal == Person::"https://i#1"`, `principal == Workload::"https://i#1"`,
		`principal in Group::"g1"`, `principal in Group::"g2"`, `principal in Group::"spiffe://a/x"`, `principal is Person in Group::"g1"`, `principal is Workload in Group::"g2"`,
		`principal in Path::"spiffe://a"`, `principal in Path::"spiffe://a/x"`, `principal is Workload in Path::"spiffe://a/x"`,
		`principal in Workload::"spiffe://a/x/1"`,
	}
	someActions = []string{
		`action`, `action == Action::"infer"`, `action in Action::"embed"`, `action in [Action::"infer", Action::"list"]`, `action == Action::"egress"`, `action in [Action::"produce"]`,
	}
	someWhat = []string{
		`resource`, `resource is Model`, `resource is Host`, `resource == Model::"m1"`, `resource == Model::"r1"`, `resource in Route::"r1"`, `resource in Route::"r2"`,
		`resource is Model in Route::"r1"`, `resource in Model::"m2"`, `resource == Host::"m1"`, `resource == Topic::"m1"`, `resource is Topic in Route::"r2"`,
	}
	someConditions = []string{
		``, ``, ` when { context.bytes > 100 }`, ` unless { context.modalities.contains("image") }`, ` when { context has address && context.address.isInRange(ip("10.0.0.0/8")) }`,
		` when { principal in [Group::"g1", Group::"g2"] }`, ` when { resource in Route::"r1" }`, ` when { resource in [Model::"m1", Model::"m2"] }`, ` unless { principal in Path::"spiffe://a/x" }`,
		` when { principal has team && principal.team == "t" }`, ` when { principal has roles && principal.roles.containsAny(["x", "y"]) }`,
		` when { context.bytes * 9223372036854775807 > 0 }`, ` when { context.time < datetime("2026-11-23T12:00:00Z") }`,
		` when { resource has digest }`, ` when { resource.id like "m*" } unless { context.stream }`, ` when { principal has level && principal.level + 1 > 2 }`,
		` when { resource is Model && resource.hasTag("tier") && resource.getTag("tier") == "low" }`, ` when { action == Action::"infer" }`,
		` when { principal == Workload::"spiffe://a/x/1" || resource == Model::"m1" }`, ` when { {a: context.bytes}.a > 100 }`, ` when { (if context.stream then principal in Group::"g1" else principal is Workload) }`,
		` when { principal is Workload && principal.trustDomain == "a" }`,
		` when { !context.stream && context.bytes >= 100 }`, ` when { 100 < context.bytes || context.stream }`, ` when { context.bytes <= 100 }`, ` unless { context.bytes == 100 }`, ` when { context.bytes != 200 }`,
		` when { [Model::"m1", Model::"m3"].contains(resource) }`, ` when { datetime("2026-11-23T11:00:00Z") >= context.time }`, ` when { !(principal is Person) && resource is Model }`,
		` unless { principal has roles && principal.roles.contains("y") }`, ` when { context has classification && context.classification == "secret" }`, ` when { resource is Model && resource has digest && resource.digest != "sha256:0" }`,
		` when { principal has staff && principal.staff || principal in Path::"spiffe://a/y" }`, ` when { principal has level && principal.level < 2 }`, ` when { context has address && !context.address.isInRange(ip("10.1.1.1")) }`,
	}
	someRoutes = [][]string{nil, nil, nil, {"r1"}, {"r1", "r2"}}
)

func one[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }

// randomSet makes n documents of one random policy each, and some grants. What
// the type checker refuses is thrown again.
func randomSet(t testing.TB, r *rand.Rand, n int) *Set {
	var policies []Policy
	for len(policies) < n {
		effect := "permit"
		if r.IntN(3) == 0 {
			effect = "forbid"
		}
		p := cedarOf(fmt.Sprintf("%s(%s, %s, %s)%s;", effect, one(r, someWho), one(r, someActions), one(r, someWhat), one(r, someConditions)))[0]
		p.Name, p.Routes, p.Observe = fmt.Sprintf("p%d", len(policies)), one(r, someRoutes), r.IntN(8) == 0
		if _, err := Compile([]Policy{p}, nil, Options{}); err == nil {
			policies = append(policies, p)
		}
	}
	var grants []Grant
	for i := range n / 8 {
		grants = append(grants, Grant{
			Name: fmt.Sprintf("g%d", i), Route: one(r, []string{"r1", "r2"}), Anonymous: r.IntN(2) == 0,
			Identities: []string{one(r, []string{"*", "spiffe://a/x/1", "spiffe://a/*", "spiffe://a/x/*", "group:g1", "https://i#1", "anonymous"})},
			Actions:    one(r, [][]string{{"infer"}, {"infer", "embed"}, {"produce", "egress"}}),
			Models:     one(r, [][]string{nil, {"m1"}, {"m1", "m2"}}),
		})
	}
	return compiled(t, policies, grants...)
}

func randomRequest(r *rand.Rand) *Request {
	q := &Request{
		Principal: one(r, []Entity{{Workload, "spiffe://a/x/1"}, {Workload, "spiffe://a/x"}, {Workload, "spiffe://a/y/2"}, {Workload, "spiffe://ab/x/1"}, {Person, "https://i#1"}, {Person, "https://i#2"}, {Nobody, "anonymous"}, {Workload, ""}, {Workload, "///"}}),
		Groups:    one(r, [][]string{nil, {"g1"}, {"g2", "g1"}, {"g1", "g1"}, {"g3"}, {"spiffe://a/x"}}),
		Action:    one(r, []string{"infer", "infer", "embed", "list", "speak", "egress", "produce"}),
		Resource:  Entity{ID: one(r, []string{"m1", "m2", "m3", "r1", ""})},
		Route:     one(r, []string{"r1", "r2", "r3", ""}),
		Context: map[string]any{
			"time": one(r, []time.Time{noon, noon.Add(-time.Hour)}), "bytes": int64(r.IntN(3)) * 100, "stream": r.IntN(2) == 0,
			"modalities": one(r, [][]string{nil, {"text"}, {"text", "image"}}),
		},
		Attributes: one(r, []map[string]any{nil, {"team": "t"}, {"team": "u", "roles": []string{"y"}}, {"level": int64(r.IntN(4))}, {"level": 1, "staff": true}, {"labels": map[string]string{"tier": "low"}}, {"labels": map[string]any{"tier": "low"}}, {"team": int64(5), "staff": "yes", "roles": "y"}}),
		Properties: one(r, []map[string]any{nil, {"digest": "sha256:0"}, {"labels": map[string]string{"tier": "low"}}, {"labels": map[string]string{"tier": "high"}}}),
	}
	if r.IntN(2) == 0 {
		q.Context["address"] = one(r, []netip.Addr{netip.MustParseAddr("10.1.1.1"), netip.MustParseAddr("2001:db8::1")})
	}
	if r.IntN(3) == 0 {
		q.Context["classification"] = one(r, []string{"public", "secret"})
	}
	q.Resource.Type = ResourceOf(q.Action)
	return q
}

func TestTheIndexDecidesAsCedarDoesWithoutIt(t *testing.T) {
	sets, requests := 50, 2000 // 100,000 in all
	if testing.Short() {
		sets = 5
	}
	seen := map[verdict.Code]int{}
	for i := range sets {
		r := rand.New(rand.NewPCG(6, uint64(i)))
		s := randomSet(t, r, 8+i)
		for range requests {
			q := randomRequest(r)
			got, want := s.Decide(q), s.decide(q, (*asking).all)
			seen[got.Code]++
			if !same(got, want) {
				t.Fatalf("set %d: %+v\nsliced   %+v\nunsliced %+v\n%s", i, q, got, want, s.text())
			}
		}
	}
	for _, code := range []verdict.Code{verdict.OK, verdict.AccessDenied, verdict.AccessForbidden, verdict.AccessFailed} {
		if seen[code] < sets*requests/1000 && !testing.Short() {
			t.Errorf("only %d requests were %s: the test looks at too little", seen[code], code)
		}
	}
}

// text is the set in Cedar.
func (s *Set) text() string {
	var b strings.Builder
	for _, r := range s.rules {
		fmt.Fprintf(&b, "// %s observe=%t\n%s\n", r.name, r.observe, r.whole.MarshalCedar())
	}
	return b.String()
}

// FuzzSlice looks for a set and a request for which the index changes the answer.
func FuzzSlice(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint8(10))
	f.Add(uint64(7), uint64(0), uint8(40))
	f.Fuzz(func(t *testing.T, a, b uint64, n uint8) {
		r := rand.New(rand.NewPCG(a, b))
		s := randomSet(t, r, 1+int(n%32))
		for range 50 {
			q := randomRequest(r)
			if got, want := s.Decide(q), s.decide(q, (*asking).all); !same(got, want) {
				t.Fatalf("%+v\nsliced   %+v\nunsliced %+v\n%s", q, got, want, s.text())
			}
		}
	})
}

// FuzzCompile reads foreign documents: whatever they hold, there is a set that
// decides, or there are problems with places in the document.
func FuzzCompile(f *testing.F) {
	for _, test := range twins {
		f.Add(test.cedar)
	}
	f.Add(`@id("a") permit(principal, action, resource) when { if context.stream then true else context["bytes"] < -5 };`)
	f.Add("permit(principal, action, resource) when { \"\\u{1F600}\" like \"*\\*\" };")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Compile(cedarOf(text), nil, Options{})
		if err != nil {
			if len(AsProblems(err)) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			for _, p := range AsProblems(err) {
				if p.Line > strings.Count(text, "\n")+1 || p.Line > 0 && p.Column < 1 {
					t.Fatalf("a place outside of the document: %v", p)
				}
			}
			return
		}
		if got, want := s.Decide(ask()), s.decide(ask(), (*asking).all); !same(got, want) {
			t.Fatalf("sliced %+v, unsliced %+v", got, want)
		}
	})
}

func TestADecisionCostsNoMoreAmongTenThousandPolicies(t *testing.T) {
	for _, n := range []int{10, 10_000} {
		s, q := manyPolicies(t, n), inManyPolicies(n)
		if d := s.Decide(q); !d.Allow || len(d.Policies) != 1 {
			t.Fatalf("%+v", d)
		}
		a := newAsking(s)
		action, err := a.name(q)
		if err != nil {
			t.Fatal(err)
		}
		if looked := s.enforced.find(nil, a, action); len(looked) != 2 {
			t.Errorf("of %d policies %d were looked at", n, len(looked))
		}
		// The list of who decided; more while the pool is refilled.
		if allocations := testing.AllocsPerRun(500, func() { s.Decide(q) }); allocations > 4 {
			t.Errorf("%d policies: %g allocations", n, allocations)
		}
	}
}

func TestPlainConditionsNeedNoCedar(t *testing.T) {
	for condition, plain := range map[string]bool{
		`when { context.bytes > 5 }`: true,
		`when { principal has team && principal.team == "x" } unless { context.stream }`: true,
		`when { context.bytes * 2 + 1 > -5 }`:                                            true,
		`when { resource.id like "x*" }`:                                                 true,
		`when { context.time.toTime() >= duration("8h") }`:                               true,
		`when { {a: context.bytes}.a > 5 }`:                                              false,
		`when { context.modalities == ["text"] }`:                                        false,
	} {
		s := compiled(t, cedarOf("permit(principal, action, resource) "+condition+";"))
		if got := s.rules[0].quick != nil; got != plain {
			t.Errorf("%s: %t", condition, got)
		}
	}
}
