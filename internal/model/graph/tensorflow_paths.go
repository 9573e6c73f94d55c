package graph

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/model/scan"
)

// maker is a node that makes or passes on strings.
type maker struct {
	op     string
	values []string // of a constant
	opaque bool     // of a constant that is packed in another way
	inputs []string
}

// What is followed to find out what a path is.
const (
	maxSteps  = 1024 // nodes
	maxValues = 16   // constants of one tensor, and as many that lead outside
	makerSize = 400  // bytes that one node takes in memory, about
)

var errSources = errors.New("too many nodes")

// passes says how an operator makes a string of its inputs.
func passes(op string) (how string, ok bool) {
	switch withoutVersion(op) {
	case "Const":
		return "const", true
	case "Identity", "PlaceholderWithDefault", "ShardedFilename", "Reshape", "ExpandDims", "Squeeze", "StopGradient", "Enter",
		"Switch", "Snapshot", "EnsureShape", "StridedSlice", "Slice", "Gather", "Tile", "GuaranteeConst", "RefEnter", "RefIdentity", "RefSwitch":
		return "first", true
	case "StringJoin", "ReduceJoin":
		return "join", true
	case "Select", "Pack", "Concat", "Merge", "IdentityN", "Fill", "Where":
		return "any", true
	case "DecodeBase64", "EncodeBase64", "DecodeCompressed", "DecodeRaw", "Substr", "StringLower", "StringUpper", "StringStrip", "RegexReplace",
		"StaticRegexReplace", "UnicodeEncode", "UnicodeTranscode", "AsString", "StringFormat", "Bitcast", "Reverse", "StringSplit":
		return "hide", true
	}
	return "", false
}

// paths finds out what the paths of sinks are, and judges them. The graph's
// nodes are read again for it, which only graphs with sinks pay for. given says
// that a path to write to depends on what the caller gives.
func (t *tensorflow) paths(m message, nodes protowire.Number, sinks []sink) (given bool, err error) {
	if len(sinks) == 0 {
		return false, nil
	}
	makers := map[string]*maker{}
	release, err := t.p.Hold(1 << 20)
	if err != nil {
		return false, err
	}
	defer func() { release() }()
	room := (1 << 20) / makerSize
	err = m.each(func(m *message, f field) error {
		if !f.is(nodes, protowire.BytesType) {
			return nil
		}
		n, err := t.readNode(m.sub(f), true)
		if err != nil {
			return t.tolerate(err)
		}
		how, ok := passes(n.op)
		if !ok {
			return nil
		}
		k := &maker{op: how, inputs: n.inputs}
		if how == "const" {
			isString, err := t.constant(m, f, k)
			if err != nil || !isString {
				return err
			}
		}
		if len(makers) == room { // twice as many
			again, err := t.p.Hold(int64(2*room) * makerSize)
			if err != nil {
				return err
			}
			release()
			release, room = again, 2*room
		}
		if makers[n.name] = k; len(makers) > maxSources {
			return errSources
		}
		return nil
	})
	switch {
	case errors.Is(err, errSources):
		t.report(ruleStrings, scan.At(m.at), "", "more nodes pass on strings than are followed")
		err = nil
	case err != nil && !isBroken(err):
		return false, err
	}
	for i := range sinks {
		given = t.judgePaths(makers, &sinks[i]) || given
	}
	return given, err
}

