package main

import (
	"github.com/spf13/cobra"
)

func newGitopsDiffCommand() *cobra.Command {
	var flags sourceFlags
	return flags.command(&cobra.Command{
		Use:   "diff [SOURCE]",
		Short: "How does the target differ from what is applied?",
		Long: `Diff compares the target with the revision that is applied. It looks at the target
only: neither the repository nor a registry is asked.

The exit code is 1 when there is a difference.`,
		Example: "  apex gitops diff\n  apex gitops diff captioner -o json",
	}, "comparing the target", func(s *session) error {
		plan, err := s.Diff(s.ctx)
		if err != nil {
			return err
		}
		if err := s.plan(plan, nil); err != nil {
			return err
		}
		if !plan.Empty() {
			return &exit{code: exitDeny}
		}
		return nil
	})
}
