package kube_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
)

const label = "apex.example/source"

func labelled(namespace, name string, pairs ...string) map[string]any {
	body := object(configMap, namespace, name, data(pairs...))
	body["metadata"].(map[string]any)["labels"] = map[string]any{label: namespace}
	return body
}

// follow watches the labelled ConfigMaps of a namespace until the test ends.
func follow(t *testing.T, c *kube.Client, namespace string) <-chan kube.Event {
	t.Helper()
	return followKind(t, c, kube.Selection{Kind: configMap, Namespace: namespace, Labels: label + "=" + namespace})
}

func followKind(t *testing.T, c *kube.Client, s kube.Selection) <-chan kube.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	events := make(chan kube.Event, 10_000)
	ended := make(chan error, 1)
	go func() { ended <- c.Watch(ctx, s, func(e kube.Event) { events <- e }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the watch ended with %v", err)
		}
	})
	return events
}

// until returns the events up to the first that is wanted.
func until(t *testing.T, events <-chan kube.Event, want func(kube.Event) bool) []kube.Event {
	t.Helper()
	var seen []kube.Event
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		select {
		case e := <-events:
			if seen = append(seen, e); want(e) {
				return seen
			}
		case <-limit.C:
			t.Fatalf("it did not come; there were %v", seen)
		}
	}
}

func is(kind kube.EventKind, name string) func(kube.Event) bool {
	return func(e kube.Event) bool { return e.Kind == kind && e.Name == name }
}

func TestAWatchResumesAfterTheAPIServerRestartedAndMissesNothing(t *testing.T) {
	s := kubetest.Start(t, kubetest.Own())
	c, namespace := open(t, s), s.Namespace(t)
	for _, name := range []string{"stays", "goes"} {
		_, err := c.Apply(t.Context(), labelled(namespace, name), byApex)
		must(t, err)
	}
	events := follow(t, c, namespace)
	until(t, events, is(kube.Synced, ""))
	s.Restart(t)
	o, err := c.Apply(t.Context(), labelled(namespace, "stays", "k", "tampered"), kube.ApplyOptions{Manager: "evil"})
	must(t, err)
	must(t, c.Delete(t.Context(), kube.ID{Kind: configMap, Namespace: namespace, Name: "goes"}, kube.Precondition{}))
	version := o.GetResourceVersion()
	gone, changed := false, false
	seen := until(t, events, func(e kube.Event) bool {
		gone = gone || e.Kind == kube.Gone && e.Name == "goes"
		changed = changed || e.Kind == kube.Changed && e.Name == "stays" && e.ResourceVersion == version
		return gone && changed
	})
	for _, e := range seen {
		if e.Kind == kube.Synced {
			t.Error("synced a second time")
		}
	}
}

// While the watch is cut off, an object changes, one is deleted, one is made
// again, one loses its label and one is made; then etcd forgets how it came to
// that.
func TestAWatchWhoseVersionIsForgottenListsAgainAndReportsWhatWent(t *testing.T) {
	s := kubetest.Start(t, kubetest.Own())
	admin, namespace := open(t, s), s.Namespace(t)
	var gate cut
	c, err := kube.Open(kube.Config{Kubeconfig: s.Kubeconfig(), Wrap: gate.wrap})
	must(t, err)
	uids := map[string]string{}
	for _, name := range []string{"same", "changes", "goes", "again", "unlabelled"} {
		o, err := admin.Apply(t.Context(), labelled(namespace, name), byApex)
		must(t, err)
		uids[name] = string(o.GetUID())
	}
	events := follow(t, c, namespace)
	until(t, events, is(kube.Synced, ""))

	gate.set(true)
	s.Stop() // ends the connection of the watch
	s.Resume(t)
	_, err = admin.Apply(t.Context(), labelled(namespace, "changes", "k", "v"), byApex)
	must(t, err)
	for _, name := range []string{"goes", "again"} {
		must(t, admin.Delete(t.Context(), kube.ID{Kind: configMap, Namespace: namespace, Name: name}, kube.Precondition{}))
	}
	again, err := admin.Apply(t.Context(), labelled(namespace, "again"), byApex)
	must(t, err)
	_, err = admin.Apply(t.Context(), object(configMap, namespace, "unlabelled", nil), byApex)
	must(t, err)
	_, err = admin.Apply(t.Context(), labelled(namespace, "new"), byApex)
	must(t, err)
	s.Compact(t)
	s.Restart(t)
	gate.set(false)

	got := map[string]int{}
	for range 20 { // each once, in whatever order; the last of them ends it
		e := until(t, events, func(kube.Event) bool { return true })[0]
		got[fmt.Sprint(e.Kind, e.Name)]++
		if e.Kind == kube.Gone && e.UID != uids[e.Name] {
			t.Errorf("%s went with UID %s, was %s", e.Name, e.UID, uids[e.Name])
		}
		if e.Kind == kube.Changed && e.Name == "again" && e.UID != string(again.GetUID()) {
			t.Errorf("again has UID %s", e.UID)
		}
		if len(got) == 7 {
			break
		}
	}
	for _, want := range []string{"1same", "1changes", "1again", "1new", "2goes", "2again", "2unlabelled"} {
		if got[want] != 1 {
			t.Errorf("%s was reported %d times: %v", want, got[want], got)
		}
	}
	if gate.lists.count() < 2 {
		t.Error("nothing was listed again: the version was not forgotten")
	}
}

