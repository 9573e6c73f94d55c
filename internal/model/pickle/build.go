package pickle

import (
	"regexp"
	"strings"
	"sync"

	"github.com/apexlogic/apex/internal/model/scan"
)

// Flags of keys that begin with two underscores.
const (
	keyMethod = 1 << iota // Python calls it, or it changes what the object is
	keyDict
	keyPydantic // pydantic's states have a __dict__ beside such a key
	keyComputed // a call's result
	keyTemplate // see distribution
)

// methods are the names between the underscores that Python, numpy or torch
// look up by themselves, on an object or its class, and those by which code is
// reached. Everything else of this form is a program's own data, for example
// "__networkx_cache__".
const methods = `class setstate getstate reduce reduce_ex getnewargs getnewargs_ex getinitargs new init del call prepare init_subclass set_name
instancecheck subclasscheck class_getitem mro mro_entries bases base basicsize subclasses subclasshook slots getattr getattribute setattr
delattr dir get set delete repr str unicode bytes format hash bool nonzero lt le eq ne gt ge cmp sizeof copy deepcopy replace fspath index
int long float complex oct hex round trunc floor ceil coerce neg pos abs invert length_hint getitem setitem delitem missing iter
next reversed contains getslice setslice delslice enter exit aenter aexit await aiter anext buffer release_buffer add sub mul
matmul truediv div floordiv mod divmod pow lshift rshift and xor or radd rsub rmul rmatmul rtruediv rdiv rfloordiv rmod rdivmod rpow
rlshift rrshift rand rxor ror iadd isub imul imatmul itruediv idiv ifloordiv imod ipow ilshift irshift iand ixor ior post_init
code globals builtins closure defaults kwdefaults func self wrapped import loader spec path package cached signature
text_signature isabstractmethod abstractmethods origin args parameters metaclass match_args type_params annotate
all dlpack dlpack_device dataframe dataframe_consortium_standard sklearn_tags sklearn_clone sklearn_is_fitted
getitems setitems torch_function torch_dispatch torch_unpickle tensor_flatten tensor_unflatten metadata_guard fx_create_arg cuda_array_interface
array array_interface array_struct array_priority array_finalize array_function array_ufunc array_prepare array_wrap array_namespace array_from_numpy
rich_repr rich_console get_pydantic_core_schema get_validators html html_format tf_flatten tf_unflatten jax_array`

var methodNames = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for name := range strings.FieldsSeq(methods) {
		names[name] = true
	}
	return names
})

func dunder(key string) uint8 {
	switch {
	case len(key) < 5 || !strings.HasPrefix(key, "__") || !strings.HasSuffix(key, "__"):
		return 0
	case key == "__dict__":
		return keyDict
	case strings.HasPrefix(key, "__pydantic_"), key == "__fields_set__":
		return keyPydantic
	case methodNames()[key[2:len(key)-2]] || strings.HasPrefix(key, "__array_") || strings.HasPrefix(key, "__torch_"):
		return keyMethod
	}
	return 0
}

// keys notes in an object which keys begin with two underscores or are
// computed; keys and values alternate.
func (m *machine) keys(o *object, items []value) {
	for i := 0; i+1 < len(items); i += 2 {
		if items[i].mark&markDunder != 0 {
			o.dunder |= dunder(m.short(items[i]))
		}
		if m.isTemplate(items[i]) {
			o.dunder |= keyTemplate
		}
		if m.computed(items[i]) {
			o.dunder |= keyComputed
		}
	}
}

// computed says whether a call returns the value.
func (m *machine) computed(v value) bool {
	if v.kind == isUnknown {
		return true
	}
	o := m.heap.get(v)
	return o != nil && (o.shape == aCall || o.shape == aBuffer)
}

// build runs BUILD.
func (m *machine) build() error {
	at := len(m.stack) - 2
	if at < m.fence {
		return errUnderflow
	}
	target, state := m.stack[at], m.stack[at+1]
	m.stack = m.stack[:at+1]
	if target.kind == isGlobal {
		m.acted++
		m.report(ruleModified, m.show(target, 0))
		return nil
	}
	if o := m.heap.get(target); o != nil && o.fn > 0 && m.globals[o.fn-1].listed.rule == "scriptobject" {
		m.scriptObject(state)
		return nil
	}
	flags := m.stateKeys(state, 0)
	switch {
	case flags&keyMethod != 0, flags&keyDict != 0 && flags&keyPydantic == 0:
		m.report(ruleDunder, m.show(state, 0))
	case flags&keyComputed != 0:
		m.report(ruleComputedKey, m.show(state, 0))
	}
	if flags&keyTemplate != 0 {
		m.distribution(state)
	}
	if target.kind != isObject {
		return nil
	}
	o := m.heap.get(target)
	if s := m.heap.get(state); s == nil || s.shape != aDict {
		m.distrustObject(o)
		m.distrustArguments(state, 0)
	} else if o.fn > 0 && callers[m.globals[o.fn-1].name] {
		m.distrustArguments(state, 0)
	}
	if err := m.take(2 * valueSize); err != nil {
		return err
	}
	m.states = append(m.states, state)
	o.state = uint32(len(m.states))
	if o.fn == 0 || o.shape != aCall && o.shape != aInstance {
		return nil
	}
	switch g := &m.globals[o.fn-1]; {
	case g.listed.rule == "partial":
		if function := m.item(state, 0); state.kind == isTuple && !m.harmlessCallee(function) {
			m.report(ruleGadget, g.String()+" of "+m.show(function, 0))
		}
	case g.listed.rule == "factory" || g.listed.use == useNone:
	case g.name == "NumpyArrayWrapper" && joblibModule(g.module):
		return m.joblibArray(state)
	case (g.name == "NDArrayWrapper" || g.name == "ZNDArrayWrapper") && joblibModule(g.module):
		m.joblibFile(state)
	}
	return nil
}

