package main

import "github.com/spf13/cobra"

func newModelCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "model",
		Short: "Scan, sign and pack models, and prove where they came from",
		Long: `Model looks into model files without loading them: what would run, escape or break
a loader. It signs what a model consists of, packs it as an artifact with its
evidence, and pulls only what the policies allow.`,
		Example: `  apex model scan ./captioner
  apex model sign --key models.key ./captioner
  apex model pack --key models.key ./captioner oci://registry.example.com/vision/captioner-model:1.0
  apex model pull oci://registry.example.com/vision/captioner-model:1.0 ./served`,
	}
	c.AddCommand(newModelScanCommand(), newModelHashCommand(), newModelSignCommand(), newModelVerifyCommand(),
		newModelPackCommand(), newModelPullCommand(), newModelBOMCommand(), newModelProvenanceCommand(), newModelDiffCommand())
	return c
}
