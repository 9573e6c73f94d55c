package trust_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
)

func TestVerifyFileIsAsStrictAsCosign(t *testing.T) {
	ss := trusttest.NewSigstore(t, now.Add(-24*time.Hour))
	artifact, empty, other := []byte("artifact"), []byte{}, []byte("other")
	sum := sha256.Sum256(artifact)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	leaf := ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer})
	message := ss.BundleMessage(leaf, artifact)
	statement := func(k trusttest.Keyless) []byte {
		k.Leaf, k.Payload = leaf, trusttest.Statement("artifact", trusttest.Digest("artifact"), "https://example.com/p", map[string]any{"a": 1})
		return ss.Bundle(k)
	}
	key := trusttest.NewKey(t)
	plain, err := trust.Attest(key, "artifact", trusttest.Digest("artifact"), "https://example.com/p", []byte("{}"))
	must(t, err)
	at := now.Add(-time.Hour)
	logged := ss.BundleLoggedKey(key, plain, at, time.Time{})
	type F = trust.File
	for _, c := range []struct {
		name string
		file F
		want string // "" for a bundle that verifies
	}{
		{"a message signature over the file", F{Bundle: message, Artifact: &artifact}, ""},
		{"a message signature over the digest", F{Bundle: message, Digest: digest}, ""},
		{"a statement about the file", F{Bundle: statement(trusttest.Keyless{}), Artifact: &artifact}, ""},
		{"a statement about the digest", F{Bundle: statement(trusttest.Keyless{}), Digest: digest}, ""},
		{"a statement that only the log dates", F{Bundle: statement(trusttest.Keyless{WithoutTSA: true}), Digest: digest}, ""},
		{"a logged signature by a key", F{Bundle: logged, Digest: digest, KeyPEM: key.PEM}, ""},

		{"another file", F{Bundle: message, Artifact: &other}, "verify"},
		{"an empty file", F{Bundle: message, Artifact: &empty}, "verify"},
		{"another digest", F{Bundle: message, Digest: strings.Replace(digest, digest[7:9], "zz", 1)}, "digest"},
		{"a statement about another file", F{Bundle: statement(trusttest.Keyless{}), Artifact: &other}, "match"},
		{"neither file nor digest", F{Bundle: message}, "one of them"},
		{"file and digest", F{Bundle: message, Artifact: &artifact, Digest: digest}, "one of them"},
		{"another identity", F{Bundle: message, Digest: digest, Identity: "else", Issuer: issuer}, "identity"},
		{"no issuer", F{Bundle: message, Digest: digest, Identity: ci, Issuer: " "}, "issuer"},
		{"no log entry", F{Bundle: statement(trusttest.Keyless{WithoutLog: true}), Digest: digest}, "log"},
		{"a bad timestamp beside a good log entry", F{Bundle: statement(trusttest.Keyless{TSAs: []*trusttest.TimestampAuthority{ss.OtherTSA}}), Digest: digest}, "timestamp"},
		{"two signatures in one envelope", F{Bundle: statement(trusttest.Keyless{ExtraSignatures: [][]byte{[]byte("x")}}), Digest: digest}, "exactly one signature"},
		{"a signature by a key without log entry", F{Bundle: plain, Digest: digest, KeyPEM: key.PEM}, "log"},
		{"another key", F{Bundle: logged, Digest: digest, KeyPEM: trusttest.NewKey(t).PEM}, ""},
		{"key and identity", F{Bundle: logged, Digest: digest, KeyPEM: key.PEM, Identity: ci, Issuer: issuer}, "keep one"},
		{"a key for a certificate's bundle", F{Bundle: message, Digest: digest, KeyPEM: key.PEM}, "expected key"},
		{"another deployment's root", F{Bundle: message, Digest: digest, TrustedRootJSON: trust.PublicGoodRoot()}, "log"},
		{"no bundle", F{Bundle: []byte("{}"), Digest: digest}, "bundle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.file.TrustedRootJSON == nil {
				c.file.TrustedRootJSON = ss.TrustedRoot(nil)
			}
			if c.file.KeyPEM == nil && c.file.Identity == "" {
				c.file.Identity, c.file.Issuer = ci, issuer
			}
			err := trust.VerifyFile(c.file)
			if c.name == "another key" {
				if err == nil {
					t.Fatal("it verifies")
				}
				return
			}
			if c.want == "" && err != nil {
				t.Fatal(err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
		})
	}
}
