package repo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Every repository here is made to hurt, and is refused by name within this
// budget. Those whose harm is in who wrote them, such as merges of commits that
// nobody signed, are for whoever judges histories.
var tight = Limits{Bytes: 8 << 20, Objects: 50_000, Unpacked: 64 << 20, Time: 30 * time.Second}

// readAll fetches, and reads everything that the head holds. The reference has
// moved only if the fetch itself worked.
func readAll(t *testing.T, s served) error {
	t.Helper()
	if s.opt.Limits == (Limits{}) {
		s.opt.Limits = tight
	}
	m := openMirror(t, filepath.Join(t.TempDir(), "m"), s, "main")
	f, err := m.Fetch(t.Context())
	if err != nil {
		if head, headErr := m.Head(); !errors.Is(headErr, ErrNoCommit) {
			t.Errorf("a fetch that failed moved the reference to %s, %v", head, headErr)
		}
		return err
	}
	tree, err := m.Repo().At(t.Context(), f.Head)
	if err != nil {
		return err
	}
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			_, err = tree.ReadFile(name)
		}
		return err
	})
}

// refuses checks that reading ends in the reason, and says what is wrong.
func refusesAll(t *testing.T, s served, is error, says string) {
	t.Helper()
	err := readAll(t, s)
	if !errors.Is(err, is) || !strings.Contains(fmt.Sprint(err), says) {
		t.Errorf("got %v; want %v that says %q", err, is, says)
	}
}

// tree makes a directory whose lines are written as they are given.
func rawTree(t testing.TB, r *Repo, lines ...string) plumbing.Hash {
	t.Helper()
	return put(t, r, plumbing.TreeObject, []byte(strings.Join(lines, "")))
}

func blob(t testing.TB, r *Repo, text string) plumbing.Hash {
	return put(t, r, plumbing.BlobObject, []byte(text))
}

