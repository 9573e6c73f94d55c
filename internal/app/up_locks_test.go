package app

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/apexlogic/apex/internal/repo"
)

// again starts and ends an apex up on a workspace that is there.
func again(t *testing.T, w Workspace) error {
	t.Helper()
	return Up(t.Context(), UpOptions{Dir: w.Dir, Once: true})
}

// leave makes an empty file in the workspace, as a process that was killed does.
func leave(t *testing.T, w Workspace, path ...string) string {
	t.Helper()
	name := filepath.Join(append([]string{w.Dir}, path...)...)
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestALockThatAKilledUpHasLeftIsNobodys(t *testing.T) {
	w := onceUp(t)
	lock := leave(t, w, ".git", "config.lock")
	leave(t, w, folderState, "signing")
	if err := again(t, w); err != nil {
		t.Fatalf("after a kill while it told git how to sign: %v", err)
	}
	// Its twin is somebody's whose git runs.
	leave(t, w, ".git", "config.lock")
	for range 2 {
		if err := again(t, w); !errors.Is(err, repo.ErrLocked) {
			t.Errorf("beside a git that runs: %v", err)
		}
	}
	if err := os.Remove(lock); err != nil {
		t.Error("the lock of somebody else is gone")
	}
	if err := again(t, w); err != nil {
		t.Error(err)
	}
}

func TestALockThatWasLeftByTheFirstCommitIsNobodys(t *testing.T) {
	w := onceUp(t)
	leave(t, w, ".git", "index.lock")
	files := map[string][]byte{"note.md": []byte("a note\n")}
	if _, err := w.Commit(t.Context(), files, "Note"); !errors.Is(err, repo.ErrLocked) {
		t.Fatalf("beside a git that runs: %v", err)
	}
	leave(t, w, folderState, "making")
	if err := again(t, w); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(t.Context(), files, "Note"); err != nil {
		t.Errorf("after a kill at the end of the first commit: %v", err)
	}
}

// A connection that goes out has the port that it was given, and nobody can listen
// there meanwhile.
func TestPortsOfAWorkspaceAreNoneThatConnectionsAreGiven(t *testing.T) {
	w := onceUp(t)
	at, err := w.endpoints()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{at.Registry, at.API, at.Captioner} {
		_, text, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		if port, err := strconv.Atoi(text); err != nil || port < lowestPort || port > highestPort {
			t.Errorf("it listens on %s", address)
		}
	}
}
