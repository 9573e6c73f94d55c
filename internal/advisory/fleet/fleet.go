// Package fleet keeps the answers about everything that was admitted up to
// date as advisories change, without looking at an image again.
//
// Start with [New], [Fleet.Add] for each workload and what is in it, and
// [Fleet.Apply] when there is a new snapshot: it looks only at the packages
// that changed, and returns what became different as [Event]s. Following the
// events gives exactly what [Fleet.All], which looks at everything, says.
//
// An event is about a workload and a vulnerability, never about an id: a
// database that gives an old CVE a new number changes the list of ids of a
// verdict, and alerts nobody.
package fleet

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/fact"
)

// The limits of a fleet, each far above what one process can hold.
const (
	maxEntries = 1 << 31 // versions, inventories, workloads, each
	maxArena   = 1 << 32 // bytes of version texts
)

// ErrFull is returned when the fleet holds as much as it can number.
var ErrFull = errors.New("the fleet is full")

// Fleet is all inventories, by what is in them. It is safe for concurrent use;
// readers wait while it changes.
type Fleet struct {
	mu    sync.RWMutex
	index *advisory.Index

	names     []name
	nameByKey map[nameKey]uint32

	// Each distinct version of a name is an entry, numbered, however many
	// inventories have it. Its text is in the arena.
	entries     []entry
	freeEntries []uint32
	arena       []byte
	garbage     int // bytes of the arena that no entry uses

	// Each inventory that has an entry is a link of the entry's chain.
	links     []link
	freeLinks []uint32

	texts    []string // ecosystems and owners
	textByID map[string]uint16

	inventories     []inventory
	inventoryByID   map[string]uint32
	freeInventories []uint32
	workloads       map[string][]uint32 // the inventories of each
}

// nameKey is a package in all releases of its ecosystem.
type nameKey struct{ ecosystem, name string }

type name struct {
	nameKey
	entries []uint32 // sorted by text, ecosystem and owner
}

// entry is one target, in 20 bytes: a fleet has a million of them.
type entry struct {
	name             uint32
	at               uint32 // of the version's text in the arena
	head             uint32 // of the chain of links, counted from 1; 0: none
	length           uint16
	ecosystem, owner uint16 // indices into texts
}

type link struct {
	inventory uint32
	next      uint32 // counted from 1; 0: the last
}

type inventory struct {
	id        string
	entries   []uint32 // sorted by name, then number
	workloads []string // sorted
}

// New returns an empty fleet that is judged by the index.
func New(x *advisory.Index) *Fleet {
	return &Fleet{
		index: x, nameByKey: map[nameKey]uint32{}, textByID: map[string]uint16{},
		inventoryByID: map[string]uint32{}, workloads: map[string][]uint32{},
	}
}

// Index is what the fleet is judged by.
func (f *Fleet) Index() *advisory.Index {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.index
}

// Stats are how much a fleet holds.
type Stats struct {
	Workloads, Inventories, Names, Versions, Packages int
}

// Stats returns how much the fleet holds. Packages counts each version once for
// each inventory that has it.
func (f *Fleet) Stats() Stats {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return Stats{
		Workloads: len(f.workloads), Inventories: len(f.inventoryByID), Names: len(f.nameByKey),
		Versions: len(f.entries) - len(f.freeEntries), Packages: len(f.links) - len(f.freeLinks),
	}
}

// Add says that the workload runs the inventory that id names (a digest). The
// packages of an id that is known already are not looked at: an id names
// something that does not change. Several workloads may run one inventory, and
// a workload several.
func (f *Fleet) Add(workload, id string, packages []fact.Package) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, known := f.inventoryByID[id]
	if !known {
		var err error
		if at, err = f.take(id, packages); err != nil {
			return err
		}
	}
	inv := &f.inventories[at]
	if i, found := slices.BinarySearch(inv.workloads, workload); !found {
		inv.workloads = slices.Insert(inv.workloads, i, workload)
		f.workloads[workload] = append(f.workloads[workload], at)
	}
	return nil
}

// Remove says that the workload no longer runs the inventory. An inventory that
// no workload runs is forgotten.
func (f *Fleet) Remove(workload, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, known := f.inventoryByID[id]
	if !known {
		return
	}
	inv := &f.inventories[at]
	i, found := slices.BinarySearch(inv.workloads, workload)
	if !found {
		return
	}
	inv.workloads = slices.Delete(inv.workloads, i, i+1)
	left := slices.DeleteFunc(f.workloads[workload], func(n uint32) bool { return n == at })
	if f.workloads[workload] = left; len(left) == 0 {
		delete(f.workloads, workload)
	}
	if len(inv.workloads) == 0 {
		f.drop(at)
	}
}

// take numbers an inventory and links its entries to it.
func (f *Fleet) take(id string, packages []fact.Package) (uint32, error) {
	if len(f.inventories) >= maxEntries || len(f.entries)+len(packages) >= maxEntries || len(f.links)+len(packages) >= maxEntries {
		return 0, ErrFull
	}
	var at uint32
	if n := len(f.freeInventories); n > 0 {
		at, f.freeInventories = f.freeInventories[n-1], f.freeInventories[:n-1]
	} else {
		at = uint32(len(f.inventories))
		f.inventories = append(f.inventories, inventory{})
	}
	inv := inventory{id: id}
	var err error
	for _, targets := range advisory.Targets(packages) {
		for _, t := range targets {
			var e uint32
			if e, err = f.intern(t); err != nil {
				break
			}
			inv.entries = append(inv.entries, e)
		}
	}
	slices.SortFunc(inv.entries, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(f.entries[a].name, f.entries[b].name), cmp.Compare(a, b))
	})
	inv.entries = slices.Clip(slices.Compact(inv.entries))
	for _, e := range inv.entries {
		f.link(e, at)
	}
	f.inventories[at] = inv
	f.inventoryByID[id] = at
	if err != nil {
		f.drop(at)
		return 0, err
	}
	return at, nil
}

