package trust_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"slices"
	"testing"
	"time"

	"github.com/digitorus/pkcs7"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/proto"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

// gitsign describes a signature as gitsign makes it in its offline mode; the
// zero value, completed with a leaf, is a good one.
type gitsign struct {
	leaf     trusttest.Leaf
	loggedAt time.Time // default: a minute after the certificate's beginning
	log      *trusttest.RekorLog
	online   bool                                    // without a log entry in it
	digest   asn1.ObjectIdentifier                   // default: SHA-256
	edit     func(*protorekor.TransparencyLogEntry)  // of the log entry
	logged   func(message, sig []byte) (m, s []byte) // what the log holds instead
	attached bool                                    // with its content in it
	signers  int                                     // default: 1
	more     []pkcs7.Attribute                       // signed attributes
}

var oidRekorEntry = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 3, 1}

func (g gitsign) sign(t testing.TB, ss *trusttest.Sigstore, payload []byte) []byte {
	t.Helper()
	if g.loggedAt.IsZero() {
		g.loggedAt = g.leaf.NotBefore.Add(time.Minute)
	}
	if g.log == nil {
		g.log = ss.Log
	}
	if g.digest == nil {
		g.digest = pkcs7.OIDDigestAlgorithmSHA256
	}
	sd, err := pkcs7.NewSignedData(payload)
	must(t, err)
	sd.SetDigestAlgorithm(g.digest)
	for range max(g.signers, 1) {
		must(t, sd.AddSigner(g.leaf.Certificate, g.leaf.Key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: g.more}))
	}
	signer := &sd.GetSignedData().SignerInfos[0]
	if !g.online {
		message, err := asn1.MarshalWithParams(signer.AuthenticatedAttributes, "set")
		must(t, err)
		sig := signer.EncryptedDigest
		if g.logged != nil {
			message, sig = g.logged(message, sig)
		}
		e := g.log.EntryHashed(message, sig, g.leaf.PEM(), g.loggedAt, 7)
		pb := &protorekor.TransparencyLogEntry{
			LogIndex: e.Index, LogId: &protocommon.LogId{KeyId: e.LogID}, IntegratedTime: e.IntegratedTime,
			KindVersion:      &protorekor.KindVersion{Kind: e.Kind, Version: e.Version},
			InclusionPromise: &protorekor.InclusionPromise{SignedEntryTimestamp: e.SET},
			InclusionProof: &protorekor.InclusionProof{RootHash: e.Root, TreeSize: 1,
				Checkpoint: &protorekor.Checkpoint{Envelope: e.Checkpoint}},
		}
		if g.edit != nil {
			g.edit(pb)
		}
		raw, err := proto.Marshal(pb)
		must(t, err)
		must(t, signer.SetUnauthenticatedAttributes([]pkcs7.Attribute{{Type: oidRekorEntry, Value: raw}}))
	}
	if !g.attached {
		sd.Detach()
	}
	der, err := sd.Finish()
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "SIGNED MESSAGE", Bytes: der})
}

