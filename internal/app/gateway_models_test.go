package app

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

const modelRoute = `apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: captioner, labels: {tier: low}}
spec:
  hosts: [captioner.example]
  api: OpenAI
  upstream: {url: "%s", tls: Plaintext}
  anonymous: true
  allow:
    - {identities: [anonymous], actions: [infer]}
  models:
%s  limits: {requests: 100000}
---
apiVersion: security.apexlogic.com/v1alpha1
kind: AccessPolicy
metadata: {name: verified}
spec:
  cedar: |
    @id("only") forbid (principal, action, resource is Model) unless { resource has verdict && resource.verdict == "allow" };
    @id("tier") forbid (principal, action, resource is Model) unless { resource.hasTag("tier") && resource.getTag("tier") == "low" };
  tests:
    - {name: verified, principal: anonymous, action: infer, route: captioner, model: captioner, properties: '{"verdict": "allow", "labels": {"tier": "low"}}', expect: Allow}
---
apiVersion: security.apexlogic.com/v1alpha1
kind: TrustRoot
metadata: {name: ours}
spec:
  entries:
    - name: models
      uses: [Models]
      key:
        pem: |
%s
---
apiVersion: security.apexlogic.com/v1alpha1
kind: ModelSecurityPolicy
metadata: {name: models}
spec:
  modelSelector: {matchLabels: {tier: low}}
  rules:
    - name: RequireModelSignature
      parameters: {requireSignatureFrom: [models]}
`

func TestPoliciesSeeTheVerdictOnAModel(t *testing.T) {
	h := newModelHost(t)
	signed, err := h.pack(h.folder("captioner", plainModel), "vision/model:1.0", PackOptions{Key: h.key.Signer})
	if err != nil {
		t.Fatal(err)
	}
	bare, bareDigest, _ := strings.Cut(artifactOf(t, h, "mirror/model:1.0"), "@")
	models := fmt.Sprintf(`    - {name: captioner, repository: %q, digest: %q}
    - {name: bare, repository: %q, digest: %q}
    - {name: unsaid}
`, signed.Ref.Repo, signed.Ref.Digest, bare, bareDigest)
	dir := t.TempDir()
	pem := "          " + strings.ReplaceAll(strings.TrimSpace(string(h.key.PEM)), "\n", "\n          ")
	put(t, dir, "all.yaml", fmt.Sprintf(modelRoute, inference(t).URL, models, pem))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Models: h.meets})
	nobody := s.as(t, nil)
	picture := imageChat(t)
	chat := func(model string) (int, verdict.Code, string) {
		return s.ask(t, nobody, "captioner.example", "/v1/chat/completions", strings.Replace(picture, "captioner", model, 1), nil)
	}
	for { // the verifier is asked beside the requests
		status, code, text := chat("captioner")
		if status == 200 {
			break
		}
		if code != verdict.AccessForbidden || t.Context().Err() != nil {
			t.Fatalf("%d %s", status, text)
		}
	}
	for _, model := range []string{"bare", "unsaid"} {
		if status, code, text := chat(model); status != 403 || code != verdict.AccessForbidden || !strings.Contains(text, "verified/only") {
			t.Errorf("%s: %d %s", model, status, text)
		}
	}
}

func TestARepositoryNeedsADigest(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "all.yaml", fmt.Sprintf(modelRoute, "http://127.0.0.1:1", "    - {name: captioner, repository: registry.example/m}\n", "          -"))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example"})
	if s.now != "" {
		t.Fatal("it is in force")
	}
}
