package node

import (
	"encoding/json"
	"strconv"
	"strings"
)

// JSON writes the value as JSON, unknown parts as "${expression}". ok is false
// when it is larger than MaxText.
func (n *Node) JSON() (data []byte, ok bool) {
	e := encoder{show: true}
	e.value(n)
	return e.out, !e.full
}

// Encode is the value as a text of JSON that keeps its unknown parts and the
// structure that it was made from.
func Encode(n *Node) *Node {
	e := encoder{}
	e.value(n)
	if e.full {
		return Unknown(n.Where, "a document of more than 1 MiB")
	}
	return String(n.Where, string(e.out)).WithSource(n)
}

type encoder struct {
	out  []byte
	show bool // unknown parts as people see them
	full bool
}

func (e *encoder) value(n *Node) {
	if len(e.out) > MaxText {
		e.full = true
		return
	}
	if n == nil {
		e.out = append(e.out, "null"...)
		return
	}
	switch n.Kind {
	case Null:
		e.out = append(e.out, "null"...)
	case KindBool:
		e.out = append(e.out, n.Str...)
	case KindNumber:
		if _, err := strconv.ParseFloat(n.Str, 64); err == nil && json.Valid([]byte(n.Str)) {
			e.out = append(e.out, n.Str...)
		} else {
			e.text(n.Str)
		}
	case KindString:
		e.text(n.Str)
	case KindUnknown:
		// Bare, as it would stand in a template: what it becomes is not a text
		// for sure.
		if e.show {
			e.text(n.Str)
		} else {
			e.out = append(e.out, n.Str...)
		}
	case KindList:
		e.out = append(e.out, '[')
		for i, item := range n.Items {
			if i > 0 {
				e.out = append(e.out, ',')
			}
			e.value(item)
		}
		e.out = append(e.out, ']')
	case KindMap:
		e.out = append(e.out, '{')
		first := true
		for _, f := range n.Fields {
			// Of fields with one key the last counts; a strict reader refuses two.
			if n.field(f.Key) != f.Value {
				continue
			}
			if !first {
				e.out = append(e.out, ',')
			}
			first = false
			e.text(f.Key)
			e.out = append(e.out, ':')
			e.value(f.Value)
		}
		e.out = append(e.out, '}')
	}
	if len(e.out) > MaxText {
		e.full = true
	}
}

const hex = "0123456789abcdef"

func (e *encoder) text(s string) {
	if e.show {
		s = Show(s)
	}
	s = strings.ToValidUTF8(s, "\ufffd")
	e.out = append(e.out, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case !e.show && strings.HasPrefix(s[i:], Open):
			// An unknown part is one character to JSON: it is not escaped.
			end := strings.Index(s[i:], Close)
			if end < 0 {
				end = len(s) - i - len(Close)
			}
			e.out = append(e.out, s[i:i+end+len(Close)]...)
			i += end + len(Close) - 1
		case c == '"' || c == '\\':
			e.out = append(e.out, '\\', c)
		case c == '\n':
			e.out = append(e.out, '\\', 'n')
		case c < 0x20:
			e.out = append(e.out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			e.out = append(e.out, c)
		}
	}
	e.out = append(e.out, '"')
}
