package repo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestGitReadsWhatWeWrite(t *testing.T) {
	r := newRepo(t)
	commit(t, r, files("policy.yaml", "a: 1\n", "deep/er/x", "x", "deep-", "sorts before deep/", "deep.txt", "and so does this"))
	second := commit(t, r, files("deep/er/x", "y", "empty", "", "ünï cödé", "name"))
	gitCmd(t, r.Dir(), "fsck", "--strict", "--full")
	if out := gitCmd(t, r.Dir(), "status", "--porcelain"); out != "" {
		t.Errorf("git status: %s", out)
	}
	if head := gitCmd(t, r.Dir(), "rev-parse", "HEAD"); head != string(second) {
		t.Errorf("git's HEAD is %s, want %s", head, second)
	}
	want := "Vision Team <vision@example.com>|Vision Team <vision@example.com>|2026-03-01T12:00:00+00:00|Change the files"
	if got := gitCmd(t, r.Dir(), "log", "-1", "--format=%an <%ae>|%cn <%ce>|%cI|%s"); strings.Replace(got, "Z|", "+00:00|", 1) != want {
		t.Errorf("git log: %s", got)
	}
	if got := gitCmd(t, r.Dir(), "show", "HEAD:deep/er/x"); got != "y" {
		t.Errorf("git show: %q", got)
	}
	// git goes on where we stopped, under the same name, and we go on after it.
	writeFile(t, r.Dir(), "by-git", "1")
	gitCmd(t, r.Dir(), "add", ".")
	gitCmd(t, r.Dir(), "commit", "-qm", "by git")
	gitCmd(t, r.Dir(), "gc", "-q", "--prune=now")
	commit(t, r, files("after-gc", "2"))
	gitCmd(t, r.Dir(), "fsck", "--strict", "--full")
	if got := gitCmd(t, r.Dir(), "rev-list", "--count", "HEAD"); got != "4" {
		t.Errorf("%s commits, want 4", got)
	}
	if out := gitCmd(t, r.Dir(), "status", "--porcelain"); out != "" {
		t.Errorf("git status: %s", out)
	}
}

func TestCommitOfWhatIsCommittedIsTheSameCommit(t *testing.T) {
	r := newRepo(t)
	first := commit(t, r, files("a", "1", "b/c", "2"))
	if again := commit(t, r, files("b/c", "2")); again != first {
		t.Errorf("a second commit %s of the same content", again)
	}
	if other := commit(t, r, files("b/c", "3")); other == first {
		t.Error("no commit of another content")
	}
}

func TestCommitRemovesFiles(t *testing.T) {
	r := newRepo(t)
	commit(t, r, files("a", "1", "b/c/d", "2"))
	second := commit(t, r, map[string][]byte{"b/c/d": nil, "never/was": nil})
	if _, err := os.Lstat(filepath.Join(r.Dir(), "b")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the empty directory stayed: %v", err)
	}
	if names := at(t, r, second).dirs["."]; len(names) != 1 || names[0] != "a" {
		t.Errorf("the commit holds %q", names)
	}
	commit(t, r, map[string][]byte{"a": nil}) // the last one
	gitCmd(t, r.Dir(), "fsck", "--strict")
	if out := gitCmd(t, r.Dir(), "status", "--porcelain"); out != "" {
		t.Errorf("git status: %s", out)
	}
}

func TestCommitKeepsTheExecutableBit(t *testing.T) {
	dir := byGit(t)
	writeFile(t, dir, "run.sh", "one")
	if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	gitCmd(t, dir, "add", ".")
	gitCmd(t, dir, "commit", "-qm", "one")
	r := openRepo(t, dir)
	commit(t, r, files("run.sh", "two"))
	if got := gitCmd(t, dir, "ls-tree", "HEAD"); !strings.HasPrefix(got, "100755 ") {
		t.Errorf("git ls-tree: %s", got)
	}
	if out := gitCmd(t, dir, "status", "--porcelain"); out != "" {
		t.Errorf("git status: %s", out)
	}
}

