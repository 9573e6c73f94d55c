package access

import (
	"fmt"
	"strings"
	"testing"
)

func TestPoliciesAreHeldToTheSchema(t *testing.T) {
	const head = `permit(principal, action, resource)`
	tests := []struct {
		name, cedar, want string
		mended            string
	}{
		{"an unknown attribute of the request", head + "\n  when { context.bytez > 5 };", "p:2:18: context has no attribute bytez; did you mean bytes?", head + " when { context.bytes > 5 };"},
		// The type checker takes it for an attribute that is never there: a forbid that never holds.
		{"an unknown attribute that is asked for", head + " when { context has adress && context.adress.isLoopback() };", "context has no attribute adress; did you mean address?", head + " when { context has address && context.address.isLoopback() };"},
		// The type checker does not look behind what is never true.
		{"an unknown attribute that is never reached", head + " when { false && context.bytez > 5 };", "bytez", head + " when { false && context.bytes > 5 };"},
		{"an unknown attribute in quotes", head + ` when { context["bytez"] > 5 };`, "p:1:52: context has no attribute bytez", head + ` when { context["bytes"] > 5 };`},
		{"an unknown claim", head + ` when { principal has tea && principal.tea == "x" };`, "did you mean team?", head + ` when { principal has team && principal.team == "x" };`},
		{"a claim that is not asked for first", head + ` when { principal.team == "x" };`, "need not have team: ask first, principal has team", head + ` when { principal has team && principal.team == "x" };`},
		{"an optional attribute that is not asked for first", head + ` when { context.address.isLoopback() };`, "need not have address: ask first, context has address", head + ` when { context has address && context.address.isLoopback() };`},
		{"an attribute of another type of principal", `permit(principal is Person, action, resource) when { principal.trustDomain == "x" };`, "p:1:64: attribute trustDomain on entity type Person not found", `permit(principal is Workload, action, resource) when { principal.trustDomain == "x" };`},
		{"another type", head + ` when { context.bytes == "5" };`, "not compatible", head + ` when { context.bytes == 5 };`},
		{"an unknown action", `permit(principal, action == Action::"infre", resource);`, `p:1:37: there is no action infre; did you mean infer?`, `permit(principal, action == Action::"infer", resource);`},
		{"an unknown action in a condition", head + ` when { action == Action::"infre" };`, `there is no action infre`, head + ` when { action == Action::"infer" };`},
		{"an unknown type of resource", `permit(principal, action, resource == Modle::"x");`, `p:1:39: there is no type Modle; did you mean Model?`, `permit(principal, action, resource == Model::"x");`},
		{"an unknown type of principal", `permit(principal is User, action, resource);`, `there is no type User`, `permit(principal is Person, action, resource);`},
		{"a resource that the action is never done to", `permit(principal, action == Action::"egress", resource is Model);`, "would never apply", `permit(principal, action == Action::"egress", resource is Host);`},
		{"a principal that is no principal", `permit(principal == Group::"x", action, resource);`, "would never apply", `permit(principal in Group::"x", action, resource);`},
		{"a label that is not asked for first", `permit(principal, action, resource is Model) when { resource.getTag("a") == "b" };`, "ask first with hasTag", `permit(principal, action, resource is Model) when { resource.hasTag("a") && resource.getTag("a") == "b" };`},
		{"no Cedar", "permit(principal, action, resource)\nwen { true };", "p:2:5: it is no Cedar, before \"{\": there is wen where ; should be", "permit(principal, action, resource)\nwhen { true };"},
		{"a string without an end", `permit(principal == Workload::"x, action, resource);`, "p:1:31: a string does not end", `permit(principal == Workload::"x", action, resource);`},
		// The parser passes over what stands between, quotes and brackets included.
		{"a comment that Cedar does not have", "// é\n /* \" */ " + head + "; // \"", "p:2:2: Cedar has no comments between", "// é\n // \" \n" + head + "; // \""},
		{"nothing", "// nothing\n", "holds no policy", head + ";"},
		{"two policies of one name", `@id("a") ` + head + `; @id("a") ` + head + `;`, "another policy is called p/a", `@id("a") ` + head + `; @id("b") ` + head + `;`},
		{"deep nesting", head + " when { " + strings.Repeat("(", 40) + "true" + strings.Repeat(")", 40) + " };", "nested deeper than 32", head + " when { " + strings.Repeat("(", 20) + "true" + strings.Repeat(")", 20) + " };"},
		{"deep ifs", head + " when { " + strings.Repeat("if true then true else ", 40) + "true };", "nested deeper than 32", head + " when { " + strings.Repeat("if true then true else ", 20) + "true };"},
		{"parts of an attribute", head + " when { context has address.network.name };", "no attribute has parts", head + " when { context has address };"},
		{"very many guards", head + " when { true" + strings.Repeat(" && context has tokens", 17) + " };", "more than 16 times", head + " when { true" + strings.Repeat(" && context has tokens", 16) + " };"},
		{"a very long policy", head + " when { true" + strings.Repeat(" && true", 600) + " };", "more than 1024 words", head + " when { true" + strings.Repeat(" && true", 300) + " };"},
		{"a very large document", "// " + strings.Repeat("x", maxDocument) + "\n" + head + ";", "larger than 262144 bytes", "// " + strings.Repeat("x", 1000) + "\n" + head + ";"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Compile(cedarOf(test.cedar), nil, Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
			if len(AsProblems(err)) == 0 {
				t.Errorf("%T", err)
			}
			if _, err := Compile(cedarOf(test.mended), nil, Options{}); err != nil {
				t.Errorf("mended: %v", err)
			}
		})
	}
}

