package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestEveryKeywordOfTheCRDsIsImplemented reads the CRDs as they are given to a
// cluster and holds each keyword against the validator's list.
func TestEveryKeywordOfTheCRDsIsImplemented(t *testing.T) {
	implemented := map[string]bool{}
	for i := range reflect.TypeFor[schema]().NumField() {
		if tag := reflect.TypeFor[schema]().Field(i).Tag.Get("json"); tag != "" {
			implemented[tag] = true
		}
	}
	rules := map[string]bool{"rule": true, "message": true}
	paths, err := filepath.Glob("../../config/crd/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no CRDs: %v", err)
	}
	count := 0
	var walk func(path string, s map[string]any)
	walk = func(path string, s map[string]any) {
		for keyword, v := range s {
			count++
			if !implemented[keyword] {
				t.Errorf("%s: the validator does not implement %q", path, keyword)
			}
			switch v := v.(type) {
			case map[string]any:
				if keyword != "properties" {
					walk(path+"."+keyword, v)
					continue
				}
				for name, property := range v {
					walk(path+"."+name, property.(map[string]any))
				}
			case []any:
				if keyword == "x-kubernetes-validations" {
					for _, r := range v {
						for key := range r.(map[string]any) {
							if !rules[key] {
								t.Errorf("%s: the validator does not implement %q of a rule", path, key)
							}
						}
					}
				}
			}
		}
		if d, ok := s["default"]; ok {
			if _, text := d.(string); !text {
				t.Errorf("%s: the default %v is not text, which is all that fromDefault is tested with", path, d)
			}
		}
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var crd struct {
			Spec struct {
				Versions []struct {
					Schema struct {
						OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
					} `json:"schema"`
				} `json:"versions"`
			} `json:"spec"`
		}
		if err := yaml.Unmarshal(data, &crd); err != nil {
			t.Fatal(err)
		}
		walk(filepath.Base(path), crd.Spec.Versions[0].Schema.OpenAPIV3Schema)
	}
	if count < 500 {
		t.Errorf("only %d keywords were seen", count)
	}
}

