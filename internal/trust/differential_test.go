package trust_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

// reference is sigstore-go alone, asked the same question as a root with one key.
type reference struct {
	verifier *verify.Verifier
}

func newReference(t testing.TB, key trusttest.Key) reference {
	t.Helper()
	pub, err := cryptoutils.UnmarshalPEMToPublicKey(key.PEM)
	must(t, err)
	v, err := signature.LoadDefaultVerifier(pub)
	must(t, err)
	tm := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(v, time.Time{}, time.Time{}), nil
	})
	sev, err := verify.NewVerifier(tm, verify.WithNoObserverTimestamps(), verify.WithoutStatementPredicate())
	must(t, err)
	return reference{sev}
}

func (r reference) accepts(raw []byte, subject verdict.Digest) bool {
	b := &bundle.Bundle{}
	if b.UnmarshalJSON(raw) != nil {
		return false
	}
	digest, _ := hex.DecodeString(subject.Hex())
	_, err := r.verifier.Verify(b, verify.NewPolicy(verify.WithArtifactDigest("sha256", digest), verify.WithKey()))
	return err == nil
}

func accepted(res trust.Result) bool {
	for i := range res.Signatures {
		if res.Signatures[i].Valid() {
			return true
		}
	}
	for i := range res.Attestations {
		if res.Attestations[i].Valid() {
			return true
		}
	}
	return false
}

