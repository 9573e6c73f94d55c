package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/app/controller"
	"github.com/apexlogic/apex/internal/kube"
)

func newApproveCommand() *cobra.Command {
	var a controller.Approval
	var action, key, kubeconfig string
	var life time.Duration
	var printOnly bool
	c := &cobra.Command{
		Use:   "approve --namespace N --violation ID --action A --key KEY",
		Short: "Agree that Apex acts about something that runs and no longer complies",
		Long: `Approve signs that one action may be taken about one violation, and puts the
signature into the namespace, where the controller looks for it. It is needed where
a policy's onViolation says approval: Required; the event ApprovalNeeded of the
object names the violation.

The key is one that a TrustRoot holds for the use Actions, under the name --as. The
approval counts for that violation alone, and until it expires.`,
		Example: `  kubectl get events --field-selector reason=ApprovalNeeded -A
  apex approve --namespace vision --violation 0123456789abcdef --action ScaleToZero \
      --as operations --reason "INC-1234: the key was stolen" --key operations.key`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&a.Namespace, "namespace", "", "namespace of what violates")
	c.Flags().StringVar(&a.Violation, "violation", "", "id of the violation, as the event names it")
	c.Flags().StringVar(&action, "action", "", "action that is approved: Isolate, ScaleToZero or RollBack")
	c.Flags().StringVar(&a.Reason, "reason", "", "why, for people and auditors")
	c.Flags().StringVar(&a.Approver, "as", "", "name of the TrustRoot entry whose key signs")
	c.Flags().StringVar(&key, "key", "", "private key file")
	c.Flags().DurationVar(&life, "expires", time.Hour, "how long the approval counts, at most "+controller.MaxApprovalLife.String())
	c.Flags().BoolVar(&printOnly, "print", false, "print the namespace's annotation instead of writing it")
	c.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file (default: as kubectl finds it)")
	c.MarkFlagsMutuallyExclusive("print", "kubeconfig")
	_ = c.RegisterFlagCompletionFunc("action", cobra.FixedCompletions([]string{ // fails for an unknown flag only
		string(v1alpha1.ActionIsolate), string(v1alpha1.ActionScaleToZero), string(v1alpha1.ActionRollBack),
	}, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, f := range []struct{ name, value string }{
			{"namespace", a.Namespace}, {"violation", a.Violation}, {"action", action}, {"reason", a.Reason}, {"as", a.Approver}, {"key", key},
		} {
			if f.value == "" {
				return usage("--%s is missing", f.name)
			}
		}
		signer, err := app.LoadKey(key, password(cmd, key))
		if err != nil {
			return err
		}
		a.Action, a.At = v1alpha1.ViolationAction(action), time.Now().UTC().Truncate(time.Second)
		a.Expires = a.At.Add(life)
		name, value, err := a.Sign(signer)
		if err != nil {
			return usage("%w", err)
		}
		if printOnly {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", name, value)
			return err
		}
		client, err := kube.Open(kube.Config{Kubeconfig: kubeconfig, UserAgent: "apex/" + version})
		if err != nil {
			return err
		}
		if err := controller.Approve(cmd.Context(), client, a, signer); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s of %s in %s is approved until %s\n", a.Action, a.Violation, a.Namespace, a.Expires.Format(time.RFC3339))
		return err
	}
	return c
}
