package controller

import (
	"context"
	_ "embed" // testdata
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/config/crd"
	"github.com/apexlogic/apex/internal/advisory/feed"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/build"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/verify"
)

//go:embed testdata/reports.yaml
var reportKinds []byte

// runningScene is a scene with a registry that holds an image, and with report kinds.
type runningScene struct {
	*scene
	hangs    chan struct{} // closed by the test: until then /slow/ is not answered
	asked    chan struct{} // something has asked for /slow/
	registry *ocitest.Server
	image    string // by digest
	digest   string
	state    string
	stop     func()
	begin    func()
}

func newRunningScene(t *testing.T) *runningScene {
	t.Helper()
	server := kubetest.Start(t)
	s := &runningScene{scene: &scene{t: t}, state: t.TempDir(), hangs: make(chan struct{}), asked: make(chan struct{}, 1)}
	s.registry = ocitest.Registry(t, ocitest.Behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/slow/") {
				select {
				case s.asked <- struct{}{}:
				default:
				}
				select {
				case <-s.hangs:
				case <-r.Context().Done():
				}
			}
			next.ServeHTTP(w, r)
		})
	}))
	var err error
	if s.client, err = kube.Open(kube.Config{Kubeconfig: server.Kubeconfig()}); err != nil {
		t.Fatal(err)
	}
	server.InstallCRDs(t, reportKinds)
	files, err := crd.Definitions.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".yaml") {
			data, err := crd.Definitions.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			server.InstallCRDs(t, data)
		}
	}
	s.push()
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: apex-system}}`)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s.begin = func() {
		ctx, stop := context.WithCancel(context.Background())
		ready, done := make(chan struct{}), make(chan error, 1)
		go func() {
			done <- Run(ctx, Options{
				Kube: kube.Config{Kubeconfig: server.Kubeconfig()}, State: s.state, Identity: "a", Version: "test",
				WebhookURL: "https://" + address, WebhookAddress: address, HealthAddress: "127.0.0.1:0",
				AllowPrivate: []string{s.registry.Host}, PlainHTTP: []string{s.registry.Host},
				Ready: func(_, _ net.Addr) { close(ready) },
			})
		}()
		s.stop = func() {
			s.stop = func() {}
			stop()
			if err := <-done; err != nil {
				t.Errorf("the controller ended: %v", err)
			}
		}
		select {
		case <-ready:
		case err := <-done:
			done <- err
			t.Fatalf("the controller ended: %v", err)
		case <-time.After(60 * time.Second):
			t.Fatal("the controller is not ready")
		}
	}
	t.Cleanup(func() {
		s.stop()
		s.clean()
	})
	s.begin()
	return s
}

// clean removes what the next test of the same server would fall over.
func (s *runningScene) clean() {
	ctx := context.Background()
	kinds := []kube.Kind{kube.ValidatingWebhooks, kube.MutatingWebhooks, ours("ImageSecurityPolicy"), ours("Revocation"), ours("GitSource"), ours("TrustRoot")}
	for _, kind := range kinds {
		list, err := s.client.List(ctx, kind, "", "")
		if err != nil {
			s.t.Error(err)
		}
		for i := range list {
			if err := s.client.Delete(ctx, kube.IDOf(&list[i]), kube.Precondition{}); err != nil {
				s.t.Error(err)
			}
		}
	}
}

func (s *runningScene) push() {
	s.t.Helper()
	client, err := oci.New(oci.Options{PlainHTTP: []string{s.registry.Host}, AllowPrivate: []string{s.registry.Host}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	ref, err := reference.Parse(s.registry.Host + "/vision/app:1")
	if err != nil {
		s.t.Fatal(err)
	}
	img, err := build.Image{Platform: "linux/amd64", Layers: []build.Layer{{
		"app": s.t.Name(),
		"usr/lib/python3/site-packages/pillow-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: Pillow\nVersion: 1.0\n",
	}}}.Build()
	if err != nil {
		s.t.Fatal(err)
	}
	pushed, err := client.PushImage(s.t.Context(), ref, img)
	if err != nil {
		s.t.Fatal(err)
	}
	s.digest = string(pushed.Digest)
	s.image = ref.Name() + "@" + s.digest
}

// holds puts a policy in force under which images are as the CEL expression says.
func (s *runningScene) holds(expression string) {
	s.t.Helper()
	s.apply(fmt.Sprintf(`
apiVersion: security.apexlogic.com/v1alpha1
kind: ImageSecurityPolicy
metadata: {name: images}
spec:
  imageSelector: {matchLabels: {app: x}}
  rules: [{name: Expression, action: Deny, parameters: {expressions: [{name: it-holds, expression: '%s'}]}}]`, expression))
}

func (s *runningScene) deployment(namespace, labels string) {
	s.t.Helper()
	s.apply(fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: captioner, namespace: %s, labels: {app: x%s}}
spec:
  replicas: 3
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: "%s"}]}}`, namespace, labels, s.image))
}

