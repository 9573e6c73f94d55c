package verify_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci/build"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/policy"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

// The tests in this file are the rows of the table of known ways around image
// verification, each with its allowing twin, from end to end: a real registry,
// real signatures, the policies of the reference example.

func TestTheReferencePolicyAllowsAGoodImage(t *testing.T) {
	k := verifytest.New(t)
	p := k.Good("vision/captioner")
	v := k.Allowed(p.Image())
	if len(v.Checks) != 3 || v.Digest != p.Digest {
		t.Fatalf("verdict about %s with %d checks", v.Digest, len(v.Checks))
	}
	k.Allowed(p.Pinned())
}

// Row 4: a registry that answers the same tag differently each time.
func TestRow04ATagIsResolvedOnceAndThenOnlyDigestsAreUsed(t *testing.T) {
	var mu sync.Mutex
	var manifests [][]byte
	served := 0
	k := verifytest.New(t, ocitest.Behind(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if len(manifests) > 0 && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/manifests/1.0") {
				w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
				w.Write(manifests[served%len(manifests)])
				served++
				return
			}
			h.ServeHTTP(w, r)
		})
	}))
	good, bad := k.Good("vision/app"), k.Push("vision/app-bad", verifytest.App("bad"))
	raw := func(p verifytest.Pushed) []byte {
		m, err := k.Client.Resolve(t.Context(), mustParse(t, p.Pinned()))
		if err != nil {
			t.Fatal(err)
		}
		return m.Raw
	}
	goodRaw, badRaw := raw(good), raw(bad)
	mu.Lock()
	manifests = [][]byte{goodRaw, badRaw}
	mu.Unlock()

	v := k.Allowed(good.Image())
	mu.Lock()
	defer mu.Unlock()
	if served != 1 {
		t.Fatalf("the tag was asked for %d times", served)
	}
	if v.Digest != good.Digest {
		t.Fatalf("the verdict is about %s", v.Digest)
	}
}

// Row 5: a digest beside a tag wins, and the tag feeds no rule.
func TestRow05ADigestBesideATagWins(t *testing.T) {
	k := verifytest.New(t)
	good, bad := k.Good("vision/app"), k.Push("vision/app-unsigned", verifytest.App("unsigned"))
	_ = bad
	k.PushBuilt("vision/app", mustBuild(t, verifytest.App("other"))) // the tag has moved on
	k.Twin(good.Repo+":1.0", verdict.SignatureMissing, func() string { return good.Repo + ":1.0@" + string(good.Digest) })
}

// Row 6: other ways to write a host.
func TestRow06HostAliasesAndHomoglyphsAreRefused(t *testing.T) {
	k := verifytest.New(t)
	good := k.Good("vision/app")
	for _, name := range []string{
		strings.Replace(good.Image(), "127.0.0.1", "user:secret@127.0.0.1", 1),
		strings.Replace(good.Image(), "vision", "visiоn", 1), // Cyrillic о
		strings.Replace(good.Image(), "vision", "vis\u200bion", 1),
		strings.Replace(good.Image(), "vision/", "vision%2f", 1),
		strings.Replace(good.Image(), "vision", "Vision", 1),
		good.Image() + "\n", " " + good.Image(), good.Image() + "@" + "sha256:abc",
		strings.Replace(good.Image(), "/vision", "//vision", 1),
		strings.Replace(good.Image(), "/vision", "/../vision", 1),
	} {
		v := k.Denied(name, verdict.ReferenceInvalid)
		if strings.Contains(v.Reason, "secret") {
			t.Errorf("the reason shows the credentials: %s", v.Reason)
		}
	}
	k.Allowed(good.Image())
}

