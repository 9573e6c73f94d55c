package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// What a state holds at most; it has to fit a ConfigMap.
const (
	maxState   = 1 << 20
	maxJournal = 256 // the newest entries; older ones are in the ledger
	maxNote    = 300
	maxCommit  = 256
	// maxGood healthy revisions keep their sets, to go back to.
	maxGood = 5
)

const stateSchema = "apex.gitops.state/v1"

// Phase says how far the current revision is.
type Phase string

// The phases.
const (
	PhaseIntent   Phase = "intent"   // decided and durable; nothing is written yet
	PhaseApplying Phase = "applying" // State.Stage says where
	PhaseApplied  Phase = "applied"  // all of it
)

// Revision names what is applied: a commit (or whatever else a source's versions
// are called) and what it rendered to.
type Revision struct {
	Commit string         `json:"commit,omitempty"`
	Set    verdict.Digest `json:"set,omitempty"`
}

// Pin is a rollback that holds.
type Pin struct {
	// Left is the revision that was rolled back from. It is not applied again;
	// one that descends from it ends the pin.
	Left Revision  `json:"left"`
	At   time.Time `json:"at"`
	// Record is the signed record of the rollback.
	Record []byte `json:"record,omitempty"`
}

// Undo is what holds again when a rollback cannot be carried out.
type Undo struct {
	Pin    *Pin            `json:"pin,omitempty"`
	Memory json.RawMessage `json:"memory,omitempty"`
}

// State is what the target remembers about a source. It is read with
// [Applier.Load]; changing it changes nothing.
type State struct {
	Schema string `json:"schema"`
	Source string `json:"source"`
	// Counter counts the revisions that were decided on, rollbacks too. It never
	// falls.
	Counter uint64 `json:"counter"`
	Phase   Phase  `json:"phase,omitempty"`
	Stage   string `json:"stage,omitempty"`
	// Accepted is the newest revision from Git; a rollback leaves it.
	Accepted Revision `json:"accepted,omitzero"`
	// Current is what the target is to hold, Applied what it held whole last.
	Current Revision `json:"current,omitzero"`
	Applied Revision `json:"applied,omitzero"`
	Pin     *Pin     `json:"pin,omitempty"`
	// Undo is what a rollback that is under way replaced.
	Undo *Undo `json:"undo,omitempty"`
	// Memory is what whoever proves that a commit may follow remembers of the
	// decision that was made last. It is saved together with the decision.
	Memory json.RawMessage `json:"memory,omitempty"`
	// Inventory names the list of objects in the store, Objects counts those of
	// them that are in Applied.
	Inventory verdict.Digest `json:"inventory,omitempty"`
	Objects   int            `json:"objects"`
	// Good are the last healthy revisions, newest last, with their sets kept.
	Good []Revision `json:"good,omitempty"`
	// Blobs are all sets and inventories that the store may hold for the source.
	Blobs []verdict.Digest `json:"blobs,omitempty"`
	// Journal is what became of revisions, newest last; Before is the hash of the
	// entry before its first.
	Journal []Entry `json:"journal,omitempty"`
	Before  string  `json:"before,omitempty"`

	version string // of the record in the store
	items   []Item
}

// Happening says what became of a revision.
type Happening string

// What may happen to a revision.
const (
	Accepted   Happening = "accepted"    // it is about to be applied
	Applied    Happening = "applied"     // the target holds it
	Healthy    Happening = "healthy"     // and all of it works
	Refused    Happening = "refused"     // it was not applied; Code says why
	RolledBack Happening = "rolled-back" // it was gone back to
	Returned   Happening = "returned"    // it was gone back to, since the target refused the rest of the next; Code and Note say why
)

// Entry is a line of the journal. Each holds the hash of the one before it.
type Entry struct {
	Number  uint64    `json:"number"`
	At      time.Time `json:"at"`
	Counter uint64    `json:"counter"`
	What    Happening `json:"what"`
	Revision
	Code     verdict.Code `json:"code,omitempty"`
	Note     string       `json:"note,omitempty"`
	Previous string       `json:"previous,omitempty"`
	Hash     string       `json:"hash"`
}

