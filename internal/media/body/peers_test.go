package body

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// read is what somebody reads in a body: a field of a form, or a string of a document.
type read struct{ name, file, value string }

// disguised are bodies in which two readers could see two things. Each that the
// parser accepts has to be the same to every server.
var disguised = []struct {
	name, kind, data string
	code             verdict.Code // "" when it is accepted
}{
	{"a field and a file", form, "--b" + field("model", "a") + upload("x.png", "ABC") + end, ""},
	{"names without quotes", form, "--b" + with("form-data; name=file; filename=x.png", "ABC") + end, ""},
	{"no space between parameters", form, "--b" + with(`form-data;name="model"`, "a") + end, ""},
	{"parameters in capitals", form, "--b" + with(`Form-Data; NAME="model"`, "a") + end, ""},
	{"a boundary in quotes", `multipart/form-data; boundary="b"`, "--b" + field("model", "a") + end, ""},
	{"a boundary as browsers have it", "multipart/form-data; boundary=----WebKitFormBoundaryA1", strings.ReplaceAll(string(bodyOf("--b"+field("model", "a")+end)), "--b", "------WebKitFormBoundaryA1"), ""},
	{"a boundary with an equals sign", `multipart/form-data; boundary="=_b"`, strings.ReplaceAll(string(bodyOf("--b"+field("model", "a")+end)), "--b", "--=_b"), ""},
	{"an empty value", form, "--b" + field("model", "") + end, ""},
	{"line ends in a value", form, "--b" + field("text", "a\r\n\r\nb\nc\r\n") + end, ""},
	{"dashes in a value", form, "--b" + field("text", "--\r\n--\r\n-b--") + end, ""},
	{"a value in another script", form, "--b" + field("text", "привет 世界") + end, ""},
	{"a name twice", form, "--b" + field("tag", "a") + field("tag", "b") + end, ""},
	{"a file of bytes", form, "--b" + upload("x.bin", "\x00\x01\xff\r\n\xfe--") + end, ""},
	{"a file name in another script", form, "--b" + upload("фото 1.png", "ABC") + end, ""},
	{"a field of text", form, "--b" + with("form-data; name=\"text\"\r\nContent-Type: text/plain; charset=utf-8", "a") + end, ""},
	{"a field of JSON", form, "--b" + with("form-data; name=\"options\"\r\nContent-Type: application/json", `{"a":1}`) + end, ""},

	{"a boundary behind a bare LF", form, "--b" + field("x", "a\n--b"+field("model", "other")) + end, verdict.BodyAmbiguous},
	{"a boundary behind a bare CR", form, "--b" + field("x", "a\r--b"+field("model", "other")) + end, verdict.BodyAmbiguous},
	{"a boundary within a line", form, "--b" + field("x", "a --b") + end, verdict.BodyAmbiguous},
	{"a boundary at the beginning of a value", form, "--b" + field("x", "--b--") + end, verdict.BodyAmbiguous},
	{"a boundary in a header", form, "--b" + with("form-data; name=\"x\r\n--b\"", "a") + end, verdict.BodyAmbiguous},
	{"a boundary that goes on", form, "--b" + field("x", "a\r\n--bc") + end, verdict.BodyMalformed},
	{"a boundary with a space behind it", form, "--b" + field("x", "a\r\n--b ") + end, verdict.BodyMalformed},
	{"an end with more behind it", form, "--b" + field("x", "a") + end + "--b" + field("model", "other") + end, verdict.BodyMalformed},
	{"an empty part without its line", form, "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n--b--\r\n", verdict.BodyAmbiguous},
	{"two boundaries", "multipart/form-data; boundary=b; boundary=c", "--b" + field("x", "a") + end, verdict.BodyType},
	{"a second boundary that is extended", "multipart/form-data; boundary=c; boundary*=utf-8''b", "--b" + field("x", "a\r\n--c"+field("model", "other")+"\r\n--c--") + end, verdict.BodyType},
	{"a boundary in pieces", "multipart/form-data; boundary*0=b; boundary*1=c", "--bc\r\n", verdict.BodyType},
	{"a boundary with a semicolon", `multipart/form-data; boundary="b;c"`, "--b;c\r\n", verdict.BodyType},
	{"a boundary in another parameter", `multipart/form-data; x="boundary=c"; boundary=b`, "--b" + field("x", "a") + end, verdict.BodyType},
	{"a boundary with a backslash", `multipart/form-data; boundary="\b"`, "--b" + field("x", "a") + end, verdict.BodyType},
	{"a name within the file's name", form, "--b" + with(`form-data; filename="a; name=model"; name="file"`, "other") + end, verdict.BodyAmbiguous},
	{"a name behind a semicolon in the file's name", form, "--b" + with(`form-data; name="file"; filename="a; name=model"`, "other") + end, verdict.BodyAmbiguous},
	{"a file's name within the name", form, "--b" + with(`form-data; name="x; filename=y.php"`, "a") + end, verdict.BodyAmbiguous},
	{"a backslash in the name", form, "--b" + with(`form-data; name="mod\el"`, "other") + end, verdict.BodyAmbiguous},
	{"a quote in the name", form, "--b" + with(`form-data; name="a\"; name=model; b=\""`, "other") + end, verdict.BodyAmbiguous},
	{"a percent sign in the name", form, "--b" + with(`form-data; name="mode%6c"`, "other") + end, verdict.BodyAmbiguous},
	{"a quote as browsers write it", form, "--b" + upload("a%22b.png", "ABC") + end, verdict.BodyAmbiguous},
	{"an encoded word for a name", form, "--b" + upload("=?utf-8?b?YS5waHA=?=", "ABC") + end, verdict.BodyAmbiguous},
	{"a name without an end", form, "--b" + with(`form-data; name="x`, "a") + end, verdict.BodyAmbiguous},
	{"a third parameter", form, "--b" + with(`form-data; name="x"; size=3`, "a") + end, verdict.BodyAmbiguous},
	{"an empty file name", form, "--b" + with(`form-data; name="x"; filename=""`, "a") + end, verdict.BodyAmbiguous},
	{"a file's name that is extended", form, "--b" + with(`form-data; name="x"; filename="a.png"; filename*=UTF-8''b.php`, "a") + end, verdict.BodyAmbiguous},
	{"a field that says it is bytes", form, "--b" + with("form-data; name=\"model\"\r\nContent-Type: application/octet-stream", "a") + end, verdict.BodyAmbiguous},
	{"a field of parts", form, "--b" + with("form-data; name=\"x\"\r\nContent-Type: multipart/mixed; boundary=c", "--c\r\n\r\na\r\n--c--") + end, verdict.BodyMalformed},
	{"a field in base64", form, "--b" + with("form-data; name=\"x\"\r\nContent-Transfer-Encoding: base64", "YQ==") + end, verdict.BodyMalformed},
	{"a folded header", form, "--b" + with("form-data;\r\n name=\"x\"", "a") + end, verdict.BodyMalformed},
	{"no end", form, "--b" + field("x", "a"), verdict.BodyMalformed},

	{"a form of pairs", pairs, "model=a&text=b+c%21&tag=%D1%84&tag=", ""},
	{"an equals sign in a value", pairs, "a=b=c", ""},
	{"a field without a value", pairs, "a&b=1", ""},
	{"a semicolon between fields", pairs, "x=1;model=other", verdict.BodyAmbiguous},
	{"a document for a form", pairs, `{"model":"other"}`, verdict.BodyType},

	{"a document", "application/json", `{"a":"1","b":["2",{"c":"3"}],"d/e":"4","f~":"5"}`, ""},
	{"every escape", "application/json", `{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"}`, ""},
	{"a line separator", "application/json", "{\"a\":\"\u2028\u2029\u0085\"}", ""},
	{"NUL in a value", "application/json", `{"a":"b\u0000c"}`, ""},
	{"a key of a prototype", "application/json", `{"__proto__":"a","constructor":"b"}`, ""},
	{"keys that look like numbers", "application/json", `{"2":"a","1":"b","01":"c"}`, ""},
	{"an empty key", "application/json", `{"":"a"}`, ""},
	{"a key twice", "application/json", `{"a":"1","a":"2"}`, verdict.BodyAmbiguous},
	{"a key twice, once with an escape", "application/json", `{"a":"1","\u0061":"2"}`, verdict.BodyAmbiguous},
	{"a lone surrogate", "application/json", `{"a":"\ud800"}`, verdict.BodyMalformed},
	{"NaN", "application/json", `{"a":NaN}`, verdict.BodyMalformed},
	{"two documents", "application/json", `{"a":"1"}{"a":"2"}`, verdict.BodyMalformed},
	{"UTF-16", "application/json", "\xff\xfe{\x00\"\x00a\x00\"\x00:\x001\x00}\x00", verdict.BodyMalformed},
	{"a byte order mark", "application/json", "\xef\xbb\xbf{}", verdict.BodyMalformed},
}

