package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/config/crd"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
)

// clusterScene is a real API server with our kinds.
type clusterScene struct {
	server *kubetest.Server
	client *kube.Client
}

func newClusterScene(t *testing.T) *clusterScene {
	t.Helper()
	s := &clusterScene{server: kubetest.Start(t, kubetest.Own())}
	var err error
	if s.client, err = kube.Open(kube.Config{Kubeconfig: s.server.Kubeconfig()}); err != nil {
		t.Fatal(err)
	}
	files, err := crd.Definitions.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".yaml") {
			continue
		}
		data, err := crd.Definitions.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		s.server.InstallCRDs(t, data)
	}
	s.apply(t, `{apiVersion: v1, kind: Namespace, metadata: {name: apex-system}}`)
	return s
}

func (s *clusterScene) apply(t *testing.T, document string) {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(data, &body); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Apply(t.Context(), body, kube.ApplyOptions{Manager: "a-person"}); err != nil {
		t.Fatal(err)
	}
}

// ready waits until a route's condition is as asked for, and returns its message.
func (s *clusterScene) ready(t *testing.T, name, status, reason string) string {
	t.Helper()
	for {
		o, err := s.client.Get(t.Context(), kube.ID{Kind: OurKind("ProtectedRoute"), Name: name})
		if err == nil {
			if c := readyOf(o); string(c.Status) == status && c.Reason == reason && c.ObservedGeneration == o.GetGeneration() {
				return c.Message
			}
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%s never became %s %s: %v", name, status, reason, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestRoutesOfAClusterAreInForceAndSayThatTheyAre(t *testing.T) {
	s := newClusterScene(t)
	upstream := inference(t).URL
	s.apply(t, fmt.Sprintf(openRoute, upstream, 1000))
	o := GatewayOptions{Kube: KubeSource{Enabled: true, Kubeconfig: s.server.Kubeconfig()}}
	a := serveGateway(t, o)
	if status := a.list(t); status != 200 {
		t.Fatalf("the route is not in force: %d", status)
	}
	b := serveGateway(t, o) // one of both writes conditions
	s.ready(t, "captioner", "True", "InForce")

	// A change is in force on both.
	s.apply(t, fmt.Sprintf(strings.Replace(openRoute, "captioner.example", "other.example", 1), upstream, 1000))
	for _, g := range []*served{a, b} {
		g.wait(t, func(h config.Health) bool { return h.OK() && h.Generation != g.now })
		if status := g.list(t); status != 404 {
			t.Errorf("the route's former host: %d", status)
		}
	}
	s.apply(t, fmt.Sprintf(openRoute, upstream, 1000))
	for _, g := range []*served{a, b} {
		g.wait(t, func(h config.Health) bool { return h.OK() && h.Generation == g.now })
	}

	// What cannot be in force leaves what is, says so, and holds back what came with it.
	broken := strings.NewReplacer("name: captioner}", "name: broken}", "captioner.example", "broken.example").Replace(fmt.Sprintf(openRoute, upstream, 1000))
	broken = strings.Replace(broken, "  anonymous: true\n", "  identities:\n    - spiffe: {trustDomain: nobody.example}\n", 1)
	s.apply(t, broken)
	for _, g := range []*served{a, b} {
		h := g.wait(t, func(h config.Health) bool { return !h.OK() })
		if h.Generation != g.now {
			t.Errorf("%s is in force, not the last that could be", h.Generation)
		}
		if status := g.list(t); status != 200 {
			t.Errorf("a route of somebody else stops this one: %d", status)
		}
	}
	if why := s.ready(t, "broken", "False", "Invalid"); !strings.Contains(why, "spec.allow[0].identities[0]") || !strings.Contains(why, "only a Revocation stops") {
		t.Errorf("%q does not say what to mend", why)
	}
	s.ready(t, "captioner", "True", "InForce")
	// A revocation is not held back.
	s.apply(t, "{apiVersion: security.apexlogic.com/v1alpha1, kind: Revocation, metadata: {name: now}, spec: {digest: \"sha256:"+strings.Repeat("b", 64)+"\", reason: \"it leaks\"}}")
	for _, g := range []*served{a, b} {
		g.wait(t, func(h config.Health) bool { return !h.OK() && h.Generation != g.now })
		if status := g.list(t); status != 200 {
			t.Errorf("beside a revocation of something else: %d", status)
		}
	}
	s.ready(t, "captioner", "True", "InForce")
	if err := s.client.Delete(t.Context(), kube.ID{Kind: OurKind("Revocation"), Name: "now"}, kube.Precondition{}); err != nil {
		t.Fatal(err)
	}
	if err := s.client.Delete(t.Context(), kube.ID{Kind: OurKind("ProtectedRoute"), Name: "broken"}, kube.Precondition{}); err != nil {
		t.Fatal(err)
	}
	// Which of both goes first is left to two watches: without the route, and with the
	// revocation, all is well, too.
	a.wait(t, func(h config.Health) bool { return h.OK() && h.Generation == a.now })

	// A revocation stops the model.
	s.apply(t, fmt.Sprintf(strings.Replace(openRoute, "{name: captioner}\n  limits", "{name: captioner, digest: \"sha256:"+strings.Repeat("a", 64)+"\"}\n  limits", 1), upstream, 1000))
	a.now = a.wait(t, func(h config.Health) bool { return h.OK() && h.Generation != a.now }).Generation
	s.apply(t, "{apiVersion: security.apexlogic.com/v1alpha1, kind: Revocation, metadata: {name: stop}, spec: {digest: \"sha256:"+strings.Repeat("a", 64)+"\", reason: \"it leaks\"}}")
	a.wait(t, func(h config.Health) bool { return h.OK() && h.Generation != a.now })
	if err := s.client.Delete(t.Context(), kube.ID{Kind: OurKind("Revocation"), Name: "stop"}, kube.Precondition{}); err != nil {
		t.Fatal(err)
	}
	a.wait(t, func(h config.Health) bool { return h.OK() && h.Generation == a.now })

	// Without the API server both go on.
	s.server.Stop()
	for _, g := range []*served{a, b} {
		if status := g.list(t); status != 200 {
			t.Errorf("without the API server: %d", status)
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	}
}

func TestAGatewayWithoutItsClusterSaysWhich(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := Gateway(ctx, GatewayOptions{State: t.TempDir(), Address: "127.0.0.1:0", HealthAddress: "127.0.0.1:0", Kube: KubeSource{Enabled: true, Kubeconfig: "missing"}})
	if err == nil || !strings.Contains(err.Error(), "missing") {
		t.Error(err)
	}
}

// TestWhatIsRevokedIsToldBesideADocumentThatCannotBeInForce: who acts about what runs
// waits for that.
func TestWhatIsRevokedIsToldBesideADocumentThatCannotBeInForce(t *testing.T) {
	s := newClusterScene(t)
	p := config.NewPublisher(clock.System{})
	told := make(chan *config.Set, 16)
	failed := make(chan error, 16)
	d := &ClusterDocuments{
		Client: s.client, Publish: p.Publish, Log: slog.New(slog.DiscardHandler),
		InForce: func(_ context.Context, set *config.Set) { told <- set },
		Failed:  func(err error) { failed <- err },
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	defer func() { stop(); <-done }()
	if set := <-told; len(set.Revocations) != 0 {
		t.Fatalf("%d revocations at first", len(set.Revocations))
	}
	broken := strings.Replace(fmt.Sprintf(openRoute, "http://127.0.0.1:1", 1000), "  anonymous: true\n", "  identities:\n    - spiffe: {trustDomain: nobody.example}\n", 1)
	s.apply(t, broken)
	for err := range failed {
		if err != nil {
			break
		}
	}
	s.apply(t, "{apiVersion: security.apexlogic.com/v1alpha1, kind: Revocation, metadata: {name: now}, spec: {digest: \"sha256:"+strings.Repeat("b", 64)+"\", reason: \"it leaks\"}}")
	for set := range told {
		if len(set.ProtectedRoutes) > 0 {
			t.Fatal("the broken route is in force")
		}
		if len(set.Revocations) == 1 {
			return
		}
	}
}
