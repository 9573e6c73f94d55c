package render_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/verdict"
)

// stack is a service with everything that mentions it by name.
func stack(name string) string {
	return strings.NewReplacer("NAME", name).Replace(`apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      serviceAccountName: runner
      containers:
      - name: serve
        image: ghcr.io/vision/captioner:1.2
        envFrom: [{configMapRef: {name: NAME-settings}}, {configMapRef: {name: words}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME-settings}
data: {level: info, next: NAME}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: NAME}
spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: NAME}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: NAME}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: runner, namespace: elsewhere}]
`)
}

const access = `apiVersion: v1
kind: ServiceAccount
metadata: {name: runner, namespace: elsewhere}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: runner}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
`

var oneAccount = access[strings.Index(access, "---\n")+4:]

// crowd is a base of 26 stacks in files of their own, and an overlay of it.
func crowd(overlay string, base ...string) map[string]string {
	files := map[string]string{"base/access.yaml": access, "base/words.txt": "a=b\n", "over/kustomization.yaml": overlay, "base/empty.yaml": "---\n"}
	list := []string{"access.yaml"}
	for i := range 26 {
		name := fmt.Sprintf("app-%d", i)
		files["base/"+name+".yaml"] = stack(name)
		list = append(list, name+".yaml")
	}
	files["base/kustomization.yaml"] = fmt.Sprintf("resources: [%s]\nconfigMapGenerator: [{name: words, envs: [words.txt]}]\n%s", strings.Join(list, ", "), strings.Join(base, ""))
	return files
}

var anywhere = func() render.Options { o := options; o.Namespaces = []string{"*"}; return o }()

func TestAKustomizationInPartsIsWhatItIsAsAWhole(t *testing.T) {
	patch := `apiVersion: apps/v1
kind: Deployment
metadata: {name: app-7}
spec: {template: {spec: {containers: [{name: serve, envFrom: [{configMapRef: {name: app-9-settings}}]}]}}}
`
	for name, tc := range map[string]struct {
		files map[string]string
		whole bool // it is not divided
	}{
		"as it is":                          {crowd("resources: [../base]\n"), false},
		"in a namespace":                    {with(crowd("namespace: vision\nresources: [../base]\n"), map[string]string{"base/access.yaml": oneAccount}), false},
		"a prefix":                          {crowd("namePrefix: prod-\nresources: [../base]\n"), false},
		"a prefix and a suffix":             {crowd("namePrefix: prod-\nresources: [../base]\n", "nameSuffix: -x\n"), false},
		"labels, images, annotations":       {crowd("resources: [../base]\nlabels: [{pairs: {team: vision}, includeSelectors: true}]\nimages: [{name: ghcr.io/vision/captioner, newTag: \"2\"}]\ncommonAnnotations: {a: b}\n"), false},
		"replicas of one":                   {crowd("resources: [../base]\nreplicas: [{name: app-3, count: 5}]\n"), false},
		"a patch of one that names another": {with(crowd("namePrefix: p-\nresources: [../base]\npatches: [{path: p.yaml}]\n"), map[string]string{"over/p.yaml": patch}), false},
		"an old patch":                      {with(crowd("namePrefix: p-\nresources: [../base]\npatchesStrategicMerge: [p.yaml]\n"), map[string]string{"over/p.yaml": patch}), false},
		"a JSON patch of all":               {crowd("resources: [../base]\npatches: [{target: {kind: Deployment}, patch: '- {op: add, path: /metadata/labels, value: {tier: web}}'}]\n"), false},
		"a patch that deletes":              {crowd("namePrefix: p-\nresources: [../base]\npatches: [{patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: app-4-settings}, $patch: delete}'}]\n"), false},
		"a generator that is merged":        {crowd("resources: [../base]\nconfigMapGenerator: [{name: words, behavior: merge, literals: [c=d]}]\n"), false},
		"a component": {with(crowd("namePrefix: p-\nresources: [../base]\ncomponents: [../part]\n"), map[string]string{
			"part/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [c.yaml]\npatches: [{target: {kind: Deployment}, patch: '- {op: add, path: /spec/replicas, value: 2}'}]\n",
			"part/c.yaml":             edited(config, "level: info", "level: app-1")}), false},
		"two overlays of one base": {with(crowd("resources: [../a, ../b]\n"), map[string]string{
			"a/kustomization.yaml": "namePrefix: a-\nresources: [../base]\n", "b/kustomization.yaml": "namePrefix: b-\nresources: [../base]\n"}), false},
		"an object that mentions a name with its prefix": {with(crowd("namePrefix: p-\nresources: [../mid, late.yaml]\n"), map[string]string{
			"mid/kustomization.yaml": "namePrefix: m-\nresources: [../base]\n", "over/late.yaml": edited(edited(stack("late"), "app: late}", "app: late}"), "scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: late}", "scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: m-app-5}")}), false},
		"names that are numbers": {with(crowd("namePrefix: p-\nresources: [../base, n.yaml, h.yaml]\n"), map[string]string{
			"over/n.yaml": edited(deployment, "name: captioner", `name: "12"`),
			"over/h.yaml": "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\nspec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: 12}}\n"}), false},
		"replacements":               {crowd("resources: [../base]\nreplacements: [{source: {kind: ConfigMap, name: app-1-settings, fieldPath: data.level}, targets: [{select: {kind: Deployment, name: app-2}, fieldPaths: [metadata.annotations.level], options: {create: true}}]}]\n"), true},
		"a patch that renames":       {crowd("namePrefix: p-\nresources: [../base]\npatches: [{target: {kind: Deployment, name: app-1}, patch: '- {op: replace, path: /metadata/name, value: other}'}]\n"), true},
		"a patch that may rename":    {crowd("namePrefix: p-\nresources: [../base]\npatches: [{target: {kind: ConfigMap, name: app-1-settings}, options: {allowNameChange: true}, patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}'}]\n"), true},
		"a patch of all annotations": {crowd("resources: [../base]\npatches: [{target: {kind: Deployment}, patch: '- {op: add, path: /metadata/annotations, value: {a: b}}'}]\n"), true},
		"a configuration": {with(crowd("namePrefix: p-\nresources: [../base]\nconfigurations: [c.yaml]\n"), map[string]string{
			"over/c.yaml": "nameReference: [{kind: Deployment, fieldSpecs: [{kind: ConfigMap, path: data/next}]}]\n"}), true},
		"an object that is not to be applied": {with(crowd("resources: [../base, l.yaml]\n"), map[string]string{
			"over/l.yaml": edited(config, "name: settings", `name: settings, annotations: {config.kubernetes.io/local-config: "true"}`)}), true},
	} {
		t.Run(name, func(t *testing.T) {
			o := anywhere
			o.Cache = render.NewCache(1 << 20)
			built := must(t, tc.files, "over", o)
			plain := must(t, map[string]string{"out.yaml": kubectl(t, tc.files, "over")}, ".", anywhere)
			if got, want := bodies(built), bodies(plain); !reflect.DeepEqual(got, want) {
				for id := range want {
					if !reflect.DeepEqual(got[id], want[id]) {
						t.Errorf("%s: got %v\nwant %v", id, got[id], want[id])
					}
				}
				t.Errorf("%d objects, want %d", len(got), len(want))
			}
			if n := o.Cache.Builds(); (n == 1) != tc.whole {
				t.Errorf("built in %d parts", n)
			}
		})
	}
}

