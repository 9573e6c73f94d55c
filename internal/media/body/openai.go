package body

import (
	"slices"
	"strings"
	"sync"

	"github.com/apexlogic/apex/internal/media"
)

// OpenAI returns the places of the messages of an endpoint of the OpenAI API,
// named by the end of its path ("/v1/chat/completions"); false for one that is
// not known here.
//
// Source: the OpenAI API reference (platform.openai.com/docs/api-reference).
func OpenAI(path string) (*API, bool) {
	longest, found := "", (*API)(nil) // "/chat/completions" ends like "/completions"
	for suffix, api := range openAI() {
		if len(suffix) > len(longest) && strings.HasSuffix(path, suffix) {
			longest, found = suffix, api
		}
	}
	return found, found != nil
}

var openAI = sync.OnceValue(func() map[string]*API {
	all := map[string]*API{}
	for suffix, rows := range openAITables {
		api := newAPI("openai"+strings.ReplaceAll(suffix, "/", "."), slices.Concat(rows, openAICommon, serverOptions))
		api.fetched = true
		if api.types = []string{"application/json"}; len(api.fields) > 0 {
			api.types = append(api.types, "multipart/form-data", "application/x-www-form-urlencoded")
			api.optionsAsFields()
		}
		all[suffix] = api
	}
	return all
})

// optionsAsFields has bounds and options of servers count in a form as in JSON.
func (a *API) optionsAsFields() {
	for _, r := range slices.Concat(openAICommon, serverOptions) {
		name := strings.TrimPrefix(r.pointer, "/")
		if _, known := a.fields[name]; known || strings.Contains(name, "/") {
			continue
		}
		switch r.is {
		case maxTokens, choices, ranked, kept, outside:
			a.fields[name] = &place{is: r.is, of: r.of}
		}
	}
}

var openAICommon = []row{
	{pointer: "/model", is: model},
	{pointer: "/stream", is: stream},
	{pointer: "/n", is: choices}, {pointer: "/best_of", is: choices}, {pointer: "/n_cmpl", is: choices},
	// Some servers know a bound by several names, and differ in which of them counts.
	{pointer: "/max_tokens", is: maxTokens}, {pointer: "/max_completion_tokens", is: maxTokens}, {pointer: "/max_output_tokens", is: maxTokens},
	{pointer: "/max_new_tokens", is: maxTokens}, {pointer: "/min_tokens", is: maxTokens}, {pointer: "/n_predict", is: maxTokens},
	{pointer: "/user"}, {pointer: "/metadata/***"}, {pointer: "/safety_identifier"}, {pointer: "/service_tier"},
	{pointer: "/stream_options"}, {pointer: "/temperature"}, {pointer: "/top_p"}, {pointer: "/seed"}, {pointer: "/stop"},
	{pointer: "/structured_outputs/***"}, {pointer: "/guided_json/***"}, {pointer: "/json_schema/***"}, {pointer: "/documents/***"},
	{pointer: "/response_format/***"}, {pointer: "/modalities"}, {pointer: "/reasoning_effort"}, {pointer: "/tool_choice"},
}

