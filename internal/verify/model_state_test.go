package verify_test

import (
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/policy"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

func TestModelsAreRevokedByArtifactFilesAndKey(t *testing.T) {
	for name, spec := range map[string]func(*verifytest.Kit, verifytest.Model) (v1alpha1.RevocationSpec, verdict.Code){
		"the artifact": func(_ *verifytest.Kit, m verifytest.Model) (v1alpha1.RevocationSpec, verdict.Code) {
			return v1alpha1.RevocationSpec{Digest: string(m.Digest), Reason: "it lies"}, verdict.Revoked
		},
		"its files": func(_ *verifytest.Kit, m verifytest.Model) (v1alpha1.RevocationSpec, verdict.Code) {
			return v1alpha1.RevocationSpec{Digest: string(m.Root), Reason: "it lies"}, verdict.Revoked
		},
		"the key of its signer": func(k *verifytest.Kit, _ verifytest.Model) (v1alpha1.RevocationSpec, verdict.Code) {
			return v1alpha1.RevocationSpec{KeyID: k.Key("modeler").ID, Reason: "it leaked"}, verdict.ModelSignatureUntrusted
		},
		"the key of its scanner": func(k *verifytest.Kit, _ verifytest.Model) (v1alpha1.RevocationSpec, verdict.Code) {
			return v1alpha1.RevocationSpec{KeyID: k.Key("model-scanner").ID, Reason: "it leaked"}, verdict.ModelScanUntrusted
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := verifytest.New(t).WithModels()
			m := k.GoodModel("vision/model")
			k.AllowedModel(m.URI())
			k.AllowedModel(m.Fixed())
			r, code := spec(k, m)
			r.Signature = signDocument(t, k, "approver", policy.DocumentRevocation, r)
			k.Docs.Revocations = []v1alpha1.Revocation{{ObjectMeta: metav1.ObjectMeta{Name: "stop"}, Spec: r}}
			k.Publish() // with all that is cached
			k.DeniedModel(m.URI(), code)
			k.TwinModel(m.Fixed(), code, func() string { k.Docs.Revocations = nil; return m.Fixed() })
		})
	}
}

func TestModelsAreExceptedAndWatchedAsImagesAre(t *testing.T) {
	k := verifytest.New(t).WithModels()
	m := k.PushModel("vision/model", verifytest.Weights, "Apache-2.0")
	k.AttachEvidence(m, k.Evidence(m), "signature")
	except := func(rule string, digest verdict.Digest) {
		spec := v1alpha1.PolicyExceptionSpec{Digest: string(digest), Policy: "models", Rule: rule, Reason: "the key is being replaced", Author: "author@example.com", ExpiresAt: metav1.NewTime(verifytest.Now.Add(time.Hour))}
		spec.Signature = signDocument(t, k, "approver", policy.DocumentException, spec)
		k.Docs.Exceptions = []v1alpha1.PolicyException{{ObjectMeta: metav1.ObjectMeta{Name: "e"}, Spec: spec}}
		k.Restart()
	}
	except("ModelScanThreshold", m.Digest)
	k.DeniedModel(m.URI(), verdict.ModelSignatureMissing)
	except("RequireModelSignature", m.Root) // an exception is for one artifact
	k.DeniedModel(m.URI(), verdict.ModelSignatureMissing)
	except("RequireModelSignature", m.Digest)
	v := k.AllowedModel(m.URI())
	if c := v.Checks[0]; c.Rule != "RequireModelSignature" || c.Outcome != verdict.Fail || c.Exception != "e" {
		t.Errorf("the failed check has vanished: %+v", c)
	}
	k.Clock.Advance(time.Hour)
	k.DeniedModel(m.URI(), verdict.ModelSignatureMissing)

	k.Docs.Exceptions = nil
	for enforcement, want := range map[v1alpha1.Enforcement]verdict.Decision{v1alpha1.Observe: verdict.Allow, v1alpha1.Warn: verdict.Warn, v1alpha1.Enforce: verdict.Deny} {
		k.Docs.Models[0].Spec.Enforcement = enforcement
		k.Publish()
		if v := k.AskModel(m.URI()); v.Decision != want {
			t.Errorf("%s: %s %s", enforcement, v.Decision, v.Reason)
		}
	}
	// What no rule asks is not watched but denied: the files have to be known.
	index := k.PushIndex("vision/index", verifytest.App("one"))
	k.Docs.Models[0].Spec.Enforcement = v1alpha1.Observe
	k.Publish()
	k.DeniedModel("oci://"+index.Image(), verdict.ModelMediaType)
}

