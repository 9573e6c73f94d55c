package lock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
)

func TestHostileFilesAreGapsAndTheirTwinsAreNot(t *testing.T) {
	const entry = "[[package]]\nname = \"a\"\nversion = \"1\"\n"
	tests := []struct {
		name, path, content string
		want                error // nil: any
		twin                string
	}{
		{"brackets in TOML without end", "uv.lock", entry + "x = " + strings.Repeat("[", 1<<20), bounded.ErrTooDeep, entry + "x = " + strings.Repeat("[", 50) + strings.Repeat("]", 50)},
		{"tables in tables without end", "poetry.lock", entry + "x = " + strings.Repeat("{a=", 1<<20), bounded.ErrTooDeep, entry + "x = {a={a=1}}"},
		{"a key of a million parts", "Cargo.lock", entry + "a" + strings.Repeat(".a", 1<<20) + " = 1", bounded.ErrTooMany, entry + "a" + strings.Repeat(".a", 100) + " = 1"},
		{"more tables than can be told apart in time", "uv.lock", entry + numbered(100_000, "[a%d]\nx=1\n"), bounded.ErrTooMany, entry + numbered(5_000, "[package.a%d]\nx=1\n")},
		{"more keys than can be told apart in time", "uv.lock", numbered(100_000, "k%d = 1\n") + entry, bounded.ErrTooMany, numbered(5_000, "k%d = 1\n") + entry},
		{"more keys in one value than can be told apart in time", "uv.lock", entry + "a = {" + numbered(100_000, "k%d = 1,") + "z = 1}", bounded.ErrTooMany, entry + "a = {" + numbered(5_000, "k%d = 1,") + "z = 1}"},
		{"tables between elements, which are never forgotten", "uv.lock", entry + numbered(50_000, "[[package]]\n[a%d]\n"), bounded.ErrTooMany, numbered(50_000, "[[package]]\nname = \"a%d\"\n[package.source]\ngit = \"x\"\n")},
		{"a string that never ends", "pdm.lock", entry + `x = """` + strings.Repeat("[", 1000), nil, entry + `x = """` + strings.Repeat("[", 1000) + `"""`},
		{"brackets in YAML without end", "pnpm-lock.yaml", "packages: " + strings.Repeat("[", 2<<20), bounded.ErrTooMany, "packages: {/a@1: {x: " + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}}"},
		{"brackets in YAML as deep as the parser goes", "pnpm-lock.yaml", "packages: " + strings.Repeat("[", 20_000), nil, "packages: {/a@1: {x: []}}"},
		{"JSON nested without end", "package-lock.json", strings.Repeat(`{"dependencies":`, 1<<18), bounded.ErrTooDeep, `{"dependencies": {"a": {"version": "1", "dependencies": {}}}}`},
		{"a field twice in JSON", "package-lock.json", `{"packages": {"node_modules/a": {"version": "1", "Version": "2"}}}`, bounded.ErrDuplicateKey, `{"packages": {"node_modules/a": {"version": "1"}}}`},
		{"a manifest nested without end", "node_modules/a/package.json", `{"name": "a", "x": ` + strings.Repeat("[", 1<<20), nil, `{"name": "a", "x": [[]]}`},
		{"a name longer than any", "yarn.lock", strings.Repeat("a", 2000) + "@1:\n  version \"1\"\n", nil, strings.Repeat("a", 900) + "@1:\n  version \"1\"\n"},
		{"a go.mod that is none", "go.mod", "module x\nrequire (\n", nil, "module x\nrequire a.b/c v1.0.0\n"},
		{"requirements that take in a file that is not there", "requirements.txt", "a==1\n-r base.in\n", fs.ErrNotExist, "a==1\n"},
		{"requirements that take in files out of the tree", "requirements.txt", "a==1\n-c ../../../etc/passwd\n", nil, "a==1\n-c https://example.com/constraints.txt\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := find(t, files(test.path, test.content))
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Fatalf("error is %v, want %v", err, test.want)
			}
			if !strings.Contains(err.Error(), filepath.Base(test.path)) {
				t.Errorf("the error does not name the file: %v", err)
			}
			got, err := find(t, files(test.path, test.twin))
			if err != nil || len(got) == 0 {
				t.Errorf("the twin has %d packages and the error %v", len(got), err)
			}
		})
	}
}

