package render_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/verdict"
)

// overlays is a base with two overlays and a component, as teams have them.
var overlays = map[string]string{
	"base/kustomization.yaml": "resources: [deploy.yaml, config.yaml]\ncommonLabels: {team: vision}\n",
	"base/deploy.yaml":        deployment,
	"base/config.yaml":        config,
	"parts/debug/kustomization.yaml": `apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
- path: env.yaml
`,
	"parts/debug/env.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: captioner}
spec: {template: {spec: {containers: [{name: serve, env: [{name: DEBUG, value: "1"}]}]}}}
`,
	"prod/kustomization.yaml": `namespace: vision
namePrefix: prod-
resources: [../base]
components: [../parts/debug]
images:
- name: ghcr.io/vision/captioner
  newTag: "1.3"
replicas: [{name: captioner, count: 3}]
patches:
- target: {kind: Deployment}
  patch: |-
    - op: add
      path: /spec/template/spec/priorityClassName
      value: high
replacements:
- path: replace.yaml
configMapGenerator:
- name: words
  literals: [HOME=https://example.com/a]
  files: [prompt.txt, key=other.txt]
  envs: [settings.env]
`,
	"prod/replace.yaml": `source: {kind: ConfigMap, name: settings, fieldPath: data.level}
targets:
- select: {kind: Deployment}
  fieldPaths: [spec.template.metadata.annotations.level]
  options: {create: true}
`,
	"prod/prompt.txt":   "Describe: {{ picture }}\n",
	"prod/other.txt":    "x",
	"prod/settings.env": "# words\nA=1\n\nB=\n",
}

func with(files map[string]string, more map[string]string) map[string]string {
	files = maps.Clone(files)
	maps.Copy(files, more)
	return files
}

// kubectl builds as kubectl kustomize does, on the same files.
func kubectl(t *testing.T, files map[string]string, dir string) string {
	t.Helper()
	fsys := filesys.MakeFsInMemory()
	for name, text := range files {
		if err := fsys.WriteFile("/"+name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fsys, path.Join("/", dir))
	if err != nil {
		t.Fatal(err)
	}
	text, err := m.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// bodies are the objects of a set by their IDs.
func bodies(s *gitops.Set) map[string]any {
	out := map[string]any{}
	for _, o := range s.Objects() {
		out[o.ID.String()] = o.Body
	}
	return out
}

func TestAKustomizationIsRenderedAsItsPlainOutputIs(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string]string
		dir   string
	}{
		"an overlay with everything": {overlays, "prod"},
		"a base alone":               {overlays, "base"},
		"old fields": {with(overlays, map[string]string{"prod/kustomization.yaml": `bases: [../base]
commonLabels: {a: b}
commonAnnotations: {c: d}
imageTags: [{name: ghcr.io/vision/captioner, newTag: "2"}]
patchesStrategicMerge:
- patch.yaml
- |-
  apiVersion: v1
  kind: ConfigMap
  metadata: {name: settings}
  data: {level: debug}
patchesJson6902:
- target: {version: v1, kind: ConfigMap, name: settings}
  path: json.yaml
vars:
- name: LEVEL
  objref: {apiVersion: v1, kind: ConfigMap, name: settings}
  fieldref: {fieldpath: data.level}
`, "prod/patch.yaml": overlays["parts/debug/env.yaml"], "prod/json.yaml": "- {op: add, path: /data/x, value: \"1\"}\n"}), "prod"},
		"values that change their type in YAML": {map[string]string{"kustomization.yaml": "resources: [c.yaml]\nnameSuffix: -x\n", "c.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: settings, annotations: {date: "2024-01-02", word: "yes"}}
data: {a: "0644", b: "1e3", c: "null", d: "~", e: "1_000", f: "", g: "0x10"}
`}, "."},
	} {
		t.Run(name, func(t *testing.T) {
			built := must(t, tc.files, tc.dir, options)
			plain := must(t, map[string]string{"out.yaml": kubectl(t, tc.files, tc.dir)}, ".", options)
			if got, want := bodies(built), bodies(plain); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v\nwant %v", got, want)
			}
		})
	}
}

