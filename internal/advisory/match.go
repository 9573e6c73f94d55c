package advisory

import (
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/advisory/order"
	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/internal/fact"
)

// Match returns what is known about the packages, in their order, and for each
// by group. A package that is in two places has its matches twice.
func (x *Index) Match(packages []fact.Package) []Match {
	var out []Match
	found := map[Target][]Finding{}
	for i, targets := range Targets(packages) {
		p := &packages[i]
		for _, t := range targets {
			findings, ok := found[t]
			if !ok {
				findings = x.Evaluate(t)
				found[t] = findings
			}
			for _, f := range findings {
				out = append(out, Match{Package: i, Target: t, Finding: f, Removed: p.Removed, Yanked: p.Has("yanked")})
			}
		}
	}
	return out
}

// Evaluate returns the findings of one target, by group. The lists in them are
// shared, and not to be changed.
func (x *Index) Evaluate(t Target) []Finding {
	p := x.Probe(t)
	return p.Evaluate(nil)
}

// foldTwice keeps one finding of each group: a distribution's advisories may be
// kept both with and without a release. The one that is surer stays.
func foldTwice(findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		if a.Group != b.Group {
			return strings.Compare(a.Group, b.Group)
		}
		return int(b.Status) - int(a.Status)
	})
	return slices.CompactFunc(findings, func(a, b Finding) bool { return a.Group == b.Group })
}

// fold appends one finding for all hits of a cluster that are the same
// vulnerability: that share a name, directly or by other hits.
func (x *Index) fold(c *compiled, v asked, t Target, hits []hit, names int32, to []Finding) []Finding {
	// first is, by name, the first hit that has it, counted from 1; a root is
	// the first hit of its group.
	first := make([]int32, names)
	parent := make([]int32, len(hits))
	root := func(i int32) int32 {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	for i := range hits {
		parent[i] = int32(i)
		for _, n := range hits[i].names {
			if first[n] == 0 {
				first[n] = int32(i + 1)
				continue
			}
			a, b := root(first[n]-1), root(int32(i))
			parent[max(a, b)] = min(a, b)
		}
	}
	for i := range hits {
		if root(int32(i)) != int32(i) {
			continue
		}
		var group []hit
		for j := range hits {
			if root(int32(j)) == int32(i) {
				group = append(group, hits[j])
			}
		}
		to = append(to, x.finding(c, v, t, group))
	}
	return to
}

// finding describes one vulnerability by all its hits.
func (x *Index) finding(c *compiled, v asked, t Target, hits []hit) Finding {
	var f Finding
	if len(hits) == 1 {
		f = hits[0].alone
	} else {
		// Those that are sure speak, where there are any.
		if slices.ContainsFunc(hits, func(h hit) bool { return h.answer == yes }) {
			hits = slices.DeleteFunc(hits, func(h hit) bool { return h.answer != yes })
		}
		f = x.describe(hits)
	}
	f.Status = Undecided
	if hits[0].answer == yes {
		f.Status = Affected
	}
	for _, h := range hits {
		if h.why != "" && !slices.Contains(f.Notes, h.why) {
			f.Notes = append(f.Notes, h.why)
		}
	}
	if v.ok {
		if v.Full != v.Public {
			f.Notes = append(f.Notes, "compared without the local label of "+quote(t.Version))
		}
		f.Fixed = c.firstFree(v, hits)
	}
	return f
}

// describe says what the hits say whatever the version is.
func (x *Index) describe(hits []hit) Finding {
	var f Finding
	var names, cves []string
	var imports []osv.Import
	everything := false
	for _, h := range hits {
		f.IDs = append(f.IDs, h.rec.ID)
		names = append(names, h.called...)
		cves = append(cves, h.cves...)
		if h.severity.Stronger(f.Severity) {
			f.Severity = h.severity
		}
		if f.Summary == "" {
			f.Summary = h.rec.Summary
		}
		f.Malicious = f.Malicious || h.rec.Malicious()
		// Imports narrow a finding only when every record has them.
		everything = everything || len(h.imports) == 0
		imports = append(imports, h.imports...)
	}
	if !everything {
		f.Imports = mergeImports(imports)
	}
	slices.Sort(f.IDs)
	f.IDs = slices.Compact(f.IDs)
	slices.Sort(names)
	names = slices.Compact(names)
	f.Group = f.IDs[0]
	if i := slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(n, "CVE-") }); i >= 0 {
		f.Group = names[i]
	}
	for _, n := range names {
		if _, own := slices.BinarySearch(f.IDs, n); !own {
			f.Aliases = append(f.Aliases, n)
		}
		f.Malicious = f.Malicious || strings.HasPrefix(n, "MAL-")
	}
	slices.Sort(cves)
	for _, cve := range slices.Compact(cves) {
		if e, ok := x.snap.Exploited(cve); ok && f.Exploited == nil {
			f.Exploited = &e
		}
		if p, ok := x.snap.Prediction(cve); ok && p.Probability > f.EPSS {
			f.EPSS, f.Percentile = p.Probability, p.Percentile
		}
	}
	return f
}

