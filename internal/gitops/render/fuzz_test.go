package render_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/render"
)

// FuzzRender renders two foreign files, one of which may be a kustomization.
// Whatever comes out is canonical, pinned and holds to the rules; whatever does
// not is a refusal with a reason.
func FuzzRender(f *testing.F) {
	for _, seed := range [][2]string{
		{config, "resources: [f.yaml]"}, {deployment, ""}, {every, "namePrefix: x-\nresources: [f.yaml]\n"}, {kserve("a: b"), ""}, {sam, ""}, {zipped, ""},
		{service, ""}, {faas, ""}, {"{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[]}", ""}, {"a: &a [*a]", "patches: [{path: f.yaml}]"},
		{deployment, "resources: [f.yaml]\npatches: [{patch: '[{\"op\":\"remove\",\"path\":\"/spec\"}]', target: {kind: Deployment}}]"},
		{config, "resources: [f.yaml]\nconfigMapGenerator: [{name: x, envs: [f.yaml], files: [a=f.yaml]}]\ncommonLabels: {a: b}"},
		{config, "resources: [\"https://x/y\", ../f.yaml]"}, {config, "resources: [f.yaml]\nvars: [{name: A, objref: {kind: ConfigMap, name: settings, apiVersion: v1}}]"},
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: 0x1F, b: 1e400, c: .nan, d: ~}\n", ""},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	o := options
	o.Account, o.Region = "123456789012", "eu-central-1"
	f.Fuzz(func(t *testing.T, file, kustomization []byte) {
		if len(file)+len(kustomization) > 64<<10 {
			return
		}
		files := map[string]string{"f.yaml": string(file)}
		if len(kustomization) > 0 {
			files["kustomization.yaml"] = string(kustomization)
		}
		set, err := render.Render(t.Context(), tree(files), ".", o)
		if err != nil {
			var refused *render.Error
			if !errors.As(err, &refused) || len(refused.Reasons) == 0 || refused.Reasons[0].Code == "" || refused.Reasons[0].Why == "" {
				t.Fatalf("an error that is no refusal: %v", err)
			}
			return
		}
		again, err := gitops.ReadSet(set.Bytes())
		if err != nil || !bytes.Equal(again.Bytes(), set.Bytes()) {
			t.Fatalf("the set is not canonical: %v\n%s", err, set.Bytes())
		}
		if err := render.Check(again, o); err != nil {
			t.Fatalf("the set breaks the rules: %v\n%s", err, set.Bytes())
		}
		second, err := render.Render(t.Context(), tree(files), ".", o)
		if err != nil || second.Digest() != set.Digest() {
			t.Fatalf("another time it is another set: %v", err)
		}
	})
}
