package kubetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// identity writes the server's certificate, the key that signs ServiceAccount
// tokens and the administrator's token into the folder. The certificate is its
// own authority.
func identity(dir string) (authority []byte, token string, err error) {
	serving, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubetest"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, serving.Public(), serving)
	if err != nil {
		return nil, "", err
	}
	accounts, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	public, err := x509.MarshalPKIXPublicKey(accounts.Public())
	if err != nil {
		return nil, "", err
	}
	private := func(key *ecdsa.PrivateKey) []byte {
		der, err2 := x509.MarshalECPrivateKey(key)
		if err2 != nil {
			err = err2
		}
		return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	}
	random := make([]byte, 24)
	_, _ = rand.Read(random) // never fails
	token = hex.EncodeToString(random)
	authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	files := map[string][]byte{
		"tls.crt": authority, "tls.key": private(serving),
		"sa.key": private(accounts), "sa.pub": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		"tokens.csv": []byte(token + ",apex-test-admin,1,system:masters\n"),
	}
	if err != nil {
		return nil, "", err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return nil, "", err
		}
	}
	return authority, token, nil
}

func (s *Server) writeKubeconfig() (string, error) {
	path := filepath.Join(s.dir, "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: t, cluster: {server: "https://127.0.0.1:%d", certificate-authority-data: %s}}]
users: [{name: t, user: {token: "%s"}}]
contexts: [{name: t, context: {cluster: t, user: t}}]
current-context: t
`, s.port, base64.StdEncoding.EncodeToString(s.authority), s.token)
	return path, os.WriteFile(path, []byte(text), 0o600)
}
