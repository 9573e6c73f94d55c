package text

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/model/scan"
)

var (
	ruleFormula = &scan.Rule{ID: "csv.formula", Severity: scan.Note,
		Why:        "A spreadsheet takes the cell for a formula; loaders of data sets do not.",
		Mend:       "Do not open the file in a spreadsheet.",
		References: []string{"CWE-1236"}}
	ruleFormulaRuns = &scan.Rule{ID: "csv.command", Severity: scan.Doubtful,
		Why:        "A spreadsheet runs the program or sends data to the address in this cell; no data set needs it.",
		Mend:       "Do not open the file in a spreadsheet; ask where the cell comes from.",
		References: []string{"CWE-1236"}}
)

// Plain is text that no loader obeys: prose, tables, records. What a README
// says of its model is kept.
func Plain() scan.Format {
	rules := append([]*scan.Rule{ruleFormula, ruleFormulaRuns}, shapeRules()...)
	return scan.Format{Name: "text", Rules: rules, Claim: func(f *scan.File) bool {
		head, err := f.Head()
		return err == nil && !looksBinary(head)
	}, Scan: scanPlain}
}

// plainBlock is how much is read at once; of a text of more than plainWhole
// bytes only plainSamples such blocks are.
const (
	plainBlock   = 1 << 20
	plainWhole   = 64 << 20
	plainSamples = 16
)

func scanPlain(p *scan.Place, f *scan.File) error {
	if head := significant(f); bytes.HasPrefix(head, []byte("<?xml")) || claimJSON(f) && isJSON(head) {
		return scan.ErrOther // said by those formats
	}
	step := int64(plainBlock)
	block := int64(plainBlock)
	if f.IsDear() && f.Size() > 2*dearOther {
		step, block = f.Size()/2+1, dearOther/2
	} else if f.Size() > plainWhole {
		step = f.Size() / plainSamples
	}
	for at := int64(0); at < f.Size(); at += step {
		n := min(block, f.Size()-at)
		if err := p.Spend(scan.Cost(n)*4 + 1000); err != nil {
			return err
		}
		b, err := f.Read(at, n)
		if err != nil {
			return err
		}
		whole := at+n == f.Size()
		wide := isWide(f)
		if wide && at == 0 {
			b = toUTF8(b)
		}
		if (!wide || at == 0) && !isPlainText(b, at > 0, !whole) {
			return scan.ErrOther
		}
		if at == 0 {
			if isSource(b) {
				return scan.ErrOther
			}
			if err := frontMatter(p, b); err != nil {
				return err
			}
			targets(p, b)
		}
		formulas(p, b, at)
	}
	return nil
}

// isJSON says whether what may be JSON can be nothing else.
func isJSON(head []byte) bool {
	next := bytes.TrimLeft(head[1:], " \t\r\n")
	return head[0] == '{' || len(next) > 0 && bytes.IndexByte([]byte(`{["`), next[0]) >= 0
}

func isWide(f *scan.File) bool {
	head, err := f.Head()
	if err != nil {
		return false
	}
	_, wide := utf16Order(head)
	return wide
}

// isPlainText says whether a block is UTF-8 without control characters that no text
// has. A character may be cut at either end.
func isPlainText(b []byte, cutBefore, cutAfter bool) bool {
	for i := 0; cutBefore && i < 3 && len(b) > 0 && !utf8.RuneStart(b[0]); i++ {
		b = b[1:]
	}
	for i := 0; cutAfter && i < 4 && len(b) > 0; i++ {
		if r, size := utf8.DecodeLastRune(b); r != utf8.RuneError || size > 1 {
			break
		}
		b = b[:len(b)-1]
	}
	if !utf8.Valid(b) {
		return false
	}
	odd := 0
	for _, c := range b[:min(len(b), 64<<10)] {
		if c == 0 {
			return false
		}
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0x1b {
			odd++
		}
	}
	return bytes.IndexByte(b, 0) < 0 && odd*100 <= len(b)
}

// isSource says whether the text is a program: nobody said that it may run.
func isSource(b []byte) bool {
	if bytes.HasPrefix(b, []byte("#!")) {
		return true
	}
	whole := len(b) <= 64<<10
	b = b[:min(len(b), 64<<10)]
	statements, lines := 0, 0
	for line := range bytes.Lines(b) {
		if lines++; lines > 400 {
			break
		}
		s := string(bytes.TrimRight(line, "\r\n"))
		switch {
		case strings.HasPrefix(s, "import ") && isImport(s[7:]),
			strings.HasPrefix(s, "from ") && strings.Contains(s, " import "),
			strings.HasPrefix(s, "def ") && strings.Contains(s, "("), strings.HasPrefix(s, "class ") && strings.HasSuffix(s, ":"):
			statements++
		}
	}
	if statements == 0 {
		return false
	}
	if !whole {
		b = b[:bytes.LastIndexByte(b, '\n')+1]
	}
	if _, ok := lexPython(string(b)); ok {
		return true
	}
	return !whole && statements*20 > lines && !bytes.Contains(b, []byte("```")) // the cut may be within a string
}

