package imported

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
)

// say writes what is known, the modules first.
func say(e Evidence) string {
	var out []string
	for m := range e.modules {
		out = append(out, m)
	}
	for f := range e.files {
		out = append(out, "/"+f)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestRecordsOfLoads(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		err              error
	}{
		{"JSON lines name modules", "{\"module\":\"torch.nn\"}\n\n{\"module\":\"json\",\"at\":\"2026-11-20\",\"stack\":[1]}\n", "json torch torch.nn", nil},
		{"JSON lines name files", `{"file":"/usr/lib/libcudnn.so.9"}`, "/usr/lib/libcudnn.so.9", nil},
		{"Python's times of imports, between a program's words", "import time: self [us] | cumulative | imported package\nhello | there\nimport time:       735 |       1488 |     json.scanner\nimport time: 1 | 2 | numpy\n", "json json.scanner numpy", nil},
		{"Python's words about imports", "import _imp # builtin\n# /usr/lib/python3/json/__init__.pyc matches x\nimport 'json' # <SourceFileLoader object>\nimport what the program says\n# extension module '_cffi_backend' loaded from '/srv/site-packages/_cffi_backend.cpython-312-x86_64-linux-gnu.so'\n",
			"/srv/site-packages/_cffi_backend.cpython-312-x86_64-linux-gnu.so _cffi_backend _imp json", nil},
		{"the maps of a process", "55fd-55fe r-xp 00002000 fe:00 247278                     /usr/bin/a b\n7ff0-7ff1 rw-p 00000000 00:00 0                          [stack]\n7ff2-7ff3 rw-p 00000000 00:00 0\n7f00-7f01 r--p 00000000 fe:00 5 /opt/site-packages/numpy.libs/libopenblas.so (deleted)\n",
			"/opt/site-packages/numpy.libs/libopenblas.so /usr/bin/a b numpy", nil},
		{"words are no record", "import this\nand that\n", "", ErrFormat},
		{"an empty file is none", "", "", ErrFormat},
		{"JSON of another kind is none", `{"version":1}`, "", ErrFormat},
		{"memory without a file is no load", "7ff2-7ff3 rw-p 00000000 00:00 0\n", "", ErrFormat},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := Observed("loads", []byte(c.text))
			if !errors.Is(err, c.err) || say(e) != c.want {
				t.Errorf("%q %v, want %q", say(e), err, c.want)
			}
		})
	}
}

