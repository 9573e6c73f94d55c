// Package meter counts units of security work: bytes fetched, signatures
// checked, nanoseconds of CPU. What a unit costs is the cost room's business.
//
// Resolve a [Handle] once per route, workload or policy with [Meter.Handle] and
// call [Handle.Add] on the hot path: it is one atomic addition, without a lock,
// a look-up or an allocation. [Meter.Run] hands totals to a [Sink] (the ledger's
// usage records) at an interval.
//
// Counts are conserved. A cell lives in a memory-mapped file ([Open]), so a
// unit that was counted survives the death of the process; the next opener
// hands the dead process's last totals to the sink. Usage records carry totals
// per (epoch, key), not differences: writing one twice changes nothing, and
// the units of a key are the sum over epochs of its highest total.
//
// A machine that dies may lose the units of the last flush interval; whoever
// needs more flushes more often.
package meter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/apexlogic/apex/internal/clock"
)

// Key says what was counted and whom it is charged to. Empty owner fields mean
// that the units are not attributed.
type Key struct {
	Control  string `json:"control"` // the control that did the work, for example "verify.image"
	Unit     string `json:"unit"`    // what is counted, for example "bytes" or "signatures"
	Tenant   string `json:"tenant,omitempty"`
	Team     string `json:"team,omitempty"`
	Workload string `json:"workload,omitempty"`
	Model    string `json:"model,omitempty"`
	Modality string `json:"modality,omitempty"`
	Decision string `json:"decision,omitempty"`
}

// maxKeyBytes bounds each of a key's fields: they come from workloads' labels.
const maxKeyBytes = 128

func (k Key) clip() Key {
	for _, f := range []*string{&k.Control, &k.Unit, &k.Tenant, &k.Team, &k.Workload, &k.Model, &k.Modality, &k.Decision} {
		if len(*f) > maxKeyBytes {
			*f = (*f)[:maxKeyBytes]
		}
	}
	return k
}

func (k Key) unattributed() Key { return Key{Control: k.Control, Unit: k.Unit} }

// Line is the total of one key within one epoch.
type Line struct {
	Key
	Total uint64 `json:"total"`
}

// UsageSchema is the value of [Usage.Schema].
const UsageSchema = "apex.usage/v1"

// Usage is what a sink is given: the totals that changed since the last flush.
type Usage struct {
	Schema string `json:"schema"`
	// Epoch is the life of one meter; totals only grow within an epoch.
	Epoch string    `json:"epoch"`
	At    time.Time `json:"at"`
	Lines []Line    `json:"lines"`
}

// Sink keeps usage. It returns nil only when the usage is durable. A sink may
// be given the same totals again.
type Sink interface {
	Use(context.Context, Usage) error
}

// Handle counts one key. It is safe for concurrent use; the nil Handle counts nothing.
type Handle struct{ cell *uint64 }

// Add counts n units.
func (h *Handle) Add(n uint64) {
	if h != nil {
		atomic.AddUint64(h.cell, n)
	}
}

// maxKeys bounds the keys of one meter: beyond it, units are counted without an
// owner, so that labels which change per request cannot exhaust memory.
const maxKeys = 16 << 10

// Meter owns the cells of one epoch. It is safe for concurrent use.
type Meter struct {
	clock clock.Clock
	cells cells
	epoch string

	mu      sync.Mutex
	handles map[Key]*Handle
	keys    []Key    // by cell
	flushed []uint64 // totals that the sink has

	flushing sync.Mutex
}

// cells gives out counters. Cell i keeps its address.
type cells interface {
	// add names cell i durably before it is used.
	add(i int, key Key) (*uint64, error)
	// retire drops the cells once the sink has their totals.
	retire() error
}

type memory struct{}

func (memory) add(int, Key) (*uint64, error) { return new(uint64), nil }
func (memory) retire() error                 { return nil }

// New returns a meter whose counts live and die with the process.
func New(c clock.Clock) *Meter { return newMeter(c, memory{}, newEpoch()) }

