// Package access decides who may do what with which model, on which content:
// attribute-based access control, in Cedar.
//
// Start with [Compile], which turns policies and grants into a [Set], and with
// [Set.Decide]. A set is immutable; it finds the policies that can matter for a
// request by an index, so that a decision costs the same among ten and among
// ten thousand of them. [Set.Explain] shows how a decision came about,
// [Set.Test] holds a set to what it has to answer, and [Set.Graph] shows who
// can reach what.
//
// Nothing is allowed that no policy permits, a forbid wins, and an error in any
// policy that was looked at denies: Cedar itself would skip such a policy, also
// a forbid (cedar-policy/cedar issue 2428).
//
// Sources: the Cedar policy language reference (docs.cedarpolicy.com), OpenID
// AuthZEN Authorization API 1.0.
package access

import (
	"time"

	"github.com/apexlogic/apex/verdict"
)

// Entity names something: its type and its id, for example {"Workload",
// "spiffe://claims.example/intake"} or {"Model", "captioner"}.
type Entity struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// The types of entities that every schema holds.
const (
	Workload = "Workload" // who asks, with a SPIFFE ID
	Person   = "Person"   // who asks, with an OpenID Connect identity
	Nobody   = "Nobody"   // who shows nothing
	Group    = "Group"    // what a workload or a person is in
	Model    = "Model"    // what is asked for, by its name on the route
	Route    = "Route"    // what a model is in: the ProtectedRoute's name
	Action   = "Action"   // the action's type in Cedar
)

// Request is what is asked. Attributes are strings, bools, int64, []string,
// time.Time, netip.Addr, or a map[string]any of those.
type Request struct {
	Principal  Entity
	Groups     []string       // that the principal is in
	Attributes map[string]any // of the principal
	Action     string         // for example "infer"
	Resource   Entity
	Route      string         // that the resource is in
	Properties map[string]any // of the resource: digest, verdict, labels
	Context    map[string]any // of the request: modalities, bytes, tokens, time, address
	// Age is how long ago the principal's and the resource's attributes were
	// known to be so; zero: they were verified with this request.
	Age time.Duration
}

// Decision is the answer to a request.
type Decision struct {
	Allow bool         `json:"allow"`
	Code  verdict.Code `json:"code"`
	// Policies that decided: those that permit when it is allowed, those that
	// forbid when one does. Sorted.
	Policies []string `json:"policies,omitempty"`
	// Observed are the policies that would forbid it if they were not only
	// observed. Sorted.
	Observed []string `json:"observed,omitempty"`
	// Detail says why in one sentence, without attributes' values.
	Detail string `json:"detail,omitempty"`
	// Until is when the answer has to be asked again; zero: with the next generation.
	Until time.Time `json:"until,omitzero"`
}
