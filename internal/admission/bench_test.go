package admission_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

// warmDoor is a handler whose verifier knows the three images of its Pod.
func warmDoor(t testing.TB) (h *admission.Handler, body []byte) {
	t.Helper()
	k := verifytest.New(t)
	h, err := admission.New(admission.Options{
		Verifier: k.Verifier, Generation: func() string { return k.Verifier.Generation().Name },
		Namespace: func(string) (map[string]string, bool) { return nil, true },
	})
	if err != nil {
		t.Fatal(err)
	}
	r := review{namespace: "vision", object: typicalPod(k.Good("vision/one").Pinned(), k.Good("vision/two").Pinned(), k.Good("vision/three").Pinned())}
	r.groups = []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"}
	body = r.body()
	if a := (&door{t: t, Handler: h}).post(admission.PathValidate, r); !a.Allowed {
		t.Fatal(a.Status.Message)
	}
	return h, body
}

// typicalPod is a Pod as an API server sends it: with its defaults, and with
// what a ReplicaSet's controller wrote.
func typicalPod(images ...string) string {
	var containers []string
	for i, image := range images {
		containers = append(containers, fmt.Sprintf(`{"name":"c%d","image":%q,"args":["--listen=:8080"],"ports":[{"name":"http","containerPort":%d,"protocol":"TCP"}],`+
			`"env":[{"name":"LEVEL","value":"info"}],"resources":{"limits":{"memory":"256Mi"},"requests":{"cpu":"100m","memory":"128Mi"}},`+
			`"volumeMounts":[{"name":"kube-api-access","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],`+
			`"livenessProbe":{"httpGet":{"path":"/healthz","port":"http","scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3},`+
			`"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}`, i, image, 8080+i))
	}
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"captioner-5d8f9-x2x4z","generateName":"captioner-5d8f9-","namespace":"vision","uid":"1c3a2b4c-0000-4000-8000-000000000000","creationTimestamp":"2026-11-20T12:00:00Z",` +
		`"labels":{"app":"multimodal-inference","pod-template-hash":"5d8f9"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"captioner-5d8f9","uid":"1c3a2b4c-0000-4000-8000-000000000001","controller":true,"blockOwnerDeletion":true}],` +
		`"managedFields":[{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"2026-11-20T12:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:generateName":{},"f:labels":{".":{},"f:app":{},"f:pod-template-hash":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"1c3a2b4c\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c0\"}":{".":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:resources":{}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}}]},` +
		`"spec":{"volumes":[{"name":"kube-api-access","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}}],"defaultMode":420}}],` +
		`"containers":[` + strings.Join(containers, ",") + `],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"default","serviceAccount":"default","securityContext":{},"schedulerName":"default-scheduler",` +
		`"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],"priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"},"status":{}}`
}

// echo answers each review without looking at it: what TLS, HTTP and reading the
// envelope cost at least.
func echo(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(io.LimitReader(r.Body, admission.MaxReview))
	var review struct {
		Request struct {
			UID    string          `json:"uid"`
			Object json.RawMessage `json:"object"`
		} `json:"request"`
	}
	if err == nil {
		err = json.Unmarshal(data, &review)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": map[string]any{"uid": review.Request.UID, "allowed": true}})
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkWarmHandler is the handler alone: a Pod of three images whose
// verdicts are known.
func BenchmarkWarmHandler(b *testing.B) {
	h, body := warmDoor(b)
	d := &door{t: b, Handler: h}
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		if r := d.send(admission.PathValidate, body); r.Code != 200 {
			b.Fatal(r.Body)
		}
	}
	used := (cpu() - before).Seconds()
	b.ReportMetric(used/float64(b.N)*1e6, "cpu-µs/review")
	b.ReportMetric(float64(3*b.N)/used, "verdicts/cpu-s")
}

// BenchmarkWarmOverTLS is client and server over TLS in one process, beside an
// echo of the same body; they take turns, so that both see the same machine.
func BenchmarkWarmOverTLS(b *testing.B) {
	h, body := warmDoor(b)
	apex := serve(b, h)
	bare := &serving{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	server.EnableHTTP2 = true
	server.StartTLS()
	b.Cleanup(server.Close)
	bare.url, bare.client = server.URL, server.Client()

	const perTurn = 200
	var used [2]time.Duration
	sent := 0
	turn := func(i int, s *serving) {
		before := cpu()
		for range perTurn {
			if status, text, err := s.post(admission.PathValidate, body); err != nil || status != 200 || !strings.Contains(text, `"allowed":true`) {
				b.Fatal(status, text, err)
			}
		}
		used[i] += cpu() - before
	}
	turn(0, apex)
	turn(1, bare)
	used = [2]time.Duration{}
	for b.Loop() {
		turn(0, apex)
		turn(1, bare)
		sent += perTurn
	}
	b.ReportMetric(used[0].Seconds()/float64(sent)*1e6, "cpu-µs/review")
	b.ReportMetric(used[1].Seconds()/float64(sent)*1e6, "cpu-µs/echo")
	b.ReportMetric(float64(3*sent)/used[0].Seconds(), "verdicts/cpu-s")
	b.ReportMetric(used[1].Seconds()/used[0].Seconds(), "of-echo's-rate")
}

// BenchmarkLatencyAtEqualRate sends both the same number of reviews per second,
// whether they have answered or not, and compares how long answers take.
func BenchmarkLatencyAtEqualRate(b *testing.B) {
	h, body := warmDoor(b)
	apex := serve(b, h)
	server := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	server.EnableHTTP2 = true
	server.StartTLS()
	b.Cleanup(server.Close)
	bare := &serving{url: server.URL, client: server.Client()}

	const rate = 200 // per second: a large cluster that starts 200 Pods each second
	for b.Loop() {
		var took [2][]time.Duration
		for round := range 6 { // by turns
			s, i := apex, 0
			if round%2 == 1 {
				s, i = bare, 1
			}
			took[i] = append(took[i], openLoop(b, s, body, rate, 2*rate)...)
		}
		for i := range took {
			slices.Sort(took[i])
		}
		at := func(i int, q float64) float64 {
			return float64(took[i][int(q*float64(len(took[i])-1))].Microseconds())
		}
		b.ReportMetric(at(0, 0.5), "p50-µs")
		b.ReportMetric(at(0, 0.99), "p99-µs")
		b.ReportMetric(at(1, 0.5), "echo-p50-µs")
		b.ReportMetric(at(1, 0.99), "echo-p99-µs")
		b.ReportMetric(at(0, 0.5)/at(1, 0.5), "p50-ratio")
		b.ReportMetric(at(0, 0.99)/at(1, 0.99), "p99-ratio")
	}
}

func openLoop(b *testing.B, s *serving, body []byte, rate, n int) []time.Duration {
	took := make([]time.Duration, n)
	var wg sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for i := range n {
		<-tick.C
		wg.Go(func() {
			started := time.Now()
			if status, text, err := s.post(admission.PathValidate, body); err != nil || status != 200 {
				b.Error(status, text, err)
			}
			took[i] = time.Since(started)
		})
	}
	wg.Wait()
	return took
}

// requests counts what a registry is asked for.
func requests(n *atomic.Int64) ocitest.Option {
	return ocitest.Behind(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				n.Add(1)
			}
			h.ServeHTTP(w, r)
		})
	})
}

func TestFiveHundredPodsOfANewDigestFetchItsEvidenceOnce(t *testing.T) {
	var asked atomic.Int64
	k := verifytest.New(t, requests(&asked))
	good := [2]verifytest.Pushed{k.Good("vision/alone"), k.Good("vision/burst")}
	h, err := admission.New(admission.Options{
		Verifier:   verifierFunc(func(ctx context.Context, q []verdict.Question) verdict.Report { return k.Verifier.Verify(ctx, q) }),
		Generation: func() string { return k.Verifier.Generation().Name },
		Namespace:  func(string) (map[string]string, bool) { return nil, true },
	})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, h)
	burst := func(n int, image string) (fetched int64, slowest time.Duration) {
		k.Reconnect() // a replica that has just started
		asked.Store(0)
		body := review{namespace: "vision", object: strings.Replace(pod(image), `"app":"x"`, `"app":"multimodal-inference"`, 1)}.body()
		var wg sync.WaitGroup
		var mu sync.Mutex
		for range n {
			wg.Go(func() {
				started := time.Now()
				status, text, err := s.post(admission.PathValidate, body)
				if err != nil || status != 200 || !strings.Contains(text, `"allowed":true`) {
					t.Error(status, text, err)
				}
				mu.Lock()
				defer mu.Unlock()
				slowest = max(slowest, time.Since(started))
			})
		}
		wg.Wait()
		return asked.Load(), slowest
	}
	alone, _ := burst(1, good[0].Pinned())
	many, slowest := burst(500, good[1].Pinned())
	if alone == 0 || many != alone {
		t.Errorf("one Pod fetches %d times, five hundred fetch %d times", alone, many)
	}
	t.Logf("%d requests to the registry for one Pod and for 500; the slowest answer took %s", many, slowest)
}
