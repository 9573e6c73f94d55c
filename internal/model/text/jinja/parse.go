package jinja

import (
	"fmt"
	"slices"
)

// parser reads statements; parse_expr.go holds what reads expressions. It
// accepts what Jinja accepts with the extensions that engines for chat
// templates switch on (loop controls, do, generation), and a little more.
type parser struct {
	lex   lexer
	tok   token
	tags  int
	nodes int
	depth int
	err   error // the lexer's
}

func (p *parser) advance() {
	if p.err != nil {
		p.tok = token{kind: tokEOF, line: p.tok.line}
		return
	}
	t, err := p.lex.next()
	if err != nil {
		p.err = err
		t = token{kind: tokEOF, line: p.lex.line}
	}
	p.tok = t
}

func (p *parser) fail(msg string) error {
	if p.err != nil {
		return p.err
	}
	return &SyntaxError{Line: p.tok.line, Msg: msg}
}

// enter counts a node and a level; the caller defers leave.
func (p *parser) enter() error {
	p.nodes++
	p.depth++
	if p.nodes > maxNodes {
		return p.fail("the template has too many parts")
	}
	if p.depth > maxDepth {
		return p.fail("the template is nested too deeply")
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

func (p *parser) isOp(op string) bool     { return p.tok.kind == tokOp && p.tok.text == op }
func (p *parser) isName(name string) bool { return p.tok.kind == tokName && p.tok.text == name }

func (p *parser) skipOp(op string) bool {
	if p.isOp(op) {
		p.advance()
		return true
	}
	return false
}

func (p *parser) skipName(name string) bool {
	if p.isName(name) {
		p.advance()
		return true
	}
	return false
}

func (p *parser) expectOp(op string) error {
	if !p.skipOp(op) {
		return p.fail(fmt.Sprintf("%q is expected", op))
	}
	return nil
}

func (p *parser) expectName() (string, error) {
	if p.tok.kind != tokName {
		return "", p.fail("a name is expected")
	}
	name := p.tok.text
	p.advance()
	return name, nil
}

func (p *parser) end() error {
	p.skipOp(":") // Jinja takes one, as Python writes it
	if p.tok.kind != tokEnd {
		return p.fail("the end of the tag is expected")
	}
	p.advance()
	return nil
}

func (p *parser) template() ([]stmt, error) {
	p.advance()
	body, word, err := p.body()
	if err != nil {
		return nil, err
	}
	if word != "" {
		return nil, p.fail(fmt.Sprintf("the tag %q has no beginning", word))
	}
	return body, nil
}

// body reads until a tag that begins with one of the words, which stands next.
// Without words it reads to the end of the template.
func (p *parser) body(until ...string) (body []stmt, word string, err error) {
	if err := p.enter(); err != nil {
		return nil, "", err
	}
	defer p.leave()
	for {
		switch p.tok.kind {
		case tokText:
			body = append(body, textStmt{p.tok.text})
			p.advance()
		case tokOutput:
			p.tags++
			p.advance()
			x, err := p.tuple()
			if err != nil {
				return nil, "", err
			}
			if err := p.end(); err != nil {
				return nil, "", err
			}
			body = append(body, outputStmt{x})
		case tokTag:
			p.tags++
			p.advance()
			if p.tok.kind != tokName {
				return nil, "", p.fail("the name of a tag is expected")
			}
			word := p.tok.text
			if slices.Contains(until, word) {
				p.advance()
				return body, word, nil
			}
			p.nodes++
			s, err := p.statement()
			if err != nil {
				return nil, "", err
			}
			if s != nil {
				body = append(body, s)
			}
		default:
			if p.err != nil {
				return nil, "", p.err
			}
			if p.tok.kind != tokEOF {
				return nil, "", p.fail("unexpected " + p.tok.text)
			}
			if len(until) > 0 {
				return nil, "", p.fail(fmt.Sprintf("%q is missing", until[len(until)-1]))
			}
			return body, "", nil
		}
	}
}

// block reads the end of a tag, its body and the closing tag.
func (p *parser) block(closing string) ([]stmt, error) {
	if err := p.end(); err != nil {
		return nil, err
	}
	body, _, err := p.body(closing)
	if err != nil {
		return nil, err
	}
	return body, p.end()
}

func (p *parser) statement() (stmt, error) {
	n := node{p.tok.line}
	word, err := p.expectName()
	if err != nil {
		return nil, err
	}
	switch word {
	case "for":
		return p.forStatement(n)
	case "if":
		return p.ifStatement()
	case "set":
		return p.setStatement(n)
	case "macro":
		return p.macroStatement(n)
	case "call":
		return p.callStatement(n)
	case "filter":
		f, err := p.filters(nil, n)
		if err != nil {
			return nil, err
		}
		body, err := p.block("endfilter")
		return filterStmt{n, f, body}, err
	case "with":
		return p.withStatement()
	case "do", "print":
		x, err := p.tuple()
		if err != nil {
			return nil, err
		}
		return outputStmt{x}, p.end()
	case "block":
		if _, err := p.expectName(); err != nil {
			return nil, err
		}
		for p.skipName("scoped") || p.skipName("required") {
		}
		return p.named("endblock")
	case "generation":
		return p.named("endgeneration")
	case "autoescape":
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		body, err := p.block("endautoescape")
		return blockStmt{append([]stmt{outputStmt{x}}, body...)}, err
	case "trans":
		return p.transStatement()
	case "break", "continue":
		return nil, p.end()
	case "debug":
		return debugStmt{n}, p.end()
	case "include", "import", "extends", "from":
		return p.loadStatement(n, word)
	}
	if p.err != nil {
		return nil, p.err
	}
	return nil, &SyntaxError{Line: n.line, Msg: fmt.Sprintf("there is no tag %q", word), Extension: true}
}

// named reads the body of a block whose closing tag may repeat a name.
func (p *parser) named(closing string) (stmt, error) {
	if err := p.end(); err != nil {
		return nil, err
	}
	body, _, err := p.body(closing)
	if err != nil {
		return nil, err
	}
	if p.tok.kind == tokName {
		p.advance()
	}
	return blockStmt{body}, p.end()
}

func (p *parser) forStatement(n node) (stmt, error) {
	s := forStmt{node: n}
	var err error
	if s.target, err = p.target(); err != nil {
		return nil, err
	}
	if !p.skipName("in") {
		return nil, p.fail(`"in" is expected`)
	}
	if s.iter, err = p.tupleOf(p.noCondition, "recursive"); err != nil {
		return nil, err
	}
	if p.skipName("if") {
		if s.filter, err = p.expression(); err != nil {
			return nil, err
		}
	}
	p.skipName("recursive")
	if err := p.end(); err != nil {
		return nil, err
	}
	var word string
	if s.body, word, err = p.body("else", "endfor"); err != nil {
		return nil, err
	}
	if word == "else" {
		if err := p.end(); err != nil {
			return nil, err
		}
		if s.other, _, err = p.body("endfor"); err != nil {
			return nil, err
		}
	}
	return s, p.end()
}

func (p *parser) ifStatement() (stmt, error) {
	var s ifStmt
	for {
		test, err := p.tuple()
		if err != nil {
			return nil, err
		}
		if err := p.end(); err != nil {
			return nil, err
		}
		body, word, err := p.body("elif", "else", "endif")
		if err != nil {
			return nil, err
		}
		s.tests, s.bodies = append(s.tests, test), append(s.bodies, body)
		switch word {
		case "elif":
			continue
		case "else":
			if err := p.end(); err != nil {
				return nil, err
			}
			if body, _, err = p.body("endif"); err != nil {
				return nil, err
			}
			s.tests, s.bodies = append(s.tests, nil), append(s.bodies, body)
		}
		return s, p.end()
	}
}

func (p *parser) setStatement(n node) (stmt, error) {
	target, err := p.target()
	if err != nil {
		return nil, err
	}
	if p.skipOp("=") {
		x, err := p.tuple()
		if err != nil {
			return nil, err
		}
		return setStmt{n, target, x}, p.end()
	}
	var filter expr
	if p.isOp("|") {
		p.advance()
		if filter, err = p.filters(nil, n); err != nil {
			return nil, err
		}
	}
	body, err := p.block("endset")
	return setBlock{n, target, filter, body}, err
}

func (p *parser) params(m *macroStmt) error {
	if err := p.expectOp("("); err != nil {
		return err
	}
	for !p.isOp(")") {
		if len(m.params) > 0 {
			if err := p.expectOp(","); err != nil {
				return err
			}
			if p.isOp(")") {
				break
			}
		}
		name, err := p.expectName()
		if err != nil {
			return err
		}
		m.params = append(m.params, name)
		if p.skipOp("=") {
			x, err := p.expression()
			if err != nil {
				return err
			}
			m.defaults = append(m.defaults, x)
		}
	}
	return p.expectOp(")")
}

func (p *parser) macroStatement(n node) (stmt, error) {
	m := &macroStmt{node: n}
	var err error
	if m.name, err = p.expectName(); err != nil {
		return nil, err
	}
	if err := p.params(m); err != nil {
		return nil, err
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	if m.body, _, err = p.body("endmacro"); err != nil {
		return nil, err
	}
	if p.tok.kind == tokName {
		p.advance()
	}
	return m, p.end()
}

func (p *parser) callStatement(n node) (stmt, error) {
	m := &macroStmt{node: n}
	if p.isOp("(") {
		if err := p.params(m); err != nil {
			return nil, err
		}
	}
	call, err := p.expression()
	if err != nil {
		return nil, err
	}
	m.body, err = p.block("endcall")
	return callStmt{n, call, m}, err
}

func (p *parser) withStatement() (stmt, error) {
	var s withStmt
	for p.tok.kind != tokEnd {
		if len(s.targets) > 0 {
			if err := p.expectOp(","); err != nil {
				return nil, err
			}
		}
		target, err := p.target()
		if err != nil {
			return nil, err
		}
		if err := p.expectOp("="); err != nil {
			return nil, err
		}
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		s.targets, s.values = append(s.targets, target), append(s.values, x)
	}
	var err error
	s.body, err = p.block("endwith")
	return s, err
}

// transStatement reads the tag of the i18n extension: assignments are read
// like arguments.
func (p *parser) transStatement() (stmt, error) {
	var body []stmt
	for p.tok.kind != tokEnd {
		n := node{p.tok.line}
		if p.tok.kind == tokString || p.skipOp(",") {
			if p.tok.kind == tokString {
				p.advance()
			}
			continue
		}
		name, err := p.expectName()
		if err != nil {
			return nil, err
		}
		if p.skipOp("=") {
			x, err := p.expression()
			if err != nil {
				return nil, err
			}
			body = append(body, setStmt{n, nameExpr{n, name}, x})
		}
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	inner, word, err := p.body("pluralize", "endtrans")
	if err != nil {
		return nil, err
	}
	body = append(body, inner...)
	if word == "pluralize" {
		if p.tok.kind == tokName {
			p.advance()
		}
		if err := p.end(); err != nil {
			return nil, err
		}
		if inner, _, err = p.body("endtrans"); err != nil {
			return nil, err
		}
		body = append(body, inner...)
	}
	return blockStmt{body}, p.end()
}

func (p *parser) loadStatement(n node, verb string) (stmt, error) {
	s := loadStmt{node: n, verb: verb}
	var err error
	if s.x, err = p.expression(); err != nil {
		return nil, err
	}
	switch verb {
	case "import":
		if p.skipName("as") {
			name, err := p.expectName()
			if err != nil {
				return nil, err
			}
			s.names = append(s.names, name)
		}
	case "from":
		if !p.skipName("import") {
			return nil, p.fail(`"import" is expected`)
		}
		for p.tok.kind == tokName && p.tok.text != "with" && p.tok.text != "without" {
			name, err := p.expectName()
			if err != nil {
				return nil, err
			}
			if p.skipName("as") {
				if name, err = p.expectName(); err != nil {
					return nil, err
				}
			}
			s.names = append(s.names, name)
			p.skipOp(",")
		}
	}
	for slices.Contains([]string{"ignore", "missing", "with", "without", "context"}, p.tok.text) && p.tok.kind == tokName {
		p.advance()
	}
	return s, p.end()
}
