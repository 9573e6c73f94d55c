package main

import (
	"github.com/spf13/cobra"
)

func newGitopsStatusCommand() *cobra.Command {
	var flags sourceFlags
	return flags.command(&cobra.Command{
		Use:     "status [SOURCE]",
		Short:   "What is applied, and what became of the last revisions",
		Example: "  apex gitops status\n  apex gitops status captioner -o json",
	}, "reading what is applied", (*session).status)
}
