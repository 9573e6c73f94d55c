package body

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

func TestTheMediaTypeDecidesAndIsNeverGuessed(t *testing.T) {
	for _, tc := range []struct {
		name  string
		types []string
		data  string
		code  verdict.Code
	}{
		{"JSON", []string{"application/json"}, `{}`, ""},
		{"JSON with its charset", []string{`application/json; charset="UTF-8"`}, `{}`, ""},
		{"JSON of a vendor", []string{"application/vnd.example+json"}, `{}`, ""},
		{"no type and no body", nil, ``, ""},
		{"no type", nil, `{}`, verdict.BodyType},
		{"two types", []string{"application/json", "text/plain"}, `{}`, verdict.BodyType},
		{"another charset", []string{"application/json; charset=utf-7"}, `{}`, verdict.BodyType},
		{"a type that is none", []string{"json"}, `{}`, verdict.BodyType},
		{"a type that nobody reads", []string{"application/xml"}, `<a/>`, verdict.BodyType},
		{"a text", []string{"text/plain"}, `hello`, ""},
		{"JSON as a text", []string{"text/plain"}, ` {"a":1}`, verdict.BodyType},
		{"a text that is not UTF-8", []string{"text/plain"}, "\xff", verdict.BodyMalformed},
		{"a picture", []string{"image/png"}, "ABC", ""},
		{"bytes", []string{"application/octet-stream"}, "ABC", ""},
		{"lines", []string{"application/x-ndjson"}, "{\"a\":1}\n\n{\"a\":2}\r\n", ""},
		{"a line that is none", []string{"application/x-ndjson"}, "{\"a\":1}\n{", verdict.BodyMalformed},
		{"a form", []string{"application/x-www-form-urlencoded"}, `a=1`, ""},
		{"JSON as a form", []string{"application/x-www-form-urlencoded"}, `{"model":"other"}`, verdict.BodyType},
		{"JSON behind a form feed as a text", []string{"text/plain"}, "\f[1]", verdict.BodyType},
		{"a text in brackets", []string{"text/plain"}, `[see above]`, ""},
		{"JSON as bytes", []string{"application/octet-stream"}, `{"a":1}`, verdict.BodyType},
		{"JSON in UTF-16 as bytes", []string{"application/octet-stream"}, "\xff\xfe{\x00\"\x00a\x00", verdict.BodyType},
		{"JSON as sound that has no header", []string{"audio/pcm"}, "\n{ \"a\":1}", verdict.BodyType},
		{"sound that has no header", []string{"audio/pcm"}, "{\x80\x01", ""},
		{"a parameter", []string{"audio/ogg; codecs=opus"}, "ABC", ""},
		{"a charset that is extended", []string{"application/json; charset=utf-16; charset*=utf-8''utf-8"}, `{}`, verdict.BodyType},
		{"a boundary where there is none", []string{"application/json; boundary=b"}, `{}`, verdict.BodyType},
		{"another type in a parameter", []string{`application/json; x="a; boundary=b"`}, `{}`, verdict.BodyType},
		{"another type's name in a parameter", []string{`application/json; x=multipart/form-data`}, `{}`, verdict.BodyType},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p Parser
			_, err := p.Parse(Message{Type: tc.types, Data: []byte(tc.data)}, limits(), measured)
			if got := codeOf(err); got != tc.code {
				t.Errorf("%v, want %q", err, tc.code)
			}
		})
	}
}

// codeOf is "" without an error.
func codeOf(err error) verdict.Code {
	if err == nil {
		return ""
	}
	return media.CodeOf(err)
}

