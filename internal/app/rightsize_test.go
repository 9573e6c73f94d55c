package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/function/stack"
	"github.com/apexlogic/apex/internal/repo"
)

// laidOut writes files below a new folder.
func laidOut(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// gatewayLog is a log of calls, "arn action resource".
func gatewayLog(t testing.TB, calls ...string) string {
	t.Helper()
	var b strings.Builder
	for i, c := range calls {
		parts := strings.Fields(c)
		line, err := json.Marshal(map[string]any{"principal": parts[0], "action": parts[1], "resource": parts[2], "time": time.Date(2026, 8, 1+i, 0, 0, 0, 0, time.UTC)})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	name := filepath.Join(t.TempDir(), "log.jsonl")
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func sized(t testing.TB, dir string, o RightsizeOptions) *Rightsizing {
	t.Helper()
	o.DataServices = []string{"s3", "sqs"}
	r, err := Rightsize(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func of(t testing.TB, r *Rightsizing, principal string) *Size {
	t.Helper()
	for i := range r.Sizes {
		if r.Sizes[i].Principal == principal {
			return &r.Sizes[i]
		}
	}
	t.Fatalf("no %s in %+v", principal, r.Sizes)
	return nil
}

const wideStatement = `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`

// roleTemplate is a role with a policy; more stands beside it, first among the
// resources or in its properties.
func roleTemplate(resources, properties, statement string) string {
	return fmt.Sprintf(`{"Resources":{%s"R":{"Type":"AWS::IAM::Role","Properties":{%s"Policies":[{"PolicyName":"p","PolicyDocument":{"Version":"2012-10-17","Statement":[
%s
]}}]}}}}`, resources, properties, statement)
}

func TestPrincipalsAreFoundInTheLogsByTheirNames(t *testing.T) {
	const arn = "arn:aws:iam::123456789012:"
	for _, tc := range []struct {
		name, properties, given, logged string
		found                           bool
	}{
		{"its name", `"RoleName":"app",`, "", arn + "role/app", true},
		{"whatever path it has", `"RoleName":"app",`, "", arn + "role/teams/vision/app", true},
		{"a session of it", `"RoleName":"app",`, "", "arn:aws:sts::123456789012:assumed-role/app/s", true},
		{"another account", `"RoleName":"app",`, "", "arn:aws:iam::999999999999:role/app", true},
		{"another name", `"RoleName":"app",`, "", arn + "role/app2", false},
		{"a path of that name", `"RoleName":"app",`, "", arn + "role/app/other", false},
		{"a user of that name", `"RoleName":"app",`, "", arn + "user/app", false},
		{"a name with a part that is not known", `"RoleName":{"Fn::Sub":"app-${AWS::StackName}"},`, "", arn + "role/app-prod", true},
		{"one that it cannot be", `"RoleName":{"Fn::Sub":"app-${AWS::StackName}"},`, "", arn + "role/web-prod", false},
		{"one that CloudFormation makes up", ``, "", arn + "role/vision-R-1ABCDEFGHIJKL", true},
		{"one that it makes up for another", ``, "", arn + "role/vision-Q-1ABCDEFGHIJKL", false},
		{"one that is given", `"RoleName":{"Ref":"Name"},`, "app", arn + "role/app", true},
		{"an ARN that is given", `"RoleName":{"Ref":"Name"},`, arn + "role/app", arn + "role/app", true},
		{"another than is given", `"RoleName":{"Ref":"Name"},`, "app", arn + "role/app2", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := laidOut(t, map[string]string{"t.json": roleTemplate("", tc.properties, wideStatement)})
			o := RightsizeOptions{Observed: []string{gatewayLog(t, tc.logged+" s3:GetObject arn:aws:s3:::b/x")}}
			if tc.given != "" {
				o.Names = map[string]string{"R": tc.given}
			}
			s := of(t, sized(t, dir, o), "R")
			if tc.found != (len(s.Changes) == 1) || tc.found == (s.Untouched != "") || tc.found != slices.Equal(s.Observed, []string{tc.logged}) {
				t.Errorf("%+v", s)
			}
		})
	}
	tf := `resource "aws_iam_role" "r" {
  name = var.name
}
variable "name" {}
resource "aws_iam_role_policy" "p" {
  role   = aws_iam_role.r.id
  policy = jsonencode({ Statement = [{ Effect = "Allow", Action = "s3:*", Resource = "*" }] })
}
`
	o := RightsizeOptions{Observed: []string{gatewayLog(t, arn+"role/app s3:GetObject arn:aws:s3:::b/x")}}
	if s := of(t, sized(t, laidOut(t, map[string]string{"main.tf": tf}), o), "aws_iam_role.r"); !strings.Contains(s.Untouched, "--principal aws_iam_role.r=NAME") {
		t.Errorf("a name that is not known at all: %+v", s)
	}
}

func TestWhatIsNotOnesOwnStays(t *testing.T) {
	const managed = `"M":{"Type":"AWS::IAM::ManagedPolicy","Properties":{"PolicyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:*","Resource":"*"}]}}},`
	const second = `"S":{"Type":"AWS::IAM::Role","Properties":{"RoleName":"s","ManagedPolicyArns":[{"Ref":"M"}]}},`
	const boundary = `"S":{"Type":"AWS::IAM::Role","Properties":{"RoleName":"s","PermissionsBoundary":{"Ref":"M"}}},`
	calls := gatewayLog(t, "arn:aws:iam::1:role/app s3:GetObject arn:aws:s3:::b/x", "arn:aws:iam::1:role/app sqs:SendMessage arn:aws:sqs:eu-west-1:1:q")
	for _, tc := range []struct {
		name, resources, properties string
		stays                       string // why M or what is managed does
		changes                     int
	}{
		{"a managed policy of its own changes", managed, `"RoleName":"app","ManagedPolicyArns":[{"Ref":"M"}],`, "", 2},
		{"one that is shared stays", managed + second, `"RoleName":"app","ManagedPolicyArns":[{"Ref":"M"}],`, "it is shared with S", 1},
		{"one that is somebody's boundary stays", managed + boundary, `"RoleName":"app","ManagedPolicyArns":[{"Ref":"M"}],`, "the boundary of S", 1},
		{"one of AWS stays", "", `"RoleName":"app","ManagedPolicyArns":["arn:aws:iam::aws:policy/AmazonSQSFullAccess"],`, "it is managed elsewhere", 1},
		{"one that is not known stays", "", `"RoleName":"app","ManagedPolicyArns":["arn:aws:iam::1:policy/x"],`, "it is managed elsewhere", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := laidOut(t, map[string]string{"t.json": roleTemplate(tc.resources, tc.properties, wideStatement)})
			s := of(t, sized(t, dir, RightsizeOptions{Observed: []string{calls}}), "R")
			why := ""
			for _, f := range s.Fixed {
				why += f.Why
			}
			if len(s.Changes) != tc.changes || !strings.Contains(why, tc.stays) || (tc.stays == "") != (why == "") || s.Failed != "" {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestSomeAreLeftAlone(t *testing.T) {
	calls := gatewayLog(t, "arn:aws:iam::1:role/app s3:GetObject arn:aws:s3:::b/x")
	dir := laidOut(t, map[string]string{"t.json": roleTemplate("", `"RoleName":"app",`, wideStatement)})
	for _, name := range []string{"R", "app", "arn:aws:iam::1:role/app"} {
		if s := of(t, sized(t, dir, RightsizeOptions{Observed: []string{calls}, BreakGlass: []string{name}}), "R"); s.Untouched != "it is kept for emergencies" || s.Changes != nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if _, err := Rightsize(t.Context(), dir, RightsizeOptions{Observed: []string{calls}, BreakGlass: []string{"ap"}}); err == nil {
		t.Error("a name that nobody has is taken")
	}
	if _, err := Rightsize(t.Context(), dir, RightsizeOptions{Observed: []string{gatewayLog(t)}}); err == nil {
		t.Error("nothing was observed, and everything would go")
	}

	// One whose proof fails: its policy cannot be written, as its effect is not known.
	unclear := laidOut(t, map[string]string{"t.json": roleTemplate("", `"RoleName":"app",`, wideStatement+`,{"Effect":{"Ref":"E"},"Action":"sqs:*","Resource":"*"}`)})
	before, _ := os.ReadFile(filepath.Join(unclear, "t.json"))
	r := sized(t, unclear, RightsizeOptions{Observed: []string{calls}})
	if s := of(t, r, "R"); s.Failed == "" || s.Changes != nil || r.Failures() != 1 {
		t.Errorf("%+v", s)
	}
	if err := r.Write(t.Context(), false, clock.System{}); err != nil || r.Files != nil {
		t.Errorf("%v, %v", r.Files, err)
	}
	if after, _ := os.ReadFile(filepath.Join(unclear, "t.json")); string(after) != string(before) {
		t.Error("its file was written")
	}
}

func TestTheWindowIsNoLongerThanTheLogs(t *testing.T) {
	dir := laidOut(t, map[string]string{"t.json": roleTemplate("", `"RoleName":"app",`, wideStatement)})
	calls := make([]string, 11)
	for i := range calls {
		calls[i] = "arn:aws:iam::1:role/app s3:GetObject arn:aws:s3:::b/x"
	}
	log := gatewayLog(t, calls...)
	for window, want := range map[time.Duration]int{0: 10, 90 * 24 * time.Hour: 10, 5 * 24 * time.Hour: 5} {
		if s := of(t, sized(t, dir, RightsizeOptions{Observed: []string{log}, Window: window}), "R"); s.Days != want || s.Calls != 11 || s.Confidence != "low" {
			t.Errorf("%s: %d days, %d calls, confidence %s", window, s.Days, s.Calls, s.Confidence)
		}
	}
}

// TestWhatIsWrittenSaysWhatWasPlanned holds the file that is left, and where the
// policy went.
func TestWhatIsWrittenSaysWhatWasPlanned(t *testing.T) {
	calls := gatewayLog(t, "arn:aws:iam::1:role/app s3:GetObject arn:aws:s3:::b/x", "arn:aws:iam::1:role/x-FnRole-1 s3:GetObject arn:aws:s3:::b/x")
	const terraform = `resource "aws_iam_role" "r" {
  name = %q
}
resource "aws_iam_role_policy" "p" {
  role   = aws_iam_role.r.id
  policy = file("${path.module}/%s")
}
`
	const document = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}`
	for _, tc := range []struct {
		name   string
		files  map[string]string
		id     string
		file   string // what was written
		holds  string
		beside string // why it is not in place
	}{
		{"a template of JSON", map[string]string{"t.json": roleTemplate("", `"RoleName":"app",`, wideStatement)}, "R", "t.json", `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}`, ""},
		{"a policy file of Terraform", map[string]string{"main.tf": fmt.Sprintf(terraform, "app", "p.json"), "p.json": document}, "aws_iam_role.r", "p.json", `"Action": "s3:GetObject"`, ""},
		{"one that another module reads too", map[string]string{"a/main.tf": fmt.Sprintf(terraform, "app", "../p.json"), "b/main.tf": fmt.Sprintf(terraform, "other", "../p.json"), "p.json": document},
			"aws_iam_role.r", "rightsize/aws_iam_role.r.json", `"s3:GetObject"`, "reading it again"},
		{"a statement that others repeat", map[string]string{"t.yaml": "Resources:\n  R:\n    Type: AWS::IAM::Role\n    Properties:\n      RoleName: app\n      Policies:\n        - PolicyName: p\n          PolicyDocument:\n            Statement: &all\n              - {Effect: Allow, Action: 's3:*', Resource: '*'}\n  S:\n    Type: AWS::IAM::Role\n    Properties:\n      RoleName: s\n      Policies:\n        - PolicyName: p\n          PolicyDocument: {Statement: *all}\n"},
			"R", "rightsize/R.json", `"s3:GetObject"`, "anchor"},
		{"a policy template of SAM", map[string]string{"t.yaml": "Transform: AWS::Serverless-2016-10-31\nResources:\n  Fn:\n    Type: AWS::Serverless::Function\n    Properties:\n      Policies:\n        - S3CrudPolicy: {BucketName: b}\n"},
			"FnRole", "rightsize/FnRole.json", `"s3:GetObject"`, "cannot be rewritten in place"},
		{"a policy of which nothing is used", map[string]string{"t.json": roleTemplate("", `"RoleName":"app",`, `{"Effect":"Allow","Action":"sqs:*","Resource":"*"}`)}, "R", "rightsize/R.json", `"detach": true`, "detach it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := laidOut(t, tc.files)
			r := sized(t, dir, RightsizeOptions{Observed: []string{calls}})
			if err := r.Write(t.Context(), false, clock.System{}); err != nil {
				t.Fatal(err)
			}
			var s *Size
			for i := range r.Sizes {
				if r.Sizes[i].Principal == tc.id && len(r.Sizes[i].Changes) > 0 {
					s = &r.Sizes[i]
				}
			}
			if s == nil || len(s.Changes) != 1 {
				t.Fatalf("%+v", r.Sizes)
			}
			if c := s.Changes[0]; c.File != filepath.Join(dir, tc.file) || !slices.Equal(r.Files, []string{c.File}) || (tc.beside == "") != (c.Beside == "") || !strings.Contains(c.Beside, tc.beside) {
				t.Errorf("%s, %q, %q", c.File, r.Files, c.Beside)
			}
			if data, err := os.ReadFile(filepath.Join(dir, tc.file)); err != nil || !strings.Contains(string(data), tc.holds) {
				t.Errorf("%s, %v", data, err)
			}
			for name, text := range tc.files {
				if data, err := os.ReadFile(filepath.Join(dir, name)); name != tc.file && (err != nil || string(data) != text) {
					t.Errorf("%s changed: %s, %v", name, data, err)
				}
			}
			// What is written is as small as it gets.
			again := sized(t, dir, RightsizeOptions{Observed: []string{calls}})
			if tc.beside == "" && len(of(t, again, tc.id).Changes) > 0 {
				t.Errorf("again: %+v", of(t, again, tc.id).Changes)
			}
		})
	}
}

func TestAFileOfSomebodyElseIsNotOverwritten(t *testing.T) {
	calls := gatewayLog(t, "arn:aws:iam::1:role/app s3:GetObject arn:aws:s3:::b/x")
	files := map[string]string{"t.json": roleTemplate("", `"RoleName":"app",`, `{"Effect":"Allow","Action":"sqs:*","Resource":"*"}`)}
	dir := laidOut(t, files)
	for range 2 { // its own it writes again
		if err := sized(t, dir, RightsizeOptions{Observed: []string{calls}}).Write(t.Context(), false, clock.System{}); err != nil {
			t.Fatal(err)
		}
	}
	files["rightsize/R.json"] = "{}"
	if err := sized(t, laidOut(t, files), RightsizeOptions{Observed: []string{calls}}).Write(t.Context(), false, clock.System{}); err == nil || !strings.Contains(err.Error(), "was not written by apex") {
		t.Errorf("%v", err)
	}
}

func TestACommitNeedsARepository(t *testing.T) {
	calls := gatewayLog(t, "arn:aws:iam::1:role/app s3:GetObject arn:aws:s3:::b/x")
	text := roleTemplate("", `"RoleName":"app",`, wideStatement)
	dir := laidOut(t, map[string]string{"t.json": text})
	err := sized(t, dir, RightsizeOptions{Observed: []string{calls}}).Write(t.Context(), true, clock.System{})
	if data, _ := os.ReadFile(filepath.Join(dir, "t.json")); !errors.Is(err, repo.ErrNotRepository) || string(data) != text {
		t.Errorf("%v", err)
	}
}

func TestARoleOfKubernetesIsHeldAgainstAllWhoAreBoundToIt(t *testing.T) {
	const role = `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: r, namespace: a}
rules:
  - {apiGroups: [""], resources: [pods], verbs: [get, list, delete]}
`
	const binding = `---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: a}
roleRef: {kind: Role, name: r}
subjects:
  - {kind: ServiceAccount, name: one}
  - {kind: Group, name: devs}
`
	event := func(verb, user, group, namespace string) string {
		return fmt.Sprintf(`{"stage":"ResponseComplete","auditID":"1","verb":%q,"user":{"username":%q,"groups":[%q]},"objectRef":{"resource":"pods","namespace":%q},"requestReceivedTimestamp":"2026-09-01T00:00:00Z","responseStatus":{"code":200}}`+"\n", verb, user, group, namespace)
	}
	one := "system:serviceaccount:a:one"
	for _, tc := range []struct {
		name, manifests, log string
		verbs                []string
		untouched            string
	}{
		{"an account and a group", role + binding, event("get", one, "x", "a") + event("list", "ann", "devs", "a"), []string{"get", "list"}, ""},
		{"an account alone", role + binding, event("get", one, "x", "a"), []string{"get"}, ""},
		{"in its own namespace", role + binding, event("get", one, "x", "a") + event("list", one, "x", "b"), []string{"get"}, ""},
		{"a user named as the group", role + binding, event("get", one, "x", "a") + event("list", "devs", "x", "a"), []string{"get"}, ""},
		{"others alone", role + binding, event("get", "bob", "x", "a"), nil, "not observed"},
		{"nobody is bound", role, event("get", one, "x", "a"), nil, "nothing here binds it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := laidOut(t, map[string]string{"r.yaml": tc.manifests})
			log := filepath.Join(laidOut(t, map[string]string{"l.jsonl": tc.log}), "l.jsonl")
			s := of(t, sized(t, dir, RightsizeOptions{Observed: []string{log}}), "Role a/r")
			if tc.untouched != "" {
				if !strings.Contains(s.Untouched, tc.untouched) || s.Changes != nil {
					t.Errorf("%+v", s)
				}
				return
			}
			if len(s.Changes) != 1 || !slices.Equal(s.Changes[0].rules[0][0].Verbs, tc.verbs) {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestReadingAgainFindsWhatWasNotPlanned(t *testing.T) {
	of := func(document, name string) *stack.Stack {
		return &stack.Stack{Policies: []stack.Policy{{ID: "p", Document: json.RawMessage(document), Lines: []int{1}}}, Functions: []stack.Function{{ID: "f", Name: name, Where: stack.Where{Line: 4}}}}
	}
	const small = `{"Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["*"]}]}`
	before := of(`{"Statement":`+wideStatement+`}`, "f")
	doc, why := parsePolicy(&stack.Policy{Document: json.RawMessage(small)})
	if why != "" {
		t.Fatal(why)
	}
	list := []*planned{{&Size{stack: before}, &Resized{Policy: "p", New: json.RawMessage(small), new: doc}}}
	r := &Rightsizing{stacks: []*stack.Stack{before}}
	moved := of(`{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}`, "f")
	moved.Functions[0].Line = 40
	for _, tc := range []struct {
		name  string
		after *stack.Stack
		same  bool
	}{
		{"what was planned, in other lines", moved, true},
		{"what was there before", before, false},
		{"something wider", of(`{"Statement":{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"*"}}`, "f"), false},
		{"another function", of(small, "g"), false},
	} {
		if err := r.same([]*stack.Stack{tc.after}, list); tc.same != (err == nil) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if err := r.same(nil, list); err == nil {
		t.Error("a unit that is gone")
	}
}
