package trust_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

// consistent holds what every result must satisfy, however hostile its bytes.
func consistent(t *testing.T, s *fact.Signing) {
	t.Helper()
	if s.Code == "" || (s.Code == verdict.OK) != (len(s.TrustedBy) > 0) {
		t.Fatalf("code %q with signers %v", s.Code, s.TrustedBy)
	}
	if s.Code != verdict.OK && s.Detail == "" {
		t.Fatalf("a denial without a reason: %+v", s)
	}
	if s.Code.Info().Meaning == "unknown code" {
		t.Fatalf("code %q is not in the table", s.Code)
	}
}

func consistentResult(t *testing.T, res trust.Result) {
	t.Helper()
	if len(res.Signatures)+len(res.Attestations) == 0 {
		t.Fatal("the evidence vanished")
	}
	for i := range res.Signatures {
		consistent(t, &res.Signatures[i].Signing)
	}
	for i := range res.Attestations {
		consistent(t, &res.Attestations[i].Signing)
		if !res.Attestations[i].Valid() && len(res.Attestations[i].Predicate) > 0 {
			t.Fatal("a predicate that nobody vouches for")
		}
	}
}

// everything is a root with one entry of each kind.
func everything(f *testing.F) (*trust.Root, trusttest.Key, *trusttest.Sigstore, *trusttest.Notation) {
	key, ss, ca := trusttest.FixedKey(f, "fuzz"), trusttest.NewFixedSigstore(f, now, "fuzz sigstore"), trusttest.NewFixedNotation(f, now, "fuzz notation")
	root := trusttest.Root(f, trust.Options{TrustedRootJSON: ss.TrustedRoot(nil)}, key.Entry("key"),
		trust.Entry{Name: "ci", Keyless: &trust.KeylessEntry{TrustedRootJSON: ss.TrustedRoot(nil), Issuer: issuer, Subject: ci}},
		trust.Entry{Name: "ca", Certificate: &trust.CertificateEntry{RootsPEM: ca.RootPEM(), Identities: []string{"CN=signer"}, TimestampRootsPEM: ss.TSA.RootPEM()}})
	return root, key, ss, ca
}

func FuzzBundle(f *testing.F) {
	root, key, ss, _ := everything(f)
	reference := newReference(f, key)
	subject := trusttest.Digest("image")
	plain, err := trust.SignImage(key, repo, subject, nil)
	must(f, err)
	leaf := ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer})
	f.Add(plain)
	f.Add(ss.BundleLoggedKey(key, plain, now, now))
	f.Add(ss.Bundle(trusttest.Keyless{Leaf: leaf, Payload: trusttest.Statement(repo, subject, signV1, map[string]any{})}))
	f.Add(ss.Bundle(trusttest.Keyless{Leaf: leaf, Version: "v0.1", Payload: trusttest.Statement("", subject, "p", nil)}))
	f.Add(ss.BundleMessage(leaf, []byte("image")))
	f.Add([]byte(`{"mediaType":"` + trust.MediaTypeBundle + `","verificationMaterial":{"publicKey":{},"tlogEntries":[{}]},"dsseEnvelope":{}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		res := root.VerifyBundle(raw, subject, "fuzz", now)
		consistentResult(t, res)
		// What a bare key of ours signed, sigstore-go accepts too.
		keyed := len(res.Signatures) == 1 && res.Signatures[0].Valid() && res.Signatures[0].TrustedBy[0] == "key"
		if keyed && !reference.accepts(raw, subject) {
			t.Fatalf("sigstore-go rejects it")
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	root, key, _, _ := everything(f)
	subject := trusttest.Digest("image")
	envelope, layer, err := trust.AttestLegacy(key, repo, subject, "vuln", []byte("{}"))
	must(f, err)
	doc, err := trust.SignDocument(key, "Revocation", []byte(`{"a":1}`))
	must(f, err)
	f.Add(envelope)
	f.Add(doc)
	f.Add([]byte(`{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA=="},{"sig":"AA=="}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		consistentResult(t, root.VerifyLegacyAttestation(raw, layer, subject, "fuzz", now))
		if got, signers, err := root.VerifyDocument(raw, "Revocation", now); err == nil {
			if again, err := trust.Canonical(got); err != nil || string(again) != string(got) || !signers[0].Valid() {
				t.Fatalf("accepted %q by %+v", got, signers)
			}
		}
	})
}

