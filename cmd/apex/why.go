package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/report"
)

func newWhyCommand() *cobra.Command {
	var verbose bool
	c := &cobra.Command{
		Use:   "why SUBJECT",
		Short: "Explain the last verdict about a subject",
		Long: `Why explains the last recorded verdict about a subject: which rule decided, what
it expected and found, on what evidence of what age, the command or change that
mends it, and who may make an exception.

SUBJECT is a record's id, a digest, an image reference or a part of one.`,
		Example: `  apex why vision/captioner:1.0
  apex why sha256:4f5e…
  apex why 019ab2c4-…`,
		Args: cobra.ExactArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "also show the checks that passed, with their evidence")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		workspace, inside := app.FindWorkspace(".")
		state, err := stateDir(cmd, workspace, inside)
		if err != nil {
			return err
		}
		v, err := app.LastVerdict(cmd.Context(), state, args[0])
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		switch *output {
		case "json":
			return printJSON(w, v)
		case "yaml":
			return printYAML(w, v)
		}
		var approvers []string
		if inside {
			if set, _, err := workspace.Load(cmd.Context()); err == nil {
				approvers = app.Approvers(set)
			} else {
				fmt.Fprintf(cmd.ErrOrStderr(), "apex: who may except it is not known: %v\n", err)
			}
		}
		return report.Why(w, v, time.Now(), approvers, report.Options{Color: colourful(w), Width: width(w), Verbose: verbose})
	}
	return c
}
