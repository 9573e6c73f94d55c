package trust

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/apexlogic/apex/verdict"
)

// clockSkew is how far the clock of a signer may be ahead: an OpenPGP signature
// states when it was made, and one from the future does not count.
const clockSkew = 5 * time.Minute

// openpgpSigners are the OpenPGP keys of a CommitVerifier.
type openpgpSigners struct {
	ring   openpgp.EntityList
	byKey  map[*openpgp.Entity]*namedSigner
	byName map[string]string // a primary key's id → who has it
}

func newOpenPGPSigners() *openpgpSigners {
	return &openpgpSigners{byKey: map[*openpgp.Entity]*namedSigner{}, byName: map[string]string{}}
}

func (o *openpgpSigners) add(n *namedSigner, text string) error {
	if len(text) > maxOpenPGPKey {
		return fmt.Errorf("the OpenPGP key is larger than %d bytes", maxOpenPGPKey)
	}
	var ring openpgp.EntityList
	err := guarded("OpenPGP key", func() (err error) {
		ring, err = openpgp.ReadArmoredKeyRing(bytes.NewReader([]byte(text)))
		return err
	})
	if err != nil {
		return fmt.Errorf("the OpenPGP key cannot be read: %w; export it with gpg --armor --export", err)
	}
	if len(ring) != 1 {
		return fmt.Errorf("there are %d OpenPGP keys; give one per signer", len(ring))
	}
	e := ring[0]
	if e.PrivateKey != nil {
		return errors.New("this is a private key; give the public one and keep this file secret")
	}
	signs := 0
	for _, k := range signingKeys(e) {
		if err := acceptableOpenPGP(k); err != nil {
			return err
		}
		signs++
	}
	if signs == 0 {
		return errors.New("neither the OpenPGP key nor a subkey of it may sign")
	}
	id, err := openpgpKeyID(e.PrimaryKey)
	if err != nil {
		return err
	}
	if other, twice := o.byName[id]; twice {
		return fmt.Errorf("it has the same key as %q; one key under two names would count twice", other)
	}
	o.byName[id], o.byKey[e] = n.name, n
	o.ring = append(o.ring, e)
	return nil
}

// signingKeys are the keys of an entity that signatures may be made with.
func signingKeys(e *openpgp.Entity) []*packet.PublicKey {
	var keys []*packet.PublicKey
	if self, _ := e.PrimarySelfSignature(); self != nil && self.FlagsValid && self.FlagSign {
		keys = append(keys, e.PrimaryKey)
	}
	for _, sub := range e.Subkeys {
		if sub.Sig.FlagsValid && sub.Sig.FlagSign {
			keys = append(keys, sub.PublicKey)
		}
	}
	return keys
}

func acceptableOpenPGP(k *packet.PublicKey) error {
	switch k.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		key, ok := k.PublicKey.(*rsa.PublicKey)
		if !ok {
			return errors.New("the OpenPGP key's RSA numbers cannot be read")
		}
		return acceptable(key)
	case packet.PubKeyAlgoECDSA, packet.PubKeyAlgoEdDSA, packet.PubKeyAlgoEd25519, packet.PubKeyAlgoEd448:
		return nil
	}
	return fmt.Errorf("the OpenPGP key %s has an algorithm that is not accepted (%d): use Ed25519, ECDSA or RSA", k.KeyIdString(), k.PubKeyAlgo)
}

