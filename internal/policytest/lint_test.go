package policytest

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/verdict"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func (w *workspace) lint() []config.Problem {
	w.t.Helper()
	set, err := config.Load(w.t.Context(), config.Path(filepath.Join(w.dir, "policies")))
	if err != nil {
		w.t.Fatal(err)
	}
	return Lint(set, noon)
}

func TestLintTellsWhatOnlyCompilingShows(t *testing.T) {
	const document = "apiVersion: security.apexlogic.com/v1alpha1\nkind: "
	if problems := newWorkspace(t).lint(); len(problems) > 0 {
		t.Fatalf("the good twin: %v", problems)
	}
	for _, tt := range []struct {
		name, file, text string
		severity         config.Severity
		code             verdict.Code
		path, says       string
	}{
		{"an expression", "e.yaml", document + `ImageSecurityPolicy
metadata: {name: e}
spec: {imageSelector: {}, rules: [{name: Expression, parameters: {expressions: [{name: a, expression: "image."}]}}]}`,
			config.Error, verdict.PolicyNotReady, "spec.rules[0].parameters.expressions[0].expression", "Syntax error"},
		{"a condition", "c.yaml", document + `ImageSecurityPolicy
metadata: {name: c}
spec: {imageSelector: {}, rules: [{name: RequireAttestation, parameters: {attestations: [{predicateType: t, from: [release], condition: "image.user"}]}}]}`,
			config.Error, verdict.PolicyNotReady, "spec.rules[0].parameters.attestations[0].condition", "undeclared reference"},
		{"a source that is no repository", "s.yaml", document + `ImageSecurityPolicy
metadata: {name: s}
spec: {imageSelector: {}, rules: [{name: RequireProvenance, parameters: {provenanceFrom: [build], builders: [b], sourceRepositories: [git.example/v/c]}}]}`,
			config.Error, verdict.PolicyNotReady, "spec", "not the URI of a repository"},
		{"a key that is none", "k.yaml", document + `TrustRoot
metadata: {name: k}
spec: {entries: [{name: good-looking, key: {pem: nonsense}}]}`,
			config.Error, verdict.PolicyInvalid, "spec.entries[0]", "good-looking"},
		{"an exception that a stranger signed", "x.yaml", document + `PolicyException
metadata: {name: x}
spec: {digest: "` + digit("9") + `", policy: all-rules, rule: RequireSBOM, reason: because it is urgent, author: vera, expiresAt: 2027-01-01T00:00:00Z, signature: {envelope: e30=}}`,
			config.Warning, verdict.ExceptionUnsigned, "spec.signature", ""},
		{"a revocation that a stranger signed", "r.yaml", document + `Revocation
metadata: {name: r}
spec: {digest: "` + digit("9") + `", reason: stolen, signature: {envelope: e30=}}`,
			config.Warning, verdict.SignatureInvalid, "spec.signature", "stops its target"},
		{"a revocation that nobody signed, once", "u.yaml", document + `Revocation
metadata: {name: u}
spec: {digest: "` + digit("9") + `", reason: stolen}`,
			config.Warning, verdict.Revoked, "spec.signature", "nobody answers for it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorkspace(t)
			w.write("policies/"+tt.file, tt.text)
			problems := w.lint()
			if len(problems) != 1 {
				t.Fatalf("%v", problems)
			}
			p := problems[0]
			if p.Severity != tt.severity || p.Code != tt.code || p.Path != tt.path || !strings.Contains(p.Message, tt.says) ||
				filepath.Base(p.File) != tt.file || p.Line == 0 {
				t.Errorf("%s %s %s: %s", p.Severity, p.Code, p.Path, p)
			}
		})
	}
}
