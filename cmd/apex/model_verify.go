package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/model/oms"
	"github.com/apexlogic/apex/internal/trust"
)

func newModelVerifyCommand() *cobra.Command {
	var flags hashFlags
	var signature, identity, issuer, root string
	var keys, chains, subjects []string
	var v02, unlisted, bundleIgnores bool
	c := &cobra.Command{
		Use:   "verify (--key PEM | --certificate-chain PEM | --certificate-identity ID --certificate-oidc-issuer URL) PATH",
		Short: "Are these the files that were signed?",
		Long: `Verify hashes the model and compares it with its OpenSSF Model Signing bundle:
every signed file must be there as it was signed, and no other file may be. The
exit code is 1, with the reason, when the signature or a file does not hold.

No network is used: keyless signatures are verified against --trusted-root.`,
		Example: `  apex model verify --key models.pub ./captioner
  apex model verify --key models.pub --signature model.sig --ignore README.md ./captioner`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().StringArrayVar(&keys, "key", nil, "public key file; may be repeated, one of them is enough")
	c.Flags().StringArrayVar(&chains, "certificate-chain", nil, "PEM file with the root certificates of an authority of yours")
	c.Flags().StringArrayVar(&subjects, "certificate-subject", nil, "with --certificate-chain: whom the certificate has to name")
	c.Flags().StringVar(&identity, "certificate-identity", "", "identity that a keyless certificate has to name")
	c.Flags().StringVar(&issuer, "certificate-oidc-issuer", "", "issuer that a keyless certificate has to name")
	c.Flags().StringVar(&root, "trusted-root", "", "trusted_root.json (default: the public good instance's)")
	c.Flags().StringVar(&signature, "signature", "", "the bundle (default: model.sig in the folder)")
	c.Flags().BoolVar(&v02, "allow-v0.2", false, "accept bundles of version 0.2, whose signatures are not sound")
	c.Flags().BoolVar(&unlisted, "allow-unlisted", false, "accept files that were not signed, and list them")
	c.Flags().BoolVar(&bundleIgnores, "bundle-ignores", false, "ignore what the bundle itself asks to ignore")
	flags.addPaths(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		bar := newByteBar(cmd.ErrOrStderr(), "verifying", 0)
		p := oms.Policy{Now: time.Now(), AllowV02: v02, AllowSymlinks: flags.links, Ignore: flags.ignore, AllowUnlisted: unlisted, BundleIgnores: bundleIgnores}
		p.Work.Progress = func(done oms.Progress) { bar.set(done.Bytes, done.TotalBytes) }
		if len(keys)+len(chains) == 0 && identity == "" {
			return usage("whose signature counts? name a --key, a --certificate-chain or a --certificate-identity")
		}
		if (identity == "") != (issuer == "") {
			return usage("--certificate-identity and --certificate-oidc-issuer belong together")
		}
		for _, name := range keys {
			data, err := bounded.ReadFile(name, maxCertificates)
			if err != nil {
				return err
			}
			p.Keys = append(p.Keys, oms.Key{Name: name, PEM: data})
		}
		for _, name := range chains {
			data, err := bounded.ReadFile(name, maxCertificates)
			if err != nil {
				return err
			}
			p.Authorities = append(p.Authorities, oms.Authority{Name: name, PEM: data, Subjects: subjects})
		}
		if identity != "" {
			entry := trust.KeylessEntry{Issuer: issuer, Subject: identity}
			var o trust.Options
			if root != "" {
				data, err := bounded.ReadFile(root, maxBundleFile)
				if err != nil {
					return err
				}
				entry.TrustedRootJSON = data
			} else {
				o.TrustedRootJSON = trust.PublicGoodRoot()
			}
			var err error
			if p.Trust, err = trust.Compile([]trust.Entry{{Name: identity, Keyless: &entry}}, o); err != nil {
				return err
			}
		}
		p.Signature = signature
		if p.Signature == "" {
			p.Signature = signatureOf(args[0])
		}
		bundle, err := bounded.ReadFile(p.Signature, maxBundleFile)
		if err != nil {
			return &exit{exitDeny, fmt.Errorf("the model has no signature that can be read: %w", err)}
		}
		v, err := oms.Verify(cmd.Context(), bundle, args[0], p)
		bar.end()
		if err != nil {
			return &exit{exitDeny, fmt.Errorf("%s does not verify: %w", args[0], err)}
		}
		w := cmd.OutOrStdout()
		fmt.Fprintf(w, "verified %d files (%d bytes), root %s\nsigned by %s", v.Files, v.Bytes, v.Canonical, strings.Join(v.SignedBy.TrustedBy, ", "))
		if v.SignedBy.Identity.Subject != "" {
			fmt.Fprintf(w, " (%s)", oneLine(v.SignedBy.Identity.Subject))
		}
		fmt.Fprintf(w, ", at %s by the clock of the %s\n", v.SignedBy.Time.UTC().Format(time.RFC3339), v.SignedBy.Clock)
		for _, name := range v.Unlisted {
			fmt.Fprintf(w, "not signed: %s\n", oneLine(name))
		}
		return nil
	}
	return c
}
