package dast

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

const (
	// maxDescription is ten times the largest published descriptions.
	maxDescription = 32 << 20
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
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = false
	doc, err := loader.LoadFromData(data)
	if err != nil {
		return nil, fmt.Errorf("read OpenAPI description: %w", err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.") || doc.Paths == nil {
		return nil, fmt.Errorf("read OpenAPI description: version 3 with paths is read, this is %q", doc.OpenAPI)
	}
	var ops []operation
	for _, path := range slices.Sorted(slices.Values(doc.Paths.Keys())) {
		item := doc.Paths.Value(path)
		if item == nil || !strings.HasPrefix(path, "/") {
			continue
		}
		methods := item.Operations()
		for _, method := range slices.Sorted(maps.Keys(methods)) {
			if method == http.MethodTrace || method == http.MethodConnect {
				continue
			}
			if len(ops) == maxOperations {
				return nil, fmt.Errorf("the description lists more than %d operations", maxOperations)
			}
			ops = append(ops, describe(doc, item, method, path, methods[method]))
		}
	}
	return ops, nil
}

func describe(doc *openapi3.T, item *openapi3.PathItem, method, path string, o *openapi3.Operation) operation {
	op := operation{method: method, path: path}
	security := doc.Security
	if o.Security != nil {
		security = *o.Security
	}
	// An empty requirement among them means that none is needed.
	op.secured = len(security) > 0 && !slices.ContainsFunc(security, func(r openapi3.SecurityRequirement) bool { return len(r) == 0 })
	known := map[string]bool{}
	for _, ref := range append(slices.Clone(o.Parameters), item.Parameters...) { // the operation's own win
		p := ref.Value
		if p == nil || known[p.In+"\x00"+p.Name] || len(op.slots) == maxSlots {
			continue
		}
		known[p.In+"\x00"+p.Name] = true
		s := slot{in: p.In, name: p.Name, kind: "string", value: "example"}
		if p.Schema != nil && p.Schema.Value != nil {
			s.kind, s.value = kindOf(p.Schema.Value), example(p.Schema.Value)
		}
		if p.Example != nil {
			s.value = p.Example
		}
		op.slots = append(op.slots, s)
	}
	if o.RequestBody == nil || o.RequestBody.Value == nil {
		return op
	}
	content := o.RequestBody.Value.Content
	for _, media := range slices.Sorted(maps.Keys(content)) {
		m := content[media]
		if m == nil || m.Schema == nil || m.Schema.Value == nil {
			continue
		}
		base, _, _ := strings.Cut(strings.ToLower(media), ";")
		json := base == "application/json" || strings.HasSuffix(base, "+json")
		if form := base == "application/x-www-form-urlencoded"; json || form && !op.body {
			op.body, op.form, op.example = true, form, example(m.Schema.Value)
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

func kindOf(s *openapi3.Schema) string {
	switch {
	case s.Type.Is("integer"), s.Type.Is("number"):
		return "number"
	case s.Type.Is("boolean"):
		return "boolean"
	}
	return "string"
}

// example makes a value that the schema allows, as far as it is simple to tell.
func example(s *openapi3.Schema) any {
	left := maxValues
	return sample(s, 0, &left)
}

// sample makes a value of at most left values.
func sample(s *openapi3.Schema, depth int, left *int) any {
	*left--
	switch {
	case *left < 0:
		return nil
	case s.Example != nil:
		return s.Example
	case s.Default != nil:
		return s.Default
	case len(s.Enum) > 0:
		return s.Enum[0]
	case depth > maxNesting:
		return nil
	}
	for _, refs := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf} {
		if len(refs) > 0 && refs[0].Value != nil {
			return sample(refs[0].Value, depth+1, left)
		}
	}
	if len(s.Properties) > 0 || len(s.AllOf) > 0 || s.Type.Is("object") {
		all := map[string]any{}
		for _, ref := range s.AllOf {
			if ref.Value == nil {
				continue
			}
			if part, ok := sample(ref.Value, depth+1, left).(map[string]any); ok {
				maps.Copy(all, part)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			if ref := s.Properties[name]; *left > 0 && ref != nil && ref.Value != nil && !ref.Value.ReadOnly {
				all[name] = sample(ref.Value, depth+1, left)
			}
		}
		return all
	}
	switch {
	case s.Type.Is("array"):
		if s.Items == nil || s.Items.Value == nil {
			return []any{}
		}
		return []any{sample(s.Items.Value, depth+1, left)}
	case s.Type.Is("integer"), s.Type.Is("number"):
		if s.Min != nil {
			return *s.Min
		}
		return 1
	case s.Type.Is("boolean"):
		return true
	}
	switch s.Format {
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
	return strings.Repeat("example", int(min(s.MinLength, 700))/7+1)
}
