package kube_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/apexlogic/apex/internal/kube"
)

func TestTheHTTPClientShowsTheClientsIdentityToItsAPIServerOnly(t *testing.T) {
	var shown string
	answers := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { shown = r.Header.Get("Authorization") })
	server := httptest.NewTLSServer(answers)
	defer server.Close()
	open := func(authority []byte) *http.Client {
		t.Helper()
		path := filepath.Join(t.TempDir(), "kubeconfig")
		text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: secret}}]\nclusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]\n",
			server.URL, base64.StdEncoding.EncodeToString(authority))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := kube.Open(kube.Config{Kubeconfig: path})
		if err != nil {
			t.Fatal(err)
		}
		if c.Host() != server.URL {
			t.Error(c.Host())
		}
		client, err := c.HTTPClient()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.CloseIdleConnections)
		return client
	}
	its := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	answer, err := open(its).Get(server.URL + "/version")
	if err != nil || shown != "Bearer secret" {
		t.Fatalf("%q %v", shown, err)
	}
	answer.Body.Close()
	shown = ""
	if answer, err := open(anyAuthority(t)).Get(server.URL + "/version"); err == nil {
		answer.Body.Close()
		t.Error("a server whose authority is unknown is asked")
	}
	if shown != "" {
		t.Error("it was shown the token")
	}
}

// anyAuthority is the certificate of an authority that certified nobody.
func anyAuthority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
