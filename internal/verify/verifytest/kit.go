// Package verifytest holds a small world for tests of verdicts: a real
// registry, keys, a clock that stands still, policies, and a verifier with a
// recorder in memory.
//
// Start with [New]; [Kit.Twin] is the shape of most tests: a world that is
// denied with a code, and the same world with the one thing mended, that is
// allowed.
package verifytest

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/image"
	"github.com/apexlogic/apex/internal/meter"
	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/build"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/policy"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// Now is where the clock of every kit stands.
var Now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// Labels are those of the workload that the kit's policies select.
var Labels = map[string]string{"app": "multimodal-inference"}

// Base is the image that the kit's lock approves for pytorch/pytorch:2.x-cuda.
var Base = []build.Layer{{"etc/os-release": "ID=debian\n"}, {"opt/torch/version": "2.6.0\n"}}

// BaseName is the locked base's name.
const BaseName = "pytorch/pytorch:2.6-cuda"

// Kit is the world of one test.
type Kit struct {
	T        testing.TB
	Server   *ocitest.Server
	Clock    *clock.Fixed
	Client   *oci.Client
	Verifier *verify.Verifier
	Records  *Recorder
	Docs     policy.Documents
	Options  verify.Options

	keys   map[string]trusttest.Key
	serial int
}

// Recorder keeps records in memory; Err makes it refuse.
type Recorder struct {
	mu      sync.Mutex
	records []Record
	err     error
}

// Record is what was recorded.
type Record struct {
	Kind    string
	Payload []byte
	Durable bool
}

// Record implements [verify.Recorder].
func (r *Recorder) Record(_ context.Context, kind string, payload []byte, durable bool) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return "", r.err
	}
	r.records = append(r.records, Record{kind, payload, durable})
	return strconv.Itoa(len(r.records)), nil
}

// All returns the records so far.
func (r *Recorder) All() []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Record(nil), r.records...)
}

// Refuse makes every further record fail with err; nil ends that.
func (r *Recorder) Refuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// New returns a world with an empty registry. The reference example's policy is
// in force, with the keys "release" (images), "scanner" (reports), "builder"
// (provenance) and "approver" (exceptions and revocations).
func New(t testing.TB, registry ...ocitest.Option) *Kit {
	t.Helper()
	return On(t, ocitest.Registry(t, registry...))
}

// On returns a world on a given server.
func On(t testing.TB, server *ocitest.Server) *Kit {
	t.Helper()
	k := &Kit{T: t, Server: server, Clock: clock.At(Now), Records: &Recorder{}, keys: map[string]trusttest.Key{}}
	k.connect()
	k.Options = verify.Options{
		Inspector: image.New(k.Client, k.Clock), Recorder: k.Records, Clock: k.Clock,
		Meter: meter.New(k.Clock), Deadline: 2 * time.Minute, // which a busy machine does not come to
	}
	k.Docs = k.documents()
	k.Restart()
	return k
}

// Reconnect is Restart with a registry client that knows nothing either.
func (k *Kit) Reconnect() {
	k.T.Helper()
	k.connect()
	k.Options.Inspector = image.New(k.Client, k.Clock)
	if k.Options.Models != nil {
		k.Options.Models = artifact.New(k.Client, k.Clock)
	}
	k.Restart()
}

func (k *Kit) connect() {
	k.T.Helper()
	client, err := oci.New(oci.Options{AllowPrivate: []string{k.Server.Host}, PlainHTTP: []string{k.Server.Host}})
	if err != nil {
		k.T.Fatal(err)
	}
	k.T.Cleanup(client.Close)
	k.Client = client
}

// Restart makes a new verifier with empty caches, and publishes.
func (k *Kit) Restart() {
	k.T.Helper()
	v, err := verify.New(k.Options)
	if err != nil {
		k.T.Fatal(err)
	}
	k.Verifier = v
	k.Publish()
}

// RestartSame is Restart with the generation as it is named now, as another
// process with the same documents has it.
func (k *Kit) RestartSame() {
	k.T.Helper()
	k.serial--
	k.Restart()
}

// Publish puts the kit's documents in force.
func (k *Kit) Publish() {
	k.T.Helper()
	k.serial++
	g, err := verify.Compile(fmt.Sprintf("generation-%d", k.serial), k.Docs, k.Clock.Now())
	if err != nil {
		k.T.Fatal(err)
	}
	k.Verifier.Use(g)
}

// Key returns the key pair with the name, made the first time.
func (k *Kit) Key(name string) trusttest.Key {
	key, ok := k.keys[name]
	if !ok {
		key = trusttest.NewKey(k.T)
		k.keys[name] = key
	}
	return key
}

