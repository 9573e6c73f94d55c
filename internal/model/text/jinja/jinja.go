// Package jinja reads Jinja2 templates, as chat templates of models are
// written in, and says what in them reaches for more than a template needs.
//
// Call [Parse] for a whole template, then [Check]. [Fragments] salvages the
// tags that can be read from text that as a whole is no template.
//
// Check does not look for words. It evaluates the template with unknown input:
// constants are folded through operators, filters, methods, loops, macros and
// namespaces, as the engine would compute them, and every name by which an
// attribute is asked for is judged after that. So "__cl" ~ "ass__" is found,
// and a template that speaks of "__init__" or of the "system" role is not.
//
// Nothing here renders a template or calls anything. All functions are safe
// for concurrent use.
//
// Sources: the grammar of Jinja 3.1 (jinja2/lexer.py and parser.py), what its
// sandbox calls unsafe (jinja2/sandbox.py), CVE-2024-34359, CVE-2024-56326,
// CVE-2025-27516.
package jinja

import "fmt"

// Limits of a template. Chat templates have at most some 60 kB, 10,000 nodes
// and 30 levels.
const (
	// MaxSize is the longest template in bytes.
	MaxSize = 4 << 20
	// maxNodes bounds what a template of that size can make of memory.
	maxNodes = 200_000
	// maxDepth bounds recursion; Python gives up at less than 1000.
	maxDepth = 200
)

// SyntaxError says that the text is no template, or none within the limits.
type SyntaxError struct {
	Line int // from 1
	Msg  string
	// Extension says that the error is a tag that an extension may have.
	Extension bool
}

// Error implements error.
func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Msg) }

// Template is a parsed template.
type Template struct {
	body []stmt
	// Tags is the number of expressions and statements; text without any is a
	// template in name only.
	Tags int
}

// Kind is what sort of thing a problem is.
type Kind uint8

// The kinds of problems.
const (
	// Underscore: an attribute that leads to the interpreter is asked for.
	Underscore Kind = iota
	// Interpreter: a function that runs programs or code is called by name.
	Interpreter
	// ForeignPath: another template is loaded by a path out of the folder.
	ForeignPath
	// Foreign: another template is loaded.
	Foreign
	// Assembled: a name that leads to the interpreter is put together or
	// handed on, but is not seen to be used.
	Assembled
	// Computed: an attribute is asked for by a name that cannot be known.
	Computed
	// Environment: an object of the surrounding program is looked into.
	Environment
	// Exhaustion: rendering takes far more time or memory than a prompt needs.
	Exhaustion
	// Unfinished: the template takes more steps to evaluate than are granted.
	Unfinished
)

// Problem is one thing that a template should not do.
type Problem struct {
	Kind   Kind
	Line   int    // from 1
	Detail string // the name, after folding
}

// Parse reads a template. The error is a *[SyntaxError].
func Parse(src []byte) (*Template, error) {
	if len(src) > MaxSize {
		return nil, &SyntaxError{Line: 1, Msg: fmt.Sprintf("the template is longer than %d bytes", MaxSize)}
	}
	p := &parser{lex: lexer{src: string(src), line: 1}}
	body, err := p.template()
	if err != nil {
		return nil, err
	}
	return &Template{body: body, Tags: p.tags}, nil
}

// Fragments reads every tag by itself that can be read, and forgets the rest.
// It is for text that Parse refuses.
func Fragments(src []byte) *Template {
	if len(src) > MaxSize {
		src = src[:MaxSize]
	}
	return fragments(string(src))
}