// A tree is what somebody committed; the twin is the same with honest names.
func TestHostileTrees(t *testing.T) {
	named := func(mode, name string) func(testing.TB, *Repo) plumbing.Hash {
		return func(t testing.TB, r *Repo) plumbing.Hash { return rawTree(t, r, line(mode, name, blob(t, r, "x"))) }
	}
	inDir := func(name string) func(testing.TB, *Repo) plumbing.Hash {
		return func(t testing.TB, r *Repo) plumbing.Hash {
			return rawTree(t, r, line("40000", name, rawTree(t, r, line("100644", "config", blob(t, r, "x")))))
		}
	}
	two := func(first, second string) func(testing.TB, *Repo) plumbing.Hash {
		return func(t testing.TB, r *Repo) plumbing.Hash {
			return rawTree(t, r, line("100644", first, blob(t, r, "1")), line("100644", second, blob(t, r, "2")))
		}
	}
	nested := func(levels, times int) func(testing.TB, *Repo) plumbing.Hash {
		return func(t testing.TB, r *Repo) plumbing.Hash {
			h := rawTree(t, r, line("100644", "leaf", blob(t, r, "x")))
			for range levels {
				var lines []string
				for i := range times {
					lines = append(lines, line("40000", fmt.Sprintf("d%02d", i), h))
				}
				h = rawTree(t, r, lines...)
			}
			return h
		}
	}
	// git itself does not send these, or not all of them.
	gitRefuses := []string{"an empty name", "a mode of a device", "a mode that is no number", "a directory that is a file",
		"a file that is a directory", "a line that ends early", "an object that is not there"}
	tests := []struct {
		name string
		tree func(testing.TB, *Repo) plumbing.Hash
		is   error
		says string
	}{
		{"an honest file", named("100644", "a.yaml"), nil, ""},
		{"a name that leads up", named("100644", ".."), ErrBadName, "leads out"},
		{"a directory that leads up", inDir(".."), ErrBadName, "leads out"},
		{"a name for the directory itself", named("100644", "."), ErrBadName, "leads out"},
		{"an absolute name", named("100644", "/etc/passwd"), ErrBadName, "separator"},
		{"a path as a name", named("100644", "a/../../b"), ErrBadName, "separator"},
		{"a path of Windows", named("100644", `..\b`), ErrBadName, "separator"},
		{"a stream of NTFS", named("100644", ".git::$INDEX_ALLOCATION"), ErrBadName, "stream"},
		{"an empty name", named("100644", ""), ErrBadName, "empty"},
		{"a name that is not UTF-8", named("100644", "\xff"), ErrBadName, "UTF-8"},
		{"a .git directory", inDir(".git"), ErrBadName, ".git"},
		{"a .GIT directory", inDir(".GiT"), ErrBadName, ".git"},
		{"a .git directory with a character that HFS+ leaves out", inDir(".g\u200cit"), ErrBadName, ".git"},
		{"a .git directory by its short name", inDir("GIT~1"), ErrBadName, ".git"},
		{"a .git directory with a dot that NTFS leaves out", inDir(".git. "), ErrBadName, ".git"},
		{"names that differ in case", two("Config.yaml", "config.yaml"), ErrClash, "config.yaml"},
		{"names that differ in how an accent is written", two("cafe\u0301", "caf\u00e9"), ErrClash, "caf"},
		{"names that differ in a long s", two("s", "\u017f"), ErrClash, ""},
		{"honest names that are nearly the same", two("config.yaml", "config.yml"), nil, ""},
		{"a link out of the root", func(t testing.TB, r *Repo) plumbing.Hash {
			return rawTree(t, r, line("120000", "out", blob(t, r, "../../etc/passwd")))
		}, ErrSymlink, `"out"`},
		{"a submodule", func(t testing.TB, r *Repo) plumbing.Hash {
			return rawTree(t, r, line("160000", "sub", plumbing.NewHash(strings.Repeat("1", 40))))
		}, ErrSubmodule, `"sub"`},
		{"one name twice", two("a", "a"), ErrCorrupt, "twice"},
		{"names that are not in order", two("b", "a"), ErrCorrupt, "order"},
		{"a file and a directory of one name", func(t testing.TB, r *Repo) plumbing.Hash {
			x := blob(t, r, "x")
			return rawTree(t, r, line("100644", "a", x), line("40000", "a", rawTree(t, r, line("100644", "b", x))))
		}, ErrCorrupt, "twice"},
		{"a mode with a zero before it", named("0100644", "a"), ErrCorrupt, "mode"},
		{"a mode of a device", named("60644", "a"), ErrCorrupt, "mode"},
		{"a mode that is no number", named("10064x", "a"), ErrCorrupt, "mode"},
		{"a directory that is a file", func(t testing.TB, r *Repo) plumbing.Hash {
			return rawTree(t, r, line("40000", "d", blob(t, r, "x")))
		}, ErrCorrupt, ""},
		{"a file that is a directory", func(t testing.TB, r *Repo) plumbing.Hash {
			return rawTree(t, r, line("100644", "d", rawTree(t, r, line("100644", "b", blob(t, r, "x")))))
		}, ErrCorrupt, ""},
		{"a line that ends early", func(t testing.TB, r *Repo) plumbing.Hash { return rawTree(t, r, "100644 a\x00short") }, ErrCorrupt, "middle"},
		{"an object that is not there", func(t testing.TB, r *Repo) plumbing.Hash {
			return rawTree(t, r, line("100644", "a", plumbing.NewHash(strings.Repeat("1", 40))))
		}, ErrIncomplete, "111"},
		{"directories 200 deep", nested(200, 1), ErrTooLarge, "deep"},
		{"a directory that holds itself 16 times over, on 10 levels", nested(10, 16), ErrTooLarge, "more than"},
		{"a directory of a million names", func(t testing.TB, r *Repo) plumbing.Hash {
			x, lines := blob(t, r, "x"), make([]string, 1_000_000)
			for i := range lines {
				lines[i] = line("100644", fmt.Sprintf("%07d", i), x)
			}
			return rawTree(t, r, lines...)
		}, ErrTooLarge, ""},
		{"a file that is larger than a file may be", func(t testing.TB, r *Repo) plumbing.Hash {
			return rawTree(t, r, line("100644", "bomb.yaml", put(t, r, plumbing.BlobObject, bytes.Repeat([]byte("a: &a [*a]\n"), MaxFile/10))))
		}, ErrTooLarge, "bomb.yaml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := byGit(t)
			r := openRepo(t, dir)
			c := commitTree(t, r, tt.tree(t, r))
			writeFile(t, dir, ".git/refs/heads/main", string(c)+"\n")
			refusesAll(t, served{url: dir}, tt.is, tt.says)
			s := overHTTP(t, dir, nil)
			if slices.Contains(gitRefuses, tt.name) {
				if err := readAll(t, s); !errors.Is(err, ErrRemote) && !errors.Is(err, ErrIncomplete) {
					t.Errorf("over HTTP: %v", err)
				}
				return
			}
			refusesAll(t, s, tt.is, tt.says)
		})
	}
}