// serverOptions are what servers of the OpenAI API take beside it: vLLM, SGLang,
// TGI, llama.cpp, Ollama, and routers in front of them. Those that name a host, a file, an
// adapter or another model, are a program, reach what belongs to other callers, or
// take memory of the server, are outside of the message. What else a server takes steers, as everything
// that no table knows.
//
// Source: vllm/entrypoints/openai/protocol.py, sglang/srt/entrypoints/openai/protocol.py,
// llama.cpp tools/server/README.md, ollama docs/api.md, the proxies' own documentation.
var serverOptions = func() (rows []row) {
	for _, pointer := range []string{
		// From where a server of vLLM or SGLang takes what another one has computed.
		"/kv_transfer_params", "/ec_transfer_params", "/bootstrap_host", "/bootstrap_port", "/bootstrap_room",
		// Adapters, which make another model of the one that was judged.
		"/lora", "/lora_path", "/lora_id", "/lora_request", "/adapter_id", "/adapter_source", "/adapter_parameters",
		// Programs: templates of Jinja, pickles, names of functions.
		"/chat_template", "/chat_template_kwargs/chat_template", "/chat_template_kwargs/tokenize", "/chat_template_kwargs/tools", "/chat_template_kwargs/conversation",
		"/custom_logit_processor", "/custom_params", "/logits_processors", "/vllm_xargs", "/template",
		// Arguments of the code that unpacks media, past the bounds that the media were held to.
		"/mm_processor_kwargs", "/media_io_kwargs",
		// What belongs to all callers: slots, sessions, the queue, how long a model stays, its memory.
		"/id_slot", "/slot_id", "/slot", "/session_params", "/priority", "/keep_alive",
		"/options/num_ctx", "/options/num_batch", "/options/num_gpu", "/options/main_gpu", "/options/num_thread", "/options/numa", "/options/use_mmap", "/options/use_mlock", "/options/low_vram",
		// To which server, as whom and for which model a router asks, and what it puts over the message.
		"/api_base", "/base_url", "/api_key", "/api_version", "/extra_body", "/extra_headers", "/extra_query", "/user_config", "/litellm_params", "/custom_llm_provider",
		"/model_list", "/fallbacks", "/context_window_fallbacks", "/content_policy_fallbacks", "/models",
	} {
		rows = append(rows, row{pointer: pointer, is: outside})
	}
	for _, name := range []string{"logprobs", "top_logprobs", "prompt_logprobs", "top_logprobs_num", "n_probs", "top_n_tokens"} {
		rows = append(rows, row{pointer: "/" + name, is: ranked})
	}
	for _, modality := range []struct {
		name string
		kind media.Kind
	}{{"image_data", media.Image}, {"audio_data", media.Audio}, {"video_data", media.Video}} {
		for _, below := range []string{"", "/*", "/*/data"} {
			rows = append(rows, row{pointer: "/" + modality.name + below, is: bare, kind: modality.kind})
		}
	}
	return append(rows, row{pointer: "/options/num_predict", is: maxTokens}, row{pointer: "/num_return_sequences", is: choices},
		row{pointer: "/file_id", is: kept}, row{pointer: "/file_ids/*", is: kept})
}()

