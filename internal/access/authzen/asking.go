package authzen

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// asking is one request of a caller who may ask.
type asking struct {
	server *Server
	ctx    context.Context
	caller string
	rules  Rules
	record Asked
}

// asked begins one, by what is in force now.
func (s *Server) asked(r *http.Request, caller, name string) *asking {
	a := &asking{server: s, ctx: r.Context(), caller: caller, rules: s.config.Rules()}
	if a.rules.Directory == nil {
		a.rules.Directory = &Directory{}
	}
	a.record = Asked{
		Schema: AskedSchema, At: s.config.Clock.Now(), Generation: a.rules.Generation,
		Caller: caller, Request: recorded(r.Header.Get("X-Request-ID")), Asked: name,
	}
	return a
}

// answer returns what the caller is told, once it is recorded.
func (a *asking) answer(w http.ResponseWriter, r *http.Request, to endpoint) ([]byte, error) {
	if err := a.take(1); err != nil { // before a byte of it is read
		return nil, err
	}
	m, err := read(w, r)
	if err != nil {
		return nil, err
	}
	body, err := to.answer(a, m)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	if err := a.server.config.Record(a.ctx, &a.record); err != nil {
		return nil, &failure{status: http.StatusServiceUnavailable, message: "what is decided could not be recorded: ask again later"}
	}
	return data, nil
}

// take takes n decisions of what the caller may ask for; none when n < 1.
func (a *asking) take(n int) error {
	if n < 1 {
		return nil
	}
	if wait, ok := a.server.config.Take(a.caller, n); !ok {
		return &failure{status: http.StatusTooManyRequests, message: fmt.Sprintf("this caller asks for more decisions than it may: there is no room for %d more, ask again in %.0f s", n, max(1, wait.Seconds())), wait: wait}
	}
	return nil
}
