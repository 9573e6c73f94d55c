package install

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/app/controller"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
)

func TestMain(m *testing.M) { kubetest.Main(m) }

// cluster is a server of the test's own: what is installed is the same for all.
type cluster struct {
	t      *testing.T
	server *kubetest.Server
	client *kube.Client
}

func newCluster(t *testing.T, opts ...kubetest.Option) *cluster {
	t.Helper()
	server := kubetest.Start(t, append(opts, kubetest.Own())...)
	return &cluster{t, server, open(t, server.Kubeconfig())}
}

func open(t *testing.T, kubeconfig string) *kube.Client {
	t.Helper()
	c, err := kube.Open(kube.Config{Kubeconfig: kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// as returns a kubeconfig by which somebody else comes.
func (c *cluster) as(user string, groups ...string) string {
	c.t.Helper()
	data, err := os.ReadFile(c.server.Kubeconfig())
	if err != nil {
		c.t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(data, &config); err != nil {
		c.t.Fatal(err)
	}
	for _, u := range config["users"].([]any) {
		u := u.(map[string]any)["user"].(map[string]any)
		u["as"], u["as-groups"] = user, texts(groups...)
	}
	if data, err = yaml.Marshal(config); err != nil {
		c.t.Fatal(err)
	}
	path := filepath.Join(c.t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// controllerAs is the controller's ServiceAccount.
func (c *cluster) controllerAs() string {
	return c.as("system:serviceaccount:"+Namespace+":"+ServiceAccount, "system:serviceaccounts", "system:serviceaccounts:"+Namespace, "system:authenticated")
}

// install installs, and returns how many steps did what.
func (c *cluster) install(o Options, dryRun bool) map[string]int {
	c.t.Helper()
	did, err := c.try(o, dryRun)
	if err != nil {
		c.t.Fatal(err)
	}
	return did
}

func (c *cluster) try(o Options, dryRun bool) (map[string]int, error) {
	did := map[string]int{}
	err := Apply(c.t.Context(), c.client, o, dryRun, func(s Step) { did[s.Did]++ })
	return did, err
}

func TestInstallingIsIdempotentAndADryRunChangesNothing(t *testing.T) {
	c := newCluster(t)
	o := Options{Image: image}
	all := len(objects(t, o))
	if did := c.install(o, true); !maps.Equal(did, map[string]int{"would be made": all}) {
		t.Errorf("dry run in an empty cluster: %v, want %d to be made", did, all)
	}
	if _, err := c.client.Get(t.Context(), kube.ID{Kind: kube.Kind{Version: "v1", Kind: "Namespace"}, Name: Namespace}); !errors.Is(err, kube.ErrNotFound) {
		t.Fatalf("the dry run made the namespace: %v", err)
	}
	if did := c.install(o, false); !maps.Equal(did, map[string]int{"made": all}) {
		t.Errorf("first run: %v, want %d made", did, all)
	}
	if did := c.install(o, false); !maps.Equal(did, map[string]int{"unchanged": all}) {
		t.Errorf("second run: %v, want %d unchanged", did, all)
	}
	if did := c.install(Options{Image: image, Replicas: 3}, true); did["would be changed"] != 1 || did["unchanged"] != all-1 {
		t.Errorf("dry run of another replica: %v", did)
	}
	if did := c.install(Options{Image: image, Replicas: 3}, false); did["changed"] != 1 || did["unchanged"] != all-1 {
		t.Errorf("another replica: %v", did)
	}
}

func TestTheRenderedChartIsWhatTheServerHolds(t *testing.T) {
	c := newCluster(t)
	for _, o := range rendered(t, nil) {
		if _, err := c.client.Apply(t.Context(), o, kube.ApplyOptions{Manager: "helm"}); err != nil {
			t.Fatal(err)
		}
		if o["kind"] == "CustomResourceDefinition" {
			if err := established(t.Context(), c.client, idOf(o).Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The chart's objects and those of the command are one and the same.
	if did := c.install(Options{Image: image}, true); did["would be made"] != 0 {
		t.Errorf("the command would make what the chart did not: %v", did)
	}
	for _, o := range objects(t, Options{Image: image}) {
		there, err := c.client.Get(t.Context(), idOf(o))
		if err != nil {
			t.Error(err)
			continue
		}
		if o["kind"] == "StatefulSet" {
			contains(t, "StatefulSet", there.Object["spec"], o["spec"])
		}
	}
}

// contains holds that the server has all that was written.
func contains(t *testing.T, at string, got, want any) {
	t.Helper()
	switch want := want.(type) {
	case Object:
		got, ok := got.(Object)
		if !ok {
			t.Errorf("%s: is %v, want a mapping", at, got)
			return
		}
		for key, value := range want {
			contains(t, at+"."+key, got[key], value)
		}
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			t.Errorf("%s: is %v, want %v", at, got, want)
			return
		}
		for i := range want {
			contains(t, fmt.Sprintf("%s[%d]", at, i), got[i], want[i])
		}
	default:
		if got != want {
			t.Errorf("%s: is %v, want %v", at, got, want)
		}
	}
}

func TestThePodIsOneThatRestrictedNamespacesTake(t *testing.T) {
	c := newCluster(t)
	c.install(Options{Image: image}, false)
	pod := func(name string, change func(spec Object)) error {
		var template Object
		for _, o := range objects(t, Options{Image: image}) {
			if o["kind"] == "StatefulSet" {
				template = o["spec"].(Object)["template"].(Object)
			}
		}
		spec := template["spec"].(Object)
		delete(spec, "serviceAccountName") // nobody makes tokens here
		// What the StatefulSet's controller makes of the claim's template.
		spec["volumes"] = append(spec["volumes"].([]any), Object{"name": "state", "persistentVolumeClaim": Object{"claimName": "state-apex-controller-0"}})
		if change != nil {
			change(spec)
		}
		body := made("v1", "Pod", Namespace, name, "controller", Object{"spec": spec})
		_, err := c.client.Apply(t.Context(), body, kube.ApplyOptions{Manager: "test", DryRun: true})
		return err
	}
	if err := pod("ours", nil); err != nil {
		t.Errorf("the controller's pod is refused: %v", err)
	}
	err := pod("root", func(spec Object) { spec["securityContext"] = Object{"runAsUser": int64(0)} })
	if err == nil || !strings.Contains(err.Error(), "restricted") {
		t.Errorf("a pod that runs as root: %v", err)
	}
}

func TestTheControllerRunsWithItsRightsAlone(t *testing.T) {
	c := newCluster(t)
	c.install(Options{Image: image}, false)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ready := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- controller.Run(ctx, controller.Options{
			State: t.TempDir(), Version: "test", Identity: "one", Kube: kube.Config{Kubeconfig: c.controllerAs()},
			WebhookAddress: "127.0.0.1:0", HealthAddress: "127.0.0.1:0", Ready: func(_, _ net.Addr) { close(ready) },
		})
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("it ended: %v", err)
	case <-time.After(2 * time.Minute):
		t.Fatal("it is not ready after two minutes")
	}
	for _, kind := range []kube.Kind{kube.ValidatingWebhooks, kube.MutatingWebhooks} {
		if _, err := c.client.Get(t.Context(), kube.ID{Kind: kind, Name: admission.ConfigurationName}); err != nil {
			t.Errorf("a controller that is ready has written its webhooks: %v", err)
		}
	}
	c.until("it leads", func() error {
		_, err := c.client.Get(t.Context(), kube.ID{Kind: kube.Kind{Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"}, Namespace: Namespace, Name: "apex-controller"})
		return err
	})
	stop()
	<-ended
	// Taking it out takes away first what fails closed.
	var order []string
	if err := Remove(t.Context(), c.client, "", false, func(s Step) {
		if s.Did == "removed" {
			order = append(order, s.Object)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if len(order) < 10 || order[0] != "ClusterRoleBinding apex-webhooks" || !strings.HasPrefix(order[1], "ValidatingWebhook") || !strings.HasPrefix(order[2], "MutatingWebhook") {
		t.Errorf("it removed in this order: %v", order)
	}
	if slices.ContainsFunc(order, func(o string) bool { return strings.HasPrefix(o, "CustomResourceDefinition") }) {
		t.Error("it removed a definition, and with it all policies")
	}
}

// until asks until it is so, or a while has passed.
func (c *cluster) until(what string, so func() error) {
	c.t.Helper()
	ctx, stop := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := so()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			c.t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

func TestRightsEndWhereTheyShould(t *testing.T) {
	c := newCluster(t, kubetest.Controllers()) // they write the rules of aggregated roles
	c.install(Options{Image: image}, false)
	for _, body := range []Object{
		{"apiVersion": "v1", "kind": "Namespace", "metadata": Object{"name": "team"}},
		{"apiVersion": "v1", "kind": "Namespace", "metadata": Object{"name": "others"}},
		{"apiVersion": rbac + "/v1", "kind": "RoleBinding", "metadata": Object{"name": "apex-source", "namespace": "team"},
			"roleRef":  Object{"apiGroup": rbac, "kind": "ClusterRole", "name": SourceAccount},
			"subjects": []any{Object{"kind": "ServiceAccount", "namespace": Namespace, "name": ServiceAccount}}},
	} {
		if _, err := c.client.Apply(t.Context(), body, kube.ApplyOptions{Manager: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	client := open(t, c.controllerAs())
	id := func(group, kind, namespace, name string) kube.ID {
		return kube.ID{Kind: kube.Kind{Group: group, Version: "v1", Kind: kind}, Namespace: namespace, Name: name}
	}
	hooks := "admissionregistration.k8s.io"
	c.until("the aggregated role has its rules", func() error {
		ok, why, err := client.Can(t.Context(), "list", id("apps", "Deployment", "", ""))
		if err == nil && !ok {
			err = fmt.Errorf("not allowed: %s", why)
		}
		return err
	})
	roots := Object{
		"apiVersion": "security.apexlogic.com/v1alpha1", "kind": "TrustRoot", "metadata": Object{"name": "roots"},
		"spec": Object{"entries": []any{Object{"name": "ci", "keyless": Object{"issuer": "https://issuer.example", "subject": "ada"}}}},
	}
	if _, err := c.client.Apply(t.Context(), roots, kube.ApplyOptions{Manager: "test"}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Apply(t.Context(), roots, kube.ApplyOptions{Manager: "test"}); !errors.Is(err, kube.ErrForbidden) {
		t.Errorf("the controller writes whom it believes: %v", err)
	}
	delete(roots, "spec")
	roots["status"] = Object{"summary": "names 1"}
	if _, err := client.ApplyStatus(t.Context(), roots, "test"); err != nil {
		t.Errorf("the controller cannot say that a trust root is in force: %v", err)
	}
	for _, tt := range []struct {
		name string
		verb string
		id   kube.ID
		want bool
	}{
		{"impersonate the account of a namespace that binds the role", "impersonate", id("", "ServiceAccount", "team", SourceAccount), true},
		{"impersonate another account there", "impersonate", id("", "ServiceAccount", "team", "default"), false},
		{"impersonate the account of a namespace that does not", "impersonate", id("", "ServiceAccount", "others", SourceAccount), false},
		{"read its own Secrets", "get", id("", "Secret", Namespace, "apex-webhook"), true},
		{"read Secrets of others", "get", id("", "Secret", "team", "password"), false},
		{"list Secrets everywhere", "list", id("", "Secret", "", ""), false},
		{"write its own webhooks", "patch", id(hooks, "ValidatingWebhookConfiguration", "", admission.ConfigurationName), true},
		{"write webhooks of others", "patch", id(hooks, "ValidatingWebhookConfiguration", "", "others"), false},
		{"delete its own webhooks", "delete", id(hooks, "ValidatingWebhookConfiguration", "", admission.ConfigurationName), false},
		{"watch Deployments", "watch", id("apps", "Deployment", "", ""), true},
		{"write a Deployment", "patch", id("apps", "Deployment", "team", "web"), false},
		{"make a Pod", "create", id("", "Pod", "team", ""), false},
		{"say what happened", "create", id("events.k8s.io", "Event", "team", ""), true},
		{"renew its lease", "update", id("coordination.k8s.io", "Lease", Namespace, "apex-controller"), true},
		{"take the lease of others", "update", id("coordination.k8s.io", "Lease", "kube-system", "kube-controller-manager"), false},
		{"give itself rights", "create", id(rbac, "ClusterRoleBinding", "", ""), false},
		{"change its own rights", "patch", id(rbac, "ClusterRole", "", "apex-controller"), false},
		{"change its own kinds", "patch", id("apiextensions.k8s.io", "CustomResourceDefinition", "", "trustroots.security.apexlogic.com"), false},
		{"change its own policies", "patch", kube.ID{Kind: kube.Kind{Group: "security.apexlogic.com", Version: "v1alpha1", Kind: "TrustRoot"}, Name: "roots"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ok, why, err := client.Can(t.Context(), tt.verb, tt.id)
			if err != nil || ok != tt.want {
				t.Errorf("it may: %v (%s), want %v; %v", ok, why, tt.want, err)
			}
		})
	}
}

func TestSomebodyWhoCouldNotChangeApexAfterwardsDoesNotInstallIt(t *testing.T) {
	c := newCluster(t)
	if _, err := c.client.Apply(t.Context(), Object{
		"apiVersion": rbac + "/v1", "kind": "ClusterRoleBinding", "metadata": Object{"name": "ops"},
		"roleRef":  Object{"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
		"subjects": []any{Object{"apiGroup": rbac, "kind": "Group", "name": "ops"}},
	}, kube.ApplyOptions{Manager: "test"}); err != nil {
		t.Fatal(err)
	}
	administrator := c.client
	c.client = open(t, c.as("ada", "ops", "system:authenticated"))
	did, err := c.try(Options{Image: image}, false)
	if err == nil || !strings.Contains(err.Error(), "--operator-group") || len(did) != 0 {
		t.Errorf("ada installs what locks her out: %v, %v", did, err)
	}
	// The same person, named.
	c.install(Options{Image: image, Groups: []string{"ops"}}, false)
	c.install(Options{Image: image, Groups: []string{"ops"}, Replicas: 3}, false)
	// Somebody with all rights and not named is denied by the API server itself.
	c.until("the protection is in force", func() error {
		_, err := administrator.Apply(t.Context(), Object{
			"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": Object{"name": ServiceAccount, "namespace": Namespace},
			"spec": Object{"replicas": int64(0)},
		}, kube.ApplyOptions{Manager: "mallory", DryRun: true})
		if err == nil || !strings.Contains(err.Error(), "part of Apex") {
			return fmt.Errorf("somebody else writes the controller: %v", err)
		}
		return nil
	})
}

func TestUninstallingMindsSourcesUnlessForced(t *testing.T) {
	c := newCluster(t)
	c.install(Options{Image: image}, false)
	if _, err := c.client.Apply(t.Context(), Object{
		"apiVersion": "security.apexlogic.com/v1alpha1", "kind": "GitSource", "metadata": Object{"name": "captioner"},
		"spec": Object{
			"url": "https://git.example/captioner", "target": Object{"embedded": Object{}},
			"trust": Object{"firstCommit": strings.Repeat("a", 40), "signers": texts("ada")},
		},
	}, kube.ApplyOptions{Manager: "test"}); err != nil {
		t.Fatal(err)
	}
	steps := 0
	count := func(Step) { steps++ }
	if err := Remove(t.Context(), c.client, "", false, count); !errors.Is(err, ErrSources) || steps != 0 {
		t.Errorf("with a source: %v after %d steps, want it refused before the first", err, steps)
	}
	if err := Remove(t.Context(), c.client, "", true, count); err != nil || steps == 0 {
		t.Errorf("forced: %v after %d steps", err, steps)
	}
	// A second run finds nothing, and the source is still there.
	if err := Remove(t.Context(), c.client, "", true, func(s Step) {
		if s.Did != "was not there" && s.Object != "Namespace "+Namespace { // it goes when its controller is there
			t.Errorf("the second run %s %s", s.Did, s.Object)
		}
	}); err != nil {
		t.Error(err)
	}
	if _, err := c.client.Get(t.Context(), kube.ID{Kind: kube.Kind{Group: "security.apexlogic.com", Version: "v1alpha1", Kind: "GitSource"}, Name: "captioner"}); err != nil {
		t.Errorf("the source went, too: %v", err)
	}
}

// protected returns once the API server refuses what a policy of ours forbids: it
// takes a moment to take a new policy up.
func protected(t *testing.T, person *kube.Client, forbidden Object, words string) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; {
		_, err := person.Apply(t.Context(), forbidden, kube.ApplyOptions{Manager: "person", DryRun: true})
		if err != nil && strings.Contains(err.Error(), words) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the policy is not in force: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestEachActionWorksWithExactlyTheRightsOfTheChart acts as the controller's
// ServiceAccount in a namespace that was switched on, and beside it.
func TestEachActionWorksWithExactlyTheRightsOfTheChart(t *testing.T) {
	c := newCluster(t, kubetest.Controllers())
	for _, name := range []string{"on", "off"} {
		if _, err := c.client.Apply(t.Context(), Object{"apiVersion": "v1", "kind": "Namespace", "metadata": Object{"name": name}}, kube.ApplyOptions{Manager: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	c.install(Options{Image: image, Actions: []string{"on"}}, false)
	controller, person := open(t, c.controllerAs()), open(t, c.as("mallory", "ops", "system:authenticated"))
	if _, err := c.client.Apply(t.Context(), Object{
		"apiVersion": rbac + "/v1", "kind": "ClusterRoleBinding", "metadata": Object{"name": "ops"},
		"roleRef":  Object{"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
		"subjects": []any{Object{"apiGroup": rbac, "kind": "Group", "name": "ops"}},
	}, kube.ApplyOptions{Manager: "test"}); err != nil {
		t.Fatal(err)
	}
	policy := func(namespace string) Object {
		return Object{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
			"metadata": Object{"name": "apex-isolate-x", "namespace": namespace, "labels": Object{admission.LabelAction: "isolate"}},
			"spec":     Object{"podSelector": Object{}, "policyTypes": texts("Ingress", "Egress")}}
	}
	containers := Object{"metadata": Object{"labels": Object{"app": "x"}}, "spec": Object{"restartPolicy": "Never", "containers": []any{Object{"name": "c", "image": image}}}}
	always := Object{"metadata": Object{"labels": Object{"app": "x"}}, "spec": Object{"containers": []any{Object{"name": "c", "image": image}}}}
	matching := Object{"matchLabels": Object{"app": "x"}}
	protected(t, person, policy("off"), "cuts something off")
	workloads := map[string]Object{
		"apps/v1 Deployment":  {"replicas": int64(0), "selector": matching, "template": always},
		"apps/v1 StatefulSet": {"replicas": int64(0), "selector": matching, "template": always, "serviceName": "x"},
		"batch/v1 Job":        {"suspend": true, "template": containers},
		"batch/v1 CronJob":    {"suspend": true, "schedule": "0 0 1 1 *", "jobTemplate": Object{"spec": Object{"template": containers}}},
	}
	note := []byte(`[{"op":"add","path":"/metadata/annotations","value":{"` + admission.AnnotationStopped + `":"3"}}]`)
	taken := []byte(`[{"op":"remove","path":"/metadata/annotations/` + strings.ReplaceAll(admission.AnnotationStopped, "/", "~1") + `"}]`)
	for _, namespace := range []string{"on", "off"} {
		may := namespace == "on"
		check := func(what string, err error) {
			t.Helper()
			if may && err != nil || !may && !errors.Is(err, kube.ErrForbidden) {
				t.Errorf("%s in the namespace %s: %v", what, namespace, err)
			}
		}
		_, err := controller.Apply(t.Context(), policy(namespace), kube.ApplyOptions{Manager: "apex-compliance"})
		check("isolate", err)
		for kind, spec := range workloads {
			version, name, _ := strings.Cut(kind, " ")
			body := Object{"apiVersion": version, "kind": name, "metadata": Object{"name": "w", "namespace": namespace}, "spec": spec}
			made, err := c.client.Apply(t.Context(), body, kube.ApplyOptions{Manager: "test"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = controller.Patch(t.Context(), kube.IDOf(made), "apex-compliance", note)
			check("stop a "+name, err)
			if !may {
				continue
			}
			if _, err := person.Patch(t.Context(), kube.IDOf(made), "person", taken); err == nil || !strings.Contains(err.Error(), "Apex alone writes it") {
				t.Errorf("somebody who may all else takes the note off a %s: %v", name, err)
			}
			// The same person, at another field.
			if _, err := person.Patch(t.Context(), kube.IDOf(made), "person", []byte(`[{"op":"add","path":"/metadata/labels","value":{"mine":"yes"}}]`)); err != nil {
				t.Errorf("a %s that is stopped cannot be labelled: %v", name, err)
			}
			if _, err := controller.Patch(t.Context(), kube.IDOf(made), "apex-compliance", taken); err != nil {
				t.Errorf("it cannot start a %s again: %v", name, err)
			}
		}
		if may {
			id := idOf(policy(namespace))
			if err := person.Delete(t.Context(), id, kube.Precondition{}); err == nil || !strings.Contains(err.Error(), "cuts something off") {
				t.Errorf("somebody who may all else connects what is cut off: %v", err)
			}
			loose := policy(namespace)
			delete(loose["metadata"].(Object), "labels")
			if _, err := person.Patch(t.Context(), id, "person", []byte(`[{"op":"remove","path":"/metadata/labels"}]`)); err == nil || !strings.Contains(err.Error(), "cuts something off") {
				t.Errorf("somebody takes the mark off an isolation: %v", err)
			}
			loose["metadata"].(Object)["name"] = "mine"
			if _, err := person.Apply(t.Context(), loose, kube.ApplyOptions{Manager: "person"}); err != nil {
				t.Errorf("a NetworkPolicy that is no isolation cannot be written: %v", err)
			}
			if err := controller.Delete(t.Context(), id, kube.Precondition{}); err != nil {
				t.Errorf("it cannot connect it again: %v", err)
			}
		}
	}
	// The mark of a namespace that enforces is taken off by nobody else either.
	marked := Object{"apiVersion": "v1", "kind": "Namespace", "metadata": Object{"name": "off", "labels": Object{admission.EnforceLabel: "true"}}}
	if _, err := person.Apply(t.Context(), marked, kube.ApplyOptions{Manager: "person"}); err != nil {
		t.Fatal(err)
	}
	unmarked := Object{"apiVersion": "v1", "kind": "Namespace", "metadata": Object{"name": "off", "labels": Object{admission.EnforceLabel: "false"}}}
	protected(t, person, unmarked, "mark is taken off by those who install")
	for _, patch := range []string{`[{"op":"remove","path":"/metadata/labels/apexlogic.com~1enforce"}]`, `[{"op":"replace","path":"/metadata/labels/apexlogic.com~1enforce","value":"false"}]`} {
		if _, err := person.Patch(t.Context(), idOf(marked), "person", []byte(patch)); err == nil || !strings.Contains(err.Error(), "mark is taken off by those who install") {
			t.Errorf("%s: %v", patch, err)
		}
	}
}

func TestTheDeploymentOfOlderReleasesGoesWhenItsSuccessorIsReady(t *testing.T) {
	c := newCluster(t)
	c.install(Options{Image: image}, false)
	var body Object
	for _, o := range objects(t, Options{Image: image, Ephemeral: true}) {
		if o["kind"] == "StatefulSet" {
			spec := o["spec"].(Object)
			body = made("apps/v1", "Deployment", Namespace, ServiceAccount, "controller", Object{"spec": Object{"selector": spec["selector"], "template": spec["template"]}})
		}
	}
	if _, err := c.client.Apply(t.Context(), body, kube.ApplyOptions{Manager: manager}); err != nil {
		t.Fatal(err)
	}
	there := func() bool {
		_, err := c.client.Get(t.Context(), idOf(body))
		if err != nil && !errors.Is(err, kube.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	if did := c.install(Options{Image: image}, false); did["removed"] != 0 || !there() {
		t.Errorf("it is removed while nothing else answers: %v", did)
	}
	successor := body
	if _, err := c.client.ApplyStatus(t.Context(), Object{
		"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": successor["metadata"].(Object),
		"status": Object{"replicas": int64(2), "readyReplicas": int64(1)},
	}, "test"); err != nil {
		t.Fatal(err)
	}
	if did := c.install(Options{Image: image}, false); did["removed"] != 1 || there() {
		t.Errorf("it stays beside its successor: %v", did)
	}
}
