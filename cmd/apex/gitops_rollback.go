package main

import (
	"crypto"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
)

// operatorFlags are the flags of what somebody signs for: why, and with which key.
type operatorFlags struct {
	reason, key string
	signer      crypto.Signer // once load was called
}

func (f *operatorFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.reason, "reason", "", "why, for people and auditors")
	c.Flags().StringVar(&f.key, "key", "", "private key file that signs the record (default: the workspace's)")
}

// load reads the key. Missing is what is said where there is none by default.
func (f *operatorFlags) load(cmd *cobra.Command, missing string) (err error) {
	if f.reason == "" {
		return usage("--reason is missing: say why, for those who ask later")
	}
	if f.key == "" {
		w, inside := app.FindWorkspace(".")
		if !inside {
			return usage("%s", missing)
		}
		if f.key, err = w.ApproverKey(); err != nil {
			return err
		}
	}
	f.signer, err = app.LoadKey(f.key, password(cmd, f.key))
	return err
}

func newGitopsRollbackCommand() *cobra.Command {
	var flags sourceFlags
	var by operatorFlags
	var to string
	c := flags.command(&cobra.Command{
		Use:   "rollback [SOURCE] --reason TEXT",
		Short: "Go back to the last healthy revision",
		Long: `Rollback makes the target hold an earlier revision again, from what is kept beside
it: the repository and the registry need not be there. The key belongs to a TrustRoot
entry with the use Promotions; it signs a record of the rollback, which stays with the
target and in the ledger. Automation stays on: nothing is applied until a commit comes
that descends from the one that was left.`,
		Example: `  apex gitops rollback --reason "it answers nonsense"
  apex gitops rollback captioner --to 4f5e0c… --key operator.key --reason INC-1234`,
	}, "going back", func(s *session) error {
		if _, err := s.Rollback(s.ctx, to, by.reason, by.signer); err != nil {
			return s.refused(err)
		}
		return s.status()
	})
	c.Flags().StringVar(&to, "to", "", "commit to go back to (default: the last one that was healthy)")
	by.add(c)
	c.PreRunE = func(cmd *cobra.Command, _ []string) error {
		return by.load(cmd, "--key is missing: name the private key of a TrustRoot entry with the use Promotions")
	}
	return c
}
