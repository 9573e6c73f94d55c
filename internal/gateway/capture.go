package gateway

import (
	"encoding/json"

	"github.com/apexlogic/apex/internal/gateway/capture"
)

// copyAnswer has the answer copied, where the route captures answers. Messages of
// streams are not.
func (x *Exchange) copyAnswer() {
	c := x.Route.Capture
	if c == nil || !c.Answers || x.ask != nil || x.Operation.Socket || x.Operation.Call || !c.Takes(true) || !c.Samples(x.ID) {
		return
	}
	x.sent.copy = c.Answer()
}

// capture hands in what was passed on or refused, where the route asks for it and
// chance picked the exchange. What was refused before all of it was there could
// not be judged again; and who is not known yet shall not fill the store.
func (x *Exchange) capture() {
	if x.Route == nil || x.Route.Capture == nil || !x.arrived || x.Principal == nil {
		return
	}
	rule, answer := x.Route.Capture, x.captured()
	if !rule.Takes(x.Decision.Allowed) || !rule.Samples(x.ID) {
		answer.Drop()
		return
	}
	decision, err := json.Marshal(&x.Decision)
	if err != nil {
		answer.Drop()
		x.gateway.options.Log.Error("a request was not captured", "request", x.ID, "error", err)
		return
	}
	r := x.Request
	c := &capture.Capture{
		ID: x.ID, At: x.Began, Route: x.Route.Name, Principal: capture.PrincipalOf(x.Principal), Decision: decision, Answer: answer,
		Request: capture.Request{Method: r.Method, Host: r.Host, Header: capture.Keep(r.Header), Address: r.RemoteAddr, Body: x.Raw},
	}
	c.Request.Target, c.Request.Withheld = capture.Target(r.URL)
	seen, _ := x.properties()
	c.Verdict, _ = seen["verdict"].(string)
	switch {
	case x.Operation.Socket:
		c.Request.Stream = "websocket"
	case x.Operation.Call:
		c.Request.Stream = "grpc"
	}
	rule.Offer(c)
}

// captured returns what was copied of the answer; nil when none is captured.
func (x *Exchange) captured() *capture.Answer {
	a := x.sent.copy
	if a == nil {
		return nil
	}
	x.sent.copy = nil
	a.Status, a.Type = x.sent.status, x.sent.Header().Get("Content-Type")
	return a
}