// Rows 9 and 30: exceptions.
func TestRow09And30ExceptionsAreSignedByAnotherPersonForOneDigestAndEnd(t *testing.T) {
	k := verifytest.New(t)
	p := k.Push("vision/app", verifytest.App("unsigned"))
	k.Scanned(p)
	good := func() v1alpha1.PolicyExceptionSpec {
		return v1alpha1.PolicyExceptionSpec{
			Digest: string(p.Digest), Policy: "reference", Rule: "RequireImageSignature",
			Reason: "the release key is being replaced", Author: "author@example.com",
			ExpiresAt: metav1.NewTime(verifytest.Now.Add(time.Hour)),
		}
	}
	exception := func(name, key string, change func(*v1alpha1.PolicyExceptionSpec)) v1alpha1.PolicyException {
		spec := good()
		if change != nil {
			change(&spec)
		}
		if key != "" {
			spec.Signature = signDocument(t, k, key, policy.DocumentException, spec)
		}
		return v1alpha1.PolicyException{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	}
	k.Denied(p.Image(), verdict.SignatureMissing)
	for name, given := range map[string][]v1alpha1.PolicyException{
		"unsigned":                      {exception("e", "", nil)},
		"signed by a release key":       {exception("e", "release", nil)},
		"signed by a stranger":          {exception("e", "stranger", nil)},
		"approved by its own author":    {exception("e", "approver", func(s *v1alpha1.PolicyExceptionSpec) { s.Author = "Approver@example.com" })},
		"for another digest":            {exception("e", "approver", func(s *v1alpha1.PolicyExceptionSpec) { s.Digest = "sha256:" + strings.Repeat("0", 64) })},
		"for a tag":                     {exception("e", "approver", func(s *v1alpha1.PolicyExceptionSpec) { s.Digest = "1.0" })},
		"for another rule":              {exception("e", "approver", func(s *v1alpha1.PolicyExceptionSpec) { s.Rule = "RequireSBOM" })},
		"for another policy":            {exception("e", "approver", func(s *v1alpha1.PolicyExceptionSpec) { s.Policy = "other" })},
		"for another repository":        {exception("e", "approver", func(s *v1alpha1.PolicyExceptionSpec) { s.Repository = "example.com/app" })},
		"without an expiry":             {exception("e", "approver", func(s *v1alpha1.PolicyExceptionSpec) { s.ExpiresAt = metav1.Time{} })},
		"expired":                       {exception("e", "approver", func(s *v1alpha1.PolicyExceptionSpec) { s.ExpiresAt = metav1.NewTime(verifytest.Now.Add(-time.Second)) })},
		"two that cover the same check": {exception("e1", "approver", nil), exception("e2", "approver", nil)},
		"changed after it was signed": {func() v1alpha1.PolicyException {
			e := exception("e", "approver", nil)
			e.Spec.ExpiresAt = metav1.NewTime(verifytest.Now.AddDate(10, 0, 0))
			return e
		}()},
	} {
		t.Run(name, func(t *testing.T) {
			k.Docs.Exceptions = given
			k.Restart()
			k.Denied(p.Image(), verdict.SignatureMissing)
		})
	}
	k.Docs.Exceptions = []v1alpha1.PolicyException{exception("e", "approver", nil)}
	k.Restart()
	v := k.Allowed(p.Image())
	failed := v.Checks[slices.IndexFunc(v.Checks, func(c verdict.Check) bool { return c.Rule == "RequireImageSignature" })]
	if failed.Outcome != verdict.Fail || failed.Exception != "e" {
		t.Fatalf("the failed check has vanished behind the exception: %+v", failed)
	}
	// It ends by itself, in the running process too.
	k.Clock.Advance(time.Hour)
	k.Denied(p.Image(), verdict.SignatureMissing)
}

// Row 12: a signature that was made for another repository.
func TestRow12ASignatureCopiedFromAnotherRepositoryDoesNotCount(t *testing.T) {
	k := verifytest.New(t)
	copied := k.Push("mirror/app", verifytest.App("app"))
	k.SignAs("release", copied, k.Server.Repo("vision/app"))
	k.Scanned(copied)
	k.Twin(copied.Image(), verdict.SignatureRepository, func() string {
		k.Rule(v1alpha1.RequireImageSignature).SignedRepositories = []string{k.Server.Repo("vision/app")}
		return copied.Image()
	})
}

func TestRow12ASignatureThatNamesNoRepositoryDoesNotCount(t *testing.T) {
	k := verifytest.New(t)
	p := k.Push("vision/app", verifytest.App("app"))
	k.SignUnbound("release", p)
	k.Scanned(p)
	k.Twin(p.Image(), verdict.SignatureRepository, func() string {
		k.Rule(v1alpha1.RequireImageSignature).UnboundSignatures = "Allow"
		return p.Image()
	})
}

// Row 13: an attestation is no signature, and one of another type no report.
func TestRow13AnAttestationOfAnotherTypeDoesNotCount(t *testing.T) {
	k := verifytest.New(t)
	p := k.Push("vision/app", verifytest.App("app"))
	k.Attest("release", p, "slsaprovenance1", map[string]any{})
	k.Scanned(p)
	k.Twin(p.Image(), verdict.SignatureMissing, func() string { k.Sign("release", p); return p.Image() })
}

func TestRow13AnAttestationAboutAnotherSubjectDoesNotCount(t *testing.T) {
	k := verifytest.New(t)
	p, other := k.Push("vision/app", verifytest.App("app")), k.Push("vision/other", verifytest.App("other"))
	k.Scanned(p)
	bundle, err := trust.SignImage(k.Key("release").Signer, p.Repo, other.Digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	k.AttachBundle(p, bundle)
	k.Twin(p.Image(), verdict.SignatureSubject, func() string { k.Sign("release", p); return p.Image() })
}

func TestRow13AnUnreadableSignatureIsADenialAndDoesNotSpoilAGoodOne(t *testing.T) {
	k := verifytest.New(t)
	p := k.Push("vision/app", verifytest.App("app"))
	k.Scanned(p)
	k.AttachBundle(p, []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payload":"!!"}}`))
	k.Twin(p.Image(), verdict.SignatureInvalid, func() string { k.Sign("release", p); return p.Image() })
}

// Row 14: DSSE.
func TestRow14APayloadWithDuplicateKeysDoesNotCount(t *testing.T) {
	k := verifytest.New(t)
	p := k.Push("vision/app", verifytest.App("app"))
	k.Scanned(p)
	bundle, err := trust.SignImage(k.Key("release").Signer, p.Repo, p.Digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	k.AttachBundle(p, []byte(strings.Replace(string(bundle), "{", `{"dsseEnvelope":null,`, 1)))
	v := k.Ask(p.Image())
	if v.Decision != verdict.Deny || v.Code != verdict.SignatureInvalid {
		t.Fatalf("got %s %s", v.Decision, v.Code)
	}
	k.AttachBundle(p, bundle)
	k.Restart()
	k.Allowed(p.Image())
}

// Row 16: a key that was revoked, and a key outside of its validity.
func TestRow16ARevokedKeyDoesNotCountAnyMore(t *testing.T) {
	k := verifytest.New(t)
	p := k.Good("vision/app")
	spec := v1alpha1.RevocationSpec{KeyID: k.Key("release").ID, Reason: "the key leaked"}
	spec.Signature = signDocument(t, k, "approver", policy.DocumentRevocation, spec)
	k.Docs.Revocations = []v1alpha1.Revocation{{ObjectMeta: metav1.ObjectMeta{Name: "leak"}, Spec: spec}}
	k.Restart()
	v := k.Ask(p.Image())
	if v.Decision != verdict.Deny || v.Code != verdict.SignatureRevokedKey {
		t.Fatalf("got %s %s (%s)", v.Decision, v.Code, v.Reason)
	}
	k.Docs.Revocations = nil
	k.Restart()
	k.Allowed(p.Image())
}

func TestRow16AKeyOutsideOfItsValidityDoesNotCount(t *testing.T) {
	k := verifytest.New(t)
	p := k.Good("vision/app")
	until := metav1.NewTime(verifytest.Now.Add(-time.Minute))
	entry := &k.Docs.TrustRoots[0].Spec.Entries[0]
	entry.Key.ValidUntil = &until
	k.Restart()
	k.Twin(p.Image(), verdict.SignatureKeyValidity, func() string {
		later := metav1.NewTime(verifytest.Now.Add(time.Minute))
		entry.Key.ValidUntil = &later
		return p.Image()
	})
	// What the validity allows now it does not allow for ever.
	k.Clock.Advance(2 * time.Minute)
	k.Denied(p.Image(), verdict.SignatureKeyValidity)
}

// Row 18: an old build that is validly signed, and a digest that is revoked.
func TestRow18AnOldBuildIsRefused(t *testing.T) {
	k := verifytest.New(t)
	p := k.Good("vision/app")
	after := metav1.NewTime(verifytest.Now)
	k.Rule(v1alpha1.RequireImageSignature).BuiltAfter = &after
	k.Restart()
	k.Twin(p.Image(), verdict.SignatureTooOld, func() string {
		before := metav1.NewTime(verifytest.Now.AddDate(0, 0, -2))
		k.Rule(v1alpha1.RequireImageSignature).BuiltAfter = &before
		return p.Image()
	})
}

func TestRow18ARevokedDigestIsStoppedAtOnceEvenByAnUnsignedRevocation(t *testing.T) {
	k := verifytest.New(t)
	p := k.Good("vision/app")
	k.Allowed(p.Image()) // and cached
	k.Docs.Revocations = []v1alpha1.Revocation{{ObjectMeta: metav1.ObjectMeta{Name: "stop"}, Spec: v1alpha1.RevocationSpec{Digest: string(p.Digest), Reason: "it phones home"}}}
	k.Publish()
	v := k.Denied(p.Image(), verdict.Revoked)
	if !strings.Contains(v.Reason, "it phones home") {
		t.Fatalf("the reason is missing: %s", v.Reason)
	}
	k.Denied(p.Pinned(), verdict.Revoked)
	k.Docs.Revocations = nil
	k.Publish()
	k.Allowed(p.Image())
}

func TestRow18ARevokedPlatformStopsTheIndexThatListsIt(t *testing.T) {
	k := verifytest.New(t)
	k.Only(v1alpha1.RequireImageSignature)
	k.Publish()
	other := verifytest.App("multi")
	other.Platform = "linux/arm64"
	p := k.PushIndex("vision/multi", verifytest.App("multi"), other)
	k.Sign("release", p)
	k.Allowed(p.Image()) // and cached
	for _, stopped := range []verdict.Digest{p.Digest, p.Platforms[0].Digest, p.Platforms[1].Digest} {
		k.Docs.Revocations = []v1alpha1.Revocation{{ObjectMeta: metav1.ObjectMeta{Name: "stop"}, Spec: v1alpha1.RevocationSpec{Digest: string(stopped), Reason: "it phones home"}}}
		k.Publish()
		k.Denied(p.Image(), verdict.Revoked)
		k.Denied(p.Pinned(), verdict.Revoked)
	}
	k.Docs.Revocations = nil
	k.Publish()
	k.Allowed(p.Image())
}

// Row 19: vulnerability reports.
func TestRow19OnlyAFreshReportOfTheNamedScannerAboutThisDigestCounts(t *testing.T) {
	hour := time.Hour
	for _, row := range []struct {
		name   string
		attest func(k *verifytest.Kit, p verifytest.Pushed)
		code   verdict.Code
	}{
		{"no report", func(*verifytest.Kit, verifytest.Pushed) {}, verdict.ReportMissing},
		{"stale", func(k *verifytest.Kit, p verifytest.Pushed) {
			k.Attest("scanner", p, "vuln", verifytest.Scan(p.Digest, verifytest.Now.Add(-25*hour)))
		}, verdict.ReportStale},
		{"from the future", func(k *verifytest.Kit, p verifytest.Pushed) {
			k.Attest("scanner", p, "vuln", verifytest.Scan(p.Digest, verifytest.Now.Add(hour)))
		}, verdict.ReportFuture},
		{"about another digest", func(k *verifytest.Kit, p verifytest.Pushed) {
			k.Attest("scanner", p, "vuln", verifytest.Scan(verdict.Digest("sha256:"+strings.Repeat("1", 64)), verifytest.Now.Add(-hour)))
		}, verdict.ReportSubject},
		{"by another scanner", func(k *verifytest.Kit, p verifytest.Pushed) {
			scan := verifytest.Scan(p.Digest, verifytest.Now.Add(-hour))
			scan["scanner"] = map[string]any{"uri": "https://example.com/othertool", "version": "1", "result": map[string]any{"vulnerabilities": []any{}}}
			k.Attest("scanner", p, "vuln", scan)
		}, verdict.ReportScanner},
		{"signed by somebody else", func(k *verifytest.Kit, p verifytest.Pushed) {
			k.Attest("release", p, "vuln", verifytest.Scan(p.Digest, verifytest.Now.Add(-hour)))
		}, verdict.ReportUnsigned},
		{"of a scan that left no result", func(k *verifytest.Kit, p verifytest.Pushed) {
			scan := verifytest.Scan(p.Digest, verifytest.Now.Add(-hour))
			scan["scanner"].(map[string]any)["result"] = nil
			k.Attest("scanner", p, "vuln", scan)
		}, verdict.ReportFailed},
		{"with a high finding", func(k *verifytest.Kit, p verifytest.Pushed) {
			k.Attest("scanner", p, "vuln", verifytest.Scan(p.Digest, verifytest.Now.Add(-2*hour), "LOW", "HIGH"))
		}, verdict.VulnerabilityOver},
		{"with a finding without a severity", func(k *verifytest.Kit, p verifytest.Pushed) {
			k.Attest("scanner", p, "vuln", verifytest.Scan(p.Digest, verifytest.Now.Add(-2*hour), "UNKNOWN"))
		}, verdict.SeverityUnknown},
		{"clean, but with a newer one that is not", func(k *verifytest.Kit, p verifytest.Pushed) {
			k.Attest("scanner", p, "vuln", verifytest.Scan(p.Digest, verifytest.Now.Add(-3*hour)))
			k.Attest("scanner", p, "vuln", verifytest.Scan(p.Digest, verifytest.Now.Add(-2*hour), "CRITICAL"))
		}, verdict.VulnerabilityOver},
	} {
		t.Run(row.name, func(t *testing.T) {
			k := verifytest.New(t)
			p := k.Push("vision/app", verifytest.App("app"))
			k.Sign("release", p)
			row.attest(k, p)
			k.Twin(p.Image(), row.code, func() string { k.Scanned(p); return p.Image() })
		})
	}
}

func TestRow19AReportAgesInTheRunningProcess(t *testing.T) {
	k := verifytest.New(t)
	p := k.Good("vision/app") // its scan is an hour old
	k.Allowed(p.Image())
	k.Clock.Advance(23*time.Hour - time.Second)
	k.Allowed(p.Image())
	k.Clock.Advance(2 * time.Second)
	k.Denied(p.Image(), verdict.ReportStale)
}

// Row 20: base images.
func TestRow20OnlyLayersProveABase(t *testing.T) {
	padding := build.Layer{}
	for _, row := range []struct {
		name        string
		layers      []build.Layer
		annotations map[string]string
		code        verdict.Code
	}{
		{"an annotation beside other layers", []build.Layer{{"a": "x"}, {"b": "y"}}, map[string]string{fact.AnnotationBaseName: verifytest.BaseName}, verdict.BaseForged},
		{"the right annotation digest beside other layers", []build.Layer{{"a": "x"}}, map[string]string{fact.AnnotationBaseName: verifytest.BaseName, fact.AnnotationBaseDigest: "sha256:" + strings.Repeat("2", 64)}, verdict.BaseForged},
		{"layers in another order", []build.Layer{verifytest.Base[1], verifytest.Base[0]}, nil, verdict.BaseUnapproved},
		{"only some of the layers", verifytest.Base[:1], nil, verdict.BaseUnapproved},
		{"an empty layer before the base's", append([]build.Layer{padding}, verifytest.Base...), nil, verdict.BaseUnapproved},
		{"an empty layer between the base's", []build.Layer{verifytest.Base[0], padding, verifytest.Base[1]}, nil, verdict.BaseUnapproved},
		{"the base's layers on top of others", append([]build.Layer{{"a": "x"}}, verifytest.Base...), nil, verdict.BaseUnapproved},
		{"an annotation with a tag that no pattern allows", []build.Layer{{"a": "x"}}, map[string]string{fact.AnnotationBaseName: "pytorch/pytorch:2.6.0-cuda12.4-cudnn9-runtime"}, verdict.BasePattern},
	} {
		t.Run(row.name, func(t *testing.T) {
			k := verifytest.New(t)
			k.Only(v1alpha1.AllowOnlyApprovedBaseImages)
			k.Publish()
			img := build.Image{Platform: "linux/amd64", Created: verifytest.Now, Layers: row.layers, Annotations: row.annotations}
			p := k.Push("vision/app", img)
			k.Twin(p.Image(), row.code, func() string {
				img.Layers = append(slices.Clone(verifytest.Base), row.layers...)
				return k.Push("vision/mended", img).Image()
			})
		})
	}
}

func TestRow20TheSeedsSecondPatternOffersTheOneThatMatches(t *testing.T) {
	k := verifytest.New(t)
	k.Only(v1alpha1.AllowOnlyApprovedBaseImages)
	const tag = "pytorch/pytorch:2.6.0-cuda12.4-cudnn9-runtime"
	k.Docs.Locks = []v1alpha1.BaseImageLock{k.Lock(tag, "linux/amd64", verifytest.Base...)}
	k.Publish()
	p := k.Push("vision/app", verifytest.App("app"))
	v := k.Denied(p.Image(), verdict.BasePattern)
	if !strings.Contains(v.Checks[0].Mend, `"pytorch/pytorch:2.x-cuda*"`) {
		t.Fatalf("the mend does not offer the pattern: %q", v.Checks[0].Mend)
	}
	k.Rule(v1alpha1.AllowOnlyApprovedBaseImages).AllowedBaseImages = []string{"pytorch/pytorch:2.x-cuda*"}
	k.Publish()
	k.Allowed(p.Image())
}

func TestRow20SignedProvenanceProvesABase(t *testing.T) {
	k := verifytest.New(t)
	k.Only(v1alpha1.AllowOnlyApprovedBaseImages)
	k.Rule(v1alpha1.AllowOnlyApprovedBaseImages).BaseProvenanceFrom = []string{"builder"}
	k.Publish()
	p := k.Push("vision/app", build.Image{Platform: "linux/amd64", Created: verifytest.Now, Layers: []build.Layer{{"squashed": "all in one layer"}}})
	predicate := map[string]any{
		"buildDefinition": map[string]any{"buildType": "https://example.com/build/v1", "externalParameters": map[string]any{},
			"resolvedDependencies": []any{map[string]any{"uri": "pkg:docker/pytorch/pytorch@2.6-cuda", "digest": map[string]any{"sha256": strings.Repeat("3", 64)}}}},
		"runDetails": map[string]any{"builder": map[string]any{"id": "https://example.com/builder"}},
	}
	k.Attest("release", p, "slsaprovenance1", predicate) // by a key that is not named for it
	k.Twin(p.Image(), verdict.BaseUnapproved, func() string { k.Attest("builder", p, "slsaprovenance1", predicate); return p.Image() })
}

// Row 21: indexes.
func TestRow21EveryPlatformOfAnIndexHasToPass(t *testing.T) {
	k := verifytest.New(t)
	arm := build.Image{Platform: "linux/arm64", Created: verifytest.Now, Layers: []build.Layer{{"a": "alpine"}}}
	p := k.PushIndex("vision/multi", verifytest.App("multi"), arm)
	k.Sign("release", p)
	k.Scanned(p.Of(0))
	k.Scanned(p.Of(1))
	v := k.Denied(p.Image(), verdict.BaseUnapproved)
	if !strings.HasPrefix(v.Reason, "linux/arm64") {
		t.Fatalf("the reason does not say which platform: %s", v.Reason)
	}
	k.Docs.Locks = append(k.Docs.Locks, k.Lock("pytorch/pytorch:2.7-cuda", "linux/arm64", arm.Layers...))
	k.Restart()
	k.Allowed(p.Image())
}

func TestRow21AReportAboutTheIndexSaysNothingAboutItsPlatforms(t *testing.T) {
	k := verifytest.New(t)
	k.Only(v1alpha1.VulnerabilityScanThreshold)
	k.Publish()
	p := k.PushIndex("vision/multi", verifytest.App("multi"))
	k.Scanned(p)
	k.Twin(p.Image(), verdict.ReportSubject, func() string { k.Scanned(p.Of(0)); return p.Image() })
}

func TestRow21ASignatureOverOneChildDoesNotCoverTheOther(t *testing.T) {
	k := verifytest.New(t)
	k.Only(v1alpha1.RequireImageSignature)
	k.Publish()
	other := verifytest.App("multi")
	other.Platform = "linux/arm64"
	p := k.PushIndex("vision/multi", verifytest.App("multi"), other)
	k.Sign("release", p.Of(0))
	k.Twin(p.Image(), verdict.SignatureMissing, func() string { k.Sign("release", p.Of(1)); return p.Image() })
}

func TestRow21APlatformThatThePolicyNamesHasToBeThere(t *testing.T) {
	k := verifytest.New(t)
	k.Only(v1alpha1.RequireImageSignature)
	k.Docs.Policies[0].Spec.Platforms = []string{"linux/amd64", "linux/arm64"}
	k.Publish()
	p := k.PushIndex("vision/multi", verifytest.App("multi"))
	k.Sign("release", p)
	k.Twin(p.Image(), verdict.ImagePlatformMissing, func() string {
		k.Docs.Policies[0].Spec.Platforms = []string{"linux/amd64"}
		return p.Image()
	})
	single := k.Push("vision/single", verifytest.App("single"))
	k.Sign("release", single)
	k.Allowed(single.Image())
	k.Docs.Policies[0].Spec.Platforms = []string{"linux/arm64"}
	k.Publish()
	k.Denied(single.Image(), verdict.ImagePlatformMissing)
}

func TestRow21AVariantOrAnUnnamedEntryDoesNotSlipPastNamedPlatforms(t *testing.T) {
	for name, platform := range map[string]string{"a variant": "linux/amd64/v3", "no platform": ""} {
		t.Run(name, func(t *testing.T) {
			k := verifytest.New(t)
			k.Only(v1alpha1.AllowOnlyApprovedBaseImages)
			k.Docs.Policies[0].Spec.Platforms = []string{"linux/amd64"}
			k.Publish()
			slipped := build.Image{Platform: "linux/amd64", Created: verifytest.Now, Layers: []build.Layer{{"a": "alpine"}}}
			index := func(second build.Image) string {
				return k.PushIndexAs("vision/"+strings.ReplaceAll(name, " ", "-"), map[int]string{1: platform}, verifytest.App("multi"), second).Pinned()
			}
			v := k.Ask(index(slipped))
			if v.Decision != verdict.Deny || v.Code != verdict.BaseUnapproved {
				t.Fatalf("got %s %s (%s)", v.Decision, v.Code, v.Reason)
			}
			slipped.Layers = append(slices.Clone(verifytest.Base), slipped.Layers...)
			k.Allowed(index(slipped))
		})
	}
}

// Row 22 and 23 are the registry client's (package oci); this is what the
// engine makes of its errors.
func TestRow22And23WhatTheRegistryRefusesIsDeniedWithItsReason(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer http.HandlerFunc
		code   verdict.Code
	}{
		{"a login page", ocitest.LoginPage(), verdict.RegistryAnswer},
		{"an endless body", ocitest.Endless("application/vnd.oci.image.manifest.v1+json"), verdict.RegistryTooLarge},
		{"too many requests", ocitest.Status(http.StatusTooManyRequests, "Retry-After", "7"), verdict.RegistryLimited},
		{"a redirect to the metadata service", ocitest.Redirect("http://169.254.169.254/latest/meta-data"), verdict.RegistryAddress},
		{"not found", ocitest.Status(http.StatusNotFound), verdict.RegistryNotFound},
		{"unauthorized", ocitest.Status(http.StatusForbidden), verdict.RegistryUnauthorized},
	} {
		t.Run(row.name, func(t *testing.T) {
			var mu sync.Mutex
			hostile := false
			k := verifytest.New(t, ocitest.Behind(func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					bad := hostile
					mu.Unlock()
					if bad {
						row.answer(w, r)
						return
					}
					h.ServeHTTP(w, r)
				})
			}))
			p := k.Good("vision/app")
			mu.Lock()
			hostile = true
			mu.Unlock()
			k.Denied(p.Image(), row.code)
			mu.Lock()
			hostile = false
			mu.Unlock()
			k.Allowed(p.Image()) // in the same process: the error was not stored
		})
	}
}

