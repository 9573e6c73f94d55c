package main

import (
	"github.com/spf13/cobra"
)

func newGitopsPlanCommand() *cobra.Command {
	flags := sourceFlags{looks: true}
	return flags.command(&cobra.Command{
		Use:   "plan [SOURCE]",
		Short: "What would the newest commit change?",
		Long: `Plan verifies, renders and judges the newest commit of the source's branch and
says what applying it would change, field by field. It writes nothing, and works
beside a process that follows the source.

The exit code is 1 when the commit may not be applied.`,
		Example: `  apex gitops plan
  apex gitops plan captioner --config gitops/ --target dir:/srv/deployed
  apex gitops plan -o json`,
	}, "looking at the newest commit", func(s *session) error {
		return s.plan(s.Plan(s.ctx))
	})
}
