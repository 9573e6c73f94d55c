package follow_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/source"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/verdict"
)

// site is a repository with signed commits, and the source that follows it into
// a namespace of a real cluster, as a ServiceAccount with the rights of RBAC.
type site struct {
	b         testing.TB
	dir, key  string
	namespace string
	operator  crypto.Signer
	client    *kube.Client // the administrator's, counted
	requests  atomic.Int64
	statuses  chan source.Status
	server    *kubetest.Server
	*source.Source
}

func (s *site) git(args ...string) string {
	s.b.Helper()
	c := exec.CommandContext(s.b.Context(), "git", append([]string{"-C", s.dir}, args...)...)
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := c.CombinedOutput()
	if err != nil {
		s.b.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit makes a signed commit of what is in the work tree.
func (s *site) commit() string {
	s.b.Helper()
	s.git("add", "-A")
	s.git("-c", "gpg.format=ssh", "-c", "user.signingkey="+s.key, "commit", "-q", "-S", "-m", "change")
	return s.git("rev-parse", "HEAD")
}

// write gives n objects the value, one object in a file.
func (s *site) write(from, n int, value string) {
	s.b.Helper()
	for i := from; i < from+n; i++ {
		text := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: object-%05d\n  namespace: %s\ndata:\n  v: \"%s\"\n  text: %s\n",
			i, s.namespace, value, strings.Repeat("x", 200))
		if err := os.WriteFile(filepath.Join(s.dir, "deploy", fmt.Sprintf("object-%05d.yaml", i)), []byte(text), 0o644); err != nil {
			s.b.Fatal(err)
		}
	}
}

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newSite starts a server of its own and opens the source; Run is running when
// it returns, and ends with the benchmark.
func newSite(b testing.TB) *site {
	b.Helper()
	for _, name := range []string{"git", "ssh-keygen"} {
		if _, err := exec.LookPath(name); err != nil {
			b.Skipf("%s is needed", name)
		}
	}
	s := &site{b: b, server: kubetest.Start(b, kubetest.Own()), statuses: make(chan source.Status, 1000)}
	var err error
	s.client, err = kube.Open(kube.Config{Kubeconfig: s.server.Kubeconfig(), Wrap: func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) { s.requests.Add(1); return next.RoundTrip(r) })
	}})
	must(b, err)
	s.namespace = s.server.Namespace(b)
	s.rights()

	home := b.TempDir()
	s.dir, s.key = filepath.Join(home, "repo"), filepath.Join(home, "platform")
	must(b, os.MkdirAll(filepath.Join(s.dir, "deploy"), 0o755))
	out, err := exec.CommandContext(b.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "platform", "-f", s.key).CombinedOutput()
	if err != nil {
		b.Fatalf("ssh-keygen: %v %s", err, out)
	}
	public, err := os.ReadFile(s.key + ".pub")
	must(b, err)
	s.git("init", "-q", "-b", "main")
	s.git("config", "user.name", "a")
	s.git("config", "user.email", "a@example.com")
	must(b, os.WriteFile(filepath.Join(s.dir, "README.md"), []byte("begin\n"), 0o644))
	first := s.commit()

	gs := &v1alpha1.GitSource{}
	gs.Name = "site"
	gs.Spec.URL, gs.Spec.Path, gs.Spec.Branch = s.dir, "deploy", "main"
	gs.Spec.Trust = v1alpha1.GitTrust{FirstCommit: first, Signers: []string{"platform"}}
	gs.Spec.Target.Cluster = &v1alpha1.ClusterTarget{ServiceAccount: s.namespace + "/deployer", Namespaces: []string{s.namespace}}
	operator, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(b, err)
	s.operator = operator
	der, err := x509.MarshalPKIXPublicKey(operator.Public())
	must(b, err)
	root := v1alpha1.TrustRoot{}
	root.Spec.Entries = []v1alpha1.TrustEntry{
		{Name: "platform", Owner: "platform", Uses: []v1alpha1.TrustUse{v1alpha1.UseCommits}, SSH: &v1alpha1.SSHEntry{PublicKey: strings.TrimSpace(string(public))}},
		{Name: "operator", Owner: "operator", Uses: []v1alpha1.TrustUse{v1alpha1.UsePromotions},
			Key: &v1alpha1.KeyEntry{PEM: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}},
	}
	_, state, err := ed25519.GenerateKey(rand.Reader)
	must(b, err)
	s.Source, err = source.Open(b.Context(), source.Options{
		Source: gs, TrustRoots: []v1alpha1.TrustRoot{root}, State: filepath.Join(home, "state"),
		Cluster: s.client, System: s.server.Namespace(b),
		Sign: func(_ context.Context, m []byte) ([]byte, error) { return ed25519.Sign(state, m), nil },
		Verify: func(_ context.Context, m, sig []byte) error {
			if !ed25519.Verify(state.Public().(ed25519.PublicKey), m, sig) {
				return errors.New("the signature does not verify")
			}
			return nil
		},
		// ConfigMaps deploy no image: what the gate costs is measured elsewhere.
		Gate: func(context.Context, source.Revision) (verdict.Report, error) {
			return verdict.Report{Schema: verdict.ReportSchema, Verdicts: []verdict.Verdict{{Decision: verdict.Allow}}}, nil
		},
		Record:  func(context.Context, string, any) error { return nil },
		Changed: func(st source.Status) { s.statuses <- st },
	})
	must(b, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		<-done
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// rights gives the namespace's ServiceAccount the right to ConfigMaps, and
// returns when the authorizer knows.
func (s *site) rights() {
	s.b.Helper()
	rbac := func(kind string, rest map[string]any) {
		body := map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": map[string]any{"namespace": s.namespace, "name": "deployer"}}
		for k, v := range rest {
			body[k] = v
		}
		_, err := s.client.Apply(s.b.Context(), body, kube.ApplyOptions{Manager: "test"})
		must(s.b, err)
	}
	rbac("Role", map[string]any{"rules": []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"configmaps"},
		"verbs": []any{"get", "list", "create", "patch", "update", "delete"}}}})
	rbac("RoleBinding", map[string]any{
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "deployer", "namespace": s.namespace}}})
	account, err := s.client.As(s.namespace, "deployer")
	must(s.b, err)
	for ok := false; !ok; {
		ok, _, err = account.Can(s.b.Context(), "patch", kube.ID{Kind: configMap, Namespace: s.namespace})
		must(s.b, err)
	}
}

