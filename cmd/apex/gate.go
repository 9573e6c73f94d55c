package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/ci"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/internal/report"
)

func newGateCommand() *cobra.Command {
	var flags engineFlags
	var dir, base, head string
	var folders, paths []string
	var everything bool
	c := &cobra.Command{
		Use:   "gate",
		Short: "May this change be merged? The door in CI",
		Long: `Gate finds what a commit changes against its base, and judges what that would
deploy: the images and models that manifests name, and the functions that
infrastructure code declares. It asks twice, under the policies and trust of the base
and under the change's own, and the stricter answer counts: nobody loosens a rule and
uses that in one step. When policies change, everything in the repository is judged.

Only commits are judged, so that nothing changes while it is looked at. Without --base
it is the target of the pull or merge request where CI says so (GITHUB_BASE_REF,
CI_MERGE_REQUEST_DIFF_BASE_SHA), and else the commit before the head.

The exit code is 0 when the change may be merged (also when it deploys nothing), 1 when
not.`,
		Example: `  apex gate
  apex gate --base origin/main -o markdown > comment.md
  apex gate --base origin/main -o sarif > apex.sarif`,
		Args: cobra.NoArgs,
	}
	output := outputFlag(c, "table", "json", "yaml", "sarif", "markdown")
	c.Flags().StringVarP(&dir, "repository", "C", ".", "the repository's folder")
	c.Flags().StringVar(&base, "base", "", "what the change is compared with: a branch, tag or commit")
	c.Flags().StringVar(&head, "head", "HEAD", "the commit that is judged")
	c.Flags().StringSliceVar(&folders, "policies", []string{"policies", "trust", "exceptions"}, "folders of the repository with policies, trust roots and exceptions")
	c.Flags().StringSliceVar(&paths, "path", nil, "folders or files of the repository that are deployed (default: all)")
	c.Flags().BoolVar(&everything, "all", false, "judge everything, not only what changes")
	flags.addConnection(c)
	c.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		ctx := cmd.Context()
		r, err := repo.Open(dir)
		if err != nil {
			return err
		}
		defer r.Close()
		o := ci.Options{Policies: folders, Paths: paths, Everything: everything}
		if o.Head, err = r.Resolve(head); err != nil {
			return fmt.Errorf("--head %s: %w", head, err)
		}
		if o.Base, err = baseOf(r, base, head, os.Getenv); err != nil {
			return err
		}
		e, err := flags.engine(cmd)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, e.Close(context.WithoutCancel(ctx))) }()
		change, judged, err := app.JudgeChange(ctx, e, r, o, clock.System{})
		if err != nil {
			return err
		}
		if clean, differs, err := r.Clean(ctx); err == nil && !clean {
			fmt.Fprintf(cmd.ErrOrStderr(), "apex: %d files differ from the commit and are not judged\n", len(differs))
		}
		if err := writeGate(cmd, *output, change, judged); err != nil {
			return err
		}
		if judged.Nothing {
			return nil
		}
		if code := report.ExitCode(&judged.Report); code != exitAllow {
			return &exit{code: code}
		}
		return nil
	}
	return c
}

// baseOf is what the change is compared with: what was asked for, what CI
// says, or the commit before the head; "" for the first commit.
func baseOf(r *repo.Repo, asked, head string, getenv func(string) string) (repo.Commit, error) {
	if asked != "" {
		c, err := r.Resolve(asked)
		if err != nil {
			return "", fmt.Errorf("--base %s: %w", asked, err)
		}
		return c, nil
	}
	for _, name := range []string{"origin/" + getenv("GITHUB_BASE_REF"), getenv("CI_MERGE_REQUEST_DIFF_BASE_SHA")} {
		if name == "origin/" || name == "" {
			continue
		}
		c, err := r.Resolve(name)
		if err != nil {
			return "", fmt.Errorf("the base %s that CI names: %w (fetch it: a shallow clone does not have it)", name, err)
		}
		return c, nil
	}
	c, err := r.Resolve(head + "~1")
	if errors.Is(err, repo.ErrNotFound) {
		return "", nil
	}
	return c, err
}

func writeGate(cmd *cobra.Command, format string, change *ci.Change, judged *ci.Judgement) error {
	w := bufio.NewWriter(cmd.OutOrStdout())
	r := &judged.Report
	switch format {
	case "json", "yaml":
		document := struct {
			Schema     string   `json:"schema"`
			Base       string   `json:"base,omitempty"`
			Head       string   `json:"head"`
			Files      []string `json:"files"`
			Everything string   `json:"everything,omitempty"`
			Decision   string   `json:"decision"`
			Rules      []string `json:"rules,omitempty"`
			Report     any      `json:"report"`
		}{"apex.gate/v1", string(change.Base), string(change.Head), change.Files, change.Everything, judged.Decision().String(), judged.Rules, r}
		write := printJSON
		if format == "yaml" {
			write = printYAML
		}
		if err := write(w, document); err != nil {
			return err
		}
		return w.Flush()
	case "sarif":
		if err := report.SARIF(w, r); err != nil {
			return err
		}
		return w.Flush()
	}
	if judged.Nothing {
		fmt.Fprintln(w, nothing(change, format))
		return w.Flush()
	}
	var err error
	if format == "markdown" {
		err = report.Markdown(w, r)
	} else {
		err = report.Table(w, r, report.Options{Color: colourful(cmd.OutOrStdout()), Width: width(cmd.OutOrStdout())})
	}
	if err != nil {
		return err
	}
	writeRules(w, judged)
	if change.Everything != "" {
		fmt.Fprintf(w, "\nEverything was judged because %s.\n", change.Everything)
	}
	return w.Flush()
}

func nothing(change *ci.Change, format string) string {
	text := fmt.Sprintf("%d files change, and none of them deploys anything.", len(change.Files))
	if format == "markdown" {
		return "### ✅ Apex: Allow\n\n" + text
	}
	return text
}

// writeRules says where only one of the two sets of policies denied.
func writeRules(w io.Writer, judged *ci.Judgement) {
	for i := range judged.Report.Verdicts {
		if v := &judged.Report.Verdicts[i]; judged.Rules[i] != ci.OfBoth && v.Decision == 0 {
			fmt.Fprintf(w, "\n%s: denied by %s alone.\n", report.Plain(v.Asked), judged.Rules[i])
		}
	}
}
