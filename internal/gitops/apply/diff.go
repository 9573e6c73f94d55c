package apply

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/gitops"
)

// Field is a field that an apply changes.
type Field struct {
	// Path is a JSON pointer (RFC 6901).
	Path string `json:"path"`
	// Old and New are JSON, cut to maxValue; "" where there is none. Values of
	// Secrets are not shown.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
}

const (
	maxValue  = 120 // of a value that people are shown
	maxFields = 100 // of one object
	hidden    = "(hidden)"
)

// Diff lists the fields in which two bodies of the object differ, ordered by
// path, at most 100. What the target itself writes (status, managed fields,
// versions) is left out.
func Diff(id gitops.ID, old, next map[string]any) []Field {
	d := differ{secret: id.Group == "" && id.Kind == "Secret"}
	d.maps("", old, next)
	return d.fields
}

// covers says whether live holds everything that is desired.
func covers(live, desired any) bool {
	switch desired := desired.(type) {
	case map[string]any:
		have, ok := live.(map[string]any)
		if !ok {
			return false
		}
		for k, v := range desired {
			w, there := have[k]
			if !there || !covers(w, v) {
				return false
			}
		}
		return true
	case []any:
		have, ok := live.([]any)
		if !ok || len(have) != len(desired) {
			return false
		}
		for i := range desired {
			if !covers(have[i], desired[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(live, desired)
}

type differ struct {
	fields []Field
	secret bool
}

// written are the fields of an object that nobody applies.
func written(path string) bool {
	switch path {
	case "/status", "/metadata/managedFields", "/metadata/resourceVersion", "/metadata/generation",
		"/metadata/uid", "/metadata/creationTimestamp":
		return true
	}
	return false
}

func (d *differ) maps(path string, old, next map[string]any) {
	keys := slices.Collect(maps.Keys(old))
	for k := range next {
		if _, ok := old[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		at := path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(k)
		if written(at) {
			continue
		}
		a, inOld := old[k]
		b, inNext := next[k]
		d.values(at, a, inOld, b, inNext)
	}
}

func (d *differ) values(path string, old any, inOld bool, next any, inNext bool) {
	if inOld == inNext && reflect.DeepEqual(old, next) || len(d.fields) == maxFields {
		return
	}
	if a, ok := old.(map[string]any); ok {
		if b, ok := next.(map[string]any); ok {
			d.maps(path, a, b)
			return
		}
	}
	if a, ok := old.([]any); ok {
		if b, ok := next.([]any); ok && len(a) == len(b) {
			for i := range a {
				d.values(fmt.Sprintf("%s/%d", path, i), a[i], true, b[i], true)
			}
			return
		}
	}
	f := Field{Path: path}
	if inOld {
		f.Old = d.show(old)
	}
	if inNext {
		f.New = d.show(next)
	}
	d.fields = append(d.fields, f)
}

func (d *differ) show(v any) string {
	if d.secret {
		return hidden
	}
	data, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	if len(data) > maxValue {
		return strings.ToValidUTF8(string(data[:maxValue]), "") + "…"
	}
	return string(data)
}
