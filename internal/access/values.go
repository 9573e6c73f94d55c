package access

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
)

// Foreign JSON objects with attributes: a list in an object, or labels.
const (
	attributeDepth = 3
	mostAttributes = 4096
)

// ReadContext reads the context of a request from a JSON object: time as in
// RFC 3339, address as an IP address, numbers whole. A value of another type
// stays as it is, so that a policy that asks for it denies. With strict, that
// is an error, and so is a name that the schema does not hold; else such names
// are left out.
func ReadContext(data []byte, strict bool) (map[string]any, error) {
	given, err := ReadAttributes(data)
	if err != nil {
		return nil, err
	}
	for name, v := range given {
		i := slices.IndexFunc(about, func(a attribute) bool { return string(a.name) == name })
		if i < 0 {
			if strict {
				return nil, fmt.Errorf("context has no attribute %s%s", clip(name), didYouMean(name, (&schema{}).known("context")))
			}
			delete(given, name)
			continue
		}
		written, _ := v.(string)
		switch about[i].typ {
		case Time:
			if t, err := time.Parse(time.RFC3339, written); err == nil {
				given[name] = t
			}
		case Address:
			if a, err := netip.ParseAddr(written); err == nil {
				given[name] = a
			}
		}
		if _, ok := about[i].typ.value(given[name]); !ok && strict {
			return nil, fmt.Errorf("context.%s is no %s", name, about[i].typ)
		}
	}
	return given, nil
}

// ReadAttributes reads the attributes of a principal, or the properties of a
// resource, from a JSON object. Each is a string, a bool, an int64, a []string
// or, for labels, a map[string]any of strings; what is none of these stays what
// encoding/json makes of it, and is no attribute for any policy. Empty data is
// an empty object.
func ReadAttributes(data []byte) (map[string]any, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return map[string]any{}, nil
	}
	rules := bounded.Rules{Depth: attributeDepth, Values: mostAttributes, Keys: mostAttributes, FreeMaps: []string{"labels"}}
	if err := rules.Check(data); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var given map[string]any
	if err := d.Decode(&given); err != nil || given == nil {
		return nil, fmt.Errorf("it is no JSON object")
	}
	for name, v := range given {
		switch v := v.(type) {
		case nil:
			delete(given, name)
		case json.Number:
			if n, err := v.Int64(); err == nil {
				given[name] = n
			}
		case []any:
			if texts, ok := textsOf(v); ok {
				given[name] = texts
			}
		}
	}
	return given, nil
}

func textsOf(all []any) ([]string, bool) {
	texts := make([]string, 0, len(all))
	for _, v := range all {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		texts = append(texts, s)
	}
	return texts, true
}
