package admission_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/verdict"
)

const digest = verdict.Digest("sha256:5555555555555555555555555555555555555555555555555555555555555555")

// pinning resolves every tag but those of images with "gone" in their name, and
// leaves those with "other" alone.
func pinning(o *admission.Options) {
	o.Resolve = func(_ context.Context, q verdict.Question) (verdict.Digest, error) {
		switch {
		case strings.Contains(q.Asked, "gone"):
			return "", errors.New("no such image")
		case strings.Contains(q.Asked, "other"):
			return "", nil
		}
		return digest, nil
	}
}

type patchOperation struct {
	Op, Path string
	Value    any
}

// mutated returns the operations and the object after them. It knows what our
// patches use.
func (d *door) mutated(r review) ([]patchOperation, string) {
	d.t.Helper()
	a := d.post(admission.PathMutate, r)
	if !a.Allowed {
		d.t.Fatalf("denied: %s", a.Status.Message)
	}
	if a.Patch == nil {
		return nil, r.object
	}
	var all []patchOperation
	if err := json.Unmarshal(a.Patch, &all); err != nil || a.PatchType != "JSONPatch" {
		d.t.Fatalf("%v %s: %s", err, a.PatchType, a.Patch)
	}
	var object any
	if err := json.Unmarshal([]byte(r.object), &object); err != nil {
		d.t.Fatal(err)
	}
	for _, o := range all {
		at := object
		steps := strings.Split(o.Path[1:], "/")
		for i, step := range steps {
			step = strings.ReplaceAll(step, "~1", "/")
			last := i == len(steps)-1
			switch in := at.(type) {
			case map[string]any:
				if !last {
					at = in[step]
					continue
				}
				if o.Op == "test" && in[step] != o.Value {
					d.t.Fatalf("%s is %v and the patch expects %v", o.Path, in[step], o.Value)
				}
				if o.Op != "test" {
					in[step] = o.Value
				}
			case []any:
				var n int
				if _, err := fmt.Sscan(step, &n); err != nil {
					d.t.Fatal(err)
				}
				at = in[n]
			default:
				d.t.Fatalf("%s leads nowhere", o.Path)
			}
		}
	}
	after, err := json.Marshal(object)
	if err != nil {
		d.t.Fatal(err)
	}
	return all, string(after)
}

func TestTagsArePinnedAndPinningAgainChangesNothing(t *testing.T) {
	d := newDoor(t, pinning)
	object := podWith(`,"annotations":{"a/b":"c"}`, "registry:5000/team/app:1.0", "nginx", "fixed"+pinned, "other:2", "gone:3")
	_, after := d.mutated(review{object: object})
	for _, want := range []string{
		`"registry:5000/team/app@` + string(digest) + `"`, `"nginx@` + string(digest) + `"`, `"fixed` + pinned + `"`, `"other:2"`, `"gone:3"`,
		`"a/b":"c"`, `"apexlogic.com/pinned-from":"{\"nginx@` + string(digest) + `\":\"nginx\",\"registry:5000/team/app@` + string(digest) + `\":\"registry:5000/team/app:1.0\"}"`,
	} {
		if !strings.Contains(after, want) {
			t.Errorf("it lacks %s:\n%s", want, after)
		}
	}
	if patch, _ := d.mutated(review{object: after}); patch != nil {
		t.Errorf("a second pass changes it: %v", patch)
	}
}

func TestASidecarThatComesBetweenThePassesIsPinnedToo(t *testing.T) {
	d := newDoor(t, pinning)
	_, first := d.mutated(review{object: pod("app:1")})
	injected := strings.Replace(first, `"spec":{"containers":[`, `"spec":{"containers":[{"name":"mesh","image":"mesh:7"},`, 1)
	if injected == first {
		t.Fatal("nothing was injected")
	}
	_, second := d.mutated(review{object: injected})
	if !strings.Contains(second, "mesh@"+string(digest)) || !strings.Contains(second, `\"app:1\"`) || !strings.Contains(second, `\"mesh:7\"`) {
		t.Errorf("after the second pass:\n%s", second)
	}
	d.denied(review{object: injected}, verdict.AdmissionTag)
	d.allowed(review{object: second})
}

func TestEveryPlaceThatRunsAnImageIsPinned(t *testing.T) {
	d := newDoor(t, pinning)
	object := `{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"c"},"spec":{"jobTemplate":{"spec":{"template":{"spec":{` +
		`"initContainers":[{"name":"i","image":"init:1"}],"containers":[{"name":"c","image":"main:1"}],"volumes":[{"name":"v","image":{"reference":"volume:1"}}]}}}}}}`
	_, after := d.mutated(review{group: "batch", kind: "CronJob", object: object})
	for _, name := range []string{"init", "main", "volume"} {
		if !strings.Contains(after, name+"@"+string(digest)) {
			t.Errorf("%s is not pinned:\n%s", name, after)
		}
	}
}