// numbered repeats a text with numbers in it.
func numbered(count int, format string) string {
	var b strings.Builder
	for i := range count {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestAnErrorInTheMiddleKeepsWhatCameBefore(t *testing.T) {
	got, err := find(t, files("yarn.lock", "a@1:\n  version \"1\"\n\n"+strings.Repeat("b", 2000)+"@1:\n  version \"1\"\n"))
	if err == nil || say(got) != "pkg:npm/a@1 locked\n" {
		t.Errorf("got %s and %v", say(got), err)
	}
}

func TestAliasesInYAMLAreNotFollowed(t *testing.T) {
	got, err := find(t, files("pnpm-lock.yaml", "packages:\n  /a@1: &a {dev: true}\n  /b@1: *a\n"))
	if err != nil || say(got) != "pkg:npm/a@1 locked dev\npkg:npm/b@1 locked\n" {
		t.Errorf("got %s and %v", say(got), err)
	}
}

func TestIncludesEnd(t *testing.T) {
	chain := files("requirements.txt", "-r a.in\n")
	for c := 'a'; c < 'z'; c++ {
		chain[string(c)+".in"] = files("x", string(c)+"==1\n-r "+string(c+1)+".in\n")["x"]
	}
	got, err := find(t, chain)
	if !errors.Is(err, bounded.ErrTooMany) || len(got) != maxIncludeDepth {
		t.Errorf("%d packages and %v, want %d and an error about too many files", len(got), err, maxIncludeDepth)
	}
	delete(chain, "h.in")
	chain["g.in"] = files("x", "g==1\n")["x"]
	if got, err := find(t, chain); err != nil || len(got) != 7 {
		t.Errorf("the twin has %d packages and %v, want 7", len(got), err)
	}
}

// TestPoetrysOldestFilesAreRead: with all hashes in one table, as wide as real
// ones get.
func TestPoetrysOldestFilesAreRead(t *testing.T) {
	hashes := strings.Repeat("    {file = \"a-1.0-py3-none-any.whl\", hash = \"sha256:aa\"},\n", 40)
	data := numbered(1500, "[[package]]\nname = \"p%d\"\nversion = \"1.0\"\n[package.dependencies]\na = \"1\"\n") + "[metadata.files]\n" + numbered(1500, "p%d = [\n"+hashes+"]\n")
	got, err := find(t, files("poetry.lock", data))
	if err != nil || len(got) != 1500 || len(got[0].Hashes) == 0 {
		t.Errorf("%d packages and %v", len(got), err)
	}
}

func TestManyRootsOfOneNameAreReadInTime(t *testing.T) {
	data := numbered(20_000, "[[package]]\nname = \"a\"\nversion = \"%d\"\ndependencies = [{ name = \"a\" }]\nsource = { editable = \".\" }\n")
	got, err := find(t, files("uv.lock", data))
	if err != nil || len(got) != 20_000 {
		t.Errorf("%d packages and %v", len(got), err)
	}
}

func TestACancelledContextEndsTheWork(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := &list{ctx: ctx, file: newFile("yarn.lock")}
	var b strings.Builder
	for i := range 3000 {
		b.WriteString("a" + strings.Repeat("b", i%50) + "@1:\n  version \"" + strings.Repeat("1", i%200) + "\"\n")
	}
	if err := parseYarn(l, []byte(b.String())); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// TestRealFiles reads lock files that Go's module cache happens to hold: each
// must be read to its end.
func TestRealFiles(t *testing.T) {
	cache := os.Getenv("GOMODCACHE")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Skip(err)
		}
		cache = filepath.Join(home, "go/pkg/mod")
	}
	wanted := map[string]bool{"package-lock.json": true, "Cargo.lock": true, "Gemfile.lock": true, "requirements.txt": true, "yarn.lock": true, "pnpm-lock.yaml": true}
	read := 0
	for _, pattern := range []string{"*/*/*", "*/*/*/*", "*/*/*/*/*", "*/*/*/*/*/*"} {
		paths, _ := filepath.Glob(filepath.Join(cache, pattern))
		for _, p := range paths {
			if !wanted[filepath.Base(p)] || read >= 40 {
				continue
			}
			data, err := os.ReadFile(p)
			if err != nil {
				continue
			}
			got, err := find(t, files(filepath.Base(p), string(data)))
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "out of the tree") {
				t.Errorf("%s: %v", p, err)
			}
			read++
			t.Logf("%d packages in %s", len(got), p[len(cache):])
			for _, f := range got {
				if f.Name == "" || f.PURL == "" || f.State == fact.Locked && f.Version == "" && !f.Has("local") && !strings.Contains(f.PURL, "?") {
					t.Errorf("%s: %+v", p, f)
				}
			}
		}
	}
	if read == 0 {
		t.Skip("no lock files here")
	}
}
