package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/clock"
)

// fetchFlags say whom to ask, and what to show.
type fetchFlags struct {
	socket, exchange, domain, bundle string
	join, kubernetes, oidc           string
	aws                              string
	read                             func(path string) ([]byte, error)
}

// where adds the flags that say whom to ask.
func (f *fetchFlags) where(c *cobra.Command) {
	c.Flags().StringVar(&f.socket, "socket", "", "path of a Workload API's socket")
	c.Flags().StringVar(&f.exchange, "exchange", "", "an exchange: https://HOST:PORT")
	c.Flags().StringVar(&f.domain, "trust-domain", "", "trust domain of the exchange")
	c.Flags().StringVar(&f.bundle, "bundle", "", "SPIFFE bundle of the trust domain, by which the exchange is known (default: by a certificate for its host)")
}

func (f *fetchFlags) source() (app.IdentitySource, error) {
	switch {
	case (f.socket == "") == (f.exchange == ""):
		return nil, usage("say whom to ask: --socket PATH or --exchange URL, one of them")
	case f.exchange != "" && f.domain == "":
		return nil, usage("name the trust domain of the exchange: --trust-domain claims.example")
	case f.socket != "":
		return app.FromSocket(f.socket)
	}
	o := app.ExchangeSource{URL: f.exchange, TrustDomain: f.domain, BundleFile: f.bundle, Clock: clock.System{}, AWSRegion: f.aws, Read: f.read}
	for kind, path := range map[string]string{"join": f.join, "kubernetes": f.kubernetes, "oidc": f.oidc} {
		if path != "" {
			if o.Kind != "" || f.aws != "" {
				return nil, usage("show one kind of evidence")
			}
			o.Kind, o.File = kind, path
		}
	}
	return app.FromExchange(o)
}

// refusedIs1 gives a refusal its exit code.
func refusedIs1(err error) error {
	if _, is := errors.AsType[*app.IdentityRefused](err); is {
		return &exit{exitDeny, err}
	}
	return err
}

func newIdentityFetchCommand() *cobra.Command {
	var f fetchFlags
	var id, out string
	var audience []string
	var watch bool
	c := &cobra.Command{
		Use:   "fetch (--socket PATH | --exchange URL)",
		Short: "Get an identity: a certificate with its key, or a token",
		Long: `Fetch asks the Workload API of this machine, or an exchange with one kind of evidence:
--join, --kubernetes or --oidc name a file with a token, "-" is standard input, and
--aws has the AWS keys of the environment sign for the STS of a region.

It writes svid.pem, svid.key and bundle.pem to --out, each replaced as a whole; or
prints a JWT-SVID for --audience. Both live ten minutes. With --watch it stays, writes
the next certificate at half of the life of the last, and says so; when one cannot be
had, it says that and asks again, and ends when it is stopped.

Exit codes: 0 when it was given; 1 when it was refused; 2 usage; 3 when nobody could be
asked.`,
		Example: `  apex identity fetch --socket /run/apex/agent.sock --audience captioner
  apex identity fetch --exchange https://identity.example:8444 --trust-domain claims.example --bundle claims.example.json \
    --kubernetes /var/run/secrets/apex/token --out /run/intake --watch`,
		Args: cobra.NoArgs,
	}
	f.where(c)
	c.Flags().StringVar(&f.join, "join", "", "file with a join token")
	c.Flags().StringVar(&f.kubernetes, "kubernetes", "", "file with the token of a service account, made for the audience spiffe://TRUST-DOMAIN")
	c.Flags().StringVar(&f.oidc, "oidc", "", "file with the token of an OpenID Connect issuer")
	c.Flags().StringVar(&f.aws, "aws", "", "region, as eu-central-1: sign with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN")
	c.Flags().StringVar(&id, "id", "", "SPIFFE ID to ask for, where the workload may have several")
	c.Flags().StringSliceVar(&audience, "audience", nil, "print a token for this audience")
	c.Flags().StringVar(&out, "out", "", "folder for svid.pem, svid.key and bundle.pem")
	c.Flags().BoolVar(&watch, "watch", false, "keep the certificate in --out renewed until the command is stopped")
	output := outputFlag(c, "text", "json")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if watch && out == "" {
			return usage("--watch renews a certificate: name the folder with --out DIR")
		}
		if watch && (f.join != "" || slices.Contains([]string{f.kubernetes, f.oidc}, "-")) {
			return usage("--watch shows its evidence again and again: a join token works once, and standard input is read once")
		}
		if (len(audience) == 0) == (out == "") {
			return usage("say what to get: a certificate with --out DIR, or a token with --audience NAME")
		}
		f.read = func(path string) ([]byte, error) { return readSecret(cmd, path, 32<<10) }
		if f.socket == "" && f.exchange == "" {
			f.socket = strings.TrimPrefix(os.Getenv("SPIFFE_ENDPOINT_SOCKET"), "unix://")
		}
		source, err := f.source()
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		tell := func(files *app.FetchedCertificate) error {
			if *output == "json" {
				return printJSON(w, files)
			}
			_, err := fmt.Fprintf(w, "%s until %s: %s, %s, %s\n", files.ID, files.Expires.Format("15:04:05Z07:00"), files.Certificate, files.Key, files.Bundle)
			return err
		}
		if watch {
			return refusedIs1(app.KeepCertificate(cmd.Context(), source, id, out, clock.System{}, func(files *app.FetchedCertificate, err error) {
				if err == nil {
					err = tell(files)
				}
				if err != nil {
					fmt.Fprintln(cmd.ErrOrStderr(), "not renewed:", err)
				}
			}))
		}
		if out != "" {
			files, err := app.FetchCertificate(cmd.Context(), source, id, out)
			if err != nil {
				return refusedIs1(err)
			}
			return tell(files)
		}
		token, err := source.Token(cmd.Context(), id, audience)
		if err != nil {
			return refusedIs1(err)
		}
		if *output == "json" {
			return printJSON(w, token)
		}
		fmt.Fprintln(w, token.Token)
		return nil
	}
	return c
}
