package gateway

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/apexlogic/apex/internal/gateway/trace"
)

// parentKey is under which a request's context holds the place in a trace that
// it has by what it came from.
type parentKey struct{}

// beginTrace gives the exchange its place in a trace, where there are traces.
func (x *Exchange) beginTrace() {
	t := x.gateway.options.Traces
	if t == nil {
		return
	}
	if within, ok := x.Request.Context().Value(parentKey{}).(trace.Context); ok {
		x.trace = within
	} else {
		x.trace = t.Begin(x.Request.Header)
	}
	x.Decision.Trace = x.trace.ID()
}

// span is the number of the span of the stage at hand.
func (x *Exchange) span() int { return x.reached + 1 }

// traceOn tells the server behind where the request is traced.
func (x *Exchange) traceOn() {
	if x.trace.In() {
		x.Request.Header.Set(trace.Parent, x.trace.Header(x.span()))
	}
}

// traceInto has what is judged for the exchange traced within the stage at hand.
func (x *Exchange) traceInto(ctx context.Context) context.Context {
	if !x.trace.In() {
		return ctx
	}
	return context.WithValue(ctx, parentKey{}, x.trace.Within(x.span()))
}

// endTrace hands on the spans of the exchange, if it is sampled: its own, and one
// for each stage that was begun. They hold names of the configuration, codes and
// measures: nothing that the caller wrote, and not who it is.
func (x *Exchange) endTrace() {
	if !x.trace.Sampled || x.started.IsZero() {
		return
	}
	ended := time.Now()
	r := &trace.Request{Context: x.trace, Spans: make([]trace.Span, 1, x.reached+2)}
	began := x.started
	for i := range stages[:x.reached+1] {
		if stages[i].passes && x.ask != nil {
			continue
		}
		until := began.Add(x.spent[i])
		s := trace.Span{Number: i + 1, Name: stages[i].name, Began: began, Client: stages[i].passes && i == x.reached && x.passed}
		if i == x.reached && x.spent[i] == 0 { // it panicked
			until = ended
		}
		s.Ended, began = until, until
		s.Attributes, s.Failed = x.found(i)
		r.Spans = append(r.Spans, s)
	}
	r.Spans[0] = trace.Span{Name: x.spanName(), Began: x.started, Ended: ended, Attributes: x.about(), Failed: x.status() >= http.StatusInternalServerError}
	x.gateway.options.Traces.End(r)
}

// Attributes of spans that the semantic conventions do not know.
const (
	attributeOutcome = "apex.outcome" // pass, deny, served or cut
	attributeCode    = "apex.code"    // why it was denied or cut
)

// found is what a stage's span says: what became of the request there, and the
// units of it.
func (x *Exchange) found(stage int) (all []trace.Attribute, failed bool) {
	d, o := &x.Decision, &x.Outcome
	outcome, code := "pass", ""
	switch {
	case stage == x.reached && d.Code != "":
		outcome, code = "deny", d.Code
	case stage == x.reached && o.Code != "":
		outcome, code, failed = "cut", o.Code, true
	case stage == x.reached && x.Route != nil && x.Route.API == Events && x.ask == nil:
		outcome = "served"
	}
	all = text(text(all, attributeOutcome, outcome), attributeCode, code)
	switch stages[stage].name {
	case "body":
		all = number(all, "apex.bytes", d.Bytes)
	case "media":
		all = number(number(number(all, "apex.parts", int64(len(d.Parts))), "apex.tokens.input", d.Tokens.Input), "apex.tokens.output", d.Tokens.Output)
	case "firewall":
		if d.WAF != nil {
			all = number(number(all, "apex.waf.score", int64(d.WAF.Score)), "apex.waf.text_score", int64(d.WAF.Text))
		}
	case "forward":
		all = number(number(all, "http.response.status_code", int64(x.sent.status)), "apex.answered.bytes", x.sent.bytes)
	}
	return all, failed
}

// about is what the whole exchange's span says.
func (x *Exchange) about() []trace.Attribute {
	d := &x.Decision
	all := make([]trace.Attribute, 0, 16)
	all = text(all, "http.request.method", method(x.Request.Method))
	all = text(all, "apex.request.id", x.ID)
	all = text(text(all, "apex.door", d.Door), "apex.generation", d.Generation)
	if x.Route != nil {
		all = text(text(all, "apex.route", d.Route), "http.route", x.Route.Path)
		if _, ours := x.Route.Models[d.Model]; ours { // of others the name is the caller's
			all = text(all, "apex.model", d.Model)
		}
	}
	all = text(text(all, "apex.action", d.Action), "apex.identity.method", d.Method)
	outcome := "deny"
	if d.Allowed {
		outcome = "pass"
	}
	all = text(text(text(all, attributeOutcome, outcome), attributeCode, d.Code), "error.type", x.Outcome.Code)
	if status := x.status(); status > 0 {
		all = number(all, "http.response.status_code", int64(status))
	}
	return all
}

// status that was answered; 0: none is known.
func (x *Exchange) status() int {
	if x.denied > 0 {
		return x.denied
	}
	return x.sent.status
}

// spanName is of few values: a method that there is, and the route.
func (x *Exchange) spanName() string {
	name := method(x.Request.Method)
	if name == otherMethod {
		name = "HTTP"
	}
	if x.Route != nil {
		name += " " + x.Route.Name
	}
	return name
}

// otherMethod is what the conventions call a method that HTTP does not define.
const otherMethod = "_OTHER"

func method(m string) string {
	if slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodHead, http.MethodOptions, http.MethodPatch}, m) {
		return m
	}
	return otherMethod
}

// text adds an attribute, unless there is nothing to say.
func text(all []trace.Attribute, key, value string) []trace.Attribute {
	if value == "" {
		return all
	}
	return append(all, trace.Attribute{Key: key, Text: value})
}

func number(all []trace.Attribute, key string, n int64) []trace.Attribute {
	return append(all, trace.Attribute{Key: key, Number: n})
}
