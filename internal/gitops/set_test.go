package gitops

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

func TestASetHoldsWholeObjectsOnceAndWithinItsBounds(t *testing.T) {
	object := func(apiVersion, kind, name string) map[string]any {
		return map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name}}
	}
	fat := object("v1", "ConfigMap", "fat")
	fat["data"] = map[string]any{"a": strings.Repeat("x", MaxObjectBytes)}
	settings := object("v1", "ConfigMap", "settings")
	for _, tc := range []struct {
		name   string
		bodies []map[string]any
		why    string // "": they are a set
	}{
		{"two objects", []map[string]any{settings, object("v1", "Secret", "settings")}, ""},
		{"one object twice", []map[string]any{settings, settings}, "defined twice"},
		{"an object without a version", []map[string]any{object("", "ConfigMap", "settings")}, "apiVersion, kind and metadata.name"},
		{"without a kind", []map[string]any{object("v1", "", "settings")}, "apiVersion, kind and metadata.name"},
		{"without a name", []map[string]any{object("v1", "ConfigMap", "")}, "apiVersion, kind and metadata.name"},
		{"one that is too large", []map[string]any{fat}, "an object may have"},
	} {
		var objects []Object
		var err error
		for _, body := range tc.bodies {
			var o Object
			if o, err = NewObject(body, verdict.Origin{File: "deploy/a.yaml"}); err != nil {
				break
			}
			objects = append(objects, o)
		}
		if err == nil {
			_, err = NewSet(objects)
		}
		if (err != nil) != (tc.why != "") || err != nil && !strings.Contains(err.Error(), tc.why) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.why)
		}
	}
}
