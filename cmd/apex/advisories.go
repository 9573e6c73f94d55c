package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/advisory/feed"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/report"
	"github.com/apexlogic/apex/verdict"
)

func newAdvisoriesCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "advisories",
		Short: "Fetch and look at security advisories",
		Long: `Advisories keeps what is known about vulnerabilities: OSV's feeds of ecosystems,
what is known to be exploited (KEV) and how likely that is (EPSS). Each state is an
immutable snapshot that is named by its digest, so that a verdict can be traced to
what was known when it was reached.

Snapshots are kept below APEX_ADVISORIES, by default in the user's state directory,
and shared by all workspaces.`,
		Example: `  apex advisories sync
  apex advisories import PyPI=pypi.jsonl.gz known_exploited_vulnerabilities.json
  apex advisories status`,
	}
	c.PersistentFlags().String("advisories", "", "directory of snapshots")
	c.AddCommand(newAdvisoriesSyncCommand(), newAdvisoriesImportCommand(), newAdvisoriesStatusCommand(), newAdvisoriesDiffCommand())
	return c
}

func openAdvisories(cmd *cobra.Command) (*snapshot.Dir, string, error) {
	path, err := cmd.Flags().GetString("advisories")
	if err != nil {
		return nil, "", err
	}
	if path == "" {
		if path, err = app.AdvisoriesDir(); err != nil {
			return nil, "", err
		}
	}
	dir, err := snapshot.OpenDir(path, clock.System{})
	return dir, path, err
}

func newAdvisoriesSyncCommand() *cobra.Command {
	var ecosystems, feeds []string
	var back bool
	c := &cobra.Command{
		Use:   "sync",
		Short: "Fetch what has changed and make it current",
		Long: `Sync fetches the feeds that have changed since the last time and makes the result
the current snapshot. A feed that cannot be fetched, is cut off, ends earlier than
before or has lost many of its records changes nothing: --back accepts that.

Feeds are fetched over https. --feed names another place for one (a mirror), and
may be a file.`,
		Example: `  apex advisories sync
  apex advisories sync --ecosystem PyPI,Debian,Alpine
  apex advisories sync --feed PyPI=https://mirror.example.com/PyPI/all.zip`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringSliceVar(&ecosystems, "ecosystem", feed.Ecosystems, "ecosystems as OSV spells them; their feeds are fetched, and KEV and EPSS")
	c.Flags().StringArrayVar(&feeds, "feed", nil, "NAME=URL-or-file; may be repeated; only these are fetched then")
	c.Flags().BoolVar(&back, "back", false, "accept a snapshot that knows less than the current one")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		list := feed.Defaults(ecosystems)
		if len(feeds) > 0 {
			if cmd.Flags().Changed("ecosystem") {
				return usage("--feed and --ecosystem exclude each other")
			}
			var err error
			if list, err = parseFeeds(feeds); err != nil {
				return err
			}
		}
		return syncFeeds(cmd, feed.Options{Feeds: list, Back: back, Now: time.Now()})
	}
	return c
}

func newAdvisoriesImportCommand() *cobra.Command {
	var back, partial bool
	var taken string
	c := &cobra.Command{
		Use:   "import FILE | NAME=FILE...",
		Short: "Make files current, for machines without a network",
		Long: `Import reads feeds from files: zips and JSON lines in OSV's form, KEV as JSON, EPSS
as CSV, each gzipped or not. What is not among them stays as it was.`,
		Example: `  apex advisories import PyPI=pypi-2026-07-23.jsonl.gz Go=go-2026-08-21.jsonl.gz
  apex advisories import --partial PyPI=2026-07-24.jsonl.gz`,
		Args: cobra.MinimumNArgs(1),
	}
	c.Flags().BoolVar(&back, "back", false, "accept a snapshot that knows less than the current one")
	c.Flags().BoolVar(&partial, "partial", false, "the files hold only what was added or changed")
	c.Flags().StringVar(&taken, "taken", "", "when the files were fetched, as 2026-07-23T00:00:00Z (default: now)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		list, err := parseFeeds(args)
		if err != nil {
			return err
		}
		for _, f := range list {
			if f.URL != "" {
				return usage("%s is a URL: import reads files, sync fetches", f.Name)
			}
		}
		o := feed.Options{Feeds: list, Back: back, Partial: partial, Now: time.Now()}
		if taken != "" {
			if o.Now, err = time.Parse(time.RFC3339, taken); err != nil {
				return usage("--taken: %v", err)
			}
			if o.Now.After(time.Now().Add(5 * time.Minute)) {
				return usage("--taken %s is in the future", taken)
			}
		}
		return syncFeeds(cmd, o)
	}
	return c
}

func parseFeeds(texts []string) ([]feed.Feed, error) {
	var out []feed.Feed
	for _, t := range texts {
		f, err := feed.Parse(t)
		if err != nil {
			return nil, usage("%v", err)
		}
		if slices.ContainsFunc(out, func(o feed.Feed) bool { return o.Name == f.Name }) {
			return nil, usage("the feed %s is named twice", f.Name)
		}
		out = append(out, f)
	}
	return out, nil
}

