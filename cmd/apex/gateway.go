package main

import (
	"fmt"
	"log/slog"
	"net"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/footprint"
	"github.com/apexlogic/apex/internal/gateway/limit/shared"
	"github.com/apexlogic/apex/internal/oci"
)

func newGatewayCommand() *cobra.Command {
	var o app.GatewayOptions
	c := &cobra.Command{
		Use:   "gateway --config DIR",
		Short: "Decide about requests to inference servers, and pass on what is allowed",
		Long: `Gateway stands in front of inference servers. Each request shows who asks, is held to
its limits, taken apart, looked at, decided about by policies, recorded, and passed on
as it was looked at; answers are looked at while they pass. Whatever cannot be checked
is denied.

Routes and policies are the ProtectedRoutes, AccessPolicies and Revocations of a folder.
A change of it is in force within a second, without a request being dropped; a change
that cannot be in force changes nothing, and the probe says so.

With a certificate it listens by TLS: its own identity in --trust-domain, or files.
Without one it listens on loopback only.

Exit codes: 0 when it was stopped; 2 usage; 3 when it cannot run.`,
		Example: `  apex gateway --config policies                         # plain text, on loopback
  apex gateway --config policies --trust-domain vision.example --trust-bundles bundles --address :8443
  curl http://127.0.0.1:8082/readyz                      # are its routes in force?
  apex gateway --kube --kubeconfig ~/.kube/config        # the routes of a cluster
  apex ledger tail --type apex.request/v1                # what it decided`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&o.Config, "config", "", "folder with the routes and policies")
	f.BoolVar(&o.Kube.Enabled, "kube", false, "read the routes and policies of a cluster instead")
	f.StringVar(&o.Kube.Kubeconfig, "kubeconfig", "", "with --kube: kubeconfig file (default: the cluster that it runs in)")
	f.StringVar(&o.Kube.Namespace, "kube-namespace", "apex-system", "with --kube: namespace of the lease by which gateways agree on who writes conditions")
	f.StringVar(&o.Address, "address", "127.0.0.1:8080", "where to listen")
	f.StringVar(&o.HealthAddress, "health-address", "127.0.0.1:8082", "where probes are answered: /healthz and /readyz")
	f.StringVar(&o.TrustDomain, "trust-domain", "", "trust domain of the built-in authority, which gives the gateway its identity")
	f.StringVar(&o.Identity.Exchange, "identity-exchange", "", "https://HOST:PORT of an exchange that gives the gateway its identity, known by TRUST-DOMAIN.json in --trust-bundles")
	f.StringVar(&o.Identity.TokenFile, "identity-token", "", "with --identity-exchange: file with the token of the gateway's service account, made for spiffe://TRUST-DOMAIN")
	f.StringVar(&o.Identity.Socket, "identity-socket", "", "path of a SPIFFE Workload API that gives the gateway its identity")
	f.StringVar(&o.Bundles, "trust-bundles", "", "folder with the bundles of trust domains: DOMAIN.json or DOMAIN.pem")
	f.StringVar(&o.CertificateFile, "tls-cert", "", "certificate to show to callers, instead of the gateway's identity")
	f.StringVar(&o.KeyFile, "tls-key", "", "key of the certificate")
	f.StringVar(&o.ServerAuthorities, "server-ca", "", "PEM file with authorities of servers behind routes with tls: Server")
	f.StringVar(&o.IssuerAuthorities, "issuer-ca", "", "PEM file with authorities of OpenID Connect issuers")
	f.StringSliceVar(&o.PrivateIssuers, "private-issuer", nil, "OpenID Connect issuer whose address may be private")
	f.StringVar(&o.ExtAuthz.Address, "extauthz-address", "", "where Envoys ask by ext_authz, gRPC or HTTP: HOST:PORT, or unix:PATH")
	f.StringSliceVar(&o.ExtAuthz.Proxies, "extauthz-proxy", nil, "SPIFFE ID of an Envoy that may ask; on a socket everybody may who can open it")
	f.StringVar(&o.ExtAuthz.Prefix, "extauthz-prefix", "", "path_prefix of Envoy's HTTP service")
	f.BoolVar(&o.ExtAuthz.ClientCertificates, "extauthz-client-certs", false, "Envoy's HTTP service sets X-Forwarded-Client-Cert itself (SANITIZE_SET, cert: true)")
	f.StringVar(&o.AuthZEN.Address, "authzen-address", "", "where enforcement points ask the access policies by OpenID AuthZEN")
	f.StringVar(&o.AuthZEN.URL, "authzen-url", "", "https URL that enforcement points know it by, when it is not the address")
	f.StringSliceVar(&o.AuthZEN.Callers, "authzen-caller", nil, "SPIFFE ID of an enforcement point that may ask")
	f.IntVar(&o.AuthZEN.Rate, "authzen-rate", app.DefaultQuestionRate, "decisions that each of them may ask for in a minute")
	f.StringVar(&o.Egress.Address, "egress-address", "", "where workloads connect to hosts outside, as to a forward proxy")
	f.StringVar(&o.Egress.Audience, "egress-audience", "", "audience of a JWT-SVID in Proxy-Authorization; the gateway's own SPIFFE ID when empty")
	f.StringSliceVar(&o.Egress.Private, "egress-private", nil, "private network that may be connected to, such as 10.1.0.0/16")
	f.StringVar(&o.Limits.URL, "limits", "", "one Redis, no Cluster or Sentinel, by which several gateways share limits: redis://HOST:PORT/DB, rediss:// with TLS")
	f.StringVar(&o.Limits.PasswordFile, "limits-password-file", "", "file with its password (or $"+app.LimitsPassword+")")
	f.StringVar(&o.Limits.Authorities, "limits-ca", "", "PEM file with authorities of its certificate")
	f.DurationVar(&o.Limits.Within, "limits-within", shared.DefaultWithin, "how long a request waits for it, before limits are local")
	f.StringVar(&o.Traces.URL, "traces", "", "collector that spans of requests are sent to, by OTLP over HTTP: https://HOST:4318")
	f.Float64Var(&o.Traces.Sample, "trace-sample", app.DefaultTraceSample, "share of requests that are traced, from 0 to 1")
	f.BoolVar(&o.Traces.Follow, "trace-follow", false, "trace what callers say is traced (traceparent), and nothing else of theirs")
	f.StringVar(&o.Traces.HeadersFile, "traces-headers-file", "", "file with headers for the collector, NAME: VALUE in each line")
	f.StringVar(&o.Traces.Authorities, "traces-ca", "", "PEM file with authorities of the collector's certificate")
	f.BoolVar(&o.Traces.Plaintext, "traces-plaintext", false, "send traces in plain text (http) to another machine")
	f.StringSliceVar(&o.Models.AllowPrivate, "allow-private-registry", nil, "registry host, host:port or CIDR with models that may be called although its address is private")
	f.StringSliceVar(&o.Models.PlainHTTP, "plain-http", nil, "registry host:port with models that is called without TLS")
	issuerFlags(f, &o.Issuer, "workload-socket")
	f.Var(byteCount{&o.BodyMemory}, "body-memory", "memory for the messages under way, a quarter of it for one caller: 256MiB (default: half of GOMEMLIMIT or of the container's, at most 512MiB)")
	f.DurationVar(&o.Drain, "drain", 30*time.Second, "how long requests under way may take to end")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if (o.Config == "") == !o.Kube.Enabled {
			return usage("name where the routes and policies are: either the folder, --config DIR, or a cluster, --kube")
		}
		if o.Kube.Kubeconfig != "" && !o.Kube.Enabled {
			return usage("--kubeconfig says which cluster --kube reads; add --kube")
		}
		if o.AuthZEN.Rate < 1 {
			return usage("a rate of %d decisions in a minute is none: --authzen-rate 1 or more", o.AuthZEN.Rate)
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		state, err := stateDir(cmd, app.Workspace{}, false)
		if err != nil {
			return err
		}
		o.State = state
		o.Models.Keychain, o.Traces.Version = oci.DockerKeychain(), version
		o.Logger = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		w := cmd.OutOrStdout()
		o.Door = func(name string, at net.Addr) {
			switch name {
			case "gateway", "probes": // Ready says these
			default:
				fmt.Fprintf(w, "%s on %s\n", name, at)
			}
		}
		o.Ready = func(address, health net.Addr) {
			fmt.Fprintf(w, "the gateway listens on %s, probes on %s\n", address, health)
		}
		var compiled sync.Once
		o.Health = func(h config.Health) {
			if h.OK() {
				compiled.Do(debug.FreeOSMemory) // what compiling left behind would count for the first requests
				fmt.Fprintf(w, "in force: %.19s\n", h.Generation)
				return
			}
			for i := range h.Problems {
				fmt.Fprintf(cmd.ErrOrStderr(), "not in force: %s\n", h.Problems[i].String())
			}
		}
		go footprint.Keep(ctx)
		return app.Gateway(ctx, o)
	}
	return c
}
