package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/advisory/order"
	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/verdict"
)

// Input is what a snapshot is made of.
type Input struct {
	// Taken is the moment that the feeds were fetched; it must be given, and
	// only its seconds count.
	Taken time.Time
	// Base, when there is one, gives what the other fields leave out: the
	// records of feeds that are not among Feeds or that are Partial, and KEV and
	// EPSS where they are nil.
	Base  *Snapshot
	Feeds []Feed
	KEV   *osv.Catalogue
	EPSS  []osv.Prediction
}

// Feed is one source of records.
type Feed struct {
	Name    string // as people know it: "PyPI", "Debian"
	Digest  verdict.Digest
	Records []*osv.Record
	// Partial says that Records are only those that were added or changed since
	// Base. Otherwise a record of Base that is not among them has vanished.
	Partial bool
}

// sourced is a record with the index of its source.
type sourced struct {
	*osv.Record
	source int
}

// Build makes a snapshot. Of records with the same id the one that was modified
// last counts, and of those the one of the feed that is named first. Records
// are not changed, and may be shared with what is returned.
func Build(in Input) (*Snapshot, error) {
	if in.Taken.IsZero() || in.Taken.Unix() <= 0 {
		return nil, errors.New("build a snapshot: it must be known when the feeds were taken")
	}
	sources, records, err := gather(in)
	if err != nil {
		return nil, fmt.Errorf("build a snapshot: %w", err)
	}
	severities := borrowed(records, in)

	out := putTime([]byte(magic), in.Taken.UTC())
	for i := range sources {
		sources[i].Records, sources[i].Newest = 0, time.Time{}
	}
	for _, r := range records {
		s := &sources[r.source]
		s.Records++
		// A date in the future is a mistake of the feed and would look like a
		// step back once it is mended.
		if r.Modified.After(s.Newest) && r.Modified.Before(in.Taken.Add(24*time.Hour)) {
			s.Newest = r.Modified
		}
	}
	out = putInt(out, len(sources))
	for _, s := range sources {
		out = putTime(putInt(putText(putText(out, s.Name), string(s.Digest)), s.Records), s.Newest)
	}

	out = putInt(out, len(records))
	var b []byte
	for i, r := range records {
		rec := *r.Record
		if from := severities[i]; from.Known() {
			rec.Severity = from
		}
		b = encodeRecord(b[:0], &rec, r.source)
		out = append(putInt(out, len(b)), b...)
	}
	packages := regroup(records)
	out = putInt(out, len(packages))
	for _, p := range packages {
		b = encodePackage(b[:0], p)
		out = append(putInt(out, len(b)), b...)
	}
	if out, err = putLists(out, in); err != nil {
		return nil, fmt.Errorf("build a snapshot: %w", err)
	}
	return Load(out)
}

