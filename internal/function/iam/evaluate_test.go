package iam

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/bounded"
)

func must(t testing.TB, document string) *Policy {
	t.Helper()
	if !strings.HasPrefix(document, `{"Version`) {
		document = `{"Version":"2012-10-17","Statement":[` + document + `]}`
	}
	p, err := Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParseTakesTheFormsThatAWSTakes(t *testing.T) {
	for name, doc := range map[string]string{
		"one statement":             `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`,
		"lists":                     `{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"1","Effect":"Deny","NotAction":["s3:*"],"NotResource":["*"]}]}`,
		"a principal of everybody":  `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}]}`,
		"principals by type":        `{"Statement":[{"Effect":"Allow","Principal":{"AWS":["1","2"],"Service":"x"},"Action":"s3:*"}]}`,
		"a boolean and a number":    `{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Bool":{"a:b":true},"NumericLessThan":{"c:d":5}}}]}`,
		"an effect that is unknown": `{"Statement":[{"Effect":"${var.effect}","Action":"s3:*","Resource":"*"}]}`,
	} {
		if _, err := Parse([]byte(doc)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tc := range map[string]struct{ doc, say string }{
		"no statement":               {`{"Version":"2012-10-17"}`, "no Statement"},
		"an effect in lower":         {`{"Statement":[{"Effect":"allow","Action":"s3:*","Resource":"*"}]}`, "Allow or Deny"},
		"no action":                  {`{"Statement":[{"Effect":"Allow","Resource":"*"}]}`, "statement 1: no Action"},
		"both actions":               {`{"Statement":[{"Effect":"Allow","Action":"a:b","NotAction":"c:d"}]}`, "both Action and NotAction"},
		"both resources":             {`{"Statement":[{"Effect":"Allow","Action":"a:b","Resource":"*","NotResource":"*"}]}`, "both Resource"},
		"an unknown operator":        {`{"Statement":[{"Effect":"Allow","Action":"a:b","Condition":{"StringEqual":{"x":"y"}}}]}`, "StringEqual"},
		"a key twice":                {`{"Statement":[{"Effect":"Deny","Effect":"Allow","Action":"a:b"}]}`, "duplicate key"},
		"an object for a text":       {`{"Statement":[{"Effect":"Allow","Action":{"a":"b"}}]}`, "Action"},
		"a principal that is a name": {`{"Statement":[{"Effect":"Allow","Principal":"bob","Action":"a:b"}]}`, "Principal"},
		"no JSON":                    {`Statement:`, "invalid JSON"},
		"text for a statement":       {`{"Statement":["Allow"]}`, "statement 1"},
	} {
		if _, err := Parse([]byte(tc.doc)); err == nil || !strings.Contains(err.Error(), tc.say) {
			t.Errorf("%s: %v", name, err)
		}
	}
	large := `{"Statement":{"Effect":"Allow","Action":"a:b","Resource":"` + strings.Repeat("x", MaxDocument) + `"}}`
	if _, err := Parse([]byte(large)); !errors.Is(err, bounded.ErrTooLarge) {
		t.Errorf("a large document: %v", err)
	}
	many := `{"Statement":{"Effect":"Allow","Action":[` + strings.Repeat(`"a:b",`, maxEntries) + `"a:b"]}}`
	if _, err := Parse([]byte(many)); !errors.Is(err, bounded.ErrTooMany) {
		t.Errorf("many entries: %v", err)
	}
	long := `{"Statement":{"Effect":"Allow","Action":"` + strings.Repeat("a", maxText+1) + `"}}`
	if _, err := Parse([]byte(long)); !errors.Is(err, bounded.ErrTooLarge) {
		t.Errorf("a long text: %v", err)
	}
	deep := `{"Statement":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`
	if _, err := Parse([]byte(deep)); !errors.Is(err, bounded.ErrTooDeep) {
		t.Errorf("a deep document: %v", err)
	}
}

func TestConditionOperators(t *testing.T) {
	ctx := Known(map[string][]string{
		"aws:username": {"ann"}, "aws:SourceIp": {"203.0.113.9"}, "aws:MultiFactorAuthAge": {"300"}, "aws:CurrentTime": {"2026-11-23T10:00:00Z"},
		"aws:SecureTransport": {"true"}, "aws:TagKeys": {"team", "cost"}, "aws:PrincipalArn": {"arn:aws:iam::1:role/app"}, "aws:PrincipalTag/team": {"ann"}, "bin:x": {"QmluYXJ5"}, "v6:ip": {"2001:db8::1"},
	})
	for _, tc := range []struct {
		condition string
		want      Truth
	}{
		{`{"StringEquals":{"aws:username":"ann"}}`, Yes}, {`{"StringEquals":{"aws:username":"Ann"}}`, No}, {`{"StringEquals":{"aws:username":["bob","ann"]}}`, Yes},
		{`{"StringEquals":{"aws:username":"a*"}}`, No}, {`{"StringLike":{"aws:username":"a*"}}`, Yes}, {`{"StringLike":{"aws:username":"A*"}}`, No}, {`{"StringNotLike":{"aws:username":"b*"}}`, Yes},
		{`{"StringEqualsIgnoreCase":{"aws:username":"ANN"}}`, Yes}, {`{"StringNotEqualsIgnoreCase":{"aws:username":"ANN"}}`, No},
		{`{"StringNotEquals":{"aws:username":["bob","ann"]}}`, No}, {`{"StringNotEquals":{"aws:username":"bob"}}`, Yes},
		{`{"StringEquals":{"aws:username":"${aws:PrincipalTag/team}"}}`, Yes}, {`{"StringEquals":{"AWS:USERNAME":"ann"}}`, Yes},
		{`{"StringEquals":{"aws:none":"x"}}`, No}, {`{"StringNotEquals":{"aws:none":"x"}}`, Yes}, {`{"StringEqualsIfExists":{"aws:none":"x"}}`, Yes}, {`{"StringEqualsIfExists":{"aws:username":"x"}}`, No},
		{`{"NumericLessThan":{"aws:MultiFactorAuthAge":"3600"}}`, Yes}, {`{"NumericLessThan":{"aws:MultiFactorAuthAge":300}}`, No}, {`{"NumericLessThanEquals":{"aws:MultiFactorAuthAge":"300"}}`, Yes},
		{`{"NumericGreaterThan":{"aws:MultiFactorAuthAge":"299.5"}}`, Yes}, {`{"NumericGreaterThanEquals":{"aws:MultiFactorAuthAge":"301"}}`, No}, {`{"NumericEquals":{"aws:MultiFactorAuthAge":"3e2"}}`, Yes}, {`{"NumericNotEquals":{"aws:MultiFactorAuthAge":"1"}}`, Yes}, {`{"NumericEquals":{"aws:MultiFactorAuthAge":"many"}}`, No},
		{`{"DateLessThan":{"aws:CurrentTime":"2026-12-01T00:00:00Z"}}`, Yes}, {`{"DateGreaterThan":{"aws:CurrentTime":"2026-12-01"}}`, No}, {`{"DateGreaterThanEquals":{"aws:CurrentTime":"1700000000"}}`, Yes}, {`{"DateLessThanEquals":{"aws:CurrentTime":"2026"}}`, No}, {`{"DateEquals":{"aws:CurrentTime":"2026-11-23T10:00:00Z"}}`, Yes}, {`{"DateNotEquals":{"aws:CurrentTime":"2026-11-23T10:00:00Z"}}`, No},
		{`{"Bool":{"aws:SecureTransport":"true"}}`, Yes}, {`{"Bool":{"aws:SecureTransport":false}}`, No}, {`{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`, No}, {`{"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}}`, Yes},
		{`{"BinaryEquals":{"bin:x":"QmluYXJ5"}}`, Yes}, {`{"BinaryEquals":{"bin:x":"QmluYXJ6"}}`, No},
		{`{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, Yes}, {`{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","203.0.113.9"]}}`, Yes}, {`{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, No}, {`{"IpAddress":{"v6:ip":"2001:db8::/32"}}`, Yes}, {`{"IpAddress":{"aws:SourceIp":"nonsense"}}`, No},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/a*"}}`, Yes}, {`{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::*:role/app"}}`, Yes}, {`{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/a*"}}`, No}, {`{"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::2:role/app"}}`, Yes},
		{`{"Null":{"aws:none":"true"}}`, Yes}, {`{"Null":{"aws:none":"false"}}`, No}, {`{"Null":{"aws:username":"false"}}`, Yes},
		{`{"ForAllValues:StringEquals":{"aws:TagKeys":["team","cost","x"]}}`, Yes}, {`{"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}`, No}, {`{"ForAllValues:StringEquals":{"aws:none":["team"]}}`, Yes},
		{`{"ForAnyValue:StringEquals":{"aws:TagKeys":["team"]}}`, Yes}, {`{"ForAnyValue:StringEquals":{"aws:none":["team"]}}`, No}, {`{"ForAnyValue:StringLike":{"aws:TagKeys":"z*"}}`, No}, {`{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["team"]}}`, Yes},
		{`{"StringEquals":{"aws:username":"ann"},"Bool":{"aws:SecureTransport":"false"}}`, No}, // all of them
		{`{"StringEquals":{"aws:username":"ann","aws:none":"x"}}`, No},
		{`{"StringEquals":{"aws:username":"${var.name}"}}`, Maybe}, {`{"${var.operator}":{"aws:username":"ann"}}`, Maybe},
		{`{}`, Yes},
	} {
		p := must(t, `{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":`+tc.condition+`}`)
		if got := p.Statements[0].Holds(ctx, Yes); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.condition, got, tc.want)
		}
	}
	// The older version has no variables: the text is what it says.
	old := must(t, `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"StringEquals":{"aws:username":"${aws:username}"}}}}`)
	if got := old.Statements[0].Holds(ctx, Yes); got == Yes {
		t.Errorf("a variable in a policy of 2008: %v", got)
	}
}

