package capture

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

// RecordSchema is the value of Record.Schema.
const RecordSchema = "apex.request.capture/v1"

// Why a capture was dropped.
const (
	TooLong = "the request is longer than captures may be"
	Busy    = "too much waits to be written"
	Disk    = "it could not be written"
)

// Record is what the ledger says of a capture; ID is that of the decision.
type Record struct {
	Schema string    `json:"schema"`
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Route  string    `json:"route"`
	// Digest of the envelope, its length, when it expires and whose keys open it.
	Digest  string     `json:"digest,omitempty"`
	Bytes   int64      `json:"bytes,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	Keys    []string   `json:"keys,omitempty"`
	// Dropped says why there is no envelope.
	Dropped string `json:"dropped,omitempty"`
	// Lost are captures that were dropped before this one and have no record, of
	// all routes: so many at once were dropped.
	Lost int64 `json:"lost,omitempty"`
}

// Options are what a store needs of its surroundings.
type Options struct {
	// Dir holds a folder for each route.
	Dir   string
	Clock clock.Clock
	// Record keeps what became of a capture.
	Record func(context.Context, *Record) error
	Log    *slog.Logger
}

const (
	// waiting is how many captures wait to be written, and memory how many bytes of
	// content they, and answers that are being copied, have at once.
	waiting = 1024
	memory  = 64 << 20
	// sweepEvery is how late an expired capture may be deleted.
	sweepEvery = time.Minute
)

// Store writes captures into a folder, and deletes them when they expire. What
// hands them in never waits for it.
type Store struct {
	o       Options
	queue   chan job
	held    atomic.Int64 // bytes of content in memory
	lost    atomic.Int64
	shelves map[string]*shelf // by route; Run's alone
	failing bool              // the last one could not be written
}

// job is a capture that waits, or one that was dropped and waits to be recorded.
type job struct {
	rule    *Rule
	id      string
	at      time.Time
	capture *Capture
	held    int64
	dropped string
}

// NewStore returns a store that writes once it runs.
func NewStore(o Options) *Store {
	return &Store{o: o, queue: make(chan job, waiting), shelves: map[string]*shelf{}}
}

// Rule returns a copy of the rule that belongs to the store.
func (s *Store) Rule(r Rule) *Rule {
	r.store = s
	return &r
}

// Run writes what is handed in, and sweeps at once and every minute, until the
// context ends; what was handed in by then is written.
func (s *Store) Run(ctx context.Context) error {
	working := context.WithoutCancel(ctx) // what was taken from the queue is written and recorded
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	s.sweep()
	for {
		select {
		case j := <-s.queue:
			s.do(working, j)
		case <-sweep.C:
			s.sweep()
		case <-ctx.Done():
			s.drain(working)
			return nil
		}
	}
}

// drain writes what waits.
func (s *Store) drain(ctx context.Context) {
	for {
		select {
		case j := <-s.queue:
			s.do(ctx, j)
		default:
			return
		}
	}
}

// reserve takes memory for content; false when there is none left.
func (s *Store) reserve(n int64) bool {
	if s.held.Add(n) > memory {
		s.held.Add(-n)
		return false
	}
	return true
}

func (s *Store) release(n int64) { s.held.Add(-n) }

// put has a job done, or counts it as lost.
func (s *Store) put(j job) {
	select {
	case s.queue <- j:
	default:
		s.release(j.held)
		s.lost.Add(1)
	}
}

// do writes a capture, and records what became of it.
func (s *Store) do(ctx context.Context, j job) {
	r := &Record{Schema: RecordSchema, ID: j.id, At: j.at, Route: j.rule.Route, Dropped: j.dropped}
	if j.capture != nil {
		err := s.write(j, r)
		s.release(j.held)
		if err != nil && !s.failing { // once, not for each of a full disk
			s.o.Log.Error("captures are dropped: they cannot be written", "route", j.rule.Route, "error", err)
		}
		s.failing = err != nil
		if err != nil {
			r.Dropped = Disk
		}
	}
	r.Lost = s.lost.Swap(0)
	if err := s.o.Record(ctx, r); err != nil {
		s.lost.Add(r.Lost)
		s.o.Log.Error("a capture was not recorded", "request", j.id, "error", err)
	}
}