func TestALineOfJSONThatIsNoLoadIsNamed(t *testing.T) {
	for _, line := range []string{`{"module":""}`, `{"module":"a..b"}`, `{"module":"../x"}`, `{"module":1}`, `{"module":"a`, `import time: 1 | 2 | a`} {
		if _, err := Observed("loads", []byte("{\"module\":\"a\"}\n"+line+"\n")); err == nil || !strings.Contains(err.Error(), "loads:2:") {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestARecordIsBounded(t *testing.T) {
	if _, err := Observed("loads", make([]byte, MaxRecord+1)); !errors.Is(err, bounded.ErrTooLarge) {
		t.Error(err)
	}
	long := "import time: 1 | 2 | " + strings.Repeat("a", maxLine) + "\nimport time: 1 | 2 | b\n"
	if e, err := Observed("loads", []byte(long)); err != nil || say(e) != "b" {
		t.Error(say(e), err)
	}
	if e := Static("x", []string{strings.Repeat("a", maxName+1), "a.", ".a", "1a", "a b", ""}); e.Len() != 0 {
		t.Error(say(e))
	}
}

func TestPackagesThatAreLoaded(t *testing.T) {
	torch := fact.Package{Ecosystem: "PyPI", Name: "torch", Modules: []string{"functorch", "torch"}}
	yaml := fact.Package{Ecosystem: "PyPI", Name: "PyYAML"} // no RECORD, no modules
	cudnn := fact.Package{Ecosystem: "generic", Name: "cudnn", Path: "opt/lib/libcudnn.so.9", State: fact.Vendored}
	node := fact.Package{Ecosystem: "npm", Name: "torch"}
	record := func(text string) Evidence {
		t.Helper()
		e, err := Observed("loads.jsonl", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	module := func(source fact.ImportSource, from, name string) []fact.ImportEvidence {
		return []fact.ImportEvidence{{Source: source, From: from, Module: name}}
	}
	for _, c := range []struct {
		name     string
		p        fact.Package
		evidence []Evidence
		want     []fact.ImportEvidence
	}{
		{"by a module within it", torch, []Evidence{record(`{"module":"torch.nn.functional"}`)}, module(fact.ImportObserved, "loads.jsonl", "torch")},
		{"by what its project is imported as", yaml, []Evidence{record(`{"module":"yaml"}`)}, module(fact.ImportObserved, "loads.jsonl", "yaml")},
		{"by a library in its folder", torch, []Evidence{record(`{"file":"/usr/lib/python3/site-packages/torch/lib/libtorch.so"}`)}, module(fact.ImportObserved, "loads.jsonl", "torch")},
		{"by its path", cudnn, []Evidence{record(`{"file":"/opt/lib/../lib/libcudnn.so.9"}`)}, []fact.ImportEvidence{{Source: fact.ImportObserved, From: "loads.jsonl", File: "opt/lib/libcudnn.so.9"}}},
		{"by both sources", torch, []Evidence{Static("src", []string{"torch"}), record(`{"module":"torch"}`)},
			append(module(fact.ImportStatic, "src", "torch"), module(fact.ImportObserved, "loads.jsonl", "torch")...)},
		{"not by a module that begins alike", torch, []Evidence{record(`{"module":"torchvision"}`)}, nil},
		{"not by a module of another package", yaml, []Evidence{record(`{"module":"json"}`)}, nil},
		{"not by a library elsewhere", cudnn, []Evidence{record(`{"file":"/usr/lib/libcudnn.so.9"}`)}, nil},
		{"not in another ecosystem", node, []Evidence{record(`{"module":"torch"}`)}, nil},
		{"not without evidence", torch, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			packages := []fact.Package{c.p}
			Mark(packages, c.evidence...)
			Mark(packages, c.evidence...) // says nothing twice
			if !slices.Equal(packages[0].Imported, c.want) {
				t.Errorf("%+v", packages[0].Imported)
			}
		})
	}
}

// TestWhatPythonReallyWrites asks the interpreter that is here.
func TestWhatPythonReallyWrites(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 here: ", err)
	}
	for _, flags := range [][]string{{"-X", "importtime"}, {"-v"}} {
		cmd := exec.CommandContext(t.Context(), python, append(flags, "-I", "-c", "import json.scanner, sys; sys.stderr.write('import nothing # at all\\n')")...)
		var said strings.Builder
		cmd.Stderr = &said
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		e, err := Observed("stderr", []byte(said.String()))
		if err != nil || !e.modules["json"] || !e.modules["json.scanner"] {
			t.Errorf("%v: %v, %d loads", flags, err, e.Len())
		}
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if e, err := Observed("maps", maps); err != nil || !e.files[strings.TrimPrefix(self, "/")] {
		t.Errorf("%v: %v", err, say(e))
	}
}

func FuzzObserved(f *testing.F) {
	f.Add([]byte("{\"module\":\"torch.nn\"}\n"))
	f.Add([]byte("import time: 1 | 2 | a.b\n"))
	f.Add([]byte("import 'a' # <b>\n# extension module 'a' loaded from '/a.so'\n"))
	f.Add([]byte("0-1 r-xp 00 fe:00 1 /site-packages/a.libs/b.so\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Observed("loads", data)
		if err == nil && e.Len() == 0 {
			t.Error("a record of nothing is no record")
		}
		for m := range e.modules {
			if !isModule(m) {
				t.Errorf("module %q", m)
			}
		}
		for file := range e.files {
			if strings.HasPrefix(file, "/") || strings.Contains("/"+file+"/", "/../") {
				t.Errorf("file %q", file)
			}
		}
		Mark([]fact.Package{{Ecosystem: "PyPI", Name: "torch"}}, e)
	})
}
