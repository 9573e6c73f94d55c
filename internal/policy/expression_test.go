package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// expressionWorld has every kind of fact; its expression is true.
func expressionWorld(text string) func() *world {
	return func() *world {
		w := newWorld(v1alpha1.Expression)
		w.param.Expressions = []v1alpha1.NamedExpression{{Name: "house-rule", Expression: text}}
		w.signatures = signedWorld().signatures
		w.attestations = reviewedWorld().attestations
		w.reports = scannedWorld().reports
		w.provenance = builtWorld().provenance
		return w
	}
}

func TestExpressionsSeeEveryFact(t *testing.T) {
	for _, tt := range []struct {
		text  string
		wrong func(*world)
	}{
		{`image.user != "0" && image.user != "root"`, func(w *world) { w.image.User = "root" }},
		{`image.diffIDs.size() <= 3`, func(w *world) { w.image.DiffIDs = append(w.image.DiffIDs, own) }},
		{`signatures.exists(s, "alice" in s.trustedBy)`, func(w *world) { w.signatures = nil }},
		{`attestations.exists(a, a.predicateType == "https://example.com/review/v1" && a.predicate.score >= 7)`, func(w *world) { predicate(w, `{"score":1}`) }},
		{`reports.all(r, !has(r.findings) || r.findings.all(f, f.severity != "Critical"))`, func(w *world) { found(w, fact.SeverityCritical) }},
		{`provenance.exists(p, p.sourceRepository.startsWith("https://github.com/vision/"))`, func(w *world) { w.provenance[0].SourceRepository = "https://github.com/x/y" }},
		{`repository.startsWith("registry.example/")`, func(w *world) { w.q.Repo = "evil.example/x" }},
		{`digest.startsWith("sha256:")`, func(w *world) { w.q.Digest = "" }},
		{`platform in ["linux/amd64", "linux/arm64"]`, func(w *world) { w.q.Platform = "windows/amd64" }},
		{`workloadNamespace == "vision"`, func(w *world) { w.q.Namespace = "default" }},
		{`labels.app == "multimodal-inference"`, func(w *world) { w.q.Labels = map[string]string{"app": "x"} }},
		{`!("debug" in labels)`, func(w *world) { w.q.Labels = map[string]string{"debug": "1"} }},
		{`now - timestamp(image.created) < duration("72h")`, func(w *world) { w.now = noon.Add(48 * time.Hour) }},
		{`image.layers == null || sets.contains(image.diffIDs, image.layers)`, func(w *world) { w.image.Layers = []verdict.Digest{digestOf("x")} }},
		{`repository.split("/").size() == 3`, func(w *world) { w.q.Repo = "registry.example/x" }},
	} {
		t.Run(tt.text, func(t *testing.T) {
			runTwins(t, expressionWorld(tt.text), []twin{
				{"otherwise it is false", tt.wrong, verdict.Fail, verdict.ExpressionFalse, "house-rule"},
			})
		})
	}
}

func TestExpressionsNeedCompleteFacts(t *testing.T) {
	for name, need := range map[string]fact.Need{
		"image": fact.NeedImage, "signatures": fact.NeedSignatures, "attestations": fact.NeedAttestations, "reports": fact.NeedReports, "provenance": fact.NeedProvenance,
	} {
		t.Run(name, func(t *testing.T) {
			good := expressionWorld(fmt.Sprintf(`size(%s) >= 0`, name))
			if got := Compile(good().documents(), nil).Policies[0].Needs(); got != need {
				t.Errorf("it needs %s", got)
			}
			runTwins(t, good, []twin{
				{"it is partial", func(w *world) { w.partial = need }, verdict.Unknown, verdict.RegistryTooMany, "there is more"},
				{"it is unknown", func(w *world) { w.unknown = need }, verdict.Unknown, verdict.RegistryUnreachable, "does not answer"},
			})
		})
	}
}

