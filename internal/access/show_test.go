package access

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const houseRules = `
@id("team") permit(principal in Group::"adjusters", action in [Action::"infer", Action::"embed"], resource in Route::"vision");
@id("size") forbid(principal, action, resource) when { context.bytes > 1000 && context.modalities.contains("audio") } unless { principal has staff && principal.staff };
@id("other") permit(principal, action, resource == Model::"translator");
@id("sum") forbid(principal, action, resource == Model::"overflow") when { context.bytes * 9223372036854775807 > 0 };
@id("trusted") permit(principal in Path::"spiffe://claims.example", action == Action::"list", resource) when { principal in Group::"adjusters" };
`

func TestADecisionIsExplained(t *testing.T) {
	s := compiled(t, cedarOf(houseRules))
	show := func(q *Request) string {
		var b strings.Builder
		x := s.Explain(q)
		for _, l := range x.Policies {
			fmt.Fprintf(&b, "%s %s %d:%d holds=%t failed=%t", l.Effect, l.Name, l.Line, l.Column, l.Holds, l.Failed)
			for _, c := range l.Conditions {
				fmt.Fprintf(&b, " | %s %s: %s", c.Kind, c.Text, c.Result)
			}
			b.WriteByte('\n')
		}
		for _, n := range x.Near {
			fmt.Fprintf(&b, "near %s: %s\n", n.Name, n.Part)
		}
		fmt.Fprintf(&b, "others %d, allow %t", x.Others, x.Decision.Allow)
		return b.String()
	}
	member := who(Workload, intake, "adjusters")
	tests := []struct {
		name    string
		request *Request
		want    string
	}{
		{"every condition has its result", ask(member, with("bytes", int64(2000)), with("modalities", []string{"audio"})),
			`permit p/team 2:1 holds=true failed=false
forbid p/size 3:1 holds=true failed=false | when context.bytes > 1000: true | when context.modalities.contains("audio"): true | unless principal has staff: false | unless principal.staff: 
near p/other: resource
near p/sum: resource
near p/trusted: action
others 0, allow false`},
		{"what does not hold is not gone on with", ask(member, claim("staff", true)),
			`permit p/team 2:1 holds=true failed=false
forbid p/size 3:1 holds=false failed=false | when context.bytes > 1000: false | when context.modalities.contains("audio"):  | unless principal has staff:  | unless principal.staff: 
near p/other: resource
near p/sum: resource
near p/trusted: action
others 0, allow true`},
		{"an error is shown", ask(member, to("overflow"), via("x")),
			`forbid p/size 3:1 holds=false failed=false | when context.bytes > 1000: false | when context.modalities.contains("audio"):  | unless principal has staff:  | unless principal.staff: 
forbid p/sum 5:1 holds=false failed=true | when context.bytes * 9223372036854775807 > 0: integer overflow while attempting to multiply ` + "`1000` by `9223372036854775807`" + `
near p/team: resource
near p/other: resource
near p/trusted: action
others 0, allow false`},
		{"who is in what is evaluated", ask(member, does("list"), via("x")),
			`forbid p/size 3:1 holds=false failed=false | when context.bytes > 1000: false | when context.modalities.contains("audio"):  | unless principal has staff:  | unless principal.staff: 
permit p/trusted 6:1 holds=true failed=false | when principal in Group::"adjusters": true
near p/other: resource
near p/sum: resource
others 1, allow true`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := show(test.request)
			if got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
	if x := s.Explain(ask(func(q *Request) { q.Action = "?" })); x.Decision.Allow || len(x.Policies) > 0 {
		t.Errorf("%+v", x)
	}
	if x := (*Set)(nil).Explain(ask()); x.Decision.Allow {
		t.Errorf("%+v", x)
	}
}

func TestAnExplanationAgreesWithTheDecision(t *testing.T) {
	for _, test := range twins {
		s := compiled(t, cedarOf(test.cedar))
		for _, q := range []*Request{test.allowed, test.denied} {
			x := s.Explain(q)
			var held []string
			for _, l := range x.Policies {
				if l.Holds && (l.Effect == "permit") == x.Decision.Allow || l.Failed {
					held = append(held, l.Name)
				}
			}
			if strings.HasSuffix(string(x.Decision.Code), ".denied") {
				held = nil
			}
			if slices.Sort(held); len(x.Policies) > 0 && !slices.Equal(held, x.Decision.Policies) {
				t.Errorf("%s: %v, but decided by %v", test.name, held, x.Decision.Policies)
			}
		}
	}
}

func TestSetsAreTested(t *testing.T) {
	s := compiled(t, cedarOf(houseRules))
	right := Test{
		Document: "p", Name: "an adjuster asks", Principal: intake, Groups: []string{"adjusters"}, Action: "infer", Route: "vision", Model: "captioner",
		Context: `{"time": "2026-11-23T12:00:00Z", "address": "10.0.0.1", "bytes": 5, "modalities": ["text"]}`, Expect: "Allow", Policies: []string{"team"},
	}
	tests := []struct {
		name   string
		change func(*Test)
		want   string // "" passes
	}{
		{"the answer is right", func(*Test) {}, ""},
		{"without policies any may decide", func(t *Test) { t.Policies = nil }, ""},
		{"a policy by its whole name", func(t *Test) { t.Policies = []string{"p/team"} }, ""},
		{"a deny that is expected", func(t *Test) { t.Groups, t.Expect, t.Policies = nil, "Deny", nil }, ""},
		{"a claim decides", func(t *Test) {
			t.Context, t.Claims = `{"bytes": 5000, "modalities": ["audio"]}`, `{"staff": true, "unused": null}`
		}, ""},
		{"a deny that is not", func(t *Test) { t.Groups = nil }, "expected Allow, got Deny (request.access.denied); no policy permits infer"},
		{"an allow that is not", func(t *Test) { t.Expect = "Deny" }, "expected Deny, got Allow (ok); decided by p/team"},
		{"another policy", func(t *Test) { t.Policies = []string{"other"} }, "expected that other decides; decided by p/team"},
		{"one policy of two", func(t *Test) { t.Model = "translator" }, ""},
		{"a policy of another document", func(t *Test) { t.Document = "q" }, "expected that team decides; decided by p/team"},
		{"the second of two that does not decide", func(t *Test) { t.Policies = []string{"team", "trusted"} }, "expected that trusted decides; decided by p/team"},
		{"a model's labels", func(t *Test) { t.Properties = `{"verdict": "allow", "labels": {"tier": "low"}}` }, ""},
		{"an unknown property", func(t *Test) { t.Properties = `{"verdikt": "allow"}` }, "properties: a Model has no property verdikt; did you mean verdict?"},
		{"a property of another type", func(t *Test) { t.Properties = `{"verdict": true}` }, "properties: verdict is no String"},
		{"nobody", func(t *Test) { t.Principal = "alice" }, "principal: \"alice\" is nobody"},
		{"an unknown action", func(t *Test) { t.Action = "infre" }, "did you mean infer?"},
		{"an unknown attribute", func(t *Test) { t.Context = `{"bites": 5}` }, "context: context has no attribute bites; did you mean bytes?"},
		{"an attribute of another type", func(t *Test) { t.Context = `{"bytes": 1.5}` }, "context.bytes is no Long"},
		{"a time that is none", func(t *Test) { t.Context = `{"time": "noon"}` }, "context.time is no datetime"},
		{"claims that are no object", func(t *Test) { t.Claims = `[]` }, "claims: it is no JSON object"},
		{"a key twice", func(t *Test) { t.Claims = `{"a": 1, "a": 2}` }, "claims: "},
		{"another word for the answer", func(t *Test) { t.Expect = "allow" }, "write Allow or Deny"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			question := right
			test.change(&question)
			r := s.Test([]Test{question})[0]
			if r.Passed != (test.want == "") || !strings.Contains(r.Detail, test.want) || r.Name != right.Name {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestForeignContextDeniesWhereItIsAskedForOnly(t *testing.T) {
	read := func(text string) func(*Request) {
		return func(q *Request) {
			var err error
			if q.Context, err = ReadContext([]byte(text), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := compiled(t, cedarOf(`permit(principal, action, resource) when { context.bytes < 10 };`))
	for text, allow := range map[string]bool{
		`{"bytes": 5, "source": "x", "time": "2025-06-27T18:03-07:00"}`: true,
		`{"bytes": 50}`: false, `{"bytes": "5"}`: false, `{"bytes": 5.5}`: false, `{"bytes": [5]}`: false, `{"bytes": {}}`: false, `{"bytes": 1e400}`: false,
	} {
		if d := s.Decide(ask(read(text))); d.Allow != allow {
			t.Errorf("%s: %+v", text, d)
		}
	}
}

func TestAGraphShowsWhoCanReachWhat(t *testing.T) {
	s := compiled(t, cedarOf(houseRules), Grant{Name: "speech/allow/1", Route: "speech", Identities: []string{alice}, Actions: []string{"transcribe", "speak"}})
	g, err := s.Graph([]Identity{{"intake", Entity{Workload, intake}, []string{"adjusters"}}, {"alice", Entity{Person, alice}, nil}},
		[]Target{{Entity{Model, "captioner"}, "vision"}, {Entity{Model, "translator"}, "speech"}})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range g.Edges {
		lines = append(lines, fmt.Sprintf("%s %s %v by %v unless %v conditional=%t", e.Identity, e.Target, e.Actions, e.Policies, e.Unless, e.Conditional))
	}
	want := []string{
		"intake vision/captioner [infer embed] by [p/team] unless [p/size] conditional=true",
		"intake vision/captioner [list] by [p/trusted] unless [p/size] conditional=true",
		"intake speech/translator [infer embed generate transcribe speak moderate] by [p/other] unless [p/size] conditional=true",
		"intake speech/translator [list] by [p/other p/trusted] unless [p/size] conditional=true",
		"alice speech/translator [infer embed generate moderate list] by [p/other] unless [p/size] conditional=true",
		"alice speech/translator [transcribe speak] by [p/other speech/allow/1] unless [p/size] conditional=true",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	var dot strings.Builder
	if err := g.WriteDOT(&dot); err != nil || !strings.Contains(dot.String(), `"intake" -> "vision/captioner" [label="infer, embed\np/team\nunless p/size", style=dashed]`) {
		t.Errorf("%v\n%s", err, dot.String())
	}
	if data, err := json.Marshal(g); err != nil || !strings.Contains(string(data), `"target":{"resource":{"type":"Model","id":"captioner"},"route":"vision"}`) {
		t.Errorf("%v %s", err, data)
	}
}

func TestAGraphFindsThePeopleOfItsPolicies(t *testing.T) {
	s := compiled(t, cedarOf(`
		permit(principal == Person::"`+alice+`", action == Action::"infer", resource == Model::"m");
		permit(principal in Group::"g", action == Action::"infer", resource in Route::"r") when { context.time < datetime("2030-01-01") };
		permit(principal is Workload in Path::"spiffe://a", action == Action::"egress", resource);
		forbid(principal, action, resource in Route::"closed");`))
	g, err := s.Graph(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	has := func(who, target string, conditional bool) bool {
		return slices.ContainsFunc(g.Edges, func(e Edge) bool {
			return e.Identity == who && e.Target.String() == target && e.Conditional == conditional
		})
	}
	for _, there := range []bool{
		has(alice, "*/m", false), has(alice, "r/m", false), has("persons of group g", "r/*", true), has("workloads of group g", "r/m", true),
		has("anybody below spiffe://a", "*/Host:*", false), !has(alice, "closed/m", false), !has("anonymous", "*/m", false), !has("any workload", "*/Host:*", false),
	} {
		if !there {
			t.Errorf("%+v", g.Edges)
		}
	}
	if _, err := s.Graph(make([]Identity, 1501), slices.Repeat([]Target{{Entity{Model, "m"}, "r"}}, 1001)); err == nil {
		t.Error("ten million questions are asked")
	}
}

// What a graph calls unconditional has to be allowed, and what is not in it denied.
func TestAGraphAgreesWithDecisions(t *testing.T) {
	s := compiled(t, cedarOf(houseRules), Grant{Name: "g", Route: "speech", Identities: []string{"*"}, Actions: []string{"speak"}, Models: []string{"a", "b"}})
	who := []Identity{{"intake", Entity{Workload, intake}, []string{"adjusters"}}, {"alice", Entity{Person, alice}, nil}, {"nobody", Entity{Nobody, "anonymous"}, nil}}
	what := []Target{{Entity{Model, "a"}, "speech"}, {Entity{Model, "translator"}, "speech"}, {Entity{Model, "captioner"}, "vision"}}
	g, err := s.Graph(who, what)
	if err != nil {
		t.Fatal(err)
	}
	allowed := 0
	for _, i := range who {
		for _, to := range what {
			for _, action := range Actions()[:7] {
				d := s.Decide(&Request{Principal: i.Principal, Groups: i.Groups, Action: action, Resource: to.Resource, Route: to.Route, Context: map[string]any{"time": time.Unix(0, 0)}})
				in := slices.ContainsFunc(g.Edges, func(e Edge) bool {
					return e.Identity == i.Name && e.Target == to && slices.Contains(e.Actions, action)
				})
				if d.Allow != in { // nothing in these requests makes a condition hold
					t.Errorf("%s %s %s: %+v", i.Name, to, action, d)
				}
				if d.Allow {
					allowed++
				}
			}
		}
	}
	if allowed == 0 {
		t.Error("nothing was allowed")
	}
}

func FuzzReadContext(f *testing.F) {
	f.Add([]byte(`{"time": "2026-11-23T12:00:00Z", "address": "::1", "bytes": 5, "modalities": ["text"]}`))
	f.Add([]byte(`{"labels": {"a": "b"}, "time": 5}`))
	rules := compiled(f, cedarOf(houseRules))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := ReadContext(data, true); err == nil {
			for name := range got {
				if !slices.Contains((&schema{}).known("context"), name) {
					t.Fatalf("%q", name)
				}
			}
		}
		if got, err := ReadContext(data, false); err == nil {
			rules.Decide(ask(func(q *Request) { q.Context = got }))
		}
	})
}

func TestPoliciesThatNoTestReachesAreNamed(t *testing.T) {
	policies := cedarOf(houseRules)
	policies = append(policies, Policy{Name: "trial", Observe: true, Cedar: `@id("audio") forbid(principal, action, resource) when { context.modalities.contains("audio") };
		@id("all") permit(principal, action, resource);`})
	s := compiled(t, policies, Grant{Name: "vision/allow/1", Route: "vision", Identities: []string{"*"}, Actions: []string{"infer"}})
	asked := Test{Principal: intake, Groups: []string{"adjusters"}, Action: "infer", Route: "vision", Model: "captioner", Context: `{"bytes": 5}`, Expect: "Allow"}
	if got, want := s.Unreached(s.Test([]Test{asked})), []string{"p/size", "p/other", "p/sum", "p/trusted", "trial/audio"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	audio := asked
	audio.Context, audio.Expect = `{"bytes": 5000, "modalities": ["audio"]}`, "Deny"
	if got, want := s.Unreached(s.Test([]Test{asked, audio})), []string{"p/other", "p/sum", "p/trusted"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestATestThatNeedsTheTimeHasToSayIt(t *testing.T) {
	s := compiled(t, cedarOf(`permit(principal, action, resource) when { context.time < datetime("2027-01-01") };`))
	asked := Test{Name: "this year", Principal: intake, Action: "infer", Model: "captioner", Expect: "Allow"}
	if r := s.Test([]Test{asked})[0]; r.Passed || !strings.Contains(r.Detail, "context.time, which is not known") {
		t.Errorf("%+v", r)
	}
	asked.Context = `{"time": "2026-12-31T23:59:59Z"}`
	if r := s.Test([]Test{asked})[0]; !r.Passed {
		t.Errorf("%+v", r)
	}
}

func TestAGraphOfAThousandPoliciesOnAHundredRoutes(t *testing.T) {
	var policies []Policy
	var targets []Target
	for i := range 100 {
		targets = append(targets, Target{Entity{Model, fmt.Sprintf("model-%d", i)}, fmt.Sprintf("route-%d", i)})
	}
	for i := range 1000 {
		policies = append(policies, Policy{Name: fmt.Sprintf("p%d", i), Cedar: fmt.Sprintf(
			`permit(principal == Workload::"spiffe://claims.example/%d", action == Action::"infer", resource in Route::"route-%d");`, i, i%100)})
	}
	s := compiled(t, policies)
	g, err := s.Graph(nil, targets)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Edges) != 1000 || len(g.Targets) != 100 {
		t.Errorf("%d edges to %d targets", len(g.Edges), len(g.Targets))
	}
	for _, e := range g.Edges {
		var who, route int
		fmt.Sscanf(e.Identity, "spiffe://claims.example/%d", &who)
		fmt.Sscanf(e.Target.Route, "route-%d", &route)
		if who%100 != route || e.Conditional || !slices.Equal(e.Actions, []string{"infer"}) {
			t.Fatalf("%+v", e)
		}
	}
	if _, err := s.Graph(nil, slices.Repeat(targets, 100)); err == nil {
		t.Error("a graph without measure is drawn")
	}
}
