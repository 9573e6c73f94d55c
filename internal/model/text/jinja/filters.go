package jinja

import (
	"slices"
	"strings"
)

// filterChain applies a filter, and those that it stands on, to a value.
func (c *checker) filterChain(x expr, start value) value {
	f, ok := x.(filterExpr)
	if !ok {
		return c.eval(x)
	}
	if !c.step(f.line) {
		return value{}
	}
	c.depth++
	defer func() { c.depth-- }()
	v := start
	if f.x != nil {
		if inner, ok := f.x.(filterExpr); ok {
			v = c.filterChain(inner, start)
		} else if k, ok := f.x.(constExpr); ok && k.value.kind == textKind && isDunder(k.value.text) {
			v = c.argument(f.line, f.x)
		} else {
			v = c.eval(f.x)
		}
	}
	a := c.args(f.line, f.name, f.args)
	r := c.filter(f.line, v, f.name, a)
	if isOpaque(f.name, v, a, r) {
		r.taint = fromFold
	}
	return c.made(f.line, r)
}

// isOpaque says whether a filter made something unknown of what is known.
func isOpaque(name string, v value, a *callArgs, r value) bool {
	switch name {
	case "length", "count", "int", "float", "abs", "round", "wordcount", "attr":
		return false
	}
	if r.taint != fromInput || !(r.kind == dataKind || r.kind == lazyKind || r.kind == textKind && !r.known()) || !a.known() {
		return false
	}
	return (v.kind == textKind || v.kind == listKind || v.kind == dictKind) && v.known()
}

// filter applies one filter. A filter that is not followed makes what is known
// unknown, and marks it so.
func (c *checker) filter(line int, v value, name string, a *callArgs) value {
	c.work(v)
	c.work(a.pos...)
	t := max(v.source(), a.source())
	for _, key := range []string{"attribute", "by"} {
		if by, ok := a.arg(-1, key); ok && !(name == "dictsort" && key == "by") {
			c.demanded(line, itemOf(v), by)
		}
	}
	switch name {
	case "attr":
		by, ok := a.arg(0, "name")
		if !ok {
			if a.spread {
				c.report(Computed, line, "attr")
			}
			return value{}
		}
		c.demanded(line, v, by)
		if by.kind == textKind && by.known() {
			return c.attribute(line, v, by, true)
		}
		return unknown(t)
	case "map":
		return c.mapped(line, v, a)
	case "selectattr", "rejectattr", "groupby":
		if by, ok := a.arg(0, "attribute"); ok {
			c.demanded(line, itemOf(v), by)
		}
		return value{kind: lazyKind, taint: t}
	case "select", "reject":
		if v.kind == listKind && len(a.pos) == 0 && !v.list.open {
			var items []value
			for _, item := range v.list.items {
				if is, known := item.truth(); !known || is == (name == "select") {
					items = append(items, item)
				}
			}
			return value{kind: lazyKind, list: &list{items: items}, taint: t}
		}
		return value{kind: lazyKind, taint: t}
	case "default", "d":
		if v.kind == dataKind {
			by, _ := a.arg(0, "default_value")
			return worse(by, v, true)
		}
		return v
	case "join":
		separator, _ := a.arg(0, "d")
		if separator.kind != textKind {
			separator = text("")
		}
		if v.kind == lazyKind && v.list != nil {
			v = listOf(v.list.items)
		}
		return joined(v, separator.text, t)
	case "format":
		if v.kind == textKind {
			return percent(v.text, a.pos, a.dict(), t)
		}
		return pieces(gap, t)
	case "string", "pprint":
		return c.made(line, v.str())
	case "tojson":
		if v.kind == textKind {
			return pieces(`"`+v.text+`"`, t)
		}
		return pieces(gap, v.source())
	case "list":
		return c.listed(v, t)
	case "first", "last", "random", "min", "max":
		l := c.listed(v, t)
		if l.kind == listKind && len(l.list.items) > 0 && !l.list.open {
			switch name {
			case "first":
				return l.list.items[0]
			case "last":
				return l.list.items[len(l.list.items)-1]
			}
			if l.known() {
				return likeliest(l)
			}
		}
		return unknown(t)
	case "reverse":
		if l := c.listed(v, t); v.kind != textKind && l.kind == listKind {
			items := slices.Clone(l.list.items)
			slices.Reverse(items)
			return value{kind: listKind, list: &list{items: items, open: l.list.open}}
		}
	case "sort", "unique":
		if l := c.listed(v, t); l.kind == listKind {
			return c.sorted(l, name, a)
		}
		return unknown(t)
	case "sum":
		if l := c.listed(v, t); l.kind == listKind {
			start, has := a.arg(1, "start")
			if has && start.kind == listKind {
				items := slices.Clone(start.list.items)
				for _, item := range l.list.items {
					if item.kind == listKind && len(items) < longest {
						items = append(items, item.list.items...)
					}
				}
				return listOf(items)
			}
		}
		return unknown(t)
	case "items":
		if v.kind == dictKind {
			return pairs(v)
		}
		return value{kind: lazyKind, taint: t}
	case "dictsort":
		if v.kind == dictKind {
			return c.sorted(pairs(v), "sort", &callArgs{})
		}
		return unknown(t)
	case "slice", "batch":
		return value{kind: lazyKind, taint: t}
	case "int", "float", "abs", "round", "length", "count", "wordcount":
		if n, ok := c.counted(v, name); ok {
			return n
		}
		return unknown(fromInput)
	case "center":
		if v.kind == textKind {
			return pieces(strings.TrimSpace(v.text), t)
		}
	case "truncate":
		if v.kind == textKind {
			if n, ok := a.arg(0, "length"); ok && v.known() && isNumber(n) && size(n.num) && int(n.num) < len(v.text) {
				end, _ := a.arg(2, "end")
				return pieces(v.text[:int(n.num)]+end.str().text, t)
			}
			return v
		}
	}
	if v.kind != textKind && (v.kind == intKind || v.kind == floatKind || v.kind == noneKind || v.kind == boolKind) {
		v = v.str()
	}
	if v.kind == textKind {
		if s, ok := textMethod(v.text, name, a); ok {
			return pieces(s, t)
		}
		if v.known() && a.known() {
			return pieces(gap, fromFold)
		}
		return pieces(gap, t)
	}
	switch name {
	case "replace":
		now, _ := a.arg(1, "new")
		return pieces(gap+now.str().text+gap, t)
	case "lower", "upper", "trim", "title", "capitalize", "safe", "escape", "e", "forceescape", "indent", "striptags", "urlencode":
		return pieces(gap, v.str().taint)
	}
	return unknown(t)
}

