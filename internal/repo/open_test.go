package repo

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestOpenRefusesWhatItWouldMisread(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		mend  func(t *testing.T, dir string)
		is    error
	}{
		{"no repository",
			func(t *testing.T, dir string) { remove(t, filepath.Join(dir, ".git")) },
			func(t *testing.T, dir string) { gitCmd(t, dir, "init", "-q") }, ErrNotRepository},
		{"a linked work tree",
			func(t *testing.T, dir string) {
				rename(t, filepath.Join(dir, ".git"), filepath.Join(dir, "elsewhere"))
				writeFile(t, dir, ".git", "gitdir: elsewhere\n")
			},
			func(t *testing.T, dir string) {
				remove(t, filepath.Join(dir, ".git"))
				rename(t, filepath.Join(dir, "elsewhere"), filepath.Join(dir, ".git"))
			}, ErrUnsupported},
		{"a directory that is a link",
			func(t *testing.T, dir string) {
				rename(t, filepath.Join(dir, ".git"), filepath.Join(dir, "elsewhere"))
				link(t, "elsewhere", filepath.Join(dir, ".git"))
			},
			func(t *testing.T, dir string) {
				remove(t, filepath.Join(dir, ".git"))
				rename(t, filepath.Join(dir, "elsewhere"), filepath.Join(dir, ".git"))
			}, ErrUnsupported},
		{"borrowed objects",
			func(t *testing.T, dir string) { writeFile(t, dir, ".git/objects/info/alternates", "/tmp\n") },
			func(t *testing.T, dir string) { remove(t, filepath.Join(dir, ".git/objects/info/alternates")) }, ErrUnsupported},
		{"parts elsewhere",
			func(t *testing.T, dir string) { writeFile(t, dir, ".git/commondir", "..\n") },
			func(t *testing.T, dir string) { remove(t, filepath.Join(dir, ".git/commondir")) }, ErrUnsupported},
		{"a work tree elsewhere",
			func(t *testing.T, dir string) { gitCmd(t, dir, "config", "core.worktree", "/tmp") },
			func(t *testing.T, dir string) { writeFile(t, dir, ".git/config", "[core]\n") }, ErrUnsupported},
		{"hashes that are not SHA-1",
			func(t *testing.T, dir string) {
				remove(t, filepath.Join(dir, ".git"))
				gitCmd(t, dir, "init", "-q", "--object-format=sha256")
			},
			func(t *testing.T, dir string) {
				remove(t, filepath.Join(dir, ".git"))
				gitCmd(t, dir, "init", "-q")
			}, ErrUnsupported},
		{"an endless HEAD",
			func(t *testing.T, dir string) { writeFile(t, dir, ".git/HEAD", strings.Repeat("x", maxHead+1)) },
			func(t *testing.T, dir string) { writeFile(t, dir, ".git/HEAD", "ref: refs/heads/main\n") }, ErrTooLarge},
		{"a HEAD outside",
			func(t *testing.T, dir string) {
				remove(t, filepath.Join(dir, ".git/HEAD"))
				link(t, "/etc/hostname", filepath.Join(dir, ".git/HEAD"))
			},
			func(t *testing.T, dir string) {
				remove(t, filepath.Join(dir, ".git/HEAD"))
				writeFile(t, dir, ".git/HEAD", "ref: refs/heads/main\n")
			}, ErrNotRepository},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := byGit(t)
			tt.spoil(t, dir)
			if r, err := Open(dir); !errors.Is(err, tt.is) {
				t.Errorf("got %v, %v; want %v", r, err, tt.is)
			}
			tt.mend(t, dir)
			openRepo(t, dir)
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "nowhere")); !errors.Is(err, ErrNotRepository) {
		t.Errorf("a directory that does not exist: %v", err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestResolve(t *testing.T) {
	dir := byGit(t)
	for _, n := range []string{"1", "2", "3"} {
		writeFile(t, dir, "a", n)
		gitCmd(t, dir, "add", ".")
		gitCmd(t, dir, "commit", "-qm", n)
	}
	gitCmd(t, dir, "branch", "side/way", "HEAD~1")
	gitCmd(t, dir, "tag", "light", "HEAD~2")
	gitCmd(t, dir, "tag", "-a", "-m", "m", "noted", "HEAD~1")
	gitCmd(t, dir, "tag", "-a", "-m", "m", "twice", "noted")
	gitCmd(t, dir, "update-ref", "refs/remotes/origin/main", "HEAD~1")
	gitCmd(t, dir, "tag", "agree", "HEAD")
	gitCmd(t, dir, "branch", "agree", "HEAD")
	head := gitCmd(t, dir, "rev-parse", "HEAD")
	r := openRepo(t, dir)
	check := func(t *testing.T) {
		for _, rev := range []string{"HEAD", "@", "main", "refs/heads/main", "side/way", "light", "noted", "twice", "refs/tags/twice",
			"origin/main", "agree", head, strings.ToUpper(head), "HEAD~2", "HEAD~", "main^", "HEAD~1^", "HEAD^~1", "main~0", "twice~1"} {
			got, err := r.Resolve(rev)
			if want := gitCmd(t, dir, "rev-parse", rev+"^{commit}"); err != nil || string(got) != want {
				t.Errorf("Resolve(%q) = %s, %v; git says %s", rev, got, err, want)
			}
		}
	}
	t.Run("as git does", check)
	gitCmd(t, dir, "pack-refs", "--all")
	gitCmd(t, dir, "gc", "-q", "--prune=now")
	t.Run("as git does, packed", check)

	gitCmd(t, dir, "tag", "main", "HEAD~1")
	if got, err := r.Resolve("main"); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("a tag beside a branch: %s, %v", got, err)
	}
	if got, err := r.Resolve("refs/heads/main"); err != nil || string(got) != head {
		t.Errorf("the branch, spelled out: %s, %v", got, err)
	}
	blob := gitCmd(t, dir, "rev-parse", "HEAD:a")
	for _, rev := range []string{"", "nothing", "../../config", "HEAD~3", "HEAD^2", "HEAD~x", "HEAD~99999999999999999999", "HEAD" + strings.Repeat("~9999", 50),
		blob, strings.Repeat("1", 40), head[:12], ":/m", "HEAD@{1}", "refs/heads/", "a..b", "-x", "HEAD^{tree}"} {
		if got, err := r.Resolve(rev); err == nil {
			t.Errorf("Resolve(%.40q) = %s", rev, got)
		}
	}
}

func TestCommitNamesAreWholeHashes(t *testing.T) {
	r := newRepo(t)
	c := commit(t, r, files("a", "1"))
	for _, bad := range []Commit{"", "HEAD", c[:39], c + "0", Commit(strings.ToUpper("abcdef0123456789abcdef0123456789abcdef01"))} {
		if _, err := r.At(t.Context(), bad); err == nil {
			t.Errorf("At(%q) worked", bad)
		}
	}
	at(t, r, c)
}

func TestClean(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  []string
	}{
		{"nothing changed", func(*testing.T, string) {}, nil},
		{"an edited file", func(t *testing.T, dir string) { writeFile(t, dir, "dir/b", "edited") }, []string{"dir/b"}},
		{"a file edited to the same size", func(t *testing.T, dir string) { writeFile(t, dir, "a", "2") }, []string{"a"}},
		{"a removed file", func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "a")) }, []string{"a"}},
		{"a new file", func(t *testing.T, dir string) { writeFile(t, dir, "new", "") }, []string{"new"}},
		{"an ignored file", func(t *testing.T, dir string) { writeFile(t, dir, "x.log", "") }, nil},
		{"an edited file that is tracked and ignored", func(t *testing.T, dir string) {
			writeFile(t, dir, "kept.log", "1")
			gitCmd(t, dir, "add", "-f", "kept.log")
			gitCmd(t, dir, "commit", "-qm", "kept")
			writeFile(t, dir, "kept.log", "2")
		}, []string{"kept.log"}},
		{"a tracked file that a new .gitignore would hide", func(t *testing.T, dir string) {
			writeFile(t, dir, "dir/.gitignore", "*\n")
			writeFile(t, dir, "dir/b", "edited")
		}, []string{"dir/b"}},
		{"an executable bit", func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, "a"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, []string{"a"}},
		{"a staged file", func(t *testing.T, dir string) {
			writeFile(t, dir, "a", "staged")
			gitCmd(t, dir, "add", "a")
		}, []string{"a"}},
		{"a staged change that was undone on disk", func(t *testing.T, dir string) {
			writeFile(t, dir, "a", "staged")
			gitCmd(t, dir, "add", "a")
			writeFile(t, dir, "a", "1")
		}, []string{"a"}},
		{"an edited file that git was told not to look at", func(t *testing.T, dir string) {
			gitCmd(t, dir, "update-index", "--assume-unchanged", "a")
			writeFile(t, dir, "a", "hidden")
		}, []string{"a"}},
		{"a file that git was told to skip", func(t *testing.T, dir string) {
			gitCmd(t, dir, "update-index", "--skip-worktree", "a")
			writeFile(t, dir, "a", "hidden")
		}, []string{"a"}},
		{"a skipped file that is as it was", func(t *testing.T, dir string) {
			gitCmd(t, dir, "update-index", "--skip-worktree", "a")
		}, nil},
		{"an edited file whose size and time were put back", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "a")
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, dir, "a", "2")
			if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
		}, []string{"a"}},
		{"a file replaced by a link to its like", func(t *testing.T, dir string) {
			writeFile(t, dir, "x.log", "1")
			remove(t, filepath.Join(dir, "a"))
			link(t, "x.log", filepath.Join(dir, "a"))
		}, []string{"a"}},
		{"a link outside", func(t *testing.T, dir string) { link(t, "/etc/passwd", filepath.Join(dir, "out")) }, []string{"out"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t)
			commit(t, r, files("a", "1", "dir/b", "2", ".gitignore", "*.log\n"))
			tt.spoil(t, r.Dir())
			clean, got, err := r.Clean(t.Context())
			if err != nil || clean != (len(tt.want) == 0) || !slices.Equal(got, tt.want) {
				t.Errorf("Clean() = %v, %q, %v; want %q", clean, got, err, tt.want)
			}
		})
	}
}
