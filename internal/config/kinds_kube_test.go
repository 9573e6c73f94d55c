package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/config/crd"
	"github.com/apexlogic/apex/internal/kube/kubetest"
)

func TestMain(m *testing.M) { kubetest.Main(m) }

// api is an API server that has our kinds.
type api struct {
	client *http.Client
	host   string
}

func newAPI(t *testing.T) *api {
	t.Helper()
	server := kubetest.Start(t)
	files, err := crd.Definitions.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := crd.Definitions.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		server.InstallCRDs(t, data)
	}
	c := server.Config()
	client, err := rest.HTTPClientFor(c)
	if err != nil {
		t.Fatal(err)
	}
	return &api{client, c.Host}
}

// do sends a request and returns the answer's JSON.
func (a *api) do(t *testing.T, method, path, accept string, body []byte) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, a.host+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatalf("%s %s: %s: %s", method, path, resp.Status, data)
	}
	return out
}

const served = "/apis/security.apexlogic.com/v1alpha1/"

func plural(kind string) string {
	if p, ok := strings.CutSuffix(strings.ToLower(kind), "y"); ok {
		return p + "ies"
	}
	return strings.ToLower(kind) + "s"
}

// create asks the server to take a document as kubectl does, without keeping it.
// It returns the answer's messages with their fields, none when it is taken.
func (a *api) create(t *testing.T, kind, document string) []string {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	answer := a.do(t, http.MethodPost, served+plural(kind)+"?dryRun=All&fieldValidation=Strict", "application/json", data)
	if answer["kind"] != "Status" {
		return nil
	}
	details, _ := answer["details"].(map[string]any)
	causes, _ := details["causes"].([]any)
	var all []string
	for _, c := range causes {
		c := c.(map[string]any)
		field, _ := c["field"].(string)
		all = append(all, fmt.Sprintf("%s: %s", field, c["message"]))
	}
	if len(all) == 0 {
		all = append(all, fmt.Sprint(answer["message"]))
	}
	return all
}

// good is a document per kind that the server and lint take.
func good() map[string]string {
	head := func(kind string) string {
		return "apiVersion: security.apexlogic.com/v1alpha1\nkind: " + kind + "\nmetadata:\n  name: x\nspec:\n"
	}
	a, commit := strings.Repeat("a", 64), strings.Repeat("c", 40)
	return map[string]string{
		"ImageSecurityPolicy": head("ImageSecurityPolicy") + `  imageSelector: {}
  platforms: [linux/amd64]
  rules:
    - name: RequireImageSignature
      parameters: {requireSignatureFrom: [ci], threshold: 1}
    - name: VulnerabilityScanThreshold
      parameters: {maxSeverity: High, vulnerabilityScanner: Trivy}
`,
		"ModelSecurityPolicy": head("ModelSecurityPolicy") + `  modelSelector: {}
  rules:
    - name: RequireModelSignature
      parameters: {requireSignatureFrom: [ci]}
    - name: DenyRemoteCode
      parameters: {scanFrom: [ci]}
`,
		"FunctionSecurityPolicy": head("FunctionSecurityPolicy") + `  functionSelector: {}
  rules:
    - name: LeastPrivilege
    - name: LimitTimeout
      parameters: {maxTimeout: 30s}
`,
		"TrustRoot": head("TrustRoot") + `  entries:
    - name: ci
      keyless:
        issuer: https://issuer.example
        subject: ada@apexlogic.com
    - name: approver
      uses: [Exceptions]
      owner: grace@apexlogic.com
      keyless:
        issuer: https://issuer.example
        subjectRegExp: ^grace@apexlogic\.com$
`,
		"PolicyException": head("PolicyException") + "  digest: sha256:" + a + `
  policy: images
  rule: RequireSBOM
  reason: the generator is broken this week
  author: ada@apexlogic.com
  expiresAt: 2026-12-01T00:00:00Z
`,
		"Revocation": head("Revocation") + "  digest: sha256:" + a + `
  reason: the machine was taken over
`,
		"BaseImageLock": head("BaseImageLock") + `  images:
    - image: python:3.13-slim
      digest: sha256:` + a + `
      resolvedAt: 2026-01-31T12:00:00Z
      platforms:
        - {platform: linux/amd64, digest: "sha256:` + a + `", diffIDs: ["sha256:` + a + `"]}
`,
		"GitSource": head("GitSource") + `  url: https://git.example/captioner
  path: deploy
  trust:
    firstCommit: ` + commit + `
    signers: [ada, grace]
    paths:
      - {pattern: "policies/**", signers: [ada, grace], threshold: 2}
  target:
    cluster: {serviceAccount: vision/apex-source, namespaces: [vision]}
  heal: {mode: Heal}
  prune: {maxObjects: 5, maxPercent: 10}
`,
		"ProtectedRoute": head("ProtectedRoute") + `  hosts: [captioner.example]
  api: OpenAI
  upstream:
    url: https://captioner.vision.svc:8443
    spiffeIDs: ["spiffe://vision.example/captioner"]
    timeout: 30s
  identities:
    - spiffe: {trustDomain: claims.example, audience: apex}
    - oidc: {issuer: "https://id.example", audience: apex}
  allow:
    - identities: ["spiffe://claims.example/*"]
      actions: [infer]
  models:
    - {name: captioner, digest: "sha256:` + a + `", price: {input: "0.15", output: "0.6"}}
  limits: {requests: 60, bytes: 1000000, cost: "2.50", answer: 512}
  media: {kinds: [Image], hosts: [media.example]}
  capture: {sample: 0.5%, sealTo: ["-----BEGIN APEX SEAL PUBLIC KEY-----"], expireAfter: 48h, only: Denied}
  waf:
    exclusions:
      - {rule: 942100, where: "ARGS:query", until: 2026-12-01T00:00:00Z, reason: "a catalogue of SQL questions"}
`,
		"AccessPolicy": head("AccessPolicy") + `  cedar: permit (principal, action == Action::"infer", resource);
  claims:
    - {name: team, type: String}
  tests:
    - {name: a colleague, principal: "spiffe://claims.example/intake", action: infer, model: captioner, expect: Allow}
`,
		"WorkloadIdentity": head("WorkloadIdentity") + `  spiffeID: spiffe://claims.example/intake
  oidc:
    issuer: https://token.actions.example
    claims: {repository: claims/intake}
`,
	}
}

