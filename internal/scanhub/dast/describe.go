package dast

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

const (
	// maxDescription is twice the largest published descriptions.
	maxDescription = 8 << 20
	// maxOperations and maxSlots bound what one description can ask for.
	maxOperations = 2000
	maxSlots      = 40
	// maxNesting and maxValues bound example bodies: schemas may hold
	// themselves, and several times over.
	maxNesting = 6
	maxValues  = 2000
)

// operation is one method of one path, with values that it takes.
type operation struct {
	method, path string
	slots        []slot
	body         bool // it takes one, of JSON or a form
	example      any  // a valid body; it is never changed
	form         bool // the body is a form
	secured      bool // the description asks for credentials
}

// slot is a place in a request for one value.
type slot struct {
	in   string // "path", "query", "header", "cookie", "body"
	name string
	keys []any // in a body: the way to it, names and indexes
	kind string
	// value is a valid one.
	value any
}

func (s *slot) String() string { return s.in + ":" + s.name }

// operations reads a description. References to other files and hosts are not
// followed.
func operations(data []byte) ([]operation, error) {
	if len(data) > maxDescription {
		return nil, fmt.Errorf("the description is larger than %d bytes", maxDescription)
	}
	doc, err := parseDescription(data)
	if err != nil {
		return nil, fmt.Errorf("read OpenAPI description: %w", err)
	}
	paths := doc.root.object("paths")
	if version := doc.root.text("openapi"); !strings.HasPrefix(version, "3.") || paths == nil {
		return nil, fmt.Errorf("read OpenAPI description: version 3 with paths is read, this is %q", version)
	}
	var ops []operation
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := doc.at(paths[path])
		if !strings.HasPrefix(path, "/") {
			continue
		}
		for _, method := range methods {
			o, there := item[strings.ToLower(method)].(map[string]any)
			if !there {
				continue
			}
			if len(ops) == maxOperations {
				return nil, fmt.Errorf("the description lists more than %d operations", maxOperations)
			}
			ops = append(ops, doc.describe(item, method, path, o))
		}
	}
	if doc.external != "" {
		return nil, fmt.Errorf("read OpenAPI description: external references such as %q are not followed; bundle it into one file", sarif.Clip(doc.external, 100))
	}
	return ops, nil
}

// methods are those that a path may have; TRACE is not sent.
var methods = []string{http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPatch, http.MethodPost, http.MethodPut}

func (d *document) describe(item object, method, path string, o object) operation {
	op := operation{method: method, path: path}
	security := d.root.list("security")
	if own, there := o["security"].([]any); there {
		security = own
	}
	// An empty requirement among them means that none is needed.
	op.secured = len(security) > 0 && !slices.ContainsFunc(security, func(r any) bool { return len(d.at(r)) == 0 })
	known := map[string]bool{}
	for _, ref := range slices.Concat(o.list("parameters"), item.list("parameters")) { // the operation's own win
		p := d.at(ref)
		in, name := p.text("in"), p.text("name")
		if in == "" || known[in+"\x00"+name] || len(op.slots) == maxSlots {
			continue
		}
		known[in+"\x00"+name] = true
		s := slot{in: in, name: name, kind: "string", value: "example"}
		if schema := d.at(p["schema"]); schema != nil {
			s.kind, s.value = kindOf(schema), d.example(schema)
		}
		if p["example"] != nil {
			s.value = p["example"]
		}
		op.slots = append(op.slots, s)
	}
	content := d.at(o["requestBody"]).object("content")
	for _, media := range slices.Sorted(maps.Keys(content)) {
		schema := d.at(d.at(content[media])["schema"])
		if schema == nil {
			continue
		}
		base, _, _ := strings.Cut(strings.ToLower(media), ";")
		json := base == "application/json" || strings.HasSuffix(base, "+json")
		if form := base == "application/x-www-form-urlencoded"; json || form && !op.body {
			op.body, op.form, op.example = true, form, d.example(schema)
		}
		if json {
			break
		}
	}
	if op.body {
		op.leaves(op.example, nil, "")
	}
	return op
}

// leaves makes a slot of every scalar in a valid body.
func (op *operation) leaves(v any, keys []any, name string) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			op.leaves(v[k], append(slices.Clone(keys), k), name+"/"+k)
		}
	case []any:
		for i := range v[:min(len(v), 1)] {
			op.leaves(v[i], append(slices.Clone(keys), i), name+"/0")
		}
	default:
		if len(op.slots) == maxSlots {
			return
		}
		kind := "string"
		switch v.(type) {
		case float64, int:
			kind = "number"
		case bool:
			kind = "boolean"
		}
		op.slots = append(op.slots, slot{in: "body", name: name, keys: keys, kind: kind, value: v})
	}
}

func kindOf(s object) string {
	switch {
	case s.is("integer"), s.is("number"):
		return "number"
	case s.is("boolean"):
		return "boolean"
	}
	return "string"
}

// example makes a value that the schema allows, as far as it is simple to tell.
func (d *document) example(s object) any {
	left := maxValues
	return d.sample(s, 0, &left)
}

// sample makes a value of at most left values.
func (d *document) sample(s object, depth int, left *int) any {
	*left--
	switch {
	case *left < 0:
		return nil
	case s["example"] != nil:
		return s["example"]
	case len(s.list("examples")) > 0: // OpenAPI 3.1
		return s.list("examples")[0]
	case s["default"] != nil:
		return s["default"]
	case len(s.list("enum")) > 0:
		return s.list("enum")[0]
	case depth > maxNesting:
		return nil
	}
	for _, key := range []string{"oneOf", "anyOf"} {
		if options := s.list(key); len(options) > 0 && d.at(options[0]) != nil {
			return d.sample(d.at(options[0]), depth+1, left)
		}
	}
	properties, parts := s.object("properties"), s.list("allOf")
	if len(properties) > 0 || len(parts) > 0 || s.is("object") {
		all := map[string]any{}
		for _, ref := range parts {
			if part, ok := d.sample(d.at(ref), depth+1, left).(map[string]any); ok {
				maps.Copy(all, part)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			property := d.at(properties[name])
			if readOnly, _ := property["readOnly"].(bool); *left > 0 && property != nil && !readOnly {
				all[name] = d.sample(property, depth+1, left)
			}
		}
		return all
	}
	switch {
	case s.is("array"):
		items := d.at(s["items"])
		if items == nil {
			return []any{}
		}
		list := []any{d.sample(items, depth+1, left)}
		for n, _ := s["minItems"].(float64); float64(len(list)) < n && *left > 0; {
			list = append(list, d.sample(items, depth+1, left))
		}
		return list
	case s.is("integer"), s.is("number"):
		if s["minimum"] != nil {
			return s["minimum"]
		}
		return 1
	case s.is("boolean"):
		return true
	}
	switch s.text("format") {
	case "uuid":
		return "3b241101-e2bb-4255-8caf-4136c566a962"
	case "date":
		return "2026-01-02"
	case "date-time":
		return "2026-01-02T03:04:05Z"
	case "email":
		return "a@example.com"
	case "uri", "url":
		return "https://example.com/"
	}
	return strings.Repeat("example", minLength(s)/7+1)
}

// minLength is at most 700.
func minLength(s object) int {
	switch n := s["minLength"].(type) {
	case float64:
		return int(max(0, min(n, 700)))
	case int:
		return max(0, min(n, 700))
	}
	return 0
}
