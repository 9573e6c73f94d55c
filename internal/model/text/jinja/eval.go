package jinja

import (
	"math"
	"strings"
)

// callArgs are evaluated arguments.
type callArgs struct {
	pos    []value
	names  []string
	named  map[string]namedArg
	spread bool // there may be more
}

type namedArg struct {
	value value
	set   bool
}

func (a *callArgs) dict() value {
	d := value{kind: dictKind, list: &list{open: a.spread}}
	for _, name := range a.names {
		d.put(text(plain(name)), a.named[name].value)
	}
	return d
}

// arg is an argument by place or by name.
func (a *callArgs) arg(i int, name string) (value, bool) {
	if i >= 0 && i < len(a.pos) {
		return a.pos[i], true
	}
	v := a.named[name]
	return v.value, v.set
}

// source is where the unknown among the arguments comes from.
func (a *callArgs) source() taint {
	var t taint
	for _, v := range a.pos {
		t = max(t, v.source())
	}
	for _, name := range a.names {
		t = max(t, a.named[name].value.source())
	}
	return t
}

func (a *callArgs) known() bool {
	for _, v := range a.pos {
		if !v.known() {
			return false
		}
	}
	for _, name := range a.names {
		if !a.named[name].value.known() {
			return false
		}
	}
	return !a.spread
}

// isSearch says whether a method or filter looks for the words that it is
// given.
func isSearch(name string) bool {
	switch name {
	case "replace", "split", "rsplit", "startswith", "endswith", "find", "rfind", "index", "count", "partition", "rpartition", "strip",
		"lstrip", "rstrip", "removeprefix", "removesuffix", "get", "selectattr", "rejectattr", "select", "reject", "default", "d":
		return true
	}
	return false
}

func (c *checker) args(line int, name string, a args) *callArgs {
	out := &callArgs{named: map[string]namedArg{}}
	for _, x := range a.pos {
		if isSearch(name) {
			out.pos = append(out.pos, c.eval(x))
			continue
		}
		out.pos = append(out.pos, c.argument(line, x))
	}
	for i, x := range a.named {
		out.names = append(out.names, a.names[i])
		out.named[a.names[i]] = namedArg{c.argument(line, x), true}
		if isDunder(a.names[i]) {
			c.report(Assembled, line, "an argument "+a.names[i])
		}
	}
	for _, x := range a.spread {
		switch v := c.argument(line, x); {
		case v.kind == listKind && !v.list.open:
			out.pos = append(out.pos, v.list.items...)
		case v.kind == dictKind && !v.list.open:
			for i, k := range v.list.keys {
				out.names = append(out.names, k.text)
				out.named[k.text] = namedArg{v.list.items[i], true}
			}
		default:
			out.spread = true
		}
	}
	return out
}

// argument evaluates what is handed on; a name of the interpreter's is not
// handed on without a reason.
func (c *checker) argument(line int, x expr) value {
	v := c.eval(x)
	if k, ok := x.(constExpr); ok && k.value.kind == textKind && isDunder(k.value.text) {
		c.report(Assembled, line, k.value.text)
	}
	return v
}

// made looks at what was folded: nobody puts a name of the interpreter's
// together without a reason.
func (c *checker) made(line int, v value) value {
	c.work(v)
	if v.kind == textKind {
		if isDunder(v.text) {
			c.report(Assembled, line, v.text)
		}
		if len(v.text) > longest {
			return unknown(fromFold)
		}
	}
	return v
}

func (c *checker) eval(x expr) value {
	if x == nil || !c.step(x.at()) {
		return value{}
	}
	c.depth++
	defer func() { c.depth-- }()
	switch x := x.(type) {
	case constExpr:
		return x.value
	case nameExpr:
		return c.name(x)
	case listExpr:
		items := make([]value, 0, len(x.items))
		for _, item := range x.items {
			items = append(items, c.argument(x.line, item))
		}
		return listOf(items)
	case dictExpr:
		d := value{kind: dictKind, list: &list{}}
		for i := range x.keys {
			k, v := c.argument(x.line, x.keys[i]), c.argument(x.line, x.values[i])
			d.put(k, v)
		}
		return d
	case unaryExpr:
		return c.unary(x)
	case binaryExpr:
		return c.binary(x)
	case concatExpr:
		var b strings.Builder
		var t taint
		for _, item := range x.items {
			v := c.eval(item).str()
			b.WriteString(v.text)
			t = max(t, v.taint)
			if b.Len() > longest {
				return unknown(fromFold)
			}
		}
		return c.made(x.line, pieces(b.String(), t))
	case compareExpr:
		return c.compare(x)
	case condExpr:
		is, known := c.eval(x.test).truth()
		then := c.eval(x.then)
		other := value{}
		if x.other != nil {
			other = c.eval(x.other)
		}
		if known && is {
			return then
		}
		if known {
			return other
		}
		return worse(then, other, true)
	case attrExpr:
		return c.attribute(x.line, c.eval(x.x), text(x.name), true)
	case indexExpr:
		return c.index(x)
	case sliceExpr:
		c.eval(x.start)
		c.eval(x.stop)
		c.eval(x.step)
		return value{}
	case callExpr:
		return c.call(x)
	case filterExpr:
		return c.filterChain(x, value{})
	case testExpr:
		return c.test(x)
	}
	return value{}
}

