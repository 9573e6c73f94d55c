package pickle

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/model/scan"
)

// Global is a name that a stream imports.
type global struct {
	module, name string // as Python 3 calls it
	listed       listed
	denied       *denied
	main         bool // of the program that loads
	script       bool // a class of TorchScript, which only its own reader finds
	library      bool // noted at the stream's end, unless more is done with it
	what         string
	where        scan.Where
	odd          bool // no Python import can find it
	fetched      int  // times that it came to the stack: by an import, the memo or DUP
	called       int  // times that it was called from there
}

func (g *global) String() string { return g.module + "." + g.name }

// class says whether the name looks like a class's. It decides between two
// severities of what is not trusted, never for trust.
func (g *global) class() bool { return classes(g.name) }

// classes says whether each part of a dotted name looks like a class's.
func classes(name string) bool {
	for part := range strings.SplitSeq(name, ".") {
		r, _ := utf8.DecodeRuneInString(strings.TrimLeft(part, "_"))
		if !unicode.IsUpper(r) {
			return false
		}
	}
	return true
}

// imports are the names that a stream imported.
type imports struct {
	list      *list
	globals   []global
	index     map[string]int // by "module name" as they stand in the file
	lookup    []byte
	valid     int  // imports of names that Python's grammar allows
	unsettled int  // names of libraries that are held back
	denying   bool // one of them is on the deny-list
	iterates  bool // one of them makes iterators
	acted     int  // calls and changes of valid imports: raw numbers do not get there by chance
	bare      int  // calls by INST without arguments
}

// global runs GLOBAL.
func (m *machine) global() error {
	module, name, err := m.importLines()
	if err != nil {
		return err
	}
	return m.push(m.imported(module, name))
}

// importLines reads the two lines of GLOBAL and INST. Python's unpickler takes
// the last byte of a line off even where the file ends instead of it. C's reads
// a line that a frame cuts from behind the frame, so that name is judged too.
func (m *machine) importLines() (module, name string, err error) {
	var lines, cut [2]string
	for i := range lines {
		off, n, whole := m.in.line(m.op)
		if !whole {
			if n < 2 {
				return "", "", m.in.err
			}
			n--
		}
		b, err := m.in.text(off, n)
		if err != nil {
			return "", "", err
		}
		lines[i] = string(b)
		cut[i] = lines[i]
		if before := m.frame - off; before > 0 && before < int64(len(b)) {
			cut[i] = lines[i][before:]
		}
	}
	if cut != lines {
		m.imported(cut[0], cut[1])
	}
	return lines[0], lines[1], nil
}

// stackGlobal runs STACK_GLOBAL.
func (m *machine) stackGlobal() error {
	if len(m.stack)-2 < m.fence {
		return errUnderflow
	}
	at := len(m.stack) - 2
	module, name := m.stack[at], m.stack[at+1]
	m.stack = m.stack[:at]
	if !module.isString() || !name.isString() {
		for _, v := range []value{module, name} {
			if v.kind != isObject && v.kind != isUnknown && v.kind != isPersistent && !v.isString() {
				return broken("a name to import is no text")
			}
		}
		m.report(ruleComputed, m.show(module, 0)+" "+m.show(name, 0))
		return m.push(value{kind: isUnknown})
	}
	first, err := m.text(module)
	if err != nil {
		return err
	}
	second, err := m.text(name)
	if err != nil {
		return err
	}
	return m.push(m.imported(first, second))
}

// imported judges an import, the first time that it is made.
func (m *machine) imported(module, name string) value {
	m.lookup = append(append(append(m.lookup[:0], module...), '\n'), name...)
	if i, known := m.index[string(m.lookup)]; known {
		m.globals[i].fetched++
		return value{kind: isGlobal, off: int64(i)}
	}
	i := len(m.globals)
	g := m.judgeImport(module, name)
	g.fetched = 1
	if m.take(int64(len(m.lookup))*2+200) == nil { // else it is judged anew each time
		m.index[string(m.lookup)] = i
	}
	m.globals = append(m.globals, g)
	return value{kind: isGlobal, off: int64(i)}
}

// longestName is longer than any honest module and name.
const longestName = 1000

func (m *machine) judgeImport(module, name string) global {
	g := global{odd: !importable(module) || !importable(name)}
	g.module, g.name = m.list.python3(module, name)
	what := g.String()
	if g.module != module || g.name != name {
		what += " (in Python 2 " + module + "." + name + ")"
	}
	if !g.odd {
		m.valid++
	}
	if entry, found := m.list.allow[g.module+" "+g.name]; found {
		g.listed = entry
		m.iterates = m.iterates || entry.rule == "iterate"
		return g
	}
	if len(g.name)+len(g.module) > longestName { // an attribute of an attribute of …
		if strings.Contains(g.name, ".") {
			m.report(ruleDotted, what)
			return g
		}
		m.report(ruleUnlisted, what)
		return g
	}
	if g.denied = m.list.denies(g.module, g.name); g.denied == nil {
		g.denied = m.list.denies(module, name)
	}
	switch {
	case g.denied != nil:
		m.denying = m.denying || !g.odd
		m.report(ruleDenied, what+": "+g.denied.why, g.denied.references...)
	case g.module == "__torch__" || strings.HasPrefix(g.module, "__torch__."):
		g.script = true
	case g.reexport(m.list):
		m.report(ruleReexport, what)
	case strings.Contains(g.name, ".") && (m.list.stdlib[root(g.module)] || !g.class()):
		m.report(ruleDotted, what)
	case g.module == "__main__":
		g.main = true
		m.report(ruleMain, what)
	case m.generated(&g):
	case !g.odd && m.list.library.has(g.module, g.name) && m.list.library.has(module, name):
		m.unsettled++
		m.notice(&g, what)
	default:
		m.report(ruleUnlisted, what)
	}
	return g
}

// reexport says whether the name, or a part of it, is a module's or one of
// Python's own attributes.
func (g *global) reexport(l *list) bool {
	for part := range strings.SplitSeq(g.name, ".") {
		bare := strings.TrimLeft(part, "_")
		if strings.HasPrefix(part, "__") && strings.HasSuffix(part, "__") || l.deny[bare] != nil || l.deny[part] != nil {
			return true
		}
		if l.stdlib[bare] && (l.stdlib[root(g.module)] || l.trusted[root(g.module)]) {
			return true
		}
	}
	return false
}

// generated says whether the name is a function that Cython writes for each of
// its classes, in a package that the allow-list has names of.
func (m *machine) generated(g *global) bool {
	if strings.HasPrefix(g.name, "__pyx_unpickle_") && m.list.trusted[root(g.module)] {
		g.listed = listed{use: useFunc, rule: "pyx", tier: "cython"}
		return true
	}
	return false
}

func root(module string) string {
	first, _, _ := strings.Cut(module, ".")
	return first
}

// importable says whether Python's grammar allows a dotted name.
func importable(name string) bool {
	if !utf8.ValidString(name) {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "" {
			return false
		}
		for i, r := range part {
			if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
				return false
			}
		}
	}
	return true
}
