// Package cluster runs whole controllers against a real API server, as a cluster
// has them: several replicas behind one Service.
//
// It needs the programs that test/kube/build.sh builds; without KUBEBUILDER_ASSETS
// its tests are skipped. Start with replicas_test.go.
package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/config/crd"
	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/app/controller"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/build"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// patience is how long anything may take here. Nothing is judged by it.
const patience = 2 * time.Minute

// cluster is an API server with replicas of the controller, and a registry with
// one image.
type cluster struct {
	t        testing.TB
	server   *kubetest.Server
	client   *kube.Client
	registry *ocitest.Server
	image    string
	service  *service
	replicas []*replica
	roots    *x509.CertPool
}

// replica is one running controller.
type replica struct {
	c       *cluster
	name    string
	address string
	client  *http.Client
	stop    func()
}

func newCluster(t testing.TB, replicas int) *cluster {
	t.Helper()
	return newClusterWith(t, ocitest.Registry(t), replicas)
}

func newClusterWith(t testing.TB, registry *ocitest.Server, replicas int) *cluster {
	t.Helper()
	c := &cluster{t: t, server: kubetest.Start(t, kubetest.Own()), registry: registry}
	var err error
	if c.client, err = kube.Open(kube.Config{Kubeconfig: c.server.Kubeconfig()}); err != nil {
		t.Fatal(err)
	}
	files, err := crd.Definitions.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if data, err := crd.Definitions.ReadFile(f.Name()); err != nil {
			t.Fatal(err)
		} else if strings.HasSuffix(f.Name(), ".yaml") {
			c.server.InstallCRDs(t, data)
		}
	}
	c.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: apex-system}}`)
	c.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: vision}}`)
	c.push()
	c.service = newService(t)
	for i := range replicas {
		c.replicas = append(c.replicas, c.run(string(rune('a'+i))))
	}
	if replicas > 0 {
		c.readRoots() // there are some once a replica is ready
		c.awaitAsked()
	}
	return c
}

// awaitAsked returns once the API server asks the webhook, and is answered: it takes
// a configuration up a moment after it was written.
func (c *cluster) awaitAsked() {
	c.t.Helper()
	c.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: asked, labels: {apexlogic.com/enforce: "true"}}}`)
	probe := map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "probe", "namespace": "asked"},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": fmt.Sprintf("127.0.0.1:1/x@sha256:%064d", 1)}}}}
	c.await("the API server asks the webhook", func() bool {
		_, err := c.client.Apply(c.t.Context(), probe, kube.ApplyOptions{Manager: "a-person", DryRun: true})
		return err != nil && strings.Contains(err.Error(), "[policy.unselected]")
	})
}

func (c *cluster) apply(text string) {
	c.t.Helper()
	var body map[string]any
	if err := yaml.Unmarshal([]byte(text), &body); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.client.Apply(c.t.Context(), body, kube.ApplyOptions{Manager: "a-person"}); err != nil {
		c.t.Fatalf("%v in\n%s", err, text)
	}
}

func (c *cluster) push() {
	c.t.Helper()
	client, err := oci.New(oci.Options{PlainHTTP: []string{c.registry.Host}, AllowPrivate: []string{c.registry.Host}})
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	ref, err := reference.Parse(c.registry.Host + "/vision/app:1")
	if err != nil {
		c.t.Fatal(err)
	}
	img, err := build.Image{Platform: "linux/amd64", Layers: []build.Layer{{"app": c.t.Name()}}}.Build()
	if err != nil {
		c.t.Fatal(err)
	}
	pushed, err := client.PushImage(c.t.Context(), ref, img)
	if err != nil {
		c.t.Fatal(err)
	}
	c.image = ref.Name() + "@" + string(pushed.Digest)
}

// run starts one more replica and returns when it answers.
func (c *cluster) run(name string) *replica {
	c.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	state := c.t.TempDir()
	go func() {
		done <- controller.Run(ctx, controller.Options{
			Kube: kube.Config{Kubeconfig: c.server.Kubeconfig()}, State: state, Identity: name, Version: "test",
			WebhookURL: "https://" + c.service.address, WebhookAddress: "127.0.0.1:0", HealthAddress: "127.0.0.1:0",
			AllowPrivate: []string{c.registry.Host}, PlainHTTP: []string{c.registry.Host},
			Ready: func(webhook, _ net.Addr) { ready <- webhook.String() },
		})
	}()
	r := &replica{c: c, name: name}
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			c.service.remove(r.address)
			stop()
			if err := <-done; err != nil {
				c.t.Errorf("replica %s ended: %v", name, err)
			}
		})
	}
	c.t.Cleanup(r.stop)
	select {
	case r.address = <-ready:
	case err := <-done:
		done <- err
		c.t.Fatalf("replica %s ended: %v", name, err)
	case <-time.After(patience):
		c.t.Fatalf("replica %s is not ready", name)
	}
	r.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&tls.Dialer{Config: &tls.Config{RootCAs: c.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}}).DialContext(ctx, network, r.address)
		},
	}}
	c.service.add(r.address)
	return r
}

// readRoots reads what API servers believe the webhook by.
func (c *cluster) readRoots() {
	c.t.Helper()
	o, err := c.client.Get(c.t.Context(), kube.ID{Kind: kube.ValidatingWebhooks, Name: admission.ConfigurationName})
	if err != nil {
		c.t.Fatal(err)
	}
	hook := o.Object["webhooks"].([]any)[0].(map[string]any)["clientConfig"].(map[string]any)
	bundle, err := base64.StdEncoding.DecodeString(hook["caBundle"].(string))
	if err != nil {
		c.t.Fatal(err)
	}
	c.roots = x509.NewCertPool()
	if !c.roots.AppendCertsFromPEM(bundle) {
		c.t.Fatal("the webhook's configuration names no authority")
	}
}

// pod is a Pod of the image, which the policy of [cluster.holds] selects.
func (c *cluster) pod(name string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"namespace":"vision","labels":{"app":"x"}},"spec":{"containers":[{"name":"c","image":%q}]}}`, name, c.image)
}

