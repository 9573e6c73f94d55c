// Package fact holds what has been established about a subject: plain structs,
// one file per kind of fact, without any I/O.
//
// Start with [Fact]: a value with its source and its age that must be asked
// for either completely ([Fact.All], needed to prove that something is absent)
// or partially ([Fact.Some], enough to prove that something is present). "Could
// not be established" is a fact too: it carries a code and a reason. [Set] is
// all that is known about one subject; [Need] names kinds of fact as a bit set.
//
// Facts are immutable once they are built, so they may be shared between
// goroutines and kept in caches.
package fact

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// Need is a set of kinds of fact. A rule's needs are fixed when its policy is compiled.
type Need uint32

// The kinds of fact. Each has one field in [Set]; matched and rematched share one.
const (
	NeedImage Need = 1 << iota
	NeedSignatures
	NeedAttestations
	NeedReports
	NeedProvenance
	NeedModel
	NeedFunction
	NeedMatched
	NeedRematched
	needEnd
)

var needNames = []string{"image", "signatures", "attestations", "reports", "provenance", "model", "function", "matched", "rematched"}

// Has reports whether n holds all of want.
func (n Need) Has(want Need) bool { return n&want == want }

// Each returns the single kinds in n, in the order of their declaration.
func (n Need) Each() []Need {
	var out []Need
	for k := Need(1); k < needEnd; k <<= 1 {
		if n&k != 0 {
			out = append(out, k)
		}
	}
	return out
}

// String returns the names of the kinds, joined with a comma.
func (n Need) String() string {
	var names []string
	for i, name := range needNames {
		if n&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

type state uint8

const (
	stateMissing  state = iota // nobody gathered it
	stateProblem               // gathering failed, nothing is known
	statePartial               // something is known, more may exist
	stateComplete              // all there is
)

// Fact is a value together with how, when and how completely it was
// established. The zero value means that nobody gathered it.
type Fact[T any] struct {
	value  T
	source string
	at     time.Time
	until  time.Time
	state  state
	code   verdict.Code
	why    string
}

// Complete is a fact that holds all there is.
func Complete[T any](value T, source string, at time.Time) Fact[T] {
	return Fact[T]{value: value, source: source, at: at, state: stateComplete, code: verdict.OK}
}

// Partial is a fact of which more may exist; code and why say what kept the rest away.
func Partial[T any](value T, source string, at time.Time, code verdict.Code, why string) Fact[T] {
	return Fact[T]{value: value, source: source, at: at, state: statePartial, code: code, why: why}
}

// Problem is the fact that nothing could be established, and why.
func Problem[T any](code verdict.Code, why, source string, at time.Time) Fact[T] {
	return Fact[T]{source: source, at: at, state: stateProblem, code: code, why: why}
}

// WithUntil returns the fact with an instant after which it must be gathered anew.
func (f Fact[T]) WithUntil(until time.Time) Fact[T] {
	f.until = until
	return f
}

// All returns the value if it is complete: what is needed to prove absence.
// Otherwise ok is false and the code says why.
func (f *Fact[T]) All() (value T, code verdict.Code, ok bool) {
	if f.state == stateComplete {
		return f.value, verdict.OK, true
	}
	return value, f.Code(), false
}

// Some returns the value if at least part of it is known: enough to prove presence.
func (f *Fact[T]) Some() (value T, code verdict.Code, ok bool) {
	if f.state >= statePartial {
		return f.value, f.Code(), true
	}
	return value, f.Code(), false
}

// Code says why the fact is not complete; it is verdict.OK when it is.
func (f *Fact[T]) Code() verdict.Code {
	if f.state == stateMissing {
		return verdict.RuleNotGathered
	}
	return f.code
}

// Why is the reason in words; empty when the fact is complete.
func (f *Fact[T]) Why() string {
	if f.state == stateMissing {
		return "it was not gathered"
	}
	return f.why
}

// Gathered reports whether anyone tried.
func (f *Fact[T]) Gathered() bool { return f.state != stateMissing }

// Incomplete reports whether gathering failed wholly or in part; such a fact
// is shared by those who wait for it and then forgotten, never stored.
func (f *Fact[T]) Incomplete() bool { return f.state != stateComplete }

// Source says where the value came from.
func (f *Fact[T]) Source() string { return f.source }

// At is when the value was established.
func (f *Fact[T]) At() time.Time { return f.at }

// Until is when the value stops being usable; zero: it does not expire.
func (f *Fact[T]) Until() time.Time { return f.until }

// Evidence names the fact for a check.
func (f *Fact[T]) Evidence(kind Need) verdict.Evidence {
	return verdict.Evidence{Fact: kind.String(), Source: f.source, At: f.at, Until: f.until}
}

type stored[T any] struct {
	Value    T            `json:"value"`
	Source   string       `json:"source,omitempty"`
	At       time.Time    `json:"at"`
	Until    time.Time    `json:"until,omitzero"`
	Complete bool         `json:"complete"`
	Code     verdict.Code `json:"code,omitempty"`
	Why      string       `json:"why,omitempty"`
}

// MarshalJSON writes a complete fact for a cache on disk. Any other fact is an
// error: a failure is never stored.
func (f Fact[T]) MarshalJSON() ([]byte, error) {
	if f.state != stateComplete {
		return nil, fmt.Errorf("only a complete fact is stored (%s)", f.Code())
	}
	return json.Marshal(stored[T]{Value: f.value, Source: f.source, At: f.at, Until: f.until, Complete: true})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (f *Fact[T]) UnmarshalJSON(data []byte) error {
	var s stored[T]
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	if !s.Complete {
		return fmt.Errorf("stored fact is not complete")
	}
	*f = Complete(s.Value, s.Source, s.At).WithUntil(s.Until)
	return nil
}

// Set is all that is known about one subject.
type Set struct {
	Image        Fact[Image]
	Signatures   Fact[[]Signature]
	Attestations Fact[[]Attestation]
	Reports      Fact[[]Report]
	Provenance   Fact[[]Provenance]
	Model        Fact[Model]
	Function     Fact[Function]
	// Matched is what the built-in matcher says of the packages inside. Where it
	// is only needed as rematched, it is about the inventory that was kept when
	// the digest was admitted, and a problem when none was.
	Matched Fact[Report]
}
