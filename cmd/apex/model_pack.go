package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/model/oms"
	"github.com/apexlogic/apex/internal/oci/reference"
)

func newModelPackCommand() *cobra.Command {
	var flags clientFlags
	var key, provenance, created string
	var d artifact.Description
	var ignore []string
	var force bool
	c := &cobra.Command{
		Use:   "pack PATH oci://REPOSITORY:TAG",
		Short: "Push a model as an artifact, with its signature and its scan",
		Long: `Pack hashes and scans the model in one pass, pushes it in the CNCF ModelPack
format, one layer for each file, and attaches what --key signs: an OpenSSF Model
Signing bundle over the files, a signature over the artifact, and the scan. All
of them are about one digest.

A model in which the scan finds something is not packed (exit code 1). What the
registry has already is not sent again, so an interrupted run is repeated, and
what the key has signed already is not attached again: a scan that says the same
is, after a day. With the same files and --created the artifact has the same
digest.`,
		Example: `  apex model pack --key models.key ./captioner oci://registry.example.com/vision/captioner-model:1.0
  apex model pack --key models.key --license Apache-2.0 --provenance training.json ./captioner oci://registry.example.com/vision/captioner-model:1.0`,
		Args: cobra.ExactArgs(2),
	}
	flags.add(c)
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().StringVar(&key, "key", "", "private key file that signs; without it nothing is signed")
	c.Flags().StringVar(&provenance, "provenance", "", "file with an SLSA v1 predicate to attest (apex model provenance writes one)")
	c.Flags().StringVar(&d.Name, "name", "", "name of the model")
	c.Flags().StringVar(&d.Version, "version", "", "version of the model")
	c.Flags().StringVar(&d.Family, "family", "", "family of the model, for example llama")
	c.Flags().StringSliceVar(&d.Licenses, "license", nil, "SPDX identifier of its licence (default: what the files say)")
	c.Flags().StringVar(&created, "created", "", "time that the artifact states, RFC 3339 (default: none)")
	c.Flags().StringArrayVar(&ignore, "ignore", nil, "path that is not part of the model; may be repeated")
	c.Flags().BoolVar(&force, "force", false, "pack although the scan finds something; the attestation says what")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		ref, err := reference.Parse(strings.TrimPrefix(args[1], "oci://"))
		if err != nil {
			return usage("%w", err)
		}
		if created != "" {
			if d.Created, err = time.Parse(time.RFC3339, created); err != nil {
				return usage("--created: %w", err)
			}
		}
		o := app.PackOptions{Description: d, Ignore: ignore, Force: force}
		if key != "" {
			if o.Key, err = app.LoadKey(key, password(cmd, key)); err != nil {
				return err
			}
		}
		if provenance != "" {
			if o.Provenance, err = bounded.ReadFile(provenance, maxPredicate); err != nil {
				return err
			}
		}
		client, err := flags.open()
		if err != nil {
			return err
		}
		defer client.Close()
		reading := newByteBar(cmd.ErrOrStderr(), "hashing and scanning", 0)
		o.Progress = func(p oms.Progress) { reading.set(p.Bytes, p.TotalBytes) }
		packed, err := app.PackModel(cmd.Context(), client, args[0], ref, o)
		reading.end()
		if blocked, ok := errors.AsType[*app.BlockedError](err); ok {
			return &exit{exitDeny, blocked}
		}
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		switch *output {
		case "json":
			return printJSON(w, packed)
		case "yaml":
			return printYAML(w, packed)
		}
		signed := "not signed (give --key)"
		if packed.Signed {
			signed = "signed"
			if packed.Attached == 0 {
				signed = "signed already"
			}
		}
		if _, err = fmt.Fprintf(w, "packed %d files (%d bytes), %s, %s\n%s\nroot %s\n", packed.Files, packed.Bytes, packed.Scan, signed, packed.Ref, packed.Root); err != nil {
			return err
		}
		return printSuperseded(w, "scan", packed.Ref.Repo, packed.Superseded)
	}
	return c
}
