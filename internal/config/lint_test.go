package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// TestLintSaysWhatIsProbablyNotMeant makes one change at a time in
// testdata/full.yaml, about which lint has nothing to say.
func TestLintSaysWhatIsProbablyNotMeant(t *testing.T) {
	base := full(t)
	for _, tt := range []struct {
		name, old, new string
		at             string
		code           verdict.Code
		severity       Severity
		message        string
		suggestion     string
	}{
		{"a signer that nothing defines", "[ci, release]", "[ci, relase]", "16:36", verdict.PolicyNotReady, Error, "no trust root defines", "release"},
		{"a provenance signer that nothing defines", "provenanceFrom: [ci]", "provenanceFrom: [nobody]", "35:26", verdict.PolicyNotReady, Error, "no trust root defines", ""},
		{"an attestation signer that nothing defines", "from: [release]", "from: [nobody]", "42:20", verdict.PolicyNotReady, Error, "no trust root defines", ""},
		{"an SBOM signer that nothing defines", "sbomFrom: [ci]", "sbomFrom: [nobody]", "46:20", verdict.PolicyNotReady, Error, "no trust root defines", ""},
		{"a scanner as signer", "provenanceFrom: [ci]", "provenanceFrom: [scan]", "35:26", verdict.PolicyNotReady, Error, "is a scanner", ""},
		{"a signer that is believed for exceptions only", "uses: [Images, Exceptions]", "uses: [Exceptions]", "16:36", verdict.PolicyNotReady, Error, "add Images to its uses", ""},
		{"a scanner that nothing defines", "Scanner: Grype", "Scanner: Snyk", "26:9", verdict.PolicyNotReady, Error, "no scanner is called", ""},
		{"a scanner in another case", "Scanner: Grype", "Scanner: grype", "26:9", verdict.PolicyNotReady, Error, "no scanner is called", "Grype"},
		{"a signer as scanner", "Scanner: Grype", "Scanner: ci", "26:9", verdict.PolicyNotReady, Error, "is not a scanner", ""},
		{"a scanner whose signer nothing defines", "Scanner: Grype\n        maxReportAge: 24h", "Scanner: scan", "", verdict.PolicyNotReady, Error, "", ""},
		{"an identity that everybody has", "^https://github\\.com/apexlogic/.+$", "^.+$", "63:9", verdict.SignatureIdentity, Warning, "matches everybody", ""},
		{"an identity that everybody has, differently", "^https://github\\.com/apexlogic/.+$", "^[^ ]*$", "63:9", verdict.SignatureIdentity, Warning, "matches everybody", ""},
		{"a dot in a host", "^https://github\\.com/apexlogic/.+$", "^https://github.com/apexlogic/.+$", "63:9", verdict.SignatureIdentity, Warning, "any character", `^https://github\.com/apexlogic/.+$`},
		{"a base that is not locked", "python:3.x-slim", "python:2.x-slim", "32:29", verdict.BaseNotLocked, Warning, "no locked base image", "python:3.x-slim"},
		{"a base of another repository", "python:3.x-slim", "node:3.x-slim", "32:29", verdict.BaseNotLocked, Warning, "no locked base image", ""},
		{"every tag", "python:3.x-slim", "python:*", "32:29", verdict.BasePattern, Warning, "every tag", ""},
		{"an expired exception", "2026-12-01T00:00:00Z", "2026-10-01T00:00:00Z", "87:3", verdict.ExceptionExpired, Warning, "has expired", ""},
		{"an exception that ends now", "2026-12-01T00:00:00Z", "2026-11-01T12:00:00Z", "87:3", verdict.ExceptionExpired, Warning, "has expired", ""},
		{"an exception without signature", "2026-12-01T00:00:00Z\n  signature: {envelope: e30=}", "2026-12-01T00:00:00Z", "81:1", verdict.ExceptionUnsigned, Warning, "is missing", ""},
		{"an exception from a policy that is not there", "policy: full", "policy: ful", "83:3", verdict.ExceptionSubject, Warning, "no policy is called", "full"},
		{"an exception from a rule that is not there", "rule: RequireSBOM", "rule: RequireSBOMs", "84:3", verdict.ExceptionSubject, Warning, "has no rule", "RequireSBOM"},
		{"an exception that only its author can approve", "author: vision@", "author: Release@", "86:3", verdict.ExceptionSelfApproved, Warning, "nobody approves their own", ""},
		{"an exception that nobody can approve", "uses: [Images, Exceptions]", "uses: [Images]", "81:1", verdict.ExceptionUnsigned, Warning, "nobody can approve", ""},
		{"a revocation that nobody signed", "the token leaked\n  signature: {envelope: e30=}", "the token leaked", "94:1", verdict.Revoked, Warning, "stops its target all the same", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(base, tt.old) {
				t.Fatalf("%q is not in the document", tt.old)
			}
			text := strings.Replace(base, tt.old, tt.new, 1)
			if tt.at == "" { // the one that needs two changes
				text = strings.Replace(text, "signedBy: [ci]", "signedBy: [cii]", 1)
				tt.at, tt.message, tt.suggestion = "74:20", "no trust root defines", "ci"
			}
			s := valid(t, text)
			problems := Lint(s, noon)
			if len(problems) == 0 || slices.ContainsFunc(problems, func(p Problem) bool { return p.Code != tt.code }) {
				t.Fatalf("%d problems: %v", len(problems), problems)
			}
			p := problems[0]
			if at := strings.TrimPrefix(p.Position.String(), "test.yaml:"); at != tt.at || p.Code != tt.code || p.Severity != tt.severity || !strings.Contains(p.Message, tt.message) || p.Suggestion != tt.suggestion {
				t.Errorf("got %s %s %s %q %q", at, p.Code, p.Severity, p.Message, p.Suggestion)
			}
			if ready := s.Readiness("full").Ready; ready != (tt.code != verdict.PolicyNotReady) {
				t.Errorf("ready is %v", ready)
			}
		})
	}
}

