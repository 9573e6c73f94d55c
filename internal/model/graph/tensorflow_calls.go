package graph

import "google.golang.org/protobuf/encoding/protowire"

// maxCallDepth is through how many functions a path is followed: savers are
// called by the graph itself.
const maxCallDepth = 4

// calls judges what is given to functions that write files: in every
// SavedModel there is one, to which whoever saves gives the name. The graph and
// its functions are read again until no further function is known to pass a
// name on.
func (t *tensorflow) calls(m message) error {
	for range maxCallDepth {
		known := len(t.graph.writers)
		if known == 0 {
			return nil
		}
		if _, err := t.callsIn(m, 1); err != nil {
			return err
		}
		err := m.each(func(m *message, f field) error {
			if !f.is(2, protowire.BytesType) { // library
				return nil
			}
			return m.sub(f).each(func(m *message, f field) error {
				if !f.is(1, protowire.BytesType) {
					return nil
				}
				given, err := t.callsIn(m.sub(f), 3)
				if err != nil || !given {
					return err
				}
				name, err := t.functionName(m, f)
				t.graph.writers[name] = true
				return err
			})
		})
		if err != nil || len(t.graph.writers) == known {
			return err
		}
	}
	return nil
}

func (t *tensorflow) functionName(m *message, f field) (name string, err error) {
	err = m.sub(f).each(func(m *message, f field) error {
		if !f.is(1, protowire.BytesType) { // signature
			return nil
		}
		return m.sub(f).each(func(m *message, f field) (err error) {
			if f.is(1, protowire.BytesType) {
				name, err = m.text(f, maxName)
			}
			return err
		})
	})
	return name, err
}

// callsIn judges the calls among the nodes of a graph or function.
func (t *tensorflow) callsIn(m message, nodes protowire.Number) (given bool, err error) {
	var sinks []sink
	err = m.each(func(m *message, f field) error {
		if !f.is(nodes, protowire.BytesType) || len(sinks) >= maxSinks {
			return nil
		}
		n, err := t.readNode(m.sub(f), false)
		if err != nil {
			return err
		}
		writes := t.graph.writers[n.op]
		if !writes && callsFunction(n.op) {
			if writes, err = t.callsWriter(m, f); err != nil {
				return err
			}
		}
		if writes {
			if n, err = t.readNode(m.sub(f), true); err != nil {
				return err
			}
			sinks = append(sinks, sink{op: n.op, at: f.at, from: n.inputs, use: pathUse{writes: true}})
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	return t.paths(m, nodes, sinks)
}

// callsFunction knows the operators that call the functions in their attributes.
func callsFunction(op string) bool {
	switch withoutVersion(op) {
	case "PartitionedCall", "StatefulPartitionedCall", "RemoteCall", "TPUPartitionedCall", "BatchFunction", "SymbolicGradient", "XlaLaunch",
		"If", "StatelessIf", "While", "StatelessWhile", "Case", "StatelessCase", "For", "MapDefun":
		return true
	}
	return false
}

// callsWriter says whether an attribute of a node is a function that writes.
func (t *tensorflow) callsWriter(m *message, f field) (writes bool, err error) {
	look := func(m *message, f field) error { // NameAttrList
		return m.sub(f).each(func(m *message, f field) error {
			if !f.is(1, protowire.BytesType) {
				return nil
			}
			name, err := m.text(f, maxName)
			writes = writes || t.graph.writers[name]
			return err
		})
	}
	err = m.sub(f).each(func(m *message, f field) error {
		if !f.is(5, protowire.BytesType) {
			return nil
		}
		_, value, err := m.sub(f).entry()
		if err != nil || value.len() == 0 {
			return err
		}
		return m.sub(value).each(func(m *message, f field) error {
			switch {
			case f.is(10, protowire.BytesType): // func
				return look(m, f)
			case f.is(1, protowire.BytesType): // list
				return m.sub(f).each(func(m *message, f field) error {
					if f.is(9, protowire.BytesType) {
						return look(m, f)
					}
					return nil
				})
			}
			return nil
		})
	})
	return writes, err
}
