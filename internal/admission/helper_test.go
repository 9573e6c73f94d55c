package admission_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/verdict"
)

// judge is a verifier whose answers a test writes. It counts the questions.
type judge struct {
	mu         sync.Mutex
	generation string
	asked      [][]verdict.Question
	contexts   []context.Context
	say        func(ctx context.Context, q verdict.Question) verdict.Verdict
}

func (j *judge) Generation() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.generation
}

func (j *judge) use(generation string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.generation = generation
}

func (j *judge) calls() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.asked)
}

func (j *judge) Verify(ctx context.Context, questions []verdict.Question) verdict.Report {
	j.mu.Lock()
	j.asked = append(j.asked, questions)
	j.contexts = append(j.contexts, ctx)
	report := verdict.Report{Schema: verdict.ReportSchema, Generation: j.generation}
	j.mu.Unlock()
	for i, q := range questions {
		v := j.say(ctx, q)
		v.Question, v.ID, v.Generation = q, fmt.Sprintf("id-%d", i+1), report.Generation
		report.Verdicts = append(report.Verdicts, v)
	}
	return report
}

// byName allows all images but those with "bad" in their name.
func byName(_ context.Context, q verdict.Question) verdict.Verdict {
	switch {
	case strings.Contains(q.Asked, "unselected"):
		return verdict.Verdict{Code: verdict.Unselected, Reason: "no policy selects an image with no labels"}
	case strings.Contains(q.Asked, "bad"):
		return verdict.Verdict{Code: verdict.SignatureMissing, Checks: []verdict.Check{
			{Rule: "RequireImageSignature", Code: verdict.SignatureMissing, Outcome: verdict.Fail, Detail: "nobody signed it"},
			{Rule: "VulnerabilityScanThreshold", Code: verdict.OK, Outcome: verdict.Pass},
		}}
	}
	return verdict.Verdict{Decision: verdict.Allow, Code: verdict.OK}
}

// door is a handler with a judge.
type door struct {
	t testing.TB
	*judge
	*admission.Handler
	options admission.Options
}

func newDoor(t testing.TB, change ...func(*admission.Options)) *door {
	t.Helper()
	d := &door{t: t, judge: &judge{generation: "g1", say: byName}}
	d.options = admission.Options{
		Verifier: d.judge, Generation: d.judge.Generation,
		Namespace: func(name string) (map[string]string, bool) {
			switch name {
			case "open":
				return nil, true
			case "strict":
				return map[string]string{admission.EnforceLabel: "true"}, true
			}
			return nil, false
		},
	}
	for _, c := range change {
		c(&d.options)
	}
	h, err := admission.New(d.options)
	if err != nil {
		t.Fatal(err)
	}
	d.Handler = h
	return d
}

// response is what an API server reads of an answer.
type response struct {
	UID     string `json:"uid"`
	Allowed bool   `json:"allowed"`
	Status  struct {
		Status  string `json:"status"`
		Message string `json:"message"`
		Reason  string `json:"reason"`
		Code    int    `json:"code"`
		Details struct {
			RetryAfterSeconds int `json:"retryAfterSeconds"`
		} `json:"details"`
	} `json:"status"`
	Warnings         []string          `json:"warnings"`
	AuditAnnotations map[string]string `json:"auditAnnotations"`
	PatchType        string            `json:"patchType"`
	Patch            []byte            `json:"patch"`
}

// review is what an API server asks; the zero value creates a Pod.
type review struct {
	group, version, kind, resource, sub string
	operation, namespace, user          string
	groups                              []string
	object, old                         string
	dryRun                              bool
}

const pinned = "@sha256:4444444444444444444444444444444444444444444444444444444444444444"

func (r review) body() []byte {
	or := func(text, otherwise string) string {
		if text == "" {
			return otherwise
		}
		return text
	}
	raw := func(text string) json.RawMessage {
		if text == "" {
			return json.RawMessage("null")
		}
		return json.RawMessage(text)
	}
	kind, group := or(r.kind, "Pod"), r.group
	data, err := json.Marshal(map[string]any{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"request": map[string]any{
			"uid":      "u-1",
			"kind":     metav1.GroupVersionKind{Group: group, Version: or(r.version, "v1"), Kind: kind}, // in the order that API servers write
			"resource": map[string]string{"group": group, "version": or(r.version, "v1"), "resource": or(r.resource, strings.ToLower(kind)+"s")},
			"name":     "captioner", "namespace": or(r.namespace, "strict"), "operation": or(r.operation, "CREATE"), "subResource": r.sub,
			"userInfo": map[string]any{"username": or(r.user, "ann"), "groups": r.groups},
			"object":   raw(r.object), "oldObject": raw(r.old), "dryRun": r.dryRun,
			"options": map[string]any{"kind": "CreateOptions"},
		},
	})
	if err != nil {
		panic(err)
	}
	return data
}

// pod returns a Pod whose containers run the images.
func pod(images ...string) string {
	return podWith("", images...)
}

// podWith is pod with further text in its metadata.
func podWith(metadata string, images ...string) string {
	var b strings.Builder
	for i, image := range images {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, `{"name":"c%d","image":%q}`, i, image)
	}
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"captioner","labels":{"app":"x"}` + metadata + `},"spec":{"containers":[` + b.String() + `]}}`
}

// post sends a body and returns the answer; anything but an answer fails the test.
func (d *door) post(path string, r review) response {
	d.t.Helper()
	recorder := d.send(path, r.body())
	if recorder.Code != http.StatusOK {
		d.t.Fatalf("%s: %d %s", path, recorder.Code, recorder.Body)
	}
	var answer struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Response   response `json:"response"`
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil {
		d.t.Fatalf("%v: %s", err, recorder.Body)
	}
	if answer.APIVersion != "admission.k8s.io/v1" || answer.Kind != "AdmissionReview" || answer.Response.UID != "u-1" {
		d.t.Fatalf("not an answer to the review: %s", recorder.Body)
	}
	return answer.Response
}

func (d *door) send(path string, body []byte) *httptest.ResponseRecorder {
	request := httptest.NewRequestWithContext(d.t.Context(), http.MethodPost, path, bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	d.ServeHTTP(recorder, request)
	return recorder
}

func (d *door) allowed(r review) response {
	d.t.Helper()
	a := d.post(admission.PathValidate, r)
	if !a.Allowed {
		d.t.Fatalf("denied: %s", a.Status.Message)
	}
	return a
}

func (d *door) denied(r review, code verdict.Code) response {
	d.t.Helper()
	a := d.post(admission.PathValidate, r)
	if a.Allowed {
		d.t.Fatal("allowed")
	}
	if got := a.AuditAnnotations["code"]; got != string(code) {
		d.t.Fatalf("denied with %s (%s), want %s", got, a.Status.Message, code)
	}
	if !strings.Contains(a.Status.Message, string(code)) && a.Status.Reason != "Invalid" {
		d.t.Fatalf("the message does not name %s: %s", code, a.Status.Message)
	}
	return a
}
