package authzen

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/access"
)

// evaluationAnswer is the answer to one evaluation (section 6).
type evaluationAnswer struct {
	Decision bool           `json:"decision"`
	Context  map[string]any `json:"context,omitempty"`
}

type evaluationsAnswer struct {
	Evaluations []evaluationAnswer `json:"evaluations"`
}

// evaluation answers one question (section 6).
func (a *asking) evaluation(m *message) (any, error) {
	q, err := a.question(m, nil)
	if err != nil {
		return nil, err
	}
	d := a.rules.Set.Decide(q)
	a.record.decided(q, &d)
	return answerOf(d), nil
}

// The ways to go through a batch (section 7).
const (
	executeAll          = "execute_all"
	denyOnFirstDeny     = "deny_on_first_deny"
	permitOnFirstPermit = "permit_on_first_permit"
)

// evaluations answers a batch (section 7), all by the same policies.
func (a *asking) evaluations(m *message) (any, error) {
	var items []json.RawMessage
	if raw, ok := (*m)["evaluations"]; ok {
		if err := json.Unmarshal(raw, &items); err != nil {
			return nil, badRequest("evaluations is no list")
		}
	}
	if len(items) == 0 {
		return a.evaluation(m)
	}
	if len(items) > maxEvaluations {
		return nil, badRequest("there are more than %d evaluations", maxEvaluations)
	}
	semantic, err := m.semantic()
	if err != nil {
		return nil, err
	}
	if err := a.take(len(items) - 1); err != nil {
		return nil, err
	}
	answer := evaluationsAnswer{Evaluations: make([]evaluationAnswer, 0, len(items))}
	for _, raw := range items {
		if err := a.ctx.Err(); err != nil {
			return nil, err
		}
		one := a.item(raw, m)
		answer.Evaluations = append(answer.Evaluations, one)
		if one.Decision && semantic == permitOnFirstPermit || !one.Decision && semantic == denyOnFirstDeny {
			break
		}
	}
	return answer, nil
}

// semantic reads options.evaluations_semantic.
func (m *message) semantic() (string, error) {
	if m.absent("options") {
		return executeAll, nil
	}
	options, err := object((*m)["options"])
	if err != nil {
		return "", badRequest("options is no JSON object")
	}
	if options.absent("evaluations_semantic") {
		return executeAll, nil
	}
	var semantic string
	if json.Unmarshal((*options)["evaluations_semantic"], &semantic) != nil || !slices.Contains([]string{executeAll, denyOnFirstDeny, permitOnFirstPermit}, semantic) {
		return "", badRequest("options.evaluations_semantic is %s, %s or %s", executeAll, denyOnFirstDeny, permitOnFirstPermit)
	}
	return semantic, nil
}

// item answers one evaluation of a batch. What is wrong with it denies it, and
// not the others.
func (a *asking) item(raw json.RawMessage, defaults *message) evaluationAnswer {
	m, err := object(raw)
	if err == nil {
		var q *access.Request
		if q, err = a.question(m, defaults); err == nil {
			d := a.rules.Set.Decide(q)
			a.record.decided(q, &d)
			return answerOf(d)
		}
	}
	a.record.decided(&access.Request{}, &access.Decision{})
	return evaluationAnswer{Context: map[string]any{"error": map[string]any{"status": http.StatusBadRequest, "message": err.Error()}}}
}

// answerOf says why something is denied, to the enforcement point and not to
// its user.
func answerOf(d access.Decision) evaluationAnswer {
	if d.Allow {
		return evaluationAnswer{Decision: true}
	}
	return evaluationAnswer{Context: map[string]any{"id": string(d.Code), "reason_admin": map[string]string{"en": d.Detail}}}
}

// question reads who asks for what. The members of an evaluation of a batch
// replace those of the whole; of subject, action and resource, what is required
// and not there is taken from the whole.
func (a *asking) question(m, defaults *message) (*access.Request, error) {
	subject, err := m.entity(defaults, "subject", "type", "id")
	if err != nil {
		return nil, err
	}
	action, err := m.entity(defaults, "action", "name")
	if err != nil {
		return nil, err
	}
	resource, err := m.entity(defaults, "resource", "type", "id")
	if err != nil {
		return nil, err
	}
	q := &access.Request{Action: action.names[0]}
	if err := a.about(q, m, defaults); err != nil {
		return nil, err
	}
	if err := a.who(q, subject); err != nil {
		return nil, err
	}
	return q, a.what(q, resource)
}

