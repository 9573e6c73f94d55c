package controller

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/config/crd"
	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/internal/trust"
)

func TestMain(m *testing.M) { kubetest.Main(m) }

// scene is a cluster with a controller, and a repository that it may follow.
type scene struct {
	t      *testing.T
	client *kube.Client
	dir    string // of the repository
	key    string
	public string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	server := kubetest.Start(t)
	s := &scene{t: t, dir: filepath.Join(t.TempDir(), "repo")}
	var err error
	if s.client, err = kube.Open(kube.Config{Kubeconfig: server.Kubeconfig()}); err != nil {
		t.Fatal(err)
	}
	files, err := crd.Definitions.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".yaml") {
			data, err := crd.Definitions.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			server.InstallCRDs(t, data)
		}
	}
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: apex-system}}`)
	address := freeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{
			Kube: kube.Config{Kubeconfig: server.Kubeconfig()}, State: t.TempDir(), Identity: "a", Version: "test",
			WebhookURL: "https://" + address, WebhookAddress: address, HealthAddress: "127.0.0.1:0",
			Ready: func(_, _ net.Addr) { close(ready) },
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the controller ended: %v", err)
		}
		// The next test's controller listens elsewhere.
		for _, kind := range []kube.Kind{kube.ValidatingWebhooks, kube.MutatingWebhooks} {
			list, err := s.client.List(context.Background(), kind, "", "")
			if err != nil {
				t.Error(err)
			}
			for i := range list {
				if err := s.client.Delete(context.Background(), kube.IDOf(&list[i]), kube.Precondition{}); err != nil {
					t.Error(err)
				}
			}
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- err
		t.Fatalf("the controller ended: %v", err)
	case <-time.After(2 * time.Minute):
		t.Fatal("the controller is not ready")
	}
	s.awaitAsked()
	return s
}

// freeAddress chooses where a webhook will listen: its configuration holds that. It
// is below the ports that systems give to connections that go out, since one of
// those could be somebody's by the time that the webhook listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(10_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// awaitAsked returns once the API server asks the webhook: it takes a configuration
// up a moment after it was written.
func (s *scene) awaitAsked() {
	s.t.Helper()
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: asked, labels: {apexlogic.com/enforce: "true"}}}`)
	probe := s.object(fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: probe, namespace: asked}, spec: {containers: [{name: c, image: "127.0.0.1:1/x@sha256:%064d"}]}}`, 1))
	s.await("the API server asks the webhook", func() (bool, string) {
		_, err := s.client.Apply(s.t.Context(), probe, kube.ApplyOptions{Manager: "a-person", DryRun: true})
		return err != nil && strings.Contains(err.Error(), "[policy.unselected]"), fmt.Sprint(err)
	})
}

func (s *scene) object(text string) map[string]any {
	s.t.Helper()
	var body map[string]any
	if err := yaml.Unmarshal([]byte(text), &body); err != nil {
		s.t.Fatal(err)
	}
	return body
}

func (s *scene) apply(text string) *kube.Object {
	s.t.Helper()
	o, err := s.client.Apply(s.t.Context(), s.object(text), kube.ApplyOptions{Manager: "a-person"})
	if err != nil {
		s.t.Fatalf("%v in\n%s", err, text)
	}
	return o
}

func (s *scene) refused(text, why string) {
	s.t.Helper()
	_, err := s.client.Apply(s.t.Context(), s.object(text), kube.ApplyOptions{Manager: "a-person"})
	if err == nil || !strings.Contains(err.Error(), why) {
		s.t.Errorf("%v, want a refusal with %q", err, why)
	}
}

func (s *scene) await(what string, is func() (bool, string)) {
	s.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		ok, seen := is()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s did not happen; last seen: %s", what, seen)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *scene) git(args ...string) string {
	s.t.Helper()
	c := exec.CommandContext(s.t.Context(), "git", append([]string{"-C", s.dir}, args...)...)
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := c.CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (s *scene) repository() (first string) {
	s.t.Helper()
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	private, public, err := trust.NewSSHKey("platform@example.com")
	if err != nil {
		s.t.Fatal(err)
	}
	s.key, s.public = filepath.Join(filepath.Dir(s.dir), "key"), public
	if err := os.WriteFile(s.key, private, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.git("init", "-q", "-b", "main")
	for _, set := range [][2]string{{"user.name", "a"}, {"user.email", "a@example.com"}, {"gpg.format", "ssh"}, {"user.signingkey", s.key}} {
		s.git("config", set[0], set[1])
	}
	s.git("commit", "-q", "--allow-empty", "-m", "begin")
	return s.git("rev-parse", "HEAD")
}

func (s *scene) commit(files map[string]string, more ...string) string {
	s.t.Helper()
	for name, text := range files {
		p := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	s.git("add", "-A")
	s.git(append([]string{"commit", "-q", "-m", "change"}, more...)...)
	return s.git("rev-parse", "HEAD")
}

func TestAPolicyOfTheClusterIsInForceAtOnce(t *testing.T) {
	s := newScene(t)
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: enforced, labels: {apexlogic.com/enforce: "true"}}}`)
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: free}}`)
	pod := func(namespace, name string) string {
		return fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s, labels: {app: x}}, spec: {containers: [{name: c, image: "127.0.0.1:1/x@sha256:%064d"}]}}`, name, namespace, 1)
	}
	s.await("the namespaces are known", func() (bool, string) {
		_, err := s.client.Apply(t.Context(), s.object(pod("free", "before")), kube.ApplyOptions{Manager: "a-person", DryRun: true})
		return err == nil, fmt.Sprint(err)
	})
	s.refused(pod("enforced", "p"), "unselected")
	s.apply(pod("free", "before"))
	s.apply(`
apiVersion: security.apexlogic.com/v1alpha1
kind: ImageSecurityPolicy
metadata: {name: signed}
spec:
  imageSelector: {matchLabels: {app: x}}
  rules: [{name: VulnerabilityScanThreshold, action: Deny, parameters: {maxSeverity: High, vulnerabilityScanner: Apex}}]`)
	s.await("the policy is in force", func() (bool, string) {
		_, err := s.client.Apply(t.Context(), s.object(pod("free", "after")), kube.ApplyOptions{Manager: "a-person", DryRun: true})
		return err != nil && strings.Contains(err.Error(), "registry.address.refused"), fmt.Sprint(err)
	})
	s.refused(pod("free", "after"), "denied the request")
	// What runs already is reported.
	s.await("an event about the pod that runs", func() (bool, string) {
		list, err := s.client.List(t.Context(), kube.Kind{Group: "events.k8s.io", Version: "v1", Kind: "Event"}, "free", "")
		for i := range list {
			if list[i].Object["reason"] == "NotCompliant" {
				return true, ""
			}
		}
		return false, fmt.Sprint(len(list), err)
	})
}

