package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/go-git/go-git/v5/config"

	"github.com/apexlogic/apex/internal/bounded"
)

// SignWith makes the git command sign what is committed in the work tree, with
// an SSH private key: it writes gpg.format, user.signingkey and commit.gpgsign
// into the repository's own configuration. It is done as git does it, with the
// configuration's own lock file renamed into place, because others read it
// meanwhile; nothing is written where it says so already.
func (r *Repo) SignWith(ctx context.Context, keyFile string) error {
	if !filepath.IsAbs(keyFile) {
		return fmt.Errorf("sign with %s: give the key file's whole path", keyFile)
	}
	unlock, err := r.lock(ctx, "config.lock")
	if err != nil {
		return err
	}
	was, is, err := r.configured(func(c *config.Config) {
		c.Raw.SetOption("gpg", "", "format", "ssh")
		c.Raw.SetOption("user", "", "signingkey", keyFile)
		c.Raw.SetOption("commit", "", "gpgsign", "true")
	})
	if err == nil && !bytes.Equal(was, is) {
		if err = r.writeSync("config.lock", is); err == nil {
			return r.dot.Rename("config.lock", "config")
		}
	}
	return errors.Join(err, unlock())
}

// configured is the repository's configuration as it is, and after edit.
func (r *Repo) configured(edit func(*config.Config)) (was, is []byte, err error) {
	f, err := r.dot.Open("config")
	switch {
	case errors.Is(err, fs.ErrNotExist): // git takes its defaults then
	case err != nil:
		return nil, nil, err
	default:
		was, err = bounded.ReadAll(f, maxConfig)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, nil, fmt.Errorf("read the repository's configuration: %w", err)
		}
	}
	c, err := config.ReadConfig(bytes.NewReader(was))
	if err != nil {
		return nil, nil, fmt.Errorf("read the repository's configuration: %w", err)
	}
	edit(c)
	is, err = c.Marshal()
	return was, is, err
}