func (s *runningScene) events(namespace, reason string) (n int, text string) {
	s.t.Helper()
	list, err := s.client.List(s.t.Context(), kube.Kind{Group: "events.k8s.io", Version: "v1", Kind: "Event"}, namespace, "")
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range list {
		regarding, _ := list[i].Object["regarding"].(map[string]any)
		if list[i].Object["reason"] != reason || regarding["name"] != "captioner" {
			continue
		}
		n, text = n+1, fmt.Sprint(list[i].Object["note"])
		if _, repeated := list[i].Object["series"]; repeated {
			s.t.Errorf("%s was said more than once: %v", reason, list[i].Object["series"])
		}
	}
	return n, text
}

func (s *runningScene) awaitEvent(namespace, reason, part string) {
	s.t.Helper()
	s.await("the event "+reason, func() (bool, string) {
		n, text := s.events(namespace, reason)
		return n > 0 && strings.Contains(text, part), text
	})
}

// conditionOf is a condition of an object of ours: status, reason, message.
func (s *runningScene) conditionOf(kind, name, typ string) string {
	o, err := s.client.Get(s.t.Context(), kube.ID{Kind: ours(kind), Name: name})
	if err != nil {
		return err.Error()
	}
	c := readCondition(o, typ)
	return c.status + " " + c.reason + " " + c.message
}

func (s *runningScene) isolated(namespace string) int {
	s.t.Helper()
	list, err := s.client.List(s.t.Context(), networkPolicies, namespace, labelAction+"="+actIsolate)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(list)
}

func (s *runningScene) replicas(namespace string) string {
	s.t.Helper()
	o, err := s.client.Get(s.t.Context(), kube.ID{Kind: kube.Kind{Group: "apps", Version: "v1", Kind: "Deployment"}, Namespace: namespace, Name: "captioner"})
	if err != nil {
		return err.Error()
	}
	spec, _ := o.Object["spec"].(map[string]any)
	return fmt.Sprintf("%v %s", spec["replicas"], o.GetAnnotations()[annotationStopped])
}

func (s *runningScene) revoke() {
	s.t.Helper()
	s.apply(fmt.Sprintf(`{apiVersion: security.apexlogic.com/v1alpha1, kind: Revocation, metadata: {name: stop}, spec: {digest: "%s", reason: "it leaks"}}`, s.digest))
}

// entries returns the ledger of the controller, which has stopped: type and data.
func (s *runningScene) entries() (out [][2]string) {
	s.t.Helper()
	l, err := ledger.Open(s.t.Context(), s.state+"/ledger/controller", ledger.Options{ReadOnly: true})
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	for e, err := range l.Records(s.t.Context(), ledger.Cursor{}) {
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, [2]string{e.Type, string(e.Data)})
	}
	return out
}

// records returns what the ledger holds of a type, a line for each.
func (s *runningScene) records(kind string) string {
	s.t.Helper()
	var b strings.Builder
	for _, e := range s.entries() {
		if e[0] == kind {
			fmt.Fprintln(&b, e[1])
		}
	}
	return b.String()
}

func TestAPolicyChangeIsSaidOfWhatRuns(t *testing.T) {
	s := newRunningScene(t)
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: said}}`)
	s.apply(`
