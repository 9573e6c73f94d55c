package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/internal/report"
)

// Files are the paths that change, sorted.
func (f *Fix) Files() []string {
	out := make([]string, 0, len(f.files))
	for i := range f.files {
		out = append(out, f.files[i].path)
	}
	return out
}

// Write writes the files. When one of them is no longer what the plan was made
// from, none is written. Each is replaced at once, so that nobody reads half of
// it; when one cannot be written, those before it are.
func (f *Fix) Write(ctx context.Context) (err error) {
	root, err := os.OpenRoot(f.Source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if err := f.unchanged(root); err != nil {
		return err
	}
	for i := range f.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := putFixed(root, &f.files[i]); err != nil {
			return fmt.Errorf("write %s: %w", f.files[i].path, err)
		}
	}
	return nil
}

// unchanged makes sure that the files are what the plan was made from.
func (f *Fix) unchanged(root *os.Root) error {
	for i := range f.files {
		file := &f.files[i]
		info, err := root.Lstat(file.path)
		var data []byte
		if err == nil && info.Mode().IsRegular() {
			data, err = readWithin(root, file.path)
		}
		if err != nil || !bytes.Equal(data, file.before) {
			return fmt.Errorf("%s was changed since the plan was made: make it again", file.path)
		}
	}
	return nil
}

// putFixed puts a new file in the place of an old one, with its permissions.
func putFixed(root *os.Root, file *fixFile) error {
	info, err := root.Lstat(file.path)
	if err != nil {
		return err
	}
	scratch := path.Join(path.Dir(file.path), ".apex-fix.tmp")
	out, err := root.OpenFile(scratch, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: another apex writes here, or one was interrupted: remove the file", err)
	}
	if err != nil {
		return err
	}
	_, err = out.Write(file.after)
	if err == nil {
		err = out.Sync()
	}
	err = errors.Join(err, out.Close())
	if err == nil {
		err = root.Chmod(scratch, info.Mode().Perm())
	}
	if err == nil {
		err = root.Rename(scratch, file.path)
	}
	if err != nil {
		return errors.Join(err, root.Remove(scratch))
	}
	return nil
}

// Commit commits exactly the files of the plan, and writes them, in the
// repository that the folder is in, in the name that the repository's own
// configuration gives. The error wraps [repo.ErrUncommitted] when one of them
// has changes that are not committed. A plan without edits is an error.
func (f *Fix) Commit(ctx context.Context, c clock.Clock) (_ repo.Commit, err error) {
	if len(f.files) == 0 {
		return "", errors.New("there is nothing to commit")
	}
	top, below, err := repositoryOf(f.Source)
	if err != nil {
		return "", err
	}
	r, err := repo.Open(top)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	root, err := os.OpenRoot(f.Source)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if err := f.unchanged(root); err != nil {
		return "", err
	}
	if err := f.committed(ctx, r, below); err != nil {
		return "", err
	}
	change := repo.Change{Files: map[string][]byte{}, Message: f.message(), At: c.Now()}
	for i := range f.files {
		change.Files[path.Join(below, f.files[i].path)] = f.files[i].after
	}
	return r.Commit(ctx, change)
}

// committed makes sure that the plan was made from what was committed. The
// commit itself would find nothing to do where a change of somebody's puts
// back what an earlier commit mended.
func (f *Fix) committed(ctx context.Context, r *repo.Repo, below string) error {
	head, err := r.Head()
	if err != nil {
		return err
	}
	tree, err := r.At(ctx, head)
	if err != nil {
		return err
	}
	for i := range f.files {
		name := path.Join(below, f.files[i].path)
		data, err := tree.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return &repo.PathError{Path: name, Err: fmt.Errorf("%w: the file is not in the last commit; git add and git commit it first", repo.ErrUncommitted)}
		}
		if err != nil {
			return err
		}
		if !bytes.Equal(data, f.files[i].before) {
			return &repo.PathError{Path: name, Err: fmt.Errorf("%w: git commit it, or git restore it", repo.ErrUncommitted)}
		}
	}
	return nil
}

// repositoryOf finds the work tree that a folder is in, and where in it.
func repositoryOf(dir string) (top, below string, err error) {
	at, err := filepath.Abs(dir)
	if err == nil {
		at, err = filepath.EvalSymlinks(at)
	}
	if err != nil {
		return "", "", err
	}
	for top = at; ; top = filepath.Dir(top) {
		if _, err := os.Lstat(filepath.Join(top, ".git")); err == nil {
			below, err = filepath.Rel(top, at)
			return top, filepath.ToSlash(below), err
		}
		if filepath.Dir(top) == top {
			return "", "", fmt.Errorf("%s: %w: make one with git init, or leave out --commit", dir, repo.ErrNotRepository)
		}
	}
}

// message lists what the commit mends. Names come from files and advisories of
// others, so that they are made plain: a line break would begin a trailer.
func (f *Fix) message() string {
	const longest = 48 << 10 // a commit holds 64 KiB
	names := map[string]bool{}
	for i := range f.Edits {
		names[f.Edits[i].Ecosystem+" "+normalName(f.Edits[i].Ecosystem, f.Edits[i].Name)] = true
	}
	var b strings.Builder
	if first := &f.Edits[0]; len(names) == 1 {
		fmt.Fprintf(&b, "Raise %.60s to %.40s\n\n", report.Plain(first.Name), first.To)
	} else {
		fmt.Fprintf(&b, "Raise %d packages that have known vulnerabilities\n\n", len(names))
	}
	for i := range f.Edits {
		e := &f.Edits[i]
		line := fmt.Sprintf("* %s: %s %s to %s mends %s\n", report.Plain(e.File), report.Plain(e.Name), e.From, e.To, report.Plain(strings.Join(e.Mends, ", ")))
		if b.Len()+len(line) > longest {
			fmt.Fprintf(&b, "* and %d more\n", len(f.Edits)-i)
			break
		}
		b.WriteString(line)
	}
	if len(f.Then) > 0 {
		b.WriteString("\nLock files are not part of this; run:\n")
		for _, c := range f.Then {
			fmt.Fprintf(&b, "* in %s: %s\n", report.Plain(c.Folder), c.Command)
		}
	}
	return b.String()
}
