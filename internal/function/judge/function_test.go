package judge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/function/stack"
)

func functions(list ...stack.Function) *stack.Stack {
	for i := range list {
		f := &list[i]
		if f.ID == "" {
			f.ID = fmt.Sprintf("f%d", i)
		}
		if f.Kind == "" {
			f.Kind = "aws_lambda_function"
		}
		if f.Line == 0 {
			f.Where = stack.Where{File: "main.tf", Line: 10 * (i + 1)}
		}
	}
	return &stack.Stack{Functions: list}
}

func variable(name, value string) *stack.Stack {
	return functions(stack.Function{Environment: []stack.Variable{{Where: stack.Where{File: "main.tf", Line: 15}, Name: name, Value: stack.Literal(value)}}})
}

func TestFunctionSecretInEnv(t *testing.T) {
	var cases []labelled
	for _, v := range [][2]string{
		{"DB_PASSWORD", "hunter2-and-more"}, {"dbPassword", "correcthorse"}, {"API_KEY", "8f14e45fceea167a5a36dedd4bea2543"}, {"SLACK_TOKEN", "abcd-efgh-ijkl"},
		{"AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"}, {"ANYTHING", "AKIAIOSFODNN7EXAMPLE"}, {"X", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
		{"GH", "ghp_" + strings.Repeat("a1B2", 9)}, {"STRIPE", "sk_live_" + strings.Repeat("a1B2", 6)}, {"PEM", "-----BEGIN RSA PRIVATE KEY-----\nMIIE"},
		{"DATABASE_URL", "postgres://app:s3cr3tpw@db.internal:5432/app"}, {"JWT", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlLWhlcmU"}, {"CLIENT_SECRET", "Zm9vYmFyYmF6"}, {"DJANGO_SECRET_KEY", "not-so-secret-key"},
		{"MYSECRET", "swordfish"}, {"dbpassword", "swordfish"}, {"SMTP_PASS", "swordfish"},
	} {
		cases = append(cases, labelled{v[0] + " with a literal", true, variable(v[0], v[1])})
	}
	for _, v := range [][2]string{
		{"LOG_LEVEL", "debug"}, {"TABLE_NAME", "claims"}, {"DB_PASSWORD_ARN", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db"}, {"DB_PASSWORD", "{{resolve:secretsmanager:db:SecretString:password}}"},
		{"DB_PASSWORD", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db"}, {"SECRET_NAME", "prod/db"}, {"TOKEN_TTL_SECONDS", "3600"}, {"PASSWORD_MIN_LENGTH", "12"}, {"TOKEN_URL", "https://login.example.org/token"},
		{"COMMIT", "da39a3ee5e6b4b0d3255bfef95601890afd80709"}, {"DATABASE_URL", "postgres://db.internal:5432/app"}, {"DATABASE_URL", "postgres://app:${DB_PASSWORD}@db.internal/app"}, {"PUBLIC_URL", "https://example.org/a@b"},
		{"API_KEY", ""}, {"USE_TOKEN", "true"}, {"PRIVATE_KEY_PATH", "/etc/keys/tls.pem"}, {"SECRET", "/prod/db/password"}, {"MODEL", "apexlogic-captioner-small-v1-quantised-48"}, {"KEYSPACE", "claims"}, {"COMPASS", "north-west"}, {"AUTHOR", "vision-team"},
	} {
		cases = append(cases, labelled{v[0] + "=" + v[1], false, variable(v[0], v[1])})
	}
	kept := variable("DB_PASSWORD", "db-secret/password")
	kept.Functions[0].Environment[0].From = "secretKeyRef"
	unknown := variable("DB_PASSWORD", "${var.db_password}")
	unknown.Functions[0].Environment[0].Value.Known = false
	cases = append(cases, labelled{"a value from a secret store", false, kept}, labelled{"a value that is not known", false, unknown})
	check(t, "function_secret_in_env", cases)

	const value = "hunter2-and-more"
	for _, f := range Judge(variable("DB_PASSWORD", value), Options{Unknown: true, Egress: true}) {
		if strings.Contains(fmt.Sprint(f), value) {
			t.Errorf("the value is shown: %+v", f)
		}
		if f.Class == "function_secret_in_env" && (f.Line != 15 || !strings.Contains(f.Detail, "DB_PASSWORD")) {
			t.Errorf("%+v", f)
		}
	}
}

func TestFunctionPublicInvoke(t *testing.T) {
	var cases []labelled
	for i, how := range []string{"function URL without authorization", "route GET / without authorizer", "permission for everybody", "Ingress", "route that is not cluster-local", "API method without authorization", "HTTP trigger for anonymous callers", "invoker allUsers", "LoadBalancer", "event http without authorizer"} {
		e := stack.Exposure{Where: stack.Where{File: "main.tf", Line: 30 + i}, How: how}
		cases = append(cases,
			labelled{how, true, functions(stack.Function{Public: []stack.Exposure{e}})},
			labelled{how + " behind the gateway", false, functions(stack.Function{Public: []stack.Exposure{e}, Gateway: true})},
		)
	}
	cases = append(cases, labelled{"no way in without an identity", false, functions(stack.Function{})})
	check(t, "function_public_invoke", cases)

	two := functions(stack.Function{Public: []stack.Exposure{{Where: stack.Where{File: "a", Line: 3}, How: "x"}, {Where: stack.Where{File: "a", Line: 9}, How: "y"}}})
	if found := of(Judge(two, Options{}), "function_public_invoke"); len(found) != 1 || found[0].Line != 3 || len(found[0].Related) != 1 || found[0].Related[0].Line != 9 {
		t.Errorf("two ways in: %+v", found)
	}
}

func TestFunctionSharedRole(t *testing.T) {
	f := func(role string, outside ...string) stack.Function {
		g := stack.Function{Role: role}
		if len(outside) > 0 {
			g.RoleText = stack.Text{Value: outside[0], Known: !strings.Contains(outside[0], "${")}
		}
		return g
	}
	var cases []labelled
	for n := 2; n < 9; n++ {
		var list, own []stack.Function
		for i := range n {
			list = append(list, f("app"))
			own = append(own, f(fmt.Sprintf("app%d", i)))
		}
		cases = append(cases, labelled{fmt.Sprintf("%d functions with one role", n), true, functions(list...)}, labelled{fmt.Sprintf("%d functions with a role each", n), false, functions(own...)})
	}
	cases = append(cases,
		labelled{"two of three", true, functions(f("a"), f("b"), f("a"))},
		labelled{"a role outside of the stack", true, functions(f("", "arn:aws:iam::123456789012:role/exec"), f("", "arn:aws:iam::123456789012:role/exec"))},
		labelled{"the same variable", true, functions(f("", "${var.role_arn}"), f("", "${var.role_arn}"))},
		labelled{"one function", false, functions(f("a"))},
		labelled{"two roles outside", false, functions(f("", "arn:aws:iam::123456789012:role/a"), f("", "arn:aws:iam::123456789012:role/b"))},
		labelled{"functions without a role", false, functions(f(""), f(""))},
		labelled{"one with a role and one without", false, functions(f("a"), f(""))},
	)
	check(t, "function_shared_role", cases)
	found := of(Judge(functions(f("a"), f("b"), f("a")), Options{}), "function_shared_role")
	if len(found) != 2 || found[0].Resource != "f0" || found[1].Resource != "f2" || len(found[0].Related) != 1 {
		t.Errorf("%+v", found)
	}
}

func TestFunctionEnvNotEncrypted(t *testing.T) {
	env := []stack.Variable{{Name: "A", Value: stack.Literal("b")}}
	key := stack.Literal("arn:aws:kms:eu-west-1:123456789012:key/1")
	var cases []labelled
	for _, kind := range []string{"aws_lambda_function", "AWS::Lambda::Function", "AWS::Serverless::Function"} {
		cases = append(cases,
			labelled{kind + " without a key", true, functions(stack.Function{Kind: kind, Environment: env})},
			labelled{kind + " with two variables", true, functions(stack.Function{Kind: kind, Environment: append(env[:1:1], env...)})},
			labelled{kind + " beside one with a key", true, functions(stack.Function{Kind: kind, Environment: env, KMSKey: key}, stack.Function{Kind: kind, Environment: env})},
			labelled{kind + " with an unresolved variable", true, functions(stack.Function{Kind: kind, Environment: []stack.Variable{{Name: "A", Value: stack.Text{Value: "${var.a}"}}}})},
			labelled{kind + " with a key", false, functions(stack.Function{Kind: kind, Environment: env, KMSKey: key})},
			labelled{kind + " with a key by reference", false, functions(stack.Function{Kind: kind, Environment: env, KMSKey: stack.Text{Value: "${aws_kms_key.k.arn}"}})},
			labelled{kind + " without variables", false, functions(stack.Function{Kind: kind})},
		)
	}
	cases = append(cases, labelled{"a Knative service", false, functions(stack.Function{Kind: "serving.knative.dev/Service", Environment: env})}, labelled{"no function", false, functions()})
	check(t, "function_env_not_encrypted", cases)
}

func TestWhatIsAskedForIsReportedThenOnly(t *testing.T) {
	bare := functions(stack.Function{})
	fine := functions(stack.Function{Timeout: 30 * time.Second, Egress: stack.EgressRestricted, Gateway: true})
	longest := functions(stack.Function{Timeout: 15 * time.Minute, Egress: stack.EgressRestricted, Gateway: true})
	unresolved := alone("Allow s3:GetObject on arn:aws:s3:::a")
	unresolved.Policies[0].Unknown = true
	foreign := with("arn:aws:iam::123456789012:policy/ours")
	broken := alone("Allow s3:GetObject on arn:aws:s3:::a")
	broken.Policies[0].Document = []byte(`{"Statement":[{"Effect":"Allow"`)
	for _, tc := range []struct {
		name  string
		class string
		stack *stack.Stack
		asked Options
		want  bool
	}{
		{"no timeout, asked", "function_no_timeout", bare, Options{Timeout: true}, true},
		{"no timeout, not asked", "function_no_timeout", bare, Options{}, false},
		{"a timeout", "function_no_timeout", fine, Options{Timeout: true}, false},
		{"the longest timeout", "function_no_timeout", longest, Options{Timeout: true}, true},
		{"unknown egress, asked", "function_egress_anywhere", bare, Options{Egress: true}, true},
		{"unknown egress, not asked", "function_egress_anywhere", bare, Options{}, false},
		{"restricted egress", "function_egress_anywhere", fine, Options{Egress: true}, false},
		{"no gateway, asked", "function_no_gateway", bare, Options{Gateway: true}, true},
		{"no gateway, not asked", "function_no_gateway", bare, Options{}, false},
		{"a gateway", "function_no_gateway", fine, Options{Gateway: true}, false},
		{"an unknown policy, asked", "function_rights_unknown", unresolved, Options{Unknown: true}, true},
		{"an unknown policy, not asked", "function_rights_unknown", unresolved, Options{}, false},
		{"a managed policy that is not known, asked", "function_rights_unknown", foreign, Options{Unknown: true}, true},
		{"a managed policy that is known", "function_rights_unknown", with("arn:aws:iam::aws:policy/AmazonS3FullAccess"), Options{Unknown: true}, false},
		{"a document that is broken is reported always", "function_rights_unknown", broken, Options{}, true},
		{"a document that is fine", "function_rights_unknown", alone("Allow s3:GetObject on *"), Options{Unknown: true}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if found := of(Judge(tc.stack, tc.asked), tc.class); tc.want != (len(found) == 1) {
				t.Errorf("%+v", found)
			}
		})
	}
}
