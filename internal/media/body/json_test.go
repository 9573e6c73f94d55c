package body

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

func TestDocumentsAreAcceptedOrRefused(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		code       verdict.Code // "" when it is accepted
	}{
		{"an object", `{"a":1}`, ""},
		{"a string alone", `"a"`, ""},
		{"white space around", " \t\r\n{ \"a\" : [ 1 , 2 ] } \n", ""},
		{"every escape", `"\"\\\/\b\f\n\r\t\u00e9"`, ""},
		{"a pair of surrogates", `"\ud83d\ude00"`, ""},
		{"a word in another script", `"приветпривет世界"`, ""},
		{"zero, minus zero, a fraction, an exponent", `[0,-0,0.5,1e3,1E-3,-1.25e+2]`, ""},
		{"the largest whole number", `18446744073709551615`, ""},
		{"one more than that", `18446744073709551616`, verdict.BodyMalformed},
		{"the smallest whole number", `-9223372036854775808`, ""},
		{"one less than that", `-9223372036854775809`, verdict.BodyMalformed},
		{"the largest double", `1.7976931348623157e308`, ""},
		{"more than a double", `1e400`, verdict.BodyMalformed},
		{"a short number with a huge exponent", `1e99999`, verdict.BodyMalformed},
		{"a number of 65 digits", "0." + repeat("1", 65), verdict.BodyMalformed},
		{"NaN", `NaN`, verdict.BodyMalformed},
		{"Infinity", `[Infinity]`, verdict.BodyMalformed},
		{"minus alone", `-`, verdict.BodyMalformed},
		{"a leading zero", `01`, verdict.BodyMalformed},
		{"a leading plus", `+1`, verdict.BodyMalformed},
		{"a point without digits", `1.`, verdict.BodyMalformed},
		{"a point without a whole", `.5`, verdict.BodyMalformed},
		{"an exponent without digits", `1e`, verdict.BodyMalformed},
		{"a hexadecimal number", `0x1`, verdict.BodyMalformed},
		{"nothing", ``, verdict.BodyMalformed},
		{"white space alone", ` `, verdict.BodyMalformed},
		{"a byte order mark", "\xef\xbb\xbf{}", verdict.BodyMalformed},
		{"UTF-16", "\xff\xfe{\x00}\x00", verdict.BodyMalformed},
		{"two documents", `{}{}`, verdict.BodyMalformed},
		{"a comma at the end of a list", `[1,]`, verdict.BodyMalformed},
		{"a comma at the end of an object", `{"a":1,}`, verdict.BodyMalformed},
		{"a comma too many", `[1,,2]`, verdict.BodyMalformed},
		{"a key without quotes", `{a:1}`, verdict.BodyMalformed},
		{"single quotes", `{'a':1}`, verdict.BodyMalformed},
		{"a comment", `{/**/"a":1}`, verdict.BodyMalformed},
		{"a list that is not closed", `[1`, verdict.BodyMalformed},
		{"an object that is not closed", `{"a":1`, verdict.BodyMalformed},
		{"a string that is not closed", `"abc`, verdict.BodyMalformed},
		{"a string that ends with a backslash", `"abc\`, verdict.BodyMalformed},
		{"a string whose quote is escaped", `"abc\"`, verdict.BodyMalformed},
		{"a line end in a string", "\"a\nb\"", verdict.BodyMalformed},
		{"a line end after an escape", "\"\\t\n\"", verdict.BodyMalformed},
		{"NUL in a string", "\"a\x00b\"", verdict.BodyMalformed},
		{"an unknown escape", `"\x41"`, verdict.BodyMalformed},
		{"a short escape", `"\u00e"`, verdict.BodyMalformed},
		{"a lone high surrogate", `"\ud83d"`, verdict.BodyMalformed},
		{"a lone low surrogate", `"\ude00"`, verdict.BodyMalformed},
		{"surrogates in the wrong order", `"\ude00\ud83d"`, verdict.BodyMalformed},
		{"invalid UTF-8", "\"a\xffb\"", verdict.BodyMalformed},
		{"invalid UTF-8 beside an escape", "\"\\n\xff\"", verdict.BodyMalformed},
		{"a surrogate in UTF-8", "\"\xed\xa0\x80\"", verdict.BodyMalformed},
		{"an overlong form", "\"\xc0\xaf\"", verdict.BodyMalformed},
		{"the word true in capitals", `True`, verdict.BodyMalformed},
		{"half a word", `tru`, verdict.BodyMalformed},
		{"a key twice", `{"a":1,"b":2,"a":3}`, verdict.BodyAmbiguous},
		{"the same key in two objects", `[{"a":1},{"a":2}]`, ""},
		{"a key twice, once with an escape", `{"model":1,"\u006dodel":3}`, verdict.BodyAmbiguous},
		{"a key with NUL, where some readers end it", `{"model":1,"model\u0000":3}`, verdict.BodyAmbiguous},
		{"a value with NUL", `{"model":"a\u0000"}`, ""},
		{"a key twice among many", `{` + manyKeys(60) + `,"k7":1}`, verdict.BodyAmbiguous},
		{"many keys", `{` + manyKeys(60) + `}`, ""},
		{"lists nested as deep as allowed", repeat("[", 64) + repeat("]", 64), ""},
		{"lists nested deeper", repeat("[", 65) + repeat("]", 65), verdict.BodyLimit},
		{"a long list", `[` + repeat("1,", 99_998) + `1]`, ""},
		{"a longer one", `[` + repeat("1,", 100_000) + `1]`, verdict.BodyLimit},
		{"a long key", `{"` + repeat("k", 256) + `":1}`, ""},
		{"a longer one", `{"` + repeat("k", 257) + `":1}`, verdict.BodyLimit},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p Parser
			_, err := p.Parse(jsonMessage(nil, tc.text), limits(), measured)
			if tc.code == "" && err != nil {
				t.Fatalf("refused: %v", err)
			}
			if tc.code != "" && (err == nil || media.CodeOf(err) != tc.code) {
				t.Fatalf("got %v, want %s", err, tc.code)
			}
		})
	}
}

