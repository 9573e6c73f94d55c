// Package gitops is the way in: what a target holds is what verified commits of
// a Git repository say, and nothing else.
//
// Start with [Set], the rendered objects of one revision, and [Target], the place
// that is made to look like one. Subpackages are the steps between them: history
// (which commit may be followed), render (a commit's tree as a Set), apply (plan,
// order, prune, journal), heal (what changed behind Git's back), release (stages,
// promotions, rollback) and target/… (a directory, an embedded store, a cluster,
// a cloud account).
//
// What was gated is byte for byte what is applied: a Set is named by the digest
// of its bytes, is stored under it, and is never rendered again.
package gitops

import (
	"context"
	"errors"

	"github.com/apexlogic/apex/verdict"
)

// ID names an object within a target. The API version is not part of it: the
// same object is served under several.
type ID struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"` // "" for what is cluster-scoped
	Name      string `json:"name"`
}

// String returns "kind.group namespace/name", as kubectl writes kinds.
func (id ID) String() string {
	s := id.Kind
	if id.Group != "" {
		s += "." + id.Group
	}
	s += " "
	if id.Namespace != "" {
		s += id.Namespace + "/"
	}
	return s + id.Name
}

// Object is one desired object.
type Object struct {
	ID
	// Version is the API version it is written in, without the group: "v1".
	Version string
	// Body is the whole object. Values are string, bool, int64, float64, nil,
	// []any and map[string]any. It is shared: nobody changes it.
	Body map[string]any
	// Where it comes from: the file within the revision, and the line.
	Where verdict.Origin
}

// Live is an object as a target holds it.
type Live struct {
	UID string
	// ResourceVersion changes with every write.
	ResourceVersion string
	Body            map[string]any
	// Made: it is the answer to an Apply, and nothing was there before it (a dry
	// run: nothing is). Then nobody else has had a say in the body.
	Made bool
}

// Owned is an object that a source put into a target.
type Owned struct {
	ID
	Version string `json:"version"`
	UID     string `json:"uid"`
}

// LabelSource marks the objects of a source; its value is the source's name. A
// target watches what carries it, so that memory follows what is managed.
const LabelSource = "apexlogic.com/source"

// FieldManager is the name under which Apex applies. It proves nothing: anybody
// can write under it.
const FieldManager = "apex"

// EventKind says what happened to an object.
type EventKind uint8

// The kinds of events.
const (
	Changed EventKind = iota + 1 // it is there: made, changed, or seen by a listing
	Gone                         // deleted, or it lost the label
	Synced                       // the listing that a watch begins with is complete
)

// Event is a change that a target saw. It carries no body: who needs it asks.
type Event struct {
	Kind            EventKind
	ID              ID // zero for Synced
	UID             string
	ResourceVersion string
}

// The errors of targets that callers tell apart.
var (
	ErrNotFound = errors.New("not in the target")
	// ErrConflict: the precondition no longer holds; look again.
	ErrConflict = errors.New("changed meanwhile")
	// ErrUnknownKind: the target does not serve the kind (yet).
	ErrUnknownKind = errors.New("the target does not know this kind")
	// ErrForbidden: the source may not write this.
	ErrForbidden = errors.New("the source may not write this")
	// ErrInvalid: the target refuses the write as it is: the object would break
	// its rules, or changes a field that cannot be changed.
	ErrInvalid = errors.New("the target refuses this")
)

// ApplyOptions change how an object is applied.
type ApplyOptions struct {
	// DryRun answers as if it had been applied, defaults included, and changes nothing.
	DryRun bool
	// ResourceVersion, when not empty, has to be the object's: else ErrConflict.
	ResourceVersion string
}

// Precondition protects a deletion; empty parts are not compared.
type Precondition struct{ UID, ResourceVersion string }

// Kind is a type of objects in one version.
type Kind struct{ Group, Version, Kind string }

// Target is a place that a source is applied to. Implementations are safe for
// concurrent use and bounded in time by the context; what they return is the
// caller's own.
type Target interface {
	// Get returns the object, or ErrNotFound. Version is the one to ask for.
	Get(ctx context.Context, id ID, version string) (*Live, error)

	// Apply makes or changes the object so that every field of it holds, whoever
	// owns the field (server-side apply with force under [FieldManager]), and
	// returns what the target holds afterwards, defaults included. Fields that
	// were applied before and are desired no longer are removed.
	Apply(ctx context.Context, o *Object, opt ApplyOptions) (*Live, error)

	// Patch applies an RFC 6902 patch, usually one that begins with a test of
	// the resource version.
	Patch(ctx context.Context, id ID, version string, patch []byte) (*Live, error)

	// Delete removes the object; when it is not there that is no error.
	Delete(ctx context.Context, id ID, version string, only Precondition) error

	// Watch reports the objects of the kinds that carry the source's label,
	// first those that are there (ended by Synced), then each change, until
	// the context ends. It comes back by itself after the connection is lost,
	// listing again. Events of one object arrive in order.
	Watch(ctx context.Context, source string, kinds []Kind, each func(Event)) error

	// Healthy says whether the object does what it is there for, and if not, why.
	Healthy(ctx context.Context, o *Object) (ok bool, why string, err error)
}

// Store keeps what a target remembers of its sources: beside what is applied,
// out of reach of the repository that is applied.
type Store interface {
	// Load returns the record of a source and its version; nil and "" when there
	// is none.
	Load(ctx context.Context, source string) (record []byte, version string, err error)
	// Save replaces it, durably, when its version is still the given one; else
	// the error is ErrConflict.
	Save(ctx context.Context, source string, record []byte, version string) (string, error)
	// PutSet keeps a set's bytes under their digest, durably. DropSet forgets them.
	PutSet(ctx context.Context, digest verdict.Digest, data []byte) error
	GetSet(ctx context.Context, digest verdict.Digest) ([]byte, error)
	DropSet(ctx context.Context, digest verdict.Digest) error
}
