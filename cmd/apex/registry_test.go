package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/crypto/bcrypt"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/build"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/trust"
)

// served is an apex registry serve in this process.
type served struct {
	t         *testing.T
	dir, host string
	login     string
	end       func() int
	errs      *bytes.Buffer
}

// serve runs apex registry serve with the arguments until the test ends it.
func serve(t *testing.T, args ...string) *served {
	t.Helper()
	s := &served{t: t, dir: filepath.Join(t.TempDir(), "registry"), errs: &bytes.Buffer{}}
	args = append([]string{"registry", "serve", "--dir", s.dir, "--address", "127.0.0.1:0", "--state", t.TempDir()}, args...)
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		c := run(ctx, args, streams{strings.NewReader(""), in, s.errs})
		in.Close()
		code <- c
	}()
	s.end = func() int { cancel(); io.Copy(io.Discard, out); c := <-code; code <- c; return c }
	t.Cleanup(func() { s.end() })
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("it ended with %d: %s", s.end(), s.errs)
	}
	m := regexp.MustCompile(`^registry https?://(\S+) serves `).FindStringSubmatch(first)
	if m == nil {
		t.Fatalf("its first line is %q", first)
	}
	s.host = m[1]
	if s.login, err = lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *served) token() string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "token"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// client returns a registry client with a user's credentials.
func (s *served) client(user, password string) *oci.Client {
	s.t.Helper()
	keychain := oci.HostKeychain(s.host, user, password, nil)
	if user == "" {
		keychain = nil
	}
	c, err := oci.New(oci.Options{AllowPrivate: []string{s.host}, PlainHTTP: []string{s.host}, Keychain: keychain})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// push pushes an image whose only layer holds the text.
func (s *served) push(c *oci.Client, image, text string) (oci.Descriptor, error) {
	s.t.Helper()
	ref, err := reference.Parse(s.host + "/" + image)
	if err != nil {
		s.t.Fatal(err)
	}
	img, err := build.Image{Platform: "linux/amd64", Layers: []build.Layer{{"text": text}}}.Build()
	if err != nil {
		s.t.Fatal(err)
	}
	return c.PushImage(s.t.Context(), ref, img)
}

// tag puts the image's manifest under a tag, and returns what a client is told.
func (s *served) tag(img v1.Image, repo, tag string) (int, string) {
	s.t.Helper()
	manifest, err := img.RawManifest()
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPut, "http://"+s.host+"/v2/"+repo+"/manifests/"+tag, bytes.NewReader(manifest))
	if err != nil {
		s.t.Fatal(err)
	}
	req.SetBasicAuth("apex", s.token())
	req.Header.Set("Content-Type", oci.MediaTypeManifest)
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(said)
}

