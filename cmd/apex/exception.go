package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/verdict"
)

func newExceptionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "exception",
		Short: "Ask for, approve and list exceptions from rules",
		Long: `An exception lets one digest fail one rule of one policy until it expires. The
verdict shows the failed check and the exception beside it.

It has an effect when a person signs it who did not ask for it, with a key that
a TrustRoot holds for the use Exceptions, and when it is committed.`,
		Example: `  apex exception create IMAGE:TAG --policy P --rule VulnerabilityScanThreshold \
      --reason "no fix yet, not reachable" --author ana@example.com --expires 72h
  apex exception approve exceptions/NAME.yaml --key approver.key
  apex exception list`,
	}
	c.AddCommand(newExceptionCreateCommand(), newExceptionApproveCommand(), newExceptionListCommand())
	return c
}

func newExceptionCreateCommand() *cobra.Command {
	var flags clientFlags
	var r app.ExceptionRequest
	var expires, file string
	c := &cobra.Command{
		Use:   "create IMAGE | DIGEST",
		Short: "Write an exception for somebody else to approve",
		Long: `Create writes a PolicyException without a signature, which has no effect yet. An
image's tag is resolved once: what is excepted is the digest that it prints, in
that repository. A bare digest is excepted in every repository.`,
		Example: `  apex exception create localhost:5011/vision/captioner:1.0 --policy P --rule R \
      --reason "no fix yet, not reachable" --author ana@example.com --expires 72h`,
		Args: cobra.ExactArgs(1),
	}
	flags.add(c)
	c.Flags().StringVar(&r.Policy, "policy", "", "name of the policy")
	c.Flags().StringVar(&r.Rule, "rule", "", "name of the rule")
	c.Flags().StringVar(&r.Reason, "reason", "", "why, for people and auditors; at least 10 characters")
	c.Flags().StringVar(&r.Author, "author", "", "who asks, as TrustRoot entries name their owners")
	c.Flags().StringVar(&expires, "expires", "", "when it ends: a duration such as 72h, or a time (RFC 3339)")
	c.Flags().BoolVar(&r.BreakGlass, "break-glass", false, "an emergency: alarm whenever the exception is used")
	c.Flags().StringVar(&r.Name, "name", "", "name of the exception (default: made of rule and digest)")
	c.Flags().StringVar(&file, "output", "", "file to write (default: exceptions/NAME.yaml in the workspace)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		for _, f := range []struct{ name, value string }{
			{"policy", r.Policy}, {"rule", r.Rule}, {"reason", r.Reason}, {"author", r.Author}, {"expires", expires},
		} {
			if f.value == "" {
				return usage("--%s is missing", f.name)
			}
		}
		var err error
		if r.Expires, err = expiry(expires, time.Now()); err != nil {
			return err
		}
		w, inside := app.FindWorkspace(".")
		if inside {
			set, _, err := w.Load(ctx)
			if err != nil {
				return err
			}
			if err := app.CheckExceptionTarget(set, r.Policy, r.Rule); err != nil {
				return err
			}
		} else if file == "" {
			return usage("there is no workspace here; name the file to write with --output")
		}
		client, err := flags.open()
		if err != nil {
			return err
		}
		defer client.Close()
		r.Image = args[0]
		doc, err := app.NewException(ctx, client, r)
		if err != nil {
			return err
		}
		text, err := app.DocumentYAML(ctx, doc)
		if err != nil {
			return err
		}
		if file == "" {
			file = filepath.Join(w.Dir, app.ExceptionFile(doc.Name))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return err
			}
		}
		if err := writeNew(file, text); err != nil {
			return err
		}
		subject := verdict.Ref{Repo: doc.Spec.Repository, Digest: verdict.Digest(doc.Spec.Digest)}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "exception %s of %s\nfrom %s/%s until %s\n\nwrote %s; somebody else approves it: apex exception approve %[6]s --key KEY\n",
			doc.Name, subject, r.Policy, r.Rule, doc.Spec.ExpiresAt.UTC().Format(time.RFC3339), file)
		return err
	}
	return c
}

// expiry reads a duration from now, or a time. It has to be in the future.
func expiry(text string, now time.Time) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	if d, failed := time.ParseDuration(text); failed == nil {
		at, err = now.Add(d), nil
	}
	if err != nil {
		return at, usage("--expires %q is neither a duration such as 72h nor a time like 2026-11-20T00:00:00Z", text)
	}
	if !now.Before(at) {
		return at, usage("--expires %s is not in the future", text)
	}
	return at, nil
}

// maxException bounds the file of one exception.
const maxException = 1 << 20