func TestTheServerTakesWhatLintTakes(t *testing.T) {
	a := newAPI(t)
	documents := good()
	for _, kind := range Kinds() {
		t.Run(kind, func(t *testing.T) {
			if documents[kind] == "" {
				t.Fatal("the kind has no document here")
			}
			if s := load(t, Bytes("f", []byte(documents[kind]))); s.Err() != nil {
				t.Error(s.Err())
			}
			if refused := a.create(t, kind, documents[kind]); refused != nil {
				t.Errorf("the server refuses it: %q", refused)
			}
		})
	}
}

// wording is how API servers say what lint says: $1 and $2 are parts of lint's
// sentence. The words for what a schema's own keywords hold are theirs, and only
// those for CEL rules are ours; docs/install.md lists them.
type wording struct {
	lint   *regexp.Regexp
	server string
}

func wordings() []wording {
	w := func(lint, server string) wording { return wording{regexp.MustCompile(lint), server} }
	return []wording{
		w(`^unknown field;`, `unknown field`),
		w(`^is missing;`, `Required value`),
		w(`^("[^"]*") is not one of ([^,]+)`, `Unsupported value: $1: supported values: "$2"`),
		w(` does not match (.*)$`, `in body should match '$1'`),
		w(`^is empty text;`, `should be at least 1 chars long`),
		w(`^has \d+ characters; at least (\d+)`, `should be at least $1 chars long`),
		w(`^has \d+ characters; at most (\d+)`, `Too long: may not be more than $1 `),
		w(`^has \d+ entries; at least (\d+)`, `should have at least $1 items`),
		w(`^has \d+ entries; at most (\d+)`, `must have at most $1 items`),
		w(`^is \S+; at least (\d+) is needed`, `should be greater than or equal to $1`),
		w(`^is \S+; at most (\d+) is allowed`, `should be less than or equal to $1`),
		w(`; a list is expected`, `must be of type array`),
		w(`; a mapping is expected`, `must be of type object`),
		w(`; text is expected`, `must be of type string`),
		w(`; an integer is expected`, `must be of type integer`),
		w(`; true or false is expected`, `must be of type boolean`),
		w(`^("[^"]*") is there twice`, `Duplicate value`),
		w(`^("[^"]*") is not a time`, `must be of type date-time: $1`),
		w(`is cluster-scoped and has no namespace`, `namespace`),
	}
}

