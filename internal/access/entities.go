package access

import (
	"fmt"
	"iter"
	"net/netip"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/apexlogic/apex/internal/identity"
)

// asking is one request on its way through the engine. It is pooled, is the
// policies and the entities that Cedar sees, and builds of the entities only
// what the policies at hand ask for.
type asking struct {
	set                 *Set
	request             *Request
	cedar               cedar.Request
	principal, resource types.Entity
	looked              []*rule // whose scope holds
	open                []*rule // of these, what Cedar has to evaluate
	whole               bool    // the policies with their scopes
	whoIDs, whatIDs     []uint32
	record              types.RecordMap
	mentioned           []types.EntityUID
	each                iter.Seq2[cedar.PolicyID, *cedar.Policy]
}

// mostKept is how many policies a pooled asking may hold on to: nearly every
// request looks at fewer, and 1,024 pointers are 8 KiB.
const mostKept = 1024

func newAsking(s *Set) *asking {
	a := &asking{set: s, record: types.RecordMap{}}
	a.each = func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, r := range a.open {
			p := r.sliced
			if a.whole {
				p = r.whole
			}
			if !yield(cedar.PolicyID(r.name), p) {
				return
			}
		}
	}
	return a
}

// forget lets go of the request.
func (a *asking) forget() {
	clear(a.looked)
	clear(a.open)
	clear(a.mentioned)
	clear(a.record)
	a.looked, a.open, a.mentioned = a.looked[:0], a.open[:0], a.mentioned[:0]
	if cap(a.looked) > mostKept || cap(a.whoIDs) > mostKept || cap(a.mentioned) > mostKept {
		a.looked, a.open, a.whoIDs, a.mentioned = nil, nil, nil, nil
	}
	a.request, a.cedar, a.whole = nil, cedar.Request{}, false
	a.principal, a.resource = types.Entity{}, types.Entity{}
}

// All implements cedar.PolicyIterator.
func (a *asking) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] { return a.each }

// Get implements cedar.EntityGetter.
func (a *asking) Get(uid types.EntityUID) (types.Entity, bool) {
	switch {
	case uid == a.cedar.Principal:
		return a.principal, true
	case uid == a.cedar.Resource:
		return a.resource, true
	}
	return types.Entity{}, false
}

// name takes the request's names over, and refuses what the schema does not
// hold. It returns the action.
func (a *asking) name(q *Request) (action int, err error) {
	a.request = q
	action = actionIndex(q.Action)
	if action < 0 {
		return 0, fmt.Errorf("there is no action %q%s", clip(q.Action), didYouMean(q.Action, Actions()))
	}
	switch q.Principal.Type {
	case Workload, Person, Nobody:
	default:
		return 0, fmt.Errorf("a principal is a Workload, a Person or Nobody, not a %q", clip(q.Principal.Type))
	}
	if q.Resource.Type != actions[action].resource {
		return 0, fmt.Errorf("%s is done to a %s, not to a %q", q.Action, actions[action].resource, clip(q.Resource.Type))
	}
	a.cedar.Principal = types.EntityUID{Type: types.EntityType(q.Principal.Type), ID: types.String(q.Principal.ID)}
	a.cedar.Action = types.EntityUID{Type: Action, ID: types.String(q.Action)}
	a.cedar.Resource = types.EntityUID{Type: types.EntityType(q.Resource.Type), ID: types.String(q.Resource.ID)}
	return action, nil
}

// clip shortens a foreign name for a sentence.
func clip(s string) string { return s[:min(len(s), 64)] }

// build makes of the request what the policies need.
func (a *asking) build(n *needs) error {
	q := a.request
	a.principal.UID, a.resource.UID = a.cedar.Principal, a.cedar.Resource
	var err error
	if n.about != 0 {
		if a.cedar.Context, err = a.collect(about, n.about, q.Context, "context"); err != nil {
			return err
		}
	}
	if n.who != 0 && q.Principal.Type != Nobody {
		if a.principal.Attributes, err = a.collect(a.set.who, n.who, q.Attributes, "principal"); err != nil {
			return err
		}
	}
	if n.what != 0 {
		if a.resource.Attributes, err = a.collect(a.set.what, n.what, q.Properties, "resource"); err != nil {
			return err
		}
	}
	if n.whoLabels && q.Principal.Type != Nobody {
		if a.principal.Tags, err = a.labels(q.Attributes, "principal"); err != nil {
			return err
		}
	}
	if n.whatLabels && q.Resource.Type == Model {
		if a.resource.Tags, err = a.labels(q.Properties, "resource"); err != nil {
			return err
		}
	}
	if n.parents {
		a.hierarchy()
	}
	return nil
}