func TestAQuotedWordSurvivesAKustomization(t *testing.T) {
	set := must(t, map[string]string{"kustomization.yaml": "resources: [c.yaml]\ncommonAnnotations: {a: b}\n", "c.yaml": edited(config, "name: settings", `name: settings, annotations: {"on": "yes"}`)}, ".", options)
	if got := set.Objects()[0].Body["metadata"].(map[string]any)["annotations"]; !reflect.DeepEqual(got, map[string]any{"a": "b", "on": "yes"}) {
		t.Errorf("got %v", got)
	}
}

func TestObjectsOfAKustomizationKnowTheirFile(t *testing.T) {
	set := must(t, overlays, "prod", options)
	var got []string
	for _, o := range set.Objects() {
		got = append(got, o.Kind+" "+o.Where.String())
	}
	want := []string{"ConfigMap base/config.yaml:1", "ConfigMap prod/kustomization.yaml", "Deployment base/deploy.yaml:1"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	bad := with(overlays, map[string]string{"base/deploy.yaml": config + "---\n" + edited(deployment, "captioner:1.2", "gone:1.2"), "base/kustomization.yaml": "resources: [deploy.yaml]\n"})
	if r := refusal(t, bad, "prod", options)[0]; r.Where.File != "base/deploy.yaml" || r.Where.Line != 6 || r.Where.Pointer != "/spec/template/spec/containers/0/image" {
		t.Errorf("the place is %v", r.Where)
	}
}

func TestKustomizationsAreRefusedWithTheirReason(t *testing.T) {
	base := map[string]string{"a/config.yaml": config, "a/deploy.yaml": deployment, "a/sub/kustomization.yaml": "resources: [c.yaml]\n", "a/sub/c.yaml": edited(config, "settings", "sub"),
		"shared.yaml": edited(config, "settings", "shared"), "shared/kustomization.yaml": "resources: [s.yaml]\n", "shared/s.yaml": edited(config, "settings", "shared")}
	twin := "resources: [config.yaml, sub, ../shared]\n"
	for name, tc := range map[string]struct {
		text  string // a/kustomization.yaml
		files map[string]string
		code  verdict.Code
		why   string
		line  int
	}{
		"a base over https":                   {"resources:\n- config.yaml\n- https://github.com/x/y?ref=v1\n", nil, verdict.RenderRemote, "remote address", 3},
		"a file over http":                    {"resources:\n- http://127.0.0.1:1/x.yaml\n", nil, verdict.RenderRemote, "remote address", 2},
		"a base over ssh":                     {"resources: [\"git@github.com:x/y\"]\n", nil, verdict.RenderRemote, "remote address", 1},
		"a base of another user":              {"resources: [\"u@host/x/y\"]\n", nil, verdict.RenderRemote, "remote address", 1},
		"a base of GitHub without https":      {"resources: [github.com/x/y]\n", map[string]string{"a/github.com/x/y/kustomization.yaml": "resources: []"}, verdict.RenderRemote, "remote address", 1},
		"a base of GitHub in capitals":        {"resources: [GitHub.com/x/y]\n", nil, verdict.RenderRemote, "remote address", 1},
		"a base with a forced protocol":       {"resources: [\"git::https://x/y\"]\n", nil, verdict.RenderRemote, "remote address", 1},
		"a base with a query":                 {"resources: [\"x/y?ref=v1\"]\n", nil, verdict.RenderRemote, "remote address", 1},
		"a base with two slashes":             {"resources: [x//y]\n", nil, verdict.RenderRemote, "remote address", 1},
		"a base of the file protocol":         {"resources: [\"file:///etc\"]\n", nil, verdict.RenderRemote, "remote address", 1},
		"a remote base in an old field":       {"bases: [\"https://x/y\"]\n", nil, verdict.RenderRemote, "remote address", 0},
		"a remote base in other case":         {"Resources: [\"https://x/y\"]\n", nil, verdict.RenderRemote, "remote address", 0},
		"a remote base of a base":             {"resources: [sub]\n", map[string]string{"a/sub/kustomization.yaml": "resources: [\"https://x/y\"]\n"}, verdict.RenderRemote, "remote address", 1},
		"a remote component":                  {"components: [\"https://x/y\"]\n", nil, verdict.RenderRemote, "remote address", 1},
		"a remote patch":                      {twin + "patches: [{path: \"https://x/p.yaml\"}]\n", nil, verdict.RenderRemote, "remote address", 2},
		"a remote strategic patch":            {twin + "patchesStrategicMerge: [\"https://x/p.yaml\"]\n", nil, verdict.RenderRemote, "remote address", 2},
		"a remote JSON patch":                 {twin + "patchesJson6902: [{target: {version: v1, kind: ConfigMap, name: x}, path: \"https://x/p\"}]\n", nil, verdict.RenderRemote, "remote address", 2},
		"a remote replacement":                {twin + "replacements: [{path: \"https://x/r.yaml\"}]\n", nil, verdict.RenderRemote, "remote address", 2},
		"a remote schema of a CRD":            {twin + "crds: [\"https://x/c.json\"]\n", nil, verdict.RenderRemote, "remote address", 2},
		"a remote configuration":              {twin + "configurations: [\"https://x/c.yaml\"]\n", nil, verdict.RenderRemote, "remote address", 2},
		"a remote file of a generator":        {twin + "configMapGenerator: [{name: x, files: [\"k=https://x/c\"]}]\n", nil, verdict.RenderRemote, "remote address", 2},
		"remote variables":                    {twin + "secretGenerator: [{name: x, envs: [\"https://x/c\"]}]\n", nil, verdict.RenderRemote, "remote address", 2},
		"remote variables, old field":         {twin + "secretGenerator: [{name: x, env: \"https://x/c\"}]\n", nil, verdict.RenderRemote, "remote address", 2},
		"a path out of the repository":        {"resources: [../../x]\n", nil, verdict.RenderPath, "leaves the repository", 1},
		"an absolute path":                    {"resources: [/etc/passwd]\n", nil, verdict.RenderPath, "relative", 1},
		"a path with backslashes":             {"resources: ['..\\x']\n", nil, verdict.RenderPath, "relative", 1},
		"a path of two":                       {"resources:\n- sub\n - ../shared\n", nil, verdict.RenderPath, "indentation", 2},
		"a path that is not there":            {"resources: [none.yaml]\n", nil, verdict.RenderPath, "a/none.yaml", 1},
		"an empty path":                       {"resources: [\"\"]\n", nil, verdict.RenderPath, "not a path", 1},
		"a folder without kustomization":      {"resources: [empty]\n", map[string]string{"a/empty/x.txt": ""}, verdict.RenderPath, "holds no kustomization", 1},
		"a file of another folder":            {"resources: [../shared.yaml]\n", nil, verdict.RenderPath, "outside of the kustomization's folder", 1},
		"a generator's file elsewhere":        {twin + "configMapGenerator: [{name: x, files: [../shared.yaml]}]\n", nil, verdict.RenderPath, "outside of the kustomization's folder", 2},
		"a circle":                            {"resources: [sub]\n", map[string]string{"a/sub/kustomization.yaml": "resources: [../../a]\n"}, verdict.RenderFailed, "part of itself", 1},
		"helm charts":                         {twin + "helmCharts: [{name: x, repo: \"https://x\"}]\n", nil, verdict.RenderFeature, "helm template", 2},
		"an inflator of helm charts":          {twin + "helmChartInflationGenerator: [{chartName: x}]\n", nil, verdict.RenderFeature, "helm template", 2},
		"settings of helm":                    {twin + "helmGlobals: {chartHome: x}\n", nil, verdict.RenderFeature, "helm template", 2},
		"a generator":                         {twin + "generators: [gen.yaml]\n", nil, verdict.RenderFeature, "may run programs", 2},
		"a transformer":                       {twin + "transformers: [t.yaml]\n", nil, verdict.RenderFeature, "may run programs", 2},
		"a validator":                         {twin + "validators: [v.yaml]\n", nil, verdict.RenderFeature, "may run programs", 2},
		"a schema":                            {twin + "openapi: {version: v1.20.4}\n", nil, verdict.RenderFeature, "every other kustomization", 2},
		"metadata of the build":               {twin + "buildMetadata: [managedByLabel]\n", nil, verdict.RenderFeature, "remove it", 2},
		"a variable of the process":           {twin + "configMapGenerator: [{name: x, envs: [e.env]}]\n", map[string]string{"a/e.env": "A=1\nHOME\n"}, verdict.RenderFeature, "environment of the process", 2},
		"a field that is none":                {twin + "resource: [x]\n", nil, verdict.ManifestInvalid, "unknown field", 0},
		"a key twice":                         {twin + twin, nil, verdict.ManifestInvalid, "duplicate key", 2},
		"two documents":                       {twin + "---\n" + twin, nil, verdict.ManifestInvalid, "one document", 0},
		"a bomb in a patch":                   {twin + "patches: [{path: bomb.yaml}]\n", map[string]string{"a/bomb.yaml": "a: &a [*a]\n"}, verdict.ManifestInvalid, "part of what it names", 1},
		"a bomb in a patch written here":      {twin + "patches:\n- patch: |\n    a: &a [*a]\n", nil, verdict.ManifestInvalid, "part of what it names", 3},
		"a boolean of YAML 1.1, patched in":   {twin + "patches: [{path: p.yaml}]\n", map[string]string{"a/p.yaml": edited(config, "info", "on")}, verdict.ManifestInvalid, "quote it", 4},
		"a boolean of YAML 1.1, patched here": {twin + "patches:\n- patch: |\n    a: no\n", nil, verdict.ManifestInvalid, "quote it", 3},
		"a boolean of YAML 1.1":               {"resources: [x.yaml]\n", map[string]string{"a/x.yaml": edited(config, "info", "on")}, verdict.ManifestInvalid, "quote it", 4},
		"SOPS in a secret's file":             {twin + "secretGenerator: [{name: x, files: [s.json]}]\n", map[string]string{"a/s.json": `{"a":"ENC[AES256_GCM,data:x]"}`}, verdict.RenderEncrypted, "SOPS", 0},
		"a patch of nothing":                  {twin + "patches: [{path: p.yaml}]\n", map[string]string{"a/p.yaml": edited(config, "settings", "other")}, verdict.RenderFailed, "cannot be built", 0},
		"objects of one name":                 {"resources: [config.yaml, x.yaml]\n", map[string]string{"a/x.yaml": config}, verdict.RenderFailed, "cannot be built", 0},
		"an object of a wrong namespace":      {"namespace: claims\n" + twin, nil, verdict.ObjectNamespace, "claims", 0},
		"nothing":                             {"namePrefix: x-\n", nil, verdict.RenderEmpty, "nothing would be applied", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := refusal(t, with(with(base, tc.files), map[string]string{"a/kustomization.yaml": tc.text}), "a", options)[0]
			if r.Code != tc.code || !strings.Contains(r.Why, tc.why) || tc.line != 0 && r.Where.Line != tc.line {
				t.Errorf("got %s at %v: %s", r.Code, r.Where, r.Why)
			}
		})
	}
	t.Run("the same without it is rendered", func(t *testing.T) {
		text := twin + "configMapGenerator: [{name: x, envs: [e.env]}]\npatches: [{path: p.yaml}]\n"
		must(t, with(base, map[string]string{"a/kustomization.yaml": text, "a/e.env": "A=1\nHOME=\n", "a/p.yaml": config}), "a", options)
	})
}

