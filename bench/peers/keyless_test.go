package peers

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
)

// BenchmarkKeyless verifies bundles with a certificate, a log entry (promise and
// inclusion proof), a timestamp and an SCT, under P-384 authorities as the
// public good instance has them; all offline, without a registry. In "cold" the
// trust root is new for every bundle; in "warm" it has seen another certificate
// of the same authority; in "seen" it has seen the bundle itself.
func BenchmarkKeyless(b *testing.B) {
	const (
		repository = "registry.example/vision/captioner"
		subject    = "https://github.com/apexlogic/captioner/.github/workflows/release.yml@refs/heads/main"
		issuer     = "https://token.actions.githubusercontent.com"
		bundles    = 40
	)
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	deployment, image := trusttest.NewSigstore(b, now), trusttest.Digest("image")
	payload := trusttest.Statement(repository, image, "https://sigstore.dev/cosign/sign/v1", map[string]any{})
	trustedRoot := deployment.TrustedRoot(nil)
	var raw [][]byte
	for range bundles + 1 {
		leaf := deployment.Certify(trusttest.Certify{Subject: subject, Issuer: issuer})
		raw = append(raw, deployment.Bundle(trusttest.Keyless{Leaf: leaf, Payload: payload}))
	}
	first, rest := raw[0], raw[1:]

	entry := trust.Entry{Name: "ci", Keyless: &trust.KeylessEntry{
		TrustedRootJSON: trustedRoot, Issuer: issuer, Subject: subject, RequireTimestamp: true,
	}}
	compile := func(b *testing.B) *trust.Root {
		r, err := trust.Compile([]trust.Entry{entry}, trust.Options{})
		must(b, err)
		return r
	}
	apex := func(b *testing.B, r *trust.Root, bundle []byte) {
		found := r.VerifyBundle(bundle, image, "", now)
		if len(found.Signatures) != 1 || !found.Signatures[0].Valid() {
			b.Fatalf("%+v", found)
		}
	}

	material, err := root.NewTrustedRootFromJSON(trustedRoot)
	must(b, err)
	plain, err := verify.NewVerifier(material, verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1),
		verify.WithSignedCertificateTimestamps(1), verify.WithoutStatementPredicate())
	must(b, err)
	identity, err := verify.NewShortCertificateIdentity(issuer, "", subject, "")
	must(b, err)
	digest, err := hex.DecodeString(image.Hex())
	must(b, err)

	roots := make([]*trust.Root, bundles)
	var warm *trust.Root
	seen := compile(b)
	for _, r := range rest {
		apex(b, seen, r)
	}
	compare(b, nil, bundles,
		contender{name: "sigstore-go", pass: func(b *testing.B) {
			for _, r := range rest {
				e := &bundle.Bundle{}
				must(b, e.UnmarshalJSON(r))
				_, err := plain.Verify(e, verify.NewPolicy(verify.WithArtifactDigest("sha256", digest), verify.WithCertificateIdentity(identity)))
				must(b, err)
			}
		}},
		contender{name: "cold",
			prepare: func(b *testing.B) {
				for i := range roots {
					roots[i] = compile(b)
				}
			},
			pass: func(b *testing.B) {
				for i, r := range rest {
					apex(b, roots[i], r)
				}
			}},
		contender{name: "warm",
			prepare: func(b *testing.B) {
				warm = compile(b)
				apex(b, warm, first)
			},
			pass: func(b *testing.B) {
				for _, r := range rest {
					apex(b, warm, r)
				}
			}},
		contender{name: "seen", pass: func(b *testing.B) {
			for _, r := range rest {
				apex(b, seen, r)
			}
		}},
	)
}
