package targettest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// Store runs the cases of stores; open returns an empty one and a function that
// opens it again over what it kept.
func Store(t *testing.T, open func(t *testing.T) (s gitops.Store, again func(t testing.TB) gitops.Store)) {
	t.Run("a source that nobody saved has no record", func(t *testing.T) {
		s, _ := open(t)
		record, version, err := s.Load(ctxOf(t), "nobody")
		if err != nil || record != nil || version != "" {
			t.Errorf("got %q, %q, %v", record, version, err)
		}
	})
	t.Run("a record is there after it was saved, and after opening again", func(t *testing.T) {
		s, again := open(t)
		version := save(t, s, "vision", "one", "")
		second := save(t, s, "vision", "two", version)
		save(t, s, "claims", "other", "")
		if version == "" || version == second {
			t.Errorf("the versions are %q and %q", version, second)
		}
		for _, s := range []gitops.Store{s, again(t)} {
			record, got, err := s.Load(ctxOf(t), "vision")
			if err != nil || string(record) != "two" || got != second {
				t.Errorf("got %q, %q, %v; want the version %q", record, got, err, second)
			}
		}
	})
	t.Run("a version that is not the record's is a conflict", func(t *testing.T) {
		s, _ := open(t)
		first := save(t, s, "vision", "one", "")
		second := save(t, s, "vision", "two", first)
		for _, stale := range []string{"", first, "made-up"} {
			_, err := s.Save(ctxOf(t), "vision", []byte("three"), stale)
			wantError(t, err, gitops.ErrConflict)
		}
		_, err := s.Save(ctxOf(t), "unknown", []byte("one"), first)
		wantError(t, err, gitops.ErrConflict)
		if record, _, err := s.Load(ctxOf(t), "vision"); err != nil || string(record) != "two" {
			t.Errorf("got %q, %v", record, err)
		}
		save(t, s, "vision", "three", second)
	})
	t.Run("the same record saved twice has two versions", func(t *testing.T) {
		s, _ := open(t)
		first := save(t, s, "vision", "one", "")
		save(t, s, "vision", "one", save(t, s, "vision", "two", first))
		_, err := s.Save(ctxOf(t), "vision", []byte("late"), first)
		wantError(t, err, gitops.ErrConflict)
	})
	t.Run("of many that save at the same time one wins", func(t *testing.T) {
		s, _ := open(t)
		version := save(t, s, "vision", "zero", "")
		ctx := ctxOf(t)
		const writers = 8
		var wins sync.Map
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				if v, err := s.Save(ctx, "vision", fmt.Append(nil, w), version); err == nil {
					wins.Store(v, fmt.Sprint(w))
				}
			})
		}
		wg.Wait()
		var won []string
		wins.Range(func(_, w any) bool { won = append(won, w.(string)); return true })
		record, _, err := s.Load(ctx, "vision")
		if err != nil || len(won) != 1 || string(record) != won[0] {
			t.Errorf("%v won, the record is %q, %v", won, record, err)
		}
	})
	t.Run("a set is there under its digest until it is dropped", func(t *testing.T) {
		s, again := open(t)
		for _, data := range [][]byte{[]byte("small\n"), {}, bytes.Repeat([]byte("a rendered line of some length\n"), 60_000)} {
			digest := digestOf(data)
			_, err := s.GetSet(ctxOf(t), digest)
			wantError(t, err, gitops.ErrNotFound)
			for range 2 { // once more is no error
				if err := s.PutSet(ctxOf(t), digest, data); err != nil {
					t.Fatal(err)
				}
			}
			s = again(t)
			got, err := s.GetSet(ctxOf(t), digest)
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("got %d bytes, want %d: %v", len(got), len(data), err)
			}
			for range 2 {
				if err := s.DropSet(ctxOf(t), digest); err != nil {
					t.Fatal(err)
				}
			}
			_, err = s.GetSet(ctxOf(t), digest)
			wantError(t, err, gitops.ErrNotFound)
		}
	})
	t.Run("a set under a name that is not its digest is refused", func(t *testing.T) {
		s, _ := open(t)
		for _, name := range []verdict.Digest{digestOf([]byte("other")), "", "sha256:..", "../../escape"} {
			if err := s.PutSet(ctxOf(t), name, []byte("data")); err == nil {
				t.Errorf("%q passes", name)
			}
		}
	})
	t.Run("a source whose name is a path is refused or stays inside", func(t *testing.T) {
		s, _ := open(t)
		save(t, s, "vision", "one", "")
		for _, name := range []string{"", "..", "../vision", "a/b", ".", "a\x00b", "/etc/passwd"} {
			if _, err := s.Save(ctxOf(t), name, []byte("x"), ""); err == nil {
				t.Errorf("%q passes", name)
			}
			if record, _, err := s.Load(ctxOf(t), name); err == nil && record != nil {
				t.Errorf("%q has the record %q", name, record)
			}
		}
	})
}

func save(t *testing.T, s gitops.Store, source, record, version string) string {
	t.Helper()
	next, err := s.Save(ctxOf(t), source, []byte(record), version)
	if err != nil {
		t.Fatalf("save %s: %v", source, err)
	}
	return next
}

func digestOf(data []byte) verdict.Digest {
	sum := sha256.Sum256(data)
	return verdict.Digest("sha256:" + hex.EncodeToString(sum[:]))
}
