package pickle

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// dillTypes are names that dill._dill._load_type takes and that are data,
// beside those of the builtins: the names of the module types, and its own.
var dillTypes = map[string]string{"NoneType": "types NoneType", "EllipsisType": "types NoneType", "NotImplementedType": "types NoneType",
	"BooleanType": "builtins bool", "BytesType": "builtins bytes", "ComplexType": "builtins complex", "DictType": "builtins dict",
	"FloatType": "builtins float", "IntType": "builtins int", "ListType": "builtins list", "LongType": "builtins int",
	"ObjectType": "builtins object", "RangeType": "builtins range", "SetType": "builtins set", "FrozenSetType": "builtins frozenset",
	"SliceType": "builtins slice", "StringType": "builtins bytes", "StrType": "builtins str", "TupleType": "builtins tuple",
	"UnicodeType": "builtins str", "ByteArrayType": "builtins bytearray",
	"PartialType": "functools partial", "MappingProxyType": "types MappingProxyType", "ItemGetterType": "operator itemgetter", "AttrGetterType": "operator attrgetter"}

// dillType judges dill._dill._load_type(name): a builtin type that is on the
// list is what the name says. Others (CodeType, FunctionType, type) are not.
func (m *machine) dillType(c call) (value, error) {
	name := m.short(m.item(c.args, 0))
	if c.args.n != 1 || !m.item(c.args, 0).isString() {
		return m.gadget(c)
	}
	if to, found := dillTypes[name]; found {
		module, name, _ := strings.Cut(to, " ")
		return m.imported(module, name), nil
	}
	if entry := m.list.allow["builtins "+name]; entry.use == useValue || entry.rule == "iterate" {
		return m.imported("builtins", name), nil
	}
	return m.gadget(c)
}

// rangeText is what repr makes of a range and of two constants.
var rangeText = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(range\(-?[0-9]{1,20}, -?[0-9]{1,20}(, -?[0-9]{1,20})?\)|Ellipsis|NotImplemented)$`)
})

// dillRange judges dill._dill._eval_repr(text), which evaluates the text: dill
// writes ranges and two constants so.
func (m *machine) dillRange(c call) (value, error) {
	if text := m.item(c.args, 0); c.args.n != 1 || !text.isString() || !rangeText().MatchString(m.short(text)) {
		return m.gadget(c)
	}
	return value{}, nil
}

// evaluates says whether functions of an argument rule evaluate text. They are
// trusted only where the stream calls them itself, and hands them to nobody.
func evaluates(rule string) bool { return rule == "dillrange" || rule == "dillgetattr" }

// fetched counts how often a name came to the stack.
func (m *machine) fetched(v value) {
	if v.kind == isGlobal {
		m.globals[v.off].fetched++
	}
}

// dillAttribute judges dill._dill._getattr(type, name, text), which evaluates
// what stands between the quotes of the text: dill writes methods of builtin
// types so.
func (m *machine) dillAttribute(c call) (value, error) {
	of, imported := m.importOf(m.item(c.args, 0))
	name := m.short(m.item(c.args, 1))
	if c.args.n != 3 || !imported || of.module != "builtins" || !valueTypes[of.name] || !importable(name) || strings.ContainsAny(name, "._") ||
		!m.is(m.item(c.args, 2), fmt.Sprintf("<method '%s' of '%s' objects>", name, of.name)) {
		return m.gadget(c)
	}
	return m.doubtAs(ruleAttribute, c)
}

// typesName judges cloudpickle's getattr of the module types.
func (m *machine) typesName(c call) (value, error) {
	name := m.short(m.item(c.args, 0))
	if c.args.n != 1 || m.list.allow["types "+name].use == useNone {
		return m.gadget(c)
	}
	return m.imported("types", name), nil
}
