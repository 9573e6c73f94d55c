package controller

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	_ "embed" // testdata
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/config/crd"
	"github.com/apexlogic/apex/internal/advisory/feed"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
	"github.com/apexlogic/apex/internal/app"
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
	refuses  atomic.Value  // func(*http.Request) error: what the registry does not take
	registry *ocitest.Server
	image    string // by digest
	digest   string
	state    string
	variant  string // of the image
	stop     func()
	begin    func()
}

func newRunningScene(t *testing.T) *runningScene {
	t.Helper()
	server := kubetest.Start(t)
	s := &runningScene{scene: &scene{t: t}, state: t.TempDir(), hangs: make(chan struct{}), asked: make(chan struct{}, 1)}
	s.registry = ocitest.Registry(t, ocitest.Behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if refuses, ok := s.refuses.Load().(func(*http.Request) error); ok {
				if err := refuses(r); err != nil {
					http.Error(w, err.Error(), http.StatusForbidden)
					return
				}
			}
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
	address := freeAddress(t)
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
		case <-time.After(2 * time.Minute):
			t.Fatal("the controller is not ready")
		}
	}
	t.Cleanup(func() {
		s.stop()
		s.clean()
	})
	s.begin()
	s.awaitAsked()
	return s
}

// clean removes what the next test of the same server would fall over.
func (s *runningScene) clean() {
	ctx := context.Background()
	kinds := []kube.Kind{kube.ValidatingWebhooks, kube.MutatingWebhooks, app.OurKind("ImageSecurityPolicy"), app.OurKind("Revocation"), app.OurKind("GitSource"), app.OurKind("TrustRoot")}
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
		"app": s.t.Name() + s.variant,
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

// admitted applies what is allowed once the policy that was just written is in force.
func (s *runningScene) admitted(text string) {
	s.t.Helper()
	s.await("its policy is in force", func() (bool, string) {
		_, err := s.client.Apply(s.t.Context(), s.object(text), kube.ApplyOptions{Manager: "a-person"})
		if err != nil && !strings.Contains(err.Error(), "[policy.unselected]") {
			s.t.Fatalf("%v in\n%s", err, text)
		}
		return err == nil, fmt.Sprint(err)
	})
}

func (s *runningScene) deployment(namespace, labels string) {
	s.t.Helper()
	s.admitted(fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: captioner, namespace: %s, labels: {app: x%s}}
spec:
  replicas: 3
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: "%s"}]}}`, namespace, labels, s.image))
}

// demands puts a policy in force that lets everything run which is not revoked,
// and asks for something about what is, of workloads with the label.
func (s *runningScene) demands(act, onViolation string) {
	s.t.Helper()
	s.apply(fmt.Sprintf(`
apiVersion: security.apexlogic.com/v1alpha1
kind: ImageSecurityPolicy
metadata: {name: act-%s}
spec:
  imageSelector: {matchLabels: {act: %s}}
  onViolation: %s
  rules: [{name: Expression, action: Deny, parameters: {expressions: [{name: it-holds, expression: "true"}]}}]`, act, act, onViolation))
}

// runs makes a namespace, with a Deployment that the policy of demands selects.
func (s *runningScene) runs(namespace, act, labels string) {
	s.t.Helper()
	s.apply(fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: %s}}`, namespace))
	s.admitted(fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: captioner, namespace: %s, labels: {app: x%s}}
spec:
  replicas: 3
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x, act: %s}}, spec: {containers: [{name: c, image: "%s"}]}}`, namespace, labels, act, s.image))
}

// approver puts a key in force that approves actions.
func (s *runningScene) approver() crypto.Signer {
	s.t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		s.t.Fatal(err)
	}
	s.apply(fmt.Sprintf(`
