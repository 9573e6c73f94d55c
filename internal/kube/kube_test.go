package kube_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
)

func TestMain(m *testing.M) { kubetest.Main(m) }

var (
	configMap = kube.Kind{Version: "v1", Kind: "ConfigMap"}
	secret    = kube.Kind{Version: "v1", Kind: "Secret"}
	pod       = kube.Kind{Version: "v1", Kind: "Pod"}
)

// counted is a client whose requests are counted.
func counted(t testing.TB, s *kubetest.Server) (*kube.Client, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	c, err := kube.Open(kube.Config{Kubeconfig: s.Kubeconfig(), UserAgent: "apex/test", Wrap: func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) {
			n.Add(1)
			return next.RoundTrip(r)
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c, &n
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func open(t testing.TB, s *kubetest.Server) *kube.Client {
	t.Helper()
	c, _ := counted(t, s)
	return c
}

func object(kind kube.Kind, namespace, name string, rest map[string]any) map[string]any {
	meta := map[string]any{"name": name}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	body := map[string]any{"apiVersion": kind.APIVersion(), "kind": kind.Kind, "metadata": meta}
	for k, v := range rest {
		body[k] = v
	}
	return body
}

func data(pairs ...string) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return map[string]any{"data": m}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var byApex = kube.ApplyOptions{Manager: "apex"}

func TestAnApplyIsOneRequestAndReturnsWhatTheServerHolds(t *testing.T) {
	s := kubetest.Start(t)
	c, requests := counted(t, s)
	namespace := s.Namespace(t)
	_, err := c.Serves(t.Context(), configMap) // discovery is paid once
	must(t, err)
	before := requests.Load()
	o, err := c.Apply(t.Context(), object(configMap, namespace, "a", data("k", "v")), byApex)
	must(t, err)
	if n := requests.Load() - before; n != 1 {
		t.Errorf("%d requests", n)
	}
	if o.GetUID() == "" || o.GetResourceVersion() == "" {
		t.Errorf("the answer is not what the server holds: %v", o.Object)
	}
	again, err := c.Apply(t.Context(), object(configMap, namespace, "a", data("k", "v")), byApex)
	must(t, err)
	if again.GetResourceVersion() != o.GetResourceVersion() {
		t.Error("applying the same again wrote")
	}
}

func TestApplyTakesFieldsBackAndRemovesItsOwnThatAreDesiredNoLonger(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := open(t, s), s.Namespace(t)
	_, err := c.Apply(t.Context(), object(configMap, namespace, "a", data("k", "v", "old", "x")), byApex)
	must(t, err)
	_, err = c.Apply(t.Context(), object(configMap, namespace, "a", data("k", "evil", "added", "y")), kube.ApplyOptions{Manager: "other"})
	must(t, err)
	o, err := c.Apply(t.Context(), object(configMap, namespace, "a", data("k", "v")), byApex)
	must(t, err)
	got, _, _ := unstructured.NestedStringMap(o.Object, "data")
	if got["k"] != "v" || got["added"] != "y" || len(got) != 2 {
		t.Errorf("data %v", got)
	}
}

func TestADryRunAnswersWithDefaultsAndChangesNothing(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := open(t, s), s.Namespace(t)
	body := object(pod, namespace, "p", map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "example.com/c"}}}})
	o, err := c.Apply(t.Context(), body, kube.ApplyOptions{Manager: "apex", DryRun: true})
	must(t, err)
	if policy, _, _ := unstructured.NestedString(o.Object, "spec", "restartPolicy"); policy != "Always" {
		t.Errorf("restartPolicy %q: no defaults", policy)
	}
	if _, err := c.Get(t.Context(), kube.ID{Kind: pod, Namespace: namespace, Name: "p"}); !errors.Is(err, kube.ErrNotFound) {
		t.Errorf("it was made: %v", err)
	}
}