var openAITables = map[string][]row{
	"/chat/completions": messages,
	"/completions": {
		{pointer: "/prompt", is: text},
		{pointer: "/prompt/*", is: prompt},
		{pointer: "/prompt/*/*", is: text}, // of tokens, of several prompts
		{pointer: "/prompt/prompt_string", is: text},
		{pointer: "/prompt/multimodal_data/*", is: bare, kind: media.Image},
		{pointer: "/prompt/*/prompt_string", is: text},
		{pointer: "/prompt/*/multimodal_data/*", is: bare, kind: media.Image},
		{pointer: "/prompt_embeds", is: bare, kind: media.Unknown},
		{pointer: "/prompt_embeds/*", is: bare, kind: media.Unknown},
		{pointer: "/suffix", is: text},
	},
	"/responses": {
		{pointer: "/previous_response_id", is: kept, of: Conversations},
		{pointer: "/conversation", is: kept, of: Conversations}, {pointer: "/conversation/id", is: kept, of: Conversations},
		{pointer: "/prompt", is: kept, of: Prompts}, {pointer: "/prompt/id", is: kept, of: Prompts},
		{pointer: "/prompt/variables/**", is: text},
		{pointer: "/prompt/variables/**/text", is: text},
		{pointer: "/prompt/variables/**/image_url", is: dataURL, kind: media.Image},
		{pointer: "/prompt/variables/**/file_data", is: dataURL, kind: media.Document},
		{pointer: "/prompt/variables/**/file_url", is: dataURL, kind: media.Document},
		{pointer: "/prompt/variables/**/file_id", is: kept},
		{pointer: "/input/*", is: keptOrNew, of: Conversations},
		{pointer: "/input/*/content/*/file_id", is: kept}, {pointer: "/input/*/content/*/uuid", is: kept},
		{pointer: "/input/*/output/file_id", is: kept}, {pointer: "/input/*/output/*/file_id", is: kept},
		{pointer: "/tools/*/vector_store_ids/*", is: kept}, {pointer: "/tools/*/file_ids/*", is: kept},
		{pointer: "/tools/*/container", is: kept}, {pointer: "/tools/*/container/file_ids/*", is: kept},
		{pointer: "/tools/*/input_image_mask/file_id", is: kept},
		{pointer: "/tools/*/connector_id", is: outside}, // somebody's mail or disk, at a third party
		{pointer: "/instructions", is: text},
		{pointer: "/input", is: text},
		{pointer: "/input/*/role", is: role},
		{pointer: "/input/*/type", is: itemType, of: Conversations},
		{pointer: "/input/*/content", is: text},
		{pointer: "/input/*/output", is: text},
		{pointer: "/input/*/output/*/type"},
		{pointer: "/input/*/output/*/text", is: text},
		{pointer: "/input/*/output/*/image_url", is: dataURL, kind: media.Image},
		{pointer: "/input/*/output/*/file_data", is: dataURL, kind: media.Document},
		{pointer: "/input/*/output/*/file_url", is: dataURL, kind: media.Document},
		{pointer: "/input/*/output/*/filename"},
		{pointer: "/input/*/output/image_url", is: dataURL, kind: media.Image}, // what a computer shows
		{pointer: "/input/*/name"},
		{pointer: "/input/*/arguments", is: document},
		// What answers hold and callers send back: citations, pages that were opened.
		{pointer: "/input/*/content/*/annotations/***"}, {pointer: "/input/*/action/***"}, {pointer: "/input/*/results/***"}, {pointer: "/input/*/tools/***"},
		{pointer: "/input/*/content/*/type"},
		{pointer: "/input/*/content/*/text", is: text},
		{pointer: "/input/*/content/*/image_url", is: dataURL, kind: media.Image},
		{pointer: "/input/*/content/*/file_data", is: dataURL, kind: media.Document},
		{pointer: "/input/*/content/*/file_url", is: dataURL, kind: media.Document},
		{pointer: "/input/*/content/*/filename"},
		{pointer: "/input/*/content/*/input_audio/data", is: bare, kind: media.Audio},
		{pointer: "/input/*/content/*/input_audio/format", is: format, kind: media.Audio},
		{pointer: "/text/***"},
		{pointer: "/tools/*/type"},
		{pointer: "/tools/*/name", is: toolName},
		{pointer: "/tools/*/description", is: text},
		{pointer: "/tools/*/parameters/***"}, {pointer: "/tools/*/filters/***"},
	},
	"/embeddings": append([]row{
		{pointer: "/input", is: text},
		{pointer: "/input/*", is: text},
		{pointer: "/input/*/*", is: text},
		{pointer: "/dimensions"}, {pointer: "/encoding_format"},
	}, messages...),
	"/moderations": {
		{pointer: "/input", is: text},
		{pointer: "/input/*", is: text},
		{pointer: "/input/*/text", is: text},
		{pointer: "/input/*/image_url/url", is: dataURL, kind: media.Image},
	},
	"/images/generations": {
		{pointer: "/prompt", is: text},
		{pointer: "/size"}, {pointer: "/quality"}, {pointer: "/background"}, {pointer: "/output_format"},
	},
	"/images/edits": {
		{pointer: "form:prompt", is: text},
		{pointer: "form:model", is: model},
		{pointer: "form:n", is: choices},
		{pointer: "form:stream", is: stream},
		{pointer: "form:image", is: bare, kind: media.Image},
		{pointer: "form:image[]", is: bare, kind: media.Image},
		{pointer: "form:mask", is: bare, kind: media.Image},
		{pointer: "/prompt", is: text},
		{pointer: "/images/*/image_url", is: dataURL, kind: media.Image},
		{pointer: "/mask/image_url", is: dataURL, kind: media.Image},
		{pointer: "/images/*/file_id", is: kept}, {pointer: "/mask/file_id", is: kept},
	},
	"/images/variations": {
		{pointer: "form:model", is: model},
		{pointer: "form:n", is: choices},
		{pointer: "form:image", is: bare, kind: media.Image},
	},
	"/audio/speech": {
		{pointer: "/input", is: text},
		{pointer: "/instructions", is: text},
		{pointer: "/voice"}, {pointer: "/voice/id", is: kept}, {pointer: "/speed"},
	},
	"/audio/transcriptions": transcription,
	"/audio/translations":   transcription,
}

