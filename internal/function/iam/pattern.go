package iam

import (
	"strings"
)

// Pattern is one text of a policy that things are compared with: an action, a
// resource, a principal or the value of a condition. Beside characters it holds
// wildcards, policy variables, and the parts of a template that are not known.
// It is immutable.
type Pattern struct {
	text    string
	tokens  []token
	plain   bool // characters only
	greedy  bool // every star may cross every character: the quick matcher is exact
	unknown bool // a part of it is not known
	fold    bool // compared without regard to case; tokens are in lower case
}

type kind uint8

const (
	char     kind = iota
	one           // "?"
	star          // "*"
	variable      // "${aws:username}": known when the request is
	hole          // "${…}" of a template: known to nobody here
)

type token struct {
	kind  kind
	bound bool // a star that stays within its segment of an ARN
	r     rune
	ref   *ref // of a variable or a hole
}

type ref struct {
	name  string // a condition key in lower case, or the template's expression
	other string // what a variable is when the request lacks it
	has   bool   // other is given
}

// dialect says what a text may hold.
type dialect struct {
	wild, vars, arn, fold bool
}

var (
	asAction   = dialect{wild: true, fold: true}
	asResource = dialect{wild: true, vars: true, arn: true}
	asLiteral  = dialect{vars: true}
	asLike     = dialect{wild: true, vars: true}
)

// ActionPattern is a pattern of an Action element: case does not count.
func ActionPattern(text string) *Pattern { return compile(text, asAction) }

// ResourcePattern is a pattern of a Resource element of a policy of version
// 2012-10-17.
func ResourcePattern(text string) *Pattern { return compile(text, asResource) }

// String is the pattern as it was written.
func (p *Pattern) String() string { return p.text }

// Unknown says whether a part of the pattern is known to nobody before the
// template is deployed.
func (p *Pattern) Unknown() bool { return p.unknown }

// Everything says whether the pattern matches any text at all.
func (p *Pattern) Everything() bool {
	for _, t := range p.tokens {
		if t.kind != star || t.bound {
			return false
		}
	}
	return len(p.tokens) > 0
}

// Holes are the expressions that are not known, as they stand in the template.
func (p *Pattern) Holes() []string {
	var names []string
	for _, t := range p.tokens {
		if t.kind == hole {
			names = append(names, t.ref.name)
		}
	}
	return names
}

func compile(text string, d dialect) *Pattern {
	p := &Pattern{text: text, plain: true, greedy: true, fold: d.fold}
	source := text
	if d.fold {
		source = strings.ToLower(text)
	}
	p.tokens = make([]token, 0, len(source))
	for i := 0; i < len(source); {
		switch c := source[i]; {
		case c == '*' && d.wild:
			// Two stars in a row say no more than one, and cost the matcher.
			if n := len(p.tokens); n == 0 || p.tokens[n-1].kind != star {
				p.tokens = append(p.tokens, token{kind: star})
			}
			p.plain = false
			i++
			continue
		case c == '?' && d.wild:
			p.tokens = append(p.tokens, token{kind: one})
			p.plain = false
			i++
			continue
		case c == '$' && strings.HasPrefix(source[i:], "${"):
			// The text, not source: expressions keep their case.
			if t, size := reference(text[i:], d.vars); size > 0 {
				p.tokens = append(p.tokens, t)
				p.plain = p.plain && t.kind == char
				p.unknown = p.unknown || t.kind == hole
				i += size
				continue
			}
		}
		r := rune(source[i])
		size := 1
		if r >= 0x80 {
			for _, first := range source[i:] {
				r = first
				break
			}
			size = len(string(r))
		}
		p.tokens = append(p.tokens, token{kind: char, r: r})
		i += size
	}
	if d.arn {
		p.bindStars()
	}
	return p
}

// arnSegments is how many colons an ARN has before its resource part.
const arnSegments = 5

// bindStars applies the rule that a star within a segment of an ARN stays in
// it, unless it ends the segment: then it may reach over the colon.
func (p *Pattern) bindStars() {
	if len(p.tokens) < 4 || p.tokens[0].r != 'a' || p.tokens[1].r != 'r' || p.tokens[2].r != 'n' || p.tokens[3].r != ':' {
		return
	}
	colons := 0
	for i := range p.tokens {
		t := &p.tokens[i]
		if t.kind == char && t.r == ':' {
			colons++
		}
		if colons >= arnSegments {
			return
		}
		if t.kind != star || i+1 == len(p.tokens) {
			continue
		}
		if next := p.tokens[i+1]; next.kind != char || next.r != ':' {
			t.bound = true
			p.greedy = false
		}
	}
}

