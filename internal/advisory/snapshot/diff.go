package snapshot

import (
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/verdict"
)

// Delta is what changed from one snapshot to another. Lists are sorted; each
// record is in one of the first six only, the first that fits.
type Delta struct {
	From verdict.Digest `json:"from"`
	To   verdict.Digest `json:"to"`
	// Added are new records of vulnerabilities that were not known.
	Added []string `json:"added,omitempty"`
	// Reissued are new records of which a name was known already: nothing
	// new happened, somebody gave it another number.
	Reissued []string `json:"reissued,omitempty"`
	// Withdrawn and Restored say since now, or no longer, that they are withdrawn.
	Withdrawn []string `json:"withdrawn,omitempty"`
	Restored  []string `json:"restored,omitempty"`
	// Realiased name other aliases than before.
	Realiased []string `json:"realiased,omitempty"`
	// Changed are different in anything but the time of modification.
	Changed []string `json:"changed,omitempty"`
	// Vanished are gone from their feed, which is not the same as withdrawn: a
	// feed that was cut short makes records vanish.
	Vanished []string `json:"vanished,omitempty"`
	// Exploited and Unexploited are CVEs that came into KEV or left it.
	Exploited   []string `json:"exploited,omitempty"`
	Unexploited []string `json:"unexploited,omitempty"`
	// Packages are those about which anything changed that a match depends on, by name.
	Packages []Touched `json:"packages,omitempty"`
}

// Touched is a package with the records about it that changed. What no such
// record affects, before or after, has the same matches as before.
type Touched struct {
	Name
	IDs []string `json:"ids"`
}

// Empty reports whether nothing changed that a match depends on.
func (d *Delta) Empty() bool { return len(d.Packages) == 0 }

// Diff compares two snapshots. It decodes only what differs.
func Diff(from, to *Snapshot) *Delta {
	d := &Delta{From: from.digest, To: to.digest}
	if from.digest == to.digest {
		return d
	}
	touched := map[Name][]string{}
	touch := func(s *Snapshot, b *block) {
		for _, a := range decoded(s, b).Affected {
			name := Name{a.Ecosystem, a.Name}
			touched[name] = append(touched[name], b.a)
		}
	}
	d.records(from, to, touch)
	d.catalogue(from, to, touch)
	for name, ids := range touched {
		slices.Sort(ids)
		d.Packages = append(d.Packages, Touched{name, slices.Compact(ids)})
	}
	slices.SortFunc(d.Packages, func(a, b Touched) int { return compareNames(a.Name, b.Name) })
	return d
}

// records sorts the records into the lists, and touches what those are about
// that a match depends on.
func (d *Delta) records(from, to *Snapshot, touch func(*Snapshot, *block)) {
	var fresh []*block
	affects := affectsDiffer(from, to)
	merge(from.records, to.records, func(old, now *block) {
		switch {
		case now == nil:
			d.Vanished = append(d.Vanished, old.a)
			touch(from, old)
			return
		case old == nil:
			fresh = append(fresh, now)
			touch(to, now)
			return
		case from.block(*old) == to.block(*now) && !affects[now.a]:
			return
		}
		a, b := decoded(from, old), decoded(to, now)
		switch {
		case a.Withdrawn.IsZero() && !b.Withdrawn.IsZero():
			d.Withdrawn = append(d.Withdrawn, b.ID)
		case !a.Withdrawn.IsZero() && b.Withdrawn.IsZero():
			d.Restored = append(d.Restored, b.ID)
		case !slices.Equal(a.Aliases, b.Aliases) || !slices.Equal(a.Upstream, b.Upstream):
			d.Realiased = append(d.Realiased, b.ID)
		case affects[b.ID] || a.Severity != b.Severity || a.Summary != b.Summary || !a.Withdrawn.Equal(b.Withdrawn):
			d.Changed = append(d.Changed, b.ID)
		default:
			return // only the time of modification, or of publication
		}
		touch(from, old)
		touch(to, now)
	})
	if len(fresh) == 0 {
		return
	}
	known := map[string]bool{} // the names of fresh records: whether they were known
	for _, b := range fresh {
		eachName(to.block(*b), func(name string) { known[name] = false })
	}
	for _, b := range from.records {
		eachName(from.block(b), func(name string) {
			if _, ok := known[name]; ok {
				known[name] = true
			}
		})
	}
	for _, b := range fresh {
		old := false
		eachName(to.block(*b), func(name string) { old = old || known[name] })
		if old {
			d.Reissued = append(d.Reissued, b.a)
		} else {
			d.Added = append(d.Added, b.a)
		}
	}
}

