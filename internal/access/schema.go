package access

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
)

// Further types of entities of the schema.
const (
	// Path holds the workloads below a SPIFFE ID: the workload
	// spiffe://example.org/ns/claims/intake is in Path::"spiffe://example.org",
	// and in Path::"spiffe://example.org/ns/claims".
	Path  = "Path"
	Tool  = "Tool"  // what is called with callTool
	Topic = "Topic" // what is produced to and consumed from
	Host  = "Host"  // what is sent to with egress
)

// Actions are the names of the actions that the schema holds: the first seven
// are done to a Model, callTool to a Tool, produce and consume to a Topic, and
// egress to a Host. The caller may keep the list.
func Actions() []string {
	names := make([]string, len(actions))
	for i, a := range actions {
		names[i] = a.name
	}
	return names
}

var actions = [...]struct{ name, resource string }{
	{"infer", Model}, {"embed", Model}, {"generate", Model}, {"transcribe", Model}, {"speak", Model}, {"moderate", Model}, {"list", Model},
	{"callTool", Tool}, {"produce", Topic}, {"consume", Topic}, {"egress", Host},
}

var (
	principals = [...]string{Workload, Person, Nobody}
	resources  = [...]string{Model, Tool, Topic, Host}
)

// ResourceOf returns the type of what an action is done to; "" for no action.
func ResourceOf(action string) string {
	if i := actionIndex(action); i >= 0 {
		return actions[i].resource
	}
	return ""
}

func actionIndex(name string) int {
	for i := range actions {
		if actions[i].name == name {
			return i
		}
	}
	return -1
}

// Type of an attribute.
type Type string

// The types of attributes. The first four are those of claims.
const (
	String  Type = "String"
	Long    Type = "Long"
	Bool    Type = "Bool"
	Strings Type = "Strings"  // a set of strings
	Time    Type = "datetime" // a time.Time
	Address Type = "ipaddr"   // a netip.Addr
)

// Claim is an attribute of workloads and persons that comes from the claims of
// their identity. It is optional: a policy has to ask whether it is there.
type Claim struct {
	Name string
	Type Type
}

// presence says what it means that an attribute was not given.
type presence uint8

const (
	optional presence = iota // policies have to ask for it with has
	zeroed                   // it has its zero value: there is no message
	needed                   // a policy that asks for it denies
	derived                  // it is part of the entity's id
)

// attribute is one that policies may ask for.
type attribute struct {
	name types.String
	typ  Type
	when presence
}

// about are the attributes of a request, its context.
var about = []attribute{
	{"time", Time, needed},               // when it was asked, to the millisecond
	{"address", Address, optional},       // whom it came from
	{"bytes", Long, zeroed},              // of the message
	{"parts", Long, zeroed},              // that are no text: images, recordings, tensors
	{"maxTokens", Long, zeroed},          // that the answer may have; 0 when nothing is said
	{"stream", Bool, zeroed},             // whether the answer is to come in pieces
	{"modalities", Strings, zeroed},      // kinds of content: text, image, audio, …
	{"tokens", Long, optional},           // that the request is predicted to cost
	{"classification", String, optional}, // the strictest class of the content
	{"digests", Strings, optional},       // of the parts: sha256:HEX
}

// ofEntity are the attributes by type of entity, claims aside.
var ofEntity = map[types.EntityType][]attribute{
	Workload: {{"id", String, derived}, {"trustDomain", String, derived}},
	Person:   {{"id", String, derived}, {"issuer", String, derived}, {"subject", String, derived}},
	Nobody:   {},
	Model:    {{"id", String, derived}, {"digest", String, optional}, {"verdict", String, optional}},
	Tool:     {{"id", String, derived}},
	Topic:    {{"id", String, derived}},
	Host:     {{"id", String, derived}},
}

// labelled are the types whose entities have labels, as Cedar's tags.
var labelled = []types.EntityType{Workload, Person, Model}

