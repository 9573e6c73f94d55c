package heal_test

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
)

const (
	queueDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: queue, namespace: HERE}
spec:
  replicas: 1
  selector: {matchLabels: {app: queue}}
  template:
    metadata: {labels: {app: queue}}
    spec: {containers: [{name: app, image: "registry.local/queue@sha256:6666666666666666666666666666666666666666666666666666666666666666"}]}
`
	queueScaler = `
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: queue, namespace: HERE}
spec: {scaleTargetRef: {name: queue}, maxReplicaCount: 20}
`
	aggregated = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: heal-aggregated}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {heal.example/none: "true"}}]}
`
	istioHook = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: istio-heal-test}
webhooks:
- name: inject.heal.example
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Ignore
  clientConfig: {url: "https://127.0.0.1:1/inject"}
  rules: [{apiGroups: [none.example], apiVersions: [v1], operations: [CREATE], resources: [things]}]
`
	bundleMap = `
apiVersion: v1
kind: ConfigMap
metadata: {name: bundle, namespace: HERE, annotations: {service.beta.openshift.io/inject-cabundle: "true"}}
`
	verticalScaler = `
apiVersion: autoscaling.k8s.io/v1
kind: VerticalPodAutoscaler
metadata: {name: scaled, namespace: HERE}
spec: {targetRef: {apiVersion: apps/v1, kind: Deployment, name: scaled}}
`
	authority = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"
)

// rights: who writes by right is left alone; each has a twin among the tampers
// or below, where the same is written without it.
var rights = []struct {
	name   string
	victim string
	by     writer
	change func(map[string]any)
	only   string // "real" or "embedded"
}{
	{"the autoscaler scales what an autoscaler in Git names", scaledDeployment, writer{"kube-controller-manager", "Update", "scale"}, set(int64(5), "spec", "replicas"), ""},
	{"the autoscaler scales what Git leaves open", openDeployment, writer{"kube-controller-manager", "Update", "scale"}, set(int64(5), "spec", "replicas"), ""},
	{"KEDA scales to nothing", queueDeployment, writer{"keda", "Update", "scale"}, set(int64(0), "spec", "replicas"), "embedded"},
	{"KEDA's operator scales up", scaledDeployment, writer{"keda-operator", "Update", ""}, set(int64(7), "spec", "replicas"), ""},
	{"Knative's autoscaler scales", openDeployment, writer{"autoscaler", "Update", ""}, set(int64(4), "spec", "replicas"), ""},
	{"the vertical autoscaler sizes what it names", scaledDeployment, writer{"vpa-updater", "Update", ""}, set(object1("requests", object1("cpu", "2")), in(container, "resources")...), "embedded"},
	{"a controller writes the status", deployment, writer{"kube-controller-manager", "Update", "status"}, set(int64(3), "status", "observedGeneration"), ""},
	{"a job's status is written", job, writer{"kube-controller-manager", "Update", "status"}, set(int64(1), "status", "active"), ""},
	{"KServe writes the status", inference, writer{"manager", "Update", "status"}, set("http://captions.example", "status", "url"), ""},
	{"the deployment controller counts revisions", deployment, writer{"kube-controller-manager", "Update", ""}, set("3", "metadata", "annotations", "deployment.kubernetes.io/revision"), ""},
	{"a person restarts a rollout", deployment, writer{"kubectl-rollout", "Update", ""}, set("2026-11-23T10:00:00Z", "spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"), ""},
	{"Reloader restarts where it is asked to", openDeployment, writer{"Reloader", "Update", ""}, set("{}", "spec", "template", "metadata", "annotations", "reloader.stakater.com/last-reloaded-from"), ""},
	{"a person notes a cause", deployment, writer{"kubectl-annotate", "Update", ""}, set("drill", "metadata", "annotations", "kubernetes.io/change-cause"), ""},
	{"kubectl notes what it applied", configMap, writer{"kubectl-client-side-apply", "Update", ""}, set("{}", "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"), ""},
	{"a person notes a contact", service, writer{"kubectl-annotate", "Update", ""}, set("mail", "metadata", "annotations", "example.com/contact"), ""},
	{"cert-manager fills in the authority of a webhook", webhook, writer{"cert-manager-cainjector", "Update", ""}, set(authority, "webhooks", 0, "clientConfig", "caBundle"), ""},
	{"Istio fills in the authority of its own webhook", istioHook, writer{"pilot-discovery", "Update", ""}, set(authority, "webhooks", 0, "clientConfig", "caBundle"), ""},
	{"OpenShift fills in a bundle", bundleMap, writer{"service-ca-operator", "Update", ""}, set("pem", "data", "service-ca.crt"), ""},
	{"the cloud holds a balancer until it has cleaned up", balancer, writer{"cloud-controller-manager", "Update", ""}, add("service.kubernetes.io/load-balancer-cleanup", "metadata", "finalizers"), ""},
	{"AWS holds a balancer", balancer, writer{"controller", "Update", ""}, add("service.k8s.aws/resources", "metadata", "finalizers"), ""},
	{"AWS holds an ingress", ingress, writer{"aws-load-balancer-controller", "Update", ""}, add("ingress.k8s.aws/resources", "metadata", "finalizers"), ""},
	{"GKE notes its endpoint groups", service, writer{"glbc", "Update", ""}, set("{}", "metadata", "annotations", "cloud.google.com/neg-status"), ""},
	{"a volume is bound to a claim", claim, writer{"kube-controller-manager", "Update", ""}, set("pv-1", "spec", "volumeName"), ""},
	{"the binder notes that it has bound", claim, writer{"kube-controller-manager", "Update", ""}, set("yes", "metadata", "annotations", "pv.kubernetes.io/bind-completed"), ""},
	{"an account gets its token", serviceAccount, writer{"kube-controller-manager", "Update", ""}, add(object1("name", "captioner-token"), "secrets"), ""},
	{"OpenShift gives an account its pull secret", serviceAccount, writer{"openshift-controller-manager", "Update", ""}, add(object1("name", "captioner-dockercfg"), "imagePullSecrets"), ""},
	{"a role is put together from others", aggregated, writer{"clusterrole-aggregation-controller", "Apply", ""}, set([]any{object1("apiGroups", []any{""}, "resources", []any{"pods"}, "verbs", []any{"get"})}, "rules"), "real"},
	{"a role is put together by an update", aggregated, writer{"kube-controller-manager", "Update", ""}, set([]any{object1("apiGroups", []any{""}, "resources", []any{"pods"}, "verbs", []any{"list"})}, "rules"), ""},
	{"KServe holds its object", inference, writer{"manager", "Update", ""}, add("inferenceservice.finalizers", "metadata", "finalizers"), ""},
}

func TestWhoWritesByRightIsLeftAloneInTheEmbeddedTarget(t *testing.T) {
	testRights(t, openEmbedded(t))
}
func TestWhoWritesByRightIsLeftAloneInACluster(t *testing.T) { testRights(t, openCluster(t)) }

func testRights(t *testing.T, w world) {
	g := newGuard(t, w, nil)
	g.run(t)
	g.put(t, object(t, w, autoscaler))
	if !w.real() {
		g.put(t, object(t, w, verticalScaler))
		g.put(t, object(t, w, queueScaler))
	}
	victims := map[string]*gitops.Object{}
	for _, c := range rights {
		if victims[c.victim] == nil {
			victims[c.victim] = object(t, w, c.victim)
			g.put(t, victims[c.victim])
		}
	}
	g.rest(t, 0)
	for _, c := range rights {
		t.Run(c.name, func(t *testing.T) {
			if c.only == "real" && !w.real() || c.only == "embedded" && w.real() {
				t.Skip("only " + c.only)
			}
			o := victims[c.victim]
			looks := g.Stats().Looks
			written := w.write(t, o.ID, o.Version, c.by, c.change)
			g.rest(t, looks+1)
			after, err := w.Get(t.Context(), o.ID, o.Version)
			if err != nil {
				t.Fatal(err)
			}
			if c.by.subresource == "scale" && w.real() {
				body := map[string]any{"spec": map[string]any{}}
				c.change(body)
				if got, want := at(after.Body, "spec", "replicas"), at(body, "spec", "replicas"); got != want {
					t.Fatalf("%v replicas became %v", want, got)
				}
				return
			}
			if diff := diffOf(essence(written.Body), essence(after.Body)); diff != "" {
				t.Fatalf("reverted (-written +after):\n%s", diff)
			}
			if after.ResourceVersion != written.ResourceVersion {
				t.Errorf("written again: version %s became %s", written.ResourceVersion, after.ResourceVersion)
			}
		})
	}
	if len(g.reports) > 0 {
		t.Errorf("%d reports: %v", len(g.reports), summary(g.reports))
	}
}

// What is theirs by right stays theirs while something else is healed, and is
// nobody else's.
func TestAnAutoscalersReplicasSurviveTheHealingOfSomethingElse(t *testing.T) {
	w := openEmbedded(t)
	g := newGuard(t, w, nil)
	g.run(t)
	g.put(t, object(t, w, autoscaler))
	o := object(t, w, scaledDeployment)
	g.put(t, o)
	looks := g.Stats().Looks
	w.write(t, o.ID, o.Version, writer{"kube-controller-manager", "Update", "scale"}, set(int64(6), "spec", "replicas"))
	g.rest(t, looks+1)
	w.write(t, o.ID, o.Version, writers[0], set(evilImage, in(container, "image")...))
	g.until(t, "healing", func([]heal.Report) bool {
		live, err := w.Get(t.Context(), o.ID, o.Version)
		return err == nil && at(live.Body, in(container, "image")...) != evilImage
	})
	g.rest(t, 0)
	live, err := w.Get(t.Context(), o.ID, o.Version)
	if err != nil {
		t.Fatal(err)
	}
	if n := at(live.Body, "spec", "replicas"); n != int64(6) {
		t.Errorf("%v replicas, the autoscaler wanted 6", n)
	}
}

func TestARightIsBoundToWhatGitSays(t *testing.T) {
	w := openEmbedded(t)
	for _, c := range []struct {
		name, victim string
		by           writer
		change       func(map[string]any)
	}{
		{"replicas that Git sets and nobody in Git scales", scaledDeployment, writer{"kube-controller-manager", "Update", "scale"}, set(int64(0), "spec", "replicas")},
		{"more replicas than Git lets an autoscaler make", scaledDeployment, writer{"kube-controller-manager", "Update", "scale"}, set(int64(1000), "spec", "replicas")},
		{"none where Git's autoscaler keeps one, which turns it off", scaledDeployment, writer{"kube-controller-manager", "Update", "scale"}, set(int64(0), "spec", "replicas")},
		{"KEDA where Git has none", scaledDeployment, writer{"keda", "Update", "scale"}, set(int64(0), "spec", "replicas")},
		{"an authority of a webhook that is not Istio's", webhook, writer{"pilot-discovery", "Update", ""}, set(authority, "webhooks", 0, "clientConfig", "caBundle")},
		{"a balancer's finalizer on a service that is none", service, writer{"controller", "Update", ""}, add("service.k8s.aws/resources", "metadata", "finalizers")},
		{"a bundle that was not asked for", configMap, writer{"service-ca-operator", "Update", ""}, set("pem", "data", "service-ca.crt")},
		{"rules of a role that is not put together", clusterRole, writer{"kube-controller-manager", "Update", ""}, add(object1("verbs", []any{"*"}), "rules")},
		{"another path of the injector's", webhook, writer{"cert-manager-cainjector", "Update", ""}, set("https://127.0.0.1:2/x", "webhooks", 0, "clientConfig", "url")},
		{"a reload that was not asked for", deployment, writer{"Reloader", "Update", ""}, set("{}", "spec", "template", "metadata", "annotations", "reloader.stakater.com/last-reloaded-from")},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGuard(t, w, nil)
			g.run(t)
			if strings.Contains(c.name, "autoscaler") {
				g.put(t, object(t, w, autoscaler))
			}
			o := object(t, w, c.victim)
			before := g.put(t, o)
			g.rest(t, 0)
			w.write(t, o.ID, o.Version, c.by, c.change)
			g.until(t, "healing", func(r []heal.Report) bool { return len(r) > 0 })
			after, err := w.Get(t.Context(), o.ID, o.Version)
			if err != nil {
				t.Fatal(err)
			}
			if diff := diffOf(essence(before.Body), essence(after.Body)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
