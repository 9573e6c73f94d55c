package inspect

import (
	"encoding/base64"
	"testing"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

func TestAChatsPictureIsInspectedWhileItIsParsed(t *testing.T) {
	api, ok := body.OpenAI("/v1/chat/completions")
	if !ok {
		t.Fatal("no table for chats")
	}
	parse := func(mediaType string, data []byte) (*body.Body, error) {
		var p body.Parser
		text := `{"model":"captioner","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:` + mediaType + `;base64,` +
			base64.StdEncoding.EncodeToString(data) + `"}}]}]}`
		return p.Parse(body.Message{Type: []string{"application/json"}, API: api, Data: []byte(text)}, limits(), Inspect)
	}
	b, err := parse("image/jpg", jpegOf(40, 30))
	if err != nil || len(b.Parts) != 1 || b.Parts[0].Kind != media.Image || b.Parts[0].Pixels() != 1200 || b.Parts[0].Where != "/messages/0/content/0/image_url/url" {
		t.Fatalf("%+v, %v", b, err)
	}
	for code, data := range map[verdict.Code][]byte{
		verdict.MediaMismatch: pngOf(40, 30), verdict.MediaPolyglot: join(jpegOf(40, 30), zipOf(file{"a", "a"})),
		verdict.MediaMalformed: jpegOf(40, 30)[:500], verdict.MediaActive: []byte("<svg/>"),
	} {
		if _, err := parse("image/jpeg", data); media.CodeOf(err) != code {
			t.Errorf("%v, want %s", err, code)
		}
	}
}
