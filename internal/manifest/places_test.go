package manifest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

// asked wraps the object into a review, as an API server does.
func asked(kind GroupVersionKind, namespace, object string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","kind":{"group":%q,"version":%q,"kind":%q},"namespace":%q,"operation":"CREATE","object":%s}}`,
		kind.Group, kind.Version, kind.Kind, namespace, object)
}

// same fails the test when both readers answer and their answers differ in more
// than lines and columns. It returns whether Places answered.
func same(t *testing.T, kind GroupVersionKind, object string) bool {
	t.Helper()
	got, ok := Places(kind, "team", []byte(object))
	if !ok {
		return false
	}
	review, err := ParseAdmissionReview(asked(kind, "team", object))
	if err != nil {
		t.Fatalf("Places reads what is no object: %v\n%s", err, object)
	}
	want := review.Result
	for _, r := range []*Result{&got, &want} {
		for i := range r.Refs {
			r.Refs[i].Where.Line, r.Refs[i].Where.Column = 0, 0
		}
		for i := range r.Unresolved {
			r.Unresolved[i].Where.Line, r.Unresolved[i].Where.Column = 0, 0
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("Places finds\n%+v\nand ParseAdmissionReview\n%+v\nin %s", got, want, object)
	}
	return true
}

var (
	podKind        = GroupVersionKind{Version: "v1", Kind: "Pod"}
	deploymentKind = GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	serviceKind    = GroupVersionKind{Group: "serving.knative.dev", Version: "v1", Kind: "Service"}
	inferenceKind  = GroupVersionKind{Group: "serving.kserve.io", Version: "v1beta1", Kind: "InferenceService"}
	unknownKind    = GroupVersionKind{Group: "example.org", Version: "v1", Kind: "Widget"}
	workflowKind   = GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Workflow"}
	fuzzKinds      = []GroupVersionKind{podKind, deploymentKind, serviceKind, inferenceKind, unknownKind, workflowKind, {Version: "v1", Kind: "ConfigMap"}}
)

// onePod is what both readers are tried on; a test puts something at MARK.
func onePod(extra string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","uid":"1","labels":{"app":"x","priority":"high"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"2","controller":true}]},` +
		`"spec":{"containers":[{"name":"c","image":"ghcr.io/a/b:1","args":["--model=hf://a/b"],"env":[{"name":"MODEL_ID","value":"a/b"}],"ports":[{"name":"http","containerPort":8080}],` +
		`"livenessProbe":{"httpGet":{"path":"/healthz","port":"http"},"exec":{"command":["a","b"]}},"resources":{"limits":{"cpu":"1","memory":"1Gi","nvidia.com/gpu":"1"}}}],` +
		`"tolerations":[{"key":"a/b","operator":"Exists"}],"restartPolicy":"Always","priority":0` + extra + `}}`
}

func TestPlacesFindsWhatTheOtherReaderFinds(t *testing.T) {
	for _, tt := range []struct {
		name, extra string
		unusual     bool
	}{
		{name: "a Pod", extra: ``},
		{name: "an image volume", extra: `,"volumes":[{"name":"v","image":{"reference":"ghcr.io/a/v:1","pullPolicy":"Always"}}]`},
		{name: "a projected volume", extra: `,"volumes":[{"name":"v","projected":{"defaultMode":420,"sources":[{"serviceAccountToken":{"path":"token"}},{"downwardAPI":{"items":[{"path":"n","fieldRef":{"apiVersion":"v1","fieldPath":"metadata.namespace"}}]}}]}}]`},
		{name: "an image in a probe", extra: `,"readinessProbe":{"exec":{"command":["ghcr.io/a/hidden:1"]}}`},
		{name: "a command in a probe", extra: `,"readinessProbe":{"exec":{"command":["docker","run","ghcr.io/a/hidden:1"]}}`},
		{name: "a variable in an owner", extra: `,"ownerReferences":[{"name":"MODEL","value":"0/"}]`},
		{name: "a variable in a header", extra: `,"readinessProbe":{"httpGet":{"httpHeaders":[{"name":"MODEL_ID","value":"a/b"}]}}`},
		{name: "what is no variable, for it has too many fields", extra: `,"x":{"name":"MODEL","value":"0/","hostname":"a","priority":1,"uid":"b"}`, unusual: true},
		{name: "an image in a field of a probe", extra: `,"readinessProbe":{"image":"hidden"}`},
		{name: "containers in a toleration", extra: `,"affinity":{"containers":[{"name":"c","image":"hidden:1"}]}`},
		{name: "containers in a list of lists", extra: `,"overhead":[[{"containers":[{"image":"hidden:1"}]}]]`},
		{name: "a pod below a selector", extra: `,"selector":{"spec":{"containers":[{"image":"hidden:1"}]}}`},
		{name: "a model's address in an annotation of a probe", extra: `,"startupProbe":{"httpGet":{"host":"hf://a/b"}}`},
		{name: "a digest without a tag", extra: `,"lifecycle":{"postStart":{"exec":{"command":["ghcr.io/a/b@sha256:4444444444444444444444444444444444444444444444444444444444444444"]}}}`},
		{name: "escapes that hide a slash", extra: `,"nodeName":"ghcr.io\u002fa\/b:1"`},
		{name: "escapes that hide a name", extra: `,"im\u0061ge":"hidden:1"`, unusual: true},
		{name: "a key twice", extra: `,"restartPolicy":"Never"`, unusual: true},
		{name: "a key twice below a probe", extra: `,"readinessProbe":{"path":"a","path":"b"}`, unusual: true},
		{name: "another case", extra: `,"Containers":[]`, unusual: true},
		{name: "another case below a probe", extra: `,"readinessProbe":{"Image":"a/b:1"}`, unusual: true},
		{name: "managed fields that are not the API server's", extra: `,"managedFields":[{"containers":[{"name":"c","image":"ghcr.io/a/hidden:1"}]}]`},
		{name: "an object within", extra: `,"x":{"apiVersion":"apps/v1","kind":"Deployment","metadata":{},"spec":{"template":{"spec":{"containers":[{"image":"hidden:1"}]}}}}`, unusual: true},
		{name: "a merge key", extra: `,"readinessProbe":{"<<":{"image":"a"}}`, unusual: true},
		{name: "a number that is none", extra: `,"hostname":01`, unusual: true},
		{name: "a word that is none", extra: `,"hostname":nul`, unusual: true},
		{name: "a comma too many", extra: `,"tty":[1,]`, unusual: true},
		{name: "a bracket of the other sort", extra: `,"tty":[1}`, unusual: true},
		{name: "bytes that are not UTF-8", extra: ",\"tty\":\"\xff\"", unusual: true},
		{name: "a line break in text", extra: ",\"tty\":\"a\nb\"", unusual: true},
		{name: "deep nesting", extra: `,"tty":` + strings.Repeat("[", 90) + strings.Repeat("]", 90), unusual: true},
		{name: "many fields", extra: manyFields(200), unusual: true},
		{name: "an image that is a number", extra: `,"initContainers":[{"name":"i","image":1}]`, unusual: true},
		{name: "a null container", extra: `,"initContainers":[null]`, unusual: true},
		{name: "a container without an image", extra: `,"initContainers":[{"name":"i"}]`},
		{name: "white space", extra: " ,\n\t\"tty\" : [ true , { \"name\" : null } ] "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if answered := same(t, podKind, onePod(tt.extra)); answered == tt.unusual {
				t.Errorf("Places answered: %t", answered)
			}
		})
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"f%d":1`, i)
	}
	return b.String()
}

func TestPlacesLeavesManagedFieldsOutOfTheMetadataOnly(t *testing.T) {
	object := func(metadata, spec string) string {
		return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"` + metadata + `},"spec":{"containers":[{"name":"c","image":"a/b:1"}]` + spec + `}}`
	}
	fields := `,"managedFields":[{"manager":"m","fieldsV1":{"f:spec":{"f:containers":{"image":"ghcr.io/a/hidden:1"}}}}]`
	count := func(object string) int {
		res, ok := Places(podKind, "team", []byte(object))
		if !ok {
			t.Fatal("it is not read")
		}
		return len(res.Refs)
	}
	if n := count(object(fields, "")); n != 1 {
		t.Errorf("%d references with managed fields", n)
	}
	if n := count(object("", fields)); n != 2 {
		t.Errorf("%d references with what only has their name", n)
	}
	if _, ok := Places(podKind, "team", []byte(object(strings.ReplaceAll(fields, `"f:spec"`, `"k:{\"name\":\"c\"}"`), ""))); !ok {
		t.Error("the API server's own keys are not read")
	}
}

