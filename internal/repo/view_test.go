package repo

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-git/go-git/v5/plumbing"
)

func TestWeReadWhatGitWrites(t *testing.T) {
	dir := byGit(t)
	for i := range 30 { // alike, so that packing makes deltas
		writeFile(t, dir, fmt.Sprintf("many/%02d", i), strings.Repeat("the same line\n", 100)+fmt.Sprint(i))
	}
	writeFile(t, dir, "README", "one")
	gitCmd(t, dir, "add", ".")
	gitCmd(t, dir, "commit", "-qm", "one")
	writeFile(t, dir, "README", "two")
	gitCmd(t, dir, "commit", "-qam", "two")
	r := openRepo(t, dir)

	check := func(t *testing.T) {
		t.Helper()
		head, err := r.Head()
		if err != nil {
			t.Fatal(err)
		}
		if want := gitCmd(t, dir, "rev-parse", "HEAD"); string(head) != want {
			t.Errorf("Head() = %s, want %s", head, want)
		}
		tree := at(t, r, head)
		if err := fstest.TestFS(tree, "README", "many/00", "many/29"); err != nil {
			t.Error(err)
		}
		data, err := fs.ReadFile(tree, "many/17")
		if err != nil || !bytes.HasSuffix(data, []byte("line\n17")) {
			t.Errorf("many/17 ends in %q, %v", data[max(0, len(data)-10):], err)
		}
	}
	t.Run("as loose objects", check)
	gitCmd(t, dir, "gc", "-q", "--aggressive", "--prune=now")
	if loose, _ := filepath.Glob(filepath.Join(dir, ".git/objects/??/*")); len(loose) > 0 {
		t.Fatalf("git gc left %d loose objects", len(loose))
	}
	t.Run("packed while it is open, with packed references", check)
	r = openRepo(t, dir)
	t.Run("packed before it is opened", check)
	bare := filepath.Join(t.TempDir(), "bare.git")
	gitCmd(t, dir, "clone", "-q", "--bare", dir, bare)
	r = openRepo(t, bare)
	t.Run("in a bare clone", check)
	if _, err := r.Commit(t.Context(), Change{Files: files("a", "b"), Message: "m", At: noon}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a commit in a bare repository: %v", err)
	}
}

