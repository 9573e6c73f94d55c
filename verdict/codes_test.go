package verdict

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// declared returns the codes that the package's source declares, by constant.
func declared(t *testing.T) map[string]Code {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]Code{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, s := range group.Specs {
				spec := s.(*ast.ValueSpec)
				if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Code" {
					continue
				}
				for i, name := range spec.Names {
					value, err := strconv.Unquote(spec.Values[i].(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					codes[name.Name] = Code(value)
				}
			}
		}
	}
	if codes["OK"] != "ok" || len(codes) < 50 {
		t.Fatalf("the source was not understood: %d codes", len(codes))
	}
	return codes
}

func TestEveryCodeIsInTheTableOnce(t *testing.T) {
	inTable := map[Code]int{}
	for _, info := range Codes() {
		inTable[info.Code]++
	}
	constants := map[Code]string{}
	for name, code := range declared(t) {
		if other, twice := constants[code]; twice {
			t.Errorf("%s and %s are both %q", other, name, code)
		}
		constants[code] = name
		if inTable[code] != 1 {
			t.Errorf("%s (%q) is %d times in the table", name, code, inTable[code])
		}
	}
	for code := range inTable {
		if constants[code] == "" {
			t.Errorf("%q is in the table and no constant", code)
		}
	}
}

func TestEveryCodeSaysWhatItMeansAndHowToMendIt(t *testing.T) {
	const letters = "abcdefghijklmnopqrstuvwxyz.-"
	for _, info := range Codes() {
		if strings.Trim(string(info.Code), letters) != "" || strings.HasPrefix(string(info.Code), ".") || strings.HasSuffix(string(info.Code), ".") {
			t.Errorf("%q is not lower-case words with points between them", info.Code)
		}
		if info.Code.Info() != info {
			t.Errorf("%s: Info says %+v, Codes %+v", info.Code, info.Code.Info(), info)
		}
		texts := map[string]string{"meaning": info.Meaning}
		if info.Code != OK {
			texts["mend"] = info.Mend
		}
		for what, text := range texts {
			if text == "" || !strings.HasSuffix(text, ".") || strings.TrimSpace(text) != text || text[0] < 'A' || text[0] > 'Z' {
				t.Errorf("%s: the %s is no sentence: %q", info.Code, what, text)
			}
		}
	}
	if mend := OK.Info().Mend; mend != "" {
		t.Errorf("what passed needs no mending: %q", mend)
	}
}

func TestCodesAreListedInOrderAndTheListIsTheCallers(t *testing.T) {
	list := Codes()
	byCode := func(a, b CodeInfo) int { return strings.Compare(string(a.Code), string(b.Code)) }
	if !slices.IsSortedFunc(list, byCode) {
		t.Error("not sorted")
	}
	want := list[0]
	list[0] = CodeInfo{}
	if got := Codes()[0]; got != want {
		t.Errorf("a caller changed the table: %+v", got)
	}
}

func TestACodeThatNobodyKnowsSaysSo(t *testing.T) {
	info := Code("made.up").Info()
	if info.Code != "made.up" || info.Meaning != "unknown code" || info.Mend != "" {
		t.Errorf("got %+v", info)
	}
}
