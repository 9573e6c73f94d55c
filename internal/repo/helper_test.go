package repo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

var (
	author = Author{Name: "Vision Team", Email: "vision@example.com"}
	noon   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func newRepo(t testing.TB) *Repo {
	t.Helper()
	r, err := Init(filepath.Join(t.TempDir(), "ws"), author)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, r)
	return r
}

func openRepo(t testing.TB, dir string) *Repo {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, r)
	return r
}

func closeAfter(t testing.TB, r *Repo) {
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

func files(pairs ...string) map[string][]byte {
	m := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = []byte(pairs[i+1])
	}
	return m
}

func commit(t testing.TB, r *Repo, m map[string][]byte) Commit {
	t.Helper()
	c, err := r.Commit(t.Context(), Change{Files: m, Message: "Change the files", At: noon})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func at(t testing.TB, r *Repo, c Commit) *Tree {
	t.Helper()
	tree, err := r.At(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// gitCmd runs the git command in dir, without anybody's configuration.
func gitCmd(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return gitInput(t, dir, "", args...)
}

func gitInput(t testing.TB, dir, input string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("the git command is not on the PATH: install git to compare with it")
	}
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "HOME=/nonexistent",
		"GIT_AUTHOR_DATE=1772366400 +0000", "GIT_COMMITTER_DATE=1772366400 +0000")
	var out, diag strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := cmd.Run(); err != nil {
		t.Fatalf("git %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), diag.String())
	}
	return strings.TrimSpace(out.String())
}

// byGit makes a repository with the git command.
func byGit(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	gitCmd(t, dir, "init", "-q", "-b", "main")
	gitCmd(t, dir, "config", "user.name", "Claims Team")
	gitCmd(t, dir, "config", "user.email", "claims@example.com")
	return dir
}

func writeFile(t testing.TB, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// commitTree makes a commit of a tree that no honest program would write.
func commitTree(t testing.TB, r *Repo, tree plumbing.Hash) Commit {
	t.Helper()
	text := "tree " + tree.String() + "\nauthor A <a@example.com> 1772366400 +0000\ncommitter A <a@example.com> 1772366400 +0000\n\nhostile\n"
	return Commit(put(t, r, plumbing.CommitObject, []byte(text)).String())
}

func put(t testing.TB, r *Repo, kind plumbing.ObjectType, data []byte) plumbing.Hash {
	t.Helper()
	h, err := r.put(kind, data)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func line(mode, name string, h plumbing.Hash) string {
	return mode + " " + name + "\x00" + string(h[:])
}
