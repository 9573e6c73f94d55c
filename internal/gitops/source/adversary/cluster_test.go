package adversary

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/verdict"
)

// served are the kinds whose objects a source of these tests could leave behind.
var served = []kube.Kind{
	{Version: "v1", Kind: "ConfigMap"}, {Version: "v1", Kind: "Secret"}, {Version: "v1", Kind: "Pod"}, {Version: "v1", Kind: "Namespace"},
	{Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "batch", Version: "v1", Kind: "CronJob"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRoleBinding"},
	{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"},
	{Group: "serving.kserve.io", Version: "v1beta1", Kind: "InferenceService"},
}

// holds is all that the cluster holds of those kinds, as it serves it; the state
// that Apex itself keeps there is left out.
func holds(t *testing.T, c *kube.Client) string {
	t.Helper()
	sum := sha256.New()
	for _, kind := range served {
		list, err := c.List(t.Context(), kind, "", "")
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			if kube.IDOf(&list[i]).Namespace == system {
				continue
			}
			data, err := json.Marshal(list[i].Object)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(sum, "%s\n", data)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

const system = "apex-system"

// tenancy makes the ServiceAccount of a source with rights in one namespace.
func tenancy(t *testing.T, c *kube.Client, namespace string) {
	t.Helper()
	for _, body := range []map[string]any{
		{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": system}},
		{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": map[string]any{"namespace": namespace, "name": "tenant"},
			"rules": []any{map[string]any{"apiGroups": []any{"", "apps", "batch", "serving.kserve.io"}, "resources": []any{"*"}, "verbs": []any{"*"}}}},
		{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": map[string]any{"namespace": namespace, "name": "tenant"},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "tenant", "namespace": namespace}}},
	} {
		if _, err := c.Apply(t.Context(), body, kube.ApplyOptions{Manager: "a-person"}); err != nil {
			t.Fatal(err)
		}
	}
	account, err := c.As(namespace, "tenant")
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; { // until the authorizer has seen the binding
		ok, _, err := account.Can(t.Context(), "patch", kube.ID{Kind: served[0], Namespace: namespace})
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the rights do not come")
		}
	}
}

func TestNothingUnverifiedReachesACluster(t *testing.T) {
	server := kubetest.Start(t)
	server.InstallCRDs(t, kubetest.KServe())
	client, err := kube.Open(kube.Config{Kubeconfig: server.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	namespace := server.Namespace(t)
	victim := server.Namespace(t)
	tenancy(t, client, namespace)
	into := func(gs *v1alpha1.GitSource, _ *v1alpha1.TrustRoot) {
		gs.Spec.Namespace = namespace
		gs.Spec.Target = v1alpha1.GitTarget{Cluster: &v1alpha1.ClusterTarget{ServiceAccount: namespace + "/tenant", Namespaces: []string{namespace}}}
	}
	w := newWorld(t, into, nil, client)
	elsewhere := strings.Replace(configMap("x"), "{name: x}", "{name: x, namespace: "+victim+"}", 1)
	ours := strings.Replace(configMap("x"), "{name: x}", "{name: x, namespace: "+namespace+"}", 1)
	image := func(at int, ref string) string { return strings.ReplaceAll(places[at].text, "«»", ref) }
	const cluster = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: x}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}, subjects: [{kind: ServiceAccount, name: tenant, namespace: default}]}\n"
	for _, a := range []attempt{
		{name: "an object in its own namespace", text: ours},
		{name: "an object in another's namespace", text: elsewhere, code: verdict.ObjectNamespace},
		{name: "an object in the namespace of the system", text: strings.Replace(elsewhere, victim, "kube-system", 1), code: verdict.ObjectNamespace},
		{name: "an object beside Apex's own records", text: strings.Replace(elsewhere, victim, system, 1), code: verdict.ObjectNamespace},
		{name: "an object of another's namespace in a List", text: "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: " + victim + "}}]}\n", code: verdict.ObjectNamespace},
		{name: "all objects in another's namespace", more: kustomize("]\nnamespace: "+victim+"\n", nil), code: verdict.ObjectNamespace},
		{name: "a Namespace", text: "{apiVersion: v1, kind: Namespace, metadata: {name: new}}\n", code: verdict.ObjectNamespace},
		{name: "its own Namespace", text: "{apiVersion: v1, kind: Namespace, metadata: {name: " + namespace + "}}\n", code: verdict.ApplyKind},
		{name: "a binding to all rights", text: cluster, code: verdict.ApplyKind},
		{name: "a CRD", text: "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: xs.evil.example}, spec: {group: evil.example, scope: Namespaced, names: {kind: X, plural: xs}, versions: []}}\n", code: verdict.ApplyKind},
		{name: "a webhook", text: "{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: x}}\n", code: verdict.ApplyKind},
		{name: "a policy of our own", text: policy("Observe"), code: verdict.CommitThreshold},
		{name: "a good Pod", text: image(0, "«good»")},
		{name: "a good CronJob", text: object("batch/v1", "CronJob", `spec: {schedule: "@daily", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: "«good:tag»"}]}}}}}`)},
		{name: "a good InferenceService", text: object(isvc, "InferenceService", `spec: {predictor: {model: {modelFormat: {name: onnx}, storageUri: "«model:tag»"}}}`)},
		{name: "an unsigned Pod", text: image(0, "«unsigned»"), code: verdict.SignatureMissing},
		{name: "an unsigned init container", text: image(2, "«unsigned»"), code: verdict.SignatureMissing},
		{name: "an unsigned image volume", text: image(5, "«unsigned:tag»"), code: verdict.SignatureMissing},
		{name: "an unsigned CronJob", text: image(11, "«unsigned»"), code: verdict.SignatureMissing},
		{name: "an image by a stranger", text: image(6, "«wrong»"), code: verdict.SignatureUntrusted},
		{name: "an image with a hole", text: image(6, "«holed»"), code: verdict.VulnerabilityOver},
		{name: "an unsigned model", text: strings.ReplaceAll(modelPlaces[0].text, "«»", "«naked»"), code: verdict.ModelSignatureMissing},
		{name: "a hub's model", text: strings.ReplaceAll(modelPlaces[0].text, "«»", "hf://owner/tiny"), code: verdict.ModelReference},
		{name: "good objects and one that is unsigned", text: ours + "---\n" + image(0, "«good»") + "\n---\n" + deployment("y", "«unsigned»"), code: verdict.SignatureMissing},
		{name: "an unsigned commit", text: ours, by: "-", code: verdict.CommitUnsigned},
		{name: "a stranger's commit", text: ours, by: "stranger", code: verdict.CommitUntrusted},
		{name: "the branch one back", make: func(w *world) string { return w.before }, code: verdict.HistoryRewound},
		{name: "60 % fewer", more: files{"deploy/settings.yaml": {regular, configMaps(settings * 4 / 10)}}, code: verdict.ApplyPruneLimit},
		{name: "the label of another source", text: with("name: x, labels: {apexlogic.com/source: other}", data), code: verdict.ObjectInvalid},
	} {
		was := holds(t, client)
		if wrong := w.try(a); wrong != "" {
			t.Errorf("%s: %s", a.name, wrong)
		}
		if is := holds(t, client); a.code != "" && is != was {
			t.Errorf("%s: the cluster holds something else", a.name)
		} else if a.code == "" && is == was {
			t.Errorf("%s: the cluster holds the same", a.name)
		}
	}
	t.Logf("%d adversarial commits refused with their codes, %d good ones applied", w.refused, w.allowed)
}
