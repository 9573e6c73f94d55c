package admission_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/verdict"
)

func TestEveryPlaceOfAPodIsVerified(t *testing.T) {
	for _, tt := range []struct{ name, object string }{
		{"a container", pod("good"+pinned, "IMAGE"+pinned)},
		{"an init container", `{"apiVersion":"v1","kind":"Pod","metadata":{},"spec":{"initContainers":[{"name":"i","image":"IMAGE` + pinned + `"}],"containers":[{"name":"c","image":"good` + pinned + `"}]}}`},
		{"a native sidecar", `{"apiVersion":"v1","kind":"Pod","metadata":{},"spec":{"initContainers":[{"name":"i","restartPolicy":"Always","image":"IMAGE` + pinned + `"}],"containers":[{"name":"c","image":"good` + pinned + `"}]}}`},
		{"an ephemeral container", `{"apiVersion":"v1","kind":"Pod","metadata":{},"spec":{"containers":[{"name":"c","image":"good` + pinned + `"}],"ephemeralContainers":[{"name":"e","image":"IMAGE` + pinned + `"}]}}`},
		{"an image volume", `{"apiVersion":"v1","kind":"Pod","metadata":{},"spec":{"containers":[{"name":"c","image":"good` + pinned + `"}],"volumes":[{"name":"v","image":{"reference":"IMAGE` + pinned + `"}}]}}`},
		{"the last of sixty containers", pod(append(slices.Repeat([]string{"good" + pinned}, 59), "IMAGE"+pinned)...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDoor(t)
			d.denied(review{object: strings.ReplaceAll(tt.object, "IMAGE", "bad")}, verdict.SignatureMissing)
			d.allowed(review{object: strings.ReplaceAll(tt.object, "IMAGE", "good")})
		})
	}
}

func TestAnEphemeralContainerIsVerifiedWhenItIsAdded(t *testing.T) {
	d := newDoor(t)
	with := func(image string) string {
		return `{"apiVersion":"v1","kind":"Pod","metadata":{},"spec":{"containers":[{"name":"c","image":"old-bad` + pinned + `"}],"ephemeralContainers":[{"name":"e","image":"` + image + pinned + `"}]}}`
	}
	r := review{operation: "UPDATE", sub: "ephemeralcontainers", old: pod("old-bad" + pinned), object: with("bad")}
	r.old = `{"apiVersion":"v1","kind":"Pod","metadata":{},"spec":{"containers":[{"name":"c","image":"old-bad` + pinned + `"}]}}`
	d.denied(r, verdict.SignatureMissing)
	r.object = with("good")
	d.allowed(r)
}

func TestAnUpdateIsVerifiedForWhatItAdds(t *testing.T) {
	before := pod("old-bad" + pinned)
	for _, tt := range []struct {
		name, object string
		denied       bool
	}{
		{"a finalizer is taken off what a newer policy would deny", podWith(`,"finalizers":[]`, "old-bad"+pinned), false},
		{"an image changes", pod("bad" + pinned), true},
		{"a container is added", pod("old-bad"+pinned, "bad"+pinned), true},
		{"a good container is added", pod("old-bad"+pinned, "good"+pinned), false},
		{"the labels change, so that another policy selects it", strings.Replace(before, `"app":"x"`, `"app":"y"`, 1), true},
		{"it is being deleted, and its image changes", podWith(`,"deletionTimestamp":"2026-01-01T00:00:00Z"`, "bad"+pinned), true},
		{"it is being deleted, and nothing changes", podWith(`,"deletionTimestamp":"2026-01-01T00:00:00Z"`, "old-bad"+pinned), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDoor(t)
			r := review{operation: "UPDATE", old: before, object: tt.object}
			if tt.denied {
				d.denied(r, verdict.SignatureMissing)
				return
			}
			d.allowed(r)
		})
	}
}