// maxExpression bounds how far the end of "${" is looked for.
const maxExpression = 1024

// reference reads "${…}" at the start of s. Size 0: it is no reference.
func reference(s string, vars bool) (t token, size int) {
	depth := 0
	for i := 1; i < len(s) && i < maxExpression; i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			inner := s[2:i]
			size = i + 1
			if vars && (inner == "*" || inner == "?" || inner == "$") {
				return token{kind: char, r: rune(inner[0])}, size
			}
			name, other, has := strings.Cut(inner, ",")
			name = strings.TrimSpace(name)
			if vars && isVariable(name) {
				return token{kind: variable, ref: &ref{strings.ToLower(name), strings.Trim(strings.TrimSpace(other), "'"), has}}, size
			}
			return token{kind: hole, ref: &ref{name: inner}}, size
		}
	}
	// It never ends: whatever it is, its value is not known.
	return token{kind: hole, ref: &ref{name: s}}, len(s)
}

// isVariable tells a policy variable from an expression of a template: both are
// written "${…}". A variable is a condition key; templates have no colon
// (Terraform, "${var.x}"), two ("${AWS::Region}") or a source of their own in
// front of it ("${self:service}").
func isVariable(name string) bool {
	prefix, rest, ok := strings.Cut(name, ":")
	if !ok || rest == "" || strings.HasPrefix(rest, ":") {
		return false
	}
	for _, c := range []byte(prefix) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '/' || c == '_') {
			return false
		}
	}
	switch prefix {
	case "self", "opt", "env", "file", "ssm", "cf", "param", "sls", "git", "strToBool", "output", "construct", "custom", "terraform", "vault":
		return false
	case "aws": // "${aws:region}" and "${aws:accountId}" are those of serverless.yml
		return rest != "region" && rest != "accountId"
	}
	return !strings.ContainsAny(rest, "{}()\"\n")
}

// Match says whether the pattern matches s, with the variables of ctx. A
// pattern with holes matches Maybe at most.
func (p *Pattern) Match(s string, ctx Context) Truth {
	if p.fold {
		s = strings.ToLower(s)
	}
	if p.plain && !p.unknown {
		if len(p.tokens) == len(p.text) { // ASCII without escapes: the text is what is meant
			if p.fold {
				return truth(strings.EqualFold(p.text, s))
			}
			return truth(p.text == s)
		}
	}
	tokens, state := p.bind(ctx)
	if state == No {
		return No
	}
	if !matches(tokens, s, p.greedy) {
		return No
	}
	return state
}

func truth(b bool) Truth {
	if b {
		return Yes
	}
	return No
}

// bind puts the values of ctx in the place of variables. No: a variable has no
// value, and then nothing matches. Maybe: something is left that is not known;
// it stands as a star.
func (p *Pattern) bind(ctx Context) ([]token, Truth) {
	state := Yes
	first := -1
	for i, t := range p.tokens {
		if t.kind == variable || t.kind == hole {
			first = i
			break
		}
	}
	if first < 0 {
		return p.tokens, Yes
	}
	out := append(make([]token, 0, len(p.tokens)+32), p.tokens[:first]...)
	for _, t := range p.tokens[first:] {
		switch t.kind {
		case hole:
			state = Maybe
			out = append(out, token{kind: star})
		case variable:
			v := ctx.lookup(t.ref.name)
			switch {
			case v.State == Present && len(v.Values) == 1:
				for _, r := range v.Values[0] {
					out = append(out, token{kind: char, r: r})
				}
			case v.State != Absent && v.State != Present:
				state = Maybe
				out = append(out, token{kind: star})
			case t.ref.has:
				for _, r := range t.ref.other {
					out = append(out, token{kind: char, r: r})
				}
			default: // absent, or several values: IAM matches nothing
				return nil, No
			}
		default:
			out = append(out, t)
		}
	}
	return out, state
}

func matches(tokens []token, s string, greedy bool) bool {
	if greedy {
		return quick(tokens, s)
	}
	return thorough(tokens, []rune(s))
}