func TestAFormIsReadToTheLetter(t *testing.T) {
	api, _ := OpenAI("/v1/images/edits")
	for _, tc := range []struct {
		name, data string
		code       verdict.Code
	}{
		{"fields", "model=m&prompt=a+b%21&n=2", ""},
		{"a field without a value", "x", ""},
		{"a field twice that steers", "model=a&model=b", verdict.BodyAmbiguous},
		{"a field twice that does not", "tag=a&tag=b", ""},
		{"a field that differs by case", "Model=a", verdict.BodyAmbiguous},
		{"a field that some take for one of the model", "model=a&model[]=b", verdict.BodyAmbiguous},
		{"a field behind a space", "+model=b", verdict.BodyAmbiguous},
		{"a field that ends with NUL for some", "model%00=b", verdict.BodyAmbiguous},
		{"a semicolon", "model=a;model=b", verdict.BodyAmbiguous},
		{"a semicolon as it is written", "model=a%3Bmodel=b", ""},
		{"an empty field", "a=1&&b=2", verdict.BodyMalformed},
		{"an end that is none", "a=1&", verdict.BodyMalformed},
		{"a percent sign alone", "a=1%2", verdict.BodyMalformed},
		{"a percent sign with letters", "a=%zz", verdict.BodyMalformed},
		{"invalid UTF-8", "a=%ff", verdict.BodyMalformed},
		{"a number that is none", "n=many", verdict.BodyMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p Parser
			_, err := p.Parse(Message{Type: []string{"application/x-www-form-urlencoded"}, API: api, Data: []byte(tc.data)}, limits(), measured)
			if got := codeOf(err); got != tc.code {
				t.Errorf("%v, want %q", err, tc.code)
			}
		})
	}
	b := parse(t, Message{Type: []string{"application/x-www-form-urlencoded"}, API: api, Data: []byte("model=m&prompt=a+b%21&n=2&x=%3Cscript%3E")})
	if b.Model != "m" || b.Choices != 2 || string(b.Texts[0].Value) != "a b!" || string(b.Controls[len(b.Controls)-1].Value) != "<script>" {
		t.Errorf("%+v", b)
	}
}