func TestCloseReleasesWhatItOpened(t *testing.T) {
	const table = "/proc/self/fd"
	dir := byGit(t)
	writeFile(t, dir, "a", "1")
	gitCmd(t, dir, "add", ".")
	gitCmd(t, dir, "commit", "-qm", "one")
	gitCmd(t, dir, "gc", "-q", "--prune=now")
	open := func() int {
		list, err := os.ReadDir(table)
		if err != nil {
			t.Skipf("open files cannot be counted here: %v", err)
		}
		n := 0
		for _, e := range list {
			if target, err := os.Readlink(filepath.Join(table, e.Name())); err == nil && strings.HasPrefix(target, dir) {
				n++
			}
		}
		return n
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Resolve("HEAD")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := at(t, r, c).ReadFile("a"); err != nil {
		t.Fatal(err)
	}
	if open() == 0 {
		t.Error("nothing is open, so the count cannot be right")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if n := open(); n != 0 {
		t.Errorf("%d files are still open", n)
	}
}

func TestLinksAndSubmodulesShowAndAreRefused(t *testing.T) {
	dir := byGit(t)
	writeFile(t, dir, "dir/file", "content")
	link(t, "dir/file", filepath.Join(dir, "to-file"))
	link(t, "/etc", filepath.Join(dir, "etc"))
	gitCmd(t, dir, "add", ".")
	gitCmd(t, dir, "update-index", "--add", "--cacheinfo", "160000,1111111111111111111111111111111111111111,sub")
	gitCmd(t, dir, "commit", "-qm", "links")
	r := openRepo(t, dir)
	head, err := r.Head()
	if err != nil {
		t.Fatal(err)
	}
	tree := at(t, r, head)
	if got := tree.Refused(); !slices.Equal(got, []string{"etc", "sub", "to-file"}) {
		t.Errorf("Refused() = %q", got)
	}
	for name, want := range map[string]error{"to-file": ErrSymlink, "etc/passwd": ErrSymlink, "etc": ErrSymlink, "sub": ErrSubmodule, "sub/x": ErrSubmodule} {
		_, err := fs.ReadFile(tree, name)
		var at *PathError
		if !errors.Is(err, want) || !errors.As(err, &at) || !strings.HasPrefix(name, at.Path) {
			t.Errorf("reading %s: %v, want %v that names it", name, err, want)
		}
	}
	if data, err := fs.ReadFile(tree, "dir/file"); err != nil || string(data) != "content" {
		t.Errorf("the file itself: %q, %v", data, err)
	}
	types := map[string]fs.FileMode{}
	list, err := fs.ReadDir(tree, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		types[e.Name()] = e.Type()
	}
	if types["etc"] != fs.ModeSymlink || types["sub"] != fs.ModeIrregular || types["dir"] != fs.ModeDir {
		t.Errorf("the listing shows %v", types)
	}
}

func TestHostileTreesAreRefused(t *testing.T) {
	r := newRepo(t)
	blob := put(t, r, plumbing.BlobObject, []byte("x"))
	empty := put(t, r, plumbing.TreeObject, nil)
	one := func(name string) string { return line("100644", name, blob) }
	tests := []struct {
		name, tree string
		is         error
	}{
		{"a name that leaves", one(".."), ErrBadName},
		{"a name that is its directory", one("."), ErrBadName},
		{"a path for a name", one("a/b"), ErrBadName},
		{"a backslash", one(`..\x`), ErrBadName},
		{"no name", one(""), ErrBadName},
		{"git's directory", line("40000", ".git", empty), ErrBadName},
		{"git's directory in capitals", one(".GiT"), ErrBadName},
		{"git's directory for HFS+", one(".g\u200dit"), ErrBadName},
		{"git's directory for NTFS", one("GIT~1"), ErrBadName},
		{"git's directory with a tail", one(".git . ."), ErrBadName},
		{"a stream of a file", one(".git::$INDEX_ALLOCATION"), ErrBadName},
		{"a name that is not UTF-8", one("\xff"), ErrBadName},
		{"a line break", one("a\nb"), ErrBadName},
		{"the same name twice", one("a") + one("a"), ErrCorrupt},
		{"a file and a directory of one name", one("a") + line("40000", "a", empty), ErrCorrupt},
		{"not in order", one("b") + one("a"), ErrCorrupt},
		{"a padded mode", line("040000", "a", empty), ErrCorrupt},
		{"a device", line("20644", "a", blob), ErrCorrupt},
		{"no mode", line("", "a", blob), ErrCorrupt},
		{"no hash", "100644 a\x00abc", ErrCorrupt},
		{"a zero hash", line("100644", "a", plumbing.ZeroHash), ErrCorrupt},
		{"a directory that is a file", line("40000", "a", blob), ErrCorrupt},
		{"a directory that is missing", line("40000", "a", plumbing.NewHash(strings.Repeat("1", 40))), ErrNotFound},
		{"a long name", one(strings.Repeat("x", 256)), ErrBadName},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bad := put(t, r, plumbing.TreeObject, []byte(tt.tree))
			for where, root := range map[string]plumbing.Hash{
				"at the top": bad,
				"below":      put(t, r, plumbing.TreeObject, []byte(line("40000", "dir", bad))),
			} {
				c := commitTree(t, r, root)
				if _, err := r.At(t.Context(), c); !errors.Is(err, tt.is) {
					t.Errorf("At, %s: %v, want %v", where, err, tt.is)
				}
				if _, err := r.Changed(t.Context(), "", c); !errors.Is(err, tt.is) {
					t.Errorf("Changed, %s: %v, want %v", where, err, tt.is)
				}
			}
		})
	}
	good := put(t, r, plumbing.TreeObject, []byte(line("100755", "a", blob)+one("b")+line("40000", "c", empty)))
	at(t, r, commitTree(t, r, good))
}

