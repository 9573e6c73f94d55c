package terraform

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

func keyword(e expr) string {
	if e.json != nil {
		return e.json.Text()
	}
	return hcl.ExprAsKeyword(e.hcl)
}

// invocation is one call of a function.
type invocation struct {
	ev   *evaluator
	e    *hclsyntax.FunctionCallExpr
	at   stack.Where
	args []*node.Node
}

// call evaluates a function. Functions whose result is not a matter of the
// files alone (timestamp, uuid) or that nobody needs here (bcrypt) are unknown.
func (ev *evaluator) call(e *hclsyntax.FunctionCallExpr) *node.Node {
	c := &invocation{ev: ev, e: e, at: ev.at(e.Range())}
	if e.Name == "try" || e.Name == "can" {
		return c.try()
	}
	for i, a := range e.Args {
		v := ev.eval(a)
		if i == len(e.Args)-1 && e.ExpandFinal {
			if !v.IsList() {
				return ev.unknown(e)
			}
			c.args = append(c.args, v.Items...)
			continue
		}
		c.args = append(c.args, v)
	}
	if len(c.args) > maxArguments {
		return ev.unknown(e)
	}
	total := 0
	for _, a := range c.args {
		total += a.Size() + len(a.Str)/64
	}
	if !ev.in.unit.step(total) {
		return ev.unknown(e)
	}
	if out := c.run(); out != nil {
		return out
	}
	return ev.unknown(e)
}

// try is the first argument that can be evaluated.
func (c *invocation) try() *node.Node {
	for i, a := range c.e.Args {
		v := c.ev.eval(a)
		switch {
		case v.IsUnknown():
			return c.ev.unknown(c.e)
		case c.e.Name == "can":
			return node.Bool(c.at, !v.IsNull())
		case !v.IsNull() || i == len(c.e.Args)-1:
			return v
		}
	}
	return nil
}