// messages are those of a chat. Some servers embed them, too.
var messages = []row{
	{pointer: "/messages/*/role", is: role},
	{pointer: "/messages/*/name"},
	{pointer: "/messages/*/content", is: text},
	{pointer: "/messages/*/content/*", is: text}, // some servers take texts without an object around them
	{pointer: "/messages/*/refusal", is: text},
	{pointer: "/messages/*/annotations/***"},
	{pointer: "/messages/*/content/*/annotations/***"},
	{pointer: "/messages/*/content/*/type"},
	{pointer: "/messages/*/content/*/text", is: text},
	{pointer: "/messages/*/content/*/refusal", is: text},
	{pointer: "/messages/*/content/*/image_url", is: dataURL, kind: media.Image}, // some servers take the address itself
	{pointer: "/messages/*/content/*/image_url/url", is: dataURL, kind: media.Image},
	{pointer: "/messages/*/content/*/image_url/detail"},
	{pointer: "/messages/*/content/*/video_url", is: dataURL, kind: media.Video},
	{pointer: "/messages/*/content/*/audio_url", is: dataURL, kind: media.Audio},
	{pointer: "/messages/*/content/*/video_url/url", is: dataURL, kind: media.Video},
	{pointer: "/messages/*/content/*/audio_url/url", is: dataURL, kind: media.Audio},
	{pointer: "/messages/*/content/*/input_audio/data", is: bare, kind: media.Audio},
	{pointer: "/messages/*/content/*/input_audio/format", is: format, kind: media.Audio},
	{pointer: "/messages/*/content/*/file/file_data", is: dataURL, kind: media.Document},
	{pointer: "/messages/*/content/*/file/filename"},
	{pointer: "/messages/*/content/*/file/file_id", is: kept},
	{pointer: "/messages/*/content/*/uuid", is: kept}, // of media that a server has in its cache, whoever sent it
	// Pictures as some servers take them beside the text (Ollama).
	{pointer: "/messages/*/images/*", is: bare, kind: media.Image},
	// A serialised tensor, which goes into the model past its tokenizer.
	{pointer: "/messages/*/content/*/data", is: bare, kind: media.Unknown},
	{pointer: "/messages/*/content/*/image_embeds", is: bare, kind: media.Unknown},
	{pointer: "/messages/*/content/*/image_embeds/**", is: bare, kind: media.Unknown},
	{pointer: "/messages/*/content/*/audio_embeds", is: bare, kind: media.Unknown},
	{pointer: "/messages/*/content/*/audio_embeds/**", is: bare, kind: media.Unknown},
	{pointer: "/messages/*/audio/id", is: kept, of: Conversations},
	{pointer: "/audio/voice/id", is: kept},
	{pointer: "/messages/*/tool_call_id"},
	{pointer: "/messages/*/tool_calls/*/id"},
	{pointer: "/messages/*/tool_calls/*/type"},
	{pointer: "/messages/*/tool_calls/*/function/name"},
	{pointer: "/messages/*/tool_calls/*/function/arguments", is: document},
	{pointer: "/messages/*/function_call/name"},
	{pointer: "/messages/*/function_call/arguments", is: document},
	{pointer: "/tools/*/type"},
	{pointer: "/tools/*/function/name", is: toolName},
	{pointer: "/tools/*/function/description", is: text},
	{pointer: "/tools/*/function/parameters/***"},
	{pointer: "/functions/*/parameters/***"},
	{pointer: "/prediction/content", is: text},
	{pointer: "/prediction/content/*/text", is: text},
}

var transcription = []row{
	{pointer: "form:file", is: bare, kind: media.Audio},
	{pointer: "form:prompt", is: text},
	{pointer: "form:model", is: model},
	{pointer: "form:stream", is: stream},
}