func TestTreesHaveBounds(t *testing.T) {
	r := newRepo(t)
	blob := put(t, r, plumbing.BlobObject, []byte("x"))
	deep := func(levels int) Commit {
		h := put(t, r, plumbing.TreeObject, []byte(line("100644", "f", blob)))
		for range levels {
			h = put(t, r, plumbing.TreeObject, []byte(line("40000", "d", h)))
		}
		return commitTree(t, r, h)
	}
	if _, err := r.At(t.Context(), deep(MaxDepth+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too deep: %v", err)
	}
	if _, err := r.Changed(t.Context(), "", deep(MaxDepth+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too deep to compare: %v", err)
	}
	at(t, r, deep(MaxDepth))

	// Ten directories that each hold the next one ten times: 10^10 files in a few objects.
	bomb := func(levels int) Commit {
		h := put(t, r, plumbing.TreeObject, []byte(line("100644", "f", blob)))
		for range levels {
			var tree strings.Builder
			for i := range 10 {
				tree.WriteString(line("40000", fmt.Sprint(i), h))
			}
			h = put(t, r, plumbing.TreeObject, []byte(tree.String()))
		}
		return commitTree(t, r, h)
	}
	if _, err := r.At(t.Context(), bomb(10)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a bomb: %v", err)
	}
	if _, err := r.Changed(t.Context(), "", bomb(10)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a bomb to compare: %v", err)
	}
	if got := len(at(t, r, bomb(3)).entries); got != 1+10+100+1000+1000 {
		t.Errorf("%d entries", got)
	}
}

func TestFilesHaveBounds(t *testing.T) {
	dir := byGit(t)
	for name, size := range map[string]int64{"huge": MaxFile + 1, "large": MaxFile} {
		writeFile(t, dir, name, "")
		if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
			t.Fatal(err)
		}
	}
	gitCmd(t, dir, "add", ".")
	gitCmd(t, dir, "commit", "-qm", "large")
	check := func(t *testing.T) {
		r := openRepo(t, dir)
		head, err := r.Head()
		if err != nil {
			t.Fatal(err)
		}
		tree := at(t, r, head)
		var bad *PathError
		if _, err := fs.ReadFile(tree, "huge"); !errors.Is(err, ErrTooLarge) || !errors.As(err, &bad) || bad.Path != "huge" {
			t.Errorf("huge: %v", err)
		}
		if data, err := fs.ReadFile(tree, "large"); err != nil || len(data) != MaxFile {
			t.Errorf("large: %d bytes, %v", len(data), err)
		}
	}
	t.Run("loose", check)
	gitCmd(t, dir, "gc", "-q", "--prune=now")
	t.Run("packed", check)
}

func TestObjectsAreWhatTheirNamesSay(t *testing.T) {
	deflate := func(s string) []byte {
		var b bytes.Buffer
		z := zlib.NewWriter(&b)
		_, _ = z.Write([]byte(s))
		_ = z.Close()
		return b.Bytes()
	}
	tests := []struct {
		name    string
		content []byte
		is      error
	}{
		{"another content of the same size", deflate("blob 7\x00hostile"), ErrCorrupt},
		{"a header that states less", deflate("blob 3\x00content"), ErrCorrupt},
		{"a header that states more", deflate("blob 9\x00content"), ErrCorrupt},
		{"a header without an end", deflate("blob 7content"), ErrCorrupt},
		{"another type", deflate("tree 7\x00content"), ErrCorrupt},
		{"more bytes than a file may have", deflate("blob 7\x00content" + strings.Repeat("\x00", MaxFile+64)), ErrTooLarge},
		{"no compressed data", []byte("content"), ErrCorrupt},
		{"half of the compressed data", deflate("blob 7\x00content")[:12], ErrCorrupt},
		{"what was written", deflate("blob 7\x00content"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t)
			c := commit(t, r, files("a", "content"))
			h := at(t, r, c).entries["a"].hash.String()
			path := filepath.Join(r.Dir(), ".git/objects", h[:2], h[2:])
			remove(t, path)
			if err := os.WriteFile(path, tt.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := at(t, r, c).ReadFile("a"); !errors.Is(err, tt.is) {
				t.Errorf("got %v, want %v", err, tt.is)
			}
		})
	}
}

func TestChanged(t *testing.T) {
	dir := byGit(t)
	for _, name := range []string{"same", "edited", "removed", "mode", "dir/same", "dir/edited", "becomes-dir", "x/becomes-file", "kept/whole/a"} {
		writeFile(t, dir, name, "1")
	}
	gitCmd(t, dir, "add", ".")
	gitCmd(t, dir, "commit", "-qm", "one")
	remove(t, filepath.Join(dir, "removed"))
	remove(t, filepath.Join(dir, "becomes-dir"))
	remove(t, filepath.Join(dir, "x"))
	for _, name := range []string{"edited", "dir/edited", "becomes-dir/new", "x", "added/deep/er"} {
		writeFile(t, dir, name, "2")
	}
	if err := os.Chmod(filepath.Join(dir, "mode"), 0o755); err != nil {
		t.Fatal(err)
	}
	gitCmd(t, dir, "add", "-A")
	gitCmd(t, dir, "commit", "-qm", "two")
	r := openRepo(t, dir)
	resolve := func(rev string) Commit {
		c, err := r.Resolve(rev)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, args := range map[string][3]string{
		"forwards":  {"HEAD~1", "HEAD", "diff"},
		"backwards": {"HEAD", "HEAD~1", "diff"},
		"not":       {"HEAD", "HEAD", "diff"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := r.Changed(t.Context(), resolve(args[0]), resolve(args[1]))
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Fields(gitCmd(t, dir, "diff", "--no-renames", "--name-only", args[0], args[1]))
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("\n got %q\nwant %q", got, want)
			}
		})
	}
	all, err := r.Changed(t.Context(), "", resolve("HEAD~1"))
	if err != nil || len(all) != 9 {
		t.Errorf("since the empty tree: %q, %v", all, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Changed(ended, "", resolve("HEAD")); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	if _, err := r.At(ended, resolve("HEAD")); !errors.Is(err, context.Canceled) {
		t.Errorf("At with an ended context: %v", err)
	}
}
