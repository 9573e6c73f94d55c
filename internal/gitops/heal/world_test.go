package heal_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/internal/gitops/target/embedded"
	"github.com/apexlogic/apex/verdict"
)

const source = "vision"

// writer is how somebody who is not Apex writes.
type writer struct {
	manager     string
	operation   string // "Update", "Apply", or "Wipe": Update, then the record of owners is wiped
	subresource string
}

// world is a target, and what others can do to it.
type world interface {
	gitops.Target
	// write changes the object as the writer would, and returns what is there then.
	write(t testing.TB, id gitops.ID, version string, by writer, change func(body map[string]any)) *gitops.Live
	create(t testing.TB, body map[string]any, manager string) bool // false: it is there already
	namespace() string
	real() bool // with defaults, validation and fields that cannot be changed
}

type embeddedWorld struct{ *embedded.Store }

func openEmbedded(t testing.TB) world {
	store, err := embedded.Open(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return embeddedWorld{store}
}

func (embeddedWorld) namespace() string { return "shop" }
func (embeddedWorld) real() bool        { return false }

func (w embeddedWorld) write(t testing.TB, id gitops.ID, version string, by writer, change func(map[string]any)) *gitops.Live {
	t.Helper()
	if by.operation == "Apply" && by.manager == gitops.FieldManager {
		live, err := w.Get(t.Context(), id, version)
		if err != nil {
			t.Fatal(err)
		}
		body := applicable(live.Body)
		change(body)
		o, err := gitops.NewObject(body, verdict.Origin{})
		if err != nil {
			t.Fatal(err)
		}
		if live, err = w.Apply(t.Context(), &o, gitops.ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
		return live
	}
	live, err := w.Update(t.Context(), id, by.manager, by.subresource, func(body map[string]any) error {
		change(body)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return live
}

func (w embeddedWorld) create(t testing.TB, body map[string]any, manager string) bool {
	t.Helper()
	o, err := gitops.NewObject(body, verdict.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Create(t.Context(), &o, manager)
	if err != nil && !errors.Is(err, gitops.ErrConflict) {
		t.Fatal(err)
	}
	return err == nil
}

// applicable is a live body as somebody would apply it.
func applicable(live map[string]any) map[string]any {
	body := deepCopy(live)
	meta := body["metadata"].(map[string]any)
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"} {
		delete(meta, field)
	}
	delete(body, "status")
	return body
}

func deepCopy(body map[string]any) map[string]any {
	return (&unstructured.Unstructured{Object: body}).DeepCopy().Object
}

// essence is what a person means by the object being the same.
func essence(live map[string]any) map[string]any {
	body := applicable(live)
	meta := body["metadata"].(map[string]any)
	for _, field := range []string{"labels", "annotations", "finalizers", "ownerReferences"} {
		if v := reflect.ValueOf(meta[field]); v.IsValid() && v.Len() == 0 {
			delete(meta, field)
		}
	}
	return body
}

// object reads YAML, into the namespace of the world and with the label.
func object(t testing.TB, w world, text string) *gitops.Object {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var u unstructured.Unstructured
	if err := u.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	if u.GetNamespace() == "HERE" {
		u.SetNamespace(w.namespace())
	}
	o, err := gitops.NewObject(u.Object, verdict.Origin{File: "app.yaml", Line: 1})
	if err != nil {
		t.Fatal(err)
	}
	if o, err = gitops.Labelled(o, source); err != nil {
		t.Fatal(err)
	}
	return &o
}

// guard is a healer that runs, and what it reported.
type guard struct {
	*heal.Healer
	world world

	mu      sync.Mutex
	reports []heal.Report
	news    chan struct{} // closed and made anew with each report
}

func newGuard(t testing.TB, w world, change func(*heal.Config)) *guard {
	t.Helper()
	g := &guard{world: w, news: make(chan struct{})}
	config := heal.Config{Target: w, Source: source, Report: func(r heal.Report) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.reports = append(g.reports, r)
		close(g.news)
		g.news = make(chan struct{})
	}}
	if change != nil {
		change(&config)
	}
	var err error
	if g.Healer, err = heal.New(config); err != nil {
		t.Fatal(err)
	}
	return g
}

// run runs the healer until the test ends.
func (g *guard) run(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the healer ended with %v", err)
		}
	})
}

