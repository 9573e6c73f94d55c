package trust_test

import (
	"bytes"
	"crypto"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// pgpConfig makes keys at a time; lifetime 0 is without end.
func pgpConfig(at time.Time, lifetime time.Duration) *packet.Config {
	return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, DefaultHash: crypto.SHA256,
		Time: func() time.Time { return at }, KeyLifetimeSecs: uint32(lifetime / time.Second)}
}

func pgpKey(t testing.TB, config *packet.Config) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity("Alice", "", "alice@example.com", config)
	must(t, err)
	return e
}

func pgpArmor(t testing.TB, e *openpgp.Entity) string {
	t.Helper()
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PublicKeyType, nil)
	must(t, err)
	must(t, e.Serialize(w))
	must(t, w.Close())
	return out.String()
}

func pgpSign(t testing.TB, e *openpgp.Entity, payload []byte, config *packet.Config) []byte {
	t.Helper()
	var out bytes.Buffer
	must(t, openpgp.ArmoredDetachSign(&out, e, bytes.NewReader(payload), config))
	return out.Bytes()
}

func TestOpenPGPSignaturesOverCommits(t *testing.T) {
	born := now.Add(-24 * time.Hour)
	lasting := pgpConfig(born, 0)
	alice, mallory := pgpKey(t, lasting), pgpKey(t, lasting)
	good := pgpSign(t, alice, commitPayload, lasting)

	expiring := pgpKey(t, pgpConfig(born, 48*time.Hour))
	expiringSig := pgpSign(t, expiring, commitPayload, lasting)
	revoked := pgpKey(t, lasting)
	revokedSig := pgpSign(t, revoked, commitPayload, lasting)
	must(t, revoked.RevokeKey(packet.KeySuperseded, "rotated", lasting))

	// With a subkey for signing, as most people have it.
	twoKeys := pgpKey(t, lasting)
	must(t, twoKeys.AddSigningSubkey(lasting))
	bySubkey := pgpSign(t, twoKeys, commitPayload, lasting)
	lostSubkey := pgpKey(t, lasting)
	must(t, lostSubkey.AddSigningSubkey(lasting))
	byLost := pgpSign(t, lostSubkey, commitPayload, lasting)
	must(t, lostSubkey.RevokeSubkey(&lostSubkey.Subkeys[len(lostSubkey.Subkeys)-1], packet.KeyCompromised, "stolen", lasting))
	shortSubkey := pgpKey(t, lasting)
	must(t, shortSubkey.AddSigningSubkey(pgpConfig(born, 30*time.Hour)))
	byShort := pgpSign(t, shortSubkey, commitPayload, lasting)

	text := func() []byte {
		var out bytes.Buffer
		must(t, openpgp.ArmoredDetachSignText(&out, alice, bytes.NewReader(commitPayload), lasting))
		return out.Bytes()
	}()
	// The library makes none with SHA-1: one is relabelled (RFC 9580 §5.2.3, §9.5).
	sha1 := func() []byte {
		var raw, out bytes.Buffer
		must(t, openpgp.DetachSign(&raw, alice, bytes.NewReader(commitPayload), lasting))
		const header, hash = 2, 3 // bytes of the packet's header; the hash within its body
		raw.Bytes()[header+hash] = 2
		w, err := armor.Encode(&out, openpgp.SignatureType, nil)
		must(t, err)
		_, err = w.Write(raw.Bytes())
		must(t, err)
		must(t, w.Close())
		return out.Bytes()
	}()
	both := func() []byte {
		var out bytes.Buffer
		w, err := armor.Encode(&out, openpgp.SignatureType, nil)
		must(t, err)
		must(t, openpgp.DetachSign(w, mallory, bytes.NewReader(commitPayload), lasting))
		must(t, openpgp.DetachSign(w, alice, bytes.NewReader(commitPayload), lasting))
		must(t, w.Close())
		return out.Bytes()
	}()
	for _, c := range []struct {
		name   string
		key    *openpgp.Entity
		sig    []byte
		at     time.Time
		code   verdict.Code
		detail string
	}{
		{"a good one", alice, good, now, verdict.OK, ""},
		{"by a subkey", twoKeys, bySubkey, now, verdict.OK, ""},
		{"by a key before it expires", expiring, expiringSig, now, verdict.OK, ""},
		{"by a subkey before it expires", shortSubkey, byShort, now, verdict.OK, ""},
		{"by a clock that is ahead a little", alice, pgpSign(t, alice, commitPayload, pgpConfig(now.Add(time.Minute), 0)), now, verdict.OK, ""},

		{"of a foreign key", mallory, good, now, verdict.CommitUntrusted, "no signer has"},
		{"by a key that expired since", expiring, expiringSig, now.Add(48 * time.Hour), verdict.CommitKeyValidity, "expired"},
		{"by a subkey that expired since", shortSubkey, byShort, now.Add(48 * time.Hour), verdict.CommitKeyValidity, "expired"},
		{"by a key that its owner revoked", revoked, revokedSig, now, verdict.CommitKeyRevoked, "revoked"},
		{"by a subkey that its owner revoked", lostSubkey, byLost, now, verdict.CommitKeyRevoked, "revoked"},
		{"from the future", alice, pgpSign(t, alice, commitPayload, pgpConfig(now.Add(time.Hour), 0)), now, verdict.CommitKeyValidity, "future"},
		{"with SHA-1", alice, sha1, now, verdict.CommitWeak, "SHA-1"},
		{"over text", alice, text, now, verdict.CommitInvalid, "type 1"},
		{"of two people in one", alice, both, now, verdict.CommitInvalid, "nobody can say"},
		{"over other bytes", alice, pgpSign(t, alice, []byte("x"), lasting), now, verdict.CommitInvalid, "does not verify"},
		{"with something behind it", alice, append(bytes.Clone(good), "\nx"...), now, verdict.CommitInvalid, "follows"},
		{"cut off", alice, good[:len(good)/2], now, verdict.CommitInvalid, "cannot be read"},
		{"that is a key", alice, []byte("-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----"), now, verdict.CommitInvalid, "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := compileCommits(t, nil, trust.CommitSigner{Name: "alice", OpenPGP: pgpArmor(t, c.key)})
			got := expectCommit(t, v, commitPayload, c.sig, c.at, c.code, c.detail)
			if c.code != verdict.OK {
				return
			}
			stopped := compileCommits(t, []trust.Revoked{{KeyID: got.KeyID, Since: now}}, trust.CommitSigner{Name: "alice", OpenPGP: pgpArmor(t, c.key)})
			expectCommit(t, stopped, commitPayload, c.sig, now, verdict.CommitKeyRevoked, "revoked since")
		})
	}
}

