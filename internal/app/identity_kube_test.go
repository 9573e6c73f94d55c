package app

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/identity/identitytest"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/verdict"
)

// A Pod's token becomes an identity that the gateway lets in, by the word of a real
// API server, which is asked by the way that kube.Client has to it.
func TestAPodsTokenBecomesAnIdentityUntilThePodIsGone(t *testing.T) {
	server := kubetest.Start(t, kubetest.Own())
	namespace := server.Namespace(t)
	cluster, err := kube.Open(kube.Config{Kubeconfig: server.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	admin, err := cluster.HTTPClient()
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path, body string) map[string]any {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, cluster.Host()+path, bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		answer, err := admin.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		data, err := io.ReadAll(answer.Body)
		var object map[string]any
		if err != nil || answer.StatusCode > 202 || json.Unmarshal(data, &object) != nil {
			t.Fatalf("%s %s: %d %v %s", method, path, answer.StatusCode, err, data)
		}
		return object
	}
	at := "/api/v1/namespaces/" + namespace
	for _, name := range []string{"intake", "other"} {
		call("POST", at+"/serviceaccounts", `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"`+name+`"}}`)
	}
	pod := func(name string) string {
		object := call("POST", at+"/pods", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"`+name+`"},"spec":{"serviceAccountName":"intake","automountServiceAccountToken":false,"containers":[{"name":"intake","image":"registry.example/intake"}]}}`)
		return object["metadata"].(map[string]any)["uid"].(string)
	}
	// token is made for an audience, and bound to a Pod where one is named.
	token := func(account, audience, pod, uid string) string {
		spec := map[string]any{"audiences": []string{audience}, "expirationSeconds": 600}
		if pod != "" {
			spec["boundObjectRef"] = map[string]any{"kind": "Pod", "apiVersion": "v1", "name": pod, "uid": uid}
		}
		body, err := json.Marshal(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
		if err != nil {
			t.Fatal(err)
		}
		return call("POST", at+"/serviceaccounts/"+account+"/token", string(body))["status"].(map[string]any)["token"].(string)
	}
	w := newIdentityWorld(t, gives("pod", "kubernetes: {namespace: "+namespace+", serviceAccount: intake}"), answering(t), func(o *IdentityServerOptions) {
		o.Kubeconfig = server.Kubeconfig()
	})
	first, second := pod("intake-1"), pod("intake-2")
	bound, kept := token("intake", trustAudience, "intake-1", first), token("intake", trustAudience, "intake-2", second)
	w.letIn("a Pod's token", func() IdentitySource { return w.source(evidenceKubernetes, bound, "") })

	// What another cluster would have signed: the same claims under another key.
	stranger := identitytest.NewIssuer(t)
	_, rest, _ := strings.Cut(bound, ".")
	claims, _, _ := strings.Cut(rest, ".")
	same, err := base64.RawURLEncoding.DecodeString(claims)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, token string
		code        verdict.Code
		says        string
	}{
		{"a token for the API server", token("intake", "https://kubernetes.default.svc", "intake-1", first), verdict.IdentityAttestation, "does not know the token"},
		{"a token for another trust domain", token("intake", "spiffe://other.example", "intake-1", first), verdict.IdentityAttestation, "does not know the token"},
		{"a token of another cluster", stranger.Token("RS256", `{"alg":"RS256","kid":"rsa"}`, string(same)), verdict.IdentityAttestation, "does not know the token"},
		{"another account's token", token("other", trustAudience, "", ""), verdict.IdentityAttestation, "no entry"},
		{"no token", "x y", verdict.IdentityAttestation, "not the token of a service account"},
	} {
		w.refuses(tt.name, evidenceKubernetes, tt.token, tt.code, tt.says)
	}
	call("DELETE", at+"/pods/intake-1", `{"gracePeriodSeconds":0}`)
	again := time.NewTicker(500 * time.Millisecond) // less often than an address may ask
	defer again.Stop()
	for { // the API server remembers for ten seconds what it said of a token
		code, detail := w.post(evidenceKubernetes, bound, "")
		if code == "" {
			<-again.C
			continue
		}
		if code != verdict.IdentityAttestation || !strings.Contains(detail, "does not know the token") {
			t.Errorf("the token of a Pod that is gone: %s %q", code, detail)
		}
		break
	}
	w.letIn("the Pod that is left", func() IdentitySource { return w.source(evidenceKubernetes, kept, "") })
	server.Stop()
	w.refuses("a cluster that does not answer", evidenceKubernetes, kept, verdict.IdentityUnavailable, "could not be asked")
}
