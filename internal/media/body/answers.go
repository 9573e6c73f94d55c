package body

import (
	"sync"

	"github.com/apexlogic/apex/internal/media"
)

// OpenAIAnswers returns the places of the answers of the OpenAI API that come
// as a whole, of all of its endpoints together.
//
// Source: the OpenAI API reference.
var OpenAIAnswers = sync.OnceValue(func() *API {
	api := newAPI("openai.answers", []row{
		{pointer: "/id"}, {pointer: "/object"}, {pointer: "/model"}, {pointer: "/status"}, {pointer: "/system_fingerprint"}, {pointer: "/service_tier"},
		{pointer: "/choices/*/finish_reason"},
		{pointer: "/choices/*/text", is: text},
		{pointer: "/choices/*/message/role", is: role},
		{pointer: "/choices/*/message/content", is: text},
		{pointer: "/choices/*/message/reasoning_content", is: text},
		{pointer: "/choices/*/message/refusal", is: text},
		{pointer: "/choices/*/message/audio/id"},
		{pointer: "/choices/*/message/audio/transcript", is: text},
		{pointer: "/choices/*/message/audio/data", is: bare, kind: media.Audio},
		{pointer: "/choices/*/message/tool_calls/*/id"},
		{pointer: "/choices/*/message/tool_calls/*/type"},
		{pointer: "/choices/*/message/tool_calls/*/function/name", is: text},
		{pointer: "/choices/*/message/tool_calls/*/function/arguments", is: text},
		{pointer: "/output/*/id"}, {pointer: "/output/*/type"}, {pointer: "/output/*/status"}, {pointer: "/output/*/role", is: role},
		{pointer: "/output/*/result", is: bare, kind: media.Image},
		{pointer: "/output/*/arguments", is: text},
		{pointer: "/output/*/content/*/type"},
		{pointer: "/output/*/content/*/text", is: text},
		{pointer: "/output/*/content/*/refusal", is: text},
		{pointer: "/data/*/id"}, {pointer: "/data/*/object"}, {pointer: "/data/*/owned_by"},
		{pointer: "/data/*/b64_json", is: bare, kind: media.Image},
		{pointer: "/data/*/revised_prompt", is: text},
		{pointer: "/data/*/url", is: dataURL, kind: media.Image},
		{pointer: "/text", is: text},
		{pointer: "/error/message", is: text},
	})
	api.names = true
	return api
})

// OpenInferenceAnswers returns the places of an answer of the Open Inference
// Protocol, as JSON and with binary tensors.
var OpenInferenceAnswers = sync.OnceValue(func() *API {
	api := newAPI("openinference.answers", []row{
		{pointer: "/id"}, {pointer: "/model_name", is: model}, {pointer: "/model_version"},
		{pointer: "/name"}, {pointer: "/version"}, {pointer: "/platform"},
		{pointer: "/outputs/*", is: tensor},
		{pointer: "/outputs/*/name"},
		{pointer: "/outputs/*/shape", is: shape},
		{pointer: "/outputs/*/datatype", is: datatype},
		{pointer: "/outputs/*/data", is: values},
		{pointer: "/outputs/*/parameters/binary_data_size", is: binaryData},
		{pointer: "/error", is: text},
	})
	api.names = true
	return api
})