func TestPlacesRefusesWhatIsOfAnotherKind(t *testing.T) {
	if _, ok := Places(deploymentKind, "team", []byte(onePod(""))); ok {
		t.Error("a Pod is read as a Deployment")
	}
	if res, ok := Places(podKind, "team", []byte(onePod(""))); !ok || res.Refs[0].Namespace != "team" || res.Refs[0].TemplateLabels["priority"] != "high" {
		t.Errorf("the twin: %+v, %t", res, ok)
	}
}

// Whatever a reader of a role, the table, or another function of this package
// asks for by its name must not be left out of the tree.
func TestNoFieldThatMeansSomethingIsLeftOutOfTheTree(t *testing.T) {
	means := map[string]bool{}
	for r := range roleCount {
		for _, f := range r.declare() {
			means[f.name] = true
		}
	}
	for _, name := range []string{
		"image", "containers", "initContainers", "ephemeralContainers", "apiVersion", "kind", "metadata", "spec", "items", "labels", "namespace", "name", "generateName",
		"volumes", "reference", "env", "command", "args", "script", "source", "cmd", "entrypoint", "value", "chart", "chartName", "url", "git", "ref", "branch", "revision", "repoURL", "sourceRef", "chartRef", "valueFrom", "annotations", "status",
		"newName", "repository", "repo", "newTag", "tag", "version", "digest", "sha", "registry", "hub",
		"storageUri", "path", "parameters", "type", "bucket",
	} {
		means[name] = true
	}
	for head := range strings.FieldsSeq(placesHeads) {
		for name := range means {
			if strings.EqualFold(head, name) {
				t.Errorf("%s is asked for as %s", head, name)
			}
		}
	}
	// Below such a field only the shape of a mapping, or its own name, can matter.
	shapes := []string{"value", "command", "args", "script", "cmd", "entrypoint", "tag", "digest", "registry", "repository", "url", "git", "image", "containers", "initContainers", "ephemeralContainers", "metadata", "spec", "volumes", "labels"}
	for name, w := range placesWords() {
		if !w.inner {
			continue
		}
		for _, shape := range shapes {
			if strings.EqualFold(name, shape) {
				t.Errorf("%s may be a %s", name, shape)
			}
		}
		if is, _ := isImageKey(name); is || isModelKey(name) || isVariant(name, "image") {
			t.Errorf("%s announces a reference", name)
		}
		for _, other := range slices.Sorted(maps.Keys(kinds())) {
			if p := kinds()[other]; w.head && p.fields[name] != nil && plainPattern(p, placesWords()) {
				t.Errorf("%s has a row at %s", other, name)
			}
		}
	}
	for _, kind := range []GroupVersionKind{podKind, deploymentKind, serviceKind, inferenceKind} {
		if !plainKind(kind) {
			t.Errorf("a %s is always read by the other reader", kind)
		}
	}
	if plainKind(workflowKind) {
		t.Error("a Workflow has rows at any field")
	}
}