func TestEveryKindHasASchemaAndAGoType(t *testing.T) {
	for _, kind := range Kinds() {
		def, err := kinds()[kind]()
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if def.Kind != kind || def.Plural == "" {
			t.Errorf("%s is described as %s, %s", kind, def.Kind, def.Plural)
		}
		d := &document{kind: kind, root: &value{kind: kindMap}}
		if err := new(Set).decode(d); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if err := new(Set).decode(&document{kind: "Other", root: &value{kind: kindMap}}); err == nil {
		t.Error("a kind without Go type is accepted")
	}
}

func TestASchemaThatCannotBeInterpretedIsRefused(t *testing.T) {
	wrap := func(field string) []byte {
		return []byte(`{"kind":"X","plural":"xs","singular":"x","schema":{"type":"object","properties":{"a":` + field + `}}}`)
	}
	if _, err := readDefinition(wrap(`{"type":"string","pattern":"^a$"}`)); err != nil {
		t.Errorf("a plain schema: %v", err)
	}
	for _, field := range []string{
		`{"type":"string","oneOf":[]}`, `{"type":"text"}`, `{}`, `{"type":"string","format":"ipv4"}`,
		`{"type":"array","items":{"type":"string"},"x-kubernetes-list-type":"bag"}`,
		`{"type":"object","additionalProperties":true}`,
		`{"type":"array","items":{"type":"string","multipleOf":2}}`,
		`{"type":"string","x-kubernetes-validations":[{"rule":"true","reason":"x"}]}`,
	} {
		if _, err := readDefinition(wrap(field)); err == nil {
			t.Errorf("%s is accepted", field)
		}
	}
}

// against holds a document against a schema that is written in the test.
func against(t *testing.T, schemaText, document string) []string {
	t.Helper()
	var s schema
	if err := json.Unmarshal([]byte(schemaText), &s); err != nil {
		t.Fatal(err)
	}
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	docs, syntax := parse([]byte(document))
	if syntax != nil {
		t.Fatal(syntax.message)
	}
	var got []string
	report := func(_, _ int, path, message, _ string) { got = append(got, path+": "+message) }
	v, ok := build(docs[0], new(size), report)
	if !ok {
		t.Fatal(got)
	}
	if validate(v, &s, report) != (len(got) == 0) {
		t.Error("validate's result and its reports disagree")
	}
	return got
}

func TestKeywordsThatOurKindsUseLittleAreImplementedToo(t *testing.T) {
	for _, tt := range []struct{ schema, good, bad, message string }{
		{`{"type":"number","minimum":0.5,"maximum":1.5}`, "1.25", "1.75", "at most 1.5"},
		{`{"type":"number","minimum":0.5}`, "1", "0.25", "at least 0.5"},
		{`{"type":"integer","format":"int32"}`, "2147483647", "2147483648", "32 bits"},
		{`{"x-kubernetes-int-or-string":true}`, "80", "[80]", "integer or text"},
		{`{"x-kubernetes-int-or-string":true}`, "http", "true", "integer or text"},
		{`{"type":"string","nullable":true}`, "null", "1", "text is expected"},
		{`{"type":"string"}`, `"null"`, "null", "is empty"},
		{`{"type":"object","minProperties":1,"additionalProperties":{"type":"integer"}}`, "{a: 1}", "{}", "at least 1"},
		{`{"type":"object","additionalProperties":{"type":"integer"}}`, "{a: 1}", "{a: b}", "an integer is expected"},
		{`{"type":"object","x-kubernetes-preserve-unknown-fields":true}`, "{a: 1}", "[a]", "a mapping is expected"},
		{`{"type":"array","items":{"type":"integer"},"x-kubernetes-list-type":"set"}`, "[1, 2]", "[1, 1]", "twice"},
		{`{"type":"array","items":{"type":"integer"},"x-kubernetes-list-type":"atomic"}`, "[1, 1]", "[1, a]", "an integer is expected"},
		{`{"type":"array","items":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}},"x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["a","b"]}`,
			"[{a: x, b: v}, {a: x, b: w}]", "[{a: x, b: v}, {a: x, b: v}]", "twice"},
		{`{"type":"string","maxLength":3}`, "äöü", "äöüß", "at most 3"},
	} {
		if got := against(t, tt.schema, tt.good); len(got) != 0 {
			t.Errorf("%s: %s is refused: %v", tt.schema, tt.good, got)
		}
		if got := against(t, tt.schema, tt.bad); len(got) != 1 || !strings.Contains(got[0], tt.message) {
			t.Errorf("%s: %s: %v", tt.schema, tt.bad, got)
		}
	}
}

func TestAPatternThatDoesNotCompileMatchesNothing(t *testing.T) {
	if got := against(t, `{"type":"string","pattern":"("}`, "x"); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	if got := against(t, `{"type":"string","pattern":"()"}`, "x"); len(got) != 0 {
		t.Errorf("the pattern that compiles: %v", got)
	}
}

func TestARuleThatCannotBeEvaluatedRefuses(t *testing.T) {
	for name, r := range map[string]*rule{
		"no expression":     {Rule: "x"},
		"no protobuf":       {Rule: "x", Checked: []byte("\xff\xff")},
		"another variable":  {Rule: "other", Checked: []byte{0x22, 0x09, 0x10, 0x01, 0x22, 0x05, 0x0a, 0x03, 'a', 'b', 'c'}},
		"a result not bool": {Rule: "self", Checked: []byte{0x22, 0x0a, 0x10, 0x01, 0x22, 0x06, 0x0a, 0x04, 's', 'e', 'l', 'f'}},
	} {
		if ok, err := r.holds(map[string]any{}); ok || err == nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

func TestSuggestions(t *testing.T) {
	words := []string{"Deny", "Warn", "Audit", "requireSignatureFrom"}
	for word, want := range map[string]string{
		"deny": "Deny", "Dney": "", "Den": "Deny", "WARN": "Warn", "Audits": "Audit", "requireSignaturesFrm": "requireSignatureFrom",
		"": "", "zzz": "", "Deny": "", "requireSig": "", strings.Repeat("x", 100): "",
	} {
		if got := closest(word, words); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"same", "same", 0}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestCanonicalJSONIsReadBackAsTheSame(t *testing.T) {
	docs, _ := parse([]byte("{b: [1, 2.5, null, true], a: {\"x y\": \"\\\"<é>\\n\"}}"))
	v, ok := build(docs[0], new(size), func(int, int, string, string, string) {})
	var b bytes.Buffer
	v.canonical(&b)
	if want := "{\"a\":{\"x y\":\"\\\"\\u003cé\\u003e\\n\"},\"b\":[1,2.5,null,true]}"; !ok || b.String() != want {
		t.Errorf("got %s, want %s", b.String(), want)
	}
	var native any
	if err := json.Unmarshal(b.Bytes(), &native); err != nil {
		t.Fatal(err)
	}
	if got := v.native().(map[string]any)["b"].([]any); !slices.Equal(got[1:], native.(map[string]any)["b"].([]any)[1:]) {
		t.Errorf("native %v", got)
	}
}

// FuzzLoad holds what may never happen, whatever the bytes: a panic, a problem
// without place, and an accepted document that says something else when it is
// written canonically.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"testdata/reference.yaml", "testdata/full.yaml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		for doc := range strings.SplitSeq(string(data), "---\n") {
			f.Add([]byte(doc))
		}
	}
	f.Add([]byte(trustYAML))
	f.Add([]byte(`{"apiVersion":"security.apexlogic.com/v1alpha1","kind":"Revocation","metadata":{"name":"x"},"spec":{"reason":"r","digest":"` + digestA + `"}}`))
	f.Add([]byte("apiVersion: v1\nkind: List\nitems: [&a {apiVersion: security.apexlogic.com/v1alpha1, kind: TrustRoot}, *a]\n"))
	f.Add([]byte("a: &a [*a]\nkind: TrustRoot\napiVersion: security.apexlogic.com/v1alpha1\n"))
	f.Add([]byte("&r {apiVersion: v1, kind: List, items: [*r, *r]}\n"))
	f.Add([]byte("? [x]\n: y\n? &k kind\n: TrustRoot\napiVersion: security.apexlogic.com/v1alpha1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Load(t.Context(), Bytes("f", data))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Problems {
			if p.File != "f" || p.Message == "" || p.Line < 0 || p.Line > bytes.Count(data, []byte("\n"))+bytes.Count(data, []byte("\r"))+bytes.Count(data, []byte("\xc2\x85"))+bytes.Count(data, []byte("\xe2\x80"))+1 {
				t.Fatalf("problem %+v", p)
			}
		}
		if s.Err() != nil {
			return
		}
		if s.Len() == 0 {
			t.Fatal("a file without a document is accepted")
		}
		var again bytes.Buffer
		for _, d := range s.docs {
			again.WriteString("---\n")
			d.root.canonical(&again)
			again.WriteByte('\n')
		}
		s2, err := Load(t.Context(), Bytes("again", again.Bytes()))
		if err != nil || s2.Err() != nil || s2.Hash() != s.Hash() {
			t.Fatalf("read back: %v %v\n%s", err, s2.Err(), again.Bytes())
		}
	})
}

func BenchmarkLoadReferencePolicy(b *testing.B) {
	text := []byte(reference(b))
	b.ReportAllocs()
	for b.Loop() {
		if s := load(b, Bytes("p.yaml", text)); s.Err() != nil {
			b.Fatal(s.Err())
		}
	}
}

func TestARequiredFieldWithADefaultMayBeLeftOut(t *testing.T) {
	const text = `{"type":"object","required":["a"],"properties":{"a":{"type":"string"%s}}}`
	if got := against(t, fmt.Sprintf(text, `,"default":"x"`), "{}"); len(got) != 0 {
		t.Errorf("with a default: %v", got)
	}
	if got := against(t, fmt.Sprintf(text, ""), "{}"); len(got) != 1 {
		t.Errorf("without one: %v", got)
	}
}
