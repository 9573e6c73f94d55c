package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
)

func newIdentityCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "identity",
		Short: "Give workloads short-lived SPIFFE identities, and get one",
		Long: `Identity is the built-in authority of a trust domain. It serves the SPIFFE Workload
API on a socket, for processes of the machine, and an exchange over TLS, for Pods and
functions, which show evidence of what they are. WorkloadIdentities say which evidence
gives which identity; whom nothing names gets nothing. Every identity that is issued
is in the ledger.`,
		Example: `  apex identity serve --trust-domain claims.example --registrations policies --socket /run/apex/agent.sock
  apex identity token laptop --ttl 10m       # for a machine that has no other evidence
  apex identity fetch --socket /run/apex/agent.sock --out /run/intake
  apex identity bundle > bundles/claims.example.json`,
	}
	c.AddCommand(newIdentityServeCommand(), newIdentityTokenCommand(), newIdentityFetchCommand(), newIdentityBundleCommand())
	return c
}

func newIdentityTokenCommand() *cobra.Command {
	var life time.Duration
	c := &cobra.Command{
		Use:   "token NAME",
		Short: "Make a join token, which gives its bearer an identity once",
		Long: `Token makes a join token in the state folder of apex identity serve, or of apex
gateway, on the same machine. The WorkloadIdentities with joinToken NAME say which
identity it gives. It is printed once and kept as a hash; it works once, and not
after --ttl.`,
		Example: `  apex identity token laptop --ttl 10m > laptop.token
  apex identity fetch --exchange https://identity.example:8444 --trust-domain claims.example --join laptop.token --out .`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().DurationVar(&life, "ttl", 10*time.Minute, "how long the token may wait, at most 24h")
	output := outputFlag(c, "text", "json")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		workspace, inside := app.FindWorkspace(".")
		state, err := stateDir(cmd, workspace, inside)
		if err != nil {
			return err
		}
		until := time.Now().Add(life)
		token, err := app.JoinToken(state, args[0], life, clock.System{})
		if err != nil {
			return err
		}
		if *output == "json" {
			return printJSON(cmd.OutOrStdout(), map[string]any{"name": args[0], "token": token, "expires": until.UTC().Truncate(time.Second)})
		}
		fmt.Fprintln(cmd.OutOrStdout(), token)
		return nil
	}
	return c
}

func newIdentityBundleCommand() *cobra.Command {
	var from fetchFlags
	c := &cobra.Command{
		Use:   "bundle",
		Short: "Print the public keys of the trust domain, for those who believe it",
		Long: `Bundle prints the keys that verify identities of the trust domain, as a SPIFFE bundle
(JSON). They are those of the authority in the state folder, or what a Workload API or
an exchange gives. Save it as TRUST-DOMAIN.json in a gateway's --trust-bundles. Keys
change each day, and are published a quarter of an hour ahead: fetch it again every
five minutes.`,
		Example: `  apex identity bundle > bundles/claims.example.json
  apex identity bundle --exchange https://identity.example:8444 --trust-domain claims.example --bundle claims.example.json`,
		Args: cobra.NoArgs,
	}
	from.where(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		var data []byte
		if from.socket == "" && from.exchange == "" {
			workspace, inside := app.FindWorkspace(".")
			state, err := stateDir(cmd, workspace, inside)
			if err != nil {
				return err
			}
			if data, err = app.TrustBundle(state, clock.System{}); err != nil {
				return err
			}
		} else {
			source, err := from.source()
			if err != nil {
				return err
			}
			if data, err = source.Bundle(cmd.Context()); err != nil {
				return refusedIs1(err)
			}
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", data)
		return err
	}
	return c
}

// tellInForce says what is given after each change.
func tellInForce(cmd *cobra.Command) func(h config.Health, given, revoked, elsewhere int) {
	return func(h config.Health, given, revoked, elsewhere int) {
		for i := range h.Problems {
			fmt.Fprintf(cmd.ErrOrStderr(), "not in force: %s\n", h.Problems[i].String())
		}
		if h.OK() {
			fmt.Fprintf(cmd.OutOrStdout(), "in force: %.19s, %d given, %d revoked, %d of other trust domains\n", h.Generation, given, revoked, elsewhere)
		}
	}
}

// readSecret reads a token of a file, or of standard input.
func readSecret(cmd *cobra.Command, path string, limit int64) ([]byte, error) {
	if path == "-" {
		return bounded.ReadAll(cmd.InOrStdin(), limit)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return bounded.ReadAll(f, limit)
}
