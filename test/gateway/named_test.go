package gateway

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tests finds the functions of a package that go test runs. The folder is below
// the module's root; "" is this one.
type tests map[string]map[string]bool

const thisPackage = "test/gateway"

// exists reports whether a test is there: its name, or PACKAGE.NAME with the
// package's folder.
func (all tests) exists(t *testing.T, name string) bool {
	t.Helper()
	dir, name := split(name)
	if all[dir] == nil {
		all[dir] = declared(t, dir)
	}
	return all[dir][name]
}

func split(name string) (dir, test string) {
	if at := strings.LastIndexByte(name, '.'); at >= 0 {
		return name[:at], name[at+1:]
	}
	return thisPackage, name
}

func declared(t *testing.T, dir string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	entries, err := os.ReadDir(filepath.Join("..", "..", filepath.FromSlash(dir)))
	if err != nil {
		t.Errorf("the package %s: %v", dir, err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", filepath.FromSlash(dir), e.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, is := d.(*ast.FuncDecl); is && fn.Recv == nil && (strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Fuzz")) {
				found[fn.Name.Name] = true
			}
		}
	}
	return found
}

func TestEveryWayToFailNamesATestThatIsThere(t *testing.T) {
	all := tests{}
	for _, row := range failsClosed {
		if !all.exists(t, row.test) {
			t.Errorf("%s (%s): there is no test %s", row.fault, row.becomes, row.test)
		}
	}
	if all.exists(t, "TestThatIsNotThere") || all.exists(t, "internal/gateway/waf.TestEveryWayToFailNamesATestThatIsThere") {
		t.Error("a test is found that is not there")
	}
}
