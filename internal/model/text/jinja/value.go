package jinja

import (
	"strconv"
	"strings"
)

type kind uint8

const (
	dataKind kind = iota // what the caller hands to the template, or what is made of it
	textKind             // a string; gap stands for what is unknown in it
	intKind
	floatKind
	boolKind
	noneKind
	listKind   // a list or tuple, shared by all who hold it
	dictKind   // likewise
	engineKind // a function or object of the engine: name
	methodKind // a method of a constant: recv and name
	macroKind
	lazyKind // what map, select and their like return
)

// gap stands in a string for a piece that is not known. No template holds it:
// see text.
const gap = "\x00"

// taint says where the unknown part of a value comes from.
type taint uint8

const (
	fromInput  taint = iota // the caller
	fromMacro               // a parameter of a macro: known where it is called
	fromFold                // constants, by an operation that is not followed
	fromEngine              // the text of a function or generator
)

// value is what an expression is known to be. The zero value is input.
type value struct {
	kind  kind
	taint taint
	text  string
	num   float64 // of numbers; 1 is true
	list  *list
	recv  *value
	macro *macroStmt
}

// list holds the items of a list, or the keys and values of a dict.
type list struct {
	keys  []value
	items []value
	open  bool // there may be more
}

var none = value{kind: noneKind}

func text(s string) value {
	if strings.Contains(s, gap) {
		s = strings.ReplaceAll(s, gap, "\x01")
	}
	return value{kind: textKind, text: s}
}

// pieces is a string with gaps.
func pieces(s string, t taint) value {
	for strings.Contains(s, gap+gap) {
		s = strings.ReplaceAll(s, gap+gap, gap)
	}
	return value{kind: textKind, text: s, taint: t}
}

func number(n float64) value   { return value{kind: intKind, num: n} }
func unknown(t taint) value    { return value{taint: t} }
func listOf(v []value) value   { return value{kind: listKind, list: &list{items: v}} }
func engine(name string) value { return value{kind: engineKind, text: name, taint: fromEngine} }
func boolean(b bool) value {
	v := value{kind: boolKind}
	if b {
		v.num = 1
	}
	return v
}

// known says whether the value is all known.
func (v value) known() bool {
	switch v.kind {
	case textKind:
		return !strings.Contains(v.text, gap)
	case intKind, floatKind, boolKind, noneKind:
		return true
	case listKind, dictKind:
		if v.list.open {
			return false
		}
		for i, item := range v.list.items {
			if item.kind == listKind || item.kind == dictKind || !item.known() {
				return false
			}
			if v.kind == dictKind && !v.list.keys[i].known() {
				return false
			}
		}
		return true
	}
	return false
}

// source is where what is unknown of the value comes from.
func (v value) source() taint {
	t := v.taint
	if v.kind == listKind || v.kind == dictKind {
		for _, item := range v.list.items {
			if item.kind != listKind && item.kind != dictKind {
				t = max(t, item.taint)
			}
		}
	}
	return t
}

// truth returns whether the value is true, where that is known.
func (v value) truth() (is, known bool) {
	switch v.kind {
	case textKind:
		return v.text != "", v.known()
	case intKind, floatKind, boolKind:
		return v.num != 0, true
	case noneKind:
		return false, true
	case listKind, dictKind:
		return len(v.list.items) > 0, !v.list.open
	case engineKind, methodKind, macroKind:
		return true, true
	}
	return false, false
}

// longest string or list that folding makes; longer ones are unknown.
const longest = 1 << 14

// str is str(v). What is not known of it is a gap.
func (v value) str() value {
	switch v.kind {
	case textKind:
		return v
	case intKind:
		return text(strconv.FormatFloat(v.num, 'f', -1, 64))
	case floatKind:
		s := strconv.FormatFloat(v.num, 'g', -1, 64)
		if !strings.ContainsAny(s, ".en") {
			s += ".0"
		}
		return text(s)
	case boolKind:
		if v.num != 0 {
			return text("True")
		}
		return text("False")
	case noneKind:
		return text("None")
	case listKind, dictKind:
		var b strings.Builder
		brackets := "[]"
		if v.kind == dictKind {
			brackets = "{}"
		}
		b.WriteByte(brackets[0])
		for i, item := range v.list.items {
			if i > 0 {
				b.WriteString(", ")
			}
			if v.kind == dictKind {
				b.WriteString(v.list.keys[i].repr() + ": ")
			}
			b.WriteString(item.repr())
			if b.Len() > longest {
				break
			}
		}
		if v.list.open {
			b.WriteString(gap)
		}
		b.WriteByte(brackets[1])
		return pieces(b.String(), v.source())
	case engineKind, lazyKind, methodKind, macroKind:
		return pieces(gap, fromEngine)
	}
	return pieces(gap, v.taint)
}

// repr is repr(v) of an item of a list.
func (v value) repr() string {
	switch v.kind {
	case textKind:
		return "'" + v.text + "'"
	case listKind, dictKind:
		return gap
	}
	return v.str().text
}

// dictionary returns the value of a key.
func (v value) get(key value) (value, bool) {
	for i := len(v.list.items) - 1; i >= 0; i-- {
		if v.kind == dictKind && same(v.list.keys[i], key) {
			return v.list.items[i], true
		}
	}
	return value{}, false
}

func same(a, b value) bool {
	if a.kind == textKind || b.kind == textKind {
		return a.kind == b.kind && a.text == b.text
	}
	return a.num == b.num && (a.kind == noneKind) == (b.kind == noneKind)
}

// put sets a key.
func (v value) put(key, val value) {
	for i := range v.list.keys {
		if same(v.list.keys[i], key) {
			v.list.items[i] = worse(v.list.items[i], val, false)
			return
		}
	}
	if len(v.list.keys) < longest {
		v.list.keys, v.list.items = append(v.list.keys, key), append(v.list.items, val)
	}
}

// worse joins what a variable can be after a branch that may not have been
// taken: equal values stay, of strings the one that looks more like a name of
// the interpreter's. When sure, the new value replaces the old.
func worse(old, now value, unsure bool) value {
	if !unsure || old.kind == dataKind && old.taint == fromInput {
		return now
	}
	if old.kind == textKind && (now.kind != textKind || strings.Count(old.text, "_") > strings.Count(now.text, "_")) {
		if now.kind == textKind || now.kind == dataKind || now.kind == noneKind || now.kind == boolKind {
			return old
		}
	}
	if old.kind == engineKind && now.kind != textKind {
		return old
	}
	return now
}
