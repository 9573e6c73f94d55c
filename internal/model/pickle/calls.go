package pickle

import (
	"encoding/binary"
	"fmt"

	"github.com/apexlogic/apex/internal/model/scan"
)

// call is a call that a stream makes.
type call struct {
	fn   int // index in globals
	args value
	made bool // by NEWOBJ: __new__ only
}

// reduce runs REDUCE.
func (m *machine) reduce() error {
	at := len(m.stack) - 2
	if at < m.fence {
		return errUnderflow
	}
	callee, args := m.stack[at], m.stack[at+1]
	m.stack = m.stack[:at]
	switch args.kind {
	case isNone, isBool, isInt, isNumber, isGlobal:
		return broken("what it calls with is no tuple")
	}
	return m.called(callee, args)
}

// called judges a call and pushes its result.
func (m *machine) called(callee, args value) error {
	switch callee.kind {
	case isGlobal:
		m.globals[callee.off].called++
		result, err := m.judgeCall(call{fn: int(callee.off), args: args})
		if err != nil {
			return err
		}
		return m.push(result)
	case isObject, isUnknown, isPersistent:
		if made, ok, err := m.construct(m.heap.get(callee), args); err != nil {
			return err
		} else if ok {
			return m.push(made)
		}
		m.distrustObject(m.heap.get(callee))
		m.distrustArguments(args, 0)
		if o := m.heap.get(callee); o != nil && o.shape != aCall && o.shape != aInstance && o.shape != aBuffer {
			return broken("what it calls cannot be called")
		}
		m.report(ruleCallee, m.show(callee, 0)+m.arguments(args))
		return m.result(0, args)
	}
	return broken("what it calls cannot be called")
}

// result pushes the outcome of a call of a global (its index plus one, 0 for
// none).
func (m *machine) result(fn int, args value) error {
	v, err := m.heap.object(object{shape: aCall, fn: uint32(fn), args: args})
	if err != nil {
		return err
	}
	return m.push(v)
}

func (m *machine) arguments(args value) string {
	if args.kind == isTuple {
		return m.show(args, 0)
	}
	return "(*" + m.show(args, 0) + ")"
}

// judgeCall returns the result of a call of a global.
func (m *machine) judgeCall(c call) (value, error) {
	g := &m.globals[c.fn]
	if !g.odd {
		m.acted++
	}
	m.distrust(c.fn)
	switch g.listed.rule {
	case "fromtype": // the type is only given to a tensor; whose function makes it is judged below
		m.distrustArguments(m.item(c.args, 0), 0)
		m.distrustArguments(m.item(c.args, 2), 0)
	case "reconstructor", "newobj": // judged as NEWOBJ
	default:
		m.distrustArguments(c.args, 0)
	}
	m.consumed(c)
	if rule := argumentRule(g.listed.rule); rule != nil {
		if result, err := rule(m, c); err != nil || result.kind != isUnknown {
			return result, err
		}
		return m.heap.object(object{shape: aCall, fn: uint32(c.fn + 1), args: c.args})
	}
	what := func() string { return g.String() + m.arguments(c.args) }
	switch g.listed.use {
	case useFunc, useValue:
	case useClass:
		if (c.args.kind != isTuple || c.args.n > 0) && !constructible[g.listed.tier] {
			m.reportAs(ruleArguments, g.String(), what)
		}
	case useEnum:
		if c.args.kind != isTuple || c.args.n != 1 {
			m.reportAs(ruleArguments, g.String(), what)
		}
	case useData:
		m.reportAs(ruleCall, g.String(), what)
	default:
		if g.script {
			break
		}
		var references []string
		if g.denied != nil {
			references = g.denied.references
		}
		m.reportAs(ruleCall, g.String(), what, references...)
		m.carried(c.args)
	}
	return m.heap.object(object{shape: aCall, fn: uint32(c.fn + 1), args: c.args})
}

// constructible are the tiers of which __init__ only keeps its arguments, so
// that a call is as good as NEWOBJ.
var constructible = map[string]bool{"sklearn": true, "scipy": true, "pandas": true}