// gather returns the sources by name and the records by id.
func gather(in Input) ([]Source, []sourced, error) {
	var sources []Source
	for _, f := range in.Feeds {
		if f.Name == "" || len(f.Name) > osv.MaxID {
			return nil, nil, errors.New("a feed has no name, or a very long one")
		}
		if slices.ContainsFunc(sources, func(s Source) bool { return s.Name == f.Name }) {
			return nil, nil, fmt.Errorf("two feeds are called %q", f.Name)
		}
		sources = append(sources, Source{Name: f.Name, Digest: f.Digest})
	}
	if in.Base != nil {
		for _, s := range in.Base.sources {
			if !slices.ContainsFunc(sources, func(f Source) bool { return f.Name == s.Name }) {
				sources = append(sources, s)
			}
		}
	}
	slices.SortFunc(sources, func(a, b Source) int { return strings.Compare(a.Name, b.Name) })
	index := func(name string) int {
		return slices.IndexFunc(sources, func(s Source) bool { return s.Name == name })
	}

	byID := map[string]sourced{}
	put := func(r sourced) {
		old, ok := byID[r.ID]
		if !ok || cmp.Or(r.Modified.Compare(old.Modified), old.source-r.source) > 0 {
			byID[r.ID] = r
		}
	}
	if in.Base != nil {
		kept := make([]int, len(in.Base.sources)) // index of the source, or -1
		for i, s := range in.Base.sources {
			kept[i] = index(s.Name)
			for _, f := range in.Feeds {
				if f.Name == s.Name && !f.Partial {
					kept[i] = -1
				}
			}
		}
		for _, r := range in.Base.decodeAll() {
			if to := kept[r.source]; to >= 0 {
				put(sourced{r.Record, to})
			}
		}
	}
	for _, f := range in.Feeds {
		at := index(f.Name)
		// What a feed says now replaces what it said before, even when the time of
		// modification is earlier: real feeds do not always mind it.
		for _, r := range f.Records {
			if old, ok := byID[r.ID]; ok && old.source == at {
				delete(byID, r.ID)
			}
		}
		for _, r := range f.Records {
			put(sourced{r, at})
		}
	}
	if len(byID) > osv.MaxRecords {
		return nil, nil, fmt.Errorf("there are more than %d records", osv.MaxRecords)
	}
	records := make([]sourced, 0, len(byID))
	for _, r := range byID {
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b sourced) int { return strings.Compare(a.ID, b.ID) })
	return sources, records, nil
}

// borrowed returns, for each record without a severity of its own, the
// strongest of the records that are the same vulnerability, else the score
// that came with EPSS. Withdrawn records lend nothing.
func borrowed(records []sourced, in Input) []osv.Severity {
	type lender struct {
		osv.Severity
		id string
	}
	best := map[string]lender{} // by each name of the vulnerability
	for _, r := range records {
		if !r.Severity.Known() || !r.Withdrawn.IsZero() {
			continue
		}
		lend := func(name string) {
			if old, ok := best[name]; !ok || r.Severity.Stronger(old.Severity) {
				best[name] = lender{r.Severity, r.ID}
			}
		}
		lend(r.ID)
		for _, a := range r.Aliases {
			lend(a)
		}
	}
	nvd := map[string]float64{}
	if in.EPSS != nil {
		for _, p := range in.EPSS {
			nvd[p.CVE] = max(nvd[p.CVE], p.CVSS3)
		}
	} else if in.Base != nil {
		for p := range in.Base.predictions() {
			nvd[p.CVE] = p.CVSS3
		}
	}
	out := make([]osv.Severity, len(records))
	for i, r := range records {
		if r.Severity.Known() {
			continue
		}
		names := r.Aliases
		if len(r.Upstream) == 1 {
			names = append(slices.Clip(names), r.Upstream[0])
		}
		for _, a := range append(slices.Clip(names), r.ID) {
			if l, ok := best[a]; ok && l.Stronger(out[i]) {
				out[i], out[i].From = l.Severity, l.id
			}
		}
		if out[i].Known() {
			continue
		}
		for _, a := range append(slices.Clip(names), r.ID) {
			if s := osv.FromScore(nvd[a]); s.Known() && s.Stronger(out[i]) {
				out[i], out[i].From = s, a
			}
		}
	}
	return out
}

// regroup turns records with packages into packages with records.
func regroup(records []sourced) []*Package {
	byName := map[Name]*Package{}
	listed := map[*Package][][]string{} // what each entry lists, as in Entries
	for _, r := range records {
		for i := range r.Affected {
			a := &r.Affected[i]
			name := Name{a.Ecosystem, a.Name}
			p := byName[name]
			if p == nil {
				p = &Package{Name: name}
				byName[name] = p
			}
			p.Entries = append(p.Entries, Entry{ID: r.ID, Ranges: a.Ranges, Imports: a.Imports, Severity: a.Severity})
			listed[p] = append(listed[p], a.Versions)
		}
	}
	packages := make([]*Package, 0, len(byName))
	for _, p := range byName {
		p.list(listed[p])
		packages = append(packages, p)
	}
	slices.SortFunc(packages, func(a, b *Package) int { return compareNames(a.Name, b.Name) })
	return packages
}

