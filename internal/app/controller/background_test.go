package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/kube"
)

// crowded is a cluster with more Pods than one listing returns: in one namespace
// alone, too, if it says so.
type crowded struct {
	pods  map[string]int // by namespace
	most  int            // that a listing returns
	fails kube.Kind
	gets  int
}

func (c *crowded) pod(namespace string, i int) kube.Object {
	return kube.Object{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"namespace": namespace, "name": fmt.Sprint("p", i), "uid": fmt.Sprint(namespace, i)},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "registry.example/app@sha256:" + strings.Repeat("a", 64)}}},
	}}
}

func (c *crowded) List(_ context.Context, kind kube.Kind, namespace, _ string) ([]kube.Object, error) {
	var out []kube.Object
	switch {
	case kind == c.fails:
		return nil, kube.ErrForbidden
	case kind == namespaceKind:
		for name := range c.pods {
			out = append(out, kube.Object{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}})
		}
	case kind.Kind == "Pod":
		for name, n := range c.pods {
			for i := range n {
				if namespace == "" || namespace == name {
					out = append(out, c.pod(name, i))
				}
			}
		}
	default:
		return nil, kube.ErrUnknownKind
	}
	if len(out) > c.most {
		return nil, fmt.Errorf("%w: more than %d objects", kube.ErrInvalid, c.most)
	}
	return out, nil
}

func (c *crowded) ListMeta(_ context.Context, s kube.Selection, each func(kube.Meta)) error {
	for i := range c.pods[s.Namespace] {
		each(kube.Meta{Namespace: s.Namespace, Name: fmt.Sprint("p", i)})
	}
	return nil
}

func (c *crowded) Get(_ context.Context, id kube.ID) (*kube.Object, error) {
	if id.Kind == namespaceKind {
		return &kube.Object{Object: map[string]any{"metadata": map[string]any{"name": id.Name}}}, nil
	}
	c.gets++
	var i int
	if _, err := fmt.Sscanf(id.Name, "p%d", &i); err != nil || i >= c.pods[id.Namespace]-1 {
		return nil, kube.ErrNotFound // the last one went meanwhile
	}
	o := c.pod(id.Namespace, i)
	return &o, nil
}

func none(string) bool { return false }

func TestMoreThanOneListingReturnsIsAskedAboutByNamespace(t *testing.T) {
	for name, c := range map[string]struct {
		from *crowded
		want map[string]int
		gets int
	}{
		"one listing":           {&crowded{pods: map[string]int{"a": 3, "b": 4}, most: 10}, map[string]int{"a": 3, "b": 4}, 0},
		"by namespace":          {&crowded{pods: map[string]int{"a": 8, "b": 9}, most: 10}, map[string]int{"a": 8, "b": 9}, 0},
		"a namespace too large": {&crowded{pods: map[string]int{"a": 8, "b": 20}, most: 10}, map[string]int{"a": 8, "b": 19}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := gather(t.Context(), c.from, nil, none)
			if err != nil {
				t.Fatal(err)
			}
			for namespace, n := range c.want {
				if got := len(w.subjects[namespace]); got != n {
					t.Errorf("%d objects in %s, want %d", got, namespace, n)
				}
			}
			if c.from.gets != c.gets {
				t.Errorf("%d objects were read alone, want %d", c.from.gets, c.gets)
			}
		})
	}
}

func TestAKindThatMayNotBeListedIsUnseenAndTheRestIsAskedAbout(t *testing.T) {
	from := &crowded{pods: map[string]int{"a": 3}, most: 10, fails: kube.Kind{Group: "apps", Version: "v1", Kind: "Deployment"}}
	w, err := gather(t.Context(), from, nil, none)
	if !errors.Is(err, kube.ErrForbidden) || !w.unseen[from.fails] || len(w.unseen) != 1 || len(w.subjects["a"]) != 3 {
		t.Errorf("%v, unseen %v, %d objects", err, w.unseen, len(w.subjects["a"]))
	}
	from.fails = kube.Kind{}
	if w, err := gather(t.Context(), from, nil, none); err != nil || len(w.unseen) != 0 {
		t.Errorf("the twin: %v, unseen %v", err, w.unseen)
	}
	// Without the namespaces nobody knows what is enforced: nothing is concluded.
	from.fails = namespaceKind
	if w, err := gather(t.Context(), from, nil, none); w != nil || err == nil {
		t.Errorf("without namespaces: %v, %v", w, err)
	}
}

func TestOnlyTheNamespacesThatAreDueAreListed(t *testing.T) {
	from := &crowded{pods: map[string]int{"a": 3, "b": 4, "kube-system": 5}, most: 10}
	w, err := gather(t.Context(), from, []string{"b", "kube-system"}, func(n string) bool { return n == "kube-system" })
	if err != nil || len(w.subjects) != 1 || len(w.subjects["b"]) != 4 || fmt.Sprint(w.namespaces()) != "[b]" {
		t.Errorf("%v: %v, %d objects", err, w.namespaces(), len(w.subjects["b"]))
	}
}

func TestWhatHasRunToItsEndRunsNoMore(t *testing.T) {
	for text, want := range map[string]bool{
		`{"kind":"Pod","status":{"phase":"Succeeded"}}`: true,
		`{"kind":"Pod","status":{"phase":"Failed"}}`:    true,
		`{"kind":"Pod","status":{"phase":"Running"}}`:   false,
		`{"kind":"Pod"}`: false,
		`{"kind":"Job","status":{"conditions":[{"type":"Complete","status":"True"}]}}`:               true,
		`{"kind":"Job","status":{"conditions":[{"type":"Failed","status":"False"}]}}`:                false,
		`{"kind":"Deployment","status":{"phase":"Failed","conditions":[{"type":"Failed"}]},"x":"y"}`: false,
	} {
		var o kube.Object
		if err := o.UnmarshalJSON([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if finished(&o) != want {
			t.Errorf("%s: %t", text, !want)
		}
	}
}
