package policytest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/policy"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

func digit(c string) string { return "sha256:" + strings.Repeat(c, 64) }

// workspace writes the policies that the cases of the tests are held against.
type workspace struct {
	t        *testing.T
	dir      string
	approver trusttest.Key
}

func newWorkspace(t *testing.T) *workspace {
	w := &workspace{t: t, dir: t.TempDir(), approver: trusttest.NewKey(t)}
	indent := func(k trusttest.Key) string {
		return "          " + strings.ReplaceAll(strings.TrimSpace(string(k.PEM)), "\n", "\n          ")
	}
	w.write("policies/trust.yaml", fmt.Sprintf(`apiVersion: security.apexlogic.com/v1alpha1
kind: TrustRoot
metadata: {name: roots}
spec:
  entries:
    - name: release
      key:
        pem: |
%s
    - name: build
      key:
        pem: |
%s
    - name: approver
      owner: carol
      uses: [Exceptions]
      key:
        pem: |
%s
    - name: Trivy
      scanner: {signedBy: [build]}
`, indent(trusttest.NewKey(t)), indent(trusttest.NewKey(t)), indent(w.approver)))
	w.write("policies/policy.yaml", `apiVersion: security.apexlogic.com/v1alpha1
kind: ImageSecurityPolicy
metadata: {name: all-rules}
spec:
  imageSelector: {matchLabels: {app: captioner}}
  platforms: [linux/amd64]
  rules:
    - name: RequireImageSignature
      parameters: {requireSignatureFrom: [release], requireLog: true, signatureAnnotations: {stage: prod}}
    - name: VulnerabilityScanThreshold
      parameters: {maxSeverity: High, vulnerabilityScanner: Trivy}
    - name: AllowOnlyApprovedBaseImages
      parameters: {allowedBaseImages: ["python:3.x-slim"], baseProvenanceFrom: [build]}
    - name: RequireProvenance
      parameters: {provenanceFrom: [build], builders: ["https://ci.example/b@*"], sourceRepositories: ["https://git.example/v/c"], maxBuildAge: 72h}
    - name: RequireAttestation
      parameters:
        attestations:
          - {predicateType: "https://example.com/review", from: [release], condition: "predicate.score >= 7"}
    - name: RequireSBOM
      parameters: {sbomFrom: [build]}
    - name: Expression
      parameters:
        expressions:
          - {name: not-root, expression: 'image.user != "root"'}
---
apiVersion: security.apexlogic.com/v1alpha1
kind: BaseImageLock
metadata: {name: bases}
spec:
  images:
    - image: python:3.13-slim
      digest: `+digit("a")+`
      resolvedAt: 2026-11-01T00:00:00Z
      platforms:
        - {platform: linux/amd64, digest: `+digit("a")+`, diffIDs: [`+digit("b")+`]}
`)
	return w
}

func (w *workspace) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// good is the given of an image that passes every rule.
const good = `
  image: registry.example/vision/captioner
  labels: {app: captioner}
  namespace: vision
  config: {base: "python:3.13-slim", user: "65532", created: 2026-11-18T00:00:00Z}
  signatures:
    - {by: [release], logged: true, annotations: {stage: prod}, signedAt: 2026-11-18T00:00:00Z}
  reports:
    - {by: [build], scanner: Trivy, finished: 2026-11-20T11:00:00Z, findings: [{id: CVE-1, severity: Low}]}
  provenance:
    - {by: [build], builder: "https://ci.example/b@v1", source: "git+https://git.example/v/c.git", finished: 2026-11-19T00:00:00Z}
  attestations:
    - {by: [release], predicateType: "https://example.com/review", predicate: {score: 8}}
    - {by: [build], predicateType: "https://cyclonedx.org/bom", predicate: {bomFormat: CycloneDX, components: [{name: zlib}]}}
`