// quick goes back to the last star only, which is exact as long as every star
// may reach over every character.
func quick(tokens []token, s string) bool {
	text := []rune(nil)
	ascii := true
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			ascii, text = false, []rune(s)
			break
		}
	}
	n := len(s)
	if !ascii {
		n = len(text)
	}
	at := func(i int) rune {
		if ascii {
			return rune(s[i])
		}
		return text[i]
	}
	i, j, mark, from := 0, 0, -1, 0
	for j < n {
		switch {
		case i < len(tokens) && tokens[i].kind == star:
			mark, from = i, j
			i++
		case i < len(tokens) && (tokens[i].kind == one || tokens[i].kind == char && tokens[i].r == at(j)):
			i++
			j++
		case mark >= 0:
			from++
			i, j = mark+1, from
		default:
			return false
		}
	}
	for i < len(tokens) && tokens[i].kind == star {
		i++
	}
	return i == len(tokens)
}

// thorough keeps every position of the pattern that the text so far can lead to.
func thorough(tokens []token, s []rune) bool {
	reach := make([]bool, len(tokens)+1)
	reach[0] = true
	skip := func() {
		for i, t := range tokens {
			if reach[i] && t.kind == star {
				reach[i+1] = true
			}
		}
	}
	skip()
	for _, r := range s {
		for i := len(tokens); i >= 0; i-- {
			stay := i < len(tokens) && reach[i] && tokens[i].kind == star && !(tokens[i].bound && r == ':')
			step := i > 0 && reach[i-1] && (tokens[i-1].kind == one || tokens[i-1].kind == char && tokens[i-1].r == r)
			reach[i] = stay || step
		}
		skip()
	}
	return reach[len(tokens)]
}

// Covers says whether everything that q matches is matched by p. It errs
// towards no: a pattern with a hole covers only the same hole.
func (p *Pattern) Covers(q *Pattern) bool {
	if p.text == q.text || p.Everything() {
		return true
	}
	return covers(p.tokens, q.tokens)
}

func covers(p, q []token) bool {
	reach := make([]bool, len(p)+1)
	reach[0] = true
	skip := func() {
		for i, t := range p {
			if reach[i] && t.kind == star {
				reach[i+1] = true
			}
		}
	}
	skip()
	for _, t := range q {
		for i := len(p); i >= 0; i-- {
			stay := i < len(p) && reach[i] && p[i].kind == star && !(p[i].bound && mayBeColon(t))
			step := i > 0 && reach[i-1] && swallows(p[i-1], t)
			reach[i] = stay || step
		}
		skip()
	}
	return reach[len(p)]
}

func mayBeColon(t token) bool {
	switch t.kind {
	case char:
		return t.r == ':'
	case star:
		return !t.bound
	}
	return true
}

func swallows(p, q token) bool {
	switch p.kind {
	case char:
		return q.kind == char && p.r == q.r
	case one:
		return q.kind == char || q.kind == one
	case variable, hole:
		return p.kind == q.kind && p.ref.name == q.ref.name
	}
	return false
}

// apart says whether the characters that two patterns begin with differ: most
// that are compared are about different services, and this is quick to see.
func (p *Pattern) apart(q *Pattern) bool {
	for i := 0; i < len(p.tokens) && i < len(q.tokens); i++ {
		a, b := p.tokens[i], q.tokens[i]
		if a.kind != char || b.kind != char {
			return false
		}
		if a.r != b.r {
			return true
		}
	}
	return false
}

// Overlaps says whether some text may match both. It errs towards yes.
func (p *Pattern) Overlaps(q *Pattern) bool { return overlaps(p.tokens, q.tokens) }

func overlaps(p, q []token) bool {
	open := func(t token) bool { return t.kind == star || t.kind == variable || t.kind == hole }
	row := make([]bool, len(q)+1)
	next := make([]bool, len(q)+1)
	row[0] = true
	for i := 0; ; i++ {
		for j := 0; j < len(q); j++ { // leave or stretch what is open without a step in p
			if row[j] && (open(q[j]) || i < len(p) && open(p[i])) {
				row[j+1] = true
			}
		}
		if i == len(p) {
			return row[len(q)]
		}
		clear(next)
		for j := 0; j <= len(q); j++ {
			if !row[j] {
				continue
			}
			switch {
			case open(p[i]), j < len(q) && open(q[j]):
				next[j] = true
			}
			if j < len(q) && !open(p[i]) && !open(q[j]) && (p[i].kind == one || q[j].kind == one || p[i].r == q[j].r) {
				next[j+1] = true
			}
		}
		row, next = next, row
	}
}
