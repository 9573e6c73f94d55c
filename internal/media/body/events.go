package body

import (
	"sync"

	"github.com/apexlogic/apex/internal/media"
)

// OpenAIEvents returns the places of the events that stream an answer of the
// OpenAI API, and of the APIs that are like it. The Role of a text begins with
// the numbers of what it goes on: of several answers, or of several calls of
// tools.
//
// Source: the OpenAI API reference, chat.completion.chunk and the events of
// /v1/responses.
var OpenAIEvents = sync.OnceValue(func() *API {
	api := newAPI("openai.events", []row{
		{pointer: "/id"}, {pointer: "/object"}, {pointer: "/type"}, {pointer: "/model"}, {pointer: "/system_fingerprint"}, {pointer: "/service_tier"},
		{pointer: "/item_id"}, {pointer: "/obfuscation"}, {pointer: "/index", is: lane},
		{pointer: "/choices/*/index", is: lane},
		{pointer: "/choices/*/finish_reason"},
		{pointer: "/choices/*/text", is: text},
		{pointer: "/choices/*/delta/role"},
		{pointer: "/choices/*/delta/content", is: text},
		{pointer: "/choices/*/delta/reasoning_content", is: text},
		{pointer: "/choices/*/delta/refusal", is: text},
		{pointer: "/choices/*/delta/tool_calls/*/index", is: lane},
		{pointer: "/choices/*/delta/tool_calls/*/id"},
		{pointer: "/choices/*/delta/tool_calls/*/type"},
		{pointer: "/choices/*/delta/tool_calls/*/function/name", is: text},
		{pointer: "/choices/*/delta/tool_calls/*/function/arguments", is: text},
		{pointer: "/choices/*/delta/audio/id"},
		{pointer: "/choices/*/delta/audio/transcript", is: text},
		{pointer: "/choices/*/delta/audio/data", is: bare, kind: media.Audio, declared: PCM}, // a piece, which has no header of its own
		{pointer: "/choices/*/message/role"},
		{pointer: "/choices/*/message/content", is: text},
		{pointer: "/choices/*/message/tool_calls/*/function/arguments", is: text},
		{pointer: "/audio", is: bare, kind: media.Audio, declared: PCM}, // of speech.audio.delta
		{pointer: "/partial_image_b64", is: bare, kind: media.Image},
		{pointer: "/b64_json", is: bare, kind: media.Image},
		{pointer: "/delta", is: text},
		{pointer: "/text", is: text},
		{pointer: "/delta/type"},
		{pointer: "/delta/text", is: text},
		{pointer: "/delta/partial_json", is: text},
		{pointer: "/output_index", is: lane},
		{pointer: "/content_index", is: lane},
		{pointer: "/output/*/content/*/text", is: text},
		{pointer: "/arguments", is: text},
	})
	api.names = true
	return api
})
