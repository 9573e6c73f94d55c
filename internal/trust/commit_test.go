package trust_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

var commitPayload = []byte("tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@example.com> 1772366400 +0000\ncommitter A <a@example.com> 1772366400 +0000\n\nhello\n")

func sshSigner(t testing.TB, key crypto.Signer) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromSigner(key)
	must(t, err)
	return s
}

func newEd25519(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return sshSigner(t, key)
}

func authorized(key ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(key)) }

func sshSign(t testing.TB, s ssh.Signer, namespace string, payload []byte) []byte {
	t.Helper()
	sig, err := sshsig.Sign(bytes.NewReader(payload), s, sshsig.HashSHA512, namespace)
	must(t, err)
	return sshsig.Armor(sig)
}

func compileCommits(t testing.TB, revoked []trust.Revoked, signers ...trust.CommitSigner) *trust.CommitVerifier {
	t.Helper()
	v, err := trust.CompileCommits(signers, revoked)
	must(t, err)
	return v
}

// expectCommit holds a verification to a code; names are those of the signers.
func expectCommit(t *testing.T, v *trust.CommitVerifier, payload, sig []byte, at time.Time, code verdict.Code, detail string) trust.CommitSigning {
	t.Helper()
	s, err := v.Verify(payload, sig, at)
	if code == verdict.OK {
		if err != nil || len(s.Names) == 0 || len(s.Owners) == 0 || s.KeyID == "" || s.Format == "" {
			t.Fatalf("got %+v, %v", s, err)
		}
		return s
	}
	if err == nil || trust.Code(err) != code || !strings.Contains(err.Error(), detail) {
		t.Fatalf("got %v (%s), want %s %q", err, trust.Code(err), code, detail)
	}
	if len(s.Names) > 0 {
		t.Fatalf("a refusal with signers: %+v", s)
	}
	return s
}

func TestSSHKeysOfEveryKindSignCommits(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	must(t, err)
	r2048, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	for name, s := range map[string]ssh.Signer{
		"ed25519": newEd25519(t), "P-256": sshSigner(t, p256), "P-384": sshSigner(t, p384), "P-521": sshSigner(t, p521), "RSA 2048": sshSigner(t, r2048),
	} {
		t.Run(name, func(t *testing.T) {
			v := compileCommits(t, nil, trust.CommitSigner{Name: "alice", Owner: "alice@example.com", SSH: authorized(s.PublicKey())})
			sig := sshSign(t, s, "git", commitPayload)
			got := expectCommit(t, v, commitPayload, sig, now, verdict.OK, "")
			if got.Names[0] != "alice" || got.Owners[0] != "alice@example.com" || got.Format != trust.FormatSSH {
				t.Fatalf("got %+v", got)
			}
			id, err := trust.KeyID(s.PublicKey().(ssh.CryptoPublicKey).CryptoPublicKey())
			if err != nil || got.KeyID != id {
				t.Fatalf("key id %s, want %s, %v", got.KeyID, id, err)
			}
			expectCommit(t, v, bytes.Replace(commitPayload, []byte("hello"), []byte("jello"), 1), sig, now, verdict.CommitInvalid, "does not verify")
		})
	}
}

