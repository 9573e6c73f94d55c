package trust

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/apexlogic/apex/internal/bounded"
)

// File is what [VerifyFile] judges: a bundle about a file, as the
// sigstore-conformance client protocol hands it in.
type File struct {
	Bundle []byte
	// Artifact is the file's content; or Digest is "sha256:<hex>" (also sha384,
	// sha512). Exactly one of them is set; a pointer tells an empty file from none.
	Artifact *[]byte
	Digest   string
	// Identity and Issuer are compared exactly; or KeyPEM is the public key.
	Identity, Issuer string
	KeyPEM           []byte
	// TrustedRootJSON is a trusted_root.json; empty: the public good instance's.
	TrustedRootJSON []byte
}

// VerifyFile verifies a bundle about a file as strictly as cosign verify-blob
// does: a transparency log entry, and for certificates a certificate
// transparency timestamp, an identity, and a time that a log or, where the
// bundle holds any, a timestamp authority vouches for. nil means that it
// verifies. It runs sigstore-go's verifier and nothing of this package's own,
// so that it also serves as the reference in tests.
func VerifyFile(f File) error {
	return guarded("bundle", func() error { return verifyFile(f) })
}

func verifyFile(f File) error {
	b, err := loadStrict(f.Bundle)
	if err != nil {
		return err
	}
	artifact, err := f.artifact()
	if err != nil {
		return err
	}
	trustedRoot := f.TrustedRootJSON
	if len(trustedRoot) == 0 {
		trustedRoot = PublicGoodRoot()
	}
	if len(trustedRoot) > maxTrustedRoot {
		return fmt.Errorf("trusted root: %w of %d bytes", bounded.ErrTooLarge, maxTrustedRoot)
	}
	tr, err := root.NewTrustedRootFromJSON(trustedRoot)
	if err != nil {
		return fmt.Errorf("trusted root: %w", err)
	}
	var material root.TrustedMaterial = tr
	options := []verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithoutStatementPredicate()}
	var policy []verify.PolicyOption
	stamped, err := needsTimestamps(b, len(f.KeyPEM) > 0)
	if err != nil {
		return err
	}
	if stamped {
		options = append(options, verify.WithSignedTimestamps(1))
	}
	switch {
	case len(f.KeyPEM) > 0 && (f.Identity != "" || f.Issuer != ""):
		return errors.New("a key and an identity are both given; keep one")
	case len(f.KeyPEM) > 0:
		key, err := parsePublicKey(f.KeyPEM, "")
		if err != nil {
			return err
		}
		keys, err := keyVerifier(key)
		if err != nil {
			return err
		}
		material = root.TrustedMaterialCollection{keys, tr}
		policy = append(policy, verify.WithKey())
		if !stamped {
			options = append(options, verify.WithNoObserverTimestamps())
		}
	case f.Identity == "" || f.Issuer == "":
		return errors.New("give a key, or an identity and its issuer")
	default:
		id, err := verify.NewShortCertificateIdentity(f.Issuer, "", f.Identity, "")
		if err != nil {
			return fmt.Errorf("identity: %w", err)
		}
		policy = append(policy, verify.WithCertificateIdentity(id))
		options = append(options, verify.WithSignedCertificateTimestamps(1))
		if !stamped {
			options = append(options, verify.WithIntegratedTimestamps(1))
		}
	}
	v, err := verify.NewVerifier(material, options...)
	if err != nil {
		return err
	}
	_, err = v.Verify(b, verify.NewPolicy(artifact, policy...))
	return err
}

func loadStrict(raw []byte) (*bundle.Bundle, error) {
	if len(raw) > maxBundle {
		return nil, fmt.Errorf("bundle: %w of %d bytes", bounded.ErrTooLarge, maxBundle)
	}
	if err := checkJSON(raw); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(raw); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return b, nil
}

// needsTimestamps says whether an RFC 3161 timestamp must verify: when the
// bundle holds one, and for a certificate whose log entries are all of the
// newer kind of log, which dates nothing.
func needsTimestamps(b *bundle.Bundle, byKey bool) (bool, error) {
	stamps, err := b.Timestamps()
	if err != nil || len(stamps) > 0 {
		return len(stamps) > 0, err
	}
	entries, err := b.TlogEntries()
	if err != nil || byKey || len(entries) == 0 {
		return false, err
	}
	for _, e := range entries {
		if !e.IntegratedTime().IsZero() {
			return false, nil
		}
	}
	return true, nil
}

func (f *File) artifact() (verify.ArtifactPolicyOption, error) {
	switch {
	case (f.Artifact == nil) == (f.Digest == ""):
		return nil, errors.New("give the artifact or its digest, one of them")
	case f.Artifact != nil:
		return verify.WithArtifact(bytes.NewReader(*f.Artifact)), nil
	}
	algorithm, text, ok := strings.Cut(f.Digest, ":")
	sizes := map[string]int{"sha256": 32, "sha384": 48, "sha512": 64}
	digest, err := hex.DecodeString(text)
	if !ok || err != nil || sizes[algorithm] == 0 || len(digest) != sizes[algorithm] {
		return nil, fmt.Errorf("digest %q is not <algorithm>:<hex> with sha256, sha384 or sha512", clip(f.Digest))
	}
	return verify.WithArtifactDigest(algorithm, digest), nil
}

// keyVerifier trusts one key for every hint.
func keyVerifier(key *publicKey) (root.TrustedMaterial, error) {
	v, err := signature.LoadDefaultVerifier(key.key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	expiring := root.NewExpiringKey(v, time.Time{}, time.Time{})
	return root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return expiring, nil
	}), nil
}
