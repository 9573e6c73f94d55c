package jinja

import (
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

func (c *checker) call(x callExpr) value {
	fn := c.eval(x.fn)
	method := ""
	if attr, ok := x.fn.(attrExpr); ok {
		method = attr.name
	}
	a := c.args(x.line, method, x.args)
	if n, ok := x.fn.(nameExpr); ok && fn.kind == dataKind && fn.taint == fromInput {
		if _, set := c.lookup(n.name); !set && isBuiltin(n.name) {
			c.report(Interpreter, x.line, n.name+"()")
		}
	}
	switch fn.kind {
	case macroKind:
		return c.made(x.line, c.macro(fn.macro, a, false))
	case methodKind:
		return c.made(x.line, c.method(x.line, *fn.recv, fn.text, a))
	case engineKind:
		return c.function(x.line, fn.text, a)
	case dataKind:
		if fn.recv == nil {
			break
		}
		if runs(fn.text) {
			c.report(Interpreter, x.line, fn.text+"()")
		}
		switch fn.text {
		case "join":
			if len(a.pos) == 1 {
				return joined(a.pos[0], gap, max(fn.taint, a.source()))
			}
		case "format", "format_map", "replace", "ljust", "rjust", "center", "__add__", "__mod__", "__radd__":
			s := gap
			for i, v := range a.pos {
				if v.kind == textKind && !(fn.text == "replace" && i == 0) {
					s += v.text + gap
				}
			}
			return pieces(s, max(fn.taint, a.source()))
		}
	}
	return unknown(max(fn.taint, min(a.source(), fromFold)))
}

// function calls what Jinja has under a name.
func (c *checker) function(line int, name string, a *callArgs) value {
	switch name {
	case "range":
		lo, hi, step := 0.0, 0.0, 1.0
		for i, v := range a.pos {
			if !isNumber(v) {
				return value{}
			}
			switch {
			case i == 0 && len(a.pos) == 1:
				hi = v.num
			case i == 0:
				lo = v.num
			case i == 1:
				hi = v.num
			default:
				step = v.num
			}
		}
		if step == 0 {
			return value{}
		}
		n := math.Ceil((hi - lo) / step)
		if n > hugeLoop {
			c.report(Exhaustion, line, "range of "+strconv.FormatFloat(n, 'f', 0, 64))
		}
		if !size(n) || n > maxUnroll*8 {
			return value{}
		}
		var items []value
		for i := range int(n) {
			items = append(items, number(lo+float64(i)*step))
		}
		return listOf(items)
	case "dict", "namespace":
		d := a.dict()
		for _, v := range a.pos {
			if v.kind == dictKind {
				for i := range v.list.keys {
					d.put(v.list.keys[i], v.list.items[i])
				}
			} else if v.kind == listKind {
				for _, pair := range v.list.items {
					if pair.kind == listKind && len(pair.list.items) == 2 {
						d.put(pair.list.items[0], pair.list.items[1])
					}
				}
			} else {
				d.list.open = true
			}
		}
		return d
	case "lipsum":
		if n, ok := a.arg(0, "n"); ok && n.num > 10_000 {
			c.report(Exhaustion, line, "lipsum of "+n.str().text+" paragraphs")
		}
		return pieces(gap, fromEngine)
	case "cycler":
		return likeliest(listOf(a.pos))
	case "joiner":
		return unknown(fromFold)
	}
	return value{}
}

// percent is Python's format % items, with gaps for what is not known.
func percent(format string, items []value, dict value, t taint) value {
	var b strings.Builder
	next := 0
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		var v value
		named := false
		if i < len(format) && format[i] == '(' {
			end := strings.IndexByte(format[i:], ')')
			if end < 0 {
				break
			}
			if dict.kind == dictKind {
				v, _ = dict.get(text(format[i+1 : i+end]))
			}
			named = true
			i += end + 1
		}
		width := ""
		for i < len(format) && strings.IndexByte("0123456789-+ #.", format[i]) >= 0 {
			width += format[i : i+1]
			i++
		}
		if i >= len(format) {
			break
		}
		if format[i] == '%' {
			b.WriteByte('%')
			continue
		}
		if !named {
			if next >= len(items) {
				b.WriteString(gap)
				continue
			}
			v = items[next]
			next++
		}
		if format[i] == 'c' && !isNumber(v) {
			t = max(t, fromFold) // a character by its code: nobody writes a prompt so
		}
		b.WriteString(formatOne(format[i], width, v))
		if b.Len() > longest {
			return unknown(fromFold)
		}
	}
	return pieces(b.String(), t)
}

