// Package targettest holds what every [gitops.Target] and [gitops.Store] has to
// do, as tests. A target's own tests call [Target] and [Store] with a function
// that opens an empty one.
//
// The cases write ConfigMaps and nothing else, so that a directory, a store in
// memory and an API server can all be asked the same.
package targettest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// patience bounds what is waited for; it is never what a test is about.
const patience = 2 * time.Minute

// Harness is a target under test, and how others write to it.
type Harness struct {
	Target gitops.Target
	// Namespace is there, and holds nothing of the other tests.
	Namespace string
	// Write changes an object as another program would, under the manager's name.
	Write func(t testing.TB, id gitops.ID, manager string, change func(body map[string]any))
	// Remove takes an object away behind Apex's back.
	Remove func(t testing.TB, id gitops.ID)
	// Reopen ends the target and opens it again over what it kept. Nil where the
	// target lives elsewhere.
	Reopen func(t testing.TB) gitops.Target
	// StableUID: an object that is made again under its old name has its old UID.
	StableUID bool
}

// Source is the source whose objects the cases apply.
const Source = "conformance"

// ConfigMap returns an object of the source.
func ConfigMap(namespace, name string, data ...string) *gitops.Object {
	values := map[string]any{}
	for i := 0; i+1 < len(data); i += 2 {
		values[data[i]] = data[i+1]
	}
	o, err := gitops.NewObject(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": name, "namespace": namespace, "labels": map[string]any{gitops.LabelSource: Source}},
		"data":     values,
	}, verdict.Origin{File: name + ".yaml", Line: 1})
	if err != nil {
		panic(err)
	}
	return &o
}

var configMaps = gitops.Kind{Version: "v1", Kind: "ConfigMap"}

