package controller

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/verdict"
)

// source has a GitSource of the name hold the namespace of that name, which its
// ServiceAccount may write as a whole. It begins with the files.
func (s *scene) source(name, more string, files map[string]string) {
	s.t.Helper()
	s.apply(fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: %s}}`, name))
	s.apply(fmt.Sprintf(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: deployer, namespace: %s}}`, name))
	s.binds(name, "deployer", fmt.Sprintf(`{kind: ServiceAccount, name: deployer, namespace: %s}`, name))
	s.dir = s.t.TempDir() + "/" + name
	first := s.repository()
	s.commit(files, "-S")
	s.apply(fmt.Sprintf(`
apiVersion: security.apexlogic.com/v1alpha1
kind: TrustRoot
metadata: {name: commits-%s}
spec: {entries: [{name: platform-%s, owner: platform, uses: [Commits], ssh: {publicKey: %q}}]}`, name, name, s.public))
	s.apply(fmt.Sprintf(`
apiVersion: security.apexlogic.com/v1alpha1
kind: GitSource
metadata: {name: %s}
spec:
  url: %s
  namespace: %s
  interval: 200ms
  trust: {firstCommit: %s, signers: [platform-%s]}
  target: {cluster: {serviceAccount: %s/deployer, namespaces: [%s]}}
%s`, name, s.dir, name, first, name, name, name, more))
}

// binds lets a subject write everything in a namespace.
func (s *scene) binds(namespace, name, subject string) {
	s.t.Helper()
	s.apply(fmt.Sprintf(`{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: %s, namespace: %s}, rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]}`, name, namespace))
	s.apply(fmt.Sprintf(`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: %s, namespace: %s}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %s}, subjects: [%s]}`, name, namespace, name, subject))
}

func TestInModeDenyApexAloneWritesWhatIsOfGit(t *testing.T) {
	s := newScene(t)
	file := func(value string) map[string]string {
		return map[string]string{"a.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {key: " + value + "}}\n"}
	}
	s.source("locked", "  heal: {mode: Deny, except: [{kind: ConfigMap, path: /metadata/annotations/note, mode: Warn}]}", file("one"))
	id := kube.ID{Kind: kube.Kind{Version: "v1", Kind: "ConfigMap"}, Namespace: "locked", Name: "a"}
	value := func(want string) func() (bool, string) {
		return func() (bool, string) {
			o, err := s.client.Get(t.Context(), id)
			if err != nil {
				return false, err.Error() + " " + s.condition("locked")
			}
			data, _ := o.Object["data"].(map[string]any)
			return data["key"] == want && len(data) == 1, fmt.Sprint(data, s.condition("locked"))
		}
	}
	s.await("Apex applies it", value("one"))
	// It had to be let in to make it. Changing and deleting are other requests.
	s.commit(file("two"), "-S")
	s.await("Apex changes it", value("two"))

	const refused = string(verdict.AdmissionGuarded)
	s.refused(`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: locked}, data: {key: bad}}`, refused)
	s.refused(`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: locked}, data: {more: x}}`, "/data/more")
	s.refused(`{apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: locked, labels: {apexlogic.com/source: locked}}}`, refused)
	if _, err := s.client.Patch(t.Context(), id, gitops.FieldManager, []byte(`[{"op":"remove","path":"/metadata/labels/apexlogic.com~1source"}]`)); err == nil || !strings.Contains(err.Error(), refused) {
		t.Errorf("taking off the label: %v", err)
	}
	if err := s.client.Delete(t.Context(), id, kube.Precondition{}); err == nil || !strings.Contains(err.Error(), refused) {
		t.Errorf("deleting it: %v", err)
	}
	// Where the source does not lock it, and what is not the source's, is open.
	s.apply(`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: locked, annotations: {note: seen}}}`)
	s.apply(`{apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: locked}}`)

	// Another ServiceAccount with the same rights is not the source's own.
	s.apply(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: other, namespace: locked}}`)
	s.binds("locked", "other", `{kind: ServiceAccount, name: other, namespace: locked}`)
	other, err := s.client.As("locked", "other")
	if err != nil {
		t.Fatal(err)
	}
	tampered := s.object(`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: locked}, data: {key: bad}}`)
	if _, err := other.Apply(t.Context(), tampered, kube.ApplyOptions{Manager: gitops.FieldManager}); err == nil || !strings.Contains(err.Error(), refused) {
		t.Errorf("another ServiceAccount: %v", err)
	}
	// Who passes admission, as a controller of the cluster does, is healed.
	s.binds("locked", "controllers", `{kind: Group, apiGroup: rbac.authorization.k8s.io, name: "system:serviceaccounts:kube-system"}`)
	inside, err := s.client.As("kube-system", "some-controller")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inside.Apply(t.Context(), tampered, kube.ApplyOptions{Manager: "some-controller"}); err != nil {
		t.Fatal(err)
	}
	s.await("it is healed", value("two"))
	if err := inside.Delete(t.Context(), id, kube.Precondition{}); err != nil {
		t.Fatal(err)
	}
	s.await("it is made again", value("two"))
}
