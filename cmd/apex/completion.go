package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
)

func newCompletionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print the script that completes commands in a shell",
		Long: `Completion prints a script for the shell. With it the tab key completes commands,
flags and formats, and also what is there: subjects for why, ids for ledger.`,
		Example: `  source <(apex completion bash)                       # this shell
  apex completion bash > /etc/bash_completion.d/apex   # every shell
  apex completion zsh > "${fpath[1]}/_apex"
  apex completion fish > ~/.config/fish/completions/apex.fish
  apex completion powershell | Out-String | Invoke-Expression`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		root, w := cmd.Root(), cmd.OutOrStdout()
		switch args[0] {
		case "bash":
			return root.GenBashCompletionV2(w, true)
		case "zsh":
			return root.GenZshCompletion(w)
		case "fish":
			return root.GenFishCompletion(w, true)
		}
		return root.GenPowerShellCompletionWithDesc(w)
	}
	return c
}

// completions bounds what one press of the tab key offers.
const completions = 50

// completeLive lets commands complete what has been recorded. A command that
// completes by itself is left as it is.
func completeLive(root *cobra.Command) {
	for path, complete := range map[string]cobra.CompletionFunc{
		"why": completeSubjects, "ledger show": completeRecords, "ledger prove": completeRecords,
	} {
		if c, _, err := root.Find(strings.Fields(path)); err == nil && c != root && c.ValidArgsFunction == nil {
			c.ValidArgsFunction = complete
		}
	}
}

// completeSubjects offers the references of the newest verdicts.
func completeSubjects(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return completeRecent(cmd, args, func(state string) []string {
		return app.RecentSubjects(cmd.Context(), state, completions)
	})
}

// completeRecords offers the ids of the newest records, with what they are about.
func completeRecords(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return completeRecent(cmd, args, func(state string) []string {
		var out []string
		for _, r := range app.RecentRecords(cmd.Context(), state, "", completions) {
			out = append(out, r.ID+"\t"+r.Summary())
		}
		return out
	})
}

func completeRecent(cmd *cobra.Command, args []string, recent func(state string) []string) ([]string, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	if len(args) > 0 {
		return nil, directive
	}
	workspace, inside := app.FindWorkspace(".")
	state, err := stateDir(cmd, workspace, inside)
	if err != nil {
		return nil, directive
	}
	return recent(state), directive
}
