package access

import (
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// index finds the policies whose scope holds for a request: by what their scope
// says of the resource, of the principal and of the action. It is a slicing of
// policies (Cutler et al., Cedar, OOPSLA 2024, §5.3) that proves the scope, so
// that only the conditions are left to evaluate.
type index struct {
	ids   map[place]uint32
	lists map[uint64][]*rule
	types [ways][]types.EntityType // that some place is about: others need not be looked for
}

// place is what a scope says of one side of a request.
type place struct {
	how    how
	entity types.EntityUID
}

type how uint8

const (
	is how = iota // of the type
	eq            // the entity itself
	in            // the entity, or below it
	ways
)

// anyID is the id of a scope that says nothing. Ids of places begin after it,
// and have maxIDBits, so that two of them and an action make one key.
const (
	anyID     = 0
	maxIDBits = 28
)

func key(resource, principal uint32, action int) uint64 {
	return uint64(resource)<<(maxIDBits+8) | uint64(principal)<<8 | uint64(action)
}

func newIndex() *index {
	return &index{ids: map[place]uint32{}, lists: map[uint64][]*rule{}}
}

func (x *index) id(p place) uint32 {
	id, ok := x.ids[p]
	if !ok {
		id = uint32(len(x.ids) + 1)
		x.ids[p] = id
		if !x.about(p.how, p.entity.Type) {
			x.types[p.how] = append(x.types[p.how], p.entity.Type)
		}
	}
	return id
}

// about says whether there is such a place for some entity of the type.
func (x *index) about(h how, t types.EntityType) bool {
	for _, known := range x.types[h] {
		if known == t {
			return true
		}
	}
	return false
}

// add indexes a rule, and returns its policy without the scope that the index
// proves.
func (x *index) add(r *rule) *ast.Policy {
	rest := *r.policy
	resource := x.idOf(r.policy.Resource)
	principal := x.idOf(r.policy.Principal)
	rest.Action, rest.Resource, rest.Principal = ast.ScopeTypeAll{}, ast.ScopeTypeAll{}, ast.ScopeTypeAll{}
	if s, ok := r.policy.Resource.(ast.ScopeTypeIsIn); ok {
		rest.Resource = ast.ScopeTypeIs{Type: s.Type}
	}
	if s, ok := r.policy.Principal.(ast.ScopeTypeIsIn); ok {
		rest.Principal = ast.ScopeTypeIs{Type: s.Type}
	}
	for i := range actions {
		if covers(r.policy.Action, actionUID(actions[i].name)) {
			k := key(resource, principal, i)
			x.lists[k] = append(x.lists[k], r)
		}
	}
	return &rest
}

func (x *index) idOf(s ast.IsScopeNode) uint32 {
	switch s := s.(type) {
	case ast.ScopeTypeEq:
		return x.id(place{eq, s.Entity})
	case ast.ScopeTypeIn:
		return x.id(place{in, s.Entity})
	case ast.ScopeTypeIs:
		return x.id(place{is, types.EntityUID{Type: s.Type}})
	case ast.ScopeTypeIsIn:
		return x.id(place{in, s.Entity})
	}
	return anyID
}

// covers says whether an action's scope holds. There are no groups of actions.
func covers(s ast.IsActionScopeNode, action types.EntityUID) bool {
	switch s := s.(type) {
	case ast.ScopeTypeEq:
		return s.Entity == action
	case ast.ScopeTypeIn:
		return s.Entity == action
	case ast.ScopeTypeInSet:
		for _, e := range s.Entities {
			if e == action {
				return true
			}
		}
		return false
	}
	return true
}

// find appends the rules whose scope holds.
func (x *index) find(looked []*rule, a *asking, action int) []*rule {
	if len(x.lists) == 0 {
		return looked
	}
	a.whoIDs = append(a.whoIDs[:0], anyID)
	a.whatIDs = append(a.whatIDs[:0], anyID)
	note := func(ids *[]uint32, p place) {
		if !x.about(p.how, p.entity.Type) {
			return
		}
		id, ok := x.ids[p]
		if !ok {
			return
		}
		for _, known := range *ids { // a group may be given twice
			if known == id {
				return
			}
		}
		*ids = append(*ids, id)
	}
	for _, side := range [...]struct {
		ids *[]uint32
		uid types.EntityUID
	}{{&a.whoIDs, a.cedar.Principal}, {&a.whatIDs, a.cedar.Resource}} {
		note(side.ids, place{is, types.EntityUID{Type: side.uid.Type}})
		note(side.ids, place{eq, side.uid})
		note(side.ids, place{in, side.uid})
	}
	for parent := range a.parents(x.about(in, Path)) {
		note(&a.whoIDs, place{in, parent})
	}
	if a.request.Route != "" {
		note(&a.whatIDs, place{in, routeUID(a.request.Route)})
	}
	for _, what := range a.whatIDs {
		for _, who := range a.whoIDs {
			looked = append(looked, x.lists[key(what, who, action)]...)
		}
	}
	return looked
}

// parents are what the principal is in; the paths only where they are asked for.
func (a *asking) parents(paths bool) func(func(types.EntityUID) bool) {
	return func(yield func(types.EntityUID) bool) {
		q := a.request
		if q.Principal.Type != Workload && q.Principal.Type != Person {
			return
		}
		for _, g := range q.Groups {
			if !yield(types.EntityUID{Type: Group, ID: types.String(g)}) {
				return
			}
		}
		if !paths || q.Principal.Type != Workload {
			return
		}
		id := q.Principal.ID
		for i := len(spiffeScheme); i < len(id); i++ {
			if id[i] == '/' && !yield(types.EntityUID{Type: Path, ID: types.String(id[:i])}) {
				return
			}
		}
	}
}

const spiffeScheme = "spiffe://"

func isAll(s ast.IsScopeNode) bool {
	_, ok := s.(ast.ScopeTypeAll)
	return ok
}