func openpgpKeyID(k *packet.PublicKey) (string, error) {
	h := sha256.New()
	if err := k.SerializeForHash(h); err != nil {
		return "", fmt.Errorf("the OpenPGP key cannot be written: %w", err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// oneSignature reads an armored signature that is one packet.
func oneSignature(armored []byte) (raw []byte, sig *packet.Signature, err error) {
	text := bytes.NewReader(armored)
	block, err := armor.Decode(text)
	if err != nil {
		return nil, nil, err
	}
	if block.Type != openpgp.SignatureType {
		return nil, nil, fmt.Errorf("the armor is of a %.40q", block.Type)
	}
	if raw, err = io.ReadAll(block.Body); err != nil { // no longer than its armor
		return nil, nil, err
	}
	packets := packet.NewReader(bytes.NewReader(raw))
	p, err := packets.Next()
	if err != nil {
		return nil, nil, err
	}
	sig, ok := p.(*packet.Signature)
	if !ok {
		return nil, nil, errors.New("it is no signature")
	}
	if _, err := packets.Next(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("something follows it: nobody can say which signature counts")
	}
	if _, after, _ := bytes.Cut(armored, []byte("\n-----END PGP SIGNATURE-----")); len(bytes.TrimSpace(after)) > 0 {
		return nil, nil, errors.New("something follows its armor")
	}
	return raw, sig, nil
}

func (v *CommitVerifier) verifyOpenPGP(payload, armored []byte, seen time.Time) (CommitSigning, error) {
	raw, sig, err := oneSignature(armored)
	if err != nil {
		return CommitSigning{}, deny(verdict.CommitInvalid, "its OpenPGP signature cannot be read: %v", err)
	}
	switch {
	case sig.SigType != packet.SigTypeBinary:
		return CommitSigning{}, deny(verdict.CommitInvalid, "its OpenPGP signature is of type %d and not over bytes as they are", sig.SigType)
	case sig.Hash != crypto.SHA256 && sig.Hash != crypto.SHA384 && sig.Hash != crypto.SHA512 && sig.Hash != crypto.SHA3_256 && sig.Hash != crypto.SHA3_512:
		return CommitSigning{}, deny(verdict.CommitWeak, "its OpenPGP signature uses the hash %s", sig.Hash)
	case sig.IssuerKeyId == nil:
		return CommitSigning{}, deny(verdict.CommitInvalid, "its OpenPGP signature does not say by which key it was made")
	}
	keys := v.openpgp.ring.KeysById(*sig.IssuerKeyId)
	if len(keys) == 0 {
		return CommitSigning{}, deny(verdict.CommitUntrusted, "it is signed by the OpenPGP key %016X, which no signer has", *sig.IssuerKeyId)
	}
	at := seen
	if ahead := sig.CreationTime.Sub(seen); ahead > 0 && ahead <= clockSkew {
		at = sig.CreationTime
	}
	config := &packet.Config{Time: func() time.Time { return at }}
	entity, err := openpgp.CheckDetachedSignature(v.openpgp.ring, bytes.NewReader(payload), bytes.NewReader(raw), config)
	if err != nil {
		return CommitSigning{}, whyOpenPGP(v.openpgp.byKey[keys[0].Entity].name, err, sig, at)
	}
	signer := v.openpgp.byKey[entity]
	ids := make([]string, 0, 2)
	for _, k := range append([]*packet.PublicKey{entity.PrimaryKey}, signingKeys(entity)...) {
		if k != entity.PrimaryKey && k.KeyId != *sig.IssuerKeyId {
			continue
		}
		id, err := openpgpKeyID(k)
		if err != nil {
			return CommitSigning{}, deny(verdict.CommitInvalid, "%v", err)
		}
		ids = append(ids, id)
	}
	return v.signing(signer, FormatOpenPGP, seen, ids...)
}

// whyOpenPGP gives the library's refusal its code.
func whyOpenPGP(name string, err error, sig *packet.Signature, at time.Time) error {
	switch {
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return deny(verdict.CommitKeyRevoked, "the OpenPGP key of %q, or its subkey or user id, is revoked by its owner", name)
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return deny(verdict.CommitKeyValidity, "the OpenPGP key of %q expired before the commit was first seen at %s", name, at.UTC().Format(time.RFC3339))
	case errors.Is(err, pgperrors.ErrSignatureExpired) && sig.CreationTime.After(at):
		return deny(verdict.CommitKeyValidity, "the OpenPGP signature of %q is from the future: %s", name, sig.CreationTime.UTC().Format(time.RFC3339))
	case errors.Is(err, pgperrors.ErrSignatureExpired):
		return deny(verdict.CommitKeyValidity, "the OpenPGP signature of %q, or one that binds the key, has expired", name)
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return deny(verdict.CommitUntrusted, "the OpenPGP key of %q that made the signature may not sign", name)
	}
	return deny(verdict.CommitInvalid, "it names the OpenPGP key of %q and does not verify under it: what was signed or the signature was changed", name)
}