func TestHostileDirectories(t *testing.T) {
	dirs := func(t *testing.T) (string, Commit) {
		dir := byGit(t)
		s := served{dir: dir}
		s.commit(t, "a", "1")
		s.commit(t, "a", "2")
		return dir, s.commit(t, "a", "3")
	}
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string, head Commit)
		is    error
		says  string
	}{
		{"nothing wrong", func(*testing.T, string, Commit) {}, nil, ""},
		{"no repository", func(t *testing.T, dir string, _ Commit) { remove(t, filepath.Join(dir, ".git")) }, ErrNotRepository, ""},
		{"a shallow one", func(t *testing.T, dir string, head Commit) { writeFile(t, dir, ".git/shallow", string(head)+"\n") }, ErrShallow, "unshallow"},
		{"objects borrowed elsewhere", func(t *testing.T, dir string, _ Commit) {
			writeFile(t, dir, ".git/objects/info/alternates", "/srv/secret/objects\n")
		}, ErrUnsupported, "borrows"},
		{"a partial clone", func(t *testing.T, dir string, _ Commit) {
			h := gitCmd(t, dir, "rev-parse", "HEAD:a")
			remove(t, filepath.Join(dir, ".git/objects", h[:2], h[2:]))
		}, ErrIncomplete, "blob"},
		{"a parent that is not there", func(t *testing.T, dir string, _ Commit) {
			h := gitCmd(t, dir, "rev-parse", "HEAD~1")
			remove(t, filepath.Join(dir, ".git/objects", h[:2], h[2:]))
		}, ErrIncomplete, "commit"},
		{"an object of another content", func(t *testing.T, dir string, _ Commit) {
			h, other := gitCmd(t, dir, "rev-parse", "HEAD:a"), gitCmd(t, dir, "rev-parse", "HEAD~1:a")
			remove(t, filepath.Join(dir, ".git/objects", h[:2], h[2:]))
			link(t, filepath.Join("..", other[:2], other[2:]), filepath.Join(dir, ".git/objects", h[:2], h[2:]))
		}, ErrCorrupt, "hash"},
		{"an index of a pack that points elsewhere", func(t *testing.T, dir string, _ Commit) {
			gitCmd(t, dir, "repack", "-qad")
			found, err := filepath.Glob(filepath.Join(dir, ".git/objects/pack/*.idx"))
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			idx, err := os.ReadFile(found[0])
			if err != nil {
				t.Fatal(err)
			}
			n := int(binary.BigEndian.Uint32(idx[8+255*4:]))
			offsets := idx[8+256*4+n*24:][:4*n]
			copy(offsets, slices.Concat(offsets[4:], offsets[:4]))
			if err := os.Chmod(found[0], 0o600); err != nil {
				t.Fatal(err)
			}
			writeFile(t, "/", found[0], string(idx))
		}, ErrCorrupt, ""},
		{"references that lead to each other", func(t *testing.T, dir string, _ Commit) {
			writeFile(t, dir, ".git/refs/heads/main", "ref: refs/heads/two\n")
			writeFile(t, dir, ".git/refs/heads/two", "ref: refs/heads/main\n")
		}, ErrCorrupt, "lead to each other"},
		{"a reference that leads out", func(t *testing.T, dir string, _ Commit) {
			writeFile(t, dir, ".git/refs/heads/main", "ref: ../../../../etc/passwd\n")
		}, ErrCorrupt, "not a reference"},
		{"a reference that is a link out", func(t *testing.T, dir string, _ Commit) {
			remove(t, filepath.Join(dir, ".git/refs/heads/main"))
			link(t, "/etc/hostname", filepath.Join(dir, ".git/refs/heads/main"))
		}, nil, ""}, // the system's own error
		{"an endless reference", func(t *testing.T, dir string, head Commit) {
			writeFile(t, dir, ".git/refs/heads/main", string(head)+strings.Repeat("\n", maxHead))
		}, ErrTooLarge, ""},
		{"a reference that is not a hash", func(t *testing.T, dir string, head Commit) {
			writeFile(t, dir, ".git/refs/heads/main", string(head)[:39]+"\n")
		}, ErrCorrupt, ""},
		{"a packed reference that is listed twice", packedRefs("# pack-refs with: peeled fully-peeled sorted \n%[1]s refs/heads/main\n%[1]s refs/heads/main\n"), ErrCorrupt, "twice"},
		{"a packed reference beside others", packedRefs("# pack-refs with: peeled\n%[1]s refs/heads/main\n%[1]s refs/tags/x\n^%[1]s\n"), nil, ""},
		{"a packed reference without a hash", packedRefs("refs/heads/main\n"), ErrCorrupt, "packed-refs"},
		{"a packed reference of nothing", packedRefs(strings.Repeat("0", 40) + " refs/heads/main\n"), ErrCorrupt, "packed-refs"},
		{"a packed reference with an endless line", packedRefs("%[1]s refs/heads/main\n" + strings.Repeat("x", maxHead+1)), ErrCorrupt, "packed-refs"},
		{"a branch that names a tag", func(t *testing.T, dir string, _ Commit) {
			gitCmd(t, dir, "tag", "-am", "m", "v1")
			writeFile(t, dir, ".git/refs/heads/main", gitCmd(t, dir, "rev-parse", "v1")+"\n")
		}, ErrCorrupt, "tag"},
		{"a branch that names a file", func(t *testing.T, dir string, _ Commit) {
			writeFile(t, dir, ".git/refs/heads/main", gitCmd(t, dir, "rev-parse", "HEAD:a")+"\n")
		}, ErrCorrupt, "neither a commit nor a tag"},
		{"a commit without a tree", func(t *testing.T, dir string, _ Commit) {
			h := put(t, openRepo(t, dir), plumbing.CommitObject, []byte("parent "+strings.Repeat("1", 40)+"\n\nx"))
			writeFile(t, dir, ".git/refs/heads/main", h.String()+"\n")
		}, ErrCorrupt, "names no tree"},
		{"a commit with a parent that is no hash", func(t *testing.T, dir string, _ Commit) {
			r := openRepo(t, dir)
			h := put(t, r, plumbing.CommitObject, []byte("tree "+gitCmd(t, dir, "rev-parse", "HEAD^{tree}")+"\nparent zzz\n\nx"))
			writeFile(t, dir, ".git/refs/heads/main", h.String()+"\n")
		}, ErrCorrupt, "parent"},
		{"objects named by SHA-256", func(t *testing.T, dir string, _ Commit) {
			remove(t, filepath.Join(dir, ".git"))
			gitCmd(t, dir, "init", "-q", "--object-format=sha256")
		}, ErrUnsupported, "sha256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, head := dirs(t)
			tt.spoil(t, dir, head)
			if tt.name == "a reference that is a link out" {
				if err := readAll(t, served{url: dir}); err == nil || !strings.Contains(err.Error(), "escapes") {
					t.Errorf("got %v", err)
				}
				return
			}
			refusesAll(t, served{url: dir}, tt.is, tt.says)
		})
	}
}