// carried looks into bytes among the arguments of a call that is reported
// already, so that what they hold has its name in the report too.
func (m *machine) carried(args value) {
	const most = 16 // the call is harmful already
	items := m.of(args)
	for _, arg := range items[:min(most, len(items))] {
		if len(m.later) >= most || !arg.isString() && arg.kind != isObject {
			continue
		}
		m.later = append(m.later, func() {
			if file, off, ok := m.bytesOf(arg); ok && file.Size() > 1 {
				m.place.Inside("", off, file)
			}
			m.decoded()
		})
	}
}

// newObject runs NEWOBJ and NEWOBJ_EX.
func (m *machine) newObject() error {
	n := 2
	if m.op == opNewObjEx {
		n = 3
	}
	at := len(m.stack) - n
	if at < m.fence {
		return errUnderflow
	}
	class, args := m.stack[at], m.stack[at+1]
	m.stack = m.stack[:at]
	return m.made(class, args)
}

// made judges an object that is made by a class's __new__, and pushes it.
func (m *machine) made(class, args value) error {
	v, err := m.judgeMade(class, args)
	if err != nil {
		return err
	}
	return m.push(v)
}

func (m *machine) judgeMade(class, args value) (value, error) {
	switch class.kind {
	case isGlobal:
	case isObject, isUnknown, isPersistent:
		m.report(ruleCallee, m.show(class, 0)+".__new__"+m.arguments(args))
		return m.heap.object(object{shape: aInstance, args: args})
	default:
		return value{}, broken("what it makes an object of is no class")
	}
	m.distrustArguments(args, 0)
	fn := int(class.off)
	g := &m.globals[fn]
	what := func() string { return g.String() + ".__new__" + m.arguments(args) }
	switch g.listed.use {
	case useFunc:
		return m.judgeCall(call{fn: fn, args: args, made: true})
	case useData:
		m.reportAs(ruleGadget, g.String(), what)
	case useNone:
		if g.library && (!g.class() || m.op == opNewObjEx || m.op == opInst || m.op == opObj || !m.plainArguments(args)) {
			m.distrust(fn)
		}
		switch {
		case g.main, g.script:
		case g.library:
			m.reportAs(ruleLibraryMade, g.String(), what)
		default:
			m.reportAs(ruleUnlistedMade, g.String(), what)
		}
	}
	if !g.odd {
		m.acted++
	}
	return m.heap.object(object{shape: aInstance, fn: uint32(fn + 1), args: args})
}

// instantiate runs INST and OBJ: a class without arguments is not called, but
// what is no class is.
func (m *machine) instantiate() error {
	var class value
	if m.op == opInst {
		module, name, err := m.importLines()
		if err != nil {
			return err
		}
		class = m.imported(module, name)
	}
	items, err := m.popMark()
	if err != nil {
		return err
	}
	if m.op == opObj {
		if len(items) == 0 {
			return errUnderflow
		}
		class, items = items[0], items[1:]
	}
	args, err := m.tuple(items)
	if err != nil {
		return err
	}
	if len(items) > 0 || class.kind != isGlobal {
		return m.called(class, args)
	}
	g := &m.globals[class.off]
	switch {
	case g.listed.use == useClass || g.listed.use == useValue || g.listed.use == useEnum || g.main && g.class() || g.script,
		g.listed.use == useNone && g.denied == nil && g.class() && !m.list.stdlib[root(g.module)]:
		if m.op == opInst { // two lines of text look like it
			before := m.acted
			err = m.made(class, args)
			m.acted = before
			m.bare++
			return err
		}
		return m.made(class, args)
	case m.op == opInst:
		before := m.acted
		err = m.called(class, args)
		m.acted = before
		m.bare++
		return err
	}
	return m.called(class, args)
}

// extension runs EXT1, EXT2 and EXT4.
func (m *machine) extension() error {
	size := map[byte]int{opExt1: 1, opExt2: 2, opExt4: 4}[m.op]
	if !m.in.need(size) {
		return m.in.err
	}
	code := little(append(append([]byte(nil), m.in.buf[m.in.pos:m.in.pos+size]...), 0))
	if size == 4 {
		code = int64(int32(binary.LittleEndian.Uint32(m.in.buf[m.in.pos:])))
	}
	m.in.pos += size
	if code <= 0 {
		return broken("an extension's code is not positive")
	}
	m.report(ruleExtension, fmt.Sprintf("extension %d", code))
	return m.push(value{kind: isUnknown})
}

