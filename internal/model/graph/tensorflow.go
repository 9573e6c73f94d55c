package graph

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/model/scan"
)

var (
	ruleTFAsset = &scan.Rule{ID: "tensorflow.asset.escape", Severity: scan.Harmful,
		Why:        "The loader opens assets by their names in the model's folder: a name that leaves it opens any file.",
		Mend:       "Do not load the model; have it saved again with its assets beside it.",
		References: []string{"CWE-22"}}
	ruleTFBroken = &scan.Rule{ID: "tensorflow.broken", Severity: scan.Unreadable,
		Why: "Behind what cannot be parsed may stand anything.", Mend: "Have the model saved again."}
)

func tensorflowOpRules() []*scan.Rule {
	return []*scan.Rule{ruleTFFile, ruleTFPython, ruleTFDebug, ruleTFPrint, ruleTFMemory, ruleTFInput, ruleTFWrite, ruleTFRead, ruleTFHidden, ruleTFCustom, ruleTFExtension}
}

// TensorFlow is a SavedModel, a MetaGraphDef, a GraphDef, or the Keras metadata
// that stands beside a SavedModel. None has a magic: the file is read as each of
// them, because the loader chooses, and it counts as those that it holds
// operators of.
func TensorFlow() scan.Format {
	return scan.Format{Name: "tensorflow", Claim: claimTensorFlow, Scan: scanTensorFlow,
		Rules: append(tensorflowOpRules(), ruleTFAsset, ruleTFBroken, ruleRemote, ruleStrings)}
}

func claimTensorFlow(file *scan.File) bool {
	return claimWire(file, func(f field, content []byte) bool {
		switch {
		case f.typ != protowire.BytesType || f.num > 7 || len(content) == 0:
			return false
		case f.cut && f.num > 2:
			return false
		}
		// Every field up to 7 of the three messages is a message itself, or a
		// map entry. What none of them has, groups too, may stand first in it.
		_, typ, n := protowire.ConsumeTag(content)
		return n > 0 && typ != protowire.EndGroupType
	})
}

// Kept of one graph.
const (
	maxSinks   = 1000    // operators that take a path
	maxSources = 1 << 17 // operators that make strings
	maxSame    = 20      // findings of one rule for one operator
	maxKinds   = 2048    // operators that are remembered
	maxOps     = 1 << 15 // functions, and unknown operators
)

// tensorflow is the walk of one file.
type tensorflow struct {
	p        *scan.Place
	s        *source
	strings  embedded
	evidence int
	broken   *broken
	same     map[string]int
	base     int64 // of the walk in the file, for a node in a TensorFlow Lite model
	graph    graphNames
	kinds    map[string]operatorKind
}

// graphNames are the names in the GraphDef that is walked.
type graphNames struct {
	functions map[string]bool
	writers   map[string]bool  // functions that write a file that their caller names
	unknown   map[string]int64 // operators, with their first place
}

func (t *tensorflow) fresh() {
	t.graph = graphNames{functions: map[string]bool{}, writers: map[string]bool{}, unknown: map[string]int64{}}
}

func scanTensorFlow(p *scan.Place, file *scan.File) error {
	s, err := newSource(p, file)
	if err != nil {
		return err
	}
	t := &tensorflow{p: p, s: s, strings: embedded{s: s}, same: map[string]int{}, kinds: map[string]operatorKind{}}
	var (
		taken  bool
		first  *broken
		failed error
	)
	for _, walk := range [...]func(message) error{t.kerasMetadata, t.graphDef, t.metaGraph, t.savedModel} {
		t.evidence, t.broken = 0, nil
		err := t.tolerate(walk(s.message()))
		if failed == nil {
			failed = err
		}
		if t.evidence > 0 {
			taken = true
			if first == nil {
				first = t.broken
			}
		}
	}
	switch {
	case !taken && (failed == nil || errors.Is(failed, errDear)):
		return scan.ErrOther
	case first != nil:
		p.Report(ruleTFBroken, scan.At(first.at), first.what)
	}
	return s.ended(failed, ruleTFBroken)
}

func (t *tensorflow) tolerate(err error) error {
	if b, ok := err.(*broken); ok {
		if t.broken == nil {
			t.broken = b
		}
		return nil
	}
	return err
}

// in walks a message inside.
func (t *tensorflow) in(m *message, f field, do func(*message, field) error) error {
	return t.tolerate(m.sub(f).each(do))
}

func (t *tensorflow) savedModel(m message) error {
	return m.each(func(m *message, f field) error {
		if f.is(2, protowire.BytesType) { // meta_graphs
			return t.tolerate(t.metaGraph(m.sub(f)))
		}
		return nil
	})
}