apiVersion: security.apexlogic.com/v1alpha1
kind: TrustRoot
metadata: {name: people}
spec: {entries: [{name: ada, owner: ada@example.com, uses: [Actions], key: {pem: %q}}]}`, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	return key
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
		n, text = n+1, text+fmt.Sprintln(list[i].Object["note"]) // their names, and so their order, are random
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
	o, err := s.client.Get(s.t.Context(), kube.ID{Kind: app.OurKind(kind), Name: name})
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

func TestWhatIsRevokedIsActedOnAsThePoliciesSay(t *testing.T) {
	s := newRunningScene(t)
	key := s.approver()
	s.demands("cut", "[{action: Isolate}]")
	s.demands("stopped", "[{action: ScaleToZero, codes: [subject.revoked]}]")
	s.demands("other", "[{action: ScaleToZero, codes: [image.*]}]")
	s.demands("later", "[{action: Isolate, after: 20h}]")
	s.demands("waits", "[{action: Isolate, approval: Required}]")
	s.demands("back", "[{action: RollBack}]")
	for _, namespace := range []string{"cut", "stopped", "other", "later", "waits", "back"} {
		s.runs(namespace, namespace, "")
	}
	// A label that weakens the policy has no effect.
	s.runs("reported", "nothing", "")
	s.holds("true")
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: cut, labels: {apexlogic.com/on-violation: report}}}`)
	s.apply(`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: open-door, namespace: cut}, spec: {podSelector: {}, ingress: [{}]}}`)

	before := time.Now()
	s.revoke()
	s.await("it is isolated", func() (bool, string) { return s.isolated("cut") == 1, "" })
	t.Logf("isolated %s after the Revocation", time.Since(before).Round(time.Millisecond))
	s.awaitEvent("cut", "Isolated", "open-door") // what else is open is said
	s.await("it is stopped", func() (bool, string) { r := s.replicas("stopped"); return r == "0 3", r })
	s.awaitEvent("back", "ActionRefused", "belongs to no GitSource")
	s.await("what cannot be rolled back is stopped", func() (bool, string) { r := s.replicas("back"); return r == "0 3", r })
	s.awaitEvent("waits", "ApprovalNeeded", "apex approve --namespace waits --violation ")
	for _, namespace := range []string{"reported", "later", "other"} {
		s.awaitEvent(namespace, "NotCompliant", "subject.revoked")
		if s.isolated(namespace) != 0 || s.replicas(namespace) != "3 " {
			t.Errorf("something was done in %s that no policy asks for", namespace)
		}
	}
	if s.isolated("waits") != 0 {
		t.Error("something was done that nobody has approved")
	}
	looked := func() (asked, passes int) {
		for _, e := range s.entries() {
			switch {
			case e[0] == "apex.background.pass/v1":
				passes++
			case e[0] == verify.RecordVerdict && strings.Contains(e[1], `"namespace":"waits"`) && strings.Contains(e[1], `"subject.revoked"`):
				asked++
			}
		}
		return asked, passes
	}
	s.await("it is verified ahead of all else, and again with everything", func() (bool, string) {
		asked, _ := looked()
		return asked >= 2, fmt.Sprint(asked)
	})
	askedBefore, passesBefore := looked()
	// What was approved is done; what somebody else signed is not.
	_, text := s.events("waits", "ApprovalNeeded")
	_, id, _ := strings.Cut(text, "--violation ")
	approval := Approval{Violation: id[:16], Namespace: "waits", Action: v1alpha1.ActionIsolate, Reason: "it leaks", Approver: "ada", At: time.Now(), Expires: time.Now().Add(time.Hour)}
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := Approve(t.Context(), s.client, approval, stranger); err != nil {
		t.Fatal(err)
	}
	s.awaitEvent("waits", "ApprovalNeeded", "does not count")
	if s.isolated("waits") != 0 {
		t.Error("a stranger approved it")
	}
	if err := Approve(t.Context(), s.client, approval, key); err != nil {
		t.Fatal(err)
	}
	s.await("it is isolated with the approval", func() (bool, string) { return s.isolated("waits") == 1, "" })

	// An isolation that somebody opens is shut again.
	list, err := s.client.List(t.Context(), networkPolicies, "cut", labelAction+"="+actIsolate)
	if err != nil || len(list) != 1 {
		t.Fatal(len(list), err)
	}
	s.apply(fmt.Sprintf(`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: %s, namespace: cut}, spec: {ingress: [{}], podSelector: {}}}`, list[0].GetName()))
	s.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: cut, annotations: {look: again}}}`)
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
	// An approval, and what it lets be done, verify nothing anew.
	if asked, passes := looked(); asked-askedBefore > passes-passesBefore {
		t.Errorf("%d verifications in %d passes of what did not change", asked-askedBefore, passes-passesBefore)
	}
	s.clean()
	s.holds("true")
	s.begin()
	s.await("all is as before", func() (bool, string) {
		seen := fmt.Sprintf("%d %d %s%s", s.isolated("cut"), s.isolated("waits"), s.replicas("stopped"), s.replicas("back"))
		return seen == "0 0 3 3 ", seen
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
	s.demands("hanging", "[{action: Isolate}]")
	s.runs("hanging", "hanging", "")
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
		case e[0] == RecordAction && strings.Contains(e[1], `"action":"Isolate","phase":"Intent"`):
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
