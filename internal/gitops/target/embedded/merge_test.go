package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/embedded"
	"github.com/apexlogic/apex/verdict"
)

// deployment has the containers, "name=image" each.
func deployment(t testing.TB, containers ...string) *gitops.Object {
	t.Helper()
	var list []any
	for i := 0; i+1 < len(containers); i += 2 {
		list = append(list, map[string]any{"name": containers[i], "image": containers[i+1]})
	}
	o, err := gitops.NewObject(map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": "captioner", "namespace": "vision", "labels": map[string]any{gitops.LabelSource: "vision"}},
		"spec":     map[string]any{"replicas": int64(1), "template": map[string]any{"spec": map[string]any{"containers": list}}},
	}, verdict.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	return &o
}

func apply(t testing.TB, s *embedded.Store, o *gitops.Object) *gitops.Live {
	t.Helper()
	live, err := s.Apply(t.Context(), o, gitops.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return live
}

func update(t testing.TB, s *embedded.Store, id gitops.ID, by, subresource string, fn func(body map[string]any)) *gitops.Live {
	t.Helper()
	live, err := s.Update(t.Context(), id, by, subresource, func(body map[string]any) error { fn(body); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return live
}

func at(v any, path ...any) any {
	for _, p := range path {
		switch key := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[key]
		case int:
			list, _ := v.([]any)
			if key >= len(list) {
				return nil
			}
			v = list[key]
		}
	}
	return v
}

func containers(live *gitops.Live) (names []string) {
	list, _ := at(live.Body, "spec", "template", "spec", "containers").([]any)
	for _, c := range list {
		names = append(names, fmt.Sprint(at(c, "name"), "=", at(c, "image")))
	}
	return names
}

// What an API server does, and Flux measured: an apply takes back its own fields
// and leaves what others added. Removing that is the healer's.
func TestContainersAreMergedByNameAsAnAPIServerDoes(t *testing.T) {
	s := open(t, embedded.Options{})
	o := deployment(t, "main", "a")
	apply(t, s, o)
	for _, by := range []string{"evil", gitops.FieldManager} {
		update(t, s, o.ID, by, "", func(body map[string]any) {
			spec := at(body, "spec", "template", "spec").(map[string]any)
			list := spec["containers"].([]any)
			list[0].(map[string]any)["image"] = "tampered"
			spec["containers"] = append(list, map[string]any{"name": "miner-" + by, "image": "m"})
		})
	}
	if got := containers(apply(t, s, o)); !slices.Equal(got, []string{"main=a", "miner-evil=m", "miner-apex=m"}) {
		t.Errorf("there is %v", got)
	}
	// A container that is desired no longer goes, the others' stay.
	if got := containers(apply(t, s, deployment(t, "second", "b"))); !slices.Equal(got, []string{"second=b", "miner-evil=m", "miner-apex=m"}) &&
		!slices.Equal(got, []string{"miner-evil=m", "miner-apex=m", "second=b"}) {
		t.Errorf("there is %v", got)
	}
}

func TestManagedFieldsSayWhoWroteWhat(t *testing.T) {
	s := open(t, embedded.Options{})
	o := deployment(t, "main", "a")
	apply(t, s, o)
	live := update(t, s, o.ID, "autoscaler", "scale", func(body map[string]any) { body["spec"].(map[string]any)["replicas"] = int64(5) })
	who := map[string]string{}
	for _, e := range at(live.Body, "metadata", "managedFields").([]any) {
		who[fmt.Sprint(at(e, "manager"), " ", at(e, "operation"), " ", at(e, "subresource"))] = fmt.Sprint(at(e, "fieldsV1", "f:spec", "f:replicas") != nil)
	}
	want := map[string]string{"apex Apply <nil>": "false", "autoscaler Update scale": "true"}
	if !reflect.DeepEqual(who, want) {
		t.Errorf("got %v, want %v", who, want)
	}
	// The forced apply takes the field back.
	live = apply(t, s, o)
	if n := at(live.Body, "spec", "replicas"); n != int64(1) {
		t.Errorf("replicas are %v", n)
	}
	if list := at(live.Body, "metadata", "managedFields").([]any); len(list) != 1 {
		t.Errorf("%d managers", len(list))
	}
}

func TestTheManagersOfAnObjectAreBounded(t *testing.T) {
	s := open(t, embedded.Options{})
	o := deployment(t, "main", "a")
	apply(t, s, o)
	var live *gitops.Live
	for i := range 40 {
		live = update(t, s, o.ID, fmt.Sprintf("writer-%d", i), "", func(body map[string]any) { body[fmt.Sprintf("field-%d", i)] = "x" })
	}
	if n := len(at(live.Body, "metadata", "managedFields").([]any)); n != 11 {
		t.Errorf("%d managers are kept", n)
	}
	for _, name := range []string{"", string(make([]byte, 129)), "a\x00b"} {
		if _, err := s.Update(t.Context(), o.ID, name, "", func(map[string]any) error { return nil }); err == nil {
			t.Errorf("%q may write", name)
		}
	}
}

func TestStatusAndSpecAreWrittenApart(t *testing.T) {
	s := open(t, embedded.Options{Reported: func(k gitops.Kind) bool { return k.Kind == "Deployment" }})
	o := deployment(t, "main", "a")
	first := apply(t, s, o)
	healthy := func() string {
		ok, why, err := s.Healthy(t.Context(), o)
		if err != nil || ok != (why == "") {
			t.Fatalf("%v, %q, %v", ok, why, err)
		}
		return why
	}
	if healthy() == "" {
		t.Error("it is healthy before anybody said so")
	}
	report := func(generation int64, ready string) *gitops.Live {
		return update(t, s, o.ID, "controller", "status", func(body map[string]any) {
			body["status"] = map[string]any{"observedGeneration": generation, "conditions": []any{map[string]any{"type": "Available", "status": ready, "reason": "r"}}}
			body["spec"] = "stolen"
		})
	}
	live := report(1, "True")
	if got := containers(live); !slices.Equal(got, []string{"main=a"}) {
		t.Errorf("a status write changed the spec: %v", got)
	}
	if why := healthy(); why != "" {
		t.Error(why)
	}
	if report(1, "False"); healthy() == "" {
		t.Error("it is healthy while it is not available")
	}
	report(1, "True")
	live = update(t, s, o.ID, "evil", "", func(body map[string]any) { body["status"] = map[string]any{"forged": "yes"} })
	if at(live.Body, "status", "forged") != nil {
		t.Error("a write of the object wrote the status")
	}
	if live = apply(t, s, deployment(t, "main", "b")); at(live.Body, "metadata", "generation") != int64(2) || live.UID != first.UID {
		t.Errorf("generation %v", at(live.Body, "metadata", "generation"))
	}
	if healthy() == "" {
		t.Error("a status about another generation counts")
	}
	if report(2, "True"); healthy() != "" {
		t.Error("its twin")
	}
	withStatus := deployment(t, "main", "b")
	withStatus.Body["status"] = map[string]any{"conditions": "forged"}
	if got := at(apply(t, s, withStatus).Body, "status", "conditions"); got == "forged" {
		t.Error("an apply wrote the status")
	}
}

func TestFinalizersKeepAnObjectUntilTheyAreGone(t *testing.T) {
	now := clock.At(time.Unix(1_800_000_000, 0))
	s := open(t, embedded.Options{Clock: now})
	o := deployment(t, "main", "a")
	apply(t, s, o)
	update(t, s, o.ID, "controller", "", func(body map[string]any) {
		body["metadata"].(map[string]any)["finalizers"] = []any{"example.com/one"}
	})
	var live *gitops.Live
	for range 2 {
		if err := s.Delete(t.Context(), o.ID, "v1", gitops.Precondition{}); err != nil {
			t.Fatal(err)
		}
		again, err := s.Get(t.Context(), o.ID, "v1")
		if err != nil || at(again.Body, "metadata", "deletionTimestamp") == nil {
			t.Fatalf("%v, %v", again, err)
		}
		if live != nil && again.ResourceVersion != live.ResourceVersion {
			t.Error("what is being deleted already is written again")
		}
		live = again
		now.Advance(time.Minute)
	}
	if ok, why, _ := s.Healthy(t.Context(), o); ok || why == "" {
		t.Error("what is being deleted is healthy")
	}
	update(t, s, o.ID, "controller", "", func(body map[string]any) { delete(body["metadata"].(map[string]any), "finalizers") })
	if _, err := s.Get(t.Context(), o.ID, "v1"); !errors.Is(err, gitops.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestAnotherWriterCannotChangeWhatTheStoreWrites(t *testing.T) {
	s := open(t, embedded.Options{})
	o := deployment(t, "main", "a")
	before := apply(t, s, o)
	after := update(t, s, o.ID, "evil", "", func(body map[string]any) {
		meta := body["metadata"].(map[string]any)
		for _, field := range []string{"uid", "name", "namespace", "creationTimestamp", "generation"} {
			meta[field] = "forged"
		}
		delete(meta, "managedFields")
		body["kind"] = "Forged"
	})
	if after.UID != before.UID || at(after.Body, "metadata", "name") != "captioner" || at(after.Body, "kind") != "Deployment" || at(after.Body, "metadata", "managedFields") == nil {
		t.Errorf("got %v", after.Body)
	}
	if _, err := s.Create(t.Context(), o, "evil"); !errors.Is(err, gitops.ErrConflict) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Update(t.Context(), gitops.ID{Kind: "X", Name: "x"}, "evil", "", func(map[string]any) error { return nil }); !errors.Is(err, gitops.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestASlowWatcherGetsTheLastOfEachObject(t *testing.T) {
	s := open(t, embedded.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	synced, release := make(chan struct{}), make(chan struct{})
	events := make(chan gitops.Event, 100)
	done := make(chan error, 1)
	go func() {
		done <- s.Watch(ctx, "vision", []gitops.Kind{{Group: "apps", Version: "v1", Kind: "Deployment"}}, func(e gitops.Event) {
			if e.Kind == gitops.Synced {
				close(synced)
				<-release
				return
			}
			events <- e
		})
	}()
	<-synced
	var last *gitops.Live
	for i := range 50 {
		last = apply(t, s, deployment(t, "main", fmt.Sprint(i)))
	}
	close(release)
	if e := <-events; e.ResourceVersion != last.ResourceVersion || e.Kind != gitops.Changed {
		t.Errorf("the first event is %+v, the object is at %s", e, last.ResourceVersion)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(events) != 0 {
		t.Errorf("%d more events", len(events))
	}
}

// Labels, annotations, finalizers and owners are fields like others: they have
// owners, and what is desired no longer goes.
func TestMetadataIsOwnedByWhoWritesIt(t *testing.T) {
	s := open(t, embedded.Options{})
	with := func(change func(meta, template map[string]any)) *gitops.Object {
		o := deployment(t, "main", "a")
		template := map[string]any{}
		change(o.Body["metadata"].(map[string]any), template)
		o.Body["spec"].(map[string]any)["template"].(map[string]any)["metadata"] = template
		return o
	}
	owner := func(uid string) map[string]any {
		return map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": uid, "uid": uid}
	}
	o := with(func(meta, template map[string]any) {
		meta["labels"].(map[string]any)["team"] = "vision"
		meta["annotations"] = map[string]any{"note": "x"}
		meta["finalizers"] = []any{"apex.example/ours"}
		meta["ownerReferences"] = []any{owner("u1")}
		template["annotations"] = map[string]any{"ours": "x"}
	})
	apply(t, s, o)
	live := update(t, s, o.ID, "evil", "", func(body map[string]any) {
		meta := body["metadata"].(map[string]any)
		meta["labels"].(map[string]any)["evil"] = "x"
		meta["annotations"].(map[string]any)["evil"] = "x"
		meta["finalizers"] = append(meta["finalizers"].([]any), "evil.example/hold")
		meta["ownerReferences"] = append(meta["ownerReferences"].([]any), owner("u2"))
		at(body, "spec", "template", "metadata", "annotations").(map[string]any)["evil"] = "x"
	})
	fields := map[string]any{}
	for _, e := range at(live.Body, "metadata", "managedFields").([]any) {
		fields[at(e, "manager").(string)] = at(e, "fieldsV1")
	}
	for _, c := range []struct {
		manager string
		path    []any
		owned   bool
	}{
		{"evil", []any{"f:metadata", "f:labels", "f:evil"}, true},
		{"evil", []any{"f:metadata", "f:labels", "f:team"}, false},
		{"evil", []any{"f:metadata", "f:annotations", "f:evil"}, true},
		{"evil", []any{"f:metadata", "f:finalizers", `v:"evil.example/hold"`}, true},
		{"evil", []any{"f:metadata", "f:ownerReferences", `k:{"uid":"u2"}`}, true},
		{"evil", []any{"f:spec", "f:template", "f:metadata", "f:annotations", "f:evil"}, true},
		{"apex", []any{"f:metadata", "f:labels", "f:team"}, true},
		{"apex", []any{"f:metadata", "f:labels", "f:evil"}, false},
		{"apex", []any{"f:metadata", "f:finalizers", `v:"apex.example/ours"`}, true},
		{"apex", []any{"f:metadata", "f:name"}, false},
		{"apex", []any{"f:metadata", "."}, false},
		{"apex", []any{"f:apiVersion"}, false},
	} {
		if got := at(fields[c.manager], c.path...) != nil; got != c.owned {
			t.Errorf("%s owns %v: %t", c.manager, c.path, got)
		}
	}
	// What Apex desires no longer goes; what others added is the healer's.
	live = apply(t, s, with(func(_, template map[string]any) {}))
	meta := live.Body["metadata"].(map[string]any)
	want := map[string]any{"labels": map[string]any{gitops.LabelSource: "vision", "evil": "x"}, "annotations": map[string]any{"evil": "x"},
		"finalizers": []any{"evil.example/hold"}, "ownerReferences": []any{owner("u2")}}
	for name, v := range want {
		if !reflect.DeepEqual(meta[name], v) {
			t.Errorf("%s are %v, want %v", name, meta[name], v)
		}
	}
	if meta["name"] != "captioner" || meta["uid"] == nil {
		t.Errorf("the object has lost its name: %v", meta)
	}
}
