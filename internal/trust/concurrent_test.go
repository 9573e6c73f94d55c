package trust_test

import (
	"sync"
	"testing"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

// A root serves many at once. The seeds that fuzz targets start from are made
// by fixed makers in another process; that they verify here shows that such a
// root is the same twice.
func TestARootServesManyAtOnce(t *testing.T) {
	subject := trusttest.Digest("image")
	ss, again := trusttest.NewFixedSigstore(t, now, "many"), trusttest.NewFixedSigstore(t, now, "many")
	ca, caAgain := trusttest.NewFixedNotation(t, now, "many"), trusttest.NewFixedNotation(t, now, "many")
	key := trusttest.FixedKey(t, "many")
	root := trusttest.Root(t, trust.Options{TrustedRootJSON: ss.TrustedRoot(nil)}, key.Entry("key"),
		trust.Entry{Name: "ci", Keyless: &trust.KeylessEntry{TrustedRootJSON: ss.TrustedRoot(nil), Issuer: issuer, Subject: ci}},
		trust.Entry{Name: "ca", Certificate: &trust.CertificateEntry{RootsPEM: ca.RootPEM(), Identities: []string{"CN=signer"}}})
	plain, err := trust.SignImage(trusttest.FixedKey(t, "many"), repo, subject, nil)
	must(t, err)
	var bundles [][]byte
	for range 4 {
		leaf := again.Certify(trusttest.Certify{Subject: ci, Issuer: issuer})
		bundles = append(bundles, again.Bundle(trusttest.Keyless{Leaf: leaf, Payload: trusttest.Statement(repo, subject, signV1, map[string]any{})}))
	}
	bundles = append(bundles, plain, again.BundleLoggedKey(key, plain, now, now))
	envelope := caAgain.Sign(trusttest.Envelope{Subject: subject})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if res := root.VerifyBundle(bundles[i%len(bundles)], subject, "", now); !accepted(res) {
				t.Errorf("bundle %d: %+v", i%len(bundles), res)
			}
			if sig := root.VerifyNotation(envelope, "application/jose+json", subject, "", now); sig.Code != verdict.OK {
				t.Errorf("notation: %+v", sig)
			}
		})
	}
	wg.Wait()
}
