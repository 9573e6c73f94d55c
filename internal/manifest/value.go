package manifest

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/apexlogic/apex/verdict"
)

// Document is one document of a file, read as strictly as [Extract] reads it:
// what the one refuses the other refuses with the same words. It keeps the lines
// that its values stand on.
type Document struct {
	file string
	data []byte
	root *node
}

// Documents reads all documents of a file that are not empty, YAML or JSON. The
// zero Limits are the default ones; file is only quoted. An error is a [*Problem].
func Documents(file string, data []byte, limits Limits) ([]Document, error) {
	var out []Document
	data = bytes.TrimPrefix(data, bom)
	err := newBuilder(limits).documents(data, func(root *node) error {
		out = append(out, Document{file, data, root})
		return nil
	})
	if err != nil {
		return nil, (&extractor{res: Result{File: file}}).reject(err).firstProblem()
	}
	return out, nil
}

func (r Result) firstProblem() *Problem { return &r.Problems[0] }

// Value returns the document as JSON has it: string, bool, int64, float64, nil,
// []any and map[string]any, aliases and merge keys written out. The value is the
// caller's own. An error is a [*Problem] and names the value that JSON has no
// form for, or that readers of YAML take for different things.
func (d Document) Value() (any, error) { return d.read(false) }

// Value12 is Value for what a program wrote as YAML 1.2, where words such as on
// and yes are text.
func (d Document) Value12() (any, error) { return d.read(true) }

func (d Document) read(words bool) (any, error) {
	r := reader{d, words}
	v, err := r.value(d.root)
	if err != nil {
		err.Where.File = d.file
		return nil, err
	}
	return v, nil
}

// reader turns the nodes of a document into values.
type reader struct {
	Document
	words bool // words of YAML 1.1 are text
}

// Where returns the place of the value that an RFC 6901 pointer leads to, or of
// the last value on the way that is there.
func (d Document) Where(pointer string) verdict.Origin {
	n := d.root
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		next := n.get(strings.NewReplacer("~1", "/", "~0", "~").Replace(part))
		if i, err := strconv.Atoi(part); next == nil && err == nil && n.kind == sequence && i >= 0 && i < len(n.items) {
			next = n.items[i].val
		}
		if next == nil {
			break
		}
		n = next
	}
	return verdict.Origin{File: d.file, Line: int(n.line), Column: int(n.col)}
}

func (r reader) value(n *node) (any, *Problem) {
	switch n.kind {
	case mapping:
		out := make(map[string]any, len(n.items))
		for i := range n.items {
			it := &n.items[i]
			if !r.words && oldBoolean(it.key) && !r.quoted(it.line, it.col) {
				return nil, problem(it.line, it.col, "the key %s is a boolean for some readers of YAML and text for others: quote it", it.key)
			}
			v, err := r.value(it.val)
			if err != nil {
				return nil, err
			}
			out[it.key] = v
		}
		return out, nil
	case sequence:
		out := make([]any, len(n.items))
		for i := range n.items {
			v, err := r.value(n.items[i].val)
			if err != nil {
				return nil, err
			}
			out[i] = v
		}
		return out, nil
	}
	switch n.typ {
	case typeNull:
		return nil, nil
	case typeTagged:
		return nil, problem(n.line, n.col, "a value with a tool's own tag (!…): write the value itself")
	case typeOther:
		return number(n)
	}
	if !r.words && oldBoolean(n.text) && !r.quoted(n.line, n.col) {
		return nil, problem(n.line, n.col, "%s is a boolean for some readers of YAML and text for others: write true or false, or quote it", n.text)
	}
	return n.text, nil
}

// number reads a boolean or a number.
func number(n *node) (any, *Problem) {
	switch n.text {
	case "true", "True", "TRUE":
		return true, nil
	case "false", "False", "FALSE":
		return false, nil
	}
	text := strings.ReplaceAll(n.text, "_", "")
	// With base 0 a leading zero means octal, as file modes are written.
	if i, err := strconv.ParseInt(text, 0, 64); err == nil {
		return i, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.IsInf(f, 0) || math.IsNaN(f):
		return nil, problem(n.line, n.col, "%q is no number that JSON can hold: quote it if it is text", clip(n.text, 60))
	case strings.Trim(text, "+-0123456789") == "" && math.Abs(f) >= 1<<63:
		return nil, problem(n.line, n.col, "the number %s does not fit into 64 bits: quote it if it is text", clip(n.text, 60))
	case f == math.Trunc(f) && math.Abs(f) < 1<<63:
		return int64(f), nil
	}
	return f, nil
}

// oldBoolean says whether YAML 1.1 has another word for a boolean here. What
// kubectl sends is decided by 1.1, what other tools read by 1.2.
func oldBoolean(text string) bool {
	switch text {
	case "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF":
		return true
	}
	return false
}

// quoted says whether the scalar at the place is written in quotes or as a
// block. Columns count characters in YAML and bytes in JSON, which knows no
// scalar of words but in quotes.
func (d Document) quoted(line, col int32) bool {
	text := d.data
	for ; line > 1; line-- {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			return false
		}
		text = text[i+1:]
	}
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	if at := int(col) - 1; at < len(text) && at >= 0 && text[at] == '"' {
		return true
	}
	for ; col > 1 && len(text) > 0; col-- {
		_, size := utf8.DecodeRune(text)
		text = text[size:]
	}
	for len(text) > 0 && (text[0] == '&' || text[0] == '!') { // an anchor, a tag
		if bytes.HasPrefix(text, []byte("!!str")) {
			return true
		}
		i := bytes.IndexAny(text, " \t")
		if i < 0 {
			return false
		}
		text = bytes.TrimLeft(text[i:], " \t")
	}
	return len(text) > 0 && strings.IndexByte(`"'|>`, text[0]) >= 0
}

// Values counts the document's values, aliases written out.
func (d Document) Values() int { return d.root.size }

// Field returns a field of the document's own mapping: its text when it is a
// string, and whether it is there at all.
func (d Document) Field(key string) (text string, there bool) {
	return d.root.str(key), d.root.get(key) != nil
}
