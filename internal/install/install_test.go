package install

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	texttemplate "text/template"

	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/internal/gitops/segment"
)

var image = "registry.example/apex@sha256:" + strings.Repeat("a", 64)

func objects(t *testing.T, o Options) []Object {
	t.Helper()
	all, err := Objects(o)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func export(t *testing.T, all []Object) string {
	t.Helper()
	var b bytes.Buffer
	if err := Export(&b, all); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheSameOptionsGiveTheSameManifests(t *testing.T) {
	first := export(t, objects(t, Options{Image: image}))
	if second := export(t, objects(t, Options{Image: image})); first != second {
		t.Error("two exports differ")
	}
	if other := export(t, objects(t, Options{Image: image, Namespace: "other"})); strings.Contains(other, "apex-system") {
		t.Error("another namespace was asked for, and apex-system is named")
	}
}

func TestObjectsAreAppliedAfterWhatTheyNeed(t *testing.T) {
	at := map[string]int{}
	for i, o := range objects(t, Options{Image: image}) {
		kind := o["kind"].(string)
		if kind == "MutatingWebhookConfiguration" || kind == "ValidatingWebhookConfiguration" {
			t.Errorf("%s is installed before anything answers", called(o))
		}
		at[kind] = i
	}
	order := []string{"Namespace", "CustomResourceDefinition", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "NetworkPolicy", "StatefulSet", "ValidatingAdmissionPolicy"}
	for i := 1; i < len(order); i++ {
		if at[order[i-1]] >= at[order[i]] {
			t.Errorf("%s comes after %s", order[i-1], order[i])
		}
	}
}

func TestOptionsThatCannotBeAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		want string // "": it is taken
	}{
		{"an image by digest", Options{Image: image}, ""},
		{"no image", Options{}, "no image"},
		{"an image by tag", Options{Image: "registry.example/apex:v1"}, "by digest"},
		{"an image with a short digest", Options{Image: image[:len(image)-1]}, "by digest"},
		{"an image with a line break", Options{Image: "x\n@sha256:" + strings.Repeat("a", 64)}, "by digest"},
		{"a namespace of its own", Options{Image: image, Namespace: "security"}, ""},
		{"the namespace of the cluster", Options{Image: image, Namespace: "kube-system"}, "one of its own"},
		{"the namespace of everybody", Options{Image: image, Namespace: "default"}, "one of its own"},
		{"a namespace that is none", Options{Image: image, Namespace: "A/b"}, "one of its own"},
		{"three replicas", Options{Image: image, Replicas: 3}, ""},
		{"fewer than no replicas", Options{Image: image, Replicas: -1}, "between 1 and 16"},
		{"too many replicas", Options{Image: image, Replicas: 17}, "between 1 and 16"},
		{"a group", Options{Image: image, Groups: []string{"admins"}}, ""},
		{"a group without a name", Options{Image: image, Groups: []string{""}}, "is empty"},
		{"a user with a line break", Options{Image: image, Users: []string{"a\nb"}}, "control characters"},
		{"actions in a namespace", Options{Image: image, Actions: []string{"vision"}}, ""},
		{"actions in what is no namespace", Options{Image: image, Actions: []string{"Vision"}}, "no name of one"},
		{"actions everywhere and somewhere", Options{Image: image, Actions: []string{"*", "vision"}}, "alone means all"},
		{"storage of no size", Options{Image: image, StorageSize: "much"}, "a number of bytes"},
		{"storage of a class", Options{Image: image, StorageClass: "fast.example"}, ""},
		{"storage of a class that cannot be", Options{Image: image, StorageClass: "a b"}, "name a StorageClass"},
		{"a gateway", Options{Image: image, Gateway: Gateway{Enabled: true, TrustDomain: "claims.example"}}, ""},
		{"a gateway without a trust domain", Options{Image: image, Gateway: Gateway{Enabled: true}}, "the trust domain"},
		{"a gateway of a trust domain that is none", Options{Image: image, Gateway: Gateway{Enabled: true, TrustDomain: "Claims"}}, "the trust domain"},
		{"what a gateway is told without one", Options{Image: image, Gateway: Gateway{TrustDomain: "claims.example"}}, "--gateway"},
		{"too many gateways", Options{Image: image, Gateway: Gateway{Enabled: true, TrustDomain: "claims.example", Replicas: 17}}, "replicas of the gateway"},
		{"an Envoy that may ask", Options{Image: image, Gateway: Gateway{Enabled: true, TrustDomain: "claims.example", ExtAuthz: []string{"spiffe://mesh.example/envoy"}}}, ""},
		{"an Envoy without an identity", Options{Image: image, Gateway: Gateway{Enabled: true, TrustDomain: "claims.example", ExtAuthz: []string{"envoy"}}}, "SPIFFE ID"},
		{"shared limits", Options{Image: image, Gateway: Gateway{Enabled: true, TrustDomain: "claims.example", Limits: "rediss://limits:6380/0"}}, ""},
		{"shared limits with a password in the address", Options{Image: image, Gateway: Gateway{Enabled: true, TrustDomain: "claims.example", Limits: "rediss://:secret@limits:6380/0"}}, "Secret apex-limits"},
		{"shared limits with authorities of one's own", Options{Image: image, Gateway: Gateway{Enabled: true, TrustDomain: "claims.example", Limits: "rediss://limits:6380/0", LimitsCA: true}}, ""},
		{"authorities of a Redis without TLS", Options{Image: image, Gateway: Gateway{Enabled: true, TrustDomain: "claims.example", Limits: "redis://limits:6379/0", LimitsCA: true}}, "with TLS"},
		{"authorities of no Redis", Options{Image: image, Gateway: Gateway{LimitsCA: true}}, "--gateway"},
		{"too many users", Options{Image: image, Users: strings.Split(strings.Repeat("a,", 64), ",")}, "at most 64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Objects(tt.o)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestNobodyBindsForANamespaceWhatItHasToBindItself(t *testing.T) {
	bound := map[string]bool{}
	for _, o := range rights(&Options{Namespace: Namespace}) {
		if ref, ok := o["roleRef"].(Object); ok {
			bound[ref["name"].(string)] = true
		}
	}
	for name, want := range map[string]bool{"apex-controller": true, "apex-webhooks": true, "apex-watched": true, "apex-actions": false, SourceAccount: false} {
		if bound[name] != want {
			t.Errorf("%s is bound: %v, want %v", name, bound[name], want)
		}
	}
}

func TestEveryRouteThatIsLookedForMayBeRead(t *testing.T) {
	readable := map[string]bool{}
	for _, o := range rights(&Options{Namespace: Namespace}) {
		rules, _ := o["rules"].([]any)
		for _, r := range rules {
			r := r.(Object)
			groups, _ := r["apiGroups"].([]any)
			resources, _ := r["resources"].([]any)
			for _, group := range groups {
				for _, resource := range resources {
					readable[fmt.Sprintf("%s/%s", group, resource)] = slices.Contains(r["verbs"].([]any), any("watch"))
				}
			}
		}
	}
	for _, k := range segment.RouteKinds() {
		plural := strings.ToLower(k.Kind)
		switch {
		case strings.HasSuffix(plural, "y"):
			plural = plural[:len(plural)-1] + "ies"
		case strings.HasSuffix(plural, "s"):
			plural += "es"
		default:
			plural += "s"
		}
		// No API server that is supported serves Ingress under its first group.
		if name := k.Group + "/" + plural; readable[name] == (k.Group == "extensions") {
			t.Errorf("may %s be read: %v", name, readable[name])
		}
	}
}

func TestNoRightIsWiderThanItHasToBe(t *testing.T) {
	for _, o := range rights(&Options{Namespace: Namespace}) {
		rules, _ := o["rules"].([]any)
		for _, r := range rules {
			r := r.(Object)
			for _, verb := range r["verbs"].([]any) {
				resources, names := fmt.Sprint(r["resources"]), r["resourceNames"]
				switch verb {
				case "*", "escalate", "bind", "deletecollection", "approve", "sign":
					t.Errorf("%s may %s %s", called(o), verb, resources)
				case "impersonate":
					if names == nil || called(o) != "ClusterRole "+SourceAccount {
						t.Errorf("%s may impersonate %v", called(o), names)
					}
				case "create", "update", "patch", "delete":
					// Its own namespace, and what a namespace has to bind itself.
					asked := o["kind"] == "Role" || called(o) == "ClusterRole apex-actions"
					said := slices.Contains([]string{"[events]", "[tokenreviews]", "[*/status]", "[protectedroutes/status accesspolicies/status]", "[reports clusterreports]", "[policyreports clusterpolicyreports]"}, resources)
					if !asked && !said && names == nil {
						t.Errorf("%s may %s %s by any name", called(o), verb, resources)
					}
				}
			}
			if o["kind"] == "ClusterRole" && strings.Contains(fmt.Sprint(r["resources"]), "secrets") {
				t.Errorf("%s reads Secrets of every namespace", called(o))
			}
		}
	}
}

// render is Helm's part: templates with the values, as far as the chart uses it.
func render(t *testing.T, files []File, values map[string]any) []Object {
	t.Helper()
	var all []Object
	for _, f := range files {
		if !strings.HasPrefix(f.Path, "templates/") || !strings.HasSuffix(f.Path, ".yaml") {
			continue
		}
		parsed, err := texttemplate.New(f.Path).Option("missingkey=error").Funcs(texttemplate.FuncMap{
			"int": func(v any) (int, error) { // sprig's, for the numbers of values
				n, ok := v.(float64)
				if !ok {
					return 0, fmt.Errorf("%v is no number", v)
				}
				return int(n), nil
			},
		}).Parse(string(f.Data))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := parsed.Execute(&b, map[string]any{"Values": values}); err != nil {
			t.Fatal(err)
		}
		for doc := range strings.SplitSeq(b.String(), "---\n") {
			var o Object
			if err := yaml.UnmarshalStrict([]byte(doc), &o); err != nil {
				t.Fatalf("%s: %v\n%s", f.Path, err, doc)
			}
			if o != nil { // a condition did not hold
				all = append(all, o)
			}
		}
	}
	return all
}

func defaults(t *testing.T, files []File) map[string]any {
	t.Helper()
	var values map[string]any
	for _, f := range files {
		if f.Path == "values.yaml" {
			if err := yaml.UnmarshalStrict(f.Data, &values); err != nil {
				t.Fatal(err)
			}
		}
	}
	return values
}

// plain returns the objects as a reader of the manifests sees them.
func plain(t *testing.T, all []Object) []Object {
	t.Helper()
	var out []Object
	for doc := range strings.SplitSeq(strings.TrimPrefix(export(t, all), "---\n"), "\n---\n") {
		var o Object
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
	return out
}

func chart(t *testing.T) []File {
	t.Helper()
	files, err := Chart(Options{}, "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// rendered is the chart with an image, without the one thing that Helm alone needs.
func rendered(t *testing.T, change func(map[string]any)) []Object {
	t.Helper()
	files := chart(t)
	values := defaults(t, files)
	values["image"] = image
	if change != nil {
		change(values)
	}
	all := render(t, files, values)
	kept := 0
	for _, o := range all {
		if annotations, ok := o["metadata"].(Object)["annotations"].(Object); ok && annotations[keep] == "keep" {
			delete(annotations, keep)
			kept++
			if o["kind"] != "CustomResourceDefinition" {
				t.Errorf("%s stays when the release goes", called(o))
			}
		}
	}
	if definitions, err := Definitions(); err != nil || kept != len(definitions) {
		t.Errorf("%d definitions stay when the release goes, of %d (%v)", kept, len(definitions), err)
	}
	return all
}

func TestTheChartRendersToThePlainManifests(t *testing.T) {
	got, want := rendered(t, nil), plain(t, objects(t, Options{Image: image}))
	if len(got) != len(want) {
		t.Fatalf("%d objects, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("%s differs:\n%s\nwant\n%s", called(want[i]), export(t, got[i:i+1]), export(t, want[i:i+1]))
		}
	}
}

func TestTheValuesOfTheChartReachTheObjects(t *testing.T) {
	all := rendered(t, func(values map[string]any) {
		values["replicas"] = 5.0
		values["namespaceLabels"] = map[string]any{"team": "security", "example.com/tier": "true"}
		values["resources"] = map[string]any{"requests": map[string]any{"cpu": "2", "memory": "1Gi"}, "limits": map[string]any{"memory": "2Gi"}}
	})
	text := export(t, all)
	for _, want := range []string{"replicas: 5\n", "    team: security\n", `    example.com/tier: "true"` + "\n", `cpu: "2"`, "memory: 1Gi", "memory: 2Gi"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in it", want)
		}
	}
	if !strings.Contains(text, "pod-security.kubernetes.io/enforce: restricted") {
		t.Error("further labels took the namespace's own away")
	}
}

func TestTheChartRendersToTheManifestsOfTheSameOptions(t *testing.T) {
	for name, c := range map[string]struct {
		o      Options
		change func(values map[string]any)
	}{
		"actions in two namespaces": {Options{Actions: []string{"vision", "audio"}}, func(values map[string]any) {
			values["actions"] = map[string]any{"namespaces": []any{"audio", "vision"}, "everywhere": false}
		}},
		"actions everywhere": {Options{Actions: []string{"*"}}, func(values map[string]any) {
			values["actions"] = map[string]any{"namespaces": []any{}, "everywhere": true}
		}},
		"a class of storage": {Options{StorageClass: "fast", StorageSize: "20Gi"}, func(values map[string]any) {
			values["storage"] = map[string]any{"size": "20Gi", "class": "fast", "ephemeral": false}
		}},
		"a ledger that is lost with the Pod": {Options{Ephemeral: true}, func(values map[string]any) {
			values["storage"] = map[string]any{"size": "8Gi", "class": "", "ephemeral": true}
		}},
		"a gateway": {Options{Gateway: Gateway{Enabled: true, TrustDomain: "claims.example"}}, func(values map[string]any) {
			gateway := values["gateway"].(map[string]any)
			gateway["enabled"], gateway["trustDomain"] = true, "claims.example"
		}},
		"a gateway that is asked, and counts with others": {Options{Ephemeral: true, Gateway: Gateway{
			Enabled: true, TrustDomain: "1.5", Replicas: 3, ExtAuthz: []string{"spiffe://mesh.example/envoy", "spiffe://mesh.example/other"},
			AuthZEN: []string{"spiffe://mesh.example/pep"}, Limits: "rediss://limits.vision.svc:6380/0", LimitsCA: true,
		}}, func(values map[string]any) {
			values["storage"] = map[string]any{"size": "8Gi", "class": "", "ephemeral": true}
			gateway := values["gateway"].(map[string]any)
			gateway["enabled"], gateway["trustDomain"], gateway["replicas"] = true, "1.5", 3.0
			gateway["extauthzProxies"] = []any{"spiffe://mesh.example/envoy", "spiffe://mesh.example/other"}
			gateway["authzenCallers"], gateway["limits"] = []any{"spiffe://mesh.example/pep"}, "rediss://limits.vision.svc:6380/0"
			gateway["limitsCA"] = true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Image = image
			got, want := rendered(t, c.change), plain(t, objects(t, c.o))
			if !reflect.DeepEqual(got, want) {
				t.Errorf("it differs:\n%s\nwant\n%s", export(t, got), export(t, want))
			}
		})
	}
}

func TestActionsAreBoundWhereTheyAreSwitchedOnAndNowhereElse(t *testing.T) {
	bindings := func(o Options) (out []string) {
		o.Image = image
		for _, body := range objects(t, o) {
			if ref, ok := body["roleRef"].(Object); ok && ref["name"] == "apex-actions" {
				out = append(out, called(body))
			}
		}
		return out
	}
	for name, c := range map[string]struct {
		o    Options
		want []string
	}{
		"nowhere by default": {Options{}, nil},
		"in a namespace":     {Options{Actions: []string{"vision"}}, []string{"RoleBinding vision/apex-actions"}},
		"everywhere":         {Options{Actions: []string{"*"}}, []string{"ClusterRoleBinding apex-actions"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := bindings(c.o); !slices.Equal(got, c.want) {
				t.Errorf("bound: %v, want %v", got, c.want)
			}
		})
	}
}

func TestTheSchemaOfTheValuesIsOneAndKnowsThemAll(t *testing.T) {
	files := chart(t)
	var schema struct {
		Additional bool `json:"additionalProperties"`
		Properties map[string]struct {
			Const   string `json:"const"`
			Pattern string `json:"pattern"`
		} `json:"properties"`
	}
	for _, f := range files {
		if f.Path == "values.schema.json" {
			if err := json.Unmarshal(f.Data, &schema); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name := range defaults(t, files) {
		if _, known := schema.Properties[name]; !known {
			t.Errorf("the schema does not know the value %s", name)
		}
	}
	if schema.Properties["failurePolicy"].Const != "Fail" || schema.Additional {
		t.Error("webhooks may be installed that fail open, or values that do nothing")
	}
	pattern := regexp.MustCompile(schema.Properties["image"].Pattern)
	if pattern.MatchString("registry.example/apex:v1") || pattern.MatchString("") || !pattern.MatchString(image) {
		t.Error("the schema takes an image by tag or none, or refuses one by digest")
	}
}

func TestWhatIsCommittedIsWhatIsInstalled(t *testing.T) {
	const again = "run go generate ./internal/install"
	files, err := Chart(Options{}, "")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range files {
		path := filepath.Join("../../config/chart", f.Path)
		want = append(want, path)
		if data, err := os.ReadFile(path); err != nil || !bytes.Equal(data, f.Data) {
			t.Errorf("%s differs (%v): %s", path, err, again)
		}
	}
	there, err := filepath.Glob("../../config/chart/templates/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range there {
		if !slices.Contains(want, path) {
			t.Errorf("%s is of another version: %s", path, again)
		}
	}
	rights, err := Rights(Options{})
	if data, err2 := os.ReadFile("../../config/rbac/rbac.yaml"); err != nil || err2 != nil || !bytes.Equal(data, rights) {
		t.Errorf("config/rbac/rbac.yaml differs (%v, %v): %s", err, err2, again)
	}
}

func TestWritingAChartRemovesOldTemplatesAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	old := []File{{"templates/77-gone.yaml", []byte("x")}, {"templates/mine.yaml", []byte("x")}}
	if err := Write(dir, old); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, []File{{"templates/00-new.yaml", []byte("y")}}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"77-gone.yaml": false, "mine.yaml": true, "00-new.yaml": true} {
		if _, err := os.Stat(filepath.Join(dir, "templates", name)); (err == nil) != want {
			t.Errorf("%s: there %v, want %v", name, err == nil, want)
		}
	}
}
