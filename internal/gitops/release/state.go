package release

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
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/verdict"
)

// What a record holds at most; it has to fit what a store takes.
const (
	maxRecord     = 1 << 20
	maxJournal    = 256 // the newest entries; older ones are in the ledger
	maxPromotions = 16  // held for one state of the stage
	maxBundle     = 16 << 10
	maxObjects    = 1000 // of one canary
)

const (
	recordSchema  = "apex.gitops.release/v1"
	recordPurpose = "apex gitops release v1"
)

// record is what a stage remembers.
type record struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	// Counter counts the revisions that were let in. It never falls.
	Counter uint64 `json:"counter"`
	// Entered is the newest of them, Proof the promotions that let it in.
	Entered apply.Revision `json:"entered,omitzero"`
	Proof   []promoted     `json:"proof,omitempty"`
	// Promotions wait for the gates.
	Promotions []promoted `json:"promotions,omitempty"`
	Soak       soak       `json:"soak,omitzero"`
	Canary     *Canary    `json:"canary,omitempty"`

	Journal []Entry `json:"journal,omitempty"`
	Before  string  `json:"before,omitempty"`
	// Told is the number of the last entry that the ledger has.
	Told uint64 `json:"told,omitempty"`

	version string // in the store
}

// promoted is a promotion that was verified when it came.
type promoted struct {
	apply.Revision
	Bundle []byte `json:"bundle"`
}

// soak is since when a revision was seen healthy, each time it was looked at.
type soak struct {
	Set   verdict.Digest `json:"set,omitempty"`
	Since time.Time      `json:"since,omitzero"`
	Seen  time.Time      `json:"seen,omitzero"`
}

// Happening says what became of a revision in a stage.
type Happening string

// What may happen.
const (
	Promoted Happening = "promoted" // somebody signed a promotion
	Entered  Happening = "entered"  // the gates are open
	Shifted  Happening = "shifted"  // a part of the traffic is about to move; Percent
	Finished Happening = "finished" // all of it has moved
	Returned Happening = "returned" // it is about to go back; Code and Note say why
)

// Entry is a line of the journal. Each holds the hash of the one before it.
type Entry struct {
	Number uint64    `json:"number"`
	At     time.Time `json:"at"`
	Name   string    `json:"name"`
	What   Happening `json:"what"`
	apply.Revision
	Counter  uint64       `json:"counter"`
	Percent  int32        `json:"percent,omitempty"`
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
func (s *record) write(now time.Time, e Entry) {
	e.Number, e.At, e.Name, e.Counter, e.Note, e.Previous = 1, now.UTC(), s.Name, s.Counter, clip(e.Note), s.Before
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

func (s *record) check(name string) error {
	switch {
	case s.Schema != recordSchema:
		return fmt.Errorf("its schema is %.40q, this program knows %q", s.Schema, recordSchema)
	case s.Name != name:
		return fmt.Errorf("it is that of %.80q", s.Name)
	case len(s.Journal) > maxJournal || len(s.Promotions) > maxPromotions || len(s.Proof) > maxPromotions:
		return errors.New("it holds more than it may")
	}
	previous := s.Before
	for i := range s.Journal {
		e := &s.Journal[i]
		if e.Previous != previous || e.hash() != e.Hash || i > 0 && e.Number != s.Journal[i-1].Number+1 {
			return fmt.Errorf("entry %d of its journal does not follow the one before", e.Number)
		}
		previous = e.Hash
	}
	if s.Canary != nil {
		return s.Canary.check()
	}
	return nil
}

// load reads the record and takes up which fields are owned. r.mu is held.
func (r *Release) load(ctx context.Context) (*record, error) {
	data, version, err := r.c.Store.Load(ctx, r.key)
	if err != nil {
		return nil, fmt.Errorf("load the release of %s: %w", r.name, err)
	}
	s := &record{Schema: recordSchema, Name: r.name}
	if data != nil {
		if s, err = r.decode(ctx, data); err != nil {
			return nil, err
		}
	}
	s.version = version
	r.own(s)
	return s, nil
}

// save makes the record durable; it fails with ErrConflict when somebody else
// did so since it was loaded. r.mu is held.
func (r *Release) save(ctx context.Context, s *record) error {
	data, err := r.records.Encode(ctx, s)
	if err != nil {
		return fmt.Errorf("the release of %s: %w", r.name, err)
	}
	version, err := r.c.Store.Save(ctx, r.key, data, s.version)
	if err != nil {
		return fmt.Errorf("save the release of %s: %w", r.name, err)
	}
	s.version = version
	r.own(s)
	return nil
}

func (r *Release) decode(ctx context.Context, data []byte) (*record, error) {
	s := &record{}
	err := r.records.Decode(ctx, data, s)
	if err == nil {
		err = s.check(r.name)
	}
	if err != nil {
		return nil, refuse(verdict.ReleaseState, "the release of %s: %v", r.name, err)
	}
	return s, nil
}

// maxConflicts is how often a change is begun anew because the record has changed.
const maxConflicts = 5

// change loads the record, lets fn change it, and saves it when fn says so.
func (r *Release) change(ctx context.Context, fn func(*record) (bool, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	for range maxConflicts {
		var s *record
		if s, err = r.load(ctx); err != nil {
			return err
		}
		changed, fail := fn(s)
		if fail != nil || !changed {
			return fail
		}
		if err = r.save(ctx, s); !errors.Is(err, gitops.ErrConflict) {
			break
		}
	}
	return err
}

// Journal returns what became of revisions, newest last.
func (r *Release) Journal(ctx context.Context) ([]Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	return s.Journal, nil
}

// tell hands the ledger what it does not have yet. r.mu is held.
func (r *Release) tell(ctx context.Context, s *record) error {
	if r.c.Record == nil || len(s.Journal) == 0 || s.Journal[len(s.Journal)-1].Number == s.Told {
		return nil
	}
	for _, e := range s.Journal {
		if e.Number <= s.Told {
			continue
		}
		if err := r.c.Record(ctx, e); err != nil {
			return fmt.Errorf("record what became of %s: %w", r.name, err)
		}
		s.Told = e.Number
	}
	return r.save(ctx, s)
}
