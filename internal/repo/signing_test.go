package repo

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheGitCommandSignsWithTheKey(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is needed")
	}
	dir, key := t.TempDir(), filepath.Join(t.TempDir(), "key")
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	r, err := Init(dir, Author{"a", "a@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.SignWith(t.Context(), "key"); err == nil {
		t.Error("a relative path is taken")
	}
	if err := r.SignWith(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"add", "a"}, {"commit", "-q", "-m", "one"}} {
		c := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...)
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v %s", args, err, out)
		}
	}
	head, err := r.Head()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := r.RawCommit(head)
	if err != nil || !strings.HasPrefix(string(raw.Signature), "-----BEGIN SSH SIGNATURE-----") {
		t.Errorf("%q %v", raw.Signature, err)
	}
}

// A configuration that is cut short and then written, as go-git does it, has no
// author for the one who reads it in between, and none at all after a kill.
func TestACommitMeanwhileFindsItsAuthor(t *testing.T) {
	r, err := Init(t.TempDir(), Author{"a", "a@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := r.SignWith(t.Context(), fmt.Sprintf("/keys/%d", i)); err != nil {
				done <- err
				return
			}
		}
	}()
	for range 2000 {
		if _, err := r.author(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTheSameKeyIsWrittenOnce(t *testing.T) {
	r, err := Init(t.TempDir(), Author{"a", "a@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	file := filepath.Join(r.Dir(), ".git", "config")
	var seen []os.FileInfo
	for _, key := range []string{"/keys/one", "/keys/one", "/keys/two"} {
		if err := r.SignWith(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, info)
	}
	if !os.SameFile(seen[0], seen[1]) || os.SameFile(seen[1], seen[2]) {
		t.Error("it is written again for the same key, or not for another")
	}
	if left, _ := filepath.Glob(file + ".*"); left != nil {
		t.Errorf("left behind: %v", left)
	}
}
