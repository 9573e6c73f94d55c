package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/report"
)

func newWhyCommand() *cobra.Command {
	var verbose bool
	c := &cobra.Command{
		Use:   "why SUBJECT",
		Short: "Explain the last verdict about a subject, or what became of a request",
		Long: `Why explains the last recorded verdict about a subject: which rule decided, what
it expected and found, on what evidence of what age, the command or change that
mends it, and who may make an exception.

Of a request, a message or a connection that the gateway decided about, it tells
who asked for what, what was looked at, which policies decided, and what became
of it.

SUBJECT is a digest, an image reference or a part of one; the id of a request, as
its caller was told it (X-Request-Id); or a record's id.`,
		Example: `  apex why vision/captioner:1.0
  apex why sha256:4f5e…
  apex why 019ab2c4-…                       # a request or a record`,
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
		w := cmd.OutOrStdout()
		look := report.Options{Color: colourful(w), Width: width(w), Verbose: verbose}
		v, err := app.LastVerdict(cmd.Context(), state, args[0])
		if id, isID := ledger.ParseID(args[0]); errors.Is(err, app.ErrNoVerdict) && isID == nil {
			p, err := app.FindPassage(cmd.Context(), state, id)
			if err != nil {
				return err
			}
			return printPassage(w, p, *output, look)
		}
		if err != nil {
			return err
		}
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
		return report.Why(w, v, time.Now(), approvers, look)
	}
	return c
}

func printPassage(w io.Writer, p *app.Passage, format string, look report.Options) error {
	switch format {
	case "json":
		return printJSON(w, p)
	case "yaml":
		return printYAML(w, p)
	}
	told, err := p.Explain(time.Now())
	if err != nil {
		return err
	}
	return told.Write(w, look)
}
