package pickle

// Protocols 2 and 3 have no opcode for an object that is made with named
// arguments. They write functools.partial(getattr(class, "__new__"), class, …)
// and call that (Lib/pickle.py, save_reduce).

// constructor returns the __new__ of a listed class, which makes objects as
// copyreg.__newobj__ does. No import of it by name is trusted.
func (m *machine) constructor(of *global) value {
	g := global{module: of.module, name: of.name + ".__new__", listed: listed{use: useFunc, rule: "newobj", tier: of.listed.tier}}
	m.globals = append(m.globals, g)
	return value{kind: isGlobal, off: int64(len(m.globals) - 1)}
}

// construct makes the object if o is a partial of a constructor with its class.
func (m *machine) construct(o *object, args value) (made value, ok bool, err error) {
	if o == nil || o.shape != aCall || o.fn == 0 || m.globals[o.fn-1].listed.rule != "partial" || o.state == 0 || args.kind != isTuple || args.n != 0 {
		return value{}, false, nil
	}
	state := m.states[o.state-1] // function, arguments, named arguments, attributes
	function, arguments, named := m.item(state, 0), m.item(state, 1), m.item(state, 2)
	g, imported := m.importOf(function)
	if state.n < 3 || !imported || g.listed.rule != "newobj" || arguments.kind != isTuple || arguments.n == 0 || arguments.n > mostOf {
		return value{}, false, nil
	}
	class, passed := m.of(arguments)[0], append(m.of(arguments)[1:], m.of(named)...)
	all, err := m.tuple(passed)
	if err != nil {
		return value{}, false, err
	}
	made, err = m.judgeMade(class, all)
	return made, true, err
}
