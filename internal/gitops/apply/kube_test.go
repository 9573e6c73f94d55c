package apply_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/target/cluster"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/verdict"
)

// real is a source that goes to a namespace of a real API server, as a
// ServiceAccount with the rights of RBAC.
type real struct {
	t         *testing.T
	server    *kubetest.Server
	client    *kube.Client // the administrator's
	namespace string
	source    apply.Source
	*apply.Applier
}

func newReal(t *testing.T, clusterKinds ...string) *real {
	t.Helper()
	s := kubetest.Start(t)
	c, _ := counting(t, s)
	namespace := tenant(t, s, c)
	target, err := cluster.New(cluster.Options{
		Client: c, ServiceAccount: namespace + "/deployer", ClusterKinds: clusterKinds,
		Namespaces: []string{namespace, namespace + "-absent", namespace + "-new"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &real{t: t, server: s, client: c, namespace: namespace, source: apply.Source{Name: "vision"}}
	r.Applier, err = apply.New(apply.Config{Target: target, Store: cluster.NewStore(c, s.Namespace(t), nil), Sign: signState, Verify: verifyState})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// objects reads JSON-like objects whose namespace is the test's unless they say
// another; "-" is none.
func (r *real) objects(bodies ...map[string]any) (all []gitops.Object) {
	r.t.Helper()
	for _, body := range bodies {
		meta := body["metadata"].(map[string]any)
		switch meta["namespace"] {
		case nil:
			meta["namespace"] = r.namespace
		case "-":
			delete(meta, "namespace")
		}
		o, err := gitops.NewObject(body, verdict.Origin{File: "all.yaml", Line: 1})
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

func (r *real) try(commit string, objects ...gitops.Object) (*apply.Result, error) {
	r.t.Helper()
	s, err := r.Load(r.t.Context(), r.source.Name)
	if err != nil {
		r.t.Fatal(err)
	}
	p, err := r.Plan(r.t.Context(), apply.Request{Source: r.source, Set: setOf(r.t, objects...), Commit: commit,
		After: s.Accepted.Commit, Look: apply.LookChanged, AllowPrune: true})
	if err != nil {
		return nil, err
	}
	return r.Apply(r.t.Context(), p)
}

// holds are the values of the namespace's ConfigMaps that the source applied.
func (r *real) holds() (all []string) {
	r.t.Helper()
	found, err := r.client.List(r.t.Context(), kube.Kind{Version: "v1", Kind: "ConfigMap"}, r.namespace, gitops.LabelSource+"=vision")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, o := range found {
		data, _ := o.Object["data"].(map[string]any)
		all = append(all, fmt.Sprintf("%s=%v", o.GetName(), data["v"]))
	}
	slices.Sort(all)
	return all
}

func body(apiVersion, kind, name string, rest map[string]any) map[string]any {
	b := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name}}
	for k, v := range rest {
		if k == "namespace" {
			b["metadata"].(map[string]any)["namespace"] = v
		} else {
			b[k] = v
		}
	}
	return b
}

func valued(name, v string) map[string]any {
	return body("v1", "ConfigMap", name, map[string]any{"data": map[string]any{"v": v}})
}

func deployment(name, selects string, spec map[string]any) map[string]any {
	labels := map[string]any{"app": selects}
	all := map[string]any{"replicas": int64(0), "selector": map[string]any{"matchLabels": labels}, "template": map[string]any{
		"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "registry.example/c:1"}}}}}
	for k, v := range spec {
		all[k] = v
	}
	return body("apps/v1", "Deployment", name, map[string]any{"spec": all})
}

func TestWhatAnAPIServerRefusesStopsTheRevisionBeforeTheFirstWrite(t *testing.T) {
	r := newReal(t)
	if _, err := r.client.Apply(t.Context(), body("v1", "Namespace", r.namespace, map[string]any{
		"metadata": map[string]any{"name": r.namespace, "labels": map[string]any{"pod-security.kubernetes.io/enforce": "restricted"}}}), kube.ApplyOptions{Manager: "labels"}); err != nil {
		t.Fatal(err)
	}
	r.quota("jobs", map[string]any{"count/jobs.batch": "0"}, map[string]any{"count/jobs.batch": "0"})
	base := []map[string]any{valued("a", "1"), deployment("stays", "x", nil)}
	if _, err := r.try("one", r.objects(base...)...); err != nil {
		t.Fatal(err)
	}
	before, err := r.Load(t.Context(), "vision")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		object map[string]any
		code   verdict.Code
		says   string
	}{
		"a field that the schema does not know": {deployment("new", "x", map[string]any{"replica": int64(1)}), verdict.ApplyInvalid, "replica"},
		"a field of another type":               {deployment("new", "x", map[string]any{"replicas": "one"}), verdict.ApplyInvalid, "replicas"},
		"a value outside of its range":          {deployment("new", "x", map[string]any{"replicas": int64(-1)}), verdict.ApplyInvalid, "greater than or equal to 0"},
		"a field that cannot be changed":        {deployment("stays", "y", nil), verdict.ApplyInvalid, "immutable"},
		"a name that is none":                   {valued("Not_A_Name", "1"), verdict.ApplyInvalid, "metadata.name"},
		"a namespace that nobody made":          {body("v1", "ConfigMap", "x", map[string]any{"namespace": r.namespace + "-absent"}), verdict.ApplyForbidden, "absent"},
		"a kind that RBAC does not give": {body("coordination.k8s.io/v1", "Lease", "x", nil), verdict.ApplyForbidden,
			`resource "leases"`},
		"a Pod that Pod Security does not admit": {body("v1", "Pod", "x", map[string]any{"spec": map[string]any{"containers": []any{
			map[string]any{"name": "c", "image": "registry.example/c:1"}}}}), verdict.ApplyForbidden, "PodSecurity"},
		"a Job beyond the quota": {body("batch/v1", "Job", "x", map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
			"restartPolicy": "Never", "containers": []any{map[string]any{"name": "c", "image": "registry.example/c:1"}}}}}}), verdict.ApplyForbidden, "exceeded quota"},
		"a version that is not served any more": {body("apps/v1beta1", "Deployment", "x", nil), verdict.ApplyUnserved, "serves Deployment.apps in v1 and not in v1beta1"},
		"a kind that is not served":             {body("absent.example/v1", "Thing", "x", nil), verdict.ApplyUnserved, "does not serve Thing.absent.example"},
	} {
		t.Run(name, func(t *testing.T) {
			good := []map[string]any{valued("a", "2"), valued("new", "2")}
			if c.object["metadata"].(map[string]any)["name"] != "stays" {
				good = append(good, deployment("stays", "x", nil))
			}
			_, err := r.try("two", r.objects(append(good, c.object)...)...)
			wantRefusal(t, err, c.code)
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "all.yaml:1") {
				t.Errorf("it says %v, which is not %q", err, c.says)
			}
			if got := r.holds(); !slices.Equal(got, []string{"a=1"}) {
				t.Errorf("there is %v", got)
			}
		})
	}
	after, err := r.Load(t.Context(), "vision")
	if err != nil || after.Counter != before.Counter || after.Unfinished() {
		t.Errorf("the state is %+v, %v", after, err)
	}
	// The twin: the same without what is wrong.
	if _, err := r.try("two", r.objects(valued("a", "2"), valued("new", "2"), deployment("stays", "x", map[string]any{"replicas": int64(1)}))...); err != nil {
		t.Error(err)
	}
	if got := r.holds(); !slices.Equal(got, []string{"a=2", "new=2"}) {
		t.Errorf("there is %v", got)
	}
}

