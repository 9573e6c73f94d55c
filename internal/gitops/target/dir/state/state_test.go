package state_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/dir/state"
	"github.com/apexlogic/apex/internal/gitops/targettest"
	"github.com/apexlogic/apex/verdict"
)

func open(t testing.TB, dir string) *state.Store {
	t.Helper()
	s, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestADirectoryIsAStore(t *testing.T) {
	targettest.Store(t, func(t *testing.T) (gitops.Store, func(testing.TB) gitops.Store) {
		dir := t.TempDir()
		return open(t, dir), func(t testing.TB) gitops.Store { return open(t, dir) }
	})
}

func TestTwoProcessesSeeEachOthersRecords(t *testing.T) {
	dir := t.TempDir()
	one, two := open(t, dir), open(t, dir)
	version, err := one.Save(t.Context(), "vision", []byte("one"), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Save(t.Context(), "vision", []byte("two"), ""); !errors.Is(err, gitops.ErrConflict) {
		t.Errorf("got %v", err)
	}
	if _, err := two.Save(t.Context(), "vision", []byte("two"), version); err != nil {
		t.Errorf("its twin: %v", err)
	}
}

func TestNothingOutsideIsReadOrWrittenThroughALink(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("apex-record-1 0123456789abcdef0123456789abcdef\nstolen"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := open(t, dir)
	if err := os.Symlink(outside, filepath.Join(dir, "records", "vision")); err != nil {
		t.Fatal(err)
	}
	if record, _, err := s.Load(t.Context(), "vision"); err == nil {
		t.Errorf("the record is %q", record)
	}
	digest := verdict.Digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	if err := os.Symlink(outside, filepath.Join(dir, "sets", digest.Hex())); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GetSet(t.Context(), digest); err == nil {
		t.Error("a set is read through a link")
	}
	if err := s.PutSet(t.Context(), digest, nil); err != nil {
		t.Fatal(err)
	}
	if data, err := s.GetSet(t.Context(), digest); err != nil || len(data) != 0 {
		t.Errorf("the link was not replaced: %q, %v", data, err)
	}
	if data, _ := os.ReadFile(outside); len(data) == 0 {
		t.Error("the file outside was written")
	}
	if err := os.Remove(filepath.Join(dir, "sets", digest.Hex())); err != nil {
		t.Fatal(err)
	}
	// A whole directory that leads out is no store.
	elsewhere := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(elsewhere, "records")); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(elsewhere); err == nil {
		t.Error("a store opens whose records are elsewhere")
	}
}

func TestADamagedRecordOrSetIsAnErrorNotAnAnswer(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Save(t.Context(), "vision", []byte("one"), ""); err != nil {
		t.Fatal(err)
	}
	set := []byte("object\n")
	digest := verdict.Digest("sha256:a7d22e6f5f9e2e0a3d2eb0a0d9d2c6d8a4f0b1b2c3d4e5f60718293a4b5c6d7e")
	if err := s.PutSet(t.Context(), digest, set); err == nil {
		t.Fatal("a made-up digest passes")
	}
	for name, data := range map[string]string{"records/vision": "apex-rec", "sets/" + digest.Hex(): "tampered"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if record, _, err := s.Load(t.Context(), "vision"); err == nil {
		t.Errorf("the record is %q", record)
	}
	if _, err := s.GetSet(t.Context(), digest); err == nil || errors.Is(err, gitops.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestAnEndedContextEndsTheCall(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Save(ctx, "vision", []byte("one"), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if record, _, err := s.Load(t.Context(), "vision"); record != nil || err != nil {
		t.Errorf("the record is %q, %v", record, err)
	}
}