func (c *checker) name(x nameExpr) value {
	if v, ok := c.lookup(x.name); ok {
		return v
	}
	if judge(x.name) == unsafety {
		c.report(Underscore, x.line, x.name)
	}
	if isFunction(x.name) || isSurrounding(x.name) || isModule(x.name) {
		return engine(x.name)
	}
	return value{}
}

func (c *checker) unary(x unaryExpr) value {
	v := c.eval(x.x)
	switch {
	case x.op == "not":
		if is, known := v.truth(); known {
			return boolean(!is)
		}
		return value{}
	case v.kind == intKind || v.kind == floatKind || v.kind == boolKind:
		if x.op == "-" {
			v.num = -v.num
		}
		if v.kind == boolKind {
			v.kind = intKind
		}
		return v
	}
	return unknown(v.source())
}

func isNumber(v value) bool { return v.kind == intKind || v.kind == floatKind || v.kind == boolKind }

func (c *checker) binary(x binaryExpr) value {
	l := c.eval(x.l)
	r := c.eval(x.r)
	if x.op == "and" || x.op == "or" {
		is, known := l.truth()
		switch {
		case known && is == (x.op == "or"):
			return l
		case known:
			return r
		}
		return worse(l, r, true)
	}
	c.work(l, r)
	t := max(l.source(), r.source())
	switch {
	case isNumber(l) && isNumber(r):
		return c.arithmetic(x, l, r)
	case x.op == "+" && l.kind == textKind && (r.kind == textKind || r.kind == dataKind || r.kind == lazyKind),
		x.op == "+" && r.kind == textKind && (l.kind == dataKind || l.kind == lazyKind):
		return c.made(x.line, pieces(l.str().text+r.str().text, t))
	case x.op == "+" && l.kind == listKind && r.kind == listKind:
		if len(l.list.items)+len(r.list.items) > longest {
			return unknown(t)
		}
		return value{kind: listKind, list: &list{items: append(append([]value(nil), l.list.items...), r.list.items...), open: l.list.open || r.list.open}}
	case x.op == "*" && (l.kind == textKind || l.kind == listKind) && isNumber(r):
		return c.repeat(x, l, r.num)
	case x.op == "*" && (r.kind == textKind || r.kind == listKind) && isNumber(l):
		return c.repeat(x, r, l.num)
	case x.op == "%" && l.kind == textKind:
		list := []value{r}
		if r.kind == listKind {
			list = r.list.items
		}
		return c.made(x.line, percent(l.text, list, r, t))
	}
	if l.known() && r.known() && (l.kind == textKind || r.kind == textKind) {
		return unknown(fromFold)
	}
	return unknown(t)
}

func (c *checker) repeat(x binaryExpr, v value, n float64) value {
	length := float64(len(v.text))
	if v.kind == listKind {
		length = float64(len(v.list.items))
	}
	if n*length > 1e7 {
		c.report(Exhaustion, x.line, "a constant is repeated too often")
	}
	if !size(n*length) || !size(n) {
		return unknown(v.source())
	}
	if v.kind == listKind {
		var items []value
		for range int(n) {
			items = append(items, v.list.items...)
		}
		return value{kind: listKind, list: &list{items: items, open: v.list.open}}
	}
	return c.made(x.line, pieces(strings.Repeat(v.text, int(n)), v.taint))
}

func (c *checker) arithmetic(x binaryExpr, l, r value) value {
	a, b := l.num, r.num
	v := value{kind: intKind}
	if l.kind == floatKind || r.kind == floatKind {
		v.kind = floatKind
	}
	switch x.op {
	case "+":
		v.num = a + b
	case "-":
		v.num = a - b
	case "*":
		v.num = a * b
	case "/":
		v.kind, v.num = floatKind, a/b
	case "//":
		v.num = math.Floor(a / b)
	case "%":
		v.num = a - b*math.Floor(a/b)
	case "**":
		if math.Abs(a) > 1 && b > 10_000 {
			c.report(Exhaustion, x.line, "a power of a huge exponent")
		}
		v.num = math.Pow(a, b)
	}
	if math.IsNaN(v.num) || math.IsInf(v.num, 0) {
		return value{}
	}
	return v
}

func (c *checker) compare(x compareExpr) value {
	l := c.eval(x.items[0])
	result := boolean(true)
	for i, op := range x.ops {
		var r value
		if literals, ok := x.items[i+1].(listExpr); ok { // words to compare with
			items := make([]value, 0, len(literals.items))
			for _, item := range literals.items {
				items = append(items, c.eval(item))
			}
			r = listOf(items)
		} else {
			r = c.eval(x.items[i+1])
		}
		if !l.known() || !r.known() || l.kind == listKind || r.kind == listKind {
			result = value{}
		} else if is := same(l, r); op == "==" || op == "!=" {
			if is != (op == "==") {
				return boolean(false)
			}
		} else {
			result = value{}
		}
		l = r
	}
	return result
}

func (c *checker) test(x testExpr) value {
	v := c.eval(x.x)
	for _, a := range x.args.pos {
		c.eval(a)
	}
	for _, a := range x.args.named {
		c.eval(a)
	}
	n, isName := x.x.(nameExpr)
	switch x.name {
	case "defined", "undefined":
		if isName {
			if _, ok := c.lookup(n.name); ok && c.macros == 0 && v.kind != dataKind {
				return boolean(x.name == "defined")
			}
		}
	case "string":
		if v.kind == textKind || v.kind == intKind || v.kind == noneKind {
			return boolean(v.kind == textKind)
		}
	case "none":
		if v.known() {
			return boolean(v.kind == noneKind)
		}
	}
	return value{}
}
