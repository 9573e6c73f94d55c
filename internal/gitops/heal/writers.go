package heal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
)

// Writer is somebody who writes into what Git holds by right. Manager names can
// be had for the asking, so that each is bound to a path, and where it can be to
// something that Git itself says.
type Writer struct {
	// Managers are field managers; a * at the end stands for any end.
	Managers []string
	Group    string // with Kind
	Kinds    []string
	// Path is a JSON pointer; an element of a list is named by its key, * stands
	// for any. What is below is included.
	Path string

	when func(*Healer, *gitops.Object, *finding) bool
	// nobody: also when the field has no owner. Servers note none for a scale of
	// what nobody owned, nor for one to zero.
	nobody bool
	path   pattern
}

func (w *Writer) prepare() error {
	var err error
	if w.path, err = readPattern(w.Path); err != nil {
		return fmt.Errorf("heal: writer %s: %w", strings.Join(w.Managers, ", "), err)
	}
	if len(w.path) == 0 || len(w.Managers) == 0 || len(w.Kinds) == 0 {
		return fmt.Errorf("heal: the writer of %q needs managers, kinds and a path", w.Path)
	}
	return nil
}

const (
	admissions = "admissionregistration.k8s.io"
	controller = "kube-controller-manager"
)

// builtinWriters is the table: one line, one right.
func builtinWriters() []Writer {
	workloads := []string{"Deployment", "StatefulSet", "ReplicaSet"}
	webhooks := []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}
	const bundle = "/webhooks/*/clientConfig/caBundle"
	template := "/spec/template/metadata/annotations/"
	return []Writer{
		// Who scales: only what Git has scaled, or leaves open.
		{Managers: []string{controller, "horizontal-pod-autoscaler"}, Group: "apps", Kinds: workloads, Path: "/spec/replicas", when: scaled, nobody: true},
		{Managers: []string{"keda", "keda-operator"}, Group: "apps", Kinds: workloads, Path: "/spec/replicas", when: scaled},
		{Managers: []string{"autoscaler", "autoscaler-hpa"}, Group: "apps", Kinds: []string{"Deployment"}, Path: "/spec/replicas", when: scaled}, // Knative
		{Managers: []string{"vpa-updater", "vpa-recommender"}, Kinds: []string{"Pod"}, Path: "/spec/containers/*/resources", when: scaled},
		{Managers: []string{"vpa-updater"}, Group: "apps", Kinds: workloads, Path: "/spec/template/spec/containers/*/resources", when: scaled},

		// Who fills in the certificate authority of a webhook: where Git asks for it.
		{Managers: []string{"cert-manager-cainjector*", "cainjector"}, Group: admissions, Kinds: webhooks, Path: bundle, when: annotated("cert-manager.io/inject-")},
		{Managers: []string{"cert-manager-cainjector*", "cainjector"}, Group: "apiextensions.k8s.io", Kinds: []string{"CustomResourceDefinition"}, Path: "/spec/conversion/webhook/clientConfig/caBundle", when: annotated("cert-manager.io/inject-")},
		{Managers: []string{"cert-manager-cainjector*", "cainjector"}, Group: "apiregistration.k8s.io", Kinds: []string{"APIService"}, Path: "/spec/caBundle", when: annotated("cert-manager.io/inject-")},
		{Managers: []string{"service-ca-operator"}, Group: admissions, Kinds: webhooks, Path: bundle, when: annotated("service.beta.openshift.io/inject-cabundle")},
		{Managers: []string{"service-ca-operator"}, Kinds: []string{"ConfigMap"}, Path: "/data/service-ca.crt", when: annotated("service.beta.openshift.io/inject-cabundle")},
		{Managers: []string{"pilot-discovery", "istiod"}, Group: admissions, Kinds: webhooks, Path: bundle, when: named("istio")},
		{Managers: []string{"linkerd-*"}, Group: admissions, Kinds: webhooks, Path: bundle, when: named("linkerd")},
		{Managers: []string{"vault-k8s"}, Group: admissions, Kinds: webhooks, Path: bundle, when: named("vault-agent-injector")},
		{Managers: []string{"webhook"}, Group: admissions, Kinds: webhooks, Path: bundle, when: namedAfter(".knative.dev")},
		{Managers: []string{"apex"}, Group: admissions, Kinds: webhooks, Path: bundle, when: named("apex")},

		// Who binds: volumes to claims, tokens to accounts, Pods to nodes.
		{Managers: []string{controller}, Kinds: []string{"PersistentVolumeClaim"}, Path: "/spec/volumeName"},
		{Managers: []string{controller}, Kinds: []string{"PersistentVolume"}, Path: "/spec/claimRef"},
		{Managers: []string{controller, "openshift-controller-manager"}, Kinds: []string{"ServiceAccount"}, Path: "/secrets"},
		{Managers: []string{"openshift-controller-manager"}, Kinds: []string{"ServiceAccount"}, Path: "/imagePullSecrets"},
		{Managers: []string{"clusterrole-aggregation-controller", controller}, Group: "rbac.authorization.k8s.io", Kinds: []string{"ClusterRole"}, Path: "/rules", when: sets("aggregationRule")},
		{Managers: []string{"*"}, Kinds: []string{"Pod"}, Path: "/spec/nodeName"}, // once it is bound, nobody can change it

		// Who has to clean up before an object goes.
		{Managers: []string{controller, "cloud-controller-manager", "*-cloud-controller-manager"}, Kinds: []string{"Service"}, Path: "/metadata/finalizers/service.kubernetes.io~1load-balancer-cleanup", when: balanced},
		{Managers: []string{"controller", "aws-load-balancer-controller"}, Kinds: []string{"Service"}, Path: "/metadata/finalizers/service.k8s.aws~1resources", when: balanced},
		{Managers: []string{"controller", "aws-load-balancer-controller"}, Group: "networking.k8s.io", Kinds: []string{"Ingress"}, Path: "/metadata/finalizers/ingress.k8s.aws~1resources"},
		{Managers: []string{controller}, Kinds: []string{"PersistentVolumeClaim"}, Path: "/metadata/finalizers/kubernetes.io~1pvc-protection"},
		{Managers: []string{controller}, Kinds: []string{"PersistentVolume"}, Path: "/metadata/finalizers/kubernetes.io~1pv-protection"},
		{Managers: []string{"csi-*", "external-*"}, Kinds: []string{"PersistentVolume"}, Path: "/metadata/finalizers/external-provisioner.volume.kubernetes.io~1finalizer"},
		{Managers: []string{"controller"}, Group: "serving.knative.dev", Kinds: []string{"Route", "DomainMapping"}, Path: "/metadata/finalizers/*.serving.knative.dev", when: nil},
		{Managers: []string{"manager"}, Group: "serving.kserve.io", Kinds: []string{"InferenceService"}, Path: "/metadata/finalizers/inferenceservice.finalizers"},
		{Managers: []string{"keda", "keda-operator"}, Group: "keda.sh", Kinds: []string{"ScaledObject", "ScaledJob"}, Path: "/metadata/finalizers/finalizer.keda.sh"},
		{Managers: []string{"keda", "keda-operator"}, Group: "keda.sh", Kinds: []string{"ScaledObject", "ScaledJob"}, Path: "/metadata/labels/scaledobject.keda.sh~1name"},

		// Who restarts: a time changes nothing but that.
		{Managers: []string{"kubectl-rollout"}, Group: "apps", Kinds: []string{"Deployment", "StatefulSet", "DaemonSet"}, Path: template + "kubectl.kubernetes.io~1restartedAt", when: isTime},
		{Managers: []string{"Reloader"}, Group: "apps", Kinds: []string{"Deployment", "StatefulSet", "DaemonSet"}, Path: template + "reloader.stakater.com~1last-reloaded-from", when: annotated("reloader.stakater.com/")},
	}
}