// entity is a subject, an action or a resource.
type entity struct {
	names      []string // the required members, in the order they were asked for
	properties json.RawMessage
}

// entity reads one, with these required members. Not even an empty string is
// taken for a type or a name.
func (m *message) entity(defaults *message, name string, required ...string) (*entity, error) {
	var own, whole *message
	for _, from := range []struct {
		m  *message
		to **message
	}{{m, &own}, {defaults, &whole}} {
		if from.m == nil || from.m.absent(name) {
			continue
		}
		o, err := object((*from.m)[name])
		if err != nil {
			return nil, badRequest("%s is no JSON object", name)
		}
		*from.to = o
	}
	if own == nil {
		own, whole = whole, nil
	}
	if own == nil {
		return nil, badRequest("%s is missing", name)
	}
	e := &entity{properties: (*own)["properties"]}
	for _, r := range required {
		from := own
		if own.absent(r) && whole != nil {
			from = whole
		}
		if from.absent(r) {
			return nil, badRequest("%s.%s is missing", name, r)
		}
		var v string
		if string((*from)[r]) == "null" || json.Unmarshal((*from)[r], &v) != nil {
			return nil, badRequest("%s.%s is no string", name, r)
		}
		e.names = append(e.names, v)
	}
	return e, nil
}

// who says who asks: what the directory knows, and over it what the request says.
func (a *asking) who(q *access.Request, e *entity) error {
	q.Principal = access.Entity{Type: e.names[0], ID: e.names[1]}
	given, err := access.ReadAttributes(e.properties)
	if err != nil {
		return badRequest("subject.properties: %v", err)
	}
	known, _ := a.rules.Directory.subject(q.Principal)
	q.Groups, q.Attributes = known.Groups, over(known.Attributes, given)
	switch groups := given["groups"].(type) {
	case nil:
	case []string:
		q.Groups = groups
	default:
		return badRequest("subject.properties.groups is no list of strings")
	}
	delete(q.Attributes, "groups")
	return nil
}

// what says what is asked for. A resource that is on several routes has to say
// on which: a policy that forbids a route would else not be looked at.
func (a *asking) what(q *access.Request, e *entity) error {
	q.Resource = access.Entity{Type: e.names[0], ID: e.names[1]}
	given, err := access.ReadAttributes(e.properties)
	if err != nil {
		return badRequest("resource.properties: %v", err)
	}
	route, said := given["route"]
	if q.Route, _ = route.(string); said && q.Route == "" {
		return badRequest("resource.properties.route is no name of a route")
	}
	delete(given, "route")
	all := a.rules.Directory.named(q.Resource)
	if said {
		all = slices.DeleteFunc(slices.Clone(all), func(r Resource) bool { return r.Route != q.Route })
	}
	switch len(all) {
	case 0:
		q.Properties = given
	case 1:
		q.Route, q.Properties = all[0].Route, over(all[0].Properties, given)
	default:
		routes := make([]string, len(all))
		for i := range all {
			routes[i] = all[i].Route
		}
		return badRequest("the resource is on the routes %s: name one in resource.properties.route", strings.Join(routes, ", "))
	}
	return nil
}

// about reads the context. A request that does not say its time has ours.
func (a *asking) about(q *access.Request, m, defaults *message) error {
	raw, ok := (*m)["context"]
	if !ok && defaults != nil {
		raw = (*defaults)["context"]
	}
	given, err := access.ReadContext(raw, false)
	if err != nil {
		return badRequest("context: %v", err)
	}
	if _, ok := given["time"]; !ok {
		given["time"] = a.server.config.Clock.Now()
	}
	q.Context = given
	return nil
}

// over lays the attributes that were given over those that are known.
func over(known, given map[string]any) map[string]any {
	all := make(map[string]any, len(known)+len(given))
	maps.Copy(all, known)
	maps.Copy(all, given)
	return all
}