// Entry is a trust entry of the key with the name.
func (k *Kit) Entry(name string, uses ...v1alpha1.TrustUse) v1alpha1.TrustEntry {
	return v1alpha1.TrustEntry{Name: name, Uses: uses, Owner: name + "@example.com", Key: &v1alpha1.KeyEntry{PEM: string(k.Key(name).PEM)}}
}

func (k *Kit) documents() policy.Documents {
	rule := func(name v1alpha1.ImageRuleName, set func(*v1alpha1.ImageRuleParameters)) v1alpha1.ImageRule {
		r := v1alpha1.ImageRule{Name: name, Action: "Deny"}
		set(&r.Parameters)
		return r
	}
	return policy.Documents{
		Policies: []v1alpha1.ImageSecurityPolicy{{
			ObjectMeta: metav1.ObjectMeta{Name: "reference"},
			Spec: v1alpha1.ImageSecurityPolicySpec{
				ImageSelector: &metav1.LabelSelector{MatchLabels: Labels},
				Rules: []v1alpha1.ImageRule{
					rule(v1alpha1.RequireImageSignature, func(p *v1alpha1.ImageRuleParameters) { p.RequireSignatureFrom = []string{"release"} }),
					rule(v1alpha1.VulnerabilityScanThreshold, func(p *v1alpha1.ImageRuleParameters) { p.MaxSeverity, p.VulnerabilityScanner = "High", "Trivy" }),
					rule(v1alpha1.AllowOnlyApprovedBaseImages, func(p *v1alpha1.ImageRuleParameters) {
						p.AllowedBaseImages = []string{"gcr.io/tensorflow/tensorflow:2.x-gpu", "pytorch/pytorch:2.x-cuda"}
					}),
				},
			},
		}},
		TrustRoots: []v1alpha1.TrustRoot{{
			ObjectMeta: metav1.ObjectMeta{Name: "test"},
			Spec: v1alpha1.TrustRootSpec{Entries: []v1alpha1.TrustEntry{
				k.Entry("release"), k.Entry("scanner"), k.Entry("builder"),
				k.Entry("approver", v1alpha1.UseExceptions, v1alpha1.UseRevocations),
				{Name: "Trivy", Scanner: &v1alpha1.ScannerEntry{SignedBy: []string{"scanner"}}},
			}},
		}},
		Locks: []v1alpha1.BaseImageLock{k.Lock(BaseName, "linux/amd64", Base...)},
	}
}

// Lock is a lock of a base image that consists of the layers.
func (k *Kit) Lock(name, platform string, layers ...build.Layer) v1alpha1.BaseImageLock {
	k.T.Helper()
	img, err := build.Image{Platform: platform, Created: Now.AddDate(0, -1, 0), Layers: layers}.Build()
	if err != nil {
		k.T.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		k.T.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		k.T.Fatal(err)
	}
	locked := v1alpha1.LockedPlatform{Platform: platform, Digest: digest.String()}
	for _, id := range config.RootFS.DiffIDs {
		locked.DiffIDs = append(locked.DiffIDs, id.String())
	}
	return v1alpha1.BaseImageLock{
		ObjectMeta: metav1.ObjectMeta{Name: "bases"},
		Spec:       v1alpha1.BaseImageLockSpec{Images: []v1alpha1.LockedBaseImage{{Image: name, Digest: digest.String(), Platforms: []v1alpha1.LockedPlatform{locked}}}},
	}
}

// Rule returns the parameters of the reference policy's rule, to be changed
// before Publish.
func (k *Kit) Rule(name v1alpha1.ImageRuleName) *v1alpha1.ImageRuleParameters {
	for i := range k.Docs.Policies[0].Spec.Rules {
		if r := &k.Docs.Policies[0].Spec.Rules[i]; r.Name == name {
			return &r.Parameters
		}
	}
	k.T.Fatalf("the reference policy has no rule %s", name)
	return nil
}

// Only leaves the rule with the name in the reference policy.
func (k *Kit) Only(name v1alpha1.ImageRuleName) {
	rules := &k.Docs.Policies[0].Spec.Rules
	for _, r := range *rules {
		if r.Name == name {
			*rules = []v1alpha1.ImageRule{r}
			return
		}
	}
	k.T.Fatalf("the reference policy has no rule %s", name)
}

// App is an image on the approved base; name makes its digest its own.
func App(name string) build.Image {
	return build.Image{Platform: "linux/amd64", Created: Now.AddDate(0, 0, -1), Layers: append(append([]build.Layer(nil), Base...), build.Layer{"app/name": name})}
}

// Pushed is an image or index in the registry.
type Pushed struct {
	Repo string
	Tag  string
	oci.Descriptor
	// Platforms of an index.
	Platforms []oci.Descriptor
}

// Image returns "repo:tag".
func (p Pushed) Image() string { return p.Repo + ":" + p.Tag }

