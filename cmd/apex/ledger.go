package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/bounded"
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
	_, err := fmt.Fprintf(w, "%s  %-8s %s  %-16s %s\n", r.Time.Format(time.RFC3339), app.Printable(r.Ledger), r.ID, app.Printable(r.Type), r.Summary())
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

const (
	// maxProofFile is more than any proof has: a record's 1 MiB in base64.
	maxProofFile = 4 << 20
	// maxKeys bounds the verifier keys of one file, and maxKeysFile its bytes.
	maxKeys     = 64
	maxKeysFile = 64 << 10
)

// proven is what apex ledger verify prints; schema apex.ledger.proven/v1.
type proven struct {
	Schema  string      `json:"schema"`
	Holds   bool        `json:"holds"`
	Reason  string      `json:"reason,omitempty"`
	Origin  string      `json:"origin,omitempty"`
	LogSize uint64      `json:"logSize,omitempty"`
	Record  *app.Record `json:"record,omitempty"`
	// Withheld says that the proof does not show the record's data.
	Withheld bool `json:"withheld,omitempty"`
}

func newLedgerVerifyCommand() *cobra.Command {
	var keyText string
	c := &cobra.Command{
		Use:   "verify PROOF",
		Short: "Check a proof, without the ledger",
		Long: `Verify checks a proof that apex ledger prove has written. It needs nothing but
the proof (a file, or - for standard input) and the verifier key of the ledger,
which has to come from somebody who is trusted, by another way than the proof.

It exits with 0 when the proof holds and with 1 when it does not.`,
		Example: `  apex ledger key --ledger up > apex.vkey      # where the ledger is
  apex ledger verify proof.json --key apex.vkey  # anywhere`,
		Args: cobra.ExactArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().StringVar(&keyText, "key", "", "verifier key (as apex ledger key prints it), or a file with one on each line")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if keyText == "" {
			return usage("--key is needed: the verifier key that apex ledger key prints where the ledger is")
		}
		keys, err := verifierKeys(keyText)
		if err != nil {
			return err
		}
		var data []byte
		if args[0] == "-" {
			data, err = bounded.ReadAll(cmd.InOrStdin(), maxProofFile)
		} else {
			data, err = bounded.ReadFile(args[0], maxProofFile)
		}
		if err != nil {
			return err
		}
		p := checkProof(data, keys)
		if err := printProven(cmd.OutOrStdout(), *output, &p); err != nil {
			return err
		}
		if !p.Holds {
			return &exit{code: exitDeny}
		}
		return nil
	}
	return c
}

// checkProof tries each key that is trusted; what the last one says is the reason.
func checkProof(data []byte, keys []string) proven {
	out := proven{Schema: "apex.ledger.proven/v1"}
	for _, key := range keys {
		p, err := ledger.VerifyProof(data, key)
		if err != nil {
			out.Reason = err.Error()
			continue
		}
		r := app.NewRecord(p.Origin, &p.Entry)
		return proven{Schema: out.Schema, Holds: true, Origin: p.Origin, LogSize: p.LogSize, Record: &r, Withheld: p.Withheld}
	}
	return out
}

func printProven(w io.Writer, format string, p *proven) error {
	switch format {
	case "json":
		return printJSON(w, p)
	case "yaml":
		return printYAML(w, p)
	}
	if !p.Holds {
		_, err := fmt.Fprintf(w, "not proved: %s\n", app.Printable(p.Reason))
		return err
	}
	fmt.Fprintf(w, "proved: the record is in the log %s (%d segments)\n", app.Printable(p.Origin), p.LogSize)
	if p.Withheld {
		fmt.Fprintln(w, "the proof does not show the record's data")
	}
	return p.Record.Print(w)
}

// verifierKeys reads the argument of --key: a key, or a file with one a line.
func verifierKeys(text string) ([]string, error) {
	if _, err := note.NewVerifier(text); err == nil {
		return []string{text}, nil
	}
	data, err := bounded.ReadFile(text, maxKeysFile)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, usage("--key %q is neither a verifier key nor a file that exists", text)
		}
		return nil, err
	}
	keys := strings.Fields(string(data))
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, usage("--key %s holds %d keys, want 1 to %d", text, len(keys), maxKeys)
	}
	for i, k := range keys {
		if _, err := note.NewVerifier(k); err != nil {
			return nil, usage("--key %s: word %d is not a verifier key: %w", text, i+1, err)
		}
	}
	return keys, nil
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