// Target runs the cases of targets; open returns one that holds nothing of ours.
func Target(t *testing.T, open func(t *testing.T) Harness) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"what is not there is not found", notFound},
		{"what is applied is there", applied},
		{"applying the same again changes nothing", appliedTwice},
		{"a change keeps the UID and moves the resource version", changed},
		{"a field that is desired no longer is removed", removedField},
		{"a field that another manager changed holds again after an apply", forced},
		{"an object that another manager removed is made again", removed},
		{"a dry run answers and changes nothing", dryRun},
		{"a resource version that is not the object's is a conflict", staleVersion},
		{"a patch holds when its test does", patched},
		{"a patch whose test does not hold changes nothing", patchRefused},
		{"a deletion removes the object, and once is enough", deleted},
		{"a deletion with another UID or version is a conflict", deletionRefused},
		{"a watch lists, says so, and follows", watched},
		{"a watch says that an object lost its label", labelLost},
		{"a watch reports its source and its kinds only", watchBounds},
		{"bodies are the caller's own", ownBodies},
		{"many may apply at the same time", concurrent},
		{"a list names all objects of a kind with their sources", listed},
		{"a ConfigMap is healthy when it is there", healthy},
		{"what was applied survives", survives},
		{"an ended context ends the call", endedContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func ctxOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func apply(t *testing.T, h Harness, o *gitops.Object) *gitops.Live {
	t.Helper()
	live, err := h.Target.Apply(ctxOf(t), o, gitops.ApplyOptions{})
	if err != nil {
		t.Fatalf("apply %s: %v", o.ID, err)
	}
	return live
}

func get(t *testing.T, h Harness, id gitops.ID) *gitops.Live {
	t.Helper()
	live, err := h.Target.Get(ctxOf(t), id, "v1")
	if err != nil {
		t.Fatalf("get %s: %v", id, err)
	}
	return live
}

// data returns the values of a ConfigMap.
func data(live *gitops.Live) map[string]any {
	values, _ := live.Body["data"].(map[string]any)
	return values
}

func wantData(t *testing.T, live *gitops.Live, pairs ...string) {
	t.Helper()
	want := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		want[pairs[i]] = pairs[i+1]
	}
	if got := data(live); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("data is %v, want %v", got, want)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func notFound(t *testing.T, h Harness) {
	o := ConfigMap(h.Namespace, "absent")
	_, err := h.Target.Get(ctxOf(t), o.ID, "v1")
	wantError(t, err, gitops.ErrNotFound)
	_, err = h.Target.Patch(ctxOf(t), o.ID, "v1", []byte(`[{"op":"add","path":"/data/a","value":"b"}]`))
	wantError(t, err, gitops.ErrNotFound)
	if _, err := h.Target.Get(ctxOf(t), apply1(t, h, "present").ID, "v1"); err != nil {
		t.Errorf("its twin: %v", err)
	}
}

func apply1(t *testing.T, h Harness, name string) *gitops.Object {
	t.Helper()
	o := ConfigMap(h.Namespace, name, "a", "b")
	apply(t, h, o)
	return o
}

func applied(t *testing.T, h Harness) {
	o := ConfigMap(h.Namespace, "made", "a", "b", "text", "line\nline \"quoted\" é: - #\n")
	live := apply(t, h, o)
	if live.UID == "" || live.ResourceVersion == "" {
		t.Errorf("it has UID %q and resource version %q", live.UID, live.ResourceVersion)
	}
	there := get(t, h, o.ID)
	wantData(t, there, "a", "b", "text", "line\nline \"quoted\" é: - #\n")
	if there.UID != live.UID || there.ResourceVersion != live.ResourceVersion {
		t.Errorf("applied as %s@%s, there is %s@%s", live.UID, live.ResourceVersion, there.UID, there.ResourceVersion)
	}
	if got := gitops.SourceOf(there.Body); got != Source {
		t.Errorf("its source is %q", got)
	}
	if there.Body["kind"] != "ConfigMap" || there.Body["apiVersion"] != "v1" {
		t.Errorf("it is a %v %v", there.Body["apiVersion"], there.Body["kind"])
	}
}

func appliedTwice(t *testing.T, h Harness) {
	o := ConfigMap(h.Namespace, "twice", "a", "b")
	first, second := apply(t, h, o), apply(t, h, o)
	if first.UID != second.UID || first.ResourceVersion != second.ResourceVersion {
		t.Errorf("first %s@%s, then %s@%s", first.UID, first.ResourceVersion, second.UID, second.ResourceVersion)
	}
}

func changed(t *testing.T, h Harness) {
	first := apply(t, h, ConfigMap(h.Namespace, "changes", "a", "b"))
	second := apply(t, h, ConfigMap(h.Namespace, "changes", "a", "c"))
	wantData(t, second, "a", "c")
	if first.UID != second.UID || first.ResourceVersion == second.ResourceVersion {
		t.Errorf("first %s@%s, then %s@%s", first.UID, first.ResourceVersion, second.UID, second.ResourceVersion)
	}
}

func removedField(t *testing.T, h Harness) {
	apply(t, h, ConfigMap(h.Namespace, "shrinks", "a", "b", "c", "d"))
	wantData(t, apply(t, h, ConfigMap(h.Namespace, "shrinks", "c", "d")), "c", "d")
	wantData(t, get(t, h, ConfigMap(h.Namespace, "shrinks").ID), "c", "d")
}

func forced(t *testing.T, h Harness) {
	for _, by := range []string{"somebody", gitops.FieldManager} {
		o := ConfigMap(h.Namespace, "forced", "a", "b")
		before := apply(t, h, o)
		h.Write(t, o.ID, by, func(body map[string]any) { body["data"].(map[string]any)["a"] = "tampered" })
		there := get(t, h, o.ID)
		wantData(t, there, "a", "tampered")
		if there.ResourceVersion == before.ResourceVersion {
			t.Errorf("the write by %s left the resource version", by)
		}
		wantData(t, apply(t, h, o), "a", "b")
	}
}

func removed(t *testing.T, h Harness) {
	o := ConfigMap(h.Namespace, "again", "a", "b")
	before := apply(t, h, o)
	h.Remove(t, o.ID)
	_, err := h.Target.Get(ctxOf(t), o.ID, "v1")
	wantError(t, err, gitops.ErrNotFound)
	after := apply(t, h, o)
	if same := before.UID == after.UID; same != h.StableUID {
		t.Errorf("the UID was %s and is %s", before.UID, after.UID)
	}
}

func dryRun(t *testing.T, h Harness) {
	fresh := ConfigMap(h.Namespace, "dry-fresh", "a", "b")
	live, err := h.Target.Apply(ctxOf(t), fresh, gitops.ApplyOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	wantData(t, live, "a", "b")
	if !live.Made {
		t.Error("a dry run says that it would not make what is not there")
	}
	_, err = h.Target.Get(ctxOf(t), fresh.ID, "v1")
	wantError(t, err, gitops.ErrNotFound)

	before := apply(t, h, ConfigMap(h.Namespace, "dry", "a", "b", "c", "d"))
	live, err = h.Target.Apply(ctxOf(t), ConfigMap(h.Namespace, "dry", "a", "changed"), gitops.ApplyOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	wantData(t, live, "a", "changed")
	if !before.Made || live.Made {
		t.Errorf("made says %t of what was made, and %t of what is there", before.Made, live.Made)
	}
	after := get(t, h, ConfigMap(h.Namespace, "dry").ID)
	wantData(t, after, "a", "b", "c", "d")
	if before.ResourceVersion != after.ResourceVersion {
		t.Errorf("the resource version was %s and is %s", before.ResourceVersion, after.ResourceVersion)
	}
}

func staleVersion(t *testing.T, h Harness) {
	first := apply(t, h, ConfigMap(h.Namespace, "versions", "a", "1"))
	second := apply(t, h, ConfigMap(h.Namespace, "versions", "a", "2"))
	third := ConfigMap(h.Namespace, "versions", "a", "3")
	_, err := h.Target.Apply(ctxOf(t), third, gitops.ApplyOptions{ResourceVersion: first.ResourceVersion})
	wantError(t, err, gitops.ErrConflict)
	wantData(t, get(t, h, third.ID), "a", "2")
	live, err := h.Target.Apply(ctxOf(t), third, gitops.ApplyOptions{ResourceVersion: second.ResourceVersion})
	if err != nil {
		t.Fatalf("its twin: %v", err)
	}
	wantData(t, live, "a", "3")
}

func patched(t *testing.T, h Harness) {
	o := ConfigMap(h.Namespace, "patched", "a", "b")
	apply(t, h, o)
	h.Write(t, o.ID, "somebody", func(body map[string]any) { body["data"].(map[string]any)["planted"] = "x" })
	there := get(t, h, o.ID)
	wantData(t, there, "a", "b", "planted", "x")
	live, err := h.Target.Patch(ctxOf(t), o.ID, "v1", fmt.Appendf(nil,
		`[{"op":"test","path":"/metadata/resourceVersion","value":%q},{"op":"remove","path":"/data/planted"}]`, there.ResourceVersion))
	if err != nil {
		t.Fatal(err)
	}
	wantData(t, live, "a", "b")
	after := get(t, h, o.ID)
	wantData(t, after, "a", "b")
	if after.ResourceVersion != live.ResourceVersion || after.ResourceVersion == there.ResourceVersion {
		t.Errorf("the resource version was %s, the patch answered %s, it is %s", there.ResourceVersion, live.ResourceVersion, after.ResourceVersion)
	}
}

func patchRefused(t *testing.T, h Harness) {
	o := ConfigMap(h.Namespace, "refused", "a", "b")
	stale := apply(t, h, o).ResourceVersion
	apply(t, h, ConfigMap(h.Namespace, "refused", "a", "c"))
	_, err := h.Target.Patch(ctxOf(t), o.ID, "v1", fmt.Appendf(nil,
		`[{"op":"test","path":"/metadata/resourceVersion","value":%q},{"op":"remove","path":"/data/a"}]`, stale))
	wantError(t, err, gitops.ErrConflict)
	wantData(t, get(t, h, o.ID), "a", "c")
	if _, err := h.Target.Patch(ctxOf(t), o.ID, "v1", []byte(`{"op":"none"}`)); err == nil {
		t.Error("a patch that is none passes")
	}
}

func deleted(t *testing.T, h Harness) {
	o := apply1(t, h, "deleted")
	stays := apply1(t, h, "stays")
	for range 2 {
		if err := h.Target.Delete(ctxOf(t), o.ID, "v1", gitops.Precondition{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.Target.Get(ctxOf(t), o.ID, "v1")
	wantError(t, err, gitops.ErrNotFound)
	get(t, h, stays.ID)
}

func deletionRefused(t *testing.T, h Harness) {
	o := ConfigMap(h.Namespace, "guarded", "a", "1")
	first := apply(t, h, o)
	second := apply(t, h, ConfigMap(h.Namespace, "guarded", "a", "2"))
	for _, only := range []gitops.Precondition{
		{UID: "00000000-0000-4000-8000-000000000000"},
		{ResourceVersion: first.ResourceVersion},
		{UID: second.UID, ResourceVersion: first.ResourceVersion},
		{UID: "00000000-0000-4000-8000-000000000000", ResourceVersion: second.ResourceVersion},
	} {
		wantError(t, h.Target.Delete(ctxOf(t), o.ID, "v1", only), gitops.ErrConflict)
		get(t, h, o.ID)
	}
	if err := h.Target.Delete(ctxOf(t), o.ID, "v1", gitops.Precondition{UID: second.UID, ResourceVersion: second.ResourceVersion}); err != nil {
		t.Fatalf("its twin: %v", err)
	}
	_, err := h.Target.Get(ctxOf(t), o.ID, "v1")
	wantError(t, err, gitops.ErrNotFound)
}

func ownBodies(t *testing.T, h Harness) {
	o := ConfigMap(h.Namespace, "own", "a", "b")
	desired := ConfigMap(h.Namespace, "own", "a", "b")
	live := apply(t, h, o)
	live.Body["data"].(map[string]any)["a"] = "scribbled"
	got := get(t, h, o.ID)
	wantData(t, got, "a", "b")
	got.Body["data"].(map[string]any)["a"] = "scribbled"
	wantData(t, get(t, h, o.ID), "a", "b")
	if !reflect.DeepEqual(o.Body, desired.Body) {
		t.Errorf("the desired object changed: %v", o.Body)
	}
}

func concurrent(t *testing.T, h Harness) {
	ctx := ctxOf(t)
	const writers, objects = 8, 5
	errs := make(chan error, writers*objects*2)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range objects {
				own := ConfigMap(h.Namespace, fmt.Sprintf("own-%d-%d", w, n), "a", "b")
				_, err := h.Target.Apply(ctx, own, gitops.ApplyOptions{})
				errs <- err
				shared := ConfigMap(h.Namespace, fmt.Sprintf("shared-%d", n), "by", fmt.Sprint(w))
				_, err = h.Target.Apply(ctx, shared, gitops.ApplyOptions{})
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range objects {
		if live := get(t, h, ConfigMap(h.Namespace, fmt.Sprintf("shared-%d", n)).ID); len(data(live)) != 1 {
			t.Errorf("the shared object holds %v", data(live))
		}
		for w := range writers {
			get(t, h, ConfigMap(h.Namespace, fmt.Sprintf("own-%d-%d", w, n)).ID)
		}
	}
}

func listed(t *testing.T, h Harness) {
	lister, ok := gitops.As[gitops.Lister](h.Target)
	if !ok {
		t.Skip("the target cannot list")
	}
	ours := apply1(t, h, "ours")
	other := ConfigMap(h.Namespace, "theirs", "a", "b")
	other.Body["metadata"].(map[string]any)["labels"].(map[string]any)[gitops.LabelSource] = "another"
	live := apply(t, h, other)
	found := map[gitops.ID]gitops.Held{}
	if err := lister.List(ctxOf(t), configMaps, func(held gitops.Held) { found[held.ID] = held }); err != nil {
		t.Fatal(err)
	}
	if got := found[ours.ID]; got.Source != Source || got.UID == "" {
		t.Errorf("ours is %+v", got)
	}
	if got, want := found[other.ID], (gitops.Held{ID: other.ID, UID: live.UID, ResourceVersion: live.ResourceVersion, Source: "another"}); got != want {
		t.Errorf("theirs is %+v, want %+v", got, want)
	}
}

func healthy(t *testing.T, h Harness) {
	o := apply1(t, h, "healthy")
	if ok, why, err := h.Target.Healthy(ctxOf(t), o); err != nil || !ok {
		t.Errorf("got %v, %q, %v", ok, why, err)
	}
	if ok, _, err := h.Target.Healthy(ctxOf(t), ConfigMap(h.Namespace, "absent")); ok || (err != nil && !errors.Is(err, gitops.ErrNotFound)) {
		t.Errorf("what is not there is healthy: %v, %v", ok, err)
	}
}

func survives(t *testing.T, h Harness) {
	if h.Reopen == nil {
		t.Skip("the target lives elsewhere")
	}
	o := ConfigMap(h.Namespace, "survives", "a", "b")
	before := apply(t, h, o)
	gone := apply1(t, h, "gone")
	if err := h.Target.Delete(ctxOf(t), gone.ID, "v1", gitops.Precondition{}); err != nil {
		t.Fatal(err)
	}
	h.Target = h.Reopen(t)
	after := get(t, h, o.ID)
	wantData(t, after, "a", "b")
	if before.UID != after.UID || before.ResourceVersion != after.ResourceVersion {
		t.Errorf("it was %s@%s and is %s@%s", before.UID, before.ResourceVersion, after.UID, after.ResourceVersion)
	}
	_, err := h.Target.Get(ctxOf(t), gone.ID, "v1")
	wantError(t, err, gitops.ErrNotFound)
	// Who owned what is known still.
	wantData(t, apply(t, h, ConfigMap(h.Namespace, "survives", "c", "d")), "c", "d")
}

func endedContext(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := ConfigMap(h.Namespace, "late", "a", "b")
	if _, err := h.Target.Apply(ctx, o, gitops.ApplyOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	_, err := h.Target.Get(ctxOf(t), o.ID, "v1")
	wantError(t, err, gitops.ErrNotFound)
}
