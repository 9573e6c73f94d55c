package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/dataset"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// signedDataset is the predicate that a data set's own signature is about: what
// a model's attestation says, and the statistics.
type signedDataset struct {
	fact.DatasetManifest
	Statistics dataset.Statistics `json:"statistics"`
}

func newDataManifestCommand() *cobra.Command {
	var name, records, key, sign string
	var predicate bool
	c := &cobra.Command{
		Use:   "manifest PATH",
		Short: "List what a data set holds, with a root over its records",
		Long: `Manifest reads a data set once and lists its files with their digests, the Merkle
root over the records of each, label and source counts, duplicates and texts that
are nearly equal but labelled differently. Records are lines of JSONL, rows of
CSV, samples of webdataset tars and row groups of Parquet.

With --records it writes the hashes of all records to a file, by which diff and
verify name records. --predicate writes what "apex attest" signs about a model
that was trained on the data. --key and --sign sign the data set itself.

Scripts, pickles, links and cells that a spreadsheet would run are listed as
findings, and do not change the exit code.`,
		Example: `  apex data manifest ./train
  apex data manifest -o json --records train.records --key data.key --sign train.sigstore.json ./train > train.json
  apex data manifest --predicate ./train > predicate.json`,
		Args: cobra.ExactArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().StringVar(&name, "name", "", "name of the data set (default: the folder's)")
	c.Flags().StringVar(&records, "records", "", "write the records file here, outside of the data set")
	c.Flags().BoolVar(&predicate, "predicate", false, "write the in-toto predicate instead of the manifest")
	c.Flags().StringVar(&key, "key", "", "private key file to sign with")
	c.Flags().StringVar(&sign, "sign", "", "write the signature, a sigstore bundle, here")
	c.MarkFlagsRequiredTogether("key", "sign")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		bar := newByteBar(cmd.ErrOrStderr(), "reading", 0)
		m, err := dataset.Make(cmd.Context(), args[0], dataset.Options{Name: name, Records: records, Progress: bar.set})
		bar.end()
		if err != nil {
			return err
		}
		if sign != "" {
			bundle, err := signManifest(cmd, key, m)
			if err != nil {
				return err
			}
			if err := os.WriteFile(sign, bundle, 0o644); err != nil {
				return err
			}
		}
		switch {
		case predicate:
			return printJSON(cmd.OutOrStdout(), m.Predicate())
		case *output == "json":
			return printJSON(cmd.OutOrStdout(), m)
		case *output == "yaml":
			return printYAML(cmd.OutOrStdout(), m)
		}
		return printManifest(cmd, m)
	}
	return c
}

// signManifest signs a statement about the data set's root.
func signManifest(cmd *cobra.Command, key string, m *dataset.Manifest) ([]byte, error) {
	signer, err := app.LoadKey(key, password(cmd, key))
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(signedDataset{m.Predicate(), m.Statistics})
	if err != nil {
		return nil, err
	}
	return trust.Attest(signer, m.Name, m.Root, fact.PredicateDatasetManifest, body)
}

func printManifest(cmd *cobra.Command, m *dataset.Manifest) error {
	w := cmd.OutOrStdout()
	for i := range m.Files {
		f := &m.Files[i]
		fmt.Fprintf(w, "%-8s %10d records %12d bytes  %s\n", f.Kind, f.Records, f.Size, oneLine(f.Path))
	}
	for _, l := range m.Statistics.Labels {
		fmt.Fprintf(w, "label %s: %d\n", oneLine(l.Value), l.Records)
	}
	for _, s := range m.Statistics.Sources {
		fmt.Fprintf(w, "source %s: %d\n", oneLine(s.Value), s.Records)
	}
	if s := &m.Statistics; s.Duplicates+s.NearConflicts > 0 {
		fmt.Fprintf(w, "%d duplicates, %d contents with several labels, %d clusters of nearly equal texts with several labels\n",
			s.Duplicates, s.Conflicts, s.NearConflicts)
	}
	for _, f := range m.Findings {
		where := ""
		if f.Where != "" {
			where = " at " + f.Where
		}
		fmt.Fprintf(w, "finding %s %s%s: %s (%d times)\n", f.Rule, oneLine(f.Path), oneLine(where), oneLine(f.Detail), f.Count)
	}
	_, err := fmt.Fprintf(w, "root %s, %d files, %d records, %d bytes\n", m.Root, len(m.Files), m.Records, m.Bytes)
	return err
}

// datasetOf compares a signed predicate with the manifest that it came with.
func datasetOf(body json.RawMessage, m *dataset.Manifest) error {
	var signed signedDataset
	if err := json.Unmarshal(body, &signed); err != nil {
		return fmt.Errorf("what was signed: %w", err)
	}
	want, err := json.Marshal(signedDataset{m.Predicate(), m.Statistics})
	if err != nil {
		return err
	}
	got, err := json.Marshal(signed)
	if err != nil {
		return err
	}
	if string(want) != string(got) {
		return fmt.Errorf("the manifest of %s is not the one that was signed", verdict.Digest(m.Root))
	}
	return nil
}
