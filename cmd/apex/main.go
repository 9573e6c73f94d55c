// Command apex decides which open-source AI artifacts may be deployed, proves
// every decision, and knows what it cost. "apex up" runs the whole of it; "apex
// help" lists the commands. Each file here is one command: flags in, calls out.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes of every command.
const (
	exitAllow       = 0 // allowed, or nothing found
	exitDeny        = 1 // denied, or something found
	exitUsage       = 2 // the command line is wrong
	exitEnvironment = 3 // a file, a registry or a disk is not as it must be
	exitPartial     = 4 // part of the work could not be done
)

// exit is an error that says with which code to end. A nil cause prints nothing.
type exit struct {
	code  int
	cause error
}

func (e *exit) Error() string {
	if e.cause == nil {
		return ""
	}
	return e.cause.Error()
}

func (e *exit) Unwrap() error { return e.cause }

// usage marks an error of the command line.
func usage(format string, args ...any) error {
	return &exit{exitUsage, fmt.Errorf(format, args...)}
}

// streams are what a command talks to.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, s streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitAllow
	}
	var e *exit
	if !errors.As(err, &e) {
		e = &exit{exitEnvironment, err}
	}
	if e.cause != nil {
		fmt.Fprintln(s.err, "apex:", e.cause)
	}
	return e.code
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "apex",
		Short: "Decide what may be deployed and what may pass, and prove it",
		Long: `Apex decides what may be deployed (images, models, functions) and what may pass
(requests, streams, messages), by policies that are kept in Git. It records every
decision in a ledger that proves it, and knows its cost.

Exit codes: 0 allow, 1 deny or findings, 2 usage, 3 environment, 4 partial.`,
		Example: `  apex up                                   # everything, embedded, with an example workspace
  apex verify deploy.yaml                   # may these images be deployed?
  apex why localhost:5011/vision/captioner  # why was the last answer as it was?`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exit{exitUsage, err} })
	root.PersistentFlags().String("state", "", "directory for ledger and caches (default: the workspace's .apex, else the user's state directory)")
	for _, c := range []func() *cobra.Command{
		newUpCommand, newVerifyCommand, newWhyCommand, newVersionCommand, newPolicyCommand,
		newKeysCommand, newSignCommand, newAttestCommand, newBaseCommand, newVerifyBundleCommand, newRevokeCommand, newExceptionCommand, newApproveCommand,
		newModelCommand, newDataCommand, newSBOMCommand, newScanCommand, newVulnsCommand, newAdvisoriesCommand, newFunctionCommand, newGateCommand, newGitopsCommand, newControllerCommand, newGatewayCommand, newCaptureCommand, newAccessCommand, newIdentityCommand, newMessageCommand, newInstallCommand, newUninstallCommand, newLedgerCommand, newDoctorCommand, newRegistryCommand, newCompletionCommand,
	} {
		root.AddCommand(c())
	}
	completeLive(root)
	root.Args = cobra.ArbitraryArgs // strictArgs says what is wrong with them
	strictArgs(root)
	return root
}

// strictArgs makes wrong arguments and unknown subcommands usage errors.
func strictArgs(c *cobra.Command) {
	if c.HasSubCommands() && c.RunE == nil {
		c.SuggestionsMinimumDistance = 2 // cobra's own default, which it sets elsewhere
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			meant := ""
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				meant = "; did you mean " + strings.Join(near, " or ") + "?"
			}
			return usage("%s has no command %q%s; see %s --help", cmd.CommandPath(), args[0], meant, cmd.CommandPath())
		}
	}
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage("%w\nusage: %s", err, cmd.UseLine())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		strictArgs(sub)
	}
}