apiVersion: security.apexlogic.com/v1alpha1
kind: GitSource
metadata: {name: vision}
spec:
  url: /nowhere
  trust: {firstCommit: "0000000000000000000000000000000000000000", signers: [nobody]}
  target: {cluster: {serviceAccount: said/deployer, namespaces: [said]}}`)
	s.holds("true")
	s.deployment("said", ", apexlogic.com/source: vision")
	report := func(version, kind string) func() (bool, string) {
		return func() (bool, string) {
			group, v, _ := strings.Cut(version, "/")
			o, err := s.client.Get(t.Context(), kube.ID{Kind: kube.Kind{Group: group, Version: v, Kind: kind}, Namespace: "said", Name: reportName})
			if err != nil {
				return false, err.Error()
			}
			summary, _ := o.Object["summary"].(map[string]any)
			return summary["fail"] == int64(1), fmt.Sprint(o.Object["summary"], o.Object["results"])
		}
	}
	s.await("the policy's status says that it is in force", func() (bool, string) {
		c := s.conditionOf("ImageSecurityPolicy", "images", "Ready")
		return strings.HasPrefix(c, "True InForce"), c
	})

	s.holds("false")
	s.awaitEvent("said", "NotCompliant", "policy.expression.false")
	s.await("an OpenReports report", report("openreports.io/v1alpha1", "Report"))
	s.await("a PolicyReport", report("wgpolicyk8s.io/v1alpha2", "PolicyReport"))
	s.await("the source's condition", func() (bool, string) {
		c := s.conditionOf("GitSource", "vision", "Compliant")
		return strings.HasPrefix(c, "False NotCompliant 1 of 1") && strings.Contains(c, "captioner"), c
	})
	if c := s.conditionOf("GitSource", "vision", "Ready"); strings.HasPrefix(c, " ") {
		t.Errorf("the other condition of the source is gone: %q", c)
	}

	// A replica that takes over does not say it again.
	s.stop()
	s.begin()
	s.holds("1 == 1")
	s.awaitEvent("said", "Compliant", "again")
	s.await("the source's condition", func() (bool, string) {
		c := s.conditionOf("GitSource", "vision", "Compliant")
		return strings.HasPrefix(c, "True Compliant all 1"), c
	})
	if n, _ := s.events("said", "NotCompliant"); n != 1 {
		t.Errorf("that it does not comply was said %d times", n)
	}
	// Nothing is left to report on.
	if err := s.client.Delete(t.Context(), kube.ID{Kind: kube.Kind{Group: "apps", Version: "v1", Kind: "Deployment"}, Namespace: "said", Name: "captioner"}, kube.Precondition{}); err != nil {
		t.Fatal(err)
	}
	s.holds("2 == 2")
	s.await("the report is removed", func() (bool, string) {
		_, seen := report("openreports.io/v1alpha1", "Report")()
		return strings.Contains(seen, "not found"), seen
	})
	s.stop()
	all := s.records(RecordCompliance)
	if strings.Count(all, `"to":"NotCompliant"`) != 1 || strings.Count(all, `"to":"Compliant"`) != 1 || !strings.Contains(all, "policy.expression.false") {
		t.Errorf("the ledger says\n%s", all)
	}
}

func TestARevocationIsolatesWhereSomebodyHasSaidSo(t *testing.T) {
	s := newRunningScene(t)
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: cut, labels: {apexlogic.com/on-violation: isolate}}}`)
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: stopped, labels: {apexlogic.com/on-violation: scaleToZero}}}`)
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: owned, labels: {apexlogic.com/on-violation: scaleToZero}}}`)
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: waits, labels: {apexlogic.com/on-violation: isolate, apexlogic.com/on-violation-approval: required}}}`)
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: reported}}`)
	s.apply(`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: open-door, namespace: cut}, spec: {podSelector: {}, ingress: [{}]}}`)
	s.holds("true")
	for _, namespace := range []string{"cut", "stopped", "waits", "reported"} {
		s.deployment(namespace, "")
	}
	s.deployment("owned", ", apexlogic.com/source: somebody")

	before := time.Now()
	s.revoke()
	s.await("it is isolated", func() (bool, string) { return s.isolated("cut") == 1, "" })
	t.Logf("isolated %s after the Revocation", time.Since(before).Round(time.Millisecond))
	s.awaitEvent("cut", "Isolated", "open-door") // what else is open is said
	s.await("it is stopped", func() (bool, string) { r := s.replicas("stopped"); return r == "0 3", r })
	s.awaitEvent("owned", "ActionRefused", "GitSource somebody")
	s.awaitEvent("waits", "ApprovalNeeded", annotationApproved)
	s.awaitEvent("reported", "NotCompliant", "subject.revoked")
	if s.isolated("waits")+s.isolated("reported") != 0 || s.replicas("owned") != "3 " || s.replicas("reported") != "3 " {
		t.Error("something was done that nobody wants")
	}
	// What was approved is done.
	_, text := s.events("waits", "ApprovalNeeded")
	_, generation, _ := strings.Cut(text, annotationApproved+"=")
	s.apply(fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: waits, labels: {apexlogic.com/on-violation: isolate, apexlogic.com/on-violation-approval: required}, annotations: {apexlogic.com/approved: "%s"}}}`, generation))
	s.await("it is isolated with the approval", func() (bool, string) { return s.isolated("waits") == 1, "" })

	// An isolation that somebody opens is shut again.
	list, err := s.client.List(t.Context(), networkPolicies, "cut", labelAction+"="+actIsolate)
	if err != nil || len(list) != 1 {
		t.Fatal(len(list), err)
	}
	s.apply(fmt.Sprintf(`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: %s, namespace: cut}, spec: {ingress: [{}], podSelector: {}}}`, list[0].GetName()))
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: cut, labels: {apexlogic.com/on-violation: isolate}, annotations: {look: again}}}`)
	s.await("it is shut again", func() (bool, string) {
		o, err := s.client.Get(t.Context(), kube.IDOf(&list[0]))
		if err != nil {
			return false, err.Error()
		}
		spec, _ := o.Object["spec"].(map[string]any)
		return shuts(spec, selector{"matchLabels": map[string]any{"app": "x"}}), fmt.Sprint(spec)
	})

	// What is undone while nobody leads is undone by who leads next.
	s.stop()
	asked := 0
	for line := range strings.Lines(s.records(verify.RecordVerdict)) {
		if strings.Contains(line, `"namespace":"waits"`) && strings.Contains(line, `"subject.revoked"`) {
			asked++
		}
	}
	// Once ahead of all else and once with everything, but not for the approval.
	if asked != 2 {
		t.Errorf("%d verifications of what did not change", asked)
	}
	s.clean()
	s.holds("true")
	s.begin()
	s.await("all is as before", func() (bool, string) {
		seen := fmt.Sprintf("%d %d %s", s.isolated("cut"), s.isolated("waits"), s.replicas("stopped"))
		return seen == "0 0 3 ", seen
	})
	s.stop()
	all := s.records(RecordAction)
	for _, action := range []string{"Isolate", "Connect", "ScaleToZero", "ScaleBack"} {
		for _, phase := range []string{"Intent", "Done"} {
			if !strings.Contains(all, fmt.Sprintf(`"action":%q,"phase":%q`, action, phase)) {
				t.Errorf("no record of %s of %s in\n%s", phase, action, all)
			}
		}
	}
}

