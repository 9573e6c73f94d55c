package pickle

import (
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// argumentRule returns the rule that a list names: it judges what a listed
// function is called with. A result of kind isUnknown stands for an ordinary
// one. nil: there is no such rule.
func argumentRule(name string) func(*machine, call) (value, error) {
	switch name {
	case "tensor":
		return (*machine).rebuiltTensor
	case "fromtype": // _rebuild_from_type_v2(func, type, args, state)
		return func(m *machine, c call) (value, error) { return m.applied(c, 0, 2) }
	case "apply": // f(f, args, …)
		return func(m *machine, c call) (value, error) { return m.applied(c, 0, 1) }
	case "carrier":
		return (*machine).loadsBytes
	case "bytesio", "pyx":
		return (*machine).anyArguments
	case "ctor":
		return (*machine).randomState
	case "ufunc":
		return (*machine).ufunc
	case "factory":
		return (*machine).withFactory
	case "encode":
		return (*machine).encoded
	case "reconstructor":
		return (*machine).reconstructed
	case "newobj", "newobjex":
		return (*machine).copyregNew
	case "newclass":
		return (*machine).newIndex
	case "typeof":
		return (*machine).typeOf
	case "getattr":
		return (*machine).attribute
	case "attrgetter":
		return (*machine).attributeGetter
	case "partial":
		return (*machine).partialOf
	case "regex", "text":
		return (*machine).constants
	case "dilltype":
		return (*machine).dillType
	case "dillrange":
		return (*machine).dillRange
	case "dillgetattr":
		return (*machine).dillAttribute
	case "typesname":
		return (*machine).typesName
	case "tzfile":
		return (*machine).zoneFile
	case "iterate":
		return (*machine).iterator
	case "subscript":
		return (*machine).subscript
	case "flags":
		return (*machine).flags
	case "scriptobject":
		return (*machine).doubt
	}
	return nil
}

func (m *machine) anyArguments(call) (value, error) { return value{}, nil }

func (m *machine) doubt(c call) (value, error) { return m.doubtAs(ruleArguments, c) }

func (m *machine) gadget(c call) (value, error) { return m.doubtAs(ruleGadget, c) }

func (m *machine) doubtAs(rule *scan.Rule, c call) (value, error) {
	m.report(rule, m.globals[c.fn].String()+m.arguments(c.args))
	return value{}, nil
}

// importOf returns the global that a value is.
func (m *machine) importOf(v value) (*global, bool) {
	if v.kind != isGlobal {
		return nil, false
	}
	return &m.globals[v.off], true
}

// applied judges a function that calls one of its arguments with another.
func (m *machine) applied(c call, fn, args int) (value, error) {
	callee := m.item(c.args, fn)
	if callee.kind != isGlobal {
		return m.gadget(c)
	}
	return m.judgeCall(call{fn: int(callee.off), args: m.item(c.args, args)})
}

// randomState judges numpy.random._pickle's constructors, which call what they
// are given.
func (m *machine) randomState(c call) (value, error) {
	if c.args.kind != isTuple || c.args.n > mostOf {
		return m.gadget(c)
	}
	for _, arg := range m.of(c.args) {
		g, imported := m.importOf(arg)
		if imported && g.module != "numpy.random" && !strings.HasPrefix(g.module, "numpy.random.") {
			return m.gadget(c)
		}
	}
	return value{}, nil
}

// ufunc judges numpy's import of a universal function by module and name.
func (m *machine) ufunc(c call) (value, error) {
	module, name := m.item(c.args, 0), m.item(c.args, 1)
	if !module.isString() || !name.isString() {
		return m.gadget(c)
	}
	switch from := m.short(module); from {
	case "numpy", "numpy.core._multiarray_umath", "numpy._core._multiarray_umath", "numpy.core.umath", "numpy._core.umath", "scipy.special._ufuncs":
		if importable(m.short(name)) && !strings.Contains(m.short(name), ".") && !strings.HasPrefix(m.short(name), "_") {
			return value{}, nil
		}
	}
	return m.gadget(c)
}

// harmlessCallee says whether a value may be called later, with what the file
// does not choose.
func (m *machine) harmlessCallee(v value) bool {
	if g, imported := m.importOf(v); imported {
		switch g.listed.rule {
		case "carrier", "getattr", "apply", "dilltype", "dillrange", "dillgetattr", "typesname":
			return false
		}
		return g.listed.use != useNone || g.main
	}
	o := m.heap.get(v)
	return o != nil && o.fn > 0 && m.globals[o.fn-1].listed.rule == "partial"
}

// withFactory judges collections.defaultdict(factory).
func (m *machine) withFactory(c call) (value, error) {
	if factory := m.item(c.args, 0); c.args.n > 0 && factory.kind != isNone && !m.harmlessCallee(factory) {
		return m.doubt(c)
	}
	return value{}, nil
}

func (m *machine) partialOf(c call) (value, error) {
	if !m.harmlessCallee(m.item(c.args, 0)) {
		return m.gadget(c)
	}
	return value{}, nil
}

// zoneFile judges dateutil's tzfile(file, name): without a file it opens none,
// and keeps the name.
func (m *machine) zoneFile(c call) (value, error) {
	if c.args.kind != isTuple || c.args.n != 2 || m.item(c.args, 0).kind != isNone || !m.item(c.args, 1).isString() && m.item(c.args, 1).kind != isNone {
		return m.gadget(c)
	}
	return value{}, nil
}

// encoded judges _codecs.encode: how protocols 0 to 2 write bytes.
func (m *machine) encoded(c call) (value, error) {
	text, encoding := m.item(c.args, 0), m.item(c.args, 1)
	if text.isString() && (c.args.n == 1 || m.is(encoding, "latin1", "latin-1", "utf-8", "utf8", "ascii", "iso-8859-1")) {
		return value{}, nil
	}
	return m.doubt(c)
}

// plainBases are what copyreg._reconstructor may build on: their __init__ is
// called with the state.
var plainBases = map[string]bool{"object": true, "tuple": true, "list": true, "dict": true, "set": true, "frozenset": true,
	"int": true, "float": true, "complex": true, "str": true, "bytes": true, "bytearray": true}

// reconstructed judges copyreg._reconstructor(class, base, state).
func (m *machine) reconstructed(c call) (value, error) {
	base, imported := m.importOf(m.item(c.args, 1))
	if c.args.n != 3 || !imported || (base.module != "builtins" || !plainBases[base.name]) && base.listed.use != useClass && base.listed.use != useValue {
		return m.gadget(c)
	}
	if class := m.item(c.args, 0); class.kind == isGlobal && base.module != "builtins" {
		m.distrust(int(class.off))
	}
	return m.judgeMade(m.item(c.args, 0), value{kind: isTuple})
}

// copyregNew judges copyreg.__newobj__(class, *args) and its like.
func (m *machine) copyregNew(c call) (value, error) {
	if c.args.kind != isTuple || c.args.n == 0 {
		return m.gadget(c)
	}
	rest := c.args
	rest.n--
	rest.off++
	return m.judgeMade(m.item(c.args, 0), rest)
}

// newIndex judges pandas' _new_Index(class, attributes), which makes an object
// of the class.
func (m *machine) newIndex(c call) (value, error) {
	g, imported := m.importOf(m.item(c.args, 0))
	if !imported || g.listed.tier != "pandas" {
		return m.gadget(c)
	}
	return value{}, nil
}

// typeOf judges builtins.type: with one argument it tells the type of None and
// the like, with three it makes a class.
func (m *machine) typeOf(c call) (value, error) {
	if c.args.n == 1 {
		switch arg := m.item(c.args, 0); arg.kind {
		case isNone:
			return m.imported("types", "NoneType"), nil
		case isGlobal:
			if g := m.globals[arg.off]; g.module == "builtins" && (g.name == "Ellipsis" || g.name == "NotImplemented") {
				return m.imported("types", "NoneType"), nil
			}
		}
	}
	return m.gadget(c)
}

// attribute judges builtins.getattr: it is how bound class methods and members
// of enumerations are pickled; the pair must be listed as a dotted name.
func (m *machine) attribute(c call) (value, error) {
	of, name := m.item(c.args, 0), m.item(c.args, 1)
	g, imported := m.importOf(of)
	if o := m.heap.get(of); !imported && o != nil && o.shape == aInstance && o.fn > 0 {
		g = &m.globals[o.fn-1]
		imported = g.listed.use == useClass || g.listed.use == useValue
	}
	if !imported || !name.isString() || c.args.n < 2 {
		return m.gadget(c)
	}
	attribute := m.short(name)
	if attribute == "__new__" && of.kind == isGlobal && c.args.n == 2 && (g.listed.use == useClass || g.listed.use == useValue) {
		return m.constructor(g), nil
	}
	if g.listed.use == useEnum && importable(attribute) && !strings.HasPrefix(attribute, "_") && strings.ToUpper(attribute) == attribute {
		return value{}, nil
	}
	dotted := g.name + "." + attribute
	if _, found := m.list.allow[g.module+" "+dotted]; found {
		return m.imported(g.module, dotted), nil
	}
	if c.args.n == 2 && m.hasMethods(of, g) && m.plainAttribute(g, attribute) {
		return m.doubtAs(ruleAttribute, c)
	}
	return m.gadget(c)
}

// valueTypes are the builtin types whose methods only compute.
var valueTypes = map[string]bool{"str": true, "bytes": true, "bytearray": true, "list": true, "dict": true, "tuple": true,
	"set": true, "frozenset": true, "int": true, "float": true}

// hasMethods says whether Python writes methods of a value as getattr of it
// below protocol 4: of a class on the list, or of an instance of one.
func (m *machine) hasMethods(of value, g *global) bool {
	switch {
	case g.module == "builtins":
		return of.kind == isGlobal && valueTypes[g.name]
	case g.listed.use == useClass, g.listed.use == useValue:
		return true
	}
	return false
}

// plainAttribute says whether a name is one that a class has by itself. What
// getattr returns is not called here: that would be pickle.call.computed.
func (m *machine) plainAttribute(g *global, name string) bool {
	bare := strings.TrimLeft(name, "_")
	if !importable(name) || strings.Contains(name, ".") || strings.Contains(name, "__") || m.list.denies(g.module, g.name+"."+name) != nil {
		return false
	}
	return g.module == "builtins" || !m.list.stdlib[bare] && m.list.deny[bare] == nil
}

// attributeGetter judges operator.attrgetter: honest with names of data.
func (m *machine) attributeGetter(c call) (value, error) {
	if c.args.kind != isTuple || c.args.n > mostOf {
		return m.gadget(c)
	}
	private := c.args.n == 0
	for _, arg := range m.of(c.args) {
		name := m.short(arg)
		if !arg.isString() || !importable(name) || strings.Contains(name, "__") || strings.Contains(name, ".") {
			return m.gadget(c)
		}
		private = private || strings.HasPrefix(name, "_")
	}
	if private {
		return m.doubt(c)
	}
	return m.doubtAs(ruleAttribute, c)
}

// constants wants constants.
func (m *machine) constants(c call) (value, error) {
	if c.args.kind != isTuple || c.args.n > mostOf {
		return m.doubt(c)
	}
	for _, arg := range m.of(c.args) {
		switch arg.kind {
		case isText, isOwned, isBytes, isInt, isNone, isBool, isNumber:
		default:
			if !m.isMember(arg) && !m.madeBy(arg, "encode") {
				return m.doubt(c)
			}
		}
	}
	return value{}, nil
}

// isMember says whether a value is a member of a listed enumeration, or
// several of them in one.
func (m *machine) isMember(v value) bool {
	o := m.heap.get(v)
	if o == nil || o.shape != aCall || o.fn == 0 {
		return false
	}
	switch g := &m.globals[o.fn-1]; {
	case g.listed.use == useEnum, g.listed.rule == "flags":
		return true
	case g.listed.rule == "getattr": // of what else is reported there
		enum, imported := m.importOf(m.item(o.args, 0))
		return imported && enum.listed.use == useEnum
	}
	return false
}

// flags judges operator.or_: how Python 3.11 writes several members of an
// enumeration of flags.
func (m *machine) flags(c call) (value, error) {
	if c.args.kind != isTuple || c.args.n != 2 || !m.isMember(m.item(c.args, 0)) || !m.isMember(m.item(c.args, 1)) {
		return m.gadget(c)
	}
	return value{}, nil
}

// loadsBytes judges torch.storage._load_from_bytes: torch.load of what is
// looked into here.
func (m *machine) loadsBytes(c call) (value, error) {
	if err := m.take(200); err != nil {
		return value{}, err
	}
	if err := m.place.Spend(costCarried); err != nil {
		return value{}, err
	}
	where, what := scan.Op(m.opAt, opNames[m.op]), m.globals[c.fn].String()
	m.later = append(m.later, func() {
		file, off, ok := m.bytesOf(m.item(c.args, 0))
		switch {
		case m.place.Spend(0) != nil: // whoever reads on finds out
		case !ok || c.args.n != 1:
			m.place.Report(ruleHidden, where, what+m.arguments(c.args))
		case !m.place.Inside("", off, file) && m.place.Spend(0) == nil:
			m.place.Report(ruleCarrier, where, fmt.Sprintf("%s of %d bytes", what, file.Size()))
		}
		m.decoded()
	})
	return value{}, nil
}
