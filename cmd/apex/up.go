package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/report"
)

func newUpCommand() *cobra.Command {
	var o app.UpOptions
	var verbose bool
	c := &cobra.Command{
		Use:   "up",
		Short: "Run everything on this machine, with an example workspace",
		Long: `Up makes a workspace, or reuses one: a Git repository with policies, a trust
root and workloads, beside a registry with a few real images. It verifies every
workload against the policies of the commit at the head, prints the verdicts,
and keeps serving the registry and the HTTP API on loopback until it is stopped.

Commit a change to the workspace and it is in force within a second.`,
		Example: `  apex up                         # in ./apex-workspace
  apex up --workspace /tmp/demo --once`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&o.Dir, "workspace", "apex-workspace", "the workspace's folder; made when it is not there")
	c.Flags().StringVar(&o.RegistryAddress, "registry-address", "127.0.0.1:5011", "where the registry listens in a new workspace; port 0 takes a free one")
	c.Flags().StringVar(&o.APIAddress, "api-address", "127.0.0.1:8011", "where the HTTP API listens in a new workspace; port 0 takes a free one")
	c.Flags().BoolVar(&o.Once, "once", false, "end after the verdicts")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show every check")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		w := cmd.OutOrStdout()
		o.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		var failed error
		o.Verdicts = func(v app.Verdicts) {
			fmt.Fprintf(w, "workspace %s at commit %.12s\n\n", v.Workspace, v.Commit)
			if err := report.Table(w, &v.Report, report.Options{Color: colourful(w), Width: width(w), Verbose: verbose}); err != nil {
				failed = err
			}
			if !o.Once {
				fmt.Fprintf(w, "\nregistry http://%s   API http://%s   tokens in %s/.apex\nstop with Ctrl-C; explain a verdict with: cd %s && apex why captioner-unsigned\n",
					v.Registry, v.API, v.Workspace, v.Workspace)
			}
		}
		if err := app.Up(cmd.Context(), o); err != nil {
			return err
		}
		return failed
	}
	return c
}