// quota makes a ResourceQuota whose use is known: nobody counts here.
func (r *real) quota(name string, hard, used map[string]any) {
	r.t.Helper()
	o := body("v1", "ResourceQuota", name, map[string]any{"namespace": r.namespace, "spec": map[string]any{"hard": hard}})
	if _, err := r.client.Apply(r.t.Context(), o, kube.ApplyOptions{Manager: "test"}); err != nil {
		r.t.Fatal(err)
	}
	delete(o, "spec")
	o["status"] = map[string]any{"hard": hard, "used": used}
	if _, err := r.client.ApplyStatus(r.t.Context(), o, "test"); err != nil {
		r.t.Fatal(err)
	}
}

func TestAQuotaThatEndsOnTheWayLeavesTheRevisionBefore(t *testing.T) {
	r := newReal(t)
	many := func(n int, v string) (all []map[string]any) {
		for i := range n {
			all = append(all, valued(fmt.Sprintf("m%02d", i), v))
		}
		return all
	}
	if _, err := r.try("one", r.objects(many(5, "1")...)...); err != nil {
		t.Fatal(err)
	}
	// Each new object alone fits: the trial says yes, and the sixth write no.
	r.quota("few", map[string]any{"count/configmaps": "15"}, map[string]any{"count/configmaps": "5"})
	_, err := r.try("two", r.objects(many(30, "2")...)...)
	wantRefusal(t, err, verdict.ApplyReturned)
	if !strings.Contains(err.Error(), "exceeded quota") || !strings.Contains(err.Error(), "all.yaml:1") {
		t.Errorf("it says %v", err)
	}
	want := []string{"m00=1", "m01=1", "m02=1", "m03=1", "m04=1"}
	if got := r.holds(); !slices.Equal(got, want) {
		t.Errorf("there is %v", got)
	}
	s, err := r.Load(t.Context(), "vision")
	if err != nil || s.Unfinished() || s.Applied.Commit != "one" || s.Current.Commit != "one" || s.Accepted.Commit != "two" {
		t.Errorf("the state is %+v, %v", s, err)
	}
	// The twin: the quota is raised.
	r.quota("few", map[string]any{"count/configmaps": "100"}, map[string]any{"count/configmaps": "5"})
	if _, err := r.try("two", r.objects(many(30, "2")...)...); err != nil || len(r.holds()) != 30 {
		t.Errorf("%v: %v", err, r.holds())
	}
}

