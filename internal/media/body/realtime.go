package body

import (
	"sync"

	"github.com/apexlogic/apex/internal/media"
)

// PCM is the media type of samples without a header, as OpenAI's Realtime API
// sends them: which rate they have is said once a session, elsewhere.
const PCM = "audio/pcm"

// Realtime holds the places of the events of OpenAI's Realtime API. What stands
// in delta depends on an event's type: where IsAudio says so it is audio, and Audio is the
// table for that event.
//
// Source: the OpenAI API reference, Realtime client events and server events.
var Realtime = sync.OnceValue(func() *RealtimeAPI {
	item := func(at string) []row {
		return []row{
			{pointer: at + "/id"}, {pointer: at + "/type"}, {pointer: at + "/object"}, {pointer: at + "/status"}, {pointer: at + "/call_id"},
			{pointer: at + "/role", is: role},
			{pointer: at + "/name", is: text},
			{pointer: at + "/arguments", is: text},
			{pointer: at + "/output", is: text},
			{pointer: at + "/content/*/type"},
			{pointer: at + "/content/*/text", is: text},
			{pointer: at + "/content/*/transcript", is: text},
			{pointer: at + "/content/*/audio", is: bare, kind: media.Audio, declared: PCM},
			{pointer: at + "/content/*/image_url", is: dataURL, kind: media.Image},
		}
	}
	session := func(at string) []row {
		return []row{
			{pointer: at + "/model", is: model},
			{pointer: at + "/instructions", is: text},
			{pointer: at + "/tools/*/type"},
			{pointer: at + "/tools/*/parameters/***"},
			{pointer: at + "/tools/*/name", is: toolName},
			{pointer: at + "/tools/*/description", is: text},
		}
	}
	// The names that the API has had for it, and those that servers like it have.
	most := func(at string, is what) (rows []row) {
		for _, name := range []string{"max_output_tokens", "max_response_output_tokens", "max_tokens", "max_completion_tokens", "max_new_tokens", "n_predict"} {
			rows = append(rows, row{pointer: at + "/" + name, is: is})
		}
		return rows
	}
	common := []row{{pointer: "/type"}, {pointer: "/event_id"}, {pointer: "/item_id"}, {pointer: "/previous_item_id"}, {pointer: "/response_id"}, {pointer: "/call_id"}}
	client := append([]row{{pointer: "/audio", is: bare, kind: media.Audio, declared: PCM}}, common...)
	client = append(append(append(client, item("/item")...), item("/response/input/*")...), append(session("/session"), session("/response")...)...)
	for _, at := range []string{"/session", "/response"} { // and where a session's sound is said to come from
		client = append(client, row{pointer: at + "/prompt", is: kept, of: Prompts}, row{pointer: at + "/prompt/id", is: kept, of: Prompts},
			row{pointer: at + "/prompt/variables/**", is: text}, row{pointer: at + "/voice/id", is: kept}, row{pointer: at + "/audio/output/voice/id", is: kept},
			row{pointer: at + "/tools/*/connector_id", is: outside})
	}
	client = append(append(client, most("/session", maxAnswer)...), most("/response", maxAnswer)...)
	server := append([]row{
		{pointer: "/output_index", is: lane}, {pointer: "/content_index", is: lane},
		{pointer: "/transcript", is: text}, {pointer: "/text", is: text}, {pointer: "/arguments", is: text}, {pointer: "/name", is: text},
		{pointer: "/part/type"}, {pointer: "/part/text", is: text}, {pointer: "/part/transcript", is: text},
		{pointer: "/error/message", is: text},
	}, common...)
	server = append(append(append(server, item("/item")...), item("/response/output/*")...), session("/session")...)
	server = append(append(server, most("/session", saidMost)...), most("/response", saidMost)...)
	r := &RealtimeAPI{
		Client: newAPI("openai.realtime.client", client),
		Server: newAPI("openai.realtime.server", append([]row{{pointer: "/delta", is: text}}, server...)),
		Audio:  newAPI("openai.realtime.audio", append([]row{{pointer: "/delta", is: bare, kind: media.Audio, declared: PCM}}, server...)),
	}
	r.Client.fetched = true
	r.Server.names, r.Audio.names = true, true
	return r
})

// RealtimeAPI are the tables of Realtime.
type RealtimeAPI struct{ Client, Server, Audio *API }

// IsAudio reports whether the delta of a server's event of that type is audio.
func (*RealtimeAPI) IsAudio(kind string) bool {
	return kind == "response.audio.delta" || kind == "response.output_audio.delta"
}
