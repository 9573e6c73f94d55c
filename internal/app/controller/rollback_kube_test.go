package controller

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/app"
	target "github.com/apexlogic/apex/internal/gitops/target/cluster"
	"github.com/apexlogic/apex/internal/kube"
)

// deployed is the file of a Deployment as it is in Git.
func deployed(image, act string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: captioner}
spec:
  replicas: 3
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x, act: %s}}, spec: {containers: [{name: c, image: "%s"}]}}
`, act, image)
}

// follows lets a GitSource of the name hold the namespace of the same name.
func (s *runningScene) follows(name, image, act string) {
	s.t.Helper()
	s.apply(fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: %s}}`, name))
	s.apply(fmt.Sprintf(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: deployer, namespace: %s}}`, name))
	s.apply(fmt.Sprintf(`{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: deployer, namespace: %s}, rules: [{apiGroups: [apps], resources: [deployments], verbs: ["*"]}]}`, name))
	s.apply(fmt.Sprintf(`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: deployer, namespace: %s}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}, subjects: [{kind: ServiceAccount, name: deployer, namespace: %s}]}`, name, name))
	s.dir = s.t.TempDir() + "/" + name
	first := s.repository()
	s.apply(fmt.Sprintf(`
apiVersion: security.apexlogic.com/v1alpha1
kind: TrustRoot
metadata: {name: commits-%s}
spec: {entries: [{name: platform-%s, owner: platform, uses: [Commits], ssh: {publicKey: %q}}]}`, name, name, s.public))
	s.commit(map[string]string{"deploy/a.yaml": deployed(image, act)}, "-S")
	s.apply(fmt.Sprintf(`
apiVersion: security.apexlogic.com/v1alpha1
kind: GitSource
metadata: {name: %s}
spec:
  url: %s
  path: deploy
  namespace: %s
  interval: 200ms
  trust: {firstCommit: %s, signers: [platform-%s], operator: true}
  target: {cluster: {serviceAccount: %s/deployer, namespaces: [%s]}}`, name, s.dir, name, first, name, name, name))
	s.await(name+" runs", func() (bool, string) { r := s.replicas(name); return r == "3 ", r + s.condition(name) })
}

// healthy says of the Deployment what its controller would, which is not here.
func (s *runningScene) healthy(name string) {
	s.t.Helper()
	o, err := s.client.Get(s.t.Context(), kube.ID{Kind: kube.Kind{Group: "apps", Version: "v1", Kind: "Deployment"}, Namespace: name, Name: "captioner"})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.client.ApplyStatus(s.t.Context(), map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "captioner", "namespace": name},
		"status": map[string]any{"observedGeneration": o.GetGeneration(), "replicas": int64(3), "updatedReplicas": int64(3), "readyReplicas": int64(3), "availableReplicas": int64(3),
			"conditions": []any{map[string]any{"type": "Available", "status": "True"}, map[string]any{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}}},
	}, "a-controller"); err != nil {
		s.t.Fatal(err)
	}
}

func (s *runningScene) runsImage(name string) string {
	o, err := s.client.Get(s.t.Context(), kube.ID{Kind: kube.Kind{Group: "apps", Version: "v1", Kind: "Deployment"}, Namespace: name, Name: "captioner"})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(o.Object["spec"])
}

func TestASourceGoesBackToWhatCompliesWhileItIsFollowed(t *testing.T) {
	s := newRunningScene(t)
	s.demands("back", "[{action: RollBack}]")
	good, goodDigest := s.image, s.digest
	s.follows("rolled", good, "back")
	s.healthy("rolled")
	store := target.NewStore(s.client, "apex-system", nil)
	s.await("the first revision is one to go back to", func() (bool, string) {
		record, _, err := store.Load(t.Context(), "rolled")
		return strings.Contains(string(record), `"what":"healthy"`), fmt.Sprint(string(record), err)
	})
	s.variant = "two"
	s.push()
	bad := s.image
	two := s.commit(map[string]string{"deploy/a.yaml": deployed(bad, "back")}, "-S")
	s.await("the second revision runs", func() (bool, string) {
		r := s.runsImage("rolled")
		return strings.Contains(r, bad), r + s.condition("rolled")
	})
	s.revoke()
	s.await("it is back at what complies", func() (bool, string) {
		r := s.runsImage("rolled")
		return strings.Contains(r, goodDigest), r + s.condition("rolled")
	})
	s.awaitEvent("rolled", "RolledBack", "GitSource rolled was rolled back")
	s.await("the status says so", func() (bool, string) {
		c := s.condition("rolled")
		return strings.HasPrefix(c, "True RolledBack") && strings.Contains(c, two[:12]), c
	})
	// Automation is on: a new commit goes on from there.
	s.commit(map[string]string{"deploy/a.yaml": deployed(good, "back") + "  minReadySeconds: 7\n"}, "-S")
	s.await("a new commit is applied", func() (bool, string) {
		r := s.runsImage("rolled")
		return strings.Contains(r, "minReadySeconds:7") && strings.Contains(r, goodDigest), r + s.condition("rolled")
	})
}

func TestWhatIsStoppedStaysStoppedAgainstGit(t *testing.T) {
	s := newRunningScene(t)
	s.demands("stop", "[{action: ScaleToZero}]")
	s.follows("halted", s.image, "stop")
	s.revoke()
	s.await("it is stopped", func() (bool, string) { r := s.replicas("halted"); return r == "0 3", r })
	// Somebody starts it again, and another thing drifts: both are put right, and
	// the latter shows that the healer has looked.
	id := kube.ID{Kind: kube.Kind{Group: "apps", Version: "v1", Kind: "Deployment"}, Namespace: "halted", Name: "captioner"}
	if _, err := s.client.Patch(t.Context(), id, "somebody", []byte(`[{"op":"replace","path":"/spec/replicas","value":5},{"op":"add","path":"/spec/minReadySeconds","value":9}]`)); err != nil {
		t.Fatal(err)
	}
	s.await("it is healed, and stopped", func() (bool, string) {
		r := s.replicas("halted") + s.runsImage("halted")
		return strings.HasPrefix(r, "0 3") && !strings.Contains(r, "minReadySeconds:9"), r
	})
	// The next leader knows it before it heals anything.
	s.stop()
	s.begin()
	if err := s.client.Delete(t.Context(), kube.ID{Kind: app.OurKind("Revocation"), Name: "stop"}, kube.Precondition{}); err != nil {
		t.Fatal(err)
	}
	s.await("it runs as Git says", func() (bool, string) { r := s.replicas("halted"); return r == "3 ", r })
}