func TestKnownScannersNeedNoTrustRoot(t *testing.T) {
	for _, scanner := range []string{"Trivy", "Grype", "OSV-Scanner", "scan"} {
		s := valid(t, strings.Replace(full(t), "Scanner: Grype", "Scanner: "+scanner, 1))
		if r := s.Readiness("full"); !r.Ready {
			t.Errorf("%s: %v", scanner, r.Reasons)
		}
	}
}

func TestTwoExceptionsForOneCheckAreToldOf(t *testing.T) {
	docs := strings.Split(full(t), "---\n")
	second := strings.Replace(docs[2], "name: hotfix", "name: other", 1)
	narrower := strings.Replace(second, "  policy: full\n", "  policy: full\n  repository: ghcr.io/a/b\n", 1)
	elsewhere := strings.Replace(second, digestA, digestB, 1)
	for text, want := range map[string]int{second: 1, narrower: 1, elsewhere: 0} {
		s := valid(t, full(t)+"---\n"+text)
		problems := slices.DeleteFunc(Lint(s, noon), func(p Problem) bool { return p.Code != verdict.ExceptionConflict })
		if len(problems) != want {
			t.Errorf("%d conflicts: %v", len(problems), problems)
		}
	}
}

func TestLintTellsOfErrorsToo(t *testing.T) {
	s := load(t, Bytes("f", []byte(strings.Replace(full(t), "action: Deny", "action: deny", 1))))
	problems := Lint(s, noon)
	i := slices.IndexFunc(problems, func(p Problem) bool { return p.Suggestion == "Deny" })
	if i < 0 || problems[i].Severity != Error || problems[i].Object != "ImageSecurityPolicy/full" {
		t.Errorf("got %v", problems)
	}
	if got := problems[i].String(); got != `f:14:15: spec.rules[0].action: "deny" is not one of Deny, Warn, Audit (did you mean Deny?)` {
		t.Errorf("printed as %s", got)
	}
	warning := Problem{Position: Position{File: "f"}, Severity: Warning, Message: "m"}
	if warning.String() != "f: warning: m" {
		t.Errorf("printed as %s", warning)
	}
}