// allowed says whether somebody who may have written the difference. h.mu is held.
func (h *Healer) allowed(o *gitops.Object, live map[string]any, f *finding) bool {
	var by []Manager
	asked := false
	for i := range h.writer {
		w := &h.writer[i]
		if w.Group != o.Group || !slices.Contains(w.Kinds, o.Kind) || !w.path.matches(f.way) || w.when != nil && !w.when(h, o, f) {
			continue
		}
		if !asked {
			by, asked = owners(live, f), true
		}
		if w.nobody && len(by) == 0 && !(f.have == int64(0) && h.scalers[scaledBy{o.ID, false}].id.Kind != "ScaledObject") || slices.Contains(w.Managers, "*") || slices.ContainsFunc(by, func(m Manager) bool { return w.is(m.Name) }) {
			return true
		}
	}
	return false
}

func (w *Writer) is(manager string) bool {
	return slices.ContainsFunc(w.Managers, func(name string) bool {
		prefix, open := strings.CutSuffix(name, "*")
		suffix, ends := strings.CutPrefix(name, "*")
		return name == manager || open && strings.HasPrefix(manager, prefix) || ends && strings.HasSuffix(manager, suffix)
	})
}

// scaled: an autoscaler of the same source names the object and may go that far,
// or Git leaves the field open. What Git sets and nobody scales is Git's.
func scaled(h *Healer, o *gitops.Object, f *finding) bool {
	if f.way[len(f.way)-1].name != "replicas" {
		_, named := h.scalers[scaledBy{o.ID, true}]
		return named
	}
	s, named := h.scalers[scaledBy{o.ID, false}]
	if !named {
		return f.want == nil
	}
	n, ok := f.have.(int64)
	return ok && s.min <= n && n <= s.max
}

func annotated(prefix string) func(*Healer, *gitops.Object, *finding) bool {
	return func(_ *Healer, o *gitops.Object, _ *finding) bool {
		meta, _ := o.Body["metadata"].(map[string]any)
		annotations, _ := meta["annotations"].(map[string]any)
		for name := range annotations {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		return false
	}
}

func named(prefix string) func(*Healer, *gitops.Object, *finding) bool {
	return func(_ *Healer, o *gitops.Object, _ *finding) bool { return strings.HasPrefix(o.Name, prefix) }
}

func namedAfter(suffix string) func(*Healer, *gitops.Object, *finding) bool {
	return func(_ *Healer, o *gitops.Object, _ *finding) bool { return strings.HasSuffix(o.Name, suffix) }
}

func sets(field string) func(*Healer, *gitops.Object, *finding) bool {
	return func(_ *Healer, o *gitops.Object, _ *finding) bool { return o.Body[field] != nil }
}

func balanced(_ *Healer, o *gitops.Object, _ *finding) bool {
	spec, _ := o.Body["spec"].(map[string]any)
	return spec["type"] == "LoadBalancer"
}

func isTime(_ *Healer, _ *gitops.Object, f *finding) bool {
	s, _ := f.have.(string)
	_, err := time.Parse(time.RFC3339, s)
	return err == nil
}
