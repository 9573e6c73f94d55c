package repo

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
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

// evil is a server over HTTP that says what it is told to. Each part is a whole
// answer; nil stands for the honest one.
type evil struct {
	greeting, refs, answer func(w io.Writer)
	pack                   []byte // for the honest answer
	head                   string
}

func (e evil) serve(t testing.TB) served {
	t.Helper()
	say := func(w io.Writer, special, honest func(io.Writer)) {
		if special != nil {
			honest = special
		}
		honest(w)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			say(w, e.greeting, func(w io.Writer) { io.WriteString(w, string(greeting())) })
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if bytes.Contains(body, []byte("command=ls-refs")) {
			say(w, e.refs, func(w io.Writer) { fmt.Fprintf(w, "%s0000", pktLine(nil, "%s refs/heads/main\n", e.head)) })
			return
		}
		say(w, e.answer, func(w io.Writer) {
			w.Write(pktLine(nil, "packfile\n"))
			band(w, 1, e.pack)
			io.WriteString(w, flushPkt)
		})
	}))
	t.Cleanup(server.Close)
	return served{url: server.URL + "/r"}
}

func greeting() []byte {
	out := append(pktLine(nil, "# service=git-upload-pack\n"), flushPkt...)
	out = pktLine(out, "version 2\n")
	out = pktLine(out, "ls-refs\n")
	out = pktLine(out, "fetch=shallow\n")
	return append(out, flushPkt...)
}

func band(w io.Writer, channel byte, data []byte) {
	for chunk := range slices.Chunk(data, 60_000) {
		w.Write(pktLine(nil, "%c%s", channel, chunk))
	}
}

// packOf is a whole pack of the entries.
func packOf(entries ...[]byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte(packMagic), uint32(len(entries)))
	out = append(out, bytes.Join(entries, nil)...)
	sum := sha1.Sum(out)
	return append(out, sum[:]...)
}

// made is an object with its entry of a pack.
type made struct {
	hash  plumbing.Hash
	entry []byte
}

func make1(kind plumbing.ObjectType, content string) made {
	return made{plumbing.ComputeHash(kind, []byte(content)), packEntry(kind, len(content), nil, []byte(content))}
}

// story is a commit of one file: three objects.
func story(content string) (file, tree, commit made) {
	file = make1(plumbing.BlobObject, content)
	tree = make1(plumbing.TreeObject, line("100644", "a", file.hash))
	commit = make1(plumbing.CommitObject, "tree "+tree.hash.String()+"\nauthor A <a@example.com> 1772366400 +0000\ncommitter A <a@example.com> 1772366400 +0000\n\nm\n")
	return file, tree, commit
}

func refDelta(base plumbing.Hash, delta []byte) []byte {
	return packEntry(plumbing.REFDeltaObject, len(delta), base[:], delta)
}

// ofsDelta is a difference to what is back bytes before it, below 128.
func ofsDelta(back int, delta []byte) []byte {
	return packEntry(plumbing.OFSDeltaObject, len(delta), []byte{byte(back)}, delta)
}

// insertion is a difference that makes text, of up to 127 bytes, of a base of
// some size below 128.
func insertion(base int, text string) []byte {
	return append([]byte{byte(base), byte(len(text)), byte(len(text))}, text...)
}

