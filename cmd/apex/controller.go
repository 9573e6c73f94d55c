package main

import (
	"fmt"
	"log/slog"
	"net"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/app/controller"
	"github.com/apexlogic/apex/internal/footprint"
	"github.com/apexlogic/apex/internal/oci"
)

func newControllerCommand() *cobra.Command {
	var o controller.Options
	c := &cobra.Command{
		Use:   "controller",
		Short: "The role inside of a cluster: admission, Git sources, and what runs",
		Long: `Controller answers the API server before anything is stored that runs an image or
serves a model, follows the cluster's GitSources and heals what is changed behind Git's
back, and keeps asking whether what runs still may. The policies in force are the
cluster's own objects.

Every replica answers; one at a time writes. apex install puts it into a cluster.`,
		Example: `  apex controller                                  # inside of a cluster
  apex controller --kubeconfig ~/.kube/config --webhook-url https://192.0.2.7:9443`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&o.Namespace, "namespace", "apex-system", "namespace of Apex's own objects")
	c.Flags().StringVar(&o.Service, "service", "apex", "Service in front of the webhook")
	c.Flags().StringVar(&o.WebhookURL, "webhook-url", "", "where API servers reach the webhook of a controller outside of its cluster")
	c.Flags().StringVar(&o.WebhookAddress, "webhook-address", ":9443", "where the webhook listens")
	c.Flags().StringVar(&o.HealthAddress, "health-address", ":8081", "where probes are answered")
	c.Flags().StringVar(&o.Kube.Kubeconfig, "kubeconfig", "", "kubeconfig file (default: the cluster that it runs in)")
	c.Flags().StringSliceVar(&o.AllowPrivate, "allow-private-registry", nil, "registry host, host:port or CIDR that may be called although its address is private")
	c.Flags().StringSliceVar(&o.PlainHTTP, "plain-http", nil, "registry host:port that is called without TLS")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		state, err := stateDir(cmd, app.Workspace{}, false)
		if err != nil {
			return err
		}
		o.State, o.Version, o.Keychain = state, version, oci.DockerKeychain()
		o.Logger = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil))
		o.Ready = func(webhook, health net.Addr) {
			fmt.Fprintf(cmd.OutOrStdout(), "the webhook answers on %s, probes on %s\n", webhook, health)
		}
		go footprint.Keep(ctx)
		return controller.Run(ctx, o)
	}
	return c
}
