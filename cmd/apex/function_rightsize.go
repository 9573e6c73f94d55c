package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/report"
)

// defaultWindow is what confidence in a plan asks for: a quarter.
const defaultWindow = "90d"

func newFunctionRightsizeCommand() *cobra.Command {
	var o app.RightsizeOptions
	var window string
	var names []string
	var write, commit bool
	c := &cobra.Command{
		Use:   "rightsize DIR",
		Short: "Make rights as small as what was used",
		Long: `Rightsize holds the rights that the code declares against what their holders did, and
plans the smallest policies that allow all of it. It reads CloudTrail (JSON, one record
a line or as delivered, gzip too), audit logs of Kubernetes and the gateway's records;
the content tells which. Roles and users are found in the logs by their names, whatever
path they have.

Every observed call is decided again with the new policies, and every new statement
must lie within an old one under the same conditions: nothing is ever widened. Who
fails that proof is left alone and named. What a log cannot show is not taken for
unused: actions on data stay unless --data-service says that the logs hold them all.

With --write, policies that stand in YAML or JSON are rewritten in place, every other
byte as it was; for those in HCL the new policy is written to rightsize/PRINCIPAL.json.
--commit makes a commit of exactly these files, with the proof as its message.

The exit code is 4 when a proof failed or a file could not be read to its end.`,
		Example: `  apex function rightsize infra/ --observed trail/ --data-service s3
  apex function rightsize infra/ --observed trail/ --break-glass admin -o json
  apex function rightsize deploy/ --observed audit.jsonl.gz --write --commit`,
		Args: cobra.ExactArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().StringArrayVar(&o.Observed, "observed", nil, "a log, or a folder of logs (repeatable)")
	c.Flags().StringVar(&window, "window", defaultWindow, "how far back from the last call the logs are complete")
	c.Flags().StringSliceVar(&o.DataServices, "data-service", nil, "a service of which the logs hold every action on data: s3")
	c.Flags().StringSliceVar(&o.BreakGlass, "break-glass", nil, "a role that is kept for emergencies and left alone")
	c.Flags().StringArrayVar(&names, "principal", nil, "ID=NAME of a role whose name the code does not say")
	c.Flags().BoolVar(&write, "write", false, "write the new policies")
	c.Flags().BoolVar(&commit, "commit", false, "write them as a commit of the repository that DIR is in")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if len(o.Observed) == 0 {
			return usage("name what was observed: --observed FILE")
		}
		if o.Window, err = parseWindow(window); err != nil {
			return usage("--window %s: %w", window, err)
		}
		o.Names = map[string]string{}
		for _, n := range names {
			id, name, ok := strings.Cut(n, "=")
			if !ok || id == "" || name == "" {
				return usage("--principal %s: write ID=NAME", n)
			}
			o.Names[id] = name
		}
		r, err := app.Rightsize(cmd.Context(), args[0], o)
		if err != nil {
			return err
		}
		if write || commit {
			if err := r.Write(cmd.Context(), commit, clock.System{}); err != nil {
				return err
			}
		}
		w := bufio.NewWriter(cmd.OutOrStdout())
		switch *output {
		case "json":
			err = printJSON(w, r)
		case "yaml":
			err = printYAML(w, r)
		default:
			writeRightsizing(w, r, write || commit)
		}
		if err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if len(r.Gaps) > 0 || r.Failures() > 0 {
			return &exit{code: exitPartial}
		}
		return nil
	}
	return c
}

// parseWindow reads a time with days, "90d", or as Go writes it, "36h".
func parseWindow(text string) (time.Duration, error) {
	const most = 3650 // days: no log is kept for longer
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > most {
			return 0, fmt.Errorf("write a number of days, 1d to %dd", most)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("write days (90d) or hours (36h)")
	}
	return d, nil
}

func writeRightsizing(w io.Writer, r *app.Rightsizing, written bool) {
	for i := range r.Sizes {
		s := &r.Sizes[i]
		if i > 0 {
			fmt.Fprintln(w)
		}
		writeSize(w, s, written)
	}
	if len(r.Sizes) == 0 {
		fmt.Fprintln(w, "Nothing here gives rights.")
	}
	fmt.Fprintf(w, "\n%d calls from %s to %s were observed.\n", r.Calls, r.From.UTC().Format(time.DateOnly), r.To.UTC().Format(time.DateOnly))
	for _, f := range r.Files {
		fmt.Fprintf(w, "written: %s\n", report.Plain(f))
	}
	if r.Commit != "" {
		fmt.Fprintf(w, "committed: %s\n", r.Commit)
	}
	for _, g := range r.Gaps {
		fmt.Fprintf(w, "not read to its end: %s:%d: %s\n", report.Plain(g.File), g.Line, report.Plain(g.Why))
	}
}

func writeSize(w io.Writer, s *app.Size, written bool) {
	fmt.Fprintf(w, "%s  %s:%d\n", report.Plain(s.Principal), report.Plain(s.File), s.Line)
	if len(s.Functions) > 0 {
		fmt.Fprintf(w, "  runs: %s\n", fewOf(s.Functions, ", "))
	}
	if len(s.Observed) > 0 {
		fmt.Fprintf(w, "  observed as: %s\n", fewOf(s.Observed, ", "))
	}
	switch {
	case s.Untouched != "":
		fmt.Fprintf(w, "  left alone: %s\n", report.Plain(s.Untouched))
	case s.Failed != "":
		fmt.Fprintf(w, "  left alone, the proof failed: %s\n", report.Plain(s.Failed))
	default:
		fmt.Fprintf(w, "  %d of %d stay; %d calls in %d days replayed, all still allowed\n", s.After, s.Before, s.Replayed, s.Days)
		fmt.Fprintf(w, "  confidence %s: %s\n", s.Confidence, report.Plain(s.Because))
	}
	if len(s.Removed) > 0 {
		fmt.Fprintf(w, "  removed: %s\n", fewOf(s.Removed, ", "))
	}
	if n := len(s.NeverObserved) - len(s.Removed); n > 0 && s.Failed == "" && s.Untouched == "" {
		fmt.Fprintf(w, "  never observed, and kept: %d\n", n)
	}
	for _, why := range s.KeptInOrder() {
		fmt.Fprintf(w, "  kept: %s\n", report.Plain(why))
	}
	for _, f := range s.Fixed {
		fmt.Fprintf(w, "  stays: %s  %s:%d: %s\n", report.Plain(f.Policy), report.Plain(f.File), f.Line, report.Plain(f.Why))
	}
	for i := range s.Changes {
		c := &s.Changes[i]
		fmt.Fprintf(w, "  new: %s  %s:%d", report.Plain(c.Policy), report.Plain(c.Where.File), c.Line)
		switch {
		case c.Beside != "":
			fmt.Fprintf(w, ": %s, see %s", report.Plain(c.Beside), report.Plain(c.File))
		case c.Detach:
			fmt.Fprint(w, ": nothing of it was used: detach it")
		case !written:
			fmt.Fprintf(w, "\n    %s", report.Plain(string(c.New)))
		}
		fmt.Fprintln(w)
	}
}
