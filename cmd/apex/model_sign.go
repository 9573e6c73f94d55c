package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/model/oms"
)

// maxCertificates bounds a file with certificates.
const maxCertificates = 1 << 20

// signatureOf is where a model's signature is, unless somebody says otherwise.
func signatureOf(model string) string {
	if info, err := os.Stat(model); err == nil && info.IsDir() {
		return filepath.Join(model, "model.sig")
	}
	return model + ".sig"
}

func newModelSignCommand() *cobra.Command {
	var flags hashFlags
	var key, chain, signature string
	c := &cobra.Command{
		Use:   "sign --key KEY PATH",
		Short: "Sign all files of a model",
		Long: `Sign writes an OpenSSF Model Signing bundle over every file of the model: into
model.sig in its folder, or FILE.sig beside a model that is one file. Other tools
for that format verify it.`,
		Example: `  apex model sign --key models.key ./captioner
  apex model sign --key models.key --certificate-chain models.crt --signature captioner.sig ./captioner`,
		Args: cobra.ExactArgs(1),
	}
	flags.add(c)
	c.Flags().StringVar(&key, "key", "", "private key file")
	c.Flags().StringVar(&chain, "certificate-chain", "", "PEM file with the key's certificate and those that lead to its authority")
	c.Flags().StringVar(&signature, "signature", "", "where to write the bundle (default: model.sig in the folder)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if key == "" {
			return usage("--key is missing: name the private key file that signs")
		}
		signer := oms.Signer{}
		var err error
		if signer.Key, err = app.LoadKey(key, password(cmd, key)); err != nil {
			return err
		}
		if chain != "" {
			if signer.Chain, err = readChain(chain); err != nil {
				return err
			}
		}
		if signature == "" {
			signature = signatureOf(args[0])
		}
		bar := newByteBar(cmd.ErrOrStderr(), "hashing", 0)
		o, err := flags.options(signature, bar)
		if err != nil {
			return err
		}
		hashed, err := oms.Hash(cmd.Context(), args[0], o)
		bar.end()
		if err != nil {
			return err
		}
		bundle, err := oms.Sign(hashed.Manifest, signer)
		if err != nil {
			return err
		}
		if err := os.WriteFile(signature, append(bundle, '\n'), 0o644); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "signed %d files (%d bytes), root %s, in %s\n", hashed.Files, hashed.Bytes, hashed.Manifest.Root(), signature)
		return err
	}
	return c
}

func readChain(file string) ([]*x509.Certificate, error) {
	data, err := bounded.ReadFile(file, maxCertificates)
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return chain, nil
}
