package repo

import (
	"fmt"
	"path/filepath"
)

// SignWith makes the git command sign what is committed in the work tree, with
// an SSH private key: it writes gpg.format, user.signingkey and commit.gpgsign
// into the repository's own configuration.
func (r *Repo) SignWith(keyFile string) error {
	if !filepath.IsAbs(keyFile) {
		return fmt.Errorf("sign with %s: give the key file's whole path", keyFile)
	}
	store := storage(filepath.Join(r.Dir(), ".git"))
	cfg, err := store.Config()
	if err != nil {
		return fmt.Errorf("read the repository's configuration: %w", err)
	}
	cfg.Raw.SetOption("gpg", "", "format", "ssh")
	cfg.Raw.SetOption("user", "", "signingkey", keyFile)
	cfg.Raw.SetOption("commit", "", "gpgsign", "true")
	if err := store.SetConfig(cfg); err != nil {
		return fmt.Errorf("write the repository's configuration: %w", err)
	}
	return nil
}
