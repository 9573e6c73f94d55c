package jinja

import "slices"

func (p *parser) postfix(x expr) (expr, error) {
	for {
		n := node{p.tok.line}
		var err error
		switch {
		case p.skipOp("."):
			switch p.tok.kind {
			case tokName:
				x = attrExpr{n, x, p.tok.text}
			case tokInt:
				x = indexExpr{n, x, constExpr{n, number(p.tok.num)}}
			default:
				return nil, p.fail("the name of an attribute is expected")
			}
			p.advance()
		case p.skipOp("["):
			var keys []expr
			for !p.isOp("]") {
				if len(keys) > 0 {
					if err := p.expectOp(","); err != nil {
						return nil, err
					}
				}
				key, err := p.subscript()
				if err != nil {
					return nil, err
				}
				keys = append(keys, key)
			}
			p.advance()
			if len(keys) == 1 {
				x = indexExpr{n, x, keys[0]}
			} else {
				x = indexExpr{n, x, listExpr{n, keys}}
			}
		case p.isOp("("):
			x, err = p.call(x)
		default:
			return x, nil
		}
		if err == nil {
			err = p.grow()
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) subscript() (expr, error) {
	n := node{p.tok.line}
	var parts [3]expr
	colons := 0
	for {
		if p.skipOp(":") {
			if colons++; colons > 2 {
				return nil, p.fail("a slice has three parts")
			}
			continue
		}
		if p.isOp("]") || p.isOp(",") || parts[colons] != nil {
			break
		}
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		parts[colons] = x
	}
	if colons == 0 {
		if parts[0] == nil {
			return nil, p.fail("a subscript is expected")
		}
		return parts[0], nil
	}
	return sliceExpr{n, parts[0], parts[1], parts[2]}, nil
}

func (p *parser) call(fn expr) (expr, error) {
	n := node{p.tok.line}
	a, err := p.arguments()
	return callExpr{n, fn, a}, err
}

func (p *parser) arguments() (a args, err error) {
	if err := p.expectOp("("); err != nil {
		return a, err
	}
	for first := true; !p.isOp(")"); first = false {
		if !first {
			if err := p.expectOp(","); err != nil {
				return a, err
			}
			if p.isOp(")") {
				break
			}
		}
		if p.isOp("*") || p.isOp("**") {
			p.advance()
			x, err := p.expression()
			if err != nil {
				return a, err
			}
			a.spread = append(a.spread, x)
			continue
		}
		x, err := p.expression()
		if err != nil {
			return a, err
		}
		if name := argumentName(x); name != "" && p.skipOp("=") {
			if x, err = p.expression(); err != nil {
				return a, err
			}
			a.names, a.named = append(a.names, name), append(a.named, x)
			continue
		}
		a.pos = append(a.pos, x)
	}
	return a, p.expectOp(")")
}

// argumentName is the name that stands before "=": words that are constants
// elsewhere are names there.
func argumentName(x expr) string {
	switch x := x.(type) {
	case nameExpr:
		return x.name
	case constExpr:
		if x.value.kind == noneKind || x.value.kind == boolKind {
			return x.value.str().text
		}
	}
	return ""
}

// dotted reads the name of a filter or a test.
func (p *parser) dotted() (string, error) {
	name, err := p.expectName()
	for err == nil && p.skipOp(".") {
		var more string
		more, err = p.expectName()
		name += "." + more
	}
	return name, err
}

// filters reads a filter, of which the bar has been read, and those after it.
func (p *parser) filters(x expr, n node) (expr, error) {
	for {
		name, err := p.dotted()
		if err != nil {
			return nil, err
		}
		f := filterExpr{node: n, x: x, name: name}
		if p.isOp("(") {
			if f.args, err = p.arguments(); err != nil {
				return nil, err
			}
		}
		x = f
		if err := p.grow(); err != nil {
			return nil, err
		}
		if !p.skipOp("|") {
			return x, nil
		}
	}
}

func (p *parser) test(x expr) (expr, error) {
	n := node{p.tok.line}
	p.advance() // is
	negated := p.skipName("not")
	name, err := p.dotted()
	if err != nil {
		return nil, err
	}
	t := testExpr{node: n, x: x, name: name}
	switch {
	case p.isOp("("):
		if t.args, err = p.arguments(); err != nil {
			return nil, err
		}
	case p.tok.kind == tokName && !slices.Contains([]string{"else", "or", "and", "if", "is", "in", "not", "recursive"}, p.tok.text),
		p.tok.kind == tokString, p.tok.kind == tokInt, p.tok.kind == tokFloat, p.isOp("["), p.isOp("{"):
		arg, err := p.primary()
		if err == nil {
			arg, err = p.postfix(arg)
		}
		if err != nil {
			return nil, err
		}
		t.args.pos = []expr{arg}
	}
	if err := p.grow(); err != nil {
		return nil, err
	}
	if negated {
		return unaryExpr{n, "not", t}, nil
	}
	return t, nil
}