func TestOpenPGPKeysThatCannotBe(t *testing.T) {
	lasting := pgpConfig(now.Add(-time.Hour), 0)
	alice := pgpKey(t, lasting)
	small := *lasting
	small.Algorithm, small.RSABits, small.MinRSABits = packet.PubKeyAlgoRSA, 1024, 1024
	one := trust.CommitSigner{Name: "alice", OpenPGP: pgpArmor(t, alice)}
	compileCommits(t, nil, one)
	for why, text := range map[string]string{
		"bits":     pgpArmor(t, pgpKey(t, &small)),
		"same key": one.OpenPGP,
		"private": func() string {
			var out bytes.Buffer
			w, err := armor.Encode(&out, openpgp.PrivateKeyType, nil)
			must(t, err)
			must(t, alice.SerializePrivate(w, nil))
			must(t, w.Close())
			return out.String()
		}(),
		"2 OpenPGP keys": func() string {
			var out bytes.Buffer
			w, err := armor.Encode(&out, openpgp.PublicKeyType, nil)
			must(t, err)
			must(t, alice.Serialize(w))
			must(t, pgpKey(t, lasting).Serialize(w))
			must(t, w.Close())
			return out.String()
		}(),
	} {
		_, err := trust.CompileCommits([]trust.CommitSigner{one, {Name: "bob", OpenPGP: text}}, nil)
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte(why)) {
			t.Errorf("%s: got %v", why, err)
		}
	}
}

// What GnuPG itself signs counts.
func TestGnuPGSigns(t *testing.T) {
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("gpg is not on the PATH: install GnuPG to compare with it")
	}
	home, err := os.MkdirTemp("", "gpg") // short: its agent's socket is in it
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	gpg := func(args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "gpg", append([]string{"--batch", "--homedir", home, "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
		cmd.Stdin = bytes.NewReader(commitPayload)
		var diag bytes.Buffer
		cmd.Stderr = &diag
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("gpg %v: %v: %s", args, err, diag.String())
		}
		return out
	}
	t.Cleanup(func() {
		cmd := exec.Command("gpgconf", "--homedir", home, "--kill", "all")
		_ = cmd.Run()
	})
	must(t, os.Chmod(home, 0o700))
	for _, kind := range []string{"ed25519", "rsa3072", "nistp256"} {
		user := kind + "@example.com"
		gpg("--quick-gen-key", user, kind, "sign", "0")
		key := string(gpg("--armor", "--export", user))
		sig := gpg("--local-user", user, "--armor", "--detach-sign")
		v := compileCommits(t, nil, trust.CommitSigner{Name: "alice", OpenPGP: key})
		expectCommit(t, v, commitPayload, sig, time.Now(), verdict.OK, "") // gpg uses the machine's clock
		expectCommit(t, v, append(commitPayload, 'x'), sig, time.Now(), verdict.CommitInvalid, "does not verify")
	}
	if _, err := os.Stat(filepath.Join(home, "pubring.kbx")); err != nil {
		t.Fatalf("gpg worked elsewhere: %v", err)
	}
}
