package config

import (
	"strings"
	"testing"
	"time"
)

// idleRoute is accepted as it stands; in each row a field comes to stand beside
// what makes it do nothing.
const idleRoute = `apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: r}
spec:
  hosts: [r.example]
  api: OpenAI
  upstream: {url: "http://127.0.0.1:1", tls: Plaintext}
  identities:
    - spiffe: {trustDomain: claims.example}
    - oidc: {issuer: "https://id.example/realm", audience: r}
  allow:
    - identities: ["spiffe://claims.example/a/*", "https://id.example/realm#ann", "group:staff"]
      actions: [infer, embed]
      models: [captioner]
  models: [{name: captioner, price: {input: "1", output: "1"}}]
  limits: {cost: "1", answer: 10}
`

// Routes of the other APIs.
const (
	idleJSON = `apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: r}
spec:
  hosts: [r.example]
  api: JSON
  json: {texts: [/text]}
  upstream: {url: "http://127.0.0.1:1", tls: Plaintext}
  anonymous: true
  allow: [{identities: [anonymous], actions: [infer]}]
`
	idleEvents = `apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: r}
spec:
  hosts: [r.example]
  api: Events
  upstream: {url: "http://127.0.0.1:1", tls: Plaintext}
  identities: [{spiffe: {trustDomain: claims.example}}]
  allow: [{identities: ["*"], actions: [produce]}]
`
	idleAWS = `apiVersion: security.apexlogic.com/v1alpha1
kind: WorkloadIdentity
metadata: {name: w}
spec:
  spiffeID: spiffe://claims.example/w
  aws: {account: "111122223333", arn: "ACCOUNT"}
`
	sealKey = `"-----BEGIN APEX SEAL PUBLIC KEY-----"`
	until   = "until: 2099-01-01T00:00:00Z, reason: it is wrong here"
)

