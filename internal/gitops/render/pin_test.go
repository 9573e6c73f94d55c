package render_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// every is a file with a reference in each kind of place.
const every = `apiVersion: v1
kind: Pod
metadata: {name: p, annotations: {note: x}}
spec:
  initContainers: [{name: i, image: nginx}]
  containers: [{name: c, image: "ghcr.io/a/b:1"}, {name: d, image: "ghcr.io/a/b:1"}, {name: e, image: "ghcr.io/a/b:2@sha256:0000000000000000000000000000000000000000000000000000000000000000"}]
  volumes: [{name: v, image: {reference: "quay.io/a/data:3"}}]
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: k}
spec: {template: {spec: {containers: [{image: "ghcr.io/a/b:1"}]}}}
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: m}
spec: {predictor: {model: {modelFormat: {name: onnx}, storageUri: "oci://ghcr.io/a/model:v1"}}}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
spec: {workers: [{containers: [{name: x, image: "ghcr.io/a/b:1"}]}]}
---
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: f}
spec: {templates: [{name: t, container: {image: alpine:3}}]}
`

// at returns the text that a pointer leads to in the object of a set.
func at(t *testing.T, s *gitops.Set, id, pointer string) string {
	t.Helper()
	for _, o := range s.Objects() {
		if o.ID.String() != id {
			continue
		}
		var v any = o.Body
		for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
			if m, ok := v.(map[string]any); ok {
				v = m[strings.ReplaceAll(part, "~1", "/")]
			} else {
				v = v.([]any)[part[0]-'0']
			}
		}
		text, _ := v.(string)
		return text
	}
	t.Fatalf("no %s in %s", id, ids(s))
	return ""
}

func TestEveryKnownPlaceIsPinned(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	o := options
	o.Resolve = func(ctx context.Context, ref reference.Reference) (verdict.Digest, error) {
		mu.Lock()
		asked[ref.Canonical()]++
		mu.Unlock()
		return resolve(ctx, ref)
	}
	set := must(t, map[string]string{"f.yaml": every}, ".", o)
	for _, tc := range []struct{ id, pointer, want string }{
		{"Pod vision/p", "/spec/initContainers/0/image", "docker.io/library/nginx@" + string(digestFor("docker.io/library/nginx:latest"))},
		{"Pod vision/p", "/spec/containers/0/image", "ghcr.io/a/b@" + string(digestFor("ghcr.io/a/b:1"))},
		{"Pod vision/p", "/spec/containers/1/image", "ghcr.io/a/b@" + string(digestFor("ghcr.io/a/b:1"))},
		{"Pod vision/p", "/spec/containers/2/image", "ghcr.io/a/b:2@sha256:" + strings.Repeat("0", 64)}, // as it was: nothing can change it
		{"Pod vision/p", "/spec/volumes/0/image/reference", "quay.io/a/data@" + string(digestFor("quay.io/a/data:3"))},
		{"Service.serving.knative.dev vision/k", "/spec/template/spec/containers/0/image", "ghcr.io/a/b@" + string(digestFor("ghcr.io/a/b:1"))},
		{"InferenceService.serving.kserve.io vision/m", "/spec/predictor/model/storageUri", "oci://ghcr.io/a/model@" + string(digestFor("ghcr.io/a/model:v1"))},
		{"Widget.example.com vision/w", "/spec/workers/0/containers/0/image", "ghcr.io/a/b@" + string(digestFor("ghcr.io/a/b:1"))},
		{"Workflow.argoproj.io vision/f", "/spec/templates/0/container/image", "docker.io/library/alpine@" + string(digestFor("docker.io/library/alpine:3"))},
	} {
		if got := at(t, set, tc.id, tc.pointer); got != tc.want {
			t.Errorf("%s %s is %s, want %s", tc.id, tc.pointer, got, tc.want)
		}
	}
	var tags map[string]verdict.Digest
	if err := json.Unmarshal([]byte(at(t, set, "Pod vision/p", "/metadata/annotations/apexlogic.com~1tags")), &tags); err != nil {
		t.Fatal(err)
	}
	if len(tags) != 3 || tags["ghcr.io/a/b:1"] != digestFor("ghcr.io/a/b:1") || at(t, set, "Pod vision/p", "/metadata/annotations/note") != "x" {
		t.Errorf("the note of tags is %v", tags)
	}
	for ref, n := range asked {
		if n != 1 {
			t.Errorf("%s is resolved %d times", ref, n)
		}
	}
	// What the gate finds in the set is what was found before, all pinned.
	refs, refused := render.References(set)
	if len(refused) > 0 || len(refs) != 9 {
		t.Errorf("%d references, refused %v", len(refs), refused)
	}
	for _, ref := range refs {
		if ref.Reference.Digest == "" || ref.Where.File != "f.yaml" || ref.Where.Line == 0 || ref.Where.Object == "" {
			t.Errorf("got %+v", ref)
		}
	}
	// A set is rendered from its own output without asking anybody.
	o.Resolve = nil
	if err := render.Check(set, o); err != nil {
		t.Error(err)
	}
}

