package trust_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/apexlogic/apex/internal/trust/trusttest"
)

func signDSSE(t testing.TB, k trusttest.Key, payloadType, payload string) []byte {
	t.Helper()
	return signSHA256(t, k, dsse.PAE(payloadType, []byte(payload)))
}

func signSHA256(t testing.TB, k trusttest.Key, message []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(message)
	sig, err := k.Sign(rand.Reader, sum[:], crypto.SHA256)
	must(t, err)
	return sig
}
