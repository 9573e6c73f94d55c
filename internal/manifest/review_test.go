package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/manifest"
)

// review writes an AdmissionReview about object; edit changes its text.
func review(object string, edit ...string) string {
	text := `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u-1","kind":{"group":"","version":"v1","kind":"Pod"},` +
		`"resource":{"group":"","version":"v1","resource":"pods"},"name":"p","namespace":"vision","operation":"CREATE","userInfo":{},"dryRun":false,"object":` + object + `,"oldObject":null}}`
	return strings.NewReplacer(edit...).Replace(text)
}

const podObject = `{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"app":"x"}},"spec":{"containers":[{"name":"c","image":"bad/c"}],"ephemeralContainers":[{"name":"e","image":"bad/e"}]}}`

func TestAnAdmissionReviewNamesItsObjectsImages(t *testing.T) {
	r, err := manifest.ParseAdmissionReview([]byte(review(podObject, `"dryRun":false`, `"dryRun":true`, `"name":"p"`, `"name":"p","subResource":"ephemeralcontainers"`)))
	if err != nil {
		t.Fatal(err)
	}
	if r.UID != "u-1" || r.Kind.String() != "v1/Pod" || r.Name != "p" || r.Namespace != "vision" || r.Operation != "CREATE" || !r.DryRun || r.SubResource != "ephemeralcontainers" {
		t.Errorf("the request is %+v", r)
	}
	if r.Result.Rejected || len(r.Result.Refs) != 2 {
		t.Fatalf("found %s, %v", r.Result.Line(), r.Result.Problems)
	}
	ref := r.Result.Refs[1]
	if ref.Class != manifest.ClassEphemeralContainer || ref.Where.Pointer != "/request/object/spec/ephemeralContainers/0/image" ||
		ref.Namespace != "vision" || ref.TemplateLabels["app"] != "x" {
		t.Errorf("found %+v", ref)
	}
	twin, err := manifest.ParseAdmissionReview([]byte(review(podObject, "bad", "good")))
	if err != nil || strings.Contains(twin.Result.Line().String(), "bad") || len(twin.Result.Refs) != 2 {
		t.Errorf("the twin names %v, %v", twin, err)
	}
}

func TestAnAdmissionReviewThatIsNoQuestionIsAnError(t *testing.T) {
	good := review(podObject)
	if _, err := manifest.ParseAdmissionReview([]byte(good)); err != nil {
		t.Fatalf("the twin of all: %v", err)
	}
	for _, tt := range []struct{ name, text, why string }{
		{"nothing", "", "not a JSON object"},
		{"YAML", "apiVersion: admission.k8s.io/v1", "not valid JSON"},
		{"a list", "[]", "not a JSON object"},
		{"more bytes than the limit", good + strings.Repeat(" ", manifest.MaxBytes), "limit is"},
		{"two reviews", good + good, "more than 1 documents"},
		{"bytes that are not UTF-8", review(podObject, "bad/c", "\xff"), "UTF-8"},
		{"a duplicate key", review(podObject, `"uid":"u-1"`, `"uid":"u-1","uid":"u-2"`), "duplicate key"},
		{"a duplicate key in the object", review(podObject, `"name":"c"`, `"name":"c","name":"d"`), "duplicate key"},
		{"a second object under another case", review(podObject, `"dryRun":false`, `"Object":{}`), "only by case"},
		{"a second request under another case", strings.Replace(good, `"request"`, `"Request":{},"request"`, 1), "only by case"},
		{"an old version", review(podObject, "admission.k8s.io/v1", "admission.k8s.io/v1beta1"), "admissionReviewVersions"},
		{"an unknown version", review(podObject, "admission.k8s.io/v1", "admission.k8s.io/v2"), "admissionReviewVersions"},
		{"another kind", review(podObject, `"AdmissionReview"`, `"ConversionReview"`), "instead of"},
		{"no request", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, "no request"},
		{"no uid", review(podObject, `"uid":"u-1",`, ``), "uid"},
		{"an endless uid", review(podObject, "u-1", strings.Repeat("u", 129)), "uid"},
		{"an unknown operation", review(podObject, "CREATE", "PATCH"), "operation"},
		{"a dryRun that is text", review(podObject, `"dryRun":false`, `"dryRun":"no"`), "dryRun"},
		{"no kind", review(podObject, `"kind":{"group":"","version":"v1","kind":"Pod"},`, ``), "request.kind"},
		{"nesting deeper than the limit", review(strings.Repeat(`{"a":`, 120) + "1" + strings.Repeat("}", 120)), "nested deeper"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := manifest.ParseAdmissionReview([]byte(tt.text))
			if err == nil || r != nil || !strings.Contains(err.Error(), tt.why) {
				t.Errorf("read as %v, %v; want %q", r, err, tt.why)
			}
		})
	}
}

func TestAnAdmissionReviewsObjectIsJudgedByItsContent(t *testing.T) {
	configMap := func(body string) string {
		return review(body, `{"group":"","version":"v1","kind":"Pod"}`, `{"group":"","version":"v1","kind":"ConfigMap"}`)
	}
	for _, tt := range []struct {
		name, text string
		rejected   bool
		images     int
	}{
		{"a ConfigMap with the body of a Pod names its images", configMap(`{"apiVersion":"v1","kind":"ConfigMap","spec":{"containers":[{"image":"bad/c"}]}}`), false, 1},
		{"a ConfigMap without one names none", configMap(`{"apiVersion":"v1","kind":"ConfigMap","data":{"x":"y"}}`), false, 0},
		{"an object that leaves out its kind is what the request says", review(`{"spec":{"containers":[{"image":"bad/c"}]}}`), false, 1},
		{"an object of another kind than the request says", configMap(podObject), true, 0},
		{"an object of another version than the request says", review(podObject, `{"apiVersion":"v1","kind":"Pod"`, `{"apiVersion":"v2","kind":"Pod"`), true, 0},
		{"a CREATE without an object", review(`null`), true, 0},
		{"a DELETE without an object", review(`null`, "CREATE", "DELETE"), false, 0},
		{"an object that is text", review(`"x"`), true, 0},
		{"an object with Image for image", review(podObject, `"image":"bad/c"`, `"Image":"bad/c"`), true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := manifest.ParseAdmissionReview([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if r.Result.Rejected != tt.rejected || len(r.Result.Refs) != tt.images {
				t.Errorf("rejected is %v with %s; %v", r.Result.Rejected, r.Result.Line(), fmt.Sprint(r.Result.Problems))
			}
		})
	}
}
