package main

import (
	"crypto"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
)

// filesAmong returns the arguments that are regular files, and the others.
func filesAmong(args []string) (files, images []string) {
	for _, a := range args {
		if info, err := os.Stat(a); err == nil && info.Mode().IsRegular() {
			files = append(files, a)
		} else {
			images = append(images, a)
		}
	}
	return files, images
}

// signFiles signs files and prints what was written.
func signFiles(cmd *cobra.Command, format string, files []string, key crypto.Signer, dryRun bool) error {
	signed, err := app.SignFiles(slices.Clone(files), key, dryRun)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	document := struct {
		Schema string           `json:"schema"`
		Files  []app.SignedFile `json:"files"`
	}{"apex.signed-files/v1", signed}
	switch format {
	case "json":
		return printJSON(w, document)
	case "yaml":
		return printYAML(w, document)
	}
	for _, s := range signed {
		verb := "signed"
		switch {
		case s.Kept:
			verb = "signed already"
		case dryRun:
			verb = "would sign"
		}
		fmt.Fprintf(w, "%s %s %s: %s\n", verb, s.Path, s.Digest, s.Bundle)
	}
	return nil
}
