package app

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// BundleSuffix is what is added to a file's name for the bundle that signs it.
const BundleSuffix = ".sigstore.json"

// maxSignedFile bounds a file that is signed: templates and manifests are text.
const maxSignedFile = 64 << 20

// SignedFile is a file and the bundle that was written beside it.
type SignedFile struct {
	Path   string         `json:"path"`
	Digest verdict.Digest `json:"digest"`
	Bundle string         `json:"bundle"`
	KeyID  string         `json:"keyID"`
	// Kept says that a bundle of the same key over the same bytes was there.
	Kept bool `json:"kept,omitempty"`
}

// SignFiles signs the bytes of each file and writes the bundle beside it. All
// files are read before the first is signed. A bundle that is there and verifies
// under the key is left as it is, so that signing twice changes nothing; one that
// another key made is not replaced.
func SignFiles(paths []string, key crypto.Signer, dryRun bool) ([]SignedFile, error) {
	id, err := trust.KeyID(key.Public())
	if err != nil {
		return nil, err
	}
	pem, err := trust.PublicPEM(key.Public())
	if err != nil {
		return nil, err
	}
	root, err := trust.Compile([]trust.Entry{{Name: "key", Key: &trust.KeyEntry{PEM: pem}}}, trust.Options{})
	if err != nil {
		return nil, err
	}
	contents := make([][]byte, len(paths))
	for i, p := range paths {
		if contents[i], err = bounded.ReadFile(p, maxSignedFile); err != nil {
			return nil, err
		}
	}
	var out []SignedFile
	for i, p := range paths {
		sum := sha256.Sum256(contents[i])
		s := SignedFile{Path: p, Digest: verdict.Digest("sha256:" + hex.EncodeToString(sum[:])), Bundle: p + BundleSuffix, KeyID: id}
		old, err := bounded.ReadFile(s.Bundle, maxSignedFile)
		if err == nil {
			r := root.VerifyFile(old, contents[i], p, time.Time{})
			s.Kept = len(r.Signatures) > 0 && r.Signatures[0].Code == verdict.OK
		}
		if !s.Kept && !dryRun {
			bundle, err := trust.SignFile(key, contents[i])
			if err != nil {
				return out, fmt.Errorf("sign %s: %w", p, err)
			}
			if len(old) > 0 && hint(old) != hint(bundle) {
				return out, fmt.Errorf("%s is there and another key made it; move it away first", s.Bundle)
			}
			if err := os.WriteFile(s.Bundle, append(bytes.Clone(bundle), '\n'), 0o644); err != nil {
				return out, err
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// hint is by what a bundle names its key; "" when it names none.
func hint(bundle []byte) string {
	var b struct {
		VerificationMaterial struct {
			PublicKey struct{ Hint string } `json:"publicKey"`
		} `json:"verificationMaterial"`
	}
	if json.Unmarshal(bundle, &b) != nil {
		return ""
	}
	return b.VerificationMaterial.PublicKey.Hint
}