// itemOf is the engine's function where a list holds one.
func itemOf(v value) value {
	if v.kind == listKind {
		for _, item := range v.list.items {
			if item.kind == engineKind {
				return item
			}
		}
	}
	return value{}
}

// mapped is the map filter: either an attribute of each item or a filter on it.
func (c *checker) mapped(line int, v value, a *callArgs) value {
	t := max(v.source(), a.source())
	if _, ok := a.arg(-1, "attribute"); ok {
		return value{kind: lazyKind, taint: t}
	}
	filter, ok := a.arg(0, "")
	if !ok {
		return value{kind: lazyKind, taint: t}
	}
	if filter.kind != textKind || !filter.known() {
		if filter.source() != fromMacro {
			c.report(Computed, line, "map with a filter that is computed")
		}
		return value{kind: lazyKind, taint: t}
	}
	rest := &callArgs{pos: a.pos[1:], names: a.names, named: a.named, spread: a.spread}
	l := v
	if v.kind != listKind {
		l = c.listed(v, t)
	}
	if l.kind != listKind || l.list.open || len(l.list.items) == 0 || len(l.list.items) > longest/8 {
		return value{kind: lazyKind, taint: max(t, c.filter(line, unknown(v.source()), filter.text, rest).taint)}
	}
	items := make([]value, 0, len(l.list.items))
	for _, item := range l.list.items {
		if !c.step(line) {
			break
		}
		items = append(items, c.made(line, c.filter(line, item, filter.text, rest)))
	}
	return value{kind: lazyKind, list: &list{items: items}, taint: t}
}

// listed is list(v).
func (c *checker) listed(v value, t taint) value {
	switch v.kind {
	case listKind:
		return v
	case dictKind:
		return value{kind: listKind, list: &list{items: v.list.keys, open: v.list.open}}
	case textKind:
		if v.known() {
			return listOf(runes(v.text))
		}
	case lazyKind:
		if v.list != nil {
			return listOf(v.list.items)
		}
	}
	return unknown(t)
}

func (c *checker) sorted(l value, name string, a *callArgs) value {
	items := slices.Clone(l.list.items)
	if _, by := a.arg(-1, "attribute"); by || l.list.open {
		return value{kind: listKind, list: &list{items: items, open: true}}
	}
	if name == "unique" {
		var out []value
		seen := map[string]bool{}
		for _, v := range items {
			if s := v.repr(); !seen[s] {
				seen[s] = true
				out = append(out, v)
			}
		}
		return listOf(out)
	}
	slices.SortStableFunc(items, func(a, b value) int {
		if isNumber(a) && isNumber(b) {
			switch {
			case a.num < b.num:
				return -1
			case a.num > b.num:
				return 1
			}
			return 0
		}
		if a.kind == listKind && b.kind == listKind && len(a.list.items) > 0 && len(b.list.items) > 0 {
			return strings.Compare(strings.ToLower(a.list.items[0].repr()), strings.ToLower(b.list.items[0].repr()))
		}
		return strings.Compare(strings.ToLower(a.repr()), strings.ToLower(b.repr()))
	})
	if r, ok := a.arg(0, "reverse"); ok {
		if is, _ := r.truth(); is {
			slices.Reverse(items)
		}
	}
	return listOf(items)
}

// counted folds filters that make numbers of constants.
func (c *checker) counted(v value, name string) (value, bool) {
	switch name {
	case "length", "count":
		switch {
		case v.kind == textKind && v.known():
			return number(float64(len([]rune(v.text)))), true
		case (v.kind == listKind || v.kind == dictKind) && !v.list.open:
			return number(float64(len(v.list.items))), true
		}
	case "int", "float":
		if isNumber(v) {
			return number(float64(int64(min(max(v.num, -1<<52), 1<<52)))), true
		}
		if v.kind == textKind && v.known() {
			l := lexer{src: strings.TrimSpace(v.text), line: 1}
			if len(l.src) > 0 && l.src[0] >= '0' && l.src[0] <= '9' {
				if t, err := l.number(); err == nil {
					return number(t.num), true
				}
			}
			return number(0), true
		}
	case "abs":
		if isNumber(v) {
			v.num = max(v.num, -v.num)
			return v, true
		}
	}
	return value{}, false
}
