package jinja

import "slices"

func (p *parser) expression() (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	n := node{p.tok.line}
	x, err := p.noCondition()
	for err == nil && p.skipName("if") {
		c := condExpr{node: n, then: x}
		if c.test, err = p.noCondition(); err != nil {
			return nil, err
		}
		if p.skipName("else") {
			if c.other, err = p.expression(); err != nil {
				return nil, err
			}
		}
		x = c
		p.nodes++
	}
	return x, err
}

func (p *parser) noCondition() (expr, error) { return p.or() }

// tuple reads expressions with commas between; one without a comma is itself.
func (p *parser) tuple() (expr, error) { return p.tupleOf(p.expression, "") }

// tupleOf ends before the word.
func (p *parser) tupleOf(item func() (expr, error), word string) (expr, error) {
	n := node{p.tok.line}
	var items []expr
	comma := false
	for {
		if p.tok.kind == tokEnd || p.isOp(")") || word != "" && p.isName(word) {
			break
		}
		x, err := item()
		if err != nil {
			return nil, err
		}
		items = append(items, x)
		if !p.skipOp(",") {
			break
		}
		comma = true
	}
	if len(items) == 0 {
		return nil, p.fail("an expression is expected")
	}
	if len(items) == 1 && !comma {
		return items[0], nil
	}
	return listExpr{n, items}, nil
}

// target reads what is assigned to: names, in tuples or with attributes.
func (p *parser) target() (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	n := node{p.tok.line}
	var items []expr
	comma := false
	for {
		var x expr
		if p.skipOp("(") {
			inner, err := p.target()
			if err != nil {
				return nil, err
			}
			if err := p.expectOp(")"); err != nil {
				return nil, err
			}
			x = inner
		} else {
			name, err := p.expectName()
			if err != nil {
				return nil, err
			}
			x = nameExpr{n, name}
			for p.skipOp(".") {
				attr, err := p.expectName()
				if err != nil {
					return nil, err
				}
				x = attrExpr{n, x, attr}
			}
		}
		items = append(items, x)
		if !p.skipOp(",") {
			break
		}
		comma = true
		if p.tok.kind != tokName && !p.isOp("(") || p.isName("in") {
			break
		}
	}
	if len(items) == 1 && !comma {
		return items[0], nil
	}
	return listExpr{n, items}, nil
}

func (p *parser) or() (expr, error) {
	return p.binary(p.and, func() (string, bool) { return "or", p.isName("or") })
}

func (p *parser) and() (expr, error) {
	return p.binary(p.not, func() (string, bool) { return "and", p.isName("and") })
}

// binary reads operators of one level, which bind to the left.
func (p *parser) binary(operand func() (expr, error), operator func() (string, bool)) (expr, error) {
	n := node{p.tok.line}
	l, err := operand()
	for err == nil {
		op, ok := operator()
		if !ok {
			return l, nil
		}
		p.advance()
		p.nodes++
		var r expr
		if r, err = operand(); err == nil {
			l = binaryExpr{n, op, l, r}
			err = p.grow()
		}
	}
	return nil, err
}

// grow bounds chains: a chain of operators is as deep a tree as it is long.
func (p *parser) grow() error {
	p.nodes++
	if p.nodes > maxNodes {
		return p.fail("the template has too many parts")
	}
	return nil
}

func (p *parser) not() (expr, error) {
	if !p.isName("not") {
		return p.compare()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	n := node{p.tok.line}
	p.advance()
	x, err := p.not()
	return unaryExpr{n, "not", x}, err
}

func (p *parser) compare() (expr, error) {
	n := node{p.tok.line}
	x, err := p.sum()
	if err != nil {
		return nil, err
	}
	c := compareExpr{n, []expr{x}, nil}
	for {
		op := ""
		switch {
		case p.tok.kind == tokOp && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, p.tok.text):
			op = p.tok.text
			p.advance()
		case p.skipName("in"):
			op = "in"
		case p.isName("not"):
			p.advance()
			if !p.skipName("in") {
				return nil, p.fail(`"in" is expected`)
			}
			op = "not in"
		}
		if op == "" {
			break
		}
		y, err := p.sum()
		if err != nil {
			return nil, err
		}
		c.items, c.ops = append(c.items, y), append(c.ops, op)
		p.nodes++
	}
	if len(c.ops) == 0 {
		return x, nil
	}
	return c, nil
}

