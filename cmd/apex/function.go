package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/function/judge"
	"github.com/apexlogic/apex/internal/function/stack"
	"github.com/apexlogic/apex/internal/report"
)

func newFunctionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "function",
		Short: "What serverless functions may do, and who may call them",
		Long: `Function reads infrastructure code (Terraform, CloudFormation and SAM, serverless.yml,
Knative, OpenFaaS, Kubernetes) and judges the rights and the exposure of the functions
in it, lists what they may do, and makes rights as small as what was used. Units are
found by their content, never by the name of a file or folder.`,
		Example: `  apex function scan infra/
  apex function permissions infra/
  apex function rightsize infra/ --observed trail/`,
	}
	c.AddCommand(newFunctionScanCommand(), newFunctionPermissionsCommand(), newFunctionRightsizeCommand())
	return c
}

func newFunctionScanCommand() *cobra.Command {
	var o judge.Options
	c := &cobra.Command{
		Use:   "scan DIR | FILE...",
		Short: "Find rights that are too wide, public functions, secrets",
		Long: `Scan judges every unit below the folders: policies of one principal together, with
denies, conditions, boundaries and resource policies, and ways to more rights as a
search over who can become whom.

What depends on values outside of the files is no finding and no proof of anything;
--unknown lists it. Classes are explained in docs/functions.md.

The exit code is 1 when something is found, 4 when a file could not be read to its
end; with -o jsonl it is 0.`,
		Example: `  apex function scan infra/
  apex function scan -o jsonl infra/ templates/
  apex function scan -o sarif . > functions.sarif`,
		Args: cobra.MinimumNArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml", "jsonl", "sarif")
	c.Flags().BoolVar(&o.Unknown, "unknown", false, "also what depends on values outside of the files")
	c.Flags().BoolVar(&o.Timeout, "timeouts", false, "also functions without a timeout")
	c.Flags().BoolVar(&o.Egress, "egress", false, "also functions that may connect to anywhere")
	c.Flags().BoolVar(&o.Gateway, "gateway", false, "also functions that can be reached past the gateway")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		found := []stack.Finding{}
		var gaps []stack.Gap
		for _, arg := range args {
			units, err := app.ScanFunctions(cmd.Context(), arg, o)
			if err != nil {
				return err
			}
			for _, u := range units {
				found = append(found, u.Findings...)
				gaps = append(gaps, u.Gaps...)
			}
		}
		w := bufio.NewWriter(cmd.OutOrStdout())
		if err := writeFunctionFindings(w, *output, found, gaps); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if *output == "jsonl" || *output == "sarif" {
			for _, g := range gaps {
				fmt.Fprintf(cmd.ErrOrStderr(), "apex: %s:%d: not read to its end: %s\n", report.Plain(g.File), g.Line, report.Plain(g.Why))
			}
		}
		switch {
		case *output == "jsonl":
		case len(found) > 0:
			return &exit{code: exitDeny}
		case len(gaps) > 0:
			return &exit{code: exitPartial}
		}
		return nil
	}
	return c
}

// functionLine is the stable line of "function scan -o jsonl".
type functionLine struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Class    string `json:"class"`
	Resource string `json:"resource"`
	Detail   string `json:"detail"`
}

func writeFunctionFindings(w io.Writer, format string, found []stack.Finding, gaps []stack.Gap) error {
	document := struct {
		Schema   string          `json:"schema"`
		Findings []stack.Finding `json:"findings"`
		Gaps     []stack.Gap     `json:"gaps,omitempty"`
	}{"apex.function-scan/v1", found, gaps}
	switch format {
	case "json":
		return printJSON(w, document)
	case "yaml":
		return printYAML(w, document)
	case "sarif":
		return report.FindingsSARIF(w, functionFindings(found))
	case "jsonl":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for i := range found {
			f := &found[i]
			if err := enc.Encode(functionLine{f.File, f.Line, f.Class, f.Resource, f.Detail}); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(found) > 0 {
		fmt.Fprintln(t, "SEVERITY\tCLASS\tWHERE\tRESOURCE\tDETAIL")
	}
	for i := range found {
		f := &found[i]
		fmt.Fprintf(t, "%s\t%s\t%s:%d\t%s\t%s\n", severityOf(f), f.Class, report.Plain(f.File), f.Line, report.Plain(f.Resource), report.Plain(f.Detail))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, g := range gaps {
		fmt.Fprintf(w, "not read to its end: %s:%d: %s\n", report.Plain(g.File), g.Line, report.Plain(g.Why))
	}
	return nil
}

// classOf is the table's entry for the class.
func classOf(id string) judge.Class {
	for _, c := range judge.Classes() {
		if c.ID == id {
			return c
		}
	}
	return judge.Class{ID: id}
}

func severityOf(f *stack.Finding) string {
	if f.Severity != "" {
		return f.Severity
	}
	return classOf(f.Class).Severity
}

func functionFindings(found []stack.Finding) []report.Finding {
	levels := map[string]fact.Severity{"critical": fact.SeverityCritical, "high": fact.SeverityHigh, "medium": fact.SeverityMedium, "low": fact.SeverityLow}
	var out []report.Finding
	for i := range found {
		f := &found[i]
		class := classOf(f.Class)
		mend := f.Mend
		if mend == "" {
			mend = class.Mend
		}
		out = append(out, report.Finding{
			Rule: f.Class, Title: class.Why, Message: f.Detail, Severity: levels[severityOf(f)],
			File: f.File, Line: f.Line, Name: f.Resource, Identity: []string{f.File, f.Resource}, Mend: mend,
		})
	}
	return out
}