func TestSSHSignaturesThatDoNotCount(t *testing.T) {
	alice, mallory := newEd25519(t), newEd25519(t)
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	rsaSigner := sshSigner(t, weak)
	v := compileCommits(t, nil,
		trust.CommitSigner{Name: "alice", SSH: authorized(alice.PublicKey())},
		trust.CommitSigner{Name: "rsa", SSH: authorized(rsaSigner.PublicKey())})
	good := sshSign(t, alice, "git", commitPayload)
	expectCommit(t, v, commitPayload, good, now, verdict.OK, "")
	expectCommit(t, v, commitPayload, bytes.TrimSpace(good), now, verdict.OK, "") // as it stands in a header

	cert := &ssh.Certificate{Key: alice.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity, ValidPrincipals: []string{"alice"}}
	must(t, cert.SignCert(rand.Reader, mallory))
	certified, err := ssh.NewCertSigner(cert, alice)
	must(t, err)
	edit := func(f func(*sshsig.Signature)) []byte {
		sig, err := sshsig.Unarmor(good)
		must(t, err)
		f(sig)
		return sshsig.Armor(sig)
	}
	for _, c := range []struct {
		name   string
		sig    []byte
		code   verdict.Code
		detail string
	}{
		{"none", nil, verdict.CommitUnsigned, "no signature"},
		{"blanks", []byte(" \n"), verdict.CommitUnsigned, "no signature"},
		{"of a foreign key", sshSign(t, mallory, "git", commitPayload), verdict.CommitUntrusted, ssh.FingerprintSHA256(mallory.PublicKey())},
		{"in the namespace file", sshSign(t, alice, "file", commitPayload), verdict.CommitInvalid, `namespace "file"`},
		{"in a namespace that begins with git", sshSign(t, alice, "git.example", commitPayload), verdict.CommitInvalid, "namespace"},
		{"over other bytes", sshSign(t, alice, "git", []byte("other")), verdict.CommitInvalid, "does not verify"},
		{"of a certificate", sshSign(t, certified, "git", commitPayload), verdict.CommitUntrusted, "certificate"},
		{"with the namespace written anew", edit(func(s *sshsig.Signature) { s.Namespace = "GIT" }), verdict.CommitInvalid, "namespace"},
		{"with alice's key on mallory's signature", func() []byte {
			sig, err := sshsig.Sign(bytes.NewReader(commitPayload), mallory, sshsig.HashSHA512, "git")
			must(t, err)
			sig.PublicKey = alice.PublicKey()
			return sshsig.Armor(sig)
		}(), verdict.CommitInvalid, "does not verify"},
		{"with another hash named", edit(func(s *sshsig.Signature) { s.HashAlgorithm = sshsig.HashSHA256 }), verdict.CommitInvalid, "does not verify"},
		{"with the hash SHA-1 named", edit(func(s *sshsig.Signature) { s.HashAlgorithm = "sha1" }), verdict.CommitWeak, "SHA-1"},
		{"RSA with SHA-1", sha1RSA(t, rsaSigner), verdict.CommitWeak, "SHA-1"},
		{"twice", append(bytes.Clone(good), good...), verdict.CommitInvalid, "one armored block"},
		{"with text behind it", append(bytes.Clone(good), "x"...), verdict.CommitInvalid, "one armored block"},
		{"with text before it", append([]byte("x\n"), good...), verdict.CommitInvalid, "begins with"},
		{"with headers in its armor", bytes.Replace(good, []byte("-----\n"), []byte("-----\nA: b\n\n"), 1), verdict.CommitInvalid, "one armored block"},
		{"cut off", good[:len(good)/2], verdict.CommitInvalid, "one armored block"},
		{"too large", append(bytes.Clone(good), bytes.Repeat([]byte("\n"), 70<<10)...), verdict.CommitInvalid, "the limit is"},
		{"of an unknown kind", []byte("-----BEGIN MINISIGN-----\n"), verdict.CommitInvalid, "begins with"},
	} {
		t.Run(c.name, func(t *testing.T) { expectCommit(t, v, commitPayload, c.sig, now, c.code, c.detail) })
	}
}

// sha1RSA is a signature as OpenSSH made them before 7.2; the library makes none.
func sha1RSA(t testing.TB, s ssh.Signer) []byte {
	t.Helper()
	sig, err := sshsig.Sign(bytes.NewReader(commitPayload), s, sshsig.HashSHA512, "git")
	must(t, err)
	sig.Signature.Format = ssh.KeyAlgoRSA
	return sshsig.Armor(sig)
}

