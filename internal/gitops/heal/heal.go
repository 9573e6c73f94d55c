// Package heal undoes what changed behind Git's back, as it happens.
//
// Start with [New] and [Healer.Run]. Tell the healer what is desired with
// [Healer.Desire], each time before it is applied, hand it the target's answer with
// [Healer.Applied], and take what is deleted out with [Healer.Forget] before it
// is deleted. What it finds and does comes back as [Report]s.
//
// One watch per kind reports resource versions, no bodies. A version that we
// wrote ourselves is ours; every other one is a suspect, whoever the field
// manager says it was: anybody can write under any name. A suspect costs one
// request and a local comparison, in two parts. A field that Git sets and that
// differs is put back by a forced apply. A field that Git does not set is
// removed by a patch that holds for the looked-at version only. What the server
// itself adds is learned from its own answers alone: to a dry run of the same body
// under another name, and to a removal that it undoes. Nothing is learned from
// what others wrote, nor from who is said to own a field: that record can be
// wiped. What a controller writes by right (an autoscaler the replicas,
// cert-manager a CA bundle) is listed, one line each, in writers.go.
//
// What Apex itself has stopped, because it no longer complies, is kept stopped on
// the word of a [Holder]. What happens to drift is said per source, path and object
// ([Modes]); admission asks the same modes what others may not write.
//
// Healing never slows down because it is needed often: who changes an object
// again and again gets one [verdict.DriftFight] report and is healed each time.
//
// Sources: KEP-555 (server-side apply), RFC 6901, RFC 6902, Kubernetes API
// Concepts ("Field management", "Resource versions").
package heal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
)

// Defaults of [Config].
const (
	// DefaultWorkers look at suspects at once. Of a server that is busy with
	// whoever tampers, the healer gets the share that its requests have: with few,
	// what waits here grows while the tampering goes on at full speed. An API server
	// takes 100 requests at once on a connection, and the watches need some.
	DefaultWorkers = 64
	DefaultSweep   = 10 * time.Minute
	// DefaultFightHeals of one object within DefaultFightWindow are a fight.
	DefaultFightHeals  = 5
	DefaultFightWindow = time.Minute
	// requestTimeout bounds one look at one object with all that follows from it.
	requestTimeout = 30 * time.Second
)

// Config is what a healer needs. Target, Source and Report have to be given.
type Config struct {
	Target gitops.Target
	// Source whose label the objects carry ([gitops.LabelSource]).
	Source string
	// Heal holds the modes and the length of a sweep, as the GitSource says.
	Heal v1alpha1.GitHeal
	// Writers are allowed beside the built-in ones.
	Writers []Writer
	// Holder says what Apex itself has stopped; nil: nothing.
	Holder Holder
	// Report gets what was found. It is called by several goroutines at once,
	// and holds one worker up while it runs.
	Report func(Report)

	Workers     int           // default DefaultWorkers
	FightHeals  int           // default DefaultFightHeals
	FightWindow time.Duration // default DefaultFightWindow
	Clock       clock.Clock   // default the machine's
	Log         *slog.Logger  // default: discards
}

// Healer keeps the objects of one source as they are desired. All methods are
// safe for concurrent use.
type Healer struct {
	target gitops.Target
	source string
	modes  *Modes
	writer []Writer
	holder Holder
	report func(Report)
	clock  clock.Clock
	log    *slog.Logger
	hash   hasher
	workN  int
	period time.Duration
	fightK int
	fightW time.Duration

	mu       sync.Mutex
	wake     sync.Cond // of the workers, with mu
	written  sync.Cond // of who waits for a write of ours, with mu
	entries  map[gitops.ID]*entry
	kinds    map[groupKind]*kindState
	scalers  map[scaledBy]scaler // by what they scale
	urgent   queue
	lazy     queue
	retries  map[*entry]time.Time
	failed   chan struct{}
	fights   map[gitops.ID]*fight
	inflight int
	turn     uint
	round    uint32 // of the sweeps by listing
	closed   bool
	start    func(*kindState) // begins a watch; nil until Run
	stats    Stats
}

// Stats count since the healer was made.
type Stats struct {
	Objects    int // desired now
	Looks      int // objects that were asked for and compared
	Heals      int
	Learned    int // server defaults that were found by removing them
	Errors     int
	HeapBodies int // bytes of the desired bodies as they are kept
}

// New returns a healer that does nothing until [Healer.Run].
func New(c Config) (*Healer, error) {
	if c.Target == nil || c.Source == "" || c.Report == nil {
		return nil, errors.New("heal: a target, a source and a report function are needed")
	}
	modes, err := ReadModes(c.Heal)
	if err != nil {
		return nil, err
	}
	h := &Healer{
		target: c.Target, source: c.Source, modes: modes, holder: c.Holder, report: c.Report, clock: c.Clock, log: c.Log,
		hash: newHasher(), workN: c.Workers, fightK: c.FightHeals, fightW: c.FightWindow, period: DefaultSweep,
		entries: map[gitops.ID]*entry{}, kinds: map[groupKind]*kindState{}, scalers: map[scaledBy]scaler{},
		retries: map[*entry]time.Time{}, failed: make(chan struct{}, 1), fights: map[gitops.ID]*fight{},
	}
	h.wake.L, h.written.L = &h.mu, &h.mu
	h.writer = append(builtinWriters(), c.Writers...)
	for i := range h.writer {
		if err := h.writer[i].prepare(); err != nil {
			return nil, err
		}
	}
	if c.Heal.Sweep != nil {
		if h.period = c.Heal.Sweep.Duration; h.period < time.Second {
			return nil, fmt.Errorf("heal.sweep is %s: the shortest is 1s", h.period)
		}
	}
	if h.clock == nil {
		h.clock = clock.System{}
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.workN <= 0 {
		h.workN = DefaultWorkers
	}
	if h.fightK <= 0 {
		h.fightK = DefaultFightHeals
	}
	if h.fightW <= 0 {
		h.fightW = DefaultFightWindow
	}
	return h, nil
}

// Run watches and heals until the context ends, whose error it returns. It is
// called once. Objects may be desired before and while it runs.
func (h *Healer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	h.mu.Lock()
	if h.start != nil || h.closed {
		h.mu.Unlock()
		return errors.New("heal: the healer runs already, or has ended")
	}
	h.start = func(state *kindState) {
		watching, stop := context.WithCancel(ctx)
		state.stop = stop
		all.Go(func() {
			h.watch(watching, state, gitops.Kind{Group: state.group, Version: state.version, Kind: state.kind})
		})
	}
	for _, state := range h.kinds {
		h.start(state)
	}
	h.mu.Unlock()

	for range h.workN {
		all.Go(func() { h.work(ctx) })
	}
	all.Go(func() { h.sweep(ctx) })
	<-ctx.Done()
	h.mu.Lock()
	h.closed = true
	h.wake.Broadcast()
	h.mu.Unlock()
	cancel()
	all.Wait()
	return ctx.Err()
}

// Stats returns the counts.
func (h *Healer) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stats
	s.Objects = len(h.entries)
	for _, e := range h.entries {
		s.HeapBodies += len(e.body)
	}
	return s
}

// Idle says whether nothing is waiting, being looked at, or to be tried again.
func (h *Healer) Idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.urgent.len() == 0 && h.lazy.len() == 0 && h.inflight == 0 && len(h.retries) == 0
}