// thing is a CRD of the group example.com, with one field that has to be a
// number above zero.
func thing(kind string, versions ...string) map[string]any {
	plural := strings.ToLower(kind) + "s"
	var all []any
	for i, version := range versions {
		all = append(all, map[string]any{"name": version, "served": true, "storage": i == 0, "schema": map[string]any{"openAPIV3Schema": map[string]any{
			"type": "object", "properties": map[string]any{"spec": map[string]any{"type": "object", "required": []any{"n"}, "properties": map[string]any{
				"n": map[string]any{"type": "integer", "minimum": int64(1)}}}}}}})
	}
	return body("apiextensions.k8s.io/v1", "CustomResourceDefinition", plural+".example.com", map[string]any{"namespace": "-", "spec": map[string]any{
		"group": "example.com", "scope": "Namespaced", "names": map[string]any{"kind": kind, "plural": plural}, "versions": all}})
}

func TestAKindThatIsNotServedIsTakenUpWhenItsDefinitionAppears(t *testing.T) {
	r := newReal(t)
	set := func(version string) []gitops.Object {
		return r.objects(valued("a", "1"), body("example.com/"+version, "Gadget", "g", map[string]any{"spec": map[string]any{"n": int64(1)}}))
	}
	_, err := r.try("one", set("v1")...)
	wantRefusal(t, err, verdict.ApplyUnserved)
	if len(r.holds()) != 0 {
		t.Error("half of it was applied")
	}
	o := r.objects(thing("Gadget", "v1", "v1beta1"))[0]
	if _, err := r.client.Apply(t.Context(), o.Body, kube.ApplyOptions{Manager: "test"}); err != nil {
		t.Fatal(err)
	}
	if err := r.client.AwaitEstablished(t.Context(), o.Name); err != nil {
		t.Fatal(err)
	}
	_, err = r.try("one", set("v2")...)
	wantRefusal(t, err, verdict.ApplyUnserved)
	if !strings.Contains(err.Error(), "serves Gadget.example.com in v1, v1beta1 and not in v2") {
		t.Errorf("it says %v", err)
	}
	if _, err := r.try("one", set("v1")...); err != nil {
		t.Errorf("its definition is there: %v", err)
	}
}

