// Package kubetest runs a real etcd and kube-apiserver for tests.
//
// Start with [Start], which returns a running [Server] or skips the test when
// KUBEBUILDER_ASSETS names no folder with the programs (test/kube/build.sh
// builds them and prints it), and with [Main], which lets all tests of a package
// share one server:
//
//	func TestMain(m *testing.M) { kubetest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		server := kubetest.Start(t)
//		namespace := server.Namespace(t)
//
// Everything listens on 127.0.0.1 and ends with the test, with the test binary's
// TestMain, or with the test binary itself, however that ends.
package kubetest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// assets is the variable that controller-runtime's envtest reads, too.
const assets = "KUBEBUILDER_ASSETS"

// Option changes what [Start] starts.
type Option func(*options)

type options struct {
	own         bool
	controllers bool
	args        []string
}

// Own asks for a server of the test's own, to be restarted or filled.
func Own() Option { return func(o *options) { o.own = true } }

// Controllers also runs kube-controller-manager: ServiceAccounts, garbage
// collection, Deployments (whose Pods stay pending: nothing schedules them). It
// implies [Own].
func Controllers() Option { return func(o *options) { o.own, o.controllers = true, true } }

// Args adds arguments to kube-apiserver's. It implies [Own].
func Args(args ...string) Option {
	return func(o *options) { o.own, o.args = true, append(o.args, args...) }
}

// shared is the one server of a test binary whose TestMain called [Main]. A test
// kit has nowhere else to keep it: testing.M hands nothing to its tests.
var shared struct {
	sync.Mutex
	main   bool
	server *Server
	err    error
}

// Main runs the tests and ends the process. The first test that calls [Start]
// without options starts the server that all such tests share.
func Main(m *testing.M) {
	shared.Lock()
	shared.main = true
	shared.Unlock()
	code := m.Run()
	shared.Lock()
	if shared.server != nil {
		shared.server.stop()
	}
	shared.Unlock()
	os.Exit(code)
}

// Start returns a server that answers. The test is skipped when the programs are
// not there, and fails when they do not come up.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	folder := os.Getenv(assets)
	if folder == "" {
		t.Skipf("%s is not set: export %s=$(test/kube/build.sh --full)", assets, assets)
	}
	needed := []string{"etcd", "kube-apiserver"}
	if o.controllers {
		needed = append(needed, "kube-controller-manager")
	}
	for _, name := range needed {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Skipf("%s holds no %s: export %s=$(test/kube/build.sh --full)", assets, name, assets)
		}
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.main && !o.own {
		if shared.server == nil && shared.err == nil {
			shared.server, shared.err = start(folder, o)
		}
		if shared.err != nil {
			t.Fatal(shared.err)
		}
		return shared.server
	}
	s, err := start(folder, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.tail())
		}
		s.stop()
	})
	return s
}

// tail returns the end of each program's log.
func (s *Server) tail() string {
	const kept = 3 << 10
	var out string
	for _, p := range []*process{s.etcd, s.api, s.controllers} {
		if p == nil {
			continue
		}
		data, _ := os.ReadFile(p.log)
		if len(data) > kept {
			data = data[len(data)-kept:]
		}
		out += fmt.Sprintf("--- %s\n%s\n", p.name, data)
	}
	return out
}
