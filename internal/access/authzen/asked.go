package authzen

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/verdict"
)

// AskedSchema is the value of Asked.Schema.
const AskedSchema = "apex.access.asked/v1"

// Limits on one record: what the ledger takes is more, also when each byte of a
// name is escaped.
const (
	maxNamed    = 64  // evaluations of a batch that are recorded with their names
	maxName     = 256 // bytes; a longer name is recorded as its digest. A SPIFFE ID may have 2,048
	maxPolicies = 8   // of one decision
)

// Asked is the record of a request that was answered: who asked, and what was
// decided. It holds names, and of properties and context nothing.
type Asked struct {
	Schema     string    `json:"schema"`
	At         time.Time `json:"at"`
	Generation string    `json:"generation,omitempty"`
	// Caller is the enforcement point that asked, and Request what it calls its
	// request (X-Request-ID).
	Caller  string `json:"caller"`
	Request string `json:"request,omitempty"`
	// Asked is the end of the path: evaluation, evaluations, search/subject,
	// search/resource or search/action.
	Asked string `json:"asked"`
	// Decisions were made, and so many of them Allowed.
	Decisions int `json:"decisions"`
	Allowed   int `json:"allowed"`
	// Decided are the evaluations, in order; of a search it is one, without what
	// was searched for.
	Decided []Decided `json:"decided,omitempty"`
	// Rest are the decisions of the evaluations that follow, in order: + allowed,
	// - denied.
	Rest string `json:"rest,omitempty"`
}

// Decided is what a record says of one evaluation. Names of more than 256 bytes
// are "sha256:" and the digest in hexadecimal. One that could not be read has none.
type Decided struct {
	Subject  *Named `json:"subject,omitempty"`
	Action   string `json:"action,omitempty"`
	Resource *Named `json:"resource,omitempty"`
	Route    string `json:"route,omitempty"`
	// Allowed is not there for a search.
	Allowed *bool `json:"allowed,omitempty"`
	// Code of a denial, and the first policies that decided.
	Code     verdict.Code `json:"code,omitempty"`
	Policies []string     `json:"policies,omitempty"`
}

// Named is a subject or a resource.
type Named struct {
	Type string `json:"type"`
	ID   string `json:"id,omitempty"`
}

// decided adds an evaluation.
func (r *Asked) decided(q *access.Request, d *access.Decision) {
	r.Decisions++
	mark := "-"
	if d.Allow {
		r.Allowed++
		mark = "+"
	}
	if len(r.Decided) == maxNamed {
		r.Rest += mark
		return
	}
	one := describe(q)
	one.Allowed = &d.Allow
	if !d.Allow {
		one.Code = d.Code
	}
	for _, p := range d.Policies[:min(len(d.Policies), maxPolicies)] {
		one.Policies = append(one.Policies, recorded(p))
	}
	r.Decided = append(r.Decided, one)
}

// searched says of a search what was given, and how many were found.
func (r *Asked) searched(q *access.Request, decisions, allowed int) {
	r.Decisions, r.Allowed = decisions, allowed
	r.Decided = []Decided{describe(q)}
}

func describe(q *access.Request) Decided {
	return Decided{Subject: named(q.Principal), Action: recorded(q.Action), Resource: named(q.Resource), Route: recorded(q.Route)}
}

func named(e access.Entity) *Named {
	if e == (access.Entity{}) {
		return nil
	}
	return &Named{recorded(e.Type), recorded(e.ID)}
}

// recorded is a name as records have it.
func recorded(name string) string {
	if len(name) <= maxName {
		return strings.ToValidUTF8(name, "?")
	}
	sum := sha256.Sum256([]byte(name))
	return "sha256:" + hex.EncodeToString(sum[:])
}
