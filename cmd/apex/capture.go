package main

import (
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/gateway/capture"
	"github.com/apexlogic/apex/internal/seal"
)

func newCaptureCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "capture",
		Short: "Look at requests that a gateway kept, and judge them again",
		Long: `A ProtectedRoute with capture has a sample of its requests kept, sealed for the public
keys that it names. Capture makes such keys, opens what was kept, and tells what other
policies would have decided about it.

Captures lie below the gateway's state directory: --state.`,
		Example: `  apex capture keygen --out keys
  apex capture list --state STATE
  apex capture replay --all --state STATE --key keys/capture.key --config policies`,
	}
	c.AddCommand(newCaptureKeygenCommand(), newCaptureListCommand(), newCaptureShowCommand(), newCaptureReplayCommand(), newCapturePruneCommand())
	return c
}

func newCaptureKeygenCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "keygen --out DIR",
		Short: "Make a key pair: capture.key opens captures, capture.pub goes into routes",
		Long: `Keygen makes a key pair of MLKEM768-X25519. The private key is not encrypted and readable
by its owner only: keep it away from the gateway, which needs the public one. Files
that are there are left alone.

Exit codes: 0 made, 2 usage, 3 environment.`,
		Example: `  apex capture keygen --out keys
  cat keys/capture.pub                 # for spec.capture.sealTo of a ProtectedRoute`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&out, "out", ".", "folder for the two files")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		key, err := seal.GenerateKey()
		if err != nil {
			return err
		}
		private, err := key.PEM()
		if err != nil {
			return err
		}
		if err := os.MkdirAll(out, 0o700); err != nil {
			return err
		}
		keyFile, public := filepath.Join(out, "capture.key"), filepath.Join(out, "capture.pub")
		if err := writeKey(keyFile, private, 0o600, false); err != nil {
			return err
		}
		if err := writeKey(public, key.Public().PEM(), 0o644, false); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "private key  %s\npublic key   %s\nkey id       %s\n", keyFile, public, key.ID())
		return err
	}
	return c
}

// captures lists what is kept below the state directory.
func captures(cmd *cobra.Command) ([]capture.Entry, error) {
	workspace, inside := app.FindWorkspace(".")
	state, err := stateDir(cmd, workspace, inside)
	if err != nil {
		return nil, err
	}
	return capture.List(app.CapturesDir(state))
}

// captureOf finds the capture of an id.
func captureOf(cmd *cobra.Command, id string) (*capture.Entry, error) {
	if _, err := recordID(id); err != nil {
		return nil, err
	}
	all, err := captures(cmd)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].ID == id {
			return &all[i], nil
		}
	}
	return nil, fmt.Errorf("no capture has the id %s: it has expired, made room for others, or lies below another --state; see apex capture list", id)
}

// maxSealKey bounds a key file.
const maxSealKey = 8 << 10

// captureKey reads the key that opens captures.
func captureKey(path string) (*seal.PrivateKey, error) {
	if path == "" {
		return nil, usage("name the private key that opens captures: --key FILE")
	}
	text, err := bounded.ReadFile(path, maxSealKey)
	if err != nil {
		return nil, err
	}
	key, err := seal.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

func newCaptureListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List what is kept, as far as it can be seen without a key",
		Long: `List prints id, time, route, expiry, size and for which keys each capture is sealed.
That is what its file says; it is verified when it is opened.

Exit codes: 0 listed, 2 usage, 3 environment.`,
		Example: `  apex capture list --state STATE
  apex capture list --state STATE -o json`,
		Args: cobra.NoArgs,
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		all, err := captures(cmd)
		if err != nil {
			return err
		}
		if *output != "table" {
			return writeDocument(cmd.OutOrStdout(), *output, struct {
				Schema   string          `json:"schema"`
				Captures []capture.Entry `json:"captures"`
			}{"apex.capture-list/v1", append([]capture.Entry{}, all...)})
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, e := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\tuntil %s\t%d bytes\n", e.ID, e.At.Format(time.RFC3339), app.Printable(e.Route), e.Expires.Format(time.RFC3339), e.Bytes)
		}
		return w.Flush()
	}
	return c
}

func newCaptureShowCommand() *cobra.Command {
	var keyFile string
	var body bool
	c := &cobra.Command{
		Use:   "show ID --key FILE",
		Short: "Open a capture",
		Long: `Show prints who asked for what and what was decided. It prints the digest of the
envelope, too: the ledger has it in apex.request.capture/v1 where the gateway wrote the
capture. --body writes the body alone, as it was passed on or refused.

Exit codes: 0 opened, 2 usage, 3 it cannot be opened.`,
		Example: `  apex capture show 019ab2c4-… --key keys/capture.key
  apex capture show 019ab2c4-… --key keys/capture.key --body | jq .`,
		Args: cobra.ExactArgs(1),
	}
	output := outputFlag(c, "yaml", "json")
	c.Flags().StringVar(&keyFile, "key", "", "file with the private key")
	c.Flags().BoolVar(&body, "body", false, "write the request's body alone")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		key, err := captureKey(keyFile)
		if err != nil {
			return err
		}
		e, err := captureOf(cmd, args[0])
		if err != nil {
			return err
		}
		opened, digest, err := e.Open(key, time.Now())
		if err != nil {
			return err
		}
		if body {
			_, err := cmd.OutOrStdout().Write(opened.Request.Body)
			return err
		}
		document := struct {
			*capture.Capture
			Digest  string    `json:"digest"`
			Expires time.Time `json:"expires"`
		}{opened, digest, e.Expires}
		return writeDocument(cmd.OutOrStdout(), *output, document)
	}
	return c
}

func newCapturePruneCommand() *cobra.Command {
	var route string
	var all bool
	var older time.Duration
	c := &cobra.Command{
		Use:   "prune",
		Short: "Delete captures: those that have expired, or more",
		Long: `Prune deletes captures that have expired, which a running gateway does by itself; with
--older-than those before a time as well, and with --all every one. It may run beside a gateway.

Exit codes: 0 deleted, 2 usage, 3 environment.`,
		Example: `  apex capture prune --state STATE
  apex capture prune --state STATE --route captioner --all`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&route, "route", "", "only those of this route")
	c.Flags().BoolVar(&all, "all", false, "delete them all")
	c.Flags().DurationVar(&older, "older-than", 0, "delete those that are older, too")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if older < 0 {
			return usage("--older-than is a time such as 12h")
		}
		kept, err := captures(cmd)
		if err != nil {
			return err
		}
		now, deleted := time.Now(), 0
		for i := range kept {
			e := &kept[i]
			expired := !e.Expires.IsZero() && !now.Before(e.Expires)
			if route != "" && e.Route != route || !all && !expired && (older == 0 || now.Sub(e.At) < older) {
				continue
			}
			if err := e.Remove(); err != nil {
				return err
			}
			deleted++
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d deleted, %d left\n", deleted, len(kept)-deleted)
		return err
	}
	return c
}
