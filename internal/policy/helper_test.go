package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

const repository = "registry.example/vision/captioner"

var (
	noon    = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	subject = digestOf("captioner")
	config1 = digestOf("captioner's configuration")
	// The layers of the locked base, of another image, and of the subject itself.
	base  = []verdict.Digest{digestOf("os"), digestOf("torch")}
	other = []verdict.Digest{digestOf("other os"), digestOf("other torch")}
	own   = digestOf("own layer")
)

func digestOf(text string) verdict.Digest {
	sum := sha256.Sum256([]byte(text))
	return verdict.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// world is what one check sees. Its zero lists are complete facts: nothing is there.
type world struct {
	rule  v1alpha1.ImageRuleName
	param v1alpha1.ImageRuleParameters
	roots []v1alpha1.TrustEntry
	locks []v1alpha1.LockedBaseImage

	q            verdict.Question
	now          time.Time
	image        fact.Image
	signatures   []fact.Signature
	attestations []fact.Attestation
	reports      []fact.Report
	provenance   []fact.Provenance
	partial      fact.Need // more may exist than is listed
	unknown      fact.Need // nothing could be established
}

// newWorld is a world with an image, signers and nothing about the image.
func newWorld(rule v1alpha1.ImageRuleName) *world {
	key := &v1alpha1.KeyEntry{PEM: "-----BEGIN PUBLIC KEY-----"}
	return &world{
		rule: rule,
		roots: []v1alpha1.TrustEntry{
			{Name: "alice", Key: key}, {Name: "bob", Key: key},
			{Name: "approver", Key: key, Uses: []v1alpha1.TrustUse{v1alpha1.UseExceptions}, Owner: "carol"},
			{Name: "house-scanner", Scanner: &v1alpha1.ScannerEntry{Tool: "Trivy", SignedBy: []string{"bob"}}},
		},
		q: verdict.Question{
			Subject: verdict.Subject{Ref: verdict.Ref{Kind: verdict.KindImage, Repo: repository, Digest: subject}, Platform: "linux/amd64"},
			Labels:  map[string]string{"app": "multimodal-inference"}, Namespace: "vision",
		},
		now: noon,
		image: fact.Image{
			Config: config1, Platform: "linux/amd64", Created: noon.Add(-48 * time.Hour),
			DiffIDs: append(append([]verdict.Digest{}, base...), own), User: "65532",
		},
	}
}

func (w *world) documents() Documents {
	policy := v1alpha1.ImageSecurityPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
	policy.Spec.ImageSelector = &metav1.LabelSelector{}
	policy.Spec.Rules = []v1alpha1.ImageRule{{Name: w.rule, Parameters: w.param}}
	docs := Documents{Policies: []v1alpha1.ImageSecurityPolicy{policy}}
	docs.TrustRoots = []v1alpha1.TrustRoot{{Spec: v1alpha1.TrustRootSpec{Entries: w.roots}}}
	if len(w.locks) > 0 {
		docs.Locks = []v1alpha1.BaseImageLock{{Spec: v1alpha1.BaseImageLockSpec{Images: w.locks}}}
	}
	return docs
}

func (w *world) facts() *fact.Set {
	return &fact.Set{
		Image:        established(w, fact.NeedImage, w.image),
		Signatures:   established(w, fact.NeedSignatures, w.signatures),
		Attestations: established(w, fact.NeedAttestations, w.attestations),
		Reports:      established(w, fact.NeedReports, w.reports),
		Provenance:   established(w, fact.NeedProvenance, w.provenance),
	}
}

func established[T any](w *world, kind fact.Need, value T) fact.Fact[T] {
	switch {
	case w.unknown.Has(kind):
		return fact.Problem[T](verdict.RegistryUnreachable, "the registry does not answer", "test", w.now)
	case w.partial.Has(kind):
		return fact.Partial(value, "test", w.now, verdict.RegistryTooMany, "there is more")
	}
	return fact.Complete(value, "test", w.now)
}

// check compiles the world's policy, which has to be ready, and asks it.
func (w *world) check(t *testing.T) verdict.Check {
	t.Helper()
	p := Compile(w.documents(), nil).Policies[0]
	if len(p.NotReady) > 0 {
		t.Fatalf("the policy is not ready: %v", p.NotReady)
	}
	needed := p.Needs()
	facts := w.facts()
	// What the rule does not say that it needs is not gathered for it.
	for _, drop := range fact.Need(^uint32(0)).Each() {
		if needed.Has(drop) {
			continue
		}
		switch drop {
		case fact.NeedImage:
			facts.Image = fact.Fact[fact.Image]{}
		case fact.NeedSignatures:
			facts.Signatures = fact.Fact[[]fact.Signature]{}
		case fact.NeedAttestations:
			facts.Attestations = fact.Fact[[]fact.Attestation]{}
		case fact.NeedReports:
			facts.Reports = fact.Fact[[]fact.Report]{}
		case fact.NeedProvenance:
			facts.Provenance = fact.Fact[[]fact.Provenance]{}
		}
	}
	checks := p.Check(&w.q, facts, w.now)
	if len(checks) != 1 {
		t.Fatalf("%d checks", len(checks))
	}
	return checks[0]
}

// twin is one way to be refused: a world that passes, and the one thing that
// is wrong in its twin.
type twin struct {
	name    string
	wrong   func(*world)
	outcome verdict.Outcome
	code    verdict.Code
	says    string // a part of the detail
}

// runTwins checks for every row that the good world passes, and that the same
// world with the one thing wrong does not, for the reason that the row names.
func runTwins(t *testing.T, good func() *world, rows []twin) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if c := good().check(t); c.Outcome != verdict.Pass || c.Code != verdict.OK {
				t.Fatalf("the good twin: %s %s: %s", c.Outcome, c.Code, c.Detail)
			}
			w := good()
			row.wrong(w)
			c := w.check(t)
			if c.Outcome != row.outcome || c.Code != row.code || !strings.Contains(c.Detail, row.says) {
				t.Errorf("%s %s: %s\nwant %s %s: …%s…", c.Outcome, c.Code, c.Detail, row.outcome, row.code, row.says)
			}
			if c.Outcome != verdict.Pass && (c.Detail == "" || c.Advice() == "" && c.Code != verdict.OK) {
				t.Errorf("the reason %q or the mend %q of %s is empty", c.Detail, c.Advice(), c.Code)
			}
			if bound := (&Policy{Name: "p"}).Bind(c, verdict.ActionDeny); c.Outcome != verdict.Pass {
				if d, _, _ := verdict.Decide([]verdict.Check{bound}); d != verdict.Deny {
					t.Errorf("the decision is %s", d)
				}
			}
		})
	}
}

// passes is a row's shape for variants that are allowed as well.
type variant struct {
	name string
	with func(*world)
}

func runPasses(t *testing.T, good func() *world, rows []variant) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := good()
			row.with(w)
			if c := w.check(t); c.Outcome != verdict.Pass {
				t.Errorf("%s %s: %s", c.Outcome, c.Code, c.Detail)
			}
		})
	}
}

func signing(names ...string) fact.Signing {
	id := "nobody"
	if len(names) > 0 {
		id = names[0]
	}
	return fact.Signing{Format: fact.FormatBundle, TrustedBy: names, KeyID: string(digestOf(id)), Repository: repository, Code: verdict.OK}
}

func about(d verdict.Digest) []fact.AttestationSubject {
	return []fact.AttestationSubject{{Digest: d}}
}

func attested(predicateType string, predicate any, by ...string) fact.Attestation {
	data, err := json.Marshal(predicate)
	if err != nil {
		panic(err)
	}
	return fact.Attestation{Signing: signing(by...), PredicateType: predicateType, Subjects: about(subject), Predicate: data}
}

func hours(n int) *metav1.Duration { return &metav1.Duration{Duration: time.Duration(n) * time.Hour} }

func clone[T any](v T) *T { return &v }
