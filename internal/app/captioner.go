package app

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/build"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// captionerBuilt is when the example's images claim to be built. It is fixed,
// so that every workspace has images of the same digests.
var captionerBuilt = time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)

// captionerBase stands in for an official PyTorch base image: two small layers
// that an approved image begins with.
const captionerBase = "pytorch/pytorch:2.6-cuda"

func baseLayers(platform string) []build.Layer {
	return []build.Layer{
		{"etc/os-release": "ID=debian\nVERSION_ID=12\n", "etc/platform": platform + "\n"},
		{"opt/conda/lib/python3.11/site-packages/torch/version.py": "__version__ = '2.6.0'\n"},
	}
}

func baseImage(platform string) build.Image {
	return build.Image{Platform: platform, Created: captionerBuilt.AddDate(0, -1, 0), Layers: baseLayers(platform)}
}

// sample is one image of the example and what is signed about it.
type sample struct {
	repository string
	image      build.Image
	platforms  []build.Image // more than one: an index
	signer     string        // key that signs it; "": nobody
	scan       *sampleScan
	provenance bool
	// copyOf names the sample whose image and signature are copied here.
	copyOf string
}

type sampleScan struct {
	age      time.Duration
	findings []map[string]any
}

// server is an image of the captioner on the approved base.
func server(name string) build.Image {
	i := baseImage("linux/amd64")
	i.Created = captionerBuilt
	i.Layers = append(i.Layers, build.Layer{"app/name": name + "\n", "app/server.py": "# the server comes with the model\n"})
	i.Annotations = map[string]string{fact.AnnotationBaseName: captionerBase}
	return i
}

const (
	signingKey  = "apexlogic-model-signing-key-v1"
	buildKey    = "apexlogic-build-key-v1"
	scannerKey  = "apexlogic-scanner-key-v1"
	modelsKey   = "apexlogic-models-key-v1"
	approverKey = "apexlogic-approver-v1"
	strangerKey = "stranger"
)

// samples are the example's images; examples/captioner/README.md says what is
// wrong with each.
func samples() []sample {
	clean := &sampleScan{}
	forged := server("captioner-forged-base")
	forged.Layers = append([]build.Layer{{"etc/os-release": "ID=unknown\n"}}, forged.Layers[1:]...)
	other := build.Image{Platform: "linux/arm64", Created: captionerBuilt, Layers: []build.Layer{{"etc/os-release": "ID=alpine\n"}, {"app/name": "captioner-multi\n"}}}
	return []sample{
		{repository: "vision/captioner", image: server("captioner"), signer: signingKey, scan: clean, provenance: true},
		{repository: "vision/captioner-unsigned", image: server("captioner-unsigned"), scan: clean},
		{repository: "vision/captioner-stranger", image: server("captioner-stranger"), signer: strangerKey, scan: clean},
		{repository: "mirror/captioner", copyOf: "vision/captioner", scan: clean},
		{repository: "vision/captioner-forged-base", image: forged, signer: signingKey, scan: clean},
		{repository: "vision/captioner-vulnerable", image: server("captioner-vulnerable"), signer: signingKey, scan: &sampleScan{findings: []map[string]any{{
			"VulnerabilityID": "CVE-2025-32434", "PkgName": "torch", "InstalledVersion": "2.5.1", "FixedVersion": "2.6.0", "Severity": "CRITICAL",
			"Title": "torch.load runs code from a file although weights_only is set",
		}}}},
		{repository: "vision/captioner-stale", image: server("captioner-stale"), signer: signingKey, scan: &sampleScan{age: 48 * time.Hour}},
		{repository: "vision/captioner-multi", platforms: []build.Image{server("captioner-multi"), other}, signer: signingKey, scan: clean},
	}
}

// stocked is what is in the registry and when its reports were made.
type stocked struct {
	ScannedAt time.Time `json:"scannedAt"`
}

// rescanAfter is when the workspace's clean reports are made anew, well before
// the policy's 24 hours are over.
const rescanAfter = 12 * time.Hour

// stock pushes the samples, signs them, and attests their scans. What is there
// already is left as it is; clean reports that grow old are made again, as a
// pipeline's nightly scan would.
func stock(ctx context.Context, registry *oci.Client, host string, keys *keyring, last stocked, now time.Time) (stocked, error) {
	fresh := now.Sub(last.ScannedAt) < rescanAfter
	for _, s := range samples() {
		if err := stockOne(ctx, registry, host, keys, s, now, fresh); err != nil {
			return last, fmt.Errorf("stock %s: %w", s.repository, err)
		}
	}
	if err := stockModels(ctx, registry, host, keys, now, fresh); err != nil {
		return last, err
	}
	if fresh {
		return last, nil
	}
	return stocked{ScannedAt: now}, nil
}

// stockOne pushes one sample by its digest, signs it, attests its scan, and
// tags it last: where the tag is, the sample is whole, however the process that
// made it has ended.
func stockOne(ctx context.Context, registry *oci.Client, host string, keys *keyring, s sample, now time.Time, fresh bool) error {
	tag, err := reference.Parse(host + "/" + s.repository + ":1.0")
	if err != nil {
		return err
	}
	m, err := registry.Resolve(ctx, tag)
	there := err == nil
	if !there && !oci.IsNotFound(err) {
		return err
	}
	if there && (fresh || s.scan == nil || s.scan.age > 0) {
		return nil // a report that is stale on purpose stays so
	}
	subject := m.Descriptor
	var push func(reference.Reference) (oci.Descriptor, error)
	if !there {
		var digest string
		if push, digest, err = s.pusher(ctx, registry); err != nil {
			return err
		}
		if subject.Digest, err = verdict.ParseDigest(digest); err != nil {
			return err
		}
	}
	ref, err := reference.Parse(tag.Name() + "@" + string(subject.Digest))
	if err != nil {
		return err
	}
	if !there {
		if subject, err = push(ref); err != nil {
			return err
		}
		if err := sign(ctx, registry, host, ref.Name(), subject, keys, s); err != nil {
			return err
		}
	}
	if s.scan != nil {
		if err := attestScan(ctx, registry, ref, subject, keys, s, now.Add(-s.scan.age)); err != nil {
			return err
		}
	}
	if there {
		return nil
	}
	_, err = push(tag)
	return err
}