func TestAResourceVersionGuardsAnApply(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := open(t, s), s.Namespace(t)
	first, err := c.Apply(t.Context(), object(configMap, namespace, "a", data("k", "1")), byApex)
	must(t, err)
	second, err := c.Apply(t.Context(), object(configMap, namespace, "a", data("k", "2")), kube.ApplyOptions{Manager: "apex", ResourceVersion: first.GetResourceVersion()})
	must(t, err)
	for name, test := range map[string]struct{ name, version string }{
		"an old one":                    {"a", first.GetResourceVersion()},
		"one of an object that is gone": {"b", second.GetResourceVersion()},
	} {
		body := object(configMap, namespace, test.name, data("k", "3"))
		if _, err := c.Apply(t.Context(), body, kube.ApplyOptions{Manager: "apex", ResourceVersion: test.version}); !errors.Is(err, kube.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
		if meta := body["metadata"].(map[string]any); meta["resourceVersion"] != nil {
			t.Errorf("%s: the caller's body was changed", name)
		}
	}
	// Deleted and made again under the same version cannot be told by the version
	// alone, by its UID it can.
	stale := kube.ApplyOptions{Manager: "apex", UID: "00000000-0000-0000-0000-000000000000"}
	for _, name := range []string{"a", "b"} {
		if _, err := c.Apply(t.Context(), object(configMap, namespace, name, nil), stale); !errors.Is(err, kube.ErrConflict) {
			t.Errorf("another UID of %s: %v", name, err)
		}
	}
	_, err = c.Apply(t.Context(), object(configMap, namespace, "a", data("k", "2")), kube.ApplyOptions{Manager: "apex", UID: string(first.GetUID())})
	must(t, err)
	// A version that the body itself names says nothing.
	body := object(configMap, namespace, "a", data("k", "4"))
	body["metadata"].(map[string]any)["resourceVersion"] = first.GetResourceVersion()
	body["metadata"].(map[string]any)["managedFields"] = []any{map[string]any{"manager": "x"}}
	_, err = c.Apply(t.Context(), body, byApex)
	must(t, err)
}

func TestAPatchIsGuardedByItsTest(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := open(t, s), s.Namespace(t)
	o, err := c.Apply(t.Context(), object(configMap, namespace, "a", data("k", "1", "evil", "x")), byApex)
	must(t, err)
	id := kube.IDOf(o)
	patch := func(version string) []byte {
		return []byte(`[{"op":"test","path":"/metadata/resourceVersion","value":"` + version + `"},{"op":"remove","path":"/data/evil"}]`)
	}
	if _, err := c.Patch(t.Context(), id, "apex", patch("1")); !errors.Is(err, kube.ErrConflict) {
		t.Errorf("a patch of another version: %v", err)
	}
	after, err := c.Patch(t.Context(), id, "apex", patch(o.GetResourceVersion()))
	must(t, err)
	if got, _, _ := unstructured.NestedStringMap(after.Object, "data"); len(got) != 1 {
		t.Errorf("data %v", got)
	}
	if _, err := c.Patch(t.Context(), id, "apex", []byte(`[{"op":"replace","path":"/data","value":7}]`)); !errors.Is(err, kube.ErrInvalid) {
		t.Errorf("a patch that makes it invalid: %v", err)
	}
}

func TestADeletionIsGuardedByUIDAndResourceVersion(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := open(t, s), s.Namespace(t)
	o, err := c.Apply(t.Context(), object(configMap, namespace, "a", nil), byApex)
	must(t, err)
	id := kube.IDOf(o)
	for name, only := range map[string]kube.Precondition{
		"another UID":     {UID: "00000000-0000-0000-0000-000000000000"},
		"another version": {UID: string(o.GetUID()), ResourceVersion: "1"},
	} {
		if err := c.Delete(t.Context(), id, only); !errors.Is(err, kube.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, c.Delete(t.Context(), id, kube.Precondition{UID: string(o.GetUID()), ResourceVersion: o.GetResourceVersion()}))
	if _, err := c.Get(t.Context(), id); !errors.Is(err, kube.ErrNotFound) {
		t.Errorf("it is there: %v", err)
	}
	must(t, c.Delete(t.Context(), id, kube.Precondition{})) // what is gone may be deleted
	unknown := kube.ID{Kind: kube.Kind{Group: "example.com", Version: "v1", Kind: "Nothing"}, Namespace: namespace, Name: "a"}
	must(t, c.Delete(t.Context(), unknown, kube.Precondition{}))
	if err := c.Delete(t.Context(), kube.ID{Kind: configMap, Namespace: namespace}, kube.Precondition{}); !errors.Is(err, kube.ErrInvalid) {
		t.Errorf("a deletion of all ConfigMaps of the namespace: %v", err)
	}
}

func TestNamesThatLeaveTheirPathAreRefusedBeforeTheyAreSent(t *testing.T) {
	s := kubetest.Start(t)
	c, requests := counted(t, s)
	_, err := c.Serves(t.Context(), configMap)
	must(t, err)
	before := requests.Load()
	for _, name := range []string{"..", ".", "a/b", "../../kube-system/configmaps/x", "a%2f..", "a?force=true", "a#b", `a\b`, "a\x00"} {
		for _, id := range []kube.ID{{Kind: configMap, Namespace: "default", Name: name}, {Kind: configMap, Namespace: name, Name: "a"}} {
			if _, err := c.Get(t.Context(), id); !errors.Is(err, kube.ErrInvalid) {
				t.Errorf("%q: %v", id, err)
			}
		}
	}
	for _, kind := range []kube.Kind{{Group: "..", Version: "v1", Kind: "X"}, {Group: "a/b", Version: "v1", Kind: "X"}, {Version: "", Kind: "X"}, {Version: "v1/namespaces", Kind: "X"}} {
		if _, err := c.Get(t.Context(), kube.ID{Kind: kind, Name: "a"}); !errors.Is(err, kube.ErrInvalid) {
			t.Errorf("%q: %v", kind, err)
		}
	}
	if requests.Load() != before {
		t.Error("something was sent")
	}
	if _, err := c.Get(t.Context(), kube.ID{Kind: configMap, Namespace: "default", Name: "kube-root-ca.crt"}); errors.Is(err, kube.ErrInvalid) {
		t.Errorf("a name with dots: %v", err)
	}
}

func TestNamespacesGoWithTheKind(t *testing.T) {
	s := kubetest.Start(t)
	c := open(t, s)
	clusterRole := kube.Kind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole"}
	if _, err := c.Get(t.Context(), kube.ID{Kind: configMap, Name: "a"}); !errors.Is(err, kube.ErrInvalid) {
		t.Errorf("a ConfigMap without a namespace: %v", err)
	}
	if _, err := c.Get(t.Context(), kube.ID{Kind: clusterRole, Namespace: "default", Name: "cluster-admin"}); !errors.Is(err, kube.ErrInvalid) {
		t.Errorf("a ClusterRole in a namespace: %v", err)
	}
	_, err := c.Get(t.Context(), kube.ID{Kind: clusterRole, Name: "cluster-admin"})
	must(t, err)
}

func TestErrorsSayWhichCaseItIs(t *testing.T) {
	s := kubetest.Start(t)
	admin, namespace := open(t, s), s.Namespace(t)
	tenant, err := admin.As(namespace, "default")
	must(t, err)
	nowhere, err := kube.Open(kube.Config{Kubeconfig: otherKubeconfig(t, s, func(text string) string {
		return strings.ReplaceAll(text, s.Config().Host, "https://127.0.0.1:1")
	})})
	must(t, err)
	stranger, err := kube.Open(kube.Config{Kubeconfig: otherKubeconfig(t, s, func(text string) string {
		return strings.ReplaceAll(text, s.Config().BearerToken, "not-the-token")
	})})
	must(t, err)
	a := kube.ID{Kind: configMap, Namespace: namespace, Name: "a"}
	get := func(c *kube.Client, id kube.ID) error { _, err := c.Get(t.Context(), id); return err }
	apply := func(c *kube.Client, body map[string]any) error {
		_, err := c.Apply(t.Context(), body, byApex)
		return err
	}
	for name, test := range map[string]struct {
		err  error
		want error
	}{
		"an object that is not there":    {get(admin, a), kube.ErrNotFound},
		"a namespace that is not there":  {apply(admin, object(configMap, "nowhere", "a", nil)), kube.ErrNotFound},
		"a kind that is not there":       {get(admin, kube.ID{Kind: kube.Kind{Version: "v1", Kind: "Nothing"}, Name: "a"}), kube.ErrUnknownKind},
		"a group that is not there":      {get(admin, kube.ID{Kind: kube.Kind{Group: "x.example", Version: "v1", Kind: "Nothing"}, Name: "a"}), kube.ErrUnknownKind},
		"a right that is missing":        {get(tenant, a), kube.ErrForbidden},
		"an object with a bad name":      {apply(admin, object(configMap, namespace, "A_B", nil)), kube.ErrInvalid},
		"a field of the wrong type":      {apply(admin, object(configMap, namespace, "a", map[string]any{"data": int64(7)})), kube.ErrInvalid},
		"a server that does not listen":  {get(nowhere, a), kube.ErrUnavailable},
		"credentials that nobody issued": {get(stranger, a), kube.ErrUnauthorized},
		"an object without metadata":     {apply(admin, map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}), kube.ErrInvalid},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %v", name, test.err, test.want)
		}
		if test.err != nil && strings.Contains(test.err.Error(), s.Config().BearerToken) {
			t.Errorf("%s: the error holds the token", name)
		}
		if test.err != nil && strings.Contains(test.err.Error(), test.want.Error()+": "+test.want.Error()) {
			t.Errorf("%s: it is said twice: %v", name, test.err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := admin.Get(ended, a); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
	must(t, apply(admin, object(configMap, namespace, "a", nil)))
	must(t, get(admin, a))
}

func otherKubeconfig(t *testing.T, s *kubetest.Server, change func(string) string) string {
	t.Helper()
	text, err := os.ReadFile(s.Kubeconfig())
	must(t, err)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(path, []byte(change(string(text))), 0o600))
	return path
}

func TestErrorsAboutSecretsHoldNoValues(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := open(t, s), s.Namespace(t)
	const value = "correct-horse-battery"
	body := object(secret, namespace, "s", map[string]any{"type": "kubernetes.io/dockerconfigjson", "data": map[string]any{".dockerconfigjson": base64.StdEncoding.EncodeToString([]byte(value))}})
	_, err := c.Apply(t.Context(), body, byApex)
	if !errors.Is(err, kube.ErrInvalid) || strings.Contains(err.Error(), value) {
		t.Errorf("%v", err)
	}
	if !strings.Contains(err.Error(), "data[") {
		t.Errorf("the error does not name the field: %v", err)
	}
	_, err = c.Apply(t.Context(), object(secret, namespace, "s", map[string]any{"data": map[string]any{"k": value + "!"}}), byApex)
	if !errors.Is(err, kube.ErrInvalid) || strings.Contains(err.Error(), value) {
		t.Errorf("%v", err)
	}
}

func TestACRDIsWaitedForAndItsObjectsFollowAtOnce(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := open(t, s), s.Namespace(t)
	widget := kube.Kind{Group: "apex.example", Version: "v1", Kind: "Widget"}
	id := kube.ID{Kind: widget, Namespace: namespace, Name: "w"}
	if _, err := c.Get(t.Context(), id); !errors.Is(err, kube.ErrUnknownKind) { // and what is remembered of it must not last
		t.Fatal(err)
	}
	crd := func(scope string) map[string]any {
		return object(kube.Kind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}, "", "widgets.apex.example", map[string]any{
			"spec": map[string]any{"group": "apex.example", "scope": scope,
				"names":    map[string]any{"kind": "Widget", "plural": "widgets", "singular": "widget"},
				"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
			}})
	}
	o, err := c.Apply(t.Context(), crd("Namespaced"), byApex)
	must(t, err)
	must(t, c.AwaitEstablished(t.Context(), "widgets.apex.example"))
	_, err = c.Apply(t.Context(), object(widget, namespace, "w", nil), byApex)
	must(t, err)

	// The kind goes and comes back in another scope: nothing stale is used.
	must(t, c.Delete(t.Context(), kube.IDOf(o), kube.Precondition{}))
	eventually(t, func() bool { _, err := c.Get(t.Context(), kube.IDOf(o)); return errors.Is(err, kube.ErrNotFound) })
	eventually(t, func() bool { _, err := c.Get(t.Context(), id); return errors.Is(err, kube.ErrUnknownKind) })
	_, err = c.Apply(t.Context(), crd("Cluster"), byApex)
	must(t, err)
	must(t, c.AwaitEstablished(t.Context(), "widgets.apex.example"))
	_, err = c.Apply(t.Context(), object(widget, "", "w", nil), byApex)
	must(t, err)

	if err := c.AwaitEstablished(t.Context(), "nothings.apex.example"); !errors.Is(err, kube.ErrNotFound) {
		t.Errorf("a CRD that is not there: %v", err)
	}
	taken := crd("Cluster")
	taken["metadata"] = map[string]any{"name": "gadgets.apex.example"}
	_ = unstructured.SetNestedField(taken, "gadgets", "spec", "names", "plural") // of a kind that exists
	_, err = c.Apply(t.Context(), taken, byApex)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := c.AwaitEstablished(ctx, "gadgets.apex.example"); !errors.Is(err, kube.ErrInvalid) {
		t.Errorf("a CRD whose names are taken: %v", err)
	}
}

// eventually asks until it is so; the test's own deadline ends it.
func eventually(t testing.TB, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatal("it did not come to be")
		case <-tick.C:
		}
	}
}