// The small parser and crypto/ecdsa accept what sigstore-go accepts, and reject
// what it rejects.
func TestTheLeanPathAgreesWithSigstoreGo(t *testing.T) {
	key, subject := trusttest.NewKey(t), trusttest.Digest("image")
	ours, theirs := trusttest.Root(t, trust.Options{}, key.Entry("k")), newReference(t, key)
	image, err := trust.SignImage(key, repo, subject, map[string]string{"a": "b"})
	must(t, err)
	attested, err := trust.Attest(key, repo, subject, "custom", []byte(`{"x":[1,2,{"y":null}]}`))
	must(t, err)
	foreign, err := trust.SignImage(trusttest.NewKey(t), repo, subject, nil)
	must(t, err)
	message, err := json.Marshal(map[string]any{
		"mediaType": trust.MediaTypeBundle, "verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": ""}},
		"messageSignature": map[string]any{
			"messageDigest": map[string]any{"algorithm": "SHA2_256", "digest": mustHex(t, subject.Hex())},
			"signature":     signSHA256(t, key, []byte("image")),
		},
	})
	must(t, err)
	swap := func(raw []byte, old, new string) []byte {
		t.Helper()
		if !bytes.Contains(raw, []byte(old)) {
			t.Fatalf("nothing to swap: %s", old)
		}
		return bytes.Replace(raw, []byte(old), []byte(new), 1)
	}
	edit := func(raw []byte, f func(map[string]any)) []byte { return editBundle(t, raw, f) }
	for name, raw := range map[string][]byte{
		"an image signature": image, "an attestation": attested, "a message signature": message, "a foreign signature": foreign,
		"version 0.3 spelled the old way": swap(image, trust.MediaTypeBundle, "application/vnd.dev.sigstore.bundle+json;version=0.3"),
		"version 0.2":                     swap(image, trust.MediaTypeBundle, "application/vnd.dev.sigstore.bundle+json;version=0.2"),
		"version 0.1":                     swap(image, trust.MediaTypeBundle, "application/vnd.dev.sigstore.bundle+json;version=0.1"),
		"version 0.4":                     swap(image, "v0.3", "v0.4"),
		"version 0.3.1":                   swap(image, "v0.3", "v0.3.1"),
		"snake case":                      swap(image, `"payloadType"`, `"payload_type"`),
		"capitals":                        swap(image, `"payloadType"`, `"PayloadType"`),
		"an unknown field":                swap(image, `"payloadType"`, `"x":1,"payloadType"`),
		"no hint":                         edit(image, func(b map[string]any) { b["verificationMaterial"] = map[string]any{"publicKey": map[string]any{}} }),
		"no key":                          edit(image, func(b map[string]any) { b["verificationMaterial"] = map[string]any{} }),
		"a lone surrogate": edit(image, func(b map[string]any) {
			b["verificationMaterial"] = map[string]any{"publicKey": map[string]any{"hint": json.RawMessage(`"\ud800"`)}}
		}),
		"an escaped slash":  swap(image, trust.MediaTypeBundle, `application\/vnd.dev.sigstore.bundle.v0.3+json`),
		"empty log entries": edit(image, func(b map[string]any) { b["verificationMaterial"].(map[string]any)["tlogEntries"] = []any{} }),
		"empty timestamps": edit(image, func(b map[string]any) {
			b["verificationMaterial"].(map[string]any)["timestampVerificationData"] = map[string]any{}
		}),
		"a log entry without content": edit(image, func(b map[string]any) {
			b["verificationMaterial"].(map[string]any)["tlogEntries"] = []any{map[string]any{}}
		}),
		"both contents": edit(image, func(b map[string]any) { b["messageSignature"] = map[string]any{} }),
		"a certificate field in the signature": edit(image, func(b map[string]any) {
			b["dsseEnvelope"].(map[string]any)["signatures"].([]any)[0].(map[string]any)["cert"] = ""
		}),
		"no signatures":           edit(image, func(b map[string]any) { b["dsseEnvelope"].(map[string]any)["signatures"] = []any{} }),
		"a null payload":          edit(image, func(b map[string]any) { b["dsseEnvelope"].(map[string]any)["payload"] = nil }),
		"URL-safe base64":         edit(image, func(b map[string]any) { urlSafe(b, "dsseEnvelope", "payload") }),
		"an unpadded payload":     edit(image, func(b map[string]any) { unpad(b, "dsseEnvelope", "payload") }),
		"a digest as a number":    swap(message, `"SHA2_256"`, `1`),
		"an algorithm of nothing": swap(message, `"SHA2_256"`, `"SHA9"`),
	} {
		got, want := accepted(ours.VerifyBundle(raw, subject, "", now)), theirs.accepts(raw, subject)
		if got != want {
			t.Errorf("%s: accepted %v, by sigstore-go %v", name, got, want)
		}
	}
	// Where we are stricter, on purpose: sigstore-go, given a digest, does not
	// look at the algorithm that the bundle names for it.
	misnamed := swap(message, `"SHA2_256"`, `"SHA2_384"`)
	if accepted(ours.VerifyBundle(misnamed, subject, "", now)) || !theirs.accepts(misnamed, subject) {
		t.Error("a digest under another algorithm's name: the difference to sigstore-go has changed")
	}
	// Mutations: one or two bytes changed, cut or doubled. The seed is fixed, so
	// that a failure comes back.
	rng := rand.New(rand.NewPCG(20261123, 1))
	agreed := map[bool]int{}
	for range 3000 {
		raw := bytes.Clone([][]byte{image, attested, message}[rng.IntN(3)])
		for range 1 + rng.IntN(2) {
			i := rng.IntN(len(raw))
			switch rng.IntN(4) {
			case 0:
				raw[i] ^= 1 << rng.IntN(8)
			case 1:
				raw = append(raw[:i], raw[i+1:]...)
			case 2:
				raw = append(raw[:i], append([]byte{raw[i]}, raw[i:]...)...)
			case 3:
				raw[i] = " \n\"{}[],:\\0"[rng.IntN(11)]
			}
		}
		got, want := accepted(ours.VerifyBundle(raw, subject, "", now)), theirs.accepts(raw, subject)
		if got != want {
			t.Fatalf("accepted %v, by sigstore-go %v: %q", got, want, raw)
		}
		agreed[got]++
	}
	if agreed[true] == 0 || agreed[false] == 0 {
		t.Fatalf("the mutations were all of one kind: %v", agreed)
	}
}

func urlSafe(b map[string]any, path ...string) {
	m := b[path[0]].(map[string]any)
	m[path[1]] = string(bytes.ReplaceAll(bytes.ReplaceAll([]byte(m[path[1]].(string)), []byte("+"), []byte("-")), []byte("/"), []byte("_")))
}

func unpad(b map[string]any, path ...string) {
	m := b[path[0]].(map[string]any)
	m[path[1]] = string(bytes.TrimRight([]byte(m[path[1]].(string)), "="))
}

func mustHex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	must(t, err)
	return b
}
