package kube_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
)

// candidate leads whenever it may; leaders counts those that believe to.
func candidate(t *testing.T, c *kube.Client, l kube.Lease, leaders *atomic.Int64, led chan<- string) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- c.Lead(ctx, l, func(ctx context.Context) error {
			if leaders.Add(1) != 1 {
				t.Error("two leaders at once")
			}
			led <- l.Identity
			<-ctx.Done()
			leaders.Add(-1)
			return ctx.Err()
		})
	}()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

// leads waits until that one leads. One that came too late to renew on a busy machine
// stands down and leads again, and says so again.
func leads(t *testing.T, led <-chan string, want string) {
	t.Helper()
	late := time.After(2 * time.Minute)
	for {
		select {
		case who := <-led:
			if who == want {
				return
			}
		case <-late:
			t.Fatalf("%s does not lead", want)
		}
	}
}

func TestALeaderThatLeavesIsFollowedAndThereIsNeverASecond(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := open(t, s), s.Namespace(t)
	var leaders atomic.Int64
	led := make(chan string, 1000)
	lease := func(who string) kube.Lease {
		return kube.Lease{Namespace: namespace, Name: "apex", Identity: who, Duration: time.Second}
	}
	stopA := candidate(t, c, lease("a"), &leaders, led)
	leads(t, led, "a")
	candidate(t, c, lease("b"), &leaders, led)
	if err := stopA(); !errors.Is(err, context.Canceled) {
		t.Errorf("a ended with %v", err)
	}
	leads(t, led, "b")
	o, err := c.Get(t.Context(), kube.ID{Kind: kube.Kind{Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"}, Namespace: namespace, Name: "apex"})
	must(t, err)
	if holder, _, _ := unstructured.NestedString(o.Object, "spec", "holderIdentity"); holder != "b" {
		t.Errorf("the lease names %q", holder)
	}
}

func TestALeaderThatIsCutOffStandsDownBeforeAnotherFollows(t *testing.T) {
	s := kubetest.Start(t)
	healthy, namespace := open(t, s), s.Namespace(t)
	var gate cut
	lonely, err := kube.Open(kube.Config{Kubeconfig: s.Kubeconfig(), Wrap: gate.wrap})
	must(t, err)
	var leaders atomic.Int64
	led := make(chan string, 1000)
	lease := kube.Lease{Namespace: namespace, Name: "apex", Identity: "lonely", Duration: 2 * time.Second}
	candidate(t, lonely, lease, &leaders, led)
	leads(t, led, "lonely")
	gate.set(true)
	lease.Identity = "other"
	stop := candidate(t, healthy, lease, &leaders, led) // fails the test if lonely still leads
	leads(t, led, "other")
	gate.set(false) // it comes back, and waits
	_ = stop()
	leads(t, led, "lonely")
}

func TestALeaseNeedsItsRightsAndItsNamespace(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := open(t, s), s.Namespace(t)
	run := func(context.Context) error { return nil }
	lease := kube.Lease{Namespace: namespace, Name: "apex", Identity: "a", Duration: time.Second}
	nobody, err := c.As(namespace, "nobody")
	must(t, err)
	if err := nobody.Lead(t.Context(), lease, run); !errors.Is(err, kube.ErrForbidden) {
		t.Errorf("without the right: %v", err)
	}
	elsewhere := lease
	elsewhere.Namespace = "nowhere"
	if err := c.Lead(t.Context(), elsewhere, run); !errors.Is(err, kube.ErrNotFound) {
		t.Errorf("without the namespace: %v", err)
	}
	for _, bad := range []kube.Lease{{Namespace: namespace, Name: "x"}, {Namespace: namespace, Name: "x", Identity: "a", Duration: 1500 * time.Millisecond}} {
		if err := c.Lead(t.Context(), bad, run); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	must(t, c.Lead(t.Context(), lease, run)) // a run that ends gives the lease up…
	lease.Identity = "b"
	wrong := errors.New("what the run returns")
	if err := c.Lead(t.Context(), lease, func(context.Context) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("…so that the next leads, and its error comes back: %v", err)
	}
}

func TestWhatIsSaidAgainIsCountedInOneEvent(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := open(t, s), s.Namespace(t)
	o, err := c.Apply(t.Context(), object(configMap, namespace, "a", nil), byApex)
	must(t, err)
	note := kube.Note{Regarding: kube.IDOf(o), UID: string(o.GetUID()), Warning: true, Reason: "DriftHealed", Action: "Apply", Text: strings.Repeat("é", 2000)}
	for range 3 {
		must(t, c.Record(t.Context(), note))
	}
	note.Reason = "DriftFight"
	must(t, c.Record(t.Context(), note))
	must(t, c.Record(t.Context(), kube.Note{Regarding: kube.ID{Kind: kube.Kind{Version: "v1", Kind: "Namespace"}, Name: namespace}, Reason: "Applied", Action: "Apply"}))
	found, err := c.List(t.Context(), kube.Kind{Group: "events.k8s.io", Version: "v1", Kind: "Event"}, namespace, "")
	must(t, err)
	counts := map[string]int64{}
	for _, e := range found {
		reason, _, _ := unstructured.NestedString(e.Object, "reason")
		counts[reason], _, _ = unstructured.NestedInt64(e.Object, "series", "count")
	}
	if len(found) != 2 || counts["DriftHealed"] != 3 || counts["DriftFight"] != 0 {
		t.Errorf("%d events, counted %v", len(found), counts)
	}
	if err := c.Record(t.Context(), kube.Note{Regarding: kube.IDOf(o)}); !errors.Is(err, kube.ErrInvalid) {
		t.Errorf("an event without a reason: %v", err)
	}
}

func TestEveryWebhookOfAConfigurationTrustsTheBundleAndNothingElseChanges(t *testing.T) {
	s := kubetest.Start(t)
	c := open(t, s)
	hook := func(name string) any {
		return map[string]any{
			"name": name + ".apex.example", "admissionReviewVersions": []any{"v1"}, "sideEffects": "None", "failurePolicy": "Ignore",
			"clientConfig": map[string]any{"url": "https://127.0.0.1:1/" + name},
			"rules":        []any{map[string]any{"apiGroups": []any{"none.example"}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE"}, "resources": []any{"nones"}}},
		}
	}
	for _, kind := range []kube.Kind{kube.ValidatingWebhooks, kube.MutatingWebhooks} {
		name := strings.ToLower(kind.Kind)
		_, err := c.Apply(t.Context(), object(kind, "", name, map[string]any{"webhooks": []any{hook("a"), hook("b")}}), byApex)
		must(t, err)
		bundle := s.Config().CAData
		for i, want := range []bool{true, false} {
			changed, err := c.SetCABundle(t.Context(), kind, name, "apex-admission", bundle)
			if err != nil || changed != want {
				t.Errorf("%s, time %d: %v, %v", kind, i+1, changed, err)
			}
		}
		o, err := c.Get(t.Context(), kube.ID{Kind: kind, Name: name})
		must(t, err)
		hooks, _, _ := unstructured.NestedSlice(o.Object, "webhooks")
		for i, each := range hooks {
			url, _, _ := unstructured.NestedString(each.(map[string]any), "clientConfig", "url")
			if have, _, _ := unstructured.NestedString(each.(map[string]any), "clientConfig", "caBundle"); have == "" || url != fmt.Sprintf("https://127.0.0.1:1/%c", 'a'+i) {
				t.Errorf("webhook %d: bundle %q, url %q", i, have, url)
			}
		}
		for what, bad := range map[string][]byte{
			"nothing": nil, "no PEM": []byte("x"), "a key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}),
			"no certificate in it": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}),
		} {
			if _, err := c.SetCABundle(t.Context(), kind, name, "apex-admission", bad); !errors.Is(err, kube.ErrInvalid) {
				t.Errorf("%s as a bundle: %v", what, err)
			}
		}
	}
	if _, err := c.SetCABundle(t.Context(), kube.ValidatingWebhooks, "none", "apex", s.Config().CAData); !errors.Is(err, kube.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := c.SetCABundle(t.Context(), configMap, "none", "apex", s.Config().CAData); !errors.Is(err, kube.ErrInvalid) {
		t.Errorf("a ConfigMap: %v", err)
	}
}