func TestAServiceAccountIsActedForWithItsRightsOnly(t *testing.T) {
	s := kubetest.Start(t)
	admin, namespace := open(t, s), s.Namespace(t)
	tenant, err := admin.As(namespace, "tenant")
	must(t, err)
	if same, _ := admin.As(namespace, "tenant"); same != tenant {
		t.Error("a second client was made")
	}
	rbac := func(kind string) kube.Kind {
		return kube.Kind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: kind}
	}
	id := kube.ID{Kind: configMap, Namespace: namespace, Name: "a"}
	if ok, _, err := tenant.Can(t.Context(), "patch", id); ok || err != nil {
		t.Errorf("before: %v, %v", ok, err)
	}
	_, err = admin.Apply(t.Context(), object(rbac("Role"), namespace, "edit", map[string]any{"rules": []any{
		map[string]any{"apiGroups": []any{""}, "resources": []any{"configmaps"}, "verbs": []any{"get", "patch", "create"}},
	}}), byApex)
	must(t, err)
	_, err = admin.Apply(t.Context(), object(rbac("RoleBinding"), namespace, "edit", map[string]any{
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "edit"},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "tenant", "namespace": namespace}},
	}), byApex)
	must(t, err)
	eventually(t, func() bool { ok, _, _ := tenant.Can(t.Context(), "patch", id); return ok })
	_, err = tenant.Apply(t.Context(), object(configMap, namespace, "a", nil), byApex)
	must(t, err)
	if err := tenant.Delete(t.Context(), id, kube.Precondition{}); !errors.Is(err, kube.ErrForbidden) {
		t.Errorf("a deletion: %v", err)
	}
	if _, err := tenant.As("kube-system", "default"); err == nil {
		t.Error("somebody else's rights through the tenant's client")
	}
	for _, bad := range [][2]string{{"", "x"}, {"x", ""}, {"a:b", "x"}, {"x", "y/z"}, {"x", "y\n"}, {"X", "y"}} {
		if _, err := admin.As(bad[0], bad[1]); err == nil {
			t.Errorf("%q was taken for a ServiceAccount", bad)
		}
	}
}

