package dast

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// object is a part of an OpenAPI description: what is read of it is little, so
// it stays as it was decoded. Missing parts, and those of another type, are empty.
type object map[string]any

// document is a description with what its references mean.
type document struct {
	root object
	// external is the first reference that leads out of the document.
	external string
}

// maxHops bounds references to references.
const maxHops = 16

// parseDescription reads OpenAPI 3 as JSON or YAML. It is not validated: what
// cannot be used is left out by whoever asks for it.
func parseDescription(data []byte) (*document, error) {
	var root any
	if err := json.Unmarshal(data, &root); err != nil {
		root = nil
		if err := yaml.Unmarshal(data, &root); err != nil {
			return nil, fmt.Errorf("it is neither JSON nor YAML: %w", err)
		}
	}
	m, ok := plain(root, 0).(map[string]any)
	if !ok {
		return nil, errors.New("it is no OpenAPI description")
	}
	return &document{root: m}, nil
}

// maxDepth bounds nesting; descriptions nest some twenty levels.
const maxDepth = 200

// plain makes of YAML what JSON could say: other keys and numbers are left out,
// and so is what is nested too deep.
func plain(v any, depth int) any {
	if depth > maxDepth {
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = plain(e, depth+1)
		}
		return v
	case map[any]any:
		out := map[string]any{}
		for k, e := range v {
			if name, ok := k.(string); ok {
				out[name] = plain(e, depth+1)
			} else if n, ok := k.(int); ok { // the codes of responses
				out[fmt.Sprint(n)] = plain(e, depth+1)
			}
		}
		return out
	case []any:
		for i, e := range v {
			v[i] = plain(e, depth+1)
		}
		return v
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return v
	case string, bool, int, int64, uint64, nil:
		return v
	}
	return fmt.Sprint(v) // times
}

// at follows a reference within the document; others are not followed.
func (d *document) at(v any) object {
	o, _ := v.(map[string]any)
	for range maxHops {
		ref, isRef := o["$ref"].(string)
		if !isRef {
			return o
		}
		pointer, local := strings.CutPrefix(ref, "#/")
		if !local {
			if d.external == "" {
				d.external = ref
			}
			return nil
		}
		var target any = map[string]any(d.root)
		for part := range strings.SplitSeq(pointer, "/") {
			in, _ := target.(map[string]any)
			target = in[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
		}
		o, _ = target.(map[string]any)
	}
	return nil // references in a circle
}

func (o object) text(key string) string {
	s, _ := o[key].(string)
	return s
}

func (o object) list(key string) []any {
	l, _ := o[key].([]any)
	return l
}

func (o object) object(key string) object {
	m, _ := o[key].(map[string]any)
	return m
}

// is reports whether a schema's type is, or may be, the one; OpenAPI 3.1 has lists.
func (o object) is(kind string) bool {
	return o.text("type") == kind || slices.Contains(o.list("type"), any(kind))
}