// Kustomizations that nobody thought of: what they say is drawn, and what comes
// out has to be what kustomize itself makes of it.
func TestKustomizationsThatAreDrawnAreTheSameInParts(t *testing.T) {
	lines := []string{
		"namespace: vision\n", "namePrefix: p-\n", "nameSuffix: -s\n", "commonLabels: {team: vision}\n", "commonAnnotations: {by: app-1}\n",
		"replicas: [{name: app-11, count: 4}]\n", "images: [{name: ghcr.io/vision/captioner, newName: ghcr.io/vision/other}]\n",
		"patches: [{target: {kind: Deployment, name: 'app-1.*'}, patch: '- {op: replace, path: /spec/template/spec/containers/0/envFrom/0/configMapRef/name, value: app-20-settings}'}]\n",
		"configMapGenerator: [{name: more, literals: [a=app-2]}]\n", "secretGenerator: [{name: app-3, literals: [a=b]}]\n",
	}
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 5))
		draw := func(from []string) (text string) {
			for _, i := range r.Perm(len(from))[:3] {
				text += from[i]
			}
			return text
		}
		files := crowd("resources: [../mid, ../base2]\n"+draw(lines[:len(lines)-2]), "nameSuffix: -b\n")
		files["base/access.yaml"] = oneAccount
		files["mid/kustomization.yaml"] = "resources: [../base]\n" + strings.NewReplacer("app-11", "app-11-b", "app-20-settings", "app-20-settings-b").Replace(draw(lines))
		files["over/kustomization.yaml"] = strings.ReplaceAll(files["over/kustomization.yaml"], "replicas: [{name: app-11,", "replicas: [{name: other,")
		files["base2/kustomization.yaml"] = "resources: [d.yaml, app-1.yaml]\n"
		files["base2/d.yaml"] = edited(deployment, "name: captioner\n", "name: other\n")
		files["base2/app-1.yaml"] = edited(config, "settings", "app-1-settings-base2")
		o := anywhere
		o.Cache = render.NewCache(1 << 20)
		built := must(t, files, "over", o)
		plain := must(t, map[string]string{"out.yaml": kubectl(t, files, "over")}, ".", anywhere)
		if !reflect.DeepEqual(bodies(built), bodies(plain)) {
			t.Errorf("seed %d: %s and %s differ in parts", seed, files["over/kustomization.yaml"], files["mid/kustomization.yaml"])
		}
		if n := o.Cache.Builds(); n < 2 {
			t.Errorf("seed %d: built in %d parts", seed, n)
		}
	}
}

