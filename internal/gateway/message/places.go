package message

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
)

// segment is a step into a JSON document: a member, or an element of a list.
type segment struct {
	name    string
	element bool
}

// pointer writes a path as RFC 6901 has it.
func pointer(path []segment) string {
	var b strings.Builder
	for _, s := range path {
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(s.name, "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// place is a JSON pointer in which * is every element of a list and ** every
// member of an object, as routes name them; "" is the whole document.
type place []string

func parsePlace(text string) (place, error) {
	if text == "" {
		return nil, nil
	}
	if text[0] != '/' {
		return nil, malformed("%q is no JSON pointer: it begins with /", text)
	}
	return strings.Split(text[1:], "/"), nil
}

// has reports whether a path is at the place.
func (p place) has(path []segment) bool {
	if len(p) != len(path) {
		return false
	}
	for i, s := range path {
		switch p[i] {
		case "*":
			if !s.element {
				return false
			}
		case "**":
			if s.element {
				return false
			}
		default:
			if s.element || strings.ReplaceAll(strings.ReplaceAll(p[i], "~1", "/"), "~0", "~") != s.name {
				return false
			}
		}
	}
	return true
}

// eachValue calls visit with every value of a JSON document and where it stands;
// visit says whether to go into it. The path is only lent.
func eachValue(data []byte, visit func(path []segment, start, end int) (into bool, err error)) error {
	if err := (bounded.Rules{Depth: maxDepth}).Check(data); err != nil {
		return malformed("the data is not JSON that has every key once: %v", err)
	}
	w := walker{data: data, visit: visit}
	return w.value()
}

// walker goes through JSON that was found to be well-formed.
type walker struct {
	data  []byte
	at    int
	path  []segment
	visit func(path []segment, start, end int) (bool, error)
}

func (w *walker) space() {
	for w.at < len(w.data) && strings.IndexByte(" \t\r\n", w.data[w.at]) >= 0 {
		w.at++
	}
}

// skip goes behind the value that begins here.
func (w *walker) skip() {
	depth := 0
	for w.at < len(w.data) {
		switch c := w.data[w.at]; c {
		case '"':
			for w.at++; w.data[w.at] != '"'; w.at++ {
				if w.data[w.at] == '\\' {
					w.at++
				}
			}
			w.at++
		case '{', '[':
			depth++
			w.at++
			continue
		case '}', ']':
			depth--
			w.at++
		case ',', ':', ' ', '\t', '\r', '\n':
			w.at++
			continue
		default:
			for w.at < len(w.data) && strings.IndexByte(",]} \t\r\n", w.data[w.at]) < 0 {
				w.at++
			}
		}
		if depth == 0 {
			return
		}
	}
}

func (w *walker) value() error {
	w.space()
	start := w.at
	w.skip()
	end := w.at
	into, err := w.visit(w.path, start, end)
	if err != nil || !into {
		return err
	}
	open := w.data[start]
	if open != '{' && open != '[' {
		return nil
	}
	w.at = start + 1
	for n := 0; ; n++ {
		if w.space(); w.data[w.at] == ',' {
			w.at++
			w.space()
		}
		if w.data[w.at] == '}' || w.data[w.at] == ']' {
			break
		}
		s := segment{name: strconv.Itoa(n), element: true}
		if open == '{' {
			key := w.at
			w.skip()
			s = segment{}
			if err := json.Unmarshal(w.data[key:w.at], &s.name); err != nil {
				return malformed("a key cannot be read")
			}
			w.space()
			w.at++ // the colon
		}
		w.path = append(w.path, s)
		if err := w.value(); err != nil {
			return err
		}
		w.path = w.path[:len(w.path)-1]
	}
	w.at = end
	return nil
}

// splice replaces values of a JSON document; replace returns nil where one stays.
func splice(data []byte, replace func(path []segment, value []byte) ([]byte, error)) ([]byte, error) {
	var out []byte
	last := 0
	err := eachValue(data, func(path []segment, start, end int) (bool, error) {
		with, err := replace(path, data[start:end])
		if err != nil || with == nil {
			return err == nil, err
		}
		out = append(append(out, data[last:start]...), with...)
		last = end
		return false, nil
	})
	return append(out, data[last:]...), err
}
