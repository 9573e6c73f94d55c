package admission_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/verdict"
)

func TestWhatIsNoReviewIsAnHTTPError(t *testing.T) {
	good := string(review{object: pod("good" + pinned)}.body())
	edit := func(old, new string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, tt := range []struct {
		name, method, contentType, body string
		status                          int
	}{
		{"a review", "POST", "application/json", good, 200},
		{"a review that says its character set", "POST", "application/json; charset=utf-8", good, 200},
		{"another method", "GET", "application/json", good, 405},
		{"another type", "POST", "text/plain", good, 415},
		{"no type", "POST", "", good, 415},
		{"another character set", "POST", "application/json; charset=utf-16", good, 415},
		{"nothing", "POST", "application/json", "", 400},
		{"a list", "POST", "application/json", "[]", 400},
		{"half of it", "POST", "application/json", good[:len(good)/2], 400},
		{"two of them", "POST", "application/json", good + good, 400},
		{"another version", "POST", "application/json", edit("admission.k8s.io/v1", "admission.k8s.io/v1beta1"), 400},
		{"no uid", "POST", "application/json", edit(`"uid":"u-1"`, `"uid":""`), 400},
		{"an unknown operation", "POST", "application/json", edit(`"CREATE"`, `"PATCH"`), 400},
		{"two objects", "POST", "application/json", edit(`"object":`, `"object":{},"object":`), 400},
		{"a second object under another case", "POST", "application/json", edit(`"oldObject":`, `"Object":{},"oldObject":`), 400},
		{"more than the limit", "POST", "application/json", good + strings.Repeat(" ", admission.MaxReview), 413},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDoor(t)
			for _, path := range []string{admission.PathValidate, admission.PathMutate, admission.PathGuard} {
				r := httptest.NewRequestWithContext(t.Context(), tt.method, path, strings.NewReader(tt.body))
				if tt.contentType != "" {
					r.Header.Set("Content-Type", tt.contentType)
				}
				recorder := httptest.NewRecorder()
				d.ServeHTTP(recorder, r)
				if recorder.Code != tt.status {
					t.Errorf("%s: %d %s", path, recorder.Code, recorder.Body)
				}
			}
		})
	}
}

func TestABodyWithoutALengthIsBoundedToo(t *testing.T) {
	d := newDoor(t)
	for _, tt := range []struct {
		body   io.Reader
		status int
	}{
		{bytes.NewReader(review{object: pod("good" + pinned)}.body()), 200},
		{io.LimitReader(endless{}, 1<<40), 413},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, admission.PathValidate, io.NopCloser(tt.body))
		r.ContentLength = -1
		r.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		d.ServeHTTP(recorder, r)
		if recorder.Code != tt.status {
			t.Errorf("%d %s", recorder.Code, recorder.Body)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestAPanicIsADenial(t *testing.T) {
	d := newDoor(t)
	d.say = func(_ context.Context, q verdict.Question) verdict.Verdict { panic("a hostile image") }
	a := d.post(admission.PathValidate, review{object: pod("good" + pinned)})
	if a.Allowed || a.Status.Code != 500 || a.AuditAnnotations["generation"] != "g1" {
		t.Errorf("%+v", a)
	}
	d.say = byName
	d.allowed(review{object: pod("good" + pinned)})
}

func TestAReportThatLacksAVerdictIsADenial(t *testing.T) {
	short := verifierFunc(func(_ context.Context, q []verdict.Question) verdict.Report {
		return verdict.Report{Generation: "g1", Verdicts: make([]verdict.Verdict, len(q)-1)}
	})
	d := newDoor(t, func(o *admission.Options) { o.Verifier = short })
	if a := d.post(admission.PathValidate, review{object: pod("good"+pinned, "other"+pinned)}); a.Allowed {
		t.Error("allowed")
	}
}

type verifierFunc func(context.Context, []verdict.Question) verdict.Report

func (f verifierFunc) Verify(ctx context.Context, q []verdict.Question) verdict.Report {
	return f(ctx, q)
}

func TestProbesTellWhetherItAnswers(t *testing.T) {
	var notYet error = errors.New("no policies are in force")
	d := newDoor(t, func(o *admission.Options) { o.Ready = func() error { return notYet } })
	get := func(path string) (int, string) {
		recorder := httptest.NewRecorder()
		d.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return recorder.Code, recorder.Body.String()
	}
	if code, _ := get(admission.PathHealthy); code != 200 {
		t.Errorf("healthz: %d", code)
	}
	if code, text := get(admission.PathReady); code != 503 || !strings.Contains(text, "no policies") {
		t.Errorf("readyz: %d %s", code, text)
	}
	notYet = nil
	if code, _ := get(admission.PathReady); code != 200 {
		t.Errorf("readyz: %d", code)
	}
	if code, _ := get("/metrics"); code != 404 {
		t.Errorf("another path: %d", code)
	}
}

// probe returns the status of a path that is asked with GET.
func (d *door) probe(path string) int {
	recorder := httptest.NewRecorder()
	d.ServeHTTP(recorder, httptest.NewRequestWithContext(d.t.Context(), http.MethodGet, path, nil))
	return recorder.Code
}

func TestAHandlerNeedsWhatItDecidesWith(t *testing.T) {
	if _, err := admission.New(admission.Options{}); err == nil {
		t.Error("made of nothing")
	}
}
