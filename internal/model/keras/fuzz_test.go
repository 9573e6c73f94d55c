package keras

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

func FuzzConfiguration(f *testing.F) {
	for _, tc := range bad() {
		f.Add([]byte(tc[0]))
	}
	for _, text := range benign() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<20 {
			t.Skip()
		}
		first, _ := examineText(t, string(data))
		again, _ := examineText(t, string(data))
		if !reflect.DeepEqual(first, again) {
			t.Fatalf("two results:\n%v\n%v", first, again)
		}
		for _, finding := range first.Findings {
			if finding.Rule == "scan.internal" || finding.Rule == "scan.budget" {
				t.Fatalf("%v", finding)
			}
		}
	})
}

// FuzzParser holds the parser to encoding/json: what that reads, it reads, and
// the strings are the same.
func FuzzParser(f *testing.F) {
	for _, text := range benign() {
		f.Add([]byte(text))
	}
	f.Add([]byte(`["\ud83d\ude00\ud800\u00e3\\\/\b",1e5,-0,true,[],{}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var want any
		if !json.Valid(data) || json.Unmarshal(data, &want) != nil {
			t.Skip()
		}
		parse := parser{b: data, build: true, hold: func(int64) (func(), error) { return func() {}, nil }}
		root, err := parse.document()
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if !parse.duplicated && !same(&root, want) {
			t.Fatalf("%q: got %+v", data, root)
		}
		look := parser{b: data}
		if _, err := look.document(); err != nil || look.shaped != parse.shaped || look.metadata != parse.metadata {
			t.Fatalf("%q: %v; a look says %t, reading %t", data, err, look.shaped, parse.shaped)
		}
	})
}

// same compares trees; strings are compared where they are valid UTF-8, which
// encoding/json mends otherwise.
func same(n *node, want any) bool {
	switch v := want.(type) {
	case string:
		return n.kind == '"' && (n.text == v || !bytes.Equal([]byte(n.text), bytes.ToValidUTF8([]byte(n.text), nil)))
	case []any:
		kids := n.kids
		for _, item := range v {
			switch item.(type) {
			case string, []any, map[string]any:
				if len(kids) == 0 || !same(&kids[0], item) {
					return false
				}
				kids = kids[1:]
			}
		}
		return n.kind == '[' && len(kids) == 0
	case map[string]any:
		if n.kind != '{' || len(n.kids) < len(v) {
			return false
		}
		for i := range n.kids {
			item, ok := v[n.kids[i].key]
			if ok && !same(&n.kids[i], item) {
				return false
			}
		}
		return true
	}
	return n.kind == 0
}

func BenchmarkConfiguration(b *testing.B) {
	text := []byte(sequential(conv("c", 32), dense))
	for len(text) < 1<<20 {
		text = []byte(sequential(string(text), string(text)))
	}
	formats := scan.NewFormats(scan.Limits{}, Format())
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if res := formats.Scan(b.Context(), scan.Bytes(text), scan.Options{}); res.Verdict != scan.Clean {
			b.Fatal(res.Verdict)
		}
	}
}
