package main

import (
	"fmt"
	"log/slog"
	"net"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/apexlogic/apex/internal/app"
)

// issuerFlags are those of every command that issues identities.
func issuerFlags(f *pflag.FlagSet, o *app.IssuerOptions, socket string) {
	f.StringVar(&o.Socket, socket, "", "path of the socket at which the SPIFFE Workload API is served")
	f.StringVar(&o.Exchange, "exchange-address", "", "where evidence is exchanged for identities, over TLS: HOST:PORT")
	f.BoolVar(&o.Kubernetes, "kubernetes", false, "take tokens of service accounts; the API server of this Pod's cluster is asked whose they are")
	f.StringVar(&o.Kubeconfig, "evidence-kubeconfig", "", "take tokens of service accounts; kubeconfig file of the cluster that is asked")
	f.StringSliceVar(&o.Regions, "aws-region", nil, "take requests that AWS workloads signed; region whose STS is asked, as eu-central-1")
}

func newIdentityServeCommand() *cobra.Command {
	var o app.IdentityServerOptions
	c := &cobra.Command{
		Use:   "serve --trust-domain DOMAIN (--registrations DIR | --kube)",
		Short: "Issue identities of a trust domain",
		Long: `Serve issues identities until it is stopped. Its authority, whose keys change each
day, is in the state folder; identities live ten minutes.

A folder holds the WorkloadIdentities, and the Revocations of identities that are not
issued any more. A change of it is in force within a second. Tokens of the OpenID
Connect issuers that WorkloadIdentities name are taken, and join tokens; tokens of
service accounts and signatures of AWS are taken when the flags say so.

With --kube it reads them from a cluster, and keeps its public keys in the ConfigMap
apex-trust there, as TRUST-DOMAIN.json; apex install --gateway runs it so.

The same runs inside of apex gateway: --workload-socket and --exchange-address.

Exit codes: 0 when it was stopped; 2 usage; 3 when it cannot run.`,
		Example: `  apex identity serve --trust-domain claims.example --registrations policies --socket /run/apex/agent.sock
  apex identity serve --trust-domain claims.example --registrations policies --exchange-address :8444 --kubernetes --aws-region eu-central-1
  apex ledger tail --type apex.identity/v1       # what it issued to whom`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&o.TrustDomain, "trust-domain", "", "trust domain of the identities, as claims.example")
	f.StringVar(&o.Registrations, "registrations", "", "folder with the WorkloadIdentities and Revocations")
	f.BoolVar(&o.Kube.Enabled, "kube", false, "read the WorkloadIdentities and Revocations of a cluster instead, and publish the keys there")
	f.StringVar(&o.Kube.Kubeconfig, "kubeconfig", "", "with --kube: kubeconfig file (default: the cluster that it runs in)")
	f.StringVar(&o.Kube.Namespace, "kube-namespace", "apex-system", "with --kube: namespace of the ConfigMap with the keys")
	f.StringVar(&o.GatewayAccount, "gateway-account", "", "service account NAMESPACE/NAME whose Pods get the identity of a gateway, /apex/gateway, which no document can give")
	issuerFlags(f, &o.IssuerOptions, "socket")
	f.StringVar(&o.CertificateFile, "tls-cert", "", "certificate that the exchange shows, instead of its identity")
	f.StringVar(&o.KeyFile, "tls-key", "", "key of the certificate")
	f.StringVar(&o.IssuerAuthorities, "issuer-ca", "", "PEM file with authorities of OpenID Connect issuers")
	f.StringSliceVar(&o.PrivateIssuers, "private-issuer", nil, "OpenID Connect issuer whose address may be private")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case o.TrustDomain == "":
			return usage("name the trust domain: --trust-domain claims.example")
		case (o.Registrations == "") == !o.Kube.Enabled:
			return usage("name where the WorkloadIdentities are: either a folder, --registrations DIR, or a cluster, --kube")
		case o.Kube.Kubeconfig != "" && !o.Kube.Enabled:
			return usage("--kubeconfig says which cluster --kube reads; add --kube")
		case o.GatewayAccount != "" && !accountName(o.GatewayAccount):
			return usage("--gateway-account %s is not NAMESPACE/NAME", o.GatewayAccount)
		case o.Socket == "" && o.Exchange == "":
			return usage("say where to serve: --socket PATH for processes of this machine, --exchange-address HOST:PORT for others")
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		state, err := stateDir(cmd, app.Workspace{}, false)
		if err != nil {
			return err
		}
		o.State = state
		o.Logger = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		o.InForce = tellInForce(cmd)
		o.Ready = func(socket, exchange net.Addr) {
			if socket != nil {
				fmt.Fprintf(cmd.OutOrStdout(), "the Workload API is served at unix://%s\n", socket)
			}
			if exchange != nil {
				fmt.Fprintf(cmd.OutOrStdout(), "the exchange answers on https://%s\n", exchange)
			}
		}
		return app.ServeIdentities(ctx, o)
	}
	return c
}

// accountName says whether it is NAMESPACE/NAME.
func accountName(s string) bool {
	namespace, name, ok := strings.Cut(s, "/")
	return ok && namespace != "" && name != "" && !strings.ContainsAny(name, "/:") && !strings.Contains(namespace, ":")
}
