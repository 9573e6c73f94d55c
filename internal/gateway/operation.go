package gateway

import (
	"cmp"
	"net/http"
	"strings"
	"sync"

	"github.com/apexlogic/apex/internal/media/body"
)

// The actions that policies speak about.
const (
	Infer      = "infer"
	Embed      = "embed"
	Generate   = "generate"
	Transcribe = "transcribe"
	Speak      = "speak"
	Moderate   = "moderate"
	List       = "list"
	Produce    = "produce" // an event, whose type is the topic
)

// Operation is what a path of an API does.
type Operation struct {
	Action string
	// Model that the path names; "" when the body does, or nobody.
	Model string
	// Version of the model that the path names; "" for the server's choice.
	Version string
	// Messages says where texts and media stand; nil when there is no body.
	Messages *body.API
	// Socket and Call are streams in both directions: a WebSocket, a call of gRPC.
	Socket, Call bool
}

// socket returns what a WebSocket is for; false when there is none.
func (a API) socket(r *http.Request, to *Route) (*Operation, bool) {
	path := strings.TrimPrefix(r.URL.Path, strings.TrimSuffix(to.Path, "/"))
	switch {
	case a == OpenAI && strings.TrimPrefix(path, "/v1") == "/realtime":
		names := r.URL.Query()["model"]
		if len(names) > 1 {
			return nil, false // servers differ in which of them counts
		}
		return &Operation{Action: Infer, Socket: true, Model: cmp.Or(append(names, to.Default)...)}, true
	case a == JSON && to.Sockets:
		return &Operation{Action: Infer, Socket: true, Model: to.Default, Messages: to.Messages}, true
	}
	return nil, false
}

// events and answers say where texts stand in what a server answers; nil: the
// API does not say.
func (a API) events() *body.API {
	if a == OpenAI {
		return body.OpenAIEvents()
	}
	return nil
}

func (r *Route) answers() *body.API {
	switch r.API {
	case OpenAI:
		return body.OpenAIAnswers()
	case OpenInference:
		return body.OpenInferenceAnswers()
	case JSON:
		return r.Answers
	}
	return nil
}

// openAI are the operations of the OpenAI API, by the end of the path.
var openAI = sync.OnceValue(func() map[string]*Operation {
	all := map[string]*Operation{}
	for end, action := range map[string]string{
		"/chat/completions": Infer, "/completions": Infer, "/responses": Infer, "/embeddings": Embed, "/moderations": Moderate,
		"/images/generations": Generate, "/images/edits": Generate, "/images/variations": Generate,
		"/audio/transcriptions": Transcribe, "/audio/translations": Transcribe, "/audio/speech": Speak,
	} {
		messages, ok := body.OpenAI(end)
		if !ok {
			panic("gateway: no table for " + end)
		}
		all[end] = &Operation{Action: action, Messages: messages}
	}
	return all
})

// operation returns what the API does; false when it does nothing there.
func (a API) operation(method, path string, r *Route) (*Operation, bool) {
	rest := strings.TrimPrefix(path, strings.TrimSuffix(r.Path, "/"))
	switch a {
	case OpenAI:
		return openAIOperation(method, strings.TrimPrefix(rest, "/v1"))
	case OpenInference:
		if strings.HasSuffix(r.Path, "/v2") { // as /v1 may be a part of the route's path, or not
			rest = "/v2" + rest
		}
		return openInferenceOperation(method, rest)
	}
	switch {
	case a == Events && method == http.MethodPost && rest == "":
		return &Operation{Action: Produce}, true
	case a == Events:
		return nil, false
	}
	switch method {
	case http.MethodGet, http.MethodHead:
		return &Operation{Action: List}, true
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return &Operation{Action: Infer, Messages: r.Messages}, true
	}
	return nil, false
}

func openAIOperation(method, path string) (*Operation, bool) {
	switch method {
	case http.MethodPost:
		op, ok := openAI()[path]
		return op, ok
	case http.MethodGet:
		if path == "/models" {
			return &Operation{Action: List}, true
		}
		if name, ok := strings.CutPrefix(path, "/models/"); ok && name != "" {
			return &Operation{Action: List, Model: name}, true
		}
	}
	return nil, false
}

// openInferenceOperation reads the paths of the Open Inference Protocol:
// /v2/models/NAME[/versions/VERSION][/infer | /ready], and those about the server.
func openInferenceOperation(method, path string) (*Operation, bool) {
	if method == http.MethodGet {
		switch path {
		case "/v2", "/v2/health/live", "/v2/health/ready":
			return &Operation{Action: List}, true
		}
	}
	rest, ok := strings.CutPrefix(path, "/v2/models/")
	if !ok {
		return nil, false
	}
	name, rest, _ := strings.Cut(rest, "/")
	version := ""
	if after, ok := strings.CutPrefix(rest, "versions/"); ok {
		version, rest, _ = strings.Cut(after, "/")
	}
	switch {
	case name == "":
	case method == http.MethodPost && rest == "infer":
		return &Operation{Action: Infer, Model: name, Version: version, Messages: body.OpenInference()}, true
	case method == http.MethodGet && (rest == "" || rest == "ready"):
		return &Operation{Action: List, Model: name}, true
	}
	return nil, false
}
