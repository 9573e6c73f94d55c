package access

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// quick is a condition in the forms that policies are written in: it is
// evaluated on the request as it is, without building entities for Cedar, some
// 16 allocations whose share of collecting garbage is what decisions waited for
// longest. It has no errors of its own: with ok false (a number overflows, an
// attribute is missing or of another type) Cedar has to say.
type quick func(a *asking) (holds, ok bool)

// quickOf returns the conditions of a policy in that form; nil when there is
// one that has none.
func (s *Set) quickOf(p *ast.Policy) quick {
	if !isAll(p.Principal) || !isAll(p.Resource) {
		return nil
	}
	all := make([]quick, len(p.Conditions))
	for i, c := range p.Conditions {
		if all[i] = s.quick(c.Body); all[i] == nil {
			return nil
		}
		if c.Condition == ast.ConditionUnless {
			all[i] = not(all[i])
		}
	}
	if len(all) == 1 {
		return all[0]
	}
	return func(a *asking) (bool, bool) {
		for _, q := range all {
			if holds, ok := q(a); !holds || !ok {
				return false, ok
			}
		}
		return true, true
	}
}

func not(q quick) quick {
	return func(a *asking) (bool, bool) {
		holds, ok := q(a)
		return !holds, ok
	}
}

func (s *Set) quick(n ast.IsNode) quick {
	switch n := n.(type) {
	case ast.NodeTypeAnd:
		return s.either(n.BinaryNode, false)
	case ast.NodeTypeOr:
		return s.either(n.BinaryNode, true)
	case ast.NodeTypeNot:
		if q := s.quick(n.Arg); q != nil {
			return not(q)
		}
	case ast.NodeTypeAccess:
		if f, ok := s.field(n); ok && f.typ == Bool {
			return func(a *asking) (bool, bool) {
				v, there := f.of(a)
				b, ok := v.(bool)
				return b, there && ok
			}
		}
	case ast.NodeTypeHas:
		if f, ok := s.field(n); ok && f.when == optional {
			return f.has
		}
	case ast.NodeTypeLessThan:
		return s.order(n.BinaryNode, func(c int) bool { return c < 0 })
	case ast.NodeTypeLessThanOrEqual:
		return s.order(n.BinaryNode, func(c int) bool { return c <= 0 })
	case ast.NodeTypeGreaterThan:
		return s.order(n.BinaryNode, func(c int) bool { return c > 0 })
	case ast.NodeTypeGreaterThanOrEqual:
		return s.order(n.BinaryNode, func(c int) bool { return c >= 0 })
	case ast.NodeTypeEquals:
		return s.equal(n.BinaryNode)
	case ast.NodeTypeNotEquals:
		if q := s.equal(n.BinaryNode); q != nil {
			return not(q)
		}
	case ast.NodeTypeContains:
		return s.contains(n.BinaryNode)
	case ast.NodeTypeContainsAny:
		return s.containsSome(n.BinaryNode, false)
	case ast.NodeTypeContainsAll:
		return s.containsSome(n.BinaryNode, true)
	case ast.NodeTypeHasTag:
		return s.hasLabel(n.BinaryNode)
	case ast.NodeTypeLike:
		if of := s.textual(n.Arg); of != nil {
			return func(a *asking) (bool, bool) {
				v, ok := of(a)
				return ok && n.Value.Match(types.String(v)), ok
			}
		}
	case ast.NodeTypeIfThenElse:
		condition, then, other := s.quick(n.If), s.quick(n.Then), s.quick(n.Else)
		if condition == nil || then == nil || other == nil {
			return nil
		}
		return func(a *asking) (bool, bool) {
			switch holds, ok := condition(a); {
			case !ok:
				return false, false
			case holds:
				return then(a)
			}
			return other(a)
		}
	case ast.NodeTypeIs:
		return ofType(n)
	case ast.NodeTypeIn:
		return among(n.BinaryNode)
	case ast.NodeTypeExtensionCall:
		return s.inRange(n)
	}
	return nil
}

