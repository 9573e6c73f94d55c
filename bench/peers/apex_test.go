package peers

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/policy"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// client returns a registry client that has seen nothing yet.
func (s *stock) client() *oci.Client {
	s.b.Helper()
	c, err := oci.New(oci.Options{AllowPrivate: []string{s.Plain, s.Secure}, PlainHTTP: []string{s.Plain}, TLS: s.tls()})
	must(s.b, err)
	return c
}

// inspect verifies every image as cosign does: which signatures are there, and
// by whom. No policy is asked.
func (s *stock) inspect(root *trust.Root, at image.Places) func(b *testing.B) {
	return func(b *testing.B) {
		c := s.client()
		defer c.Close()
		inspector := image.New(c, clock.System{})
		for _, r := range s.refs {
			ref, err := reference.Parse(r)
			must(b, err)
			resolved, err := inspector.Resolve(b.Context(), ref)
			must(b, err)
			e := inspector.Evidence(b.Context(), resolved.Ref, root, at, false)
			if all, code, ok := e.Signatures.All(); !ok || len(all) != len(s.keys) || !all[0].Valid() {
				b.Fatalf("%s: %s, %+v", r, code, all)
			}
		}
	}
}

// root trusts the stock's keys.
func (s *stock) root() *trust.Root {
	s.b.Helper()
	var entries []trust.Entry
	for k := range s.keys {
		entries = append(entries, trust.Entry{Name: names[k], Key: &trust.KeyEntry{PEM: s.public(k)}})
	}
	root, err := trust.Compile(entries, trust.Options{})
	must(s.b, err)
	return root
}

var names = []string{"first", "second"}

// decide verifies every image with the whole engine, one call for each.
func (s *stock) decide(g *verify.Generation) func(b *testing.B) {
	return func(b *testing.B) {
		c := s.client()
		defer c.Close()
		v := newVerifier(b, c, g)
		for _, q := range s.questions() {
			report := v.Verify(b.Context(), []verdict.Question{q})
			allowed(b, &report)
		}
	}
}

func newVerifier(b *testing.B, c *oci.Client, g *verify.Generation) *verify.Verifier {
	b.Helper()
	v, err := verify.New(verify.Options{Inspector: image.New(c, clock.System{}), Recorder: memory{}})
	must(b, err)
	v.Use(g)
	return v
}

func allowed(b *testing.B, report *verdict.Report) {
	b.Helper()
	for i := range report.Verdicts {
		if d := &report.Verdicts[i]; d.Decision != verdict.Allow {
			b.Fatalf("%s: %s: %s", d.Asked, d.Code, d.Reason)
		}
	}
}

func (s *stock) questions() []verdict.Question {
	var out []verdict.Question
	for _, r := range s.refs {
		out = append(out, verdict.Question{Asked: r, Labels: map[string]string{"app": "multimodal-inference"}})
	}
	return out
}

// memory records nothing: the ledger's fsync is measured where the ledger is.
type memory struct{}

func (memory) Record(context.Context, string, []byte, bool) (string, error) { return "", nil }

// documents are a policy that asks for a signature by each of the stock's keys,
// in one format, and the trust root that it refers to.
func (s *stock) documents(format fact.Format) (v1alpha1.ImageSecurityPolicy, v1alpha1.TrustRoot) {
	s.b.Helper()
	var p v1alpha1.ImageSecurityPolicy
	p.Name = "signed"
	p.Spec.ImageSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "multimodal-inference"}}
	rule := v1alpha1.ImageRule{Name: v1alpha1.RequireImageSignature, Action: "Deny"}
	rule.Parameters.Threshold = int32(len(s.keys))
	rule.Parameters.UnboundSignatures = "Allow" // cosign's bundles name no repository
	// They were signed by the registry's plain address.
	rule.Parameters.SignedRepositories = []string{s.Plain + "/bench/*"}
	var t v1alpha1.TrustRoot
	t.Name = "keys"
	for k := range s.keys {
		rule.Parameters.RequireSignatureFrom = append(rule.Parameters.RequireSignatureFrom, names[k])
		t.Spec.Entries = append(t.Spec.Entries, v1alpha1.TrustEntry{
			Name: names[k], Formats: []string{string(format)}, Key: &v1alpha1.KeyEntry{PEM: strings.TrimSpace(string(s.public(k)))},
		})
	}
	p.Spec.Rules = []v1alpha1.ImageRule{rule}
	return p, t
}

func (s *stock) generation(format fact.Format) *verify.Generation {
	s.b.Helper()
	p, t := s.documents(format)
	g, err := verify.Compile("bench", policy.Documents{Policies: []v1alpha1.ImageSecurityPolicy{p}, TrustRoots: []v1alpha1.TrustRoot{t}}, clock.System{}.Now())
	must(s.b, err)
	if problems := g.Problems(); len(problems) > 0 {
		s.b.Fatalf("%+v", problems)
	}
	return g
}
