package pickle

// madeBy says whether a value is what a function of an argument rule returned.
func (m *machine) madeBy(v value, rule string) bool {
	o := m.heap.get(v)
	return o != nil && o.shape == aCall && o.fn > 0 && m.globals[o.fn-1].listed.rule == rule
}

// iterator judges iter, reversed, enumerate, zip, itertools.count and
// itertools.repeat: how Python writes iterators. They run nothing over data. An
// object of a class would be asked for an iterator of its own, and iter with two
// arguments calls the first one.
func (m *machine) iterator(c call) (value, error) {
	if c.args.kind != isTuple || c.args.n > mostOf || c.args.n > 1 && m.globals[c.fn].name == "iter" {
		return m.gadget(c)
	}
	for _, arg := range m.of(c.args) {
		switch o := m.heap.get(arg); {
		case arg.kind == isGlobal && m.globals[c.fn].name != "repeat", arg.kind == isUnknown, arg.kind == isPersistent:
			return m.gadget(c)
		case o != nil && (o.shape == aInstance || o.shape == aCall) && !m.plainSequence(o):
			return m.gadget(c)
		}
	}
	return value{}, nil
}

// plainSequence says whether an object is an iterator that was judged, or of a
// builtin type.
func (m *machine) plainSequence(o *object) bool {
	if o.fn == 0 {
		return false
	}
	g := &m.globals[o.fn-1]
	return g.listed.rule == "iterate" || g.listed.rule == "encode" || g.module == "builtins" && g.listed.use == useValue
}

// consumed reports a call that gets an iterator, but for those that only wrap
// it: one without an end keeps the loader for ever.
func (m *machine) consumed(c call) {
	g := &m.globals[c.fn]
	if !m.iterates || c.args.kind != isTuple || g.listed.rule == "iterate" || g.listed.use == useNone {
		return
	}
	for _, arg := range m.of(c.args) {
		if m.madeBy(arg, "iterate") {
			m.report(ruleArguments, g.String()+m.arguments(c.args))
			return
		}
	}
}

// subscript judges operator.getitem and types.GenericAlias: how Python writes
// list[int] and typing.Optional[str]. Names of types are imported; text would be
// compiled.
func (m *machine) subscript(c call) (value, error) {
	of, imported := m.importOf(m.item(c.args, 0))
	if c.args.kind != isTuple || c.args.n != 2 || !imported || of.listed.use == useNone || of.module != "typing" && of.module != "builtins" && of.module != "collections.abc" {
		return m.gadget(c)
	}
	if !m.typeArguments(m.item(c.args, 1), 0) {
		return m.gadget(c)
	}
	return value{}, nil
}

func (m *machine) typeArguments(v value, depth int) bool {
	const deepest = 3
	switch {
	case v.kind == isNone:
		return true
	case v.kind == isGlobal:
		g := &m.globals[v.off]
		return g.listed.use == useClass || g.listed.use == useValue || g.listed.use == useData
	case m.madeBy(v, "subscript"):
		return true
	case depth < deepest && (v.kind == isTuple && v.n <= mostOf || m.heap.get(v) != nil && m.heap.get(v).shape == aList):
		for _, item := range m.of(v) {
			if !m.typeArguments(item, depth+1) {
				return false
			}
		}
		return true
	}
	return false
}