func TestWhatStartsNothingIsNotAsked(t *testing.T) {
	for _, r := range []review{
		{operation: "DELETE", old: pod("bad" + pinned)},
		{operation: "CONNECT", sub: "exec", object: `{"apiVersion":"v1","kind":"PodExecOptions"}`},
		{operation: "UPDATE", sub: "status", old: pod("x"), object: pod("bad" + pinned)},
		{operation: "UPDATE", sub: "scale", kind: "Scale", group: "autoscaling", object: `{"apiVersion":"autoscaling/v1","kind":"Scale"}`},
	} {
		d := newDoor(t)
		d.allowed(r)
		if d.calls() != 0 {
			t.Errorf("%s %s was verified", r.operation, r.sub)
		}
	}
	d := newDoor(t) // the twin: the same Pod, made
	d.denied(review{object: pod("bad" + pinned)}, verdict.SignatureMissing)
}

func TestAPodThatKeepsATagIsDeniedAndAWorkloadIsNot(t *testing.T) {
	d := newDoor(t)
	d.denied(review{object: pod("good:1.0")}, verdict.AdmissionTag)
	d.allowed(review{object: pod("good:1.0" + pinned)})
	deployment := `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"captioner"},"spec":{"template":{"metadata":{},"spec":{"containers":[{"name":"c","image":"good:1.0"}]}}}}`
	d.allowed(review{group: "apps", kind: "Deployment", object: deployment})
	d.denied(review{group: "apps", kind: "Deployment", object: strings.Replace(deployment, "good", "bad", 1)}, verdict.SignatureMissing)
}

func TestUnselectedIsDeniedWhereTheNamespaceIsMarked(t *testing.T) {
	d := newDoor(t)
	object := pod("unselected" + pinned)
	a := d.allowed(review{namespace: "open", object: object})
	if len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], "no policy") {
		t.Errorf("warnings: %q", a.Warnings)
	}
	d.denied(review{namespace: "strict", object: object}, verdict.Unselected)
	d.denied(review{namespace: "nobody-knows-it", object: object}, verdict.Unselected)
	d.denied(review{namespace: "open", object: pod("unselected"+pinned, "bad"+pinned)}, verdict.SignatureMissing)
}

func TestNoAnnotationOfTheObjectIsBelieved(t *testing.T) {
	d := newDoor(t)
	forged := `,"annotations":{"apexlogic.com/verified":"true","apexlogic.com/pinned-from":"{}","kyverno.io/verify-images":"{\"bad\":\"pass\"}"}`
	d.denied(review{object: podWith(forged, "bad"+pinned)}, verdict.SignatureMissing)
	d.allowed(review{object: podWith(forged, "good"+pinned)})
}

