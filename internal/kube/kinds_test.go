package kube

import (
	"strings"
	"testing"
)

func FuzzReadResourcesNamesOnlySegments(f *testing.F) {
	f.Add([]byte(`{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"pods","namespaced":true,"kind":"Pod"},{"name":"pods/status","namespaced":true,"kind":"Pod"}]}`))
	f.Add([]byte(`{"resources":[{"name":"../x","kind":"X"}]}`))
	f.Add([]byte(`{"resources":[{"name":"","kind":"X"}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		served, err := readResources(data)
		if err != nil {
			return
		}
		for kind, r := range served {
			if kind == "" || r.plural == "" || r.plural == ".." || strings.ContainsAny(r.plural, "/%?#") {
				t.Errorf("%q is %+v", kind, r)
			}
		}
	})
}

func TestSubresourcesAndPathsAreNoKinds(t *testing.T) {
	served, err := readResources([]byte(`{"resources":[{"name":"pods","namespaced":true,"kind":"Pod"},{"name":"pods/eviction","namespaced":true,"kind":"Eviction"}]}`))
	if err != nil || len(served) != 1 || served["Pod"] != (resource{"pods", true}) {
		t.Errorf("%v, %v", served, err)
	}
	if _, err := readResources([]byte(`{"resources":[{"name":"..","kind":"Pod"}]}`)); err == nil {
		t.Error("a resource that is a path")
	}
}