func TestAGitSourceIsFollowedAndHealed(t *testing.T) {
	s := newScene(t)
	first := s.repository()
	one := s.commit(map[string]string{"deploy/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {key: one}\n"}, "-S")
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: vision}}`)
	s.apply(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: deployer, namespace: vision}}`)
	s.apply(`{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: deployer, namespace: vision}, rules: [{apiGroups: [""], resources: [configmaps], verbs: ["*"]}]}`)
	s.apply(`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: deployer, namespace: vision}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}, subjects: [{kind: ServiceAccount, name: deployer, namespace: vision}]}`)
	s.apply(fmt.Sprintf(`
apiVersion: security.apexlogic.com/v1alpha1
kind: TrustRoot
metadata: {name: commits}
spec: {entries: [{name: platform, owner: platform, uses: [Commits], ssh: {publicKey: %q}}]}`, s.public))
	s.apply(fmt.Sprintf(`
apiVersion: security.apexlogic.com/v1alpha1
kind: GitSource
metadata: {name: vision}
spec:
  url: %s
  path: deploy
  namespace: vision
  interval: 200ms
  trust: {firstCommit: %s, signers: [platform]}
  target: {cluster: {serviceAccount: vision/deployer, namespaces: [vision]}}`, s.dir, first))
	id := kube.ID{Kind: kube.Kind{Version: "v1", Kind: "ConfigMap"}, Namespace: "vision", Name: "a"}
	value := func(want string) func() (bool, string) {
		return func() (bool, string) {
			o, err := s.client.Get(t.Context(), id)
			if err != nil {
				return false, err.Error() + " " + s.condition("vision")
			}
			data, _ := o.Object["data"].(map[string]any)
			return data["key"] == want && len(data) == 1, fmt.Sprint(data)
		}
	}
	s.await("the first commit is applied", value("one"))
	s.await("the status says so", func() (bool, string) {
		c := s.condition("vision")
		return strings.HasPrefix(c, "True Applied") && strings.Contains(c, one[:12]), c
	})
	// Another manager changes a field and adds one: both are undone.
	for _, manager := range []string{"evil", gitops.FieldManager} {
		if _, err := s.client.Apply(t.Context(), s.object(`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: vision}, data: {key: bad, more: x}}`), kube.ApplyOptions{Manager: manager}); err != nil {
			t.Fatal(err)
		}
		s.await("what "+manager+" changed is undone", value("one"))
	}
	if err := s.client.Delete(t.Context(), id, kube.Precondition{}); err != nil {
		t.Fatal(err)
	}
	s.await("what was deleted is back", value("one"))
	// A commit that nobody signed is refused, and the status says why.
	bad := s.commit(map[string]string{"deploy/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {key: two}\n"}, "--no-gpg-sign")
	s.await("the status says why", func() (bool, string) {
		c := s.condition("vision")
		return strings.HasPrefix(c, "False Refused") && strings.Contains(c, "git.commit.unsigned") && strings.Contains(c, bad[:12]), c
	})
	if ok, seen := value("one")(); !ok {
		t.Errorf("an unsigned commit was applied: %s", seen)
	}
}

// condition is the source's Ready condition: status, reason, message.
func (s *scene) condition(name string) string {
	o, err := s.client.Get(s.t.Context(), kube.ID{Kind: app.OurKind("GitSource"), Name: name})
	if err != nil {
		return err.Error()
	}
	status, _ := o.Object["status"].(map[string]any)
	list, _ := status["conditions"].([]any)
	for _, e := range list {
		c, _ := e.(map[string]any)
		if c["type"] == "Ready" {
			return fmt.Sprint(c["status"], " ", c["reason"], " ", c["message"])
		}
	}
	return "no condition"
}