var configMap = kube.Kind{Version: "v1", Kind: "ConfigMap"}

// await reads statuses until one is what is waited for.
func (s *site) await(what string, is func(source.Status) bool) {
	s.b.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case st := <-s.statuses:
			if is(st) {
				return
			}
			if st.Refused != nil || st.Problem != "" {
				s.b.Logf("%s: %+v %s", what, st.Refused, st.Problem)
			}
		case <-late:
			s.b.Fatalf("%s: it does not come; the source is at %+v", what, s.Status())
		}
	}
}

// awaitGood returns when the applied revision is one to go back to.
func (s *site) awaitGood() {
	s.b.Helper()
	for late := time.Now().Add(time.Minute); time.Now().Before(late); time.Sleep(50 * time.Millisecond) {
		state, err := s.State(s.b.Context())
		must(s.b, err)
		if n := len(state.Good); n > 0 && !state.Unfinished() && state.Good[n-1] == state.Applied {
			return
		}
	}
	s.b.Fatal("it is not healthy")
}

// values counts the objects that have the value.
func (s *site) values(value string) (n int) {
	s.b.Helper()
	all, err := s.client.List(s.b.Context(), configMap, s.namespace, gitops.LabelSource+"=site")
	must(s.b, err)
	for _, o := range all {
		if data, _ := o.Object["data"].(map[string]any); data["v"] == value {
			n++
		}
	}
	return n
}

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuOf is what another process has used (proc(5): in ticks of 10 ms).
func cpuOf(pid int) time.Duration {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// report gives the times' percentiles, and per operation what it cost.
func (s *site) report(b *testing.B, times []time.Duration, ours, theirs time.Duration, requests int64) {
	slices.Sort(times)
	at := func(part float64) float64 {
		return float64(times[min(int(float64(len(times))*part), len(times)-1)].Microseconds()) / 1000
	}
	n := float64(len(times))
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.95), "p95-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
	b.ReportMetric(float64(ours.Microseconds())/1000/n, "cpu-ms/op")
	b.ReportMetric(float64(theirs.Microseconds())/1000/n, "server-cpu-ms/op")
	b.ReportMetric(float64(requests)/n, "requests/op")
	b.ReportMetric(0, "ns/op") // it holds what lies between two operations, too
}