func TestTheGateAndTheRendererSeeTheSame(t *testing.T) {
	before := manifest.Extract("f.yaml", []byte(every), manifest.Limits{})
	refs, _ := render.References(must(t, map[string]string{"f.yaml": every}, ".", options))
	names := func(refs []manifest.Ref) map[string]int {
		out := map[string]int{}
		for _, r := range refs {
			out[r.Class.String()+" "+r.Reference.Name()+" "+r.Where.Object]++
		}
		return out
	}
	was, is := names(before.Refs), names(refs)
	if len(was) != len(is) || len(before.Unresolved) > 0 {
		t.Errorf("before %v, afterwards %v", was, is)
	}
}

func TestReferencesThatCannotBePinnedAreRefused(t *testing.T) {
	workload := func(container string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n    image: nginx\n" + container
	}
	pinned := "@" + string(digestFor("x"))
	for name, tc := range map[string]struct {
		text, twin string
		code       verdict.Code
		why        string
		line       int
	}{
		"in an argument":         {workload("    args: [\"--sidecar=quay.io/a/b:1\"]\n"), workload("    args: [\"--sidecar=quay.io/a/b" + pinned + "\"]\n"), verdict.ReferenceUnknown, "with its digest", 8},
		"in a variable":          {workload("    env: [{name: WORKER_IMAGE, value: \"quay.io/a/b:1\"}]\n"), workload("    env: [{name: WORKER_IMAGE, value: \"quay.io/a/b" + pinned + "\"}]\n"), verdict.ReferenceUnknown, "with its digest", 8},
		"a model in an argument": {workload("    args: [\"--model=oci://ghcr.io/a/m:1\"]\n"), workload("    args: [\"--model=oci://ghcr.io/a/m" + pinned + "\"]\n"), verdict.ReferenceUnresolved, "longer text", 8},
		"an image in parts": {"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {image: {repository: quay.io/a/b, tag: \"1\"}}\n",
			"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {image: {repository: quay.io/a/b, digest: \"" + pinned[1:] + "\"}}\n", verdict.ReferenceUnknown, "with its digest", 4},
		"settings of Ray in text": {"apiVersion: ray.io/v1\nkind: RayService\nmetadata: {name: r}\nspec:\n  serveConfigV2: |\n    applications: [{runtime_env: {container: {image: \"quay.io/a/b:1\"}}}]\n",
			"apiVersion: ray.io/v1\nkind: RayService\nmetadata: {name: r}\nspec:\n  serveConfigV2: |\n    applications: [{runtime_env: {container: {image: \"quay.io/a/b" + pinned + "\"}}}]\n", verdict.ReferenceUnresolved, "longer text", 5},
	} {
		t.Run(name, func(t *testing.T) {
			r := refusal(t, map[string]string{"f.yaml": tc.text}, ".", options)[0]
			if r.Code != tc.code || !strings.Contains(r.Why, tc.why) || r.Where.Line != tc.line {
				t.Errorf("got %s at %v: %s", r.Code, r.Where, r.Why)
			}
			must(t, map[string]string{"f.yaml": tc.twin}, ".", options)
		})
	}
}

func TestTheRegistrysReasonIsKept(t *testing.T) {
	o := options
	o.Resolve = func(context.Context, reference.Reference) (verdict.Digest, error) {
		return "", &oci.Error{Code: verdict.RegistryUnauthorized, Op: "resolve", Ref: "x", Err: errGone}
	}
	if r := refusal(t, map[string]string{"f.yaml": deployment}, ".", o)[0]; r.Code != verdict.RegistryUnauthorized || r.Where.Line != 12 {
		t.Errorf("got %s at %v", r.Code, r.Where)
	}
	o.Resolve = nil
	if r := refusal(t, map[string]string{"f.yaml": deployment}, ".", o)[0]; r.Code != verdict.ReferenceUnresolved {
		t.Errorf("got %s", r.Code)
	}
	o.Resolve = func(context.Context, reference.Reference) (verdict.Digest, error) { return "latest", nil }
	if r := refusal(t, map[string]string{"f.yaml": deployment}, ".", o)[0]; r.Code != verdict.ReferenceUnresolved {
		t.Errorf("an answer that is no digest is %s", r.Code)
	}
}

func TestRenderingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := options
	o.Resolve = func(context.Context, reference.Reference) (verdict.Digest, error) {
		cancel()
		return "", ctx.Err()
	}
	for range 2 { // in the middle, and from the beginning
		if _, err := render.Render(ctx, tree(map[string]string{"f.yaml": deployment}), ".", o); err != context.Canceled {
			t.Errorf("got %v", err)
		}
	}
}