func TestExpressionsThatFailAreNotTrue(t *testing.T) {
	runTwins(t, expressionWorld(`true`), []twin{
		{"a field that is not there", func(w *world) { w.param.Expressions[0].Expression = `labels.tier == "gold"` }, verdict.Unknown, verdict.ExpressionFailed, "no such key"},
		{"a result that is no bool", func(w *world) { w.param.Expressions[0].Expression = `image.user` }, verdict.Unknown, verdict.ExpressionFailed, "not bool"},
		{"a second expression that is false", func(w *world) {
			w.param.Expressions = append(w.param.Expressions, v1alpha1.NamedExpression{Name: "second", Expression: "false", Message: "the message of the author"})
		}, verdict.Fail, verdict.ExpressionFalse, "the message of the author"},
		{"a regular expression that is none", func(w *world) { w.param.Expressions[0].Expression = `workloadNamespace.matches(image.user + "(")` }, verdict.Unknown, verdict.ExpressionFailed, ""},
		{"division by zero", func(w *world) { w.param.Expressions[0].Expression = `1 / (size(workloadNamespace) - 6) == 1` }, verdict.Unknown, verdict.ExpressionFailed, "division by zero"},
	})
}

func TestExpressionsThatDoNotCompileLeaveThePolicyNotReady(t *testing.T) {
	for text, says := range map[string]string{
		`image.`:                           "Syntax error",
		`imagee.user == ""`:                "undeclared reference",
		`"text"`:                           "not bool",
		`1 + 1`:                            "not bool",
		`predicate.x`:                      "undeclared reference",
		`now < 3`:                          "no matching overload",
		strings.Repeat("(", 1000) + "true": "house-rule",
	} {
		w := expressionWorld(text)()
		deniesAsNotReady(t, w, says)
	}
}

// TestExpressionsHaveABoundedCost holds an expression of two nested loops over
// a long list to the limit; the same over a short one is fine.
func TestExpressionsHaveABoundedCost(t *testing.T) {
	long := func(n int) func(*world) {
		return func(w *world) {
			for range n {
				w.signatures = append(w.signatures, w.signatures[0])
			}
		}
	}
	good := expressionWorld(`signatures.all(a, signatures.all(b, a.keyID == b.keyID))`)
	runPasses(t, good, []variant{{"a short list", long(50)}})
	runTwins(t, good, []twin{{"a long list", long(2000), verdict.Unknown, verdict.ExpressionFailed, "cost"}})
}

func TestAnAnswerAboutTheTimeHoldsForAMoment(t *testing.T) {
	w := expressionWorld(`now > timestamp("2026-01-01T00:00:00Z")`)()
	if c := w.check(t); !c.Until.Equal(noon.Add(time.Minute)) {
		t.Errorf("until %s", c.Until)
	}
	if c := expressionWorld(`workloadNamespace == "vision"`)().check(t); !c.Until.IsZero() {
		t.Errorf("until %s without asking for the time", c.Until)
	}
}

func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		`image.user != "root"`, `signatures.exists(s, s.trustedBy == ["alice"])`, `now`, `has(labels.app) ? labels.app == "x" : true`,
		`[1, 2].map(x, x * x).exists(y, y == 4)`, `"a".matches("(a*)*b")`, `{"a": [1, {"b": 2.0}]}.a[1].b == 2`, "image.\x00", `b"\xff" == b""`,
	} {
		f.Add(seed)
	}
	w := expressionWorld("true")()
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 { // the schema's limit
			return
		}
		w.param.Expressions[0].Expression = text
		p := Compile(w.documents(), nil).Policies[0]
		c := p.Check(&w.q, w.facts(), w.now)[0]
		switch {
		case c.Code == verdict.RuleFailed:
			t.Fatalf("%q: %s", text, c.Detail)
		case c.Outcome == verdict.Pass && (len(p.NotReady) > 0 || c.Code != verdict.OK):
			t.Fatalf("%q passes: %+v %v", text, c, p.NotReady)
		}
	})
}
