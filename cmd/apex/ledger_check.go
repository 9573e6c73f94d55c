package main

import (
	"context"
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

// verifierKeys reads the argument of --key: keys, as "apex ledger key" prints
// them, or a file with one a line.
func verifierKeys(text string) ([]string, error) {
	keys := strings.Fields(text)
	if len(keys) == 0 || !isVerifierKey(keys[0]) {
		data, err := bounded.ReadFile(text, maxKeysFile)
		if errors.Is(err, os.ErrNotExist) {
			return nil, usage("--key %q is neither a verifier key nor a file that exists", text)
		}
		if err != nil {
			return nil, err
		}
		keys = strings.Fields(string(data))
	}
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

func isVerifierKey(text string) bool {
	_, err := note.NewVerifier(text)
	return err == nil
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
