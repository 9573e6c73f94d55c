package app

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A commit whose workloads cannot be read at once is in force and has no verdicts
// yet: it is looked at until it has, and the process is ill meanwhile.
func TestUpTellsOfACommitWhoseWorkloadsCouldNotBeReadAtFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ws")
	r := start(t, dir, nil)
	index := filepath.Join(t.TempDir(), "index")
	git := func(stdin string, args ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...)
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_INDEX_FILE="+index)
		c.Stdin = strings.NewReader(stdin)
		out, err := c.Output()
		if err != nil {
			t.Fatalf("git %v: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	good, err := os.ReadFile(filepath.Join(dir, "workloads", "captioner.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	blob := git("# once more\n"+string(good), "hash-object", "-w", "--stdin")
	git("", "read-tree", "HEAD")
	git("", "update-index", "--add", "--cacheinfo", "100644,"+blob+",workloads/again.yaml")
	commit := git("", "commit-tree", git("", "write-tree"), "-p", "HEAD", "-m", "Once more")
	object := filepath.Join(dir, ".git", "objects", blob[:2], blob[2:])
	if err := os.Rename(object, object+".away"); err != nil {
		t.Fatal(err)
	}
	git("", "update-ref", "HEAD", commit)
	r.await(func() bool {
		status, _ := r.ask("GET", "/healthz", r.token, "")
		return status == http.StatusServiceUnavailable
	})
	if err := os.Rename(object+".away", object); err != nil {
		t.Fatal(err)
	}
	select {
	case v := <-r.verdicts:
		if got := decided(&v.Report)["again"]; v.Commit != commit || got != "allow ok" {
			t.Errorf("at %s the workload is %q, want it allowed at %s", v.Commit, got, commit)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("there are no verdicts of the commit")
	}
	r.await(func() bool {
		status, _ := r.ask("GET", "/healthz", r.token, "")
		return status == http.StatusOK
	})
}