func TestAListHoldsWhatIsSelected(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := open(t, s), s.Namespace(t)
	for _, name := range []string{"a", "b"} {
		body := object(configMap, namespace, name, nil)
		body["metadata"].(map[string]any)["labels"] = map[string]any{"which": name}
		_, err := c.Apply(t.Context(), body, byApex)
		must(t, err)
	}
	found, err := c.List(t.Context(), configMap, namespace, "which=b")
	must(t, err)
	if len(found) != 1 || kube.IDOf(&found[0]) != (kube.ID{Kind: configMap, Namespace: namespace, Name: "b"}) {
		t.Errorf("%v", found)
	}
	if found, err = c.List(t.Context(), configMap, namespace, ""); err != nil || len(found) != 2 {
		t.Errorf("%d, %v", len(found), err)
	}
	if _, err := c.List(t.Context(), configMap, namespace, "which=="); err != nil {
		t.Error(err)
	}
	if _, err := c.List(t.Context(), configMap, namespace, "!!"); !errors.Is(err, kube.ErrInvalid) {
		t.Errorf("a bad selector: %v", err)
	}
}

func TestNothingThatSaysWhereTheClusterIsIsAnErrorWithItsMend(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if _, err := kube.Open(kube.Config{}); !errors.Is(err, kube.ErrNoCluster) {
		t.Errorf("%v", err)
	}
	if _, err := kube.Open(kube.Config{Kubeconfig: filepath.Join(t.TempDir(), "missing")}); err == nil {
		t.Error("a file that is not there")
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(path, []byte(`{apiVersion: v1, kind: Config, current-context: t, contexts: [{name: t, context: {cluster: t, user: t}}],
clusters: [{name: t, cluster: {server: "http://127.0.0.1:1"}}], users: [{name: t, user: {}}]}`), 0o600))
	t.Setenv("KUBECONFIG", path)
	c, err := kube.Open(kube.Config{})
	must(t, err)
	if c.Host() != "http://127.0.0.1:1" {
		t.Errorf("host %q", c.Host())
	}
	if _, err := kube.Open(kube.Config{Context: "other"}); err == nil {
		t.Error("a context that is not in the file")
	}
}
