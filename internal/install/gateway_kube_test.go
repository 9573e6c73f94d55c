package install

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/kube"
)

// token is what a kubelet projects into a Pod: a token of an account. An empty
// audience is the API server's.
func (c *cluster) token(namespace, account, audience string) string {
	c.t.Helper()
	spec := Object{"expirationSeconds": int64(600)}
	if audience != "" {
		spec["audiences"] = texts(audience)
	}
	made, err := c.server.Dynamic(c.t).Resource(schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}).Namespace(namespace).
		Create(c.t.Context(), &unstructured.Unstructured{Object: Object{
			"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": Object{"name": account}, "spec": spec,
		}}, metav1.CreateOptions{}, "token")
	if err != nil {
		c.t.Fatal(err)
	}
	token, _, _ := unstructured.NestedString(made.Object, "status", "token")
	return token
}

// account returns a kubeconfig by which an account of Apex's comes, with its own token.
func (c *cluster) account(name string) string {
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
		u.(map[string]any)["user"] = map[string]any{"token": c.token(Namespace, name, "")}
	}
	if data, err = yaml.Marshal(config); err != nil {
		c.t.Fatal(err)
	}
	return c.file("kubeconfig", string(data))
}

func (c *cluster) file(name, text string) string {
	c.t.Helper()
	path := filepath.Join(c.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

func (c *cluster) apply(document string) {
	c.t.Helper()
	var body Object
	if err := yaml.Unmarshal([]byte(document), &body); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.client.Apply(c.t.Context(), body, kube.ApplyOptions{Manager: "a-person"}); err != nil {
		c.t.Fatal(err)
	}
}

// runs runs a role until the test ends, and waits for what it says when it listens.
func runs[T any](t *testing.T, run func(ctx context.Context, listens chan<- T) error) T {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	listens, ended := make(chan T, 1), make(chan error, 1)
	go func() { ended <- run(ctx, listens) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	select {
	case what := <-listens:
		return what
	case err := <-ended:
		ended <- err
		t.Fatal(err)
		panic("not reached")
	}
}

const withGateway = "claims.example"

func TestAGatewayOfAClusterWorksWithTheRightsOfItsAccountAlone(t *testing.T) {
	c := newCluster(t)
	o := Options{Image: image, Gateway: Gateway{Enabled: true, TrustDomain: withGateway}}
	all := len(objects(t, o))
	if did := c.install(o, false); did["made"] != all {
		t.Fatalf("%v, want %d made", did, all)
	}
	if did := c.install(o, false); did["unchanged"] != all {
		t.Errorf("again: %v, want %d unchanged", did, all)
	}

	// The authority, and the keys that it publishes.
	exchange := runs(t, func(ctx context.Context, listens chan<- string) error {
		return app.ServeIdentities(ctx, app.IdentityServerOptions{
			TrustDomain: withGateway, State: t.TempDir(), Kube: app.KubeSource{Enabled: true, Kubeconfig: c.account(IdentityAccount), Namespace: Namespace},
			GatewayAccount: Namespace + "/" + GatewayAccount,
			IssuerOptions:  app.IssuerOptions{Exchange: "127.0.0.1:0", Kubeconfig: c.account(IdentityAccount)},
			Ready:          func(_, at net.Addr) { listens <- "https://" + at.String() },
		})
	})
	trust := kube.ID{Kind: kube.Kind{Version: "v1", Kind: "ConfigMap"}, Namespace: Namespace, Name: TrustConfig}
	bundle := ""
	c.until("the authority publishes its keys", func() error {
		o, err := c.client.Get(t.Context(), trust)
		if err != nil {
			return err
		}
		if bundle, _, _ = unstructured.NestedString(o.Object, "data", withGateway+".json"); bundle == "" {
			return errors.New("there are none yet")
		}
		return nil
	})

	// The gateway starts before the kubelet has brought it the keys: it is not
	// ready, and is as soon as they are there.
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"object":"list","data":[]}`)
	}))
	t.Cleanup(s.Close)
	c.apply(fmt.Sprintf(`{apiVersion: security.apexlogic.com/v1alpha1, kind: ProtectedRoute, metadata: {name: captioner}, spec: {
  hosts: [captioner.example], api: OpenAI, upstream: {url: %q, tls: Plaintext}, models: [{name: captioner}],
  identities: [{spiffe: {trustDomain: %s}}], allow: [{identities: ["spiffe://%s/intake"], actions: [infer, list]}]}}`, s.URL, withGateway, withGateway))
	bundles := t.TempDir()
	at := runs(t, func(ctx context.Context, listens chan<- [2]string) error {
		return app.Gateway(ctx, app.GatewayOptions{
			Kube: app.KubeSource{Enabled: true, Kubeconfig: c.account(GatewayAccount), Namespace: Namespace}, State: t.TempDir(), Bundles: bundles, TrustDomain: withGateway,
			Identity: app.GatewayIdentity{Exchange: exchange, TokenFile: c.file("token", c.token(Namespace, GatewayAccount, "spiffe://"+withGateway))},
			Address:  "127.0.0.1:0", HealthAddress: "127.0.0.1:0", Drain: time.Second,
			Ready: func(front, health net.Addr) { listens <- [2]string{front.String(), health.String()} },
		})
	})
	ready := func() (int, string) {
		answer, err := http.Get("http://" + at[1] + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
	if status, why := ready(); status != http.StatusServiceUnavailable {
		t.Errorf("without an identity to show: %d %s", status, why)
	}
	if err := os.WriteFile(filepath.Join(bundles, withGateway+".json"), []byte(bundle), 0o600); err != nil {
		t.Fatal(err)
	}
	c.until("the gateway is ready", func() error {
		if status, why := ready(); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, why)
		}
		return nil
	})
	c.until("its route says that it is in force", func() error {
		o, err := c.client.Get(t.Context(), kube.ID{Kind: app.OurKind("ProtectedRoute"), Name: "captioner"})
		if err != nil {
			return err
		}
		if ready, _, _ := unstructured.NestedBool(o.Object, "status", "ready"); !ready {
			return fmt.Errorf("%v", o.Object["status"])
		}
		return nil
	})

	// A Pod whose account has an identity is let in, another one is not.
	c.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: claims}}`)
	for _, account := range []string{"intake", "other"} {
		c.apply(fmt.Sprintf(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: %s, namespace: claims}}`, account))
		c.apply(fmt.Sprintf(`{apiVersion: security.apexlogic.com/v1alpha1, kind: WorkloadIdentity, metadata: {name: %[1]s}, spec: {
  spiffeID: "spiffe://%[2]s/%[1]s", kubernetes: {namespace: claims, serviceAccount: %[1]s}}}`, account, withGateway))
	}
	bundleFile := c.file(withGateway+".json", bundle)
	for account, want := range map[string]int{"intake": http.StatusOK, "other": http.StatusForbidden} {
		source, err := app.FromExchange(app.ExchangeSource{
			URL: exchange, TrustDomain: withGateway, BundleFile: bundleFile, Kind: "kubernetes", File: c.file("token", c.token("claims", account, "spiffe://"+withGateway)),
			Read: os.ReadFile, Clock: clock.System{},
		})
		if err != nil {
			t.Fatal(err)
		}
		var files *app.FetchedCertificate
		c.until(account+" has its identity", func() error {
			var err error
			files, err = app.FetchCertificate(t.Context(), source, "", t.TempDir())
			return err
		})
		pair, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
		if err != nil {
			t.Fatal(err)
		}
		c.until(account+" is answered", func() error { // the gateway reads the keys of trust domains every ten seconds
			status, err := askAs(t, at[0], pair)
			if err == nil && status != want {
				err = fmt.Errorf("%d, want %d", status, want)
			}
			return err
		})
	}
	t.Run("rights", c.rightsOfTheGateway)
}

// askAs asks for the models of the route with a certificate, and holds the gateway
// to its identity.
func askAs(t *testing.T, address string, pair tls.Certificate) (int, error) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}, // a SPIFFE server has no name
		VerifyConnection: func(s tls.ConnectionState) error {
			if uris := s.PeerCertificates[0].URIs; len(uris) != 1 || uris[0].String() != "spiffe://"+withGateway+"/apex/gateway" {
				return fmt.Errorf("%v is not the gateway", uris)
			}
			return nil
		},
	}}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/v1/models", nil)
	if err != nil {
		return 0, err
	}
	r.Host = "captioner.example"
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

// rightsOfTheGateway asks the API server what the accounts may, and may not.
func (c *cluster) rightsOfTheGateway(t *testing.T) {
	id := func(group, version, kind, namespace, name string) kube.ID {
		return kube.ID{Kind: kube.Kind{Group: group, Version: version, Kind: kind}, Namespace: namespace, Name: name}
	}
	ours := func(kind, name string) kube.ID { return id("security.apexlogic.com", "v1alpha1", kind, "", name) }
	for _, tt := range []struct {
		account, name, verb string
		id                  kube.ID
		want                bool
	}{
		{GatewayAccount, "read routes", "list", ours("ProtectedRoute", ""), true},
		{GatewayAccount, "watch policies", "watch", ours("AccessPolicy", ""), true},
		{GatewayAccount, "read revocations", "list", ours("Revocation", ""), true},
		{GatewayAccount, "change a route", "patch", ours("ProtectedRoute", "captioner"), false},
		{GatewayAccount, "make a route", "create", ours("ProtectedRoute", ""), false},
		{GatewayAccount, "take a revocation back", "delete", ours("Revocation", "stop"), false},
		{GatewayAccount, "give an identity", "create", ours("WorkloadIdentity", ""), false},
		{GatewayAccount, "change whom to believe", "patch", ours("TrustRoot", "roots"), false},
		{GatewayAccount, "read sources", "list", ours("GitSource", ""), false},
		{GatewayAccount, "read Secrets", "list", id("", "v1", "Secret", Namespace, ""), false},
		{GatewayAccount, "read Pods", "list", id("", "v1", "Pod", "", ""), false},
		{GatewayAccount, "hold its lease", "update", id("coordination.k8s.io", "v1", "Lease", Namespace, GatewayAccount), true},
		{GatewayAccount, "take the controller's lease", "update", id("coordination.k8s.io", "v1", "Lease", Namespace, "apex-controller"), false},
		{GatewayAccount, "change trusted keys", "patch", id("", "v1", "ConfigMap", Namespace, TrustConfig), false},
		{GatewayAccount, "ask whose a token is", "create", id("authentication.k8s.io", "v1", "TokenReview", "", ""), false},
		{GatewayAccount, "give itself rights", "create", id(rbac, "v1", "ClusterRoleBinding", "", ""), false},
		{IdentityAccount, "read whom to give identities", "list", ours("WorkloadIdentity", ""), true},
		{IdentityAccount, "read revocations", "watch", ours("Revocation", ""), true},
		{IdentityAccount, "read routes", "list", ours("ProtectedRoute", ""), false},
		{IdentityAccount, "decide whom to give identities", "create", ours("WorkloadIdentity", ""), false},
		{IdentityAccount, "ask whose a token is", "create", id("authentication.k8s.io", "v1", "TokenReview", "", ""), true},
		{IdentityAccount, "publish its keys", "patch", id("", "v1", "ConfigMap", Namespace, TrustConfig), true},
		{IdentityAccount, "write another ConfigMap", "patch", id("", "v1", "ConfigMap", Namespace, GuestsConfig), false},
		{IdentityAccount, "make a ConfigMap", "create", id("", "v1", "ConfigMap", Namespace, ""), false},
		{IdentityAccount, "read Secrets", "get", id("", "v1", "Secret", Namespace, "apex-webhook"), false},
		{IdentityAccount, "impersonate", "impersonate", id("", "v1", "ServiceAccount", Namespace, ServiceAccount), false},
	} {
		t.Run(tt.account+" may "+tt.name, func(t *testing.T) {
			ok, why, err := open(t, c.account(tt.account)).Can(t.Context(), tt.verb, tt.id)
			if err != nil || ok != tt.want {
				t.Errorf("it may: %v (%s), want %v; %v", ok, why, tt.want, err)
			}
		})
	}
	if err := Remove(t.Context(), c.client, "", false, func(Step) {}); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []kube.ID{id("apps", "v1", "StatefulSet", Namespace, GatewayAccount), id(rbac, "v1", "ClusterRoleBinding", "", GatewayAccount)} {
		if _, err := c.client.Get(t.Context(), gone); !errors.Is(err, kube.ErrNotFound) {
			t.Errorf("%s stays behind: %v", gone, err)
		}
	}
}
