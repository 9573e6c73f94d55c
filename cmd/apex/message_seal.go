package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/clock"
)

func newMessageKeygenCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "keygen",
		Short: "Make the keys of a receiver of sealed parts",
		Long: `Keygen makes a pair of keys (MLKEM768-X25519): NAME.pub, which senders seal with, and
NAME.key, which opens and is not encrypted: its file is for the receiver alone. It
prints the id of the key, by which a route names it in events.sealed.recipients.`,
		Example: `  apex message keygen --out clinic
  apex message seal event.json --to clinic.pub --at /patient`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&out, "out", "", "name of the files: NAME.key and NAME.pub")
	output := outputFlag(c, "text", "json")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if out == "" {
			return usage("say where the keys go: --out NAME, for NAME.key and NAME.pub")
		}
		id, err := app.MakeSealKeys(out)
		if err != nil {
			return err
		}
		if *output == "json" {
			return printJSON(cmd.OutOrStdout(), map[string]string{"id": id, "public": out + ".pub", "private": out + ".key"})
		}
		fmt.Fprintln(cmd.OutOrStdout(), id)
		return nil
	}
	return c
}

func newMessageSealCommand() *cobra.Command {
	var to, at []string
	var life time.Duration
	c := &cobra.Command{
		Use:   "seal [FILE] --to KEY",
		Short: "Seal an event's data, or parts of it, for its receiver",
		Long: `Seal replaces values of an event's data by envelopes that only the receivers open: each
becomes a string, the envelope in base64. --at says which, by JSON pointers, in which * is
every element of a list and ** every member of an object; without it the data is sealed
as a whole, as application/vnd.apex.sealed. An envelope belongs to its place and to the
source, id, type and subject of its event; moved elsewhere it cannot be opened. Gateways
inspect what is not sealed. Seal first, and sign then.`,
		Example: `  apex message seal event.json --to clinic.pub --at /patient --at '/pictures/*/owner' |
    apex message sign --socket /run/apex/agent.sock
  apex message seal event.json --to clinic.pub --expires 24h`,
		Args: oneEvent,
	}
	c.Flags().StringArrayVar(&to, "to", nil, "file with the public key of a receiver; may be said again")
	c.Flags().StringArrayVar(&at, "at", nil, "place to seal; may be said again (default: the whole data)")
	c.Flags().DurationVar(&life, "expires", 0, "how long it may be opened (default: for ever)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(to) == 0:
			return usage("say who shall open it: --to clinic.pub; apex message keygen makes a pair of keys")
		case life < 0:
			return usage("--expires is a time above zero, for example 24h")
		}
		event, err := readEvent(cmd, args)
		if err != nil {
			return err
		}
		sealed, err := app.SealMessage(event, to, at, life, clock.System{})
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(append(sealed, '\n'))
		return err
	}
	return c
}

func newMessageOpenCommand() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use:   "open [FILE] --key KEY",
		Short: "Open what of an event is sealed for a key",
		Long: `Open puts the values back that were sealed for the key, and says on standard error
where they stood. Envelopes for others stay. One that was changed, belongs to another
event or place, or has expired ends it with 3. Everybody can seal who has the public
key: who sent the event is what its signature says.`,
		Example: `  apex message open event.json --key clinic.key`,
		Args:    oneEvent,
	}
	c.Flags().StringVar(&key, "key", "", "file with the private key")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if key == "" {
			return usage("say by which key: --key clinic.key")
		}
		event, err := readEvent(cmd, args)
		if err != nil {
			return err
		}
		open, places, err := app.OpenMessage(event, key, clock.System{})
		if err != nil {
			return err
		}
		for i, p := range places {
			if p == "" {
				places[i] = "the whole data"
			}
		}
		_, said := fmt.Fprintf(cmd.ErrOrStderr(), "opened %s\n", strings.Join(places, ", "))
		_, err = cmd.OutOrStdout().Write(append(open, '\n'))
		return errors.Join(err, said)
	}
	return c
}
