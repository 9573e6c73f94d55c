package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gitops/apply"
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
	looks      bool // the command applies nothing, and works beside who follows the source
}

func (f *sourceFlags) add(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.config, "config", nil, "files and folders with the GitSource, TrustRoots and policies (default: the workspace's)")
	c.Flags().StringVar(&f.target, "target", "", "another target than the source's: dir:PATH, embedded, or embedded:PATH")
	c.Flags().StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster (default: as kubectl finds it)")
	c.Flags().StringVar(&f.stage, "stage", "", "of a source with stages, the one that is meant (default: the first)")
	f.engine.addConnection(c)
	c.Args = cobra.MaximumNArgs(1)
	c.ValidArgsFunction = f.completeSources
	_ = c.RegisterFlagCompletionFunc("stage", f.completeStages) // fails for an unknown flag only
}

// known are the sources that are configured, for completion.
func (f *sourceFlags) known(cmd *cobra.Command) []*v1alpha1.GitSource {
	workspace, inside := app.FindWorkspace(".")
	documents, _, err := f.load(cmd.Context(), workspace, inside)
	if err != nil {
		return nil
	}
	var out []*v1alpha1.GitSource
	for _, g := range documents.GitSources[:min(completions, len(documents.GitSources))] {
		out = append(out, g.Value)
	}
	return out
}

// completeSources offers the names of sources, with where they lead.
func (f *sourceFlags) completeSources(cmd *cobra.Command, args []string, _ string) (out []string, _ cobra.ShellCompDirective) {
	if len(args) == 0 {
		for _, g := range f.known(cmd) {
			out = append(out, g.Name+"\t"+g.Spec.URL)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeStages offers the stages of the source that the arguments name.
func (f *sourceFlags) completeStages(cmd *cobra.Command, args []string, _ string) (out []string, _ cobra.ShellCompDirective) {
	for _, g := range f.known(cmd) {
		if len(args) > 0 && args[0] != g.Name {
			continue
		}
		for i := range g.Spec.Stages {
			if name := g.Spec.Stages[i].Name; !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// session is one command at work on an open source.
type session struct {
	*opened
	ctx    context.Context
	cmd    *cobra.Command
	format string // of the output
	finish func() // takes what shows the progress away
}

// out is where the answer goes, once there is one.
func (s *session) out() io.Writer {
	s.finish()
	return s.cmd.OutOrStdout()
}

// plan prints a plan, or why there is none.
func (s *session) plan(p *apply.Plan, err error) error {
	if err != nil {
		return s.refused(err)
	}
	return writePlan(s.out(), s.format, p, s.Warnings())
}

// status prints where the source stands.
func (s *session) status() error { return writeStatus(s.ctx, s.out(), s.format, s.opened) }

// refused prints a refusal; another error is returned as it is.
func (s *session) refused(err error) error {
	s.finish()
	return refusedExit(s.cmd, s.format, err)
}

// command makes a command about one source: it opens the source that the
// arguments name, does what it is there for, and closes it. Doing is what a
// person at a terminal sees when it takes long.
func (f *sourceFlags) command(c *cobra.Command, doing string, do func(*session) error) *cobra.Command {
	output := outputFlag(c, "table", "json", "yaml")
	f.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		p := newProgress(cmd.ErrOrStderr(), progressAfter)
		defer p.end()
		p.stage(doing)
		s, err := f.open(cmd, args, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close(cmd.Context())) }()
		at := &session{opened: s, ctx: cmd.Context(), cmd: cmd, format: *output}
		at.finish = p.end
		return do(at)
	}
	return c
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
	return fmt.Errorf("there is no stage %q; known: %s", stage, strings.TrimSpace(strings.Join(known, ", ")))
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
		Documents: documents, Target: f.target, Looks: f.looks, State: filepath.Join(state, "gitops"),
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
