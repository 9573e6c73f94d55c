package judge

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/function/stack"
)

// labelled is one case of a class: a stack, and whether it is bad.
type labelled struct {
	name  string
	bad   bool
	stack *stack.Stack
}

const least = 10 // of each verdict, for each class

func check(t *testing.T, class string, cases []labelled) {
	t.Helper()
	bad, good := 0, 0
	for _, tc := range cases {
		if tc.bad {
			bad++
		} else {
			good++
		}
		t.Run(tc.name, func(t *testing.T) {
			found := of(Judge(tc.stack, Options{}), class)
			if tc.bad != (len(found) > 0) {
				t.Errorf("bad is %v, found %v", tc.bad, found)
			}
			for _, f := range found {
				if f.Severity == "" || f.Mend == "" || f.Detail == "" || f.Resource == "" {
					t.Errorf("a finding that says too little: %+v", f)
				}
			}
		})
	}
	if bad < least || good < least {
		t.Errorf("%s has %d bad and %d good cases, at least %d of each are wanted", class, bad, good, least)
	}
}

func of(found []stack.Finding, class string) []stack.Finding {
	return slices.DeleteFunc(slices.Clone(found), func(f stack.Finding) bool { return f.Class != class })
}

// document writes statements, given as "Allow a,b on r1,r2 if {…}", into one.
func document(statements ...string) json.RawMessage {
	var list []string
	for _, s := range statements {
		list = append(list, statement(s))
	}
	return json.RawMessage(`{"Version":"2012-10-17","Statement":[` + strings.Join(list, ",") + `]}`)
}

// statement reads "Effect [not] actions on [not] resources [if {…}]".
func statement(s string) string {
	s, condition, _ := strings.Cut(s, " if ")
	head, resources, hasResources := strings.Cut(s, " on ")
	effect, actions, _ := strings.Cut(head, " ")
	quote := func(name, list string) string {
		if rest, ok := strings.CutPrefix(list, "not "); ok {
			name, list = "Not"+name, rest
		}
		b, err := json.Marshal(strings.Split(list, ","))
		if err != nil {
			panic(err)
		}
		return fmt.Sprintf("%q:%s", name, b)
	}
	out := fmt.Sprintf(`{"Effect":%q,%s`, effect, quote("Action", actions))
	if hasResources {
		out += "," + quote("Resource", resources)
	}
	if condition != "" {
		out += `,"Condition":` + condition
	}
	return out + "}"
}

// policy makes a policy that stands at line 100, its statements from 101 on.
func policy(id string, statements ...string) stack.Policy {
	p := stack.Policy{ID: id, Name: id, Where: stack.Where{File: "main.tf", Line: 100}, Document: document(statements...)}
	for i := range statements {
		p.Lines = append(p.Lines, 101+i)
	}
	return p
}

// alone is a stack with one policy that nobody has.
func alone(statements ...string) *stack.Stack {
	return &stack.Stack{Unit: stack.Terraform, Policies: []stack.Policy{policy("p", statements...)}}
}

// role makes a role with policies.
func role(id string, trust string, policies ...string) stack.Principal {
	p := stack.Principal{ID: id, Name: id, Kind: "role", Where: stack.Where{File: "main.tf", Line: 10}, Policies: policies}
	if trust != "" {
		p.Trust = &stack.Policy{Where: stack.Where{File: "main.tf", Line: 12}, Document: json.RawMessage(trust)}
	}
	return p
}

// trusting is the trust policy for a principal as JSON: `{"Service":"x"}`.
func trusting(principal string, condition ...string) string {
	s := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:AssumeRoleWithWebIdentity"],"Principal":` + principal
	for _, c := range condition {
		s += `,"Condition":` + c
	}
	return s + `}]}`
}

func managed(arns ...string) []stack.Text {
	var list []stack.Text
	for _, a := range arns {
		list = append(list, stack.Literal(a))
	}
	return list
}

func TestStacksAreJudgedAtTheSameTime(t *testing.T) {
	s := alone("Allow iam:PassRole,ec2:RunInstances on *", "Allow not s3:* on *", "Allow s3:GetObject on *")
	want := fmt.Sprint(Judge(s, Options{}))
	got := make(chan string)
	const judges = 4
	for range judges {
		go func() { got <- fmt.Sprint(Judge(s, Options{})) }()
	}
	for range judges {
		if g := <-got; g != want {
			t.Errorf("%s\nwant %s", g, want)
		}
	}
}

func TestTheTableOfClassesSaysWhatEachMeans(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Classes() {
		if seen[c.ID] || c.Why == "" || c.Mend == "" || !slices.Contains([]string{"critical", "high", "medium", "low"}, c.Severity) {
			t.Errorf("%+v", c.ID)
		}
		seen[c.ID] = true
	}
	for _, id := range []string{
		"privilege_escalation", "data_exfiltration", "credentials_exposure", "admin_or_service_star", "star_resource", "unconstrained_permissions_mgmt", "unconstrained_write", "public_or_cross_account_trust",
		"public_resource_policy", "function_public_invoke", "function_secret_in_env", "function_shared_role", "function_env_not_encrypted", "k8s_rbac_wildcard", "k8s_rbac_dangerous", "k8s_default_sa_binding",
	} {
		if !seen[id] {
			t.Errorf("no class %s", id)
		}
	}
}