// expected is what the server has to say of a problem that lint reports: the
// same sentence, or its own words for the keyword.
func expected(p *Problem) (text string, same bool) {
	for _, w := range wordings() {
		if m := w.lint.FindStringSubmatchIndex(p.Message); m != nil {
			return string(w.lint.ExpandString(nil, w.server, p.Message, m)), false
		}
	}
	return p.Message, true
}

func TestTheServerRefusesWithTheWordsOfLint(t *testing.T) {
	a := newAPI(t)
	documents := good()
	sameSentence := 0
	cases := badDocuments()
	for _, tt := range cases {
		t.Run(tt.kind+" with "+tt.name, func(t *testing.T) {
			if strings.Count(documents[tt.kind], tt.old) < 1 {
				t.Fatalf("%q is not in the document", tt.old)
			}
			bad := strings.Replace(documents[tt.kind], tt.old, tt.new, 1)
			problems := load(t, Bytes("f", []byte(bad))).Problems
			if len(problems) == 0 {
				t.Fatal("lint takes it")
			}
			refused := a.create(t, tt.kind, bad)
			if refused == nil {
				t.Fatalf("the server takes it; lint says: %s", problems[0])
			}
			want, same := expected(&problems[0])
			if same {
				sameSentence++
				// A rule's sentence is the server's message to the letter, behind the
				// field, the words Invalid value, and the value where it is short.
				letter := regexp.MustCompile(`^` + regexp.QuoteMeta(problems[0].Path) + `: Invalid value: ("[^"]*": )?` + regexp.QuoteMeta(want) + `$`)
				if !slices.ContainsFunc(refused, letter.MatchString) {
					t.Errorf("lint   %s\nserver %q\nwant   %s", problems[0], refused, letter)
				}
				return
			}
			parent := problems[0].Path[:strings.LastIndexAny(problems[0].Path, ".[")]
			if !slices.ContainsFunc(refused, func(r string) bool {
				return strings.Contains(r, want) && (strings.Contains(r, problems[0].Path) || strings.Contains(r, parent))
			}) {
				t.Errorf("lint   %s\nserver %q\nwant   %s in it", problems[0], refused, want)
			}
		})
	}
	if len(cases) < 40 || sameSentence < 15 {
		t.Errorf("%d documents, of which %d break a rule of ours: too few to prove anything", len(cases), sameSentence)
	}
}

// TestWhatTheServerAloneTakes names what a schema cannot say to an API server:
// admission refuses it, with lint's words.
func TestWhatTheServerAloneTakes(t *testing.T) {
	a := newAPI(t)
	for _, tt := range []badDocument{
		{"ImageSecurityPolicy", "a threshold that nobody reaches", "threshold: 1", "threshold: 2"},
		{"TrustRoot", "an identity that is no pattern", `^grace@apexlogic\.com$`, "^(grace$"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := strings.Replace(good()[tt.kind], tt.old, tt.new, 1)
			if load(t, Bytes("f", []byte(bad))).Err() == nil {
				t.Error("lint takes it")
			}
			if refused := a.create(t, tt.kind, bad); refused != nil {
				t.Errorf("the server refuses it by now: move it to the table: %q", refused)
			}
		})
	}
}

type badDocument struct{ kind, name, old, new string }

