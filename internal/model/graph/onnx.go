package graph

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/model/scan"
)

var (
	ruleONNXEscape = &scan.Rule{ID: "onnx.external.escape", Severity: scan.Harmful,
		Why:        "The loader opens the named file as weights: a path that leaves the model's folder reads any file that the process can read.",
		Mend:       "Do not load the model; have it saved again with its data beside it, under a plain name.",
		References: []string{"CVE-2022-25882", "CVE-2024-27318", "CWE-22"}}
	ruleONNXMemory = &scan.Rule{ID: "onnx.external.memory", Severity: scan.Harmful,
		Why:        "ONNX Runtime takes the offset of this location as an address in its own memory.",
		Mend:       "Do not load the model: only a running program may write this, never a file.",
		References: []string{"CWE-822"}}
	ruleONNXRange = &scan.Rule{ID: "onnx.external.range", Severity: scan.Doubtful,
		Why:        "Offset and length go into the loader's arithmetic; no exporter writes negative ones, or ones beyond any file.",
		Mend:       "Have the model saved again by a current exporter.",
		References: []string{"CWE-190"}}
	ruleONNXKey = &scan.Rule{ID: "onnx.external.key", Severity: scan.Doubtful,
		Why:        "The Python loader of ONNX sets keys of external data as attributes of an object, so a key with underscores reaches into it.",
		Mend:       "Do not load the model: exporters write location, offset, length and checksum only.",
		References: []string{"CWE-915"}}
	ruleONNXExternal = &scan.Rule{ID: "onnx.external", Severity: scan.Note,
		Why:        "Weights are in another file, which must be scanned and signed too; whether it is a link shows only where it lies.",
		Mend:       "Keep the named file in the model's manifest, and let no links stand in the folder.",
		References: []string{"CVE-2026-27489", "CVE-2026-34446", "CVE-2026-34447"}}
	ruleONNXPython = &scan.Rule{ID: "onnx.operator.python", Severity: scan.Harmful,
		Why:  "The operator calls Python, with names that the model gives.",
		Mend: "Do not load the model in a runtime that has Python operators; ask for one of standard operators."}
	ruleONNXCustom = &scan.Rule{ID: "onnx.operator.custom", Severity: scan.Doubtful,
		Why:  "The model runs only with a shared library that brings this operator, and libraries run what they like.",
		Mend: "Have the operator exported as standard ones or as a function in the model, or review the library and make an exception."}
	ruleONNXExtension = &scan.Rule{ID: "onnx.operator.extension", Severity: scan.Note,
		Why: "The model needs a published extension of the runtime.", Mend: "Install the extension from its maker only."}
	ruleONNXLibrary = &scan.Rule{ID: "onnx.library", Severity: scan.Doubtful,
		Why:  "A model has no use for the name of a shared library, except to have it loaded.",
		Mend: "Do not load the library; ask the author what the name is for."}
	ruleONNXBroken = &scan.Rule{ID: "onnx.broken", Severity: scan.Unreadable,
		Why: "Behind what cannot be parsed may stand anything.", Mend: "Have the model saved again."}
)

// ONNX is a ModelProto. It has no magic: what reads as one and holds a graph
// is taken.
func ONNX() scan.Format {
	return scan.Format{Name: "onnx", Claim: claimONNX, Scan: scanONNX, Rules: []*scan.Rule{
		ruleONNXEscape, ruleONNXMemory, ruleONNXRange, ruleONNXKey, ruleONNXExternal, ruleONNXPython, ruleONNXCustom,
		ruleONNXExtension, ruleONNXLibrary, ruleONNXBroken, ruleRemote, ruleStrings}}
}

func claimONNX(file *scan.File) bool {
	return claimWire(file, func(f field, _ []byte) bool {
		switch f.num {
		case 1:
			return f.typ == protowire.VarintType && f.val < 256
		case 7, 8, 14, 20, 25:
			return f.typ == protowire.BytesType && f.at == 0 || f.is(7, protowire.BytesType) && !f.cut
		}
		return false
	})
}

// Kept of one model.
const (
	maxOperators = 1000 // operators outside of the standard
	maxLocations = 64   // names of external files
	maxFunctions = 1 << 16
	maxDims      = 64
)

// operator names an operator.
type operator struct{ domain, name string }

func (o operator) String() string {
	if o.domain == "" {
		return o.name
	}
	return o.domain + "." + o.name
}

// onnx is the walk of one model.
type onnx struct {
	p         *scan.Place
	s         *source
	strings   embedded
	evidence  int     // nodes and tensors that could be nothing else
	broken    *broken // the first thing that could not be parsed
	opset     uint64  // of the default domain
	functions map[operator]bool
	unusual   map[operator]int64 // outside of the standard, with the first place
	locations map[string]bool
}

func scanONNX(p *scan.Place, file *scan.File) error {
	s, err := newSource(p, file)
	if err != nil {
		return err
	}
	o := &onnx{p: p, s: s, strings: embedded{s: s},
		functions: map[operator]bool{}, unusual: map[operator]int64{}, locations: map[string]bool{}}
	err = o.tolerate(s.message().each(o.model))
	if o.evidence == 0 {
		if err != nil && o.broken == nil {
			return err
		}
		return scan.ErrOther
	}
	o.judge()
	if o.broken != nil {
		p.Report(ruleONNXBroken, scan.At(o.broken.at), o.broken.what)
	}
	return s.ended(err, ruleONNXBroken)
}

