package fleet

import (
	"cmp"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
	"github.com/apexlogic/apex/internal/fact"
)

// EventKind is how a verdict changed.
type EventKind uint8

// The kinds of event.
const (
	Appeared EventKind = iota // a vulnerability that the workload did not have
	Changed                   // it has another verdict than before
	Cleared                   // it does not have it any more
)

var kindNames = [...]string{"appeared", "changed", "cleared"}

// String returns the name in lower case.
func (k EventKind) String() string { return kindNames[min(k, Cleared)] }

// MarshalText writes the name.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Event is one change of verdict, of all workloads that it is the same for. Who
// keeps a table of verdicts by workload, ecosystem, name and group first takes
// away the Was of all events of an Apply, and then puts in their Verdict: groups
// may swap their names.
type Event struct {
	Kind EventKind `json:"kind"`
	// Alert says that a person should know: a new vulnerability, or a known one
	// that got worse. Another id for a known one is no alert.
	Alert bool `json:"alert,omitempty"`
	// Workloads are those that it is about, sorted. Events share the list.
	Workloads []string `json:"workloads"`
	// Verdict is the one from now on; nil when it is cleared.
	Verdict *Verdict `json:"verdict,omitempty"`
	// Was is the one before; nil when it is new.
	Was *Verdict `json:"was,omitempty"`
	// Reasons say what in the advisories made the difference.
	Reasons []string `json:"reasons"`
}

// Apply judges the fleet by another index from now on. It returns what changed
// in the advisories and in the verdicts: events by ecosystem, name and workloads.
func (f *Fleet) Apply(next *advisory.Index) (*snapshot.Delta, []Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := f.index
	delta := snapshot.Diff(last.Snapshot(), next.Snapshot())
	f.index = next
	why := reasons(delta)
	// Names are judged apart from each other, and nothing is written meanwhile.
	names := f.touched(delta, last, next)
	events := make([][]Event, len(names))
	var taken atomic.Int64
	var busy sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(names)) {
		busy.Go(func() {
			for i := taken.Add(1) - 1; i < int64(len(names)); i = taken.Add(1) - 1 {
				events[i] = f.reapply(names[i], last, next, why)
			}
		})
	}
	busy.Wait()
	return delta, slices.Concat(events...)
}

// touched is a name with the ids of the records about it that changed, sorted;
// all says that anything may have.
type touched struct {
	name uint32
	ids  []string
	all  bool
}

// touched returns what the delta is about, in order of names.
func (f *Fleet) touched(delta *snapshot.Delta, last, next *advisory.Index) []touched {
	var out []touched
	if slices.Equal(last.Ecosystems(), next.Ecosystems()) {
		at := map[uint32]int{}
		for _, p := range delta.Packages {
			n, ok := f.nameByKey[nameKey{base(p.Ecosystem), p.Name.Name}]
			if !ok {
				continue
			}
			i, ok := at[n]
			if !ok {
				i = len(out)
				at[n] = i
				out = append(out, touched{name: n})
			}
			out[i].ids = union(out[i].ids, p.IDs)
		}
	} else {
		// A feed came or went: that decides who answers for packages that a
		// distribution owns, whatever their names.
		for n := range f.names {
			out = append(out, touched{name: uint32(n), all: true})
		}
	}
	slices.SortFunc(out, func(a, b touched) int {
		x, y := f.names[a.name].nameKey, f.names[b.name].nameKey
		return cmp.Or(strings.Compare(x.ecosystem, y.ecosystem), strings.Compare(x.name, y.name))
	})
	return out
}

// change is what an entry's findings were and are.
type change struct{ was, is []advisory.Finding }

// pair is a target as both indices see it.
type pair struct{ was, is advisory.Probe }

