package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/clock"
)

func newMessageSignCommand() *cobra.Command {
	s := app.MessageSigner{Clock: clock.System{}}
	var socket string
	c := &cobra.Command{
		Use:   "sign [FILE]",
		Short: "Sign an event with the key of a certificate, or bind a token to it",
		Long: `Sign signs every attribute of an event, and its data, with the key of an X.509-SVID:
one that the Workload API gives (--socket, or SPIFFE_ENDPOINT_SOCKET), or one in files.
With --audience it asks for a JWT-SVID instead, which stands for this event and no other.

The time is set where the event has none. Data that is JSON is written in one line
before it is signed. Sign right before you send: a route takes events of the last five
minutes by default, and each once.`,
		Example: `  apex message sign event.json --socket /run/apex/agent.sock > signed.json
  apex message sign event.json --cert svid.pem --key svid.key |
    kcat -P -b kafka.bus.svc:9093 -t photos -H content-type=application/cloudevents+json
  apex message sign event.json --socket /run/apex/agent.sock --audience photos`,
		Args: oneEvent,
	}
	c.Flags().StringVar(&socket, "socket", "", "path of a Workload API's socket")
	c.Flags().StringVar(&s.ID, "id", "", "SPIFFE ID to sign as, where the workload may have several")
	c.Flags().StringVar(&s.Audience, "audience", "", "bind a token for this audience, instead of a signature")
	c.Flags().StringVar(&s.Certificate, "cert", "", "file with an X.509-SVID and what is between it and its authority, PEM")
	c.Flags().StringVar(&s.Key, "key", "", "file with its key, PEM")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		files := s.Certificate != "" || s.Key != ""
		if socket == "" && !files {
			socket = strings.TrimPrefix(os.Getenv("SPIFFE_ENDPOINT_SOCKET"), "unix://")
		}
		switch {
		case files && (s.Certificate == "" || s.Key == ""):
			return usage("a certificate and its key belong together: --cert svid.pem --key svid.key")
		case files == (socket != ""):
			return usage("say who signs: --socket PATH, or --cert FILE --key FILE")
		case files && (s.Audience != "" || s.ID != ""):
			return usage("--audience and --id are for what a Workload API gives: --socket PATH")
		case socket != "":
			if s.Source, err = app.FromSocket(socket); err != nil {
				return err
			}
		}
		event, err := readEvent(cmd, args)
		if err != nil {
			return err
		}
		signed, err := s.Sign(cmd.Context(), event)
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(append(signed, '\n'))
		return err
	}
	return c
}