func TestHostilePacks(t *testing.T) {
	file, tree, commit := story("content")
	other, _, _ := story("another content")
	whole := func(more ...[]byte) [][]byte { return append([][]byte{file.entry, tree.entry, commit.entry}, more...) }
	var deep [][]byte // differences to each other, one byte apart
	for base, i := "content", 0; i <= maxChain; i++ {
		text := fmt.Sprint(i)
		deep = append(deep, refDelta(plumbing.ComputeHash(plumbing.BlobObject, []byte(base)), insertion(len(base), text)))
		base = text
	}
	var bomb []byte // makes 8 MiB out of 64 KiB
	large := make1(plumbing.BlobObject, strings.Repeat("\x00", 1<<16))
	bomb = binary.AppendUvarint(bomb, 1<<16)
	bomb = binary.AppendUvarint(bomb, 128<<16)
	bomb = append(bomb, bytes.Repeat([]byte{0x80}, 128)...) // copies 64 KiB from 0
	var bombs [][]byte
	for i := range 20 { // which differ in a last byte
		b := binary.AppendUvarint(nil, 1<<16)
		b = binary.AppendUvarint(b, 128<<16+1)
		bombs = append(bombs, refDelta(large.hash, append(append(b, bomb[len(bomb)-128:]...), 1, byte(i))))
	}
	huge := append(binary.AppendUvarint(binary.AppendUvarint(nil, 7), 1<<40), 0x80)
	ones := plumbing.NewHash(strings.Repeat("1", 40))
	twice := func(a, b byte) []byte {
		return refDelta(plumbing.NewHash(strings.Repeat(string(b), 40)), []byte{a, 1, 0x90, 1})
	}
	inflating := packEntry(plumbing.BlobObject, 5, nil, make([]byte, 1<<20))
	claiming := append(entryHeader(plumbing.BlobObject, 1<<30), packEntry(plumbing.BlobObject, 0, nil, make([]byte, 1<<20))[1:]...)

	tests := []struct {
		name string
		pack []byte
		is   error
		says string
	}{
		{"an honest pack", packOf(whole()...), nil, ""},
		{"an honest difference to what comes later", packOf(refDelta(file.hash, insertion(7, "x")), file.entry, tree.entry, commit.entry), nil, ""},
		{"an honest difference to what came before", packOf(file.entry, ofsDelta(len(file.entry), insertion(7, "x")), tree.entry, commit.entry), nil, ""},
		{"an object that is its own base", packOf(whole(refDelta(ones, []byte{1, 1, 0x90, 1}))...), ErrIncomplete, "differences"},
		{"two objects that are each other's base", packOf(whole(twice(1, '2'), twice(1, '3'))...), ErrIncomplete, "differences"},
		{"a base that is not there: a thin pack", packOf(whole(refDelta(other.hash, insertion(15, "x")))...), ErrIncomplete, other.hash.String()},
		{"a base before the pack", packOf(ofsDelta(100, insertion(7, "x"))), ErrCorrupt, "before it"},
		{"a base in the middle of another object", packOf(file.entry, ofsDelta(3, insertion(7, "x"))), ErrCorrupt, "before it"},
		{"a base that is itself", packOf(file.entry, ofsDelta(0, insertion(7, "x"))), ErrCorrupt, "before it"},
		{"differences to each other, too many", packOf(whole(deep...)...), ErrTooLarge, "differences"},
		{"as many differences as there may be", packOf(whole(deep[:maxChain-1]...)...), nil, ""},
		{"a difference that claims a terabyte", packOf(whole(refDelta(file.hash, huge))...), ErrTooLarge, "would have"},
		{"a difference to a base of another size", packOf(whole(refDelta(file.hash, insertion(8, "x")))...), ErrCorrupt, "base of"},
		{"a difference that reaches beyond its base", packOf(whole(refDelta(file.hash, []byte{7, 9, 0x90, 9}))...), ErrCorrupt, "does not fit"},
		{"differences that unpack to 160 MiB", packOf(whole(append([][]byte{large.entry}, bombs...)...)...), ErrTooLarge, "unpacks"},
		{"an object that inflates to more than it states", packOf(whole(inflating)...), ErrCorrupt, "states"},
		{"a file of 1 GiB", packOf(whole(claiming)...), ErrTooLarge, "1073741824"},
		{"an object of 2^50 bytes", packOf(whole(entryHeader(plumbing.BlobObject, 1<<50))...), ErrTooLarge, ""},
		{"an object whose size does not end", packOf(whole(bytes.Repeat([]byte{0xbf}, 20))...), ErrCorrupt, "not a number"},
		{"a commit of 2 MiB", packOf(whole(make1(plumbing.CommitObject, strings.Repeat("x", 2<<20)).entry)...), ErrTooLarge, ""},
		{"something after the pack", append(packOf(whole()...), 'x'), ErrCorrupt, "follows"},
		{"another checksum", append(packOf(whole()...)[:len(packOf(whole()...))-1], 'x'), ErrCorrupt, "checksum"},
		{"a pack that ends early", packOf(whole()...)[:60], ErrCorrupt, "EOF"},
		{"a pack that ends before its checksum", packOf(whole()...)[:len(packOf(whole()...))-20], ErrCorrupt, "early"},
		{"a pack of 4 billion objects", []byte(packMagic + "\xff\xff\xff\xff"), ErrTooLarge, "4294967295 objects"},
		{"a pack that holds fewer than it states", func() []byte { p := packOf(whole()...); p[11] = 9; return p }(), ErrCorrupt, ""},
		{"one object twice", packOf(whole(file.entry)...), ErrCorrupt, "twice"},
		{"an object of an unknown type", packOf(whole([]byte{0x50, 0})...), ErrCorrupt, "unknown type 5"},
		{"an object that is not compressed", packOf(whole([]byte("\x35plain"))...), ErrCorrupt, "zlib"},
		{"not a pack", []byte("<html>hello, this is not a pack</html>"), ErrCorrupt, "not a pack"},
		{"a pack of version 3", []byte("PACK\x00\x00\x00\x03\x00\x00\x00\x00"), ErrCorrupt, "version 2"},
		{"nothing", packOf(), ErrIncomplete, "other objects"},
		{"other objects than what was asked for", packOf(other.entry), ErrIncomplete, "other objects"},
		{"the commit only", packOf(commit.entry), ErrIncomplete, tree.hash.String()},
		{"all but the file", packOf(commit.entry, tree.entry), ErrIncomplete, file.hash.String()},
		{"more than was asked for", packOf(whole(other.entry)...), nil, ""},
		{"more than was asked for, and not whole", packOf(whole(make1(plumbing.TreeObject, line("100644", "a", ones)).entry)...), ErrIncomplete, "111"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			refusesAll(t, evil{pack: tt.pack, head: commit.hash.String()}.serve(t), tt.is, tt.says)
		})
	}
}