func newMeter(c clock.Clock, cs cells, epoch string) *Meter {
	return &Meter{clock: c, cells: cs, epoch: epoch, handles: map[Key]*Handle{}}
}

func newEpoch() string { return uuid.Must(uuid.NewV7()).String() }

// Handle returns the key's handle, the same one for the same key. When the
// meter has no room for another key, or its file cannot be written, the units
// are counted for the same control and unit without an owner.
func (m *Meter) Handle(key Key) *Handle {
	key = key.clip()
	m.mu.Lock()
	defer m.mu.Unlock()
	if h, ok := m.handles[key]; ok {
		return h
	}
	if len(m.keys) >= maxKeys && key != key.unattributed() {
		key = key.unattributed()
		if h, ok := m.handles[key]; ok {
			return h
		}
	}
	cell, err := m.cells.add(len(m.keys), key)
	if err != nil {
		// The file is full or its disk is: keep counting in memory, so that
		// the totals are right for as long as the process lives.
		cell = new(uint64)
	}
	h := &Handle{cell}
	m.handles[key] = h
	m.keys = append(m.keys, key)
	m.flushed = append(m.flushed, 0)
	return h
}

// Totals returns the current totals of all keys, ordered by control, unit, team and workload.
func (m *Meter) Totals() []Line {
	m.mu.Lock()
	defer m.mu.Unlock()
	lines := make([]Line, 0, len(m.keys))
	for _, key := range m.keys {
		lines = append(lines, Line{key, atomic.LoadUint64(m.handles[key].cell)})
	}
	slices.SortFunc(lines, func(a, b Line) int {
		return cmp.Or(cmp.Compare(a.Control, b.Control), cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Team, b.Team), cmp.Compare(a.Workload, b.Workload))
	})
	return lines
}

// Flush hands the totals that changed to the sink. When the sink fails, the
// next flush hands over the same or higher totals.
func (m *Meter) Flush(ctx context.Context, sink Sink) error {
	m.flushing.Lock()
	defer m.flushing.Unlock()

	usage := Usage{Schema: UsageSchema, Epoch: m.epoch, At: m.clock.Now()}
	var changed []int
	m.mu.Lock()
	for i, key := range m.keys {
		if total := atomic.LoadUint64(m.handles[key].cell); total > m.flushed[i] {
			changed = append(changed, i)
			usage.Lines = append(usage.Lines, Line{key, total})
		}
	}
	m.mu.Unlock()
	if len(changed) == 0 {
		return nil
	}
	if err := sink.Use(ctx, usage); err != nil {
		return fmt.Errorf("flush usage: %w", err)
	}
	m.mu.Lock()
	for n, i := range changed {
		m.flushed[i] = usage.Lines[n].Total
	}
	m.mu.Unlock()
	return nil
}

// Run flushes at the interval until the context ends, and once more then.
func (m *Meter) Run(ctx context.Context, sink Sink, every time.Duration, log *slog.Logger) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := m.Flush(ctx, sink); err != nil && ctx.Err() == nil {
				log.Warn("usage is not flushed yet", "err", err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), every)
			defer cancel()
			return m.Flush(last, sink)
		}
	}
}

// Close flushes and then forgets the epoch. After an error the epoch is kept
// for the next opener.
func (m *Meter) Close(ctx context.Context, sink Sink) error {
	if err := m.Flush(ctx, sink); err != nil {
		return err
	}
	return m.cells.retire()
}

// Sum adds usage records up: for each key the sum over epochs of its highest
// total. It is how a reader gets from records to units.
func Sum(records []Usage) map[Key]uint64 {
	type epochKey struct {
		epoch string
		key   Key
	}
	highest := map[epochKey]uint64{}
	for _, u := range records {
		for _, l := range u.Lines {
			k := epochKey{u.Epoch, l.Key}
			highest[k] = max(highest[k], l.Total)
		}
	}
	sum := map[Key]uint64{}
	for k, total := range highest {
		sum[k.key] += total
	}
	return sum
}

var errFull = errors.New("no room for another cell")
