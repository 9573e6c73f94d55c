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

With --gateway it installs a gateway that reads its routes from the cluster, and the
authority of a trust domain, from which the gateway and its callers have their identities.

Afterwards only the given users and groups may change Apex. See docs/install.md for
what is installed, each right with its reason, upgrades, and what fails how.`,
		Example: `  apex install --image registry.example/apex@sha256:…
  apex install --image registry.example/apex@sha256:… --dry-run
  apex install --image registry.example/apex@sha256:… --export > apex.yaml
  apex install --image registry.example/apex@sha256:… --actions vision --storage-size 20Gi
  apex install --image registry.example/apex@sha256:… --gateway --trust-domain claims.example
  apex install --export --helm chart/`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&o.Namespace, "namespace", install.Namespace, "namespace of Apex's own objects")
	c.Flags().StringVar(&o.Image, "image", "", "image of Apex, by digest")
	c.Flags().IntVar(&o.Replicas, "replicas", 2, "replicas of the controller")
	c.Flags().StringArrayVar(&o.Users, "operator-user", nil, "user who may change Apex afterwards (repeatable)")
	c.Flags().StringArrayVar(&o.Groups, "operator-group", nil, "group that may change Apex afterwards (repeatable; default without users: system:masters and kubeadm:cluster-admins)")
	c.Flags().StringArrayVar(&o.Actions, "actions", nil, "namespace in which Apex may stop what no longer complies, \"*\" for all (repeatable; default: it reports only)")
	c.Flags().StringVar(&o.StorageSize, "storage-size", "", "size of the volume that each replica keeps its ledger on (default 8Gi)")
	c.Flags().StringVar(&o.StorageClass, "storage-class", "", "StorageClass of that volume (default: the cluster's)")
	c.Flags().BoolVar(&o.Ephemeral, "ephemeral", false, "keep the ledger in the Pod, and lose it with the Pod: for trials")
	c.Flags().BoolVar(&o.Gateway.Enabled, "gateway", false, "install a gateway, too, and the authority that gives it and its callers their identities")
	c.Flags().StringVar(&o.Gateway.TrustDomain, "trust-domain", "", "with --gateway: trust domain of the authority, as claims.example")
	c.Flags().IntVar(&o.Gateway.Replicas, "gateway-replicas", 0, "with --gateway: replicas of the gateway (default 2)")
	c.Flags().StringSliceVar(&o.Gateway.ExtAuthz, "extauthz-proxy", nil, "with --gateway: SPIFFE ID of an Envoy that may ask by ext_authz, at port 9191")
	c.Flags().StringSliceVar(&o.Gateway.AuthZEN, "authzen-caller", nil, "with --gateway: SPIFFE ID of an enforcement point that may ask by AuthZEN, at port 8445")
	c.Flags().StringVar(&o.Gateway.Limits, "limits", "", "with --gateway: one Redis, no Cluster or Sentinel, by which its replicas count together: rediss://HOST:PORT/DB")
	c.Flags().BoolVar(&o.Gateway.LimitsCA, "limits-ca", false, "with --limits: its certificate is of authorities that are ca.crt in the Secret "+install.LimitsSecret)
	c.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file (default: as kubectl finds it)")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "ask the API server what would change, and change nothing")
	c.Flags().BoolVar(&export, "export", false, "print the manifests instead of applying them")
	c.Flags().StringVar(&helm, "helm", "", "with --export: write a Helm chart into this directory instead")
	c.MarkFlagsMutuallyExclusive("export", "dry-run")
	c.MarkFlagsMutuallyExclusive("export", "kubeconfig")
	c.MarkFlagsMutuallyExclusive("ephemeral", "storage-size")
	c.MarkFlagsMutuallyExclusive("ephemeral", "storage-class")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		w := cmd.OutOrStdout()
		switch {
		case helm != "" && !export:
			return usage("--helm writes a chart and goes with --export")
		case helm != "" && (o.Gateway.Enabled || o.Gateway.TrustDomain != "" || o.Gateway.Replicas != 0 || len(o.Gateway.ExtAuthz)+len(o.Gateway.AuthZEN) > 0 || o.Gateway.Limits != "" || o.Gateway.LimitsCA):
			return usage("the gateway is among the values of the chart: set gateway.enabled and gateway.trustDomain with helm install")
		case helm != "" && (o.Image != "" || len(o.Actions) > 0 || o.StorageSize != "" || o.StorageClass != "" || o.Ephemeral || cmd.Flags().Changed("replicas")):
			return usage("--image, --replicas, --actions, --storage-* and --ephemeral are values of the chart: give them to helm install")
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
