package tensor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errLiteral is wrapped by every error about what is no Python literal.
var errLiteral = errors.New("not a Python literal")

const (
	// literalDepth bounds lists in tuples in lists: types in types in types.
	literalDepth = 32
	// literalValues bounds a literal; a type of 10,000 fields has 30,000.
	literalValues = 1 << 18
)

// A literal is a string, an int64, a bool, a tuple, a list or a dict. Only
// what headers of arrays are made of is read: no expression, no call, no name.
type (
	tuple []any
	list  []any
	entry struct{ key, value any }
	dict  []entry
)

// literal reads one Python literal, and nothing behind it but white space.
func literal(text string) (any, error) {
	l := &literals{s: text}
	v, err := l.value(0)
	if err != nil {
		return nil, err
	}
	if l.space(); l.i != len(l.s) {
		return nil, l.wrong("more than one value")
	}
	return v, nil
}

type literals struct {
	s      string
	i      int
	values int
}

func (l *literals) wrong(what string) error {
	return fmt.Errorf("%w at byte %d: %s", errLiteral, l.i, what)
}

func (l *literals) space() {
	for l.i < len(l.s) && strings.IndexByte(" \t\n\r\f", l.s[l.i]) >= 0 {
		l.i++
	}
}

func (l *literals) next(c byte) bool {
	if l.space(); l.i < len(l.s) && l.s[l.i] == c {
		l.i++
		return true
	}
	return false
}

func (l *literals) word(w string) bool {
	if !strings.HasPrefix(l.s[l.i:], w) {
		return false
	}
	l.i += len(w)
	return true
}

func (l *literals) value(depth int) (any, error) {
	if l.values++; l.values > literalValues || depth > literalDepth {
		return nil, l.wrong("too many or too deeply nested values")
	}
	if l.space(); l.i >= len(l.s) {
		return nil, l.wrong("it ends too early")
	}
	switch c := l.s[l.i]; {
	case c == '(':
		l.i++
		items, commas, err := l.items(')', depth)
		if err == nil && len(items) == 1 && commas == 0 {
			return items[0], nil // only brackets
		}
		return tuple(items), err
	case c == '[':
		l.i++
		items, _, err := l.items(']', depth)
		return list(items), err
	case c == '{':
		l.i++
		return l.dict(depth)
	case c == '\'' || c == '"':
		return l.text()
	case c == '-' || c >= '0' && c <= '9':
		return l.number()
	case (c == 'b' || c == 'u') && l.i+1 < len(l.s) && (l.s[l.i+1] == '\'' || l.s[l.i+1] == '"'):
		l.i++ // names of fields that Python 2 wrote
		return l.text()
	case l.word("True"):
		return true, nil
	case l.word("False"):
		return false, nil
	}
	return nil, l.wrong("expected a string, a number, True, False, or a bracket")
}

func (l *literals) items(end byte, depth int) (items []any, commas int, err error) {
	for !l.next(end) {
		if len(items) > commas {
			return nil, 0, l.wrong("expected a comma")
		}
		v, err := l.value(depth + 1)
		if err != nil {
			return nil, 0, err
		}
		items = append(items, v)
		if l.next(',') {
			commas++
		}
	}
	return items, commas, nil
}

func (l *literals) dict(depth int) (any, error) {
	var d dict
	for comma := true; !l.next('}'); comma = l.next(',') {
		if !comma {
			return nil, l.wrong("expected a comma")
		}
		key, err := l.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if !l.next(':') {
			return nil, l.wrong("expected a colon")
		}
		v, err := l.value(depth + 1)
		if err != nil {
			return nil, err
		}
		d = append(d, entry{key, v})
	}
	return d, nil
}

// text takes a string.
func (l *literals) text() (any, error) {
	quote := l.s[l.i]
	l.i++
	var b strings.Builder
	for ; l.i < len(l.s); l.i++ {
		switch c := l.s[l.i]; c {
		case quote:
			l.i++
			return b.String(), nil
		case '\n':
			return nil, l.wrong("a line ends in a string")
		case '\\':
			r, _, rest, err := strconv.UnquoteChar(l.s[l.i:], quote)
			if err != nil {
				return nil, l.wrong("an escape that is not understood")
			}
			b.WriteRune(r)
			l.i = len(l.s) - len(rest) - 1
		default:
			b.WriteByte(c)
		}
	}
	return nil, l.wrong("it ends in a string")
}

func (l *literals) number() (any, error) {
	start := l.i
	if l.s[l.i] == '-' {
		l.i++
	}
	for l.i < len(l.s) && l.s[l.i] >= '0' && l.s[l.i] <= '9' {
		l.i++
	}
	n, err := strconv.ParseInt(l.s[start:l.i], 10, 64)
	if err != nil {
		return nil, l.wrong("not a whole number of 64 bits")
	}
	if l.i < len(l.s) && l.s[l.i] == 'L' { // Python 2's long
		l.i++
	}
	return n, nil
}
