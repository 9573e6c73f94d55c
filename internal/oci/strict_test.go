package oci

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/bounded"
)

func TestJSONThatSaysTwoThingsIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		ok         bool
	}{
		{"plain values", `{"a":1,"b":[true,null,"x",{}],"c":{"a":-1.5e3}}`, true},
		{"space everywhere", " {\n\t\"a\" : [ 1 , 2 ] , \"b\" : { } }\r\n", true},
		{"a string with quotes and backslashes", `{"a\\":"\"}","b":"\\"}`, true},
		{"a scalar", `"x"`, true},
		{"the same key in two objects", `[{"a":1},{"a":1}]`, true},
		{"a key twice", `{"a":1,"a":1}`, false},
		{"a key twice, deep", `[[{"x":{"a":1,"b":2,"a":3}}]]`, false},
		{"a key in two cases", `{"config":1,"Config":2}`, false},
		{"a key escaped", `{"a":1,"\u0061":2}`, false},
		{"a key with a long s", `{"subject":1,"ſubject":2}`, false},
		{"a key with a Kelvin sign", `{"link":1,"lin` + "\u212a" + `":2}`, false},
		{"a key escaped in upper case", `{"a":1,"\u0041":2}`, false},
		{"nine different keys", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}`, true},
		{"the first of ten keys twice", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"A":1}`, false},
		{"the last of ten keys twice", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"I":1}`, false},
		{"nested as deep as allowed", strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), true},
		{"nested deeper", strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), false},
		{"as many values as allowed", "[" + strings.Repeat("1,", maxValues-2) + "1]", true},
		{"more values", "[" + strings.Repeat("1,", maxValues-1) + "1]", false},
		{"two values", `{} {}`, false},
		{"nothing", ``, false},
		{"space", ` `, false},
		{"an open object", `{"a":1`, false},
		{"a trailing comma", `{"a":1,}`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := checkJSON([]byte(tc.text)); (err == nil) != tc.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

// FuzzStrictJSON holds checkJSON to encoding/json and to bounded.CheckJSON.
func FuzzStrictJSON(f *testing.F) {
	for _, s := range []string{`{"a":1,"A":2}`, `[{"a":"\\\""},{}]`, `{"a":{"b":[1,2.5e-3,null,true]}}`, `[[[[[]]]]]`, `{"ſ":1,"S":2}`, `" "`, `{"":1,"":2}`, "{\"\xff\":1,\"\xfe\":2}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := checkJSON(data)
		if err == nil && !json.Valid(data) {
			t.Fatal("invalid JSON is accepted")
		}
		other := bounded.CheckJSON(data, maxDepth)
		if err == nil && other != nil {
			t.Fatalf("accepted; bounded says %v", other)
		}
		// It may be stricter, about keys that differ in ways that only folding sees.
		if err != nil && other == nil && !errors.Is(err, bounded.ErrDuplicateKey) && !errors.Is(err, errTooManyValues) {
			t.Fatalf("refused: %v; bounded accepts", err)
		}
	})
}

func BenchmarkCheckJSON(b *testing.B) {
	doc := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}],"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}}`)
	b.Run("here", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := checkJSON(doc); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bounded", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := bounded.CheckJSON(doc, maxDepth); err != nil {
				b.Fatal(err)
			}
		}
	})
}
