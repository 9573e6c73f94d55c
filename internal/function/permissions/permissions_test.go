package permissions

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apexlogic/apex/internal/function"
	"github.com/apexlogic/apex/internal/function/stack"
)

// read reads the only unit of a tree.
func read(t testing.TB, files map[string]string) *stack.Stack {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	stacks, err := function.Read(t.Context(), tree, function.Options{})
	if err != nil || len(stacks) != 1 {
		t.Fatalf("%d stacks, %v", len(stacks), err)
	}
	return stacks[0]
}

func find(t testing.TB, list []Permission, id string) Permission {
	t.Helper()
	for _, p := range list {
		if p.ID == id {
			return p
		}
	}
	t.Fatalf("no %s in %+v", id, list)
	return Permission{}
}

// template is a function and its role with the policies, and what stands beside
// them in the role.
func template(more string, policies ...string) string {
	text := `{"Resources":{"Fn":{"Type":"AWS::Lambda::Function","Properties":{"FunctionName":"describe","Role":{"Fn::GetAtt":["R","Arn"]}}},
"R":{"Type":"AWS::IAM::Role","Properties":{"RoleName":"fn",` + more + `"Policies":[`
	for i, p := range policies {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf("{\"PolicyName\":\"p%d\",\"PolicyDocument\":{\"Version\":\"2012-10-17\",\"Statement\":[\n%s\n]}}", i, p)
	}
	return text + `]}}}}`
}

func TestAServiceIsSummedUp(t *testing.T) {
	for _, tc := range []struct {
		name     string
		more     string
		policies []string
		want     string // service actions levels width conditions lines
	}{
		{"one action on one thing", "", []string{`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/in/*"}`}, "s3 1 read narrow [] [3]"},
		{"all of a kind", "", []string{`{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::*"}`}, "s3 2 read,write wide [] [3]"},
		{"a star", "", []string{`{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}`}, "sqs 1 write * [] [3]"},
		{"a star where nothing can be named", "", []string{`{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"}`}, "s3 1 list none [] [3]"},
		{"a Deny in another policy takes away", "", []string{`{"Effect":"Allow","Action":["sqs:SendMessage","sqs:DeleteQueue"],"Resource":"*"}`, `{"Effect":"Deny","Action":"sqs:Delete*","Resource":"*"}`}, "sqs 1 write * [] [3]"},
		{"a Deny with a condition does not, and is named", "", []string{`{"Effect":"Allow","Action":["sqs:SendMessage","sqs:DeleteQueue"],"Resource":"*"}`, `{"Effect":"Deny","Action":"sqs:Delete*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`}, "sqs 2 write * [unless Bool aws:securetransport false] [3]"},
		{"a Deny of another service is not named", "", []string{`{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}`, `{"Effect":"Deny","Action":"sns:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`}, "sqs 1 write * [] [3]"},
		{"a condition bounds", "", []string{`{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":["vpc-1","vpc-2"]}}}`}, "sqs 1 write * [StringEquals aws:sourcevpc vpc-1, vpc-2] [3]"},
		{"all but a resource is wide", "", []string{`{"Effect":"Allow","Action":"sqs:SendMessage","NotResource":"arn:aws:sqs:*:*:audit"}`}, "sqs 1 write wide [] [3]"},
		{"from two statements", "", []string{"{\"Effect\":\"Allow\",\"Action\":\"sqs:SendMessage\",\"Resource\":\"arn:aws:sqs:eu-west-1:1:a\"},\n{\"Effect\":\"Allow\",\"Action\":\"sqs:ReceiveMessage\",\"Resource\":\"arn:aws:sqs:eu-west-1:1:b\"}"}, "sqs 2 read,write narrow [] [3 4]"},
		{"a boundary limits", `"PermissionsBoundary":"arn:aws:iam::aws:policy/AmazonSQSReadOnlyAccess",`, []string{`{"Effect":"Allow","Action":["sqs:SendMessage","sqs:ListQueues"],"Resource":"*"}`}, "sqs 1 read none [] [3]"},
		{"what is not known counts", "", []string{`{"Effect":"Allow","Action":"sqs:SendMessage","Resource":{"Ref":"Queue"}}`}, "sqs 1 write narrow [] [3]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := find(t, List(read(t, map[string]string{"t.json": template(tc.more, tc.policies...)})), "R")
			if len(p.Services) != 1 || !slices.Equal(p.Functions, []string{"describe"}) || p.Kind != "role" || p.Name != "fn" {
				t.Fatalf("%+v", p)
			}
			s := p.Services[0]
			var lines []int
			for _, w := range s.From {
				lines = append(lines, w.Line)
			}
			if got := fmt.Sprint(s.Service, " ", s.Actions, " ", strings.Join(s.Levels, ","), " ", s.Width, " ", s.Conditions, " ", lines); got != tc.want {
				t.Errorf("%s\nwant %s", got, tc.want)
			}
			if s.Of < 10 || s.Actions > s.Of {
				t.Errorf("%d of %d", s.Actions, s.Of)
			}
			if (tc.more != "") != p.Boundary {
				t.Errorf("boundary %v", p.Boundary)
			}
		})
	}
}