// Each case spoils a repository that holds "a" and "dir/b"; the twin is the
// same commit in the same repository once it is mended.
func TestCommitLosesNothing(t *testing.T) {
	change := files("a", "ours", "dir/b", "ours", "new", "ours")
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		mend  func(t *testing.T, dir string)
		is    error
		says  string
	}{
		{"an edited file is not overwritten",
			func(t *testing.T, dir string) { writeFile(t, dir, "a", "edited") },
			func(t *testing.T, dir string) { writeFile(t, dir, "a", "1") },
			ErrUncommitted, `"a"`},
		{"a file that is not tracked is not overwritten",
			func(t *testing.T, dir string) { writeFile(t, dir, "new", "theirs") },
			func(t *testing.T, dir string) { writeFile(t, dir, "new", "ours") },
			ErrUncommitted, `"new"`},
		{"a staged file is not overwritten",
			func(t *testing.T, dir string) {
				writeFile(t, dir, "a", "staged")
				gitCmd(t, dir, "add", "a")
				writeFile(t, dir, "a", "1")
			},
			func(t *testing.T, dir string) { gitCmd(t, dir, "reset", "-q") },
			ErrUncommitted, "staged"},
		{"a link on the way is not followed",
			func(t *testing.T, dir string) {
				remove(t, filepath.Join(dir, "dir"))
				link(t, ".git/hooks", filepath.Join(dir, "dir"))
			},
			func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "dir")) },
			ErrSymlink, `"dir"`},
		{"a link in its place is not replaced",
			func(t *testing.T, dir string) {
				remove(t, filepath.Join(dir, "a"))
				link(t, "dir/b", filepath.Join(dir, "a"))
			},
			func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "a")) },
			ErrUncommitted, `"a"`},
		{"another program's lock is respected",
			func(t *testing.T, dir string) { writeFile(t, dir, ".git/index.lock", "") },
			func(t *testing.T, dir string) { remove(t, filepath.Join(dir, ".git/index.lock")) },
			ErrLocked, "index.lock"},
		{"a lock on the branch is respected",
			func(t *testing.T, dir string) { writeFile(t, dir, ".git/refs/heads/main.lock", "") },
			func(t *testing.T, dir string) { remove(t, filepath.Join(dir, ".git/refs/heads/main.lock")) },
			ErrLocked, "main.lock"},
		{"a detached head has no branch to move",
			func(t *testing.T, dir string) { gitCmd(t, dir, "switch", "-q", "--detach") },
			func(t *testing.T, dir string) { gitCmd(t, dir, "switch", "-q", "main") },
			nil, "no branch is checked out"},
		{"a merge under way is finished first",
			func(t *testing.T, dir string) { writeFile(t, dir, ".git/MERGE_HEAD", "") },
			func(t *testing.T, dir string) { remove(t, filepath.Join(dir, ".git/MERGE_HEAD")) },
			nil, "merge"},
		{"an unnamed author does not commit",
			func(t *testing.T, dir string) { gitCmd(t, dir, "config", "--unset", "user.name") },
			func(t *testing.T, dir string) { gitCmd(t, dir, "config", "user.name", "Somebody") },
			nil, "git config --local user.name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t)
			first := commit(t, r, files("a", "1", "dir/b", "2"))
			tt.spoil(t, r.Dir())
			_, err := r.Commit(t.Context(), Change{Files: change, Message: "m", At: noon})
			if err == nil || !strings.Contains(err.Error(), tt.says) || (tt.is != nil && !errors.Is(err, tt.is)) {
				t.Fatalf("got %v, want %v saying %q", err, tt.is, tt.says)
			}
			if head := gitCmd(t, r.Dir(), "rev-parse", "HEAD"); head != string(first) {
				t.Error("the branch moved")
			}
			tt.mend(t, r.Dir())
			commit(t, r, change)
			if out := gitCmd(t, r.Dir(), "status", "--porcelain"); out != "" {
				t.Errorf("git status: %s", out)
			}
			gitCmd(t, r.Dir(), "fsck", "--strict")
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func TestCommitLeavesOtherChangesAlone(t *testing.T) {
	r := newRepo(t)
	commit(t, r, files("ours", "1", "theirs", "1", "staged", "1"))
	writeFile(t, r.Dir(), "theirs", "2")
	writeFile(t, r.Dir(), "staged", "2")
	gitCmd(t, r.Dir(), "add", "staged")
	commit(t, r, files("ours", "2"))
	if got := gitCmd(t, r.Dir(), "status", "--porcelain"); got != "M  staged\n M theirs" {
		t.Errorf("git status: %q", got)
	}
	if got := gitCmd(t, r.Dir(), "show", "HEAD:staged"); got != "1" {
		t.Errorf("the commit took what was staged: %q", got)
	}
}

func TestCommitRefusesPaths(t *testing.T) {
	r := newRepo(t)
	commit(t, r, files("file", "1"))
	for _, name := range []string{"", "/abs", "../up", "a/../b", "a//b", "./a", ".git/hooks/pre-commit", ".GIT/config",
		"a/.git", "git~1/x", ".git. /x", ".g\u200cit/config", "a:stream", `a\b`, "a\nb", "tail/", "file/below",
		"\u202etxt.exe", strings.Repeat("x", 256), strings.Repeat("d/", MaxDepth) + "x"} {
		t.Run(name, func(t *testing.T) {
			if _, err := r.Commit(t.Context(), Change{Files: files(name, "x"), Message: "m", At: noon}); err == nil {
				t.Error("it was committed")
			}
		})
	}
	commit(t, r, files(".gitignore", "x", ".github/workflows/a.yaml", "x", "git/~1", "x", "a..b", "x", strings.Repeat("x", 255), "x", strings.Repeat("d/", MaxDepth-1)+"x", "x"))
	gitCmd(t, r.Dir(), "fsck", "--strict")
}

func TestCommitRefusesAnUnfinishedChange(t *testing.T) {
	r := newRepo(t)
	good := Change{Files: files("a", "1"), Message: "m", At: noon}
	for name, spoil := range map[string]func(*Change){
		"without a message":    func(c *Change) { c.Message = " \n" },
		"with a zero byte":     func(c *Change) { c.Message = "a\x00b" },
		"with a long message":  func(c *Change) { c.Message = strings.Repeat("m", maxMessage+1) },
		"without a time":       func(c *Change) { c.At = c.At.AddDate(-100, 0, 0) },
		"with a large file":    func(c *Change) { c.Files = map[string][]byte{"a": make([]byte, MaxFile+1)} },
		"a file and a dir":     func(c *Change) { c.Files = files("a", "1", "a/b", "2") },
		"an ended context too": nil,
	} {
		t.Run(name, func(t *testing.T) {
			change, ctx := good, t.Context()
			if spoil != nil {
				spoil(&change)
			} else {
				ended, cancel := context.WithCancel(ctx)
				cancel()
				ctx = ended
			}
			if _, err := r.Commit(ctx, change); err == nil {
				t.Error("it was committed")
			}
		})
	}
	if _, err := r.Head(); !errors.Is(err, ErrNoCommit) {
		t.Errorf("after refusals only: %v, want ErrNoCommit", err)
	}
	if _, err := r.Commit(t.Context(), good); err != nil {
		t.Error(err)
	}
}

func TestCommitsAtTheSameTimeAllArrive(t *testing.T) {
	r := newRepo(t)
	commit(t, r, files("start", ""))
	var wg sync.WaitGroup
	names := []string{"a", "b", "c", "d", "e", "f"}
	for i, name := range names {
		writer := r
		if i%2 == 1 {
			writer = openRepo(t, r.Dir())
		}
		wg.Go(func() {
			if _, err := writer.Commit(t.Context(), Change{Files: files("dir/"+name, name), Message: name, At: noon}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	head, err := r.Head()
	if err != nil {
		t.Fatal(err)
	}
	if got := at(t, r, head).dirs["dir"]; len(got) != len(names) {
		t.Errorf("arrived: %q", got)
	}
	gitCmd(t, r.Dir(), "fsck", "--strict")
}

func TestNeitherHooksNorTheUsersConfigurationTakePart(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	writeFile(t, home, ".gitconfig", "[user]\n name = Intruder\n email = intruder@example.com\n[core]\n hooksPath = "+home+"\n[commit]\n gpgsign = true\n")
	r := newRepo(t)
	for _, hook := range []string{"pre-commit", "commit-msg", "post-commit", "reference-transaction"} {
		for _, dir := range []string{home, filepath.Join(r.Dir(), ".git", "hooks")} {
			writeFile(t, dir, hook, "#!/bin/sh\ntouch "+home+"/ran\nexit 1\n")
			if err := os.Chmod(filepath.Join(dir, hook), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit(t, r, files("a", "1"))
	if _, err := os.Stat(filepath.Join(home, "ran")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a hook ran")
	}
	if got := gitCmd(t, r.Dir(), "log", "-1", "--format=%an %cn"); got != "Vision Team Vision Team" {
		t.Errorf("committed by %s", got)
	}
}

func TestInitRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, a := range []Author{{}, {"x", ""}, {"", "x@y"}, {"a<b", "x@y"}, {"a", "x\n@y"}} {
		if _, err := Init(dir, a); err == nil {
			t.Errorf("%q was accepted", a)
		}
	}
	r, err := Init(dir, author)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, r)
	if _, err := Init(dir, author); err == nil || !strings.Contains(err.Error(), "open it") {
		t.Errorf("a second Init: %v", err)
	}
}

// The twin of each is the first commit of the same files, which works.
func TestACommitOfNothingNewLooksAtTheWorkTree(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		path  string
	}{
		{"an edited file", func(t *testing.T, dir string) { writeFile(t, dir, "a", "edited") }, "a"},
		{"a missing file", func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "a")) }, "a"},
		{"a staged file", func(t *testing.T, dir string) {
			writeFile(t, dir, "a", "staged")
			gitCmd(t, dir, "add", "a")
			writeFile(t, dir, "a", "1")
		}, "a"},
		{"a staged removal", func(t *testing.T, dir string) { gitCmd(t, dir, "rm", "-q", "--cached", "a") }, "a"},
		{"a file where one is removed", func(t *testing.T, dir string) { writeFile(t, dir, "gone", "back") }, "gone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t)
			change := files("a", "1", "dir/b", "2")
			change["gone"] = nil
			first := commit(t, r, change)
			if again := commit(t, r, change); again != first {
				t.Errorf("a second commit %s", again)
			}
			tt.spoil(t, r.Dir())
			c, err := r.Commit(t.Context(), Change{Files: change, Message: "m", At: noon})
			var at *PathError
			if !errors.Is(err, ErrUncommitted) || !errors.As(err, &at) || at.Path != tt.path {
				t.Errorf("got %s, %v; want ErrUncommitted about %s", c, err, tt.path)
			}
		})
	}
}

func TestSignedCommits(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key).CombinedOutput(); err != nil {
		t.Skipf("ssh-keygen makes no key: install OpenSSH to verify with it: %v %s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "allowed", "vision@example.com "+string(public))
	r := newRepo(t)
	sign := func(payload []byte) (string, error) {
		cmd := exec.Command("ssh-keygen", "-Y", "sign", "-n", "git", "-f", key)
		cmd.Stdin = bytes.NewReader(payload)
		out, err := cmd.Output()
		return string(out), err
	}
	c, err := r.Commit(t.Context(), Change{Files: files("a", "1"), Message: "Signed\n\nwith a body", At: noon, Sign: sign})
	if err != nil {
		t.Fatal(err)
	}
	verify := []string{"-c", "gpg.format=ssh", "-c", "gpg.ssh.allowedSignersFile=" + filepath.Join(dir, "allowed"), "verify-commit"}
	gitCmd(t, r.Dir(), append(verify, string(c))...)
	gitCmd(t, r.Dir(), "fsck", "--strict")
	if out := gitCmd(t, r.Dir(), "status", "--porcelain"); out != "" {
		t.Errorf("git status: %s", out)
	}
	plain := commit(t, r, files("a", "2"))
	if got := gitCmd(t, r.Dir(), "cat-file", "commit", string(plain)); strings.Contains(got, "gpgsig") {
		t.Errorf("a commit that nobody signed: %s", got)
	}

	refused := errors.New("the key is locked")
	for name, bad := range map[string]func([]byte) (string, error){
		"a refusal":           func([]byte) (string, error) { return "", refused },
		"nothing":             func([]byte) (string, error) { return "", nil },
		"no armour":           func([]byte) (string, error) { return "c2lnbmF0dXJl", nil },
		"a zero byte":         func([]byte) (string, error) { return "-----BEGIN SSH SIGNATURE-----\n\x00", nil },
		"too large to be one": func([]byte) (string, error) { return "-----BEGIN " + strings.Repeat("x", maxSignature), nil },
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := r.Commit(t.Context(), Change{Files: files("a", "3"), Message: "m", At: noon, Sign: bad}); err == nil || name == "a refusal" && !errors.Is(err, refused) {
				t.Errorf("%s, %v", c, err)
			}
			if head, err := r.Head(); err != nil || head != plain {
				t.Errorf("the branch moved to %s, %v", head, err)
			}
			if clean, paths, err := r.Clean(t.Context()); !clean || err != nil {
				t.Errorf("the work tree changed: %q, %v", paths, err)
			}
		})
	}
}