func TestModelsThatNoPolicySelectsAreDenied(t *testing.T) {
	k := verifytest.New(t).WithModels()
	m := k.GoodModel("vision/model")
	q := verdict.Question{Asked: m.URI(), Labels: map[string]string{"app": "other"}}
	q.Kind = verdict.KindModel
	if v := k.AskQuestion(q); v.Decision != verdict.Deny || v.Code != verdict.Unselected {
		t.Errorf("%s %s", v.Decision, v.Code)
	}
	models := k.Options.Models
	k.Options.Models = nil
	k.Restart()
	k.TwinModel(m.URI(), verdict.Internal, func() string { k.Options.Models = models; return m.URI() })
	k.Docs.Models[0].Spec.Rules[0].Parameters.RequireSignatureFrom = []string{"release"} // for images
	k.Publish()
	k.DeniedModel(m.URI(), verdict.PolicyNotReady)
}

func TestModelsAreJudgedAnewWhenWhatWasFoundMayHaveChanged(t *testing.T) {
	k := verifytest.New(t).WithModels()
	path := filepath.Join(t.TempDir(), "cache.db")
	k.Options.Store, _ = openDisk(t, k, path, []byte("key"))
	k.Restart()
	m := k.GoodModel("vision/model")
	first := k.AllowedModel(m.Fixed())
	if !first.Until.After(k.Clock.Now()) || first.Until.After(k.Clock.Now().Add(10*time.Minute)) {
		t.Errorf("the verdict holds until %s", first.Until)
	}
	// Another process finds verdict and facts in the store.
	k.Options.Store, _ = openDisk(t, k, path, []byte("key"))
	k.Server.Forget()
	k.RestartSame()
	if v := k.AllowedModel(m.Fixed()); !v.Cached || v.Digest != m.Digest || len(v.Checks) != len(first.Checks) {
		t.Errorf("cached %t, about %s", v.Cached, v.Digest)
	}
	if asked := k.Server.Requests(); len(asked) != 0 {
		t.Errorf("requests for what is known: %v", asked)
	}
	// A changed policy judges anew, and fetches nothing but evidence that grew old.
	k.AllowedModel(m.URI())
	k.ModelRule(v1alpha1.AllowedLicenses).AllowedLicenses = []string{"MIT"}
	k.Server.Forget()
	k.Publish()
	k.DeniedModel(m.Fixed(), verdict.ModelLicenseDenied)
	if n := k.Server.Count("", "/blobs/"+string(m.Files[0].Digest)); n != 0 {
		t.Error("a file was fetched for a verdict")
	}
	k.ModelRule(v1alpha1.AllowedLicenses).AllowedLicenses = []string{"Apache-2.0"}
	k.Publish()
	k.AllowedModel(m.Fixed())
	// The answer ends with the age of the scan, in the running process too.
	k.Clock.Advance(30*24*time.Hour - time.Hour - time.Minute)
	if v := k.AllowedModel(m.Fixed()); !v.Until.Equal(k.Clock.Now().Add(time.Minute)) {
		t.Errorf("the verdict holds until %s, at %s", v.Until, k.Clock.Now())
	}
	k.Clock.Advance(2 * time.Minute)
	k.DeniedModel(m.Fixed(), verdict.ModelScanStale)
	k.AttachBundle(m.Pushed, k.ModelBundle("model-scanner", m, fact.PredicateModelScan, k.CleanScan(m)))
	k.Clock.Advance(31 * time.Second)
	k.AllowedModel(m.Fixed())
}