func TestNotActionIsEverythingElse(t *testing.T) {
	services := func(policy string) []Service {
		return find(t, List(read(t, map[string]string{"t.json": template("", policy)})), "R").Services
	}
	names := func(list []Service) []string {
		var out []string
		for _, s := range list {
			out = append(out, s.Service)
		}
		return out
	}
	most := names(services(`{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}`))
	if len(most) < 100 || slices.Contains(most, "iam") || !slices.Contains(most, "s3") {
		t.Errorf("%d services", len(most))
	}
	if all := names(services(`{"Effect":"Allow","Action":"*","Resource":"*"}`)); len(all) != len(most)+1 || !slices.Contains(all, "iam") {
		t.Errorf("%d services of %d", len(most), len(all))
	}
	if left := services(`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","NotAction":"s3:GetObject","Resource":"*"}`); len(left) != 1 || left[0].Actions != 1 {
		t.Errorf("%+v", left)
	}
}

func TestWhatIsNotKnownIsListed(t *testing.T) {
	why := func(p Permission) string {
		var list []string
		for _, u := range p.Unresolved {
			list = append(list, u.Why)
		}
		return strings.Join(list, "; ")
	}
	text := template(`"ManagedPolicyArns":["arn:aws:iam::1:policy/ours","arn:aws:iam::aws:policy/AmazonSQSFullAccess"],`, `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`)
	p := find(t, List(read(t, map[string]string{"t.json": text})), "R")
	if why(p) != "what the policy arn:aws:iam::1:policy/ours allows is not known here" || len(p.Services) != 2 {
		t.Errorf("%q, %+v", why(p), p.Services)
	}
	p = find(t, List(read(t, map[string]string{"t.json": template("", `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`)})), "R")
	if p.Unresolved != nil {
		t.Errorf("%q", why(p))
	}
	p = find(t, List(read(t, map[string]string{"t.json": template(`"PermissionsBoundary":"arn:aws:iam::1:policy/b",`, `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`)})), "R")
	if p.Boundary || len(p.Services) != 1 || !strings.Contains(why(p), "as if there were none") {
		t.Errorf("%q", why(p))
	}
	p = find(t, List(read(t, map[string]string{"t.json": template("", `{"Effect":"Maybe","Action":"s3:GetObject","Resource":"*"}`)})), "R")
	if len(p.Services) != 0 || !strings.Contains(why(p), "write Allow or Deny") {
		t.Errorf("%q", why(p))
	}
	elsewhere := `{"Resources":{"Fn":{"Type":"AWS::Lambda::Function","Properties":{"FunctionName":"describe","Role":"arn:aws:iam::1:role/theirs"}}}}`
	p = find(t, List(read(t, map[string]string{"t.json": elsewhere})), "arn:aws:iam::1:role/theirs")
	if why(p) != "the role is declared elsewhere" || !slices.Equal(p.Functions, []string{"describe"}) {
		t.Errorf("%+v", p)
	}
}