// tolerate keeps the first thing that is broken, so that what follows is
// still looked at.
func (o *onnx) tolerate(err error) error {
	if b, ok := err.(*broken); ok {
		if o.broken == nil {
			o.broken = b
		}
		return nil
	}
	return err
}

// in walks a message inside.
func (o *onnx) in(m *message, f field, do func(*message, field) error) error {
	return o.tolerate(m.sub(f).each(do))
}

// model looks at a field of ModelProto.
func (o *onnx) model(m *message, f field) error {
	if f.typ != protowire.BytesType {
		return nil
	}
	switch f.num {
	case 2: // producer_name
		return o.property(m, f, "producer")
	case 4: // domain
		return o.property(m, f, "domain")
	case 7: // graph
		return o.graph(m, f, 0)
	case 8: // opset_import
		return o.opsetImport(m, f)
	case 14: // metadata_props
		return o.metadata(m, f, true)
	case 20: // training_info: initialization, algorithm
		return o.in(m, f, func(m *message, f field) error {
			if f.is(1, protowire.BytesType) || f.is(2, protowire.BytesType) {
				return o.graph(m, f, 1)
			}
			return nil
		})
	case 25: // functions
		return o.function(m, f)
	}
	return nil
}

func (o *onnx) property(m *message, f field, key string) error {
	value, err := m.text(f, maxName)
	if err == nil {
		o.p.Property(key, value)
	}
	return err
}

func (o *onnx) opsetImport(m *message, f field) error {
	var (
		domain  string
		version uint64
	)
	err := o.in(m, f, func(m *message, f field) (err error) {
		switch {
		case f.is(1, protowire.BytesType):
			domain, err = m.text(f, maxName)
		case f.is(2, protowire.VarintType):
			version = f.val
		}
		return err
	})
	if onnxDomain(domain) == domainDefault {
		o.opset, domain = max(o.opset, version), "ai.onnx"
	}
	if o.evidence < 1<<20 && version > 0 {
		o.p.Property("opset", fmt.Sprintf("%s %d", domain, version))
	}
	return err
}

// metadata looks at a StringStringEntryProto.
func (o *onnx) metadata(m *message, f field, ofModel bool) error {
	key, value, err := m.sub(f).entry()
	if err != nil || value.len() == 0 {
		return o.tolerate(err)
	}
	if ofModel {
		switch strings.ToLower(key) {
		case "license", "base_model", "author", "architecture", "model_type":
			if err := o.property(m, value, strings.ToLower(key)); err != nil {
				return err
			}
		}
	}
	return o.text(m, key, value)
}

// text looks at a string that the format gives no meaning to.
func (o *onnx) text(m *message, name string, f field) error {
	if f.len() <= 1024 {
		value, err := m.text(f, 1024)
		if err != nil {
			return err
		}
		if isLibrary(value) {
			o.p.Report(ruleONNXLibrary, scan.Op(f.off, name), fmt.Sprintf("%s is %q", name, value))
		}
	}
	return o.strings.look(name, f)
}

// function looks at a FunctionProto: a name, a domain and nodes.
func (o *onnx) function(m *message, f field) error {
	var name operator
	err := o.in(m, f, func(m *message, f field) (err error) {
		if f.typ != protowire.BytesType {
			return nil
		}
		switch f.num {
		case 1:
			name.name, err = m.text(f, maxName)
		case 10:
			name.domain, err = m.text(f, maxName)
		case 7:
			err = o.node(m, f, 1)
		case 11: // attribute_proto: attributes with defaults
			err = o.attribute(m, f, new(string), 1)
		case 14:
			err = o.metadata(m, f, false)
		}
		return err
	})
	if len(o.functions) < maxFunctions {
		o.functions[name] = true
	}
	return err
}

// judge reports the operators outside of the standard that the model does not
// define itself.
func (o *onnx) judge() {
	all := make([]operator, 0, len(o.unusual))
	for op := range o.unusual {
		all = append(all, op)
	}
	slices.SortFunc(all, func(a, b operator) int { return strings.Compare(a.String(), b.String()) })
	for _, op := range all {
		where := scan.Op(o.unusual[op], op.String())
		kind, own := onnxDomain(op.domain), o.functions[op]
		switch {
		case isPythonOperator(op.name) && (kind != domainUnknown || !own):
			o.p.Report(ruleONNXPython, where, "the operator "+op.String()+" calls Python")
		case own || kind == domainBuiltin:
		case op.domain == "ai.onnx.contrib" && !isContrib(op.name):
			o.p.Report(ruleONNXCustom, where, "the extensions of the runtime have no operator "+op.String()+": Python or a library must bring it")
		case isTRTDomain(op.domain) && !isTRTPlugin(op.name):
			o.p.Report(ruleONNXCustom, where, "TensorRT has no plug-in "+op.String()+": a library must bring it")
		case kind == domainExtension, strings.HasSuffix(op.name, "_TRT") && isTRTPlugin(op.name):
			o.p.Report(ruleONNXExtension, where, "the operator "+op.String()+" is of a published extension")
		case kind == domainDefault && o.opset > newestOpset: // an operator that this list is too old for
			o.p.Report(ruleONNXExtension, where, fmt.Sprintf("the operator %s is of operator set %d, which is newer than this scanner", op, o.opset))
		default:
			o.p.Report(ruleONNXCustom, where, "nothing defines the operator "+op.String())
		}
	}
}
