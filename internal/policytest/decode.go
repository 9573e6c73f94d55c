package policytest

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/verdict"
)

const (
	// maxFile bounds a file of cases: a thousand cases of a screen each.
	maxFile = 1 << 20
	// maxCases bounds the cases of one file.
	maxCases = 1000
	// maxDepth bounds nesting; a predicate is the only part that is deep.
	maxDepth = 32
	// maxNodes bounds what aliases expand to.
	maxNodes = 200_000
	// maxProblems is how many problems of one file are told.
	maxProblems = 50
)

// place is where something stands in the file.
type place struct{ line, column int }

// Parse reads a file of cases. Unknown and repeated fields, values of another
// type and missing fields are problems, each with its line and column; the
// error is a [*config.Invalid] then. Name stands for the file in positions.
func Parse(name string, data []byte) (*File, error) {
	d := &decoder{file: name}
	if len(data) > maxFile {
		return nil, d.invalid(place{}, "", fmt.Sprintf("the file is larger than %d bytes; split it", maxFile))
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, d.invalid(place{}, "", "the file is not UTF-8 text")
	}
	var doc, next yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); err != nil {
		return nil, d.invalid(place{}, "", "not valid YAML: "+strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&next); !errors.Is(err, io.EOF) {
		return nil, d.invalid(place{next.Line, max(1, next.Column)}, "", "a file of cases is one YAML document")
	}
	root := &doc
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		root = doc.Content[0]
	}
	f := &File{}
	d.value(root, reflect.ValueOf(f).Elem(), "", 0)
	if len(d.problems) == 0 {
		d.cases(root, f)
	}
	if len(d.problems) > 0 {
		return nil, &config.Invalid{Problems: d.problems}
	}
	return f, nil
}

// decoder reads YAML nodes into the structs of this package. Unlike the YAML
// package's own decoder it says where, and expands no more than it may.
type decoder struct {
	file     string
	nodes    int
	problems []config.Problem
}

func (d *decoder) problem(at place, path, message string) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, config.Problem{
			Position: config.Position{File: d.file, Line: at.line, Column: at.column}, Code: verdict.PolicyInvalid, Path: path, Message: message,
		})
	}
}

func (d *decoder) invalid(at place, path, message string) error {
	d.problem(at, path, message)
	return &config.Invalid{Problems: d.problems}
}

// cases decodes each case's given a second time, over what all have in common,
// and checks what the types cannot say.
func (d *decoder) cases(root *yaml.Node, f *File) {
	if f.Schema != Schema {
		d.problem(at(root), "schema", fmt.Sprintf("is %q; this Apex reads %s", clip(f.Schema), Schema))
	}
	list := resolve(child(root, "cases"))
	switch {
	case len(f.Policies) == 0:
		d.problem(at(child(root, "policies")), "policies", "names nothing; a file or folder is needed")
	case len(f.Cases) == 0:
		d.problem(at(list), "cases", "holds no case, so the file tests nothing")
	case len(f.Cases) > maxCases:
		d.problem(at(list), "cases", fmt.Sprintf("holds more than %d cases; split the file", maxCases))
	}
	seen := map[string]int{}
	for i := range f.Cases {
		if len(d.problems) > 0 {
			return
		}
		node, c := resolve(list.Content[i]), &f.Cases[i]
		path := fmt.Sprintf("cases[%d]", i)
		c.at = at(node)
		if first, twice := seen[c.Name]; twice {
			d.problem(c.at, path+".name", fmt.Sprintf("%q is there twice, first on line %d", clip(c.Name), first))
		}
		seen[c.Name] = c.at.line
		c.Given = f.Given
		if given := child(node, "given"); given != nil {
			d.fields(resolve(given), reflect.ValueOf(&c.Given).Elem(), path+".given", 2)
		}
		if c.Given.Image == "" {
			d.problem(c.at, path+".given.image", "is missing; write it here or in the given that all cases share")
		}
	}
}

func at(n *yaml.Node) place {
	if n == nil {
		return place{}
	}
	return place{n.Line, n.Column}
}

func resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func child(n *yaml.Node, key string) *yaml.Node {
	n = resolve(n)
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

var (
	timeType      = reflect.TypeFor[time.Time]()
	predicateType = reflect.TypeFor[Predicate]()
	textType      = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, depth int) {
	d.nodes++
	switch {
	case d.nodes > maxNodes:
		if d.nodes == maxNodes+1 {
			d.problem(at(n), path, fmt.Sprintf("the file has more than %d values after its aliases are expanded", maxNodes))
		}
		return
	case depth > maxDepth:
		d.problem(at(n), path, fmt.Sprintf("nested deeper than %d levels", maxDepth))
		return
	}
	n = resolve(n)
	switch {
	case v.Type() == predicateType:
		if data, ok := d.json(n, path, depth); ok {
			v.SetBytes(data)
		}
	case v.Type() == timeType:
		t, err := time.Parse(time.RFC3339, n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			d.problem(at(n), path, "is not a time such as 2026-11-20T12:00:00Z")
		}
		v.Set(reflect.ValueOf(t))
	case v.Addr().Type().Implements(textType):
		if text, ok := d.text(n, path); ok {
			if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
				d.problem(at(n), path, err.Error())
			}
		}
	case v.Kind() == reflect.Struct:
		v.SetZero() // what a case gives replaces what all cases share
		d.fields(n, v, path, depth)
	case v.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			d.problem(at(n), path, "is not a list")
			return
		}
		list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
		for i, item := range n.Content {
			d.value(item, list.Index(i), fmt.Sprintf("%s[%d]", path, i), depth+1)
		}
		v.Set(list)
	case v.Kind() == reflect.Map:
		m := reflect.MakeMap(v.Type())
		d.entries(n, path, func(key, value *yaml.Node, at string) {
			e := reflect.New(v.Type().Elem()).Elem()
			d.value(value, e, at, depth+1)
			m.SetMapIndex(reflect.ValueOf(key.Value), e)
		})
		v.Set(m)
	case v.Kind() == reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
			d.problem(at(n), path, "is not true or false")
		}
		v.SetBool(n.Value == "true")
	default:
		if text, ok := d.text(n, path); ok {
			v.SetString(text)
		}
	}
}

// text is a scalar that YAML takes for text. A number or a boolean has to be
// quoted where text is meant.
func (d *decoder) text(n *yaml.Node, path string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp" {
		d.problem(at(n), path, "is not text; quote it")
		return "", false
	}
	return n.Value, true
}

// entries calls each for every entry of a mapping.
func (d *decoder) entries(n *yaml.Node, path string, each func(key, value *yaml.Node, path string)) {
	if n.Kind != yaml.MappingNode {
		d.problem(at(n), path, "is not a mapping")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolve(n.Content[i])
		at := strings.TrimPrefix(path+"."+clip(key.Value), ".")
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge":
			d.problem(place{n.Content[i].Line, n.Content[i].Column}, path, "a key has to be text; merge keys are not read")
		case seen[key.Value]:
			d.problem(place{n.Content[i].Line, n.Content[i].Column}, at, "is there twice")
		default:
			seen[key.Value] = true
			each(key, n.Content[i+1], at)
		}
	}
}

func (d *decoder) fields(n *yaml.Node, v reflect.Value, path string, depth int) {
	known := map[string]int{}
	var names, required []string
	for i := range v.NumField() {
		tag, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if tag == "" {
			continue
		}
		known[tag] = i
		names = append(names, tag)
		if option == "required" {
			required = append(required, tag)
		}
	}
	given := map[string]bool{}
	d.entries(n, path, func(key, value *yaml.Node, at string) {
		i, ok := known[key.Value]
		if !ok {
			d.problem(place{key.Line, key.Column}, at, "is no field here; the fields are "+strings.Join(names, ", "))
			return
		}
		given[key.Value] = true
		d.value(value, v.Field(i), at, depth+1)
	})
	for _, name := range required {
		if !given[name] && n.Kind == yaml.MappingNode {
			d.problem(at(n), strings.TrimPrefix(path+"."+name, "."), "is missing")
		}
	}
}

// json writes a node as JSON: a predicate is JSON wherever it really stands.
func (d *decoder) json(n *yaml.Node, path string, depth int) ([]byte, bool) {
	v, ok := d.any(n, path, depth)
	if !ok {
		return nil, false
	}
	data, err := json.Marshal(v)
	if err != nil {
		d.problem(at(n), path, err.Error())
		return nil, false
	}
	return data, true
}

func (d *decoder) any(n *yaml.Node, path string, depth int) (any, bool) {
	n = resolve(n)
	if d.nodes++; d.nodes > maxNodes || depth > maxDepth {
		d.problem(at(n), path, "is too large or nested too deeply for a predicate here; put it into a predicateFile")
		return nil, false
	}
	switch n.Kind {
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, item := range n.Content {
			v, ok := d.any(item, fmt.Sprintf("%s[%d]", path, i), depth+1)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		return list, true
	case yaml.MappingNode:
		m, good := map[string]any{}, true
		before := len(d.problems)
		d.entries(n, path, func(key, value *yaml.Node, at string) {
			if !good {
				return
			}
			m[key.Value], good = d.any(value, at, depth+1)
		})
		return m, good && len(d.problems) == before
	}
	switch n.ShortTag() {
	case "!!null":
		return nil, true
	case "!!bool":
		return n.Value == "true", true
	case "!!int", "!!float":
		if _, err := strconv.ParseFloat(n.Value, 64); err == nil && json.Valid([]byte(n.Value)) {
			return json.Number(n.Value), true
		}
		d.problem(at(n), path, "is not a number of JSON; quote it if it is text")
		return nil, false
	}
	return n.Value, true
}
