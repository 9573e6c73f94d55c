package policy

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

func signedWorld() *world {
	w := newWorld(v1alpha1.RequireImageSignature)
	w.param.RequireSignatureFrom = []string{"alice"}
	w.signatures = []fact.Signature{{Signing: signing("alice"), Subject: subject}}
	return w
}

func TestASignatureCountsOnlyWhenEverythingAboutItHolds(t *testing.T) {
	runTwins(t, signedWorld, []twin{
		{"nobody signed", func(w *world) { w.signatures = nil }, verdict.Fail, verdict.SignatureMissing, "no signature"},
		{"it verifies under no entry", func(w *world) {
			w.signatures[0].TrustedBy, w.signatures[0].Code = nil, verdict.SignatureUntrusted
		}, verdict.Fail, verdict.SignatureUntrusted, ""},
		{"it names an entry and does not verify", func(w *world) { w.signatures[0].Code = verdict.SignatureInvalid }, verdict.Fail, verdict.SignatureInvalid, ""},
		{"it says OK and names nobody", func(w *world) { w.signatures[0].TrustedBy = nil }, verdict.Fail, verdict.SignatureUntrusted, ""},
		{"its log entry is missing", func(w *world) { w.signatures[0].Code = verdict.SignatureLogMissing }, verdict.Fail, verdict.SignatureLogMissing, ""},
		{"its time is vouched for by nobody", func(w *world) { w.signatures[0].Code = verdict.SignatureTimeMissing }, verdict.Fail, verdict.SignatureTimeMissing, ""},
		{"its key was not valid then", func(w *world) { w.signatures[0].Code = verdict.SignatureKeyValidity }, verdict.Fail, verdict.SignatureKeyValidity, ""},
		{"its identity is another one", func(w *world) { w.signatures[0].Code = verdict.SignatureIdentity }, verdict.Fail, verdict.SignatureIdentity, ""},
		{"its key is revoked", func(w *world) { w.signatures[0].Code = verdict.SignatureRevokedKey }, verdict.Fail, verdict.SignatureRevokedKey, ""},
		{"its format is not accepted", func(w *world) { w.signatures[0].Code = verdict.SignatureFormatDenied }, verdict.Fail, verdict.SignatureFormatDenied, ""},
		{"somebody else whom we know signed", func(w *world) { w.signatures[0].TrustedBy = []string{"bob"} }, verdict.Fail, verdict.SignatureUntrusted, "bob"},
		{"it is about another digest", func(w *world) { w.signatures[0].Subject = digestOf("else") }, verdict.Fail, verdict.SignatureSubject, string(digestOf("else"))},
		{"it is about no digest", func(w *world) { w.signatures[0].Subject = "" }, verdict.Fail, verdict.SignatureSubject, ""},
		{"it was made for another repository", func(w *world) { w.signatures[0].Repository = "registry.example/evil/captioner" }, verdict.Fail, verdict.SignatureRepository, "evil"},
		{"it names no repository", func(w *world) { w.signatures[0].Repository = "" }, verdict.Fail, verdict.SignatureRepository, "copied"},
		{"a log entry is asked for and there is none", func(w *world) { w.param.RequireLog = true }, verdict.Fail, verdict.SignatureLogMissing, "alice"},
		{"an annotation is asked for and there is none", func(w *world) { w.param.SignatureAnnotations = map[string]string{"stage": "prod"} }, verdict.Fail, verdict.SignatureAnnotations, "stage"},
		{"two have to sign and one did", func(w *world) {
			w.param.RequireSignatureFrom, w.param.Threshold = []string{"alice", "bob"}, 2
		}, verdict.Fail, verdict.SignatureThreshold, "1 of 2"},
		{"the image is older than it may be", func(w *world) { w.param.BuiltAfter = clone(metav1.NewTime(noon)) }, verdict.Fail, verdict.SignatureTooOld, "built at"},
		{"the signatures could not be fetched", func(w *world) { w.unknown = fact.NeedSignatures }, verdict.Unknown, verdict.RegistryUnreachable, "does not answer"},
		{"not all signatures were looked at, and none of those counts", func(w *world) {
			w.partial, w.signatures = fact.NeedSignatures, nil
		}, verdict.Unknown, verdict.RegistryTooMany, "there is more"},
		{"when it was built could not be established", func(w *world) {
			w.param.BuiltAfter, w.unknown = clone(metav1.NewTime(noon.Add(-100*time.Hour))), fact.NeedImage
		}, verdict.Unknown, verdict.RegistryUnreachable, "built"},
		{"nothing says when it was built", func(w *world) {
			w.param.BuiltAfter, w.image.Created = clone(metav1.NewTime(noon.Add(-100*time.Hour))), time.Time{}
		}, verdict.Fail, verdict.SignatureTooOld, "nothing says"},
	})
}