func TestHostileServers(t *testing.T) {
	file, tree, commit := story("content")
	honest := evil{pack: packOf(file.entry, tree.entry, commit.entry), head: commit.hash.String()}
	text := func(parts ...string) func(io.Writer) {
		return func(w io.Writer) { io.WriteString(w, strings.Join(parts, "")) }
	}
	lines := func(list ...string) func(io.Writer) {
		return func(w io.Writer) {
			for _, l := range list {
				w.Write(pktLine(nil, "%s", l))
			}
			io.WriteString(w, flushPkt)
		}
	}
	forever := func(begin string, again []byte) func(io.Writer) {
		return func(w io.Writer) {
			io.WriteString(w, begin)
			for {
				if _, err := w.Write(again); err != nil {
					return // the client had enough
				}
			}
		}
	}
	v0 := func(refs func(w io.Writer)) func(io.Writer) {
		return func(w io.Writer) {
			w.Write(append(pktLine(nil, "# service=git-upload-pack\n"), flushPkt...))
			refs(w)
		}
	}
	caps := "\x00side-band-64k ofs-delta agent=evil"
	million := func(w io.Writer) {
		for i := range 1_000_000 {
			if _, err := w.Write(pktLine(nil, "%s refs/heads/main-%07d\n", commit.hash, i)); err != nil {
				return
			}
		}
		io.WriteString(w, flushPkt)
	}
	pack := string(pktLine(nil, "packfile\n"))
	tests := []struct {
		name  string
		spoil func(e *evil)
		is    error
		says  string
	}{
		{"an honest one", func(*evil) {}, nil, ""},
		{"an honest one of version 0", func(e *evil) {
			e.greeting = v0(lines(e.head+" HEAD"+caps+" symref=HEAD:refs/heads/main\n", e.head+" refs/heads/main\n"))
			e.answer = func(w io.Writer) { w.Write(pktLine(nil, "NAK\n")); band(w, 1, e.pack); io.WriteString(w, flushPkt) }
		}, nil, ""},
		{"a web page", func(e *evil) { e.greeting = text("<html>welcome</html>") }, ErrProtocol, "<htm"},
		{"nothing at all", func(e *evil) { e.greeting = text() }, ErrProtocol, "says nothing"},
		{"a line of an impossible length", func(e *evil) { e.greeting = text("0003") }, ErrProtocol, "length"},
		{"a line longer than lines are", func(e *evil) { e.greeting = text("ffff") }, ErrProtocol, "more than"},
		{"a line that ends early", func(e *evil) { e.greeting = text("0010abc") }, ErrProtocol, "ends early"},
		{"endless capabilities", func(e *evil) {
			e.greeting = forever("000eversion 2\n", pktLine(nil, "%s\n", strings.Repeat("x", 1000)))
		}, ErrTooLarge, "capabilities"},
		{"a server that cannot be fetched from", func(e *evil) { e.greeting = lines("version 2\n", "ls-refs\n") }, ErrProtocol, "fetched"},
		{"objects named by SHA-256", func(e *evil) { e.greeting = lines("version 2\n", "fetch\n", "object-format=sha256\n") }, ErrUnsupported, "sha256"},
		{"objects named by SHA-256, in version 0", func(e *evil) {
			e.greeting = v0(lines(strings.Repeat("1", 64) + " refs/heads/main" + caps + " object-format=sha256\n"))
		}, ErrUnsupported, "sha256"},
		{"a server of before 2006", func(e *evil) { e.greeting = v0(lines(e.head + " refs/heads/main\x00multi_ack\n")) }, ErrProtocol, "side-band-64k"},
		{"a shallow one, in version 0", func(e *evil) { e.greeting = v0(lines(e.head+" refs/heads/main"+caps+"\n", "shallow "+e.head+"\n")) }, ErrShallow, ""},
		{"a million references, in version 0", func(e *evil) {
			e.greeting = v0(func(w io.Writer) { w.Write(pktLine(nil, "%s HEAD%s\n", e.head, caps)); million(w) })
		}, ErrTooLarge, "sent more than"},
		{"a million references", func(e *evil) { e.refs = million }, ErrTooLarge, "sent more than"},
		{"a reference twice, in version 0", func(e *evil) {
			e.greeting = v0(lines(e.head+" refs/heads/main"+caps+"\n", e.head+" refs/heads/main\n"))
		}, ErrProtocol, "twice"},
		{"a reference twice", func(e *evil) {
			e.refs = lines(e.head+" refs/heads/main\n", strings.Repeat("1", 40)+" refs/heads/main\n")
		}, ErrProtocol, "twice"},
		{"another reference only", func(e *evil) { e.refs = lines(e.head + " refs/heads/main2\n") }, ErrNotFound, "refs/heads/main"},
		{"a branch that is not born", func(e *evil) { e.refs = lines("unborn refs/heads/main\n") }, ErrNotFound, ""},
		{"a reference to what is no hash", func(e *evil) { e.refs = lines("../../x refs/heads/main\n") }, ErrProtocol, ""},
		{"a branch that leads to another commit than it says", func(e *evil) {
			e.refs = lines(e.head + " refs/heads/main peeled:" + strings.Repeat("1", 40) + "\n")
		}, ErrProtocol, "it says that"},
		{"a refusal with escapes of a terminal", func(e *evil) { e.answer = lines("ERR \x1b[2Jall is well") }, ErrRemote, `\x1b[2Jall is well`},
		{"a refusal in the middle of the pack", func(e *evil) {
			e.answer = func(w io.Writer) {
				io.WriteString(w, pack)
				band(w, 1, e.pack[:30])
				band(w, 3, []byte("out of memory"))
			}
		}, ErrRemote, "out of memory"},
		{"a shallow one", func(e *evil) { e.answer = lines("shallow-info\n", "shallow "+e.head+"\n") }, ErrShallow, ""},
		{"packs from elsewhere", func(e *evil) { e.answer = lines("packfile-uris\n", "1 https://elsewhere/pack\n") }, ErrProtocol, "packfile-uris"},
		{"no pack", func(e *evil) { e.answer = text("0000") }, ErrProtocol, "instead of a pack"},
		{"a channel that does not exist", func(e *evil) { e.answer = func(w io.Writer) { io.WriteString(w, pack); band(w, 7, e.pack) } }, ErrProtocol, "channel 7"},
		{"a line without a channel", func(e *evil) { e.answer = text(pack, "0004") }, ErrProtocol, "no channel"},
		{"a stream that is cut off", func(e *evil) { e.answer = func(w io.Writer) { io.WriteString(w, pack); band(w, 1, e.pack[:30]) } }, ErrProtocol, "ends early"},
		{"endless progress", func(e *evil) { e.answer = forever(pack, pktLine(nil, "\x02counting objects\r")) }, ErrTooLarge, "progress"},
		{"endless signs of life", func(e *evil) { e.answer = forever(pack, []byte("0005\x01")) }, ErrTooLarge, "progress"},
		{"an endless pack", func(e *evil) {
			entry := packEntry(plumbing.BlobObject, 60_000, nil, make([]byte, 60_000))
			begin := pack + string(pktLine(nil, "\x01%s\x00\x00\xc0\x00", packMagic))
			e.answer = forever(begin, pktLine(nil, "\x01%s", entry))
		}, ErrTooLarge, "unpacks"},
		{"an endless pack of noise", func(e *evil) {
			begin := pack + string(pktLine(nil, "\x01%s\x00\x00\xc0\x00", packMagic))
			// Blocks that are stored as they are, of 16 KiB, none of them the last one.
			e.answer = forever(begin+string(pktLine(nil, "\x01%s\x78\x01", entryHeader(plumbing.BlobObject, 32<<20))),
				pktLine(nil, "\x01\x00\x00\x40\xff\xbf%s", strings.Repeat("x", 0x4000)))
		}, ErrTooLarge, "sent more than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := honest
			tt.spoil(&e)
			refusesAll(t, e.serve(t), tt.is, tt.says)
		})
	}
}

