package main

import (
	"fmt"
	"log/slog"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/config"
)

func newAccessServeCommand() *cobra.Command {
	var o app.AccessServeOptions
	c := &cobra.Command{
		Use:   "serve --config DIR",
		Short: "Answer other enforcement points by OpenID AuthZEN",
		Long: `Serve answers evaluations, batches and searches by OpenID AuthZEN 1.0, from the
AccessPolicies and ProtectedRoutes of a folder. A change of it is in force within a
second; one that cannot be in force changes nothing. Callers show the token of the state
folder as bearer token. What is answered is recorded before, in the ledger "access" of
that folder: apex ledger tail --type apex.access.asked/v1

Without a certificate it listens on loopback only.

Exit codes: 0 when it was stopped; 2 usage; 3 when it cannot run.`,
		Example: `  apex access serve --config policies --address 127.0.0.1:8083 --state .apex
  curl -H "Authorization: Bearer $(cat .apex/token)" -H 'Content-Type: application/json' http://127.0.0.1:8083/access/v1/evaluation \
    -d '{"subject": {"type": "Workload", "id": "spiffe://claims.example/intake"}, "action": {"name": "infer"}, "resource": {"type": "Model", "id": "captioner"}}'`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&o.Config, "config", "", "folder with the AccessPolicies and ProtectedRoutes")
	f.StringVar(&o.Address, "address", "127.0.0.1:8083", "where to listen")
	f.StringVar(&o.URL, "url", "", "https URL that callers know it by, when it is not the address")
	f.IntVar(&o.Rate, "rate", app.DefaultQuestionRate, "decisions that may be asked for in a minute")
	f.StringVar(&o.CertificateFile, "tls-cert", "", "certificate to show to callers")
	f.StringVar(&o.KeyFile, "tls-key", "", "key of the certificate")
	c.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if o.Config == "" {
			return usage("name the folder with the policies: --config DIR")
		}
		if o.Rate < 1 {
			return usage("a rate of %d decisions in a minute is none: --rate 1 or more", o.Rate)
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		if o.State, err = stateDir(cmd, app.Workspace{}, false); err != nil {
			return err
		}
		o.Logger = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		w := cmd.OutOrStdout()
		o.Ready = func(url string) {
			fmt.Fprintf(w, "the decision point is at %s; its token is in %s\n", url, filepath.Join(o.State, "token"))
		}
		o.Health = func(h config.Health) {
			if h.OK() {
				fmt.Fprintf(w, "in force: %.19s\n", h.Generation)
				return
			}
			for i := range h.Problems {
				fmt.Fprintf(cmd.ErrOrStderr(), "not in force: %s\n", h.Problems[i].String())
			}
		}
		return app.AccessServe(ctx, o)
	}
	return c
}
