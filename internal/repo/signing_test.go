package repo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
	if err := r.SignWith("key"); err == nil {
		t.Error("a relative path is taken")
	}
	if err := r.SignWith(key); err != nil {
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