// A security key signs the hash of its application, flags and a counter along
// (PROTOCOL.u2f); it has no software that could be run here.
func securityKeySign(t testing.TB, key ed25519.PrivateKey, pub ssh.PublicKey, flags byte) []byte {
	t.Helper()
	message := sha512.Sum512(commitPayload)
	data := append([]byte("SSHSIG"), ssh.Marshal(struct{ Namespace, Reserved, Hash, Message string }{"git", "", "sha512", string(message[:])})...)
	application, digest := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	counter := binary.BigEndian.AppendUint32([]byte{flags}, 7)
	signed := append(append(bytes.Clone(application[:]), counter...), digest[:]...)
	return sshsig.Armor(&sshsig.Signature{Version: 1, PublicKey: pub, Namespace: "git", HashAlgorithm: sshsig.HashSHA512,
		Signature: &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(key, signed), Rest: counter}})
}

func TestASecurityKeyHasToBeTouched(t *testing.T) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	pub, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, "ssh:"}))
	must(t, err)
	v := compileCommits(t, nil, trust.CommitSigner{Name: "alice", SSH: authorized(pub)})
	got := expectCommit(t, v, commitPayload, securityKeySign(t, key, pub, 1), now, verdict.OK, "")
	expectCommit(t, v, commitPayload, securityKeySign(t, key, pub, 0), now, verdict.CommitInvalid, "touched")
	revoked := compileCommits(t, []trust.Revoked{{KeyID: got.KeyID, Since: now}}, trust.CommitSigner{Name: "alice", SSH: authorized(pub)})
	expectCommit(t, revoked, commitPayload, securityKeySign(t, key, pub, 1), now, verdict.CommitKeyRevoked, "revoked since")
}

func TestAKeyCountsWithinItsWindow(t *testing.T) {
	alice := newEd25519(t)
	id, err := trust.KeyID(alice.PublicKey().(ssh.CryptoPublicKey).CryptoPublicKey())
	must(t, err)
	sig := sshSign(t, alice, "git", commitPayload)
	for _, c := range []struct {
		name        string
		from, until time.Time
		revoked     []trust.Revoked
		code        verdict.Code
	}{
		{"without bounds", time.Time{}, time.Time{}, nil, verdict.OK},
		{"within them", now.Add(-time.Hour), now.Add(time.Hour), nil, verdict.OK},
		{"before it", now.Add(time.Second), time.Time{}, nil, verdict.CommitKeyValidity},
		{"after it", time.Time{}, now.Add(-time.Second), nil, verdict.CommitKeyValidity},
		{"revoked", time.Time{}, time.Time{}, []trust.Revoked{{KeyID: id, Since: now.Add(-time.Hour)}}, verdict.CommitKeyRevoked},
		{"revoked from later on", time.Time{}, time.Time{}, []trust.Revoked{{KeyID: id, Since: now.Add(time.Hour)}}, verdict.OK},
		{"while another key is revoked", time.Time{}, time.Time{}, []trust.Revoked{{KeyID: "sha256:" + strings.Repeat("0", 64), Since: now}}, verdict.OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := compileCommits(t, c.revoked, trust.CommitSigner{Name: "alice", SSH: authorized(alice.PublicKey()), ValidFrom: c.from, ValidUntil: c.until})
			expectCommit(t, v, commitPayload, sig, now, c.code, "")
		})
	}
}