func newLedgerFsckCommand() *cobra.Command {
	var deadline time.Duration
	var keyText string
	c := &cobra.Command{
		Use:   "fsck [DIR]",
		Short: "Check every byte of a ledger",
		Long: `Fsck computes everything anew from the records and compares it with every file:
segments, seals, tiles, checkpoint, keys. It changes nothing and may run beside a
running apex up. DIR is a ledger's directory; without it all ledgers of the state
directory are checked.

What was not looked at by the deadline counts as wrong. The verifier key is read
from the ledger's own directory unless --key brings it from elsewhere: somebody
who can replace the whole directory can replace that key too.`,
		Example: `  apex ledger fsck
  apex ledger fsck /var/lib/apex/ledger/up --key apex.vkey --deadline 10m -o json`,
		Args: cobra.MaximumNArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().DurationVar(&deadline, "deadline", 5*time.Minute, "how long the check of one ledger may take")
	c.Flags().StringVar(&keyText, "key", "", "verifier key, or a file with keys, that the ledger has to be signed with")
	ledgerFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if deadline <= 0 {
			return usage("--deadline is %s, want more than nothing", deadline)
		}
		var keys []string
		var err error
		if keyText != "" {
			if keys, err = verifierKeys(keyText); err != nil {
				return err
			}
		}
		in, err := ledgersToCheck(cmd, args)
		if err != nil {
			return err
		}
		checked, ok := []checkedLedger{}, true
		for _, l := range in {
			r, err := fsckLedger(cmd.Context(), l, keys, deadline)
			if err != nil {
				return err
			}
			checked, ok = append(checked, checkedLedger{l, r.OK(), r}), ok && r.OK()
		}
		if err := printChecked(cmd.OutOrStdout(), *output, checked); err != nil {
			return err
		}
		if !ok {
			return &exit{code: exitDeny}
		}
		return nil
	}
	return c
}

func ledgersToCheck(cmd *cobra.Command, args []string) ([]app.LedgerDir, error) {
	if len(args) == 0 {
		_, in, err := selectLedgers(cmd)
		return in, err
	}
	if cmd.Flags().Changed("ledger") {
		return nil, usage("name the ledger either as DIR or with --ledger")
	}
	dir, err := filepath.Abs(args[0])
	if err != nil {
		return nil, err
	}
	return app.SelectLedgers("", dir)
}

// checkedLedger is one entry of what apex ledger fsck prints.
type checkedLedger struct {
	app.LedgerDir
	OK     bool          `json:"ok"`
	Report ledger.Report `json:"report"`
}

// fsckLedger checks with the key given that has the ledger's name, else with
// the ledger's own.
func fsckLedger(ctx context.Context, l app.LedgerDir, keys []string, deadline time.Duration) (ledger.Report, error) {
	own, err := l.VerifierKey()
	key := own
	if len(keys) > 0 {
		key, err = keys[0], nil
		for _, k := range keys {
			if name, _, _ := strings.Cut(k, "+"); strings.HasPrefix(own, name+"+") {
				key = k
			}
		}
	}
	if err == nil {
		_, err = note.NewVerifier(key)
	}
	if err != nil {
		return ledger.Report{
			Schema:   ledger.ReportSchema,
			Problems: []ledger.Problem{{File: "verifier", Text: fmt.Sprintf("%v; --key brings the key from elsewhere", err)}},
		}, nil
	}
	return ledger.Fsck(ctx, l.Dir, key, deadline)
}

func printChecked(w io.Writer, format string, checked []checkedLedger) error {
	doc := map[string]any{"schema": "apex.ledger.fsck/v1", "ledgers": checked}
	switch format {
	case "json":
		return printJSON(w, doc)
	case "yaml":
		return printYAML(w, doc)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, c := range checked {
		state := "ok"
		if !c.OK {
			state = fmt.Sprintf("%d problems", len(c.Report.Problems)+c.Report.Omitted)
		}
		fmt.Fprintf(t, "%s\t%s\t%d records\t%d segments, %d sealed\t%d bytes in %d files\n",
			app.Printable(c.Role), state, c.Report.Records, c.Report.Segments, c.Report.Sealed, c.Report.Bytes, c.Report.Files)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range checked {
		for _, p := range c.Report.Problems {
			fmt.Fprintln(w, app.Printable(filepath.Join(c.Dir, p.String())))
		}
		if c.Report.Omitted > 0 {
			fmt.Fprintf(w, "%s: %d more problems are not listed\n", app.Printable(c.Dir), c.Report.Omitted)
		}
	}
	return nil
}
