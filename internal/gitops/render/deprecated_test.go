package render_test

import (
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/verdict"
)

// dated uses the old fields that other fields can say as well.
var dated = map[string]string{
	"kustomization.yaml": `bases: [base]
commonLabels: {team: vision}
imageTags: [{name: ghcr.io/vision/captioner, newTag: "2"}]
patchesStrategicMerge:
- patch.yaml
- |-
  apiVersion: v1
  kind: ConfigMap
  metadata: {name: settings}
  data: {level: debug}
patches:
- target: {kind: Deployment}
  patch: '- {op: replace, path: /spec/template/spec/containers/0/env/0/value, value: "2"}'
`,
	"base/kustomization.yaml": "resources: [deploy.yaml, config.yaml]\npatchesJson6902: [{target: {version: v1, kind: ConfigMap, name: settings}, patch: '- {op: add, path: /data/x, value: \"1\"}'}]\n",
	"base/deploy.yaml":        deployment,
	"base/config.yaml":        config,
	"patch.yaml":              overlays["parts/debug/env.yaml"],
}

func TestOldFieldsAreWarnedAboutWhereTheyStand(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"old fields": {dated, []string{
			"kustomization.yaml:1: bases", "kustomization.yaml:2: commonLabels", "kustomization.yaml:3: imageTags",
			"kustomization.yaml:5: patchesStrategicMerge", "base/kustomization.yaml:2: patchesJson6902"}},
		"variables": {map[string]string{"kustomization.yaml": "resources: [c.yaml]\nvars: [{name: X, objref: {apiVersion: v1, kind: ConfigMap, name: settings}}]\n", "c.yaml": config},
			[]string{"kustomization.yaml:2: vars"}},
		"one base named twice": {map[string]string{"kustomization.yaml": "resources: [a, b]\n", "a/kustomization.yaml": "namePrefix: a-\nresources: [../base]\n", "b/kustomization.yaml": "namePrefix: b-\nresources: [../base]\n",
			"base/kustomization.yaml": "commonLabels: {a: b}\nresources: [c.yaml]\n", "base/c.yaml": config}, []string{"base/kustomization.yaml:1: commonLabels"}},
		"new fields": {with(overlays, map[string]string{"kustomization.yaml": "resources: [prod]\n", "base/kustomization.yaml": "resources: [deploy.yaml, config.yaml]\n"}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			o := options
			o.Warn = func(w render.Warning) {
				if w.Code != verdict.RenderDeprecated || !strings.Contains(w.Why, ": use ") {
					t.Errorf("got %s: %s", w.Code, w.Why)
				}
				field, _, _ := strings.Cut(w.Why, " ")
				got = append(got, fmt.Sprintf("%s:%d: %s", w.Where.File, w.Where.Line, field))
			}
			must(t, tc.files, ".", o)
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// A build writes nothing to the standard error of the process, which belongs to
// others: it is looked at from outside.
func TestNothingIsWrittenToStandardError(t *testing.T) {
	const inside = "RENDER_IN_A_PROCESS_OF_ITS_OWN"
	if os.Getenv(inside) != "" {
		set := must(t, dated, ".", options)
		plain := must(t, map[string]string{"out.yaml": os.Getenv(inside)}, ".", options)
		if !reflect.DeepEqual(bodies(set), bodies(plain)) {
			t.Errorf("got %v\nwant %v", bodies(set), bodies(plain))
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"="+kubectl(t, dated, "."))
	cmd.Stderr = &errs
	if out, err := cmd.Output(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if errs.Len() > 0 {
		t.Errorf("got %q", errs.String())
	}
}
