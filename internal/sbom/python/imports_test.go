package python

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sayImports writes imports one a line.
func sayImports(all []Import) string {
	var b strings.Builder
	for _, i := range all {
		fmt.Fprintf(&b, "%d %s%s", i.Line, strings.Repeat(".", i.Level), i.Module)
		if len(i.Names) > 0 {
			fmt.Fprintf(&b, ":%s", strings.Join(i.Names, ","))
		}
		if i.Dynamic {
			b.WriteString(" dynamic")
		}
		if i.Unknown() {
			b.WriteString(" unknown")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestImports(t *testing.T) {
	tests := []struct{ name, source, want string }{
		{"plain, dotted, renamed, several", "import os\nimport a.b as c, d\n", "1 os\n2 a.b\n2 d\n"},
		{"from, in brackets over lines, star", "from a.b import (c as d, # why\n  e,\n)\nfrom f import *\n", "1 a.b:c,e\n4 f:*\n"},
		{"relative", "from . import a\nfrom ..b import c\nfrom ... import d\n", "1 .:a\n2 ..b:c\n3 ...:d\n"},
		{"in functions, under try, if and with, on one line", "def f():\n\timport a\ntry: import b\nexcept ImportError: b = None\nif x: import c; import d\nasync def g(): from e import f\n", "2 a\n3 b\n5 c\n5 d\n6 e:f\n"},
		{"joined lines", "import \\\n  a\nfrom b \\\r\n  import c\n", "2 a\n3 b:c\n"},
		{"not in strings and comments", "'import a'\n\"\"\"\nimport b\n'\n\"\"\" # import c\nr'\\'import d'; x = 'import d'\nimport e\n", "7 e\n"},
		{"not in a string that goes on over an escaped line", "x = 'a\\\nimport b'\nimport c\n", "3 c\n"},
		{"after a string that never ends", "x = 'a\nimport b\n", "2 b\n"},
		{"a raw string keeps its quote", "x = r'\\''\nimport a\n", "2 a\n"},
		{"words that contain the word", "reimport = important = 1\nx.from_ = 2\nimports(a)\n", ""},
		{"other statements with from", "yield from a\nraise B from c\nawait d\n", ""},
		{"by name when it runs", "importlib.import_module('a.b')\n__import__(\"c\", globals())\nimport_module(\n  name='d' '.e'\n)\nimport_module('.f', package='g')\n", "1 a.b dynamic\n2 c dynamic\n3 d.e dynamic\n6 .f dynamic\n"},
		{"by a name that the text does not tell", "import_module(name)\n__import__('a' + b)\n__import__(f'{a}')\n__import__('\\x6fs')\n__import__(b'os')\nx = __import__\n", "1  dynamic unknown\n2  dynamic unknown\n3  dynamic unknown\n4  dynamic unknown\n5  dynamic unknown\n6  dynamic unknown\n"},
		{"by another name for the function", "from importlib import import_module as im\nim('os')\n", "1 importlib:import_module\n1  dynamic unknown\n"},
		{"a function of that name", "from importlib import import_module\ndef import_module(x): pass\nclass A:\n def __import__(self): pass\n", "1 importlib:import_module\n"},
		{"code in f-strings", "x = f'{__import__(\"a\")}'\ny = f\"{f'{__import__('b')}'}\"\nz = f'''{\n__import__('c')\n!r:>{__import__('d')}}'''\n", "1 a dynamic\n2 b dynamic\n4 c dynamic\n5 d dynamic\n"},
		{"text in f-strings", "x = f'{{import a}}{y:import b}'\nz = rf'\\{y}import c'\nw = f'\\N{BULLET}import d'\nimport e\n", "4 e\n"},
		{"brackets and lambdas in f-strings", "x = f'{ {1: 2}[1] } {(lambda a: a)(1)} {y!r} {z=}'\nimport a\n", "2 a\n"},
		{"an f-string that never ends", "x = f'{a\nimport b\n", "2 b\n"},
		{"carriage returns end lines", "import a\rimport b\r\nimport c", "1 a\n2 b\n3 c\n"},
		{"a mark at the beginning", "\xef\xbb\xbfimport a\n", "1 a\n"},
		{"a name that Python folds", "import \xef\xbd\x8fs\nfrom \xef\xbd\x8fs import path\n", "1  dynamic unknown\n2 :path dynamic unknown\n"},
		{"an encoding that hides code", "#!/usr/bin/python\n# -*- coding: utf-7 -*-\n", "2  dynamic unknown\n"},
		{"an encoding that hides nothing", "# vim: set fileencoding=Latin_1 :\nimport a\n", "2 a\n"},
		{"an encoding that comes too late", "import a\n# coding: utf-7\n", "1 a\n"},
		{"numbers and what is stuck to them", "x = 1if y else 2\nimport a\n0x1for\n", "2 a\n"},
		{"what is no Python", "import\nfrom\nfrom . \nimport 1\n__import__\n(\"a\")", "5  dynamic unknown\n"},
		{"nothing", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := sayImports(Imports([]byte(test.source))); got != test.want {
				t.Errorf("got\n%swant\n%s", got, test.want)
			}
		})
	}
}

// TestImportsAreThoseOfPythonsParser compares with the ast module of the
// Python that is installed, over its own library.
func TestImportsAreThoseOfPythonsParser(t *testing.T) {
	const program = `
import ast, glob, os, sys
paths = sorted(glob.glob(os.path.dirname(os.__file__) + '/**/*.py', recursive=True))
paths = [p for p in paths if 'bad' not in p and 'lib2to3' not in p][:: max(1, len(paths) // 400)]
for p in paths:
    try:
        tree = ast.parse(open(p, 'rb').read())
    except Exception:
        continue
    print('file', p)
    for n in ast.walk(tree):
        if isinstance(n, ast.Import):
            for a in n.names: print('%d %s' % (n.lineno, a.name))
        if isinstance(n, ast.ImportFrom):
            print('%d %s%s:%s' % (n.lineno, '.' * n.level, n.module or '', ','.join(a.name for a in n.names)))
`
	name, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here")
	}
	out, err := exec.CommandContext(t.Context(), name, "-c", program).Output()
	if err != nil {
		t.Skipf("python3 does not run: %v", err)
	}
	files := map[string]map[string]bool{}
	var current map[string]bool
	for s := bufio.NewScanner(strings.NewReader(string(out))); s.Scan(); {
		if p, ok := strings.CutPrefix(s.Text(), "file "); ok {
			current = map[string]bool{}
			files[p] = current
			continue
		}
		current[s.Text()] = true
	}
	total := 0
	for p, want := range files {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, i := range Imports(data) {
			if i.Dynamic {
				continue
			}
			// The parser gives the line of the statement, here it is that of the name.
			line := strings.TrimSpace(sayImports([]Import{i}))
			got[line] = true
			total++
		}
		for w := range want {
			if !got[w] {
				t.Errorf("%s: missing %s", p, w)
			}
		}
		for g := range got {
			if !want[g] {
				t.Errorf("%s: not there: %s", p, g)
			}
		}
	}
	t.Logf("%d imports in %d files", total, len(files))
	if total == 0 {
		t.Skip("no library here")
	}
}

func FuzzImports(f *testing.F) {
	f.Add([]byte("import a.b as c, d\nfrom ..e import (f, g)\n__import__('h')\nx = f'{y:{z}}' rb'\\''\n"))
	f.Add([]byte("# coding: utf-7\nf'''{f\"{'''"))
	f.Add([]byte("from . import *;\\\nimport \xff"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 1<<16 {
			return
		}
		lines := strings.Count(string(src), "\n") + strings.Count(string(src), "\r") + 1
		for _, i := range Imports(src) {
			if i.Line < 1 || i.Line > lines || len(i.Module) > 2*len(src) {
				t.Errorf("%+v of %d lines", i, lines)
			}
			if i.Module == "" && i.Level == 0 && !i.Dynamic {
				t.Errorf("an import of nothing: %+v", i)
			}
		}
	})
}

func BenchmarkImports(b *testing.B) {
	src := []byte(strings.Repeat("import os\ndef f(x):\n    \"\"\"Returns x.\"\"\"\n    from a.b import c\n    return f'{x!r:>{10}}' + 'text' + str(1.5)  # comment\n", 1000))
	b.SetBytes(int64(len(src)))
	start := cpu(b)
	for b.Loop() {
		Imports(src)
	}
	b.ReportMetric(float64(cpu(b)-start)/float64(b.N), "cpu-ns/op")
}

// cpu returns how long the process has computed so far: wall time says little on
// a machine that others use.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
