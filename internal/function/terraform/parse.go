package terraform

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

const (
	// maxFile bounds one file: the largest that people write are generated and
	// some hundred KiB.
	maxFile = 2 << 20
	// maxBrackets and maxPrefixes bound how deep HCL's parser, which is
	// recursive, is led: its stack would otherwise grow with the file.
	maxBrackets = 100
	maxPrefixes = 20_000
)

// expr is an expression of a file: HCL's own, or a value of Terraform's JSON
// syntax, whose texts are templates.
type expr struct {
	hcl  hclsyntax.Expression
	json *node.Node
	src  *source
}

// source is one file that was read.
type source struct {
	file string
	text []byte
}

// body is what stands between the braces of a block.
type body struct {
	stack.Where
	attrs  []attr
	blocks []block
}

type attr struct {
	name string
	stack.Where
	value expr
}

type block struct {
	stack.Where
	kind   string
	labels []string
	body   *body
}

// get returns the expression of an attribute; ok is false when there is none.
func (b *body) get(name string) (a attr, ok bool) {
	for _, a := range b.attrs {
		if a.name == name {
			return a, true
		}
	}
	return attr{}, false
}

// parseHCL reads a file of HCL's native syntax. What could be read before a
// mistake is returned with the error.
func parseHCL(file string, data []byte) (*body, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than 2 MiB: split it", file)
	}
	text := []byte(node.Clean(string(data)))
	tokens, _ := hclsyntax.LexConfig(text, file, hcl.InitialPos)
	if err := checkTokens(tokens); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	f, diags := hclsyntax.ParseConfig(text, file, hcl.InitialPos)
	var out *body
	if f != nil {
		if b, ok := f.Body.(*hclsyntax.Body); ok {
			out = fromHCL(b, &source{file, text}, stack.Where{File: file, Line: 1})
		}
	}
	return out, diagnosed(file, diags)
}

// diagnosed is the first complaint of the parser. Its detail may quote the
// file, so only the summary is kept.
func diagnosed(file string, diags hcl.Diagnostics) error {
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			if d.Subject != nil {
				return fmt.Errorf("%s:%d: not valid HCL: %s", file, d.Subject.Start.Line, strings.ToLower(d.Summary))
			}
			return fmt.Errorf("%s: not valid HCL: %s", file, strings.ToLower(d.Summary))
		}
	}
	return nil
}

// checkTokens refuses what would lead the parser too deep.
func checkTokens(tokens hclsyntax.Tokens) error {
	depth, prefixes := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp,
			hclsyntax.TokenTemplateControl, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			if depth++; depth > maxBrackets {
				return fmt.Errorf("line %d: nested deeper than %d", t.Range.Start.Line, maxBrackets)
			}
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
			hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			depth = max(0, depth-1)
		case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenQuestion:
			if prefixes++; prefixes > maxPrefixes {
				return errors.New("more operators than anybody writes")
			}
		}
	}
	// Template conditions nest without a bracket that closes them.
	return nil
}

func fromHCL(b *hclsyntax.Body, src *source, at stack.Where) *body {
	out := &body{Where: at}
	for _, a := range b.Attributes {
		out.attrs = append(out.attrs, attr{a.Name, stack.Where{File: src.file, Line: a.NameRange.Start.Line}, expr{hcl: a.Expr, src: src}})
	}
	sortByLine(out.attrs)
	for _, bl := range b.Blocks {
		where := stack.Where{File: src.file, Line: bl.TypeRange.Start.Line}
		out.blocks = append(out.blocks, block{where, bl.Type, bl.Labels, fromHCL(bl.Body, src, where)})
	}
	return out
}

// labelled is how many labels the blocks of a file's top level have.
var labelled = map[string]int{"resource": 2, "data": 2, "variable": 1, "output": 1, "module": 1, "provider": 1}

// parseJSON reads a file of Terraform's JSON syntax.
func parseJSON(file string, data []byte) (*body, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than 2 MiB: split it", file)
	}
	doc, err := node.JSON(file, data)
	if err != nil {
		return nil, err
	}
	src := &source{file: file}
	out := &body{Where: stack.Where{File: file, Line: 1}}
	for _, top := range doc.All() {
		for _, f := range top.Fields {
			out.blocks = append(out.blocks, jsonBlocks(f, labelled[f.Key], nil, src)...)
		}
	}
	return out, nil
}

// jsonBlocks reads the blocks of one kind: a map for each label, then a map or
// a list of maps.
func jsonBlocks(f node.Field, labels int, have []string, src *source) []block {
	var out []block
	for _, v := range f.Value.All() {
		if !v.IsMap() {
			continue
		}
		if len(have) < labels {
			for _, inner := range v.Fields {
				g := inner
				out = append(out, jsonBlocksOf(f.Key, g, labels, append(have[:len(have):len(have)], g.Key), src)...)
			}
			continue
		}
		at := stack.Where{File: src.file, Line: f.Line}
		out = append(out, block{at, f.Key, have, fromJSON(v, src, at)})
	}
	return out
}

func jsonBlocksOf(kind string, f node.Field, labels int, have []string, src *source) []block {
	blocks := jsonBlocks(node.Field{Key: kind, Line: f.Line, Value: f.Value}, labels, have, src)
	return blocks
}

// fromJSON reads a body. What is a map could be a block or a map: both readings
// have the same shape once evaluated, so every field is an attribute, but for
// dynamic blocks.
func fromJSON(v *node.Node, src *source, at stack.Where) *body {
	out := &body{Where: at}
	for _, f := range v.Fields {
		if f.Key == "dynamic" {
			for _, b := range jsonBlocks(f, 1, nil, src) {
				for i, a := range b.body.attrs {
					if a.name == "content" {
						b.body.blocks = append(b.body.blocks, jsonBlocks(node.Field{Key: "content", Line: a.Line, Value: a.value.json}, 0, nil, src)...)
						b.body.attrs = append(b.body.attrs[:i:i], b.body.attrs[i+1:]...)
						break
					}
				}
				out.blocks = append(out.blocks, b)
			}
			continue
		}
		out.attrs = append(out.attrs, attr{f.Key, stack.Where{File: src.file, Line: f.Line}, expr{json: f.Value, src: src}})
	}
	return out
}