const (
	form  = "multipart/form-data; boundary=b"
	pairs = "application/x-www-form-urlencoded"
	end   = "\r\n--b--\r\n"
)

// with is a part behind its boundary, up to the one after it.
func with(disposition, value string) string {
	return "\r\nContent-Disposition: " + disposition + "\r\n\r\n" + value + between
}
func field(name, value string) string { return with(`form-data; name="`+name+`"`, value) }
func upload(file, value string) string {
	return with(`form-data; name="file"; filename="`+file+"\"\r\nContent-Type: application/octet-stream", value)
}

// between is put behind each part, and taken away before the end.
const between = "\r\n--b"

func bodyOf(data string) []byte { return []byte(strings.ReplaceAll(data, between+end, end)) }

func TestServersReadWhatWasInspected(t *testing.T) {
	var cases []map[string]string
	var inspected [][]read
	var names []string
	for _, tc := range disguised {
		data := bodyOf(tc.data)
		got, err := inspectedIn(tc.kind, data)
		if codeOf(err) != tc.code {
			t.Errorf("%s: %v, want %q\n%q", tc.name, err, tc.code, data)
		}
		if err == nil {
			cases = append(cases, map[string]string{"kind": tc.kind, "data": base64.StdEncoding.EncodeToString(data)})
			inspected, names = append(inspected, got), append(names, tc.name)
		}
	}
	for _, peer := range []struct {
		name string
		read func(t *testing.T) [][]read
	}{
		{"Go", func(*testing.T) (all [][]read) {
			for _, c := range cases {
				all = append(all, readByGo(c["kind"], c["data"]))
			}
			return all
		}},
		{"Node", func(t *testing.T) [][]read { return readBy(t, cases, "node", "testdata/peer.js") }},
		{"Python", func(t *testing.T) [][]read { return readBy(t, cases, "python3", "testdata/peer.py") }},
		{"Python's cgi", func(t *testing.T) [][]read { return readBy(t, cases, "python3", "testdata/peer.py", "cgi") }},
	} {
		t.Run(peer.name, func(t *testing.T) {
			all, understood := peer.read(t), 0
			for i, got := range all {
				if got == nil {
					continue // it is refused there
				}
				understood++
				for _, one := range got {
					if !slices.Contains(inspected[i], one) {
						t.Errorf("%s: the server reads %q, inspected was %q", names[i], one, inspected[i])
					}
				}
				if len(got) != len(inspected[i]) {
					t.Errorf("%s: the server reads %q, inspected was %q", names[i], got, inspected[i])
				}
			}
			if understood < len(all)/2 {
				t.Errorf("the server understands %d of %d bodies only: nothing is compared", understood, len(all))
			}
		})
	}
}