// affectsDiffer returns the ids of records of which what they say about any
// package differs. Where a package's table of versions differs, all of its
// entries are compared by content, because their runs count from another start.
func affectsDiffer(from, to *Snapshot) map[string]bool {
	out := map[string]bool{}
	merge(from.packages, to.packages, func(old, now *block) {
		if old != nil && now != nil && from.block(*old) == to.block(*now) {
			return
		}
		var a, b *Package
		if old != nil {
			a = unpack(from, old)
		}
		if now != nil {
			b = unpack(to, now)
		}
		was, is := byID(a), byID(b)
		for id, entries := range was {
			if !slices.EqualFunc(entries, is[id], func(x, y *Entry) bool { return sameEntry(a, x, b, y) }) {
				out[id] = true
			}
		}
		for id := range is {
			if was[id] == nil {
				out[id] = true
			}
		}
	})
	return out
}

// byID returns the entries of each record.
func byID(p *Package) map[string][]*Entry {
	out := map[string][]*Entry{}
	if p == nil {
		return out
	}
	for i := range p.Entries {
		e := &p.Entries[i]
		out[e.ID] = append(out[e.ID], e)
	}
	return out
}

// sameEntry reports whether two entries say the same.
func sameEntry(p *Package, a *Entry, q *Package, b *Entry) bool {
	sameRange := func(x, y osv.Range) bool { return x.Type == y.Type && slices.Equal(x.Events, y.Events) }
	sameImport := func(x, y osv.Import) bool { return x.Path == y.Path && slices.Equal(x.Symbols, y.Symbols) }
	return a.Severity == b.Severity && slices.EqualFunc(a.Ranges, b.Ranges, sameRange) && slices.EqualFunc(a.Imports, b.Imports, sameImport) &&
		sameVersions(p.Versions, a.Listed, q.Versions, b.Listed)
}

// sameVersions reports whether two lists of runs name the same versions. Both
// are in the same order.
func sameVersions(p []string, a []Run, q []string, b []Run) bool {
	for len(a) > 0 && len(b) > 0 {
		n := min(a[0].To-a[0].From, b[0].To-b[0].From)
		if !slices.Equal(p[a[0].From:a[0].From+n], q[b[0].From:b[0].From+n]) {
			return false
		}
		a, b = advance(a, n), advance(b, n)
	}
	return len(a) == len(b)
}

// advance leaves out the first n versions, which are of the first run.
func advance(runs []Run, n int) []Run {
	first := Run{runs[0].From + n, runs[0].To}
	if first.From == first.To {
		return runs[1:]
	}
	return append([]Run{first}, runs[1:]...)
}

// catalogue compares KEV, and touches what the CVEs are about that are in one only.
func (d *Delta) catalogue(from, to *Snapshot, touch func(*Snapshot, *block)) {
	changed := map[string]bool{}
	for _, e := range to.kev {
		if _, ok := from.Exploited(e.CVE); !ok {
			d.Exploited = append(d.Exploited, e.CVE)
			changed[e.CVE] = true
		}
	}
	for _, e := range from.kev {
		if _, ok := to.Exploited(e.CVE); !ok {
			d.Unexploited = append(d.Unexploited, e.CVE)
			changed[e.CVE] = true
		}
	}
	if len(changed) == 0 {
		return
	}
	for _, s := range []*Snapshot{from, to} {
		for i := range s.records {
			hit := false
			eachName(s.block(s.records[i]), func(name string) { hit = hit || changed[name] })
			if hit {
				touch(s, &s.records[i])
			}
		}
	}
}

func decoded(s *Snapshot, b *block) *osv.Record {
	r, _, err := decodeRecord(&reader{s: s.block(*b)})
	if err != nil {
		panic(err) // Load has decoded it already
	}
	return r
}

func unpack(s *Snapshot, b *block) *Package {
	p, err := decodePackage(&reader{s: s.block(*b)})
	if err != nil {
		panic(err) // Load has decoded it already
	}
	return p
}

// merge steps through two sorted lists of blocks; old or now is nil where only
// the other list has the block.
func merge(from, to []block, each func(old, now *block)) {
	for len(from) > 0 || len(to) > 0 {
		c := 0
		switch {
		case len(from) == 0:
			c = 1
		case len(to) == 0:
			c = -1
		default:
			if c = strings.Compare(from[0].a, to[0].a); c == 0 {
				c = strings.Compare(from[0].b, to[0].b)
			}
		}
		var old, now *block
		if c <= 0 {
			old, from = &from[0], from[1:]
		}
		if c >= 0 {
			now, to = &to[0], to[1:]
		}
		each(old, now)
	}
}
