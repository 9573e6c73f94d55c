package repo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func openMirror(t testing.TB, dir string, s served, ref string) *Mirror {
	t.Helper()
	m, err := OpenMirror(dir, s.remote(t), ref)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func fetch(t testing.TB, m *Mirror) Fetched {
	t.Helper()
	f, err := m.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// same holds the mirror to what git says about the repository that it copies.
func same(t *testing.T, m *Mirror, s served, c Commit) {
	t.Helper()
	list := []string{"rev-list", "--objects", "--no-object-names", string(c)}
	want := strings.Fields(gitCmd(t, s.dir, list...))
	got := strings.Fields(gitCmd(t, m.Repo().Dir(), list...))
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d objects, want %d", len(got), len(want))
	}
	gitCmd(t, m.Repo().Dir(), "fsck", "--full", "--strict")
	for _, idx := range packFiles(t, m, ".idx") {
		gitCmd(t, m.Repo().Dir(), "verify-pack", idx)
	}
}

func packFiles(t testing.TB, m *Mirror, suffix string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(m.Repo().Dir(), packDir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestFetch(t *testing.T) {
	for name, serve := range ways(t) {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			dir := filepath.Join(t.TempDir(), "mirror")
			s.commit(t, "deploy/a.yaml", strings.Repeat("a: 1\n", 500))
			gitCmd(t, s.dir, "switch", "-qc", "secret")
			secret := s.commit(t, "secret", "not asked for")
			gitCmd(t, s.dir, "switch", "-q", "main")
			for i := range 20 {
				s.commit(t, "deploy/a.yaml", strings.Repeat("a: 1\n", 500)+fmt.Sprint(i))
			}
			first := s.commit(t, "b", "1")
			gitCmd(t, s.dir, "repack", "-qad")

			m := openMirror(t, dir, s, "main")
			if _, err := m.Head(); !errors.Is(err, ErrNoCommit) {
				t.Errorf("before the first fetch: %v", err)
			}
			if f := fetch(t, m); f != (Fetched{Head: first}) {
				t.Errorf("the first fetch: %+v", f)
			}
			same(t, m, s, first)
			if _, err := m.Repo().At(t.Context(), secret); !errors.Is(err, ErrNotFound) {
				t.Errorf("a commit that was not asked for: %v", err)
			}

			if f := fetch(t, m); f != (Fetched{Head: first, Before: first}) || len(packFiles(t, m, ".pack")) != 1 {
				t.Errorf("a fetch of nothing new: %+v", f)
			}
			second := s.commit(t, "b", "2")
			if f := fetch(t, m); f != (Fetched{Head: second, Before: first}) {
				t.Errorf("a fetch of one commit: %+v", f)
			}
			if data, err := at(t, m.Repo(), second).ReadFile("b"); err != nil || string(data) != "2" {
				t.Errorf("%q, %v", data, err)
			}
			if size := fileSize(t, packFiles(t, m, ".pack")...); size[0] > 2000 && size[1] > 2000 {
				t.Errorf("packs of %d bytes: one commit of one small file is not that large", size)
			}
			same(t, m, s, second)

			// A merge of a branch that left before.
			gitCmd(t, s.dir, "switch", "-qc", "side", string(first)+"~5")
			s.commit(t, "side", "1")
			gitCmd(t, s.dir, "switch", "-q", "main")
			gitCmd(t, s.dir, "merge", "-q", "--no-edit", "side")
			merge := Commit(gitCmd(t, s.dir, "rev-parse", "HEAD"))
			if f := fetch(t, m); f != (Fetched{Head: merge, Before: second}) {
				t.Errorf("a fetch of a merge: %+v", f)
			}
			same(t, m, s, merge)
			if err := m.Accept(merge); err != nil {
				t.Fatal(err)
			}

			// Rewound, and written anew from there.
			gitCmd(t, s.dir, "reset", "-q", "--hard", string(first))
			if f := fetch(t, m); f != (Fetched{Head: first, Before: merge, Forced: true}) {
				t.Errorf("a fetch of a rewound history: %+v", f)
			}
			forced := s.commit(t, "c", "1")
			if f := fetch(t, m); f != (Fetched{Head: forced, Before: first}) {
				t.Errorf("a fetch of what was written on it: %+v", f)
			}
			same(t, m, s, forced)
			if got, err := m.Accepted(); err != nil || got != merge {
				t.Errorf("the accepted commit is %s, %v", got, err)
			}
			at(t, m.Repo(), merge)
			same(t, m, s, merge)

			// Again from the disk.
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			m = openMirror(t, dir, s, "main")
			if head, err := m.Head(); err != nil || head != forced {
				t.Errorf("after opening again: %s, %v", head, err)
			}
			// The branch is deleted and made again.
			gitCmd(t, s.dir, "branch", "-m", "main", "other")
			if _, err := m.Fetch(t.Context()); !errors.Is(err, ErrNotFound) {
				t.Errorf("a branch that is gone: %v", err)
			}
			if head, err := m.Head(); err != nil || head != forced {
				t.Errorf("after a fetch that failed: %s, %v", head, err)
			}
			gitCmd(t, s.dir, "switch", "-q", "--orphan", "main")
			orphan := s.commit(t, "d", "1")
			if f := fetch(t, m); f != (Fetched{Head: orphan, Before: forced, Forced: true}) {
				t.Errorf("a fetch of another history: %+v", f)
			}
			same(t, m, s, orphan)
		})
	}
}

func fileSize(t testing.TB, names ...string) (sizes []int64) {
	t.Helper()
	for _, n := range names {
		info, err := os.Stat(n)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, info.Size())
	}
	return sizes
}

func TestFetchOfTags(t *testing.T) {
	for name, serve := range ways(t) {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			c := s.commit(t, "a", "1")
			gitCmd(t, s.dir, "tag", "-am", "one", "v1")
			m := openMirror(t, filepath.Join(t.TempDir(), "m"), s, "refs/tags/v1")
			if f := fetch(t, m); f != (Fetched{Head: c}) {
				t.Errorf("%+v", f)
			}
			tag := gitCmd(t, s.dir, "rev-parse", "v1")
			if got := gitCmd(t, m.Repo().Dir(), "rev-parse", "refs/tags/v1"); got != tag {
				t.Errorf("the tag is %s, want %s", got, tag)
			}
			same(t, m, s, c)
			moved := s.commit(t, "a", "2")
			gitCmd(t, s.dir, "tag", "-fam", "two", "v1")
			if f := fetch(t, m); f != (Fetched{Head: moved, Before: c}) {
				t.Errorf("a tag that moved: %+v", f)
			}
			gitCmd(t, s.dir, "tag", "-fam", "two", "v1", "HEAD:a")
			if f, err := m.Fetch(t.Context()); err == nil {
				t.Errorf("a tag of a file: %+v", f)
			}
			if head, err := m.Head(); err != nil || head != moved {
				t.Errorf("after that: %s, %v", head, err)
			}
		})
	}
}
