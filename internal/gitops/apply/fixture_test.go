package apply_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/target/dir/state"
	"github.com/apexlogic/apex/internal/gitops/target/embedded"
	"github.com/apexlogic/apex/verdict"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// key signs states in tests; it is nobody's.
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

// fixture is a target with its store, and an applier of the source "vision".
type fixture struct {
	t      testing.TB
	target *embedded.Store
	store  *state.Store
	clock  *clock.Fixed
	source apply.Source
	*apply.Applier
}

func newFixture(t testing.TB, change ...func(*apply.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, clock: clock.At(noon), source: apply.Source{Name: "vision"}}
	var err error
	if f.target, err = embedded.Open(embedded.Options{Clock: f.clock}); err != nil {
		t.Fatal(err)
	}
	if f.store, err = state.Open(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.target.Close(); f.store.Close() })
	c := apply.Config{Target: f.target, Store: f.store, Sign: signState, Verify: verifyState, Clock: f.clock}
	for _, fn := range change {
		fn(&c)
	}
	f.Applier, err = apply.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// request asks for the set as the commit that follows the accepted one.
func (f *fixture) request(commit string, objects ...gitops.Object) apply.Request {
	f.t.Helper()
	s, err := f.Load(f.t.Context(), f.source.Name)
	if err != nil {
		f.t.Fatal(err)
	}
	return apply.Request{Source: f.source, Set: setOf(f.t, objects...), Commit: commit, After: s.Accepted.Commit}
}

// try plans and applies.
func (f *fixture) try(r apply.Request) (*apply.Result, error) {
	p, err := f.Plan(f.t.Context(), r)
	if err != nil {
		return nil, err
	}
	return f.Apply(f.t.Context(), p)
}

func (f *fixture) must(commit string, objects ...gitops.Object) *apply.Result {
	f.t.Helper()
	r, err := f.try(f.request(commit, objects...))
	if err != nil {
		f.t.Fatalf("apply %s: %v", commit, err)
	}
	return r
}