// inspectedIn returns what the parser hands on to be looked at.
func inspectedIn(kind string, data []byte) (all []read, err error) {
	var contents [][]byte
	var p Parser
	b, err := p.Parse(Message{Type: []string{kind}, API: Answers(), Data: data}, limits(), func(r io.Reader, where, declared string, l *media.Limits) (media.Part, error) {
		content, err := io.ReadAll(r)
		contents = append(contents, content)
		return media.Part{Where: where}, err
	})
	if err != nil {
		return nil, err
	}
	all = []read{}
	if kind == "application/json" {
		for i, c := range b.Controls {
			key := c.Where[strings.LastIndexByte(c.Where, '/')+1:]
			if i+1 < len(b.Controls) && b.Controls[i+1].Where == c.Where && pointerUnescape.Replace(key) == string(c.Value) {
				continue // the key, before its value
			}
			all = append(all, read{c.Where, "", string(c.Value)})
		}
		return all, nil
	}
	for i := 0; i+1 < len(b.Controls); i += 2 { // the name, and the value or the file's name
		name, second := string(b.Controls[i].Value), string(b.Controls[i+1].Value)
		if b.PartAt(b.Controls[i].Where) {
			all = append(all, read{name, second, string(contents[0])})
			contents = contents[1:]
			continue
		}
		all = append(all, read{name, "", second})
	}
	return all, nil
}

var pointerUnescape = strings.NewReplacer("~1", "/", "~0", "~")

func readByGo(kind, encoded string) []read {
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil
	}
	all := []read{}
	kind, params, err := mime.ParseMediaType(kind)
	switch {
	case err != nil:
		return nil
	case kind == "application/json":
		var document any
		if json.Unmarshal(data, &document) != nil {
			return nil
		}
		return stringsOf(document, "", all)
	case kind == pairs:
		values, err := url.ParseQuery(string(data))
		if err != nil {
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			for _, value := range values[name] {
				all = append(all, read{name, "", value})
			}
		}
		return all
	}
	parts := multipart.NewReader(bytes.NewReader(data), params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return all
		}
		if err != nil {
			return nil
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return nil
		}
		all = append(all, read{part.FormName(), part.FileName(), string(content)})
	}
}

func stringsOf(value any, at string, all []read) []read {
	switch v := value.(type) {
	case string:
		return append(all, read{at, "", v})
	case []any:
		for i := range v {
			all = stringsOf(v[i], at+"/"+strconv.Itoa(i), all)
		}
	case map[string]any:
		for key := range v {
			all = stringsOf(v[key], at+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key), all)
		}
	}
	return all
}

// readBy has a program read all bodies.
func readBy(t *testing.T, cases []map[string]string, program string, args ...string) (all [][]read) {
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("there is no %s here", program)
	}
	in, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("%s cannot run the peer: %v", program, err) // too old a version
	}
	var answers [][][3]*string
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(cases) {
		t.Fatal(fmt.Errorf("%d answers of %d: %w", len(answers), len(cases), err))
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	for _, answer := range answers {
		var got []read
		if answer != nil {
			got = []read{}
		}
		for _, f := range answer {
			value, err := base64.StdEncoding.DecodeString(text(f[2]))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, read{text(f[0]), text(f[1]), string(value)})
		}
		all = append(all, got)
	}
	return all
}
