package arch

import (
	"errors"
	"flag"
	"fmt"
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

var update = flag.Bool("update", false, "write imports.txt anew")

const (
	root  = "../.."
	table = "imports.txt"
)

// packages reads the imports of all packages of the module, test files left
// out. It reads the files itself, so that a change of them is seen by the
// cache of test results.
func packages(t *testing.T) (all []pkg, module *modfile.File) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if module, err = modfile.ParseLax("go.mod", data, nil); err != nil {
		t.Fatal(err)
	}
	prefix := module.Module.Mod.Path + "/"
	context := build.Default
	context.GOOS, context.GOARCH, context.CgoEnabled = "linux", "amd64", false // the same list on every machine
	err = filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if dir != root {
			name := d.Name()
			if name[0] == '.' || name[0] == '_' || name == "testdata" || name == "node_modules" {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				return fs.SkipDir // a module of its own
			}
		}
		found, err := context.ImportDir(dir, 0)
		if _, none := errors.AsType[*build.NoGoError](err); none {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if len(found.GoFiles) == 0 {
			return nil // tests only
		}
		within, err := filepath.Rel(root, dir)
		if err != nil {
			return err
		}
		p := pkg{path: filepath.ToSlash(within)}
		for _, imported := range found.Imports {
			first, _, _ := strings.Cut(imported, "/")
			if ours, ok := strings.CutPrefix(imported, prefix); ok {
				p.ours = append(p.ours, ours)
			} else if strings.Contains(first, ".") {
				p.foreign = append(p.foreign, imported)
			}
		}
		all = append(all, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d packages were found", len(all))
	}
	return all, module
}

// render writes the table: each package with what it imports of ours and, after
// a plus, the modules that it imports from.
func render(all []pkg, module *modfile.File) string {
	var b strings.Builder
	b.WriteString("# What each package imports beside the standard library, test files left out.\n")
	b.WriteString("# Regenerate with: go test ./internal/arch -update; then look at what changed.\n")
	for _, p := range all {
		fmt.Fprintf(&b, "\n%s\n", p.path)
		line(&b, "    ", p.ours)
		var modules []string
		for _, imported := range p.foreign {
			modules = append(modules, moduleOf(imported, module))
		}
		slices.Sort(modules)
		line(&b, "  + ", slices.Compact(modules))
	}
	return b.String()
}

// line writes the words in lines of readable length.
func line(b *strings.Builder, indent string, words []string) {
	const width = 120
	for len(words) > 0 {
		text := indent + words[0]
		words = words[1:]
		for len(words) > 0 && len(text)+1+len(words[0]) <= width {
			text += " " + words[0]
			words = words[1:]
		}
		b.WriteString(text + "\n")
	}
}

func moduleOf(imported string, module *modfile.File) string {
	longest := ""
	for _, r := range module.Require {
		if strings.HasPrefix(imported+"/", r.Mod.Path+"/") && len(r.Mod.Path) > len(longest) {
			longest = r.Mod.Path
		}
	}
	if longest == "" {
		return imported
	}
	return longest
}

func TestEveryImportWasReviewed(t *testing.T) {
	all, module := packages(t)
	got := render(all, module)
	if *update {
		if err := os.WriteFile(table, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	data, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	want := entries(string(data))
	for p, imports := range entries(got) {
		if old, known := want[p]; !known {
			t.Errorf("%s is new; it imports %v", p, imports)
		} else if !slices.Equal(old, imports) {
			t.Errorf("%s imports %v more and %v no longer", p, without(imports, old), without(old, imports))
		}
		delete(want, p)
	}
	for p := range want {
		t.Errorf("%s is gone", p)
	}
	if t.Failed() {
		t.Log("if that is meant to be so: go test ./internal/arch -update")
	}
}

// entries reads a table: what is imported, by package.
func entries(text string) map[string][]string {
	out := map[string][]string{}
	current := ""
	for l := range strings.Lines(text) {
		switch words := strings.Fields(l); {
		case len(words) == 0 || l[0] == '#':
		case l[0] != ' ':
			current = words[0]
			out[current] = []string{}
		default:
			out[current] = append(out[current], slices.DeleteFunc(words, func(w string) bool { return w == "+" })...)
		}
	}
	return out
}

func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(w string) bool { return slices.Contains(b, w) })
}

func TestImportsFollowTheHouse(t *testing.T) {
	all, _ := packages(t)
	for _, what := range broken(all) {
		t.Error(what)
	}
}

func TestNoRoomIsOnTwoFloors(t *testing.T) {
	seen := map[string]int{}
	for floor, rooms := range floors {
		for _, r := range rooms {
			if other, twice := seen[r]; twice {
				t.Errorf("%s is on the floors %d and %d", r, other, floor)
			}
			seen[r] = floor
		}
	}
}

func TestTheRulesOfTheHouseCanBeBroken(t *testing.T) {
	for _, tc := range []struct {
		name string
		pkg  pkg
		want string // "" when it is allowed
	}{
		{"down is allowed", pkg{path: "internal/verify", ours: []string{"internal/policy", "internal/oci", "verdict"}}, ""},
		{"up is not", pkg{path: "internal/policy", ours: []string{"internal/verify"}}, "imports go down"},
		{"up from a subpackage is not", pkg{path: "internal/oci/reference", ours: []string{"internal/image"}}, "imports go down"},
		{"a neighbour is not", pkg{path: "internal/trust", ours: []string{"internal/oci"}}, "neighbour"},
		{"a neighbour's subpackage is not", pkg{path: "internal/config", ours: []string{"internal/oci/reference"}}, "neighbour"},
		{"the own subpackage is", pkg{path: "internal/image", ours: []string{"internal/image/scan"}}, ""},
		{"the own parent is", pkg{path: "internal/image/scan", ours: []string{"internal/image"}}, ""},
		{"the vocabulary is, on the ground floor", pkg{path: "internal/fact", ours: []string{"verdict"}}, ""},
		{"facts are not, on the ground floor", pkg{path: "internal/meter", ours: []string{"internal/fact"}}, "neighbour"},
		{"a room with a name like another's is its own", pkg{path: "internal/policytest", ours: []string{"internal/policy"}}, ""},
		{"a package without a floor is not", pkg{path: "internal/util"}, "on no floor"},
		{"a heavy dependency is its owner's", pkg{path: "internal/trust", foreign: []string{"github.com/sigstore/sigstore-go/pkg/verify"}}, ""},
		{"a heavy dependency is nobody else's", pkg{path: "internal/image", foreign: []string{"github.com/sigstore/sigstore-go/pkg/verify"}}, "belongs to"},
		{"client-go is nobody's", pkg{path: "internal/app", foreign: []string{"k8s.io/client-go/kubernetes"}}, "belongs to"},
		{"controller-runtime is nobody's", pkg{path: "internal/app", foreign: []string{"sigs.k8s.io/controller-runtime"}}, "belongs to"},
		{"metadata may be written by a command", pkg{path: "cmd/apex", foreign: []string{"k8s.io/apimachinery/pkg/apis/meta/v1"}}, ""},
		{"labels may not be matched by a command", pkg{path: "cmd/apex", foreign: []string{"k8s.io/apimachinery/pkg/labels"}}, "belongs to"},
		{"a light dependency is anybody's", pkg{path: "internal/image", foreign: []string{"golang.org/x/sync/errgroup"}}, ""},
		{"the vocabulary has no dependency, however light", pkg{path: "verdict", foreign: []string{"golang.org/x/sync/errgroup"}}, "standard library only"},
		{"the vocabulary has nothing of ours either", pkg{path: "verdict", ours: []string{"internal/clock"}}, "neighbour"},
		{"the generator of the vocabulary's page may import it", pkg{path: "verdict/gen", ours: []string{"verdict"}}, ""},
		{"a test kit may import what tests do", pkg{path: "internal/verify/verifytest", foreign: []string{"github.com/google/go-containerregistry/pkg/v1"}, ours: []string{"internal/oci/ocitest"}}, ""},
		{"a test kit is for tests", pkg{path: "internal/verify", ours: []string{"internal/oci/ocitest"}}, "test kit"},
		{"a test kit goes down too", pkg{path: "internal/oci/ocitest", ours: []string{"internal/verify"}}, "imports go down"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := broken([]pkg{tc.pkg})
			if tc.want == "" && len(got) > 0 {
				t.Errorf("got %q", got)
			}
			if tc.want != "" && (len(got) != 1 || !strings.Contains(got[0], tc.want)) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