func TestReadinessOfAPolicyThatIsNotThere(t *testing.T) {
	s := valid(t, full(t))
	if r := s.Readiness("none"); r.Ready || len(r.Reasons) != 1 {
		t.Errorf("got %+v", r)
	}
	if e, root, ok := s.TrustEntry("release"); !ok || e.Owner != "release@apexlogic.com" || root.Value.Name != "roots" {
		t.Error("TrustEntry does not find an entry")
	}
	if _, _, ok := s.TrustEntry("none"); ok {
		t.Error("TrustEntry finds what is not there")
	}
}

func TestExplain(t *testing.T) {
	for _, path := range []string{"ImageSecurityPolicy.spec.rules.action", "isp.spec.rules[].action", "imagesecuritypolicies.Spec.RULES.action"} {
		e, err := Explain(path)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != "ImageSecurityPolicy" || e.Path != "spec.rules[].action" || e.Type != "text" || e.Required || e.Default != "Deny" || !slices.Equal(e.Enum, []string{"Deny", "Warn", "Audit"}) || !strings.HasPrefix(e.Description, "Action when") {
			t.Errorf("%s: %+v", path, e)
		}
	}
	e, err := Explain("isp.spec.rules")
	if err != nil || e.Type != "list of mapping" || !e.Required || !slices.Contains(e.Limits, "1 to 16 entries") || !slices.Contains(e.Limits, "unique by name") || len(e.Rules) != 7 {
		t.Errorf("rules: %+v, %v", e, err)
	}
	if i := slices.IndexFunc(e.Children, func(c Child) bool { return c.Name == "name" }); i < 0 || !e.Children[i].Required || e.Children[i].Summary != "Name of the rule." {
		t.Errorf("children: %+v", e.Children)
	}
	e, err = Explain("trustroot")
	if err != nil || e.Path != "" || len(e.Children) != 3 || !strings.Contains(e.Description, "whom we believe") {
		t.Errorf("a kind: %+v, %v", e, err)
	}
	e, err = Explain("pex.spec.digest")
	if err != nil || !slices.Contains(e.Limits, "matches ^sha256:[0-9a-f]{64}$") || !e.Required {
		t.Errorf("a pattern: %+v, %v", e, err)
	}
	e, err = Explain("isp.spec.rules.parameters.requireSignatureFrom")
	if err != nil || e.Type != "list of text" || !slices.Contains(e.Limits, "each: 1 to 253 characters") || !slices.Contains(e.Limits, "no entry twice") {
		t.Errorf("a list: %+v, %v", e, err)
	}
	for path, want := range map[string]UnknownError{
		"ImageSecurtyPolicy":       {What: "kind", Suggestion: "ImageSecurityPolicy"},
		"":                         {What: "kind"},
		"isp.spec.rule":            {What: "field", Suggestion: "rules"},
		"isp.spec.rules.name.more": {What: "field"},
		"isp.":                     {What: "field"},
	} {
		_, err := Explain(path)
		var unknown *UnknownError
		if !errors.As(err, &unknown) || unknown.What != want.What || unknown.Suggestion != want.Suggestion || unknown.Error() == "" {
			t.Errorf("%q: %v", path, err)
		}
	}
	for _, kind := range Kinds() {
		if e, err := Explain(kind + ".spec"); err != nil || len(e.Children) == 0 || e.Description == "" {
			t.Errorf("%s: %+v, %v", kind, e, err)
		}
	}
}

func TestLintIsAboutATime(t *testing.T) {
	s := valid(t, full(t))
	if got := Lint(s, noon.Add(60*24*time.Hour)); len(got) != 1 || got[0].Code != verdict.ExceptionExpired {
		t.Errorf("later: %v", got)
	}
	if got := Lint(s, noon); len(got) != 0 {
		t.Errorf("now: %v", got)
	}
}