// FuzzStatement signs what it is given, so that the parser behind the
// signature check is reached.
func FuzzStatement(f *testing.F) {
	root, key, _, _ := everything(f)
	subject := trusttest.Digest("image")
	f.Add("application/vnd.in-toto+json", string(trusttest.Statement(repo, subject, signV1, map[string]any{})))
	f.Add("application/vnd.in-toto+json", `{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"digest":{}},{"name":"a","digest":{"sha256":"`+subject.Hex()+`"},"annotations":{"a":[1]}}],"predicateType":"p"}`)
	f.Fuzz(func(t *testing.T, payloadType, payload string) {
		if len(payload) == 0 {
			return
		}
		consistentResult(t, root.VerifyBundle(keyBundle(t, key, payloadType, payload), subject, "fuzz", now))
	})
}

func FuzzSimpleSigning(f *testing.F) {
	root, key, _, _ := everything(f)
	subject := trusttest.Digest("image")
	f.Add(trusttest.SimpleSigning(repo, subject))
	f.Add([]byte(`{"critical":{"identity":{"docker-reference":"a:b@c"},"image":{"docker-manifest-digest":"sha256:"},"type":"atomic container signature"},"optional":{"a":1}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		layer := map[string]string{trust.AnnotationSignature: base64.StdEncoding.EncodeToString(signSHA256(t, key, payload))}
		got := root.VerifyLegacySignature(payload, layer, subject, "fuzz", now)
		consistent(t, &got.Signing)
		if got.Valid() && (got.Subject != subject || !json.Valid(payload)) {
			t.Fatalf("accepted %q: %+v", payload, got)
		}
	})
}

func FuzzLegacyAnnotations(f *testing.F) {
	root, _, ss, _ := everything(f)
	subject := trusttest.Digest("image")
	payload, a := ss.Legacy(ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer}), repo, subject)
	f.Add(a[trust.AnnotationSignature], a[trust.AnnotationCertificate], a[trust.AnnotationChain], a[trust.AnnotationLog], a[trust.AnnotationTimestamp])
	f.Add(a[trust.AnnotationSignature], "", "", `{"SignedEntryTimestamp":"AA==","Payload":{"body":"e30=","logID":"00"}}`, `{"SignedRFC3161Timestamp":"AA=="}`)
	f.Fuzz(func(t *testing.T, sig, cert, chain, log, stamp string) {
		got := root.VerifyLegacySignature(payload, map[string]string{
			trust.AnnotationSignature: sig, trust.AnnotationCertificate: cert, trust.AnnotationChain: chain,
			trust.AnnotationLog: log, trust.AnnotationTimestamp: stamp,
		}, subject, "fuzz", now)
		consistent(t, &got.Signing)
		if got.Valid() && got.Identity.Subject != ci {
			t.Fatalf("accepted %+v", got)
		}
	})
}

func FuzzNotation(f *testing.F) {
	root, _, ss, ca := everything(f)
	subject := trusttest.Digest("image")
	f.Add(true, ca.Sign(trusttest.Envelope{Subject: subject, TSA: ss.TSA, StampedAt: now}))
	f.Add(false, ca.Sign(trusttest.Envelope{MediaType: "application/cose", Subject: subject, TSA: ss.TSA, StampedAt: now}))
	f.Add(false, ca.Sign(trusttest.Envelope{MediaType: "application/cose", Subject: subject, Expiry: now.Add(1e12)}))
	f.Fuzz(func(t *testing.T, jws bool, raw []byte) {
		mediaType := "application/cose"
		if jws {
			mediaType = "application/jose+json"
		}
		got := root.VerifyNotation(raw, mediaType, subject, "fuzz", now)
		consistent(t, &got.Signing)
		if got.Valid() && got.Subject != subject {
			t.Fatalf("accepted %+v", got)
		}
	})
}
