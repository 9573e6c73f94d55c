package jinja

import "strings"

// fragments reads each tag of src by itself.
func fragments(src string) *Template {
	t := &Template{}
	nodes, line, counted := 0, 1, 0
	lexed := 0 // bytes, of which an open quote can take the same ones many times
	for at := 0; ; {
		i := strings.IndexByte(src[at:], '{')
		if i < 0 || at+i+2 >= len(src) || nodes > maxNodes || lexed > 4*len(src)+maxFragment {
			return t
		}
		at += i
		c := src[at+1]
		if c != '{' && c != '%' {
			at++
			continue
		}
		line += strings.Count(src[counted:at], "\n")
		counted = at
		closing := "}}"
		if c == '%' {
			closing = "%}"
		}
		// What follows the tag is not its business: a bracket or a quote that is
		// not closed there must not make every tag cost the rest of the text.
		end := min(len(src), at+maxFragment)
		p := &parser{lex: lexer{src: src[:end], pos: at + 2, line: line, closing: closing}}
		p.lex.sign()
		p.advance()
		s, err := p.fragment(c == '%')
		nodes += p.nodes + 1
		lexed += p.lex.pos - at
		if err != nil {
			at++
			continue
		}
		t.Tags++
		if s != nil {
			t.body = append(t.body, s)
		}
		at += 2
	}
}

// maxFragment is the longest tag that is read by itself.
const maxFragment = 4096

// fragment reads what stands in one tag, as far as it is an expression.
func (p *parser) fragment(tag bool) (stmt, error) {
	n := node{p.tok.line}
	if tag {
		word, err := p.expectName()
		if err != nil {
			return nil, err
		}
		switch word {
		case "set", "for":
			target, err := p.target()
			if err != nil {
				return nil, err
			}
			if !p.skipOp("=") && !p.skipName("in") {
				return nil, p.fail("an assignment is expected")
			}
			x, err := p.tuple()
			if err != nil || p.tok.kind != tokEnd {
				return nil, p.fail("the end of the tag is expected")
			}
			if word == "for" {
				return forStmt{node: n, target: target, iter: x}, nil
			}
			return setStmt{n, target, x}, nil
		case "if", "elif", "do", "print", "call", "filter":
		default:
			return nil, p.fail("no expression")
		}
	}
	x, err := p.tuple()
	if err == nil && p.tok.kind != tokEnd {
		err = p.fail("the end of the tag is expected")
	}
	return outputStmt{x}, err
}