// callers are the classes of which objects do little but call functions that
// their state holds.
var callers = map[string]bool{"FunctionTransformer": true, "vectorize": true, "_WrappedHook": true, "DataLoader": true}

// scriptStates are the classes of torch's own library in C++ that a
// torch.ScriptObject is made of, all of which hold packed weights. Its state
// names one, and any other one that the process has registered would get data
// of the file.
var scriptStates = []string{"__torch__.torch.classes.quantized.LinearPackedParamsBase", "__torch__.torch.classes.quantized.Conv2dPackedParamsBase",
	"__torch__.torch.classes.quantized.Conv3dPackedParamsBase", "__torch__.torch.classes.quantized.EmbeddingPackedParamsBase",
	"__torch__.torch.classes.sparse.LinearPackedParamsBase", "__torch__.torch.classes.rnn.CellParamsBase"}

// scriptObject judges the state of a torch.ScriptObject: the weights and the
// name of the class.
func (m *machine) scriptObject(state value) {
	if state.kind != isTuple || state.n != 2 || !m.is(m.item(state, 1), scriptStates...) {
		m.report(ruleArguments, "torch.ScriptObject with the state "+m.show(state, 0))
	}
}

const costState scan.Cost = 40

// stateKeys returns the flags of the keys that BUILD will set: of a dict, of
// the two dicts of a tuple, of a dict that a call makes from its arguments.
func (m *machine) stateKeys(state value, depth int) (flags uint8) {
	const deepest, most = 4, 64
	switch {
	case depth > deepest || m.place.Spend(costState) != nil:
	case state.kind == isTuple && (state.n == 2 || depth > 0):
		for i := range min(int(state.n), most) {
			item := m.item(state, i)
			if depth > 0 && item.mark&markDunder != 0 {
				flags |= dunder(m.short(item))
			}
			if depth > 0 && m.isTemplate(item) {
				flags |= keyTemplate
			}
			if depth > 1 && i == 0 && m.computed(item) {
				flags |= keyComputed
			}
			flags |= m.stateKeys(item, depth+1)
		}
	case state.kind == isObject:
		o := m.heap.get(state)
		flags = o.dunder
		if o.shape == aCall && o.args.kind == isTuple {
			flags |= m.stateKeys(value{kind: isTuple, n: o.args.n, off: o.args.off}, depth+1)
		}
		if o.shape == aList && depth > 0 {
			for _, item := range m.of(state)[:min(most, len(m.of(state)))] {
				flags |= m.stateKeys(item, depth+1)
			}
		}
	}
	return flags
}

// argumentParser is what scipy.stats runs with exec when a distribution gets
// its state (_distn_infrastructure.py, parse_arg_template).
var argumentParser = sync.OnceValue(func() *regexp.Regexp {
	const names = `[A-Za-z0-9_, .=]*`
	return regexp.MustCompile(`^\s*def _parse_args\(self, ` + names + `\):\s+return \(` + names + `\), ` + names +
		`\s+def _parse_args_rvs\(self, ` + names + `\):\s+return self\._argcheck_rvs\(` + names + `\)` +
		`\s+def _parse_args_stats\(self, ` + names + `moments='mvs?k?'\):\s+return \(` + names + `\), ` + names + `\s*$`)
})

const templateKey = "_parse_arg_template"

func (m *machine) isTemplate(v value) bool {
	return (v.kind == isOwned || v.isString() && v.n == uint32(len(templateKey))) && m.is(v, templateKey)
}

// distribution judges the code that the state of a distribution of scipy.stats
// carries. Whatever class gets it, no other data has this name.
func (m *machine) distribution(state value) {
	template, _ := m.field(state, templateKey)
	text, err := m.text(template)
	if err != nil || !template.isString() || template.kind != isOwned && template.n >= keptText || !argumentParser().MatchString(text) {
		m.report(ruleExec, m.show(template, 0))
	}
}