const siteObjects = 1000

// BenchmarkCommit changes one of 1,000 objects in a signed commit, notifies, and
// waits until the source says that the commit is applied: fetched, verified,
// rendered, planned, tried, applied and remembered.
//
//	go test ./internal/gitops/follow -run '^$' -bench Commit -benchtime 60x
func BenchmarkCommit(b *testing.B) {
	s := newSite(b)
	s.write(0, siteObjects, "first")
	head := s.commit()
	s.Notify()
	s.await("the first revision", func(st source.Status) bool { return st.Commit == head && st.Ready() })
	_, api := s.server.PIDs()
	var times []time.Duration
	var ours, theirs time.Duration
	var requests int64
	n := 0
	for b.Loop() {
		n++
		value := fmt.Sprintf("commit-%d", n)
		s.write(n*37%siteObjects, 1, value)
		head := s.commit()
		used, served, asked, began := cpu(), cpuOf(api), s.requests.Load(), time.Now()
		s.Notify()
		s.await("the commit", func(st source.Status) bool { return st.Commit == head && st.Ready() })
		times = append(times, time.Since(began))
		ours, theirs, requests = ours+cpu()-used, theirs+cpuOf(api)-served, requests+s.requests.Load()-asked
		if n%20 == 1 && s.values(value) != 1 {
			b.Fatal("it is not applied")
		}
	}
	s.report(b, times, ours, theirs, requests)
}

// BenchmarkRollback goes back from a revision that changed all of 1,000 objects,
// while the source is followed and healed and its repository cannot be reached.
//
//	go test ./internal/gitops/follow -run '^$' -bench Rollback -benchtime 5x
func BenchmarkRollback(b *testing.B) {
	s := newSite(b)
	s.write(0, siteObjects, "good")
	head := s.commit()
	s.Notify()
	s.await("the first revision", func(st source.Status) bool { return st.Commit == head && st.Ready() })
	_, api := s.server.PIDs()
	var times []time.Duration
	var ours, theirs time.Duration
	var requests int64
	n := 0
	for b.Loop() {
		s.awaitGood()
		good := s.Status().Commit
		n++
		s.write(0, siteObjects, fmt.Sprintf("bad-%d", n))
		head := s.commit()
		s.Notify()
		s.await("the bad revision", func(st source.Status) bool { return st.Commit == head && st.Ready() })
		gone := s.dir + ".gone"
		must(b, os.Rename(s.dir, gone)) // Git is unreachable
		used, served, asked, began := cpu(), cpuOf(api), s.requests.Load(), time.Now()
		done, err := s.Rollback(b.Context(), good, "it answers nonsense", s.operator)
		must(b, err)
		times = append(times, time.Since(began))
		ours, theirs, requests = ours+cpu()-used, theirs+cpuOf(api)-served, requests+s.requests.Load()-asked
		if done.Revision.Commit != good || s.values(fmt.Sprintf("bad-%d", n)) != 0 {
			b.Fatalf("it went back to %+v", done)
		}
		must(b, os.Rename(gone, s.dir))
		s.write(0, siteObjects, fmt.Sprintf("good-%d", n))
		head = s.commit()
		s.Notify()
		s.await("the mended revision", func(st source.Status) bool { return st.Commit == head && st.Ready() })
	}
	s.report(b, times, ours, theirs, requests)
}