func (p *parser) operators(ops ...string) func() (string, bool) {
	return func() (string, bool) {
		return p.tok.text, p.tok.kind == tokOp && slices.Contains(ops, p.tok.text)
	}
}

func (p *parser) sum() (expr, error) { return p.binary(p.concat, p.operators("+", "-")) }

func (p *parser) concat() (expr, error) {
	n := node{p.tok.line}
	x, err := p.product()
	if err != nil || !p.isOp("~") {
		return x, err
	}
	c := concatExpr{n, []expr{x}}
	for p.skipOp("~") {
		y, err := p.product()
		if err != nil {
			return nil, err
		}
		c.items = append(c.items, y)
		p.nodes++
	}
	return c, nil
}

func (p *parser) product() (expr, error) {
	return p.binary(p.power, p.operators("*", "/", "//", "%"))
}

func (p *parser) power() (expr, error) {
	return p.binary(func() (expr, error) { return p.unary(true) }, p.operators("**"))
}

func (p *parser) unary(filters bool) (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	n := node{p.tok.line}
	var x expr
	var err error
	if p.isOp("-") || p.isOp("+") {
		op := p.tok.text
		p.advance()
		if x, err = p.unary(false); err == nil {
			x = unaryExpr{n, op, x}
		}
	} else {
		x, err = p.primary()
	}
	if err != nil {
		return nil, err
	}
	if x, err = p.postfix(x); err != nil || !filters {
		return x, err
	}
	for {
		switch {
		case p.skipOp("|"):
			if x, err = p.filters(x, n); err != nil {
				return nil, err
			}
		case p.isName("is"):
			if x, err = p.test(x); err != nil {
				return nil, err
			}
		case p.isOp("("): // calls the result of a filter
			if x, err = p.call(x); err != nil {
				return nil, err
			}
		default:
			return x, nil
		}
	}
}

func (p *parser) primary() (expr, error) {
	n := node{p.tok.line}
	t := p.tok
	switch t.kind {
	case tokName:
		p.advance()
		switch t.text {
		case "true", "True":
			return constExpr{n, boolean(true)}, nil
		case "false", "False":
			return constExpr{n, boolean(false)}, nil
		case "none", "None":
			return constExpr{n, none}, nil
		}
		return nameExpr{n, t.text}, nil
	case tokString:
		s := ""
		for p.tok.kind == tokString {
			s += p.tok.text
			p.advance()
			p.nodes++
		}
		return constExpr{n, text(s)}, nil
	case tokInt:
		p.advance()
		return constExpr{n, number(t.num)}, nil
	case tokFloat:
		p.advance()
		return constExpr{n, value{kind: floatKind, num: t.num}}, nil
	}
	switch {
	case p.skipOp("("):
		if p.skipOp(")") {
			return listExpr{n, nil}, nil
		}
		x, err := p.tuple()
		if err != nil {
			return nil, err
		}
		return x, p.expectOp(")")
	case p.skipOp("["):
		items, err := p.items("]")
		return listExpr{n, items}, err
	case p.skipOp("{"):
		return p.dict(n)
	}
	return nil, p.fail("an expression is expected")
}

// items reads up to the closing bracket.
func (p *parser) items(closing string) (items []expr, err error) {
	for !p.isOp(closing) {
		if len(items) > 0 {
			if err := p.expectOp(","); err != nil {
				return nil, err
			}
			if p.isOp(closing) {
				break
			}
		}
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		items = append(items, x)
	}
	return items, p.expectOp(closing)
}

func (p *parser) dict(n node) (expr, error) {
	d := dictExpr{node: n}
	for !p.isOp("}") {
		if len(d.keys) > 0 {
			if err := p.expectOp(","); err != nil {
				return nil, err
			}
			if p.isOp("}") {
				break
			}
		}
		k, err := p.expression()
		if err != nil {
			return nil, err
		}
		if err := p.expectOp(":"); err != nil {
			return nil, err
		}
		v, err := p.expression()
		if err != nil {
			return nil, err
		}
		d.keys, d.values = append(d.keys, k), append(d.values, v)
	}
	return d, p.expectOp("}")
}
