package jinja

import (
	"fmt"
	"math"
	"strings"
)

// maxSteps bounds evaluation. A chat template takes some thousand.
const maxSteps = 200_000

// maxProblems are enough to judge a template by.
const maxProblems = 64

// maxUnroll is how often the body of a loop over constants is evaluated.
const maxUnroll = 512

// maxRecursion is how deep a macro is followed into itself: macros that print
// JSON schemas call themselves in many places.
const maxRecursion = 2

// hugeLoop is the longest range that rendering a prompt can need: the sandbox
// of Jinja has the same limit.
const hugeLoop = 100_000

// Check evaluates the template with unknown input and returns what it should
// not do, in the order of evaluation, each once.
func Check(t *Template) []Problem {
	problems, _ := Evaluate(t)
	return problems
}

// Evaluate is [Check], and says how many steps that took: some 300 ns each.
func Evaluate(t *Template) (problems []Problem, steps int) {
	c := &checker{seen: map[Problem]bool{}, active: map[*macroStmt]int{}, scopes: []map[string]value{{}}}
	c.run(t.body)
	return c.problems, c.steps
}

type checker struct {
	problems []Problem
	seen     map[Problem]bool
	scopes   []map[string]value
	unsure   int // branches around this one that may not be taken
	macros   int // macros around this one
	active   map[*macroStmt]int
	depth    int
	taints   taint            // of what is rendered
	out      *strings.Builder // what is rendered, where that becomes a value
	steps    int
	stopped  bool
}

func (c *checker) report(k Kind, line int, detail string) {
	p := Problem{k, line, strings.ReplaceAll(detail, gap, "…")}
	if !c.seen[p] && len(c.problems) < maxProblems {
		c.seen[p] = true
		c.problems = append(c.problems, p)
	}
}

// step counts, and says whether to go on.
func (c *checker) step(line int) bool {
	if c.steps++; c.steps > maxSteps || c.depth > 1000 {
		if !c.stopped {
			c.stopped = true
			c.report(Unfinished, line, fmt.Sprintf("more than %d steps", maxSteps))
		}
		return false
	}
	return true
}

// work counts the steps that going through values takes.
func (c *checker) work(values ...value) {
	for _, v := range values {
		n := len(v.text) / 64
		if v.list != nil {
			n += len(v.list.items) / 4
		}
		c.steps += n
	}
}

func (c *checker) lookup(name string) (value, bool) {
	for i := len(c.scopes) - 1; i >= 0; i-- {
		if v, ok := c.scopes[i][name]; ok {
			return v, true
		}
	}
	return value{}, false
}

func (c *checker) set(name string, v value) { c.scopes[len(c.scopes)-1][name] = v }

func (c *checker) push() { c.scopes = append(c.scopes, map[string]value{}) }
func (c *checker) pop()  { c.scopes = c.scopes[:len(c.scopes)-1] }

func (c *checker) run(body []stmt) {
	for _, s := range body {
		if !c.step(0) {
			return
		}
		c.depth++
		c.statement(s)
		c.depth--
	}
}

func (c *checker) statement(s stmt) {
	switch s := s.(type) {
	case textStmt:
		c.print(text(s.text))
	case outputStmt:
		if k, ok := s.x.(constExpr); ok && k.value.kind == textKind {
			c.print(k.value)
			return // text, written as an expression
		}
		if n, ok := s.x.(nameExpr); ok && (n.name == "self" || n.name == "config") {
			if _, set := c.lookup(n.name); !set {
				c.report(Environment, n.line, n.name+" is printed")
			}
		}
		c.print(c.eval(s.x).str())
	case setStmt:
		c.assign(s.target, c.eval(s.x))
	case setBlock:
		c.push()
		v := c.capture(func() { c.run(s.body) })
		c.pop()
		if s.filter != nil {
			v = c.filterChain(s.filter, v)
		}
		c.assign(s.target, v)
	case forStmt:
		c.loop(s)
	case ifStmt:
		c.branches(s)
	case *macroStmt:
		c.set(s.name, value{kind: macroKind, macro: s, taint: fromEngine})
		c.macro(s, nil, true)
	case callStmt:
		c.macro(s.macro, nil, true)
		c.push()
		c.set("caller", value{kind: macroKind, macro: s.macro, taint: fromEngine})
		c.print(c.eval(s.call).str())
		c.pop()
	case filterStmt:
		v := c.capture(func() { c.run(s.body) })
		c.print(c.filterChain(s.filter, v).str())
	case withStmt:
		c.push()
		for i := range s.targets {
			c.assign(s.targets[i], c.eval(s.values[i]))
		}
		c.run(s.body)
		c.pop()
	case blockStmt:
		c.run(s.body)
	case loadStmt:
		c.load(s)
	case debugStmt:
		c.report(Environment, s.line, "debug prints all that the template can reach")
	}
}