func newExceptionApproveCommand() *cobra.Command {
	var key string
	var policies []string
	var commit bool
	c := &cobra.Command{
		Use:   "approve FILE --key KEY",
		Short: "Sign an exception that somebody else asked for",
		Long: `Approve signs the exception in the file and writes the signature into it. It
refuses what would have no effect: your own request, a key that no TrustRoot
holds for exceptions, an exception that has expired.

Whom the trust roots name is read from the commit at the workspace's head, or
from --policy.`,
		Example: `  apex exception approve exceptions/NAME.yaml --key approver.key --commit`,
		Args:    cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&key, "key", "", "private key file of the approver")
	c.Flags().StringSliceVar(&policies, "policy", nil, "file or folder with trust roots (default: the workspace's)")
	c.Flags().BoolVar(&commit, "commit", false, "commit the file to the workspace")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		w, inside := app.FindWorkspace(".")
		switch {
		case key == "":
			return usage("--key is missing: name the approver's private key file")
		case commit && !inside:
			return usage("--commit needs a workspace")
		}
		trusted, err := documents(ctx, w, inside, policies)
		if err != nil {
			return err
		}
		text, err := bounded.ReadFile(args[0], maxException)
		if err != nil {
			return err
		}
		signer, err := app.LoadKey(key, password(cmd, key))
		if err != nil {
			return err
		}
		signed, doc, approver, err := app.Approve(ctx, text, signer, trusted, time.Now())
		if err != nil {
			return err
		}
		if err := replaceFile(args[0], signed); err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		fmt.Fprintf(out, "signed %s\n  digest  %s\n  from    %s/%s\n  reason  %s\n  author  %s\n  until   %s\n", args[0],
			doc.Spec.Digest, doc.Spec.Policy, doc.Spec.Rule, visible(doc.Spec.Reason), visible(doc.Spec.Author), doc.Spec.ExpiresAt.UTC().Format(time.RFC3339))
		if trusted == nil {
			fmt.Fprintln(cmd.ErrOrStderr(), "apex: warning: there are no trust roots here, so nobody has checked that this approval counts; name them with --policy")
		} else {
			fmt.Fprintf(out, "approved by %s\n", approver)
		}
		if !commit {
			return nil
		}
		place := w.ExceptionPlace(args[0], doc.Name)
		id, err := w.Commit(ctx, map[string][]byte{place: signed}, "Except "+doc.Name+"\n\n"+doc.Spec.Reason+"\n")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "commit %.12s, %s\n", id, place)
		return err
	}
	return c
}

// visible shows text that others wrote, on one line and without what a terminal
// would obey.
func visible(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToGraphic(text)
	}
	return text
}

// documents are those of --policy, else the workspace's; nil where there are none.
func documents(ctx context.Context, w app.Workspace, inside bool, paths []string) (*config.Set, error) {
	var set *config.Set
	var err error
	switch {
	case len(paths) > 0:
		var sources []config.Source
		for _, p := range paths {
			sources = append(sources, config.Path(p))
		}
		set, err = config.Load(ctx, sources...)
	case inside:
		set, _, err = w.Load(ctx)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return set, set.Err()
}

// replaceFile writes the file anew in one step.
func replaceFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".apex-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it is gone after the rename
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

func newExceptionListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list [PATH...]",
		Short: "List exceptions and whether they have an effect",
		Long: `List judges the exceptions of the commit at the workspace's head, or of files and
folders that hold trust roots beside them.

live           the exception has an effect
expired        its time is over
unsigned       nobody whom the trust roots name for exceptions signed it as it is
self-approved  its author signed it, and nobody else
conflict       another live one covers the same check, so neither has an effect`,
		Example: `  apex exception list
  apex exception list policies/ trust/ exceptions/ -o json`,
		Args: cobra.ArbitraryArgs,
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		w, inside := app.FindWorkspace(".")
		set, err := documents(cmd.Context(), w, inside, args)
		if err != nil {
			return err
		}
		if set == nil {
			return usage("there is no workspace here; name the files or folders with exceptions and trust roots")
		}
		states, err := app.ExceptionStates(set, time.Now())
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		document := struct {
			Schema     string               `json:"schema"`
			Exceptions []app.ExceptionState `json:"exceptions"`
		}{"apex.exceptions/v1", states}
		switch *output {
		case "json":
			return printJSON(out, document)
		case "yaml":
			return printYAML(out, document)
		}
		if len(states) == 0 {
			_, err := fmt.Fprintln(out, "there are no exceptions")
			return err
		}
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "NAME\tSTATE\tFROM\tDIGEST\tAUTHOR\tAPPROVER\tUNTIL")
		for _, s := range states {
			fmt.Fprintf(t, "%s\t%s\t%s/%s\t%s\t%s\t%s\t%s\n", s.Name, s.State, s.Policy, s.Rule, s.Digest.Short(), visible(s.Author), visible(s.Approver), s.ExpiresAt.UTC().Format(time.RFC3339))
		}
		return t.Flush()
	}
	return c
}
