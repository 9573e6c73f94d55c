package iam

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestPoliciesThatAreDearToCompareAreRefused(t *testing.T) {
	long := strings.Repeat("a*", 400)
	var allow, deny []string
	for i := range 60 {
		allow = append(allow, fmt.Sprintf(`"arn:aws:s3:::*%s%d"`, long, i))
		deny = append(deny, fmt.Sprintf(`"arn:aws:s3:::*%sb%d"`, long, i))
	}
	dear := must(t, `{"Effect":"Allow","Action":"s3:*","Resource":[`+strings.Join(allow, ",")+`]},{"Effect":"Deny","Action":"s3:*","Resource":[`+strings.Join(deny, ",")+`]}`)
	if _, err := NewRights([]*Policy{dear}, nil).Grants("s3:GetObject", nil); !errors.Is(err, ErrTooComplex) {
		t.Errorf("%v", err)
	}
	plain := must(t, `{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::a/*","arn:aws:s3:::b/*"]},{"Effect":"Deny","Action":"s3:*","Resource":["arn:aws:s3:::b/*"]}`)
	grants, err := NewRights([]*Policy{plain}, nil).Grants("s3:GetObject", nil)
	if err != nil || len(grants) != 1 || grants[0].Resource.String() != "arn:aws:s3:::a/*" {
		t.Errorf("%v, %v", grants, err)
	}
}

func TestABoundaryNarrowsWhatIsGranted(t *testing.T) {
	policy := must(t, `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`)
	for _, tc := range []struct{ name, boundary, want string }{
		{"to its own resource", `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*"}`, "arn:aws:s3:::b/*"},
		{"not at all", `{"Effect":"Allow","Action":"*","Resource":"*"}`, "*"},
		{"to nothing", `{"Effect":"Allow","Action":"sqs:*","Resource":"*"}`, ""},
		{"to nothing, by a Deny", `{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:Get*","Resource":"*"}`, ""},
		{"to all but one", `{"Effect":"Allow","NotAction":"s3:Get*","Resource":"*"}`, ""},
	} {
		grants, err := NewRights([]*Policy{policy}, []*Policy{must(t, tc.boundary)}).Grants("s3:GetObject", nil)
		got := ""
		for _, g := range grants {
			got += g.Resource.String()
		}
		if err != nil || got != tc.want {
			t.Errorf("%s: %q, %v", tc.name, got, err)
		}
	}
}

func TestAGrantIsWideWhenItIsAboutEveryResourceOfAType(t *testing.T) {
	for _, tc := range []struct {
		action, resource string
		want             bool
	}{
		{"s3:GetObject", "*", true}, {"s3:GetObject", "arn:aws:s3:::*", true}, {"s3:GetObject", "arn:aws:s3:::*/*", true}, {"s3:GetObject", "arn:aws:s3:::b/*", false}, {"s3:GetObject", "arn:aws:s3:::b*", false},
		{"iam:PassRole", "arn:aws:iam::123456789012:role/*", true}, {"iam:PassRole", "arn:aws:iam::*:*", true}, {"iam:PassRole", "arn:aws:iam::*:role/app-*", false}, {"iam:PassRole", "arn:aws:iam::*:user/*", false}, {"iam:PassRole", "arn:*", true},
		{"iam:PassRole", "arn:aws:s3:::*", false}, {"iam:PassRole", "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/*", true}, {"iam:PassRole", "${var.role}", false}, {"iam:PassRole", "${aws_iam_role.a.arn}*", false},
		{"dynamodb:Query", "arn:aws:dynamodb:eu-west-1:123456789012:table/*", true}, {"dynamodb:Query", "arn:aws:dynamodb:*:*:table/t", false}, {"dynamodb:Query", "arn:aws:dynamodb:*:*:table/t/index/*", false},
		{"logs:DescribeLogGroups", "*", false}, // there is nothing else to write
	} {
		a, _ := AWS().Lookup(tc.action)
		g := Grant{Resource: ResourcePattern(tc.resource)}
		if got := g.Wide(&a); got != tc.want {
			t.Errorf("%s on %s: %v", tc.action, tc.resource, got)
		}
	}
}

func TestManagedPoliciesSayWhatAWSAllows(t *testing.T) {
	for _, tc := range []struct {
		arn, action string
		known       bool
		want        Truth
	}{
		{"arn:aws:iam::aws:policy/AdministratorAccess", "iam:CreateUser", true, Yes},
		{"arn:aws-cn:iam::aws:policy/AdministratorAccess", "iam:CreateUser", true, Yes},
		{"arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole", "logs:PutLogEvents", true, Yes},
		{"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole", "s3:GetObject", true, No},
		{"arn:aws:iam::aws:policy/PowerUserAccess", "iam:PutRolePolicy", true, No},
		{"arn:aws:iam::aws:policy/PowerUserAccess", "ec2:RunInstances", true, Yes},
		{"arn:aws:iam::aws:policy/ReadOnlyAccess", "s3:GetObject", true, Yes},
		{"arn:aws:iam::aws:policy/ReadOnlyAccess", "s3:PutObject", true, No},
		{"arn:aws:iam::aws:policy/AWSDenyAll", "s3:GetObject", true, No},
		{"arn:aws:iam::123456789012:policy/AdministratorAccess", "s3:GetObject", false, No},
		{"arn:aws:iam::aws:policy/NoSuchPolicy", "s3:GetObject", false, No},
		{"AdministratorAccess", "s3:GetObject", false, No},
	} {
		p, ok := Managed(tc.arn)
		if ok != tc.known {
			t.Errorf("%s: known is %v", tc.arn, ok)
			continue
		}
		if !ok {
			continue
		}
		all := Policies{Identity: []*Policy{p}}
		if d := all.Evaluate(Request{Action: tc.action, Resource: "*"}); d.Allowed != tc.want {
			t.Errorf("%s on %s: %v", tc.arn, tc.action, d.Allowed)
		}
	}
	// Names that no action bears would make the table say less than it means.
	for _, p := range []string{"AWSLambda_FullAccess", "AmazonECSTaskExecutionRolePolicy", "AWSLambdaVPCAccessExecutionRole", "SecretsManagerReadWrite", "ReadOnlyAccess", "AWSGlueServiceRole", "DatabaseAdministrator", "AmazonSSMManagedInstanceCore"} {
		doc, _ := Managed("arn:aws:iam::aws:policy/" + p)
		for _, s := range doc.Statements {
			for _, a := range s.Actions {
				found := false
				AWS().Each(a, func(*Action) bool { found = true; return false })
				if !found {
					t.Errorf("%s: %s is no action", p, a)
				}
			}
		}
	}
}

func TestADocumentIsWrittenAsItIsRead(t *testing.T) {
	in := `{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"A","Effect":"Allow","Principal":{"AWS":["1"]},"NotAction":["s3:*"],"NotResource":["arn:aws:s3:::b/${aws:username}"],"Condition":{"ForAnyValue:StringLikeIfExists":{"aws:TagKeys":["a*"]}}},{"Effect":"Deny","Principal":"*","Action":["*"],"Resource":["*"]}]}`
	p := must(t, in)
	out, err := p.MarshalJSON()
	if err != nil || string(out) != in {
		t.Errorf("%s, %v", out, err)
	}
	unknown := must(t, `{"Effect":"${var.e}","Action":"a:b","Resource":"*"}`)
	if _, err := unknown.MarshalJSON(); err == nil {
		t.Error("an effect that is not known is written")
	}
}
