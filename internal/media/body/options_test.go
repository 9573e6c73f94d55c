package body

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

func TestOptionsThatReachBeyondTheMessageAreRefused(t *testing.T) {
	for _, tc := range []struct{ name, trap, twin string }{
		{"a host that holds a cache", `{"kv_transfer_params":{"do_remote_prefill":true,"remote_host":"10.0.0.1","remote_port":5600}}`, `{"kv_transfer_params":null}`},
		{"a host that computes", `{"bootstrap_host":"10.0.0.1"}`, `{"host":"a"}`},
		{"an adapter", `{"lora_path":"mallory/adapter"}`, `{"user":"mallory/adapter"}`},
		{"an adapter by its number", `{"lora":[{"id":0,"scale":1}]}`, `{"lora":null}`},
		{"a template", `{"chat_template":"{{ cycler.__init__ }}"}`, `{"add_generation_prompt":true}`},
		{"a template among what is given to one", `{"chat_template_kwargs":{"chat_template":"x"}}`, `{"chat_template_kwargs":{"enable_thinking":false}}`},
		{"work for a template", `{"chat_template_kwargs":{"tokenize":true}}`, `{"chat_template_kwargs":{"thinking":true}}`},
		{"a pickle", `{"custom_logit_processor":"gASV"}`, `{"logit_bias":{"50256":-100}}`},
		{"the name of a function", `{"logits_processors":["os.system"]}`, `{"logprobs":true,"top_logprobs":5}`},
		{"arguments of what unpacks media", `{"mm_processor_kwargs":{"max_pixels":99999999}}`, `{"seed":1}`},
		{"every frame of a video", `{"media_io_kwargs":{"video":{"num_frames":-1}}}`, `{"temperature":0.5}`},
		{"the place of another caller", `{"id_slot":0}`, `{"cache_salt":"mine"}`},
		{"the session of another caller", `{"session_params":{"id":"a"}}`, `{"prompt_cache_key":"a"}`},
		{"the head of the queue", `{"priority":-100}`, `{"service_tier":"auto"}`},
		{"how long a model stays", `{"keep_alive":-1}`, `{"keep_alive":null}`},
		{"the memory of the server", `{"options":{"num_ctx":1000000}}`, `{"options":{"num_predict":10}}`},
		{"another server without a scheme", `{"api_base":"10.0.0.1:80"}`, `{"metadata":{"api_base":"10.0.0.1:80"}}`},
		{"other models", `{"models":["other"]}`, `{"model":"captioner"}`},
		{"models when one fails", `{"fallbacks":["other"]}`, `{"n":1}`},
		{"fields over those that were looked at", `{"extra_body":{"max_tokens":1000000}}`, `{"max_tokens":10}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, path := range []string{"/chat/completions", "/completions", "/responses", "/embeddings"} {
				api, _ := OpenAI(path)
				var p Parser
				if _, err := p.Parse(jsonMessage(api, tc.trap), limits(), measured); media.CodeOf(err) != verdict.BodyOutside {
					t.Errorf("%s: %v", path, err)
				}
				if _, err := p.Parse(jsonMessage(api, tc.twin), limits(), measured); err != nil {
					t.Errorf("%s, its twin: %v", path, err)
				}
			}
		})
	}
}

func TestEachTokenIsToldWithNoMoreOthersThanTheAPIHas(t *testing.T) {
	for _, name := range []string{"logprobs", "top_logprobs", "prompt_logprobs", "n_probs", "top_logprobs_num", "top_n_tokens"} {
		for value, code := range map[string]verdict.Code{
			"20": "", "0": "", "null": "", "true": "", "21": verdict.BodyLimit, "-1": verdict.BodyLimit, "1.5": verdict.BodyLimit, "1e3": verdict.BodyLimit,
			"1000000": verdict.BodyLimit, `"50"`: verdict.BodyAmbiguous, "[50]": verdict.BodyAmbiguous,
		} {
			var p Parser
			if _, err := p.Parse(jsonMessage(chat(t), `{"`+name+`":`+value+`}`), limits(), measured); (err == nil) != (code == "") || err != nil && media.CodeOf(err) != code {
				t.Errorf("%s: %s: %v, want %q", name, value, err, code)
			}
		}
	}
}

func TestPicturesWhereOtherServersTakeThemAreLookedAt(t *testing.T) {
	for _, m := range []string{
		`{"messages":[{"role":"user","content":"x","images":["UE5H"]}]}`, `{"image_data":"UE5H"}`, `{"image_data":["UE5H"]}`, `{"image_data":[{"data":"UE5H","id":1}]}`,
	} {
		var p Parser
		b, err := p.Parse(jsonMessage(chat(t), m), limits(), measured)
		if err != nil || len(b.Parts) != 1 {
			t.Errorf("%s: %+v, %v", m, b, err)
		}
		if _, err := p.Parse(jsonMessage(chat(t), strings.Replace(m, "UE5H", "/etc/passwd.png", 1)), limits(), measured); media.CodeOf(err) != verdict.MediaEncoding {
			t.Errorf("%s with a file's name: %v", m, err)
		}
	}
}

func TestIdsOfWhatTheServerKeepsAreFound(t *testing.T) {
	none := [References]bool{}
	files, before, stored := [References]bool{Files: true}, [References]bool{Conversations: true}, [References]bool{Prompts: true}
	client := func(t *testing.T, path string) *API {
		if path == "realtime" {
			return Realtime().Client
		}
		api, ok := OpenAI(path)
		if !ok {
			t.Fatal(path)
		}
		return api
	}
	for _, tc := range []struct {
		path, message string
		found         [References]bool
	}{
		{"/chat/completions", `{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-abc"}}]}]}`, files},
		{"/chat/completions", `{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":null}}]}]}`, none},
		{"/chat/completions", `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":null,"uuid":"a"}]}]}`, files},
		{"/chat/completions", `{"messages":[{"role":"assistant","audio":{"id":"audio_1"}}]}`, before},
		{"/chat/completions", `{"messages":[{"role":"tool","tool_call_id":"call_1","content":"x"}]}`, none},
		{"/responses", `{"input":"x","previous_response_id":"resp_1"}`, before},
		{"/responses", `{"input":"x","previous_response_id":null}`, none},
		{"/responses", `{"input":"x","previous\u005fresponse_id":"resp_1"}`, before},
		{"/responses", `{"input":"x","conversation":"conv_1"}`, before},
		{"/responses", `{"input":"x","conversation":{"id":"conv_1"}}`, before},
		{"/responses", `{"input":[{"type":"item_reference","id":"msg_1"}]}`, before},
		{"/responses", `{"input":[{"type":"item_reference","id":"msg_1","more":1}]}`, before},
		{"/responses", `{"input":[{"id":"msg_1"}]}`, before},
		{"/responses", `{"input":[{"id":"msg_1","type":null}]}`, before},
		{"/responses", `{"input":[{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"x"}]}]}`, none},
		{"/responses", `{"input":[{"role":"user","content":[{"type":"input_image","file_id":"file-1"}]}]}`, files},
		{"/responses", `{"input":[{"type":"computer_call_output","output":{"type":"computer_screenshot","file_id":"file-1"}}]}`, files},
		{"/responses", `{"tools":[{"type":"file_search","vector_store_ids":["vs_1"]}]}`, files},
		{"/responses", `{"tools":[{"type":"file_search","vector_store_ids":[]}]}`, none},
		{"/responses", `{"tools":[{"type":"code_interpreter","container":"cntr_1"}]}`, files},
		{"/responses", `{"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]}`, none},
		{"/responses", `{"tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["file-1"]}}]}`, files},
		{"/responses", `{"prompt":{"id":"pmpt_1","variables":{"a":"b"}}}`, stored},
		{"/responses", `{"prompt":{"id":"pmpt_1","variables":{"a":{"type":"input_file","file_id":"file-1"}}}}`, [References]bool{Prompts: true, Files: true}},
		{"/images/edits", `{"images":[{"file_id":"file-1"}],"prompt":"x"}`, files},
		{"/images/edits", `{"images":[{"image_url":"data:image/png;base64,UE5H"}],"prompt":"x"}`, none},
		{"realtime", `{"type":"session.update","session":{"prompt":{"id":"pmpt_1"}}}`, stored},
		{"realtime", `{"type":"response.create","response":{"prompt":{"id":"pmpt_1"}}}`, stored},
		{"realtime", `{"type":"conversation.item.create","previous_item_id":"item_1","item":{"id":"item_2","type":"message"}}`, none},
	} {
		var p Parser
		b, err := p.Parse(jsonMessage(client(t, tc.path), tc.message), limits(), measured)
		if err != nil {
			t.Errorf("%s: %v", tc.message, err)
			continue
		}
		var found [References]bool
		for of, where := range b.Kept {
			found[of] = where != ""
		}
		if found != tc.found {
			t.Errorf("%s: %q", tc.message, b.Kept)
		}
	}
}