// judge evaluates targets by both indices. With seeds, names of vulnerabilities,
// it looks at those only, and at whatever they are folded with on either side of
// any of the targets.
func judge(pairs []pair, seeds map[string]bool) []change {
	out := make([]change, len(pairs))
	for more := true; more; {
		more = false
		see := func(names []string) {
			for _, n := range names {
				if seeds != nil && !seeds[n] {
					if !more {
						seeds, more = maps.Clone(seeds), true
					}
					seeds[n] = true
				}
			}
		}
		for i := range pairs {
			out[i] = change{pairs[i].was.Evaluate(seeds), pairs[i].is.Evaluate(seeds)}
		}
		for i := range out {
			for _, side := range [...][]advisory.Finding{out[i].was, out[i].is} {
				for j := range side {
					see(side[j].IDs)
					see(side[j].Aliases)
				}
			}
		}
	}
	return out
}

// alike are workloads that have the same entries of a name.
type alike struct {
	entries   []uint32
	workloads []string
}

// reapply returns the events about one name.
func (f *Fleet) reapply(what touched, last, next *advisory.Index, why map[string]string) []Event {
	n := what.name
	key := f.names[n].nameKey
	var seeds map[string]bool // nil: everything
	if !what.all {
		seeds = map[string]bool{}
		for _, id := range what.ids {
			for _, name := range slices.Concat(last.Names(id), next.Names(id)) {
				seeds[name] = true
			}
		}
	}
	// What changed, by entry, and who has one of these entries.
	changes := map[uint32]change{}
	workloads := map[string]bool{}
	byEntries := map[string]*alike{}
	var id []byte
	for _, e := range f.names[n].entries {
		t := f.target(e)
		p := pair{last.Probe(t), next.Probe(t)}
		if !what.all && !p.was.Concerns(what.ids) && !p.is.Concerns(what.ids) {
			continue
		}
		c := judge([]pair{p}, seeds)[0]
		version := []string{t.Version}
		before, after := verdicts(key, version, [][]advisory.Finding{c.was}), verdicts(key, version, [][]advisory.Finding{c.is})
		if slices.EqualFunc(before, after, func(a, b Verdict) bool { return a.equal(&b) }) {
			continue
		}
		changes[e] = c
		for l := f.entries[e].head; l != 0; l = f.links[l-1].next {
			for _, w := range f.inventories[f.links[l-1].inventory].workloads {
				workloads[w] = true
			}
		}
	}
	// Most workloads have one version of a name, and share it with others:
	// those with the same entries have the same events.
	for w := range workloads {
		entries := f.entriesIn(w, n)
		id = id[:0]
		for _, e := range entries {
			id = append(id, byte(e), byte(e>>8), byte(e>>16), byte(e>>24))
		}
		a := byEntries[string(id)]
		if a == nil {
			a = &alike{entries: entries}
			byEntries[string(id)] = a
		}
		a.workloads = append(a.workloads, w)
	}
	var out []Event
	for _, a := range byEntries {
		slices.Sort(a.workloads)
		changed := []change{changes[a.entries[0]]}
		if len(a.entries) > 1 {
			// What one version's findings connect may be apart in another's.
			pairs := make([]pair, len(a.entries))
			for i, e := range a.entries {
				t := f.target(e)
				pairs[i] = pair{last.Probe(t), next.Probe(t)}
			}
			changed = judge(pairs, seeds)
		}
		versions := make([]string, len(changed))
		was, is := make([][]advisory.Finding, len(changed)), make([][]advisory.Finding, len(changed))
		for i, c := range changed {
			versions[i], was[i], is[i] = f.version(a.entries[i]), c.was, c.is
		}
		for _, e := range compare(verdicts(key, versions, was), verdicts(key, versions, is), why) {
			e.Workloads = a.workloads
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b Event) int { return slices.Compare(a.Workloads, b.Workloads) })
	return out
}

