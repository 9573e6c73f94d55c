package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/report"
)

func newVulnsFixCommand() *cobra.Command {
	var advisories, failOn string
	var vex, policies []string
	var major, dry, commit bool
	c := &cobra.Command{
		Use:   "fix [DIR]",
		Short: "Raise what a folder pins to the smallest versions that mend it",
		Long: `Fix finds what the files of a folder pin that has known vulnerabilities, and puts
the smallest version in its place that has none at or above --fail-on. It changes
requirements and constraints of pip, pyproject.toml, Pipfile, package.json, go.mod,
and what pip and apt-get install in a Dockerfile; nothing but the versions changes.

Before anything is written, the files as they would be are listed and matched again.
A version that is another major one is taken with --major only. No package index is
asked: whether other packages agree with a version is found out by the tools that
install them, and the tests that follow.

What cannot be changed here is named with the reason and the command that does it:
lock files are written by their own tools, and hashes are known to the index alone.

The exit code is 0 when everything that some version mends was raised, 4 when
something is left or could not be looked at.`,
		Example: `  apex vulns fix --dry-run
  apex vulns fix --fail-on Critical services/captioner
  apex vulns fix --commit`,
		Args: cobra.MaximumNArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().StringVar(&advisories, "advisories", "", "snapshot, or feed in OSV's form (default: what apex advisories sync has fetched)")
	c.Flags().StringVar(&failOn, "fail-on", "High", "least severity that is mended: Low, Medium, High, Critical")
	c.Flags().BoolVar(&major, "major", false, "take another major version where no other mends it")
	c.Flags().BoolVar(&dry, "dry-run", false, "show what would change and write nothing")
	c.Flags().BoolVar(&commit, "commit", false, "commit exactly the files that change; refuses one with changes of its own")
	c.Flags().StringSliceVar(&vex, "vex", nil, "document with statements (OpenVEX, CSAF, CycloneDX); they count when the bundle beside it is by a signer for VEX")
	c.Flags().StringSliceVar(&policies, "policy", nil, "file or folder with trust roots for --vex (default: the commit at the workspace's head)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var least fact.Severity
		if err := least.UnmarshalText([]byte(failOn)); err != nil {
			return usage("--fail-on: %v", err)
		}
		if dry && commit {
			return usage("--dry-run writes nothing, and --commit does: leave one out")
		}
		dir := "."
		if len(args) > 0 {
			dir = args[0]
		}
		ctx := cmd.Context()
		o := app.FixOptions{Clock: clock.System{}, Advisories: advisories, Version: version, Least: least, Major: major}
		if len(vex) > 0 {
			trust, err := trustForVEX(cmd, policies)
			if err != nil {
				return err
			}
			documents, err := app.ReadStatements(vex)
			if err != nil {
				return err
			}
			if o.Statements, err = app.Statements(trust, documents, o.Clock.Now()); err != nil {
				return err
			}
		}
		f, err := app.PlanFix(ctx, dir, o)
		if err != nil {
			return err
		}
		done := fixed{Schema: "apex.fix/v1", Fix: f}
		switch {
		case dry || len(f.Edits) == 0:
		case commit:
			made, err := f.Commit(ctx, clock.System{})
			if err != nil {
				return err
			}
			done.Written, done.Commit = true, string(made)
		default:
			if err := f.Write(ctx); err != nil {
				return err
			}
			done.Written = true
		}
		w := bufio.NewWriter(cmd.OutOrStdout())
		switch *output {
		case "json":
			err = printJSON(w, done)
		case "yaml":
			err = printYAML(w, done)
		default:
			writeFix(w, &done)
		}
		if err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if !f.Complete() {
			return &exit{code: exitPartial}
		}
		return nil
	}
	return c
}

// fixed is the document of the command.
type fixed struct {
	Schema string `json:"schema"`
	*app.Fix
	Written bool   `json:"written"`
	Commit  string `json:"commit,omitempty"`
}

func writeFix(w io.Writer, f *fixed) {
	for i := range f.Edits {
		e := &f.Edits[i]
		fmt.Fprintf(w, "%s:%d\n  - %s\n  + %s\n    mends %s\n", report.Plain(e.File), e.Line, report.Plain(e.Before), report.Plain(e.After), report.Plain(strings.Join(e.Mends, ", ")))
	}
	for i := range f.Left {
		writeLeft(w, "left", &f.Left[i])
	}
	for i := range f.Unfixed {
		writeLeft(w, "unfixed", &f.Unfixed[i])
	}
	for _, g := range f.Gaps {
		fmt.Fprintf(w, "not looked at: %s\n", report.Plain(g))
	}
	for _, c := range f.Then {
		fmt.Fprintf(w, "then run in %s: %s\n", report.Plain(c.Folder), report.Plain(c.Command))
	}
	switch {
	case f.Commit != "":
		fmt.Fprintf(w, "committed as %s\n", f.Commit)
	case f.Written:
		fmt.Fprintf(w, "%s written\n", files(len(f.Files())))
	case len(f.Edits) > 0:
		fmt.Fprintf(w, "%s would change\n", files(len(f.Files())))
	case len(f.Left) > 0:
		fmt.Fprintln(w, "nothing can be changed here")
	default:
		fmt.Fprintln(w, "nothing is to be mended")
	}
}

func files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}

func writeLeft(w io.Writer, what string, l *app.FixLeft) {
	fmt.Fprintf(w, "%s: %s: %s %s has %s: %s", what, report.Plain(l.File), report.Plain(l.Name), report.Plain(l.Version),
		report.Plain(strings.Join(l.Vulnerabilities, ", ")), report.Plain(l.Why))
	if l.To != "" {
		fmt.Fprintf(w, "; %s mends it", report.Plain(l.To))
	}
	fmt.Fprintln(w)
	if l.Command != "" {
		fmt.Fprintf(w, "    %s\n", report.Plain(l.Command))
	}
}
