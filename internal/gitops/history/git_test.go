package history_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/apexlogic/apex/internal/gitops/history"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// working is a repository in which the git command itself commits and signs.
type working struct {
	t    testing.TB
	dir  string
	keys string
	env  []string
}

func newWorking(t testing.TB) *working {
	t.Helper()
	for _, program := range []string{"git", "ssh-keygen"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not on the PATH: install it to test with what it really writes", program)
		}
	}
	w := &working{t: t, dir: filepath.Join(t.TempDir(), "work"), keys: t.TempDir()}
	w.env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "HOME="+w.keys)
	w.run(w.keys, "init", "-q", "-b", "main", w.dir)
	w.git("config", "user.name", "A")
	w.git("config", "user.email", "a@example.com")
	w.git("config", "gpg.format", "ssh")
	return w
}

func (w *working) run(dir string, args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "git", args...)
	cmd.Dir, cmd.Env = dir, w.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *working) git(args ...string) string { w.t.Helper(); return w.run(w.dir, args...) }

// as signs what git makes with a person's key; "" with none.
func (w *working) as(name string, args ...string) repo.Commit {
	w.t.Helper()
	if name == "" {
		w.git(append([]string{"-c", "commit.gpgSign=false"}, args...)...)
	} else {
		w.git(append([]string{"-c", "commit.gpgSign=true", "-c", "user.signingKey=" + w.key(name)}, args...)...)
	}
	return w.head()
}

func (w *working) head() repo.Commit { w.t.Helper(); return repo.Commit(w.git("rev-parse", "HEAD")) }

// key is the file of the private key that [person] has in memory.
func (w *working) key(name string) string {
	w.t.Helper()
	path := filepath.Join(w.keys, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	seed := sha256.Sum256([]byte("history test " + name))
	block, err := ssh.MarshalPrivateKey(ed25519.NewKeyFromSeed(seed[:]), name)
	if err != nil {
		w.t.Fatal(err)
	}
	for file, data := range map[string][]byte{path: pem.EncodeToMemory(block), path + ".pub": ssh.MarshalAuthorizedKey(person(name).PublicKey())} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	return path
}

func (w *working) file(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.git("add", "--", name)
}

// change commits a file.
func (w *working) change(by, name, text string) repo.Commit {
	w.t.Helper()
	w.file(name, text)
	return w.as(by, "commit", "-q", "-m", "Change "+name)
}

func (w *working) open(dir string) *repo.Repo {
	w.t.Helper()
	r, err := repo.Open(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = r.Close() })
	return r
}

func (w *working) verify(v *history.Verifier, last history.State, head repo.Commit) (*history.Accepted, error) {
	w.t.Helper()
	return v.Verify(w.t.Context(), w.open(w.dir), last, head, now)
}

// begin makes the first trusted commit.
func (w *working) begin() (repo.Commit, *history.Verifier) {
	w.t.Helper()
	w.file("infra/net", "1")
	w.file("policies/p", "1")
	first := w.change("", "app/a", "1")
	return first, compile(w.t, rules(first))
}

func TestWhatPeopleDoWithGitIsAccepted(t *testing.T) {
	w := newWorking(t)
	first, v := w.begin()
	last := history.State{}
	step := func(what string, want int) *history.Accepted {
		t.Helper()
		got, err := w.verify(v, last, w.head())
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if len(got.Commits) != want {
			t.Fatalf("%s: %d commits were verified, want %d: %+v", what, len(got.Commits), want, got.Commits)
		}
		last = got.State
		return got
	}
	w.change("alice", "app/b", "1")
	step("a commit", 1)

	w.git("switch", "-q", "-c", "topic", string(first))
	w.change("bob", "infra/net", "2")
	w.change("alice", "app/c", "1")
	w.git("switch", "-q", "main")
	w.as("alice", "merge", "-q", "--no-ff", "-m", "Merge topic", "topic")
	if got := step("a merge of a line that began earlier", 3); len(got.Commits[2].Paths) != 0 {
		t.Fatalf("a plain merge changes %q", got.Commits[2].Paths)
	}

	for _, name := range []string{"one", "two", "three"} {
		w.git("switch", "-q", "-c", name, "main")
		w.change("alice", "app/"+name, "1")
	}
	w.git("switch", "-q", "main")
	w.as("bob", "merge", "-q", "--no-ff", "-m", "Merge all", "one", "two", "three")
	step("an octopus", 4)

	w.git("switch", "-q", "-c", "left")
	left := w.change("alice", "app/left", "1")
	w.git("switch", "-q", "-c", "right", "main")
	right := w.change("bob", "infra/right", "1")
	w.as("bob", "merge", "-q", "-m", "Take left", string(left))
	w.git("switch", "-q", "left")
	w.as("alice", "merge", "-q", "-m", "Take right", string(right))
	w.change("alice", "app/left2", "1")
	w.git("switch", "-q", "main")
	w.as("alice", "merge", "-q", "--no-ff", "-m", "Merge left", "left")
	w.as("alice", "merge", "-q", "--no-ff", "-m", "Merge right", "right")
	step("a criss-cross", 7)

	policy := w.change("alice", "policies/p", "2")
	if _, err := w.verify(v, last, policy); err == nil {
		t.Fatal("a policy by one owner was accepted")
	}
	w.as("bob", "commit", "-q", "--allow-empty", "-m", "Approve", "--trailer", "Apex-Approves: "+string(policy))
	if got := step("an approved policy", 2); !slices.Equal(got.Commits[0].Approvers, []string{"bob"}) {
		t.Fatalf("got %+v", got.Commits[0])
	}

	w.change("old", "app/d", "1")
	if _, err := w.verify(v, last, w.head()); err == nil {
		t.Fatal("a key that has ended was accepted")
	}
	w.as("carol", "commit", "-q", "--allow-empty", "-m", "Seal", "--trailer", "Apex-Seal: the key of alice was rotated")
	step("a sealed one", 2)

	w.git("mv", "app/d", "app/e")
	w.as("alice", "commit", "-q", "-m", "Rename")
	if got := step("a rename", 1); !slices.Equal(got.Commits[0].Paths, []string{"app/d", "app/e"}) {
		t.Fatalf("got %q", got.Commits[0].Paths)
	}
	w.as("alice", "revert", "--no-edit", "HEAD")
	step("a revert", 1)
	w.git("gc", "-q", "--prune=now")
	w.change("alice", "app/f", "1")
	step("a commit after a repack", 1)
}

