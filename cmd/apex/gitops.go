package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gitops/source"
	"github.com/apexlogic/apex/internal/kube"
)

func newGitopsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "gitops",
		Short: "Make a target look like verified commits, and keep it so",
		Long: `Gitops follows a repository into a target: a cluster, a directory, an embedded
store, or AWS Lambda. Every commit since the last one is verified, what it stands for
is rendered and judged by the policies in force, and applied as a whole or not at all.
What is changed behind Git's back is put back.

A GitSource says which repository, whom to trust for it, and where it goes. It is read
from --config, together with the TrustRoots that it names and the policies; in a
workspace that apex up has made, those are there already.`,
		Example: `  apex gitops plan
  apex gitops run captioner --config gitops/ --target dir:/srv/deployed
  apex gitops rollback --reason "it answers nonsense"`,
	}
	c.AddCommand(newGitopsPlanCommand(), newGitopsApplyCommand(), newGitopsRunCommand(), newGitopsStatusCommand(),
		newGitopsDiffCommand(), newGitopsHealCommand(), newGitopsRollbackCommand(), newGitopsPromoteCommand())
	return c
}

// sourceFlags are the flags of commands about one source.
type sourceFlags struct {
	engine     engineFlags
	config     []string
	target     string
	kubeconfig string
	stage      string
}

func (f *sourceFlags) add(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.config, "config", nil, "files and folders with the GitSource, TrustRoots and policies (default: the workspace's)")
	c.Flags().StringVar(&f.target, "target", "", "another target than the source's: dir:PATH, embedded, or embedded:PATH")
	c.Flags().StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster (default: as kubectl finds it)")
	c.Flags().StringVar(&f.stage, "stage", "", "of a source with stages, the one that is meant (default: the first)")
	f.engine.addConnection(c)
}

// opened is a source with what has to be closed after it.
type opened struct {
	*source.Source                  // the stage that is meant
	all            []*source.Source // all stages
	engine         *app.Engine
}

func (o *opened) Close(ctx context.Context) error {
	var errs []error
	for _, s := range o.all {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, o.engine.Close(context.WithoutCancel(ctx)))...)
}

// pick chooses the stage.
func (o *opened) pick(stage string) error {
	var known []string
	for _, s := range o.all {
		name := s.Stage()
		if name == stage || stage == "" {
			o.Source = s
			return nil
		}
		known = append(known, name)
	}
	return fmt.Errorf("there is no stage %q; there are %s", stage, strings.TrimSpace(strings.Join(known, ", ")))
}

// open opens the source that the arguments name.
func (f *sourceFlags) open(cmd *cobra.Command, args []string, more func(*app.SourceOptions)) (_ *opened, err error) {
	ctx := cmd.Context()
	workspace, inside := app.FindWorkspace(".")
	documents, policies, err := f.load(ctx, workspace, inside)
	if err != nil {
		return nil, err
	}
	state, err := stateDir(cmd, workspace, inside)
	if err != nil {
		return nil, err
	}
	o := app.SourceOptions{
		Documents: documents, Target: f.target, State: filepath.Join(state, "gitops"),
		Logger: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelError})),
	}
	if len(args) > 0 {
		o.Name = args[0]
	}
	if o.Cluster, err = f.cluster(documents); err != nil {
		return nil, err
	}
	if more != nil {
		more(&o)
	}
	e, err := f.engine.engine(cmd)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close(context.WithoutCancel(ctx)))
		}
	}()
	if err := e.Publish(ctx, policies); err != nil {
		return nil, err
	}
	all, err := e.OpenSource(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &opened{all: all, engine: e}
	if err := s.pick(f.stage); err != nil {
		for _, one := range all {
			err = errors.Join(err, one.Close())
		}
		return nil, err
	}
	return s, nil
}

// load reads the documents of sources, and the policies that judge what they
// would apply.
func (f *sourceFlags) load(ctx context.Context, w app.Workspace, inside bool) (documents, policies *config.Set, err error) {
	if len(f.config) > 0 {
		var from []config.Source
		for _, p := range f.config {
			from = append(from, config.Path(p))
		}
		documents, err = config.Load(ctx, from...)
		if err == nil {
			err = documents.Err()
		}
		return documents, documents, err
	}
	if !inside {
		return nil, nil, usage("there is no source: name the folder with its GitSource with --config, or run inside a workspace that apex up has made")
	}
	if documents, err = w.Sources(ctx); err != nil {
		return nil, nil, err
	}
	policies, _, err = w.Load(ctx)
	return documents, policies, err
}

// cluster opens the cluster when a source needs one.
func (f *sourceFlags) cluster(documents *config.Set) (*kube.Client, error) {
	if f.target != "" {
		return nil, nil
	}
	for _, g := range documents.GitSources {
		if g.Value.Spec.Target.Cluster != nil {
			return kube.Open(kube.Config{Kubeconfig: f.kubeconfig, UserAgent: "apex/" + version})
		}
	}
	return nil, nil
}