func manyKeys(n int) string {
	var all []string
	for i := range n {
		all = append(all, `"k`+string(appendInt(nil, i))+`":1`)
	}
	return strings.Join(all, ",")
}

func TestAChatIsTakenApart(t *testing.T) {
	b := parse(t, jsonMessage(chat(t), `{
		"model": "captioner", "stream": true, "max_tokens": 7, "max_completion_tokens": 9, "n": 2,
		"messages": [
			{"role": "system", "content": "Be brief."},
			{"content": [
				{"type": "text", "text": "What is\nthis?"},
				{"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD", "detail": "low"}},
				{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
				{"type": "input_audio", "input_audio": {"data": "QUJDRA==", "format": "mp3"}}
			], "role": "user"},
			{"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{\"where\":\"a b\"}"}}]}
		],
		"tools": [{"type": "function", "function": {"name": "find", "description": "Finds."}}],
		"a strange key": 1, "unknown": "some words"
	}`))
	if b.Model != "captioner" || !b.Stream || b.MaxTokens != 9 || b.Choices != 2 || !reflect.DeepEqual(b.Tools, []string{"find"}) {
		t.Errorf("fields: %+v", b.Fields)
	}
	if got, want := texts(b.Texts), []string{
		"/messages/0/content system: Be brief.",
		"/messages/1/content/0/text user: What is\nthis?",
		"/tools/0/function/description : Finds.",
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("texts:\n%q\n%q", got, want)
	}
	if got, want := texts(b.Controls), []string{
		"/messages/2/tool_calls/0/function/arguments/where : a b",
		"/a strange key : a strange key",
		"/unknown : some words",
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("controls:\n%q\n%q", got, want)
	}
	if len(b.Parts) != 3 {
		t.Fatalf("%d parts", len(b.Parts))
	}
	if p := b.Parts[0]; p.Where != "/messages/1/content/1/image_url/url" || p.Declared != "image/png" || p.Bytes != 3 || p.Digest != digest([]byte("ABC")) {
		t.Errorf("image: %+v", p)
	}
	if p := b.Parts[1]; p.URL != "https://example.com/a.png" || p.Kind != media.Image || p.Bytes != 0 {
		t.Errorf("address: %+v", p)
	}
	if p := b.Parts[2]; p.Where != "/messages/1/content/3/input_audio/data" || p.Declared != "audio/mpeg" || p.Digest != digest([]byte("ABCD")) {
		t.Errorf("audio: %+v", p)
	}
}

