package access

import (
	"math"
	"time"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// term is a part of a condition that has a value: a number (a Long, or a
// datetime or duration in milliseconds; the type checker keeps them apart), a
// string, or strings. With ok false Cedar has to say: it overflows, or it is
// not there.
type term[T any] func(a *asking) (value T, ok bool)

func constant[T any](v T) term[T] { return func(*asking) (T, bool) { return v, true } }

// number recognises numbers, and what is calculated with them.
func (s *Set) number(n ast.IsNode) term[int64] {
	switch n := n.(type) {
	case ast.NodeValue:
		if v, ok := n.Value.(types.Long); ok {
			return constant(int64(v))
		}
	case ast.NodeTypeAccess:
		if f, ok := s.field(n); ok && (f.typ == Long || f.typ == Time) {
			return f.number
		}
	case ast.NodeTypeAdd:
		return s.calculate(n.BinaryNode, func(a, b int64) (int64, bool) { return a + b, (a+b > a) == (b > 0) })
	case ast.NodeTypeSub:
		return s.calculate(n.BinaryNode, func(a, b int64) (int64, bool) { return a - b, (a-b < a) == (b > 0) })
	case ast.NodeTypeMult:
		return s.calculate(n.BinaryNode, func(a, b int64) (int64, bool) {
			small := func(v int64) bool { return v >= math.MinInt32 && v <= math.MaxInt32 }
			return a * b, small(a) && small(b) || b == 0 || a*b/b == a && !(a == math.MinInt64 && b == -1)
		})
	case ast.NodeTypeNegate:
		if of := s.number(n.Arg); of != nil {
			return func(a *asking) (int64, bool) {
				v, ok := of(a)
				return -v, ok && v != math.MinInt64
			}
		}
	case ast.NodeTypeIfThenElse:
		condition, then, other := s.quick(n.If), s.number(n.Then), s.number(n.Else)
		if condition == nil || then == nil || other == nil {
			return nil
		}
		return func(a *asking) (int64, bool) {
			switch holds, ok := condition(a); {
			case !ok:
				return 0, false
			case holds:
				return then(a)
			}
			return other(a)
		}
	case ast.NodeTypeExtensionCall:
		return s.moment(n)
	}
	return nil
}

func (s *Set) calculate(b ast.BinaryNode, with func(a, b int64) (int64, bool)) term[int64] {
	left, right := s.number(b.Left), s.number(b.Right)
	if left == nil || right == nil {
		return nil
	}
	return func(a *asking) (int64, bool) {
		l, ok := left(a)
		if !ok {
			return 0, false
		}
		r, ok := right(a)
		if !ok {
			return 0, false
		}
		return with(l, r)
	}
}

// moment recognises datetime("…"), duration("…"), and the date and the time of
// day of a time.
func (s *Set) moment(n ast.NodeTypeExtensionCall) term[int64] {
	if written, ok := literalCall(n, "datetime"); ok {
		if d, err := types.ParseDatetime(written); err == nil {
			return constant(d.Time().UnixMilli())
		}
	}
	if written, ok := literalCall(n, "duration"); ok {
		if d, err := types.ParseDuration(written); err == nil {
			return constant(d.ToMilliseconds())
		}
	}
	if n.Name != "toTime" && n.Name != "toDate" || len(n.Args) != 1 {
		return nil
	}
	of := s.number(n.Args[0])
	if of == nil {
		return nil
	}
	const day = int64(24 * time.Hour / time.Millisecond)
	return func(a *asking) (int64, bool) {
		v, ok := of(a)
		if n.Name == "toTime" {
			return v % day, ok && v >= 0
		}
		return v - v%day, ok && v >= 0
	}
}

// textual recognises a string: an attribute, one that is part of an id, a label
// that was asked for before, or a literal.
func (s *Set) textual(n ast.IsNode) term[string] {
	if v, ok := n.(ast.NodeValue); ok {
		if written, ok := v.Value.(types.String); ok {
			return constant(string(written))
		}
		return nil
	}
	if tag, ok := n.(ast.NodeTypeGetTag); ok {
		return s.label(tag.BinaryNode)
	}
	access, ok := n.(ast.NodeTypeAccess)
	if !ok {
		return nil
	}
	if f, ok := s.field(access); ok {
		if f.typ != String {
			return nil
		}
		return func(a *asking) (string, bool) {
			v, there := f.of(a)
			value, ok := v.(string)
			return value, there && ok
		}
	}
	of, name, _ := asked(access)
	if of != "principal" && of != "resource" {
		return nil
	}
	return func(a *asking) (string, bool) {
		entity := a.request.Principal
		if of == "resource" {
			entity = a.request.Resource
		}
		if entity.Type == Nobody {
			return "", false
		}
		v, ok := derive(entity, types.String(name))
		value, _ := v.(types.String)
		return string(value), ok
	}
}

// label recognises getTag("…") of the principal or of the resource.
func (s *Set) label(b ast.BinaryNode) term[string] {
	variable, _ := b.Left.(ast.NodeTypeVariable)
	literal, _ := b.Right.(ast.NodeValue)
	name, ok := literal.Value.(types.String)
	if !ok || variable.Name != "principal" && variable.Name != "resource" {
		return nil
	}
	return func(a *asking) (string, bool) {
		var given map[string]any
		switch q := a.request; {
		case variable.Name == "principal" && q.Principal.Type != Nobody:
			given = q.Attributes
		case variable.Name == "resource" && q.Resource.Type == Model:
			given = q.Properties
		}
		// Labels that hold anything else are an error, which Cedar's path finds.
		all, ok := given["labels"].(map[string]string)
		if !ok || len(all) > mostValues {
			return "", false
		}
		v, there := all[string(name)]
		return v, there
	}
}

// hasLabel recognises hasTag("…").
func (s *Set) hasLabel(b ast.BinaryNode) quick {
	label := s.label(b)
	if label == nil {
		return nil
	}
	return func(a *asking) (bool, bool) {
		_, there := label(a)
		return there, there // whether it is not there, or what is there is wrong, Cedar says
	}
}

// containsSome asks whether an attribute holds any, or all, of fixed strings.
func (s *Set) containsSome(b ast.BinaryNode, every bool) quick {
	f, ok := s.field(b.Left)
	want, fixed := listOf[types.String](b.Right)
	if !ok || !fixed || f.typ != Strings {
		return nil
	}
	return func(a *asking) (bool, bool) {
		v, there := f.of(a)
		got, ok := v.([]string)
		if !there || !ok || len(got) > mostValues {
			return false, false
		}
		for w := range want {
			holds := false
			for _, g := range got {
				if g == string(w) {
					holds = true
					break
				}
			}
			if holds != every {
				return holds, true
			}
		}
		return every, true
	}
}
