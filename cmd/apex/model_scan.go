package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/model/source"
)

// scanAt scans what is at a path, or at the place that a URI names.
func scanAt(ctx context.Context, scanner *model.Scanner, at string, flags *clientFlags, o model.Options, emit func(*model.File) error) error {
	if !source.IsRemote(at) {
		return scanner.Tree(ctx, at, o, emit)
	}
	client, err := flags.open()
	if err != nil {
		return err
	}
	defer client.Close()
	src, err := source.Open(ctx, at, source.Options{Registry: client, Getenv: os.Getenv})
	if err != nil {
		return err
	}
	return scanner.Remote(ctx, src, o, emit)
}

func newModelScanCommand() *cobra.Command {
	var flags clientFlags
	c := &cobra.Command{
		Use:   "scan PATH | oci://… | hf://OWNER/NAME@REV | https://… | s3://… | models:/NAME/VERSION",
		Short: "Find what in model files would run or escape",
		Long: `Scan reads every file by its content, under every format whose loader would accept
it, and says one of five things about each: malicious, suspicious, unscannable
(it could not be read to its end), unknown (no format that loaders of models
read), clean. Names of files and folders make no difference. Nothing is loaded.

Back doors inside of weights are not found: they are numbers like all others.

Of a remote model only headers and what can run are read, by ranges, from the
digest or commit that the name stood for; the rest is neither read nor hashed.
HF_TOKEN, HF_ENDPOINT, MLFLOW_TRACKING_URI and AWS's own variables are obeyed.

A file may take some 4 seconds of CPU time, counted and not measured, so that the
same file gets the same verdict everywhere; --budget 10 allows ten times as much
for files that are worth it.

The exit code is 1 when a file is malicious, suspicious or unscannable; with
-o jsonl the lines say so, and the exit code is 0.`,
		Example: `  apex model scan ./model
  apex model scan -o jsonl a.bin b.bin
  apex model scan -o sarif --budget 10 ./model > model.sarif
  apex model scan hf://owner/name@main`,
		Args: cobra.MinimumNArgs(1),
	}
	flags.add(c)
	var budget, jobs int
	c.Flags().IntVar(&budget, "budget", 1, "how many times the usual work a file may take, 1 to 1000")
	c.Flags().IntVar(&jobs, "jobs", 0, "files that are scanned at a time (default: as many as there are processors)")
	output := outputFlag(c, "table", "json", "yaml", "jsonl", "sarif")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if budget < 1 || budget > 1000 {
			return usage("--budget %d is not between 1 and 1000", budget)
		}
		if jobs < 0 {
			return usage("--jobs %d is less than none", jobs)
		}
		w := bufio.NewWriter(cmd.OutOrStdout())
		defer w.Flush() // what was found before an error
		var files []model.File
		blocked := false
		limits := scan.DefaultLimits
		limits.Work *= scan.Cost(budget)
		scanner := model.New(limits)
		bar := newByteBar(cmd.ErrOrStderr(), "scanning", 0)
		defer bar.end()
		for _, arg := range args {
			err := scanAt(cmd.Context(), scanner, arg, &flags, model.Options{Workers: jobs, Progress: func(_ int, bytes int64) { bar.set(bytes, bytes) }}, func(f *model.File) error {
				blocked = blocked || f.Verdict.Blocked()
				switch *output {
				case "jsonl":
					return writeScanLine(w, f)
				case "table":
					return writeScanned(w, f)
				}
				files = append(files, *f)
				return nil
			})
			if err != nil {
				return err
			}
		}
		switch *output {
		case "json":
			if err := printJSON(w, model.Summarize(files)); err != nil {
				return err
			}
		case "yaml":
			if err := printYAML(w, model.Summarize(files)); err != nil {
				return err
			}
		case "sarif":
			report := model.Summarize(files)
			if err := report.SARIF(w); err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if blocked && *output != "jsonl" {
			return &exit{code: exitDeny}
		}
		return nil
	}
	return c
}

// scanLine is the stable line of "model scan -o jsonl".
type scanLine struct {
	Path     string        `json:"path"`
	Verdict  scan.Verdict  `json:"verdict"`
	Format   string        `json:"format"`
	Findings []findingLine `json:"findings"`
	MS       float64       `json:"ms"`
}

type findingLine struct {
	Rule     string        `json:"rule"`
	Severity scan.Severity `json:"severity"`
	Where    string        `json:"where"`
	Detail   string        `json:"detail"`
}

func writeScanLine(w io.Writer, f *model.File) error {
	line := scanLine{Path: f.Path, Verdict: f.Verdict, Format: f.Format(), MS: float64(f.Took.Microseconds()) / 1000,
		Findings: make([]findingLine, len(f.Findings))}
	for i := range f.Findings {
		found := &f.Findings[i]
		line.Findings[i] = findingLine{found.Rule, found.Severity, found.Where.String(), found.Detail}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(line)
}

// writeScanned writes a file and, indented, what was found in it.
func writeScanned(w io.Writer, f *model.File) error {
	format := f.Format()
	if format == "" {
		format = "-"
	}
	if _, err := fmt.Fprintf(w, "%-12s %-14s %s\n", f.Verdict, format, oneLine(f.Path)); err != nil {
		return err
	}
	if f.Unhashed > 0 {
		compare := "nothing says what its digest is"
		if f.Digest != "" {
			compare = "compare " + string(f.Digest) + " before you load it"
		}
		fmt.Fprintf(w, "    %d of %d bytes were neither read nor hashed (%d requests): %s\n", f.Unhashed, f.Size, f.Requests, compare)
	}
	const shown = 20
	for i := range f.Findings {
		found := &f.Findings[i]
		if i == shown {
			fmt.Fprintf(w, "    … and %d more (-o json lists all)\n", len(f.Findings)-shown+f.Dropped)
			break
		}
		where := found.Where.String()
		if where != "" {
			where = " at " + where
		}
		fmt.Fprintf(w, "  - %s %s%s: %s\n", found.Severity, found.Rule, oneLine(where), oneLine(found.Detail))
		if found.Severity > scan.Note {
			fmt.Fprintf(w, "    %s %s", found.Why, found.Mend)
			if len(found.References) > 0 {
				fmt.Fprintf(w, " (%s)", strings.Join(found.References, ", "))
			}
			fmt.Fprintln(w)
		}
	}
	return nil
}