// constant reads the strings of a Const node.
func (t *tensorflow) constant(m *message, f field, k *maker) (isString bool, err error) {
	err = t.in(m, f, func(m *message, f field) error {
		if !f.is(5, protowire.BytesType) {
			return nil
		}
		key, value, err := m.sub(f).entry()
		if err != nil || key != "value" || value.len() == 0 {
			return t.tolerate(err)
		}
		return t.in(m, value, func(m *message, f field) error {
			if !f.is(8, protowire.BytesType) { // tensor
				return nil
			}
			return t.in(m, f, func(m *message, f field) error {
				switch {
				case f.is(1, protowire.VarintType):
					isString = f.val == 7 // DT_STRING
				case f.is(4, protowire.BytesType):
					k.opaque = f.len() > 0
				case f.is(8, protowire.BytesType) && len(k.values) < 2*maxValues:
					s, err := m.text(f, longestPath)
					if len(k.values) < maxValues || outside(s) != "" {
						k.values = append(k.values, s)
					}
					return err
				}
				return nil
			})
		})
	})
	return isString, err
}

// answer is what is known of a string in the graph.
type answer struct {
	values []string // that it can be, or begin with
	given  bool     // it depends on what the caller gives
	hidden bool     // it is made of constants, by more than joining
}

// judgePaths follows the paths that a sink takes to where they come from, and
// says whether one that it writes to is given by the caller.
func (t *tensorflow) judgePaths(makers map[string]*maker, s *sink) (given bool) {
	for _, from := range s.from {
		if from == "" {
			continue
		}
		steps := maxSteps
		a := follow(makers, from, &steps)
		given = given || a.given && s.use.writes
		where := scan.Op(s.at, s.op)
		for _, value := range a.values {
			why := outside(value)
			switch {
			case why == "":
			case s.use.writes:
				t.report(ruleTFWrite, where, s.op, fmt.Sprintf("%s writes %q: %s", s.op, value, why))
			default:
				t.report(ruleTFRead, where, s.op, fmt.Sprintf("%s reads %q: %s", s.op, value, why))
			}
		}
		if a.hidden && !a.given {
			t.report(ruleTFHidden, where, s.op, s.op+" opens a file whose name the graph computes from constants")
		}
	}
	return given
}

// nodeOf cuts the output off an input: "node:output:0", "^node".
func nodeOf(input string) string {
	input, _, _ = strings.Cut(strings.TrimPrefix(input, "^"), ":")
	return input
}

// follow finds what an input can be. What it cannot follow counts as given: it
// is an argument, a placeholder or made of what they are.
func follow(makers map[string]*maker, input string, steps *int) answer {
	k := makers[nodeOf(input)]
	if k == nil {
		return answer{given: true}
	}
	if *steps--; *steps < 0 {
		return answer{hidden: true} // no saver passes its name on this often
	}
	switch k.op {
	case "const":
		return answer{values: k.values, hidden: k.opaque && len(k.values) == 0}
	case "first":
		if len(k.inputs) > 0 {
			return follow(makers, k.inputs[0], steps)
		}
		return answer{given: true}
	case "join":
		return followJoin(makers, k, steps)
	}
	all := answer{}
	for _, input := range k.inputs {
		if strings.HasPrefix(input, "^") {
			continue
		}
		a := follow(makers, input, steps)
		all.given = all.given || a.given
		all.hidden = all.hidden || a.hidden
		for _, value := range a.values {
			if len(all.values) < maxValues || outside(value) != "" && len(all.values) < 2*maxValues {
				all.values = append(all.values, value)
			}
		}
	}
	if k.op == "hide" {
		return answer{given: all.given, hidden: true}
	}
	return all
}

// followJoin puts strings together. A part that is not known stands as a
// character that no path is judged by.
func followJoin(makers map[string]*maker, k *maker, steps *int) answer {
	var (
		joined strings.Builder
		all    answer
	)
	for _, input := range k.inputs {
		if strings.HasPrefix(input, "^") {
			continue
		}
		a := follow(makers, input, steps)
		all.given, all.hidden = all.given || a.given, all.hidden || a.hidden
		if len(a.values) == 0 || a.given && a.values == nil {
			joined.WriteByte('?')
			continue
		}
		for _, value := range a.values {
			if joined.Len() < 2*longestPath {
				joined.WriteString(value)
			}
		}
	}
	all.values = []string{joined.String()}
	return all
}