// Pinned returns "repo@digest".
func (p Pushed) Pinned() string { return p.Repo + "@" + string(p.Digest) }

// Push puts an image under path:tag.
func (k *Kit) Push(path string, img build.Image) Pushed {
	k.T.Helper()
	built, err := img.Build()
	if err != nil {
		k.T.Fatal(err)
	}
	return k.PushBuilt(path, built)
}

// PushBuilt puts any image under path:1.0.
func (k *Kit) PushBuilt(path string, img v1.Image) Pushed {
	k.T.Helper()
	ref := k.ref(path)
	d, err := k.Client.PushImage(k.T.Context(), ref, img)
	if err != nil {
		k.T.Fatal(err)
	}
	return Pushed{Repo: ref.Name(), Tag: ref.Tag, Descriptor: d}
}

// PushIndex puts a multi-platform image under path:1.0.
func (k *Kit) PushIndex(path string, images ...build.Image) Pushed {
	k.T.Helper()
	return k.PushIndexAs(path, nil, images...)
}

// PushIndexAs is PushIndex with an index that says another platform for some
// of its images, by their place; "" leaves the platform out.
func (k *Kit) PushIndexAs(path string, says map[int]string, images ...build.Image) Pushed {
	k.T.Helper()
	index, err := build.Index(images...)
	if err != nil {
		k.T.Fatal(err)
	}
	if len(says) > 0 {
		index = relabel(k.T, index, says)
	}
	ref := k.ref(path)
	d, err := k.Client.PushIndex(k.T.Context(), ref, index)
	if err != nil {
		k.T.Fatal(err)
	}
	p := Pushed{Repo: ref.Name(), Tag: ref.Tag, Descriptor: d}
	manifest, err := index.IndexManifest()
	if err != nil {
		k.T.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		p.Platforms = append(p.Platforms, oci.Descriptor{MediaType: string(m.MediaType), Digest: verdict.Digest(m.Digest.String()), Size: m.Size})
	}
	return p
}

// relabel makes the index again with other platforms in its descriptors.
func relabel(t testing.TB, index v1.ImageIndex, says map[int]string) v1.ImageIndex {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	out := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for i, d := range manifest.Manifests {
		img, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		platform := d.Platform
		if text, ok := says[i]; ok {
			platform = nil
			if text != "" {
				if platform, err = v1.ParsePlatform(text); err != nil {
					t.Fatal(err)
				}
			}
		}
		out = mutate.AppendManifests(out, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: platform}})
	}
	return out
}

func (k *Kit) ref(path string) reference.Reference {
	k.T.Helper()
	ref, err := reference.Parse(k.Server.Host + "/" + path + ":1.0")
	if err != nil {
		k.T.Fatal(err)
	}
	return ref
}

// Of returns the pushed index's platform as something that can be attested.
func (p Pushed) Of(platform int) Pushed {
	return Pushed{Repo: p.Repo, Descriptor: p.Platforms[platform]}
}

// Sign attaches a bundle by the key; the statement names the image's repository.
func (k *Kit) Sign(key string, p Pushed) { k.T.Helper(); k.SignAs(key, p, p.Repo) }

// SignAs is Sign with a statement about another repository.
func (k *Kit) SignAs(key string, p Pushed, repo string) {
	k.T.Helper()
	bundle, err := trust.SignImage(k.Key(key).Signer, repo, p.Digest, nil)
	if err != nil {
		k.T.Fatal(err)
	}
	k.AttachBundle(p, bundle)
}

