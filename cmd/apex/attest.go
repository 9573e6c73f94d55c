package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/trust"
)

// maxPredicate bounds a predicate, as the room that signs it does.
const maxPredicate = 16 << 20

func newAttestCommand() *cobra.Command {
	var flags clientFlags
	var key, kind, predicate, bundleFile string
	c := &cobra.Command{
		Use:   "attest --key KEY --type TYPE --predicate FILE IMAGE",
		Short: "Sign a statement about an image: provenance, a scan, an SBOM",
		Long: `Attest signs an in-toto statement about the digest that the image names and
attaches it in the registry.

TYPE is slsaprovenance, slsaprovenance1, vuln, spdxjson, cyclonedx, openvex,
link, custom, or the URI of a predicate type. The predicate is one JSON document.
For vuln it may be the report of a scanner (Trivy, Grype, CycloneDX, SARIF):
it is wrapped, and must say when the scan finished.

What would never count is not signed: a report about another image, a scan that
failed, provenance that cannot be read.`,
		Example: `  trivy image --format json -o report.json IMAGE@DIGEST
  apex attest --key scanner.key --type vuln --predicate report.json IMAGE@DIGEST
  apex attest --key ci.key --type slsaprovenance1 --predicate provenance.json IMAGE@DIGEST`,
		Args: cobra.ExactArgs(1),
	}
	flags.add(c)
	output := outputFlag(c, "table", "json", "yaml")
	packing := signatureFormat(c)
	c.Flags().StringVar(&key, "key", "", "private key file")
	c.Flags().StringVar(&kind, "type", "", "predicate type: an alias or a URI")
	c.Flags().StringVar(&predicate, "predicate", "", "file with the predicate, or - for standard input")
	c.Flags().StringVar(&bundleFile, "output-bundle", "", "write the bundle to this file, too")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		switch {
		case key == "":
			return usage("--key is missing: name the private key file that signs")
		case kind == "":
			return usage("--type is missing: say what the predicate is, for example vuln")
		case predicate == "":
			return usage("--predicate is missing: name the file, or - for standard input")
		case bundleFile != "" && packing.value != string(fact.FormatBundle):
			return usage("--output-bundle needs --format bundle")
		}
		if _, err := trust.PredicateType(kind); err != nil {
			return usage("--type: %w", err)
		}
		o := app.AttestOptions{Format: fact.Format(packing.value), Type: kind}
		if o.Predicate, err = readInput(cmd.InOrStdin(), predicate, maxPredicate); err != nil {
			return err
		}
		if o.Key, err = app.LoadKey(key, password(cmd, key)); err != nil {
			return err
		}
		client, err := flags.open()
		if err != nil {
			return err
		}
		defer client.Close()
		s, err := app.AttestImage(cmd.Context(), client, args[0], o)
		if err != nil {
			return err
		}
		return errors.Join(printSigned(cmd, *output, "attested", []app.Signed{s}), writeBundle(bundleFile, []app.Signed{s}))
	}
	return c
}

// readInput reads a file, or in when the name is "-".
func readInput(in io.Reader, name string, limit int64) ([]byte, error) {
	if name == "-" {
		return bounded.ReadAll(in, limit)
	}
	return bounded.ReadFile(name, limit)
}
