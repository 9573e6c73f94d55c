package authzen

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"

	"github.com/apexlogic/apex/internal/access"
)

// Limits on one page of a search. A page ends after so many results, or when so
// many candidates were decided about, which takes some 50 ms.
const (
	defaultPage   = 100
	maxPage       = 1000
	maxCandidates = 10_000
)

// searchAnswer is a page of results (section 8).
type searchAnswer struct {
	Results []any `json:"results"`
	Page    page  `json:"page"`
}

// page is where the results go on.
type page struct {
	NextToken string `json:"next_token"` // empty: there are no more
	Count     int    `json:"count"`
}

type foundEntity struct {
	Type       string            `json:"type"`
	ID         string            `json:"id"`
	Properties map[string]string `json:"properties,omitempty"`
}

type foundAction struct {
	Name string `json:"name"`
}

// searchSubject finds who may do an action to a resource (section 8).
func (a *asking) searchSubject(m *message) (any, error) {
	subject, err := m.entity(nil, "subject", "type")
	if err != nil {
		return nil, err
	}
	q, err := a.part(m, "action", "resource")
	if err != nil {
		return nil, err
	}
	given, err := access.ReadAttributes(subject.properties)
	if err != nil {
		return nil, badRequest("subject.properties: %v", err)
	}
	delete(given, "groups")
	q.Principal.Type = subject.names[0]
	all := a.rules.Directory.subjects
	all = all[first(all, func(x Subject) bool { return x.Entity.Type >= subject.names[0] }):]
	all = all[:first(all, func(x Subject) bool { return x.Entity.Type > subject.names[0] })]
	return a.search(m, q, len(all), func(i int) (any, bool) {
		ask := *q
		ask.Principal, ask.Groups, ask.Attributes = all[i].Entity, all[i].Groups, over(all[i].Attributes, given)
		return foundEntity{Type: ask.Principal.Type, ID: ask.Principal.ID}, a.rules.Set.Decide(&ask).Allow
	})
}

// searchResource finds what a subject may do an action to (section 8). A
// resource is found once for each route that it is on.
func (a *asking) searchResource(m *message) (any, error) {
	resource, err := m.entity(nil, "resource", "type")
	if err != nil {
		return nil, err
	}
	q, err := a.part(m, "subject", "action")
	if err != nil {
		return nil, err
	}
	given, err := access.ReadAttributes(resource.properties)
	if err != nil {
		return nil, badRequest("resource.properties: %v", err)
	}
	route, said := given["route"]
	delete(given, "route")
	q.Resource.Type = resource.names[0]
	all := a.rules.Directory.resources
	all = all[first(all, func(x Resource) bool { return x.Entity.Type >= resource.names[0] }):]
	all = all[:first(all, func(x Resource) bool { return x.Entity.Type > resource.names[0] })]
	return a.search(m, q, len(all), func(i int) (any, bool) {
		if said && route != all[i].Route {
			return nil, false
		}
		ask := *q
		ask.Resource, ask.Route, ask.Properties = all[i].Entity, all[i].Route, over(all[i].Properties, given)
		found := foundEntity{Type: ask.Resource.Type, ID: ask.Resource.ID}
		if ask.Route != "" {
			found.Properties = map[string]string{"route": ask.Route}
		}
		return found, a.rules.Set.Decide(&ask).Allow
	})
}

// searchAction finds what a subject may do to a resource (section 8).
func (a *asking) searchAction(m *message) (any, error) {
	q, err := a.part(m, "subject", "resource")
	if err != nil {
		return nil, err
	}
	all := access.Actions()
	return a.search(m, q, len(all), func(i int) (any, bool) {
		ask := *q
		ask.Action = all[i]
		return foundAction{all[i]}, a.rules.Set.Decide(&ask).Allow
	})
}

// first is the index of the first element for which f holds, in a sorted list.
func first[T any](all []T, f func(T) bool) int {
	i, _ := slices.BinarySearchFunc(all, true, func(x T, _ bool) int {
		if f(x) {
			return 1
		}
		return -1
	})
	return i
}

// part reads the parts of a question that a search gives.
func (a *asking) part(m *message, names ...string) (*access.Request, error) {
	q := &access.Request{}
	if err := a.about(q, m, nil); err != nil {
		return nil, err
	}
	for _, name := range names {
		required := []string{"type", "id"}
		if name == "action" {
			required = []string{"name"}
		}
		e, err := m.entity(nil, name, required...)
		if err != nil {
			return nil, err
		}
		switch name {
		case "subject":
			err = a.who(q, e)
		case "action":
			q.Action = e.names[0]
		case "resource":
			err = a.what(q, e)
		}
		if err != nil {
			return nil, err
		}
	}
	return q, nil
}

// search decides about n candidates from where the page begins.
func (a *asking) search(m *message, q *access.Request, n int, decide func(int) (any, bool)) (any, error) {
	at, limit, err := m.page(n)
	if err != nil {
		return nil, err
	}
	answer := searchAnswer{Results: []any{}}
	until := min(n, at+maxCandidates)
	if err := a.take(until - at - 1); err != nil {
		return nil, err
	}
	begin := at
	for ; at < until && len(answer.Results) < limit; at++ {
		if err := a.ctx.Err(); err != nil {
			return nil, err
		}
		if found, ok := decide(at); ok {
			answer.Results = append(answer.Results, found)
		}
	}
	answer.Page.Count = len(answer.Results)
	a.record.searched(q, at-begin, len(answer.Results))
	if at < n {
		answer.Page.NextToken = m.token(at, n)
	}
	return answer, nil
}

// page reads where a page begins, and how long it may be.
func (m *message) page(n int) (at, limit int, err error) {
	limit = defaultPage
	if m.absent("page") {
		return 0, limit, nil
	}
	p, err := object((*m)["page"])
	if err != nil {
		return 0, 0, badRequest("page is no JSON object")
	}
	if !p.absent("limit") {
		if json.Unmarshal((*p)["limit"], &limit) != nil || limit < 0 {
			return 0, 0, badRequest("page.limit is no number from 0")
		}
		limit = min(limit, maxPage)
	}
	if p.absent("token") {
		return 0, limit, nil
	}
	var token string
	if json.Unmarshal((*p)["token"], &token) != nil {
		return 0, 0, badRequest("page.token is no string")
	}
	if token == "" {
		return 0, limit, nil
	}
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(data) != tokenBytes {
		return 0, 0, badRequest("page.token is none of ours")
	}
	begin := binary.BigEndian.Uint32(data)
	if int64(begin) >= int64(n) || m.token(int(begin), n) != token {
		return 0, 0, badRequest("page.token belongs to another request, or what is searched has changed: begin again")
	}
	return int(begin), limit, nil
}

// tokenBytes are the place in the list, and a hash of the request and of the
// list's length.
const tokenBytes = 4 + 16

// token says where a search goes on, for the same request only (section 8.2):
// the same entities, and the same limit.
func (m *message) token(at, n int) string {
	h := sha256.New()
	for _, name := range []string{"subject", "action", "resource", "context"} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len((*m)[name])))
		h.Write(length[:])
		h.Write((*m)[name])
	}
	if p, err := object((*m)["page"]); err == nil { // else there is none
		h.Write((*p)["limit"])
	}
	data := binary.BigEndian.AppendUint32(nil, uint32(at))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	h.Write(data)
	return base64.RawURLEncoding.EncodeToString(append(data, h.Sum(nil)[:tokenBytes-4]...))
}