func (e Entry) hash() string {
	e.Hash = ""
	data, _ := json.Marshal(e) // texts, numbers and a time in UTC: it cannot fail
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// write adds an entry to the journal.
func (s *State) write(now time.Time, what Happening, r Revision, code verdict.Code, note string) {
	e := Entry{Number: 1, At: now.UTC().Truncate(time.Second), Counter: s.Counter, What: what, Revision: r,
		Code: code, Note: note[:min(len(note), maxNote)], Previous: s.Before}
	if n := len(s.Journal); n > 0 {
		e.Number, e.Previous = s.Journal[n-1].Number+1, s.Journal[n-1].Hash
	}
	e.Hash = e.hash()
	s.Journal = append(s.Journal, e)
	if extra := len(s.Journal) - maxJournal; extra > 0 {
		s.Before = s.Journal[extra-1].Hash
		s.Journal = slices.Clone(s.Journal[extra:])
	}
}

// Items returns the inventory, ordered by ID. The slice is the caller's.
func (s *State) Items() []Item { return slices.Clone(s.items) }

// Unfinished says whether a revision is being applied, or was when its process
// ended.
func (s *State) Unfinished() bool { return s.Phase == PhaseIntent || s.Phase == PhaseApplying }

// check holds what decode cannot say with types.
func (s *State) check(source string) error {
	switch {
	case s.Schema != stateSchema:
		return fmt.Errorf("its schema is %.40q, this program knows %q", s.Schema, stateSchema)
	case s.Source != source:
		return fmt.Errorf("it is the state of source %.80q", s.Source)
	case s.Phase != "" && s.Phase != PhaseIntent && s.Phase != PhaseApplying && s.Phase != PhaseApplied:
		return fmt.Errorf("its phase is %.40q", s.Phase)
	case len(s.Journal) > maxJournal || len(s.Good) > maxGood:
		return errors.New("it holds more than it may")
	}
	previous := s.Before
	for i := range s.Journal {
		e := &s.Journal[i]
		if e.Previous != previous || e.hash() != e.Hash || i > 0 && e.Number != s.Journal[i-1].Number+1 || e.Counter > s.Counter {
			return fmt.Errorf("entry %d of its journal does not follow the one before", e.Number)
		}
		previous = e.Hash
	}
	return nil
}

// decode reads what save wrote and refuses everything else.
func (a *Applier) decode(ctx context.Context, source string, record []byte) (*State, error) {
	s := &State{}
	err := a.records.Decode(ctx, record, s)
	if err == nil {
		err = s.check(source)
	}
	if err != nil {
		return nil, refuse(verdict.ApplyState, "the state of %s: %v", source, err)
	}
	return s, nil
}

// Load returns what the target remembers about the source; a state with the
// counter 0 when there is nothing. A state that was not signed by us, or whose
// inventory is gone, is a [Refusal] with the code [verdict.ApplyState].
func (a *Applier) Load(ctx context.Context, source string) (*State, error) {
	if err := gitops.CheckSource(source); err != nil {
		return nil, err
	}
	record, version, err := a.store.Load(ctx, source)
	if err != nil {
		return nil, fmt.Errorf("load the state of %s: %w", source, err)
	}
	if record == nil {
		return &State{Schema: stateSchema, Source: source}, nil
	}
	s, err := a.decode(ctx, source, record)
	if err != nil {
		return nil, err
	}
	s.version = version
	if s.Inventory == "" {
		return s, nil
	}
	data, err := a.store.GetSet(ctx, s.Inventory)
	if errors.Is(err, gitops.ErrNotFound) {
		return nil, refuse(verdict.ApplyState, "the inventory %s of %s is gone", s.Inventory.Short(), source)
	}
	if err != nil {
		return nil, fmt.Errorf("load the inventory of %s: %w", source, err)
	}
	if digestOf(data) != s.Inventory {
		return nil, refuse(verdict.ApplyState, "the inventory of %s was changed", source)
	}
	if read := a.inventory.Load(); read != nil && read.digest == s.Inventory {
		s.items = slices.Clone(read.items)
		return s, nil
	}
	if s.items, err = readInventory(data); err != nil {
		return nil, refuse(verdict.ApplyState, "the inventory of %s: %v", source, err)
	}
	a.inventory.Store(&inventory{s.Inventory, slices.Clone(s.items)})
	return s, nil
}

// save makes the state durable; it fails with ErrConflict when somebody else did
// so since it was loaded.
func (a *Applier) save(ctx context.Context, s *State) error {
	record, err := a.records.Encode(ctx, s)
	if err != nil {
		return fmt.Errorf("the state of %s: %w", s.Source, err)
	}
	version, err := a.store.Save(ctx, s.Source, record, s.version)
	if err != nil {
		return fmt.Errorf("save the state of %s: %w", s.Source, err)
	}
	s.version = version
	return nil
}

// copy returns a state that can be changed without changing s.
func (s *State) copy() *State {
	c := *s
	c.Good, c.Blobs, c.Journal, c.items = slices.Clone(s.Good), slices.Clone(s.Blobs), slices.Clone(s.Journal), slices.Clone(s.items)
	return &c
}
