package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"testing"
	"unicode/utf8"
)

// plain is a node as encoding/json would have it.
func plain(n *node) any {
	switch n.kind {
	case sequence:
		out := []any{}
		for _, i := range n.items {
			out = append(out, plain(i.val))
		}
		return out
	case mapping:
		out := map[string]any{}
		for _, i := range n.items {
			out[i.key] = plain(i.val)
		}
		return out
	}
	switch {
	case n.typ == typeNull:
		return nil
	case n.typ == typeOther && (n.text == "true" || n.text == "false"):
		return n.text == "true"
	case n.typ == typeOther:
		return json.Number(n.text)
	}
	return n.text
}

// agrees compares our reader with encoding/json on a stream of values.
func agrees(t *testing.T, data []byte) {
	t.Helper()
	if !utf8.Valid(data) {
		return // refused before it is parsed
	}
	var ours []any
	err := newBuilder(Limits{}).json(data, func(n *node) error {
		ours = append(ours, plain(n))
		return nil
	})
	var theirs []any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var theirErr error
	for {
		var v any
		if theirErr = dec.Decode(&v); theirErr != nil {
			break
		}
		if v != nil { // an empty document is none
			theirs = append(theirs, v)
		}
	}
	malformed := !errors.Is(theirErr, io.EOF) || errors.Is(theirErr, io.ErrUnexpectedEOF)
	if syntax, is := errors.AsType[*syntaxError](err); is && !malformed {
		t.Fatalf("%q is refused: %v", data, syntax)
	}
	if err == nil && malformed {
		t.Fatalf("%q is read: %v", data, theirErr)
	}
	if err != nil {
		return // malformed, or stricter than JSON: duplicate keys, depth
	}
	a, _ := json.Marshal(ours)
	b, _ := json.Marshal(theirs)
	if !bytes.Equal(a, b) {
		t.Fatalf("%q is read as\n%s, not as\n%s", data, a, b)
	}
}

func jsonSeeds() []string {
	seeds := []string{"", " ", "{}", "[]", "null", "true", "false", "nul", "truex", "tru", "01", "-0", "-", "1.", "1.5e+3", "1e", ".5", "+1", "1 2", "12", "[1,]", "[,1]", "{,}",
		`{"a":1,}`, `{"a" 1}`, `{"a":}`, `{a:1}`, `"a`, `"\u00e4"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\x"`, "\"\t\"", `"\"`, `{"a":{"b":[1,{"c":"d"}]}}`, "[[[[", "]", "}", "{\"a\":1}{\"b\":2}",
		"\ufeff{}", "{\"a\":1}garbage", `{"a":1,"A":2}`, `{"a":1,"a":2}`, "\"\u2028\"", "/* */{}", "NaN", "[1\n,\r\n2]", `"\u0000"`, "\x00"}
	for i := range 0x20 {
		seeds = append(seeds, `"`+string(rune(i))+`"`, strconv.Quote(string(rune(i))))
	}
	return seeds
}

func TestJSONIsReadAsByTheStandardLibrary(t *testing.T) {
	for _, s := range jsonSeeds() {
		agrees(t, []byte(s))
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range jsonSeeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 64<<10 {
			agrees(t, data)
		}
	})
}
