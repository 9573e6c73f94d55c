package interop

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/image"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/policy"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// memory is a recorder that counts.
type memory struct{ records atomic.Int64 }

func (m *memory) Record(context.Context, string, []byte, bool) (string, error) {
	m.records.Add(1)
	return "", nil
}

// judge returns a verifier under one policy with one rule, which trusts the
// record's keys by the names of their files.
func judge(t testing.TB, client *oci.Client, rule v1alpha1.ImageRule) (*verify.Verifier, *memory) {
	t.Helper()
	var keys v1alpha1.TrustRoot
	keys.Name = "keys"
	for _, name := range []string{"cosign", "apex", "other"} {
		pem := string(readFile(t, dir, name+".pub"))
		keys.Spec.Entries = append(keys.Spec.Entries, v1alpha1.TrustEntry{Name: name, Key: &v1alpha1.KeyEntry{PEM: pem}})
	}
	var p v1alpha1.ImageSecurityPolicy
	p.Name = "one-rule"
	p.Spec.ImageSelector = &metav1.LabelSelector{}
	p.Spec.Rules = []v1alpha1.ImageRule{rule}
	c := now()
	g, err := verify.Compile("test", policy.Documents{Policies: []v1alpha1.ImageSecurityPolicy{p}, TrustRoots: []v1alpha1.TrustRoot{keys}}, c.Now())
	must(t, err)
	if problems := g.Problems(); len(problems) > 0 {
		t.Fatalf("the policy is not ready: %+v", problems)
	}
	m := &memory{}
	v, err := verify.New(verify.Options{Inspector: image.New(client, c), Recorder: m, Clock: c, Deadline: 2 * time.Minute})
	must(t, err)
	v.Use(g)
	return v, m
}

func signedBy(name string, more func(*v1alpha1.ImageRuleParameters)) v1alpha1.ImageRule {
	r := v1alpha1.ImageRule{Name: v1alpha1.RequireImageSignature, Action: "Deny"}
	r.Parameters.RequireSignatureFrom = []string{name}
	if more != nil {
		more(&r.Parameters)
	}
	return r
}

func attestedBy(name, predicateType string) v1alpha1.ImageRule {
	r := v1alpha1.ImageRule{Name: v1alpha1.RequireAttestation, Action: "Deny"}
	r.Parameters.Attestations = []v1alpha1.RequiredAttestation{{PredicateType: predicateType, From: []string{name}}}
	return r
}

func (h *house) decide(t *testing.T, repository string, d verdict.Digest, rule v1alpha1.ImageRule) verdict.Verdict {
	t.Helper()
	v, m := judge(t, h.newClient(), rule)
	report := v.Verify(t.Context(), []verdict.Question{{Subject: verdict.Subject{Ref: h.ref(repository, d)}}})
	if len(report.Verdicts) != 1 || m.records.Load() != 1 {
		t.Fatalf("%d verdicts, %d records, want one of each", len(report.Verdicts), m.records.Load())
	}
	return report.Verdicts[0]
}

func TestPoliciesJudgeWhatCosignSigned(t *testing.T) {
	r, h := readRecord(t), open(t)
	unbound := func(p *v1alpha1.ImageRuleParameters) { p.UnboundSignatures = "Allow" }
	from := func(repository string) func(*v1alpha1.ImageRuleParameters) {
		return func(p *v1alpha1.ImageRuleParameters) { p.SignedRepositories = []string{repository} }
	}
	stage := func(stage string) func(*v1alpha1.ImageRuleParameters) {
		return func(p *v1alpha1.ImageRuleParameters) {
			unbound(p)
			p.SignatureAnnotations = map[string]string{"stage": stage}
		}
	}
	recorded := func(name string) string {
		return r.Registry + "/" + find(t, r.SignedByCosign, name).Repository
	}
	tests := []struct {
		name  string
		entry string
		rule  v1alpha1.ImageRule
		want  verdict.Code
	}{
		{"a bundle counts where signatures need not name a repository", "signed bundle", signedBy("cosign", unbound), verdict.OK},
		{"a bundle that names no repository could be from any", "signed bundle", signedBy("cosign", nil), verdict.SignatureRepository},
		{"a bundle by another key", "signed bundle", signedBy("other", unbound), verdict.SignatureUntrusted},
		{"a bundle by a key that Apex made", "signed bundle with the key of Apex", signedBy("apex", unbound), verdict.OK},
		{"a bundle that states the stage", "signed bundle, annotated", signedBy("cosign", stage("production")), verdict.OK},
		{"a bundle that states another stage", "signed bundle, annotated", signedBy("cosign", stage("test")), verdict.SignatureAnnotations},
		{"an older signature from a repository that the policy names", "signed legacy", signedBy("cosign", from(recorded("signed legacy"))), verdict.OK},
		{"an older signature from another repository", "signed legacy", signedBy("cosign", nil), verdict.SignatureRepository},
		{"an older signature from another repository is not one without", "signed legacy", signedBy("cosign", unbound), verdict.SignatureRepository},
		{"an older signature under an identity that the policy names", "signed legacy under another identity", signedBy("cosign", from(otherIdentity)), verdict.OK},
		{"an older signature under an identity that it does not name", "signed legacy under another identity", signedBy("cosign", nil), verdict.SignatureRepository},
		{"an older signature by another key", "signed legacy", signedBy("other", from(recorded("signed legacy"))), verdict.SignatureUntrusted},
		{"an attestation is no signature", "attested vuln, bundle", signedBy("cosign", unbound), verdict.SignatureMissing},
		{"an attestation in a bundle", "attested cyclonedx, bundle", attestedBy("cosign", predicateURI(t, "cyclonedx")), verdict.OK},
		{"an attestation in a bundle of another type", "attested cyclonedx, bundle", attestedBy("cosign", predicateURI(t, "spdxjson")), verdict.AttestationMissing},
		{"an attestation in a bundle by another key", "attested cyclonedx, bundle", attestedBy("other", predicateURI(t, "cyclonedx")), verdict.AttestationUntrusted},
		{"an older attestation", "attested spdxjson, legacy", attestedBy("cosign", predicateURI(t, "spdxjson")), verdict.OK},
		{"an older attestation of another type", "attested spdxjson, legacy", attestedBy("cosign", predicateURI(t, "vuln")), verdict.AttestationMissing},
		{"an older attestation by another key", "attested spdxjson, legacy", attestedBy("other", predicateURI(t, "spdxjson")), verdict.AttestationUntrusted},
	}
	loaded := map[string]bool{}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := find(t, r.SignedByCosign, test.entry)
			if !loaded[e.Name] {
				h.load(t, e, e.Repository, nil)
				loaded[e.Name] = true
			}
			got := h.decide(t, e.Repository, e.Image, test.rule)
			if got.Code != test.want || (got.Decision == verdict.Allow) != (test.want == verdict.OK) {
				t.Errorf("%s: %s (%s), want %s", got.Decision, got.Code, got.Reason, test.want)
			}
		})
	}
}

func TestAnImageWithoutAnySignatureIsMissingOne(t *testing.T) {
	h := open(t)
	d := h.pushImage("vision/unsigned", captioner)
	got := h.decide(t, "vision/unsigned", d.Digest, signedBy("cosign", nil))
	if got.Decision != verdict.Deny || got.Code != verdict.SignatureMissing {
		t.Errorf("%s: %s, want a denial for %s", got.Decision, got.Code, verdict.SignatureMissing)
	}
}