func TestARevocationDoesNotWaitForARegistryThatDoesNotAnswer(t *testing.T) {
	s := newRunningScene(t)
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: hanging, labels: {apexlogic.com/on-violation: isolate}}}`)
	s.deployment("hanging", "")
	s.apply(fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: slow, namespace: hanging, labels: {app: x}}, spec: {containers: [{name: c, image: "%s/slow/app@%s"}]}}`, s.registry.Host, "sha256:"+strings.Repeat("5", 64)))
	s.holds("true")
	<-s.asked
	s.revoke()
	s.await("it is isolated", func() (bool, string) { return s.isolated("hanging") == 1, "" })
	close(s.hangs)
	s.stop()
	generation := ""
	for _, e := range slices.Backward(s.entries()) { // back from what was done to what was asked before
		switch {
		case e[0] == RecordAction && strings.Contains(e[1], `"phase":"Intent"`):
			var r ActionRecord
			if err := json.Unmarshal([]byte(e[1]), &r); err != nil {
				t.Fatal(err)
			}
			generation = r.Generation
		case generation != "" && e[0] == verify.RecordVerdict && strings.Contains(e[1], generation) && strings.Contains(e[1], "/slow/"):
			t.Errorf("the revocation waited for the answer about another image: %s", e[1])
		}
	}
	if generation == "" {
		t.Error("the ledger does not say that it was isolated")
	}
}

func TestNewAdvisoriesAreAskedAboutAtOnce(t *testing.T) {
	advisories := t.TempDir()
	t.Setenv("APEX_ADVISORIES", advisories)
	sync := func(fixed string) {
		t.Helper()
		dir, err := snapshot.OpenDir(advisories, clock.System{})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "PyPI.jsonl")
		record := fmt.Sprintf(`{"id":"PYSEC-1","modified":"2026-01-01T00:00:00Z","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],"affected":[{"package":{"ecosystem":"PyPI","name":"pillow"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":%q}]}]}]}`, fixed)
		if err := os.WriteFile(file, []byte(record), 0o600); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		if _, err := feed.Sync(t.Context(), dir, feed.Options{Now: now, Feeds: []feed.Feed{{Name: "PyPI", Kind: feed.OSV, Path: file}}}); err != nil {
			t.Fatal(err)
		}
	}
	sync("0.5")
	s := newRunningScene(t)
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: advised}}`)
	s.deployment("advised", "")
	s.apply(`
apiVersion: security.apexlogic.com/v1alpha1
kind: ImageSecurityPolicy
metadata: {name: images}
spec:
  imageSelector: {matchLabels: {app: x}}
  rules: [{name: VulnerabilityScanThreshold, action: Deny, parameters: {maxSeverity: High, vulnerabilityScanner: Apex}}]`)
	summary := func(result string) func() (bool, string) {
		return func() (bool, string) {
			o, err := s.client.Get(t.Context(), kube.ID{Kind: kube.Kind{Group: "openreports.io", Version: "v1alpha1", Kind: "Report"}, Namespace: "advised", Name: reportName})
			if err != nil {
				return false, err.Error()
			}
			summary, _ := o.Object["summary"].(map[string]any)
			return summary[result] == int64(1), fmt.Sprint(o.Object["summary"], o.Object["results"])
		}
	}
	s.await("it complies", summary("pass"))
	sync("2.0")
	s.awaitEvent("advised", "NotCompliant", "image.vulnerability.threshold")
	s.await("the report says so", summary("fail"))
}
