package release_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/release"
	"github.com/apexlogic/apex/internal/gitops/release/releasetest"
	"github.com/apexlogic/apex/internal/gitops/target/dir/state"
	"github.com/apexlogic/apex/internal/gitops/target/embedded"
	"github.com/apexlogic/apex/verdict"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// key signs records in tests; it is nobody's.
var key = ed25519.NewKeyFromSeed([]byte("a seed that is only for the test"))

func signState(_ context.Context, message []byte) ([]byte, error) {
	return ed25519.Sign(key, message), nil
}

func verifyState(_ context.Context, message, signature []byte) error {
	if !ed25519.Verify(key.Public().(ed25519.PublicKey), message, signature) {
		return errors.New("signature does not match")
	}
	return nil
}

// place is a stage on an embedded target, with the rooms that use it and the
// controller that plays Knative's and KServe's part.
type place struct {
	t       testing.TB
	target  *embedded.Store
	store   *state.Store
	clock   *clock.Fixed
	applier *apply.Applier
	played  *releasetest.Controller
	entries []release.Entry
	value   func(release.Sample) (float64, error)
	*release.Release
}

func duration(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }

// canary has two steps before the last.
func canary() *v1alpha1.GitCanary {
	return &v1alpha1.GitCanary{Steps: []int32{5, 50, 100}, Interval: duration(time.Minute), ReadyWithin: duration(10 * time.Minute),
		Analysis: []v1alpha1.GitMetric{{Server: "http://prometheus.example", Query: "errors{revision=\"${revision}\"}", Max: "0.01"}}}
}

