package body

import (
	"testing"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// Servers fetch from more places than the API has: what begins like an address is
// content wherever it stands, and content of no kind is for the route to refuse.
func TestWhatServersFetchIsContentWhereverItStands(t *testing.T) {
	part := func(s string) string { return `{"messages":[{"role":"user","content":[` + s + `]}]}` }
	const address, data = "https://inside.example/a.png", "data:image/png;base64,QUJD"
	for _, tc := range []struct {
		name, endpoint, text string
		code                 verdict.Code
		addresses, contents  int
		kind                 media.Kind // of an address
	}{
		{"the address of a sound, without an object around it", "/chat/completions", part(`{"type":"audio_url","audio_url":"` + address + `"}`), "", 1, 0, media.Audio},
		{"the address of a video, without an object around it", "/chat/completions", part(`{"type":"video_url","video_url":"` + address + `"}`), "", 1, 0, media.Video},
		{"an id that is an address", "/chat/completions", part(`{"type":"file","file":{"file_id":"` + address + `"}}`), "", 1, 0, media.Unknown},
		{"an id", "/chat/completions", part(`{"type":"file","file":{"file_id":"file-abc.1"}}`), "", 0, 0, 0},
		{"a part that no table has", "/chat/completions", part(`{"type":"image","source":{"url":"` + address + `"}}`), "", 1, 0, media.Unknown},
		{"a part that no table has, with content", "/chat/completions", part(`{"type":"image","image":"` + data + `"}`), "", 0, 1, 0},
		{"content that is percent-encoded", "/chat/completions", part(`{"type":"image","image":"data:image/svg+xml,%3Csvg%3E"}`), verdict.MediaEncoding, 0, 0, 0},
		{"an address behind a space", "/chat/completions", part(`{"type":"image","image":" http://169.254.169.254/"}`), verdict.MediaEncoding, 0, 0, 0},
		{"an address with one slash", "/chat/completions", part(`{"type":"image","image":"file:/etc/passwd"}`), verdict.MediaEncoding, 0, 0, 0},
		{"an address in escapes", "/chat/completions", part(`{"type":"image","image":"\u0068ttp://169.254.169.254/"}`), "", 1, 0, media.Unknown},
		{"another server", "/chat/completions", `{"api_host":"http://inside.example/","messages":[]}`, "", 1, 0, media.Unknown},
		{"words with a colon", "/chat/completions", part(`{"type":"note","note":"time: 10:/20"}`), "", 0, 0, 0},
		{"a drive", "/chat/completions", part(`{"type":"note","note":"C:/pictures"}`), "", 0, 0, 0},
		{"an address in a text", "/chat/completions", part(`{"type":"text","text":"` + address + `"}`), "", 0, 0, 0},
		{"an address in a schema", "/chat/completions", `{"tools":[{"type":"function","function":{"name":"f","parameters":{"$schema":"` + address + `","properties":{"u":{"default":"` + address + `"}}}}}],"response_format":{"json_schema":{"schema":{"$id":"` + address + `"}}}}`, "", 0, 0, 0},
		{"an address in metadata", "/chat/completions", `{"metadata":{"from":"` + address + `"}}`, "", 0, 0, 0},
		{"an address in a tool's arguments", "/chat/completions", `{"messages":[{"tool_calls":[{"function":{"arguments":"{\"url\":\"` + address + `\"}"}}]}]}`, "", 0, 0, 0},
		{"a citation that is sent back", "/chat/completions", `{"messages":[{"role":"assistant","content":"a","annotations":[{"url_citation":{"url":"` + address + `"}}]}]}`, "", 0, 0, 0},
		{"tensors of a picture", "/chat/completions", part(`{"type":"image_embeds","image_embeds":"QUJD"}`), "", 0, 1, 0},
		{"tensors of a picture, each by its name", "/chat/completions", part(`{"type":"image_embeds","image_embeds":{"a":"QUJD","b":"QUJD"}}`), "", 0, 2, 0},
		{"tensors of a prompt within a message", "/chat/completions", part(`{"type":"prompt_embeds","data":"QUJD"}`), "", 0, 1, 0},
		{"tensors that are no base64", "/chat/completions", part(`{"type":"image_embeds","image_embeds":"a b"}`), verdict.MediaEncoding, 0, 0, 0},
		{"tensors of prompts", "/completions", `{"prompt_embeds":["QUJD","QUJD"]}`, "", 0, 2, 0},
		{"a picture beside a prompt", "/completions", `{"prompt":{"prompt_string":"a","multimodal_data":["QUJD"]}}`, "", 0, 1, 0},
		{"a picture beside one of several prompts", "/completions", `{"prompt":["b",{"prompt_string":"a","multimodal_data":["QUJD"]}]}`, "", 0, 1, 0},
		{"a picture in what a tool returned", "/responses", `{"input":[{"type":"function_call_output","output":[{"type":"input_image","image_url":"` + address + `"}]}]}`, "", 1, 0, media.Image},
		{"a document in what a tool returned", "/responses", `{"input":[{"type":"function_call_output","output":[{"type":"input_file","file_data":"` + data + `"}]}]}`, "", 0, 1, 0},
		{"a picture of a screen", "/responses", `{"input":[{"type":"computer_call_output","output":{"type":"computer_screenshot","image_url":"` + data + `"}}]}`, "", 0, 1, 0},
		{"a server of tools", "/responses", `{"tools":[{"type":"mcp","server_url":"` + address + `"}]}`, "", 1, 0, media.Unknown},
		{"a page that was opened, sent back", "/responses", `{"input":[{"type":"web_search_call","action":{"type":"open_page","url":"` + address + `"}}]}`, "", 0, 0, 0},
		{"a picture that is embedded", "/embeddings", part(`{"type":"image_url","image_url":{"url":"` + data + `"}}`), "", 0, 1, 0},
		{"the address of a picture that is embedded", "/embeddings", part(`{"type":"image_url","image_url":{"url":"` + address + `"}}`), "", 1, 0, media.Image},
	} {
		t.Run(tc.name, func(t *testing.T) {
			api, _ := OpenAI(tc.endpoint)
			var p Parser
			b, err := p.Parse(jsonMessage(api, tc.text), limits(), measured)
			if got := codeOf(err); got != tc.code {
				t.Fatalf("%v, want %q", err, tc.code)
			}
			if err != nil {
				return
			}
			addresses, contents := 0, 0
			for _, part := range b.Parts {
				if part.URL == "" {
					contents++
					continue
				}
				if addresses++; part.Kind != tc.kind {
					t.Errorf("%s is %s, want %s", part.Where, part.Kind, tc.kind)
				}
			}
			if addresses != tc.addresses || contents != tc.contents {
				t.Errorf("%d addresses and %d contents, want %d and %d", addresses, contents, tc.addresses, tc.contents)
			}
		})
	}
}

func TestAFieldOfAFormNamesNoContentByItsAddress(t *testing.T) {
	for endpoint, field := range map[string]string{"/audio/transcriptions": "url", "/images/edits": "image"} {
		api, _ := OpenAI(endpoint)
		for value, code := range map[string]verdict.Code{"https%3A%2F%2Finside.example%2Fa": verdict.MediaAddress, "data:image/png%3Bbase64,QUJD": verdict.MediaAddress, "low": ""} {
			var p Parser
			if _, err := p.Parse(Message{Type: []string{"application/x-www-form-urlencoded"}, API: api, Data: []byte(field + "=" + value)}, limits(), measured); codeOf(err) != code {
				t.Errorf("%s %s=%s: %v, want %q", endpoint, field, value, err, code)
			}
		}
	}
}

// Servers differ in the names of bounds, and in what they make of one below nought.
func TestABoundOfAnAnswerCountsByWhateverNameAndIsNeverNegative(t *testing.T) {
	for _, endpoint := range []string{"/chat/completions", "/completions", "/responses"} {
		api, _ := OpenAI(endpoint)
		for _, name := range []string{"max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "min_tokens", "n_predict"} {
			if b := parse(t, jsonMessage(api, `{"`+name+`":9}`)); b.MaxTokens != 9 {
				t.Errorf("%s %s: %d", endpoint, name, b.MaxTokens)
			}
		}
		for _, name := range []string{"n", "best_of", "n_cmpl"} {
			if b := parse(t, jsonMessage(api, `{"`+name+`":9}`)); b.Choices != 9 {
				t.Errorf("%s %s: %d", endpoint, name, b.Choices)
			}
		}
		for name, code := range map[string]verdict.Code{"max_tokens": verdict.BodyAmbiguous, "n_predict": verdict.BodyAmbiguous, "n": verdict.BodyAmbiguous, "seed": ""} {
			var p Parser
			if _, err := p.Parse(jsonMessage(api, `{"`+name+`":-1}`), limits(), measured); codeOf(err) != code {
				t.Errorf("%s %s: -1: %v, want %q", endpoint, name, err, code)
			}
		}
	}
}

func TestEachPromptOfAListCounts(t *testing.T) {
	api, _ := OpenAI("/completions")
	for text, want := range map[string]Fields{
		`{"prompt":"a"}`:                         {},
		`{"prompt":["a","b"]}`:                   {Prompts: 2},
		`{"prompt":[1,2,3]}`:                     {TokenIDs: 3},
		`{"prompt":[[1,2],[3]]}`:                 {Prompts: 2, TokenIDs: 3},
		`{"prompt":["a",{"prompt_string":"b"}]}`: {Prompts: 2},
	} {
		if b := parse(t, jsonMessage(api, text)); b.Prompts != want.Prompts || b.TokenIDs != want.TokenIDs {
			t.Errorf("%s: %+v", text, b.Fields)
		}
	}
}

func TestAllThatAModelReadsIsCounted(t *testing.T) {
	long := repeat("x y ", 100)
	for name, text := range map[string]string{
		"a text":                           `{"messages":[{"role":"user","content":"` + long + `"}]}`,
		"a text in a list":                 `{"messages":[{"role":"user","content":["` + long + `"]}]}`,
		"a name":                           `{"messages":[{"role":"user","name":"` + long + `","content":""}]}`,
		"what no table knows":              `{"messages":[{"role":"user","thinking":"` + long + `"}]}`,
		"the name of a file":               `{"messages":[{"content":[{"type":"file","file":{"filename":"` + long + `"}}]}]}`,
		"the schema of an answer":          `{"response_format":{"json_schema":{"description":"` + long + `"}}}`,
		"what a server puts into a prompt": `{"chat_template_kwargs":{"a":"` + long + `"}}`,
	} {
		b := parse(t, jsonMessage(chat(t), text))
		n := b.Unnamed
		for _, s := range b.Texts {
			n += int64(len(s.Value))
		}
		if n < int64(len(long)) || n > int64(len(long))+64 {
			t.Errorf("%s: %d bytes are counted of %d", name, n, len(long))
		}
	}
}