// SignUnbound attaches a signature that names no repository, as cosign makes
// them by default. trust.SignImage refuses to.
func (k *Kit) SignUnbound(key string, p Pushed) {
	k.T.Helper()
	const payloadType = "application/vnd.in-toto+json"
	payload := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`, p.Digest.Hex())
	sum := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload))
	sig, err := k.Key(key).Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		k.T.Fatal(err)
	}
	bundle, err := json.Marshal(map[string]any{
		"mediaType":            oci.ArtifactBundleV03,
		"verificationMaterial": map[string]any{"publicKey": map[string]any{}},
		"dsseEnvelope":         map[string]any{"payload": []byte(payload), "payloadType": payloadType, "signatures": []any{map[string]any{"sig": sig}}},
	})
	if err != nil {
		k.T.Fatal(err)
	}
	k.AttachBundle(p, bundle)
}

// SignLegacy attaches cosign's older form of a signature.
func (k *Kit) SignLegacy(key string, p Pushed) {
	k.T.Helper()
	payload, annotations, err := trust.SignLegacy(k.Key(key).Signer, p.Repo, p.Digest, nil)
	if err != nil {
		k.T.Fatal(err)
	}
	if err := k.Client.AttachLegacy(k.T.Context(), p.Repo, p.Digest, oci.LegacySignature, payload, annotations); err != nil {
		k.T.Fatal(err)
	}
}

// Attest attaches a statement by the key.
func (k *Kit) Attest(key string, p Pushed, predicateType string, predicate any) {
	k.T.Helper()
	uri, err := trust.PredicateType(predicateType)
	if err != nil {
		k.T.Fatal(err)
	}
	data, err := json.Marshal(predicate)
	if err != nil {
		k.T.Fatal(err)
	}
	bundle, err := trust.Attest(k.Key(key).Signer, p.Repo, p.Digest, uri, data)
	if err != nil {
		k.T.Fatal(err)
	}
	k.AttachBundle(p, bundle)
}

// AttachBundle attaches bytes as a sigstore bundle.
func (k *Kit) AttachBundle(p Pushed, bundle []byte) {
	k.T.Helper()
	if _, err := k.Client.Attach(k.T.Context(), p.Repo, p.Descriptor, oci.ArtifactBundleV03, nil, oci.Blob{MediaType: oci.ArtifactBundleV03, Data: bundle}); err != nil {
		k.T.Fatal(err)
	}
}

// Scan is a vulnerability predicate with a report in Trivy's format.
func Scan(about verdict.Digest, finished time.Time, severities ...string) map[string]any {
	findings := []map[string]any{}
	for i, s := range severities {
		findings = append(findings, map[string]any{"VulnerabilityID": fmt.Sprintf("CVE-2026-%04d", i+1), "PkgName": "torch", "InstalledVersion": "2.5.1", "FixedVersion": "2.6.0", "Severity": s})
	}
	at := finished.UTC().Format(time.RFC3339)
	metadata := map[string]any{}
	if about != "" {
		metadata["RepoDigests"] = []string{"example.com/app@" + string(about)}
	}
	return map[string]any{
		"scanner": map[string]any{
			"uri": "https://github.com/aquasecurity/trivy", "version": "0.66.0",
			"result": map[string]any{
				"SchemaVersion": 2, "CreatedAt": at, "ArtifactName": "app", "ArtifactType": "container_image",
				"Metadata": metadata,
				"Results":  []map[string]any{{"Target": "python", "Class": "lang-pkgs", "Type": "python-pkg", "Vulnerabilities": findings}},
			},
		},
		"metadata": map[string]any{"scanStartedOn": at, "scanFinishedOn": at},
	}
}

// Scanned attests a fresh report without findings about the image.
func (k *Kit) Scanned(p Pushed) {
	k.T.Helper()
	k.Attest("scanner", p, "vuln", Scan(p.Digest, k.Clock.Now().Add(-time.Hour)))
}

// Good pushes an image that the reference policy allows.
func (k *Kit) Good(path string) Pushed {
	k.T.Helper()
	p := k.Push(path, App(path))
	k.Sign("release", p)
	k.Scanned(p)
	return p
}

// Ask verifies one image with the selected workload's labels.
func (k *Kit) Ask(image string) verdict.Verdict {
	k.T.Helper()
	return k.AskQuestion(verdict.Question{Asked: image, Labels: Labels})
}

// AskQuestion verifies one question.
func (k *Kit) AskQuestion(q verdict.Question) verdict.Verdict {
	k.T.Helper()
	r := k.Verifier.Verify(k.T.Context(), []verdict.Question{q})
	if len(r.Verdicts) != 1 {
		k.T.Fatalf("%d verdicts for one question", len(r.Verdicts))
	}
	return r.Verdicts[0]
}

// Denied fails the test unless the image is denied with the code.
func (k *Kit) Denied(image string, code verdict.Code) verdict.Verdict {
	k.T.Helper()
	v := k.Ask(image)
	if v.Decision != verdict.Deny || v.Code != code {
		k.T.Fatalf("%s: got %s %s (%s), want deny %s", image, v.Decision, v.Code, v.Reason, code)
	}
	return v
}

// Allowed fails the test unless the image is allowed.
func (k *Kit) Allowed(image string) verdict.Verdict {
	k.T.Helper()
	v := k.Ask(image)
	if v.Decision != verdict.Allow {
		k.T.Fatalf("%s: got %s %s (%s), want allow; checks: %s", image, v.Decision, v.Code, v.Reason, describe(v.Checks))
	}
	return v
}

func describe(checks []verdict.Check) string {
	data, _ := json.Marshal(checks) // plain data
	return string(data)
}

// Twin is a denial and its twin: image is denied with the code, then mend
// changes the one thing, and the image that it returns is allowed. Between the
// two the caches are emptied, so that nothing of the denial is left.
func (k *Kit) Twin(image string, code verdict.Code, mend func() string) {
	k.T.Helper()
	k.Denied(image, code)
	mended := mend()
	k.Restart()
	k.Allowed(mended)
}