// mayDefine lets the tenant write definitions.
func (r *real) mayDefine() {
	r.t.Helper()
	const rbac = "rbac.authorization.k8s.io/v1"
	for _, o := range []map[string]any{
		body(rbac, "ClusterRole", "definer-"+r.namespace, map[string]any{"rules": []any{
			map[string]any{"apiGroups": []any{"apiextensions.k8s.io"}, "resources": []any{"customresourcedefinitions"}, "verbs": []any{"get", "list", "create", "patch", "delete"}},
			map[string]any{"apiGroups": []any{""}, "resources": []any{"namespaces"}, "verbs": []any{"get", "list", "create", "patch", "delete"}},
			map[string]any{"apiGroups": []any{""}, "resources": []any{"configmaps"}, "verbs": []any{"get", "list", "create", "patch", "delete"}},
		}}),
		body(rbac, "ClusterRoleBinding", "definer-"+r.namespace, map[string]any{
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "definer-" + r.namespace},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "deployer", "namespace": r.namespace}}}),
	} {
		if _, err := r.client.Apply(r.t.Context(), o, kube.ApplyOptions{Manager: "test"}); err != nil {
			r.t.Fatal(err)
		}
	}
	account, err := r.client.As(r.namespace, "deployer")
	if err != nil {
		r.t.Fatal(err)
	}
	for ok := false; !ok; {
		if ok, _, err = account.Can(r.t.Context(), "patch", kube.ID{Kind: kube.Kind{Version: "v1", Kind: "Namespace"}}); err != nil {
			r.t.Fatal(err)
		}
	}
}

func TestADefinitionOrANamespaceAndWhatNeedsItComeInOneRevision(t *testing.T) {
	r := newReal(t, "CustomResourceDefinition.apiextensions.k8s.io", "Namespace")
	r.mayDefine()
	tool := func(n any) map[string]any {
		return body("example.com/v1", "Tool", "t", map[string]any{"spec": map[string]any{"n": n}})
	}
	space := func() map[string]any {
		return body("v1", "Namespace", r.namespace+"-new", map[string]any{"namespace": "-"})
	}
	inside := func(data any) map[string]any {
		return body("v1", "ConfigMap", "inside", map[string]any{"namespace": r.namespace + "-new", "data": data})
	}
	for _, c := range []struct {
		name string
		bad  map[string]any
		code verdict.Code
		says string
	}{
		{"an object that is invalid in a namespace of the set", inside(map[string]any{"no key": "x"}), verdict.ApplyReturned, "no key"},
		{"a resource that breaks the schema of the set's definition", tool(int64(0)), verdict.ApplyReturned, "spec.n"},
		{"a version that the set's definition does not serve", body("example.com/v2", "Tool", "t", map[string]any{"spec": map[string]any{"n": int64(1)}}),
			verdict.ApplyUnserved, "its definition in this revision serves v1"},
	} {
		_, err := r.try("one", r.objects(space(), thing("Tool", "v1"), valued("a", "1"), c.bad)...)
		wantRefusal(t, err, c.code)
		if !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: it says %v", c.name, err)
		}
		if got := r.holds(); len(got) != 0 {
			t.Errorf("%s: there is %v", c.name, got)
		}
	}
	if _, err := r.try("two", r.objects(space(), thing("Tool", "v1"), valued("a", "1"), tool(int64(1)), inside(map[string]any{"key": "x"}))...); err != nil {
		t.Fatal(err)
	}
	// The definition changes together with what is written by it.
	wider := thing("Tool", "v1")
	schema := wider["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any)["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)
	fields := schema["properties"].(map[string]any)["spec"].(map[string]any)["properties"].(map[string]any)
	fields["more"] = map[string]any{"type": "string"}
	more := tool(int64(2))
	more["spec"].(map[string]any)["more"] = "text"
	if _, err := r.try("three", r.objects(space(), wider, valued("a", "3"), more, inside(map[string]any{"key": "x"}))...); err != nil {
		t.Error(err)
	}
}

func TestARoleAndItsBindingComeInOneRevision(t *testing.T) {
	r := newReal(t)
	const rbac = "rbac.authorization.k8s.io/v1"
	role := body(rbac, "Role", "reader", map[string]any{"rules": []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"configmaps"}, "verbs": []any{"get"}}}})
	binding := func(to string) map[string]any {
		return body(rbac, "RoleBinding", "a-reader", map[string]any{
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": to},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "reader", "namespace": r.namespace}}})
	}
	_, err := r.try("one", r.objects(valued("a", "1"), role, binding("absent"))...)
	wantRefusal(t, err, verdict.ApplyMissing)
	if len(r.holds()) != 0 {
		t.Error("half of it was applied")
	}
	if _, err := r.try("one", r.objects(valued("a", "1"), role, binding("reader"))...); err != nil {
		t.Error(err)
	}
}