// allows asks the replica itself, as an API server does that its Service sends
// there, and returns what it says.
func (r *replica) allows() (bool, string, error) {
	body := fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","kind":{"group":"","version":"v1","kind":"Pod"},`+
		`"resource":{"group":"","version":"v1","resource":"pods"},"name":"p","namespace":"vision","operation":"CREATE","userInfo":{"username":"ann"},"dryRun":true,"object":%s}}`, r.c.pod("p"))
	response, err := r.client.Post("https://webhook"+admission.PathValidate, "application/json", strings.NewReader(body))
	if err != nil {
		return false, "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return false, string(data), fmt.Errorf("status %d: %w", response.StatusCode, err)
	}
	var review struct {
		Response struct {
			Allowed bool `json:"allowed"`
			Status  struct {
				Message string `json:"message"`
			} `json:"status"`
		} `json:"response"`
	}
	err = json.NewDecoder(bytes.NewReader(data)).Decode(&review)
	return review.Response.Allowed, review.Response.Status.Message, err
}

// awaitDecision returns once the replica says so.
func (r *replica) awaitDecision(allowed bool) error {
	deadline := time.Now().Add(patience)
	for {
		is, message, err := r.allows()
		if err == nil && is == allowed && (allowed || strings.Contains(message, string(verdict.ExpressionFalse))) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("replica %s says %t, %q, %v; want %t", r.name, is, message, err, allowed)
		}
		time.Sleep(2 * time.Millisecond) // what is measured is not faster than that
	}
}

// holds puts the policy about the image in force: it holds, or it does not.
func (c *cluster) holds(it bool, round int) {
	c.t.Helper()
	c.apply(fmt.Sprintf(`
apiVersion: security.apexlogic.com/v1alpha1
kind: ImageSecurityPolicy
metadata: {name: images}
spec:
  imageSelector: {matchLabels: {app: x}}
  rules: [{name: Expression, action: Deny, parameters: {expressions: [{name: it-holds, expression: '%t && %d == %d'}]}}]`, it, round, round))
}

// everywhere fails the test unless all replicas come to decide so.
func (c *cluster) everywhere(allowed bool) {
	c.t.Helper()
	for _, r := range c.replicas {
		if err := r.awaitDecision(allowed); err != nil {
			c.t.Fatal(err)
		}
	}
}

// create makes a Pod through the API server.
func (c *cluster) create(name string) error {
	c.t.Helper()
	var body map[string]any
	if err := yaml.Unmarshal([]byte(c.pod(name)), &body); err != nil {
		c.t.Fatal(err)
	}
	_, err := c.client.Apply(c.t.Context(), body, kube.ApplyOptions{Manager: "a-person", DryRun: true})
	return err
}

// leader returns who holds the lease; "" when it cannot be read.
func (c *cluster) leader() string {
	o, err := c.client.Get(c.t.Context(), kube.ID{Kind: kube.Kind{Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"}, Namespace: "apex-system", Name: "apex-controller"})
	if err != nil {
		return ""
	}
	spec, _ := o.Object["spec"].(map[string]any)
	name, _ := spec["holderIdentity"].(string)
	return name
}

func (c *cluster) await(what string, so func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for !so() {
		if time.Now().After(deadline) {
			c.t.Fatalf("%s does not come to pass", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// service plays the part of a Service of the cluster: each connection goes to
// the next of its endpoints.
type service struct {
	address   string
	mu        sync.Mutex
	endpoints []string
	next      atomic.Uint64
}

func newService(t testing.TB) *service {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s := &service{address: l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.forward(conn)
		}
	}()
	return s
}

func (s *service) forward(from net.Conn) {
	defer from.Close()
	s.mu.Lock()
	endpoints := s.endpoints
	s.mu.Unlock()
	if len(endpoints) == 0 {
		return
	}
	to, err := net.Dial("tcp", endpoints[s.next.Add(1)%uint64(len(endpoints))])
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
}

func (s *service) add(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints = append(slices.Clone(s.endpoints), address)
}

func (s *service) remove(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints = slices.DeleteFunc(slices.Clone(s.endpoints), func(e string) bool { return e == address })
}