// A text that only one of the readers would look at is what the pruning must
// never lose, in each place that is left out and in each place that is not.
func TestPlacesLosesNoTextThatNamesSomething(t *testing.T) {
	texts := []string{
		"ghcr.io/a/b:1", "ghcr.io/a/b@" + string(verdict.Digest("sha256:"+strings.Repeat("4", 64))), "localhost:5000/a/b:1", "docker://a/b", "hf://a/b", "oci://ghcr.io/a/b:1",
		"s3://bucket/m.safetensors", "https://example.org/m.gguf", "docker run ghcr.io/a/b:1", "x=ghcr.io/a/b:1,y", `{\"image\":\"ghcr.io/a/b:1\"}`, "image: ghcr.io/a/b:1\\n", "plain", "/healthz", "$(IMAGE)",
	}
	for head := range strings.FieldsSeq(placesHeads) {
		for _, text := range texts {
			for _, value := range []string{`"%s"`, `["%s"]`, `{"path":"%s"}`, `{"name":"x","value":"%s"}`, `[{"command":["sh","-c","%s"]}]`} {
				if !same(t, podKind, onePodWith(head, fmt.Sprintf(value, text))) {
					t.Fatalf("%s: %s is not read", head, text)
				}
			}
		}
	}
}

func onePodWith(field, value string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"a/b:1","` + field + `":` + value + `}]}}`
}

func FuzzPlacesAgreesWithTheOtherReader(f *testing.F) {
	for i, object := range []string{
		onePod(""), onePod(`,"volumes":[{"name":"v","image":{"reference":"ghcr.io/a/v:1"}}]`), onePod(`,"x":{"apiVersion":"v1","kind":"Pod","spec":{}}`),
		onePod(`,"readinessProbe":{"exec":{"command":["ghcr.io/a/hidden:1"]}}`), `{"metadata":{"managedFields":[{}],"labels":{"priority":"a"}},"env":[{"name":"a","value":"hf://a/b"}]}`,
		`{"spec":{"template":{"spec":{"containers":[{"image":"a:1","ports":[{"containerPort":1e3}]}]}}}}`,
		`{"spec":{"predictor":{"model":{"storageUri":"hf://a/b","storage":{"path":"x","parameters":{"type":"s3","bucket":"b"}}},"containerConcurrency":1}}}`,
		`{"data":{"priority":"ghcr.io/a/b:1","uid":"x"}}`,
	} {
		f.Add(uint8(i), object)
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(0), string(data))
	}
	f.Fuzz(func(t *testing.T, kind uint8, object string) {
		if strings.Contains(object, "managedFields") {
			return // these only one of the readers looks into; there is a test about them
		}
		same(t, fuzzKinds[int(kind)%len(fuzzKinds)], object)
	})
}
