package fleet

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/fact"
)

// Verdict is what is known about a vulnerability of one package in a workload,
// over all versions of the package that the workload has.
type Verdict struct {
	// Ecosystem is without its release.
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
	Group     string `json:"group"`
	// Versions are those that the vulnerability affects, or may, sorted as texts.
	Versions []string        `json:"versions"`
	IDs      []string        `json:"ids"`
	Aliases  []string        `json:"aliases,omitempty"`
	Status   advisory.Status `json:"status"`
	Severity fact.Severity   `json:"severity"`
	// Exploited says that it is in KEV.
	Exploited bool `json:"exploited,omitempty"`
	Malicious bool `json:"malicious,omitempty"`
	// Fixed are the versions that mend those in Versions, sorted, without "".
	Fixed []string `json:"fixed,omitempty"`
}

// about reports whether the two are the same vulnerability: they share a name.
func (v *Verdict) about(other *Verdict) bool {
	return shares(v.IDs, other.IDs) || shares(v.IDs, other.Aliases) || shares(v.Aliases, other.IDs) || shares(v.Aliases, other.Aliases)
}

func shares(a, b []string) bool {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch c := strings.Compare(a[i], b[j]); {
		case c < 0:
			i++
		case c > 0:
			j++
		default:
			return true
		}
	}
	return false
}

func (v *Verdict) equal(o *Verdict) bool {
	return v.Group == o.Group && v.Status == o.Status && v.Severity == o.Severity && v.Exploited == o.Exploited && v.Malicious == o.Malicious &&
		slices.Equal(v.Versions, o.Versions) && slices.Equal(v.IDs, o.IDs) && slices.Equal(v.Aliases, o.Aliases) && slices.Equal(v.Fixed, o.Fixed)
}

// verdicts makes verdicts of the findings of several versions of one package,
// by group.
func verdicts(key nameKey, versions []string, findings [][]advisory.Finding) []Verdict {
	var out []Verdict
	for i, all := range findings {
		for j := range all {
			f := &all[j]
			v := Verdict{
				Ecosystem: key.ecosystem, Name: key.name, Group: f.Group, Versions: []string{versions[i]}, IDs: f.IDs, Aliases: f.Aliases,
				Status: f.Status, Severity: f.Severity.Level, Exploited: f.Exploited != nil, Malicious: f.Malicious,
			}
			if f.Fixed != "" {
				v.Fixed = []string{f.Fixed}
			}
			out = append(out, v)
		}
	}
	if len(findings) > 1 {
		out = join(out)
	}
	return out
}

// join makes one of verdicts that share a name. What one version's records say
// may connect what another's leave apart, so it goes on until nothing joins.
func join(in []Verdict) []Verdict {
	var out []Verdict
	for _, v := range in {
		for i := 0; i < len(out); {
			if !out[i].about(&v) {
				i++
				continue
			}
			v = merged(&out[i], &v)
			out = slices.Delete(out, i, i+1)
			i = 0
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b Verdict) int { return strings.Compare(a.Group, b.Group) })
	return out
}

func merged(a, b *Verdict) Verdict {
	v := *a
	v.Versions = union(a.Versions, b.Versions)
	v.IDs = union(a.IDs, b.IDs)
	v.Aliases = slices.DeleteFunc(union(a.Aliases, b.Aliases), func(n string) bool {
		_, own := slices.BinarySearch(v.IDs, n)
		return own
	})
	if len(v.Aliases) == 0 {
		v.Aliases = nil
	}
	v.Fixed = union(a.Fixed, b.Fixed)
	v.Status = max(a.Status, b.Status)
	v.Severity = max(a.Severity, b.Severity)
	v.Exploited = a.Exploited || b.Exploited
	v.Malicious = a.Malicious || b.Malicious
	v.Group = v.IDs[0]
	all := union(v.IDs, v.Aliases)
	if i := slices.IndexFunc(all, func(n string) bool { return strings.HasPrefix(n, "CVE-") }); i >= 0 {
		v.Group = all[i]
	}
	return v
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// Verdicts returns the verdicts about a workload, by ecosystem, name and group.
func (f *Fleet) Verdicts(workload string) []Verdict {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.verdictsOf(workload, map[uint32][]advisory.Finding{})
}

func (f *Fleet) verdictsOf(workload string, cache map[uint32][]advisory.Finding) []Verdict {
	byName := map[uint32][]uint32{}
	for _, at := range f.workloads[workload] {
		for _, e := range f.inventories[at].entries {
			byName[f.entries[e].name] = append(byName[f.entries[e].name], e)
		}
	}
	var out []Verdict
	for n, entries := range byName {
		slices.Sort(entries)
		entries = slices.Compact(entries)
		versions := make([]string, len(entries))
		findings := make([][]advisory.Finding, len(entries))
		for i, e := range entries {
			got, ok := cache[e]
			if !ok {
				got = f.index.Evaluate(f.target(e))
				cache[e] = got
			}
			versions[i], findings[i] = f.version(e), got
		}
		out = append(out, verdicts(f.names[n].nameKey, versions, findings)...)
	}
	slices.SortFunc(out, func(a, b Verdict) int {
		for _, c := range []int{strings.Compare(a.Ecosystem, b.Ecosystem), strings.Compare(a.Name, b.Name), strings.Compare(a.Group, b.Group)} {
			if c != 0 {
				return c
			}
		}
		return 0
	})
	return out
}

// All evaluates everything and steps through the workloads in order of their
// names. It takes time in proportion to the fleet; what changed comes from Apply.
func (f *Fleet) All() iter.Seq2[string, []Verdict] {
	return func(yield func(string, []Verdict) bool) {
		f.mu.RLock()
		defer f.mu.RUnlock()
		cache := map[uint32][]advisory.Finding{}
		for _, w := range slices.Sorted(maps.Keys(f.workloads)) {
			if !yield(w, f.verdictsOf(w, cache)) {
				return
			}
		}
	}
}