func syncFeeds(cmd *cobra.Command, o feed.Options) error {
	dir, path, err := openAdvisories(cmd)
	if err != nil {
		return err
	}
	o.Cache = filepath.Join(path, "feeds")
	if progress := cmd.ErrOrStderr(); colourful(progress) {
		o.Progress = func(name, what string) { fmt.Fprintf(progress, "%s %s\n", what, name) }
	}
	r, err := feed.Sync(cmd.Context(), dir, o)
	if errors.Is(err, snapshot.ErrOlder) {
		return fmt.Errorf("%w; if that is right, say so with --back", err)
	}
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	for name, bad := range r.Bad {
		fmt.Fprintf(cmd.ErrOrStderr(), "apex: feed %s: %d records cannot be read, the first one: %v\n", name, len(bad), bad[0])
	}
	fmt.Fprintf(w, "%s: %d advisories about %d packages, %d known to be exploited\n", r.Snapshot.Digest().Short(), r.Snapshot.Len(), r.Snapshot.Packages(), len(r.Snapshot.KEV()))
	if r.Before != nil {
		writeDelta(w, snapshot.Diff(r.Before, r.Snapshot))
	}
	return nil
}

func newAdvisoriesStatusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "status",
		Short:   "What is current, and how old it is",
		Long:    `Status shows the current snapshot, its feeds with their age, and what was current before.`,
		Example: `  apex advisories status -o json`,
		Args:    cobra.NoArgs,
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, _, err := openAdvisories(cmd)
		if err != nil {
			return err
		}
		s, err := dir.Current()
		if err != nil {
			return fmt.Errorf("%w; run apex advisories sync, or import a file", err)
		}
		history, err := dir.History()
		if err != nil {
			return err
		}
		document := struct {
			Schema   string            `json:"schema"`
			Digest   verdict.Digest    `json:"digest"`
			Taken    time.Time         `json:"taken"`
			Records  int               `json:"records"`
			Packages int               `json:"packages"`
			KEV      int               `json:"kev"`
			Sources  []snapshot.Source `json:"sources"`
			History  []snapshot.Change `json:"history"`
		}{"apex.advisories/v1", s.Digest(), s.Taken(), s.Len(), s.Packages(), len(s.KEV()), s.Sources(), history}
		w := cmd.OutOrStdout()
		switch *output {
		case "json":
			return printJSON(w, document)
		case "yaml":
			return printYAML(w, document)
		}
		fmt.Fprintf(w, "%s, fetched %s: %d advisories about %d packages, %d known to be exploited\n",
			s.Digest().Short(), s.Taken().Local().Format("2006-01-02 15:04"), s.Len(), s.Packages(), len(s.KEV()))
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "FEED\tRECORDS\tNEWEST")
		for _, f := range s.Sources() {
			fmt.Fprintf(t, "%s\t%d\t%s\n", report.Plain(f.Name), f.Records, f.Newest.Format("2006-01-02 15:04"))
		}
		return t.Flush()
	}
	return c
}

func newAdvisoriesDiffCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "diff [FROM [TO]]",
		Short: "What changed between two snapshots",
		Long: `Diff compares two snapshots by their digests; without TO the current one, without
FROM the one before it. New numbers of vulnerabilities that were known already are
apart from new vulnerabilities.`,
		Example: `  apex advisories diff
  apex advisories diff sha256:4f5e… -o json`,
		Args: cobra.MaximumNArgs(2),
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		dir, _, err := openAdvisories(cmd)
		if err != nil {
			return err
		}
		from, to, err := pair(dir, args)
		if err != nil {
			return err
		}
		d := snapshot.Diff(from, to)
		switch *output {
		case "json":
			return printJSON(cmd.OutOrStdout(), d)
		case "yaml":
			return printYAML(cmd.OutOrStdout(), d)
		}
		writeDelta(cmd.OutOrStdout(), d)
		return nil
	}
	return c
}

// pair loads the two snapshots to compare.
func pair(dir *snapshot.Dir, args []string) (from, to *snapshot.Snapshot, err error) {
	history, err := dir.History()
	if err != nil {
		return nil, nil, err
	}
	current, err := dir.CurrentDigest()
	if err != nil {
		return nil, nil, err
	}
	digests := [2]verdict.Digest{"", current}
	for i := len(history) - 1; i >= 0 && digests[0] == ""; i-- {
		if history[i].Digest != current {
			digests[0] = history[i].Digest
		}
	}
	for i, a := range args {
		if digests[i], err = verdict.ParseDigest(a); err != nil {
			return nil, nil, usage("%v", err)
		}
	}
	if digests[0] == "" {
		return nil, nil, errors.New("there is only one snapshot, so there is nothing to compare it with")
	}
	if from, err = dir.Load(digests[0]); err != nil {
		return nil, nil, err
	}
	to, err = dir.Load(digests[1])
	return from, to, err
}

func writeDelta(w io.Writer, d *snapshot.Delta) {
	for _, part := range []struct {
		what string
		ids  []string
	}{
		{"new", d.Added}, {"new numbers of known ones", d.Reissued}, {"changed", d.Changed}, {"other aliases", d.Realiased},
		{"withdrawn", d.Withdrawn}, {"no longer withdrawn", d.Restored}, {"vanished from their feed", d.Vanished},
		{"now known to be exploited", d.Exploited}, {"no longer listed as exploited", d.Unexploited},
	} {
		if len(part.ids) == 0 {
			continue
		}
		const shown = 5
		names, more := part.ids, ""
		if len(names) > shown {
			names, more = names[:shown], fmt.Sprintf(" and %d more", len(part.ids)-shown)
		}
		fmt.Fprintf(w, "%d %s:", len(part.ids), part.what)
		for _, n := range names {
			fmt.Fprintf(w, " %s", report.Plain(n))
		}
		fmt.Fprintln(w, more)
	}
}