func TestEvaluateDecidesAsAWSDoes(t *testing.T) {
	const home, away = "123456789012", "987654321098"
	role := Caller{ARN: "arn:aws:sts::" + home + ":assumed-role/app/s", Role: "arn:aws:iam::" + home + ":role/app", Account: home}
	user := Caller{ARN: "arn:aws:iam::" + home + ":user/ann", Account: home}
	allow := func(action, resource string) string {
		return fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":%q}`, action, resource)
	}
	deny := func(action string) string { return fmt.Sprintf(`{"Effect":"Deny","Action":%q,"Resource":"*"}`, action) }
	to := func(principal string) string {
		return `{"Effect":"Allow","Action":"*","Resource":"*","Principal":` + principal + `}`
	}
	list := func(statements ...string) []*Policy {
		out := []*Policy{}
		for _, s := range statements {
			out = append(out, must(t, s))
		}
		return out
	}
	get := Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/x", Caller: role}
	with := func(f func(*Request)) Request { r := get; f(&r); return r }
	for _, tc := range []struct {
		name     string
		policies Policies
		request  Request
		want     Truth
		missing  string
	}{
		{"nothing allows it", Policies{}, get, No, "identity"},
		{"an identity's policy allows it", Policies{Identity: list(allow("s3:Get*", "arn:aws:s3:::b/*"))}, get, Yes, ""},
		{"the second of two policies allows it", Policies{Identity: list(allow("sqs:*", "*"), allow("s3:*", "*"))}, get, Yes, ""},
		{"another policy denies it", Policies{Identity: list(allow("s3:*", "*"), deny("s3:*"))}, get, No, ""},
		{"NotAction denies the rest", Policies{Identity: list(allow("s3:*", "*"), `{"Effect":"Deny","NotAction":"sqs:*","Resource":"*"}`)}, get, No, ""},
		{"NotAction leaves it out", Policies{Identity: list(allow("s3:*", "*"), `{"Effect":"Deny","NotAction":"s3:*","Resource":"*"}`)}, get, Yes, ""},
		{"NotResource leaves it out", Policies{Identity: list(`{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::b/*"}`)}, get, No, "identity"},
		{"the boundary does not allow it", Policies{Identity: list(allow("s3:*", "*")), Boundary: list(allow("sqs:*", "*"))}, get, No, "boundary"},
		{"the boundary allows it", Policies{Identity: list(allow("s3:*", "*")), Boundary: list(allow("s3:*", "*"))}, get, Yes, ""},
		{"a boundary gives nothing", Policies{Boundary: list(allow("s3:*", "*"))}, get, No, "identity"},
		{"an empty boundary", Policies{Identity: list(allow("s3:*", "*")), Boundary: list()}, get, No, "boundary"},
		{"the session does not allow it", Policies{Identity: list(allow("s3:*", "*")), Session: list(allow("sqs:*", "*"))}, get, No, "session"},
		{"one level of the organisation does not", Policies{Identity: list(allow("s3:*", "*")), Control: [][]*Policy{list(allow("*", "*")), list(allow("sqs:*", "*"))}}, get, No, "control"},
		{"all levels do", Policies{Identity: list(allow("s3:*", "*")), Control: [][]*Policy{list(allow("*", "*")), list(allow("s3:*", "*"))}}, get, Yes, ""},
		{"the bucket allows the role", Policies{Resource: list(to(`{"AWS":"` + role.Role + `"}`))}, get, Yes, ""},
		{"the bucket allows the account, which does not", Policies{Resource: list(to(`{"AWS":"` + home + `"}`))}, get, No, "identity"},
		{"the bucket allows the role, its boundary does not", Policies{Resource: list(to(`{"AWS":"` + role.Role + `"}`)), Boundary: list(allow("sqs:*", "*"))}, get, No, "boundary"},
		{"the bucket allows the session, its boundary does not", Policies{Resource: list(to(`{"AWS":"` + role.ARN + `"}`)), Boundary: list(allow("sqs:*", "*"))}, get, Yes, ""},
		{"the bucket allows the user, the boundary does not", Policies{Resource: list(to(`{"AWS":"` + user.ARN + `"}`)), Boundary: list(allow("sqs:*", "*"))}, with(func(r *Request) { r.Caller = user }), Yes, ""},
		{"the bucket denies everybody else", Policies{Identity: list(allow("s3:*", "*")), Resource: list(`{"Effect":"Deny","Action":"*","Resource":"*","NotPrincipal":{"AWS":"arn:aws:iam::1:role/x"}}`)}, get, No, ""},
		{"another account's bucket needs both: identity only", Policies{Identity: list(allow("s3:*", "*"))}, with(func(r *Request) { r.Owner = away }), No, "resource"},
		{"another account's bucket needs both: resource only", Policies{Resource: list(to(`{"AWS":"` + role.Role + `"}`))}, with(func(r *Request) { r.Owner = away }), No, "identity"},
		{"another account's bucket has both", Policies{Identity: list(allow("s3:*", "*")), Resource: list(to(`{"AWS":"arn:aws:iam::` + home + `:root"}`))}, with(func(r *Request) { r.Owner = away }), Yes, ""},
		{"a key needs its own policy", Policies{Identity: list(allow("kms:*", "*"))}, with(func(r *Request) { r.Action = "kms:Decrypt" }), No, "resource"},
		{"a key that trusts the account", Policies{Identity: list(allow("kms:*", "*")), Resource: list(to(`{"AWS":"arn:aws:iam::` + home + `:root"}`))}, with(func(r *Request) { r.Action = "kms:Decrypt" }), Yes, ""},
		{"a role that trusts the caller itself", Policies{Resource: list(`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"` + user.ARN + `"}}`)}, with(func(r *Request) { r.Action, r.Caller = "sts:AssumeRole", user }), Yes, ""},
		{"a role that trusts the account, which does not", Policies{Resource: list(`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"` + home + `"}}`)}, with(func(r *Request) { r.Action, r.Caller = "sts:AssumeRole", user }), No, "identity"},
		{"a role that trusts the service", Policies{Resource: list(`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"lambda.amazonaws.com"}}`)}, with(func(r *Request) { r.Action, r.Caller = "sts:AssumeRole", Caller{Service: "lambda.amazonaws.com"} }), Yes, ""},
		{"a role that trusts another service", Policies{Resource: list(`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ec2.amazonaws.com"}}`)}, with(func(r *Request) { r.Action, r.Caller = "sts:AssumeRole", Caller{Service: "lambda.amazonaws.com"} }), No, "resource"},
		{"a resource that is not known", Policies{Identity: list(allow("s3:*", "${var.bucket}"))}, get, Maybe, ""},
		{"a Deny that is not known", Policies{Identity: list(allow("s3:*", "*"), `{"Effect":"Deny","Action":"${var.denied}","Resource":"*"}`)}, get, Maybe, ""},
		{"an effect that is not known", Policies{Identity: list(`{"Effect":"${var.effect}","Action":"s3:*","Resource":"*"}`)}, get, Maybe, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := tc.policies.Evaluate(tc.request)
			if d.Allowed != tc.want || d.Missing != tc.missing {
				t.Errorf("%v, missing %q; want %v, %q", d.Allowed, d.Missing, tc.want, tc.missing)
			}
			if tc.want == Yes && len(d.By) == 0 {
				t.Error("it does not say what it rests on")
			}
		})
	}
}