// mergeImports returns one import for each path; one without symbols means all
// of them and wins.
func mergeImports(all []osv.Import) []osv.Import {
	slices.SortStableFunc(all, func(a, b osv.Import) int { return strings.Compare(a.Path, b.Path) })
	var out []osv.Import
	for _, im := range all {
		if len(out) == 0 || out[len(out)-1].Path != im.Path {
			out = append(out, im)
			continue
		}
		last := &out[len(out)-1]
		if len(last.Symbols) == 0 || len(im.Symbols) == 0 {
			last.Symbols = nil
			continue
		}
		symbols := slices.Concat(last.Symbols, im.Symbols)
		slices.Sort(symbols)
		last.Symbols = slices.Compact(symbols)
	}
	return out
}

// firstFree returns the smallest fixed version above v that none of the hits affects.
func (c *compiled) firstFree(v asked, hits []hit) string {
	var candidates []event
	for _, h := range hits {
		candidates = append(candidates, h.fixes(v)...)
	}
	slices.SortStableFunc(candidates, func(a, b event) int { return strings.Compare(string(a.Lo), string(b.Lo)) })
	last := order.Highest
	for _, ev := range candidates {
		if ev.Lo == last {
			continue
		}
		last = ev.Lo
		version := ev.version
		if ev.Read != "" {
			version = ev.Read
		}
		w := c.ask(version)
		if !slices.ContainsFunc(hits, func(h hit) bool { a, _ := h.judge(w); return a != no }) {
			return version
		}
	}
	return ""
}

// Upgrade returns the smallest version of the package, above the one at hand,
// that has none of the findings for which mind returns true; ok is false when no
// record names such a version. A nil mind minds all of them.
func (x *Index) Upgrade(t Target, mind func(*Finding) bool) (version string, ok bool) {
	type candidate struct {
		key  order.Key
		text string
	}
	minds := func(version string) (bool, []Finding) {
		t := t
		t.Version = version
		all := x.Evaluate(t)
		return slices.ContainsFunc(all, func(f Finding) bool { return mind == nil || mind(&f) }), all
	}
	rules, _ := order.For(t.Ecosystem)
	tried := map[order.Key]bool{}
	pending := []candidate{{order.Lowest, t.Version}}
	for len(pending) > 0 {
		slices.SortFunc(pending, func(a, b candidate) int { return strings.Compare(string(a.key), string(b.key)) })
		next := pending[0]
		pending = pending[1:]
		bad, findings := minds(next.text)
		if !bad {
			return next.text, next.text != t.Version
		}
		for i := range findings {
			if v, err := rules.Parse(findings[i].Fixed); err == nil && !tried[v.Full] {
				tried[v.Full] = true
				pending = append(pending, candidate{v.Full, findings[i].Fixed})
			}
		}
	}
	return "", false
}