func TestAMultipartBodyIsReadToTheLetter(t *testing.T) {
	api, _ := OpenAI("/v1/audio/transcriptions")
	part := func(header, content string) string { return "\r\n" + header + "\r\n\r\n" + content + "\r\n--b" }
	model := part(`Content-Disposition: form-data; name="model"`, "whisper")
	file := part("Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav", "RIFF")
	for _, tc := range []struct {
		name, data string
		code       verdict.Code
	}{
		{"a field and a file", "--b" + model + file + "--\r\n", ""},
		{"without the last line end", "--b" + model + "--", ""},
		{"an empty field", "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n--b--", ""},
		{"something before the first boundary", "x\r\n--b" + model + "--", verdict.BodyMalformed},
		{"something after the last", "--b" + model + "--\r\nx", verdict.BodyMalformed},
		{"no part", "--b--", verdict.BodyMalformed},
		{"no end", "--b" + model, verdict.BodyMalformed},
		{"line ends without CR", "--b\nContent-Disposition: form-data; name=\"x\"\n\ny\n--b--", verdict.BodyMalformed},
		{"a header twice", "--b" + part("Content-Disposition: form-data; name=\"x\"\r\nContent-Disposition: form-data; name=\"y\"", "1") + "--", verdict.BodyMalformed},
		{"a transfer encoding", "--b" + part("Content-Disposition: form-data; name=\"x\"\r\nContent-Transfer-Encoding: base64", "MQ==") + "--", verdict.BodyMalformed},
		{"a name twice", "--b" + part(`Content-Disposition: form-data; name="x"; name="y"`, "1") + "--", verdict.BodyAmbiguous},
		{"an extended file name", "--b" + part(`Content-Disposition: form-data; name="file"; filename="a.wav"; filename*=UTF-8''b.php`, "1") + "--", verdict.BodyAmbiguous},
		{"no name", "--b" + part(`Content-Disposition: form-data`, "1") + "--", verdict.BodyAmbiguous},
		{"an attachment", "--b" + part(`Content-Disposition: attachment; name="x"`, "1") + "--", verdict.BodyMalformed},
		{"a path for a name", "--b" + part(`Content-Disposition: form-data; name="file"; filename="../a.wav"`, "1") + "--", verdict.BodyMalformed},
		{"a name written from right to left", "--b" + part("Content-Disposition: form-data; name=\"file\"; filename=\"a\u202evaw.exe\"", "1") + "--", verdict.BodyMalformed},
		{"a model twice", "--b" + model + model + "--", verdict.BodyAmbiguous},
		{"a file for the model", "--b" + part(`Content-Disposition: form-data; name="model"; filename="a"`, "1") + "--", verdict.BodyAmbiguous},
		{"a field that is not UTF-8", "--b" + part(`Content-Disposition: form-data; name="x"`, "\xff") + "--", verdict.BodyMalformed},
		{"a header without an end", "--b\r\nContent-Disposition: form-data; name=\"" + repeat("x", 5000), verdict.BodyMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p Parser
			b, err := p.Parse(Message{Type: []string{"multipart/form-data; boundary=b"}, API: api, Data: []byte(tc.data)}, limits(), measured)
			if got := codeOf(err); got != tc.code {
				t.Fatalf("%v, want %q", err, tc.code)
			}
			if tc.name == "a field and a file" && (b.Model != "whisper" || len(b.Parts) != 1 || b.Parts[0].Declared != "audio/wav" || b.Parts[0].Digest != digest([]byte("RIFF"))) {
				t.Errorf("%+v", b)
			}
		})
	}
	for _, kind := range []string{"multipart/form-data", "multipart/form-data; boundary=" + repeat("b", 71)} {
		var p Parser
		if _, err := p.Parse(Message{Type: []string{kind}, Data: []byte("--b--")}, limits(), measured); codeOf(err) != verdict.BodyType {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestTensorsHoldWhatTheySay(t *testing.T) {
	bytesTensor := func(elements ...string) (out []byte) {
		for _, e := range elements {
			out = binary.LittleEndian.AppendUint32(out, uint32(len(e)))
			out = append(out, e...)
		}
		return out
	}
	for _, tc := range []struct {
		name, inputs string
		rest         []byte // nil: plain JSON
		code         verdict.Code
		parts        int
	}{
		{"numbers in the JSON", `{"name":"x","shape":[2,2],"datatype":"FP32","data":[1,2,3.5,-4e0]}`, nil, "", 1},
		{"numbers in rows", `{"data":[[1,2],[3,4]],"datatype":"INT32","shape":[2,2]}`, nil, "", 1},
		{"truth", `{"shape":[2],"datatype":"BOOL","data":[true,false]}`, nil, "", 1},
		{"a text", `{"shape":[1],"datatype":"BYTES","data":["hello"]}`, nil, "", 1},
		{"one too few", `{"shape":[2,2],"datatype":"FP32","data":[1,2,3]}`, nil, verdict.TensorShape, 0},
		{"no datatype", `{"shape":[1],"data":[1]}`, nil, verdict.TensorShape, 0},
		{"a datatype that is none", `{"shape":[1],"datatype":"FP31","data":[1]}`, nil, verdict.TensorShape, 0},
		{"a negative shape", `{"shape":[-1],"datatype":"FP32","data":[1]}`, nil, verdict.TensorShape, 0},
		{"a shape beyond all bounds", `{"shape":[4294967296,4294967296],"datatype":"FP32","data":[1]}`, nil, verdict.BodyLimit, 0},
		{"no data", `{"shape":[1],"datatype":"FP32"}`, nil, verdict.TensorShape, 0},
		{"bytes after the JSON", `{"shape":[2],"datatype":"FP32","parameters":{"binary_data_size":8}}`, make([]byte, 8), "", 1},
		{"too few of them", `{"shape":[2],"datatype":"FP32","parameters":{"binary_data_size":8}}`, make([]byte, 7), verdict.TensorShape, 0},
		{"too many of them", `{"shape":[2],"datatype":"FP32","parameters":{"binary_data_size":8}}`, make([]byte, 9), verdict.TensorShape, 0},
		{"as many as said, but not as the shape says", `{"shape":[3],"datatype":"FP32","parameters":{"binary_data_size":8}}`, make([]byte, 8), verdict.TensorShape, 0},
		{"data in both places", `{"shape":[2],"datatype":"FP32","data":[1,2],"parameters":{"binary_data_size":8}}`, make([]byte, 8), verdict.TensorShape, 0},
		{"data in the server's memory", `{"shape":[1],"datatype":"BYTES","data":["harmless"],"parameters":{"shared_memory_region":"r","shared_memory_byte_size":8}}`, nil, verdict.BodyOutside, 0},
		{"data in the server's memory, of no name", `{"shape":[1],"datatype":"BYTES","data":["harmless"],"parameters":{"shared_memory_region":null}}`, nil, verdict.BodyOutside, 0},
		{"an answer into the server's memory", `{"shape":[1],"datatype":"BYTES","data":["a"]}],"outputs":[{"name":"y","parameters":{"shared_memory_region":"r"}}`, nil, verdict.BodyOutside, 0},
		{"an answer with a parameter", `{"shape":[1],"datatype":"BYTES","data":["a"]}],"outputs":[{"name":"y","parameters":{"binary_data":false,"classification":2}}`, nil, "", 1},
		{"texts and content", `{"shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":13}}`, bytesTensor("abc", "\xff\xd8"), "", 2},
		{"an element longer than the tensor", `{"shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":6}}`, []byte{9, 0, 0, 0, 1, 2}, verdict.TensorShape, 0},
		{"an element too many", `{"shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":10}}`, bytesTensor("a", "b"), verdict.TensorShape, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			head := `{"inputs":[` + tc.inputs + `]}`
			m := jsonMessage(OpenInference(), head)
			if tc.rest != nil {
				m = Message{Type: []string{"application/octet-stream"}, TensorHeader: []string{strconv.Itoa(len(head))}, API: OpenInference(), Data: append([]byte(head), tc.rest...)}
			}
			var p Parser
			b, err := p.Parse(m, limits(), measured)
			if got := codeOf(err); got != tc.code {
				t.Fatalf("%v, want %q", err, tc.code)
			}
			if err == nil && len(b.Parts) != tc.parts {
				t.Errorf("%d parts, want %d: %+v", len(b.Parts), tc.parts, b.Parts)
			}
		})
	}
	for _, header := range [][]string{{"1", "2"}, {"x"}, {"-1"}, {"99"}} {
		var p Parser
		m := Message{Type: []string{"application/octet-stream"}, TensorHeader: header, API: OpenInference(), Data: []byte("{}")}
		if _, err := p.Parse(m, limits(), measured); codeOf(err) != verdict.BodyType {
			t.Errorf("%v: %v", header, err)
		}
	}
}

func TestAPartIsBounded(t *testing.T) {
	l := limits()
	l.Parts, l.PartBytes, l.TextBytes, l.Bytes = 2, 4, 10, 1000
	image := `{"image_url":{"url":"data:image/png;base64,%s"}}`
	for _, tc := range []struct {
		name, content string
		code          verdict.Code
	}{
		{"two parts", fmt.Sprintf(image+","+image, "QUJD", "QUJD"), ""},
		{"three parts", fmt.Sprintf(image+","+image+","+image, "QUJD", "QUJD", "QUJD"), verdict.BodyLimit},
		{"a part of four bytes", fmt.Sprintf(image, "QUJDRA=="), ""},
		{"a part of five bytes", fmt.Sprintf(image, "QUJDREU="), verdict.BodyLimit},
		{"ten bytes of text", `{"text":"abcdefghij"}`, ""},
		{"eleven bytes of text", `{"text":"abcdefghijk"}`, verdict.BodyLimit},
		{"a long body", `{"text":"` + repeat(" ", 1000) + `"}`, verdict.BodyLimit},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p Parser
			_, err := p.Parse(jsonMessage(chat(t), `{"messages":[{"content":[`+tc.content+`]}]}`), l, measured)
			if got := codeOf(err); got != tc.code {
				t.Errorf("%v, want %q", err, tc.code)
			}
		})
	}
}