// TestAFieldThatWouldDoNothingIsRefusedAndItsTwinIsNot adds lines to a route, or
// puts others in place of some: once so that they do nothing, and once so that
// they do something.
func TestAFieldThatWouldDoNothingIsRefusedAndItsTwinIsNot(t *testing.T) {
	for _, tt := range []struct {
		name, base, old string // old "": at the end
		idle, works     string
		path, says      string
	}{
		{"a threshold of a firewall that does not look", idleRoute, "", "  waf: {mode: Disabled, threshold: 7}\n", "  waf: {mode: Detect, threshold: 7}\n", "spec.waf", "mode: Disabled looks at nothing"},
		{"an exclusion of a firewall that does not look", idleRoute, "", "  waf: {mode: Disabled, exclusions: [{rule: 942100, " + until + "}]}\n", "  waf: {exclusions: [{rule: 942100, " + until + "}]}\n", "spec.waf", "leave them out"},
		{"a paranoia of a firewall that does not look", idleRoute, "", "  waf: {mode: Disabled, answers: Disabled, paranoia: 2}\n", "  waf: {mode: Disabled, answers: Detect, paranoia: 2}\n", "spec.waf", "paranoia"},
		{"an exclusion about requests where only answers are looked at", idleRoute, "", "  waf: {mode: Disabled, answers: Block, exclusions: [{rule: 942100, " + until + "}]}\n", "  waf: {mode: Disabled, answers: Block, exclusions: [{rule: 951230, " + until + "}]}\n", "spec.waf", "looks at no request"},
		{"a threshold of requests where only answers are looked at", idleRoute, "", "  waf: {mode: Disabled, answers: Block, threshold: 7}\n", "  waf: {mode: Disabled, answers: Block, answerThreshold: 7}\n", "spec.waf", "answerThreshold"},
		{"a threshold of answers that are not looked at", idleRoute, "", "  waf: {answers: Disabled, answerThreshold: 7}\n", "  waf: {answers: Disabled, threshold: 7}\n", "spec.waf", "looks at no answer"},
		{"an exclusion about answers that are not looked at", idleRoute, "", "  waf: {answers: Disabled, exclusions: [{rule: 951230, " + until + "}]}\n", "  waf: {answers: Detect, exclusions: [{rule: 951230, " + until + "}]}\n", "spec.waf", "looks at no answer"},
		{"a budget of a firewall that does not look", idleRoute, "limits: {", "waf: {mode: Disabled}\n  limits: {stages: {firewall: 1s}, ", "waf: {mode: Disabled, answers: Block}\n  limits: {stages: {firewall: 1s}, ", "spec", "limits.stages.firewall"},

		{"a grant for a model that the route does not have", idleRoute, "models: [captioner]", "models: [captoiner]", "models: [captioner]", "spec.allow[0].models[0]", "no model"},
		{"a grant for a model of a route that takes any", idleRoute, "models: [{name: captioner, price: {input: \"1\", output: \"1\"}}]\n  limits: {cost: \"1\", answer: 10}", "models: [{name: other}]", "models: []", "spec.allow[0].models[0]", "no model"},
		{"a grant for an event's model", idleEvents, "[produce]", "[produce], models: [m]", "[produce], models: []", "spec.allow[0].models[0]", "types, not models"},
		{"a grant for an action that the API does not have", idleJSON, "[infer]", "[infer, embed]", "[infer, list]", "spec.allow[0].actions[1]", "its actions are infer, list"},
		{"a grant for an event on a route of another API", idleRoute, "[infer, embed]", "[produce]", "[transcribe]", "spec.allow[0].actions[0]", "no produce"},
		{"a grant to a trust domain that is not recognised", idleRoute, "spiffe://claims.example/a/*", "spiffe://claim.example/a/*", "spiffe://claims.example/*", "spec.allow[0].identities[0]", "recognised are claims.example"},
		{"a grant to an issuer that is not recognised", idleRoute, "https://id.example/realm#ann", "https://id.example/realm/#ann", "https://id.example/realm#bob#1", "spec.allow[0].identities[1]", "to the letter"},
		{"a grant to nobody where all show something", idleRoute, "group:staff", "anonymous", "group:other", "spec.allow[0].identities[2]", "spec.anonymous: true"},
		{"a grant to a group where no issuer is", idleEvents, `["*"]`, `["group:staff"]`, `["spiffe://claims.example/a"]`, "spec.allow[0].identities[0]", "OpenID Connect"},
		{"a grant to a workload where nobody is recognised", idleJSON, "[anonymous]", `[anonymous, "spiffe://claims.example/a"]`, `["*"]`, "spec.allow[0].identities[1]", "recognised are none"},

		{"a type of no kind", idleRoute, "", "  media: {kinds: [Image], types: [image/png, audio/wav]}\n", "  media: {kinds: [Image, Audio], types: [image/png, audio/wav]}\n", "spec.media", "types narrows kinds"},
		{"a type of a kind that is no default", idleRoute, "", "  media: {types: [video/mp4]}\n", "  media: {types: [audio/wav]}\n", "spec.media", "default: Image, Audio and Tensor"},
		{"a kind without any of its types", idleRoute, "", "  media: {kinds: [Image, Audio, Tensor], types: [image/png]}\n", "  media: {kinds: [Image, Document, Tensor], types: [image/png, application/pdf]}\n", "spec.media", "none of a kind"},
		{"metadata of what has none", idleRoute, "", "  media: {kinds: [Tensor], stripMetadata: true}\n", "  media: {kinds: [Tensor, Image], stripMetadata: true}\n", "spec.media", "stripMetadata and hosts"},
		{"hosts of what has no address", idleRoute, "", "  media: {kinds: [], hosts: [media.example]}\n", "  media: {hosts: [media.example]}\n", "spec.media", "stripMetadata and hosts"},

		{"texts of answers of an API that says so itself", idleRoute, "", "  answers: {texts: [/a]}\n", "  answers: {credentials: Pass}\n", "spec", "belongs to api: JSON"},
		{"sockets for events", idleEvents, "", "  json: {sockets: true}\n", "  json: {texts: [/a]}\n", "spec", "json.sockets"},
		{"a stream of events", idleEvents, "tls: Plaintext", "tls: Plaintext, stream: 1m", "tls: Plaintext, timeout: 1m", "spec", "upstream.stream"},
		{"events that are sent again by a key that they have not", idleEvents, "tls: Plaintext", "tls: Plaintext, resend: Idempotent", "tls: Plaintext, resend: Unsent", "spec", "upstream.resend"},
		{"answers to events that are looked at", idleEvents, "", "  waf: {answers: Detect}\n", "  waf: {mode: Detect}\n", "spec", "waf.answers"},
		{"credentials in answers to events", idleEvents, "", "  answers: {credentials: Pass}\n", "  answers: {credentials: Cut}\n", "spec", "nobody gets"},
		{"dead letters of events that are posted", idleEvents, "", "  events: {deadLetters: {url: \"nats://127.0.0.1:1/dead\"}}\n", "  events: {from: {url: \"nats://127.0.0.1:1/in\"}, deadLetters: {url: \"nats://127.0.0.1:1/dead\"}}\n", "spec.events", "belongs to from"},
		{"the length of answers that nobody says", idleJSON, "", "  limits: {answer: 10}\n", "  limits: {answer: 10, tokens: 100}\n", "spec", "limits.answer"},
		{"prices that nothing counts", idleRoute, "cost: \"1\", ", "", "cost: \"2\", ", "spec", "prices of models"},
		{"more at once of one than of all", idleJSON, "", "  limits: {concurrent: 2000}\n", "  limits: {concurrent: 2000, total: 2000}\n", "spec.limits", "nobody reaches it"},
		{"a verdict about no digest", idleRoute, "{name: captioner, ", "{name: captioner, repository: registry.example/m, ", "{name: captioner, repository: registry.example/m, digest: sha256:" + strings.Repeat("a", 64) + ", ", "spec.models[0]", "a verdict is about a digest"},
		{"answers of what is denied", idleJSON, "", "  capture: {sample: 1%, sealTo: [" + sealKey + "], answers: true, only: Denied}\n", "  capture: {sample: 1%, sealTo: [" + sealKey + "], answers: true, only: Allowed}\n", "spec.capture", "no answer of the server"},
		{"captures for which there is no place", idleJSON, "", "  capture: {sample: 1%, sealTo: [" + sealKey + "], maxBytes: 2000000, keepBytes: 1048576}\n", "  capture: {sample: 1%, sealTo: [" + sealKey + "], maxBytes: 1048576, keepBytes: 1048576}\n", "spec.capture", "more than keepBytes"},
		{"an ARN of another account", idleAWS, "ACCOUNT", "arn:aws:iam::444455556666:user/w", "arn:aws:iam::111122223333:user/w", "spec.aws", "not of the account"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			with := func(lines string) string {
				if tt.old == "" {
					return tt.base + lines
				}
				if strings.Count(tt.base, tt.old) != 1 {
					t.Fatalf("%q is not once in the document", tt.old)
				}
				return strings.Replace(tt.base, tt.old, lines, 1)
			}
			works := valid(t, with(tt.works))
			if problems := Lint(works, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)); len(problems) > 0 {
				t.Errorf("the twin: %v", problems)
			}
			p := load(t, Bytes("f", []byte(with(tt.idle)))).Problems
			if len(p) != 1 || p[0].Severity != Error || p[0].Path != tt.path || !strings.Contains(p[0].Message, tt.says) {
				t.Errorf("%v", p)
			}
		})
	}
}