// parentsOf are the types that an entity may be in.
var parentsOf = map[types.EntityType][]types.EntityType{
	Workload: {Group, Path}, Person: {Group}, Model: {Route}, Tool: {Route}, Topic: {Route}, Host: {Route},
}

// schema is what the policies of one document may speak about.
type schema struct {
	claims   []attribute
	resolved *resolved.Schema
	check    *validate.Validator
}

// newSchema returns the schema with these claims.
func newSchema(claims []Claim) (*schema, error) {
	s := &schema{}
	for _, c := range claims {
		if !slices.Contains([]Type{String, Long, Bool, Strings}, c.Type) {
			return nil, fmt.Errorf("claim %s has the type %q: write String, Long, Bool or Strings", c.Name, c.Type)
		}
		for _, t := range []types.EntityType{Workload, Person} {
			if slices.ContainsFunc(ofEntity[t], func(a attribute) bool { return a.name == types.String(c.Name) }) {
				return nil, fmt.Errorf("claim %s has the name of an attribute that every %s has: leave it out", c.Name, t)
			}
		}
		if slices.ContainsFunc(s.claims, func(a attribute) bool { return a.name == types.String(c.Name) }) {
			return nil, fmt.Errorf("claim %s is there twice", c.Name)
		}
		s.claims = append(s.claims, attribute{types.String(c.Name), c.Type, optional})
	}
	s.resolved = s.resolve()
	s.check = validate.New(s.resolved, validate.WithStrict())
	return s, nil
}

// attributes of an entity's type, claims included.
func (s *schema) attributes(t types.EntityType) []attribute {
	own := ofEntity[t]
	if t == Workload || t == Person {
		return slices.Concat(own, s.claims)
	}
	return own
}

func (s *schema) resolve() *resolved.Schema {
	r := &resolved.Schema{
		Entities: map[types.EntityType]resolved.Entity{}, Enums: map[types.EntityType]resolved.Enum{},
		Actions: map[types.EntityUID]resolved.Action{}, Namespaces: map[types.Path]resolved.Namespace{},
	}
	for _, t := range []types.EntityType{Group, Path, Route} {
		r.Entities[t] = resolved.Entity{Name: t}
	}
	for t := range ofEntity {
		e := resolved.Entity{Name: t, ParentTypes: parentsOf[t], Shape: shape(s.attributes(t))}
		if slices.Contains(labelled, t) {
			e.Tags = resolved.StringType{}
		}
		r.Entities[t] = e
	}
	who := make([]types.EntityType, len(principals))
	for i, p := range principals {
		who[i] = types.EntityType(p)
	}
	context := shape(about)
	for _, a := range actions {
		uid := actionUID(a.name)
		r.Actions[uid] = resolved.Action{
			Entity:    types.Entity{UID: uid},
			AppliesTo: &resolved.AppliesTo{Principals: who, Resources: []types.EntityType{types.EntityType(a.resource)}, Context: context},
		}
	}
	return r
}

func shape(attributes []attribute) resolved.RecordType {
	r := resolved.RecordType{}
	for _, a := range attributes {
		r[a.name] = resolved.Attribute{Type: a.typ.cedar(), Optional: a.when == optional}
	}
	return r
}

func (t Type) cedar() resolved.IsType {
	switch t {
	case Long:
		return resolved.LongType{}
	case Bool:
		return resolved.BoolType{}
	case Strings:
		return resolved.SetType{Element: resolved.StringType{}}
	case Time, Address:
		return resolved.ExtensionType(t)
	}
	return resolved.StringType{}
}

func actionUID(name string) cedar.EntityUID {
	return cedar.EntityUID{Type: Action, ID: types.String(name)}
}

// entityTypes are the names of all types, sorted.
func (s *schema) entityTypes() []string {
	names := []string{Action}
	for t := range maps.Keys(s.resolved.Entities) {
		names = append(names, string(t))
	}
	slices.Sort(names)
	return names
}