func TestUsersHaveTheRightsOfTheirGroups(t *testing.T) {
	text := `{"Resources":{
"G":{"Type":"AWS::IAM::Group","Properties":{"GroupName":"g","Policies":[{"PolicyName":"p","PolicyDocument":{"Statement":{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}}}]}},
"U":{"Type":"AWS::IAM::User","Properties":{"UserName":"u","Groups":[{"Ref":"G"}]}},
"V":{"Type":"AWS::IAM::User","Properties":{"UserName":"v"}}}}`
	list := List(read(t, map[string]string{"t.json": text}))
	if p := find(t, list, "U"); len(p.Services) != 1 || p.Services[0].Service != "sqs" {
		t.Errorf("%+v", p)
	}
	if p := find(t, list, "V"); len(p.Services) != 0 {
		t.Errorf("%+v", p)
	}
}

const manifests = `apiVersion: v1
kind: ServiceAccount
metadata: {name: captioner, namespace: vision}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: captioner, namespace: vision}
spec:
  template:
    spec:
      serviceAccountName: captioner
      containers: [{image: "x"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: r, namespace: vision}
rules:
  - {apiGroups: [""], resources: [pods, secrets], verbs: [get, list]}
  - {apiGroups: [""], resources: [pods], verbs: [delete]}
  - {apiGroups: [""], resources: [configmaps], resourceNames: [c], verbs: [get]}
  - {nonResourceURLs: [/metrics], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: vision}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}
subjects:
  - {kind: ServiceAccount, name: captioner}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: nodes}
rules:
  - {apiGroups: [""], resources: [nodes], verbs: [list]}
  - {nonResourceURLs: [/healthz], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: everyone}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: nodes}
subjects:
  - {kind: Group, name: "system:serviceaccounts:vision"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: theirs}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - {kind: User, name: ann}
`

func TestAnAccountHasVerbsByResource(t *testing.T) {
	list := List(read(t, map[string]string{"all.yaml": manifests}))
	p := find(t, list, "vision/captioner")
	var got []string
	for _, r := range p.Rules {
		var lines []int
		for _, w := range r.From {
			lines = append(lines, w.Line)
		}
		got = append(got, fmt.Sprint(r.Namespace, "|", r.Group, "|", r.Resource, r.URL, "|", r.Names, r.Verbs, lines))
	}
	want := []string{"||/healthz|[] [get] [35]", "||nodes|[] [list] [34]", "vision||configmaps|[c] [get] [20]", "vision||pods|[] [delete get list] [18 19]", "vision||secrets|[] [get list] [18]"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if !slices.Equal(p.Functions, []string{"Service vision/captioner"}) || p.Unresolved != nil {
		t.Errorf("%+v", p)
	}
	if p := find(t, list, "ann"); p.Kind != "User" || len(p.Rules) != 0 || len(p.Unresolved) != 1 {
		t.Errorf("%+v", p)
	}
	if list[0].ID != "vision/captioner" {
		t.Errorf("first is %s: who runs functions comes first", list[0].ID)
	}
}

func TestTooManyRulesAreSaidToBe(t *testing.T) {
	rule := stack.RBACRule{Verbs: []string{"get"}, Groups: []string{""}}
	for i := range maxRules {
		rule.Resources = append(rule.Resources, fmt.Sprint("r", i))
	}
	s := &stack.Stack{Roles: []stack.RBACRole{{Name: "r", Rules: []stack.RBACRule{rule}}},
		Bindings: []stack.RBACBinding{{Role: "r", ClusterRole: true, Subjects: []stack.RBACSubject{{Kind: "User", Name: "u"}}}}}
	if p := List(s)[0]; len(p.Rules) != maxRules || len(p.Unresolved) != 0 {
		t.Errorf("%d rules, %v", len(p.Rules), p.Unresolved)
	}
	s.Roles[0].Rules[0].Resources = append(s.Roles[0].Rules[0].Resources, "more")
	if p := List(s)[0]; len(p.Rules) != maxRules || len(p.Unresolved) != 1 {
		t.Errorf("%d rules, %v", len(p.Rules), p.Unresolved)
	}
}

func TestTheListIsTheSameEveryTime(t *testing.T) {
	s := read(t, map[string]string{"t.json": template("", `{"Effect":"Allow","Action":["s3:*","sqs:*","iam:*"],"Resource":"*"}`)})
	first, err := json.Marshal(List(s))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if again, _ := json.Marshal(List(s)); string(again) != string(first) {
			t.Fatal("another order")
		}
	}
}