func (f *fixture) state() *apply.State {
	f.t.Helper()
	s, err := f.Load(f.t.Context(), f.source.Name)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

func (f *fixture) has(id gitops.ID) bool {
	f.t.Helper()
	_, err := f.target.Get(f.t.Context(), id, "v1")
	if err != nil && !errors.Is(err, gitops.ErrNotFound) {
		f.t.Fatal(err)
	}
	return err == nil
}

func setOf(t testing.TB, objects ...gitops.Object) *gitops.Set {
	t.Helper()
	s, err := gitops.NewSet(objects)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kinds are the apiVersions of the kinds that the tests name.
var kinds = map[string]string{
	"Namespace": "v1", "ConfigMap": "v1", "Secret": "v1", "Service": "v1", "Pod": "v1", "ServiceAccount": "v1",
	"PersistentVolume": "v1", "PersistentVolumeClaim": "v1", "ResourceQuota": "v1",
	"Deployment": "apps/v1", "StatefulSet": "apps/v1", "Job": "batch/v1", "CronJob": "batch/v1",
	"HorizontalPodAutoscaler": "autoscaling/v2", "NetworkPolicy": "networking.k8s.io/v1", "Ingress": "networking.k8s.io/v1",
	"PodDisruptionBudget": "policy/v1", "PriorityClass": "scheduling.k8s.io/v1", "StorageClass": "storage.k8s.io/v1",
	"Role": "rbac.authorization.k8s.io/v1", "RoleBinding": "rbac.authorization.k8s.io/v1",
	"ClusterRole": "rbac.authorization.k8s.io/v1", "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
	"CustomResourceDefinition":       "apiextensions.k8s.io/v1",
	"ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
	"MutatingWebhookConfiguration":   "admissionregistration.k8s.io/v1",
	"ValidatingAdmissionPolicy":      "admissionregistration.k8s.io/v1",
	"Widget":                         "example.com/v1", "InferenceService": "serving.kserve.io/v1beta1",
}

// object reads "Kind namespace/name key=value …"; a key that begins with '@' is
// an annotation, one with '#' a label, any other a value under data or spec.
func object(t testing.TB, text string) gitops.Object {
	t.Helper()
	words := strings.Fields(text)
	namespace, name, ok := strings.Cut(words[1], "/")
	if !ok {
		namespace, name = "", words[1]
	}
	meta := map[string]any{"name": name}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	values, annotations, labels := map[string]any{}, map[string]any{}, map[string]any{}
	for _, pair := range words[2:] {
		k, v, _ := strings.Cut(pair, "=")
		switch k[0] {
		case '@':
			annotations[k[1:]] = v
		case '#':
			labels[k[1:]] = v
		default:
			values[k] = v
		}
	}
	if len(annotations) > 0 {
		meta["annotations"] = annotations
	}
	if len(labels) > 0 {
		meta["labels"] = labels
	}
	body := map[string]any{"apiVersion": kinds[words[0]], "kind": words[0], "metadata": meta}
	switch words[0] {
	case "ConfigMap", "Secret":
		body["data"] = values
	case "CustomResourceDefinition":
		kind, group, _ := strings.Cut(name, ".")
		body["spec"] = map[string]any{"group": group, "names": map[string]any{"kind": strings.ToUpper(kind[:1]) + kind[1:len(kind)-1], "plural": kind}}
	default:
		body["spec"] = values
	}
	o, err := gitops.NewObject(body, verdict.Origin{File: "all.yaml", Line: 1})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

func objects(t testing.TB, texts ...string) []gitops.Object {
	t.Helper()
	var all []gitops.Object
	for _, text := range texts {
		all = append(all, object(t, text))
	}
	return all
}

// many returns n ConfigMaps.
func many(t testing.TB, n int) []gitops.Object {
	t.Helper()
	var all []gitops.Object
	for i := range n {
		all = append(all, object(t, fmt.Sprintf("ConfigMap vision/filler-%d a=b", i)))
	}
	return all
}

func wantRefusal(t testing.TB, err error, code verdict.Code) {
	t.Helper()
	var r *apply.Refusal
	if !errors.As(err, &r) || r.Code != code {
		t.Fatalf("got %v, want a refusal with the code %s", err, code)
	}
	if !strings.Contains(r.Error(), code.Info().Mend) {
		t.Errorf("the refusal does not say how to mend it: %s", r)
	}
}

// recorder notes what is written to a target, in order.
type recorder struct {
	gitops.Target
	mu    sync.Mutex
	calls []string
	fail  func(verb string, id gitops.ID) error
}

func (r *recorder) note(verb string, id gitops.ID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		if err := r.fail(verb, id); err != nil {
			return err
		}
	}
	r.calls = append(r.calls, verb+" "+id.Kind+" "+id.Name)
	return nil
}

func (r *recorder) Get(ctx context.Context, id gitops.ID, version string) (*gitops.Live, error) {
	if err := r.note("get", id); err != nil {
		return nil, err
	}
	return r.Target.Get(ctx, id, version)
}

func (r *recorder) Apply(ctx context.Context, o *gitops.Object, opt gitops.ApplyOptions) (*gitops.Live, error) {
	verb := "apply"
	if opt.DryRun {
		verb = "try"
	}
	if err := r.note(verb, o.ID); err != nil {
		return nil, err
	}
	return r.Target.Apply(ctx, o, opt)
}

func (r *recorder) Delete(ctx context.Context, id gitops.ID, version string, only gitops.Precondition) error {
	if err := r.note("delete", id); err != nil {
		return err
	}
	return r.Target.Delete(ctx, id, version, only)
}

// take returns the calls since the last take.
func (r *recorder) take(verbs ...string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var calls []string
	for _, c := range r.calls {
		verb, _, _ := strings.Cut(c, " ")
		for _, v := range verbs {
			if v == verb {
				calls = append(calls, c)
			}
		}
	}
	r.calls = nil
	return calls
}

func recorded(r **recorder) func(*apply.Config) {
	return func(c *apply.Config) {
		*r = &recorder{Target: c.Target}
		c.Target = *r
	}
}