func TestASignatureCountsInEveryWayThatThePolicyAllows(t *testing.T) {
	index := digestOf("index")
	runPasses(t, signedWorld, []variant{
		{"it is about the index that was asked for", func(w *world) { w.q.Index, w.signatures[0].Subject = index, index }},
		{"more may exist, but what is there is enough", func(w *world) { w.partial = fact.NeedSignatures }},
		{"a bad signature beside it spoils nothing", func(w *world) {
			w.signatures = append([]fact.Signature{{Signing: fact.Signing{Code: verdict.SignatureInvalid}}}, w.signatures...)
		}},
		{"it names no repository and the policy allows that", func(w *world) {
			w.signatures[0].Repository, w.param.UnboundSignatures = "", "Allow"
		}},
		{"it was made for the mirror's origin", func(w *world) {
			w.signatures[0].Repository, w.param.SignedRepositories = "origin.example/vision/captioner", []string{"origin.example/vision/captioner"}
		}},
		{"it was made for a repository below the mirror's origin", func(w *world) {
			w.signatures[0].Repository, w.param.SignedRepositories = "origin.example/vision/deep/captioner", []string{"origin.example/vision/*"}
		}},
		{"it has the log entry that is asked for", func(w *world) { w.param.RequireLog, w.signatures[0].Logs = true, []string{"log"} }},
		{"it has the annotation that is asked for", func(w *world) {
			w.param.SignatureAnnotations = map[string]string{"stage": "prod"}
			w.signatures[0].Annotations = map[string]string{"stage": "prod", "more": "x"}
		}},
		{"the image is as young as it has to be", func(w *world) { w.param.BuiltAfter = clone(metav1.NewTime(noon.Add(-72 * time.Hour))) }},
		{"the image is reproducible and was signed late enough", func(w *world) {
			w.param.BuiltAfter, w.image.Created = clone(metav1.NewTime(noon.Add(-72*time.Hour))), time.Unix(0, 0)
			w.signatures[0].SignedAt = noon.Add(-time.Hour)
		}},
	})
}

func TestRepositoriesOfMirrorsAreNotPrefixesOfStrangers(t *testing.T) {
	for _, tt := range []struct {
		allowed, signed string
		want            bool
	}{
		{"origin.example/vision/*", "origin.example/vision/captioner", true},
		{"origin.example/vision/*", "origin.example/vision-evil/captioner", false},
		{"origin.example/vision/*", "origin.example/vision", false},
		{"origin.example/vision", "origin.example/vision/captioner", false},
		{"origin.example/vision*", "origin.example/vision-evil", false},
		{"*", "origin.example/vision", false},
		{"origin.example/*", "origin.example.evil/x", false},
	} {
		w := signedWorld()
		w.signatures[0].Repository, w.param.SignedRepositories = tt.signed, []string{tt.allowed}
		if c := w.check(t); (c.Outcome == verdict.Pass) != tt.want || !tt.want && c.Code != verdict.SignatureRepository {
			t.Errorf("%s for %s: %s %s", tt.signed, tt.allowed, c.Outcome, c.Code)
		}
	}
}