// print adds to what is rendered. The marks of text are gaps again.
func (c *checker) print(v value) {
	if c.out != nil && c.out.Len() < longest {
		c.out.WriteString(v.text)
		c.taints = max(c.taints, v.taint)
	}
}

// capture returns what is rendered meanwhile. Of branches of which one is
// taken, all are in it, with gaps between.
func (c *checker) capture(render func()) value {
	outer, taints := c.out, c.taints
	c.out, c.taints = &strings.Builder{}, fromInput
	render()
	v := pieces(c.out.String(), c.taints)
	if c.out.Len() >= longest {
		v = pieces(gap, fromFold)
	}
	c.work(v)
	c.out, c.taints = outer, taints
	return v
}

func (c *checker) load(s loadStmt) {
	v := c.eval(s.x)
	names := []value{v}
	if v.kind == listKind {
		names = v.list.items
	}
	for _, n := range names {
		name := n.str().text
		switch {
		case strings.HasPrefix(name, "/"), strings.HasPrefix(name, `\`), strings.Contains(name, ".."), strings.Contains(name, ":"):
			c.report(ForeignPath, s.line, s.verb+" "+name)
		default:
			c.report(Foreign, s.line, s.verb+" "+name)
		}
	}
	for _, name := range s.names {
		c.set(name, value{})
	}
}

func (c *checker) assign(target expr, v value) {
	switch t := target.(type) {
	case nameExpr:
		if judge(t.name) == unsafety {
			c.report(Assembled, t.line, "a variable "+t.name)
		}
		c.set(t.name, v)
	case listExpr:
		for i, item := range t.items {
			switch {
			case v.kind == listKind && i < len(v.list.items):
				c.assign(item, v.list.items[i])
			default:
				c.assign(item, unknown(v.source()))
			}
		}
	case attrExpr:
		base := c.eval(t.x)
		c.asked(t.line, base, text(t.name), true)
		if base.kind == dictKind {
			if old, ok := base.get(text(t.name)); ok {
				v = worse(old, v, c.unsure > 0)
			}
			base.put(text(t.name), v)
		}
	}
}

func (c *checker) loop(s forStmt) {
	v := c.eval(s.iter)
	items, known := c.iterate(v)
	body := func(item value, unsure bool) {
		c.push()
		if unsure {
			c.unsure++
		}
		c.set("loop", value{})
		c.assign(s.target, item)
		if s.filter != nil {
			c.eval(s.filter)
		}
		c.run(s.body)
		if unsure {
			c.unsure--
		}
		c.pop()
	}
	if known && len(items) <= maxUnroll {
		for _, item := range items {
			if c.stopped {
				return
			}
			body(item, s.filter != nil)
		}
	}
	if !known || len(items) > maxUnroll || len(items) == 0 {
		// Twice, so that what the first turn sets is seen by the second.
		for range 2 {
			body(unknown(v.source()), true)
		}
	}
	c.push()
	c.unsure++
	c.run(s.other)
	c.unsure--
	c.pop()
}

// iterate returns what a loop over the value goes through, where that is known.
func (c *checker) iterate(v value) ([]value, bool) {
	switch v.kind {
	case textKind:
		if v.known() {
			return runes(v.text), true
		}
	case listKind:
		return v.list.items, !v.list.open
	case lazyKind:
		if v.list != nil {
			return v.list.items, true
		}
	case dictKind:
		return v.list.keys, !v.list.open
	}
	return nil, false
}

func runes(s string) []value {
	out := make([]value, 0, len(s))
	for _, r := range s {
		out = append(out, text(string(r)))
	}
	return out
}

// branches runs each branch on the variables as they were, and joins what the
// branches left.
func (c *checker) branches(s ifStmt) {
	top := c.scopes[len(c.scopes)-1]
	before := make(map[string]value, len(top))
	for k, v := range top {
		before[k] = v
	}
	after := map[string]value{}
	for k, v := range top {
		after[k] = v
	}
	for i, body := range s.bodies {
		sure := false
		if s.tests[i] != nil {
			is, known := c.eval(s.tests[i]).truth()
			sure = known && is && i == 0
		}
		branch := make(map[string]value, len(before))
		for k, v := range before {
			branch[k] = v
		}
		c.scopes[len(c.scopes)-1] = branch
		if !sure {
			c.unsure++
		}
		c.run(body)
		if !sure {
			c.unsure--
		}
		c.print(pieces(gap, fromInput))
		if sure {
			after = branch
			before = branch
			continue
		}
		for k, v := range branch {
			old, had := after[k]
			if was, same := before[k]; same && identical(was, v) {
				if !had {
					after[k] = v
				}
				continue
			}
			if had {
				v = worse(old, v, true)
			}
			after[k] = v
		}
	}
	c.scopes[len(c.scopes)-1] = after
}

func identical(a, b value) bool {
	return a.kind == b.kind && a.taint == b.taint && a.text == b.text && a.num == b.num && a.list == b.list && a.macro == b.macro
}

// macro runs the body of a macro. Without arguments the parameters are unknown.
func (c *checker) macro(m *macroStmt, a *callArgs, definition bool) value {
	if c.macros > 8 || c.active[m] >= maxRecursion {
		return pieces(gap, fromInput)
	}
	c.active[m]++
	defer func() { c.active[m]-- }()
	c.macros++
	c.push()
	if definition {
		c.unsure++
	}
	first := len(m.params) - len(m.defaults)
	for i, name := range m.params {
		v := unknown(fromMacro)
		switch {
		case a != nil && i < len(a.pos):
			v = a.pos[i]
		case a != nil && a.named[name].set:
			v = a.named[name].value
		case i >= first:
			if d := c.eval(m.defaults[i-first]); !definition {
				v = d
			}
		}
		c.set(name, v)
	}
	c.set("varargs", unknown(fromMacro))
	c.set("kwargs", unknown(fromMacro))
	if a != nil {
		if len(a.pos) > len(m.params) {
			c.set("varargs", listOf(a.pos[len(m.params):]))
		}
		c.set("kwargs", a.dict())
	}
	out := c.capture(func() { c.run(m.body) })
	if definition {
		c.unsure--
	}
	c.pop()
	c.macros--
	return out
}

// asked judges that an attribute, or an item, is asked for by a name.
func (c *checker) asked(line int, base, name value, attribute bool) {
	if name.kind != textKind {
		return
	}
	switch judge(name.text) {
	case unsafety:
		c.report(Underscore, line, name.text)
	case partly:
		c.report(Computed, line, name.text)
	case private:
		if attribute && base.kind != dataKind && base.kind != dictKind || base.kind == engineKind {
			c.report(Underscore, line, name.text)
		}
	}
	if base.kind == engineKind {
		if isFunction(base.text) || isBuiltin(base.text) {
			c.report(Environment, line, base.text+"."+name.text)
		} else if isSurrounding(base.text) && isTelling(base.text, name.text) {
			c.report(Environment, line, base.text+"."+name.text)
		} else if isModule(base.text) && isModuleUse(name.text) {
			c.report(Interpreter, line, base.text+"."+name.text)
		}
	}
}

// demanded judges a name that is computed for a filter that asks for
// attributes.
func (c *checker) demanded(line int, base, name value) {
	if name.kind == intKind || name.kind == noneKind || name.kind == boolKind {
		return
	}
	v := name.str()
	for _, part := range strings.Split(v.text, ".") {
		c.asked(line, base, value{kind: textKind, text: part, taint: v.taint}, true)
	}
	if !v.known() && (v.taint != fromMacro || base.kind == engineKind) {
		c.report(Computed, line, v.text)
	}
}

func size(n float64) bool { return !math.IsNaN(n) && n >= 0 && n <= longest }
