package python

import (
	"bytes"
	"strings"
)

const (
	// maxImports bounds what one file yields; generated files have some thousand.
	maxImports = 100_000
	// maxFromNames bounds the names of one "from" statement.
	maxFromNames = 10_000
)

// Import is one import in a source file, wherever it stands: at the top, in a
// function, under "try" or "if TYPE_CHECKING".
type Import struct {
	// Module is the dotted name, without the dots of a relative import. It is ""
	// in a relative import of names alone ("from . import x"), and when Dynamic
	// is set and the name is only known when the program runs.
	Module string
	// Names are what "from Module import" lists, "*" included; each may be a
	// module inside Module. None for other imports.
	Names []string
	// Level is how many dots a relative import begins with.
	Level int
	// Line counts from 1.
	Line int
	// Dynamic marks importlib.import_module and __import__, and source code whose
	// declared encoding this scanner does not read.
	Dynamic bool
}

// Unknown says that the file imports something here that its text does not
// name: whoever asks whether a module is imported at all must take it for yes.
func (i *Import) Unknown() bool { return i.Dynamic && i.Module == "" }

// Imports lists what Python source code imports, in order. It reads tokens as
// Python's own tokenizer does, so that strings and comments are not code, and
// never fails: what is no Python yields what can be made out. The work is
// proportional to the length of src.
//
// Source: "Lexical analysis" and "The import statement" of the Python language
// reference, 3.14; PEP 263, PEP 701.
func Imports(src []byte) []Import {
	src = bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
	s := importScanner{lexer: lexer{src: src, line: 1}}
	if line, ok := foreignEncoding(src); ok {
		s.add(Import{Line: line, Dynamic: true})
	}
	s.next()
	for s.tok.kind != tokenEnd && len(s.out) < maxImports {
		s.statement()
	}
	return s.out
}

// importScanner looks at one token at a time, and remembers the one before.
type importScanner struct {
	lexer  lexer
	tok    token
	before []byte // the text of the token before tok, if it has any
	out    []Import
}

func (s *importScanner) next() {
	s.before = s.tok.text
	s.tok = s.lexer.next()
}

func (s *importScanner) add(i Import) {
	// Names in other scripts are folded by Python (NFKC), so that the name here
	// need not be the name that is imported.
	for k := range len(i.Module) {
		if i.Module[k] >= 0x80 {
			i.Module, i.Dynamic = "", true
			break
		}
	}
	s.out = append(s.out, i)
}

// statement looks for an import at this token and steps over at least one.
func (s *importScanner) statement() {
	if s.tok.kind != tokenName {
		s.next()
		return
	}
	switch string(s.tok.text) {
	case "import":
		s.plain()
	case "from":
		s.from()
	case "__import__", "import_module":
		s.call()
	default:
		s.next()
	}
}

// plain reads "import a.b as c, d".
func (s *importScanner) plain() {
	for {
		s.next()
		line := s.tok.line
		module := s.dotted()
		if module == "" {
			return
		}
		s.add(Import{Module: module, Line: line})
		s.alias()
		if !s.is(",") {
			return
		}
	}
}

// from reads "from ..a.b import (c as d, e)"; other statements that have a
// "from" ("yield from x") are told by the missing import.
func (s *importScanner) from() {
	line := s.tok.line
	s.next()
	i := Import{Line: line}
	for s.is(".") {
		i.Level++
		s.next()
	}
	i.Module = s.dotted()
	if !s.word("import") || i.Module == "" && i.Level == 0 {
		return
	}
	s.next()
	next := s.next
	if s.is("(") {
		next = s.nextInside
		next()
	}
	renamed := false
	for len(i.Names) < maxFromNames {
		if s.is("*") {
			i.Names = append(i.Names, "*")
			s.next()
			break
		}
		if s.tok.kind != tokenName {
			break
		}
		name := string(s.tok.text)
		i.Names = append(i.Names, name)
		next()
		if s.word("as") {
			renamed = renamed || name == "import_module" || name == "__import__"
			next()
			next()
		}
		if !s.is(",") {
			break
		}
		next()
	}
	s.add(i)
	if renamed { // its calls cannot be told from those of other functions
		s.add(Import{Line: line, Dynamic: true})
	}
}

