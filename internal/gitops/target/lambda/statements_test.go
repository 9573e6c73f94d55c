package lambda

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
)

const testARN = "arn:aws:lambda:eu-central-1:123456789012:function:captioner"

func TestAStatementIsGitsOnlyWhenAddPermissionCouldHaveWrittenIt(t *testing.T) {
	const good = `"Sid":"a","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"` + testARN + `"`
	for name, c := range map[string]struct {
		text  string
		plain bool
	}{
		"a service":                {`{` + good + `}`, true},
		"an account by its root":   {`{"Sid":"a","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"lambda:InvokeFunction","Resource":"` + testARN + `"}`, true},
		"everybody":                {`{"Sid":"a","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"` + testARN + `"}`, true},
		"a source":                 {`{` + good + `,"Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::b"}}}`, true},
		"a condition of its own":   {`{` + good + `,"Condition":{"StringLike":{"AWS:SourceArn":"arn:aws:s3:::*"}}}`, false},
		"through the address":      {`{` + good + `,"Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}}`, true},
		"not through the address":  {`{` + good + `,"Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":"false"}}}`, false},
		"one of both":              {`{` + good + `,"Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":["true","false"]}}}`, false},
		"if at all":                {`{` + good + `,"Condition":{"BoolIfExists":{"lambda:InvokedViaFunctionUrl":"true"}}}`, false},
		"two values of a source":   {`{` + good + `,"Condition":{"ArnLike":{"AWS:SourceArn":["a","b"]}}}`, false},
		"a denial":                 {`{"Sid":"a","Effect":"Deny","Principal":"*","Action":"lambda:InvokeFunction","Resource":"` + testARN + `"}`, false},
		"all but one":              {`{` + good + `,"NotPrincipal":{"AWS":"1"}}`, false},
		"two actions":              {`{"Sid":"a","Effect":"Allow","Principal":"*","Action":["lambda:InvokeFunction","lambda:UpdateFunctionCode"],"Resource":"` + testARN + `"}`, false},
		"two principals":           {`{"Sid":"a","Effect":"Allow","Principal":{"AWS":"1","Service":"x"},"Action":"x","Resource":"` + testARN + `"}`, false},
		"another function":         {`{"Sid":"a","Effect":"Allow","Principal":"*","Action":"x","Resource":"` + testARN + `:live"}`, false},
		"a statement with no name": {`{"Effect":"Allow","Principal":"*","Action":"x","Resource":"` + testARN + `"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := statements(`{"Version":"2012-10-17","Statement":[`+c.text+`]}`, testARN)
			if err != nil || len(all) != 1 || (all[0].Other == nil) != c.plain {
				t.Errorf("got %+v, %v", all, err)
			}
		})
	}
}

// FuzzStatements: whatever somebody wrote into a policy is read whole or refused;
// no statement is lost.
func FuzzStatements(f *testing.F) {
	f.Add(`{"Statement":[]}`)
	f.Add(`{"Statement":{"Sid":"a","Effect":"Allow","Principal":{"AWS":["*"]},"Action":"x","Resource":"` + testARN + `"}}`)
	f.Add(`{"Statement":[{"Sid":"a","Condition":{"ArnLike":{"AWS:SourceArn":null}}}]}`)
	f.Add(`[]`)
	f.Add(`{"Statement":[{"Sid":"FunctionURLInvokeAllowPublicAccess","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"` + testARN + `","Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}}]}`)
	f.Fuzz(func(t *testing.T, policy string) {
		all, err := statements(policy, testARN)
		if err != nil {
			return
		}
		var doc struct{ Statement []json.RawMessage }
		if json.Unmarshal([]byte(policy), &doc) == nil && len(doc.Statement) != len(all) && doc.Statement != nil {
			t.Errorf("%d statements are read as %d", len(doc.Statement), len(all))
		}
		for _, p := range all {
			if p.Other == nil && (p.ID == "" || p.Principal == "" || p.Action == "") {
				t.Errorf("half a statement: %+v", p)
			}
		}
		// What an address for everybody stands for, and nothing else, is folded into it.
		open := function{URL: &address{LambdaURL: gitops.LambdaURL{Auth: openToAll}}, Permissions: slices.Clone(all)}
		open.fold()
		if len(open.Permissions)+len(open.folded) != len(all) {
			t.Errorf("%d statements became %d and %d", len(all), len(open.Permissions), len(open.folded))
		}
		for _, p := range open.folded {
			if p.Other != nil || p.Principal != "*" || p.SourceARN != "" || p.SourceAccount != "" || p.Action != passURL && !p.ViaURL {
				t.Errorf("folded: %+v", p)
			}
		}
	})
}

func FuzzCodeTag(f *testing.F) {
	f.Add("bucket/key@version")
	f.Add("a/b@c@d")
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := readCodeTag(s)
		if !ok {
			return
		}
		if again, err := codeTag(c); err == nil && again != s {
			t.Errorf("%q became %q", s, again)
		}
		if c == (gitops.LambdaCode{}) {
			t.Error("it names nothing")
		}
	})
}
