package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/verdict"
)

// clientFlags are the flags of commands that talk to a registry and judge nothing.
type clientFlags struct {
	allowPrivate []string
	plainHTTP    []string
}

func (f *clientFlags) add(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.allowPrivate, "allow-private-registry", nil, "registry host, host:port or CIDR that may be called although its address is private")
	c.Flags().StringSliceVar(&f.plainHTTP, "plain-http", nil, "registry host:port that is called without TLS")
}

// open returns a client that also reaches the registry of the workspace.
func (f *clientFlags) open() (*oci.Client, error) {
	o := oci.Options{AllowPrivate: f.allowPrivate, PlainHTTP: f.plainHTTP, Keychain: oci.DockerKeychain()}
	if w, inside := app.FindWorkspace("."); inside {
		o.Keychain = w.Keychain(o.Keychain)
		if host := w.RegistryHost(); host != "" {
			o.AllowPrivate = append(o.AllowPrivate, host)
			o.PlainHTTP = append(o.PlainHTTP, host)
		}
	}
	return oci.New(o)
}

// signatureFormat adds --format with the formats that Apex makes.
func signatureFormat(c *cobra.Command) *format {
	f := &format{value: string(fact.FormatBundle), known: []string{string(fact.FormatBundle), string(fact.FormatLegacy)}}
	c.Flags().Var(f, "format", "bundle: a sigstore bundle as referrer; legacy: cosign's older tags")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(f.known, cobra.ShellCompDirectiveNoFileComp)) // fails for an unknown flag only
	return f
}

func newSignCommand() *cobra.Command {
	var flags clientFlags
	var key, bundleFile string
	var annotations []string
	var every, dryRun bool
	c := &cobra.Command{
		Use:   "sign --key KEY IMAGE... | FILE...",
		Short: "Sign images, or files",
		Long: `Sign signs the digest that each image names, attaches the signature in the
registry, and prints the digest. A tag is resolved once, and all images are
resolved before the first one is signed.

What the key has signed already is not added again. The signature names the
repository, so that a copy of it elsewhere is told apart. cosign verifies what apex signs, and apex what cosign signs.

Of a file, the bytes are signed, and the bundle is written beside it
(FILE.sigstore.json): a FunctionSecurityPolicy may ask that every file which
declares a function is signed. An argument that is a file is taken for one.`,
		Example: `  apex sign --key release.key registry.example.com/vision/captioner@sha256:4f5e…
  apex sign --key release.key -r -a build=1234 registry.example.com/vision/captioner:1.0
  apex sign --key platform.key template.yaml`,
		Args: cobra.MinimumNArgs(1),
	}
	flags.add(c)
	output := outputFlag(c, "table", "json", "yaml")
	packing := signatureFormat(c)
	c.Flags().StringVar(&key, "key", "", "private key file")
	c.Flags().StringArrayVarP(&annotations, "annotation", "a", nil, "key=value that is signed too; may be repeated")
	c.Flags().BoolVarP(&every, "all-platforms", "r", false, "sign the images of an index beside the index")
	c.Flags().StringVar(&bundleFile, "output-bundle", "", "write the bundle to this file, too")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show which digests would be signed, and sign nothing")
	c.MarkFlagsMutuallyExclusive("dry-run", "output-bundle")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		o := app.SignOptions{Format: fact.Format(packing.value), AllPlatforms: every, DryRun: dryRun}
		if o.Annotations, err = parseAnnotations(annotations); err != nil {
			return err
		}
		switch {
		case key == "":
			return usage("--key is missing: name the private key file that signs")
		case bundleFile != "" && o.Format != fact.FormatBundle:
			return usage("--output-bundle needs --format bundle")
		case bundleFile != "" && (len(args) > 1 || every):
			return usage("--output-bundle holds one signature; sign one image without --all-platforms")
		}
		if o.Key, err = app.LoadKey(key, password(cmd, key)); err != nil {
			return err
		}
		if files, images := filesAmong(args); len(files) > 0 {
			if len(images) > 0 || every || bundleFile != "" || len(annotations) > 0 {
				return usage("%s is a file: sign files apart from images, without flags that are about images", files[0])
			}
			return signFiles(cmd, *output, files, o.Key, dryRun)
		}
		client, err := flags.open()
		if err != nil {
			return err
		}
		defer client.Close()
		signed, err := app.SignImages(cmd.Context(), client, args, o)
		verb := "signed"
		if dryRun {
			verb = "would sign"
		}
		if err == nil || len(signed) > 0 { // what was signed before a failure is signed
			err = errors.Join(err, printSigned(cmd, *output, verb, signed))
		}
		if err != nil {
			return err
		}
		return writeBundle(bundleFile, signed)
	}
	return c
}

// parseAnnotations reads k=v pairs. A key that is there twice would say two things.
func parseAnnotations(pairs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range pairs {
		k, v, ok := strings.Cut(p, "=")
		if !ok || k == "" {
			return nil, usage("--annotation %q is not key=value", p)
		}
		if _, twice := out[k]; twice {
			return nil, usage("--annotation %s is there twice", k)
		}
		out[k] = v
	}
	return out, nil
}

func printSigned(cmd *cobra.Command, format, verb string, signed []app.Signed) error {
	w := cmd.OutOrStdout()
	document := struct {
		Schema string       `json:"schema"`
		Signed []app.Signed `json:"signed"`
	}{"apex.signed/v1", signed}
	switch format {
	case "json":
		return printJSON(w, document)
	case "yaml":
		return printYAML(w, document)
	}
	for _, s := range signed {
		about := s.Platform
		if s.PredicateType != "" {
			about = s.PredicateType
		}
		if about != "" {
			about = " (" + about + ")"
		}
		did := verb
		if s.Already {
			did = "was " + verb + " already:"
		}
		if _, err := fmt.Fprintf(w, "%s %s@%s%s\n", did, s.Repository, s.Digest, about); err != nil {
			return err
		}
		if err := printSuperseded(w, "report", s.Repository, s.Superseded); err != nil {
			return err
		}
	}
	return nil
}

// printSuperseded names artifacts that are attached still and no longer count.
func printSuperseded(w io.Writer, what, repo string, old []verdict.Digest) error {
	for _, d := range old {
		if _, err := fmt.Fprintf(w, "an older %s of the same scanner is attached still, and may be deleted: %s@%s\n", what, repo, d); err != nil {
			return err
		}
	}
	return nil
}

func writeBundle(file string, signed []app.Signed) error {
	if file == "" {
		return nil
	}
	if len(signed) != 1 {
		return fmt.Errorf("no bundle for %s: %d digests were signed", file, len(signed))
	}
	return os.WriteFile(file, signed[0].Bundle, fs.FileMode(0o644))
}
