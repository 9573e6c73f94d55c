package config

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// kind of a value: the types of JSON, with integers told apart.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindInt
	kindFloat
	kindString
	kindList
	kindMap
)

var kindNames = [...]string{"empty", "a boolean", "an integer", "a number", "text", "a list", "a mapping"}

func (k kind) String() string { return kindNames[k] }

// value is a node of a document together with where it stands.
type value struct {
	kind         kind
	line, column int
	text         string // of a scalar, as it was written
	number       int64  // of an integer
	float        float64
	truth        bool
	plain        bool // the scalar was written without quotes
	items        []*value
	fields       []field
}

// field is one entry of a mapping. Its position is that of the key.
type field struct {
	key          string
	line, column int
	value        *value
}

// get returns the entry's value, or nil.
func (v *value) get(key string) *value {
	if v == nil || v.kind != kindMap {
		return nil
	}
	for i := range v.fields {
		if v.fields[i].key == key {
			return v.fields[i].value
		}
	}
	return nil
}

// string returns the entry's text, or "" when it is not text.
func (v *value) string(key string) string {
	if child := v.get(key); child != nil && child.kind == kindString {
		return child.text
	}
	return ""
}

// native returns the value as Go's dynamic types: what CEL rules see.
func (v *value) native() any {
	switch v.kind {
	case kindBool:
		return v.truth
	case kindInt:
		return v.number
	case kindFloat:
		return v.float
	case kindString:
		return v.text
	case kindList:
		list := make([]any, len(v.items))
		for i, item := range v.items {
			list[i] = item.native()
		}
		return list
	case kindMap:
		m := make(map[string]any, len(v.fields))
		for i := range v.fields {
			m[v.fields[i].key] = v.fields[i].value.native()
		}
		return m
	}
	return nil
}

// canonical appends the value as JSON with sorted keys and no white space, so
// that equal values have equal bytes however they were written.
func (v *value) canonical(b *bytes.Buffer) {
	switch v.kind {
	case kindNull:
		b.WriteString("null")
	case kindBool:
		b.WriteString(strconv.FormatBool(v.truth))
	case kindInt:
		b.WriteString(strconv.FormatInt(v.number, 10))
	case kindFloat:
		b.WriteString(strconv.FormatFloat(v.float, 'g', -1, 64))
	case kindString:
		writeString(b, v.text)
	case kindList:
		b.WriteByte('[')
		for i, item := range v.items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.canonical(b)
		}
		b.WriteByte(']')
	case kindMap:
		sorted := slices.Clone(v.fields)
		slices.SortFunc(sorted, func(x, y field) int { return strings.Compare(x.key, y.key) })
		b.WriteByte('{')
		for i, f := range sorted {
			if i > 0 {
				b.WriteByte(',')
			}
			writeString(b, f.key)
			b.WriteByte(':')
			f.value.canonical(b)
		}
		b.WriteByte('}')
	}
}

// writeString appends text as a JSON string. Text is valid UTF-8 here, so
// encoding cannot fail.
func writeString(b *bytes.Buffer, text string) {
	data, _ := json.Marshal(text)
	b.Write(data)
}

// join extends a field path by a key.
func join(path, key string) string {
	if !simpleKey(key) {
		return path + "[" + quote(key) + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func simpleKey(key string) bool {
	return key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-')
	})
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// lookup returns the position of the field that path names, in the spelling of
// [Problem.Path], or of its nearest ancestor that is there.
func (v *value) lookup(path string) (line, column int) {
	line, column = v.line, v.column
	v.walk("", func(at string, l, c int) bool {
		if at == path || strings.HasPrefix(path, at) && (path[len(at)] == '.' || path[len(at)] == '[') {
			line, column = l, c
			return true
		}
		return at == ""
	})
	return line, column
}

// walk calls visit for every field and element below v; it descends where visit returns true.
func (v *value) walk(path string, visit func(at string, line, column int) bool) {
	for i, item := range v.items {
		at := element(path, i)
		if visit(at, item.line, item.column) {
			item.walk(at, visit)
		}
	}
	for i := range v.fields {
		f := &v.fields[i]
		at := join(path, f.key)
		if visit(at, f.line, f.column) {
			f.value.walk(at, visit)
		}
	}
}