func badDocuments() []badDocument {
	const (
		isp, msp, fsp = "ImageSecurityPolicy", "ModelSecurityPolicy", "FunctionSecurityPolicy"
		root, pex     = "TrustRoot", "PolicyException"
		rev, lock     = "Revocation", "BaseImageLock"
		git           = "GitSource"
		route, rights = "ProtectedRoute", "AccessPolicy"
		wid           = "WorkloadIdentity"
	)
	signed := "{requireSignatureFrom: [ci], threshold: 1}"
	cluster := "cluster: {serviceAccount: vision/apex-source, namespaces: [vision]}"
	return []badDocument{
		{isp, "a misspelled field", "platforms:", "platform:"},
		{isp, "no selector", "  imageSelector: {}\n", ""},
		{isp, "an action that nobody knows", "  imageSelector: {}\n", "  imageSelector: {}\n  onViolation: [{action: Delete}]\n"},
		{isp, "an action after days", "  imageSelector: {}\n", "  imageSelector: {}\n  onViolation: [{action: Isolate, after: 2d}]\n"},
		{isp, "a report that waits", "  imageSelector: {}\n", "  imageSelector: {}\n  onViolation: [{action: Report, approval: Required}]\n"},
		{isp, "a code that is none", "  imageSelector: {}\n", "  imageSelector: {}\n  onViolation: [{action: Isolate, codes: [Image Signature]}]\n"},
		{git, "an interval in days", "  heal: {mode: Heal}\n", "  interval: 2d\n"},
		{git, "a soak of nothing", "  heal: {mode: Heal}\n", "  heal: {mode: Heal, sweep: 0s}\n"},
		{isp, "a platform that is none", "linux/amd64", "linux"},
		{isp, "a platform twice", "[linux/amd64]", "[linux/amd64, linux/amd64]"},
		{isp, "a rule that nobody knows", "name: RequireImageSignature", "name: BlockEverything"},
		{isp, "a rule twice", "name: VulnerabilityScanThreshold\n      parameters: {maxSeverity: High, vulnerabilityScanner: Trivy}", "name: RequireImageSignature\n      parameters: {requireSignatureFrom: [ci]}"},
		{isp, "a threshold of zero", "threshold: 1", "threshold: 0"},
		{isp, "a threshold that is too large", "threshold: 1", "threshold: 65"},
		{isp, "a threshold as text", "threshold: 1", `threshold: "1"`},
		{isp, "signers that are no list", "requireSignatureFrom: [ci]", "requireSignatureFrom: ci"},
		{isp, "no signers", "requireSignatureFrom: [ci]", "requireSignatureFrom: []"},
		{isp, "a signer without name", "[ci], threshold", `[""], threshold`},
		{isp, "a severity that nobody knows", "maxSeverity: High", "maxSeverity: Terrible"},
		{isp, "an age that is none", "maxSeverity: High", "maxReportAge: soon, maxSeverity: High"},
		{isp, "a rule without its parameter", signed, "{}"},
		{isp, "a parameter of another rule", signed, "{requireSignatureFrom: [ci], sbomFrom: [ci]}"},
		{isp, "two severities", "maxSeverity: High", "maxSeverity: High, blockAtOrAbove: High"},
		{isp, "no severity", "maxSeverity: High, ", ""},
		{msp, "no rules", "rules:\n    - name: RequireModelSignature\n      parameters: {requireSignatureFrom: [ci]}\n    - name: DenyRemoteCode\n      parameters: {scanFrom: [ci]}", "rules: []"},
		{msp, "a rule without its parameter", "{requireSignatureFrom: [ci]}", "{}"},
		{msp, "a scan of nobody", "{scanFrom: [ci]}", "{}"},
		{msp, "an enforcement that nobody knows", "  modelSelector", "  enforcement: Enforced\n  modelSelector"},
		{fsp, "a timeout without bound", "{maxTimeout: 30s}", "{}"},
		{fsp, "a parameter of another rule", "- name: LeastPrivilege", "- name: LeastPrivilege\n      parameters: {behindGateway: Block}"},
		{fsp, "a timeout that is none", "30s", "soon"},
		{root, "an entry with two credentials", "      keyless:\n        issuer: https://issuer.example\n        subject: a", "      kms: {uri: x, pem: z}\n      keyless:\n        issuer: https://issuer.example\n        subject: a"},
		{root, "an entry twice", "name: approver", "name: ci"},
		{root, "an approver without owner", "      owner: grace@apexlogic.com\n", ""},
		{root, "an identity without issuer", "        issuer: https://issuer.example\n", "        ignoreLog: true\n"},
		{root, "an identity without subject", "        subject: ada@apexlogic.com\n", ""},
		{root, "two subjects", "subject: ada@apexlogic.com", "subject: ada@apexlogic.com\n        subjectRegExp: ^ada$"},
		{root, "a pattern without anchors", `^grace@apexlogic\.com$`, "grace"},
		{root, "a use that nobody knows", "[Exceptions]", "[Exception]"},
		{root, "a name with a space", "name: ci", "name: the ci"},
		{pex, "a tag", "digest: sha256:" + strings.Repeat("a", 64), "digest: v1.2"},
		{pex, "a reason that says nothing", "the generator is broken this week", "because"},
		{pex, "no end", "  expiresAt: 2026-12-01T00:00:00Z\n", ""},
		{pex, "an end that is no time", "2026-12-01T00:00:00Z", `"next week"`},
		{rev, "nothing to stop", "  digest: sha256:" + strings.Repeat("a", 64) + "\n", ""},
		{rev, "two things to stop", "  reason", "  keyID: sha256:" + strings.Repeat("b", 64) + "\n  reason"},
		{rev, "no reason", "  reason: the machine was taken over\n", ""},
		{lock, "an image without name", "image: python:3.13-slim", `image: ""`},
		{lock, "a time that is none", "resolvedAt: 2026-01-31T12:00:00Z\n", "resolvedAt: yesterday\n"},
		{lock, "a digest in upper case", "digest: sha256:" + strings.Repeat("a", 64), "digest: sha256:" + strings.Repeat("A", 64)},
		{git, "a URL without TLS", "https://git.example", "http://git.example"},
		{git, "a path out of the repository", "path: deploy", "path: ../deploy"},
		{git, "an absolute path", "path: deploy", "path: /deploy"},
		{git, "a short commit", "firstCommit: " + strings.Repeat("c", 40), "firstCommit: abc"},
		{git, "no signers", "signers: [ada, grace]\n    paths", "signers: []\n    paths"},
		{git, "a threshold that nobody reaches", "threshold: 2", "threshold: 3"},
		{git, "two targets", cluster, cluster + "\n    embedded: {}"},
		{git, "no target", "target:\n    " + cluster, "target: {}"},
		{git, "a mode that nobody knows", "mode: Heal", "mode: Fix"},
		{git, "a bound above all", "maxPercent: 10", "maxPercent: 101"},
		{git, "two first stages", "  heal:", "  stages: [{name: dev}, {name: prod}]\n  heal:"},
		{git, "a stage after none", "  heal:", "  stages: [{name: dev}, {name: prod, after: staging}]\n  heal:"},
		{git, "a gate before the first stage", "  heal:", "  stages: [{name: dev, gate: {}}]\n  heal:"},
		{git, "a canary that never ends", "  heal:", "  canary: {steps: [5, 50]}\n  heal:"},
		{wid, "an identity of the trust domain itself", "example/intake", "example"},
		{wid, "an identity of another scheme", "spiffe://", "https://"},
		{wid, "the gateway's identity", "example/intake", "example/apex/gateway"},
		{wid, "an identity below the gateway's", "example/intake", "example/apex"},
		{wid, "no evidence", "  oidc:\n    issuer: https://token.actions.example\n    claims: {repository: claims/intake}\n", ""},
		{wid, "two kinds of evidence", "  oidc:", "  joinToken: {name: laptop}\n  oidc:"},
		{wid, "everybody whom an issuer knows", "    claims: {repository: claims/intake}\n", ""},
		{wid, "an issuer without TLS", "https://token", "http://token"},
		{wid, "everybody of a namespace", "  oidc:\n    issuer: https://token.actions.example\n    claims: {repository: claims/intake}\n", "  kubernetes: {namespace: claims}\n"},
		{wid, "everybody of an account", "  oidc:\n    issuer: https://token.actions.example\n    claims: {repository: claims/intake}\n", "  aws: {account: \"123456789012\"}\n"},
		{wid, "a role of any account", "  oidc:\n    issuer: https://token.actions.example\n    claims: {repository: claims/intake}\n", "  aws: {role: intake}\n"},
		{wid, "every process", "  oidc:\n    issuer: https://token.actions.example\n    claims: {repository: claims/intake}\n", "  unix: {}\n"},
		{route, "a capture that is sealed for nobody", `sealTo: ["-----BEGIN APEX SEAL PUBLIC KEY-----"]`, "sealTo: []"},
		{route, "a capture that is sealed by a private key", "APEX SEAL PUBLIC KEY", "APEX SEAL PRIVATE KEY"},
		{route, "a capture of nothing", "sample: 0.5%", "sample: 0.0%"},
		{route, "a capture of more than there is", "sample: 0.5%", "sample: 101%"},
		{route, "a capture that stays for a year", "expireAfter: 48h", "expireAfter: 8760h"},
		{route, "a capture that is gone at once", "expireAfter: 48h", "expireAfter: 59s"},
		{route, "networks without hosts", "hosts: [media.example]", "networks: [10.0.0.0/8]"},
		{route, "addresses without hosts", "hosts: [media.example]", "addresses: Inline"},
		{route, "what to do with addresses that nobody knows", "hosts: [media.example]", "hosts: [media.example], addresses: Follow"},
		{route, "metadata taken out of what passes unseen", "hosts: [media.example]", "hosts: [media.example], addresses: Pass, stripMetadata: true"},
		{route, "types of what passes unseen", "hosts: [media.example]", "hosts: [media.example], addresses: Pass, types: [image/png]"},
		{route, "no frames", "hosts: [media.example]", "frames: 0"},
		{route, "no host", "[captioner.example]", "[]"},
		{route, "a host with a port", "captioner.example", `"captioner.example:443"`},
		{route, "a path that goes up", "  api: OpenAI", "  path: /../x\n  api: OpenAI"},
		{route, "an API that nobody knows", "api: OpenAI", "api: SOAP"},
		{route, "plain JSON without its places", "api: OpenAI", "api: JSON"},
		{route, "places of an API that has its own", "api: OpenAI", "api: OpenAI\n  json: {texts: [/prompt]}"},
		{route, "plain text that nobody asked for", "https://captioner.vision.svc:8443", "http://captioner.vision.svc:8080"},
		{route, "a server that shows no identity", "    spiffeIDs: [\"spiffe://vision.example/captioner\"]\n", ""},
		{route, "an identity that is not asked for", "    timeout: 30s", "    tls: Server\n    timeout: 30s"},
		{route, "a path behind the server's name", "https://captioner.vision.svc:8443", "https://captioner.vision.svc:8443/v1"},
		{route, "a timeout in words", "timeout: 30s", "timeout: soon"},
		{route, "nobody who may come", "  identities:\n    - spiffe: {trustDomain: claims.example, audience: apex}\n    - oidc: {issuer: \"https://id.example\", audience: apex}\n", ""},
		{route, "a source of two kinds", "    - oidc:", "      oidc:"},
		{route, "an issuer without TLS", "https://id.example", "http://id.example"},
		{route, "everybody and somebody", "[\"spiffe://claims.example/*\"]", "[\"*\", \"spiffe://claims.example/*\"]"},
		{route, "an action that nobody knows", "actions: [infer]", "actions: [think]"},
		{route, "a model that is a tag", "digest: \"sha256:" + strings.Repeat("a", 64) + "\"", "digest: latest"},
		{route, "no requests at all", "requests: 60", "requests: 0"},
		{route, "a cost without the models' prices", `, price: {input: "0.15", output: "0.6"}`, ""},
		{route, "a cost of answers without end", ", answer: 512", ""},
		{route, "a cost that is no decimal number", `cost: "2.50"`, `cost: 2.5e1`},
		{route, "a price below nothing", `input: "0.15"`, `input: "-0.15"`},
		{route, "a kind of content that nobody knows", "kinds: [Image]", "kinds: [Smell]"},
		{route, "an exclusion for ever", "until: 2026-12-01T00:00:00Z, ", ""},
		{route, "an exclusion without a reason", `, reason: "a catalogue of SQL questions"`, ""},
		{route, "a rule that is none of the Core Rule Set", "rule: 942100", "rule: 1"},
		{rights, "no policy", "permit (principal, action == Action::\"infer\", resource);", `""`},
		{rights, "a claim that is no name", "name: team", "name: the team"},
		{rights, "a claim of no type", "type: String", "type: Text"},
		{rights, "a test that expects nothing", ", expect: Allow", ""},
		{rights, "an enforcement that nobody knows", "  claims:", "  enforcement: Warn\n  claims:"},
	}
}

