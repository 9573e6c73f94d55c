package heal

import (
	"encoding/json"
	"slices"
	"strings"
)

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// set is an operation that has a value, which may be null.
type set struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// backward orders differences so that what is removed shifts nothing that is
// still to be removed: later elements of a list first.
func backward(a, b finding) int {
	for i := range min(len(a.way), len(b.way)) {
		x, y := a.way[i], b.way[i]
		if x.index != y.index {
			return y.index - x.index
		}
		if c := strings.Compare(x.name, y.name); c != 0 && x.index < 0 {
			return c
		}
	}
	return len(b.way) - len(a.way)
}

// removal is the patch that takes the additions away, from that version only.
func removal(version string, added []finding) ([]byte, error) {
	ops := []any{set{"test", "/metadata/resourceVersion", version}}
	slices.SortFunc(added, backward)
	for i := range added {
		ops = append(ops, operation{Op: "remove", Path: added[i].pointer()})
	}
	return json.Marshal(ops)
}

// rewriting is the patch that makes all differences go at once, where an apply
// could not: a union (a volume of another sort) is invalid half way.
func rewriting(version string, found []finding) ([]byte, error) {
	ops := []any{set{"test", "/metadata/resourceVersion", version}}
	var added, missing, lists []finding
	for _, f := range found {
		switch f.what {
		case Changed:
			ops = append(ops, set{"replace", f.pointer(), f.want})
		case Added:
			added = append(added, f)
		case Missing:
			missing = append(missing, f)
		case Reordered:
			lists = append(lists, f)
		}
	}
	// Fields that are missing are added while the positions are what they were,
	// elements at the end.
	var elements []finding
	for _, f := range missing {
		if f.way[len(f.way)-1].index >= 0 {
			elements = append(elements, f)
			continue
		}
		ops = append(ops, set{"add", f.pointer(), f.want})
	}
	slices.SortFunc(added, backward)
	for i := range added {
		ops = append(ops, operation{Op: "remove", Path: added[i].pointer()})
	}
	for _, f := range elements {
		if inside(f, added) || inside(f, lists) {
			continue
		}
		at := f.pointer()
		ops = append(ops, set{"add", at[:strings.LastIndexByte(at, '/')] + "/-", f.want})
	}
	for _, f := range lists {
		ops = append(ops, set{"replace", f.pointer(), f.want})
	}
	return json.Marshal(ops)
}

// inside says whether the difference lies within one of the others.
func inside(f finding, others []finding) bool {
	at := f.pointer()
	return slices.ContainsFunc(others, func(o finding) bool { return strings.HasPrefix(at, o.pointer()+"/") })
}

// adopt writes what the target holds into the desired body, which is changed: a
// field that another may write is not to be put back on the way.
func adopt(body map[string]any, f *finding) {
	var at any = body
	for i, s := range f.way[:len(f.way)-1] {
		switch v := at.(type) {
		case map[string]any:
			at = v[s.name]
		case []any:
			at = element(v, f.way[i])
		}
	}
	m, ok := at.(map[string]any)
	last := f.way[len(f.way)-1]
	if !ok || last.index >= 0 {
		return
	}
	if f.what == Missing {
		delete(m, last.name)
	} else {
		m[last.name] = f.have
	}
}

func element(list []any, s step) any {
	if s.keys == nil {
		if s.index < len(list) {
			return list[s.index]
		}
		return nil
	}
	for _, v := range list {
		m, _ := v.(map[string]any)
		if !slices.ContainsFunc(s.keys, func(k keyed) bool { return text(keyValue(m, k.name)) != text(k.value) }) {
			return v
		}
	}
	return nil
}
