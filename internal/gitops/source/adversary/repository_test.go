package adversary

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The modes of a tree's entries.
const (
	regular   = "100644"
	symlink   = "120000"
	submodule = "160000"
	folder    = "40000"
)

// file is an entry of a tree.
type file struct{ mode, text string }

// files are the files of a commit by path. A path may hold what git itself would
// never write.
type files map[string]file

// with returns the files with others; a file without a mode removes.
func (f files) with(others files) files {
	out := maps.Clone(f)
	for name, entry := range others {
		if out[name] = entry; entry.mode == "" {
			delete(out, name)
		}
	}
	return out
}

// repository is a real one that the git command made, and into which objects are
// written byte by byte: an attacker is not held to what the command allows.
type repository struct {
	t   testing.TB
	dir string
	// trees are the files of each commit.
	trees map[string]files
}

func newRepository(t testing.TB) *repository {
	t.Helper()
	r := &repository{t: t, dir: filepath.Join(t.TempDir(), "repo.git"), trees: map[string]files{}}
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is needed")
	}
	if out, err := r.run("init", "-q", "--bare", "-b", "main", r.dir); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return r
}

func (r *repository) run(args ...string) (string, error) {
	c := exec.CommandContext(r.t.Context(), "git", args...)
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := c.CombinedOutput()
	return string(out), err
}

// object writes a loose object and returns its name.
func (r *repository) object(kind string, data []byte) string {
	r.t.Helper()
	whole := append(fmt.Appendf(nil, "%s %d\x00", kind, len(data)), data...)
	sum := sha1.Sum(whole)
	name := hex.EncodeToString(sum[:])
	path := filepath.Join(r.dir, "objects", name[:2], name[2:])
	if _, err := os.Stat(path); err == nil {
		return name
	}
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	z.Write(whole)
	z.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, packed.Bytes(), 0o644); err != nil {
		r.t.Fatal(err)
	}
	return name
}

// tree writes the trees of the files.
func (r *repository) tree(all files) string {
	r.t.Helper()
	type entry struct{ mode, name, hash string }
	var entries []entry
	below := map[string]files{}
	for path, f := range all {
		if dir, rest, nested := strings.Cut(path, "/"); nested {
			if below[dir] == nil {
				below[dir] = files{}
			}
			below[dir][rest] = f
			continue
		}
		hash := f.text // of a submodule: the commit that it names
		if f.mode != submodule {
			hash = r.object("blob", []byte(f.text))
		}
		entries = append(entries, entry{f.mode, path, hash})
	}
	for dir, within := range below {
		entries = append(entries, entry{folder, dir, r.tree(within)})
	}
	order := func(e entry) string { // git sorts folders as if they ended in a slash
		if e.mode == folder {
			return e.name + "/"
		}
		return e.name
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(order(a), order(b)) })
	var data []byte
	for _, e := range entries {
		raw, err := hex.DecodeString(e.hash)
		if err != nil {
			r.t.Fatal(err)
		}
		data = append(fmt.Appendf(data, "%s %s\x00", e.mode, e.name), raw...)
	}
	return r.object("tree", data)
}

// signer signs a commit's payload.
type signer func(payload []byte) (armored string, err error)

// commit is a commit to be written.
type commit struct {
	files   files
	parents []string
	message string
	sign    signer // nil: unsigned
	// headers stand before the signature, and are part of what is signed.
	headers string
	// forge changes the signed object at last.
	forge func(object string) string
}

// commit writes a commit that says that it was made at a time.
func (r *repository) commit(at time.Time, c commit) string {
	r.t.Helper()
	var head strings.Builder
	fmt.Fprintf(&head, "tree %s\n", r.tree(c.files))
	for _, p := range c.parents {
		fmt.Fprintf(&head, "parent %s\n", p)
	}
	who := fmt.Sprintf("A <a@example.com> %d +0000", at.Unix())
	fmt.Fprintf(&head, "author %s\ncommitter %s\n%s", who, who, c.headers)
	signature := ""
	if c.sign != nil {
		armored, err := c.sign([]byte(head.String() + "\n" + c.message + "\n"))
		if err != nil {
			r.t.Fatal(err)
		}
		signature = "gpgsig " + strings.ReplaceAll(strings.TrimSpace(armored), "\n", "\n ") + "\n"
	}
	object := head.String() + signature + "\n" + c.message + "\n"
	if c.forge != nil {
		object = c.forge(object)
	}
	name := r.object("commit", []byte(object))
	r.trees[name] = c.files
	return name
}

// point moves the branch.
func (r *repository) point(commit string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, "refs", "heads", "main"), []byte(commit+"\n"), 0o644); err != nil {
		r.t.Fatal(err)
	}
}
