package trust_test

import (
	"encoding/base64"
	"encoding/hex"
	"syscall"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

// cpu is the process's CPU time, user and system. On a shared machine it says
// more than the wall clock does.
func cpu(tb testing.TB) time.Duration {
	var u syscall.Rusage
	must(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs op for every i of b.N and reports CPU time beside wall time.
func measure(b *testing.B, op func(i int) bool) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	start := cpu(b)
	for i := range b.N {
		if !op(i) {
			b.Fatal("not accepted")
		}
	}
	b.ReportMetric(float64(cpu(b)-start)/float64(b.N)/1000, "cpu-µs/op")
}

func BenchmarkKeyedBundle(b *testing.B) {
	key, subject := trusttest.NewKey(b), trusttest.Digest("image")
	r, reference := trusttest.Root(b, trust.Options{}, key.Entry("k")), newReference(b, key)
	raw, err := trust.SignImage(key, repo, subject, nil)
	must(b, err)
	b.Run("apex", func(b *testing.B) {
		measure(b, func(int) bool { return accepted(r.VerifyBundle(raw, subject, "", now)) })
	})
	b.Run("sigstore-go", func(b *testing.B) {
		measure(b, func(int) bool { return reference.accepts(raw, subject) })
	})
}

func BenchmarkLegacySignature(b *testing.B) {
	key, subject := trusttest.NewKey(b), trusttest.Digest("image")
	r := trusttest.Root(b, trust.Options{}, key.Entry("k"))
	payload := trusttest.SimpleSigning(repo, subject)
	layer := map[string]string{trust.AnnotationSignature: base64.StdEncoding.EncodeToString(signSHA256(b, key, payload))}
	measure(b, func(int) bool {
		s := r.VerifyLegacySignature(payload, layer, subject, "", now)
		return s.Valid()
	})
}

// BenchmarkKeyless compares bundles with a log entry (promise and inclusion
// proof), a timestamp and an SCT, under P-384 authorities like the public good
// instance's. "new leaf" has seen the intermediate, but not the certificate.
func BenchmarkKeyless(b *testing.B) {
	ss, subject := trusttest.NewSigstore(b, now), trusttest.Digest("image")
	payload := trusttest.Statement(repo, subject, signV1, map[string]any{})
	trustedRoot := ss.TrustedRoot(nil)
	entry := trust.Entry{Name: "ci", Keyless: &trust.KeylessEntry{TrustedRootJSON: trustedRoot, Issuer: issuer, Subject: ci, RequireTimestamp: true}}
	bundles := make([][]byte, 48)
	for i := range bundles {
		bundles[i] = ss.Bundle(trusttest.Keyless{Leaf: ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer}), Payload: payload})
	}
	b.Run("apex/cold", func(b *testing.B) {
		roots := make([]*trust.Root, b.N)
		for i := range roots {
			roots[i] = trusttest.Root(b, trust.Options{}, entry)
		}
		measure(b, func(i int) bool {
			return accepted(roots[i].VerifyBundle(bundles[i%len(bundles)], subject, "", now))
		})
	})
	b.Run("apex/new-leaf", func(b *testing.B) {
		// One root per lap over the bundles; its first bundle is not measured.
		laps := make([]*trust.Root, b.N/(len(bundles)-1)+1)
		for i := range laps {
			laps[i] = trusttest.Root(b, trust.Options{}, entry)
			laps[i].VerifyBundle(bundles[0], subject, "", now)
		}
		measure(b, func(i int) bool {
			lap, k := i/(len(bundles)-1), i%(len(bundles)-1)
			return accepted(laps[lap].VerifyBundle(bundles[k+1], subject, "", now))
		})
	})
	b.Run("apex/seen-leaf", func(b *testing.B) {
		r := trusttest.Root(b, trust.Options{}, entry)
		measure(b, func(int) bool { return accepted(r.VerifyBundle(bundles[0], subject, "", now)) })
	})
	b.Run("sigstore-go", func(b *testing.B) {
		tr, err := root.NewTrustedRootFromJSON(trustedRoot)
		must(b, err)
		sev, err := verify.NewVerifier(tr, verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1),
			verify.WithSignedCertificateTimestamps(1), verify.WithoutStatementPredicate())
		must(b, err)
		id, err := verify.NewShortCertificateIdentity(issuer, "", ci, "")
		must(b, err)
		measure(b, func(i int) bool { return verifyPlain(sev, bundles[i%len(bundles)], subject, id) })
	})
}

func verifyPlain(v *verify.Verifier, raw []byte, subject verdict.Digest, id verify.CertificateIdentity) bool {
	e := &bundle.Bundle{}
	if e.UnmarshalJSON(raw) != nil {
		return false
	}
	digest, _ := hex.DecodeString(subject.Hex())
	_, err := v.Verify(e, verify.NewPolicy(verify.WithArtifactDigest("sha256", digest), verify.WithCertificateIdentity(id)))
	return err == nil
}