// run holds one case to its wish and returns what came of it.
func (w *workspace) run(given, want string) CaseResult {
	w.t.Helper()
	text := "schema: apex.policytest/v1\npolicies: [policies]\nnow: 2026-11-20T12:00:00Z\ngiven:" + good + "cases:\n  - name: the case\n"
	if given != "" {
		text += "    given: " + given + "\n"
	}
	text += "    want: " + want + "\n"
	w.write("cases_test.yaml", text)
	r, err := Run(w.t.Context(), []string{filepath.Join(w.dir, "cases_test.yaml")})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(r.Problems) > 0 {
		w.t.Fatalf("%v\n%s", r.Problems, text)
	}
	return r.Cases[0]
}

func TestEveryKindOfFactCanBeGiven(t *testing.T) {
	w := newWorkspace(t)
	w.write("report.json", `{"SchemaVersion":2,"CreatedAt":"2026-11-20T10:00:00Z","ArtifactType":"container_image",
		"Trivy":{"Version":"0.72.0"},"Metadata":{"RepoDigests":["registry.example/vision/captioner@`+digit("9")+`"]},"Results":[{"Target":"x","Class":"os-pkgs","Vulnerabilities":[]}]}`)
	w.write("sbom.json", `{"bomFormat":"CycloneDX","components":[{"name":"zlib"}]}`)
	if r := w.run("", "{decision: allow, code: ok}"); !r.OK {
		t.Fatalf("the good twin: %v", r.Wrong)
	}
	for _, tt := range []struct{ name, given, want string }{
		{"nobody signed", `{signatures: []}`, `RequireImageSignature: image.signature.missing`},
		{"a stranger signed", `{signatures: [{logged: true}]}`, `RequireImageSignature: image.signature.untrusted`},
		{"a signature with a reason", `{signatures: [{by: [release], code: image.signature.invalid}]}`, `RequireImageSignature: image.signature.invalid`},
		{"no log entry", `{signatures: [{by: [release], annotations: {stage: prod}}]}`, `RequireImageSignature: image.signature.log.missing`},
		{"no annotation", `{signatures: [{by: [release], logged: true}]}`, `RequireImageSignature: image.signature.annotations`},
		{"an unbound signature", `{signatures: [{by: [release], logged: true, repository: none}]}`, `RequireImageSignature: image.signature.repository`},
		{"a signature about something else", `{signatures: [{by: [release], digest: "` + digit("7") + `"}]}`, `RequireImageSignature: image.signature.subject`},
		{"no report", `{reports: []}`, `VulnerabilityScanThreshold: image.vulnerability.report.missing`},
		{"an unsigned report", `{reports: [{by: [], scanner: Trivy, finished: 2026-11-20T11:00:00Z}]}`, `VulnerabilityScanThreshold: image.vulnerability.report.unsigned`},
		{"a failed scan", `{reports: [{by: [build], scanner: Trivy, finished: 2026-11-20T11:00:00Z, code: image.vulnerability.report.failed}]}`, `VulnerabilityScanThreshold: image.vulnerability.report.failed`},
		{"a report in a file that names another digest", `{reports: [{file: report.json}]}`, `VulnerabilityScanThreshold: image.vulnerability.report.subject`},
		{"a stranger's base", `{config: {user: "65532"}}`, `AllowOnlyApprovedBaseImages: image.base.unapproved`},
		{"layers by digest", `{config: {layers: ["` + digit("c") + `", "` + digit("b") + `"]}}`, `AllowOnlyApprovedBaseImages: image.base.unapproved`},
		{"another source", `{provenance: [{by: [build], builder: "https://ci.example/b@v1", source: "https://git.example/x/y"}]}`, `RequireProvenance: image.provenance.source`},
		{"a low score", `{attestations: [{by: [release], predicateType: "https://example.com/review", predicate: {score: 6.5}}]}`, `RequireAttestation: image.attestation.predicate`},
		{"no SBOM", `{attestations: [{by: [release], predicateType: "https://example.com/review", predicate: {score: 8}}]}`, `RequireSBOM: image.sbom.missing`},
		{"root", `{config: {base: "python:3.13-slim", user: root}}`, `Expression: policy.expression.false`},
		{"a registry that is down", `{unknown: {provenance: registry.unreachable}}`, `RequireProvenance: registry.unreachable`},
		{"an image that cannot be fetched", `{unknown: {image: registry.not-found}}`, `Expression: registry.not-found`},
		{"another platform", `{platform: linux/arm64, config: {layers: ["` + digit("b") + `"]}}`, `Platforms: image.platform.missing`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r := w.run(tt.given, "{decision: deny, codes: {"+tt.want+"}}"); !r.OK {
				t.Errorf("%v", r.Wrong)
			}
		})
	}
	if r := w.run("{labels: {app: other}}", "{decision: deny, code: policy.unselected}"); !r.OK {
		t.Errorf("another workload: %v", r.Wrong)
	}
	for _, tt := range []struct{ name, given string }{
		{"a report that is handed in", `{reports: [{scanner: Trivy, finished: 2026-11-20T11:00:00Z}]}`},
		{"a report in a file", `{image: "registry.example/vision/captioner@` + digit("9") + `", reports: [{file: report.json}]}`},
		{"a signed base by provenance", `{config: {user: "1"}, provenance: [{by: [build], builder: "https://ci.example/b@v1", source: "https://git.example/v/c", finished: 2026-11-19T00:00:00Z, base: "python:3.12-slim"}]}`},
		{"layers above a base", `{config: {base: "docker.io/library/python:3.13-slim", user: "1", layers: ["` + digit("c") + `"]}}`},
		{"layers by digest", `{config: {user: "1", layers: ["` + digit("b") + `", "` + digit("c") + `"]}}`},
		{"a predicate in a file", `{attestations: [{by: [release], predicateType: "https://example.com/review", predicate: {score: 8}}, {by: [build], predicateType: "https://cyclonedx.org/bom", predicateFile: sbom.json}]}`},
		{"evidence about the index", `{index: "` + digit("e") + `", signatures: [{by: [release], logged: true, annotations: {stage: prod}, digest: "` + digit("e") + `"}]}`},
		{"a report and provenance inside attestations", `{reports: [], provenance: [], attestations: [
          {by: [release], predicateType: "https://example.com/review", predicate: {score: 8}},
          {by: [build], predicateType: "https://cyclonedx.org/bom", predicate: {bomFormat: CycloneDX, components: [{name: zlib}]}},
          {by: [build], predicateType: "https://cosign.sigstore.dev/attestation/vuln/v1", predicate: {scanner: {uri: "pkg:github/aquasecurity/trivy@0.72.0", result: {
             SchemaVersion: 2, Trivy: {Version: "0.72.0"}, ArtifactType: container_image, Metadata: {}, Results: [{Target: x, Class: os-pkgs, Vulnerabilities: []}]}},
             metadata: {scanStartedOn: "2026-11-20T10:59:00Z", scanFinishedOn: "2026-11-20T11:00:00Z"}}},
          {by: [build], predicateType: "https://slsa.dev/provenance/v0.2", predicate: {builder: {id: "https://ci.example/b@v1"}, buildType: x,
             invocation: {configSource: {uri: "git+https://git.example/v/c"}}, metadata: {buildFinishedOn: "2026-11-19T00:00:00Z"}}}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r := w.run(tt.given, "{decision: allow, code: ok}"); !r.OK {
				t.Errorf("%v", r.Wrong)
			}
		})
	}
}

func TestAWishThatIsNotFulfilledSaysHow(t *testing.T) {
	w := newWorkspace(t)
	for _, tt := range []struct{ name, given, want, says string }{
		{"the decision", "", "{decision: deny}", "the decision is allow, want deny"},
		{"the code", "{signatures: []}", "{decision: deny, code: image.base.forged}", "the code is image.signature.missing, want image.base.forged"},
		{"a rule's code", "", "{decision: allow, codes: {RequireSBOM: image.sbom.missing}}", "RequireSBOM is ok, want image.sbom.missing"},
		{"a rule that is not there", "", "{decision: allow, codes: {RequireLuck: ok}}", "RequireLuck was not checked; checked were all-rules/RequireImageSignature"},
		{"nothing was checked", "{labels: {}}", "{decision: deny, codes: {RequireSBOM: ok}}", "no policy made a check"},
		{"an entry that nobody defines", "{signatures: [{by: [releaes]}]}", "{decision: deny}", `no TrustRoot entry is called "releaes"`},
		{"an entry for exceptions", "{signatures: [{by: [approver]}]}", "{decision: deny}", "not believed for images"},
		{"a scanner that signs", "{reports: [{by: [Trivy], scanner: Trivy, finished: 2026-11-20T11:00:00Z}]}", "{decision: deny}", "signs nothing"},
		{"a base that is not locked", `{config: {base: "python:3.11"}}`, "{decision: deny}", "no BaseImageLock"},
		{"a report without its time", "{reports: [{scanner: Trivy}]}", "{decision: deny}", "scanner and finished are needed"},
		{"a report of two kinds", "{reports: [{file: r.json, scanner: Trivy}]}", "{decision: deny}", "nothing else"},
		{"a file that is not there", "{reports: [{file: r.json}]}", "{decision: deny}", "r.json"},
		{"a fact that nobody knows", "{unknown: {luck: registry.unreachable}}", "{decision: deny}", "no fact has this name"},
		{"no reason for not knowing", "{unknown: {image: ok}}", "{decision: deny}", "no reason"},
		{"an image that is none", `{image: "UPPER/case"}`, "{decision: deny}", "image:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := w.run(tt.given, tt.want)
			if r.OK || !strings.Contains(strings.Join(r.Wrong, "\n"), tt.says) {
				t.Errorf("ok %v: %q, want …%s…", r.OK, r.Wrong, tt.says)
			}
		})
	}
}

func TestARuleOfTwoPoliciesIsNamedWithItsPolicy(t *testing.T) {
	w := newWorkspace(t)
	w.write("policies/second.yaml", `apiVersion: security.apexlogic.com/v1alpha1
kind: ImageSecurityPolicy
metadata: {name: second}
spec:
  imageSelector: {}
  rules:
    - name: RequireSBOM
      action: Warn
      parameters: {sbomFrom: [release]}
`)
	if r := w.run("", "{decision: warn, codes: {RequireSBOM: ok}}"); r.OK || !strings.Contains(r.Wrong[0], "several policies") {
		t.Errorf("%v", r.Wrong)
	}
	if r := w.run("", "{decision: warn, codes: {all-rules/RequireSBOM: ok, second/RequireSBOM: image.attestation.untrusted}}"); !r.OK {
		t.Errorf("%v", r.Wrong)
	}
}

// TestSignedExceptionsAndRevocationsAreInForce signs real documents.
func TestSignedExceptionsAndRevocationsAreInForce(t *testing.T) {
	w := newWorkspace(t)
	exception := func(expires time.Time, signer trusttest.Key) {
		spec := v1alpha1.PolicyExceptionSpec{
			Digest: digit("9"), Policy: "all-rules", Rule: "RequireSBOM", Reason: "the generator is broken",
			Author: "vera", ExpiresAt: metav1.NewTime(expires),
		}
		data, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		envelope, err := trust.SignDocument(signer, policy.DocumentException, data)
		if err != nil {
			t.Fatal(err)
		}
		spec.Signature = &v1alpha1.DocumentSignature{Envelope: base64.StdEncoding.EncodeToString(envelope)}
		if data, err = json.Marshal(map[string]any{"apiVersion": "security.apexlogic.com/v1alpha1", "kind": "PolicyException", "metadata": map[string]any{"name": "hotfix"}, "spec": spec}); err != nil {
			t.Fatal(err)
		}
		w.write("policies/exception.json", string(data))
	}
	given := `{image: "registry.example/vision/captioner@` + digit("9") + `", attestations: [{by: [release], predicateType: "https://example.com/review", predicate: {score: 8}}]}`
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name    string
		expires time.Time
		signer  trusttest.Key
		want    string
	}{
		{"approved", noon.Add(time.Hour), w.approver, "allow"},
		{"expired", noon.Add(-time.Hour), w.approver, "deny"},
		{"approved by a stranger", noon.Add(time.Hour), trusttest.NewKey(t), "deny"},
	} {
		exception(tt.expires, tt.signer)
		if r := w.run(given, "{decision: "+tt.want+", codes: {RequireSBOM: image.sbom.missing}}"); !r.OK {
			t.Errorf("%s: %v", tt.name, r.Wrong)
		}
	}
	w.write("policies/revocation.yaml", `apiVersion: security.apexlogic.com/v1alpha1
kind: Revocation
metadata: {name: stop}
spec: {digest: "`+digit("9")+`", reason: it was built on a stolen machine}
`)
	if r := w.run(given, "{decision: deny, code: subject.revoked}"); !r.OK {
		t.Errorf("revoked: %v", r.Wrong)
	}
}

func TestCoverageCountsEachOutcomeOfEachRule(t *testing.T) {
	w := newWorkspace(t)
	head := "schema: apex.policytest/v1\npolicies: [policies]\nnow: 2026-11-20T12:00:00Z\ngiven:" + good + "cases:\n"
	w.write("a_test.yaml", head+"  - {name: good, want: {decision: allow}}\n")
	w.write("deep/b.policytest.yml", strings.Replace(head, "[policies]", "[../policies]", 1)+"  - {name: bad, given: {signatures: []}, want: {decision: deny}}\n")
	w.write("deep/other.yaml", "kind: Other")
	files, err := Find(t.Context(), []string{w.dir})
	if err != nil || len(files) != 2 {
		t.Fatalf("%v %v", files, err)
	}
	r, err := Run(t.Context(), files)
	if err != nil || !r.OK() {
		t.Fatalf("%v %+v", err, r)
	}
	// Both files load the same policy, so its rules are listed once.
	if len(r.Coverage) != 7 || r.Share != 8.0/14 {
		t.Errorf("share %v of %d rules", r.Share, len(r.Coverage))
	}
	for _, c := range r.Coverage {
		want := "fail"
		if c.Rule == "RequireImageSignature" {
			want = ""
		}
		if c.Missing() != want || c.Policy != "all-rules" {
			t.Errorf("%+v misses %q", c, c.Missing())
		}
	}
}

func TestNothingToTestIsAnError(t *testing.T) {
	if _, err := Find(t.Context(), []string{t.TempDir()}); err == nil {
		t.Error("an empty folder passes")
	}
	if _, err := Find(t.Context(), []string{filepath.Join(t.TempDir(), "nowhere")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if (&Result{}).OK() {
		t.Error("a run of nothing is OK")
	}
}

func TestFilesThatAreWrongSayWhere(t *testing.T) {
	head := "schema: apex.policytest/v1\npolicies: [p]\nnow: 2026-11-20T12:00:00Z\ncases:\n"
	one := head + "  - name: a\n    given: {image: a/b}\n    want: {decision: deny}\n"
	if _, err := Parse("f", []byte(one)); err != nil {
		t.Fatalf("the good twin: %v", err)
	}
	for _, tt := range []struct{ name, text, says string }{
		{"no YAML", "a: [", "f: not valid YAML"},
		{"no UTF-8", "a: \xff", "f: the file is not UTF-8"},
		{"nothing", "", "f: not valid YAML"},
		{"a list", "- a", "f:1:1: is not a mapping"},
		{"two documents", one + "---\na: b\n", "one YAML document"},
		{"another schema", strings.Replace(one, "/v1", "/v9", 1), `f:1:1: schema: is "apex.policytest/v9"`},
		{"an unknown field", one + "casez: []\n", "f:8:1: casez: is no field here; the fields are schema, policies"},
		{"a repeated field", one + "now: 2026-11-20T12:00:00Z\n", "f:8:1: now: is there twice"},
		{"a missing field", strings.Replace(one, "now: 2026-11-20T12:00:00Z\n", "", 1), "f:1:1: now: is missing"},
		{"no time", strings.Replace(one, "2026-11-20T12:00:00Z", "noon", 1), "f:3:6: now: is not a time"},
		{"no policies", strings.Replace(one, "[p]", "[]", 1), "policies: names nothing"},
		{"no cases", head + "  []\n", "cases: holds no case"},
		{"a name twice", one + "  - name: a\n    given: {image: a/b}\n    want: {decision: deny}\n", `"a" is there twice, first on line 5`},
		{"no image", strings.Replace(one, "image: a/b", "namespace: x", 1), "given.image: is missing"},
		{"an unknown decision", strings.Replace(one, "deny", "denied", 1), `f:7:22: cases[0].want.decision: unknown decision "denied"`},
		{"a digest that is none", strings.Replace(one, "image: a/b", "index: sha256:1", 1), "cases[0].given.index: "},
		{"a number for text", strings.Replace(one, "a/b", "1", 1), "cases[0].given.image: is not text; quote it"},
		{"text for a list", strings.Replace(one, "[p]", "p", 1), "f:2:11: policies: is not a list"},
		{"text for a mapping", strings.Replace(one, "{image: a/b}", "x", 1), "cases[0].given: is not a mapping"},
		{"text for true", strings.Replace(one, "image: a/b", "signatures: [{logged: yes}]", 1), "logged: is not true or false"},
		{"a merge key", "x: &x {a: b}\n" + one + "<<: *x\n", "merge keys are not read"},
		{"an unknown severity", strings.Replace(one, "image: a/b", "reports: [{findings: [{id: a, severity: HIGH}]}]", 1), "unknown severity"},
		{"a number that is no JSON", strings.Replace(one, "image: a/b", "attestations: [{predicateType: a, predicate: {n: .inf}}]", 1), "not a number of JSON"},
		{"deep nesting", strings.Replace(one, "image: a/b", "attestations: [{predicateType: a, predicate: "+strings.Repeat("[", 40)+strings.Repeat("]", 40)+"}]", 1), "nested too deeply"},
		{"a bomb of aliases", bomb(), "too large"},
		{"too large", one + "#" + strings.Repeat("x", maxFile), "larger than"},
		{"too many cases", head + strings.Repeat("  - {name: a, given: {image: a/b}, want: {decision: deny}}\n", maxCases+1), "more than 1000 cases"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse("f", []byte(tt.text))
			var invalid *config.Invalid
			if !errors.As(err, &invalid) || f != nil {
				t.Fatalf("%v", err)
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v\nwant …%s…", err, tt.says)
			}
			for _, p := range invalid.Problems {
				if p.File != "f" || p.Message == "" || p.Code != verdict.PolicyInvalid {
					t.Errorf("%+v", p)
				}
			}
		})
	}
}

// bomb names a list of lists ten times ten times … with aliases.
func bomb() string {
	var b strings.Builder
	b.WriteString("policies: [p]\nschema: apex.policytest/v1\nnow: 2026-11-20T12:00:00Z\ngiven:\n  image: a/b\n  config:\n    env: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	b.WriteString("  attestations:\n")
	for i := range 7 {
		fmt.Fprintf(&b, "    - {predicateType: t, predicate: &a%d [%s]}\n", i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 10))
	}
	b.WriteString("cases:\n  - {name: a, want: {decision: deny}}\n")
	return b.String()
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("schema: apex.policytest/v1\npolicies: [policies]\nnow: 2026-11-20T12:00:00Z\ngiven:" + good + "cases:\n  - {name: a, given: {signatures: []}, want: {decision: deny, codes: {RequireSBOM: ok}}}\n"))
	f.Add([]byte("schema: &a x\ncases: [*a, {name: *a}]"))
	f.Add([]byte("? {a: b}\n: c"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("f", data)
		if err != nil {
			var invalid *config.Invalid
			if !errors.As(err, &invalid) || len(invalid.Problems) == 0 || file != nil {
				t.Fatalf("%v", err)
			}
			return
		}
		if file.Schema != Schema || len(file.Cases) == 0 || len(file.Policies) == 0 {
			t.Fatalf("%+v", file)
		}
		for i := range file.Cases {
			if file.Cases[i].Given.Image == "" || file.Cases[i].at.line == 0 {
				t.Fatalf("%+v", file.Cases[i])
			}
		}
	})
}