// nextInside steps on inside of brackets, where lines do not end statements.
func (s *importScanner) nextInside() {
	s.next()
	for s.tok.kind == tokenNewline {
		s.next()
	}
}

// call reads __import__("a") and import_module("a").
func (s *importScanner) call() {
	if string(s.before) == "def" || string(s.before) == "import" {
		s.next()
		return
	}
	line := s.tok.line
	s.next()
	if !s.is("(") {
		// The function is passed on, or called by another name later.
		s.add(Import{Line: line, Dynamic: true})
		return
	}
	s.nextInside()
	if s.word("name") { // import_module(name="a")
		if s.nextInside(); s.is("=") {
			s.nextInside()
		}
	}
	var name strings.Builder
	literal := s.tok.kind == tokenString
	for s.tok.kind == tokenString {
		literal = literal && s.tok.plain
		name.Write(s.tok.text)
		s.nextInside()
	}
	i := Import{Line: line, Dynamic: true}
	if literal && (s.is(")") || s.is(",")) {
		module := strings.TrimLeft(name.String(), ".")
		if isDotted(module) {
			i.Module, i.Level = module, name.Len()-len(module)
		}
	}
	s.add(i)
}

// dotted reads "a.b.c", "" when there is no name.
func (s *importScanner) dotted() string {
	if s.tok.kind != tokenName || s.word("import") {
		return ""
	}
	name := string(s.tok.text)
	s.next()
	if !s.is(".") {
		return name
	}
	var b strings.Builder
	b.WriteString(name)
	for s.is(".") {
		s.next()
		if s.tok.kind != tokenName || b.Len() > maxName {
			break
		}
		b.WriteByte('.')
		b.Write(s.tok.text)
		s.next()
	}
	return b.String()
}

// alias steps over "as name".
func (s *importScanner) alias() {
	if s.word("as") {
		s.next()
		if s.tok.kind == tokenName {
			s.next()
		}
	}
}

// is and word say whether the token is that operator, or that name.
func (s *importScanner) is(op string) bool { return s.tok.kind == tokenOp && string(s.tok.text) == op }
func (s *importScanner) word(name string) bool {
	return s.tok.kind == tokenName && string(s.tok.text) == name
}

// foreignEncoding says on which line the source declares an encoding in which
// ASCII bytes may mean something else (PEP 263): utf-7, unicode_escape and their
// like make code of what looks like a comment.
func foreignEncoding(src []byte) (line int, foreign bool) {
	for line = 1; line <= 2; line++ {
		var text []byte
		text, src = cutLine(src)
		comment := bytes.TrimLeft(text, " \t\f")
		if len(comment) == 0 {
			continue
		}
		if comment[0] != '#' {
			return 0, false
		}
		_, rest, ok := bytes.Cut(comment, []byte("coding"))
		if !ok || len(rest) == 0 || rest[0] != ':' && rest[0] != '=' {
			continue
		}
		rest = bytes.TrimLeft(rest[1:], " \t")
		end := 0
		for end < len(rest) && end < 64 && (isName(rest[end]) || rest[end] == '-' || rest[end] == '.') {
			end++
		}
		name := strings.ReplaceAll(strings.ToLower(string(rest[:end])), "_", "-")
		return line, !asciiEncoding(name)
	}
	return 0, false
}

// asciiEncoding says whether ASCII bytes mean themselves in the encoding.
func asciiEncoding(name string) bool {
	switch name {
	case "", "utf-8", "utf8", "utf-8-sig", "u8", "utf", "ascii", "us-ascii", "646", "latin-1", "latin1", "l1", "cp1252", "windows-1252",
		"koi8-r", "koi8-u", "euc-jp", "eucjp", "euc-kr", "gb2312", "gbk", "big5", "shift-jis", "sjis", "cp932", "cp936", "cp949", "mac-roman":
		return true
	}
	for _, family := range []string{"utf-8-", "iso-8859-", "iso8859-", "iso-latin-1", "latin-1-", "cp125", "windows-125"} {
		if strings.HasPrefix(name, family) {
			return true
		}
	}
	return false
}