func TestGitsignSignaturesOverCommits(t *testing.T) {
	ss := trusttest.NewSigstore(t, now.Add(-24*time.Hour))
	other := trusttest.NewSigstore(t, now.Add(-24*time.Hour))
	leaf := ss.Certify(trusttest.Certify{Subject: "alice@example.com", Issuer: issuer})
	entry := trust.KeylessEntry{TrustedRootJSON: ss.TrustedRoot(nil), Issuer: issuer, Subject: "alice@example.com"}
	alice := trust.CommitSigner{Name: "alice", Owner: "Alice", Keyless: &entry}
	good := gitsign{leaf: leaf}
	for _, c := range []struct {
		name   string
		sig    []byte
		code   verdict.Code
		detail string
	}{
		{"a good one", good.sign(t, ss, commitPayload), verdict.OK, ""},
		{"over other bytes", good.sign(t, ss, []byte("other")), verdict.CommitInvalid, "about another object"},
		{"of another identity", gitsign{leaf: ss.Certify(trusttest.Certify{Subject: "mallory@example.com", Issuer: issuer})}.sign(t, ss, commitPayload), verdict.CommitUntrusted, "mallory"},
		{"of another issuer", gitsign{leaf: ss.Certify(trusttest.Certify{Subject: "alice@example.com", Issuer: "https://evil.example"})}.sign(t, ss, commitPayload), verdict.CommitUntrusted, "evil"},
		{"of another authority", gitsign{leaf: other.Certify(trusttest.Certify{Subject: "alice@example.com", Issuer: issuer})}.sign(t, ss, commitPayload), verdict.CommitUntrusted, "does not verify"},
		{"made online, without its log entry", gitsign{leaf: leaf, online: true}.sign(t, ss, commitPayload), verdict.CommitEvidence, "online"},
		{"in a log that nobody trusts", gitsign{leaf: leaf, log: ss.OtherLog}.sign(t, ss, commitPayload), verdict.CommitEvidence, "does not name"},
		{"logged after the certificate ended", gitsign{leaf: leaf, loggedAt: now}.sign(t, ss, commitPayload), verdict.CommitEvidence, "valid"},
		{"with another's log entry", gitsign{leaf: leaf, logged: func(_, s []byte) ([]byte, []byte) { return []byte("x"), s }}.sign(t, ss, commitPayload), verdict.CommitEvidence, "log"},
		{"with a log entry that is dated anew", gitsign{leaf: leaf, edit: func(e *protorekor.TransparencyLogEntry) { e.IntegratedTime += 5 }}.sign(t, ss, commitPayload), verdict.CommitEvidence, "log"},
		{"with a log entry that brings its body", gitsign{leaf: leaf, edit: func(e *protorekor.TransparencyLogEntry) { e.CanonicalizedBody = []byte("{}") }}.sign(t, ss, commitPayload), verdict.CommitEvidence, "not of the kind"},
		{"with a log entry of another kind", gitsign{leaf: leaf, edit: func(e *protorekor.TransparencyLogEntry) { e.KindVersion.Kind = "dsse" }}.sign(t, ss, commitPayload), verdict.CommitEvidence, "not of the kind"},
		{"with SHA-1", gitsign{leaf: leaf, digest: pkcs7.OIDDigestAlgorithmSHA1}.sign(t, ss, commitPayload), verdict.CommitWeak, "hash"},
		{"with its own content", gitsign{leaf: leaf, attached: true}.sign(t, ss, commitPayload), verdict.CommitInvalid, "not detached"},
		{"with two signers", gitsign{leaf: leaf, signers: 2}.sign(t, ss, commitPayload), verdict.CommitInvalid, "2 signers"},
		{"with two digests", gitsign{leaf: leaf, more: []pkcs7.Attribute{{Type: pkcs7.OIDAttributeMessageDigest, Value: []byte("x")}}}.sign(t, ss, commitPayload), verdict.CommitInvalid, "several"},
		{"with something behind it", append(good.sign(t, ss, commitPayload), 'x'), verdict.CommitInvalid, "one armored"},
		{"that was changed", changeBlock(t, good.sign(t, ss, commitPayload)), verdict.CommitInvalid, "does not verify"},
		{"of an authority's own key", gitsign{leaf: trusttest.Leaf{Certificate: ss.RootCert, Key: leaf.Key}}.sign(t, ss, commitPayload), verdict.CommitInvalid, "no Subject Alternative Name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := expectCommit(t, compileCommits(t, nil, alice), commitPayload, c.sig, now, c.code, c.detail)
			if c.code == verdict.OK && (got.Identity.Subject != "alice@example.com" || got.Format != trust.FormatGitsign || !got.SignedAt.Equal(leaf.NotBefore.Add(time.Minute))) {
				t.Fatalf("got %+v", got)
			}
		})
	}
	sig := good.sign(t, ss, commitPayload)
	t.Run("an identity that several entries name has all their names", func(t *testing.T) {
		wide := entry
		wide.Subject, wide.SubjectRegexp = "", `.*@example\.com`
		got := expectCommit(t, compileCommits(t, nil, alice, trust.CommitSigner{Name: "everyone", Keyless: &wide}), commitPayload, sig, now, verdict.OK, "")
		if !slices.Equal(got.Names, []string{"alice", "everyone"}) || !slices.Equal(got.Owners, []string{"Alice", "everyone"}) {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("its window is judged by the log's time", func(t *testing.T) {
		bounded := alice
		bounded.ValidUntil = leaf.NotBefore.Add(time.Hour)
		expectCommit(t, compileCommits(t, nil, bounded), commitPayload, sig, now, verdict.OK, "")
		bounded.ValidUntil = leaf.NotBefore.Add(time.Second)
		expectCommit(t, compileCommits(t, nil, bounded), commitPayload, sig, now, verdict.CommitKeyValidity, "valid until")
	})
	t.Run("a revoked identity", func(t *testing.T) {
		revoked := func(since time.Time) []trust.Revoked {
			return []trust.Revoked{{Issuer: issuer, Subject: "alice@example.com", Since: since}}
		}
		expectCommit(t, compileCommits(t, revoked(leaf.NotBefore), alice), commitPayload, sig, now, verdict.CommitKeyRevoked, "revoked")
		expectCommit(t, compileCommits(t, revoked(now), alice), commitPayload, sig, now, verdict.OK, "") // it signed before
	})
	t.Run("everybody of its issuer, or of another one", func(t *testing.T) {
		all := []trust.Revoked{{Issuer: issuer, Subject: trust.Everybody, Since: leaf.NotBefore}}
		expectCommit(t, compileCommits(t, all, alice), commitPayload, sig, now, verdict.CommitKeyRevoked, "revoked")
		all[0].Issuer = "https://elsewhere.example"
		expectCommit(t, compileCommits(t, all, alice), commitPayload, sig, now, verdict.OK, "")
	})
	t.Run("nobody is trusted keyless", func(t *testing.T) {
		v := compileCommits(t, nil, trust.CommitSigner{Name: "bob", SSH: authorized(newEd25519(t).PublicKey())})
		expectCommit(t, v, commitPayload, sig, now, verdict.CommitUntrusted, "no keyless identity")
	})
}

// changeBlock changes the last byte of the signature within an armored message.
// signature is found by its place in front of them.
func changeBlock(t testing.TB, armored []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(armored)
	p7, err := pkcs7.Parse(block.Bytes)
	must(t, err)
	at := bytes.Index(block.Bytes, p7.Signers[0].EncryptedDigest)
	if at < 0 {
		t.Fatal("the signature is not where it was expected")
	}
	block.Bytes[at+len(p7.Signers[0].EncryptedDigest)-1] ^= 1
	return pem.EncodeToMemory(block)
}

func FuzzCommitSignature(f *testing.F) {
	ss := trusttest.NewFixedSigstore(f, now, "fuzz commits")
	leaf := ss.Certify(trusttest.Certify{Subject: "alice@example.com", Issuer: issuer, NotAfter: now.Add(time.Hour)})
	alice := newEd25519(f)
	pgp := pgpKey(f, pgpConfig(now.Add(-time.Hour), 0))
	v := compileCommits(f, nil,
		trust.CommitSigner{Name: "ssh", SSH: authorized(alice.PublicKey())},
		trust.CommitSigner{Name: "pgp", OpenPGP: pgpArmor(f, pgp)},
		trust.CommitSigner{Name: "gitsign", Keyless: &trust.KeylessEntry{TrustedRootJSON: ss.TrustedRoot(nil), Issuer: issuer, Subject: "alice@example.com"}})
	f.Add(sshSign(f, alice, "git", commitPayload))
	f.Add(pgpSign(f, pgp, commitPayload, pgpConfig(now.Add(-time.Hour), 0)))
	f.Add(gitsign{leaf: leaf}.sign(f, ss, commitPayload))
	f.Add([]byte("-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"))
	f.Fuzz(func(t *testing.T, sig []byte) {
		s, err := v.Verify(commitPayload, sig, now)
		if (err == nil) != (len(s.Names) > 0) {
			t.Fatalf("names %v with %v", s.Names, err)
		}
		if err != nil && trust.Code(err).Info().Meaning == "unknown code" {
			t.Fatalf("code %q is not in the table", trust.Code(err))
		}
		// What verifies over these bytes does not over others.
		if _, err := v.Verify(append(bytes.Clone(commitPayload), 'x'), sig, now); err == nil {
			t.Fatalf("%q signs everything", sig)
		}
	})
}
