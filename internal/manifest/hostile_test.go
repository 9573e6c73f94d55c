package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/verdict"
)

// pod puts fields beside a good container.
func pod(fields string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: n}\nspec:\n  containers:\n  - image: good/c\n" + fields
}

// Each rejected file stands beside a twin with the one thing mended, which is
// read. A rejected file yields nothing but its problem.
func TestAFileThatCannotBeReadSafelyIsRejectedAsAWhole(t *testing.T) {
	deep := strings.Repeat("[", 120) + strings.Repeat("]", 120)
	shallow := strings.Repeat("[", 90) + strings.Repeat("]", 90)
	laughs := func(levels int) string {
		var b strings.Builder
		b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
		for i := 1; i <= levels; i++ {
			fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
		}
		return b.String()
	}
	for _, tt := range []struct {
		name, bad, why string
		line, column   int
		twin           string
	}{
		{"a key that comes twice", pod("    image: bad/c\n"), "duplicate key", 7, 5, pod("    name: c\n")},
		{"a key that comes twice, quoted", pod("    \"image\": bad/c\n"), "duplicate key", 7, 5, pod("    \"name\": c\n")},
		{"a key that comes twice in a long mapping", pod("  a: {a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1, h: 1, i: 1, j: 1, k: 1, l: 1, m: 1, n: 1, a: 2}\n"), "duplicate key", 7, 91, pod("  a: {a: 1, b: 2}\n")},
		{"a key that comes twice in JSON", "{\"kind\":\"Pod\",\n\"spec\":{\"containers\":[{\"image\":\"good/c\",\"image\":\"bad/c\"}]}}", "duplicate key", 2, 41, `{"kind":"Pod","spec":{"containers":[{"image":"good/c"}]}}`},
		{"a key that comes twice in JSON through an escape", `{"kind":"Pod","spec":{"containers":[{"image":"good/c","im\u0061ge":"bad/c"}]}}`, "duplicate key", 1, 55, `{"kind":"Pod","spec":{"containers":[{"image":"good/c","im\u0061gf":"bad/c"}]}}`},
		{"a key that comes twice inside of an anchor", "x: &x {image: good/a, image: bad/a}\ny: *x\n", "duplicate key", 1, 23, "x: &x {image: good/a, name: a}\ny: *x\n"},
		{"a merge behind the key that it would override", "b: &b {image: bad/c}\nkind: Pod\nspec:\n  containers:\n  - image: good/c\n    <<: *b\n", "write << first", 6, 9, "b: &b {name: c}\nkind: Pod\nspec:\n  containers:\n  - image: good/c\n    <<: *b\n"},
		{"two merges in one mapping", "a: &a {x: 1}\nb: &b {y: 1}\nc:\n  <<: *a\n  <<: *b\n", `"<<" is already on line 4`, 5, 3, "a: &a {x: 1}\nb: &b {y: 1}\nc:\n  <<: [*a, *b]\n"},
		{"a merge of text", "c: {<<: x}\n", "<< takes an alias", 1, 9, "c: {<<: {x: 1}}\n"},
		{"a quoted merge key", "c: {'<<': {image: bad/x}}\n", "disagree", 1, 5, "c: {<<: {image: good/x}}\n"},
		{"a merge key in JSON", `{"<<":{"image":"bad/x"}}`, "merge", 1, 2, `{"x":{"image":"good/x"}}`},
		{"a mapping as a key, which a template looks like", pod("  - image: {{ .Values.image }}\n"), "render it first", 7, 13, pod("  - image: \"{{ .Values.image }}\"\n")},
		{"a list as a key", "? [a]\n: b\n", "key that is not a string", 1, 3, "? a\n: b\n"},
		{"null as a key", "~: b\n", "key that is not a string", 1, 1, "'~': b\n"},
		{"an alias that is part of what it names", "a: &a [*a]\n", "part of what it names", 1, 8, "a: &a [b]\nc: *a\n"},
		{"a merge of itself", "a: &a {<<: *a}\n", "part of what it names", 1, 12, "a: &a {b: c}\nd: {<<: *a}\n"},
		{"an alias of nothing", "a: *b\n", "unknown anchor", 0, 0, "b: &b c\na: *b\n"},
		{"aliases that grow to a billion", laughs(9), "aliases are expanded", 6, 0, laughs(3)},
		{"a hundred aliases of a large value", "a: &a [" + strings.Repeat("x,", 40_000) + "]\nb: [" + strings.Repeat("*a,", 100) + "]\n", "aliases are expanded", 2, 4, "a: &a [" + strings.Repeat("x,", 40_000) + "]\nb: [" + strings.Repeat("*a,", 10) + "]\n"},
		{"merges of merges, each of which brings nothing new", "b: &b {x: 1, y: 2}\nc: &c [" + strings.Repeat("*b,", 1000) + "]\nd:\n" + strings.Repeat("- {<<: *c}\n", 1000), "merges more than", 0, 0, "b: &b {x: 1, y: 2}\nc: &c [*b]\nd:\n" + strings.Repeat("- {<<: *c}\n", 1000)},
		{"more directives than anybody writes", strings.Repeat("%TAG !a! tag:x\r", 1001) + "--- x\n", "directives", 0, 0, "%TAG !a! tag:x\r--- x\n"},
		{"nesting deeper than the limit", "a: " + deep, "nested deeper", 1, 0, "a: " + shallow},
		{"nesting deeper than the limit in JSON", `{"a": ` + deep + `}`, "nested deeper", 1, 0, `{"a": ` + shallow + `}`},
		{"nesting deeper than the limit through aliases", "a: &a " + strings.Repeat("[", 60) + strings.Repeat("]", 60) + "\nb: " + strings.Repeat("[", 60) + "*a" + strings.Repeat("]", 60), "nested deeper", 2, 0, "a: &a [[]]\nb: [[*a]]"},
		{"more documents than the limit", strings.Repeat("a: b\n---\n", 2_500), "documents", 4002, 1, strings.Repeat("a: b\n---\n", 1_900)},
		{"a document that no API server takes", "a: '" + strings.Repeat("x", 4<<20) + "'\n", "larger than an API server", 1, 1, "a: '" + strings.Repeat("x", 2<<20) + "'\n"},
		{"a document of separators only", "a: [" + strings.Repeat(",", 1<<20) + "]\n", "larger than an API server", 1, 1, "a: [" + strings.Repeat("1,", 1<<18) + "]\n"},
		{"a file larger than the limit", strings.Repeat("# comment\n", 900_000), "limit is 8388608", 0, 0, strings.Repeat("# comment\n", 200_000)},
		{"bytes that are not UTF-8", "a: b\nc: \xff\n", "UTF-8", 2, 4, "a: b\nc: \u00ff\n"},
		{"UTF-16", "\xff\xfea\x00:\x00", "UTF-8", 1, 1, "\ufeffa: b"},
		{"a NUL", "a: b\x00\n", "NUL", 1, 5, "a: b\n"},
		{"a control character", "a: \"\x01\"\n", "control characters", 0, 0, "a: \"\\x01\"\n"},
		{"a byte order mark in the middle", "a: b\n---\n\ufeffkind: Pod\n", "byte order mark", 3, 1, "\ufeffa: b\n---\nkind: Pod\n"},
		{"text behind the separator, which file cutters drop", "a: b\n---x: y\n", "behind", 2, 4, "a: b\n--- # x\nx: y\n"},
		{"a tab as indentation", "a:\n\tb: c\n", "not valid YAML", 2, 1, "a:\n  b: c\n"},
		{"a tag that decodes its value", pod("  - image: !!binary YmFkL3g=\n"), "changes what the value means", 7, 12, pod("  - image: !!str good/x\n")},
		{"a tag that decodes its key", pod("  - !!binary aW1hZ2U=: bad/x\n"), "changes what the value means", 7, 5, pod("  - !!str image: good/x\n")},
		{"a template that is not rendered", "{{- if .Values.x }}\na: b\n{{- end }}\n", "render it first", 1, 2, "a: b\n"},
		{"JSON with something behind it", `{"a":"b"} x`, "not valid JSON", 1, 11, `{"a":"b"} {"c":"d"}`},
		{"JSON that ends early", `{"a":`, "not valid JSON", 1, 0, `{"a":1}`},
		{"a key longer than any", "? " + strings.Repeat("k", 1025) + "\n: v\n", "key of 1025 bytes", 1, 3, "? " + strings.Repeat("k", 1024) + "\n: v\n"},

		{"an image that is a number", pod("  - image: 12\n"), "not a string", 7, 12, pod("  - image: \"12\"\n")},
		{"an image that is a list", pod("  - image: [bad/x]\n"), "not a string", 7, 12, pod("  - image: good/x\n")},
		{"an image that is a mapping", pod("  - image: {name: bad/x}\n"), "not a string", 7, 12, pod("  - image: good/x\n")},
		{"containers that are a mapping", pod("  initContainers: {a: {image: bad/x}}\n"), "not a list", 7, 19, pod("  initContainers: [{image: good/x}]\n")},
		{"a container that is text", pod("  - bad/x\n"), "not a mapping", 7, 5, pod("  - {image: good/x}\n")},
		{"a container that is null", pod("  -\n"), "null", 0, 0, pod("")},
		{"a pod spec that is a list", "apiVersion: v1\nkind: Pod\nspec: [{containers: [{image: bad/x}]}]\n", "not a mapping", 3, 7, "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: good/x}]}\n"},
		{"items that are a mapping", "kind: List\nitems: {a: {kind: Pod}}\n", "not a list", 2, 8, "kind: List\nitems: [{kind: Pod}]\n"},
		{"a kind that is a number", "apiVersion: v1\nkind: 1\n", "kind is not a string", 2, 7, "apiVersion: v1\nkind: '1'\n"},
		{"Image for image", pod("  - Image: bad/x\n"), "only by case", 7, 5, pod("  - image: good/x\n")},
		{"Containers for containers", "apiVersion: v1\nkind: Pod\nspec:\n  Containers: [{image: bad/x}]\n", "only by case", 4, 3, "apiVersion: v1\nkind: Pod\nspec:\n  containers: [{image: good/x}]\n"},
		{"initcontainers for initContainers", pod("  initcontainers: [{image: bad/x}]\n"), "only by case", 7, 3, pod("  initContainers: [{image: good/x}]\n")},
		{"a long s for s, which decoders fold", pod("  initContainer\u017f: [{image: bad/x}]\n"), "only by case", 7, 3, pod("  initContainers: [{image: good/x}]\n")},
		{"Spec for spec", "apiVersion: v1\nkind: Pod\nSpec: {}\n", "only by case", 3, 1, "apiVersion: v1\nkind: Pod\nspec: {}\n"},
		{"Template for template", "apiVersion: apps/v1\nkind: Deployment\nspec: {Template: {}}\n", "only by case", 3, 8, "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {}}\n"},
		{"Kind for kind", "apiVersion: v1\nKind: Pod\n", "only by case", 2, 1, "apiVersion: v1\nkind: Pod\n"},
		{"containers in other case in an unknown kind", "apiVersion: x.io/v1\nkind: X\nspec: {CONTAINERS: [{image: bad/x}]}\n", "only by case", 3, 8, "apiVersion: x.io/v1\nkind: X\nspec: {containers: [{image: good/x}]}\n"},
		{"storageURI for storageUri", "apiVersion: serving.kserve.io/v1alpha1\nkind: TrainedModel\nspec: {model: {storageURI: 's3://bad'}}\n", "only by case", 3, 16, "apiVersion: serving.kserve.io/v1alpha1\nkind: TrainedModel\nspec: {model: {storageUri: 's3://good/m'}}\n"},
		{"a model that is a list", "apiVersion: serving.kserve.io/v1alpha1\nkind: TrainedModel\nspec: {model: {storageUri: ['s3://bad']}}\n", "not a string", 3, 28, "apiVersion: serving.kserve.io/v1alpha1\nkind: TrainedModel\nspec: {model: {storageUri: 's3://good/m'}}\n"},
		{"labels that are a list", "apiVersion: v1\nkind: Pod\nmetadata: {labels: [a]}\n", "labels is not a mapping", 3, 20, "apiVersion: v1\nkind: Pod\nmetadata: {labels: {a: b}}\n"},
		{"text that should hold an object and does not", "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {templates: [{resource: {manifest: \"a: [\"}}]}\n", "in the text here", 3, 42, "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {templates: [{resource: {manifest: \"a: []\"}}]}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := manifest.Extract("f.yaml", []byte(tt.bad), manifest.Limits{})
			if !r.Rejected || len(r.Problems) != 1 {
				t.Fatalf("not rejected: %v", r.Line())
			}
			if len(r.Refs)+len(r.Unresolved) > 0 {
				t.Errorf("a rejected file yields findings: %v", r.Line())
			}
			p := r.Problems[0]
			if !strings.Contains(p.Why, tt.why) || p.Code != verdict.ManifestInvalid || p.Where.File != "f.yaml" {
				t.Errorf("rejected as %v %+v, want %q", p.Code, p.Error(), tt.why)
			}
			if tt.line > 0 && p.Where.Line != tt.line || tt.column > 0 && p.Where.Column != tt.column {
				t.Errorf("rejected at %d:%d, want %d:%d: %s", p.Where.Line, p.Where.Column, tt.line, tt.column, p.Why)
			}
			twin := manifest.Extract("f.yaml", []byte(tt.twin), manifest.Limits{})
			if twin.Rejected {
				t.Errorf("the mended twin is rejected: %v", twin.Problems[0].Error())
			}
			if strings.Contains(tt.twin, "good/x") && !strings.Contains(twin.Line().String(), "good/x") {
				t.Errorf("the mended twin's image is not found: %s", twin.Line())
			}
		})
	}
}

