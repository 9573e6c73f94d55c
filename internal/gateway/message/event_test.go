package message

import (
	"encoding/json"
	"maps"
	"math/big"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

var epochSerial = big.NewInt(1)

func TestStructuredEventsAreReadInOneWay(t *testing.T) {
	const head = `{"specversion":"1.0","id":"1","source":"/a","type":"t"`
	for what, test := range map[string]struct{ in, data string }{
		"without data":              {head + `}`, ""},
		"with JSON":                 {head + `,"data":{"a": [1]}}`, `{"a": [1]}`},
		"with JSON by its type":     {head + `,"datacontenttype":"application/x+json","data":"a"}`, `"a"`},
		"with text":                 {head + `,"datacontenttype":"text/plain","data":"a\u00e9"}`, "aé"},
		"with base64":               {head + `,"datacontenttype":"image/png","data_base64":"iVBORw=="}`, "\x89PNG"},
		"with a number and a bool":  {head + `,"n":-7,"b":true}`, ""},
		"with null for what is not": {head + `,"subject":null}`, ""},
	} {
		e, err := Read(map[string][]string{"Content-Type": {structured}}, []byte(test.in), true)
		if err != nil || string(e.Data) != test.data || e.Attributes["id"] != "1" {
			t.Errorf("%s: %+v %v", what, e, err)
		}
	}
	for what, in := range map[string]string{
		"nothing":                       ``,
		"a list":                        `[` + head + `}]`,
		"null":                          `null`,
		"a key twice":                   head + `,"id":"2"}`,
		"a key twice, with an escape":   head + `,"\u0069d":"2"}`,
		"a key in capitals too":         head + `,"ID":"2"}`,
		"a name in capitals":            head + `,"Tenant":"2"}`,
		"a name with a hyphen":          head + `,"a-b":"2"}`,
		"a name that is too long":       head + `,"` + strings.Repeat("a", 21) + `":"2"}`,
		"data twice":                    head + `,"data":1,"data_base64":"AA=="}`,
		"base64 that is none":           head + `,"data_base64":"AA="}`,
		"base64 with a line break":      head + `,"data_base64":"AA\n=="}`,
		"base64 with bits left":         head + `,"data_base64":"AB=="}`,
		"data of another type":          head + `,"datacontenttype":"text/plain","data":{"a":1}}`,
		"data that is null, for text":   head + `,"datacontenttype":"text/plain","data":null}`,
		"a fraction":                    head + `,"n":1.5}`,
		"a number that is too large":    head + `,"n":4294967296}`,
		"an exponent":                   head + `,"n":1e2}`,
		"an object for an attribute":    head + `,"n":{}}`,
		"a control character":           head + `,"n":"a\u0001"}`,
		"a separator of lines":          head + `,"n":"a\u2028"}`,
		"another version":               strings.Replace(head, "1.0", "0.3", 1) + `}`,
		"no id":                         strings.Replace(head, `"id":"1"`, `"id":""`, 1) + `}`,
		"no type":                       strings.Replace(head, `"type":"t"`, `"subject":"t"`, 1) + `}`,
		"a source that is no URI":       strings.Replace(head, `"/a"`, `"%zz"`, 1) + `}`,
		"something behind it":           head + `} {}`,
		"lists in lists without end":    head + `,"data":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		"an attribute that is too long": head + `,"n":"` + strings.Repeat("a", maxValue+1) + `"}`,
	} {
		if e, err := Read(map[string][]string{"Content-Type": {structured}}, []byte(in), true); media.CodeOf(err) != verdict.MessageMalformed {
			t.Errorf("%s: %+v %v", what, e, err)
		}
	}
}

func TestBinaryEventsAreReadInOneWay(t *testing.T) {
	good := func(prefix string, more ...string) map[string][]string {
		m := map[string][]string{prefix + "specversion": {"1.0"}, prefix + "id": {"1"}, prefix + "source": {"/a"}, prefix + "type": {"t"}, "content-type": {"text/plain"}, "other": {"x"}}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = append(m[more[i]], more[i+1])
		}
		return m
	}
	for what, in := range map[string]map[string][]string{
		"as HTTP has it": good("Ce-"), "as NATS has it": good("ce-"), "as Kafka has it": good("ce_"), "with an escape": good("ce-", "ce-subject", "a%20%C3%A9"),
	} {
		e, err := Read(in, []byte("x"), true)
		if err != nil || e.Attributes["id"] != "1" || e.Attributes["datacontenttype"] != "text/plain" || e.Attributes["other"] != "" || string(e.Data) != "x" {
			t.Errorf("%s: %+v %v", what, e, err)
		}
		if s := e.Attributes["subject"]; s != "" && s != "a é" {
			t.Errorf("%s: %q", what, s)
		}
	}
	if e, err := Read(good("ce-", "ce-subject", "a%20"), nil, false); err != nil || e.Attributes["subject"] != "a%20" {
		t.Errorf("without escapes: %+v %v", e, err)
	}
	for what, in := range map[string]map[string][]string{
		"nothing": nil, "an attribute twice": good("ce-", "ce-id", "2"), "an attribute in other letters": good("ce-", "CE-id", "2"), "two spellings": good("ce-", "ce_subject", "2"),
		"a type of its own": good("ce-", "ce-datacontenttype", "text/html"), "two types": good("ce-", "content-type", "text/html"), "two spellings of the type": good("ce-", "content_type", "text/html"),
		"a name with an underscore": good("ce-", "ce-a_b", "2"), "an escape that is none": good("ce-", "ce-subject", "%zz"), "an escaped line break": good("ce-", "ce-subject", "a%0d%0ab"),
		"an escape that is no UTF-8": good("ce-", "ce-subject", "%ff"), "an attribute named data": good("ce-", "ce-data", "x"),
	} {
		if e, err := Read(in, nil, true); media.CodeOf(err) != verdict.MessageMalformed {
			t.Errorf("%s: %+v %v", what, e, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/a","type":"t","data":{"a":1}}`), structured, "x")
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/a","type":"t","datacontenttype":"text/plain","data":"x","n":1}`), structured, "")
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/a","type":"t","data_base64":"AA=="}`), structured, "")
	f.Add([]byte("x"), "text/plain", "a%20b")
	f.Fuzz(func(t *testing.T, content []byte, contentType, subject string) {
		in := map[string][]string{"content-type": {contentType}}
		if subject != "" {
			maps.Copy(in, map[string][]string{"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/a"}, "ce-type": {"t"}, "ce-subject": {subject}})
		}
		e, err := Read(in, content, true)
		if err != nil {
			if media.CodeOf(err) != verdict.MessageMalformed {
				t.Fatal(err)
			}
			return
		}
		// What was read is read again in binary mode, and signs the same way.
		out := map[string][]string{}
		for name, value := range e.Metadata("ce_") {
			out[name] = []string{value}
		}
		if strings.HasPrefix(strings.ToLower(e.Attributes["datacontenttype"]), "application/cloudevents") {
			return // an event within an event: binary mode has no word for it
		}
		again, err := Read(out, e.Data, false)
		if err != nil || !maps.Equal(again.Attributes, e.Attributes) || string(again.Data) != string(e.Data) {
			t.Fatalf("%+v is read as %+v (%v)", e, again, err)
		}
		first, err1 := Bind(e, epoch)
		second, err2 := Bind(again, epoch)
		if first != second || (err1 == nil) != (err2 == nil) {
			t.Fatal("the same event is signed in two ways")
		}
		if err1 != nil {
			return
		}
		b, err := payload(e)
		if err != nil || !json.Valid(b) {
			t.Fatalf("%s %v", b, err)
		}
	})
}
