package body

import (
	"strings"
	"testing"
)

func TestPartsAreReplacedAsTheyAreWritten(t *testing.T) {
	for _, tc := range []struct {
		name, in, out string
		m             Message
	}{
		{name: "a data: URL", m: Message{API: chat(t)},
			in:  `{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,QUJD"}},{"text":"after"}]}]}`,
			out: `{"messages":[{"content":[{"image_url":{"url":"data:image/new;base64,TkVX"}},{"text":"after"}]}]}`},
		{name: "an address", m: Message{API: chat(t)},
			in:  `{"messages":[{"content":[{"image_url":{"url":"https:\/\/example.com/a"}} , {"text":"after"}]}]}`,
			out: `{"messages":[{"content":[{"image_url":{"url":"data:image/new;base64,TkVX"}} , {"text":"after"}]}]}`},
		{name: "bare base64 before the sibling that says its type", m: Message{API: chat(t)},
			in:  `{"messages":[{"content":[{"input_audio":{"data":"QUI\/","format":"wav"}}]}]}`,
			out: `{"messages":[{"content":[{"input_audio":{"data":"TkVX","format":"wav"}}]}]}`},
		{name: "one of several lines", m: Message{Type: []string{"application/x-ndjson"}, API: anyType(chat(t))},
			in:  "{\"model\":\"m\"}\n" + `{"messages":[{"content":[{"image_url":"https://example.com/a"}]}]}` + "\n{}",
			out: "{\"model\":\"m\"}\n" + `{"messages":[{"content":[{"image_url":"data:image/new;base64,TkVX"}]}]}` + "\n{}"},
		{name: "a file of a form", m: Message{Type: []string{"multipart/form-data; boundary=b"}, API: anyType(chat(t))},
			in:  "--b\r\nContent-Disposition: form-data; name=\"x\"; filename=\"a\"\r\n\r\nABC\r\n--b--",
			out: "--b\r\nContent-Disposition: form-data; name=\"x\"; filename=\"a\"\r\n\r\nNEW\r\n--b--"},
		{name: "the whole body", m: Message{Type: []string{"image/png"}, API: anyType(chat(t))}, in: "ABC", out: "NEW"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.m.Type == nil {
				tc.m.Type = []string{"application/json"}
			}
			tc.m.Data = []byte(tc.in)
			b := parse(t, tc.m)
			if len(b.Parts) != 1 {
				t.Fatalf("%d parts", len(b.Parts))
			}
			content, err := b.Content(tc.m.Data, 0)
			if (err != nil) != (b.Parts[0].URL != "") || err == nil && int64(len(content)) != b.Parts[0].Bytes {
				t.Errorf("%q %v", content, err)
			}
			out, err := b.Rewrite(tc.m.Data, []Change{{Part: 0, Type: "image/new", Data: []byte("NEW")}})
			if err != nil || string(out) != tc.out {
				t.Fatalf("%s %v, want\n%s", out, err, tc.out)
			}
			tc.m.Data = out
			if again := parse(t, tc.m); len(again.Parts) != 1 || again.Parts[0].Digest != digest([]byte("NEW")) || again.Parts[0].URL != "" {
				t.Errorf("%+v", again.Parts)
			}
		})
	}
}

func TestSeveralPartsAreReplacedInWhateverOrderTheyWereFound(t *testing.T) {
	// The bare one ends its object, so it is found after the one within.
	api, err := Generic(nil, []string{"/a/data", "/a/b/data"})
	if err != nil {
		t.Fatal(err)
	}
	m := jsonMessage(api, `{"a":{"data":"QUJD","b":{"data":"REVG"}}}`)
	b := parse(t, m)
	if b.Parts[0].Where != "/a/b/data" {
		t.Fatalf("%+v", b.Parts)
	}
	out, err := b.Rewrite(m.Data, []Change{{Part: 0, Data: []byte("inner")}, {Part: 1, Data: []byte("outer")}})
	if err != nil || string(out) != `{"a":{"data":"b3V0ZXI=","b":{"data":"aW5uZXI="}}}` {
		t.Errorf("%s %v", out, err)
	}
}

func TestWhatSomethingElseCountsIsNotReplaced(t *testing.T) {
	api, err := Generic(nil, []string{"/image"})
	if err != nil {
		t.Fatal(err)
	}
	head := `{"image":"QUJD"}`
	for header, fails := range map[string]bool{"": false, "16": true} {
		m := Message{Type: []string{"application/json"}, API: api, Data: []byte(head)}
		if header != "" {
			m.Type, m.TensorHeader = []string{"application/octet-stream"}, []string{header}
		}
		b := parse(t, m)
		if _, err := b.Rewrite(m.Data, []Change{{Part: 0, Data: []byte("longer")}}); (err != nil) != fails {
			t.Errorf("%q: %v", header, err)
		}
		if _, err := b.Content(m.Data, 0); (err != nil) != fails {
			t.Errorf("%q: %v", header, err)
		}
	}
}

// FuzzRewrite holds that a message whose parts are replaced has the same pieces,
// with the new content in the places of the old, and the same bytes around them.
func FuzzRewrite(f *testing.F) {
	for _, s := range []string{
		`{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,QUJD"}},{"image_url":{"url":"https:\/\/a.example"}}]}]}`,
		`{"messages":[{"content":[{"input_audio":{"data":"QUJD","format":"wav"}},{"file":{"file_data":"data:;base64,QQ=="}}]}]}`,
		small(),
	} {
		f.Add(s, "new")
	}
	f.Fuzz(func(t *testing.T, text, content string) {
		m := jsonMessage(chat(t), text)
		var p, q Parser
		l := limits()
		b, err := p.Parse(m, l, measured)
		if err != nil || content == "" {
			return
		}
		var changes []Change
		for i := range b.Parts {
			if b.slots[i].as == 0 {
				continue
			}
			if c, err := b.Content(m.Data, i); b.Parts[i].URL == "" && (err != nil || digest(c) != b.Parts[i].Digest) {
				t.Fatalf("part %d: %v", i, err)
			}
			changes = append(changes, Change{Part: i, Type: "image/new", Data: []byte(content)})
		}
		out, err := b.Rewrite(m.Data, changes)
		if err != nil {
			t.Fatal(err)
		}
		l.Bytes, l.PartBytes = int64(len(out)), int64(len(content))
		after, err := q.Parse(Message{Type: m.Type, API: m.API, Data: out}, l, measured)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if len(after.Parts) != len(b.Parts) || len(after.Texts) != len(b.Texts) || len(after.Controls) != len(b.Controls) {
			t.Fatalf("%s has other pieces", out)
		}
		for _, c := range changes {
			if got := after.Parts[c.Part]; got.Digest != digest([]byte(content)) || got.URL != "" || got.Where != b.Parts[c.Part].Where {
				t.Fatalf("%+v", got)
			}
		}
		if len(changes) == 0 && !strings.EqualFold(string(out), text) {
			t.Fatal("nothing was replaced, and something changed")
		}
	})
}