// drop forgets an inventory, and the entries that nobody else has.
func (f *Fleet) drop(at uint32) {
	inv := &f.inventories[at]
	for _, e := range inv.entries {
		if f.unlink(e, at); f.entries[e].head == 0 {
			f.release(e)
		}
	}
	delete(f.inventoryByID, inv.id)
	*inv = inventory{}
	f.freeInventories = append(f.freeInventories, at)
	f.compact()
}

func (f *Fleet) link(e, inventory uint32) {
	l := link{inventory, f.entries[e].head}
	if n := len(f.freeLinks); n > 0 {
		at := f.freeLinks[n-1]
		f.freeLinks = f.freeLinks[:n-1]
		f.links[at] = l
		f.entries[e].head = at + 1
		return
	}
	f.links = append(f.links, l)
	f.entries[e].head = uint32(len(f.links))
}

func (f *Fleet) unlink(e, inventory uint32) {
	for p := &f.entries[e].head; *p != 0; p = &f.links[*p-1].next {
		if at := *p - 1; f.links[at].inventory == inventory {
			*p = f.links[at].next
			f.freeLinks = append(f.freeLinks, at)
			return
		}
	}
}

// intern returns the number of the target's entry.
func (f *Fleet) intern(t advisory.Target) (uint32, error) {
	key := nameKey{base(t.Ecosystem), t.Name}
	n, ok := f.nameByKey[key]
	if !ok {
		n = uint32(len(f.names))
		key.name = strings.Clone(key.name) // it may be a part of a document
		f.names = append(f.names, name{nameKey: key})
		f.nameByKey[key] = n
	}
	eco, err := f.text(t.Ecosystem)
	if err != nil {
		return 0, err
	}
	owner, err := f.text(t.OwnedBy)
	if err != nil {
		return 0, err
	}
	i, found := slices.BinarySearchFunc(f.names[n].entries, t.Version, func(e uint32, version string) int {
		x := &f.entries[e]
		return cmp.Or(strings.Compare(f.version(e), version), cmp.Compare(x.ecosystem, eco), cmp.Compare(x.owner, owner))
	})
	if found {
		return f.names[n].entries[i], nil
	}
	if len(t.Version) > 1<<16-1 || len(f.arena)+len(t.Version) >= maxArena {
		return 0, ErrFull
	}
	x := entry{name: n, at: uint32(len(f.arena)), length: uint16(len(t.Version)), ecosystem: eco, owner: owner}
	f.arena = append(f.arena, t.Version...)
	var e uint32
	if k := len(f.freeEntries); k > 0 {
		e, f.freeEntries = f.freeEntries[k-1], f.freeEntries[:k-1]
		f.entries[e] = x
	} else {
		e = uint32(len(f.entries))
		f.entries = append(f.entries, x)
	}
	f.names[n].entries = slices.Insert(f.names[n].entries, i, e)
	return e, nil
}

// release forgets an entry that no inventory has.
func (f *Fleet) release(e uint32) {
	n := &f.names[f.entries[e].name]
	if i := slices.Index(n.entries, e); i >= 0 {
		n.entries = slices.Delete(n.entries, i, i+1)
	}
	f.garbage += int(f.entries[e].length)
	f.entries[e] = entry{}
	f.freeEntries = append(f.freeEntries, e)
}

// compact copies the arena when most of it is garbage.
func (f *Fleet) compact() {
	const worthwhile = 1 << 20
	if f.garbage < worthwhile || f.garbage < len(f.arena)/2 {
		return
	}
	fresh := make([]byte, 0, len(f.arena)-f.garbage)
	for i := range f.entries {
		if x := &f.entries[i]; x.head != 0 {
			text := f.arena[x.at : int(x.at)+int(x.length)]
			x.at = uint32(len(fresh))
			fresh = append(fresh, text...)
		}
	}
	f.arena, f.garbage = fresh, 0
}

func (f *Fleet) text(s string) (uint16, error) {
	if i, ok := f.textByID[s]; ok {
		return i, nil
	}
	if len(f.texts) == 1<<16 {
		return 0, ErrFull
	}
	s = strings.Clone(s)
	i := uint16(len(f.texts))
	f.texts = append(f.texts, s)
	f.textByID[s] = i
	return i, nil
}

// version returns the text of an entry's version.
func (f *Fleet) version(e uint32) string {
	x := &f.entries[e]
	return string(f.arena[x.at : int(x.at)+int(x.length)])
}

func (f *Fleet) target(e uint32) advisory.Target {
	x := &f.entries[e]
	return advisory.Target{
		Ecosystem: f.texts[x.ecosystem], Name: f.names[x.name].name,
		Version: f.version(e), OwnedBy: f.texts[x.owner],
	}
}

// base is an ecosystem without its release.
func base(ecosystem string) string {
	b, _, _ := strings.Cut(ecosystem, ":")
	return b
}
