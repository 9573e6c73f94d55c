package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/bounded"
)

func newMessageCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "message",
		Short: "Sign, verify, seal and open CloudEvents",
		Long: `Message works on CloudEvents in structured mode: one JSON object in a file or on
standard input. What it writes is one line, for a broker or for curl. Routes with
api: Events take events that are signed so.`,
		Example: `  apex message sign event.json --socket /run/apex/agent.sock |
    curl --data-binary @- -H 'Content-Type: application/cloudevents+json' https://gateway.example/photos
  apex message verify signed.json --trust-bundles bundles
  apex message seal event.json --to clinic.pub --at /patient | apex message sign --socket /run/apex/agent.sock
  apex message open received.json --key clinic.key`,
	}
	c.AddCommand(newMessageSignCommand(), newMessageVerifyCommand(), newMessageKeygenCommand(), newMessageSealCommand(), newMessageOpenCommand())
	return c
}

// readEvent reads the event that the arguments name: a file, or standard input.
func readEvent(cmd *cobra.Command, args []string) ([]byte, error) {
	if len(args) == 0 || args[0] == "-" {
		return bounded.ReadAll(cmd.InOrStdin(), app.MaxEvent)
	}
	return bounded.ReadFile(args[0], app.MaxEvent)
}

// oneEvent takes a file, or nothing for standard input.
func oneEvent(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return errors.New("one event at a time: name one file, or none for standard input")
	}
	return nil
}