// hierarchy says what principal and resource are in. What no condition names
// cannot matter, and is left out.
func (a *asking) hierarchy() {
	a.mentioned = a.mentioned[:0]
	for parent := range a.parents(true) {
		if _, ok := a.set.mentions[parent]; ok || a.whole {
			a.mentioned = append(a.mentioned, parent)
		}
	}
	if len(a.mentioned) > 0 {
		a.principal.Parents = types.NewEntityUIDSet(a.mentioned...)
	}
	switch {
	case a.request.Route == "":
	case a.whole:
		a.resource.Parents = types.NewEntityUIDSet(routeUID(a.request.Route))
	default:
		a.resource.Parents = a.set.mentions[routeUID(a.request.Route)]
	}
}

// mostValues is how many strings an attribute may hold: four times the groups
// of the largest tokens that identity providers issue.
const mostValues = 1024

// collect makes a record of the attributes of a table that are needed.
func (a *asking) collect(table []attribute, bits uint64, given map[string]any, of string) (types.Record, error) {
	clear(a.record)
	for i := range table {
		t := &table[i]
		if bits&bit(i) == 0 {
			continue
		}
		if t.when == derived {
			entity := a.request.Principal
			if of == "resource" {
				entity = a.request.Resource
			}
			if v, ok := derive(entity, t.name); ok {
				a.record[t.name] = v
			}
			continue
		}
		if of == "resource" && a.request.Resource.Type != Model {
			continue // only models have attributes beside their id
		}
		v, there := given[string(t.name)]
		if !there {
			switch t.when {
			case zeroed:
				a.record[t.name] = t.typ.zero()
			case needed:
				return types.Record{}, fmt.Errorf("a policy asks for %s.%s, which is not known", of, t.name)
			}
			continue
		}
		value, ok := t.typ.value(v)
		switch {
		case ok:
			a.record[t.name] = value
		case of == "principal": // a claim of another type is none
		default:
			return types.Record{}, fmt.Errorf("%s.%s is no %s of at most %d values", of, t.name, t.typ, mostValues)
		}
	}
	return types.NewRecord(a.record), nil
}

// derive reads an attribute out of an entity's id.
func derive(e Entity, name types.String) (types.Value, bool) {
	switch {
	case name == "id":
		return types.String(e.ID), true
	case name == "trustDomain" && e.Type == Workload, name == "issuer" && e.Type == Person:
		return types.String(identity.IssuerOf(e.ID)), true
	case name == "subject" && e.Type == Person:
		_, subject, _ := strings.Cut(e.ID, "#")
		return types.String(subject), true
	}
	return nil, false
}

// labels makes tags of the attribute labels, a map of strings.
func (a *asking) labels(given map[string]any, of string) (types.Record, error) {
	clear(a.record)
	switch all := given["labels"].(type) {
	case nil:
	case map[string]string:
		for k, v := range all {
			a.record[types.String(k)] = types.String(v)
		}
	case map[string]any:
		for k, v := range all {
			text, ok := v.(string)
			if !ok {
				return types.Record{}, fmt.Errorf("%s.labels holds what is no string", of)
			}
			a.record[types.String(k)] = types.String(text)
		}
	default:
		return types.Record{}, fmt.Errorf("%s.labels is no map of strings", of)
	}
	if len(a.record) > mostValues {
		return types.Record{}, fmt.Errorf("%s has more than %d labels", of, mostValues)
	}
	return types.NewRecord(a.record), nil
}

func (t Type) zero() types.Value {
	switch t {
	case Long:
		return types.Long(0)
	case Bool:
		return types.False
	case Strings:
		return types.Set{}
	}
	return types.String("")
}

// value converts what a request holds; false when it has another type.
func (t Type) value(v any) (types.Value, bool) {
	switch v := v.(type) {
	case string:
		return types.String(v), t == String
	case bool:
		return types.Boolean(v), t == Bool
	case int64:
		return types.Long(v), t == Long
	case int:
		return types.Long(v), t == Long
	case time.Time:
		return types.NewDatetime(v), t == Time && !v.IsZero()
	case netip.Addr:
		v = v.WithZone("").Unmap()
		return types.IPAddr(netip.PrefixFrom(v, v.BitLen())), t == Address && v.IsValid()
	case []string:
		if t != Strings || len(v) > mostValues {
			return nil, false
		}
		values := make([]types.Value, len(v))
		for i := range v {
			values[i] = types.String(v[i])
		}
		return types.NewSet(values...), true
	}
	return nil, false
}