// A change within the second in which a file was written keeps the file's time
// and size. git sees it as long as its index is not younger than the file.
func TestGitSeesAChangeInTheSecondOfACommit(t *testing.T) {
	atTime := func(t *testing.T, path string, when time.Time) {
		t.Helper()
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	r := newRepo(t)
	gitCmd(t, r.Dir(), "config", "core.checkStat", "minimal") // the time and the size only
	a, idx := filepath.Join(r.Dir(), "a"), filepath.Join(r.Dir(), ".git", "index")

	commit(t, r, files("a", "1"))
	info, err := os.Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, r.Dir(), "a", "2")
	atTime(t, a, info.ModTime())
	atTime(t, idx, info.ModTime().Add(2*time.Second)) // as if the clock had gone on
	if got := gitCmd(t, r.Dir(), "status", "--porcelain"); got != "M a" {
		t.Errorf("after our commit of the file: git status %q", got)
	}

	// The same with an index that git wrote, and our commit of another file.
	early := info.ModTime().Add(-time.Minute)
	atTime(t, a, early)
	gitCmd(t, r.Dir(), "add", "a")
	gitCmd(t, r.Dir(), "commit", "-qm", "by git")
	writeFile(t, r.Dir(), "a", "3")
	atTime(t, a, early)
	atTime(t, idx, early)
	if got := gitCmd(t, r.Dir(), "diff-files", "--name-only"); got != "a" {
		t.Fatalf("before our commit: %q", got)
	}
	commit(t, r, files("b", "1"))
	if got := gitCmd(t, r.Dir(), "status", "--porcelain"); got != "M a" {
		t.Errorf("after our commit of another file: git status %q", got)
	}
}