// What a slow server is stopped by is the deadline, which is a part of the
// limits; it says so.
func TestSlowServersAreLeft(t *testing.T) {
	file, tree, commit := story("content")
	e := evil{pack: packOf(file.entry, tree.entry, commit.entry), head: commit.hash.String()}
	for name, spoil := range map[string]func(e *evil, wait func(io.Writer)){
		"at the greeting":   func(e *evil, wait func(io.Writer)) { e.greeting = wait },
		"at the references": func(e *evil, wait func(io.Writer)) { e.refs = wait },
		"at the pack":       func(e *evil, wait func(io.Writer)) { e.answer = wait },
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			slow := e
			spoil(&slow, func(w io.Writer) {
				io.WriteString(w, "00") // half of a length
				w.(http.Flusher).Flush()
				<-release
			})
			s := slow.serve(t)
			t.Cleanup(func() { close(release) }) // before the server waits for its answers
			s.opt.Limits = tight
			s.opt.Limits.Time = 300 * time.Millisecond
			refusesAll(t, s, context.DeadlineExceeded, "")
		})
	}
}

func TestRedirects(t *testing.T) {
	honest := overHTTP(t, byGit(t), nil)
	c := honest.commit(t, "a", "1")
	path := "/" + filepath.Base(honest.dir) + "/.git/info/refs?service=git-upload-pack"
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	tests := []struct {
		name, to string
		is       error
		says     string
	}{
		{"to another path of the same server", path, nil, ""},
		{"to a file", "file:///etc/passwd", ErrRedirect, `"file"`},
		{"to a private address", "http://10.0.0.1" + path, ErrRedirect, "10.0.0.1"},
		{"to the metadata of a cloud", "http://169.254.169.254/latest/meta-data/", ErrRedirect, "169.254.169.254"},
		{"to another server", elsewhere.URL + path, ErrRedirect, "use that URL"},
		{"to another user", "http://me:pw@HOST" + path, ErrRedirect, ""},
		{"to what is no repository", "/admin/delete", ErrRedirect, "not a repository"},
		{"to itself", "/moved/info/refs?service=git-upload-pack", ErrRedirect, "more than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := honest
			target := tt.to
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/moved") {
					http.Redirect(w, r, strings.Replace(target, "HOST", r.Host, 1), http.StatusFound)
					return
				}
				forward(w, r, honest.url)
			}))
			t.Cleanup(proxy.Close)
			s.url = proxy.URL + "/moved"
			refusesAll(t, s, tt.is, tt.says)
			if tt.is == nil {
				r := s.remote(t)
				for range 2 { // the second look goes to the new place
					if tip, err := r.Head(t.Context(), "main"); err != nil || tip.Commit != c {
						t.Errorf("%v, %v", tip, err)
					}
				}
			}
		})
	}
	posts := honest
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return
		}
		forward(w, r, honest.url)
	}))
	t.Cleanup(proxy.Close)
	posts.url = proxy.URL + strings.TrimSuffix(path, "/info/refs?service=git-upload-pack")
	refusesAll(t, posts, ErrRedirect, "what is sent")
}

// forward hands a request on to the host of a URL.
func forward(w http.ResponseWriter, r *http.Request, url string) {
	r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", strings.Split(url, "/")[2]
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		http.Error(w, "", http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body)
}
