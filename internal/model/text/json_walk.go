package text

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of one document.
const (
	// maxJSONDepth is what Python's reader reaches before it gives up.
	maxJSONDepth = 990
	// maxKept bounds the values that are kept for shapes.
	maxKept = 200_000
	// maxLines is how many values of a file with one on each line are looked at.
	maxLines = 2_000
)

// jsonWalk walks JSON once and takes it apart no further than shapes ask for.
// It accepts all that Python's reader does (NaN, any control character) and,
// since other readers do, comments and commas too many.
type jsonWalk struct {
	document
	data      []byte
	pos       int
	depth     int
	full      bool // keep every field
	kept      int
	keys      int
	values    int  // at the top
	again     bool // a shape needs more than was kept
	truncated bool
	rootList  bool
	records   bool // one on each line
	deep      bool // deeper than any reader goes
}

func (w *jsonWalk) fail(what string) error { return &syntaxError{w.pos, what} }

// isData says whether the beginning tells that no loader obeys the document:
// records, or the vocabulary of a tokenizer.
func (w *jsonWalk) isData() bool {
	return w.rootList || w.values > 0 || bytes.HasPrefix(w.path, []byte("model.vocab")) || bytes.HasPrefix(w.path, []byte("model.merges"))
}

// walk walks the file: one document, or one on each line.
func (w *jsonWalk) walk() error {
	w.records = isRecords(w.data)
	for {
		if err := w.space(); err != nil {
			return err
		}
		if w.pos >= len(w.data) {
			if w.values == 0 {
				return w.fail("the document ends early")
			}
			return nil
		}
		if w.values >= maxLines {
			return nil // records: no loader obeys them
		}
		if w.values > 0 && w.data[w.pos] != '{' && w.data[w.pos] != '[' {
			return w.fail("something follows the document")
		}
		w.rootList = w.rootList || w.data[w.pos] == '['
		if _, err := w.value("", false, w.full); err != nil {
			return err
		}
		w.values++
	}
}

// space skips white space and comments.
func (w *jsonWalk) space() error {
	for w.pos < len(w.data) {
		switch c := w.data[w.pos]; {
		case c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0x1e:
			w.pos++
		case c == '/' && w.pos+1 < len(w.data) && w.data[w.pos+1] == '/':
			n := bytes.IndexByte(w.data[w.pos:], '\n')
			if n < 0 {
				n = len(w.data) - w.pos
			}
			w.pos += n
		case c == '/' && w.pos+1 < len(w.data) && w.data[w.pos+1] == '*':
			n := bytes.Index(w.data[w.pos+2:], []byte("*/"))
			if n < 0 {
				return w.fail("a comment is not closed")
			}
			w.pos += n + 4
		default:
			return nil
		}
	}
	return nil
}

// value walks one value. keep says whether the caller wants it whole.
func (w *jsonWalk) value(key string, inTemplate, keep bool) (field, error) {
	if w.pos >= len(w.data) {
		return field{}, w.fail("the document ends early")
	}
	switch c := w.data[w.pos]; c {
	case '{':
		return w.object(key, inTemplate, keep)
	case '[':
		return w.list(key, inTemplate, keep)
	case '"':
		raw, err := w.raw()
		if err != nil {
			return field{}, err
		}
		return w.text(key, raw, inTemplate, keep)
	}
	return w.word(key)
}

// word reads a number, true, false, null, NaN or Infinity.
func (w *jsonWalk) word(key string) (field, error) {
	start := w.pos
	for w.pos < len(w.data) {
		c := w.data[w.pos]
		if c != '-' && c != '+' && c != '.' && !(c >= '0' && c <= '9') && !(c|0x20 >= 'a' && c|0x20 <= 'z') {
			break
		}
		w.pos++
	}
	word := w.data[start:w.pos]
	f := field{key: key, kind: isNumber}
	switch string(word) {
	case "true":
		return field{key: key, kind: isBool, text: "true"}, nil
	case "false":
		return field{key: key, kind: isBool, text: "false"}, nil
	case "null":
		return field{key: key}, nil
	case "NaN", "Infinity", "-Infinity":
		return f, nil
	case "":
		return f, w.fail("a value is expected")
	}
	if word[0] != '-' && word[0] != '+' && word[0] != '.' && !(word[0] >= '0' && word[0] <= '9') {
		w.pos = start
		return f, w.fail("a value is expected")
	}
	if len(word) < 32 {
		if keepNumber := w.full; keepNumber {
			f.text = string(word)
		}
	}
	return f, nil
}