// list fills in Versions and the entries' Listed.
func (p *Package) list(lists [][]string) {
	rules, _ := order.For(p.Ecosystem)
	keys := map[string]order.Key{}
	for _, l := range lists {
		for _, v := range l {
			if _, ok := keys[v]; !ok {
				keys[v] = ListedKey(rules, v)
				p.Versions = append(p.Versions, v)
			}
		}
	}
	slices.SortFunc(p.Versions, func(a, b string) int {
		return cmp.Or(strings.Compare(string(keys[a]), string(keys[b])), strings.Compare(a, b))
	})
	at := make(map[string]int, len(p.Versions))
	for i, v := range p.Versions {
		at[v] = i
	}
	var indices []int
	for i, l := range lists {
		indices = indices[:0]
		for _, v := range l {
			indices = append(indices, at[v])
		}
		slices.Sort(indices)
		for _, n := range slices.Compact(indices) {
			runs := p.Entries[i].Listed
			if len(runs) > 0 && runs[len(runs)-1].To == n {
				runs[len(runs)-1].To++
				continue
			}
			p.Entries[i].Listed = append(runs, Run{n, n + 1})
		}
	}
}

// ListedKey orders what Versions lists: by the ecosystem's order, and behind
// all of it by its bytes what is no version there.
func ListedKey(rules order.Order, version string) order.Key {
	if v, err := rules.Parse(version); err == nil {
		return v.Full
	}
	return order.Highest + order.Key(version)
}

// An entry of EPSS: the CVE's year and number, then probability and percentile
// in units of 10^-5, as published, and the base score in tenths.
const epssSize = 2 + 6 + 3 + 3 + 1

func putLists(out []byte, in Input) ([]byte, error) {
	var kev []osv.Exploited
	switch {
	case in.KEV != nil:
		kev = slices.Clone(in.KEV.Entries)
	case in.Base != nil:
		kev = in.Base.kev
	}
	slices.SortStableFunc(kev, func(a, b osv.Exploited) int { return strings.Compare(a.CVE, b.CVE) })
	kev = slices.CompactFunc(kev, func(a, b osv.Exploited) bool { return a.CVE == b.CVE })
	out = putInt(out, len(kev))
	for _, e := range kev {
		ransomware := byte(0)
		if e.Ransomware {
			ransomware = 1
		}
		out = append(putText(out, e.CVE), ransomware)
		out = putText(putTime(putTime(out, e.Added), e.Due), e.Name)
	}

	if in.EPSS == nil && in.Base != nil {
		out = putInt(out, len(in.Base.epss)/epssSize)
		return append(out, in.Base.epss...), nil
	}
	entries := make([]string, 0, len(in.EPSS))
	for _, p := range in.EPSS {
		year, n, ok := osv.ParseCVE(p.CVE)
		if !ok {
			return nil, fmt.Errorf("%q is no CVE id", p.CVE)
		}
		var e [epssSize]byte
		putBig(e[0:2], year)
		putBig(e[2:8], n)
		putBig(e[8:11], int(math.Round(p.Probability*1e5)))
		putBig(e[11:14], int(math.Round(p.Percentile*1e5)))
		e[14] = byte(math.Round(p.CVSS3 * 10))
		entries = append(entries, string(e[:]))
	}
	slices.Sort(entries) // of two for one CVE the higher probability is last
	out = putInt(out, len(slices.CompactFunc(slices.Clone(entries), sameCVE)))
	for i, e := range entries {
		if i+1 < len(entries) && sameCVE(e, entries[i+1]) {
			continue
		}
		out = append(out, e...)
	}
	return out, nil
}

// putBig writes n with its most significant byte first, so that bytes order as numbers.
func putBig(to []byte, n int) {
	for i := len(to) - 1; i >= 0; i-- {
		to[i] = byte(n)
		n >>= 8
	}
}

func sameCVE(a, b string) bool { return a[:8] == b[:8] }