func TestKustomizationsThatGrowWithoutEndAreRefused(t *testing.T) {
	// Every level is the level below it, twice.
	files := map[string]string{"l0/kustomization.yaml": "resources: [c.yaml]\n", "l0/c.yaml": config}
	for i := 1; i <= 20; i++ {
		for _, half := range []string{"a", "b"} {
			files[fmt.Sprintf("l%d%s/kustomization.yaml", i, half)] = fmt.Sprintf("namePrefix: %s-\nresources: [../l%d]\n", half, i-1)
		}
		files[fmt.Sprintf("l%d/kustomization.yaml", i)] = fmt.Sprintf("resources: [../l%da, ../l%db]\n", i, i)
	}
	if r := refusal(t, files, "l20", options)[0]; r.Code != verdict.RenderTooLarge {
		t.Errorf("got %s: %s", r.Code, r.Why)
	}
	if got := len(must(t, files, "l3", options).Objects()); got != 8 {
		t.Errorf("three levels have %d objects", got)
	}
	var patches strings.Builder
	patches.WriteString("resources: [many.yaml]\npatches:\n")
	for range 1000 {
		patches.WriteString("- {target: {kind: ConfigMap}, patch: '[{op: add, path: /data/x, value: y}]'}\n")
	}
	var many strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&many, "---\n%s", edited(config, "settings", fmt.Sprintf("c%d", i)))
	}
	if r := refusal(t, map[string]string{"kustomization.yaml": patches.String(), "many.yaml": many.String()}, ".", options)[0]; r.Code != verdict.RenderTooLarge || !strings.Contains(r.Why, "changes") {
		t.Errorf("got %s: %s", r.Code, r.Why)
	}
	crowd := map[string]string{"kustomization.yaml": "resources: [f0.yaml, f1.yaml]\n"}
	for i := range 3200 {
		crowd[fmt.Sprintf("f%d.yaml", i%2)] += "---\n" + edited(config, "settings", fmt.Sprintf("c%d", i))
	}
	if r := refusal(t, crowd, ".", options)[0]; r.Code != verdict.RenderTooLarge || !strings.Contains(r.Why, "compares") {
		t.Errorf("got %s: %s", r.Code, r.Why)
	}
	delete(crowd, "kustomization.yaml") // the same as plain manifests is no trouble
	if got := len(must(t, crowd, ".", options).Objects()); got != 3200 {
		t.Errorf("%d objects", got)
	}
	o := options
	o.MaxObjects = 1000
	if r := refusal(t, map[string]string{"kustomization.yaml": "resources: [many.yaml]\n", "many.yaml": many.String()}, ".", o)[0]; r.Code != verdict.RenderTooLarge || !strings.Contains(r.Why, "quota") {
		t.Errorf("got %s: %s", r.Code, r.Why)
	}
}