func TestKubectlGetSaysWhatMatters(t *testing.T) {
	a := newAPI(t)
	documents := good()
	for kind, want := range map[string][]string{
		"ImageSecurityPolicy":    {"Name", "Enforcement", "Ready", "Summary", "Age", "Why"},
		"ModelSecurityPolicy":    {"Name", "Enforcement", "Ready", "Summary", "Age", "Why"},
		"FunctionSecurityPolicy": {"Name", "Enforcement", "Ready", "Summary", "Age", "Why"},
		"TrustRoot":              {"Name", "Ready", "Summary", "Age", "Why"},
		"PolicyException":        {"Name", "Policy", "Rule", "Expires", "BreakGlass", "Ready", "Digest", "Why"},
		"Revocation":             {"Name", "Digest", "Key", "Identity", "Reason", "Ready", "Age", "Why"},
		"BaseImageLock":          {"Name", "First", "Ready", "Summary", "Age", "Why"},
		"GitSource":              {"Name", "Ready", "Compliant", "Commit", "Objects", "Drift", "Age", "Why"},
		"ProtectedRoute":         {"Name", "Hosts", "API", "Upstream", "Ready", "Age", "Why"},
		"AccessPolicy":           {"Name", "Enforcement", "Ready", "Age", "Why"},
	} {
		t.Run(kind, func(t *testing.T) {
			data, err := yaml.YAMLToJSON([]byte(documents[kind]))
			if err != nil {
				t.Fatal(err)
			}
			path := served + plural(kind)
			if made := a.do(t, http.MethodPost, path, "application/json", data); made["kind"] != kind {
				t.Fatalf("%v", made["message"])
			}
			defer a.do(t, http.MethodDelete, path+"/x", "application/json", nil)
			status := map[string]any{"conditions": []any{map[string]any{
				"type": "Ready", "status": "False", "reason": "Tested", "message": "it is tried out", "lastTransitionTime": "2026-01-31T12:00:00Z",
			}}}
			patch, err := json.Marshal([]any{map[string]any{"op": "add", "path": "/status", "value": status}})
			if err != nil {
				t.Fatal(err)
			}
			if said := a.patchStatus(t, path+"/x/status", patch); said["kind"] != kind {
				t.Fatalf("the status takes no condition: %v", said["message"])
			}
			table := a.do(t, http.MethodGet, path, "application/json;as=Table;v=v1;g=meta.k8s.io", nil)
			var columns []string
			for _, c := range table["columnDefinitions"].([]any) {
				columns = append(columns, c.(map[string]any)["name"].(string))
			}
			if !slices.Equal(columns, want) {
				t.Errorf("columns %q, want %q", columns, want)
			}
			row := table["rows"].([]any)[0].(map[string]any)["cells"].([]any)
			for name, value := range map[string]string{"Ready": "False", "Why": "it is tried out", "Name": "x"} {
				if i := slices.Index(columns, name); i < 0 || row[i] != value {
					t.Errorf("column %s of %v, want %s", name, row, value)
				}
			}
		})
	}
}