func TestSignersThatCannotBe(t *testing.T) {
	alice, bob := newEd25519(t), newEd25519(t)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	block, err := ssh.MarshalPrivateKey(ed25519.NewKeyFromSeed(make([]byte, 32)), "")
	must(t, err)
	a := trust.CommitSigner{Name: "alice", SSH: authorized(alice.PublicKey())}
	b := trust.CommitSigner{Name: "bob", SSH: authorized(bob.PublicKey())}
	if _, err := trust.CompileCommits([]trust.CommitSigner{a, b}, nil); err != nil {
		t.Fatalf("two good ones: %v", err)
	}
	with := func(f func(*trust.CommitSigner)) trust.CommitSigner { s := b; f(&s); return s }
	for why, s := range map[string]trust.CommitSigner{
		"no name":            with(func(s *trust.CommitSigner) { s.Name = "" }),
		"there twice":        with(func(s *trust.CommitSigner) { s.Name = "alice" }),
		"same key as":        with(func(s *trust.CommitSigner) { s.SSH = a.SSH }),
		"exactly one":        with(func(s *trust.CommitSigner) { s.SSH = "" }),
		"of an SSH key":      with(func(s *trust.CommitSigner) { s.OpenPGP = "x" }),
		"option":             with(func(s *trust.CommitSigner) { s.SSH = "cert-authority " + s.SSH }),
		"something follows":  with(func(s *trust.CommitSigner) { s.SSH += a.SSH }),
		"private key":        with(func(s *trust.CommitSigner) { s.SSH = string(pem.EncodeToMemory(block)) }),
		"not a line of":      with(func(s *trust.CommitSigner) { s.SSH = "hello" }),
		"1024 bits":          with(func(s *trust.CommitSigner) { s.SSH = authorized(sshSigner(t, short).PublicKey()) }),
		"larger than":        with(func(s *trust.CommitSigner) { s.SSH = strings.Repeat("a", 17<<10) }),
		"not before":         with(func(s *trust.CommitSigner) { s.ValidFrom, s.ValidUntil = now, now }),
		"cannot be read":     with(func(s *trust.CommitSigner) { s.SSH, s.OpenPGP = "", "hello" }),
		"issuer is not set":  with(func(s *trust.CommitSigner) { s.SSH, s.Keyless = "", &trust.KeylessEntry{Subject: "x"} }),
		"OpenPGP key is lar": with(func(s *trust.CommitSigner) { s.SSH, s.OpenPGP = "", strings.Repeat("a", 257<<10) }),
	} {
		if _, err := trust.CompileCommits([]trust.CommitSigner{a, s}, nil); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: got %v", why, err)
		}
	}
	if _, err := trust.CompileCommits([]trust.CommitSigner{a}, []trust.Revoked{{}}); err == nil {
		t.Error("a revocation of nothing was accepted")
	}
	v := compileCommits(t, nil, a)
	if owner, ok := v.Owner("alice"); !ok || owner != "alice" {
		t.Errorf("the owner of alice is %q", owner)
	}
	if _, ok := v.Owner("bob"); ok {
		t.Error("somebody owns the key of nobody")
	}
}

// What OpenSSH itself signs counts.
func TestSSHKeygenSigns(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is not on the PATH: install OpenSSH to compare with it")
	}
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		dir := t.TempDir()
		key, file := filepath.Join(dir, "key"), filepath.Join(dir, "payload")
		must(t, os.WriteFile(file, commitPayload, 0o600))
		for _, args := range [][]string{{"-q", "-t", kind, "-N", "", "-C", "alice", "-f", key}, {"-q", "-Y", "sign", "-n", "git", "-f", key, file}} {
			if out, err := exec.CommandContext(t.Context(), "ssh-keygen", args...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		public, err := os.ReadFile(key + ".pub")
		must(t, err)
		sig, err := os.ReadFile(file + ".sig")
		must(t, err)
		v := compileCommits(t, nil, trust.CommitSigner{Name: "alice", SSH: string(public)})
		expectCommit(t, v, commitPayload, sig, now, verdict.OK, "")
		expectCommit(t, v, append(commitPayload, 'x'), sig, now, verdict.CommitInvalid, "does not verify")
	}
}

func BenchmarkVerifyCommitSSH(b *testing.B) {
	alice := newEd25519(b)
	v := compileCommits(b, nil, trust.CommitSigner{Name: "alice", SSH: authorized(alice.PublicKey())})
	sig := sshSign(b, alice, "git", commitPayload)
	for b.Loop() {
		if _, err := v.Verify(commitPayload, sig, now); err != nil {
			b.Fatal(err)
		}
	}
}