func packedRefs(text string) func(*testing.T, string, Commit) {
	return func(t *testing.T, dir string, head Commit) {
		remove(t, filepath.Join(dir, ".git/refs/heads/main"))
		if strings.Contains(text, "%[1]s") {
			text = fmt.Sprintf(text, head)
		}
		writeFile(t, dir, ".git/packed-refs", text)
	}
}

// Grafts, replaced objects, hooks and configuration change what git shows of a
// repository, and nothing of what is fetched: raw objects are.
func TestWhatChangesGitsViewChangesNothing(t *testing.T) {
	for name, serve := range map[string]func(testing.TB, string) served{
		"a path": func(_ testing.TB, dir string) served { return served{dir: dir, url: dir} },
		"HTTP":   func(t testing.TB, dir string) served { return overHTTP(t, dir, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := byGit(t)
			s := served{dir: dir}
			first := s.commit(t, "a", "1")
			s.commit(t, "a", "2")
			head := s.commit(t, "a", "signed")
			gitCmd(t, dir, "switch", "-q", "--orphan", "evil")
			evil := s.commit(t, "a", "evil")
			gitCmd(t, dir, "switch", "-q", "main")
			gitCmd(t, dir, "replace", string(head), string(evil))
			if name == "a path" { // git would walk its server's grafts
				writeFile(t, dir, ".git/info/grafts", string(head)+"\n")
			}
			writeFile(t, dir, ".git/hooks/upload-pack", "#!/bin/sh\nexit 1\n")
			gitCmd(t, dir, "config", "uploadpack.packObjectsHook", "false")
			m := openMirror(t, filepath.Join(t.TempDir(), "m"), serve(t, dir), "main")
			if f := fetch(t, m); f.Head != head {
				t.Errorf("%+v", f)
			}
			if data, err := at(t, m.Repo(), head).ReadFile("a"); err != nil || string(data) != "signed" {
				t.Errorf("%q, %v", data, err)
			}
			if got, err := m.Repo().Resolve(string(head) + "~2"); err != nil || got != first {
				t.Errorf("the first commit is %s, %v", got, err)
			}
		})
	}
}

func TestShallowServers(t *testing.T) {
	origin := byGit(t)
	s := served{dir: origin}
	s.commit(t, "a", "1")
	s.commit(t, "a", "2")
	dir := t.TempDir()
	gitCmd(t, dir, "clone", "-q", "--depth=1", "file://"+origin, dir)
	refusesAll(t, overHTTP(t, dir, nil), ErrShallow, "whole")
	refusesAll(t, overHTTP(t, dir, withoutV2), ErrShallow, "whole")
	refusesAll(t, served{url: dir}, ErrShallow, "whole")
	gitCmd(t, dir, "fetch", "-q", "--unshallow")
	refusesAll(t, overHTTP(t, dir, nil), nil, "")
}