func (a *api) patchStatus(t *testing.T, path string, patch []byte) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, a.host+path, bytes.NewReader(patch))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json-patch+json")
	resp, err := a.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(io.LimitReader(resp.Body, 8<<20)).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryKindIsFoundByCategoryAndShortName(t *testing.T) {
	a := newAPI(t)
	resources := a.do(t, http.MethodGet, strings.TrimSuffix(served, "/"), "application/json", nil)["resources"].([]any)
	seen := map[string]bool{}
	for _, r := range resources {
		r := r.(map[string]any)
		name := r["name"].(string)
		if strings.Contains(name, "/") {
			continue
		}
		seen[r["kind"].(string)] = true
		if short, _ := r["shortNames"].([]any); len(short) != 1 {
			t.Errorf("%s has the short names %v", name, short)
		}
		if categories, _ := r["categories"].([]any); len(categories) != 1 || categories[0] != "apex" {
			t.Errorf("%s is in %v: kubectl get apex does not list it", name, categories)
		}
		if !slices.ContainsFunc(resources, func(s any) bool { return s.(map[string]any)["name"] == name+"/status" }) {
			t.Errorf("%s has no status", name)
		}
	}
	for _, kind := range Kinds() {
		if !seen[kind] {
			t.Errorf("the server does not have %s", kind)
		}
	}
}
