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
		was, is := contents(a), contents(b)
		for id, text := range was {
			if is[id] != text {
				out[id] = true
			}
		}
		for id, text := range is {
			if was[id] != text {
				out[id] = true
			}
		}
	})
	return out
}

// contents returns, by id, what the entries say, in a form that depends on
// nothing else.
func contents(p *Package) map[string]string {
	out := map[string]string{}
	if p == nil {
		return out
	}
	for _, e := range p.Entries {
		alone := Package{Entries: []Entry{e}}
		alone.Entries[0].Listed = nil
		for _, run := range e.Listed {
			alone.Versions = append(alone.Versions, p.Versions[run.From:run.To]...)
		}
		out[e.ID] += string(encodePackage(nil, &alone))
	}
	return out
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