// persistent runs PERSID and BINPERSID. PyTorch's ids are tuples: a storage,
// or a class with its source; torch.package's may hold a call.
func (m *machine) persistent() error {
	if m.op == opPersID {
		off, n, whole := m.in.line(m.op)
		if !whole {
			return m.in.err
		}
		b, err := m.in.text(off, n)
		if err != nil {
			return err
		}
		if m.opAt == 0 && m.start == 0 && !persistentText(b) {
			m.foreign = true
		}
		if !digits(string(b)) {
			m.report(rulePersistent, fmt.Sprintf("%q", b))
		}
		return m.push(value{kind: isPersistent})
	}
	id, err := m.pop()
	if err != nil {
		return err
	}
	if id.kind == isTuple && id.n > 0 {
		switch first := m.item(id, 0); {
		case m.is(first, "storage") && id.n >= 5:
			if class := m.item(id, 1); class.kind == isGlobal && m.globals[class.off].listed.use == useClass {
				v := value{kind: isPersistent, n: id.n, off: id.off}
				if m.storages != nil {
					if err := m.take(120); err != nil {
						return err
					}
					key, s, _ := m.storage(v)
					m.storages[key] = s
				}
				return m.push(v)
			}
		case m.is(first, "module") && id.n >= 2 && m.item(id, 1).kind == isGlobal:
			m.report(ruleSource, m.show(m.item(id, 1), 0))
			return m.push(m.item(id, 1))
		case first.kind == isGlobal:
			m.report(ruleSource, m.show(first, 0))
			return m.push(first)
		case m.is(first, "reduce_package"):
			m.acted++
			m.report(ruleGadget, "torch.package calls "+m.show(m.item(id, 2), 0))
			return m.push(value{kind: isPersistent})
		}
	}
	if id.kind == isInt || id.isString() && digits(m.short(id)) {
		return m.push(value{kind: isPersistent})
	}
	m.report(rulePersistent, m.show(id, 0))
	return m.push(value{kind: isPersistent})
}

// persistentText says whether a line can be a persistent id: a zip file begins
// like one, and each unpickler that is not made for ids stops at it.
func persistentText(b []byte) bool {
	if len(b) >= 3 && b[0] == 'K' && b[1] < ' ' && b[2] < ' ' { // "PK" and a version
		return false
	}
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\r' || c >= 0x7f {
			return false
		}
	}
	return true
}

// short returns a short text's content.
func (m *machine) short(v value) string {
	if v.kind != isOwned && v.n > 100 {
		return ""
	}
	s, _ := m.text(v)
	return s
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// extend runs APPEND, APPENDS, ADDITEMS, SETITEM and SETITEMS.
func (m *machine) extend() error {
	var items []value
	switch n := map[byte]int{opAppend: 1, opSetItem: 2}[m.op]; n {
	case 0:
		var err error
		if items, err = m.popMark(); err != nil {
			return err
		}
	default:
		at := len(m.stack) - n
		if at < m.fence {
			return errUnderflow
		}
		items = m.stack[at:]
		m.stack = m.stack[:at]
	}
	if len(m.stack) <= m.fence {
		return errUnderflow
	}
	keyed := m.op == opSetItem || m.op == opSetItems
	if keyed && len(items)%2 != 0 {
		return broken("a dict gets a key without a value")
	}
	switch target := m.stack[len(m.stack)-1]; target.kind {
	case isGlobal:
		m.acted++
		m.report(ruleModified, m.show(target, 0))
	case isPersistent:
		if keyed {
			m.report(ruleMemory, m.show(target, 0))
		}
	case isObject:
		o := m.heap.get(target)
		m.distrustObject(o)
		if keyed {
			m.keys(o, items)
			if o.shape == aCall && o.fn > 0 && m.globals[o.fn-1].listed.rule == "tensor" {
				m.report(ruleMemory, m.show(target, 0))
			}
		}
		return m.add(o, items)
	}
	return nil
}

// spendText pays for bytes that are looked at.
func (m *machine) spendText(n int64) error {
	if n < 16 {
		return nil // the opcode has paid
	}
	return m.place.Spend(scan.Cost(n) * 2 * scan.CostRead)
}