// isImport says whether the text is a list of modules.
func isImport(s string) bool {
	s, _, _ = strings.Cut(s, "#")
	for _, module := range strings.Split(s, ",") {
		name, _, _ := strings.Cut(strings.TrimSpace(module), " as ")
		for _, part := range strings.Split(strings.TrimRight(name, "; "), ".") {
			if !isIdentifier(part) {
				return false
			}
		}
	}
	return true
}

// frontMatter reads the YAML at the beginning of a README.
func frontMatter(p *scan.Place, b []byte) error {
	rest, ok := bytes.CutPrefix(toUTF8(b), []byte("---"))
	if !ok {
		return nil
	}
	end := bytes.Index(rest, []byte("\n---"))
	if end < 0 || end > 256<<10 {
		return nil
	}
	y := &yamlWalk{document: document{place: p, language: "front matter", as: "text"}}
	if err := p.Spend(scan.Cost(end) * costYAML); err != nil {
		return err
	}
	if err := y.documents(rest[:end]); err != nil && !errors.Is(err, errYAML) {
		return err
	}
	return nil
}

// targets looks for what Hydra would call in TOML and other settings.
func targets(p *scan.Place, b []byte) {
	if !bytes.Contains(b, []byte("_target_")) {
		return
	}
	y := &yamlWalk{document: document{place: p, language: "toml", as: "text"}}
	for line := range bytes.Lines(b) {
		i := bytes.Index(line, []byte("_target_"))
		if i < 0 {
			continue
		}
		before := bytes.TrimSpace(line[:i])
		if len(before) > 0 && bytes.IndexByte([]byte("{,\"'."), before[len(before)-1]) < 0 {
			continue
		}
		rest := bytes.TrimLeft(line[i+len("_target_"):], "\"' \t")
		if len(rest) < 2 || rest[0] != '=' || rest[1] == '=' {
			continue
		}
		rest = bytes.TrimSpace(rest[1:])
		if len(rest) > 2 && (rest[0] == '"' || rest[0] == '\'') {
			if end := bytes.IndexByte(rest[1:], rest[0]); end > 0 {
				y.judgeTarget(string(rest[1:1+end]), true)
			}
		}
	}
}

// maxFormulas of one file are reported.
const maxFormulas = 8

// formulas looks for cells of a table that a spreadsheet runs.
func formulas(p *scan.Place, b []byte, offset int64) {
	reported := 0
	for i := 0; i < len(b) && reported < maxFormulas; {
		n := bytes.IndexAny(b[i:], "=@+-")
		if n < 0 {
			return
		}
		i += n
		start := i
		i++
		if start > 0 && bytes.IndexByte([]byte(",;\t\n\"'"), b[start-1]) < 0 {
			continue
		}
		cell := b[start:min(len(b), start+200)]
		if end := bytes.IndexByte(cell, '\n'); end >= 0 {
			cell = cell[:end]
		}
		s := strings.ToUpper(string(cell))
		switch {
		case isCommandCell(s):
			p.Report(ruleFormulaRuns, scan.At(offset+int64(start)), string(cell[:min(len(cell), 80)]))
			reported++
		case (s[0] == '=' || s[0] == '@') && isFormula(s):
			p.Report(ruleFormula, scan.At(offset+int64(start)), string(cell[:min(len(cell), 80)]))
			reported++
		}
	}
}

// isCommandCell says whether a cell runs a program or calls an address.
func isCommandCell(s string) bool {
	if i := strings.IndexByte(s, '|'); i > 0 && strings.Contains(s[i:], "!") {
		application := strings.TrimLeft(s[1:i], "=@+-(")
		if j := strings.LastIndexAny(application, "=+-*(@&"); j >= 0 {
			application = application[j+1:]
		}
		switch strings.Trim(application, `'" `) {
		case "CMD", "POWERSHELL", "MSEXCEL", "DDE", "RUNDLL32", "REGSVR32", "CERTUTIL", "MSHTA", "WSCRIPT", "CSCRIPT", "BASH", "SH", "CALC", "NOTEPAD", "EXCEL":
			return true
		}
	}
	for _, name := range [...]string{"WEBSERVICE(", "IMPORTXML(", "IMPORTDATA(", "IMPORTHTML(", "IMPORTFEED(", "IMPORTRANGE(", "HYPERLINK(", "DDE(", "EXEC(", "CALL(", "REGISTER.ID("} {
		if i := strings.Index(s, name); i > 0 && i < 60 && (strings.Contains(s, "://") || name == "DDE(" || name == "EXEC(" || strings.Contains(s, "CONCATENATE")) && isCellStart(s[:i]) {
			return true
		}
	}
	return false
}

// isCellStart says whether what stands before a function is a formula's
// beginning and no prose.
func isCellStart(s string) bool {
	return !strings.ContainsAny(s, " .:/") || strings.HasPrefix(s, "=")
}

// isFormula says whether a cell is a call of a function.
func isFormula(s string) bool {
	i := strings.IndexByte(s, '(')
	if i < 2 || i > 20 {
		return false
	}
	_, err := strconv.ParseFloat(s[1:i], 64)
	return err != nil && strings.Trim(s[1:i], "ABCDEFGHIJKLMNOPQRSTUVWXYZ._") == ""
}
