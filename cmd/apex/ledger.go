package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/ledger"
)

func newLedgerCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ledger",
		Short: "Read the record of every decision, and prove it",
		Long: `Every decision is a record of a ledger. Records can be proved to somebody who has
neither the ledger nor a network, and nothing in a ledger can be changed or taken
out unnoticed. Each role of Apex (cli, up, registry) writes a ledger of its own
below the state directory; --ledger chooses one, by its role or its directory.

Exit codes: 0 fine or proved, 1 not proved or damaged, 2 usage, 3 environment.`,
		Example: `  apex ledger tail -n 5
  apex ledger prove 019ab2c4-… --disclose -O proof.json
  apex ledger verify proof.json --key "$(apex ledger key --ledger up)"`,
	}
	for _, sub := range []func() *cobra.Command{
		newLedgerTailCommand, newLedgerShowCommand, newLedgerProveCommand,
		newLedgerVerifyCommand, newLedgerFsckCommand, newLedgerKeyCommand,
	} {
		c.AddCommand(sub())
	}
	return c
}

// ledgerFlag adds --ledger, which [selectLedgers] reads.
func ledgerFlag(c *cobra.Command) {
	c.Flags().String("ledger", "", "role or directory of the ledger (default: all of the state directory)")
}

// selectLedgers returns the ledgers that --state and --ledger name, and the
// state directory.
func selectLedgers(cmd *cobra.Command) (string, []app.LedgerDir, error) {
	choice, err := cmd.Flags().GetString("ledger")
	if err != nil {
		return "", nil, err
	}
	workspace, inside := app.FindWorkspace(".")
	state, err := stateDir(cmd, workspace, inside)
	if err != nil {
		return "", nil, err
	}
	if state, err = filepath.Abs(state); err != nil {
		return "", nil, err
	}
	in, err := app.SelectLedgers(state, choice)
	return state, in, err
}

func newLedgerTailCommand() *cobra.Command {
	var o app.TailOptions
	c := &cobra.Command{
		Use:   "tail",
		Short: "Print the newest records",
		Long: `Tail prints the newest records of all ledgers, merged by time. With --follow it
goes on with what is written from then on, until it is stopped; it may run
beside a running apex up.

With -o json each record is one line (schema apex.ledger.record/v1).`,
		Example: `  apex ledger tail -n 20 --type apex.verdict/v1
  apex ledger tail -f -o json | jq .data.code`,
		Args: cobra.NoArgs,
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().IntVarP(&o.Last, "lines", "n", 10, fmt.Sprintf("how many records, at most %d", app.MaxTail))
	c.Flags().StringVar(&o.Type, "type", "", "only records of this type, such as "+ledger.TypeVerdict)
	c.Flags().BoolVarP(&o.Follow, "follow", "f", false, "wait for more")
	ledgerFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.Last < 0 || o.Last > app.MaxTail {
			return usage("--lines is %d, but 0 to %d records can be shown", o.Last, app.MaxTail)
		}
		_, in, err := selectLedgers(cmd)
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		return app.TailRecords(cmd.Context(), in, o, func(r app.Record) error { return printRecordLine(w, *output, &r) })
	}
	return c
}

// printJSONLine writes one document on one line, for programs that read a stream.
func printJSONLine(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func printRecordLine(w io.Writer, format string, r *app.Record) error {
	switch format {
	case "json":
		return printJSONLine(w, r)
	case "yaml":
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
		return printYAML(w, r)
	}
	_, err := fmt.Fprintf(w, "%s  %-8s %s  %-23s %s\n", r.Time.Format(time.RFC3339), app.Printable(r.Ledger), r.ID, app.Printable(r.Type), r.Summary())
	return err
}

func newLedgerShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "show ID",
		Short:   "Print one record with its data",
		Long:    "Show prints one record with its data, from whichever ledger has it.",
		Example: "  apex ledger show 019ab2c4-… -o json",
		Args:    cobra.ExactArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	ledgerFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := recordID(args[0])
		if err != nil {
			return err
		}
		_, in, err := selectLedgers(cmd)
		if err != nil {
			return err
		}
		_, r, err := app.FindRecord(cmd.Context(), in, id)
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		switch *output {
		case "json":
			return printJSON(w, r)
		case "yaml":
			return printYAML(w, r)
		}
		return r.Print(w)
	}
	return c
}

func recordID(text string) (ledger.ID, error) {
	id, err := ledger.ParseID(text)
	if err != nil {
		return id, usage("%q is not a record's id: %w (apex ledger tail shows ids)", text, err)
	}
	return id, nil
}

func newLedgerProveCommand() *cobra.Command {
	var file string
	var disclose bool
	c := &cobra.Command{
		Use:   "prove ID",
		Short: "Write a proof that a record is in the ledger",
		Long: `Prove writes a proof of one record that anybody can check with apex ledger
verify: without the ledger, without a network, with its verifier key alone.

The proof holds the record's type, id and time. Its data is withheld, and cannot
be guessed from the proof, unless --disclose shows it.

A record of the newest segment is sealed first, which needs the ledger to be
written: while apex up holds it, the running process is asked over its API.`,
		Example: `  apex ledger prove 019ab2c4-… -O proof.json
  apex ledger prove 019ab2c4-… --disclose | apex ledger verify - --key apex.vkey`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().StringVarP(&file, "out", "O", "-", "file to write the proof to")
	c.Flags().BoolVar(&disclose, "disclose", false, "show the record's data in the proof")
	ledgerFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := recordID(args[0])
		if err != nil {
			return err
		}
		state, in, err := selectLedgers(cmd)
		if err != nil {
			return err
		}
		l, _, err := app.FindRecord(cmd.Context(), in, id)
		if err != nil {
			return err
		}
		d := ledger.Withhold
		if disclose {
			d = ledger.Disclose
		}
		proof, err := app.ProveRecord(cmd.Context(), state, l, id, d, func(holder error) {
			fmt.Fprintf(cmd.ErrOrStderr(), "apex: %v; waiting for it\n", holder)
		})
		if err != nil {
			return err
		}
		if file == "-" {
			_, err = cmd.OutOrStdout().Write(proof)
			return err
		}
		return os.WriteFile(file, proof, 0o600)
	}
	return c
}

func newLedgerKeyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Print the verifier keys of the ledgers",
		Long: `Key prints the verifier key of each ledger, one a line. Give it to whoever is to
check proofs, by a way that they trust; it is not secret.`,
		Example: "  apex ledger key --ledger up > apex.vkey",
		Args:    cobra.NoArgs,
	}
	output := outputFlag(c, "table", "json", "yaml")
	ledgerFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		_, in, err := selectLedgers(cmd)
		if err != nil {
			return err
		}
		type ledgerKey struct {
			app.LedgerDir
			Key string `json:"key"`
		}
		keys := []ledgerKey{}
		for _, l := range in {
			k, err := l.VerifierKey()
			if err != nil {
				return err
			}
			keys = append(keys, ledgerKey{l, k})
		}
		w := cmd.OutOrStdout()
		doc := map[string]any{"schema": "apex.ledger.keys/v1", "keys": keys}
		switch *output {
		case "json":
			return printJSON(w, doc)
		case "yaml":
			return printYAML(w, doc)
		}
		for _, k := range keys {
			fmt.Fprintln(w, app.Printable(k.Key))
		}
		return nil
	}
	return c
}
