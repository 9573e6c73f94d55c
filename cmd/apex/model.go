package main

import "github.com/spf13/cobra"

func newModelCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "model",
		Short: "Scan models and prove where they came from",
		Long: `Model looks into model files without loading them: what would run, escape or break
a loader. It says what it could not read, and never calls that clean.`,
		Example: `  apex model scan ./model`,
	}
	c.AddCommand(newModelScanCommand())
	return c
}
