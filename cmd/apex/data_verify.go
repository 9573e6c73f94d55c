package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/dataset"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// maxDataSignature bounds a bundle, as the room that verifies it does.
const maxDataSignature = 16 << 20

func newDataDiffCommand() *cobra.Command {
	var oldRecords, newRecords string
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Which files and records differ between two manifests?",
		Long: `Diff compares two manifests and names what was added, removed, changed or moved:
files, and records by file, index, byte offset and id. Records are named by the
records files that "apex data manifest --records" wrote, of which only the parts
that differ are read. Without --old-records and --new-records they are looked
for beside the manifests, as OLD.records and NEW.records for OLD.json and NEW.json.

The exit code is 1 when anything differs.`,
		Example: `  apex data diff train.json newer.json
  apex data diff -o json --old-records a.rec --new-records b.rec train.json newer.json`,
		Args: cobra.ExactArgs(2),
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().StringVar(&oldRecords, "old-records", "", "records file of OLD")
	c.Flags().StringVar(&newRecords, "new-records", "", "records file of NEW")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		old, oldIndex, err := openManifest(args[0], oldRecords)
		if err != nil {
			return err
		}
		defer oldIndex.Close()
		m, index, err := openManifest(args[1], newRecords)
		if err != nil {
			return err
		}
		defer index.Close()
		d, err := dataset.Diff(old, m, oldIndex, index)
		if err != nil {
			return err
		}
		return printDiff(cmd, *output, d)
	}
	return c
}

// printDiff writes a difference; the error is the exit code 1 when there is one.
func printDiff(cmd *cobra.Command, format string, d *dataset.Difference) error {
	var err error
	switch format {
	case "json":
		err = printJSON(cmd.OutOrStdout(), d)
	case "yaml":
		err = printYAML(cmd.OutOrStdout(), d)
	default:
		err = printDifference(cmd, d)
	}
	if err == nil && !d.Same() {
		return &exit{code: exitDeny}
	}
	return err
}

func newDataVerifyCommand() *cobra.Command {
	var key, signature, records string
	c := &cobra.Command{
		Use:   "verify MANIFEST PATH",
		Short: "Is this the data set that the manifest lists?",
		Long: `Verify reads a data set and compares it with its manifest: every file and record
must be there as it is listed, and no other file may be. With --key it first
verifies the signature that "apex data manifest --sign" made over the manifest.

The exit code is 1, with what differs, when the data set is another one.`,
		Example: `  apex data verify train.json ./train
  apex data verify --key data.pub --signature train.sigstore.json train.json ./train`,
		Args: cobra.ExactArgs(2),
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().StringVar(&key, "key", "", "public key file")
	c.Flags().StringVar(&signature, "signature", "", "the bundle that --sign wrote")
	c.Flags().StringVar(&records, "records", "", "records file of the manifest (default: the one beside it)")
	c.MarkFlagsRequiredTogether("key", "signature")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		m, index, err := openManifest(args[0], records)
		if err != nil {
			return err
		}
		defer index.Close()
		if key != "" {
			if err := verifyManifest(key, signature, m); err != nil {
				return err
			}
		}
		bar := newByteBar(cmd.ErrOrStderr(), "verifying", 0)
		d, err := dataset.Verify(cmd.Context(), m, args[1], dataset.VerifyOptions{Index: index, Progress: bar.set})
		bar.end()
		if err != nil {
			return err
		}
		if err := printDiff(cmd, *output, d); err != nil || *output != "table" {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "verified %d files, %d records, root %s\n", len(m.Files), m.Records, m.Root)
		return err
	}
	return c
}

// verifyManifest verifies that the key signed the manifest.
func verifyManifest(key, signature string, m *dataset.Manifest) error {
	pem, err := bounded.ReadFile(key, maxCertificates)
	if err != nil {
		return err
	}
	root, err := trust.Compile([]trust.Entry{{Name: key, Key: &trust.KeyEntry{PEM: pem}}}, trust.Options{})
	if err != nil {
		return err
	}
	bundle, err := bounded.ReadFile(signature, maxDataSignature)
	if err != nil {
		return err
	}
	why := errors.New("it holds no statement about this data set")
	for _, a := range root.VerifyBundle(bundle, m.Root, signature, time.Now()).Attestations {
		switch {
		case a.Code != verdict.OK || len(a.TrustedBy) == 0:
			why = fmt.Errorf("%s: %s", a.Code, a.Detail)
		case a.PredicateType != fact.PredicateDatasetManifest:
			why = fmt.Errorf("it is a statement of type %s", a.PredicateType)
		default:
			err := datasetOf(a.Predicate, m)
			if err == nil {
				return nil
			}
			why = err
		}
	}
	return &exit{exitDeny, fmt.Errorf("the signature %s does not verify: %w", signature, why)}
}