// FuzzParse holds that what parses can be evaluated, and that an unconditional
// Deny of everything is never overcome.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}/*"}]}`,
		`{"Statement":{"Effect":"Deny","NotAction":["*"],"NotResource":"*","NotPrincipal":{"AWS":"*"},"Condition":{"ForAllValues:StringNotLikeIfExists":{"aws:x":["${*}",1,true]}}}}`,
		`{"Statement":[{"Effect":"Allow","Action":["a:b"],"Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"::/0"},"DateLessThan":{"aws:CurrentTime":"2026-01-01"},"Null":{"a:b":"true"}}}]}`,
		`{"Statement":[]}`, `{"Statement":[{"Effect":"${x","Action":"${y}","Resource":["${z}*?"]}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 2048 {
			return
		}
		p, err := Parse(data)
		if err != nil {
			return
		}
		deny := must(t, `{"Effect":"Deny","Action":"*","Resource":"*"}`)
		r := Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/x", Caller: Caller{ARN: "arn:aws:iam::1:user/a", Account: "1"}, Context: Attacker{Action: "s3:GetObject"}.Context()}
		both := Policies{Identity: []*Policy{p, deny}, Resource: []*Policy{p}}
		if d := both.Evaluate(r); d.Allowed != No {
			t.Fatalf("%s overcomes a Deny", data)
		}
		if grants, err := NewRights([]*Policy{p, deny}, nil).Grants("s3:GetObject", r.Context); err == nil && len(grants) > 0 {
			t.Fatalf("%s leaves %v in spite of a Deny", data, grants)
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	p := must(b, `{"Effect":"Allow","Action":["s3:Get*","sqs:SendMessage"],"Resource":["arn:aws:s3:::photos/*","arn:aws:sqs:*:*:jobs"],"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}},{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::photos/private/*"}`)
	r := Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::photos/a/b.jpg", Caller: Caller{ARN: "arn:aws:iam::1:user/a", Account: "1"}, Context: Known(map[string][]string{"aws:principalorgid": {"o-1"}})}
	policies := Policies{Identity: []*Policy{p}}
	b.ReportAllocs()
	for b.Loop() {
		if policies.Evaluate(r).Allowed != Yes {
			b.Fatal("denied")
		}
	}
}
