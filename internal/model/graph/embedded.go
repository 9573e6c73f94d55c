package graph

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// What is looked at inside of strings.
const (
	maxEmbedded     = 1 << 20  // bytes of one string
	maxEmbeddedAll  = 32 << 20 // bytes of all strings together
	maxEmbeddedEach = 8192     // strings: Keras has one for each layer
)

var ruleStrings = &scan.Rule{ID: "graph.strings", Severity: scan.Unreadable,
	Why:  "The model holds more files in strings than are looked at.",
	Mend: "Ask the author what the strings are for."}

// embedded hands strings that look like files of another format on to all
// formats. Only the beginning and the end are looked at, because ordinary
// strings are many: names of classes, vocabularies, documentation.
type embedded struct {
	s     *source
	bytes int64
	count int
	over  bool
}

// look reads a string field when it is worth it. name is what people know the
// string by.
func (e *embedded) look(name string, f field) error {
	n := f.len()
	if n < 8 || n > maxEmbedded || f.cut {
		return nil
	}
	head, err := e.s.peek(f.off, min(n, 64))
	if err != nil {
		return err
	}
	if !plausibleHead(head) && !isTemplateKey(name) {
		return nil
	}
	if err := e.s.spend(scan.Cost(n)); err != nil {
		return err
	}
	b, err := e.s.peek(f.off, n)
	if err != nil {
		return err
	}
	return e.inside(name, f.off, b)
}

func (e *embedded) inside(name string, off int64, b []byte) error {
	var file *scan.File
	switch {
	case b[0] == '{':
		if err := e.s.spend(scan.Cost(len(b)) * 4); err != nil {
			return err
		}
		if !json.Valid(b) { // Python prints dictionaries in braces too
			return nil
		}
		file, off = scan.Bytes(b), -1
	case isBase64Pickle(b):
		plain := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
		n, _ := base64.StdEncoding.Decode(plain, b) // what comes before an error still counts
		file, off = scan.Bytes(plain[:n]), -1
	case isBinary(b), isTextPickle(b), isTemplateKey(name) && (bytes.Contains(b, []byte("{{")) || bytes.Contains(b, []byte("{%"))):
		file = scan.Bytes(b)
	default:
		return nil
	}
	return e.hand(name, off, file)
}

// hand gives a file to all formats, until there were too many.
func (e *embedded) hand(name string, off int64, file *scan.File) error {
	e.count++
	e.bytes += file.Size()
	if e.count > maxEmbeddedEach || e.bytes > maxEmbeddedAll {
		if !e.over {
			e.over = true
			e.s.p.Report(ruleStrings, scan.At(off), "too many strings are files of their own")
		}
		return nil
	}
	if err := e.s.p.Spend(scan.CostMember); err != nil {
		return err
	}
	e.s.p.Inside(name, off, file)
	return nil
}

func plausibleHead(head []byte) bool {
	return head[0] == '{' || isBase64Pickle(head) || isBinary(head) || bytes.IndexByte(head, '\n') > 0
}

// isBinary knows a pickle of protocol 2 and later, a zip, an executable.
func isBinary(b []byte) bool {
	switch {
	case b[0] == 0x80 && b[1] >= 2 && b[1] <= 5, bytes.HasPrefix(b, []byte("PK\x03\x04")),
		bytes.HasPrefix(b, []byte("\x7fELF")), bytes.HasPrefix(b, []byte("\x1f\x8b\x08")):
		return true
	}
	return false
}

// isBase64Pickle knows what a pickle that begins with PROTO, or with a GLOBAL
// of the common modules, becomes in base64.
func isBase64Pickle(b []byte) bool {
	if len(b) > 3 && b[0] == 'g' && b[1] == 'A' && b[2] >= 'I' && b[2] <= 'X' { // 0x80, then 2 to 5
		return true
	}
	for _, begin := range [...]string{"Y29z", "Y3Bvc2l4", "Y19f", "Y2J1aWx0", "KGNv", "KGRw"} {
		if bytes.HasPrefix(b, []byte(begin)) {
			return true
		}
	}
	return false
}

// isTextPickle knows a pickle of protocol 0 by a GLOBAL or INST at its
// beginning, two lines that are names, and a STOP at its end.
func isTextPickle(b []byte) bool {
	end := bytes.TrimRight(b, "\n")
	if len(end) == 0 || end[len(end)-1] != '.' {
		return false
	}
	b = bytes.TrimLeft(b, "(")
	if len(b) == 0 || b[0] != 'c' && b[0] != 'i' {
		return false
	}
	lines := bytes.SplitN(b[1:], []byte("\n"), 3)
	return len(lines) == 3 && isDotted(lines[0]) && isDotted(lines[1])
}

func isDotted(b []byte) bool {
	for _, c := range b {
		if c != '.' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return len(b) > 0
}

// isTemplateKey says whether a key is one that chat programs read a template
// from.
func isTemplateKey(key string) bool {
	return strings.Contains(key, "chat_template") || strings.Contains(key, "prompt_template")
}
