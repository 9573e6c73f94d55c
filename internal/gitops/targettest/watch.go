package targettest

import (
	"context"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
)

// follow runs a watch in the background and returns its events; it ends with the test.
func follow(t *testing.T, h Harness, kinds ...gitops.Kind) <-chan gitops.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	events := make(chan gitops.Event, 1000)
	done := make(chan error, 1)
	go func() {
		done <- h.Target.Watch(ctx, Source, kinds, func(e gitops.Event) { events <- e })
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("the watch did not end with its context")
		}
	})
	return events
}

// until returns the events up to the first that is wanted, that one included.
func until(t *testing.T, events <-chan gitops.Event, want func(gitops.Event) bool) []gitops.Event {
	t.Helper()
	var seen []gitops.Event
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case e := <-events:
			seen = append(seen, e)
			if want(e) {
				return seen
			}
		case <-timeout.C:
			t.Fatalf("the event did not come; there were %v", seen)
		}
	}
}

func synced(e gitops.Event) bool { return e.Kind == gitops.Synced }

func is(kind gitops.EventKind, id gitops.ID) func(gitops.Event) bool {
	return func(e gitops.Event) bool { return e.Kind == kind && e.ID == id }
}

// at is is for one resource version: an API server may report a write that came before.
func at(id gitops.ID, version string) func(gitops.Event) bool {
	return func(e gitops.Event) bool {
		return e.Kind == gitops.Changed && e.ID == id && e.ResourceVersion == version
	}
}

func watched(t *testing.T, h Harness) {
	first, second := apply1(t, h, "first"), apply1(t, h, "second")
	events := follow(t, h, configMaps)
	listing := until(t, events, synced)
	count := map[gitops.ID]int{}
	for _, e := range listing[:len(listing)-1] {
		if e.Kind != gitops.Changed || e.UID == "" || e.ResourceVersion == "" {
			t.Errorf("the listing has %+v", e)
		}
		count[e.ID]++
	}
	if count[first.ID] != 1 || count[second.ID] != 1 {
		t.Errorf("the listing is %v", listing)
	}

	third := ConfigMap(h.Namespace, "third", "a", "b")
	live := apply(t, h, third)
	got := until(t, events, at(third.ID, live.ResourceVersion))
	if e := got[len(got)-1]; e.UID != live.UID {
		t.Errorf("the event has UID %s, the object %s", e.UID, live.UID)
	}
	live = apply(t, h, ConfigMap(h.Namespace, "first", "a", "changed"))
	until(t, events, at(first.ID, live.ResourceVersion))

	h.Write(t, second.ID, "somebody", func(body map[string]any) { body["data"].(map[string]any)["a"] = "tampered" })
	until(t, events, at(second.ID, get(t, h, second.ID).ResourceVersion))

	h.Remove(t, second.ID)
	until(t, events, is(gitops.Gone, second.ID))
	if err := h.Target.Delete(ctxOf(t), third.ID, "v1", gitops.Precondition{}); err != nil {
		t.Fatal(err)
	}
	until(t, events, is(gitops.Gone, third.ID))
	live = apply(t, h, second)
	until(t, events, at(second.ID, live.ResourceVersion))
}

func labelLost(t *testing.T, h Harness) {
	o := apply1(t, h, "label")
	events := follow(t, h, configMaps)
	until(t, events, synced)
	for _, value := range []any{nil, "another"} {
		h.Write(t, o.ID, "somebody", func(body map[string]any) {
			labels := body["metadata"].(map[string]any)["labels"].(map[string]any)
			if labels[gitops.LabelSource] = value; value == nil {
				delete(labels, gitops.LabelSource)
			}
		})
		until(t, events, is(gitops.Gone, o.ID))
		live := apply(t, h, o)
		if got := gitops.SourceOf(live.Body); got != Source {
			t.Errorf("after an apply its source is %q", got)
		}
		until(t, events, at(o.ID, live.ResourceVersion))
	}
}

func watchBounds(t *testing.T, h Harness) {
	before := ConfigMap(h.Namespace, "other-before", "a", "b")
	after := ConfigMap(h.Namespace, "other-after", "a", "b")
	for _, o := range []*gitops.Object{before, after} {
		o.Body["metadata"].(map[string]any)["labels"].(map[string]any)[gitops.LabelSource] = "another"
	}
	apply(t, h, before)
	events := follow(t, h, configMaps)
	seen := until(t, events, synced)
	apply(t, h, after)
	last := ConfigMap(h.Namespace, "last", "a", "b")
	live := apply(t, h, last)
	seen = append(seen, until(t, events, at(last.ID, live.ResourceVersion))...)
	for _, e := range seen {
		if e.ID == before.ID || e.ID == after.ID {
			t.Errorf("another source's object is reported: %+v", e)
		}
	}
	// Nothing of another kind: the watch begins empty.
	others := follow(t, h, gitops.Kind{Version: "v1", Kind: "Secret"})
	if seen := until(t, others, synced); len(seen) != 1 {
		t.Errorf("a watch of Secrets lists %v", seen)
	}
}
