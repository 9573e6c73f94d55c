package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/install"
	"github.com/apexlogic/apex/internal/kube"
)

func newInstallCommand() *cobra.Command {
	var o install.Options
	var kubeconfig, helm string
	var export, dryRun bool
	c := &cobra.Command{
		Use:   "install",
		Short: "Put Apex into a cluster, or print what that would be",
		Long: `Install applies Apex's kinds, its rights and its controller to a cluster by
server-side apply: what is as it should be stays untouched, and a run that broke off
is completed by another one. The controller writes the webhook configurations itself
once its certificate exists, so that nothing fails closed before something answers.

Afterwards only the given users and groups may change Apex. See docs/install.md for
what is installed, each right with its reason, upgrades, and what fails how.`,
		Example: `  apex install --image registry.example/apex@sha256:…
  apex install --image registry.example/apex@sha256:… --dry-run
  apex install --image registry.example/apex@sha256:… --export > apex.yaml
  apex install --export --helm chart/`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&o.Namespace, "namespace", install.Namespace, "namespace of Apex's own objects")
	c.Flags().StringVar(&o.Image, "image", "", "image of Apex, by digest")
	c.Flags().IntVar(&o.Replicas, "replicas", 2, "replicas of the controller")
	c.Flags().StringArrayVar(&o.Users, "operator-user", nil, "user who may change Apex afterwards (repeatable)")
	c.Flags().StringArrayVar(&o.Groups, "operator-group", nil, "group that may change Apex afterwards (repeatable; default without users: system:masters and kubeadm:cluster-admins)")
	c.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file (default: as kubectl finds it)")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "ask the API server what would change, and change nothing")
	c.Flags().BoolVar(&export, "export", false, "print the manifests instead of applying them")
	c.Flags().StringVar(&helm, "helm", "", "with --export: write a Helm chart into this directory instead")
	c.MarkFlagsMutuallyExclusive("export", "dry-run")
	c.MarkFlagsMutuallyExclusive("export", "kubeconfig")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		w := cmd.OutOrStdout()
		switch {
		case helm != "" && !export:
			return usage("--helm writes a chart and goes with --export")
		case helm != "" && (o.Image != "" || cmd.Flags().Changed("replicas")):
			return usage("--image and --replicas are values of the chart: give them to helm install")
		case helm != "":
			files, err := install.Chart(o, version)
			if err != nil {
				return usage("%w", err)
			}
			if err := install.Write(helm, files); err != nil {
				return err
			}
			_, err = fmt.Fprintf(w, "%d files written to %s\n", len(files), helm)
			return err
		}
		objects, err := install.Objects(o)
		if err != nil {
			return usage("%w", err)
		}
		if export {
			return install.Export(w, objects)
		}
		client, err := kube.Open(kube.Config{Kubeconfig: kubeconfig, UserAgent: "apex/" + version})
		if err != nil {
			return err
		}
		return reported(w, func(did func(install.Step)) error {
			return install.Apply(cmd.Context(), client, o, dryRun, did)
		})
	}
	return c
}

func newUninstallCommand() *cobra.Command {
	var namespace, kubeconfig string
	var force bool
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "Take Apex out of a cluster",
		Long: `Uninstall removes Apex from a cluster: first the webhooks, then the controller, its
rights and its namespace with all that it remembers of sources. Apex's kinds and the
policies stay, and so does everything that sources have applied.

It refuses while GitSources are there: nobody would heal what they have applied.`,
		Example: "  apex uninstall\n  apex uninstall --force --kubeconfig ~/.kube/other",
		Args:    cobra.NoArgs,
	}
	c.Flags().StringVar(&namespace, "namespace", install.Namespace, "namespace of Apex's own objects")
	c.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file (default: as kubectl finds it)")
	c.Flags().BoolVar(&force, "force", false, "also while GitSources are there")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := kube.Open(kube.Config{Kubeconfig: kubeconfig, UserAgent: "apex/" + version})
		if err != nil {
			return err
		}
		err = reported(cmd.OutOrStdout(), func(did func(install.Step)) error {
			return install.Remove(cmd.Context(), client, namespace, force, did)
		})
		if errors.Is(err, install.ErrSources) {
			return &exit{exitDeny, err}
		}
		return err
	}
	return c
}

// reported prints a line per step, those before an error as well.
func reported(w io.Writer, run func(did func(install.Step)) error) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	err := run(func(s install.Step) { fmt.Fprintf(table, "%s\t%s\n", s.Did, s.Object) })
	return errors.Join(err, table.Flush())
}