func TestWhatGitCanBeMadeToDoIsRefused(t *testing.T) {
	w := newWorking(t)
	first, v := w.begin()
	older := w.change("alice", "app/b", "1")
	w.as("alice", "tag", "-m", "v1", "v1")
	newer := w.change("alice", "app/b", "2")
	reset := func(t *testing.T, to repo.Commit) {
		t.Helper()
		w.git("switch", "-q", "-C", "main", string(to))
	}
	last := accepted(newer)
	refused := func(t *testing.T, code verdict.Code) {
		t.Helper()
		got, err := w.verify(v, last, w.head())
		expect(t, got, err, code, "")
	}
	t.Run("a forced push of an older signed commit", func(t *testing.T) {
		remote := filepath.Join(t.TempDir(), "remote.git")
		w.run(w.dir, "init", "-q", "--bare", "-b", "main", remote)
		w.run(remote, "config", "receive.denyDeleteCurrent", "ignore")
		w.git("push", "-q", remote, "main")
		r := w.open(remote)
		look := func() (*history.Accepted, error) {
			head, err := r.Resolve("refs/heads/main")
			if err != nil {
				t.Fatal(err)
			}
			return v.Verify(t.Context(), r, last, head, now)
		}
		got, err := look()
		expect(t, got, err, verdict.OK, "")
		w.git("push", "-q", "--force", remote, string(older)+":main")
		got, err = look()
		expect(t, got, err, verdict.HistoryRewound, "older than")
		w.run(w.dir, "push", "-q", remote, ":refs/heads/main")
		w.git("switch", "-q", "--orphan", "anew")
		w.change("alice", "app/b", "2")
		w.git("push", "-q", remote, "anew:main")
		got, err = look()
		expect(t, got, err, verdict.HistoryUnrelated, "nothing in common")
		w.git("switch", "-q", "-f", "main")
	})
	t.Run("an amended commit", func(t *testing.T) {
		reset(t, newer)
		w.as("alice", "commit", "-q", "--amend", "-m", "Another message")
		refused(t, verdict.HistoryDiverged)
	})
	t.Run("a tag that was moved", func(t *testing.T) {
		reset(t, newer)
		resolve := func() repo.Commit {
			c, err := w.open(w.dir).Resolve("refs/tags/v1")
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		got, err := w.verify(v, accepted(older), resolve())
		expect(t, got, err, verdict.OK, "")
		w.as("alice", "tag", "-f", "-m", "v1", "v1", string(newer))
		got, err = w.verify(v, accepted(older), resolve())
		expect(t, got, err, verdict.OK, "") // forward
		w.as("alice", "tag", "-f", "-m", "v1", "v1", string(older))
		got, err = w.verify(v, last, resolve())
		expect(t, got, err, verdict.HistoryRewound, "")
	})
	t.Run("an unsigned commit below a signed one", func(t *testing.T) {
		reset(t, newer)
		w.change("", "app/x", "1")
		w.change("alice", "app/y", "1")
		refused(t, verdict.CommitUnsigned)
	})
	t.Run("an unsigned parent of a signed merge", func(t *testing.T) {
		reset(t, newer)
		w.git("switch", "-q", "-C", "side", string(first))
		w.change("", "app/x", "1")
		w.git("switch", "-q", "main")
		w.as("alice", "merge", "-q", "--no-ff", "-m", "Merge", "side")
		refused(t, verdict.CommitUnsigned)
	})
	t.Run("an evil merge", func(t *testing.T) {
		reset(t, newer)
		w.git("switch", "-q", "-C", "side", string(first))
		w.change("bob", "app/x", "1")
		w.git("switch", "-q", "main")
		w.git("-c", "commit.gpgSign=false", "merge", "-q", "--no-ff", "--no-commit", "side")
		w.file("infra/net", "evil")
		w.as("alice", "commit", "-q", "-m", "Merge")
		refused(t, verdict.CommitPath)
	})
	t.Run("a merge that keeps its own side", func(t *testing.T) {
		reset(t, newer)
		w.git("switch", "-q", "-C", "side", string(first))
		w.change("bob", "infra/net", "mended")
		w.git("switch", "-q", "main")
		w.as("alice", "merge", "-q", "--no-ff", "-s", "ours", "-m", "Merge", "side")
		refused(t, verdict.CommitPath)
	})
	t.Run("a commit that is replaced by a signed one", func(t *testing.T) {
		reset(t, newer)
		bad := w.change("", "app/x", "1")
		reset(t, newer)
		good := w.change("alice", "app/x", "1")
		w.git("replace", string(bad), string(good))
		reset(t, bad)
		refused(t, verdict.HistoryReplaced)
		w.git("replace", "-d", string(bad))
		refused(t, verdict.CommitUnsigned)
	})
	t.Run("a shallow clone that hides an unsigned commit", func(t *testing.T) {
		reset(t, newer)
		w.change("", "app/x", "1")
		head := w.change("alice", "app/y", "1")
		clone := filepath.Join(t.TempDir(), "clone")
		w.run(w.dir, "clone", "-q", "--depth=1", "file://"+w.dir, clone)
		got, err := v.Verify(t.Context(), w.open(clone), last, head, now)
		expect(t, got, err, verdict.HistoryIncomplete, "shallow")
		if err := os.Remove(filepath.Join(clone, ".git", "shallow")); err != nil {
			t.Fatal(err)
		}
		got, err = v.Verify(t.Context(), w.open(clone), history.State{}, head, now)
		expect(t, got, err, verdict.HistoryUnrelated, "not in the repository")
	})
	t.Run("what is good, after all of that", func(t *testing.T) {
		reset(t, newer)
		w.change("alice", "app/x", "1")
		got, err := w.verify(v, last, w.head())
		expect(t, got, err, verdict.OK, "")
	})
}

func TestGitSignsWithOpenPGP(t *testing.T) {
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("gpg is not on the PATH: install GnuPG to test with what it really writes")
	}
	w := newWorking(t)
	home, err := os.MkdirTemp("", "gpg") // short: its agent's socket is in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	w.env = append(w.env, "GNUPGHOME="+home)
	gpg := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "gpg", append([]string{"--batch", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
		cmd.Env = w.env
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("gpg %v: %v", args, err)
		}
		return string(out)
	}
	gpg("--quick-gen-key", "pat@example.com", "ed25519", "sign", "0")
	first, _ := w.begin()
	signers, err := trust.CompileCommits([]trust.CommitSigner{{Name: "pat", OpenPGP: gpg("--armor", "--export", "pat@example.com")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := history.Compile("captioner", history.Trust{First: first, Signers: []string{"pat"}}, signers, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.file("app/b", "1")
	w.git("-c", "gpg.format=openpgp", "-c", "user.signingKey=pat@example.com", "commit", "-q", "-S", "-m", "One")
	good := w.head()
	later := time.Now() // gpg uses the machine's clock
	got, err := v.Verify(t.Context(), w.open(w.dir), history.State{}, good, later)
	expect(t, got, err, verdict.OK, "")
	w.change("alice", "app/c", "1")
	got, err = v.Verify(t.Context(), w.open(w.dir), history.State{}, w.head(), later)
	expect(t, got, err, verdict.CommitUntrusted, "SSH key")
}

func TestASignedTagSaysWhoMadeIt(t *testing.T) {
	w := newWorking(t)
	first, _ := w.begin()
	signers := team(t)
	for _, c := range []struct {
		name, by string
		code     verdict.Code
	}{{"good", "alice", verdict.OK}, {"foreign", "mallory", verdict.CommitUntrusted}, {"unsigned", "", verdict.CommitUnsigned}} {
		args := []string{"tag", "-m", "Release", c.name}
		if c.by != "" {
			args = append([]string{"-c", "user.signingKey=" + w.key(c.by), "-c", "tag.gpgSign=true"}, args...)
		}
		w.git(args...)
		tag, err := w.open(w.dir).RawTag(w.git("rev-parse", "refs/tags/"+c.name))
		if err != nil || tag.Target != first || tag.Name != c.name {
			t.Fatalf("%s: got %+v, %v", c.name, tag, err)
		}
		got, err := signers.Verify(tag.Payload, tag.Signature, now)
		if c.code == verdict.OK && (err != nil || !slices.Equal(got.Names, []string{"alice"})) || c.code != verdict.OK && (err == nil || trust.Code(err) != c.code) {
			t.Errorf("%s: got %+v, %v", c.name, got, err)
		}
		if c.code != verdict.OK {
			continue
		}
		if _, err := signers.Verify(append(slices.Clone(tag.Payload), 'x'), tag.Signature, now); err == nil {
			t.Error("another message has the same signature")
		}
	}
}
