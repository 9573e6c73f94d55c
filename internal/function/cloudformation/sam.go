package cloudformation

import (
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// events finds the ways into a function of SAM.
func (x *extraction) events(r *resource) {
	self := node.String(r.Where, "").Referring(r.id)
	if url := r.props.Get("FunctionUrlConfig"); strings.EqualFold(url.Get("AuthType").Text(), "NONE") {
		x.Expose(self, r.id, r.kind, r.where("FunctionUrlConfig"), "function URL without authorization")
	}
	for _, e := range fields(r.props.Get("Events")) {
		at := stack.Where{File: r.File, Line: e.Line}
		switch e.Value.Get("Type").Text() {
		case "Api":
			if x.openAPI(e.Value.Get("Properties"), "RestApiId", "Api") {
				x.Expose(self, r.id, r.kind, at, "API event without authorizer")
			}
		case "HttpApi":
			if x.openAPI(e.Value.Get("Properties"), "ApiId", "HttpApi") {
				x.Expose(self, r.id, r.kind, at, "HTTP API event without authorizer")
			}
		}
	}
}

// openAPI says whether an event's route asks nobody who they are: neither by
// its own Auth nor by that of its API.
func (x *extraction) openAPI(event *node.Node, ref, kind string) bool {
	if strings.EqualFold(event.Get("Method").Text(), "options") {
		return false
	}
	auth := event.Get("Auth")
	own := auth.Get("Authorizer")
	if own.IsUnknown() {
		return false // its name comes from outside, an authorizer it is
	}
	if name := own.Text(); name != "" {
		return name == "NONE"
	}
	if on, _ := auth.Get("ApiKeyRequired").True(); on {
		return false
	}
	if auth.Has("ResourcePolicy") {
		return false
	}
	global := x.resolve(x.root.Get("Globals", kind), 0)
	api := global
	if id := event.Get(ref); id != nil {
		r := x.byID[id.Ref]
		if r == nil {
			return false // an API of somewhere else: nobody here knows what it asks
		}
		api = r.props
	}
	if api.Has("Auth", "DefaultAuthorizer") {
		return api.Get("Auth", "DefaultAuthorizer").Text() == "NONE"
	}
	if on, _ := api.Get("Auth", "ApiKeyRequired").True(); on {
		return false
	}
	return !closed(api)
}