func newGitopsPlanCommand() *cobra.Command {
	var flags sourceFlags
	c := &cobra.Command{
		Use:   "plan [SOURCE]",
		Short: "What would the newest commit change?",
		Long: `Plan verifies, renders and judges the newest commit of the source's branch and
says what applying it would change, field by field. It writes nothing.

The exit code is 1 when the commit may not be applied.`,
		Example: `  apex gitops plan
  apex gitops plan captioner --config gitops/ --target dir:/srv/deployed
  apex gitops plan -o json`,
		Args: cobra.MaximumNArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	flags.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		s, err := flags.open(cmd, args, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close(cmd.Context())) }()
		plan, err := s.Plan(cmd.Context())
		if err != nil {
			return refusedExit(cmd, *output, err)
		}
		return writePlan(cmd.OutOrStdout(), *output, plan)
	}
	return c
}

func newGitopsApplyCommand() *cobra.Command {
	var flags sourceFlags
	c := &cobra.Command{
		Use:   "apply [SOURCE]",
		Short: "Apply the newest commit, if it may be",
		Long: `Apply verifies, renders and judges the newest commit of the source's branch and
applies it: all of it, or nothing. It can be stopped at any moment; the next apply goes
on from there. Applying again changes nothing.

The exit code is 1 when the commit may not be applied.`,
		Example: `  apex gitops apply
  apex gitops apply captioner --config gitops/ --target dir:/srv/deployed`,
		Args: cobra.MaximumNArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	flags.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		ctx := cmd.Context()
		s, err := flags.open(cmd, args, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close(ctx)) }()
		if err := s.Resume(ctx); err != nil {
			return refusedExit(cmd, *output, err)
		}
		if err := s.Pass(ctx); err != nil {
			return refusedExit(cmd, *output, err)
		}
		// What is healthy now is a revision to go back to.
		if _, err := s.CheckHealth(ctx); err != nil {
			return err
		}
		return writeStatus(ctx, cmd.OutOrStdout(), *output, s)
	}
	return c
}

func newGitopsRunCommand() *cobra.Command {
	var flags sourceFlags
	c := &cobra.Command{
		Use:   "run [SOURCE]",
		Short: "Follow the branch and heal the target until stopped",
		Long: `Run looks at the branch at the source's interval and at once when it is sent the
signal HUP, applies what may be applied, and puts back what is changed in the target as
it happens. Each line says what was decided or healed.`,
		Example: `  apex gitops run
  apex gitops run captioner --config gitops/ --target dir:/srv/deployed`,
		Args: cobra.MaximumNArgs(1),
	}
	flags.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		lines := make(chan string, 64)
		say := func(line string) {
			select {
			case lines <- line:
			default: // the terminal is slower than an attacker; the ledger has all of it
			}
		}
		s, err := flags.open(cmd, args, func(o *app.SourceOptions) {
			o.Changed = func(st source.Status) { say(statusLine(&st)) }
			o.Drift = func(d source.Drift) { say(driftLine(&d)) }
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close(cmd.Context())) }()
		hup := make(chan os.Signal, 1)
		signal.Notify(hup, syscall.SIGHUP)
		defer signal.Stop(hup)
		done := make(chan error, len(s.all))
		within, end := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer end()
		for _, one := range s.all {
			running.Go(func() { done <- one.Run(within) })
		}
		for {
			select {
			case line := <-lines:
				fmt.Fprintln(cmd.OutOrStdout(), line)
			case <-hup:
				for _, one := range s.all {
					one.Notify()
				}
			case err := <-done:
				if ctx.Err() != nil {
					return nil // stopped, as asked
				}
				return err
			}
		}
	}
	return c
}

func newGitopsStatusCommand() *cobra.Command {
	var flags sourceFlags
	c := &cobra.Command{
		Use:     "status [SOURCE]",
		Short:   "What is applied, and what became of the last revisions",
		Example: "  apex gitops status\n  apex gitops status captioner -o json",
		Args:    cobra.MaximumNArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	flags.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		s, err := flags.open(cmd, args, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close(cmd.Context())) }()
		return writeStatus(cmd.Context(), cmd.OutOrStdout(), *output, s)
	}
	return c
}

func newGitopsDiffCommand() *cobra.Command {
	var flags sourceFlags
	c := &cobra.Command{
		Use:   "diff [SOURCE]",
		Short: "How does the target differ from what is applied?",
		Long: `Diff compares the target with the revision that is applied. It looks at the target
only: neither the repository nor a registry is asked.

The exit code is 1 when there is a difference.`,
		Example: "  apex gitops diff\n  apex gitops diff captioner -o json",
		Args:    cobra.MaximumNArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	flags.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		s, err := flags.open(cmd, args, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close(cmd.Context())) }()
		plan, err := s.Diff(cmd.Context())
		if err != nil {
			return err
		}
		if err := writePlan(cmd.OutOrStdout(), *output, plan); err != nil {
			return err
		}
		if !plan.Empty() {
			return &exit{code: exitDeny}
		}
		return nil
	}
	return c
}