// formatOne formats one value by a conversion of % or format.
func formatOne(conversion byte, width string, v value) string {
	switch {
	case conversion == 'c' && isNumber(v) && v.num >= 0 && v.num <= utf8.MaxRune:
		return text(string(rune(v.num))).text
	case (conversion == 'x' || conversion == 'X' || conversion == 'o' || conversion == 'b') && isNumber(v) && math.Abs(v.num) < 1<<52:
		s := strconv.FormatInt(int64(v.num), map[byte]int{'x': 16, 'X': 16, 'o': 8, 'b': 2}[conversion])
		if conversion == 'X' {
			s = strings.ToUpper(s)
		}
		return s
	}
	s := v.str().text
	if _, precision, ok := strings.Cut(width, "."); ok && v.kind == textKind {
		if n, err := strconv.Atoi(precision); err == nil && n >= 0 && n < len(s) {
			s = s[:n]
		}
	}
	return s
}

// braces is str.format, and reports what its fields ask for.
func (c *checker) braces(line int, format string, a *callArgs, t taint) value {
	var b strings.Builder
	next := 0
	for i := 0; i < len(format); i++ {
		ch := format[i]
		if (ch == '{' || ch == '}') && i+1 < len(format) && format[i+1] == ch {
			b.WriteByte(ch)
			i++
			continue
		}
		if ch != '{' {
			b.WriteByte(ch)
			continue
		}
		end := strings.IndexByte(format[i:], '}')
		if end < 0 {
			break
		}
		field, spec, _ := strings.Cut(format[i+1:i+end], ":")
		i += end
		field, _, _ = strings.Cut(field, "!")
		parts := strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
		var v value
		for n, part := range parts {
			if n == 0 && !strings.HasPrefix(field, ".") && !strings.HasPrefix(field, "[") {
				if k, err := strconv.Atoi(part); err == nil {
					v, _ = a.arg(max(k, 0), "")
				} else {
					v, _ = a.arg(-1, part)
				}
				continue
			}
			c.asked(line, v, value{kind: textKind, text: part}, true)
			v = value{}
		}
		if field == "" {
			v, _ = a.arg(next, "")
			next++
		}
		conversion, width := byte('s'), ""
		if spec != "" {
			conversion, width = spec[len(spec)-1], spec[:len(spec)-1]
		}
		if conversion == 'c' && !isNumber(v) {
			t = max(t, fromFold)
		}
		b.WriteString(formatOne(conversion, width, v))
		if b.Len() > longest {
			return unknown(fromFold)
		}
	}
	return pieces(b.String(), t)
}