func TestOnlyWhatIsWhollyMediaIsLifted(t *testing.T) {
	place := func(url string) string {
		return `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"` + url + `"}}]}]}`
	}
	for _, tc := range []struct {
		name, text string
		code       verdict.Code
		parts      int
	}{
		{"a data URL", place("data:image/png;base64,QUJD"), "", 1},
		{"its scheme in capitals", place("DATA:image/PNG;BASE64,QUJD"), "", 1},
		{"slashes escaped, as some writers do", place(`data:image\/png;base64,\/\/\/\/`), "", 1},
		{"with a parameter", place("data:image/png;name=a;base64,QUJD"), "", 1},
		{"a space within", place("data:image/png;base64,QU JD"), verdict.MediaEncoding, 0},
		{"a line end within", place(`data:image/png;base64,QUJD\nQUJD`), verdict.MediaEncoding, 0},
		{"the alphabet of URLs", place("data:image/png;base64,_-_-"), verdict.MediaEncoding, 0},
		{"no padding", place("data:image/png;base64,QUJDRA"), verdict.MediaEncoding, 0},
		{"too much padding", place("data:image/png;base64,QUJD===="), verdict.MediaEncoding, 0},
		{"padding within", place("data:image/png;base64,QQ==QUJD"), verdict.MediaEncoding, 0},
		{"bits that stand for nothing", place("data:image/png;base64,QUJDRB=="), verdict.MediaEncoding, 0},
		{"nothing", place("data:image/png;base64,"), verdict.MediaEncoding, 0},
		{"a text after it", place("data:image/png;base64,QUJD' OR 1=1"), verdict.MediaEncoding, 0},
		{"percent encoding instead", place("data:image/svg+xml,%3Csvg%3E"), verdict.MediaEncoding, 0},
		{"words", place("look at this"), verdict.MediaEncoding, 0},
		{"an address", place("https://example.com/a.png"), "", 1},
		{"an address without a scheme", place("//example.com/a.png"), verdict.MediaEncoding, 0},
		{"a script", place("javascript:alert(1)"), verdict.MediaEncoding, 0},
		{"a data URL in a text", `{"messages":[{"role":"user","content":"data:image/png;base64,QUJD"}]}`, "", 0},
		{"audio of no known format", `{"messages":[{"content":[{"input_audio":{"data":"QUJD","format":"xyz"}}]}]}`, "", 1},
		{"audio before its format", `{"messages":[{"content":[{"input_audio":{"format":"wav","data":"QUJD"}}]}]}`, "", 1},
		{"audio that is not base64", `{"messages":[{"content":[{"input_audio":{"data":"<script>","format":"wav"}}]}]}`, verdict.MediaEncoding, 0},
		{"audio with an unended string", `{"messages":[{"content":[{"input_audio":{"data":"QUJD`, verdict.BodyMalformed, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p Parser
			b, err := p.Parse(jsonMessage(chat(t), tc.text), limits(), measured)
			if tc.code != "" {
				if err == nil || media.CodeOf(err) != tc.code {
					t.Fatalf("got %v, want %s", err, tc.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(b.Parts) != tc.parts {
				t.Errorf("%d parts, want %d", len(b.Parts), tc.parts)
			}
		})
	}
}

// Each of several contents in one object is looked at, wherever their format stands.
func TestNoContentHidesBesideAnother(t *testing.T) {
	api, err := Generic(nil, []string{"/front", "/rear", "/more/*/picture"})
	if err != nil {
		t.Fatal(err)
	}
	b := parse(t, jsonMessage(api, `{"front":"QUJD","more":[{"picture":"QUJDRA=="}],"rear":"REVG"}`))
	var got []string
	for _, p := range b.Parts {
		got = append(got, p.Where)
	}
	if want := []string{"/more/0/picture", "/front", "/rear"}; !reflect.DeepEqual(got, want) {
		t.Errorf("parts: %q, want %q", got, want)
	}
	var p Parser
	if _, err := p.Parse(jsonMessage(api, `{"front":"<script>","rear":"REVG"}`), limits(), measured); media.CodeOf(err) != verdict.MediaEncoding {
		t.Errorf("what is no content hides: %v", err)
	}
}

func TestAKeyThatReadersConfuseIsRefused(t *testing.T) {
	for _, key := range []string{"Model", "MODEL", `\u004dodel`, "meſſages"} {
		var p Parser
		if _, err := p.Parse(jsonMessage(chat(t), `{"`+key+`":"x"}`), limits(), measured); media.CodeOf(err) != verdict.BodyAmbiguous {
			t.Errorf("%s: %v", key, err)
		}
	}
	for _, key := range []string{"model", `\u006dodel`, "modelled", "Custom"} {
		var p Parser
		if _, err := p.Parse(jsonMessage(chat(t), `{"`+key+`":"x"}`), limits(), measured); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestWhatIsWithinAToolsArgumentsIsSeen(t *testing.T) {
	call := func(arguments string) string {
		quoted, err := json.Marshal(arguments)
		if err != nil {
			t.Fatal(err)
		}
		return `{"messages":[{"tool_calls":[{"function":{"arguments":` + string(quoted) + `}}]}]}`
	}
	b := parse(t, jsonMessage(chat(t), call(`{"q":"1' OR '1'='1","deep":{"x":["a b"]}}`)))
	if got, want := texts(b.Controls), []string{
		"/messages/0/tool_calls/0/function/arguments/q : 1' OR '1'='1",
		"/messages/0/tool_calls/0/function/arguments/deep/x/0 : a b",
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
	b = parse(t, jsonMessage(chat(t), call(`{"q":"first","q":"second"}`)))
	if got, want := texts(b.Controls), []string{`/messages/0/tool_calls/0/function/arguments : {"q":"first","q":"second"}`}; !reflect.DeepEqual(got, want) {
		t.Errorf("a document that readers differ in is looked at whole: %q", got)
	}
	var p Parser
	if _, err := p.Parse(jsonMessage(chat(t), call(repeat("[", 70)+repeat("]", 70))), limits(), measured); media.CodeOf(err) != verdict.BodyLimit {
		t.Errorf("depth within a string: %v", err)
	}
}

func TestAPointerSaysWhereItIs(t *testing.T) {
	api, err := Generic([]string{"/a~1b/*/x", "/m/**"}, []string{"/pictures/*"})
	if err != nil {
		t.Fatal(err)
	}
	b := parse(t, jsonMessage(api, `{"a/b":[{"x":"one"}],"m":{"k~":"two"},"pictures":["QUJD","data:image/png;base64,QUJD"]}`))
	if got, want := texts(b.Texts), []string{"/a~1b/0/x : one", "/m/k~0 : two"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
	if len(b.Parts) != 2 || b.Parts[1].Where != "/pictures/1" {
		t.Errorf("%+v", b.Parts)
	}
	if _, err := Generic([]string{"a"}, nil); err == nil {
		t.Error("a pointer without its slash was taken")
	}
}

func TestATextOfAnAnswerSaysWhichOneItGoesOn(t *testing.T) {
	b := parse(t, jsonMessage(OpenAIEvents(), `{"choices":[{"delta":{"content":"a"},"index":1},{"index":0,"delta":{"tool_calls":[{"function":{"arguments":"{"},"index":2}]}}]}`))
	if got, want := texts(b.Texts), []string{
		"/choices/0/delta/content 1 : a", "/choices/1/delta/tool_calls/0/function/arguments 0 2 : {",
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}

func TestWhatAParserHandedOutSurvivesItsNextMessage(t *testing.T) {
	var p Parser
	b, err := p.Parse(jsonMessage(chat(t), `{"model":"one","messages":[{"role":"user","content":"a\nb"}]}`), limits(), measured)
	if err != nil {
		t.Fatal(err)
	}
	name, where, value := b.Model, b.Texts[0].Where, b.Texts[0].Value
	if _, err := p.Parse(jsonMessage(chat(t), `{"model":"two","messages":[{"role":"tool","content":"c\td"},{"content":"e"}]}`), limits(), measured); err != nil {
		t.Fatal(err)
	}
	if name != "one" || where != "/messages/0/content" || string(value) != "a\nb" {
		t.Errorf("%q %q %q", name, where, value)
	}
}

// FuzzJSON holds the parser to encoding/json: what it accepts is JSON, with the
// same strings in it, and what it takes for a pointer leads there.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a\u00e9\n"},{"image_url":{"url":"data:image/png;base64,QUJD"}}]}]}`,
		`[1e5,-0.1,true,null,"\ud83d\ude00",{"a":{"b":["c"]}}]`, `"\\\""`, `{"k":"` + repeat("x", 40) + `\t"}`,
	} {
		f.Add([]byte(seed))
	}
	api := chat(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var p Parser
		b, err := p.Parse(Message{Type: []string{"application/json"}, API: api, Data: data}, limits(), measured)
		if err != nil {
			if media.CodeOf(err) == verdict.Internal {
				t.Fatalf("an error of ours: %v", err)
			}
			return
		}
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatalf("accepted what is no JSON: %v", err)
		}
		for _, s := range b.Texts {
			got, ok := resolve(v, s.Where)
			if !ok || got != string(s.Value) {
				t.Fatalf("%s is %q, read was %q", s.Where, got, s.Value)
			}
		}
		if !utf8.Valid(data) {
			t.Fatal("accepted what is not UTF-8")
		}
	})
}

// resolve follows a pointer to a string.
func resolve(v any, pointer string) (string, bool) {
	for segment := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if pointer == "" {
			break
		}
		segment = strings.ReplaceAll(strings.ReplaceAll(segment, "~1", "/"), "~0", "~")
		switch at := v.(type) {
		case map[string]any:
			v = at[segment]
		case []any:
			i := 0
			for _, c := range segment {
				i = i*10 + int(c-'0')
			}
			if i >= len(at) {
				return "", false
			}
			v = at[i]
		}
	}
	s, ok := v.(string)
	return s, ok
}

func TestProductOfAShapeThatDoesNotFit(t *testing.T) {
	if _, ok := product([]int64{math.MaxInt64, 2}); ok {
		t.Error("an overflow was not seen")
	}
	if n, ok := product([]int64{0, math.MaxInt64, 2}); !ok || n != 0 {
		t.Error("nothing times much is nothing")
	}
}