func TestWhatIsNotOursToRewriteStays(t *testing.T) {
	d := newDoor(t, pinning)
	for _, tt := range []struct {
		name string
		r    review
	}{
		{"a Pod within a ConfigMap's text", review{kind: "ConfigMap", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{},"data":{"pod.yaml":"apiVersion: v1\nkind: Pod\nspec: {containers: [{name: c, image: app:1}]}"}}`}},
		{"a model", review{group: "serving.kserve.io", version: "v1beta1", kind: "InferenceService", object: `{"apiVersion":"serving.kserve.io/v1beta1","kind":"InferenceService","metadata":{},"spec":{"predictor":{"model":{"storageUri":"oci://registry/model:1"}}}}`}},
		{"a deletion", review{operation: "DELETE", old: pod("app:1")}},
		{"an object that cannot be read", review{object: pod("http://x/y")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if patch, _ := d.mutated(tt.r); patch != nil {
				t.Errorf("it was changed: %v", patch)
			}
		})
	}
	if patch, _ := newDoor(t).mutated(review{object: pod("app:1")}); patch != nil {
		t.Error("pinned without a resolver")
	}
}

func TestAForgedAnnotationOfPinsIsReplaced(t *testing.T) {
	d := newDoor(t, pinning)
	_, after := d.mutated(review{object: podWith(`,"annotations":{"apexlogic.com/pinned-from":"[1]"}`, "app:1")})
	if strings.Contains(after, "[1]") || !strings.Contains(after, `\"app:1\"`) {
		t.Errorf("after the pass:\n%s", after)
	}
}

func TestAGuardedObjectIsWrittenByItsOwnersOnly(t *testing.T) {
	g := &admission.Guarded{
		Label: "apexlogic.com/source", Denies: func(source string) bool { return source == "prod" },
		Users: []string{"system:serviceaccount:apex-system:apex"}, Groups: admission.ControllerGroups(),
	}
	d := newDoor(t, func(o *admission.Options) { o.Guard = g.Check })
	labelled := func(source string) string {
		return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","labels":{"apexlogic.com/source":"` + source + `"}},"data":{}}`
	}
	bare := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"b"}}`
	for _, tt := range []struct {
		name  string
		r     review
		allow bool
	}{
		{"a person changes it", review{operation: "UPDATE", old: labelled("prod"), object: labelled("prod")}, false},
		{"a person takes its label off", review{operation: "UPDATE", old: labelled("prod"), object: bare}, false},
		{"a person deletes it", review{operation: "DELETE", old: labelled("prod")}, false},
		{"a person makes one", review{operation: "CREATE", object: labelled("prod")}, false},
		{"a person changes one of a source that heals", review{operation: "UPDATE", old: labelled("dev"), object: labelled("dev")}, true},
		{"a person moves one into the source", review{operation: "UPDATE", old: labelled("dev"), object: labelled("prod")}, false},
		{"a person changes what nobody watches over", review{operation: "UPDATE", old: bare, object: bare}, true},
		{"Apex changes it", review{operation: "UPDATE", old: labelled("prod"), object: labelled("prod"), user: "system:serviceaccount:apex-system:apex"}, true},
		{"a name that begins like Apex's", review{operation: "UPDATE", old: labelled("prod"), object: labelled("prod"), user: "system:serviceaccount:apex-system:apex2"}, false},
		{"the garbage collector deletes it", review{operation: "DELETE", old: labelled("prod"), user: "system:serviceaccount:kube-system:generic-garbage-collector", groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system"}}, true},
		{"a controller writes its status", review{operation: "UPDATE", sub: "status", old: labelled("prod"), object: labelled("prod")}, true},
		{"its labels cannot be read", review{operation: "UPDATE", old: `{"metadata":{"labels":[1]}}`, object: bare}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.r.kind = "ConfigMap"
			a := d.post(admission.PathGuard, tt.r)
			if a.Allowed != tt.allow {
				t.Errorf("allowed %t: %s", a.Allowed, a.Status.Message)
			}
			if !a.Allowed && a.AuditAnnotations["code"] != string(verdict.AdmissionGuarded) {
				t.Errorf("audit annotations %q", a.AuditAnnotations)
			}
		})
	}
	if a := newDoor(t).post(admission.PathGuard, review{kind: "ConfigMap", operation: "DELETE", old: labelled("prod")}); !a.Allowed {
		t.Error("denied without a guard")
	}
}

func TestAGuardedObjectIsLockedWhereItsSourceSaysSo(t *testing.T) {
	object := func(source, replicas, image string) string {
		return `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"captioner","namespace":"strict","labels":{"apexlogic.com/source":"` + source + `"}},"spec":{"replicas":` + replicas + `,"image":"` + image + `"}}`
	}
	g := &admission.Guarded{
		Label: "apexlogic.com/source", Users: []string{"apex"},
		Denies: func(string) bool { t.Error("the source's mode is asked for"); return true },
		Denied: func(source string, w admission.Write) (places []string) {
			if source != "prod" {
				return nil
			}
			if w.Group != "apps" || w.Version != "v1" || w.Kind != "Deployment" || w.Namespace != "strict" || w.Name != "captioner" {
				t.Errorf("asked about %+v", w)
			}
			if w.Before == nil || w.After == nil {
				return []string{""}
			}
			before, after := w.Before["spec"].(map[string]any), w.After["spec"].(map[string]any)
			if _, ok := before["replicas"].(int64); !ok {
				t.Errorf("replicas is a %T", before["replicas"])
			}
			if before["image"] != after["image"] { // the replicas are others' to write
				places = append(places, "/spec/image")
			}
			return places
		},
	}
	d := newDoor(t, func(o *admission.Options) { o.Guard = g.Check })
	for _, tt := range []struct {
		name string
		r    review
		why  string // "": it is allowed
	}{
		{"the locked field", review{operation: "UPDATE", old: object("prod", "1", "a"), object: object("prod", "1", "b")}, "/spec/image"},
		{"a field that is not locked", review{operation: "UPDATE", old: object("prod", "1", "a"), object: object("prod", "2", "a")}, ""},
		{"both", review{operation: "UPDATE", old: object("prod", "1", "a"), object: object("prod", "2", "b")}, "/spec/image"},
		{"the locked field, while the label is taken off", review{operation: "UPDATE", old: object("prod", "1", "a"), object: object("", "1", "b")}, "/spec/image"},
		{"the locked field, while the label is put on", review{operation: "UPDATE", old: object("dev", "1", "a"), object: object("prod", "1", "b")}, "/spec/image"},
		{"the field of another source", review{operation: "UPDATE", old: object("dev", "1", "a"), object: object("dev", "1", "b")}, ""},
		{"a deletion", review{operation: "DELETE", old: object("prod", "1", "a")}, "write it"},
		{"a deletion by Apex", review{operation: "DELETE", old: object("prod", "1", "a"), user: "apex"}, ""},
		{"an object without labels that are a map", review{operation: "UPDATE", old: `{"metadata":{"labels":[]}}`, object: object("dev", "1", "a")}, "cannot be read"},
		{"a label that is a number", review{operation: "UPDATE", old: `{"metadata":{"labels":{"apexlogic.com/source":1}}}`, object: object("dev", "1", "a")}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.r.group, tt.r.kind, tt.r.namespace = "apps", "Deployment", "strict"
			a := d.post(admission.PathGuard, tt.r)
			if a.Allowed != (tt.why == "") || !strings.Contains(a.Status.Message, tt.why) {
				t.Errorf("allowed %t: %s", a.Allowed, a.Status.Message)
			}
		})
	}
}

func TestAGuardedSourceIsWrittenByApexAndItsChildrenByTheirControllers(t *testing.T) {
	object := func(source, owners string) string {
		return `{"apiVersion":"serving.knative.dev/v1","kind":"Configuration","metadata":{"name":"captioner","labels":{"apexlogic.com/source":"` + source + `"},"ownerReferences":[` + owners + `]}}`
	}
	const (
		owned    = `{"apiVersion":"serving.knative.dev/v1","kind":"Service","name":"captioner","uid":"1","controller":true}`
		related  = `{"apiVersion":"serving.knative.dev/v1","kind":"Service","name":"captioner","uid":"1"}`
		deployer = "system:serviceaccount:vision:deployer"
		knative  = "system:serviceaccount:knative-serving:controller"
	)
	g := &admission.Guarded{
		Label: "apexlogic.com/source", Denies: func(string) bool { return true },
		Writers: func(source string) []string {
			if source == "vision" {
				return []string{deployer}
			}
			return nil
		},
	}
	d := newDoor(t, func(o *admission.Options) { o.Guard = g.Check })
	for _, tt := range []struct {
		name  string
		r     review
		allow bool
	}{
		{"Apex as the source's account", review{operation: "UPDATE", old: object("vision", ""), object: object("vision", ""), user: deployer}, true},
		{"Apex as the account, and it makes one", review{operation: "CREATE", object: object("vision", ""), user: deployer}, true},
		{"Apex as the account, and it deletes one", review{operation: "DELETE", old: object("vision", ""), user: deployer}, true},
		{"the account of another source", review{operation: "UPDATE", old: object("prod", ""), object: object("prod", ""), user: deployer}, false},
		{"the account, which takes an object of another source", review{operation: "UPDATE", old: object("prod", ""), object: object("vision", ""), user: deployer}, false},
		{"the account, which gives one to another source", review{operation: "UPDATE", old: object("vision", ""), object: object("prod", ""), user: deployer}, false},
		{"Knative makes a child", review{operation: "CREATE", object: object("vision", owned), user: knative}, true},
		{"Knative changes a child", review{operation: "UPDATE", old: object("vision", owned), object: object("vision", owned), user: knative}, true},
		{"Knative changes what is only related", review{operation: "UPDATE", old: object("vision", related), object: object("vision", related), user: knative}, false},
		{"a person makes a guarded object a child", review{operation: "UPDATE", old: object("vision", ""), object: object("vision", owned)}, false},
		{"a person deletes a guarded object", review{operation: "DELETE", old: object("vision", "")}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.r.group, tt.r.kind = "serving.knative.dev", "Configuration"
			if a := d.post(admission.PathGuard, tt.r); a.Allowed != tt.allow {
				t.Errorf("allowed %t: %s", a.Allowed, a.Status.Message)
			}
		})
	}
}
