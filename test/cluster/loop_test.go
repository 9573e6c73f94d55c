package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/trust"
)

// repository is a Git repository whose commits are signed.
type repository struct {
	t           testing.TB
	dir, public string
}

func newRepository(t testing.TB) *repository {
	t.Helper()
	dir := t.TempDir()
	private, public, err := trust.NewSSHKey("platform@example.com")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "key"), private, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := &repository{t, filepath.Join(dir, "repo"), public}
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.git("init", "-q", "-b", "main")
	for _, set := range [][2]string{{"user.name", "a"}, {"user.email", "a@example.com"}, {"gpg.format", "ssh"}, {"user.signingkey", filepath.Join(dir, "key")}} {
		r.git("config", set[0], set[1])
	}
	r.git("commit", "-q", "--allow-empty", "-m", "begin")
	return r
}

func (r *repository) git(args ...string) string {
	r.t.Helper()
	c := exec.CommandContext(r.t.Context(), "git", append([]string{"-C", r.dir}, args...)...)
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := c.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *repository) commit(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
	r.git("add", "-A")
	r.git("commit", "-q", "-S", "-m", "change")
}

// What Apex applies and heals goes through its own webhooks, which pin and judge
// it: that must not make it write again.
func TestApexDoesNotAnswerItsOwnWritesWithFurtherOnes(t *testing.T) {
	c := newCluster(t, 1)
	c.holds(true, 0)
	c.everywhere(true)
	r := newRepository(t)
	first := r.git("rev-parse", "HEAD")
	r.commit("deployment.yaml", fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: captioner, labels: {app: x}}
spec:
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: "%s"}]}}
`, c.image))
	c.apply(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: deployer, namespace: vision}}`)
	c.apply(`{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: deployer, namespace: vision}, rules: [{apiGroups: ["", apps], resources: ["*"], verbs: ["*"]}]}`)
	c.apply(`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: deployer, namespace: vision}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}, subjects: [{kind: ServiceAccount, name: deployer, namespace: vision}]}`)
	c.apply(fmt.Sprintf(`
apiVersion: security.apexlogic.com/v1alpha1
kind: TrustRoot
metadata: {name: commits}
spec: {entries: [{name: platform, owner: platform, uses: [Commits], ssh: {publicKey: %q}}]}`, r.public))
	c.apply(fmt.Sprintf(`
apiVersion: security.apexlogic.com/v1alpha1
kind: GitSource
metadata: {name: vision}
spec:
  url: %s
  namespace: vision
  interval: 200ms
  trust: {firstCommit: %s, signers: [platform]}
  target: {cluster: {serviceAccount: vision/deployer, namespaces: [vision]}}`, r.dir, first))

	deployment := kube.ID{Kind: kube.Kind{Group: "apps", Version: "v1", Kind: "Deployment"}, Namespace: "vision", Name: "captioner"}
	beacon := kube.ID{Kind: kube.Kind{Version: "v1", Kind: "ConfigMap"}, Namespace: "vision", Name: "beacon"}
	version := ""
	c.await("the Deployment is applied", func() bool {
		o, err := c.client.Get(t.Context(), deployment)
		if err == nil {
			version = o.GetResourceVersion()
		}
		return err == nil
	})
	// The beacon changes with each commit: by the time that it is applied, whatever
	// Apex makes of its own last write has had its turn.
	for round := range 5 {
		r.commit("beacon.yaml", fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: beacon}, data: {round: \"%d\"}}\n", round))
		c.await("the beacon is applied", func() bool {
			o, err := c.client.Get(t.Context(), beacon)
			if err != nil {
				return false
			}
			data, _ := o.Object["data"].(map[string]any)
			return data["round"] == fmt.Sprint(round)
		})
		if err := c.client.Delete(t.Context(), beacon, kube.Precondition{}); err != nil {
			t.Fatal(err)
		}
		c.await("the beacon is healed", func() bool { _, err := c.client.Get(t.Context(), beacon); return err == nil })
	}
	o, err := c.client.Get(t.Context(), deployment)
	if err != nil {
		t.Fatal(err)
	}
	if o.GetResourceVersion() != version {
		t.Errorf("the Deployment was written again: %v", o.Object["metadata"])
	}

	// The twin: what somebody else writes there is answered.
	c.apply(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: captioner, namespace: vision}, spec: {template: {metadata: {annotations: {evil: "1"}}}}}`)
	c.await("it is healed", func() bool {
		o, err := c.client.Get(t.Context(), deployment)
		if err != nil {
			return false
		}
		text, _ := o.MarshalJSON()
		return !strings.Contains(string(text), `"evil":"`)
	})
}
