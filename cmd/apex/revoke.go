package main

import (
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/config"
)

func newRevokeCommand() *cobra.Command {
	var reason, since, key, name, file string
	c := &cobra.Command{
		Use:   "revoke DIGEST | KEY.pub | KEYID | ENTRY | SPIFFE-ID | ISSUER,SUBJECT --reason TEXT",
		Short: "Stop an image, a key or an identity everywhere",
		Long: `Revoke signs a Revocation and commits it to the workspace; a running apex up has
it in force within a second. Outside of a workspace, --output writes it to a file.

ENTRY is the name of a TrustRoot entry. Outside of a workspace, where no trust
root tells a key's id from an image's digest, write key:sha256:… for a key.

A digest stops that image or model, whatever policies and exceptions say. A key or
an identity stops all that it signed; with --since, what a log or a timestamp
authority dates before then still counts. A signature that nobody dates does not.

A gateway refuses whose identity or key it is, within a second, and cuts what runs.
A subject * is everybody of an issuer, or of a trust domain: spiffe://DOMAIN,*

To take a revocation back, delete its file in a commit of your own.`,
		Example: `  apex revoke sha256:4f5e… --reason "leaks credentials, INC-1234"
  apex revoke release.pub --since 2026-11-20T00:00:00Z --reason "laptop stolen"
  apex revoke spiffe://claims.example/intake --reason "taken over, INC-1235"
  apex revoke https://accounts.example.com,ci@example.com --reason "pipeline taken over"`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for people and auditors")
	c.Flags().StringVar(&since, "since", "", "for keys and identities: when they stopped being trustworthy (RFC 3339)")
	c.Flags().StringVar(&key, "key", "", "private key file that signs the revocation (default: the workspace's approver key)")
	c.Flags().StringVar(&name, "name", "", "name of the Revocation (default: made of the target)")
	c.Flags().StringVar(&file, "output", "", "write the document to this file, and commit nothing")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		r := app.RevocationRequest{Reason: reason, Name: name}
		if reason == "" {
			return usage("--reason is missing: say why, for those who find their workload stopped")
		}
		if since != "" {
			t, err := time.Parse(time.RFC3339, since)
			if err != nil {
				return usage("--since %q is not a time like 2026-11-20T00:00:00Z", since)
			}
			if t.After(time.Now()) {
				return usage("--since %s is in the future, and until then the revocation would stop nothing", since)
			}
			r.Since = t
		}
		w, inside := app.FindWorkspace(".")
		if !inside && file == "" {
			return usage("there is no workspace here to commit to; write the document with --output FILE, and commit it where your policies are")
		}
		if key == "" {
			if !inside {
				return usage("--key is missing: name the private key of a TrustRoot entry with the use Revocations")
			}
			var err error
			if key, err = w.ApproverKey(); err != nil {
				return err
			}
		}
		var known *config.Set
		if inside {
			var err error
			if known, _, err = w.Load(ctx); err != nil {
				return err
			}
		}
		var err error
		if r.Target, err = app.ParseRevocationTarget(args[0], known, password(cmd, args[0])); err != nil {
			return usage("%w", err)
		}
		if r.Target.Digest != "" && since != "" {
			return usage("--since is for keys and identities; a digest is stopped whatever the time")
		}
		signer, err := app.LoadKey(key, password(cmd, key))
		if err != nil {
			return err
		}
		doc, err := app.NewRevocation(signer, r)
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if file != "" {
			text, err := app.DocumentYAML(ctx, doc)
			if err != nil {
				return err
			}
			if err := writeNew(file, text); err != nil {
				return err
			}
			_, err = fmt.Fprintf(out, "wrote %s, which stops %s once it is committed\n", file, r.Target)
			return err
		}
		done, err := w.Revoke(ctx, doc, time.Now())
		if err != nil {
			return err
		}
		if done.Already != "" {
			_, err := fmt.Fprintf(out, "the Revocation %s stops %s already\n", done.Already, r.Target)
			return err
		}
		if done.Unvouched != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "apex: warning: %s\n", done.Unvouched)
			if since != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), "apex: warning: --since does not hold then: nothing that the target signed counts")
			}
		}
		_, err = fmt.Fprintf(out, "stopped %s\ncommit %.12s, %s\n", r.Target, done.Commit, done.File)
		return err
	}
	return c
}

// writeNew writes a document to a file that is not there yet.
func writeNew(name string, text []byte) error {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s is there already; choose another file", name)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(0o644))
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
