package lock

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract/extracttest"
)

// find runs the extractors over a file system.
func find(t testing.TB, fsys fs.FS) ([]fact.Package, error) {
	t.Helper()
	return extracttest.Find(t, fsys, Extractors())
}

func files(pairs ...string) fstest.MapFS { return extracttest.Files(pairs...) }

// say writes packages one a line: URL, state, attributes and hashes, the name
// and version where the URL has others.
func say(packages []fact.Package) string {
	var b strings.Builder
	for _, p := range packages {
		b.WriteString(p.PURL)
		if !strings.Contains(p.PURL, p.Name+"@"+p.Version) {
			fmt.Fprintf(&b, " (%s %s)", p.Name, p.Version)
		}
		b.WriteString(" " + p.State.String())
		for _, more := range [][]string{p.Attributes, p.Hashes, p.Licenses} {
			if len(more) > 0 {
				b.WriteString(" " + strings.Join(more, ","))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// example is a file system and what is found in it.
type example struct {
	name string
	fs   fstest.MapFS
	want string
}

func run(t *testing.T, examples []example) {
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			got, err := find(t, e.fs)
			if err != nil {
				t.Error(err)
			}
			if want := strings.TrimLeft(e.want, "\n"); say(got) != want {
				t.Errorf("got\n%swant\n%s", say(got), want)
			}
		})
	}
}

func TestNPM(t *testing.T) {
	run(t, []example{
		{"version 3: aliases, scopes, nesting, workspaces, git and local folders", files("package-lock.json", `{
  "name": "app", "version": "1.0.0", "lockfileVersion": 3, "requires": true,
  "packages": {
    "": {"name": "app", "version": "1.0.0", "workspaces": ["packages/*"], "dependencies": {"lodash": "^4", "old": "npm:lodash@3", "JSONStream": "*", "jsonstream": "*"}, "devDependencies": {"@babel/core": "^7"}},
    "node_modules/@babel/core": {"version": "7.24.0", "resolved": "https://registry.example/@babel/core/-/core-7.24.0.tgz", "integrity": "sha512-AAEC", "dev": true, "license": "MIT"},
    "node_modules/JSONStream": {"version": "1.3.5"},
    "node_modules/jsonstream": {"version": "1.0.3"},
    "node_modules/lodash": {"version": "4.17.21", "integrity": "sha1-/w== sha256-AQ=="},
    "node_modules/old": {"name": "lodash", "version": "3.10.1"},
    "node_modules/a/node_modules/lodash": {"version": "4.17.21", "dev": true},
    "node_modules/fork": {"version": "0.0.1", "resolved": "git+ssh://git:secret@github.com/x/fork.git#abcdef"},
    "node_modules/w": {"resolved": "packages/w", "link": true},
    "node_modules/fsevents": {"version": "2.3.3", "optional": true},
    "packages/w": {"name": "w", "version": "0.1.0", "dependencies": {"fsevents": "^2"}}
  }}`), `
pkg:npm/%40babel/core@7.24.0 (@babel/core 7.24.0) locked dev,direct sha512:000102 MIT
pkg:npm/JSONStream@1.3.5 locked direct
pkg:npm/lodash@4.17.21 locked direct sha1:ff,sha256:01
pkg:npm/fork@0.0.1?vcs_url=git%2Bssh:%2F%2Fgithub.com%2Fx%2Ffork.git%40abcdef locked
pkg:npm/fsevents@2.3.3 locked optional,direct
pkg:npm/jsonstream@1.0.3 locked direct
pkg:npm/lodash@3.10.1 locked direct
pkg:npm/w@0.1.0 locked local
`},
		{"version 1: nested, an alias and addresses", files("package-lock.json", `{
  "name": "app", "version": "1.0.0", "lockfileVersion": 1, "requires": true,
  "dependencies": {
    "a": {"version": "1.0.0", "resolved": "https://registry.example/a.tgz", "integrity": "sha512-AAEC", "requires": {"b": "^2"}, "dependencies": {"b": {"version": "2.0.0", "dev": true}}},
    "b": {"version": "2.0.0"},
    "c": {"version": "npm:@real/c@3.0.0"},
    "d": {"version": "file:../d"},
    "e": {"version": "https://user:secret@example.com/e.tgz?token=secret"}
  }}`), `
pkg:npm/a@1.0.0 locked sha512:000102
pkg:npm/b@2.0.0 locked
pkg:npm/%40real/c@3.0.0 (@real/c 3.0.0) locked
pkg:npm/d (d ) locked local
pkg:npm/e?download_url=https:%2F%2Fexample.com%2Fe.tgz (e ) locked
`},
		{"the copy in node_modules, and no lock file of a dependency", files(
			"node_modules/.package-lock.json", `{"lockfileVersion": 3, "packages": {"node_modules/a": {"version": "1.0.0"}}}`,
			"node_modules/a/package-lock.json", `{"lockfileVersion": 3, "packages": {"node_modules/b": {"version": "1.0.0"}}}`,
		), "pkg:npm/a@1.0.0 locked\n"},
		{"installed packages: scoped, nested, of pnpm, without a name, with two versions", files(
			"app/node_modules/a/package.json", "\xef\xbb\xbf"+`{"name": "a", "version": "1.0.0", "license": {"type": "MIT"}}`,
			"app/node_modules/a/dist/package.json", `{"type": "module"}`,
			"app/node_modules/a/node_modules/b/package.json", `{"name": "b", "version": "2.0.0", "licenses": [{"type": "MIT"}, "ISC"]}`,
			"app/node_modules/.pnpm/d@4.0.0/node_modules/d/package.json", `{"name": "d", "version": "4.0.0"}`,
			"app/node_modules/@s/c/package.json", `{"name": "@s/c", "version": "1.0.0", "Version": "2.0.0", "version": "3.0.0"}`,
			"app/node_modules/e/package.json", `{"main": "x.js"}`,
			"app/package.json", `{"name": "app", "version": "1.0.0"}`,
		), `
pkg:npm/d@4.0.0 installed
pkg:npm/%40s/c@3.0.0 (@s/c 3.0.0) installed
pkg:npm/b@2.0.0 installed MIT,ISC
pkg:npm/a@1.0.0 installed MIT
pkg:npm/e (e ) installed
`},
	})
}

func TestWantsAllocatesNothing(t *testing.T) {
	for _, x := range Extractors() {
		for _, p := range []string{"app/node_modules/@s/a/package.json", "usr/share/doc/x/copyright", "app/requirements/prod.txt", "app/pylock.gpu.toml", "app/yarn.lock"} {
			if n := testing.AllocsPerRun(10, func() { x.Wants(p, 0o644, 1000) }); n != 0 {
				t.Errorf("%s allocates %v times for %s", x.Name, n, p)
			}
		}
	}
}
