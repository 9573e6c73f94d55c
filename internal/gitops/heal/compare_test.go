package heal

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

func parse(t testing.TB, text string) map[string]any {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := utiljson.Unmarshal(data, &body); err != nil {
		t.Fatal(err)
	}
	return body
}

// podLike wraps a container's fields into an object of a kind.
func podLike(fields string) string {
	return "{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: [{name: app, " + fields + "}]}}"
}

func thing(kind, rest string) string {
	return "{apiVersion: v1, kind: " + kind + ", metadata: {name: x}, " + rest + "}"
}

func TestComparisonKnowsWhatIsTheSame(t *testing.T) {
	for _, c := range []struct {
		name          string
		desired, live string
		want          []string // "what path"
	}{
		{"a CPU of 1000m is one of 1", podLike("resources: {limits: {cpu: 1000m}}"), podLike("resources: {limits: {cpu: '1'}}"), nil},
		{"a CPU of 0.5 is one of 500m", podLike("resources: {requests: {cpu: 0.5}}"), podLike("resources: {requests: {cpu: 500m}}"), nil},
		{"1024Mi are 1Gi", podLike("resources: {limits: {memory: 1024Mi}}"), podLike("resources: {limits: {memory: 1Gi}}"), nil},
		{"1G is not 1Gi", podLike("resources: {limits: {memory: 1G}}"), podLike("resources: {limits: {memory: 1Gi}}"), []string{"changed /spec/containers/app/resources/limits/memory"}},
		{"an amount in settings is a text", thing("ConfigMap", "data: {cpu: 1000m}"), thing("ConfigMap", "data: {cpu: '1'}"), []string{"changed /data/cpu"}},
		{"a port as text", thing("Service", "spec: {ports: [{port: 80, targetPort: '8080'}]}"), thing("Service", "spec: {ports: [{port: 80, targetPort: 8080}]}"), nil},
		{"a number of settings as text is another type", thing("Thing", "spec: {value: '8080'}"), thing("Thing", "spec: {value: 8080}"), []string{"changed /spec/value"}},
		{"1 and 1.0", thing("Thing", "spec: {v: 1}"), thing("Thing", "spec: {v: 1.0}"), nil},
		{"true and \"true\"", thing("Thing", "spec: {v: true}"), thing("Thing", "spec: {v: 'true'}"), []string{"changed /spec/v"}},
		{"true and 1", thing("Thing", "spec: {v: true}"), thing("Thing", "spec: {v: 1}"), []string{"changed /spec/v"}},
		{"null is not set", thing("Thing", "spec: {a: null}"), thing("Thing", "spec: {}"), nil},
		{"null is not there and somebody sets it", thing("Thing", "spec: {a: null}"), thing("Thing", "spec: {a: 1}"), []string{"added /spec/a"}},
		{"an empty selector is something", thing("Thing", "spec: {}"), thing("Thing", "spec: {namespaceSelector: {}}"), []string{"added /spec/namespaceSelector"}},
		{"false that is left out is something", podLike("tty: false"), podLike("stdin: null"), []string{"missing /spec/containers/app/tty"}},
		{"containers are told apart by name", "{kind: Pod, spec: {containers: [{name: a}, {name: b}]}}", "{kind: Pod, spec: {containers: [{name: z}, {name: a}, {name: b}]}}", []string{"added /spec/containers/z"}},
		{"containers in another order", "{kind: Pod, spec: {containers: [{name: a}, {name: b}]}}", "{kind: Pod, spec: {containers: [{name: b}, {name: a}]}}", []string{"reordered /spec/containers"}},
		{"volumes in another order are the same", "{kind: Pod, spec: {volumes: [{name: a}, {name: b}]}}", "{kind: Pod, spec: {volumes: [{name: b}, {name: a}]}}", nil},
		{"a variable twice", podLike("env: [{name: A, value: x}]"), podLike("env: [{name: A, value: x}, {name: A, value: y}]"), []string{"added /spec/containers/app/env/A"}},
		{"a port has a protocol by default", podLike("ports: [{containerPort: 80}]"), podLike("ports: [{containerPort: 80, protocol: TCP}]"), []string{"added /spec/containers/app/ports/80,TCP/protocol"}},
		{"the same port of another protocol is another", podLike("ports: [{containerPort: 53}]"), podLike("ports: [{containerPort: 53}, {containerPort: 53, protocol: UDP}]"), []string{"added /spec/containers/app/ports/53,UDP"}},
		{"arguments are one list", podLike("args: [a, b]"), podLike("args: [b, a]"), []string{"changed /spec/containers/app/args"}},
		{"rules have only a position", thing("Role", "rules: [{verbs: [get]}]"), thing("Role", "rules: [{verbs: ['*']}, {verbs: [get]}]"), []string{"added /rules/1", "changed /rules/0/verbs"}},
		{"a default within an element without a key", thing("Ingress", "spec: {rules: [{host: a}]}"), thing("Ingress", "spec: {rules: [{host: a, http: {}}]}"), []string{"added /spec/rules/0/http"}},
		{"named elements of an unknown list", thing("Thing", "spec: {steps: [{name: a, x: 1}, {name: b}]}"), thing("Thing", "spec: {steps: [{name: b}, {name: a, x: 2}]}"), []string{"changed /spec/steps/a/x"}},
		{"elements with one name twice have a position", thing("Thing", "spec: {steps: [{name: a}]}"), thing("Thing", "spec: {steps: [{name: a}, {name: a}]}"), []string{"added /spec/steps/1"}},
		{"finalizers are a set", "{kind: Thing, metadata: {finalizers: [a, b]}}", "{kind: Thing, metadata: {finalizers: [b, c, a]}}", []string{"added /metadata/finalizers/c"}},
		{"stringData is read back as data", thing("Secret", "stringData: {a: hello}"), thing("Secret", "data: {a: aGVsbG8=}"), nil},
		{"stringData that differs", thing("Secret", "stringData: {a: hello}"), thing("Secret", "data: {a: aGVsbG8h}"), []string{"changed /data/a"}},
		{"the status is nobody's business", thing("Thing", "status: {a: 1}"), thing("Thing", "status: {a: 2, b: 3}"), nil},
		{"what the server keeps for itself", "{kind: Thing, metadata: {name: x}}", "{kind: Thing, metadata: {name: x, uid: u, generation: 4, resourceVersion: '9', managedFields: [{manager: m}], creationTimestamp: now}}", nil},
		{"notes of controllers", "{kind: Thing, metadata: {annotations: {a: b}}}", "{kind: Thing, metadata: {annotations: {a: b, pv.kubernetes.io/bound: 'yes', note: x}}}", nil},
		{"annotations that are orders", "{kind: Thing, metadata: {}}", "{kind: Thing, metadata: {annotations: {sidecar.istio.io/inject: 'true'}}}", []string{"added /metadata/annotations/sidecar.istio.io~1inject"}},
		{"another type altogether", thing("Thing", "spec: {a: {b: c}}"), thing("Thing", "spec: {a: [b, c]}"), []string{"changed /spec/a"}},
		{"a body that is no object in places", thing("Thing", "spec: [1]"), thing("Thing", "spec: {a: 1}"), []string{"changed /spec"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			desired := parse(t, c.desired)
			kind, _ := desired["kind"].(string)
			o := gitops.Object{ID: gitops.ID{Kind: kind, Name: "x"}, Body: desired}
			var got []string
			for _, f := range compare(newHasher(), &o, parse(t, c.live)) {
				got = append(got, f.what.String()+" "+f.path())
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestADifferenceHasOneNameAndAnotherOneAnother(t *testing.T) {
	h := newHasher()
	name := func(desired, live string) sum {
		o := gitops.Object{ID: gitops.ID{Kind: "Pod", Name: "x"}, Body: parse(t, desired)}
		found := compare(h, &o, parse(t, live))
		if len(found) != 1 {
			t.Fatalf("%d differences", len(found))
		}
		return found[0].id
	}
	base := name(podLike("a: 1"), podLike("a: 1, b: {c: [x, y]}"))
	if base != name(podLike("a: 2"), podLike("a: 2, b: {c: [x, y]}")) {
		t.Error("the same addition has two names")
	}
	for _, other := range []string{"b: {c: [xy]}", "b: {c: [x, y, null]}", "b: {c: {x: y}}", "b: {c: [y, x]}", "b: 'x'", "b: {d: [x, y]}", "B: {c: [x, y]}"} {
		if base == name(podLike("a: 1"), podLike("a: 1, "+other)) {
			t.Errorf("%s has the name of another", other)
		}
	}
	if name(podLike("a: 1"), podLike("a: '1'")) == name(podLike("a: 1"), podLike("a: 2")) {
		t.Error("two values have one name")
	}
	volume := "{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {volumes: [{name: kube-api-access-%s}]}}"
	nothing := "{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {volumes: []}}"
	if name(nothing, fmt.Sprintf(volume, "abcde")) != name(nothing, fmt.Sprintf(volume, "12345")) {
		t.Error("the token's volume has a name of its own each time")
	}
}

func TestOwnersAreReadFromTheRecord(t *testing.T) {
	live := parse(t, `
metadata:
  managedFields:
  - {manager: one, operation: Update, time: "2026-01-01T00:00:00Z", fieldsV1: {"f:spec": {"f:containers": {'k:{"name":"app"}': {"f:image": {}}}}}}
  - {manager: two, operation: Apply, time: "2026-01-02T00:00:00Z", fieldsV1: {"f:spec": {"f:containers": {'k:{"name":"other"}': {".": {}, "f:image": {}}}}}}
  - {manager: three, operation: Update, subresource: scale, time: "2026-01-03T00:00:00Z", fieldsV1: {"f:rules": {}, "f:metadata": {"f:finalizers": {'v:"hold"': {}}}}}
  - {manager: four, operation: Update, subresource: status, time: "2026-01-04T00:00:00Z", fieldsV1: {"f:status": {}}}
  - 7
  - {manager: five, fieldsV1: {"f:spec": 3, "k:{": {}, "k:x": {}, "v:{": {}}}
`)
	field := func(name string) step { return step{name: name, index: -1} }
	for _, c := range []struct {
		name string
		way  []step
		want string
	}{
		{"a field of an element", []step{field("spec"), field("containers"), {name: "app", index: 0, keys: []keyed{{"name", "app"}}}, field("image")}, "one"},
		{"an element", []step{field("spec"), field("containers"), {name: "other", index: 1, keys: []keyed{{"name", "other"}}}}, "two"},
		{"within a list that is owned as a whole", []step{field("rules"), {name: "0", index: 0}, field("verbs")}, "three"},
		{"an element of a set", []step{field("metadata"), field("finalizers"), {name: "hold", index: 0}}, "three"},
		{"nobody's", []step{field("spec"), field("replicas")}, ""},
	} {
		var got string
		for _, m := range owners(live, &finding{way: c.way}) {
			got += m.Name
		}
		if got != c.want {
			t.Errorf("%s: owned by %q, want %q", c.name, got, c.want)
		}
	}
	if last := latest(live, "four"); len(last) != 1 || last[0].Name != "three" {
		t.Errorf("the last writer is %v", last)
	}
}

func TestABodyIsKeptSmallAndComesBackAsItWas(t *testing.T) {
	first := []byte(`{"kind":"ConfigMap","metadata":{"name":"a"},"data":{"mode":"strict","text":"the quick brown fox"}}`)
	s := newShelf(first)
	for i := range 100 {
		body := fmt.Sprintf(`{"kind":"ConfigMap","metadata":{"name":"a%d"},"data":{"mode":"strict","text":"the quick brown fox","n":%d}}`, i, i)
		kept, err := s.put([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if len(kept) > len(body)/2 {
			t.Fatalf("%d bytes are kept as %d", len(body), len(kept))
		}
		back, err := s.get(kept)
		if err != nil {
			t.Fatal(err)
		}
		if at := back["data"].(map[string]any)["n"]; at != int64(i) {
			t.Fatalf("%v came back for %d", at, i)
		}
		data, _ := json.Marshal(back)
		var want map[string]any
		if err := utiljson.Unmarshal([]byte(body), &want); err != nil {
			t.Fatal(err)
		}
		wanted, _ := json.Marshal(want)
		if string(data) != string(wanted) {
			t.Fatalf("%s came back as %s", wanted, data)
		}
	}
	if _, err := s.get([]byte("no deflate stream")); err == nil {
		t.Error("rubbish is read")
	}
}

func TestModesAreFoundByKindAndPath(t *testing.T) {
	p, err := readPattern("/metadata/annotations/a~1b~0c")
	if err != nil {
		t.Fatal(err)
	}
	if !p.matches([]step{{name: "metadata"}, {name: "annotations"}, {name: "a/b~c"}, {name: "below"}}) {
		t.Error("an escaped name is not found")
	}
	if p.matches([]step{{name: "metadata"}, {name: "annotations"}}) {
		t.Error("what is above is matched")
	}
}

// FuzzCompare holds that nothing in two bodies makes the comparison, the patches
// or the reading of owners fail, and that a body equals itself.
func FuzzCompare(f *testing.F) {
	f.Add([]byte(`{"spec":{"containers":[{"name":"a","image":"x"}]}}`), []byte(`{"spec":{"containers":[{"name":"b"},{"name":"a","image":"y","env":[{"name":"A"},{"name":"A"}]}]}}`))
	f.Add([]byte(`{"metadata":{"labels":{"a":"b"},"finalizers":["x"]},"rules":[{"verbs":["get"]}]}`), []byte(`{"metadata":{"labels":[],"finalizers":{"x":1},"managedFields":[{"manager":"m","fieldsV1":{"f:rules":{"i:0":{},"k:{\"name\":1}":{}}}}]},"rules":[3,null,{"verbs":{}}]}`))
	f.Add([]byte(`{"spec":{"ports":[{"port":80,"protocol":"TCP"}],"replicas":1e400}}`), []byte(`{"spec":{"ports":[{"port":"80"},{"port":null}],"replicas":1.5}}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var desired, live map[string]any
		if utiljson.Unmarshal(a, &desired) != nil || utiljson.Unmarshal(b, &live) != nil {
			return
		}
		h := newHasher()
		o := gitops.Object{ID: gitops.ID{Kind: "Pod", Name: "x"}, Body: desired, Where: verdict.Origin{}}
		if same := compare(h, &o, desired); len(same) > 0 {
			annotated := slices.ContainsFunc(same, func(f finding) bool { return f.what == Added && len(f.way) > 0 })
			if !annotated {
				t.Fatalf("a body differs from itself: %s %s", same[0].what, same[0].path())
			}
		}
		found := compare(h, &o, live)
		for i := range found {
			owners(live, &found[i])
			adopt(desired, &found[i])
		}
		if _, err := rewriting("1", slices.Clone(found)); err != nil {
			t.Fatal(err)
		}
		added := slices.DeleteFunc(found, func(f finding) bool { return f.what != Added })
		if _, err := removal("1", added); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzPattern holds that any path of a mode is read or refused.
func FuzzPattern(f *testing.F) {
	f.Add("/spec/*/x")
	f.Add("spec")
	f.Add("/~0~1~2//")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := readPattern(text); err == nil {
			p.matches([]step{{name: "spec"}, {name: "x"}})
		}
	})
}
