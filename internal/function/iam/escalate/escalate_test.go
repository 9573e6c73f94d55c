package escalate

import (
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/function/iam"
)

func node(t *testing.T, name, trust string, statements ...string) *Node {
	t.Helper()
	n := &Node{ID: "aws_iam_role." + name, Name: name, Kind: "role", ARN: "arn:aws:iam::123456789012:role/" + name}
	p, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	n.Policies = []*iam.Policy{p}
	n.Rights = iam.NewRights(n.Policies, nil)
	if trust != "" {
		if n.Trust, err = iam.Parse([]byte(`{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":` + trust + `}}`)); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func allow(action, resource string) string {
	return `{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}`
}

func TestAPathNamesEveryStepAndStatement(t *testing.T) {
	a := node(t, "a", "", allow("sts:AssumeRole", "arn:aws:iam::*:role/b"))
	b := node(t, "b", `{"AWS":"arn:aws:iam::123456789012:role/a"}`, allow("sts:AssumeRole", "${aws_iam_role.c.arn}"))
	c := node(t, "c", `{"AWS":"arn:aws:iam::123456789012:role/b"}`, allow("*", "*"))
	g := New([]*Node{a, b, c})
	paths, err := g.From(a)
	if err != nil || len(paths) != 1 || len(paths[0].Steps) != 2 || paths[0].To != c {
		t.Fatalf("%+v, %v", paths, err)
	}
	if s := paths[0].Steps; s[0].From != a || s[0].To != b || s[1].From != b || s[1].To != c || s[0].Grants[0].Action != "sts:AssumeRole" {
		t.Errorf("%+v", s)
	}
	// The strongest has nothing to gain, and the loop back does not matter.
	a.Trust = c.Trust
	if paths, err := g.From(c); err != nil || len(paths) != 0 {
		t.Errorf("%+v, %v", paths, err)
	}
}

func TestWritingThePoliciesOfARoleThatCanBeAssumedLeadsAnywhere(t *testing.T) {
	weak := allow("logs:PutLogEvents", "*")
	for _, tc := range []struct {
		name  string
		trust string
		want  bool
	}{
		{"it can be assumed", `{"AWS":"arn:aws:iam::123456789012:role/a"}`, true},
		{"it cannot", `{"AWS":"arn:aws:iam::123456789012:role/x"}`, false},
	} {
		a := node(t, "a", "", allow("sts:AssumeRole", "arn:aws:iam::*:role/b"), allow("iam:PutRolePolicy", "arn:aws:iam::*:role/b"))
		paths, err := New([]*Node{a, node(t, "b", tc.trust, weak)}).From(a)
		if err != nil || tc.want != (len(paths) > 0) {
			t.Errorf("%s: %+v, %v", tc.name, paths, err)
		}
	}
}

func TestAnExpressionRefersToWholeNamesOnly(t *testing.T) {
	for _, tc := range []struct {
		expression, id string
		want           bool
	}{
		{"aws_iam_role.app.arn", "aws_iam_role.app", true}, {"aws_iam_role.app2.arn", "aws_iam_role.app", false}, {"my_aws_iam_role.app.arn", "aws_iam_role.app", false},
		{"App.Arn", "App", true}, {"AppRole.Arn", "App", false}, {"x", "", false}, {"module.a.aws_iam_role.app[0].arn", "aws_iam_role.app", true},
	} {
		if got := Refers(tc.expression, tc.id); got != tc.want {
			t.Errorf("%q and %q: %v", tc.expression, tc.id, got)
		}
	}
}

func TestEveryMethodIsOfActionsThatExistAndIsFoundByThem(t *testing.T) {
	ids := map[string]bool{}
	for _, m := range methods() {
		if ids[m.ID] || m.What == "" || m.Target == Passed != (m.Service != "") {
			t.Errorf("%+v", m)
		}
		ids[m.ID] = true
		var statements []string
		for _, need := range m.Needs {
			for _, a := range need {
				if _, ok := iam.AWS().Lookup(a); !ok && !retired(a) {
					t.Errorf("%s: %s is no action", m.ID, a)
				}
			}
			statements = append(statements, allow(need[0], "*"))
		}
		n := node(t, "n", "", statements...)
		n.Bounded = m.Target == Boundary
		strong := node(t, "strong", `{"AWS":"arn:aws:iam::123456789012:root"}`, allow("*", "*"))
		paths, err := New([]*Node{n, strong}).From(n)
		if err != nil || !slices.ContainsFunc(paths, func(p Path) bool { return p.Steps[0].Method.ID == m.ID }) {
			t.Errorf("%s is not found: %d paths, %v", m.ID, len(paths), err)
		}
	}
}

// retired says whether an action is of a service that AWS has closed, whose
// roles may still be there.
func retired(action string) bool {
	service, _, _ := strings.Cut(action, ":")
	return service == "codestar" || service == "datapipeline"
}