// pusher builds the sample's image, or index, and returns its digest and a
// function that pushes it under a reference.
func (s *sample) pusher(ctx context.Context, registry *oci.Client) (func(reference.Reference) (oci.Descriptor, error), string, error) {
	if len(s.platforms) > 0 {
		index, err := build.Index(s.platforms...)
		if err != nil {
			return nil, "", err
		}
		digest, err := index.Digest()
		return func(ref reference.Reference) (oci.Descriptor, error) { return registry.PushIndex(ctx, ref, index) }, digest.String(), err
	}
	image := s.image
	if s.copyOf != "" {
		image = original(s.copyOf).image
	}
	img, err := image.Build()
	if err != nil {
		return nil, "", err
	}
	digest, err := img.Digest()
	return func(ref reference.Reference) (oci.Descriptor, error) { return registry.PushImage(ctx, ref, img) }, digest.String(), err
}

func original(repository string) sample {
	for _, s := range samples() {
		if s.repository == repository {
			return s
		}
	}
	panic("no sample " + repository) // the table names its own entries only
}

// sign attaches the signature, and the provenance where the sample has one. A
// copied sample gets the original's signature: a statement about the original's
// repository.
func sign(ctx context.Context, registry *oci.Client, host, repo string, subject oci.Descriptor, keys *keyring, s sample) error {
	signer, named := s.signer, repo
	if s.copyOf != "" {
		from := original(s.copyOf)
		signer, named = from.signer, host+"/"+from.repository
	}
	if signer == "" {
		return nil
	}
	key, err := keys.signer(signer)
	if err != nil {
		return err
	}
	bundle, err := trust.SignImage(key, named, subject.Digest, nil)
	if err != nil {
		return err
	}
	if err := AttachBundle(ctx, registry, repo, subject, bundle, predicateSign); err != nil {
		return err
	}
	if !s.provenance {
		return nil
	}
	builder, err := keys.signer(buildKey)
	if err != nil {
		return err
	}
	predicate, err := json.Marshal(captionerProvenance())
	if err != nil {
		return err
	}
	return attest(ctx, registry, repo, subject, builder, "slsaprovenance1", predicate)
}

func captionerProvenance() map[string]any {
	return map[string]any{
		"buildDefinition": map[string]any{
			"buildType": "https://ci.apexlogic.example/buildtypes/image/v1",
			"externalParameters": map[string]any{
				"source":   map[string]any{"uri": "git+https://git.apexlogic.example/vision/captioner@refs/heads/main"},
				"workflow": map[string]any{"repository": "https://git.apexlogic.example/vision/captioner", "path": ".ci/image.yaml", "ref": "refs/heads/main"},
			},
			"resolvedDependencies": []map[string]any{},
		},
		"runDetails": map[string]any{
			"builder":  map[string]any{"id": "https://ci.apexlogic.example/builders/images@v3"},
			"metadata": map[string]any{"finishedOn": captionerBuilt.Format(time.RFC3339)},
		},
	}
}

// attestScan attaches a sample report about each platform of the image.
func attestScan(ctx context.Context, registry *oci.Client, ref reference.Reference, subject oci.Descriptor, keys *keyring, s sample, finished time.Time) error {
	key, err := keys.signer(scannerKey)
	if err != nil {
		return err
	}
	about := []oci.Descriptor{subject}
	if len(s.platforms) > 0 {
		about = nil
		m, err := registry.Resolve(ctx, ref)
		if err != nil {
			return err
		}
		platforms, err := oci.ParseIndex(m.Raw)
		if err != nil {
			return err
		}
		for _, p := range platforms {
			about = append(about, oci.Descriptor{MediaType: p.MediaType, Digest: p.Digest, Size: p.Size})
		}
	}
	for _, d := range about {
		predicate, err := json.Marshal(scanPredicate(ref, d.Digest, s.scan, finished))
		if err != nil {
			return err
		}
		if err := attest(ctx, registry, ref.Name(), d, key, "vuln", predicate); err != nil {
			return err
		}
	}
	return nil
}

// scanPredicate is cosign's vulnerability predicate around a report in Trivy's format.
func scanPredicate(ref reference.Reference, digest verdict.Digest, scan *sampleScan, finished time.Time) map[string]any {
	at := finished.UTC().Format(time.RFC3339)
	findings := scan.findings
	if findings == nil {
		findings = []map[string]any{}
	}
	return map[string]any{
		"invocation": map[string]any{"uri": "apex up", "producer_id": "sample"},
		"scanner": map[string]any{
			"uri": "https://github.com/aquasecurity/trivy", "version": "sample", "db": map[string]any{"lastUpdate": at},
			"result": map[string]any{
				"SchemaVersion": 2, "CreatedAt": at, "ArtifactName": ref.Canonical(), "ArtifactType": "container_image",
				"Metadata": map[string]any{"RepoDigests": []string{ref.Name() + "@" + string(digest)}},
				"Results":  []map[string]any{{"Target": "python", "Class": "lang-pkgs", "Type": "python-pkg", "Vulnerabilities": findings}},
			},
		},
		"metadata": map[string]any{"scanStartedOn": at, "scanFinishedOn": at},
	}
}
