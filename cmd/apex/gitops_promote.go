package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
)

func newGitopsPromoteCommand() *cobra.Command {
	var flags sourceFlags
	var by operatorFlags
	var as string
	var life time.Duration
	c := flags.command(&cobra.Command{
		Use:   "promote [SOURCE] --stage STAGE --reason TEXT",
		Short: "Let what a stage holds into the next one",
		Long: `Promote signs that what the stage before holds may enter this one. It counts for
that revision and this state of the stage, once, and until it expires. The revision
enters when all gates of the stage are open: enough owners have promoted it, the stage
before is healthy and has been for long enough, the metrics are within their bounds, and
the policies still allow all of it.

The exit code is 1 when the promotion does not count, and 4 when gates are left closed.`,
		Example: `  apex gitops promote captioner --stage prod --as operator --key operator.key --reason "soaked since Monday"`,
	}, "promoting", func(s *session) error {
		d, err := s.Promote(s.ctx, as, by.reason, life, by.signer)
		if err != nil {
			return s.refused(err)
		}
		return writeGates(s.out(), s.format, s.Name(), d)
	})
	c.Flags().StringVar(&as, "as", "", "TrustRoot entry of the key, with the use Promotions (default: the workspace's)")
	c.Flags().DurationVar(&life, "for", 24*time.Hour, "how long the promotion counts")
	by.add(c)
	c.PreRunE = func(cmd *cobra.Command, _ []string) error {
		const missing = "--key and --as are needed: the private key of a TrustRoot entry with the use Promotions, and that entry's name"
		switch {
		case flags.stage == "":
			return usage("--stage is missing: name the stage that it may enter")
		case (by.key == "") != (as == ""):
			return usage(missing)
		case as == "":
			as = app.WorkspaceOperator
		}
		return by.load(cmd, missing)
	}
	return c
}
