package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/report"
)

func newModelPullCommand() *cobra.Command {
	var flags engineFlags
	var labels []string
	c := &cobra.Command{
		Use:   "pull oci://MODEL DIR",
		Short: "Fetch a model that the policies allow",
		Long: `Pull judges the model by the policies in force and, when they allow it, fetches
its files into DIR, which must not exist. Nothing is to be seen in DIR before
every file has the digest that was judged. An interrupted pull goes on where it
was. The exit code is 1, and DIR is not made, when the policies deny.`,
		Example: `  apex model pull oci://registry.example.com/vision/captioner-model:1.0 ./served -l app=multimodal-inference`,
		Args:    cobra.ExactArgs(2),
	}
	flags.add(c)
	c.Flags().StringSliceVarP(&labels, "label", "l", nil, "label of the workload that serves it, k=v")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		given, err := parseLabels(labels)
		if err != nil {
			return err
		}
		e, err := flags.open(cmd)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, e.Close(context.WithoutCancel(cmd.Context()))) }()
		bar := newByteBar(cmd.ErrOrStderr(), "pulling", 0)
		r, err := e.PullModel(cmd.Context(), args[0], args[1], app.PullOptions{Labels: given, Progress: bar.add})
		bar.end()
		if err != nil {
			return err
		}
		if err := writeReport(cmd, "table", &r, false); err != nil {
			return err
		}
		if code := report.ExitCode(&r); code != exitAllow {
			return &exit{code: code}
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "the model is in %s\n", args[1])
		return err
	}
	return c
}
