package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

func configMap(t testing.TB, name string, size int) *gitops.Object {
	t.Helper()
	o, err := gitops.NewObject(map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": name, "namespace": "vision", "labels": map[string]any{gitops.LabelSource: "vision"}},
		"data":     map[string]any{"a": string(bytes.Repeat([]byte("x"), size))}}, verdict.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	return &o
}

func put(t testing.TB, s *Store, name string, size int) {
	t.Helper()
	if _, err := s.Apply(t.Context(), configMap(t, name, size), gitops.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
}

// written returns the log of a store with three objects, and where its frames end.
func written(t testing.TB) (data []byte, ends []int64) {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		put(t, s, fmt.Sprint("n-", i), 100)
		ends = append(ends, s.journal.size)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if data, err = os.ReadFile(filepath.Join(dir, logName)); err != nil {
		t.Fatal(err)
	}
	return data, ends
}

func openWith(t testing.TB, data []byte) (*Store, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, logName), data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Dir: dir})
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

func TestALogThatEndsAnywhereIsReadUpToItsLastWholeFrame(t *testing.T) {
	data, ends := written(t)
	for cut := range len(data) + 1 {
		want := 0
		for _, end := range ends {
			if int64(cut) >= end {
				want++
			}
		}
		if cut%41 != 0 && cut != len(data) { // each byte tells the same; a few of each frame do
			continue
		}
		s, err := openWith(t, data[:cut])
		if err != nil || len(s.rows) != want {
			t.Fatalf("cut at %d of %d: %v", cut, len(data), err)
		}
		put(t, s, "after", 10)
	}
}

func TestALastFrameThatIsGarbageIsCutAndAnEarlierOneIsDamage(t *testing.T) {
	data, ends := written(t)
	for at := range data {
		if at%29 != 0 {
			continue
		}
		broken := bytes.Clone(data)
		broken[at] ^= 0x40
		s, err := openWith(t, broken)
		if last := int64(at) >= ends[1]; last {
			if err != nil || len(s.rows) != 2 {
				t.Errorf("byte %d of the last frame: %v", at, err)
			}
		} else if !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	if s, err := openWith(t, append(bytes.Clone(data), make([]byte, 4096)...)); err != nil || len(s.rows) != 3 {
		t.Errorf("zeros after the last frame: %v", err)
	}
}

func TestTheLogIsRewrittenWhenMostOfItIsHistory(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "stays", 100)
	for i := range 40 {
		put(t, s, "changes", 400_000+i)
	}
	if err := s.Delete(t.Context(), configMap(t, "changes", 0).ID, "v1", gitops.Precondition{}); err != nil {
		t.Fatal(err)
	}
	put(t, s, "last", 10)
	revision := s.revision.Load()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, logName))
	if err != nil || info.Size() > 2*compactSlack {
		t.Errorf("the log has %d bytes, 16,000,000 were written: %v", info.Size(), err)
	}
	// What a rewrite left that was killed is taken away.
	if err := os.WriteFile(filepath.Join(dir, logName+".new"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if len(s.rows) != 2 || s.revision.Load() != revision {
		t.Errorf("%d objects at %d, want 2 at %d", len(s.rows), s.revision.Load(), revision)
	}
	if _, err := os.Stat(filepath.Join(dir, logName+".new")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestOneProcessHoldsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), configMap(t, "late", 1), gitops.ApplyOptions{}); err == nil {
		t.Error("a closed store takes writes")
	}
	if s, err = Open(Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestAfterAFailedWriteNothingIsWrittenAndNothingIsAnswered(t *testing.T) {
	s, err := Open(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "before", 1)
	s.journal.file.Close() // the disk is gone
	for range 2 {
		if _, err := s.Apply(t.Context(), configMap(t, "lost", 1), gitops.ApplyOptions{}); err == nil {
			t.Error("a write that failed is answered")
		}
	}
	if _, err := s.Get(t.Context(), configMap(t, "lost", 1).ID, "v1"); !errors.Is(err, gitops.ErrNotFound) {
		t.Errorf("what was not written is seen: %v", err)
	}
}

func FuzzLog(f *testing.F) {
	data, ends := written(f)
	f.Add(data)
	f.Add(data[:ends[1]+3])
	f.Add([]byte(magic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var records [][]byte
		good, err := readFrames(bytes.NewReader(data), int64(len(data)), func(r []byte) error {
			records = append(records, bytes.Clone(r))
			_, err := decodeRecord(r)
			return err
		})
		if good > int64(len(data)) || good < 0 {
			t.Fatalf("%d of %d bytes are good", good, len(data))
		}
		if err != nil {
			return
		}
		// What was read can be written and read again.
		var again [][]byte
		frame := encodeFrame(records)
		if _, err := readFrames(bytes.NewReader(frame), int64(len(frame)), func(r []byte) error { again = append(again, bytes.Clone(r)); return nil }); err != nil || len(again) != len(records) {
			t.Fatalf("%d records, then %d: %v", len(records), len(again), err)
		}
	})
}
