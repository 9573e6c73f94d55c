package rightsize

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/function/iam"
	"github.com/apexlogic/apex/internal/function/stack"
)

const app = "arn:aws:iam::123456789012:role/app"

func parsed(t testing.TB, statements ...string) []*iam.Policy {
	t.Helper()
	p, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	p.Origin = "p"
	return []*iam.Policy{p}
}

func quarter() Options {
	to := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	every := map[string]bool{}
	for _, s := range dataServices() {
		every[s] = true
	}
	return Options{From: to.AddDate(0, 0, -100), To: to, DataServices: every}
}

func seen(calls ...string) []Event {
	var list []Event
	for _, c := range calls {
		action, resource, _ := strings.Cut(c, " ")
		list = append(list, Event{Time: quarter().From.Add(time.Hour), Principal: app, Action: action, Resource: resource, Data: true})
	}
	return list
}

func TestShrinkNarrowsEveryStatementToWhatItAllowed(t *testing.T) {
	const all = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	for _, tc := range []struct {
		name     string
		policy   []string
		observed []string
		want     string // statements
	}{
		{"actions and resources", []string{`{"Effect":"Allow","Action":"s3:*","Resource":"*"}`}, []string{"s3:GetObject arn:aws:s3:::b/in/a", "s3:GetObject arn:aws:s3:::b/in/c"},
			`[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::b/in/*"]}]`},
		{"one statement for the same resources", []string{all}, []string{"sqs:SendMessage arn:aws:sqs:eu-west-1:1:q", "sqs:DeleteMessage arn:aws:sqs:eu-west-1:1:q"},
			`[{"Effect":"Allow","Action":["sqs:DeleteMessage","sqs:SendMessage"],"Resource":["arn:aws:sqs:eu-west-1:1:q"]}]`},
		{"a resource that was narrow stays", []string{`{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::b/in/x"}`}, []string{"s3:GetObject arn:aws:s3:::b/in/x"},
			`[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::b/in/x"]}]`},
		{"an action without a resource", []string{all}, []string{"logs:DescribeLogGroups arn:aws:logs:eu-west-1:1:log-group:x"},
			`[{"Effect":"Allow","Action":["logs:DescribeLogGroups"],"Resource":["*"]}]`},
		{"a resource that is not logged", []string{`{"Effect":"Allow","Action":"dynamodb:*","Resource":"arn:aws:dynamodb:*:*:table/t*"}`}, []string{"dynamodb:Query"},
			`[{"Effect":"Allow","Action":["dynamodb:Query"],"Resource":["arn:aws:dynamodb:*:*:table/t*"]}]`},
		{"conditions and what denies stay", []string{`{"Effect":"Allow","Action":"sqs:*","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1"}}}`, `{"Sid":"No","Effect":"Deny","Action":"sqs:Delete*","Resource":"*"}`}, []string{"sqs:SendMessage arn:aws:sqs:eu-west-1:1:q"},
			`[{"Effect":"Allow","Action":["sqs:SendMessage"],"Resource":["arn:aws:sqs:eu-west-1:1:q"],"Condition":{"StringEquals":{"aws:SourceVpc":["vpc-1"]}}},{"Sid":"No","Effect":"Deny","Action":["sqs:Delete*"],"Resource":["*"]}]`},
		{"NotAction and NotResource", []string{`{"Effect":"Allow","NotAction":"iam:*","NotResource":"arn:aws:s3:::secret/*"}`}, []string{"s3:GetObject arn:aws:s3:::b/a"},
			`[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::b/*"]}]`},
		{"a pattern that would reach what is left out", []string{`{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::b/secret/*"}`}, []string{"s3:GetObject arn:aws:s3:::b/a"},
			`[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::b/a"]}]`},
		{"streams of logs come and go", []string{all}, []string{"logs:PutLogEvents arn:aws:logs:eu-west-1:1:log-group:/aws/lambda/f:log-stream:2026/11/01/x"},
			`[{"Effect":"Allow","Action":["logs:PutLogEvents"],"Resource":["arn:aws:logs:eu-west-1:1:log-group:/aws/lambda/f:log-stream:*"]}]`},
		{"many of one kind", []string{all}, []string{"sns:Publish arn:aws:sns:eu-west-1:1:jobs-a", "sns:Publish arn:aws:sns:eu-west-1:1:jobs-b", "sns:Publish arn:aws:sns:eu-west-1:1:jobs-c", "sns:Publish arn:aws:sns:eu-west-1:1:jobs-d", "sns:Publish arn:aws:sns:eu-west-1:1:jobs-e", "sns:Publish arn:aws:sns:eu-west-1:1:jobs-f"},
			`[{"Effect":"Allow","Action":["sns:Publish"],"Resource":["arn:aws:sns:eu-west-1:1:jobs-*"]}]`},
		{"a name that holds a star", []string{`{"Effect":"Allow","Action":"sqs:*","Resource":"*"}`, `{"Effect":"Allow","Action":"iam:GetRole","Resource":"*"}`}, []string{"iam:GetRole arn:aws:iam::1:role/a*b"},
			`[{"Effect":"Allow","Action":["iam:GetRole"],"Resource":["arn:aws:iam::1:role/a${*}b"]}]`},
		{"a key, whose own policy leaves it to them", []string{`{"Effect":"Allow","Action":"kms:*","Resource":"*"}`}, []string{"kms:Decrypt arn:aws:kms:eu-west-1:1:key/k"},
			`[{"Effect":"Allow","Action":["kms:Decrypt"],"Resource":["arn:aws:kms:eu-west-1:1:key/k"]}]`},
		{"an action that nobody knows keeps its service", []string{`{"Effect":"Allow","Action":["s3:Get*","sqs:*"],"Resource":"*"}`}, []string{"s3:GetSomethingNew arn:aws:s3:::b", "sqs:SendMessage arn:aws:sqs:eu-west-1:1:q"},
			`[{"Effect":"Allow","Action":["sqs:SendMessage"],"Resource":["arn:aws:sqs:eu-west-1:1:q"]},{"Effect":"Allow","Action":["s3:Get*"],"Resource":["*"]}]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			plan, err := Shrink(Role{Principal: app, Policies: parsed(t, tc.policy...)}, seen(tc.observed...), quarter())
			if err != nil {
				t.Fatal(err)
			}
			want := `{"Version":"2012-10-17","Statement":` + tc.want + `}`
			if len(plan.Documents) != 1 || string(plan.Documents[0].Policy) != want {
				t.Errorf("%s\nwant %s", plan.Documents[0].Policy, want)
			}
			if plan.Replayed != len(tc.observed) {
				t.Errorf("%d calls were replayed", plan.Replayed)
			}
		})
	}
}

func TestWhatALogCannotShowIsNotTakenForUnused(t *testing.T) {
	policy := func() []*iam.Policy {
		return parsed(t, `{"Effect":"Allow","Action":["s3:*","sqs:*"],"Resource":"*"}`)
	}
	calls := seen("s3:ListBucket arn:aws:s3:::b", "sqs:CreateQueue arn:aws:sqs:eu-west-1:1:q")
	blind := quarter()
	blind.DataServices = nil
	plan, err := Shrink(Role{Principal: app, Policies: policy()}, calls, blind)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(plan.Documents[0].Policy); !strings.Contains(text, "s3:GetObject") || !strings.Contains(text, "sqs:ReceiveMessage") || strings.Contains(text, "s3:DeleteBucket") || plan.Kept["s3"] == "" {
		t.Errorf("without data events: %s, kept %v", text, plan.Kept)
	}
	plan, err = Shrink(Role{Principal: app, Policies: policy()}, calls, quarter())
	if err != nil || strings.Contains(string(plan.Documents[0].Policy), "s3:GetObject") {
		t.Errorf("with data events: %s, %v", plan.Documents[0].Policy, err)
	}
	if !slices.Contains(plan.NeverObserved, "s3:DeleteBucket") || slices.Contains(plan.NeverObserved, "s3:ListBucket") {
		t.Errorf("never observed: %d", len(plan.NeverObserved))
	}
	// Something else allows the call, or the log names another resource.
	plan, err = Shrink(Role{Principal: app, Policies: parsed(t, `{"Effect":"Allow","Action":["s3:*"],"Resource":"arn:aws:s3:::mine/*"}`)}, seen("s3:GetObject arn:aws:s3:::theirs/x"), quarter())
	if err != nil || plan.Kept["s3"] == "" || !strings.Contains(string(plan.Documents[0].Policy), `"s3:*"`) {
		t.Errorf("a call that is not explained: %s, %v, %v", plan.Documents[0].Policy, plan.Kept, err)
	}
	if got := Services(seen("s3:GetObject x")); !got["s3"] || got["sqs"] {
		t.Errorf("%v", got)
	}
}

func TestSomeAreLeftAlone(t *testing.T) {
	policy := parsed(t, `{"Effect":"Allow","Action":"*","Resource":"*"}`)
	for _, tc := range []struct {
		name      string
		role      Role
		events    []Event
		untouched bool
	}{
		{"a break-glass role", Role{Principal: app, Policies: policy, BreakGlass: true}, seen("s3:ListBucket arn:aws:s3:::b"), true},
		{"one that was not observed", Role{Principal: app, Policies: policy}, nil, true},
		{"one whose events are somebody else's", Role{Principal: app + "-2", Policies: policy}, seen("s3:ListBucket arn:aws:s3:::b"), true},
		{"one that was observed", Role{Principal: app, Policies: policy}, seen("s3:ListBucket arn:aws:s3:::b"), false},
	} {
		plan, err := Shrink(tc.role, tc.events, quarter())
		if err != nil || tc.untouched != (plan.Untouched != "") || tc.untouched != (len(plan.Documents) == 0) {
			t.Errorf("%s: %q, %d documents, %v", tc.name, plan.Untouched, len(plan.Documents), err)
		}
	}
}

func moments(events []Event) []moment {
	var list []moment
	for _, e := range events {
		list = append(list, moment{e.Action, e.Time})
	}
	return list
}

func TestConfidenceFollowsTheWindow(t *testing.T) {
	many := make([]Event, 0, 200)
	for range 200 {
		many = append(many, seen("s3:ListBucket arn:aws:s3:::b")...)
	}
	late := append(slices.Clone(many), Event{Time: quarter().To.Add(-time.Hour), Principal: app, Action: "s3:ListAllMyBuckets"})
	week := quarter()
	week.From = week.To.AddDate(0, 0, -7)
	for _, tc := range []struct {
		name   string
		events []Event
		o      Options
		want   string
	}{{"a quarter", many, quarter(), "high"}, {"a week", many, week, "low"}, {"few calls", seen("s3:ListBucket x"), quarter(), "low"}, {"something new at the end", late, quarter(), "medium"}} {
		if level, because := confidence(moments(tc.events), len(tc.events), tc.o); level != tc.want || because == "" {
			t.Errorf("%s: %s, %s", tc.name, level, because)
		}
	}
}

func TestProveFindsWhatWidens(t *testing.T) {
	old := []string{`{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`, `{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::b/x"}`}
	deny := old[1]
	for _, tc := range []struct {
		name  string
		new   []string
		widen bool
	}{
		{"the same", old, false},
		{"narrower", []string{`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/a*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`, deny}, false},
		{"nothing but what denies", []string{deny}, false},
		{"another action", []string{`{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`, deny}, true},
		{"a wider action", []string{`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`, deny}, true},
		{"another resource", []string{`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::c/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`, deny}, true},
		{"without the condition", []string{`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}`, deny}, true},
		{"without what denies", old[:1], true},
		{"all but some actions", []string{`{"Effect":"Allow","NotAction":"s3:Put*","Resource":"arn:aws:s3:::b/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`, deny}, true},
		{"all but some resources", []string{`{"Effect":"Allow","Action":"s3:GetObject","NotResource":"arn:aws:s3:::c","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`, deny}, true},
	} {
		if err := Prove(parsed(t, old...), parsed(t, tc.new...)); tc.widen != errors.Is(err, ErrWidens) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	lost := parsed(t, `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/a"}`)
	if err := replay(parsed(t, `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`), lost, []call{{"s3:GetObject", "arn:aws:s3:::b/c"}}); !errors.Is(err, ErrLoses) {
		t.Errorf("a call that is lost: %v", err)
	}
}

func TestShrinkRBACKeepsWhatWasUsed(t *testing.T) {
	rules := []stack.RBACRule{
		{Verbs: []string{"*"}, Groups: []string{"", "apps"}, Resources: []string{"*"}},
		{Verbs: []string{"get"}, Groups: []string{""}, Resources: []string{"secrets"}, Names: []string{"tls"}},
		{Verbs: []string{"get"}, URLs: []string{"/healthz*"}},
	}
	log := `{"stage":"ResponseComplete","verb":"list","user":{"username":"u"},"objectRef":{"resource":"pods"},"responseStatus":{"code":200}}
{"stage":"ResponseComplete","verb":"get","user":{"username":"u"},"objectRef":{"resource":"pods","subresource":"log","name":"x"},"responseStatus":{"code":200}}
{"stage":"ResponseComplete","verb":"list","user":{"username":"u"},"objectRef":{"resource":"services"},"responseStatus":{"code":200}}
{"stage":"ResponseComplete","verb":"delete","user":{"username":"u"},"objectRef":{"resource":"nodes"},"responseStatus":{"code":403}}
{"stage":"RequestReceived","verb":"patch","user":{"username":"u"},"objectRef":{"resource":"pods"}}
{"stage":"ResponseComplete","verb":"get","user":{"username":"u"},"requestURI":"/healthz?x=1","responseStatus":{"code":200}}
`
	var observed []Access
	if err := Audit(strings.NewReader(log), func(a Access) { observed = append(observed, a) }); err != nil {
		t.Fatal(err)
	}
	plan, err := ShrinkRBAC(rules, observed, quarter())
	if err != nil || plan.Replayed != 4 || !plan.Changed {
		t.Fatalf("%+v, %v", plan, err)
	}
	var got []string
	for _, r := range slices.Concat(plan.Rules...) {
		got = append(got, fmt.Sprint(r.Verbs, r.Groups, r.Resources, r.URLs))
	}
	slices.Sort(got)
	want := []string{"[get] [] [] [/healthz*]", "[get] [] [pods/log] []", "[list] [] [pods services] []"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if err := Audit(strings.NewReader(`{"verb":"get"}`), func(Access) {}); err == nil {
		t.Error("an event without a user is read")
	}
}

// role makes a role as people write them: services by star or by pattern, on
// everything or on a family; and what it then does.
func role(r *rand.Rand, i int) (Role, []Event) {
	principal := fmt.Sprintf("arn:aws:iam::123456789012:role/r%d", i)
	type service struct{ name, arn, wide string }
	services := []service{
		{"s3", "arn:aws:s3:::bucket-%d/in/%d", "arn:aws:s3:::*"},
		{"dynamodb", "arn:aws:dynamodb:eu-west-1:123456789012:table/t%d-%d", "arn:aws:dynamodb:*:*:table/*"},
		{"sqs", "arn:aws:sqs:eu-west-1:123456789012:q%d-%d", "arn:aws:sqs:*:*:*"},
		{"sns", "arn:aws:sns:eu-west-1:123456789012:n%d-%d", "*"},
		{"lambda", "arn:aws:lambda:eu-west-1:123456789012:function:f%d-%d", "*"},
		{"secretsmanager", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:s%d-%d", "*"},
		{"kinesis", "arn:aws:kinesis:eu-west-1:123456789012:stream/k%d-%d", "*"},
	}
	uses := map[string][]string{
		"s3": {"s3:GetObject", "s3:PutObject"}, "dynamodb": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"}, "sqs": {"sqs:SendMessage", "sqs:ReceiveMessage"}, "sns": {"sns:Publish"},
		"lambda": {"lambda:InvokeFunction"}, "secretsmanager": {"secretsmanager:GetSecretValue"}, "kinesis": {"kinesis:PutRecord", "kinesis:GetRecords"},
	}
	var statements []string
	var events []Event
	for n := 1 + r.IntN(4); n > 0; n-- {
		s := services[r.IntN(len(services))]
		resource := s.wide
		if r.IntN(2) == 0 {
			resource = "*"
		}
		statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Action":"%s:*","Resource":%q}`, s.name, resource))
		for _, a := range uses[s.name] {
			for range 1 + r.IntN(6) {
				events = append(events, Event{Time: quarter().From.Add(time.Duration(r.IntN(2000)) * time.Hour), Principal: principal, Action: a, Resource: fmt.Sprintf(s.arn, r.IntN(3), r.IntN(9)), Data: true})
			}
		}
	}
	if r.IntN(3) == 0 {
		statements = append(statements, `{"Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::never/*"}`)
	}
	p, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`))
	if err != nil {
		panic(err)
	}
	return Role{Principal: principal, Policies: []*iam.Policy{p}}, events
}

func TestGeneratedRolesKeepEveryCallAndLoseWhatIsUnused(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 9))
	unused, left, calls, replayed := 0, 0, 0, 0
	for i := range 500 {
		role, events := role(r, i)
		plan, err := Shrink(role, events, quarter())
		if err != nil {
			t.Fatal(err)
		}
		calls, replayed = calls+len(events), replayed+plan.Replayed
		unused += len(plan.NeverObserved)
		left += plan.After - (plan.Before - len(plan.NeverObserved))
		for _, d := range plan.Documents {
			if _, err := iam.Parse(d.Policy); err != nil {
				t.Fatalf("%s: %v", d.Policy, err)
			}
		}
	}
	t.Logf("%d of %d calls replayed; %d of %d unused actions removed", replayed, calls, unused-left, unused)
	if replayed != calls {
		t.Errorf("%d of %d calls are still allowed", replayed, calls)
	}
	if left*10 > unused {
		t.Errorf("%d of %d unused actions are left", left, unused)
	}
}

func TestWhatATemplateDoesNotSayKeepsItsPattern(t *testing.T) {
	const table = `arn:aws:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${Table}`
	for _, tc := range []struct {
		name     string
		policy   []string
		observed []string
		want     string
	}{
		{"a table by its reference", []string{`{"Effect":"Allow","Action":"dynamodb:*","Resource":"` + table + `"}`}, []string{"dynamodb:GetItem arn:aws:dynamodb:eu-west-1:1:table/app-Table-1X"},
			`[{"Effect":"Allow","Action":["dynamodb:GetItem"],"Resource":["` + table + `"]}]`},
		{"the references that may be meant stay, others go", []string{`{"Effect":"Allow","Action":"sqs:*","Resource":["arn:aws:sqs:eu-west-1:1:${Q}","arn:aws:sqs:eu-central-1:1:${R}","arn:aws:sqs:*:1:open"]}`}, []string{"sqs:SendMessage arn:aws:sqs:eu-west-1:1:jobs"},
			`[{"Effect":"Allow","Action":["sqs:SendMessage"],"Resource":["arn:aws:sqs:eu-west-1:1:${Q}"]}]`},
		{"what is covered for certain needs no reference", []string{`{"Effect":"Allow","Action":"sqs:*","Resource":["arn:aws:sqs:eu-west-1:1:${Q}","arn:aws:sqs:*:1:open"]}`}, []string{"sqs:SendMessage arn:aws:sqs:eu-west-1:1:open"},
			`[{"Effect":"Allow","Action":["sqs:SendMessage"],"Resource":["arn:aws:sqs:eu-west-1:1:open"]}]`},
		{"a policy variable", []string{`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username}/*"}`}, []string{"s3:GetObject arn:aws:s3:::home/ann/x"},
			`[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::home/${aws:username}/*"]}]`},
		{"all but a resource that is not known", []string{`{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::${Secret}/*"}`}, []string{"s3:GetObject arn:aws:s3:::b/x"},
			`[{"Effect":"Allow","Action":["s3:GetObject"],"NotResource":["arn:aws:s3:::${Secret}/*"]}]`},
		{"a statement that does not say its actions stays", []string{`{"Effect":"Allow","Action":["${Actions}"],"Resource":"*"}`, `{"Effect":"Allow","Action":"sqs:*","Resource":"*"}`}, []string{"sqs:SendMessage arn:aws:sqs:eu-west-1:1:jobs"},
			`[{"Effect":"Allow","Action":["${Actions}"],"Resource":["*"]},{"Effect":"Allow","Action":["sqs:SendMessage"],"Resource":["arn:aws:sqs:eu-west-1:1:jobs"]}]`},
		{"a role that calls hand over", []string{`{"Effect":"Allow","Action":["lambda:*","iam:*"],"Resource":"*"}`}, []string{"lambda:GetFunction arn:aws:lambda:eu-west-1:1:function:f", "iam:PassRole arn:aws:iam::1:role/run"},
			`[{"Effect":"Allow","Action":["iam:PassRole"],"Resource":["arn:aws:iam::1:role/run"]},{"Effect":"Allow","Action":["lambda:GetFunction"],"Resource":["arn:aws:lambda:eu-west-1:1:function:f"]}]`},
		{"a statement that is split names each part", []string{`{"Sid":"A","Effect":"Allow","Action":["sqs:*","sns:*"],"Resource":"*"}`, `{"Sid":"A2","Effect":"Deny","Action":"iam:*","Resource":"*"}`}, []string{"sqs:SendMessage arn:aws:sqs:eu-west-1:1:q", "sns:Publish arn:aws:sns:eu-west-1:1:t"},
			`[{"Sid":"A","Effect":"Allow","Action":["sns:Publish"],"Resource":["arn:aws:sns:eu-west-1:1:t"]},{"Sid":"A3","Effect":"Allow","Action":["sqs:SendMessage"],"Resource":["arn:aws:sqs:eu-west-1:1:q"]},{"Sid":"A2","Effect":"Deny","Action":["iam:*"],"Resource":["*"]}]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			plan, err := Shrink(Role{Principal: app, Policies: parsed(t, tc.policy...)}, seen(tc.observed...), quarter())
			if err != nil {
				t.Fatal(err)
			}
			if want := `{"Version":"2012-10-17","Statement":` + tc.want + `}`; string(plan.Documents[0].Policy) != want {
				t.Errorf("%s\nwant %s", plan.Documents[0].Policy, want)
			}
			if len(plan.Documents[0].From) != len(plan.Documents[0].New.Statements) {
				t.Errorf("from %v", plan.Documents[0].From)
			}
		})
	}
}

func TestPoliciesThatAreFixedExplainCallsAndStay(t *testing.T) {
	own := parsed(t, `{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::mine/*"}`)
	shared := parsed(t, `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::theirs/*"}`)
	calls := seen("s3:GetObject arn:aws:s3:::mine/a", "s3:GetObject arn:aws:s3:::theirs/x")
	plan, err := Shrink(Role{Principal: app, Policies: own, Fixed: shared}, calls, quarter())
	if err != nil || len(plan.Documents) != 1 || plan.Kept != nil || strings.Contains(string(plan.Documents[0].Policy), "s3:Get*") {
		t.Errorf("%+v, %v", plan, err)
	}
	if !slices.Contains(plan.Removed, "s3:GetBucketPolicy") || slices.Contains(plan.Removed, "s3:GetObject") {
		t.Errorf("removed %v", plan.Removed)
	}
	// Without them the call is not explained, and s3 stays.
	plan, err = Shrink(Role{Principal: app, Policies: own}, calls, quarter())
	if err != nil || plan.Kept["s3"] == "" || !strings.Contains(string(plan.Documents[0].Policy), "s3:Get*") {
		t.Errorf("%+v, %v", plan, err)
	}
}

func TestACallThatWasSeenOftenCountsAsOften(t *testing.T) {
	calls := seen("s3:ListBucket arn:aws:s3:::b")
	calls[0].Times = 500
	plan, err := Shrink(Role{Principal: app, Policies: parsed(t, `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`)}, calls, quarter())
	if err != nil || plan.Calls != 500 || plan.Replayed != 500 || plan.Confidence != "high" {
		t.Errorf("%d, %d, %s, %v", plan.Calls, plan.Replayed, plan.Confidence, err)
	}
}

func TestEveryActionOnDataIsOneOfTheCatalogue(t *testing.T) {
	for _, s := range dataServices() {
		if len(dataActions(s)) == 0 {
			t.Errorf("%s has none", s)
		}
		for _, a := range dataActions(s) {
			if _, ok := iam.AWS().Lookup(a); !ok || !strings.HasPrefix(a, s+":") {
				t.Errorf("%s is not known", a)
			}
		}
	}
}

func TestVerbsThatALogCannotShowStay(t *testing.T) {
	used := []Access{{User: "u", Verb: "get", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"}}
	rule := stack.RBACRule{Verbs: []string{"get", "delete", "bind"}, Groups: []string{"rbac.authorization.k8s.io"}, Resources: []string{"clusterroles"}}
	plan, err := ShrinkRBAC([]stack.RBACRule{rule}, used, quarter())
	if err != nil || len(plan.Rules[0]) != 1 || !slices.Equal(plan.Rules[0][0].Verbs, []string{"get", "bind"}) || len(plan.Kept) != 1 {
		t.Errorf("%+v, %v", plan, err)
	}
	if !slices.Equal(plan.NeverObserved, []string{"delete clusterroles"}) {
		t.Errorf("never observed: %q", plan.NeverObserved)
	}
	rule.Verbs = []string{"get"}
	if plan, err = ShrinkRBAC([]stack.RBACRule{rule}, used, quarter()); err != nil || plan.Changed {
		t.Errorf("what is all used changes: %+v, %v", plan, err)
	}
	rule.Verbs = []string{"*"} // it is not listed, and not needed as far as the log shows
	if plan, err = ShrinkRBAC([]stack.RBACRule{rule}, used, quarter()); err != nil || !slices.Equal(plan.Rules[0][0].Verbs, []string{"get"}) {
		t.Errorf("%+v, %v", plan, err)
	}
}

func TestRightsAreThoseOfWhomTheCallerActsAs(t *testing.T) {
	const log = `{"stage":"ResponseComplete","verb":"list","user":{"username":"admin","groups":["ops"]},"impersonatedUser":{"username":"system:serviceaccount:a:b","groups":["system:serviceaccounts"]},"objectRef":{"resource":"pods"},"responseStatus":{"code":200}}`
	n := 0
	if err := Audit(strings.NewReader(log), func(a Access) {
		n++
		if a.User != "system:serviceaccount:a:b" || !slices.Equal(a.Groups, []string{"system:serviceaccounts"}) {
			t.Errorf("%+v", a)
		}
	}); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}