func TestEveryProblemIsReportedWithItsPlace(t *testing.T) {
	_, err := Compile(cedarOf("permit(principal, action, resource) when { context.a };\n// é\nforbid(principal, action == Action::\"b\", resource) when { context.b && context.c };"), nil, Options{})
	var places []string
	for _, p := range AsProblems(err) {
		places = append(places, fmt.Sprintf("%d:%d", p.Line, p.Column))
	}
	if got := strings.Join(places, " "); got != "1:52 3:67 3:80" {
		t.Errorf("%s\n%v", got, err)
	}
}

func TestClaimsAreDeclaredOnce(t *testing.T) {
	document := func(name string, claims ...Claim) Policy {
		return Policy{Name: name, Cedar: permitAll, Claims: claims}
	}
	for _, test := range []struct {
		name, want string
		policies   []Policy
	}{
		{"another type elsewhere", "agree on one", []Policy{document("a", Claim{"team", String}), document("b", Claim{"team", Long})}},
		{"twice", "there twice", []Policy{document("a", Claim{"team", String}, Claim{"team", String})}},
		{"an attribute that all have", "that every Workload has", []Policy{document("a", Claim{"id", String})}},
		{"an unknown type", "write String, Long, Bool or Strings", []Policy{document("a", Claim{"team", "Text"})}},
		{"a claim of another document", "no attribute team", []Policy{document("a", Claim{"team", String}),
			{Name: "b", Cedar: `permit(principal, action, resource) when { principal has team };`}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Compile(test.policies, nil, Options{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
		})
	}
	compiled(t, []Policy{document("a", Claim{"team", String}), document("b", Claim{"team", String}, Claim{"level", Long})})
}

func TestADocumentNeverAppliesOutsideItsRoutes(t *testing.T) {
	_, err := Compile([]Policy{{Name: "p", Routes: []string{"a", "b"}, Cedar: `permit(principal, action, resource in Route::"c");`}}, nil, Options{})
	if err == nil || !strings.Contains(err.Error(), "p:1:1: the policy is about the route c") {
		t.Errorf("%v", err)
	}
}