func TestAThresholdCountsPeopleNotSignatures(t *testing.T) {
	keyless := func(subject string, names ...string) fact.Signing {
		s := signing(names...)
		s.KeyID, s.Identity = string(digestOf("ephemeral "+subject+strings.Join(names, ","))), fact.Identity{Issuer: "https://issuer.example", Subject: subject}
		return s
	}
	for _, tt := range []struct {
		name    string
		signers []fact.Signing
		want    verdict.Outcome
	}{
		{"two people", []fact.Signing{signing("alice"), signing("bob")}, verdict.Pass},
		{"one person twice", []fact.Signing{signing("alice"), signing("alice")}, verdict.Fail},
		{"one key under two entries", []fact.Signing{signing("alice", "bob")}, verdict.Fail},
		{"one identity under two entries, signing twice", []fact.Signing{keyless("mallory", "alice"), keyless("mallory", "bob")}, verdict.Fail},
		{"two identities under two overlapping entries", []fact.Signing{keyless("ann", "alice", "bob"), keyless("ben", "alice")}, verdict.Pass},
		{"two identities under one entry", []fact.Signing{keyless("ann", "alice"), keyless("ben", "alice")}, verdict.Fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := signedWorld()
			w.param.RequireSignatureFrom, w.param.Threshold, w.signatures = []string{"alice", "bob"}, 2, nil
			for _, s := range tt.signers {
				w.signatures = append(w.signatures, fact.Signature{Signing: s, Subject: subject})
			}
			c := w.check(t)
			if c.Outcome != tt.want || tt.want == verdict.Fail && c.Code != verdict.SignatureThreshold {
				t.Errorf("%s %s: %s", c.Outcome, c.Code, c.Detail)
			}
		})
	}
}

func TestTheAnswerHoldsAsLongAsItsSignatures(t *testing.T) {
	w := signedWorld()
	w.signatures[0].Until = noon.Add(time.Hour)
	if c := w.check(t); !c.Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("until %s", c.Until)
	}
	// The same signer has signed again, for longer.
	w.signatures = append(w.signatures, fact.Signature{Signing: signing("alice"), Subject: subject})
	if c := w.check(t); !c.Until.IsZero() {
		t.Errorf("until %s although a signature without end is there", c.Until)
	}
}

func TestSignersThatNothingDefinesLeaveThePolicyNotReady(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		wrong      func(*world)
	}{
		{"an unknown name", `"mallory"`, func(w *world) { w.param.RequireSignatureFrom = []string{"mallory"} }},
		{"an approver of exceptions", "not for Images", func(w *world) { w.param.RequireSignatureFrom = []string{"approver"} }},
		{"a scanner", "house-scanner", func(w *world) { w.param.RequireSignatureFrom = []string{"house-scanner"} }},
		{"a threshold that cannot be reached", "threshold is 2", func(w *world) { w.param.Threshold = 2 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := signedWorld()
			tt.wrong(w)
			deniesAsNotReady(t, w, tt.says)
		})
	}
}

// deniesAsNotReady holds a world to a policy that is not ready for this reason,
// and to denying everything because of it.
func deniesAsNotReady(t *testing.T, w *world, says string) {
	t.Helper()
	p := Compile(w.documents(), nil).Policies[0]
	if !strings.Contains(strings.Join(p.NotReady, "\n"), says) {
		t.Fatalf("not ready because of %q, want …%s…", p.NotReady, says)
	}
	checks := p.Check(&w.q, w.facts(), w.now)
	d, _, _ := verdict.Decide(checks)
	if d != verdict.Deny || checks[0].Code != verdict.PolicyNotReady || checks[0].Outcome != verdict.Unknown {
		t.Errorf("%s: %+v", d, checks)
	}
}
