package main

import (
	"github.com/spf13/cobra"
)

func newGitopsApplyCommand() *cobra.Command {
	var flags sourceFlags
	return flags.command(&cobra.Command{
		Use:   "apply [SOURCE]",
		Short: "Apply the newest commit, if it may be",
		Long: `Apply verifies, renders and judges the newest commit of the source's branch and
applies it: all of it, or nothing. It can be stopped at any moment; the next apply goes
on from there. Applying again changes nothing.

The exit code is 1 when the commit may not be applied.`,
		Example: `  apex gitops apply
  apex gitops apply captioner --config gitops/ --target dir:/srv/deployed`,
	}, "applying the newest commit", func(s *session) error {
		if err := s.Resume(s.ctx); err != nil {
			return s.refused(err)
		}
		if err := s.Pass(s.ctx); err != nil {
			return s.refused(err)
		}
		// What is healthy now is a revision to go back to.
		if _, err := s.CheckHealth(s.ctx); err != nil {
			return err
		}
		return s.status()
	})
}
