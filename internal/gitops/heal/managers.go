package heal

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Manager is who wrote a field, as the server noted it: the name is what the
// writer said of itself.
type Manager struct {
	Name        string
	Operation   string // "Apply" or "Update"
	Subresource string // "scale", "status", or ""
	Time        string // RFC 3339
}

// maxManagers of one object are looked at. The server itself merges those of
// updates beyond ten.
const maxManagers = 128

// owners returns who owns the field of a difference, or something in it. Nobody
// does when the server filled it in, when it is gone, or when somebody wiped the
// record. The names are hints: they decide nothing but whether a listed writer
// may be meant.
func owners(live map[string]any, f *finding) []Manager {
	var out []Manager
	each(live, func(m Manager, fields map[string]any) {
		if owns(fields, f.way) {
			out = append(out, m)
		}
	})
	return out
}

// latest returns the last writer that was noted beside ourselves, for changes
// that leave no owner: a field that was taken away.
func latest(live map[string]any, except string) []Manager {
	var last Manager
	each(live, func(m Manager, _ map[string]any) {
		if m.Name != except && m.Subresource != "status" && m.Time >= last.Time {
			last = m
		}
	})
	if last.Name == "" {
		return nil
	}
	return []Manager{last}
}

func each(live map[string]any, do func(Manager, map[string]any)) {
	meta, _ := live["metadata"].(map[string]any)
	entries, _ := meta["managedFields"].([]any)
	for _, e := range entries[:min(len(entries), maxManagers)] {
		m, _ := e.(map[string]any)
		fields, _ := m["fieldsV1"].(map[string]any)
		get := func(name string) string { s, _ := m[name].(string); return s }
		if fields != nil {
			do(Manager{get("manager"), get("operation"), get("subresource"), get("time")}, fields)
		}
	}
}

// owns walks a field set (structured-merge-diff's FieldsV1: "f:" a field, "k:" an
// element by its key, "v:" by its value, "i:" by its position).
func owns(fields map[string]any, way []step) bool {
	for i, s := range way {
		if i > 0 && len(fields) == 0 {
			return true // owned as a whole
		}
		var next any
		if s.index < 0 {
			next = fields["f:"+s.name]
		} else {
			for name, value := range fields {
				if isElement(name, s) {
					next = value
					break
				}
			}
		}
		below, ok := next.(map[string]any)
		if !ok {
			return false
		}
		fields = below
	}
	return true
}

// maxKey bounds the key of one element: names are at most 253 bytes.
const maxKey = 4 << 10

func isElement(name string, s step) bool {
	kind, rest, ok := strings.Cut(name, ":")
	if !ok || len(rest) > maxKey {
		return false
	}
	switch kind {
	case "i":
		return s.keys == nil && rest == s.name
	case "v":
		var v any
		return s.keys == nil && json.Unmarshal([]byte(rest), &v) == nil && isScalar(v) && text(v) == s.name
	case "k":
		var key map[string]any
		d := json.NewDecoder(bytes.NewReader([]byte(rest)))
		if d.Decode(&key) != nil || len(key) == 0 {
			return false
		}
		if s.keys == nil {
			return false
		}
		return !slices.ContainsFunc(s.keys, func(k keyed) bool {
			v, there := key[k.name]
			return !there || !isScalar(v) || text(v) != text(k.value)
		})
	}
	return false
}