// put desires and applies.
func (g *guard) put(t testing.TB, o *gitops.Object) *gitops.Live {
	t.Helper()
	if err := g.Desire(o); err != nil {
		t.Fatal(err)
	}
	live, err := g.world.Apply(t.Context(), o, gitops.ApplyOptions{})
	if err != nil {
		t.Fatalf("apply %s: %v", o.ID, err)
	}
	g.Applied(o, live)
	return live
}

const patience = 2 * time.Minute

// until waits until the condition holds, asked at each report.
func (g *guard) until(t testing.TB, what string, holds func([]heal.Report) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		g.mu.Lock()
		reports, news := g.reports, g.news
		g.mu.Unlock()
		if holds(reports) {
			return
		}
		select {
		case <-news:
		case <-deadline:
			t.Fatalf("%s: not within %s; reports: %v", what, patience, summary(reports))
		}
	}
}

// rest waits until there is nothing left to do.
func (g *guard) rest(t testing.TB, looks int) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		if g.Stats().Looks >= looks && g.Idle() {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not at rest within %s: %+v", patience, g.Stats())
		}
	}
}

func (g *guard) of(code verdict.Code, id gitops.ID) (out []heal.Report) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.reports {
		if r.Code == code && r.ID == id {
			out = append(out, r)
		}
	}
	return out
}

func summary(reports []heal.Report) (out []string) {
	for _, r := range reports[max(0, len(reports)-8):] {
		data, _ := json.Marshal(r.Changes)
		s := string(r.Code) + " " + r.ID.String() + " " + string(data)
		if r.Err != nil {
			s += " " + r.Err.Error()
		}
		out = append(out, s)
	}
	return out
}

// Ways through a body, for the tables.

func at(body map[string]any, path ...any) any {
	var v any = body
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(map[string]any)[p]
		case int:
			v = v.([]any)[p]
		}
	}
	return v
}

func mapAt(body map[string]any, path ...any) map[string]any {
	for i := range path {
		name, ok := path[i].(string)
		if !ok {
			continue
		}
		parent := at(body, path[:i]...).(map[string]any)
		if parent[name] == nil {
			parent[name] = map[string]any{}
		}
	}
	return at(body, path...).(map[string]any)
}

// set returns a change that sets the last name of the path.
func set(value any, path ...any) func(map[string]any) {
	return func(body map[string]any) {
		mapAt(body, path[:len(path)-1]...)[path[len(path)-1].(string)] = value
	}
}

// drop returns a change that takes the last name of the path away.
func drop(path ...any) func(map[string]any) {
	return func(body map[string]any) { delete(mapAt(body, path[:len(path)-1]...), path[len(path)-1].(string)) }
}

// add returns a change that appends to the list of the path.
func add(value any, path ...any) func(map[string]any) {
	return func(body map[string]any) {
		m := mapAt(body, path[:len(path)-1]...)
		name := path[len(path)-1].(string)
		list, _ := m[name].([]any)
		m[name] = append(append([]any{}, list...), value)
	}
}

// first returns a change that puts a value before the list of the path.
func first(value any, path ...any) func(map[string]any) {
	return func(body map[string]any) {
		m := mapAt(body, path[:len(path)-1]...)
		name := path[len(path)-1].(string)
		list, _ := m[name].([]any)
		m[name] = append([]any{value}, list...)
	}
}

// cut returns a change that takes an element out of the list of the path.
func cut(i int, path ...any) func(map[string]any) {
	return func(body map[string]any) {
		m := mapAt(body, path[:len(path)-1]...)
		name := path[len(path)-1].(string)
		list := m[name].([]any)
		m[name] = append(append([]any{}, list[:i]...), list[i+1:]...)
	}
}

// swap returns a change that exchanges two elements.
func swap(path ...any) func(map[string]any) {
	return func(body map[string]any) {
		m := mapAt(body, path[:len(path)-1]...)
		name := path[len(path)-1].(string)
		list := append([]any{}, m[name].([]any)...)
		list[0], list[1] = list[1], list[0]
		m[name] = list
	}
}

// both returns a change that makes all of them.
func both(changes ...func(map[string]any)) func(map[string]any) {
	return func(body map[string]any) {
		for _, c := range changes {
			c(body)
		}
	}
}

// object1 makes a map of names and values.
func object1(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}
