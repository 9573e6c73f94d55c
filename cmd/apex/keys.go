package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/trust"
)

func newKeysCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Make and look at signing keys",
		Long: `Keys makes key pairs that cosign reads too, and prints what a TrustRoot needs to
know of them.

An encrypted private key's password is taken from APEX_PASSWORD, else from
COSIGN_PASSWORD, else it is asked for at the terminal.`,
		Example: `  apex keys generate --output-key-prefix release
  apex keys trust release-key=release.pub --owner release@example.com > trust/release.yaml`,
	}
	c.AddCommand(newKeysGenerateCommand(), newKeysShowCommand(), newKeysTrustCommand())
	return c
}

func newKeysGenerateCommand() *cobra.Command {
	var prefix string
	var force bool
	c := &cobra.Command{
		Use:   "generate",
		Short: "Make a key pair: PREFIX.key, encrypted, and PREFIX.pub",
		Long: `Generate makes an ECDSA P-256 key pair in cosign's format. The private key is
encrypted with the password and readable by its owner only. Files that are
there are left alone unless --force is given.`,
		Example: `  apex keys generate                              # cosign.key and cosign.pub
  APEX_PASSWORD=… apex keys generate --output-key-prefix ci`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&prefix, "output-key-prefix", "cosign", "path of the two files, without .key and .pub")
	c.Flags().BoolVar(&force, "force", false, "replace a key pair that is there; what it signed can then not be signed again")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		private, public := prefix+".key", prefix+".pub"
		if !force {
			// Before the password is asked for; the files are made exclusively all the same.
			for _, name := range []string{private, public} {
				if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("%s is there already; choose another --output-key-prefix, or replace it with --force", name)
				}
			}
		}
		password, err := askPassword(cmd, "Password for the new key", true)
		if err != nil {
			return err
		}
		key, pub, err := trust.GenerateKeyPair(password)
		clear(password)
		if err != nil {
			return err
		}
		if err := writeKey(public, pub, 0o644, force); err != nil {
			return err
		}
		if err := writeKey(private, key, 0o600, force); err != nil {
			if !force { // a public key without its private one helps nobody
				err = errors.Join(err, os.Remove(public))
			}
			return err
		}
		k, err := app.LoadPublicKey(public, noPassword)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "private key  %s\npublic key   %s\nkey id       %s\n", private, public, k.ID)
		return err
	}
	return c
}

// writeKey makes the file, or replaces it in one step with force.
func writeKey(name string, data []byte, mode fs.FileMode, force bool) (err error) {
	path := name
	if force {
		path += ".new"
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	if force {
		return os.Rename(path, name)
	}
	return nil
}

func newKeysShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show KEY.pub | KEY.key",
		Short: "Print a key's id, its algorithm and its entry for a TrustRoot",
		Example: `  apex keys show release.pub
  apex keys show release.key -o json   # the public half; asks for the password`,
		Args: cobra.ExactArgs(1),
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		k, err := app.LoadPublicKey(args[0], password(cmd, args[0]))
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		document := struct {
			Schema string `json:"schema"`
			app.PublicKey
		}{"apex.key/v1", k}
		switch *output {
		case "json":
			return printJSON(w, document)
		case "yaml":
			return printYAML(w, document)
		}
		fmt.Fprintf(w, "key id     %s\nalgorithm  %s\n\nentry of a TrustRoot (apex keys trust prints a whole one):\n\n", k.ID, k.Algorithm)
		return printYAML(w, []v1alpha1.TrustEntry{{Name: keyName(args[0]), Key: &v1alpha1.KeyEntry{PEM: k.PEM}}})
	}
	return c
}

func newKeysTrustCommand() *cobra.Command {
	var name, owner string
	var uses []string
	c := &cobra.Command{
		Use:   "trust [NAME=]KEY.pub...",
		Short: "Print a TrustRoot that trusts these keys",
		Long: `Trust prints a TrustRoot with one entry per key. Policies refer to an entry by
its name, which is the file's name when none is given.

Commit what it prints; a workspace reads it from its folder trust.`,
		Example: `  apex keys trust release-key-v1=release.pub > trust/release.yaml
  apex keys trust approver.pub --owner security@example.com --use Exceptions,Revocations`,
		Args: cobra.MinimumNArgs(1),
	}
	c.Flags().StringVar(&name, "name", "trusted-keys", "name of the TrustRoot")
	c.Flags().StringVar(&owner, "owner", "", "person or team who holds the keys; needed for the use Exceptions")
	c.Flags().StringSliceVar(&uses, "use", nil, "what the keys are believed for: Images (the default), Models, Exceptions, Revocations, Sources, VEX")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		root := &v1alpha1.TrustRoot{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TrustRoot"},
			ObjectMeta: metav1.ObjectMeta{Name: name},
		}
		for _, arg := range args {
			entry, file, ok := strings.Cut(arg, "=")
			if !ok {
				entry, file = keyName(arg), arg
			}
			k, err := app.LoadPublicKey(file, password(cmd, file))
			if err != nil {
				return err
			}
			e := v1alpha1.TrustEntry{Name: entry, Owner: owner, Key: &v1alpha1.KeyEntry{PEM: k.PEM}}
			for _, u := range uses {
				e.Uses = append(e.Uses, v1alpha1.TrustUse(u))
			}
			root.Spec.Entries = append(root.Spec.Entries, e)
		}
		text, err := app.DocumentYAML(cmd.Context(), root)
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(text)
		return err
	}
	return c
}

// keyName is the name of an entry for a key that has no other name.
func keyName(file string) string {
	base := filepath.Base(file)
	return strings.TrimSuffix(strings.TrimSuffix(base, ".pub"), ".key")
}

// noPassword is for keys that are not encrypted.
func noPassword() ([]byte, error) { return nil, trust.ErrPasswordNeeded }

// password returns where the password of a key file comes from.
func password(cmd *cobra.Command, file string) func() ([]byte, error) {
	return func() ([]byte, error) { return askPassword(cmd, "Password for "+file, false) }
}

// askPassword takes the password from the environment, else from the terminal
// without echo; twice when it is a new one.
func askPassword(cmd *cobra.Command, prompt string, twice bool) ([]byte, error) {
	for _, name := range []string{"APEX_PASSWORD", "COSIGN_PASSWORD"} {
		if p, ok := os.LookupEnv(name); ok {
			return []byte(p), nil
		}
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, errors.New("a password is needed, and there is no terminal to ask at; set APEX_PASSWORD")
	}
	p, err := readSilently(cmd.Context(), in, cmd.ErrOrStderr(), prompt)
	if err != nil || !twice {
		return p, err
	}
	again, err := readSilently(cmd.Context(), in, cmd.ErrOrStderr(), prompt+", again")
	if err != nil {
		return nil, err
	}
	if string(p) != string(again) {
		return nil, usage("the two passwords are not the same; nothing was written")
	}
	clear(again)
	return p, nil
}

// readSilently reads a line without echo. An interrupt ends the waiting and
// gives the terminal its echo back.
func readSilently(ctx context.Context, in *os.File, out io.Writer, prompt string) ([]byte, error) {
	before, err := term.GetState(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "%s: ", prompt)
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(int(in.Fd()))
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		fmt.Fprintln(out)
		return l.text, l.err
	case <-ctx.Done(): // the reader ends with the process
		fmt.Fprintln(out)
		return nil, errors.Join(ctx.Err(), term.Restore(int(in.Fd()), before))
	}
}