// either is a || b when decisive is true, and a && b when it is false. As in
// Cedar, the right side is not looked at when the left one decides.
func (s *Set) either(b ast.BinaryNode, decisive bool) quick {
	left, right := s.quick(b.Left), s.quick(b.Right)
	if left == nil || right == nil {
		return nil
	}
	return func(a *asking) (bool, bool) {
		if holds, ok := left(a); !ok || holds == decisive {
			return holds, ok
		}
		return right(a)
	}
}

// field is an attribute of the request, of its principal or of its resource.
type field struct {
	attribute
	variable string
}

// field recognises VARIABLE.NAME and VARIABLE has NAME. What is derived from
// an id is left to Cedar.
func (s *Set) field(n ast.IsNode) (field, bool) {
	of, name, ok := asked(n)
	table := about
	switch of {
	case "principal":
		table = s.who
	case "resource":
		table = s.what
	}
	i := slices.IndexFunc(table, func(a attribute) bool { return string(a.name) == name })
	if !ok || i < 0 || table[i].when == derived {
		return field{}, false
	}
	return field{table[i], of}, true
}

// of returns the attribute as it was given, or its zero value.
func (f *field) of(a *asking) (any, bool) {
	var given map[string]any
	switch q := a.request; {
	case f.variable == "context":
		given = q.Context
	case f.variable == "principal" && q.Principal.Type != Nobody:
		given = q.Attributes
	case f.variable == "resource" && q.Resource.Type == Model:
		given = q.Properties
	}
	v, there := given[string(f.name)]
	if there || f.when != zeroed {
		return v, there
	}
	switch f.typ {
	case Long:
		return int64(0), true
	case Bool:
		return false, true
	}
	return []string(nil), true
}

// has says whether an optional attribute is there. One of another type is none
// of a principal's, and of others an error, which Cedar gets to see.
func (f *field) has(a *asking) (bool, bool) {
	v, there := f.of(a)
	if !there {
		return false, true
	}
	fits := f.fits(v)
	return fits, fits || f.variable == "principal"
}

func (f *field) fits(v any) bool {
	switch v := v.(type) {
	case string:
		return f.typ == String
	case bool:
		return f.typ == Bool
	case int64, int:
		return f.typ == Long
	case []string:
		return f.typ == Strings && len(v) <= mostValues
	case time.Time:
		return f.typ == Time && !v.IsZero()
	case netip.Addr:
		return f.typ == Address && v.IsValid()
	}
	return false
}

// number returns a Long, or a time in milliseconds.
func (f *field) number(a *asking) (int64, bool) {
	v, there := f.of(a)
	if !there || !f.fits(v) {
		return 0, false
	}
	switch v := v.(type) {
	case int64:
		return v, true
	case int:
		return int64(v), true
	case time.Time:
		return v.UnixMilli(), true
	}
	return 0, false
}

// order compares two numbers.
func (s *Set) order(b ast.BinaryNode, holds func(int) bool) quick {
	left, right := s.number(b.Left), s.number(b.Right)
	if left == nil || right == nil {
		return nil
	}
	return func(a *asking) (bool, bool) {
		l, ok := left(a)
		if !ok {
			return false, false
		}
		r, ok := right(a)
		return holds(cmp.Compare(l, r)), ok
	}
}

// literalCall recognises NAME("literal").
func literalCall(n ast.IsNode, name types.Path) (string, bool) {
	call, ok := n.(ast.NodeTypeExtensionCall)
	if !ok || call.Name != name || len(call.Args) != 1 {
		return "", false
	}
	v, ok := call.Args[0].(ast.NodeValue)
	if !ok {
		return "", false
	}
	written, ok := v.Value.(types.String)
	return string(written), ok
}

// equal compares two numbers, or two strings.
func (s *Set) equal(b ast.BinaryNode) quick {
	if q := s.order(b, func(c int) bool { return c == 0 }); q != nil {
		return q
	}
	left, right := s.textual(b.Left), s.textual(b.Right)
	if left == nil || right == nil {
		return nil
	}
	return func(a *asking) (bool, bool) {
		l, ok := left(a)
		if !ok {
			return false, false
		}
		r, ok := right(a)
		return l == r, ok
	}
}