// raw returns what stands between the quotes.
func (w *jsonWalk) raw() ([]byte, error) {
	start := w.pos + 1
	for at := start; ; {
		n := bytes.IndexByte(w.data[at:], '"')
		if n < 0 {
			return nil, w.fail("a string is not closed")
		}
		end := at + n
		slashes := 0
		for i := end - 1; i >= start && w.data[i] == '\\'; i-- {
			slashes++
		}
		if slashes%2 == 0 {
			w.pos = end + 1
			return w.data[start:end], nil
		}
		at = end + 1
	}
}

// text looks at a string, which is decoded only where it has to be.
func (w *jsonWalk) text(key string, raw []byte, inTemplate, keep bool) (field, error) {
	f := field{key: key, kind: isText}
	if err := w.pickled(key, raw); err != nil {
		return f, err
	}
	escaped := bytes.IndexByte(raw, '\\') >= 0
	braces := bytes.IndexByte(raw, '{') >= 0 || escaped && bytes.Contains(raw, []byte(`\u00`)) || inTemplate
	dollar := bytes.IndexByte(raw, '$') >= 0 || escaped && bytes.Contains(raw, []byte(`\u0024`))
	if !keep && !braces && !dollar {
		return f, nil
	}
	s := raw
	if escaped {
		s = unescapeJSON(raw)
	}
	if braces && hasTags(s) {
		as := anyString
		if inTemplate {
			as = obeyed
		} else if w.records {
			as |= quoted
		}
		if _, _, err := checkTemplate(w.place, string(w.path), s, as); err != nil {
			return f, err
		}
	}
	if dollar && len(s) <= maxResolved {
		w.checkText(string(s))
	}
	if keep && len(s) <= maxKeptText {
		f.text = string(s)
	}
	return f, nil
}

// Text that is longer than these is prose.
const (
	maxResolved = 4096
	maxKeptText = 4096
)

// unescapeJSON decodes a string as Python does. An escape that JSON does not
// have is kept as it is.
func unescapeJSON(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' || i+1 >= len(raw) {
			out = append(out, c)
			continue
		}
		i++
		switch c := raw[i]; c {
		case 'b', 'f', 'n', 'r', 't':
			out = append(out, "\b\f\n\r\t"[bytes.IndexByte([]byte("bfnrt"), c)])
		case 'u':
			r, ok := hex4(raw, i+1)
			if !ok {
				out = append(out, '\\', 'u')
				continue
			}
			i += 4
			if utf16.IsSurrogate(r) && i+6 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' {
				if low, ok := hex4(raw, i+3); ok {
					if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
						r = both
						i += 6
					}
				}
			}
			out = utf8.AppendRune(out, r)
		case '"', '\\', '/':
			out = append(out, c)
		default:
			out = append(out, '\\', c)
		}
	}
	return out
}

func hex4(raw []byte, at int) (rune, bool) {
	if at+4 > len(raw) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(raw[at:at+4]), 16, 32)
	return rune(n), err == nil
}

// keepOne counts a value that is kept.
func (w *jsonWalk) keepOne() bool {
	if w.kept++; w.kept > maxKept {
		w.truncated = true
		return false
	}
	return true
}

