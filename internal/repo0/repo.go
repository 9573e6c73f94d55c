// Package repo0 is a stand-in while internal/repo is being built.
package repo0

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing/fstest"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

type Author struct{ Name, Email string }
type Repo struct {
	r   *git.Repository
	dir string
}

func Init(dir string) (*Repo, error) {
	r, err := git.PlainInit(dir, false)
	return &Repo{r, dir}, err
}
func Open(dir string) (*Repo, error) {
	r, err := git.PlainOpen(dir)
	return &Repo{r, dir}, err
}
func (r *Repo) Head() (string, error) {
	h, err := r.r.Head()
	if err != nil {
		return "", err
	}
	return h.Hash().String(), nil
}
func (r *Repo) At(c string) (fs.FS, error) {
	commit, err := r.r.CommitObject(plumbing.NewHash(c))
	if err != nil {
		return nil, err
	}
	t, err := commit.Tree()
	if err != nil {
		return nil, err
	}
	m := fstest.MapFS{}
	err = t.Files().ForEach(func(f *object.File) error {
		s, err := f.Contents()
		m[f.Name] = &fstest.MapFile{Data: []byte(s), Mode: 0o644}
		return err
	})
	return m, err
}
func (r *Repo) Commit(_ context.Context, a Author, files map[string][]byte, msg string) (string, error) {
	w, err := r.r.Worktree()
	if err != nil {
		return "", err
	}
	for n, d := range files {
		os.MkdirAll(filepath.Dir(filepath.Join(r.dir, n)), 0o755)
		if err := os.WriteFile(filepath.Join(r.dir, n), d, 0o644); err != nil {
			return "", err
		}
		if _, err := w.Add(n); err != nil {
			return "", err
		}
	}
	h, err := w.Commit(msg, &git.CommitOptions{Author: &object.Signature{Name: a.Name, Email: a.Email, When: time.Now()}})
	return h.String(), err
}
