package manifest_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/apexlogic/apex/internal/manifest"
)

// kubectlImages returns every text that stands as the image of a container when
// the file is decoded as kubectl does: field names in any case where the object
// has a kind. What has none is no object, and is refused by whoever would apply
// it. ok is false when kubectl cannot read the file to its end.
func kubectlImages(data []byte) (images []string, ok bool) {
	dec := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		var object map[string]any
		if err := dec.Decode(&object); err != nil {
			return images, errors.Is(err, io.EOF)
		}
		same := func(a, b string) bool { return a == b }
		if kind, ok := object["kind"].(string); ok && kind != "" {
			same = strings.EqualFold
		}
		images = append(images, containerImages(object, same)...)
	}
}

func containerImages(value any, same func(a, b string) bool) (images []string) {
	switch v := value.(type) {
	case map[string]any:
		for key, field := range v {
			list, isList := field.([]any)
			if isList && (same(key, "containers") || same(key, "initContainers")) {
				for _, element := range list {
					container, _ := element.(map[string]any)
					for name, image := range container {
						if text, ok := image.(string); ok && same(name, "image") && text != "" {
							images = append(images, text)
						}
					}
				}
			}
			images = append(images, containerImages(field, same)...)
		}
	case []any:
		for _, element := range v {
			images = append(images, containerImages(element, same)...)
		}
	}
	return images
}

// kubectlSeesMore returns an image that kubectl would deploy and we have not
// seen, or "". What we reject or leave unresolved is denied anyway.
func kubectlSeesMore(data []byte) string {
	r := manifest.Extract("f", data, manifest.Limits{})
	if r.Rejected || len(r.Unresolved) > 0 {
		return ""
	}
	seen := map[string]bool{}
	for _, ref := range r.Refs {
		seen[ref.Text] = true
	}
	images, _ := kubectlImages(data)
	for _, image := range images {
		if !seen[image] {
			return image
		}
	}
	return ""
}

// What parsers are known to read differently: kubectl must never see an image
// that we do not.
var differences = []string{
	"apiVersion: v1\nkind: Pod\nspec: {containers: [{image: seen, image: hidden}]}",
	"b: &b {image: hidden}\nkind: Pod\nspec: {containers: [{image: seen, <<: *b}]}",
	"b: &b {image: hidden}\nkind: Pod\nspec: {containers: [{<<: *b, image: seen}]}",
	"a: &a {image: one}\nb: &b {image: two}\nkind: Pod\nspec: {containers: [{<<: [*a, *b]}]}",
	"kind: Pod\nspec: {containers: [{Image: hidden}]}\napiVersion: v1",
	"kind: Pod\nspec: {containers: [{!!binary aW1hZ2U=: hidden}]}",
	"kind: Pod\nspec: {containers: [{image: !!binary aGlkZGVu}]}",
	"kind: Pod\nspec: {containers: [{image: !x hidden}]}",
	"kind: Pod\nspec: !x {containers: !y [{image: hidden}]}",
	"%TAG ! tag:yaml.org,2002:\n---\nkind: Pod\nspec: {containers: [{image: !binary aGlkZGVu}]}",
	"x: |\n  text\n---\nkind: Pod\nspec: {containers: [{image: hidden}]}",
	"x: y\n---a: b\nkind: Pod\nspec: {containers: [{image: hidden}]}",
	"x: y\n--- {kind: Pod, spec: {containers: [{image: hidden}]}}",
	"x: y\n...\nkind: Pod\nspec: {containers: [{image: hidden}]}",
	"x: y\r\n---\r\nkind: Pod\r\nspec: {containers: [{image: hidden}]}\r\n",
	"# \u2028kind: Pod\nspec: {containers: [{image: hidden}]}",
	"\ufeffkind: Pod\nspec: {containers: [{image: hidden}]}",
	"{\"kind\":\"Pod\"}\n---\nkind: Pod\nspec: {containers: [{image: hidden}]}",
	"{\"kind\":\"Pod\"}{\"spec\":{\"containers\":[{\"image\":\"hidden\"}]}}",
	"{\"kind\":\"Pod\",\"spec\":{\"containers\":[{\"image\":\"hid\\u0064en\"}]}}",
	"kind: Pod\nspec: {containers: [{? image : hidden}]}",
	"k: &k image\nkind: Pod\nspec: {containers: [{*k : hidden}]}",
	"kind: Pod\nspec: &s {containers: [{image: hidden}]}\nother: *s",
	"kind: Pod\nspec: {containers: [{\"im\\x61ge\": hidden}]}",
	"kind: Pod\nspec: {containers: [{image: >-\n  hidden\n }]}",
	"kind: Pod\nspec:\n  containers:\n  - image: >-\n      hid\n      den\n",
	"kind: Pod\nspec: {containers: [{image: hidden}, x]}",
	"kind: List\nItems: [{spec: {containers: [{image: hidden}]}}]",
	"kind: ConfigMap\napiVersion: v1\ndata: {containers: [{image: hidden}]}",
	"kind: Secret\napiVersion: v1\ndata: {spec: {containers: [{image: hidden}]}}",
	"kind: CustomResourceDefinition\napiVersion: apiextensions.k8s.io/v1\nspec: {containers: [{image: hidden}]}",
	"kind: Pod\napiVersion: v1\nmetadata: {containers: [{image: hidden}]}",
	"kind: InferenceGraph\napiVersion: serving.kserve.io/v1alpha1\nspec: {nodes: {a: {steps: [{serviceUrl: {containers: [{image: hidden}]}}]}}}",
}

func TestKubectlNeverSeesMoreThanWeDo(t *testing.T) {
	for _, text := range differences {
		if image := kubectlSeesMore([]byte(text)); image != "" {
			t.Errorf("kubectl sees %q in %q, and we see %s", image, text, func() any { r := manifest.Extract("f", []byte(text), manifest.Limits{}); return r.Line() }())
		}
	}
	for _, tt := range kindCorpus {
		if image := kubectlSeesMore([]byte(tt.doc)); image != "" {
			t.Errorf("%s: kubectl sees %q", tt.name, image)
		}
	}
	// The comparison itself must be able to fail.
	if images, ok := kubectlImages([]byte(differences[9-1])); !ok || len(images) != 1 {
		t.Errorf("kubectl sees %q, %v", images, ok)
	}
}

func FuzzKubectlNeverSeesMoreThanWeDo(f *testing.F) {
	for _, text := range differences {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		if image := kubectlSeesMore(data); image != "" {
			t.Fatalf("kubectl sees %q", image)
		}
	})
}