func TestWhatCannotBeReadIsDenied(t *testing.T) {
	for _, tt := range []struct {
		name, object string
		code         verdict.Code
	}{
		{"an empty image", pod(""), verdict.ReferenceUnresolved},
		{"an image that is not a reference", pod("http://x/y"), verdict.ReferenceInvalid},
		{"an image that is a number", `{"apiVersion":"v1","kind":"Pod","metadata":{},"spec":{"containers":[{"name":"c","image":1}]}}`, verdict.ManifestInvalid},
		{"a key that differs by case", `{"apiVersion":"v1","kind":"Pod","metadata":{},"spec":{"Containers":[{"name":"c","image":"bad"}],"containers":[]}}`, verdict.ManifestInvalid},
		{"a Pod under the name of another kind", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{},"spec":{"containers":[{"name":"c","image":"good"}]}}`, verdict.ManifestInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			newDoor(t).denied(review{namespace: "open", object: tt.object}, tt.code)
		})
	}
	newDoor(t).allowed(review{namespace: "open", object: pod("good" + pinned)})
}

func TestADenialNamesEachFailedCheckWithItsMend(t *testing.T) {
	d := newDoor(t)
	a := d.denied(review{object: pod("bad"+pinned, "good"+pinned, "unselected"+pinned)}, verdict.SignatureMissing)
	for _, want := range []string{
		"2 of 3", "container c0", "bad@sha256", "RequireImageSignature", "nobody signed it", "to mend it: Sign it",
		"container c2", string(verdict.Unselected), "id-1", "apex why id-1",
	} {
		if !strings.Contains(a.Status.Message, want) {
			t.Errorf("the message lacks %q:\n%s", want, a.Status.Message)
		}
	}
	if strings.Contains(a.Status.Message, "VulnerabilityScanThreshold") || strings.Contains(a.Status.Message, "container c1") {
		t.Errorf("the message names what passed:\n%s", a.Status.Message)
	}
	if a.Status.Code != 403 || a.Status.Reason != "Forbidden" || a.Status.Details.RetryAfterSeconds != 0 {
		t.Errorf("status %+v", a.Status)
	}
}

func TestADenialStaysShortHoweverMuchIsWrong(t *testing.T) {
	images := make([]string, 500)
	for i := range images {
		images[i] = fmt.Sprintf("bad-%d/%s%s", i, strings.Repeat("x", 100), pinned)
	}
	a := newDoor(t).denied(review{object: pod(images...)}, verdict.SignatureMissing)
	if n := len(a.Status.Message); n > 2048 {
		t.Errorf("%d bytes", n)
	}
	if !strings.Contains(a.Status.Message, "500 of 500") || !strings.Contains(a.Status.Message, " more") || !strings.Contains(a.Status.Message, "apex why id-1") {
		t.Errorf("the message:\n%s", a.Status.Message)
	}
}

func TestWarningsAndExceptionsAreShown(t *testing.T) {
	d := newDoor(t)
	d.say = func(_ context.Context, q verdict.Question) verdict.Verdict {
		return verdict.Verdict{Decision: verdict.Warn, Cached: true, Checks: []verdict.Check{
			{Rule: "RequireSBOM", Code: verdict.SBOMMissing, Outcome: verdict.Fail, Action: verdict.ActionWarn},
			{Rule: "RequireImageSignature", Code: verdict.SignatureMissing, Outcome: verdict.Fail, Exception: "until-friday"},
			{Rule: "Expression", Code: verdict.ExpressionFalse, Outcome: verdict.Fail, Action: verdict.ActionAudit},
			{Rule: "RequireProvenance", Code: verdict.ProvenanceMissing, Outcome: verdict.Fail, Observed: true},
		}}
	}
	a := d.allowed(review{object: pod("app" + pinned)})
	if len(a.Warnings) != 2 || !strings.Contains(a.Warnings[0], "RequireSBOM") || !strings.Contains(a.Warnings[1], "until-friday") {
		t.Errorf("warnings: %q", a.Warnings)
	}
	if a.AuditAnnotations["exceptions"] != "until-friday" || a.AuditAnnotations["generation"] != "g1" ||
		a.AuditAnnotations["verdicts"] != "id-1" || a.AuditAnnotations["cached"] != "true" {
		t.Errorf("audit annotations: %q", a.AuditAnnotations)
	}
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf("app-%d%s", i, pinned)
	}
	a = d.allowed(review{object: pod(many...)})
	if len(a.Warnings) != 5 {
		t.Errorf("%d warnings", len(a.Warnings))
	}
	for _, w := range a.Warnings {
		if len(w) > 240 {
			t.Errorf("a warning of %d bytes", len(w))
		}
	}
}

func TestADryRunSaysSoToWhoeverRecords(t *testing.T) {
	d := newDoor(t)
	d.allowed(review{object: pod("good" + pinned), dryRun: true})
	d.allowed(review{object: pod("good" + pinned)})
	if !admission.DryRun(d.contexts[0]) || admission.DryRun(d.contexts[1]) {
		t.Error("the verifier does not know which request is a dry run")
	}
}

func TestAPolicyIsValidatedAsByLint(t *testing.T) {
	policy := `{"apiVersion":"security.apexlogic.com/v1alpha1","kind":"ImageSecurityPolicy","metadata":{"name":"p","uid":"1","managedFields":[],"creationTimestamp":null},"spec":{"imageSelector":{},"rules":[{"name":"RequireImageSignature","action":"ACTION","parameters":{"requireSignatureFrom":["k"]}}]},"status":{"x":1}}`
	d := newDoor(t)
	r := review{group: "security.apexlogic.com", version: "v1alpha1", kind: "ImageSecurityPolicy", object: strings.Replace(policy, "ACTION", "Denny", 1)}
	a := d.denied(r, verdict.PolicyInvalid)
	if !strings.Contains(a.Status.Message, `spec.rules[0].action: "Denny" is not one of`) || !strings.Contains(a.Status.Message, "did you mean Deny?") || a.Status.Code != 422 {
		t.Errorf("status %+v", a.Status)
	}
	r.object = strings.Replace(policy, "ACTION", "Deny", 1)
	d.allowed(r)
	if d.calls() != 0 {
		t.Error("a policy was verified like an image")
	}
}
