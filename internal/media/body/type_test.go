package body

import (
	"testing"

	"github.com/apexlogic/apex/verdict"
)

// A server in Go reads the first document of a body whatever its type says; so an
// endpoint has the types that its protocol has.
func TestAnEndpointTakesItsOwnTypesOnly(t *testing.T) {
	chat := chat(t)
	transcription, _ := OpenAI("/v1/audio/transcriptions")
	document := `{"model":"other"}`
	for _, tc := range []struct {
		name, kind, data string
		api              *API
		code             verdict.Code
	}{
		{"a chat", "application/json", document, chat, ""},
		{"a chat as the first of several lines", "application/x-ndjson", document + "\n" + `{"model":"allowed"}`, chat, verdict.BodyType},
		{"a chat as a form", "application/x-www-form-urlencoded", "model=allowed", chat, verdict.BodyType},
		{"a chat as a form of parts", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--", chat, verdict.BodyType},
		{"a chat as a text", "text/plain", "hello", chat, verdict.BodyType},
		{"a chat as bytes", "application/octet-stream", "ABC", chat, verdict.BodyType},
		{"a chat as a picture", "image/png", "ABC", chat, verdict.BodyType},
		{"a transcription as a form of parts", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--", transcription, ""},
		{"a transcription as a form", "application/x-www-form-urlencoded", "model=m", transcription, ""},
		{"a transcription as sound", "audio/wav", "ABC", transcription, verdict.BodyType},
		{"an inference", "application/json", `{"inputs":[]}`, OpenInference(), ""},
		{"an inference as lines", "application/x-ndjson", `{"inputs":[]}`, OpenInference(), verdict.BodyType},
		{"an inference in bytes, without saying how many of them are JSON", "application/octet-stream", `{"inputs":[]}`, OpenInference(), verdict.BodyType},
		{"bytes alone", "application/octet-stream", "ABC", OpenInference(), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p Parser
			if _, err := p.Parse(Message{Type: []string{tc.kind}, API: tc.api, Data: []byte(tc.data)}, limits(), measured); codeOf(err) != tc.code {
				t.Errorf("%v, want %q", err, tc.code)
			}
		})
	}
}

func TestAPlaceIsOneThing(t *testing.T) {
	if _, err := Generic([]string{"/a", "/b"}, []string{"/b"}); err == nil {
		t.Error("a place is text and media")
	}
	if _, err := Generic([]string{"/a", "/a"}, []string{"/b"}); err != nil {
		t.Error(err)
	}
}
