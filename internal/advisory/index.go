package advisory

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/apexlogic/apex/internal/advisory/order"
	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
)

// Index answers questions about one snapshot. It is safe for concurrent use.
// Packages are made ready when they are first asked for, and kept.
type Index struct {
	snap     *snapshot.Snapshot
	packages []atomic.Pointer[compiled]
	// releases are the ecosystems of the snapshot by the part before the colon.
	releases map[string][]string
}

// New returns the index of a snapshot. It does no work that depends on the
// snapshot's size, beyond a look at each package's name.
func New(s *snapshot.Snapshot) *Index {
	x := &Index{snap: s, packages: make([]atomic.Pointer[compiled], s.Packages()), releases: map[string][]string{}}
	last := ""
	for i := range s.Packages() {
		e := s.PackageName(i).Ecosystem // in order: each ecosystem is met once
		if e != last {
			base, _, _ := strings.Cut(e, ":")
			x.releases[base] = append(x.releases[base], e)
			last = e
		}
	}
	return x
}

// Snapshot is what the index is of.
func (x *Index) Snapshot() *snapshot.Snapshot { return x.snap }

// Covers reports whether the snapshot has advisories of the ecosystem: of its
// release, where it names one, or of all its releases together.
func (x *Index) Covers(ecosystem string) bool {
	ecosystem = order.Ecosystem(ecosystem)
	base, _, _ := strings.Cut(ecosystem, ":")
	for _, e := range x.releases[base] {
		if e == ecosystem || e == base {
			return true
		}
	}
	return false
}

// Ecosystems are those that the snapshot has advisories of, sorted.
func (x *Index) Ecosystems() []string {
	var out []string
	for _, releases := range x.releases {
		out = append(out, releases...)
	}
	slices.Sort(out)
	return out
}

// compiled is a package that is ready to be asked.
type compiled struct {
	rules   order.Order
	keys    []order.Key // of all listed versions, ascending
	entries []entry
	byID    map[string][]int32 // the entries of each record
	// clusters are entries that have names in common, directly or by others.
	// What is folded into one finding is always of one cluster.
	clusters []cluster
	inNames  map[string]int32 // the cluster of each name
}

// cluster is some entries of a package.
type cluster struct {
	entries []int32
	names   int32 // how many different names they have
}

// entry is what one record that stands says about a package.
type entry struct {
	rec      *osv.Record
	ranges   []span
	listed   []snapshot.Run
	imports  []osv.Import
	severity osv.Severity
	cves     []string // of which KEV and EPSS speak
	called   []string // the names of the vulnerability
	names    []int32  // the same, numbered within the cluster
	alone    Finding  // what the entry says when it is the only one of its group
}

// span is one range that can be evaluated, or a reason why it cannot.
type span struct {
	why    string // "" when it can
	events []event
	limits []event
}

type event struct {
	kind osv.EventKind
	order.Bound
	version string
}

// compile makes the i-th package ready.
func (x *Index) compile(i int) *compiled {
	if c := x.packages[i].Load(); c != nil {
		return c
	}
	p := x.snap.Package(i)
	rules, _ := order.For(p.Ecosystem)
	c := &compiled{rules: rules, keys: make([]order.Key, len(p.Versions))}
	for j, v := range p.Versions {
		c.keys[j] = snapshot.ListedKey(rules, v)
	}
	// A snapshot that was not made by Build may list them in any order.
	if !slices.IsSorted(c.keys) {
		c.keys = nil
	}
	c.byID = map[string][]int32{}
	for j := range p.Entries {
		in := &p.Entries[j]
		at, _ := x.snap.FindRecord(in.ID)
		rec := x.snap.Record(at)
		if !rec.Withdrawn.IsZero() {
			continue
		}
		e := entry{rec: rec, listed: in.Listed, imports: in.Imports, severity: rec.Severity}
		if in.Severity.Known() {
			e.severity = in.Severity
		}
		if c.keys == nil && len(in.Listed) > 0 {
			e.listed, e.ranges = nil, append(e.ranges, span{why: "the listed versions of this package are not in order"})
		}
		for _, rg := range in.Ranges {
			if rg.Type != osv.RangeGit {
				e.ranges = append(e.ranges, compileRange(rules, rg))
			}
		}
		e.called = same(rec)
		for _, name := range slices.Concat([]string{rec.ID}, rec.Aliases, rec.Upstream) {
			if strings.HasPrefix(name, "CVE-") {
				e.cves = append(e.cves, name)
			}
		}
		c.byID[rec.ID] = append(c.byID[rec.ID], int32(len(c.entries)))
		c.entries = append(c.entries, e)
	}
	c.cluster()
	for j := range c.entries {
		e := &c.entries[j]
		e.alone = x.describe([]hit{{entry: e, answer: yes}})
	}
	// Two may do this at once; either result is right.
	x.packages[i].Store(c)
	return c
}

// cluster finds the clusters, and numbers the names in each.
func (c *compiled) cluster() {
	all := map[string]int32{}
	parent := []int32{}
	root := func(i int32) int32 {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	for i := range c.entries {
		parent = append(parent, int32(i))
		for _, name := range c.entries[i].called {
			other, ok := all[name]
			if !ok {
				all[name] = int32(i)
				continue
			}
			a, b := root(other), root(int32(i))
			parent[max(a, b)] = min(a, b)
		}
	}
	c.inNames = make(map[string]int32, len(all))
	number := make(map[string]int32, len(all))
	of := map[int32]int32{} // the cluster of each root
	for i := range c.entries {
		r := root(int32(i))
		k, ok := of[r]
		if !ok {
			k = int32(len(c.clusters))
			of[r] = k
			c.clusters = append(c.clusters, cluster{})
		}
		cl := &c.clusters[k]
		cl.entries = append(cl.entries, int32(i))
		e := &c.entries[i]
		for _, name := range e.called {
			n, ok := number[name]
			if !ok {
				n = cl.names
				number[name], c.inNames[name] = n, k
				cl.names++
			}
			e.names = append(e.names, n)
		}
	}
}

// same are the names of the one vulnerability that the record is about. An
// update that mends several is none of them.
func same(r *osv.Record) []string {
	names := append([]string{r.ID}, r.Aliases...)
	if len(r.Upstream) == 1 {
		names = append(names, r.Upstream[0])
	}
	return names
}

func compileRange(rules order.Order, rg osv.Range) span {
	if rg.Type == osv.RangeOther {
		return span{why: "the record has a range of an unknown type"}
	}
	if !rules.Known() {
		if rg.Type != osv.RangeSemVer {
			return span{why: "the order of this ecosystem's versions is not known"}
		}
		rules = order.SemVer()
	}
	var s span
	for _, ev := range rg.Events {
		e := event{kind: ev.Kind, Bound: rules.Bound(ev.Version), version: ev.Version}
		// A bound that names a build means its release, except that a fix in one
		// build is not in the others.
		if e.Local && e.kind != osv.Fixed {
			e.Lo, e.Hi, e.Local = e.Public, e.Public, false
		}
		if e.kind == osv.Limit {
			s.limits = append(s.limits, e)
		} else {
			s.events = append(s.events, e)
		}
	}
	// The schema's evaluation sorts by version. Those of one version stay as
	// the record has them: "fixed 2, introduced 2" is not "introduced 2, fixed
	// 2". Those that may be anywhere come last, where they can only cast doubt.
	slices.SortStableFunc(s.events, func(a, b event) int {
		if a.Blind() != b.Blind() {
			if a.Blind() {
				return 1
			}
			return -1
		}
		return strings.Compare(string(a.Lo), string(b.Lo))
	})
	return s
}