// A pointer is as long as the keys above it, and each value has its own.
func TestManyValuesBelowLongKeysAreBounded(t *testing.T) {
	below := func(depth, values int) string {
		text := `[` + repeat(`"a b",`, values) + `"c"]`
		for range depth {
			text = `{"` + repeat("k", 250) + `":` + text + `}`
		}
		return text
	}
	for _, tc := range []struct {
		name          string
		depth, values int
		code          verdict.Code
	}{
		{"many values below short keys", 1, 50_000, ""},
		{"a few below long ones", 60, 1000, ""},
		{"many below long ones", 60, 50_000, verdict.BodyLimit},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p Parser
			if _, err := p.Parse(jsonMessage(nil, below(tc.depth, tc.values)), limits(), measured); codeOf(err) != tc.code {
				t.Errorf("%v, want %q", err, tc.code)
			}
		})
	}
}

func FuzzBodies(f *testing.F) {
	f.Add("multipart/form-data; boundary=b", "", []byte("--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--"))
	f.Add("application/x-www-form-urlencoded", "", []byte("model=m&prompt=a+b%21&n=2"))
	f.Add("application/octet-stream", "87", []byte(`{"inputs":[{"shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":6}}]}`+"      \x02\x00\x00\x00ab"))
	api, _ := OpenAI("/v1/images/edits")
	api = anyType(api)
	f.Fuzz(func(t *testing.T, kind, header string, data []byte) {
		m := Message{Type: []string{kind}, API: api, Data: data}
		if header != "" {
			m.TensorHeader, m.API = []string{header}, OpenInference()
		}
		var p Parser
		if _, err := p.Parse(m, limits(), measured); codeOf(err) == verdict.Internal {
			t.Fatal(err)
		}
	})
}

