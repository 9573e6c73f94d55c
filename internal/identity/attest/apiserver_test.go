package attest_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/verdict"
)

func TestMain(m *testing.M) { kubetest.Main(m) }

// TestARealAPIServerSaysWhoseATokenIs issues tokens of service accounts at a real
// API server, and has it review them as ours does: as a service account that may
// create TokenReviews and nothing else.
func TestARealAPIServerSaysWhoseATokenIs(t *testing.T) {
	server := kubetest.Start(t)
	namespace := server.Namespace(t)
	config := server.Config()
	admin, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	post := func(path string, body map[string]any) map[string]any {
		t.Helper()
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := admin.Post(config.Host+path, "application/json", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		data, err = io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %d, %v: %s", path, answer.StatusCode, err, data)
		}
		var object map[string]any
		if err := json.Unmarshal(data, &object); err != nil {
			t.Fatal(err)
		}
		return object
	}
	accounts := "/api/v1/namespaces/" + namespace + "/serviceaccounts"
	for _, name := range []string{"apex", "intake"} {
		post(accounts, map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": name}})
	}
	token := func(name string, audiences ...string) string {
		object := post(accounts+"/"+name+"/token", map[string]any{
			"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": map[string]any{"audiences": audiences, "expirationSeconds": 600},
		})
		return object["status"].(map[string]any)["token"].(string)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(config.CAData) {
		t.Fatal("the server's authority cannot be read")
	}
	reviews := &attest.TokenReviews{
		Server: config.Host, Client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}},
		Token: func() (string, error) { return token("apex"), nil },
	}
	k := &attest.Kubernetes{Cluster: "east", Audience: "apex", Reviewer: reviews}
	ours := token("intake", "apex")
	_, err = k.Attest(t.Context(), []byte(ours))
	refused(t, "while our service account may not ask", err, verdict.IdentityUnavailable)

	post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": namespace},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "apex", "namespace": namespace}},
	})
	var got []attest.Selector
	for try := 0; try < 50; try++ { // the API server reads its own bindings a moment later
		if got, err = k.Attest(t.Context(), []byte(ours)); err == nil {
			break
		}
	}
	if want := []attest.Selector{"k8s:cluster:east", attest.Selector("k8s:ns:" + namespace), "k8s:sa:intake"}; err != nil || !slices.Equal(got, want) {
		t.Fatalf("got %v, %v; want %v", got, err, want)
	}
	_, err = k.Attest(t.Context(), []byte(token("intake")))
	refused(t, "a token for the API server", err, verdict.IdentityAttestation)
	_, err = k.Attest(t.Context(), []byte(token("intake", "other")))
	refused(t, "a token for somebody else", err, verdict.IdentityAttestation)
	_, err = k.Attest(t.Context(), []byte(ours[:len(ours)-4]+"AAAA"))
	refused(t, "a token that was changed", err, verdict.IdentityAttestation)
}