func TestLimitsCanBeTightened(t *testing.T) {
	doc := []byte("a: [[b, c]]\n---\nd: e\n")
	if r := manifest.Extract("f", doc, manifest.Limits{}); r.Rejected {
		t.Fatal(r.Problems)
	}
	for _, limits := range []manifest.Limits{{Bytes: 5}, {Documents: 1}, {Depth: 2}, {Nodes: 4}} {
		if r := manifest.Extract("f", doc, limits); !r.Rejected {
			t.Errorf("%+v does not bind", limits)
		}
	}
}

func TestMergeKeysBringWhatKubernetesSees(t *testing.T) {
	doc := `
base: &base {image: first/base, name: b}
other: &other {image: second/other, tty: true}
apiVersion: v1
kind: Pod
spec:
  containers:
  - {<<: *base}
  - {<<: *base, image: own/wins}
  - {<<: [*other, *base]}
  initContainers:
  - &i {image: shared/anchor}
  - *i
`
	r := manifest.Extract("f.yaml", []byte(doc), manifest.Limits{})
	if r.Rejected {
		t.Fatal(r.Problems)
	}
	got := map[string]string{}
	for _, ref := range r.Refs {
		got[ref.Where.Pointer] = ref.Text
	}
	for pointer, want := range map[string]string{
		"/spec/containers/0/image":     "first/base",
		"/spec/containers/1/image":     "own/wins",
		"/spec/containers/2/image":     "second/other",
		"/spec/initContainers/0/image": "shared/anchor",
		"/spec/initContainers/1/image": "shared/anchor",
	} {
		if got[pointer] != want {
			t.Errorf("%s is %q, want %q", pointer, got[pointer], want)
		}
	}
}

func TestNoContainerHidesBehindMany(t *testing.T) {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n")
	for i := range 59 {
		fmt.Fprintf(&b, "  - {name: c%d, image: good/c}\n", i)
	}
	twin := b.String() + "  - {name: last, image: good/c}\n"
	b.WriteString("  - {name: last, image: bad/c}\n")
	r := manifest.Extract("f.yaml", []byte(b.String()), manifest.Limits{})
	if len(r.Refs) != 60 || r.Refs[59].Text != "bad/c" || r.Refs[59].Where.Container != "last" || r.Refs[59].Where.Line != 64 {
		t.Fatalf("found %d, the last is %+v", len(r.Refs), r.Refs[len(r.Refs)-1])
	}
	if r := manifest.Extract("f.yaml", []byte(twin), manifest.Limits{}); len(r.Refs) != 60 || strings.Contains(r.Line().String(), "bad") {
		t.Errorf("the twin names %s", r.Line())
	}
}