func TestFieldsOfABodyWithoutAny(t *testing.T) {
	b := parse(t, jsonMessage(chat(t), `[]`))
	if !reflect.DeepEqual(b.Fields, Fields{}) || len(b.Texts)+len(b.Parts)+len(b.Controls) != 0 {
		t.Errorf("%+v", b)
	}
}

func TestTheDigestNamesTheWholeMessage(t *testing.T) {
	image := func(url, after string) string {
		return `{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,` + url + `"}},{"text":"` + after + `"}]}]}`
	}
	seen := map[[32]byte]string{}
	for _, text := range []string{
		image("QUJD", "a"), image("QUJE", "a"), image("QUJD", "b"), image("QUJDRA==", "a"), image(`QUJ\u0044`, "a"), strings.Replace(image("QUJD", "a"), "png", "gif", 1),
		strings.Replace(image("QUJD", "a"), "content", "conten", 1), image("QUJD", "a") + " ",
	} {
		m := jsonMessage(chat(t), text)
		sum := parse(t, m).Digest(m.Data)
		if other, twice := seen[sum]; twice {
			t.Errorf("%s and %s have one digest", text, other)
		}
		seen[sum] = text
		if again := parse(t, m).Digest(m.Data); again != sum {
			t.Errorf("%s has two digests", text)
		}
	}
	m := jsonMessage(chat(t), image("QUJD", "a"))
	if b := parse(t, m); len(b.spans) != 1 || string(m.Data[b.spans[0].from:b.spans[0].to]) != "QUJD" {
		t.Errorf("%+v", b.spans)
	}
	multipart := Message{Type: []string{"multipart/form-data; boundary=b"}, Data: []byte("--b\r\nContent-Disposition: form-data; name=\"x\"; filename=\"a\"\r\n\r\nABC\r\n--b--")}
	if b := parse(t, multipart); len(b.spans) != 1 || string(multipart.Data[b.spans[0].from:b.spans[0].to]) != "ABC" {
		t.Errorf("%+v", b.spans)
	}
}

func TestAnEndpointHasItsOwnTable(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/chat/completions": "openai.chat.completions", "/v1/completions": "openai.completions", "/openai/v1/embeddings": "openai.embeddings",
		"/v1/audio/transcriptions": "openai.audio.transcriptions",
	} {
		for range 20 { // the tables are in a map
			if api, ok := OpenAI(path); !ok || api.Name != want {
				t.Fatalf("%s: %v", path, api)
			}
		}
	}
	if _, ok := OpenAI("/v1/assistants"); ok {
		t.Error("an endpoint that nobody knows has a table")
	}
}
