package trust

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/apexlogic/apex/verdict"
)

// sshNamespace is what git signs in (gitformat-signature(5), PROTOCOL.sshsig).
const sshNamespace = "git"

// userPresent is the flag of a security key that somebody touched
// (PROTOCOL.u2f, "ssh-sk" signatures).
const userPresent = 0x01

type sshSigner struct {
	*namedSigner
	key ssh.PublicKey
	id  string
}

func (v *CommitVerifier) addSSH(n *namedSigner, line string) error {
	if len(line) > maxAuthorizedKey {
		return fmt.Errorf("the SSH key is larger than %d bytes", maxAuthorizedKey)
	}
	if strings.Contains(line, "PRIVATE KEY") {
		return errors.New("this is a private key; give the public one and keep this file secret")
	}
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return errors.New(`the SSH key is not a line of authorized_keys, such as "ssh-ed25519 AAAA… comment"`)
	case len(options) > 0:
		return fmt.Errorf("the SSH key has the option %.40q: give the key alone", options[0])
	case len(bytes.TrimSpace(rest)) > 0:
		return errors.New("something follows the SSH key; give one key per signer")
	}
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
	case ssh.KeyAlgoRSA:
		if err := acceptable(cryptoKey(key).(*rsa.PublicKey)); err != nil {
			return err
		}
	default:
		return fmt.Errorf("the SSH key type %q is not accepted: use ed25519, ecdsa, rsa or a security key", key.Type())
	}
	id, err := sshKeyID(key)
	if err != nil {
		return err
	}
	wire := string(key.Marshal())
	if other := v.ssh[wire]; other != nil {
		return fmt.Errorf("it has the same key as %q; one key under two names would count twice", other.name)
	}
	v.ssh[wire] = &sshSigner{n, key, id}
	return nil
}

// cryptoKey returns the key as Go's own packages have it; nil for security keys.
func cryptoKey(key ssh.PublicKey) any {
	if k, ok := key.(ssh.CryptoPublicKey); ok {
		return k.CryptoPublicKey()
	}
	return nil
}

func sshKeyID(key ssh.PublicKey) (string, error) {
	if isSecurityKey(key) {
		sum := sha256.Sum256(key.Marshal())
		return "sha256:" + hex.EncodeToString(sum[:]), nil
	}
	return KeyID(cryptoKey(key))
}

func isSecurityKey(key ssh.PublicKey) bool {
	return key.Type() == ssh.KeyAlgoSKED25519 || key.Type() == ssh.KeyAlgoSKECDSA256
}

func (v *CommitVerifier) verifySSH(payload, armored []byte, seen time.Time) (CommitSigning, error) {
	block, rest := pem.Decode(armored)
	if block == nil || block.Type != sshsig.PEMType || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return CommitSigning{}, deny(verdict.CommitInvalid, "its SSH signature is not one armored block")
	}
	sig, err := sshsig.ParseSignature(block.Bytes)
	if err != nil {
		return CommitSigning{}, unreadableSSH(block.Bytes, err)
	}
	if cert, ok := sig.PublicKey.(*ssh.Certificate); ok {
		return CommitSigning{}, deny(verdict.CommitUntrusted, "it is signed by an SSH certificate for the key %s; certificates are not accepted, sign with the key itself",
			ssh.FingerprintSHA256(cert.Key))
	}
	signer := v.ssh[string(sig.PublicKey.Marshal())]
	if signer == nil {
		return CommitSigning{}, deny(verdict.CommitUntrusted, "it is signed by the SSH key %s, which no signer has", ssh.FingerprintSHA256(sig.PublicKey))
	}
	if flags := sig.Signature.Rest; isSecurityKey(signer.key) && (len(flags) == 0 || flags[0]&userPresent == 0) {
		return CommitSigning{}, deny(verdict.CommitInvalid, "nobody touched the security key of %q while it signed", signer.name)
	}
	if err := sshsig.Verify(bytes.NewReader(payload), sig, signer.key, sig.HashAlgorithm, sshNamespace); err != nil {
		if errors.Is(err, sshsig.ErrNamespaceMismatch) {
			return CommitSigning{}, deny(verdict.CommitInvalid, "the signature by %q was made in the namespace %.40q and not in %q", signer.name, sig.Namespace, sshNamespace)
		}
		return CommitSigning{}, deny(verdict.CommitInvalid, "it names the key of %q and does not verify under it: what was signed or the signature was changed", signer.name)
	}
	return v.signing(signer.namedSigner, FormatSSH, seen, signer.id)
}

// unreadableSSH says whether a signature that the library refuses is a weak one.
func unreadableSSH(blob []byte, err error) error {
	var outer struct {
		Magic                                           [6]byte
		Version                                         uint32
		PublicKey, Namespace, Reserved, Hash, Signature string
	}
	var inner ssh.Signature
	if ssh.Unmarshal(blob, &outer) == nil && ssh.Unmarshal([]byte(outer.Signature), &inner) == nil &&
		(inner.Format == ssh.KeyAlgoRSA || inner.Format == "ssh-dss") || errors.Is(err, sshsig.ErrUnsupportedHashAlgorithm) {
		return deny(verdict.CommitWeak, "its SSH signature uses SHA-1 or another hash than SHA-256 and SHA-512")
	}
	return deny(verdict.CommitInvalid, "its SSH signature cannot be read: %v", err)
}
