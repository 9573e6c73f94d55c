package terraform

import (
	"math"
	"strconv"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

func (ev *evaluator) binary(e *hclsyntax.BinaryOpExpr) *node.Node {
	at := ev.at(e.Range())
	left, right := ev.eval(e.LHS), ev.eval(e.RHS)
	switch e.Op {
	case hclsyntax.OpLogicalAnd, hclsyntax.OpLogicalOr:
		l, lk := left.True()
		r, rk := right.True()
		decides := e.Op == hclsyntax.OpLogicalOr
		switch {
		case lk && l == decides, rk && r == decides:
			return node.Bool(at, decides)
		case lk && rk:
			return node.Bool(at, !decides)
		}
		return ev.unknown(e)
	case hclsyntax.OpEqual, hclsyntax.OpNotEqual:
		same, known := equal(left, right)
		if !known {
			return ev.unknown(e)
		}
		return node.Bool(at, same == (e.Op == hclsyntax.OpEqual))
	}
	l, lok := number(left)
	r, rok := number(right)
	if !lok || !rok {
		return ev.unknown(e)
	}
	switch e.Op {
	case hclsyntax.OpGreaterThan:
		return node.Bool(at, l > r)
	case hclsyntax.OpGreaterThanOrEqual:
		return node.Bool(at, l >= r)
	case hclsyntax.OpLessThan:
		return node.Bool(at, l < r)
	case hclsyntax.OpLessThanOrEqual:
		return node.Bool(at, l <= r)
	case hclsyntax.OpAdd:
		return numeric(at, l+r)
	case hclsyntax.OpSubtract:
		return numeric(at, l-r)
	case hclsyntax.OpMultiply:
		return numeric(at, l*r)
	case hclsyntax.OpDivide:
		return numeric(at, l/r)
	case hclsyntax.OpModulo:
		return numeric(at, math.Mod(l, r))
	}
	return ev.unknown(e)
}

func (ev *evaluator) unary(e *hclsyntax.UnaryOpExpr) *node.Node {
	v := ev.eval(e.Val)
	if e.Op == hclsyntax.OpLogicalNot {
		if b, known := v.True(); known {
			return node.Bool(ev.at(e.Range()), !b)
		}
	} else if f, ok := number(v); ok {
		return numeric(ev.at(e.Range()), -f)
	}
	return ev.unknown(e)
}

func number(n *node.Node) (float64, bool) {
	if !n.Known() || !n.IsScalar() {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.Str, 64)
	return f, err == nil
}

func numeric(at stack.Where, f float64) *node.Node {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return node.Unknown(at, "a number beyond bounds")
	}
	return node.Number(at, strconv.FormatFloat(f, 'f', -1, 64))
}

// equal compares two values; known is false when the answer depends on
// something outside of the files.
func equal(a, b *node.Node) (same, known bool) {
	if a.IsNull() || b.IsNull() {
		// An attribute of a resource is not null once it is there.
		if a.IsNull() && b.IsNull() {
			return true, true
		}
		other := a
		if a.IsNull() {
			other = b
		}
		return false, !other.IsUnknown()
	}
	if !a.Known() || !b.Known() {
		return false, false
	}
	if a.IsScalar() && b.IsScalar() {
		return a.Str == b.Str, true
	}
	if a.Kind != b.Kind {
		return false, true
	}
	x, ok1 := a.JSON()
	y, ok2 := b.JSON()
	return string(x) == string(y), ok1 && ok2
}
