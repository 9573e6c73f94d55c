package jinja

import (
	"math"
	"strings"
)

func (c *checker) index(x indexExpr) value {
	base := c.eval(x.x)
	if s, ok := x.key.(sliceExpr); ok {
		return c.slice(s, base)
	}
	key := c.eval(x.key)
	switch key.kind {
	case textKind:
		v := c.attribute(x.line, base, key, false)
		if !key.known() {
			c.computed(x.line, base, key)
		}
		return v
	case dataKind, lazyKind, engineKind, methodKind:
		c.computed(x.line, base, key)
		if base.kind == listKind || base.kind == dictKind {
			return likeliest(base)
		}
		if base.kind == textKind && base.known() {
			return pieces(gap, max(fromFold, key.taint)) // a letter of an alphabet
		}
		if base.kind == textKind {
			return pieces(gap, max(base.taint, key.taint))
		}
		return unknown(base.source())
	case intKind, boolKind:
		n := int(key.num)
		switch {
		case base.kind == textKind && base.known():
			if r := []rune(base.text); n < 0 && n+len(r) >= 0 {
				return text(string(r[n+len(r)]))
			} else if n >= 0 && n < len(r) {
				return text(string(r[n]))
			}
		case base.kind == textKind:
			return pieces(gap, base.taint)
		case base.kind == listKind && !base.list.open:
			if n < 0 {
				n += len(base.list.items)
			}
			if n >= 0 && n < len(base.list.items) {
				return base.list.items[n]
			}
		case base.kind == dictKind:
			if v, ok := base.get(key); ok {
				return v
			}
		}
	}
	return unknown(base.source())
}

// computed judges that something is asked for by a name that is not known.
// With input that is how every template looks into messages.
func (c *checker) computed(line int, base, key value) {
	t := key.source()
	if key.kind == engineKind || key.kind == lazyKind || key.kind == methodKind {
		t = fromEngine
	}
	switch {
	case t == fromEngine, t == fromFold:
	case base.kind == engineKind && base.text != "self" && base.text != "request" && base.text != "config":
	default:
		return
	}
	c.report(Computed, line, key.str().text)
}

// likeliest is the item of a constant list or dict that would be worst.
func likeliest(v value) value {
	var out value
	for i, item := range v.list.items {
		if i == 0 {
			out = item
		} else {
			out = worse(out, item, true)
		}
	}
	if out.kind == textKind && !strings.Contains(out.text, "_") {
		return pieces(gap, fromInput)
	}
	return out
}

func (c *checker) slice(s sliceExpr, base value) value {
	bound := func(x expr) (int, bool, bool) {
		if x == nil {
			return 0, false, true
		}
		v := c.eval(x)
		if v.kind == noneKind {
			return 0, false, true
		}
		return int(v.num), true, isNumber(v) && math.Abs(v.num) < 1<<31
	}
	start, hasStart, ok1 := bound(s.start)
	stop, hasStop, ok2 := bound(s.stop)
	step, hasStep, ok3 := bound(s.step)
	if !hasStep {
		step = 1
	}
	var items []value
	switch {
	case !ok1 || !ok2 || !ok3 || step == 0:
	case base.kind == textKind && base.known():
		items = runes(base.text)
	case base.kind == listKind && !base.list.open:
		items = base.list.items
	default:
		ok1 = false
	}
	if !ok1 || !ok2 || !ok3 || step == 0 {
		if base.kind == textKind {
			if base.known() {
				return pieces(gap, fromFold)
			}
			return pieces(gap, base.taint)
		}
		return unknown(base.source())
	}
	n := len(items)
	clamp := func(i, low, high int) int {
		if i < 0 {
			i += n
		}
		return min(max(i, low), high)
	}
	var out []value
	if step > 0 {
		from, to := 0, n
		if hasStart {
			from = clamp(start, 0, n)
		}
		if hasStop {
			to = clamp(stop, 0, n)
		}
		for i := from; i < to; i += step {
			out = append(out, items[i])
		}
	} else {
		from, to := n-1, -1
		if hasStart {
			from = clamp(start, -1, n-1)
		}
		if hasStop {
			to = clamp(stop, -1, n-1)
		}
		for i := from; i > to; i += step {
			out = append(out, items[i])
		}
	}
	if base.kind == listKind {
		return listOf(out)
	}
	var b strings.Builder
	for _, v := range out {
		b.WriteString(v.text)
	}
	return c.made(s.line, text(b.String()))
}

// attribute judges base.name or base[name], and returns what is known of it.
func (c *checker) attribute(line int, base, name value, attribute bool) value {
	c.asked(line, base, name, attribute)
	if base.kind == dictKind {
		if v, ok := base.get(name); ok {
			return v
		}
	}
	switch base.kind {
	case textKind, listKind, dictKind, intKind, floatKind, boolKind:
		if name.known() {
			return value{kind: methodKind, text: name.text, recv: &base, taint: fromEngine}
		}
		return unknown(fromFold)
	case engineKind:
		return unknown(fromInput)
	case methodKind:
		return unknown(fromEngine)
	case dataKind:
		return value{kind: dataKind, taint: base.taint, text: name.text, recv: &value{}}
	}
	return unknown(base.source())
}
