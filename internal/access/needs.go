package access

import (
	"slices"
	"time"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// needs is what has to be built of a request before a policy can be evaluated.
// Attributes are bits, by their place in the set's tables; those from the 64th
// on share the last one.
type needs struct {
	about, who, what      uint64
	whoLabels, whatLabels bool
	parents               bool
	moments               []int64 // of context.time, in ms, at which the policy may change its mind
	ticks                 bool    // it may at any moment
}

const everything = ^uint64(0)

func bit(i int) uint64 { return 1 << min(i, 63) }

func bitOf(table []attribute, name types.String) uint64 {
	return bit(slices.IndexFunc(table, func(a attribute) bool { return a.name == name }))
}

func (n *needs) add(o *needs) {
	n.about |= o.about
	n.who |= o.who
	n.what |= o.what
	n.whoLabels = n.whoLabels || o.whoLabels
	n.whatLabels = n.whatLabels || o.whatLabels
	n.parents = n.parents || o.parents
}

// needsOf reads what the conditions of a policy ask for.
func (s *Set) needsOf(p *ast.Policy) needs {
	var n needs
	uses, direct := 0, 0
	for _, c := range p.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(node ast.IsNode) bool {
			if moment, ok := atMoment(node); ok {
				direct++
				n.moments = append(n.moments, moment, moment+1) // at, and just after it
			}
			switch node := node.(type) {
			case ast.NodeTypeAccess, ast.NodeTypeHas:
				of, name, ok := asked(node)
				switch {
				case !ok:
					n.about, n.who, n.what = everything, everything, everything
				case of == "context":
					n.about |= bitOf(about, types.String(name))
					if name == "time" {
						uses++
					}
				case of == "principal":
					n.who |= bitOf(s.who, types.String(name))
				case of == "resource":
					n.what |= bitOf(s.what, types.String(name))
				}
				return !ok
			case ast.NodeTypeVariable: // as a whole: what is asked for is not reached here
				if node.Name == "context" {
					n.about, uses = everything, uses+1
				}
			case ast.NodeTypeHasTag:
				n.label(node.Left)
			case ast.NodeTypeGetTag:
				n.label(node.Left)
			case ast.NodeTypeIn, ast.NodeTypeIsIn:
				n.parents = true
			}
			return true
		})
	}
	n.ticks = uses > direct
	return n
}

func (n *needs) label(of ast.IsNode) {
	v, ok := of.(ast.NodeTypeVariable)
	n.whoLabels = n.whoLabels || !ok || v.Name == "principal"
	n.whatLabels = n.whatLabels || !ok || v.Name == "resource"
}

// atMoment recognises context.time compared with a fixed time.
func atMoment(n ast.IsNode) (int64, bool) {
	var b ast.BinaryNode
	switch n := n.(type) {
	case ast.NodeTypeLessThan:
		b = n.BinaryNode
	case ast.NodeTypeLessThanOrEqual:
		b = n.BinaryNode
	case ast.NodeTypeGreaterThan:
		b = n.BinaryNode
	case ast.NodeTypeGreaterThanOrEqual:
		b = n.BinaryNode
	default:
		return 0, false
	}
	for _, side := range [][2]ast.IsNode{{b.Left, b.Right}, {b.Right, b.Left}} {
		of, name, ok := asked(side[0])
		call, isCall := side[1].(ast.NodeTypeExtensionCall)
		if !ok || of != "context" || name != "time" || !isCall || call.Name != "datetime" || len(call.Args) != 1 {
			continue
		}
		literal, ok := call.Args[0].(ast.NodeValue)
		if !ok {
			continue
		}
		written, _ := literal.Value.(types.String)
		if t, err := types.ParseDatetime(string(written)); err == nil {
			return t.Time().UnixMilli(), true
		}
	}
	return 0, false
}

// recheck is how soon a decision is asked for again whose policies calculate
// with the time: running streams have to be cut within 5 s.
const recheck = 5 * time.Second

// until returns when the policies that were looked at may decide otherwise;
// zero: never by themselves.
func until(looked []*rule, now time.Time) time.Time {
	var least time.Time
	sooner := func(t time.Time) {
		if least.IsZero() || t.Before(least) {
			least = t
		}
	}
	for _, r := range looked {
		if r.needs.ticks {
			sooner(now.Add(recheck))
		}
		for _, ms := range r.needs.moments {
			if ms > now.UnixMilli() {
				sooner(time.UnixMilli(ms).UTC())
			}
		}
	}
	return least
}