func TestTheSameTreeGivesTheSameBytes(t *testing.T) {
	first := must(t, overlays, "prod", options)
	var wg sync.WaitGroup
	for range 4 { // builds at the same time share nothing
		wg.Go(func() {
			set, err := render.Render(t.Context(), tree(overlays), "prod", options)
			if err != nil || set.Digest() != first.Digest() {
				t.Errorf("another digest, or %v", err)
			}
		})
	}
	wg.Wait()
	reordered := edited(overlays["prod/kustomization.yaml"], "literals: [HOME=https://example.com/a]\n  files: [prompt.txt, key=other.txt]", "files: [key=other.txt, prompt.txt]\n  literals: [HOME=https://example.com/a]")
	set := must(t, with(overlays, map[string]string{"prod/kustomization.yaml": reordered, "base/kustomization.yaml": "commonLabels: {team: vision}\nresources: [config.yaml, deploy.yaml]\n"}), "prod", options)
	if set.Digest() != first.Digest() {
		t.Error("the order of resources and sources changes the set")
	}
	more := must(t, with(overlays, map[string]string{"base/deploy.yaml": deployment + "# a comment\n"}), "prod", options)
	if more.Digest() != first.Digest() {
		t.Error("a comment changes the set")
	}
	other := must(t, with(overlays, map[string]string{"prod/settings.env": "A=2\n"}), "prod", options)
	if other.Digest() == first.Digest() {
		t.Error("another value does not change the set")
	}
}

