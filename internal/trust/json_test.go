package trust

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestSignedJSONSaysOneThing(t *testing.T) {
	for _, c := range []struct {
		name, text string
		ok         bool
	}{
		{"different keys", `{"subject":[],"predicate":{}}`, true},
		{"a key twice", `{"subject":[],"subject":[]}`, false},
		{"a key in two cases", `{"subject":[],"Subject":[]}`, false},
		{"environment variables that differ in case", `{"predicate":{"invocation":{"environment":{"http_proxy":"a","HTTP_PROXY":"b"}}}}`, true},
		{"an environment variable twice", `{"predicate":{"invocation":{"environment":{"http_proxy":"a","http_proxy":"b"}}}}`, false},
		{"build arguments that differ in case", `{"args":{"build-arg:http_proxy":"a","build-arg:HTTP_PROXY":"b"}}`, true},
		{"labels of a scanned image that differ in case", `{"config":{"Labels":{"maintainer":"a","Maintainer":"b"}}}`, true},
		{"annotations that differ in case", `{"optional":{"annotations":{"a":"1","A":"2"}}}`, true},
		{"parameters that differ in case", `{"externalParameters":{"source":{},"Source":{}}}`, false},
		{"nested as deep as allowed", strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), true},
		{"nested deeper", strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), false},
		{"text that is not UTF-8", "\"\xff\"", false},
		{"two values", `{} {}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := checkJSON([]byte(c.text)); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

// FuzzJSON holds the splitters to encoding/json, on all that checkJSON lets through.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,{"b":"\u00e4\n"}],"c":-1.5e3}`, `{"a":1,"A":2}`, `{"\u0061":1,"a":2}`, `[[[[]]]]`, `{"a":1,}`, `1 2`, "\"\xff\"", `{"k":1,"K":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if checkJSON(raw) != nil {
			return
		}
		// The splitters read what encoding/json reads.
		var want map[string]json.RawMessage
		if json.Unmarshal(raw, &want) == nil && want != nil {
			got, err := openObject(raw)
			if err != nil || len(got) != len(want) {
				t.Fatalf("openObject(%q) = %v, %v", raw, got, err)
			}
			for k, v := range want {
				if string(got.get(k)) != string(v) {
					t.Fatalf("%q in %q: %q, want %q", k, raw, got.get(k), v)
				}
			}
		}
		var elements []json.RawMessage
		if json.Unmarshal(raw, &elements) == nil && elements != nil {
			got, err := array(raw)
			if err != nil || len(got) != len(elements) {
				t.Fatalf("array(%q) = %q, %v", raw, got, err)
			}
			for i := range got {
				if string(got[i]) != string(elements[i]) {
					t.Fatalf("element %d of %q: %q", i, raw, got[i])
				}
			}
		}
		var text string
		if json.Unmarshal(raw, &text) == nil && len(raw) > 0 && raw[0] == '"' && raw[len(raw)-1] == '"' {
			var got string
			if err := decodeString(raw, &got); err != nil || got != text {
				t.Fatalf("decodeString(%q) = %q, %v", raw, got, err)
			}
		}
	})
}