// method calls a method of a constant.
func (c *checker) method(line int, recv value, name string, a *callArgs) value {
	c.work(recv)
	c.work(a.pos...)
	t := max(recv.source(), a.source())
	arg := func(i int) string {
		v, _ := a.arg(i, "")
		return v.str().text
	}
	if runs(name) {
		c.report(Interpreter, line, name+"()")
	}
	switch recv.kind {
	case textKind:
		switch name {
		case "format", "format_map":
			if name == "format_map" && len(a.pos) == 1 && a.pos[0].kind == dictKind {
				d := a.pos[0]
				a = &callArgs{named: map[string]namedArg{}}
				for i, k := range d.list.keys {
					a.named[k.text] = namedArg{d.list.items[i], true}
				}
			}
			return c.braces(line, recv.text, a, t)
		case "join":
			if len(a.pos) == 1 {
				return joined(a.pos[0], recv.text, t)
			}
		case "encode", "decode", "strip", "lstrip", "rstrip", "lower", "upper", "casefold", "title", "capitalize", "swapcase",
			"replace", "removeprefix", "removesuffix", "__add__", "zfill", "expandtabs":
			if len(a.pos) > 0 && (name == "encode" || name == "decode") && !strings.HasPrefix(strings.ToLower(arg(0)), "utf") && !strings.EqualFold(arg(0), "ascii") {
				return unknown(fromFold) // rot13, hex, unicode_escape, …
			}
			if s, ok := textMethod(recv.text, name, a); ok {
				return pieces(s, t)
			}
		case "split", "rsplit", "splitlines", "partition", "rpartition":
			if !recv.known() {
				return unknown(t)
			}
			var parts []string
			switch sep := arg(0); {
			case name == "splitlines":
				parts = strings.Split(recv.text, "\n")
			case len(a.pos) == 0:
				parts = strings.Fields(recv.text)
			case sep == "":
				return unknown(fromFold)
			case name == "partition":
				before, after, found := strings.Cut(recv.text, sep)
				if !found {
					sep = ""
				}
				parts = []string{before, sep, after}
			case len(a.pos) > 1 || name == "rpartition":
				return unknown(fromFold)
			default:
				parts = strings.Split(recv.text, sep)
			}
			return texts(parts)
		case "fromhex":
			if b, err := hex.DecodeString(strings.ReplaceAll(arg(0), " ", "")); err == nil && len(a.pos) > 0 {
				return text(string(b))
			}
		case "hex":
			if recv.known() {
				return text(hex.EncodeToString([]byte(recv.text)))
			}
		case "startswith", "endswith", "find", "index", "count", "isdigit", "isalpha", "isupper", "islower", "rfind", "isspace", "isnumeric":
			return unknown(fromInput)
		}
	case intKind, boolKind, floatKind:
		if name == "to_bytes" && recv.num >= 0 && recv.num < 1<<52 {
			n := uint64(recv.num)
			var b []byte
			for n > 0 {
				b = append(b, byte(n))
				n >>= 8
			}
			if arg(1) != "little" {
				slices.Reverse(b)
			}
			return text(string(b))
		}
	case listKind, dictKind:
		return c.containerMethod(recv, name, a)
	}
	if recv.known() && a.known() {
		return unknown(fromFold)
	}
	return unknown(t)
}

func (c *checker) containerMethod(recv value, name string, a *callArgs) value {
	l := recv.list
	arg0, has := a.arg(0, "")
	if recv.kind == dictKind {
		switch name {
		case "get", "pop", "setdefault":
			if v, ok := recv.get(arg0); ok {
				return v
			}
			if v, ok := a.arg(1, "default"); ok {
				return v
			}
			return none
		case "keys":
			return value{kind: listKind, list: &list{items: l.keys, open: l.open}}
		case "values":
			return value{kind: listKind, list: &list{items: l.items, open: l.open}}
		case "items":
			return pairs(recv)
		case "update":
			if arg0.kind == dictKind {
				for i := range arg0.list.keys {
					recv.put(arg0.list.keys[i], arg0.list.items[i])
				}
			}
			for _, n := range a.names {
				recv.put(text(n), a.named[n].value)
			}
			return none
		case "popitem", "copy":
			return recv
		}
		return unknown(recv.source())
	}
	switch {
	case name == "append" && has && len(l.items) < longest:
		l.items = append(l.items, arg0)
		return none
	case name == "insert" && len(a.pos) == 2 && len(l.items) < longest:
		at := int(min(max(arg0.num, 0), float64(len(l.items))))
		l.items = slices.Insert(slices.Clone(l.items), at, a.pos[1])
		return none
	case name == "extend" && has && arg0.kind == listKind && len(l.items)+len(arg0.list.items) < longest:
		l.items = append(slices.Clone(l.items), arg0.list.items...)
		return none
	case name == "reverse":
		l.items = slices.Clone(l.items)
		slices.Reverse(l.items)
		return none
	case name == "pop" && len(l.items) > 0:
		at := len(l.items) - 1
		if has && isNumber(arg0) {
			at = int(arg0.num)
			if at < 0 {
				at += len(l.items)
			}
		}
		if at >= 0 && at < len(l.items) {
			v := l.items[at]
			l.items = slices.Delete(slices.Clone(l.items), at, at+1)
			return v
		}
	case name == "copy":
		return value{kind: listKind, list: &list{items: l.items, open: l.open}}
	}
	return unknown(recv.source())
}

func pairs(d value) value {
	var items []value
	for i := range d.list.keys {
		items = append(items, listOf([]value{d.list.keys[i], d.list.items[i]}))
	}
	return value{kind: listKind, list: &list{items: items, open: d.list.open}}
}

func texts(parts []string) value {
	items := make([]value, 0, len(parts))
	for _, s := range parts {
		items = append(items, text(s))
	}
	return listOf(items)
}