func (t *tensorflow) metaGraph(m message) error {
	var objects []field // looked at once it is certain that this is a MetaGraphDef
	err := m.each(func(m *message, f field) error {
		if f.typ != protowire.BytesType {
			return nil
		}
		switch f.num {
		case 1: // meta_info_def
			return t.metaInfo(m, f)
		case 2: // graph_def
			return t.tolerate(t.graphDef(m.sub(f)))
		case 4: // collection_def
			return t.collection(m, f)
		case 6: // asset_file_def
			return t.asset(m, f)
		case 7: // object_graph_def
			if len(objects) < maxSame {
				objects = append(objects, f)
			}
		}
		return nil
	})
	for _, f := range objects {
		if t.evidence == 0 || err != nil && !isBroken(err) {
			break
		}
		if again := t.in(&m, f, t.savedObject); again != nil {
			return again
		}
	}
	return err
}

func (t *tensorflow) metaInfo(m *message, f field) error {
	return t.in(m, f, func(m *message, f field) error {
		if !f.is(4, protowire.BytesType) && !f.is(5, protowire.BytesType) { // tags, tensorflow_version
			return nil
		}
		value, err := m.text(f, maxName)
		if err == nil && f.num == 5 && looksLikeVersion(value) {
			t.evidence++
			t.p.Property("framework", "tensorflow "+value)
		}
		return err
	})
}

func (t *tensorflow) asset(m *message, f field) error {
	return t.in(m, f, func(m *message, f field) error {
		if !f.is(2, protowire.BytesType) {
			return nil
		}
		name, err := m.text(f, longestPath)
		if why := outside(name); err == nil && why != "" {
			t.evidence++
			t.p.Report(ruleTFAsset, scan.Op(f.off, "asset_file_def"), fmt.Sprintf("an asset is %q: %s", name, why))
		}
		return err
	})
}

// collection looks at the byte strings of a CollectionDef.
func (t *tensorflow) collection(m *message, f field) error {
	key, value, err := m.sub(f).entry()
	if err != nil || value.len() == 0 {
		return t.tolerate(err)
	}
	return t.in(m, value, func(m *message, f field) error {
		if !f.is(1, protowire.BytesType) && !f.is(2, protowire.BytesType) { // node_list, bytes_list
			return nil
		}
		return t.in(m, f, func(m *message, f field) error {
			if f.is(1, protowire.BytesType) {
				return t.strings.look(key, f)
			}
			return nil
		})
	})
}

// savedObject looks at a field of SavedObjectGraph: objects of Keras carry
// their configuration, as Keras metadata does.
func (t *tensorflow) savedObject(m *message, f field) error {
	if !f.is(1, protowire.BytesType) { // nodes
		return nil
	}
	return t.in(m, f, func(m *message, f field) error {
		if !f.is(4, protowire.BytesType) { // user_object
			return nil
		}
		return t.in(m, f, func(m *message, f field) error {
			if f.is(3, protowire.BytesType) { // metadata
				return t.strings.look("object_graph_def", f)
			}
			return nil
		})
	})
}

// kerasMetadata looks at a SavedMetadata (keras/protobuf/saved_metadata.proto):
// the configuration of each layer as JSON, which is looked at as such.
func (t *tensorflow) kerasMetadata(m message) error {
	return m.each(func(m *message, f field) error {
		if !f.is(1, protowire.BytesType) { // nodes
			return nil
		}
		var path string
		return t.in(m, f, func(m *message, f field) (err error) {
			switch {
			case f.is(3, protowire.BytesType): // node_path
				path, err = m.text(f, maxName)
			case f.is(4, protowire.BytesType): // identifier
				var identifier string
				if identifier, err = m.text(f, maxName); strings.HasPrefix(identifier, "_tf_keras_") {
					if t.evidence++; t.evidence == 1 {
						t.p.As("keras-metadata")
					}
				}
			case f.is(5, protowire.BytesType): // metadata
				err = t.strings.look(path, f)
			}
			return err
		})
	})
}

// judge reports the operators that neither TensorFlow nor the graph defines.
func (t *tensorflow) judge() {
	if t.evidence == 0 {
		return
	}
	names := make([]string, 0, len(t.graph.unknown))
	for name := range t.graph.unknown {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		where := scan.Op(t.graph.unknown[name], name)
		switch {
		case t.graph.functions[name]:
		case tensorflowOperator(name) == operatorExtension:
			t.report(ruleTFExtension, where, name, "the operator "+name+" is of a published extension")
		default:
			t.report(ruleTFCustom, where, name, "nothing defines the operator "+name)
		}
	}
}

// looksLikeVersion knows a version of TensorFlow: "2.15.0".
func looksLikeVersion(s string) bool {
	major, rest, ok := strings.Cut(s, ".")
	return ok && len(major) == 1 && major[0] >= '0' && major[0] <= '9' && len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9'
}

// report keeps the findings of one rule for one operator from filling a report.
func (t *tensorflow) report(rule *scan.Rule, where scan.Where, op, detail string) {
	key := rule.ID + " " + op
	if t.same[key]++; t.same[key] <= maxSame {
		where.Offset += t.base
		t.p.Report(rule, where, detail)
	}
}
