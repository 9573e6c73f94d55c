package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/clock"
)

func newMessageVerifyCommand() *cobra.Command {
	o := app.MessageCheck{Clock: clock.System{}}
	c := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Say who sent an event, and what of it they signed",
		Long: `Verify looks at an event as a gateway does, but for repetitions, which only the
gateway knows: who sent it, by the trust bundles of a folder (TRUST-DOMAIN.json or
TRUST-DOMAIN.pem), whether it is as they sent it, and whether it is of now. It names
the attributes that nobody signed; a gateway takes those out. An event that would be
refused ends it with 1, and the code.`,
		Example: `  apex message verify signed.json --trust-bundles bundles
  apex message verify signed.json --trust-bundles bundles --audience photos -o json`,
		Args: oneEvent,
	}
	c.Flags().StringVar(&o.Bundles, "trust-bundles", "", "folder with the bundles of the trust domains that are believed")
	c.Flags().StringSliceVar(&o.Audiences, "audience", nil, "take tokens for this audience, too")
	c.Flags().DurationVar(&o.Window, "window", 5*time.Minute, "how old an event may be")
	output := outputFlag(c, "text", "json")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case o.Bundles == "":
			return usage("say whom to believe: --trust-bundles DIR")
		case o.Window <= 0:
			return usage("--window is a time above zero, for example 5m")
		}
		event, err := readEvent(cmd, args)
		if err != nil {
			return err
		}
		v, err := app.VerifyMessage(cmd.Context(), o, event)
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		if *output == "json" {
			err = printJSON(w, v)
		} else {
			explainMessage(w, v)
		}
		if err == nil && !v.Valid {
			return &exit{code: exitDeny}
		}
		return err
	}
	return c
}

func explainMessage(w io.Writer, v *app.VerifiedMessage) {
	fmt.Fprintf(w, "event       %s of %s, type %s, %d bytes of data\n", v.ID, v.Source, v.Type, v.Bytes)
	if !v.Valid {
		fmt.Fprintf(w, "refused     %s (%s)\nmend        %s\n", v.Detail, v.Code, v.Code.Info().Mend)
		return
	}
	fmt.Fprintf(w, "sent by     %s, %s", v.Principal, v.Method)
	if v.Expires != nil {
		fmt.Fprintf(w, " until %s", v.Expires.Format(time.RFC3339))
	}
	fmt.Fprintf(w, "\nat          %s\nsigned      %s, data\n", v.Time.UTC().Format(time.RFC3339), strings.Join(v.Signed, ", "))
	for _, place := range v.Sealed {
		fmt.Fprintf(w, "sealed      %s\n", cmp.Or(place, "the whole data"))
	}
	if len(v.Unsigned) > 0 {
		fmt.Fprintf(w, "not signed  %s: a gateway takes them out\n", strings.Join(v.Unsigned, ", "))
	}
}
