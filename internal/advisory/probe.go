package advisory

import (
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/advisory/snapshot"
)

// Probe is a target that was looked up in an index, for those who have several
// questions about it. It is not safe for concurrent use.
type Probe struct {
	index  *Index
	target Target
	// places are the packages that the target may be. doubts says why what is
	// found there is not certain; "" when it is.
	places []place
	doubts string
}

// place is a package of the index, asked about a version.
type place struct {
	*compiled
	version asked
}

// hit is an entry that affects a version, or may.
type hit struct {
	*entry
	answer answer
	why    string
}

// Probe looks up a target.
func (x *Index) Probe(t Target) Probe {
	p := Probe{index: x, target: t}
	var ecosystems []string
	ecosystems, p.doubts = x.where(t)
	for _, e := range ecosystems {
		if i, ok := x.snap.Find(snapshot.Name{Ecosystem: e, Name: t.Name}); ok {
			c := x.compile(i)
			p.places = append(p.places, place{compiled: c, version: c.ask(t.Version)})
		}
	}
	return p
}

// where returns the ecosystems in which a target is looked up, and why what is
// found there is not certain; "" when it is.
func (x *Index) where(t Target) (ecosystems []string, doubts string) {
	switch base, _, released := strings.Cut(t.Ecosystem, ":"); {
	case t.OwnedBy != "" && t.OwnedBy != unknownOwner && x.Covers(t.OwnedBy):
		return nil, "" // its owner has the findings
	case t.OwnedBy != "":
		return []string{t.Ecosystem}, "a package of the distribution owns it, and the snapshot has no advisories of that distribution"
	case released:
		return []string{base, t.Ecosystem}, ""
	case slices.Equal(x.releases[base], []string{base}):
		return x.releases[base], ""
	default:
		return x.releases[base], "the inventory does not say of which release the package is"
	}
}

// Names are all names of the vulnerability that the record with the id is about;
// nil when there is no such record.
func (x *Index) Names(id string) []string {
	i, ok := x.snap.FindRecord(id)
	if !ok {
		return nil
	}
	return same(x.snap.Record(i))
}

// Concerns reports whether any of the records, by id, affects the target or may
// affect it. Where none does, neither before a change of these records nor after
// it, the target's findings are the same.
func (p *Probe) Concerns(ids []string) bool {
	for i := range p.places {
		c := &p.places[i]
		for _, id := range ids {
			for _, j := range c.byID[id] {
				if a, _ := c.entries[j].judge(c.version); a != no {
					return true
				}
			}
		}
	}
	return false
}

// Evaluate returns the target's findings, by group. With names it looks only at
// vulnerabilities that have one of these names, and at those that are connected
// with them by names of other records.
func (p *Probe) Evaluate(names map[string]bool) []Finding {
	var out []Finding
	for i := range p.places {
		c := &p.places[i]
		if names == nil {
			for k := range c.clusters {
				out = p.cluster(c, &c.clusters[k], out)
			}
		} else {
			var done []int32
			for name := range names {
				if k, ok := c.inNames[name]; ok && !slices.Contains(done, k) {
					done = append(done, k)
					out = p.cluster(c, &c.clusters[k], out)
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b Finding) int { return strings.Compare(a.Group, b.Group) })
	if len(p.places) > 1 && len(out) > 1 {
		out = foldTwice(out)
	}
	if p.doubts != "" {
		for i := range out {
			out[i].Status = Undecided
			out[i].Notes = append([]string{p.doubts}, out[i].Notes...)
		}
	}
	return out
}

// cluster appends the findings of one cluster.
func (p *Probe) cluster(c *place, cl *cluster, to []Finding) []Finding {
	var one [4]hit // most clusters are small
	hits := one[:0]
	for _, j := range cl.entries {
		if a, why := c.entries[j].judge(c.version); a != no {
			hits = append(hits, hit{&c.entries[j], a, why})
		}
	}
	switch len(hits) {
	case 0:
		return to
	case 1:
		return append(to, p.index.finding(c.compiled, c.version, p.target, hits))
	}
	return p.index.fold(c.compiled, c.version, p.target, hits, cl.names, to)
}