func TestWhatTheWholeRefusesIsRefusedInParts(t *testing.T) {
	for name, tc := range map[string]struct {
		overlay string
		files   map[string]string
		ok      bool
	}{
		"a patch of nothing":        {"resources: [../base]\npatches: [{patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: none}, data: {a: b}}'}]\n", nil, false},
		"a patch of something":      {"resources: [../base]\npatches: [{patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: app-1-settings}, data: {a: b}}'}]\n", nil, true},
		"replicas of nothing":       {"resources: [../base]\nreplicas: [{name: none, count: 2}]\n", nil, false},
		"replicas of something":     {"resources: [../base]\nreplicas: [{name: app-2, count: 2}]\n", nil, true},
		"objects of one name":       {"resources: [../base, zz.yaml]\n", map[string]string{"over/zz.yaml": edited(config, "settings", "app-1-settings")}, false},
		"objects of two names":      {"resources: [../base, zz.yaml]\n", map[string]string{"over/zz.yaml": edited(config, "settings", "app-x-settings")}, true},
		"one name after a prefix":   {"resources: [../mid, zz.yaml]\n", map[string]string{"mid/kustomization.yaml": "namePrefix: m-\nresources: [../base]\n", "over/zz.yaml": edited(config, "settings", "m-app-1-settings")}, false},
		"another name after it":     {"resources: [../mid, zz.yaml]\n", map[string]string{"mid/kustomization.yaml": "namePrefix: m-\nresources: [../base]\n", "over/zz.yaml": edited(config, "settings", "app-1-settings")}, true},
		"one name in one namespace": {"namespace: vision\nresources: [../base, zz.yaml]\n", map[string]string{"over/zz.yaml": edited(config, "name: settings", "name: app-1-settings, namespace: other")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			files := with(crowd(tc.overlay), tc.files)
			// Two accounts of one name become one in a namespace.
			files["base/access.yaml"] = oneAccount
			if tc.ok {
				must(t, files, "over", anywhere)
				return
			}
			if r := refusal(t, files, "over", anywhere)[0]; r.Code != verdict.RenderFailed {
				t.Errorf("got %s: %s", r.Code, r.Why)
			}
		})
	}
}

func TestOnlyWhatChangedIsBuiltAgain(t *testing.T) {
	o := anywhere
	o.Cache = render.NewCache(8 << 20)
	files := crowd("namePrefix: p-\nnamespace: vision\nresources: [../base]\n")
	files["base/access.yaml"] = oneAccount
	first := must(t, files, "over", o)
	parts := o.Cache.Builds()
	if again := must(t, files, "over", o); again.Digest() != first.Digest() || o.Cache.Builds() != parts || parts < 3 {
		t.Errorf("%d builds after %d, digest %s and %s", o.Cache.Builds(), parts, again.Digest(), first.Digest())
	}
	// Whatever is changed, a cache gives what nobody's cache gives.
	for name, change := range map[string]map[string]string{
		"an object":                  {"base/app-17.yaml": edited(stack("app-17"), "level: info", "level: debug")},
		"a comment":                  {"base/app-17.yaml": stack("app-17") + "# more\n"},
		"a kustomization":            {"over/kustomization.yaml": "namePrefix: q-\nnamespace: vision\nresources: [../base]\n"},
		"a generator's file":         {"base/words.txt": "a=c\n"},
		"an object that all mention": {"base/access.yaml": edited(files["base/access.yaml"], "verbs: [get]", "verbs: [list]")},
		"a name that others mention": {"base/app-17.yaml": edited(stack("app-17"), "metadata: {name: app-17-settings}", "metadata: {name: app-17-config}")},
	} {
		t.Run(name, func(t *testing.T) {
			changed := with(files, change)
			fresh := must(t, changed, "over", anywhere)
			before := o.Cache.Builds()
			if got := must(t, changed, "over", o); got.Digest() != fresh.Digest() {
				t.Error("the cache changes the set")
			}
			built := o.Cache.Builds() - before
			if built == 0 || strings.HasPrefix(name, "an object") && name == "an object" && built > 2 {
				t.Errorf("%d of %d parts were built", built, parts)
			}
		})
	}
	if got := must(t, files, "over", o); got.Digest() != first.Digest() {
		t.Error("what the cache holds was changed")
	}
}

func TestACacheKeepsToItsRoom(t *testing.T) {
	o := anywhere
	o.Cache = render.NewCache(20_000)
	files := crowd("resources: [../base]\n")
	first := must(t, files, "over", o)
	whole := render.NewCache(1 << 20)
	all := anywhere
	all.Cache = whole
	must(t, files, "over", all)
	if kept, built := o.Cache.Builds(), whole.Builds(); kept == 0 || kept >= built {
		t.Errorf("%d of %d builds fit", kept, built)
	}
	if again := must(t, files, "over", o); again.Digest() != first.Digest() {
		t.Error("a full cache changes the set")
	}
	none := anywhere
	none.Cache = render.NewCache(0)
	if must(t, maps.Clone(files), "over", none).Digest() != first.Digest() || none.Cache.Builds() != 0 {
		t.Error("a cache without room keeps something")
	}
}