func newGitopsHealCommand() *cobra.Command {
	var flags sourceFlags
	c := &cobra.Command{
		Use:   "heal [SOURCE]",
		Short: "Put back what differs in the target, once",
		Long: `Heal compares the target with the revision that is applied and puts back what
differs. apex gitops run does so as it happens.`,
		Example: "  apex gitops heal",
		Args:    cobra.MaximumNArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	flags.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		s, err := flags.open(cmd, args, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close(cmd.Context())) }()
		plan, err := s.Heal(cmd.Context())
		if err != nil {
			return err
		}
		return writePlan(cmd.OutOrStdout(), *output, plan)
	}
	return c
}

func newGitopsRollbackCommand() *cobra.Command {
	var flags sourceFlags
	var to, reason, key string
	c := &cobra.Command{
		Use:   "rollback [SOURCE] --reason TEXT",
		Short: "Go back to the last healthy revision",
		Long: `Rollback makes the target hold an earlier revision again, from what is kept beside
it: the repository and the registry need not be there. The key belongs to a TrustRoot
entry with the use Promotions; it signs a record of the rollback, which stays with the
target and in the ledger. Automation stays on: nothing is applied until a commit comes
that descends from the one that was left.`,
		Example: `  apex gitops rollback --reason "it answers nonsense"
  apex gitops rollback captioner --to 4f5e0c… --key operator.key --reason INC-1234`,
		Args: cobra.MaximumNArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().StringVar(&to, "to", "", "commit to go back to (default: the last one that was healthy)")
	c.Flags().StringVar(&reason, "reason", "", "why, for people and auditors")
	c.Flags().StringVar(&key, "key", "", "private key file that signs the record (default: the workspace's)")
	flags.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		ctx := cmd.Context()
		if reason == "" {
			return usage("--reason is missing: say why, for those who ask later")
		}
		if key == "" {
			w, inside := app.FindWorkspace(".")
			if !inside {
				return usage("--key is missing: name the private key of a TrustRoot entry with the use Promotions")
			}
			if key, err = w.ApproverKey(); err != nil {
				return err
			}
		}
		signer, err := app.LoadKey(key, password(cmd, key))
		if err != nil {
			return err
		}
		s, err := flags.open(cmd, args, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close(ctx)) }()
		if _, err := s.Rollback(ctx, to, reason, signer); err != nil {
			return refusedExit(cmd, *output, err)
		}
		return writeStatus(ctx, cmd.OutOrStdout(), *output, s)
	}
	return c
}

func newGitopsPromoteCommand() *cobra.Command {
	var flags sourceFlags
	var as, reason, key string
	var life time.Duration
	c := &cobra.Command{
		Use:   "promote [SOURCE] --stage STAGE --reason TEXT",
		Short: "Let what a stage holds into the next one",
		Long: `Promote signs that what the stage before holds may enter this one. It counts for
that revision and this state of the stage, once, and until it expires. The revision
enters when all gates of the stage are open: enough owners have promoted it, the stage
before is healthy and has been for long enough, the metrics are within their bounds, and
the policies still allow all of it.

The exit code is 1 when the promotion does not count, and 4 when gates are left closed.`,
		Example: `  apex gitops promote captioner --stage prod --as operator --key operator.key --reason "soaked since Monday"`,
		Args:    cobra.MaximumNArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().StringVar(&as, "as", "", "TrustRoot entry of the key, with the use Promotions (default: the workspace's)")
	c.Flags().StringVar(&reason, "reason", "", "why, for people and auditors")
	c.Flags().StringVar(&key, "key", "", "private key file that signs (default: the workspace's)")
	c.Flags().DurationVar(&life, "for", 24*time.Hour, "how long the promotion counts")
	flags.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		ctx := cmd.Context()
		switch {
		case reason == "":
			return usage("--reason is missing: say why, for those who ask later")
		case flags.stage == "":
			return usage("--stage is missing: name the stage that it may enter")
		case key == "" || as == "":
			w, inside := app.FindWorkspace(".")
			if !inside {
				return usage("--key and --as are needed: the private key of a TrustRoot entry with the use Promotions, and that entry's name")
			}
			as = app.WorkspaceOperator
			if key, err = w.ApproverKey(); err != nil {
				return err
			}
		}
		signer, err := app.LoadKey(key, password(cmd, key))
		if err != nil {
			return err
		}
		s, err := flags.open(cmd, args, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close(ctx)) }()
		d, err := s.Promote(ctx, as, reason, life, signer)
		if err != nil {
			return refusedExit(cmd, *output, err)
		}
		return writeGates(cmd.OutOrStdout(), *output, s.Name(), d)
	}
	return c
}