// contains asks whether an attribute holds a string, or a fixed list the resource.
func (s *Set) contains(b ast.BinaryNode) quick {
	if f, ok := s.field(b.Left); ok && f.typ == Strings {
		v, _ := b.Right.(ast.NodeValue)
		want, ok := v.Value.(types.String)
		if !ok {
			return nil
		}
		return func(a *asking) (bool, bool) {
			v, there := f.of(a)
			got, ok := v.([]string)
			return slices.Contains(got, string(want)), there && ok && len(got) <= mostValues
		}
	}
	variable, _ := b.Right.(ast.NodeTypeVariable)
	all, ok := entitiesOf(b.Left)
	if !ok || variable.Name != "resource" {
		return nil
	}
	return func(a *asking) (bool, bool) {
		_, there := all[a.cedar.Resource]
		return there, true
	}
}

// ofType asks for the type of the principal or of the resource.
func ofType(n ast.NodeTypeIs) quick {
	variable, _ := n.Left.(ast.NodeTypeVariable)
	switch variable.Name {
	case "principal":
		return func(a *asking) (bool, bool) { return a.cedar.Principal.Type == n.EntityType, true }
	case "resource":
		return func(a *asking) (bool, bool) { return a.cedar.Resource.Type == n.EntityType, true }
	}
	return nil
}

// among asks whether the principal or the resource is in one of fixed entities.
func among(b ast.BinaryNode) quick {
	variable, _ := b.Left.(ast.NodeTypeVariable)
	all, ok := entitiesOf(b.Right)
	if !ok {
		return nil
	}
	switch variable.Name {
	case "principal":
		return func(a *asking) (bool, bool) {
			if _, itself := all[a.cedar.Principal]; itself {
				return true, true
			}
			for parent := range a.parents(true) {
				if _, there := all[parent]; there {
					return true, true
				}
			}
			return false, true
		}
	case "resource":
		return func(a *asking) (bool, bool) {
			_, itself := all[a.cedar.Resource]
			_, route := all[routeUID(a.request.Route)]
			return itself || route && a.request.Route != "", true
		}
	}
	return nil
}

// entitiesOf reads a fixed entity, or a list of them.
func entitiesOf(n ast.IsNode) (map[types.EntityUID]struct{}, bool) {
	if v, ok := n.(ast.NodeValue); ok {
		if one, ok := v.Value.(types.EntityUID); ok {
			return map[types.EntityUID]struct{}{one: {}}, true
		}
	}
	return listOf[types.EntityUID](n)
}

// listOf reads a fixed list whose values are all of one type.
func listOf[T interface {
	types.Value
	comparable
}](n ast.IsNode) (map[T]struct{}, bool) {
	all := map[T]struct{}{}
	put := func(v types.Value) bool {
		one, ok := v.(T)
		all[one] = struct{}{}
		return ok
	}
	switch n := n.(type) {
	case ast.NodeTypeSet:
		for _, e := range n.Elements {
			if v, ok := e.(ast.NodeValue); !ok || !put(v.Value) {
				return nil, false
			}
		}
		return all, true
	case ast.NodeValue:
		set, ok := n.Value.(types.Set)
		if !ok {
			return nil, false
		}
		for v := range set.All() {
			if !put(v) {
				return nil, false
			}
		}
		return all, true
	}
	return nil, false
}

// inRange recognises context.address.isInRange(ip("…")).
func (s *Set) inRange(n ast.NodeTypeExtensionCall) quick {
	if n.Name != "isInRange" || len(n.Args) != 2 {
		return nil
	}
	f, ok := s.field(n.Args[0])
	written, literal := literalCall(n.Args[1], "ip")
	network, err := types.ParseIPAddr(written)
	if !ok || f.typ != Address || !literal || err != nil {
		return nil
	}
	return func(a *asking) (bool, bool) {
		v, there := f.of(a)
		address, ok := v.(netip.Addr)
		if !there || !ok || !address.IsValid() {
			return false, false
		}
		address = address.WithZone("").Unmap()
		return network.Contains(types.IPAddr(netip.PrefixFrom(address, address.BitLen()))), true
	}
}