func TestServedRegistryKeepsItsTagsAndEndsWell(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	hash, err := bcrypt.GenerateFromPassword([]byte("ana's password"), bcrypt.MinCost+6)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(users, fmt.Appendf(nil, "ana:%s:vision/=pull,push\n", hash), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--users", users, "--mutable", "latest", "--mutable", "vision/*:edge-*", "--anonymous-pull", "vision/open")
	if want := "docker login -u apex --password-stdin " + s.host + " < " + filepath.Join(s.dir, "token"); !strings.Contains(s.login, want) {
		t.Errorf("it says %q, want %q", s.login, want)
	}
	operator, ana := s.client("apex", s.token()), s.client("ana", "ana's password")
	for _, c := range []struct {
		name   string
		client *oci.Client
		image  string
		text   string
		fails  bool
	}{
		{"a user pushes to a repository of hers", ana, "vision/app:1.0", "one", false},
		{"and nowhere else", ana, "claims/app:1.0", "one", true},
		{"nor with a wrong password", s.client("ana", "guess"), "vision/app:2.0", "one", true},
		{"nor without one", s.client("", ""), "vision/app:2.0", "one", true},
		{"the operator pushes everywhere", operator, "claims/app:1.0", "one", false},
		{"a tag does not move", operator, "vision/app:1.0", "two", true},
		{"latest was named to move", operator, "vision/app:latest", "one", false},
		{"and does", operator, "vision/app:latest", "two", false},
		{"a tag of a pattern", operator, "vision/a/b:edge-7", "one", false},
		{"moves", operator, "vision/a/b:edge-7", "two", false},
		{"the pattern is of one repository", operator, "claims/app:edge-7", "one", false},
		{"only", operator, "claims/app:edge-7", "two", true},
		{"what everybody may pull", operator, "vision/open:1.0", "one", false},
	} {
		if _, err := s.push(c.client, c.image, c.text); (err != nil) != c.fails {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	anybody := s.client("", "")
	for image, open := range map[string]bool{"vision/open:1.0": true, "vision/app:1.0": false} {
		ref, err := reference.Parse(s.host + "/" + image)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := anybody.Resolve(t.Context(), ref); (err == nil) != open {
			t.Errorf("pulling %s without credentials: %v", image, err)
		}
	}
	if code := s.end(); code != exitAllow || s.errs.Len() > 0 {
		t.Errorf("it ended with %d: %s", code, s.errs)
	}
	if _, err := net.Dial("tcp", s.host); err == nil {
		t.Error("it still listens")
	}
}

func TestGateShowsATagOnlyAfterThePoliciesAllowIt(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := trust.PublicPEM(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	policies := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(policies, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("trust.yaml", "apiVersion: security.apexlogic.com/v1alpha1\nkind: TrustRoot\nmetadata: {name: ours}\nspec:\n  entries:\n    - name: release\n      key:\n        pem: |\n          "+
		strings.ReplaceAll(strings.TrimSpace(string(public)), "\n", "\n          ")+"\n")
	policy := `apiVersion: security.apexlogic.com/v1alpha1
kind: ImageSecurityPolicy
metadata: {name: signed}
spec:
  imageSelector: {matchLabels: {app: inference}}
  rules:
    - name: RequireImageSignature
      action: Deny
      parameters: {requireSignatureFrom: ["release"]}
`
	write("policy.yaml", policy)
	s := serve(t, "--gate", "--policy", policies, "--gate-label", "app=inference")
	c := s.client("apex", s.token())

	if _, err := s.push(c, "vision/app:1.0", "one"); err == nil {
		t.Fatal("an unsigned image has its tag")
	}
	img, err := build.Image{Platform: "linux/amd64", Layers: []build.Layer{{"text": "one"}}}.Build()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if status, said := s.tag(img, "vision/app", "1.0"); status != http.StatusForbidden || !strings.Contains(said, "image.signature.missing") || !strings.Contains(said, digest.String()) {
		t.Fatalf("an unsigned image: %d %s, want a denial with its code and what was kept", status, said)
	}
	ref, err := reference.Parse(s.host + "/vision/app:1.0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Resolve(t.Context(), ref); !oci.IsNotFound(err) {
		t.Fatalf("the denied tag: %v, want that there is none", err)
	}
	// It can be signed by its digest, and then the same push goes through.
	if _, err := app.SignImages(t.Context(), c, []string{s.host + "/vision/app@" + digest.String()}, app.SignOptions{Key: key, Format: fact.FormatBundle}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.push(c, "vision/app:1.0", "one"); err != nil {
		t.Fatalf("the signed image: %v", err)
	}
	if _, err := c.Resolve(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	// Changed policies are in force soon.
	write("policy.yaml", strings.Replace(policy, "action: Deny", "action: Warn", 1))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := s.push(c, "vision/other:1.0", "two"); err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the changed policy never came into force")
		}
	}
	if code := s.end(); code != exitAllow {
		t.Errorf("it ended with %d: %s", code, s.errs)
	}
}

func TestRegistryOverTLS(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "registry"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, secret := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(cert, chain, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--tls-cert", cert, "--tls-key", secret)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(chain)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	res, err := client.Get("https://" + s.host + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without credentials it answers %s", res.Status)
	}
}

func TestRegistryRefusesWhatDoesNotFitTogether(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		args string
		says string
	}{
		{"no directory", "--address 127.0.0.1:0", "--dir is needed"},
		{"an address for everybody without TLS", "--dir d --address 0.0.0.0:0", "TLS"},
		{"a host name, which may be any address", "--dir d --address localhost:0", "not a loopback address"},
		{"all addresses", "--dir d --address :0", "not a loopback address"},
		{"an address without a port", "--dir d --address 127.0.0.1", "--address"},
		{"half of TLS", "--dir d --tls-cert x", "go together"},
		{"policies without the gate", "--dir d --policy p", "add --gate"},
		{"labels without the gate", "--dir d --gate-label a=b", "add --gate"},
		{"a label that is none", "--dir d --gate --gate-label a", "key=value"},
		{"a gate without policies", "--dir d --gate --address 127.0.0.1:0", "there are no policies"},
		{"an argument", "--dir d x", "usage: apex registry serve"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(dir)
			var errs bytes.Buffer
			code := run(t.Context(), append([]string{"registry", "serve"}, strings.Fields(c.args)...), streams{strings.NewReader(""), io.Discard, &errs})
			if code != exitUsage || !strings.Contains(errs.String(), c.says) {
				t.Errorf("%d %q, want %d with %q", code, &errs, exitUsage, c.says)
			}
		})
	}
}

func TestGlobMatchesWhatItsStarsStandFor(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a:1", "a:1", true}, {"a:1", "a:10", false}, {"a:1", "ba:1", false},
		{"*", "", true}, {"*:1", "a/b:1", true}, {"*:1", "a/b:11", false},
		{"a/*:*", "a/b:1", true}, {"a/*:*", "b/a/c:1", false},
		{"a*a", "a", false}, {"a*a", "aa", true}, {"a*b*c", "a-b-b-c", true}, {"a*b*c", "a-c-b", false},
		{"", "", true}, {"", "a", false}, {"**", "abc", true},
	} {
		if got := glob(c.pattern, c.text); got != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}
