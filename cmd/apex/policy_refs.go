package main

import (
	"bufio"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/manifest"
)

func newPolicyRefsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "refs MANIFEST...",
		Short: "List the images and models that manifests name",
		Long: `Refs lists what would be judged: every image and model that the manifests name, and
what looks like one and cannot be resolved. A file that cannot be read safely is
rejected as a whole. MANIFEST is a file, a folder, or - for standard input.

The exit code is 1 when a file is rejected or something cannot be resolved; with
-o jsonl the lines say so, and the exit code is 0.`,
		Example: `  apex policy refs deploy/
  helm template . | apex policy refs -o jsonl -`,
		Args: cobra.MinimumNArgs(1),
	}
	output := outputFlag(c, "table", "jsonl")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		w := bufio.NewWriter(cmd.OutOrStdout())
		files, findings := 0, false
		err := manifest.Walk(cmd.Context(), cmd.InOrStdin(), args, func(file string, data []byte, err error) error {
			files++
			r := manifest.Result{}
			if err != nil {
				r = manifest.Reject(file, err)
			} else {
				r = manifest.Extract(file, data, manifest.Limits{})
			}
			findings = findings || r.Rejected || len(r.Unresolved) > 0
			if *output == "jsonl" {
				_, err := fmt.Fprintln(w, r.Line())
				return err
			}
			return writeRefs(w, &r)
		})
		if err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		switch {
		case files == 0:
			return fmt.Errorf("no manifest (*.yaml, *.yml, *.json) is there")
		case findings && *output != "jsonl":
			// For programs the lines say it; they expect 0 for an answer.
			return &exit{code: exitDeny}
		}
		return nil
	}
	return c
}

// writeRefs writes a line per reference: where, what for, and what.
func writeRefs(w io.Writer, r *manifest.Result) error {
	line := func(where, class, text string) error {
		_, err := fmt.Fprintf(w, "%s  %s  %s\n", oneLine(where), class, oneLine(text))
		return err
	}
	for i := range r.Problems {
		if err := line(r.Problems[i].Where.String(), "rejected", r.Problems[i].Why); err != nil {
			return err
		}
	}
	for i := range r.Refs {
		ref := &r.Refs[i]
		text := ref.Model
		if text == "" {
			text = ref.Reference.Canonical()
		}
		if err := line(ref.Where.String(), ref.Class.String(), text); err != nil {
			return err
		}
	}
	for i := range r.Unresolved {
		u := &r.Unresolved[i]
		if err := line(u.Where.String(), "unresolved", u.Text+": "+orDefault(u.Why, u.Code.Info().Meaning)); err != nil {
			return err
		}
	}
	return nil
}

func orDefault(text, fallback string) string {
	if text != "" {
		return text
	}
	return fallback
}