func TestNothingIsEverFetched(t *testing.T) {
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(config))
	}))
	defer srv.Close()
	for _, field := range []string{`resources: ["%s/x.yaml"]`, `bases: ["%s/x"]`, `components: ["%s/x"]`, `crds: ["%s/x"]`, `configurations: ["%s/x"]`,
		`patches: [{path: "%s/x"}]`, `patchesStrategicMerge: ["%s/x"]`, `patchesJson6902: [{target: {version: v1, kind: ConfigMap, name: settings}, path: "%s/x"}]`,
		`replacements: [{path: "%s/x"}]`, `configMapGenerator: [{name: x, files: ["%s/x"]}]`, `configMapGenerator: [{name: x, envs: ["%s/x"]}]`,
		`configMapGenerator: [{name: x, env: "%s/x"}]`, `secretGenerator: [{name: x, files: ["a=%s/x"]}]`, `generators: ["%s/x"]`, `transformers: ["%s/x"]`,
		`validators: ["%s/x"]`, `openapi: {path: "%s/x"}`, `helmCharts: [{name: x, repo: "%s"}]`} {
		for _, address := range []string{srv.URL, strings.ToUpper(srv.URL[:4]) + srv.URL[4:], "git::" + srv.URL} {
			text := fmt.Sprintf(field, address)
			r := refusal(t, map[string]string{"c.yaml": config, "kustomization.yaml": text + "\n"}, ".", options)[0]
			if r.Code != verdict.RenderRemote && r.Code != verdict.RenderFeature {
				t.Errorf("%s: got %s: %s", text, r.Code, r.Why)
			}
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d requests", n)
	}
	if res, err := http.Get(srv.URL); err != nil || asked.Load() != 1 {
		t.Errorf("the server would not have noticed: %v", err)
	} else {
		res.Body.Close()
	}
}
