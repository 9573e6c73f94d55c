package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/dataset"
)

func newDataCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "data",
		Short: "Pin data sets, name what changed in them, and find poisoned rows",
		Long: `Data pins what a data set holds, down to its records, names the records that
differ between two versions, and looks for rows that somebody may have poisoned.`,
		Example: `  apex data manifest -o json --records train.records ./train > train.json
  apex data diff train.json newer.json
  apex data verify train.json ./train
  apex data screen ./train/features.csv`,
	}
	c.AddCommand(newDataManifestCommand(), newDataDiffCommand(), newDataVerifyCommand(), newDataScreenCommand())
	return c
}

// maxDataManifest is as much of a manifest as the room of data sets accepts.
const maxDataManifest = 256 << 20

// recordsBeside is the records file that belongs to a manifest when none is
// named: the same name with another ending.
func recordsBeside(manifest string) string {
	return strings.TrimSuffix(manifest, filepath.Ext(manifest)) + ".records"
}

// openManifest reads a manifest, and its records file: the one that is named, or
// the one beside it, if there is one.
func openManifest(file, records string) (*dataset.Manifest, *dataset.Index, error) {
	data, err := bounded.ReadFile(file, maxDataManifest)
	if err != nil {
		return nil, nil, err
	}
	m, err := dataset.Read(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	asked := records != ""
	if !asked {
		records = recordsBeside(file)
	}
	index, err := dataset.OpenIndex(records)
	if !asked && errors.Is(err, fs.ErrNotExist) {
		return m, nil, nil
	}
	return m, index, err
}

// printDifference writes what differs, for people.
func printDifference(cmd *cobra.Command, d *dataset.Difference) error {
	w := cmd.OutOrStdout()
	for i := range d.Files {
		f := &d.Files[i]
		about := ""
		switch {
		case f.From != "":
			about = " from " + oneLine(f.From)
		case f.Detail != "":
			about = " (" + f.Detail + ")"
		case f.Framing:
			about = " (only between its records)"
		case f.Reordered:
			about = " (the same records in another order)"
		}
		if f.Header {
			about += " (columns or schema)"
		}
		fmt.Fprintf(w, "%s %s%s\n", f.Change, oneLine(f.Path), about)
		for _, r := range f.Records {
			at, id := r.New, ""
			if at == nil {
				at = r.Old
			}
			if r.ID != "" {
				id = " id " + oneLine(r.ID)
			}
			fmt.Fprintf(w, "  %s record %d at byte %d%s\n", r.Change, at.Index, at.Offset, id)
		}
	}
	for _, l := range d.Labels {
		fmt.Fprintf(w, "label %s: %d, was %d\n", oneLine(l.Label), l.New, l.Old)
	}
	if d.Statistics {
		fmt.Fprintln(w, "the statistics are not those of the files")
	}
	return nil
}