// newPlace opens a place in a directory ("": in memory and a new one).
func newPlace(t testing.TB, dir string, c *clock.Fixed, change func(*release.Config)) *place {
	t.Helper()
	p := &place{t: t, clock: c, value: func(release.Sample) (float64, error) { return 0, nil }}
	objects := ""
	if dir == "" {
		dir = t.TempDir()
	} else {
		objects = dir + "/objects"
	}
	var err error
	if p.target, err = embedded.Open(embedded.Options{Dir: objects, Clock: c}); err != nil {
		t.Fatal(err)
	}
	if p.store, err = state.Open(dir + "/state"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	p.played = releasetest.New(p.target)
	config := release.Config{
		Source: "captioner", Canary: canary(), Target: p.target, Store: p.store, Sign: signState, Verify: verifyState, Clock: c,
		Measure: func(_ context.Context, s release.Sample) (float64, error) { return p.value(s) },
		Record:  func(_ context.Context, e release.Entry) error { p.entries = append(p.entries, e); return nil },
		Applied: func(ctx context.Context) (apply.Revision, bool, error) {
			s, err := p.applier.Load(ctx, p.Name())
			if err != nil {
				return apply.Revision{}, false, err
			}
			return s.Current, !s.Unfinished() && s.Applied == s.Current, nil
		},
		Health: func(ctx context.Context) ([]apply.Unhealthy, error) { return p.applier.CheckHealth(ctx, p.Name()) },
	}
	if change != nil {
		change(&config)
	}
	if p.Release, err = release.New(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	var keeper apply.Keeper
	if config.Keeper != nil {
		keeper = p.Keep(config.Keeper)
	}
	p.applier, err = apply.New(apply.Config{Target: p.Hold(p.target), Store: p.store, Sign: signState, Verify: verifyState, Clock: c, Keeper: keeper})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) close() {
	if p.target != nil {
		p.target.Close()
		p.store.Close()
		p.target = nil
	}
}

// object returns a Knative Service ("ksvc") or an InferenceService ("isvc") whose
// template says version, or a ConfigMap.
func object(t testing.TB, kind, name, version string) gitops.Object {
	t.Helper()
	meta := map[string]any{"name": name, "namespace": "vision"}
	body := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": map[string]any{"v": version}}
	switch kind {
	case "ksvc":
		body = map[string]any{"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": meta, "spec": map[string]any{
			"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"image": "registry.example/captioner:" + version}}}}}}
	case "isvc":
		body = map[string]any{"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": meta, "spec": map[string]any{
			"predictor": map[string]any{"model": map[string]any{"storageUri": "oci://registry.example/model:" + version}}}}
	}
	o, err := gitops.NewObject(body, verdict.Origin{File: "all.yaml", Line: 1})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func setOf(t testing.TB, objects ...gitops.Object) *gitops.Set {
	t.Helper()
	s, err := gitops.NewSet(objects)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// both is a set with one object of each kind.
func both(t testing.TB, version string) *gitops.Set {
	return setOf(t, object(t, "ksvc", "captioner", version), object(t, "isvc", "model", version), object(t, "", "settings", version))
}

var (
	ksvcID = gitops.ID{Group: "serving.knative.dev", Kind: "Service", Namespace: "vision", Name: "captioner"}
	isvcID = gitops.ID{Group: "serving.kserve.io", Kind: "InferenceService", Namespace: "vision", Name: "model"}
)

// deploy begins a change and applies it, as the source does.
func (p *place) deploy(commit string, set *gitops.Set) *release.Canary {
	p.t.Helper()
	ctx := p.t.Context()
	s, err := p.applier.Load(ctx, p.Name())
	if err != nil {
		p.t.Fatal(err)
	}
	c, err := p.Begin(ctx, release.Change{Commit: commit, Set: set, Before: s.Current.Set})
	if err != nil {
		p.t.Fatal(err)
	}
	p.apply(commit, set)
	return c
}

func (p *place) apply(commit string, set *gitops.Set) {
	p.t.Helper()
	ctx := p.t.Context()
	s, err := p.applier.Load(ctx, p.Name())
	if err != nil {
		p.t.Fatal(err)
	}
	plan, err := p.applier.Plan(ctx, apply.Request{Source: apply.Source{Name: p.Name()}, Set: set, Commit: commit, After: s.Accepted.Commit})
	if err == nil {
		_, err = p.applier.Apply(ctx, plan)
	}
	if err != nil {
		p.t.Fatalf("apply %s: %v", commit, err)
	}
}

// turn lets the controller and the canary look once each.
func (p *place) turn() *release.Canary {
	p.t.Helper()
	if err := p.played.Step(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	c, err := p.Tick(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// until turns, moving the clock by step each time, until the canary is in the phase.
func (p *place) until(phase release.Phase, step time.Duration) *release.Canary {
	p.t.Helper()
	var c *release.Canary
	for range 60 {
		if c = p.turn(); c != nil && c.Phase == phase {
			if err := p.played.Step(p.t.Context()); err != nil {
				p.t.Fatal(err)
			}
			return c
		}
		p.clock.Advance(step)
	}
	p.t.Fatalf("the canary never is %s: %+v", phase, c)
	return nil
}

// traffic is what the object reports: "revision=percent …", in order.
func (p *place) traffic(id gitops.ID) string {
	p.t.Helper()
	live, err := p.target.Get(p.t.Context(), id, "v1")
	if err != nil {
		p.t.Fatal(err)
	}
	status, _ := live.Body["status"].(map[string]any)
	all, _ := status["traffic"].([]any)
	if components, ok := status["components"].(map[string]any); ok {
		all, _ = components["predictor"].(map[string]any)["traffic"].([]any)
	}
	out := ""
	for _, t := range all {
		m := t.(map[string]any)
		if m["percent"] != int64(0) {
			out += fmt.Sprintf("%v=%v ", m["revisionName"], m["percent"])
		}
	}
	return out
}

func (p *place) wantTraffic(what, ksvc, isvc string) {
	p.t.Helper()
	if got := p.traffic(ksvcID); got != ksvc {
		p.t.Errorf("%s: the Service's traffic is %q, want %q", what, got, ksvc)
	}
	if got := p.traffic(isvcID); got != isvc {
		p.t.Errorf("%s: the InferenceService's traffic is %q, want %q", what, got, isvc)
	}
}

func wantRefusal(t testing.TB, err error, code verdict.Code) {
	t.Helper()
	r, is := errors.AsType[*release.Refusal](err)
	if !is || r.Code != code {
		t.Fatalf("got %v, want a refusal with the code %s", err, code)
	}
}

func applySource(p *place) apply.Source { return apply.Source{Name: p.Name()} }