// Row 24: the listing of referrers.
func TestRow24AnEmptyListingWithTheRealIndexUnderTheFallbackTag(t *testing.T) {
	var mu sync.Mutex
	empty := false
	k := verifytest.New(t, ocitest.WithoutReferrers(), ocitest.Behind(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			answerEmpty := empty
			mu.Unlock()
			if answerEmpty && strings.Contains(r.URL.Path, "/referrers/") {
				ocitest.Answer("application/vnd.oci.image.index.v1+json", []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`))(w, r)
				return
			}
			h.ServeHTTP(w, r)
		})
	}))
	p := k.Good("vision/app") // attached under the fallback tag
	mu.Lock()
	empty = true
	mu.Unlock()
	k.Restart()
	k.Allowed(p.Image())
	unsigned := k.Push("vision/unsigned", verifytest.App("unsigned"))
	k.Scanned(unsigned)
	k.Denied(unsigned.Image(), verdict.SignatureMissing)
}

func TestRow24AListingThatFailsIsNoEmptyListing(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"login page":        ocitest.LoginPage(),
		"too many requests": ocitest.Status(http.StatusTooManyRequests),
		"server error":      ocitest.Status(http.StatusInternalServerError),
	} {
		t.Run(name, func(t *testing.T) {
			k := verifytest.New(t, ocitest.Behind(func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.Contains(r.URL.Path, "/referrers/") && r.Method == http.MethodGet {
						answer(w, r)
						return
					}
					h.ServeHTTP(w, r)
				})
			}))
			k.Only(v1alpha1.RequireImageSignature)
			// In Observe mode nothing bites, but nothing is called absent either.
			k.Publish()
			p := k.Push("vision/app", verifytest.App("app"))
			v := k.Ask(p.Image())
			if v.Decision != verdict.Deny || v.Code == verdict.SignatureMissing || v.Checks[0].Outcome != verdict.Unknown {
				t.Fatalf("got %s %s, outcome %s", v.Decision, v.Code, v.Checks[0].Outcome)
			}
		})
	}
}

// Row 25: caches.
func TestRow25AnErrorIsNeverStored(t *testing.T) {
	var mu sync.Mutex
	down := false
	k := verifytest.New(t, ocitest.Behind(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			bad := down
			mu.Unlock()
			if bad && strings.Contains(r.URL.Path, "/blobs/") {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			h.ServeHTTP(w, r)
		})
	}))
	p := k.Good("vision/app")
	mu.Lock()
	down = true
	mu.Unlock()
	if v := k.Ask(p.Image()); v.Decision != verdict.Deny {
		t.Fatalf("allowed without evidence: %s", v.Reason)
	}
	mu.Lock()
	down = false
	mu.Unlock()
	k.Allowed(p.Image())
}

func TestRow25AVerdictIsNotSharedBetweenRepositoriesLabelsOrGenerations(t *testing.T) {
	k := verifytest.New(t)
	p := k.Good("vision/app")
	k.Allowed(p.Image())
	// The same digest elsewhere is another subject.
	elsewhere := k.Push("mirror/app", verifytest.App("vision/app"))
	if elsewhere.Digest != p.Digest {
		t.Fatal("the test needs one digest in two repositories")
	}
	k.Denied(elsewhere.Image(), verdict.SignatureMissing)
	// Other labels select other policies.
	v := k.AskQuestion(verdict.Question{Asked: p.Image(), Labels: map[string]string{"app": "other"}})
	if v.Decision != verdict.Deny || v.Code != verdict.Unselected {
		t.Fatalf("got %s %s", v.Decision, v.Code)
	}
	// Another generation judges anew.
	k.Docs.TrustRoots[0].Spec.Entries[0] = k.Entry("release-v2")
	k.Docs.TrustRoots[0].Spec.Entries[0].Name = "release"
	k.Publish()
	k.Denied(p.Image(), verdict.SignatureUntrusted)
}

func TestRow25ADenialIsAskedAgainWhenItsEvidenceGrowsOld(t *testing.T) {
	k := verifytest.New(t)
	p := k.Push("vision/app", verifytest.App("app"))
	k.Scanned(p)
	k.Denied(p.Image(), verdict.SignatureMissing)
	k.Sign("release", p)
	k.Clock.Advance(31 * time.Second)
	k.Allowed(p.Image())
}

func TestRow25ARepetitionFetchesNothingAndIsRecorded(t *testing.T) {
	k := verifytest.New(t)
	p := k.Good("vision/app")
	k.Allowed(p.Image())
	k.Server.Forget()
	first := len(k.Records.All())
	v := k.Allowed(p.Pinned())
	if n := len(k.Server.Requests()); n != 0 {
		t.Fatalf("%d requests for a verdict that is known: %v", n, k.Server.Requests())
	}
	records := k.Records.All()
	if !v.Cached || len(records) != first+1 {
		t.Fatalf("cached %v, %d new records", v.Cached, len(records)-first)
	}
	if last := records[len(records)-1]; last.Durable {
		t.Fatal("the repetition of an allow need not wait for the disk")
	}
	if !records[0].Durable {
		t.Fatal("a first verdict has to be durable before it is given")
	}
}

func TestAnEditedPolicyFetchesNothingAgain(t *testing.T) {
	k := verifytest.New(t)
	p := k.Good("vision/app")
	k.Allowed(p.Pinned())
	k.Rule(v1alpha1.VulnerabilityScanThreshold).MaxSeverity = "Low"
	k.Server.Forget()
	k.Publish()
	k.Allowed(p.Pinned())
	if n := k.Server.Count("", "/referrers/") + k.Server.Count("", "/blobs/"); n != 0 {
		t.Fatalf("%d requests for facts that are known: %v", n, k.Server.Requests())
	}
}

func TestWhatCannotBeRecordedIsNotAllowed(t *testing.T) {
	k := verifytest.New(t)
	p := k.Good("vision/app")
	k.Records.Refuse(errors.New("no space left on device"))
	k.Denied(p.Image(), verdict.LedgerClosed)
	k.Records.Refuse(nil)
	k.Allowed(p.Image())
}

func TestNothingIsAllowedWithoutAPolicyThatSelectsIt(t *testing.T) {
	k := verifytest.New(t)
	p := k.Good("vision/app")
	k.Server.Forget()
	v := k.AskQuestion(verdict.Question{Asked: p.Image()})
	if v.Decision != verdict.Deny || v.Code != verdict.Unselected {
		t.Fatalf("got %s %s", v.Decision, v.Code)
	}
	if n := len(k.Server.Requests()); n != 0 {
		t.Fatalf("%d requests for an image that no policy selects", n)
	}
	k.Allowed(p.Image())
}

func TestAPolicyThatNamesNothingKnownDeniesAllThatItSelects(t *testing.T) {
	k := verifytest.New(t)
	p := k.Good("vision/app")
	k.Rule(v1alpha1.RequireImageSignature).RequireSignatureFrom = []string{"releese"}
	k.Restart()
	k.Twin(p.Image(), verdict.PolicyNotReady, func() string {
		k.Rule(v1alpha1.RequireImageSignature).RequireSignatureFrom = []string{"release"}
		return p.Image()
	})
}

func TestNoExceptionCoversAPolicyThatIsNotReady(t *testing.T) {
	k := verifytest.New(t)
	p := k.Good("vision/app")
	for _, rule := range []string{"Ready", "Platforms"} {
		spec := v1alpha1.PolicyExceptionSpec{
			Digest: string(p.Digest), Policy: "reference", Rule: rule, Reason: "a rule that is none",
			Author: "author@example.com", ExpiresAt: metav1.NewTime(verifytest.Now.Add(time.Hour)),
		}
		spec.Signature = signDocument(t, k, "approver", policy.DocumentException, spec)
		k.Docs.Exceptions = append(k.Docs.Exceptions, v1alpha1.PolicyException{ObjectMeta: metav1.ObjectMeta{Name: strings.ToLower(rule)}, Spec: spec})
	}
	k.Rule(v1alpha1.RequireImageSignature).RequireSignatureFrom = []string{"releese"}
	k.Restart()
	k.Twin(p.Image(), verdict.PolicyNotReady, func() string {
		k.Rule(v1alpha1.RequireImageSignature).RequireSignatureFrom = []string{"release"}
		return p.Image()
	})
	k.Docs.Policies[0].Spec.Platforms = []string{"linux/arm64"}
	k.Publish()
	k.Denied(p.Image(), verdict.ImagePlatformMissing)
}

func TestObserveAndWarnDoNotBite(t *testing.T) {
	k := verifytest.New(t)
	p := k.Push("vision/app", verifytest.App("unsigned"))
	k.Scanned(p)
	k.Denied(p.Image(), verdict.SignatureMissing)
	k.Docs.Policies[0].Spec.Enforcement = v1alpha1.Observe
	k.Publish()
	k.Allowed(p.Image())
	k.Docs.Policies[0].Spec.Enforcement = v1alpha1.Warn
	k.Publish()
	if v := k.Ask(p.Image()); v.Decision != verdict.Warn || v.Code != verdict.SignatureMissing {
		t.Fatalf("got %s %s", v.Decision, v.Code)
	}
}

func TestLegacySignaturesCountToo(t *testing.T) {
	k := verifytest.New(t)
	p := k.Push("vision/app", verifytest.App("app"))
	k.Scanned(p)
	k.Twin(p.Image(), verdict.SignatureMissing, func() string { k.SignLegacy("release", p); return p.Image() })
}

func TestAThresholdCountsSignersNotSignatures(t *testing.T) {
	k := verifytest.New(t)
	k.Only(v1alpha1.RequireImageSignature)
	rule := k.Rule(v1alpha1.RequireImageSignature)
	rule.RequireSignatureFrom, rule.Threshold = []string{"release", "builder"}, 2
	k.Publish()
	p := k.Push("vision/app", verifytest.App("app"))
	k.Sign("release", p)
	k.Sign("release", p)
	k.Twin(p.Image(), verdict.SignatureThreshold, func() string { k.Sign("builder", p); return p.Image() })
}

func TestManyQuestionsAreAnsweredInTheirOrderUnderOneGeneration(t *testing.T) {
	k := verifytest.New(t)
	var questions []verdict.Question
	for i := range 40 {
		p := k.Push(fmt.Sprintf("vision/app-%d", i), verifytest.App(fmt.Sprint(i)))
		if i%2 == 0 {
			k.Sign("release", p)
		}
		questions = append(questions, verdict.Question{Asked: p.Image(), Labels: verifytest.Labels})
	}
	k.Only(v1alpha1.RequireImageSignature)
	k.Publish()
	r := k.Verifier.Verify(t.Context(), questions)
	for i, v := range r.Verdicts {
		want := verdict.Deny
		if i%2 == 0 {
			want = verdict.Allow
		}
		if v.Decision != want || v.Asked != questions[i].Asked || v.Generation != r.Generation {
			t.Fatalf("question %d: %s %s under %s", i, v.Decision, v.Code, v.Generation)
		}
	}
	if r.Decision() != verdict.Deny {
		t.Fatal("a report with denials is a denial")
	}
}

// signDocument signs a spec without its signature, as an approver would.
func signDocument(t *testing.T, k *verifytest.Kit, key, kind string, spec any) *v1alpha1.DocumentSignature {
	t.Helper()
	doc, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := trust.SignDocument(k.Key(key).Signer, kind, doc)
	if err != nil {
		t.Fatal(err)
	}
	return &v1alpha1.DocumentSignature{Envelope: base64.StdEncoding.EncodeToString(envelope)}
}
