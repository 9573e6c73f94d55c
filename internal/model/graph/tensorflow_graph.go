package graph

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/model/scan"
)

// sink is a node that takes a path.
type sink struct {
	op   string
	at   int64
	from []string // the nodes that the paths come from
	use  pathUse
}

// graphDef looks at a GraphDef.
func (t *tensorflow) graphDef(m message) error {
	t.fresh()
	var sinks []sink
	err := m.each(func(m *message, f field) error {
		switch {
		case f.is(1, protowire.BytesType):
			return t.node(m, f, &sinks)
		case f.is(2, protowire.BytesType): // library
			return t.in(m, f, t.function)
		}
		return nil
	})
	t.judge()
	if _, again := t.paths(m, 1, sinks); again != nil && !isBroken(again) {
		return again
	}
	if again := t.calls(m); again != nil && !isBroken(again) {
		return again
	}
	return err
}

// function looks at a field of FunctionDefLibrary.
func (t *tensorflow) function(m *message, f field) error {
	if !f.is(1, protowire.BytesType) {
		return nil
	}
	var (
		sinks []sink
		name  string
	)
	err := t.in(m, f, func(m *message, f field) error {
		switch {
		case f.is(1, protowire.BytesType): // signature
			return t.in(m, f, func(m *message, f field) (err error) {
				if f.is(1, protowire.BytesType) {
					name, err = m.text(f, maxName)
				}
				return err
			})
		case f.is(3, protowire.BytesType): // node_def
			return t.node(m, f, &sinks)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(t.graph.functions) < maxOps {
		t.graph.functions[name] = true
	}
	given, err := t.paths(m.sub(f), 3, sinks)
	if given {
		t.graph.writers[name] = true
	}
	return t.tolerate(err)
}

// nodeDef is what is kept of a NodeDef.
type nodeDef struct {
	name, op string
	inputs   []string
	attrs    int
	foreign  bool // it has fields that nodes do not have
}

const maxInputs = 64 // of a node, that are followed

// readNode reads a NodeDef without its attributes.
func (t *tensorflow) readNode(m message, wantInputs bool) (n nodeDef, err error) {
	err = m.each(func(m *message, f field) (err error) {
		if f.typ != protowire.BytesType || f.cut && f.num <= 3 {
			return nil
		}
		switch f.num {
		case 1:
			n.name, err = m.text(f, maxName)
		case 2:
			n.op, err = m.text(f, maxName)
		case 3:
			if wantInputs && len(n.inputs) < maxInputs {
				var input string
				input, err = m.text(f, maxName)
				n.inputs = append(n.inputs, input)
			}
		case 5:
			n.attrs++
		case 4, 6, 7:
		default:
			n.foreign = true
		}
		return err
	})
	return n, err
}

// node judges a NodeDef: by its operator, never by its name.
func (t *tensorflow) node(m *message, f field, sinks *[]sink) error {
	n, err := t.readNode(m.sub(f), false)
	if err := t.tolerate(err); err != nil {
		return err
	}
	if err := m.s.spend(costNode); err != nil {
		return err
	}
	where := scan.Op(f.at, n.op)
	if rule, what := dangerous(n.op); rule != nil {
		t.evidence++
		t.report(rule, where, n.op, fmt.Sprintf("the node %q (%s) %s", n.name, n.op, what))
		return nil
	}
	if !isOperatorName(n.op) {
		return nil
	}
	if kind := t.operator(n.op); kind != operatorBuiltin {
		// a set of descriptors of protobuf has names and packages where a graph
		// has names and operators, and fields that a node does not have
		if err == nil && !n.foreign && (n.attrs > 0 || kind == operatorExtension) {
			t.evidence++
		}
		if _, known := t.graph.unknown[n.op]; !known && len(t.graph.unknown) < maxOps {
			t.graph.unknown[n.op] = f.at
		}
		return nil
	}
	if err == nil {
		t.evidence++
	}
	if use, ok := pathOperator(n.op); ok && len(*sinks) >= maxSinks {
		t.report(ruleTFHidden, where, n.op, fmt.Sprintf("more than %d operators open files", maxSinks))
	} else if ok {
		n, err := t.readNode(m.sub(f), true)
		if err := t.tolerate(err); err != nil {
			return err
		}
		*sinks = append(*sinks, sink{op: n.op, at: f.at, use: use, from: use.paths(n.inputs)})
	}
	if want := judgedAttribute(n.op); want != "" {
		return t.attributes(m, f, n, want)
	}
	return nil
}

// operator says what is known of an operator; graphs name few, many times.
func (t *tensorflow) operator(name string) operatorKind {
	kind, ok := t.kinds[name]
	if !ok {
		if len(t.kinds) >= maxKinds {
			clear(t.kinds)
		}
		kind = tensorflowOperator(name)
		t.kinds[name] = kind
	}
	return kind
}

// judgedAttribute says which attribute of an operator decides whether it is
// normal.
func judgedAttribute(op string) string {
	switch withoutVersion(op) {
	case "Const":
		return "value"
	case "Print":
		return "output_stream"
	case "ImmutableConst":
		return "memory_region_name"
	case "DebugIdentity", "DebugNanCount", "DebugNumericSummary":
		return "debug_urls"
	case "Copy", "CopyHost":
		return "debug_ops_spec"
	case "RecordInput":
		return "file_pattern"
	case "DecodeProto", "EncodeProto":
		return "descriptor_source"
	case "TRTEngineOp":
		return "serialized_segment"
	}
	return ""
}

// attributes judges one attribute of a node.
func (t *tensorflow) attributes(m *message, f field, n nodeDef, want string) error {
	return t.in(m, f, func(m *message, f field) error {
		if !f.is(5, protowire.BytesType) {
			return nil
		}
		key, value, err := m.sub(f).entry()
		if err != nil || key != want || value.len() == 0 {
			return t.tolerate(err)
		}
		return t.in(m, value, func(m *message, f field) error {
			switch {
			case f.is(8, protowire.BytesType) && n.op == "Const": // tensor
				return t.in(m, f, func(m *message, f field) error {
					if f.is(8, protowire.BytesType) { // string_val
						return t.strings.look(n.name, f)
					}
					return nil
				})
			case f.is(2, protowire.BytesType): // s
				return t.attribute(m, f, n)
			case f.is(1, protowire.BytesType): // list
				return t.in(m, f, func(m *message, f field) error {
					if f.is(2, protowire.BytesType) {
						return t.attribute(m, f, n)
					}
					return nil
				})
			}
			return nil
		})
	})
}

// attribute judges a string of the attribute that decides.
func (t *tensorflow) attribute(m *message, f field, n nodeDef) error {
	if n.op == "TRTEngineOp" { // a GraphDef
		if f.len() > 0 && f.len() <= maxEmbedded {
			b, err := m.s.peek(f.off, f.len())
			if err != nil {
				return err
			}
			return t.strings.hand(n.name, f.off, scan.Bytes(b))
		}
		return nil
	}
	value, err := m.text(f, longestPath)
	if err != nil || value == "" {
		return err
	}
	where := scan.Op(f.off, n.op)
	switch base := withoutVersion(n.op); {
	case base == "Print":
		if hasPrefixFold(strings.TrimSpace(value), "file:") {
			t.report(ruleTFPrint, where, n.op, fmt.Sprintf("the node %q prints to %q", n.name, value))
		}
	case base == "ImmutableConst":
		if !strings.HasPrefix(value, "memmapped_package://") {
			t.report(ruleTFMemory, where, n.op, fmt.Sprintf("the node %q maps %q", n.name, value))
		}
	case base == "RecordInput", base == "DecodeProto", base == "EncodeProto":
		if strings.HasPrefix(value, "local://") || strings.HasPrefix(value, "bytes://") { // descriptors that are no file's
			break
		}
		if why := outside(value); why != "" {
			t.report(ruleTFRead, where, n.op, fmt.Sprintf("the node %q reads %q: %s", n.name, value, why))
		}
	case strings.HasPrefix(base, "Copy"):
		if strings.Contains(value, "://") {
			t.report(ruleTFDebug, where, n.op, fmt.Sprintf("the node %q sends tensors to %q", n.name, value))
		}
	default:
		t.report(ruleTFDebug, where, n.op, fmt.Sprintf("the node %q sends tensors to %q", n.name, value))
	}
	return nil
}
