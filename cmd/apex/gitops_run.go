package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/footprint"
	"github.com/apexlogic/apex/internal/gitops/source"
)

func newGitopsRunCommand() *cobra.Command {
	var flags sourceFlags
	c := &cobra.Command{
		Use:   "run [SOURCE]",
		Short: "Follow the branch and heal the target until stopped",
		Long: `Run looks at the branch at the source's interval and at once when it is sent the
signal HUP, applies what may be applied, and puts back what is changed in the target as
it happens. Each line says what was decided or healed.`,
		Example: `  apex gitops run
  apex gitops run captioner --config gitops/ --target dir:/srv/deployed`,
	}
	flags.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		lines := make(chan string, 64)
		say := func(line string) {
			select {
			case lines <- line:
			default: // the terminal is slower than an attacker; the ledger has all of it
			}
		}
		s, err := flags.open(cmd, args, func(o *app.SourceOptions) {
			o.Changed = func(st source.Status) { say(statusLine(&st)) }
			o.Drift = func(d source.Drift) { say(driftLine(&d)) }
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close(cmd.Context())) }()
		hup := make(chan os.Signal, 1)
		signal.Notify(hup, syscall.SIGHUP)
		defer signal.Stop(hup)
		done := make(chan error, len(s.all))
		go footprint.Keep(ctx)
		within, end := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer end()
		for _, one := range s.all {
			running.Go(func() { done <- one.Run(within) })
		}
		for {
			select {
			case line := <-lines:
				fmt.Fprintln(cmd.OutOrStdout(), line)
			case <-hup:
				for _, one := range s.all {
					one.Notify()
				}
			case err := <-done:
				if ctx.Err() != nil {
					return nil // stopped, as asked
				}
				return err
			}
		}
	}
	return c
}