func (w *jsonWalk) list(key string, inTemplate, keep bool) (field, error) {
	f := field{key: key, kind: isList}
	if w.depth++; w.depth > maxJSONDepth {
		w.deep = true
		return f, w.fail("the document is nested too deeply")
	}
	w.pos++
	for i := 0; ; i++ {
		if err := w.space(); err != nil {
			return f, err
		}
		if w.pos < len(w.data) && w.data[w.pos] == ']' {
			w.pos++
			w.depth--
			return f, nil
		}
		n := w.push("", i)
		item, err := w.value("", inTemplate, keep)
		if err != nil {
			return f, err // the path stays where it broke
		}
		w.path = w.path[:n]
		if keep && w.keepOne() {
			f.list = append(f.list, item)
		}
		if err := w.space(); err != nil {
			return f, err
		}
		switch {
		case w.pos < len(w.data) && w.data[w.pos] == ',':
			w.pos++
		case w.pos < len(w.data) && w.data[w.pos] == ']':
		default:
			return f, w.fail(`"," or "]" is expected`)
		}
	}
}

func (w *jsonWalk) object(key string, inTemplate, keep bool) (field, error) {
	o := &object{root: w.depth == 0}
	f := field{key: key, kind: isObject, object: o}
	if w.depth++; w.depth > maxJSONDepth {
		w.deep = true
		return f, w.fail("the document is nested too deeply")
	}
	defer func() { w.depth-- }()
	var seen map[string]bool
	w.pos++
	for {
		if err := w.space(); err != nil {
			return f, err
		}
		if w.pos < len(w.data) && w.data[w.pos] == '}' {
			w.pos++
			break
		}
		if w.pos >= len(w.data) || w.data[w.pos] != '"' {
			return f, w.fail("a key is expected")
		}
		raw, err := w.raw()
		if err != nil {
			return f, err
		}
		if err := w.space(); err != nil {
			return f, err
		}
		if w.pos >= len(w.data) || w.data[w.pos] != ':' {
			return f, w.fail(`":" is expected`)
		}
		w.pos++
		if err := w.space(); err != nil {
			return f, err
		}
		w.keys++
		o.names++
		if bytes.IndexByte(raw, '\\') >= 0 {
			raw = unescapeJSON(raw)
		}
		wanted := isKey(string(raw)) && len(raw) < 64
		name := ""
		if wanted || keep {
			name = string(raw)
		}
		if !w.full && w.depth == 1 && name == "_class_name" {
			w.again = true
		}
		n := w.pushRaw(raw)
		if keep || wanted {
			if seen == nil {
				seen = map[string]bool{}
			}
			if seen[name] {
				rule := ruleJSONTwice
				if wanted && (name != "name" && name != "type" && name != "path" && name != "version") {
					rule = ruleJSONDuplicate
				}
				w.place.Report(rule, w.at(), "the key stands here twice")
			}
			if len(seen) < maxKept {
				seen[name] = true
			}
		}
		isTemplate := name == "chat_template" || inTemplate && (name == "template" || o.names <= 64 && name != "name")
		inner, err := w.value(name, isTemplate, keep || wanted && name != "model" && name != "obj" && name != "added_tokens" && name != "params" && name != "init_args")
		if err != nil {
			return f, err // the path stays where it broke
		}
		w.path = w.path[:n]
		if (keep || wanted) && w.keepOne() {
			o.fields = append(o.fields, inner)
		}
		if err := w.space(); err != nil {
			return f, err
		}
		switch {
		case w.pos < len(w.data) && w.data[w.pos] == ',':
			w.pos++
		case w.pos < len(w.data) && w.data[w.pos] == '}':
		default:
			return f, w.fail(`"," or "}" is expected`)
		}
	}
	if len(o.fields) > 0 {
		return f, w.check(o)
	}
	return f, nil
}

// pushRaw is push for a key that needs no string of its own.
func (w *jsonWalk) pushRaw(raw []byte) int {
	n := len(w.path)
	if n > 1024 {
		return n
	}
	if n > 0 {
		w.path = append(w.path, '.')
	}
	w.path = append(w.path, raw[:min(len(raw), 80)]...)
	return n
}
