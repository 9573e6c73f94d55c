package text

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

var ruleScriptFile = &scan.Rule{ID: "torchscript.file", Severity: scan.Harmful,
	Why:        "The operator reads or writes a file that the model names; __setstate__ runs when the model is loaded, everything else when it is used.",
	Mend:       "Do not load the model; have it exported without operators on files.",
	References: []string{"CWE-73"}}

// TorchScript is source that the interpreter of TorchScript reads, as it stands
// in the folder code/ of an archive. Source that calls no operator on files
// stays what it is otherwise. (PyTorch: torch/csrc/jit/serialization/
// import_source.cpp)
func TorchScript() scan.Format {
	return scan.Format{Name: "torchscript-source", Rules: []*scan.Rule{ruleScriptFile}, Claim: claimPython, Scan: scanTorchScript}
}

func scanTorchScript(p *scan.Place, f *scan.File) error {
	b, _, err := load(p, f, maxPython, costSearch)
	if err != nil {
		return err
	}
	b = toUTF8(b)
	if !bytes.Contains(b, []byte("Tensor")) && !bytes.Contains(b, []byte("__parameters__")) {
		return scan.ErrOther
	}
	if err := p.Spend(scan.Cost(len(b)) * costPython); err != nil {
		return err
	}
	if _, err := p.Hold(int64(len(b)) * 40); err != nil { // tokens
		return err
	}
	tokens := lexScript(string(b))
	if !isTorchScript(tokens) {
		return scan.ErrOther
	}
	calls := fileOperators(tokens)
	if len(calls) == 0 {
		return scan.ErrOther
	}
	for _, call := range calls {
		p.Report(ruleScriptFile, scan.Op(-1, call.where()), call.what)
	}
	return nil
}

// lexScript returns the tokens of a source as TorchScript's lexer tells them
// apart. Where it would fail, this one goes on.
func lexScript(s string) (tokens []pyToken) {
	line := 1
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '\n':
			line++
			i++
		case c <= ' ' || c == '\\':
			i++
		case c == '#':
			n := strings.IndexByte(s[i:], '\n')
			if n < 0 {
				return tokens
			}
			i += n
		case c == '"' || c == '\'':
			text, n, lines, closed := pyString(s[i:])
			if !closed {
				i++
				continue
			}
			tokens = append(tokens, pyToken{'s', text, line})
			line += lines
			i += n
		case isLetter(c):
			n := 1
			for i+n < len(s) && (isLetter(s[i+n]) || s[i+n] >= '0' && s[i+n] <= '9') {
				n++
			}
			tokens = append(tokens, pyToken{'n', s[i : i+n], line})
			i += n
		default:
			tokens = append(tokens, pyToken{c, "", line})
			i++
		}
	}
	return tokens
}

func isLetter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }

// isTorchScript tells serialised TorchScript from Python: classes list their
// parameters, and functions annotate with types that nothing imports.
func isTorchScript(tokens []pyToken) bool {
	annotated := false
	for i, t := range tokens {
		if t.kind != 'n' || i == 0 || i+1 >= len(tokens) {
			continue
		}
		before, after := tokens[i-1], tokens[i+1]
		switch t.text {
		case "__parameters__":
			if after.kind == '=' && before.kind != '.' {
				return true
			}
		case "__torch__":
			if after.kind == '.' && (before.kind == ':' || before.kind == '=' || before.kind == '>') {
				return true
			}
		case "Tensor":
			annotated = annotated || before.kind == ':' || before.kind == '>'
		case "import":
			if importsFrom(tokens[:i], t.line) {
				return false
			}
		}
	}
	return annotated
}

// importsFrom says whether "from x.y" ends the tokens and stands on the line.
// TorchScript has only the plain import, and that in old files.
func importsFrom(tokens []pyToken, line int) bool {
	for i := len(tokens) - 1; i >= 0 && tokens[i].line == line && (tokens[i].kind == 'n' || tokens[i].kind == '.'); i-- {
		if tokens[i].text == "from" {
			return true
		}
	}
	return false
}

const maxFileOperators = 20

// fileOperators finds the calls of operators whose names speak of files:
// torch.save, ops.aten.from_file, ops.image.read_file. An operator may also be
// called as a method of its first argument, unless the source defines one of
// that name.
func fileOperators(tokens []pyToken) (calls []pyFinding) {
	defined := map[string]bool{}
	for i := 1; i < len(tokens); i++ {
		if tokens[i].kind == 'n' && tokens[i-1].text == "def" {
			defined[tokens[i].text] = true
		}
	}
	at := func(i int) pyToken {
		if i < 0 || i >= len(tokens) {
			return pyToken{}
		}
		return tokens[i]
	}
	for i, t := range tokens {
		if t.kind != 'n' || at(i-1).kind != '.' || at(i+1).kind != '(' || len(calls) == maxFileOperators {
			continue
		}
		switch {
		case at(i-2).text == "torch" && at(i-3).kind != '.':
			if speaksOfFiles(t.text) {
				calls = append(calls, pyFinding{t.line, fmt.Sprintf("calls aten::%s", t.text)})
			}
		case at(i-3).kind == '.' && at(i-4).text == "ops" && at(i-5).kind != '.':
			if speaksOfFiles(t.text) {
				calls = append(calls, pyFinding{t.line, fmt.Sprintf("calls %s::%s", at(i-2).text, t.text)})
			}
		case (t.text == "save" || t.text == "from_file") && !defined[t.text]:
			calls = append(calls, pyFinding{t.line, fmt.Sprintf("calls aten::%s of its first argument", t.text)})
		}
	}
	return calls
}

// speaksOfFiles says whether a word of an operator's name is that of a file.
func speaksOfFiles(name string) bool {
	for word := range strings.SplitSeq(name, "_") {
		switch word {
		case "file", "files", "filename", "save", "path", "dlopen":
			return true
		}
	}
	return false
}