// cut refuses requests while it is closed, and counts listings that it lets by.
type cut struct {
	mu     sync.Mutex
	closed bool
	lists  counter
}

type counter struct {
	sync.Mutex
	n int
}

func (c *counter) count() int { c.Lock(); defer c.Unlock(); return c.n }

func (c *cut) set(closed bool) { c.mu.Lock(); c.closed = closed; c.mu.Unlock() }

func (c *cut) wrap(next http.RoundTripper) http.RoundTripper {
	return tripper(func(r *http.Request) (*http.Response, error) {
		c.mu.Lock()
		closed := c.closed
		c.mu.Unlock()
		if closed {
			return nil, errors.New("cut off")
		}
		if q := r.URL.Query(); q.Has("labelSelector") && !q.Has("watch") {
			c.lists.Lock()
			c.lists.n++
			c.lists.Unlock()
		}
		return next.RoundTrip(r)
	})
}

func TestAWatchOfAKindThatIsNotServedBeginsEmptyAndFollowsWhenItComes(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := open(t, s), s.Namespace(t)
	late := kube.Kind{Group: "late.example", Version: "v1", Kind: "Late"}
	events := followKind(t, c, kube.Selection{Kind: late, Namespace: namespace})
	if seen := until(t, events, is(kube.Synced, "")); len(seen) != 1 {
		t.Fatalf("before it is served: %v", seen)
	}
	s.InstallCRDs(t, []byte(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"lates.late.example"},"spec":{
"group":"late.example","scope":"Namespaced","names":{"kind":"Late","plural":"lates"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`))
	must(t, c.AwaitEstablished(t.Context(), "lates.late.example"))
	_, err := c.Apply(t.Context(), object(late, namespace, "x", nil), byApex)
	must(t, err)
	until(t, events, is(kube.Changed, "x"))
	must(t, c.Delete(t.Context(), kube.ID{Kind: kube.Kind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}, Name: "lates.late.example"}, kube.Precondition{}))
	until(t, events, is(kube.Gone, "x")) // its objects go with the kind
}

func TestAWatchWithoutTheRightEndsAtOnce(t *testing.T) {
	s := kubetest.Start(t)
	admin, namespace := open(t, s), s.Namespace(t)
	nobody, err := admin.As(namespace, "nobody")
	must(t, err)
	err = nobody.Watch(t.Context(), kube.Selection{Kind: configMap, Namespace: namespace}, func(kube.Event) { t.Error("an event") })
	if !errors.Is(err, kube.ErrForbidden) {
		t.Errorf("%v", err)
	}
	err = admin.Watch(t.Context(), kube.Selection{Kind: configMap, Namespace: namespace, Labels: "!!"}, func(kube.Event) { t.Error("an event") })
	if !errors.Is(err, kube.ErrInvalid) {
		t.Errorf("a bad selector: %v", err)
	}
}

func TestManyConflictingWritersLeaveWhatOneOfThemApplied(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := open(t, s), s.Namespace(t)
	const writers, rounds = 8, 10
	var all sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		all.Go(func() {
			for range rounds {
				if _, err := c.Apply(t.Context(), object(configMap, namespace, "shared", data("by", fmt.Sprint(w))), byApex); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	o, err := c.Get(t.Context(), kube.ID{Kind: configMap, Namespace: namespace, Name: "shared"})
	must(t, err)
	if values, _ := o.Object["data"].(map[string]any); len(values) != 1 {
		t.Errorf("data %v", values)
	}
}
