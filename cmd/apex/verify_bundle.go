package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/trust"
)

// The limits of what verify-bundle reads. The verifier bounds bundle and root
// more tightly; a larger file is named by its digest.
const (
	maxBundleFile = 64 << 20
	maxArtifact   = 512 << 20
)

// newVerifyBundleCommand speaks the client protocol of sigstore-conformance. It
// judges a bundle about a file; images are judged by apex verify, which knows
// policies.
func newVerifyBundleCommand() *cobra.Command {
	var bundle, identity, issuer, key, root string
	c := &cobra.Command{
		Use:     "verify-bundle --bundle FILE (--certificate-identity ID --certificate-oidc-issuer URL | --key PEM) FILE_OR_DIGEST",
		Short:   "Does this sigstore bundle verify for this file?",
		Example: `  apex verify-bundle --bundle a.sigstore.json --key cosign.pub sha256:4f5e…`,
		Hidden:  true,
		Args:    cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&bundle, "bundle", "", "sigstore bundle")
	c.Flags().StringVar(&identity, "certificate-identity", "", "identity that the certificate has to name")
	c.Flags().StringVar(&issuer, "certificate-oidc-issuer", "", "issuer that the certificate has to name")
	c.Flags().StringVar(&key, "key", "", "public key file, instead of an identity")
	c.Flags().StringVar(&root, "trusted-root", "", "trusted_root.json (default: the public good instance's)")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if bundle == "" {
			return usage("--bundle is missing")
		}
		if err := verifyBundle(bundle, identity, issuer, key, root, args[0]); err != nil {
			// What cannot be read does not verify either.
			return &exit{exitDeny, fmt.Errorf("%s does not verify: %w", bundle, err)}
		}
		return nil
	}
	return c
}

func verifyBundle(bundle, identity, issuer, key, root, artifact string) error {
	f := trust.File{Identity: identity, Issuer: issuer}
	for _, in := range []struct {
		name string
		into *[]byte
	}{{bundle, &f.Bundle}, {key, &f.KeyPEM}, {root, &f.TrustedRootJSON}} {
		if in.name == "" {
			continue
		}
		data, err := bounded.ReadFile(in.name, maxBundleFile)
		if err != nil {
			return err
		}
		if len(data) == 0 {
			return fmt.Errorf("%s is empty", in.name)
		}
		*in.into = data
	}
	if isDigest(artifact) {
		f.Digest = artifact
		return trust.VerifyFile(f)
	}
	data, err := bounded.ReadFile(artifact, maxArtifact)
	if err != nil {
		return err
	}
	f.Artifact = &data
	return trust.VerifyFile(f)
}

// isDigest tells a digest from a file's name: the algorithm and as many hex
// digits as it has.
func isDigest(text string) bool {
	algorithm, digits, _ := strings.Cut(text, ":")
	length, known := map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}[algorithm]
	return known && len(digits) == length && strings.Trim(digits, "0123456789abcdefABCDEF") == ""
}
