package main

import (
	"github.com/spf13/cobra"
)

func newGitopsHealCommand() *cobra.Command {
	var flags sourceFlags
	return flags.command(&cobra.Command{
		Use:   "heal [SOURCE]",
		Short: "Put back what differs in the target, once",
		Long: `Heal compares the target with the revision that is applied and puts back what
differs. apex gitops run does so as it happens.`,
		Example: "  apex gitops heal",
	}, "healing the target", func(s *session) error {
		return s.plan(s.Heal(s.ctx))
	})
}