// entriesIn returns the entries of one name that the workload has, ascending.
func (f *Fleet) entriesIn(workload string, n uint32) []uint32 {
	var out []uint32
	for _, at := range f.workloads[workload] {
		entries := f.inventories[at].entries
		i, _ := slices.BinarySearchFunc(entries, n, func(e, n uint32) int {
			if f.entries[e].name < n {
				return -1
			}
			return 1 // also for an equal one: the first is looked for
		})
		for ; i < len(entries) && f.entries[entries[i]].name == n; i++ {
			out = append(out, entries[i])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// compare returns the events that lead from one list of verdicts to the other.
func compare(was, is []Verdict, why map[string]string) []Event {
	var out []Event
	gone := make([]bool, len(was))
	for i := range is {
		now := &is[i]
		e := Event{Kind: Appeared, Alert: true, Verdict: now}
		for j := range was {
			if gone[j] || !was[j].about(now) {
				continue
			}
			gone[j] = true
			if e.Was == nil {
				e.Kind, e.Was = Changed, &was[j]
				continue
			}
			// Two that were apart are one now: the first goes on, the other ends.
			out = append(out, Event{Kind: Cleared, Was: &was[j], Reasons: []string{"it is the same as " + now.Group}})
		}
		switch {
		case e.Was == nil:
			// A part of what was one before is not new.
			for j := range was {
				e.Alert = e.Alert && !was[j].about(now)
			}
			e.Reasons = because(now.IDs, nil, why)
		case e.Was.equal(now):
			continue
		default:
			e.Alert = worse(e.Was, now)
			e.Reasons = differences(e.Was, now, why)
		}
		out = append(out, e)
	}
	for j := range was {
		if !gone[j] {
			out = append(out, Event{Kind: Cleared, Was: &was[j], Reasons: because(was[j].IDs, nil, why)})
		}
	}
	return out
}

// worse reports whether a person should hear of the change.
func worse(was, is *Verdict) bool {
	return is.Status > was.Status || is.Exploited && !was.Exploited || is.Malicious && !was.Malicious ||
		was.Severity != fact.SeverityUnknown && is.Severity > was.Severity ||
		was.Severity == fact.SeverityUnknown && is.Severity >= fact.SeverityHigh
}

// differences says in what two verdicts about one vulnerability differ.
func differences(was, is *Verdict, why map[string]string) []string {
	var out []string
	if was.Status != is.Status {
		out = append(out, "it is "+is.Status.String()+", it was "+was.Status.String())
	}
	if was.Severity != is.Severity {
		out = append(out, "its severity is "+is.Severity.String()+", it was "+was.Severity.String())
	}
	if was.Exploited != is.Exploited {
		out = append(out, map[bool]string{true: "it is known to be exploited", false: "it is no longer in KEV"}[is.Exploited])
	}
	if is.Malicious && !was.Malicious {
		out = append(out, "the package is malicious")
	}
	if !slices.Equal(was.Fixed, is.Fixed) {
		out = append(out, "its fixed versions are others")
	}
	if !slices.Equal(was.Versions, is.Versions) {
		out = append(out, "it affects other versions")
	}
	return because(union(was.IDs, is.IDs), out, why)
}

// because appends what happened to the records.
func because(ids, to []string, why map[string]string) []string {
	for _, id := range ids {
		if w, ok := why[id]; ok {
			to = append(to, id+" "+w)
		}
	}
	if len(to) == 0 {
		to = []string{"another record changed what counts for it"}
	}
	return to
}

// reasons say, by id, what happened to a record.
func reasons(d *snapshot.Delta) map[string]string {
	out := map[string]string{}
	for _, l := range []struct {
		ids  []string
		what string
	}{
		{d.Added, "is new"}, {d.Reissued, "is a new id of a known vulnerability"}, {d.Withdrawn, "was withdrawn"}, {d.Restored, "is no longer withdrawn"},
		{d.Realiased, "has other aliases"}, {d.Changed, "was changed"}, {d.Vanished, "vanished from its feed"},
	} {
		for _, id := range l.ids {
			out[id] = l.what
		}
	}
	return out
}
