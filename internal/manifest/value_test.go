package manifest_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/manifest"
)

func TestADocumentIsReadAsJSONHasIt(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want any    // under the key "v"
		why  string // part of the refusal, when there is one
	}{
		"text":                                 {text: "v: nginx", want: "nginx"},
		"a whole number":                       {text: "v: 3", want: int64(3)},
		"a whole number with a fraction":       {text: "v: 3.0", want: int64(3)},
		"a fraction":                           {text: "v: 0.5", want: 0.5},
		"a file mode":                          {text: "v: 0644", want: int64(420)},
		"a number in quotes":                   {text: `v: "3"`, want: "3"},
		"a date is text":                       {text: "v: 2024-01-02", want: "2024-01-02"},
		"nothing":                              {text: "v:", want: nil},
		"a boolean":                            {text: "v: true", want: true},
		"a list":                               {text: "v: [a, 1]", want: []any{"a", int64(1)}},
		"an empty map stays one":               {text: "v: {}", want: map[string]any{}},
		"an alias is written out":              {text: "x: &x {a: 1}\nv: *x", want: map[string]any{"a": int64(1)}},
		"a merge is written out":               {text: "x: &x {a: 1}\nv: {<<: *x, b: 2}", want: map[string]any{"a": int64(1), "b": int64(2)}},
		"JSON":                                 {text: `{"v": "yes"}`, want: "yes"},
		"JSON with wide characters before":     {text: `{"äöü": "ß", "v": "yes"}`, want: "yes"},
		"a word of YAML 1.1 is refused":        {text: "v: yes", why: "write true or false"},
		"the same word in quotes":              {text: `v: "yes"`, want: "yes"},
		"the same word in single quotes":       {text: `v: 'off'`, want: "off"},
		"the same word with its tag":           {text: `v: !!str on`, want: "on"},
		"the same word as a block":             {text: "v: |-\n  on", want: "on"},
		"the same word behind an anchor":       {text: "v: &a yes", why: "write true or false"},
		"the same word in quotes, anchored":    {text: `v: &a "yes"`, want: "yes"},
		"after wide characters":                {text: `{äöü: ß, v: yes}`, why: "write true or false"},
		"a key of YAML 1.1 is refused":         {text: "v: {on: 1}", why: "the key on is a boolean"},
		"the same key in quotes":               {text: `v: {"on": 1}`, want: map[string]any{"on": int64(1)}},
		"infinity is refused":                  {text: "v: .inf", why: "no number that JSON can hold"},
		"a number beyond 64 bits is refused":   {text: "v: 18446744073709551616", why: "64 bits"},
		"the largest number":                   {text: "v: 9223372036854775807", want: int64(9223372036854775807)},
		"a tool's own tag is refused":          {text: "v: !Ref X", why: "tool's own tag"},
		"what Extract refuses is refused here": {text: "v: 1\nv: 2", why: "duplicate key"},
	} {
		t.Run(name, func(t *testing.T) {
			docs, err := manifest.Documents("f.yaml", []byte(tc.text), manifest.Limits{})
			var got any
			if err == nil {
				if len(docs) != 1 {
					t.Fatalf("%d documents", len(docs))
				}
				got, err = docs[0].Value()
			}
			if tc.why != "" {
				var p *manifest.Problem
				if !errors.As(err, &p) || !strings.Contains(p.Why, tc.why) || p.Where.File != "f.yaml" || p.Where.Line == 0 {
					t.Fatalf("got %v, %v", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := got.(map[string]any)["v"]; !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %#v, want %#v", got, tc.want)
			}
		})
	}
}

func TestWordsAreTextInWhatAProgramWrote(t *testing.T) {
	docs, err := manifest.Documents("f.yaml", []byte("on: yes\nn: 0644\n"), manifest.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := docs[0].Value12()
	if want := (map[string]any{"on": "yes", "n": int64(420)}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, %v", got, err)
	}
	if _, err := docs[0].Value(); err == nil {
		t.Error("the same is accepted of a person")
	}
}

func TestADocumentKnowsWhereItsValuesStand(t *testing.T) {
	docs, err := manifest.Documents("f.yaml", []byte("a: 1\n---\nspec:\n  containers:\n  - name: x\n    image: nginx\n  - a/b: y\n"), manifest.Limits{})
	if err != nil || len(docs) != 2 {
		t.Fatal(docs, err)
	}
	for pointer, line := range map[string]int{"": 3, "/spec": 4, "/spec/containers/0/image": 6, "/spec/containers/1/a~1b": 7, "/spec/containers/9": 5, "/nothing": 3} {
		if got := docs[1].Where(pointer); got.Line != line || got.File != "f.yaml" {
			t.Errorf("%s is at %v, want line %d", pointer, got, line)
		}
	}
}
