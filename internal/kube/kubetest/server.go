package kubetest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// ready is how long a program may take to answer. It takes 3 to 6 s on two
// cores, more when others compile.
const ready = 2 * time.Minute

// Server is a running API server. Its methods are safe for concurrent use but
// for Stop, Resume and Restart.
type Server struct {
	folder, dir  string
	options      options
	port         int
	etcdURL      string
	token        string
	authority    []byte
	etcd         *process
	api          *process
	controllers  *process
	namespaces   atomic.Int64
	kubeconfigAt string
}

func start(folder string, o options) (_ *Server, err error) {
	dir, err := os.MkdirTemp("", "apex-kubetest-")
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder, dir: dir, options: o}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, s.tail())
			s.stop()
		}
	}()
	if s.authority, s.token, err = identity(dir); err != nil {
		return nil, err
	}
	if err := s.startEtcd(); err != nil {
		return nil, err
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	if s.kubeconfigAt, err = s.writeKubeconfig(); err != nil {
		return nil, err
	}
	if err := s.startAPI(); err != nil {
		return nil, err
	}
	if o.controllers {
		return s, s.startControllers()
	}
	return s, nil
}

func (s *Server) startEtcd() error {
	client, err := freePort()
	if err != nil {
		return err
	}
	peer, err := freePort()
	if err != nil {
		return err
	}
	s.etcdURL = fmt.Sprintf("http://127.0.0.1:%d", client)
	peerURL := fmt.Sprintf("http://127.0.0.1:%d", peer)
	s.etcd, err = run(s.folder, s.dir, "etcd",
		"--data-dir", filepath.Join(s.dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", s.etcdURL, "--advertise-client-urls", s.etcdURL,
		"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL,
		"--initial-cluster", "default="+peerURL)
	if err != nil {
		return err
	}
	return s.etcd.wait(func() error { return answers(http.DefaultClient, s.etcdURL+"/health") })
}

func (s *Server) startAPI() error {
	in := func(name string) string { return filepath.Join(s.dir, name) }
	args := []string{
		"--etcd-servers", s.etcdURL,
		"--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", strconv.Itoa(s.port),
		"--endpoint-reconciler-type", "none",
		"--tls-cert-file", in("tls.crt"), "--tls-private-key-file", in("tls.key"), "--cert-dir", in("pki"),
		"--token-auth-file", in("tokens.csv"), "--authorization-mode", "RBAC",
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", in("sa.pub"), "--service-account-signing-key-file", in("sa.key"),
		"--service-cluster-ip-range", "10.0.0.0/24",
	}
	if !s.options.controllers {
		// Without kube-controller-manager nobody makes the default ServiceAccounts.
		args = append(args, "--disable-admission-plugins", "ServiceAccount")
	}
	var err error
	if s.api, err = run(s.folder, s.dir, "kube-apiserver", append(args, s.options.args...)...); err != nil {
		return err
	}
	transport, err := rest.HTTPClientFor(s.Config())
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	// The namespace "default" is made after readyz, and tests use it.
	err = s.api.wait(func() error {
		if err := answers(transport, s.Config().Host+"/readyz"); err != nil {
			return err
		}
		return answers(transport, s.Config().Host+"/api/v1/namespaces/default")
	})
	return err
}

func (s *Server) startControllers() error {
	port, err := freePort()
	if err != nil {
		return err
	}
	s.controllers, err = run(s.folder, s.dir, "kube-controller-manager",
		"--kubeconfig", s.kubeconfigAt, "--bind-address", "127.0.0.1", "--secure-port", strconv.Itoa(port),
		"--leader-elect=false", "--kube-api-qps", "1000", "--kube-api-burst", "2000",
		"--service-account-private-key-file", filepath.Join(s.dir, "sa.key"),
		"--use-service-account-credentials=false", "--cert-dir", filepath.Join(s.dir, "pki-kcm"))
	if err != nil {
		return err
	}
	transport, err := rest.HTTPClientFor(s.Config())
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	return s.controllers.wait(func() error { // the work of one of its controllers
		return answers(transport, s.Config().Host+"/api/v1/namespaces/default/serviceaccounts/default")
	})
}

func (s *Server) stop() {
	for _, p := range []*process{s.controllers, s.api, s.etcd} {
		p.kill()
	}
	_ = os.RemoveAll(s.dir)
}

// Config returns a new configuration of a cluster administrator, without a limit
// on requests per second.
func (s *Server) Config() *rest.Config {
	return &rest.Config{
		Host:            fmt.Sprintf("https://127.0.0.1:%d", s.port),
		BearerToken:     s.token,
		TLSClientConfig: rest.TLSClientConfig{CAData: s.authority},
		QPS:             -1,
	}
}

// As is Config for another user, by impersonation.
func (s *Server) As(user string, groups ...string) *rest.Config {
	c := s.Config()
	c.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return c
}

// Kubeconfig returns the path of a kubeconfig file of the administrator. It goes
// with the server.
func (s *Server) Kubeconfig() string { return s.kubeconfigAt }

// Dynamic returns the administrator's client.
func (s *Server) Dynamic(t testing.TB) dynamic.Interface {
	t.Helper()
	c, err := dynamic.NewForConfig(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Namespace makes a namespace of the test's own and returns its name. It is
// asked to go when the test ends; nothing waits for that.
func (s *Server) Namespace(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test-%d", s.namespaces.Add(1))
	namespaces := s.Dynamic(t).Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	_, err := namespaces.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name},
	}}, createOptions)
	if err != nil {
		t.Fatalf("make namespace %s: %v", name, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = namespaces.Delete(ctx, name, deleteOptions) // the server may be stopped: it goes with it
	})
	return name
}

// Stop kills the API server; etcd goes on.
func (s *Server) Stop() { s.api.kill() }

// Resume starts the API server again on its old port.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	if err := s.startAPI(); err != nil {
		t.Fatalf("%v\n%s", err, s.tail())
	}
}

// Restart kills the API server and starts it again.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	s.Resume(t)
}

// Compact makes etcd forget all but the present revision. A watch that is begun
// from an older one ends with 410, once the API server has forgotten it, too:
// after a restart, or at once with Args("--watch-cache=false").
func (s *Server) Compact(t testing.TB) {
	t.Helper()
	var answer struct {
		Header struct {
			Revision string `json:"revision"`
		} `json:"header"`
	}
	key := base64.StdEncoding.EncodeToString([]byte("/"))
	if err := s.askEtcd(t.Context(), "/v3/kv/range", map[string]any{"key": key}, &answer); err != nil {
		t.Fatal(err)
	}
	err := s.askEtcd(t.Context(), "/v3/kv/compaction", map[string]any{"revision": answer.Header.Revision, "physical": true}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

// PIDs returns the process ids of etcd and the API server, to read their cost.
func (s *Server) PIDs() (etcd, api int) { return s.etcd.pid, s.api.pid }

func (s *Server) askEtcd(ctx context.Context, path string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.etcdURL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd %s: %s: %s", path, resp.Status, data)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(data, answer)
}

// answers returns nil when the address answers with 200.
func answers(client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// freePort returns a port below those that the system hands to outgoing
// connections, so that none of them takes it while its server restarts.
func freePort() (int, error) {
	const low, high, tries = 20000, 32000, 50
	for range tries {
		port := low + rand.IntN(high-low)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, fmt.Errorf("no free port between %d and %d", low, high)
}
